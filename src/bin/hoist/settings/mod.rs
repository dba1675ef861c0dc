//! Settings: what counts, of all that was set anywhere.
//!
//! Lowest to highest: built-in defaults, the configuration file, `HOIST_…` variables, arguments.
//! Every long flag of `hoist run` is a key under `[defaults]` and a variable; values below the
//! arguments become the defaults of clap's own description, so that all of them are read by the
//! same readers. This module alone reads the environment. It never looks into the working
//! directory.

use std::collections::{BTreeMap, HashMap};
use std::ffi::{OsStr, OsString};
use std::fmt;
use std::path::{Path, PathBuf};

use clap::parser::ValueSource;
use clap::{Arg, ArgAction, ArgMatches, Command, FromArgMatches};
use thiserror::Error;

use crate::args::Cli;
use crate::report::{self, Failure};

mod environment;
mod file;
#[cfg(test)]
mod tests;

pub(crate) use environment::Environment;

/// The subcommand whose flags can be set anywhere; others take those they share with it.
const CONFIGURED: &str = "run";

/// Where a value comes from, lowest first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Origin {
    BuiltIn,
    File,
    Environment,
    Argument,
}

/// The subcommand that opens accounts at providers.
const CLOUD: &str = "cloud";

/// The subcommand whose flags a `[fleet.NAME]` table holds; others take those they share with it.
const RAISING: &str = "up";

/// The subcommand whose flags the `follow` of a fleet holds.
const FOLLOWING: &str = "put";

/// Where each flag's value comes from, and which were typed.
#[derive(Debug, Clone, Default)]
pub(crate) struct Origins {
    by_id: HashMap<String, Origin>,
    typed: Vec<Typed>,
    fleets: Fleets,
    config: Option<PathBuf>,
}

/// What the configuration file says of fleets, by their names.
type Fleets = BTreeMap<String, FleetTable>;

/// A `[fleet.NAME]` table.
#[derive(Debug, Clone, Default)]
pub(crate) struct FleetTable {
    layer: Layer,
    /// What follows the fleet: the words after `hoist put`, without an inventory.
    pub follow: Vec<Vec<OsString>>,
}

impl FleetTable {
    /// Returns what the table says of a flag that takes one value.
    pub(crate) fn value(&self, id: &str) -> Option<&OsStr> {
        let (_, values) = self.layer.iter().find(|(known, _)| known == id)?;
        values.first().map(OsString::as_os_str)
    }
}

/// A flag as it was typed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Typed {
    pub id: String,
    /// The flag, with its value, once for each value.
    pub words: Vec<OsString>,
}

impl Origins {
    /// Returns where the value of the flag with this id comes from.
    pub(crate) fn of(&self, id: &str) -> Origin {
        self.by_id.get(id).copied().unwrap_or(Origin::BuiltIn)
    }

    /// Whether it was agreed to make or destroy servers of the fleet: by whoever types, or in its own
    /// table. What goes for commands doesn't go for what costs money.
    pub(crate) fn is_agreed(&self, fleet: &str) -> bool {
        let table = self.fleet(fleet).and_then(|table| table.value("yes"));
        self.of("yes") == Origin::Argument || table.is_some_and(|value| value == "true")
    }

    /// Returns what the configuration file says of the fleet.
    pub(crate) fn fleet(&self, name: &str) -> Option<&FleetTable> {
        self.fleets.get(name)
    }

    /// Returns the configuration file that was named, if one was.
    pub(crate) fn config(&self) -> Option<&Path> {
        self.config.as_deref()
    }

    /// Returns the flags that were typed, in the order of the help.
    pub(crate) fn typed(&self) -> &[Typed] {
        &self.typed
    }
}

#[cfg(test)]
impl Origins {
    pub(crate) fn of_typed(typed: Vec<Typed>) -> Self {
        Self {
            typed,
            ..Self::default()
        }
    }
}

