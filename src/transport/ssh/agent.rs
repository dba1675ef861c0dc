//! A client of the SSH agent (draft-miller-ssh-agent): lists its keys and lets it sign.
//!
//! One connection, one request at a time, never blocking the worker. What the agent answers is
//! not trusted: an answer is bounded, and taken apart without a panic. The agent never gives a
//! key away, and nothing here asks it to.

use std::io;
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};

use async_io::Async;
use futures_lite::{AsyncReadExt, AsyncWriteExt};

use super::wire::{Reader, put_string, put_u32};
use crate::host::escaped;

/// Longest message in either direction, as in OpenSSH.
const MAX_MESSAGE_BYTES: usize = 256 * 1024;

/// Most bytes of key and data in a request to sign: the message has four numbers besides.
const MAX_SIGNED_BYTES: usize = MAX_MESSAGE_BYTES - 13;

/// Message numbers (draft-miller-ssh-agent §6.1).
const FAILURE: u8 = 5;
const REQUEST_IDENTITIES: u8 = 11;
const IDENTITIES_ANSWER: u8 = 12;
const SIGN_REQUEST: u8 = 13;
const SIGN_RESPONSE: u8 = 14;

/// Flag of [`Agent::sign`] for RSA keys: sign as `rsa-sha2-256` (RFC 8332).
pub const RSA_SHA2_256: u32 = 2;

/// Flag of [`Agent::sign`] for RSA keys: sign as `rsa-sha2-512` (RFC 8332).
pub const RSA_SHA2_512: u32 = 4;

/// A connection to an agent.
#[derive(Debug)]
pub struct Agent {
    path: PathBuf,
    stream: Async<UnixStream>,
    /// No request was dropped before its answer was read.
    is_in_step: bool,
}

/// A key that an agent holds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AgentKey {
    /// The public key or certificate in wire form.
    pub blob: Vec<u8>,
    /// What it was named when it was added; everything unprintable is escaped.
    pub comment: String,
}

impl Agent {
    /// Connects to the socket that `SSH_AUTH_SOCK` would name.
    ///
    /// # Errors
    /// When there is no socket, nobody listens, or it belongs to somebody else.
    pub async fn connect(path: &Path) -> io::Result<Self> {
        Ok(Self {
            path: path.to_owned(),
            stream: Async::<UnixStream>::connect(path).await?,
            is_in_step: true,
        })
    }

    /// Returns the agent's keys in its own order. A locked agent has none.
    ///
    /// # Errors
    /// When the agent fails, hangs up or answers nonsense.
    pub async fn identities(&mut self) -> io::Result<Vec<AgentKey>> {
        let answer = self.ask(&[REQUEST_IDENTITIES]).await?;
        match answer.split_first() {
            Some((&IDENTITIES_ANSWER, body)) => keys(body).ok_or_else(malformed),
            Some((&FAILURE, _)) => Err(io::Error::other("the agent would not list its keys")),
            _ => Err(malformed()),
        }
    }

    /// Signs `data` with the key `blob`, which may be a certificate, and returns the signature
    /// without the name of its algorithm, as libssh2's callback wants it.
    ///
    /// `flags` is [`RSA_SHA2_256`] or [`RSA_SHA2_512`] for RSA keys and 0 for all others. The
    /// signature of a security key keeps its flags and counter (PROTOCOL.u2f of OpenSSH). Waits
    /// as long as the agent takes, which may be for a person's touch or confirmation.
    ///
    /// # Errors
    /// When the agent does not have the key, refuses, fails, hangs up or answers nonsense, or
    /// signs in another way than was asked: an agent that ignores `flags` uses SHA-1.
    pub async fn sign(&mut self, blob: &[u8], data: &[u8], flags: u32) -> io::Result<Vec<u8>> {
        let algorithm = signature_algorithm(blob, flags)?;
        if blob.len() + data.len() > MAX_SIGNED_BYTES {
            let message = "there is more to sign than an agent takes";
            return Err(io::Error::new(io::ErrorKind::InvalidInput, message));
        }
        let mut request = vec![SIGN_REQUEST];
        put_string(&mut request, blob);
        put_string(&mut request, data);
        put_u32(&mut request, flags);
        let answer = self.ask(&request).await?;
        match answer.split_first() {
            Some((&SIGN_RESPONSE, body)) => signature(body, &algorithm),
            Some((&FAILURE, _)) => Err(io::Error::new(
                io::ErrorKind::PermissionDenied,
                "the agent refused to sign; see what it holds with `ssh-add -l`",
            )),
            _ => Err(malformed()),
        }
    }

