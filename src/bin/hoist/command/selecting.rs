//! From the selection's flags to hosts: reads the inventory and holds the patterns against it.

use std::io::{self, Read};
use std::path::Path;
use std::sync::Arc;

use hoist::inventory::{Inventory, Source};
use hoist::selection::{Selected, Selection};

use super::fleets::live;
use crate::args::Selecting;
use crate::report::{Failure, note};
use crate::settings::{Environment, Origins};

/// The hosts that were asked for, and the inventory they come from, if there is one.
pub(super) struct Chosen {
    pub inventory: Option<Arc<Inventory>>,
    pub hosts: Vec<Selected>,
}

/// Reads the inventory and resolves the selection. Prints the inventory's warnings.
pub(super) fn select(
    selecting: &Selecting,
    origins: &Origins,
    environment: &Environment,
) -> Result<Chosen, Failure> {
    let inventory = read(selecting, origins, environment)?;
    for warning in inventory.iter().flat_map(Inventory::warnings) {
        note(&format!("hoist: {warning}"));
    }
    let selection = Selection {
        hosts: selecting.hosts.clone(),
        exclude: selecting.exclude.clone(),
        wheres: selecting.wheres.clone(),
        pick: selecting.pick.map(usize::from),
        shuffle: selecting.shuffle,
        seed: selecting.seed,
        expect: selecting.expect,
        ad_hoc: selecting.ad_hoc,
    };
    let hosts = selection
        .resolve(inventory.as_ref())
        .map_err(Failure::usage)?;
    let inventory = inventory.map(Arc::new);
    Ok(Chosen { inventory, hosts })
}

/// Whether the inventory comes from stdin.
pub(super) fn reads_stdin(selecting: &Selecting) -> bool {
    selecting.inventory.iter().any(|file| is_stdin(file))
}

pub(super) fn is_stdin(file: &Path) -> bool {
    file.as_os_str() == "-"
}

/// Returns what `file` names: a file, or else a fleet with its live servers, `vultr:app`.
fn file_or_fleet(
    file: &Path,
    origins: &Origins,
    environment: &Environment,
) -> Result<Source, Failure> {
    match file.to_str().and_then(live::named) {
        Some(fleet) if !file.exists() => live::source(fleet, origins, environment),
        _ => Ok(Source::File(file.to_owned())),
    }
}

fn read(
    selecting: &Selecting,
    origins: &Origins,
    environment: &Environment,
) -> Result<Option<Inventory>, Failure> {
    if selecting.inventory.is_empty() {
        return Ok(None);
    }
    let sources = selecting.inventory.iter().map(|file| {
        if !is_stdin(file) {
            return file_or_fleet(file, origins, environment);
        }
        let mut bytes = Vec::new();
        io::stdin()
            .read_to_end(&mut bytes)
            .map_err(|error| Failure::usage(format!("cannot read inventory <stdin>: {error}")))?;
        Ok(Source::Bytes {
            name: "<stdin>".to_owned(),
            bytes,
        })
    });
    let sources = sources.collect::<Result<Vec<_>, Failure>>()?;
    Inventory::load(&sources).map(Some).map_err(Failure::usage)
}
