//! Certificates of hosts (`PROTOCOL.certkeys` of OpenSSH): a key that an authority vouches for.
//!
//! What a host showed comes in; whether its certificate is good for a name at a time goes out, or
//! why not. Which authorities are trusted is for `known_hosts` to say, and that the host holds the
//! key is proved by the key exchange.

use std::time::{SystemTime, UNIX_EPOCH};

use openssl::bn::BigNum;
use openssl::ec::{EcGroup, EcKey, EcPoint};
use openssl::ecdsa::EcdsaSig;
use openssl::hash::MessageDigest;
use openssl::nid::Nid;
use openssl::pkey::{Id, PKey};
use openssl::rsa::Rsa;
use openssl::sign::Verifier;

use super::identity;
use super::wire::Reader;
use crate::host::escaped;

/// `SSH_CERT_TYPE_HOST`.
const HOST: u32 = 2;
/// Smallest RSA key of an authority, in bits, as OpenSSH takes it.
const MIN_RSA_BITS: u32 = 1024;

/// A certificate, taken apart.
#[derive(Debug)]
pub(super) struct HostCertificate<'a> {
    /// The key it is for, in wire form.
    pub(super) key: Vec<u8>,
    /// The key of the authority that signed it, in wire form.
    pub(super) authority: &'a [u8],
    kind: u32,
    principals: Vec<&'a [u8]>,
    valid_after: u64,
    valid_before: u64,
    has_critical_options: bool,
    signed: &'a [u8],
    signature: &'a [u8],
}

impl<'a> HostCertificate<'a> {
    /// Takes a certificate apart; `None` for a plain key and for what is no whole certificate.
    pub(super) fn parse(blob: &'a [u8]) -> Option<Self> {
        let (key, mut reader) = identity::key_of(blob)?;
        reader.take(8)?; // serial number
        let kind = reader.u32()?;
        reader.string()?; // key identifier
        let principals = list(reader.string()?)?;
        let valid_after = reader.u64()?;
        let valid_before = reader.u64()?;
        let has_critical_options = !reader.string()?.is_empty();
        reader.string()?; // extensions
        reader.string()?; // reserved
        let authority = reader.string()?;
        let signed = &blob[..blob.len() - reader.rest().len()];
        let signature = reader.string()?;
        reader.is_empty().then_some(Self {
            key,
            authority,
            kind,
            principals,
            valid_after,
            valid_before,
            has_critical_options,
            signed,
            signature,
        })
    }

    /// Checks that the authority signed it for a host of this name, and that it holds at this time.
    ///
    /// # Errors
    /// In words that follow "its certificate".
    pub(super) fn check(&self, name: &str, at: SystemTime) -> Result<(), String> {
        if self.kind != HOST {
            return Err("is not for hosts".to_owned());
        }
        if self.has_critical_options {
            return Err("has conditions that are not known".to_owned());
        }
        let now = at
            .duration_since(UNIX_EPOCH)
            .map_or(0, |since| since.as_secs());
        if now < self.valid_after {
            return Err("is not valid yet".to_owned());
        }
        if now >= self.valid_before {
            return Err("has expired".to_owned());
        }
        // A list without names stands for every name.
        let is_named = |principal: &&[u8]| principal.eq_ignore_ascii_case(name.as_bytes());
        if !self.principals.is_empty() && !self.principals.iter().any(is_named) {
            return Err(format!("is not for `{}`", escaped(name)));
        }
        match verify(self.authority, self.signed, self.signature) {
            Some(true) => Ok(()),
            Some(false) => Err("has a wrong signature".to_owned()),
            None => Err("is signed in a way that can't be checked".to_owned()),
        }
    }
}

fn list(packed: &[u8]) -> Option<Vec<&[u8]>> {
    let mut reader = Reader::new(packed);
    let mut all = Vec::new();
    while !reader.is_empty() {
        all.push(reader.string()?);
    }
    Some(all)
}

