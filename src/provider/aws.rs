//! AWS EC2.
//!
//! What goes out are forms signed with Signature Version 4, what comes back is XML; both are made and
//! read here by hand, for the dozen actions that are needed. Who asks is found where AWS's own tools
//! find it: variables of the environment, `~/.aws`, `credential_process`, a container's or an
//! instance's role. The region is the fleet's, `AWS_REGION`, `AWS_DEFAULT_REGION` or the profile's.
//!
//! A server is an instance with the tags `hoist` (its fleet) and `Name`. Lists are of one region; only
//! [`list`](Provider::list) without a fleet looks into every region that the account has enabled,
//! unless one was named.
//!
//! An image is an id, `debian-12`, `ubuntu-24.04` or `al2023` (of any version), the name of an image of
//! the account's own, or `OWNER:NAME`; names may hold `*` and `?`, and the newest counts. Images of
//! owners that nobody named are not looked at.
//!
//! Settings:
//!
//! | name | holds |
//! |---|---|
//! | `security_groups` | ids or names of groups, instead of or besides the one that `--open-ssh-from` makes |
//! | `subnet` | id of the subnet; else a default one |
//! | `zone` | availability zone: `eu-west-1a` |
//! | `public_ip` | `true` or `false`: whether there is a public IPv4 address; else the subnet decides |
//! | `ipv6` | `true` for an IPv6 address, where the subnet has them |
//! | `volume_size` | GiB of the volume that is booted from |
//! | `volume_type` | `gp3`, `gp2`, `io2`, `io1`, `standard` |
//! | `volume_iops`, `volume_throughput` | what such a volume does, the latter in MiB/s |
//! | `instance_profile` | name or ARN of the role that the servers have |
//! | `login_user` | account that the image lets in, where hoist doesn't know it |
//! | `price_per_hour` | US dollars; the API tells no prices |

mod api;
mod credentials;
mod image;
mod instance;
mod key;
mod launch;
mod network;
mod refusal;
mod settings;
mod sign;
mod size;
#[cfg(test)]
mod tests;
mod xml;

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::time::{Duration, Instant, SystemTime};

use self::api::{Api, Form};
use self::credentials::Credentials;
use self::image::Image;
use self::launch::Launch;
use self::settings::{Settings, input};
use super::{
    Access, Account, Article, Catalogue, Destroyed, FleetName, Offer, Order, Prepared, Provider,
    ProviderError, ProviderName, RefusalKind, Server, Spec,
};
use crate::host::escaped;

/// Opens the account. Contacts nobody.
///
/// # Errors
/// When credentials are missing, or an address can't be used.
pub fn open(access: &Access) -> Result<Box<dyn Provider>, ProviderError> {
    Ok(Box::new(Ec2::new(access)?))
}

/// An account, in one region first of all.
struct Ec2 {
    access: Access,
    credentials: Arc<Credentials>,
    /// The API of the region that requests go to.
    home: OnceLock<Arc<Api>>,
    apis: Mutex<BTreeMap<String, Arc<Api>>>,
    /// Images that were found, by id.
    images: Mutex<BTreeMap<String, Image>>,
}

impl Ec2 {
    fn new(access: &Access) -> Result<Self, ProviderError> {
        let ec2 = Self {
            access: access.clone(),
            credentials: Arc::new(Credentials::find(access)?),
            home: OnceLock::new(),
            apis: Mutex::default(),
            images: Mutex::default(),
        };
        // Only an instance has to be asked where it is; all else can be wrong right now.
        if !ec2.credentials.asks_for_region()? {
            ec2.home()?;
        }
        Ok(ec2)
    }

    /// Returns the API of the region that is asked for.
    fn home(&self) -> Result<Arc<Api>, ProviderError> {
        if let Some(api) = self.home.get() {
            return Ok(Arc::clone(api));
        }
        let api = self.at(&self.credentials.region()?)?;
        Ok(Arc::clone(self.home.get_or_init(|| api)))
    }

    /// Returns the API of a region.
    fn at(&self, region: &str) -> Result<Arc<Api>, ProviderError> {
        let mut apis = self.apis.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(api) = apis.get(region) {
            return Ok(Arc::clone(api));
        }
        let api = Arc::new(Api::new(&self.access, &self.credentials, region)?);
        apis.insert(region.to_owned(), Arc::clone(&api));
        Ok(api)
    }

