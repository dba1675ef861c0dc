//! The entry of each fuzz target; what they check is in `checks/`, which the tests share.

mod checks;

/// Checks `data` as [`checks::pattern`] says.
pub fn pattern(data: &[u8]) {
    checks::pattern::check(data);
}

/// Checks `data` as [`checks::text_inventory`] says.
pub fn text_inventory(data: &[u8]) {
    checks::text_inventory::check(data);
}

/// Checks `data` as [`checks::csv_inventory`] says.
pub fn csv_inventory(data: &[u8]) {
    checks::csv_inventory::check(data);
}

/// Checks `data` as [`checks::known_hosts`] says.
pub fn known_hosts(data: &[u8]) {
    checks::known_hosts::check(data);
}

/// Checks `data` as [`checks::quote`] says.
pub fn quote(data: &[u8]) {
    checks::quote::check(data);
}

/// Checks `data` as [`checks::stream`] says.
pub fn stream(data: &[u8]) {
    checks::stream::check(data);
}

/// Checks `data` as [`checks::marker`] says.
pub fn marker(data: &[u8]) {
    checks::marker::check(data);
}
