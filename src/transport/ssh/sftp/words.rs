//! What went wrong with a host's files, in words.

use std::time::Duration;

use super::super::link::LinkError;
use super::wire::{
    Malformed, STATUS_BAD_MESSAGE, STATUS_DENIED, STATUS_EOF, STATUS_FAILURE, STATUS_MISSING,
    STATUS_UNSUPPORTED, Status, shown,
};
use crate::host::cut;
use crate::transport::files::{FileError, FileReason};

/// Most characters of what a host said that are shown within a sentence.
const MAX_QUOTED: usize = 200;

/// What a bare `Failure` means where nothing is known of it.
pub(super) const FAILURE: &str = "the host said `Failure` and no more";

pub(super) fn error(reason: FileReason, message: impl Into<String>) -> FileError {
    FileError {
        reason,
        message: message.into(),
    }
}

/// Says why a host would not do what it was asked for. `failure` is what it means when it says no more
/// than that it failed.
pub(super) fn refused(status: &Status, failure: &str) -> FileError {
    let (reason, usual, own) = match status.code {
        STATUS_MISSING => (
            FileReason::Missing,
            "No such file",
            "no such file or folder",
        ),
        STATUS_DENIED => (FileReason::Denied, "Permission denied", "permission denied"),
        STATUS_UNSUPPORTED => (
            FileReason::Unsupported,
            "Operation unsupported",
            "the host can't do that",
        ),
        STATUS_FAILURE => (FileReason::Refused, "Failure", failure),
        STATUS_BAD_MESSAGE => (
            FileReason::Refused,
            "Bad message",
            "the host can't do that with this name",
        ),
        STATUS_EOF => (FileReason::Refused, "End of file", "the file ended"),
        _ => (FileReason::Refused, "", "the host said no, and not why"),
    };
    let words = status.words.trim_end_matches('.');
    if words.is_empty() || words.eq_ignore_ascii_case(usual) {
        return error(reason, own);
    }
    error(reason, format!("the host said `{words}`"))
}

/// Says that a connection is gone, or that libssh2 can't go on with the channel.
pub(super) fn down(cause: &LinkError) -> FileError {
    error(
        FileReason::Lost,
        format!("the connection broke: {}", cause.plain()),
    )
}

/// Says that a host is gone.
pub(super) fn silent(limit: Duration) -> FileError {
    error(
        FileReason::Lost,
        format!("no sign of life from the host for {limit:?}"),
    )
}

/// Says that what came is no answer.
pub(super) fn no_answer(what: &Malformed) -> FileError {
    error(
        FileReason::Lost,
        format!("the host's SFTP can't be understood: it sent {what}"),
    )
}

/// Says that a host has ended the channel.
pub(super) fn ended(said: &[u8]) -> FileError {
    error(
        FileReason::Lost,
        format!("the host ended its SFTP{}", last_words(said)),
    )
}

/// Says that it did so before it said a word.
pub(super) fn ended_at_once(status: Option<u32>, said: &[u8]) -> FileError {
    let status = status.map(|status| format!(" (exit {status})"));
    let status = status.unwrap_or_default();
    error(
        FileReason::NoService,
        format!("the host's SFTP ended at once{status}{}", last_words(said)),
    )
}

/// Says that something else speaks where SFTP should.
pub(super) fn no_sftp(said: &[u8]) -> FileError {
    let words = quoted(said);
    error(
        FileReason::NoService,
        format!(
            "something on the host prints `{words}` where SFTP should begin: the account's shell \
             must print nothing when it isn't interactive"
        ),
    )
}

fn last_words(said: &[u8]) -> String {
    let said = Some(quoted(said)).filter(|said| !said.is_empty());
    said.map(|said| format!(": `{said}`")).unwrap_or_default()
}

fn quoted(said: &[u8]) -> String {
    cut(shown(said), MAX_QUOTED)
}
