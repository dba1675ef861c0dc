//! The progress bar: how many hosts are done, and how they fare. Where files are on their way, how far
//! they are, in all and for some of the hosts.

use std::collections::{HashMap, HashSet};
use std::io;
use std::sync::Arc;
use std::time::Duration;

use hoist::event::{Event, EventKind, HostIndex, Listener};
use hoist::host::HostName;
use indicatif::{HumanBytes, MultiProgress, ProgressBar, ProgressDrawTarget, ProgressStyle};

use super::Notes;

/// How often the bar is drawn anew while nothing happens.
const TICK: Duration = Duration::from_millis(250);

/// Most hosts whose own files are shown.
const MOST_HOSTS: usize = 6;

/// Files smaller than this have come before anybody could look.
const SMALL_BYTES: u64 = 1024 * 1024;

/// A listener that draws on stderr while the run goes on and leaves nothing behind.
#[derive(Debug)]
pub(crate) struct Progress {
    bars: MultiProgress,
    bar: ProgressBar,
    has_color: bool,
    hosts: Arc<[HostName]>,
    /// Hosts that were begun and have not finished.
    running: HashSet<HostIndex>,
    failed: Vec<HostIndex>,
    /// Bytes of each host's files: so far, and in all.
    moved: HashMap<HostIndex, (u64, u64)>,
    shown: HashMap<HostIndex, ProgressBar>,
}

impl Progress {
    /// Returns a bar for `hosts` hosts; one that isn't shown draws nothing at all.
    pub(crate) fn new(hosts: usize, is_shown: bool, has_color: bool) -> Self {
        let bars = MultiProgress::with_draw_target(target(is_shown));
        let bar = bars.add(ProgressBar::new(hosts as u64));
        let template = if has_color {
            "{bar:30.green} {pos}/{len} hosts{msg}, {elapsed}"
        } else {
            "{bar:30} {pos}/{len} hosts{msg}, {elapsed}"
        };
        if let Ok(style) = ProgressStyle::with_template(template) {
            bar.set_style(style.progress_chars("━╸ "));
        }
        Self {
            bars,
            bar,
            has_color,
            hosts: Arc::default(),
            running: HashSet::new(),
            failed: Vec::new(),
            moved: HashMap::new(),
            shown: HashMap::new(),
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
        if !self.moved.is_empty() {
            let (bytes, total) = self
                .moved
                .values()
                .fold((0, 0), |sums, host| (sums.0 + host.0, sums.1 + host.1));
            let (bytes, total) = (HumanBytes(bytes), HumanBytes(total));
            message = format!("{message}, {bytes} of {total}");
        }
        self.bar.set_message(message);
    }

    /// Notes how far a host's files are, and shows it where there is room.
    fn move_on(&mut self, host: HostIndex, bytes: u64, total: u64) {
        self.moved.insert(host, (bytes, total));
        if self.bar.is_hidden() {
            return;
        }
        let has_room = self.shown.len() < MOST_HOSTS && total >= SMALL_BYTES;
        if has_room && bytes < total && !self.shown.contains_key(&host) {
            let bar = self.bars.add(self.host_bar(host, total));
            self.shown.insert(host, bar);
        }
        if let Some(bar) = self.shown.get(&host) {
            bar.set_position(bytes);
        }
        self.show();
    }

    fn host_bar(&self, host: HostIndex, total: u64) -> ProgressBar {
        let template = if self.has_color {
            "{bar:30.green} {prefix} {bytes} of {total_bytes}, {bytes_per_sec}"
        } else {
            "{bar:30} {prefix} {bytes} of {total_bytes}, {bytes_per_sec}"
        };
        let bar = ProgressBar::new(total);
        if let Ok(style) = ProgressStyle::with_template(template) {
            bar.set_style(style.progress_chars("━╸ "));
        }
        let name = self.hosts.get(host).map(ToString::to_string);
        bar.with_prefix(name.unwrap_or_default())
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
            EventKind::RunStarted { hosts, .. } if !self.bar.is_hidden() => {
                self.hosts = Arc::clone(hosts);
                self.bar.enable_steady_tick(TICK);
            }
            EventKind::Attempt { host, .. } => {
                self.running.insert(*host);
                self.show();
            }
            EventKind::Moved { host, bytes, total } => self.move_on(*host, *bytes, *total),
            EventKind::Finished { host, outcome } => {
                if let Some(bar) = self.shown.remove(host) {
                    bar.finish_and_clear();
                    self.bars.remove(&bar);
                }
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
