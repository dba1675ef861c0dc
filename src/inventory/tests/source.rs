//! Files of all sorts, and programs.

use std::fs;
use std::path::Path;
use std::process::Command;
use std::sync::Arc;
use std::time::{Duration, Instant};

use super::{dump, error};
use crate::inventory::program::{Bounds, list};
use crate::inventory::{Inventory, Source};

/// Puts a file that may be run into `folder`.
///
/// Another process writes it: while this one holds it open, no other thread's child could run it.
fn script(folder: &Path, name: &str, text: &str) -> std::path::PathBuf {
    let (draft, path) = (folder.join("draft"), folder.join(name));
    fs::write(&draft, text).unwrap();
    let mut install = Command::new("install");
    let status = install.args(["-m", "755"]).arg(draft).arg(&path).status();
    assert!(status.unwrap().success());
    path
}

fn load(path: &Path) -> Result<Inventory, String> {
    let error = |error: crate::inventory::InventoryError| {
        let folder = format!("{}/", path.parent().unwrap().display());
        error.to_string().replace(&folder, "")
    };
    Inventory::load(&[Source::File(path.to_owned())]).map_err(error)
}

#[test]
fn what_is_no_inventory_is_named() {
    let folder = tempfile::tempdir().unwrap();
    let write = |name: &str, bytes: &[u8]| {
        let path = folder.path().join(name);
        fs::write(&path, bytes).unwrap();
        path
    };
    fs::create_dir(folder.path().join("dir")).unwrap();
    let paths = [
        folder.path().join("missing"),
        folder.path().join("dir"),
        write("elf", b"\x7fELF\x02\x01\x01\0\0"),
        write("zeros", &[0; 100]),
        write("late", &[b"a".repeat(20_000).as_slice(), b"\0"].concat()),
        write("x.gz", b"\x1f\x8b\x08\0"),
        write("x.yml", b"all:\n"),
        write("n\x1bame", b"a/b\n"),
    ];
    let errors = paths.map(|path| load(&path).unwrap_err());
    insta::assert_snapshot!(errors.join("\n"), @r"
    missing: No such file or directory (os error 2); expected a file that can be read
    dir: found a folder; expected a file (-i may be given several times)
    elf: found a program that may not be run; expected a text, CSV or JSON inventory in UTF-8
    zeros:1:1: found a NUL byte; expected a text, CSV or JSON inventory in UTF-8
    late:1:20001: found a NUL byte; expected a text, CSV or JSON inventory in UTF-8
    x.gz: found a compressed file; expected a text, CSV or JSON inventory in UTF-8
    x.yml: found YAML; expected text, CSV or JSON (`ansible-inventory --list` prints JSON)
    n\u{1b}ame:1:2: host name `a/b` holds `/` at character 2; expected [user@]host[:port], ranges as in web[01-20]
    ");
}

/// Makes a named pipe and a child that writes to it what `script` prints.
fn pipe(folder: &Path, script: &str) -> (std::path::PathBuf, std::process::Child) {
    let path = folder.join("pipe");
    let mut mkfifo = Command::new("mkfifo");
    assert!(mkfifo.arg(&path).status().unwrap().success());
    let script = format!("{script} > \"$0\"");
    let writer = Command::new("sh").args(["-c", &script]).arg(&path).spawn();
    (path, writer.unwrap())
}

#[test]
fn endless_text_ends() {
    let folder = tempfile::tempdir().unwrap();
    let (path, mut writer) = pipe(folder.path(), "exec yes web1");
    insta::assert_snapshot!(load(&path).unwrap_err(), @"pipe: found more than 256 MiB; expected a smaller inventory");
    assert!(!writer.wait().unwrap().success());
}

#[test]
fn endless_input_ends() {
    let error = load(Path::new("/dev/zero")).unwrap_err();
    insta::assert_snapshot!(error, @"zero:1:1: found a NUL byte; expected a text, CSV or JSON inventory in UTF-8");
}

#[test]
fn names_of_sources_are_shown_escaped() {
    insta::assert_snapshot!(error("a\u{1b}b", "x/y"), @r#"a\u{1b}b:1:2: host name `x/y` holds `/` at character 2; expected [user@]host[:port], ranges as in web[01-20]"#);
}

#[test]
fn the_x_bit_alone_makes_no_program() {
    let folder = tempfile::tempdir().unwrap();
    let path = script(folder.path(), "hosts", "web1\n");
    assert_eq!(dump(&load(&path).unwrap()), "web1");
    fs::write(folder.path().join("data"), "#!/bin/sh\nweb2\n").unwrap();
    assert_eq!(dump(&load(&folder.path().join("data")).unwrap()), "web2");
}

#[test]
fn a_program_gets_list_alone_and_no_standard_input() {
    let folder = tempfile::tempdir().unwrap();
    let text = r#"#!/bin/sh
echo "careful" >&2
[ "$*" = --list ] && [ -z "$(cat)" ] && echo '{"web": ["web1"]}'
"#;
    let fleet = load(&script(folder.path(), "-hosts; id", text)).unwrap();
    assert_eq!(dump(&fleet), "web1 [web]");
    let warnings = fleet.warnings().join("\n");
    let warnings = warnings.replace(&*folder.path().to_string_lossy(), "");
    insta::assert_snapshot!(warnings, @"/-hosts; id --list says `careful`");
}

#[test]
fn a_program_that_fails_says_why() {
    let folder = tempfile::tempdir().unwrap();
    let scripts = [
        (
            "status",
            "#!/bin/sh\nprintf '\\n\\033[2Jno token\\nmore\\n' >&2; exit 3\n",
        ),
        ("signal", "#!/bin/sh\nkill -KILL $$\n"),
        ("empty", "#!/bin/sh\n"),
        ("text", "#!/bin/sh\necho web1\n"),
        ("list", "#!/bin/sh\necho '[\"web1\"]'\n"),
        ("value", "#!/bin/sh\necho '{\"web\": [\"a/b\"]}'\n"),
        ("two", "#!/bin/sh\necho '{} {}'\n"),
        ("missing", "#!/nowhere/sh\n"),
    ];
    let errors = scripts.map(|(name, text)| load(&script(folder.path(), name, text)).unwrap_err());
    insta::assert_snapshot!(errors.join("\n"), @r"
    status --list: ended with exit status 3, saying `\u{1b}[2Jno token`; expected exit status 0 and JSON on its standard output
    signal --list: ended by signal: 9 (SIGKILL); expected exit status 0 and JSON on its standard output
    empty --list:1:1: found nothing; expected an object of groups
    text --list:1:1: found broken JSON (expected value); expected valid JSON
    list --list:1:1: found an array; expected an object of groups
    value --list:1:12: host name `a/b` holds `/` at character 2; expected a host name or an IP address
    two --list:1:4: found an object; expected one object of groups
    missing --list: can't be run (No such file or directory (os error 2)); expected exit status 0 and JSON on its standard output
    ");
}

/// Runs a script under tight bounds; returns why it failed.
fn bounded(text: &str, bounds: Bounds) -> String {
    let folder = tempfile::tempdir().unwrap();
    let path = script(folder.path(), "hosts", text);
    let error = list(&path, &Arc::from("hosts"), bounds).err();
    error.expect("it goes beyond its bounds").to_string()
}

#[test]
fn a_program_that_hangs_is_killed() {
    let bounds = Bounds {
        timeout: Duration::from_millis(300),
        output: 1000,
    };
    let started_at = Instant::now();
    insta::assert_snapshot!(bounded("#!/bin/sh\nexec sleep 1000\n", bounds), @"hosts --list: not done after 0.3 s; expected exit status 0 and JSON on its standard output");
    insta::assert_snapshot!(bounded("#!/bin/sh\nexec sleep 1000 >&- 2>&-\n", bounds), @"hosts --list: not done after 0.3 s; expected exit status 0 and JSON on its standard output");
    assert!(started_at.elapsed() < Duration::from_mins(1));
}

#[test]
fn a_program_that_prints_without_end_is_killed() {
    let bounds = Bounds {
        timeout: Duration::from_mins(10),
        output: 1000,
    };
    insta::assert_snapshot!(bounded("#!/bin/sh\nexec yes\n", bounds), @"hosts --list: printed more than 1000 bytes; expected exit status 0 and JSON on its standard output");
    let text = "#!/bin/sh\nyes | head -c 1000000 >&2\nexit 1\n";
    insta::assert_snapshot!(bounded(text, bounds), @"hosts --list: ended with exit status 1, saying `y`; expected exit status 0 and JSON on its standard output");
}

#[test]
fn a_program_in_the_working_directory_is_not_looked_up_in_path() {
    let error = list(
        Path::new("sh"),
        &Arc::from("sh"),
        Bounds {
            timeout: Duration::from_mins(1),
            output: 10,
        },
    );
    let error = error.err().expect("there is no ./sh").to_string();
    insta::assert_snapshot!(error, @"sh --list: can't be run (No such file or directory (os error 2)); expected exit status 0 and JSON on its standard output");
}

#[test]
fn a_pipe_can_be_read_like_a_file() {
    let folder = tempfile::tempdir().unwrap();
    let (path, mut writer) = pipe(folder.path(), "printf 'name,x\\nweb1,1\\n'");
    assert_eq!(dump(&load(&path).unwrap()), "web1 {x=1}");
    assert!(writer.wait().unwrap().success());
}
