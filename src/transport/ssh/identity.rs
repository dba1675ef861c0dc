//! Private keys that prove who the user is, loaded once and shared by every host of a run.
//!
//! A path comes in; an [`Identity`] that can sign goes out, or an [`EncryptedIdentity`] that waits
//! for its passphrase. Read are OpenSSH's own format, PKCS#1 and SEC 1 (encrypted or not) and
//! PKCS#8, with Ed25519, ECDSA and RSA keys. A file that others can read is refused, as `ssh` does.
//!
//! Nothing here asks for a passphrase or talks to an agent. Secret parts are wiped from memory.

use std::fmt;
use std::fs::File;
use std::io::{self, Read};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use openssl::ec::EcKey;
use openssl::error::ErrorStack;
use openssl::pkey::{PKey, Private};
use openssl::rsa::Rsa;
use thiserror::Error;
use zeroize::Zeroizing;

use self::openssh::Container;
use self::pem::{Block, Encryption};
use self::signing::{SignError, SigningKey};
use super::known_hosts;
use super::wire::{Reader, put_string};
use crate::host::escaped;

mod openssh;
mod pem;
mod signing;
#[cfg(test)]
pub(super) mod tests;

/// Longest key file, as in OpenSSH.
const MAX_FILE_BYTES: u64 = 1024 * 1024;

/// Why a private key can't be used. `path` is its file.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum IdentityError {
    /// The file can't be opened or read.
    #[error("cannot read the private key {}: {source}", shown(.path))]
    Read {
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// Others can read the file.
    #[error(
        "the private key {0} is open to others (mode {mode:04o}); \
         close it with `chmod 600 {0}`",
        shown(.path)
    )]
    Permissions {
        /// The file.
        path: PathBuf,
        /// Permission bits.
        mode: u32,
    },
    /// It is some other file.
    #[error("{} is not a private key: it holds {found}", shown(.path))]
    NotPrivate {
        /// The file.
        path: PathBuf,
        /// What was recognised, and how to go on.
        found: &'static str,
    },
    /// It is damaged.
    #[error("the private key {} is damaged: {reason}", shown(.path))]
    Broken {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        reason: &'static str,
    },
    /// It is of a kind that can't be used here.
    #[error("the private key {} can't be used: {reason}", shown(.path))]
    Unsupported {
        /// The file.
        path: PathBuf,
        /// What it is, and how to go on.
        reason: String,
    },
    /// It is only the handle of a key that a piece of hardware holds.
    #[error(
        "the private key {} lives on a security key, which only an agent can ask: add it with \
         `ssh-add`, or use --transport openssh",
        shown(.path)
    )]
    Hardware {
        /// The file.
        path: PathBuf,
        /// The public key in wire form, which an agent knows it by.
        public: Vec<u8>,
    },
    /// It can't be decrypted with this passphrase.
    #[error("wrong passphrase for the private key {}", shown(.path))]
    WrongPassphrase {
        /// The file.
        path: PathBuf,
    },
    /// It was asked to sign in a way that it can't or that is broken by now.
    #[error(
        "the private key {} does not sign with `{}`",
        shown(.path),
        escaped(.algorithm)
    )]
    Algorithm {
        /// The file.
        path: PathBuf,
        /// What was asked for.
        algorithm: String,
    },
    /// The arithmetic failed.
    #[error("OpenSSL failed on the private key {}", shown(.path))]
    Crypto {
        /// The file.
        path: PathBuf,
        /// What OpenSSL said, if anything.
        source: Option<ErrorStack>,
    },
}

