//! Changes as the script for them takes them: an archive of a control file and contents, and arguments.
//!
//! Everything has a number, from [`FIRST`] on. The control file says what each content has to be, what
//! is done in which order, how that is undone, and the words that are executed afterwards.

use std::collections::HashSet;
use std::ffi::OsString;
use std::fmt::Write;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::SystemTime;

use jiff::Timestamp;

use super::archive::{Archive, Header, body};
use super::lines::{encode, plain};
use super::look::as_ls;
use super::settled::{End, Settled, Undone};
use super::words;
use crate::outcome::Kind;
use crate::remote::Content;
use crate::transfer::{Change, Changes, Found, Gauge, Trouble, What, shown};
use crate::transport::files::{FileKind, Wanted};
use crate::tree::Node;

/// The control file's number. All have as many digits.
const CONTROL: usize = 1_000_000;
/// The first change's number.
const FIRST: usize = CONTROL + 1;
/// Permissions of a file that nobody described.
const FILE_MODE: u32 = 0o644;
/// Permissions of a folder that nobody described.
const FOLDER_MODE: u32 = 0o755;

/// What is sent for changes.
#[derive(Debug, Default)]
pub(super) struct Plan {
    control: Vec<u8>,
    contents: Vec<Stored>,
    /// Where what is kept meanwhile has its place.
    place: PathBuf,
    owner: OsString,
    kept: OsString,
    /// Whether tar leaves the times alone.
    has_times: bool,
    /// The changes that steps after the last belong to.
    after: Vec<usize>,
}

/// A file's content, and what it has.
#[derive(Debug)]
struct Stored {
    name: String,
    node: Arc<Node>,
    mode: u32,
    owner: Option<(u32, u32)>,
    modified: Option<u64>,
}

impl Plan {
    /// Returns the plan of changes; who gets rights for them lets replaced files have their owners.
    pub(super) fn of(changes: &Changes<'_>, is_elevated: bool) -> Self {
        let keeps_owner = is_elevated && changes.owner.is_none();
        let mut plan = Self {
            place: staging(&changes.list),
            owner: changes.owner.unwrap_or_default().into(),
            kept: kept(changes),
            ..Self::default()
        };
        for (index, change) in changes.list.iter().enumerate() {
            if let What::Store(node, wanted) = &change.what {
                let stored = Stored::of(index, node, *wanted, change.old.as_ref(), keeps_owner);
                plan.contents.push(stored);
            }
        }
        plan.has_times = plan.contents.iter().any(|stored| stored.modified.is_some());
        plan.write(changes);
        plan
    }

    fn write(&mut self, changes: &Changes<'_>) {
        for stored in &self.contents {
            stored.describe(&mut self.control);
        }
        for (index, change) in changes.list.iter().enumerate() {
            self.step(index, change, changes.owner.is_some());
        }
        self.finish_folders(&changes.list);
        for (index, change) in changes.list.iter().enumerate().rev() {
            undo_line(index, change, &mut self.control);
        }
        for (mark, command) in [("c ", changes.check), ("t ", changes.then)] {
            for word in command.unwrap_or_default() {
                self.control.extend_from_slice(mark.as_bytes());
                encode(word.as_bytes(), &mut self.control);
                self.control.push(b'\n');
            }
        }
        self.control.extend_from_slice(b"end\n");
    }

