//! The transport with real processes.

use std::ffi::OsString;
use std::fs;
use std::io::{Read, Seek, SeekFrom, Write};
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::Path;
use std::sync::Arc;
use std::task::Poll;
use std::time::Duration;

use async_io::{Timer, block_on};
use futures_lite::future;
use rustix::fs::OFlags;
use rustix::process::{Pid, test_kill_process};

use super::*;
use crate::host::{Address, HostName, Port, TransportName};
use crate::remote::{Command, ExitStatus, Pipe, Stdin};
use crate::transport::READ_BYTES;

/// What a command wrote, and how it ended.
#[derive(Debug, Default, PartialEq)]
struct Ran {
    stdout: Vec<u8>,
    stderr: Vec<u8>,
    end: Option<End>,
}

impl Ran {
    fn stdout(&self) -> &str {
        str::from_utf8(&self.stdout).unwrap()
    }

    fn code(&self) -> u32 {
        match &self.end {
            Some(End::Exited {
                status: ExitStatus::Code(code),
                is_held: false,
            }) => *code,
            _ => panic!("{self:?}"),
        }
    }

    fn signal(&self) -> &str {
        match &self.end {
            Some(End::Exited {
                status: ExitStatus::Signal(name),
                ..
            }) => name,
            _ => panic!("{self:?}"),
        }
    }

    fn not_spawned(&self) -> &str {
        assert!(self.stdout.is_empty() && self.stderr.is_empty(), "{self:?}");
        match &self.end {
            Some(End::NotSpawned { message }) => message,
            _ => panic!("{self:?}"),
        }
    }

    /// Takes one step; false at the end.
    async fn step(&mut self, process: &mut dyn Process) -> bool {
        let mut buffer = b"left over".to_vec();
        match process.next(&mut buffer).await {
            Progress::Output(pipe) => {
                assert!(!buffer.is_empty() && buffer.len() <= READ_BYTES);
                match pipe {
                    Pipe::Stdout => self.stdout.append(&mut buffer),
                    Pipe::Stderr => self.stderr.append(&mut buffer),
                }
                true
            }
            Progress::Ended(end) => {
                assert!(buffer.is_empty());
                self.end = Some(end);
                false
            }
        }
    }

    async fn rest(&mut self, process: &mut dyn Process) {
        while self.step(process).await {}
    }
}

fn argv<S: Into<OsString>>(words: impl IntoIterator<Item = S>) -> Exec {
    Exec::new(Command::Argv(words.into_iter().map(Into::into).collect()))
}

fn script(text: &str) -> Exec {
    argv(["/bin/dash", "-c", text])
}

async fn spawn(exec: &Exec) -> Box<dyn Process> {
    Local::new().spawn(exec).await.unwrap()
}

async fn run(exec: &Exec) -> Ran {
    let mut process = spawn(exec).await;
    let mut ran = Ran::default();
    let ended = async {
        ran.rest(&mut *process).await;
        true
    };
    let late = async {
        Timer::after(Duration::from_secs(60)).await;
        false
    };
    assert!(future::or(ended, late).await, "{exec:?} does not end");
    ran
}

fn done(exec: &Exec) -> Ran {
    block_on(run(exec))
}

fn write_executable(path: &Path, content: &[u8]) {
    fs::write(path, content).unwrap();
    fs::set_permissions(path, fs::Permissions::from_mode(0o755)).unwrap();
}

