//! What a process wrote so far, readable while it still writes.

use std::fmt;
use std::io::Read;
use std::sync::{Arc, Condvar, Mutex, MutexGuard};
use std::thread;
use std::time::Duration;

use openssl::sha::Sha256;

/// The bytes of one pipe, filled by a thread of its own. Clones share them.
#[derive(Clone, Default)]
pub(crate) struct Captured(Arc<(Mutex<State>, Condvar)>);

struct State {
    bytes: Vec<u8>,
    count: u64,
    sha256: Sha256,
    is_closed: bool,
}

impl Default for State {
    fn default() -> Self {
        Self {
            bytes: Vec::new(),
            count: 0,
            sha256: Sha256::new(),
            is_closed: false,
        }
    }
}

/// How much went through a pipe, and the SHA-256 of it: enough to compare outputs too large to keep.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Tally {
    /// Number of bytes.
    pub bytes: u64,
    /// Depends on every byte and its place.
    pub digest: [u8; 32],
}

/// What to do with the bytes of a pipe.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Keep {
    /// All of them.
    All,
    /// Their [`Tally`] alone.
    Tally,
}

impl Captured {
    /// Reads `pipe` to its end in the background.
    pub(crate) fn from(mut pipe: impl Read + Send + 'static, keep: Keep) -> Self {
        let captured = Self::default();
        let shared = captured.clone();
        thread::spawn(move || {
            let mut buffer = vec![0; 64 * 1024];
            loop {
                let count = pipe.read(&mut buffer).unwrap_or(0);
                let mut state = shared.lock();
                state.count += count as u64;
                state.sha256.update(&buffer[..count]);
                if keep == Keep::All {
                    state.bytes.extend_from_slice(&buffer[..count]);
                }
                state.is_closed = count == 0;
                shared.0.1.notify_all();
                if count == 0 {
                    return;
                }
            }
        });
        captured
    }

    /// Returns a pipe that is closed and carried nothing.
    pub(crate) fn nothing() -> Self {
        let captured = Self::default();
        captured.lock().is_closed = true;
        captured
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.0.0.lock().unwrap()
    }

    /// Waits until the bytes hold `text`, or the pipe is closed, or time is up; tells whether they
    /// do.
    pub(crate) fn wait_for(&self, text: &str, patience: Duration) -> bool {
        let holds = |state: &State| memchr::memmem::find(&state.bytes, text.as_bytes()).is_some();
        let waiting = |state: &mut State| !holds(state) && !state.is_closed;
        let guard = self.lock();
        let (state, _) = self
            .0
            .1
            .wait_timeout_while(guard, patience, waiting)
            .unwrap();
        holds(&state)
    }

    /// Waits until the pipe is closed, or time is up; tells whether it is.
    pub(crate) fn wait_for_end(&self, patience: Duration) -> bool {
        let guard = self.lock();
        let waiting = |state: &mut State| !state.is_closed;
        let (state, _) = self
            .0
            .1
            .wait_timeout_while(guard, patience, waiting)
            .unwrap();
        state.is_closed
    }

    /// Returns what was kept so far.
    pub(crate) fn bytes(&self) -> Vec<u8> {
        self.lock().bytes.clone()
    }

    /// Returns how much came so far.
    pub(crate) fn tally(&self) -> Tally {
        let state = self.lock();
        Tally {
            bytes: state.count,
            digest: state.sha256.clone().finish(),
        }
    }
}

impl fmt::Display for Captured {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&String::from_utf8_lossy(&self.lock().bytes))
    }
}
