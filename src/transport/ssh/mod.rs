//! The built-in SSH client, on libssh2.
//!
//! An [`Endpoint`] comes in; an authenticated session on which commands run comes out, or the
//! reason in hoist's own words: libssh2's error codes end here. What libssh2 does badly is done
//! beside it: host keys are judged by an index of `known_hosts` built once per run
//! ([`known_hosts`]), keys are parsed and decrypted once and sign from memory ([`identity`]), agents
//! are asked without blocking ([`agent`]). No credential is used before the host's key is judged.

use std::cell::Cell;
use std::fs::File;
use std::io::{self, Read};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use ssh2::MethodType;
use thiserror::Error;

use crate::host::Endpoint;
use crate::outcome::Kind;
use crate::transport::{ConnectError, Phase, Session, Transport, UnknownKey, Work};

pub mod agent;
mod auth;
mod dial;
mod feed;
mod ffi;
pub mod identity;
mod inbox;
pub mod known_hosts;
mod link;
mod opening;
mod outbox;
mod process;
pub mod secret;
mod session;
mod traffic;
mod wire;

use agent::AgentKey;
use auth::Credentials;
use identity::Identity;
use known_hosts::{KnownHosts, Verdict};
use link::{Link, code_of};
use opening::Opening;
use process::ChannelOptions;
use secret::Secret;
use session::SshSession;

/// The oldest libssh2 that hoist runs on: earlier ones can be taken over by a server before any
/// key is checked.
const MIN_LIBSSH2: [u32; 3] = [1, 11, 2];
/// Receive window of a command unless told otherwise.
const WINDOW: u32 = 2 * 1024 * 1024;
/// Heartbeat unless told otherwise: sshd's own advice, `ServerAliveInterval 15`.
const KEEPALIVE: Duration = Duration::from_secs(15);
/// libssh2 sends no more often than this.
const MIN_KEEPALIVE: Duration = Duration::from_secs(2);
/// Host key algorithms offered, best first. SHA-1 (`ssh-rsa`) and DSA are left out, and so are host
/// certificates, which libssh2 would offer but not check.
const HOST_KEY_ALGORITHMS: [&str; 6] = [
    "ssh-ed25519",
    "ecdsa-sha2-nistp256",
    "ecdsa-sha2-nistp384",
    "ecdsa-sha2-nistp521",
    "rsa-sha2-512",
    "rsa-sha2-256",
];

/// What becomes of hosts whose keys nobody has vouched for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum HostKeyPolicy {
    /// They are refused.
    #[default]
    Strict,
    /// Their keys are accepted and remembered; changed keys are refused.
    AcceptNew,
    /// Any key is accepted, and no password is sent to a key that isn't known.
    Off,
}

/// Everything an SSH run shares. The library finds nothing out by itself: no environment is read.
#[derive(Debug, Default)]
pub struct SshOptions {
    /// The user's `known_hosts` files; the first one is written to.
    pub known_hosts: Vec<PathBuf>,
    /// The system's `known_hosts` files.
    pub global_known_hosts: Vec<PathBuf>,
    /// What becomes of unknown keys.
    pub policy: HostKeyPolicy,
    /// Keys for every host, in the order tried; encrypted ones are decrypted already.
    pub identities: Vec<Arc<Identity>>,
    /// Socket of an SSH agent.
    pub agent: Option<PathBuf>,
    /// Sent only to hosts whose key is verified.
    pub password: Option<Secret>,
    /// Receive window of a command in bytes: how much a host may send ahead. 0 means 2 MiB.
    pub window: u32,
    /// How often a silent host is asked for a sign of life while a command runs; three times without
    /// one and it is lost. Zero means 15 s; less than 2 s counts as 2 s.
    pub keepalive: Duration,
}

/// Reaches hosts over SSH.
pub struct Ssh {
    options: SshOptions,
    known_hosts: KnownHosts,
    agent_keys: Vec<AgentKey>,
    warnings: Vec<String>,
}

/// Why SSH can't be used at all.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum SshError {
    /// A libssh2 that a server can take over was linked.
    #[error(
        "libssh2 {found} is linked, which a hostile server can take over before login; \
         build hoist with libssh2-sys 0.3.4 or newer and without LIBSSH2_SYS_USE_PKG_CONFIG"
    )]
    OldLibssh2 {
        /// Its version.
        found: String,
    },
    /// With keys that can't be read, a changed key would be accepted as a new one.
    #[error(
        "cannot read {}: {error}; new host keys are not accepted without knowing the old ones",
        path.display()
    )]
    KnownHosts {
        /// The file.
        path: PathBuf,
        /// Why not.
        error: io::Error,
    },
}

