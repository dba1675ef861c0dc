//! `DigitalOcean`: droplets in an account or team, by its API version 2
//! (<https://docs.digitalocean.com/reference/api/digitalocean/>).
//!
//! Droplets of hoist carry the tags `hoist` and `hoist:<fleet>`; they are listed by the tag and
//! their tags are read again here. Names are not unique there. Droplets are destroyed by id, never
//! by tag. Firewalls are left alone: a new droplet has none.

mod dialect;
mod offer;
mod order;
#[cfg(test)]
mod tests;

use std::collections::HashSet;

use serde_json::{Value, json};

use self::dialect::Bearer;
use super::http::{Call, Care, Http, encoded};
use super::{
    Access, Account, Article, Catalogue, Destroyed, FleetName, Offer, Order, Prepared, Provider,
    ProviderError, ProviderName, RefusalKind, Server, Spec, State, TAG, json as field,
};
use crate::host::escaped;

const PROVIDER: ProviderName = ProviderName::DigitalOcean;

/// Without the version: every path begins with it.
const BASE: &str = "https://api.digitalocean.com";

/// Variables of the environment that may hold the token, as the vendor's own programs read them.
const TOKEN_VARIABLES: [&str; 2] = ["DIGITALOCEAN_ACCESS_TOKEN", "DIGITALOCEAN_TOKEN"];

/// Most items the API puts on a page.
const PAGE: usize = 200;

/// More pages than any list has; an API that never comes to an end is not believed.
const MAX_PAGES: usize = 1000;

/// Opens the account. Contacts nobody.
///
/// # Errors
/// When credentials are missing, or an address can't be used.
pub fn open(access: &Access) -> Result<Box<dyn Provider>, ProviderError> {
    let token = access.token(PROVIDER, &TOKEN_VARIABLES, || {
        format!(
            "set {} to a personal access token with write access, made at {}",
            TOKEN_VARIABLES[0],
            dialect::TOKENS
        )
    })?;
    let dialect = Bearer::new(token);
    let http = Http::new(PROVIDER, access.base(PROVIDER, BASE), access)?;
    Ok(Box::new(DigitalOcean { http, dialect }))
}

/// One account or team.
struct DigitalOcean {
    http: Http,
    dialect: Bearer,
}

impl Provider for DigitalOcean {
    fn name(&self) -> ProviderName {
        PROVIDER
    }

    fn check(&self) -> Result<Account, ProviderError> {
        // A token may be good for droplets and not for reading about the account.
        let Some(answer) = unless_forbidden(self.get("/v2/account"))? else {
            self.get("/v2/droplets?per_page=1&page=1")?;
            return Ok(Account::default());
        };
        let shown = |path: &str| {
            let text = field::text(&answer, path).trim();
            (!text.is_empty()).then(|| escaped(text))
        };
        let limit = answer.pointer("/account/droplet_limit");
        let facts = [
            ("team", shown("/account/team/name")),
            ("status", shown("/account/status")),
            ("message", shown("/account/status_message")),
            (
                "droplet limit",
                limit.and_then(Value::as_u64).map(|n| n.to_string()),
            ),
        ];
        let facts = facts.into_iter();
        Ok(Account {
            name: shown("/account/email"),
            facts: facts
                .filter_map(|(label, text)| Some((label.to_owned(), text?)))
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
            return Ok(prepared(key));
        }
        let body = json!({"name": spec.key.name(), "public_key": spec.key.line()});
        // Not a create call: a key costs nothing, and a second one of the same blob is refused.
        let call = Call {
            care: Care::Repeatable,
            ..Call::create("/v2/account/keys", &body)
        };
        match self.http.json(&self.dialect, &call) {
            Ok(answer) => field::id(&answer, "/ssh_key/id")
                .map(prepared)
                .ok_or_else(|| self.http.unreadable(&call, "the key has no id")),
            // Somebody else, or a try whose answer was lost, was faster.
            Err(error) if error.refusal().is_some_and(|no| no.status == 422) => {
                self.key(spec)?.map(prepared).ok_or(error)
            }
            Err(error) => Err(error),
        }
    }

    fn create(&self, order: &Order<'_>) -> Result<Server, ProviderError> {
        let call = Call::create("/v2/droplets", &order::body(order)?);
        let answer = self.http.json(&self.dialect, &call)?;
        let droplet = answer.pointer("/droplet").unwrap_or(&Value::Null);
        let mut server =
            server(droplet).ok_or_else(|| self.http.lost("the new droplet has no id"))?;
        server.fleet = Some(order.spec.fleet.clone());
        Ok(server)
    }

    fn list(&self, fleet: Option<&FleetName>) -> Result<Vec<Server>, ProviderError> {
        let tag = fleet.map_or_else(|| TAG.to_owned(), FleetName::tag);
        let path = format!("/v2/droplets?tag_name={}", encoded(&tag));
        let droplets = self.all(&path, "droplets")?;
        let tagged = droplets.iter().filter(|droplet| {
            field::words(droplet, "/tags").any(|other| other.eq_ignore_ascii_case(&tag))
        });
        let servers = tagged.map(|droplet| {
            let mut server = server(droplet).ok_or_else(|| {
                let call = Call::get(path.as_str());
                self.http.unreadable(&call, "a droplet has no id")
            })?;
            server.fleet = fleet.cloned().or(server.fleet);
            Ok(server)
        });
        servers.collect()
    }

    fn destroy(&self, server: &Server) -> Result<Destroyed, ProviderError> {
        // Without an id the path would be that of all droplets.
        if server.id.parse::<u64>().is_err() {
            return Err(ProviderError::Input {
                message: format!(
                    "`{}` is no id of a droplet: those are numbers",
                    escaped(&server.id)
                ),
            });
        }
        let call = Call::delete(format!("/v2/droplets/{}", server.id));
        let answer = self.http.send(&self.dialect, &call)?;
        Ok(match answer.status {
            404 => Destroyed::Gone,
            _ => Destroyed::Accepted,
        })
    }
}

impl DigitalOcean {
    fn get(&self, path: &str) -> Result<Value, ProviderError> {
        self.http.json(&self.dialect, &Call::get(path))
    }

