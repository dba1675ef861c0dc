//! `hoist get`: files and folders from every selected host.

use std::ffi::OsString;
use std::path::{Path, PathBuf};

use hoist::host::escaped;
use hoist::plan::{Get as Wanted, Transfer};
use hoist::transfer::Source;

use super::placeholders;
use super::run::{Job, Orders, rights};
use super::selecting::{self, Chosen};
use crate::args::Get;
use crate::report::Failure;
use crate::settings::{Environment, Origins};

/// Fetches the files and returns the exit code.
pub(crate) fn run(get: &Get, origins: &Origins, environment: &Environment) -> Result<u8, Failure> {
    let job = Job {
        selecting: &get.selecting,
        rights: &get.rights,
        pacing: &get.pacing,
        connecting: &get.connecting,
        showing: &get.showing,
        grace: get.moving.grace,
        is_sure: get.getting.yes || get.getting.dry_run,
        is_part: false,
        origins,
        environment,
        terminal: crate::ui::Terminal::detect(),
    };
    job.check(&[])?;
    let elevation = rights::elevation(&get.rights, origins)?;
    let chosen = selecting::select(&get.selecting, origins, environment)?;
    let dir = &get.dir;
    if dir.as_os_str().is_empty() {
        return Err(Failure::usage("the folder for what is fetched is empty"));
    }
    let wanted = Wanted {
        wanted: wanted(get, &chosen)?,
        dir: dir.clone(),
        is_forced: get.getting.force,
        is_dry: get.getting.dry_run,
        elevation,
        timeout: get.moving.timeout.0,
    };
    if !wanted.is_dry {
        make(dir)?;
    }
    let orders = Orders {
        exec: None,
        commands: Vec::new(),
        transfer: Some(Transfer::Get(wanted)),
    };
    let prepared = job.plan(orders, chosen)?;
    job.work(prepared, Some(("get", &get.words())))
}

/// Returns what is wanted of each host, or once what is wanted of all.
fn wanted(get: &Get, chosen: &Chosen) -> Result<Vec<Vec<OsString>>, Failure> {
    let sources = &get.sources;
    let is_same = |path: &PathBuf| placeholders::is_same_for_all(path.as_os_str());
    let most = if sources.iter().all(is_same) {
        1
    } else {
        usize::MAX
    };
    let count = chosen.hosts.len().min(most);
    let each = chosen.hosts[..count].iter().map(|selected| {
        let words = sources.iter();
        let words = words.map(|word| placeholders::fill(word.as_os_str(), &selected.host));
        let words = words.collect::<Result<Vec<OsString>, Failure>>()?;
        check(&words)?;
        Ok(words)
    });
    each.collect()
}

/// Refuses what can't be fetched by any host.
fn check(words: &[OsString]) -> Result<(), Failure> {
    let sources = words.iter().map(|word| Source::read(word));
    let sources = sources.collect::<Result<Vec<Source>, String>>();
    let checked = sources.and_then(|sources| Source::check(&sources));
    checked.map_err(Failure::usage)
}

/// Makes the folder, so that whoever can't write there knows before anybody is contacted.
fn make(dir: &Path) -> Result<(), Failure> {
    std::fs::create_dir_all(dir).map_err(|error| {
        let dir = escaped(&dir.to_string_lossy());
        Failure::usage(format!("cannot make {dir}: {error}"))
    })
}
