//! What there is to choose from at `DigitalOcean`, and what a choice comes to.

use serde_json::Value;

use super::super::choice::{choose, settings};
use super::super::{Article, Catalogue, Offer, Price, ProviderError, Spec, json as field};
use super::{DigitalOcean, PROVIDER, order, unless_forbidden};
use crate::host::escaped;

/// Most bytes of user-data: 64 KiB.
const USER_DATA_LIMIT: usize = 64 * 1024;

const REGIONS: &str = "/v2/regions";
const SIZES: &str = "/v2/sizes";

/// A droplet of a GPU size is left out where droplets are listed by tag, so it would be forgotten.
fn has_gpu(size: &Value) -> bool {
    size.get("gpu_info").is_some_and(|info| !info.is_null())
        || field::text(size, "/slug").starts_with("gpu-")
}

impl DigitalOcean {
    /// Lists what can be ordered, in `region` where that makes a difference.
    pub(super) fn articles(
        &self,
        which: Catalogue,
        region: Option<&str>,
    ) -> Result<Vec<Article>, ProviderError> {
        if which == Catalogue::Regions {
            let regions = self.all(REGIONS, "regions")?;
            let open = regions.iter().filter(|region| is_available(region));
            return Ok(open.map(region_article).collect());
        }
        let region = match region {
            None => String::new(),
            Some(wanted) => {
                let regions = self.all(REGIONS, "regions")?;
                let chosen = pick("region", Some(wanted), &regions, region_article)?;
                field::text(chosen, "/slug").to_owned()
            }
        };
        let is_there = |item: &&Value| region.is_empty() || is_in(item, &region);
        if which == Catalogue::Sizes {
            let sizes = self.all(SIZES, "sizes")?;
            let sizes = sizes.iter().filter(is_there);
            let sizes = sizes.filter(|size| is_available(size) && !has_gpu(size));
            return Ok(sizes.map(size_article).collect());
        }
        let images = self.images()?;
        Ok(images.iter().filter(is_there).map(image_article).collect())
    }

    /// Looks up everything that the spec names.
    pub(super) fn offered(&self, spec: &Spec) -> Result<Offer, ProviderError> {
        let settings = settings(&spec.options, &order::SETTINGS)?;
        order::tags(spec)?;
        check_open(spec)?;
        let region = self.region(spec)?;
        let sizes = self.all(SIZES, "sizes")?;
        let size = pick("size", spec.size.as_deref(), &sizes, size_article)?;
        check_size(size, &region)?;
        let image = self.image(spec, &region)?;
        let mut notes = Vec::new();
        if region.is_empty() {
            notes.push("no region given: DigitalOcean chooses one".to_owned());
        }
        if settings.get("backups") == Some(&Value::Bool(true)) {
            notes.push("backups cost extra, the price is without them".to_owned());
        }
        let quota_left = self.quota(&mut notes)?;
        let size = size_article(size);
        Ok(Offer {
            region,
            size: size.id,
            image,
            login_user: "root".to_owned(),
            has_cloud_init: true,
            user_data_limit: USER_DATA_LIMIT,
            price: size.price,
            quota_left,
            notes,
        })
    }

    /// Returns the region's slug; none where the vendor may choose.
    fn region(&self, spec: &Spec) -> Result<String, ProviderError> {
        let Some(wanted) = &spec.region else {
            return Ok(String::new());
        };
        let regions = self.all(REGIONS, "regions")?;
        let region = pick("region", Some(wanted), &regions, region_article)?;
        let slug = field::text(region, "/slug").to_owned();
        if is_available(region) {
            return Ok(slug);
        }
        let open = regions.iter().filter(|region| is_available(region));
        Err(ProviderError::Input {
            message: format!(
                "DigitalOcean makes no new droplets in `{}`; it does in {}",
                escaped(&slug),
                listed(open.map(|region| field::text(region, "/slug")))
            ),
        })
    }

    /// Returns the image's slug or number. Applications are looked at only where nothing else is
    /// meant, because most have the name of a system in theirs.
    fn image(&self, spec: &Spec, region: &str) -> Result<String, ProviderError> {
        let wanted = spec.image.as_deref();
        let mut images = self.images()?;
        let chosen = match pick("image", wanted, &images, image_article) {
            Err(error @ ProviderError::Unknown { .. }) => {
                images = self.all("/v2/images?type=application", "images")?;
                pick("image", wanted, &images, image_article).map_err(|_| error)?
            }
            chosen => chosen?,
        };
        let id = image_article(chosen).id;
        let has_places = !field::list(chosen, "/regions").is_empty();
        if !region.is_empty() && has_places && !is_in(chosen, region) {
            return Err(ProviderError::Input {
                message: format!(
                    "image `{}` is not in `{}`, only in {}",
                    escaped(&id),
                    escaped(region),
                    listed(field::words(chosen, "/regions"))
                ),
            });
        }
        Ok(id)
    }

    /// Returns the systems, and the images of the account itself.
    fn images(&self) -> Result<Vec<Value>, ProviderError> {
        let mut images = self.all("/v2/images?type=distribution", "images")?;
        let own = self.all("/v2/images?private=true", "images")?;
        images.extend(own);
        let is_made = |image: &Value| {
            !matches!(field::text(image, "/status"), "NEW" | "pending" | "deleted")
                && !image_article(image).id.is_empty()
        };
        images.retain(is_made);
        Ok(images)
    }

