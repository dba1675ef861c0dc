//! Keys and passwords: read, asked for and decrypted once, before the first connection.

use std::collections::{HashMap, HashSet};
use std::fs::File;
use std::io::{self, Read};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use hoist::host::{Endpoint, TransportName};
use hoist::secret::Secret;
use hoist::transport::ssh::agent::{Agent, AgentKey};
use hoist::transport::ssh::identity::{
    Certificate, EncryptedIdentity, Identity, IdentityError, Loaded, NamedKey,
};
use hoist::transport::ssh::known_hosts;
use zeroize::Zeroizing;

use super::endpoints::Required;
use crate::exit_code;
use crate::report::{Failure, note};
use crate::ui::prompt;

/// More than any public key has.
const MAX_PUBLIC_BYTES: u64 = 64 * 1024;

/// Longest password, in bytes.
const MAX_PASSWORD_BYTES: usize = 4096;

/// How often a passphrase may be typed.
const TRIES: usize = 3;

/// Where the password comes from.
#[derive(Debug, Clone, Copy)]
pub(in crate::command) enum PasswordSource<'a> {
    /// There is none.
    None,
    /// Somebody is asked for it.
    Person,
    /// The first line of this file.
    File(&'a Path),
}

impl<'a> PasswordSource<'a> {
    /// Returns where a password comes from; of two sources the one set nearer to the person.
    pub(in crate::command) fn nearest(
        file: Option<&'a Path>,
        is_asked: bool,
        is_asked_nearer: bool,
    ) -> Self {
        match file {
            Some(file) if !is_asked || !is_asked_nearer => Self::File(file),
            _ if is_asked => Self::Person,
            _ => Self::None,
        }
    }
}

/// What hosts may be shown to log in.
#[derive(Debug, Default)]
pub(super) struct Credentials {
    pub identities: Vec<NamedKey>,
    pub certificates: Vec<Certificate>,
    pub password: Option<Secret>,
    /// Of the encrypted keys that the system's `ssh` reads itself.
    pub passphrases: Vec<(PathBuf, Secret)>,
}

/// Reads the keys of all hosts and of what leads to them, and asks for what is needed. Trouble with
/// keys that are not `required` is no reason to end.
///
/// # Errors
/// When a key that was named can't be used, or something must be asked and there is nobody.
pub(super) fn gather(
    hosts: &[Endpoint],
    required: &Required,
    source: PasswordSource<'_>,
) -> Result<Credentials, Failure> {
    let all = with_jumps(hosts);
    if all.is_empty() {
        return Ok(Credentials::default());
    }
    let mut reading = Reading {
        required,
        agents: HashMap::new(),
        built_in: named_by(&all, TransportName::Ssh),
        openssh: named_by(&all, TransportName::OpenSsh),
        passphrases: Vec::new(),
    };
    let mut seen = HashSet::new();
    let mut identities = Vec::new();
    for host in &all {
        for file in &host.ssh.identities {
            if seen.insert(file) {
                identities.extend(reading.read(file, host.ssh.agent.as_deref())?);
            }
        }
    }
    let mut certificates = Vec::new();
    let mut looked_at = HashSet::new();
    for host in &all {
        let beside = host
            .ssh
            .identities
            .iter()
            .map(|key| Certificate::beside(key));
        for file in host.ssh.certificates.iter().cloned().chain(beside) {
            if looked_at.insert(file.clone()) {
                certificates.extend(Certificate::load(&file));
            }
        }
    }
    let question = || format!("Password for {}: ", login_name(all.iter().copied()));
    let password = read_password(source, ["--ask-pass", "--password-file"], question)?;
    Ok(Credentials {
        identities,
        certificates,
        password,
        passphrases: reading.passphrases,
    })
}

/// Returns the key files that the hosts of a transport name.
fn named_by<'a>(hosts: &[&'a Endpoint], transport: TransportName) -> HashSet<&'a Path> {
    let own = hosts.iter().filter(|host| host.transport == transport);
    own.flat_map(|host| host.ssh.identities.iter().map(PathBuf::as_path))
        .collect()
}

/// Returns the hosts that are reached over SSH, and the jump hosts before them, each once.
fn with_jumps(hosts: &[Endpoint]) -> Vec<&Endpoint> {
    let over_ssh = |host: &&Endpoint| host.transport.is_remote();
    let mut all: Vec<&Endpoint> = hosts.iter().filter(over_ssh).collect();
    let mut seen = HashSet::new();
    for host in hosts.iter().filter(over_ssh) {
        // What leads to one that was seen was seen with it.
        let new = host
            .jumps()
            .take_while(|jump| seen.insert(Arc::as_ptr(jump)));
        all.extend(new.map(|jump| &**jump));
    }
    all
}

/// Reads keys, and asks each agent once what it holds.
struct Reading<'a> {
    required: &'a Required,
    agents: HashMap<PathBuf, Vec<AgentKey>>,
    /// Keys for the built-in client.
    built_in: HashSet<&'a Path>,
    /// Keys for the system's `ssh`, which knows more kinds of them.
    openssh: HashSet<&'a Path>,
    passphrases: Vec<(PathBuf, Secret)>,
}

