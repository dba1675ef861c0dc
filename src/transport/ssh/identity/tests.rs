//! Keys of every kind and format, made and verified by the programs of OpenSSH and OpenSSL.

use std::fs;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::process::{Command, Stdio};

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use openssl::sha::sha512;
use proptest::prelude::*;
use tempfile::TempDir;

use super::*;
use crate::transport::ssh::wire::{put_string, put_u32};

/// A passphrase that a shell and an argument list would not leave alone.
const PASSPHRASE: &str = "s3cret wörd$";

/// A folder with key files.
pub(in crate::transport::ssh) struct Keys(TempDir);

impl Keys {
    pub(in crate::transport::ssh) fn new() -> Self {
        Self(tempfile::tempdir().unwrap())
    }

    pub(in crate::transport::ssh) fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    /// Runs a program here and returns what it printed.
    fn run(&self, program: &str, args: &[&str]) -> Vec<u8> {
        let output = Command::new(program)
            .args(args)
            .current_dir(self.0.path())
            .stdin(Stdio::null())
            .output()
            .unwrap_or_else(|error| panic!("{program}: {error}"));
        let said = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{program} {args:?}: {said}");
        output.stdout
    }

    /// Makes a key with `ssh-keygen`; encrypted with few rounds, to be quick.
    pub(in crate::transport::ssh) fn ssh_keygen(&self, name: &str, passphrase: &str, args: &str) {
        let mut all = vec![
            "-q", "-C", "me@home", "-a", "2", "-N", passphrase, "-f", name,
        ];
        all.extend(args.split_whitespace());
        self.run("ssh-keygen", &all);
    }

    /// Runs `openssl`; `%` stands for the passphrase.
    fn openssl(&self, args: &str) {
        let pass = format!("pass:{PASSPHRASE}");
        let args = args.split_whitespace();
        let args: Vec<_> = args
            .map(|arg| if arg == "%" { &pass } else { arg })
            .collect();
        self.run("openssl", &args);
    }

    fn write(&self, name: &str, bytes: impl AsRef<[u8]>) -> PathBuf {
        let path = self.path(name);
        fs::write(&path, bytes).unwrap();
        set_mode(&path, 0o600);
        path
    }

    pub(in crate::transport::ssh) fn ready(&self, name: &str) -> Identity {
        match Identity::load(&self.path(name)).unwrap() {
            Loaded::Ready(identity) => identity,
            Loaded::Encrypted(_) => panic!("{name} is encrypted"),
        }
    }

    fn encrypted(&self, name: &str) -> EncryptedIdentity {
        match Identity::load(&self.path(name)).unwrap() {
            Loaded::Encrypted(identity) => identity,
            Loaded::Ready(_) => panic!("{name} is not encrypted"),
        }
    }

    /// Returns the error of a file, with the folder taken out.
    fn error(&self, name: &str) -> String {
        let error = Identity::load(&self.path(name)).unwrap_err().to_string();
        error.replace(&format!("{}/", self.0.path().display()), "")
    }

    /// Asks `ssh-keygen` for the public key of a private one.
    fn public_by_ssh_keygen(&self, name: &str, passphrase: &str) -> Vec<u8> {
        let text = self.run("ssh-keygen", &["-y", "-P", passphrase, "-f", name]);
        known_hosts::public_key(&text).unwrap()
    }
}

fn set_mode(path: &Path, mode: u32) {
    fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
}

/// What is signed so that `ssh-keygen` can verify it (PROTOCOL.sshsig of OpenSSH).
pub(in crate::transport::ssh) fn to_sign(message: &[u8]) -> Vec<u8> {
    let mut data = b"SSHSIG".to_vec();
    for part in [b"test", &b""[..], b"sha512", &sha512(message)] {
        put_string(&mut data, part);
    }
    data
}

