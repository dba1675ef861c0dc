//! One session to a jump host at work: bytes between its channels and the streams of hosts.

use std::io::{self, Read, Write};
use std::net::Shutdown;
use std::os::unix::net::UnixStream;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use async_channel::Receiver;
use async_io::{Async, Timer};
use futures_lite::future::{self, Future as _};
use futures_lite::stream::Stream as _;

use super::{Lead, Order, Place};
use crate::host::Endpoint;
use crate::outcome::Kind;
use crate::transport::ConnectError;
use crate::transport::ssh::ffi::{EAGAIN, RawChannel};
use crate::transport::ssh::link::{Link, LinkError};
use crate::transport::ssh::{inbox, keepalive};

/// Read and written at once, in bytes.
const PIECE_BYTES: usize = 16 * 1024;
/// How long a session that nobody needs is kept. It is not read from meanwhile, and sshd may be set to
/// end those that answer nothing.
const IDLE: Duration = Duration::from_secs(10);
/// Receive window of a channel, as libssh2 makes it.
const WINDOW: u32 = 2 * 1024 * 1024;

/// Carries bytes between the streams of hosts and the channels of a session.
///
/// libssh2 has one packet on its way out at most. Until that is gone nothing but the call that began
/// it may send, so that call is made again before anything else.
pub(super) struct Bridge {
    link: Link,
    place: Place,
    jump: Arc<Endpoint>,
    orders: Pin<Box<Receiver<Order>>>,
    opening: Option<Order>,
    pipes: Vec<Pipe>,
    closing: Vec<RawChannel>,
    /// The call whose packet is not gone yet.
    sending: Option<Job>,
    /// Goes off when the jump host is to be asked for a sign of life.
    heartbeat: Timer,
    /// After so long a silence it is gone.
    patience: Duration,
    /// Since when it would have been heard.
    listening_since: Option<Instant>,
    /// When it was asked last, unless it has answered.
    asked_at: Option<Instant>,
    /// Since when nobody has needed the session.
    idle_since: Option<Instant>,
    /// Goes off when that is long enough.
    idle: Timer,
}

/// A call that may send.
#[derive(Debug, Clone, Copy)]
enum Job {
    /// Opens the channel that was ordered.
    Open,
    /// Writes to a pipe's channel.
    Write(usize),
    /// Reads from a pipe's channel, which may enlarge its window.
    Read(usize),
    /// Closes the first channel of those to be closed.
    Close,
}

/// One host's channel and stream.
struct Pipe {
    channel: RawChannel,
    stream: Async<UnixStream>,
    to_channel: Piece,
    to_stream: Piece,
    /// The host's end is closed, or the channel is.
    is_over: bool,
}

/// Bytes that are on their way.
struct Piece {
    bytes: Vec<u8>,
    start: usize,
    end: usize,
}

impl Piece {
    fn new() -> Self {
        Self {
            bytes: vec![0; PIECE_BYTES],
            start: 0,
            end: 0,
        }
    }

    fn is_empty(&self) -> bool {
        self.start == self.end
    }

    fn rest(&self) -> &[u8] {
        &self.bytes[self.start..self.end]
    }

    fn fill(&mut self, count: usize) {
        (self.start, self.end) = (0, count);
    }
}

impl Bridge {
    pub(super) fn new(
        link: Link,
        jump: Arc<Endpoint>,
        place: Place,
        orders: Receiver<Order>,
    ) -> Self {
        let interval = keepalive(&jump.ssh);
        Self {
            link,
            place,
            heartbeat: interval.map_or_else(Timer::never, Timer::interval),
            patience: interval
                .unwrap_or_default()
                .saturating_mul(jump.ssh.keepalive_count.max(1)),
            listening_since: None,
            asked_at: None,
            idle_since: None,
            idle: Timer::never(),
            jump,
            orders: Box::pin(orders),
            opening: None,
            pipes: Vec::new(),
            closing: Vec::new(),
            sending: None,
        }
    }

