//! What is started is what was asked for, or the reason is told.

use std::fs;
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::os::unix::fs::{PermissionsExt, symlink};
use std::sync::Arc;

use super::*;
use crate::host::{Address, HostName, Port, TransportName};

fn write_executable(path: &Path, content: &[u8]) {
    fs::write(path, content).unwrap();
    fs::set_permissions(path, fs::Permissions::from_mode(0o755)).unwrap();
}

#[test]
fn it_connects_at_once_and_has_no_address() {
    let name = HostName::parse("here").unwrap();
    let endpoint = Endpoint {
        address: Address::from(&name),
        name,
        transport: TransportName::Local,
        port: Port::SSH,
        user: None,
        ssh: Arc::default(),
        host_key: None,
    };
    block_on(async {
        let local = Local::new();
        let phase = Cell::default();
        let mut session = local.connect(&endpoint, &phase).await.unwrap();
        assert_eq!(session.peer(), None);
        let mut ran = Ran::default();
        let mut process = session.spawn(&argv(["echo", "one"])).await.unwrap();
        ran.rest(&mut *process).await;
        let mut process = session.spawn(&argv(["echo", "two"])).await.unwrap();
        ran.rest(&mut *process).await;
        assert_eq!(ran.stdout(), "one\ntwo\n");
        session.close().await;
    });
}

#[test]
fn words_arrive_exactly() {
    let every_byte = OsString::from_vec((1..=255).collect());
    let mut words: Vec<OsString> = ["/bin/dash", "-c", "cat /proc/$$/cmdline", "-n", "", "*"]
        .map(Into::into)
        .into();
    words.push(every_byte);
    words.push("$(id) `id` ~ ! \\ ' \"\n\n".into());
    words.push("a".repeat(100 * 1024).into());
    let expected: Vec<u8> = words
        .iter()
        .flat_map(|word| [word.as_bytes(), b"\0"].concat())
        .collect();
    let ran = done(&argv(words));
    assert!(ran.stdout == expected, "{} bytes", ran.stdout.len());
    assert_eq!(ran.code(), 0);
}

#[test]
fn a_line_runs_in_the_shell_that_was_given() {
    let exec = Exec::new(Command::Shell("cat /proc/$$/cmdline; false".into()));
    let ran = done(&exec);
    assert_eq!(ran.stdout(), "/bin/sh\0-c\0cat /proc/$$/cmdline; false\0");
    assert_eq!(ran.code(), 1);
    let ran = block_on(async {
        let exec = Exec::new(Command::Shell("echo (math 1 + 1)".into()));
        let mut local = Local::with_shell("fish".into());
        let mut ran = Ran::default();
        ran.rest(&mut *local.spawn(&exec).await.unwrap()).await;
        ran
    });
    assert_eq!(ran.stdout(), "2\n");
    let missing = block_on(async {
        let mut ran = Ran::default();
        let mut local = Local::with_shell("/no/such/shell".into());
        ran.rest(&mut *local.spawn(&exec).await.unwrap()).await;
        ran
    });
    insta::assert_snapshot!(missing.not_spawned(), @"cannot run the account's shell: no such file or directory");
}

#[test]
fn what_cannot_be_started_is_told_with_its_reason() {
    let dir = tempfile::tempdir().unwrap();
    let at = |name: &str| dir.path().join(name);
    fs::write(at("plain"), "x").unwrap();
    fs::create_dir(at("dir")).unwrap();
    symlink("/nowhere", at("dangling")).unwrap();
    symlink("loop", at("loop")).unwrap();
    write_executable(&at("script"), b"#!/no/such/interpreter\n");
    write_executable(&at("elf"), b"\x7fELF\x02\x01\x01\0\0\0");
    let message = |program: &str| {
        let mut exec = argv([program]);
        exec.cwd = Some(dir.path().into());
        done(&exec).not_spawned().to_owned()
    };
    insta::assert_snapshot!(message("no-such-program"), @"cannot run `no-such-program`: no such file or directory in PATH");
    insta::assert_snapshot!(message(""), @"cannot run ``: no such file or directory in PATH");
    insta::assert_snapshot!(message("./nowhere"), @"cannot run `./nowhere`: no such file or directory");
    insta::assert_snapshot!(message("./plain/x"), @"cannot run `./plain/x`: no such file or directory");
    insta::assert_snapshot!(message("./dangling"), @"cannot run `./dangling`: no such file or directory");
    insta::assert_snapshot!(message("./plain"), @"cannot run `./plain`: permission denied, or not executable");
    insta::assert_snapshot!(message("./dir"), @"cannot run `./dir`: it is a directory");
    insta::assert_snapshot!(message("./script"), @"cannot run `./script`: the interpreter or loader that it names is missing");
    insta::assert_snapshot!(message("./elf"), @"cannot run `./elf`: the system refused to execute it");
    insta::assert_snapshot!(message("./loop"), @"cannot run `./loop`: the system refused to execute it");
}

