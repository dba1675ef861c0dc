mod offer;
mod order;

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use serde_json::json;

use super::super::stub::{Asked, Reply, Stub};
use super::super::{Pace, PublicKey, RefusalKind};
use super::*;
use crate::secret::Secret;

const CANARY: &str = "canary-64-characters";
const KEY: &str =
    "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAILM+rvN+ot98qgEN796jTiQfZfG1KaT0PtFDJ/XFSqti";
const KEY_NAME: &str = "hoist-5025222ebecf8ecf";
const BY_FINGERPRINT: &str = "GET /ssh_keys?fingerprint=ae%3A6f%3Aba%3A1b%3A70%3A2c%3Aae%3Ac7%3A5c%3Aab%3A6e%3A4d%3A5e%3Ad4%3Ac7%3A23&per_page=50&page=1";
const BY_NAME: &str = "GET /ssh_keys?name=hoist-5025222ebecf8ecf&per_page=50&page=1";

/// Answers as `answer` says, and where it says nothing as a project without servers would.
fn stub(answer: impl Fn(usize, &Asked) -> Option<Reply> + Send + Sync + 'static) -> Stub {
    Stub::start(move |number, asked| answer(number, asked).unwrap_or_else(|| usual(asked)))
}

fn usual(asked: &Asked) -> Reply {
    let path = asked.path.split('?').next().unwrap();
    let answer = match (asked.method.as_str(), path) {
        ("GET", "/locations") => json!({"locations": [
            {"name": "fsn1", "city": "Falkenstein", "country": "DE"},
            {"name": "nbg1", "city": "Nuremberg", "country": "DE"},
            {"name": "ash", "city": "Ashburn, VA", "country": "US"},
        ]}),
        ("GET", "/server_types") => types(),
        ("GET", "/images") => images(asked),
        ("GET", "/ssh_keys") => {
            json!({"ssh_keys": [], "meta": {"pagination": {"next_page": null}}})
        }
        ("GET", "/servers") => json!({"servers": [],
            "meta": {"pagination": {"next_page": null, "total_entries": 0}}}),
        ("POST", "/ssh_keys") => {
            let key = json!({"id": 2323, "name": KEY_NAME, "public_key": KEY});
            return Reply::json(201, json!({"ssh_key": key}));
        }
        ("POST", "/servers") => {
            let made =
                json!({"server": server_of(42, "web-1"), "root_password": "canary-password"});
            return Reply::json(201, made);
        }
        ("DELETE", _) => json!({"action": {"id": 1, "status": "running"}}),
        other => panic!("unexpected: {other:?}"),
    };
    Reply::json(200, answer)
}

fn types() -> Value {
    let price = |location: &str, net: &str| {
        json!({"location": location, "price_hourly": {"net": net, "gross": "9.9"},
            "price_monthly": {"net": "3.4900000000", "gross": "9.9"}})
    };
    json!({"server_types": [
        {"id": 1, "name": "cx23", "cores": 2, "memory": 4.0, "disk": 40, "cpu_type": "shared",
         "architecture": "x86", "deprecation": null,
         "locations": [{"name": "fsn1"}, {"name": "nbg1", "available": false, "deprecation":
            {"announced": "2090-01-01T00:00:00Z", "unavailable_after": "2099-01-01T00:00:00Z"}}],
         "prices": [price("fsn1", "0.0056000000"), price("nbg1", "0.0060000000")]},
        {"id": 2, "name": "cax11", "cores": 2, "memory": 4.0, "disk": 40, "cpu_type": "shared",
         "architecture": "arm", "deprecation": null, "prices": [price("fsn1", "0.0053")]},
        {"id": 3, "name": "cx11", "cores": 1, "memory": 2.0, "disk": 20, "cpu_type": "shared",
         "architecture": "x86", "deprecation": null},
    ]})
}

fn images(asked: &Asked) -> Value {
    let all = [
        json!({"id": 114_690_387, "name": "debian-12", "description": "Debian 12", "architecture": "x86"}),
        json!({"id": 114_690_389, "name": "debian-12", "description": "Debian 12", "architecture": "arm"}),
        json!({"id": 5000, "name": null, "description": "golden", "architecture": "arm"}),
    ];
    let is_wanted = |image: &Value| {
        let wanted = asked.path.split("architecture=").nth(1);
        wanted.is_none_or(|wanted| wanted.starts_with(image["architecture"].as_str().unwrap()))
    };
    let images: Vec<Value> = all.into_iter().filter(is_wanted).collect();
    json!({"images": images})
}

