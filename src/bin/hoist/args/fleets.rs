//! The arguments of the subcommands that make servers and take them away.

use std::ffi::OsString;
use std::num::NonZeroUsize;
use std::path::PathBuf;
use std::time::Duration;

use clap::{Args, Subcommand, ValueEnum, ValueHint};
use hoist::provider::ProviderName;

use super::values::{self, Setting, Words};
use super::{
    Connecting, Executing, Limiting, Pacing, Rights, Showing, Templating, Wording, examples,
};

/// `hoist up`.
#[derive(Debug, Args)]
pub(crate) struct Up {
    #[command(flatten)]
    pub raising: Raising,
    #[command(flatten)]
    pub account: Account,
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

    /// The fleet's name: lower-case letters, digits and `-`
    #[arg(value_name = "FLEET", required = true, help_heading = None)]
    pub fleet: String,
    /// A command for every server of the fleet, as `hoist run` takes it
    #[arg(value_name = "CMD", last = true, help_heading = None)]
    pub command: Vec<OsString>,
}

/// What servers a fleet is to have.
#[derive(Debug, Args)]
#[command(next_help_heading = "Servers")]
pub(crate) struct Raising {
    /// Write the servers into FILE: CSV or text, yours; made if missing
    #[arg(short, long, value_name = "FILE", value_hint = ValueHint::FilePath)]
    pub inventory: Vec<PathBuf>,
    /// How many servers there are to be; only what is missing is made
    #[arg(long, value_name = "N", default_value = "1", value_parser = values::some)]
    pub count: NonZeroUsize,
    /// Where: an id or a name, as `hoist cloud regions` lists them
    #[arg(long, value_name = "REGION")]
    pub region: Option<String>,
    /// What kind of server, as `hoist cloud sizes` lists them
    #[arg(long, value_name = "SIZE")]
    pub size: Option<String>,
    /// What system, as `hoist cloud images` lists them
    #[arg(long, value_name = "IMAGE")]
    pub image: Option<String>,
    #[arg(
        long,
        value_name = "PATTERN",
        default_value = "{fleet}-{n}",
        help = "How servers are called; n is the lowest free number"
    )]
    pub name: String,
    /// Group that they are in [default: the fleet's name]
    #[arg(long, value_name = "GROUP")]
    pub group: Option<String>,
    /// Key that logs in [default: your usual one, else one that hoist makes]
    #[arg(long, value_name = "FILE.pub", value_hint = ValueHint::FilePath)]
    pub ssh_key: Option<PathBuf>,
    /// What cloud-init is to do when a server first boots
    #[arg(long, value_name = "FILE", value_hint = ValueHint::FilePath)]
    pub user_data: Option<PathBuf>,
    /// Further tag of the servers; repeatable
    #[arg(long, value_name = "TAG")]
    pub tag: Vec<String>,
    /// Setting of the provider's own; repeatable
    #[arg(long, value_name = "KEY=VALUE", value_parser = values::setting)]
    pub set: Vec<Setting>,
    /// Wait at most this long until servers run and can be logged in to
    #[arg(long, value_name = "DURATION", value_parser = values::some_time, conflicts_with = "no_wait")]
    pub wait: Option<Duration>,
    /// Don't wait until they run
    #[arg(long)]
    pub no_wait: bool,
    /// Let these addresses reach port 22, where the provider closes it
    #[arg(long, value_name = "CIDR")]
    pub open_ssh_from: Option<String>,
    /// Destroy what this run made if not all could be made
    #[arg(long)]
    pub all_or_nothing: bool,
    /// Destroy the servers when CMD has ended, however it did
    #[arg(long)]
    pub rm: bool,
}

/// Whose servers.
#[derive(Debug, Clone, Default, Args)]
#[command(next_help_heading = "Provider")]
pub(crate) struct Account {
    /// Who has them [default: as recorded, else sandbox]
    #[arg(long, value_name = "PROVIDER", value_parser = values::provider())]
    pub provider: Option<ProviderName>,
    #[command(flatten)]
    pub token: Credentials,
}

/// What an account is opened with.
#[derive(Debug, Clone, Default, Args)]
#[command(next_help_heading = "Provider")]
pub(crate) struct Credentials {
    /// Read the provider's token from FILE, which only you can read
    #[arg(long, value_name = "FILE", value_hint = ValueHint::FilePath, conflicts_with = "token_command")]
    pub token_file: Option<PathBuf>,
    /// Take the provider's token from what CMD prints: 'pass vultr'
    #[arg(long, value_name = "CMD", value_parser = values::plain_words)]
    pub token_command: Option<Words>,
    /// Take NAME of the credentials that the provider's own tools keep
    #[arg(long, value_name = "NAME")]
    pub profile: Option<String>,
}

