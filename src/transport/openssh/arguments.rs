//! What an `ssh` is told: the words behind its name.
//!
//! A host comes in, arguments go out. What stands first counts in ssh: first what keeps it from
//! doing anything but what hoist started it for, then how far host keys are trusted, then what
//! leads to the host, then what the host's settings say. A host's name stands behind `--`.

use std::ffi::{OsStr, OsString};
use std::fmt::Write;
use std::io;
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::Program;
use crate::host::{AddressFamily, Endpoint, HostKeyPolicy, Route, SshSettings};
use crate::transport::ssh::known_hosts::{KnownHosts, Verdict, public_key};

/// Keeps ssh from anything that isn't asked of it, whatever its configuration says.
const OWN: &[&str] = &[
    "ClearAllForwardings=yes",
    "ConnectionAttempts=1",
    "ConnectTimeout=none",
    "ControlPersist=no",
    "FingerprintHash=sha256",
    "NumberOfPasswordPrompts=1",
    "PermitLocalCommand=no",
    "RemoteCommand=none",
    // Many of them at once would write the same file anew.
    "UpdateHostKeys=no",
];

/// The same, unknown to older ones.
const OWN_SINCE_8_7: &[&str] = &["ForkAfterAuthentication=no", "StdinNull=no"];

/// Arguments as they are put together.
#[derive(Debug, Default, Clone)]
pub(super) struct Arguments(Vec<OsString>);

impl Arguments {
    /// Returns what every `ssh` is told first.
    pub(super) fn own(program: &Program) -> Self {
        let mut arguments = Self::default();
        arguments.word("-T").word("-x");
        for option in OWN {
            arguments.option(option);
        }
        if program.version >= (8, 7) {
            for option in OWN_SINCE_8_7 {
                arguments.option(option);
            }
        }
        arguments
    }

    pub(super) fn word(&mut self, word: impl AsRef<OsStr>) -> &mut Self {
        self.0.push(word.as_ref().to_owned());
        self
    }

    pub(super) fn option(&mut self, option: impl AsRef<OsStr>) -> &mut Self {
        self.word("-o").word(option)
    }

    pub(super) fn extend(&mut self, others: &[OsString]) -> &mut Self {
        self.0.extend_from_slice(others);
        self
    }

    /// Ends with the host.
    pub(super) fn host(&mut self, endpoint: &Endpoint) -> &mut Self {
        self.word("--").word(endpoint.name.as_str())
    }

    pub(super) fn words(&self) -> &[OsString] {
        &self.0
    }

    /// Says how far the host's key is trusted. A key from the inventory is written to a file of its
    /// own.
    pub(super) fn host_key(
        &mut self,
        endpoint: &Endpoint,
        program: &Program,
        is_accepted: bool,
    ) -> io::Result<&mut Self> {
        let settings = &endpoint.ssh;
        if let Some(key) = &endpoint.host_key {
            let file = program.folder.place("known");
            std::fs::write(&file, format!("* {key}\n"))?;
            self.option("StrictHostKeyChecking=yes")
                .option(named_files("UserKnownHostsFile", &[&file]))
                .option("GlobalKnownHostsFile=none")
                .option("CheckHostIP=no")
                .option("VerifyHostKeyDNS=no");
            if program.version >= (8, 5) {
                self.option("KnownHostsCommand=none");
            }
            return Ok(self);
        }
        self.option(match settings.policy {
            // Answered with the fingerprint, which ssh compares.
            HostKeyPolicy::Ask if is_accepted => "StrictHostKeyChecking=ask",
            HostKeyPolicy::Ask | HostKeyPolicy::Strict => "StrictHostKeyChecking=yes",
            HostKeyPolicy::AcceptNew => "StrictHostKeyChecking=accept-new",
            HostKeyPolicy::Off => "StrictHostKeyChecking=no",
        });
        if settings.policy == HostKeyPolicy::Off {
            // Known, so that revoked keys are, and not written to.
            let files = settings
                .known_hosts
                .iter()
                .chain(&settings.global_known_hosts);
            let files: Vec<&Path> = files.map(PathBuf::as_path).collect();
            self.option("UserKnownHostsFile=/dev/null");
            if !files.is_empty() {
                self.option(named_files("GlobalKnownHostsFile", &files));
            }
            // Not even then; ssh itself would.
            if let Some(revoked) = revoked_keys(endpoint) {
                let file = program.folder.place("revoked");
                std::fs::write(&file, revoked)?;
                self.option(named_files("RevokedHostKeys", &[&file]));
            }
        }
        Ok(self)
    }

