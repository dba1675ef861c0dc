//! The packets of SFTP version 3 (draft-ietf-secsh-filexfer-02) as bytes.
//!
//! Requests go in and come out as packets; what a host sends goes in piece by piece and comes out as
//! whole answers, but for the data of files, which come out as they come. Nothing here allocates by a
//! length that the host names, and no packet is larger than [`MAX_PACKET`].

use std::ffi::OsString;
use std::os::unix::ffi::OsStringExt;

use thiserror::Error;

use super::super::wire::{Reader, put_string, put_u32};
use crate::host::{cut, escaped};
use crate::transport::files::{Attributes, FileKind};

/// The largest packet that is accepted: 256 KiB of data and what is around it.
pub(super) const MAX_PACKET: usize = 256 * 1024 + 1024;
/// The longest handle (§3).
const MAX_HANDLE: usize = 256;
/// Most characters of a host's words that are kept.
const MAX_SHOWN: usize = 300;
/// The version spoken.
pub(super) const VERSION: u32 = 3;

/// Flags of an `OPEN` (§6.3).
pub(super) const OPEN_READ: u32 = 0x01;
pub(super) const OPEN_NEW: u32 = 0x02 | 0x08 | 0x20;

/// Codes of a `STATUS` (§7).
pub(super) const STATUS_OK: u32 = 0;
pub(super) const STATUS_EOF: u32 = 1;
pub(super) const STATUS_MISSING: u32 = 2;
pub(super) const STATUS_DENIED: u32 = 3;
pub(super) const STATUS_FAILURE: u32 = 4;
pub(super) const STATUS_BAD_MESSAGE: u32 = 5;
pub(super) const STATUS_UNSUPPORTED: u32 = 8;

const INIT: u8 = 1;
const VERSION_PACKET: u8 = 2;
const WRITE: u8 = 6;
const STATUS: u8 = 101;
const HANDLE: u8 = 102;
const DATA: u8 = 103;
const NAME: u8 = 104;
const ATTRS: u8 = 105;
const EXTENDED: u8 = 200;
const EXTENDED_REPLY: u8 = 201;

/// What attributes hold (§5).
const HAS_SIZE: u32 = 0x01;
const HAS_OWNER: u32 = 0x02;
const HAS_MODE: u32 = 0x04;
const HAS_TIMES: u32 = 0x08;
const HAS_EXTENSIONS: u32 = 0x8000_0000;

