//! Everybody who is told of a run: the renderer, files, progress, the summary.

use std::fs::{self, File};
use std::io::{self, Write};
use std::os::fd::AsFd;
use std::path::Path;

use hoist::engine::{Cancel, EngineError};
use hoist::event::Listener;
use hoist::hostset::HostSet;
use hoist::outcome::{StopReason, Summary};
use hoist::plan::Plan;
use hoist::render::{self, FailedTo, Failures, Format, Options, OutDir, Outlet};
use hoist::spool::Store;
use rustix::fs::FileType;

use crate::args::Showing;
use crate::report::Failure;
use crate::settings::{Environment, Origins};
use crate::ui::{Notes, Progress, Terminal, has_color};

/// The listeners of one run, and where they write.
pub(super) struct Outputs {
    progress: Progress,
    failures: Failures,
    renderer: Box<dyn Listener>,
    files: Vec<Box<dyn Listener>>,
    outlets: Vec<Outlet>,
    is_summary_shown: bool,
}

/// What outputs depend on besides their flags.
pub(super) struct Surroundings<'a> {
    pub origins: &'a Origins,
    pub environment: &'a Environment,
    pub terminal: Terminal,
    pub store: &'a Store,
    pub cancel: &'a Cancel,
}

impl Outputs {
    /// Opens everything that results are written to.
    ///
    /// # Errors
    /// When a file or folder can't be made.
    pub(super) fn open(
        plan: &Plan,
        showing: &Showing,
        around: &Surroundings<'_>,
    ) -> Result<Self, Failure> {
        let options = options(showing, around);
        let is_person_there = around.terminal.is_stderr && !showing.quiet;
        let is_bar_shown = is_person_there && !is_bar_in_the_way(options.format);
        let has_err_color = colored(showing, around, around.terminal.is_stderr);
        let progress = Progress::new(plan.hosts.len(), is_bar_shown, has_err_color);

        let out = outlet(&io::stdout(), around.store)?;
        if is_all_there_is(options.format, showing) {
            let cancel = around.cancel.clone();
            out.on_close(move || cancel.stop(StopReason::NoReader));
        }
        let mut outlets = vec![out.clone()];
        let err = error_writer(&out, is_bar_shown, &progress, around, &mut outlets)?;
        Ok(Self {
            renderer: render::renderer(&options, around.store, Box::new(out), err),
            failures: Failures::new(),
            files: files(plan, showing)?,
            progress,
            outlets,
            is_summary_shown: is_person_there,
        })
    }

    /// Returns the way to stderr while the run goes on.
    pub(super) fn notes(&self) -> Notes {
        self.progress.notes()
    }

    /// Returns who is told of events: the bar first, so that it is gone before results are shown.
    pub(super) fn listeners(&mut self) -> Vec<&mut dyn Listener> {
        let mut listeners: Vec<&mut dyn Listener> =
            vec![&mut self.progress, &mut self.failures, &mut *self.renderer];
        for file in &mut self.files {
            listeners.push(&mut **file);
        }
        listeners
    }

    /// Waits until everything is written, and prints the summary, with the line that `again` makes
    /// of the hosts that failed. Returns whether all of it is written.
    pub(super) fn close(
        self,
        plan: &Plan,
        worked: &Result<Summary, EngineError>,
        again: impl FnOnce(&HostSet) -> Option<String>,
    ) -> bool {
        let notes = self.progress.notes();
        // A renderer may still hold a clone of the way out.
        drop(self.renderer);
        let mut is_written = true;
        for outlet in &self.outlets {
            if let Err(error) = outlet.finish() {
                notes.line(&format!("hoist: cannot write the results: {error}"));
                is_written = false;
            }
        }
        match worked {
            Ok(summary) if self.is_summary_shown => {
                for line in self.failures.lines(summary) {
                    notes.line(&line);
                }
                if let Some(line) = again(&failed(plan, &self.progress)) {
                    notes.line(&format!("again: {line}"));
                }
            }
            Ok(_) => {}
            Err(error) => {
                notes.line(&Failure::own(error).line());
                is_written = false;
            }
        }
        is_written
    }
}

/// Returns the names of the hosts that were not ok, in plan order.
fn failed(plan: &Plan, progress: &Progress) -> HostSet {
    let mut failed = progress.failed().to_vec();
    failed.sort_unstable();
    let names = failed.into_iter().filter_map(|index| plan.hosts.get(index));
    names.map(|host| host.name.clone()).collect()
}

fn options(showing: &Showing, around: &Surroundings<'_>) -> Options {
    let terminal = around.terminal;
    Options {
        is_labelled: !showing.no_labels,
        width: terminal.width.filter(|_| terminal.is_stdout),
        has_color: colored(showing, around, terminal.is_stdout),
        is_terminal: terminal.is_stdout,
        is_err_terminal: terminal.is_stderr,
        is_csv_safe: showing.csv_safe,
        has_events: showing.events,
        ..Options::new(format(showing, terminal))
    }
}

