//! Real servers. Where there is no sshd these tests fail and name openssh-server.

use std::fs;
use std::net::TcpStream;
use std::path::PathBuf;
use std::process::Output;
use std::time::Instant;

use serde_json::json;
use tempfile::TempDir;

use super::super::{PublicKey, user_data};
use super::*;

/// Longer than anything takes here.
const PATIENCE: Duration = Duration::from_mins(1);

/// A sandbox of its own, with a key; all its servers end with it.
struct Yard {
    state: TempDir,
    sandbox: Sandbox,
    client: HostKey,
}

impl Yard {
    fn new() -> Self {
        Self::below("")
    }

    /// Makes one whose state is in a folder of this name.
    fn below(name: &str) -> Self {
        let state = tempfile::tempdir().unwrap();
        let access = Access {
            state: state.path().join(name),
            ..Access::default()
        };
        let client = HostKey::generate().unwrap();
        folder::write(&state.path().join("id"), client.private().expose()).unwrap();
        let sandbox = Sandbox::new(&access).unwrap();
        Self {
            state,
            sandbox,
            client,
        }
    }

    fn spec(&self, settings: &[(&str, &str)]) -> Spec {
        let option = |(name, value): &(&str, &str)| ((*name).to_owned(), json!(value));
        let mut options: BTreeMap<String, Value> = settings.iter().map(option).collect();
        options
            .entry("boot_delay".to_owned())
            .or_insert_with(|| json!("1ms"));
        Spec {
            fleet: FleetName::parse("app").unwrap(),
            region: None,
            size: None,
            image: None,
            key: PublicKey::parse(self.client.public()).unwrap(),
            tags: vec!["blue".to_owned()],
            options,
            open_ssh_from: None,
        }
    }

    fn try_create(
        &self,
        name: &str,
        user_data: &[u8],
        settings: &[(&str, &str)],
    ) -> Result<Server, ProviderError> {
        let spec = self.spec(settings);
        let offer = self.sandbox.offer(&spec)?;
        let prepared = self.sandbox.prepare(&spec, &offer)?;
        self.sandbox.create(&Order {
            spec: &spec,
            offer: &offer,
            prepared: &prepared,
            name,
            token: name,
            user_data,
        })
    }

    /// Makes a server and waits until it runs; returns it with its host key.
    fn create(&self, name: &str) -> (Server, HostKey) {
        let key = HostKey::generate().unwrap();
        let data = user_data::combine(&key, Some(b"#!/bin/sh\nexit 1\n"), 10_000).unwrap();
        let made = self.try_create(name, &data, &[]).unwrap();
        assert_eq!(made.state, State::Pending);
        (self.until(&made.id, State::Running), key)
    }

    fn get(&self, id: &str) -> Option<Server> {
        let all = self.sandbox.list(None).unwrap();
        all.into_iter().find(|server| server.id == id)
    }

    /// Looks until the server is in that state.
    fn until(&self, id: &str, state: State) -> Server {
        let began_at = Instant::now();
        loop {
            let server = self.get(id).unwrap();
            if server.state == state {
                return server;
            }
            assert!(began_at.elapsed() < PATIENCE, "{server:?}");
            thread::sleep(Duration::from_millis(5));
        }
    }

    fn folder(&self, server: &Server) -> PathBuf {
        self.sandbox.folders.of(&server.id)
    }

    fn pid(&self, server: &Server) -> rustix::process::Pid {
        let text = fs::read_to_string(self.folder(server).join("sshd.pid")).unwrap();
        rustix::process::Pid::from_raw(text.trim().parse().unwrap()).unwrap()
    }

