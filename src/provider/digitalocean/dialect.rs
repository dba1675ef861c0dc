//! How `DigitalOcean` is told who asks, and how it says no
//! (<https://docs.digitalocean.com/reference/api/digitalocean/#section/Introduction/HTTP-Statuses>).

use super::super::http::{Answer, Call, Dialect, bearer};
use super::super::{ProviderError, Refusal, RefusalKind, json as field};
use crate::secret::Secret;

/// Where tokens are made.
pub(super) const TOKENS: &str = "https://cloud.digitalocean.com/account/api/tokens";

/// Where more droplets are asked for.
const LIMITS: &str = "https://cloud.digitalocean.com/account/team/droplet_limit_increase";

/// A token that goes along with every request.
pub(super) struct Bearer {
    token: Secret,
}

impl Bearer {
    pub(super) fn new(token: Secret) -> Self {
        Self { token }
    }
}

impl Dialect for Bearer {
    fn authorize(&self, _: &Call, _: &str) -> Result<Vec<(&'static str, String)>, ProviderError> {
        Ok(bearer(&self.token))
    }

    fn refusal(&self, answer: &Answer) -> Refusal {
        let body = answer.json();
        let (id, message) = (
            field::some_text(&body, "/id"),
            field::text(&body, "/message"),
        );
        let request = field::some_text(&body, "/request_id");
        let request = request.as_deref().or_else(|| answer.header("x-request-id"));
        let kind = kind(answer.status, message);
        Refusal {
            kind,
            hint: hint(kind),
            ..Refusal::new(answer.status, message)
                .with_code(id.as_deref())
                .with_request_id(request)
        }
    }
}

/// Returns what a refusal means. Quota, stock and locks have no code of their own: there is only
/// the sentence.
fn kind(status: u16, message: &str) -> RefusalKind {
    let by_status = RefusalKind::of_status(status);
    if !matches!(status, 400 | 403 | 409 | 422) {
        return by_status;
    }
    let message = message.to_lowercase();
    let says = |words: &[&str]| words.iter().any(|word| message.contains(word));
    let is_place_or_size = message.starts_with("size") || message.starts_with("region");
    if says(&["limit"]) && says(&["exceed", "reached"]) {
        RefusalKind::Quota
    } else if says(&["pending event", "droplet is locked"]) {
        RefusalKind::Locked
    } else if says(&["already in use"]) {
        RefusalKind::Conflict
    } else if is_place_or_size && says(&["not available", "unavailable"]) {
        RefusalKind::SoldOut
    } else {
        by_status
    }
}

fn hint(kind: RefusalKind) -> Option<String> {
    match kind {
        RefusalKind::Credentials => Some(format!("a new token is made at {TOKENS}")),
        RefusalKind::Permission => Some(format!(
            "the token needs the write scope, or the scopes for droplets, SSH keys, tags and \
             images: {TOKENS}"
        )),
        RefusalKind::Quota => Some(format!("more are asked for at {LIMITS}")),
        RefusalKind::SoldOut => Some("take another region or size".to_owned()),
        _ => None,
    }
}
