//! How hosts are reached, the same for every subcommand that contacts them: where, as whom, with
//! which keys, by what the arguments, the inventory and the configuration of `ssh` say.

use std::path::Path;

use hoist::host::Endpoint;
use hoist::inventory::Inventory;
use hoist::plan::Plan;
use hoist::selection::Selected;
use hoist::ssh_config::{Facts, Sources, SshConfig, UserFile};
use hoist::transport::Transports;
use hoist::transport::local::Local;
use hoist::transport::ssh::{Ssh, SshOptions};

use crate::args::Connecting;
use crate::report::{Failure, note};
use crate::settings::{Environment, Origins};

mod account;
mod addresses;
mod credentials;
mod endpoints;
mod explained;

use credentials::Credentials;
pub(super) use credentials::{PasswordSource, login_name, read_password};
use endpoints::Everywhere;
pub(super) use endpoints::Required;
pub(super) use explained::{Fact, object};

/// The configuration of the whole machine.
const SYSTEM_FILE: &str = "/etc/ssh/ssh_config";

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
            addresses: addresses::own_addresses(),
            variables: environment.variables.clone(),
            shell: shell.unwrap_or(Path::new("/bin/sh")).to_owned(),
        }
    }

    /// Returns where the password comes from; of two sources the one set nearer to the person.
    pub(super) fn password(&self) -> PasswordSource<'_> {
        let is_asked_nearer = self.origins.of("ask_pass") >= self.origins.of("password_file");
        match &self.connecting.password_file {
            Some(file) if !self.connecting.ask_pass || !is_asked_nearer => {
                PasswordSource::File(file)
            }
            _ if self.connecting.ask_pass => PasswordSource::Person,
            _ => PasswordSource::None,
        }
    }
}

/// Reads the keys of all hosts and asks for what is needed to log in.
///
/// # Errors
/// When a key or password that was named can't be used, or something must be asked and there is
/// nobody.
pub(super) fn credentials(
    hosts: &[Endpoint],
    required: &Required,
    password: PasswordSource<'_>,
) -> Result<SshOptions, Failure> {
    let Credentials {
        identities,
        certificates,
        password,
    } = credentials::gather(hosts, required, password)?;
    Ok(SshOptions {
        identities,
        certificates,
        password,
        ..SshOptions::default()
    })
}

/// Returns the transports that `plan` is worked over. Says what is worth a warning.
///
/// # Errors
/// When the SSH transport can't be set up.
pub(super) fn transports(options: SshOptions, plan: &Plan) -> Result<Transports, Failure> {
    let options = SshOptions {
        jump_timeout: plan.limits.connect_timeout,
        ..options
    };
    let ssh = Ssh::new(options, &plan.hosts).map_err(Failure::own)?;
    for warning in ssh.warnings() {
        note(&format!("hoist: {warning}"));
    }
    Ok(Transports {
        ssh: Box::new(ssh),
        local: Box::new(Local::new()),
    })
}
