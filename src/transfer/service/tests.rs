//! What a host's file service may answer, and what is made of it.

use std::cell::Cell;
use std::fs;
use std::os::unix::fs::symlink;
use std::process;

use async_io::block_on;

use super::*;
use crate::remote::{Content, Exec};
use crate::transfer::{Ran, Scripts};
use crate::transport::files::Wanted;

/// Counts what it is told.
#[derive(Default)]
struct Watch {
    signs: Cell<usize>,
}

impl Site for Watch {
    fn run(&mut self, _: Exec) -> Work<'_, Result<Ran, Trouble>> {
        unreachable!("nothing is executed")
    }
    fn stream<'a>(
        &'a mut self,
        _: Exec,
        _: &'a mut dyn FnMut(&[u8]) -> io::Result<()>,
    ) -> Work<'a, Result<Ran, Trouble>> {
        unreachable!("nothing is executed")
    }
    fn files(&mut self) -> Work<'_, Result<Box<dyn Files>, FileError>> {
        unreachable!("they are open")
    }
    fn over(&self) -> Work<'_, Trouble> {
        Box::pin(std::future::pending())
    }
    fn progressed(&self) {
        self.signs.set(self.signs.get() + 1);
    }
    fn gauge(&self, total: u64) -> Arc<Gauge> {
        Arc::new(Gauge::new(total, |_, _| ()))
    }
}

/// Each folder holds one with a long name, down to the deepest, which holds as much as may be.
struct Deep;

fn attributes(kind: FileKind) -> Attributes {
    Attributes {
        kind,
        size: 0,
        mode: 0o755,
        modified: 0,
    }
}

fn now<'a, T: 'a>(value: T) -> Work<'a, Result<T, FileError>> {
    Box::pin(std::future::ready(Ok(value)))
}

impl Files for Deep {
    fn look<'a>(&'a self, _: &'a Path, _: bool) -> Work<'a, Result<Option<Attributes>, FileError>> {
        now(Some(attributes(FileKind::Folder)))
    }
    fn real_path<'a>(&'a self, path: &'a Path) -> Work<'a, Result<PathBuf, FileError>> {
        now(path.to_owned())
    }
    fn list<'a>(
        &'a self,
        folder: &'a Path,
    ) -> Work<'a, Result<Vec<(OsString, Attributes)>, FileError>> {
        if folder.as_os_str().len() < 32_000 {
            return now(vec![("n".repeat(255).into(), attributes(FileKind::Folder))]);
        }
        let names = (0..100_000).map(|n| (n.to_string().into(), attributes(FileKind::File)));
        now(names.collect())
    }
    fn make_folder<'a>(&'a self, _: &'a Path, _: u32) -> Work<'a, Result<(), FileError>> {
        now(())
    }
    fn make_link<'a>(&'a self, _: &'a Path, _: &'a Path) -> Work<'a, Result<(), FileError>> {
        now(())
    }
    fn read_link<'a>(&'a self, path: &'a Path) -> Work<'a, Result<PathBuf, FileError>> {
        now(path.to_owned())
    }
    fn set<'a>(&'a self, _: &'a Path, _: Wanted) -> Work<'a, Result<(), FileError>> {
        now(())
    }
    fn replace<'a>(&'a self, _: &'a Path, _: &'a Path) -> Work<'a, Result<(), FileError>> {
        now(())
    }
    fn remove<'a>(&'a self, _: &'a Path) -> Work<'a, Result<(), FileError>> {
        Box::pin(std::future::ready(Err(FileError {
            reason: FileReason::Missing,
            message: "no such file or folder".to_owned(),
        })))
    }
    fn remove_folder<'a>(&'a self, _: &'a Path) -> Work<'a, Result<(), FileError>> {
        now(())
    }
    fn store<'a>(
        &'a self,
        _: &'a Path,
        _: &'a dyn Content,
        _: Wanted,
        _: &'a dyn Fn(u64),
    ) -> Work<'a, Result<(), FileError>> {
        now(())
    }
    fn fetch<'a>(
        &'a self,
        _: &'a Path,
        offset: u64,
        _: &'a mut dyn FnMut(&[u8], u64) -> io::Result<()>,
    ) -> Work<'a, Result<u64, FileError>> {
        now(offset)
    }
}

fn service() -> Service {
    let around = Exec::new(Command::Argv(Vec::new()));
    Service::new(Box::new(Deep), Box::new(Scripts::new(around)))
}

#[test]
fn a_host_can_not_fill_the_memory_with_long_paths() {
    let mut site = Watch::default();
    let listed = block_on(service().below(&mut site, Path::new("top")));
    let trouble = listed.unwrap_err();
    assert_eq!(trouble.kind, Kind::Transfer);
    let message = &trouble.message;
    assert!(message.starts_with("there are too many files"), "{message}");
}

#[test]
fn all_that_a_host_does_is_a_sign_of_life() {
    let paths: Vec<PathBuf> = (0..300).map(|n| n.to_string().into()).collect();
    let mut site = Watch::default();
    block_on(service().survey(&mut site, &paths)).unwrap();
    assert!(site.signs.take() >= paths.len());
    let files: Vec<_> = paths.iter().map(|path| (path.clone(), 0)).collect();
    block_on(service().fetch(&mut site, &files, &mut |_, _, _| Ok(()))).unwrap();
    assert!(site.signs.take() >= paths.len());
    let removed = |path: &PathBuf| Change {
        path: path.clone(),
        old: None,
        what: What::Remove,
    };
    let changes = Changes {
        list: paths.iter().map(removed).collect(),
        ..Changes::default()
    };
    let gauge = site.gauge(0);
    block_on(service().apply(&mut site, &changes, gauge)).unwrap();
    assert!(site.signs.take() >= paths.len());
}

/// Moves `from` to `to` as hosts do; returns whether that worked.
fn is_moved(dir: &Path, to: &str) -> bool {
    fs::write(dir.join("from"), "new").unwrap();
    let mut command = process::Command::new("sh");
    command
        .current_dir(dir)
        .args(["-c", MOVE, "sh", "from", to]);
    command.status().unwrap().success()
}

#[test]
fn a_file_takes_the_place_of_a_link_and_never_goes_into_a_folder() {
    let dir = tempfile::tempdir().unwrap();
    let dir = dir.path();
    fs::create_dir(dir.join("folder")).unwrap();
    symlink("folder", dir.join("link")).unwrap();
    fs::write(dir.join("-f"), "old").unwrap();
    for to in ["link", "-f", "new"] {
        assert!(is_moved(dir, to), "{to}");
        assert_eq!(fs::read_to_string(dir.join(to)).unwrap(), "new");
    }
    assert!(!is_moved(dir, "folder"));
    assert_eq!(fs::read_dir(dir.join("folder")).unwrap().count(), 0);
}
