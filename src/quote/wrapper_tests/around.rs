//! Directory, variables, stdin and shell are those asked for.

use std::fs;
use std::os::unix::ffi::OsStringExt;
use std::os::unix::fs::{PermissionsExt, chown, symlink};
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::Stdio;

use super::*;
use crate::quote::shells::{INNER, cross, nasty_words, run, run_with};
use crate::quote::{Marker, NotSpawned, request};

const NOBODY: u32 = 65534;

#[test]
fn the_command_runs_in_its_directory() {
    let home = Home::new();
    for name in ["-", "~", "a b\n'!", "\u{fc}", "$HOME", "sub"] {
        let dir = home.path().join(name);
        fs::create_dir(&dir).unwrap();
        for (login, inner) in cross() {
            for cwd in [dir.as_path(), Path::new(name)] {
                let mut exec = argv(&["readlink", "-z", "/proc/self/cwd"]);
                exec.cwd = Some(cwd.into());
                let mut shell = home.login(login, inner);
                // Shells would look there first, and print where they went.
                shell.env("CDPATH", "/usr:/");
                let expected = nul_ended(&[dir.clone().into_os_string()]);
                assert_ok(
                    &run(shell, &exec),
                    &expected,
                    &format!("{login}, {inner}, {name}"),
                );
            }
        }
    }
}

#[test]
fn dots_in_a_directory_mean_what_they_mean_to_the_kernel() {
    let home = Home::new();
    symlink("/usr/bin", home.path().join("link")).unwrap();
    for inner in INNER {
        let mut exec = argv(&["readlink", "/proc/self/cwd"]);
        exec.cwd = Some("link/..".into());
        assert_ok(&home.run("sh", inner, &exec), b"/usr\n", inner);
    }
}

#[test]
fn a_directory_that_cannot_be_entered_is_told_and_nothing_runs() {
    let home = Home::new();
    fs::write(home.path().join("file"), "").unwrap();
    let closed = home.path().join("closed");
    fs::create_dir(&closed).unwrap();
    fs::set_permissions(&closed, fs::Permissions::from_mode(0o0)).unwrap();
    let is_root = rustix::process::geteuid().is_root();
    if is_root {
        chown(home.path(), Some(NOBODY), Some(NOBODY)).unwrap();
    }
    for (login, inner) in cross() {
        for (cwd, reason) in [
            ("/no/such/dir", NotSpawned::CwdMissing),
            ("file", NotSpawned::CwdIsFile),
            ("closed", NotSpawned::CwdDenied),
        ] {
            let mut exec = argv(&["echo", "ran"]);
            exec.cwd = Some(cwd.into());
            let mut shell = home.login(login, inner);
            if is_root {
                // Root may enter every directory.
                shell.gid(NOBODY).uid(NOBODY);
            }
            let ran = run(shell, &exec);
            let what = format!("{login}, {inner}, {cwd}: {}", ran.describe());
            assert_eq!(ran.filter.not_spawned(), Some(reason), "{what}");
            assert!(
                ran.output.stdout.is_empty() && ran.stderr.is_empty(),
                "{what}"
            );
            assert!(ran.filter.started().is_none(), "{what}");
        }
    }
}

/// Names that one shell or another owns, refuses, or acts on.
const OWNED_NAMES: &[&str] = &[
    "HOIST_HOST",
    "HOIST_X",
    "A",
    "_a1",
    "path",
    "status",
    "UID",
    "EUID",
    "PPID",
    "SECONDS",
    "RANDOM",
    "IFS",
    "LC_ALL",
    "LANG",
    "PWD",
    "OLDPWD",
    "LINENO",
    "OPTIND",
    "SHELLOPTS",
    "BASHOPTS",
    "ENV",
    "BASH_ENV",
    "_",
    "SHLVL",
    "COLUMNS",
    "LINES",
    "ARGV0",
    "STTY",
    "PS4",
    "KSH_VERSION",
    "ZSH_VERSION",
    "BASH_VERSION",
    "TMOUT",
    "GROUPS",
    "HISTSIZE",
    "PIPESTATUS",
    "POSIXLY_CORRECT",
    "CDPATH",
    "argv",
    "hoist_t",
    "hoist_q",
];

#[test]
fn variables_arrive_exactly() {
    let home = Home::new();
    let mut values = nasty_words();
    values.push("a".repeat(1000).into());
    for (login, inner) in cross() {
        let mut exec = argv(&["/bin/cat", "/proc/self/environ"]);
        exec.env = OWNED_NAMES
            .iter()
            .zip(values.iter().cycle())
            .map(|(name, value)| ((*name).to_owned(), value.clone()))
            .collect();
        for (index, value) in values.iter().enumerate() {
            exec.env.push((format!("N{index}"), value.clone()));
            exec.env.push((format!("HOIST_{index}"), value.clone()));
        }
        let ran = home.run(login, inner, &exec);
        let environ: Vec<&[u8]> = ran.output.stdout.split(|b| *b == 0).collect();
        for (name, value) in &exec.env {
            let entry = [name.as_bytes(), b"=", value.as_bytes()].concat();
            let found = environ.iter().filter(|found| **found == entry).count();
            assert_eq!(found, 1, "{login}, {inner}, {name}: {}", ran.describe());
        }
        assert!(
            ran.stderr.is_empty(),
            "{login}, {inner}: {}",
            ran.describe()
        );
    }
}