#[cfg(test)]
impl FromIterator<(&'static str, Origin)> for Origins {
    fn from_iter<I: IntoIterator<Item = (&'static str, Origin)>>(origins: I) -> Self {
        let named = origins
            .into_iter()
            .map(|(id, origin)| (id.to_owned(), origin));
        Self {
            by_id: named.collect(),
            ..Self::default()
        }
    }
}

/// Why the settings can't be used.
#[derive(Debug, Error)]
#[non_exhaustive]
pub(crate) enum SettingsError {
    #[error("cannot read settings from {path}: {source}")]
    Unreadable {
        path: String,
        source: std::io::Error,
    },
    #[error("cannot read settings: {place}: {message}")]
    Syntax { place: Place, message: String },
    #[error("cannot read settings: {place}: {what} `{name}` is not known{}", with(.hint.as_deref()))]
    Unknown {
        place: Place,
        /// `table` or `key`.
        what: &'static str,
        name: String,
        hint: Option<String>,
    },
    #[error("cannot read settings: {place}: {key} is {found}; expected {expected}")]
    Type {
        place: Place,
        key: String,
        found: &'static str,
        expected: &'static str,
    },
    #[error("cannot read settings: {place}: {reason}")]
    Value { place: Place, reason: String },
    #[error("cannot use the variable {name}: {reason}")]
    Variable { name: String, reason: String },
}

fn with(hint: Option<&str>) -> String {
    hint.map(|hint| format!("; {hint}")).unwrap_or_default()
}

/// A place in a file; line and column count from 1, columns in characters.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Place {
    pub path: PathBuf,
    pub line: usize,
    pub column: usize,
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let path = self.path.display();
        write!(f, "{path}:{}:{}", self.line, self.column)
    }
}

/// What one layer says about one flag: its id and the values, as they would be typed.
type Layer = Vec<(String, Vec<OsString>)>;

/// Reads all layers and returns what counts.
///
/// # Errors
/// When a value can't be used, with the place it was set at; when help or the version was asked
/// for, an empty failure after it has been printed.
pub(crate) fn read(
    environment: &Environment,
    typed: &[OsString],
    command: &Command,
) -> Result<(Cli, Origins), Failure> {
    let matches = parse(command.clone(), typed)?;
    let Some((name, _)) = matches.subcommand() else {
        return Err(Failure::usage("no subcommand given"));
    };
    let takes_settings = flags(command, name).next().is_some() || name == CLOUD;
    let config = matches.get_one::<PathBuf>("config").cloned();
    let (mut file, variables) = if takes_settings {
        lower_layers(environment, config.as_deref(), command).map_err(Failure::usage)?
    } else {
        Default::default()
    };
    if let Some(fleet) = fleet_of(&matches).and_then(|name| file.fleets.get(&name)) {
        file.defaults.extend(fleet.layer.iter().cloned());
    }
    let pristine = command;
    let command = with_defaults(pristine.clone(), name, &file.defaults, &variables);
    let matches = parse(command, typed)?;
    let mut origins = origins(&matches, &file.defaults, &variables);
    origins.typed = typed_flags(pristine, &matches);
    origins.fleets = file.fleets;
    origins.config = config;
    let cli = Cli::from_arg_matches(&matches).map_err(|error| report::usage(&error, typed))?;
    Ok((cli, origins))
}

/// Returns the fleet that is to be raised. Other subcommands may name several.
fn fleet_of(matches: &ArgMatches) -> Option<String> {
    let (_, matches) = matches.subcommand().filter(|(name, _)| *name == RAISING)?;
    matches.get_one::<String>("fleet").cloned()
}

fn parse(command: Command, typed: &[OsString]) -> Result<ArgMatches, Failure> {
    command.try_get_matches_from(typed).map_err(|error| {
        if error.use_stderr() && !is_help(&error) {
            return report::usage(&error, typed);
        }
        match error.print() {
            Ok(()) => Failure::silent(u8::try_from(error.exit_code()).unwrap_or(u8::MAX)),
            Err(error) => Failure::writing(&error),
        }
    })
}

