//! Changes that are checked and undone, backups, and changes with other rights.

use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::time::Instant;

use rustix::process::Signal;

use super::{mode, nothing_is_left, put, words};
use crate::support::fleet::{Fleet, over_openssh};
use crate::support::namespace::{Namespace, in_namespace};
use crate::support::sshd::Sshd;
use crate::support::tree::{Tree, is_removed};
use crate::support::{PATIENCE, installed, names};

/// Writes a script and returns how it is told to `--check` and `--then`.
fn script(tree: &Tree, name: &str, lines: &str) -> String {
    let path = tree.write_with_mode(name, format!("#!/bin/sh\n{lines}\n"), 0o755);
    format!("--{name} {}", path.display())
}

fn lines(tree: &Tree, name: &str) -> Vec<String> {
    let text = fs::read_to_string(tree.join(name)).unwrap_or_default();
    let mut lines: Vec<String> = text.lines().map(str::to_owned).collect();
    lines.sort_unstable();
    lines
}

/// Checks of all outcomes, with the host `web1`.
#[expect(
    clippy::too_many_lines,
    reason = "one story, each part on what came before"
)]
fn is_checked_and_undone(fleet: &Fleet) {
    let tree = fleet.tree();
    let there = tree.folder("there");
    let tell = |what: &str| {
        let log = tree.join("log");
        format!(
            "echo {what} $(cat {}/web1/a) >>{}",
            there.display(),
            log.display()
        )
    };
    for host in names("web1") {
        tree.write_with_mode(&format!("there/{host}/a"), "old", 0o640);
    }
    let src = tree.write_with_mode("a", "new", 0o600);
    tree.write("folder/b", "b");
    let sources = [src, tree.join("folder")];
    let dest = tree.join("there/{host}");
    // The check fails.
    let check = script(
        tree,
        "check",
        &format!("{}\necho out\necho bad >&2\nexit 3", tell("check")),
    );
    let then = script(tree, "then", &tell("then"));
    let ended = put(fleet, &format!("{check} {then}"), &sources, &dest);
    ended.code(1);
    for host in names("web1") {
        ended.became(&host, "failed", "check");
        let record = ended.record(&host);
        assert_eq!(record.text("stderr"), "out\nbad\n", "{ended}");
        assert_eq!(record.get("changed"), false, "{ended}");
        assert!(record.text("message").contains("exit status 3"), "{ended}");
        let place = there.join(&host);
        assert_eq!(fs::read(place.join("a")).unwrap(), b"old");
        assert_eq!(mode(&place.join("a")), 0o640);
        assert_eq!(tree.list(&format!("there/{host}")), ["a"]);
    }
    assert_eq!(lines(tree, "log"), ["check new"]);
    // The check passes, what comes after it doesn't, and goes again with what is back.
    fs::remove_file(tree.join("log")).unwrap();
    let check = script(tree, "check", &tell("check"));
    let then = script(
        tree,
        "then",
        &format!("{}\ngrep -q old {}/web1/a", tell("then"), there.display()),
    );
    let ended = put(fleet, &format!("{check} {then}"), &sources, &dest);
    ended.code(1).became("web1", "failed", "check");
    let message = ended.record("web1").text("message");
    assert!(message.contains("once more, which worked"), "{message}");
    assert_eq!(lines(tree, "log"), ["check new", "then new", "then old"]);
    assert_eq!(tree.list("there/web1"), ["a"]);
    // Both pass; then nothing is to be done, and neither is executed.
    fs::remove_file(tree.join("log")).unwrap();
    let then = script(tree, "then", &tell("then"));
    let flags = format!("{check} {then} --backup");
    let ended = put(fleet, &flags, &sources, &dest);
    assert!(ended.code(0).record("web1").is("changed"), "{ended}");
    let told = ["check new", "then new"];
    assert_eq!(lines(tree, "log"), told);
    let list = tree.list("there/web1");
    assert_eq!(
        (list.len(), &list[0][..], &list[2][..]),
        (3, "a", "folder"),
        "{list:?}"
    );
    assert!(
        list[1].starts_with("a.") && list[1].ends_with('~'),
        "{list:?}"
    );
    assert_eq!(tree.read(&format!("there/web1/{}", list[1])), b"old");
    let ended = put(fleet, &flags, &sources, &dest);
    assert_eq!(
        ended.code(0).record("web1").get("changed"),
        false,
        "{ended}"
    );
    assert_eq!(lines(tree, "log"), told);
    assert_eq!(tree.list("there/web1"), list);
    nothing_is_left(&there);
}

#[test]
fn what_fails_its_check_is_undone() {
    let sshd = Sshd::start();
    is_checked_and_undone(&Fleet::new().served("web1", &sshd));
}

#[test]
fn what_fails_its_check_is_undone_on_this_machine() {
    is_checked_and_undone(&Fleet::new().hosts("web1"));
}

/// Waits until there is such a file.
#[track_caller]
fn appears(path: &Path) {
    let began = Instant::now();
    while !path.exists() {
        assert!(
            began.elapsed() < PATIENCE,
            "{} did not appear",
            path.display()
        );
        std::thread::yield_now();
    }
}

