//! A writer that never lets its caller wait for whoever reads.
//!
//! What is written goes to memory and from there, by a thread of its own, to the file, pipe or
//! terminal; when the reader is slow and the memory is full, to a [`Store`] in between. Order is
//! kept. After an error everything further is taken and forgotten; a reader that has gone away is
//! no error but a fact: see [`Outlet::is_closed`].
//!
//! Clones write to the same place. Where stdout and stderr are the same terminal or file
//! ([`Outlet::is_same`]), two clones keep their lines in order and apart.

use std::collections::VecDeque;
use std::fs::File;
use std::io::{self, Read, Write};
use std::os::unix::fs::MetadataExt;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::Duration;

use rustix::event::{PollFd, PollFlags, Timespec, poll};

use super::PIECE;
use crate::spool::{Spool, Store};

/// Most bytes waiting in memory.
const MEMORY: usize = 1 << 20;

/// How many bytes go into one spool: what has been drained is freed by the spool.
const PORTION: u64 = 4 << 20;

/// How often an idle outlet looks whether its reader is still there.
const GLANCE: Duration = Duration::from_millis(200);

/// The writer.
#[derive(Clone)]
pub struct Outlet(Arc<Inlet>);

/// What all clones share. When the last one goes, the thread ends after the rest is written.
struct Inlet(Arc<Shared>);

/// How the draining ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Drained {
    /// Everything was written.
    All,
    /// The reader went away before the end.
    Closed,
}

struct Shared {
    store: Store,
    state: Mutex<State>,
    /// Something was written, or finished.
    work: Condvar,
    /// The thread has ended.
    done: Condvar,
}

#[derive(Default)]
struct State {
    /// The oldest bytes.
    memory: Vec<u8>,
    /// Bytes that came after those in memory; while there are any, memory takes no more.
    overflow: VecDeque<Spool>,
    /// Nothing more comes.
    is_finished: bool,
    is_closed: bool,
    error: Option<io::Error>,
    is_done: bool,
    on_close: Option<Box<dyn FnOnce() + Send>>,
}

impl Outlet {
    /// Returns a writer to `file`, and starts its thread.
    ///
    /// # Errors
    /// When there is no thread to be had.
    pub fn new(file: File, store: &Store) -> io::Result<Self> {
        let shared = Arc::new(Shared {
            store: store.clone(),
            state: Mutex::default(),
            work: Condvar::new(),
            done: Condvar::new(),
        });
        let drained = Arc::clone(&shared);
        thread::Builder::new()
            .name("outlet".to_owned())
            .spawn(move || drain(&file, &drained))?;
        Ok(Self(Arc::new(Inlet(shared))))
    }

    /// Whether two files are the same terminal, pipe or file.
    ///
    /// # Errors
    /// When one of them can't be asked.
    pub fn is_same(a: &File, b: &File) -> io::Result<bool> {
        let (a, b) = (a.metadata()?, b.metadata()?);
        Ok((a.dev(), a.ino()) == (b.dev(), b.ino()))
    }

    /// Whether the reader has gone away. Known soon after it happens, even while nothing is
    /// written.
    pub fn is_closed(&self) -> bool {
        self.0.0.state().is_closed
    }

    /// Has `act` called, on the outlet's thread, when the reader goes away; at once, on this one,
    /// if it has gone already.
    pub fn on_close(&self, act: impl FnOnce() + Send + 'static) {
        let mut state = self.0.0.state();
        if state.is_closed {
            drop(state);
            act();
        } else {
            state.on_close = Some(Box::new(act));
        }
    }

    /// Waits until everything is written, or the reader is gone. What is written afterwards, by a
    /// clone, is forgotten.
    ///
    /// # Errors
    /// The first error of writing, or of keeping what could not be written yet. Told once.
    pub fn finish(&self) -> io::Result<Drained> {
        let mut state = self.0.0.state();
        state.is_finished = true;
        self.0.0.work.notify_all();
        while !state.is_done {
            let waited = self.0.0.done.wait(state);
            state = waited.unwrap_or_else(PoisonError::into_inner);
        }
        match state.error.take() {
            Some(error) => Err(error),
            None if state.is_closed => Ok(Drained::Closed),
            None => Ok(Drained::All),
        }
    }
}

impl Write for Outlet {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let mut state = self.0.0.state();
        if !state.is_over() && !state.is_finished {
            state.take(bytes, &self.0.0.store);
            self.0.0.work.notify_all();
        }
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl std::fmt::Debug for Outlet {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Outlet").finish_non_exhaustive()
    }
}

impl Drop for Inlet {
    fn drop(&mut self) {
        self.0.state().is_finished = true;
        self.0.work.notify_all();
    }
}

