//! What follows a fleet: files that are brought up to date after each `hoist up` and `hoist down`.

use std::ffi::OsString;
use std::path::Path;

use hoist::host::escaped;
use hoist::provider::FleetName;
use hoist::render::Format;

use crate::args::{self, Verb};
use crate::command::put;
use crate::exit_code;
use crate::report::{Failure, note};
use crate::settings::{self, Environment, Origins};

/// What is to follow, and how that is told.
pub(super) struct Following<'a> {
    pub fleet: &'a FleetName,
    pub inventory: &'a Path,
    pub format: Option<Format>,
    pub has_events: bool,
    /// Nobody is asked whether it is meant.
    pub is_sure: bool,
}

impl Following<'_> {
    /// Does what `follow` in the fleet's table says, in order, each as `hoist put` would. One that
    /// fails is no reason to leave out the next; a signal is. Returns the exit code of the last that
    /// failed.
    pub(super) fn bring(&self, origins: &Origins, environment: &Environment) -> u8 {
        let table = origins.fleet(self.fleet.as_str());
        let mut code = exit_code::OK;
        for words in table.into_iter().flat_map(|table| &table.follow) {
            let done = self.put(words, origins, environment);
            let done = done.unwrap_or_else(|failure| {
                failure.print();
                failure.code
            });
            if done != exit_code::OK {
                code = done;
            }
            if exit_code::is_of_signal(done) {
                break;
            }
        }
        code
    }

    fn put(
        &self,
        words: &[OsString],
        origins: &Origins,
        environment: &Environment,
    ) -> Result<u8, Failure> {
        let fleet = self.fleet;
        let dest = words.last().map(|dest| dest.to_string_lossy().into_owned());
        let dest = escaped(&dest.unwrap_or_default());
        note(&format!("hoist: {fleet}: bringing {dest} up to date"));
        let typed = self.typed(words, origins.config());
        let read = settings::read(environment, &typed, &args::command());
        let (cli, own) = read.map_err(|failure| Failure {
            text: format!("what follows `{fleet}`: {}", failure.text),
            ..failure
        })?;
        match cli.subcommand {
            Verb::Put(put) => put::run_as_part(&put, &own, environment),
            _ => Ok(exit_code::OK),
        }
    }

    /// Returns the words of `hoist put`.
    fn typed(&self, words: &[OsString], config: Option<&Path>) -> Vec<OsString> {
        let mut typed: Vec<OsString> = vec!["hoist".into(), "put".into()];
        if let Some(config) = config {
            typed.extend(["--config".into(), config.into()]);
        }
        typed.extend(["--inventory".into(), self.inventory.into()]);
        if let Some(format) = self.format {
            // One array can't hold the results of several runs.
            let format = match format {
                Format::Json => Format::None,
                other => other,
            };
            typed.extend(["--output".into(), format.as_str().into()]);
        }
        if self.has_events {
            typed.push("--events".into());
        }
        if self.is_sure {
            typed.push("--yes".into());
        }
        typed.extend(words.iter().cloned());
        typed
    }
}
