//! Writes a file on a host: many parts under way at once, none of them kept.

use std::cell::RefCell;
use std::io;
use std::ops::Range;
use std::path::Path;

use futures_lite::future::yield_now;

use super::Sftp;
use super::client::Client;
use super::lane::{ANSWERS_PER_TURN, Handle, Lane, PRIVATE, accept, text, unexpected};
use super::state::{Hand, Part, Undo};
use super::wire::{OPEN_NEW, Reply, Request, Setting};
use super::words::{self, FAILURE};
use crate::remote::Content;
use crate::transport::files::{FileError, FileReason, Wanted};

/// Most parts of a file that are under way.
const MOST_PARTS: usize = 64;
/// Most bytes of a file that are under way.
const MOST_BYTES: usize = 4 * 1024 * 1024;

/// The permissions that are given to a file when it is opened: neither set-user-ID nor its like.
const PLAIN_BITS: u32 = 0o777;

/// What a failure means, where the host says no more.
const NOT_MADE: &str = "the host could not make it (is it there already? is the disk full?)";
const NOT_WRITTEN: &str = "the host could not write it (is the disk full, or a quota used up?)";
const NOT_SET: &str = "the host could not set its size, mode or time";

pub(super) async fn store(
    sftp: &Sftp,
    path: &Path,
    content: &dyn Content,
    wanted: Wanted,
    sent: &dyn Fn(u64),
) -> Result<(), FileError> {
    let path = text(path)?;
    let lane = Lane::new(&sftp.client);
    let goal = Goal {
        path,
        wanted,
        kept: &sftp.kept,
    };
    let open = Request::Open(path, OPEN_NEW, goal.opening());
    let undo = Undo {
        remove: Some(path.to_vec()),
    };
    let mut handle = lane.open(&open, undo, NOT_MADE).await?;
    let mut giving = Giving::new(handle.bytes(), content, sftp.abilities.write_bytes, sent);
    let error = match write(&lane, &mut handle, &mut giving, &goal).await {
        Ok(()) => {
            handle.keep();
            return Ok(());
        }
        Err(error) => error,
    };
    // Answers to what is still under way are of no use.
    drop(lane);
    if error.reason != FileReason::Lost {
        remove(&sftp.client, handle, path).await;
    }
    Err(error)
}

/// Removes a file that could not be written whole. What could not be done must not hide why.
async fn remove(client: &Client, mut handle: Handle<'_>, path: &[u8]) {
    let lane = Lane::new(client);
    if handle.is_open() {
        handle.close(&lane);
        let _ = lane.reply().await;
    }
    lane.ask(&Request::Remove(path));
    handle.keep();
    let _ = lane.reply().await;
}

/// Sends all parts and what ends the file, and waits for all answers.
async fn write(
    lane: &Lane<'_>,
    handle: &mut Handle<'_>,
    giving: &mut Giving<'_>,
    goal: &Goal<'_>,
) -> Result<(), FileError> {
    let mut ending: Option<Ending> = None;
    let mut turn = 0_usize;
    loop {
        if let Some(error) = giving.failure.take() {
            let message = format!("cannot read what is sent: {error}");
            return Err(words::error(FileReason::Own, message));
        }
        if giving.is_whole && ending.is_none() {
            ending = Some(Ending::ask(lane, handle, giving, goal));
            giving.is_ending = true;
        } else if giving.has_room() {
            lane.want_turn();
        }
        let Some(answer) = lane.next(giving).await? else {
            continue;
        };
        turn += 1;
        if turn.is_multiple_of(ANSWERS_PER_TURN) {
            yield_now().await;
        }
        match &mut ending {
            Some(ending) if ending.is_answered_by(answer.id) => {
                ending.check(answer.id, &answer.reply, giving.length, goal)?;
            }
            _ => {
                accept(&answer.reply, NOT_WRITTEN)?;
                giving.under_way -= 1;
            }
        }
        if let (0, Some(ending)) = (giving.under_way, &ending)
            && ending.missing == 0
        {
            return match ending.late_mode {
                Some(mode) => {
                    let set = Request::Set(goal.path, Setting::mode(mode));
                    lane.done(&set, NOT_SET).await
                }
                None => Ok(()),
            };
        }
    }
}

