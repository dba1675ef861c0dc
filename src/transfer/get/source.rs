//! What is to be fetched: words of a person, and what a host has there.
//!
//! A word comes in; what it stands for on one host goes out, links followed. Whether two of
//! them would land on the same name is known from the words as far as no glob is in them, and
//! from what is listed otherwise.

use std::collections::HashSet;
use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::{Path, PathBuf};

use super::glob::Glob;
use super::listed::{MAX_ENTRIES, is_name, is_of_the_path};
use crate::outcome::Kind;
use crate::transfer::{Found, Site, Trouble, Way, shown};
use crate::transport::files::FileKind;

/// A path on hosts, with globs or without.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Source {
    word: PathBuf,
    parts: Vec<Part>,
    is_absolute: bool,
    /// It ends with a `/`: what is in the folder is meant.
    is_contents: bool,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Part {
    Name(OsString),
    Glob(Glob),
}

/// Something that a source stands for on one host.
#[derive(Debug)]
pub(super) struct Top {
    /// As it was asked for.
    pub asked: PathBuf,
    /// Where it is read: no link, if it is a folder or a file.
    pub path: PathBuf,
    /// What it will be called; `None` for the contents of a folder.
    pub name: Option<OsString>,
    /// What it is.
    pub found: Found,
}

impl Source {
    /// Reads one word.
    ///
    /// # Errors
    /// When it is empty, or nothing can be called so.
    pub fn read(word: &OsStr) -> Result<Self, String> {
        let bytes = word.as_bytes();
        if bytes.is_empty() {
            return Err("a path on hosts is empty".to_owned());
        }
        if bytes.contains(&0) {
            return Err("a path on hosts holds a NUL".to_owned());
        }
        let parts = bytes.split(|byte| *byte == b'/');
        let parts = parts.filter(|part| !part.is_empty() && *part != b".");
        let is_absolute = bytes.starts_with(b"/");
        let mut parts: Vec<Part> = parts.map(Part::read).collect();
        // Relative paths begin in the home already.
        if !is_absolute
            && parts.first() == Some(&Part::Name("~".into()))
            && !bytes.starts_with(b".")
        {
            parts.remove(0);
        }
        Ok(Self {
            word: word.into(),
            parts,
            is_absolute,
            is_contents: bytes.ends_with(b"/"),
        })
    }

    /// Makes sure that no two of them would be called the same.
    ///
    /// # Errors
    /// When two would; the message names them.
    pub fn check(sources: &[Self]) -> Result<(), String> {
        for (index, source) in sources.iter().enumerate() {
            let Some(name) = source.name() else { continue };
            let mut earlier = sources[..index].iter();
            if let Some(other) = earlier.find(|other| other.name() == Some(name)) {
                return Err(same_name(&other.word, &source.word, name));
            }
        }
        Ok(())
    }

    /// Returns what it will be called, where the word alone tells.
    fn name(&self) -> Option<&OsStr> {
        match self.parts.last() {
            Some(Part::Name(name)) if name != ".." && !self.is_contents => Some(name),
            _ => None,
        }
    }

    /// Finds out what it stands for on a host. What can't be had is noted with `problem`.
    pub(super) async fn find(
        &self,
        way: &mut dyn Way,
        site: &mut dyn Site,
        problem: &mut dyn FnMut(String),
    ) -> Result<Vec<Top>, Trouble> {
        let mut paths = self.expand(way, site).await?;
        let mut found = way.survey(site, &paths).await?;
        if found.iter().all(Option::is_none) && self.has_glob() {
            // Something may be called just as the glob is written.
            paths = vec![self.word.clone()];
            found = way.survey(site, &paths).await?;
        }
        let mut tops = Vec::new();
        for (path, found) in paths.into_iter().zip(found) {
            let Some(found) = found else { continue };
            match self.top(way, site, path, found).await {
                Ok(top) => tops.push(top),
                Err(trouble) if is_of_the_path(&trouble) => problem(trouble.message),
                Err(trouble) => return Err(trouble),
            }
        }
        Ok(tops)
    }

    /// Returns what to say where it stands for nothing.
    pub(super) fn matches_nothing(&self) -> String {
        let what = if self.has_glob() {
            "nothing matches"
        } else {
            "no such file or folder"
        };
        format!("{}: {what}", shown(&self.word))
    }

    fn has_glob(&self) -> bool {
        let mut parts = self.parts.iter();
        parts.any(|part| matches!(part, Part::Glob(_)))
    }

