//! Command lines and words: what is split, shown and sent comes back as the same words, read by
//! readers of their own.
//!
//! The input is taken twice: as a line, and as words with NUL bytes between.

use std::ffi::OsString;
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::PathBuf;

use hoist::host::is_printable;
use hoist::quote::{
    MAX_COMMAND_LINE, Marker, QuoteError, Request, SplitError, display, request, split,
    unquoted_syntax,
};
use hoist::remote::{Command, Exec};

/// Checks all that is promised of `data` as a command line and as words.
pub(crate) fn check(data: &[u8]) {
    if let Ok(line) = str::from_utf8(data) {
        check_line(line);
    }
    let argv: Vec<OsString> = data
        .split(|byte| *byte == 0)
        .map(|word| OsString::from_vec(word.to_vec()))
        .collect();
    check_shown(&argv);
    check_sent(&argv);
}

/// A line is split as shlex splits it; an error, and syntax that is found, point into it.
fn check_line(line: &str) {
    let columns = 1..=line.chars().count();
    let words = shlex::split(line);
    match split(line) {
        Ok(found) => assert_eq!(Some(found), words),
        Err(SplitError::Empty) => assert_eq!(words, Some(Vec::new())),
        Err(SplitError::Unclosed { quote, column }) => {
            assert_eq!(words, None);
            assert_eq!(line.chars().nth(column - 1), Some(quote));
        }
        Err(SplitError::TrailingBackslash { column }) => {
            assert_eq!(words, None);
            assert_eq!(column, line.chars().count());
        }
        Err(other) => panic!("{other} is news to this check"),
    }
    if let Some(syntax) = unquoted_syntax(line) {
        assert!(columns.contains(&syntax.column), "{syntax}");
        assert!(
            !syntax.text.is_empty() && syntax.text.chars().all(is_printable),
            "{syntax}"
        );
    }
}

/// What people are shown is one harmless line, and the same words for a shell. Where nothing had to
/// be escaped it is the same for hoist, too, which finds no shell syntax in it.
fn check_shown(argv: &[OsString]) {
    let line = display(argv);
    assert!(line.chars().all(is_printable), "{line:?}");
    let words: Vec<&[u8]> = argv.iter().map(|word| word.as_bytes()).collect();
    assert_eq!(pasted(&line), words, "{line}");
    let texts: Option<Vec<&str>> = argv.iter().map(|word| word.to_str()).collect();
    let is_plain = |texts: &Vec<&str>| texts.iter().all(|text| text.chars().all(is_printable));
    if let Some(texts) = texts.filter(is_plain) {
        assert_eq!(split(&line).expect("words are quoted"), texts);
        assert_eq!(unquoted_syntax(&line), None, "{line}");
    }
}

/// Reads a line as a shell with `$'…'` does (POSIX.1-2024 §2.2.4).
fn pasted(line: &str) -> Vec<Vec<u8>> {
    let mut words = vec![Vec::new()];
    let mut chars = line.chars().peekable();
    while let Some(c) = chars.next() {
        let word = words.last_mut().expect("there is always one");
        match c {
            ' ' => words.push(Vec::new()),
            '\'' => {
                let inner: String = chars.by_ref().take_while(|c| *c != '\'').collect();
                word.extend_from_slice(inner.as_bytes());
            }
            '\\' => word.push(u8::try_from(chars.next().expect("a quote")).expect("ASCII")),
            '$' if chars.next_if_eq(&'\'').is_some() => push_escaped(&mut chars, word),
            c => word.extend_from_slice(c.encode_utf8(&mut [0; 4]).as_bytes()),
        }
    }
    words
}

fn push_escaped(chars: &mut std::iter::Peekable<std::str::Chars<'_>>, word: &mut Vec<u8>) {
    while let Some(c) = chars.next() {
        match c {
            '\'' => return,
            '\\' => match chars.next() {
                Some('n') => word.push(b'\n'),
                Some('t') => word.push(b'\t'),
                Some('x') => {
                    // As the greediest shell: all digits that follow.
                    let mut number = String::new();
                    while let Some(digit) = chars.next_if(char::is_ascii_hexdigit) {
                        number.push(digit);
                    }
                    word.push(u8::from_str_radix(&number, 16).expect("two digits"));
                }
                Some(c @ ('\'' | '\\')) => word.push(c as u8),
                other => panic!("\\{other:?} means nothing to all shells"),
            },
            c => word.extend_from_slice(c.encode_utf8(&mut [0; 4]).as_bytes()),
        }
    }
    panic!("a quote is never closed");
}

