//! A POSIX script as one line of text that every login shell reads alike.
//!
//! Single quotes mean the same everywhere only for printable ASCII without `!` (csh history), `\`
//! and `'` (fish escapes them). So the script travels in them with every other byte, and a few
//! characters that stranger shells quote differently, written as `\0ooo`, three octal digits
//! after the 0, for the host's `printf %b`. What can stay does: it costs a byte instead of five,
//! and some servers take few (dropbear 9,000).

use super::QuoteError;

/// The longest command line, in bytes: Linux takes at most 128 KiB as one argument, the ending
/// NUL included (`MAX_ARG_STRLEN`, execve(2)), and the login shell gets the line as one. SSH clients
/// and servers may take less in one request.
pub const MAX_COMMAND_LINE: usize = 128 * 1024 - 1;

/// The longest line that is sent as a request of its own: dropbear takes 9,000 bytes, libssh2 sends
/// 34,725.
const MAX_REQUEST: usize = 8_000;

/// What a host is asked to execute, in the two parts it is sent in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Request {
    /// The line for the account's login shell.
    pub line: Vec<u8>,
    /// What the line reads of its stdin before the command gets the rest. Empty for most commands:
    /// only one too long for a request travels this way.
    pub preamble: Vec<u8>,
    /// What is read once other rights were given, which a marker tells; empty where none are asked
    /// for.
    pub elevated: Vec<u8>,
}

/// Decodes and runs the script given as `$1`; nothing runs where `printf` is missing.
pub(super) const DECODE: &str = r#"hoist_s=$(printf %b "$1") && eval "$hoist_s""#;

/// Returns the line that makes the host's `sh` run `script`, as the same process.
pub(super) fn line(script: &[u8]) -> Vec<u8> {
    let mut line = Vec::with_capacity(script.len() * 3 + 128);
    line.extend_from_slice(b"exec sh -c '");
    line.extend_from_slice(DECODE.as_bytes());
    line.extend_from_slice(b"' sh '");
    encode(script, &mut line);
    line.push(b'\'');
    line
}

/// Returns how `script` is sent: as one line, or, where that is too long, as a line that reads the
/// encoded script, byte by byte so that it takes nothing of what follows.
///
/// A script that didn't arrive whole is not run at all.
pub(super) fn request(script: &[u8]) -> Result<Request, QuoteError> {
    let line = fitting(line(script))?;
    if line.len() <= MAX_REQUEST {
        return Ok(Request {
            line,
            preamble: Vec::new(),
            elevated: Vec::new(),
        });
    }
    let preamble = encoded(script);
    let length = preamble.len();
    let read = format!(
        r#"set -- "$(dd bs=1 count={length} 2>/dev/null)"; [ ${{#1}} -eq {length} ] || exit 127; {DECODE}"#
    );
    Ok(Request {
        line: format!("exec sh -c '{read}' sh").into_bytes(),
        preamble,
        elevated: Vec::new(),
    })
}

/// Returns `line` unless it is longer than [`MAX_COMMAND_LINE`].
pub(super) fn fitting(line: Vec<u8>) -> Result<Vec<u8>, QuoteError> {
    if line.len() > MAX_COMMAND_LINE {
        return Err(QuoteError::TooLong {
            length: line.len(),
            limit: MAX_COMMAND_LINE,
        });
    }
    Ok(line)
}

/// Returns a script as its decoder takes it.
pub(super) fn encoded(script: &[u8]) -> Vec<u8> {
    let mut text = Vec::with_capacity(script.len() * 3);
    encode(script, &mut text);
    text
}

fn encode(script: &[u8], line: &mut Vec<u8>) {
    for &byte in script {
        if is_literal(byte) {
            line.push(byte);
        } else {
            let digit = |shift: u8| b'0' + ((byte >> shift) & 7);
            line.extend_from_slice(&[b'\\', b'0', digit(6), digit(3), digit(0)]);
        }
    }
}

/// Whether every shell reads `byte` as itself in single quotes.
fn is_literal(byte: u8) -> bool {
    byte == b' ' || byte.is_ascii_graphic() && !b"!\\'`^~".contains(&byte)
}

/// Appends `word` to a script so that a POSIX shell reads it as exactly that one word.
pub(super) fn push_word(word: &[u8], script: &mut Vec<u8>) {
    let is_plain = |b: &u8| b.is_ascii_alphanumeric() || b"_./:@%+,-".contains(b);
    if !word.is_empty() && word.iter().all(is_plain) {
        script.extend_from_slice(word);
        return;
    }
    script.push(b'\'');
    for &byte in word {
        match byte {
            b'\'' => script.extend_from_slice(br"'\''"),
            byte => script.push(byte),
        }
    }
    script.push(b'\'');
}

/// Returns `text` as a POSIX shell reads it as exactly that one word. Only for such shells: see
/// [`request`](super::request) for any other.
pub fn posix(text: &str) -> String {
    let mut quoted = Vec::new();
    push_word(text.as_bytes(), &mut quoted);
    // Nothing is lost: quoting adds ASCII around whole characters.
    String::from_utf8_lossy(&quoted).into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_fixed_text_holds_nothing_that_a_login_shell_acts_on() {
        assert!(DECODE.bytes().all(is_literal));
    }

    #[test]
    fn what_shells_read_differently_is_three_octal_digits() {
        let mut line = Vec::new();
        encode(b"a 1_./$(\"\n'!\\`^~\x7f\xff\x017", &mut line);
        assert_eq!(
            String::from_utf8(line).unwrap(),
            r#"a 1_./$("\0012\0047\0041\0134\0140\0136\0176\0177\0377\00017"#
        );
    }

    #[test]
    fn a_longer_line_than_an_argument_may_be_is_refused() {
        let overhead = line(b"").len();
        let fits = vec![b'a'; MAX_COMMAND_LINE - overhead];
        assert_eq!(fitting(line(&fits)).unwrap().len(), MAX_COMMAND_LINE);
        let over = [&fits[..], b"a"].concat();
        insta::assert_snapshot!(fitting(line(&over)).unwrap_err(), @"the command is 131072 bytes long once it is quoted, and at most 131071 can be sent; send long data through --stdin");
    }

    #[test]
    fn words_are_quoted_only_where_they_must_be() {
        let word = |word: &str| {
            let mut script = Vec::new();
            push_word(word.as_bytes(), &mut script);
            String::from_utf8(script).unwrap()
        };
        assert_eq!(word("/usr/bin/env"), "/usr/bin/env");
        assert_eq!(word(""), "''");
        assert_eq!(word("a b"), "'a b'");
        assert_eq!(word("=a"), "'=a'");
        assert_eq!(word("it's"), r"'it'\''s'");
    }
}
