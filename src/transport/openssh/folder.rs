//! The private folder of a run: sockets, logs and what is written down for `ssh` alone.
//!
//! Only its owner can enter it. It is gone with the run, also when hoist is killed: a shell waits
//! at the other end of a pipe that nobody writes to, and removes the folder when the pipe closes.

use std::fs::{File, Permissions};
use std::io;
use std::os::unix::fs::PermissionsExt;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicUsize, Ordering};

use async_io::Async;
use rustix::fs::{Mode, OFlags};

/// Waits for the end of hoist. Removing is tried again, as an `ssh` that ends at the same time may
/// still be at work there.
const KEEPER: &str = r#"trap '' HUP INT TERM
read -r hoist_end
rm -rf -- "$1" 2>/dev/null
[ ! -e "$1" ] || { sleep 1; rm -rf -- "$1"; }"#;

/// A folder that is removed when it is dropped, or when hoist is gone.
pub(super) struct Folder {
    path: PathBuf,
    keeper: Child,
    numbers: AtomicUsize,
}

impl Folder {
    /// Makes a folder in `base`.
    pub(super) fn make_in(base: &Path) -> io::Result<Self> {
        let folder = tempfile::Builder::new()
            .prefix("hoist-")
            .permissions(Permissions::from_mode(0o700))
            .tempdir_in(base)?;
        let keeper = Command::new("/bin/sh")
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

impl Drop for Folder {
    fn drop(&mut self) {
        drop(self.keeper.stdin.take());
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
}
