//! What is under way on an SFTP channel, without the channel: who waits for which answers, what is to
//! be sent, and what has come and waits to be taken.
//!
//! Bytes that came go in and are handed to the lanes they are for; the bytes that are to go out next come
//! out. See [`super::client`] for what lanes are.

use std::collections::{HashMap, VecDeque};
use std::task::Waker;
use std::time::Instant;

use async_io::Timer;

use super::wire::{self, Event, Expected, Malformed, Reply, Request, Unpacker};
use crate::transport::files::FileError;

/// What libssh2 sends in one packet.
const PIECE_BYTES: usize = 32_700;
/// Requests go out when they are at least one in so many of those that have no answer yet.
const COMPANY: usize = 4;
/// Nobody's lane.
pub(super) const NOBODY: u32 = 0;

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
    pub(super) undo: Undo,
}

#[derive(Default)]
pub(super) struct State {
    pub(super) lanes: HashMap<u32, Waiting>,
    pub(super) last_lane: u32,
    pub(super) asked: HashMap<u32, Asked>,
    pub(super) last_id: u32,
    pub(super) outgoing: Outgoing,
    pub(super) unpacker: Unpacker,
    /// What has come and waits for another lane than the one that read it.
    pub(super) unread: Vec<u8>,
    /// The host has said which version it speaks.
    pub(super) is_greeted: bool,
    /// The first that it said on stderr.
    pub(super) said: Vec<u8>,
    /// The first of all, kept until there is a version.
    pub(super) opening: Vec<u8>,
    /// It has ended the channel.
    pub(super) is_ended: bool,
    /// Something may be moved without waiting.
    pub(super) is_dirty: bool,
    /// Who moves what can be moved, when the others have asked as well.
    pub(super) gatherer: Option<u32>,
    /// Who watches the socket.
    pub(super) driver: Option<(u32, Waker)>,
    /// Goes off when the host is to be asked for a sign of life.
    pub(super) heartbeat: Option<Timer>,
    /// Since when somebody has listened to the host.
    pub(super) listening_since: Option<Instant>,
    /// Why nothing goes any more.
    pub(super) broken: Option<FileError>,
    /// To be woken as soon as the state is free.
    pub(super) wakes: Vec<Waker>,
}

/// A lane that waits.
#[derive(Default)]
pub(super) struct Waiting {
    pub(super) waker: Option<Waker>,
    pub(super) answers: VecDeque<Answer>,
}

/// A request that is not answered yet.
pub(super) struct Asked {
    pub(super) lane: u32,
    pub(super) expected: Expected,
    pub(super) undo: Undo,
}

/// What is to be sent.
#[derive(Default)]
pub(super) struct Outgoing {
    /// Whole packets of which nothing is sent yet.
    pub(super) queued: Vec<u8>,
    /// How many requests they are.
    pub(super) requests: usize,
    /// The piece that goes out next.
    pub(super) bytes: Vec<u8>,
    /// libssh2 has seen the piece, and asks for the same bytes until all of it is sent.
    pub(super) is_offered: bool,
    /// How much of it is sent.
    pub(super) sent: usize,
    /// Whose data follows, and how much of it.
    pub(super) body: Option<(u32, usize)>,
    /// Lanes that have data to send, in turn.
    pub(super) turns: VecDeque<u32>,
}

impl Outgoing {
    pub(super) fn is_empty(&self) -> bool {
        self.sent == self.bytes.len()
    }

    /// Begins a new piece.
    pub(super) fn clear(&mut self) {
        self.bytes.clear();
        self.sent = 0;
        self.is_offered = false;
    }
}

impl State {
    pub(super) fn new_id(&mut self) -> u32 {
        loop {
            self.last_id = self.last_id.wrapping_add(1);
            if !self.asked.contains_key(&self.last_id) {
                return self.last_id;
            }
        }
    }

