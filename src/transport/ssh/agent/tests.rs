//! The client against a real `ssh-agent`, and against one that lies.

use std::fs;
use std::io::{BufRead, BufReader, Read, Write};
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::UnixListener;
use std::pin::pin;
use std::process::{Child, ChildStdout, Command, Stdio};
use std::thread;

use async_io::block_on;
use futures_lite::future;
use proptest::prelude::*;

use super::*;
use crate::transport::ssh::identity::tests::{Keys, is_verified, to_sign};
use crate::transport::ssh::known_hosts;

/// A real agent in a folder of its own.
struct RealAgent {
    keys: Keys,
    child: Child,
    /// Kept open: it may print more.
    _stdout: BufReader<ChildStdout>,
}

impl RealAgent {
    fn start() -> Self {
        let keys = Keys::new();
        // In the foreground; it prints its variables once it listens.
        let mut child = Command::new("ssh-agent")
            .args(["-D", "-a"])
            .arg(keys.path("socket"))
            .stdout(Stdio::piped())
            .spawn()
            .expect("ssh-agent is installed");
        let mut first = String::new();
        let mut stdout = BufReader::new(child.stdout.take().unwrap());
        stdout.read_line(&mut first).unwrap();
        assert!(first.contains("SSH_AUTH_SOCK"), "{first}");
        Self {
            keys,
            child,
            _stdout: stdout,
        }
    }

    fn ssh_add(&self, args: &[&str]) {
        let output = Command::new("ssh-add")
            .args(args)
            .env("SSH_AUTH_SOCK", self.keys.path("socket"))
            // Askpass programs are called without a terminal.
            .env("SSH_ASKPASS", self.keys.path("askpass"))
            .env("SSH_ASKPASS_REQUIRE", "force")
            .stdin(Stdio::null())
            .output()
            .unwrap();
        let said = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{said}");
    }

    /// Makes a key, adds it, and returns its public half.
    fn add(&self, name: &str, args: &str) -> Vec<u8> {
        self.keys.ssh_keygen(name, "", args);
        self.ssh_add(&["-q", self.keys.path(name).to_str().unwrap()]);
        self.keys.ready(name).public
    }

    async fn connect(&self) -> Agent {
        Agent::connect(&self.keys.path("socket")).await.unwrap()
    }
}

