//! How hosts are reached, the same for every subcommand that contacts them: where, as whom, with
//! which keys, by what the arguments, the inventory and the configuration of `ssh` say.

use std::path::{Path, PathBuf};
use std::sync::{Arc, LazyLock};

use hoist::host::{Endpoint, TransportName};
use hoist::inventory::Inventory;
use hoist::plan::Plan;
use hoist::selection::Selected;
use hoist::ssh_config::{Facts, Sources, SshConfig, UserFile};
use hoist::transport::local::Local;
use hoist::transport::openssh::{OpenSsh, OpenSshError, OpenSshOptions};
use hoist::transport::ssh::{Ssh, SshOptions};
use hoist::transport::{Transport, Transports};

use crate::args::Connecting;
use crate::report::{Failure, note};
use crate::settings::{Environment, Origins};

mod account;
mod addresses;
mod credentials;
mod endpoints;
mod explained;
mod openssh;

use credentials::Credentials;
pub(super) use credentials::{PasswordSource, login_name, read_password, secret_in};
use endpoints::Everywhere;
pub(super) use endpoints::Required;
pub(super) use explained::{Fact, object};

/// The configuration of the whole machine.
const SYSTEM_FILE: &str = "/etc/ssh/ssh_config";

/// A socket in a folder below this one still has a path that the system takes.
const MAX_FOLDER_BYTES: usize = 60;

/// What reaching hosts depends on.
pub(super) struct Reaching<'a> {
    pub connecting: &'a Connecting,
    pub origins: &'a Origins,
    pub environment: &'a Environment,
    /// Say nothing that is not an error.
    pub is_quiet: bool,
}

impl Reaching<'_> {
    /// Returns the endpoints of the selected hosts, in order, and the keys that must be there. Says
    /// once what the configuration asks for in vain.
    ///
    /// # Errors
    /// When a host can't be reached the way its settings ask for.
    pub(super) fn resolve(
        &self,
        hosts: Vec<Selected>,
        inventory: Option<&Inventory>,
    ) -> Result<(Vec<Endpoint>, Required), Failure> {
        let config = self.config()?;
        let mut everywhere = Everywhere::new(self, &config, inventory);
        let hosts = everywhere.resolve(hosts)?;
        if let Some(line) = everywhere.in_vain().filter(|_| !self.is_quiet) {
            note(&line);
        }
        Ok((hosts, everywhere.required))
    }

    /// Returns how each host is reached, and who said so.
    ///
    /// # Errors
    /// As [`Reaching::resolve`].
    pub(super) fn explain(
        &self,
        hosts: Vec<Selected>,
        inventory: Option<&Inventory>,
    ) -> Result<Vec<Vec<Fact>>, Failure> {
        let config = self.config()?;
        let mut everywhere = Everywhere::new(self, &config, inventory);
        let explained = hosts.into_iter().map(|selected| {
            let host = selected.host.clone();
            let (endpoint, resolved) = everywhere.resolved(selected)?;
            Ok(explained::facts(
                self,
                &host,
                &endpoint,
                resolved.as_ref(),
                inventory,
            ))
        });
        explained.collect()
    }

    /// Reads the keys of all hosts and asks for what is needed to log in.
    ///
    /// # Errors
    /// When a key or password that was named can't be used, or something must be asked and there is
    /// nobody.
    pub(super) fn credentials(
        &self,
        hosts: &[Endpoint],
        required: &Required,
    ) -> Result<Ways, Failure> {
        let Credentials {
            identities,
            certificates,
            password,
            passphrases,
        } = credentials::gather(hosts, required, self.password())?;
        let openssh = OpenSshOptions {
            program: "ssh".into(),
            base: short_folder(self.environment),
            asker: self.environment.program.clone(),
            password: password.clone(),
            passphrases,
        };
        let ssh = SshOptions {
            identities,
            certificates,
            password,
            ..SshOptions::default()
        };
        Ok(Ways { ssh, openssh })
    }

    /// Reads the configuration of `ssh`.
    fn config(&self) -> Result<SshConfig, Failure> {
        let home = self.environment.home.as_deref();
        let (user, system) = match self.connecting.ssh_config.as_deref() {
            Some(file) if file.as_os_str() == "none" => (None, None),
            Some(file) => (Some(UserFile::Named(file.to_owned())), None),
            None => {
                let usual = home.map(|home| UserFile::Usual(home.join(".ssh/config")));
                (usual, Some(SYSTEM_FILE.into()))
            }
        };
        let sources = Sources {
            options: self.connecting.option.clone(),
            options_name: "--option".to_owned(),
            user,
            system,
        };
        SshConfig::load(&sources, self.facts()).map_err(Failure::usage)
    }

    fn facts(&self) -> Facts {
        let environment = self.environment;
        let own_user = account::own_user(environment.user.as_deref());
        let shell = environment.shell.as_deref();
        Facts {
            home: environment.home.clone().unwrap_or_else(|| "/".into()),
            user: own_user.map(|user| user.to_string()).unwrap_or_default(),
            uid: rustix::process::getuid().as_raw(),
            machine: rustix::system::uname()
                .nodename()
                .to_string_lossy()
                .into_owned(),
            addresses: Arc::new(LazyLock::new(addresses::own_addresses)),
            variables: environment.variables.clone(),
            shell: shell.unwrap_or(Path::new("/bin/sh")).to_owned(),
        }
    }

    /// Returns where the password comes from.
    fn password(&self) -> PasswordSource<'_> {
        let is_asked_nearer = self.origins.of("ask_pass") >= self.origins.of("password_file");
        let file = self.connecting.password_file.as_deref();
        PasswordSource::nearest(file, self.connecting.ask_pass, is_asked_nearer)
    }
}

