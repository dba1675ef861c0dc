//! Writes a command's stdin, as far as the command reads it.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use async_process::ChildStdin;
use futures_lite::AsyncWrite;

use zeroize::Zeroizing;

use crate::remote::Stdin;
use crate::transport::elevation::Next;

/// How much is taken from the source at once.
const CHUNK_BYTES: usize = 32 * 1024;

/// How much is written before others get a turn.
const TURN_BYTES: usize = 1024 * 1024;

/// A pipe and what is still to be written to it.
pub(super) struct Feed {
    pipe: ChildStdin,
    source: Stdin,
    /// Place in the source behind `chunk`.
    position: u64,
    chunk: Zeroizing<Vec<u8>>,
    /// How much of `chunk` is written.
    written: usize,
    /// So many bytes of the source may flow yet.
    open_to: u64,
    is_cut: bool,
}

impl Feed {
    pub(super) fn new(pipe: ChildStdin, preamble: Vec<u8>, source: Stdin, is_held: bool) -> Self {
        Self {
            pipe,
            source,
            position: 0,
            chunk: preamble.into(),
            written: 0,
            open_to: if is_held { 0 } else { u64::MAX },
            is_cut: false,
        }
    }

    /// Lets flow what a command that is getting its rights may have.
    pub(super) fn heed(&mut self, next: Next) {
        match next {
            Next::Wait => {}
            Next::Send(line) => {
                let mut chunk = Zeroizing::new(Vec::new());
                chunk.reserve_exact(self.chunk.len() + line.len());
                chunk.extend_from_slice(&self.chunk[self.written..]);
                chunk.extend_from_slice(&line);
                self.chunk = chunk;
                self.written = 0;
            }
            Next::Pass(count) => self.open_to = count,
            Next::Open => self.open_to = u64::MAX,
            Next::Close => self.is_cut = true,
        }
    }

    /// Writes what the pipe takes. Ready when all is written, or nobody reads any more.
    ///
    /// # Errors
    /// When the source can't be read.
    pub(super) fn poll(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let mut turn = 0;
        while turn < TURN_BYTES {
            if self.written == self.chunk.len() {
                if self.position >= self.open_to && !self.is_cut {
                    // Whoever lets it go on polls again.
                    return Poll::Pending;
                }
                if self.is_cut || !self.fill()? {
                    return Poll::Ready(Ok(()));
                }
            }
            let rest = &self.chunk[self.written..];
            match ready!(Pin::new(&mut self.pipe).poll_write(cx, rest)) {
                Ok(written) => {
                    self.written += written;
                    turn += written;
                }
                // The command doesn't want more.
                Err(_) => return Poll::Ready(Ok(())),
            }
        }
        cx.waker().wake_by_ref();
        Poll::Pending
    }

    /// Takes the next chunk from the source; false at its end.
    fn fill(&mut self) -> io::Result<bool> {
        if self.position == 0 {
            // What came first may be a secret: it is wiped, not written over.
            self.chunk = Zeroizing::default();
        }
        self.chunk.clear();
        self.written = 0;
        if let Stdin::Bytes(bytes) = &self.source {
            let from = usize::try_from(self.position).unwrap_or(usize::MAX);
            let rest = bytes.get(from..).unwrap_or_default();
            let length = rest.len().min(CHUNK_BYTES);
            self.chunk.extend_from_slice(&rest[..length]);
        } else if let Some(content) = self.source.content() {
            let open = usize::try_from(self.open_to - self.position);
            self.chunk
                .resize(CHUNK_BYTES.min(open.unwrap_or(usize::MAX)), 0);
            let read = content.read_at(&mut self.chunk, self.position);
            self.chunk.truncate(*read.as_ref().unwrap_or(&0));
            read?;
        }
        self.position += self.chunk.len() as u64;
        Ok(!self.chunk.is_empty())
    }
}
