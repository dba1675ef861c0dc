//! What was found for one host, with tokens expanded on the way out.

use std::borrow::Cow;
use std::net::IpAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use super::expand;
use super::keyword::Keyword;
use super::pattern::Pattern;
use super::read::Dropped;
use super::setting::{JumpHop, Place, Setting, Value};
use super::{Facts, SshConfigError};
use crate::host::{AddressFamily, AuthMethod, HostKeyPolicy, HostName, Port};

/// Keys that are tried when none is named, in the order of `ssh`.
const IDENTITY_FILES: [&str; 5] = [
    "~/.ssh/id_rsa",
    "~/.ssh/id_ecdsa",
    "~/.ssh/id_ecdsa_sk",
    "~/.ssh/id_ed25519",
    "~/.ssh/id_ed25519_sk",
];
const KNOWN_HOSTS: [&str; 2] = ["~/.ssh/known_hosts", "~/.ssh/known_hosts2"];
const GLOBAL_KNOWN_HOSTS: [&str; 2] = ["/etc/ssh/ssh_known_hosts", "/etc/ssh/ssh_known_hosts2"];
/// The variable that names an agent's socket.
const AGENT_VARIABLE: &str = "SSH_AUTH_SOCK";

/// What holds for one host.
#[derive(Debug, Clone)]
pub struct Resolved {
    pub(super) name: HostName,
    pub(super) facts: Arc<Facts>,
    pub(super) values: Values,
    /// What is dialled, once the first pass is over.
    address: Option<String>,
    dropped: Vec<Arc<Dropped>>,
}

/// Values as they were written, the first of each keyword.
#[derive(Debug, Clone)]
pub(super) struct Values {
    single: [Option<Arc<Setting>>; Keyword::COUNT],
    pub(super) identity_files: Vec<Arc<Setting>>,
    pub(super) certificate_files: Vec<Arc<Setting>>,
    /// Patterns for names, and who set them.
    pub(super) sent_variables: Vec<(String, Arc<Setting>)>,
}

impl Values {
    pub(super) fn get(&self, keyword: Keyword) -> Option<&Arc<Setting>> {
        self.single[keyword as usize].as_ref()
    }

    pub(super) fn set(&mut self, setting: &Arc<Setting>) {
        self.single[setting.keyword as usize] = Some(Arc::clone(setting));
    }
}

/// How a host is reached.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Way {
    /// It is dialled.
    Direct,
    /// Through these hosts, the first one dialled first.
    Jumps(Vec<JumpHop>),
    /// Through the stdin and stdout of this command line of a shell.
    Command(String),
}

/// A file, and where it was named; `None` for one that `ssh` tries by itself.
pub type Named = (PathBuf, Option<Place>);

impl Resolved {
    pub(super) fn new(name: HostName, facts: Arc<Facts>) -> Self {
        Self {
            name,
            facts,
            values: Values {
                single: [const { None }; Keyword::COUNT],
                identity_files: Vec::new(),
                certificate_files: Vec::new(),
                sent_variables: Vec::new(),
            },
            address: None,
            dropped: Vec::new(),
        }
    }

    /// Returns the settings of a keyword that count, as they were written: at most one, except of
    /// those that add up (`IdentityFile`, `CertificateFile`, `SendEnv`).
    pub fn settings(&self, keyword: Keyword) -> Vec<&Setting> {
        match keyword {
            Keyword::IdentityFile => plain(&self.values.identity_files),
            Keyword::CertificateFile => plain(&self.values.certificate_files),
            Keyword::SendEnv => {
                let sent = self.values.sent_variables.iter();
                sent.map(|(_, setting)| &**setting).collect()
            }
            _ => self
                .values
                .get(keyword)
                .map(|setting| &**setting)
                .into_iter()
                .collect(),
        }
    }

    /// Returns where the value that counts was set; `None` where none was.
    pub fn place(&self, keyword: Keyword) -> Option<&Place> {
        self.values.get(keyword).map(|setting| &setting.place)
    }

