//! One SFTP channel, on which many requests are under way at once.
//!
//! Everything that goes on at a time is a *lane*: it asks, and waits for its answers. Whoever is polled
//! moves bytes for all of them; what has come for another lane is left with that one, which is woken.
//! Only one lane watches the socket, the driver; when it leaves, another one is woken to take over.
//!
//! The data of files is never kept here. A lane reads what it writes into the one buffer of the
//! connection, just before it goes out, and takes what it reads as it comes (see [`Hand`]). So while
//! data of one lane is in between, the others wait for that lane; when it is gone, what it had announced
//! is filled up with zeros and what it had asked for is dropped.

use std::cell::{Cell, RefCell, RefMut};
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll, Waker};
use std::time::{Duration, Instant};

use async_io::Timer;
use futures_lite::stream::Stream as _;

use super::super::ffi::{EAGAIN, RawChannel};
use super::super::inbox;
use super::super::link::Link;
use super::super::process::ChannelOptions;
use super::state::{Answer, Hand, NOBODY, Outgoing, State, Undo, Waiting};
use super::wire::{self, Reply, Request};
use super::words;
use crate::transport::READ_BYTES;
use crate::transport::files::FileError;

/// After so many pieces the worker's other hosts have their turn.
const ROUNDS: usize = 64;
/// Most bytes of what the host says beside the protocol that are kept.
const MOST_SAID: usize = 512;
/// The streams of a channel (RFC 4254 §5.2).
const STDOUT: i32 = 0;
const STDERR: i32 = 1;

thread_local! {
    /// One read buffer for all hosts of a worker.
    static SCRATCH: Cell<Vec<u8>> = const { Cell::new(Vec::new()) };
}

/// One SFTP channel.
pub(super) struct Client {
    link: Rc<Link>,
    channel: RawChannel,
    options: ChannelOptions,
    state: RefCell<State>,
    is_closed: Cell<bool>,
}

impl Client {
    /// Returns a client on a channel whose subsystem was started.
    pub(super) fn new(link: Rc<Link>, channel: RawChannel, options: ChannelOptions) -> Self {
        Self {
            link,
            channel,
            options,
            state: RefCell::default(),
            is_closed: Cell::new(false),
        }
    }

