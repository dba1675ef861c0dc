//! A private key that is ready to sign, whatever file it came from.
//!
//! It is parsed once; a signature costs the arithmetic alone. What comes out is what the SSH
//! message holds after the algorithm's name.

use std::sync::Arc;

use ed25519_dalek::Signer as _;
use openssl::bn::BigNumContext;
use openssl::ec::PointConversionForm;
use openssl::ecdsa::EcdsaSig;
use openssl::error::ErrorStack;
use openssl::hash::MessageDigest;
use openssl::nid::Nid;
use openssl::pkey::{Id, PKey, Private};
use openssl::sign::{Signer, Verifier};

use zeroize::Zeroizing;

use super::Flaw;
use crate::transport::ssh::wire::{put_mpint, put_string};

/// Sizes of RSA keys in bits that OpenSSH takes.
const RSA_BITS: std::ops::RangeInclusive<u32> = 1024..=16384;

/// A curve of the NIST (RFC 5656 §10.1).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Curve {
    P256,
    P384,
    P521,
}

impl Curve {
    const ALL: [Self; 3] = [Self::P256, Self::P384, Self::P521];

    pub(super) fn of_key(algorithm: &[u8]) -> Option<Self> {
        let mut all = Self::ALL.into_iter();
        all.find(|curve| curve.algorithms()[0].as_bytes() == algorithm)
    }

    pub(super) fn name(self) -> &'static str {
        match self {
            Self::P256 => "nistp256",
            Self::P384 => "nistp384",
            Self::P521 => "nistp521",
        }
    }

    pub(super) fn nid(self) -> Nid {
        match self {
            Self::P256 => Nid::X9_62_PRIME256V1,
            Self::P384 => Nid::SECP384R1,
            Self::P521 => Nid::SECP521R1,
        }
    }

    fn algorithms(self) -> &'static [&'static str] {
        match self {
            Self::P256 => &["ecdsa-sha2-nistp256"],
            Self::P384 => &["ecdsa-sha2-nistp384"],
            Self::P521 => &["ecdsa-sha2-nistp521"],
        }
    }

    fn digest(self) -> MessageDigest {
        match self {
            Self::P256 => MessageDigest::sha256(),
            Self::P384 => MessageDigest::sha384(),
            Self::P521 => MessageDigest::sha512(),
        }
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    Ed25519,
    Ecdsa(Curve),
    Rsa,
}

/// Why there is no signature.
pub(super) enum SignError {
    /// The key has no such algorithm.
    Algorithm,
    /// OpenSSL failed.
    Crypto(ErrorStack),
}

impl From<ErrorStack> for SignError {
    fn from(error: ErrorStack) -> Self {
        Self::Crypto(error)
    }
}

/// A private key of a kind that SSH knows; cheap to clone.
#[derive(Clone)]
pub(super) struct SigningKey {
    key: PKey<Private>,
    kind: Kind,
    /// The same key where it is an Ed25519 one, for an arithmetic much faster than OpenSSL's.
    ed25519: Option<Arc<ed25519_dalek::SigningKey>>,
}

impl SigningKey {
    /// Takes a key that a user can log in with, once it has verified a signature of its own.
    pub(super) fn new(key: PKey<Private>) -> Result<Self, Flaw> {
        let kind = kind(&key)?;
        let ed25519 = match kind {
            Kind::Ed25519 => Some(ed25519(&key)?),
            Kind::Ecdsa(_) | Kind::Rsa => None,
        };
        let key = Self { key, kind, ed25519 };
        match key.is_sound() {
            Ok(true) => Ok(key),
            _ => Err(Flaw::Broken("its numbers do not fit together")),
        }
    }

