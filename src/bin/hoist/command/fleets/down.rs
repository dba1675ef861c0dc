//! `hoist down`: destroys servers, and takes them out of the inventory.
//!
//! What is destroyed is read from the provider right before: the servers of the fleet, or those of
//! them that were named. Nothing is ever destroyed by its tag alone.

use std::io::{self, Write};
use std::path::{Path, PathBuf};

use hoist::host::escaped;
use hoist::provider::fleet::{Fleet, Razed, Step};
use hoist::provider::ledger::Ledger;
use hoist::provider::{FleetName, ProviderName, Server};

use super::account::{self, failure};
use super::book::Book;
use super::follow::Following;
use super::rows::{self, Row};
use super::server;
use super::told::Teller;
use super::watch::Watch;
use crate::args::{Down, TellFormat};
use crate::exit_code;
use crate::report::{Failure, note};
use crate::settings::{Environment, FleetTable, Origin, Origins};
use crate::ui::Terminal;
use crate::ui::prompt;
use hoist::render::Format;

/// Destroys what was named and returns the exit code.
pub(crate) fn run(
    down: &Down,
    origins: &Origins,
    environment: &Environment,
) -> Result<u8, Failure> {
    if down.telling.events && down.telling.output != TellFormat::Jsonl {
        return Err(Failure::usage("--events needs `-o jsonl`"));
    }
    if down.inventory.len() > 1 {
        return Err(Failure::usage(
            "several inventories are named, and servers are taken out of one",
        ));
    }
    let state = account::state(environment)?;
    let mut code = exit_code::OK;
    let mut shown = Vec::new();
    let watch = Watch::start()?;
    for target in targets(down, origins, &state)? {
        let razing = Razing {
            down,
            origins,
            environment,
            table: origins.fleet(target.fleet.as_str()),
            target: &target,
            state: &state,
            watch: &watch,
        };
        match razing.work() {
            Ok((own, rows)) => {
                code = code.max(own);
                shown.extend(rows);
            }
            Err(failure) => {
                failure.print();
                code = code.max(failure.code);
            }
        }
        if watch.reason().is_some() {
            break;
        }
    }
    let has_told = down.telling.events || down.telling.output == TellFormat::Table;
    if !has_told {
        rows::print(&shown, server::HEADS, down.telling.output)?;
    }
    Ok(code)
}

/// A fleet, and which of its servers are meant; all where none is named.
struct Target {
    fleet: FleetName,
    names: Vec<String>,
}

/// Finds out what is meant: a fleet, or servers that the records know.
fn targets(down: &Down, origins: &Origins, state: &Path) -> Result<Vec<Target>, Failure> {
    let fleets = Ledger::fleets(state).map_err(|error| failure(&error))?;
    let mut targets: Vec<Target> = Vec::new();
    for word in &down.targets {
        let fleet = FleetName::parse(word).ok();
        let is_fleet = fleet
            .as_ref()
            .is_some_and(|fleet| fleets.contains(fleet) || origins.fleet(word).is_some());
        let (fleet, name) = match (fleet, owner(word, &fleets, state)?) {
            (Some(fleet), _) if is_fleet => (fleet, None),
            (_, Some(owner)) => (owner, Some(word.clone())),
            // Another machine's hoist made it: the provider knows it by its tag.
            (Some(fleet), None) if down.account.provider.is_some() => (fleet, None),
            _ => return Err(unknown(word, &fleets, state)),
        };
        let known = targets.iter_mut().find(|target| target.fleet == fleet);
        match (known, name) {
            (None, name) => targets.push(Target {
                fleet,
                names: name.into_iter().collect(),
            }),
            (Some(target), Some(name)) if !target.names.is_empty() => target.names.push(name),
            (Some(target), _) => target.names.clear(),
        }
    }
    Ok(targets)
}

/// Returns the fleet whose record holds a server of that name.
///
/// # Errors
/// When several do.
fn owner(name: &str, fleets: &[FleetName], state: &Path) -> Result<Option<FleetName>, Failure> {
    let mut owners = Vec::new();
    for fleet in fleets {
        let servers = Ledger::peek(state, fleet).map_err(|error| failure(&error))?;
        if servers.iter().any(|server| server.name == name) {
            owners.push(fleet.clone());
        }
    }
    match &owners[..] {
        [_, _, ..] => Err(several(name, &owners)),
        _ => Ok(owners.pop()),
    }
}