    /// Sends a request and returns the answer to it.
    ///
    /// Whoever waits may give up at any point; the answer then still comes. So a request after
    /// one that was given up starts over with a new connection.
    async fn ask(&mut self, request: &[u8]) -> io::Result<Vec<u8>> {
        if !self.is_in_step {
            self.stream = Async::<UnixStream>::connect(&self.path).await?;
        }
        self.is_in_step = false;
        let mut message = Vec::with_capacity(4 + request.len());
        put_string(&mut message, request);
        self.stream.write_all(&message).await?;
        let answer = self.answer().await?;
        self.is_in_step = true;
        Ok(answer)
    }

    async fn answer(&mut self) -> io::Result<Vec<u8>> {
        let mut length = [0; 4];
        self.stream.read_exact(&mut length).await?;
        let length = usize::try_from(u32::from_be_bytes(length)).unwrap_or(usize::MAX);
        if length > MAX_MESSAGE_BYTES {
            return Err(malformed());
        }
        let mut answer = vec![0; length];
        self.stream.read_exact(&mut answer).await?;
        Ok(answer)
    }
}

fn malformed() -> io::Error {
    io::Error::new(
        io::ErrorKind::InvalidData,
        "the agent's answer is malformed",
    )
}

/// Takes a list of keys apart (draft-miller-ssh-agent §3.5).
fn keys(body: &[u8]) -> Option<Vec<AgentKey>> {
    let mut reader = Reader::new(body);
    let mut keys = Vec::new();
    for _ in 0..reader.u32()? {
        keys.push(AgentKey {
            blob: reader.string()?.to_vec(),
            comment: escaped(&String::from_utf8_lossy(reader.string()?)),
        });
    }
    reader.is_empty().then_some(keys)
}

/// Returns the algorithm that a signature by this key must name.
fn signature_algorithm(blob: &[u8], flags: u32) -> io::Result<String> {
    let name = Reader::new(blob).string().unwrap_or_default();
    let name = String::from_utf8_lossy(name);
    let plain = match name.strip_suffix("-cert-v01@openssh.com") {
        // The vendor's part stays: sk-ssh-ed25519-cert-v01@openssh.com.
        Some(sk) if sk.starts_with("sk-") => format!("{sk}@openssh.com"),
        Some(plain) => plain.to_owned(),
        None => name.into_owned(),
    };
    match (&*plain, flags) {
        ("ssh-rsa", RSA_SHA2_256) => Ok("rsa-sha2-256".to_owned()),
        ("ssh-rsa", RSA_SHA2_512) => Ok("rsa-sha2-512".to_owned()),
        ("ssh-rsa" | "", _) | (_, 1..) => {
            let message = format!("no signature with flags {flags} by `{}`", escaped(&plain));
            Err(io::Error::new(io::ErrorKind::InvalidInput, message))
        }
        (_, 0) => Ok(plain),
    }
}

/// Takes the answer to a sign request apart and checks how it was signed.
fn signature(body: &[u8], algorithm: &str) -> io::Result<Vec<u8>> {
    let mut outer = Reader::new(body);
    let whole = outer.string().filter(|_| outer.is_empty());
    let mut reader = Reader::new(whole.ok_or_else(malformed)?);
    let named = reader.string().ok_or_else(malformed)?;
    if named != algorithm.as_bytes() {
        let named = escaped(&String::from_utf8_lossy(named));
        let message = format!("the agent signed with `{named}`; asked for was `{algorithm}`");
        return Err(io::Error::new(io::ErrorKind::InvalidData, message));
    }
    if algorithm.starts_with("sk-") {
        return Ok(reader.rest().to_vec());
    }
    let signature = reader.string().filter(|_| reader.is_empty());
    Ok(signature.ok_or_else(malformed)?.to_vec())
}

#[cfg(test)]
mod tests;