/// A request without data.
#[derive(Debug, Clone, Copy)]
pub(super) enum Request<'a> {
    Open(&'a [u8], u32, Setting),
    Close(&'a [u8]),
    Read(&'a [u8], u64, u32),
    Look(&'a [u8]),
    LookBehind(&'a [u8]),
    LookAtOpen(&'a [u8]),
    Set(&'a [u8], Setting),
    SetOpen(&'a [u8], Setting),
    OpenFolder(&'a [u8]),
    ReadFolder(&'a [u8]),
    Remove(&'a [u8]),
    MakeFolder(&'a [u8], Setting),
    RemoveFolder(&'a [u8]),
    RealPath(&'a [u8]),
    ReadLink(&'a [u8]),
    /// The target, then the link: OpenSSH has it the other way round than the draft, and everybody
    /// follows OpenSSH.
    MakeLink(&'a [u8], &'a [u8]),
    /// `posix-rename@openssh.com`.
    Replace(&'a [u8], &'a [u8]),
    /// `limits@openssh.com`.
    Limits,
}

/// What is set of a file.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Setting {
    pub(super) size: Option<u64>,
    pub(super) mode: Option<u32>,
    pub(super) modified: Option<u64>,
}

/// What answers a request, beside a status.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Expected {
    Status,
    Handle,
    Attributes,
    Names,
    Extended,
    /// At most so many bytes.
    Data(u32),
}

impl Request<'_> {
    /// Appends the packet.
    pub(super) fn put(&self, id: u32, out: &mut Vec<u8>) {
        let start = out.len();
        put_u32(out, 0);
        out.push(self.kind());
        put_u32(out, id);
        match self {
            Self::Open(path, flags, setting) => {
                put_string(out, path);
                put_u32(out, *flags);
                setting.put(out);
            }
            Self::Read(handle, offset, length) => {
                put_string(out, handle);
                put_u64(out, *offset);
                put_u32(out, *length);
            }
            Self::Set(text, setting)
            | Self::SetOpen(text, setting)
            | Self::MakeFolder(text, setting) => {
                put_string(out, text);
                setting.put(out);
            }
            Self::MakeLink(target, link) => {
                put_string(out, target);
                put_string(out, link);
            }
            Self::Replace(from, to) => {
                put_string(out, b"posix-rename@openssh.com");
                put_string(out, from);
                put_string(out, to);
            }
            Self::Limits => put_string(out, b"limits@openssh.com"),
            Self::Close(text)
            | Self::Look(text)
            | Self::LookBehind(text)
            | Self::LookAtOpen(text)
            | Self::OpenFolder(text)
            | Self::ReadFolder(text)
            | Self::Remove(text)
            | Self::RemoveFolder(text)
            | Self::RealPath(text)
            | Self::ReadLink(text) => put_string(out, text),
        }
        let length = u32::try_from(out.len() - start - 4).expect("no path is 4 GiB long");
        out[start..start + 4].copy_from_slice(&length.to_be_bytes());
    }

    fn kind(&self) -> u8 {
        match self {
            Self::Open(..) => 3,
            Self::Close(_) => 4,
            Self::Read(..) => 5,
            Self::Look(_) => 7,
            Self::LookAtOpen(_) => 8,
            Self::Set(..) => 9,
            Self::SetOpen(..) => 10,
            Self::OpenFolder(_) => 11,
            Self::ReadFolder(_) => 12,
            Self::Remove(_) => 13,
            Self::MakeFolder(..) => 14,
            Self::RemoveFolder(_) => 15,
            Self::RealPath(_) => 16,
            Self::LookBehind(_) => 17,
            Self::ReadLink(_) => 19,
            Self::MakeLink(..) => 20,
            Self::Replace(..) | Self::Limits => EXTENDED,
        }
    }

    /// Returns what answers it.
    pub(super) fn expected(&self) -> Expected {
        match self {
            Self::Open(..) | Self::OpenFolder(_) => Expected::Handle,
            Self::Read(_, _, length) => Expected::Data(*length),
            Self::Look(_) | Self::LookBehind(_) | Self::LookAtOpen(_) => Expected::Attributes,
            Self::ReadFolder(_) | Self::RealPath(_) | Self::ReadLink(_) => Expected::Names,
            Self::Limits => Expected::Extended,
            _ => Expected::Status,
        }
    }
}

impl Setting {
    /// Returns a setting of permissions alone.
    pub(super) fn mode(mode: u32) -> Self {
        Self {
            mode: Some(mode),
            ..Self::default()
        }
    }

    fn put(&self, out: &mut Vec<u8>) {
        let flags = [
            (self.size.is_some(), HAS_SIZE),
            (self.mode.is_some(), HAS_MODE),
            (self.modified.is_some(), HAS_TIMES),
        ];
        let flags = flags.iter().filter(|(is_set, _)| *is_set);
        put_u32(out, flags.map(|(_, flag)| flag).sum());
        if let Some(size) = self.size {
            put_u64(out, size);
        }
        if let Some(mode) = self.mode {
            put_u32(out, mode & 0o7777);
        }
        if let Some(modified) = self.modified {
            // Version 3 has no later times, and none for the reading without the writing.
            let seconds = u32::try_from(modified).unwrap_or(u32::MAX);
            put_u32(out, seconds);
            put_u32(out, seconds);
        }
    }
}

/// Appends the first packet of all.
pub(super) fn put_init(out: &mut Vec<u8>) {
    put_u32(out, 5);
    out.push(INIT);
    put_u32(out, VERSION);
}

/// Appends a `WRITE` up to its data.
pub(super) fn put_write(out: &mut Vec<u8>, id: u32, handle: &[u8], offset: u64, length: u32) {
    let around = u32::try_from(1 + 4 + 4 + handle.len() + 8 + 4).expect("a handle is short");
    put_u32(out, around + length);
    out.push(WRITE);
    put_u32(out, id);
    put_string(out, handle);
    put_u64(out, offset);
    put_u32(out, length);
}

fn put_u64(out: &mut Vec<u8>, number: u64) {
    out.extend_from_slice(&number.to_be_bytes());
}

/// What a host sent is no SFTP.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub(super) enum Malformed {
    #[error("a packet of {0} bytes")]
    Length(u32),
    #[error("a packet that can't be read")]
    Packet,
    #[error("an answer to what was not asked")]
    Answer,
}

/// Takes what a host sends apart.
#[derive(Debug, Default)]
pub(super) struct Unpacker {
    /// The beginning of a packet, its length included.
    gathered: Vec<u8>,
    data: Option<Data>,
}

/// The data of a file that is coming.
#[derive(Debug, Clone, Copy)]
struct Data {
    id: u32,
    left: usize,
}

/// What has come.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Event<'a> {
    /// A packet, without its length.
    Packet(Vec<u8>),
    /// So many bytes of data, in answer to a request, begin to come.
    Data(u32, u32),
    /// Some of them.
    Piece(u32, &'a [u8]),
    /// That was the last of them.
    End(u32),
}

impl Unpacker {
    /// Returns which request the data answer that come next, if that is what comes.
    pub(super) fn reading(&self) -> Option<u32> {
        self.data.map(|data| data.id)
    }

    /// Takes from the front of `bytes`; `None` when it has taken all of them.
    pub(super) fn next<'a>(
        &mut self,
        bytes: &mut &'a [u8],
    ) -> Result<Option<Event<'a>>, Malformed> {
        if let Some(data) = &mut self.data {
            let id = data.id;
            if data.left == 0 {
                self.data = None;
                return Ok(Some(Event::End(id)));
            }
            let count = data.left.min(bytes.len());
            data.left -= count;
            let (piece, rest) = bytes.split_at(count);
            *bytes = rest;
            return Ok((count > 0).then_some(Event::Piece(id, piece)));
        }
        loop {
            let wanted = self.wanted()?;
            let missing = wanted - self.gathered.len();
            if missing == 0 {
                return self.finish().map(Some);
            }
            if bytes.is_empty() {
                return Ok(None);
            }
            let (taken, rest) = bytes.split_at(missing.min(bytes.len()));
            self.gathered.extend_from_slice(taken);
            *bytes = rest;
        }
    }

    /// Returns up to where the packet is to be gathered before more can be told of it.
    fn wanted(&self) -> Result<usize, Malformed> {
        let Some((length, rest)) = self.gathered.split_first_chunk() else {
            return Ok(4);
        };
        let named = u32::from_be_bytes(*length);
        let length = usize::try_from(named).unwrap_or(usize::MAX);
        if !(5..=MAX_PACKET).contains(&length) {
            return Err(Malformed::Length(named));
        }
        match rest.first() {
            None => Ok(5),
            Some(&DATA) if length < 9 => Err(Malformed::Packet),
            Some(&DATA) => Ok(13),
            Some(_) => Ok(4 + length),
        }
    }

    fn finish<'a>(&mut self) -> Result<Event<'a>, Malformed> {
        let gathered = std::mem::take(&mut self.gathered);
        let mut reader = Reader::new(&gathered);
        let length = reader.u32().ok_or(Malformed::Packet)?;
        let body = reader.rest();
        if body.first() != Some(&DATA) {
            return Ok(Event::Packet(body.to_vec()));
        }
        reader.take(1);
        let (id, count) = reader.u32().zip(reader.u32()).ok_or(Malformed::Packet)?;
        if count != length - 9 {
            return Err(Malformed::Packet);
        }
        let left = usize::try_from(count).map_err(|_| Malformed::Packet)?;
        self.data = Some(Data { id, left });
        Ok(Event::Data(id, count))
    }
}

/// What a host answers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Reply {
    Status(Status),
    Handle(Vec<u8>),
    Attributes(Known),
    /// See [`names`].
    Names(Vec<u8>),
    /// See [`limits`].
    Extended(Vec<u8>),
    /// The version is where other packets have their id. See [`extensions`].
    Version(Vec<u8>),
}

/// How a host says what became of a request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Status {
    pub(super) code: u32,
    /// In the host's words, fit to be shown.
    pub(super) words: String,
}

impl Reply {
    /// Reads a packet; returns which request it answers as well.
    pub(super) fn read(packet: &[u8]) -> Result<(u32, Self), Malformed> {
        Self::try_read(packet).ok_or(Malformed::Packet)
    }

    fn try_read(packet: &[u8]) -> Option<(u32, Self)> {
        let (kind, rest) = packet.split_first()?;
        let mut reader = Reader::new(rest);
        let id = reader.u32()?;
        let reply = match *kind {
            STATUS => Self::Status(Status {
                code: reader.u32()?,
                // Older servers send no words.
                words: shown(reader.string().unwrap_or_default()),
            }),
            HANDLE => Self::Handle(
                reader
                    .string()
                    .filter(|handle| handle.len() <= MAX_HANDLE)?
                    .to_vec(),
            ),
            ATTRS => Self::Attributes(Known::read(&mut reader)?),
            NAME => Self::Names(reader.rest().to_vec()),
            EXTENDED_REPLY => Self::Extended(reader.rest().to_vec()),
            VERSION_PACKET => Self::Version(reader.rest().to_vec()),
            _ => return None,
        };
        Some((id, reply))
    }

    /// Whether it may answer a request for that.
    pub(super) fn is_what(&self, expected: Expected) -> bool {
        match self {
            Self::Status(_) => true,
            Self::Handle(_) => expected == Expected::Handle,
            Self::Attributes(_) => expected == Expected::Attributes,
            Self::Names(_) => expected == Expected::Names,
            Self::Extended(_) => expected == Expected::Extended,
            Self::Version(_) => false,
        }
    }
}

/// Makes a host's words fit to be shown.
pub(super) fn shown(words: &[u8]) -> String {
    // No character takes more than four bytes.
    let words = &words[..words.len().min(4 * MAX_SHOWN + 4)];
    cut(escaped(String::from_utf8_lossy(words).trim()), MAX_SHOWN)
}

/// What a host tells of a file.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Known {
    pub(super) size: Option<u64>,
    mode: Option<u32>,
    modified: Option<u32>,
}

impl Known {
    fn read(reader: &mut Reader<'_>) -> Option<Self> {
        let flags = reader.u32()?;
        let has = |flag| flags & flag != 0;
        let mut known = Self::default();
        if has(HAS_SIZE) {
            known.size = Some(reader.u64()?);
        }
        if has(HAS_OWNER) {
            reader.take(8)?;
        }
        if has(HAS_MODE) {
            known.mode = Some(reader.u32()?);
        }
        if has(HAS_TIMES) {
            reader.take(4)?;
            known.modified = Some(reader.u32()?);
        }
        if has(HAS_EXTENSIONS) {
            for _ in 0..reader.u32()? {
                reader.string()?;
                reader.string()?;
            }
        }
        Some(known)
    }

    /// Returns it with what was not told as nothing.
    pub(super) fn attributes(self) -> Attributes {
        let mode = self.mode.unwrap_or(0);
        let kind = match mode & 0o170_000 {
            0o100_000 => FileKind::File,
            0o040_000 => FileKind::Folder,
            0o120_000 => FileKind::Link,
            _ => FileKind::Other,
        };
        Attributes {
            kind,
            size: self.size.unwrap_or(0),
            mode: mode & 0o7777,
            modified: u64::from(self.modified.unwrap_or(0)),
        }
    }
}

/// Reads the names of a `NAME`.
pub(super) fn names(body: &[u8]) -> Result<Vec<(OsString, Attributes)>, Malformed> {
    try_names(body).ok_or(Malformed::Packet)
}

fn try_names(body: &[u8]) -> Option<Vec<(OsString, Attributes)>> {
    let mut reader = Reader::new(body);
    let mut names = Vec::new();
    for _ in 0..reader.u32()? {
        let name = reader.string()?.to_vec();
        let _as_ls_shows_it = reader.string()?;
        names.push((
            OsString::from_vec(name),
            Known::read(&mut reader)?.attributes(),
        ));
    }
    Some(names)
}

/// What `limits@openssh.com` tells of one request's data: most bytes of a `READ`, of a `WRITE`.
pub(super) fn limits(body: &[u8]) -> Option<(u64, u64)> {
    let mut reader = Reader::new(body);
    let _packet = reader.u64()?;
    reader.u64().zip(reader.u64())
}

/// Returns the names of the extensions that a `VERSION` announces.
pub(super) fn extensions(body: &[u8]) -> Vec<&[u8]> {
    let mut reader = Reader::new(body);
    let mut names = Vec::new();
    while let (Some(name), Some(_)) = (reader.string(), reader.string()) {
        names.push(name);
    }
    names
}

#[cfg(test)]
mod tests;
