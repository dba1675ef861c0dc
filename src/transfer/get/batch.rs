//! Files that are asked for at once, so that small ones share a way there and back.
//!
//! Jobs come in; files that are whole go out, with what could not be had and what has to be
//! fetched once more. Whatever ends the work in between, be it that nobody waits for it any
//! more, leaves no half files but those that the next run can go on with.

use std::path::{Path, PathBuf};

use super::Job;
use super::listed::is_of_the_path;
use crate::outcome::Kind;
use crate::transfer::keep::{Keep, KeepError, Part};
use crate::transfer::{Gauge, Site, Trouble, Way, elsewhere, shown};

/// Files on their way.
pub(super) struct Batch<'k> {
    keep: &'k mut Keep,
    from: Vec<PathBuf>,
    /// Taken out when they are settled.
    parts: Vec<Option<Part>>,
    fetched: Vec<(PathBuf, u64, String)>,
    problems: Vec<Trouble>,
    again: Vec<Job>,
    /// How much of a file is left for the next run.
    left: Vec<(PathBuf, u64, u64)>,
}

/// What became of the files.
pub(super) struct Settled {
    /// Whole files: where each is, the bytes that came, and a word about it.
    pub fetched: Vec<(PathBuf, u64, String)>,
    /// What could not be had.
    pub problems: Vec<Trouble>,
    /// What has to be fetched once more, from its start.
    pub again: Vec<Job>,
    /// What is left for the next run, as the end of a message; nothing if nothing is.
    pub left: String,
}

impl<'k> Batch<'k> {
    /// Returns one without files.
    pub(super) fn new(keep: &'k mut Keep) -> Self {
        Self {
            keep,
            from: Vec::new(),
            parts: Vec::new(),
            fetched: Vec::new(),
            problems: Vec::new(),
            again: Vec::new(),
            left: Vec::new(),
        }
    }

    /// Adds a file; what an earlier run left of it counts unless it is fetched `anew`.
    pub(super) fn add(&mut self, job: Job, anew: bool) -> Result<(), KeepError> {
        let part = Part::begin(self.keep, job.to, job.found, anew)?;
        self.parts.push(Some(part));
        self.from.push(job.from);
        Ok(())
    }

    /// Returns what to say of something that was not written.
    pub(super) fn trouble(&self, path: &Path, error: KeepError) -> Trouble {
        error.trouble(&self.keep.place(path))
    }

    /// Fetches all of them, and makes sure of those that were gone on with.
    pub(super) async fn fetch(
        &mut self,
        way: &mut dyn Way,
        site: &mut dyn Site,
        gauge: Option<&Gauge>,
    ) -> Result<(), Trouble> {
        let moved = |bytes| {
            if let Some(gauge) = gauge {
                gauge.add(bytes);
            }
        };
        let starts = self.parts.iter().flatten().map(Part::start);
        let files: Vec<_> = self.from.iter().cloned().zip(starts).collect();
        if files.is_empty() {
            return Ok(());
        }
        let mut failure = None;
        let mut sink = |index, bytes: &[u8], offset| {
            moved(bytes.len() as u64);
            self.take(index, bytes, offset).map_err(|trouble| {
                let error = std::io::Error::other(trouble.message.clone());
                failure.get_or_insert(trouble);
                error
            })
        };
        let ends = way.fetch(site, &files, &mut sink).await;
        if let Some(trouble) = failure {
            return Err(trouble);
        }
        for (index, end) in ends?.into_iter().enumerate().take(files.len()) {
            match end {
                Ok(end) => self.check_end(index, end),
                Err(trouble) if is_of_the_path(&trouble) => self.give_up(index, trouble.message),
                Err(trouble) => return Err(trouble),
            }
        }
        self.verify(way, site).await?;
        // What was only looked at here took its time as well.
        moved(0);
        self.finish_all()
    }

    /// Settles all that isn't, given what ended the work, if anything did, and returns what became
    /// of the files.
    pub(super) fn settle(mut self, why: Option<&Trouble>) -> Settled {
        self.clear(why.is_some_and(|why| why.kind == Kind::Internal));
        Settled {
            fetched: std::mem::take(&mut self.fetched),
            problems: std::mem::take(&mut self.problems),
            again: std::mem::take(&mut self.again),
            left: self.left(),
        }
    }

    fn left(&self) -> String {
        let Some((path, got, size)) = self.left.iter().max_by_key(|(_, got, _)| got) else {
            return String::new();
        };
        let others = match self.left.len() - 1 {
            0 => String::new(),
            others => format!(" and parts of {others} more"),
        };
        let path = shown(path);
        format!(
            "; {got} of {size} bytes of {path}{others} are kept: the next run goes on from there"
        )
    }

