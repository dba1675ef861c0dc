//! The wrapper through the real shells: every login shell, every shell in the role of `sh`.

use std::ffi::{OsStr, OsString};
use std::fs;
use std::io::Write;
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::os::unix::fs::{PermissionsExt, chown, symlink};
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::path::Path;
use std::process::Stdio;

use proptest::prelude::*;

use super::shells::{Home, INNER, LOGIN, PATH, Ran, cross, finish, nasty_words, run};
use super::wire::line;
use super::{Marker, NotSpawned, QuoteError, command_line};
use crate::remote::{Command, Exec};

const NOBODY: u32 = 65534;

fn argv<S: AsRef<OsStr>>(words: &[S]) -> Exec {
    let words = words.iter().map(|word| word.as_ref().to_owned());
    Exec::new(Command::Argv(words.collect()))
}

/// Returns a command that prints its own argument vector, NUL after each, as the kernel has it.
fn dump(words: &[OsString]) -> Vec<OsString> {
    let script = ["/bin/dash", "-c", "cat /proc/$$/cmdline", "name"];
    let script = script.into_iter().map(Into::into);
    script.chain(words.iter().cloned()).collect()
}

fn nul_ended(words: &[OsString]) -> Vec<u8> {
    let ended = |word: &OsString| [word.as_bytes(), b"\0"].concat();
    words.iter().flat_map(ended).collect()
}

fn assert_ok(ran: &Ran, stdout: &[u8], what: &str) {
    let is_ok = ran.output.status.success()
        && ran.output.stdout == stdout
        && ran.stderr.is_empty()
        && ran.filter.started().is_some()
        && ran.filter.not_spawned().is_none();
    assert!(is_ok, "{what}: {}", ran.describe());
}

fn write_executable(path: &Path, content: &[u8]) {
    fs::write(path, content).unwrap();
    fs::set_permissions(path, fs::Permissions::from_mode(0o755)).unwrap();
}

#[test]
fn nasty_words_arrive_exactly_through_every_pair_of_shells() {
    let home = Home::new();
    let words = dump(&nasty_words());
    for login in LOGIN {
        for inner in INNER {
            for lang in ["C", "C.UTF-8"] {
                let mut shell = home.login(login, inner);
                shell.env("LANG", lang);
                let what = format!("{login}, {inner}, {lang}");
                assert_ok(&run(shell, &argv(&words)), &nul_ended(&words), &what);
            }
        }
    }
}

#[test]
fn a_long_argument_arrives_whole() {
    let home = Home::new();
    let plain = OsString::from("a ".repeat(50 * 1024));
    let odd = OsString::from("'\n".repeat(4 * 1024));
    for (login, inner) in cross() {
        for long in [&plain, &odd] {
            let words = dump(std::slice::from_ref(long));
            let ran = home.run(login, inner, &argv(&words));
            assert_ok(&ran, &nul_ended(&words), &format!("{login}, {inner}"));
        }
    }
}

#[test]
fn what_is_too_long_once_quoted_is_refused() {
    let exec = argv(&["echo", &"\n".repeat(30 * 1024)]);
    let error = command_line(&exec, &Marker::random()).unwrap_err();
    assert!(matches!(error, QuoteError::TooLong { .. }), "{error}");
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]
    #[test]
    fn any_bytes_arrive_exactly(
        words in prop::collection::vec(prop::collection::vec(1_u8..=255, 0..40), 0..6),
        inner in prop::sample::select(INNER),
    ) {
        let home = Home::new();
        let words: Vec<OsString> = words.into_iter().map(OsString::from_vec).collect();
        let words = dump(&words);
        for login in ["dash", "bash", "tcsh", "fish"] {
            let ran = home.run(login, inner, &argv(&words));
            prop_assert!(ran.output.stdout == nul_ended(&words), "{login}, {inner}: {}", ran.describe());
        }
    }
}

#[test]
fn the_name_of_the_program_arrives_as_typed() {
    let home = Home::new();
    let bin = home.path().join("bin");
    fs::create_dir(&bin).unwrap();
    // Names that shells have builtins, keywords or options of.
    let names = [
        "echo", "printf", "test", "[", "kill", "exec", "cd", "if", "command", "a=b",
    ];
    for name in names {
        symlink("/bin/dash", bin.join(name)).unwrap();
    }
    for inner in INNER {
        for name in names {
            for variable in ["HOIST_A", "A"] {
                let words: Vec<OsString> = [name, "-c", "cat /proc/$$/cmdline", "x"]
                    .map(Into::into)
                    .into();
                let mut exec = argv(&words);
                exec.env.push((variable.into(), "b".into()));
                let mut path = bin.clone().into_os_string();
                path.push(":");
                path.push(PATH);
                exec.env.push(("PATH".into(), path));
                let ran = home.run("sh", inner, &exec);
                assert_ok(&ran, &nul_ended(&words), &format!("{inner}, {name}"));
            }
        }
    }
}