    /// Writes how a change is made.
    fn step(&mut self, index: usize, change: &Change, has_owner: bool) {
        let old = change.old.as_ref();
        let (op, mode, time) = match &change.what {
            What::Store(_, wanted) => ('f', None, self.file_time(wanted.modified)),
            What::MakeFolder(wanted) => {
                let mode = wanted.mode.unwrap_or(FOLDER_MODE);
                // What comes into it needs a way in.
                ('m', Some(mode | 0o700), "-".to_owned())
            }
            What::MakeLink(_) => ('l', None, "-".to_owned()),
            What::Set(wanted) if !is_link(old) => {
                let mode = wanted
                    .mode
                    .or(old.filter(|_| has_owner).map(|old| old.mode));
                ('s', mode, stamp(wanted.modified))
            }
            // Another owner takes the right to run as the owner away.
            What::SetOwner if !is_link(old) => {
                let special = old.map(|old| old.mode).filter(|mode| mode & 0o6000 != 0);
                ('s', special, "-".to_owned())
            }
            What::Set(_) | What::SetOwner => ('s', None, "-".to_owned()),
            What::Remove => ('r', None, "-".to_owned()),
            What::RemoveFolder => ('R', None, "-".to_owned()),
        };
        let target = match &change.what {
            What::MakeLink(target) => Some(target.as_path()),
            _ => None,
        };
        let facts = format!("d {op} {} {} {time} ", FIRST + index, digits(mode));
        line(&facts, &change.path, target, &mut self.control);
    }

    /// Writes what folders get when all is in them, the innermost first.
    fn finish_folders(&mut self, list: &[Change]) {
        for (index, change) in list.iter().enumerate().rev() {
            let What::MakeFolder(wanted) = &change.what else {
                continue;
            };
            let mode = wanted.mode.unwrap_or(FOLDER_MODE);
            if mode & 0o700 == 0o700 && wanted.modified.is_none() {
                continue;
            }
            let number = FIRST + list.len() + self.after.len();
            self.after.push(index);
            let (mode, time) = (digits(Some(mode)), stamp(wanted.modified));
            let facts = format!("d a {number} {mode} {time} ");
            line(&facts, &change.path, None, &mut self.control);
        }
    }

    /// Returns the time a file is given where tar doesn't do that.
    fn file_time(&self, modified: Option<u64>) -> String {
        if self.has_times && modified.is_none() {
            "now".to_owned()
        } else {
            stamp(modified)
        }
    }

    /// Returns what is sent.
    pub(super) fn archive(&self, gauge: Arc<Gauge>) -> Archive {
        let mut archive = Archive::new(gauge);
        let now = SystemTime::UNIX_EPOCH.elapsed();
        let now = now.map_or(0, |since| since.as_secs());
        let control = Header {
            name: &CONTROL.to_string(),
            mode: 0o600,
            owner: (0, 0),
            modified: now,
        };
        archive.add_bytes(&control, &self.control);
        for stored in &self.contents {
            let header = Header {
                name: &stored.name,
                mode: stored.mode,
                owner: stored.owner.unwrap_or((0, 0)),
                modified: stored.modified.unwrap_or(now),
            };
            archive.add_file(&header, &stored.node);
        }
        archive.end();
        archive
    }

    /// Returns the script's arguments.
    pub(super) fn arguments(&self) -> [OsString; 9] {
        let mut place = plain(&self.place).into_os_string();
        if place == "./." {
            place = "./".into();
        } else if place != "/" {
            place.push("/");
        }
        let first = self.contents.first();
        [
            format!(".hoist-{:016x}", fastrand::u64(..)).into(),
            place,
            if self.has_times { "xpf" } else { "xpmf" }.into(),
            self.contents.len().to_string().into(),
            self.control.len().to_string().into(),
            first.map_or("-", |stored| stored.name.as_str()).into(),
            first.map_or(0, Stored::size).to_string().into(),
            self.owner.clone(),
            self.kept.clone(),
        ]
    }