    /// Returns the items of every page.
    fn all(&self, path: &str, list: &str) -> Result<Vec<Value>, ProviderError> {
        let joint = if path.contains('?') { '&' } else { '?' };
        let (mut all, mut seen) = (Vec::new(), HashSet::new());
        for page in 1..=MAX_PAGES {
            let call = Call::get(format!("{path}{joint}per_page={PAGE}&page={page}"));
            let mut answer = self.http.json(&self.dialect, &call)?;
            let Some(Value::Array(items)) = answer.get_mut(list).map(Value::take) else {
                // What is no list must not pass for an empty one: servers would be forgotten.
                let message = format!("there is no list `{list}`");
                return Err(self.http.unreadable(&call, message));
            };
            let is_last =
                items.len() < PAGE || field::text(&answer, "/links/pages/next").is_empty();
            // What moved to this page since the one before was read is there twice.
            let is_new = |item: &Value| field::id(item, "/id").is_none_or(|id| seen.insert(id));
            all.extend(items.into_iter().filter(is_new));
            if is_last {
                return Ok(all);
            }
        }
        let message = format!("the list has more than {MAX_PAGES} pages");
        Err(self.http.unreadable(&Call::get(path), message))
    }

    /// Returns the id of the uploaded key. It is looked up by its fingerprint, because the list of
    /// keys may be read ten times a minute only; whether it is the same is told by its blob.
    fn key(&self, spec: &Spec) -> Result<Option<String>, ProviderError> {
        let path = format!("/v2/account/keys/{}", spec.key.md5());
        let call = Call::get(path);
        let answer = match self.http.json(&self.dialect, &call) {
            Err(error) if error.is_not_found() => return Ok(None),
            answer => answer?,
        };
        if !spec
            .key
            .is_same(field::text(&answer, "/ssh_key/public_key"))
        {
            return Err(self.http.unreadable(&call, "the key is another one"));
        }
        let id = field::id(&answer, "/ssh_key/id");
        id.map(Some)
            .ok_or_else(|| self.http.unreadable(&call, "the key has no id"))
    }
}

fn prepared(key: String) -> Prepared {
    Prepared {
        key,
        firewalls: Vec::new(),
    }
}

/// Returns nothing where the token is not allowed to know.
fn unless_forbidden(answer: Result<Value, ProviderError>) -> Result<Option<Value>, ProviderError> {
    match answer {
        Err(error)
            if error
                .refusal()
                .is_some_and(|refusal| refusal.kind == RefusalKind::Permission) =>
        {
            Ok(None)
        }
        answer => answer.map(Some),
    }
}

/// Returns what a droplet is in hoist's words, unless it has no id.
fn server(droplet: &Value) -> Option<Server> {
    let name = field::text(droplet, "/name");
    let mut server = Server::new(PROVIDER, field::id(droplet, "/id")?, name);
    field::text(droplet, "/region/slug").clone_into(&mut server.region);
    field::text(droplet, "/status").clone_into(&mut server.raw_state);
    server.fleet = FleetName::of_tags(field::words(droplet, "/tags"));
    server.ipv4 = network(droplet, "/networks/v4", "public");
    server.ipv6 = network(droplet, "/networks/v6", "public");
    server.private_ipv4 = network(droplet, "/networks/v4", "private");
    server.created_at = field::time(droplet, "/created_at");
    server.state = match server.raw_state.as_str() {
        // The lists of addresses are empty at first.
        "active" if server.ipv4.is_some() => State::Running,
        "off" => State::Stopped,
        "archive" => State::Error,
        _ => State::Pending,
    };
    Some(server)
}

/// Returns the first address of a kind; the lists are in no order.
fn network(droplet: &Value, path: &str, kind: &str) -> Option<std::net::IpAddr> {
    let mut networks = field::list(droplet, path).iter();
    networks
        .find(|network| field::text(network, "/type") == kind)
        .and_then(|network| field::address(network, "/ip_address"))
}
