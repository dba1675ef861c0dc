//! A host's files through its own file service (SFTP).
//!
//! Everything goes over one connection, many requests at once, so that small files share round trips.
//! A file is written beside its place under a random name that must be new, and put into its place
//! when it is whole. Hashes are made by a command, as the service has none.

use std::cell::{Cell, RefCell};
use std::collections::HashSet;
use std::ffi::OsString;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use async_io::Timer;
use futures_lite::future::FutureExt;

use super::lanes::in_lanes;
use super::{Change, Changes, Found, Gauge, Sink, Site, Trouble, Way, What, shown};
use crate::outcome::Kind;
use crate::remote::{Command, Exec};
use crate::transport::Work;
use crate::transport::files::{Attributes, FileError, FileKind, FileReason, Files};
use crate::tree::{Hash, NodeKind};

/// Small requests under way at once.
const REQUESTS: usize = 64;
/// Links of one folder that are read at once.
const LINKS: usize = 16;
/// Files under way at once.
const FILES: usize = 64;
/// Most entries of a folder and the folders in it.
const MOST_ENTRIES: usize = 1_000_000;
/// Most bytes of their paths. A host needs few to name much in a deep folder.
const MOST_LISTED: usize = 256 * 1024 * 1024;
/// Puts `$1` into the place of `$2`: mv alone would put it into the folder that a link leads to.
const MOVE: &str = r#"if [ -h "$2" ] && [ -d "$2" ]; then rm -f -- "$2" || exit 1; fi
[ ! -d "$2" ] || exit 1
exec mv -f -- "$1" "$2""#;
/// How long what was left unfinished is cleared away.
const CLEARING: Duration = Duration::from_secs(2);

/// The file service of one host.
pub struct Service {
    files: Box<dyn Files>,
    /// What makes hashes.
    hashing: Box<dyn Way>,
}

impl Service {
    /// Returns the way through `files`; `hashing` is asked for hashes.
    pub fn new(files: Box<dyn Files>, hashing: Box<dyn Way>) -> Self {
        Self { files, hashing }
    }

    async fn look(&self, path: &Path) -> Result<Option<Found>, Trouble> {
        let looked = self.files.look(path, false).await;
        let Some(attributes) = looked.map_err(|error| trouble("look at", path, &error))? else {
            return Ok(None);
        };
        let target = match attributes.kind {
            FileKind::Link => {
                let target = self.files.read_link(path).await;
                Some(target.map_err(|error| trouble("read the link", path, &error))?)
            }
            _ => None,
        };
        Ok(Some(found(attributes, target)))
    }

    async fn list_below(
        &self,
        site: &dyn Site,
        folder: &Path,
    ) -> Result<Vec<(PathBuf, Found)>, Trouble> {
        let all = RefCell::new(Vec::new());
        let room = Cell::new(MOST_LISTED);
        let mut level = vec![folder.to_owned()];
        while !level.is_empty() {
            let next = RefCell::new(Vec::new());
            let (all, next, room) = (&all, &next, &room);
            let lists = level.iter().map(|folder| async move {
                for (path, found) in self.list(folder, room).await? {
                    if found.kind == FileKind::Folder {
                        next.borrow_mut().push(path.clone());
                    }
                    all.borrow_mut().push((path, found));
                }
                site.progressed();
                if all.borrow().len() > MOST_ENTRIES {
                    return Err(too_many(folder));
                }
                Ok(())
            });
            in_lanes(REQUESTS, lists).await?;
            level = next.take();
        }
        Ok(all.into_inner())
    }

    /// Lists a folder, as far as there is `room` for paths.
    async fn list(
        &self,
        folder: &Path,
        room: &Cell<usize>,
    ) -> Result<Vec<(PathBuf, Found)>, Trouble> {
        let listed = self.files.list(folder).await;
        let listed = listed.map_err(|error| trouble("list", folder, &error))?;
        let mut all = Vec::with_capacity(listed.len());
        for (name, attributes) in listed {
            let path = folder.join(name);
            let left = room.get().checked_sub(path.as_os_str().len());
            room.set(left.ok_or_else(|| too_many(folder))?);
            all.push((path, found(attributes, None)));
        }
        let targets = RefCell::new(Vec::new());
        let links = all.iter().enumerate();
        let links = links.filter(|(_, (_, found))| found.kind == FileKind::Link);
        let reads = links.map(|(index, (path, _))| {
            let targets = &targets;
            async move {
                // One that is gone meanwhile says nothing.
                let target = self.files.read_link(path).await.ok();
                targets.borrow_mut().push((index, target));
                Ok::<(), Trouble>(())
            }
        });
        in_lanes(LINKS, reads).await?;
        for (index, target) in targets.take() {
            all[index].1.target = target;
        }
        Ok(all)
    }

