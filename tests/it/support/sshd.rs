//! A real OpenSSH server in a temporary folder: own keys, own configuration, own port.
//!
//! It listens on 0.0.0.0, so every address of 127.0.0.0/8 is a host of its own. Run as root it
//! lets root in with a key, otherwise the user who runs the tests; commands find an empty home, so
//! that nothing a real `.bashrc` does takes time or leaves a trace.

use std::fs;
use std::path::Path;
use std::process::Command;

use super::captured::Captured;
use super::keys::KeyPair;
use super::process::must;
use super::server::Server;
use super::tree::Tree;

/// A running server, ended when dropped.
pub(crate) struct Sshd {
    tree: Tree,
    server: Server,
    /// The key that is let in.
    pub client_key: KeyPair,
    /// The server's own keys, in the order of its configuration.
    pub host_keys: Vec<KeyPair>,
}

/// What a test wants of a server beyond the usual.
#[derive(Default)]
pub(crate) struct Configuration {
    host_key_types: Vec<String>,
    has_own_homes: bool,
    sftp: Option<String>,
    lines: Vec<String>,
    last_lines: Vec<String>,
}

impl Configuration {
    /// Serves these types of host keys (`ed25519`, `ecdsa`, `rsa`) instead of ed25519 alone.
    pub(crate) fn host_keys(mut self, types: &[&str]) -> Self {
        self.host_key_types = types.iter().map(|&name| name.to_owned()).collect();
        self
    }

    /// Leaves accounts their own homes and their own `~/.ssh/authorized_keys`; for a namespace.
    pub(crate) fn own_homes(mut self) -> Self {
        self.has_own_homes = true;
        self
    }

    /// Has this give files, in place of sshd itself; nothing does where it is empty.
    pub(crate) fn sftp(mut self, program: impl AsRef<Path>) -> Self {
        self.sftp = Some(program.as_ref().to_str().unwrap().to_owned());
        self
    }

    /// Adds a line to `sshd_config`; the first of several for one keyword holds.
    pub(crate) fn line(mut self, line: &str) -> Self {
        self.lines.push(line.to_owned());
        self
    }

    /// Adds a line to the end of `sshd_config`, where `Match` blocks are.
    pub(crate) fn last_line(mut self, line: &str) -> Self {
        self.last_lines.push(line.to_owned());
        self
    }

    /// Starts the server.
    #[track_caller]
    pub(crate) fn start(self) -> Sshd {
        let program = super::installed("sshd", "openssh-server");
        make_privilege_separation_folder();
        let tree = Tree::new();
        let client_key = KeyPair::generate(&tree.join("client"), "ed25519");
        tree.write("authorized_keys", client_key.public() + "\n");
        let types = if self.host_key_types.is_empty() {
            vec!["ed25519".to_owned()]
        } else {
            self.host_key_types
        };
        let make = |name: &String| KeyPair::generate(&tree.join(format!("host_{name}")), name);
        let host_keys: Vec<KeyPair> = types.iter().map(make).collect();
        let server = Server::start("Server listening on", |port| {
            let mut lines = self.lines.clone();
            lines.extend(homes(&tree, self.has_own_homes));
            lines.extend(host_key_lines(&host_keys));
            lines.extend(sftp_line(self.sftp.as_deref()));
            let text = text(port, &lines) + &self.last_lines.join("\n");
            let path = accepted(&program, &tree, text);
            let mut command = Command::new(&program);
            command.env_clear().env("PATH", super::PATH);
            command.arg("-D").arg("-e").arg("-f").arg(path);
            command
        });
        Sshd {
            tree,
            server,
            client_key,
            host_keys,
        }
    }
}

impl Sshd {
    /// Starts a server with one ed25519 host key.
    #[track_caller]
    pub(crate) fn start() -> Self {
        Configuration::default().start()
    }

