//! What is fetched, over a way to real files that can be cut, lie and be left waiting.

use std::cell::Cell;
use std::fs;
use std::io;
use std::os::unix::fs::{FileExt, MetadataExt, PermissionsExt, symlink};
use std::rc::Rc;
use std::time::{Duration, SystemTime};

use sha2::{Digest, Sha256};

use super::*;
use crate::transfer::{Changes, Ran, Sink};
use crate::transport::Work;
use crate::transport::files::{FileError, Files};
use crate::tree::Hash;

/// How much is handed over at once.
const CHUNK: usize = 32 * 1024;

/// A site for a way that needs none.
struct NoSite;

impl Site for NoSite {
    fn run(&mut self, _: Exec) -> Work<'_, Result<Ran, Trouble>> {
        unreachable!("this way executes nothing")
    }
    fn stream<'a>(
        &'a mut self,
        _: Exec,
        _: &'a mut dyn FnMut(&[u8]) -> io::Result<()>,
    ) -> Work<'a, Result<Ran, Trouble>> {
        unreachable!("this way executes nothing")
    }
    fn files(&mut self) -> Work<'_, Result<Box<dyn Files>, FileError>> {
        unreachable!("this way has its files")
    }
    fn over(&self) -> Work<'_, Trouble> {
        Box::pin(std::future::pending())
    }
    fn progressed(&self) {}
    fn gauge(&self, total: u64) -> Arc<Gauge> {
        Arc::new(Gauge::new(total, |_, _| ()))
    }
}

/// The files of this machine.
#[derive(Default)]
struct Here {
    /// The link is cut when so many bytes have come.
    cut_at: Option<u64>,
    /// It waits for ever instead.
    hangs: bool,
    /// It listed these besides.
    invents: Vec<(PathBuf, Found)>,
    /// Done to a file before it is read.
    before_reading: Option<fn(&Path)>,
    /// A folder that can't be listed.
    denies: Option<PathBuf>,
    moved: Rc<Cell<u64>>,
}

fn refused(path: &Path, error: &io::Error) -> Trouble {
    Trouble::new(
        Kind::Transfer,
        format!("cannot read {}: {error}", shown(path)),
    )
}

fn found_at(path: &Path) -> Option<Found> {
    let there = fs::symlink_metadata(path).ok()?;
    Some(Found {
        kind: if there.is_dir() {
            FileKind::Folder
        } else if there.is_file() {
            FileKind::File
        } else if there.is_symlink() {
            FileKind::Link
        } else {
            FileKind::Other
        },
        size: there.len(),
        mode: there.mode() & 0o7777,
        modified: there.mtime().try_into().ok(),
        owner: None,
        target: fs::read_link(path).ok(),
    })
}

impl Here {
    fn list_in(&self, folder: &Path) -> Result<Vec<(OsString, Found)>, Trouble> {
        if self.denies.as_deref() == Some(folder) {
            return Err(refused(folder, &io::ErrorKind::PermissionDenied.into()));
        }
        let entries = fs::read_dir(folder).map_err(|error| refused(folder, &error))?;
        let named = entries.map(|entry| {
            let entry = entry.unwrap();
            (entry.file_name(), found_at(&entry.path()).unwrap())
        });
        Ok(named.collect())
    }

    fn all_below(&self, folder: &Path, all: &mut Vec<(PathBuf, Found)>) -> Result<(), Trouble> {
        for (name, found) in self.list_in(folder)? {
            let path = folder.join(name);
            let is_folder = found.kind == FileKind::Folder;
            all.push((path.clone(), found));
            if is_folder {
                self.all_below(&path, all)?;
            }
        }
        Ok(())
    }
}

