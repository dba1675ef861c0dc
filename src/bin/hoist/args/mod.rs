//! What was typed: the program's arguments as clap reads them.
//!
//! Every flag is described here once; help, manual page, completions, the keys of the
//! configuration file and the `HOIST_…` variables all follow from these types. Values are checked
//! one by one and nothing else: no file is read, no terminal is asked.

use std::ffi::OsString;
use std::num::{NonZeroU32, NonZeroUsize};
use std::path::PathBuf;
use std::time::Duration;

use clap::{Args, CommandFactory, Parser, Subcommand, ValueEnum, ValueHint};
use hoist::host::{HostKeyPolicy, Port, TransportName, UserName};
use hoist::render::Format;
use hoist::selection::Expect;

pub(crate) mod examples;
mod files;
mod fleets;
mod render;
#[cfg(test)]
mod tests;
mod values;

pub(crate) use files::{Get, Moving, Put};
pub(crate) use fleets::{
    Cloud, CloudAdopt, CloudCatalogue, CloudCheck, CloudList, CloudVerb, Credentials, Down,
    Raising, TellFormat, Up,
};
pub(crate) use render::{Render, RenderFormat, is_about_contact};
pub(crate) use values::{Bound, Variable, Words};

use crate::exit_code::Rule;

/// Runs one command on many hosts at once, over SSH or locally.
#[derive(Debug, Parser)]
#[command(
    name = "hoist",
    version,
    about = "Runs one command on many hosts at once, over SSH or locally",
    disable_help_subcommand = true,
    subcommand_required = true,
    arg_required_else_help = true,
    args_override_self = true,
    max_term_width = 100,
    after_help = examples::HOIST.for_help()
)]
pub(crate) struct Cli {
    /// Read settings from FILE instead of ~/.config/hoist/config.toml
    #[arg(long, global = true, value_name = "FILE", value_hint = ValueHint::FilePath)]
    pub config: Option<PathBuf>,

    #[command(subcommand)]
    pub subcommand: Verb,
}

/// A verb of hoist.
#[derive(Debug, Subcommand)]
pub(crate) enum Verb {
    /// Execute a command on every selected host
    #[command(after_help = examples::RUN.for_help(), override_usage = "hoist run [OPTIONS] [--] CMD...")]
    Run(Box<Run>),
    /// Execute a local script on every selected host
    #[command(
        after_help = examples::SCRIPT.for_help(),
        override_usage = "hoist script [OPTIONS] [--] FILE [ARG]...",
        mut_arg("template", |arg| arg.help("Take FILE as a template: {{ host.name }}"))
    )]
    Script(Box<Script>),
    /// Put files and folders on every selected host
    #[command(after_help = examples::PUT.for_help(), override_usage = "hoist put [OPTIONS] SRC... DEST")]
    Put(Box<Put>),
    /// Fetch files and folders from every selected host
    #[command(after_help = examples::GET.for_help(), override_usage = "hoist get [OPTIONS] SRC... DIR")]
    Get(Box<Get>),
    /// Print the selected hosts
    #[command(
        after_help = examples::HOSTS.for_help(),
        override_usage = "hoist hosts [OPTIONS]\n       hoist hosts --expand PATTERN\n       hoist hosts --fold [NAME]..."
    )]
    Hosts(Box<Hosts>),
    /// Print how hosts are reached, and who said so
    #[command(after_help = examples::EXPLAIN.for_help(), override_usage = "hoist explain [OPTIONS] HOST...")]
    Explain(Box<Explain>),
    /// Connect and log in, and run nothing
    #[command(after_help = examples::PING.for_help())]
    Ping(Box<Ping>),
    /// Print what a template comes to for each selected host
    #[command(after_help = examples::RENDER.for_help(), override_usage = "hoist render [OPTIONS] FILE")]
    Render(Box<Render>),
    /// Make the servers that a fleet lacks, and have them ready
    #[command(after_help = examples::UP.for_help(), override_usage = "hoist up [OPTIONS] FLEET [-- CMD...]")]
    Up(Box<Up>),
    /// Destroy servers
    #[command(after_help = examples::DOWN.for_help(), override_usage = "hoist down [OPTIONS] FLEET\n       hoist down [OPTIONS] HOST...")]
    Down(Box<Down>),
    /// Look at providers: servers, regions, sizes, images, credentials
    #[command(after_help = examples::CLOUD.for_help())]
    Cloud(Box<Cloud>),
    /// Print a completion script for a shell
    #[command(after_help = examples::COMPLETIONS.for_help())]
    Completions {
        /// The shell that will read it
        #[arg(value_name = "SHELL")]
        shell: Shell,
    },
    /// Print the manual page of hoist or of a subcommand
    #[command(after_help = examples::MAN.for_help())]
    Man {
        /// Leave it out for the page of hoist itself
        #[arg(value_name = "SUBCOMMAND")]
        page: Option<String>,
    },
}

