//! What goes wrong while files are on their way: the old file stays, and nothing is left behind.

use std::fs;
use std::path::{Path, PathBuf};
use std::thread;
use std::time::{Duration, Instant};

use rustix::process::Signal;

use super::{MOVED, nothing_is_left, put, words};
use crate::support::fleet::{Fleet, over_openssh};
use crate::support::namespace::{Namespace, in_namespace};
use crate::support::process::must;
use crate::support::sshd::Sshd;
use crate::support::tree::{Tree, descendants, is_removed, kill, left_pids};
use crate::support::{PATIENCE, installed};

/// Makes a file of zeros that are no hole.
fn big(tree: &Tree, megabytes: u32) -> PathBuf {
    let path = tree.join("big");
    let line = format!("head -c {megabytes}M /dev/zero >\"$1\"");
    must("sh", &[&"-c", &line, &"sh", &path]);
    path
}

/// Returns what hoist has written beside the files of a folder.
fn beside(folder: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(folder).unwrap().flatten();
    let paths = entries.map(|entry| entry.path());
    let is_own = |path: &PathBuf| {
        path.file_name()
            .unwrap()
            .as_encoded_bytes()
            .starts_with(b".hoist-")
    };
    paths.filter(is_own).collect()
}

/// Waits until hoist writes into a folder.
#[track_caller]
fn begins(folder: &Path) {
    let began = Instant::now();
    while beside(folder).is_empty() {
        assert!(began.elapsed() < PATIENCE, "nothing is written");
        thread::yield_now();
    }
}

/// A full disk on one host, with the hosts `web[1-2]`.
fn keeps_the_old_where_the_disk_is_full(namespace: &Namespace, fleet: &Fleet, name: &str) {
    let tree = fleet.tree();
    let disk = namespace.disk(name, "4m");
    let other = tree.folder("there");
    std::os::unix::fs::symlink(&disk, tree.join("web1")).unwrap();
    std::os::unix::fs::symlink(&other, tree.join("web2")).unwrap();
    fs::write(disk.join("big"), "old").unwrap();
    let sources = [big(tree, 8), tree.write("small", "small")];
    let ended = put(fleet, "", &sources, tree.join("{host}/"));
    ended
        .code(1)
        .became("web1", "failed", "transfer")
        .became("web2", "ok", "");
    assert_eq!(fs::read(disk.join("big")).unwrap(), b"old", "{ended}");
    assert_eq!(fs::metadata(other.join("big")).unwrap().len(), 8 << 20);
    nothing_is_left(&disk);
    assert!(
        ended
            .record("web1")
            .text("message")
            .to_lowercase()
            .contains("disk full"),
        "{ended}"
    );
}

#[test]
fn a_full_disk_keeps_what_was_there() {
    in_namespace!(|namespace: &Namespace| {
        let sshd = Sshd::start();
        let fleet = Fleet::new().served("web[1-2]", &sshd);
        keeps_the_old_where_the_disk_is_full(namespace, &fleet, "disk1");
    });
}

#[test]
fn a_full_disk_keeps_what_was_there_without_sftp() {
    in_namespace!(|namespace: &Namespace| {
        let sshd = Sshd::with().sftp("").start();
        let fleet = Fleet::new().served("web[1-2]", &sshd);
        keeps_the_old_where_the_disk_is_full(namespace, &fleet, "disk2");
        let fleet = Fleet::new().hosts("web[1-2]");
        keeps_the_old_where_the_disk_is_full(namespace, &fleet, "disk3");
    });
}

/// Starts a server that does `line` of shell with its own processes, `$p`, when so many bytes have
/// come to its file service.
fn interrupted(tree: &Tree, line: &str) -> Sshd {
    let server = installed_sftp_server();
    let script = format!(
        "#!/bin/sh\n{{ dd bs=64k count=60 2>/dev/null; p=$PPID\n\
         while [ $p -gt 1 ]; do\n\
         q=$(sed -n 's/^PPid:[[:space:]]*//p' /proc/$p/status)\n\
         case $(cat /proc/$q/comm) in sshd*) ;; *) break;; esac\n\
         case $(cat /proc/$p/comm) in sshd*) {line};; esac\n\
         p=$q; done; }} | {}\n",
        server.display()
    );
    let program = tree.write_with_mode("sftp", script, 0o755);
    Sshd::with().sftp(program).start()
}

fn installed_sftp_server() -> PathBuf {
    installed("sshd", "openssh-server");
    [
        "/usr/lib/openssh/sftp-server",
        "/usr/libexec/openssh/sftp-server",
    ]
    .into_iter()
    .map(PathBuf::from)
    .find(|path| path.is_file())
    .expect("sftp-server comes with openssh-sftp-server")
}

#[test]
fn a_link_that_is_cut_leaves_the_old_file() {
    let tree = Tree::new();
    let sshd = interrupted(&tree, "kill -KILL $p");
    let fleet = Fleet::new().served("web1", &sshd);
    let there = fleet.tree().folder("there");
    fleet.tree().write("there/big", "old");
    let ended = put(&fleet, "", &[big(fleet.tree(), 16)], &there);
    ended.code(3).became("web1", "failed", "lost");
    assert_eq!(fleet.tree().read("there/big"), b"old");
    // Nobody is left who could remove it.
    assert!(beside(&there).len() <= 1, "{ended}");
}

