//! What hosts have written so far, and whose turn it is to be shown.

use std::collections::HashMap;
use std::io::{self, Read};

use super::PIECE;
use crate::event::HostIndex;
use crate::remote::Pipe;
use crate::spool::{Spool, Store};

/// Both pipes of one host.
#[derive(Debug)]
pub(super) struct Output {
    pub(super) stdout: Spool,
    pub(super) stderr: Spool,
}

impl Output {
    fn new(store: &Store) -> Self {
        Self {
            stdout: store.spool(),
            stderr: store.spool(),
        }
    }

    /// Returns one of the pipes.
    pub(super) fn of(&self, pipe: Pipe) -> &Spool {
        match pipe {
            Pipe::Stdout => &self.stdout,
            Pipe::Stderr => &self.stderr,
        }
    }

    fn of_mut(&mut self, pipe: Pipe) -> &mut Spool {
        match pipe {
            Pipe::Stdout => &mut self.stdout,
            Pipe::Stderr => &mut self.stderr,
        }
    }
}

/// The outputs of all hosts that have written something and have not been shown.
#[derive(Debug)]
pub(super) struct Outputs {
    store: Store,
    by_host: HashMap<HostIndex, Output>,
}

impl Outputs {
    pub(super) fn new(store: &Store) -> Self {
        Self {
            store: store.clone(),
            by_host: HashMap::new(),
        }
    }

    /// Appends what a host wrote.
    pub(super) fn push(&mut self, host: HostIndex, pipe: Pipe, bytes: &[u8]) -> io::Result<()> {
        let output = self.by_host.entry(host);
        let output = output.or_insert_with(|| Output::new(&self.store));
        output.of_mut(pipe).push(bytes)
    }

    /// Takes everything a host wrote.
    pub(super) fn take(&mut self, host: HostIndex) -> Output {
        let output = self.by_host.remove(&host);
        output.unwrap_or_else(|| Output::new(&self.store))
    }
}

/// Brings what comes in any order into the order of the inventory.
#[derive(Debug)]
pub(super) struct Turns<T> {
    turn: HostIndex,
    waiting: HashMap<HostIndex, T>,
}

impl<T> Turns<T> {
    pub(super) fn new() -> Self {
        Self {
            turn: 0,
            waiting: HashMap::new(),
        }
    }

    /// Returns the host whose turn it is: every one before it has been taken.
    pub(super) fn turn(&self) -> HostIndex {
        self.turn
    }

    /// Lets a host wait for its turn.
    pub(super) fn wait(&mut self, host: HostIndex, what: T) {
        self.waiting.insert(host, what);
    }

    /// Takes the host whose turn it is, if it is waiting.
    pub(super) fn take(&mut self) -> Option<(HostIndex, T)> {
        let host = self.turn;
        let what = self.waiting.remove(&host)?;
        self.turn += 1;
        Some((host, what))
    }
}

/// Returns a buffer that a small spool does not fill, and whose size base64 encodes without rest.
pub(super) fn piece_for(spool: &Spool) -> Vec<u8> {
    let largest = PIECE / 3 * 3;
    vec![0; usize::try_from(spool.len()).map_or(largest, |len| (len + 1).min(largest))]
}

/// Reads until `buffer` is full or there is no more.
pub(super) fn fill(reader: &mut impl Read, buffer: &mut [u8]) -> io::Result<usize> {
    let mut len = 0;
    while len < buffer.len() {
        match reader.read(&mut buffer[len..])? {
            0 => break,
            n => len += n,
        }
    }
    Ok(len)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn turns_follow_the_inventory() {
        let mut turns = Turns::new();
        turns.wait(1, 'b');
        assert_eq!(turns.take(), None);
        turns.wait(0, 'a');
        assert_eq!(turns.take(), Some((0, 'a')));
        assert_eq!(turns.take(), Some((1, 'b')));
        assert_eq!(turns.take(), None);
        assert_eq!(turns.turn(), 2);
    }
}