    /// Returns how many more droplets the account may have, where the token may know; what is wrong
    /// with the account goes to the notes.
    fn quota(&self, notes: &mut Vec<String>) -> Result<Option<u64>, ProviderError> {
        let Some(account) = unless_forbidden(self.get("/v2/account"))? else {
            return Ok(None);
        };
        let status = field::text(&account, "/account/status");
        if !matches!(status, "" | "active") {
            let message = field::text(&account, "/account/status_message");
            notes.push(format!(
                "the account's status is {}: {}",
                escaped(status),
                escaped(message)
            ));
        }
        let droplets = unless_forbidden(self.get("/v2/droplets?per_page=1&page=1"))?;
        let limit = account.pointer("/account/droplet_limit");
        let limit = limit.and_then(Value::as_u64);
        let used = droplets.as_ref().and_then(|all| all.pointer("/meta/total"));
        let used = used.and_then(Value::as_u64);
        Ok(limit
            .zip(used)
            .map(|(limit, used)| limit.saturating_sub(used)))
    }
}

/// Returns the one of `items` that is wanted.
fn pick<'a>(
    what: &'static str,
    wanted: Option<&str>,
    items: &'a [Value],
    article: fn(&Value) -> Article,
) -> Result<&'a Value, ProviderError> {
    let wanted = wanted.ok_or_else(|| ProviderError::Input {
        message: format!(
            "DigitalOcean needs the {what}; `hoist cloud {what}s {PROVIDER}` lists them"
        ),
    })?;
    let articles: Vec<Article> = items.iter().map(article).collect();
    let chosen = choose(PROVIDER, what, wanted, &articles)?;
    let place = articles
        .iter()
        .position(|other| std::ptr::eq(other, chosen));
    Ok(place.map_or(&Value::Null, |place| &items[place]))
}

/// A size has to be on sale, in the region, and without a GPU.
fn check_size(size: &Value, region: &str) -> Result<(), ProviderError> {
    let slug = escaped(field::text(size, "/slug"));
    let message = if has_gpu(size) {
        format!(
            "size `{slug}` has a GPU: DigitalOcean leaves such droplets out of the lists by which \
             hoist finds its own; take another"
        )
    } else if !is_available(size) {
        format!("DigitalOcean makes no new droplets of size `{slug}`; take another")
    } else if !region.is_empty() && !is_in(size, region) {
        let regions = listed(field::words(size, "/regions"));
        let region = escaped(region);
        format!("size `{slug}` is not to be had in `{region}`, only in {regions}")
    } else {
        return Ok(());
    };
    Err(ProviderError::Input { message })
}

/// Nothing closes port 22 of a droplet, so that opening it to a few would promise too much.
fn check_open(spec: &Spec) -> Result<(), ProviderError> {
    match spec.open_ssh_from.as_deref() {
        None | Some("0.0.0.0/0" | "::/0") => Ok(()),
        Some(network) => Err(ProviderError::Input {
            message: format!(
                "DigitalOcean leaves port 22 open to everyone, so it can't be opened to {} only; \
                 name no network, or make a firewall for the tag `{}` at \
                 https://cloud.digitalocean.com/networking/firewalls first and name none",
                escaped(network),
                spec.fleet.tag()
            ),
        }),
    }
}

/// Whether it can be ordered at all; what doesn't say is.
fn is_available(item: &Value) -> bool {
    item.get("available").and_then(Value::as_bool) != Some(false)
}

/// Whether it can be ordered in the region.
fn is_in(item: &Value, region: &str) -> bool {
    field::words(item, "/regions").any(|other| other == region)
}

fn listed<'a>(words: impl Iterator<Item = &'a str>) -> String {
    let words: Vec<String> = words.map(escaped).collect();
    match words.as_slice() {
        [] => "no region".to_owned(),
        words => words.join(", "),
    }
}

fn region_article(region: &Value) -> Article {
    Article {
        id: field::text(region, "/slug").to_owned(),
        name: field::text(region, "/name").to_owned(),
        price: None,
    }
}

fn size_article(size: &Value) -> Article {
    let number = |path: &str| size.pointer(path).and_then(Value::as_u64).unwrap_or(0);
    let memory = match number("/memory") {
        odd if odd % 1024 != 0 => format!("{odd} MB"),
        even => format!("{} GB", even / 1024),
    };
    let name = format!(
        "{} vCPU, {memory}, {} GB disk, {}",
        number("/vcpus"),
        number("/disk"),
        field::text(size, "/description")
    );
    Article {
        id: field::text(size, "/slug").to_owned(),
        name,
        price: field::number(size, "/price_hourly").map(|hourly| Price {
            hourly,
            monthly: field::number(size, "/price_monthly"),
            currency: "USD".to_owned(),
        }),
    }
}

/// The vendor's own images have a slug, all others a number only.
fn image_article(image: &Value) -> Article {
    let slug = field::some_text(image, "/slug");
    let name = format!(
        "{} {}",
        field::text(image, "/distribution"),
        field::text(image, "/name")
    );
    Article {
        id: slug.or_else(|| field::id(image, "/id")).unwrap_or_default(),
        name: name.trim().to_owned(),
        price: None,
    }
}
