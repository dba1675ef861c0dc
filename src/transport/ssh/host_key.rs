//! Whether a host is the one it should be: its key, judged by what is known of it.
//!
//! `known_hosts` files are read once a run, whichever hosts name them. A key in the inventory is
//! the only one for its host. Nothing is asked here: a key that a person may vouch for goes back
//! with the refusal.

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::fs::File;
use std::io::{self, Read};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::SystemTime;

use super::SshError;
use super::host_certificate::HostCertificate;
use super::known_hosts::{self, KnownHosts, Verdict};
use super::revoked::Revoked;
use crate::host::{Endpoint, HostKeyPolicy, Port, SshSettings};
use crate::outcome::Kind;
use crate::ssh_config;
use crate::transport::{ConnectError, UnknownKey};

/// Host key algorithms offered, best first. SHA-1 (`ssh-rsa`) and DSA are left out unless they are
/// asked for; certificates are offered where an authority is known.
const ALGORITHMS: [&str; 6] = [
    "ssh-ed25519",
    "ecdsa-sha2-nistp256",
    "ecdsa-sha2-nistp384",
    "ecdsa-sha2-nistp521",
    "rsa-sha2-512",
    "rsa-sha2-256",
];
/// What else may be asked for, by whoever must reach a host of the past.
const OLD_ALGORITHMS: [&str; 2] = ["ssh-rsa", "ssh-dss"];

/// The same for certificates.
const CERTIFICATES: [&str; 6] = [
    "ssh-ed25519-cert-v01@openssh.com",
    "ecdsa-sha2-nistp256-cert-v01@openssh.com",
    "ecdsa-sha2-nistp384-cert-v01@openssh.com",
    "ecdsa-sha2-nistp521-cert-v01@openssh.com",
    "rsa-sha2-512-cert-v01@openssh.com",
    "rsa-sha2-256-cert-v01@openssh.com",
];

/// The files that a host's key is looked up in.
type Files = (Vec<PathBuf>, Vec<PathBuf>);

/// What is known of hosts' keys, shared by all workers of a run.
#[derive(Default)]
pub(super) struct HostKeys {
    known: Mutex<HashMap<Files, Arc<KnownHosts>>>,
    /// Files of revoked keys, or why they can't be used.
    revoked: HashMap<PathBuf, Result<Revoked, String>>,
}