impl Drop for RealAgent {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

#[test]
fn keys_are_listed_in_order_and_sign() {
    let real = RealAgent::start();
    let kinds = [
        "-t ed25519",
        "-t ecdsa -b 256",
        "-t ecdsa -b 384",
        "-t ecdsa -b 521",
        "-t rsa -b 2048",
    ];
    let blobs: Vec<_> = kinds
        .iter()
        .enumerate()
        .map(|(index, kind)| real.add(&format!("key{index}"), kind))
        .collect();
    block_on(async {
        let mut agent = real.connect().await;
        let keys = agent.identities().await.unwrap();
        assert!(keys.iter().all(|key| key.comment == "me@home"));
        let listed: Vec<_> = keys.into_iter().map(|key| key.blob).collect();
        assert_eq!(listed, blobs);
        for blob in &blobs {
            let plain = known_hosts::algorithm(blob);
            let ways: &[_] = match &*plain {
                "ssh-rsa" => &[
                    (RSA_SHA2_256, "rsa-sha2-256"),
                    (RSA_SHA2_512, "rsa-sha2-512"),
                ],
                plain => &[(0, plain)],
            };
            for (flags, algorithm) in ways {
                let data = to_sign(b"hello");
                let signature = agent.sign(blob, &data, *flags).await.unwrap();
                assert!(
                    is_verified(blob, algorithm, &signature, b"hello"),
                    "{algorithm}"
                );
                assert!(
                    !is_verified(blob, algorithm, &signature, b"hullo"),
                    "{algorithm}"
                );
            }
        }
    });
}

#[test]
fn what_the_agent_will_not_do_is_an_error_and_the_connection_stays() {
    let real = RealAgent::start();
    let blob = real.add("key", "-t ed25519");
    real.keys.ssh_keygen("other", "", "-t ed25519");
    real.keys.ssh_keygen("rsa", "", "-t rsa -b 2048");
    let (other, rsa) = (
        real.keys.ready("other").public,
        real.keys.ready("rsa").public,
    );
    block_on(async {
        let mut agent = real.connect().await;
        let unknown = agent.sign(&other, b"x", 0).await.unwrap_err();
        assert_eq!(unknown.kind(), io::ErrorKind::PermissionDenied);
        for (blob, data, flags) in [
            (&rsa, &b"x"[..], 0),
            (&blob, b"x", RSA_SHA2_256),
            (&Vec::new(), b"x", 0),
            (&blob, &vec![0; MAX_MESSAGE_BYTES], 0),
        ] {
            let error = agent.sign(blob, data, flags).await.unwrap_err();
            assert_eq!(error.kind(), io::ErrorKind::InvalidInput, "{error}");
        }
        assert!(agent.sign(&blob, b"x", 0).await.is_ok());
    });
}

#[test]
fn a_locked_agent_has_no_keys() {
    let real = RealAgent::start();
    let blob = real.add("key", "-t ed25519");
    let askpass = real.keys.path("askpass");
    fs::write(&askpass, "#!/bin/sh\necho secret\n").unwrap();
    fs::set_permissions(&askpass, fs::Permissions::from_mode(0o700)).unwrap();
    real.ssh_add(&["-x"]);
    block_on(async {
        let mut agent = real.connect().await;
        assert_eq!(agent.identities().await.unwrap(), []);
        assert!(agent.sign(&blob, b"x", 0).await.is_err());
        real.ssh_add(&["-X"]);
        assert!(agent.sign(&blob, b"x", 0).await.is_ok());
    });
}

#[test]
fn no_agent_is_an_error() {
    let keys = Keys::new();
    let connect = |name: &str| block_on(Agent::connect(&keys.path(name)));
    assert_eq!(connect("none").unwrap_err().kind(), io::ErrorKind::NotFound);
    drop(UnixListener::bind(keys.path("left")).unwrap());
    let left = connect("left").unwrap_err();
    assert_eq!(left.kind(), io::ErrorKind::ConnectionRefused);
}

/// Runs `client` against an agent that answers each request with the next of `answers`, one
/// connection after the other, and then hangs up. `None` is no answer at all: the connection
/// stays open until the client is done.
fn lied_to<T>(answers: &[&[Option<&[u8]>]], client: impl AsyncFnOnce(Agent) -> T) -> T {
    let keys = Keys::new();
    let listener = UnixListener::bind(keys.path("socket")).unwrap();
    thread::scope(|scope| {
        let server = scope.spawn(|| {
            let serve = |connection| serve(&listener, connection);
            answers.iter().filter_map(serve).collect::<Vec<_>>()
        });
        let path = keys.path("socket");
        let told = block_on(async { client(Agent::connect(&path).await.unwrap()).await });
        drop(server.join().unwrap());
        told
    })
}

/// Serves one connection, and returns it if it is to stay open.
fn serve(listener: &UnixListener, answers: &&[Option<&[u8]>]) -> Option<UnixStream> {
    let (mut stream, _) = listener.accept().unwrap();
    for answer in *answers {
        let mut length = [0; 4];
        stream.read_exact(&mut length).unwrap();
        let mut request = vec![0; u32::from_be_bytes(length) as usize];
        stream.read_exact(&mut request).unwrap();
        match answer {
            Some(answer) => stream.write_all(answer).unwrap(),
            None => return Some(stream),
        }
    }
    None
}

fn message(kind: u8, parts: &[&[u8]]) -> Vec<u8> {
    let mut out = Vec::new();
    put_string(&mut out, &[&[kind], parts.concat().as_slice()].concat());
    out
}

fn string(bytes: &[u8]) -> Vec<u8> {
    let mut out = Vec::new();
    put_string(&mut out, bytes);
    out
}

#[test]
fn lies_are_errors() {
    let many = message(IDENTITIES_ANSWER, &[&u32::MAX.to_be_bytes()]);
    let rest = message(IDENTITIES_ANSWER, &[&[0; 5]]);
    for answer in [
        &many[..],
        &rest,
        &message(IDENTITIES_ANSWER, &[]),
        &message(IDENTITIES_ANSWER, &[&[0, 0, 0, 1], &string(b"k")]),
        &message(FAILURE, &[]),
        &message(SIGN_RESPONSE, &[&string(b"x")]),
        &[0, 0, 0, 0],
        &[0xff; 8],
        &[0, 4, 0, 1, IDENTITIES_ANSWER],
        &[0, 0, 0, 9, IDENTITIES_ANSWER],
        &[],
    ] {
        lied_to(&[&[Some(answer)]], async |mut agent| {
            assert!(agent.identities().await.is_err(), "{answer:?}");
        });
    }
}

#[test]
fn a_signature_made_in_another_way_is_refused() {
    let rsa = string(b"ssh-rsa");
    let signed = |name: &[u8], rest: &[u8]| {
        let whole = [string(name), string(b"signature"), rest.to_vec()].concat();
        message(SIGN_RESPONSE, &[&string(&whole)])
    };
    let sign = |blob: &[u8], flags, answer: Vec<u8>| {
        lied_to(&[&[Some(&answer)]], async |mut agent| {
            agent
                .sign(blob, b"x", flags)
                .await
                .map_err(|e| e.to_string())
        })
    };
    assert_eq!(
        sign(&rsa, RSA_SHA2_256, signed(b"ssh-rsa", b"")).unwrap_err(),
        "the agent signed with `ssh-rsa`; asked for was `rsa-sha2-256`"
    );
    assert!(sign(&rsa, RSA_SHA2_256, signed(b"rsa-sha2-256", b"more")).is_err());
    assert_eq!(
        sign(&rsa, RSA_SHA2_512, signed(b"rsa-sha2-512", b"")).unwrap(),
        b"signature"
    );
    let certificate = string(b"ssh-rsa-cert-v01@openssh.com");
    assert_eq!(
        sign(&certificate, RSA_SHA2_512, signed(b"rsa-sha2-512", b"")).unwrap(),
        b"signature"
    );
    // A security key's counter follows; libssh2 sends it along as it is.
    let touched = [string(b"signature"), b"\x01\0\0\0\x07".to_vec()].concat();
    for name in ["sk-ssh-ed25519", "sk-ssh-ed25519-cert-v01"] {
        let blob = string(format!("{name}@openssh.com").as_bytes());
        let answer = signed(b"sk-ssh-ed25519@openssh.com", b"\x01\0\0\0\x07");
        assert_eq!(sign(&blob, 0, answer).unwrap(), touched);
    }
}

#[test]
fn comments_can_not_drive_a_terminal() {
    let keys = [string(b"key"), string(b"\x1b[2Jme\xff")].concat();
    let answer = message(IDENTITIES_ANSWER, &[&[0, 0, 0, 1], &keys]);
    let listed = lied_to(&[&[Some(&answer)]], async |mut agent| {
        agent.identities().await.unwrap()
    });
    assert_eq!(listed[0].comment, "\\u{1b}[2Jme\u{fffd}");
}

/// The late answer to a request that was given up must not be taken for the next one's.
#[test]
fn after_a_request_was_given_up_the_next_one_has_a_new_connection() {
    let empty = message(IDENTITIES_ANSWER, &[&[0; 4]]);
    lied_to(
        &[&[None], &[Some(&empty), Some(&empty)]],
        async |mut agent| {
            {
                let mut waiting = pin!(agent.identities());
                let is_pending = future::poll_once(waiting.as_mut()).await.is_none();
                assert!(is_pending, "nobody answers");
            }
            assert_eq!(agent.identities().await.unwrap(), []);
            assert_eq!(agent.identities().await.unwrap(), []);
        },
    );
}

proptest! {
    #[test]
    fn any_answer_is_taken_apart_without_a_panic(body: Vec<u8>, name in "[a-z-]{0,9}") {
        let _ = keys(&body);
        let _ = signature(&body, &name);
        let _ = signature(&string(&body), &name);
        let _ = signature_algorithm(&body, RSA_SHA2_256);
    }
}

#[test]
fn waiting_does_not_block_the_worker() {
    lied_to(&[&[None]], async |mut agent| {
        let other = async { Err(io::ErrorKind::TimedOut.into()) };
        let first = future::or(agent.identities(), other).await;
        assert_eq!(first.unwrap_err().kind(), io::ErrorKind::TimedOut);
    });
}