    /// Says how a connection is watched.
    pub(super) fn liveness(&mut self, settings: &SshSettings) -> &mut Self {
        let seconds = settings.keepalive.as_secs();
        let count = settings.keepalive_count.max(1);
        self.option(format!("ServerAliveInterval={seconds}"))
            .option(format!("ServerAliveCountMax={count}"))
    }

    /// Says what leads to the host, where that is other hosts; returns them and their logs, the one
    /// next to the host first.
    pub(super) fn route(
        &mut self,
        endpoint: &Endpoint,
        program: &Program,
        is_accepted: &dyn Fn(&Endpoint) -> bool,
        asks: bool,
    ) -> io::Result<Vec<(Arc<Endpoint>, PathBuf)>> {
        let Route::Jump(jump) = &endpoint.ssh.route else {
            return Ok(Vec::new());
        };
        let log = program.folder.place("j");
        let mut to_jump = Self::own(program);
        to_jump
            .option("ControlMaster=no")
            .option("LogLevel=DEBUG1")
            .word("-E")
            .word(&log)
            .batch(!asks)
            .liveness(&jump.ssh)
            .host_key(jump, program, is_accepted(jump))?;
        let before = to_jump.route(jump, program, is_accepted, asks)?;
        to_jump.settings(jump);
        let mut command = OsString::from("ProxyCommand=");
        command.push(shell_word(program.path.as_os_str()));
        for word in to_jump.words() {
            command.push(" ");
            command.push(shell_word(word));
        }
        // The only tokens that are ssh's: it may know another address.
        command.push(" -W '[%h]:%p' -- ");
        command.push(jump.name.as_str());
        self.option(command);
        let mut chain = vec![(Arc::clone(jump), log)];
        chain.extend(before);
        Ok(chain)
    }

    /// Forbids or allows questions.
    pub(super) fn batch(&mut self, is_batch: bool) -> &mut Self {
        self.option(if is_batch {
            "BatchMode=yes"
        } else {
            "BatchMode=no"
        })
    }

    /// Says what the host's settings are: by the arguments that were made for ssh, or else by all
    /// that is known of the host, without any configuration.
    pub(super) fn settings(&mut self, endpoint: &Endpoint) -> &mut Self {
        match &endpoint.ssh.openssh {
            Some(arguments) => self.extend(arguments),
            None => self.everything(endpoint),
        }
    }

    fn everything(&mut self, endpoint: &Endpoint) -> &mut Self {
        let settings = &endpoint.ssh;
        self.word("-F").word("none");
        let address = endpoint.address.as_str().replace('%', "%%");
        self.option(format!("HostName={address}"))
            .option(format!("Port={}", endpoint.port));
        if let Some(user) = &endpoint.user {
            self.word("-l").word(user.as_str());
        }
        for file in &settings.identities {
            self.option(named_files("IdentityFile", &[file]));
        }
        for file in &settings.certificates {
            self.option(named_files("CertificateFile", &[file]));
        }
        if settings.is_identities_only {
            self.option("IdentitiesOnly=yes");
        }
        match &settings.agent {
            Some(socket) => self.option(named_files("IdentityAgent", &[socket])),
            None => self.option("IdentityAgent=none"),
        };
        let methods: Vec<&str> = settings
            .methods
            .iter()
            .map(|method| method.as_str())
            .collect();
        self.option(format!("PreferredAuthentications={}", methods.join(",")));
        self.known_hosts(settings);
        let algorithms = &settings.algorithms;
        for (keyword, list) in [
            ("HostKeyAlgorithms", &algorithms.host_key),
            ("KexAlgorithms", &algorithms.kex),
            ("Ciphers", &algorithms.ciphers),
            ("MACs", &algorithms.macs),
        ] {
            if let Some(list) = list {
                self.option(format!("{keyword}={list}"));
            }
        }
        match settings.family {
            AddressFamily::Any => {}
            AddressFamily::Inet => _ = self.option("AddressFamily=inet"),
            AddressFamily::Inet6 => _ = self.option("AddressFamily=inet6"),
        }
        if let Some(address) = &settings.bind_address {
            self.option(format!("BindAddress={address}"));
        }
        if let Route::Command(line) = &settings.route {
            self.option(format!("ProxyCommand={}", line.replace('%', "%%")));
        }
        self
    }