/// What is wrong with a key, whatever file it came from.
#[derive(Debug)]
enum Flaw {
    Broken(&'static str),
    NotPrivate(&'static str),
    Unsupported(String),
    Hardware(Vec<u8>),
    Passphrase,
    Crypto,
}

impl Flaw {
    fn unsupported(reason: impl Into<String>) -> Self {
        Self::Unsupported(reason.into())
    }

    fn dsa() -> Self {
        Self::unsupported("servers no longer accept DSA keys; make a new one with `ssh-keygen`")
    }

    fn encryption() -> Self {
        Self::unsupported("its encryption is not supported; change it with `ssh-keygen -p`")
    }

    fn kind() -> Self {
        Self::unsupported("keys of its type are not supported; make one with `ssh-keygen`")
    }

    fn of(self, path: &Path) -> IdentityError {
        let path = path.to_owned();
        match self {
            Self::Broken(reason) => IdentityError::Broken { path, reason },
            Self::NotPrivate(found) => IdentityError::NotPrivate { path, found },
            Self::Unsupported(reason) => IdentityError::Unsupported { path, reason },
            Self::Hardware(public) => IdentityError::Hardware { path, public },
            Self::Passphrase => IdentityError::WrongPassphrase { path },
            Self::Crypto => IdentityError::Crypto { path, source: None },
        }
    }
}

/// A private key that can sign; cheap to clone and to share between threads.
#[derive(Clone)]
pub struct Identity {
    /// The file it came from.
    pub path: PathBuf,
    /// The public key in wire form.
    pub public: Vec<u8>,
    key: SigningKey,
}

/// A key that hosts are shown because a file names it.
#[derive(Debug, Clone)]
pub enum NamedKey {
    /// It signs by itself.
    Own(Identity),
    /// An agent signs; the file told only the public half.
    Agent {
        /// The file.
        path: PathBuf,
        /// The public key in wire form.
        public: Vec<u8>,
    },
}

impl NamedKey {
    /// Returns the file that names it.
    pub fn path(&self) -> &Path {
        match self {
            Self::Own(identity) => &identity.path,
            Self::Agent { path, .. } => path,
        }
    }

    /// Returns the public key in wire form.
    pub fn public(&self) -> &[u8] {
        match self {
            Self::Own(identity) => &identity.public,
            Self::Agent { public, .. } => public,
        }
    }
}

/// A certificate that vouches for a user's key (PROTOCOL.certkeys of OpenSSH).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Certificate {
    /// The file it came from.
    pub path: PathBuf,
    /// The certificate in wire form.
    pub blob: Vec<u8>,
    /// The public key it vouches for, in wire form.
    pub public: Vec<u8>,
}

impl Certificate {
    /// Reads a certificate as `ssh-keygen -s` writes it; `None` if the file holds none.
    pub fn load(path: &Path) -> Option<Self> {
        let mut text = Vec::new();
        let file = File::open(path).ok()?;
        file.take(MAX_FILE_BYTES).read_to_end(&mut text).ok()?;
        let blob = known_hosts::public_key(&text)?;
        Some(Self {
            path: path.to_owned(),
            public: key_of(&blob)?.0,
            blob,
        })
    }

    /// Returns where `ssh` looks for a key's certificate by itself.
    pub fn beside(key: &Path) -> PathBuf {
        let mut name = key.as_os_str().to_owned();
        name.push("-cert.pub");
        name.into()
    }
}

/// Takes the key out of a certificate: after the type and a nonce come the fields of the key.
/// Returns the rest as well.
pub(super) fn key_of(certificate: &[u8]) -> Option<(Vec<u8>, Reader<'_>)> {
    let mut reader = Reader::new(certificate);
    let kind = std::str::from_utf8(reader.string()?).ok()?;
    let kind = kind.strip_suffix("-cert-v01@openssh.com")?;
    let (name, fields) = match kind {
        "ssh-ed25519" => (kind.to_owned(), 1),
        "sk-ssh-ed25519" => (format!("{kind}@openssh.com"), 2),
        "sk-ecdsa-sha2-nistp256" => (format!("{kind}@openssh.com"), 3),
        _ => (kind.to_owned(), 2),
    };
    reader.string()?;
    let mut key = Vec::new();
    put_string(&mut key, name.as_bytes());
    for _ in 0..fields {
        put_string(&mut key, reader.string()?);
    }
    Some((key, reader))
}

/// A private key that waits for its passphrase.
pub struct EncryptedIdentity {
    /// The file it came from.
    pub path: PathBuf,
    /// The public key in wire form, where the file or a `.pub` file beside it tells.
    ///
    /// A hint only (to see whether an agent holds it): it is not vouched for until decrypted.
    pub public: Option<Vec<u8>>,
    sealed: Sealed,
}

/// A key file, read.
#[derive(Debug)]
pub enum Loaded {
    /// It was not encrypted.
    Ready(Identity),
    /// It needs a passphrase.
    Encrypted(EncryptedIdentity),
}

/// An encrypted key in one of the formats.
enum Sealed {
    OpenSsh(Container),
    /// RFC 1421, under this label.
    Headed(String, Encryption, Zeroizing<Vec<u8>>),
    Pkcs8(Zeroizing<Vec<u8>>),
}

enum Content {
    Open(SigningKey),
    Sealed(Sealed),
}

impl Identity {
    /// Reads a private key, without asking for a passphrase.
    ///
    /// # Errors
    /// When the file can't be read, others can read it, or it holds no private key that can be
    /// used. An encrypted key is checked as far as that goes without its passphrase.
    pub fn load(path: &Path) -> Result<Loaded, IdentityError> {
        let bytes = read(path)?;
        match content(&bytes).map_err(|flaw| flaw.of(path))? {
            Content::Open(key) => Self::new(path, key).map(Loaded::Ready),
            Content::Sealed(sealed) => {
                let public = match &sealed {
                    Sealed::OpenSsh(container) => Some(container.public.clone()),
                    _ => public_beside(path),
                };
                Ok(Loaded::Encrypted(EncryptedIdentity {
                    path: path.to_owned(),
                    public,
                    sealed,
                }))
            }
        }
    }

