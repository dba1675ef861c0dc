//! Vultr: <https://www.vultr.com/api/>.
//!
//! A key of the API is sent as a bearer token. Lists come in pages that name the next one by a
//! cursor. Names of servers are not unique there, so a create call is never sent twice; servers
//! carry tags, which are read here, as the API can't be asked for them any more. A server that is
//! still being set up can't be destroyed and says that it is locked.

mod catalogue;
mod instance;
mod speech;
#[cfg(test)]
mod tests;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Map, Value, json};

use self::speech::Speech;
use super::choice::{self, Kind};
use super::http::{Call, Http, encoded};
use super::{
    Access, Account, Article, Catalogue, Destroyed, FleetName, Offer, Order, Prepared, Provider,
    ProviderError, ProviderName, PublicKey, Server, Spec, TAG, json,
};

const NAME: ProviderName = ProviderName::Vultr;

const BASE: &str = "https://api.vultr.com/v2";

const VARIABLE: &str = "VULTR_API_KEY";

/// Where keys of the API are made, and the addresses listed that may use them.
const KEYS_PAGE: &str = "https://my.vultr.com/settings/#settingsapi";

/// Elements of a page; the API allows no more.
const PAGE: usize = 500;

/// Pages after which a list is taken to have no end.
const MAX_PAGES: usize = 200;

/// What a server can be made of instead of an operating system; each excludes the others.
const SOURCES: [&str; 3] = ["snapshot_id", "image_id", "app_id"];

/// Fields of the create call that hoist doesn't set itself.
const SETTINGS: [(&str, Kind); 15] = [
    ("app_id", Kind::Number),
    ("app_variables", Kind::Json),
    ("attach_vpc", Kind::Texts),
    ("backups", Kind::Text),
    ("block_devices", Kind::Json),
    ("ddos_protection", Kind::Flag),
    ("disable_public_ipv4", Kind::Flag),
    ("enable_ipv6", Kind::Flag),
    ("enable_vpc", Kind::Flag),
    ("firewall_group_id", Kind::Text),
    ("image_id", Kind::Text),
    ("reserved_ipv4", Kind::Text),
    ("script_id", Kind::Text),
    ("snapshot_id", Kind::Text),
    ("vpc_only", Kind::Flag),
];

/// Opens the account. Contacts nobody.
///
/// # Errors
/// When credentials are missing, or an address can't be used.
pub fn open(access: &Access) -> Result<Box<dyn Provider>, ProviderError> {
    Ok(Box::new(Vultr::open(access)?))
}

struct Vultr {
    http: Http,
    speech: Speech,
}

impl Vultr {
    fn open(access: &Access) -> Result<Self, ProviderError> {
        let token = access.token(NAME, &[VARIABLE], || {
            format!("set {VARIABLE} to a key of the API; {KEYS_PAGE} makes one")
        })?;
        Ok(Self {
            http: Http::new(NAME, access.base(NAME, BASE), access)?,
            speech: Speech::new(token),
        })
    }

    /// Returns the elements of the list called `list`, of every page.
    fn all(&self, path: &str, list: &str) -> Result<Vec<Value>, ProviderError> {
        let separator = if path.contains('?') { '&' } else { '?' };
        let first = format!("{path}{separator}per_page={PAGE}");
        let mut call = Call::get(&first);
        let mut elements = Vec::new();
        for _ in 0..MAX_PAGES {
            let mut page = self.http.json(&self.speech, &call)?;
            // A missing list is not an empty one: servers would seem to be gone.
            let Some(Value::Array(found)) = page.get_mut(list).map(Value::take) else {
                let message = format!("there is no list `{list}`");
                return Err(self.http.unreadable(&call, message));
            };
            elements.extend(found);
            let next = json::text(&page, "/meta/links/next");
            if next.is_empty() {
                return Ok(elements);
            }
            let next = format!("{first}&cursor={}", encoded(next));
            if next == call.path {
                break;
            }
            call = Call::get(next);
        }
        Err(self.http.unreadable(&call, "its pages have no end"))
    }

    /// Returns the id of the uploaded key, if it is there.
    fn find_key(&self, key: &PublicKey) -> Result<Option<String>, ProviderError> {
        let keys = self.all("/ssh-keys", "ssh_keys")?;
        let same = keys
            .iter()
            .find(|known| key.is_same(json::text(known, "/ssh_key")));
        Ok(same.and_then(|known| json::id(known, "/id")))
    }
}

impl Provider for Vultr {
    fn name(&self) -> ProviderName {
        NAME
    }

    fn check(&self) -> Result<Account, ProviderError> {
        let answer = self.http.json(&self.speech, &Call::get("/account"))?;
        Ok(catalogue::account(&answer))
    }

    fn catalogue(
        &self,
        which: Catalogue,
        region: Option<&str>,
    ) -> Result<Vec<Article>, ProviderError> {
        match which {
            Catalogue::Regions => self.regions(),
            Catalogue::Sizes => self.sizes(region),
            Catalogue::Images => self.images(),
        }
    }

