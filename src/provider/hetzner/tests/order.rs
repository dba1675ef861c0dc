//! Keys and create calls.

use super::*;

#[test]
fn a_key_that_is_there_is_used_whatever_its_name() {
    for (name, key) in [("jane", "jane"), ("1234", "7"), ("", "7")] {
        let stub = stub(move |_, _| {
            let keys = json!([{"id": 6, "name": "x", "public_key": "ssh-rsa AAAA"},
                {"id": 7, "name": name, "public_key": format!("{KEY} jane@laptop")}]);
            Some(Reply::json(200, json!({"ssh_keys": keys})))
        });
        let prepared = account(&stub).prepare(&spec(), &offer()).unwrap();
        assert_eq!(prepared, key_of(key));
        assert_eq!(lines(&stub), [BY_FINGERPRINT]);
    }
}

#[test]
fn a_key_that_is_not_there_is_uploaded() {
    let stub = stub(|_, _| None);
    let prepared = account(&stub).prepare(&spec(), &offer()).unwrap();
    assert_eq!(prepared, key_of(KEY_NAME));
    assert_eq!(lines(&stub), [BY_FINGERPRINT, BY_NAME, "POST /ssh_keys"]);
    assert_eq!(
        body(&stub.asked()[2]),
        json!({"name": KEY_NAME, "public_key": KEY, "labels": {"hoist": ""}})
    );
}

#[test]
fn a_key_that_was_uploaded_meanwhile_is_used() {
    let stub = stub(|number, asked| match (number, asked.method.as_str()) {
        (2, _) => Some(Reply::Hangup),
        (3, "POST") => Some(refused(409, "uniqueness_error", "SSH key not unique")),
        (4.., "GET") => {
            let keys = json!([{"id": 7, "name": KEY_NAME, "public_key": KEY}]);
            Some(Reply::json(200, json!({"ssh_keys": keys})))
        }
        _ => None,
    });
    let prepared = account(&stub).prepare(&spec(), &offer()).unwrap();
    assert_eq!(prepared, key_of(KEY_NAME));
    assert_eq!(stub.asked().len(), 5);
}

#[test]
fn another_key_of_the_same_name_is_a_conflict() {
    let stub = stub(|_, asked| match asked.method.as_str() {
        "POST" => Some(refused(409, "uniqueness_error", "SSH key not unique")),
        _ => Some(Reply::json(
            200,
            json!({"ssh_keys": [{"id": 7, "name": KEY_NAME,
            "public_key": KEY.replace("QfZf", "QfZg")}]}),
        )),
    });
    let error = account(&stub).prepare(&spec(), &offer()).unwrap_err();
    insta::assert_snapshot!(error, @"Hetzner Cloud says that there is one already: SSH key not unique (uniqueness_error, status 409)");
}

#[test]
fn a_server_is_created_with_exactly_what_was_agreed() {
    let stub = stub(|_, _| None);
    let server = create(&stub, &spec(), &offer(), b"#cloud-config\n").unwrap();
    assert_eq!(lines(&stub), ["POST /servers"]);
    assert_eq!(
        body(&stub.asked()[0]),
        json!({
            "name": "web-1", "server_type": "cx23", "image": "debian-12", "location": "fsn1",
            "ssh_keys": [KEY_NAME], "labels": {"hoist": "web"}, "user_data": "#cloud-config\n",
        })
    );
    assert_eq!((server.id.as_str(), server.name.as_str()), ("42", "web-1"));
    assert_eq!(
        (server.state, server.raw_state.as_str()),
        (State::Pending, "initializing")
    );
    assert_eq!(
        (server.region.as_str(), server.fleet.clone()),
        ("fsn1", Some(fleet()))
    );
    assert!(!format!("{server:?}").contains("canary"));
}

#[test]
fn settings_and_labels_go_along() {
    let stub = stub(|_, _| None);
    let options = [
        ("firewalls", json!([{"firewall": 38}, 39])),
        ("networks", json!("4711, 4712")),
        ("placement_group", json!(1)),
        ("public_net", json!({"enable_ipv4": false})),
        ("volumes", json!(123)),
    ];
    let spec = Spec {
        options: options.map(|(name, value)| (name.to_owned(), value)).into(),
        tags: vec!["env=test".to_owned(), "example.org/owner".to_owned()],
        ..spec()
    };
    let offer = Offer {
        region: String::new(),
        ..offer()
    };
    let order = Order {
        spec: &spec,
        offer: &offer,
        prepared: &key_of("7"),
        name: "web-1",
        token: "",
        user_data: b"",
    };
    account(&stub).create(&order).unwrap();
    assert_eq!(
        body(&stub.asked()[0]),
        json!({
            "name": "web-1", "server_type": "cx23", "image": "debian-12", "ssh_keys": [7],
            "labels": {"hoist": "web", "env": "test", "example.org/owner": ""},
            "firewalls": [{"firewall": 38}, {"firewall": 39}], "networks": [4711, 4712],
            "placement_group": 1, "public_net": {"enable_ipv4": false}, "volumes": [123],
        })
    );
}

#[test]
fn user_data_that_is_no_text_is_not_sent() {
    let stub = stub(|_, _| None);
    let error = create(&stub, &spec(), &offer(), b"\x1f\x8b\xff").unwrap_err();
    assert!(matches!(error, ProviderError::Input { .. }), "{error:?}");
    assert!(stub.asked().is_empty());
}

