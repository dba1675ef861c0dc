//! What scripts found in a host's file system, read strictly: the host may answer anything.

use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use std::path::{Component, Path, PathBuf};

use super::lines::{self, Answer, number};
use crate::transfer::Found;
use crate::transport::files::FileKind;

/// What is at a path.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Seen {
    Nothing,
    /// A folder on the way can't be searched.
    Hidden,
    Something(Found),
}

/// Reads the answers for `count` paths.
pub(super) fn seen(stdout: &[u8], count: usize) -> Option<Vec<Seen>> {
    let mut answer = Answer(stdout);
    let mut all = Vec::new();
    while all.len() < count {
        all.push(one(&mut answer)?);
    }
    answer.is_over().then_some(all)
}

fn one(answer: &mut Answer<'_>) -> Option<Seen> {
    let mut line = answer.line()?;
    let mut target = None;
    if line == "L" {
        let said = answer.until(0)?;
        target = lines::path(said.strip_suffix(b"\n").unwrap_or(said));
        line = answer.line()?;
    }
    let words: Vec<&str> = line.split(' ').collect();
    let mut found = match *words.as_slice() {
        ["n"] => return Some(Seen::Nothing),
        ["!"] => return Some(Seen::Hidden),
        ["s", raw, user, group, size, time] => {
            let raw = u32::from_str_radix(raw, 16).ok()?;
            let kind = match raw >> 12 {
                0o10 => FileKind::File,
                0o04 => FileKind::Folder,
                0o12 => FileKind::Link,
                _ => FileKind::Other,
            };
            facts(kind, raw & 0o7777, [user, group], size, Some(time))?
        }
        ["l", mode, user, group, size] => {
            let (kind, mode) = from_ls(mode)?;
            // A device has two numbers instead.
            let size = size.strip_suffix(',').map_or(size, |_| "0");
            facts(kind, mode, [user, group], size, None)?
        }
        _ => return None,
    };
    if found.kind == FileKind::Link {
        found.target = target;
    }
    Some(Seen::Something(found))
}

fn facts(
    kind: FileKind,
    mode: u32,
    [user, group]: [&str; 2],
    size: &str,
    time: Option<&str>,
) -> Option<Found> {
    let modified = match time {
        Some(time) => Some(seconds(time)?),
        None => None,
    };
    Some(Found {
        kind,
        size: number(size)?,
        mode,
        modified,
        owner: Some((number(user)?, number(group)?)),
        target: None,
    })
}

/// Reads a time; what was before 1970 is 1970.
fn seconds(time: &str) -> Option<u64> {
    let whole = time.split_once('.').map_or(time, |(whole, _)| whole);
    match whole.strip_prefix('-') {
        Some(before) => number::<u64>(before).map(|_| 0),
        None => number(whole),
    }
}

/// Reads a mode as `ls` shows it: `drwxr-sr-t`, and perhaps one more character.
fn from_ls(text: &str) -> Option<(FileKind, u32)> {
    let text = text.as_bytes();
    let (kind, bits) = text.get(..10)?.split_first()?;
    let kind = match kind {
        b'-' => FileKind::File,
        b'd' => FileKind::Folder,
        b'l' => FileKind::Link,
        b'b' | b'c' | b'p' | b's' => FileKind::Other,
        _ => return None,
    };
    let mut mode = 0;
    for (index, bit) in bits.iter().enumerate() {
        let own = 0o400 >> index;
        let special = 0o4000 >> (index / 3);
        mode |= match (index % 3, bit) {
            (_, b'-') => 0,
            (0, b'r') | (1, b'w') | (2, b'x') => own,
            (2, b's') if index < 8 => own | special,
            (2, b'S') if index < 8 => special,
            (2, b't') if index == 8 => own | special,
            (2, b'T') if index == 8 => special,
            _ => return None,
        };
    }
    Some((kind, mode))
}

/// Returns a mode as `ls` shows that of a file.
pub(super) fn as_ls(mode: u32) -> String {
    let mut text = String::from("-");
    for class in 0..3 {
        let bits = mode >> (6 - 3 * class);
        let is_special = mode & (0o4000 >> class) != 0;
        text.push(if bits & 4 == 0 { '-' } else { 'r' });
        text.push(if bits & 2 == 0 { '-' } else { 'w' });
        text.push(match (bits & 1 != 0, is_special, class) {
            (false, false, _) => '-',
            (true, false, _) => 'x',
            (true, true, 2) => 't',
            (false, true, 2) => 'T',
            (true, true, _) => 's',
            (false, true, _) => 'S',
        });
    }
    text
}

/// What was listed below a folder.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Listed {
    /// With all that is to be known.
    Whole(Vec<(PathBuf, Found)>),
    /// Paths alone.
    Paths(Vec<PathBuf>),
}