    fn offer(&self, spec: &Spec) -> Result<Offer, ProviderError> {
        self.resolve(spec)
    }

    fn prepare(&self, spec: &Spec, _: &Offer) -> Result<Prepared, ProviderError> {
        let prepared = |key: String| Prepared {
            key,
            firewalls: Vec::new(),
        };
        if let Some(key) = self.find_key(&spec.key)? {
            return Ok(prepared(key));
        }
        let body = json!({"name": spec.key.name(), "ssh_key": spec.key.line()});
        let call = Call::create("/ssh-keys", &body);
        let uploaded = match self.http.json(&self.speech, &call) {
            Ok(answer) => json::id(&answer, "/ssh_key/id").ok_or_else(|| {
                self.http
                    .lost("it took the SSH key and did not say what it calls it")
            }),
            Err(error) => Err(error),
        };
        match uploaded {
            Ok(key) => Ok(prepared(key)),
            // A key costs nothing, so whether it got there can simply be looked up.
            Err(error @ ProviderError::Lost { .. }) => {
                self.find_key(&spec.key)?.map(prepared).ok_or(error)
            }
            Err(error) => Err(error),
        }
    }

    fn create(&self, order: &Order<'_>) -> Result<Server, ProviderError> {
        let call = Call::create("/instances", &body(order)?);
        let answer = self.http.json(&self.speech, &call)?;
        let made = answer.get("instance").and_then(instance::server);
        let mut server = made.ok_or_else(|| {
            self.http
                .lost("it accepted the order and did not say what it calls the server")
        })?;
        order.name.clone_into(&mut server.name);
        server.fleet = Some(order.spec.fleet.clone());
        if server.region.is_empty() {
            order.offer.region.clone_into(&mut server.region);
        }
        Ok(server)
    }

    fn list(&self, fleet: Option<&FleetName>) -> Result<Vec<Server>, ProviderError> {
        let instances = self.all("/instances", "instances")?;
        let ours = instances
            .iter()
            .filter(|instance| instance::is_of(instance, fleet));
        let servers = ours.map(|ours| {
            instance::server(ours).ok_or_else(|| {
                let call = Call::get("/instances");
                self.http.unreadable(&call, "a server has no id")
            })
        });
        servers.collect()
    }

    fn destroy(&self, server: &Server) -> Result<Destroyed, ProviderError> {
        let call = Call::delete(format!("/instances/{}", encoded(&server.id)));
        match self.http.send(&self.speech, &call) {
            Ok(answer) if answer.status == 404 => Ok(Destroyed::Gone),
            Ok(_) => Ok(Destroyed::Accepted),
            Err(error) if error.refusal().is_some_and(speech::is_going) => Ok(Destroyed::Accepted),
            Err(error) => Err(error),
        }
    }
}

/// Returns the body of the create call.
fn body(order: &Order<'_>) -> Result<Value, ProviderError> {
    let (spec, offer) = (order.spec, order.offer);
    let settings = settings(spec)?;
    let mut body = Map::new();
    let mut set = |field: &str, value: Value| {
        body.insert(field.to_owned(), value);
    };
    set("region", json!(offer.region));
    set("plan", json!(offer.size));
    if source(&settings).is_none() {
        set("os_id", os_id(&offer.image)?);
    }
    set("label", json!(order.name));
    set("hostname", json!(order.name));
    set("tags", json!(tags(spec)));
    if !order.prepared.key.is_empty() {
        set("sshkey_id", json!([order.prepared.key]));
    }
    set("enable_ipv6", json!(true));
    set("activation_email", json!(false));
    if !order.user_data.is_empty() {
        set("user_data", json!(STANDARD.encode(order.user_data)));
    }
    body.extend(settings);
    Ok(Value::Object(body))
}

fn os_id(image: &str) -> Result<Value, ProviderError> {
    let id: u64 = image.parse().map_err(|_| ProviderError::Input {
        message: format!(
            "`{}` is no id of an image at Vultr, which is a number",
            crate::host::escaped(image)
        ),
    })?;
    Ok(json!(id))
}

/// Returns the tags of a server: hoist's own and those that were asked for.
fn tags(spec: &Spec) -> Vec<String> {
    let mut tags = vec![TAG.to_owned(), spec.fleet.tag()];
    for tag in &spec.tags {
        if !tags.contains(tag) {
            tags.push(tag.clone());
        }
    }
    tags
}

fn settings(spec: &Spec) -> Result<Map<String, Value>, ProviderError> {
    let settings = choice::settings(&spec.options, &SETTINGS)?;
    let sources = SOURCES.iter().filter(|name| settings.contains_key(**name));
    if sources.count() > 1 {
        return Err(ProviderError::Input {
            message: format!(
                "a server is made of one thing at Vultr; set one of {}",
                SOURCES.join(", ")
            ),
        });
    }
    Ok(settings)
}

/// Returns what a server is made of where it is no operating system.
fn source(settings: &Map<String, Value>) -> Option<(&'static str, &Value)> {
    let mut sources = SOURCES.into_iter();
    sources.find_map(|name| Some((name, settings.get(name)?)))
}
