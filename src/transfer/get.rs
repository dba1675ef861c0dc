//! Files and folders of a host, copied to this machine.
//!
//! Words for what is wanted and a way to a host's files come in; copies in a folder of the host's
//! own go out, and a [`Report`] of them. All is looked at before the first byte is fetched. What
//! can't be had is told, and the rest is fetched all the same; what can't be written here ends the
//! work for the host. A file that has length and time of the host's is not fetched again, and a
//! large one that was interrupted is gone on with. Nothing the host says is believed further than
//! it can do harm to its own copy: see `listed` for names and links, [`keep`](super::keep) for
//! writing.

use std::collections::HashSet;
use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::keep::{Keep, KeepError, is_same};
use super::{Found, Gauge, Report, Site, Trouble, Way, reach, shown};
use crate::host::{HostName, escaped};
use crate::outcome::Kind;
use crate::plan::Get;
use crate::remote::{Command, Exec};
use crate::transport::files::FileKind;

mod batch;
mod glob;
mod listed;
mod source;

pub use source::Source;

use batch::Batch;
use listed::{Listed, MAX_ENTRIES, is_name, is_of_the_path};
use source::Top;

/// Most files asked for at once.
const BATCH_FILES: usize = 256;
/// A further file is not asked for with others when these have so many bytes.
const BATCH_BYTES: u64 = 32 << 20;
/// Most lines about what went wrong.
const MAX_PROBLEMS: usize = 1000;

/// Fetches files from the plan's host number `index`, called `host`; tells what was done, also where not
/// all of it was.
pub async fn get(
    get: &Get,
    index: usize,
    host: &HostName,
    site: &mut dyn Site,
) -> (Report, Result<(), Trouble>) {
    let mut report = Report::default();
    let around = Exec {
        elevation: get.elevation.clone(),
        ..Exec::new(Command::Argv(Vec::new()))
    };
    let result = match reach::way(around, false, site, &mut report).await {
        Ok(mut way) => {
            let errand = Errand::new(get, &mut *way, site, &mut report);
            errand.work(index, host).await
        }
        Err(trouble) => Err(trouble),
    };
    (report, result)
}

/// A file or folder of a host with all that is in it.
struct Tree {
    top: Top,
    /// Below the top, parents first.
    entries: Vec<(PathBuf, Found)>,
}

impl Tree {
    /// Returns how much there is to fetch at most.
    fn bytes(&self) -> u64 {
        let own = std::iter::once(&self.top.found);
        let all = own.chain(self.entries.iter().map(|(_, found)| found));
        let files = all.filter(|found| found.kind == FileKind::File);
        files.fold(0, |sum, file| sum.saturating_add(file.size))
    }

    /// Returns what it puts into the host's folder itself.
    fn names(&self) -> Vec<&OsStr> {
        if let Some(name) = &self.top.name {
            return vec![name];
        }
        let paths = self.entries.iter().map(|(path, _)| path.as_path());
        let direct = paths.filter(|path| path.parent() == Some(Path::new("")));
        direct.map(Path::as_os_str).collect()
    }

    /// Returns where something of it goes.
    fn place(&self, path: &Path) -> PathBuf {
        match &self.top.name {
            Some(name) if path.as_os_str().is_empty() => name.into(),
            Some(name) => Path::new(name).join(path),
            None => path.to_owned(),
        }
    }
}

/// A file to be fetched.
struct Job {
    from: PathBuf,
    to: PathBuf,
    found: Found,
}

/// What went wrong without ending the work.
#[derive(Default)]
struct Problems {
    count: usize,
    first: Option<String>,
}

impl Problems {
    fn add(&mut self, report: &mut Report, message: String) {
        if self.count < MAX_PROBLEMS {
            report.lines.push(format!("not fetched: {message}"));
        }
        self.count += 1;
        self.first.get_or_insert(message);
    }

    fn result(self) -> Result<(), Trouble> {
        let Some(mut message) = self.first else {
            return Ok(());
        };
        if self.count > 1 {
            message = format!("{message} (and {} more)", self.count - 1);
        }
        Err(Trouble::new(Kind::Transfer, message))
    }
}