#[test]
fn a_server_that_stops_is_found_out() {
    let tree = Tree::new();
    let pids = tree.folder("pids");
    let sshd = interrupted(
        &tree,
        &format!("echo $p >{}/$p.pid; kill -STOP $p", pids.display()),
    );
    let fleet = Fleet::new().served("web1", &sshd);
    let there = fleet.tree().folder("there");
    fleet.tree().write("there/big", "old");
    let flags = "-O ServerAliveInterval=1 -O ServerAliveCountMax=2";
    let ended = put(&fleet, flags, &[big(fleet.tree(), 16)], &there);
    let pids = left_pids(&pids);
    pids.iter().copied().for_each(kill);
    assert!(!pids.is_empty(), "{ended}");
    ended.code(3).became("web1", "failed", "lost");
    ended.within(Duration::from_secs(30));
    assert_eq!(fleet.tree().read("there/big"), b"old");
}

/// Ctrl-C, and too little time, while a file is on its way.
fn is_stopped_and_leaves_nothing(fleet: &Fleet) {
    let there = fleet.tree().folder("there");
    fleet.tree().write("there/big", "old");
    let src = big(fleet.tree(), 400);
    let running = fleet
        .argv(words("--events --grace 0s", &[&src], there.clone().into()))
        .start();
    running.shows(MOVED);
    running.signal(Signal::INT);
    let ended = running.wait(PATIENCE);
    ended.code(130).within(Duration::from_secs(30));
    let out = ended.out();
    assert!(out.contains("\"kind\":\"cancelled\""), "{ended}");
    nothing_is_left(&there);
    assert_eq!(fleet.tree().read("there/big"), b"old");
    let ended = put(fleet, "--timeout 500ms", &[&src], &there);
    ended.code(3).became("web1", "failed", "timeout");
    nothing_is_left(&there);
    // Out of time, a host may come to its end by itself; it never keeps a part.
    let kept = fleet.tree().read("there/big");
    assert!(kept == b"old" || kept.len() == 400 << 20, "{}", kept.len());
}

#[test]
fn who_stops_leaves_nothing() {
    let sshd = Sshd::start();
    is_stopped_and_leaves_nothing(&Fleet::new().served("web1", &sshd));
}

#[test]
fn who_stops_leaves_nothing_without_sftp() {
    let sshd = Sshd::with().sftp("").start();
    is_stopped_and_leaves_nothing(&Fleet::new().served("web1", &sshd));
    is_stopped_and_leaves_nothing(&Fleet::new().hosts("web1"));
}

/// Waits until the host has removed what did not arrive whole.
#[track_caller]
fn is_tidied(folder: &Path) {
    for path in beside(folder) {
        assert!(is_removed(&path, PATIENCE), "left: {}", path.display());
    }
}

/// A source that changes, or is gone, while it is read.
fn finds_out_what_changes(fleet: &Fleet) {
    let there = fleet.tree().folder("there");
    for change in [change, vanish] {
        fleet.tree().write("there/big", "old");
        let src = big(fleet.tree(), 100);
        let running = fleet.argv(words("", &[&src], there.clone().into())).start();
        begins(&there);
        change(&src);
        let ended = running.wait(PATIENCE);
        if src.exists() {
            ended.code(1).became("web1", "failed", "transfer");
            let message = ended.record("web1").text("message");
            assert!(message.contains("changed"), "{message}");
            assert_eq!(fleet.tree().read("there/big"), b"old");
            is_tidied(&there);
        } else {
            // A file that is open goes on to be there.
            let length = fs::metadata(there.join("big")).unwrap().len();
            let is_whole = length == 100 << 20;
            assert!(is_whole || length == 3, "{ended}");
            ended.code(i32::from(!is_whole));
        }
        nothing_is_left(&there);
    }
}

fn change(src: &Path) {
    fs::write(src, "shorter").unwrap();
}

fn vanish(src: &Path) {
    fs::remove_file(src).unwrap();
}

#[test]
fn a_source_that_changes_is_found_out() {
    let sshd = Sshd::start();
    finds_out_what_changes(&Fleet::new().served("web1", &sshd));
}

#[test]
fn a_source_that_changes_is_found_out_without_sftp() {
    let sshd = Sshd::with().sftp("").start();
    finds_out_what_changes(&Fleet::new().served("web1", &sshd));
}

/// The link goes while an archive is on its way: the host tidies up by itself.
#[test]
fn a_link_that_is_cut_without_sftp_leaves_the_old_file_alone() {
    let sshd = Sshd::with().sftp("").start();
    let fleet = Fleet::new().served("web1", &sshd);
    let there = fleet.tree().folder("there");
    fleet.tree().write("there/big", "old");
    let src = big(fleet.tree(), 400);
    let running = fleet.argv(words("", &[&src], there.clone().into())).start();
    begins(&there);
    for pid in descendants(sshd.pid()) {
        let name = fs::read_to_string(format!("/proc/{pid}/comm")).unwrap_or_default();
        if name.starts_with("sshd") {
            kill(pid);
        }
    }
    let ended = running.wait(PATIENCE);
    ended.code(3).became("web1", "failed", "lost");
    is_tidied(&there);
    assert_eq!(fleet.tree().list("there"), ["big"]);
    assert_eq!(fleet.tree().read("there/big"), b"old");
}

over_openssh! {
    a_link_that_is_cut_without_sftp_leaves_the_old_file_alone,
    who_stops_leaves_nothing,
    a_source_that_changes_is_found_out,
}
