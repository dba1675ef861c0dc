//! What a host says before encryption begins, read to explain why no handshake came of it.
//!
//! The first bytes from a host come in; its version line and the algorithms of its `KEXINIT`
//! (RFC 4253 §4.2, §7.1) are found in them, and the reason goes out in hoist's own words: libssh2
//! says "unable to exchange encryption keys" to nearly everything. All of it is the host's own
//! text: it is cut and escaped before it is shown.

use ssh2::MethodType;

use super::wire::Reader;
use crate::host::{cut, escaped};
use crate::outcome::Kind;
use crate::transport::ConnectError;

/// Bytes a server may send before its version line; OpenSSH allows as many.
const MAX_BEFORE_VERSION: usize = 8 * 1024;
/// Most characters of a host's text that are shown.
const MAX_SHOWN: usize = 120;
/// Longest packet (RFC 4253 §6.1 asks for 35,000; libssh2 takes as many).
const MAX_PACKET_BYTES: usize = 35_000;

const MSG_DISCONNECT: u8 = 1;
const MSG_KEXINIT: u8 = 20;
/// `SSH_DISCONNECT_TOO_MANY_CONNECTIONS` (RFC 4253 §11.1).
const TOO_MANY_CONNECTIONS: u32 = 12;

/// What sshd says in plain text when it turns a connection away for a while: `MaxStartups`,
/// `PerSourcePenalties`.
pub(in crate::transport) const BUSY_WORDS: [&str; 2] =
    ["Exceeded MaxStartups", "Not allowed at this time"];

/// How the names of algorithms begin that OpenSSH uses unless it is told not to, and libssh2 lacks.
const OPENSSH_KNOWS: [&str; 4] = ["sntrup761x25519-", "mlkem768x25519-", "sk-", "umac-"];

/// The lists of a `KEXINIT` in its order, with what they are called.
const LISTS: [(&str, MethodType); 6] = [
    ("key exchange", MethodType::Kex),
    ("host key", MethodType::HostKey),
    ("cipher", MethodType::CryptCs),
    ("cipher", MethodType::CryptSc),
    ("MAC", MethodType::MacCs),
    ("MAC", MethodType::MacSc),
];

/// The first bytes of a host, taken apart.
#[derive(Debug, Clone, Copy)]
pub(super) struct Opening<'a> {
    bytes: &'a [u8],
    /// The first line that begins with `SSH-`, without its end.
    version: Option<&'a [u8]>,
    /// What follows it.
    packets: &'a [u8],
}

impl<'a> Opening<'a> {
    /// Takes the bytes apart as far as they go.
    pub(super) fn of(bytes: &'a [u8]) -> Self {
        let mut start = 0;
        for end in memchr::memchr_iter(b'\n', bytes) {
            let line = &bytes[start..end];
            start = end + 1;
            if line.starts_with(b"SSH-") {
                return Self {
                    bytes,
                    version: Some(line.strip_suffix(b"\r").unwrap_or(line)),
                    packets: &bytes[start..],
                };
            }
        }
        Self {
            bytes,
            version: None,
            packets: &[],
        }
    }

    /// Returns why it is useless to read on, if it is.
    pub(super) fn flaw(self) -> Option<ConnectError> {
        let message = match self.version {
            Some(version) if is_old(version) => format!(
                "the host speaks only SSH 1 (`{}`), which is broken; it needs a server that speaks SSH 2",
                shown(version)
            ),
            None if self.bytes.len() > MAX_BEFORE_VERSION => format!(
                "no SSH server: {MAX_BEFORE_VERSION} bytes came without a version line, \
                 beginning with `{}`",
                shown(self.bytes)
            ),
            _ => return None,
        };
        Some(ConnectError::permanent(Kind::Handshake, message))
    }

    /// Returns why the host hung up, as far as its last words tell.
    pub(super) fn hung_up(self, words: &str) -> ConnectError {
        let said = shown(self.bytes);
        if let Some(farewell) = self.farewell() {
            return farewell;
        }
        if self.version.is_some() || self.bytes.is_empty() {
            let message = format!("no SSH handshake with the host: {words}");
            return ConnectError::busy(Kind::Handshake, message);
        }
        if BUSY_WORDS.iter().any(|busy| said.starts_with(busy)) {
            let message = format!("the host takes no more connections now: `{said}`");
            return ConnectError::busy(Kind::Handshake, message);
        }
        let message = format!("no SSH server: it said `{said}` and hung up");
        ConnectError::permanent(Kind::Handshake, message)
    }

    /// Returns why no keys were exchanged. `end` tells how the connection ended, if it did, and
    /// `offered` what hoist offers in each list.
    pub(super) fn no_keys(
        self,
        words: &str,
        end: Option<String>,
        offered: impl Fn(MethodType) -> Vec<String>,
    ) -> ConnectError {
        if let Some(farewell) = self.farewell() {
            return farewell;
        }
        let kexinit = match self.packet() {
            Some([MSG_KEXINIT, lists @ ..]) => Some(lists),
            _ => None,
        };
        let reason = kexinit.and_then(|lists| nothing_in_common(lists, offered));
        let message = match (reason, end) {
            (Some(reason), _) => reason,
            (None, Some(end)) if kexinit.is_some() || self.packets.is_empty() => {
                return self.hung_up(&end);
            }
            _ if kexinit.is_some() => format!("no SSH key exchange with the host: {words}"),
            _ => "what the host sent is no SSH handshake".to_owned(),
        };
        ConnectError::permanent(Kind::Handshake, message)
    }

