//! `hoist cloud`: looks at providers and their servers. Changes nothing, but for `adopt`, which
//! writes fleets' records.

use std::collections::BTreeMap;

use hoist::provider::fleet::Step;
use hoist::provider::ledger::{self, Ledger, Recorded};
use hoist::provider::{Article, Catalogue, FleetName, ProviderError, ProviderName, Server, State};
use serde_json::{Value, json};

use super::account::{self, failure};
use super::key;
use super::rows::{self, Row};
use super::server;
use super::told::Teller;
use crate::args::{
    Cloud, CloudAdopt, CloudCatalogue, CloudCheck, CloudList, CloudVerb, Credentials,
};
use crate::exit_code;
use crate::report::{Failure, note};
use crate::settings::{Environment, Origins};
use hoist::host::escaped;

/// Heads of the table that `hoist cloud list` prints.
const LISTED: [(&str, &str); 8] = [
    ("FLEET", "fleet"),
    ("NAME", "name"),
    ("PROVIDER", "provider"),
    ("REGION", "region"),
    ("ID", "id"),
    ("STATE", "state"),
    ("ADDRESS", "address"),
    ("RECORDED", "recorded"),
];

/// Looks and returns the exit code.
pub(crate) fn run(
    cloud: &Cloud,
    origins: &Origins,
    environment: &Environment,
) -> Result<u8, Failure> {
    match &cloud.verb {
        CloudVerb::List(list) => self::list(list, origins, environment),
        CloudVerb::Regions(asked) => catalogue(asked, Catalogue::Regions, environment),
        CloudVerb::Sizes(asked) => catalogue(asked, Catalogue::Sizes, environment),
        CloudVerb::Images(asked) => catalogue(asked, Catalogue::Images, environment),
        CloudVerb::Check(asked) => check(asked, environment),
        CloudVerb::Adopt(asked) => adopt(asked, origins, environment),
    }
}

/// What the records say: servers by provider, each with its fleet.
type Records = BTreeMap<ProviderName, Vec<(FleetName, Recorded)>>;

fn list(list: &CloudList, origins: &Origins, environment: &Environment) -> Result<u8, Failure> {
    let fleet = list.fleet.as_deref().map(FleetName::parse).transpose();
    let fleet = fleet.map_err(|error| failure(&error))?;
    let records = records(fleet.as_ref(), environment)?;
    let providers: Vec<ProviderName> = match list.account.provider {
        Some(one) => vec![one],
        None if list.all || (fleet.is_some() && records.is_empty()) => ProviderName::ALL.to_vec(),
        None => records.keys().copied().collect(),
    };
    let mut rows = Vec::new();
    let mut code = exit_code::OK;
    for provider in providers {
        let is_guessed = list.account.provider.is_none() && !records.contains_key(&provider);
        let known = records.get(&provider).map_or(&[][..], Vec::as_slice);
        for (fleet, known) in parts(list.all, fleet.as_ref(), known) {
            let table = fleet.and_then(|fleet| origins.fleet(fleet.as_str()));
            let asking = Asking {
                list,
                fleet,
                token: super::token(&list.account.token, table),
                known,
                is_guessed,
            };
            let has_strangers = list.all || list.fleet.is_some();
            match asking.listed(provider, environment) {
                Ok(servers) => rows.extend(joined(&servers, known, has_strangers)),
                Err(failure) => {
                    failure.print();
                    // A provider that nobody named is no reason to fail.
                    if !is_guessed {
                        code = code.max(failure.code);
                    }
                }
            }
        }
    }
    rows.sort_by_cached_key(|row| {
        let text = |member: &str| row[member].as_str().unwrap_or_default().to_owned();
        let name = text("name");
        (text("fleet"), name.len(), name)
    });
    if rows.is_empty() && code == exit_code::OK {
        note(&match &fleet {
            Some(fleet) => format!("hoist: there is no server of the fleet `{fleet}`"),
            None if list.all => "hoist: there is no server of hoist's".to_owned(),
            None => "hoist: there is no server in your records; --all looks further".to_owned(),
        });
    }
    rows::print(&rows, LISTED, list.listed.output)?;
    Ok(code)
}

/// A fleet, or all of them, and what is recorded of it.
type Part<'a> = (Option<&'a FleetName>, &'a [(FleetName, Recorded)]);

