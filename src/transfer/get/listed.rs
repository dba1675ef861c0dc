//! What a host says is in a folder, checked before anything of it is believed.
//!
//! A list of a host comes in; paths that stay where they belong go out, each once and after the
//! folder it is in, and a line for each that was refused. A host can't make hoist write anywhere
//! else, whatever it lists.

use std::collections::HashSet;
use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use crate::outcome::Kind;
use crate::transfer::{Found, Trouble};
use crate::transport::files::FileKind;

/// Most files, folders and links of one host.
pub(super) const MAX_ENTRIES: usize = 1_000_000;
/// Most folders within each other.
const MAX_DEPTH: usize = 500;
/// Longest name that a file can have here.
const MAX_NAME_BYTES: usize = 255;

/// What is kept of a list.
#[derive(Debug, Default)]
pub(super) struct Listed {
    /// Below the folder, parents first.
    pub entries: Vec<(PathBuf, Found)>,
    /// Devices, sockets and pipes.
    pub left_out: Vec<PathBuf>,
    /// What was refused, and why.
    pub refused: Vec<(PathBuf, &'static str)>,
}

impl Listed {
    /// Checks a list of what is below `folder`.
    pub(super) fn check(folder: &Path, mut list: Vec<(PathBuf, Found)>) -> Self {
        // Folders come before what is in them, and neighbours one after the other.
        list.sort_by(|(one, _), (other, _)| one.cmp(other));
        let mut listed = Self::default();
        let mut folders: HashSet<PathBuf> = HashSet::from([PathBuf::new()]);
        let mut seen: HashSet<PathBuf> = HashSet::new();
        for (path, found) in list {
            let Some(path) = below(folder, &path) else {
                listed
                    .refused
                    .push((path, "not in the folder that was listed"));
                continue;
            };
            let parent = path.parent().unwrap_or(Path::new(""));
            let why = if !is_path(&path) {
                Some("no path that can be kept")
            } else if !folders.contains(parent) {
                Some("in no folder that was listed")
            } else if seen.contains(&path) {
                Some("listed twice")
            } else if found.kind == FileKind::Link
                && !found
                    .target
                    .as_deref()
                    .is_some_and(|target| stays_within(&path, target))
            {
                Some("a link that leads out of what is fetched")
            } else {
                None
            };
            if let Some(why) = why {
                listed.refused.push((path, why));
                continue;
            }
            seen.insert(path.clone());
            match found.kind {
                FileKind::Other => listed.left_out.push(path),
                FileKind::Folder => {
                    folders.insert(path.clone());
                    listed.entries.push((path, found));
                }
                FileKind::File | FileKind::Link => listed.entries.push((path, found)),
            }
        }
        listed
    }
}

/// Whether something can be called that, within a folder.
pub(super) fn is_name(name: &OsStr) -> bool {
    let name = name.as_bytes();
    let is_plain = !name.contains(&b'/') && !name.contains(&0);
    is_plain && !name.is_empty() && name != b"." && name != b".." && name.len() <= MAX_NAME_BYTES
}

/// Returns the rest of `path`, byte for byte.
fn below(folder: &Path, path: &Path) -> Option<PathBuf> {
    let path = path.as_os_str().as_bytes();
    let rest = path.strip_prefix(folder.as_os_str().as_bytes())?;
    let rest = match rest {
        [b'/', rest @ ..] => rest,
        rest if folder.as_os_str().as_bytes().ends_with(b"/") => rest,
        _ => return None,
    };
    Some(PathBuf::from(OsStr::from_bytes(rest)))
}

fn is_path(path: &Path) -> bool {
    let mut parts = path.as_os_str().as_bytes().split(|byte| *byte == b'/');
    parts.clone().count() <= MAX_DEPTH && parts.all(|part| is_name(OsStr::from_bytes(part)))
}

/// Whether a link at `path` leads to something in the folder that `path` is relative to. Going up
/// comes first or not at all: behind another link, `..` is elsewhere than it seems.
fn stays_within(path: &Path, target: &Path) -> bool {
    let target = target.as_os_str().as_bytes();
    if target.is_empty() || target.starts_with(b"/") || target.contains(&0) {
        return false;
    }
    let mut depth = path.components().count() - 1;
    let mut goes_down = false;
    for part in target.split(|byte| *byte == b'/') {
        match part {
            b"" | b"." => {}
            b".." if goes_down || depth == 0 => return false,
            b".." => depth -= 1,
            _ => goes_down = true,
        }
    }
    true
}

/// Whether it is about one path, so that the others can be fetched all the same.
pub(super) fn is_of_the_path(trouble: &Trouble) -> bool {
    trouble.kind == Kind::Transfer
}

#[cfg(test)]
mod tests {
    use std::ffi::OsString;
    use std::os::unix::ffi::OsStringExt;

    use proptest::prelude::*;

    use super::*;

