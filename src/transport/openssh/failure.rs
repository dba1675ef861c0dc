//! Why there is no connection, in hoist's own words.
//!
//! The log of an `ssh` that gave up comes in, the reason goes out, of the same kinds as those of
//! the built-in transport. What ssh says that nobody knows here is quoted.

use super::log::Log;
use crate::host::{self, Endpoint, HostKeyPolicy, Route};
use crate::outcome::Kind;
use crate::transport::ssh::known_hosts::host_form;
use crate::transport::ssh::opening::BUSY_WORDS;
use crate::transport::{ConnectError, Phase, UnknownKey};

/// Most characters of ssh's words that are shown.
const MAX_SHOWN: usize = 240;

/// Says why the `ssh` that wrote this log reached no further.
pub(super) fn explain(log: &Log, endpoint: &Endpoint) -> ConnectError {
    let readings = [host_key, login, network, handshake, configuration];
    let known = readings.iter().find_map(|read| read(log, endpoint));
    let mut failure = known.unwrap_or_else(|| {
        let last = last_words(log);
        let last = last.unwrap_or_else(|| "it ended without a word".to_owned());
        ConnectError::permanent(Kind::Handshake, format!("ssh could not connect: {last}"))
    });
    if let Some(said) = said_by_proxy(log, endpoint) {
        failure.message = format!("{}; ProxyCommand said: {said}", failure.message);
    }
    failure
}

/// Returns what ssh said last that says something.
pub(super) fn last_words(log: &Log) -> Option<String> {
    const EMPTY: [&str; 3] = ["Transferred: ", "Bytes per second: ", "Disconnected from "];
    let is_empty = |line: &str| EMPTY.iter().any(|start| line.starts_with(start));
    let last = log.words().rfind(|line| !is_empty(line));
    let last = last.or_else(|| log.words().next_back())?;
    let is_closed = last.starts_with("Connection ") && last.contains(" closed by ");
    Some(if is_closed || last.starts_with("Connection closed by ") {
        "the host closed the connection".to_owned()
    } else {
        cut(last)
    })
}

/// Returns the line that holds all of these, the last one.
fn line<'a>(log: &'a Log, parts: &[&str]) -> Option<&'a str> {
    let holds_all = |line: &&str| parts.iter().all(|part| line.contains(part));
    log.words().rev().find(holds_all)
}

fn host_key(log: &Log, endpoint: &Endpoint) -> Option<ConnectError> {
    let (algorithm, fingerprint) = log.host_key.as_ref()?;
    let shown = format!("{algorithm} {fingerprint}");
    let revoked = ["REVOKED HOST KEY DETECTED", " revoked by file "];
    if revoked.iter().any(|sign| line(log, &[sign]).is_some()) {
        let message = format!("the host's key {shown} is revoked in known_hosts");
        return Some(ConnectError::permanent(Kind::HostKeyChanged, message));
    }
    let is_changed = line(log, &["HOST IDENTIFICATION HAS CHANGED"]).is_some();
    let is_refused = line(log, &["Host key verification failed."]).is_some();
    if !is_changed && !is_refused {
        return None;
    }
    if endpoint.host_key.is_some() {
        let message = format!(
            "the host's key is {shown}, not the one in the inventory's host_key; if that is \
             expected, change it there"
        );
        return Some(ConnectError::permanent(Kind::HostKeyChanged, message));
    }
    let (name, port) = endpoint.ssh.looked_up_as(&endpoint.address, endpoint.port);
    let name = host_form(name, port);
    if is_changed {
        let place = line(log, &["Offending ", " key in "]);
        let place = place.and_then(|line| line.split_once(" key in "));
        let place = place.map_or("known_hosts", |(_, place)| place);
        let message = format!(
            "the host's key is {shown}, which disagrees with {}; if that is expected, remove the \
             old one with `ssh-keygen -R '{name}'`",
            cut(place)
        );
        return Some(ConnectError::permanent(Kind::HostKeyChanged, message));
    }
    let mut message = format!(
        "the host's key is not known ({shown}); verify it and add it to known_hosts, or use \
         --host-keys accept-new"
    );
    if let Some(reason) = certificate(log, &name) {
        message = format!("{message}; its certificate {}", cut(&reason));
    }
    let key = UnknownKey {
        host: name,
        algorithm: algorithm.clone(),
        fingerprint: fingerprint.clone(),
        // Written down by ssh itself.
        blob: Vec::new(),
        file: endpoint.ssh.known_hosts.first().cloned(),
        is_hashed: endpoint.ssh.hashes_known_hosts,
    };
    Some(ConnectError {
        unknown_key: (endpoint.ssh.policy == HostKeyPolicy::Ask).then(|| Box::new(key)),
        ..ConnectError::permanent(Kind::HostKeyUnknown, message)
    })
}

