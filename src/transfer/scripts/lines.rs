//! Paths and words as lines that a script reads, and what it answers, read strictly.

use std::ffi::OsString;
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::{Path, PathBuf};

/// Returns a path so that no tool takes it for an option, and without slashes at its end.
pub(super) fn plain(path: &Path) -> PathBuf {
    let bytes = path.as_os_str().as_bytes();
    let end = bytes.iter().rposition(|byte| *byte != b'/');
    let bytes = match end {
        Some(end) => &bytes[..=end],
        None if bytes.is_empty() => b".",
        None => b"/",
    };
    let here: &[u8] = match bytes {
        b"." | [b'/', ..] => b"",
        _ => b"./",
    };
    // What has no slash in it can't be cut at one.
    let bytes = if bytes == b"." { b"./." } else { bytes };
    PathBuf::from(OsString::from_vec([here, bytes].concat()))
}

/// Appends bytes with everything but printable ASCII written as `\0ooo`, as `printf %b` reads it.
/// Neither a blank nor a line break is left.
pub(super) fn encode(bytes: &[u8], line: &mut Vec<u8>) {
    for &byte in bytes {
        if byte.is_ascii_graphic() && byte != b'\\' {
            line.push(byte);
        } else {
            let digit = |shift: u8| b'0' + ((byte >> shift) & 7);
            line.extend_from_slice(&[b'\\', b'0', digit(6), digit(3), digit(0)]);
        }
    }
}

/// Returns the paths as a script reads them, a line each.
pub(super) fn of_paths<'a>(paths: impl IntoIterator<Item = &'a Path>) -> Vec<u8> {
    let mut lines = Vec::new();
    for path in paths {
        encode(plain(path).as_os_str().as_bytes(), &mut lines);
        lines.push(b'\n');
    }
    lines
}

/// What a host answered and is not read yet.
#[derive(Debug, Clone, Copy)]
pub(super) struct Answer<'a>(pub(super) &'a [u8]);

impl<'a> Answer<'a> {
    /// Takes what comes before the next `end`, which there has to be.
    pub(super) fn until(&mut self, end: u8) -> Option<&'a [u8]> {
        let at = self.0.iter().position(|byte| *byte == end)?;
        let (taken, rest) = self.0.split_at(at);
        self.0 = &rest[1..];
        Some(taken)
    }

    /// Takes a line of text.
    pub(super) fn line(&mut self) -> Option<&'a str> {
        str::from_utf8(self.until(b'\n')?).ok()
    }

    /// Whether all is read.
    pub(super) fn is_over(&self) -> bool {
        self.0.is_empty()
    }
}

/// Reads a number written with nothing but digits.
pub(super) fn number<T: std::str::FromStr>(text: &str) -> Option<T> {
    let is_plain = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    is_plain.then(|| text.parse().ok())?
}

/// Returns bytes as a path; `None` where no path can be that.
pub(super) fn path(bytes: &[u8]) -> Option<PathBuf> {
    let is_path = !bytes.is_empty() && !bytes.contains(&0);
    is_path.then(|| PathBuf::from(OsString::from_vec(bytes.to_vec())))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn no_path_is_taken_for_an_option() {
        for (path, expected) in [
            ("", "./."),
            (".", "./."),
            ("/", "/"),
            ("//", "/"),
            ("-x", "./-x"),
            ("a/b//", "./a/b"),
            ("/a b/", "/a b"),
        ] {
            assert_eq!(plain(Path::new(path)), Path::new(expected), "{path}");
        }
    }

    proptest! {
        #[test]
        fn lines_hold_neither_blanks_nor_breaks(bytes: Vec<u8>) {
            let mut line = Vec::new();
            encode(&bytes, &mut line);
            prop_assert!(line.iter().all(u8::is_ascii_graphic));
        }
    }
}
