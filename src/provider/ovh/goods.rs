//! What there is to choose from, and what a wish comes to.

use serde_json::Value;

use super::super::http::encoded;
use super::super::{Article, Offer, ProviderError, ProviderName, Spec, choice, json};
use super::Ovh;
use crate::host::escaped;

/// Most bytes of user-data: the API encodes it in base64, of which `OpenStack` takes 65,535 bytes
/// (<https://docs.openstack.org/api-ref/compute/#create-server>).
pub(super) const USER_DATA_LIMIT: usize = 49_149;

/// A core has more megabytes of memory than this, and fewer gigabytes.
const RAM_PER_CORE: u64 = 256;

/// A kind of instance in one region.
#[derive(Debug)]
pub(super) struct Flavor {
    id: String,
    name: String,
    /// Which images fit, where an image is not for all.
    kind: String,
    vcpus: u64,
    ram: u64,
    disk: u64,
    /// Whether there are any left.
    pub(super) is_available: bool,
    /// How many more the project may have.
    quota: Option<u64>,
}

impl Flavor {
    /// Returns the flavor that `told` is; `None` where it can't be ordered or runs no Linux.
    fn read(told: &Value) -> Option<Self> {
        let system = json::text(told, "/osType");
        if !matches!(system, "" | "linux") {
            return None;
        }
        let number = |path: &str| told.pointer(path).and_then(Value::as_u64);
        let vcpus = number("/vcpus").unwrap_or_default();
        Some(Self {
            id: json::id(told, "/id")?,
            name: json::text(told, "/name").to_owned(),
            kind: json::text(told, "/type").to_owned(),
            vcpus,
            ram: megabytes(number("/ram").unwrap_or_default(), vcpus),
            disk: number("/disk").unwrap_or_default(),
            is_available: told.pointer("/available").and_then(Value::as_bool) != Some(false),
            quota: number("/quota"),
        })
    }

    fn article(&self) -> Article {
        Article {
            id: self.id.clone(),
            name: self.name.clone(),
            price: None,
        }
    }

    /// Returns the flavor for people. An order can name it by its name, which is the same in every
    /// region; its id is not.
    pub(super) fn described(&self) -> Article {
        let ram = (self.ram + 500) / 1000;
        Article {
            id: self.name.clone(),
            name: format!("{} vCPU, {ram} GB, {} GB disk", self.vcpus, self.disk),
            price: None,
        }
    }
}

/// Returns memory in megabytes: the description of the API says gigabytes, answers hold megabytes.
fn megabytes(ram: u64, cores: u64) -> u64 {
    if ram < cores.saturating_mul(RAM_PER_CORE) {
        ram.saturating_mul(1000)
    } else {
        ram
    }
}

/// A system to boot in one region.
#[derive(Debug)]
pub(super) struct Image {
    id: String,
    name: String,
    user: Option<String>,
    /// The only kind of flavor it fits.
    kind: Option<String>,
}

impl Image {
    /// Returns the image that `told` is; `None` where it can't be used.
    fn read(told: &Value) -> Option<Self> {
        if !matches!(json::text(told, "/status"), "" | "active") {
            return None;
        }
        Some(Self {
            id: json::id(told, "/id")?,
            name: json::text(told, "/name").to_owned(),
            user: json::some_text(told, "/user"),
            kind: json::some_text(told, "/flavorType"),
        })
    }

    pub(super) fn article(&self) -> Article {
        Article {
            id: self.id.clone(),
            name: self.name.clone(),
            price: None,
        }
    }

    fn fits(&self, flavor: &Flavor) -> bool {
        self.kind.as_ref().is_none_or(|kind| *kind == flavor.kind)
    }
}

impl Ovh {
    /// Lists the regions that the project has.
    pub(super) fn regions(&self) -> Result<Vec<Article>, ProviderError> {
        let mut names = self.array(&self.path("/region")?)?;
        names.sort_by(|a, b| a.as_str().cmp(&b.as_str()));
        let article = |name: &str| Article {
            id: name.to_owned(),
            name: name.to_owned(),
            price: None,
        };
        Ok(names
            .iter()
            .filter_map(Value::as_str)
            .map(article)
            .collect())
    }

    /// Returns the region that is meant.
    pub(super) fn region(&self, wanted: Option<&str>) -> Result<String, ProviderError> {
        let wanted = needed("region", wanted)?;
        let regions = self.regions()?;
        let region = choice::choose(ProviderName::Ovh, "region", wanted, &regions)?;
        Ok(region.id.clone())
    }

    /// Lists the flavors for Linux in a region, sold out ones too.
    pub(super) fn flavors(&self, region: &str) -> Result<Vec<Flavor>, ProviderError> {
        let path = self.path(&format!("/flavor?region={}", encoded(region)))?;
        let mut flavors: Vec<Flavor> = self.array(&path)?.iter().filter_map(Flavor::read).collect();
        flavors.sort_by(|a, b| (a.ram, &a.name).cmp(&(b.ram, &b.name)));
        Ok(flavors)
    }