    fn found(kind: FileKind) -> Found {
        Found {
            kind,
            size: 0,
            mode: 0o644,
            modified: None,
            owner: None,
            target: None,
        }
    }

    fn entry(path: &str, kind: FileKind) -> (PathBuf, Found) {
        (PathBuf::from(format!("top/{path}")), found(kind))
    }

    fn link(path: &str, target: &str) -> (PathBuf, Found) {
        let target = Some(PathBuf::from(target));
        let found = Found {
            target,
            ..found(FileKind::Link)
        };
        (PathBuf::from(format!("top/{path}")), found)
    }

    fn refused(list: Vec<(PathBuf, Found)>) -> Vec<String> {
        let listed = Listed::check(Path::new("top"), list);
        let refused = listed.refused.iter();
        let mut refused: Vec<_> = refused
            .map(|(path, _)| path.display().to_string())
            .collect();
        refused.sort();
        refused
    }

    #[test]
    fn what_does_not_stay_in_its_folder_is_refused() {
        let long = "n".repeat(256);
        let evil = [
            "../evil",
            "/abs",
            "a//b",
            "",
            ".",
            "..",
            "a/../b",
            "a/./b",
            "a/",
            "nul\0",
            &long,
            "elsewhere/x",
            "file/x",
            "link/x",
        ];
        let mut list = vec![
            entry("a", FileKind::Folder),
            entry("file", FileKind::File),
            link("link", "a"),
        ];
        list.extend(evil.map(|path| entry(path, FileKind::File)));
        list.push(entry("a/good", FileKind::File));
        list.push(entry("file", FileKind::File));
        let mut expected = evil.map(str::to_owned).to_vec();
        expected.push("file".to_owned());
        expected.sort();
        assert_eq!(refused(list), expected);
        let deep = "d/".repeat(600) + "x";
        assert_eq!(refused(vec![entry(&deep, FileKind::File)]).len(), 1);
    }

    #[test]
    fn links_may_lead_to_what_is_fetched_alone() {
        let folders = || [entry("a", FileKind::Folder), entry("a/b", FileKind::Folder)];
        for target in ["x", "../x", "../../x", ".", "../..", "./x/y", "nowhere"] {
            let list = folders().into_iter().chain([link("a/b/l", target)]);
            assert!(refused(list.collect()).is_empty(), "{target}");
        }
        for target in [
            "/etc/passwd",
            "../../../x",
            "",
            "x/../../y",
            "../x/..",
            "x\0",
        ] {
            let list = folders().into_iter().chain([link("a/b/l", target)]);
            assert_eq!(refused(list.collect()).len(), 1, "{target}");
        }
    }

    #[test]
    fn devices_are_left_out() {
        let listed = Listed::check(Path::new("top"), vec![entry("null", FileKind::Other)]);
        assert_eq!(listed.left_out, [PathBuf::from("null")]);
        assert!(listed.entries.is_empty() && listed.refused.is_empty());
    }

    proptest! {
        #[test]
        fn nothing_that_is_kept_leads_out(
            paths in proptest::collection::vec("[./a\\x00]{0,6}", 1..8),
        ) {
            let list = paths.iter().map(|path| entry(path, FileKind::Folder)).collect();
            for (path, _) in Listed::check(Path::new("top"), list).entries {
                let bytes = path.into_os_string().into_vec();
                let parts = bytes.split(|byte| *byte == b'/');
                for part in parts {
                    let name = OsString::from_vec(part.to_vec());
                    prop_assert!(is_name(&name), "{name:?}");
                }
            }
        }

    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]

        /// Follows links as the kernel does, among links that were all let through.
        #[test]
        fn no_chain_of_links_leads_out(
            links in proptest::collection::vec(("[ab](/[ab]){0,3}", "[./ab]{1,9}"), 1..6),
        ) {
            let outer = tempfile::tempdir().unwrap();
            let top = outer.path().join("one/two/top");
            std::fs::create_dir_all(&top).unwrap();
            let mut list = Vec::new();
            for (path, target) in &links {
                let mut at = PathBuf::new();
                let parts: Vec<&str> = path.split('/').collect();
                for part in &parts[..parts.len() - 1] {
                    at.push(part);
                    list.push((Path::new("top").join(&at), found(FileKind::Folder)));
                }
                list.push(link(path, target));
            }
            for (path, found) in Listed::check(Path::new("top"), list).entries {
                match &found.target {
                    Some(target) => std::os::unix::fs::symlink(target, top.join(path)).unwrap(),
                    None => std::fs::create_dir(top.join(path)).unwrap(),
                }
            }
            let real_top = top.canonicalize().unwrap();
            for (path, _) in &links {
                if let Ok(real) = top.join(path).canonicalize() {
                    prop_assert!(real.starts_with(&real_top), "{path} is {}", real.display());
                }
            }
        }
    }
}