impl Shared {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    /// Whether writing has ended for good.
    fn is_over(&self) -> bool {
        self.is_closed || self.error.is_some()
    }

    fn take(&mut self, bytes: &[u8], store: &Store) {
        if self.overflow.is_empty() && self.memory.len() + bytes.len() <= MEMORY {
            return self.memory.extend_from_slice(bytes);
        }
        // What is there already is written all the same.
        self.error = self.overflow(bytes, store).err();
    }

    fn overflow(&mut self, bytes: &[u8], store: &Store) -> io::Result<()> {
        let is_full = |spool: &Spool| spool.len() >= PORTION;
        if self.overflow.back().is_none_or(is_full) {
            // The one before is read later than this one is written: others need its memory.
            self.overflow.back_mut().map_or(Ok(()), Spool::unload)?;
            self.overflow.push_back(store.spool());
        }
        let spool = self.overflow.back_mut().expect("pushed if there was none");
        spool.push(bytes)
    }

    /// Takes note that writing failed: nothing will be written any more.
    fn fail(&mut self, error: io::Error) {
        self.memory = Vec::new();
        self.overflow.clear();
        if error.kind() == io::ErrorKind::BrokenPipe {
            self.is_closed = true;
        } else {
            self.error.get_or_insert(error);
        }
    }
}

/// What the thread does next.
enum Next {
    Memory(Vec<u8>),
    Spool(Spool),
    Glance,
    End,
}

/// Writes what comes until nothing more does.
fn drain(file: &File, shared: &Shared) {
    loop {
        let result = match next(shared) {
            Next::Memory(bytes) => write(file, &bytes),
            Next::Spool(spool) => write_spool(file, &spool),
            Next::Glance => glance(file),
            Next::End => break,
        };
        let Err(error) = result else { continue };
        let mut state = shared.state();
        state.fail(error);
        let act = state.on_close.take().filter(|_| state.is_closed);
        drop(state);
        if let Some(act) = act {
            act();
        }
    }
    shared.state().is_done = true;
    shared.done.notify_all();
}

/// Waits for something to do.
fn next(shared: &Shared) -> Next {
    let mut state = shared.state();
    if !state.memory.is_empty() {
        return Next::Memory(std::mem::take(&mut state.memory));
    }
    if let Some(spool) = state.overflow.pop_front() {
        return Next::Spool(spool);
    }
    if state.is_finished || state.is_over() {
        return Next::End;
    }
    let waited = shared.work.wait_timeout(state, GLANCE);
    let (state, timeout) = waited.unwrap_or_else(PoisonError::into_inner);
    drop(state);
    if timeout.timed_out() {
        return Next::Glance;
    }
    next(shared)
}

fn write_spool(file: &File, spool: &Spool) -> io::Result<()> {
    let mut reader = spool.reader();
    let mut piece = vec![0; PIECE];
    loop {
        match reader.read(&mut piece)? {
            0 => return Ok(()),
            n => write(file, &piece[..n])?,
        }
    }
}

/// Writes all of `bytes`, also where another program made the file non-blocking.
fn write(mut file: &File, mut bytes: &[u8]) -> io::Result<()> {
    while !bytes.is_empty() {
        match file.write(bytes) {
            Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
            Ok(n) => bytes = &bytes[n..],
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                poll(&mut [PollFd::new(&file, PollFlags::OUT)], None)?;
            }
            Err(error) => return Err(error),
        }
    }
    Ok(())
}