/// Whether `ssh-keygen` accepts the signature over [`to_sign`] of the message.
pub(in crate::transport::ssh) fn is_verified(
    public: &[u8],
    algorithm: &str,
    signature: &[u8],
    message: &[u8],
) -> bool {
    let mut named = Vec::new();
    put_string(&mut named, algorithm.as_bytes());
    put_string(&mut named, signature);
    let mut body = b"SSHSIG".to_vec();
    put_u32(&mut body, 1);
    for part in [public, b"test", b"", b"sha512", &named] {
        put_string(&mut body, part);
    }
    let keys = Keys::new();
    let text = STANDARD.encode(body);
    let armoured = format!("-----BEGIN SSH SIGNATURE-----\n{text}\n-----END SSH SIGNATURE-----\n");
    let signature = keys.write("signature", armoured);
    let message = fs::File::open(keys.write("message", message)).unwrap();
    let output = Command::new("ssh-keygen")
        .args(["-Y", "check-novalidate", "-n", "test", "-s"])
        .arg(signature)
        .stdin(message)
        .output()
        .unwrap();
    output.status.success()
}

fn assert_signs(identity: &Identity) {
    for algorithm in identity.algorithms() {
        let signature = identity.sign(algorithm, &to_sign(b"hello")).unwrap();
        let is_verified = |message| is_verified(&identity.public, algorithm, &signature, message);
        assert!(is_verified(b"hello"), "{identity:?} {algorithm}");
        assert!(!is_verified(b"hullo"), "{identity:?} {algorithm}");
        if *algorithm == "ssh-ed25519" {
            assert_eq!(signature.len(), 64);
        }
    }
}

/// Checks an encrypted key: its public part before, wrong passphrases, the right one.
fn assert_opens(keys: &Keys, name: &str, public: Option<&[u8]>) {
    let encrypted = keys.encrypted(name);
    assert_eq!(encrypted.public.as_deref(), public, "{name}");
    assert_eq!(encrypted.path, keys.path(name));
    for wrong in ["", "wrong", "s3cret wörd$ "] {
        let error = encrypted.decrypt(wrong).unwrap_err();
        assert!(
            matches!(error, IdentityError::WrongPassphrase { .. }),
            "{name}: {error}"
        );
    }
    let identity = encrypted.decrypt(PASSPHRASE).unwrap();
    assert_eq!(
        identity.public,
        keys.public_by_ssh_keygen(name, PASSPHRASE),
        "{name}"
    );
    assert_signs(&identity);
}

const KINDS: [&str; 5] = [
    "-t ed25519",
    "-t ecdsa -b 256",
    "-t ecdsa -b 384",
    "-t ecdsa -b 521",
    "-t rsa -b 2048",
];

#[test]
fn keys_of_ssh_keygen_in_all_its_formats_sign() {
    for kind in KINDS {
        for format in ["", "-m PEM", "-m PKCS8"] {
            let keys = Keys::new();
            keys.ssh_keygen("key", "", &format!("{kind} {format}"));
            let identity = keys.ready("key");
            assert_eq!(identity.public, keys.public_by_ssh_keygen("key", ""));
            assert_eq!(identity.path, keys.path("key"));
            assert_signs(&identity);
        }
    }
}

#[test]
fn encrypted_keys_of_ssh_keygen_open_with_their_passphrase_only() {
    for kind in KINDS {
        for format in ["", "-m PEM", "-m PKCS8"] {
            let keys = Keys::new();
            keys.ssh_keygen("key", PASSPHRASE, &format!("{kind} {format}"));
            let public = keys.public_by_ssh_keygen("key", PASSPHRASE);
            assert_opens(&keys, "key", Some(&public));
            fs::remove_file(keys.path("key.pub")).unwrap();
            let is_told = fs::read_to_string(keys.path("key"))
                .unwrap()
                .contains("OPENSSH");
            assert_eq!(keys.encrypted("key").public.is_some(), is_told);
        }
    }
}

#[test]
fn every_cipher_of_ssh_keygen_is_read_but_the_oldest() {
    for cipher in [
        "aes128-cbc",
        "aes192-cbc",
        "aes256-cbc",
        "aes128-ctr",
        "aes192-ctr",
        "aes256-ctr",
        "aes128-gcm@openssh.com",
        "aes256-gcm@openssh.com",
        "chacha20-poly1305@openssh.com",
    ] {
        let keys = Keys::new();
        keys.ssh_keygen("key", PASSPHRASE, &format!("-t ed25519 -Z {cipher}"));
        let public = keys.public_by_ssh_keygen("key", PASSPHRASE);
        assert_opens(&keys, "key", Some(&public));
    }
    let keys = Keys::new();
    keys.ssh_keygen("key", PASSPHRASE, "-t ed25519 -Z 3des-cbc");
    assert_eq!(
        keys.error("key"),
        "the private key key can't be used: its encryption is not supported; change it with \
         `ssh-keygen -p`"
    );
}

