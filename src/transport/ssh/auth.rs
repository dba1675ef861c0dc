//! Logging in: keys first, the likeliest first, then the password.
//!
//! Keys are offered by their public half and sign through libssh2's callback: a key file was parsed
//! and decrypted once for the whole run, and an agent is asked without blocking the worker. The
//! server's list of methods is only asked for where it is needed, because that costs a round trip.

use std::ffi::CString;
use std::path::Path;

use super::agent::{self, Agent, AgentKey};
use super::ffi::{self, EAGAIN, Sign, SignPause};
use super::identity::{Certificate, Identity, NamedKey};
use super::inbox;
use super::link::{Link, LinkError, code_of};
use super::questions::Answers;
use super::wire::Reader;
use crate::host::{AuthMethod, UserName};
use crate::outcome::Kind;
use crate::secret::Secret;
use crate::transport::ConnectError;

/// How a login goes that needs nothing (RFC 4252 §5.2).
const NO_METHOD: &str = "none";

/// What may be tried.
pub(super) struct Credentials<'a> {
    /// Ways to log in, in order.
    pub(super) methods: &'a [AuthMethod],
    /// Keys that the host's settings name, in order.
    pub(super) keys: Vec<&'a NamedKey>,
    /// Certificates, each for one of the keys.
    pub(super) certificates: Vec<&'a Certificate>,
    /// Keys an agent holds.
    pub(super) agent: Option<(&'a Path, &'a [AgentKey])>,
    /// Keys of the agent that the settings don't name are left alone.
    pub(super) is_identities_only: bool,
    /// The password, if the host's key was verified.
    pub(super) password: Option<&'a Secret>,
    /// Why a password that was given may not be sent.
    pub(super) withheld: Option<&'static str>,
}

impl<'a> Credentials<'a> {
    /// Returns the agent's key with this public half.
    fn held(&self, public: &[u8]) -> Option<(&'a Path, &'a AgentKey)> {
        let (socket, keys) = self.agent?;
        let key = keys.iter().find(|key| key.blob == public)?;
        Some((socket, key))
    }

    /// Returns who signs with a key that is named.
    fn signer(&self, key: &'a NamedKey) -> Option<Signer<'a>> {
        Some(match key {
            NamedKey::Own(identity) => Signer::Key(identity),
            NamedKey::Agent { public, .. } => {
                let (socket, key) = self.held(public)?;
                Signer::Agent(AgentSigner::new(socket, key))
            }
        })
    }

    /// Returns the keys in the order they are offered: certificates and the keys that are named,
    /// the likeliest, then what else the agent holds.
    fn signers(&self) -> Vec<(String, &'a [u8], Signer<'a>)> {
        let mut signers = Vec::new();
        for certificate in &self.certificates {
            let mut keys = self.keys.iter();
            let key = keys.find(|key| key.public() == certificate.public);
            if let Some(signer) = key.and_then(|key| self.signer(key)) {
                let name = format!("certificate {}", certificate.path.display());
                signers.push((name, certificate.blob.as_slice(), signer));
            }
        }
        for key in &self.keys {
            if let Some(signer) = self.signer(key) {
                let name = format!("key {}", key.path().display());
                signers.push((name, key.public(), signer));
            }
        }
        if let (Some((socket, keys)), false) = (self.agent, self.is_identities_only) {
            for key in keys {
                if signers.iter().all(|(_, public, _)| *public != key.blob) {
                    let signer = Signer::Agent(AgentSigner::new(socket, key));
                    signers.push((format!("agent key {}", key.comment), &key.blob, signer));
                }
            }
        }
        signers
    }
}

/// Logs in and returns how, or says what was tried and what the server would take.
pub(super) async fn log_in(
    link: &Link,
    user: &UserName,
    credentials: &Credentials<'_>,
) -> Result<&'static str, ConnectError> {
    let mut login = Login {
        link,
        user,
        name: CString::new(user.as_str()).expect("a user name holds no NUL"),
        passed: Vec::new(),
        tried: Vec::new(),
        offered: None,
        asked_in_vain: None,
        is_password_sent: false,
    };
    match login.run(credentials).await {
        Ok(Some(method)) => Ok(method),
        Ok(None) => Err(login.refused(credentials).await),
        Err(error) => Err(login.broken(&error)),
    }
}

