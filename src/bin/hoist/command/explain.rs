//! `hoist explain`: how a host is reached, and who said so. Nobody is contacted.

use std::io::{self, BufWriter, Write};

use serde_json::Value;

use super::columns;
use super::reaching::{self, Fact, Reaching};
use super::selecting;
use crate::args::{Explain, ExplainFormat, Selecting};
use crate::report::Failure;
use crate::settings::{Environment, Origins};

/// Prints what holds for the hosts that were named.
pub(crate) fn run(
    explain: &Explain,
    origins: &Origins,
    environment: &Environment,
) -> Result<(), Failure> {
    let selecting = Selecting {
        inventory: explain.inventory.clone(),
        hosts: explain.hosts.clone(),
        ad_hoc: true,
        ..Selecting::default()
    };
    let chosen = selecting::select(&selecting, origins, environment)?;
    let reaching = Reaching {
        connecting: &explain.connecting,
        origins,
        environment,
        is_quiet: true,
    };
    let explained = reaching.explain(chosen.hosts, chosen.inventory.as_deref())?;
    let mut out = BufWriter::new(io::stdout().lock());
    let printed = match explain.output {
        ExplainFormat::Table => table(&explained, &mut out),
        ExplainFormat::Json => json(&explained, &mut out),
    };
    printed
        .and_then(|()| out.flush())
        .map_err(|error| Failure::writing(&error))
}

fn table(explained: &[Vec<Fact>], out: &mut impl Write) -> io::Result<()> {
    for (index, facts) in explained.iter().enumerate() {
        if index > 0 {
            writeln!(out)?;
        }
        let mut before = "";
        let rows = facts.iter().map(|fact| {
            // Several of a kind are named once.
            let what = if fact.what == before { "" } else { fact.what };
            before = fact.what;
            [what.to_owned(), fact.value.clone(), fact.from.clone()]
        });
        columns::print(&rows.collect::<Vec<_>>(), out)?;
    }
    Ok(())
}

fn json(explained: &[Vec<Fact>], out: &mut impl Write) -> io::Result<()> {
    let objects = explained
        .iter()
        .map(|facts| Value::Object(reaching::object(facts)));
    let all: Vec<Value> = objects.collect();
    serde_json::to_writer_pretty(&mut *out, &all)?;
    writeln!(out)
}
