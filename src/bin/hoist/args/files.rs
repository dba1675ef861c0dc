//! The arguments of the subcommands that move files.

use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::time::Duration;

use clap::{Args, ValueHint};

use super::values::{self, Bound, Words};
use super::{Connecting, Pacing, Rights, Selecting, Showing, Templating};

/// `hoist put`.
#[derive(Debug, Args)]
pub(crate) struct Put {
    #[command(flatten)]
    pub selecting: Selecting,
    #[command(flatten)]
    pub putting: Putting,
    #[command(flatten)]
    pub applying: Applying,
    #[command(flatten)]
    pub rights: Rights,
    #[command(flatten)]
    pub templating: Templating,
    #[command(flatten)]
    pub pacing: Pacing,
    #[command(flatten)]
    pub moving: Moving,
    #[command(flatten)]
    pub connecting: Connecting,
    #[command(flatten)]
    pub showing: Showing,

    /// Files and folders here; `FOLDER/`: what is in it
    #[arg(value_name = "SRC", required = true, value_hint = ValueHint::AnyPath, help_heading = None)]
    pub sources: Vec<PathBuf>,
    /// Where they go: a name, or a folder
    #[arg(value_name = "DEST", required = true, help_heading = None)]
    pub dest: PathBuf,
}

/// `hoist get`.
#[derive(Debug, Args)]
pub(crate) struct Get {
    #[command(flatten)]
    pub selecting: Selecting,
    #[command(flatten)]
    pub getting: Getting,
    #[command(flatten)]
    pub rights: Rights,
    #[command(flatten)]
    pub pacing: Pacing,
    #[command(flatten)]
    pub moving: Moving,
    #[command(flatten)]
    pub connecting: Connecting,
    #[command(flatten)]
    pub showing: Showing,

    /// Files and folders on hosts; `FOLDER/`: what is in it
    #[arg(value_name = "SRC", required = true, help_heading = None)]
    pub sources: Vec<PathBuf>,
    /// Where a folder for each host is made
    #[arg(value_name = "DIR", required = true, value_hint = ValueHint::DirPath, help_heading = None)]
    pub dir: PathBuf,
}

/// What is fetched.
#[derive(Debug, Args)]
#[command(next_help_heading = "Files")]
pub(crate) struct Getting {
    /// Fetch what is the same here, too
    #[arg(long)]
    pub force: bool,
    /// Look at the hosts, print what would be fetched, and write nothing
    #[arg(short = 'n', long)]
    pub dry_run: bool,
    /// Don't ask for confirmation (never accepts a host key)
    #[arg(long)]
    pub yes: bool,
}

/// What files are to be like.
#[derive(Debug, Args)]
#[command(next_help_heading = "Files")]
#[allow(
    clippy::struct_excessive_bools,
    reason = "each is a flag that was given or not"
)]
pub(crate) struct Putting {
    /// Take the files as templates: {{ host.name }}
    #[arg(long)]
    pub template: bool,
    /// Give files these permissions, not their own: 644
    #[arg(long, value_name = "MODE", value_parser = values::mode)]
    pub mode: Option<u32>,
    /// Give files to USER, USER:GROUP or :GROUP
    #[arg(long, value_name = "OWNER", value_parser = values::owner)]
    pub owner: Option<String>,
    /// Keep the files' times
    #[arg(long)]
    pub preserve: bool,
    /// Remove what is in the folders there and not here
    #[arg(long)]
    pub delete: bool,
    /// Send what is the same there, too
    #[arg(long)]
    pub force: bool,
    /// Look at the hosts, print what would be changed, and change nothing
    #[arg(short = 'n', long)]
    pub dry_run: bool,
    /// Don't ask for confirmation (never accepts a host key)
    #[arg(long)]
    pub yes: bool,
}

/// What is done beside, so that a change does no harm.
#[derive(Debug, Args)]
#[command(next_help_heading = "Applying safely")]
pub(crate) struct Applying {
    /// After a change execute CMD; if it fails, put back what was there: 'nginx -t'
    #[arg(long, value_name = "CMD", value_parser = values::plain_words)]
    pub check: Option<Words>,
    /// After that execute CMD; if it fails, put back what was there, and again
    #[arg(long, value_name = "CMD", value_parser = values::plain_words)]
    pub then: Option<Words>,
    /// Keep what is replaced as NAME.TIME~
    #[arg(long)]
    pub backup: bool,
}

/// How long files may take.
#[derive(Debug, Args)]
#[command(next_help_heading = "Limits")]
pub(crate) struct Moving {
    /// Give up a host after this long: 90s, 5m, 1h30m
    #[arg(long, value_name = "DURATION", default_value = "none", value_parser = values::time_limit)]
    pub timeout: Bound<Duration>,
    /// Let commands go on this long after Ctrl-C
    #[arg(long, value_name = "DURATION", default_value = "3s", value_parser = values::duration)]
    pub grace: Duration,
}

impl Put {
    /// Returns the words after the flags, as they were typed.
    pub(crate) fn words(&self) -> Vec<OsString> {
        words(&self.sources, &self.dest)
    }
}

impl Get {
    /// Returns the words after the flags, as they were typed.
    pub(crate) fn words(&self) -> Vec<OsString> {
        words(&self.sources, &self.dir)
    }
}

fn words(sources: &[PathBuf], last: &Path) -> Vec<OsString> {
    let sources = sources.iter().map(OsString::from);
    sources.chain([last.into()]).collect()
}