/// Whether the "error" is the help shown to somebody who typed `hoist` alone.
fn is_help(error: &clap::Error) -> bool {
    error.kind() == clap::error::ErrorKind::DisplayHelpOnMissingArgumentOrSubcommand
}

fn lower_layers(
    environment: &Environment,
    chosen: Option<&Path>,
    command: &Command,
) -> Result<(Settings, Layer), SettingsError> {
    let chosen = chosen.or(environment.config.as_deref());
    let readers = Readers {
        defaults: Reader::new(command, &[CONFIGURED], flags(command, CONFIGURED)),
        fleet: Reader::new(command, &[RAISING, "fleet"], all_flags(command, RAISING)),
        follow: Reader::new(
            command,
            &[FOLLOWING, "a", "b"],
            all_flags(command, FOLLOWING),
        ),
    };
    let home = environment.home.as_deref();
    let file = match (chosen, environment.default_config()) {
        (Some(path), _) => file::read(path, home, &readers)?,
        (None, Some(path)) => match file::read(&path, home, &readers) {
            Err(SettingsError::Unreadable { source, .. })
                if source.kind() == std::io::ErrorKind::NotFound =>
            {
                Settings::default()
            }
            other => other?,
        },
        (None, None) => Settings::default(),
    };
    let variables = environment::layer(environment, &readers.defaults)?;
    Ok((file, variables))
}

/// What a configuration file says.
#[derive(Debug, Default)]
struct Settings {
    defaults: Layer,
    fleets: Fleets,
}

/// What the tables of the configuration file are read by.
struct Readers<'a> {
    defaults: Reader<'a>,
    fleet: Reader<'a>,
    follow: Reader<'a>,
}

/// Yields the flags of a subcommand that can be set at all.
fn all_flags<'a>(command: &'a Command, subcommand: &str) -> impl Iterator<Item = &'a Arg> {
    let chosen = command.find_subcommand(subcommand);
    let all = chosen.into_iter().flat_map(Command::get_arguments);
    all.filter(|arg| is_configurable(arg))
}

/// Yields the flags of a subcommand that can be set anywhere: those it shares with `run`.
fn flags<'a>(command: &'a Command, subcommand: &str) -> impl Iterator<Item = &'a Arg> {
    let configured = command.find_subcommand(CONFIGURED);
    let chosen = command.find_subcommand(subcommand);
    let shared = move |arg: &Arg| {
        let mut own = chosen.into_iter().flat_map(Command::get_arguments);
        own.any(|other| (other.get_id(), other.get_long()) == (arg.get_id(), arg.get_long()))
    };
    let all = configured.into_iter().flat_map(Command::get_arguments);
    all.filter(|arg| is_configurable(arg))
        .filter(move |arg| shared(arg))
}

/// Yields the flags that a subcommand takes from the table of a fleet.
fn fleet_flags<'a>(command: &'a Command, subcommand: &str) -> impl Iterator<Item = &'a Arg> {
    let own: Vec<&Arg> = match subcommand {
        RAISING | "down" => all_flags(command, subcommand).collect(),
        _ => Vec::new(),
    };
    let raising = all_flags(command, RAISING);
    raising.filter(move |arg| own.iter().any(|other| other.get_id() == arg.get_id()))
}

fn is_configurable(arg: &Arg) -> bool {
    let is_setting = matches!(
        arg.get_action(),
        ArgAction::Set | ArgAction::Append | ArgAction::SetTrue
    );
    is_setting && arg.get_long().is_some() && arg.get_id() != "config"
}

/// Reads single values the way an argument would be read.
struct Reader<'a> {
    command: &'a Command,
    /// The subcommand, and what it can't do without.
    line: &'a [&'a str],
    flags: Vec<&'a Arg>,
}