#[test]
fn keys_of_openssl_sign() {
    let keys = Keys::new();
    keys.openssl("genpkey -algorithm ed25519 -out ed25519");
    keys.openssl("genpkey -algorithm RSA -pkeyopt rsa_keygen_bits:3072 -out rsa");
    keys.openssl("rsa -in rsa -traditional -out rsa-pkcs1");
    for curve in ["P-256", "P-384", "P-521"] {
        keys.openssl(&format!(
            "genpkey -algorithm EC -pkeyopt ec_paramgen_curve:{curve} -out {curve}"
        ));
        assert_signs(&keys.ready(curve));
    }
    // With its parameters before it; and without its public half.
    keys.openssl("ecparam -name prime256v1 -genkey -out ec-sec1");
    keys.openssl("ec -in ec-sec1 -no_public -out ec-sec1-short");
    keys.openssl("pkcs8 -topk8 -nocrypt -in ec-sec1-short -out ec-pkcs8-short");
    let whole = keys.ready("ec-sec1");
    assert_eq!(keys.ready("ec-sec1-short").public, whole.public);
    assert_eq!(keys.ready("ec-pkcs8-short").public, whole.public);
    for name in ["ed25519", "rsa", "rsa-pkcs1", "ec-sec1", "ec-sec1-short"] {
        assert_signs(&keys.ready(name));
    }
}

#[test]
fn encrypted_keys_of_openssl_open_with_their_passphrase_only() {
    let keys = Keys::new();
    keys.openssl("genpkey -algorithm ed25519 -out ed25519");
    keys.openssl("genpkey -algorithm RSA -out rsa");
    keys.openssl("ecparam -name secp384r1 -genkey -out ec");
    keys.openssl("rsa -in rsa -traditional -aes128 -passout % -out rsa-aes128");
    keys.openssl("rsa -in rsa -traditional -des3 -passout % -out rsa-des3");
    keys.openssl("ec -in ec -aes256 -passout % -out ec-aes256");
    keys.openssl("pkcs8 -topk8 -in ec -passout % -out ec-pbes2");
    keys.openssl("pkcs8 -topk8 -in ed25519 -scrypt -passout % -out ed25519-scrypt");
    keys.openssl("pkcs8 -topk8 -in rsa -v1 PBE-SHA1-3DES -passout % -out rsa-pbes1");
    for name in [
        "rsa-aes128",
        "rsa-des3",
        "ec-aes256",
        "ec-pbes2",
        "rsa-pbes1",
    ] {
        assert_opens(&keys, name, None);
    }
    // Not every `ssh-keygen` reads this one.
    let identity = keys
        .encrypted("ed25519-scrypt")
        .decrypt(PASSPHRASE)
        .unwrap();
    assert_eq!(identity.public, keys.ready("ed25519").public);
    assert_signs(&identity);
}

/// Padding looks right for one wrong passphrase in 256; the answer must be the same.
#[test]
fn a_wrong_passphrase_that_decrypts_to_nonsense_is_still_a_wrong_one() {
    let keys = Keys::new();
    keys.openssl("ecparam -name prime256v1 -genkey -noout -out ec");
    keys.openssl("ec -in ec -aes128 -passout % -out headed");
    keys.openssl("pkcs8 -topk8 -in ec -iter 1 -passout % -out pkcs8");
    for name in ["headed", "pkcs8"] {
        let encrypted = keys.encrypted(name);
        for number in 0..1500 {
            let error = encrypted.decrypt(&format!("wrong{number}")).unwrap_err();
            assert!(
                matches!(error, IdentityError::WrongPassphrase { .. }),
                "{name} {number}: {error}"
            );
        }
        encrypted.decrypt(PASSPHRASE).unwrap();
    }
}