    /// Carries until the session breaks or nobody needs it any more.
    pub(super) async fn work(mut self) {
        let end = loop {
            inbox::begin_turn();
            match self.step() {
                Ok(true) => {}
                // From here on nobody gets a place on it before it has left.
                Ok(false) if self.is_done() => break None,
                Ok(false) => {
                    if let Err(error) = self.wait().await {
                        break Some(error);
                    }
                }
                Err(error) => break Some(error),
            }
            // However much there is to do, the other jump hosts have their turn.
            future::yield_now().await;
        };
        match end {
            Some(error) => self.place.fate.seal(format!(
                "the connection to the jump host {} broke: {}",
                self.jump.name,
                error.plain()
            )),
            // Said once and not waited for: the answer would change nothing.
            None => drop(self.link.session.disconnect(None, "", None)),
        }
        // Streams that are dropped tell their hosts.
        let (way, carrier) = (self.place.way.upgrade(), self.place.carrier.upgrade());
        if let (Some(way), Some(carrier)) = (way, carrier) {
            way.leave(&carrier);
        }
        self.link.shut();
    }

    /// Nobody can ask for anything any more, or nobody has for a while.
    fn is_done(&mut self) -> bool {
        let is_unused = self.pipes.is_empty() && self.opening.is_none() && self.closing.is_empty();
        let places = self.place.carrier.upgrade();
        let places = places.map_or(0, |carrier| carrier.channels.get());
        if !is_unused || places > 0 {
            self.idle_since = None;
            return is_unused && self.orders.is_closed();
        }
        let since = *self.idle_since.get_or_insert_with(|| {
            let now = Instant::now();
            self.idle = Timer::at(now + IDLE);
            now
        });
        since.elapsed() >= IDLE || self.orders.is_closed()
    }

    /// Does what can be done without waiting; returns whether anything was.
    fn step(&mut self) -> Result<bool, LinkError> {
        let mut is_moved = false;
        if let Some(job) = self.sending.take() {
            is_moved = self.perform(job)?;
            if self.sending.is_some() {
                return Ok(is_moved);
            }
        }
        let taken = self.link.taken();
        // Nothing is being sent, so nothing is lost track of when these move.
        let over = self.pipes.extract_if(.., |pipe| pipe.is_over);
        self.closing.extend(over.map(|pipe| pipe.channel));
        let pipes = (0..self.pipes.len()).flat_map(|index| [Job::Write(index), Job::Read(index)]);
        for job in pipes.chain([Job::Close, Job::Open]) {
            is_moved |= self.perform(job)?;
            if self.sending.is_some() {
                break;
            }
        }
        // Each read takes in what comes for the others as well: nobody would wait for that.
        Ok(is_moved || self.link.taken() != taken)
    }

    /// Makes a call, and keeps in mind if it has to be made again before any other.
    fn perform(&mut self, job: Job) -> Result<bool, LinkError> {
        let result = match job {
            Job::Open => self.open(),
            Job::Close => self.close(),
            Job::Write(index) => self.pipes[index].feed(&self.link),
            Job::Read(index) => self.pipes[index].drain(&self.link),
        };
        match result {
            Ok(is_moved) => Ok(is_moved),
            Err(EAGAIN) => {
                self.sending = self.link.is_sending().then_some(job);
                Ok(false)
            }
            Err(code) => {
                let error = self.link.error(code);
                if error.is_link_down() {
                    return Err(error);
                }
                // The channel is over, not the session.
                if let Job::Write(index) | Job::Read(index) = job {
                    self.pipes[index].is_over = true;
                }
                Ok(true)
            }
        }
    }

    /// Goes on with closing a channel.
    fn close(&mut self) -> Result<bool, i32> {
        let Some(channel) = self.closing.last() else {
            return Ok(false);
        };
        let closed = channel.close();
        if closed != Err(EAGAIN) {
            self.closing.pop();
            self.give_back(1);
        }
        closed.map(|()| true)
    }

    fn give_back(&self, count: usize) {
        if let (Some(way), Some(carrier)) = (self.place.way.upgrade(), self.place.carrier.upgrade())
        {
            carrier
                .channels
                .set(carrier.channels.get().saturating_sub(count));
            way.changed.notify(count);
        }
    }