fn several(name: &str, owners: &[FleetName]) -> Failure {
    let owners: Vec<String> = owners.iter().map(|fleet| format!("`{fleet}`")).collect();
    Failure::usage(format!(
        "`{}` could be a server of the fleets {}",
        escaped(name),
        owners.join(" and ")
    ))
    .hint("hoist destroys neither; take one of the fleets away, or the server at its provider")
}

fn unknown(word: &str, fleets: &[FleetName], state: &Path) -> Failure {
    let mut known: Vec<String> = fleets.iter().map(ToString::to_string).collect();
    for fleet in fleets {
        let servers = Ledger::peek(state, fleet).unwrap_or_default();
        known.extend(servers.into_iter().map(|server| server.name));
    }
    let failure = Failure::usage(format!(
        "`{}` is neither a fleet nor a server that hoist made here",
        escaped(word)
    ));
    match hoist::hostset::suggest(word, known.iter().map(String::as_str)) {
        Some(near) => failure.hint(format!("did you mean `{near}`?")),
        None => failure
            .hint("`hoist cloud list --all` shows what there is; with `--provider` a fleet of another machine is taken away"),
    }
}

/// One fleet on its way out.
struct Razing<'a> {
    down: &'a Down,
    origins: &'a Origins,
    environment: &'a Environment,
    /// What the configuration file says of the fleet.
    table: Option<&'a FleetTable>,
    target: &'a Target,
    state: &'a Path,
    watch: &'a Watch,
}

