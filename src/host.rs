//! One machine and the words that name it: parsed once, valid ever after.
//!
//! Text from an inventory, a pattern or an argument comes in; a [`HostName`], [`Address`],
//! [`UserName`] or [`Port`] goes out, or an error that shows the text with everything unprintable
//! escaped. A valid name can be used as a file name, printed to a terminal and handed to another
//! program without a second thought. Nothing here resolves or dials.

use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

use thiserror::Error;

mod ssh;

pub use ssh::{AddressFamily, Algorithms, AuthMethod, HostKeyPolicy, Route, SshSettings};

/// Longest host name in bytes: `<name>.status` with a temporary suffix still fits the 255 bytes
/// of a file name on every common filesystem.
pub const MAX_NAME_BYTES: usize = 240;

/// Characters that mean something in a pattern or an inventory and so can't be part of a name.
const RESERVED_IN_NAME: &[char] = &[
    ',', '!', '&', '^', '(', ')', '[', ']', '@', '*', '?', '#', '=', ';', '|', '"', '\'', '\\',
    '/', '<', '>', '{', '}', '`', '$', '~',
];

/// Characters that a shell or a URL would act on and so can't be part of a user name.
const RESERVED_IN_USER: &[char] = &[
    ',', '!', '&', '^', '(', ')', '[', ']', '*', '?', '#', '=', ';', '|', '"', '\'', '/', '<', '>',
    '{', '}', '`', ':',
];

/// Why a text is not a valid name.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum NameError {
    /// Nothing was given.
    #[error("{what} is empty")]
    Empty {
        /// What was being read: `host name`, `address`, `user name`.
        what: &'static str,
    },
    /// A character that would be dangerous or ambiguous.
    #[error("{what} `{text}` holds {found} at character {column}")]
    Character {
        /// What was being read.
        what: &'static str,
        /// The whole text, escaped for display.
        text: String,
        /// The character, described for display.
        found: String,
        /// One-based position of the character.
        column: usize,
    },
    /// A leading hyphen would be taken for an option by other programs.
    #[error("{what} `{text}` starts with `-`")]
    LeadingHyphen {
        /// What was being read.
        what: &'static str,
        /// The whole text, escaped for display.
        text: String,
    },
    /// `.` or `..`, which name a folder.
    #[error("{what} `{text}` names a folder")]
    Dots {
        /// What was being read.
        what: &'static str,
        /// The text.
        text: String,
    },
    /// Longer than a file name may be.
    #[error("{what} is {length} bytes long; at most {MAX_NAME_BYTES} are allowed")]
    TooLong {
        /// What was being read.
        what: &'static str,
        /// Length in bytes.
        length: usize,
    },
    /// Not a number from 1 to 65535.
    #[error("port `{text}` is not a number from 1 to 65535")]
    Port {
        /// The text, escaped for display.
        text: String,
    },
    /// Not the name of a transport.
    #[error("transport `{text}` is not one of `ssh`, `openssh`, `local`")]
    Transport {
        /// The text, escaped for display.
        text: String,
    },
}

/// Shows `text` with everything but printable characters escaped.
pub fn escaped(text: &str) -> String {
    let mut shown = String::with_capacity(text.len());
    for c in text.chars() {
        if is_printable(c) {
            shown.push(c);
        } else {
            shown.extend(c.escape_default());
        }
    }
    shown
}

/// Cuts a text to so many characters, and shows that it was cut.
pub(crate) fn cut(mut text: String, most: usize) -> String {
    if let Some((end, _)) = text.char_indices().nth(most) {
        text.truncate(end);
        text.push('…');
    }
    text
}

/// Whether `c` can be shown on a terminal without acting on it or on its neighbours.
///
/// Besides control characters this refuses the invisible format characters that reorder or hide
/// text (Unicode UAX #9, general category Cf).
pub fn is_printable(c: char) -> bool {
    c == ' '
        || !(c.is_control()
            || c.is_whitespace()
            || matches!(c, '\u{ad}' | '\u{61c}' | '\u{180e}' | '\u{200b}'..='\u{200f}'
                | '\u{202a}'..='\u{202e}' | '\u{2060}'..='\u{206f}' | '\u{feff}'
                | '\u{fff9}'..='\u{fffb}' | '\u{e0000}'..='\u{e007f}'))
}