/// What is asked for at once: everything, one fleet, or each recorded fleet by itself, as they may be
/// in different regions and of different accounts.
fn parts<'a>(
    is_all: bool,
    fleet: Option<&'a FleetName>,
    known: &'a [(FleetName, Recorded)],
) -> Vec<Part<'a>> {
    if is_all || fleet.is_some() || known.is_empty() {
        return vec![(fleet, known)];
    }
    let parts = known.chunk_by(|(one, _), (other, _)| one == other);
    parts
        .map(|part| (part.first().map(|(fleet, _)| fleet), part))
        .collect()
}

/// A listing that is asked for.
struct Asking<'a> {
    list: &'a CloudList,
    fleet: Option<&'a FleetName>,
    token: Credentials,
    /// What is recorded there.
    known: &'a [(FleetName, Recorded)],
    /// Nobody named the provider.
    is_guessed: bool,
}

impl Asking<'_> {
    /// Returns what is listed; nothing where nobody named the provider and there is nothing to log in
    /// with.
    fn listed(
        &self,
        provider: ProviderName,
        environment: &Environment,
    ) -> Result<Vec<Server>, Failure> {
        let recorded = self.known.first().map(|(_, known)| known.region.as_str());
        // All that there is, is in every region.
        let recorded = recorded.filter(|_| provider == ProviderName::Aws && !self.list.all);
        let region = self.list.region.as_deref().or(recorded);
        let opened = if self.is_guessed {
            account::open_if_configured(provider, &self.token, region, environment)?
        } else {
            Some(account::open(provider, &self.token, region, environment)?)
        };
        let listed = opened.map(|opened| opened.provider.list(self.fleet));
        match listed.unwrap_or_else(|| Ok(Vec::new())) {
            Err(ProviderError::NoCredentials { .. }) if self.is_guessed => Ok(Vec::new()),
            listed => listed.map_err(|error| failure(&error)),
        }
    }
}

/// Reads the records of all fleets, or of one.
fn records(fleet: Option<&FleetName>, environment: &Environment) -> Result<Records, Failure> {
    let state = account::state(environment)?;
    let fleets = match fleet {
        Some(fleet) => vec![fleet.clone()],
        None => Ledger::fleets(&state).map_err(|error| failure(&error))?,
    };
    let mut records = Records::new();
    for fleet in fleets {
        let recorded = Ledger::peek_all(&state, &fleet).map_err(|error| failure(&error))?;
        for known in recorded {
            if let Some(provider) = ledger::provider_of(&known) {
                let servers = records.entry(provider).or_default();
                servers.push((fleet.clone(), known));
            }
        }
    }
    Ok(records)
}

/// Returns the rows of servers that are there, and of those that only the record knows.
fn joined(servers: &[Server], known: &[(FleetName, Recorded)], has_strangers: bool) -> Vec<Row> {
    let is_known = |id: &str| {
        let mut known = known.iter();
        known.find(|(_, known)| known.id.as_deref() == Some(id))
    };
    let mut rows = Vec::new();
    for server in servers.iter().filter(|server| server.state != State::Gone) {
        let known = is_known(&server.id);
        // What carries no tag may be anybody's.
        let may_be_ours = known.is_some() || (has_strangers && server.fleet.is_some());
        if may_be_ours || (has_strangers && server.provider == ProviderName::Ovh) {
            let fleet = known.map(|(fleet, _)| fleet);
            rows.push(with_record(
                server::row(server, fleet, None),
                known.is_some(),
            ));
        }
    }
    for (fleet, known) in known {
        let is_listed = |id: &String| servers.iter().any(|server| server.id == *id);
        if known.id.as_ref().is_some_and(is_listed) {
            continue;
        }
        let provider = ledger::provider_of(known).unwrap_or(ProviderName::Sandbox);
        let mut server = Server::new(provider, known.id.clone().unwrap_or_default(), &*known.name);
        server.region.clone_from(&known.region);
        server.state = if known.id.is_some() {
            State::Gone
        } else {
            State::Pending
        };
        let message = match &known.id {
            Some(_) => "the provider does not list it",
            None => "nobody knows whether it was made; `hoist up` finds out",
        };
        rows.push(with_record(
            server::row(&server, Some(fleet), Some(message)),
            true,
        ));
    }
    rows
}

