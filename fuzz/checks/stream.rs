//! The output splitter: of what hosts write, cut anywhere and mixed anyhow, every line comes out whole,
//! under its host's name, in its host's order.
//!
//! The first byte of the input chooses how lines are shown. Then come pieces: a byte that says which
//! host, which pipe, and whether the host ends there; one with the length; and the bytes.

use std::cell::RefCell;
use std::collections::HashMap;
use std::io::{self, Write};
use std::rc::Rc;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use hoist::event::{Event, EventKind, RunId};
use hoist::host::HostName;
use hoist::outcome::{Outcome, PipeTotal};
use hoist::remote::{ExitStatus, Pipe};
use hoist::render::{Format, Options, renderer, sanitize};
use hoist::spool::{MEMORY, Store};

/// The hosts that write.
const HOSTS: [&str; 4] = ["a", "b2", "größe", "2001:db8::1"];

/// Something that a host does.
enum Told<'a> {
    Output(usize, Pipe, &'a [u8]),
    Finished(usize),
}

/// Checks what is shown of the run that `data` describes.
pub(crate) fn check(data: &[u8]) {
    let Some((choice, rest)) = data.split_first() else {
        return;
    };
    let mut options = Options::new(Format::Stream);
    options.is_labelled = choice & 1 == 0;
    options.is_terminal = choice & 2 != 0;
    options.is_err_terminal = choice & 4 != 0;
    let memory = if choice & 8 == 0 { MEMORY } else { 0 };
    let told = run(rest);
    let shown = show(&options, memory, &told);
    for pipe in Pipe::BOTH {
        let expected = expected(&options, pipe, &told);
        let found = &shown[usize::from(pipe == Pipe::Stderr)];
        assert!(
            *found == expected,
            "{}:\n{}\ninstead of\n{}",
            pipe.as_str(),
            found.escape_ascii(),
            expected.escape_ascii()
        );
    }
}

/// Returns what happens: a host that has ended says no more, and all end at last.
fn run(mut bytes: &[u8]) -> Vec<Told<'_>> {
    let mut told = Vec::new();
    let mut is_done = [false; HOSTS.len()];
    while let [act, length, rest @ ..] = bytes {
        let host = usize::from(act & 3);
        let pipe = Pipe::BOTH[usize::from(act >> 2 & 1)];
        let (piece, after) = rest.split_at(rest.len().min(usize::from(*length)));
        bytes = after;
        if is_done[host] {
            continue;
        }
        if !piece.is_empty() {
            told.push(Told::Output(host, pipe, piece));
        }
        if *act >= 0xc0 {
            is_done[host] = true;
            told.push(Told::Finished(host));
        }
    }
    told.extend(
        (0..HOSTS.len())
            .filter(|host| !is_done[*host])
            .map(Told::Finished),
    );
    told
}

/// A writer whose bytes can be seen afterwards.
#[derive(Clone, Default)]
struct Seen(Rc<RefCell<Vec<u8>>>);

impl Write for Seen {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.borrow_mut().write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// Returns what the renderer writes to stdout and stderr.
fn show(options: &Options, memory: usize, told: &[Told<'_>]) -> [Vec<u8>; 2] {
    let store = Store::with_memory(std::env::temp_dir(), memory);
    let (out, err) = (Seen::default(), Seen::default());
    let mut renderer = renderer(
        options,
        &store,
        Box::new(out.clone()),
        Box::new(err.clone()),
    );
    let mut tell = |kind| {
        let at = SystemTime::UNIX_EPOCH;
        renderer
            .tell(&Event { at, kind })
            .expect("it can be written");
    };
    let hosts = HOSTS
        .iter()
        .map(|name| HostName::parse(name).expect("a name"));
    tell(EventKind::RunStarted {
        run: RunId::new(SystemTime::UNIX_EPOCH, 0),
        hosts: hosts.collect::<Arc<[_]>>(),
    });
    for told in told {
        tell(match told {
            Told::Output(host, pipe, bytes) => EventKind::Output {
                host: *host,
                pipe: *pipe,
                bytes: bytes.to_vec(),
            },
            Told::Finished(host) => EventKind::Finished {
                host: *host,
                outcome: Box::new(outcome()),
            },
        });
    }
    [out.0.take(), err.0.take()]
}

/// Returns the outcome of a host about which nothing is noted.
fn outcome() -> Outcome {
    Outcome {
        kind: None,
        exit: Some(ExitStatus::Code(0)),
        message: String::new(),
        address: "192.0.2.7".to_owned(),
        user: None,
        port: None,
        started_at: SystemTime::UNIX_EPOCH,
        duration: Duration::ZERO,
        connect_duration: None,
        attempts: 1,
        stdout: PipeTotal::default(),
        stderr: PipeTotal::default(),
        is_stdout_held: false,
        killed: None,
        has_changed: None,
    }
}

/// Returns what should be on one pipe, line by line.
fn expected(options: &Options, pipe: Pipe, told: &[Told<'_>]) -> Vec<u8> {
    let mut page = Page {
        is_labelled: options.is_labelled,
        is_terminal: match pipe {
            Pipe::Stdout => options.is_terminal,
            Pipe::Stderr => options.is_err_terminal,
        },
        text: Vec::new(),
        owes_newline: false,
    };
    let mut begun: HashMap<usize, Vec<u8>> = HashMap::new();
    for told in told {
        match told {
            Told::Output(host, of, bytes) if *of == pipe => {
                let begun = begun.entry(*host).or_default();
                begun.extend_from_slice(bytes);
                while let Some(end) = begun.iter().position(|byte| *byte == b'\n') {
                    let line: Vec<u8> = begun.drain(..=end).collect();
                    page.line(HOSTS[*host], &line);
                }
            }
            Told::Output(..) => {}
            Told::Finished(host) => {
                if let Some(line) = begun.remove(host).filter(|line| !line.is_empty()) {
                    page.line(HOSTS[*host], &line);
                }
            }
        }
    }
    page.text
}

/// What is on a pipe so far.
struct Page {
    is_labelled: bool,
    is_terminal: bool,
    text: Vec<u8>,
    owes_newline: bool,
}

impl Page {
    /// Adds a line; the last one of a host may lack its end.
    fn line(&mut self, host: &str, line: &[u8]) {
        if std::mem::take(&mut self.owes_newline) {
            self.text.push(b'\n');
        }
        if self.is_labelled {
            self.text.extend_from_slice(format!("{host}: ").as_bytes());
        }
        if self.is_terminal {
            self.text.extend_from_slice(sanitize(line).as_bytes());
        } else {
            self.text.extend_from_slice(line);
        }
        if !line.ends_with(b"\n") {
            let is_ended = self.is_labelled || self.is_terminal;
            self.text.extend(is_ended.then_some(b'\n'));
            self.owes_newline = !is_ended;
        }
    }
}
