//! What `ssh` tells of itself in its logs, line by line.
//!
//! Two of them: that of the connection ([`Log`]), and that of one command on it ([`ClientLog`]).
//! Bytes as they come go in; facts come out. What isn't a debug line is kept as ssh's own words,
//! from which [`super::failure`] says what went wrong. Nothing in them is trusted with more than an
//! explanation: hosts can have lines of their own written there.

use std::collections::VecDeque;

use crate::host::escaped;
use crate::remote::ExitStatus;
use crate::transport::Phase;

/// More of a line is not looked at.
const MAX_LINE: usize = 2048;
/// So many of ssh's own words are kept, the last ones.
const MAX_WORDS: usize = 48;
/// More channels than a session of hoist ever has open.
const MAX_CHANNELS: usize = 16;
/// The channel at which the other `ssh` arrive: the first one there is.
const LISTENER: u32 = 0;
/// More keys than a server lets anybody offer.
const MAX_OFFERED: usize = 24;

/// Cuts what comes into lines.
#[derive(Debug, Default)]
struct Lines {
    unfinished: Vec<u8>,
}

impl Lines {
    fn push(&mut self, bytes: &[u8], mut each: impl FnMut(&str)) {
        for piece in bytes.split_inclusive(|byte| *byte == b'\n') {
            let room = MAX_LINE.saturating_sub(self.unfinished.len());
            self.unfinished
                .extend_from_slice(&piece[..piece.len().min(room)]);
            if piece.ends_with(b"\n") {
                let line = String::from_utf8_lossy(&self.unfinished);
                each(line.trim_end_matches(['\r', '\n']));
                self.unfinished.clear();
            }
        }
    }
}

/// How a channel of the connection ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Ended {
    /// With this status.
    Code(u32),
    /// By a signal, of which ssh doesn't tell the name.
    Signal,
}

/// What the log of a connection has told so far.
#[derive(Debug, Default)]
pub(super) struct Log {
    lines: Lines,
    /// The address that is dialled, as numbers.
    pub(super) peer: Option<String>,
    /// The host's version line.
    pub(super) server: String,
    /// The type of the host's key and its fingerprint.
    pub(super) host_key: Option<(String, String)>,
    /// How the login went.
    pub(super) method: Option<&'static str>,
    /// Keys that were offered, by their files.
    pub(super) offered: Vec<String>,
    /// The logins that the host takes.
    pub(super) methods: String,
    /// How far it has come.
    pub(super) phase: Phase,
    /// Commands can be started.
    pub(super) is_ready: bool,
    /// The first line that came in place of a version.
    pub(super) stranger: Option<String>,
    /// Nobody can start commands any more: the connection is over.
    is_closing: bool,
    words: VecDeque<String>,
    channels: VecDeque<Channel>,
}

/// What is known of a channel that was opened for a command.
#[derive(Debug)]
struct Channel {
    number: u32,
    /// The host agreed to run the command.
    is_accepted: bool,
    ended: Option<Ended>,
    /// Both sides closed it, so that nothing of its output is missing.
    is_whole: bool,
}

impl Log {
    /// Reads on.
    pub(super) fn push(&mut self, bytes: &[u8]) {
        let mut lines = std::mem::take(&mut self.lines);
        lines.push(bytes, |line| self.line(line));
        self.lines = lines;
    }

    /// Returns what ssh said besides its debug lines, escaped, the last ones.
    pub(super) fn words(&self) -> impl DoubleEndedIterator<Item = &str> {
        self.words.iter().map(String::as_str)
    }

    /// Returns how this channel ended, if it has.
    pub(super) fn ended(&self, number: u32) -> Option<Ended> {
        self.channel(number)?.ended
    }

    /// Whether the host agreed to run the command of this channel.
    pub(super) fn is_accepted(&self, number: u32) -> bool {
        self.channel(number)
            .is_some_and(|channel| channel.is_accepted)
    }

    /// Whether the connection ended before this channel did.
    pub(super) fn is_cut(&self, number: u32) -> bool {
        self.is_closing && !self.channel(number).is_some_and(|channel| channel.is_whole)
    }

    fn channel(&self, number: u32) -> Option<&Channel> {
        self.channels
            .iter()
            .find(|channel| channel.number == number)
    }

