//! How EC2 says no.
//!
//! <https://docs.aws.amazon.com/AWSEC2/latest/APIReference/errors-overview.html>

use super::xml::Element;
use crate::provider::http::Answer;
use crate::provider::{Refusal, RefusalKind};

/// What a permission error goes on with: a text for the account's administrator that no one can
/// read, longer than all the rest.
const ENCODED: &str = "Encoded authorization failure message";

/// Reads the first code and the first message of an answer: EC2, gateways before it and imitations
/// have different elements around them.
pub(super) fn read(answer: &Answer) -> Refusal {
    let Ok(root) = Element::parse(&answer.body) else {
        // A page of HTML says nothing that a line could show.
        let text = String::from_utf8_lossy(&answer.body);
        let text = if text.contains('<') { "" } else { &text };
        return Refusal::new(answer.status, text);
    };
    let message = root.first("Message").unwrap_or_default();
    let message = message.split(ENCODED).next().unwrap_or_default();
    let code = root.first("Code").filter(|code| !code.is_empty());
    let id = ["RequestID", "RequestId", "requestId"];
    let id = id.iter().find_map(|name| root.first(name));
    let id = id.filter(|id| !id.is_empty());
    let refusal = Refusal::new(answer.status, message)
        .with_code(code)
        .with_request_id(id);
    let Some(code) = code else { return refusal };
    Refusal {
        kind: kind(code).unwrap_or(refusal.kind),
        hint: hint(code).map(str::to_owned),
        ..refusal
    }
}

/// Returns what a code means; the status tells where it is none of these.
fn kind(code: &str) -> Option<RefusalKind> {
    Some(match code {
        "AuthFailure"
        | "RequestExpired"
        | "ExpiredToken"
        | "SignatureDoesNotMatch"
        | "IncompleteSignature"
        | "InvalidClientTokenId"
        | "InvalidAccessKeyId"
        | "UnrecognizedClientException"
        | "MissingAuthenticationToken" => RefusalKind::Credentials,
        "UnauthorizedOperation"
        | "AccessDenied"
        | "OptInRequired"
        | "OperationNotPermitted"
        | "Blocked"
        | "PendingVerification" => RefusalKind::Permission,
        code if is_busy(code) => RefusalKind::Busy,
        "Unsupported" => RefusalKind::SoldOut,
        "InvalidInstanceID.NotFound" => RefusalKind::NotFound,
        "IdempotentParameterMismatch" => RefusalKind::Conflict,
        code if code.starts_with("Insufficient") => RefusalKind::SoldOut,
        code if code.ends_with("LimitExceeded") => RefusalKind::Quota,
        code if code.ends_with(".Duplicate") => RefusalKind::Conflict,
        code if code.ends_with(".NotFound") || code.starts_with("Invalid") => RefusalKind::Input,
        "MissingParameter" | "UnknownParameter" | "UnsupportedOperation" | "VPCIdNotSpecified" => {
            RefusalKind::Input
        }
        _ => return None,
    })
}

fn is_busy(code: &str) -> bool {
    is_throttled(code) || matches!(code, "InternalError" | "Unavailable" | "ServiceUnavailable")
}

/// Whether the request was not even looked at.
pub(super) fn is_throttled(code: &str) -> bool {
    matches!(
        code,
        "RequestLimitExceeded" | "Throttling" | "ThrottlingException" | "RequestThrottled"
    )
}

