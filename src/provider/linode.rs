//! Linode: <https://techdocs.akamai.com/linode-api/reference/api>.
//!
//! A personal access token is sent as a bearer token. Lists come in numbered pages and are filtered
//! by a header. Labels are unique in an account. Nothing is uploaded beforehand: the public key goes
//! along with each order, and so does a root password, which is made up, sent and forgotten. The
//! time has no zone in the answers and is UTC.

mod catalogue;
mod instance;
mod password;
mod speech;
#[cfg(test)]
mod tests;
mod turn;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Map, Value, json};

use self::speech::Speech;
use self::turn::Turn;
use super::choice::{self, Kind};
use super::http::{Call, Http};
use super::{
    Access, Account, Article, Catalogue, Destroyed, FleetName, Offer, Order, Prepared, Provider,
    ProviderError, ProviderName, Server, Spec, TAG,
};
use crate::host::escaped;

const NAME: ProviderName = ProviderName::Linode;

const BASE: &str = "https://api.linode.com/v4";

/// Variables that may hold the token; the second is that of the vendor's own program.
const VARIABLES: [&str; 2] = ["LINODE_TOKEN", "LINODE_CLI_TOKEN"];

/// Where tokens are made.
const TOKENS_PAGE: &str = "https://cloud.linode.com/profile/tokens";

/// Elements of a page; the API allows no more.
const PAGE: usize = 500;

/// Pages after which a list is taken to have no end.
const MAX_PAGES: u64 = 200;

/// Fields of the create call that hoist doesn't set itself.
const SETTINGS: [(&str, Kind); 16] = [
    ("authorized_users", Kind::Texts),
    ("backups_enabled", Kind::Flag),
    ("boot_size", Kind::Number),
    ("disk_encryption", Kind::Text),
    ("firewall_id", Kind::Number),
    ("interface_generation", Kind::Text),
    ("interfaces", Kind::Json),
    ("ipv4", Kind::Texts),
    ("kernel", Kind::Text),
    ("maintenance_policy", Kind::Text),
    ("network_helper", Kind::Flag),
    ("placement_group", Kind::Json),
    ("private_ip", Kind::Flag),
    ("stackscript_data", Kind::Json),
    ("stackscript_id", Kind::Number),
    ("swap_size", Kind::Number),
];

/// Opens the account. Contacts nobody.
///
/// # Errors
/// When credentials are missing, or an address can't be used.
pub fn open(access: &Access) -> Result<Box<dyn Provider>, ProviderError> {
    Ok(Box::new(Linode::open(access)?))
}

struct Linode {
    http: Http,
    speech: Speech,
    turn: Turn,
}

impl Linode {
    fn open(access: &Access) -> Result<Self, ProviderError> {
        let token = access.token(NAME, &VARIABLES, || {
            format!(
                "set {} to a personal access token with the scope linodes:read_write; \
                 {TOKENS_PAGE} makes one",
                VARIABLES[0]
            )
        })?;
        Ok(Self {
            http: Http::new(NAME, access.base(NAME, BASE), access)?,
            speech: Speech::new(token),
            turn: Turn::new(access),
        })
    }

    /// Returns the elements of every page that the filter lets through.
    fn all(&self, path: &str, filter: Option<&Value>) -> Result<Vec<Value>, ProviderError> {
        let mut elements = Vec::new();
        for number in 1..=MAX_PAGES {
            let mut call = Call::get(format!("{path}?page={number}&page_size={PAGE}"));
            if let Some(filter) = filter {
                call = call.with_header("x-filter", filter.to_string());
            }
            let mut page = self.http.json(&self.speech, &call)?;
            let pages = page.pointer("/pages").and_then(Value::as_u64);
            // A missing list is not an empty one: servers would seem to be gone.
            let Some(Value::Array(found)) = page.get_mut("data").map(Value::take) else {
                return Err(self.http.unreadable(&call, "there is no list `data`"));
            };
            elements.extend(found);
            if number >= pages.unwrap_or(1) {
                return Ok(elements);
            }
        }
        let call = Call::get(path);
        Err(self.http.unreadable(&call, "its pages have no end"))
    }
}

impl Provider for Linode {
    fn name(&self) -> ProviderName {
        NAME
    }

    /// The account itself may be read with another scope alone; a list of servers needs the one that
    /// everything here needs.
    fn check(&self) -> Result<Account, ProviderError> {
        let call = Call::get("/linode/instances?page=1&page_size=25");
        let answer = self.http.send(&self.speech, &call)?;
        if !answer.json()["data"].is_array() {
            return Err(self.http.unreadable(&call, "there is no list `data`"));
        }
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

    fn prepare(&self, _: &Spec, _: &Offer) -> Result<Prepared, ProviderError> {
        Ok(Prepared::default())
    }

    fn create(&self, order: &Order<'_>) -> Result<Server, ProviderError> {
        let call = Call::create("/linode/instances", &body(order)?);
        self.turn.wait()?;
        let answer = self.http.send(&self.speech, &call)?;
        self.turn.learn(&answer);
        let made = instance::server(&answer.json());
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
        let tag = fleet.map_or_else(|| TAG.to_owned(), FleetName::tag);
        let linodes = self.all("/linode/instances", Some(&json!({"tags": tag})))?;
        let ours = linodes
            .iter()
            .filter(|linode| instance::is_of(linode, fleet));
        let servers = ours.map(|ours| {
            instance::server(ours).ok_or_else(|| {
                let call = Call::get("/linode/instances");
                self.http.unreadable(&call, "a server has no id")
            })
        });
        let mut servers: Vec<Server> = servers.collect::<Result<_, _>>()?;
        servers.retain(|server| server.state != super::State::Gone);
        Ok(servers)
    }

    fn destroy(&self, server: &Server) -> Result<Destroyed, ProviderError> {
        let id: u64 = server.id.parse().map_err(|_| ProviderError::Input {
            message: format!(
                "`{}` is no id of a server at Linode, which is a number",
                escaped(&server.id)
            ),
        })?;
        let call = Call::delete(format!("/linode/instances/{id}"));
        match self.http.send(&self.speech, &call)?.status {
            404 => Ok(Destroyed::Gone),
            _ => Ok(Destroyed::Accepted),
        }
    }
}

/// Returns the body of the create call.
fn body(order: &Order<'_>) -> Result<Value, ProviderError> {
    let (spec, offer) = (order.spec, order.offer);
    let password = password::random()?;
    let mut body = Map::new();
    let mut set = |field: &str, value: Value| {
        body.insert(field.to_owned(), value);
    };
    set("region", json!(offer.region));
    set("type", json!(offer.size));
    set("image", json!(offer.image));
    set("label", json!(order.name));
    set("tags", json!(tags(spec)));
    set("authorized_keys", json!([spec.key.line()]));
    // For years an image needed it; a newer API takes the key alone, and both.
    set("root_pass", json!(password.expose()));
    if !order.user_data.is_empty() {
        let user_data = STANDARD.encode(order.user_data);
        set("metadata", json!({"user_data": user_data}));
    }
    body.extend(choice::settings(&spec.options, &SETTINGS)?);
    Ok(Value::Object(body))
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
