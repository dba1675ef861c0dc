//! What a create call says.

use serde_json::{Value, json};

use super::super::choice::{Kind, settings};
use super::super::{Order, ProviderError, Spec, TAG};
use crate::host::escaped;

/// What a person may set, by the names of the create call. `public_networking` is not among them:
/// a droplet without a public address looks as if it were still waiting for it.
pub(super) const SETTINGS: [(&str, Kind); 7] = [
    ("backup_policy", Kind::Json),
    ("backups", Kind::Flag),
    ("ipv6", Kind::Flag),
    ("monitoring", Kind::Flag),
    ("volumes", Kind::Texts),
    ("vpc_uuid", Kind::Text),
    ("with_droplet_agent", Kind::Flag),
];

/// Longest tag in characters.
const MAX_TAG: usize = 255;

/// Returns the body of the create call
/// (<https://docs.digitalocean.com/reference/api/reference/droplets/#droplets_create>).
pub(super) fn body(order: &Order<'_>) -> Result<Value, ProviderError> {
    let mut body = settings(&order.spec.options, &SETTINGS)?;
    body.entry("ipv6").or_insert(Value::Bool(true));
    body.insert("name".to_owned(), json!(order.name));
    body.insert("size".to_owned(), json!(order.offer.size));
    body.insert("image".to_owned(), id(&order.offer.image));
    body.insert("ssh_keys".to_owned(), json!([id(&order.prepared.key)]));
    body.insert("tags".to_owned(), json!(tags(order.spec)?));
    if !order.offer.region.is_empty() {
        body.insert("region".to_owned(), json!(order.offer.region));
    }
    if !order.user_data.is_empty() {
        let text = std::str::from_utf8(order.user_data).map_err(|_| ProviderError::Input {
            message: "DigitalOcean takes user-data as text only, and this is not UTF-8".to_owned(),
        })?;
        body.insert("user_data".to_owned(), json!(text));
    }
    Ok(Value::Object(body))
}

/// Returns an id as the API wants it: numbers as numbers, slugs and fingerprints as texts.
fn id(text: &str) -> Value {
    text.parse::<u64>()
        .map_or_else(|_| Value::from(text), Value::from)
}

/// Returns all tags, hoist's own first.
pub(super) fn tags(spec: &Spec) -> Result<Vec<String>, ProviderError> {
    let mut tags = vec![TAG.to_owned(), spec.fleet.tag()];
    for tag in &spec.tags {
        check_tag(tag)?;
        if !tags.contains(tag) {
            tags.push(tag.clone());
        }
    }
    Ok(tags)
}

fn check_tag(tag: &str) -> Result<(), ProviderError> {
    let is_allowed = |c: char| c.is_alphanumeric() || matches!(c, ':' | '-' | '_');
    let problem = if tag.is_empty() || tag.chars().count() > MAX_TAG || !tag.chars().all(is_allowed)
    {
        "letters, digits, `:`, `-` and `_`, at most 255"
    } else if tag
        .split(':')
        .next()
        .is_some_and(|key| key.eq_ignore_ascii_case(TAG))
    {
        "hoist marks its fleets so; take another"
    } else {
        return Ok(());
    };
    Err(ProviderError::Input {
        message: format!(
            "`{}` can't be a tag at DigitalOcean: {problem}",
            escaped(tag)
        ),
    })
}
