//! OpenSSH's own format of private keys (PROTOCOL.key in its sources).
//!
//! The decoded body of an `OPENSSH PRIVATE KEY` comes in; a key that can sign goes out, or one
//! that waits for its passphrase. The public key stands outside of what is encrypted, so keys
//! that can't be used are refused before anybody is asked for a passphrase.

use openssl::bn::{BigNum, BigNumContext, BigNumRef};
use openssl::ec::{EcGroup, EcKey, EcPoint};
use openssl::error::ErrorStack;
use openssl::pkey::{Id, PKey, Private};
use openssl::rsa::RsaPrivateKeyBuilder;
use ssh_key::{Cipher, Kdf};
use zeroize::Zeroizing;

use super::Flaw;
use super::signing::{Curve, SigningKey};
use crate::transport::ssh::wire::Reader;

const MAGIC: &[u8] = b"openssh-key-v1\0";

/// Most rounds of bcrypt: about a thousand times the default of `ssh-keygen`, minutes of work.
const MAX_ROUNDS: u32 = 16 * 1024;

const CUT: Flaw = Flaw::Broken("it is cut short or malformed");

/// A key as the file holds it.
pub(super) struct Container {
    cipher: Cipher,
    kdf: Kdf,
    /// The public key in wire form.
    pub(super) public: Vec<u8>,
    private: Zeroizing<Vec<u8>>,
    tag: Option<[u8; 16]>,
}

impl Container {
    /// Takes the container apart without looking into the private part.
    pub(super) fn parse(bytes: &[u8]) -> Result<Self, Flaw> {
        let mut reader = Reader::new(bytes.strip_prefix(MAGIC).ok_or(CUT)?);
        let cipher = reader.string().ok_or(CUT)?;
        let kdf = reader.string().ok_or(CUT)?;
        let options = reader.string().ok_or(CUT)?;
        if reader.u32().ok_or(CUT)? != 1 {
            return Err(Flaw::Broken("it does not hold exactly one key"));
        }
        let public = reader.string().ok_or(CUT)?.to_vec();
        check_kind(&public)?;
        let cipher = parse_cipher(cipher)?;
        let private = reader.string().ok_or(CUT)?;
        let tag = match reader.rest() {
            [] if !cipher.has_tag() => None,
            rest if cipher.has_tag() => Some(rest.try_into().map_err(|_| CUT)?),
            _ => return Err(CUT),
        };
        if private.is_empty() || !private.len().is_multiple_of(cipher.block_size()) {
            return Err(CUT);
        }
        Ok(Self {
            kdf: parse_kdf(kdf, options, cipher)?,
            cipher,
            public,
            private: Zeroizing::new(private.to_vec()),
            tag,
        })
    }

    /// Whether a passphrase is needed.
    pub(super) fn is_encrypted(&self) -> bool {
        self.cipher.is_some()
    }

    /// Returns the key, which must not be encrypted.
    pub(super) fn open(&self) -> Result<SigningKey, Flaw> {
        self.read(&self.private)
    }

    /// Decrypts the key; this takes a tenth of a second or more by design.
    pub(super) fn decrypt(&self, passphrase: &str) -> Result<SigningKey, Flaw> {
        if passphrase.is_empty() {
            return Err(Flaw::Passphrase);
        }
        let derived = self.kdf.derive_key_and_iv(self.cipher, passphrase);
        let (key, iv) = derived.map_err(|_| Flaw::Crypto)?;
        let mut private = self.private.clone();
        self.cipher
            .decrypt(&key, &iv, &mut private, self.tag)
            .map_err(|_| Flaw::Passphrase)?;
        self.read(&private)
    }

    /// Reads the decrypted private part.
    fn read(&self, private: &[u8]) -> Result<SigningKey, Flaw> {
        let mut reader = Reader::new(private);
        let checks = (reader.u32().ok_or(CUT)?, reader.u32().ok_or(CUT)?);
        if checks.0 != checks.1 {
            let is_wrong = self.is_encrypted();
            return Err(if is_wrong { Flaw::Passphrase } else { CUT });
        }
        let key = SigningKey::new(read_key(&mut reader)?)?;
        let _comment = reader.string().ok_or(CUT)?;
        let is_padding = |(index, byte): (u8, &u8)| *byte == index;
        if !(1..).zip(reader.rest()).all(is_padding) {
            return Err(CUT);
        }
        if key.public()? != self.public {
            return Err(Flaw::Broken("its public and private parts do not match"));
        }
        Ok(key)
    }
}

