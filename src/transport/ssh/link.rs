//! One SSH session on one socket, driven without blocking.
//!
//! Every libssh2 call goes through [`Link::drive`]: call, and on "would block" wait for the
//! direction libssh2 waits for. Nothing else ever waits on a session. The socket is always shut
//! down before channels and session are freed; otherwise libssh2 would wait for, or leak, them.

use std::cell::Cell;
use std::rc::Rc;
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use futures_lite::future::{self, FutureExt};
use rustix::event::{PollFd, PollFlags, Timespec};
use ssh2::BlockDirections;

use super::ffi::{self, EAGAIN};
use super::inbox;
use super::jump::Fate;
use super::opening::Opening;
use super::stream::Stream;
use super::traffic::Traffic;
use crate::host::{cut, escaped};

/// Bytes that a host may send beyond what it was asked for: banners, chaff, new keys, signs of life.
const UNASKED_BYTES: u64 = 8 * 1024 * 1024;
/// Most bytes on the way for each of output or input: when each has a packet of its own.
const MOST_OVERHEAD: u64 = 128;
/// Most characters of an error's words that are shown.
const MAX_SHOWN: usize = 300;

/// A libssh2 call that failed for good.
#[derive(Debug, Clone)]
pub(super) struct LinkError {
    /// libssh2's code: `LIBSSH2_ERROR_…`.
    pub(super) code: i32,
    /// libssh2's words, and the server's where it sent some; not safe for a terminal.
    pub(super) message: String,
    /// The connection is gone, rather than a request refused.
    is_down: bool,
}

/// A session and what it speaks over.
pub(super) struct Link {
    pub(super) session: ssh2::Session,
    stream: Stream,
    traffic: Rc<Traffic>,
    /// Where libssh2's callbacks find the traffic.
    address: usize,
    is_shut: Cell<bool>,
    /// Bytes received when somebody last looked.
    heard: Cell<u64>,
    /// When the host last sent something.
    heard_at: Cell<Instant>,
    /// How many bytes the host may send by now.
    allowed: Cell<u64>,
}

impl Link {
    /// Prepares a session on a connected stream; nothing is sent yet.
    pub(super) fn new(stream: Stream) -> Result<Self, LinkError> {
        let mut session = ssh2::Session::new().map_err(|error| LinkError::from(&error))?;
        session.set_blocking(false);
        session.set_tcp_stream(stream.clone());
        // How often is decided by whoever calls `keep_alive`.
        session.set_keepalive(true, 1);
        let address = ffi::lead_traffic(&session);
        Ok(Self {
            session,
            stream,
            traffic: Traffic::open(address),
            address,
            is_shut: Cell::new(false),
            heard: Cell::new(0),
            heard_at: Cell::new(Instant::now()),
            allowed: Cell::new(UNASKED_BYTES),
        })
    }

    /// Makes a call until it doesn't block any more.
    pub(super) async fn drive<T>(
        &self,
        mut call: impl FnMut(&ssh2::Session) -> Result<T, i32>,
    ) -> Result<T, LinkError> {
        loop {
            inbox::begin_turn();
            match call(&self.session) {
                Ok(value) => return Ok(value),
                Err(EAGAIN) => self.ready().await?,
                Err(code) => return Err(self.error(code)),
            }
        }
    }

    /// Returns how many bytes libssh2 has taken in.
    pub(super) fn taken(&self) -> u64 {
        self.traffic.inbox.taken()
    }

    /// Whether libssh2 is to be called in a way that reads, to send what was put off.
    pub(super) fn is_put_off(&self) -> bool {
        self.traffic.outbox.is_put_off()
    }

    /// Notes that a channel with a receive window of so many bytes is opened.
    pub(super) fn allow_window(&self, bytes: u32) {
        self.traffic.outbox.guard();
        self.allowed.set(self.allowed.get() + u64::from(bytes));
    }

    /// Notes that so many bytes of output came out of the session, or of input went in.
    pub(super) fn count(&self, bytes: usize) {
        let overhead = MOST_OVERHEAD.saturating_mul(bytes as u64);
        self.allowed
            .set(self.allowed.get().saturating_add(overhead));
    }

