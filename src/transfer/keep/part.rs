//! One file on its way here, under a hidden name beside its place.
//!
//! Its bytes come in, in order; a file that is whole goes out, with its permissions and time. A
//! large one that is interrupted stays, and the next run goes on from its end if the host still
//! has the same file: its name tells. Runs of zeros in large files take no room on the disk.

use std::ffi::{OsStr, OsString};
use std::fs::File;
use std::io::{self, Read, Seek};
use std::os::fd::OwnedFd;
use std::os::unix::fs::{FileExt, MetadataExt};
use std::path::{Path, PathBuf};

use rustix::fs::{self as at, Mode, OFlags};
use rustix::io::Errno;
use sha2::{Digest, Sha256};

use super::{Keep, KeepError, in_the_way, part_name, remove, set_time, tag};
use crate::transfer::Found;
use crate::tree::Hash;

/// From this size on, a file that is interrupted is gone on with.
const LARGE: u64 = 1 << 20;
/// Zeros that are not written.
const HOLE: usize = 4096;
/// How much more than it said a file may hold, in bytes, beside as much again: it is read to its
/// end, and one that never ends must not keep the others waiting for ever.
const MAX_MORE: u64 = 64 << 20;
/// How much of a file is hashed at once.
const HASH_BYTES: usize = 256 * 1024;

/// A file that isn't whole yet.
pub(in crate::transfer) struct Part {
    path: PathBuf,
    found: Found,
    /// What it is called until it is whole.
    name: OsString,
    file: Option<File>,
    /// Where this run goes on.
    start: u64,
    /// How much of it is here.
    got: u64,
    /// What came beyond the size that was told.
    more: u64,
    /// All of it is written, and it needs nothing but its name.
    is_sealed: bool,
}

impl Part {
    /// Begins a file, or goes on with what an earlier run has left of it unless it begins `anew`.
    pub(in crate::transfer) fn begin(
        keep: &mut Keep,
        path: PathBuf,
        found: Found,
        anew: bool,
    ) -> Result<Self, KeepError> {
        let (folder, name) = keep.parent(&path)?;
        in_the_way(&folder, name)?;
        let mut part = Self {
            name: part_name(name, &tag(&path, &found)),
            path,
            found,
            file: None,
            start: 0,
            got: 0,
            more: 0,
            is_sealed: false,
        };
        if part.may_go_on() && !anew {
            part.go_on(&folder);
        }
        Ok(part)
    }

    /// Returns where it is here.
    pub(in crate::transfer) fn path(&self) -> &Path {
        &self.path
    }

    /// Returns what was found on the host.
    pub(in crate::transfer) fn found(&self) -> &Found {
        &self.found
    }

    /// Returns where the host is to go on.
    pub(in crate::transfer) fn start(&self) -> u64 {
        self.start
    }

    /// Returns how much of it is here.
    pub(in crate::transfer) fn got(&self) -> u64 {
        self.got
    }

    /// Returns where it ended, as far as it came.
    pub(in crate::transfer) fn came(&self) -> u64 {
        self.got + self.more
    }

    /// Whether more came than the host had told.
    pub(in crate::transfer) fn has_grown(&self) -> bool {
        self.more > 0
    }

    /// Whether all that the host had told is here.
    pub(in crate::transfer) fn is_whole(&self) -> bool {
        self.got == self.found.size && self.found.size > 0
    }

    /// Writes a piece, which must be the next one.
    pub(in crate::transfer) fn take(
        &mut self,
        keep: &mut Keep,
        bytes: &[u8],
        offset: u64,
    ) -> Result<(), KeepError> {
        if offset != self.got + self.more {
            return Err(KeepError::Host("its parts came in no order"));
        }
        // What says that it is empty may be a file that the kernel makes up: it is taken as it comes.
        let room = match self.found.size {
            0 => u64::MAX,
            size => size - self.got,
        };
        let own = usize::try_from(room).unwrap_or(usize::MAX).min(bytes.len());
        self.more += (bytes.len() - own) as u64;
        let beyond = (self.got + self.more).saturating_sub(self.found.size);
        if beyond > self.found.size.saturating_add(MAX_MORE) {
            return Err(KeepError::Host("it doesn't end where it should"));
        }
        if own > 0 {
            self.write(keep, &bytes[..own])?;
        }
        Ok(())
    }

    /// Gives it its name.
    pub(in crate::transfer) fn finish(mut self, keep: &mut Keep) -> Result<(), KeepError> {
        let placed = self.place(keep);
        if placed.is_err() {
            self.discard(keep);
        }
        placed
    }

    fn place(&mut self, keep: &mut Keep) -> Result<(), KeepError> {
        self.seal(keep)?;
        let (folder, name) = keep.parent(&self.path)?;
        if let Some(file) = self.file.take() {
            self.set(&file)?;
        }
        in_the_way(&folder, name)?;
        at::renameat(&*folder, &self.name, &*folder, name)?;
        keep.remove_parts(&self.path, &folder, name);
        Ok(())
    }

    /// Ends it before it is whole. Returns how much of it is left for the next run, if that can go on.
    pub(in crate::transfer) fn leave(self, keep: &mut Keep) -> Option<u64> {
        let is_worth_it = self.may_go_on() && self.got > 0;
        match &self.file {
            // A hole at its end is not written yet.
            Some(file) if is_worth_it && file.set_len(self.got).is_ok() => Some(self.got),
            _ => {
                self.discard(keep);
                None
            }
        }
    }