/// Looks whether anybody reads: the write end of a pipe is in error when nobody does (poll(2)).
fn glance(file: &File) -> io::Result<()> {
    let mut ends = [PollFd::new(file, PollFlags::empty())];
    poll(&mut ends, Some(&Timespec::default()))?;
    if ends[0]
        .revents()
        .intersects(PollFlags::ERR | PollFlags::HUP)
    {
        return Err(io::ErrorKind::BrokenPipe.into());
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::io::{PipeReader, pipe};
    use std::os::fd::OwnedFd;
    use std::sync::mpsc;

    use super::*;

    /// Longer than anything here takes; a test that waits so long has failed.
    const LONG: Duration = Duration::from_mins(5);

    fn store() -> Store {
        Store::new(std::env::temp_dir())
    }

    fn to_pipe(store: &Store) -> (Outlet, PipeReader) {
        let (reader, writer) = pipe().unwrap();
        let file = File::from(OwnedFd::from(writer));
        (Outlet::new(file, store).unwrap(), reader)
    }

    fn pattern(len: usize) -> Vec<u8> {
        (0..=250).cycle().take(len).collect()
    }

    fn read_all(mut reader: PipeReader) -> Vec<u8> {
        let mut bytes = Vec::new();
        reader.read_to_end(&mut bytes).unwrap();
        bytes
    }

    #[test]
    fn nobody_waits_for_a_reader_that_does_not_read() {
        let (mut outlet, reader) = to_pipe(&store());
        let bytes = pattern(6 << 20);
        for piece in bytes.chunks(100_000) {
            outlet.write_all(piece).unwrap();
            assert!(outlet.0.0.state().memory.len() <= MEMORY);
        }
        // All of it was taken; only now somebody reads.
        let reading = thread::spawn(move || read_all(reader));
        assert_eq!(outlet.finish().unwrap(), Drained::All);
        drop(outlet);
        assert!(reading.join().unwrap() == bytes);
    }

    #[test]
    fn what_is_left_is_written_after_the_last_clone_is_gone() {
        let (mut outlet, reader) = to_pipe(&store());
        let mut clone = outlet.clone();
        outlet.write_all(b"one ").unwrap();
        drop(outlet);
        clone.write_all(b"two").unwrap();
        drop(clone);
        assert_eq!(read_all(reader), b"one two");
    }

    #[test]
    fn a_reader_that_goes_away_is_noticed_while_nothing_is_written() {
        let (mut outlet, reader) = to_pipe(&store());
        let (closed, inbox) = mpsc::channel();
        outlet.on_close(move || closed.send(()).unwrap());
        drop(reader);
        inbox.recv_timeout(LONG).unwrap();
        assert!(outlet.is_closed());
        outlet.write_all(b"swallowed").unwrap();
        assert_eq!(outlet.finish().unwrap(), Drained::Closed);
        let (at_once, inbox) = mpsc::channel();
        outlet.on_close(move || at_once.send(()).unwrap());
        inbox.recv_timeout(Duration::ZERO).unwrap();
    }

    #[test]
    fn a_reader_that_goes_away_ends_a_write_in_progress() {
        let (mut outlet, reader) = to_pipe(&store());
        let (closed, inbox) = mpsc::channel();
        outlet.on_close(move || closed.send(()).unwrap());
        outlet.write_all(&pattern(8 << 20)).unwrap();
        let mut first = [0; 4];
        (&reader).read_exact(&mut first).unwrap();
        drop(reader);
        inbox.recv_timeout(LONG).unwrap();
        assert_eq!(outlet.finish().unwrap(), Drained::Closed);
    }

    #[test]
    fn a_full_disk_is_told_once_at_the_end() {
        let full = File::options().write(true).open("/dev/full").unwrap();
        let mut outlet = Outlet::new(full, &store()).unwrap();
        outlet.write_all(b"lost").unwrap();
        let error = outlet.finish().unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::StorageFull);
        assert!(!outlet.is_closed());
        outlet.write_all(b"swallowed").unwrap();
    }

    #[test]
    fn what_cannot_be_kept_is_told_and_the_rest_is_written() {
        let nowhere = Store::with_memory("/nonexistent/folder".into(), 0);
        let (mut outlet, reader) = to_pipe(&nowhere);
        // More than a pipe and the memory hold, written before anybody reads.
        let bytes = pattern(300_000);
        for _ in 0..20 {
            outlet.write_all(&bytes).unwrap();
        }
        let reading = thread::spawn(move || read_all(reader));
        let error = outlet.finish().unwrap_err();
        assert!(error.to_string().contains("/nonexistent/folder"), "{error}");
        drop(outlet);
        let arrived = reading.join().unwrap();
        assert!(arrived.len() >= 900_000 && bytes.repeat(20).starts_with(&arrived));
    }

    #[test]
    fn a_non_blocking_pipe_gets_everything() {
        let (reader, writer) = pipe().unwrap();
        rustix::io::ioctl_fionbio(&writer, true).unwrap();
        let file = File::from(OwnedFd::from(writer));
        let mut outlet = Outlet::new(file, &store()).unwrap();
        let bytes = pattern(3 << 20);
        outlet.write_all(&bytes).unwrap();
        let reading = thread::spawn(move || read_all(reader));
        assert_eq!(outlet.finish().unwrap(), Drained::All);
        drop(outlet);
        assert!(reading.join().unwrap() == bytes);
    }

    #[test]
    fn the_same_pipe_is_known_by_any_descriptor() {
        let (_reader, writer) = pipe().unwrap();
        let a = File::from(OwnedFd::from(writer));
        let b = a.try_clone().unwrap();
        let (_reader, other) = pipe().unwrap();
        let other = File::from(OwnedFd::from(other));
        assert!(Outlet::is_same(&a, &b).unwrap());
        assert!(!Outlet::is_same(&a, &other).unwrap());
    }
}