    fn new(path: &Path, key: SigningKey) -> Result<Self, IdentityError> {
        Ok(Self {
            path: path.to_owned(),
            public: key.public().map_err(|flaw| flaw.of(path))?,
            key,
        })
    }

    /// Returns the signature algorithms of the key, the best one first: two for RSA keys.
    pub fn algorithms(&self) -> &'static [&'static str] {
        self.key.algorithms()
    }

    /// Signs `data` and returns the signature as SSH messages hold it after the algorithm's name:
    /// 64 bytes for Ed25519, two mpints for ECDSA, as many bytes as the modulus for RSA.
    ///
    /// # Errors
    /// When `algorithm` is none of [`Identity::algorithms`]: SHA-1 (`ssh-rsa`) is refused.
    pub fn sign(&self, algorithm: &str, data: &[u8]) -> Result<Vec<u8>, IdentityError> {
        let path = || self.path.clone();
        self.key.sign(algorithm, data).map_err(|error| match error {
            SignError::Algorithm => IdentityError::Algorithm {
                path: path(),
                algorithm: algorithm.to_owned(),
            },
            SignError::Crypto(source) => IdentityError::Crypto {
                path: path(),
                source: Some(source),
            },
        })
    }
}

impl fmt::Debug for Identity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Identity")
            .field("path", &self.path)
            .field("public", &known_hosts::fingerprint(&self.public))
            .finish_non_exhaustive()
    }
}

impl EncryptedIdentity {
    /// Decrypts the key. Slow by design: do it once, away from the workers.
    ///
    /// # Errors
    /// [`IdentityError::WrongPassphrase`], after which another one may be tried; everything else
    /// means that no passphrase would help.
    pub fn decrypt(&self, passphrase: &str) -> Result<Identity, IdentityError> {
        let key = self.sealed.open(passphrase);
        Identity::new(&self.path, key.map_err(|flaw| flaw.of(&self.path))?)
    }
}

impl fmt::Debug for EncryptedIdentity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("EncryptedIdentity")
            .field("path", &self.path)
            .finish_non_exhaustive()
    }
}

impl Sealed {
    fn open(&self, passphrase: &str) -> Result<SigningKey, Flaw> {
        match self {
            Self::OpenSsh(container) => container.decrypt(passphrase),
            Self::Headed(label, encryption, body) => {
                let der = encryption.decrypt(body, passphrase.as_bytes())?;
                // One wrong passphrase in 256 looks right until here.
                let key = from_der(label, &der).map_err(|_| Flaw::Passphrase)?;
                SigningKey::new(key)
            }
            Self::Pkcs8(der) => {
                let key = PKey::private_key_from_pkcs8_passphrase(der, passphrase.as_bytes());
                SigningKey::new(key.map_err(|error| pkcs8_flaw(&error))?)
            }
        }
    }
}

/// Tells a passphrase that is wrong from an encryption that is not built in.
fn pkcs8_flaw(error: &ErrorStack) -> Flaw {
    let is_unknown = |reason: &str| reason.contains("unsupported") || reason.contains("unknown");
    if error
        .errors()
        .iter()
        .filter_map(openssl::error::Error::reason)
        .any(is_unknown)
    {
        return Flaw::encryption();
    }
    Flaw::Passphrase
}

/// Finds out what a key file holds.
fn content(bytes: &[u8]) -> Result<Content, Flaw> {
    let Some(block) = pem::find(bytes) else {
        return Err(Flaw::NotPrivate(recognised(bytes)));
    };
    let Block {
        label,
        encryption,
        body,
    } = block?;
    let key = match (&*label, encryption) {
        ("OPENSSH PRIVATE KEY", None) => {
            let container = Container::parse(&body)?;
            if container.is_encrypted() {
                return Ok(Content::Sealed(Sealed::OpenSsh(container)));
            }
            return container.open().map(Content::Open);
        }
        ("ENCRYPTED PRIVATE KEY", None) => {
            check_pkcs8(&body)?;
            return Ok(Content::Sealed(Sealed::Pkcs8(body)));
        }
        ("RSA PRIVATE KEY" | "EC PRIVATE KEY", Some(encryption)) => {
            if !encryption.fits(&body) {
                return Err(Flaw::Broken("it is cut short"));
            }
            return Ok(Content::Sealed(Sealed::Headed(label, encryption, body)));
        }
        ("RSA PRIVATE KEY" | "EC PRIVATE KEY" | "PRIVATE KEY", None) => from_der(&label, &body),
        ("DSA PRIVATE KEY", _) => return Err(Flaw::dsa()),
        _ => return Err(Flaw::kind()),
    };
    let key = key.map_err(|_| Flaw::Broken("it is cut short or malformed"))?;
    SigningKey::new(key).map(Content::Open)
}