impl HostKeys {
    /// Reads the files that these hosts name, and returns what was odd about them.
    ///
    /// # Errors
    /// When new keys are to be accepted and the known ones can't be read.
    pub(super) fn load<'a>(
        settings: impl Iterator<Item = &'a SshSettings>,
    ) -> Result<(Self, Vec<String>), SshError> {
        let (mut known, mut warnings) = (HashMap::new(), Vec::new());
        let mut revoked = HashMap::new();
        for settings in settings {
            if let Some(file) = &settings.revoked_host_keys
                && !revoked.contains_key(file)
            {
                revoked.insert(file.clone(), Revoked::load(file));
            }
            let files = files(settings);
            if settings.policy == HostKeyPolicy::AcceptNew {
                files.0.iter().try_for_each(|path| readable(path))?;
            }
            if let Entry::Vacant(place) = known.entry(files) {
                let (user, global) = place.key();
                let (index, odd) = KnownHosts::load(user, global);
                let new = odd.into_iter().filter(|line| !warnings.contains(line));
                let new: Vec<String> = new.collect();
                warnings.extend(new);
                place.insert(Arc::new(index));
            }
        }
        let keys = Self {
            known: Mutex::new(known),
            revoked,
        };
        Ok((keys, warnings))
    }

    fn known(&self, settings: &SshSettings) -> Arc<KnownHosts> {
        let files = files(settings);
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        let index = known
            .entry(files)
            .or_insert_with_key(|(user, global)| Arc::new(KnownHosts::load(user, global).0));
        Arc::clone(index)
    }

    /// Returns the host key algorithms to offer: the types already known for this host first, so
    /// that a server with several keys shows the one that can be verified. An order that was
    /// asked for is kept.
    ///
    /// # Errors
    /// When none of those that were asked for can be used.
    pub(super) fn offer(&self, endpoint: &Endpoint) -> Result<String, ConnectError> {
        let wish = endpoint.ssh.algorithms.host_key.as_deref();
        let (name, port) = looked_up(endpoint);
        let index = self.known(&endpoint.ssh);
        let is_vouched_for =
            endpoint.host_key.is_none() && !index.authorities(name, port).is_empty();
        let defaults = if is_vouched_for {
            [CERTIFICATES, ALGORITHMS].concat()
        } else {
            ALGORITHMS.to_vec()
        };
        let mut chosen = match wish {
            None => defaults,
            Some(wish) => {
                let supported = [&CERTIFICATES[..], &ALGORITHMS, &OLD_ALGORITHMS].concat();
                ssh_config::chosen(wish, &defaults, &supported)
            }
        };
        // Nobody could say what a certificate is worth.
        chosen.retain(|name| is_vouched_for || !CERTIFICATES.contains(name));
        if chosen.is_empty() {
            return Err(super::none_usable(
                "HostKeyAlgorithms",
                wish.unwrap_or_default(),
            ));
        }
        let is_order_asked = wish.is_some_and(|wish| !wish.starts_with(['+', '-']));
        if is_order_asked {
            return Ok(chosen.join(","));
        }
        let known: Vec<String> = if let Some(key) = &endpoint.host_key {
            key.split(' ')
                .next()
                .map(str::to_owned)
                .into_iter()
                .collect()
        } else {
            index.algorithms(name, port)
        };
        let is_known = |algorithm: &str| {
            let key_type = if algorithm.starts_with("rsa-") {
                "ssh-rsa"
            } else {
                algorithm
            };
            CERTIFICATES.contains(&algorithm) || known.iter().any(|known| known == key_type)
        };
        let (first, then): (Vec<&str>, Vec<&str>) =
            chosen.iter().partition(|algorithm| is_known(algorithm));
        Ok([first, then].concat().join(","))
    }

    /// Judges the key that a host showed; returns whether it is verified, rather than let through
    /// unverified. `peer` is the IP address it was reached at, where that is known.
    pub(super) fn judge(
        &self,
        endpoint: &Endpoint,
        blob: &[u8],
        peer: Option<&str>,
    ) -> Result<bool, ConnectError> {
        let settings = &endpoint.ssh;
        let certificate = HostCertificate::parse(blob);
        if let Some(file) = &settings.revoked_host_keys {
            self.check_revoked(file, blob, certificate.as_ref())?;
        }
        if let Some(pinned) = &endpoint.host_key {
            return judge_pinned(pinned, blob);
        }
        let known = self.known(settings);
        let (name, port) = looked_up(endpoint);
        let refusal = match &certificate {
            None => None,
            Some(certificate) => match vouched(&known, (name, port), certificate) {
                Ok(()) => return Ok(true),
                Err(refusal) => Some(refusal),
            },
        };
        // Without a certificate that is good for it, the key must be known itself.
        let blob = certificate
            .as_ref()
            .map_or(blob, |certificate| &certificate.key);
        match (known.check(name, port, blob), settings.policy) {
            (Verdict::Revoked { place }, _) => return Err(revoked_in(blob, &place)),
            (Verdict::Known { .. }, _) => {}
            (_, HostKeyPolicy::Off) => return Ok(false),
            (Verdict::Changed { place, .. }, _) => return Err(changed(name, port, blob, &place)),
            (Verdict::Unknown, HostKeyPolicy::AcceptNew) => accept(&known, endpoint, blob)?,
            (Verdict::Unknown, HostKeyPolicy::Ask | HostKeyPolicy::Strict) => {
                let mut failure = not_known(unknown(endpoint, blob), settings.policy);
                if let Some(refusal) = refusal {
                    failure.message = format!("{}; its certificate {refusal}", failure.message);
                }
                return Err(failure);
            }
        }
        if let Some(peer) = peer.filter(|_| settings.checks_address)
            && let Verdict::Changed { place, .. } = known.check(peer, port, blob)
        {
            return Err(changed(peer, port, blob, &place));
        }
        Ok(true)
    }

    /// Makes sure that neither a key nor who vouches for it stands in this file.
    fn check_revoked(
        &self,
        file: &Path,
        blob: &[u8],
        certificate: Option<&HostCertificate<'_>>,
    ) -> Result<(), ConnectError> {
        let read;
        let revoked = if let Some(known) = self.revoked.get(file) {
            known
        } else {
            read = Revoked::load(file);
            &read
        };
        let revoked = revoked.as_ref().map_err(|reason| {
            let message = format!("cannot tell whether the host's key is revoked: {reason}");
            ConnectError::permanent(Kind::HostKeyUnknown, message)
        })?;
        let mut keys = vec![blob];
        if let Some(certificate) = certificate {
            keys.extend([&*certificate.key, certificate.authority]);
        }
        match revoked.place_of(&keys) {
            Some(place) => Err(revoked_in(blob, &place)),
            None => Ok(()),
        }
    }

    /// Accepts these keys from now on and remembers them.
    pub(super) fn trust(&self, keys: &[UnknownKey]) -> io::Result<()> {
        {
            let known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
            for ((user, _), index) in &*known {
                let own = keys.iter().filter(|key| key.file.as_ref() == user.first());
                own.for_each(|key| index.accept(&key.host, &key.blob));
            }
        }
        remember(keys)
    }
}

/// Whether a known authority vouches for the key, and nobody has revoked it.
///
/// # Errors
/// In words that follow "its certificate".
fn vouched(
    known: &KnownHosts,
    (name, port): (&str, Port),
    certificate: &HostCertificate<'_>,
) -> Result<(), String> {
    if let Verdict::Revoked { place } = known.check(name, port, &certificate.key) {
        return Err(format!("is for a key that is revoked in {place}"));
    }
    if !known.is_authority(name, port, certificate.authority) {
        return Err("is signed by nobody who is known".to_owned());
    }
    certificate.check(name, SystemTime::now())
}

