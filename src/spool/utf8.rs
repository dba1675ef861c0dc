//! Tells whether bytes that come in pieces, cut anywhere, are UTF-8 as a whole.

use std::str;

/// Longest part of a character that can be waiting for its rest.
const MAX_PENDING: usize = 3;

/// The check so far.
#[derive(Debug, Clone, Default)]
pub(super) struct Utf8Check {
    /// The start of a character whose rest has not come yet.
    pending: [u8; MAX_PENDING + 1],
    pending_len: u8,
    is_broken: bool,
}

impl Utf8Check {
    /// Takes the next piece.
    pub(super) fn push(&mut self, mut bytes: &[u8]) {
        while self.pending_len > 0 && !self.is_broken {
            let Some((&first, rest)) = bytes.split_first() else {
                return;
            };
            bytes = rest;
            self.complete(first);
        }
        if self.is_broken {
            return;
        }
        if let Err(error) = str::from_utf8(bytes) {
            self.keep(&bytes[error.valid_up_to()..], error.error_len().is_some());
        }
    }

    /// Whether everything so far is UTF-8 and ends with a whole character.
    pub(super) fn is_utf8(&self) -> bool {
        !self.is_broken && self.pending_len == 0
    }

    fn complete(&mut self, byte: u8) {
        let len = usize::from(self.pending_len);
        self.pending[len] = byte;
        self.pending_len += 1;
        match str::from_utf8(&self.pending[..=len]) {
            Ok(_) => self.pending_len = 0,
            Err(error) => self.is_broken = error.error_len().is_some(),
        }
    }

    fn keep(&mut self, rest: &[u8], is_broken: bool) {
        self.is_broken = is_broken;
        if !is_broken {
            self.pending[..rest.len()].copy_from_slice(rest);
            self.pending_len = u8::try_from(rest.len()).expect("at most 3 bytes are incomplete");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn check(pieces: &[&[u8]]) -> bool {
        let mut check = Utf8Check::default();
        for piece in pieces {
            check.push(piece);
        }
        check.is_utf8()
    }

    #[test]
    fn a_character_cut_in_two_is_one_character() {
        assert!(check(&[b"a\xf0", b"\x9f", b"\x98\x80b"]));
        assert!(!check(&[b"a\xf0", b"\x9f"]), "it never ends");
        assert!(!check(&[b"a\xf0", b"a"]));
        assert!(!check(&[b"\xff", b"fine"]));
    }

    proptest! {
        #[test]
        fn agrees_with_the_standard_library(
            text in prop_oneof![any::<Vec<u8>>(), any::<String>().prop_map(String::into_bytes)],
            size in 1_usize..5,
        ) {
            let pieces: Vec<&[u8]> = text.chunks(size).collect();
            prop_assert_eq!(check(&pieces), str::from_utf8(&text).is_ok());
        }
    }
}
