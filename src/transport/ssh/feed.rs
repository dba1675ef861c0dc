//! Feeds a command's stdin from its source, as far as the host takes it.

use std::io;

use zeroize::Zeroizing;

use super::ffi::{EAGAIN, RawChannel};
use crate::remote::Stdin;
use crate::transport::elevation::Next;
use crate::transport::marked::Marked;

/// Bytes read from a file at once; libssh2 sends no more in one packet.
const CHUNK_BYTES: usize = 32 * 1024;

/// What became of an attempt to feed.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Fed {
    /// So many bytes were sent: there may be room for more.
    Some(usize),
    /// Nothing can be sent now, or ever again.
    Nothing,
}

enum State {
    Sending,
    Ending,
    Done,
}

/// One command's stdin on its way.
pub(super) struct Feed {
    /// Sent before anything else; empty once it is.
    ahead: Zeroizing<Vec<u8>>,
    /// How much of it is sent.
    ahead_sent: usize,
    /// So many bytes of the source may flow yet.
    open_to: u64,
    source: Stdin,
    /// Bytes of the source sent so far.
    offset: u64,
    /// Read from a file and not yet sent; stays in place while libssh2 asks for the same bytes.
    chunk: Vec<u8>,
    /// How much of the chunk is sent.
    sent: usize,
    state: State,
    failure: Option<io::Error>,
}

impl Feed {
    /// Returns a feed of all of `source`, which has to wait if it is held.
    pub(super) fn new(source: Stdin, is_held: bool) -> Self {
        Self {
            ahead: Zeroizing::default(),
            ahead_sent: 0,
            open_to: if is_held { 0 } else { u64::MAX },
            source,
            offset: 0,
            chunk: Vec::new(),
            sent: 0,
            state: State::Sending,
            failure: None,
        }
    }

    /// Has these bytes sent before what is left of the source.
    pub(super) fn put_ahead(&mut self, bytes: &[u8]) {
        let mut ahead = Zeroizing::new(Vec::with_capacity(self.ahead.len() + bytes.len()));
        ahead.extend_from_slice(&self.ahead[self.ahead_sent..]);
        ahead.extend_from_slice(bytes);
        self.ahead = ahead;
        self.ahead_sent = 0;
    }

    /// Sends what a command that is getting its rights may have, if that has changed.
    pub(super) fn heed(&mut self, marked: &mut Marked) {
        if self.open_to == u64::MAX {
            return;
        }
        match marked.next_input() {
            Next::Wait => {}
            Next::Send(line) => self.put_ahead(&line),
            Next::Pass(count) => self.open_to = count,
            Next::Open => self.open_to = u64::MAX,
            Next::Close => self.state = State::Ending,
        }
    }

    /// Sends one piece, if the host has room for it.
    pub(super) fn step(&mut self, channel: &RawChannel) -> Fed {
        let result = match self.state {
            State::Sending => self.send(channel),
            State::Ending => channel.send_eof().map(|()| {
                self.state = State::Done;
                0
            }),
            State::Done => return Fed::Nothing,
        };
        match result {
            Ok(count) => Fed::Some(count),
            Err(EAGAIN) => Fed::Nothing,
            Err(_) => {
                // The command doesn't read any more. That is its business, not a failure.
                self.finish();
                Fed::Nothing
            }
        }
    }

    fn send(&mut self, channel: &RawChannel) -> Result<usize, i32> {
        if self.ahead_sent < self.ahead.len() {
            let count = channel.write(&self.ahead[self.ahead_sent..])?;
            self.ahead_sent += count;
            return if count == 0 { Err(EAGAIN) } else { Ok(count) };
        }
        self.ahead = Zeroizing::default();
        self.ahead_sent = 0;
        let open = self.open_to.saturating_sub(self.offset);
        if open == 0 {
            return Err(EAGAIN);
        }
        self.fill(open);
        let rest = match &self.source {
            Stdin::Bytes(bytes) => {
                let offset = usize::try_from(self.offset).unwrap_or(usize::MAX);
                bytes.get(offset..).unwrap_or_default()
            }
            _ => &self.chunk[self.sent..],
        };
        if rest.is_empty() {
            self.state = State::Ending;
            self.chunk = Vec::new();
            return Ok(0);
        }
        let count = channel.write(rest)?;
        if count == 0 {
            return Err(EAGAIN);
        }
        self.offset += count as u64;
        self.sent += count;
        Ok(count)
    }

    /// Returns why the source could not be read to its end, if it could not.
    pub(super) fn failure(&self) -> Option<&io::Error> {
        self.failure.as_ref()
    }

    /// Reads the next piece of a file once the last one is sent. A file that can't be read any
    /// further ends there, and the command's result is not to be trusted. At most `open` bytes may flow.
    fn fill(&mut self, open: u64) {
        if let (Some(content), true) = (self.source.content(), self.sent == self.chunk.len()) {
            let most = usize::try_from(open).unwrap_or(usize::MAX);
            self.chunk.resize(CHUNK_BYTES.min(most), 0);
            let count = content
                .read_at(&mut self.chunk, self.offset)
                .unwrap_or_else(|error| {
                    self.failure = Some(error);
                    0
                });
            self.chunk.truncate(count);
            self.sent = 0;
        }
    }

    fn finish(&mut self) {
        self.state = State::Done;
        self.chunk = Vec::new();
        self.sent = 0;
    }
}
