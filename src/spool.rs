//! Keeps the output of many hosts in little memory.
//!
//! Bytes go into a [`Spool`], in pieces of any size, and are read back from the start as often as
//! wanted. All spools of a [`Store`] share one memory budget and, when it is used up or a spool
//! grows large, one temporary file that has no name and so is gone when the process ends, however
//! it ends. The file is made of blocks; a spool that is cleared or dropped gives its blocks to the
//! next one, so that the file is never larger than what was held at the same time.
//!
//! ```
//! use std::io::Read;
//! let store = hoist::spool::Store::new(std::env::temp_dir());
//! let mut spool = store.spool();
//! spool.push(b"up 3 days")?;
//! let mut text = String::new();
//! spool.reader().read_to_string(&mut text)?;
//! assert_eq!(text, "up 3 days");
//! # Ok::<(), std::io::Error>(())
//! ```

use std::fs::File;
use std::io::{self, Read};
use std::os::unix::fs::FileExt;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use self::blocks::{BLOCK, Blocks, Run};
use self::utf8::Utf8Check;

mod blocks;
mod utf8;

/// What all spools of a store hold in memory together, unless told otherwise.
pub const MEMORY: usize = 16 << 20;

/// Most that one spool holds in memory.
const BUFFER: usize = 64 << 10;

/// Where spools keep their bytes. Clones share the file and the budget.
#[derive(Debug, Clone)]
pub struct Store(Arc<Shared>);

#[derive(Debug)]
struct Shared {
    dir: PathBuf,
    memory: usize,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    /// Made when the first spool needs it.
    file: Option<Arc<File>>,
    blocks: Blocks,
    /// Bytes of memory given to spools.
    granted: usize,
}

impl Store {
    /// Returns a store whose temporary file will be made in `dir`, with a budget of [`MEMORY`].
    pub fn new(dir: PathBuf) -> Self {
        Self::with_memory(dir, MEMORY)
    }

    /// Returns a store whose spools hold at most `memory` bytes in memory together.
    pub fn with_memory(dir: PathBuf, memory: usize) -> Self {
        Self(Arc::new(Shared {
            dir,
            memory,
            state: Mutex::default(),
        }))
    }

    /// Returns an empty spool.
    pub fn spool(&self) -> Spool {
        Spool {
            store: self.clone(),
            buffer: Vec::new(),
            file: None,
            runs: Vec::new(),
            on_disk: 0,
            utf8: Utf8Check::default(),
            is_cut: false,
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        let state = self.0.state.lock();
        state.unwrap_or_else(PoisonError::into_inner)
    }

    /// Whether `more` bytes of memory may be used; counts them if so.
    fn grant(&self, more: usize) -> bool {
        let mut state = self.state();
        let is_granted = more <= self.0.memory.saturating_sub(state.granted);
        if is_granted {
            state.granted += more;
        }
        is_granted
    }

    fn give_back(&self, memory: usize) {
        self.state().granted -= memory;
    }

    fn file(&self) -> io::Result<Arc<File>> {
        let mut state = self.state();
        if let Some(file) = &state.file {
            return Ok(Arc::clone(file));
        }
        let file = tempfile::tempfile_in(&self.0.dir);
        let file = Arc::new(file.map_err(|error| self.failed("make", &error))?);
        state.file = Some(Arc::clone(&file));
        Ok(file)
    }

    /// Returns an error with what was tried.
    fn failed(&self, verb: &str, error: &io::Error) -> io::Error {
        let dir = self.0.dir.display();
        io::Error::new(
            error.kind(),
            format!("cannot {verb} a temporary file in {dir}: {error}"),
        )
    }

    /// Frees blocks; an unused file is emptied, so that the disk has its space back.
    fn free(&self, runs: &mut Vec<Run>) {
        if runs.is_empty() {
            return;
        }
        let mut state = self.state();
        runs.drain(..).for_each(|run| state.blocks.free(run));
        if state.blocks.is_unused() {
            state.blocks = Blocks::default();
            if let Some(file) = &state.file {
                // A file that can't be shortened is merely written over.
                let _ = file.set_len(0);
            }
        }
    }
}

/// Bytes that came in pieces. Dropping it frees what it holds.
#[derive(Debug)]
pub struct Spool {
    store: Store,
    /// The end of the bytes; its capacity has been granted by the store.
    buffer: Vec<u8>,
    file: Option<Arc<File>>,
    /// Where the start of the bytes is, in order.
    runs: Vec<Run>,
    on_disk: u64,
    utf8: Utf8Check,
    is_cut: bool,
}

impl Spool {
    /// Appends bytes.
    ///
    /// # Errors
    /// When the temporary file can't be made or written. The spool then keeps what it has: see
    /// [`Self::is_cut`].
    pub fn push(&mut self, bytes: &[u8]) -> io::Result<()> {
        if self.is_cut {
            return Ok(());
        }
        let before = self.len();
        let pushed = self.append(bytes);
        self.is_cut = pushed.is_err();
        self.utf8.push(&bytes[..in_memory(self.len() - before)]);
        pushed
    }

