//! What Vultr offers, and what an order comes to.

use serde_json::Value;

use super::super::choice::choose;
use super::super::{Account, Article, Offer, Price, ProviderError, Spec, json};
use super::{NAME, SOURCES, Vultr, settings, source};
use crate::host::escaped;

/// Hours by which the price of a month is divided where none of an hour is told: Vultr charges for
/// 28 days of a month at most.
const HOURS: f64 = 672.0;

/// Most bytes of user-data before they are encoded.
const USER_DATA_LIMIT: usize = 65_535;

/// Families of operating systems that stand for something else that is ordered by a field of its
/// own.
const PLACEHOLDERS: [&str; 5] = ["application", "backup", "iso", "ipxe", "snapshot"];

/// Systems without cloud-init, by words of their family or name in lower case.
const WITHOUT_CLOUD_INIT: [&str; 6] =
    ["windows", "freebsd", "openbsd", "coreos", "flatcar", "ipxe"];

impl Vultr {
    /// Lists the regions.
    pub(super) fn regions(&self) -> Result<Vec<Article>, ProviderError> {
        let regions = self.all("/regions", "regions")?;
        let articles = regions.iter().filter_map(|region| {
            let (city, country) = (json::text(region, "/city"), json::text(region, "/country"));
            let named = [city, country].into_iter().filter(|word| !word.is_empty());
            article(region, &named.collect::<Vec<_>>().join(", "), None)
        });
        Ok(articles.collect())
    }

    /// Lists the plans, or those that can be had in a region.
    pub(super) fn sizes(&self, region: Option<&str>) -> Result<Vec<Article>, ProviderError> {
        let region = match region {
            Some(wanted) => {
                let regions = self.regions()?;
                Some(choose(NAME, "region", wanted, &regions)?.id.clone())
            }
            None => None,
        };
        let plans = self.plans()?;
        let there = plans.iter().filter(|plan| {
            let region = region.as_deref();
            region.is_none_or(|region| is_offered(plan, region))
        });
        let region = region.as_deref();
        Ok(there.filter_map(|plan| size(plan, region)).collect())
    }

    /// Lists the operating systems.
    pub(super) fn images(&self) -> Result<Vec<Article>, ProviderError> {
        Ok(self.systems()?.iter().filter_map(image).collect())
    }

    /// Returns what an order comes to.
    pub(super) fn resolve(&self, spec: &Spec) -> Result<Offer, ProviderError> {
        refuse_network(spec)?;
        let settings = settings(spec)?;
        let source = source(&settings);
        let wanted_region = needed("region", spec.region.as_ref())?;
        let wanted_size = needed("size", spec.size.as_ref())?;
        let wanted_system = match (source, &spec.image) {
            (Some((name, _)), Some(image)) => return Err(both(name, image)),
            (Some(_), None) => None,
            (None, image) => Some(needed("image", image.as_ref())?),
        };
        let regions = self.regions()?;
        let region = choose(NAME, "region", wanted_region, &regions)?;
        let size = self.size(wanted_size, &region.id)?;
        let mut offer = Offer {
            region: region.id.clone(),
            size: size.id,
            image: String::new(),
            login_user: "root".to_owned(),
            has_cloud_init: false,
            user_data_limit: USER_DATA_LIMIT,
            price: size.price,
            quota_left: None,
            notes: Vec::new(),
        };
        if let Some(wanted) = wanted_system {
            self.add_system(wanted, &mut offer)?;
        }
        let is_set = |name: &str, value: Value| settings.get(name) == Some(&value);
        if is_set("backups", "enabled".into()) || is_set("ddos_protection", true.into()) {
            offer.notes.push(
                "backups and DDoS protection cost extra; the price is without them".to_owned(),
            );
        }
        if let Some((name, id)) = source {
            offer.image = json::id(id, "").unwrap_or_default();
            offer.notes.push(format!(
                "nobody knows whether what {name} names has cloud-init: its host key is not known \
                 before the first login"
            ));
        }
        Ok(offer)
    }

    /// Returns the plan that is `wanted` and can be had in the region.
    fn size(&self, wanted: &str, region: &str) -> Result<Article, ProviderError> {
        let plans = self.plans()?;
        let (here, elsewhere): (Vec<_>, Vec<_>) =
            plans.iter().partition(|plan| is_offered(plan, region));
        let here = here.into_iter();
        let here: Vec<Article> = here.filter_map(|plan| size(plan, Some(region))).collect();
        let unknown = match choose(NAME, "size", wanted, &here) {
            Ok(size) => return Ok(size.clone()),
            Err(error) => error,
        };
        let other = elsewhere
            .into_iter()
            .find(|plan| json::text(plan, "/id") == wanted);
        Err(other.map_or(unknown, |plan| not_offered(plan, region)))
    }

    /// Adds the operating system that is `wanted` to the offer.
    fn add_system(&self, wanted: &str, offer: &mut Offer) -> Result<(), ProviderError> {
        let systems = self.systems()?;
        let articles: Vec<Article> = systems.iter().filter_map(image).collect();
        let chosen = choose(NAME, "image", wanted, &articles)?;
        let mut systems = systems.iter();
        let system = systems.find(|system| json::id(system, "/id").as_ref() == Some(&chosen.id));
        offer.image.clone_from(&chosen.id);
        offer.has_cloud_init = system.is_some_and(has_cloud_init);
        if !offer.has_cloud_init {
            offer.notes.push(format!(
                "`{}` has no cloud-init: it reads no user-data, and its host key is not known \
                 before the first login",
                chosen.name
            ));
        }
        Ok(())
    }

