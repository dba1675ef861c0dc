//! What has come from a host and was not given to libssh2 yet.
//!
//! libssh2 reads its socket through here, which does four things for it. A peer can't keep it
//! reading for ever: a turn has an allowance, after which every read "would block". Single bytes,
//! as the version line is read, cost no system call each. The end of a connection is told only
//! when all that came before it was handed out: libssh2 fails a read as soon as it knows of the end,
//! whatever it still holds for the reader. And what explains a failure is kept: the opening of the
//! connection, which is not encrypted, until the handshake is over, and the words of a farewell.

use std::cell::{Cell, RefCell};
use std::os::fd::BorrowedFd;

use rustix::io::Errno;
use rustix::net::RecvFlags;

use super::dial;
use super::opening::shown;

/// Bytes in one turn: more than a window's worth would starve the worker's other hosts.
const BYTES_PER_TURN: usize = 4 * 1024 * 1024;
/// Reads in one turn: the version line is read byte by byte.
const CALLS_PER_TURN: u32 = 4096;
/// Bytes looked ahead at once.
const READ_BYTES: usize = 64 * 1024;
/// A buffer from this size on is read into directly.
const WORTHWHILE_BYTES: usize = 1024;
/// Bytes given to libssh2 at once when the end is in sight: fewer than any packet has, so that it
/// can't take a farewell (`SSH_MSG_DISCONNECT`) in together with what came before it.
const LAST_PIECE_BYTES: usize = 16;
/// Bytes held back from the end of what came: fewer than an encrypted farewell has, so that libssh2
/// hands out what came before one, though nothing shows yet that the connection ends.
const HELD_BACK_BYTES: usize = 40;
/// Most bytes of the opening that are kept: OpenSSH's takes 1.2 KiB.
const OPENING_BYTES: usize = 16 * 1024;
/// Most bytes of a farewell that are kept: more than is ever shown.
const FAREWELL_BYTES: usize = 1024;

thread_local! {
    static TURN: Cell<Turn> = const { Cell::new(Turn { bytes: 0, calls: 0 }) };
    static SCRATCH: RefCell<Vec<u8>> = RefCell::new(vec![0; READ_BYTES]);
}

/// How much libssh2 may still read on this thread before it has to give others a turn.
#[derive(Debug, Clone, Copy)]
struct Turn {
    bytes: usize,
    calls: u32,
}

/// Begins a turn. libssh2 reads as long as there is something, which a hostile or merely fast peer
/// can keep up for ever; when the turn is used up, every read "would block".
pub(super) fn begin_turn() {
    TURN.set(Turn {
        bytes: BYTES_PER_TURN,
        calls: CALLS_PER_TURN,
    });
}

fn is_turn_over() -> bool {
    let turn = TURN.get();
    turn.bytes == 0 || turn.calls == 0
}

/// How a connection ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum End {
    /// The host closed it.
    Closed,
    /// It broke.
    Broken(Errno),
}

/// One connection's inbox.
#[derive(Debug, Default)]
pub(super) struct Inbox {
    /// Read from the socket and not yet given to libssh2.
    pending: RefCell<Vec<u8>>,
    /// How much of it is given.
    given: Cell<usize>,
    /// Bytes received in all.
    received: Cell<u64>,
    /// Bytes given to libssh2 in all.
    taken: Cell<u64>,
    end: Cell<Option<End>>,
    /// libssh2 has had a piece, and nobody has said yet that it handed out all of that.
    is_piece_out: Cell<bool>,
    /// Something was given since everything was last handed out.
    is_fresh: Cell<bool>,
    /// libssh2 may know of the end.
    is_end_told: Cell<bool>,
    /// The first bytes received, while they are kept.
    opening: RefCell<Option<Vec<u8>>>,
    /// What the host said in a `DISCONNECT` (RFC 4253 §11.1) once the connection was encrypted:
    /// libssh2 tells it in a callback, and then fails with "transport read" or less.
    farewell: RefCell<Option<Vec<u8>>>,
}

impl Inbox {
    /// Returns an empty inbox, which keeps the opening.
    pub(super) fn new() -> Self {
        Self {
            opening: RefCell::new(Some(Vec::new())),
            ..Self::default()
        }
    }

    /// Returns how many bytes have come from the host.
    pub(super) fn received(&self) -> u64 {
        self.received.get()
    }

    /// Returns how many bytes libssh2 has taken in.
    pub(super) fn taken(&self) -> u64 {
        self.taken.get()
    }

    /// Looks at the first bytes that came from the host, as long as they are kept.
    pub(super) fn with_opening<T>(&self, look: impl FnOnce(&[u8]) -> T) -> T {
        look(self.opening.borrow().as_deref().unwrap_or_default())
    }

    /// Keeps the first bytes no longer.
    pub(super) fn forget_opening(&self) {
        self.opening.take();
    }

    /// Keeps the words with which the host ends the connection.
    pub(super) fn keep_farewell(&self, words: &[u8]) {
        let words = words[..words.len().min(FAREWELL_BYTES)].to_vec();
        self.farewell.replace(Some(words));
    }

    /// Whether the host has ended the connection with a word.
    pub(super) fn has_farewell(&self) -> bool {
        self.farewell.borrow().is_some()
    }

    /// Returns how the connection ended, if it did: with the host's own words, where it had some.
    pub(super) fn end(&self) -> Option<String> {
        if let Some(words) = &*self.farewell.borrow() {
            let words = shown(words);
            return Some(if words.is_empty() {
                "the host ended the connection".to_owned()
            } else {
                format!("the host said `{words}`")
            });
        }
        self.end.get().map(|end| match end {
            End::Closed => "the host closed the connection".to_owned(),
            End::Broken(errno) => dial::plain(&errno.into()),
        })
    }