fn files(settings: &SshSettings) -> Files {
    (
        settings.known_hosts.clone(),
        settings.global_known_hosts.clone(),
    )
}

/// Returns the name and port that the host's key is known under.
fn looked_up(endpoint: &Endpoint) -> (&str, Port) {
    endpoint.ssh.looked_up_as(&endpoint.address, endpoint.port)
}

/// Accepts and remembers a new key, unless the same host showed another one a moment ago.
fn accept(known: &KnownHosts, endpoint: &Endpoint, blob: &[u8]) -> Result<(), ConnectError> {
    let (name, port) = looked_up(endpoint);
    match known.add(name, port, blob) {
        Verdict::Known { .. } => {}
        Verdict::Changed { place, .. } => return Err(changed(name, port, blob, &place)),
        _ => return Err(not_known(unknown(endpoint, blob), endpoint.ssh.policy)),
    }
    remember(&[unknown(endpoint, blob)]).map_err(|error| {
        let message = format!("cannot remember the host's key: {error}");
        ConnectError::permanent(Kind::Internal, message)
    })
}

/// Writes keys into the files they belong to.
fn remember(keys: &[UnknownKey]) -> io::Result<()> {
    let mut files: Vec<(&Path, bool)> = Vec::new();
    for key in keys {
        if let Some(file) = key.file.as_deref()
            && !files.contains(&(file, key.is_hashed))
        {
            files.push((file, key.is_hashed));
        }
    }
    for (file, is_hashed) in files {
        let own = keys
            .iter()
            .filter(|key| key.file.as_deref() == Some(file) && key.is_hashed == is_hashed);
        let lines: Vec<_> = own
            .map(|key| (key.host.clone(), key.blob.clone()))
            .collect();
        KnownHosts::append(file, &lines, is_hashed).map_err(|error| {
            io::Error::new(error.kind(), format!("{}: {error}", file.display()))
        })?;
    }
    Ok(())
}

fn readable(path: &Path) -> Result<(), SshError> {
    match File::open(path).and_then(|mut file| file.read(&mut [0])) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(SshError::KnownHosts {
            path: path.to_owned(),
            error,
        }),
        _ => Ok(()),
    }
}

fn unknown(endpoint: &Endpoint, blob: &[u8]) -> UnknownKey {
    let (name, port) = looked_up(endpoint);
    UnknownKey {
        host: known_hosts::host_form(name, port),
        algorithm: known_hosts::algorithm(blob),
        fingerprint: known_hosts::fingerprint(blob),
        blob: blob.to_vec(),
        file: endpoint.ssh.known_hosts.first().cloned(),
        is_hashed: endpoint.ssh.hashes_known_hosts,
    }
}

fn not_known(key: UnknownKey, policy: HostKeyPolicy) -> ConnectError {
    let message = format!(
        "the host's key is not known ({} {}); verify it and add it to known_hosts, \
         or use --host-keys accept-new",
        key.algorithm, key.fingerprint
    );
    ConnectError {
        unknown_key: (policy == HostKeyPolicy::Ask).then(|| Box::new(key)),
        ..ConnectError::permanent(Kind::HostKeyUnknown, message)
    }
}

fn changed(name: &str, port: Port, blob: &[u8], place: &str) -> ConnectError {
    let name = known_hosts::host_form(name, port);
    let message = format!(
        "the host's key is {}, which disagrees with {place}; if that is expected, remove the old \
         one with `ssh-keygen -R '{name}'`",
        described(blob)
    );
    ConnectError::permanent(Kind::HostKeyChanged, message)
}

fn revoked_in(blob: &[u8], place: &str) -> ConnectError {
    let message = format!("the host's key {} is revoked in {place}", described(blob));
    ConnectError::permanent(Kind::HostKeyChanged, message)
}

fn judge_pinned(pinned: &str, blob: &[u8]) -> Result<bool, ConnectError> {
    if known_hosts::public_key(pinned.as_bytes()).is_some_and(|expected| expected == blob) {
        return Ok(true);
    }
    let message = format!(
        "the host's key is {}, not the one in the inventory's host_key; if that is expected, \
         change it there",
        described(blob)
    );
    Err(ConnectError::permanent(Kind::HostKeyChanged, message))
}

fn described(blob: &[u8]) -> String {
    format!(
        "{} {}",
        known_hosts::algorithm(blob),
        known_hosts::fingerprint(blob)
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn new_keys_are_not_accepted_beside_keys_that_cannot_be_read() {
        let folder = tempfile::tempdir().unwrap();
        let load = |file: PathBuf| {
            let settings = SshSettings {
                policy: HostKeyPolicy::AcceptNew,
                known_hosts: vec![file],
                ..SshSettings::default()
            };
            HostKeys::load(std::iter::once(&settings)).map(|_| ())
        };
        assert!(load(folder.path().join("none")).is_ok());
        let refused = load(folder.path().to_owned());
        assert!(matches!(refused, Err(SshError::KnownHosts { .. })));
    }
}
