//! Every event as one line of JSON, for programs that drive hoist: `docs/events.md` is the
//! promise, [`VERSION`] its number.

use std::io::{self, BufWriter, Write};

use super::json::{Object, write_record, write_text};
use super::outputs::{Output, Outputs};
use super::record::{Record, millis, timestamp};
use super::{PIECE, Run};
use crate::event::{Event, EventKind, HostIndex, Listener};
use crate::outcome::{Outcome, Status, StopReason, Summary};
use crate::spool::Store;

/// Version of the protocol. It changes when a reader of the one before would be misled; new
/// events and new members do not change it.
const VERSION: u32 = 1;

/// The listener that writes events.
pub(super) struct Events<W: Write> {
    run: Run,
    outputs: Outputs,
    out: BufWriter<W>,
}

impl<W: Write> Events<W> {
    pub(super) fn new(store: &Store, out: W) -> Self {
        Self {
            run: Run::default(),
            outputs: Outputs::new(store),
            out: BufWriter::with_capacity(PIECE, out),
        }
    }

    fn write(&mut self, event: &Event) -> io::Result<()> {
        let mut line = Object::begin(&mut self.out)?;
        line.raw("v", &VERSION.to_string())?;
        line.text("event", word(&event.kind))?;
        line.text("at", &timestamp(event.at))?;
        if let Some(host) = host(&event.kind) {
            line.text("host", self.run.name(host))?;
        }
        match &event.kind {
            EventKind::RunStarted { .. } => write_hosts(&mut line, &self.run)?,
            EventKind::Attempt { attempt, .. } => line.raw("attempt", &attempt.to_string())?,
            EventKind::Connected {
                duration, login, ..
            } => {
                line.raw("duration_ms", &millis(*duration).to_string())?;
                if let Some(login) = login {
                    line.text("server", &login.server)?;
                    line.text("host_key", &login.host_key)?;
                    line.text("fingerprint", &login.fingerprint)?;
                    line.text("login", login.method)?;
                }
            }
            EventKind::Started { .. } => {}
            EventKind::Output { pipe, bytes, .. } => {
                line.text("pipe", pipe.as_str())?;
                line.bytes("data", bytes)?;
            }
            EventKind::Moved { bytes, total, .. } => {
                line.raw("bytes", &bytes.to_string())?;
                line.raw("total", &total.to_string())?;
            }
            EventKind::Finished { host, outcome } => {
                let output = self.outputs.take(*host);
                write_outcome(&mut line, &self.run, *host, outcome, &output)?;
            }
            EventKind::Stopping { reason, running } => {
                line.text("reason", reason_word(*reason))?;
                line.raw("running", &running.to_string())?;
            }
            EventKind::RunFinished { summary } => write_summary(&mut line, summary)?,
        }
        line.end()?;
        self.out.write_all(b"\n")
    }
}

impl<W: Write> Listener for Events<W> {
    fn tell(&mut self, event: &Event) -> io::Result<()> {
        let kept = match &event.kind {
            EventKind::RunStarted { run, hosts } => {
                self.run = Run::new(run, hosts);
                Ok(())
            }
            // The record repeats what the host wrote.
            EventKind::Output { host, pipe, bytes } => self.outputs.push(*host, *pipe, bytes),
            _ => Ok(()),
        };
        self.write(event)?;
        self.out.flush()?;
        kept
    }
}

fn word(kind: &EventKind) -> &'static str {
    match kind {
        EventKind::RunStarted { .. } => "run_started",
        EventKind::Attempt { .. } => "attempt",
        EventKind::Connected { .. } => "connected",
        EventKind::Started { .. } => "started",
        EventKind::Output { .. } => "output",
        EventKind::Moved { .. } => "moved",
        EventKind::Finished { .. } => "finished",
        EventKind::Stopping { .. } => "stopping",
        EventKind::RunFinished { .. } => "run_finished",
    }
}

