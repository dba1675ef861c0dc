//! Makes what a host prints harmless for a terminal.
//!
//! Bytes come in, cut anywhere; text goes out in which everything that could act on a terminal, or
//! on the text around it, is spelled out: `^[` for ESC and the other control characters, `\u{9b}`
//! for C1 and for invisible format characters (bidirectional overrides among them), `\x9b` for
//! what is not UTF-8. Tabs and line feeds pass; so does the carriage return of a CR LF, as nothing.

use std::fmt::Write;
use std::str;

use crate::host::is_printable;

/// Makes bytes that come in pieces visible.
#[derive(Debug, Clone, Default)]
pub struct Sanitizer {
    /// What can't be judged before more is seen: the start of a character, or a CR.
    pending: Vec<u8>,
}

impl Sanitizer {
    /// Takes the next piece and appends to `shown` what can be told of it.
    pub fn push(&mut self, bytes: &[u8], shown: &mut String) {
        if self.pending.is_empty() {
            self.judge(bytes, shown);
        } else {
            let mut joined = std::mem::take(&mut self.pending);
            joined.extend_from_slice(bytes);
            self.judge(&joined, shown);
        }
    }

    /// Appends what was still waiting. The sanitizer is then as new.
    pub fn finish(&mut self, shown: &mut String) {
        match std::mem::take(&mut self.pending).as_slice() {
            b"\r" => shown.push_str("^M"),
            rest => show_invalid(rest, shown),
        }
    }

    fn judge(&mut self, mut bytes: &[u8], shown: &mut String) {
        loop {
            match str::from_utf8(bytes) {
                Ok(text) => return self.judge_text(text, shown),
                Err(error) => {
                    let (valid, rest) = bytes.split_at(error.valid_up_to());
                    show(str::from_utf8(valid).expect("valid up to here"), shown);
                    let Some(invalid) = error.error_len() else {
                        self.pending.extend_from_slice(rest);
                        return;
                    };
                    show_invalid(&rest[..invalid], shown);
                    bytes = &rest[invalid..];
                }
            }
        }
    }

    fn judge_text(&mut self, text: &str, shown: &mut String) {
        if let Some(text) = text.strip_suffix('\r') {
            self.pending.push(b'\r');
            show(text, shown);
        } else {
            show(text, shown);
        }
    }
}

/// Returns a whole text made visible.
pub fn sanitize(bytes: &[u8]) -> String {
    let mut shown = String::with_capacity(bytes.len());
    let mut sanitizer = Sanitizer::default();
    sanitizer.push(bytes, &mut shown);
    sanitizer.finish(&mut shown);
    shown
}

/// Returns a whole text made visible on one line: line feeds and tabs become blanks.
pub fn sanitize_line(text: &str) -> String {
    let flat = sanitize(text.trim_end().as_bytes());
    flat.replace(['\n', '\t'], " ")
}

/// Whether `c` stands for itself: printable, or one of Unicode's blanks of whatever width.
pub(super) fn is_visible(c: char) -> bool {
    let is_blank = c.is_whitespace() && !c.is_control() && !matches!(c, '\u{2028}' | '\u{2029}');
    is_printable(c) || is_blank
}

fn show(text: &str, shown: &mut String) {
    let mut rest = text;
    // Nearly everything is plain: copy it in long stretches.
    while let Some(at) = rest.find(|c| !(matches!(c, ' '..='~' | '\n' | '\t') || is_visible(c))) {
        shown.push_str(&rest[..at]);
        let c = rest[at..].chars().next().expect("just found");
        rest = &rest[at + c.len_utf8()..];
        if !(c == '\r' && rest.starts_with('\n')) {
            show_char(c, shown);
        }
    }
    shown.push_str(rest);
}

fn show_char(c: char, shown: &mut String) {
    match c {
        '\0'..='\x1f' => shown.extend(['^', char::from(c as u8 + b'@')]),
        '\x7f' => shown.push_str("^?"),
        c => shown.extend(c.escape_unicode()),
    }
}

fn show_invalid(bytes: &[u8], shown: &mut String) {
    for byte in bytes {
        write!(shown, "\\x{byte:02x}").expect("a string takes everything");
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn what_drives_a_terminal_is_spelled_out() {
        for (bytes, shown) in [
            (&b"\x1b[31mred\x1b[0m"[..], "^[[31mred^[[0m"),
            (b"a\tb\nc", "a\tb\nc"),
            (b"bell\x07 del\x7f nul\0", "bell^G del^? nul^@"),
            (b"dos\r\nline\r\n", "dos\nline\n"),
            (b"10%\r20%\r", "10%^M20%^M"),
            (b"raw CSI \x9b2J", "raw CSI \\x9b2J"),
            (b"latin-1 gr\xfc\xdfe", "latin-1 gr\\xfc\\xdfe"),
            (b"cut \xe2\x82", "cut \\xe2\\x82"),
        ] {
            assert_eq!(sanitize(bytes), shown);
        }
        assert_eq!(sanitize("C1 \u{9b}2J".as_bytes()), "C1 \\u{9b}2J");
        assert_eq!(sanitize("\u{202e}olleh".as_bytes()), "\\u{202e}olleh");
        assert_eq!(
            sanitize("größe 日本\u{3000}語".as_bytes()),
            "größe 日本\u{3000}語"
        );
    }

    #[test]
    fn a_message_stays_on_its_line() {
        assert_eq!(sanitize_line("a\nb\tc\r\n"), "a b c");
    }

    proptest! {
        #[test]
        fn nothing_that_acts_is_left(bytes: Vec<u8>) {
            let shown = sanitize(&bytes);
            let is_harmless = |c: char| c == '\n' || c == '\t' || !(c.is_control() || c == '\u{202e}');
            prop_assert!(shown.chars().all(is_harmless));
        }

        #[test]
        fn printable_text_stands_for_itself(text in "[ -~äöü日本語\\n\\t]*") {
            prop_assert_eq!(sanitize(text.as_bytes()), text);
        }

        #[test]
        fn cuts_make_no_difference(
            bytes in prop_oneof![
                any::<Vec<u8>>(),
                any::<String>().prop_map(String::into_bytes),
                "[\\r\\nä\u{1b}]*".prop_map(String::into_bytes),
            ],
            size in 1_usize..6,
        ) {
            let mut shown = String::new();
            let mut sanitizer = Sanitizer::default();
            for piece in bytes.chunks(size) {
                sanitizer.push(piece, &mut shown);
            }
            sanitizer.finish(&mut shown);
            prop_assert_eq!(shown, sanitize(&bytes));
        }
    }
}