#[test]
fn a_create_call_that_may_have_been_heard_is_lost_and_not_repeated() {
    let odd = json!({"server": {"name": "web-1"}}).to_string();
    for reply in [
        Reply::Hangup,
        refused(500, "service_error", "oops"),
        refused(504, "timeout", "too late"),
        refused(502, "bad_gateway", "no answer"),
        refused(422, "timeout", "too late"),
        Reply::json(201, odd),
        Reply::json(201, json!({"action": {"id": 1}})),
        Reply::json(201, "<html>"),
    ] {
        let told = format!("{reply:?}");
        let stub = stub(move |_, _| Some(reply.clone()));
        let error = create(&stub, &spec(), &offer(), b"").unwrap_err();
        assert!(
            matches!(error, ProviderError::Lost { .. }),
            "{told}: {error:?}"
        );
        assert_eq!(stub.asked().len(), 1, "{told}");
    }
}

#[test]
fn what_did_nothing_and_passes_is_sent_again() {
    for (status, code) in [
        (409, "conflict"),
        (429, "rate_limit_exceeded"),
        (400, "conflict"),
    ] {
        let stub = stub(move |number, _| {
            if number < 2 {
                Some(refused(status, code, "wait"))
            } else {
                None
            }
        });
        create(&stub, &spec(), &offer(), b"").unwrap();
        assert_eq!(stub.asked().len(), 3, "{code}");
    }
    let stub = stub(|_, _| Some(refused(409, "conflict", "wait")));
    let error = create(&stub, &spec(), &offer(), b"").unwrap_err();
    assert_eq!(error.refusal().unwrap().kind, RefusalKind::Busy);
    assert_eq!(stub.asked().len(), 5);
}

#[test]
fn a_name_that_is_taken_by_the_fleet_is_a_conflict_to_be_looked_up() {
    let stub = stub(|_, asked| match asked.method.as_str() {
        "POST" => Some(refused(
            409,
            "uniqueness_error",
            "server name is already used",
        )),
        _ => Some(Reply::json(
            200,
            json!({"servers": [server_of(43, "web-1")]}),
        )),
    });
    let error = create(&stub, &spec(), &offer(), b"").unwrap_err();
    let refusal = error.refusal().unwrap();
    assert_eq!(
        (refusal.kind, &refusal.hint),
        (RefusalKind::Conflict, &None)
    );
    assert_eq!(
        lines(&stub),
        [
            "POST /servers",
            "GET /servers?name=web-1&per_page=50&page=1"
        ]
    );
}

#[test]
fn a_name_that_is_taken_by_another_is_refused() {
    for (name, labels) in [
        ("web-1", json!({"hoist": "db"})),
        ("web-1", json!({})),
        ("web-10", json!({"hoist": "web"})),
    ] {
        let stub = stub(move |_, asked| {
            if asked.method == "POST" {
                let message = "server name is already used";
                return Some(refused(409, "uniqueness_error", message));
            }
            let mut other = server_of(43, name);
            other["labels"] = labels.clone();
            Some(Reply::json(200, json!({"servers": [other]})))
        });
        let error = create(&stub, &spec(), &offer(), b"").unwrap_err();
        insta::allow_duplicates! {
            insta::assert_snapshot!(error, @"Hetzner Cloud says that there is one already: server name is already used (uniqueness_error, status 409); what is called `web-1` in the project is not of this fleet: rename it, or take another pattern for names");
        }
    }
}

#[test]
fn refusals_mean_what_their_codes_say() {
    use RefusalKind::{Busy, Input, Locked, NotFound, Permission, Quota, SoldOut};
    for (status, code, kind) in [
        (403, "token_readonly", Permission),
        (403, "forbidden", Permission),
        (403, "resource_limit_exceeded", Quota),
        (412, "resource_unavailable", SoldOut),
        (422, "placement_error", SoldOut),
        (422, "invalid_server_type", Input),
        (422, "invalid_input", Input),
        (423, "locked", Locked),
        (423, "protected", Permission),
        (501, "maintenance", Busy),
        (404, "not_found", NotFound),
        (418, "teapot", Input),
    ] {
        let stub = stub(move |_, _| Some(refused(status, code, "because")));
        let error = create(&stub, &spec(), &offer(), b"").unwrap_err();
        assert_eq!(error.refusal().unwrap().kind, kind, "{code}");
        assert_eq!(stub.asked().len(), 1, "{code}");
    }
    let stub = stub(|_, _| Some(refused(403, "token_readonly", "read-only token")));
    let error = create(&stub, &spec(), &offer(), b"").unwrap_err();
    insta::assert_snapshot!(error, @"Hetzner Cloud does not permit it: read-only token (token_readonly, status 403); make a token that may read and write");
}

#[test]
fn what_is_wrong_with_single_fields_is_told() {
    let stub = stub(|_, _| {
        let fields =
            json!([{"name": "user_data", "messages": ["is too long", "is odd\n"]}, {"name": "x"}]);
        let error = json!({"code": "invalid_input", "message": "invalid input", "details": {"fields": fields}});
        Some(Reply::json(422, json!({"error": error})))
    });
    let error = create(&stub, &spec(), &offer(), b"").unwrap_err();
    insta::assert_snapshot!(error, @"Hetzner Cloud refuses: invalid input; user_data: is too long, is odd (invalid_input, status 422)");
}
