//! What a create call says.

use serde_json::{Map, Value, json};

use super::super::choice::{Kind, settings};
use super::super::{Order, ProviderError, Spec, TAG};
use crate::host::escaped;

/// What a person may set, by the names of the create call. `start_after_create` is not among them:
/// a server that is not started is never reached.
const SETTINGS: [(&str, Kind); 6] = [
    ("automount", Kind::Flag),
    ("firewalls", Kind::Json),
    ("networks", Kind::Json),
    ("placement_group", Kind::Number),
    ("public_net", Kind::Json),
    ("volumes", Kind::Json),
];

/// Longest key and value of a label in bytes.
const MAX_LABEL: usize = 63;

/// Returns the body of the create call
/// (<https://docs.hetzner.cloud/reference/cloud#servers-create-a-server>).
pub(super) fn body(order: &Order<'_>) -> Result<Value, ProviderError> {
    let mut body = checked(order.spec)?;
    body.insert("name".to_owned(), json!(order.name));
    body.insert("server_type".to_owned(), json!(order.offer.size));
    body.insert("image".to_owned(), json!(order.offer.image));
    body.insert("ssh_keys".to_owned(), json!([key(&order.prepared.key)]));
    body.insert("labels".to_owned(), Value::Object(labels(order.spec)?));
    if !order.offer.region.is_empty() {
        body.insert("location".to_owned(), json!(order.offer.region));
    }
    if !order.user_data.is_empty() {
        let text = std::str::from_utf8(order.user_data).map_err(|_| ProviderError::Input {
            message: "Hetzner takes user-data as text only, and this is not UTF-8".to_owned(),
        })?;
        body.insert("user_data".to_owned(), json!(text));
    }
    Ok(Value::Object(body))
}

/// Returns the key as the API wants it: an id as a number.
fn key(text: &str) -> Value {
    text.parse::<u64>()
        .map_or_else(|_| Value::from(text), Value::from)
}

/// Returns the settings as the create call takes them.
pub(super) fn checked(spec: &Spec) -> Result<Map<String, Value>, ProviderError> {
    let mut checked = settings(&spec.options, &SETTINGS)?;
    for name in ["firewalls", "networks", "volumes"] {
        let Some(value) = checked.get_mut(name) else {
            continue;
        };
        let found = ids(value).ok_or_else(|| ProviderError::Input {
            message: format!(
                "the setting `{name}` takes ids, which are numbers, with commas between them, not \
                 `{}`",
                escaped(&value.to_string())
            ),
        })?;
        *value = match name {
            "firewalls" => found.iter().map(|id| json!({"firewall": id})).collect(),
            _ => json!(found),
        };
    }
    Ok(checked)
}

/// Reads ids: `1`, `"1,2"`, `[1, 2]` and, as the API has it, `[{"firewall": 1}]`.
fn ids(value: &Value) -> Option<Vec<u64>> {
    match value {
        Value::Number(number) => Some(vec![number.as_u64()?]),
        Value::String(text) => text.split(',').map(|id| id.trim().parse().ok()).collect(),
        Value::Object(firewall) => ids(firewall.get("firewall")?),
        Value::Array(list) => {
            let ids: Option<Vec<Vec<u64>>> = list.iter().map(ids).collect();
            Some(ids?.concat())
        }
        _ => None,
    }
}

/// Returns all labels: the fleet's, and the spec's tags, each `KEY` or `KEY=VALUE`.
pub(super) fn labels(spec: &Spec) -> Result<Map<String, Value>, ProviderError> {
    let mut labels = Map::new();
    labels.insert(TAG.to_owned(), json!(spec.fleet.as_str()));
    for tag in &spec.tags {
        let (key, value) = tag.split_once('=').unwrap_or((tag, ""));
        let problem = if key == TAG {
            "hoist marks its fleets so; take another"
        } else if is_label(key.rsplit('/').next().unwrap_or_default())
            && (value.is_empty() || is_label(value))
        {
            labels.insert(key.to_owned(), json!(value));
            continue;
        } else {
            "write KEY or KEY=VALUE, both of letters, digits, `-`, `_` and `.`, at most 63"
        };
        let message = format!("`{}` can't be a label at Hetzner: {problem}", escaped(tag));
        return Err(ProviderError::Input { message });
    }
    Ok(labels)
}

fn is_label(text: &str) -> bool {
    let is_inner = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_' | b'.');
    let is_edge = |b: Option<u8>| b.is_some_and(|b| b.is_ascii_alphanumeric());
    text.len() <= MAX_LABEL
        && text.bytes().all(is_inner)
        && is_edge(text.bytes().next())
        && is_edge(text.bytes().last())
}
