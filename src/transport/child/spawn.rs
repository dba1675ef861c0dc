//! Ties a command's life to hoist's: the kernel ends it when hoist is gone. And begins sessions.
//!
//! The calls that need `unsafe` outside of `ssh/ffi.rs`: between `fork` and `exec` only the child
//! itself can ask for a signal at its parent's death, or leave its terminal. What the command starts in turn is not
//! tied, and neither is what gains other rights (`sudo`): the kernel forgets the wish there
//! (prctl(2), `PR_SET_PDEATHSIG`).
#![allow(unsafe_code)]

use std::process::Command;

/// Has the command sent TERM when hoist ends before it, however hoist ends.
///
/// The kernel looks at the thread that starts the command, so that thread must outlive it: a
/// worker does, as it ends with the run.
#[cfg(target_os = "linux")]
pub(in crate::transport) fn end_with_parent(command: &mut Command) {
    use std::io;
    use std::os::unix::process::CommandExt;

    use rustix::process::{Signal, getpid, getppid, set_parent_process_death_signal};

    let parent = getpid();
    let ask = move || {
        set_parent_process_death_signal(Some(Signal::TERM))?;
        // It may have ended before the wish was made: nobody is left to hear the error.
        if getppid() == Some(parent) {
            Ok(())
        } else {
            Err(io::ErrorKind::NotFound.into())
        }
    };
    // SAFETY: in the child, only system calls are made: nothing is allocated and no lock is taken.
    unsafe { command.pre_exec(ask) };
}

/// Has the command begin a session of its own, and so a process group: whoever asks a person on the
/// terminal then finds none, and is not stopped for asking in the background either.
pub(in crate::transport) fn begin_session(command: &mut Command) {
    use std::os::unix::process::CommandExt;

    let begin = || rustix::process::setsid().map(|_| ()).map_err(Into::into);
    // SAFETY: in the child, only one system call is made.
    unsafe { command.pre_exec(begin) };
}

/// There is no such wish on this system.
#[cfg(not(target_os = "linux"))]
pub(in crate::transport) fn end_with_parent(_command: &mut Command) {}
