//! Keys and create calls.

use super::*;

#[test]
fn a_key_that_is_there_is_used() {
    let stub = stub(|_, asked| {
        let key = json!({"ssh_key": {"id": 7, "name": "jane", "public_key": format!("{KEY} jane@laptop")}});
        (asked.path == KEY_PATH).then(|| Reply::json(200, key))
    });
    let prepared = account(&stub).prepare(&spec(), &offer()).unwrap();
    assert_eq!(prepared, super::prepared("7".to_owned()));
    assert_eq!(lines(&stub), [format!("GET {KEY_PATH}")]);
}

#[test]
fn a_key_that_is_not_there_is_uploaded() {
    let stub = stub(|_, _| None);
    let prepared = account(&stub).prepare(&spec(), &offer()).unwrap();
    assert_eq!(prepared, super::prepared("512189".to_owned()));
    let asked = stub.asked().pop().unwrap();
    assert_eq!(asked.header("content-type"), Some("application/json"));
    assert_eq!(
        body(&asked),
        json!({"name": "hoist-5025222ebecf8ecf", "public_key": KEY})
    );
}

#[test]
fn a_key_that_was_uploaded_meanwhile_is_used() {
    let stub = stub(|number, asked| match (number, asked.method.as_str()) {
        (0, _) => Some(missing()),
        (1, _) => Some(Reply::Hangup),
        (2, "POST") => Some(refused(
            422,
            "unprocessable_entity",
            "SSH Key is already in use on your account",
        )),
        _ => Some(Reply::json(
            200,
            json!({"ssh_key": {"id": 8, "public_key": KEY}}),
        )),
    });
    let prepared = account(&stub).prepare(&spec(), &offer()).unwrap();
    assert_eq!(prepared.key, "8");
    assert_eq!(stub.asked().len(), 4);
}

#[test]
fn a_key_that_cannot_be_uploaded_or_is_another_is_an_error() {
    let stub = stub(|_, asked| match asked.method.as_str() {
        "POST" => Some(refused(
            422,
            "unprocessable_entity",
            "Key invalid, key should be of the format",
        )),
        _ => None,
    });
    let error = account(&stub).prepare(&spec(), &offer()).unwrap_err();
    insta::assert_snapshot!(error, @"DigitalOcean refuses: Key invalid, key should be of the format (unprocessable_entity, status 422), request 4d9d8375");
    let other = KEY.replace("QfZf", "QfZg");
    let stub = self::stub(move |_, _| {
        Some(Reply::json(
            200,
            json!({"ssh_key": {"id": 8, "public_key": other}}),
        ))
    });
    let error = account(&stub).prepare(&spec(), &offer()).unwrap_err();
    assert!(
        matches!(error, ProviderError::Unreadable { .. }),
        "{error:?}"
    );
}

#[test]
fn a_droplet_is_created_with_exactly_what_was_agreed() {
    let stub = stub(|_, _| None);
    let server = create(&stub, &spec(), &offer(), b"#cloud-config\n").unwrap();
    assert_eq!(lines(&stub), ["POST /v2/droplets"]);
    assert_eq!(
        body(&stub.asked()[0]),
        json!({
            "name": "web-1", "region": "nyc3", "size": "s-1vcpu-1gb", "image": "debian-12-x64",
            "ipv6": true, "ssh_keys": [512_189], "tags": ["hoist", "hoist:web"],
            "user_data": "#cloud-config\n",
        })
    );
    assert_eq!((server.id.as_str(), server.name.as_str()), ("1", "web-1"));
    assert_eq!(
        (server.state, server.raw_state.as_str()),
        (State::Pending, "new")
    );
    assert_eq!((server.region.as_str(), server.address()), ("nyc3", None));
    assert_eq!(server.fleet, Some(fleet()));
}

#[test]
fn settings_tags_and_own_images_go_along() {
    let stub = stub(|_, _| None);
    let options = [
        ("ipv6", json!(false)),
        ("monitoring", json!(true)),
        ("vpc_uuid", json!("760e09ef")),
        ("volumes", json!("a,b")),
    ];
    let spec = Spec {
        options: options.map(|(name, value)| (name.to_owned(), value)).into(),
        tags: vec!["env:test".to_owned(), "env:test".to_owned()],
        ..spec()
    };
    let offer = Offer {
        region: String::new(),
        image: "7555620".to_owned(),
        ..offer()
    };
    create(&stub, &spec, &offer, b"").unwrap();
    assert_eq!(
        body(&stub.asked()[0]),
        json!({
            "name": "web-1", "size": "s-1vcpu-1gb", "image": 7_555_620, "ipv6": false,
            "monitoring": true, "vpc_uuid": "760e09ef", "volumes": ["a", "b"],
            "ssh_keys": [512_189], "tags": ["hoist", "hoist:web", "env:test"],
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
    let odd = json!({"droplet": {"name": "web-1"}}).to_string();
    for reply in [
        Reply::Hangup,
        Reply::json(
            500,
            json!({"id": "server_error", "message": "Unexpected server-side error"}),
        ),
        Reply::json(503, ""),
        Reply::json(202, odd),
        Reply::json(202, json!({"droplets": []})),
        Reply::json(202, "<html>"),
        Reply::json(202, ""),
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
fn a_create_call_that_came_too_soon_waits_as_long_as_asked() {
    let stub = stub(|number, _| {
        let slow = refused(429, "too_many_requests", "API Rate limit exceeded.");
        (number == 0).then(|| slow.with("retry-after", 1))
    });
    let started_at = Instant::now();
    create(&stub, &spec(), &offer(), b"").unwrap();
    assert!(started_at.elapsed() >= Duration::from_secs(1));
    assert_eq!(stub.asked().len(), 2);
}

#[test]
fn refusals_mean_what_their_sentences_say() {
    use RefusalKind::{Conflict, Input, Locked, Permission, Quota, SoldOut};
    for (status, message, kind) in [
        (
            422,
            "creating this/these droplet(s) will exceed your droplet limit",
            Quota,
        ),
        (403, "You have reached the droplet limit", Quota),
        (422, "Size is not available in this region.", SoldOut),
        (422, "Region is not available", SoldOut),
        (422, "Droplet already has a pending event.", Locked),
        (422, "SSH Key is already in use on your account", Conflict),
        (422, "image is not available in the selected region", Input),
        (422, "", Input),
        (
            403,
            "You are missing the required permission droplet:create.",
            Permission,
        ),
    ] {
        let stub = stub(move |_, _| Some(refused(status, "unprocessable_entity", message)));
        let error = create(&stub, &spec(), &offer(), b"").unwrap_err();
        assert_eq!(error.refusal().unwrap().kind, kind, "{message}");
        assert_eq!(
            error.repeats(),
            !matches!(kind, Locked | Conflict),
            "{message}"
        );
        assert_eq!(stub.asked().len(), 1);
    }
    let stub = stub(|_, _| {
        let message = "creating this/these droplet(s) will exceed your droplet limit";
        Some(refused(422, "unprocessable_entity", message))
    });
    let error = create(&stub, &spec(), &offer(), b"").unwrap_err();
    insta::assert_snapshot!(error, @"DigitalOcean allows no more: creating this/these droplet(s) will exceed your droplet limit (unprocessable_entity, status 422), request 4d9d8375; more are asked for at https://cloud.digitalocean.com/account/team/droplet_limit_increase");
}
