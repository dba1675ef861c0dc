//! A password that nobody will ever type.

use super::super::ProviderError;
use crate::secret::Secret;

/// Characters of a password.
const LENGTH: usize = 48;

/// The four classes that Linode counts.
const CLASSES: [&[u8]; 4] = [
    b"ABCDEFGHIJKLMNOPQRSTUVWXYZ",
    b"abcdefghijklmnopqrstuvwxyz",
    b"0123456789",
    b"-_",
];

/// Returns a new one, with characters of every class.
///
/// # Errors
/// When this machine has no randomness.
pub(super) fn random() -> Result<Secret, ProviderError> {
    let alphabet = CLASSES.concat();
    loop {
        let mut bytes = [0; LENGTH];
        openssl::rand::rand_bytes(&mut bytes).map_err(|_| ProviderError::Local {
            message: "cannot make up a password: this machine has no randomness".to_owned(),
        })?;
        // There are 64 characters, so the remainder favours none.
        let character = |byte: u8| char::from(alphabet[usize::from(byte) % alphabet.len()]);
        let password = Secret::new(bytes.into_iter().map(character).collect());
        if has_every_class(password.expose()) {
            return Ok(password);
        }
    }
}

fn has_every_class(password: &str) -> bool {
    let holds = |class: &&[u8]| password.bytes().any(|byte| class.contains(&byte));
    CLASSES.iter().all(holds)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn passwords_differ_and_hold_every_class() {
        assert_eq!(CLASSES.concat().len(), 64);
        let (one, other) = (random().unwrap(), random().unwrap());
        assert_ne!(one.expose(), other.expose());
        for password in [one, other] {
            assert_eq!(password.expose().len(), LENGTH);
            assert!(has_every_class(password.expose()));
        }
        assert!(!has_every_class("Abc-"));
        assert!(has_every_class("Ab1-"));
    }
}
