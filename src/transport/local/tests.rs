//! The transport with real processes.

use std::ffi::OsString;
use std::time::Duration;

use async_io::{Timer, block_on};
use futures_lite::future;

use super::*;
use crate::remote::{Command, ExitStatus, Pipe};
use crate::transport::READ_BYTES;

mod group;
mod pipes;
mod starting;

/// What a command wrote, and how it ended.
#[derive(Debug, Default, PartialEq)]
struct Ran {
    stdout: Vec<u8>,
    stderr: Vec<u8>,
    end: Option<End>,
}

impl Ran {
    fn stdout(&self) -> &str {
        str::from_utf8(&self.stdout).unwrap()
    }

    fn code(&self) -> u32 {
        match &self.end {
            Some(End::Exited {
                status: ExitStatus::Code(code),
                is_held: false,
            }) => *code,
            _ => panic!("{self:?}"),
        }
    }

    fn signal(&self) -> &str {
        match &self.end {
            Some(End::Exited {
                status: ExitStatus::Signal(name),
                ..
            }) => name,
            _ => panic!("{self:?}"),
        }
    }

    fn not_spawned(&self) -> &str {
        assert!(self.stdout.is_empty() && self.stderr.is_empty(), "{self:?}");
        match &self.end {
            Some(End::NotSpawned { message }) => message,
            _ => panic!("{self:?}"),
        }
    }

    /// Takes one step; false at the end.
    async fn step(&mut self, process: &mut dyn Process) -> bool {
        let mut buffer = b"left over".to_vec();
        match process.next(&mut buffer).await {
            Progress::Output(pipe) => {
                assert!(!buffer.is_empty() && buffer.len() <= READ_BYTES);
                match pipe {
                    Pipe::Stdout => self.stdout.append(&mut buffer),
                    Pipe::Stderr => self.stderr.append(&mut buffer),
                }
                true
            }
            Progress::Ended(end) => {
                assert!(buffer.is_empty());
                self.end = Some(end);
                false
            }
        }
    }

    async fn rest(&mut self, process: &mut dyn Process) {
        while self.step(process).await {}
    }
}

fn argv<S: Into<OsString>>(words: impl IntoIterator<Item = S>) -> Exec {
    Exec::new(Command::Argv(words.into_iter().map(Into::into).collect()))
}

fn script(text: &str) -> Exec {
    argv(["/bin/dash", "-c", text])
}

async fn spawn(exec: &Exec) -> Box<dyn Process> {
    Local::new().spawn(exec).await.unwrap()
}

async fn run(exec: &Exec) -> Ran {
    let mut process = spawn(exec).await;
    let mut ran = Ran::default();
    let ended = async {
        ran.rest(&mut *process).await;
        true
    };
    let late = async {
        Timer::after(Duration::from_mins(1)).await;
        false
    };
    assert!(future::or(ended, late).await, "{exec:?} does not end");
    ran
}

fn done(exec: &Exec) -> Ran {
    block_on(run(exec))
}

fn bytes(length: usize) -> Vec<u8> {
    (0..=250_u8).cycle().take(length).collect()
}
