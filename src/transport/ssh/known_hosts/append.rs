//! Adds lines to a `known_hosts` file that other programs read and write at the same time.
//!
//! Every line is whole: all lines of a call go out in one write at the end of the file, under an
//! exclusive lock against others of our kind. OpenSSH takes no lock; `O_APPEND` keeps its lines
//! and ours apart, and a file that it replaced while we waited is noticed and opened anew.

use std::fs::{DirBuilder, File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::{DirBuilderExt, FileExt, MetadataExt, OpenOptionsExt};
use std::path::Path;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use rustix::fs::FlockOperation;

use super::{algorithm, names};
use crate::host::escaped;

/// How often a file may be replaced under us before we give up.
const MAX_REPLACED: usize = 100;

/// Appends one line for each host and key, in order, with a single write; may block for the lock.
///
/// A missing file is made with mode 0600, its missing folder (`~/.ssh`) with mode 0700. A file
/// whose last line is not ended gets its line feed first.
///
/// # Errors
/// When a host can't be named in a `known_hosts` file, or the file can't be opened, locked or
/// written. After a short write (a full disk) the last line may be cut; readers skip such a line.
pub(super) fn append(path: &Path, lines: &[(String, Vec<u8>)], is_hashed: bool) -> io::Result<()> {
    if lines.is_empty() {
        return Ok(());
    }
    let mut text = vec![b'\n'];
    for (form, blob) in lines {
        check_form(form)?;
        let name = if is_hashed {
            names::hashed(form)?
        } else {
            form.clone()
        };
        text.extend_from_slice(line(&name, blob).as_bytes());
    }
    make_folder(path)?;
    let file = open_locked(path)?;
    let start = usize::from(is_last_line_ended(&file)?);
    write_once(&file, &text[start..])
}

fn line(form: &str, blob: &[u8]) -> String {
    format!("{form} {} {}\n", algorithm(blob), STANDARD.encode(blob))
}

/// Refuses what would be read back as something else than this one host.
fn check_form(form: &str) -> io::Result<()> {
    let is_special = |byte: u8| byte <= b' ' || byte == 0x7f || b",*?!|#@'\"\\".contains(&byte);
    if form.is_empty() || form.bytes().any(is_special) {
        let message = format!(
            "`{}` can't be named in a known_hosts file; use a plain host name or address",
            escaped(form)
        );
        return Err(io::Error::new(io::ErrorKind::InvalidInput, message));
    }
    Ok(())
}

fn make_folder(path: &Path) -> io::Result<()> {
    let Some(folder) = path
        .parent()
        .filter(|folder| !folder.as_os_str().is_empty())
    else {
        return Ok(());
    };
    match DirBuilder::new().mode(0o700).create(folder) {
        Err(error) if error.kind() != io::ErrorKind::AlreadyExists => Err(error),
        _ => Ok(()),
    }
}

/// Opens the file that `path` names once the lock is held.
///
/// `ssh-keygen -R` and `-H` write a new file and rename it over the old one; a line appended to
/// the old one would be lost.
fn open_locked(path: &Path) -> io::Result<File> {
    for _ in 0..MAX_REPLACED {
        let file = OpenOptions::new()
            .read(true)
            .append(true)
            .create(true)
            .mode(0o600)
            .open(path)?;
        let opened = file.metadata()?;
        if !opened.is_file() {
            // `/dev/null`: nothing to keep, and a lock on it would be everybody's.
            return Ok(file);
        }
        rustix::io::retry_on_intr(|| rustix::fs::flock(&file, FlockOperation::LockExclusive))?;
        match std::fs::metadata(path) {
            Ok(named) if (named.dev(), named.ino()) == (opened.dev(), opened.ino()) => {
                return Ok(file);
            }
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            _ => {}
        }
    }
    Err(io::Error::other("another program keeps replacing the file"))
}

fn is_last_line_ended(file: &File) -> io::Result<bool> {
    let length = file.metadata()?.len();
    let mut last = [b'\n'];
    if let Some(offset) = length.checked_sub(1) {
        file.read_exact_at(&mut last, offset)?;
    }
    Ok(last == *b"\n")
}

/// Writes all of `text` with one call: a second one could come after somebody else's line.
fn write_once(mut file: &File, text: &[u8]) -> io::Result<()> {
    loop {
        match file.write(text) {
            Ok(written) if written == text.len() => return Ok(()),
            Ok(_) => return Err(io::ErrorKind::StorageFull.into()),
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;
    use std::fs;
    use std::os::unix::fs::{PermissionsExt, symlink};
    use std::process::{Command, Stdio};
    use std::sync::Barrier;
    use std::thread;

    use super::*;
    use crate::transport::ssh::known_hosts::tests::blob;

    fn one(name: &str, key: u64) -> [(String, Vec<u8>); 1] {
        [(name.to_owned(), blob(key))]
    }

    #[test]
    fn a_missing_file_and_folder_are_made_private() {
        let home = tempfile::tempdir().unwrap();
        let path = home.path().join(".ssh/known_hosts");
        append(&path, &one("web1", 1), false).unwrap();
        append(&path, &one("[web1]:2222", 1), false).unwrap();
        let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
        assert_eq!(mode(&path), 0o600);
        assert_eq!(mode(path.parent().unwrap()), 0o700);
        let key =
            "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIAEAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA";
        assert_eq!(
            fs::read_to_string(&path).unwrap(),
            format!("web1 {key}\n[web1]:2222 {key}\n")
        );
    }

    #[test]
    fn a_last_line_without_an_end_gets_one() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("known_hosts");
        fs::write(&path, "# mine").unwrap();
        append(&path, &one("web1", 1), false).unwrap();
        append(&path, &one("web2", 2), false).unwrap();
        let text = fs::read_to_string(&path).unwrap();
        let starts: Vec<&str> = text.lines().map(|line| &line[..5]).collect();
        assert_eq!(starts, ["# min", "web1 ", "web2 "]);
    }

    #[test]
    fn a_name_that_reads_back_as_something_else_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("known_hosts");
        for name in [
            "", "a b", "a\nb", "*", "a,b", "!a", "|1|a|b", "@revoked", "#a",
        ] {
            let error = append(&path, &one(name, 1), false).unwrap_err();
            assert_eq!(error.kind(), io::ErrorKind::InvalidInput, "{name:?}");
        }
        assert!(!path.exists());
    }

    #[test]
    fn links_are_followed_and_devices_are_written_without_a_lock() {
        let folder = tempfile::tempdir().unwrap();
        let (target, link) = (folder.path().join("real"), folder.path().join("link"));
        symlink(&target, &link).unwrap();
        append(&link, &one("web1", 1), false).unwrap();
        assert_eq!(fs::read_to_string(&target).unwrap().lines().count(), 1);
        append(Path::new("/dev/null"), &one("web1", 1), false).unwrap();
        let full = append(Path::new("/dev/full"), &one("web1", 1), false).unwrap_err();
        assert_eq!(full.kind(), io::ErrorKind::StorageFull);
    }

    #[test]
    fn a_file_replaced_while_waiting_for_the_lock_is_opened_anew() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("known_hosts");
        fs::write(&path, "old\n").unwrap();
        let held = open_locked(&path).unwrap();
        thread::scope(|scope| {
            let appender = scope.spawn(|| append(&path, &one("web1", 1), false));
            wait_until_locked_out(&held);
            let new = folder.path().join("new");
            fs::write(&new, "new\n").unwrap();
            fs::rename(&new, &path).unwrap();
            drop(held);
            appender.join().unwrap().unwrap();
        });
        let text = fs::read_to_string(&path).unwrap();
        assert!(text.starts_with("new\nweb1 "), "{text}");
    }

    /// Returns once somebody waits for the lock on `file` (proc(5), `/proc/locks`).
    fn wait_until_locked_out(file: &File) {
        let inode = format!(":{} ", file.metadata().unwrap().ino());
        let is_waited_for = |line: &str| line.contains("-> FLOCK") && line.contains(&inode);
        while !fs::read_to_string("/proc/locks")
            .unwrap()
            .lines()
            .any(is_waited_for)
        {
            thread::yield_now();
        }
    }

    /// Names the file in the environment of this test's own child processes.
    const SHARED_FILE: &str = "HOIST_TEST_KNOWN_HOSTS";

    fn append_from_threads(path: &Path, prefix: &str, hosts: u64) {
        let threads = 10;
        let start = Barrier::new(threads);
        thread::scope(|scope| {
            for thread in 0..threads as u64 {
                let start = &start;
                scope.spawn(move || {
                    start.wait();
                    for host in (thread..hosts).step_by(threads) {
                        append(path, &one(&format!("{prefix}-{host}"), host), false).unwrap();
                    }
                });
            }
        });
    }

    #[test]
    #[expect(clippy::disallowed_methods, reason = "tells parent and child apart")]
    fn threads_and_processes_leave_only_whole_lines() {
        if let Some(path) = std::env::var_os(SHARED_FILE) {
            append_from_threads(path.as_ref(), &std::process::id().to_string(), 100);
            return;
        }
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join(".ssh/known_hosts");
        let own_name = concat!(
            module_path!(),
            "::threads_and_processes_leave_only_whole_lines"
        )
        .trim_start_matches("hoist::");
        let children: Vec<_> = (0..4)
            .map(|_| {
                Command::new(std::env::current_exe().unwrap())
                    .args([own_name, "--exact"])
                    .env(SHARED_FILE, &path)
                    .stdout(Stdio::null())
                    .spawn()
                    .unwrap()
            })
            .collect();
        append_from_threads(&path, "parent", 100);
        for mut child in children {
            assert!(child.wait().unwrap().success());
        }
        let text = fs::read_to_string(&path).unwrap();
        let hosts: HashSet<&str> = text.lines().map(whole_line).collect();
        assert_eq!((text.lines().count(), hosts.len()), (500, 500));
    }

    fn whole_line(line: &str) -> &str {
        let (name, _) = line.split_once(' ').unwrap();
        let (_, host) = name.rsplit_once('-').unwrap();
        let key = blob(host.parse().unwrap());
        assert_eq!(line, super::line(name, &key).trim_end());
        name
    }
}
