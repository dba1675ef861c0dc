//! The data types of SSH messages (RFC 4251 §5): strings, numbers and mpints.
//!
//! Bytes of a key file, an agent or a server come in; pieces of them go out, or `None` where they
//! end too early. Nothing here allocates by a length that the other side names.

/// Takes values off the front of a message.
pub(super) struct Reader<'a>(&'a [u8]);

impl<'a> Reader<'a> {
    pub(super) fn new(bytes: &'a [u8]) -> Self {
        Self(bytes)
    }

    /// Takes the next `length` bytes.
    pub(super) fn take(&mut self, length: usize) -> Option<&'a [u8]> {
        let (taken, rest) = self.0.split_at_checked(length)?;
        self.0 = rest;
        Some(taken)
    }

    /// Takes a number of four bytes.
    pub(super) fn u32(&mut self) -> Option<u32> {
        let (number, rest) = self.0.split_first_chunk()?;
        self.0 = rest;
        Some(u32::from_be_bytes(*number))
    }

    /// Takes a number of eight bytes.
    pub(super) fn u64(&mut self) -> Option<u64> {
        let (number, rest) = self.0.split_first_chunk()?;
        self.0 = rest;
        Some(u64::from_be_bytes(*number))
    }

    /// Takes a string: its length, then that many bytes. An mpint has the same form.
    pub(super) fn string(&mut self) -> Option<&'a [u8]> {
        let length = usize::try_from(self.u32()?).ok()?;
        self.take(length)
    }

    /// Returns what was not taken yet.
    pub(super) fn rest(&self) -> &'a [u8] {
        self.0
    }

    /// Whether everything was taken.
    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

/// Appends a number of four bytes.
pub(super) fn put_u32(out: &mut Vec<u8>, number: u32) {
    out.extend_from_slice(&number.to_be_bytes());
}

/// Appends a string.
pub(super) fn put_string(out: &mut Vec<u8>, bytes: &[u8]) {
    let length = u32::try_from(bytes.len()).expect("no key or request is 4 GiB long");
    put_u32(out, length);
    out.extend_from_slice(bytes);
}

/// Appends a number that is not negative, given as big-endian bytes.
pub(super) fn put_mpint(out: &mut Vec<u8>, bytes: &[u8]) {
    let zeros = bytes.iter().take_while(|byte| **byte == 0).count();
    let digits = &bytes[zeros..];
    let needs_sign = digits.first().is_some_and(|byte| *byte >= 0x80);
    let length = digits.len() + usize::from(needs_sign);
    put_u32(out, u32::try_from(length).expect("no number is 4 GiB long"));
    if needs_sign {
        out.push(0);
    }
    out.extend_from_slice(digits);
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn mpint(bytes: &[u8]) -> Vec<u8> {
        let mut out = Vec::new();
        put_mpint(&mut out, bytes);
        out
    }

    #[test]
    fn mpints_are_as_in_the_examples_of_rfc_4251() {
        assert_eq!(mpint(&[]), [0, 0, 0, 0]);
        assert_eq!(mpint(&[0, 0]), [0, 0, 0, 0]);
        assert_eq!(mpint(&[0x80]), [0, 0, 0, 2, 0, 0x80]);
        assert_eq!(
            mpint(&[0, 9, 0xa3, 0x78]),
            [0, 0, 0, 3, 9, 0xa3, 0x78],
            "leading zeros are dropped"
        );
    }

    #[test]
    fn a_message_that_ends_early_is_none() {
        assert_eq!(Reader::new(&[0, 0, 0]).u32(), None);
        assert_eq!(Reader::new(&[0, 0, 0, 2, b'a']).string(), None);
        assert_eq!(Reader::new(&[0xff; 6]).string(), None);
    }

    proptest! {
        #[test]
        fn strings_read_back(a: Vec<u8>, b: Vec<u8>) {
            let mut out = Vec::new();
            put_string(&mut out, &a);
            put_string(&mut out, &b);
            let mut reader = Reader::new(&out);
            prop_assert_eq!(reader.string(), Some(&a[..]));
            prop_assert_eq!(reader.string(), Some(&b[..]));
            prop_assert!(reader.is_empty());
        }
    }
}
