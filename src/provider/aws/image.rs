//! What servers boot: images have another id in every region, so they are found by owner and name.
//!
//! Names are looked up only among the images of owners that are named: anybody may publish an image
//! called `debian-12-amd64-…`.

use super::api::{Api, Form};
use super::settings::input;
use super::xml::Element;
use crate::host::escaped;
use crate::provider::{Article, ProviderError, ProviderName, choice};

/// <https://wiki.debian.org/Cloud/AmazonEC2Image>
const DEBIAN: &str = "136693071363";

/// <https://documentation.ubuntu.com/aws/aws-how-to/instances/find-ubuntu-images/>
const CANONICAL: &str = "099720109477";

/// <https://docs.aws.amazon.com/linux/al2023/ug/ec2.html>
const AMAZON: &str = "amazon";

/// Account that images let in, by owner. Amazon's own are told by name: it publishes images with
/// Ubuntu as well.
const LOGIN_USERS: [(&str, &str); 2] = [(DEBIAN, "admin"), (CANONICAL, "ubuntu")];

/// Short names that `hoist cloud images` shows; any version of these systems has one.
const SHOWN: [(&str, &str); 7] = [
    ("debian-13", "Debian 13 (trixie)"),
    ("debian-12", "Debian 12 (bookworm)"),
    ("debian-11", "Debian 11 (bullseye)"),
    ("ubuntu-26.04", "Ubuntu 26.04 LTS"),
    ("ubuntu-24.04", "Ubuntu 24.04 LTS"),
    ("ubuntu-22.04", "Ubuntu 22.04 LTS"),
    ("al2023", "Amazon Linux 2023"),
];

/// An image that was found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Image {
    pub(super) id: String,
    pub(super) name: String,
    /// `x86_64`, `arm64`.
    pub(super) architecture: String,
    /// The account that it lets in, and whether that is known rather than guessed.
    pub(super) login_user: (&'static str, bool),
    /// Device of the volume that it boots from, where that is a volume of EBS.
    pub(super) root_device: Option<String>,
    /// Smallest such volume, in GiB.
    pub(super) root_size: Option<u64>,
    created_at: String,
}

/// Where an image is looked for.
#[derive(Debug, PartialEq, Eq)]
enum Wanted<'a> {
    Id(&'a str),
    Named { owner: &'a str, pattern: String },
}

/// Finds the image that a person means: the newest where several have the name.
///
/// # Errors
/// When there is none for this architecture, or EC2 can't be asked.
pub(super) fn find(
    api: &Api,
    wanted: &str,
    architecture: Option<&str>,
) -> Result<Image, ProviderError> {
    let unknown = || {
        let names = SHOWN.iter().map(|(name, _)| *name);
        choice::unknown(ProviderName::Aws, "image", wanted, names)
    };
    let found = match read(wanted, architecture.unwrap_or("x86_64")) {
        Wanted::Id(id) => {
            let form = Form::new("DescribeImages").with("ImageId.1", id);
            let found = api.all(&form, "imagesSet");
            found.map_err(
                |error| match error.refusal().and_then(|no| no.code.as_deref()) {
                    Some(code) if code.starts_with("InvalidAMIID") => unknown(),
                    _ => error,
                },
            )?
        }
        Wanted::Named { owner, pattern } => {
            let form = Form::new("DescribeImages")
                .with("Owner.1", owner)
                .with_filter("name", &[&pattern])
                .with_filter("state", &["available"]);
            let form = match architecture {
                Some(architecture) => form.with_filter("architecture", &[architecture]),
                None => form,
            };
            api.all(&form, "imagesSet")?
        }
    };
    let images = found.iter().filter_map(Image::of);
    let newest = images.max_by(|a, b| a.created_at.cmp(&b.created_at));
    let image = newest.ok_or_else(|| match architecture {
        Some(architecture) if is_short(wanted) => input(format!(
            "{} has no image `{}` for {}, which the size runs",
            api.region(),
            escaped(wanted),
            escaped(architecture)
        )),
        _ => unknown(),
    })?;
    match architecture {
        Some(wanted) if image.architecture != wanted => Err(input(format!(
            "the image {} is for {}, and the size for {wanted}",
            escaped(&image.id),
            escaped(&image.architecture)
        ))),
        _ => Ok(image),
    }
}

/// Lists the short names, and the account's own images.
///
/// # Errors
/// When EC2 can't be asked.
pub(super) fn catalogue(api: &Api) -> Result<Vec<Article>, ProviderError> {
    let article = |id: &str, name: &str| Article {
        id: id.to_owned(),
        name: name.to_owned(),
        price: None,
    };
    let form = Form::new("DescribeImages")
        .with("Owner.1", "self")
        .with_filter("state", &["available"]);
    let own = api.all(&form, "imagesSet")?;
    let mut own: Vec<Image> = own.iter().filter_map(Image::of).collect();
    own.sort_by(|a, b| a.name.cmp(&b.name));
    let shown = SHOWN.iter().map(|(id, name)| article(id, name));
    Ok(shown
        .chain(own.iter().map(|image| article(&image.id, &image.name)))
        .collect())
}

/// Reads what a person writes: an id, a short name, `OWNER:NAME`, or the name of an image of the
/// account's own. Names may hold `*` and `?`.
fn read<'a>(wanted: &'a str, architecture: &str) -> Wanted<'a> {
    if wanted.starts_with("ami-") {
        return Wanted::Id(wanted);
    }
    // Debian and Ubuntu say amd64 where Amazon says x86_64.
    let other = match architecture {
        "x86_64" => "amd64",
        other => other,
    };
    let lower = wanted.to_lowercase();
    let is_version = |text: &&str| text.bytes().all(|b| b.is_ascii_digit() || b == b'.');
    let version = |system: &str| lower.strip_prefix(system).filter(is_version);
    let named = |owner, pattern| Wanted::Named { owner, pattern };
    if let Some(version) = version("debian-") {
        return named(DEBIAN, format!("debian-{version}-{other}-*"));
    }
    if let Some(version) = version("ubuntu-") {
        let pattern = format!("ubuntu/images/hvm-ssd*/ubuntu-*-{version}-{other}-server-*");
        return named(CANONICAL, pattern);
    }
    if lower == "al2023" {
        return named(AMAZON, format!("al2023-ami-2023.*-{architecture}"));
    }
    match wanted.split_once(':') {
        Some((owner, name)) => named(owner, name.to_owned()),
        None => named("self", wanted.to_owned()),
    }
}