    fn change(&mut self, number: u32, change: impl FnOnce(&mut Channel)) {
        let mut channels = self.channels.iter_mut();
        if let Some(channel) = channels.find(|channel| channel.number == number) {
            change(channel);
        }
    }

    fn line(&mut self, line: &str) {
        let debug = ["debug1: ", "debug2: ", "debug3: "];
        match debug.iter().find_map(|level| line.strip_prefix(level)) {
            Some(rest) => self.debug_line(rest),
            None => self.word(line),
        }
    }

    fn word(&mut self, line: &str) {
        if let Some(rest) = line.strip_prefix("Authenticated to ") {
            self.method = method(rest);
            return;
        }
        if line.is_empty() || (self.words.is_empty() && line.starts_with("OpenSSH_")) {
            return;
        }
        if self.words.len() == MAX_WORDS {
            self.words.pop_front();
        }
        self.words.push_back(escaped(line));
    }

    fn debug_line(&mut self, line: &str) {
        if let Some(rest) = line.strip_prefix("Connecting to ") {
            self.peer = between(rest, " [", "] port ").map(escaped);
            self.phase = Phase::Connect;
        } else if line == "Connection established." || line.starts_with("Executing proxy command") {
            self.phase = Phase::Handshake;
        } else if let Some(rest) = line.strip_prefix("Remote protocol version ") {
            if let Some((version, software)) = rest.split_once(", remote software version ") {
                self.server = escaped(&format!("SSH-{version}-{software}"));
            }
        } else if let Some(rest) = line
            .strip_prefix("Server host key: ")
            .or_else(|| line.strip_prefix("Server host certificate: "))
        {
            // Of a certificate, serial number and authority follow.
            let key = rest.split(',').next().unwrap_or(rest).split_once(' ');
            self.host_key =
                key.map(|(algorithm, fingerprint)| (escaped(algorithm), escaped(fingerprint)));
        } else if line == "SSH2_MSG_SERVICE_ACCEPT received" {
            self.phase = Phase::Authentication;
        } else if let Some(rest) = line.strip_prefix("Authentications that can continue: ") {
            self.methods = escaped(rest).replace(',', ", ");
        } else if let Some(rest) = line.strip_prefix("Offering public key: ") {
            let file = rest.split(" SHA256:").next().unwrap_or(rest);
            // The type of the key stands last.
            let file = file.rsplit_once(' ').map_or(file, |(file, _)| file);
            if self.offered.len() < MAX_OFFERED {
                self.offered.push(escaped(file));
            }
        } else if line == "Entering interactive session." {
            self.is_ready = true;
        } else {
            self.channel_line(line);
        }
    }

    fn channel_line(&mut self, line: &str) {
        if let Some(rest) = line.strip_prefix("channel ") {
            if let Some((number, _)) = numbered(rest, ": new") {
                self.open(number);
            } else if let Some((number, _)) = numbered(rest, ": free: ") {
                // Where the other `ssh` arrive: it goes first when the connection is over.
                self.is_closing |= number == LISTENER;
                let is_closing = self.is_closing;
                self.change(number, |channel| channel.is_whole = !is_closing);
            }
        } else if let Some(rest) = line.strip_prefix("client_input_channel_req: channel ") {
            if let Some((number, _)) = numbered(rest, " rtype exit-signal") {
                self.change(number, |channel| channel.ended = Some(Ended::Signal));
            }
        } else if line.contains("client_status_confirm()")
            && let Some((_, rest)) = line.split_once(": exec request accepted on channel ")
            && let Ok(number) = rest.parse()
        {
            self.change(number, |channel| channel.is_accepted = true);
        } else if line.starts_with("mux.c:mux_exit_message()")
            && let Some((_, rest)) = line.split_once(": channel ")
            && let Some((number, rest)) = numbered(rest, ": exit message, exitval ")
            && let Some(code) = status(rest)
        {
            self.change(number, |channel| channel.ended = Some(Ended::Code(code)));
        } else if let Some(rest) = line.strip_prefix("kex_exchange_identification: banner line 0: ")
        {
            self.stranger = Some(escaped(rest));
        }
    }

