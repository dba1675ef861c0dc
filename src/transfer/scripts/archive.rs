//! A tar archive that is put together as it is read: headers in memory, contents from where they are.
//!
//! Entries are files named by numbers, so that no host sees an odd name. Sizes and ids that octal
//! digits don't hold are written in base 256, as GNU tar does.

use std::fmt;
use std::io;
use std::sync::{Arc, OnceLock};

use crate::remote::Content;
use crate::transfer::Gauge;
use crate::tree::{Body, Node, NodeKind};

/// What everything in an archive begins and ends at a multiple of.
const BLOCK: u64 = 512;

/// What an entry has beside its content.
#[derive(Debug, Clone, Copy)]
pub(super) struct Header<'a> {
    pub(super) name: &'a str,
    pub(super) mode: u32,
    pub(super) owner: (u32, u32),
    pub(super) modified: u64,
}

/// An archive.
pub(super) struct Archive {
    /// Each with the place of its start.
    parts: Vec<(u64, Part)>,
    length: u64,
    gauge: Arc<Gauge>,
    /// Why a content could not be read.
    failure: OnceLock<String>,
}

enum Part {
    Bytes(Vec<u8>),
    Body(Arc<Node>),
}

impl fmt::Debug for Archive {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Archive({} bytes)", self.length)
    }
}

impl Archive {
    /// Returns an archive of nothing, whose contents are counted as they are read.
    pub(super) fn new(gauge: Arc<Gauge>) -> Self {
        Self {
            parts: Vec::new(),
            length: 0,
            gauge,
            failure: OnceLock::new(),
        }
    }

    /// Returns why a content could not be read, if so: the fault is not the host's then.
    pub(super) fn failure(&self) -> Option<&str> {
        self.failure.get().map(String::as_str)
    }

    /// Adds an entry with this content.
    pub(super) fn add_bytes(&mut self, header: &Header<'_>, bytes: &[u8]) {
        let length = bytes.len() as u64;
        self.push(block(header, length).to_vec());
        self.push(bytes.to_vec());
        self.pad(length);
    }

    /// Adds an entry with the content of a file; what is none has none.
    pub(super) fn add_file(&mut self, header: &Header<'_>, node: &Arc<Node>) {
        let length = body(node).map_or(0, Content::length);
        self.push(block(header, length).to_vec());
        if length > 0 {
            self.parts.push((self.length, Part::Body(Arc::clone(node))));
            self.length += length;
        }
        self.pad(length);
    }

    /// Adds what tells that the archive is whole.
    pub(super) fn end(&mut self) {
        self.push(vec![0; 1024]);
    }

    fn pad(&mut self, length: u64) {
        let missing = length.next_multiple_of(BLOCK) - length;
        self.push(vec![0; usize::try_from(missing).unwrap_or(0)]);
    }

    fn push(&mut self, mut bytes: Vec<u8>) {
        self.length += bytes.len() as u64;
        if let Some((_, Part::Bytes(last))) = self.parts.last_mut() {
            last.append(&mut bytes);
        } else {
            let start = self.length - bytes.len() as u64;
            self.parts.push((start, Part::Bytes(bytes)));
        }
    }
}

impl Content for Archive {
    fn length(&self) -> u64 {
        self.length
    }

    fn read_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<usize> {
        if offset >= self.length || buffer.is_empty() {
            return Ok(0);
        }
        let next = self.parts.partition_point(|(start, _)| *start <= offset);
        let Some((start, part)) = self.parts.get(next.wrapping_sub(1)) else {
            return Ok(0);
        };
        let offset = offset - start;
        match part {
            Part::Bytes(bytes) => {
                let rest = usize::try_from(offset).ok().and_then(|at| bytes.get(at..));
                let rest = rest.unwrap_or_default();
                let count = rest.len().min(buffer.len());
                buffer[..count].copy_from_slice(&rest[..count]);
                Ok(count)
            }
            Part::Body(node) => {
                let read = read(node, buffer, offset).inspect_err(|error| {
                    self.failure.get_or_init(|| error.to_string());
                });
                self.gauge
                    .add(read.as_ref().map_or(0, |count| *count as u64));
                read
            }
        }
    }
}

/// Reads a part of a file, all of which has to be there.
fn read(node: &Node, buffer: &mut [u8], offset: u64) -> io::Result<usize> {
    let body = body(node).ok_or(io::ErrorKind::InvalidInput)?;
    match body.read_at(buffer, offset)? {
        0 => Err(io::ErrorKind::UnexpectedEof.into()),
        count => Ok(count),
    }
}