struct Login<'a> {
    link: &'a Link,
    user: &'a UserName,
    name: CString,
    /// What was accepted, and was not enough (RFC 4252 §5.1, "partial success").
    passed: Vec<String>,
    /// What was refused.
    tried: Vec<String>,
    /// The methods that the server takes, as it said after the last try.
    offered: Option<String>,
    /// What the server asked for and nobody could answer.
    asked_in_vain: Option<String>,
    /// Once is enough: a wrong one counts each time.
    is_password_sent: bool,
}

impl Login<'_> {
    /// Tries all ways; returns the one that was accepted.
    async fn run(
        &mut self,
        credentials: &Credentials<'_>,
    ) -> Result<Option<&'static str>, LinkError> {
        // After a step that was taken, others may be next (RFC 4252 §5.1).
        loop {
            let steps = self.passed.len();
            for method in credentials.methods {
                let is_in = match (method, credentials.password) {
                    (AuthMethod::PublicKey, _) => self.keys(credentials).await?,
                    (_, Some(password)) if !self.is_password_sent => match self.methods().await? {
                        None => return Ok(Some(NO_METHOD)),
                        Some(offered) if lists(offered, *method) => {
                            self.password(*method, password).await?
                        }
                        Some(_) => false,
                    },
                    _ => false,
                };
                if is_in {
                    return Ok(Some(method.as_str()));
                }
                if self.passed.len() > steps {
                    break;
                }
            }
            if self.passed.len() == steps {
                break;
            }
        }
        // With nothing to offer, the server may still take the login as it is.
        let is_nothing_tried = self.tried.is_empty() && self.passed.is_empty();
        let is_in = is_nothing_tried && self.methods().await?.is_none();
        Ok(is_in.then_some(NO_METHOD))
    }

    async fn keys(&mut self, credentials: &Credentials<'_>) -> Result<bool, LinkError> {
        for (name, public, signer) in credentials.signers() {
            if self.passed.contains(&name) {
                continue;
            }
            let mut proof = Proof {
                signer,
                is_given: false,
            };
            self.offered = None;
            if self.offer(public, &mut proof).await? {
                return Ok(true);
            }
            let steps = self.passed.len();
            // Who has a key proven takes it, unless it is not enough.
            if !proof.is_given {
                self.refuse(name);
            } else if self.settle(name, AuthMethod::PublicKey).await? {
                return Ok(true);
            } else if self.passed.len() > steps {
                break;
            }
        }
        Ok(false)
    }

    /// Finds out whether what did not let us in was refused, or was one step of several; `Ok(true)`
    /// for a server that lets us in after all.
    async fn settle(&mut self, name: String, method: AuthMethod) -> Result<bool, LinkError> {
        match self.methods().await {
            Ok(None) => return Ok(true),
            // What it lists no more it has taken.
            Ok(Some(offered)) if !offered.is_empty() && !lists(offered, method) => {
                self.tried.retain(|other| *other != name);
                self.passed.push(name);
            }
            Ok(Some(_)) => self.refuse(name),
            Err(error) => {
                self.refuse(name);
                if error.is_link_down() {
                    return Err(error);
                }
            }
        }
        Ok(false)
    }

    fn refuse(&mut self, name: String) {
        if !self.tried.contains(&name) {
            self.tried.push(name);
        }
    }

    /// Tries the password in one way.
    async fn password(&mut self, method: AuthMethod, password: &Secret) -> Result<bool, LinkError> {
        self.offered = None;
        let mut name = method.as_str().to_owned();
        if method == AuthMethod::Password {
            self.is_password_sent = true;
            let user = self.user.as_str();
            let send = |s: &ssh2::Session| {
                let sent = s.userauth_password(user, password.expose());
                sent.map_err(|error| code_of(&error))
            };
            if self.accepted(send).await? {
                return Ok(true);
            }
        } else {
            let mut answers = Answers::new(self.link, password);
            let ask =
                |s: &ssh2::Session| ffi::userauth_keyboard_interactive(s, &self.name, &mut answers);
            let result = self.accepted(ask).await;
            if let Some(question) = answers.answered() {
                self.is_password_sent = true;
                name = format!("{name} ({question})");
            }
            self.asked_in_vain = answers.into_complaint();
            if self.asked_in_vain.is_some() {
                let hung_up = libssh2_sys::LIBSSH2_ERROR_SOCKET_DISCONNECT;
                return Err(self.link.error(hung_up));
            }
            if result? {
                return Ok(true);
            }
        }
        self.settle(name, method).await
    }

    /// Offers one key and proves it. `Ok(false)` when the server doesn't want it.
    async fn offer(&self, public: &[u8], proof: &mut Proof<'_>) -> Result<bool, LinkError> {
        loop {
            inbox::begin_turn();
            match ffi::userauth_publickey(&self.link.session, &self.name, public, proof) {
                Ok(()) => return Ok(true),
                Err(EAGAIN) if proof.signer.is_waiting() => proof.signer.fetch().await,
                Err(EAGAIN) => self.link.ready().await?,
                Err(code) => {
                    let error = self.link.error(code);
                    return if error.is_link_down() {
                        Err(error)
                    } else {
                        Ok(false)
                    };
                }
            }
        }
    }

    /// Makes an authentication call; `Ok(false)` when the server says no.
    async fn accepted(
        &self,
        call: impl FnMut(&ssh2::Session) -> Result<(), i32>,
    ) -> Result<bool, LinkError> {
        match self.link.drive(call).await {
            Ok(()) => Ok(true),
            Err(error) if error.is_link_down() => Err(error),
            Err(_) => Ok(false),
        }
    }

    /// Asks which methods the server takes now; `None` when it has let us in without any.
    async fn methods(&mut self) -> Result<Option<&str>, LinkError> {
        if self.offered.is_none() {
            let ask = |session: &ssh2::Session| match ffi::userauth_list(session, &self.name) {
                Err(_) if session.authenticated() => Ok(None),
                methods => methods.map(Some),
            };
            self.offered = self.link.drive(ask).await?;
        }
        Ok(self.offered.as_deref())
    }

    async fn refused(&mut self, credentials: &Credentials<'_>) -> ConnectError {
        let offered = match self.methods().await {
            Ok(Some(methods)) => crate::host::escaped(methods),
            _ => String::new(),
        };
        let mut parts = self.attempts();
        if parts.is_empty() {
            parts.push("there was nothing to offer".to_owned());
        }
        if !offered.is_empty() {
            let takes = if self.passed.is_empty() {
                "takes"
            } else {
                "asks besides for"
            };
            parts.push(format!("the host {takes} {}", offered.replace(',', ", ")));
        }
        if let Some(why) = credentials.withheld {
            parts.push(why.to_owned());
        } else if credentials.password.is_none() && takes_password(&offered) {
            parts.push("--ask-pass asks for a password".to_owned());
        }
        if is_beyond(&offered) {
            parts.push("hoist can't do that, --transport openssh may".to_owned());
        }
        let message = format!("cannot log in as {}: {}", self.user, parts.join("; "));
        ConnectError::permanent(Kind::Auth, message)
    }

    fn broken(&self, error: &LinkError) -> ConnectError {
        let (user, attempts) = (self.user, self.attempts());
        let mut message = match &self.asked_in_vain {
            Some(asked) => format!("cannot log in as {user}: {asked}"),
            None => format!("the host ended the login as {user}: {}", error.plain()),
        };
        for attempt in attempts {
            message.push_str("; ");
            message.push_str(&attempt);
        }
        if self.tried.len() > 2 || message.contains("Too many authentication failures") {
            message.push_str(
                "; too many keys may have been offered: name the right one with --identity",
            );
        }
        ConnectError::permanent(Kind::Auth, message)
    }

    /// Says what became of what was tried.
    fn attempts(&self) -> Vec<String> {
        let lists = [("accepted", &self.passed), ("refused", &self.tried)];
        let some = lists.iter().filter(|(_, names)| !names.is_empty());
        some.map(|(what, names)| format!("{what}: {}", names.join(", ")))
            .collect()
    }
}

