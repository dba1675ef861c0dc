//! Lines on stderr that don't tear the progress bar.

use std::io::{self, Write};

use indicatif::ProgressBar;

use crate::report;

/// Writes to stderr around the progress bar. Clones write to the same place.
#[derive(Debug, Clone)]
pub(crate) struct Notes {
    bar: ProgressBar,
}

impl Notes {
    /// Returns the way to stderr around `bar`.
    pub(super) fn around(bar: ProgressBar) -> Self {
        Self { bar }
    }

    /// Writes one line.
    pub(crate) fn line(&self, line: &str) {
        self.bar.suspend(|| report::note(line));
    }

    /// Does something on the terminal while the bar is away.
    pub(crate) fn suspend<T>(&self, act: impl FnOnce() -> T) -> T {
        self.bar.suspend(act)
    }
}

impl Write for Notes {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.bar.suspend(|| io::stderr().write(bytes))
    }

    fn write_all(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.bar.suspend(|| io::stderr().write_all(bytes))
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
