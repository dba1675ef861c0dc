//! One session to a jump host at work: bytes between its channels and the streams of hosts.

use std::io::{self, Read, Write};
use std::net::Shutdown;
use std::os::unix::net::UnixStream;
use std::pin::Pin;
use std::rc::Weak;
use std::sync::Arc;
use std::task::{Context, Poll};

use async_channel::Receiver;
use async_io::Async;
use futures_lite::future;
use futures_lite::stream::Stream as _;

use super::{Carrier, Order, Way};
use crate::host::Endpoint;
use crate::outcome::Kind;
use crate::transport::ConnectError;
use crate::transport::ssh::ffi::{EAGAIN, RawChannel};
use crate::transport::ssh::inbox;
use crate::transport::ssh::link::{Link, LinkError};

/// Read and written at once, in bytes.
const PIECE_BYTES: usize = 16 * 1024;
/// Receive window of a channel, as libssh2 makes it.
const WINDOW: u32 = 2 * 1024 * 1024;

/// Carries bytes between the streams of hosts and the channels of a session.
///
/// libssh2 has one packet on its way out at most. Until that is gone nothing but the call that began
/// it may send, so that call is made again before anything else.
pub(super) struct Bridge {
    link: Link,
    way: Weak<Way>,
    carrier: Weak<Carrier>,
    jump: Arc<Endpoint>,
    orders: Pin<Box<Receiver<Order>>>,
    opening: Option<Order>,
    pipes: Vec<Pipe>,
    closing: Vec<RawChannel>,
    /// The call whose packet is not gone yet.
    sending: Option<Job>,
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
        way: Weak<Way>,
        carrier: Weak<Carrier>,
        orders: Receiver<Order>,
    ) -> Self {
        Self {
            link,
            way,
            carrier,
            jump,
            orders: Box::pin(orders),
            opening: None,
            pipes: Vec::new(),
            closing: Vec::new(),
            sending: None,
        }
    }

    /// Carries until the session breaks or nobody can ask for anything any more.
    pub(super) async fn work(mut self) {
        loop {
            inbox::begin_turn();
            let Ok(is_moved) = self.step() else {
                break;
            };
            if !is_moved && (self.is_done() || self.wait().await.is_err()) {
                break;
            }
            // However much there is to do, the other jump hosts have their turn.
            future::yield_now().await;
        }
        // Streams that are dropped tell their hosts.
        if let (Some(way), Some(carrier)) = (self.way.upgrade(), self.carrier.upgrade()) {
            way.leave(&carrier);
        }
        self.link.shut();
    }

    /// Nobody can ask for anything any more.
    fn is_done(&self) -> bool {
        self.orders.is_closed() && self.pipes.is_empty() && self.opening.is_none()
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
        if let (Some(way), Some(carrier)) = (self.way.upgrade(), self.carrier.upgrade()) {
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
        if let (Some(way), Some(carrier)) = (self.way.upgrade(), self.carrier.upgrade()) {
            carrier.is_opening.set(false);
            way.changed.notify(1);
        }
    }

    fn bridged(&mut self, channel: RawChannel) -> io::Result<UnixStream> {
        let (ours, theirs) = UnixStream::pair()?;
        self.link.allow_window(WINDOW);
        self.pipes.push(Pipe {
            channel,
            stream: Async::new(ours)?,
            to_channel: Piece::new(),
            to_stream: Piece::new(),
            is_over: false,
        });
        Ok(theirs)
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
        if self.sending.is_some() {
            return self.link.poll_sendable(cx);
        }
        let mut is_ready = false;
        let is_reading = self.pipes.iter().any(|pipe| pipe.to_stream.is_empty());
        // Without anybody who reads, what has come stays where it is.
        if (is_reading || self.opening.is_some() || !self.closing.is_empty())
            && let Poll::Ready(result) = self.link.poll_ready(cx)
        {
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
