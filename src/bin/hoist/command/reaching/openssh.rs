//! What the system's `ssh` is told, so that it comes to the same as hoist and finds the rest in its
//! own configuration: only what counts more than its files, in the order in which it counts.

use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use hoist::host::SshSettings;
use hoist::ssh_config::{Given, Keyword, Setting, Value};
use hoist::transport::openssh::named_files;

use super::{Reaching, Required, SYSTEM_FILE, account};

/// Keywords that `ssh` is kept from: hoist starts commands and nothing else.
pub(super) const KEPT_FROM: &[&str] = &[
    "DynamicForward",
    "ForwardX11",
    "LocalCommand",
    "LocalForward",
    "RemoteForward",
    "SessionType",
    "Tunnel",
];

/// What stands above the configuration of `ssh` for one host.
pub(super) struct Told<'a> {
    pub reaching: &'a Reaching<'a>,
    pub given: &'a Given,
    pub required: &'a Required,
}

impl Told<'_> {
    /// Returns the arguments.
    pub(super) fn arguments(&self, settings: &SshSettings) -> Vec<OsString> {
        let connecting = self.reaching.connecting;
        let mut arguments = Vec::new();
        let has_other_home = self.has_other_home();
        if let Some(file) = self.file(has_other_home) {
            arguments.extend(["-F".into(), file.into_os_string()]);
        }
        let mut option = |option: OsString| arguments.extend(["-o".into(), option]);
        // As hoist has them, where `~` is not the same to both.
        let is_told = |file: &&PathBuf| has_other_home || self.required.contains(*file);
        for file in settings.identities.iter().filter(is_told) {
            option(named_files("IdentityFile", &[file]));
        }
        if has_other_home || !connecting.known_hosts.is_empty() {
            let files: Vec<&Path> = settings.known_hosts.iter().map(PathBuf::as_path).collect();
            option(if files.is_empty() {
                "UserKnownHostsFile=none".into()
            } else {
                named_files("UserKnownHostsFile", &files)
            });
        }
        for setting in &self.given.first {
            option_of(setting).into_iter().for_each(&mut option);
        }
        if !self.given.is_without_options {
            connecting
                .option
                .iter()
                .for_each(|text| option(text.into()));
        }
        for setting in &self.given.then {
            option_of(setting).into_iter().for_each(&mut option);
        }
        arguments
    }

    /// Whether hoist's `~` is another folder than that of `ssh`, which doesn't look at `HOME`.
    fn has_other_home(&self) -> bool {
        let own = account::own_home();
        own.is_some() && own != self.reaching.environment.home
    }

    /// Returns the configuration to name; `None` for the usual ones.
    fn file(&self, has_other_home: bool) -> Option<PathBuf> {
        if let Some(file) = &self.reaching.connecting.ssh_config {
            return Some(file.clone());
        }
        let home = self.reaching.environment.home.as_deref();
        let usual = home.map(|home| home.join(".ssh/config"));
        let candidates = [usual, Some(SYSTEM_FILE.into())];
        has_other_home.then(|| {
            let found = candidates.into_iter().flatten().find(|file| file.exists());
            found.unwrap_or_else(|| "none".into())
        })
    }
}

/// Returns a value as `-o` takes it; `None` for what is said in another way.
fn option_of(setting: &Arc<Setting>) -> Option<OsString> {
    let text = match &setting.value {
        Value::Text(text) => text.to_string(),
        Value::Port(port) => port.to_string(),
        // What leads through other hosts is made by hoist.
        Value::Jumps(hops) if hops.is_empty() => "none".to_owned(),
        _ => return None,
    };
    // Newer ones look for tokens there, and no account means one.
    let text = match setting.keyword {
        Keyword::User => text.replace('%', "%%"),
        _ => text,
    };
    Some(format!("{}={text}", setting.keyword.name()).into())
}