impl Way for Here {
    fn hashes<'a>(
        &'a mut self,
        _: &'a mut dyn Site,
        paths: &'a [PathBuf],
    ) -> Work<'a, Result<Vec<Option<Hash>>, Trouble>> {
        let hashes = paths.iter().map(|path| fs::read(path).ok());
        let hashes = hashes.map(|content| Some(Sha256::digest(content?).into()));
        let hashes = hashes.collect();
        Box::pin(async move { Ok(hashes) })
    }

    fn survey<'a>(
        &'a mut self,
        _: &'a mut dyn Site,
        paths: &'a [PathBuf],
    ) -> Work<'a, Result<Vec<Option<Found>>, Trouble>> {
        Box::pin(async move { Ok(paths.iter().map(|path| found_at(path)).collect()) })
    }

    fn real_path<'a>(
        &'a mut self,
        _: &'a mut dyn Site,
        path: &'a Path,
    ) -> Work<'a, Result<PathBuf, Trouble>> {
        Box::pin(async move { fs::canonicalize(path).map_err(|error| refused(path, &error)) })
    }

    fn below<'a>(
        &'a mut self,
        _: &'a mut dyn Site,
        folder: &'a Path,
    ) -> Work<'a, Result<Vec<(PathBuf, Found)>, Trouble>> {
        Box::pin(async move {
            let mut all = Vec::new();
            self.all_below(folder, &mut all)?;
            let invented = self.invents.iter();
            all.extend(
                invented.map(|(path, found)| (joined(folder, path.as_os_str()), found.clone())),
            );
            Ok(all)
        })
    }

    fn list<'a>(
        &'a mut self,
        _: &'a mut dyn Site,
        folder: &'a Path,
    ) -> Work<'a, Result<Vec<(OsString, Found)>, Trouble>> {
        Box::pin(async move { self.list_in(folder) })
    }

    fn fetch<'a>(
        &'a mut self,
        _: &'a mut dyn Site,
        files: &'a [(PathBuf, u64)],
        sink: Sink<'a>,
    ) -> Work<'a, Result<Vec<Result<u64, Trouble>>, Trouble>> {
        Box::pin(async move {
            let mut ends = Vec::new();
            for (index, (path, start)) in files.iter().enumerate() {
                if let Some(change) = &self.before_reading {
                    change(path);
                }
                let file = match fs::File::open(path) {
                    Ok(file) => file,
                    Err(error) => {
                        ends.push(Err(refused(path, &error)));
                        continue;
                    }
                };
                let mut at = *start;
                let mut buffer = vec![0; CHUNK];
                loop {
                    let count = file.read_at(&mut buffer, at).unwrap();
                    if count == 0 {
                        break;
                    }
                    if self.cut_at.is_some_and(|most| self.moved.get() >= most) {
                        if self.hangs {
                            std::future::pending::<()>().await;
                        }
                        return Err(Trouble::new(Kind::Lost, "the link is gone"));
                    }
                    let taken = sink(index, &buffer[..count], at);
                    taken.map_err(|error| Trouble::new(Kind::Internal, error.to_string()))?;
                    at += count as u64;
                    self.moved.set(self.moved.get() + count as u64);
                }
                ends.push(Ok(at));
            }
            Ok(ends)
        })
    }

    fn apply<'a>(
        &'a mut self,
        _: &'a mut dyn Site,
        _: &'a Changes<'a>,
        _: Arc<Gauge>,
    ) -> Work<'a, Result<(), Trouble>> {
        unreachable!("nothing is put")
    }
}

/// A host's folder, and the one here.
struct Place {
    folder: tempfile::TempDir,
}

impl Place {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        fs::create_dir(folder.path().join("there")).unwrap();
        Self { folder }
    }

    fn there(&self, path: &str) -> PathBuf {
        self.folder.path().join("there").join(path)
    }

    fn here(&self, path: &str) -> PathBuf {
        self.folder.path().join("here/web1").join(path)
    }

    fn write(&self, path: &str, content: impl AsRef<[u8]>) {
        let path = self.there(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, content).unwrap();
    }

    fn wants(&self, words: &[&str]) -> Get {
        Get {
            wanted: vec![words.iter().map(|word| self.there(word).into()).collect()],
            dir: self.folder.path().join("here"),
            ..Get::default()
        }
    }

    fn get(&self, words: &[&str], way: &mut Here) -> (Vec<String>, Result<(), Trouble>) {
        carry_out(&self.wants(words), way)
    }

    /// Fetches with nothing in the way, and returns the lines.
    #[track_caller]
    fn gets(&self, words: &[&str]) -> Vec<String> {
        let (lines, result) = self.get(words, &mut Here::default());
        assert_eq!(result, Ok(()), "{lines:?}");
        lines
    }

    /// Returns the names of all that is in the host's folder here.
    fn all_here(&self) -> Vec<String> {
        let mut all = Vec::new();
        let top = self.here("");
        if top.exists() {
            Here::default().all_below(&top, &mut all).unwrap();
        }
        let names = all
            .iter()
            .map(|(path, _)| path.strip_prefix(&top).unwrap().display());
        let mut names: Vec<_> = names.map(|name| name.to_string()).collect();
        names.sort();
        names
    }
}