    /// Returns the payload of the first packet, if it is whole (RFC 4253 §6).
    fn packet(self) -> Option<&'a [u8]> {
        let mut reader = Reader::new(self.packets);
        let length = usize::try_from(reader.u32()?).ok()?;
        if length > MAX_PACKET_BYTES {
            return None;
        }
        let body = reader.take(length)?;
        let (padding, payload) = body.split_first()?;
        payload.get(..payload.len().checked_sub(usize::from(*padding))?)
    }

    /// Returns what the host said in a `DISCONNECT` (RFC 4253 §11.1).
    fn farewell(self) -> Option<ConnectError> {
        let [MSG_DISCONNECT, rest @ ..] = self.packet()? else {
            return None;
        };
        let mut reader = Reader::new(rest);
        let reason = reader.u32()?;
        let said = shown(reader.string()?);
        let message = format!("the host ended the SSH handshake: `{said}`");
        Some(if reason == TOO_MANY_CONNECTIONS {
            ConnectError::busy(Kind::Handshake, message)
        } else {
            ConnectError::permanent(Kind::Handshake, message)
        })
    }
}

/// Whether a version line is of SSH 1; `1.99` speaks both (RFC 4253 §5.1).
fn is_old(version: &[u8]) -> bool {
    !version.starts_with(b"SSH-2.") && !version.starts_with(b"SSH-1.99-")
}

/// Finds the first list of a `KEXINIT` in which the two sides have nothing in common.
fn nothing_in_common(
    kexinit: &[u8],
    offered: impl Fn(MethodType) -> Vec<String>,
) -> Option<String> {
    let mut reader = Reader::new(kexinit);
    reader.take(16)?; // cookie
    for (what, method) in LISTS {
        let theirs = std::str::from_utf8(reader.string()?).ok()?;
        let ours = offered(method);
        let is_common = |name: &str| ours.iter().any(|own| own == name);
        if !theirs.split(',').any(is_common) {
            return Some(format!(
                "no {what} in common: the host offers {}; hoist offers {}{}",
                listed(theirs),
                ours.join(", "),
                hint(method, theirs)
            ));
        }
    }
    None
}

fn listed(names: &str) -> String {
    if names.is_empty() {
        return "nothing".to_owned();
    }
    shown(names.replace(',', ", ").as_bytes())
}

/// Says how to go on where that is known.
fn hint(method: MethodType, theirs: &str) -> String {
    let is_sha_1 = |name: &str| matches!(name, "ssh-rsa" | "ssh-dss");
    if matches!(method, MethodType::HostKey) && theirs.split(',').all(is_sha_1) {
        let first = theirs.split(',').next().unwrap_or_default();
        return format!(
            "; signatures with SHA-1 are broken: update the host's SSH server, or give it an \
             ed25519 key; until then --transport openssh with -O HostKeyAlgorithms=+{first}"
        );
    }
    let is_known = |name: &&str| OPENSSH_KNOWS.iter().any(|start| name.starts_with(start));
    match theirs.split(',').find(is_known) {
        Some(name) => format!("; --transport openssh knows {}", escaped(name)),
        None => String::new(),
    }
}

/// Makes a host's text fit to be shown: its first line, cut and escaped.
pub(super) fn shown(bytes: &[u8]) -> String {
    let line = bytes
        .split(|byte| *byte == b'\n')
        .next()
        .unwrap_or_default();
    let line = line.strip_suffix(b"\r").unwrap_or(line);
    // One character may be four bytes, and escaping makes it longer still.
    let text = String::from_utf8_lossy(&line[..line.len().min(4 * MAX_SHOWN)]);
    cut(escaped(&text), MAX_SHOWN)
}

#[cfg(test)]
mod tests {
    use super::super::wire::put_string;
    use super::*;
    use proptest::prelude::*;

    fn packet(payload: &[u8]) -> Vec<u8> {
        let mut bytes = b"SSH-2.0-x\r\n".to_vec();
        let length = u32::try_from(payload.len() + 5).unwrap();
        bytes.extend(length.to_be_bytes());
        bytes.push(4);
        bytes.extend(payload);
        bytes.extend([0; 4]);
        bytes
    }

    fn kexinit(lists: [&str; 6]) -> Vec<u8> {
        let mut payload = vec![MSG_KEXINIT];
        payload.extend([7; 16]);
        for list in lists {
            put_string(&mut payload, list.as_bytes());
        }
        packet(&payload)
    }

    fn offered(method: MethodType) -> Vec<String> {
        let name = match method {
            MethodType::Kex => "curve25519-sha256",
            MethodType::HostKey => "ssh-ed25519",
            _ => "aes256-ctr",
        };
        vec![name.to_owned()]
    }

