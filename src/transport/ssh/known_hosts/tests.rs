//! The index as a whole, against the programs of OpenSSH.

use std::fs;
use std::net::TcpListener;
use std::os::fd::OwnedFd;
use std::os::unix::fs::PermissionsExt;
use std::process::{Command, Output, Stdio};
use std::thread;
use std::time::Duration;

use proptest::prelude::*;
use rustix::time::{ClockId, clock_gettime};
use tempfile::TempDir;

use super::*;
use crate::transport::ssh::wire::put_string;

/// Returns a key of its own for each number.
pub(super) fn blob(number: u64) -> Vec<u8> {
    let mut key = [0; 32];
    key[..8].copy_from_slice(&number.to_le_bytes());
    key_of("ssh-ed25519", &[&key])
}

fn key_of(algorithm: &str, parts: &[&[u8]]) -> Vec<u8> {
    let mut blob = Vec::new();
    put_string(&mut blob, algorithm.as_bytes());
    for part in parts {
        put_string(&mut blob, part);
    }
    blob
}

fn rsa(number: u8) -> Vec<u8> {
    key_of(
        "ssh-rsa",
        &[&[1, 0, 1], &[&[1, number][..], &[7; 255]].concat()],
    )
}

fn written(blob: &[u8]) -> String {
    use base64::engine::general_purpose::STANDARD;
    format!("{} {}", algorithm(blob), STANDARD.encode(blob))
}

fn port(number: u16) -> Port {
    Port::new(number).unwrap()
}

struct Files {
    folder: TempDir,
    index: KnownHosts,
    warnings: Vec<String>,
}

impl Files {
    fn new(user: &[u8], global: &[u8]) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let paths = ["user", "global"].map(|name| folder.path().join(name));
        fs::write(&paths[0], user).unwrap();
        fs::write(&paths[1], global).unwrap();
        let (index, warnings) = KnownHosts::load(&paths[..1], &paths[1..]);
        Self {
            folder,
            index,
            warnings,
        }
    }

    fn user(text: &str) -> Self {
        Self::new(text.as_bytes(), b"")
    }

    /// Says the verdict in one word and the line that made it.
    fn check(&self, host: &str, number: u16, blob: &[u8]) -> String {
        let verdict = match self.index.check(host, port(number), blob) {
            Verdict::Known { place } => format!("known {place}"),
            Verdict::Unknown => "unknown".to_owned(),
            Verdict::Changed { place, algorithm } => format!("changed {place} {algorithm}"),
            Verdict::Revoked { place } => format!("revoked {place}"),
        };
        self.without_folder(&verdict)
    }

    fn without_folder(&self, text: &str) -> String {
        text.replace(&format!("{}/", self.folder.path().display()), "")
    }

    /// Runs `ssh-keygen` on the user's file.
    fn ssh_keygen(&self, args: &[&str]) -> Output {
        let output = Command::new("ssh-keygen")
            .args(args)
            .arg("-f")
            .arg(self.folder.path().join("user"))
            .output();
        output.expect("ssh-keygen is installed")
    }

    /// Returns the lines that `ssh-keygen -F` finds for a host, with `CA` and `REVOKED`.
    fn found_by_ssh_keygen(&self, form: &str) -> Vec<String> {
        let output = self.ssh_keygen(&["-F", form]);
        let text = String::from_utf8(output.stdout).unwrap();
        let lines = text.lines().filter_map(|line| line.split_once("found: "));
        lines.map(|(_, line)| line.trim().to_owned()).collect()
    }
}