    /// Returns the algorithms it signs with, the best one first.
    pub(super) fn algorithms(&self) -> &'static [&'static str] {
        match self.kind {
            Kind::Ed25519 => &["ssh-ed25519"],
            Kind::Ecdsa(curve) => curve.algorithms(),
            Kind::Rsa => &["rsa-sha2-512", "rsa-sha2-256"],
        }
    }

    /// Returns the public key in wire form: RFC 8709 §4, RFC 5656 §3.1, RFC 4253 §6.6.
    pub(super) fn public(&self) -> Result<Vec<u8>, Flaw> {
        self.public_blob().map_err(|_| Flaw::Crypto)
    }

    fn public_blob(&self) -> Result<Vec<u8>, ErrorStack> {
        let mut blob = Vec::new();
        match self.kind {
            Kind::Ed25519 => {
                put_string(&mut blob, b"ssh-ed25519");
                put_string(&mut blob, &self.key.raw_public_key()?);
            }
            Kind::Ecdsa(curve) => {
                let key = self.key.ec_key()?;
                let form = PointConversionForm::UNCOMPRESSED;
                let mut context = BigNumContext::new()?;
                let point = key.public_key().to_bytes(key.group(), form, &mut context)?;
                put_string(&mut blob, curve.algorithms()[0].as_bytes());
                put_string(&mut blob, curve.name().as_bytes());
                put_string(&mut blob, &point);
            }
            Kind::Rsa => {
                let key = self.key.rsa()?;
                put_string(&mut blob, b"ssh-rsa");
                put_mpint(&mut blob, &key.e().to_vec());
                put_mpint(&mut blob, &key.n().to_vec());
            }
        }
        Ok(blob)
    }

    /// Signs `data`: RFC 8709 §6, RFC 5656 §3.1.2, RFC 8332 §3.
    pub(super) fn sign(&self, algorithm: &str, data: &[u8]) -> Result<Vec<u8>, SignError> {
        if !self.algorithms().contains(&algorithm) {
            return Err(SignError::Algorithm);
        }
        let signature = self.signature(algorithm, data)?;
        if !matches!(self.kind, Kind::Ecdsa(_)) {
            return Ok(signature);
        }
        let numbers = EcdsaSig::from_der(&signature)?;
        let mut blob = Vec::with_capacity(signature.len() + 8);
        put_mpint(&mut blob, &numbers.r().to_vec());
        put_mpint(&mut blob, &numbers.s().to_vec());
        Ok(blob)
    }

    fn signature(&self, algorithm: &str, data: &[u8]) -> Result<Vec<u8>, ErrorStack> {
        match &self.ed25519 {
            Some(key) => Ok(key.sign(data).to_bytes().to_vec()),
            None => self.signer(algorithm)?.sign_oneshot_to_vec(data),
        }
    }

    fn signer(&self, algorithm: &str) -> Result<Signer<'_>, ErrorStack> {
        match digest(self.kind, algorithm) {
            Some(digest) => Signer::new(digest, &self.key),
            None => Signer::new_without_digest(&self.key),
        }
    }

    /// Whether the public part verifies what the private part signs.
    fn is_sound(&self) -> Result<bool, ErrorStack> {
        let algorithm = self.algorithms()[0];
        let signature = self.signature(algorithm, b"sound")?;
        let mut verifier = match digest(self.kind, algorithm) {
            Some(digest) => Verifier::new(digest, &self.key)?,
            None => Verifier::new_without_digest(&self.key)?,
        };
        verifier.verify_oneshot(&signature, b"sound")
    }
}

fn ed25519(key: &PKey<Private>) -> Result<Arc<ed25519_dalek::SigningKey>, Flaw> {
    let secret = Zeroizing::new(key.raw_private_key().map_err(|_| Flaw::Crypto)?);
    let secret = <&[u8; 32]>::try_from(secret.as_slice()).map_err(|_| Flaw::Crypto)?;
    Ok(Arc::new(ed25519_dalek::SigningKey::from_bytes(secret)))
}

/// Returns what the data is digested with, where that is not part of the algorithm itself.
fn digest(kind: Kind, algorithm: &str) -> Option<MessageDigest> {
    match kind {
        Kind::Ed25519 => None,
        Kind::Ecdsa(curve) => Some(curve.digest()),
        Kind::Rsa if algorithm == "rsa-sha2-256" => Some(MessageDigest::sha256()),
        Kind::Rsa => Some(MessageDigest::sha512()),
    }
}

fn kind(key: &PKey<Private>) -> Result<Kind, Flaw> {
    match key.id() {
        Id::ED25519 => Ok(Kind::Ed25519),
        Id::RSA if RSA_BITS.contains(&key.bits()) => Ok(Kind::Rsa),
        Id::RSA => Err(Flaw::unsupported(format!(
            "it has {} bits, and RSA keys need {} to {}; make a new one with `ssh-keygen`",
            key.bits(),
            RSA_BITS.start(),
            RSA_BITS.end()
        ))),
        Id::EC => {
            let nid = key.ec_key().map_err(|_| Flaw::Crypto)?.group().curve_name();
            let curve = Curve::ALL
                .into_iter()
                .find(|curve| Some(curve.nid()) == nid);
            curve.map(Kind::Ecdsa).ok_or_else(Flaw::kind)
        }
        Id::DSA => Err(Flaw::dsa()),
        _ => Err(Flaw::kind()),
    }
}
