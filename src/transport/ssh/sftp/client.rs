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
use std::collections::{HashMap, VecDeque};
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
use super::wire::{self, Event, Expected, Malformed, Reply, Request, Unpacker};
use super::words;
use crate::transport::READ_BYTES;
use crate::transport::files::FileError;

/// What libssh2 sends in one packet.
const PIECE_BYTES: usize = 32_700;
/// After so many pieces the worker's other hosts have their turn.
const ROUNDS: usize = 64;
/// Most bytes of what the host says beside the protocol that are kept.
const MOST_SAID: usize = 512;
/// The streams of a channel (RFC 4254 §5.2).
const STDOUT: i32 = 0;
const STDERR: i32 = 1;
/// Nobody's lane.
const NOBODY: u32 = 0;

thread_local! {
    /// One read buffer for all hosts of a worker.
    static SCRATCH: Cell<Vec<u8>> = const { Cell::new(Vec::new()) };
}

/// What a lane does with the data of files.
pub(super) trait Hand {
    /// Returns the next part to be written, if there is one by now. Its bytes are then read.
    fn next_write(&mut self) -> Option<Part<'_>> {
        None
    }

    /// Fills `buffer` with the next bytes of the part.
    fn give(&mut self, buffer: &mut [u8]) {
        buffer.fill(0);
    }

    /// Those were the last bytes of the part.
    fn part_is_given(&mut self) {}

    /// Takes the next bytes that answer a request.
    fn take(&mut self, id: u32, bytes: &[u8]) -> Result<(), Malformed> {
        let _ = (id, bytes);
        Ok(())
    }

    /// Those were the last bytes that answer a request.
    fn end(&mut self, id: u32) {
        let _ = id;
    }

    /// Whether the lane has something to do before any further answer.
    fn is_due(&self) -> bool {
        false
    }
}

/// The hand of a lane that moves no data.
pub(super) struct Empty;

impl Hand for Empty {}

/// A part of a file to be written.
#[derive(Debug)]
pub(super) struct Part<'a> {
    pub(super) handle: &'a [u8],
    pub(super) offset: u64,
    /// Never 0.
    pub(super) length: u32,
}

/// What is undone when nobody is left who waits for a handle.
#[derive(Debug, Clone, Default)]
pub(super) struct Undo {
    /// The file that is removed.
    pub(super) remove: Option<Vec<u8>>,
}

/// An answer to a lane.
#[derive(Debug)]
pub(super) struct Answer {
    pub(super) id: u32,
    pub(super) reply: Reply,
    undo: Undo,
}

/// One SFTP channel.
pub(super) struct Client {
    link: Rc<Link>,
    channel: RawChannel,
    options: ChannelOptions,
    state: RefCell<State>,
    is_closed: Cell<bool>,
}

#[derive(Default)]
struct State {
    lanes: HashMap<u32, Waiting>,
    last_lane: u32,
    asked: HashMap<u32, Asked>,
    last_id: u32,
    outgoing: Outgoing,
    unpacker: Unpacker,
    /// What has come and waits for another lane than the one that read it.
    unread: Vec<u8>,
    /// The host has said which version it speaks.
    is_greeted: bool,
    /// The first that it said on stderr.
    said: Vec<u8>,
    /// The first of all, kept until there is a version.
    opening: Vec<u8>,
    /// Something may be moved without waiting.
    is_dirty: bool,
    /// Who watches the socket.
    driver: Option<(u32, Waker)>,
    /// Goes off when the host is to be asked for a sign of life.
    heartbeat: Option<Timer>,
    /// Since when somebody has listened to the host.
    listening_since: Option<Instant>,
    /// Why nothing goes any more.
    broken: Option<FileError>,
    /// To be woken as soon as the state is free.
    wakes: Vec<Waker>,
}

/// A lane that waits.
#[derive(Default)]
struct Waiting {
    waker: Option<Waker>,
    answers: VecDeque<Answer>,
}

/// A request that is not answered yet.
struct Asked {
    lane: u32,
    expected: Expected,
    undo: Undo,
}

/// What is to be sent.
#[derive(Default)]
struct Outgoing {
    /// Whole packets of which nothing is sent yet.
    queued: Vec<u8>,
    /// Being sent; stays as it is while libssh2 asks for the same bytes.
    bytes: Vec<u8>,
    /// How much of it is sent.
    sent: usize,
    /// Whose data follows, and how much of it.
    body: Option<(u32, usize)>,
    /// Lanes that have data to send, in turn.
    turns: VecDeque<u32>,
}

impl Outgoing {
    fn is_empty(&self) -> bool {
        self.sent == self.bytes.len()
    }
}

