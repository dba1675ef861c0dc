//! Words around the work: version, help, manual pages, completions, usage errors.

use std::path::Path;
use std::process::Command;

use crate::support::captured::Keep;
use crate::support::fleet::Fleet;
use crate::support::process::Running;
use crate::support::{PATIENCE, installed};

#[test]
fn the_version_names_what_is_built_in() {
    let ended = Fleet::new().hoist("--version");
    ended
        .code(0)
        .no_stderr()
        .stdout_has(concat!("hoist ", env!("CARGO_PKG_VERSION")));
    ended.stdout_has("libssh2 1.11").stdout_has("OpenSSL");
}

#[test]
fn help_is_there_and_holds_only_what_exists() {
    let fleet = Fleet::new();
    let ended = fleet.hoist("--help");
    ended
        .code(0)
        .no_stderr()
        .stdout_has("run")
        .stdout_has("hosts");
    for later in ["history", "resume"] {
        let words = ended.out();
        let holds = words
            .split(|c: char| !c.is_alphanumeric())
            .any(|word| word == later);
        assert!(!holds, "{later} does not exist yet\n{ended}");
    }
    for subcommand in [
        "run", "script", "put", "get", "hosts", "explain", "ping", "render",
    ] {
        fleet
            .hoist(&format!("{subcommand} --help"))
            .code(0)
            .no_stderr()
            .stdout_has("Examples");
    }
}

#[test]
fn a_forgotten_subcommand_is_suggested() {
    let ended = Fleet::new().hoist("uptime");
    ended
        .code(2)
        .no_stdout()
        .complains(&["hoist run -- uptime"]);
}

#[test]
fn usage_errors_are_one_line_that_helps() {
    let fleet = Fleet::new().hosts("web1");
    for (line, parts) in [
        ("run", &["command"][..]),
        ("run --fanout 3 -- true", &["--fanout", "--fan-out"]),
        ("run --timeout soon -- true", &["soon", "90s"]),
        ("run -o xml -- true", &["xml", "jsonl"]),
        ("run --port 0 -- true", &["0"]),
        ("run --expect x -- true", &["x"]),
        ("run --env NOVALUE -- true", &["NOVALUE", "="]),
    ] {
        let ended = fleet.hoist(line);
        ended.code(2).no_stdout().complains(parts);
        assert_eq!(ended.err().lines().count(), 1, "{ended}");
    }
}

#[test]
fn arguments_cannot_drive_the_terminal_through_an_error() {
    let ended = Fleet::new()
        .argv(["run", "-w", "\x1b[2J\u{202e}", "--", "true"])
        .run();
    ended.code(2);
    assert!(
        !ended.stderr.contains(&0x1b) && !ended.err().contains('\u{202e}'),
        "{ended}"
    );
}

#[test]
fn manual_pages_are_clean_and_those_checked_in() {
    installed("mandoc", "mandoc");
    let fleet = Fleet::new();
    for (subcommand, file) in [
        ("", "hoist.1"),
        ("run", "hoist-run.1"),
        ("script", "hoist-script.1"),
        ("hosts", "hoist-hosts.1"),
    ] {
        let page = fleet.hoist(&format!("man {subcommand}"));
        page.code(0).no_stderr();
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("man").join(file);
        let kept =
            std::fs::read(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
        assert!(
            kept == page.stdout,
            "{} is not what `hoist man {subcommand}` prints",
            path.display()
        );
        let mut lint = Command::new("mandoc");
        lint.args(["-T", "lint", "-W", "warning"]).arg(&path);
        Running::start(&mut lint, Keep::All, false)
            .wait(PATIENCE)
            .code(0);
    }
}

#[test]
fn completions_are_accepted_by_their_shells() {
    let fleet = Fleet::new();
    for (shell, package) in [("bash", "bash"), ("zsh", "zsh"), ("fish", "fish")] {
        installed(shell, package);
        let script = fleet.hoist(&format!("completions {shell}"));
        script.code(0).no_stderr().stdout_has("hoist");
        let path = fleet
            .tree()
            .write(&format!("completion.{shell}"), &script.stdout);
        let mut check = Command::new(shell);
        check.arg("-n").arg(path);
        Running::start(&mut check, Keep::All, false)
            .wait(PATIENCE)
            .code(0);
    }
}