/// What was done so far.
#[derive(Default)]
struct Tally {
    fetched: u64,
    bytes: u64,
    unchanged: u64,
    /// Something else than a file is other than it was.
    has_changed: bool,
}

/// The work for one host.
struct Errand<'a> {
    get: &'a Get,
    sources: Vec<Source>,
    way: &'a mut dyn Way,
    site: &'a mut dyn Site,
    report: &'a mut Report,
    gauge: Option<Arc<Gauge>>,
    problems: Problems,
    tally: Tally,
}

impl<'a> Errand<'a> {
    fn new(
        get: &'a Get,
        way: &'a mut dyn Way,
        site: &'a mut dyn Site,
        report: &'a mut Report,
    ) -> Self {
        Self {
            get,
            sources: Vec::new(),
            way,
            site,
            report,
            gauge: None,
            problems: Problems::default(),
            tally: Tally::default(),
        }
    }

    async fn work(mut self, index: usize, host: &HostName) -> Result<(), Trouble> {
        let sources = self.get.wanted(index).iter().map(|word| Source::read(word));
        let sources = sources.collect::<Result<Vec<Source>, String>>();
        self.sources = sources.map_err(|message| Trouble::new(Kind::Transfer, message))?;
        let result = self.carry_out(host).await;
        self.close();
        result.and(self.problems.result())
    }

    async fn carry_out(&mut self, host: &HostName) -> Result<(), Trouble> {
        let trees = self.look().await?;
        source::check_names(trees.iter().map(|tree| (&*tree.top.asked, tree.names())))?;
        if trees.is_empty() {
            return Ok(());
        }
        let dir = &self.get.dir;
        let mut keep = if self.get.is_dry {
            Keep::look_at(dir, host)
        } else {
            Keep::open(dir, host)?
        };
        self.gauge = Some(
            self.site
                .gauge(trees.iter().map(Tree::bytes).fold(0, u64::saturating_add)),
        );
        for tree in trees {
            self.fetch_tree(&mut keep, &tree).await?;
        }
        Ok(())
    }

    /// Says what was done in all.
    fn close(&mut self) {
        let tally = &self.tally;
        let has_changed = tally.has_changed || tally.fetched > 0;
        self.report.has_changed = Some(has_changed);
        if tally.fetched + tally.unchanged > 0 {
            let line = format!(
                "{} fetched, {} bytes; {} unchanged",
                tally.fetched, tally.bytes, tally.unchanged
            );
            self.report.lines.push(line);
        }
    }

    /// Finds out what the host has of all that is wanted.
    async fn look(&mut self) -> Result<Vec<Tree>, Trouble> {
        let mut trees = Vec::new();
        let mut count = 0;
        for source in std::mem::take(&mut self.sources) {
            let (report, problems) = (&mut *self.report, &mut self.problems);
            let before = problems.count;
            let mut problem = |message| problems.add(report, message);
            let tops = match source.find(self.way, self.site, &mut problem).await {
                Err(trouble) if is_of_the_path(&trouble) => {
                    problem(trouble.message);
                    continue;
                }
                tops => tops?,
            };
            if tops.is_empty() && self.problems.count == before {
                self.problem(source.matches_nothing());
            }
            for top in tops {
                let Some(tree) = self.list(top).await? else {
                    continue;
                };
                count += tree.entries.len();
                if count > MAX_ENTRIES {
                    return Err(too_many(&tree.top.path));
                }
                trees.push(tree);
            }
        }
        Ok(trees)
    }

    /// Lists all that is in a folder, and tells what of it won't be fetched.
    async fn list(&mut self, top: Top) -> Result<Option<Tree>, Trouble> {
        let mut tree = Tree {
            top,
            entries: Vec::new(),
        };
        if tree.top.found.kind == FileKind::Folder {
            let list = match self.way.below(self.site, &tree.top.path).await {
                // Something in it can't be read: the rest is had folder by folder.
                Err(trouble) if is_of_the_path(&trouble) => self.walk(&tree.top.path).await?,
                list => list?,
            };
            if list.len() > MAX_ENTRIES {
                return Err(too_many(&tree.top.path));
            }
            let listed = Listed::check(&tree.top.path, list);
            tree.entries = listed.entries;
            for (path, why) in listed.refused {
                self.problem(format!("{}: {why}", shown(&tree.top.path.join(path))));
            }
            for path in listed.left_out {
                let path = plain(&tree.place(&path));
                let line = format!("left out {path}: a device, a socket or a pipe");
                self.report.lines.push(line);
            }
        }
        Ok(Some(tree))
    }