fn server_of(id: u64, name: &str) -> Value {
    json!({
        "id": id, "name": name, "status": "initializing", "created": "2026-01-02T03:04:05+00:00",
        "location": {"name": "fsn1"}, "labels": {"hoist": "web"}, "private_net": [], "locked": false,
        "public_net": {"ipv4": {"ip": "192.0.2.30"}, "ipv6": {"ip": "2001:db8:1::/64"}},
    })
}

fn refused(status: u16, code: &str, message: &str) -> Reply {
    let body = json!({"error": {"code": code, "message": message, "details": {}}});
    Reply::json(status, body)
}

fn access(stub: &Stub) -> Access {
    let variables = [("HOIST_HETZNER_URL", stub.url()), ("HCLOUD_TOKEN", CANARY)];
    let owned = |(name, value): (&str, &str)| (name.to_owned(), value.to_owned());
    Access {
        variables: variables.map(owned).into(),
        pace: Pace::quick(),
        ..Access::default()
    }
}

fn account(stub: &Stub) -> Box<dyn Provider> {
    open(&access(stub)).unwrap()
}

fn fleet() -> FleetName {
    FleetName::parse("web").unwrap()
}

fn spec() -> Spec {
    Spec {
        fleet: fleet(),
        region: Some("fsn1".to_owned()),
        size: Some("cx23".to_owned()),
        image: Some("debian-12".to_owned()),
        key: PublicKey::parse(KEY).unwrap(),
        tags: Vec::new(),
        options: BTreeMap::new(),
        open_ssh_from: None,
    }
}

fn with_option(name: &str, value: Value) -> Spec {
    Spec {
        options: BTreeMap::from([(name.to_owned(), value)]),
        ..spec()
    }
}

fn offer() -> Offer {
    Offer {
        region: "fsn1".to_owned(),
        size: "cx23".to_owned(),
        image: "debian-12".to_owned(),
        login_user: "root".to_owned(),
        has_cloud_init: true,
        user_data_limit: 32_768,
        price: Some(super::super::Price {
            hourly: 0.0056,
            monthly: Some(3.49),
            currency: "EUR".to_owned(),
        }),
        quota_left: None,
        notes: vec!["a public IPv4 address costs extra, the price is without it".to_owned()],
    }
}

fn key_of(name: &str) -> Prepared {
    Prepared {
        key: name.to_owned(),
        firewalls: Vec::new(),
    }
}

/// Creates one server, of this offer and with this user-data.
fn create(stub: &Stub, spec: &Spec, offer: &Offer, data: &[u8]) -> Result<Server, ProviderError> {
    account(stub).create(&Order {
        spec,
        offer,
        prepared: &key_of(KEY_NAME),
        name: "web-1",
        token: "hoist-0",
        user_data: data,
    })
}

/// Returns what was asked, as `GET /servers…`.
fn lines(stub: &Stub) -> Vec<String> {
    let asked = stub.asked();
    let line = |asked: &Asked| format!("{} {}", asked.method, asked.path);
    asked.iter().map(line).collect()
}

fn body(asked: &Asked) -> Value {
    serde_json::from_slice(&asked.body).unwrap()
}

#[test]
fn the_token_comes_from_the_settings_then_from_the_environment() {
    let stub = stub(|_, _| None);
    let mut access = access(&stub);
    let sent = |access: &Access| {
        open(access).unwrap().check().unwrap();
        let last = stub.asked().pop().unwrap();
        last.header("authorization").unwrap().to_owned()
    };
    access.token = Some(Secret::new("from-file\n".to_owned()));
    assert_eq!(sent(&access), "Bearer from-file");
    access.token = None;
    assert_eq!(sent(&access), format!("Bearer {CANARY}"));
    access
        .variables
        .insert("HCLOUD_TOKEN".to_owned(), String::new());
    let error = open(&access).err().unwrap();
    insta::assert_snapshot!(error, @"no credentials for Hetzner Cloud: set HCLOUD_TOKEN to an API token of the project that may read and write, made at https://console.hetzner.com/projects (the project, Security, API tokens)");
}