    /// Returns what the end of the changes means.
    pub(super) fn told(&self, changes: &Changes<'_>, settled: &Settled<'_>) -> Result<(), Trouble> {
        let said = words(settled.said);
        let place = shown(&self.place);
        let nothing = "nothing was changed";
        let message = match settled.end {
            End::Ok => return Ok(()),
            End::Staging => format!("cannot make a folder for staging in {place}: {said}"),
            End::Tar(_) => {
                // GNU tar doesn't say why when only a part of a file has room.
                let hint = if said.contains("Wrote only") {
                    "; is the disk full?"
                } else {
                    ""
                };
                format!("the host's `tar` can't write in {place}: {said}{hint}")
            }
            End::NoTar => format!(
                "the host has no `tar`, and without it only one file can be put there; {nothing}"
            ),
            End::Write => format!("cannot write in {place}: {said}"),
            End::Short => format!("not all of the files arrived; {nothing}"),
            End::Owner => format!("cannot set the owner: {said}"),
            End::Mode => format!("cannot set permissions or owner in {place}: {said}"),
            End::Failed(number) => self.failed(changes, number, settled.undone, &said),
            End::Stopped => {
                let state = self.state(changes, settled.undone);
                let message = format!("stopped before all was done{state}");
                return Err(Trouble::new(Kind::Cancelled, message));
            }
            End::Check(status) => {
                let state = self.state(changes, settled.undone);
                format!("the check ended with {}{state}", ended(status))
            }
            End::Then(status, again) => {
                let state = self.state(changes, settled.undone);
                let again = match again {
                    0 => "it was executed once more, which worked".to_owned(),
                    again => format!("executed once more, it ended with {}", ended(again)),
                };
                let status = ended(status);
                format!("the command after the change ended with {status}{state}; {again}")
            }
        };
        let is_output = matches!(settled.end, End::Check(_) | End::Then(..));
        let kind = if is_output && settled.undone == Undone::All {
            Kind::Check
        } else {
            Kind::Transfer
        };
        let output = if is_output { settled.said } else { b"" };
        Err(Trouble {
            kind,
            message,
            output: output.to_vec(),
        })
    }

    fn failed(&self, changes: &Changes<'_>, number: u32, undone: Undone, said: &str) -> String {
        let Some((index, change)) = self.change(changes, number) else {
            return format!("the host could not make a change: {said}");
        };
        let what = match change.what {
            What::Store(..) => "put into its place",
            What::MakeFolder(_) => "make the folder",
            What::MakeLink(_) => "make the link",
            What::Set(_) => "change the permissions of",
            What::SetOwner => "change the owner of",
            What::Remove => "remove",
            What::RemoveFolder => "remove the folder",
        };
        let state = match undone {
            Undone::Not if index > 0 => "; what came before it is done".to_owned(),
            undone => self.state(changes, undone),
        };
        format!("cannot {what} {}{state}: {said}", shown(&change.path))
    }

    /// Returns how much of it is undone, as the rest of a sentence.
    fn state(&self, changes: &Changes<'_>, undone: Undone) -> String {
        match undone {
            Undone::Not => String::new(),
            Undone::All => "; what was there before is back".to_owned(),
            Undone::Without(number) => match self.change(changes, number) {
                Some((_, change)) => format!("; {} could not be put back", shown(&change.path)),
                None => "; not all could be put back".to_owned(),
            },
        }
    }

    fn change<'a>(&self, changes: &'a Changes<'_>, number: u32) -> Option<(usize, &'a Change)> {
        let index = usize::try_from(number).ok()?.checked_sub(FIRST)?;
        let after = index.checked_sub(changes.list.len());
        let index = match after {
            Some(after) => *self.after.get(after)?,
            None => index,
        };
        Some((index, changes.list.get(index)?))
    }
}

impl Stored {
    fn of(
        index: usize,
        node: &Arc<Node>,
        wanted: Wanted,
        old: Option<&Found>,
        keeps_owner: bool,
    ) -> Self {
        let old = old.filter(|old| old.kind == FileKind::File);
        let mode = wanted.mode.or(old.map(|old| old.mode));
        Self {
            name: (FIRST + index).to_string(),
            node: Arc::clone(node),
            mode: mode.unwrap_or(FILE_MODE),
            owner: old.filter(|_| keeps_owner).and_then(|old| old.owner),
            modified: wanted.modified,
        }
    }