    fn client(&self, program: &str, server: &Server, host_key: &str) -> Command {
        let address = server.address().unwrap();
        let known = self.state.path().join("known_hosts");
        let port = server.port.unwrap();
        fs::write(&known, format!("[{address}]:{port} {host_key}\n")).unwrap();
        let mut command = Command::new(program);
        command.args([
            "-F",
            "none",
            "-o",
            "BatchMode=yes",
            "-o",
            "IdentitiesOnly=yes",
        ]);
        command.args(["-o", "StrictHostKeyChecking=yes", "-o", "LogLevel=ERROR"]);
        command.arg(format!("-oUserKnownHostsFile=\"{}\"", known.display()));
        command.arg(format!("-oPort={port}")).arg("-i");
        command
            .arg(self.state.path().join("id"))
            .stdin(std::process::Stdio::null());
        command
    }

    fn ssh(&self, server: &Server, host_key: &str, words: &str) -> Output {
        let mut command = self.client("ssh", server, host_key);
        let user = server.login_user.as_deref().unwrap();
        let address = server.address().unwrap();
        let output = command.arg(format!("{user}@{address}")).arg(words).output();
        output.expect("openssh-client is installed")
    }

    /// Runs a command on the server and returns what it prints.
    fn says(&self, server: &Server, key: &HostKey, words: &str) -> String {
        let output = self.ssh(server, key.public(), words);
        let log = fs::read_to_string(self.folder(server).join("sshd.log"));
        assert!(output.status.success(), "{output:?} {log:?}");
        String::from_utf8(output.stdout).unwrap().trim().to_owned()
    }
}

impl Drop for Yard {
    fn drop(&mut self) {
        for found in self.sandbox.folders.all().unwrap_or_default() {
            process::end(&self.sandbox.folders.of(found.id())).ok();
        }
    }
}

fn has_ended(pid: rustix::process::Pid) -> bool {
    let stat = fs::read_to_string(format!("/proc/{}/stat", pid.as_raw_nonzero()));
    stat.map_or(true, |stat| stat.contains(") Z "))
}

#[test]
fn a_server_is_made_logged_in_to_and_destroyed() {
    let yard = Yard::new();
    let (server, key) = yard.create("app-1");
    assert_eq!(server.fleet, FleetName::parse("app").ok());
    assert_eq!(server.region, "local");
    let home = yard.folder(&server).join("home").display().to_string();
    assert_eq!(yard.says(&server, &key, "pwd"), home);
    assert_eq!(yard.says(&server, &key, "echo $HOME"), home);
    let own = yard.says(&server, &key, "echo $HOIST_SANDBOX");
    assert_eq!(PathBuf::from(own), yard.folder(&server));
    assert_eq!(
        yard.ssh(&server, key.public(), "exit 7").status.code(),
        Some(7)
    );
    let other = HostKey::generate().unwrap();
    assert_eq!(
        yard.ssh(&server, other.public(), "true").status.code(),
        Some(255)
    );

    let (pid, folder) = (yard.pid(&server), yard.folder(&server));
    assert!(!has_ended(pid));
    assert_eq!(yard.sandbox.destroy(&server), Ok(Destroyed::Gone));
    assert!(has_ended(pid) && !folder.exists());
    assert_eq!(yard.sandbox.list(None), Ok(Vec::new()));
    assert_eq!(yard.sandbox.destroy(&server), Ok(Destroyed::Gone));
    let dialled = TcpStream::connect((server.address().unwrap(), server.port.unwrap()));
    assert!(dialled.is_err());
}

#[test]
fn files_come_and_go_from_an_odd_folder() {
    let yard = Yard::below("my state 100%");
    let (server, key) = yard.create("app-1");
    let file = yard.state.path().join("file");
    fs::write(&file, "hello").unwrap();
    let mut command = yard.client("scp", &server, key.public());
    let user = server.login_user.as_deref().unwrap();
    command.arg("-s").arg(&file);
    command.arg(format!("{user}@{}:brought", server.address().unwrap()));
    let output = command.output().unwrap();
    assert!(output.status.success(), "{output:?}");
    assert_eq!(yard.says(&server, &key, "cat ~/brought"), "hello");
}