impl Ssh {
    /// Reads `known_hosts` and asks the agent for its keys: once for all hosts. Blocks meanwhile.
    ///
    /// # Errors
    /// When the libssh2 that is linked is not safe to use, or new keys are to be accepted and the
    /// known ones can't be read.
    pub fn new(options: SshOptions) -> Result<Self, SshError> {
        check_libssh2()?;
        if options.policy == HostKeyPolicy::AcceptNew {
            options
                .known_hosts
                .iter()
                .try_for_each(|path| readable(path))?;
        }
        let (known_hosts, mut warnings) =
            KnownHosts::load(&options.known_hosts, &options.global_known_hosts);
        let agent_keys = match &options.agent {
            None => Vec::new(),
            Some(socket) => async_io::block_on(async {
                agent::Agent::connect(socket).await?.identities().await
            })
            .unwrap_or_else(|error| {
                warnings.push(format!(
                    "cannot ask the SSH agent {}: {error}",
                    socket.display()
                ));
                Vec::new()
            }),
        };
        Ok(Self {
            options,
            known_hosts,
            agent_keys,
            warnings,
        })
    }

    /// Returns what was odd but not fatal, a line each: unreadable `known_hosts` lines, no agent.
    pub fn warnings(&self) -> &[String] {
        &self.warnings
    }

    async fn open(
        &self,
        endpoint: &Endpoint,
        phase: &Cell<Phase>,
    ) -> Result<SshSession, ConnectError> {
        let socket = dial::dial(&endpoint.address, endpoint.port, phase).await?;
        phase.set(Phase::Handshake);
        let link = Link::new(socket).map_err(|error| {
            ConnectError::permanent(
                Kind::Internal,
                format!("cannot start a session: {}", error.plain()),
            )
        })?;
        self.shake_hands(&link, endpoint).await?;
        let is_verified = self.judge(&link, endpoint)?;
        phase.set(Phase::Authentication);
        self.log_in(&link, endpoint, is_verified).await?;
        let SshOptions {
            window, keepalive, ..
        } = self.options;
        let channel_options = ChannelOptions {
            window: if window == 0 { WINDOW } else { window },
            keepalive: if keepalive.is_zero() {
                KEEPALIVE
            } else {
                keepalive.max(MIN_KEEPALIVE)
            },
        };
        Ok(SshSession::new(link, channel_options))
    }

    async fn shake_hands(&self, link: &Link, endpoint: &Endpoint) -> Result<(), ConnectError> {
        let offer = self.host_key_offer(endpoint);
        link.session
            .method_pref(MethodType::HostKey, &offer)
            .map_err(|error| {
                ConnectError::permanent(Kind::Internal, format!("cannot offer `{offer}`: {error}"))
            })?;
        // A clone shares the session; the handshake needs it mutable.
        let mut session = link.session.clone();
        let shake = |_: &_| {
            let code = match session.handshake() {
                Ok(()) => return Ok(()),
                Err(error) => code_of(&error),
            };
            let is_hopeless = link.with_opening(|opening| opening.flaw().is_some());
            Err(if is_hopeless {
                libssh2_sys::LIBSSH2_ERROR_PROTO
            } else {
                code
            })
        };
        let shaken = link.drive(shake).await;
        let offered = |method| {
            let names = match method {
                MethodType::HostKey => Ok(offer.split(',').collect()),
                _ => link.session.supported_algs(method),
            };
            let names: Vec<&str> = names.unwrap_or_default();
            names.into_iter().map(str::to_owned).collect()
        };
        let explained = shaken.map_err(|error| {
            let end = link.end();
            link.with_opening(|opening| handshake_failed(&error, opening, end, offered))
        });
        link.forget_opening();
        explained
    }

    /// Returns the host key algorithms to offer: the types already known for this host first, so
    /// that a server with several keys shows the one that can be verified.
    fn host_key_offer(&self, endpoint: &Endpoint) -> String {
        let known = match &endpoint.host_key {
            Some(key) => key
                .split(' ')
                .next()
                .map(str::to_owned)
                .into_iter()
                .collect(),
            None => self
                .known_hosts
                .algorithms(endpoint.address.as_str(), endpoint.port),
        };
        let is_known = |algorithm: &str| {
            let key_type = if algorithm.starts_with("rsa-") {
                "ssh-rsa"
            } else {
                algorithm
            };
            known.iter().any(|known| known == key_type)
        };
        let (first, then): (Vec<&str>, Vec<&str>) = HOST_KEY_ALGORITHMS
            .iter()
            .partition(|algorithm| is_known(algorithm));
        [first, then].concat().join(",")
    }