/// Returns what ssh has against a host's certificate, in words that follow "its certificate".
fn certificate(log: &Log, name: &str) -> Option<String> {
    let line = line(log, &["Certificate invalid: "])?;
    let (_, reason) = line.split_once("Certificate invalid: ")?;
    Some(match reason.trim_end_matches('.') {
        "name is not a listed principal" => format!("is not for `{name}`"),
        reason => format!("is not good: {reason}"),
    })
}

fn login(log: &Log, endpoint: &Endpoint) -> Option<ConnectError> {
    let user = endpoint.user.as_ref().map_or("", |user| user.as_str());
    let offered = if log.offered.is_empty() {
        "there was nothing to offer".to_owned()
    } else {
        format!("refused: key {}", log.offered.join(", key "))
    };
    if let Some(disconnect) = line(log, &["Too many authentication failures"]) {
        let message = format!(
            "the host ended the login as {user}: `{}`; {offered}; too many keys may have been \
             offered: name the right one with --identity",
            cut(disconnect)
        );
        return Some(ConnectError::permanent(Kind::Auth, message));
    }
    if line(log, &[": Permission denied ("]).is_some() {
        let mut message = format!("cannot log in as {user}: {offered}");
        if !log.methods.is_empty() {
            message = format!("{message}; the host takes {}", log.methods);
        }
        return Some(ConnectError::permanent(Kind::Auth, message));
    }
    let is_ended = log.phase == Phase::Authentication;
    let last = last_words(log).filter(|_| is_ended)?;
    let message = format!("the host ended the login as {user}: {last}");
    Some(ConnectError::permanent(Kind::Auth, message))
}

fn network(log: &Log, endpoint: &Endpoint) -> Option<ConnectError> {
    let address = &endpoint.address;
    if let Some(line) = line(log, &["Could not resolve hostname "]) {
        let words = line.rsplit_once(": ").map_or(line, |(_, words)| words);
        let message = format!("cannot look up `{address}`: {}", cut(&words.to_lowercase()));
        return Some(ConnectError::transient(Kind::Dns, message));
    }
    let line = line(log, &["connect to host ", " port "])?;
    let words = line.rsplit_once(": ").map_or(line, |(_, words)| words);
    let words = words.to_lowercase();
    let kind = match words.as_str() {
        "connection refused" => Kind::Refused,
        "connection timed out" | "operation timed out" => Kind::ConnectTimeout,
        _ => Kind::Unreachable,
    };
    let target = log.peer.as_deref().unwrap_or(address.as_str());
    let target = if target.contains(':') {
        format!("[{target}]:{}", endpoint.port)
    } else {
        format!("{target}:{}", endpoint.port)
    };
    let message = format!("cannot connect to {target}: {}", cut(&words));
    Some(ConnectError::transient(kind, message))
}