/// hoist, or the link, goes in the middle of a check, which ends so.
fn finishes_by_itself(
    fleet: &Fleet,
    status: u8,
    goes: impl FnOnce(&crate::support::process::Running),
) {
    let tree = fleet.tree();
    tree.write("there/a", "old");
    let src = tree.write("a", "new");
    let (ready, go, over) = (tree.join("ready"), tree.join("go"), tree.join("over"));
    for path in [&ready, &go, &over] {
        let _ = fs::remove_file(path);
    }
    let check = script(
        tree,
        "check",
        &format!(
            "echo >{}\nwhile [ ! -e {} ]; do sleep 0.1; done\necho >{}\nexit {status}",
            ready.display(),
            go.display(),
            over.display()
        ),
    );
    let running = fleet
        .argv(words(&check, &[src], tree.join("there/a").into()))
        .start();
    appears(&ready);
    let staging: Vec<PathBuf> = fs::read_dir(tree.join("there"))
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.is_dir())
        .collect();
    assert_eq!(staging.len(), 1, "{staging:?}");
    goes(&running);
    drop(running);
    fs::write(&go, "").unwrap();
    assert!(is_removed(&staging[0], PATIENCE), "staging is still there");
    assert!(over.exists(), "the check was not ended");
    let content = if status == 0 { &b"new"[..] } else { b"old" };
    assert_eq!(tree.read("there/a"), content);
    assert_eq!(tree.list("there"), ["a"]);
}

#[test]
fn a_host_finishes_without_hoist() {
    let sshd = Sshd::start();
    let fleet = Fleet::new().served("web1", &sshd);
    for status in [0, 1] {
        finishes_by_itself(&fleet, status, |running| {
            running.signal(Signal::KILL);
        });
    }
}

#[test]
fn a_host_finishes_without_a_link() {
    let sshd = Sshd::start();
    let fleet = Fleet::new().served("web1", &sshd);
    for status in [0, 1] {
        finishes_by_itself(&fleet, status, |_| {
            for pid in crate::support::tree::descendants(sshd.pid()) {
                let name = fs::read_to_string(format!("/proc/{pid}/comm")).unwrap_or_default();
                if name.starts_with("sshd") {
                    crate::support::tree::kill(pid);
                }
            }
        });
    }
}

const PASSWORD: &str = "open sesame";

#[test]
#[expect(
    clippy::too_many_lines,
    reason = "one story, each part on what came before"
)]
fn files_of_root_are_put_with_the_rights_of_root() {
    in_namespace!(|namespace: &Namespace| {
        installed("sudo", "sudo");
        let account = namespace.account_with_password("zoe", PASSWORD);
        let sshd = Sshd::with().own_homes().start();
        namespace.authorize("zoe", &sshd.client_key.public());
        let key = sshd.host_keys[0].public();
        let fleet = Fleet::new().with_identity(&sshd.client_key);
        let fleet = fleet.ssh_host("web1", sshd.port(), "zoe", &key);
        let tree = fleet.tree();
        tree.write_with_mode("work/password", format!("{PASSWORD}\n"), 0o600);
        let src = tree.write("src", "new");
        let there = tree.folder("there");
        for (rules, with) in [
            ("zoe ALL=(ALL:ALL) NOPASSWD: ALL", "--sudo"),
            (
                "zoe ALL=(ALL:ALL) ALL",
                "--sudo --sudo-password-file password",
            ),
        ] {
            namespace.write_etc("sudoers", format!("Defaults env_reset\n{rules}\n"));
            let place = there.join("file");
            let ended = put(&fleet, "", &[&src], &place);
            ended.code(1).became("web1", "failed", "transfer");
            let message = ended.record("web1").text("message").to_lowercase();
            assert!(
                message.contains("permission denied") && message.contains("`--sudo`"),
                "{message}"
            );
            let flags = format!("{with} --mode 640");
            put(&fleet, &flags, &[&src], &place).code(0);
            let found = fs::metadata(&place).unwrap();
            assert_eq!((found.uid(), found.gid(), mode(&place)), (0, 0, 0o640));
            let ended = put(&fleet, &flags, &[&src], &place);
            assert_eq!(
                ended.code(0).record("web1").get("changed"),
                false,
                "{ended}"
            );
            // It is somebody else's now, and stays so.
            let owned = format!("{flags} --owner zoe:root");
            put(&fleet, &owned, &[&src], &place).code(0);
            let ended = put(&fleet, &owned, &[&src], &place);
            assert_eq!(
                ended.code(0).record("web1").get("changed"),
                false,
                "{ended}"
            );
            tree.write("src", "newer");
            put(&fleet, &flags, &[&src], &place).code(0);
            let found = fs::metadata(&place).unwrap();
            assert_eq!((found.uid(), found.gid()), (account.id, 0));
            assert_eq!(fs::read(&place).unwrap(), b"newer");
            let ended = put(
                &fleet,
                &format!("{with} --owner nobody-here"),
                &[&src],
                &place,
            );
            ended.code(1).became("web1", "failed", "transfer");
            nothing_is_left(&there);
            fs::remove_file(&place).unwrap();
        }
    });
}

over_openssh! {
    what_fails_its_check_is_undone,
    a_host_finishes_without_hoist,
    a_host_finishes_without_a_link,
    files_of_root_are_put_with_the_rights_of_root,
}
