//! How SSH goes about a host: what `ssh_config` and the arguments came to.

use std::ffi::OsString;
use std::net::IpAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use super::{Address, Endpoint, Port};

/// What becomes of hosts whose keys nobody has vouched for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub enum HostKeyPolicy {
    /// A person is asked about them; where there is nobody, they are refused.
    #[default]
    Ask,
    /// They are refused.
    Strict,
    /// Their keys are accepted and remembered; changed keys are refused.
    AcceptNew,
    /// Any key is accepted, and no password is sent to a key that isn't known.
    Off,
}

impl HostKeyPolicy {
    /// Returns the word used in arguments.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Ask => "ask",
            Self::Strict => "strict",
            Self::AcceptNew => "accept-new",
            Self::Off => "off",
        }
    }
}

/// A way to prove who one is (RFC 4252).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum AuthMethod {
    /// With a key.
    PublicKey,
    /// By answering questions.
    KeyboardInteractive,
    /// With a password.
    Password,
}

impl AuthMethod {
    /// Returns the name that servers know.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::PublicKey => "publickey",
            Self::KeyboardInteractive => "keyboard-interactive",
            Self::Password => "password",
        }
    }
}

/// Which addresses of a name are dialled.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub enum AddressFamily {
    /// All.
    #[default]
    Any,
    /// IPv4 alone.
    Inet,
    /// IPv6 alone.
    Inet6,
}

/// Lists of algorithms as `ssh_config` writes them, with `+`, `-`, `^`; `None` for the built-in
/// choice.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Default)]
#[allow(missing_docs, reason = "each is the keyword of ssh_config(5)")]
pub struct Algorithms {
    pub host_key: Option<String>,
    pub kex: Option<String>,
    pub ciphers: Option<String>,
    pub macs: Option<String>,
}

/// What leads to a host.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Default)]
pub enum Route {
    /// It is dialled.
    #[default]
    Direct,
    /// Through another host, which is reached in its own way.
    Jump(Arc<Endpoint>),
    /// Through stdin and stdout of this command line of a shell.
    Command(String),
}

impl Route {
    fn jump(&self) -> Option<&Arc<Endpoint>> {
        match self {
            Self::Jump(jump) => Some(jump),
            Self::Direct | Self::Command(_) => None,
        }
    }
}

impl Endpoint {
    /// Returns the jump hosts on the way to the host, the nearest to it first.
    pub fn jumps(&self) -> impl Iterator<Item = &Arc<Self>> {
        std::iter::successors(self.ssh.route.jump(), |jump| jump.ssh.route.jump())
    }
}

/// How SSH goes about a host. Hosts with equal settings share one.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct SshSettings {
    /// What leads there.
    pub route: Route,
    /// Private key files, in the order tried.
    pub identities: Vec<PathBuf>,
    /// Certificates for them, besides those that lie beside them (`KEY-cert.pub`).
    pub certificates: Vec<PathBuf>,
    /// Keys of the agent that are not among these files are not tried.
    pub is_identities_only: bool,
    /// Socket of an SSH agent.
    pub agent: Option<PathBuf>,
    /// How to log in, in the order tried.
    pub methods: Vec<AuthMethod>,
    /// The user's `known_hosts` files; the first one is written to.
    pub known_hosts: Vec<PathBuf>,
    /// The system's `known_hosts` files.
    pub global_known_hosts: Vec<PathBuf>,
    /// Names are written hashed.
    pub hashes_known_hosts: bool,
    /// The name that host keys are looked up under, instead of the address.
    pub host_key_alias: Option<Box<str>>,
    /// A file of keys that no host may show; where it can't be read, no host is right.
    pub revoked_host_keys: Option<PathBuf>,
    /// The IP address must not be known by another key.
    pub checks_address: bool,
    /// What becomes of unknown keys.
    pub policy: HostKeyPolicy,
    /// Which algorithms may be used.
    pub algorithms: Algorithms,
    /// Which addresses are dialled.
    pub family: AddressFamily,
    /// Where connections come from.
    pub bind_address: Option<IpAddr>,
    /// Longest lookup, connection, handshake and authentication, where that is not the plan's.
    pub connect_timeout: Option<Duration>,
    /// Connections tried before the host counts as unreachable, at least 1.
    pub connection_attempts: u32,
    /// How often a silent host is asked for a sign of life while a command runs, or hosts are led
    /// through it; zero: never. Less than 2 s counts as 2 s.
    pub keepalive: Duration,
    /// So many of them without an answer, and the host is lost.
    pub keepalive_count: u32,
    /// Variables that commands see.
    pub environment: Vec<(String, String)>,
    /// Where the system's `ssh` may find a connection that somebody else holds (`ControlPath`).
    pub control_path: Option<PathBuf>,
    /// What the system's `ssh` is told besides, so that it finds the rest in its own configuration:
    /// `-F FILE`, `-o KEYWORD=VALUE`. Without it, it reads none and is told all that stands here.
    pub openssh: Option<Vec<OsString>>,
}

impl SshSettings {
    /// Returns the name and port that a host's key is known under.
    pub fn looked_up_as<'a>(&'a self, address: &'a Address, port: Port) -> (&'a str, Port) {
        match &self.host_key_alias {
            Some(alias) => (alias, Port::SSH),
            None => (address.as_str(), port),
        }
    }
}

impl Default for SshSettings {
    /// Nothing to log in with, nobody known, `strict`, a sign of life every 15 s.
    fn default() -> Self {
        Self {
            route: Route::Direct,
            identities: Vec::new(),
            certificates: Vec::new(),
            is_identities_only: false,
            agent: None,
            methods: vec![
                AuthMethod::PublicKey,
                AuthMethod::KeyboardInteractive,
                AuthMethod::Password,
            ],
            known_hosts: Vec::new(),
            global_known_hosts: Vec::new(),
            hashes_known_hosts: false,
            host_key_alias: None,
            revoked_host_keys: None,
            checks_address: false,
            policy: HostKeyPolicy::Strict,
            algorithms: Algorithms::default(),
            family: AddressFamily::Any,
            bind_address: None,
            connect_timeout: None,
            connection_attempts: 1,
            keepalive: Duration::from_secs(15),
            keepalive_count: 3,
            environment: Vec::new(),
            control_path: None,
            openssh: None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::{HostName, TransportName};
    use super::*;

    fn through(name: &str, route: Route) -> Endpoint {
        let name = HostName::parse(name).unwrap();
        Endpoint {
            transport: TransportName::Ssh,
            address: Address::from(&name),
            port: Port::SSH,
            user: None,
            ssh: Arc::new(SshSettings {
                route,
                ..SshSettings::default()
            }),
            host_key: None,
            name,
        }
    }

    #[test]
    fn jump_hosts_come_from_the_nearest_to_the_first_one_dialled() {
        let first = through("first", Route::Command("nc".to_owned()));
        let second = through("second", Route::Jump(Arc::new(first)));
        let host = through("host", Route::Jump(Arc::new(second)));
        let names: Vec<&str> = host.jumps().map(|jump| jump.name.as_str()).collect();
        assert_eq!(names, ["second", "first"]);
        assert_eq!(through("host", Route::Direct).jumps().count(), 0);
    }
}