/// Refuses what no passphrase can make usable.
fn check_kind(public: &[u8]) -> Result<(), Flaw> {
    match Reader::new(public).string().ok_or(CUT)? {
        b"ssh-ed25519" | b"ssh-rsa" => Ok(()),
        name if Curve::of_key(name).is_some() => Ok(()),
        b"ssh-dss" => Err(Flaw::dsa()),
        [b's', b'k', b'-', ..] => Err(Flaw::Hardware(public.to_vec())),
        _ => Err(Flaw::kind()),
    }
}

fn parse_cipher(name: &[u8]) -> Result<Cipher, Flaw> {
    let cipher = std::str::from_utf8(name)
        .ok()
        .and_then(|name| Cipher::new(name).ok());
    cipher
        .filter(|cipher| *cipher != Cipher::TDesCbc)
        .ok_or_else(Flaw::encryption)
}

fn parse_kdf(name: &[u8], options: &[u8], cipher: Cipher) -> Result<Kdf, Flaw> {
    match name {
        b"none" if options.is_empty() && cipher.is_none() => Ok(Kdf::None),
        b"bcrypt" if cipher.is_some() => {
            let mut reader = Reader::new(options);
            let salt = reader.string().ok_or(CUT)?.to_vec();
            let rounds = reader.u32().ok_or(CUT)?;
            if salt.is_empty() || rounds == 0 || !reader.is_empty() {
                return Err(CUT);
            }
            if rounds > MAX_ROUNDS {
                return Err(Flaw::unsupported(format!(
                    "its passphrase takes {rounds} rounds, at most {MAX_ROUNDS} are supported; \
                     change it with `ssh-keygen -p`"
                )));
            }
            Ok(Kdf::Bcrypt { salt, rounds })
        }
        _ => Err(CUT),
    }
}

/// Reads the fields of one private key.
fn read_key(reader: &mut Reader<'_>) -> Result<PKey<Private>, Flaw> {
    let name = reader.string().ok_or(CUT)?;
    let key = match name {
        b"ssh-ed25519" => ed25519(reader),
        b"ssh-rsa" => rsa(reader),
        name => ecdsa(Curve::of_key(name).ok_or(CUT)?, reader),
    };
    key.ok_or(CUT)?.map_err(|_| CUT)
}

type Built = Option<Result<PKey<Private>, ErrorStack>>;

fn ed25519(reader: &mut Reader<'_>) -> Built {
    let public = reader.string()?;
    // The seed, then the public key once more (RFC 8032 §5.1.5).
    let (seed, again) = reader.string()?.split_at_checked(32)?;
    (public == again).then(|| PKey::private_key_from_raw_bytes(seed, Id::ED25519))
}

fn ecdsa(curve: Curve, reader: &mut Reader<'_>) -> Built {
    let name = reader.string()?;
    let (point, scalar) = (reader.string()?, reader.string()?);
    (name == curve.name().as_bytes()).then(|| {
        let group = EcGroup::from_curve_name(curve.nid())?;
        let mut context = BigNumContext::new()?;
        let point = EcPoint::from_bytes(&group, point, &mut context)?;
        let mut scalar = BigNum::from_slice(scalar)?;
        let key = EcKey::from_private_components(&group, &scalar, &point);
        scalar.clear();
        PKey::from_ec_key(key?)
    })
}

fn rsa(reader: &mut Reader<'_>) -> Built {
    let mut fields = [&b""[..]; 6];
    for field in &mut fields {
        *field = reader.string()?;
    }
    let build = || {
        let [modulus, public, secret, inverse, p, q] = fields.map(BigNum::from_slice);
        let (secret, p, q) = (secret?, p?, q?);
        let exponents = (reduced(&secret, &p)?, reduced(&secret, &q)?);
        let key = RsaPrivateKeyBuilder::new(modulus?, public?, secret)?
            .set_factors(p, q)?
            .set_crt_params(exponents.0, exponents.1, inverse?)?
            .build();
        PKey::from_rsa(key)
    };
    Some(build())
}

/// Returns `d mod (prime - 1)`, which the format leaves out (RFC 8017 §3.2).
fn reduced(d: &BigNumRef, prime: &BigNumRef) -> Result<BigNum, ErrorStack> {
    let mut less = prime.to_owned()?;
    less.sub_word(1)?;
    let mut context = BigNumContext::new()?;
    let mut exponent = BigNum::new()?;
    let is_reduced = exponent.nnmod(d, &less, &mut context);
    less.clear();
    is_reduced.map(|()| exponent)
}
