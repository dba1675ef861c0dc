//! What the JSON of a hosting API holds, read without trusting it: what is missing, or of another
//! type, is as good as absent.
//!
//! Every `path` is a JSON pointer (RFC 6901): `/instance/id`.

use std::net::IpAddr;
use std::time::SystemTime;

use serde_json::Value;

/// Returns the text there, or an empty one.
pub(super) fn text<'a>(value: &'a Value, path: &str) -> &'a str {
    value.pointer(path).and_then(Value::as_str).unwrap_or("")
}

/// Returns the text there unless it is empty.
pub(super) fn some_text(value: &Value, path: &str) -> Option<String> {
    let text = text(value, path);
    (!text.is_empty()).then(|| text.to_owned())
}

/// Returns the id there: a text, or a whole number as text.
pub(super) fn id(value: &Value, path: &str) -> Option<String> {
    match value.pointer(path)? {
        Value::String(id) if !id.is_empty() => Some(id.clone()),
        Value::Number(id) if id.is_i64() || id.is_u64() => Some(id.to_string()),
        _ => None,
    }
}

/// Returns the number there; some vendors write prices as text.
pub(super) fn number(value: &Value, path: &str) -> Option<f64> {
    match value.pointer(path)? {
        Value::String(number) => number
            .parse()
            .ok()
            .filter(|number: &f64| number.is_finite()),
        number => number.as_f64(),
    }
}

/// Returns the elements of the list there.
pub(super) fn list<'a>(value: &'a Value, path: &str) -> &'a [Value] {
    let list = value.pointer(path).and_then(Value::as_array);
    list.map_or(&[], Vec::as_slice)
}

/// Yields the texts of the list there.
pub(super) fn words<'a>(value: &'a Value, path: &str) -> impl Iterator<Item = &'a str> {
    list(value, path).iter().filter_map(Value::as_str)
}

/// Returns the address there, without the length of its network; `0.0.0.0` and `::` are none.
pub(super) fn address(value: &Value, path: &str) -> Option<IpAddr> {
    address_of(text(value, path))
}

/// Returns the address that `text` is; see [`address`].
pub(super) fn address_of(text: &str) -> Option<IpAddr> {
    let address: IpAddr = text.split('/').next()?.parse().ok()?;
    (!address.is_unspecified()).then_some(address)
}

/// Returns the instant there (RFC 3339); without a zone it is UTC.
pub(super) fn time(value: &Value, path: &str) -> Option<SystemTime> {
    time_of(text(value, path))
}

/// Returns the instant that `text` is; see [`time`].
pub(super) fn time_of(text: &str) -> Option<SystemTime> {
    let instant = text.parse::<jiff::Timestamp>();
    let instant = instant.or_else(|_| format!("{text}Z").parse());
    instant.ok().map(SystemTime::from)
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use serde_json::json;

    use super::*;

    #[test]
    fn what_is_missing_or_odd_is_absent() {
        let odd = json!({"a": null, "b": 1.5, "c": [], "d": {"e": "x"}, "f": [1, "y"]});
        assert_eq!(text(&odd, "/a"), "");
        assert_eq!(text(&odd, "/d/e"), "x");
        assert_eq!(some_text(&odd, "/none"), None);
        assert_eq!(id(&odd, "/b"), None);
        assert_eq!(id(&json!(12), ""), Some("12".to_owned()));
        assert_eq!(number(&json!("0.007"), ""), Some(0.007));
        assert_eq!(number(&json!("NaN"), ""), None);
        assert!(list(&odd, "/d").is_empty());
        assert_eq!(words(&odd, "/f").collect::<Vec<_>>(), ["y"]);
    }

    #[test]
    fn addresses_lose_their_network_and_placeholders_are_none() {
        assert_eq!(address_of("0.0.0.0"), None);
        assert_eq!(address_of(""), None);
        assert_eq!(
            address_of("2001:db8::1/128").unwrap().to_string(),
            "2001:db8::1"
        );
    }

    #[test]
    fn an_instant_without_a_zone_is_utc() {
        let expected = SystemTime::UNIX_EPOCH + Duration::from_secs(1_767_323_045);
        for text in [
            "2026-01-02T03:04:05",
            "2026-01-02T03:04:05Z",
            "2026-01-02T03:04:05+00:00",
            "2026-01-02T04:04:05.000+01:00",
        ] {
            assert_eq!(time_of(text), Some(expected), "{text}");
        }
        assert_eq!(time_of("yesterday"), None);
    }
}
