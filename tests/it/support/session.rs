//! Sessions of the library itself to a real server, without the program.

use std::cell::Cell;
use std::future::{Future, poll_fn};
use std::path::Path;
use std::pin::Pin;
use std::sync::Arc;
use std::task::Poll;
use std::time::Duration;

use hoist::host::{Address, Endpoint, HostName, Port, SshSettings, TransportName, UserName};
use hoist::remote::{Command, Exec};
use hoist::transport::ssh::identity::{Identity, Loaded, NamedKey};
use hoist::transport::ssh::{Ssh, SshOptions};
use hoist::transport::{End, Phase, Progress, Session, Transport};

use super::dropbear::Dropbear;
use super::sshd::{self, Sshd};

/// How a server is reached.
pub(crate) struct Login {
    endpoint: Endpoint,
    ssh: Ssh,
}

impl Login {
    /// Returns the way to a server with the key that it lets in.
    pub(crate) fn to(sshd: &Sshd) -> Self {
        Self::of(sshd, sshd.port(), &sshd::user())
    }

    /// Returns the way to a server's account, or through another port.
    pub(crate) fn of(sshd: &Sshd, port: u16, user: &str) -> Self {
        Self::new(
            port,
            user,
            &sshd.client_key.path,
            &sshd.host_keys[0].public(),
        )
    }

    pub(crate) fn to_dropbear(dropbear: &Dropbear) -> Self {
        let key = &dropbear.client_key.path;
        Self::new(dropbear.port(), "root", key, &dropbear.host_key)
    }

    fn new(port: u16, user: &str, key: &Path, host_key: &str) -> Self {
        let Loaded::Ready(identity) = Identity::load(key).unwrap() else {
            panic!("the key is not encrypted");
        };
        let settings = SshSettings {
            identities: vec![key.to_owned()],
            keepalive: Duration::from_secs(2),
            ..SshSettings::default()
        };
        let endpoint = Endpoint {
            name: HostName::parse("web1").unwrap(),
            address: Address::parse("127.0.0.1").unwrap(),
            transport: TransportName::Ssh,
            port: Port::new(port).unwrap(),
            user: Some(UserName::parse(user).unwrap()),
            ssh: Arc::new(settings),
            host_key: Some(host_key.into()),
        };
        let options = SshOptions {
            identities: vec![NamedKey::Own(identity)],
            ..SshOptions::default()
        };
        let ssh = Ssh::new(options, std::slice::from_ref(&endpoint)).unwrap();
        Self { endpoint, ssh }
    }

    /// Logs in.
    pub(crate) async fn session(&self) -> Box<dyn Session> {
        let phase = Cell::new(Phase::Start);
        let session = self.ssh.connect(&self.endpoint, &phase).await;
        session.unwrap_or_else(|error| panic!("{error}"))
    }
}

/// Runs a line of shell and returns what it prints; it must succeed.
pub(crate) async fn prints(session: &mut dyn Session, line: &str) -> String {
    let exec = Exec::new(Command::Shell(line.into()));
    let mut process = session.spawn(&exec).await.unwrap();
    let (mut printed, mut buffer) = (Vec::new(), Vec::new());
    loop {
        match process.next(&mut buffer).await {
            Progress::Output(_) => printed.extend_from_slice(&buffer),
            Progress::Ended(End::Exited { status, .. }) => {
                assert!(status.is_success(), "{line}: {status}");
                return String::from_utf8(printed).unwrap();
            }
            Progress::Ended(end) => panic!("{line}: {end:?}"),
        }
    }
}

/// Polls all of them within one task until all are done; returns what they return, in order.
pub(crate) async fn joined<F: Future>(futures: impl IntoIterator<Item = F>) -> Vec<F::Output> {
    let mut futures: Vec<Pin<Box<F>>> = futures.into_iter().map(Box::pin).collect();
    let mut done: Vec<Option<F::Output>> = futures.iter().map(|_| None).collect();
    poll_fn(|cx| {
        for (future, done) in futures.iter_mut().zip(&mut done) {
            if done.is_none()
                && let Poll::Ready(value) = future.as_mut().poll(cx)
            {
                *done = Some(value);
            }
        }
        if done.iter().all(Option::is_some) {
            Poll::Ready(())
        } else {
            Poll::Pending
        }
    })
    .await;
    done.into_iter().flatten().collect()
}
