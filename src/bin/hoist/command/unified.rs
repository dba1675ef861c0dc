//! What has to be changed in a text to make it another one, as `diff -u` tells it.
//!
//! Two texts of bytes come in, and a diff that `patch` takes goes out. The texts may be anybody's: one
//! that takes too long is told in larger pieces than need be, and one that is no text in a line.

use std::ops::Range;
use std::time::{Duration, Instant};

use similar::{Algorithm, DiffOp, capture_diff_slices_deadline, group_diff_ops};

/// Lines around a change that are shown with it.
const CONTEXT: usize = 3;

/// The longest that is spent on finding the smallest diff.
const PATIENCE: Duration = Duration::from_secs(1);

/// A text with its name; without content where there is no such file.
#[derive(Debug, Clone, Copy)]
pub(super) struct Side<'a> {
    pub name: &'a str,
    pub content: Option<&'a [u8]>,
}

/// Returns how `old` differs from `new`; nothing where they are the same.
pub(super) fn unified(old: Side<'_>, new: Side<'_>) -> Vec<u8> {
    let mut diff = Vec::new();
    if old.content == new.content {
        return diff;
    }
    let name = |side: &Side<'_>| match side.content {
        Some(_) => side.name.to_owned(),
        None => "/dev/null".to_owned(),
    };
    let names = [name(&old), name(&new)];
    let [old, new] = [old, new].map(|side| side.content.unwrap_or_default());
    if old.contains(&0) || new.contains(&0) {
        let [old, new] = names;
        return format!("Binary files {old} and {new} differ\n").into_bytes();
    }
    diff.extend(format!("--- {}\n+++ {}\n", names[0], names[1]).into_bytes());
    let [old, new] = [old, new].map(lines);
    let deadline = Some(Instant::now() + PATIENCE);
    let ops = capture_diff_slices_deadline(Algorithm::Myers, &old, &new, deadline);
    for hunk in group_diff_ops(ops, CONTEXT) {
        write_hunk(&hunk, &old, &new, &mut diff);
    }
    diff
}

fn lines(text: &[u8]) -> Vec<&[u8]> {
    text.split_inclusive(|byte| *byte == b'\n').collect()
}

fn write_hunk(hunk: &[DiffOp], old: &[&[u8]], new: &[&[u8]], diff: &mut Vec<u8>) {
    let (Some(first), Some(last)) = (hunk.first(), hunk.last()) else {
        return;
    };
    let whole = |first: Range<usize>, last: Range<usize>| place(&(first.start..last.end));
    let head = format!(
        "@@ -{} +{} @@\n",
        whole(first.old_range(), last.old_range()),
        whole(first.new_range(), last.new_range())
    );
    diff.extend(head.into_bytes());
    for op in hunk {
        if let DiffOp::Equal { .. } = op {
            write_lines(b' ', &old[op.old_range()], diff);
        } else {
            write_lines(b'-', &old[op.old_range()], diff);
            write_lines(b'+', &new[op.new_range()], diff);
        }
    }
}

/// Returns the first line and how many: `3,7`; of none, the line before them.
fn place(lines: &Range<usize>) -> String {
    match lines.len() {
        0 => format!("{},0", lines.start),
        1 => format!("{}", lines.start + 1),
        count => format!("{},{count}", lines.start + 1),
    }
}

fn write_lines(sign: u8, lines: &[&[u8]], diff: &mut Vec<u8>) {
    for line in lines {
        diff.push(sign);
        diff.extend_from_slice(line);
        if !line.ends_with(b"\n") {
            diff.extend_from_slice(b"\n\\ No newline at end of file\n");
        }
    }
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::process::Command;

    use proptest::prelude::*;

    use super::*;

    fn side<'a>(name: &'a str, content: &'a [u8]) -> Side<'a> {
        Side {
            name,
            content: Some(content),
        }
    }

    fn diff(old: &str, new: &str) -> String {
        let diff = unified(side("old", old.as_bytes()), side("new", new.as_bytes()));
        String::from_utf8(diff).unwrap()
    }

    #[test]
    fn changes_are_told_as_diff_tells_them() {
        let folder = tempfile::tempdir().unwrap();
        let many: Vec<String> = (0..30).map(|n| format!("line {n}\n")).collect();
        let many = many.concat();
        for (old, new) in [
            ("a\nb\nc\n", "a\nB\nc\n"),
            ("", "a\n"),
            ("a\n", ""),
            ("a", "a\n"),
            ("a\nb", "a\nc"),
            (
                &*many,
                &*many.replace("line 3\n", "").replace("line 25\n", "x\ny\n"),
            ),
        ] {
            let [a, b] = ["old", "new"].map(|name| folder.path().join(name));
            fs::write(a, old).unwrap();
            fs::write(b, new).unwrap();
            let words = ["-u", "--label", "old", "--label", "new", "old", "new"];
            let output = Command::new("diff")
                .args(words)
                .current_dir(folder.path())
                .output()
                .unwrap();
            assert_eq!(diff(old, new), String::from_utf8(output.stdout).unwrap());
        }
    }

    #[test]
    fn what_is_not_there_and_what_is_no_text_has_its_own_words() {
        let none = Side {
            name: "x",
            content: None,
        };
        let text = |diff: Vec<u8>| String::from_utf8(diff).unwrap();
        assert_eq!(
            text(unified(none, side("new", b"a\n"))),
            "--- /dev/null\n+++ new\n@@ -0,0 +1 @@\n+a\n"
        );
        assert_eq!(
            text(unified(none, side("new", b""))),
            "--- /dev/null\n+++ new\n"
        );
        assert_eq!(
            text(unified(side("old", b"\0"), side("new", b"a"))),
            "Binary files old and new differ\n"
        );
        assert_eq!(diff("a\n", "a\n"), "");
        let latin = unified(side("old", b"gr\xfcn\n"), side("new", b"x\n"));
        assert!(latin.windows(5).any(|part| part == b"-gr\xfcn"));
    }

    /// Does to `old` what a diff says.
    fn patched(old: &[u8], diff: &[u8]) -> Vec<u8> {
        let (old, mut done) = (lines(old), 0);
        let mut new: Vec<u8> = Vec::new();
        for line in lines(diff).into_iter().skip(2) {
            match line[0] {
                b'@' => {
                    let head = str::from_utf8(line).unwrap();
                    let place = head[4..].split(' ').next().unwrap();
                    let (start, count) = place.split_once(',').unwrap_or((place, "1"));
                    let start: usize = start.parse().unwrap();
                    let begin = if count == "0" { start } else { start - 1 };
                    new.extend(old[done..begin].concat());
                    done = begin;
                }
                b'-' => done += 1,
                b' ' => {
                    new.extend(old[done]);
                    done += 1;
                }
                b'+' => new.extend(&line[1..]),
                _ => unreachable!("every line has an end"),
            }
        }
        new.extend(old[done..].concat());
        new
    }

    proptest! {
        #[test]
        fn a_diff_makes_the_new_text_of_the_old_one(
            old in "([abc]{0,2}\n){0,20}",
            new in "([abc]{0,2}\n){0,20}",
        ) {
            let diff = unified(side("old", old.as_bytes()), side("new", new.as_bytes()));
            let made = patched(old.as_bytes(), &diff);
            prop_assert_eq!(String::from_utf8(made).unwrap(), new);
        }
    }
}
