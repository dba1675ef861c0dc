//! `OVHcloud`: instances of the Public Cloud, through the signed API (<https://eu.api.ovh.com/console/>).
//!
//! A project holds everything: the one that `OVH_CLOUD_PROJECT_SERVICE` or the profile names, or the
//! only one that the account has. Instances have no tags there: [`list`](Provider::list) returns all
//! of the project, and only the record tells which are a fleet's. Billing is hourly, always:
//! monthly billing can't be undone.
//!
//! VPS and dedicated servers are bought with orders, not made by a call: they are out of scope.

mod clock;
mod credentials;
mod goods;
mod instance;
mod refusal;

use std::path::PathBuf;
use std::sync::{Mutex, OnceLock};

use serde_json::{Map, Value, json};

use self::clock::{Clock, signature};
use self::credentials::{Credentials, Keys};
use super::choice::{self, Kind};
use super::http::{Answer, Call, Dialect, Http, encoded};
use super::{
    Access, Account, Article, Catalogue, Destroyed, FleetName, Offer, Order, Prepared, Provider,
    ProviderError, ProviderName, Refusal, RefusalKind, Server, Spec, State, json,
};
use crate::host::escaped;

/// Settings by the names of the API. `monthlyBilling` is not among them on purpose.
const SETTINGS: &[(&str, Kind)] = &[
    ("autobackup", Kind::Json),
    ("availabilityZone", Kind::Text),
    ("groupId", Kind::Text),
    ("networks", Kind::Json),
];

/// Names the project.
const PROJECT_VARIABLE: &str = "OVH_CLOUD_PROJECT_SERVICE";

/// Most projects that an error lists.
const MAX_LISTED: usize = 5;

/// Opens the account. Contacts nobody.
///
/// # Errors
/// When credentials are missing, or an address can't be used.
pub fn open(access: &Access) -> Result<Box<dyn Provider>, ProviderError> {
    // Not `./ovh.conf`, which other programs read: a checkout must not say where credentials go.
    let own = access.home.as_ref().map(|home| home.join(".ovh.conf"));
    let files: Vec<PathBuf> = own
        .into_iter()
        .chain([PathBuf::from("/etc/ovh.conf")])
        .collect();
    Ok(Box::new(Ovh::open(access, &files)?))
}

struct Ovh {
    http: Http,
    credentials: Credentials,
    clock: Mutex<Clock>,
    project: OnceLock<String>,
}

impl Ovh {
    fn open(access: &Access, files: &[PathBuf]) -> Result<Self, ProviderError> {
        let (base, credentials) = credentials::find(access, files)?;
        let http = Http::new(ProviderName::Ovh, &base, access)?;
        let said = |name: &String| {
            let name = name.trim();
            (!name.is_empty()).then(|| name.to_owned())
        };
        let named = access.profile.as_ref().and_then(said);
        let named = named.or_else(|| access.variables.get(PROJECT_VARIABLE).and_then(said));
        let project = OnceLock::new();
        if let Some(name) = named {
            project.get_or_init(|| name);
        }
        Ok(Self {
            http,
            credentials,
            clock: Mutex::default(),
            project,
        })
    }

    fn get(&self, path: &str) -> Result<Value, ProviderError> {
        self.http.json(self, &Call::get(path))
    }

    /// Returns the list that is there. Anything else is an error: an empty list of servers would
    /// mean that they are gone.
    fn array(&self, path: &str) -> Result<Vec<Value>, ProviderError> {
        match self.get(path)? {
            Value::Array(list) => Ok(list),
            _ => Err(self
                .http
                .unreadable(&Call::get(path), "a list was expected")),
        }
    }

    /// Returns the path of what is at `rest` in the project.
    fn path(&self, rest: &str) -> Result<String, ProviderError> {
        Ok(format!("/cloud/project/{}{rest}", encoded(self.project()?)))
    }

    fn project(&self) -> Result<&str, ProviderError> {
        if let Some(project) = self.project.get() {
            return Ok(project);
        }
        let projects = self.array("/cloud/project")?;
        let projects: Vec<&str> = projects.iter().filter_map(Value::as_str).collect();
        match projects.as_slice() {
            [only] => Ok(self.project.get_or_init(|| (*only).to_owned())),
            [] => Err(ProviderError::Input {
                message: "the account has no Public Cloud project; make one in the control panel \
                          of OVHcloud, or use credentials of the account that has it"
                    .to_owned(),
            }),
            several => {
                let listed = several.iter().take(MAX_LISTED);
                let listed: Vec<_> = listed.map(|id| format!("`{}`", escaped(id))).collect();
                let rest = match several.len().saturating_sub(MAX_LISTED) {
                    0 => String::new(),
                    rest => format!(" and {rest} more"),
                };
                Err(ProviderError::Input {
                    message: format!(
                        "the account has several Public Cloud projects, {}{rest}; name one with \
                         {PROJECT_VARIABLE}",
                        listed.join(", ")
                    ),
                })
            }
        }
    }

