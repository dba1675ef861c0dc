//! Hosting APIs that other people imitate, as servers of a test's own: Prism, which judges requests by
//! an API's description, and moto, which is an EC2 with a memory. `tests/imitations` installs both.

use std::path::{Path, PathBuf};
use std::process::Command;

use super::captured::Keep;
use super::process::Running;
use super::server::free_port;
use super::tree::Tree;

/// Times another port is tried when somebody took the chosen one first.
const TRIES: usize = 5;

/// A server that answers, killed when dropped.
pub(crate) struct Imitation {
    _server: Running,
    _home: Tree,
    url: String,
}

impl Imitation {
    /// Starts Prism with the description `tests/contract/specs/NAME.json`.
    #[track_caller]
    pub(crate) fn prism(name: &str) -> Self {
        let folder = installed("prism");
        let descriptions = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/contract/specs");
        Self::start("Prism is listening on", |port| {
            let mut command = Command::new(folder.join("node"));
            command.arg(folder.join("node_modules/@stoplight/prism-cli/dist/index.js"));
            command.args(["mock", "-h", "127.0.0.1", "-p", &port.to_string()]);
            command.arg(descriptions.join(format!("{name}.json")));
            command
        })
    }

    /// Starts moto, which knows no images, sizes and keys but its own.
    #[track_caller]
    pub(crate) fn moto() -> Self {
        let folder = installed("moto");
        Self::start("Running on", |port| {
            let mut command = Command::new(folder.join("bin/python"));
            command.args(["-u", "-m", "moto.server", "-H", "127.0.0.1"]);
            command.args(["-p", &port.to_string()]);
            command.env("MOTO_ENABLE_AMI_VALIDATION", "1");
            command.env("MOTO_ENABLE_KEYPAIR_VALIDATION", "1");
            command.env("MOTO_EC2_ENABLE_INSTANCE_TYPE_VALIDATION", "1");
            command
        })
    }

    /// Starts what `command` makes for a port, and waits until it has said `ready`, which both say
    /// when they listen.
    #[track_caller]
    fn start(ready: &str, command: impl Fn(u16) -> Command) -> Self {
        let mut last = String::new();
        for _ in 0..TRIES {
            let (home, port) = (Tree::new(), free_port());
            let mut command = command(port);
            let environment = [("PATH", super::PATH), ("AWS_EC2_METADATA_DISABLED", "true")];
            command.env("HOME", home.path()).envs(environment);
            let mut server = Running::start(command.env_remove("PORT"), Keep::All, false);
            server.feed(Vec::new());
            // One says it on stdout, the other on stderr.
            let is_ready = match ready {
                "Running on" => server.stderr.wait_for(ready, super::PATIENCE),
                _ => server.stdout.wait_for(ready, super::PATIENCE),
            };
            if is_ready {
                return Self {
                    _server: server,
                    _home: home,
                    url: format!("http://127.0.0.1:{port}"),
                };
            }
            last = format!("{}{}", server.stdout, server.stderr);
            let is_taken = last.contains("EADDRINUSE") || last.contains("already in use");
            assert!(is_taken, "the imitation did not start: {last}");
        }
        panic!("no free port in {TRIES} tries: {last}");
    }

    /// Returns its address, without a path.
    pub(crate) fn url(&self) -> &str {
        &self.url
    }
}

/// Returns the folder that `tests/imitations` installed a program in; fails the test otherwise.
#[track_caller]
pub(crate) fn installed(name: &str) -> PathBuf {
    let target = Path::new(env!("CARGO_TARGET_TMPDIR")).parent().unwrap();
    let folder = target.join("tools").join(name);
    assert!(
        folder.join("installed").is_file(),
        "{name} is not in {}: `make test`, or tests/imitations alone, installs it",
        folder.display()
    );
    folder
}