    /// Makes the changes of one kind after the other: what comes later may stand on what came before.
    async fn change(
        &self,
        site: &dyn Site,
        changes: &[Change],
        gauge: &Gauge,
        unfinished: &Unfinished,
    ) -> Result<Vec<(PathBuf, PathBuf)>, Trouble> {
        for group in changes.chunk_by(is_alike) {
            let works = group.iter().map(|change| async {
                self.one(change, gauge, unfinished).await?;
                site.progressed();
                Ok(())
            });
            in_lanes(FILES, works).await?;
        }
        Ok(unfinished.unplaced.take())
    }

    async fn one(
        &self,
        change: &Change,
        gauge: &Gauge,
        unfinished: &Unfinished,
    ) -> Result<(), Trouble> {
        let path = &change.path;
        let files = &self.files;
        let (done, what) = match &change.what {
            What::Store(node, wanted) => {
                let beside = beside(path);
                unfinished.begin(&beside);
                let NodeKind::File(body) = &node.kind else {
                    return Err(Trouble::new(Kind::Internal, "only files have content"));
                };
                let sent = |bytes| gauge.add(bytes);
                let stored = files.store(&beside, body, *wanted, &sent).await;
                stored.map_err(|error| trouble("write", path, &error))?;
                return self.place(&beside, path, unfinished).await;
            }
            What::MakeLink(target) => {
                let beside = beside(path);
                unfinished.begin(&beside);
                let made = files.make_link(&beside, target).await;
                made.map_err(|error| trouble("make the link", path, &error))?;
                return self.place(&beside, path, unfinished).await;
            }
            What::MakeFolder(wanted) => {
                let mode = wanted.mode.unwrap_or(0o755);
                let result = match files.make_folder(path, mode).await {
                    // The account's umask may have taken some of it away.
                    Ok(()) => files.set(path, *wanted).await,
                    Err(error) if error.reason == FileReason::Refused => {
                        self.is_made(path).await.map_err(|()| error)
                    }
                    Err(error) => Err(error),
                };
                (result, "make the folder")
            }
            What::Set(wanted) => (files.set(path, *wanted).await, "change the permissions of"),
            What::Remove => (gone(files.remove(path).await), "remove"),
            What::RemoveFolder => (gone(files.remove_folder(path).await), "remove the folder"),
            What::SetOwner => {
                let message = "owners are not set through the file service".to_owned();
                let reason = FileReason::Unsupported;
                (Err(FileError { reason, message }), "change the owner of")
            }
        };
        done.map_err(|error| trouble(what, path, &error))
    }

    /// Whether somebody else has made a folder meanwhile, perhaps another host with the same disk.
    async fn is_made(&self, path: &Path) -> Result<(), ()> {
        match self.files.look(path, false).await {
            Ok(Some(found)) if found.kind == FileKind::Folder => Ok(()),
            _ => Err(()),
        }
    }

    /// Puts what is whole into its place.
    async fn place(
        &self,
        beside: &Path,
        path: &Path,
        unfinished: &Unfinished,
    ) -> Result<(), Trouble> {
        match self.files.replace(beside, path).await {
            Ok(()) => unfinished.end(beside),
            Err(error) if error.reason == FileReason::Unsupported => {
                unfinished.leave(beside, path);
            }
            Err(error) => return Err(trouble("put into its place", path, &error)),
        }
        Ok(())
    }

    /// Removes what was written and not put into its place.
    async fn clear(&self, unfinished: &Unfinished) {
        let left: Vec<PathBuf> = unfinished.paths.take().into_iter().collect();
        let works = left.iter().map(|path| async {
            // It may never have been made.
            let _ = self.files.remove(path).await;
            Ok::<(), ()>(())
        });
        let late = async {
            Timer::after(CLEARING).await;
            Ok(())
        };
        let _ = in_lanes(REQUESTS, works).or(late).await;
    }
}

/// What is on its way to its place.
#[derive(Default)]
struct Unfinished {
    paths: RefCell<HashSet<PathBuf>>,
    /// Whole, but the service can't put it in the place of something.
    unplaced: RefCell<Vec<(PathBuf, PathBuf)>>,
}

impl Unfinished {
    fn begin(&self, path: &Path) {
        self.paths.borrow_mut().insert(path.to_owned());
    }

