//! The built-in SSH client, on libssh2.
//!
//! An [`Endpoint`] comes in; an authenticated session on which commands run comes out, or the
//! reason in hoist's own words: libssh2's error codes end here. What libssh2 does badly is done
//! beside it: host keys are judged by an index of `known_hosts` built once per run
//! ([`known_hosts`]), keys are parsed and decrypted once and sign from memory ([`identity`]), agents
//! are asked without blocking ([`agent`]). No credential is used before the host's key is judged.

use std::cell::Cell;
use std::collections::HashMap;
use std::io;
use std::mem::Discriminant;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use ssh2::MethodType;
use thiserror::Error;

use crate::host::{Endpoint, Route, SshSettings, TransportName, escaped};
use crate::outcome::{Kind, Login};
use crate::remote::Exec;
use crate::secret::Secret;
use crate::transport::{
    ConnectError, Phase, Process, Session, SpawnError, Transport, UnknownKey, Work,
};

pub mod agent;
mod auth;
mod chachapoly;
mod dial;
mod feed;
mod ffi;
mod host_certificate;
mod host_key;
pub mod identity;
mod inbox;
mod jump;
pub mod known_hosts;
mod link;
pub(in crate::transport) mod opening;
mod outbox;
mod process;
mod proxy;
mod questions;
mod revoked;
mod session;
mod sftp;
mod stream;
mod traffic;
mod wire;

use agent::AgentKey;
use auth::Credentials;
use host_key::HostKeys;
use identity::{Certificate, NamedKey};
use jump::{Guide, Jumps};
use link::{Link, code_of};
use opening::Opening;
use process::ChannelOptions;
use session::SshSession;
use stream::Stream;

pub use crate::host::HostKeyPolicy;

/// The oldest libssh2 that hoist runs on: earlier ones can be taken over by a server before any
/// key is checked.
const MIN_LIBSSH2: [u32; 3] = [1, 11, 2];
/// Receive window of a command unless told otherwise.
const WINDOW: u32 = 2 * 1024 * 1024;
/// Longest login to a jump host unless told otherwise.
const JUMP_TIMEOUT: Duration = Duration::from_secs(10);
/// libssh2 sends no more often than this.
const MIN_KEEPALIVE: Duration = Duration::from_secs(2);
/// Everything an SSH run shares; what is different from host to host is in its [`SshSettings`].
/// The library finds nothing out by itself: no environment is read.
#[derive(Debug, Default)]
pub struct SshOptions {
    /// The keys that hosts name by their files; encrypted ones are decrypted already.
    pub identities: Vec<NamedKey>,
    /// The certificates that hosts name, and those beside their keys.
    pub certificates: Vec<Certificate>,
    /// Sent only to hosts whose key is verified.
    pub password: Option<Secret>,
    /// Hosts are dialled and nothing else: no handshake, no login, no command.
    pub only_dials: bool,
    /// Receive window of a command in bytes: how much a host may send ahead. 0 means 2 MiB.
    pub window: u32,
    /// Longest lookup, connection, handshake and authentication of a jump host, where its own
    /// settings say nothing. Zero means 10 s.
    pub jump_timeout: Duration,
}

/// Reaches hosts over SSH.
pub struct Ssh {
    inner: Arc<Inner>,
    jumps: Jumps,
    warnings: Vec<String>,
}

