//! Ends, signals, and many at once.

use std::io::{Read, Write};
use std::task::Poll;

use rustix::fs::OFlags;
use rustix::process::{Pid, test_kill_process};

use super::*;
use crate::remote::Stdin;

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