    fn open(&mut self, number: u32) {
        self.channels.retain(|channel| channel.number != number);
        if self.channels.len() == MAX_CHANNELS {
            self.channels.pop_front();
        }
        self.channels.push_back(Channel {
            number,
            is_accepted: false,
            ended: None,
            is_whole: false,
        });
    }
}

/// What the log of one command has told so far.
#[derive(Debug, Default)]
pub(super) struct ClientLog {
    lines: Lines,
    /// The channel it got.
    pub(super) channel: Option<u32>,
    /// Why it got none.
    pub(super) refusal: Option<String>,
    /// The status that the host sent.
    pub(super) code: Option<u32>,
    /// The first thing ssh said besides its debug lines.
    pub(super) word: Option<String>,
}

impl ClientLog {
    /// Reads on.
    pub(super) fn push(&mut self, bytes: &[u8]) {
        let mut lines = std::mem::take(&mut self.lines);
        lines.push(bytes, |line| self.line(line));
        self.lines = lines;
    }

    /// Returns how the command ended, if the host said so.
    pub(super) fn status(&self) -> Option<ExitStatus> {
        self.code.map(ExitStatus::Code)
    }

    fn line(&mut self, line: &str) {
        if let Some((_, rest)) = line.split_once(": master session id: ") {
            self.channel = rest.parse().ok();
        } else if let Some((_, rest)) = line.split_once(": session request failed: ") {
            self.refusal = Some(escaped(rest));
        } else if let Some((_, rest)) = line.split_once("Received exit status from master ") {
            self.code = status(rest);
        } else if !line.starts_with("debug") && self.word.is_none() {
            self.word = Some(escaped(line));
        }
    }
}

/// Reads a number and what must follow it; returns it and the rest.
fn numbered<'a>(text: &'a str, then: &str) -> Option<(u32, &'a str)> {
    let end = text.find(|c: char| !c.is_ascii_digit())?;
    let rest = text[end..].strip_prefix(then)?;
    Some((text[..end].parse().ok()?, rest))
}

/// Reads a status, which ssh writes as a signed number.
fn status(text: &str) -> Option<u32> {
    let number: i64 = text.trim_end().parse().ok()?;
    u32::try_from(number)
        .ok()
        .or_else(|| i32::try_from(number).ok().map(i32::cast_unsigned))
}

fn between<'a>(text: &'a str, before: &str, after: &str) -> Option<&'a str> {
    let (_, rest) = text.split_once(before)?;
    rest.split_once(after).map(|(found, _)| found)
}