    /// Lists a folder and those in it, one by one.
    async fn walk(&mut self, top: &Path) -> Result<Vec<(PathBuf, Found)>, Trouble> {
        let mut all = Vec::new();
        let mut folders = vec![top.to_owned()];
        while let Some(folder) = folders.pop() {
            let list = match self.way.list(self.site, &folder).await {
                Err(trouble) if is_of_the_path(&trouble) => {
                    self.problem(trouble.message);
                    continue;
                }
                list => list?,
            };
            for (name, found) in list {
                let path = joined(&folder, &name);
                // One that has no good name is refused later.
                if found.kind == FileKind::Folder && is_name(&name) {
                    folders.push(path.clone());
                }
                all.push((path, found));
            }
            if all.len() > MAX_ENTRIES {
                return Err(too_many(top));
            }
        }
        Ok(all)
    }

    async fn fetch_tree(&mut self, keep: &mut Keep, tree: &Tree) -> Result<(), Trouble> {
        let mut folders = Vec::new();
        let fetched = self.fetch_entries(keep, tree, &mut folders).await;
        // What is in a folder changes its time: the innermost come first.
        for (path, found) in folders.iter().rev().filter(|_| !self.get.is_dry) {
            let finished = keep.finish_folder(path, found);
            if let Err(error) = finished
                && fetched.is_ok()
            {
                self.not_written(keep, path, error)?;
            }
        }
        fetched
    }

    async fn fetch_entries<'t>(
        &mut self,
        keep: &mut Keep,
        tree: &'t Tree,
        folders: &mut Vec<(PathBuf, &'t Found)>,
    ) -> Result<(), Trouble> {
        let mut jobs = Vec::new();
        let mut bytes = 0;
        // Folders that could not be made.
        let mut barred = HashSet::new();
        let top = tree.top.name.is_some() || tree.top.found.kind == FileKind::File;
        let top = top.then_some((Path::new(""), &tree.top.found));
        let below = tree.entries.iter().map(|(path, found)| (&**path, found));
        for (path, found) in top.into_iter().chain(below) {
            if path.parent().is_some_and(|parent| barred.contains(parent)) {
                barred.insert(path);
                continue;
            }
            let to = tree.place(path);
            match found.kind {
                FileKind::Folder => {
                    if self.make_folder(keep, &to)? {
                        folders.push((to, found));
                    } else {
                        barred.insert(path);
                    }
                }
                FileKind::Link => self.make_link(keep, &to, found)?,
                FileKind::File | FileKind::Other => {
                    if !self.is_wanted(keep, &to, found)? {
                        continue;
                    }
                    bytes = found.size.saturating_add(bytes);
                    let from = if path.as_os_str().is_empty() {
                        tree.top.path.clone()
                    } else {
                        tree.top.path.join(path)
                    };
                    let found = found.clone();
                    jobs.push(Job { from, to, found });
                    if jobs.len() == BATCH_FILES || bytes >= BATCH_BYTES {
                        self.fetch(keep, std::mem::take(&mut jobs)).await?;
                        bytes = 0;
                    }
                }
            }
        }
        if jobs.is_empty() {
            return Ok(());
        }
        self.fetch(keep, jobs).await
    }

    /// Makes a folder; returns whether it is there.
    fn make_folder(&mut self, keep: &mut Keep, to: &Path) -> Result<bool, Trouble> {
        if self.get.is_dry {
            return Ok(true);
        }
        match keep.make_folder(to) {
            Ok(is_new) => {
                self.tally.has_changed |= is_new;
                Ok(true)
            }
            Err(error) => self.not_written(keep, to, error).map(|()| false),
        }
    }

