//! Rows of text under each other, for people.

use std::io::{self, Write};

use unicode_width::UnicodeWidthStr;

/// The widest a column is made for the sake of those after it.
const MAX_WIDTH: usize = 60;

/// Prints rows, each column as wide as its widest cell.
pub(super) fn print<const N: usize>(rows: &[[String; N]], out: &mut impl Write) -> io::Result<()> {
    let width = |column: usize| {
        let widths = rows.iter().map(|row| row[column].width());
        widths
            .filter(|width| *width <= MAX_WIDTH)
            .max()
            .unwrap_or(0)
    };
    let widths: [usize; N] = std::array::from_fn(width);
    for row in rows {
        let mut line = String::new();
        for (cell, width) in row.iter().zip(widths) {
            line.push_str(cell);
            let padding = width.saturating_sub(cell.width()) + 2;
            line.extend(std::iter::repeat_n(' ', padding));
        }
        writeln!(out, "{}", line.trim_end())?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_are_as_wide_as_needed_and_no_wider_for_a_long_cell() {
        let rows = [
            ["a", "bb", "c"],
            ["aaa", "größe", ""],
            ["x", &"y".repeat(70), "z"],
        ];
        let mut out = Vec::new();
        print(&rows.map(|row| row.map(str::to_owned)), &mut out).unwrap();
        let text = String::from_utf8(out).unwrap();
        let long = format!("x    {}  z", "y".repeat(70));
        assert_eq!(text, format!("a    bb     c\naaa  größe\n{long}\n"));
    }
}