/// What the transports are given.
#[derive(Default)]
pub(super) struct Ways {
    pub ssh: SshOptions,
    openssh: OpenSshOptions,
}

impl Ways {
    /// Hosts are dialled and nothing else.
    pub(super) fn only_dialling() -> Self {
        let ssh = SshOptions {
            only_dials: true,
            ..SshOptions::default()
        };
        Self {
            ssh,
            ..Self::default()
        }
    }
}

/// Returns the transports that `plan` is worked over. Says what is worth a warning.
///
/// # Errors
/// When one that is needed can't be set up.
pub(super) fn transports(ways: Ways, plan: &Plan) -> Result<Transports, Failure> {
    let Ways { ssh, openssh } = ways;
    let only_dials = ssh.only_dials;
    let options = SshOptions {
        jump_timeout: plan.limits.connect_timeout,
        ..ssh
    };
    let ssh = Ssh::new(options, &plan.hosts).map_err(Failure::own)?;
    for warning in ssh.warnings() {
        note(&format!("hoist: {warning}"));
    }
    let mut hosts = plan.hosts.iter();
    let is_needed = hosts.any(|host| host.transport == TransportName::OpenSsh);
    let openssh: Option<Box<dyn Transport>> = match (is_needed, only_dials) {
        (false, _) => None,
        // A port is the same to both.
        (true, true) => {
            let options = Ways::only_dialling().ssh;
            Some(Box::new(Ssh::new(options, &[]).map_err(Failure::own)?))
        }
        (true, false) => Some(Box::new(
            OpenSsh::new(openssh).map_err(|error| not_usable(&error))?,
        )),
    };
    Ok(Transports {
        ssh: Box::new(ssh),
        openssh,
        local: Box::new(Local::new()),
    })
}

fn not_usable(error: &OpenSshError) -> Failure {
    let failure = Failure::usage(error);
    match error {
        OpenSshError::Program { .. } => {
            failure.hint("install the OpenSSH client, or use `--transport ssh`, which is built in")
        }
        OpenSshError::TooOld { .. } => failure.hint("log in with a key, or use `--transport ssh`"),
        _ => failure,
    }
}

/// Returns where the sockets of `ssh` go: their paths must be short.
fn short_folder(environment: &Environment) -> PathBuf {
    let runtime = environment
        .variables
        .get("XDG_RUNTIME_DIR")
        .map(PathBuf::from);
    let candidates = [runtime, environment.temporary.clone()];
    let is_fit = |path: &PathBuf| {
        path.is_absolute() && path.as_os_str().len() <= MAX_FOLDER_BYTES && path.is_dir()
    };
    let found = candidates.into_iter().flatten().find(is_fit);
    found.unwrap_or_else(|| "/tmp".into())
}
