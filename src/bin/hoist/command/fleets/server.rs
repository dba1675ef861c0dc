//! A server as records and tables tell of it.

use std::time::SystemTime;

use hoist::provider::{FleetName, Price, Server};
use serde_json::{Value, json};

use super::rows::Row;

/// Heads of a table of servers, and the members under them.
pub(super) const HEADS: [(&str, &str); 7] = [
    ("FLEET", "fleet"),
    ("NAME", "name"),
    ("PROVIDER", "provider"),
    ("REGION", "region"),
    ("ID", "id"),
    ("STATE", "state"),
    ("ADDRESS", "address"),
];

/// Returns the row of a server.
pub(super) fn row(server: &Server, fleet: Option<&FleetName>, message: Option<&str>) -> Row {
    let fleet = server.fleet.as_ref().or(fleet);
    let value = json!({
        "fleet": fleet.map(FleetName::as_str),
        "name": server.name,
        "provider": server.provider.as_str(),
        "region": server.region,
        "id": server.id,
        "state": server.state.as_str(),
        "raw_state": server.raw_state,
        "address": server.address().map(|address| address.to_string()),
        "port": server.port.unwrap_or(22),
        "user": server.login_user,
        "private_address": server.private_ipv4.map(|address| address.to_string()),
        "created_at": server.created_at.and_then(instant),
        "message": message.or(server.message.as_deref()),
    });
    match value {
        Value::Object(row) => row,
        _ => Row::new(),
    }
}

/// Returns an instant as RFC 3339 has it.
fn instant(at: SystemTime) -> Option<String> {
    let at = jiff::Timestamp::try_from(at).ok()?;
    Some(format!("{at:.0}"))
}

/// Returns how long ago that was, for people: `5m`, `3h`, `12d`.
pub(super) fn age(at: SystemTime) -> String {
    let seconds = at.elapsed().map_or(0, |age| age.as_secs());
    match seconds {
        0..60 => format!("{seconds}s"),
        60..3600 => format!("{}m", seconds / 60),
        3600..172_800 => format!("{}h", seconds / 3600),
        _ => format!("{}d", seconds / 86_400),
    }
}

/// Returns a price for people: `0.007 USD an hour, 5.00 a month`.
pub(super) fn price(price: &Price, count: usize) -> String {
    #[allow(clippy::cast_precision_loss, reason = "nobody has so many servers")]
    let count = count as f64;
    let hourly = price.hourly * count;
    if hourly == 0.0 {
        return "none".to_owned();
    }
    let hour = format!("{hourly:.3} {} an hour", price.currency);
    match price.monthly {
        Some(monthly) => format!("{hour}, {:.2} a month", monthly * count),
        None => hour,
    }
}