    fn plans(&self) -> Result<Vec<Value>, ProviderError> {
        self.all("/plans?type=all", "plans")
    }

    fn systems(&self) -> Result<Vec<Value>, ProviderError> {
        let mut systems = self.all("/os", "os")?;
        systems.retain(|system| !PLACEHOLDERS.contains(&json::text(system, "/family")));
        Ok(systems)
    }
}

/// Returns what is known of the account.
pub(super) fn account(answer: &Value) -> Account {
    let account = answer.get("account").unwrap_or(&Value::Null);
    let mut facts = Vec::new();
    let mut add = |label: &str, text: String| facts.push((label.to_owned(), text));
    // A balance below zero is money of the account's owner.
    if let Some(balance) = json::number(account, "/balance") {
        add("balance", format!("{balance:.2} USD"));
    }
    if let Some(charges) = json::number(account, "/pending_charges") {
        add("pending charges", format!("{charges:.2} USD"));
    }
    let acls: Vec<String> = json::words(account, "/acls").map(escaped).collect();
    if !acls.is_empty() {
        add("permissions", acls.join(", "));
    }
    Account {
        name: json::some_text(account, "/name").map(|name| escaped(&name)),
        facts,
    }
}

fn article(value: &Value, name: &str, price: Option<Price>) -> Option<Article> {
    let id = json::id(value, "/id")?;
    let name = if name.is_empty() { &id } else { name };
    Some(Article {
        name: escaped(name),
        id,
        price,
    })
}

fn image(system: &Value) -> Option<Article> {
    article(system, json::text(system, "/name"), None)
}

fn size(plan: &Value, region: Option<&str>) -> Option<Article> {
    let number = |path: &str| json::number(plan, path).unwrap_or_default();
    let name = format!(
        "{} vCPU, {} GB, {} GB disk",
        number("/vcpu_count"),
        number("/ram") / 1024.0,
        number("/disk")
    );
    article(plan, &name, price(plan, region))
}

/// Returns what a plan costs; some regions have prices of their own.
fn price(plan: &Value, region: Option<&str>) -> Option<Price> {
    let there = region.and_then(|region| plan.get("location_cost")?.get(region));
    let is_told = |cost: &&Value| json::number(cost, "/monthly_cost").is_some();
    let told = there.filter(is_told).unwrap_or(plan);
    let monthly = json::number(told, "/monthly_cost");
    let hourly = json::number(told, "/hourly_cost");
    Some(Price {
        hourly: hourly.or_else(|| monthly.map(|monthly| monthly / HOURS))?,
        monthly,
        currency: "USD".to_owned(),
    })
}

/// Whether a plan can be had in a region, as far as it is told.
fn is_offered(plan: &Value, region: &str) -> bool {
    plan.get("locations").is_none() || json::words(plan, "/locations").any(|there| there == region)
}

fn not_offered(plan: &Value, region: &str) -> ProviderError {
    let elsewhere: Vec<String> = json::words(plan, "/locations").map(escaped).collect();
    let elsewhere = match elsewhere.as_slice() {
        [] => "nor anywhere else now".to_owned(),
        regions => format!("but in {}", regions.join(", ")),
    };
    input(format!(
        "Vultr has no `{}` in `{}`, {elsewhere}; `hoist cloud sizes {NAME}` lists what there is",
        escaped(json::text(plan, "/id")),
        escaped(region),
    ))
}

fn has_cloud_init(system: &Value) -> bool {
    let family = json::text(system, "/family").to_lowercase();
    let name = json::text(system, "/name").to_lowercase();
    let mut without = WITHOUT_CLOUD_INIT.into_iter();
    !without.any(|word| family.contains(word) || name.contains(word))
}

/// Refuses what would only seem to be done.
fn refuse_network(spec: &Spec) -> Result<(), ProviderError> {
    let Some(network) = &spec.open_ssh_from else {
        return Ok(());
    };
    Err(input(format!(
        "Vultr leaves port 22 open to everyone, and hoist closes nothing there; to let in only \
         `{}`, make a firewall group at https://my.vultr.com/firewall/ and set firewall_group_id \
         to its id",
        escaped(network)
    )))
}

fn both(source: &str, image: &str) -> ProviderError {
    input(format!(
        "a server is made of one thing at Vultr: leave out the image `{}`, or {source}",
        escaped(image)
    ))
}

/// Returns what was asked for, which can't be left out.
fn needed<'a>(what: &str, wanted: Option<&'a String>) -> Result<&'a str, ProviderError> {
    let or = match what {
        "image" => format!(", or one of the settings {}", SOURCES.join(", ")),
        _ => String::new(),
    };
    wanted.map(String::as_str).ok_or_else(|| {
        input(format!(
            "an order at Vultr needs the {what}{or}; `hoist cloud {what}s {NAME}` lists them"
        ))
    })
}

fn input(message: String) -> ProviderError {
    ProviderError::Input { message }
}