    fn known_hosts(&mut self, settings: &SshSettings) {
        self.files("UserKnownHostsFile", &settings.known_hosts)
            .files("GlobalKnownHostsFile", &settings.global_known_hosts);
        if settings.hashes_known_hosts {
            self.option("HashKnownHosts=yes");
        }
        if let Some(alias) = &settings.host_key_alias {
            self.option(format!("HostKeyAlias={alias}"));
        }
        if settings.checks_address {
            self.option("CheckHostIP=yes");
        }
    }

    fn files(&mut self, keyword: &str, files: &[PathBuf]) -> &mut Self {
        let files: Vec<&Path> = files.iter().map(PathBuf::as_path).collect();
        if files.is_empty() {
            return self.option(format!("{keyword}=none"));
        }
        self.option(named_files(keyword, &files))
    }
}

/// Returns the keys that `known_hosts` revokes for a host, a line each; `None` where there are none.
fn revoked_keys(endpoint: &Endpoint) -> Option<String> {
    let settings = &endpoint.ssh;
    let files = settings
        .known_hosts
        .iter()
        .chain(&settings.global_known_hosts);
    let texts: Vec<String> = files
        .filter_map(|file| std::fs::read(file).ok())
        .map(|bytes| String::from_utf8_lossy(&bytes).into_owned())
        .filter(|text| text.contains("@revoked"))
        .collect();
    if texts.is_empty() {
        return None;
    }
    let (known, _) = KnownHosts::load(&settings.known_hosts, &settings.global_known_hosts);
    let (name, port) = settings.looked_up_as(&endpoint.address, endpoint.port);
    let is_revoked = |key: &str| {
        public_key(key.as_bytes())
            .is_some_and(|blob| matches!(known.check(name, port, &blob), Verdict::Revoked { .. }))
    };
    let mut list = String::new();
    for line in texts.iter().flat_map(|text| text.lines()) {
        let words: Vec<&str> = line.split_whitespace().collect();
        if let ["@revoked", _, algorithm, key, ..] = words[..]
            && is_revoked(&format!("{algorithm} {key}"))
        {
            let _ = writeln!(list, "{algorithm} {key}");
        }
    }
    (!list.is_empty()).then_some(list)
}

/// Returns `KEYWORD="FILE" …`, as `-o` takes it.
pub fn named_files(keyword: &str, files: &[&Path]) -> OsString {
    let mut option = keyword.as_bytes().to_vec();
    option.push(b'=');
    for (index, file) in files.iter().enumerate() {
        if index > 0 {
            option.push(b' ');
        }
        option.push(b'"');
        for &byte in file.as_os_str().as_bytes() {
            match byte {
                b'"' | b'\\' => option.extend([b'\\', byte]),
                b'%' => option.extend(b"%%"),
                _ => option.push(byte),
            }
        }
        option.push(b'"');
    }
    OsString::from_vec(option)
}

/// Quotes a word for the shell that runs a `ProxyCommand`, which has no tokens in it.
fn shell_word(word: &OsStr) -> OsString {
    let mut quoted = b"'".to_vec();
    for &byte in word.as_bytes() {
        match byte {
            b'\'' => quoted.extend(br"'\''"),
            b'%' => quoted.extend(b"%%"),
            _ => quoted.push(byte),
        }
    }
    quoted.push(b'\'');
    OsString::from_vec(quoted)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_are_quoted_for_ssh_and_words_for_a_shell() {
        let option = named_files(
            "UserKnownHostsFile",
            &[Path::new("/a b"), Path::new(r#"/50%"x\"#)],
        );
        assert_eq!(
            option.to_str().unwrap(),
            r#"UserKnownHostsFile="/a b" "/50%%\"x\\""#
        );
        assert_eq!(shell_word(OsStr::new("it's 5%")), r"'it'\''s 5%%'");
    }
}
