//! Files of a host over SFTP, through the library: what comes and goes, and in which order things may
//! go wrong.

use std::cell::Cell;
use std::ffi::OsString;
use std::fs::{self, File};
use std::future::poll_fn;
use std::io;
use std::ops::Range;
use std::os::unix::ffi::OsStringExt;
use std::os::unix::fs::{FileExt, MetadataExt};
use std::path::{Path, PathBuf};
use std::sync::Mutex;
use std::task::Poll;
use std::time::{Duration, Instant};

use async_io::block_on;
use hoist::remote::Content;
use hoist::transport::Session;
use hoist::transport::files::{FileError, FileKind, FileReason, Files, Wanted};
use rustix::fs::SeekFrom;

use crate::support::dropbear::Dropbear;
use crate::support::namespace::{Namespace, in_namespace};
use crate::support::session::{Login, joined, prints};
use crate::support::sshd::{self, Sshd};
use crate::support::tree::{Tree, set_mode};

mod faults;

/// Debian's own.
const SFTP_SERVER: &str = "/usr/lib/openssh/sftp-server";

/// Bytes none of which can be lost or swapped unseen.
#[derive(Debug)]
struct Made(Vec<u8>);

impl Made {
    fn new(length: usize) -> Self {
        let block: Vec<u8> = (0_u16..2048).flat_map(u16::to_be_bytes).collect();
        let mut bytes = block.repeat(length.div_ceil(block.len()));
        for (number, block) in (0_u32..).zip(bytes.chunks_mut(block.len())) {
            block[..4].copy_from_slice(&number.to_be_bytes());
        }
        bytes.truncate(length);
        Self(bytes)
    }
}

impl Content for Made {
    fn length(&self) -> u64 {
        self.0.len() as u64
    }

    fn read_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<usize> {
        let rest = &self.0[usize::try_from(offset).unwrap()..];
        let count = rest.len().min(buffer.len());
        buffer[..count].copy_from_slice(&rest[..count]);
        Ok(count)
    }
}

/// A content at which something happens when it is read from a place on, once.
struct Trap<'a> {
    inner: Made,
    place: u64,
    act: Mutex<Option<Box<dyn FnOnce() + Send + 'a>>>,
}

impl<'a> Trap<'a> {
    fn new(length: usize, place: u64, act: impl FnOnce() + Send + 'a) -> Self {
        Self {
            inner: Made::new(length),
            place,
            act: Mutex::new(Some(Box::new(act))),
        }
    }
}

impl std::fmt::Debug for Trap<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Trap")
    }
}

impl Content for Trap<'_> {
    fn length(&self) -> u64 {
        self.inner.length()
    }

    fn read_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<usize> {
        if offset >= self.place
            && let Some(act) = self.act.lock().unwrap().take()
        {
            act();
        }
        self.inner.read_at(buffer, offset)
    }
}

/// A file with holes.
#[derive(Debug)]
struct Sparse(File);

impl Content for Sparse {
    fn length(&self) -> u64 {
        self.0.length()
    }

    fn read_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<usize> {
        FileExt::read_at(&self.0, buffer, offset)
    }

    fn data_from(&self, offset: u64) -> Option<Range<u64>> {
        let start = rustix::fs::seek(&self.0, SeekFrom::Data(offset)).ok()?;
        let end = rustix::fs::seek(&self.0, SeekFrom::Hole(start)).unwrap();
        Some(start..end)
    }
}

async fn opened(session: &mut dyn Session) -> Box<dyn Files> {
    session
        .files()
        .await
        .unwrap_or_else(|error| panic!("{error}"))
}

async fn store(files: &dyn Files, path: &Path, content: &dyn Content) -> Result<u64, FileError> {
    let sent = Cell::new(0);
    let wanted = Wanted {
        mode: Some(0o4751),
        modified: Some(1_234_567_890),
    };
    let count = |bytes| sent.set(sent.get() + bytes);
    files.store(path, content, wanted, &count).await?;
    Ok(sent.get())
}

