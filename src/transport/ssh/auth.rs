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
use super::identity::Identity;
use super::inbox;
use super::link::{Link, LinkError, code_of};
use super::secret::Secret;
use super::wire::Reader;
use crate::host::UserName;
use crate::outcome::Kind;
use crate::transport::ConnectError;

/// Rounds of keyboard-interactive questions that are answered.
const MAX_ROUNDS: usize = 4;

/// What may be tried, in order.
pub(super) struct Credentials<'a> {
    /// Keys read from files.
    pub(super) identities: Vec<&'a Identity>,
    /// Keys an agent holds.
    pub(super) agent: Option<(&'a Path, &'a [AgentKey])>,
    /// The password, if the host's key was verified.
    pub(super) password: Option<&'a Secret>,
    /// Why a password that was given may not be sent.
    pub(super) withheld: Option<&'static str>,
}

/// Logs in, or says what was tried and what the server would take.
pub(super) async fn log_in(
    link: &Link,
    user: &UserName,
    credentials: &Credentials<'_>,
) -> Result<(), ConnectError> {
    let mut login = Login {
        link,
        user,
        tried: Vec::new(),
    };
    match login.run(credentials).await {
        Ok(true) => Ok(()),
        Ok(false) => Err(login.refused(credentials).await),
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
    async fn run(&mut self, credentials: &Credentials<'_>) -> Result<bool, LinkError> {
        for identity in &credentials.identities {
            let mut signer = Signer::Key(identity);
            if self.offer(&identity.public, &mut signer).await? {
                return Ok(true);
            }
            self.tried.push(format!("key {}", identity.path.display()));
        }
        if let Some((socket, keys)) = credentials.agent {
            for key in keys
                .iter()
                .filter(|key| !is_among(key, &credentials.identities))
            {
                let mut signer = Signer::Agent(AgentSigner::new(socket, key));
                if self.offer(&key.blob, &mut signer).await? {
                    return Ok(true);
                }
                self.tried.push(format!("agent key {}", key.comment));
            }
        }
        self.password(credentials).await
    }

    async fn password(&mut self, credentials: &Credentials<'_>) -> Result<bool, LinkError> {
        let Some(password) = credentials.password else {
            return self.nothing(credentials).await;
        };
        let Some(methods) = self.methods().await? else {
            return Ok(true);
        };
        if methods.split(',').any(|method| method == "password") {
            if self
                .accepted(|s| s.userauth_password(self.user.as_str(), password.expose()))
                .await?
            {
                return Ok(true);
            }
            self.tried.push("password".to_owned());
        }
        if methods
            .split(',')
            .any(|method| method == "keyboard-interactive")
        {
            let mut answers = Answers {
                password,
                rounds: 0,
            };
            let ask = |s: &ssh2::Session| {
                s.userauth_keyboard_interactive(self.user.as_str(), &mut answers)
            };
            if self.accepted(ask).await? {
                return Ok(true);
            }
            self.tried.push("keyboard-interactive".to_owned());
        }
        Ok(false)
    }

    /// With nothing to offer, the server may still take the login as it is.
    async fn nothing(&mut self, credentials: &Credentials<'_>) -> Result<bool, LinkError> {
        let has_keys = !credentials.identities.is_empty()
            || credentials.agent.is_some_and(|(_, keys)| !keys.is_empty());
        Ok(!has_keys && self.methods().await?.is_none())
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

fn is_among(key: &AgentKey, identities: &[&Identity]) -> bool {
    identities
        .iter()
        .any(|identity| identity.public == key.blob)
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

/// Returns the signature algorithm named in what the server wants signed (RFC 4252 §7).
fn algorithm_of(data: &[u8]) -> Option<String> {
    let mut reader = Reader::new(data);
    reader.string()?; // session identifier
    reader.take(1)?; // SSH_MSG_USERAUTH_REQUEST
    reader.string()?; // user
    reader.string()?; // service
    reader.string()?; // "publickey"
    reader.take(1)?; // TRUE
    String::from_utf8(reader.string()?.to_vec()).ok()
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
