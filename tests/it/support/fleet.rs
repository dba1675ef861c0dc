//! hoist as a user has it: a home, an inventory, an empty environment, and the program.
//!
//! ```ignore
//! Fleet::new().hosts("web[1-3]").says("web2", "boom").exits("web2", 3)
//!     .hoist("run -o jsonl -- act").code(1).became("web2", "failed", "exit");
//! ```

use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use std::ffi::{OsStr, OsString};
use std::fmt::Write;
use std::fs::File;
use std::process::Command;
use std::time::Duration;

use super::captured::{Captured, Keep};
use super::dropbear::Dropbear;
use super::ended::Ended;
use super::keys::KeyPair;
use super::process::{Running, must};
use super::sshd::{self, Sshd};
use super::tree::{Tree, is_gone, is_running, kill, left_pids};

/// The header of the inventory.
const COLUMNS: &str = "name,transport,address,port,user,groups,rack";

/// Set for a copy of the test program: the transport of its fleets.
pub(crate) const TRANSPORT: &str = "HOIST_TEST_TRANSPORT";

thread_local! {
    static OVER: Cell<&'static str> = const { Cell::new("ssh") };
}

/// Runs a test with its SSH hosts reached by another transport.
pub(crate) fn over(transport: &'static str, test: impl FnOnce()) {
    OVER.set(transport);
    test();
}

/// Returns the transport of hosts over SSH.
pub(crate) fn transport() -> &'static str {
    #[expect(
        clippy::disallowed_methods,
        reason = "how a copy of the test program is told"
    )]
    match std::env::var(TRANSPORT) {
        Ok(name) if name == "openssh" => "openssh",
        _ => OVER.get(),
    }
}

/// Returns how a signal is called that ended a command by itself: `ssh` tells no names.
pub(crate) fn signal_told(name: &str) -> &str {
    match transport() {
        "openssh" => "unknown",
        _ => name,
    }
}

/// Repeats these tests of a module with hosts reached by the system's `ssh`.
macro_rules! over_openssh {
    ($($test:ident,)*) => {
        mod over_openssh {
            $(#[test]
            fn $test() {
                $crate::support::installed("ssh", "openssh-client");
                $crate::support::fleet::over("openssh", super::$test);
            })*
        }
    };
}
pub(crate) use over_openssh;

/// A home, an inventory, and what the hosts of it do.
pub(crate) struct Fleet {
    tree: Tree,
    rows: String,
    known_hosts: String,
    addresses: Cell<u16>,
    acts: BTreeMap<String, String>,
    logs: RefCell<Vec<Captured>>,
}

impl Fleet {
    /// Makes an empty home and an inventory without hosts.
    pub(crate) fn new() -> Self {
        let tree = Tree::new();
        for folder in ["home/.ssh", "config/hoist", "work", "bin", "tmp", "pids"] {
            tree.folder(folder);
        }
        let fleet = Self {
            tree,
            rows: String::new(),
            known_hosts: String::new(),
            addresses: Cell::new(0),
            acts: BTreeMap::new(),
            logs: RefCell::default(),
        };
        super::tree::set_mode(&fleet.tree.join("home/.ssh"), 0o700);
        if transport() != "ssh" {
            // For inventories of a test's own.
            let settings = format!("[defaults]\ntransport = \"{}\"\n", transport());
            fleet.tree.write("config/hoist/config.toml", settings);
        }
        fleet.save();
        fleet
    }

    /// Adds hosts that are this machine: `web[1-3]`.
    pub(crate) fn hosts(mut self, pattern: &str) -> Self {
        for name in super::names(pattern) {
            self.add_row([&name, "local", "", "", ""]);
        }
        self
    }

    /// Adds hosts of a group that are this machine.
    pub(crate) fn group(mut self, group: &str, pattern: &str) -> Self {
        for name in super::names(pattern) {
            writeln!(self.rows, "{name},local,,,,{group},").unwrap();
        }
        self.save();
        self
    }

    /// Adds hosts of a real server, each at an address of its own, with their keys known and the
    /// client's key in place.
    pub(crate) fn served(self, pattern: &str, sshd: &Sshd) -> Self {
        let key = sshd.host_keys[0].public();
        self.log(&sshd.log())
            .with_identity(&sshd.client_key)
            .ssh_hosts(pattern, sshd.port(), &key)
    }

    /// Adds hosts of a dropbear server, likewise.
    pub(crate) fn served_by_dropbear(self, pattern: &str, dropbear: &Dropbear) -> Self {
        self.log(&dropbear.log())
            .with_identity(&dropbear.client_key)
            .ssh_hosts(pattern, dropbear.port(), &dropbear.host_key)
    }