    /// Returns the request that makes what `body` says, which is signed as it is sent.
    fn post(path: String, body: &Value) -> Call {
        let kind = "application/json;charset=utf-8".to_owned();
        let mut call = Call::create(path, body);
        call.headers = vec![("content-type", kind)];
        call
    }

    /// Returns the id of the key where it can be used in `region`, or else a name that is free.
    fn find_key(&self, spec: &Spec, region: &str) -> Result<Result<String, String>, ProviderError> {
        let known = self.array(&self.path("/sshkey")?)?;
        let is_usable = |key: &&Value| {
            let is_there = json::words(key, "/regions").any(|known| known == region)
                || json::list(key, "/regions").is_empty();
            is_there && spec.key.is_same(json::text(key, "/publicKey"))
        };
        if let Some(id) = known
            .iter()
            .find(is_usable)
            .and_then(|key| json::id(key, "/id"))
        {
            return Ok(Ok(id));
        }
        let is_free = |name: &String| known.iter().all(|key| json::text(key, "/name") != name);
        let plain = spec.key.name();
        // A name is taken where the key is known in other regions only.
        let there = format!("{plain}-{}", region.to_lowercase());
        let numbered = (2..).map(|number| format!("{there}-{number}"));
        let mut names = [plain, there.clone()].into_iter().chain(numbered);
        Ok(Err(names.find(is_free).unwrap_or(there)))
    }
}

impl Dialect for Ovh {
    fn authorize(
        &self,
        call: &Call,
        url: &str,
    ) -> Result<Vec<(&'static str, String)>, ProviderError> {
        match &self.credentials {
            Credentials::Token(token) => Ok(vec![(
                "authorization",
                format!("Bearer {}", token.expose()),
            )]),
            Credentials::Keys(keys) => {
                let timestamp = self.timestamp()?.to_string();
                Ok(signed(keys, call, url, timestamp))
            }
        }
    }

    fn refusal(&self, answer: &Answer) -> Refusal {
        refusal::read(answer, self.http.base())
    }

    fn learns(&self, _: &Answer, refusal: &Refusal) -> bool {
        let may_be_clock = matches!(self.credentials, Credentials::Keys(_))
            && (refusal::is_clock(refusal) || refusal::is_signature(refusal));
        if may_be_clock {
            self.forget_time();
        }
        may_be_clock
    }
}

/// Returns the headers of a signed request
/// (<https://help.ovhcloud.com/csm/en-gb-api-getting-started-ovhcloud-api>).
fn signed(keys: &Keys, call: &Call, url: &str, timestamp: String) -> Vec<(&'static str, String)> {
    let signature = signature(keys, call, url, &timestamp);
    vec![
        ("x-ovh-application", keys.application.expose().to_owned()),
        ("x-ovh-consumer", keys.consumer.expose().to_owned()),
        ("x-ovh-timestamp", timestamp),
        ("x-ovh-signature", signature),
    ]
}

impl Provider for Ovh {
    fn name(&self) -> ProviderName {
        ProviderName::Ovh
    }

    fn check(&self) -> Result<Account, ProviderError> {
        let project = self.get(&self.path("")?)?;
        let name = json::some_text(&project, "/description");
        let name = name.or_else(|| json::some_text(&project, "/projectName"));
        let id = self.project()?.to_owned();
        let mut facts = vec![("project".to_owned(), id.clone())];
        if let Some(status) = json::some_text(&project, "/status") {
            facts.push(("status".to_owned(), status));
        }
        Ok(Account {
            name: Some(name.unwrap_or(id)),
            facts,
        })
    }

    fn catalogue(
        &self,
        which: Catalogue,
        region: Option<&str>,
    ) -> Result<Vec<Article>, ProviderError> {
        match which {
            Catalogue::Regions => self.regions(),
            Catalogue::Sizes => {
                let flavors = self.flavors(&self.region(region)?)?;
                let there = flavors.iter().filter(|flavor| flavor.is_available);
                Ok(there.map(goods::Flavor::described).collect())
            }
            Catalogue::Images => {
                let images = self.images(&self.region(region)?)?;
                Ok(images.iter().map(goods::Image::article).collect())
            }
        }
    }

    fn offer(&self, spec: &Spec) -> Result<Offer, ProviderError> {
        if let Some(network) = &spec.open_ssh_from {
            return Err(ProviderError::Input {
                message: format!(
                    "OVHcloud leaves port 22 open to everyone, so it can't be opened to `{}` alone; \
                     name no network, or close it on the servers (--user-data)",
                    escaped(network)
                ),
            });
        }
        choice::settings(&spec.options, SETTINGS)?;
        self.make_offer(spec)
    }

