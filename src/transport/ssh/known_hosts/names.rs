//! The first field of a `known_hosts` line: which hosts it speaks of.
//!
//! Either a comma list of names and patterns, some of them negated, or one hashed name. Names are
//! compared in lower case, as OpenSSH does, and never reach the resolver.

use std::io;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use openssl::sha::Sha1;

use crate::ssh_config::pattern;

/// OpenSSH matches nothing with a list that has a longer pattern in it.
const MAX_PATTERN_BYTES: usize = 1022;

/// Which hosts a line speaks of.
pub(super) enum Names {
    /// A comma list in lower case.
    List(Box<[u8]>),
    /// `|1|salt|hash`.
    Hashed(Box<HashedName>),
}

impl Names {
    /// Reads the field; `None` when it is a malformed hash or holds an endless pattern.
    pub(super) fn parse(field: &[u8]) -> Option<Self> {
        if field.first() == Some(&b'|') {
            return HashedName::parse(field).map(|name| Self::Hashed(Box::new(name)));
        }
        let names = field.to_ascii_lowercase().into_boxed_slice();
        let is_endless = split(&names).any(|name| name.len() > MAX_PATTERN_BYTES);
        (!is_endless).then_some(Self::List(names))
    }

    /// Returns the names when all are plain ones, without wildcard and negation.
    pub(super) fn exact(&self) -> Option<impl Iterator<Item = &[u8]>> {
        match self {
            Self::List(list) if !list.iter().any(|byte| b"*?!".contains(byte)) => Some(split(list)),
            _ => None,
        }
    }

    /// Whether the line speaks of the host `form`, which is in lower case.
    pub(super) fn matches(&self, form: &[u8]) -> bool {
        match self {
            Self::List(list) => list_matches(list, form),
            Self::Hashed(name) => name.matches(form),
        }
    }
}

fn split(list: &[u8]) -> impl Iterator<Item = &[u8]> {
    list.split(|byte| *byte == b',')
}

/// Whether any pattern matches and no negated one does.
///
/// Brackets are ordinary: `[*]:2222` matches that port on any host.
fn list_matches(list: &[u8], form: &[u8]) -> bool {
    let mut is_match = false;
    for pattern in split(list) {
        match pattern.strip_prefix(b"!") {
            Some(negated) if pattern::matches(form, negated) => return false,
            Some(_) => {}
            None => is_match |= pattern::matches(form, pattern),
        }
    }
    is_match
}

/// A name that can be recognised but not read: HMAC-SHA1 of it under a salt.
///
/// Both halves of the HMAC's key are digested once, here, so that a lookup costs two blocks of
/// SHA-1 (about a quarter of a microsecond).
pub(super) struct HashedName {
    inner: Sha1,
    outer: Sha1,
    hash: [u8; 20],
}

impl HashedName {
    fn parse(field: &[u8]) -> Option<Self> {
        let rest = field.strip_prefix(b"|1|")?;
        let bar = rest.iter().position(|byte| *byte == b'|')?;
        let salt = decode(&rest[..bar])?;
        let hash = decode(&rest[bar + 1..])?;
        Some(Self {
            inner: padded(&salt, 0x36),
            outer: padded(&salt, 0x5c),
            hash,
        })
    }

    /// Returns the field that stands for `form`, under a salt of its own.
    fn write(form: &str) -> io::Result<String> {
        let mut salt = [0; 20];
        openssl::rand::rand_bytes(&mut salt)?;
        let mut name = Self {
            inner: padded(&salt, 0x36),
            outer: padded(&salt, 0x5c),
            hash: [0; 20],
        };
        name.hash = name.digest(form.as_bytes());
        let (salt, hash) = (STANDARD.encode(salt), STANDARD.encode(name.hash));
        Ok(format!("|1|{salt}|{hash}"))
    }

    /// Whether this is the name `form`.
    pub(super) fn matches(&self, form: &[u8]) -> bool {
        self.digest(form) == self.hash
    }