fn host(kind: &EventKind) -> Option<HostIndex> {
    match kind {
        EventKind::Attempt { host, .. }
        | EventKind::Connected { host, .. }
        | EventKind::Started { host }
        | EventKind::Output { host, .. }
        | EventKind::Moved { host, .. }
        | EventKind::Finished { host, .. } => Some(*host),
        _ => None,
    }
}

fn reason_word(reason: StopReason) -> &'static str {
    match reason {
        StopReason::Hangup => "hangup",
        StopReason::Interrupt => "interrupt",
        StopReason::Terminate => "terminate",
        StopReason::NoReader => "no-reader",
    }
}

fn write_hosts(line: &mut Object, run: &Run) -> io::Result<()> {
    line.text("run", &run.id)?;
    let out = line.name("hosts")?;
    for (index, host) in run.hosts.iter().enumerate() {
        out.write_all(if index == 0 { b"[" } else { b"," })?;
        write_text(out, host.as_str())?;
    }
    out.write_all(if run.hosts.is_empty() { b"[]" } else { b"]" })
}

fn write_outcome(
    line: &mut Object,
    run: &Run,
    host: HostIndex,
    outcome: &Outcome,
    output: &Output,
) -> io::Result<()> {
    let record = Record {
        run: &run.id,
        host: run.name(host),
        outcome,
        stdout: &output.stdout,
        stderr: &output.stderr,
    };
    write_record(line.name("record")?, &record)
}

fn write_summary(line: &mut Object, summary: &Summary) -> io::Result<()> {
    let of = |status| {
        let kinds = summary.kinds.iter();
        let kinds = kinds.filter(|(kind, _)| kind.status() == status);
        kinds.map(|(_, count)| count).sum::<usize>().to_string()
    };
    line.raw("hosts", &summary.hosts.to_string())?;
    line.raw("ok", &summary.ok.to_string())?;
    line.raw("failed", &of(Status::Failed))?;
    line.raw("skipped", &of(Status::Skipped))?;
    let mut kinds = Object::begin(line.name("kinds")?)?;
    for (kind, count) in &summary.kinds {
        kinds.raw(kind.as_str(), &count.to_string())?;
    }
    kinds.end()?;
    line.raw("max_exit_code", &summary.max_exit_code.to_string())?;
    match summary.stopped_by {
        Some(reason) => line.text("stopped_by", reason_word(reason))?,
        None => line.raw("stopped_by", "null")?,
    }
    line.raw("duration_ms", &millis(summary.duration).to_string())
}

#[cfg(test)]
mod tests {
    use serde_json::Value;

    use crate::render::tests::{every_event, show};
    use crate::render::{Format, Options};

    const PAGE: &str = include_str!("../../docs/events.md");

    /// Returns which members each event has, for every event that is told in `lines`.
    fn members<'a>(lines: impl Iterator<Item = &'a str>) -> Vec<(String, Vec<String>)> {
        let mut members: Vec<(String, Vec<String>)> = lines
            .map(|line| serde_json::from_str::<Value>(line).unwrap())
            .map(|event| {
                let names = event.as_object().unwrap().keys().cloned().collect();
                (event["event"].as_str().unwrap().to_owned(), names)
            })
            .collect();
        members.sort();
        members.dedup();
        members
    }

    #[test]
    fn the_page_shows_and_tells_what_is_written() {
        let mut options = Options::new(Format::Jsonl);
        options.has_events = true;
        let text = show(&options, &every_event(), 100).text();
        let written = members(text.lines());
        // What follows is about servers, which this module knows nothing of.
        let own = PAGE.lines().take_while(|line| *line != "## Servers");
        let examples = members(own.filter(|line| line.starts_with("{\"v\":1")));
        for example in &examples {
            assert!(written.contains(example), "{example:?}");
        }
        for (event, names) in &written {
            assert!(PAGE.contains(&format!("| `{event}` |")), "{event}");
            for name in names {
                assert!(PAGE.contains(&format!("`{name}`")), "{name}");
            }
        }
    }
}