/// Returns the format that was asked for; by default a table for people, a stream for programs.
fn format(showing: &Showing, terminal: Terminal) -> Format {
    let default = if terminal.is_stdout {
        Format::Table
    } else {
        Format::Stream
    };
    showing.output.unwrap_or(default)
}

fn colored(showing: &Showing, around: &Surroundings<'_>, is_terminal: bool) -> bool {
    let origin = around.origins.of("color");
    has_color(showing.color, origin, around.environment, is_terminal)
}

/// Whether results may appear on the terminal while the bar is drawn there: they come before the
/// end, and to a terminal, or to a program that may write to one.
fn is_bar_in_the_way(format: Format) -> bool {
    is_live(format) && !is_kept(&io::stdout())
}

/// Whether nobody looks at an output yet: it is a file, or thrown away.
fn is_kept(output: &impl AsFd) -> bool {
    let null = rustix::fs::stat("/dev/null").map(|null| null.st_rdev);
    rustix::fs::fstat(output).is_ok_and(|output| {
        let is_file = FileType::from_raw_mode(output.st_mode) == FileType::RegularFile;
        is_file || null == Ok(output.st_rdev)
    })
}

/// Whether results appear before the run is over.
fn is_live(format: Format) -> bool {
    !matches!(
        format,
        Format::Table | Format::Group | Format::Json | Format::None
    )
}

/// Whether nothing is left to do for the hosts' output once nobody reads stdout.
fn is_all_there_is(format: Format, showing: &Showing) -> bool {
    matches!(format, Format::Stream | Format::Raw) && showing.out_dir.is_none()
}

fn outlet(output: &impl AsFd, store: &Store) -> Result<Outlet, Failure> {
    let outlet = output.as_fd().try_clone_to_owned();
    let outlet = outlet.and_then(|output| Outlet::new(File::from(output), store));
    outlet.map_err(|error| Failure::own(format!("cannot open the output: {error}")))
}

/// Returns where the hosts' stderr goes: around the bar, in line with stdout where both are the
/// same, or a way of its own.
fn error_writer(
    out: &Outlet,
    is_bar_shown: bool,
    progress: &Progress,
    around: &Surroundings<'_>,
    outlets: &mut Vec<Outlet>,
) -> Result<Box<dyn Write>, Failure> {
    if is_bar_shown {
        return Ok(Box::new(progress.notes()));
    }
    if is_same(&io::stdout(), &io::stderr()) {
        return Ok(Box::new(out.clone()));
    }
    let err = outlet(&io::stderr(), around.store)?;
    outlets.push(err.clone());
    Ok(Box::new(err))
}

fn is_same(a: &impl AsFd, b: &impl AsFd) -> bool {
    let file = |output: &dyn AsFd| output.as_fd().try_clone_to_owned().map(File::from);
    match (file(a), file(b)) {
        (Ok(a), Ok(b)) => Outlet::is_same(&a, &b).unwrap_or(false),
        _ => false,
    }
}

fn files(plan: &Plan, showing: &Showing) -> Result<Vec<Box<dyn Listener>>, Failure> {
    let mut files: Vec<Box<dyn Listener>> = Vec::new();
    if let Some(folder) = &showing.out_dir {
        let folder = OutDir::create(folder.clone()).map_err(Failure::own)?;
        files.push(Box::new(folder));
    }
    if let Some(file) = &showing.failed_to {
        check_writable(file)?;
        files.push(Box::new(FailedTo::new(file.clone(), plan.hosts.clone())));
    }
    Ok(files)
}

/// Finds out before the run whether a file can be written after it.
fn check_writable(file: &Path) -> Result<(), Failure> {
    let folder = file
        .parent()
        .filter(|folder| !folder.as_os_str().is_empty());
    let tried = match fs::metadata(file) {
        Ok(there) if there.is_dir() => Err(io::ErrorKind::IsADirectory.into()),
        // Opening a pipe would wait for whoever reads it.
        Ok(there) if !there.is_file() => Ok(()),
        // It is replaced by a new file beside it.
        _ => tempfile::tempfile_in(folder.unwrap_or(Path::new("."))).map(drop),
    };
    tried.map_err(|error| Failure::own(format!("cannot write {}: {error}", file.display())))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn results_that_come_at_the_end_leave_the_terminal_to_the_bar() {
        for format in Format::ALL {
            let at_end = ["table", "group", "json", "none"].contains(&format.as_str());
            assert_eq!(is_live(format), !at_end, "{format}");
        }
    }
}