    /// Waits until the socket is ready for what libssh2 waited for last, or the worker's other
    /// hosts have had their turn.
    ///
    /// Fails for a host that sends far more than it has a reason to: libssh2 keeps messages that
    /// nobody asks for until the session ends.
    pub(super) async fn ready(&self) -> Result<(), LinkError> {
        self.hear()?;
        if self.traffic.inbox.is_ready() {
            future::yield_now().await;
            return Ok(());
        }
        let socket = self.stream.socket();
        // A reactor that can't watch the socket shows in the next call on the session.
        let _ = match self.session.block_directions() {
            BlockDirections::Outbound => socket.writable().await,
            BlockDirections::Both => socket.readable().or(socket.writable()).await,
            BlockDirections::Inbound | BlockDirections::None => socket.readable().await,
        };
        Ok(())
    }

    /// Does the same for one who waits for other things besides: something to read is always one.
    pub(super) fn poll_ready(&self, cx: &mut Context<'_>) -> Poll<Result<(), LinkError>> {
        self.hear()?;
        let socket = self.stream.socket();
        let is_ready = self.traffic.inbox.is_ready()
            || (self.is_sending() && socket.poll_writable(cx).is_ready())
            || socket.poll_readable(cx).is_ready();
        if is_ready {
            Poll::Ready(Ok(()))
        } else {
            Poll::Pending
        }
    }

    /// The same for one who can't do anything before what is on its way out is gone.
    pub(super) fn poll_sendable(&self, cx: &mut Context<'_>) -> Poll<Result<(), LinkError>> {
        self.hear()?;
        // An error shows in the next call on the session.
        self.stream.socket().poll_writable(cx).map(|_| Ok(()))
    }

    /// Whether something is on its way out that the last call could not send.
    pub(super) fn is_sending(&self) -> bool {
        matches!(
            self.session.block_directions(),
            BlockDirections::Outbound | BlockDirections::Both
        )
    }

    /// Notes what has come, and that it is not too much.
    fn hear(&self) -> Result<(), LinkError> {
        let received = self.traffic.inbox.received();
        if self.heard.replace(received) < received {
            self.heard_at.set(Instant::now());
        }
        if received > self.allowed.get() {
            return Err(LinkError {
                code: libssh2_sys::LIBSSH2_ERROR_PROTO,
                message: "the host floods the connection with what nobody asked for".to_owned(),
                is_down: true,
            });
        }
        Ok(())
    }

