//! What hosts said in a `DISCONNECT` (RFC 4253 §11.1) once their connection was encrypted.
//!
//! libssh2 tells it in a callback and then fails with "transport read" or less. The words are kept
//! by session until somebody explains the failure with them, cut and escaped: they are the host's.
//! Everything is per thread, like the sessions.

use std::cell::RefCell;
use std::collections::HashMap;

use super::opening::shown;

/// Most bytes that are kept: more than is ever shown.
const MOST_BYTES: usize = 1024;

thread_local! {
    static FAREWELLS: RefCell<HashMap<usize, Vec<u8>>> = RefCell::default();
}

/// Keeps the words of the host at the other end of a session, which is known by its address.
pub(super) fn keep(session: usize, words: &[u8]) {
    let words = words[..words.len().min(MOST_BYTES)].to_vec();
    FAREWELLS.with_borrow_mut(|farewells| farewells.insert(session, words));
}

/// Returns the words that a session ended with, if it did, fit to be shown.
pub(super) fn of(session: usize) -> Option<String> {
    FAREWELLS.with_borrow(|farewells| farewells.get(&session).map(|words| shown(words)))
}

/// Forgets them: another session may come to have the same address.
pub(super) fn forget(session: usize) {
    FAREWELLS.with_borrow_mut(|farewells| farewells.remove(&session));
}