#[test]
fn every_kind_of_line_is_read() {
    let (a, b, c) = (written(&blob(1)), written(&blob(2)), written(&rsa(3)));
    let files = Files::new(
        format!(
            "# comment\r\n\r\nWeb1,10.0.0.1 {a} me@home\r\n*.example.org,!bad.example.org {b}\n\
             [web1]:2222 {b}\n[::1]:2222,::1 {b}\nweb1 {c}\n@cert-authority *.ca.example {a}\n\
             @revoked * {}\nbroken",
            written(&blob(9))
        )
        .as_bytes(),
        format!("web2 {a}").as_bytes(),
    );
    for (host, number, key, verdict) in [
        ("web1", 22, blob(1), "known user:3"),
        ("WEB1", 22, blob(1), "known user:3"),
        ("10.0.0.1", 22, blob(1), "known user:3"),
        ("web1", 22, rsa(3), "known user:7"),
        ("a.example.org", 22, blob(2), "known user:4"),
        ("bad.example.org", 22, blob(2), "unknown"),
        ("web1", 2222, blob(2), "known user:5"),
        ("::1", 2222, blob(2), "known user:6"),
        ("::1", 22, blob(2), "known user:6"),
        ("web2", 22, blob(1), "known global:1"),
        ("web3", 22, blob(1), "unknown"),
        ("a.ca.example", 22, blob(1), "unknown"),
        ("web3", 22, blob(9), "revoked user:9"),
        ("web1", 22, blob(9), "revoked user:9"),
        ("web1", 22, blob(5), "changed user:3 ssh-ed25519"),
        ("web1", 22, rsa(5), "changed user:7 ssh-rsa"),
        ("web2", 22, rsa(5), "changed global:1 ssh-ed25519"),
        ("web1", 2222, blob(1), "changed user:5 ssh-ed25519"),
    ] {
        assert_eq!(files.check(host, number, &key), verdict, "{host}:{number}");
    }
    let authorities = files.index.authorities("a.ca.example", Port::SSH);
    let places: Vec<_> = authorities
        .iter()
        .map(|key| files.without_folder(&key.place))
        .collect();
    assert_eq!(places, ["user:8"]);
    assert!(
        files
            .index
            .is_authority("a.ca.example", Port::SSH, &authorities[0].blob)
    );
    assert!(files.index.authorities("web1", Port::SSH).is_empty());
    let warnings: Vec<_> = files
        .warnings
        .iter()
        .map(|w| files.without_folder(w))
        .collect();
    assert_eq!(
        warnings,
        ["user:10: it ends before the key; the line is ignored"]
    );
}

#[test]
fn a_key_for_the_plain_host_counts_on_other_ports() {
    let files = Files::user(&format!(
        "web1 {}\n@revoked web1 {}\n[web2]:2222 {}\n",
        written(&blob(1)),
        written(&blob(2)),
        written(&blob(3))
    ));
    assert_eq!(files.check("web1", 2222, &blob(1)), "known user:1");
    assert_eq!(files.check("web1", 2222, &blob(2)), "revoked user:2");
    assert_eq!(files.check("web1", 2222, &blob(3)), "unknown");
    assert_eq!(files.check("web2", 22, &blob(3)), "unknown");
}

#[test]
fn algorithms_come_in_the_order_of_the_files_without_revoked_keys() {
    let files = Files::new(
        format!(
            "web1 {}\nweb* {}\nweb1 {}\n@revoked web1 {}\n[web9]:2222 {}\n",
            written(&rsa(1)),
            written(&blob(1)),
            written(&blob(2)),
            written(&rsa(1)),
            written(&rsa(2)),
        )
        .as_bytes(),
        format!("* {}\n", written(&rsa(3))).as_bytes(),
    );
    let algorithms = |host, number| files.index.algorithms(host, port(number));
    assert_eq!(algorithms("web1", 22), ["ssh-ed25519", "ssh-rsa"]);
    assert_eq!(algorithms("db1", 22), ["ssh-rsa"]);
    assert_eq!(algorithms("web9", 2222), ["ssh-rsa"]);
    let none = Files::user(&format!("web1 {}\n", written(&blob(1)))).index;
    assert_eq!(none.algorithms("web2", Port::SSH), [""; 0]);
    assert_eq!(none.algorithms("web1", port(2222)), ["ssh-ed25519"]);
}

