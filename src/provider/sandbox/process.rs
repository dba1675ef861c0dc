//! Processes of a server: its sshd, the sessions, and what was started in them.
//!
//! They are found by what they are, not by a number on disk, which may be another process by now:
//! the sshd by the configuration in its command line, what runs in sessions by its ancestors and by
//! the variable `HOIST_SANDBOX`.

use std::path::Path;
use std::thread;
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, getpid, kill_process};

use super::super::ProviderError;
use super::local;
use super::sshd::{CONFIGURATION, VARIABLE};

/// Processes that are still there this long after TERM are killed.
const PATIENCE: Duration = Duration::from_secs(1);

/// Nothing survives being killed for this long, unless the kernel is stuck.
const LIMIT: Duration = Duration::from_secs(10);

/// From one look to the next.
const POLL: Duration = Duration::from_millis(10);

/// The processes of this machine.
#[derive(Debug)]
pub(super) struct Table(Vec<Process>);

#[derive(Debug)]
struct Process {
    pid: Pid,
    parent: i32,
    /// Program and arguments, with blanks between.
    line: String,
}

impl Table {
    /// Whether the sshd of the server in `folder` is there.
    pub(super) fn has_listener(&self, folder: &Path) -> bool {
        self.listeners(folder).next().is_some()
    }

    fn listeners(&self, folder: &Path) -> impl Iterator<Item = Pid> {
        let path = folder.join(CONFIGURATION);
        let argument = format!(" -f {}", path.display());
        let is_listener = move |process: &&Process| is_listener(&process.line, &argument);
        self.0.iter().filter(is_listener).map(|process| process.pid)
    }

    /// Returns every process of the server in `folder`.
    fn members(&self, folder: &Path) -> Vec<Pid> {
        let mut members: Vec<Pid> = self.listeners(folder).collect();
        let of_session = self.0.iter().filter(|process| {
            let is_new = !members.contains(&process.pid);
            is_new && is_in_session(process.pid, folder)
        });
        let of_session: Vec<Pid> = of_session.map(|process| process.pid).collect();
        members.extend(of_session);
        let mut next = 0;
        while let Some(parent) = members.get(next).copied() {
            let parent = parent.as_raw_nonzero().get();
            let children = self.0.iter().filter(|process| process.parent == parent);
            let children: Vec<Pid> = children
                .map(|process| process.pid)
                .filter(|pid| !members.contains(pid))
                .collect();
            members.extend(children);
            next += 1;
        }
        members.retain(|pid| *pid != getpid());
        members
    }
}

/// Whether a command line is that of an sshd that listens, with the configuration that `argument`
/// names. It is `/usr/sbin/sshd -f …` at first and `sshd: /usr/sbin/sshd -f … [listener] …` later;
/// `-R` is a connection that was just accepted.
fn is_listener(line: &str, argument: &str) -> bool {
    let Some((program, rest)) = line.split_once(argument) else {
        return false;
    };
    let is_sshd = program.ends_with("/sshd") && !rest.split(' ').any(|word| word == "-R");
    is_sshd && (rest.is_empty() || rest.starts_with(' '))
}

/// Ends every process of the server in `folder`, and waits until they are gone.
pub(super) fn end(folder: &Path) -> Result<(), ProviderError> {
    let began_at = Instant::now();
    loop {
        let members = Table::read()?.members(folder);
        let taken = began_at.elapsed();
        if members.is_empty() {
            return Ok(());
        }
        if taken > LIMIT {
            return Err(local(format!(
                "cannot end {} processes of the server, the first is {}",
                members.len(),
                members[0].as_raw_nonzero()
            )));
        }
        let signal = if taken < PATIENCE {
            Signal::TERM
        } else {
            Signal::KILL
        };
        for pid in members {
            // One that ended by itself is what is wanted; others turn up again.
            kill_process(pid, signal).ok();
        }
        thread::sleep(POLL);
    }
}

#[cfg(target_os = "linux")]
impl Table {
    /// Reads it: proc(5).
    pub(super) fn read() -> Result<Self, ProviderError> {
        let folder = Path::new("/proc");
        let entries = std::fs::read_dir(folder)
            .map_err(|error| super::failed("read the processes in", folder, &error))?;
        let processes = entries.filter_map(|entry| {
            let entry = entry.ok()?;
            let pid = Pid::from_raw(entry.file_name().to_str()?.parse().ok()?)?;
            let line = std::fs::read(entry.path().join("cmdline")).ok()?;
            let stat = std::fs::read_to_string(entry.path().join("stat")).ok()?;
            // The name in parentheses may hold anything.
            let mut fields = stat.rsplit_once(')')?.1.split_ascii_whitespace();
            let is_over = matches!(fields.next()?, "Z" | "X");
            let parent = fields.next()?.parse().ok()?;
            let line = String::from_utf8_lossy(&line).replace('\0', " ");
            let line = line.trim_end().to_owned();
            (!is_over).then_some(Process { pid, parent, line })
        });
        Ok(Self(processes.collect()))
    }
}

/// Whether the process was started in a session of the server, or by what was.
#[cfg(target_os = "linux")]
fn is_in_session(pid: Pid, folder: &Path) -> bool {
    let path = format!("/proc/{}/environ", pid.as_raw_nonzero());
    let variable = format!("{VARIABLE}={}", folder.display());
    // That of other users' processes can't be read.
    let environment = std::fs::read(path).unwrap_or_default();
    let mut variables = environment.split(|b| *b == 0);
    variables.any(|entry| entry == variable.as_bytes())
}

#[cfg(not(target_os = "linux"))]
impl Table {
    /// Asks ps for it.
    pub(super) fn read() -> Result<Self, ProviderError> {
        let output = std::process::Command::new("/bin/ps")
            .args(["-axww", "-o", "pid=,ppid=,stat=,command="])
            .output()
            .map_err(|error| local(format!("cannot run ps: {error}")))?;
        let text = String::from_utf8_lossy(&output.stdout);
        let processes = text.lines().filter_map(|line| {
            let (pid, rest) = line.trim_start().split_once(' ')?;
            let (parent, rest) = rest.trim_start().split_once(' ')?;
            let (status, line) = rest.trim_start().split_once(' ')?;
            let pid = Pid::from_raw(pid.parse().ok()?)?;
            let parent = parent.parse().ok()?;
            let line = line.trim().to_owned();
            (!status.starts_with('Z')).then_some(Process { pid, parent, line })
        });
        Ok(Self(processes.collect()))
    }
}

/// Other systems don't show the environment of a process: there its ancestors have to do.
#[cfg(not(target_os = "linux"))]
fn is_in_session(_pid: Pid, _folder: &Path) -> bool {
    let _ = VARIABLE;
    false
}