/// Returns how to go on.
fn hint(code: &str) -> Option<&'static str> {
    Some(match code {
        "AuthFailure" | "InvalidClientTokenId" | "InvalidAccessKeyId" => {
            "the access key is wrong or switched off, or the region is not enabled for the account"
        }
        "SignatureDoesNotMatch" => "the secret access key does not belong to the access key",
        "RequestExpired" | "ExpiredToken" => {
            "the session has ended (log in again), or the clock of this machine is wrong"
        }
        "OptInRequired" => {
            "the account has to subscribe first, to EC2 or to the image; its message tells where"
        }
        "UnauthorizedOperation" | "AccessDenied" => {
            "a policy of the user or role has to allow this action of EC2"
        }
        "OperationNotPermitted" => "where it is protected, switch its termination protection off",
        "VcpuLimitExceeded" => {
            "the quota counts vCPUs for each family of sizes; ask for more under Service Quotas"
        }
        "InstanceLimitExceeded" => "ask for more under Service Quotas",
        "InsufficientInstanceCapacity" | "Unsupported" => {
            "try another size, another zone (the setting `zone`), or later"
        }
        "InsufficientFreeAddressesInSubnet" => "name another subnet (the setting `subnet`)",
        "VPCIdNotSpecified" => {
            "the region has no default network; name a subnet (the setting `subnet`)"
        }
        "IdempotentParameterMismatch" => "there is a server of an earlier request with this token",
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use std::time::SystemTime;

    use super::*;

    fn refused(status: u16, body: &str) -> Refusal {
        read(&Answer {
            status,
            headers: crate::provider::http::HeaderMap::new(),
            body: body.as_bytes().to_vec(),
            at: SystemTime::UNIX_EPOCH,
        })
    }

    fn coded(code: &str) -> Refusal {
        let error = format!("<Error><Code>{code}</Code><Message>m</Message></Error>");
        refused(
            400,
            &format!("<Response><Errors>{error}</Errors></Response>"),
        )
    }

    #[test]
    fn codes_have_their_meaning() {
        for (code, kind) in [
            ("AuthFailure", RefusalKind::Credentials),
            ("RequestExpired", RefusalKind::Credentials),
            ("UnauthorizedOperation", RefusalKind::Permission),
            ("OptInRequired", RefusalKind::Permission),
            ("InvalidAMIID.NotFound", RefusalKind::Input),
            ("InvalidParameterValue", RefusalKind::Input),
            ("InvalidKeyPair.NotFound", RefusalKind::Input),
            ("InvalidSubnetID.NotFound", RefusalKind::Input),
            ("InvalidGroup.NotFound", RefusalKind::Input),
            ("InvalidKeyPair.Duplicate", RefusalKind::Conflict),
            ("InvalidInstanceID.NotFound", RefusalKind::NotFound),
            ("InvalidInstanceID.Malformed", RefusalKind::Input),
            ("InsufficientInstanceCapacity", RefusalKind::SoldOut),
            ("Unsupported", RefusalKind::SoldOut),
            ("VcpuLimitExceeded", RefusalKind::Quota),
            ("InstanceLimitExceeded", RefusalKind::Quota),
            ("RequestLimitExceeded", RefusalKind::Busy),
            ("Throttling", RefusalKind::Busy),
            ("RequestThrottled", RefusalKind::Busy),
            ("InternalError", RefusalKind::Busy),
            ("Unavailable", RefusalKind::Busy),
            ("ServiceUnavailable", RefusalKind::Busy),
            ("SomethingNew", RefusalKind::Input),
        ] {
            assert_eq!(coded(code).kind, kind, "{code}");
        }
    }

    #[test]
    fn the_first_code_and_message_are_found_whatever_is_around_them() {
        let text = "<Response><Errors><Error><Code>VcpuLimitExceeded</Code>\
                    <Message>You have requested more vCPU capacity\u{202e}</Message></Error></Errors>\
                    <RequestID>ea966190</RequestID></Response>";
        insta::assert_snapshot!(refused(400, text), @r#"allows no more: You have requested more vCPU capacity\u{202e} (VcpuLimitExceeded, status 400), request ea966190; the quota counts vCPUs for each family of sizes; ask for more under Service Quotas"#);
        let text = r#"<ErrorResponse xmlns="urn:x"><Errors><Error><Code>AuthFailure</Code>
                      <Message>AWS was not able to validate the credentials</Message>
                      </Error></Errors><RequestId>1</RequestId></ErrorResponse>"#;
        insta::assert_snapshot!(refused(401, text), @"does not accept the credentials: AWS was not able to validate the credentials (AuthFailure, status 401), request 1; the access key is wrong or switched off, or the region is not enabled for the account");
        let text = "<Response><Errors><Error><Code>UnauthorizedOperation</Code><Message>\
                    You are not authorized to perform this operation. \
                    Encoded authorization failure message: 0123456789abcdef</Message></Error>\
                    </Errors></Response>";
        insta::assert_snapshot!(refused(403, text), @"does not permit it: You are not authorized to perform this operation. (UnauthorizedOperation, status 403); a policy of the user or role has to allow this action of EC2");
        insta::assert_snapshot!(refused(502, "<html><br>Bad gateway"), @"has no time for it (status 502)");
        insta::assert_snapshot!(refused(404, "404 page not found\n"), @"does not know it: 404 page not found (status 404)");
        insta::assert_snapshot!(refused(503, ""), @"has no time for it (status 503)");
    }
}