#[test]
fn destroying_ends_what_runs_there() {
    let yard = Yard::new();
    let (server, key) = yard.create("app-1");
    let words = "nohup sleep 1000 >/dev/null 2>&1 & echo $!";
    let left: i32 = yard.says(&server, &key, words).parse().unwrap();
    let left = rustix::process::Pid::from_raw(left).unwrap();
    assert!(!has_ended(left));
    assert_eq!(yard.sandbox.destroy(&server), Ok(Destroyed::Gone));
    assert!(has_ended(left));
}

#[test]
fn servers_are_apart_and_names_are_taken_once() {
    let yard = Yard::new();
    let (first, first_key) = yard.create("app-1");
    let (second, second_key) = yard.create("app-2");
    assert_ne!(first.address(), second.address());
    assert_ne!(first_key.public(), second_key.public());
    yard.says(&first, &first_key, "echo one > mark");
    assert_eq!(yard.says(&second, &second_key, "ls"), "");
    let error = yard.try_create("app-1", b"", &[]).unwrap_err();
    assert_eq!(error.refusal().unwrap().kind, RefusalKind::Conflict);
    insta::assert_snapshot!(error, @"the sandbox says that there is one already: the fleet has a server called app-1 (status 409)");
    let app = FleetName::parse("app").unwrap();
    assert_eq!(yard.sandbox.list(Some(&app)).unwrap().len(), 2);
    let other = FleetName::parse("ap").unwrap();
    assert_eq!(yard.sandbox.list(Some(&other)), Ok(Vec::new()));
}

#[test]
fn a_server_boots_for_as_long_as_it_is_told_to() {
    let yard = Yard::new();
    let made = yard
        .try_create("app-1", b"", &[("boot_delay", "30m")])
        .unwrap();
    let listed = yard.get(&made.id).unwrap();
    assert_eq!(listed.state, State::Pending);
    assert_eq!(listed.address(), None);
}

#[test]
fn settings_are_checked_and_can_have_it_fail() {
    let yard = Yard::new();
    let error = |name: &str, value: &str| {
        let error = yard.try_create("app-1", b"", &[(name, value)]).unwrap_err();
        error.to_string()
    };
    insta::assert_snapshot!(error("fail", "no more today"), @"the sandbox allows no more: no more today (status 403)");
    insta::assert_snapshot!(error("boot_delay", "soon"), @"the setting `boot_delay` takes a time such as `300ms` or `2s`, not `soon`");
    insta::assert_snapshot!(error("boot_dely", "1s"), @"setting `boot_dely` is not known; did you mean `boot_delay`?");
    assert_eq!(yard.sandbox.list(None), Ok(Vec::new()));
    assert_eq!(duration("90s"), Some(Duration::from_secs(90)));
    assert_eq!(duration("2m"), Some(Duration::from_mins(2)));
    for odd in ["", "s", "5", "-1s", "1h", "99999999999999999999s"] {
        assert_eq!(duration(odd), None, "{odd}");
    }
}

#[test]
fn a_server_whose_sshd_died_is_stopped_and_can_be_destroyed() {
    let yard = Yard::new();
    let (server, _) = yard.create("app-1");
    rustix::process::kill_process(yard.pid(&server), rustix::process::Signal::KILL).unwrap();
    let stopped = yard.until(&server.id, State::Stopped);
    assert!(stopped.message.unwrap().contains("destroy it"));
    assert_eq!(yard.sandbox.destroy(&server), Ok(Destroyed::Gone));
    assert!(!yard.folder(&server).exists());
}

#[test]
fn a_new_host_key_counts_after_hup_and_the_server_never_seems_dead() {
    let yard = Yard::new();
    let (server, first) = yard.create("app-1");
    let next = "cd $HOIST_SANDBOX && ssh-keygen -q -t ed25519 -N '' -f next && \
                mv next ssh_host_ed25519_key && cat next.pub && kill -HUP $(cat sshd.pid)";
    let next = yard.says(&server, &first, next);
    let began_at = Instant::now();
    loop {
        let listed = yard.get(&server.id).unwrap();
        assert_eq!(listed.state, State::Running);
        if yard.ssh(&server, &next, "true").status.success() {
            break;
        }
        assert!(began_at.elapsed() < PATIENCE);
    }
    assert!(!yard.ssh(&server, first.public(), "true").status.success());
    assert_eq!(yard.sandbox.destroy(&server), Ok(Destroyed::Gone));
    let table = Table::read().unwrap();
    assert!(!table.has_listener(&yard.folder(&server)));
}