#[test]
fn of_keys_accepted_at_the_same_time_the_first_one_stays() {
    let files = Files::user(&format!("web1 {}\n", written(&blob(1))));
    assert_eq!(files.check("web2", 22, &blob(2)), "unknown");
    files.index.add("Web2", Port::SSH, &blob(2));
    assert_eq!(
        files.check("web2", 22, &blob(2)),
        "known accepted earlier in this run"
    );
    let second = files.index.add("web2", Port::SSH, &rsa(3));
    let place = ACCEPTED.to_owned();
    let algorithm = "ssh-ed25519".to_owned();
    assert_eq!(second, Verdict::Changed { place, algorithm });
    assert_eq!(files.index.algorithms("web2", Port::SSH), ["ssh-ed25519"]);
    assert!(matches!(
        files.index.add("web1", Port::SSH, &blob(3)),
        Verdict::Changed { .. }
    ));
    files.index.accept("[web3]:2222", &blob(4));
    assert_eq!(
        files.check("web3", 2222, &blob(4)),
        "known accepted earlier in this run"
    );
}

#[test]
fn missing_files_are_empty_and_unreadable_ones_are_told() {
    let folder = tempfile::tempdir().unwrap();
    let paths = [
        folder.path().join("missing"),
        folder.path().to_owned(),
        "/dev/null".into(),
    ];
    let (index, warnings) = KnownHosts::load(&paths, &[]);
    assert_eq!(index.check("web1", Port::SSH, &blob(1)), Verdict::Unknown);
    assert_eq!(
        warnings,
        [format!(
            "cannot read known hosts from {}: Is a directory (os error 21); the keys in it count \
             as unknown",
            folder.path().display()
        )]
    );
}

#[test]
fn many_malformed_lines_make_few_warnings() {
    let files = Files::user(&"x\n".repeat(1000));
    assert_eq!(files.warnings.len(), MAX_LINE_WARNINGS + 1);
    assert_eq!(
        files.without_folder(files.warnings.last().unwrap()),
        "user: 990 more lines ignored"
    );
}

#[test]
fn fingerprints_are_those_of_ssh_keygen() {
    let keys = [blob(7), rsa(7)];
    let lines = keys.each_ref().map(|key| format!("web1 {}", written(key)));
    let files = Files::user(&lines.join("\n"));
    let output = String::from_utf8(files.ssh_keygen(&["-l"]).stdout).unwrap();
    let theirs: Vec<_> = output
        .lines()
        .map(|line| line.split(' ').nth(1).unwrap())
        .collect();
    assert_eq!(theirs, keys.map(|key| fingerprint(&key)));
}

#[test]
fn ssh_keygen_finds_hashes_and_removes_what_was_appended() {
    let files = Files::user("");
    let path = files.folder.path().join("user");
    let reload = || KnownHosts::load(std::slice::from_ref(&path), &[]).0;
    let lines: Vec<_> = (1..=3)
        .map(|number| (host_form(&format!("Web{number}"), port(2200)), blob(number)))
        .collect();
    KnownHosts::append(&path, &lines, false).unwrap();
    assert_eq!(files.found_by_ssh_keygen("[web2]:2200"), ["line 2"]);
    assert!(files.ssh_keygen(&["-H"]).status.success());
    assert!(fs::read_to_string(&path).unwrap().starts_with("|1|"));
    let known = |index: &KnownHosts, number| {
        let verdict = index.check(&format!("web{number}"), port(2200), &blob(number));
        matches!(verdict, Verdict::Known { .. })
    };
    assert!((1..=3).all(|number| known(&reload(), number)));
    assert!(files.ssh_keygen(&["-R", "[web2]:2200"]).status.success());
    assert!(known(&reload(), 1) && !known(&reload(), 2) && known(&reload(), 3));
}

