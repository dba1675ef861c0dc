//! Which keys hosts are known by: an index over `known_hosts` files, built once per run.
//!
//! Files come in as OpenSSH writes them (sshd(8), "`SSH_KNOWN_HOSTS` FILE FORMAT"); a [`Verdict`]
//! on a key that a host showed goes out, with the file and line that decided it. Exact names are
//! found in a map, wildcard patterns and hashed names are tried one after the other, once per host:
//! each hashed line has its own salt, so 10,000 of them cost about 2 ms a host (measured).
//!
//! A line with `@cert-authority` names who may vouch for a host's key; what such a certificate is
//! worth is decided elsewhere. Nothing is asked or resolved; only [`KnownHosts::append`] writes.

use std::collections::{HashMap, HashSet};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError, RwLock};

use base64::Engine;
use base64::engine::general_purpose::STANDARD_NO_PAD;
use openssl::sha::sha256;

use self::line::{Line, LineError, Marker};
use self::names::Names;
use super::wire::Reader;
use crate::host::{Port, escaped};

mod append;
mod line;
mod names;
#[cfg(test)]
mod tests;

/// How many malformed lines of one file are reported one by one.
const MAX_LINE_WARNINGS: usize = 10;

/// Where a key is that was accepted after the files were read.
const ACCEPTED: &str = "accepted earlier in this run";

/// What is known of a key that a host showed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Verdict {
    /// It is the host's key.
    Known {
        /// `file:line`.
        place: String,
    },
    /// The host is not known by any key.
    Unknown,
    /// The host is known by other keys only, be they of the same type or not.
    Changed {
        /// `file:line` that disagrees.
        place: String,
        /// Type of the key that stands there.
        algorithm: String,
    },
    /// It must not be accepted.
    Revoked {
        /// `file:line`.
        place: String,
    },
}

/// The keys that hosts are known by, shared by all workers of a run.
pub struct KnownHosts {
    /// In the order of files and lines.
    keys: Vec<Key>,
    /// Lines with plain names, by name in lower case. Values index `keys`, as everywhere.
    exact: HashMap<Box<[u8]>, Vec<usize>>,
    /// Lines with wildcards or negations, and lines with a hashed name.
    patterns: Vec<(Names, usize)>,
    /// Keys that are revoked for some hosts, by blob.
    revoked: HashMap<Box<[u8]>, Vec<Rule>>,
    /// Keys that may vouch for those of some hosts.
    authorities: Vec<(Rule, Box<[u8]>)>,
    /// What was found for a host, so that each hashed name is tried on it once.
    found: Mutex<HashMap<String, Arc<[usize]>>>,
    /// Keys accepted since, by host.
    accepted: RwLock<HashMap<String, Vec<Box<[u8]>>>>,
}

/// A key that a host is known by.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KnownKey {
    /// Its type: `ssh-ed25519`.
    pub algorithm: String,
    /// `SHA256:…`.
    pub fingerprint: String,
    /// The key in wire form.
    pub blob: Vec<u8>,
    /// `file:line`.
    pub place: String,
}

impl KnownKey {
    fn of(blob: &[u8], place: &Place) -> Self {
        Self {
            algorithm: algorithm(blob),
            fingerprint: fingerprint(blob),
            blob: blob.to_vec(),
            place: place.show(),
        }
    }
}

struct Key {
    blob: Box<[u8]>,
    place: Place,
}

/// A line that is about some hosts but gives them no key.
struct Rule {
    names: Names,
    place: Place,
}

#[derive(Clone)]
struct Place {
    file: Arc<Path>,
    line: usize,
}

impl Place {
    fn show(&self) -> String {
        format!("{}:{}", shown(&self.file), self.line)
    }
}

impl KnownHosts {
    /// Reads the files, the user's before the global ones, and returns what was odd about them.
    ///
    /// A missing file is an empty one. A file that can't be read and a line that is malformed are
    /// left out with a warning: neither can make a key acceptable.
    pub fn load(user: &[PathBuf], global: &[PathBuf]) -> (Self, Vec<String>) {
        let mut index = Self {
            keys: Vec::new(),
            exact: HashMap::new(),
            patterns: Vec::new(),
            revoked: HashMap::new(),
            authorities: Vec::new(),
            found: Mutex::default(),
            accepted: RwLock::default(),
        };
        let mut warnings = Vec::new();
        for path in user.iter().chain(global) {
            match std::fs::read(path) {
                Ok(bytes) => index.read(path, &bytes, &mut warnings),
                Err(error) if error.kind() == io::ErrorKind::NotFound => {}
                Err(error) => warnings.push(format!(
                    "cannot read known hosts from {}: {error}; the keys in it count as unknown",
                    shown(path)
                )),
            }
        }
        (index, warnings)
    }

