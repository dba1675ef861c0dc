//! The attributes of a host that hoist itself understands: their names in each format and the
//! checks that every value passes before it is kept.
//!
//! Values come from files that others wrote, so nothing that could act on a terminal, be taken for
//! an option or name a folder gets past this module.

use std::fmt::Display;

use super::error::{Flaw, shown};
use crate::host::{Address, Host, HostName, NameError, TransportName, UserName};
use crate::host::{MAX_NAME_BYTES, Port, is_printable};
use crate::hostset::Login;

/// What is expected where a host is named.
pub(super) const EXPECTED_HOST: &str = "a host name or an IP address";
/// What is expected where a group is named.
pub(super) const EXPECTED_GROUP: &str = "a group name such as web";
/// What is expected where an account is named.
pub(super) const EXPECTED_USER: &str = "an account such as root";

/// One attribute of a host.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Attribute {
    Address,
    User,
    Port,
    Identity,
    Jump,
    Transport,
    Provider,
    Id,
    HostKey,
}

impl Attribute {
    /// Every attribute, in the order of DESIGN's columns.
    pub(super) const ALL: [Self; 9] = [
        Self::Address,
        Self::User,
        Self::Port,
        Self::Identity,
        Self::Jump,
        Self::Transport,
        Self::Provider,
        Self::Id,
        Self::HostKey,
    ];

    /// Returns the name as a column or key.
    pub(super) fn as_str(self) -> &'static str {
        match self {
            Self::Address => "address",
            Self::User => "user",
            Self::Port => "port",
            Self::Identity => "identity",
            Self::Jump => "jump",
            Self::Transport => "transport",
            Self::Provider => "provider",
            Self::Id => "id",
            Self::HostKey => "host_key",
        }
    }

    /// Returns the attribute that hoist's own formats call `name`.
    pub(super) fn named(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|known| known.as_str() == name)
    }

    /// Returns the attribute that Ansible calls `name`, by its present or former name, and its value
    /// in hoist's words.
    ///
    /// `ansible_connection` is one only for the connections hoist has: others stay variables.
    pub(super) fn of_ansible<'a>(name: &str, value: &'a str) -> Option<(Self, &'a str)> {
        match name {
            "ansible_host" | "ansible_ssh_host" => Some((Self::Address, value)),
            "ansible_user" | "ansible_ssh_user" => Some((Self::User, value)),
            "ansible_port" | "ansible_ssh_port" => Some((Self::Port, value)),
            "ansible_ssh_private_key_file" | "ansible_private_key_file" => {
                Some((Self::Identity, value))
            }
            "ansible_connection" => of_connection(value).map(|name| (Self::Transport, name)),
            _ => None,
        }
    }

    /// Checks `value` and gives it to `host`.
    ///
    /// # Errors
    /// When the value is not valid, or the host has another one already.
    pub(super) fn set(self, host: &mut Host, value: &str) -> Result<(), Flaw> {
        match self {
            Self::Address => put(self, &mut host.address, address(value)?),
            Self::User => put(self, &mut host.user, user(value)?),
            Self::Port => put(self, &mut host.port, port(value)?),
            Self::Identity => put(self, &mut host.identity, plain(value, "a path")?),
            Self::Jump => put(
                self,
                &mut host.jump,
                plain(value, "hosts as `ssh -J` has them")?,
            ),
            Self::Provider => put(self, &mut host.provider, plain(value, "a provider's name")?),
            Self::Id => put(self, &mut host.id, plain(value, "a provider's id")?),
            Self::HostKey => put(self, &mut host.host_key, host_key(value)?),
            Self::Transport => {
                let transport = transport(value)?;
                let mut shown = host.transport.map(TransportName::as_str);
                put(self, &mut shown, transport.as_str())?;
                host.transport = Some(transport);
                Ok(())
            }
        }
    }
}

/// Gives `host` what was written beside its name: `user@` and `:port`.
pub(super) fn set_login(host: &mut Host, login: &Login) -> Result<(), Flaw> {
    if let Some(user) = &login.user {
        put(Attribute::User, &mut host.user, user.clone())?;
    }
    match login.port {
        Some(port) => put(Attribute::Port, &mut host.port, port),
        None => Ok(()),
    }
}

/// Returns the transport that serves Ansible's connection `name`.
fn of_connection(name: &str) -> Option<&'static str> {
    match name.strip_prefix("ansible.builtin.").unwrap_or(name) {
        "local" => Some("local"),
        "ssh" | "smart" | "paramiko" | "paramiko_ssh" | "openssh" | "libssh" => Some("ssh"),
        _ => None,
    }
}

