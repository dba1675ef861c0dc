//! Hetzner Cloud: servers in one project, by its API version 1 (<https://docs.hetzner.cloud/>).
//!
//! Servers of hoist carry the label `hoist` with the fleet's name as its value; they are listed by
//! it and their labels are read again here. A server's name is unique in its project, so that a
//! server which was asked for twice is found again. Firewalls are left alone: a new server has none
//! unless the settings name some.

mod dialect;
mod offer;
mod order;
#[cfg(test)]
mod tests;

use std::collections::HashSet;
use std::net::{IpAddr, Ipv6Addr};

use serde_json::{Value, json};

use self::dialect::Bearer;
use super::http::{Call, Care, Http, encoded};
use super::{
    Access, Account, Article, Catalogue, Destroyed, FleetName, Offer, Order, Prepared, Provider,
    ProviderError, ProviderName, Refusal, Server, Spec, State, TAG, json as field,
};
use crate::host::escaped;

const PROVIDER: ProviderName = ProviderName::Hetzner;

const BASE: &str = "https://api.hetzner.cloud/v1";

/// Variable of the environment that may hold the token, as the vendor's own program reads it.
const TOKEN_VARIABLE: &str = "HCLOUD_TOKEN";

/// Most items the API puts on a page.
const PAGE: usize = 50;

/// Opens the account. Contacts nobody.
///
/// # Errors
/// When credentials are missing, or an address can't be used.
pub fn open(access: &Access) -> Result<Box<dyn Provider>, ProviderError> {
    let token = access.token(PROVIDER, &[TOKEN_VARIABLE], || {
        format!(
            "set {TOKEN_VARIABLE} to an API token of the project that may read and write, made at {}",
            dialect::TOKENS
        )
    })?;
    let dialect = Bearer::new(token);
    let http = Http::new(PROVIDER, access.base(PROVIDER, BASE), access)?;
    Ok(Box::new(Hetzner { http, dialect }))
}

/// One project.
struct Hetzner {
    http: Http,
    dialect: Bearer,
}

impl Provider for Hetzner {
    fn name(&self) -> ProviderName {
        PROVIDER
    }

    fn check(&self) -> Result<Account, ProviderError> {
        let answer = self.get("/servers?per_page=1&page=1")?;
        let count = answer.pointer("/meta/pagination/total_entries");
        let count = count.and_then(Value::as_u64);
        // The API tells neither the project's name nor its limits.
        Ok(Account {
            name: None,
            facts: count
                .map(|count| ("servers".to_owned(), count.to_string()))
                .into_iter()
                .collect(),
        })
    }

    fn catalogue(
        &self,
        which: Catalogue,
        region: Option<&str>,
    ) -> Result<Vec<Article>, ProviderError> {
        self.articles(which, region)
    }

    fn offer(&self, spec: &Spec) -> Result<Offer, ProviderError> {
        self.offered(spec)
    }

    fn prepare(&self, spec: &Spec, _: &Offer) -> Result<Prepared, ProviderError> {
        if let Some(key) = self.key(spec)? {
            return Ok(key);
        }
        let body = json!({
            "name": spec.key.name(),
            "public_key": spec.key.line(),
            "labels": {TAG: ""},
        });
        // Not a create call: a key costs nothing, and a second one of the same blob is refused.
        let call = Call {
            care: Care::Repeatable,
            ..Call::create("/ssh_keys", &body)
        };
        match self.http.json(&self.dialect, &call) {
            Ok(answer) => prepared(answer.pointer("/ssh_key").unwrap_or(&Value::Null))
                .ok_or_else(|| self.http.unreadable(&call, "the key has no name")),
            // Somebody else, or a try whose answer was lost, was faster.
            Err(error) if is_taken(&error) => self.key(spec)?.ok_or(error),
            Err(error) => Err(error),
        }
    }

    fn create(&self, order: &Order<'_>) -> Result<Server, ProviderError> {
        let call = Call::create("/servers", &order::body(order)?);
        let answer = match self.http.json(&self.dialect, &call) {
            Err(error) if is_taken(&error) => return Err(self.taken(order, error)),
            Err(error) if is_unsure(&error) => return Err(self.http.lost(error.to_string())),
            answer => answer?,
        };
        let mut server = answer
            .get("server")
            .and_then(server)
            .ok_or_else(|| self.http.lost("the new server has no id"))?;
        server.fleet = Some(order.spec.fleet.clone());
        Ok(server)
    }

    fn list(&self, fleet: Option<&FleetName>) -> Result<Vec<Server>, ProviderError> {
        let selector = match fleet {
            None => TAG.to_owned(),
            Some(fleet) => format!("{TAG}=={fleet}"),
        };
        let path = format!("/servers?label_selector={}", encoded(&selector));
        let all = self.all(&path, "servers")?;
        let ours = all.iter().filter(|server| match fleet {
            None => label(server).is_some(),
            Some(fleet) => label(server) == Some(fleet.as_str()),
        });
        let servers: Result<Vec<Server>, ProviderError> = ours
            .map(|value| {
                let call = Call::get(path.as_str());
                server(value).ok_or_else(|| self.http.unreadable(&call, "a server has no id"))
            })
            .collect();
        let mut servers = servers?;
        servers.retain(|server| server.state != State::Gone);
        Ok(servers)
    }

    fn destroy(&self, server: &Server) -> Result<Destroyed, ProviderError> {
        // Without an id the path would be that of all servers.
        if server.id.parse::<u64>().is_err() {
            return Err(ProviderError::Input {
                message: format!(
                    "`{}` is no id of a server at Hetzner: those are numbers",
                    escaped(&server.id)
                ),
            });
        }
        let call = Call::delete(format!("/servers/{}", server.id));
        let answer = self.http.send(&self.dialect, &call)?;
        Ok(match answer.status {
            404 => Destroyed::Gone,
            _ => Destroyed::Accepted,
        })
    }
}