/// Verifies a signature (RFC 4253 §6.6, RFC 5656 §3.1.2, RFC 8332 §3, RFC 8709 §6); `None` where
/// the key or the algorithm can't be used. SHA-1 can't.
fn verify(key: &[u8], data: &[u8], signature: &[u8]) -> Option<bool> {
    let mut key = Reader::new(key);
    let mut signature = Reader::new(signature);
    let kind = key.string()?;
    let algorithm = signature.string()?;
    let signature = signature.string()?;
    match (kind, algorithm) {
        (b"ssh-ed25519", b"ssh-ed25519") => {
            let public = PKey::public_key_from_raw_bytes(key.string()?, Id::ED25519).ok()?;
            let mut verifier = Verifier::new_without_digest(&public).ok()?;
            Some(verifier.verify_oneshot(signature, data).unwrap_or(false))
        }
        (b"ssh-rsa", b"rsa-sha2-256" | b"rsa-sha2-512") => {
            let digest = match algorithm {
                b"rsa-sha2-256" => MessageDigest::sha256(),
                _ => MessageDigest::sha512(),
            };
            let exponent = BigNum::from_slice(key.string()?).ok()?;
            let modulus = BigNum::from_slice(key.string()?).ok()?;
            let public = Rsa::from_public_components(modulus, exponent).ok()?;
            if public.size() * 8 < MIN_RSA_BITS {
                return None;
            }
            let public = PKey::from_rsa(public).ok()?;
            let mut verifier = Verifier::new(digest, &public).ok()?;
            Some(verifier.verify_oneshot(signature, data).unwrap_or(false))
        }
        _ if kind == algorithm => {
            let (curve, digest) = match kind {
                b"ecdsa-sha2-nistp256" => (Nid::X9_62_PRIME256V1, MessageDigest::sha256()),
                b"ecdsa-sha2-nistp384" => (Nid::SECP384R1, MessageDigest::sha384()),
                b"ecdsa-sha2-nistp521" => (Nid::SECP521R1, MessageDigest::sha512()),
                _ => return None,
            };
            key.string()?; // the curve once more
            let group = EcGroup::from_curve_name(curve).ok()?;
            let mut context = openssl::bn::BigNumContext::new().ok()?;
            let point = EcPoint::from_bytes(&group, key.string()?, &mut context).ok()?;
            let public = EcKey::from_public_key(&group, &point).ok()?;
            let mut numbers = Reader::new(signature);
            let r = BigNum::from_slice(numbers.string()?).ok()?;
            let s = BigNum::from_slice(numbers.string()?).ok()?;
            let signature = EcdsaSig::from_private_components(r, s).ok()?;
            let hash = openssl::hash::hash(digest, data).ok()?;
            Some(signature.verify(&hash, &public).unwrap_or(false))
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;
    use std::process::Command;
    use std::time::Duration;

    use super::*;
    use crate::transport::ssh::known_hosts;

    /// Signs a key with an authority of a type; returns the certificate in wire form.
    fn certificate(folder: &Path, authority: &str, own: &str, more: &[&str]) -> Vec<u8> {
        let path = |name: &str| folder.join(name).display().to_string();
        let run = |arguments: &[&str]| {
            let ended = Command::new("ssh-keygen")
                .arg("-q")
                .args(arguments)
                .output()
                .unwrap();
            assert!(ended.status.success(), "{ended:?}");
        };
        for (name, kind) in [("ca", authority), ("own", own)] {
            let _ = std::fs::remove_file(path(name));
            run(&["-t", kind, "-N", "", "-f", &path(name)]);
        }
        let (ca, public) = (path("ca"), path("own.pub"));
        run(&[&["-s", ca.as_str(), "-I", "x"], more, &[&public]].concat());
        let text = std::fs::read(path("own-cert.pub")).unwrap();
        known_hosts::public_key(&text).unwrap()
    }

    fn check(blob: &[u8], name: &str, at: SystemTime) -> Result<(), String> {
        HostCertificate::parse(blob).unwrap().check(name, at)
    }

    #[test]
    fn authorities_and_keys_of_every_type_are_checked() {
        let folder = tempfile::tempdir().unwrap();
        let now = SystemTime::now();
        for (authority, own) in [("ed25519", "rsa"), ("ecdsa", "ed25519"), ("rsa", "ecdsa")] {
            let mut blob = certificate(
                folder.path(),
                authority,
                own,
                &["-h", "-n", "web,web.example"],
            );
            let text = std::fs::read(folder.path().join("own.pub")).unwrap();
            let parsed = HostCertificate::parse(&blob).unwrap();
            assert_eq!(parsed.key, known_hosts::public_key(&text).unwrap());
            assert_eq!(
                check(&blob, "WEB.example", now),
                Ok(()),
                "{authority} {own}"
            );
            assert_eq!(check(&blob, "db", now), Err("is not for `db`".to_owned()));
            // The key identifier lies in the middle of what is signed.
            let place = blob
                .windows(5)
                .position(|bytes| bytes == b"\0\0\0\x01x")
                .unwrap();
            blob[place + 4] = b'y';
            assert_eq!(
                check(&blob, "web", now),
                Err("has a wrong signature".to_owned())
            );
        }
    }

    #[test]
    fn what_a_certificate_says_of_itself_is_heeded() {
        let folder = tempfile::tempdir().unwrap();
        let now = SystemTime::now();
        let day = Duration::from_hours(24);
        let blob = certificate(
            folder.path(),
            "ed25519",
            "ed25519",
            &["-h", "-V", "-1h:+1h"],
        );
        assert_eq!(check(&blob, "any", now), Ok(()));
        assert_eq!(
            check(&blob, "any", now + day),
            Err("has expired".to_owned())
        );
        assert_eq!(
            check(&blob, "any", now - day),
            Err("is not valid yet".to_owned())
        );
        let user = certificate(folder.path(), "ed25519", "ed25519", &["-n", "me"]);
        assert_eq!(check(&user, "me", now), Err("is not for hosts".to_owned()));
        for cut in 0..blob.len() {
            assert!(HostCertificate::parse(&blob[..cut]).is_none(), "{cut}");
        }
    }
}