/// Ten thousand hashed lines: each is tried on a host once, and a try is cheap. The first bound
/// leaves room for a slow machine, yet not for deriving a line's key on every try.
#[test]
fn hashed_lines_are_cheap_and_tried_once_a_host() {
    let files = Files::user(&format!("web1 {}\n", written(&blob(1))));
    files.ssh_keygen(&["-H"]);
    let line = fs::read_to_string(files.folder.path().join("user")).unwrap();
    let files = Files::user(&line.repeat(10_000));
    let hosts: Vec<_> = (0..100).map(|number| format!("host{number}")).collect();
    let check_all = || {
        let before = clock_gettime(ClockId::ThreadCPUTime);
        for host in &hosts {
            assert_eq!(files.check(host, 22, &blob(1)), "unknown");
        }
        Duration::try_from(clock_gettime(ClockId::ThreadCPUTime) - before).unwrap()
    };
    let (first, again) = (check_all(), check_all());
    assert!(first < Duration::from_secs(2), "{first:?} for 100 hosts");
    assert!(again * 10 < first, "{again:?} after {first:?}");
    assert_eq!(files.check("web1", 22, &blob(1)), "known user:1");
}

impl KnownHosts {
    /// Returns the lines that are about a host, as [`Files::found_by_ssh_keygen`] does.
    fn lines_for(&self, form: &str) -> Vec<String> {
        let is_for = |rule: &&Rule| rule.names.matches(form.as_bytes());
        let keys = self.find(form);
        let mut lines: Vec<_> = keys
            .iter()
            .map(|index| (self.keys[*index].place.line, ""))
            .collect();
        let authorities = self.authorities.iter().map(|(rule, _)| rule);
        let authorities = authorities.filter(is_for);
        lines.extend(authorities.map(|rule| (rule.place.line, " CA")));
        let revoked = self.revoked.values().flatten().filter(is_for);
        lines.extend(revoked.map(|rule| (rule.place.line, " REVOKED")));
        lines.sort_unstable();
        lines
            .iter()
            .map(|(line, mark)| format!("line {line}{mark}"))
            .collect()
    }
}

fn field() -> impl Strategy<Value = String> {
    let name = "!?[aAb*?]{1,3}|\\[[ab*?]{1,2}\\]:22[12]?";
    proptest::collection::vec(name, 1..4).prop_map(|names| names.join(","))
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn the_same_lines_match_as_for_ssh_keygen(
        fields in proptest::collection::vec(field(), 1..12),
        markers in proptest::collection::vec(0_u8..6, 12),
        host in "[abAB]{1,3}",
        number in prop_oneof![Just(22_u16), Just(221)],
        is_hashed: bool,
    ) {
        let lines: Vec<_> = (0_u64..)
            .zip(fields.iter().zip(&markers))
            .map(|(number, (field, marker))| {
                let marker = match marker { 0 => "@revoked ", 1 => "@cert-authority ", _ => "" };
                format!("{marker}{field} {}", written(&blob(number)))
            })
            .collect();
        let files = Files::user(&lines.join("\n"));
        if is_hashed {
            // Leaves lines with wildcards as they are.
            files.ssh_keygen(&["-H"]);
        }
        let path = files.folder.path().join("user");
        let (index, _) = KnownHosts::load(&[path], &[]);
        let form = host_form(&host, port(number));
        prop_assert_eq!(index.lines_for(&form), files.found_by_ssh_keygen(&form));
    }

    #[test]
    fn any_bytes_can_be_loaded(bytes: Vec<u8>, host in "\\PC{0,8}", key: Vec<u8>) {
        let files = Files::new(&bytes, b"");
        files.index.check(&host, port(2222), &key);
        files.index.algorithms(&host, Port::SSH);
        fingerprint(&key);
        algorithm(&key);
    }
}

/// A real server on a port of its own, with one host key.
struct Server {
    folder: TempDir,
    listener: TcpListener,
    key: Vec<u8>,
}