/// What a file is to be.
struct Goal<'a> {
    path: &'a [u8],
    wanted: Wanted,
    kept: &'a Kept,
}

impl Goal<'_> {
    /// Returns the permissions with which it is opened, if that may be all that sets them.
    fn opened_mode(&self) -> Option<u32> {
        let Wanted { mode, modified } = self.wanted;
        mode.filter(|mode| modified.is_none() && mode & !PLAIN_BITS == 0)
    }

    fn opening(&self) -> Setting {
        self.opened_mode().map_or(PRIVATE, Setting::mode)
    }

    fn folder(&self) -> &[u8] {
        let end = self.path.iter().rposition(|byte| *byte == b'/');
        &self.path[..end.unwrap_or(0)]
    }
}

/// Which permissions a new file has that was opened with them. The account's umask takes some away, and so
/// do the default ACLs of a folder, each bit by itself; so what was seen once need not be looked at again.
#[derive(Debug, Default)]
pub(super) struct Kept(RefCell<(Vec<u8>, u32)>);

impl Kept {
    fn has(&self, folder: &[u8], mode: u32) -> bool {
        let (known, bits) = &*self.0.borrow();
        known == folder && mode & !bits == 0
    }

    fn note(&self, folder: &[u8], mode: u32) {
        let (known, bits) = &mut *self.0.borrow_mut();
        if known == folder {
            *bits |= mode;
        } else {
            (*known, *bits) = (folder.to_vec(), mode);
        }
    }
}

/// The requests that end a file. They go out after all of its parts, and hosts keep to the order.
struct Ending {
    set: Option<u32>,
    look: Option<u32>,
    close: u32,
    /// How many are not answered yet.
    missing: usize,
    /// The permissions that opening it did not give it.
    late_mode: Option<u32>,
}

impl Ending {
    fn ask(lane: &Lane<'_>, handle: &mut Handle<'_>, giving: &Giving<'_>, goal: &Goal<'_>) -> Self {
        let opened = goal.opened_mode();
        let setting = Setting {
            // A hole at the end has no part that would make the file so long.
            size: (giving.range.end < giving.length).then_some(giving.length),
            mode: goal.wanted.mode.filter(|_| opened.is_none()),
            modified: goal.wanted.modified,
        };
        let is_set = setting.size.is_some() || setting.mode.is_some() || setting.modified.is_some();
        let set = is_set.then(|| lane.ask(&Request::SetOpen(handle.bytes(), setting)));
        // The answer to a file's only part tells that all of it is there.
        let is_clear = !is_set
            && giving.parts <= 1
            && opened.is_some_and(|mode| goal.kept.has(goal.folder(), mode));
        let look = (!is_clear).then(|| lane.ask(&Request::LookAtOpen(handle.bytes())));
        let close = handle.close(lane);
        Self {
            set,
            look,
            close,
            missing: 1 + usize::from(set.is_some()) + usize::from(look.is_some()),
            late_mode: None,
        }
    }

    fn is_answered_by(&self, id: u32) -> bool {
        self.set == Some(id) || self.look == Some(id) || self.close == id
    }

    fn check(
        &mut self,
        id: u32,
        reply: &Reply,
        length: u64,
        goal: &Goal<'_>,
    ) -> Result<(), FileError> {
        self.missing -= 1;
        if self.look != Some(id) {
            let failure = if id == self.close {
                NOT_WRITTEN
            } else {
                NOT_SET
            };
            return accept(reply, failure);
        }
        let Reply::Attributes(known) = reply else {
            return Err(unexpected(reply, FAILURE));
        };
        if let Some(mode) = goal.opened_mode() {
            if known.attributes().mode == mode {
                goal.kept.note(goal.folder(), mode);
            } else {
                self.late_mode = Some(mode);
            }
        }
        match known.size {
            Some(size) if size == length => Ok(()),
            Some(size) => Err(words::error(
                FileReason::Refused,
                format!("it has {size} bytes on the host and should have {length}"),
            )),
            None => Err(words::error(
                FileReason::Unsupported,
                "the host doesn't tell how long it is",
            )),
        }
    }
}

