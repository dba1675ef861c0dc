//! The record of a host: one schema for every format that machines read. `docs/records.md` tells
//! its users about it.
//!
//! A record borrows the outcome and the spools; encodings ask for [`Record::values`] and write the
//! outputs piece by piece.

use std::borrow::Cow;
use std::time::{Duration, SystemTime};

use crate::outcome::{Kind, Outcome};
use crate::remote::ExitStatus;
use crate::spool::Spool;

/// The fields, in order.
pub const FIELDS: [&str; 23] = [
    "host",
    "address",
    "user",
    "port",
    "status",
    "kind",
    "exit_code",
    "signal",
    "stdout",
    "stderr",
    "stdout_truncated",
    "stderr_truncated",
    "stdout_bytes",
    "stderr_bytes",
    "stdout_held",
    "changed",
    "started_at",
    "duration_ms",
    "connect_ms",
    "attempts",
    "message",
    "killed",
    "run",
];

/// What became of one host, with all it wrote.
#[derive(Debug, Clone, Copy)]
pub struct Record<'a> {
    /// The run's id.
    pub run: &'a str,
    /// The host's name.
    pub host: &'a str,
    /// What became of it.
    pub outcome: &'a Outcome,
    /// Its standard output.
    pub stdout: &'a Spool,
    /// Its standard error.
    pub stderr: &'a Spool,
}

/// One field.
#[derive(Debug, Clone)]
pub enum Value<'a> {
    /// There is nothing to say.
    Null,
    /// Yes or no.
    Bool(bool),
    /// A count, or milliseconds.
    Number(u64),
    /// A word or a line.
    Text(Cow<'a, str>),
    /// Bytes of any size.
    Output(&'a Spool),
}

impl<'a> Value<'a> {
    fn text(text: &'a str) -> Self {
        Self::Text(Cow::Borrowed(text))
    }

    fn number(number: Option<u64>) -> Self {
        number.map_or(Self::Null, Self::Number)
    }

    fn some_text(text: Option<&'a str>) -> Self {
        text.map_or(Self::Null, Self::text)
    }
}

impl<'a> Record<'a> {
    /// Returns the values, in the order of [`FIELDS`].
    pub fn values(&self) -> [Value<'a>; FIELDS.len()] {
        let outcome = self.outcome;
        let (exit_code, signal) = match &outcome.exit {
            None => (None, None),
            Some(ExitStatus::Code(code)) => (Some(u64::from(*code)), None),
            Some(ExitStatus::Signal(name)) => (None, Some(name.as_str())),
        };
        let message = (!outcome.message.is_empty()).then_some(outcome.message.as_str());
        let is_cut = |truncated: bool, spool: &Spool| Value::Bool(truncated || spool.is_cut());
        [
            Value::text(self.host),
            Value::text(&outcome.address),
            Value::some_text(outcome.user.as_deref()),
            Value::number(outcome.port.map(u64::from)),
            Value::text(outcome.status().as_str()),
            Value::some_text(outcome.kind.map(Kind::as_str)),
            Value::number(exit_code),
            Value::some_text(signal),
            Value::Output(self.stdout),
            Value::Output(self.stderr),
            is_cut(outcome.stdout.is_truncated, self.stdout),
            is_cut(outcome.stderr.is_truncated, self.stderr),
            Value::Number(outcome.stdout.bytes),
            Value::Number(outcome.stderr.bytes),
            Value::Bool(outcome.is_stdout_held),
            outcome.has_changed.map_or(Value::Null, Value::Bool),
            Value::Text(timestamp(outcome.started_at).into()),
            Value::Number(millis(outcome.duration)),
            Value::number(outcome.connect_duration.map(millis)),
            Value::Number(outcome.attempts.into()),
            Value::some_text(message),
            Value::some_text(outcome.killed.map(crate::outcome::Killed::as_str)),
            Value::text(self.run),
        ]
    }
}

/// Returns a moment as RFC 3339 has it, in UTC, to the millisecond.
pub(super) fn timestamp(at: SystemTime) -> String {
    let at = jiff::Timestamp::try_from(at).unwrap_or_default();
    format!("{at:.3}")
}

/// Returns whole milliseconds.
pub(super) fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    const PAGE: &str = include_str!("../../docs/records.md");

    #[test]
    fn the_page_tells_every_field_in_order() {
        // What follows is about servers, which this module knows nothing of.
        let own = PAGE.lines().take_while(|line| *line != "## Servers");
        let rows = own.filter_map(|line| line.strip_prefix("| `"));
        let told: Vec<&str> = rows.filter_map(|row| row.split('`').next()).collect();
        assert_eq!(told, FIELDS);
    }

    #[test]
    fn the_page_tells_every_kind() {
        for kind in Kind::ALL {
            assert!(PAGE.contains(&format!("\n`{kind}`")), "{kind}");
        }
    }
}
