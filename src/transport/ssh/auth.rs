//! Logging in: keys first, the likeliest first, then the password.
//!
//! Keys are offered by their public half and sign through libssh2's callback: a key file was parsed
//! and decrypted once for the whole run, and an agent is asked without blocking the worker. The
//! server's list of methods is only asked for where it is needed, because that costs a round trip.

use std::ffi::CString;
use std::path::Path;

use ssh2::{KeyboardInteractivePrompt, Prompt};

use super::agent::{self, Agent, AgentKey};
use super::ffi::{self, EAGAIN, Sign, SignPause};
use super::identity::{Certificate, Identity, NamedKey};
use super::inbox;
use super::link::{Link, LinkError, code_of};
use super::wire::Reader;
use crate::host::{AuthMethod, UserName};
use crate::outcome::Kind;
use crate::secret::Secret;
use crate::transport::ConnectError;

/// How a login goes that needs nothing (RFC 4252 §5.2).
const NO_METHOD: &str = "none";
/// Rounds of keyboard-interactive questions that are answered.
const MAX_ROUNDS: usize = 4;

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
        tried: Vec::new(),
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
    /// What was refused, for the message.
    tried: Vec<String>,
}

impl Login<'_> {
    /// Tries all ways; returns the one that was accepted.
    async fn run(
        &mut self,
        credentials: &Credentials<'_>,
    ) -> Result<Option<&'static str>, LinkError> {
        let mut is_asked = false;
        for method in credentials.methods {
            let is_in = match method {
                AuthMethod::PublicKey => self.keys(credentials).await?,
                _ => match credentials.password {
                    None => false,
                    Some(password) => {
                        is_asked = true;
                        let Some(offered) = self.methods().await? else {
                            return Ok(Some(NO_METHOD));
                        };
                        self.password(*method, &offered, password).await?
                    }
                },
            };
            if is_in {
                return Ok(Some(method.as_str()));
            }
        }
        // With nothing to offer, the server may still take the login as it is.
        let is_nothing_tried = self.tried.is_empty() && !is_asked;
        let is_in = is_nothing_tried && self.methods().await?.is_none();
        Ok(is_in.then_some(NO_METHOD))
    }

    async fn keys(&mut self, credentials: &Credentials<'_>) -> Result<bool, LinkError> {
        for (name, public, mut signer) in credentials.signers() {
            if self.offer(public, &mut signer).await? {
                return Ok(true);
            }
            self.tried.push(name);
        }
        Ok(false)
    }

    /// Tries the password in one way, if the host offers that.
    async fn password(
        &mut self,
        method: AuthMethod,
        offered: &str,
        password: &Secret,
    ) -> Result<bool, LinkError> {
        let name = method.as_str();
        if offered.split(',').all(|offered| offered != name) {
            return Ok(false);
        }
        let user = self.user.as_str();
        let is_in = if method == AuthMethod::Password {
            let send = |s: &ssh2::Session| s.userauth_password(user, password.expose());
            self.accepted(send).await?
        } else {
            let mut answers = Answers {
                password,
                rounds: 0,
            };
            let ask = |s: &ssh2::Session| s.userauth_keyboard_interactive(user, &mut answers);
            self.accepted(ask).await?
        };
        if !is_in {
            self.tried.push(name.to_owned());
        }
        Ok(is_in)
    }

    /// Offers one key and proves it. `Ok(false)` when the server doesn't want it.
    async fn offer(&self, public: &[u8], signer: &mut Signer<'_>) -> Result<bool, LinkError> {
        let user = CString::new(self.user.as_str()).expect("a user name holds no NUL");
        loop {
            inbox::begin_turn();
            match ffi::userauth_publickey(&self.link.session, &user, public, signer) {
                Ok(()) => return Ok(true),
                Err(EAGAIN) if signer.is_waiting() => signer.fetch().await,
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
        mut call: impl FnMut(&ssh2::Session) -> Result<(), ssh2::Error>,
    ) -> Result<bool, LinkError> {
        let call = |session: &ssh2::Session| call(session).map_err(|error| code_of(&error));
        match self.link.drive(call).await {
            Ok(()) => Ok(true),
            Err(error) if error.is_link_down() => Err(error),
            Err(_) => Ok(false),
        }
    }

    /// Asks which methods the server takes; `None` when it has let us in without any.
    async fn methods(&self) -> Result<Option<String>, LinkError> {
        let ask = |session: &ssh2::Session| match session.auth_methods(self.user.as_str()) {
            Ok(methods) => Ok(Some(methods.to_owned())),
            Err(_) if session.authenticated() => Ok(None),
            Err(error) => Err(code_of(&error)),
        };
        self.link.drive(ask).await
    }

    async fn refused(&self, credentials: &Credentials<'_>) -> ConnectError {
        let offered = match self.methods().await {
            Ok(Some(methods)) => crate::host::escaped(&methods),
            _ => String::new(),
        };
        let tried = if self.tried.is_empty() {
            "there was nothing to offer".to_owned()
        } else {
            format!("refused: {}", self.tried.join(", "))
        };
        let mut message = format!("cannot log in as {}: {tried}", self.user);
        if !offered.is_empty() {
            message.push_str("; the host takes ");
            message.push_str(&offered.replace(',', ", "));
        }
        if let Some(why) = credentials.withheld {
            message.push_str("; ");
            message.push_str(why);
        } else if credentials.password.is_none() && takes_password(&offered) {
            message.push_str("; --ask-pass asks for a password");
        }
        ConnectError::permanent(Kind::Auth, message)
    }

    fn broken(&self, error: &LinkError) -> ConnectError {
        let mut message = format!(
            "the host ended the login as {}: {}",
            self.user,
            error.plain()
        );
        if !self.tried.is_empty() {
            message.push_str("; refused: ");
            message.push_str(&self.tried.join(", "));
        }
        if self.tried.len() > 2 || message.contains("Too many authentication failures") {
            message.push_str(
                "; too many keys may have been offered: name the right one with --identity",
            );
        }
        ConnectError::permanent(Kind::Auth, message)
    }
}

/// Whether a password may help: one of its own, or one that answers questions.
fn takes_password(methods: &str) -> bool {
    methods
        .split(',')
        .any(|method| matches!(method, "password" | "keyboard-interactive"))
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

impl Sign for Signer<'_> {
    fn sign(&mut self, data: &[u8]) -> Result<Vec<u8>, SignPause> {
        match self {
            Self::Key(identity) => {
                let algorithm = algorithm_of(data).ok_or(SignPause::Failed)?;
                identity
                    .sign(&algorithm, data)
                    .map_err(|_| SignPause::Failed)
            }
            Self::Agent(signer) => signer.sign(data),
        }
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

/// Answers the first hidden question of each round with the password.
struct Answers<'a> {
    password: &'a Secret,
    rounds: usize,
}

impl KeyboardInteractivePrompt for Answers<'_> {
    fn prompt(&mut self, _user: &str, _instructions: &str, prompts: &[Prompt<'_>]) -> Vec<String> {
        self.rounds += 1;
        let mut is_answered = self.rounds > MAX_ROUNDS;
        let mut answer = |prompt: &Prompt<'_>| {
            if prompt.echo || std::mem::replace(&mut is_answered, true) {
                String::new()
            } else {
                self.password.expose().to_owned()
            }
        };
        prompts.iter().map(&mut answer).collect()
    }
}