impl Reading<'_> {
    /// Reads one key; `None` when it isn't needed or can be done without.
    fn read(&mut self, file: &Path, agent: Option<&Path>) -> Result<Option<NamedKey>, Failure> {
        let is_required = self.required.contains(file);
        let is_optional = !is_required || (file.exists() && !self.built_in.contains(file));
        if is_optional && !file.exists() {
            // `ssh` then looks for the public half, which tells which of the agent's keys is meant.
            let mut public = file.as_os_str().to_owned();
            public.push(".pub");
            return Ok(self.held(file, public_half(Path::new(&public)), agent));
        }
        if let Some(public) = public_half(file) {
            return match self.held(file, Some(public), agent) {
                None if !is_optional => {
                    let name = file.display();
                    let text =
                        format!("{name} is a public key, and no agent holds the private one");
                    Err(Failure::usage(text).hint("name the private key, or `ssh-add` it"))
                }
                held => Ok(held),
            };
        }
        match Identity::load(file) {
            Ok(Loaded::Ready(identity)) => Ok(Some(NamedKey::Own(identity))),
            Ok(Loaded::Encrypted(sealed)) => {
                if let Some(held) = self.held(file, sealed.public.clone(), agent) {
                    return Ok(Some(held));
                }
                let Some((identity, passphrase)) = decrypt(&sealed, !is_required)? else {
                    return Ok(None);
                };
                if self.openssh.contains(file) {
                    self.passphrases.push((file.to_owned(), passphrase));
                }
                Ok(Some(NamedKey::Own(identity)))
            }
            // Perhaps of a kind that only `ssh` knows.
            Err(_) if file.exists() && !self.built_in.contains(file) => Ok(None),
            Err(error) => self.without(file, error, agent, is_optional),
        }
    }

    /// Goes on without a file's key: an agent may have it, or it can be done without.
    fn without(
        &mut self,
        file: &Path,
        error: IdentityError,
        agent: Option<&Path>,
        is_optional: bool,
    ) -> Result<Option<NamedKey>, Failure> {
        if let IdentityError::Hardware { public, .. } = &error
            && let Some(held) = self.held(file, Some(public.clone()), agent)
        {
            return Ok(Some(held));
        }
        if !is_optional {
            return Err(Failure::usage(error));
        }
        note(&format!("hoist: {error}; it is left out"));
        Ok(None)
    }

    /// Returns the key if the agent holds it.
    fn held(
        &mut self,
        file: &Path,
        public: Option<Vec<u8>>,
        agent: Option<&Path>,
    ) -> Option<NamedKey> {
        let (public, socket) = (public?, agent?);
        let keys = self.agents.entry(socket.to_owned());
        let keys = keys.or_insert_with(|| agent_keys(socket));
        let path = file.to_owned();
        let is_held = keys.iter().any(|key| key.blob == public);
        is_held.then_some(NamedKey::Agent { path, public })
    }
}

/// Reads a file that holds a public key.
fn public_half(file: &Path) -> Option<Vec<u8>> {
    // A key is short; whatever else is there needs no reading.
    let mut start = Vec::new();
    File::open(file)
        .ok()?
        .take(MAX_PUBLIC_BYTES)
        .read_to_end(&mut start)
        .ok()?;
    known_hosts::public_key(&start)
}

/// Returns what the agent holds; nothing when there is none that answers.
fn agent_keys(socket: &Path) -> Vec<AgentKey> {
    futures_lite::future::block_on(async { Agent::connect(socket).await?.identities().await })
        .unwrap_or_default()
}

fn decrypt(
    sealed: &EncryptedIdentity,
    is_optional: bool,
) -> Result<Option<(Identity, Secret)>, Failure> {
    let name = sealed.path.display().to_string();
    if !prompt::is_possible() {
        let text =
            format!("the private key {name} is encrypted, and there is no terminal to ask on");
        let failure = Failure::usage(text).hint("give it to an agent with `ssh-add`");
        if is_optional {
            note(&failure.hint("it is left out").line());
            return Ok(None);
        }
        return Err(failure);
    }
    for _ in 0..TRIES {
        let passphrase = prompt::secret(&format!("Passphrase for {name}: "))
            .map_err(|error| unanswered(&error))?;
        // As with ssh, no passphrase means: go on without this key.
        if passphrase.expose().is_empty() && is_optional {
            return Ok(None);
        }
        match sealed.decrypt(passphrase.expose()) {
            Ok(identity) => return Ok(Some((identity, passphrase))),
            Err(error @ IdentityError::WrongPassphrase { .. }) => {
                note(&format!("hoist: {error}"));
            }
            Err(error) => return Err(Failure::usage(error)),
        }
    }
    Err(
        Failure::usage(format!("no passphrase opens the private key {name}"))
            .hint("give it to an agent with `ssh-add`, or name another key with `--identity`"),
    )
}

