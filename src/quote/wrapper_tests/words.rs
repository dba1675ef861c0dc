//! Words arrive byte for byte.

use std::fs;
use std::os::unix::ffi::OsStringExt;
use std::os::unix::fs::symlink;

use proptest::prelude::*;

use super::*;
use crate::quote::shells::{INNER, LOGIN, PATH, cross, nasty_words, run};
use crate::quote::wire::line;
use crate::quote::wrapper::script;
use crate::quote::{Marker, QuoteError, request};

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
    let error = request(&exec, &Marker::random()).unwrap_err();
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
fn the_line_is_plain_text_that_every_login_shell_reads_alike() {
    let mut exec = argv(&nasty_words());
    exec.cwd = Some("/a b\n".into());
    let line = line(&script(&exec, &Marker::random()));
    let line = String::from_utf8(line).unwrap();
    let quoted: Vec<&str> = line.split('\'').collect();
    assert_eq!(quoted.len(), 5, "{line}");
    assert_eq!(quoted[0], "exec sh -c ");
    assert_eq!(quoted[2], " sh ");
    assert!(line.chars().all(|c| c == ' ' || c.is_ascii_graphic()));
    assert!(!line.contains(['!', '`', '^', '~']));
    for escape in quoted[3].split('\\').skip(1) {
        let digits = escape.get(..4).unwrap();
        assert!(digits.starts_with('0') && digits.bytes().all(|b| b.is_ascii_digit()));
    }
}