    fn end(&self, path: &Path) {
        self.paths.borrow_mut().remove(path);
    }

    fn leave(&self, beside: &Path, path: &Path) {
        let pair = (beside.to_owned(), path.to_owned());
        self.unplaced.borrow_mut().push(pair);
    }
}

/// What somebody else has removed meanwhile is gone as well.
fn gone(removed: Result<(), FileError>) -> Result<(), FileError> {
    removed.or_else(|error| match error.reason {
        FileReason::Missing => Ok(()),
        _ => Err(error),
    })
}

fn too_many(folder: &Path) -> Trouble {
    let message = format!("there are too many files in {}", shown(folder));
    Trouble::new(Kind::Transfer, message)
}

/// Whether two changes may be made at once. Folders of one depth may, and so may files.
fn is_alike(one: &Change, other: &Change) -> bool {
    let rank = |change: &Change| match change.what {
        What::MakeFolder(_) => (0, change.path.components().count()),
        What::Store(..) | What::MakeLink(_) | What::Set(_) | What::SetOwner => (1, 0),
        What::Remove => (2, 0),
        What::RemoveFolder => (3, change.path.components().count()),
    };
    rank(one) == rank(other)
}

/// Returns a name beside `path` that nobody has.
fn beside(path: &Path) -> PathBuf {
    path.with_file_name(format!(".hoist-{:016x}", fastrand::u64(..)))
}

fn found(attributes: Attributes, target: Option<PathBuf>) -> Found {
    Found {
        kind: attributes.kind,
        size: attributes.size,
        mode: attributes.mode,
        modified: Some(attributes.modified),
        owner: None,
        target,
    }
}

/// Says what could not be done to which file, and why.
fn trouble(what: &str, path: &Path, error: &FileError) -> Trouble {
    let kind = match error.reason {
        FileReason::Lost => Kind::Lost,
        FileReason::Own => {
            let message = format!(
                "what is to be {} can't be read: {}",
                shown(path),
                error.message
            );
            return Trouble::new(Kind::Transfer, message);
        }
        _ => Kind::Transfer,
    };
    let hint = match error.reason {
        FileReason::Denied => "; `--sudo` does it as root",
        _ => "",
    };
    let message = format!("cannot {what} {}: {}{hint}", shown(path), error.message);
    Trouble::new(kind, message)
}