    /// Judges the host's key; returns whether it is verified, rather than let through unverified.
    fn judge(&self, link: &Link, endpoint: &Endpoint) -> Result<bool, ConnectError> {
        let blob = link
            .session
            .host_key()
            .map(|(blob, _)| blob.to_vec())
            .unwrap_or_default();
        if let Some(pinned) = &endpoint.host_key {
            return judge_pinned(pinned, &blob);
        }
        let (address, port) = (endpoint.address.as_str(), endpoint.port);
        match (
            self.known_hosts.check(address, port, &blob),
            self.options.policy,
        ) {
            (Verdict::Revoked { place }, _) => Err(revoked(&blob, &place)),
            (Verdict::Known { .. }, _) => Ok(true),
            (_, HostKeyPolicy::Off) => Ok(false),
            (Verdict::Changed { place, .. }, _) => Err(changed(endpoint, &blob, &place)),
            (Verdict::Unknown, HostKeyPolicy::AcceptNew) => self.accept(endpoint, &blob),
            (Verdict::Unknown, HostKeyPolicy::Strict) => Err(not_known(unknown(endpoint, blob))),
        }
    }

    /// Accepts and remembers a new key, unless the same host showed another one a moment ago.
    fn accept(&self, endpoint: &Endpoint, blob: &[u8]) -> Result<bool, ConnectError> {
        match self
            .known_hosts
            .add(endpoint.address.as_str(), endpoint.port, blob)
        {
            Verdict::Known { .. } => {}
            Verdict::Changed { place, .. } => return Err(changed(endpoint, blob, &place)),
            _ => return Err(not_known(unknown(endpoint, blob.to_vec()))),
        }
        match self.remember(&[unknown(endpoint, blob.to_vec())]) {
            Ok(()) => Ok(true),
            Err(error) => {
                let message = format!("cannot remember the host's key: {error}");
                Err(ConnectError::permanent(Kind::Internal, message))
            }
        }
    }

    /// Writes keys into the user's file.
    fn remember(&self, keys: &[UnknownKey]) -> io::Result<()> {
        let Some(file) = self.options.known_hosts.first() else {
            return Ok(());
        };
        let lines: Vec<_> = keys
            .iter()
            .map(|key| (key.host.clone(), key.blob.clone()))
            .collect();
        KnownHosts::append(file, &lines)
            .map_err(|error| io::Error::new(error.kind(), format!("{}: {error}", file.display())))
    }

    async fn log_in(
        &self,
        link: &Link,
        endpoint: &Endpoint,
        is_verified: bool,
    ) -> Result<(), ConnectError> {
        let Some(user) = &endpoint.user else {
            return Err(ConnectError::permanent(
                Kind::Auth,
                "no user name is known for this host",
            ));
        };
        let is_given = self.options.password.is_some();
        let credentials = Credentials {
            identities: self.identities_for(endpoint),
            agent: self
                .options
                .agent
                .as_deref()
                .map(|socket| (socket, &*self.agent_keys)),
            password: self.options.password.as_ref().filter(|_| is_verified),
            withheld: (is_given && !is_verified)
                .then_some("the password was not sent, because the host's key is not verified"),
        };
        auth::log_in(link, user, &credentials).await
    }

    /// Returns the keys for a host: those it names, else all.
    fn identities_for(&self, endpoint: &Endpoint) -> Vec<&Identity> {
        let is_wanted = |identity: &&Identity| {
            endpoint.identities.is_empty() || endpoint.identities.contains(&identity.path)
        };
        self.options
            .identities
            .iter()
            .map(|identity| &**identity)
            .filter(is_wanted)
            .collect()
    }
}

impl Transport for Ssh {
    fn connect<'a>(
        &'a self,
        endpoint: &'a Endpoint,
        phase: &'a Cell<Phase>,
    ) -> Work<'a, Result<Box<dyn Session>, ConnectError>> {
        Box::pin(async move {
            let session = self.open(endpoint, phase).await?;
            Ok(Box::new(session) as Box<dyn Session>)
        })
    }

    fn trust(&self, keys: &[UnknownKey]) -> io::Result<()> {
        for key in keys {
            self.known_hosts.accept(&key.host, &key.blob);
        }
        self.remember(keys)
    }
}

fn readable(path: &Path) -> Result<(), SshError> {
    match File::open(path).and_then(|mut file| file.read(&mut [0])) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(SshError::KnownHosts {
            path: path.to_owned(),
            error,
        }),
        _ => Ok(()),
    }
}

fn unknown(endpoint: &Endpoint, blob: Vec<u8>) -> UnknownKey {
    UnknownKey {
        host: known_hosts::host_form(endpoint.address.as_str(), endpoint.port),
        algorithm: known_hosts::algorithm(&blob),
        fingerprint: known_hosts::fingerprint(&blob),
        blob,
    }
}