impl State {
    fn new_id(&mut self) -> u32 {
        loop {
            self.last_id = self.last_id.wrapping_add(1);
            if !self.asked.contains_key(&self.last_id) {
                return self.last_id;
            }
        }
    }

    fn ask(&mut self, lane: u32, request: &Request<'_>, undo: Undo) -> u32 {
        let id = self.new_id();
        request.put(id, &mut self.outgoing.queued);
        let expected = request.expected();
        self.asked.insert(
            id,
            Asked {
                lane,
                expected,
                undo,
            },
        );
        self.is_dirty = true;
        id
    }

    /// Has a handle closed for which nobody waits.
    fn undo(&mut self, handle: &[u8], undo: &Undo) {
        self.ask(NOBODY, &Request::Close(handle), Undo::default());
        if let Some(path) = &undo.remove {
            self.ask(NOBODY, &Request::Remove(path), Undo::default());
        }
    }

    fn wake(&mut self, lane: u32) {
        let waker = self.lanes.get_mut(&lane).and_then(|lane| lane.waker.take());
        self.wakes.extend(waker);
    }

    fn break_with(&mut self, error: FileError) {
        self.broken.get_or_insert(error);
        let wakers = self.lanes.values_mut().filter_map(|lane| lane.waker.take());
        self.wakes.extend(wakers);
        self.outgoing = Outgoing::default();
        self.unread = Vec::new();
    }

    /// Returns the lane that has to take what comes next, if there is such a one.
    fn reader(&self) -> Option<u32> {
        let asked = self.asked.get(&self.unpacker.reading()?)?;
        self.lanes.contains_key(&asked.lane).then_some(asked.lane)
    }

    /// Whether others wait until this lane has moved its data.
    fn waits_for(&self, lane: u32) -> bool {
        let out = &self.outgoing;
        let is_giver = match out.body {
            Some((giver, _)) => giver == lane,
            None => out.queued.is_empty() && out.turns.front() == Some(&lane),
        };
        (is_giver && out.is_empty()) || (!self.unread.is_empty() && self.reader() == Some(lane))
    }

    /// Whether the socket is of no use to this lane before another one has taken its data.
    fn waits_for_other(&self, lane: u32) -> bool {
        !self.unread.is_empty() && self.reader().is_some_and(|reader| reader != lane)
    }

    /// Takes what has come apart; returns how much of it is for another lane to take.
    fn digest(
        &mut self,
        mut bytes: &[u8],
        own: u32,
        hand: &mut dyn Hand,
    ) -> Result<usize, Malformed> {
        loop {
            let reader = self.reader();
            if let Some(other) = reader.filter(|reader| *reader != own) {
                self.wake(other);
                return Ok(bytes.len());
            }
            let is_own = reader.is_some();
            match self.unpacker.next(&mut bytes)? {
                None => return Ok(0),
                Some(Event::Packet(packet)) => self.answered(&packet)?,
                Some(Event::Data(id, count)) => match self.asked.get(&id).map(|it| it.expected) {
                    Some(Expected::Data(most)) if (1..=most).contains(&count) => {}
                    _ => return Err(Malformed::Answer),
                },
                Some(Event::Piece(id, piece)) if is_own => hand.take(id, piece)?,
                Some(Event::Piece(..)) => {}
                Some(Event::End(id)) => {
                    self.asked.remove(&id);
                    if is_own {
                        hand.end(id);
                    }
                }
            }
        }
    }

    /// Hands an answer to the lane that has asked.
    fn answered(&mut self, packet: &[u8]) -> Result<(), Malformed> {
        let (id, reply) = Reply::read(packet)?;
        if !self.is_greeted {
            let Reply::Version(_) = reply else {
                return Err(Malformed::Answer);
            };
            self.is_greeted = true;
            // Before that nobody but the one lane that opens the channel is there.
            if let Some((&lane, waiting)) = self.lanes.iter_mut().next() {
                let undo = Undo::default();
                waiting.answers.push_back(Answer { id, reply, undo });
                self.wake(lane);
            }
            return Ok(());
        }
        let asked = self.asked.remove(&id).ok_or(Malformed::Answer)?;
        if !reply.is_what(asked.expected) {
            return Err(Malformed::Answer);
        }
        let undo = asked.undo;
        if let Some(waiting) = self.lanes.get_mut(&asked.lane) {
            waiting.answers.push_back(Answer { id, reply, undo });
            self.wake(asked.lane);
        } else if let Reply::Handle(handle) = reply {
            self.undo(&handle, &undo);
        }
        Ok(())
    }

