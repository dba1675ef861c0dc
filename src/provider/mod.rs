//! Hosting APIs: servers made, listed and destroyed, the same way at every provider.
//!
//! A [`Provider`] is one hosting API with an account. It is asked for an [`Offer`] first (names
//! become ids, price and quota come with them), which costs nothing and changes nothing; then
//! [`prepare`](Provider::prepare) makes what has to be there before the first server, and
//! [`create`](Provider::create) makes one server a call. Who calls it keeps the record: see
//! [`ledger`] and [`fleet`].
//!
//! Everything blocks. Nothing here reads the environment, prints, or asks. What an API answers is
//! untrusted: texts are escaped before they get into an error, unknown words are no error.

mod access;
pub mod aws;
mod choice;
pub mod clock;
pub mod digitalocean;
pub mod error;
pub mod fleet;
pub mod hetzner;
pub mod http;
mod json;
pub mod key;
pub mod ledger;
pub mod linode;
pub mod ovh;
pub mod pace;
pub mod sandbox;
pub mod user_data;
pub mod vultr;

#[cfg(test)]
#[path = "../../tests/it/support/stub.rs"]
#[allow(dead_code, reason = "the end-to-end tests include it too")]
mod stub;

use std::collections::BTreeMap;
use std::fmt;
use std::net::IpAddr;
use std::str::FromStr;
use std::time::SystemTime;

use serde_json::Value;

pub use self::access::Access;
pub use self::clock::Clock;
pub use self::error::{ProviderError, Refusal, RefusalKind};
pub use self::key::PublicKey;
pub use self::pace::{Pace, Stop};

/// A hosting API.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum ProviderName {
    /// Servers that are processes of this machine; no account.
    Sandbox,
    /// <https://www.vultr.com/api/>
    Vultr,
    /// <https://api.ovh.com/>
    Ovh,
    /// <https://techdocs.akamai.com/linode-api/>
    Linode,
    /// <https://docs.aws.amazon.com/AWSEC2/latest/APIReference/>
    Aws,
    /// <https://docs.digitalocean.com/reference/api/>
    DigitalOcean,
    /// <https://docs.hetzner.cloud/>
    Hetzner,
}

impl ProviderName {
    /// All of them, in the order they are told.
    pub const ALL: [Self; 7] = [
        Self::Sandbox,
        Self::Vultr,
        Self::Ovh,
        Self::Linode,
        Self::Aws,
        Self::DigitalOcean,
        Self::Hetzner,
    ];

    /// Returns the word used in arguments and inventories.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Sandbox => "sandbox",
            Self::Vultr => "vultr",
            Self::Ovh => "ovh",
            Self::Linode => "linode",
            Self::Aws => "aws",
            Self::DigitalOcean => "digitalocean",
            Self::Hetzner => "hetzner",
        }
    }

    /// Returns the variables of the environment that may hold another address of the API, the first
    /// that is set counts. The value replaces the whole base, version part included.
    pub(crate) fn url_variables(self) -> &'static [&'static str] {
        match self {
            Self::Sandbox => &[],
            Self::Vultr => &["HOIST_VULTR_URL"],
            Self::Ovh => &["OVH_ENDPOINT"],
            Self::Linode => &["HOIST_LINODE_URL"],
            Self::Aws => &["AWS_ENDPOINT_URL_EC2", "AWS_ENDPOINT_URL"],
            Self::DigitalOcean => &["HOIST_DIGITALOCEAN_URL"],
            Self::Hetzner => &["HOIST_HETZNER_URL"],
        }
    }

    /// Returns how the vendor writes its name.
    pub fn title(self) -> &'static str {
        match self {
            Self::Sandbox => "the sandbox",
            Self::Vultr => "Vultr",
            Self::Ovh => "OVHcloud",
            Self::Linode => "Linode",
            Self::Aws => "AWS EC2",
            Self::DigitalOcean => "DigitalOcean",
            Self::Hetzner => "Hetzner Cloud",
        }
    }

    /// Returns the waits that suit the API where these `variables` say that it is: short ones where
    /// it is on this machine.
    pub fn pace(self, variables: &BTreeMap<String, String>) -> Pace {
        let mut urls = self.url_variables().iter();
        let url = urls.find_map(|name| variables.get(*name));
        let is_here = url.is_some_and(|url| http::is_here(self, url));
        match self {
            _ if is_here || self == Self::Sandbox => Pace::quick(),
            Self::Aws => Pace::default().polling_every(10),
            Self::Ovh => Pace::default().polling_every(10).patient(),
            _ => Pace::default(),
        }
    }
}