    async fn top(
        &self,
        way: &mut dyn Way,
        site: &mut dyn Site,
        asked: PathBuf,
        mut found: Found,
    ) -> Result<Top, Trouble> {
        let mut path = asked.clone();
        if found.kind == FileKind::Link {
            path = way.real_path(site, &asked).await?;
            let mut behind = way.survey(site, std::slice::from_ref(&path)).await?;
            found = behind.pop().flatten().ok_or_else(|| {
                let message = format!("{}: the link leads nowhere", shown(&asked));
                Trouble::new(Kind::Transfer, message)
            })?;
        }
        let what = match found.kind {
            FileKind::Folder => None,
            FileKind::File if !self.is_contents => None,
            FileKind::File => Some("not a folder"),
            FileKind::Link | FileKind::Other => Some("neither a file nor a folder"),
        };
        if let Some(what) = what {
            let message = format!("{}: {what}", shown(&asked));
            return Err(Trouble::new(Kind::Transfer, message));
        }
        let name = if self.is_contents {
            None
        } else {
            Some(name_of(way, site, &asked).await?)
        };
        Ok(Top {
            asked,
            path,
            name,
            found,
        })
    }

    /// Returns every path that the globs stand for. What can't be listed on the way to them is
    /// passed over, as it may be no folder.
    async fn expand(
        &self,
        way: &mut dyn Way,
        site: &mut dyn Site,
    ) -> Result<Vec<PathBuf>, Trouble> {
        let start = if self.is_absolute { "/" } else { "" };
        let mut paths = vec![PathBuf::from(start)];
        let mut is_sure = true;
        for part in &self.parts {
            let mut next = Vec::new();
            for path in paths {
                let glob = match part {
                    Part::Name(name) => {
                        next.push(path.join(name));
                        continue;
                    }
                    Part::Glob(glob) => glob,
                };
                let folder = if path.as_os_str().is_empty() {
                    Path::new(".")
                } else {
                    &path
                };
                let listed = match way.list(site, folder).await {
                    Err(trouble) if !is_sure && is_of_the_path(&trouble) => continue,
                    listed => listed?,
                };
                let names = listed.into_iter().map(|(name, _)| name);
                let names = names.filter(|name| is_name(name) && glob.matches(name.as_bytes()));
                next.extend(names.map(|name| path.join(name)));
                if next.len() > MAX_ENTRIES {
                    let message = format!("{}: matches too much", shown(&self.word));
                    return Err(Trouble::new(Kind::Transfer, message));
                }
            }
            is_sure &= matches!(part, Part::Name(_));
            paths = next;
            paths.sort();
        }
        let is_home = |path: &PathBuf| path.as_os_str().is_empty();
        for path in paths.iter_mut().filter(|path| is_home(path)) {
            *path = PathBuf::from(".");
        }
        Ok(paths)
    }
}

impl Part {
    fn read(part: &[u8]) -> Self {
        match Glob::read(part) {
            Ok(glob) => Self::Glob(glob),
            Err(name) => Self::Name(OsString::from_vec(name)),
        }
    }
}

/// Makes sure that nothing in these lists is called as something in another one.
pub(super) fn check_names<'a>(
    tops: impl Iterator<Item = (&'a Path, Vec<&'a OsStr>)>,
) -> Result<(), Trouble> {
    let mut seen: HashSet<&OsStr> = HashSet::new();
    let mut earlier: Vec<(&Path, Vec<&OsStr>)> = Vec::new();
    for (asked, names) in tops {
        if let Some(name) = names.iter().find(|name| seen.contains(**name)) {
            let mut others = earlier.iter();
            let other = others.find(|(_, names)| names.contains(name));
            let other = other.map_or(asked, |(other, _)| other);
            return Err(Trouble::new(Kind::Transfer, same_name(other, asked, name)));
        }
        seen.extend(names.iter().copied());
        earlier.push((asked, names));
    }
    Ok(())
}

fn same_name(one: &Path, other: &Path, name: &OsStr) -> String {
    format!(
        "{} and {} would both be {}: fetch them into different folders",
        shown(one),
        shown(other),
        shown(Path::new(name))
    )
}

/// Returns what something is called; `.` and `..` have names of their own.
async fn name_of(way: &mut dyn Way, site: &mut dyn Site, path: &Path) -> Result<OsString, Trouble> {
    if let Some(name) = path.file_name() {
        return Ok(name.to_owned());
    }
    let real = way.real_path(site, path).await?;
    let name = real.file_name().filter(|name| is_name(name));
    name.map(OsStr::to_owned).ok_or_else(|| {
        let message = format!("{}: it has no name; end it with a `/`", shown(path));
        Trouble::new(Kind::Transfer, message)
    })
}