/// Gives the parts of a content.
struct Giving<'a> {
    handle: Vec<u8>,
    content: &'a dyn Content,
    length: u64,
    sent: &'a dyn Fn(u64),
    part_bytes: u32,
    most_under_way: usize,
    /// The rest of what is no hole, from which the next part is taken.
    range: Range<u64>,
    /// Where the part that is being sent goes on.
    place: u64,
    /// Parts that are not answered yet.
    under_way: usize,
    /// How many parts there were up to now.
    parts: u64,
    /// All parts are on their way.
    is_whole: bool,
    is_ending: bool,
    failure: Option<io::Error>,
}

impl<'a> Giving<'a> {
    fn new(
        handle: &[u8],
        content: &'a dyn Content,
        part_bytes: u32,
        sent: &'a dyn Fn(u64),
    ) -> Self {
        let bytes = usize::try_from(part_bytes).unwrap_or(usize::MAX);
        let mut giving = Self {
            handle: handle.to_vec(),
            content,
            length: content.length(),
            sent,
            part_bytes,
            most_under_way: (MOST_BYTES / bytes).clamp(1, MOST_PARTS),
            range: 0..0,
            place: 0,
            under_way: 0,
            parts: 0,
            is_whole: false,
            is_ending: false,
            failure: None,
        };
        giving.skip_hole();
        giving
    }

    fn has_room(&self) -> bool {
        !self.is_whole && self.failure.is_none() && self.under_way < self.most_under_way
    }

    /// Goes on to what is no hole, when nothing is left before one.
    fn skip_hole(&mut self) {
        if !self.range.is_empty() {
            return;
        }
        let from = self.range.end;
        let next = self.content.data_from(from).unwrap_or(from..from);
        let next = next.start.max(from)..next.end.min(self.length);
        self.is_whole = next.is_empty();
        if !self.is_whole {
            self.range = next;
        }
    }

    /// Reads from the content up to the end of `buffer`; returns how much that was.
    fn read(&self, buffer: &mut [u8]) -> io::Result<usize> {
        let mut filled = 0;
        while filled < buffer.len() {
            let rest = &mut buffer[filled..];
            let room = rest.len();
            match self.content.read_at(rest, self.place + filled as u64)? {
                0 => return Err(io::Error::other("it has become shorter")),
                count => filled += count.min(room),
            }
        }
        Ok(filled)
    }
}

impl Hand for Giving<'_> {
    fn next_write(&mut self) -> Option<Part<'_>> {
        if !self.has_room() {
            return None;
        }
        let left = self.range.end - self.range.start;
        let length = u32::try_from(left).map_or(self.part_bytes, |left| left.min(self.part_bytes));
        let offset = self.range.start;
        self.place = offset;
        self.range.start += u64::from(length);
        self.under_way += 1;
        self.parts += 1;
        Some(Part {
            handle: &self.handle,
            offset,
            length,
        })
    }

    /// A part that has begun goes out whole, with zeros where there is nothing to be read any more.
    fn give(&mut self, buffer: &mut [u8]) {
        let read = match &self.failure {
            Some(_) => Ok(0),
            None => self.read(buffer),
        };
        match read {
            Ok(0) => buffer.fill(0),
            Ok(count) => {
                self.place += count as u64;
                (self.sent)(count as u64);
            }
            Err(error) => {
                buffer.fill(0);
                self.failure = Some(error);
            }
        }
    }

    fn part_is_given(&mut self) {
        self.skip_hole();
    }

    fn is_due(&self) -> bool {
        self.failure.is_some() || (self.is_whole && !self.is_ending)
    }
}
