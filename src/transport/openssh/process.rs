//! A command over a connection of `ssh`, and the truth about its end.
//!
//! `ssh` ends with 255 for the command's own 255 as for all that goes wrong. So statuses are taken
//! from its logs: that of the command's own `ssh` tells the status that came, that of the
//! connection when it came, and whether there was a signal instead.

use std::collections::VecDeque;
use std::future::{Future, poll_fn};
use std::io;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll};
use std::time::Duration;

use async_io::Timer;

use super::log::Ended;
use super::master::Master;
use super::session::{Connection, Tail};
use crate::remote::{ExitStatus, Signal};
use crate::transport::child::Wrapped;
use crate::transport::{End, Process, Progress, Work};

/// How long a pipe may stay silent and open after the exit status, before it counts as held by
/// something the command left behind.
const LINGER: Duration = Duration::from_secs(1);
/// What can still be under way when the status arrives. Whoever writes more is not the command.
const LINGER_BYTES: usize = 4 * 1024 * 1024;
/// How long the connection's `ssh` has to say why it ended.
pub(super) const LAST_WORDS_TIME: Duration = Duration::from_secs(1);
/// Most pieces of output read ahead to find out which process to send a signal to.
const READS_FOR_START: usize = 16;
/// The name of a signal that ssh didn't tell, and hoist didn't send.
const UNKNOWN_SIGNAL: &str = "unknown";

/// A command being executed through `ssh`.
pub(super) struct OpenSshProcess {
    connection: Rc<Connection>,
    wrapped: Wrapped,
    tail: Tail,
    /// What was read before anybody asked for it.
    early: VecDeque<(Progress, Vec<u8>)>,
    /// The last signal that was delivered.
    sent: Option<Signal>,
    /// Runs while the status has come and the pipes are silent.
    linger: Option<Timer>,
    /// Read since the status has come.
    linger_bytes: usize,
    /// The command's own `ssh` has ended, so; runs while the connection's may say why.
    gone: Option<(End, Timer)>,
    end: Option<End>,
}

impl OpenSshProcess {
    pub(super) fn new(
        connection: Rc<Connection>,
        wrapped: Wrapped,
        tail: Tail,
        early: Option<(Progress, Vec<u8>)>,
    ) -> Self {
        Self {
            connection,
            wrapped,
            tail,
            early: early.into_iter().collect(),
            sent: None,
            linger: None,
            linger_bytes: 0,
            gone: None,
            end: None,
        }
    }

    fn poll(&mut self, cx: &mut Context<'_>, buffer: &mut Vec<u8>) -> Poll<Progress> {
        if self.linger_bytes > LINGER_BYTES && self.end.is_none() {
            self.end = self.told().map(|status| End::Exited {
                status,
                is_held: true,
            });
        }
        if self.end.is_none() {
            if let Some(pipe) = self.poll_output(cx, buffer) {
                return Poll::Ready(pipe);
            }
            self.end = self.poll_end(cx);
        }
        match self.end.clone() {
            None => Poll::Pending,
            Some(end) => Poll::Ready(self.wrapped.finish(buffer, end)),
        }
    }

    /// Reads what there is, of the command and of the logs.
    fn poll_output(&mut self, cx: &mut Context<'_>, buffer: &mut Vec<u8>) -> Option<Progress> {
        let told = match self.early.pop_front() {
            Some((told, bytes)) => {
                *buffer = bytes;
                Some(told)
            }
            None if self.gone.is_some() => None,
            None => match self.wrapped.poll(cx, buffer) {
                Poll::Ready(told) => Some(told),
                Poll::Pending => None,
            },
        };
        // After its pipes: what stands there was written before they were closed.
        self.connection.poll(cx);
        self.tail.poll(cx);
        match told {
            Some(output @ Progress::Output(_)) => {
                self.linger = None;
                if self.told().is_some() {
                    self.linger_bytes += buffer.len();
                }
                Some(output)
            }
            Some(Progress::Ended(end)) => {
                self.gone = Some((end, Timer::after(LAST_WORDS_TIME)));
                None
            }
            None => None,
        }
    }

