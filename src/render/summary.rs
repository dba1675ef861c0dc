//! The end of a run in a few lines for people: counts, and which hosts failed of what.

use std::collections::BTreeMap;
use std::io;

use super::Run;
use super::words::{count, counted, duration};
use crate::event::{Event, EventKind, HostIndex, Listener};
use crate::hostset::HostSet;
use crate::outcome::{Kind, Status, Summary};

/// Most characters of the names that one kind may take.
const MAX_NAMES: usize = 160;

/// Remembers which hosts were not ok, and of what kind they are.
#[derive(Debug, Default)]
pub struct Failures {
    run: Run,
    by_kind: BTreeMap<Kind, Vec<HostIndex>>,
}

impl Failures {
    /// Returns none so far.
    pub fn new() -> Self {
        Self::default()
    }

    /// Returns the end of a run in one to three lines, without line ends: the counts, the hosts
    /// that failed, folded by kind, and why the run was stopped, if it was.
    pub fn lines(&self, summary: &Summary) -> Vec<String> {
        let mut lines = vec![counts(summary)];
        let kinds = self.by_kind.iter();
        let kinds: Vec<String> = kinds.map(|(kind, hosts)| self.kind(*kind, hosts)).collect();
        if !kinds.is_empty() {
            lines.push(kinds.join("; "));
        }
        if let Some(reason) = summary.stopped_by {
            lines.push(format!("stopped by {}", reason.as_str()));
        }
        lines
    }

    fn kind(&self, kind: Kind, hosts: &[HostIndex]) -> String {
        let mut hosts = hosts.to_vec();
        hosts.sort_unstable();
        let names = hosts.iter().filter_map(|host| self.run.hosts.get(*host));
        let names: HostSet = names.cloned().collect();
        format!("{kind}: {}", shorten(&names.fold(), hosts.len()))
    }
}

impl Listener for Failures {
    fn tell(&mut self, event: &Event) -> io::Result<()> {
        match &event.kind {
            EventKind::RunStarted { run, hosts } => self.run = Run::new(run, hosts),
            EventKind::Finished { host, outcome } => {
                if let Some(kind) = outcome.kind {
                    self.by_kind.entry(kind).or_default().push(*host);
                }
            }
            _ => {}
        }
        Ok(())
    }
}

/// Returns the counts: `1,000 hosts: 990 ok, 10 failed (7 exit, 3 refused) in 2.1s`.
fn counts(summary: &Summary) -> String {
    let mut parts = Vec::new();
    if summary.ok > 0 || summary.kinds.is_empty() {
        parts.push(format!("{} ok", count(summary.ok as u64)));
    }
    let (skipped, failed): (Vec<_>, Vec<_>) =
        (summary.kinds.iter()).partition(|(kind, _)| kind.status() == Status::Skipped);
    let sum = |kinds: &[(&Kind, &usize)]| kinds.iter().map(|(_, n)| **n as u64).sum::<u64>();
    if !failed.is_empty() {
        let kinds = failed
            .iter()
            .map(|(kind, n)| format!("{} {kind}", count(**n as u64)));
        let kinds: Vec<String> = kinds.collect();
        parts.push(format!(
            "{} failed ({})",
            count(sum(&failed)),
            kinds.join(", ")
        ));
    }
    if !skipped.is_empty() {
        parts.push(format!("{} not started", count(sum(&skipped))));
    }
    format!(
        "{}: {} in {}",
        counted(summary.hosts, "host"),
        parts.join(", "),
        duration(summary.duration)
    )
}

/// Returns folded names that take at most [`MAX_NAMES`] characters, cut between two terms.
fn shorten(folded: &str, hosts: usize) -> String {
    if folded.chars().count() <= MAX_NAMES {
        return folded.to_owned();
    }
    let mut depth = 0_u32;
    let mut end = 0;
    for (place, (at, c)) in folded.char_indices().enumerate() {
        match c {
            '[' => depth += 1,
            ']' => depth = depth.saturating_sub(1),
            ',' if depth == 0 => end = at,
            _ => {}
        }
        if place == MAX_NAMES {
            break;
        }
    }
    match &folded[..end] {
        "" => counted(hosts, "host"),
        some => format!("{some}, … ({} in all)", counted(hosts, "host")),
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::outcome::StopReason;

    #[test]
    fn counts_are_one_line() {
        let mut summary = Summary {
            hosts: 1234,
            ok: 1200,
            duration: Duration::from_secs(75),
            ..Summary::default()
        };
        summary.kinds.insert(Kind::Refused, 3);
        summary.kinds.insert(Kind::Exit, 21);
        summary.kinds.insert(Kind::NotStarted, 10);
        assert_eq!(
            counts(&summary),
            "1,234 hosts: 1,200 ok, 24 failed (21 exit, 3 refused), 10 not started in 1m15s"
        );
        let none_ok = Summary {
            hosts: 1,
            kinds: [(Kind::Dns, 1)].into(),
            ..Summary::default()
        };
        assert_eq!(counts(&none_ok), "1 host: 1 failed (1 dns) in 0ms");
    }

    #[test]
    fn a_stopped_run_says_so() {
        let summary = Summary {
            hosts: 1,
            ok: 1,
            stopped_by: Some(StopReason::Interrupt),
            ..Summary::default()
        };
        let lines = Failures::new().lines(&summary);
        assert_eq!(lines, ["1 host: 1 ok in 0ms", "stopped by interrupt"]);
    }

    #[test]
    fn many_names_are_cut_between_two() {
        let names: Vec<String> = (0..100).map(|n| format!("h{n}-[1,3]")).collect();
        let cut = shorten(&names.join(","), 200);
        assert!(cut.ends_with("h16-[1,3], … (200 hosts in all)"), "{cut}");
        assert_eq!(shorten(&"x".repeat(200), 7), "7 hosts");
        assert_eq!(shorten("web[1-3]", 3), "web[1-3]");
    }
}