#[test]
fn a_check_is_one_short_list() {
    let stub = stub(|_, _| None);
    let checked = account(&stub).check().unwrap();
    assert_eq!(checked.facts, [("servers".to_owned(), "0".to_owned())]);
    assert_eq!(lines(&stub), ["GET /servers?per_page=1&page=1"]);
}

#[test]
fn a_wrong_token_is_told_and_is_in_no_error() {
    let stub = stub(|_, _| {
        Some(refused(
            401,
            "unauthorized",
            "unable to authenticate\u{1b}[2J",
        ))
    });
    let account = account(&stub);
    let error = account.check().unwrap_err();
    insta::assert_snapshot!(error, @r"Hetzner Cloud does not accept the credentials: unable to authenticate\u{1b}[2J (unauthorized, status 401); a new token is made at https://console.hetzner.com/projects");
    let errors = [
        error,
        account.list(None).unwrap_err(),
        account.offer(&spec()).unwrap_err(),
        account.prepare(&spec(), &offer()).unwrap_err(),
        create(&stub, &spec(), &offer(), b"").unwrap_err(),
    ];
    for error in errors {
        assert_eq!(error.refusal().unwrap().kind, RefusalKind::Credentials);
        assert!(
            !format!("{error:?} {error}").contains("canary"),
            "{error:?}"
        );
    }
    for asked in stub.asked() {
        assert!(!asked.path.contains("canary") && !asked.text().contains("canary"));
    }
}

#[test]
fn a_request_that_came_too_soon_waits_as_long_as_asked() {
    let stub = stub(|number, _| match number {
        0 => Some(refused(429, "rate_limit_exceeded", "slow"))
            .map(|reply| reply.with("retry-after", 1)),
        _ => None,
    });
    let started_at = Instant::now();
    account(&stub).list(None).unwrap();
    assert!(started_at.elapsed() >= Duration::from_secs(1));
}

#[test]
fn every_page_is_listed_and_labels_are_read_again() {
    let stub = stub(|_, asked| {
        let page = |servers: Value, next: Option<u64>| {
            let meta = json!({"pagination": {"next_page": next}});
            Some(Reply::json(200, json!({"servers": servers, "meta": meta})))
        };
        match asked.path.rsplit('=').next().unwrap() {
            "1" => page(json!([server_of(1, "web-1")]), Some(2)),
            "2" => page(json!([server_of(1, "web-1")]), Some(3)),
            _ => {
                let mut all = [
                    server_of(2, "web-2"),
                    server_of(3, "x"),
                    server_of(4, "web-4"),
                ];
                all[1]["labels"] = json!({"hoist": "website"});
                all[2]["status"] = json!("deleting");
                page(json!(all), None)
            }
        }
    });
    let servers = account(&stub).list(Some(&fleet())).unwrap();
    let ids: Vec<_> = servers.iter().map(|server| server.id.as_str()).collect();
    assert_eq!(ids, ["1", "2"]);
    assert_eq!(
        lines(&stub),
        [1, 2, 3].map(|page| format!(
            "GET /servers?label_selector=hoist%3D%3Dweb&per_page=50&page={page}"
        ))
    );
}

#[test]
fn all_fleets_are_listed_with_their_names() {
    let stub = stub(|_, _| {
        let mut all = [
            server_of(1, "a"),
            server_of(2, "b"),
            server_of(3, "c"),
            server_of(4, "d"),
        ];
        all[1]["labels"] = json!({"hoist": "db"});
        all[2]["labels"] = json!({"hoist": "No_Fleet"});
        all[3]["labels"] = json!({"other": "web"});
        Some(Reply::json(200, json!({"servers": all})))
    });
    let servers = account(&stub).list(None).unwrap();
    let fleets = servers
        .iter()
        .map(|server| server.fleet.as_ref().map(FleetName::as_str));
    assert_eq!(fleets.collect::<Vec<_>>(), [Some("web"), Some("db"), None]);
    assert_eq!(
        lines(&stub),
        ["GET /servers?label_selector=hoist&per_page=50&page=1"]
    );
}