fn check(what: &'static str, text: &str, reserved: &[char]) -> Result<(), NameError> {
    if text.is_empty() {
        return Err(NameError::Empty { what });
    }
    if text.len() > MAX_NAME_BYTES {
        return Err(NameError::TooLong {
            what,
            length: text.len(),
        });
    }
    if text.starts_with('-') {
        return Err(NameError::LeadingHyphen {
            what,
            text: escaped(text),
        });
    }
    if text == "." || text == ".." {
        return Err(NameError::Dots {
            what,
            text: text.to_owned(),
        });
    }
    // Nearly every name is plain ASCII letters, digits and dots: look no further then.
    let plain = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_' | b'.');
    if text.bytes().all(plain) {
        return Ok(());
    }
    let bad = |c: char| c == ' ' || !is_printable(c) || reserved.contains(&c);
    match text.chars().enumerate().find(|(_, c)| bad(*c)) {
        None => Ok(()),
        Some((index, c)) => Err(NameError::Character {
            what,
            text: escaped(text),
            found: match c {
                ' ' => "a blank".to_owned(),
                c if is_printable(c) => format!("`{c}`"),
                c => format!("the character `{}`", c.escape_default()),
            },
            column: index + 1,
        }),
    }
}

macro_rules! checked_name {
    ($(#[$doc:meta])* $name:ident, $what:literal, $reserved:expr) => {
        $(#[$doc])*
        #[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
        pub struct $name(Arc<str>);

        impl $name {
            /// Checks `text` and keeps it.
            ///
            /// # Errors
            /// When a character could drive a terminal, be taken for an option or a path, or
            /// means something else in hoist's own syntax.
            pub fn parse(text: &str) -> Result<Self, NameError> {
                check($what, text, $reserved)?;
                Ok(Self(text.into()))
            }

            /// Returns the text as it was given.
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl FromStr for $name {
            type Err = NameError;
            fn from_str(text: &str) -> Result<Self, NameError> {
                Self::parse(text)
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.pad(&self.0)
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                fmt::Debug::fmt(&*self.0, f)
            }
        }

        impl AsRef<str> for $name {
            fn as_ref(&self) -> &str {
                &self.0
            }
        }

        impl std::borrow::Borrow<str> for $name {
            fn borrow(&self) -> &str {
                &self.0
            }
        }
    };
}

checked_name! {
    /// The unique name of a host, cheap to clone: a DNS name, an alias, an IPv4 or (without
    /// brackets) an IPv6 address.
    HostName, "host name", RESERVED_IN_NAME
}
checked_name! {
    /// What is dialled: a DNS name or an IP address, without brackets and without a port.
    Address, "address", RESERVED_IN_NAME
}
checked_name! {
    /// An account on a host.
    UserName, "user name", RESERVED_IN_USER
}

impl From<&HostName> for Address {
    /// A host without an address of its own is dialled by its name.
    fn from(name: &HostName) -> Self {
        Self(Arc::clone(&name.0))
    }
}

/// A TCP port, never 0.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Port(std::num::NonZeroU16);

impl Port {
    /// The port of SSH (RFC 4253 §4).
    pub const SSH: Self = Self(std::num::NonZeroU16::new(22).expect("22 is not 0"));

    /// Returns the port unless `number` is 0.
    pub fn new(number: u16) -> Option<Self> {
        std::num::NonZeroU16::new(number).map(Self)
    }

    /// Returns the number.
    pub fn get(self) -> u16 {
        self.0.get()
    }
}

impl FromStr for Port {
    type Err = NameError;
    fn from_str(text: &str) -> Result<Self, NameError> {
        let digits = !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit());
        digits
            .then(|| text.parse().ok())
            .flatten()
            .and_then(Self::new)
            .ok_or_else(|| NameError::Port {
                text: escaped(text),
            })
    }
}

impl fmt::Display for Port {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(&self.0, f)
    }
}

/// A way to reach hosts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub enum TransportName {
    /// The built-in SSH client.
    #[default]
    Ssh,
    /// The system's `ssh`.
    OpenSsh,
    /// This machine, without a network.
    Local,
}

impl TransportName {
    /// All of them, in the order they are told.
    pub const ALL: [Self; 3] = [Self::Ssh, Self::OpenSsh, Self::Local];

    /// Whether hosts are reached over the network, with a login.
    pub fn is_remote(self) -> bool {
        self != Self::Local
    }

    /// Returns the word used in inventories and arguments.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Ssh => "ssh",
            Self::OpenSsh => "openssh",
            Self::Local => "local",
        }
    }
}

impl FromStr for TransportName {
    type Err = NameError;
    fn from_str(text: &str) -> Result<Self, NameError> {
        let mut all = Self::ALL.into_iter();
        let named = all.find(|transport| transport.as_str() == text);
        named.ok_or_else(|| NameError::Transport {
            text: escaped(text),
        })
    }
}

/// The variables of one host, in the order of the inventory's columns.
///
/// Column names are shared between hosts: a million rows hold each of them once.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Variables(Vec<(Arc<str>, Box<str>)>);

impl Variables {
    /// Returns no variables, with room for `count`: a million hosts should not each hold spare.
    pub fn with_capacity(count: usize) -> Self {
        Self(Vec::with_capacity(count))
    }

