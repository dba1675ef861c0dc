use super::*;

/// Returns what making an instance ends with when the API answers so.
fn refused_with(status: u16, body: Value) -> ProviderError {
    let cloud = Cloud::with(move |asked| {
        let reply = Reply::json(status, &body).with("x-ovh-queryid", "EU.ext-9.1");
        (asked.method == "POST").then_some(reply)
    });
    create(&cloud.open(), &spec(), b"").unwrap_err()
}

fn kind(status: u16, body: Value) -> RefusalKind {
    let error = refused_with(status, body);
    error.refusal().unwrap_or_else(|| panic!("{error:?}")).kind
}

#[test]
fn refusals_are_told_by_what_they_mean() {
    let coded = |code: &str| json!({"errorCode": code, "message": "no"});
    let says = |message: &str| json!({"class": "Client::Forbidden", "message": message});
    for (status, body, expected) in [
        (403, coded("NOT_CREDENTIAL"), RefusalKind::Credentials),
        (403, coded("INVALID_CREDENTIAL"), RefusalKind::Credentials),
        (403, coded("INVALID_KEY"), RefusalKind::Credentials),
        (403, coded("INVALID_SIGNATURE"), RefusalKind::Credentials),
        (401, json!({}), RefusalKind::Credentials),
        (403, coded("NOT_GRANTED_CALL"), RefusalKind::Permission),
        (403, coded("FORBIDDEN"), RefusalKind::Permission),
        (403, says("No."), RefusalKind::Permission),
        (
            460,
            says("This service is expired"),
            RefusalKind::Permission,
        ),
        (
            403,
            says("Quota exceeded for instances"),
            RefusalKind::Quota,
        ),
        (
            400,
            json!({"class": "Client::BadRequest::QuotaExceeded"}),
            RefusalKind::Quota,
        ),
        (400, says("No valid host was found."), RefusalKind::SoldOut),
        (409, says("Flavor is out of stock"), RefusalKind::SoldOut),
        (409, says("Conflict"), RefusalKind::Conflict),
        (423, says("quota"), RefusalKind::Locked),
        (404, says("no such quota"), RefusalKind::NotFound),
        (400, says("Invalid flavor"), RefusalKind::Input),
        (400, json!("odd"), RefusalKind::Input),
        (400, Value::Null, RefusalKind::Input),
    ] {
        assert_eq!(kind(status, body.clone()), expected, "{status} {body}");
    }
}

#[test]
fn a_right_that_is_missing_is_named() {
    let body = json!({"errorCode": "NOT_GRANTED_CALL", "httpCode": "403 Forbidden",
                      "message": "This call has not been granted"});
    let error = refused_with(403, body).to_string();
    let port = error.split("127.0.0.1:").nth(1).unwrap();
    let port = port.split('/').next().unwrap();
    insta::assert_snapshot!(error.replace(port, "PORT"), @"OVHcloud does not permit it: This call has not been granted (NOT_GRANTED_CALL, status 403), request EU.ext-9.1; the consumer key needs the rights GET, POST and DELETE on /cloud/*: make one at http://127.0.0.1:PORT/createToken/?GET=/cloud/*&POST=/cloud/*&DELETE=/cloud/*");
    let body = json!({"class": "Client::Forbidden", "message": "User not granted for this request",
        "details": {"unauthorizedActionsByAuthentication": "",
                    "unauthorizedActionsByIAM": "publicCloudProject:apiovh:instance/create\u{1b}"}});
    insta::assert_snapshot!(refused_with(403, body), @r"OVHcloud does not permit it: User not granted for this request (Client::Forbidden, status 403), request EU.ext-9.1; a policy has to allow publicCloudProject:apiovh:instance/create\u{1b}");
}

#[test]
fn texts_of_the_vendor_are_escaped() {
    let error = refused_with(
        400,
        json!({"class": "a\u{7}", "message": "clear\u{1b}[2J screen"}),
    );
    insta::assert_snapshot!(error, @r"OVHcloud refuses: clear\u{1b}[2J screen (a\u{7}, status 400), request EU.ext-9.1");
}

#[test]
fn reading_is_tried_again_while_the_vendor_has_trouble() {
    let count = AtomicI64::new(0);
    let cloud = Cloud::with(move |_| {
        let is_early = count.fetch_add(1, Ordering::SeqCst) < 2;
        is_early.then(|| Reply::json(503, r#"{"message":"later"}"#))
    });
    assert_eq!(cloud.open().list(None), Ok(Vec::new()));
    assert_eq!(cloud.asked().len(), 3);
    assert_eq!(cloud.times_asked(), 1);
}
