//! The private folder of a run: sockets, logs and what is written down for `ssh` alone.
//!
//! Only its owner can enter it. It is gone with the run, also when hoist is killed: a shell waits
//! at the other end of a pipe, and when that closes it removes the folder and ends what is left of
//! the processes that it was told of.

use std::fs::{File, Permissions};
use std::io::{self, Write};
use std::os::unix::fs::PermissionsExt;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use async_io::Async;
use rustix::fs::{Mode, OFlags};

/// Waits for the end of hoist and hears meanwhile which process groups are at work: what an `ssh`
/// has started in turn doesn't end with it. Removing is tried again, as something that ends at the
/// same time may still be at work there.
const KEEPER: &str = r#"trap '' HUP INT TERM
hoist_all=' '
while read -r hoist_do hoist_id; do
case $hoist_do in
begun) hoist_all="$hoist_all$hoist_id ";;
ended) case $hoist_all in
*" $hoist_id "*) hoist_all="${hoist_all%% "$hoist_id" *} ${hoist_all#* "$hoist_id" }"
esac
esac
done
for hoist_id in $hoist_all; do
kill -TERM -- "-$hoist_id" 2>/dev/null || kill -TERM "-$hoist_id" 2>/dev/null
done
rm -rf -- "$1" 2>/dev/null
[ ! -e "$1" ] || { sleep 1; rm -rf -- "$1"; }"#;

/// A folder that is removed when it is dropped, or when hoist is gone.
pub(super) struct Folder {
    path: PathBuf,
    keeper: Child,
    /// Where the keeper hears.
    ear: Mutex<Option<ChildStdin>>,
    numbers: AtomicUsize,
}

/// A process group that the keeper ends when hoist is gone.
pub(super) struct Watched {
    folder: Arc<Folder>,
    group: u32,
}

impl Folder {
    /// Makes a folder in `base`.
    pub(super) fn make_in(base: &Path) -> io::Result<Self> {
        let folder = tempfile::Builder::new()
            .prefix("hoist-")
            .permissions(Permissions::from_mode(0o700))
            .tempdir_in(base)?;
        let mut keeper = Command::new("/bin/sh")
            .args(["-c", KEEPER, "sh"])
            .arg(folder.path())
            .env_clear()
            .env("PATH", "/usr/bin:/bin")
            .current_dir("/")
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            // Ctrl-C is not for it.
            .process_group(0)
            .spawn()?;
        Ok(Self {
            path: folder.keep(),
            ear: Mutex::new(keeper.stdin.take()),
            keeper,
            numbers: AtomicUsize::new(0),
        })
    }

    /// Returns the path of a file that isn't there yet. Short: the path of a socket may have some
    /// hundred bytes.
    pub(super) fn place(&self, kind: &str) -> PathBuf {
        let number = self.numbers.fetch_add(1, Ordering::Relaxed);
        self.path.join(format!("{kind}{number}"))
    }

    /// Has a process group ended with hoist, until this is dropped.
    pub(super) fn watch(self: &Arc<Self>, group: u32) -> Watched {
        self.tell("begun", group);
        Watched {
            folder: Arc::clone(self),
            group,
        }
    }

    fn tell(&self, what: &str, group: u32) {
        let mut ear = self.ear.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(ear) = &mut *ear {
            // Without a keeper, hoist itself still ends what it has started.
            let _ = writeln!(ear, "{what} {group}");
        }
    }

    /// Makes a pipe with a name: `ssh` writes its log to files only.
    pub(super) fn pipe(&self) -> io::Result<(PathBuf, Async<File>)> {
        let path = self.place("l");
        let mode = Mode::RUSR | Mode::WUSR;
        #[cfg(not(target_vendor = "apple"))]
        rustix::fs::mknodat(
            rustix::fs::CWD,
            &path,
            rustix::fs::FileType::Fifo,
            mode,
            rustix::fs::makedev(0, 0),
        )?;
        #[cfg(target_vendor = "apple")]
        rustix::fs::mkfifoat(rustix::fs::CWD, &path, mode)?;
        // Open for writing too, so that it has no end before it has a beginning.
        let flags = OFlags::RDWR | OFlags::NONBLOCK | OFlags::CLOEXEC;
        let file = File::from(rustix::fs::open(&path, flags, Mode::empty())?);
        Ok((path, Async::new(file)?))
    }
}

impl Drop for Watched {
    fn drop(&mut self) {
        self.folder.tell("ended", self.group);
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let ear = self.ear.get_mut().unwrap_or_else(PoisonError::into_inner);
        drop(ear.take());
        // It has nothing to do but to remove the folder.
        let _ = self.keeper.wait();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_folder_is_private_and_goes_with_its_owner() {
        let base = tempfile::tempdir().unwrap();
        let folder = Folder::make_in(base.path()).unwrap();
        let path = folder.path.clone();
        let mode = std::fs::metadata(&path).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o700);
        let (pipe, _) = folder.pipe().unwrap();
        assert!(pipe.starts_with(&path));
        assert_ne!(folder.place("m"), folder.place("m"));
        drop(folder);
        assert!(!path.exists());
    }

    #[test]
    fn groups_that_are_watched_end_with_it_and_others_do_not() {
        let base = tempfile::tempdir().unwrap();
        let folder = Arc::new(Folder::make_in(base.path()).unwrap());
        let mut sleepers: Vec<Child> = (0..3)
            .map(|_| {
                let mut sleep = Command::new("/bin/sleep");
                sleep.arg("60").process_group(0).spawn().unwrap()
            })
            .collect();
        let watched: Vec<Watched> = sleepers
            .iter()
            .map(|sleeper| folder.watch(sleeper.id()))
            .collect();
        let [first, second, third] = <[Watched; 3]>::try_from(watched).ok().unwrap();
        drop(second);
        // As if hoist were gone: nobody says that they have ended.
        folder.ear.lock().unwrap().take();
        assert!(!sleepers[0].wait().unwrap().success());
        assert!(!sleepers[2].wait().unwrap().success());
        assert!(sleepers[1].try_wait().unwrap().is_none());
        sleepers[1].kill().unwrap();
        sleepers[1].wait().unwrap();
        drop((first, third));
    }
}