    fn read(&mut self, path: &Path, bytes: &[u8], warnings: &mut Vec<String>) {
        let file: Arc<Path> = path.into();
        let mut malformed = 0;
        for (number, text) in (1..).zip(bytes.split(|byte| *byte == b'\n')) {
            let place = Place {
                file: Arc::clone(&file),
                line: number,
            };
            match line::parse(text) {
                Ok(None) => {}
                Ok(Some(line)) => self.insert(line, place),
                Err(error) => {
                    malformed += 1;
                    if malformed <= MAX_LINE_WARNINGS {
                        warnings.push(line_warning(&place, error));
                    }
                }
            }
        }
        if let more @ 1.. = malformed.saturating_sub(MAX_LINE_WARNINGS) {
            warnings.push(format!("{}: {more} more lines ignored", shown(path)));
        }
    }

    fn insert(&mut self, line: Line, place: Place) {
        let names = line.names;
        match line.marker {
            Marker::Revoked => {
                let rule = Rule { names, place };
                self.revoked.entry(line.blob).or_default().push(rule);
            }
            Marker::Authority => self.authorities.push((Rule { names, place }, line.blob)),
            Marker::Plain => {
                let blob = line.blob;
                self.keys.push(Key { blob, place });
                self.insert_names(names, self.keys.len() - 1);
            }
        }
    }

    fn insert_names(&mut self, names: Names, index: usize) {
        if let Some(exact) = names.exact() {
            for name in exact {
                self.exact.entry(name.into()).or_default().push(index);
            }
            return;
        }
        self.patterns.push((names, index));
    }

    /// Judges the key `blob` (RFC 4253 §6.6) that `host` showed at `port`.
    ///
    /// As OpenSSH does it: any line with this key for this host makes it known, in whichever file;
    /// lines with other keys only, of whatever type, make it changed; and a key that is unknown
    /// for `[host]:port` is known if it is the one of plain `host`. Stricter than OpenSSH in one
    /// point: a key revoked for plain `host` is revoked on every port.
    pub fn check(&self, host: &str, port: Port, blob: &[u8]) -> Verdict {
        let (form, plain) = (host_form(host, port), host_form(host, Port::SSH));
        if let Some(place) = self.revocation(&[&form, &plain], blob) {
            return Verdict::Revoked { place };
        }
        match self.verdict(&form, blob) {
            Verdict::Unknown if form != plain => match self.verdict(&plain, blob) {
                known @ Verdict::Known { .. } => known,
                _ => Verdict::Unknown,
            },
            verdict => verdict,
        }
    }

    fn verdict(&self, form: &str, blob: &[u8]) -> Verdict {
        let found = self.find(form);
        let keys = || found.iter().map(|index| &self.keys[*index]);
        if let Some(key) = keys().find(|key| *key.blob == *blob) {
            let place = key.place.show();
            return Verdict::Known { place };
        }
        let accepted = self.accepted(form);
        if accepted.iter().any(|known| **known == *blob) {
            let place = ACCEPTED.to_owned();
            return Verdict::Known { place };
        }
        let offered = algorithm(blob);
        let same = keys().find(|key| algorithm(&key.blob) == offered);
        if let Some(key) = same.or_else(|| keys().next()) {
            return Verdict::Changed {
                place: key.place.show(),
                algorithm: algorithm(&key.blob),
            };
        }
        accepted
            .first()
            .map_or(Verdict::Unknown, |known| Verdict::Changed {
                place: ACCEPTED.to_owned(),
                algorithm: algorithm(known),
            })
    }

    /// Returns the types of the keys that `host` is known by at `port`, in the order of the files.
    ///
    /// Asking for these first keeps a host from showing another of its keys, which would look
    /// like an attack. Revoked keys are left out. As in [`KnownHosts::check`] the keys of plain
    /// `host` stand in when there are none for the port.
    pub fn algorithms(&self, host: &str, port: Port) -> Vec<String> {
        let (form, plain) = (host_form(host, port), host_form(host, Port::SSH));
        let blobs = Some(self.blobs(&form))
            .filter(|blobs| !blobs.is_empty())
            .unwrap_or_else(|| self.blobs(&plain));
        let mut seen = HashSet::new();
        blobs
            .iter()
            .filter(|blob| self.revocation(&[&form, &plain], blob).is_none())
            .map(|blob| algorithm(blob))
            .filter(|algorithm| seen.insert(algorithm.clone()))
            .collect()
    }

    /// Returns the keys that the files have for `host` at `port`, in their order. As in
    /// [`KnownHosts::check`] the keys of plain `host` stand in when there are none for the port.
    pub fn keys_of(&self, host: &str, port: Port) -> Vec<KnownKey> {
        let (form, plain) = (host_form(host, port), host_form(host, Port::SSH));
        let found = self.find(&form);
        let found = if found.is_empty() {
            self.find(&plain)
        } else {
            found
        };
        let keys = found.iter().map(|index| &self.keys[*index]);
        keys.map(|key| KnownKey::of(&key.blob, &key.place))
            .collect()
    }

    fn blobs(&self, form: &str) -> Vec<Box<[u8]>> {
        let found = self.find(form);
        let keys = found.iter().map(|index| self.keys[*index].blob.clone());
        keys.chain(self.accepted(form)).collect()
    }