fn handshake(log: &Log, _: &Endpoint) -> Option<ConnectError> {
    if let Some(line) = line(log, &["Unable to negotiate with ", ": no matching "]) {
        let (_, words) = line.split_once(": no matching ")?;
        let (what, offer) = words.split_once(" found. Their offer: ")?;
        let offer = offer.replace(',', ", ");
        let message = format!(
            "no {what} in common: the host offers {}; what ssh offers is set by its configuration",
            cut(&offer)
        );
        return Some(ConnectError::permanent(Kind::Handshake, message));
    }
    if let Some(line) = line(log, &["Received disconnect from ", " port "]) {
        // RFC 4253 §11.1: too many connections.
        let is_busy = line.contains(":12: ");
        let words = line.split_once(": ").map_or(line, |(_, words)| words);
        let message = format!("the host ended the SSH handshake: `{}`", cut(words));
        return Some(if is_busy {
            ConnectError::busy(Kind::Handshake, message)
        } else {
            ConnectError::permanent(Kind::Handshake, message)
        });
    }
    if line(log, &["Protocol major versions differ: "]).is_some() {
        let message = "the host speaks only SSH 1, which is broken; it needs a server that speaks \
                       SSH 2";
        return Some(ConnectError::permanent(Kind::Handshake, message));
    }
    if let Some(said) = &log.stranger {
        let said = cut(said);
        return Some(if BUSY_WORDS.iter().any(|busy| said.starts_with(busy)) {
            let message = format!("the host takes no more connections now: `{said}`");
            ConnectError::busy(Kind::Handshake, message)
        } else {
            let message = format!("no SSH server: it said `{said}` and hung up");
            ConnectError::permanent(Kind::Handshake, message)
        });
    }
    if let Some(line) = line(log, &["banner exchange: ", "invalid format"])
        .or_else(|| line_of_disconnected(log, "protocol identifier"))
    {
        let message = format!("no SSH server: {}", cut(line));
        return Some(ConnectError::permanent(Kind::Handshake, message));
    }
    let endings = [
        ("onnection closed by", "the host closed the connection"),
        ("onnection reset by", "connection reset by peer"),
        ("Broken pipe", "broken pipe"),
        ("timed out during banner exchange", "no word from the host"),
    ];
    let words = endings
        .iter()
        .find(|(sign, _)| line(log, &[sign]).is_some())?
        .1;
    let message = format!("no SSH handshake with the host: {words}");
    Some(ConnectError::busy(Kind::Handshake, message))
}

fn line_of_disconnected<'a>(log: &'a Log, what: &str) -> Option<&'a str> {
    line(log, &["kex_exchange_identification: ", what])
}

/// What ssh itself would not take.
fn configuration(log: &Log, _: &Endpoint) -> Option<ConnectError> {
    let signs = [
        "Bad configuration option",
        "Bad owner or permissions",
        "command-line",
        " argument",
        "contains invalid characters",
        "unknown option",
    ];
    let line = signs.iter().find_map(|sign| line(log, &[sign]))?;
    let message = format!("ssh can't use its settings: {}", cut(line));
    Some(ConnectError::permanent(Kind::Internal, message))
}

/// Returns the last thing that a `ProxyCommand` said; it writes to where ssh does.
fn said_by_proxy(log: &Log, endpoint: &Endpoint) -> Option<String> {
    const OWN: [&str; 6] = [
        "kex_exchange_identification: ",
        "Connection closed by ",
        "Connection reset by ",
        "banner exchange: ",
        "Protocol major versions differ: ",
        "ssh: ",
    ];
    let Route::Command(_) = endpoint.ssh.route else {
        return None;
    };
    let is_own = |line: &str| OWN.iter().any(|start| line.starts_with(start));
    log.words().rfind(|line| !is_own(line)).map(cut)
}

/// Returns a jump host's failure as that of a host behind it.
pub(super) fn at_jump_host(jump: &Endpoint, mut failure: ConnectError) -> ConnectError {
    failure.message = format!("jump host {}: {}", jump.name, failure.message);
    failure
}

/// Returns why a jump host, which was reached, leads no further.
pub(super) fn beyond(log: &Log, jump: &Endpoint, endpoint: &Endpoint) -> Option<ConnectError> {
    let refused = line(log, &["open failed: "])?;
    let (_, words) = refused.split_once("open failed: ")?;
    let (name, address) = (&jump.name, &endpoint.address);
    let message = if words.starts_with("administratively prohibited") {
        format!(
            "the jump host {name} forwards nothing to {address}: {} (AllowTcpForwarding, \
             PermitOpen)",
            cut(words)
        )
    } else {
        let port = endpoint.port;
        let words = cut(&words.to_lowercase());
        format!("the jump host {name} cannot connect to {address}:{port}: {words}")
    };
    Some(ConnectError::transient(Kind::Unreachable, message))
}