/// Reads what is below a folder, at most so many entries. Paths begin there, and none leads out.
pub(super) fn listed(stdout: &[u8], most: usize) -> Option<Listed> {
    let (form, rest) = stdout.split_first()?;
    let mut answer = Answer(rest);
    let mut whole = Vec::new();
    let mut paths = Vec::new();
    while !answer.is_over() {
        let facts = match form {
            b'P' => Some(printed(&mut answer)?),
            b'N' => None,
            _ => return None,
        };
        let bytes = answer.until(0)?;
        if bytes == b"." {
            continue;
        }
        let path = inner(bytes)?;
        match facts {
            Some(found) => whole.push((path, found)),
            None => paths.push(path),
        }
        if whole.len() + paths.len() > most {
            return None;
        }
    }
    Some(match form {
        b'P' => Listed::Whole(whole),
        _ => Listed::Paths(paths),
    })
}

fn printed(answer: &mut Answer<'_>) -> Option<Found> {
    let words: Vec<&str> = answer.line()?.split(' ').collect();
    let &[kind, mode, user, group, size, time] = words.as_slice() else {
        return None;
    };
    let kind = match kind {
        "f" => FileKind::File,
        "d" => FileKind::Folder,
        "l" => FileKind::Link,
        _ => FileKind::Other,
    };
    let mode = u32::from_str_radix(mode, 8).ok().filter(|m| *m <= 0o7777)?;
    let mut found = facts(kind, mode, [user, group], size, Some(time))?;
    let target = answer.until(0)?;
    if kind == FileKind::Link {
        found.target = lines::path(target);
    }
    Some(found)
}

/// Reads `./a/b`: names only.
fn inner(bytes: &[u8]) -> Option<PathBuf> {
    let rest = Path::new(OsStr::from_bytes(bytes.strip_prefix(b"./")?));
    let mut parts = rest.components();
    let is_inner =
        !rest.as_os_str().is_empty() && parts.all(|part| matches!(part, Component::Normal(_)));
    is_inner.then(|| rest.components().collect())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn found(kind: FileKind, mode: u32, size: u64, modified: Option<u64>) -> Found {
        Found {
            kind,
            size,
            mode,
            modified,
            owner: Some((0, 7)),
            target: None,
        }
    }

    #[test]
    fn every_form_of_answer_is_read() {
        let text =
            b"s 81a4 0 7 12 1700000000\nn\nL\na\nb\n\0s a1ff 0 7 3 -5\n!\nl drwxr-sr-t+ 0 7 40\n\
                     l crw-rw---- 0 7 5,\n";
        let all = seen(text, 6).unwrap();
        let link = Found {
            target: Some("a\nb".into()),
            ..found(FileKind::Link, 0o777, 3, Some(0))
        };
        let expected = [
            Seen::Something(found(FileKind::File, 0o644, 12, Some(1_700_000_000))),
            Seen::Nothing,
            Seen::Something(link),
            Seen::Hidden,
            Seen::Something(found(FileKind::Folder, 0o3755, 40, None)),
            Seen::Something(found(FileKind::Other, 0o660, 0, None)),
        ];
        assert_eq!(all, expected);
        for count in [0, 5, 7] {
            assert_eq!(seen(text, count), None, "{count}");
        }
    }

    #[test]
    fn paths_that_lead_out_are_refused() {
        let path = |bytes: &[u8]| listed(&[b"N", bytes, b"\0"].concat(), 9);
        let ok = Listed::Paths(vec!["a/b".into()]);
        assert_eq!(path(b"./a/b"), Some(ok));
        assert_eq!(path(b"."), Some(Listed::Paths(Vec::new())));
        for bad in [&b"./../a"[..], b"/a", b"a", b"./", b"", b"./a/../../b"] {
            assert_eq!(path(bad), None, "{bad:?}");
        }
        assert_eq!(listed(b"N./a\0./b\0", 1), None);
        assert_eq!(listed(b"", 1), None);
    }

    proptest! {
        #[test]
        fn a_mode_is_read_as_it_is_shown(mode in 0..=0o7777_u32) {
            prop_assert_eq!(from_ls(&as_ls(mode)), Some((FileKind::File, mode)));
        }

        #[test]
        fn any_answer_is_read_or_refused(
            text in "([PNLsln!-]|[-rwxst]{10}| [0-9a-f]{1,9}|\n|\0|\\./|\\.)*", count in 0..9_usize,
        ) {
            let all = seen(text.as_bytes(), count);
            prop_assert!(all.is_none_or(|all| all.len() == count));
            if let Some(Listed::Paths(paths)) = listed(text.as_bytes(), 9) {
                prop_assert!(paths.iter().all(|path| path.is_relative()));
            }
        }

        #[test]
        fn any_bytes_are_read_or_refused(bytes: Vec<u8>) {
            seen(&bytes, 3);
            listed(&bytes, 3);
            for form in [b'P', b'N'] {
                listed(&[&[form], &bytes[..]].concat(), 3);
            }
        }
    }
}