    /// Returns the value of `name`.
    pub fn get(&self, name: &str) -> Option<&str> {
        self.0
            .iter()
            .find(|(key, _)| &**key == name)
            .map(|(_, value)| &**value)
    }

    /// Sets `name`, replacing an earlier value in place.
    pub fn set(&mut self, name: Arc<str>, value: impl Into<Box<str>>) {
        match self.0.iter_mut().find(|(key, _)| *key == name) {
            Some(slot) => slot.1 = value.into(),
            None => self.0.push((name, value.into())),
        }
    }

    /// Returns the value of `name`, found by its address: names that are equal have to be the same.
    pub(crate) fn get_shared(&self, name: &Arc<str>) -> Option<&str> {
        let mut all = self.0.iter();
        let (_, value) = all.find(|(key, _)| Arc::ptr_eq(key, name))?;
        Some(value)
    }

    /// Sets `name`, which is not set yet, without looking for it.
    pub(crate) fn push(&mut self, name: Arc<str>, value: impl Into<Box<str>>) {
        self.0.push((name, value.into()));
    }

    /// Yields name and value in order.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &str)> {
        self.0.iter().map(|(key, value)| (&**key, &**value))
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

/// One machine as the inventory knows it. What is `None` is decided by settings.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Host {
    /// Unique in the inventory.
    pub name: HostName,
    /// Dialled instead of the name.
    pub address: Option<Address>,
    /// Account to log in as.
    pub user: Option<UserName>,
    /// Port to dial.
    pub port: Option<Port>,
    /// Private key file.
    pub identity: Option<Box<str>>,
    /// Hosts to pass through, as `ssh -J` takes them.
    pub jump: Option<Box<str>>,
    /// How the host is reached.
    pub transport: Option<TransportName>,
    /// Name of the hosting API that made it.
    pub provider: Option<Box<str>>,
    /// The provider's id.
    pub id: Option<Box<str>>,
    /// The only host key accepted: `ssh-ed25519 AAAA…`.
    pub host_key: Option<Box<str>>,
    /// Groups named in the host's own row, in order.
    pub groups: Vec<Arc<str>>,
    /// Every other column or `key=value`.
    pub variables: Variables,
}

impl Host {
    /// Returns a host that is nothing but its name.
    pub fn named(name: HostName) -> Self {
        Self {
            name,
            address: None,
            user: None,
            port: None,
            identity: None,
            jump: None,
            transport: None,
            provider: None,
            id: None,
            host_key: None,
            groups: Vec::new(),
            variables: Variables::default(),
        }
    }
}

/// Where and as whom one host is reached, with every setting applied.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Endpoint {
    /// The host's name in the results.
    pub name: HostName,
    /// How it is reached.
    pub transport: TransportName,
    /// What is dialled.
    pub address: Address,
    /// Port that is dialled.
    pub port: Port,
    /// Account; `None` under the local transport, which has no login.
    pub user: Option<UserName>,
    /// How SSH goes about it.
    pub ssh: Arc<SshSettings>,
    /// The only host key accepted, if the inventory names one: `ssh-ed25519 AAAA…`.
    pub host_key: Option<Box<str>>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ordinary_names_are_kept_as_given() {
        for name in [
            "web01",
            "db-3.example.org",
            "10.0.0.7",
            "2001:db8::1",
            "fe80::1%eth0",
            "größe",
        ] {
            assert_eq!(HostName::parse(name).unwrap().as_str(), name);
        }
    }

    #[test]
    fn dangerous_names_are_refused_and_shown_escaped() {
        for name in [
            "",
            "-oProxyCommand=x",
            "../../x",
            "a/b",
            "a b",
            "a\0b",
            "a\u{1b}[2J",
            "..",
            "a\u{202e}b",
            "a\u{85}",
        ] {
            let error = HostName::parse(name).unwrap_err().to_string();
            assert!(error.chars().all(is_printable), "{error:?}");
        }
        assert_eq!(
            HostName::parse("a\u{1b}[2J").unwrap_err().to_string(),
            "host name `a\\u{1b}[2J` holds the character `\\u{1b}` at character 2"
        );
    }

    #[test]
    fn ports_are_plain_numbers_from_1_to_65535() {
        assert_eq!("2222".parse::<Port>().unwrap().get(), 2222);
        for text in ["", "0", "65536", "+22", "2 2", "ssh"] {
            assert!(text.parse::<Port>().is_err(), "{text}");
        }
    }

    #[test]
    fn users_of_a_windows_domain_are_allowed() {
        assert!(UserName::parse("CORP\\jane").is_ok());
        assert!(UserName::parse("jane@corp.example").is_ok());
        assert!(UserName::parse("-l").is_err());
        assert!(UserName::parse("a;b").is_err());
    }
}
