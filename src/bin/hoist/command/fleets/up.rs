//! `hoist up`: makes what a fleet lacks, waits until it can be used, writes it into the inventory,
//! has what follows the fleet follow it, and executes a command on it.
//!
//! Everything that can be wrong is found before the first server is asked for; from then on, what
//! was made is told, recorded and kept (or destroyed, where that was asked for), whatever happens.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use hoist::engine::Cancel;
use hoist::event::RunId;
use hoist::host::{TransportName, escaped};
use hoist::provider::fleet::{self, Step, Wanted};
use hoist::provider::user_data::{self, HostKey};
use hoist::provider::{FleetName, Offer, ProviderError, ProviderName, Spec};
use hoist::render::Format;
use serde_json::Value;

use super::account::{self, Opened, failure};
use super::book::Book;
use super::key::{self, LoginKey};
use super::told::Teller;
use super::watch::Watch;
use crate::args::{self, Up};
use crate::command::run;
use crate::exit_code;
use crate::report::Failure;
use crate::settings::{Environment, Origins};

/// Most servers of a fleet.
const MAX_COUNT: usize = 10_000;

/// Nobody waits longer.
const MAX_WAIT: Duration = Duration::from_hours(24 * 365);

mod finish;
mod plan;

use finish::Finished;
use plan::Planned;

/// Raises the fleet and returns the exit code.
pub(crate) fn run(up: &Up, origins: &Origins, environment: &Environment) -> Result<u8, Failure> {
    let raise = Raise {
        up,
        origins,
        environment,
        fleet: FleetName::parse(&up.fleet).map_err(|error| failure(&error))?,
    };
    raise.check()?;
    raise.work()
}

/// What was asked for, and by whom.
pub(super) struct Raise<'a> {
    up: &'a Up,
    origins: &'a Origins,
    environment: &'a Environment,
    fleet: FleetName,
}