#[test]
fn a_directory_that_cannot_be_entered_is_told_and_nothing_runs() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("file");
    fs::write(&file, "").unwrap();
    let mut exec = argv(["echo"]);
    exec.cwd = Some("/no/such/dir".into());
    insta::assert_snapshot!(done(&exec).not_spawned(), @"cannot change to `/no/such/dir`: no such directory");
    exec.cwd = Some(file.clone());
    let message = done(&exec).not_spawned().to_owned();
    assert_eq!(
        message,
        format!("cannot change to `{}`: not a directory", file.display())
    );
}

#[test]
fn a_script_without_a_first_line_runs_as_in_any_shell() {
    let dir = tempfile::tempdir().unwrap();
    write_executable(&dir.path().join("script"), b"echo \"$1\" $#; exit 7\n");
    let mut exec = argv(["./script", "a  b"]);
    exec.cwd = Some(dir.path().into());
    let ran = done(&exec);
    assert_eq!((ran.stdout(), ran.code()), ("a  b 1\n", 7));
    let mut exec = argv(["script", "a  b"]);
    exec.env.push(("PATH".into(), dir.path().into()));
    let ran = done(&exec);
    assert_eq!((ran.stdout(), ran.code()), ("a  b 1\n", 7));
}

#[test]
fn what_no_process_can_be_given_is_refused() {
    let refused = |exec: &Exec| {
        let error = block_on(Local::new().spawn(exec)).err().unwrap();
        assert_eq!(error.kind, Kind::Spawn);
        error.to_string()
    };
    insta::assert_snapshot!(refused(&argv(["a\0b"])), @"the program's name holds a NUL byte, which no program can be given; send it through --stdin");
    let none: [&str; 0] = [];
    insta::assert_snapshot!(refused(&argv(none)), @"the command is empty; name a program");
    let long = "a".repeat(200 * 1024);
    insta::assert_snapshot!(refused(&argv(["echo", &long])), @"the arguments and variables are longer than this machine takes; send long data through --stdin");
}

#[test]
fn directory_and_variables_are_those_given() {
    let dir = tempfile::tempdir().unwrap();
    let name = dir.path().join("a b\n'!");
    fs::create_dir(&name).unwrap();
    let mut exec = argv(["/bin/cat", "/proc/self/environ", "/proc/self/stat"]);
    exec.cwd = Some(name.clone());
    let value = OsString::from_vec((1..=255).collect());
    for (name, value) in [
        ("A", "1".into()),
        ("B", "".into()),
        ("A", "2".into()),
        ("X", value),
    ] {
        exec.env.push((name.into(), value));
    }
    let ran = done(&exec);
    let environ: Vec<&[u8]> = ran.stdout.split(|b| *b == 0).collect();
    for (variable, value) in &exec.env[1..] {
        let entry = [variable.as_bytes(), b"=", value.as_bytes()].concat();
        assert!(environ.contains(&&entry[..]), "{variable}");
    }
    exec.command = argv(["/bin/readlink", "-z", "/proc/self/cwd"]).command;
    assert_eq!(
        done(&exec).stdout,
        [name.as_os_str().as_bytes(), b"\0"].concat()
    );
}
