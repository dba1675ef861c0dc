//! Keys that a piece of hardware holds (PROTOCOL.u2f of OpenSSH), with an agent that has one and
//! without. There is no hardware here: the agent makes in software what a security key would, and
//! sshd can't tell.

use std::io::{self, Read, Write};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::thread;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use openssl::pkey::{Id, PKey, Private};
use openssl::sha::sha256;
use openssl::sign::Signer;

use crate::support::fleet::Fleet;
use crate::support::keys::KeyPair;
use crate::support::names;
use crate::support::process::must;
use crate::support::sshd::Sshd;

const KIND: &[u8] = b"sk-ssh-ed25519@openssh.com";
/// What keys of SSH are for, as the hardware sees it.
const APPLICATION: &[u8] = b"ssh:";
/// Somebody was there and touched it.
const TOUCHED: u8 = 1;

fn put(out: &mut Vec<u8>, bytes: &[u8]) {
    out.extend(u32::try_from(bytes.len()).unwrap().to_be_bytes());
    out.extend(bytes);
}

fn strings(all: &[&[u8]]) -> Vec<u8> {
    let mut out = Vec::new();
    for bytes in all {
        put(&mut out, bytes);
    }
    out
}

/// A security key, in software.
struct SecurityKey {
    key: PKey<Private>,
    signatures: AtomicU32,
}

impl SecurityKey {
    fn new() -> Arc<Self> {
        Arc::new(Self {
            key: PKey::generate_ed25519().unwrap(),
            signatures: AtomicU32::new(0),
        })
    }

    /// Returns the public key in wire form.
    fn blob(&self) -> Vec<u8> {
        assert_eq!(self.key.id(), Id::ED25519);
        strings(&[KIND, &self.key.raw_public_key().unwrap(), APPLICATION])
    }

    /// Returns the public key as a line of `authorized_keys`.
    fn public(&self) -> String {
        let kind = String::from_utf8_lossy(KIND);
        format!("{kind} {}", STANDARD.encode(self.blob()))
    }

    /// Signs as the hardware does: hashes, and between them that it was touched, and how often.
    fn sign(&self, message: &[u8]) -> Vec<u8> {
        let count = self.signatures.fetch_add(1, Ordering::SeqCst) + 1;
        let told = [&[TOUCHED][..], &count.to_be_bytes()].concat();
        let hashes = [&sha256(APPLICATION)[..], &told, &sha256(message)].concat();
        let mut signer = Signer::new_without_digest(&self.key).unwrap();
        let signature = signer.sign_oneshot_to_vec(&hashes).unwrap();
        [strings(&[KIND, &signature]), told].concat()
    }

    /// Writes the file that `ssh-keygen -t ed25519-sk` would: it tells the hardware which key is meant.
    fn write(&self, fleet: &Fleet, place: &str) -> PathBuf {
        let public = self.key.raw_public_key().unwrap();
        let mut private = vec![7; 8];
        private.extend(strings(&[KIND, &public, APPLICATION]));
        private.push(TOUCHED);
        private.extend(strings(&[b"handle", b"", b"a comment"]));
        private.extend((1..).take((8 - private.len() % 8) % 8));
        let mut file = b"openssh-key-v1\0".to_vec();
        file.extend(strings(&[b"none", b"none", b""]));
        file.extend(1_u32.to_be_bytes());
        file.extend(strings(&[&self.blob(), &private]));
        let base64 = STANDARD.encode(file);
        let text = format!(
            "-----BEGIN OPENSSH PRIVATE KEY-----\n{base64}\n-----END OPENSSH PRIVATE KEY-----\n"
        );
        let path = fleet.tree().write_with_mode(place, text, 0o600);
        // Who knows the format agrees that it is one.
        let read = must("ssh-keygen", &[&"-y", &"-P", &"", &"-f", &path]);
        assert!(read.starts_with(&self.public()), "{read}");
        path
    }
}

