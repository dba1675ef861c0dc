//! A host's files through scripts for its `sh`: where there is no SFTP, where other rights are needed,
//! and for changes that are checked and undone.
//!
//! Each question is one command: a fixed script with paths on its stdin. Changes go out as one archive,
//! and are made by a process that a lost link doesn't end. What a host answers is taken for nothing
//! until it is read strictly. Which way a host needs is not decided here.

use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::{Changes, Found, Gauge, Ran, Sink, Site, Trouble, Way, shown};
use crate::host::{cut, escaped};
use crate::outcome::Kind;
use crate::remote::{Command, Exec, Stdin};
use crate::transport::Work;
use crate::tree::Hash;

mod archive;
mod lines;
mod look;
mod plan;
mod settled;
#[cfg(test)]
mod tests;

use lines::{Answer, plain};
use look::{Listed, Seen};
use plan::Plan;

const SURVEY: &str = include_str!("scripts/survey.sh");
const HASHES: &str = include_str!("scripts/hashes.sh");
const REAL_PATH: &str = include_str!("scripts/real_path.sh");
const BELOW: &str = include_str!("scripts/below.sh");
const FETCH: &str = include_str!("scripts/fetch.sh");
const START: &str = include_str!("scripts/start.sh");
const APPLY: &str = include_str!("scripts/apply.sh");

/// Most entries below a folder.
const MOST_ENTRIES: usize = 1_000_000;
/// Most bytes that tell of them.
const MOST_LISTED: u64 = 256 * 1024 * 1024;
/// More than a path, or what a link says, and all that is told of it: Linux takes 4096 bytes.
const MOST_TOLD: u64 = 8 * 1024;
/// Most that is told at the end of changes: the output of a check, and a line.
const MOST_SETTLED: u64 = 128 * 1024;
/// Most characters of a host's own words that a message shows.
const MOST_WORDS: usize = 300;

/// Scripts for a host's `sh`.
#[derive(Debug)]
pub struct Scripts {
    around: Exec,
}

impl Scripts {
    /// Returns the way; `around` says what surrounds each script, its command aside.
    pub fn new(around: Exec) -> Self {
        Self { around }
    }

    /// Returns a script with its arguments, as it is executed.
    fn exec(&self, script: &str, arguments: impl IntoIterator<Item = OsString>) -> Exec {
        let words = ["sh", "-c", script, "sh"].map(OsString::from);
        let command = Command::Argv(words.into_iter().chain(arguments).collect());
        Exec {
            command,
            stdin: Stdin::Empty,
            max_output: Some(MOST_TOLD),
            ..self.around.clone()
        }
    }