/// Reads a file to its end and checks that its parts come in order.
async fn fetch(files: &dyn Files, path: &Path, offset: u64) -> Result<Vec<u8>, FileError> {
    let mut fetched = Vec::new();
    let mut sink = |bytes: &[u8], place: u64| {
        assert_eq!(place, offset + fetched.len() as u64);
        fetched.extend_from_slice(bytes);
        Ok(())
    };
    let end = files.fetch(path, offset, &mut sink).await?;
    assert_eq!(end, offset + fetched.len() as u64);
    Ok(fetched)
}

/// Stores and fetches files of all kinds of lengths.
async fn round_trips(files: &dyn Files, folder: &Path) {
    for length in [
        0,
        1,
        32_768,
        300 * 1024,
        255 * 1024 * 4,
        9 * 1024 * 1024 + 7,
    ] {
        let content = Made::new(length);
        let path = folder.join(length.to_string());
        assert_eq!(store(files, &path, &content).await, Ok(length as u64));
        assert!(fs::read(&path).unwrap() == content.0, "{length} bytes");
        let known = fs::metadata(&path).unwrap();
        assert_eq!(known.mode() & 0o7777, 0o4751);
        assert_eq!(known.mtime(), 1_234_567_890);
        assert!(
            fetch(files, &path, 0).await.unwrap() == content.0,
            "{length} bytes"
        );
        let middle = length / 2 + 1;
        let rest = fetch(files, &path, middle as u64).await.unwrap();
        assert!(rest == content.0[middle.min(length)..], "{length} bytes");
        files.remove(&path).await.unwrap();
    }
}

#[test]
fn what_is_stored_is_what_comes_back() {
    let tree = Tree::new();
    let (inside, apart) = (Sshd::start(), Sshd::with().sftp(SFTP_SERVER).start());
    // New keys are agreed upon all the time.
    let rekeying = Sshd::with().line("RekeyLimit 100K").start();
    for sshd in [&inside, &apart, &rekeying] {
        block_on(async {
            let mut session = Login::to(sshd).session().await;
            let files = opened(&mut *session).await;
            round_trips(&*files, tree.path()).await;
            session.close().await;
        });
    }
}

#[test]
fn dropbear_gives_files_as_well() {
    in_namespace!(|namespace: &Namespace| {
        let dropbear = Dropbear::start(namespace);
        block_on(async {
            let mut session = Login::to_dropbear(&dropbear).session().await;
            let files = opened(&mut *session).await;
            round_trips(&*files, &namespace.tree().folder("files")).await;
        });
    });
}

#[test]
fn a_hole_stays_a_hole_and_takes_no_time() {
    let (tree, sshd) = (Tree::new(), Sshd::start());
    let source = tree.write("source", "begin");
    let file = File::options().read(true).write(true).open(source).unwrap();
    file.set_len(5 << 30).unwrap();
    FileExt::write_at(&file, b"middle", 4 << 30).unwrap();
    let path = tree.join("stored");
    block_on(async {
        let mut session = Login::to(&sshd).session().await;
        let files = opened(&mut *session).await;
        let sent = store(&*files, &path, &Sparse(file)).await.unwrap();
        assert!(sent < 1 << 20, "{sent} bytes were sent");
        let known = files.look(&path, false).await.unwrap().unwrap();
        assert_eq!(known.size, 5 << 30);
        let end = fetch(&*files, &path, (5 << 30) - 10).await.unwrap();
        assert_eq!(end, [0; 10]);
    });
    assert!(fs::metadata(&path).unwrap().blocks() < 4096);
    let mut middle = [0; 8];
    let stored = File::open(&path).unwrap();
    FileExt::read_at(&stored, &mut middle, (4 << 30) - 1).unwrap();
    assert_eq!(&middle, b"\0middle\0");
}

