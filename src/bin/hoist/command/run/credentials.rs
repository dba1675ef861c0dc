//! Keys and passwords: read, asked for and decrypted once, before the first connection.

use std::collections::HashSet;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use hoist::host::{Endpoint, TransportName};
use hoist::transport::ssh::agent::{Agent, AgentKey};
use hoist::transport::ssh::identity::{EncryptedIdentity, Identity, IdentityError, Loaded};
use hoist::transport::ssh::secret::Secret;

use crate::exit_code;
use crate::report::{Failure, note};
use crate::ui::prompt;

/// How often a passphrase may be typed.
const TRIES: usize = 3;

/// What hosts may be shown to log in.
#[derive(Debug, Default)]
pub(super) struct Credentials {
    pub identities: Vec<Arc<Identity>>,
    pub password: Option<Secret>,
}

/// Where credentials are looked for.
pub(super) struct Places<'a> {
    /// Keys that nobody asked for: trouble with them is no reason to end.
    pub by_default: &'a [PathBuf],
    pub agent: Option<&'a Path>,
    pub asks_password: bool,
}

/// Reads the keys of all hosts and asks for what is needed.
///
/// # Errors
/// When a key that was named can't be used, or something must be asked and there is nobody.
pub(super) fn gather(hosts: &[Endpoint], places: &Places<'_>) -> Result<Credentials, Failure> {
    let over_ssh = || {
        hosts
            .iter()
            .filter(|host| host.transport == TransportName::Ssh)
    };
    if over_ssh().next().is_none() {
        return Ok(Credentials::default());
    }
    let mut seen = HashSet::new();
    let mut identities = Vec::new();
    let mut agent = None;
    for file in over_ssh().flat_map(|host| &host.identities) {
        if seen.insert(file) {
            identities.extend(read(file, places, &mut agent)?.map(Arc::new));
        }
    }
    let password = if places.asks_password {
        Some(ask_password(&login_name(over_ssh()))?)
    } else {
        None
    };
    Ok(Credentials {
        identities,
        password,
    })
}

/// Reads one key; `None` when it isn't needed or can be done without.
fn read(
    file: &Path,
    places: &Places<'_>,
    agent: &mut Option<Vec<AgentKey>>,
) -> Result<Option<Identity>, Failure> {
    let is_optional = places.by_default.iter().any(|other| other == file);
    if is_optional && !file.exists() {
        return Ok(None);
    }
    match Identity::load(file) {
        Ok(Loaded::Ready(identity)) => Ok(Some(identity)),
        Ok(Loaded::Encrypted(sealed)) => {
            let keys = agent.get_or_insert_with(|| agent_keys(places.agent));
            let is_held = |key: &AgentKey| Some(&key.blob) == sealed.public.as_ref();
            if keys.iter().any(is_held) {
                return Ok(None);
            }
            decrypt(&sealed, is_optional)
        }
        Err(error) if is_optional => {
            note(&format!("hoist: {error}; it is left out"));
            Ok(None)
        }
        Err(error) => Err(Failure::usage(error)),
    }
}

/// Returns what the agent holds; nothing when there is none that answers.
fn agent_keys(socket: Option<&Path>) -> Vec<AgentKey> {
    let Some(socket) = socket else {
        return Vec::new();
    };
    futures_lite::future::block_on(async { Agent::connect(socket).await?.identities().await })
        .unwrap_or_default()
}

fn decrypt(sealed: &EncryptedIdentity, is_optional: bool) -> Result<Option<Identity>, Failure> {
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
            Ok(identity) => return Ok(Some(identity)),
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

fn ask_password(login: &str) -> Result<Secret, Failure> {
    if !prompt::is_possible() {
        return Err(
            Failure::usage("--ask-pass needs a terminal to ask on, and there is none")
                .hint("log in with a key: `--identity FILE`, or an agent"),
        );
    }
    prompt::secret(&format!("Password for {login}: ")).map_err(|error| unanswered(&error))
}

/// Returns whom the password is for: `root`, or `root, deploy and 3 more`.
fn login_name<'a>(hosts: impl Iterator<Item = &'a Endpoint>) -> String {
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
    use hoist::host::{Address, HostName, Port, UserName};

    use super::*;

    fn endpoint(user: &str) -> Endpoint {
        let name = HostName::parse("a").unwrap();
        Endpoint {
            transport: TransportName::Ssh,
            address: Address::from(&name),
            port: Port::SSH,
            user: Some(UserName::parse(user).unwrap()),
            identities: vec!["/does/not/exist".into()],
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
    fn a_key_that_was_named_must_be_there_and_a_default_one_need_not() {
        let hosts = [endpoint("me")];
        let named = Places {
            by_default: &[],
            agent: None,
            asks_password: false,
        };
        let failure = gather(&hosts, &named).unwrap_err();
        assert_eq!(failure.code, exit_code::USAGE);
        let by_default = ["/does/not/exist".into()];
        let optional = Places {
            by_default: &by_default,
            ..named
        };
        assert!(gather(&hosts, &optional).unwrap().identities.is_empty());
    }

    #[test]
    fn this_machine_needs_no_credentials() {
        let mut host = endpoint("me");
        host.transport = TransportName::Local;
        let places = Places {
            by_default: &[],
            agent: None,
            asks_password: true,
        };
        assert!(gather(&[host], &places).unwrap().password.is_none());
    }
}
