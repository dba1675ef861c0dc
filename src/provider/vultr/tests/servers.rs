//! Servers that are there: listed, told of, destroyed.

use super::*;

#[test]
fn every_page_is_listed_and_only_what_is_of_the_fleet() {
    let tagged = |id: &str, tags: &[&str]| instance_with(json!({"id": id, "tags": tags}));
    let all = [
        tagged("a", &["hoist", "hoist:web"]),
        tagged("b", &["hoist", "hoist:other"]),
        tagged("c", &["hoist:web", "x"]),
        tagged("d", &[]),
        tagged("e", &["hoist"]),
        json!({"id": "f", "tags": null}),
    ];
    let stub = Stub::start(move |_, asked: &Asked| page("instances", &all, asked));
    let vultr = vultr(&stub);
    let ids = |fleet: Option<&FleetName>| -> String {
        let servers = vultr.list(fleet).unwrap();
        servers.into_iter().map(|server| server.id).collect()
    };
    assert_eq!(ids(Some(&spec().fleet)), "ac");
    assert_eq!(ids(None), "abce");
    assert_eq!(stub.asked()[0].path, "/v2/instances?per_page=500");
    assert_eq!(
        stub.asked()[5].path,
        "/v2/instances?per_page=500&cursor=c%3D5"
    );
    assert_eq!(stub.asked().len(), 12);
}

#[test]
fn no_servers_are_an_empty_list_and_no_list_is_an_error() {
    let stub = always(200, json!({"instances": []}));
    assert_eq!(vultr(&stub).list(None).unwrap(), []);
    let nameless = json!({"instances": [{"tags": ["hoist"]}]});
    for odd in [json!({}), json!({"instances": 5}), json!([]), nameless] {
        let stub = always(200, odd);
        let error = vultr(&stub).list(None).unwrap_err();
        assert!(
            matches!(error, ProviderError::Unreadable { .. }),
            "{error:?}"
        );
    }
}

#[test]
fn pages_without_an_end_are_an_error() {
    let endless = json!({"instances": [], "meta": {"links": {"next": "same"}}});
    let stub = always(200, endless);
    let error = vultr(&stub).list(None).unwrap_err();
    insta::assert_snapshot!(error, @"cannot understand what Vultr answered to GET /instances: its pages have no end");
    assert_eq!(stub.asked().len(), 2);
    let stub = Stub::start(|number, _: &Asked| {
        let next = format!("c={number}");
        Reply::json(
            200,
            json!({"instances": [], "meta": {"links": {"next": next}}}),
        )
    });
    let error = vultr(&stub).list(None).unwrap_err();
    assert!(
        matches!(error, ProviderError::Unreadable { .. }),
        "{error:?}"
    );
}

#[test]
fn states_are_told_in_both_words() {
    // status, power_status, server_status, main_ip; what they come to
    for row in [
        "pending running none 0.0.0.0 pending pending",
        "resizing running ok 192.0.2.1 pending resizing",
        "active running none 192.0.2.1 pending none",
        "active running locked 192.0.2.1 pending locked",
        "active stopped installingbooting 192.0.2.1 pending installingbooting",
        "active running ok 0.0.0.0 pending active",
        "active running ok - pending active",
        "active running ok 192.0.2.1 running running",
        "active stopped ok 192.0.2.1 stopped stopped",
        "active dancing ok 192.0.2.1 pending active",
        "active running dancing 192.0.2.1 pending dancing",
        "suspended stopped ok 192.0.2.1 error suspended",
        "dancing running ok 192.0.2.1 pending dancing",
    ] {
        let words: Vec<_> = row.split(' ').collect();
        let told = instance_with(json!({"status": words[0], "power_status": words[1],
                                        "server_status": words[2],
                                        "main_ip": words[3].replace('-', "")}));
        let server = instance::server(&told).unwrap();
        assert_eq!(server.state.as_str(), words[4], "{row}");
        assert_eq!(server.raw_state, words[5], "{row}");
    }
}

#[test]
fn addresses_are_what_is_there() {
    let told = instance_with(json!({"main_ip": "192.0.2.1", "v6_main_ip": "2001:db8::1",
                                    "internal_ip": "10.1.2.3"}));
    let server = instance::server(&told).unwrap();
    assert_eq!(server.ipv4.unwrap().to_string(), "192.0.2.1");
    assert_eq!(server.ipv6.unwrap().to_string(), "2001:db8::1");
    assert_eq!(server.private_ipv4.unwrap().to_string(), "10.1.2.3");
    let without = instance_with(json!({"main_ip": "", "internal_ip": "10.1.2.3",
                                       "status": "active", "server_status": "ok"}));
    assert_eq!(instance::server(&without).unwrap().state, State::Running);
}

#[test]
fn destroying_is_accepted_or_already_done() {
    let server = instance::server(&instance_with(json!({"id": "a/b"}))).unwrap();
    let pending = json!({"error": "Server is already pending destruction", "status": 400});
    for (status, body, expected) in [
        (204, json!(""), Destroyed::Accepted),
        (
            404,
            json!({"error": "Invalid instance-id"}),
            Destroyed::Gone,
        ),
        (400, pending.clone(), Destroyed::Accepted),
        (500, pending, Destroyed::Accepted),
    ] {
        let stub = always(status, body);
        assert_eq!(vultr(&stub).destroy(&server).unwrap(), expected);
        let asked = &stub.asked()[0];
        assert_eq!(
            (&*asked.method, &*asked.path),
            ("DELETE", "/v2/instances/a%2Fb")
        );
    }
}

#[test]
fn a_locked_server_is_told_as_such() {
    let sentence = "Unable to destroy server: Unable to remove VM: Server is currently locked";
    let stub = always(500, json!({"error": sentence, "status": 500}));
    let server = instance::server(&instance()).unwrap();
    let error = vultr(&stub).destroy(&server).unwrap_err();
    assert_eq!(kind(&error), RefusalKind::Locked);
    let stub = always(500, json!({"error": "Internal error", "status": 500}));
    let error = vultr(&stub).destroy(&server).unwrap_err();
    assert_eq!(kind(&error), RefusalKind::Busy);
}