/// What workers and the thread for jump hosts share.
struct Inner {
    options: SshOptions,
    host_keys: HostKeys,
    /// What each agent holds, by its socket.
    agents: HashMap<PathBuf, Vec<AgentKey>>,
    /// How often keys were trusted: what failed before may not fail again.
    trusted: AtomicUsize,
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
    /// Reads the `known_hosts` and asks the agents that these hosts name: once for all of them.
    /// Blocks meanwhile.
    ///
    /// # Errors
    /// When the libssh2 that is linked is not safe to use, or new keys are to be accepted and the
    /// known ones can't be read.
    pub fn new(options: SshOptions, hosts: &[Endpoint]) -> Result<Self, SshError> {
        check_libssh2()?;
        let settings = settings_of(hosts);
        let (host_keys, mut warnings) = HostKeys::load(settings.iter().copied())?;
        let mut agents = HashMap::new();
        for socket in settings
            .iter()
            .filter_map(|settings| settings.agent.as_ref())
        {
            if !agents.contains_key(socket) {
                let keys = async_io::block_on(async {
                    agent::Agent::connect(socket).await?.identities().await
                });
                let keys = keys.unwrap_or_else(|error| {
                    let socket = socket.display();
                    warnings.push(format!("cannot ask the SSH agent {socket}: {error}"));
                    Vec::new()
                });
                agents.insert(socket.clone(), keys);
            }
        }
        let inner = Inner {
            options,
            host_keys,
            agents,
            trusted: AtomicUsize::new(0),
        };
        Ok(Self {
            inner: Arc::new(inner),
            jumps: Jumps::default(),
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
        let (link, login) = self.inner.log_in_to(endpoint, phase, &self.jumps).await?;
        let window = self.inner.options.window;
        let channel_options = ChannelOptions {
            window: if window == 0 { WINDOW } else { window },
            keepalive: keepalive(&endpoint.ssh),
            keepalive_count: endpoint.ssh.keepalive_count.max(1),
        };
        Ok(SshSession::new(link, channel_options, login))
    }
}

impl Inner {
    /// Connects to a host, makes sure that it is the right one, and logs in.
    async fn log_in_to(
        &self,
        endpoint: &Endpoint,
        phase: &Cell<Phase>,
        guide: &dyn Guide,
    ) -> Result<(Link, Login), ConnectError> {
        let stream = dial::dial(endpoint, phase, guide).await?;
        phase.set(Phase::Handshake);
        let link = Link::new(stream).map_err(|error| {
            ConnectError::permanent(
                Kind::Internal,
                format!("cannot start a session: {}", error.plain()),
            )
        })?;
        match self.authenticate(&link, endpoint, phase).await {
            Ok(login) => Ok((link, login)),
            // Whatever went wrong, it went wrong there; another session may do.
            Err(_) if link.end_of_way().is_some() => Err(ConnectError::busy(
                Kind::Lost,
                link.end_of_way().unwrap_or_default(),
            )),
            Err(mut failure) => {
                if let Some(said) = link.said() {
                    failure.message = format!("{}; ProxyCommand said: {said}", failure.message);
                }
                Err(failure)
            }
        }
    }

    async fn authenticate(
        &self,
        link: &Link,
        endpoint: &Endpoint,
        phase: &Cell<Phase>,
    ) -> Result<Login, ConnectError> {
        self.shake_hands(link, endpoint).await?;
        let blob = link.session.host_key();
        let blob = blob.map(|(blob, _)| blob.to_vec()).unwrap_or_default();
        let peer = link.peer();
        let is_verified = self.host_keys.judge(endpoint, &blob, peer.as_deref())?;
        phase.set(Phase::Authentication);
        let method = self.log_in(link, endpoint, is_verified).await?;
        let server = link.session.banner_bytes().unwrap_or_default();
        Ok(Login {
            server: escaped(&String::from_utf8_lossy(server)),
            host_key: known_hosts::algorithm(&blob),
            fingerprint: known_hosts::fingerprint(&blob),
            method,
        })
    }

    /// Returns how often keys were trusted.
    fn trusted(&self) -> usize {
        self.trusted.load(Ordering::SeqCst)
    }

    /// Returns how long a jump host may take.
    fn connect_timeout(&self) -> Duration {
        match self.options.jump_timeout {
            Duration::ZERO => JUMP_TIMEOUT,
            timeout => timeout,
        }
    }

    async fn shake_hands(&self, link: &Link, endpoint: &Endpoint) -> Result<(), ConnectError> {
        let offer = self.host_keys.offer(endpoint)?;
        prefer(link, MethodType::HostKey, &offer)?;
        let narrowed = choose_algorithms(link, &endpoint.ssh)?;
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
            let kind = std::mem::discriminant(&method);
            let names = match narrowed.iter().find(|(narrowed, _)| *narrowed == kind) {
                Some((_, names)) => names.clone(),
                None if matches!(method, MethodType::HostKey) => offer.split(',').collect(),
                None => link.session.supported_algs(method).unwrap_or_default(),
            };
            names.into_iter().map(str::to_owned).collect()
        };
        let explained = shaken.map_err(|error| {
            let end = link.end();
            link.with_opening(|opening| handshake_failed(&error, opening, end, offered))
        });
        link.forget_opening();
        let cipher = link.session.methods(MethodType::CryptCs);
        let is_chosen = cipher == Some("chacha20-poly1305@openssh.com");
        // A handshake that failed may not have come to use it.
        let is_own = explained.is_err() || !is_chosen || chachapoly::is_used();
        debug_assert!(
            is_own,
            "libssh2 must not have been linked with its own cipher"
        );
        explained
    }

    async fn log_in(
        &self,
        link: &Link,
        endpoint: &Endpoint,
        is_verified: bool,
    ) -> Result<&'static str, ConnectError> {
        let Some(user) = &endpoint.user else {
            return Err(ConnectError::permanent(
                Kind::Auth,
                "no user name is known for this host",
            ));
        };
        let is_given = self.options.password.is_some();
        let settings = &endpoint.ssh;
        let agent = settings.agent.as_deref().and_then(|socket| {
            let keys = self.agents.get(socket)?;
            Some((socket, keys.as_slice()))
        });
        let credentials = Credentials {
            methods: &settings.methods,
            keys: self.keys_for(settings),
            certificates: self.certificates_for(settings),
            agent,
            is_identities_only: settings.is_identities_only,
            password: self.options.password.as_ref().filter(|_| is_verified),
            withheld: (is_given && !is_verified)
                .then_some("the password was not sent, because the host's key is not verified"),
        };
        auth::log_in(link, user, &credentials).await
    }