/// A shell that hoist writes completions for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Shell {
    Bash,
    Zsh,
    Fish,
}

/// `hoist run`.
#[derive(Debug, Args)]
pub(crate) struct Run {
    #[command(flatten)]
    pub selecting: Selecting,
    #[command(flatten)]
    pub wording: Wording,
    #[command(flatten)]
    pub executing: Executing,
    #[command(flatten)]
    pub rights: Rights,
    #[command(flatten)]
    pub templating: Templating,
    #[command(flatten)]
    pub pacing: Pacing,
    #[command(flatten)]
    pub limiting: Limiting,
    #[command(flatten)]
    pub connecting: Connecting,
    #[command(flatten)]
    pub showing: Showing,

    /// Several words arrive exactly; one word is split like a shell would
    #[arg(value_name = "CMD", trailing_var_arg = true, help_heading = None)]
    pub command: Vec<OsString>,
}

/// `hoist script`.
#[derive(Debug, Args)]
pub(crate) struct Script {
    #[command(flatten)]
    pub selecting: Selecting,
    /// Have CMD read the script, not what its first line names: 'python3 -u'
    #[arg(long, value_name = "CMD", value_parser = values::words, help_heading = "Executing")]
    pub interpreter: Option<Words>,
    #[command(flatten)]
    pub executing: Executing,
    #[command(flatten)]
    pub rights: Rights,
    #[command(flatten)]
    pub templating: Templating,
    #[command(flatten)]
    pub pacing: Pacing,
    #[command(flatten)]
    pub limiting: Limiting,
    #[command(flatten)]
    pub connecting: Connecting,
    #[command(flatten)]
    pub showing: Showing,

    /// The script, or `-` for stdin; all words after it are its arguments
    #[arg(
        value_name = "FILE",
        required = true,
        trailing_var_arg = true,
        value_hint = ValueHint::FilePath,
        help_heading = None
    )]
    pub words: Vec<OsString>,
}

/// Which hosts; the same in every subcommand.
#[derive(Debug, Clone, Default, Args)]
#[command(next_help_heading = "Selecting hosts")]
pub(crate) struct Selecting {
    /// Read hosts from FILE: text, CSV, JSON, program; `-`: stdin; repeatable
    #[arg(short, long, value_name = "FILE", value_hint = ValueHint::FilePath)]
    pub inventory: Vec<PathBuf>,
    /// Take these hosts: web1,db1, web[01-20], @group, web*, a!b; repeatable
    #[arg(short = 'w', long, value_name = "PATTERN")]
    pub hosts: Vec<String>,
    /// Leave these hosts out, last of all; repeatable
    #[arg(short = 'x', long, value_name = "PATTERN")]
    pub exclude: Vec<String>,
    /// Keep hosts whose column or variable matches; repeatable
    #[arg(long = "where", id = "where", value_name = "COLUMN=GLOB")]
    pub wheres: Vec<String>,
    /// Keep N hosts, chosen at random
    #[arg(long, value_name = "N", value_parser = values::some)]
    pub pick: Option<NonZeroUsize>,
    /// Put the hosts in random order
    #[arg(long)]
    pub shuffle: bool,
    /// Make --pick and --shuffle choose the same way again
    #[arg(long, value_name = "N", value_parser = values::number)]
    pub seed: Option<u64>,
    /// Stop before doing anything unless this many hosts are selected
    #[arg(long, value_name = "N|A..B")]
    pub expect: Option<Expect>,
    /// Also take names that the inventory doesn't hold
    #[arg(long)]
    pub ad_hoc: bool,
}

/// How the words of a command are read.
#[derive(Debug, Args)]
#[command(next_help_heading = "Executing")]
pub(crate) struct Wording {
    /// Send the line to the account's shell as it is
    #[arg(long, conflicts_with = "no_split")]
    pub shell: bool,
    /// Take a lone word as a program's name, blanks and all
    #[arg(long)]
    pub no_split: bool,
}