    /// Adds hosts of a server whose keys nobody knows.
    pub(crate) fn strangers(mut self, pattern: &str, port: u16) -> Self {
        let user = sshd::user();
        for name in super::names(pattern) {
            let address = self.next_address();
            self.add_row([&name, transport(), &address, &port.to_string(), &user]);
        }
        self
    }

    /// Adds hosts behind an SSH port, with `key` known for each of them.
    pub(crate) fn ssh_hosts(mut self, pattern: &str, port: u16, key: &str) -> Self {
        for name in super::names(pattern) {
            self = self.ssh_host(&name, port, &sshd::user(), key);
        }
        self
    }

    /// Adds one host behind an SSH port and an account there, with `key` known for it.
    pub(crate) fn ssh_host(mut self, name: &str, port: u16, user: &str, key: &str) -> Self {
        let address = self.next_address();
        writeln!(self.known_hosts, "[{address}]:{port} {key}").unwrap();
        self.add_row([name, transport(), &address, &port.to_string(), user]);
        self
    }

    /// Replaces the inventory, for tests about inventories.
    pub(crate) fn inventory(mut self, rows: &str) -> Self {
        rows.clone_into(&mut self.rows);
        self.tree.write("work/fleet.csv", rows);
        self
    }

    /// Puts a key where it is found by itself.
    pub(crate) fn with_identity(self, key: &KeyPair) -> Self {
        self.copy_key(key, "home/.ssh/id_ed25519");
        self
    }

    /// Copies both halves of a key to a place in the fleet's folder, as their owner keeps them.
    pub(crate) fn copy_key(&self, key: &KeyPair, place: &str) {
        let halves = [
            (key.path.clone(), place.to_owned(), 0o600),
            (
                key.path.with_extension("pub"),
                format!("{place}.pub"),
                0o644,
            ),
        ];
        for (from, to, mode) in halves {
            self.tree
                .write_with_mode(&to, std::fs::read(from).unwrap(), mode);
        }
    }

    /// Shows a server's log with every failure.
    pub(crate) fn log(self, log: &Captured) -> Self {
        self.logs.borrow_mut().push(log.clone());
        self
    }

    /// Makes `act` print a line on that host.
    pub(crate) fn says(self, host: &str, line: &str) -> Self {
        let words = shlex::try_quote(line).unwrap().into_owned();
        self.acts(host, &format!("printf '%s\\n' {words}"))
    }

    /// Makes `act` end with that status on that host.
    pub(crate) fn exits(self, host: &str, code: u8) -> Self {
        self.acts(host, &format!("exit {code}"))
    }

    /// Makes `act` go on with a line of shell on that host. Lines are executed in the order given.
    pub(crate) fn acts(mut self, host: &str, line: &str) -> Self {
        let lines = self.acts.entry(host.to_owned()).or_default();
        writeln!(lines, "{line}").unwrap();
        let cases = self
            .acts
            .iter()
            .map(|(host, lines)| format!("{host})\n{lines};;\n"));
        let script = format!(
            "#!/bin/sh\ncase $HOIST_HOST in\n{}esac\n",
            cases.collect::<String>()
        );
        self.tree.write_with_mode("bin/act", script, 0o755);
        self
    }

    /// Returns the path of `act`, for hosts that are reached over SSH.
    pub(crate) fn act(&self) -> String {
        self.tree.join("bin/act").display().to_string()
    }

    /// Returns a line of shell that tells `ready` and then stays, until somebody ends it. The
    /// fleet ends what is left of these.
    pub(crate) fn staying(&self) -> String {
        let (pids, fifo) = (self.tree.join("pids"), self.tree.join("announcements"));
        let (pids, fifo) = (pids.display(), fifo.display());
        format!(
            "echo $$ > {pids}/$HOIST_HOST.pid; [ -p {fifo} ] && echo $HOIST_HOST is ready > {fifo}; \
             echo ready; exec sleep 300"
        )
    }

    /// Returns what shows `web1 is ready` when a host has come to [`staying`](Self::staying), for
    /// outputs that show it only at the end.
    pub(crate) fn announcements(&self) -> Running {
        let fifo = self.tree.join("announcements");
        must("mkfifo", &[&fifo]);
        // Open for writing too, it never comes to its end.
        let line = format!("exec cat <>{}", fifo.display());
        Running::start(Command::new("sh").args(["-c", &line]), Keep::All, false)
    }

    /// Returns the process ids of the commands that are still staying.
    fn still_there(&self) -> Vec<u32> {
        let mut pids = left_pids(&self.tree.join("pids"));
        pids.retain(|pid| is_running(*pid));
        pids
    }

