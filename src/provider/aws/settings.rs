//! What a person may set besides region, size and image.

use std::net::IpAddr;

use crate::host::escaped;
use crate::provider::choice::{self, Kind};
use crate::provider::{FleetName, Price, ProviderError, Spec, TAG, error, json};

/// Their names, as the head of [`super`] explains them.
const KNOWN: [(&str, Kind); 12] = [
    ("security_groups", Kind::Texts),
    ("subnet", Kind::Text),
    ("zone", Kind::Text),
    ("public_ip", Kind::Flag),
    ("ipv6", Kind::Flag),
    ("volume_size", Kind::Number),
    ("volume_type", Kind::Text),
    ("volume_iops", Kind::Number),
    ("volume_throughput", Kind::Number),
    ("instance_profile", Kind::Text),
    ("login_user", Kind::Text),
    ("price_per_hour", Kind::Json),
];

/// Kinds of volume that EBS has; two of them can't boot.
const VOLUME_TYPES: [&str; 5] = ["gp3", "gp2", "io2", "io1", "standard"];

/// Most tags of one resource.
const MAX_TAGS: usize = 50;

/// Longest key and longest value of a tag, in characters.
const MAX_TAG: (usize, usize) = (128, 256);

/// What a spec sets for EC2.
#[derive(Debug, Clone, PartialEq, Default)]
pub(super) struct Settings {
    /// Ids or names.
    pub(super) security_groups: Vec<String>,
    /// Network that is let in to port 22 by a group of hoist's.
    pub(super) open_ssh_from: Option<Network>,
    pub(super) subnet: Option<String>,
    pub(super) zone: Option<String>,
    pub(super) public_ip: Option<bool>,
    pub(super) ipv6: bool,
    pub(super) volume: Volume,
    /// Name or ARN.
    pub(super) instance_profile: Option<String>,
    pub(super) login_user: Option<String>,
    pub(super) price: Option<Price>,
    /// Besides hoist's own, in order.
    pub(super) tags: Vec<(String, String)>,
}

/// The volume that a server boots from; what is not set is as the image has it.
#[derive(Debug, Clone, PartialEq, Default)]
pub(super) struct Volume {
    /// In GiB.
    pub(super) size: Option<u64>,
    pub(super) kind: Option<String>,
    pub(super) iops: Option<u64>,
    /// In MiB/s.
    pub(super) throughput: Option<u64>,
}

impl Settings {
    /// Checks what the spec sets.
    ///
    /// # Errors
    /// When a setting is not known or makes no sense, or nothing says who may reach port 22.
    pub(super) fn of(spec: &Spec) -> Result<Self, ProviderError> {
        let set = serde_json::Value::Object(choice::settings(&spec.options, &KNOWN)?);
        let groups: Vec<String> = json::words(&set, "/security_groups")
            .map(str::to_owned)
            .collect();
        let open_ssh_from = spec.open_ssh_from.as_deref();
        if groups.is_empty() && open_ssh_from.is_none() {
            return Err(input(
                "AWS EC2 lets nobody in to port 22 by itself: name groups that do, with the \
                 setting `security_groups`, or the network you come from, with \
                 `--open-ssh-from CIDR`",
            ));
        }
        let number = |name: &str| set.get(name).and_then(serde_json::Value::as_u64);
        let flag = |name: &str| set.get(name).and_then(serde_json::Value::as_bool);
        for (name, least) in [
            ("volume_size", 1),
            ("volume_iops", 100),
            ("volume_throughput", 125),
        ] {
            if set.get(name).is_some() && number(name).is_none_or(|number| number < least) {
                return Err(input(format!("the setting `{name}` is at least {least}")));
            }
        }
        Ok(Self {
            security_groups: groups,
            open_ssh_from: open_ssh_from.map(Network::parse).transpose()?,
            subnet: json::some_text(&set, "/subnet"),
            zone: json::some_text(&set, "/zone"),
            public_ip: flag("public_ip"),
            ipv6: flag("ipv6").unwrap_or(false),
            volume: Volume {
                size: number("volume_size"),
                kind: volume_type(json::some_text(&set, "/volume_type"))?,
                iops: number("volume_iops"),
                throughput: number("volume_throughput"),
            },
            instance_profile: json::some_text(&set, "/instance_profile"),
            login_user: json::some_text(&set, "/login_user"),
            price: price(&set)?,
            tags: tags(&spec.tags)?,
        })
    }