    /// Returns the certificates that a host names, then those beside the keys it names.
    fn certificates_for(&self, settings: &SshSettings) -> Vec<&Certificate> {
        let beside = settings
            .identities
            .iter()
            .map(|key| Certificate::beside(key));
        let named = settings.certificates.iter().cloned().chain(beside);
        named
            .filter_map(|path| {
                let mut certificates = self.options.certificates.iter();
                certificates.find(|certificate| certificate.path == path)
            })
            .collect()
    }

    /// Returns the keys that a host names, in its order.
    fn keys_for(&self, settings: &SshSettings) -> Vec<&NamedKey> {
        let named = settings.identities.iter();
        named
            .flat_map(|path| {
                let keys = self.options.identities.iter();
                keys.filter(move |key| key.path() == path)
            })
            .collect()
    }
}

/// A port that answered.
struct Dialled(Stream);

impl Session for Dialled {
    fn spawn<'a>(&'a mut self, _: &'a Exec) -> Work<'a, Result<Box<dyn Process>, SpawnError>> {
        Box::pin(async {
            let message = "nobody is logged in".to_owned();
            Err(SpawnError {
                kind: Kind::Internal,
                message,
            })
        })
    }

    fn peer(&self) -> Option<String> {
        self.0.peer().map(str::to_owned)
    }

    fn close(self: Box<Self>) -> Work<'static, ()> {
        Box::pin(async move { self.0.shut() })
    }
}