/// What is executed, and with what around it.
#[derive(Debug, Args)]
#[command(next_help_heading = "Executing")]
pub(crate) struct Executing {
    /// Take the words as templates: {{ host.name }}
    #[arg(long)]
    pub template: bool,
    /// Start the command in DIR
    #[arg(long, value_name = "DIR", value_parser = values::folder)]
    pub cwd: Option<PathBuf>,
    /// Set an environment variable for the command; repeatable
    #[arg(long, value_name = "NAME=VALUE", value_parser = values::variable_parser())]
    pub env: Vec<Variable>,
    /// Let every host read FILE as its stdin; `-`: hoist's own
    #[arg(long, value_name = "FILE", value_hint = ValueHint::FilePath)]
    pub stdin: Option<PathBuf>,
    /// Print what would be done and connect to nothing
    #[arg(short = 'n', long)]
    pub dry_run: bool,
    /// Don't ask for confirmation (never accepts a host key)
    #[arg(long)]
    pub yes: bool,
}

/// Whose rights are used on the hosts.
#[derive(Debug, Args)]
#[command(next_help_heading = "Rights")]
pub(crate) struct Rights {
    /// Execute as root, or as USER, through sudo; none: without it
    #[arg(
        long,
        value_name = "USER",
        num_args = 0..=1,
        require_equals = true,
        default_missing_value = "root",
        conflicts_with = "become_with",
        value_parser = values::user_or_none
    )]
    pub sudo: Option<Bound<UserName>>,
    /// Ask for the password of sudo once, for all hosts
    #[arg(long, conflicts_with = "sudo_password_file")]
    pub ask_sudo_pass: bool,
    /// Read the password of sudo from FILE, which only you can read
    #[arg(long, value_name = "FILE", value_hint = ValueHint::FilePath)]
    pub sudo_password_file: Option<PathBuf>,
    /// Execute through CMD, which gives other rights: 'doas -u root'
    #[arg(long, value_name = "CMD", value_parser = values::words)]
    pub become_with: Option<Words>,
}

/// What templates see beside the inventory.
#[derive(Debug, Args)]
#[command(next_help_heading = "Templates")]
pub(crate) struct Templating {
    /// Let templates see VALUE as vars.NAME; repeatable
    #[arg(long, value_name = "NAME=VALUE", value_parser = values::variable_parser())]
    pub var: Vec<Variable>,
    /// Let templates see what is in FILE as vars: TOML, JSON or CSV; repeatable
    #[arg(long, value_name = "FILE", value_hint = ValueHint::FilePath)]
    pub vars: Vec<PathBuf>,
    /// Let templates see records of an earlier run as results.HOST
    #[arg(long, value_name = "FILE", value_hint = ValueHint::FilePath)]
    pub results: Option<PathBuf>,
}

/// How hard to go.
#[derive(Debug, Args)]
#[command(next_help_heading = "Limits")]
pub(crate) struct Pacing {
    /// Work at most N hosts at once
    #[arg(short, long, value_name = "N", default_value = "128", value_parser = values::some)]
    pub fan_out: NonZeroUsize,
    /// Make at most N new connections a second
    #[arg(long, value_name = "N", default_value = "adaptive", value_parser = values::rate)]
    pub connect_rate: Bound<NonZeroU32>,
    /// Give up logging in after this long
    #[arg(long, value_name = "DURATION", default_value = "10s", value_parser = values::some_time)]
    pub connect_timeout: Duration,
    /// Try again what failed before the command started
    #[arg(long, value_name = "N", default_value = "0", value_parser = values::few)]
    pub retries: u32,
}

/// How far commands may go.
#[derive(Debug, Args)]
#[command(next_help_heading = "Limits")]
pub(crate) struct Limiting {
    /// End the command after this long: 90s, 5m, 1h30m
    #[arg(long, value_name = "DURATION", default_value = "none", value_parser = values::time_limit)]
    pub timeout: Bound<Duration>,
    /// Keep this much of stdout and of stderr: 64k, 1G
    #[arg(long, value_name = "SIZE", default_value = "none", value_parser = values::size_limit)]
    pub max_output: Bound<u64>,
    /// Let commands go on this long after Ctrl-C
    #[arg(long, value_name = "DURATION", default_value = "3s", value_parser = values::duration)]
    pub grace: Duration,
}

