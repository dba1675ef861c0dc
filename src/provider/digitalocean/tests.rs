mod offer;
mod order;

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use serde_json::json;

use super::super::stub::{Asked, Reply, Stub};
use super::super::{Pace, PublicKey};
use super::*;
use crate::secret::Secret;

const CANARY: &str = "dop_v1_canary";
const KEY: &str =
    "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAILM+rvN+ot98qgEN796jTiQfZfG1KaT0PtFDJ/XFSqti";
const KEY_PATH: &str = "/v2/account/keys/ae:6f:ba:1b:70:2c:ae:c7:5c:ab:6e:4d:5e:d4:c7:23";

/// Answers as `answer` says, and where it says nothing as an account with a droplet or two would.
fn stub(answer: impl Fn(usize, &Asked) -> Option<Reply> + Send + Sync + 'static) -> Stub {
    Stub::start(move |number, asked| answer(number, asked).unwrap_or_else(|| usual(asked)))
}

fn usual(asked: &Asked) -> Reply {
    let path = asked.path.split('?').next().unwrap();
    let answer = match (asked.method.as_str(), path) {
        ("GET", "/v2/regions") => json!({"regions": [
            {"slug": "nyc3", "name": "New York 3", "available": true},
            {"slug": "ams3", "name": "Amsterdam 3", "available": true},
            {"slug": "nyc2", "name": "New York 2", "available": false},
        ]}),
        ("GET", "/v2/sizes") => json!({"sizes": [
            {"slug": "s-1vcpu-512mb-10gb", "memory": 512, "vcpus": 1, "disk": 10, "available": true,
             "description": "Basic", "price_hourly": 0.00595, "price_monthly": 4.0, "regions": ["nyc3"]},
            {"slug": "s-1vcpu-1gb", "memory": 1024, "vcpus": 1, "disk": 25, "available": true,
             "description": "Basic", "price_hourly": 0.00893, "price_monthly": 6.0, "regions": ["nyc3", "ams3"]},
            {"slug": "s-old", "memory": 1024, "vcpus": 1, "disk": 20, "available": false,
             "description": "Basic", "price_hourly": 0.01, "price_monthly": 7.0, "regions": ["nyc3"]},
            {"slug": "gpu-h100x1-80gb", "memory": 245_760, "vcpus": 20, "disk": 720, "available": true,
             "description": "H100 GPU", "price_hourly": 3.39, "price_monthly": 2522.16,
             "regions": ["nyc3"], "gpu_info": {"count": 1}},
        ]}),
        ("GET", "/v2/images") if asked.path.contains("type=distribution") => json!({"images": [
            {"id": 1, "slug": "debian-12-x64", "distribution": "Debian", "name": "12 x64",
             "regions": ["nyc3", "ams3"], "status": "available"},
            {"id": 2, "slug": "ubuntu-24-04-x64", "distribution": "Ubuntu", "name": "24.04 (LTS) x64",
             "regions": ["nyc3", "ams3"], "status": "available"},
        ]}),
        ("GET", "/v2/images") if asked.path.contains("private=true") => json!({"images": [
            {"id": 7_555_620, "slug": null, "distribution": "Debian", "name": "golden",
             "regions": ["ams3"], "status": "available"},
            {"id": 7_555_621, "slug": null, "distribution": "Debian", "name": "half", "status": "pending"},
        ]}),
        ("GET", "/v2/images") => json!({"images": [
            {"id": 9, "slug": "docker-20-04", "distribution": "Ubuntu", "name": "Docker on Ubuntu 20.04"},
        ]}),
        ("GET", "/v2/account") => {
            json!({"account": {"droplet_limit": 25, "email": "jane@example.org",
            "status": "active", "status_message": " ", "team": {"name": "Example"}}})
        }
        ("GET", "/v2/droplets") => json!({"droplets": [], "meta": {"total": 3}}),
        ("GET", KEY_PATH) => return missing(),
        ("POST", "/v2/account/keys") => {
            return Reply::json(201, json!({"ssh_key": {"id": 512_189}}));
        }
        ("POST", "/v2/droplets") => {
            return Reply::json(202, json!({"droplet": droplet(1, "web-1")}));
        }
        ("DELETE", _) => return Reply::Whole(204, Vec::new(), String::new()),
        other => panic!("unexpected: {other:?}"),
    };
    Reply::json(200, answer)
}

fn missing() -> Reply {
    Reply::json(
        404,
        json!({"id": "not_found", "message": "The resource you were accessing could not be found."}),
    )
}

fn refused(status: u16, id: &str, message: &str) -> Reply {
    let body = json!({"id": id, "message": message, "request_id": "4d9d8375"});
    Reply::json(status, body)
}

fn droplet(id: u64, name: &str) -> Value {
    json!({
        "id": id, "name": name, "status": "new", "created_at": "2026-01-02T03:04:05Z",
        "networks": {"v4": [], "v6": []}, "region": {"slug": "nyc3"},
        "tags": ["hoist", "hoist:web"],
    })
}

