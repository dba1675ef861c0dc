//! A temporary folder with files in it.

use std::ffi::OsStr;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::fs::inotify;
use rustix::process::{Pid, PidfdFlags, Signal, kill_process, pidfd_open};
use tempfile::TempDir;

/// A folder that is gone when dropped, unless somebody else owns it.
pub(crate) struct Tree {
    path: PathBuf,
    _owned: Option<TempDir>,
}

impl Tree {
    /// Makes an empty folder that everybody may pass through, as other accounts have homes in it.
    pub(crate) fn new() -> Self {
        let folder = tempfile::Builder::new()
            .prefix("hoist-test-")
            .tempdir()
            .expect("a temporary folder can be made");
        set_mode(folder.path(), 0o755);
        Self {
            path: folder.path().to_owned(),
            _owned: Some(folder),
        }
    }

    /// Uses a folder that somebody else made and will remove.
    pub(crate) fn of(path: PathBuf) -> Self {
        Self { path, _owned: None }
    }

    /// Returns where it is.
    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// Returns the path of something in it.
    pub(crate) fn join(&self, name: impl AsRef<Path>) -> PathBuf {
        self.path().join(name)
    }

    /// Makes a folder in it, with those above.
    pub(crate) fn folder(&self, name: &str) -> PathBuf {
        let path = self.join(name);
        fs::create_dir_all(&path).unwrap();
        path
    }

    /// Writes a file in it, making the folders above.
    pub(crate) fn write(&self, name: &str, content: impl AsRef<[u8]>) -> PathBuf {
        let path = self.join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(&path, content).unwrap();
        path
    }

    /// Writes a file with the given mode.
    pub(crate) fn write_with_mode(
        &self,
        name: &str,
        content: impl AsRef<[u8]>,
        mode: u32,
    ) -> PathBuf {
        let path = self.write(name, content);
        set_mode(&path, mode);
        path
    }

    /// Returns the content of a file in it; fails the test where there is none.
    #[track_caller]
    pub(crate) fn read(&self, name: &str) -> Vec<u8> {
        let path = self.join(name);
        fs::read(&path).unwrap_or_else(|error| panic!("cannot read {}: {error}", path.display()))
    }

    /// Returns the names of what a folder in it holds, sorted.
    #[track_caller]
    pub(crate) fn list(&self, name: &str) -> Vec<String> {
        let path = self.join(name);
        let entries = fs::read_dir(&path)
            .unwrap_or_else(|error| panic!("cannot list {}: {error}", path.display()));
        let mut names: Vec<String> = entries
            .map(|entry| entry.unwrap().file_name().to_string_lossy().into_owned())
            .collect();
        names.sort_unstable();
        names
    }
}

/// Waits until a folder holds nothing; `false` when it still does after so long.
pub(crate) fn is_emptied(folder: &Path, patience: Duration) -> bool {
    let is_empty = || fs::read_dir(folder).unwrap().next().is_none();
    comes_true(folder, patience, is_empty)
}

/// Waits until a file or folder is not there any more; `false` when it still is after so long.
pub(crate) fn is_removed(path: &Path, patience: Duration) -> bool {
    comes_true(path.parent().unwrap(), patience, || !path.exists())
}

/// Waits until something is so, which is looked at whenever something leaves a folder.
fn comes_true(folder: &Path, patience: Duration, is_so: impl Fn() -> bool) -> bool {
    let watch = inotify::init(inotify::CreateFlags::CLOEXEC).unwrap();
    let leaving = inotify::WatchFlags::DELETE | inotify::WatchFlags::MOVED_FROM;
    inotify::add_watch(&watch, folder, leaving).unwrap();
    let deadline = Instant::now() + patience;
    while !is_so() {
        let left = deadline.saturating_duration_since(Instant::now());
        let left = Timespec::try_from(left).unwrap();
        let mut watched = [PollFd::new(&watch, PollFlags::IN)];
        if poll(&mut watched, Some(&left)).unwrap() == 0 {
            return false;
        }
        rustix::io::read(&watch, &mut [0; 4096]).unwrap();
    }
    true
}

/// Sets the permissions of a file or folder.
pub(crate) fn set_mode(path: &Path, mode: u32) {
    fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
}

/// Returns the process ids that commands left in files `*.pid` of a folder, one each.
pub(crate) fn left_pids(folder: &Path) -> Vec<u32> {
    let Ok(entries) = fs::read_dir(folder) else {
        return Vec::new();
    };
    let paths = entries.flatten().map(|entry| entry.path());
    let pids = paths.filter(|path| path.extension() == Some(OsStr::new("pid")));
    pids.filter_map(|path| fs::read_to_string(path).ok()?.trim().parse().ok())
        .collect()
}

/// Returns the process ids of all that a process has started, directly or not.
pub(crate) fn descendants(root: u32) -> Vec<u32> {
    let numbers = fs::read_dir("/proc").into_iter().flatten().flatten();
    let pids = numbers.filter_map(|entry| entry.file_name().to_str()?.parse().ok());
    let pairs: Vec<(u32, u32)> = pids.filter_map(|pid| Some((pid, parent(pid)?))).collect();
    let mut found = vec![root];
    let mut next = 0;
    while let Some(&pid) = found.get(next) {
        found.extend(
            pairs
                .iter()
                .filter(|(_, of)| *of == pid)
                .map(|(child, _)| *child),
        );
        next += 1;
    }
    found.split_off(1)
}

fn parent(pid: u32) -> Option<u32> {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    // The name, in parentheses, may hold anything; state and parent follow the last one.
    stat.rsplit(')')
        .next()?
        .split_whitespace()
        .nth(1)?
        .parse()
        .ok()
}

/// Returns the process ids of all whose arguments or environment hold a text.
pub(crate) fn processes_naming(text: &str) -> Vec<u32> {
    let numbers = fs::read_dir("/proc").into_iter().flatten().flatten();
    let pids = numbers.filter_map(|entry| entry.file_name().to_str()?.parse().ok());
    let holds = |pid: u32, file: &str| {
        let bytes = fs::read(format!("/proc/{pid}/{file}")).unwrap_or_default();
        String::from_utf8_lossy(&bytes).contains(text)
    };
    pids.filter(|pid| holds(*pid, "cmdline") || holds(*pid, "environ"))
        .collect()
}

/// Ends a process at once, if it is there.
pub(crate) fn kill(pid: u32) {
    let pid = i32::try_from(pid).ok().and_then(Pid::from_raw);
    pid.map(|pid| kill_process(pid, Signal::KILL));
}

/// Waits until a process has ended; `false` when it hasn't after so long.
pub(crate) fn is_gone(pid: u32, patience: Duration) -> bool {
    let id = Pid::from_raw(pid.cast_signed()).expect("a process id is not 0");
    // Who can't be watched any more is gone.
    let Ok(process) = pidfd_open(id, PidfdFlags::empty()) else {
        return true;
    };
    let mut watched = [PollFd::new(&process, PollFlags::IN)];
    let patience = Timespec::try_from(patience).unwrap();
    poll(&mut watched, Some(&patience)).unwrap() == 1
}

/// Whether a process is there and is no corpse.
pub(crate) fn is_running(pid: u32) -> bool {
    let Ok(stat) = fs::read_to_string(format!("/proc/{pid}/stat")) else {
        return false;
    };
    // The name, in parentheses, may hold anything; the state follows the last one.
    let state = stat.rsplit(')').next().unwrap_or_default();
    !state.trim_start().starts_with(['Z', 'X'])
}