/// Where and as whom.
#[derive(Debug, Args)]
#[command(next_help_heading = "Connecting")]
pub(crate) struct Connecting {
    /// Log in as USER
    #[arg(short = 'l', long, value_name = "USER")]
    pub user: Option<UserName>,
    /// Connect to PORT
    #[arg(short, long, value_name = "PORT")]
    pub port: Option<Port>,
    /// Log in with this private key; repeatable
    #[arg(long, value_name = "FILE", value_hint = ValueHint::FilePath)]
    pub identity: Vec<PathBuf>,
    /// Ask for a password once and log in with it
    #[arg(long, conflicts_with = "password_file")]
    pub ask_pass: bool,
    /// Read the password from the first line of FILE, which only you can read
    #[arg(long, value_name = "FILE", value_hint = ValueHint::FilePath)]
    pub password_file: Option<PathBuf>,
    /// Go through these hosts: [user@]host[:port],...; none: directly
    #[arg(short = 'J', long, value_name = "HOSTS")]
    pub jump: Option<String>,
    #[arg(
        short = 'F',
        long,
        value_name = "FILE",
        value_hint = ValueHint::FilePath,
        help = "Read FILE, not the configuration files of ssh; none: no file"
    )]
    pub ssh_config: Option<PathBuf>,
    #[arg(
        short = 'O',
        long,
        value_name = "KEYWORD=VALUE",
        help = "Set KEYWORD of ssh_config(5), over its files; repeatable"
    )]
    pub option: Vec<String>,
    /// Unknown host keys: ask, strict, accept-new or off
    #[arg(long, value_name = "POLICY", default_value = "ask", value_parser = values::host_keys(), hide_possible_values = true)]
    pub host_keys: HostKeyPolicy,
    #[arg(
        long,
        value_name = "FILE",
        value_hint = ValueHint::FilePath,
        help = "Read host keys from FILE, not ~/.ssh/known_hosts; repeatable"
    )]
    pub known_hosts: Vec<PathBuf>,
    /// Way to the hosts: ssh is built in; openssh is the
    /// system's ssh; local is this machine
    #[arg(long, value_name = "NAME", default_value = "ssh", value_parser = values::transport(), hide_possible_values = true)]
    pub transport: TransportName,
}

/// What is shown and written.
#[derive(Debug, Args)]
#[command(next_help_heading = "Output")]
#[allow(
    clippy::struct_excessive_bools,
    reason = "each is a flag that was given or not"
)]
pub(crate) struct Showing {
    /// How to show results [default: table, or stream in a pipe]
    #[arg(short, long, value_name = "FORMAT", value_parser = values::format())]
    pub output: Option<Format>,
    /// Leave out the host's name before each line of a stream
    #[arg(short = 'N', long)]
    pub no_labels: bool,
    /// Write every event, not only results (with -o jsonl)
    #[arg(long)]
    pub events: bool,
    /// Also write HOST.out, HOST.err and HOST.status into DIR
    #[arg(long, value_name = "DIR", value_hint = ValueHint::DirPath)]
    pub out_dir: Option<PathBuf>,
    /// Also write the hosts that failed to FILE, for -i to read
    #[arg(long, value_name = "FILE", value_hint = ValueHint::FilePath)]
    pub failed_to: Option<PathBuf>,
    /// Defuse CSV cells that a spreadsheet would run as formulas
    #[arg(long)]
    pub csv_safe: bool,
    /// End with the class of failure, or with the max status
    #[arg(
        long,
        value_name = "RULE",
        default_value = "class",
        hide_possible_values = true
    )]
    pub exit: Rule,
    /// Use colour: auto, always or never
    #[arg(
        long,
        value_name = "WHEN",
        default_value = "auto",
        hide_possible_values = true
    )]
    pub color: When,
    /// Show no progress, no summary and no hints
    #[arg(short, long)]
    pub quiet: bool,
}

/// When to use colour.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum When {
    /// On a terminal, unless `NO_COLOR` is set.
    #[value(help = None)]
    Auto,
    /// Everywhere.
    #[value(help = None)]
    Always,
    /// Nowhere.
    #[value(help = None)]
    Never,
}

/// `hoist hosts`.
#[derive(Debug, Args)]
pub(crate) struct Hosts {
    #[command(flatten)]
    pub selecting: Selecting,
    #[command(flatten)]
    pub connecting: Connecting,
    #[command(flatten)]
    pub listing: Listing,
}

