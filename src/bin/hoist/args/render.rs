//! The arguments of `hoist render`.

use std::path::PathBuf;

use clap::{Args, Command, ValueEnum, ValueHint};

use super::{Connecting, Moving, Pacing, Rights, Selecting, Templating};

/// `hoist render`.
#[derive(Debug, Args)]
pub(crate) struct Render {
    #[command(flatten)]
    pub selecting: Selecting,
    #[command(flatten)]
    pub templating: Templating,
    /// Print how PATH on each host differs from it, as `diff -u` does
    #[arg(long, value_name = "PATH", help_heading = "Comparing")]
    pub diff: Option<PathBuf>,
    #[command(flatten)]
    pub rights: Rights,
    #[command(flatten)]
    pub pacing: Pacing,
    #[command(flatten)]
    pub moving: Moving,
    #[command(flatten)]
    pub connecting: Connecting,
    /// How to print it: group, json or jsonl
    #[arg(
        short,
        long = "output",
        id = "rendered",
        value_name = "FORMAT",
        default_value = "group",
        hide_possible_values = true,
        conflicts_with = "diff",
        help_heading = "Output"
    )]
    pub output: RenderFormat,
    /// The template; `-`: stdin
    #[arg(value_name = "FILE", value_hint = ValueHint::FilePath, help_heading = None)]
    pub file: PathBuf,
}

/// How `hoist render` prints.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum RenderFormat {
    /// Hosts with the same text together; where all have the same, nothing but that.
    #[value(help = None)]
    Group,
    /// An array of objects: `host`, `text`.
    #[value(help = None)]
    Json,
    /// An object a line.
    #[value(help = None)]
    Jsonl,
}

/// Whether a flag of `hoist render` means something only where hosts are contacted.
pub(crate) fn is_about_contact(id: &str) -> bool {
    let flags = Rights::augment_args(Command::new(""));
    let flags = Moving::augment_args(Pacing::augment_args(flags));
    let flags = Connecting::augment_args(flags);
    let mut flags = flags.get_arguments();
    flags.any(|flag| flag.get_id() == id)
}