/// Returns what is in a file.
pub(super) fn body(node: &Node) -> Option<&Body> {
    match &node.kind {
        NodeKind::File(body) => Some(body),
        _ => None,
    }
}

/// Returns the header of an entry (POSIX `ustar`).
fn block(header: &Header<'_>, length: u64) -> [u8; 512] {
    let mut block = [0; 512];
    let name = header.name.as_bytes();
    block[..name.len()].copy_from_slice(name);
    field(&mut block[100..108], header.mode.into());
    field(&mut block[108..116], header.owner.0.into());
    field(&mut block[116..124], header.owner.1.into());
    field(&mut block[124..136], length);
    field(&mut block[136..148], header.modified);
    block[156] = b'0';
    block[257..265].copy_from_slice(b"ustar\x0000");
    // The sum is made with blanks in its own place.
    block[148..156].fill(b' ');
    let sum: u64 = block.iter().map(|byte| u64::from(*byte)).sum();
    field(&mut block[148..155], sum);
    block
}

/// Writes a number in octal digits and a NUL, or where it is too large in base 256.
fn field(place: &mut [u8], number: u64) {
    let digits = place.len() - 1;
    let text = format!("{number:0digits$o}");
    if text.len() == digits {
        place[..digits].copy_from_slice(text.as_bytes());
        place[digits] = 0;
        return;
    }
    let bytes = number.to_be_bytes();
    let count = bytes.len().min(digits);
    place.fill(0);
    place[0] = 0x80;
    let length = place.len();
    place[length - count..].copy_from_slice(&bytes[bytes.len() - count..]);
}

#[cfg(test)]
mod tests {
    use std::process::{Command, Stdio};
    use std::sync::atomic::{AtomicU64, Ordering};

    use super::*;
    use crate::tree::Tree;

    fn read(archive: &Archive, step: usize) -> Vec<u8> {
        let mut all = Vec::new();
        let mut buffer = vec![0; step];
        loop {
            match archive.read_at(&mut buffer, all.len() as u64).unwrap() {
                0 => return all,
                count => all.extend(&buffer[..count]),
            }
        }
    }

    #[test]
    fn tar_lists_what_was_put_in_and_bodies_are_counted() {
        let counted = Arc::new(AtomicU64::new(0));
        let count = Arc::clone(&counted);
        let gauge = Gauge::new(4, move |bytes, _| count.store(bytes, Ordering::Relaxed));
        let mut archive = Archive::new(Arc::new(gauge));
        let header = |name| Header {
            name,
            mode: 0o4755,
            owner: (3_000_000, 7),
            modified: 1_700_000_000,
        };
        archive.add_bytes(&header("1000000"), &[b'x'; 512]);
        let file =
            |bytes: &[u8]| Arc::clone(&Tree::of_bytes("x".into(), bytes.into(), 0, 0).nodes[0]);
        archive.add_file(&header("1000001"), &file(b""));
        archive.add_file(&header("1000002"), &file(b"text"));
        archive.end();
        let bytes = read(&archive, 7);
        assert_eq!(bytes, read(&archive, 100_000));
        assert_eq!(bytes.len() as u64, archive.length());
        assert_eq!(bytes.len(), 512 * (2 + 1 + 2 + 2));
        assert!(counted.load(Ordering::Relaxed) >= 4);
        let mut tar = Command::new("tar")
            .args(["tvf", "-", "--numeric-owner", "--utc"])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        io::Write::write_all(&mut tar.stdin.take().unwrap(), &bytes).unwrap();
        let listed = String::from_utf8(tar.wait_with_output().unwrap().stdout).unwrap();
        let words: Vec<Vec<&str>> = listed
            .lines()
            .map(|l| l.split_whitespace().collect())
            .collect();
        let line = |size, name| ["-rwsr-xr-x", "3000000/7", size, "2023-11-14", "22:13", name];
        assert_eq!(words[0], line("512", "1000000"));
        assert_eq!(words[1], line("0", "1000001"));
        assert_eq!(words[2], line("4", "1000002"));
    }

    #[test]
    fn numbers_of_any_size_fit() {
        let mut place = [1; 12];
        field(&mut place, 0o77_777_777_777);
        assert_eq!(&place, b"77777777777\0");
        field(&mut place, 8 << 30);
        assert_eq!(place, [0x80, 0, 0, 0, 0, 0, 0, 2, 0, 0, 0, 0]);
        let mut place = [1; 8];
        field(&mut place, u64::from(u32::MAX));
        assert_eq!(place, [0x80, 0, 0, 0, 0xff, 0xff, 0xff, 0xff]);
    }
}