fn lists(methods: &str, method: AuthMethod) -> bool {
    methods.split(',').any(|name| name == method.as_str())
}

/// Whether a host takes something, and only what is not built in: `gssapi-with-mic`, `hostbased`.
fn is_beyond(methods: &str) -> bool {
    let ways = [
        AuthMethod::PublicKey,
        AuthMethod::KeyboardInteractive,
        AuthMethod::Password,
    ];
    !methods.is_empty() && !ways.iter().any(|way| lists(methods, *way))
}

/// Whether a password may help: one of its own, or one that answers questions.
fn takes_password(methods: &str) -> bool {
    let ways = [AuthMethod::Password, AuthMethod::KeyboardInteractive];
    ways.iter().any(|way| lists(methods, *way))
}

/// Who signs.
enum Signer<'a> {
    /// A key in memory, at once.
    Key(&'a Identity),
    /// An agent, when it has answered.
    Agent(AgentSigner<'a>),
}

impl Signer<'_> {
    fn is_waiting(&self) -> bool {
        matches!(self, Self::Agent(signer) if signer.is_waiting())
    }

    async fn fetch(&mut self) {
        if let Self::Agent(signer) = self {
            signer.fetch().await;
        }
    }
}

/// One key's proof, which a server asks for only when it would take the key.
struct Proof<'a> {
    signer: Signer<'a>,
    is_given: bool,
}