#[test]
fn many_small_files_share_their_round_trips() {
    let (tree, sshd) = (Tree::new(), Sshd::start());
    let delay = Duration::from_millis(20);
    let port = faults::delayed(sshd.port(), delay);
    block_on(async {
        let mut session = Login::of(&sshd, port, &sshd::user()).session().await;
        let files = opened(&mut *session).await;
        let paths: Vec<PathBuf> = (0..500).map(|n| tree.join(n.to_string())).collect();
        let contents: Vec<Made> = (0..500).map(Made::new).collect();
        let began = Instant::now();
        let stored = paths.iter().zip(&contents);
        let stored = stored.map(|(path, content)| store(&*files, path, content));
        for (length, result) in (0..).zip(joined(stored).await) {
            assert_eq!(result, Ok(length));
        }
        let fetched = joined(paths.iter().map(|path| fetch(&*files, path, 0))).await;
        for (content, result) in contents.iter().zip(fetched) {
            assert_eq!(result.as_ref(), Ok(&content.0));
        }
        // One after the other: two trips there and back for each of them at least.
        let alone = delay * 2 * 2 * 1000;
        assert!(began.elapsed() < alone / 5, "{:?}", began.elapsed());
    });
}

#[test]
fn large_and_small_files_go_together() {
    let (tree, sshd) = (Tree::new(), Sshd::start());
    block_on(async {
        let mut session = Login::to(&sshd).session().await;
        let files = opened(&mut *session).await;
        let lengths = [9 << 20, 1, 9 << 20, 100_000, 0];
        let contents = lengths.map(Made::new);
        let paths = [0, 1, 2, 3, 4].map(|n| tree.join(n.to_string()));
        let both = paths.iter().zip(&contents);
        let both = both.map(async |(path, content)| {
            let stored = store(&*files, path, content).await;
            (stored, fetch(&*files, path, 0).await)
        });
        for ((stored, fetched), content) in joined(both).await.into_iter().zip(&contents) {
            assert_eq!(stored, Ok(content.length()));
            assert!(fetched.unwrap() == content.0);
        }
    });
}

#[test]
fn tasks_of_their_own_wake_each_other() {
    let (tree, sshd) = (Tree::new(), Sshd::start());
    let mut session = block_on(Login::to(&sshd).session());
    let files = block_on(opened(&mut *session));
    let (files, tree) = (&*files, &tree);
    let executor = async_executor::LocalExecutor::new();
    block_on(executor.run(async {
        let tasks: Vec<_> = (0..50)
            .map(|n| {
                executor.spawn(async move {
                    let content = Made::new(n * 20_000);
                    let path = tree.join(n.to_string());
                    store(files, &path, &content).await.unwrap();
                    assert!(fetch(files, &path, 0).await.unwrap() == content.0);
                })
            })
            .collect();
        for task in tasks {
            task.await;
        }
    }));
}

#[test]
fn permissions_are_the_wanted_ones_whatever_the_hosts_umask() {
    let tree = Tree::new();
    for umask in ["0002", "0027", "0777"] {
        let sshd = Sshd::with()
            .sftp(format!("{SFTP_SERVER} -u {umask}"))
            .start();
        block_on(async {
            let mut session = Login::to(&sshd).session().await;
            let files = opened(&mut *session).await;
            for folder in ["one", "two", "one"] {
                let folder = tree.folder(&format!("{umask}/{folder}"));
                for (number, mode) in [0o600, 0o666, 0o644, 0o755, 0o664, 0o4755]
                    .iter()
                    .enumerate()
                {
                    let path = folder.join(number.to_string());
                    let wanted = Wanted {
                        mode: Some(*mode),
                        modified: None,
                    };
                    let _ = fs::remove_file(&path);
                    let content = Made::new(number);
                    files.store(&path, &content, wanted, &|_| {}).await.unwrap();
                    let file = fs::metadata(&path).unwrap();
                    assert_eq!(file.mode() & 0o7777, *mode, "{umask} {path:?}");
                    assert_eq!(file.len(), content.length());
                }
            }
        });
    }
}