#[test]
fn no_servers_and_no_list_are_not_the_same() {
    let stub = stub(|_, _| None);
    assert_eq!(account(&stub).list(Some(&fleet())).unwrap(), []);
    for odd in [
        json!({}),
        json!({"servers": null}),
        json!("x"),
        json!({"servers": [{"labels": {"hoist": "web"}}]}),
    ] {
        let reply = Reply::json(200, &odd);
        let stub = self::stub(move |_, _| Some(reply.clone()));
        let error = account(&stub).list(Some(&fleet())).unwrap_err();
        assert!(
            matches!(error, ProviderError::Unreadable { .. }),
            "{odd}: {error:?}"
        );
    }
}

#[test]
fn a_server_has_the_first_address_of_its_network() {
    let mut value = server_of(42, "web-1");
    value["private_net"] = json!([{"network": 1}, {"ip": "10.0.0.2"}]);
    let found = server(&value).unwrap();
    let shown = |address: Option<IpAddr>| address.unwrap().to_string();
    assert_eq!(shown(found.ipv4), "192.0.2.30");
    assert_eq!(shown(found.ipv6), "2001:db8:1::1");
    assert_eq!(shown(found.private_ipv4), "10.0.0.2");
    let made_at = std::time::UNIX_EPOCH + Duration::from_secs(1_767_323_045);
    assert_eq!(found.created_at, Some(made_at));
    value["public_net"] = json!({"ipv4": null, "ipv6": {"ip": "2001:db8::7"}});
    let found = server(&value).unwrap();
    assert_eq!(
        (found.ipv4, shown(found.ipv6)),
        (None, "2001:db8::7".to_owned())
    );
}

#[test]
fn states_are_told_in_hoists_words() {
    for (word, state) in [
        ("initializing", State::Pending),
        ("starting", State::Pending),
        ("rebuilding", State::Pending),
        ("migrating", State::Pending),
        ("running", State::Running),
        ("off", State::Stopped),
        ("stopping", State::Stopped),
        ("deleting", State::Gone),
        ("unknown", State::Error),
        ("dreaming", State::Pending),
        ("", State::Pending),
    ] {
        let mut value = server_of(1, "web-1");
        value["status"] = json!(word);
        let found = server(&value).unwrap();
        assert_eq!((found.state, found.raw_state.as_str()), (state, word));
        value["public_net"] = json!({});
        assert_ne!(server(&value).unwrap().state, State::Running);
    }
    assert_eq!(server(&Value::Null), None);
}

#[test]
fn destroying_is_done_by_id() {
    let stub = stub(|number, _| match number {
        0 => None,
        _ => Some(refused(404, "not_found", "server with ID '42' not found")),
    });
    let account = account(&stub);
    let server = Server::new(PROVIDER, "42", "web-1");
    assert_eq!(account.destroy(&server).unwrap(), Destroyed::Accepted);
    assert_eq!(account.destroy(&server).unwrap(), Destroyed::Gone);
    assert_eq!(lines(&stub), ["DELETE /servers/42"; 2]);
    for id in ["", "..", "1?x", "-1"] {
        let error = account
            .destroy(&Server::new(PROVIDER, id, "web-1"))
            .unwrap_err();
        assert!(matches!(error, ProviderError::Input { .. }), "{error:?}");
    }
    assert_eq!(stub.asked().len(), 2);
}

#[test]
fn a_locked_server_is_destroyed_as_soon_as_it_can_be() {
    let locked = || Some(refused(423, "locked", "server is locked"));
    let short = stub(move |number, _| if number < 3 { locked() } else { None });
    let server = Server::new(PROVIDER, "42", "web-1");
    assert_eq!(
        account(&short).destroy(&server).unwrap(),
        Destroyed::Accepted
    );
    assert_eq!(short.asked().len(), 4);
    let long = stub(move |_, _| locked());
    let error = account(&long).destroy(&server).unwrap_err();
    assert_eq!(error.refusal().unwrap().kind, RefusalKind::Locked);
    assert_eq!(long.asked().len(), 5);
}