    /// Returns how many bytes are held.
    pub fn len(&self) -> u64 {
        self.on_disk + self.buffer.len() as u64
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Whether everything so far is UTF-8 and ends with a whole character.
    pub fn is_utf8(&self) -> bool {
        self.utf8.is_utf8()
    }

    /// Whether bytes were lost because the disk failed. From the first loss on nothing more is
    /// taken, so that what is held is always a start of the whole, without gaps.
    pub fn is_cut(&self) -> bool {
        self.is_cut
    }

    /// Returns a reader that begins at the start.
    pub fn reader(&self) -> Reader<'_> {
        Reader {
            spool: self,
            at: 0,
            run: 0,
            run_start: 0,
        }
    }

    /// Forgets everything and frees the memory and the blocks.
    pub fn clear(&mut self) {
        self.store.free(&mut self.runs);
        self.on_disk = 0;
        self.release_buffer();
        self.utf8 = Utf8Check::default();
        self.is_cut = false;
    }

    /// Moves what is in memory to the file, so that others can have the memory.
    ///
    /// # Errors
    /// When the file can't be written.
    pub fn unload(&mut self) -> io::Result<()> {
        let mut buffer = std::mem::take(&mut self.buffer);
        let before = self.on_disk;
        let written = self.write(&buffer);
        if written.is_err() {
            buffer.drain(..in_memory(self.on_disk - before));
            self.buffer = buffer;
        } else {
            self.store.give_back(buffer.capacity());
        }
        self.is_cut |= written.is_err();
        written
    }

    fn append(&mut self, bytes: &[u8]) -> io::Result<()> {
        if self.has_room(bytes.len()) {
            self.buffer.extend_from_slice(bytes);
            return Ok(());
        }
        self.unload()?;
        self.write(bytes)
    }

    /// Makes room in the buffer if the limits allow it.
    fn has_room(&mut self, more: usize) -> bool {
        let (len, capacity) = (self.buffer.len(), self.buffer.capacity());
        let needed = len + more;
        if needed <= capacity {
            return true;
        }
        let wanted = needed.max((2 * capacity).min(BUFFER));
        if wanted > BUFFER || !self.store.grant(wanted - capacity) {
            return false;
        }
        self.buffer.reserve_exact(wanted - len);
        // The allocator may have given more than was asked for.
        let surplus = self.buffer.capacity() - wanted;
        self.store.state().granted += surplus;
        true
    }

    fn write(&mut self, mut bytes: &[u8]) -> io::Result<()> {
        while !bytes.is_empty() {
            let file = match &self.file {
                Some(file) => Arc::clone(file),
                None => Arc::clone(self.file.insert(self.store.file()?)),
            };
            if self.on_disk.is_multiple_of(BLOCK) {
                let block = self.store.state().blocks.take();
                Run::extend(&mut self.runs, block);
            }
            let room = BLOCK - self.on_disk % BLOCK;
            let n = usize::try_from(room).map_or(bytes.len(), |room| room.min(bytes.len()));
            let last = self.runs.last().expect("a block was just taken if needed");
            file.write_all_at(&bytes[..n], last.end() - room)
                .map_err(|error| self.store.failed("write", &error))?;
            self.on_disk += n as u64;
            bytes = &bytes[n..];
        }
        Ok(())
    }

    fn release_buffer(&mut self) {
        let memory = std::mem::take(&mut self.buffer).capacity();
        if memory > 0 {
            self.store.give_back(memory);
        }
    }
}

/// Returns the length of something that is in memory.
fn in_memory(len: u64) -> usize {
    usize::try_from(len).expect("it fits in memory")
}

impl Drop for Spool {
    fn drop(&mut self) {
        self.clear();
    }
}

/// Reads a spool from its start, without a buffer of its own.
#[derive(Debug)]
pub struct Reader<'a> {
    spool: &'a Spool,
    at: u64,
    /// The run that holds `at`, or an earlier one.
    run: usize,
    /// Position in the spool at which that run begins.
    run_start: u64,
}

impl Reader<'_> {
    fn read_disk(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        while self.at >= self.run_start + self.spool.runs[self.run].bytes() {
            self.run_start += self.spool.runs[self.run].bytes();
            self.run += 1;
        }
        let run = &self.spool.runs[self.run];
        let end = self.spool.on_disk.min(self.run_start + run.bytes());
        let left = usize::try_from(end - self.at).unwrap_or(usize::MAX);
        let n = left.min(buffer.len());
        let file = self
            .spool
            .file
            .as_ref()
            .expect("what is on disk has a file");
        let n = file.read_at(&mut buffer[..n], run.start() + (self.at - self.run_start))?;
        if n == 0 && !buffer.is_empty() {
            return Err(io::Error::from(io::ErrorKind::UnexpectedEof));
        }
        Ok(n)
    }
}

impl Read for Reader<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let n = if self.at < self.spool.on_disk {
            self.read_disk(buffer)?
        } else {
            let skip = in_memory(self.at - self.spool.on_disk);
            (&self.spool.buffer[skip..]).read(buffer)?
        };
        self.at += n as u64;
        Ok(n)
    }
}

#[cfg(test)]
mod tests;
