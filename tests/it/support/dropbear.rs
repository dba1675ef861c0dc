//! A real dropbear server. It reads only the account's own `~/.ssh/authorized_keys`, so it runs in
//! a [`Namespace`](super::namespace::Namespace), whose accounts are private.

use std::process::Command;

use super::captured::Captured;
use super::keys::KeyPair;
use super::namespace::Namespace;
use super::process::must;
use super::server::Server;

/// A running server, ended when dropped.
pub(crate) struct Dropbear {
    server: Server,
    /// The key that lets root in.
    pub client_key: KeyPair,
    /// The public half of its ed25519 host key, as `type base64`.
    pub host_key: String,
}

impl Dropbear {
    /// Starts a server with one ed25519 host key.
    #[track_caller]
    pub(crate) fn start(namespace: &Namespace) -> Self {
        let program = super::installed("dropbear", "dropbear-bin");
        let tree = namespace.tree();
        let client_key = KeyPair::generate(&tree.join("dropbear_client"), "ed25519");
        namespace.authorize("root", &client_key.public());
        let key = tree.join("dropbear_host");
        let made = must("dropbearkey", &[&"-t", &"ed25519", &"-f", &key]);
        let server = Server::start("Not backgrounding", |port| {
            let mut command = Command::new(&program);
            command
                .env_clear()
                .env("PATH", super::PATH)
                .arg("-F")
                .arg("-E")
                .arg("-r")
                .arg(&key);
            command.arg("-p").arg(format!("0.0.0.0:{port}"));
            command.arg("-P").arg(tree.join("dropbear.pid"));
            command
        });
        let line = made.lines().find(|line| line.starts_with("ssh-ed25519 "));
        let words = line
            .expect("dropbearkey shows the public half")
            .split(' ')
            .take(2);
        Self {
            server,
            client_key,
            host_key: words.collect::<Vec<_>>().join(" "),
        }
    }

    /// Returns the port it answers on, at every address of 127.0.0.0/8.
    pub(crate) fn port(&self) -> u16 {
        self.server.port
    }

    /// Returns what it has logged, growing.
    pub(crate) fn log(&self) -> Captured {
        self.server.log.clone()
    }
}