    /// Puts together what is sent next.
    fn fill(&mut self, own: u32, hand: &mut dyn Hand) {
        let mut bytes = std::mem::take(&mut self.outgoing.bytes);
        bytes.clear();
        self.outgoing.sent = 0;
        while bytes.len() < PIECE_BYTES {
            if let Some((lane, left)) = self.outgoing.body {
                if lane != own && self.lanes.contains_key(&lane) {
                    self.wake(lane);
                    break;
                }
                let start = bytes.len();
                let count = left.min(PIECE_BYTES - start);
                bytes.resize(start + count, 0);
                self.outgoing.body = Some((lane, left - count)).filter(|(_, left)| *left > 0);
                if lane == own {
                    hand.give(&mut bytes[start..]);
                }
                if count == left {
                    self.pass_turn(lane);
                    if lane == own {
                        hand.part_is_given();
                    }
                }
            } else if !self.outgoing.queued.is_empty() {
                bytes.append(&mut self.outgoing.queued);
            } else {
                let Some(&lane) = self.outgoing.turns.front() else {
                    break;
                };
                if lane != own {
                    self.wake(lane);
                    break;
                }
                if !self.begin_write(own, hand, &mut bytes) {
                    self.outgoing.turns.pop_front();
                }
            }
        }
        if bytes.is_empty() && self.outgoing.turns.is_empty() {
            // Memory is for those who have something to send.
            bytes = Vec::new();
            self.outgoing.queued = Vec::new();
        }
        self.outgoing.bytes = bytes;
    }

    fn begin_write(&mut self, own: u32, hand: &mut dyn Hand, bytes: &mut Vec<u8>) -> bool {
        let Some(part) = hand.next_write() else {
            return false;
        };
        let id = self.new_id();
        wire::put_write(bytes, id, part.handle, part.offset, part.length);
        let left = usize::try_from(part.length).expect("a part is short");
        self.outgoing.body = Some((own, left));
        let asked = Asked {
            lane: own,
            expected: Expected::Status,
            undo: Undo::default(),
        };
        self.asked.insert(id, asked);
        true
    }

    /// Lets the next lane send, when this one has sent a packet.
    fn pass_turn(&mut self, lane: u32) {
        let turns = &mut self.outgoing.turns;
        if turns.len() > 1 && turns.front() == Some(&lane) {
            turns.rotate_left(1);
        }
    }
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
            state.is_dirty |= is_giver || !state.unread.is_empty();
            if state
                .driver
                .as_ref()
                .is_none_or(|(driver, _)| *driver == lane)
            {
                state.driver = None;
                let mut wakers = state.lanes.values_mut();
                let waker = wakers.find_map(|lane| lane.waker.take());
                state.wakes.extend(waker);
            }
        });
    }

    /// Puts a request on its way; returns its id.
    pub(super) fn ask(&self, lane: u32, request: &Request<'_>, undo: Undo) -> u32 {
        self.with(|state| state.ask(lane, request, undo))
    }

    /// Puts a request on its way whose answer nobody waits for.
    pub(super) fn forget(&self, request: &Request<'_>) {
        self.with(|state| state.ask(NOBODY, request, Undo::default()));
    }

    /// Has a handle closed for which nobody waits.
    pub(super) fn undo(&self, handle: &[u8], undo: &Undo) {
        self.with(|state| state.undo(handle, undo));
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
                may_drive = true;
                match self.work(state, own, hand) {
                    Ok(true) => continue,
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
                Poll::Ready(Ok(())) => state.is_dirty = true,
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
            if !is_fresh && !is_sent && !is_taken || is_fresh && !is_read && !is_sent && !is_taken {
                if !self.link.is_put_off() {
                    state.is_dirty = false;
                    return Ok(false);
                }
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
            return Err(self.ended(state));
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
        if state.outgoing.is_empty() {
            state.fill(own, hand);
        }
        if state.outgoing.is_empty() {
            return Ok(false);
        }
        self.write(&mut state.outgoing)
            .map_err(|code| self.broken(code))
    }

    fn write(&self, out: &mut Outgoing) -> Result<bool, i32> {
        match self.channel.write(&out.bytes[out.sent..]) {
            Ok(count) => {
                out.sent += count;
                self.link.count(count);
                Ok(count > 0)
            }
            Err(EAGAIN) => Ok(false),
            Err(code) => Err(code),
        }
    }

    fn broken(&self, code: i32) -> FileError {
        words::down(&self.link.error(code))
    }

    fn ended(&self, state: &State) -> FileError {
        let status = self.channel.exit_status();
        if state.is_greeted {
            return words::ended(status, &state.said);
        }
        let said = [&state.said, &state.opening];
        let said = said.iter().find(|said| !said.is_empty());
        words::ended_at_once(status, said.map_or(&[], |said| said))
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