    /// Waits until the wrapper has told which process the command is, and reads on meanwhile: it may
    /// be on its way in one pipe when something came from the other one.
    fn poll_started(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        while self.early.len() < READS_FOR_START {
            let mut bytes = Vec::new();
            let is_over = matches!(self.early.back(), Some((Progress::Ended(_), _)));
            if self.wrapped.is_started() || self.gone.is_some() || is_over {
                break;
            }
            match self.wrapped.poll(cx, &mut bytes) {
                Poll::Ready(told) => self.early.push_back((told, bytes)),
                // The marker alone is no output.
                Poll::Pending if self.wrapped.is_started() => break,
                Poll::Pending => return Poll::Pending,
            }
        }
        Poll::Ready(())
    }

    /// Looks whether the command is over, with everything read that there is.
    fn poll_end(&mut self, cx: &mut Context<'_>) -> Option<End> {
        if self.gone.is_some() {
            return self.poll_gone(cx);
        }
        let status = self.told()?;
        let linger = self.linger.get_or_insert_with(|| Timer::after(LINGER));
        Pin::new(linger).poll(cx).is_ready().then_some(End::Exited {
            status,
            is_held: true,
        })
    }

    /// Returns what became of a command whose `ssh` has ended.
    fn poll_gone(&mut self, cx: &mut Context<'_>) -> Option<End> {
        let known = self.tail.log.status().or_else(|| self.told());
        let channel = self.tail.log.channel.unwrap_or_default();
        let is_cut = self.connection.asks(|master| master.log.is_cut(channel));
        let why = self.connection.asks(Master::last_words).unwrap_or_default();
        let (end, timer) = self.gone.as_mut()?;
        let own = match (&*end, known) {
            (End::Exited { .. }, Some(status)) if is_cut == Some(true) => {
                // ssh says why at last.
                let is_over = self.connection.asks(|master| master.is_over);
                let is_time_up = Pin::new(timer).poll(cx).is_ready();
                return (is_over == Some(true) || is_time_up).then(|| End::Lost {
                    message: format!(
                        "the connection broke after the command had ended ({status}) and before \
                         all of its output had come: {why}"
                    ),
                });
            }
            (End::Exited { .. }, Some(status)) => {
                return Some(End::Exited {
                    status,
                    is_held: false,
                });
            }
            (End::Exited { status, .. }, None) => status,
            (other, _) => return Some(other.clone()),
        };
        let is_time_up = Pin::new(timer).poll(cx).is_ready();
        let message = match self.connection.asks(|master| master.is_over) {
            Some(true) => {
                format!("the connection broke while the command ran: {why}")
            }
            Some(false) if !is_time_up => return None,
            Some(false) => "the host closed the channel without an exit status".to_owned(),
            // Of somebody else's connection there is no more to be known.
            None => match self.sent {
                Some(signal) => {
                    return Some(End::Exited {
                        status: ExitStatus::Signal(signal.as_str().to_owned()),
                        is_held: false,
                    });
                }
                None => format!(
                    "no exit status came ({own}): the connection broke, or a signal ended the \
                     command"
                ),
            },
        };
        Some(End::Lost { message })
    }

    /// Returns how the command ended, if the connection's log has told.
    fn told(&self) -> Option<ExitStatus> {
        let channel = self.tail.log.channel?;
        let ended = self.connection.asks(|master| master.log.ended(channel));
        Some(match ended?? {
            Ended::Code(code) => ExitStatus::Code(code),
            Ended::Signal => {
                let name = self.sent.map_or(UNKNOWN_SIGNAL, Signal::as_str);
                ExitStatus::Signal(name.to_owned())
            }
        })
    }
}

impl Process for OpenSshProcess {
    fn next<'a>(&'a mut self, buffer: &'a mut Vec<u8>) -> Work<'a, Progress> {
        buffer.clear();
        Box::pin(poll_fn(|cx| self.poll(cx, buffer)))
    }

    fn signal(&mut self, signal: Signal) -> Work<'_, io::Result<()>> {
        Box::pin(async move {
            poll_fn(|cx| self.poll_started(cx)).await;
            let killer = self.wrapped.killer(signal).ok_or_else(|| {
                io::Error::other("which process the command is has not been told")
            })?;
            self.connection.run_aside(killer).await?;
            self.sent = Some(signal);
            Ok(())
        })
    }
}