#[test]
fn names_are_bytes() {
    let (tree, sshd) = (Tree::new(), Sshd::start());
    let mut names: Vec<OsString> = ["a\nb", " ", "-rf", "$(x)", "*", "ä", "'\"\\"]
        .map(OsString::from)
        .into();
    names.push(OsString::from_vec(vec![0xff, 0xfe, 7]));
    names.push("n".repeat(255).into());
    block_on(async {
        let mut session = Login::to(&sshd).session().await;
        let files = opened(&mut *session).await;
        for name in &names {
            let content = Made::new(name.len());
            store(&*files, &tree.join(name), &content).await.unwrap();
            assert_eq!(fs::read(tree.join(name)).unwrap(), content.0);
        }
        let mut listed = files.list(tree.path()).await.unwrap();
        listed.sort_by(|(a, _), (b, _)| a.cmp(b));
        names.sort_unstable();
        let found: Vec<&OsString> = listed.iter().map(|(name, _)| name).collect();
        assert_eq!(found, names.iter().collect::<Vec<_>>());
        for (name, known) in &listed {
            assert_eq!(known.size, name.len() as u64);
            assert_eq!((known.kind, known.mode), (FileKind::File, 0o4751));
            assert_eq!(known.modified, 1_234_567_890);
        }
    });
}

#[test]
fn a_folder_of_thousands_is_listed_whole() {
    let (tree, sshd) = (Tree::new(), Sshd::start());
    let expected: std::collections::BTreeSet<OsString> =
        (0..3000).map(|n| format!("entry {n}").into()).collect();
    for name in &expected {
        tree.write(name.to_str().unwrap(), "");
    }
    block_on(async {
        let mut session = Login::to(&sshd).session().await;
        let files = opened(&mut *session).await;
        let listed = files.list(tree.path()).await.unwrap();
        assert_eq!(listed.len(), 3000);
        let names = listed.into_iter().map(|(name, _)| name);
        assert_eq!(names.collect::<std::collections::BTreeSet<_>>(), expected);
        let empty = tree.folder("empty");
        assert_eq!(files.list(&empty).await, Ok(Vec::new()));
    });
}

#[test]
fn folders_and_links_are_made_looked_at_and_removed() {
    let (tree, sshd) = (Tree::new(), Sshd::start());
    block_on(async {
        let mut session = Login::to(&sshd).session().await;
        let files = opened(&mut *session).await;
        let folder = tree.join("folder");
        files.make_folder(&folder, 0o750).await.unwrap();
        let known = files.look(&folder, false).await.unwrap().unwrap();
        assert_eq!((known.kind, known.mode), (FileKind::Folder, 0o750));
        let (link, target) = (folder.join("link"), Path::new("../nowhere"));
        files.make_link(&link, target).await.unwrap();
        assert_eq!(fs::read_link(&link).unwrap(), target);
        assert_eq!(files.read_link(&link).await.unwrap(), target);
        let known = files.look(&link, false).await.unwrap().unwrap();
        assert_eq!(known.kind, FileKind::Link);
        assert_eq!(files.look(&link, true).await, Ok(None));
        let roundabout = folder.join("../folder/./");
        let real = fs::canonicalize(&folder).unwrap();
        assert_eq!(files.real_path(&roundabout).await, Ok(real));
        let refused = files.remove_folder(&folder).await.unwrap_err();
        assert_eq!(refused.reason, FileReason::Refused, "{refused}");
        let again = files.make_folder(&folder, 0o755).await.unwrap_err();
        assert_eq!(again.reason, FileReason::Refused, "{again}");
        files.remove(&link).await.unwrap();
        files.remove_folder(&folder).await.unwrap();
        assert_eq!(files.look(&folder, true).await, Ok(None));
        let missing = files.list(&folder).await.unwrap_err();
        assert_eq!(missing.reason, FileReason::Missing, "{missing}");
        let missing = fetch(&*files, &folder, 0).await.unwrap_err();
        assert_eq!(missing.message, "no such file or folder");
        let no_file = fetch(&*files, tree.path(), 0).await.unwrap_err();
        assert_eq!(no_file.reason, FileReason::Refused, "{no_file}");
        let long = tree.join("x".repeat(40_000));
        let long = files.remove(&long).await.unwrap_err();
        assert_eq!(long.reason, FileReason::Refused, "{long}");
    });
}

