//! The user's part: what cloud-init takes it for, and how it travels in a message.

use std::borrow::Cow;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use super::super::ProviderError;

/// How a part begins, whatever the case, and the type that it has for that; a longer beginning goes
/// before a shorter one.
const TYPES: [(&str, &str); 10] = [
    ("#cloud-config-archive", "text/cloud-config-archive"),
    ("#cloud-config-jsonp", "text/cloud-config-jsonp"),
    ("## template: jinja", "text/jinja2"),
    ("#cloud-boothook", "text/cloud-boothook"),
    ("#cloud-config", CLOUD_CONFIG),
    ("#include-once", "text/x-include-once-url"),
    ("#part-handler", "text/part-handler"),
    ("#upstart-job", "text/upstart-job"),
    ("#include", "text/x-include-url"),
    ("#!", "text/x-shellscript"),
];

const CLOUD_CONFIG: &str = "text/cloud-config";

/// How gzip begins (RFC 1952 §2.3.1).
const GZIP: &[u8] = &[0x1f, 0x8b];

/// Longest line of a message without its end (RFC 5322 §2.1.1).
const MAX_LINE: usize = 998;

/// Bytes in a line of base64: 76 characters (RFC 2045 §6.8).
const BYTES_A_LINE: usize = 57;

/// The user's part.
#[derive(Debug)]
pub(super) enum Part<'a> {
    /// Something with a type of its own.
    Typed(&'static str, &'a [u8]),
    /// A MIME message, which becomes a part with its headers.
    Message(&'a str),
}

impl<'a> Part<'a> {
    /// Tells what `own` is by its beginning, as cloud-init does.
    pub(super) fn of(own: &'a [u8]) -> Result<Self, ProviderError> {
        let refused = |why: &str| {
            Err(ProviderError::Input {
                message: format!("cannot use the user-data: {why}"),
            })
        };
        if own.starts_with(GZIP) {
            return refused("it is compressed; hoist adds a part, so give it as it was before");
        }
        match (type_of(own), message_of(own)) {
            (Some(CLOUD_CONFIG), _) if sets_ssh_keys(own) => refused(
                "it sets `ssh_keys`, which hoist sets itself, so that it knows the server when it \
                 first logs in; leave it out",
            ),
            (Some(kind), _) => Ok(Self::Typed(kind, own)),
            (None, Some(message)) => Ok(Self::Message(message)),
            (None, None) => refused(
                "it begins with nothing that cloud-init knows, which is `#!`, `#cloud-config`, \
                 `#include`, `#cloud-boothook`, `## template: jinja` and headers with \
                 `MIME-Version: 1.0` in UTF-8",
            ),
        }
    }

    /// Returns the part as it stands between two boundaries.
    pub(super) fn text(&self) -> Cow<'a, str> {
        let (kind, content) = match self {
            Self::Message(message) => return Cow::Borrowed(message),
            Self::Typed(kind, content) => (kind, content),
        };
        match std::str::from_utf8(content) {
            Ok(plain) if is_plain(plain) => Cow::Owned(format!(
                "Content-Type: {kind}; charset=\"us-ascii\"\nMIME-Version: 1.0\n\n{plain}"
            )),
            _ => {
                let mut text = format!(
                    "Content-Type: {kind}; charset=\"utf-8\"\nMIME-Version: 1.0\n\
                     Content-Transfer-Encoding: base64\n\n"
                );
                for bytes in content.chunks(BYTES_A_LINE) {
                    STANDARD.encode_string(bytes, &mut text);
                    text.push('\n');
                }
                Cow::Owned(text)
            }
        }
    }
}

fn type_of(own: &[u8]) -> Option<&'static str> {
    let own = own.trim_ascii_start();
    let begins = |with: &str| {
        let own = own.get(..with.len());
        own.is_some_and(|own| own.eq_ignore_ascii_case(with.as_bytes()))
    };
    let found = TYPES.iter().find(|(with, _)| begins(with));
    found.map(|(_, kind)| *kind)
}

/// Returns `own` where it is a MIME message: its first lines are headers, and one tells the version.
fn message_of(own: &[u8]) -> Option<&str> {
    let text = std::str::from_utf8(own).ok()?;
    let headers = || text.lines().take_while(|line| !line.trim().is_empty());
    let is_header = |line: &str| line.starts_with([' ', '\t']) || line.contains(':');
    let tells_version = |line: &str| {
        let name = line.split(':').next().unwrap_or_default();
        name.trim_end().eq_ignore_ascii_case("mime-version")
    };
    (headers().all(is_header) && headers().any(tells_version)).then_some(text)
}

/// Whether a `#cloud-config` has `ssh_keys` among its keys, as far as a look at its lines tells.
fn sets_ssh_keys(own: &[u8]) -> bool {
    String::from_utf8_lossy(own).lines().any(|line| {
        let key = line.split(':').next().filter(|key| key.len() < line.len());
        let key = key.map(|key| key.trim_end().trim_matches(['"', '\'']));
        key == Some("ssh_keys")
    })
}

/// Whether a message can hold `text` as it is: ASCII without odd line ends, no line too long.
fn is_plain(text: &str) -> bool {
    let is_usual = |b: u8| matches!(b, b'\n' | b'\t' | b' '..=b'~');
    text.bytes().all(is_usual) && text.split('\n').all(|line| line.len() <= MAX_LINE)
}
