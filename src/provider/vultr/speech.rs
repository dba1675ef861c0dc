//! How Vultr is spoken to, and what its refusals mean.
//!
//! A refusal is `{"error": "a sentence", "status": 400}`; there are no codes, so what kind it is has
//! to be read out of the sentence.

use super::super::http::{Answer, Call, Dialect, bearer};
use super::super::{ProviderError, Refusal, RefusalKind, json};
use super::KEYS_PAGE;
use crate::secret::Secret;

/// Words of refusals, in lower case, and what they mean.
const MEANINGS: [(&str, RefusalKind); 9] = [
    ("pending destruction", RefusalKind::Conflict),
    ("currently locked", RefusalKind::Locked),
    ("is locked", RefusalKind::Locked),
    ("reached the maximum", RefusalKind::Quota),
    ("current limit", RefusalKind::Quota),
    ("not available in", RefusalKind::SoldOut),
    ("sold out", RefusalKind::SoldOut),
    ("out of stock", RefusalKind::SoldOut),
    ("capacity", RefusalKind::SoldOut),
];

/// The key of the API, and the way to say it.
pub(super) struct Speech {
    token: Secret,
}

impl Speech {
    /// Returns the way to speak with this key.
    pub(super) fn new(token: Secret) -> Self {
        Self { token }
    }
}

impl Dialect for Speech {
    fn authorize(&self, _: &Call, _: &str) -> Result<Vec<(&'static str, String)>, ProviderError> {
        Ok(bearer(&self.token))
    }

    fn refusal(&self, answer: &Answer) -> Refusal {
        let body = answer.json();
        // Nobody promises that the sentence doesn't quote the key.
        let sentence = json::text(&body, "/error").replace(self.token.expose(), "…");
        let mut refusal = Refusal::new(answer.status, &sentence);
        let lower = sentence.to_lowercase();
        if matches!(answer.status, 400 | 403 | 405..=428 | 500) {
            let mut meanings = MEANINGS.into_iter();
            let meant = meanings.find(|(words, _)| lower.contains(words));
            refusal.kind = meant.map_or(refusal.kind, |(_, kind)| kind);
        }
        if matches!(answer.status, 401 | 403) && lower.contains("ip address") {
            refusal.hint = Some(format!("{KEYS_PAGE} lists who may use the key"));
        }
        refusal
    }

    /// A 503 of the API itself did nothing; one of a gateway before it, which has no sentence, may
    /// have been heard.
    fn is_passing(&self, _: &Call, refusal: &Refusal) -> bool {
        refusal.status == 503 && !refusal.message.is_empty()
    }
}

/// Whether the server that was to be destroyed is being so already.
pub(super) fn is_going(refusal: &Refusal) -> bool {
    let sentence = refusal.message.to_lowercase();
    sentence.contains("pending destruction")
}