#[test]
fn a_file_takes_the_place_of_another_but_is_not_stored_over_it() {
    let (tree, sshd) = (Tree::new(), Sshd::start());
    let old = tree.write("old", "old");
    let new = tree.join("new");
    block_on(async {
        let mut session = Login::to(&sshd).session().await;
        let files = opened(&mut *session).await;
        let refused = store(&*files, &old, &Made::new(5)).await.unwrap_err();
        assert_eq!(refused.reason, FileReason::Refused);
        assert!(refused.message.contains("already"), "{refused}");
        assert_eq!(tree.read("old"), b"old");
        store(&*files, &new, &Made::new(5)).await.unwrap();
        files.replace(&new, &old).await.unwrap();
        assert_eq!(tree.read("old"), Made::new(5).0);
        assert_eq!(tree.list("."), ["old"]);
        let wanted = Wanted {
            mode: Some(0o640),
            modified: Some(1),
        };
        files.set(&old, wanted).await.unwrap();
        let known = fs::metadata(&old).unwrap();
        assert_eq!((known.mode() & 0o7777, known.mtime()), (0o640, 1));
    });
}

#[test]
fn an_account_may_not_do_everything() {
    in_namespace!(|namespace: &Namespace| {
        let sshd = Sshd::with().own_homes().start();
        let jane = namespace.account("jane", Path::new("/bin/sh"));
        namespace.authorize("jane", &sshd.client_key.public());
        let secret = namespace.tree().write_with_mode("secret", "s", 0o600);
        let folder = namespace.tree().folder("closed");
        set_mode(&folder, 0o755);
        block_on(async {
            let mut session = Login::of(&sshd, sshd.port(), "jane").session().await;
            let files = opened(&mut *session).await;
            assert_eq!(files.real_path(Path::new(".")).await, Ok(jane.home.clone()));
            let denied = [
                fetch(&*files, &secret, 0).await.map(drop),
                store(&*files, &folder.join("x"), &Made::new(1))
                    .await
                    .map(drop),
                files.make_folder(&folder.join("x"), 0o755).await,
                files.remove(&secret).await,
            ];
            for result in denied {
                let error = result.unwrap_err();
                assert_eq!(error.reason, FileReason::Denied);
                assert_eq!(error.message, "permission denied");
            }
            store(&*files, Path::new("mine"), &Made::new(1))
                .await
                .unwrap();
            assert_eq!(fs::metadata(jane.home.join("mine")).unwrap().uid(), jane.id);
        });
    });
}

#[test]
fn a_full_disk_is_told_and_nothing_is_left_on_it() {
    in_namespace!(|namespace: &Namespace| {
        let sshd = Sshd::start();
        let disk = namespace.disk("disk", "1m");
        block_on(async {
            let mut session = Login::to(&sshd).session().await;
            let files = opened(&mut *session).await;
            let path = disk.join("file");
            let full = store(&*files, &path, &Made::new(30 << 20))
                .await
                .unwrap_err();
            assert_eq!(full.reason, FileReason::Refused);
            assert!(full.message.contains("disk full"), "{full}");
            assert_eq!(namespace.tree().list("disk"), Vec::<String>::new());
            store(&*files, &path, &Made::new(1000)).await.unwrap();
        });
    });
}