/// Reads what stands under a label, decrypted.
fn from_der(label: &str, der: &[u8]) -> Result<PKey<Private>, ErrorStack> {
    match label {
        "RSA PRIVATE KEY" => PKey::from_rsa(Rsa::private_key_from_der(der)?),
        "EC PRIVATE KEY" => PKey::from_ec_key(EcKey::private_key_from_der(der)?),
        _ => PKey::private_key_from_pkcs8(der),
    }
}

/// Checks that an encrypted PKCS#8 key is whole: `SEQUENCE { SEQUENCE …, OCTET STRING }` (RFC
/// 5958 §3). Afterwards a failure can only come from the passphrase.
fn check_pkcs8(der: &[u8]) -> Result<(), Flaw> {
    let parts = || {
        let (body, rest) = der_value(0x30, der)?;
        let (_algorithm, data) = der_value(0x30, body)?;
        let (data, after) = der_value(0x04, data)?;
        (rest.is_empty() && after.is_empty() && !data.is_empty()).then_some(())
    };
    parts().ok_or(Flaw::Broken("it is cut short or malformed"))
}

/// Splits off a DER value with this tag (X.690 §8.1); lengths have at most three bytes here.
fn der_value(tag: u8, der: &[u8]) -> Option<(&[u8], &[u8])> {
    let rest = der.strip_prefix(&[tag])?;
    let (length, rest) = match *rest {
        [short @ ..=0x7f, ref rest @ ..] => (usize::from(short), rest),
        [0x81, a, ref rest @ ..] => (usize::from(a), rest),
        [0x82, a, b, ref rest @ ..] => (usize::from(u16::from_be_bytes([a, b])), rest),
        _ => return None,
    };
    rest.split_at_checked(length)
}

/// Says what a file without a private key holds.
fn recognised(bytes: &[u8]) -> &'static str {
    let text = bytes.trim_ascii_start();
    if text.starts_with(b"PuTTY-User-Key-File") {
        return "a key of PuTTY; export it with `puttygen KEY -O private-openssh-new -o NEW`";
    }
    if text.starts_with(b"---- BEGIN SSH2 ENCRYPTED PRIVATE KEY") {
        return "a key in the SSH2 format; convert it with `ssh-keygen -i -f KEY`";
    }
    match known_hosts::public_key(text) {
        Some(_) => "a public key; name the file without `.pub`",
        None => "nothing of the kind",
    }
}

/// Reads the public key from the `.pub` file beside `path`.
fn public_beside(path: &Path) -> Option<Vec<u8>> {
    let mut beside = path.to_owned().into_os_string();
    beside.push(".pub");
    let mut text = Vec::new();
    let file = File::open(beside).ok()?;
    file.take(MAX_FILE_BYTES).read_to_end(&mut text).ok()?;
    known_hosts::public_key(&text)
}

/// Reads a key file, refusing one that others can read.
fn read(path: &Path) -> Result<Zeroizing<Vec<u8>>, IdentityError> {
    let failed = |source| IdentityError::Read {
        path: path.to_owned(),
        source,
    };
    let file = File::open(path).map_err(failed)?;
    let metadata = file.metadata().map_err(failed)?;
    // As OpenSSH: other people's files are theirs to protect.
    let is_own = metadata.uid() == rustix::process::getuid().as_raw();
    if is_own && metadata.mode() & 0o077 != 0 && !metadata.is_dir() {
        return Err(IdentityError::Permissions {
            path: path.to_owned(),
            mode: metadata.mode() & 0o7777,
        });
    }
    // Room for all of it, so that no copy is left behind when it grows.
    let room = metadata.len().clamp(16 * 1024, MAX_FILE_BYTES) + 1;
    let mut bytes = Zeroizing::new(Vec::with_capacity(usize::try_from(room).unwrap_or(0)));
    let limited = file.take(MAX_FILE_BYTES + 1).read_to_end(&mut bytes);
    if limited.map_err(failed)? as u64 > MAX_FILE_BYTES {
        let found = "more than a key file can";
        return Err(Flaw::NotPrivate(found).of(path));
    }
    Ok(bytes)
}

fn shown(path: &Path) -> String {
    escaped(&path.to_string_lossy())
}
