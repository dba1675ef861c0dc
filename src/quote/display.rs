//! A command as people read it and could paste it into a shell.

use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;

use crate::host::is_printable;

/// Returns a line that a POSIX shell would split back into `argv`, safe to print: bytes that
/// can't be shown are written as `$'\x1b'` (POSIX.1-2024 §2.2.4).
pub fn display<W: AsRef<OsStr>>(argv: &[W]) -> String {
    let mut shown = String::new();
    for (index, word) in argv.iter().enumerate() {
        let word = word.as_ref();
        if index > 0 {
            shown.push(' ');
        }
        // In front of the program `A=b` would be an assignment.
        let is_assignment = index == 0 && word.as_bytes().contains(&b'=');
        match word.to_str() {
            Some(text) if is_plain(text) && !is_assignment => shown.push_str(text),
            Some(text) if text.chars().all(is_printable) => {
                shown.push('\'');
                shown.push_str(&text.replace('\'', r"'\''"));
                shown.push('\'');
            }
            _ => push_escaped(word.as_bytes(), &mut shown),
        }
    }
    shown
}

fn is_plain(text: &str) -> bool {
    let plain = |c: char| c.is_alphanumeric() && is_printable(c) || "_./:@%+,-".contains(c);
    // An inner `=` is plain: `--name=value`, `if=/dev/zero`.
    let mut chars = text.chars();
    chars.next().is_some_and(plain) && chars.all(|c| plain(c) || c == '=')
}

fn push_escaped(bytes: &[u8], shown: &mut String) {
    shown.push_str("$'");
    let mut ends_in_hex = false;
    for chunk in bytes.utf8_chunks() {
        for c in chunk.valid().chars() {
            // Shells disagree how many digits belong to `\x`: what could be one more goes into
            // a quote of its own.
            if ends_in_hex && c.is_ascii_hexdigit() {
                shown.push_str("'$'");
            }
            ends_in_hex = false;
            match c {
                '\'' | '\\' => shown.extend(['\\', c]),
                '\n' => shown.push_str("\\n"),
                '\t' => shown.push_str("\\t"),
                c if is_printable(c) => shown.push(c),
                c => {
                    push_hex(c.encode_utf8(&mut [0; 4]).as_bytes(), shown);
                    ends_in_hex = true;
                }
            }
        }
        push_hex(chunk.invalid(), shown);
        ends_in_hex |= !chunk.invalid().is_empty();
    }
    shown.push('\'');
}

fn push_hex(bytes: &[u8], shown: &mut String) {
    for &byte in bytes {
        let digit = |value: u8| char::from_digit(value.into(), 16).expect("below 16");
        shown.extend(['\\', 'x', digit(byte >> 4), digit(byte & 15)]);
    }
}

#[cfg(test)]
mod tests {
    use std::ffi::OsString;

    use super::*;
    use crate::quote::shells::{Home, nasty_words};

    fn of(words: &[&str]) -> String {
        let argv: Vec<OsString> = words.iter().map(Into::into).collect();
        display(&argv)
    }

    #[test]
    fn plain_words_stay_as_they_are() {
        insta::assert_snapshot!(of(&["dd", "if=/dev/zero", "--count=3", "größe"]), @"dd if=/dev/zero --count=3 größe");
    }

    #[test]
    fn others_are_quoted() {
        insta::assert_snapshot!(of(&["A=b", "", "a b", "it's", "*", "~", "A=b", "=x", "#"]), @r"'A=b' '' 'a b' 'it'\''s' '*' '~' A=b '=x' '#'");
    }

    #[test]
    fn nothing_shown_can_drive_a_terminal() {
        insta::assert_snapshot!(of(&["a\u{1b}[2J\u{7f}a", "a\n\tb'\\", "\u{202e}x"]), @r"$'a\x1b[2J\x7f'$'a' $'a\n\tb\'\\' $'\xe2\x80\xaex'");
        assert!(display(&nasty_words()).chars().all(is_printable));
    }

    #[test]
    fn a_shell_splits_it_back() {
        let home = Home::new();
        let words = nasty_words();
        for shell in ["bash", "zsh", "mksh", "ksh"] {
            let line = format!("printf '%s\\0' {}", display(&words));
            let output = home.shell(shell).arg("-c").arg(line).output().unwrap();
            let expected: Vec<u8> = words
                .iter()
                .flat_map(|word| [word.as_bytes(), b"\0"].concat())
                .collect();
            assert!(output.stdout == expected, "{shell}: {output:?}");
        }
    }
}