impl fmt::Display for ProviderName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

impl FromStr for ProviderName {
    type Err = ProviderError;
    fn from_str(text: &str) -> Result<Self, ProviderError> {
        let mut all = Self::ALL.into_iter();
        let named = all.find(|name| name.as_str() == text);
        named.ok_or_else(|| {
            let known = Self::ALL.map(Self::as_str);
            error::unknown("provider", text, known.into_iter())
        })
    }
}

/// The name of a fleet: what its servers have in common at the provider.
///
/// `[a-z]([a-z0-9-]{0,38}[a-z0-9])?` without `--`, which is valid as a tag, a label and the
/// beginning of a server's name everywhere.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct FleetName(String);

/// Longest name of a fleet in bytes.
const MAX_FLEET_BYTES: usize = 40;

/// Shortest and longest name of a server in bytes; Linode sets the lower bound, host names
/// (RFC 1123 §2.1) the upper one.
const SERVER_BYTES: std::ops::RangeInclusive<usize> = 3..=63;

impl FleetName {
    /// Checks `text` and keeps it.
    ///
    /// # Errors
    /// When it would not be valid at every provider.
    pub fn parse(text: &str) -> Result<Self, ProviderError> {
        if is_label(text) && text.len() <= MAX_FLEET_BYTES {
            return Ok(Self(text.to_owned()));
        }
        Err(ProviderError::Input {
            message: format!(
                "`{}` can't be the name of a fleet: lower-case letters, digits and single `-` \
                 between them, a letter first, at most {MAX_FLEET_BYTES}",
                crate::host::escaped(text)
            ),
        })
    }

    /// Returns the text.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Returns the tag that says that a server belongs to the fleet: `hoist:<fleet>`.
    pub fn tag(&self) -> String {
        format!("{TAG}:{}", self.0)
    }

    /// Returns the fleet that a server with these tags belongs to.
    pub(crate) fn of_tags<'a>(tags: impl IntoIterator<Item = &'a str>) -> Option<Self> {
        let mut tags = tags.into_iter();
        tags.find_map(|tag| Self::parse(tag.strip_prefix(TAG)?.strip_prefix(':')?).ok())
    }
}

impl fmt::Display for FleetName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.0)
    }
}

/// Every server of hoist carries this as a tag, or as the key of a label.
pub(crate) const TAG: &str = "hoist";

/// Whether `text` can be a server's name at every provider.
pub fn is_server_name(text: &str) -> bool {
    is_label(text) && SERVER_BYTES.contains(&text.len())
}

fn is_label(text: &str) -> bool {
    let is_inner = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-';
    text.bytes().all(is_inner)
        && text.starts_with(|c: char| c.is_ascii_lowercase())
        && !text.ends_with('-')
        && !text.contains("--")
}

/// What a server is doing, in hoist's words.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum State {
    /// On its way, or in a state this hoist doesn't know.
    Pending,
    /// It runs and has an address.
    Running,
    /// Switched off; most providers charge for it all the same.
    Stopped,
    /// Destroyed, or being so.
    Gone,
    /// The provider gave up on it.
    Error,
}

impl State {
    /// Returns the word used in tables and records.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Pending => "pending",
            Self::Running => "running",
            Self::Stopped => "stopped",
            Self::Gone => "gone",
            Self::Error => "error",
        }
    }
}