    /// Begins a server that is not the usual one.
    pub(crate) fn with() -> Configuration {
        Configuration::default()
    }

    /// Returns the port it answers on, at every address of 127.0.0.0/8.
    pub(crate) fn port(&self) -> u16 {
        self.server.port
    }

    /// Returns what it has logged, growing.
    pub(crate) fn log(&self) -> Captured {
        self.server.log.clone()
    }

    /// Returns the process id of the listening process.
    pub(crate) fn pid(&self) -> u32 {
        self.server.pid()
    }

    /// Returns a line of shell with which a command kills the server's processes for its own
    /// session, so that nobody tells how the command ended.
    pub(crate) fn cuts_the_session(&self) -> String {
        let listener = self.pid();
        format!(
            "p=$PPID; while [ $p != {listener} ] && [ $p -gt 1 ]; do \
             q=$(sed -n 's/^PPid:[[:space:]]*//p' /proc/$p/status); \
             case $(cat /proc/$p/comm) in sshd*) kill -KILL $p;; esac; p=$q; done; sleep 20"
        )
    }

    /// Lets one more key in.
    pub(crate) fn authorize(&self, public: &str) {
        let path = self.tree.join("authorized_keys");
        let known = fs::read_to_string(&path).unwrap();
        fs::write(&path, format!("{known}{public}\n")).unwrap();
    }

    /// Lets nobody in any more.
    pub(crate) fn authorize_nobody(&self) {
        self.tree.write("authorized_keys", "");
    }
}

/// Returns the account that may log in.
pub(crate) fn user() -> String {
    must("id", &[&"-un"]).trim().to_owned()
}

/// Returns the lines that say where homes are and which keys are let in.
fn homes(tree: &Tree, has_own_homes: bool) -> Vec<String> {
    if has_own_homes {
        return vec!["AuthorizedKeysFile .ssh/authorized_keys".to_owned()];
    }
    vec![
        format!("SetEnv HOME={}", tree.folder("home").display()),
        format!(
            "AuthorizedKeysFile {}/authorized_keys",
            tree.path().display()
        ),
    ]
}

fn host_key_lines(host_keys: &[KeyPair]) -> impl Iterator<Item = String> {
    host_keys
        .iter()
        .map(|key| format!("HostKey {}", key.path.display()))
}

fn sftp_line(program: Option<&str>) -> Option<String> {
    let program = program.unwrap_or("internal-sftp");
    (!program.is_empty()).then(|| format!("Subsystem sftp {program}"))
}

fn text(port: u16, own: &[String]) -> String {
    let usual = "\
        PidFile none
        StrictModes no
        UsePAM no
        UseDNS no
        PermitRootLogin yes
        PermitUserEnvironment no
        PermitUserRC no
        PasswordAuthentication no
        KbdInteractiveAuthentication no
        PrintMotd no
        PrintLastLog no
        MaxStartups 4096
        MaxSessions 100
        LoginGraceTime 60
        LogLevel VERBOSE
";
    format!("{}\nListenAddress 0.0.0.0:{port}\n{usual}", own.join("\n"))
}

/// Writes the configuration, with what only newer servers know where this one does.
fn accepted(program: &Path, tree: &Tree, text: String) -> std::path::PathBuf {
    let fuller = tree.write("sshd_config", format!("PerSourcePenalties no\n{text}"));
    let is_known = Command::new(program)
        .arg("-t")
        .arg("-f")
        .arg(&fuller)
        .output();
    if is_known.is_ok_and(|output| output.status.success()) {
        return fuller;
    }
    tree.write("sshd_config", text)
}

/// sshd started by root needs this empty folder; the init system makes it where sshd is a service.
fn make_privilege_separation_folder() {
    if must("id", &[&"-u"]).trim() == "0" {
        fs::create_dir_all("/run/sshd").expect("root may make /run/sshd");
        super::tree::set_mode(Path::new("/run/sshd"), 0o755);
    }
}
