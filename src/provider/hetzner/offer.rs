//! What there is to choose from at Hetzner Cloud, and what a choice comes to.

use serde_json::Value;

use super::super::choice::choose;
use super::super::{Article, Catalogue, Offer, Price, ProviderError, Spec, json as field};
use super::{Hetzner, PROVIDER, order};
use crate::host::escaped;

/// Most bytes of user-data: 32 KiB.
const USER_DATA_LIMIT: usize = 32 * 1024;

const LOCATIONS: &str = "/locations";
const TYPES: &str = "/server_types";
const IMAGES: &str = "/images?type=system&type=snapshot&type=app&status=available";

impl Hetzner {
    /// Lists what can be ordered, in `region` where that makes a difference.
    pub(super) fn articles(
        &self,
        which: Catalogue,
        region: Option<&str>,
    ) -> Result<Vec<Article>, ProviderError> {
        match which {
            Catalogue::Regions => {
                let locations = self.all(LOCATIONS, "locations")?;
                Ok(locations.iter().map(location_article).collect())
            }
            Catalogue::Sizes => {
                let location = self.location(region)?;
                let types = self.all(TYPES, "server_types")?;
                let types = types.iter().filter(|kind| is_in(kind, &location));
                Ok(types.map(|kind| type_article(kind, &location)).collect())
            }
            // The same system for another architecture has the same name.
            Catalogue::Images => {
                let mut articles: Vec<Article> = Vec::new();
                for image in self.all(IMAGES, "images")? {
                    let article = image_article(&image);
                    if articles.iter().all(|other| other.id != article.id) {
                        articles.push(article);
                    }
                }
                Ok(articles)
            }
        }
    }

    /// Looks up everything that the spec names.
    pub(super) fn offered(&self, spec: &Spec) -> Result<Offer, ProviderError> {
        let settings = order::checked(spec)?;
        order::labels(spec)?;
        check_open(spec)?;
        let location = self.location(spec.region.as_deref())?;
        let types = self.all(TYPES, "server_types")?;
        let articles: Vec<Article> = types
            .iter()
            .map(|kind| type_article(kind, &location))
            .collect();
        let size = pick("size", spec.size.as_deref(), &articles)?;
        let mut kinds = types.iter();
        let kind = kinds
            .find(|kind| field::text(kind, "/name") == size.id)
            .unwrap_or(&Value::Null);
        check_type(kind, &location)?;
        let image = self.image(spec, field::text(kind, "/architecture"))?;
        let mut notes = Vec::new();
        if location.is_empty() {
            notes.push(
                "no location given: Hetzner chooses one, the price is that of the dearest"
                    .to_owned(),
            );
        }
        notes.extend(warnings(kind, &location));
        let net = settings.get("public_net");
        if net.and_then(|net| net.get("enable_ipv4")) != Some(&Value::Bool(false)) {
            notes.push("a public IPv4 address costs extra, the price is without it".to_owned());
        }
        Ok(Offer {
            region: location,
            size: size.id.clone(),
            image,
            login_user: "root".to_owned(),
            has_cloud_init: true,
            user_data_limit: USER_DATA_LIMIT,
            price: size.price.clone(),
            quota_left: None,
            notes,
        })
    }

    /// Returns the location's name; none where the vendor may choose.
    fn location(&self, wanted: Option<&str>) -> Result<String, ProviderError> {
        if wanted.is_none() {
            return Ok(String::new());
        }
        let locations = self.all(LOCATIONS, "locations")?;
        let articles: Vec<Article> = locations.iter().map(location_article).collect();
        Ok(pick("region", wanted, &articles)?.id.clone())
    }

    /// Returns the image's name, or its number where it has none.
    fn image(&self, spec: &Spec, architecture: &str) -> Result<String, ProviderError> {
        let path = match architecture {
            "" => IMAGES.to_owned(),
            known => format!("{IMAGES}&architecture={}", super::encoded(known)),
        };
        let images = self.all(&path, "images")?;
        let articles: Vec<Article> = images.iter().map(image_article).collect();
        Ok(pick("image", spec.image.as_deref(), &articles)?.id.clone())
    }
}

fn pick<'a>(
    what: &'static str,
    wanted: Option<&str>,
    articles: &'a [Article],
) -> Result<&'a Article, ProviderError> {
    let wanted = wanted.ok_or_else(|| ProviderError::Input {
        message: format!("Hetzner needs the {what}; `hoist cloud {what}s {PROVIDER}` lists them"),
    })?;
    choose(PROVIDER, what, wanted, articles)
}