    fn take(&mut self, index: usize, bytes: &[u8], offset: u64) -> Result<(), Trouble> {
        let Some(part) = self.parts.get_mut(index).and_then(Option::as_mut) else {
            let message = "the host sent a file that was not asked for";
            return Err(Trouble::new(Kind::Transfer, message));
        };
        let taken = part.take(self.keep, bytes, offset);
        taken.map_err(|error| error.trouble(&self.keep.place(part.path())))
    }

    /// Compares where a file ended with what was told of it.
    fn check_end(&mut self, index: usize, end: u64) {
        let Some(part) = &self.parts[index] else {
            return;
        };
        let size = part.found().size;
        if end < size {
            let message = format!("it changed while it was read: {end} of {size} bytes; try again");
            self.give_up_anew(index, &message);
        } else if part.came() != end {
            self.give_up_anew(index, "not all of it came; try again");
        }
    }

    /// Gives up a file, and keeps what the next run can go on with.
    fn give_up(&mut self, index: usize, message: String) {
        if let Some(part) = self.parts[index].take() {
            self.leave(part);
            self.problems.push(Trouble::new(Kind::Transfer, message));
        }
    }

    /// Gives up a file of which nothing is worth to be kept.
    fn give_up_anew(&mut self, index: usize, message: &str) {
        if let Some(part) = self.parts[index].take() {
            let message = format!("{}: {message}", shown(&self.from[index]));
            part.discard(self.keep);
            self.problems.push(Trouble::new(Kind::Transfer, message));
        }
    }

    /// Asks the host for the hashes of files that were gone on with. A wrong one begins again.
    async fn verify(&mut self, way: &mut dyn Way, site: &mut dyn Site) -> Result<(), Trouble> {
        let parts = self.parts.iter().enumerate();
        let resumed = parts.filter(|(_, part)| part.as_ref().is_some_and(|part| part.start() > 0));
        let resumed: Vec<usize> = resumed.map(|(index, _)| index).collect();
        if resumed.is_empty() {
            return Ok(());
        }
        let paths: Vec<_> = resumed
            .iter()
            .map(|index| self.from[*index].clone())
            .collect();
        let told = match way.hashes(site, &paths).await {
            // A host that can't tell is believed.
            Err(trouble) if is_of_the_path(&trouble) => return Ok(()),
            told => told?,
        };
        for (index, told) in resumed.into_iter().zip(told) {
            let (Some(told), Some(part)) = (told, &self.parts[index]) else {
                continue;
            };
            let here = async {
                let here = part.hash().await;
                here.map_err(|error| error.trouble(&self.keep.place(part.path())))
            };
            let here = elsewhere::patiently(site, here).await?;
            if here != told
                && let Some(part) = self.parts[index].take()
            {
                let job = Job {
                    from: self.from[index].clone(),
                    to: part.path().to_owned(),
                    found: part.found().clone(),
                };
                part.discard(self.keep);
                self.again.push(job);
            }
        }
        Ok(())
    }

    /// Gives all that is left its name.
    fn finish_all(&mut self) -> Result<(), Trouble> {
        for index in 0..self.parts.len() {
            let Some(part) = self.parts[index].take() else {
                continue;
            };
            let path = part.path().to_owned();
            if let Err(error) = self.finish(part) {
                let trouble = self.trouble(&path, error);
                if !is_of_the_path(&trouble) {
                    return Err(trouble);
                }
                self.problems.push(trouble);
            }
        }
        Ok(())
    }

    fn finish(&mut self, part: Part) -> Result<(), KeepError> {
        let bytes = part.came() - part.start();
        let path = part.path().to_owned();
        let note = if part.has_grown() {
            format!(", its first {} bytes: it grew meanwhile", part.got())
        } else if part.start() > 0 {
            format!(", gone on with at byte {}", part.start())
        } else {
            String::new()
        };
        part.finish(self.keep)?;
        self.fetched.push((path, bytes, note));
        Ok(())
    }

    /// Ends all that is under way. Nothing is left of files that this machine could not write.
    fn clear(&mut self, is_own_failure: bool) {
        for index in 0..self.parts.len() {
            let Some(part) = self.parts[index].take() else {
                continue;
            };
            if part.is_whole() && part.start() == 0 {
                // There is no better news of one that can't be renamed than what ended the work.
                let _ = self.finish(part);
            } else if is_own_failure {
                part.discard(self.keep);
            } else {
                self.leave(part);
            }
        }
    }

    fn leave(&mut self, part: Part) {
        let (path, size) = (part.path().to_owned(), part.found().size);
        if let Some(got) = part.leave(self.keep) {
            self.left.push((path, got, size));
        }
    }
}

impl Drop for Batch<'_> {
    fn drop(&mut self) {
        self.clear(false);
    }
}