    /// Returns the API of the region that a spec names: the one that servers are looked for in.
    fn of_spec(&self, region: Option<&str>) -> Result<Arc<Api>, ProviderError> {
        let home = self.home()?;
        match region {
            Some(region) if region != home.region() => Err(input(format!(
                "the region is `{}`, and the fleet's is to be `{}`: servers would be made where \
                 they are not looked for; name the same one",
                home.region(),
                escaped(region)
            ))),
            _ => Ok(home),
        }
    }

    /// Returns an image by its id; it was found before, or is asked for again.
    fn image(&self, api: &Api, id: &str) -> Result<Image, ProviderError> {
        let images = || self.images.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(image) = images().get(id) {
            return Ok(image.clone());
        }
        let image = image::find(api, id, None)?;
        images().insert(id.to_owned(), image.clone());
        Ok(image)
    }

    fn regions(&self) -> Result<Vec<Article>, ProviderError> {
        let form = Form::new("DescribeRegions");
        let found = self.home()?.all(&form, "regionInfo")?;
        let article = |region: &xml::Element| {
            let places: Vec<&str> = region
                .items("geographySet")
                .map(|place| place.text("name"))
                .collect();
            let id = region.some_text("regionName")?;
            let name = if places.is_empty() {
                id.clone()
            } else {
                places.join(", ")
            };
            let price = None;
            Some(Article { id, name, price })
        };
        let mut regions: Vec<_> = found.iter().filter_map(article).collect();
        regions.sort_by(|a, b| a.id.cmp(&b.id));
        Ok(regions)
    }

    /// Lists what hoist made in every region that the account may use.
    fn list_everywhere(&self) -> Result<Vec<Server>, ProviderError> {
        let home = self.home()?;
        let mut servers = instance::list(&home, None)?;
        for region in self.regions()? {
            if region.id == home.region() {
                continue;
            }
            match instance::list(&*self.at(&region.id)?, None) {
                Ok(more) => servers.extend(more),
                // Organisations forbid regions that they don't use, and keys of a session may be good
                // for some only.
                Err(error) if is_forbidden(&error) || is_unknown_there(&error) => {}
                Err(error) => return Err(error),
            }
        }
        Ok(servers)
    }
}

fn is_forbidden(error: &ProviderError) -> bool {
    let refusal = error.refusal();
    refusal.is_some_and(|refusal| refusal.kind == RefusalKind::Permission)
}

/// Whether the credentials, which are good elsewhere, are not in this region. A session that has
/// ended is none of these: what is left would be missing from a list that looks whole.
fn is_unknown_there(error: &ProviderError) -> bool {
    let codes = [
        "AuthFailure",
        "InvalidClientTokenId",
        "UnrecognizedClientException",
    ];
    codes.iter().any(|code| network::is_coded(error, code))
}

fn needed<'a>(what: &str, value: Option<&'a str>) -> Result<&'a str, ProviderError> {
    value.filter(|value| !value.is_empty()).ok_or_else(|| {
        let provider = ProviderName::Aws;
        input(format!(
            "AWS EC2 needs a {what}; `hoist cloud {what}s {provider}` lists them"
        ))
    })
}

impl Provider for Ec2 {
    fn name(&self) -> ProviderName {
        ProviderName::Aws
    }

    fn region(&self) -> Option<String> {
        self.credentials.region().ok()
    }

    fn check(&self) -> Result<Account, ProviderError> {
        let home = self.home()?;
        let regions = self.regions()?.len();
        let vpc = match network::default_vpc_item(&home) {
            Err(error) if is_forbidden(&error) => None,
            other => Some(other?),
        };
        let mut facts = vec![
            ("credentials".to_owned(), self.credentials.origin()),
            ("region".to_owned(), home.region().to_owned()),
            ("enabled regions".to_owned(), regions.to_string()),
        ];
        if let Some(vpc) = &vpc {
            let id = vpc.as_ref().and_then(|vpc| vpc.some_text("vpcId"));
            let id = id.unwrap_or_else(|| "none, so `subnet` has to be set".to_owned());
            facts.push(("default network".to_owned(), id));
        }
        let owner = vpc.flatten().and_then(|vpc| vpc.some_text("ownerId"));
        let name = owner.map(|owner| format!("account {owner}"));
        Ok(Account { name, facts })
    }

    fn catalogue(
        &self,
        which: Catalogue,
        region: Option<&str>,
    ) -> Result<Vec<Article>, ProviderError> {
        let api = match region {
            Some(region) => self.at(region)?,
            None => self.home()?,
        };
        match which {
            Catalogue::Regions => self.regions(),
            Catalogue::Sizes => size::catalogue(&api),
            Catalogue::Images => image::catalogue(&api),
        }
    }