impl Hetzner {
    fn get(&self, path: &str) -> Result<Value, ProviderError> {
        self.http.json(&self.dialect, &Call::get(path))
    }

    /// Returns the items of every page.
    fn all(&self, path: &str, list: &str) -> Result<Vec<Value>, ProviderError> {
        let joint = if path.contains('?') { '&' } else { '?' };
        let (mut all, mut seen, mut page) = (Vec::new(), HashSet::new(), 1);
        loop {
            let call = Call::get(format!("{path}{joint}per_page={PAGE}&page={page}"));
            let mut answer = self.http.json(&self.dialect, &call)?;
            let Some(Value::Array(items)) = answer.get_mut(list).map(Value::take) else {
                // What is no list must not pass for an empty one: servers would be forgotten.
                let message = format!("there is no list `{list}`");
                return Err(self.http.unreadable(&call, message));
            };
            // What moved to this page since the one before was read is there twice.
            let is_new = |item: &Value| field::id(item, "/id").is_none_or(|id| seen.insert(id));
            all.extend(items.into_iter().filter(is_new));
            let next = answer.pointer("/meta/pagination/next_page");
            match next.and_then(Value::as_u64) {
                Some(next) if next > page => page = next,
                _ => return Ok(all),
            }
        }
    }

    /// Returns the uploaded key, looked up by its fingerprint and then by its name, as both have to
    /// be unique; whether it is the same is told by its blob.
    fn key(&self, spec: &Spec) -> Result<Option<Prepared>, ProviderError> {
        let fingerprint = format!("/ssh_keys?fingerprint={}", encoded(&spec.key.md5()));
        let name = format!("/ssh_keys?name={}", encoded(&spec.key.name()));
        for path in [fingerprint, name] {
            let keys = self.all(&path, "ssh_keys")?;
            let mut same = keys
                .iter()
                .filter(|key| spec.key.is_same(field::text(key, "/public_key")));
            if let Some(key) = same.find_map(prepared) {
                return Ok(Some(key));
            }
        }
        Ok(None)
    }

    /// Returns the refusal of a name that is taken: with how to go on, where it is not by a server of
    /// the fleet, which whoever asked looks up.
    fn taken(&self, order: &Order<'_>, taken: ProviderError) -> ProviderError {
        let path = format!("/servers?name={}", encoded(order.name));
        let is_ours = |server: &Value| {
            field::text(server, "/name") == order.name
                && label(server) == Some(order.spec.fleet.as_str())
        };
        let named = self.all(&path, "servers");
        let is_theirs = named.is_ok_and(|named| !named.iter().any(is_ours));
        match taken {
            ProviderError::Refused { provider, refusal } if is_theirs => ProviderError::Refused {
                provider,
                refusal: Refusal {
                    hint: Some(format!(
                        "what is called `{}` in the project is not of this fleet: rename it, or \
                         take another pattern for names",
                        escaped(order.name)
                    )),
                    ..refusal
                },
            },
            other => other,
        }
    }
}

/// Whether the name, or the key, is there already.
fn is_taken(error: &ProviderError) -> bool {
    has_code(error, &["uniqueness_error"])
}

/// Whether the API gave up on a request that something behind it may have heard.
fn is_unsure(error: &ProviderError) -> bool {
    has_code(error, &["bad_gateway", "timeout"])
}

fn has_code(error: &ProviderError, codes: &[&str]) -> bool {
    let code = error.refusal().and_then(|refusal| refusal.code.as_deref());
    code.is_some_and(|code| codes.contains(&code))
}

/// Returns how orders name the key. Its name, but a name of digits would be read as an id.
fn prepared(key: &Value) -> Option<Prepared> {
    let name = field::text(key, "/name");
    let key = if name.is_empty() || name.bytes().all(|byte| byte.is_ascii_digit()) {
        field::id(key, "/id")?
    } else {
        name.to_owned()
    };
    Some(Prepared {
        key,
        firewalls: Vec::new(),
    })
}

/// Returns the value of hoist's label.
fn label(server: &Value) -> Option<&str> {
    server.get("labels")?.get(TAG)?.as_str()
}

/// Returns what a server is in hoist's words, unless it has no id.
fn server(value: &Value) -> Option<Server> {
    let name = field::text(value, "/name");
    let mut server = Server::new(PROVIDER, field::id(value, "/id")?, name);
    field::text(value, "/location/name").clone_into(&mut server.region);
    field::text(value, "/status").clone_into(&mut server.raw_state);
    server.fleet = label(value).and_then(|fleet| FleetName::parse(fleet).ok());
    server.ipv4 = field::address(value, "/public_net/ipv4/ip");
    server.ipv6 = first_of(field::text(value, "/public_net/ipv6/ip"));
    server.private_ipv4 = field::list(value, "/private_net")
        .iter()
        .find_map(|net| field::address(net, "/ip"));
    server.created_at = field::time(value, "/created");
    server.state = match server.raw_state.as_str() {
        "running" if server.address().is_some() => State::Running,
        "off" | "stopping" => State::Stopped,
        "deleting" => State::Gone,
        "unknown" => State::Error,
        _ => State::Pending,
    };
    Some(server)
}

/// Returns the address that a server has in its network: `2001:db8::1` in `2001:db8::/64`.
fn first_of(network: &str) -> Option<IpAddr> {
    let address = field::address_of(network)?;
    match (address, network.split_once('/')) {
        (IpAddr::V6(first), Some((_, length))) if length != "128" => {
            Some(Ipv6Addr::from_bits(first.to_bits() | 1).into())
        }
        _ => Some(address),
    }
}