    /// Removes what is here of it.
    pub(in crate::transfer) fn discard(self, keep: &mut Keep) {
        if let Ok((folder, _)) = keep.parent(&self.path) {
            // What can't be removed is no worse than before.
            let _ = remove(&folder, &self.name);
        }
    }

    /// Returns SHA-256 of what is here; made elsewhere, as it takes long.
    pub(in crate::transfer) async fn hash(&self) -> Result<Hash, KeepError> {
        let file = self.file.as_ref().ok_or(Errno::BADF)?;
        let file = file.try_clone()?;
        Ok(blocking::unblock(move || hash(file)).await?)
    }

    fn may_go_on(&self) -> bool {
        self.found.size >= LARGE && self.found.modified.is_some()
    }

    /// Opens what is left of an earlier run, if it is what that wrote.
    fn go_on(&mut self, folder: &OwnedFd) {
        let flags = OFlags::RDWR | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
        let Ok(file) = at::openat(folder, &self.name, flags, Mode::empty()) else {
            return;
        };
        let file = File::from(file);
        let Ok(there) = file.metadata() else {
            return;
        };
        let is_ours = there.uid() == rustix::process::geteuid().as_raw() && there.nlink() == 1;
        if there.is_file() && is_ours && (1..=self.found.size).contains(&there.len()) {
            (self.start, self.got) = (there.len(), there.len());
            self.file = Some(file);
        }
    }

    fn write(&mut self, keep: &mut Keep, bytes: &[u8]) -> Result<(), KeepError> {
        let file = match self.file.take() {
            Some(file) => file,
            None => self.create(keep)?,
        };
        let written = if self.found.size >= LARGE {
            write_data(&file, bytes, self.got)
        } else {
            file.write_all_at(bytes, self.got)
        };
        self.file = Some(file);
        written?;
        self.got += bytes.len() as u64;
        if self.is_whole() {
            self.seal(keep)?;
        }
        Ok(())
    }

    /// Makes it ready for its name. Without anything left to check, it is closed: many may wait.
    fn seal(&mut self, keep: &mut Keep) -> Result<(), KeepError> {
        if self.is_sealed {
            return Ok(());
        }
        let file = match self.file.take() {
            Some(file) => file,
            None => self.create(keep)?,
        };
        if file.metadata()?.len() != self.got {
            file.set_len(self.got)?;
        }
        if self.start == 0 {
            self.set(&file)?;
        } else {
            self.file = Some(file);
        }
        self.is_sealed = true;
        Ok(())
    }

    fn set(&self, file: &File) -> Result<(), KeepError> {
        at::fchmod(file, Mode::from_raw_mode(self.found.mode & 0o777))?;
        set_time(file, self.found.modified);
        Ok(())
    }

    fn create(&self, keep: &mut Keep) -> Result<File, KeepError> {
        let (folder, _) = keep.parent(&self.path)?;
        create(&folder, &self.name)
    }
}

/// Makes a new file that nobody else reads; what is there, left by a run that was killed, goes.
fn create(folder: &OwnedFd, name: &OsStr) -> Result<File, KeepError> {
    let flags = OFlags::RDWR | OFlags::CREATE | OFlags::EXCL | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    remove(folder, name)?;
    let file = at::openat(folder, name, flags, Mode::from_raw_mode(0o600))?;
    Ok(File::from(file))
}

/// Writes what is more than zeros, block by block of the file.
fn write_data(file: &File, bytes: &[u8], offset: u64) -> io::Result<()> {
    let into_block = usize::try_from(offset % HOLE as u64).unwrap_or(0);
    let first = (HOLE - into_block).min(bytes.len());
    let (head, rest) = bytes.split_at(first);
    // What is written in one go, up to the next hole.
    let (mut from, mut to) = (0, 0);
    for block in std::iter::once(head).chain(rest.chunks(HOLE)) {
        if block.len() == HOLE && is_zero(block) {
            file.write_all_at(&bytes[from..to], offset + from as u64)?;
            from = to + block.len();
        }
        to += block.len();
    }
    file.write_all_at(&bytes[from..to], offset + from as u64)
}

fn is_zero(block: &[u8]) -> bool {
    block.iter().fold(0, |all, byte| all | byte) == 0
}

fn hash(mut file: File) -> io::Result<Hash> {
    let mut hasher = Sha256::new();
    let mut buffer = vec![0; HASH_BYTES];
    file.rewind()?;
    loop {
        match file.read(&mut buffer) {
            Ok(0) => return Ok(hasher.finalize().into()),
            Ok(count) => hasher.update(&buffer[..count]),
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn zeros_that_are_not_written_are_there_all_the_same(
            runs in proptest::collection::vec((any::<bool>(), 0_usize..10_000), 1..8),
            cuts in proptest::collection::vec(1_usize..20_000, 1..6),
        ) {
            let zeros_or_not = |(is_data, length): &(bool, usize)| vec![u8::from(*is_data); *length];
            let content: Vec<u8> = runs.iter().flat_map(zeros_or_not).collect();
            let file = tempfile::tempfile().unwrap();
            let mut at = 0;
            for cut in cuts.iter().cycle() {
                let end = (at + cut).min(content.len());
                write_data(&file, &content[at..end], at as u64).unwrap();
                at = end;
                if at == content.len() {
                    break;
                }
            }
            file.set_len(content.len() as u64).unwrap();
            let mut back = vec![7; content.len()];
            file.read_exact_at(&mut back, 0).unwrap();
            prop_assert!(back == content);
        }
    }
}