    /// Goes on with the channel being opened.
    fn open(&mut self) -> Result<bool, i32> {
        let Some(order) = self.opening.take().or_else(|| self.orders.try_recv().ok()) else {
            return Ok(false);
        };
        let opened = match RawChannel::direct_tcpip(&self.link.session, &order.host, order.port) {
            Err(EAGAIN) => {
                self.opening = Some(order);
                return Err(EAGAIN);
            }
            Err(code) => {
                let error = self.link.error(code);
                if error.is_link_down() {
                    return Err(code);
                }
                Err(self.refused(&order, &error))
            }
            Ok(channel) => self.bridged(channel).map_err(|error| {
                let message = format!("cannot make a pair of sockets: {error}");
                ConnectError::busy(Kind::Internal, message)
            }),
        };
        self.opened();
        if opened.is_err() {
            self.give_back(1);
        }
        // Whoever gave up meanwhile drops the stream, which ends the channel.
        let _ = order.answer.try_send(opened);
        Ok(true)
    }

    fn opened(&self) {
        if let (Some(way), Some(carrier)) = (self.place.way.upgrade(), self.place.carrier.upgrade())
        {
            carrier.is_opening.set(false);
            way.changed.notify(1);
        }
    }

    fn bridged(&mut self, channel: RawChannel) -> io::Result<Lead> {
        let (ours, theirs) = UnixStream::pair()?;
        self.link.allow_window(WINDOW);
        self.pipes.push(Pipe {
            channel,
            stream: Async::new(ours)?,
            to_channel: Piece::new(),
            to_stream: Piece::new(),
            is_over: false,
        });
        Ok(Lead {
            end: theirs,
            fate: Arc::clone(&self.place.fate),
        })
    }

    /// Says why the jump host would not connect (RFC 4254 §5.1 gives the reasons).
    fn refused(&self, order: &Order, error: &LinkError) -> ConnectError {
        let words = error.plain();
        let name = &self.jump.name;
        let target = format!("{}:{}", order.host, order.port);
        if words.contains("administratively") || words.contains("prohibited") {
            let message = format!(
                "the jump host {name} forwards no connections to {target}: {words}; sshd_config(5) there: AllowTcpForwarding"
            );
            return ConnectError::permanent(Kind::Unreachable, message);
        }
        let message = format!("the jump host {name} cannot connect to {target}: {words}");
        ConnectError::transient(Kind::Unreachable, message)
    }

    /// Waits until something can move.
    async fn wait(&mut self) -> Result<(), LinkError> {
        future::poll_fn(|cx| self.poll_moved(cx)).await
    }

    fn poll_moved(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), LinkError>> {
        // Without anybody who reads, what has come stays where it is; who writes may have to wait for
        // leave to go on, which comes the same way.
        let is_busy = |pipe: &Pipe| pipe.to_stream.is_empty() || !pipe.to_channel.is_empty();
        let is_listening =
            self.opening.is_some() || !self.closing.is_empty() || self.pipes.iter().any(is_busy);
        let moved = if self.sending.is_some() {
            self.link.poll_sendable(cx)
        } else {
            self.poll_both_sides(is_listening, cx)
        };
        if moved.is_ready() {
            return moved;
        }
        if self.idle_since.is_some() && Pin::new(&mut self.idle).poll(cx).is_ready() {
            return Poll::Ready(Ok(()));
        }
        self.poll_silence(is_listening || self.sending.is_some(), cx)
    }

    /// Looks at the session, where somebody listens, the orders, and the streams of hosts.
    fn poll_both_sides(
        &mut self,
        is_listening: bool,
        cx: &mut Context<'_>,
    ) -> Poll<Result<(), LinkError>> {
        let mut is_ready = false;
        if is_listening && let Poll::Ready(result) = self.link.poll_ready(cx) {
            return Poll::Ready(result);
        }
        if self.opening.is_none()
            && let Poll::Ready(order) = self.orders.as_mut().poll_next(cx)
        {
            // No order: nobody is left who could give one.
            is_ready |= order.is_some();
            self.opening = order;
        }
        for pipe in &self.pipes {
            if pipe.to_channel.is_empty() {
                is_ready |= pipe.stream.poll_readable(cx).is_ready();
            }
            if !pipe.to_stream.is_empty() {
                is_ready |= pipe.stream.poll_writable(cx).is_ready();
            }
        }
        if is_ready {
            Poll::Ready(Ok(()))
        } else {
            Poll::Pending
        }
    }