fn put<T: PartialEq + Display>(
    attribute: Attribute,
    slot: &mut Option<T>,
    value: T,
) -> Result<(), Flaw> {
    match slot {
        Some(earlier) if *earlier != value => Err(Flaw::unexpected(
            format!(
                "a second {} `{}`",
                attribute.as_str(),
                shown(&value.to_string())
            ),
            format!("one, or the same (`{}`) again", shown(&earlier.to_string())),
        )),
        _ => {
            *slot = Some(value);
            Ok(())
        }
    }
}

/// Checks the name of a host.
pub(super) fn host_name(text: &str) -> Result<HostName, Flaw> {
    let name = HostName::parse(text).map_err(|error| named(error, EXPECTED_HOST))?;
    no_port(text, "a host name or an IP address, without a port")?;
    Ok(name)
}

/// Checks the name of an account.
fn user(text: &str) -> Result<UserName, Flaw> {
    UserName::parse(text).map_err(|error| named(error, EXPECTED_USER))
}

/// Checks the name of a group.
pub(super) fn check_group_name(text: &str) -> Result<(), Flaw> {
    HostName::parse(text).map_err(|error| named(of_group(error), EXPECTED_GROUP))?;
    match text.chars().position(|c| c == ':') {
        None => Ok(()),
        Some(offset) => Err(Flaw::character(':', offset, EXPECTED_GROUP)),
    }
}

/// Returns whether `text` is an IPv6 address, with or without a zone.
pub(super) fn is_ipv6(text: &str) -> bool {
    let address = text.split_once('%').map_or(text, |(address, _)| address);
    address.parse::<std::net::Ipv6Addr>().is_ok()
}

fn address(text: &str) -> Result<Address, Flaw> {
    let expected = "a name or an IP address (templates are not evaluated)";
    let address = Address::parse(text).map_err(|error| named(error, expected))?;
    no_port(text, "a name or an IP address, without a port")?;
    Ok(address)
}

fn port(text: &str) -> Result<Port, Flaw> {
    let expected = "a TCP port";
    short(text, expected)?;
    text.parse().map_err(|error| named(error, expected))
}

fn transport(text: &str) -> Result<TransportName, Flaw> {
    let expected = "a transport of hoist";
    short(text, expected)?;
    text.parse().map_err(|error| named(error, expected))
}

/// Refuses a text that is too long to be shown whole in an error.
fn short(text: &str, expected: &str) -> Result<(), Flaw> {
    if text.len() <= MAX_NAME_BYTES {
        return Ok(());
    }
    Err(Flaw::unexpected(format!("`{}`", shown(text)), expected))
}

/// Checks a text that is kept as it is but may be shown, or handed to another program.
fn plain(text: &str, expected: &str) -> Result<Box<str>, Flaw> {
    if text.is_empty() {
        return Err(Flaw::unexpected("nothing", expected));
    }
    if text.starts_with('-') {
        let found = format!("`{}`, which starts with `-`", shown(text));
        return Err(Flaw::unexpected(found, expected));
    }
    match text.chars().enumerate().find(|(_, c)| !is_printable(*c)) {
        None => Ok(text.into()),
        Some((offset, c)) => Err(Flaw::character(c, offset, expected)),
    }
}

fn host_key(text: &str) -> Result<Box<str>, Flaw> {
    let expected = "a key as in `ssh-ed25519 AAAA…`";
    let kept = plain(text, expected)?;
    let is_base64 = |c: u8| c.is_ascii_alphanumeric() || matches!(c, b'+' | b'/' | b'=');
    match text.split_once(' ') {
        Some((_, blob))
            if blob
                .split(' ')
                .next()
                .is_some_and(|blob| !blob.is_empty() && blob.bytes().all(is_base64)) =>
        {
            Ok(kept)
        }
        _ => Err(Flaw::unexpected(
            format!("host key `{}`", shown(text)),
            expected,
        )),
    }
}

/// `web1:22` is a valid [`HostName`] as `:` belongs to IPv6; here it is a port gone astray.
fn no_port(text: &str, expected: &str) -> Result<(), Flaw> {
    match text.chars().position(|c| c == ':') {
        Some(offset) if !is_ipv6(text) => Err(Flaw::character(':', offset, expected)),
        _ => Ok(()),
    }
}

fn named(error: NameError, expected: &'static str) -> Flaw {
    Flaw::Name {
        error,
        expected,
        offset: 0,
    }
}

/// Group names pass the checks of host names, but an error must not call them so.
fn of_group(error: NameError) -> NameError {
    let what = "group name";
    match error {
        NameError::Empty { .. } => NameError::Empty { what },
        NameError::LeadingHyphen { text, .. } => NameError::LeadingHyphen { what, text },
        NameError::Dots { text, .. } => NameError::Dots { what, text },
        NameError::TooLong { length, .. } => NameError::TooLong { what, length },
        NameError::Character {
            text,
            found,
            column,
            ..
        } => NameError::Character {
            what,
            text,
            found,
            column,
        },
        other => other,
    }
}