#[test]
fn a_program_whose_name_looks_like_an_option_is_run() {
    let home = Home::new();
    symlink("/bin/echo", home.path().join("-n")).unwrap();
    for inner in INNER {
        for variable in ["HOIST_PATH", "PATH"] {
            let mut shell = home.login("sh", inner);
            let path = format!("{}/{inner}:.:{PATH}", home.path().display());
            shell.env("PATH", &path);
            let mut exec = argv(&["-n", "x", "-e"]);
            exec.env.push((variable.into(), path.into()));
            assert_ok(&run(shell, &exec), b"x -e\n", inner);
        }
    }
}

#[test]
fn every_exit_code_passes() {
    let home = Home::new();
    let exits = |login, inner, code: i32| {
        let exec = argv(&["/bin/dash", "-c", &format!("exit {code}")]);
        let ran = home.run(login, inner, &exec);
        let what = || format!("{login}, {inner}, {code}: {}", ran.describe());
        assert_eq!(ran.output.status.code(), Some(code), "{}", what());
        assert_eq!(ran.filter.not_spawned(), None, "{}", what());
        assert!(ran.filter.started().is_some(), "{}", what());
        assert!(ran.stderr.is_empty(), "{}", what());
    };
    for code in 0..=255 {
        exits("sh", "dash", code);
    }
    for (login, inner) in cross() {
        for code in [0, 1, 2, 125, 126, 127, 128, 129, 130, 137, 143, 254, 255] {
            exits(login, inner, code);
        }
    }
}

#[test]
fn death_by_a_signal_passes() {
    let home = Home::new();
    for (login, inner) in cross() {
        for (name, number) in [
            ("TERM", 15),
            ("KILL", 9),
            ("INT", 2),
            ("PIPE", 13),
            ("USR1", 10),
        ] {
            let exec = argv(&["/bin/dash", "-c", &format!("kill -{name} $$; exit 3")]);
            let ran = home.run(login, inner, &exec);
            let what = format!("{login}, {inner}, {name}: {}", ran.describe());
            assert_eq!(ran.output.status.signal(), Some(number), "{what}");
        }
    }
}

#[test]
fn what_cannot_be_started_is_told_with_its_reason() {
    let home = Home::new();
    let at = |name: &str| home.path().join(name);
    fs::write(at("plain"), "x").unwrap();
    fs::create_dir(at("dir")).unwrap();
    symlink("/nowhere", at("dangling")).unwrap();
    for (name, first_line) in [
        ("a", "#!/no/such/one\n"),
        ("b", "#! /no/such/one -x\n"),
        ("c", "#!/bin/dash\r\n"),
    ] {
        write_executable(&at(name), first_line.as_bytes());
    }
    for (login, inner) in cross() {
        for (program, reason) in [
            ("no-such-program", NotSpawned::Missing),
            ("", NotSpawned::Missing),
            ("cd", NotSpawned::Missing),
            ("./nowhere", NotSpawned::Missing),
            ("./plain/x", NotSpawned::Missing),
            ("./dangling", NotSpawned::Missing),
            ("./dir", NotSpawned::IsDirectory),
            ("/", NotSpawned::IsDirectory),
            ("./plain", NotSpawned::Denied),
            ("/dev/null", NotSpawned::Denied),
            ("./a", NotSpawned::Interpreter),
            ("./b", NotSpawned::Interpreter),
            ("./c", NotSpawned::Interpreter),
        ] {
            for variable in ["HOIST_A", "A"] {
                let mut exec = argv(&[program, "x"]);
                exec.env.push((variable.into(), "b".into()));
                let ran = home.run(login, inner, &exec);
                let what = format!("{login}, {inner}, {program}: {}", ran.describe());
                // Where `exec` itself finds out, the shell says why in words of its own.
                let found = ran.filter.not_spawned().expect(&what);
                let is_late = reason == NotSpawned::Interpreter && found == NotSpawned::Refused;
                assert!(found == reason || is_late, "{what}");
                assert!(is_late || ran.stderr.is_empty(), "{what}");
                assert_eq!(ran.output.status.code(), Some(127), "{what}");
                assert!(ran.output.stdout.is_empty(), "{what}");
            }
        }
    }
}

#[test]
fn a_failing_exec_is_told_by_the_shells_that_notice() {
    let home = Home::new();
    // An ELF header of no known machine, with a NUL in its first line.
    let mut elf = b"\x7fELF\x02\x01\x01\0\0\0\0\0\0\0\0\0\x02\0\xff\xff".to_vec();
    elf.resize(200, 0);
    write_executable(&home.path().join("elf"), &elf);
    for inner in ["dash", "bash", "mksh"] {
        let ran = home.run("sh", inner, &argv(&["./elf"]));
        let reason = ran.filter.not_spawned();
        assert_eq!(
            reason,
            Some(NotSpawned::Refused),
            "{inner}: {}",
            ran.describe()
        );
    }
}

