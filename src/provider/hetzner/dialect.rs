//! How Hetzner Cloud is told who asks, and how it says no
//! (<https://docs.hetzner.cloud/reference/cloud#errors>).

use std::fmt::Write as _;

use serde_json::Value;

use super::super::http::{Answer, Call, Care, Dialect, bearer};
use super::super::{ProviderError, Refusal, RefusalKind, json as field};
use crate::secret::Secret;

/// Where tokens are made.
pub(super) const TOKENS: &str =
    "https://console.hetzner.com/projects (the project, Security, API tokens)";

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
        let code = field::text(&body, "/error/code");
        let request = answer.header("x-correlation-id");
        Refusal {
            kind: kind(answer.status, code),
            hint: hint(code).map(str::to_owned),
            ..Refusal::new(answer.status, &message(&body))
                .with_code(Some(code).filter(|code| !code.is_empty()))
                .with_request_id(request)
        }
    }

    fn is_passing(&self, call: &Call, refusal: &Refusal) -> bool {
        match refusal.code.as_deref() {
            Some("conflict" | "rate_limit_exceeded") => true,
            // Whether such a request did something is not known.
            Some("bad_gateway" | "timeout") => call.care != Care::Create,
            Some("locked") => call.care == Care::Delete,
            _ => false,
        }
    }
}

/// Returns the vendor's sentence, and what it says of single fields.
fn message(body: &Value) -> String {
    let mut message = field::text(body, "/error/message").to_owned();
    for wrong in field::list(body, "/error/details/fields") {
        let reasons: Vec<&str> = field::words(wrong, "/messages").collect();
        if !reasons.is_empty() {
            let name = field::text(wrong, "/name");
            let _ = write!(message, "; {name}: {}", reasons.join(", "));
        }
    }
    message
}

/// Returns what a refusal means. `conflict` is no conflict of names: the project was changed at the
/// same time.
fn kind(status: u16, code: &str) -> RefusalKind {
    match code {
        "unauthorized" => RefusalKind::Credentials,
        "forbidden" | "token_readonly" | "protected" | "resource_locked" => RefusalKind::Permission,
        "resource_limit_exceeded" => RefusalKind::Quota,
        "resource_unavailable" | "placement_error" | "no_space_left_in_location" => {
            RefusalKind::SoldOut
        }
        "invalid_input" | "json_error" | "invalid_server_type" => RefusalKind::Input,
        "uniqueness_error" => RefusalKind::Conflict,
        "locked" => RefusalKind::Locked,
        "conflict"
        | "rate_limit_exceeded"
        | "bad_gateway"
        | "timeout"
        | "service_error"
        | "server_error"
        | "unavailable"
        | "maintenance" => RefusalKind::Busy,
        _ => RefusalKind::of_status(status),
    }
}

fn hint(code: &str) -> Option<&'static str> {
    match code {
        "unauthorized" => Some("a new token is made at https://console.hetzner.com/projects"),
        "token_readonly" => Some("make a token that may read and write"),
        "protected" => Some("switch its protection off first"),
        "resource_limit_exceeded" => Some(
            "what the project has and may have is shown at https://console.hetzner.com under Limits",
        ),
        "resource_unavailable" => Some("take another location or server type, or try again later"),
        "invalid_server_type" => {
            Some("the server type is not sold any more, or doesn't fit the image")
        }
        _ => None,
    }
}
