//! Sizes: what EC2 calls instance types.

use super::api::{Api, Form};
use super::xml::Element;
use crate::provider::choice;
use crate::provider::{Article, ProviderError, ProviderName};

/// Most types of one page.
const PAGE: &str = "100";

/// A size that was found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Size {
    pub(super) id: String,
    /// `x86_64`, `arm64`; the first that servers of the size run.
    pub(super) architecture: Option<String>,
    /// For people.
    name: String,
}

/// Finds a size that the region has.
///
/// # Errors
/// When there is none of this name, or EC2 can't be asked.
pub(super) fn find(api: &Api, wanted: &str) -> Result<Size, ProviderError> {
    let form = Form::new("DescribeInstanceTypes").with("InstanceType.1", wanted);
    let is_unknown = |error: &ProviderError| {
        let code = error.refusal().and_then(|refusal| refusal.code.as_deref());
        code.is_some_and(|code| {
            code.starts_with("InvalidInstanceType") || code == "InvalidParameterValue"
        })
    };
    let found = match api.all(&form, "instanceTypeSet") {
        Ok(found) => found,
        Err(error) if is_unknown(&error) => Vec::new(),
        Err(error) => return Err(error),
    };
    match found.first().and_then(Size::of) {
        Some(size) => Ok(size),
        None => Err(choice::unknown(
            ProviderName::Aws,
            "size",
            wanted,
            choice::names(&catalogue(api)?),
        )),
    }
}

/// Lists the sizes that the region has, without those of old generations.
///
/// # Errors
/// When EC2 can't be asked.
pub(super) fn catalogue(api: &Api) -> Result<Vec<Article>, ProviderError> {
    let form = Form::new("DescribeInstanceTypes")
        .with_filter("current-generation", &["true"])
        .with("MaxResults", PAGE);
    let found = api.all(&form, "instanceTypeSet")?;
    let mut sizes: Vec<Size> = found.iter().filter_map(Size::of).collect();
    sizes.sort_by(|a, b| a.id.cmp(&b.id));
    let articles = sizes.into_iter().map(|size| Article {
        id: size.id,
        name: size.name,
        price: None,
    });
    Ok(articles.collect())
}

impl Size {
    fn of(item: &Element) -> Option<Self> {
        let architectures = || item.words("processorInfo/supportedArchitectures");
        // Small old types list i386 first, which no image of today is for.
        let known = architectures().find(|word| matches!(*word, "x86_64" | "arm64"));
        let architecture = known.or_else(|| architectures().next());
        let cpus = item.number("vCpuInfo/defaultVCpus").unwrap_or_default();
        let memory = item.number("memoryInfo/sizeInMiB").unwrap_or_default();
        let whole = memory / 1024;
        let memory = match memory % 1024 {
            0 => format!("{whole} GB"),
            _ if whole == 0 => format!("{memory} MB"),
            rest => format!("{whole}.{} GB", rest * 10 / 1024),
        };
        let named = architecture.map_or_else(String::new, |word| format!(", {word}"));
        Some(Self {
            id: item.some_text("instanceType")?,
            name: format!("{cpus} vCPU, {memory}{named}"),
            architecture: architecture.map(str::to_owned),
        })
    }
}
