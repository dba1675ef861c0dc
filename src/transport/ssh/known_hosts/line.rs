//! One line of a `known_hosts` file (sshd(8), "`SSH_KNOWN_HOSTS` FILE FORMAT").
//!
//! Any bytes come in; a [`Line`] goes out, nothing for a blank or a comment, or why the line is
//! malformed. A key is only taken apart as far as is needed to tell a whole one from a cut one.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use thiserror::Error;

use super::names::Names;
use crate::transport::ssh::wire::Reader;

/// What a line says about its key.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Marker {
    /// It is the host's key.
    Plain,
    /// It must never be accepted.
    Revoked,
    /// It signs certificates of host keys.
    Authority,
}

/// A line that names hosts and a key.
pub(super) struct Line {
    pub(super) marker: Marker,
    pub(super) names: Names,
    /// The key in wire form.
    pub(super) blob: Box<[u8]>,
}

/// Why a line is malformed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub(super) enum LineError {
    #[error("the marker is not one of `@revoked`, `@cert-authority`")]
    Marker,
    #[error("it ends before the key")]
    Truncated,
    #[error("the hashed host name or the pattern is malformed")]
    Names,
    #[error("the key is not base64")]
    Base64,
    #[error("the key is cut short or is not of the type named before it")]
    Key,
}

/// Reads a line; its line feed may still be there.
pub(super) fn parse(line: &[u8]) -> Result<Option<Line>, LineError> {
    let mut fields = fields(line);
    let Some(first) = fields.next().filter(|field| field[0] != b'#') else {
        return Ok(None);
    };
    let (marker, names) = match first {
        b"@revoked" => (Marker::Revoked, fields.next()),
        b"@cert-authority" => (Marker::Authority, fields.next()),
        [b'@', ..] => return Err(LineError::Marker),
        names => (Marker::Plain, Some(names)),
    };
    let names = Names::parse(names.ok_or(LineError::Truncated)?).ok_or(LineError::Names)?;
    let blob = read_key(fields)?.into();
    Ok(Some(Line {
        marker,
        names,
        blob,
    }))
}

/// Reads a key as public key files and `known_hosts` write it: its type, then its wire form.
pub(super) fn parse_key(text: &[u8]) -> Result<Vec<u8>, LineError> {
    let line = text.split(|byte| *byte == b'\n').next().unwrap_or_default();
    read_key(fields(line))
}

fn read_key<'a>(mut fields: impl Iterator<Item = &'a [u8]>) -> Result<Vec<u8>, LineError> {
    let kind = fields.next().ok_or(LineError::Truncated)?;
    let key = fields.next().ok_or(LineError::Truncated)?;
    let blob = STANDARD.decode(key).map_err(|_| LineError::Base64)?;
    is_whole(kind, &blob).then_some(blob).ok_or(LineError::Key)
}

fn fields(line: &[u8]) -> impl Iterator<Item = &[u8]> {
    line.split(|byte| matches!(byte, b' ' | b'\t' | b'\r' | b'\n'))
        .filter(|field| !field.is_empty())
}

/// Whether `blob` is a complete key of the type `kind`.
///
/// Of types that are not listed here only the name is compared: a key that hoist can't use is
/// still a key that the host is known by.
fn is_whole(kind: &[u8], blob: &[u8]) -> bool {
    let mut reader = Reader::new(blob);
    let Some(named) = reader.string() else {
        return false;
    };
    let is_named = named == kind || (named == b"ssh-rsa" && kind.starts_with(b"rsa-sha2-"));
    // How many strings follow the name: RFC 8709 §4, RFC 5656 §3.1, RFC 4253 §6.6.
    let strings = match named {
        b"ssh-ed25519" => 1,
        b"ecdsa-sha2-nistp256" | b"ecdsa-sha2-nistp384" | b"ecdsa-sha2-nistp521" | b"ssh-rsa" => 2,
        b"ssh-dss" => 4,
        _ => return is_named && !reader.is_empty(),
    };
    let has_strings = (0..strings).all(|_| reader.string().is_some_and(|part| !part.is_empty()));
    is_named && has_strings && reader.is_empty()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const KEY: &str =
        "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIAABAgMEBQYHCAkKCwwNDg8QERITFBUWFxgZGhscHR4f";

    fn marker(line: &str) -> Marker {
        parse(line.as_bytes()).unwrap().unwrap().marker
    }

    fn error(line: &str) -> LineError {
        parse(line.as_bytes()).err().unwrap()
    }

    #[test]
    fn blanks_and_comments_are_no_lines() {
        for line in ["", "  \t", "\r\n", "# x", "  # web1 ssh-ed25519 AAAA"] {
            assert!(parse(line.as_bytes()).unwrap().is_none(), "{line:?}");
        }
    }

    #[test]
    fn markers_and_any_blanks_between_fields_are_read() {
        assert_eq!(marker(&format!("web1 {KEY}")), Marker::Plain);
        assert_eq!(
            marker(&format!(" \tweb1\t {KEY} a comment\r\n")),
            Marker::Plain
        );
        assert_eq!(
            marker(&format!("@revoked  web1 {KEY}\r\n")),
            Marker::Revoked
        );
        assert_eq!(marker(&format!("@revoked\tweb1 {KEY}")), Marker::Revoked);
        assert_eq!(
            marker(&format!("@cert-authority * {KEY}")),
            Marker::Authority
        );
    }

    #[test]
    fn malformed_lines_say_why() {
        assert_eq!(error("web1"), LineError::Truncated);
        assert_eq!(error("web1 ssh-ed25519"), LineError::Truncated);
        assert_eq!(error("@revoked"), LineError::Truncated);
        assert_eq!(error(&format!("@REVOKED web1 {KEY}")), LineError::Marker);
        assert_eq!(
            error(&format!("@revoked @revoked web1 {KEY}")),
            LineError::Base64
        );
        assert_eq!(error(&format!("|1|x|y {KEY}")), LineError::Names);
        assert_eq!(error("web1 ssh-ed25519 AAAA!"), LineError::Base64);
        assert_eq!(error("web1 1024 35 1234567"), LineError::Base64);
        let rsa = KEY.replacen("ssh-ed25519", "ssh-rsa", 1);
        assert_eq!(error(&format!("web1 {rsa}")), LineError::Key);
    }

    #[test]
    fn a_key_cut_anywhere_is_no_key() {
        let line = format!("web1 {KEY}");
        for length in "web1 ".len()..line.len() {
            assert!(parse(&line.as_bytes()[..length]).is_err(), "{length}");
        }
        assert!(parse(line.as_bytes()).is_ok());
    }

    proptest! {
        #[test]
        fn any_bytes_are_a_line_or_an_error(bytes: Vec<u8>) {
            let _ = parse(&bytes);
        }

        #[test]
        fn any_key_is_a_line_or_an_error(blob: Vec<u8>, start in "(@revoked |@cert-authority )?") {
            let _ = parse(format!("{start}a ssh-rsa {}", STANDARD.encode(blob)).as_bytes());
        }
    }
}