/// A server as its provider tells of it. Texts come from outside and are not escaped.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Server {
    /// Where it is.
    pub provider: ProviderName,
    /// The provider's word for the place.
    pub region: String,
    /// The provider's id.
    pub id: String,
    /// The name it was given.
    pub name: String,
    /// The fleet its tags tell.
    pub fleet: Option<FleetName>,
    /// In hoist's words.
    pub state: State,
    /// In the provider's words.
    pub raw_state: String,
    /// Why, where it is in error.
    pub message: Option<String>,
    /// Public IPv4 address.
    pub ipv4: Option<IpAddr>,
    /// Public IPv6 address.
    pub ipv6: Option<IpAddr>,
    /// Private IPv4 address.
    pub private_ipv4: Option<IpAddr>,
    /// SSH port, where it is not 22.
    pub port: Option<u16>,
    /// Account to log in as, where the listing tells it.
    pub login_user: Option<String>,
    /// When it was made.
    pub created_at: Option<SystemTime>,
}

impl Server {
    /// Returns a server of which nothing else is known.
    pub fn new(provider: ProviderName, id: impl Into<String>, name: impl Into<String>) -> Self {
        Self {
            provider,
            region: String::new(),
            id: id.into(),
            name: name.into(),
            fleet: None,
            state: State::Pending,
            raw_state: String::new(),
            message: None,
            ipv4: None,
            ipv6: None,
            private_ipv4: None,
            port: None,
            login_user: None,
            created_at: None,
        }
    }

    /// Returns where it can be reached, public IPv4 first, a private address last.
    pub fn address(&self) -> Option<IpAddr> {
        self.ipv4.or(self.ipv6).or(self.private_ipv4)
    }
}

/// What is wanted of a provider: names as a person writes them.
#[derive(Debug, Clone)]
pub struct Spec {
    /// Whose servers they are to be.
    pub fleet: FleetName,
    /// Region, by id or name; some providers need none.
    pub region: Option<String>,
    /// Size, by id or name.
    pub size: Option<String>,
    /// Image, by id or name.
    pub image: Option<String>,
    /// The key that opens the servers.
    pub key: PublicKey,
    /// Tags besides hoist's own.
    pub tags: Vec<String>,
    /// The provider's own settings, as `--set KEY=VALUE` has them.
    pub options: BTreeMap<String, Value>,
    /// Network that may reach port 22, where the provider closes it.
    pub open_ssh_from: Option<String>,
}

/// What a [`Spec`] comes to: ids as the API takes them. Nothing was changed to learn it.
#[derive(Debug, Clone, PartialEq)]
pub struct Offer {
    /// The region's id.
    pub region: String,
    /// The size's id.
    pub size: String,
    /// The image's id.
    pub image: String,
    /// Account that the image lets in.
    pub login_user: String,
    /// Whether servers take user-data when they first boot.
    pub has_cloud_init: bool,
    /// Most bytes of user-data, before any encoding.
    pub user_data_limit: usize,
    /// What one server costs, where the API tells.
    pub price: Option<Price>,
    /// How many more such servers the account may have, where the API tells.
    pub quota_left: Option<u64>,
    /// What a person should know before agreeing, one line each.
    pub notes: Vec<String>,
}

/// What a server costs, without taxes.
#[derive(Debug, Clone, PartialEq)]
pub struct Price {
    /// For an hour.
    pub hourly: f64,
    /// For a month, where the vendor states it.
    pub monthly: Option<f64>,
    /// `USD`, `EUR`.
    pub currency: String,
}

/// What has to be there before the first server is made, by the ids that [`Order`]s name.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Prepared {
    /// How the API names the uploaded key; empty where keys go along with each order.
    pub key: String,
    /// Firewall or security groups.
    pub firewalls: Vec<String>,
}

/// One server to be made.
#[derive(Debug, Clone, Copy)]
pub struct Order<'a> {
    /// What is wanted.
    pub spec: &'a Spec,
    /// What it came to.
    pub offer: &'a Offer,
    /// What was prepared.
    pub prepared: &'a Prepared,
    /// The server's name.
    pub name: &'a str,
    /// At most 64 ASCII characters, different for every order, the same when one is sent again.
    pub token: &'a str,
    /// What the server reads when it first boots; empty for nothing.
    pub user_data: &'a [u8],
}

