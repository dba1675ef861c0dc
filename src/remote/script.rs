//! A program that is brought to the host: its bytes, what reads it there, and its arguments.
//!
//! A first line `#!…` is understood as Linux does (execve(2)), so that the program that it names can
//! be executed with the file, whatever the file system of the file allows. Nothing here reads a
//! file or knows how the bytes travel.

use std::ffi::{OsStr, OsString};
use std::fmt;
use std::io;
use std::os::unix::ffi::OsStrExt;
use std::sync::Arc;

use super::{Content, Stdin};

/// Longest name that a script keeps.
const MAX_NAME: usize = 64;

/// A NUL among so many bytes makes it a binary program.
const START_BYTES: usize = 8 * 1024;

/// A program that is brought to the host, executed, and removed.
#[derive(Clone, PartialEq, Eq)]
pub struct Script {
    name: String,
    content: Arc<[u8]>,
    interpreter: Vec<OsString>,
    arguments: Vec<OsString>,
}

impl Script {
    /// Returns a script that is called `name` on the host, or `script` where that is no plain name.
    /// It is read by the words of `interpreter`; by what its first line says where there are none.
    pub fn new(
        name: &OsStr,
        content: Arc<[u8]>,
        interpreter: Vec<OsString>,
        arguments: Vec<OsString>,
    ) -> Self {
        let name = name.to_str().filter(|name| is_plain(name));
        Self {
            name: name.unwrap_or("script").to_owned(),
            content,
            interpreter,
            arguments,
        }
    }

    /// Returns the same script with other content.
    #[must_use]
    pub fn with_content(&self, content: Arc<[u8]>) -> Self {
        Self {
            content,
            ..self.clone()
        }
    }

    /// Returns its file's name on the host: letters, digits and `._+-`, the first one not `.` or `-`.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Returns its bytes.
    pub fn content(&self) -> &Arc<[u8]> {
        &self.content
    }

    /// Returns what it is told, byte for byte.
    pub fn arguments(&self) -> &[OsString] {
        &self.arguments
    }

    /// Returns the words that read it, before its path: those that were given, those of its first
    /// line, or `sh`. Empty where it is a binary program.
    pub fn interpreter(&self) -> Vec<OsString> {
        if !self.interpreter.is_empty() {
            return self.interpreter.clone();
        }
        match first_line(&self.content) {
            Some((program, argument)) => [program]
                .into_iter()
                .chain(argument)
                .map(|word| OsStr::from_bytes(word).to_owned())
                .collect(),
            None if self.is_binary() => Vec::new(),
            None => vec!["sh".into()],
        }
    }

    /// Returns the program that `env` looks for, where the first line is `#!/usr/bin/env python3`.
    pub fn env_program(&self) -> Option<&OsStr> {
        if !self.interpreter.is_empty() {
            return None;
        }
        let (program, argument) = first_line(&self.content)?;
        if program.rsplit(|byte| *byte == b'/').next() != Some(b"env") {
            return None;
        }
        let argument = argument?;
        let word = match argument.strip_prefix(b"-S") {
            // What has quotes or variables only `env` understands.
            Some(words) if words.iter().any(|byte| b"'\"\\$=".contains(byte)) => return None,
            Some(words) => words
                .split(u8::is_ascii_whitespace)
                .find(|word| !word.is_empty())?,
            None => argument,
        };
        let is_program = !word.starts_with(b"-") && !word.contains(&b'=');
        is_program.then(|| OsStr::from_bytes(word))
    }

    fn is_binary(&self) -> bool {
        let start = &self.content[..self.content.len().min(START_BYTES)];
        start.contains(&0)
    }
}

impl fmt::Debug for Script {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Script")
            .field("name", &self.name)
            .field("bytes", &self.content.len())
            .field("interpreter", &self.interpreter)
            .field("arguments", &self.arguments)
            .finish()
    }
}

/// Whether a file may be called so anywhere, and a command line may name it.
fn is_plain(name: &str) -> bool {
    let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || b"._+-".contains(&byte);
    name.len() <= MAX_NAME
        && name.bytes().all(is_plain)
        && !name.is_empty()
        && !name.starts_with(['.', '-'])
}

/// Returns the program of a first line `#!…`, and its one argument.
fn first_line(content: &[u8]) -> Option<(&[u8], Option<&[u8]>)> {
    let rest = content.strip_prefix(b"#!")?;
    let line = rest.split(|byte| *byte == b'\n').next()?;
    let is_blank = |byte: &u8| matches!(byte, b' ' | b'\t');
    let start = line.iter().position(|byte| !is_blank(byte))?;
    let line = &line[start..];
    if line.contains(&0) {
        return None;
    }
    let end = line.iter().position(is_blank).unwrap_or(line.len());
    let (program, rest) = line.split_at(end);
    let from = rest.iter().position(|byte| !is_blank(byte));
    let to = rest.iter().rposition(|byte| !is_blank(byte));
    let argument = from.zip(to).map(|(from, to)| &rest[from..=to]);
    Some((program, argument))
}

/// A script's content, and after it what the script reads.
pub(super) struct Joined {
    content: Arc<[u8]>,
    rest: Stdin,
}

impl Joined {
    pub(super) fn new(script: &Script, rest: Stdin) -> Self {
        Self {
            content: Arc::clone(&script.content),
            rest,
        }
    }
}

