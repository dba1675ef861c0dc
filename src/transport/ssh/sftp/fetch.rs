//! Reads a file of a host: many parts are asked for at once, and handed on in order as they come.

use std::collections::VecDeque;
use std::io;
use std::path::Path;

use futures_lite::future::yield_now;

use super::client::Client;
use super::greeting::Abilities;
use super::lane::{ANSWERS_PER_TURN, Lane, text, unexpected};
use super::state::{Hand, Undo};
use super::wire::{Malformed, OPEN_READ, Reply, Request, STATUS_EOF, Setting};
use super::words;
use crate::transport::files::{FileError, FileReason};

/// Most parts of a file that are asked for at once.
const MOST_PARTS: usize = 64;
/// Most bytes of a file that are asked for at once.
const MOST_BYTES: usize = 4 * 1024 * 1024;
/// The fewest bytes that are asked for of a host that gives less than it was asked for.
const FEWEST_BYTES: u32 = 4 * 1024;

/// What a failure means, where the host says no more.
const NOT_READ: &str = "the host could not read it (is it a folder?)";

type Sink<'a> = &'a mut dyn FnMut(&[u8], u64) -> io::Result<()>;

pub(super) async fn fetch(
    client: &Client,
    abilities: Abilities,
    path: &Path,
    offset: u64,
    sink: Sink<'_>,
) -> Result<u64, FileError> {
    let path = text(path)?;
    let lane = Lane::new(client);
    let open = Request::Open(path, OPEN_READ, Setting::default());
    // Closed when it is dropped; nobody need wait for that.
    let handle = lane.open(&open, Undo::default(), NOT_READ).await?;
    let mut taking = Taking::new(sink, offset, abilities.read_bytes);
    let look = lane.ask(&Request::LookAtOpen(handle.bytes()));
    let mut turn = 0_usize;
    loop {
        while let Some((offset, length)) = taking.next_read() {
            let id = lane.ask(&Request::Read(handle.bytes(), offset, length));
            taking.asked(id, length);
        }
        if let Some(answer) = lane.next(&mut taking).await? {
            turn += 1;
            if turn.is_multiple_of(ANSWERS_PER_TURN) {
                yield_now().await;
            }
            match answer.reply {
                Reply::Attributes(known) => taking.learn(known.size),
                _ if answer.id == look => {}
                Reply::Status(status) if status.code == STATUS_EOF => taking.end_of_file(answer.id),
                reply if taking.is_next(answer.id) => return Err(unexpected(&reply, NOT_READ)),
                _ => taking.refused(answer.id),
            }
        }
        if let Some(error) = taking.failure {
            return Err(words::error(
                FileReason::Own,
                format!("cannot write what is fetched: {error}"),
            ));
        }
        if taking.is_over {
            return Ok(taking.place);
        }
    }
}

/// A part that is asked for.
struct Asked {
    id: u32,
    offset: u64,
    length: u32,
    /// How much of it has come.
    come: u32,
}

/// Takes the parts of a file.
struct Taking<'a> {
    sink: Sink<'a>,
    /// Up to where everything was handed on.
    place: u64,
    /// Asked for and of use, in order.
    parts: VecDeque<Asked>,
    /// From where on nothing is asked for.
    next: u64,
    part_bytes: u32,
    most_parts: usize,
    /// How many are asked for, those of no use any more included.
    under_way: usize,
    /// How long the file is, once the host has told.
    size: Option<u64>,
    is_over: bool,
    /// More can be asked for, or nothing need be.
    is_changed: bool,
    failure: Option<io::Error>,
}

impl<'a> Taking<'a> {
    fn new(sink: Sink<'a>, offset: u64, part_bytes: u32) -> Self {
        let bytes = usize::try_from(part_bytes).unwrap_or(usize::MAX);
        Self {
            sink,
            place: offset,
            parts: VecDeque::new(),
            next: offset,
            part_bytes,
            most_parts: (MOST_BYTES / bytes).clamp(1, MOST_PARTS),
            under_way: 0,
            size: None,
            is_over: false,
            is_changed: false,
            failure: None,
        }
    }

    /// Returns what is to be asked for, if anything is. Where the end is not known one part is asked
    /// for at a time; otherwise all up to the one that shows the end.
    fn next_read(&mut self) -> Option<(u64, u32)> {
        self.is_changed = false;
        let is_known = self.size.is_some_and(|size| self.next <= size);
        let is_room = self.under_way < self.most_parts && (is_known || self.parts.is_empty());
        (is_room && !self.is_over && self.failure.is_none()).then_some((self.next, self.part_bytes))
    }

    fn asked(&mut self, id: u32, length: u32) {
        self.under_way += 1;
        let offset = self.next;
        self.next = offset.saturating_add(u64::from(length));
        self.parts.push_back(Asked {
            id,
            offset,
            length,
            come: 0,
        });
    }

    fn learn(&mut self, size: Option<u64>) {
        // Files of which no length is known (/proc) have the length 0.
        self.size = size.filter(|size| *size > 0);
    }

    fn is_next(&self, id: u32) -> bool {
        self.parts.front().is_some_and(|part| part.id == id)
    }

    /// Asks again for a part and all behind it.
    fn cut(&mut self, id: u32) {
        if let Some(index) = self.parts.iter().position(|part| part.id == id) {
            self.next = self.parts[index].offset;
            self.parts.truncate(index);
            self.is_changed = true;
        }
    }

    /// The host says that there is nothing where a part was asked for.
    fn end_of_file(&mut self, id: u32) {
        if self.is_next(id) {
            self.is_over = true;
        } else {
            self.refused(id);
        }
    }

    /// The host gives nothing for a part whose turn has not come. It is asked for again, if it still is
    /// of use.
    fn refused(&mut self, id: u32) {
        self.under_way -= 1;
        self.cut(id);
    }
}

impl Hand for Taking<'_> {
    fn take(&mut self, id: u32, bytes: &[u8]) -> Result<(), Malformed> {
        let Some(part) = self.parts.front_mut().filter(|part| part.id == id) else {
            // Before its turn, where hosts don't keep to the order: it is asked for again.
            self.cut(id);
            return Ok(());
        };
        part.come += u32::try_from(bytes.len()).map_err(|_| Malformed::Packet)?;
        if self.failure.is_none()
            && let Err(error) = (self.sink)(bytes, self.place)
        {
            self.failure = Some(error);
        }
        self.place += bytes.len() as u64;
        Ok(())
    }

    fn end(&mut self, id: u32) {
        self.under_way -= 1;
        self.is_changed = true;
        let Some(part) = self.parts.pop_front_if(|part| part.id == id) else {
            return;
        };
        if part.come == part.length {
            return;
        }
        // Shorter than asked for: the end, or a host that gives no more at once.
        self.is_over = self.size == Some(self.place);
        self.part_bytes = part
            .come
            .clamp(FEWEST_BYTES.min(self.part_bytes), self.part_bytes);
        self.parts.clear();
        self.next = self.place;
    }

    fn is_due(&self) -> bool {
        self.failure.is_some() || self.is_over || self.is_changed
    }
}