fn access(stub: &Stub) -> Access {
    let variables = [
        ("HOIST_DIGITALOCEAN_URL", stub.url()),
        ("DIGITALOCEAN_ACCESS_TOKEN", CANARY),
    ];
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
        region: Some("nyc3".to_owned()),
        size: Some("s-1vcpu-1gb".to_owned()),
        image: Some("debian-12-x64".to_owned()),
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
        region: "nyc3".to_owned(),
        size: "s-1vcpu-1gb".to_owned(),
        image: "debian-12-x64".to_owned(),
        login_user: "root".to_owned(),
        has_cloud_init: true,
        user_data_limit: 65_536,
        price: Some(super::super::Price {
            hourly: 0.00893,
            monthly: Some(6.0),
            currency: "USD".to_owned(),
        }),
        quota_left: Some(22),
        notes: Vec::new(),
    }
}

/// Creates one droplet, of this offer and with this user-data.
fn create(stub: &Stub, spec: &Spec, offer: &Offer, data: &[u8]) -> Result<Server, ProviderError> {
    account(stub).create(&Order {
        spec,
        offer,
        prepared: &prepared("512189".to_owned()),
        name: "web-1",
        token: "hoist-0",
        user_data: data,
    })
}

/// Returns what was asked, as `GET /v2/…`.
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
    let name = "DIGITALOCEAN_ACCESS_TOKEN";
    access.variables.insert(name.to_owned(), String::new());
    access
        .variables
        .insert("DIGITALOCEAN_TOKEN".to_owned(), "second".to_owned());
    assert_eq!(sent(&access), "Bearer second");
    access.variables.remove("DIGITALOCEAN_TOKEN");
    let error = open(&access).err().unwrap();
    insta::assert_snapshot!(error, @"no credentials for DigitalOcean: set DIGITALOCEAN_ACCESS_TOKEN to a personal access token with write access, made at https://cloud.digitalocean.com/account/api/tokens");
}

#[test]
fn a_check_tells_whose_account_it_is() {
    let stub = stub(|_, _| None);
    let checked = account(&stub).check().unwrap();
    assert_eq!(checked.name.as_deref(), Some("jane@example.org"));
    let facts = checked
        .facts
        .iter()
        .map(|(label, text)| format!("{label}: {text}"));
    assert_eq!(
        facts.collect::<Vec<_>>(),
        ["team: Example", "status: active", "droplet limit: 25"]
    );
}

#[test]
fn a_token_without_leave_to_read_the_account_is_checked_by_listing() {
    let forbidden = "You are missing the required permission account:read.";
    let stub = stub(move |_, asked| match asked.path.as_str() {
        "/v2/account" => Some(refused(403, "forbidden", forbidden)),
        _ => None,
    });
    assert_eq!(account(&stub).check().unwrap(), Account::default());
    assert_eq!(
        lines(&stub).pop().unwrap(),
        "GET /v2/droplets?per_page=1&page=1"
    );
    let offered = account(&stub).offer(&spec()).unwrap();
    assert_eq!(offered.quota_left, None);
}

