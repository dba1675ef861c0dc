//! A word that must not be seen: a password or a passphrase.
//!
//! It is wiped from memory when dropped and has no `Display`; whoever needs it says
//! [`Secret::expose`], so every use can be found by searching for that name.

use std::fmt;

use zeroize::Zeroizing;

/// A text that is wiped when dropped and that neither errors nor records can show.
#[derive(Clone)]
pub struct Secret(Zeroizing<String>);

impl Secret {
    /// Takes `text` over without copying it.
    pub fn new(text: String) -> Self {
        Self(Zeroizing::new(text))
    }

    /// Returns the text itself.
    pub fn expose(&self) -> &str {
        &self.0
    }
}

impl From<String> for Secret {
    fn from(text: String) -> Self {
        Self::new(text)
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("…")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn debug_never_shows_the_text() {
        let secret = Secret::new("hunter2".to_owned());
        assert_eq!(
            format!("{secret:?} {:#?}", Some(secret.clone())),
            "… Some(\n    …,\n)"
        );
        assert_eq!(secret.expose(), "hunter2");
    }
}
