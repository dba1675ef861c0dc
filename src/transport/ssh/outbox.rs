//! What libssh2 sends to a host, and a crash of libssh2 that is kept from happening there.
//!
//! When a host begins a new key exchange, libssh2 answers in the middle of taking the host's
//! message in, and goes on reading there. If it is left with half a packet then, it forgets that
//! packet's memory and writes through a null pointer when the other half comes
//! (`transport_fullpacket` in transport.c): any host could end the whole run. So once commands run,
//! the first attempt to send anything as large as that answer "would block". libssh2 finds its
//! way out before it reads anything, and comes back to the exchange by a way that is sound.

use std::cell::Cell;
use std::os::fd::BorrowedFd;

use rustix::io::Errno;
use rustix::net::SendFlags;

/// The beginning of a key exchange is longer than this (libssh2's own takes about 1.2 KiB), and
/// answers to a host's requests, which libssh2 can't put off, are much shorter.
const LARGE_BYTES: usize = 400;

/// One connection's outbox.
#[derive(Debug, Default)]
pub(super) struct Outbox {
    is_guarded: Cell<bool>,
    is_put_off: Cell<bool>,
}

impl Outbox {
    /// Puts off what is large from now on, once each.
    pub(super) fn guard(&self) {
        self.is_guarded.set(true);
    }

    /// Whether something was put off and not sent yet.
    pub(super) fn is_put_off(&self) -> bool {
        self.is_put_off.get()
    }

    /// Writes for libssh2.
    pub(super) fn send(&self, socket: BorrowedFd<'_>, bytes: &[u8]) -> Result<usize, Errno> {
        if self.puts_off(bytes.len()) {
            return Err(Errno::AGAIN);
        }
        send(socket, bytes)
    }

    fn puts_off(&self, bytes: usize) -> bool {
        if !self.is_guarded.get() || bytes < LARGE_BYTES {
            return false;
        }
        let is_first = !self.is_put_off.get();
        self.is_put_off.set(is_first);
        is_first
    }
}

/// Writes to a socket.
pub(super) fn send(socket: BorrowedFd<'_>, bytes: &[u8]) -> Result<usize, Errno> {
    match rustix::net::send(socket, bytes, SendFlags::NOSIGNAL) {
        Err(Errno::INTR) => Err(Errno::AGAIN),
        result => result,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_large_is_put_off_once_each_when_commands_run() {
        let outbox = Outbox::default();
        assert!(!outbox.puts_off(LARGE_BYTES), "not while logging in");
        outbox.guard();
        assert!(!outbox.puts_off(LARGE_BYTES - 1));
        for _ in 0..2 {
            assert!(outbox.puts_off(LARGE_BYTES) && outbox.is_put_off());
            assert!(!outbox.puts_off(LARGE_BYTES) && !outbox.is_put_off());
        }
    }
}