    /// Asks for signs of life; fails when there was none for too long.
    fn poll_silence(
        &mut self,
        is_listening: bool,
        cx: &mut Context<'_>,
    ) -> Poll<Result<(), LinkError>> {
        if !is_listening {
            self.listening_since = None;
        } else if self.listening_since.is_none() {
            self.listening_since = Some(Instant::now());
        }
        let is_answered = |asked: Instant| self.link.silence() < asked.elapsed();
        if self.asked_at.is_some_and(is_answered) {
            self.asked_at = None;
            self.place.fate.set_doubtful(false);
        }
        while Pin::new(&mut self.heartbeat).poll_next(cx).is_ready() {
            if let Err(error) = self.beat() {
                return Poll::Ready(Err(error));
            }
        }
        Poll::Pending
    }

    fn beat(&mut self) -> Result<(), LinkError> {
        let Some(since) = self.listening_since else {
            return Ok(());
        };
        // What can't be read before something else is sent is a sign of life as well.
        if self.link.has_unread() {
            self.listening_since = Some(Instant::now());
            return Ok(());
        }
        let limit = self.patience;
        if since.elapsed() >= limit && self.link.silence() >= limit {
            return Err(LinkError::silent(limit));
        }
        if self.sending.is_none() {
            self.link.keep_alive();
        }
        if self.asked_at.is_none() {
            self.asked_at = Some(Instant::now());
            self.place.fate.set_doubtful(true);
        }
        Ok(())
    }
}

impl Pipe {
    /// Moves a piece from the stream to the channel; returns whether anything moved.
    fn feed(&mut self, link: &Link) -> Result<bool, i32> {
        let mut is_moved = false;
        if self.to_channel.is_empty() {
            match self.stream.get_ref().read(&mut self.to_channel.bytes) {
                Ok(count @ 1..) => {
                    self.to_channel.fill(count);
                    is_moved = true;
                }
                Err(error) if is_later(&error) => {}
                Ok(_) | Err(_) => {
                    is_moved |= !self.is_over;
                    self.is_over = true;
                }
            }
        }
        if !self.to_channel.is_empty() {
            let count = self.channel.write(self.to_channel.rest())?;
            link.count(count);
            self.to_channel.start += count;
            is_moved |= count > 0;
        }
        Ok(is_moved)
    }

    /// Moves a piece from the channel to the stream; returns whether anything moved.
    fn drain(&mut self, link: &Link) -> Result<bool, i32> {
        let mut is_moved = false;
        if self.to_stream.is_empty() && !self.is_over {
            if link.is_put_off() {
                // A read would first enlarge the window, which has to wait for what was put off. An
                // error shows in the read as well.
                let _ = self.channel.wait_eof();
            }
            match self.channel.read(0, &mut self.to_stream.bytes)? {
                0 if self.channel.is_eof() => {
                    let _ = self.stream.get_ref().shutdown(Shutdown::Write);
                    self.is_over = true;
                    is_moved = true;
                }
                count => {
                    link.count(count);
                    self.to_stream.fill(count);
                    is_moved |= count > 0;
                }
            }
        }
        if !self.to_stream.is_empty() {
            match self.stream.get_ref().write(self.to_stream.rest()) {
                Ok(count) => {
                    self.to_stream.start += count;
                    is_moved |= count > 0;
                }
                Err(error) if is_later(&error) => {}
                Err(_) => {
                    is_moved |= !self.is_over;
                    self.is_over = true;
                }
            }
        }
        Ok(is_moved)
    }
}

fn is_later(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::WouldBlock | io::ErrorKind::Interrupted
    )
}