    fn digest(&self, form: &[u8]) -> [u8; 20] {
        let mut inner = self.inner.clone();
        inner.update(form);
        let mut outer = self.outer.clone();
        outer.update(&inner.finish());
        outer.finish()
    }
}

/// Returns `form` as it is written where names are not to be read.
///
/// # Errors
/// When there is no randomness.
pub(super) fn hashed(form: &str) -> io::Result<String> {
    HashedName::write(form)
}

fn decode(text: &[u8]) -> Option<[u8; 20]> {
    STANDARD.decode(text).ok()?.try_into().ok()
}

/// Digests one half of an HMAC's key (RFC 2104 §2); a block of SHA-1 has 64 bytes.
fn padded(salt: &[u8; 20], pad: u8) -> Sha1 {
    let mut block = [pad; 64];
    for (byte, salt) in block.iter_mut().zip(salt) {
        *byte ^= salt;
    }
    let mut digest = Sha1::new();
    digest.update(&block);
    digest
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn matches(list: &str, form: &str) -> bool {
        Names::parse(list.as_bytes())
            .unwrap()
            .matches(form.as_bytes())
    }

    #[test]
    fn lists_hold_names_patterns_and_negations() {
        assert!(matches("web1,WEB2", "web2"));
        assert!(matches("web?,!web3", "web2"));
        assert!(!matches("web?,!web3", "web3"));
        assert!(!matches("!web3,web*", "web3"), "order does not matter");
        assert!(
            !matches("!web3", "web1"),
            "a negation alone matches nothing"
        );
        assert!(matches("*.example.org", "a.b.example.org"));
        assert!(!matches("*.example.org", "example.org"));
        assert!(matches("[*]:2222", "[web1]:2222"));
        assert!(!matches("[ab]*", "a"), "brackets are no character class");
    }

    #[test]
    fn a_hashed_name_is_the_one_ssh_keygen_made() {
        let web1 = "|1|2XCALGz4Bezr74U7j7mpOUHVesc=|GNUjhrljXfLH/0vlJG6YItQT98w=";
        let other_port = "|1|TID9aDA1aLeIfJjAlHtKs8hMih4=|qlhYER0a8cQFMTbGYT0kw3aKumk=";
        assert!(matches(web1, "web1") && !matches(web1, "web2"));
        assert!(matches(other_port, "[web1]:2222") && !matches(other_port, "web1"));
        assert!(Names::parse(b"|1|2XCALGz4Bezr74U7j7mpOUHVesc=|").is_none());
        assert!(Names::parse(b"|1|bHU=|bHU=").is_none());
        assert!(Names::parse(b"|2|x|y").is_none());
        assert!(Names::parse(b"|").is_none());
    }

    #[test]
    fn a_name_that_was_hashed_here_is_found_again() {
        let field = hashed("[web1]:2222").unwrap();
        assert!(matches(&field, "[web1]:2222") && !matches(&field, "web1"));
        assert_ne!(
            field,
            hashed("[web1]:2222").unwrap(),
            "each has its own salt"
        );
    }

    #[test]
    fn patterns_that_backtrack_take_linear_space_and_bounded_time() {
        let pattern = "*a".repeat(500);
        assert!(!matches(&pattern, &"a".repeat(240)));
        assert!(Names::parse("a".repeat(1023).as_bytes()).is_none());
    }

    /// The definition, slowly.
    fn defined(pattern: &[u8], text: &[u8]) -> bool {
        match (pattern, text) {
            ([], []) => true,
            ([b'*', rest @ ..], _) => {
                defined(rest, text) || (!text.is_empty() && defined(pattern, &text[1..]))
            }
            ([b'?', rest @ ..], [_, text @ ..]) => defined(rest, text),
            ([a, rest @ ..], [b, text @ ..]) if a == b => defined(rest, text),
            _ => false,
        }
    }

    proptest! {
        #[test]
        fn patterns_match_as_defined(pattern in "[ab*?]{0,8}", text in "[ab]{0,8}") {
            prop_assert_eq!(
                pattern::matches(text.as_bytes(), pattern.as_bytes()),
                defined(pattern.as_bytes(), text.as_bytes())
            );
        }
    }
}
