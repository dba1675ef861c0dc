//! How the API says no: `{"message": …, "class": …}` or `{"message": …, "errorCode": …}`, and what it
//! calls the request in a header.

use serde_json::Value;

use super::super::http::Answer;
use super::super::{Refusal, RefusalKind, json};
use super::PROJECT_VARIABLE;
use super::credentials::token_page;
use crate::host::escaped;

/// Words that tell that a region has no room.
const SOLD_OUT: [&str; 5] = [
    "no valid host",
    "out of stock",
    "sold out",
    "not enough capacity",
    "insufficient capacity",
];

/// Reads the vendor's words out of an answer of the API at `base`.
pub(super) fn read(answer: &Answer, base: &str) -> Refusal {
    let body = answer.json();
    let code = json::some_text(&body, "/errorCode").or_else(|| json::some_text(&body, "/class"));
    let refusal = Refusal::new(answer.status, json::text(&body, "/message"))
        .with_code(code.as_deref())
        .with_request_id(answer.header("x-ovh-queryid"));
    let kind = kind(&refusal);
    let hint = hint(&refusal, &body, base);
    Refusal {
        kind,
        hint,
        ..refusal
    }
}

/// Whether the request was dated too far from the API's clock.
pub(super) fn is_clock(refusal: &Refusal) -> bool {
    code(refusal) == "QUERY_TIME_OUT" || says(refusal, "query out of time")
}

/// Whether the signature is wrong, which it is too where the clock is.
pub(super) fn is_signature(refusal: &Refusal) -> bool {
    code(refusal) == "INVALID_SIGNATURE" || says(refusal, "invalid signature")
}

/// Whether the API knows no such project, or not for this account.
pub(super) fn is_project(refusal: &Refusal) -> bool {
    refusal.status == 404 && says(refusal, "service does not exist")
}

fn code(refusal: &Refusal) -> &str {
    refusal.code.as_deref().unwrap_or_default()
}

fn says(refusal: &Refusal, words: &str) -> bool {
    refusal.message.to_lowercase().contains(words)
}

fn kind(refusal: &Refusal) -> RefusalKind {
    let is_firm = (400..500).contains(&refusal.status)
        && !matches!(refusal.status, 401 | 404 | 408 | 423 | 429);
    match code(refusal) {
        "NOT_CREDENTIAL" | "INVALID_CREDENTIAL" | "INVALID_KEY" => RefusalKind::Credentials,
        "NOT_GRANTED_CALL" => RefusalKind::Permission,
        _ if is_signature(refusal) => RefusalKind::Credentials,
        _ if is_clock(refusal) => RefusalKind::Other,
        code if is_firm && (says(refusal, "quota") || code.to_lowercase().contains("quota")) => {
            RefusalKind::Quota
        }
        _ if is_firm && SOLD_OUT.iter().any(|words| says(refusal, words)) => RefusalKind::SoldOut,
        "FORBIDDEN" => RefusalKind::Permission,
        // The service expired.
        _ if refusal.status == 460 => RefusalKind::Permission,
        _ => refusal.kind,
    }
}

/// Says how to go on.
fn hint(refusal: &Refusal, body: &Value, base: &str) -> Option<String> {
    let page = token_page(base);
    match code(refusal) {
        "INVALID_KEY" => Some(format!(
            "keys are good at one endpoint only, this is {}: check OVH_ENDPOINT and the \
             application key",
            escaped(base)
        )),
        "NOT_CREDENTIAL" | "INVALID_CREDENTIAL" => Some(format!(
            "the consumer key is unknown, expired or was never validated: make another at {page}"
        )),
        "NOT_GRANTED_CALL" => Some(format!(
            "the consumer key needs the rights GET, POST and DELETE on /cloud/*: make one at {page}"
        )),
        _ if is_signature(refusal) => {
            Some("check the application secret and the consumer key".to_owned())
        }
        _ if is_clock(refusal) => Some("check the clock of this machine".to_owned()),
        _ if is_project(refusal) => Some(format!(
            "the account has no such Public Cloud project: check {PROJECT_VARIABLE}"
        )),
        _ if refusal.status == 460 => Some("the project has expired: renew it".to_owned()),
        _ => missing_actions(body),
    }
}

/// Says which actions a policy has to allow
/// (<https://help.ovhcloud.com/csm/en-gb-customer-accounts-iam-troubleshooting>).
fn missing_actions(body: &Value) -> Option<String> {
    let from = |name: &str| {
        let path = format!("/details/{name}");
        let text = json::some_text(body, &path);
        let listed = json::words(body, &path).map(str::to_owned);
        text.into_iter().chain(listed).collect::<Vec<_>>()
    };
    let mut actions = from("unauthorizedActionsByIAM");
    actions.extend(from("unauthorizedActionsByAuthentication"));
    let actions = actions.join(", ");
    let shown = crate::host::cut(escaped(&actions), 200);
    (!actions.is_empty()).then(|| format!("a policy has to allow {shown}"))
}