    /// Checks that every command that was [`staying`](Self::staying) has been ended.
    #[track_caller]
    pub(crate) fn nobody_stays(&self) {
        let pids = left_pids(&self.tree.join("pids"));
        assert!(!pids.is_empty(), "some command has stayed");
        let left = self.still_there();
        assert!(
            left.is_empty(),
            "still there: processes {left:?} of {pids:?}"
        );
    }

    /// Waits until every command that was [`staying`](Self::staying) is gone.
    #[track_caller]
    pub(crate) fn everybody_leaves(&self) {
        let pids = left_pids(&self.tree.join("pids"));
        assert!(!pids.is_empty(), "some command has stayed");
        for pid in pids {
            assert!(is_gone(pid, super::PATIENCE), "still there: process {pid}");
        }
    }

    /// Returns the fleet's folder: `home`, `config/hoist`, `work` (where hoist runs), `tmp`.
    pub(crate) fn tree(&self) -> &Tree {
        &self.tree
    }

    /// Replaces `known_hosts`, for tests about it.
    pub(crate) fn write_known_hosts(&self, text: &str) {
        self.tree.write("home/.ssh/known_hosts", text);
    }

    /// Returns `known_hosts` as it is now.
    pub(crate) fn known_hosts(&self) -> String {
        let path = self.tree.join("home/.ssh/known_hosts");
        std::fs::read_to_string(path).unwrap_or_default()
    }

    /// Runs hoist to its end with the words of `line`, split as a POSIX shell would.
    #[track_caller]
    pub(crate) fn hoist(&self, line: &str) -> Ended {
        self.command(line).run()
    }

    /// Prepares hoist with the words of `line`.
    #[track_caller]
    pub(crate) fn command(&self, line: &str) -> Invocation<'_> {
        let words = shlex::split(line).unwrap_or_else(|| panic!("not words of a shell: {line}"));
        self.argv(words)
    }

    /// Prepares hoist with exactly these arguments.
    pub(crate) fn argv<T: Into<OsString>>(
        &self,
        args: impl IntoIterator<Item = T>,
    ) -> Invocation<'_> {
        self.program(env!("CARGO_BIN_EXE_hoist"), args)
    }

    /// Prepares another program, as hoist's user would start it.
    pub(crate) fn program<T: Into<OsString>>(
        &self,
        program: &'static str,
        args: impl IntoIterator<Item = T>,
    ) -> Invocation<'_> {
        Invocation {
            fleet: self,
            program,
            args: args.into_iter().map(Into::into).collect(),
            env: Vec::new(),
            stdin: Vec::new(),
            keep: Keep::All,
            stdout: None,
            patience: super::PATIENCE,
        }
    }

    /// Adds a row: name, transport, address, port, user.
    fn add_row(&mut self, row: [&str; 5]) {
        writeln!(self.rows, "{},,", row.join(",")).unwrap();
        self.save();
    }

    fn save(&self) {
        self.tree
            .write("work/fleet.csv", format!("{COLUMNS}\n{}", self.rows));
        self.write_known_hosts(&self.known_hosts);
    }

    /// Returns another address of this machine; none is used twice.
    fn next_address(&self) -> String {
        let number = self.addresses.get() + 1;
        self.addresses.set(number);
        format!("127.1.{}.{}", number / 250, number % 250 + 1)
    }
}

impl Drop for Fleet {
    fn drop(&mut self) {
        for pid in self.still_there() {
            kill(pid);
        }
    }
}

/// hoist about to be started.
pub(crate) struct Invocation<'a> {
    fleet: &'a Fleet,
    program: &'static str,
    args: Vec<OsString>,
    env: Vec<(OsString, OsString)>,
    stdin: Vec<u8>,
    keep: Keep,
    stdout: Option<File>,
    patience: Duration,
}