/// What became of a request to destroy.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Destroyed {
    /// It does not exist, any more or ever.
    Gone,
    /// It will be gone before long.
    Accepted,
}

/// What there is to choose from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Catalogue {
    /// Places.
    Regions,
    /// Kinds of server.
    Sizes,
    /// Systems to boot.
    Images,
}

/// Something to choose.
#[derive(Debug, Clone, PartialEq)]
pub struct Article {
    /// What an order names.
    pub id: String,
    /// For people: `Debian 12 x64 (bookworm)`, `1 vCPU, 1 GB`.
    pub name: String,
    /// What it costs, where the API tells.
    pub price: Option<Price>,
}

/// What an account may do, as far as the API tells without being asked for a server.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Account {
    /// Whose it is, or which project.
    pub name: Option<String>,
    /// What else is known, as `label: text`, in order.
    pub facts: Vec<(String, String)>,
}

/// A hosting API with an account.
///
/// Calls are tried again as the table in [`http`] says, and only as long as
/// [`Stop`] lets them. `create` alone is never repeated once it may have been heard.
pub trait Provider: Send + Sync {
    /// Returns which one it is.
    fn name(&self) -> ProviderName;

    /// Returns the only region that a fleet is listed in, where it is only one.
    fn region(&self) -> Option<String> {
        None
    }

    /// Makes sure that the credentials are accepted, and tells what is known of the account. Reads
    /// only.
    ///
    /// # Errors
    /// When they are not, or the API can't be reached.
    fn check(&self) -> Result<Account, ProviderError>;

    /// Lists what there is to choose from, in `region` where that makes a difference.
    ///
    /// # Errors
    /// When the API refuses or can't be reached, or the region is needed or not known.
    fn catalogue(
        &self,
        which: Catalogue,
        region: Option<&str>,
    ) -> Result<Vec<Article>, ProviderError>;

    /// Resolves names to ids and looks up price and quota. Reads only.
    ///
    /// # Errors
    /// When a name is not known ([`ProviderError::Unknown`] with what was perhaps meant), an option
    /// is not known, or something is missing.
    fn offer(&self, spec: &Spec) -> Result<Offer, ProviderError>;

    /// Makes what has to be there before the first server, unless it is there: the key, a firewall
    /// where one was asked for.
    ///
    /// # Errors
    /// When the API refuses or can't be reached.
    fn prepare(&self, spec: &Spec, offer: &Offer) -> Result<Prepared, ProviderError>;

    /// Makes one server, tagged as of the fleet from its first moment. Returns as soon as the API
    /// accepted it.
    ///
    /// # Errors
    /// [`ProviderError::Lost`] when the request may have been heard and no answer came: there may
    /// be a server now, and who calls has to look. Everything else means that there is none.
    fn create(&self, order: &Order<'_>) -> Result<Server, ProviderError>;

    /// Lists the servers of a fleet, or all that hoist made, every page; without those that are
    /// gone. A provider without tags returns all that could be meant, with `fleet` unset.
    ///
    /// # Errors
    /// When the API refuses or can't be reached.
    fn list(&self, fleet: Option<&FleetName>) -> Result<Vec<Server>, ProviderError>;

    /// Destroys one server. Returns as soon as the API accepted it.
    ///
    /// # Errors
    /// When the API refuses or can't be reached.
    fn destroy(&self, server: &Server) -> Result<Destroyed, ProviderError>;
}

/// Opens the account at a provider. Contacts nobody.
///
/// # Errors
/// When credentials are missing, or an address can't be used.
pub fn open(name: ProviderName, access: &Access) -> Result<Box<dyn Provider>, ProviderError> {
    match name {
        ProviderName::Sandbox => sandbox::open(access),
        ProviderName::Vultr => vultr::open(access),
        ProviderName::Ovh => ovh::open(access),
        ProviderName::Linode => linode::open(access),
        ProviderName::Aws => aws::open(access),
        ProviderName::DigitalOcean => digitalocean::open(access),
        ProviderName::Hetzner => hetzner::open(access),
    }
}
