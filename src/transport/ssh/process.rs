//! A command on an SSH channel: both pipes drained together, stdin fed meanwhile, and its end told
//! truthfully.
//!
//! libssh2 reports exit status 0 when the server sent none, so the status is only believed when it
//! was received. The command's wrapper tells its process id on stderr (see [`crate::quote`]), which
//! is how it is ended: sshd ignores signal requests for root, and closing a channel ends nothing.

use std::cell::RefCell;
use std::io;
use std::rc::Rc;
use std::time::{Duration, Instant};

use async_io::Timer;
use futures_lite::future::{self, FutureExt};

use super::feed::{Fed, Feed};
use super::ffi::{EAGAIN, RawChannel};
use super::inbox;
use super::link::{Link, LinkError};
use crate::remote::{ExitStatus, Pipe, Signal, Stdin};
use crate::transport::marked::{Killer, Marked};
use crate::transport::{End, Process, Progress, READ_BYTES, Work};

/// How long a pipe may stay silent and open after the exit status, before it counts as held by
/// something the command left behind.
const LINGER: Duration = Duration::from_secs(1);
/// What can still be under way when the status arrives: the largest window and the server's
/// buffers. Whoever writes more is not the command.
const LINGER_BYTES: usize = 4 * 1024 * 1024;
/// The streams of a channel (RFC 4254 §5.2).
const STDOUT: i32 = 0;
const STDERR: i32 = 1;
/// stdin is fed this many pieces before the pipes are looked at again.
const PIECES_PER_TURN: usize = 4;

thread_local! {
    /// One read buffer for all hosts of a worker.
    static SCRATCH: RefCell<Vec<u8>> = RefCell::new(vec![0; READ_BYTES]);
}

/// What every channel of a session is given.
#[derive(Debug, Clone, Copy)]
pub(super) struct ChannelOptions {
    /// Receive window in bytes.
    pub(super) window: u32,
    /// How often the host is asked for a sign of life, if at all.
    pub(super) keepalive: Option<Duration>,
    /// After so many without an answer it is gone.
    pub(super) keepalive_count: u32,
}

/// A command being executed over SSH.
pub(super) struct SshProcess {
    link: Rc<Link>,
    channel: RawChannel,
    window: u32,
    marked: Marked,
    feed: Feed,
    /// Which pipe is looked at first: they take turns.
    first: usize,
    /// Set when the exit status has arrived: until when the pipes may stay silent.
    linger_until: Option<Instant>,
    linger_bytes: usize,
    /// Bytes taken in when the linger was last set: new keys are no silence, and hold output up.
    linger_taken: u64,
    /// Goes off when the host is to be asked for a sign of life.
    heartbeat: Timer,
    /// After so long a silence it is gone.
    silence: Duration,
    /// The host closed the channel and everything was read.
    is_closed: bool,
}

impl SshProcess {
    /// `feed` is what it reads, as far as `marked` allows.
    pub(super) fn new(
        link: Rc<Link>,
        channel: RawChannel,
        options: ChannelOptions,
        marked: Marked,
        feed: Feed,
    ) -> Self {
        let interval = options.keepalive;
        Self {
            link,
            channel,
            window: options.window,
            marked,
            feed,
            first: 0,
            linger_until: None,
            linger_bytes: 0,
            linger_taken: 0,
            heartbeat: interval.map_or_else(Timer::never, Timer::interval),
            silence: interval
                .unwrap_or_default()
                .saturating_mul(options.keepalive_count),
            is_closed: false,
        }
    }

    /// Does what can be done without waiting; `None` when there is nothing.
    fn step(&mut self, buffer: &mut Vec<u8>) -> Option<Progress> {
        inbox::begin_turn();
        if self.link.is_put_off() {
            // A read would first enlarge the window, which has to wait for what was put off. An
            // error shows in the read as well.
            let _ = self.channel.wait_eof();
        }
        loop {
            let taken = self.link.taken();
            match self.read(buffer) {
                Ok(Some(pipe)) => return Some(Progress::Output(pipe)),
                Ok(None) => {}
                Err(code) => return Some(self.broken(code, buffer)),
            }
            let pieces = (0..PIECES_PER_TURN).take_while(|_| self.feed() != Fed::Nothing);
            let is_fed = pieces.count() > 0;
            // Whoever looks at one pipe, or writes, takes in what comes for the other one as well:
            // nobody would wait for that. Nor for what could not be read while half a piece of input
            // was on its way out, which is gone now.
            if !is_fed && self.link.taken() == taken {
                break;
            }
        }
        self.ending(buffer)
    }