fn carry_out(wanted: &Get, way: &mut Here) -> (Vec<String>, Result<(), Trouble>) {
    let host = HostName::parse("web1").unwrap();
    let mut report = Report::default();
    let result =
        async_io::block_on(Errand::new(wanted, way, &mut NoSite, &mut report).work(0, &host));
    (report.lines, result)
}

#[track_caller]
fn failed(result: Result<(), Trouble>, kind: Kind, words: &str) {
    let trouble = result.unwrap_err();
    assert_eq!(trouble.kind, kind, "{}", trouble.message);
    assert!(trouble.message.contains(words), "{}", trouble.message);
}

fn megabytes(count: usize) -> Vec<u8> {
    (0..count * 131_072)
        .flat_map(|n| (n as u64).wrapping_mul(0x9e37_79b9_7f4a_7c15).to_le_bytes())
        .collect()
}

#[test]
fn folders_come_with_all_that_is_in_them() {
    let place = Place::new();
    let odd = "odd \n -x";
    place.write("etc/hosts", "127.0.0.1");
    place.write(&format!("etc/deep/er/{odd}"), "x");
    place.write("etc/empty", "");
    fs::create_dir(place.there("etc/hollow")).unwrap();
    symlink("deep/er", place.there("etc/link")).unwrap();
    fs::set_permissions(place.there("etc/hosts"), fs::Permissions::from_mode(0o6751)).unwrap();
    fs::set_permissions(place.there("etc/hollow"), fs::Permissions::from_mode(0o555)).unwrap();
    let old = SystemTime::UNIX_EPOCH + Duration::from_secs(1_000_000_000);
    for path in ["etc/hosts", "etc/hollow", "etc"] {
        fs::File::open(place.there(path))
            .unwrap()
            .set_modified(old)
            .unwrap();
    }
    let lines = place.gets(&["etc"]);
    assert_eq!(
        lines,
        [
            "fetched etc/link",
            "fetched etc/deep/er/odd \\n -x",
            "fetched etc/empty",
            "fetched etc/hosts",
            "3 fetched, 10 bytes; 0 unchanged",
        ]
    );
    let hosts = fs::metadata(place.here("etc/hosts")).unwrap();
    assert_eq!(
        (hosts.mode() & 0o7777, hosts.mtime()),
        (0o751, 1_000_000_000)
    );
    let hollow = fs::metadata(place.here("etc/hollow")).unwrap();
    assert_eq!(
        (hollow.mode() & 0o7777, hollow.mtime()),
        (0o755, 1_000_000_000)
    );
    assert_eq!(
        fs::metadata(place.here("etc")).unwrap().mtime(),
        1_000_000_000
    );
    assert_eq!(
        fs::read(place.here(&format!("etc/deep/er/{odd}"))).unwrap(),
        b"x"
    );
    assert_eq!(
        fs::read_link(place.here("etc/link")).unwrap(),
        Path::new("deep/er")
    );
}

#[test]
fn what_is_here_already_is_not_fetched_again() {
    let place = Place::new();
    place.write("etc/hosts", "127.0.0.1");
    place.write("etc/deep/x", "x");
    place.write("etc/empty", "");
    symlink("deep", place.there("etc/link")).unwrap();
    place.gets(&["etc"]);
    let again = place.gets(&["etc"]);
    assert!(
        again[..4].iter().all(|line| line.starts_with("unchanged ")),
        "{again:?}"
    );
    assert_eq!(again[4], "0 fetched, 0 bytes; 3 unchanged");
    let wanted = Get {
        is_forced: true,
        ..place.wants(&["etc"])
    };
    assert_eq!(
        carry_out(&wanted, &mut Here::default()).0[4],
        "3 fetched, 10 bytes; 0 unchanged"
    );
    fs::set_permissions(place.there("etc/empty"), fs::Permissions::from_mode(0o600)).unwrap();
    place.gets(&["etc"]);
    assert_eq!(
        fs::metadata(place.here("etc/empty")).unwrap().mode() & 0o7777,
        0o600
    );
}

