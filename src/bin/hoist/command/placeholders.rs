//! `{host}` and `{column}` in paths: each host's own.

use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::{OsStrExt, OsStringExt};

use hoist::host::{Address, Host, Port, UserName, escaped};

use crate::report::Failure;

/// Whether every host gets the same.
pub(super) fn is_same_for_all(text: &OsStr) -> bool {
    !text.as_bytes().contains(&b'{') && !text.as_bytes().contains(&b'}')
}

/// Puts a host's values into the places that name them: `{host}`, `{address}`, `{user}`, `{port}`, or
/// any variable. `{{` and `}}` stand for braces.
///
/// # Errors
/// When there is no such value, or a brace without its other half.
pub(super) fn fill(text: &OsStr, host: &Host) -> Result<OsString, Failure> {
    let mut filled = Vec::new();
    let mut rest = text.as_bytes();
    while let Some(at) = rest.iter().position(|byte| matches!(byte, b'{' | b'}')) {
        filled.extend_from_slice(&rest[..at]);
        let (brace, after) = (rest[at], &rest[at + 1..]);
        if after.first() == Some(&brace) {
            filled.push(brace);
            rest = &after[1..];
            continue;
        }
        let end = after.iter().position(|byte| *byte == b'}');
        let (Some(end), b'{') = (end, brace) else {
            return Err(lone(text));
        };
        let name = String::from_utf8_lossy(&after[..end]);
        let value = value(host, &name).ok_or_else(|| missing(text, host, &name))?;
        filled.extend_from_slice(value.as_bytes());
        rest = &after[end + 1..];
    }
    filled.extend_from_slice(rest);
    Ok(OsString::from_vec(filled))
}

fn value(host: &Host, name: &str) -> Option<String> {
    match name {
        "host" | "name" => Some(host.name.as_str().to_owned()),
        "address" => {
            let address = host.address.as_ref().map(Address::as_str);
            Some(address.unwrap_or(host.name.as_str()).to_owned())
        }
        "user" => host.user.as_ref().map(UserName::as_str).map(str::to_owned),
        "port" => host.port.map(Port::get).map(|port| port.to_string()),
        name => host.variables.get(name).map(str::to_owned),
    }
}

fn lone(text: &OsStr) -> Failure {
    let shown = escaped(&text.to_string_lossy());
    Failure::usage(format!("`{shown}` has a brace without its other half"))
        .hint("`{host}` and `{COLUMN}` stand for each host's own value; write `{{` for a brace")
}

fn missing(text: &OsStr, host: &Host, name: &str) -> Failure {
    let shown = escaped(&text.to_string_lossy());
    let name = escaped(name);
    Failure::usage(format!("`{shown}`: {} has no `{name}`", host.name))
        .hint("columns of the inventory can be named, and host, address, user and port")
}

#[cfg(test)]
mod tests {
    use hoist::inventory::{Inventory, Source};

    use super::*;

    fn filled(text: &str) -> Result<String, String> {
        let file = b"name,address,dc\nweb1,10.0.0.1,ams\n".to_vec();
        let source = Source::Bytes {
            name: "fleet.csv".to_owned(),
            bytes: file,
        };
        let inventory = Inventory::load(&[source]).unwrap();
        let filled = fill(text.as_ref(), inventory.get("web1").unwrap());
        let filled = filled.map(|text| text.into_string().unwrap());
        filled.map_err(|failure| failure.line())
    }

    #[test]
    fn values_take_the_place_of_their_names() {
        assert_eq!(filled("conf/{host}.{dc}").unwrap(), "conf/web1.ams");
        assert_eq!(filled("{address}:{{x}}").unwrap(), "10.0.0.1:{x}");
        assert_eq!(filled("plain").unwrap(), "plain");
        assert!(is_same_for_all("plain".as_ref()) && !is_same_for_all("{host}".as_ref()));
    }

    #[test]
    fn what_is_not_there_is_an_error() {
        insta::assert_snapshot!(filled("a/{rack}").unwrap_err(), @"hoist: `a/{rack}`: web1 has no `rack`; columns of the inventory can be named, and host, address, user and port");
        insta::assert_snapshot!(filled("{user}").unwrap_err(), @"hoist: `{user}`: web1 has no `user`; columns of the inventory can be named, and host, address, user and port");
        insta::assert_snapshot!(filled("a{").unwrap_err(), @"hoist: `a{` has a brace without its other half; `{host}` and `{COLUMN}` stand for each host's own value; write `{{` for a brace");
        assert!(filled("a}b").is_err());
    }
}