/// Reads a password from where it comes from. `flags` are those that have a person asked, and that
/// name a file.
///
/// # Errors
/// When it can't be read, or nobody can be asked.
pub(in crate::command) fn read_password(
    source: PasswordSource<'_>,
    flags: [&str; 2],
    question: impl FnOnce() -> String,
) -> Result<Option<Secret>, Failure> {
    match source {
        PasswordSource::None => Ok(None),
        PasswordSource::File(file) => secret_in(file, "password").map(Some),
        PasswordSource::Person if !prompt::is_possible() => {
            let [ask, file] = flags;
            let text = format!("{ask} needs a terminal to ask on, and there is none");
            Err(Failure::usage(text)
                .hint(format!("name a file that only you can read with `{file}`")))
        }
        PasswordSource::Person => {
            let answer = prompt::secret(&question());
            answer.map(Some).map_err(|error| unanswered(&error))
        }
    }
}

/// Reads the first line of a file that nobody else can read; errors call it `what`. A pipe
/// (`/dev/fd/3`) is as private as whoever made it.
pub(in crate::command) fn secret_in(file: &Path, what: &str) -> Result<Secret, Failure> {
    let name = file.display();
    let failed =
        |error: io::Error| Failure::usage(format!("cannot read the {what} from {name}: {error}"));
    let open = File::open(file).map_err(failed)?;
    // Of the file that was opened, whatever its name stands for by now.
    let metadata = open.metadata().map_err(failed)?;
    let is_ours = [0, rustix::process::getuid().as_raw()].contains(&metadata.uid());
    if metadata.is_file() && (!is_ours || metadata.mode() & 0o077 != 0) {
        let mode = metadata.mode() & 0o7777;
        let text = format!("the {what} file {name} is open to others (mode {mode:04o})");
        return Err(Failure::usage(text).hint(format!("close it with `chmod 600 {name}`")));
    }
    let mut bytes = Zeroizing::new(Vec::with_capacity(MAX_PASSWORD_BYTES + 1));
    let limit = MAX_PASSWORD_BYTES as u64 + 1;
    open.take(limit).read_to_end(&mut bytes).map_err(failed)?;
    let line = bytes
        .split(|byte| *byte == b'\n')
        .next()
        .unwrap_or_default();
    let line = line.strip_suffix(b"\r").unwrap_or(line);
    match std::str::from_utf8(line) {
        Err(_) => Err(Failure::usage(format!(
            "the {what} on the first line of {name} is not UTF-8"
        ))),
        Ok(text) if !text.is_empty() && line.len() <= MAX_PASSWORD_BYTES => {
            Ok(Secret::new(text.to_owned()))
        }
        Ok(_) => Err(Failure::usage(format!(
            "there is no {what} on the first line of {name}"
        ))),
    }
}

/// Returns whom the password is for: `root`, or `root, deploy and 3 more`.
pub(in crate::command) fn login_name<'a>(hosts: impl Iterator<Item = &'a Endpoint>) -> String {
    let mut users: Vec<&str> = Vec::new();
    for user in hosts.filter_map(|host| host.user.as_ref()) {
        if !users.contains(&user.as_str()) {
            users.push(user.as_str());
        }
    }
    match &users[..] {
        [first, second, _, rest @ ..] => format!("{first}, {second} and {} more", rest.len() + 1),
        few => few.join(" and "),
    }
}

fn unanswered(error: &io::Error) -> Failure {
    match error.kind() {
        io::ErrorKind::Interrupted => Failure::silent(exit_code::INTERRUPTED),
        _ => Failure::usage(format!("cannot ask on the terminal: {error}")),
    }
}

#[cfg(test)]
mod tests {
    use hoist::host::{Address, HostName, Port, SshSettings, UserName};

    use super::*;

    fn endpoint(user: &str) -> Endpoint {
        let name = HostName::parse("a").unwrap();
        Endpoint {
            transport: TransportName::Ssh,
            address: Address::from(&name),
            port: Port::SSH,
            user: Some(UserName::parse(user).unwrap()),
            ssh: Arc::new(SshSettings {
                identities: vec!["/does/not/exist".into()],
                ..SshSettings::default()
            }),
            host_key: None,
            name,
        }
    }

    #[test]
    fn the_question_says_whom_the_password_is_for() {
        let login = |users: &[&str]| {
            let hosts: Vec<_> = users.iter().map(|user| endpoint(user)).collect();
            login_name(hosts.iter())
        };
        assert_eq!(login(&["root", "root"]), "root");
        assert_eq!(login(&["root", "a"]), "root and a");
        assert_eq!(login(&["root", "a", "b", "c"]), "root, a and 2 more");
    }

    #[test]
    fn a_key_that_was_named_must_be_there_and_another_need_not() {
        let hosts = [endpoint("me")];
        let required = Required::from(["/does/not/exist".into()]);
        let failure = gather(&hosts, &required, PasswordSource::None).unwrap_err();
        assert_eq!(failure.code, exit_code::USAGE);
        let gathered = gather(&hosts, &Required::new(), PasswordSource::None).unwrap();
        assert!(gathered.identities.is_empty());
    }

    #[test]
    fn this_machine_needs_no_credentials() {
        let mut host = endpoint("me");
        host.transport = TransportName::Local;
        let gathered = gather(&[host], &Required::new(), PasswordSource::Person).unwrap();
        assert!(gathered.password.is_none());
    }
}