    /// Returns the keys that may vouch for those of `host` at `port`, except those that are revoked.
    pub fn authorities(&self, host: &str, port: Port) -> Vec<KnownKey> {
        let (form, plain) = (host_form(host, port), host_form(host, Port::SSH));
        let rules = self.authorities.iter();
        let trusted = rules.filter(|(rule, blob)| {
            rule.names.matches(form.as_bytes()) && self.revocation(&[&form, &plain], blob).is_none()
        });
        trusted
            .map(|(rule, blob)| KnownKey::of(blob, &rule.place))
            .collect()
    }

    /// Whether `blob` is the key of an authority that may vouch for the keys of `host` at `port`.
    pub fn is_authority(&self, host: &str, port: Port, blob: &[u8]) -> bool {
        let trusted = self.authorities(host, port);
        trusted.iter().any(|key| key.blob == blob)
    }

    /// Accepts `blob` as the key of `host` at `port` for the rest of the run, and says what it is
    /// now: known, unless it is revoked or the host got another key in the meantime.
    pub fn add(&self, host: &str, port: Port, blob: &[u8]) -> Verdict {
        self.accept(&host_form(host, port), blob);
        self.check(host, port, blob)
    }

    /// Does the same for a host named as [`host_form`] does. It never replaces a key: of two that
    /// are accepted for one host at the same time the first one stays.
    pub fn accept(&self, form: &str, blob: &[u8]) {
        let form = form.to_ascii_lowercase();
        let found = self.find(&form);
        let mut accepted = self
            .accepted
            .write()
            .unwrap_or_else(PoisonError::into_inner);
        let keys = accepted.entry(form).or_default();
        if keys.is_empty() && found.is_empty() {
            keys.push(blob.into());
        }
    }

    /// Appends one line for each host (as [`host_form`] names it) and key to the file at `path`.
    ///
    /// All lines go out in a single write, under a lock: any number of threads and processes may
    /// do this at once. Missing files are made with mode 0600, a missing folder with 0700. May
    /// block for the lock. What was read before is not changed: see [`KnownHosts::add`].
    ///
    /// With `is_hashed` the hosts' names can be recognised there, but not read.
    ///
    /// # Errors
    /// When a host can't be named in such a file (`*`, a blank), or the file can't be written.
    pub fn append(path: &Path, lines: &[(String, Vec<u8>)], is_hashed: bool) -> io::Result<()> {
        append::append(path, lines, is_hashed)
    }

    /// Returns the keys that a host is known by, in the order of the files.
    fn find(&self, form: &str) -> Arc<[usize]> {
        let lock = || self.found.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(found) = lock().get(form) {
            return Arc::clone(found);
        }
        let name = form.as_bytes();
        let mut found = self.exact.get(name).cloned().unwrap_or_default();
        let patterns = self.patterns.iter();
        found.extend(
            patterns
                .filter(|(names, _)| names.matches(name))
                .map(|(_, index)| *index),
        );
        found.sort_unstable();
        found.dedup();
        let found: Arc<[usize]> = found.into();
        lock().insert(form.to_owned(), Arc::clone(&found));
        found
    }

    fn accepted(&self, form: &str) -> Vec<Box<[u8]>> {
        let accepted = self.accepted.read().unwrap_or_else(PoisonError::into_inner);
        accepted.get(form).cloned().unwrap_or_default()
    }

    /// Returns the line that revokes `blob` for one of the forms.
    fn revocation(&self, forms: &[&str], blob: &[u8]) -> Option<String> {
        let rule = self
            .revoked
            .get(blob)?
            .iter()
            .find(|rule| forms.iter().any(|form| rule.names.matches(form.as_bytes())))?;
        Some(rule.place.show())
    }
}

fn line_warning(place: &Place, error: LineError) -> String {
    format!("{}: {error}; the line is ignored", place.show())
}

fn shown(path: &Path) -> String {
    escaped(&path.to_string_lossy())
}

/// Returns the host as `known_hosts` names it, in lower case: `web1`, `[web1]:2222`.
pub fn host_form(host: &str, port: Port) -> String {
    let host = host.to_ascii_lowercase();
    if port == Port::SSH {
        host
    } else {
        format!("[{host}]:{port}")
    }
}

/// Returns the fingerprint of a key in wire form, as `ssh-keygen -l` prints it: `SHA256:…`.
pub fn fingerprint(blob: &[u8]) -> String {
    format!("SHA256:{}", STANDARD_NO_PAD.encode(sha256(blob)))
}

/// Returns the type that a key in wire form names: `ssh-ed25519`. What can't be printed is
/// escaped; the type of something that is no key is empty.
pub fn algorithm(blob: &[u8]) -> String {
    let name = Reader::new(blob).string().unwrap_or_default();
    escaped(&String::from_utf8_lossy(name))
}

/// Reads a public key as text, `ssh-ed25519 AAAA… comment`, and returns its wire form; `None` if
/// the first line is not a whole key.
pub fn public_key(text: &[u8]) -> Option<Vec<u8>> {
    line::parse_key(text).ok()
}