/// Serves a key as an agent does (draft-miller-ssh-agent), for as long as the test runs.
fn serve(key: &Arc<SecurityKey>, socket: &Path) {
    let listener = UnixListener::bind(socket).unwrap();
    let key = Arc::clone(key);
    thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            let key = Arc::clone(&key);
            thread::spawn(move || converse(&key, stream));
        }
    });
}

fn converse(key: &SecurityKey, mut stream: UnixStream) -> io::Result<()> {
    loop {
        let mut length = [0; 4];
        stream.read_exact(&mut length)?;
        let mut request = vec![0; u32::from_be_bytes(length) as usize];
        stream.read_exact(&mut request)?;
        let (number, mut rest) = request.split_first().unwrap();
        let mut next = || {
            let (length, after) = rest.split_first_chunk::<4>().unwrap();
            let (bytes, after) = after.split_at(u32::from_be_bytes(*length) as usize);
            rest = after;
            bytes
        };
        let answer = match number {
            11 => [
                &[12][..],
                &1_u32.to_be_bytes(),
                &strings(&[&key.blob(), b"my key"]),
            ]
            .concat(),
            13 if next() == key.blob() => [&[14][..], &strings(&[&key.sign(next())])].concat(),
            _ => vec![5],
        };
        stream.write_all(&strings(&[&answer]))?;
    }
}

/// Hosts of a server that lets this key in and no other, and nothing to log in with.
fn let_in_by(key: &SecurityKey, sshd: &Sshd, pattern: &str) -> Fleet {
    sshd.authorize_nobody();
    sshd.authorize(&key.public());
    let host_key = sshd.host_keys[0].public();
    Fleet::new()
        .log(&sshd.log())
        .ssh_hosts(pattern, sshd.port(), &host_key)
}

#[test]
fn an_agent_that_has_one_logs_in_with_it() {
    let (key, sshd) = (SecurityKey::new(), Sshd::start());
    let fleet = let_in_by(&key, &sshd, "web[1-3]");
    let socket = fleet.tree().join("agent");
    serve(&key, &socket);
    let run = |line: &str| fleet.command(line).env("SSH_AUTH_SOCK", &socket).run();
    let ended = run("run -o jsonl -- true");
    ended.code(0).each_host_once(&names("web[1-3]"));
    assert_eq!(key.signatures.load(Ordering::SeqCst), 3, "{ended}");
    // Its file tells which of an agent's keys is meant, whether it was named or not.
    let path = key.write(&fleet, "home/.ssh/id_ed25519_sk");
    let only = "run -o jsonl -O IdentitiesOnly=yes -- true";
    let ended = run(only);
    ended.code(0).no_stderr();
    let named = format!("run -o jsonl --identity {} -- true", path.display());
    run(&named).code(0).no_stderr();
    assert_eq!(key.signatures.load(Ordering::SeqCst), 9);
}

#[test]
fn without_an_agent_it_is_told_and_other_keys_are_tried() {
    let (key, sshd) = (SecurityKey::new(), Sshd::start());
    let fleet = let_in_by(&key, &sshd, "web1");
    let path = key.write(&fleet, "home/.ssh/id_ed25519_sk");
    let told = [
        "id_ed25519_sk lives on a security key",
        "ssh-add",
        "--transport openssh",
    ];
    let named = format!("run -o jsonl --identity {} -- true", path.display());
    fleet.hoist(&named).code(2).no_stdout().complains(&told);
    let ended = fleet.hoist("run -o jsonl -- true");
    ended
        .code(3)
        .became("web1", "failed", "auth")
        .complains(&told);
    // Another one does.
    let other = KeyPair::generate(&fleet.tree().join("home/.ssh/id_rsa"), "rsa");
    sshd.authorize(&other.public());
    let ended = fleet.hoist("run -o jsonl -- true");
    ended.code(0).became("web1", "ok", "").complains(&told);
    let explained = fleet.hoist("explain web1");
    explained.stdout_has("id_ed25519_sk (sk-ssh-ed25519@openssh.com: only an agent can use it)");
}