    /// Returns all tags of a server called `name`.
    pub(super) fn all_tags(&self, fleet: &FleetName, name: &str) -> Vec<(String, String)> {
        let mut tags = fleet_tags(fleet);
        tags.push(("Name".to_owned(), name.to_owned()));
        tags.extend(self.tags.iter().cloned());
        tags
    }
}

/// Returns the tags that tell hoist's own.
pub(super) fn fleet_tags(fleet: &FleetName) -> Vec<(String, String)> {
    vec![(TAG.to_owned(), fleet.as_str().to_owned())]
}

fn volume_type(wanted: Option<String>) -> Result<Option<String>, ProviderError> {
    match wanted {
        Some(kind) if !VOLUME_TYPES.contains(&kind.as_str()) => Err(error::unknown(
            "volume type",
            &kind,
            VOLUME_TYPES.into_iter(),
        )),
        wanted => Ok(wanted),
    }
}

fn price(set: &serde_json::Value) -> Result<Option<Price>, ProviderError> {
    if set.get("price_per_hour").is_none() {
        return Ok(None);
    }
    let hourly = json::number(set, "/price_per_hour").filter(|price| *price >= 0.0);
    let hourly = hourly.ok_or_else(|| input("the setting `price_per_hour` takes US dollars"))?;
    Ok(Some(Price {
        hourly,
        monthly: None,
        currency: "USD".to_owned(),
    }))
}

/// Reads tags: `key=value`, or a key alone.
fn tags(texts: &[String]) -> Result<Vec<(String, String)>, ProviderError> {
    let mut tags: Vec<(String, String)> = Vec::new();
    for text in texts {
        let (key, value) = text.split_once('=').unwrap_or((text, ""));
        let bad = |why: &str| Err(input(format!("the tag `{}` {why}", escaped(text))));
        let is_own = key == TAG || key == "Name";
        if is_own || tags.iter().any(|(known, _)| known == key) {
            return bad("can be there only once; `hoist` and `Name` are hoist's own");
        }
        if key.is_empty() || key.to_ascii_lowercase().starts_with("aws:") {
            return bad("needs a key, which can't begin with `aws:`");
        }
        if key.chars().count() > MAX_TAG.0 || value.chars().count() > MAX_TAG.1 {
            return bad("is longer than AWS takes: 128 characters for the key, 256 for the value");
        }
        tags.push((key.to_owned(), value.to_owned()));
    }
    if tags.len() + 2 > MAX_TAGS {
        return Err(input("AWS takes at most 48 tags besides hoist's own"));
    }
    Ok(tags)
}

/// A network of addresses, as a rule names it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Network {
    first: IpAddr,
    length: u32,
}

impl Network {
    /// Reads `192.0.2.0/24`; an address alone is a network of its own.
    ///
    /// # Errors
    /// When it is none.
    pub(super) fn parse(text: &str) -> Result<Self, ProviderError> {
        let network = Self::read(text.trim());
        network.ok_or_else(|| {
            let text = escaped(text);
            input(format!(
                "`{text}` is no network; write one like `192.0.2.0/24`"
            ))
        })
    }

    fn read(text: &str) -> Option<Self> {
        let (address, length) = match text.split_once('/') {
            Some((address, length)) => (address, Some(length.parse::<u32>().ok()?)),
            None => (text, None),
        };
        match address.parse().ok()? {
            IpAddr::V4(address) => {
                let length = length.unwrap_or(32);
                let shift = 32_u32.checked_sub(length)?;
                let mask = u32::MAX.checked_shl(shift).unwrap_or(0);
                let first = IpAddr::V4((address.to_bits() & mask).into());
                Some(Self { first, length })
            }
            IpAddr::V6(address) => {
                let length = length.unwrap_or(128);
                let shift = 128_u32.checked_sub(length)?;
                let mask = u128::MAX.checked_shl(shift).unwrap_or(0);
                let first = IpAddr::V6((address.to_bits() & mask).into());
                Some(Self { first, length })
            }
        }
    }

    /// Whether it is IPv6.
    pub(super) fn is_ipv6(&self) -> bool {
        self.first.is_ipv6()
    }

    /// Whether `text` is the same network.
    pub(super) fn is_same(&self, text: &str) -> bool {
        Self::read(text) == Some(*self)
    }
}

impl std::fmt::Display for Network {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}/{}", self.first, self.length)
    }
}

/// Returns the error of something asked for that makes no sense.
pub(super) fn input(message: impl Into<String>) -> ProviderError {
    ProviderError::Input {
        message: message.into(),
    }
}