impl Raise<'_> {
    /// Refuses flags that don't go together.
    fn check(&self) -> Result<(), Failure> {
        let (up, raising) = (self.up, &self.up.raising);
        if up.showing.events && up.showing.output != Some(Format::Jsonl) {
            return Err(Failure::usage("--events needs `-o jsonl`"));
        }
        if raising.rm && up.command.is_empty() {
            return Err(Failure::usage(
                "--rm destroys the servers when a command has ended, and there is none",
            )
            .hint("write it last, after `--`"));
        }
        if raising.rm && !self.waits() {
            return Err(Failure::usage("--rm and --no-wait exclude each other"));
        }
        if !up.command.is_empty() && !self.waits() {
            return Err(Failure::usage(
                "a command needs servers that run, and --no-wait doesn't wait for them",
            ));
        }
        if up.connecting.transport == TransportName::Local {
            return Err(Failure::usage(
                "servers of a fleet are reached over SSH, not with `--transport local`",
            ));
        }
        if raising.count.get() > MAX_COUNT {
            return Err(Failure::usage(format!(
                "--count: {} servers are more than hoist makes; at most {MAX_COUNT}",
                raising.count
            )));
        }
        if !up.command.is_empty() {
            run::check(up, self.origins, self.environment)?;
        }
        match &raising.inventory[..] {
            [] if raising.rm || up.executing.dry_run || !self.waits() => Ok(()),
            [] => Err(
                Failure::usage("no inventory is named to write the servers into")
                    .hint("name one with `-i fleet.csv`; it is made if it is missing"),
            ),
            [_] => Ok(()),
            _ => Err(
                Failure::usage("several inventories are named, and the servers go into one")
                    .hint("name it with `-i`"),
            ),
        }
    }

    /// Whether to wait until servers can be used.
    fn waits(&self) -> bool {
        let raising = &self.up.raising;
        let is_nearer = self.origins.of("no_wait") >= self.origins.of("wait");
        !raising.no_wait || (raising.wait.is_some() && !is_nearer)
    }

    /// Returns the inventory that servers are written into. Those of a job are gone before anybody
    /// reads it.
    fn inventory(&self) -> Option<&Path> {
        let raising = &self.up.raising;
        let inventory = raising.inventory.first().filter(|_| !raising.rm);
        inventory.map(PathBuf::as_path)
    }

    fn work(&self) -> Result<u8, Failure> {
        let (up, raising) = (self.up, &self.up.raising);
        let user_data = raising.user_data.as_deref();
        let user_data = user_data.map(read_user_data).transpose()?;
        let book = self.inventory().map(Book::open).transpose()?;
        let state = account::state(self.environment)?;
        let provider = super::provider_of(up.account.provider, &self.fleet, &state)?;
        let region = raising.region.as_deref();
        let region = super::region_of(region, provider, &self.fleet, &state);
        let region = region.as_deref();
        let mut opened = account::open(provider, &up.account.token, region, self.environment)?;
        if let Some(wait) = raising.wait {
            let wait = wait.min(MAX_WAIT);
            opened.pace.boot_timeout = wait;
            opened.pace.login_timeout = wait;
        }
        let identities = &up.connecting.identity;
        let named = raising.ssh_key.as_deref();
        let key = key::choose(named, identities, self.environment, up.showing.quiet)?;
        let spec = self.spec(&key);
        let offer = opened.provider.offer(&spec);
        let offer = offer.map_err(|error| failure(&error))?;
        self.check_before(&offer, user_data.as_deref(), book.as_ref(), provider)?;
        let raising = Raising {
            opened,
            region,
            key,
            spec,
            offer,
            user_data,
        };
        if up.executing.dry_run {
            return self.dry_run(&raising, &state);
        }
        self.raise(&raising, &state, book)
    }

    /// Makes what is missing, once that was agreed to, and does all that comes after it.
    fn raise(
        &self,
        raising: &Raising<'_>,
        state: &Path,
        mut book: Option<Book>,
    ) -> Result<u8, Failure> {
        let (up, opened) = (self.up, &raising.opened);
        let provider = opened.provider.name();
        let watch = Watch::start()?;
        let teller = Teller::new(&self.fleet, provider, up.showing.events, up.showing.quiet);
        let ledger = super::ledger(state, &self.fleet)?;
        let told = |name: &str, step: &Step| teller.step(name, step);
        let fleet = opened.fleet(self.fleet.clone(), ledger, raising.region, &told);
        let there = fleet.servers().map_err(|error| failure(&error))?;
        let planned = Planned::new(self, provider, &raising.offer, &there);
        if up.raising.rm && !there.is_empty() {
            return Err(Failure::usage(format!(
                "--rm would destroy servers that were there before: {}",
                planned.names()
            ))
            .hint("name a fleet that has none"));
        }
        planned.confirm(&teller)?;
        let cancel = Cancel::new();
        watch.making(&opened.stop, &cancel);
        let run = RunId::new(SystemTime::now(), fastrand::u32(..));
        let wanted = Wanted {
            spec: &raising.spec,
            offer: &raising.offer,
            count: up.raising.count.get(),
            pattern: &up.raising.name,
            run: run.as_str(),
            user_data: raising.user_data.as_deref(),
            waits: self.waits(),
            is_all_or_nothing: up.raising.all_or_nothing,
        };
        let raised = fleet.raise(&wanted, &there).map_err(|error| {
            let failure = failure(&error);
            let code = watch.reason().map_or(failure.code, exit_code::of_signal);
            Failure { code, ..failure }
        })?;
        let mut finished = Finished::new(self, &fleet, &teller, &watch, raised);
        if self.waits()
            && let Err(failure) = finished.wait(opened, &cancel, &raising.key)
        {
            finished.fail(&failure);
        }
        Ok(finished.settle(&wanted, opened, &raising.key, book.as_mut()))
    }

    /// Finds what would fail for every server, before anybody is asked.
    fn check_before(
        &self,
        offer: &Offer,
        user_data: Option<&[u8]>,
        book: Option<&Book>,
        provider: ProviderName,
    ) -> Result<(), Failure> {
        let raising = &self.up.raising;
        let names = fleet::names(&raising.name, &self.fleet, raising.count.get());
        let names = names.map_err(|error| Failure::usage(format!("--name: {error}")))?;
        let mut tags = raising.tag.iter();
        if let Some(tag) = tags.find(|tag| tag.split(':').next() == Some("hoist")) {
            let tag = escaped(tag);
            return Err(Failure::usage(format!("--tag: `{tag}` is hoist's own")));
        }
        if let Some(own) = user_data {
            check_user_data(own, offer, provider).map_err(|error| failure(&error))?;
        }
        match book {
            Some(book) => book.check_names(&names, provider),
            None => Ok(()),
        }
    }

    fn spec(&self, key: &LoginKey) -> Spec {
        let raising = &self.up.raising;
        Spec {
            fleet: self.fleet.clone(),
            region: raising.region.clone(),
            size: raising.size.clone(),
            image: raising.image.clone(),
            key: key.public.clone(),
            tags: raising.tag.clone(),
            options: options(raising),
            open_ssh_from: raising.open_ssh_from.clone(),
        }
    }

    /// Prints what would be done.
    fn dry_run(&self, raising: &Raising<'_>, state: &Path) -> Result<u8, Failure> {
        let provider = &raising.opened.provider;
        let listed = provider.list(Some(&self.fleet));
        let listed = listed.map_err(|error| failure(&error))?;
        let there = super::ours(&self.fleet, listed, state)?;
        Planned::new(self, provider.name(), &raising.offer, &there).print()?;
        Ok(exit_code::OK)
    }
}

/// What is to be made, resolved, and the way to the provider.
struct Raising<'a> {
    opened: Opened,
    region: Option<&'a str>,
    key: LoginKey,
    spec: Spec,
    offer: Offer,
    user_data: Option<Vec<u8>>,
}

/// Returns the settings of the provider's own; of two with the same key the later one counts.
fn options(raising: &args::Raising) -> BTreeMap<String, Value> {
    let settings = raising.set.iter();
    settings
        .map(|setting| (setting.key.clone(), setting.value.clone()))
        .collect()
}

/// Makes sure that the user-data fits, with what hoist adds to it.
fn check_user_data(own: &[u8], offer: &Offer, provider: ProviderName) -> Result<(), ProviderError> {
    let limit = offer.user_data_limit;
    if offer.has_cloud_init {
        return user_data::combine(&HostKey::generate()?, Some(own), limit).map(drop);
    }
    if own.len() <= limit {
        return Ok(());
    }
    let (bytes, title) = (own.len(), provider.title());
    Err(ProviderError::Input {
        message: format!("the user-data has {bytes} bytes, and {title} takes {limit}"),
    })
}

fn read_user_data(file: &Path) -> Result<Vec<u8>, Failure> {
    fs::read(file).map_err(|error| {
        let name = escaped(&file.display().to_string());
        Failure::usage(format!("cannot read the user-data {name}: {error}"))
    })
}