    /// Looks at the first bytes that came from the host.
    pub(super) fn with_opening<T>(&self, look: impl FnOnce(Opening<'_>) -> T) -> T {
        self.traffic
            .inbox
            .with_opening(|bytes| look(Opening::of(bytes)))
    }

    /// Keeps the first bytes no longer.
    pub(super) fn forget_opening(&self) {
        self.traffic.inbox.forget_opening();
    }

    /// Returns how the connection ended, if it did.
    pub(super) fn end(&self) -> Option<String> {
        self.traffic.inbox.end()
    }

    /// Returns the error of the last call with the words that tell most.
    pub(super) fn error(&self, code: i32) -> LinkError {
        let mut error = match ssh2::Error::last_session_error(&self.session) {
            Some(error) if code_of(&error) == code => LinkError {
                code,
                ..LinkError::from(&error)
            },
            _ => LinkError {
                code,
                message: format!("libssh2 error {code}"),
                is_down: is_gone(code),
            },
        };
        let inbox = &self.traffic.inbox;
        let is_unreadable = error.is_unreadable();
        error.is_down |= is_unreadable || inbox.has_farewell() || inbox.is_end_told();
        if let (true, Some(end)) = (error.is_down, self.end_of_way().or_else(|| self.end())) {
            error.message = end;
        } else if is_unreadable {
            error.message = format!("what the host sent can't be read (libssh2 error {code})");
        }
        error
    }

    /// Returns how the session to the jump host ended that leads to the host, if it did.
    pub(super) fn end_of_way(&self) -> Option<String> {
        self.stream.fate()?.end().map(str::to_owned)
    }

    /// Whether something has come that was not read yet.
    pub(super) fn has_unread(&self) -> bool {
        self.is_ready_for(PollFlags::IN)
    }

    fn is_ready_for(&self, flags: PollFlags) -> bool {
        let mut sockets = [PollFd::new(&self.stream, flags)];
        let now = Timespec {
            tv_sec: 0,
            tv_nsec: 0,
        };
        rustix::event::poll(&mut sockets, Some(&now)).is_ok_and(|count| count > 0)
    }

    /// Asks for a sign of life, unless something is on its way to the host anyway. Only where there
    /// is room for all of it: libssh2 could not go on with half of it after something else.
    pub(super) fn keep_alive(&self) {
        if !self.is_sending() && self.is_ready_for(PollFlags::OUT) {
            // A connection that is gone shows in the next read.
            let _ = self.session.keepalive_send();
        }
    }

    /// Whether the host has sent nothing for so long, and that is not for its jump host to explain.
    pub(super) fn is_silent_for(&self, limit: Duration) -> bool {
        let is_way_doubtful = self.stream.fate().is_some_and(Fate::is_doubtful);
        !is_way_doubtful && self.silence() >= limit
    }

    /// Returns for how long the host has sent nothing.
    pub(super) fn silence(&self) -> Duration {
        self.heard_at.get().elapsed()
    }

    /// Ends the connection; what still waits on it fails from now on.
    pub(super) fn shut(&self) {
        if !self.is_shut.replace(true) {
            self.stream.shut();
        }
    }

    /// Returns the IP address of the host, where it is known.
    pub(super) fn peer(&self) -> Option<String> {
        self.stream.peer().map(str::to_owned)
    }

    /// Returns what the command that leads to the host said last.
    pub(super) fn said(&self) -> Option<String> {
        self.stream.said()
    }
}

impl Drop for Link {
    fn drop(&mut self) {
        self.shut();
        Traffic::close(self.address);
    }
}

impl From<&ssh2::Error> for LinkError {
    fn from(error: &ssh2::Error) -> Self {
        Self {
            code: code_of(error),
            message: error.message().to_owned(),
            is_down: is_gone(code_of(error)),
        }
    }
}

/// Returns libssh2's number for an error of the `ssh2` crate.
pub(super) fn code_of(error: &ssh2::Error) -> i32 {
    match error.code() {
        ssh2::ErrorCode::Session(code) | ssh2::ErrorCode::SFTP(code) => code,
    }
}

/// Whether a code tells that the connection is gone.
fn is_gone(code: i32) -> bool {
    matches!(
        code,
        libssh2_sys::LIBSSH2_ERROR_SOCKET_SEND
            | libssh2_sys::LIBSSH2_ERROR_SOCKET_DISCONNECT
            | libssh2_sys::LIBSSH2_ERROR_SOCKET_RECV
            | libssh2_sys::LIBSSH2_ERROR_BANNER_RECV
            | libssh2_sys::LIBSSH2_ERROR_BAD_SOCKET
            | libssh2_sys::LIBSSH2_ERROR_TIMEOUT
            | libssh2_sys::LIBSSH2_ERROR_SOCKET_TIMEOUT
    )
}

impl LinkError {
    /// Returns the error of a connection on which nothing came for so long.
    pub(super) fn silent(limit: Duration) -> Self {
        Self {
            code: libssh2_sys::LIBSSH2_ERROR_TIMEOUT,
            message: format!("no sign of life for {limit:?}"),
            is_down: true,
        }
    }

    /// Returns the words on one line, fit to be shown.
    pub(super) fn plain(&self) -> String {
        cut(escaped(self.message.trim()), MAX_SHOWN)
    }

    /// Whether a packet was damaged, forged, or none at all. Where it waits for the answer to a
    /// login, libssh2 hides why there is none.
    fn is_unreadable(&self) -> bool {
        self.message.starts_with("Waiting for ")
            || matches!(
                self.code,
                libssh2_sys::LIBSSH2_ERROR_DECRYPT
                    | libssh2_sys::LIBSSH2_ERROR_INVALID_MAC
                    | libssh2_sys::LIBSSH2_ERROR_OUT_OF_BOUNDARY
            )
    }

    /// Whether the connection is gone, rather than a request refused.
    pub(super) fn is_link_down(&self) -> bool {
        self.is_down
    }
}