impl Invocation<'_> {
    /// Adds an environment variable.
    pub(crate) fn env(mut self, name: &str, value: impl AsRef<OsStr>) -> Self {
        self.env.push((name.into(), value.as_ref().to_owned()));
        self
    }

    /// Gives hoist these bytes to read; nothing otherwise.
    pub(crate) fn stdin(mut self, bytes: impl Into<Vec<u8>>) -> Self {
        self.stdin = bytes.into();
        self
    }

    /// Keeps only the tally of stdout.
    pub(crate) fn tallied(mut self) -> Self {
        self.keep = Keep::Tally;
        self
    }

    /// Lets hoist write its stdout there.
    pub(crate) fn stdout_to(mut self, file: File) -> Self {
        self.stdout = Some(file);
        self
    }

    /// Allows more time than usual, or less.
    pub(crate) fn patience(mut self, patience: Duration) -> Self {
        self.patience = patience;
        self
    }

    /// Runs hoist to its end.
    #[track_caller]
    pub(crate) fn run(self) -> Ended {
        let patience = self.patience;
        self.start().wait(patience)
    }

    /// Starts hoist with its stdin at its end already, or holding what was given.
    pub(crate) fn start(mut self) -> Running {
        let stdin = std::mem::take(&mut self.stdin);
        let program = Command::new(self.program);
        let args = std::mem::take(&mut self.args);
        let mut running = self.launch(program, &args);
        running.feed(stdin);
        running
    }

    /// Starts hoist on a terminal of 100 columns, which shows stdout and stderr together. Type
    /// with [`Running::type_in`].
    pub(crate) fn start_on_terminal(mut self) -> Running {
        super::installed("script", "bsdutils");
        let args = std::mem::take(&mut self.args);
        let line = format!(
            "stty cols 100 rows 30; exec {}",
            shell_line(self.program, &args)
        );
        let mut script = Command::new("script");
        script.env("SHELL", "/bin/sh").env("TERM", "xterm");
        let args = ["-q", "-e", "-f", "-c", &line, "/dev/null"].map(OsString::from);
        self.launch(script, &args)
    }

    /// Runs hoist to its end as `"$@"` of a script for `sh`.
    #[track_caller]
    pub(crate) fn run_through(mut self, script: &str) -> Ended {
        let start = ["-c", script, "sh", env!("CARGO_BIN_EXE_hoist")].map(OsString::from);
        let args: Vec<OsString> = start.into_iter().chain(self.args.drain(..)).collect();
        let patience = self.patience;
        let stdin = std::mem::take(&mut self.stdin);
        let mut running = self.launch(Command::new("/bin/sh"), &args);
        running.feed(stdin);
        running.wait(patience)
    }

    /// Runs hoist to its end without the terminal that the tests may have been started from.
    #[track_caller]
    pub(crate) fn run_detached(mut self) -> Ended {
        let mut args: Vec<OsString> = vec!["--wait".into(), env!("CARGO_BIN_EXE_hoist").into()];
        args.append(&mut self.args);
        let patience = self.patience;
        let mut running = self.launch(Command::new("setsid"), &args);
        running.feed(Vec::new());
        running.wait(patience)
    }

    /// Runs hoist to its end; tells also its largest memory in KiB.
    #[track_caller]
    pub(crate) fn run_measured(mut self) -> (Ended, u64) {
        super::installed("time", "time");
        let file = self.fleet.tree.join("peak");
        let mut args: Vec<OsString> = ["-f", "%M", "-o"].map(OsString::from).into();
        args.extend([file.clone().into(), env!("CARGO_BIN_EXE_hoist").into()]);
        args.append(&mut self.args);
        let patience = self.patience;
        let stdin = std::mem::take(&mut self.stdin);
        let mut running = self.launch(Command::new("/usr/bin/time"), &args);
        running.feed(stdin);
        let ended = running.wait(patience);
        let told = std::fs::read_to_string(file).unwrap_or_default();
        let peak = told
            .lines()
            .last()
            .and_then(|line| line.trim().parse().ok());
        let peak = peak.unwrap_or_else(|| panic!("no peak memory in {told:?}\n{ended}"));
        (ended, peak)
    }

    fn launch(self, mut command: Command, args: &[OsString]) -> Running {
        let tree = &self.fleet.tree;
        let gives_stdout_away = self.stdout.is_some();
        let own: Vec<_> = command
            .get_envs()
            .map(|(k, v)| (k.to_owned(), v.unwrap().to_owned()))
            .collect();
        command
            .env_clear()
            .envs(own)
            .args(args)
            .current_dir(tree.join("work"));
        command.env(
            "PATH",
            format!("{}:{}", tree.join("bin").display(), super::PATH),
        );
        command
            .env("HOME", tree.join("home"))
            .env("TMPDIR", tree.join("tmp"));
        command.env("XDG_CONFIG_HOME", tree.join("config"));
        command.env("XDG_STATE_HOME", tree.join("state"));
        command.env("XDG_CACHE_HOME", tree.join("cache"));
        command
            .env("LC_ALL", "C.UTF-8")
            .env("HOIST_INVENTORY", "fleet.csv")
            // What this machine's own configuration says is not the same everywhere.
            .env("HOIST_SSH_CONFIG", "none");
        command.envs(self.env);
        if let Some(file) = self.stdout {
            command.stdout(file);
        }
        let mut running = Running::start(&mut command, self.keep, gives_stdout_away);
        running.logs.clone_from(&self.fleet.logs.borrow());
        running
    }
}

/// Returns a program and its arguments as a line for a POSIX shell.
fn shell_line(program: &str, args: &[OsString]) -> String {
    let words = [program].into_iter().chain(
        args.iter()
            .map(|arg| arg.to_str().expect("only text in a shell's line")),
    );
    shlex::try_join(words).expect("no NUL in a shell's line")
}