/// Whether it is the short name of a system rather than of an image.
fn is_short(wanted: &str) -> bool {
    let named = read(wanted, "x86_64");
    let owners = [DEBIAN, CANONICAL, AMAZON];
    matches!(named, Wanted::Named { owner, .. } if owners.contains(&owner) && !wanted.contains(':'))
}

impl Image {
    fn of(item: &Element) -> Option<Self> {
        let device = item.some_text("rootDeviceName");
        let is_volume = item.text("rootDeviceType") != "instance-store";
        let mut volumes = item.items("blockDeviceMapping");
        let root = volumes.find(|volume| Some(volume.text("deviceName")) == device.as_deref());
        let name = item.text("name");
        let owners = [item.text("imageOwnerId"), item.text("imageOwnerAlias")];
        Some(Self {
            id: item.some_text("imageId")?,
            name: name.to_owned(),
            architecture: item.text("architecture").to_owned(),
            login_user: login_user(&owners, name),
            root_size: root.and_then(|root| root.number("ebs/volumeSize")),
            root_device: device.filter(|_| is_volume),
            created_at: item.text("creationDate").to_owned(),
        })
    }
}

/// Returns the account that an image lets in, and whether it is known rather than guessed.
fn login_user(owners: &[&str], name: &str) -> (&'static str, bool) {
    let mut known = LOGIN_USERS.iter();
    if let Some((_, user)) = known.find(|(owner, _)| owners.contains(owner)) {
        return (user, true);
    }
    let name = name.to_lowercase();
    if owners.contains(&AMAZON) && (name.starts_with("al20") || name.starts_with("amzn")) {
        return ("ec2-user", true);
    }
    let guessed = [("debian", "admin"), ("ubuntu", "ubuntu")];
    let guessed = guessed.iter().find(|(system, _)| name.contains(system));
    (guessed.map_or("ec2-user", |(_, user)| user), false)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_person_writes_is_read() {
        let shown = |wanted, architecture| match read(wanted, architecture) {
            Wanted::Id(id) => id.to_owned(),
            Wanted::Named { owner, pattern } => format!("{owner} {pattern}"),
        };
        let ubuntu = "099720109477 ubuntu/images/hvm-ssd*/ubuntu-*-24.04-amd64-server-*";
        for (wanted, architecture, expected) in [
            ("ami-0abc", "x86_64", "ami-0abc"),
            ("debian-12", "x86_64", "136693071363 debian-12-amd64-*"),
            ("Debian-12", "arm64", "136693071363 debian-12-arm64-*"),
            ("ubuntu-24.04", "x86_64", ubuntu),
            ("al2023", "x86_64", "amazon al2023-ami-2023.*-x86_64"),
            ("al2023", "arm64", "amazon al2023-ami-2023.*-arm64"),
            ("123456789012:golden-*", "x86_64", "123456789012 golden-*"),
            ("golden-*", "x86_64", "self golden-*"),
            ("debian-12-x", "x86_64", "self debian-12-x"),
        ] {
            assert_eq!(shown(wanted, architecture), expected);
        }
    }

    #[test]
    fn login_users_follow_owners_and_else_names() {
        assert_eq!(login_user(&["136693071363", ""], "x"), ("admin", true));
        assert_eq!(
            login_user(&["137112412989", "amazon"], "al2023"),
            ("ec2-user", true)
        );
        assert_eq!(
            login_user(&["1", "amazon"], "DL (Ubuntu 24.04)"),
            ("ubuntu", false)
        );
        assert_eq!(login_user(&["1", ""], "my-Ubuntu-24"), ("ubuntu", false));
        assert_eq!(login_user(&["1", ""], "golden"), ("ec2-user", false));
    }
}