/// Only OpenSSL's legacy provider knows single DES, and nobody should.
#[test]
fn an_encryption_that_is_not_built_in_is_no_wrong_passphrase() {
    let keys = Keys::new();
    keys.openssl("genpkey -algorithm ed25519 -out plain");
    keys.openssl(
        "pkcs8 -topk8 -v1 PBE-MD5-DES -provider legacy -provider default \
         -in plain -passout % -out pkcs8",
    );
    let error = keys.encrypted("pkcs8").decrypt(PASSPHRASE).unwrap_err();
    assert!(
        matches!(error, IdentityError::Unsupported { .. }),
        "{error}"
    );
    keys.openssl("ecparam -name prime256v1 -genkey -noout -out ec");
    keys.openssl("ec -in ec -camellia128 -passout % -out headed");
    assert!(keys.error("headed").contains("its encryption is not"));
}

#[test]
fn windows_line_ends_and_remarks_before_the_key_are_read() {
    let keys = Keys::new();
    keys.ssh_keygen("key", "", "-t ed25519");
    let text = fs::read_to_string(keys.path("key")).unwrap();
    let text = format!("Bag Attributes: none\r\n{}", text.replace('\n', "\r\n"));
    keys.write("windows", text.trim_end());
    assert_eq!(keys.ready("windows").public, keys.ready("key").public);
}

#[test]
fn only_the_algorithms_of_the_key_are_used_and_never_sha_1() {
    let keys = Keys::new();
    keys.ssh_keygen("key", "", "-t rsa -b 2048");
    let identity = keys.ready("key");
    assert_eq!(identity.algorithms(), ["rsa-sha2-512", "rsa-sha2-256"]);
    for algorithm in ["ssh-rsa", "ssh-ed25519", "", "\u{1b}"] {
        let error = identity.sign(algorithm, b"x").unwrap_err();
        assert!(matches!(error, IdentityError::Algorithm { .. }), "{error}");
    }
}

#[test]
fn a_key_that_others_can_read_is_refused() {
    let keys = Keys::new();
    keys.ssh_keygen("key", "", "-t ed25519");
    for mode in [0o644, 0o640, 0o604, 0o610] {
        set_mode(&keys.path("key"), mode);
        assert_eq!(
            keys.error("key"),
            format!(
                "the private key key is open to others (mode {mode:04o}); close it with \
                 `chmod 600 key`"
            )
        );
    }
    symlink(keys.path("key"), keys.path("link")).unwrap();
    assert!(keys.error("link").contains("is open to others"));
    set_mode(&keys.path("key"), 0o400);
    assert_signs(&keys.ready("link"));
}

fn armour(label: &str, body: &[u8]) -> String {
    let text = STANDARD.encode(body);
    format!("-----BEGIN {label}-----\n{text}\n-----END {label}-----\n")
}