/// Returns the settings of all hosts and of what leads to them, each once.
fn settings_of(hosts: &[Endpoint]) -> Vec<&SshSettings> {
    let mut found: Vec<&SshSettings> = Vec::new();
    let mut seen = std::collections::HashSet::new();
    let over_ssh = hosts
        .iter()
        .filter(|host| host.transport == TransportName::Ssh);
    for host in over_ssh {
        let jumps = host.jumps().map(|jump| &*jump.ssh);
        let way = std::iter::once(&*host.ssh).chain(jumps);
        // What leads to one that was seen was seen with it.
        found.extend(way.take_while(|settings| seen.insert(std::ptr::from_ref(*settings))));
    }
    found
}

/// Returns how often a silent host is asked for a sign of life, if at all.
fn keepalive(settings: &SshSettings) -> Option<Duration> {
    let interval = settings.keepalive;
    (!interval.is_zero()).then(|| interval.max(MIN_KEEPALIVE))
}

fn prefer(link: &Link, method: MethodType, names: &str) -> Result<(), ConnectError> {
    link.session.method_pref(method, names).map_err(|error| {
        ConnectError::permanent(Kind::Internal, format!("cannot offer `{names}`: {error}"))
    })
}

/// Algorithms of a kind.
type Narrowed = (Discriminant<MethodType>, Vec<&'static str>);

/// Narrows what is offered to the algorithms that are asked for; returns what is left of those kinds.
fn choose_algorithms(link: &Link, settings: &SshSettings) -> Result<Vec<Narrowed>, ConnectError> {
    let wishes = &settings.algorithms;
    let kinds: [(&str, &Option<String>, &[MethodType]); 3] = [
        ("KexAlgorithms", &wishes.kex, &[MethodType::Kex]),
        (
            "Ciphers",
            &wishes.ciphers,
            &[MethodType::CryptCs, MethodType::CryptSc],
        ),
        (
            "MACs",
            &wishes.macs,
            &[MethodType::MacCs, MethodType::MacSc],
        ),
    ];
    let mut narrowed = Vec::new();
    for (keyword, wish, methods) in kinds {
        let Some(wish) = wish else {
            continue;
        };
        for method in methods {
            let supported = link.session.supported_algs(*method).unwrap_or_default();
            // Not algorithms, but said in the same list: what this side is able to do.
            let (signs, supported): (Vec<&str>, Vec<&str>) = supported
                .into_iter()
                .partition(|name| name.starts_with("ext-info-") || name.starts_with("kex-strict-"));
            let chosen = crate::ssh_config::chosen(wish, &supported, &supported);
            if chosen.is_empty() {
                return Err(none_usable(keyword, wish));
            }
            let names = [chosen.as_slice(), &signs].concat().join(",");
            prefer(link, *method, &names)?;
            narrowed.push((std::mem::discriminant(method), chosen));
        }
    }
    Ok(narrowed)
}

/// Says that an algorithm was asked for that libssh2 doesn't have.
fn none_usable(keyword: &str, wish: &str) -> ConnectError {
    let wish = crate::host::escaped(wish);
    ConnectError::permanent(
        Kind::Handshake,
        format!(
            "nothing that {keyword} `{wish}` allows is built in; --transport openssh has what the \
             system's ssh has"
        ),
    )
}

impl Transport for Ssh {
    fn connect<'a>(
        &'a self,
        endpoint: &'a Endpoint,
        phase: &'a Cell<Phase>,
    ) -> Work<'a, Result<Box<dyn Session>, ConnectError>> {
        Box::pin(async move {
            if matches!(endpoint.ssh.route, Route::Jump(_)) {
                self.jumps.start(&self.inner);
            }
            if self.inner.options.only_dials {
                let stream = dial::dial(endpoint, phase, &self.jumps).await?;
                return Ok(Box::new(Dialled(stream)) as Box<dyn Session>);
            }
            let session = self.open(endpoint, phase).await?;
            Ok(Box::new(session) as Box<dyn Session>)
        })
    }

    fn trust(&self, keys: &[UnknownKey]) -> io::Result<()> {
        let remembered = self.inner.host_keys.trust(keys);
        self.inner.trusted.fetch_add(1, Ordering::SeqCst);
        remembered
    }
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