    fn make_link(&mut self, keep: &mut Keep, to: &Path, found: &Found) -> Result<(), Trouble> {
        if self.get.is_dry {
            self.tell("would fetch", to, "");
            return Ok(());
        }
        match keep.make_link(to, found) {
            Ok(true) => {
                self.tally.has_changed = true;
                self.tell("fetched", to, "");
            }
            Ok(false) => self.tell("unchanged", to, ""),
            Err(error) => self.not_written(keep, to, error)?,
        }
        Ok(())
    }

    /// Whether a file is to be fetched; one that is there already is told.
    fn is_wanted(&mut self, keep: &mut Keep, to: &Path, found: &Found) -> Result<bool, Trouble> {
        let here = match keep.look(to) {
            Ok(here) => here,
            Err(error) => {
                self.not_written(keep, to, error)?;
                return Ok(false);
            }
        };
        let is_here = here.is_some_and(|here| is_same(&here, found));
        if is_here && !self.get.is_forced {
            if !self.get.is_dry {
                match keep.set_mode(to, found.mode) {
                    Ok(is_other) => self.tally.has_changed |= is_other,
                    Err(error) => self.not_written(keep, to, error)?,
                }
            }
            self.tally.unchanged += 1;
            self.tell("unchanged", to, "");
            return Ok(false);
        }
        if self.get.is_dry {
            self.tell("would fetch", to, "");
        }
        Ok(!self.get.is_dry)
    }

    /// Fetches files; those of which an earlier part turned out to be wrong, once more.
    async fn fetch(&mut self, keep: &mut Keep, jobs: Vec<Job>) -> Result<(), Trouble> {
        let again = self.fetch_once(keep, jobs, self.get.is_forced).await?;
        if again.is_empty() {
            return Ok(());
        }
        self.fetch_once(keep, again, true).await.map(|_| ())
    }

    async fn fetch_once(
        &mut self,
        keep: &mut Keep,
        jobs: Vec<Job>,
        anew: bool,
    ) -> Result<Vec<Job>, Trouble> {
        let mut batch = Batch::new(keep);
        for job in jobs {
            let to = job.to.clone();
            if let Err(error) = batch.add(job, anew) {
                let trouble = batch.trouble(&to, error);
                self.not_fetched(trouble)?;
            }
        }
        let done = batch
            .fetch(self.way, self.site, self.gauge.as_deref())
            .await;
        let settled = batch.settle(done.as_ref().err());
        for (path, bytes, note) in settled.fetched {
            self.tally.fetched += 1;
            self.tally.bytes += bytes;
            self.tell("fetched", &path, &note);
        }
        for trouble in settled.problems {
            self.not_fetched(trouble)?;
        }
        match done {
            Ok(()) => Ok(settled.again),
            Err(mut trouble) => {
                trouble.message.push_str(&settled.left);
                Err(trouble)
            }
        }
    }

    /// Takes note of something that could not be written here; `Err` where nothing more can be.
    fn not_written(&mut self, keep: &Keep, path: &Path, error: KeepError) -> Result<(), Trouble> {
        self.not_fetched(error.trouble(&keep.place(path)))
    }

    fn not_fetched(&mut self, trouble: Trouble) -> Result<(), Trouble> {
        if is_of_the_path(&trouble) {
            self.problem(trouble.message);
            return Ok(());
        }
        Err(trouble)
    }

    fn problem(&mut self, message: String) {
        self.problems.add(self.report, message);
    }

    fn tell(&mut self, word: &str, path: &Path, note: &str) {
        let line = format!("{word} {}{note}", plain(path));
        self.report.lines.push(line);
    }
}

fn too_many(path: &Path) -> Trouble {
    let message = format!("{}: more than {MAX_ENTRIES} files and folders", shown(path));
    Trouble::new(Kind::Transfer, message)
}

/// Returns a path as lines about files show it.
fn plain(path: &Path) -> String {
    escaped(&path.to_string_lossy())
}

/// Returns the path of something in a folder, whatever it is called.
fn joined(folder: &Path, name: &OsStr) -> PathBuf {
    let mut path = folder.as_os_str().as_bytes().to_vec();
    if !path.ends_with(b"/") {
        path.push(b'/');
    }
    path.extend(name.as_bytes());
    OsString::from_vec(path).into()
}

#[cfg(test)]
mod tests;