/// Shows ssh's words, which are escaped already.
fn cut(text: &str) -> String {
    host::cut(text.to_owned(), MAX_SHOWN)
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::host::{Address, HostName, Port, SshSettings, TransportName, UserName};

    fn endpoint() -> Endpoint {
        let name = HostName::parse("web1").unwrap();
        Endpoint {
            transport: TransportName::OpenSsh,
            address: Address::parse("192.0.2.7").unwrap(),
            port: Port::new(4022).unwrap(),
            user: Some(UserName::parse("root").unwrap()),
            ssh: Arc::new(SshSettings {
                policy: HostKeyPolicy::Ask,
                ..SshSettings::default()
            }),
            host_key: None,
            name,
        }
    }

    fn read(text: &str) -> Log {
        let mut log = Log::default();
        log.push(text.as_bytes());
        log
    }

    #[test]
    fn each_failure_has_its_kind() {
        let closed = "kex_exchange_identification: Connection closed by remote host\n\
                      Connection closed by 192.0.2.7 port 4022\n";
        for (text, kind, words, is_busy) in [
            (
                "ssh: connect to host 192.0.2.7 port 4022: Connection refused\r\n",
                Kind::Refused,
                "cannot connect to 192.0.2.7:4022: connection refused",
                false,
            ),
            (
                "ssh: connect to host web1 port 22: No route to host\n",
                Kind::Unreachable,
                "no route to host",
                false,
            ),
            (
                "ssh: Could not resolve hostname no.such: Name or service not known\n",
                Kind::Dns,
                "cannot look up `192.0.2.7`: name or service not known",
                false,
            ),
            (closed, Kind::Handshake, "closed the connection", true),
            (
                "Unable to negotiate with 192.0.2.7 port 4022: no matching cipher found. \
                 Their offer: a,b\n",
                Kind::Handshake,
                "no cipher in common: the host offers a, b",
                false,
            ),
            (
                "debug1: Offering public key: /k/id ED25519 SHA256:x\n\
                 debug1: Authentications that can continue: publickey\n\
                 root@192.0.2.7: Permission denied (publickey).\n",
                Kind::Auth,
                "cannot log in as root: refused: key /k/id; the host takes publickey",
                false,
            ),
            (
                "debug1: SSH2_MSG_SERVICE_ACCEPT received\n\
                 Connection closed by 192.0.2.7 port 4022\n",
                Kind::Auth,
                "the host ended the login as root",
                false,
            ),
            (
                "/x/config: line 3: Bad configuration option: nosuch\n\
                 /x/config: terminating, 1 bad configuration options\n",
                Kind::Internal,
                "line 3",
                false,
            ),
            ("strange\n", Kind::Handshake, "strange", false),
        ] {
            let failure = explain(&read(text), &endpoint());
            assert_eq!(failure.kind, kind, "{}", failure.message);
            assert!(failure.message.contains(words), "{}", failure.message);
            assert_eq!(failure.is_busy, is_busy, "{}", failure.message);
        }
    }

    #[test]
    fn keys_that_are_not_the_expected_ones_are_told() {
        const KEY: &str = "debug1: Server host key: ssh-ed25519 SHA256:abc\n";
        let unknown = format!(
            "{KEY}No ED25519 host key is known for [192.0.2.7]:4022 and you have requested strict \
             checking.\nHost key verification failed.\n"
        );
        let failure = explain(&read(&unknown), &endpoint());
        assert_eq!(failure.kind, Kind::HostKeyUnknown);
        let key = failure.unknown_key.unwrap();
        assert_eq!(
            (&*key.host, &*key.fingerprint),
            ("[192.0.2.7]:4022", "SHA256:abc")
        );
        let changed = format!(
            "{KEY}@    WARNING: REMOTE HOST IDENTIFICATION HAS CHANGED!     @\n\
             Offending ED25519 key in /home/me/.ssh/known_hosts:3\n\
             Host key verification failed.\n"
        );
        let failure = explain(&read(&changed), &endpoint());
        assert_eq!(failure.kind, Kind::HostKeyChanged);
        assert!(failure.message.contains("/.ssh/known_hosts:3;"));
        assert!(failure.unknown_key.is_none());
    }

    #[test]
    fn a_pinned_key_is_the_only_one() {
        let pinned = Endpoint {
            host_key: Some("ssh-ed25519 AAAA".into()),
            ..endpoint()
        };
        let text = "debug1: Server host key: ssh-ed25519 SHA256:abc\n\
                    Host key verification failed.\n";
        let failure = explain(&read(text), &pinned);
        assert_eq!(failure.kind, Kind::HostKeyChanged);
        assert!(failure.message.contains("inventory's host_key"));
    }
}