    /// Returns a script that is asked about these paths.
    fn about<'a>(&self, script: &str, paths: impl Iterator<Item = &'a Path> + Clone) -> Exec {
        let most = paths.clone().count() as u64 + 1;
        Exec {
            stdin: Stdin::Bytes(lines::of_paths(paths).into()),
            max_output: Some(most.saturating_mul(MOST_TOLD)),
            ..self.exec(script, [])
        }
    }

    async fn look(&self, site: &mut dyn Site, paths: &[PathBuf]) -> Result<Vec<Seen>, Trouble> {
        let exec = self.about(SURVEY, paths.iter().map(PathBuf::as_path));
        let ran = site.run(exec).await?;
        look::seen(&ran.stdout, paths.len()).ok_or_else(|| nonsense(&ran))
    }

    async fn find(
        &self,
        site: &mut dyn Site,
        paths: &[PathBuf],
    ) -> Result<Vec<Option<Found>>, Trouble> {
        let seen = self.look(site, paths).await?;
        let found = seen.into_iter().zip(paths).map(|(seen, path)| match seen {
            Seen::Nothing => Ok(None),
            Seen::Something(found) => Ok(Some(found)),
            Seen::Hidden => Err(self.refused("look at", path, b"permission denied")),
        });
        found.collect()
    }

    /// Lists a folder, and those in it unless it is told not to.
    async fn entries(
        &self,
        site: &mut dyn Site,
        folder: &Path,
        is_flat: bool,
    ) -> Result<Vec<(PathBuf, Found)>, Trouble> {
        let paths = match self.listed(site, folder, is_flat).await? {
            Listed::Whole(all) => return Ok(all),
            Listed::Paths(paths) => paths,
        };
        let whole: Vec<PathBuf> = paths.iter().map(|path| folder.join(path)).collect();
        let found = self.find(site, &whole).await?;
        // What is gone by now is not there.
        let all = paths.into_iter().zip(found);
        Ok(all
            .filter_map(|(path, found)| Some((path, found?)))
            .collect())
    }

    async fn listed(
        &self,
        site: &mut dyn Site,
        folder: &Path,
        is_flat: bool,
    ) -> Result<Listed, Trouble> {
        let how = if is_flat { "flat" } else { "" };
        let exec = Exec {
            max_output: Some(MOST_LISTED),
            ..self.exec(BELOW, [plain(folder).into(), how.into()])
        };
        let ran = site.run(exec).await?;
        if !ran.exit.is_success() {
            return Err(self.refused("list", folder, &ran.stderr));
        }
        if ran.stdout.len() as u64 >= MOST_LISTED {
            let message = format!("there are too many files in {}", shown(folder));
            return Err(Trouble::new(Kind::Transfer, message));
        }
        look::listed(&ran.stdout, MOST_ENTRIES).ok_or_else(|| nonsense(&ran))
    }

    async fn read(
        &self,
        site: &mut dyn Site,
        (path, offset): &(PathBuf, u64),
        sink: &mut dyn FnMut(&[u8], u64) -> std::io::Result<()>,
    ) -> Result<Result<u64, Trouble>, Trouble> {
        let first = offset.saturating_add(1).to_string();
        let exec = self.exec(FETCH, [plain(path).into(), first.into()]);
        let mut end = *offset;
        let mut take = |part: &[u8]| {
            sink(part, end)?;
            end += part.len() as u64;
            Ok(())
        };
        let ran = site.stream(exec, &mut take).await?;
        Ok(if ran.exit.is_success() {
            Ok(end)
        } else {
            Err(self.refused("read", path, &ran.stderr))
        })
    }

    /// Says what the host did not do, in its own words.
    fn refused(&self, what: &str, path: &Path, said: &[u8]) -> Trouble {
        let said = words(said);
        let hint = self.hint(&said);
        let message = format!("cannot {what} {}: {said}{hint}", shown(path));
        Trouble::new(Kind::Transfer, message)
    }

    fn hint(&self, said: &str) -> &'static str {
        let is_denied = said.ends_with("ermission denied");
        if is_denied && self.around.elevation.is_none() {
            "; `--sudo` does it as root"
        } else {
            ""
        }
    }

    async fn change(
        &self,
        site: &mut dyn Site,
        changes: &Changes<'_>,
        gauge: Arc<Gauge>,
    ) -> Result<(), Trouble> {
        if changes.list.is_empty() && changes.check.is_none() && changes.then.is_none() {
            return Ok(());
        }
        let plan = Plan::of(changes, self.around.elevation.is_some());
        let archive = Arc::new(plan.archive(gauge));
        let words = [OsString::from(APPLY)].into_iter().chain(plan.arguments());
        let exec = Exec {
            stdin: Stdin::Made(Arc::clone(&archive) as _),
            max_output: Some(MOST_SETTLED),
            ..self.exec(START, words)
        };
        let ran = site.run(exec).await;
        // A host that gets less than it was told changes nothing.
        if let Some(error) = archive.failure() {
            let message = format!("cannot read what is sent: {error}; nothing was changed");
            return Err(Trouble::new(Kind::Transfer, message));
        }
        let ran = ran?;
        let settled = settled::read(&ran.stdout).ok_or_else(|| nonsense(&ran))?;
        let mut told = plan.told(changes, &settled);
        if let Err(trouble) = &mut told {
            let hint = self.hint(&trouble.message);
            trouble.message.push_str(hint);
        }
        told
    }
}

/// Returns the last line that a host wrote to stderr, fit to be shown.
fn words(said: &[u8]) -> String {
    let text = String::from_utf8_lossy(said);
    let last = text
        .lines()
        .rev()
        .map(str::trim)
        .find(|line| !line.is_empty());
    match last {
        Some(line) => cut(escaped(line), MOST_WORDS),
        None => "the host doesn't say why".to_owned(),
    }
}

/// Says that an answer is none.
fn nonsense(ran: &Ran) -> Trouble {
    let said = if ran.stderr.is_empty() {
        String::new()
    } else {
        format!("; it said `{}`", words(&ran.stderr))
    };
    let message = format!(
        "the host's `sh` gave no answer that can be understood ({}){said}",
        ran.exit
    );
    Trouble::new(Kind::Transfer, message)
}