impl Server {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("key");
        let made = Command::new("dropbearkey")
            .args(["-t", "ed25519", "-f"])
            .arg(&path)
            .output()
            .expect("dropbear is installed");
        let text = String::from_utf8(made.stdout).unwrap();
        let mut words = text
            .lines()
            .find(|line| line.starts_with("ssh-"))
            .unwrap()
            .split(' ');
        let line = format!("x {} {}", words.next().unwrap(), words.next().unwrap());
        let line = line::parse(line.as_bytes()).unwrap().unwrap();
        Self {
            folder,
            listener: TcpListener::bind("127.0.0.1:0").unwrap(),
            key: line.blob.into(),
        }
    }

    fn port(&self) -> Port {
        port(self.listener.local_addr().unwrap().port())
    }

    /// Serves one connection.
    fn serve(&self) {
        let (stream, _) = self.listener.accept().unwrap();
        let reply = stream.try_clone().unwrap();
        let mut child = Command::new("dropbear")
            .args(["-i", "-r"])
            .arg(self.folder.path().join("key"))
            .stdin(OwnedFd::from(stream))
            .stdout(OwnedFd::from(reply))
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        child.wait().unwrap();
    }

    /// Says what `ssh` thinks of the server's key, in the words of [`Files::check`].
    fn judged_by_ssh(&self, known_hosts: &Path) -> &'static str {
        let output = thread::scope(|scope| {
            scope.spawn(|| self.serve());
            Command::new("ssh")
                .args(["-F", "none", "-p", &self.port().to_string()])
                .arg("-o")
                .arg(format!("UserKnownHostsFile={}", known_hosts.display()))
                .args(["-o", "GlobalKnownHostsFile=/dev/null"])
                .args(["-o", "StrictHostKeyChecking=yes", "-o", "BatchMode=yes"])
                .args(["-o", "PreferredAuthentications=none"])
                // This server also offers RSA, and dies when it is taken.
                .args(["-o", "HostKeyAlgorithms=ssh-ed25519"])
                .args(["127.0.0.1", "true"])
                .output()
                .expect("ssh is installed")
        });
        let said = String::from_utf8(output.stderr).unwrap();
        let words = [
            ("REVOKED HOST KEY", "revoked"),
            ("IDENTIFICATION HAS CHANGED", "changed"),
            ("host key is known for", "unknown"),
            ("Permission denied", "known"),
        ];
        let word = words.iter().find(|(text, _)| said.contains(text));
        word.unwrap_or_else(|| panic!("{said}")).1
    }
}

#[test]
fn verdicts_are_those_of_ssh() {
    let server = Server::new();
    let (right, wrong) = (written(&server.key), written(&blob(1)));
    let (other_type, form) = (written(&rsa(1)), host_form("127.0.0.1", server.port()));
    for (text, expected) in [
        (format!("{form} {right}"), "known"),
        (format!("{form} {wrong}\n{form} {right}"), "known"),
        (format!("127.0.0.1 {right}"), "known"),
        (format!("127.0.0.1 {wrong}"), "unknown"),
        (format!("[127.0.0.?]:* {right}"), "known"),
        (format!("*,!{form} {right}"), "known"),
        (format!("*,!{form},!127.0.0.1 {right}"), "unknown"),
        (format!("{form} {wrong}"), "changed"),
        (format!("{form} {other_type}"), "changed"),
        (format!("{form} {wrong}\n127.0.0.1 {right}"), "changed"),
        (
            format!("@revoked {form} {right}\n{form} {right}"),
            "revoked",
        ),
        (format!("{form} {right}\n@revoked * {right}"), "revoked"),
        (format!("{form} {wrong}\n@revoked * {right}"), "revoked"),
        (
            format!("127.0.0.1 {right}\n@revoked 127.0.0.1 {right}"),
            "revoked",
        ),
        (format!("@revoked {form} {wrong}"), "unknown"),
        (format!("@cert-authority {form} {right}"), "unknown"),
        (String::new(), "unknown"),
    ] {
        let files = Files::user(&text);
        let path = files.folder.path().join("user");
        assert_eq!(server.judged_by_ssh(&path), expected, "ssh on {text}");
        let ours = files.check("127.0.0.1", server.port().get(), &server.key);
        assert_eq!(ours.split(' ').next(), Some(expected), "{text}");
    }
}

#[test]
fn unreadable_for_lack_of_permission_is_told_too() {
    let files = Files::user("");
    let path = files.folder.path().join("user");
    fs::set_permissions(&path, fs::Permissions::from_mode(0o000)).unwrap();
    let (_, warnings) = KnownHosts::load(&[path], &[]);
    // The superuser reads it all the same.
    let is_root = rustix::process::geteuid().is_root();
    assert_eq!(warnings.is_empty(), is_root);
}