/// `hoist down`.
#[derive(Debug, Args)]
pub(crate) struct Down {
    /// Take the servers out of FILE
    #[arg(short, long, value_name = "FILE", value_hint = ValueHint::FilePath, help_heading = "Servers")]
    pub inventory: Vec<PathBuf>,
    /// Where they are, where the provider's address depends on it
    #[arg(long, value_name = "REGION", help_heading = "Servers")]
    pub region: Option<String>,
    /// Print what would be destroyed and destroy nothing
    #[arg(short = 'n', long, help_heading = "Servers")]
    pub dry_run: bool,
    /// Don't ask for confirmation
    #[arg(long, help_heading = "Servers")]
    pub yes: bool,
    #[command(flatten)]
    pub account: Account,
    #[command(flatten)]
    pub telling: Telling,
    /// A fleet, or servers of fleets
    #[arg(value_name = "FLEET|HOST", required = true, help_heading = None)]
    pub targets: Vec<String>,
}

/// How servers are shown.
#[derive(Debug, Clone, Args)]
#[command(next_help_heading = "Output")]
pub(crate) struct Telling {
    /// How to print them: table, json, jsonl or csv
    #[arg(
        short,
        long = "output",
        id = "told",
        value_name = "FORMAT",
        default_value = "table",
        hide_possible_values = true
    )]
    pub output: TellFormat,
    /// Also write a line for everything that happens (with -o jsonl)
    #[arg(long = "events", id = "server_events")]
    pub events: bool,
}

/// How to print rows about servers.
#[derive(Debug, Clone, Args)]
#[command(next_help_heading = "Output")]
pub(crate) struct Listed {
    /// How to print them: table, json, jsonl or csv
    #[arg(
        short,
        long = "output",
        id = "listed",
        value_name = "FORMAT",
        default_value = "table",
        hide_possible_values = true
    )]
    pub output: TellFormat,
}

/// A format for rows.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum TellFormat {
    /// A line for each.
    #[value(help = None)]
    Table,
    /// An array of objects.
    #[value(help = None)]
    Json,
    /// An object a line.
    #[value(help = None)]
    Jsonl,
    /// A row for each.
    #[value(help = None)]
    Csv,
}

/// `hoist cloud`.
#[derive(Debug, Args)]
#[command(subcommand_required = true, arg_required_else_help = true)]
pub(crate) struct Cloud {
    #[command(subcommand)]
    pub verb: CloudVerb,
}

/// A verb of `hoist cloud`.
#[derive(Debug, Subcommand)]
pub(crate) enum CloudVerb {
    /// List the servers of your fleets, as the providers tell of them
    #[command(after_help = examples::CLOUD_LIST.for_help())]
    List(Box<CloudList>),
    /// List the places of a provider
    Regions(Box<CloudCatalogue>),
    /// List the kinds of server of a provider, with their prices
    Sizes(Box<CloudCatalogue>),
    /// List the systems that servers of a provider can boot
    Images(Box<CloudCatalogue>),
    /// Make sure that a provider accepts your credentials
    Check(Box<CloudCheck>),
    /// Record servers that carry a fleet's tag and are in no record here
    #[command(after_help = examples::CLOUD_ADOPT.for_help())]
    Adopt(Box<CloudAdopt>),
}

/// `hoist cloud list`.
#[derive(Debug, Args)]
pub(crate) struct CloudList {
    /// Also servers of hoist that are in no record here
    #[arg(long, help_heading = "Servers")]
    pub all: bool,
    /// Where, where the provider's address depends on it
    #[arg(long, value_name = "REGION", help_heading = "Servers")]
    pub region: Option<String>,
    #[command(flatten)]
    pub account: Account,
    #[command(flatten)]
    pub listed: Listed,
    /// Only this fleet
    #[arg(value_name = "FLEET", help_heading = None)]
    pub fleet: Option<String>,
}

/// `hoist cloud regions`, `sizes`, `images`.
#[derive(Debug, Args)]
pub(crate) struct CloudCatalogue {
    /// Only what there is in this place
    #[arg(long, value_name = "REGION", help_heading = "Servers")]
    pub region: Option<String>,
    #[command(flatten)]
    pub token: Credentials,
    #[command(flatten)]
    pub listed: Listed,
    /// Whose
    #[arg(value_name = "PROVIDER", required = true, value_parser = values::provider(), help_heading = None)]
    pub provider: ProviderName,
}

/// `hoist cloud check`.
#[derive(Debug, Args)]
pub(crate) struct CloudCheck {
    /// Where, where the provider's address depends on it
    #[arg(long, value_name = "REGION", help_heading = "Servers")]
    pub region: Option<String>,
    #[command(flatten)]
    pub token: Credentials,
    #[command(flatten)]
    pub listed: Listed,
    /// Whose credentials
    #[arg(value_name = "PROVIDER", required = true, value_parser = values::provider(), help_heading = None)]
    pub provider: ProviderName,
}

/// `hoist cloud adopt`.
#[derive(Debug, Args)]
pub(crate) struct CloudAdopt {
    /// Where, where the provider's address depends on it
    #[arg(long, value_name = "REGION", help_heading = "Servers")]
    pub region: Option<String>,
    #[command(flatten)]
    pub account: Account,
    #[command(flatten)]
    pub listed: Listed,
    /// The fleet
    #[arg(value_name = "FLEET", required = true, help_heading = None)]
    pub fleet: String,
    /// Servers, by name or id; all that carry the fleet's tag when there is none
    #[arg(value_name = "SERVER", help_heading = None)]
    pub servers: Vec<String>,
}