/// Reads what was told of each file; `None` where that is no answer.
fn told_hashes(stdout: &[u8], count: usize) -> Option<Vec<Option<Hash>>> {
    if stdout == b"none\n" {
        return Some(vec![None; count]);
    }
    let mut answer = Answer(stdout);
    let mut hashes = Vec::new();
    while hashes.len() < count {
        let line = answer.until(b'\n')?;
        hashes.push(if line == b"n" {
            None
        } else {
            Some(hash(line)?)
        });
    }
    answer.is_over().then_some(hashes)
}

/// Reads the hash that a line begins with; GNU's tool puts a `\` before one with an escaped name.
fn hash(line: &[u8]) -> Option<Hash> {
    let line = line.strip_prefix(b"\\").unwrap_or(line);
    let (digits, rest) = line.split_at_checked(64)?;
    if !rest.is_empty() && rest[0] != b' ' {
        return None;
    }
    let mut hash = [0; 32];
    for (byte, pair) in hash.iter_mut().zip(digits.chunks(2)) {
        let high = char::from(pair[0]).to_digit(16)?;
        let low = char::from(pair[1]).to_digit(16)?;
        *byte = u8::try_from(high * 16 + low).ok()?;
    }
    Some(hash)
}

impl Way for Scripts {
    fn hashes<'a>(
        &'a mut self,
        site: &'a mut dyn Site,
        paths: &'a [PathBuf],
    ) -> Work<'a, Result<Vec<Option<Hash>>, Trouble>> {
        Box::pin(async move {
            if paths.is_empty() {
                return Ok(Vec::new());
            }
            let exec = self.about(HASHES, paths.iter().map(PathBuf::as_path));
            let ran = site.run(exec).await?;
            told_hashes(&ran.stdout, paths.len()).ok_or_else(|| nonsense(&ran))
        })
    }

    fn survey<'a>(
        &'a mut self,
        site: &'a mut dyn Site,
        paths: &'a [PathBuf],
    ) -> Work<'a, Result<Vec<Option<Found>>, Trouble>> {
        Box::pin(async move {
            if paths.is_empty() {
                return Ok(Vec::new());
            }
            self.find(site, paths).await
        })
    }

    fn real_path<'a>(
        &'a mut self,
        site: &'a mut dyn Site,
        path: &'a Path,
    ) -> Work<'a, Result<PathBuf, Trouble>> {
        Box::pin(async move {
            let exec = self.exec(REAL_PATH, [plain(path).into()]);
            let ran = site.run(exec).await?;
            match ran.stdout.as_slice() {
                b"n\n" => Err(self.refused("follow", path, b"nothing is there")),
                b"!\n" => Err(self.refused("follow", path, b"permission denied")),
                [b'=', real @ .., b'\n'] => lines::path(real)
                    .filter(|real| real.is_absolute())
                    .ok_or_else(|| nonsense(&ran)),
                _ => Err(nonsense(&ran)),
            }
        })
    }

    fn below<'a>(
        &'a mut self,
        site: &'a mut dyn Site,
        folder: &'a Path,
    ) -> Work<'a, Result<Vec<(PathBuf, Found)>, Trouble>> {
        Box::pin(async move {
            let all = self.entries(site, folder, false).await?.into_iter();
            Ok(all
                .map(|(path, found)| (folder.join(path), found))
                .collect())
        })
    }

    fn list<'a>(
        &'a mut self,
        site: &'a mut dyn Site,
        folder: &'a Path,
    ) -> Work<'a, Result<Vec<(OsString, Found)>, Trouble>> {
        Box::pin(async move {
            let all = self.entries(site, folder, true).await?.into_iter();
            Ok(all.map(|(path, found)| (path.into(), found)).collect())
        })
    }

    fn fetch<'a>(
        &'a mut self,
        site: &'a mut dyn Site,
        files: &'a [(PathBuf, u64)],
        sink: Sink<'a>,
    ) -> Work<'a, Result<Vec<Result<u64, Trouble>>, Trouble>> {
        Box::pin(async move {
            let mut ends = Vec::with_capacity(files.len());
            for (index, file) in files.iter().enumerate() {
                let mut own = |part: &[u8], place: u64| sink(index, part, place);
                ends.push(self.read(site, file, &mut own).await?);
            }
            Ok(ends)
        })
    }

    fn apply<'a>(
        &'a mut self,
        site: &'a mut dyn Site,
        changes: &'a Changes<'a>,
        gauge: Arc<Gauge>,
    ) -> Work<'a, Result<(), Trouble>> {
        Box::pin(self.change(site, changes, gauge))
    }
}