#[test]
fn globs_contents_and_links_are_what_they_stand_for() {
    let place = Place::new();
    for file in [
        "log/a.log",
        "log/b.log",
        "log/.c.log",
        "log/d[1].txt",
        "other/x",
    ] {
        place.write(file, file);
    }
    symlink("a.log", place.there("log/current")).unwrap();
    place.gets(&["log/*.log", "log/current", "other/", "log/d[1].txt"]);
    assert_eq!(
        place.all_here(),
        ["a.log", "b.log", "current", "d[1].txt", "x"]
    );
    assert_eq!(fs::read(place.here("current")).unwrap(), b"log/a.log");
    place.gets(&["l*g/.*.log"]);
    assert!(place.here(".c.log").exists());
    place.gets(&["log/../*/"]);
    assert_eq!(fs::read(place.here("x")).unwrap(), b"other/x");
}

#[test]
fn what_is_not_there_is_told_and_the_rest_is_fetched() {
    let place = Place::new();
    place.write("a", "a");
    symlink("nowhere", place.there("dangling")).unwrap();
    let (lines, result) = place.get(
        &["none", "*.none", "dangling", "a/", "a"],
        &mut Here::default(),
    );
    failed(
        result,
        Kind::Transfer,
        "none`: no such file or folder (and 3 more)",
    );
    assert_eq!(place.all_here(), ["a"]);
    let text = lines.join("\n");
    for words in [
        "*.none`: nothing matches",
        "dangling`: No such file",
        "a`: not a folder",
    ] {
        assert!(text.contains(words), "{text}");
    }
}

#[test]
fn two_of_the_same_name_are_refused_before_anything_is_written() {
    let place = Place::new();
    place.write("a/x", "");
    place.write("b/x", "");
    for words in [["a/x", "b/x"], ["*/x", "a"], ["a/", "b/"]] {
        let (_, result) = place.get(&words, &mut Here::default());
        failed(result, Kind::Transfer, "would both be `x`");
        assert!(!place.here("").exists());
    }
}

#[test]
fn what_a_host_invents_harms_nobody() {
    let place = Place::new();
    place.write("top/good", "good");
    let file = found_at(&place.there("top/good")).unwrap();
    let link = |target: &str| Found {
        kind: FileKind::Link,
        target: Some(target.into()),
        ..file.clone()
    };
    let mut way = Here::default();
    for path in ["../evil", "/abs", "a/b", "good/x", "l1/x", "", ".."] {
        way.invents.push((path.into(), file.clone()));
    }
    for (path, target) in [("l1", "/etc"), ("l2", ".."), ("l3", "good/../../..")] {
        way.invents.push((path.into(), link(target)));
    }
    let (lines, result) = place.get(&["top"], &mut way);
    failed(result, Kind::Transfer, "(and 9 more)");
    assert_eq!(place.all_here(), ["top", "top/good"], "{lines:?}");
    assert_eq!(
        fs::read_dir(place.folder.path().join("here"))
            .unwrap()
            .count(),
        1
    );
}

#[test]
fn links_that_lie_here_are_not_followed() {
    let place = Place::new();
    let outside = place.folder.path().join("outside");
    fs::create_dir(&outside).unwrap();
    fs::write(outside.join("f"), "precious").unwrap();
    place.write("top/sub/f", "new");
    place.write("top/f", "new");
    fs::create_dir_all(place.here("top")).unwrap();
    symlink(&outside, place.here("top/sub")).unwrap();
    symlink(outside.join("f"), place.here("top/f")).unwrap();
    let (_, result) = place.get(&["top"], &mut Here::default());
    failed(result, Kind::Transfer, "a link is in its place here");
    assert_eq!(fs::read(outside.join("f")).unwrap(), b"precious");
    assert_eq!(fs::read(place.here("top/f")).unwrap(), b"new");
    assert!(!place.here("top/f").is_symlink());
    fs::remove_dir_all(place.here("")).unwrap();
    symlink(&outside, place.folder.path().join("here/web1")).unwrap();
    let (_, result) = place.get(&["top"], &mut Here::default());
    failed(result, Kind::Transfer, "a link is in its place here");
    assert_eq!(fs::read_dir(&outside).unwrap().count(), 1);
}

#[test]
fn a_folder_in_the_place_of_a_file_stays() {
    let place = Place::new();
    place.write("a", "a");
    place.write("b", "b");
    fs::create_dir_all(place.here("a/kept")).unwrap();
    let (_, result) = place.get(&["a", "b"], &mut Here::default());
    failed(result, Kind::Transfer, "a folder is in its place here");
    assert_eq!(place.all_here(), ["a", "a/kept", "b"]);
}