    fn prepare(&self, spec: &Spec, offer: &Offer) -> Result<Prepared, ProviderError> {
        let prepared = |key| Prepared {
            key,
            firewalls: Vec::new(),
        };
        let name = match self.find_key(spec, &offer.region)? {
            Ok(id) => return Ok(prepared(id)),
            Err(name) => name,
        };
        let body =
            json!({"name": name, "publicKey": spec.key.line(), "region": offer.region.as_str()});
        // Where nobody knows whether it was heard, or another hoist was faster, looking again tells.
        let call = Self::post(self.path("/sshkey")?, &body);
        match self.http.json(self, &call) {
            Ok(key) => json::id(&key, "/id")
                .map(prepared)
                .ok_or_else(|| self.http.unreadable(&call, "the id of the key is missing")),
            Err(error) if may_be_there(&error) => match self.find_key(spec, &offer.region) {
                Ok(Ok(id)) => Ok(prepared(id)),
                _ => Err(error),
            },
            Err(error) => Err(error),
        }
    }

    fn create(&self, order: &Order<'_>) -> Result<Server, ProviderError> {
        let path = self.path("/instance")?;
        let body = Value::Object(creation(order)?);
        let made = self.http.json(self, &Self::post(path, &body))?;
        let mut server = instance::read(&made).ok_or_else(|| {
            self.http
                .lost("it made an instance and does not tell its id")
        })?;
        if server.name.is_empty() {
            order.name.clone_into(&mut server.name);
        }
        if server.region.is_empty() {
            server.region.clone_from(&order.offer.region);
        }
        server.login_user = Some(order.offer.login_user.clone());
        server.created_at = server.created_at.and_then(|at| self.here(at));
        Ok(server)
    }

    fn list(&self, _: Option<&FleetName>) -> Result<Vec<Server>, ProviderError> {
        let path = self.path("/instance")?;
        let mut servers = Vec::new();
        for told in self.array(&path)? {
            let mut server = instance::read(&told).ok_or_else(|| {
                let call = Call::get(path.as_str());
                self.http
                    .unreadable(&call, "the id of an instance is missing")
            })?;
            server.created_at = server.created_at.and_then(|at| self.here(at));
            servers.push(server);
        }
        servers.retain(|server| server.state != State::Gone);
        Ok(servers)
    }

    fn destroy(&self, server: &Server) -> Result<Destroyed, ProviderError> {
        if server.id.is_empty() {
            return Err(ProviderError::Input {
                message: format!("`{}` has no id", escaped(&server.name)),
            });
        }
        let path = self.path(&format!("/instance/{}", encoded(&server.id)))?;
        let answer = self.http.send(self, &Call::delete(path))?;
        if answer.status != 404 {
            return Ok(Destroyed::Accepted);
        }
        // The instance may well be there, in the project that should have been named.
        let refusal = self.refusal(&answer);
        if refusal::is_project(&refusal) {
            return Err(ProviderError::Refused {
                provider: ProviderName::Ovh,
                refusal,
            });
        }
        Ok(Destroyed::Gone)
    }
}

/// Whether what was to be made may be there all the same.
fn may_be_there(error: &ProviderError) -> bool {
    let is_taken = |refusal: &Refusal| refusal.kind == RefusalKind::Conflict;
    matches!(error, ProviderError::Lost { .. }) || error.refusal().is_some_and(is_taken)
}

/// Returns the body that makes an instance.
fn creation(order: &Order<'_>) -> Result<Map<String, Value>, ProviderError> {
    let offer = order.offer;
    let text = |text: &str| Value::from(text);
    let mut body = Map::new();
    body.insert("name".to_owned(), text(order.name));
    body.insert("flavorId".to_owned(), text(&offer.size));
    body.insert("region".to_owned(), text(&offer.region));
    body.insert("imageId".to_owned(), text(&offer.image));
    if !order.prepared.key.is_empty() {
        body.insert("sshKeyId".to_owned(), text(&order.prepared.key));
    }
    if !order.user_data.is_empty() {
        // The API takes it as it is and encodes it itself.
        let user_data = str::from_utf8(order.user_data).map_err(|_| ProviderError::Input {
            message: "OVHcloud takes user-data as text, and this is no UTF-8".to_owned(),
        })?;
        body.insert("userData".to_owned(), text(user_data));
    }
    body.insert("monthlyBilling".to_owned(), Value::Bool(false));
    body.extend(choice::settings(&order.spec.options, SETTINGS)?);
    Ok(body)
}

#[cfg(test)]
mod tests;