fn with_record(mut row: Row, is_recorded: bool) -> Row {
    let word = if is_recorded { "yes" } else { "no" };
    row.insert("recorded".to_owned(), word.into());
    row
}

fn catalogue(
    asked: &CloudCatalogue,
    which: Catalogue,
    environment: &Environment,
) -> Result<u8, Failure> {
    let region = asked.region.as_deref();
    let opened = account::open(asked.provider, &asked.token, region, environment)?;
    let articles = opened.provider.catalogue(which, region);
    let articles = articles.map_err(|error| failure(&error))?;
    let rows: Vec<Row> = articles.iter().map(article).collect();
    let format = asked.listed.output;
    if which == Catalogue::Sizes {
        let heads = [("ID", "id"), ("NAME", "name"), ("PRICE", "price")];
        rows::print(&rows, heads, format)?;
    } else {
        rows::print(&rows, [("ID", "id"), ("NAME", "name")], format)?;
    }
    Ok(exit_code::OK)
}

fn article(article: &Article) -> Row {
    let price = article.price.as_ref();
    object(json!({
        "id": article.id,
        "name": article.name,
        "price": price.map(|price| server::price(price, 1)),
        "hourly": price.map(|price| price.hourly),
        "monthly": price.and_then(|price| price.monthly),
        "currency": price.map(|price| &price.currency),
    }))
}

fn check(asked: &CloudCheck, environment: &Environment) -> Result<u8, Failure> {
    let region = asked.region.as_deref();
    let opened = account::open(asked.provider, &asked.token, region, environment)?;
    let account = opened.provider.check().map_err(|error| failure(&error))?;
    let name = account.name.unwrap_or_default();
    let mut rows = vec![fact("credentials", "accepted")];
    if !name.is_empty() {
        rows.push(fact("account", &name));
    }
    rows.extend(account.facts.iter().map(|(what, text)| fact(what, text)));
    if let Some(ahead) = opened.clock.ahead() {
        rows.push(fact("clock", &clock(ahead)));
    }
    let key = key::usual(environment);
    let key = key.map_or("none yet; `hoist up` makes one".to_owned(), |key| {
        key.display().to_string()
    });
    rows.push(fact("SSH key", &key));
    rows::print(&rows, [("WHAT", "what"), ("IS", "is")], asked.listed.output)?;
    Ok(exit_code::OK)
}

/// Returns what this machine's clock is like, where the provider's is so many seconds ahead.
fn clock(ahead: i64) -> String {
    let seconds = ahead.unsigned_abs();
    match ahead {
        // The answer was on its way for a while, and the date has no fractions.
        -2..=2 => "right".to_owned(),
        3.. => format!("{seconds} seconds behind the provider's"),
        _ => format!("{seconds} seconds ahead of the provider's"),
    }
}

fn fact(what: &str, is: &str) -> Row {
    object(json!({ "what": what, "is": is }))
}

fn adopt(asked: &CloudAdopt, origins: &Origins, environment: &Environment) -> Result<u8, Failure> {
    let name = FleetName::parse(&asked.fleet).map_err(|error| failure(&error))?;
    let state = account::state(environment)?;
    let provider = super::provider_of(asked.account.provider, &name, &state)?;
    let region = super::region_of(asked.region.as_deref(), provider, &name, &state);
    let region = region.as_deref();
    let token = super::token(&asked.account.token, origins.fleet(name.as_str()));
    let opened = account::open(provider, &token, region, environment)?;
    let ledger = super::ledger(&state, &name)?;
    let teller = Teller::new(&name, provider, false, false);
    let told = |name: &str, step: &Step| teller.step(name, step);
    let fleet = opened.fleet(name.clone(), ledger, region, &told);
    let adopted = fleet
        .adopt(&asked.servers)
        .map_err(|error| failure(&error))?;
    if adopted.is_empty() {
        note(&format!(
            "hoist: {}: there is nothing to adopt",
            escaped(name.as_str())
        ));
    }
    let rows: Vec<Row> = adopted
        .iter()
        .map(|server| server::row(server, Some(&name), None))
        .collect();
    rows::print(&rows, server::HEADS, asked.listed.output)?;
    Ok(exit_code::OK)
}

fn object(value: Value) -> Row {
    match value {
        Value::Object(row) => row,
        _ => Row::new(),
    }
}