/// Returns the login that `web1 ([127.0.0.1]:22) using "publickey".` names.
fn method(text: &str) -> Option<&'static str> {
    const METHODS: [&str; 6] = [
        "publickey",
        "keyboard-interactive",
        "password",
        "none",
        "hostbased",
        "gssapi-with-mic",
    ];
    let (_, named) = text.rsplit_once(" using \"")?;
    let named = named.split('"').next()?;
    let known = METHODS.iter().find(|method| **method == named);
    Some(known.copied().unwrap_or("another"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Log {
        let mut log = Log::default();
        // However it is cut.
        for piece in text.as_bytes().chunks(7) {
            log.push(piece);
        }
        log
    }

    #[test]
    fn a_login_is_followed_step_by_step() {
        let mut log = read(
            "OpenSSH_9.2p1 Debian-2+deb12u10, OpenSSL 3.0.22 25 Aug 2026\r\n\
             debug1: Connecting to web1 [192.0.2.7] port 4391.\r\n",
        );
        assert_eq!(log.peer.as_deref(), Some("192.0.2.7"));
        assert_eq!(log.phase, Phase::Connect);
        log.push(b"debug1: Connection established.\r\n");
        assert_eq!(log.phase, Phase::Handshake);
        log.push(
            b"debug1: Remote protocol version 2.0, remote software version OpenSSH_9.2p1 Debian\r\n\
              debug1: Server host key: ssh-ed25519 SHA256:Fs6O34\r\n\
              debug1: SSH2_MSG_SERVICE_ACCEPT received\r\n\
              debug1: Authentications that can continue: publickey,password\r\n\
              debug1: Offering public key: /home/me/my key ED25519 SHA256:YZ explicit\r\n",
        );
        assert_eq!(log.phase, Phase::Authentication);
        assert_eq!(log.server, "SSH-2.0-OpenSSH_9.2p1 Debian");
        let key = ("ssh-ed25519".to_owned(), "SHA256:Fs6O34".to_owned());
        assert_eq!(log.host_key, Some(key));
        assert_eq!(log.methods, "publickey, password");
        assert_eq!(log.offered, ["/home/me/my key"]);
        assert!(!log.is_ready);
        log.push(b"Authenticated to web1 ([192.0.2.7]:4391) using \"publickey\".\n");
        log.push(b"debug1: Entering interactive session.\n");
        assert!(log.is_ready);
        assert_eq!(log.method, Some("publickey"));
        assert_eq!(log.words().count(), 0);
    }

    #[test]
    fn channels_end_by_a_status_or_a_signal_and_are_used_again() {
        let mut log = read(
            "debug1: channel 4: new session [client-session] (inactive timeout: 0)\n\
             debug1: channel 2: new session [client-session] (inactive timeout: 0)\n\
             debug1: client_input_channel_req: channel 2 rtype exit-status reply 0\n\
             debug3: mux.c:mux_exit_message():1228 (pid=1): channel 2: exit message, exitval 255\n",
        );
        assert_eq!(log.ended(2), Some(Ended::Code(255)));
        assert_eq!(log.ended(1), None);
        log.push(b"debug1: channel 2: new session [client-session]\n");
        assert_eq!(log.ended(2), None);
        log.push(b"debug1: client_input_channel_req: channel 2 rtype exit-signal reply 0\n");
        assert_eq!(log.ended(2), Some(Ended::Signal));
        log.push(
            b"debug3: mux.c:mux_exit_message():1228 (pid=1): channel 4: exit message, exitval -1\n",
        );
        assert_eq!(log.ended(4), Some(Ended::Code(u32::MAX)));
    }

    #[test]
    fn a_channel_is_whole_unless_the_connection_ends_first() {
        let begun = "debug1: channel 0: new mux listener [/x/s0] (inactive timeout: 0)\n\
             debug1: channel 1: new mux-control [mux-control] (inactive timeout: 0)\n\
             debug1: channel 2: new session [client-session] (inactive timeout: 0)\n";
        let mut log = read(begun);
        assert!(!log.is_accepted(2));
        let accepted = "debug2: clientloop.c:client_status_confirm():669 (pid=1): exec request \
             accepted on channel 2\n";
        log.push(accepted.as_bytes());
        assert!(log.is_accepted(2) && !log.is_accepted(1));
        log.push(b"debug1: channel 2: free: client-session, nchannels 3\n");
        log.push(b"debug1: channel 0: free: /x/s0, nchannels 2\n");
        assert!(!log.is_cut(2));
        let mut log = read(begun);
        assert!(!log.is_cut(2));
        log.push(b"debug1: channel 0: free: /x/s0, nchannels 3\n");
        log.push(b"debug1: channel 2: free: client-session, nchannels 1\n");
        assert!(log.is_cut(2));
    }

    #[test]
    fn a_command_gets_a_channel_or_a_refusal() {
        let mut log = ClientLog::default();
        log.push(b"debug1: mux_client_request_session: master session id: 12\n");
        assert_eq!((log.channel, log.status()), (Some(12), None));
        log.push(b"debug2: Received exit status from master 256\n");
        assert_eq!(log.status(), Some(ExitStatus::Code(256)));
        let mut log = ClientLog::default();
        log.push(
            b"mux_client_request_session: session request failed: Session open refused by peer\n",
        );
        assert_eq!(log.refusal.as_deref(), Some("Session open refused by peer"));
    }

    #[test]
    fn what_hosts_say_is_escaped_and_bounded() {
        let mut log = read("\x1b[2Jhello\n");
        assert_eq!(log.words().next(), Some("\\u{1b}[2Jhello"));
        for _ in 0..1000 {
            log.push(&[b'x'; 5000]);
            log.push(b"\n");
        }
        assert_eq!(log.words().count(), MAX_WORDS);
        assert!(log.words().all(|line| line.len() <= MAX_LINE));
    }
}