impl Sign for Proof<'_> {
    fn sign(&mut self, data: &[u8]) -> Result<Vec<u8>, SignPause> {
        let signature = match &mut self.signer {
            Signer::Key(identity) => {
                let algorithm = algorithm_of(data).ok_or(SignPause::Failed)?;
                let signature = identity.sign(&algorithm, data);
                signature.map_err(|_| SignPause::Failed)
            }
            Signer::Agent(signer) => signer.sign(data),
        };
        self.is_given |= signature.is_ok();
        signature
    }
}

/// A key that an agent holds, and how far its signature is.
struct AgentSigner<'a> {
    socket: &'a Path,
    key: &'a AgentKey,
    state: AgentState,
}

enum AgentState {
    Idle,
    Asked(Vec<u8>),
    Answered(Option<Vec<u8>>),
}

impl<'a> AgentSigner<'a> {
    fn new(socket: &'a Path, key: &'a AgentKey) -> Self {
        Self {
            socket,
            key,
            state: AgentState::Idle,
        }
    }

    fn is_waiting(&self) -> bool {
        matches!(self.state, AgentState::Asked(_))
    }

    fn sign(&mut self, data: &[u8]) -> Result<Vec<u8>, SignPause> {
        match std::mem::replace(&mut self.state, AgentState::Idle) {
            AgentState::Answered(signature) => signature.ok_or(SignPause::Failed),
            AgentState::Idle | AgentState::Asked(_) => {
                self.state = AgentState::Asked(data.to_vec());
                Err(SignPause::Later)
            }
        }
    }

    async fn fetch(&mut self) {
        if let AgentState::Asked(data) = &self.state {
            self.state = AgentState::Answered(self.ask(data).await);
        }
    }

    async fn ask(&self, data: &[u8]) -> Option<Vec<u8>> {
        let flags = match algorithm_of(data)?.as_str() {
            "rsa-sha2-256" => agent::RSA_SHA2_256,
            "rsa-sha2-512" => agent::RSA_SHA2_512,
            _ => 0,
        };
        let mut agent = Agent::connect(self.socket).await.ok()?;
        agent.sign(&self.key.blob, data, flags).await.ok()
    }
}

/// Returns the signature algorithm named in what the server wants signed (RFC 4252 §7). With a
/// certificate it is that of the key.
fn algorithm_of(data: &[u8]) -> Option<String> {
    let mut reader = Reader::new(data);
    reader.string()?; // session identifier
    reader.take(1)?; // SSH_MSG_USERAUTH_REQUEST
    reader.string()?; // user
    reader.string()?; // service
    reader.string()?; // "publickey"
    reader.take(1)?; // TRUE
    let name = std::str::from_utf8(reader.string()?).ok()?;
    Some(
        name.strip_suffix("-cert-v01@openssh.com")
            .unwrap_or(name)
            .to_owned(),
    )
}
