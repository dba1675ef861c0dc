//! Servers that are there: listed, told of, destroyed.

use super::*;

#[test]
fn every_page_is_listed_and_only_what_is_of_the_fleet() {
    let tagged = |id: u64, tags: &[&str]| made_with(json!({"id": id, "tags": tags}));
    let all = [
        tagged(1, &["hoist", "hoist:web"]),
        tagged(2, &["hoist", "hoist:other"]),
        tagged(3, &["hoist:web", "x"]),
        tagged(4, &[]),
        tagged(5, &["hoist"]),
        json!({"tags": null}),
        made_with(json!({"id": 7, "status": "deleting"})),
    ];
    let stub = Stub::start(move |_, asked: &Asked| page(&all, asked));
    let linode = linode(&stub);
    let ids = |fleet: Option<&FleetName>| -> String {
        let servers = linode.list(fleet).unwrap();
        servers.into_iter().map(|server| server.id).collect()
    };
    assert_eq!(ids(Some(&spec().fleet)), "13");
    assert_eq!(ids(None), "1235");
    let asked = stub.asked();
    assert_eq!(asked.len(), 14);
    assert_eq!(asked[6].path, "/v4/linode/instances?page=7&page_size=500");
    assert_eq!(asked[6].header("x-filter"), Some(r#"{"tags":"hoist:web"}"#));
    assert_eq!(asked[7].header("x-filter"), Some(r#"{"tags":"hoist"}"#));
}

#[test]
fn no_servers_are_an_empty_list_and_no_list_is_an_error() {
    for empty in [
        json!({"data": []}),
        json!({"data": [], "page": 1, "pages": 0, "results": 0}),
        json!({"data": [], "page": 1, "pages": 1, "results": 0}),
    ] {
        let stub = always(200, empty);
        assert_eq!(linode(&stub).list(None).unwrap(), []);
        assert_eq!(stub.asked().len(), 1);
    }
    let nameless = json!({"data": [{"tags": ["hoist"]}]});
    for odd in [json!({}), json!({"data": 5}), json!([]), nameless] {
        let error = linode(&always(200, odd)).list(None).unwrap_err();
        assert!(
            matches!(error, ProviderError::Unreadable { .. }),
            "{error:?}"
        );
    }
    let endless = json!({"data": [], "pages": u64::MAX});
    let error = linode(&always(200, endless)).list(None).unwrap_err();
    insta::assert_snapshot!(error, @"cannot understand what Linode answered to GET /linode/instances: its pages have no end");
}

#[test]
fn states_are_told_in_both_words() {
    for (status, state) in [
        ("running", State::Running),
        ("provisioning", State::Pending),
        ("booting", State::Pending),
        ("rebooting", State::Pending),
        ("rebuilding", State::Pending),
        ("cloning", State::Pending),
        ("restoring", State::Pending),
        ("migrating", State::Pending),
        ("resizing", State::Pending),
        ("offline", State::Stopped),
        ("stopped", State::Stopped),
        ("shutting_down", State::Stopped),
        ("deleting", State::Gone),
        ("billing_suspension", State::Error),
        ("dancing", State::Pending),
        ("", State::Pending),
    ] {
        let server = instance::server(&made_with(json!({"status": status}))).unwrap();
        assert_eq!((server.state, &*server.raw_state), (state, status));
    }
    let without = made_with(json!({"status": "running", "ipv4": [], "ipv6": null}));
    assert_eq!(instance::server(&without).unwrap().state, State::Pending);
}

#[test]
fn private_addresses_are_told_from_public_ones() {
    let ipv4 = [
        "192.168.133.7",
        "192.0.2.10",
        "odd",
        "203.0.113.9",
        "192.168.255.255",
    ];
    let server = instance::server(&made_with(json!({"ipv4": ipv4}))).unwrap();
    assert_eq!(server.ipv4.unwrap().to_string(), "192.0.2.10");
    assert_eq!(server.private_ipv4.unwrap().to_string(), "192.168.133.7");
    assert_eq!(server.ipv6.unwrap().to_string(), "2001:db8::f03c:1");
    let expected = SystemTime::UNIX_EPOCH + Duration::from_secs(1_767_323_045);
    assert_eq!(server.created_at, Some(expected));
}

#[test]
fn destroying_is_accepted_or_already_done() {
    let server = instance::server(&made()).unwrap();
    for (status, body, expected) in [
        (200, json!({}), Destroyed::Accepted),
        (
            404,
            json!({"errors": [{"reason": "Not found"}]}),
            Destroyed::Gone,
        ),
    ] {
        let stub = always(status, body);
        assert_eq!(linode(&stub).destroy(&server).unwrap(), expected);
        let asked = &stub.asked()[0];
        assert_eq!(
            (&*asked.method, &*asked.path),
            ("DELETE", "/v4/linode/instances/123")
        );
    }
    let stub = Stub::start(|_, _: &Asked| refused(400, "Linode busy."));
    let error = linode(&stub).destroy(&server).unwrap_err();
    assert_eq!(kind(&error), RefusalKind::Locked);
    assert_eq!(stub.asked().len(), 5);
    let odd = Server::new(NAME, "1/../2", "web-1");
    let error = linode(&stub).destroy(&odd).unwrap_err();
    insta::assert_snapshot!(error, @"`1/../2` is no id of a server at Linode, which is a number");
    assert_eq!(stub.asked().len(), 5);
}