    fn offer(&self, spec: &Spec) -> Result<Offer, ProviderError> {
        let settings = Settings::of(spec)?;
        key::check(&spec.key)?;
        let size = needed("size", spec.size.as_deref())?;
        let image = needed("image", spec.image.as_deref())?;
        let api = self.of_spec(spec.region.as_deref())?;
        let size = size::find(&api, size)?;
        let image = image::find(&api, image, size.architecture.as_deref())?;
        let mut images = self.images.lock().unwrap_or_else(PoisonError::into_inner);
        images.insert(image.id.clone(), image.clone());
        drop(images);
        let (groups, mut notes) = network::look(&api, &settings)?;
        let launch = Launch {
            settings: &settings,
            fleet: &spec.fleet,
            size: &size.id,
            image: &image,
            groups: &groups,
        };
        launch.check_volume()?;
        launch.rehearse(&api)?;
        if image.id != spec.image.as_deref().unwrap_or_default() {
            notes.push(format!("the image is {}", escaped(&image.name)));
        }
        let login_user = match (&settings.login_user, image.login_user) {
            (Some(user), _) => user.clone(),
            (None, (user, true)) => user.to_owned(),
            (None, (user, false)) => {
                notes.push(format!(
                    "the login user `{user}` is a guess; the setting `login_user` names another"
                ));
                user.to_owned()
            }
        };
        Ok(Offer {
            region: api.region().to_owned(),
            size: size.id,
            image: image.id,
            login_user,
            has_cloud_init: true,
            user_data_limit: launch::USER_DATA_LIMIT,
            price: settings.price,
            quota_left: None,
            notes,
        })
    }

    fn prepare(&self, spec: &Spec, offer: &Offer) -> Result<Prepared, ProviderError> {
        let settings = Settings::of(spec)?;
        let api = self.at(&offer.region)?;
        Ok(Prepared {
            key: key::prepare(&api, &spec.key, &spec.fleet)?,
            firewalls: network::prepare(&api, &settings, &spec.fleet)?,
        })
    }

    fn create(&self, order: &Order<'_>) -> Result<Server, ProviderError> {
        let settings = Settings::of(order.spec)?;
        let api = self.at(&order.offer.region)?;
        let user_data = launch::user_data(order.user_data)?;
        let launch = Launch {
            settings: &settings,
            fleet: &order.spec.fleet,
            size: &order.offer.size,
            image: &self.image(&api, &order.offer.image)?,
            groups: &order.prepared.firewalls,
        };
        let form = launch
            .form(order.name)
            .with("KeyName", &order.prepared.key)
            .with("ClientToken", order.token)
            .with_some("UserData", user_data);
        let answer = api.make(&form).map_err(made_before)?;
        let instance = answer.items("instancesSet").next();
        let server = instance.and_then(|instance| instance::server(instance, api.region()));
        let mut server = server.ok_or_else(|| ProviderError::Lost {
            provider: ProviderName::Aws,
            message: "it answered, but named no server".to_owned(),
        })?;
        if server.name.is_empty() {
            order.name.clone_into(&mut server.name);
        }
        server.fleet.get_or_insert_with(|| order.spec.fleet.clone());
        server.login_user = Some(order.offer.login_user.clone());
        Ok(server)
    }

    fn list(&self, fleet: Option<&FleetName>) -> Result<Vec<Server>, ProviderError> {
        match fleet {
            None if self.access.region.is_none() => self.list_everywhere(),
            fleet => instance::list(&*self.home()?, fleet),
        }
    }

    fn destroy(&self, server: &Server) -> Result<Destroyed, ProviderError> {
        let api = match server.region.as_str() {
            "" => self.home()?,
            region => self.at(region)?,
        };
        let pace = &self.access.pace;
        // A server that was made just now is not known everywhere at once: it is not gone.
        let fresh = server.created_at.map_or(Duration::ZERO, |at| {
            let age = SystemTime::now().duration_since(at).unwrap_or_default();
            pace.fresh.saturating_sub(age)
        });
        let ends_at = Instant::now() + fresh;
        loop {
            if let Some(destroyed) = instance::destroy(&api, &server.id)? {
                return Ok(destroyed);
            }
            if Instant::now() >= ends_at {
                return Ok(Destroyed::Gone);
            }
            if !self.access.stop.wait(pace.poll.min(fresh)) {
                return Err(ProviderError::Stopped);
            }
        }
    }
}

/// A token that was used with other parameters means that there is a server.
fn made_before(error: ProviderError) -> ProviderError {
    if network::is_coded(&error, "IdempotentParameterMismatch") {
        return ProviderError::Lost {
            provider: ProviderName::Aws,
            message: error.to_string(),
        };
    }
    error
}
