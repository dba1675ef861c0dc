//! What becomes of a session to a jump host, told to those who are led through it: they are on other
//! threads, and all that they see themselves is silence, or the end of a stream.

use std::os::unix::net::UnixStream;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, OnceLock};

/// A stream to a host, and the fate of the session that carries it.
pub(in super::super) struct Lead {
    pub(in super::super) end: UnixStream,
    pub(in super::super) fate: Arc<Fate>,
}

/// The fate of a session.
#[derive(Debug, Default)]
pub(in super::super) struct Fate {
    is_doubtful: AtomicBool,
    end: OnceLock<String>,
}

impl Fate {
    /// The jump host was asked for a sign of life, or has given one.
    pub(super) fn set_doubtful(&self, is_doubtful: bool) {
        self.is_doubtful.store(is_doubtful, Ordering::SeqCst);
    }

    /// Whether the jump host was asked for a sign of life and has not answered yet: the silence of
    /// those behind it says nothing of them.
    pub(in super::super) fn is_doubtful(&self) -> bool {
        self.is_doubtful.load(Ordering::SeqCst)
    }

    /// Notes how the session ended; the first reason stays.
    pub(super) fn seal(&self, words: String) {
        let _ = self.end.set(words);
    }

    /// Returns how the session ended, if that was no good end.
    pub(in super::super) fn end(&self) -> Option<&str> {
        self.end.get().map(String::as_str)
    }
}
