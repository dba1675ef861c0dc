//! The progress bar: how many hosts are done, and how they fare.

use std::collections::HashSet;
use std::io;
use std::time::Duration;

use hoist::event::{Event, EventKind, HostIndex, Listener};
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

use super::Notes;

/// How often the bar is drawn anew while nothing happens.
const TICK: Duration = Duration::from_millis(250);

/// A listener that draws on stderr while the run goes on and leaves nothing behind.
#[derive(Debug)]
pub(crate) struct Progress {
    bar: ProgressBar,
    /// Hosts that were begun and have not finished.
    running: HashSet<HostIndex>,
    failed: Vec<HostIndex>,
}

impl Progress {
    /// Returns a bar for `hosts` hosts; one that isn't shown draws nothing at all.
    pub(crate) fn new(hosts: usize, is_shown: bool, has_color: bool) -> Self {
        let bar = ProgressBar::with_draw_target(Some(hosts as u64), target(is_shown));
        let template = if has_color {
            "{bar:30.green} {pos}/{len} hosts{msg}, {elapsed}"
        } else {
            "{bar:30} {pos}/{len} hosts{msg}, {elapsed}"
        };
        if let Ok(style) = ProgressStyle::with_template(template) {
            bar.set_style(style.progress_chars("━╸ "));
        }
        Self {
            bar,
            running: HashSet::new(),
            failed: Vec::new(),
        }
    }

    /// Returns the way to stderr around this bar.
    pub(crate) fn notes(&self) -> Notes {
        Notes::around(self.bar.clone())
    }

    /// Returns the hosts that were not ok, in the order they ended.
    pub(crate) fn failed(&self) -> &[HostIndex] {
        &self.failed
    }

    fn show(&self) {
        let mut message = String::new();
        for (count, word) in [
            (self.failed.len(), "failed"),
            (self.running.len(), "running"),
        ] {
            if count > 0 {
                message = format!("{message}, {count} {word}");
            }
        }
        self.bar.set_message(message);
    }
}

fn target(is_shown: bool) -> ProgressDrawTarget {
    if is_shown {
        ProgressDrawTarget::stderr_with_hz(10)
    } else {
        ProgressDrawTarget::hidden()
    }
}

impl Listener for Progress {
    fn tell(&mut self, event: &Event) -> io::Result<()> {
        match &event.kind {
            EventKind::RunStarted { .. } if !self.bar.is_hidden() => {
                self.bar.enable_steady_tick(TICK);
            }
            EventKind::Attempt { host, .. } => {
                self.running.insert(*host);
                self.show();
            }
            EventKind::Finished { host, outcome } => {
                self.running.remove(host);
                if outcome.kind.is_some() {
                    self.failed.push(*host);
                }
                self.bar.inc(1);
                self.show();
            }
            EventKind::RunFinished { .. } => self.bar.finish_and_clear(),
            _ => {}
        }
        Ok(())
    }
}
