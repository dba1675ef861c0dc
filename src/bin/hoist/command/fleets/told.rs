//! What happens to servers, told as it happens: lines on stderr, or events on stdout.

use std::collections::BTreeSet;
use std::io::{self, Write};
use std::sync::{Mutex, PoisonError};
use std::time::SystemTime;

use hoist::host::escaped;
use hoist::provider::fleet::Step;
use hoist::provider::{FleetName, ProviderName, State};
use serde_json::{Map, Value, json};

use super::rows::Row;
use crate::report::note;

/// Version of the protocol that events are written in.
const VERSION: u64 = 1;

/// Tells what happens to the servers of a fleet.
pub(super) struct Teller {
    pub fleet: FleetName,
    pub provider: ProviderName,
    /// Events go to stdout.
    pub has_events: bool,
    /// No lines go to stderr.
    pub is_quiet: bool,
    /// Servers of which it was told why they failed.
    failed: Mutex<BTreeSet<String>>,
}

impl Teller {
    pub(super) fn new(
        fleet: &FleetName,
        provider: ProviderName,
        has_events: bool,
        is_quiet: bool,
    ) -> Self {
        Self {
            fleet: fleet.clone(),
            provider,
            has_events,
            is_quiet,
            failed: Mutex::default(),
        }
    }

    /// Tells one step.
    pub(super) fn step(&self, server: &str, step: &Step) {
        if let Step::Failed { message } = step {
            self.failed(server, message);
            return;
        }
        if matches!(step, Step::Creating) {
            let failed = self.failed.lock();
            failed
                .unwrap_or_else(PoisonError::into_inner)
                .remove(server);
        }
        let (line, event, members) = told(step);
        if let Some(line) = line {
            self.line(&format!("{}: {line}", escaped(server)));
        }
        self.event(server, event, members);
    }

    /// Says something about the fleet on stderr.
    pub(super) fn line(&self, line: &str) {
        if !self.is_quiet {
            note(&format!("hoist: {line}"));
        }
    }

    /// Tells that the server can be logged in to.
    pub(super) fn ready(&self, server: &str, record: &Row) {
        self.line(&format!("{}: ready", escaped(server)));
        self.event(server, "server_ready", json!({ "record": record }));
    }

    /// Tells that the server can't be used; once, as whoever makes servers and whoever waits for
    /// them may both find out.
    pub(super) fn failed(&self, server: &str, message: &str) {
        let failed = self.failed.lock();
        let mut failed = failed.unwrap_or_else(PoisonError::into_inner);
        if !failed.insert(server.to_owned()) {
            return;
        }
        drop(failed);
        // Told however quiet: without it nobody would know why.
        note(&format!("hoist: {}: {}", escaped(server), escaped(message)));
        self.event(server, "server_failed", json!({ "message": message }));
    }

    /// Writes an event. Where nobody reads them any more, the work goes on.
    fn event(&self, server: &str, event: &str, members: Value) {
        if !self.has_events {
            return;
        }
        let head = json!({
            "v": VERSION,
            "event": event,
            "at": now(),
            "fleet": self.fleet.as_str(),
            "provider": self.provider.as_str(),
            "server": server,
        });
        let line: Map<String, Value> = [head, members]
            .into_iter()
            .filter_map(|value| match value {
                Value::Object(object) => Some(object),
                _ => None,
            })
            .flatten()
            .collect();
        let mut line = Value::Object(line).to_string();
        line.push('\n');
        let mut out = io::stdout().lock();
        let _ = out.write_all(line.as_bytes()).and_then(|()| out.flush());
    }
}

/// Returns the line for people, if it is worth one, and the event with its members.
fn told(step: &Step) -> (Option<String>, &'static str, Value) {
    match step {
        Step::Creating => (None, "server_creating", json!({})),
        Step::Created { id } => (
            Some(format!("made ({})", escaped(id))),
            "server_created",
            json!({ "id": id }),
        ),
        Step::Adopted { id } => (
            Some(format!("found again ({})", escaped(id))),
            "server_adopted",
            json!({ "id": id }),
        ),
        Step::Lost { message } => (
            Some(format!(
                "nobody knows yet whether it was made: {}",
                escaped(message)
            )),
            "server_lost",
            json!({ "message": message }),
        ),
        Step::Missing { id } => (
            Some(format!("the provider lists it no more ({})", escaped(id))),
            "server_missing",
            json!({ "id": id }),
        ),
        Step::Found { id } => (
            Some(format!("the provider lists it again ({})", escaped(id))),
            "server_found",
            json!({ "id": id }),
        ),
        Step::State { state, raw } => {
            let line = (*state != State::Pending).then(|| format!("{} ({raw})", state.as_str()));
            let members = json!({ "state": state.as_str(), "raw_state": raw });
            (line.map(|line| escaped(&line)), "server_state", members)
        }
        Step::Running { address } => (
            Some(format!("runs at {address}")),
            "server_running",
            json!({ "address": address.to_string() }),
        ),
        Step::Destroying => (None, "server_destroying", json!({})),
        Step::Gone => (Some("destroyed".to_owned()), "server_gone", json!({})),
        other => (Some(format!("{other:?}")), "server_step", json!({})),
    }
}

fn now() -> String {
    let now = jiff::Timestamp::try_from(SystemTime::now()).unwrap_or_default();
    format!("{now:.3}")
}