fn not_known(key: UnknownKey) -> ConnectError {
    let message = format!(
        "the host's key is not known ({} {}); verify it and add it to known_hosts, \
         or use --host-keys accept-new",
        key.algorithm, key.fingerprint
    );
    ConnectError {
        unknown_key: Some(Box::new(key)),
        ..ConnectError::permanent(Kind::HostKeyUnknown, message)
    }
}

fn changed(endpoint: &Endpoint, blob: &[u8], place: &str) -> ConnectError {
    let name = known_hosts::host_form(endpoint.address.as_str(), endpoint.port);
    let message = format!(
        "the host's key is {}, which disagrees with {place}; if that is expected, remove the old \
         one with `ssh-keygen -R '{name}'`",
        described(blob)
    );
    ConnectError::permanent(Kind::HostKeyChanged, message)
}

fn revoked(blob: &[u8], place: &str) -> ConnectError {
    let message = format!("the host's key {} is revoked in {place}", described(blob));
    ConnectError::permanent(Kind::HostKeyChanged, message)
}

fn judge_pinned(pinned: &str, blob: &[u8]) -> Result<bool, ConnectError> {
    if known_hosts::public_key(pinned.as_bytes()).is_some_and(|expected| expected == blob) {
        return Ok(true);
    }
    let message = format!(
        "the host's key is {}, not the one in the inventory's host_key; if that is expected, \
         change it there",
        described(blob)
    );
    Err(ConnectError::permanent(Kind::HostKeyChanged, message))
}

fn described(blob: &[u8]) -> String {
    format!(
        "{} {}",
        known_hosts::algorithm(blob),
        known_hosts::fingerprint(blob)
    )
}

/// Says what a failed handshake means. Another attempt may help where the server hung up, because
/// busy servers do that.
fn handshake_failed(
    error: &link::LinkError,
    opening: Opening<'_>,
    end: Option<String>,
    offered: impl Fn(MethodType) -> Vec<String>,
) -> ConnectError {
    if let Some(flaw) = opening.flaw() {
        return flaw;
    }
    let words = error.plain();
    match error.code {
        libssh2_sys::LIBSSH2_ERROR_BANNER_RECV
        | libssh2_sys::LIBSSH2_ERROR_SOCKET_DISCONNECT
        | libssh2_sys::LIBSSH2_ERROR_SOCKET_RECV
        | libssh2_sys::LIBSSH2_ERROR_SOCKET_SEND => opening.hung_up(&words),
        libssh2_sys::LIBSSH2_ERROR_KEX_FAILURE
        | libssh2_sys::LIBSSH2_ERROR_KEY_EXCHANGE_FAILURE => opening.no_keys(&words, end, offered),
        _ => ConnectError::permanent(Kind::Handshake, format!("SSH handshake failed: {words}")),
    }
}

/// The versions of the libraries that are linked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Versions {
    /// libssh2: `1.11.2_DEV`.
    pub libssh2: String,
    /// OpenSSL: `OpenSSL 3.6.3 …`.
    pub openssl: String,
}

/// Returns the versions of the libraries that are linked.
pub fn versions() -> Versions {
    Versions {
        libssh2: ffi::linked_version(),
        openssl: openssl::version::version().to_owned(),
    }
}

/// Refuses a libssh2 that a server can take over before login.
///
/// # Errors
/// When the one that is linked is older than 1.11.2.
pub fn check_libssh2() -> Result<(), SshError> {
    let found = ffi::linked_version();
    if is_new_enough(&found) {
        Ok(())
    } else {
        Err(SshError::OldLibssh2 { found })
    }
}

fn is_new_enough(version: &str) -> bool {
    let numbers = version.split('_').next().unwrap_or_default();
    let numbers: Option<Vec<u32>> = numbers.split('.').map(|part| part.parse().ok()).collect();
    numbers.is_some_and(|numbers| numbers.as_slice() >= MIN_LIBSSH2.as_slice())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn new_keys_are_not_accepted_beside_keys_that_cannot_be_read() {
        let folder = tempfile::tempdir().unwrap();
        let options = |file: PathBuf| SshOptions {
            policy: HostKeyPolicy::AcceptNew,
            known_hosts: vec![file],
            ..SshOptions::default()
        };
        assert!(Ssh::new(options(folder.path().join("none"))).is_ok());
        let refused = Ssh::new(options(folder.path().to_owned()));
        assert!(matches!(refused, Err(SshError::KnownHosts { .. })));
    }

    #[test]
    fn the_linked_libssh2_is_safe_and_old_ones_are_refused() {
        check_libssh2().unwrap();
        for version in ["1.11.1", "1.10.0_DEV", "0.9", "", "x.y.z"] {
            assert!(!is_new_enough(version), "{version}");
        }
        for version in ["1.11.2_DEV", "1.11.2", "1.12.0", "2.0.0"] {
            assert!(is_new_enough(version), "{version}");
        }
    }
}