    /// Returns the lines that would make a difference and that hoist can't honour.
    pub fn dropped(&self) -> impl Iterator<Item = &Arc<Dropped>> {
        self.dropped.iter().filter(|dropped| !dropped.asks_nothing)
    }

    pub(super) fn note_dropped(&mut self, dropped: &Arc<Dropped>) {
        let is_first = |other: &Arc<Dropped>| other.keyword.eq_ignore_ascii_case(&dropped.keyword);
        if !self.dropped.iter().any(is_first) {
            self.dropped.push(Arc::clone(dropped));
        }
    }

    /// Returns what is dialled: `HostName`, or the name itself.
    pub fn address(&self) -> &str {
        self.address.as_deref().unwrap_or(self.name.as_str())
    }

    pub(super) fn settle_address(&mut self) -> Result<(), SshConfigError> {
        let found = self.address_so_far()?.into_owned();
        // Addresses keep their form; `ssh` looks names up in lower case.
        let is_address = found
            .split('%')
            .next()
            .is_some_and(|ip| ip.parse::<IpAddr>().is_ok());
        self.address = Some(if is_address {
            found
        } else {
            found.to_ascii_lowercase()
        });
        Ok(())
    }

    /// Returns the same from what is known before the walk is over.
    pub(super) fn address_so_far(&self) -> Result<Cow<'_, str>, SshConfigError> {
        if let Some(address) = &self.address {
            return Ok(address.into());
        }
        let Some(setting) = self.values.get(Keyword::HostName) else {
            return Ok(self.name.as_str().into());
        };
        let token = |key| (key == 'h').then(|| self.name.as_str().into());
        let expanded = expand::tokens(setting.text(), None, token);
        expanded
            .map(Cow::Owned)
            .map_err(|reason| self.wrong(setting, reason))
    }

    pub(super) fn user_so_far(&self) -> &str {
        let set = self.values.get(Keyword::User);
        set.map_or(self.facts.user.as_str(), |setting| setting.text())
    }

    /// Returns the account on the host.
    ///
    /// # Errors
    /// When its tokens make no sense.
    pub fn user(&self) -> Result<String, SshConfigError> {
        let Some(setting) = self.values.get(Keyword::User) else {
            return Ok(self.facts.user.clone());
        };
        // An account of a Windows domain is no token.
        if setting.place.line == 0 {
            return Ok(setting.text().to_owned());
        }
        let token = |key| {
            // Not itself, nor the hash that it is part of.
            if matches!(key, 'r' | 'C') {
                return None;
            }
            self.token(key)
        };
        let expanded = expand::tokens(setting.text(), Some(&self.facts), token);
        expanded.map_err(|reason| self.wrong(setting, reason))
    }

    /// Returns the port.
    pub fn port(&self) -> Port {
        match self.value(Keyword::Port) {
            Some(Value::Port(port)) => *port,
            _ => Port::SSH,
        }
    }

    /// Returns how the host is reached.
    ///
    /// # Errors
    /// When a command's tokens make no sense, or would hand a name to a shell that means something
    /// to it.
    pub fn way(&self) -> Result<Way, SshConfigError> {
        if let Some(Value::Jumps(hops)) = self.value(Keyword::ProxyJump)
            && !hops.is_empty()
        {
            return Ok(Way::Jumps(hops.clone()));
        }
        match self.values.get(Keyword::ProxyCommand) {
            Some(setting) if !is_none(setting.text()) => {
                let line = self.shell_line(setting.text());
                let line = line.map_err(|reason| self.wrong(setting, reason))?;
                Ok(Way::Command(line))
            }
            _ => Ok(Way::Direct),
        }
    }

    /// Returns the private key files, in the order tried.
    ///
    /// # Errors
    /// When a name's tokens make no sense.
    pub fn identity_files(&self) -> Result<Vec<Named>, SshConfigError> {
        if self.values.identity_files.is_empty() {
            let usual = IDENTITY_FILES.map(|file| (self.below_home(file), None));
            return Ok(usual.into());
        }
        self.files(&self.values.identity_files)
    }

    /// Returns the certificate files.
    ///
    /// # Errors
    /// When a name's tokens make no sense.
    pub fn certificate_files(&self) -> Result<Vec<Named>, SshConfigError> {
        self.files(&self.values.certificate_files)
    }

    fn files(&self, settings: &[Arc<Setting>]) -> Result<Vec<Named>, SshConfigError> {
        let wanted = settings.iter().filter(|setting| !is_none(setting.text()));
        wanted
            .map(|setting| {
                let path = self.path(setting.text());
                let path = path.map_err(|reason| self.wrong(setting, reason))?;
                Ok((path, Some(setting.place.clone())))
            })
            .collect()
    }

    /// Returns the socket of the agent to ask, if any.
    ///
    /// # Errors
    /// When its tokens make no sense.
    pub fn agent(&self) -> Result<Option<PathBuf>, SshConfigError> {
        let variable = |name: &str| {
            let value = self
                .facts
                .variables
                .get(name)
                .filter(|value| !value.is_empty());
            value.map(PathBuf::from)
        };
        let Some(setting) = self.values.get(Keyword::IdentityAgent) else {
            return Ok(variable(AGENT_VARIABLE));
        };
        let text = setting.text();
        if is_none(text) {
            return Ok(None);
        }
        let named = text.strip_prefix('$').filter(|name| !name.starts_with('{'));
        if let Some(name) = named.or((text == AGENT_VARIABLE).then_some(text)) {
            return Ok(variable(name));
        }
        let path = self.path(text);
        path.map(Some).map_err(|reason| self.wrong(setting, reason))
    }

    /// Returns where a connection that others may use is found, if anywhere.
    ///
    /// # Errors
    /// When its tokens make no sense.
    pub fn control_path(&self) -> Result<Option<PathBuf>, SshConfigError> {
        let setting = self.values.get(Keyword::ControlPath);
        let Some(setting) = setting.filter(|setting| !is_none(setting.text())) else {
            return Ok(None);
        };
        let path = self.path(setting.text());
        path.map(Some).map_err(|reason| self.wrong(setting, reason))
    }

    /// Returns the user's files of known host keys; the first one is written to.
    ///
    /// # Errors
    /// When a name's tokens make no sense.
    pub fn known_hosts(&self) -> Result<Vec<PathBuf>, SshConfigError> {
        let Some(setting) = self.values.get(Keyword::UserKnownHostsFile) else {
            return Ok(KNOWN_HOSTS.map(|file| self.below_home(file)).into());
        };
        let files = words(setting).iter().filter(|file| !is_none(file));
        files
            .map(|file| {
                self.path(file)
                    .map_err(|reason| self.wrong(setting, reason))
            })
            .collect()
    }

    /// Returns the machine's files of known host keys.
    pub fn global_known_hosts(&self) -> Vec<PathBuf> {
        match self.values.get(Keyword::GlobalKnownHostsFile) {
            None => GLOBAL_KNOWN_HOSTS.map(PathBuf::from).into(),
            Some(setting) => {
                let files = words(setting).iter().filter(|file| !is_none(file));
                files.map(PathBuf::from).collect()
            }
        }
    }

    /// Returns the name that known host keys are looked up under instead of the address.
    pub fn host_key_alias(&self) -> Option<String> {
        self.text(Keyword::HostKeyAlias)
            .map(str::to_ascii_lowercase)
    }

    /// Returns the file of revoked host keys, if there is one.
    ///
    /// # Errors
    /// When its tokens make no sense.
    pub fn revoked_host_keys(&self) -> Result<Option<PathBuf>, SshConfigError> {
        let setting = self.values.get(Keyword::RevokedHostKeys);
        let Some(setting) = setting.filter(|setting| !is_none(setting.text())) else {
            return Ok(None);
        };
        let path = self.path(setting.text());
        path.map(Some).map_err(|reason| self.wrong(setting, reason))
    }

    /// Returns what becomes of unknown host keys, if that is set.
    pub fn policy(&self) -> Option<HostKeyPolicy> {
        Some(match self.text(Keyword::StrictHostKeyChecking)? {
            "yes" => HostKeyPolicy::Strict,
            "accept-new" => HostKeyPolicy::AcceptNew,
            "no" | "off" => HostKeyPolicy::Off,
            _ => HostKeyPolicy::Ask,
        })
    }

    /// Returns which addresses are dialled.
    pub fn family(&self) -> AddressFamily {
        match self.text(Keyword::AddressFamily) {
            Some("inet") => AddressFamily::Inet,
            Some("inet6") => AddressFamily::Inet6,
            _ => AddressFamily::Any,
        }
    }

    /// Returns the ways to log in that are allowed, in the order to try them.
    pub fn methods(&self) -> Vec<AuthMethod> {
        let all = [
            (AuthMethod::PublicKey, Keyword::PubkeyAuthentication),
            (
                AuthMethod::KeyboardInteractive,
                Keyword::KbdInteractiveAuthentication,
            ),
            (AuthMethod::Password, Keyword::PasswordAuthentication),
        ];
        let allowed = all
            .iter()
            .filter(|(_, keyword)| self.flag(*keyword) != Some(false));
        let allowed: Vec<AuthMethod> = allowed.map(|(method, _)| *method).collect();
        let Some(wish) = self.text(Keyword::PreferredAuthentications) else {
            return allowed;
        };
        let mut wished = Vec::new();
        for name in wish.split(',') {
            let named = allowed.iter().find(|method| method.as_str() == name);
            wished.extend(named.filter(|method| !wished.contains(*method)).copied());
        }
        wished
    }

    /// Returns the text of a setting that has one, as it was written; choices in lower case.
    pub fn text(&self, keyword: Keyword) -> Option<&str> {
        self.values.get(keyword).map(|setting| setting.text())
    }

    /// Returns a setting that is `yes` or `no`.
    pub fn flag(&self, keyword: Keyword) -> Option<bool> {
        match self.value(keyword) {
            Some(Value::Flag(flag)) => Some(*flag),
            // A choice with more words for yes.
            Some(Value::Text(text)) => Some(&**text != "no"),
            _ => None,
        }
    }

    /// Returns a setting that is a number.
    pub fn number(&self, keyword: Keyword) -> Option<u32> {
        match self.value(keyword) {
            Some(Value::Number(number)) => Some(*number),
            _ => None,
        }
    }

    /// Returns a setting that is a time; zero for `none`.
    pub fn time(&self, keyword: Keyword) -> Option<Duration> {
        match self.value(keyword) {
            Some(Value::Time(seconds)) => Some(Duration::from_secs(seconds.unwrap_or(0))),
            _ => None,
        }
    }

    /// Returns the patterns of `SendEnv` that count, in order.
    pub fn sent_variables(&self) -> impl Iterator<Item = &str> {
        self.values
            .sent_variables
            .iter()
            .map(|(name, _)| name.as_str())
    }

    /// Returns the variables of `SetEnv`.
    ///
    /// # Errors
    /// When a value's tokens make no sense.
    pub fn set_variables(&self) -> Result<Vec<(String, String)>, SshConfigError> {
        let Some(setting) = self.values.get(Keyword::SetEnv) else {
            return Ok(Vec::new());
        };
        let mut set: Vec<(String, String)> = Vec::new();
        for (name, value) in words(setting)
            .iter()
            .filter_map(|word| word.split_once('='))
        {
            // The first of one line counts.
            if set.iter().all(|(other, _)| other != name) {
                let value = expand::tokens(value, Some(&self.facts), |key| self.token(key));
                let value = value.map_err(|reason| self.wrong(setting, reason))?;
                set.push((name.to_owned(), value));
            }
        }
        Ok(set)
    }

    /// Returns the variables that a command on the host is to see: those of this environment that
    /// `SendEnv` names, then those of `SetEnv`, which count more.
    ///
    /// # Errors
    /// When a value's tokens make no sense.
    pub fn environment(&self) -> Result<Vec<(String, String)>, SshConfigError> {
        let patterns: Vec<Pattern> = self.sent_variables().map(Pattern::new).collect();
        let is_sent = |name: &str| patterns.iter().any(|pattern| pattern.matches(name));
        let mut environment = Vec::new();
        if !patterns.is_empty() {
            let sent = self
                .facts
                .variables
                .iter()
                .filter(|(name, _)| is_sent(name));
            environment.extend(sent.map(|(name, value)| (name.clone(), value.clone())));
        }
        environment.extend(self.set_variables()?);
        Ok(environment)
    }

    fn value(&self, keyword: Keyword) -> Option<&Value> {
        self.values.get(keyword).map(|setting| &setting.value)
    }

    fn below_home(&self, file: &str) -> PathBuf {
        expand::home(file, &self.facts)
            .unwrap_or_else(|_| file.to_owned())
            .into()
    }

    fn path(&self, text: &str) -> Result<PathBuf, String> {
        let text = expand::home(text, &self.facts)?;
        expand::tokens(&text, Some(&self.facts), |key| self.token(key)).map(PathBuf::from)
    }

    /// Expands a line for a shell. Names that could mean something to a shell are refused: those
    /// of hosts can't, but accounts may hold a `$` or a backslash.
    pub(super) fn shell_line(&self, text: &str) -> Result<String, String> {
        let user = self.user_so_far();
        let is_plain = |c: char| c.is_alphanumeric() || "._@%+=:,-".contains(c);
        if text.contains("%r") && !user.chars().all(is_plain) {
            let user = crate::host::escaped(user);
            return Err(format!(
                "`%r` would hand the account `{user}` to a shell, which it may mean something to"
            ));
        }
        expand::tokens(text, None, |key| self.token(key))
    }

    /// Returns what `%` and this character stand for ("TOKENS" in `ssh_config(5)`).
    fn token(&self, key: char) -> Option<Cow<'_, str>> {
        let facts = &*self.facts;
        let address = || {
            self.address_so_far()
                .unwrap_or_else(|_| self.name.as_str().into())
        };
        Some(match key {
            'C' => self.connection_hash(&address()).into(),
            'd' => facts.home.to_string_lossy(),
            'h' => address(),
            'i' => facts.uid.to_string().into(),
            'j' => self.last_jump().into(),
            'k' => match self.text(Keyword::HostKeyAlias) {
                Some(alias) => alias.to_ascii_lowercase().into(),
                None => self.name.as_str().into(),
            },
            'L' => facts.machine.split('.').next().unwrap_or_default().into(),
            'l' => facts.machine.as_str().into(),
            'n' => self.name.as_str().into(),
            'p' => self.port().to_string().into(),
            'r' => self.user_so_far().into(),
            'u' => facts.user.as_str().into(),
            _ => return None,
        })
    }

    fn last_jump(&self) -> &str {
        match self.value(Keyword::ProxyJump) {
            Some(Value::Jumps(hops)) => hops.last().map_or("", |hop| hop.name.as_str()),
            _ => "",
        }
    }

    /// Returns `%C`: a hash of `%l%h%p%r%j`.
    fn connection_hash(&self, address: &str) -> String {
        let parts = [
            self.facts.machine.as_str(),
            address,
            &self.port().to_string(),
            self.user_so_far(),
            self.last_jump(),
        ];
        let hash = openssl::sha::sha1(parts.concat().as_bytes());
        let digits = |byte: &u8| [byte >> 4, byte & 15];
        let digits = hash.iter().flat_map(digits);
        digits
            .filter_map(|digit| char::from_digit(u32::from(digit), 16))
            .collect()
    }

    fn wrong(&self, setting: &Setting, reason: String) -> SshConfigError {
        SshConfigError::Value {
            host: self.name.to_string(),
            place: setting.place.clone(),
            keyword: setting.keyword.name(),
            reason,
        }
    }
}

fn plain(settings: &[Arc<Setting>]) -> Vec<&Setting> {
    settings.iter().map(|setting| &**setting).collect()
}

fn is_none(text: &str) -> bool {
    text.eq_ignore_ascii_case("none")
}

fn words(setting: &Setting) -> &[String] {
    match &setting.value {
        Value::Words(words) => words,
        _ => &[],
    }
}
