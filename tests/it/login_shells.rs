//! Arguments and environment through every login shell an account may have: the shell parses the
//! line first, whatever runs then.

use std::ffi::OsString;
use std::fs;

use crate::run::{printed_arguments, prints_arguments};
use crate::support::ended::Ended;
use crate::support::fleet::Fleet;
use crate::support::namespace::{Namespace, in_namespace};
use crate::support::sshd::Sshd;
use crate::support::tree::{is_emptied, set_mode};
use crate::support::{PATIENCE, installed};

/// What the account's shell may print or set when it starts.
const RC_FILES: &[(&str, &str)] = &[
    (".bashrc", "echo noise\n"),
    (".zshenv", "echo noise\n"),
    (".tcshrc", "echo noise\n"),
    (".kshrc", "echo noise\n"),
    (".config/fish/config.fish", "echo noise\n"),
];

/// A host that is logged in to as an account whose login shell is `shell`.
fn account(namespace: &Namespace, shell: &str, package: &str) -> (Sshd, Fleet) {
    let shell = installed(shell, package);
    let account = namespace.account("zoe", &shell);
    let sshd = Sshd::with().own_homes().start();
    namespace.authorize("zoe", &sshd.client_key.public());
    let key = sshd.host_keys[0].public();
    let fleet = Fleet::new()
        .log(&sshd.log())
        .with_identity(&sshd.client_key)
        .ssh_host("web1", sshd.port(), &account.name, &key);
    for (name, text) in RC_FILES {
        let path = account.home.join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    }
    (sshd, fleet)
}

/// Runs hoist with `args` there.
fn run(fleet: &Fleet, verb: &str, args: &[OsString]) -> Ended {
    let start = [verb, "-o", "jsonl", "--env", "ODD=a'b\"c!d\\e\nf"].map(OsString::from);
    fleet
        .argv(start.into_iter().chain(args.iter().cloned()))
        .run()
}

/// Runs hoist with `args` as an account whose login shell is `shell`.
fn as_account(namespace: &Namespace, shell: &str, package: &str, args: &[OsString]) -> Ended {
    let (_sshd, fleet) = account(namespace, shell, package);
    run(&fleet, "run", args)
}

fn exact(namespace: &Namespace, shell: &str, package: &str) {
    let (_sshd, fleet) = account(namespace, shell, package);
    let script = b"#!/bin/sh\nprintf '%s\\0' \"$@\"; exit\n'\"\\\xff\0";
    fleet.tree().write("work/x.sh", script);
    let place = namespace.tree().folder("home/zoe/place");
    set_mode(&place, 0o777);
    for verb in ["run", "script"] {
        let mut args = prints_arguments();
        if verb == "script" {
            args[1] = "x.sh".into();
            args[0] = format!("--env=TMPDIR={}", place.display()).into();
        } else {
            args.insert(0, "--".into());
        }
        let ended = run(&fleet, verb, &args);
        ended.code(0);
        let stdout = ended.record("web1").bytes("stdout");
        // What the shell printed before the command stays output; the command's own follows.
        let own = stdout.strip_prefix(b"noise\n").unwrap_or(&stdout);
        assert_eq!(own, printed_arguments(), "{shell}\n{ended}");
    }
    assert!(is_emptied(&place, PATIENCE), "nothing is left");
}

macro_rules! shells {
    ($($test:ident: $shell:literal from $package:literal,)*) => {
        $(#[test]
        fn $test() {
            in_namespace!(|namespace: &Namespace| exact(namespace, $shell, $package));
        })*
    };
}

shells! {
    sh_is_exact: "sh" from "dash",
    bash_is_exact: "bash" from "bash",
    dash_is_exact: "dash" from "dash",
    zsh_is_exact: "zsh" from "zsh",
    ksh_is_exact: "ksh" from "ksh93u+m",
    mksh_is_exact: "mksh" from "mksh",
    fish_is_exact: "fish" from "fish",
    tcsh_is_exact: "tcsh" from "tcsh",
}

#[test]
fn busybox_is_exact() {
    in_namespace!(|namespace: &Namespace| {
        // Login shells are found by their own name.
        let busybox = installed("busybox", "busybox");
        let link = std::path::Path::new("/run/ash");
        std::os::unix::fs::symlink(busybox, link).unwrap();
        let account = namespace.account("zoe", link);
        let sshd = Sshd::with().own_homes().start();
        namespace.authorize("zoe", &sshd.client_key.public());
        let fleet = Fleet::new()
            .log(&sshd.log())
            .with_identity(&sshd.client_key)
            .ssh_host(
                "web1",
                sshd.port(),
                &account.name,
                &sshd.host_keys[0].public(),
            );
        let start = ["run", "-o", "jsonl", "--"].map(OsString::from);
        let ended = fleet
            .argv(start.into_iter().chain(prints_arguments()))
            .run();
        ended.code(0);
        assert_eq!(
            ended.record("web1").bytes("stdout"),
            printed_arguments(),
            "{ended}"
        );
    });
}

#[test]
fn variables_are_exact_in_the_oddest_shells() {
    in_namespace!(|namespace: &Namespace| {
        let args = ["--", "sh", "-c", "printf %s \"$ODD\""].map(OsString::from);
        let ended = as_account(namespace, "tcsh", "tcsh", &args);
        let stdout = ended.code(0).record("web1").text("stdout");
        assert!(stdout.ends_with("a'b\"c!d\\e\nf"), "{ended}");
    });
}

#[test]
fn a_raw_line_is_read_by_the_accounts_own_shell() {
    in_namespace!(|namespace: &Namespace| {
        // In fish $status is the last status and `not` negates; sh knows neither.
        let args = ["--shell", "not true; echo status $status"].map(OsString::from);
        let ended = as_account(namespace, "fish", "fish", &args);
        let stdout = ended.code(0).record("web1").text("stdout");
        assert!(stdout.ends_with("status 1\n"), "{ended}");
    });
}

#[test]
fn an_account_without_a_shell_is_told() {
    in_namespace!(|namespace: &Namespace| {
        let args = ["--", "true"].map(OsString::from);
        let ended = as_account(namespace, "nologin", "login", &args);
        assert_eq!(ended.record("web1").text("status"), "failed", "{ended}");
    });
}