    /// Feeds one piece of stdin.
    fn feed(&mut self) -> Fed {
        let fed = self.feed.step(&self.channel);
        if let Fed::Some(count) = fed {
            self.link.count(count);
        }
        fed
    }

    /// Reads whichever pipe has something.
    fn read(&mut self, buffer: &mut Vec<u8>) -> Result<Option<Pipe>, i32> {
        self.first = 1 - self.first;
        for turn in 0..2 {
            let stream = (self.first + turn) % 2;
            let pipe = Pipe::BOTH[stream];
            while self.read_pipe(pipe, buffer)? {
                if !buffer.is_empty() {
                    return Ok(Some(pipe));
                }
            }
        }
        Ok(None)
    }

    /// Reads one pipe once; whether there was anything.
    fn read_pipe(&mut self, pipe: Pipe, buffer: &mut Vec<u8>) -> Result<bool, i32> {
        SCRATCH.with_borrow_mut(|scratch| {
            let stream = match pipe {
                Pipe::Stdout => STDOUT,
                Pipe::Stderr => STDERR,
            };
            let count = match self.channel.read(stream, scratch) {
                Ok(0) | Err(EAGAIN) => return Ok(false),
                Ok(count) => count,
                Err(code) => return Err(code),
            };
            self.link.count(count);
            match pipe {
                Pipe::Stdout => buffer.extend_from_slice(&scratch[..count]),
                Pipe::Stderr => {
                    self.marked.push(&scratch[..count], buffer);
                    self.feed.heed(&mut self.marked);
                }
            }
            if self.linger_until.is_some() {
                self.linger_bytes += count;
                self.linger_until = Some(Instant::now() + LINGER);
            }
            Ok(true)
        })
    }

    /// Looks whether the command is over, with everything readable read.
    fn ending(&mut self, buffer: &mut Vec<u8>) -> Option<Progress> {
        let is_eof = self.channel.is_eof();
        if is_eof {
            self.is_closed = match self.channel.wait_closed() {
                Ok(()) => true,
                Err(EAGAIN) => false,
                Err(code) => return Some(self.broken(code, buffer)),
            };
        }
        if self.is_closed {
            return Some(self.finish(buffer, None));
        }
        let status = self.status()?;
        let taken = self.link.taken();
        let is_silent = std::mem::replace(&mut self.linger_taken, taken) == taken;
        let is_over = match self.linger_until.filter(|_| is_silent) {
            None => {
                self.linger_until = Some(Instant::now() + LINGER);
                false
            }
            Some(until) => until <= Instant::now(),
        } || self.linger_bytes > LINGER_BYTES;
        let end = End::Exited {
            status,
            is_held: !is_eof,
        };
        is_over.then(|| self.finish(buffer, Some(end)))
    }

    /// Ends with the connection. A status alone doesn't make a result: sshd sends it before the
    /// last of the output.
    fn broken(&mut self, code: i32, buffer: &mut Vec<u8>) -> Progress {
        let error = self.link.error(code);
        self.lost(&error, buffer)
    }

    fn lost(&mut self, error: &LinkError, buffer: &mut Vec<u8>) -> Progress {
        let error = error.plain();
        let end = match self.status() {
            Some(status) if self.channel.is_eof() => End::Exited {
                status,
                is_held: false,
            },
            Some(status) => End::Lost {
                message: format!(
                    "the connection broke after the command had ended ({status}) and before all \
                     of its output had come: {error}"
                ),
            },
            None => End::Lost {
                message: format!("the connection broke while the command ran: {error}"),
            },
        };
        self.finish(buffer, Some(end))
    }

    /// Hands over what is left of stderr, then the end.
    fn finish(&mut self, buffer: &mut Vec<u8>, end: Option<End>) -> Progress {
        let end = match (self.feed.failure(), end) {
            (Some(error), _) => End::Lost {
                message: format!("its stdin could not be read to the end: {error}"),
            },
            (None, Some(end)) => end,
            (None, None) => match self.status() {
                Some(status) => End::Exited {
                    status,
                    is_held: false,
                },
                None => End::Lost {
                    message: "the host closed the channel without an exit status".to_owned(),
                },
            },
        };
        self.marked.finish(buffer, end)
    }

    /// Returns how the command ended, if the host said so.
    fn status(&self) -> Option<ExitStatus> {
        match self.channel.exit_signal() {
            Some(name) => Some(ExitStatus::Signal(plain_signal(&name))),
            None => self.channel.exit_status().map(ExitStatus::Code),
        }
    }

