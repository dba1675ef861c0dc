//! What Linode offers, and what an order comes to.

use serde_json::Value;

use super::super::choice::{self, choose};
use super::super::http::Answer;
use super::super::{Account, Article, Offer, Price, ProviderError, Spec, json};
use super::{Linode, NAME, SETTINGS};
use crate::host::escaped;

/// Most bytes of user-data before they are encoded.
const USER_DATA_LIMIT: usize = 65_535;

impl Linode {
    /// Lists the regions.
    pub(super) fn regions(&self) -> Result<Vec<Article>, ProviderError> {
        Ok(articles(&self.all("/regions", None)?))
    }

    /// Lists the types, with what they cost in a region where one is named.
    pub(super) fn sizes(&self, region: Option<&str>) -> Result<Vec<Article>, ProviderError> {
        let region = match region {
            Some(wanted) => {
                let regions = self.regions()?;
                Some(choose(NAME, "region", wanted, &regions)?.id.clone())
            }
            None => None,
        };
        self.types(region.as_deref())
    }

    fn types(&self, region: Option<&str>) -> Result<Vec<Article>, ProviderError> {
        let types = self.all("/linode/types", None)?;
        let sizes = types.iter().filter_map(|kind| {
            let article = article(kind)?;
            let price = price(kind, region);
            Some(Article { price, ..article })
        });
        Ok(sizes.collect())
    }

    /// Lists the images that can be booted.
    pub(super) fn images(&self) -> Result<Vec<Article>, ProviderError> {
        Ok(articles(&self.bootable()?))
    }

    fn bootable(&self) -> Result<Vec<Value>, ProviderError> {
        let mut images = self.all("/images", None)?;
        images.retain(|image| matches!(json::text(image, "/status"), "" | "available"));
        Ok(images)
    }

    /// Returns what an order comes to.
    pub(super) fn resolve(&self, spec: &Spec) -> Result<Offer, ProviderError> {
        refuse_network(spec)?;
        let settings = choice::settings(&spec.options, &SETTINGS)?;
        let wanted_region = needed("region", spec.region.as_ref())?;
        let wanted_size = needed("size", spec.size.as_ref())?;
        let wanted_image = needed("image", spec.image.as_ref())?;
        let regions = self.all("/regions", None)?;
        let (region, region_told) = chosen("region", wanted_region, &regions)?;
        let types = self.types(Some(&region.id))?;
        let size = choose(NAME, "size", wanted_size, &types)?.clone();
        let images = self.bootable()?;
        let (image, image_told) = chosen("image", wanted_image, &images)?;
        let mut offer = Offer {
            region: region.id,
            size: size.id,
            image: image.id,
            login_user: "root".to_owned(),
            has_cloud_init: false,
            user_data_limit: USER_DATA_LIMIT,
            price: size.price,
            quota_left: None,
            notes: Vec::new(),
        };
        judge(&mut offer, region_told, image_told);
        if settings.get("backups_enabled") == Some(&Value::Bool(true)) {
            let note = "backups cost extra; the price is without them";
            offer.notes.push(note.to_owned());
        }
        Ok(offer)
    }
}

/// Adds to the offer what is told of its region and image.
fn judge(offer: &mut Offer, region: &Value, image: &Value) {
    let can = |value: &Value, word: &str| {
        let mut capabilities = json::words(value, "/capabilities");
        capabilities.any(|capability| capability == word)
    };
    let (is_told, is_read) = (can(region, "Metadata"), can(image, "cloud-init"));
    offer.has_cloud_init = is_told && is_read;
    let shown = (escaped(&offer.region), escaped(&offer.image));
    let without = match (is_told, is_read) {
        (true, true) => None,
        (false, _) => Some(format!("the region `{}`", shown.0)),
        (true, false) => Some(format!("the image `{}`", shown.1)),
    };
    let without = without.map(|what| {
        format!(
            "{what} has no cloud-init: servers read no user-data, and their host key is not known \
             before the first login"
        )
    });
    offer.notes.extend(without);
    if json::text(region, "/status") == "outage" {
        let note = format!("Linode says that the region `{}` has an outage", shown.0);
        offer.notes.push(note);
    }
    if image.pointer("/deprecated") == Some(&Value::Bool(true)) {
        let note = format!("Linode no longer maintains the image `{}`", shown.1);
        offer.notes.push(note);
    }
}

/// Returns what is known of the account, from a list of its servers.
pub(super) fn account(answer: &Answer) -> Account {
    let mut facts = Vec::new();
    let servers = json::id(&answer.json(), "/results");
    facts.extend(servers.map(|count| ("servers".to_owned(), count)));
    let scopes = answer.header("x-oauth-scopes").map(escaped);
    let scopes = scopes.filter(|scopes| !scopes.is_empty());
    facts.extend(scopes.map(|scopes| ("permissions".to_owned(), scopes)));
    Account { name: None, facts }
}

/// Returns what was chosen among the values, as an article and as it was told.
fn chosen<'a>(
    what: &'static str,
    wanted: &str,
    values: &'a [Value],
) -> Result<(Article, &'a Value), ProviderError> {
    let article = choose(NAME, what, wanted, &articles(values))?.clone();
    let mut told = values.iter();
    let told = told.find(|value| json::id(value, "/id").as_ref() == Some(&article.id));
    Ok((article, told.unwrap_or(&Value::Null)))
}

fn articles(values: &[Value]) -> Vec<Article> {
    values.iter().filter_map(article).collect()
}

fn article(value: &Value) -> Option<Article> {
    let id = json::id(value, "/id")?;
    let label = json::some_text(value, "/label");
    Some(Article {
        name: escaped(label.as_ref().unwrap_or(&id)),
        id,
        price: None,
    })
}

/// Returns what a type costs, in the region where that makes a difference.
fn price(kind: &Value, region: Option<&str>) -> Option<Price> {
    let mut special = json::list(kind, "/region_prices").iter();
    let special =
        region.and_then(|region| special.find(|price| json::text(price, "/id") == region));
    let usual = kind.pointer("/price");
    let number = |path: &str| {
        let special = special.and_then(|price| json::number(price, path));
        special.or_else(|| json::number(usual?, path))
    };
    Some(Price {
        hourly: number("/hourly")?,
        monthly: number("/monthly"),
        currency: "USD".to_owned(),
    })
}

/// Refuses what would only seem to be done.
fn refuse_network(spec: &Spec) -> Result<(), ProviderError> {
    let Some(network) = &spec.open_ssh_from else {
        return Ok(());
    };
    Err(input(format!(
        "Linode leaves port 22 open to everyone, and hoist closes nothing there; to let in only \
         `{}`, make a firewall at https://cloud.linode.com/firewalls and set firewall_id to its id",
        escaped(network)
    )))
}

/// Returns what was asked for, which can't be left out.
fn needed<'a>(what: &str, wanted: Option<&'a String>) -> Result<&'a str, ProviderError> {
    wanted.map(String::as_str).ok_or_else(|| {
        input(format!(
            "an order at Linode needs the {what}; `hoist cloud {what}s {NAME}` lists them"
        ))
    })
}

fn input(message: String) -> ProviderError {
    ProviderError::Input { message }
}
