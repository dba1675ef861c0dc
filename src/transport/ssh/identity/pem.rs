//! Text armour of private keys (RFC 7468, and RFC 1421 §4.6 for encrypted ones of old).
//!
//! The bytes of a key file come in; the first private key goes out, still encoded. Parameters,
//! certificates and remarks before it are skipped, as OpenSSL skips them.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use openssl::hash::MessageDigest;
use openssl::pkcs5::bytes_to_key;
use openssl::symm::{self, Cipher};
use zeroize::Zeroizing;

use super::Flaw;

/// A private key between its two marker lines.
pub(super) struct Block {
    /// What stands after `BEGIN`: `RSA PRIVATE KEY`.
    pub(super) label: String,
    /// How the body is encrypted, if a header says so.
    pub(super) encryption: Option<Encryption>,
    /// The decoded body.
    pub(super) body: Zeroizing<Vec<u8>>,
}

/// What a `DEK-Info` header says.
pub(super) struct Encryption {
    cipher: Cipher,
    iv: Vec<u8>,
}

/// Finds the first private key in `bytes`; `None` if there is no block with such a label.
pub(super) fn find(bytes: &[u8]) -> Option<Result<Block, Flaw>> {
    let mut lines = bytes.split(|byte| *byte == b'\n').map(<[u8]>::trim_ascii);
    let label = lines.find_map(|line| {
        let label = line.strip_prefix(b"-----BEGIN ")?.strip_suffix(b"-----")?;
        let label = std::str::from_utf8(label).ok()?;
        label.ends_with("PRIVATE KEY").then(|| label.to_owned())
    })?;
    Some(read(label, lines, bytes.len()))
}

fn read<'a>(
    label: String,
    lines: impl Iterator<Item = &'a [u8]>,
    size: usize,
) -> Result<Block, Flaw> {
    let end = format!("-----END {label}-----");
    // As large as it can get, so that no copy is left behind when it grows.
    let mut text = Zeroizing::new(Vec::with_capacity(size));
    let mut headers = Vec::new();
    for line in lines {
        if line == end.as_bytes() {
            let body = STANDARD.decode(&*text);
            let body = body.map_err(|_| Flaw::Broken("it is not valid base64"))?;
            return Ok(Block {
                encryption: encryption(&headers)?,
                label,
                body: Zeroizing::new(body),
            });
        }
        match line.iter().position(|byte| *byte == b':') {
            Some(colon) if text.is_empty() => headers.push(line.split_at(colon)),
            _ => text.extend_from_slice(line),
        }
    }
    Err(Flaw::Broken("its end is missing"))
}

/// Reads `Proc-Type: 4,ENCRYPTED` and `DEK-Info: AES-128-CBC,0123…`.
fn encryption(headers: &[(&[u8], &[u8])]) -> Result<Option<Encryption>, Flaw> {
    let value = |name: &[u8]| {
        let (_, value) = headers.iter().find(|(key, _)| *key == name)?;
        std::str::from_utf8(&value[1..]).ok().map(str::trim)
    };
    if !value(b"Proc-Type").is_some_and(|value| value.ends_with("ENCRYPTED")) {
        return Ok(None);
    }
    let info = value(b"DEK-Info").and_then(|value| value.split_once(','));
    let (name, iv) = info.ok_or(Flaw::Broken("its DEK-Info header is missing or malformed"))?;
    let cipher = match name {
        "AES-128-CBC" => Cipher::aes_128_cbc(),
        "AES-192-CBC" => Cipher::aes_192_cbc(),
        "AES-256-CBC" => Cipher::aes_256_cbc(),
        "DES-EDE3-CBC" => Cipher::des_ede3_cbc(),
        _ => return Err(Flaw::encryption()),
    };
    let iv = unhex(iv).filter(|iv| Some(iv.len()) == cipher.iv_len());
    let iv = iv.ok_or(Flaw::Broken("its DEK-Info header is malformed"))?;
    Ok(Some(Encryption { cipher, iv }))
}

fn unhex(text: &str) -> Option<Vec<u8>> {
    let digits: Option<Vec<u32>> = text.chars().map(|c| c.to_digit(16)).collect();
    let digits = digits.filter(|digits| digits.len() % 2 == 0)?;
    let byte = |pair: &[u32]| u8::try_from(pair[0] * 16 + pair[1]).ok();
    digits.chunks(2).map(byte).collect()
}

impl Encryption {
    /// Whether a body of this length can have been encrypted so.
    pub(super) fn fits(&self, body: &[u8]) -> bool {
        !body.is_empty() && body.len().is_multiple_of(self.cipher.block_size())
    }

    /// Decrypts `body`; with a wrong passphrase that is an error or, now and then, nonsense.
    pub(super) fn decrypt(
        &self,
        body: &[u8],
        passphrase: &[u8],
    ) -> Result<Zeroizing<Vec<u8>>, Flaw> {
        // The salt is the start of the IV: EVP_BytesToKey(3), PEM_read_bio_PrivateKey(3).
        let salt = &self.iv[..8];
        let pair = bytes_to_key(self.cipher, MessageDigest::md5(), passphrase, Some(salt), 1);
        let key = Zeroizing::new(pair.map_err(|_| Flaw::Crypto)?.key);
        symm::decrypt(self.cipher, &key, Some(&self.iv), body)
            .map(Zeroizing::new)
            .map_err(|_| Flaw::Passphrase)
    }
}