    /// Whether libssh2 was told of the end: what fails from then on fails because of it.
    pub(super) fn is_end_told(&self) -> bool {
        self.is_end_told.get()
    }

    /// Whether another call of libssh2 gets on without waiting for the socket. To be asked when
    /// everything was handed out that could be, from both pipes: only then more is given. When nothing was given since it was last asked, everything is handed
    /// out, and libssh2 may know of the end.
    pub(super) fn is_ready(&self) -> bool {
        self.is_piece_out.set(false);
        let is_fresh = self.is_fresh.replace(false);
        let has_pending = self.has_pending();
        if self.end.get().is_some() && !has_pending {
            return is_fresh || !self.is_end_told.replace(true);
        }
        has_pending || is_turn_over()
    }

    /// Reads for libssh2.
    pub(super) fn receive(
        &self,
        socket: BorrowedFd<'_>,
        buffer: &mut [u8],
    ) -> Result<usize, Errno> {
        let count = self.fill(socket, buffer)?;
        self.taken.set(self.taken.get() + count as u64);
        Ok(count)
    }

    fn fill(&self, socket: BorrowedFd<'_>, buffer: &mut [u8]) -> Result<usize, Errno> {
        let turn = TURN.get();
        if is_turn_over() {
            return Err(Errno::AGAIN);
        }
        TURN.set(Turn {
            calls: turn.calls - 1,
            ..turn
        });
        if self.has_pending() || self.end.get().is_some() {
            return self.give(buffer);
        }
        if buffer.len() < WORTHWHILE_BYTES {
            self.look_ahead(socket, &[]);
            return self.give(buffer);
        }
        let count = self.read(socket, buffer)?;
        self.is_fresh.set(true);
        if count == buffer.len() {
            return Ok(count);
        }
        // That was all for now: is it all for ever?
        self.look_ahead(socket, &buffer[..count]);
        if self.end.get().is_some() {
            return self.give(buffer);
        }
        Ok(self.hold_back(&buffer[..count]))
    }

    /// Holds back the last of what was read after the handshake, for the next call; returns how much
    /// may be given now.
    fn hold_back(&self, read: &[u8]) -> usize {
        let is_encrypted = self.opening.borrow().is_none();
        match read.len().checked_sub(HELD_BACK_BYTES) {
            Some(count) if count > 0 && is_encrypted && !self.has_pending() => {
                self.pending.replace(read[count..].to_vec());
                self.is_piece_out.set(true);
                count
            }
            _ => read.len(),
        }
    }

    fn has_pending(&self) -> bool {
        self.given.get() < self.pending.borrow().len()
    }

    /// Reads once from the socket. An end is noted and reads as nothing.
    fn read(&self, socket: BorrowedFd<'_>, buffer: &mut [u8]) -> Result<usize, Errno> {
        loop {
            match rustix::net::recv(socket, &mut *buffer, RecvFlags::empty()) {
                Ok((0, _)) => self.end.set(Some(End::Closed)),
                Ok((count, _)) => {
                    self.note(&buffer[..count]);
                    return Ok(count);
                }
                Err(Errno::INTR) => continue,
                Err(Errno::AGAIN) => return Err(Errno::AGAIN),
                Err(errno) => self.end.set(Some(End::Broken(errno))),
            }
            // What this call has had already is handed out before any more.
            self.is_piece_out.set(true);
            return Ok(0);
        }
    }

    /// Reads what else there is, up to a few bufferfuls, into what is pending. When that shows the
    /// end, `before`, which was read but not given yet, is pending too.
    fn look_ahead(&self, socket: BorrowedFd<'_>, before: &[u8]) {
        SCRATCH.with_borrow_mut(|scratch| {
            let mut ahead = Vec::new();
            while ahead.len() < READ_BYTES {
                match self.read(socket, scratch) {
                    Ok(count) if count > 0 => ahead.extend_from_slice(&scratch[..count]),
                    Ok(_) | Err(_) => break,
                }
            }
            if self.end.get().is_some() {
                ahead.splice(..0, before.iter().copied());
            }
            self.given.set(0);
            self.pending.replace(ahead);
        });
    }

    /// Counts what was received and keeps its beginning where that is wanted.
    fn note(&self, bytes: &[u8]) {
        self.received.set(self.received.get() + bytes.len() as u64);
        if let Some(opening) = &mut *self.opening.borrow_mut() {
            let room = OPENING_BYTES.saturating_sub(opening.len());
            opening.extend_from_slice(&bytes[..bytes.len().min(room)]);
        }
        let turn = TURN.get();
        TURN.set(Turn {
            bytes: turn.bytes.saturating_sub(bytes.len()),
            ..turn
        });
    }

    /// Gives libssh2 what is pending, or tells it of the end when that is due.
    fn give(&self, buffer: &mut [u8]) -> Result<usize, Errno> {
        let mut pending = self.pending.borrow_mut();
        let rest = &pending[self.given.get()..];
        let end = self.end.get();
        if rest.is_empty() {
            return match end {
                Some(End::Closed) if self.is_end_told.get() => Ok(0),
                Some(End::Broken(errno)) if self.is_end_told.get() => Err(errno),
                _ => Err(Errno::AGAIN),
            };
        }
        if self.is_piece_out.get() {
            return Err(Errno::AGAIN);
        }
        let mut count = rest.len().min(buffer.len());
        if end.is_some() {
            count = count.min(LAST_PIECE_BYTES);
            self.is_piece_out.set(true);
        }
        buffer[..count].copy_from_slice(&rest[..count]);
        self.is_fresh.set(true);
        self.given.set(self.given.get() + count);
        if self.given.get() == pending.len() {
            // Memory is for those who have something in it.
            *pending = Vec::new();
            self.given.set(0);
        }
        Ok(count)
    }
}