    fn reason(bytes: &[u8]) -> String {
        Opening::of(bytes).no_keys("words", None, offered).message
    }

    #[test]
    fn the_version_is_found_after_other_lines() {
        let opening = Opening::of(b"hello\nSSH-2.0-x y\r\nrest");
        assert_eq!(opening.version, Some(&b"SSH-2.0-x y"[..]));
        assert_eq!(opening.packets, b"rest");
        assert!(opening.flaw().is_none());
        assert!(Opening::of(b"SSH-1.99-both\n").flaw().is_none());
    }

    #[test]
    fn old_versions_and_endless_openings_are_flaws() {
        let old = Opening::of(b"SSH-1.5-x\r\n").flaw().unwrap();
        assert!(old.message.contains("`SSH-1.5-x`"), "{}", old.message);
        assert!(Opening::of(&[b'x'; MAX_BEFORE_VERSION]).flaw().is_none());
        let endless = [b'x'; MAX_BEFORE_VERSION + 1];
        assert!(Opening::of(&endless).flaw().is_some());
    }

    #[test]
    fn last_words_tell_who_is_busy_and_who_is_no_ssh_server() {
        for (said, is_busy) in [
            (&b""[..], true),
            (b"SSH-2.0-x\r\n", true),
            (b"Exceeded MaxStartups\r\n", true),
            (b"Not allowed at this time\r\n", true),
            (b"HTTP/1.1 400 Bad Request\r\n", false),
        ] {
            let error = Opening::of(said).hung_up("words");
            assert_eq!(error.is_busy, is_busy, "{}", error.message);
        }
        let escapes = Opening::of(b"\x1b[2Jboo\r\n").hung_up("words").message;
        assert!(escapes.contains("\\u{1b}[2Jboo"), "{escapes}");
    }

    #[test]
    fn lists_without_a_common_name_are_both_named() {
        let kex = "curve25519-sha256";
        let sha_1 = kexinit([kex, "ssh-rsa,ssh-dss", "", "", "", ""]);
        assert_eq!(
            reason(&sha_1),
            "no host key in common: the host offers ssh-rsa, ssh-dss; hoist offers ssh-ed25519; \
             signatures with SHA-1 are broken: update the host's SSH server, or give it an \
             ed25519 key; until then --transport openssh with -O HostKeyAlgorithms=+ssh-rsa"
        );
        let only_openssh = kexinit([
            kex,
            "ssh-ed25519",
            "aes256-ctr",
            "aes256-ctr",
            "x,umac-64@openssh.com\x07",
            "",
        ]);
        assert_eq!(
            reason(&only_openssh),
            "no MAC in common: the host offers x, umac-64@openssh.com\\u{7}; hoist offers \
             aes256-ctr; --transport openssh knows umac-64@openssh.com\\u{7}"
        );
        let no_kex = kexinit(["", "", "", "", "", ""]);
        assert_eq!(
            reason(&no_kex),
            "no key exchange in common: the host offers nothing; hoist offers curve25519-sha256"
        );
        let all = kexinit([
            kex,
            "ssh-ed25519",
            "aes256-ctr",
            "aes256-ctr",
            "aes256-ctr",
            "aes256-ctr",
        ]);
        assert_eq!(reason(&all), "no SSH key exchange with the host: words");
    }

    #[test]
    fn who_hangs_up_before_the_keys_may_be_busy() {
        let end = || Some("the host closed the connection".to_owned());
        let cut = Opening::of(b"SSH-2.0-x\r\n").no_keys("words", end(), offered);
        assert!(cut.is_busy);
        assert!(cut.message.ends_with("the host closed the connection"));
        let sha_1 = kexinit(["curve25519-sha256", "ssh-rsa", "", "", "", ""]);
        let reason = Opening::of(&sha_1).no_keys("words", end(), offered);
        assert!(reason.message.starts_with("no host key in common"));
        let noise = Opening::of(b"SSH-2.0-x\r\n\xff\xff\xff\xff").no_keys("words", end(), offered);
        assert_eq!(noise.message, "what the host sent is no SSH handshake");
    }

    #[test]
    fn a_disconnect_is_quoted() {
        let mut payload = vec![MSG_DISCONNECT, 0, 0, 0, 12];
        put_string(&mut payload, b"too\x07 many\nof you");
        let error = Opening::of(&packet(&payload)).no_keys("words", None, offered);
        assert_eq!(
            error.message,
            "the host ended the SSH handshake: `too\\u{7} many`"
        );
        assert!(error.is_busy);
    }

    proptest! {
        #[test]
        fn nothing_makes_it_panic(noise: Vec<u8>, lead in any::<bool>()) {
            let mut bytes = if lead { b"SSH-2.0-x\r\n".to_vec() } else { Vec::new() };
            bytes.extend(noise);
            let opening = Opening::of(&bytes);
            let _ = opening.flaw();
            for error in [opening.hung_up("words"), opening.no_keys("words", None, offered)] {
                prop_assert!(error.message.chars().all(crate::host::is_printable));
            }
        }
    }
}