/// A server type has to be on sale in the location.
fn check_type(kind: &Value, location: &str) -> Result<(), ProviderError> {
    if is_in(kind, location) {
        return Ok(());
    }
    let name = escaped(field::text(kind, "/name"));
    let places: Vec<String> = places(kind).map(escaped).collect();
    let message = if places.is_empty() {
        format!("size `{name}` is not sold anywhere")
    } else {
        format!(
            "size `{name}` is not to be had in `{}`, only in {}",
            escaped(location),
            places.join(", ")
        )
    };
    Err(ProviderError::Input { message })
}

/// Returns what may stand in the way although the server type is on sale there.
fn warnings(kind: &Value, location: &str) -> Vec<String> {
    let name = escaped(field::text(kind, "/name"));
    let mut warnings = Vec::new();
    let mut places = field::list(kind, "/locations").iter();
    let place = places.find(|place| field::text(place, "/name") == location);
    let place = place.unwrap_or(&Value::Null);
    if place.get("available") == Some(&Value::Bool(false)) {
        let location = escaped(location);
        warnings.push(format!(
            "`{name}` is sold out in `{location}` at the moment"
        ));
    }
    let ends = "/deprecation/unavailable_after";
    let end = field::some_text(place, ends).or_else(|| field::some_text(kind, ends));
    if let Some(end) = end {
        let end = escaped(&end);
        warnings.push(format!("`{name}` is not sold after {end}"));
    }
    warnings
}

/// Nothing closes port 22 of a server, so that opening it to a few would promise too much.
fn check_open(spec: &Spec) -> Result<(), ProviderError> {
    match spec.open_ssh_from.as_deref() {
        None | Some("0.0.0.0/0" | "::/0") => Ok(()),
        Some(network) => Err(ProviderError::Input {
            message: format!(
                "Hetzner leaves port 22 open to everyone, so it can't be opened to {} only; name no \
                 network, or make a firewall at https://console.hetzner.com and name its number: \
                 --set firewalls=NUMBER",
                escaped(network)
            ),
        }),
    }
}

/// Whether a server type is on sale in the location; an empty one is any.
fn is_in(kind: &Value, location: &str) -> bool {
    location.is_empty() || places(kind).any(|place| place == location)
}

/// Yields where a server type is on sale: as it says, or else where it has a price.
fn places(kind: &Value) -> impl Iterator<Item = &str> {
    let (places, name) = match field::list(kind, "/locations") {
        [] => (field::list(kind, "/prices"), "/location"),
        places => (places, "/name"),
    };
    places.iter().map(move |place| field::text(place, name))
}

fn location_article(location: &Value) -> Article {
    Article {
        id: field::text(location, "/name").to_owned(),
        name: format!(
            "{}, {}",
            field::text(location, "/city"),
            field::text(location, "/country")
        ),
        price: None,
    }
}

fn type_article(kind: &Value, location: &str) -> Article {
    let number = |path: &str| field::number(kind, path).unwrap_or(0.0);
    let name = format!(
        "{} vCPU, {} GB, {} GB disk, {} {}",
        number("/cores"),
        number("/memory"),
        number("/disk"),
        field::text(kind, "/cpu_type"),
        field::text(kind, "/architecture")
    );
    Article {
        id: field::text(kind, "/name").to_owned(),
        name,
        price: price(kind, location),
    }
}

/// Returns the price in the location; where that is any, the highest.
fn price(kind: &Value, location: &str) -> Option<Price> {
    let prices = field::list(kind, "/prices").iter();
    let prices =
        prices.filter(|price| location.is_empty() || field::text(price, "/location") == location);
    let prices = prices.filter_map(|price| {
        Some(Price {
            hourly: field::number(price, "/price_hourly/net")?,
            monthly: field::number(price, "/price_monthly/net"),
            currency: "EUR".to_owned(),
        })
    });
    prices.max_by(|a, b| a.hourly.total_cmp(&b.hourly))
}

/// Systems and applications have a name, all others a number only.
fn image_article(image: &Value) -> Article {
    let name = field::some_text(image, "/name");
    Article {
        id: name.or_else(|| field::id(image, "/id")).unwrap_or_default(),
        name: field::text(image, "/description").to_owned(),
        price: None,
    }
}