impl<'a> Reader<'a> {
    fn new(
        command: &'a Command,
        line: &'a [&'a str],
        flags: impl Iterator<Item = &'a Arg>,
    ) -> Self {
        let flags = flags.collect();
        Self {
            command,
            line,
            flags,
        }
    }

    fn flag(&self, long: &str) -> Option<&Arg> {
        let mut flags = self.flags.iter();
        flags.find(|arg| arg.get_long() == Some(long)).copied()
    }

    /// Checks values that are not typed; a flag without a value takes `true` or `false`.
    fn check(&self, arg: &Arg, values: &[OsString]) -> Result<(), String> {
        if is_switch(arg) {
            return Ok(());
        }
        let long = arg.get_long().unwrap_or_default();
        let words = values.iter().map(|value| {
            let mut word = OsString::from(format!("--{long}="));
            word.push(value);
            word
        });
        let line = self.line.iter().map(OsString::from);
        let typed = [OsString::from("hoist")]
            .into_iter()
            .chain(line)
            .chain(words);
        match self.command.clone().try_get_matches_from(typed) {
            Ok(_) => Ok(()),
            Err(error) => Err(report::reason(&error).trim_start_matches("--").to_owned()),
        }
    }
}

/// Whether the flag is given or not, without a value.
fn is_switch(arg: &Arg) -> bool {
    matches!(arg.get_action(), ArgAction::SetTrue)
}

fn is_repeatable(arg: &Arg) -> bool {
    matches!(arg.get_action(), ArgAction::Append)
}

/// Makes the layers the defaults of the subcommand's flags, the higher one last.
fn with_defaults(command: Command, name: &str, file: &Layer, variables: &Layer) -> Command {
    let known: Vec<String> = flags(&command, name)
        .chain(fleet_flags(&command, name))
        .map(|arg| arg.get_id().to_string())
        .collect();
    command.mut_subcommand(name, |mut subcommand| {
        for (id, values) in file.iter().chain(variables) {
            if known.contains(id) {
                subcommand = subcommand.mut_arg(id, |arg| arg.default_values(values));
            }
        }
        subcommand
    })
}

fn origins(matches: &ArgMatches, file: &Layer, variables: &Layer) -> Origins {
    let mut origins = HashMap::new();
    for (layer, origin) in [(file, Origin::File), (variables, Origin::Environment)] {
        origins.extend(layer.iter().map(|(id, _)| (id.clone(), origin)));
    }
    if let Some((_, matches)) = matches.subcommand() {
        for id in matches.ids() {
            if matches.value_source(id.as_str()) == Some(ValueSource::CommandLine) {
                origins.insert(id.to_string(), Origin::Argument);
            }
        }
    }
    Origins {
        by_id: origins,
        ..Origins::default()
    }
}

/// Returns the subcommand's flags that were typed, and `--config`, as they could be typed again.
fn typed_flags(command: &Command, matches: &ArgMatches) -> Vec<Typed> {
    let Some((name, matches)) = matches.subcommand() else {
        return Vec::new();
    };
    let own = command.find_subcommand(name).into_iter();
    let flags = command
        .get_arguments()
        .chain(own.flat_map(Command::get_arguments));
    let is_typed = |arg: &&Arg| {
        let id = arg.get_id().as_str();
        matches.try_contains_id(id).is_ok()
            && matches.value_source(id) == Some(ValueSource::CommandLine)
    };
    let named = flags.filter(|arg| !arg.is_positional()).filter(is_typed);
    named
        .map(|arg| Typed {
            id: arg.get_id().to_string(),
            words: words(arg, matches),
        })
        .collect()
}

fn words(arg: &Arg, matches: &ArgMatches) -> Vec<OsString> {
    let flag = match (arg.get_short(), arg.get_long()) {
        (Some(short), _) => format!("-{short}"),
        (None, long) => format!("--{}", long.unwrap_or_default()),
    };
    if is_switch(arg) {
        return vec![flag.into()];
    }
    let values = matches.get_raw(arg.get_id().as_str());
    let values = values.into_iter().flatten();
    if arg.is_require_equals_set() {
        let joined = values.map(|value| {
            let mut word = OsString::from(format!("{flag}="));
            word.push(value);
            word
        });
        return joined.collect();
    }
    values
        .flat_map(|value| [flag.clone().into(), value.to_owned()])
        .collect()
}