    /// Waits for the host to send something, for the end of the linger, or for the heartbeat;
    /// whether it was that. Fails when there is no use in waiting.
    async fn wait(&mut self) -> Result<bool, LinkError> {
        let ready = async {
            self.link.ready().await?;
            Ok(false)
        };
        let heartbeat = async {
            (&mut self.heartbeat).await;
            self.link.keep_alive();
            Ok(true)
        };
        let linger = async {
            match self.linger_until {
                Some(until) => Timer::at(until).await,
                None => future::pending().await,
            };
            Ok(false)
        };
        let rights = async {
            match self.marked.deadline() {
                Some(deadline) => Timer::at(deadline).await,
                None => future::pending().await,
            };
            Ok(false)
        };
        ready.or(heartbeat).or(linger).or(rights).await
    }

    /// Runs a line on a channel of its own and waits for its end.
    async fn run_aside(&self, killer: Killer) -> io::Result<()> {
        let failed = |error: LinkError| io::Error::other(error.plain());
        self.link.allow_window(self.window);
        let open = |session: &_| RawChannel::open(session, self.window);
        let channel = self.link.drive(open).await.map_err(failed)?;
        self.link
            .drive(|_| channel.start("exec", &killer.line))
            .await
            .map_err(failed)?;
        let mut marked = killer.marked;
        let mut feed = Feed::new(Stdin::Empty, marked.is_input_held());
        let listen = |_: &_| listen(&channel, &mut feed, &mut marked);
        self.link.drive(listen).await.map_err(failed)?;
        self.link
            .drive(|_| channel.wait_closed())
            .await
            .map_err(failed)?;
        match channel.exit_status() {
            Some(0) => Ok(()),
            _ => Err(io::Error::other("the host could not deliver the signal")),
        }
    }
}

/// Feeds a channel and drops what it says, up to its end.
fn listen(channel: &RawChannel, feed: &mut Feed, marked: &mut Marked) -> Result<(), i32> {
    let mut heard = [0; 512];
    loop {
        while feed.step(channel) != Fed::Nothing {}
        let mut is_silent = true;
        for stream in [STDOUT, STDERR] {
            match channel.read(stream, &mut heard) {
                Ok(0) | Err(EAGAIN) => {}
                Ok(count) => {
                    is_silent = false;
                    if stream == STDERR {
                        marked.push(&heard[..count], &mut Vec::new());
                        feed.heed(marked);
                    }
                }
                Err(code) => return Err(code),
            }
        }
        match is_silent {
            true if channel.is_eof() => return Ok(()),
            true => return Err(EAGAIN),
            false => {}
        }
    }
}

impl Process for SshProcess {
    fn next<'a>(&'a mut self, buffer: &'a mut Vec<u8>) -> Work<'a, Progress> {
        Box::pin(async move {
            buffer.clear();
            loop {
                if let Some(progress) = self.step(buffer) {
                    return progress;
                }
                let is_heartbeat = match self.wait().await {
                    Ok(is_heartbeat) => is_heartbeat,
                    Err(error) => return self.lost(&error, buffer),
                };
                if let Some(end) = self.marked.late() {
                    self.link.shut();
                    return Progress::Ended(end);
                }
                if is_heartbeat && self.link.is_silent_for(self.silence) {
                    let silence = self.silence;
                    let message = format!("no sign of life from the host for {silence:?}");
                    return self.finish(buffer, Some(End::Lost { message }));
                }
            }
        })
    }

    fn signal(&mut self, signal: Signal) -> Work<'_, io::Result<()>> {
        Box::pin(async move {
            if let Some(killer) = self.marked.killer(signal)
                && self.run_aside(killer).await.is_ok()
            {
                return Ok(());
            }
            // No wrapper, or no second channel: the protocol's own request, to which there is no
            // answer.
            let request = |_: &_| self.channel.signal(signal.as_str());
            self.link
                .drive(request)
                .await
                .map_err(|error| io::Error::other(error.plain()))
        })
    }
}

impl Drop for SshProcess {
    fn drop(&mut self) {
        // A channel that is still open can't be freed on a live connection.
        if !self.is_closed {
            self.link.shut();
        }
    }
}

/// Makes a signal's name, which the server chose, fit to be shown.
fn plain_signal(name: &str) -> String {
    let name = name.strip_prefix("SIG").unwrap_or(name);
    let is_plain = |c: &char| c.is_ascii_alphanumeric() || matches!(c, '+' | '-' | '@' | '.' | '_');
    name.chars().filter(is_plain).take(32).collect()
}