#[test]
fn a_wrong_token_is_told_and_is_in_no_error() {
    let message = "Unable to authenticate you\u{1b}[2J";
    let stub = stub(move |_, _| Some(refused(401, "unauthorized", message)));
    let account = account(&stub);
    let error = account.check().unwrap_err();
    insta::assert_snapshot!(error, @r"DigitalOcean does not accept the credentials: Unable to authenticate you\u{1b}[2J (unauthorized, status 401), request 4d9d8375; a new token is made at https://cloud.digitalocean.com/account/api/tokens");
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
fn a_token_that_cannot_be_a_header_is_not_shown() {
    let stub = stub(|_, _| None);
    let mut access = access(&stub);
    access.token = Some(Secret::new("can\nary".to_owned()));
    let error = open(&access).unwrap().check().unwrap_err();
    assert!(
        matches!(error, ProviderError::BadCredentials { .. }),
        "{error:?}"
    );
    assert!(!format!("{error:?} {error}").contains("ary"));
}

#[test]
fn every_page_is_listed_and_tags_are_read_again() {
    let stub = stub(|_, asked| {
        let page = |range: std::ops::Range<u64>, next: Option<&str>| {
            let all = range.map(|id| droplet(id, &format!("web-{id}")));
            let all: Vec<Value> = all.collect();
            Some(Reply::json(
                200,
                json!({"droplets": all, "links": {"pages": {"next": next}}}),
            ))
        };
        if asked.path.ends_with("page=1") {
            return page(0..200, Some("https://127.0.0.1:1/elsewhere"));
        }
        if asked.path.ends_with("page=2") {
            return page(199..399, Some("x"));
        }
        let mut other = droplet(7, "other");
        other["tags"] = json!(["hoist", "hoist:website"]);
        let all = json!([other, droplet(399, "web-399")]);
        Some(Reply::json(
            200,
            json!({"droplets": all, "links": {"pages": {"next": "y"}}}),
        ))
    });
    let servers = account(&stub).list(Some(&fleet())).unwrap();
    assert_eq!(servers.len(), 400);
    assert!(servers.iter().all(|server| server.fleet == Some(fleet())));
    let paths = [1, 2, 3]
        .map(|page| format!("GET /v2/droplets?tag_name=hoist%3Aweb&per_page=200&page={page}"));
    assert_eq!(lines(&stub), paths);
}

#[test]
fn a_full_page_without_a_next_one_is_the_last() {
    let stub = stub(|_, _| {
        let all: Vec<Value> = (0..200).map(|id| droplet(id, "web")).collect();
        Some(Reply::json(
            200,
            json!({"droplets": all, "links": {}, "meta": {"total": 200}}),
        ))
    });
    assert_eq!(account(&stub).list(None).unwrap().len(), 200);
    assert_eq!(
        lines(&stub),
        ["GET /v2/droplets?tag_name=hoist&per_page=200&page=1"]
    );
}

#[test]
fn all_fleets_are_listed_with_their_names() {
    let stub = stub(|_, _| {
        let mut all = [droplet(1, "a"), droplet(2, "b"), droplet(3, "c")];
        all[1]["tags"] = json!(["hoist:db", "hoist", "x"]);
        all[2]["tags"] = json!(["x"]);
        Some(Reply::json(200, json!({"droplets": all})))
    });
    let servers = account(&stub).list(None).unwrap();
    let fleets: Vec<_> = servers
        .iter()
        .map(|server| server.fleet.as_ref().unwrap().as_str())
        .collect();
    assert_eq!(fleets, ["web", "db"]);
}

#[test]
fn no_droplets_and_no_list_are_not_the_same() {
    let stub = stub(|_, _| None);
    assert_eq!(account(&stub).list(Some(&fleet())).unwrap(), []);
    for odd in [
        json!({}),
        json!({"droplets": null}),
        json!([]),
        json!({"droplets": [{"tags": ["hoist:web"]}]}),
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
fn addresses_are_picked_by_their_kind() {
    let mut value = droplet(3_164_444, "web-1");
    value["status"] = json!("active");
    value["networks"] = json!({
        "v4": [{"ip_address": "10.108.0.3", "type": "private"}, {"ip_address": "192.0.2.20", "type": "public"}],
        "v6": [{"ip_address": "2001:db8::1", "netmask": 64, "type": "public"}],
    });
    let found = server(&value).unwrap();
    let shown = |address: Option<std::net::IpAddr>| address.unwrap().to_string();
    assert_eq!(shown(found.ipv4), "192.0.2.20");
    assert_eq!(shown(found.ipv6), "2001:db8::1");
    assert_eq!(shown(found.private_ipv4), "10.108.0.3");
    assert_eq!(
        (found.id.as_str(), found.state),
        ("3164444", State::Running)
    );
    let made_at = std::time::UNIX_EPOCH + Duration::from_secs(1_767_323_045);
    assert_eq!(found.created_at, Some(made_at));
}

#[test]
fn states_are_told_in_hoists_words() {
    for (word, state) in [
        ("new", State::Pending),
        // Not yet with an address.
        ("active", State::Pending),
        ("off", State::Stopped),
        ("archive", State::Error),
        ("hibernating", State::Pending),
        ("", State::Pending),
    ] {
        let mut value = droplet(1, "web-1");
        value["status"] = json!(word);
        let found = server(&value).unwrap();
        assert_eq!((found.state, found.raw_state.as_str()), (state, word));
    }
    assert_eq!(
        server(&json!({"status": 7, "id": 1})).unwrap().state,
        State::Pending
    );
    assert_eq!(server(&Value::Null), None);
}

#[test]
fn destroying_is_done_by_id() {
    let stub = stub(|number, _| (number > 0).then(missing));
    let account = account(&stub);
    let server = Server::new(PROVIDER, "3164444", "web-1");
    assert_eq!(account.destroy(&server).unwrap(), Destroyed::Accepted);
    assert_eq!(account.destroy(&server).unwrap(), Destroyed::Gone);
    assert_eq!(lines(&stub), ["DELETE /v2/droplets/3164444"; 2]);
    for id in ["", "..", "1?tag_name=hoist", "-1"] {
        let error = account
            .destroy(&Server::new(PROVIDER, id, "web-1"))
            .unwrap_err();
        assert!(matches!(error, ProviderError::Input { .. }), "{error:?}");
    }
    assert_eq!(stub.asked().len(), 2);
}

#[test]
fn a_droplet_that_is_busy_is_locked() {
    let message = "Droplet already has a pending event.";
    let stub = stub(move |_, _| Some(refused(422, "unprocessable_entity", message)));
    let error = account(&stub)
        .destroy(&Server::new(PROVIDER, "1", "web-1"))
        .unwrap_err();
    assert_eq!(error.refusal().unwrap().kind, RefusalKind::Locked);
}