#[test]
fn a_large_file_that_was_cut_is_gone_on_with() {
    let place = Place::new();
    let content = megabytes(3);
    place.write("big", &content);
    place.write("small", "s");
    let mut way = Here {
        cut_at: Some(2 << 20),
        ..Here::default()
    };
    let (lines, result) = place.get(&["small", "big"], &mut way);
    failed(
        result,
        Kind::Lost,
        "; 2097152 of 3145728 bytes of `big` are kept: the next run goes on",
    );
    assert!(lines.contains(&"fetched small".to_owned()), "{lines:?}");
    let left = place.all_here();
    assert!(
        left[0].starts_with(".big.") && left[0].ends_with(".hoist-part"),
        "{left:?}"
    );
    assert_eq!(left.len(), 2);
    let mut way = Here::default();
    let moved = Rc::clone(&way.moved);
    let (lines, result) = place.get(&["big"], &mut way);
    assert_eq!(result, Ok(()));
    assert_eq!(moved.get(), 1 << 20);
    assert_eq!(lines[0], "fetched big, gone on with at byte 2097152");
    assert!(fs::read(place.here("big")).unwrap() == content);
    assert_eq!(place.all_here(), ["big", "small"]);
}

#[test]
fn a_part_that_is_wrong_is_fetched_anew_and_one_of_another_file_goes() {
    let place = Place::new();
    let content = megabytes(2);
    place.write("big", &content);
    let cut = || Here {
        cut_at: Some(1 << 20),
        ..Here::default()
    };
    place.get(&["big"], &mut cut()).1.unwrap_err();
    let part = place.here(&place.all_here()[0]);
    let file = fs::File::options().write(true).open(&part).unwrap();
    file.write_all_at(b"wrong", 0).unwrap();
    let lines = place.gets(&["big"]);
    assert_eq!(
        lines,
        ["fetched big", "1 fetched, 2097152 bytes; 0 unchanged"]
    );
    assert!(fs::read(place.here("big")).unwrap() == content);

    let mut forced = place.wants(&["big"]);
    forced.is_forced = true;
    carry_out(&forced, &mut cut()).1.unwrap_err();
    assert_eq!(place.all_here().len(), 2);
    place.write("big", &content[1..]);
    let lines = place.gets(&["big"]);
    assert_eq!(lines[0], "fetched big");
    assert_eq!(place.all_here(), ["big"]);
}

#[test]
fn nothing_is_left_of_a_small_file_even_if_nobody_waits_any_more() {
    let place = Place::new();
    place.write("small", vec![1; 200_000]);
    place.write("tall", megabytes(2));
    for hangs in [false, true] {
        let mut way = Here {
            cut_at: Some(100_000),
            hangs,
            ..Here::default()
        };
        if hangs {
            let wanted = place.wants(&["small"]);
            let host = HostName::parse("web1").unwrap();
            let (mut site, mut report) = (NoSite, Report::default());
            let work = Errand::new(&wanted, &mut way, &mut site, &mut report).work(0, &host);
            let mut work = Box::pin(work);
            let waker = std::task::Waker::noop();
            let mut context = std::task::Context::from_waker(waker);
            assert!(work.as_mut().poll(&mut context).is_pending());
            assert_eq!(place.all_here().len(), 1);
        } else {
            let (_, result) = place.get(&["small"], &mut way);
            assert_eq!(result.unwrap_err().message, "the link is gone");
        }
        assert!(place.all_here().is_empty());
    }
    let mut way = Here {
        cut_at: Some(1 << 20),
        hangs: true,
        ..Here::default()
    };
    {
        let wanted = place.wants(&["tall"]);
        let host = HostName::parse("web1").unwrap();
        let (mut site, mut report) = (NoSite, Report::default());
        let mut work =
            Box::pin(Errand::new(&wanted, &mut way, &mut site, &mut report).work(0, &host));
        let mut context = std::task::Context::from_waker(std::task::Waker::noop());
        assert!(work.as_mut().poll(&mut context).is_pending());
    }
    assert_eq!(
        fs::metadata(place.here(&place.all_here()[0]))
            .unwrap()
            .len(),
        1 << 20
    );
}