#[test]
fn what_is_no_usable_key_is_named() {
    let keys = Keys::new();
    keys.ssh_keygen("key", "", "-t ed25519");
    set_mode(&keys.path("key.pub"), 0o600);
    keys.write("putty", "PuTTY-User-Key-File-3: ssh-ed25519\n");
    keys.write("ssh2", "---- BEGIN SSH2 ENCRYPTED PRIVATE KEY ----\n");
    keys.write("empty", "");
    keys.write("notes", "\u{1b}[2J not a key");
    keys.write("large", vec![b'x'; 1024 * 1024 + 1]);
    keys.write("dsa", armour("DSA PRIVATE KEY", b"x"));
    keys.write(
        "sk",
        armour(
            "OPENSSH PRIVATE KEY",
            &container_of("sk-ssh-ed25519@openssh.com"),
        ),
    );
    keys.write(
        "dss",
        armour("OPENSSH PRIVATE KEY", &container_of("ssh-dss")),
    );
    keys.write("der", armour("RSA PRIVATE KEY", b"x"));
    keys.write(
        "text",
        "-----BEGIN RSA PRIVATE KEY-----\nAAAA!\n-----END RSA PRIVATE KEY-----",
    );
    keys.write("endless", "-----BEGIN RSA PRIVATE KEY-----\nAAAA");
    keys.openssl("genpkey -algorithm ed448 -out ed448");
    keys.openssl("ecparam -name secp256k1 -genkey -noout -out bitcoin");
    keys.openssl("genrsa -out short 512");
    let names = [
        "missing", ".", "key.pub", "putty", "ssh2", "empty", "notes", "large", "dsa", "sk", "dss",
        "der", "text", "endless", "ed448", "bitcoin", "short",
    ];
    let errors: Vec<_> = names.iter().map(|name| keys.error(name)).collect();
    insta::assert_snapshot!(errors.join("\n"), @r"
    cannot read the private key missing: No such file or directory (os error 2)
    cannot read the private key .: Is a directory (os error 21)
    key.pub is not a private key: it holds a public key; name the file without `.pub`
    putty is not a private key: it holds a key of PuTTY; export it with `puttygen KEY -O private-openssh-new -o NEW`
    ssh2 is not a private key: it holds a key in the SSH2 format; convert it with `ssh-keygen -i -f KEY`
    empty is not a private key: it holds nothing of the kind
    notes is not a private key: it holds nothing of the kind
    large is not a private key: it holds more than a key file can
    the private key dsa can't be used: servers no longer accept DSA keys; make a new one with `ssh-keygen`
    the private key sk lives on a security key, which only an agent can ask: add it with `ssh-add`, or use --transport openssh
    the private key dss can't be used: servers no longer accept DSA keys; make a new one with `ssh-keygen`
    the private key der is damaged: it is cut short or malformed
    the private key text is damaged: it is not valid base64
    the private key endless is damaged: its end is missing
    the private key ed448 can't be used: keys of its type are not supported; make one with `ssh-keygen`
    the private key bitcoin can't be used: keys of its type are not supported; make one with `ssh-keygen`
    the private key short can't be used: it has 512 bits, and RSA keys need 1024 to 16384; make a new one with `ssh-keygen`
    ");
}

/// Returns the start of a container, up to the public key of this type.
fn container_of(algorithm: &str) -> Vec<u8> {
    let mut public = Vec::new();
    put_string(&mut public, algorithm.as_bytes());
    let mut body = b"openssh-key-v1\0".to_vec();
    for part in [&b"aes256-ctr"[..], b"bcrypt", b""] {
        put_string(&mut body, part);
    }
    put_u32(&mut body, 1);
    put_string(&mut body, &public);
    body
}

#[test]
fn an_endless_key_derivation_is_refused() {
    let keys = Keys::new();
    keys.ssh_keygen("key", PASSPHRASE, "-t ed25519");
    let mut body = body_of(&keys, "key");
    // The salt has 16 bytes; the rounds follow it.
    let salt = body
        .windows(4)
        .position(|four| four == [0, 0, 0, 16])
        .unwrap();
    body[salt + 20..salt + 24].copy_from_slice(&u32::MAX.to_be_bytes());
    keys.write("key", armour("OPENSSH PRIVATE KEY", &body));
    assert!(keys.error("key").contains("4294967295 rounds"));
}

fn body_of(keys: &Keys, name: &str) -> Vec<u8> {
    let text = fs::read(keys.path(name)).unwrap();
    pem::find(&text).unwrap().ok().unwrap().body.to_vec()
}

#[test]
fn parts_of_two_keys_are_no_key() {
    let keys = Keys::new();
    keys.ssh_keygen("a", "", "-t ecdsa");
    keys.ssh_keygen("b", "", "-t ecdsa");
    let (a, b) = (body_of(&keys, "a"), body_of(&keys, "b"));
    let (public_a, public_b) = (keys.ready("a").public, keys.ready("b").public);
    let at = |body: &[u8], part: &[u8]| body.windows(part.len()).position(|w| w == part).unwrap();
    // Only the outer public key changed; then the inner point too.
    let mut mixed = a.clone();
    let outer = at(&a, &public_a);
    mixed[outer..outer + public_a.len()].copy_from_slice(&public_b);
    keys.write("mixed", armour("OPENSSH PRIVATE KEY", &mixed));
    assert!(
        keys.error("mixed").contains("do not match"),
        "{}",
        keys.error("mixed")
    );
    let (point_a, point_b) = (
        &public_a[public_a.len() - 65..],
        &public_b[public_b.len() - 65..],
    );
    let inner = at(&mixed, point_a);
    mixed[inner..inner + 65].copy_from_slice(point_b);
    keys.write("mixed", armour("OPENSSH PRIVATE KEY", &mixed));
    assert!(keys.error("mixed").contains("do not fit together"));
    assert_ne!(a, b);
}

#[test]
fn nothing_secret_is_shown_and_identities_are_shared() {
    fn shared<T: Send + Sync>() {}
    shared::<Identity>();
    shared::<EncryptedIdentity>();
    shared::<IdentityError>();
    let keys = Keys::new();
    keys.ssh_keygen("key", "", "-t ed25519");
    let identity = keys.ready("key");
    assert_eq!(
        format!("{identity:?}"),
        format!(
            "Identity {{ path: {:?}, public: {:?}, .. }}",
            keys.path("key"),
            known_hosts::fingerprint(&identity.public)
        )
    );
}

/// Opens whatever `bytes` are, with a passphrase if one is wanted.
fn open(bytes: &[u8]) -> Result<SigningKey, Flaw> {
    match content(bytes)? {
        Content::Open(key) => Ok(key),
        Content::Sealed(sealed) => sealed.open(PASSPHRASE),
    }
}

#[test]
fn a_key_damaged_anywhere_is_an_error_or_the_same_key() {
    for (args, label) in [
        ("-t ed25519", "OPENSSH PRIVATE KEY"),
        ("-t ecdsa -m PEM", "EC PRIVATE KEY"),
        ("-t rsa -b 1024", "OPENSSH PRIVATE KEY"),
        ("-t ecdsa -m PKCS8", "PRIVATE KEY"),
    ] {
        let keys = Keys::new();
        keys.ssh_keygen("key", "", args);
        let body = body_of(&keys, "key");
        let public = keys.ready("key").public;
        for index in 0..body.len() {
            assert!(open(armour(label, &body[..index]).as_bytes()).is_err());
            let mut damaged = body.clone();
            damaged[index] ^= 1 << (index % 8);
            if let Ok(key) = open(armour(label, &damaged).as_bytes()) {
                assert_eq!(key.public().unwrap(), public, "{args} at {index}");
            }
        }
    }
}

proptest! {
    #[test]
    fn any_bytes_are_a_key_or_an_error(bytes: Vec<u8>) {
        let _ = open(&bytes);
    }

    #[test]
    fn any_body_is_a_key_or_an_error(
        body: Vec<u8>,
        has_magic: bool,
        label in "(OPENSSH |RSA |EC |DSA |ENCRYPTED |)PRIVATE KEY",
        header in "(Proc-Type: 4,ENCRYPTED\nDEK-Info: (AES-128-CBC|DES-EDE3-CBC),[0-9A-F]{0,32}\n\n)?",
    ) {
        let magic = if has_magic { &b"openssh-key-v1\0"[..] } else { b"" };
        let text = armour(&label, &[magic, &body].concat());
        let text = text.replacen("-----\n", &format!("-----\n{header}"), 1);
        let _ = open(text.as_bytes());
    }
}

#[test]
fn a_certificate_is_read_with_the_key_it_is_for() {
    let folder = tempfile::tempdir().unwrap();
    let path = |name: &str| folder.path().join(name);
    let run = |arguments: &[&std::ffi::OsStr]| {
        let ended = std::process::Command::new("ssh-keygen")
            .args(arguments)
            .output()
            .unwrap();
        assert!(ended.status.success(), "{ended:?}");
    };
    for kind in ["ed25519", "ecdsa", "rsa"] {
        let (authority, own) = (path(&format!("{kind}-ca")), path(kind));
        for file in [&authority, &own] {
            run(&[
                "-q".as_ref(),
                "-t".as_ref(),
                kind.as_ref(),
                "-N".as_ref(),
                "".as_ref(),
                "-f".as_ref(),
                file.as_ref(),
            ]);
        }
        let public = own.with_extension("pub");
        run(&[
            "-q".as_ref(),
            "-s".as_ref(),
            authority.as_ref(),
            "-I".as_ref(),
            "me".as_ref(),
            public.as_ref(),
        ]);
        let certificate = Certificate::load(&Certificate::beside(&own)).unwrap();
        let Loaded::Ready(identity) = Identity::load(&own).unwrap() else {
            panic!("it is not encrypted");
        };
        assert_eq!(certificate.public, identity.public, "{kind}");
        assert!(Certificate::load(&public).is_none());
    }
}