impl Way for Service {
    fn hashes<'a>(
        &'a mut self,
        site: &'a mut dyn Site,
        paths: &'a [PathBuf],
    ) -> Work<'a, Result<Vec<Option<Hash>>, Trouble>> {
        Box::pin(async move {
            match self.hashing.hashes(site, paths).await {
                Err(trouble) if runs_nothing(trouble.kind) => Ok(vec![None; paths.len()]),
                result => result,
            }
        })
    }

    fn survey<'a>(
        &'a mut self,
        site: &'a mut dyn Site,
        paths: &'a [PathBuf],
    ) -> Work<'a, Result<Vec<Option<Found>>, Trouble>> {
        Box::pin(async move {
            let site = &*site;
            let all = RefCell::new(vec![None; paths.len()]);
            // Whoever is in a folder is looked at after it: nothing is in one that is missing.
            let depth = |index: &usize| paths[*index].components().count();
            let mut order: Vec<usize> = (0..paths.len()).collect();
            order.sort_by_key(depth);
            let missing = RefCell::new(HashSet::new());
            let (this, all, missing) = (&*self, &all, &missing);
            for level in order.chunk_by(|one, other| depth(one) == depth(other)) {
                let looks = level.iter().map(|index| async {
                    let path = paths[*index].as_path();
                    let is_in_missing = |folder| missing.borrow().contains(folder);
                    let found = if path.parent().is_some_and(is_in_missing) {
                        None
                    } else {
                        this.look(path).await?
                    };
                    if found.is_none() {
                        missing.borrow_mut().insert(path);
                    }
                    all.borrow_mut()[*index] = found;
                    site.progressed();
                    Ok(())
                });
                in_time(site, in_lanes(REQUESTS, looks)).await?;
            }
            Ok(all.take())
        })
    }

    fn real_path<'a>(
        &'a mut self,
        site: &'a mut dyn Site,
        path: &'a Path,
    ) -> Work<'a, Result<PathBuf, Trouble>> {
        Box::pin(async move {
            let real = async {
                let real = self.files.real_path(path).await;
                real.map_err(|error| trouble("follow", path, &error))
            };
            in_time(site, real).await
        })
    }

    fn below<'a>(
        &'a mut self,
        site: &'a mut dyn Site,
        folder: &'a Path,
    ) -> Work<'a, Result<Vec<(PathBuf, Found)>, Trouble>> {
        Box::pin(async move { in_time(site, self.list_below(site, folder)).await })
    }

    fn list<'a>(
        &'a mut self,
        site: &'a mut dyn Site,
        folder: &'a Path,
    ) -> Work<'a, Result<Vec<(OsString, Found)>, Trouble>> {
        Box::pin(async move {
            let room = Cell::new(MOST_LISTED);
            let listed = in_time(site, Self::list(self, folder, &room)).await?;
            let named = listed
                .into_iter()
                .filter_map(|(path, found)| Some((path.file_name()?.into(), found)));
            Ok(named.collect())
        })
    }

    fn fetch<'a>(
        &'a mut self,
        site: &'a mut dyn Site,
        files: &'a [(PathBuf, u64)],
        sink: Sink<'a>,
    ) -> Work<'a, Result<Vec<Result<u64, Trouble>>, Trouble>> {
        Box::pin(async move {
            let site = &*site;
            let ends: RefCell<Vec<Result<u64, Trouble>>> =
                RefCell::new(files.iter().map(|(_, offset)| Ok(*offset)).collect());
            let (sink, broken) = (RefCell::new(sink), RefCell::new(None::<io::Error>));
            let fetches = files.iter().enumerate().map(|(index, (path, offset))| {
                let (this, ends, sink, broken) = (&*self, &ends, &sink, &broken);
                async move {
                    let mut own = |part: &[u8], place: u64| {
                        let taken = (sink.borrow_mut())(index, part, place);
                        taken.map_err(|error| {
                            let told = io::Error::new(error.kind(), error.to_string());
                            broken.borrow_mut().get_or_insert(error);
                            told
                        })
                    };
                    let end = this.files.fetch(path, *offset, &mut own).await;
                    if let Some(error) = broken.take() {
                        return Err(Trouble::new(Kind::Internal, error.to_string()));
                    }
                    let end = end.map_err(|error| trouble("read", path, &error));
                    match end {
                        Err(trouble) if trouble.kind == Kind::Lost => return Err(trouble),
                        end => ends.borrow_mut()[index] = end,
                    }
                    site.progressed();
                    Ok(())
                }
            });
            in_time(site, in_lanes(FILES, fetches)).await?;
            Ok(ends.into_inner())
        })
    }

    fn apply<'a>(
        &'a mut self,
        site: &'a mut dyn Site,
        changes: &'a Changes<'a>,
        gauge: Arc<Gauge>,
    ) -> Work<'a, Result<(), Trouble>> {
        Box::pin(async move {
            let unfinished = Unfinished::default();
            let change = self.change(&*site, &changes.list, &gauge, &unfinished);
            let mut result = in_time(&*site, change).await;
            if let Ok(unplaced) = &result
                && !unplaced.is_empty()
            {
                let moved = move_all(site, unplaced, &unfinished).await;
                result = moved.map(|()| Vec::new());
            }
            if result.is_err() {
                self.clear(&unfinished).await;
            }
            result.map(drop)
        })
    }
}

/// Whether a command that ended so tells that the account is for files alone.
fn runs_nothing(kind: Kind) -> bool {
    matches!(kind, Kind::Channel | Kind::Transfer | Kind::Spawn)
}

/// Does work with files as long as there is time.
async fn in_time<T>(
    site: &dyn Site,
    work: impl Future<Output = Result<T, Trouble>>,
) -> Result<T, Trouble> {
    // What was done here before, such as hashes, was no stall of the host.
    site.progressed();
    let over = async { Err(site.over().await) };
    over.or(work).await
}

/// Puts files into their places by commands: plain SFTP puts nothing in the place of something.
async fn move_all(
    site: &mut dyn Site,
    files: &[(PathBuf, PathBuf)],
    unfinished: &Unfinished,
) -> Result<(), Trouble> {
    for (from, to) in files {
        let words = ["sh", "-c", MOVE, "sh"].map(Into::into);
        let paths = [from.clone().into_os_string(), to.clone().into_os_string()];
        let command = Command::Argv(words.into_iter().chain(paths).collect());
        let ran = site.run(Exec::new(command)).await?;
        if !ran.exit.is_success() {
            let message = format!("cannot put {} into its place: `mv` failed", shown(to));
            return Err(Trouble::new(Kind::Transfer, message));
        }
        unfinished.end(from);
    }
    Ok(())
}

#[cfg(test)]
mod tests;