fn bytes(length: usize) -> Vec<u8> {
    (0..=250_u8).cycle().take(length).collect()
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
        identities: Vec::new(),
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
fn every_exit_code_and_signal_is_told() {
    for code in [0, 1, 2, 125, 126, 127, 128, 130, 255] {
        assert_eq!(done(&script(&format!("exit {code}"))).code(), code);
    }
    for name in ["TERM", "KILL", "INT", "PIPE", "USR1", "ALRM", "SEGV"] {
        let ran = done(&script(&format!("ulimit -c 0; kill -{name} $$; exit 3")));
        assert_eq!(ran.signal(), name);
    }
    assert_eq!(done(&script("kill -34 $$")).signal(), "34");
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

#[test]
fn both_pipes_are_drained_while_stdin_is_fed() {
    let input = bytes(3_000_000);
    // Fills stderr beyond any pipe before it reads, then echoes.
    let mut exec = script("head -c 1000000 /dev/zero >&2; cat; head -c 1000000 /dev/zero >&2");
    exec.stdin = Stdin::Bytes(input.clone().into());
    let ran = done(&exec);
    assert!(ran.stdout == input);
    assert_eq!(ran.stderr.len(), 2_000_000);
    assert_eq!(ran.code(), 0);
}

#[test]
fn one_file_feeds_several_commands_each_from_its_start() {
    let mut file = tempfile::tempfile().unwrap();
    let input = bytes(200_000);
    file.write_all(&input).unwrap();
    file.seek(SeekFrom::Start(5)).unwrap();
    let mut exec = argv(["cat"]);
    exec.stdin = Stdin::File(Arc::new(file));
    let (one, other) = block_on(future::zip(run(&exec), run(&exec)));
    assert!(one.stdout == input && other.stdout == input);
}

#[test]
fn an_input_that_cannot_be_read_ends_the_command() {
    let mut exec = argv(["cat"]);
    exec.stdin = Stdin::File(Arc::new(File::open("/").unwrap()));
    let ran = done(&exec);
    let Some(End::Lost { message }) = &ran.end else {
        panic!("{ran:?}")
    };
    insta::assert_snapshot!(message, @"the command was ended, as its input can't be read: Is a directory (os error 21)");
}

#[test]
fn empty_input_ends_at_once() {
    assert_eq!(done(&argv(["cat"])).code(), 0);
    let mut exec = argv(["wc", "-c"]);
    exec.stdin = Stdin::Bytes([].into());
    assert_eq!(done(&exec).stdout(), "0\n");
}

#[test]
fn a_command_need_not_read_its_input() {
    for text in [
        "exec <&-; echo ok",
        "head -c 1 >/dev/null; echo ok",
        "echo ok",
    ] {
        let mut exec = script(text);
        exec.stdin = Stdin::Bytes(bytes(1_000_000).into());
        let ran = done(&exec);
        assert_eq!((ran.stdout(), ran.code()), ("ok\n", 0), "{text}");
    }
}

#[test]
fn the_command_has_the_usual_sigpipe() {
    let ran = done(&script("ulimit -c 0; (yes; echo $? >&2) | head -n 1"));
    assert_eq!(ran.stdout(), "y\n");
    assert_eq!(ran.stderr, b"141\n");
}

#[test]
fn a_signal_reaches_the_whole_group() {
    for (signal, name) in [(Signal::Term, "TERM"), (Signal::Kill, "KILL")] {
        let text = "sleep 60 & /bin/dash -c 'sleep 60 & echo ready; wait' & wait; echo on";
        let ran = block_on(async {
            let mut process = spawn(&script(text)).await;
            let mut ran = Ran::default();
            assert!(ran.step(&mut *process).await);
            assert_eq!(ran.stdout(), "ready\n");
            process.signal(signal).await.unwrap();
            ran.rest(&mut *process).await;
            let error = process.signal(signal).await.unwrap_err();
            assert_eq!(error.raw_os_error(), Some(Errno::SRCH.raw_os_error()));
            ran
        });
        assert_eq!(ran.stdout(), "ready\n");
        let expected = End::Exited {
            status: ExitStatus::Signal(name.into()),
            is_held: false,
        };
        assert_eq!(ran.end, Some(expected), "a descendant is left");
    }
}

#[test]
fn a_command_may_outlive_a_request_to_end() {
    let text = "trap 'echo caught; exit 3' TERM; echo ready; while :; do sleep 0.01; done";
    let ran = block_on(async {
        let mut process = spawn(&script(text)).await;
        let mut ran = Ran::default();
        ran.step(&mut *process).await;
        process.signal(Signal::Term).await.unwrap();
        ran.rest(&mut *process).await;
        ran
    });
    assert_eq!((ran.stdout(), ran.code()), ("ready\ncaught\n", 3));
}

/// A FIFO. Whoever reads it gets to its end when nobody holds it for writing any more.
struct Fifo {
    dir: tempfile::TempDir,
}

impl Fifo {
    fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let (kind, mode) = (rustix::fs::FileType::Fifo, 0o600.into());
        let fifo = Self { dir };
        rustix::fs::mknodat(rustix::fs::CWD, fifo.path(), kind, mode, 0).unwrap();
        fifo
    }

    fn path(&self) -> String {
        format!("{}/fifo", self.dir.path().display())
    }

    fn open(&self, flags: OFlags) -> File {
        let flags = flags | OFlags::NONBLOCK | OFlags::CLOEXEC;
        rustix::fs::open(self.path(), flags, 0.into())
            .unwrap()
            .into()
    }
}

/// Waits until nobody holds the other end of `fifo`.
async fn released(fifo: File) {
    let fifo = async_io::Async::new(fifo).unwrap();
    let mut byte = [0];
    let end = fifo.read_with(|mut fifo| fifo.read(&mut byte));
    let late = async {
        Timer::after(Duration::from_secs(30)).await;
        panic!("something still runs")
    };
    assert_eq!(future::or(end, late).await.unwrap(), 0);
}

#[test]
fn a_command_that_is_dropped_is_killed_with_its_group_and_reaped() {
    let fifo = Fifo::new();
    let reader = fifo.open(OFlags::RDONLY);
    let text = format!(
        "exec 9>{}; sleep 60 & /bin/dash -c 'sleep 60 & wait' & echo $$; wait",
        fifo.path()
    );
    block_on(async {
        let mut process = spawn(&script(&text)).await;
        let mut ran = Ran::default();
        ran.step(&mut *process).await;
        let pid = Pid::from_raw(ran.stdout().trim().parse().unwrap()).unwrap();
        test_kill_process(pid).unwrap();
        drop(process);
        released(reader).await;
        let gone = async {
            while test_kill_process(pid) != Err(Errno::SRCH) {
                Timer::after(Duration::from_millis(1)).await;
            }
            true
        };
        let late = async {
            Timer::after(Duration::from_secs(30)).await;
            false
        };
        assert!(future::or(gone, late).await, "it is still a zombie");
    });
}

/// Ends what a command left behind, and tells whether it was there.
fn end_left_behind(pid: &[u8]) -> bool {
    let pid = str::from_utf8(pid).unwrap().trim().parse().unwrap();
    rustix::process::kill_process(Pid::from_raw(pid).unwrap(), rustix::process::Signal::KILL)
        .is_ok()
}

const HELD: End = End::Exited {
    status: ExitStatus::Code(4),
    is_held: true,
};

#[test]
fn what_holds_a_pipe_after_the_end_is_told_and_left_alone() {
    for text in [
        "sleep 60 2>/dev/null & echo $!; exit 4",
        "sleep 60 >/dev/null & echo $!; exit 4",
        "setsid sleep 60 & echo $!; exit 4",
    ] {
        let ran = done(&script(text));
        assert_eq!(ran.end, Some(HELD), "{text}");
        assert!(end_left_behind(&ran.stdout), "{text}");
    }
    // Nothing is held by one that let go of both.
    let ran = done(&script("sleep 60 >/dev/null 2>&1 & echo $!; exit 4"));
    assert_eq!(ran.code(), 4);
    assert!(end_left_behind(&ran.stdout));
}

#[test]
fn what_writes_without_end_after_the_end_does_not_hold_it_up() {
    let ran = done(&script("yes & exit 4"));
    assert_eq!(ran.end, Some(HELD));
}

#[test]
fn what_was_in_flight_at_the_end_is_read_whole_by_a_slow_reader() {
    let text = "head -c 60000 /dev/zero; head -c 60000 /dev/zero >&2; sleep 60 & exit 4";
    let ran = block_on(async {
        let mut process = spawn(&script(text)).await;
        let mut ran = Ran::default();
        while ran.step(&mut *process).await {
            // Longer than the pipes are waited for.
            Timer::after(Duration::from_millis(300)).await;
        }
        ran
    });
    assert_eq!((ran.stdout.len(), ran.stderr.len()), (60_000, 60_000));
    assert_eq!(ran.end, Some(HELD));
}

#[test]
fn a_command_that_closes_its_pipes_is_waited_for() {
    let ran = done(&script("exec >&- 2>&-; sleep 0.3; exit 5"));
    assert_eq!(ran.code(), 5);
}

#[test]
fn a_wait_that_is_dropped_loses_nothing() {
    let input = bytes(500_000);
    let mut exec = script("cat; for i in 1 2 3; do echo $i >&2; sleep 0.01; done; exit 6");
    exec.stdin = Stdin::Bytes(input.clone().into());
    let ran = block_on(async {
        let mut process = spawn(&exec).await;
        let mut ran = Ran::default();
        let mut dropped = 0;
        loop {
            match future::poll_once(ran.step(&mut *process)).await {
                Some(true) => {}
                Some(false) => break,
                None => {
                    dropped += 1;
                    Timer::after(Duration::from_millis(1)).await;
                }
            }
        }
        assert!(dropped > 0);
        ran
    });
    assert!(ran.stdout == input, "{} bytes", ran.stdout.len());
    assert_eq!((&ran.stderr[..], ran.code()), (&b"1\n2\n3\n"[..], 6));
}

/// Polls all of them until each is ready.
async fn all<T>(futures: Vec<impl Future<Output = T>>) -> Vec<T> {
    let mut futures: Vec<_> = futures.into_iter().map(Box::pin).collect();
    let mut results: Vec<Option<T>> = futures.iter().map(|_| None).collect();
    future::poll_fn(move |cx| {
        let mut is_ready = true;
        for (future, result) in futures.iter_mut().zip(&mut results) {
            if result.is_none() {
                match future.as_mut().poll(cx) {
                    Poll::Ready(value) => *result = Some(value),
                    Poll::Pending => is_ready = false,
                }
            }
        }
        if is_ready {
            return Poll::Ready(results.iter_mut().filter_map(Option::take).collect());
        }
        Poll::Pending
    })
    .await
}

#[test]
fn hundreds_run_at_once() {
    const COMMANDS: u32 = 300;
    let files = rustix::process::Resource::Nofile;
    let mut limit = rustix::process::getrlimit(files);
    limit.current = limit.maximum;
    rustix::process::setrlimit(files, limit).unwrap();

    // None of them goes on before all are running.
    let gate = Fifo::new();
    let input = bytes(100_000);
    block_on(async {
        let mut running = Vec::new();
        for index in 0..COMMANDS {
            let text = format!(
                "echo ready; read x <{}; cat; echo {index} >&2; exit {}",
                gate.path(),
                index % 256
            );
            let mut exec = script(&text);
            exec.stdin = Stdin::Bytes(input.clone().into());
            running.push((spawn(&exec).await, Ran::default()));
        }
        let ready = running
            .iter_mut()
            .map(|(process, ran)| ran.step(&mut **process));
        assert!(all(ready.collect()).await.iter().all(|more| *more));
        // Held open until every one of them has opened it: opened for both, reads don't end.
        let writer = gate.open(OFlags::RDWR);
        let mut file = &writer;
        file.write_all("go\n".repeat(COMMANDS as usize).as_bytes())
            .unwrap();
        all(running
            .iter_mut()
            .map(|(process, ran)| ran.rest(&mut **process))
            .collect())
        .await;
        for (index, (_, ran)) in (0_u32..).zip(&running) {
            assert!(ran.stdout == [b"ready\n", &input[..]].concat(), "{index}");
            assert_eq!(ran.stderr, format!("{index}\n").as_bytes());
            assert_eq!(ran.code(), index % 256);
        }
    });
}