#[test]
fn what_a_killed_hoist_left_is_cleaned_or_listed() {
    let yard = Yard::new();
    let (server, _) = yard.create("app-1");
    let root = yard.folder(&server).parent().unwrap().to_owned();
    for name in [".new-aaaaaaaaaaaa", ".gone-bbbbbbbbbbbb", "cccccccccccc"] {
        fs::create_dir(root.join(name)).unwrap();
    }
    let odd = yard.get("cccccccccccc").unwrap();
    assert_eq!((odd.state, odd.fleet.clone()), (State::Error, None));
    assert_eq!(yard.sandbox.list(None).unwrap().len(), 2);
    assert_eq!(yard.sandbox.destroy(&odd), Ok(Destroyed::Gone));
    let left: Vec<_> = fs::read_dir(&root).unwrap().flatten().collect();
    assert_eq!(left.len(), 2, "the lock and one server: {left:?}");
}

#[test]
fn an_id_is_never_a_path() {
    let yard = Yard::new();
    let (server, _) = yard.create("app-1");
    for id in ["", ".", "..", "../sandbox", "lock", "/tmp", "AAAAAAAAAAAA"] {
        let odd = Server::new(ProviderName::Sandbox, id, "app-1");
        assert_eq!(yard.sandbox.destroy(&odd), Ok(Destroyed::Gone), "{id}");
    }
    assert_eq!(yard.get(&server.id).unwrap().state, State::Running);
}

#[test]
fn nothing_private_is_where_others_can_read_it() {
    use std::os::unix::fs::PermissionsExt;
    let yard = Yard::new();
    let (server, key) = yard.create("app-1");
    let folder = yard.folder(&server);
    let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
    assert_eq!(mode(&folder), 0o700);
    assert_eq!(mode(&folder.join("ssh_host_ed25519_key")), 0o600);
    let canary = key.private().expose().lines().nth(2).unwrap().to_owned();
    let shown = format!(
        "{server:?} {:?} {:?}",
        yard.sandbox,
        yard.sandbox.list(None)
    );
    let record = fs::read_to_string(folder.join("server.json")).unwrap();
    assert!(!shown.contains(&canary) && !record.contains(&canary));
    assert!(record.contains("\"blue\"") && record.contains("\"hoist:app\""));
}

#[test]
fn the_catalogue_is_small() {
    let yard = Yard::new();
    let ids = |which| {
        let articles = yard.sandbox.catalogue(which, None).unwrap();
        articles
            .into_iter()
            .map(|article| article.id)
            .collect::<Vec<_>>()
    };
    assert_eq!(ids(Catalogue::Regions), ["local"]);
    assert_eq!(ids(Catalogue::Sizes), ["small", "medium", "large"]);
    assert_eq!(ids(Catalogue::Images), ["this-machine"]);
    let spec = Spec {
        region: Some("mars".to_owned()),
        ..yard.spec(&[])
    };
    insta::assert_snapshot!(yard.sandbox.offer(&spec).unwrap_err(), @"region `mars` is not known; `hoist cloud regions sandbox` lists them");
    let account = yard.sandbox.check().unwrap();
    assert!(account.facts[0].1.starts_with("OpenSSH_"), "{account:?}");
}

#[test]
fn a_missing_sshd_names_its_package() {
    let error = Program::find_in(["", "/nowhere", "."].into_iter()).unwrap_err();
    insta::assert_snapshot!(error, @"the sandbox needs OpenSSH's server, and there is no sshd here: install the package openssh-server (Debian, Ubuntu, Fedora) or openssh (Alpine, Arch)");
}