impl fmt::Debug for Joined {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} bytes before {:?}", self.content.len(), self.rest)
    }
}

impl Content for Joined {
    fn length(&self) -> u64 {
        let rest = match (&self.rest, self.rest.content()) {
            (Stdin::Bytes(bytes), _) => bytes.len() as u64,
            (_, Some(content)) => content.length(),
            (_, None) => 0,
        };
        self.content.len() as u64 + rest
    }

    fn read_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<usize> {
        let length = self.content.len() as u64;
        if offset < length {
            return Ok(copy(&self.content, buffer, offset));
        }
        match (&self.rest, self.rest.content()) {
            (Stdin::Bytes(bytes), _) => Ok(copy(bytes, buffer, offset - length)),
            (_, Some(content)) => content.read_at(buffer, offset - length),
            (_, None) => Ok(0),
        }
    }
}

/// Copies what is at `offset`, as far as the buffer goes.
fn copy(bytes: &[u8], buffer: &mut [u8], offset: u64) -> usize {
    let from = usize::try_from(offset).unwrap_or(usize::MAX);
    let rest = bytes.get(from..).unwrap_or_default();
    let count = rest.len().min(buffer.len());
    buffer[..count].copy_from_slice(&rest[..count]);
    count
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn script(content: &[u8]) -> Script {
        Script::new("x.sh".as_ref(), content.into(), Vec::new(), Vec::new())
    }

    fn read_by(content: &[u8]) -> Vec<OsString> {
        script(content).interpreter()
    }

    #[test]
    fn the_first_line_is_understood_as_the_kernel_does() {
        let words = |words: &[&str]| words.iter().map(OsString::from).collect::<Vec<_>>();
        for (content, expected) in [
            ("#!/bin/sh\necho", &["/bin/sh"][..]),
            ("#!/bin/sh", &["/bin/sh"]),
            ("#! \t/bin/sh -e \t\n", &["/bin/sh", "-e"]),
            ("#!/usr/bin/env -S awk -f\n", &["/usr/bin/env", "-S awk -f"]),
            ("#!/bin/sh\r\n", &["/bin/sh\r"]),
            ("#!\necho", &["sh"]),
            ("#! \n", &["sh"]),
            ("echo", &["sh"]),
            ("", &["sh"]),
            ("\u{feff}#!/bin/sh\n", &["sh"]),
            ("\x7fELF\0", &[]),
            ("#!/bin/sh\0\n", &[]),
        ] {
            assert_eq!(read_by(content.as_bytes()), words(expected), "{content:?}");
        }
        let given = Script::new("a".as_ref(), (*b"\0").into(), words(&["x", "-u"]), vec![]);
        assert_eq!(given.interpreter(), words(&["x", "-u"]));
        assert_eq!(given.env_program(), None);
    }

    #[test]
    fn what_env_looks_for_is_known_where_it_is_plain() {
        for (line, expected) in [
            ("#!/usr/bin/env python3", Some("python3")),
            ("#!env  python3 -u", Some("python3 -u")),
            ("#!/usr/bin/env -S python3 -u", Some("python3")),
            ("#!/usr/bin/env -Spython3", Some("python3")),
            ("#!/usr/bin/env -S A=b python3", None),
            ("#!/usr/bin/env -S 'python3'", None),
            ("#!/usr/bin/env -i", None),
            ("#!/usr/bin/env", None),
            ("#!/usr/bin/python3 x", None),
            ("#!/usr/bin/notenv x", None),
        ] {
            let script = script(line.as_bytes());
            assert_eq!(script.env_program(), expected.map(OsStr::new), "{line}");
        }
    }

    #[test]
    fn a_name_that_is_not_plain_is_not_kept() {
        let long = "x".repeat(65);
        for (name, expected) in [
            ("deploy.sh", "deploy.sh"),
            ("63", "63"),
            ("a b", "script"),
            ("", "script"),
            ("..", "script"),
            ("-x", "script"),
            (".try", "script"),
            ("a/b", "script"),
            ("größe", "script"),
            (&long, "script"),
        ] {
            let script = Script::new(name.as_ref(), Arc::default(), vec![], vec![]);
            assert_eq!(script.name(), expected);
        }
    }

    proptest! {
        #[test]
        fn the_content_comes_first_and_the_rest_after_it_byte_for_byte(
            content: Vec<u8>,
            rest: Option<Vec<u8>>,
            size in 1_usize..40,
        ) {
            let stdin = rest.clone().map_or(Stdin::Empty, |rest| Stdin::Bytes(rest.into()));
            let joined = Joined::new(&script(&content), stdin);
            let mut read = Vec::new();
            let mut buffer = vec![0; size];
            loop {
                match joined.read_at(&mut buffer, read.len() as u64).unwrap() {
                    0 => break,
                    count => read.extend_from_slice(&buffer[..count]),
                }
            }
            prop_assert_eq!(joined.length(), read.len() as u64);
            prop_assert_eq!(read, [content, rest.unwrap_or_default()].concat());
        }

        #[test]
        fn no_content_makes_the_reader_panic(content: Vec<u8>, start in "#![ /env\t]{0,9}") {
            let script = script(&[start.as_bytes(), &content].concat());
            prop_assert!(script.interpreter().len() <= 2);
            script.env_program();
        }
    }
}