#[test]
fn a_script_without_a_first_line_runs_as_in_any_shell() {
    let home = Home::new();
    write_executable(&home.path().join("script"), b"echo \"$1\" $#\n");
    for inner in INNER {
        let ran = home.run("sh", inner, &argv(&["./script", "a  b"]));
        assert_ok(&ran, b"a  b 1\n", inner);
    }
}

#[test]
fn path_is_searched_as_execvp_does() {
    let home = Home::new();
    for dir in ["first", "second", "a dir"] {
        fs::create_dir(home.path().join(dir)).unwrap();
    }
    fs::write(home.path().join("first/tool"), "not executable").unwrap();
    write_executable(
        &home.path().join("second/tool"),
        b"#!/bin/dash\necho second\n",
    );
    write_executable(
        &home.path().join("a dir/spaced"),
        b"#!/bin/dash\necho spaced\n",
    );
    write_executable(&home.path().join("here"), b"#!/bin/dash\necho here\n");
    for inner in INNER {
        for (program, path, stdout) in [
            ("tool", "first:second", "second\n"),
            ("tool", "/none:second", "second\n"),
            ("spaced", "first:a dir", "spaced\n"),
            ("here", "first::second", "here\n"),
            ("here", ":first", "here\n"),
            ("here", "first:", "here\n"),
            ("here", "", "here\n"),
        ] {
            let mut exec = argv(&[program]);
            exec.env.push(("PATH".into(), path.into()));
            let ran = home.run("sh", inner, &exec);
            assert_ok(&ran, stdout.as_bytes(), &format!("{inner}, {path:?}"));
        }
        let mut exec = argv(&["tool"]);
        exec.env.push(("PATH".into(), "first".into()));
        let ran = home.run("sh", inner, &exec);
        assert_eq!(ran.filter.not_spawned(), Some(NotSpawned::Denied));
    }
}

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
    for (login, inner) in cross() {
        for variable in ["HOIST_A", "A"] {
            let mut exec = argv(&["/bin/cat"]);
            exec.env.push((variable.into(), "b".into()));
            let marker = Marker::random();
            let line = OsString::from_vec(command_line(&exec, &marker).unwrap());
            let mut child = home
                .login(login, inner)
                .arg("-c")
                .arg(line)
                .stdin(Stdio::piped())
                .stdout(Stdio::piped())
                .stderr(Stdio::piped())
                .spawn()
                .unwrap();
            let mut stdin = child.stdin.take().unwrap();
            let output = std::thread::scope(|scope| {
                scope.spawn(|| {
                    stdin.write_all(&input).unwrap();
                    drop(stdin);
                });
                child.wait_with_output().unwrap()
            });
            let ran = finish(output, &marker);
            assert_ok(&ran, &input, &format!("{login}, {inner}"));
        }
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

/// The process's own id and that of its group.
const IDS: &str = "read -r line </proc/$$/stat; set -- ${line##*) }; echo $$ $3";

#[test]
fn the_marker_tells_the_process_and_its_group() {
    let home = Home::new();
    let exec = argv(&["/bin/dash", "-c", IDS]);
    for (login, inner) in cross() {
        for is_leader in [true, false] {
            let mut command = home.login(login, inner);
            if is_leader {
                command.process_group(0);
            }
            let ran = run(command, &exec);
            let started = ran.filter.started().unwrap();
            let pid = started.pid;
            let what = format!("{login}, {inner}, {is_leader}");
            assert!(started.is_group_leader, "{what}");
            assert_ok(&ran, format!("{pid} {pid}\n").as_bytes(), &what);
        }
    }
}

/// Makes a folder that holds only what the tests need, and no `setsid`.
fn tools_without_setsid(home: &Home) -> OsString {
    let tools = home.path().join("tools");
    fs::create_dir(&tools).unwrap();
    for tool in ["printf", "cat", "sleep", "ps", "env"] {
        symlink(Path::new("/usr/bin").join(tool), tools.join(tool)).unwrap();
    }
    tools.into_os_string()
}

#[test]
fn without_setsid_the_marker_says_that_the_group_is_not_its_own() {
    let home = Home::new();
    let tools = tools_without_setsid(&home);
    for inner in INNER {
        let mut path = home.path().join(inner).into_os_string();
        path.push(":");
        path.push(&tools);
        let mut command = home.shell("dash");
        command.env("PATH", path);
        let ran = run(command, &argv(&["/bin/dash", "-c", IDS]));
        let started = ran.filter.started().unwrap();
        assert!(!started.is_group_leader, "{inner}");
        let own_group = rustix::process::getpgrp().as_raw_nonzero();
        let ids = format!("{} {own_group}\n", started.pid);
        assert_ok(&ran, ids.as_bytes(), inner);
    }
}

#[test]
fn without_proc_the_group_is_asked_of_ps() {
    let home = Home::new();
    let exec = argv(&["/bin/dash", "-c", IDS]);
    for inner in INNER {
        for is_leader in [true, false] {
            let marker = Marker::random();
            let script = super::wrapper::script(&exec, &marker);
            let script = String::from_utf8(script).unwrap();
            let without = script.replace("</proc/", "</none/");
            // The command's own script names it as well; that one is quoted.
            let without = without.replace("line </none/", "line </proc/");
            assert_ne!(script, without);
            let mut command = home.login("sh", inner);
            if is_leader {
                command.process_group(0);
            }
            let line = OsString::from_vec(line(without.as_bytes()));
            let ran = finish(command.arg("-c").arg(line).output().unwrap(), &marker);
            let started = ran.filter.started().unwrap();
            let pid = started.pid;
            assert!(started.is_group_leader, "{inner}");
            assert_ok(&ran, format!("{pid} {pid}\n").as_bytes(), inner);
        }
    }
}

#[test]
fn what_start_up_files_print_stays_output() {
    let home = Home::new();
    let noise = "echo out; printf 'no line break' >&2\n";
    fs::write(home.path().join(".zshenv"), noise).unwrap();
    fs::write(home.path().join(".bash_env"), noise).unwrap();
    let fish = home.path().join(".config/fish");
    fs::create_dir_all(&fish).unwrap();
    fs::write(fish.join("config.fish"), noise).unwrap();
    let tcsh = "echo out; /bin/sh -c 'printf \"no line break\" >&2'\n";
    fs::write(home.path().join(".tcshrc"), tcsh).unwrap();
    for login in ["zsh", "bash", "fish", "tcsh"] {
        let mut command = home.login(login, "dash");
        command.env("BASH_ENV", home.path().join(".bash_env"));
        let ran = run(
            command,
            &argv(&["/bin/dash", "-c", "echo own; echo err >&2"]),
        );
        let what = format!("{login}: {}", ran.describe());
        assert_eq!(ran.output.stdout, b"out\nown\n", "{what}");
        assert_eq!(ran.stderr, b"no line breakerr\n", "{what}");
        assert!(ran.filter.started().is_some(), "{what}");
    }
}

#[test]
fn a_traced_wrapper_does_not_show_the_marker_twice() {
    let home = Home::new();
    let mut command = home.login("sh", "bash");
    command.env("SHELLOPTS", "xtrace");
    let ran = run(command, &argv(&["/bin/dash", "-c", "echo $$"]));
    let pid = ran.filter.started().unwrap().pid;
    assert_eq!(ran.output.stdout, format!("{pid}\n").as_bytes());
    assert!(
        ran.stderr.windows(2).any(|w| w == b"+ "),
        "{}",
        ran.describe()
    );
}

#[test]
fn a_host_without_what_the_wrapper_needs_never_looks_like_success() {
    let home = Home::new();
    // mksh has no printf of its own.
    for (login, inner, path) in [("dash", "mksh", "mksh"), ("dash", "dash", "none")] {
        let mut command = home.login(login, inner);
        command.env("PATH", home.path().join(path));
        let ran = run(command, &argv(&["/bin/true"]));
        assert!(!ran.output.status.success(), "{}", ran.describe());
        assert!(ran.filter.started().is_none(), "{}", ran.describe());
    }
}

#[test]
fn a_host_without_env_says_so() {
    let home = Home::new();
    let mut command = home.login("dash", "dash");
    command.env("PATH", home.path().join("dash"));
    let mut exec = argv(&["/bin/true"]);
    exec.env.push(("A".into(), "b".into()));
    assert_eq!(
        run(command, &exec).filter.not_spawned(),
        Some(NotSpawned::NoEnv)
    );
}

#[test]
fn the_line_is_plain_text_that_every_login_shell_reads_alike() {
    let mut exec = argv(&nasty_words());
    exec.cwd = Some("/a b\n".into());
    let line = command_line(&exec, &Marker::random()).unwrap();
    let line = String::from_utf8(line).unwrap();
    let quoted: Vec<&str> = line.split('\'').collect();
    assert_eq!(quoted.len(), 5, "{line}");
    assert_eq!(quoted[0], "exec sh -c ");
    assert_eq!(quoted[2], " sh ");
    let is_safe = |c: char| c.is_ascii_alphanumeric() || " _./:=@%+,-\\".contains(c);
    assert!(quoted[3].chars().all(is_safe));
    assert!(!line.contains(['!', '\n']));
}