impl Razing<'_> {
    fn work(&self) -> Result<(u8, Vec<Row>), Failure> {
        let (down, name) = (self.down, &self.target.fleet);
        self.watch.before();
        let inventory = self.inventory();
        let mut book = inventory.as_deref().map(Book::open).transpose()?;
        let said = |id: &str| self.table.and_then(|table| table.value(id)?.to_str());
        let asked = down.account.provider;
        let asked = asked.or_else(|| said("provider")?.parse().ok());
        let provider = super::provider_of(asked, name, self.state)?;
        let region = down.region.as_deref().or_else(|| said("region"));
        let region = super::region_of(region, provider, name, self.state);
        let region = region.as_deref();
        let token = super::token(&down.account.token, self.table);
        let opened = account::open(provider, &token, region, self.environment)?;
        let teller = Teller::new(name, provider, down.telling.events, false);
        let ledger = super::ledger(self.state, name)?;
        let told = |name: &str, step: &Step| teller.step(name, step);
        let fleet = opened.fleet(name.clone(), ledger, region, &told);
        let there = fleet.servers().map_err(|error| failure(&error))?;
        let meant = self.meant(&there);
        if meant.is_empty() {
            teller.line(&format!("{name}: there is no server"));
        } else {
            self.show(&meant)?;
            if down.dry_run {
                return Ok((exit_code::OK, Vec::new()));
            }
            self.confirm(&meant)?;
        }
        self.watch.destroying();
        let razed = fleet.raze(&meant);
        let mut code = self.report(provider, &razed);
        if let Some(book) = &mut book
            && let Err(failure) = self.strike(&razed, &fleet, provider, book)
        {
            failure.print();
            code = code.max(failure.code);
        }
        if let Some(inventory) = inventory.filter(|_| self.watch.reason().is_none()) {
            self.watch.lend();
            code = code.max(self.follow(&inventory));
        }
        if let Some(signalled) = self.watch.reason().map(exit_code::of_signal) {
            code = signalled;
        }
        Ok((code, self.rows(&razed)))
    }

    /// Returns the inventory: as asked for, else the one that the fleet is written into.
    fn inventory(&self) -> Option<PathBuf> {
        let given = self.down.inventory.first();
        let near = given.filter(|_| self.origins.of("inventory") >= Origin::Environment);
        let said = || self.table?.value("inventory").map(PathBuf::from);
        near.cloned().or_else(said).or_else(|| given.cloned())
    }

    /// Returns the servers that are meant.
    fn meant(&self, there: &[Server]) -> Vec<Server> {
        let names = &self.target.names;
        if names.is_empty() {
            return there.to_vec();
        }
        for name in names {
            if there.iter().all(|server| server.name != *name) {
                note(&format!("hoist: {}: it is gone already", escaped(name)));
            }
        }
        let meant = there.iter().filter(|server| names.contains(&server.name));
        meant.cloned().collect()
    }

    /// Shows what is about to go.
    fn show(&self, servers: &[Server]) -> Result<(), Failure> {
        let is_quiet = self.is_agreed() && self.down.telling.output != TellFormat::Table;
        if is_quiet {
            return Ok(());
        }
        let mut rows = vec![["NAME", "ID", "ADDRESS", "AGE"].map(str::to_owned)];
        for server in servers {
            let address = server.address().map(|address| address.to_string());
            rows.push([
                escaped(&server.name),
                escaped(&server.id),
                address.unwrap_or_default(),
                server.created_at.map(server::age).unwrap_or_default(),
            ]);
        }
        let mut text = Vec::new();
        let printed = crate::command::columns::print(&rows, &mut text);
        printed
            .and_then(|()| io::stderr().write_all(&text))
            .map_err(Failure::own)
    }

    /// Whether who types agreed; what is set for commands doesn't go for what can't be undone.
    fn is_agreed(&self) -> bool {
        self.down.yes && self.origins.of("yes") == Origin::Argument
    }

    /// Asks for the fleet's name, which nobody types by mistake.
    fn confirm(&self, servers: &[Server]) -> Result<(), Failure> {
        if self.is_agreed() {
            return Ok(());
        }
        let fleet = self.target.fleet.as_str();
        if !Terminal::detect().is_stderr || !prompt::is_possible() {
            return Err(
                Failure::usage("nothing was destroyed, as nobody can be asked")
                    .hint("`--yes` agrees beforehand"),
            );
        }
        let count = servers.len();
        let servers = if count == 1 { "server" } else { "servers" };
        let question = format!("To destroy {count} {servers}, type the fleet's name, {fleet}: ");
        let answer = prompt::line(&question).unwrap_or_default();
        if answer.trim() == fleet {
            return Ok(());
        }
        Err(Failure::usage("nothing was destroyed"))
    }

    /// Has what follows the fleet follow it, and returns the exit code of that.
    fn follow(&self, inventory: &Path) -> u8 {
        let telling = &self.down.telling;
        let following = Following {
            fleet: &self.target.fleet,
            inventory,
            format: match telling.output {
                TellFormat::Table => None,
                TellFormat::Jsonl if telling.events => Some(Format::Jsonl),
                _ => Some(Format::None),
            },
            has_events: telling.events,
            is_sure: self.is_agreed(),
        };
        following.bring(self.origins, self.environment)
    }

    /// Takes what is gone out of the inventory, and what somebody else took away.
    fn strike(
        &self,
        razed: &Razed,
        fleet: &Fleet<'_>,
        provider: ProviderName,
        book: &mut Book,
    ) -> Result<(), Failure> {
        let names = &self.target.names;
        let mut stale = super::vanished(fleet, provider);
        stale.retain(|server| names.is_empty() || names.contains(&server.name));
        let gone: Vec<&Server> = razed.gone.iter().chain(&stale).collect();
        book.remove(&gone)
    }

    /// Says what could not be destroyed, and returns the exit code.
    fn report(&self, provider: ProviderName, razed: &Razed) -> u8 {
        let left = super::leftovers(razed);
        if left.is_empty() {
            return exit_code::OK;
        }
        let inventory = self.inventory();
        let fleet = &self.target.fleet;
        note(&super::costs(fleet, provider, &left, inventory.as_deref()));
        exit_code::NOT_REACHED
    }

    fn rows(&self, razed: &Razed) -> Vec<Row> {
        let fleet = Some(&self.target.fleet);
        let gone = razed.gone.iter().map(|server| {
            let gone = Server {
                state: hoist::provider::State::Gone,
                ..server.clone()
            };
            server::row(&gone, fleet, None)
        });
        let left = razed
            .left
            .iter()
            .map(|(server, error)| server::row(server, fleet, Some(&error.to_string())));
        gone.chain(left).collect()
    }
}