    pub(super) fn ask(&mut self, lane: u32, request: &Request<'_>, undo: Undo) -> u32 {
        let id = self.new_id();
        request.put(id, &mut self.outgoing.queued);
        self.outgoing.requests += 1;
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

    /// Whether queued requests go out by themselves. As long as the host has much more to answer, they
    /// wait for company: each packet costs both sides more than what is in it.
    fn sends_queued(&self) -> bool {
        let out = &self.outgoing;
        !out.queued.is_empty() && out.requests * COMPANY >= self.asked.len()
    }

    /// Has a handle closed for which nobody waits.
    pub(super) fn undo(&mut self, handle: &[u8], undo: &Undo) {
        self.ask(NOBODY, &Request::Close(handle), Undo::default());
        if let Some(path) = &undo.remove {
            self.ask(NOBODY, &Request::Remove(path), Undo::default());
        }
    }

    pub(super) fn wake(&mut self, lane: u32) {
        let waker = self.lanes.get_mut(&lane).and_then(|lane| lane.waker.take());
        self.wakes.extend(waker);
    }

    /// Whether a lane waits until the others have asked as well: what goes out together costs the host and
    /// this side far less than piece by piece. The first that comes is the gatherer: when it comes back,
    /// it moves what there is.
    pub(super) fn gathers(&mut self, lane: u32) -> bool {
        if self.gatherer == Some(lane) || self.lanes.len() == 1 || self.waits_for(lane) {
            self.gatherer = None;
            return false;
        }
        self.gatherer.get_or_insert(lane);
        true
    }

    /// Sees to it that somebody goes on when a lane leaves: it may have left something that can be moved,
    /// of which the socket tells the driver nothing, or have been the driver itself.
    pub(super) fn rouse(&mut self) {
        let waker = match &self.driver {
            Some(_) if !self.is_dirty => None,
            Some((_, waker)) => Some(waker.clone()),
            None => {
                let mut lanes = self.lanes.values_mut();
                lanes.find_map(|lane| lane.waker.take())
            }
        };
        self.wakes.extend(waker);
    }

    pub(super) fn break_with(&mut self, error: FileError) {
        self.broken.get_or_insert(error);
        let wakers = self.lanes.values_mut().filter_map(|lane| lane.waker.take());
        self.wakes.extend(wakers);
        self.outgoing = Outgoing::default();
        self.unread = Vec::new();
    }

    /// Returns the lane that has to take what comes next, if there is such a one.
    pub(super) fn reader(&self) -> Option<u32> {
        let asked = self.asked.get(&self.unpacker.reading()?)?;
        self.lanes.contains_key(&asked.lane).then_some(asked.lane)
    }

    /// Whether others wait until this lane has moved its data.
    pub(super) fn waits_for(&self, lane: u32) -> bool {
        let out = &self.outgoing;
        let is_giver = match out.body {
            Some((giver, _)) => giver == lane,
            None => !self.sends_queued() && out.turns.front() == Some(&lane),
        };
        (is_giver && !out.is_offered) || (!self.unread.is_empty() && self.reader() == Some(lane))
    }

    /// Whether the socket is of no use to this lane before another one has taken its data.
    pub(super) fn waits_for_other(&self, lane: u32) -> bool {
        !self.unread.is_empty() && self.reader().is_some_and(|reader| reader != lane)
    }

    /// Takes what has come apart; returns how much of it is for another lane to take.
    pub(super) fn digest(
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
    pub(super) fn answered(&mut self, packet: &[u8]) -> Result<(), Malformed> {
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

    /// Puts together what is sent next; returns whether it is whole. If not, another lane has to add its
    /// data first, which is woken.
    pub(super) fn fill(&mut self, own: u32, hand: &mut dyn Hand) -> bool {
        let mut bytes = std::mem::take(&mut self.outgoing.bytes);
        let mut is_whole = true;
        while bytes.len() < PIECE_BYTES {
            if let Some((lane, left)) = self.outgoing.body {
                if lane != own && self.lanes.contains_key(&lane) {
                    self.wake(lane);
                    is_whole = false;
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
            } else if self.sends_queued() || (!bytes.is_empty() && self.outgoing.requests > 0) {
                bytes.append(&mut self.outgoing.queued);
                self.outgoing.requests = 0;
            } else {
                let Some(&lane) = self.outgoing.turns.front() else {
                    break;
                };
                if lane != own {
                    self.wake(lane);
                    is_whole = false;
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
            self.outgoing.queued.shrink_to_fit();
        }
        self.outgoing.bytes = bytes;
        is_whole
    }

    pub(super) fn begin_write(
        &mut self,
        own: u32,
        hand: &mut dyn Hand,
        bytes: &mut Vec<u8>,
    ) -> bool {
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
    pub(super) fn pass_turn(&mut self, lane: u32) {
        let turns = &mut self.outgoing.turns;
        if turns.len() > 1 && turns.front() == Some(&lane) {
            turns.rotate_left(1);
        }
    }
}