/// What a host is asked to execute holds the words, in text that any login shell passes on as it is.
fn check_sent(argv: &[OsString]) {
    let mut exec = Exec::new(Command::Argv(argv.to_vec()));
    if let [_, .., cwd, value] = argv {
        exec.cwd = Some(cwd.into());
        exec.env = vec![
            ("HOIST_X".to_owned(), value.clone()),
            ("A".to_owned(), cwd.clone()),
        ];
    }
    let request = match request(&exec, &Marker::random()) {
        Ok(request) => request,
        Err(QuoteError::EmptyDirectory) => {
            return assert_eq!(exec.cwd.map(PathBuf::into_os_string), Some("".into()));
        }
        Err(QuoteError::TooLong { length, limit }) => {
            assert_eq!(limit, MAX_COMMAND_LINE);
            return assert!(length > limit);
        }
        Err(error) => panic!("{error}"),
    };
    let is_harmless =
        |byte: &u8| (*byte == b' ' || byte.is_ascii_graphic()) && !b"!`^~".contains(byte);
    let sent = request.line.iter().chain(&request.preamble);
    assert!(sent.clone().all(is_harmless), "{request:?}");
    assert!(request.line.len() <= 8_000);
    let script = decoded(&request);
    let words: Vec<&[u8]> = argv.iter().map(|word| word.as_bytes()).collect();
    assert!(
        holds(&script, b"set -- ", &words),
        "{}",
        script.escape_ascii()
    );
    for (name, value) in &exec.env {
        let assignment = [name.as_bytes(), b"=", value.as_bytes()].concat();
        let before: &[u8] = if name == "A" {
            b"exec \"$hoist_e\" "
        } else {
            b"export "
        };
        assert!(
            holds(&script, before, &[&assignment]),
            "{}",
            script.escape_ascii()
        );
    }
}

/// Whether somewhere in `script`, after `before`, a POSIX shell reads `words`.
fn holds(script: &[u8], before: &[u8], words: &[&[u8]]) -> bool {
    let places = script.windows(before.len()).enumerate();
    let mut places = places.filter(|(_, window)| *window == before);
    places.any(|(at, _)| {
        let rest = &script[at + before.len()..];
        let found = shlex::bytes::Shlex::new(rest).take(words.len());
        found.eq(words.iter().map(|word| word.to_vec()))
    })
}

/// Returns the script that a request carries: `printf %b` of the quoted text, or of the preamble.
pub(super) fn decoded(request: &Request) -> Vec<u8> {
    let line = request
        .line
        .strip_prefix(b"exec sh -c '")
        .expect("a wrapper");
    let encoded = if request.preamble.is_empty() {
        let end = b"' sh '";
        let at = line.windows(end.len()).position(|window| window == end);
        let quoted = &line[at.expect("an argument") + end.len()..];
        quoted.strip_suffix(b"'").expect("a closing quote")
    } else {
        let count = format!(" count={} ", request.preamble.len());
        let mut windows = line.windows(count.len());
        assert!(
            windows.any(|window| window == count.as_bytes()),
            "{request:?}"
        );
        assert!(line.ends_with(b"' sh"), "{request:?}");
        &request.preamble
    };
    assert!(!encoded.contains(&b'\''));
    let mut script = Vec::new();
    let mut rest = encoded;
    while let Some((byte, after)) = rest.split_first() {
        rest = after;
        if *byte == b'\\' {
            let (octal, after) = after.split_at(4);
            let octal = str::from_utf8(octal).expect("digits");
            script.push(u8::from_str_radix(octal, 8).expect("a byte in octal"));
            rest = after;
        } else {
            script.push(*byte);
        }
    }
    script
}