    fn size(&self) -> u64 {
        body(&self.node).map_or(0, Content::length)
    }

    fn describe(&self, control: &mut Vec<u8>) {
        let (size, mode, name) = (self.size(), self.mode, &self.name);
        let owner = self.owner.map(|(user, group)| format!("{user} {group}"));
        let owner = owner.as_deref().unwrap_or("- -");
        let line = format!("f {size} {} {mode:o} {owner} {name}\n", as_ls(mode));
        control.extend_from_slice(line.as_bytes());
    }
}

/// Returns how a command ended, as shells tell it.
fn ended(status: u32) -> String {
    match status {
        257.. => format!("signal {}", status - 256),
        status => format!("exit status {status}"),
    }
}

/// Writes how a change is undone.
fn undo_line(index: usize, change: &Change, control: &mut Vec<u8>) {
    let op = match &change.what {
        What::Store(..) => 'f',
        What::MakeFolder(_) => 'm',
        What::MakeLink(_) => 'l',
        What::Set(wanted) if wanted.modified.is_some() => 'S',
        What::Set(_) | What::SetOwner => 's',
        What::Remove => 'r',
        What::RemoveFolder => 'R',
    };
    let old = change.old.as_ref();
    let mode = digits(old.filter(|_| !is_link(old)).map(|old| old.mode));
    let owner = old.and_then(|old| old.owner);
    let owner = owner.map_or_else(|| "-".to_owned(), |(user, group)| format!("{user}:{group}"));
    let facts = format!("u {op} {} {mode} {owner} ", FIRST + index);
    line(&facts, &change.path, None, control);
}

fn is_link(old: Option<&Found>) -> bool {
    old.is_some_and(|old| old.kind == FileKind::Link)
}

fn line(facts: &str, path: &Path, target: Option<&Path>, control: &mut Vec<u8>) {
    control.extend_from_slice(facts.as_bytes());
    encode(plain(path).as_os_str().as_bytes(), control);
    if let Some(target) = target {
        control.push(b' ');
        encode(target.as_os_str().as_bytes(), control);
    }
    control.push(b'\n');
}

fn digits(mode: Option<u32>) -> String {
    mode.map_or_else(|| "-".to_owned(), |mode| format!("{mode:04o}"))
}

/// Returns a time as `touch -t` takes it.
fn stamp(modified: Option<u64>) -> String {
    let seconds = modified.and_then(|seconds| i64::try_from(seconds).ok());
    let time = seconds.and_then(|seconds| Timestamp::from_second(seconds).ok());
    time.map_or_else(
        || "-".to_owned(),
        |time| time.strftime("%Y%m%d%H%M.%S").to_string(),
    )
}

fn kept(changes: &Changes<'_>) -> OsString {
    let mut kept = String::from("-");
    let (check, then) = (changes.check.is_some(), changes.then.is_some());
    for (letter, is_so) in [
        ('k', check || then),
        ('b', changes.backs_up),
        ('c', check),
        ('t', then),
    ] {
        if is_so {
            let _ = kept.write_char(letter);
        }
    }
    kept.into()
}

/// Returns the folder that is there before and after, where most will be put: the first file's.
fn staging(list: &[Change]) -> PathBuf {
    let comes_or_goes: HashSet<&Path> = list
        .iter()
        .filter(|change| matches!(change.what, What::MakeFolder(_) | What::RemoveFolder))
        .map(|change| change.path.as_path())
        .collect();
    let is_file = |change: &&Change| matches!(change.what, What::Store(..));
    let Some(first) = list.iter().find(is_file).or(list.first()) else {
        return PathBuf::from("/tmp");
    };
    let mut folders = first.path.ancestors().skip(1);
    let own = folders.find(|folder| !comes_or_goes.contains(folder));
    own.map_or_else(
        || {
            let is_absolute = first.path.is_absolute();
            PathBuf::from(if is_absolute { "/" } else { "." })
        },
        Path::to_owned,
    )
}