    /// Lists the images of Linux in a region.
    pub(super) fn images(&self, region: &str) -> Result<Vec<Image>, ProviderError> {
        let path = format!("/image?region={}&osType=linux", encoded(region));
        let path = self.path(&path)?;
        let mut images: Vec<Image> = self.array(&path)?.iter().filter_map(Image::read).collect();
        images.sort_by(|a, b| a.name.cmp(&b.name));
        Ok(images)
    }

    /// Returns how many more of a flavor the project may have in a region, as far as is told.
    fn quota_left(&self, region: &str, flavor: &Flavor) -> Result<Option<u64>, ProviderError> {
        let quotas = self.array(&self.path("/quota")?)?;
        let there = quotas
            .iter()
            .find(|quota| json::text(quota, "/region") == region);
        let there = there.and_then(|quota| quota.pointer("/instance"));
        let limits = there.map(|there| room(there, flavor));
        Ok(limits.into_iter().flatten().chain(flavor.quota).min())
    }

    /// Resolves names to ids and looks up the quota.
    pub(super) fn make_offer(&self, spec: &Spec) -> Result<Offer, ProviderError> {
        let region = needed("region", spec.region.as_deref())?;
        let size = needed("size", spec.size.as_deref())?;
        let image = needed("image", spec.image.as_deref())?;
        let region = self.region(Some(region))?;
        let flavors = self.flavors(&region)?;
        let flavor = chosen("size", size, &flavors, Flavor::article)?;
        if !flavor.is_available {
            return Err(ProviderError::Input {
                message: format!(
                    "OVHcloud has no `{}` left in {}; choose another size or region",
                    escaped(&flavor.name),
                    escaped(&region)
                ),
            });
        }
        let mut images = self.images(&region)?;
        images.retain(|image| image.fits(flavor));
        let image = chosen("image", image, &images, Image::article)?;
        let mut notes = notes(spec);
        if image.user.is_none() {
            notes.push("the image does not tell whom it lets in: `root` is taken".to_owned());
        }
        Ok(Offer {
            quota_left: self.quota_left(&region, flavor)?,
            region,
            size: flavor.id.clone(),
            image: image.id.clone(),
            login_user: image.user.clone().unwrap_or_else(|| "root".to_owned()),
            has_cloud_init: true,
            user_data_limit: USER_DATA_LIMIT,
            price: None,
            notes,
        })
    }
}

/// Returns how many more instances of a flavor fit what `quota` leaves, by count, cores and memory.
fn room(quota: &Value, flavor: &Flavor) -> Vec<u64> {
    // Without a limit it is negative.
    let number = |name: &str| quota.get(name).and_then(Value::as_u64);
    let left = |most: &str, used: &str| {
        let used = number(used).unwrap_or_default();
        Some(number(most)?.saturating_sub(used))
    };
    let cores = left("maxCores", "usedCores").and_then(|left| left.checked_div(flavor.vcpus));
    let ram = || {
        let most = number("maxCores")?;
        let is_small = number("maxRam")? < most.checked_mul(RAM_PER_CORE)?;
        let left = left("maxRam", "usedRAM")?.checked_mul(if is_small { 1000 } else { 1 })?;
        left.checked_div(flavor.ram)
    };
    let instances = left("maxInstances", "usedInstances");
    [instances, cores, ram()].into_iter().flatten().collect()
}

/// Returns which of `all` is meant by `wanted`.
fn chosen<'a, T>(
    what: &'static str,
    wanted: &str,
    all: &'a [T],
    article: impl Fn(&T) -> Article,
) -> Result<&'a T, ProviderError> {
    let articles: Vec<Article> = all.iter().map(&article).collect();
    let found = choice::choose(ProviderName::Ovh, what, wanted, &articles)?;
    let index = articles.iter().position(|article| article == found);
    let chosen = index.and_then(|index| all.get(index));
    chosen.ok_or_else(|| choice::unknown(ProviderName::Ovh, what, wanted, choice::names(&articles)))
}

fn needed<'a>(what: &'static str, wanted: Option<&'a str>) -> Result<&'a str, ProviderError> {
    let wanted = wanted.filter(|wanted| !wanted.is_empty());
    wanted.ok_or_else(|| ProviderError::Input {
        message: format!(
            "OVHcloud needs to know the {what}; `hoist cloud {what}s ovh` lists what there is"
        ),
    })
}

/// Returns what a person should know before agreeing.
fn notes(spec: &Spec) -> Vec<String> {
    let mut notes = vec![
        "OVHcloud keeps no tags: which instances are the fleet's is only in the record on this \
         machine"
            .to_owned(),
    ];
    if !spec.tags.is_empty() {
        let tags: Vec<_> = spec
            .tags
            .iter()
            .map(|tag| format!("`{}`", escaped(tag)))
            .collect();
        notes.push(format!("so these are not set: {}", tags.join(", ")));
    }
    notes
}