#[test]
fn a_file_that_changes_is_whole_or_refused() {
    let place = Place::new();
    place.write("log", "first");
    place.write("cut", "long enough");
    place.write("fine", "fine");
    let mut way = Here {
        before_reading: Some(|path| {
            if path.ends_with("log") {
                fs::write(path, "first and more").unwrap();
            } else if path.ends_with("cut") {
                fs::write(path, "short").unwrap();
            }
        }),
        ..Here::default()
    };
    let (lines, result) = place.get(&["log", "cut", "fine"], &mut way);
    failed(
        result,
        Kind::Transfer,
        "cut`: it changed while it was read: 5 of 11 bytes",
    );
    assert!(lines.contains(&"fetched log, its first 5 bytes: it grew meanwhile".to_owned()));
    assert_eq!(fs::read(place.here("log")).unwrap(), b"first");
    assert_eq!(place.all_here(), ["fine", "log"]);
}

#[test]
fn files_that_say_they_are_empty_are_read() {
    let folder = tempfile::tempdir().unwrap();
    let wanted = Get {
        wanted: vec![vec!["/proc/self/status".into()]],
        dir: folder.path().to_owned(),
        ..Get::default()
    };
    assert_eq!(carry_out(&wanted, &mut Here::default()).1, Ok(()));
    let status = fs::read_to_string(folder.path().join("web1/status")).unwrap();
    assert!(status.starts_with("Name:"), "{status}");
}

#[test]
fn holes_take_no_room() {
    let place = Place::new();
    let mut content = vec![0; 8 << 20];
    content[5 << 20] = 1;
    place.write("sparse", &content);
    place.gets(&["sparse"]);
    let here = fs::metadata(place.here("sparse")).unwrap();
    assert!(here.blocks() * 512 < 1 << 20, "{} blocks", here.blocks());
    assert!(fs::read(place.here("sparse")).unwrap() == content);
}

#[test]
fn a_folder_that_cannot_be_listed_does_not_keep_the_others() {
    let place = Place::new();
    place.write("top/a/x", "x");
    place.write("top/secret/y", "y");
    place.write("top/z", "z");
    let mut way = Here {
        denies: Some(place.there("top/secret")),
        ..Here::default()
    };
    let (_, result) = place.get(&["top"], &mut way);
    failed(result, Kind::Transfer, "top/secret`: permission denied");
    assert_eq!(
        place.all_here(),
        ["top", "top/a", "top/a/x", "top/secret", "top/z"]
    );
}

#[test]
fn devices_are_left_out_and_that_is_no_failure() {
    let place = Place::new();
    place.write("top/a", "a");
    let fifo = place.there("top/fifo");
    rustix::fs::mkfifoat(rustix::fs::CWD, &fifo, 0o600.into()).unwrap();
    let lines = place.gets(&["top"]);
    assert_eq!(lines[0], "left out top/fifo: a device, a socket or a pipe");
    assert_eq!(place.all_here(), ["top", "top/a"]);
}

#[test]
fn a_dry_run_writes_nothing() {
    let place = Place::new();
    place.write("top/a", "a");
    let dry = Get {
        is_dry: true,
        ..place.wants(&["top"])
    };
    let (lines, result) = carry_out(&dry, &mut Here::default());
    assert_eq!(
        (lines, result),
        (vec!["would fetch top/a".to_owned()], Ok(()))
    );
    assert!(!place.folder.path().join("here").exists());
    place.gets(&["top"]);
    let (lines, _) = carry_out(&dry, &mut Here::default());
    assert_eq!(lines[0], "unchanged top/a");
}

#[test]
fn the_longest_name_fits_and_two_runs_do_not_mix() {
    let place = Place::new();
    let name = "n".repeat(255);
    place.write(&name, megabytes(1));
    place.gets(&[&name]);
    assert_eq!(place.all_here(), std::slice::from_ref(&name));
    let host = HostName::parse("web1").unwrap();
    let held = Keep::open(&place.folder.path().join("here"), &host).unwrap();
    let (_, result) = place.get(&[&name], &mut Here::default());
    failed(result, Kind::Internal, "another hoist is fetching into it");
    drop(held);
    place.gets(&[&name]);
}

#[test]
fn same_names_are_known_from_the_words() {
    let check = |words: &[&str]| {
        let sources = words.iter().map(|word| Source::read(OsStr::new(word)));
        Source::check(&sources.collect::<Result<Vec<_>, _>>().unwrap())
    };
    assert!(
        check(&["/a/x", "b/x"])
            .unwrap_err()
            .contains("would both be `x`")
    );
    assert!(check(&["x", "x"]).is_err());
    assert!(check(&["x", "*/x"]).is_err());
    assert!(check(&["/a/x", "b/x/", "x*", "..", ".."]).is_ok());
    assert!(Source::read(OsStr::new("")).is_err());
}