#[test]
fn the_later_of_two_values_wins_and_the_account_keeps_its_own() {
    let home = Home::new();
    for inner in INNER {
        let mut exec = argv(&["/bin/dash", "-c", "echo $A $HOIST_A $HOME $SHELL"]);
        for (name, value) in [("A", "1"), ("HOIST_A", "1"), ("A", "2"), ("HOIST_A", "2")] {
            exec.env.push((name.into(), value.into()));
        }
        let expected = format!("2 2 {} /bin/sh\n", home.path().display());
        assert_ok(&home.run("sh", inner, &exec), expected.as_bytes(), inner);
    }
}

#[test]
fn the_wrapper_adds_no_variables_of_its_own() {
    let home = Home::new();
    for inner in INNER {
        let ran = home.run("sh", inner, &argv(&["/bin/cat", "/proc/self/environ"]));
        let environ = String::from_utf8_lossy(&ran.output.stdout).into_owned();
        assert!(environ.contains("PATH="), "{inner}");
        assert!(!environ.contains("hoist_"), "{inner}: {environ}");
    }
}

#[test]
fn stdin_reaches_the_command_untouched() {
    let home = Home::new();
    let input: Vec<u8> = (0..=255_u8).cycle().take(300_000).collect();
    // The second travels with a preamble on the same stdin.
    let long = "a".repeat(20_000);
    let commands = [
        argv(&["/bin/cat"]),
        argv(&["/bin/dash", "-c", "cat", "name", &long]),
    ];
    for (login, inner) in cross() {
        for (command, variable) in commands.iter().zip(["HOIST_A", "A"]) {
            let mut exec = command.clone();
            exec.env.push((variable.into(), "b".into()));
            let ran = run_with(home.login(login, inner), &exec, &input);
            assert_ok(&ran, &input, &format!("{login}, {inner}"));
        }
    }
}

#[test]
fn a_long_command_that_does_not_arrive_whole_is_not_run() {
    let home = Home::new();
    let exec = argv(&["/bin/echo", &"a".repeat(20_000)]);
    for (login, inner) in cross() {
        let request = request(&exec, &Marker::random()).unwrap();
        let mut shell = home.login(login, inner);
        let line = OsString::from_vec(request.line);
        let output = shell
            .arg("-c")
            .arg(line)
            .stdin(Stdio::null())
            .output()
            .unwrap();
        assert_eq!(output.status.code(), Some(127), "{login}, {inner}");
        assert!(output.stdout.is_empty(), "{login}, {inner}");
    }
}

#[test]
fn a_line_runs_in_the_account_s_shell() {
    let home = Home::new();
    let line = "echo a | tr a b; echo \"it's\" ! \\\\ '$x'";
    for (login, inner) in cross() {
        for shell in ["/bin/bash", "/usr/bin/fish", "bash"] {
            let mut command = home.login(login, inner);
            command.env("SHELL", shell);
            let ran = run(command, &Exec::new(Command::Shell(line.into())));
            let what = format!("{login}, {inner}, {shell}");
            assert_ok(&ran, b"b\nit's ! \\ $x\n", &what);
        }
    }
}

#[test]
fn a_line_runs_in_sh_where_no_shell_is_named() {
    let home = Home::new();
    // Two commands, lest the shell execute `cat` in its own place.
    let line = "cat /proc/$$/cmdline; :";
    let exec = Exec::new(Command::Shell(line.into()));
    let cmdline = |shell: &str| nul_ended(&[shell, "-c", line].map(Into::into));
    for inner in INNER {
        let mut command = home.login("sh", inner);
        command.env("SHELL", "");
        assert_ok(&run(command, &exec), &cmdline("/bin/sh"), inner);

        let mut command = home.login("sh", inner);
        command.env_remove("SHELL");
        let ran = run(command, &exec);
        // bash looks into the account's entry itself.
        if *inner == "bash" {
            assert!(
                ran.output.stdout.ends_with(&cmdline("")),
                "{}",
                ran.describe()
            );
        } else {
            assert_ok(&ran, &cmdline("/bin/sh"), inner);
        }

        let mut given = exec.clone();
        given.env.push(("SHELL".into(), "/bin/dash".into()));
        let ran = home.run("sh", inner, &given);
        assert_ok(&ran, &cmdline("/bin/dash"), inner);
    }
}

#[test]
fn a_shell_that_is_missing_is_told() {
    let home = Home::new();
    let mut command = home.login("sh", "dash");
    command.env("SHELL", "/no/such/shell");
    let exec = Exec::new(Command::Shell("true".into()));
    let reason = run(command, &exec).filter.not_spawned().unwrap();
    assert_eq!(
        reason.message(&exec),
        "cannot run the account's shell: no such file or directory"
    );
}