    /// Returns the state; who waits in it is woken when it is free again.
    fn with<T>(&self, work: impl FnOnce(&mut RefMut<'_, State>) -> T) -> T {
        let mut state = self.state.borrow_mut();
        let done = work(&mut state);
        let wakes = std::mem::take(&mut state.wakes);
        drop(state);
        wakes.into_iter().for_each(Waker::wake);
        done
    }

    /// Returns a new lane.
    pub(super) fn enter(&self) -> u32 {
        self.with(|state| {
            if state.lanes.is_empty() {
                state.heartbeat = self.options.keepalive.map(Timer::interval);
                state.listening_since = Some(Instant::now());
            }
            loop {
                state.last_lane = state.last_lane.wrapping_add(1);
                let lane = state.last_lane;
                if lane != NOBODY && !state.lanes.contains_key(&lane) {
                    state.lanes.insert(lane, Waiting::default());
                    return lane;
                }
            }
        })
    }

    /// Ends a lane: nobody waits any more for what it has asked.
    pub(super) fn leave(&self, lane: u32) {
        self.with(|state| {
            let waiting = state.lanes.remove(&lane).unwrap_or_default();
            for answer in waiting.answers {
                if let Reply::Handle(handle) = answer.reply {
                    state.undo(&handle, &answer.undo);
                }
            }
            state.outgoing.turns.retain(|turn| *turn != lane);
            let is_giver = state.outgoing.body.is_some_and(|(giver, _)| giver == lane);
            // What waited for it can go on.
            state.is_dirty |= is_giver || !state.unread.is_empty() || !state.outgoing.is_empty();
            if state
                .driver
                .as_ref()
                .is_none_or(|(driver, _)| *driver == lane)
            {
                state.driver = None;
            }
            if state.gatherer == Some(lane) {
                state.gatherer = None;
            }
            state.rouse();
        });
    }

    /// Puts a request on its way; returns its id.
    pub(super) fn ask(&self, lane: u32, request: &Request<'_>, undo: Undo) -> u32 {
        self.with(|state| state.ask(lane, request, undo))
    }

    /// Puts a request on its way whose answer nobody waits for.
    pub(super) fn forget(&self, request: &Request<'_>) {
        self.with(|state| {
            state.ask(NOBODY, request, Undo::default());
            state.rouse();
        });
    }

    /// Has a handle closed for which nobody waits.
    pub(super) fn undo(&self, handle: &[u8], undo: &Undo) {
        self.with(|state| {
            state.undo(handle, undo);
            state.rouse();
        });
    }

    /// Notes that a lane has data to send.
    pub(super) fn want_turn(&self, lane: u32) {
        self.with(|state| {
            if !state.outgoing.turns.contains(&lane) {
                state.outgoing.turns.push_back(lane);
                state.is_dirty = true;
            }
        });
    }

    /// Puts the first packet of all on its way.
    pub(super) fn greet(&self) {
        self.with(|state| {
            wire::put_init(&mut state.outgoing.queued);
            state.is_dirty = true;
        });
    }

    /// Whether nothing goes any more.
    pub(super) fn is_broken(&self) -> bool {
        self.state.borrow().broken.is_some()
    }

    /// Waits for an answer to a lane; `None` when its hand has something to do before.
    pub(super) fn poll_answer(
        &self,
        lane: u32,
        cx: &mut Context<'_>,
        hand: &mut dyn Hand,
    ) -> Poll<Result<Option<Answer>, FileError>> {
        self.with(|state| {
            let polled = self.poll_in(state, lane, cx, hand);
            if polled.is_pending()
                && let Some(waiting) = state.lanes.get_mut(&lane)
            {
                waiting.waker = Some(cx.waker().clone());
            }
            polled
        })
    }

    fn poll_in(
        &self,
        state: &mut State,
        own: u32,
        cx: &mut Context<'_>,
        hand: &mut dyn Hand,
    ) -> Poll<Result<Option<Answer>, FileError>> {
        let mut may_drive = match &state.driver {
            None => true,
            Some((lane, waker)) => *lane == own || waker.will_wake(cx.waker()),
        };
        let mut is_ready = false;
        for _ in 0..4 {
            let waiting = state.lanes.get_mut(&own);
            if let Some(answer) = waiting.and_then(|lane| lane.answers.pop_front()) {
                return Poll::Ready(Ok(Some(answer)));
            }
            if let Some(error) = &state.broken {
                return Poll::Ready(Err(error.clone()));
            }
            if hand.is_due() {
                return Poll::Ready(Ok(None));
            }
            if state.is_dirty || state.waits_for(own) {
                if !is_ready && state.gathers(own) {
                    if state.gatherer == Some(own) {
                        cx.waker().wake_by_ref();
                    }
                    return Poll::Pending;
                }
                may_drive = true;
                match self.work(state, own, hand) {
                    Ok(true) => {
                        // Whoever goes on, nothing tells them of what is here already.
                        state.is_dirty = true;
                        continue;
                    }
                    Ok(false) => {}
                    Err(error) => {
                        state.break_with(error);
                        continue;
                    }
                }
            }
            if !may_drive || state.waits_for_other(own) {
                return Poll::Pending;
            }
            match self.poll_host(state, cx) {
                Poll::Ready(Ok(())) => (state.is_dirty, is_ready) = (true, true),
                Poll::Ready(Err(error)) => state.break_with(error),
                Poll::Pending => {
                    state.driver = Some((own, cx.waker().clone()));
                    return Poll::Pending;
                }
            }
        }
        // However much there is to do, the worker's other hosts have their turn.
        cx.waker().wake_by_ref();
        Poll::Pending
    }

    /// Waits for the host, and asks it for signs of life.
    fn poll_host(&self, state: &mut State, cx: &mut Context<'_>) -> Poll<Result<(), FileError>> {
        let limit = self.silence();
        while let Some(heartbeat) = &mut state.heartbeat
            && Pin::new(heartbeat).poll_next(cx).is_ready()
        {
            self.link.keep_alive();
            let listened = state
                .listening_since
                .map_or(Duration::ZERO, |at| at.elapsed());
            if listened >= limit && self.link.is_silent_for(limit) {
                return Poll::Ready(Err(words::silent(limit)));
            }
        }
        self.link
            .poll_ready(cx)
            .map_err(|error| words::down(&error))
    }

    /// Returns after how long a silence the host is gone.
    fn silence(&self) -> Duration {
        let interval = self.options.keepalive.unwrap_or_default();
        interval.saturating_mul(self.options.keepalive_count)
    }

    /// Moves what can be moved without waiting; returns whether there may be more.
    fn work(&self, state: &mut State, own: u32, hand: &mut dyn Hand) -> Result<bool, FileError> {
        inbox::begin_turn();
        let mut is_fresh = true;
        for _ in 0..ROUNDS {
            if self.link.is_put_off() {
                // A read would first enlarge the window, which has to wait for what was put off. An
                // error shows in the read as well.
                let _ = self.channel.wait_eof();
            }
            let taken = self.link.taken();
            // Whoever sends takes in what has come as well: there is no need to look before each piece.
            let is_read = is_fresh && self.receive(state, own, hand)?;
            let is_sent = self.send(state, own, hand)?;
            let is_taken = self.link.taken() != taken;
            if !is_read && !is_sent && !is_taken && is_fresh && !self.link.is_put_off() {
                state.is_dirty = false;
                return Ok(false);
            }
            is_fresh = is_read || is_taken || !is_sent;
            let waiting = state.lanes.get(&own);
            if hand.is_due() || waiting.is_some_and(|waiting| !waiting.answers.is_empty()) {
                return Ok(true);
            }
        }
        Ok(true)
    }

    /// Takes in what has come; returns whether that was anything.
    fn receive(&self, state: &mut State, own: u32, hand: &mut dyn Hand) -> Result<bool, FileError> {
        let mut scratch = SCRATCH.take();
        scratch.resize(READ_BYTES, 0);
        let received = self.receive_into(&mut scratch, state, own, hand);
        SCRATCH.set(scratch);
        received
    }

    fn receive_into(
        &self,
        scratch: &mut [u8],
        state: &mut State,
        own: u32,
        hand: &mut dyn Hand,
    ) -> Result<bool, FileError> {
        let before = std::mem::take(&mut state.unread);
        Self::digest(state, &before, own, hand)?;
        let mut is_moved = state.unread.len() != before.len();
        while state.unread.is_empty() {
            let count = match self.channel.read(STDOUT, scratch) {
                Ok(0) | Err(EAGAIN) => break,
                Ok(count) => count,
                Err(code) => return Err(self.broken(code)),
            };
            is_moved = true;
            self.link.count(count);
            Self::digest(state, &scratch[..count], own, hand)?;
        }
        is_moved |= self.listen(scratch, state)?;
        if state.unread.is_empty() && self.channel.is_eof() {
            state.is_ended = true;
            return Err(words::ended(&state.said));
        }
        Ok(is_moved)
    }

    fn digest(
        state: &mut State,
        bytes: &[u8],
        own: u32,
        hand: &mut dyn Hand,
    ) -> Result<(), FileError> {
        if !state.is_greeted {
            keep(&mut state.opening, bytes);
        }
        match state.digest(bytes, own, hand) {
            Ok(left) => state.unread.extend_from_slice(&bytes[bytes.len() - left..]),
            Err(_) if !state.is_greeted => return Err(words::no_sftp(&state.opening)),
            Err(error) => return Err(words::no_answer(&error)),
        }
        if state.is_greeted {
            state.opening = Vec::new();
        }
        Ok(())
    }

    /// Takes in what the host says on stderr; the first of it is kept.
    fn listen(&self, scratch: &mut [u8], state: &mut State) -> Result<bool, FileError> {
        let mut is_moved = false;
        loop {
            match self.channel.read(STDERR, scratch) {
                Ok(0) | Err(EAGAIN) => return Ok(is_moved),
                Ok(count) => {
                    is_moved = true;
                    self.link.count(count);
                    keep(&mut state.said, &scratch[..count]);
                }
                Err(code) => return Err(self.broken(code)),
            }
        }
    }

    /// Sends one piece, if the host has room for it.
    fn send(&self, state: &mut State, own: u32, hand: &mut dyn Hand) -> Result<bool, FileError> {
        if !state.outgoing.is_offered && !state.fill(own, hand) {
            return Ok(false);
        }
        if state.outgoing.is_empty() {
            return Ok(false);
        }
        self.write(&mut state.outgoing)
            .map_err(|code| self.broken(code))
    }

    fn write(&self, out: &mut Outgoing) -> Result<bool, i32> {
        out.is_offered = true;
        match self.channel.write(&out.bytes[out.sent..]) {
            Ok(count) => {
                out.sent += count;
                self.link.count(count);
                if out.is_empty() {
                    out.clear();
                }
                Ok(count > 0)
            }
            Err(EAGAIN) => Ok(false),
            Err(code) => Err(code),
        }
    }

    fn broken(&self, code: i32) -> FileError {
        words::down(&self.link.error(code))
    }

    /// Says why there is no SFTP, when it ended before it began: once the channel is closed, it is known
    /// how.
    pub(super) fn end_at_once(&self) -> Option<FileError> {
        let state = self.state.borrow();
        let said = [&state.said, &state.opening];
        let said = said.iter().find(|said| !said.is_empty());
        (state.is_ended && !state.is_greeted).then(|| {
            words::ended_at_once(self.channel.exit_status(), said.map_or(&[], |said| said))
        })
    }

    /// Has libssh2 finish what it has begun to send here, so that others can use the session. Call again
    /// on `EAGAIN`.
    pub(super) fn settle(&self) -> Result<(), i32> {
        let mut state = self.state.borrow_mut();
        if state.broken.is_some() || !self.link.is_sending() {
            return Ok(());
        }
        if !state.outgoing.is_empty() {
            self.write(&mut state.outgoing)?;
        }
        if self.link.is_sending() && state.unread.len() < READ_BYTES {
            // A larger window may be on its way, and reading sends it.
            let mut bytes = vec![0; READ_BYTES];
            let count = match self.channel.read(STDOUT, &mut bytes) {
                Err(EAGAIN) => 0,
                result => result?,
            };
            self.link.count(count);
            state.unread.extend_from_slice(&bytes[..count]);
        }
        state.is_dirty = true;
        if self.link.is_sending() {
            Err(EAGAIN)
        } else {
            Ok(())
        }
    }

    /// Whether its channel is closed.
    pub(super) fn is_closed(&self) -> bool {
        self.is_closed.get()
    }

    /// Closes the channel, which is of no use any more. Call again on `EAGAIN`.
    pub(super) fn close(&self) -> Result<(), i32> {
        self.channel.close()?;
        self.is_closed.set(true);
        Ok(())
    }
}

impl Drop for Client {
    fn drop(&mut self) {
        // A channel that is still open can't be freed on a live connection.
        if !self.is_closed.get() {
            self.link.shut();
        }
    }
}

/// Keeps the first of what a host says.
fn keep(said: &mut Vec<u8>, bytes: &[u8]) {
    let room = MOST_SAID.saturating_sub(said.len());
    said.extend_from_slice(&bytes[..bytes.len().min(room)]);
}