#[test]
fn a_source_that_shrinks_leaves_nothing_behind() {
    #[derive(Debug)]
    struct Shrunk(Made);
    impl Content for Shrunk {
        fn length(&self) -> u64 {
            self.0.length() + 100_000
        }
        fn read_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<usize> {
            self.0.read_at(buffer, offset)
        }
    }
    let (tree, sshd) = (Tree::new(), Sshd::start());
    block_on(async {
        let mut session = Login::to(&sshd).session().await;
        let files = opened(&mut *session).await;
        for length in [0, 1_000_000] {
            let content = Shrunk(Made::new(length));
            let error = store(&*files, &tree.join("x"), &content).await.unwrap_err();
            assert_eq!(error.reason, FileReason::Own, "{error}");
            assert_eq!(tree.list("."), Vec::<String>::new());
        }
        round_trips(&*files, tree.path()).await;
    });
}

#[test]
fn a_sink_that_is_full_ends_its_own_file_alone() {
    let (tree, sshd) = (Tree::new(), Sshd::start());
    let content = Made::new(9 << 20);
    let path = tree.write("source", &content.0);
    block_on(async {
        let mut session = Login::to(&sshd).session().await;
        let files = opened(&mut *session).await;
        let full = async {
            let mut sink = |_: &[u8], place| match place {
                0..300_000 => Ok(()),
                _ => Err(io::Error::other("no room")),
            };
            let error = files.fetch(&path, 0, &mut sink).await.unwrap_err();
            assert_eq!(error.reason, FileReason::Own);
            assert!(error.message.contains("no room"), "{error}");
        };
        let whole = async { assert!(fetch(&*files, &path, 0).await.unwrap() == content.0) };
        futures_lite::future::zip(full, whole).await;
        round_trips(&*files, tree.path()).await;
    });
}

#[test]
fn a_file_may_grow_or_shrink_while_it_is_fetched() {
    let (tree, sshd) = (Tree::new(), Sshd::start());
    let content = Made::new(30 << 20);
    let (half, whole) = (&content.0[..15 << 20], &content.0[..]);
    for (before, after) in [(half, whole), (whole, half), (whole, &whole[..1])] {
        let path = tree.write("source", before);
        let mut fetched = Vec::new();
        block_on(async {
            let mut session = Login::to(&sshd).session().await;
            let files = opened(&mut *session).await;
            let mut sink = |bytes: &[u8], _| {
                if fetched.is_empty() {
                    let file = File::options().write(true).open(&path).unwrap();
                    file.set_len(after.len() as u64).unwrap();
                    file.write_all_at(after, 0).unwrap();
                }
                fetched.extend_from_slice(bytes);
                Ok(())
            };
            let end = files.fetch(&path, 0, &mut sink).await.unwrap();
            assert_eq!(end, fetched.len() as u64);
        });
        // What was on its way when it shrank is not wrong.
        assert!(fetched.len() >= after.len().min(half.len()));
        assert!(fetched == content.0[..fetched.len()]);
    }
}

#[test]
fn commands_run_between_files_and_after_one_that_was_given_up() {
    let (tree, sshd) = (Tree::new(), Sshd::start());
    let path = tree.join("given up");
    let content = Made::new(24 << 20);
    block_on(async {
        let mut session = Login::to(&sshd).session().await;
        for round in 0..5_u64 {
            let files = opened(&mut *session).await;
            let sent = Cell::new(0);
            let count = |bytes| sent.set(sent.get() + bytes);
            let mut storing = files.store(&path, &content, Wanted::default(), &count);
            poll_fn(|cx| {
                let polled = storing.as_mut().poll(cx);
                assert!(polled.is_pending());
                // Somewhere in the middle of a packet.
                if sent.get() > 100_000 * (1 + 7 * round) {
                    Poll::Ready(())
                } else {
                    Poll::Pending
                }
            })
            .await;
            drop(storing);
            drop(files);
            let line = format!("echo {round}; head -c 3000000 /dev/zero | wc -c");
            let printed = prints(&mut *session, &line).await;
            assert_eq!(printed, format!("{round}\n3000000\n"));
            let files = opened(&mut *session).await;
            round_trips(&*files, tree.path()).await;
            assert_eq!(tree.list("."), Vec::<String>::new(), "it was removed");
        }
    });
}
