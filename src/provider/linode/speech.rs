//! How Linode is spoken to, and what its refusals mean.
//!
//! A refusal is `{"errors": [{"field": "label", "reason": "a sentence"}]}`, often without a field;
//! there are no codes, so what kind it is has to be read out of the sentences.

use serde_json::Value;

use super::super::http::{Answer, Call, Dialect, bearer};
use super::super::{ProviderError, Refusal, RefusalKind, json};
use crate::secret::Secret;

/// What is said while something else is done to the server.
const BUSY: &str = "linode busy";

/// What is said with status 401 where the token is good and its scopes are not.
const NO_SCOPE: &str = "not authorized to use this endpoint";

/// Words of refusals, in lower case, and what they mean.
const MEANINGS: [(&str, RefusalKind); 11] = [
    (BUSY, RefusalKind::Locked),
    (NO_SCOPE, RefusalKind::Permission),
    ("must be unique", RefusalKind::Conflict),
    ("limit reached", RefusalKind::Quota),
    ("reached a limit", RefusalKind::Quota),
    ("reached the limit", RefusalKind::Quota),
    ("account limit", RefusalKind::Quota),
    ("sold out", RefusalKind::SoldOut),
    ("out of stock", RefusalKind::SoldOut),
    ("capacity", RefusalKind::SoldOut),
    ("currently unavailable", RefusalKind::SoldOut),
];

/// The token, and the way to say it.
pub(super) struct Speech {
    token: Secret,
}

impl Speech {
    /// Returns the way to speak with this token.
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
        let errors = json::list(&body, "/errors").iter();
        let sentences: Vec<String> = errors.filter_map(sentence).collect();
        // Nobody promises that a sentence doesn't quote the token.
        let sentence = sentences.join("; ").replace(self.token.expose(), "…");
        let mut refusal = Refusal::new(answer.status, &sentence);
        let lower = sentence.to_lowercase();
        if matches!(answer.status, 400..=403 | 405..=428) {
            let mut meanings = MEANINGS.into_iter();
            let meant = meanings.find(|(words, _)| lower.contains(words));
            refusal.kind = meant.map_or(refusal.kind, |(_, kind)| kind);
        }
        refusal.hint = hint(&refusal, &lower).map(str::to_owned);
        refusal
    }

    fn is_passing(&self, _: &Call, refusal: &Refusal) -> bool {
        refusal.status == 400 && refusal.message.to_lowercase().contains(BUSY)
    }
}

/// Returns one reason with the field it is about, if it is about one.
fn sentence(error: &Value) -> Option<String> {
    let reason = json::some_text(error, "/reason")?;
    match json::text(error, "/field") {
        "" | "null" => Some(reason),
        field => Some(format!("{field}: {reason}")),
    }
}

fn hint(refusal: &Refusal, lower: &str) -> Option<&'static str> {
    match refusal.kind {
        RefusalKind::Permission if lower.contains(NO_SCOPE) => {
            Some("the token needs the scope linodes:read_write")
        }
        RefusalKind::Conflict if lower.contains("label") => Some(
            "labels are unique in an account at Linode: destroy the server that has it, or give \
             the fleet another name",
        ),
        _ => None,
    }
}