/// `hoist explain`.
#[derive(Debug, Args)]
pub(crate) struct Explain {
    /// Read hosts from FILE: text, CSV, JSON, program; `-`: stdin; repeatable
    #[arg(short, long, value_name = "FILE", value_hint = ValueHint::FilePath, help_heading = "Selecting hosts")]
    pub inventory: Vec<PathBuf>,
    #[command(flatten)]
    pub connecting: Connecting,
    /// How to print it: table or json
    #[arg(
        short,
        long = "output",
        id = "explanation",
        value_name = "FORMAT",
        default_value = "table",
        hide_possible_values = true,
        help_heading = "Output"
    )]
    pub output: ExplainFormat,
    /// Hosts: names, patterns, groups
    #[arg(value_name = "HOST", required = true, help_heading = None)]
    pub hosts: Vec<String>,
}

/// `hoist ping`.
#[derive(Debug, Args)]
pub(crate) struct Ping {
    #[command(flatten)]
    pub selecting: Selecting,
    #[command(flatten)]
    pub pacing: Pacing,
    #[command(flatten)]
    pub connecting: Connecting,
    /// Only open the port: no handshake, no login
    #[arg(long, help_heading = "Connecting")]
    pub tcp: bool,
    /// How to print it: table, json, jsonl or csv
    #[arg(
        short,
        long = "output",
        id = "pinged",
        value_name = "FORMAT",
        default_value = "table",
        hide_possible_values = true,
        help_heading = "Output"
    )]
    pub output: PingFormat,
}

/// How `hoist ping` prints.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum PingFormat {
    /// A line for each host.
    #[value(help = None)]
    Table,
    /// An array of objects.
    #[value(help = None)]
    Json,
    /// An object a line.
    #[value(help = None)]
    Jsonl,
    /// A row for each host.
    #[value(help = None)]
    Csv,
}

/// How `hoist explain` prints.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum ExplainFormat {
    /// A line for each fact.
    #[value(help = None)]
    Table,
    /// An array of objects.
    #[value(help = None)]
    Json,
}

/// How `hoist hosts` shows them. The ids differ from the flags' names where `hoist run` has a flag
/// of the same name: settings belong to that one.
#[derive(Debug, Args)]
#[command(next_help_heading = "Listing")]
pub(crate) struct Listing {
    /// Print the names PATTERN stands for; `-`: lines of stdin; repeatable
    #[arg(long, value_name = "PATTERN", conflicts_with_all = SELECTING)]
    pub expand: Vec<String>,
    /// Print the shortest pattern for NAMEs, or for the lines of stdin
    #[arg(long, conflicts_with_all = SELECTING, conflicts_with_all = ["expand"])]
    pub fold: bool,
    /// Print how each is reached, and who said so (with -o json)
    #[arg(long, conflicts_with_all = ["expand", "fold", "count"])]
    pub resolve: bool,
    /// Print how many there are instead
    #[arg(long, conflicts_with = "listing")]
    pub count: bool,
    /// How to print them [default: plain, or folded with --fold]
    #[arg(short, long = "output", id = "listing", value_name = "FORMAT")]
    pub output: Option<ListFormat>,
    /// Names for --fold
    #[arg(value_name = "NAME", help_heading = None)]
    pub names: Vec<String>,
}

/// How `hoist hosts` prints.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum ListFormat {
    /// One name a line.
    #[value(help = None)]
    Plain,
    /// Every column of the inventory; `-i` reads it back.
    #[value(help = None)]
    Csv,
    /// The same as one array.
    #[value(help = None)]
    Json,
    /// The shortest pattern.
    #[value(help = None)]
    Folded,
}

/// The ids of [`Selecting`].
const SELECTING: [&str; 9] = [
    "inventory",
    "hosts",
    "exclude",
    "where",
    "pick",
    "shuffle",
    "seed",
    "expect",
    "ad_hoc",
];

/// Returns the description of every flag.
pub(crate) fn command() -> clap::Command {
    Cli::command()
}

/// Returns the same, with a version line that names the libraries that speak to the network.
pub(crate) fn with_versions() -> clap::Command {
    let linked = hoist::transport::ssh::versions();
    command().version(format!(
        "{} (libssh2 {}, {})",
        env!("CARGO_PKG_VERSION"),
        linked.libssh2,
        linked.openssl
    ))
}
