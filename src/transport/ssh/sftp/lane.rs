//! One thing that goes on over an SFTP channel, and the handles that it has open.
//!
//! Dropping either is always right: answers that nobody waits for are dropped as they come, and handles
//! that nobody closed are closed by whoever uses the channel next.

use std::future;

use super::client::Client;
use super::state::{Answer, Empty, Hand, Undo};
use super::wire::{Known, Malformed, Reply, Request, STATUS_OK, Setting};
use super::words::{self, FAILURE};
use crate::transport::files::{FileError, FileReason};

/// After so many answers in a row the worker's other hosts have their turn.
pub(super) const ANSWERS_PER_TURN: usize = 8;

/// Longest path, or paths, of a request: what every server takes (§3) without what is around it.
const MAX_TEXT: usize = 32 * 1024;

/// Something that goes on.
pub(super) struct Lane<'c> {
    client: &'c Client,
    number: u32,
}

impl<'c> Lane<'c> {
    pub(super) fn new(client: &'c Client) -> Self {
        let number = client.enter();
        Self { client, number }
    }

    /// Puts a request on its way; returns its id.
    pub(super) fn ask(&self, request: &Request<'_>) -> u32 {
        self.client.ask(self.number, request, Undo::default())
    }

    /// Notes that there is data to send.
    pub(super) fn want_turn(&self) {
        self.client.want_turn(self.number);
    }

    /// Waits for the next answer; `None` when the hand has something to do before.
    pub(super) async fn next(&self, hand: &mut dyn Hand) -> Result<Option<Answer>, FileError> {
        future::poll_fn(|cx| self.client.poll_answer(self.number, cx, hand)).await
    }

    /// Waits for the next answer, with no data to move.
    pub(super) async fn reply(&self) -> Result<Reply, FileError> {
        loop {
            if let Some(answer) = self.next(&mut Empty).await? {
                return Ok(answer.reply);
            }
        }
    }

    /// Asks and waits for the answer, which says whether that was done. `failure` is what it means when
    /// the host says no more than that it failed.
    pub(super) async fn done(&self, request: &Request<'_>, failure: &str) -> Result<(), FileError> {
        self.ask(request);
        match self.reply().await? {
            reply @ Reply::Status(_) => accept(&reply, failure),
            _ => Err(no_answer()),
        }
    }

    /// Asks for what a file is, and waits for the answer.
    pub(super) async fn known(&self, request: &Request<'_>) -> Result<Known, FileError> {
        self.ask(request);
        match self.reply().await? {
            Reply::Attributes(known) => Ok(known),
            reply => Err(unexpected(&reply, FAILURE)),
        }
    }

    /// Opens something and waits for its handle.
    pub(super) async fn open(
        &self,
        request: &Request<'_>,
        undo: Undo,
        failure: &str,
    ) -> Result<Handle<'c>, FileError> {
        self.client.ask(self.number, request, undo.clone());
        match self.reply().await? {
            Reply::Handle(bytes) => Ok(Handle {
                client: self.client,
                bytes,
                undo,
                is_open: true,
            }),
            reply => Err(unexpected(&reply, failure)),
        }
    }
}

impl Drop for Lane<'_> {
    fn drop(&mut self) {
        self.client.leave(self.number);
    }
}

/// Something open on the host; closed, and undone, when dropped.
pub(super) struct Handle<'c> {
    client: &'c Client,
    bytes: Vec<u8>,
    undo: Undo,
    is_open: bool,
}

impl Handle<'_> {
    pub(super) fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// Whether nobody has asked to close it.
    pub(super) fn is_open(&self) -> bool {
        self.is_open
    }

    /// Asks to close it; what it stands for stays.
    pub(super) fn close(&mut self, lane: &Lane<'_>) -> u32 {
        self.is_open = false;
        lane.ask(&Request::Close(&self.bytes))
    }

    /// Leaves what it stands for as it is.
    pub(super) fn keep(&mut self) {
        self.undo = Undo::default();
    }
}

impl Drop for Handle<'_> {
    fn drop(&mut self) {
        if self.is_open {
            self.client.undo(&self.bytes, &self.undo);
        } else if let Some(path) = &self.undo.remove {
            self.client.forget(&Request::Remove(path));
        }
    }
}

/// Whether a status says that it was done.
pub(super) fn accept(reply: &Reply, failure: &str) -> Result<(), FileError> {
    match reply {
        Reply::Status(status) if status.code == STATUS_OK => Ok(()),
        Reply::Status(status) => Err(words::refused(status, failure)),
        _ => Err(no_answer()),
    }
}

/// Says why there is not the answer that was asked for.
pub(super) fn unexpected(reply: &Reply, failure: &str) -> FileError {
    match accept(reply, failure) {
        Err(error) => error,
        // Done, and nothing to show for it.
        Ok(()) => no_answer(),
    }
}

fn no_answer() -> FileError {
    words::no_answer(&Malformed::Answer)
}

/// Returns the bytes of a path that fits into a request.
pub(super) fn text(path: &std::path::Path) -> Result<&[u8], FileError> {
    use std::os::unix::ffi::OsStrExt;

    let bytes = path.as_os_str().as_bytes();
    if bytes.len() <= MAX_TEXT {
        return Ok(bytes);
    }
    Err(words::error(
        FileReason::Refused,
        format!("its path is {} bytes long", bytes.len()),
    ))
}

/// A new file, for its owner alone.
pub(super) const PRIVATE: Setting = Setting {
    size: None,
    mode: Some(0o600),
    modified: None,
};
