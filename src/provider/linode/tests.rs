mod servers;

use std::collections::BTreeMap;
use std::time::{Duration, Instant, SystemTime};

use serde_json::{Value, json};

use super::super::stub::{Asked, Reply, Stub};
use super::super::{Pace, PublicKey, RefusalKind, State};
use super::*;
use crate::secret::Secret;

const TOKEN: &str = "canary-7b1f";

const KEY: &str =
    "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAILM+rvN+ot98qgEN796jTiQfZfG1KaT0PtFDJ/XFSqti";

fn access(stub: &Stub) -> Access {
    let variables = [
        ("LINODE_TOKEN", TOKEN.to_owned()),
        ("HOIST_LINODE_URL", format!("{}/v4/", stub.url())),
    ];
    Access {
        variables: variables
            .map(|(name, value)| (name.to_owned(), value))
            .into(),
        pace: Pace {
            request_timeout: Duration::from_secs(2),
            ..Pace::quick()
        },
        ..Access::default()
    }
}

fn linode(stub: &Stub) -> Linode {
    Linode::open(&access(stub)).unwrap()
}

/// Answers every request with the same.
fn always(status: u16, body: Value) -> Stub {
    Stub::start(move |_, _: &Asked| Reply::json(status, &body))
}

fn refused(status: u16, reason: &str) -> Reply {
    Reply::json(status, json!({"errors": [{"reason": reason}]}))
}

/// Answers reads of the catalogue as the API does, one element a page.
fn catalogued(asked: &Asked) -> Reply {
    let elements = match asked.path.split('?').next().unwrap() {
        "/v4/regions" => vec![
            json!({"id": "us-east", "label": "Newark, NJ", "capabilities": ["Linodes", "Metadata"],
                   "status": "ok"}),
            json!({"id": "br-gru", "label": "Sao Paulo, BR", "capabilities": ["Linodes"],
                   "status": "outage"}),
        ],
        "/v4/linode/types" => vec![
            json!({"id": "g6-nanode-1", "label": "Nanode 1GB",
                   "price": {"hourly": 0.0075, "monthly": 5},
                   "region_prices": [{"id": "br-gru", "hourly": 0.0105, "monthly": 7}]}),
            json!({"id": "g6-standard-1", "label": "Linode 2GB",
                   "price": {"hourly": 0.018, "monthly": 12},
                   "region_prices": [{"id": "br-gru", "hourly": null, "monthly": null}]}),
        ],
        "/v4/images" => vec![
            json!({"id": "linode/debian12", "label": "Debian 12", "capabilities": ["cloud-init"],
                   "status": "available"}),
            json!({"id": "linode/slackware15", "label": "Slackware 15", "capabilities": [],
                   "deprecated": true}),
            json!({"id": "private/7", "label": "mine", "status": "pending_upload"}),
        ],
        _ => return refused(404, "Not found"),
    };
    page(&elements, asked)
}

/// Answers with the page that is asked for: one element.
fn page(elements: &[Value], asked: &Asked) -> Reply {
    let number = asked.path.split("?page=").nth(1).unwrap();
    let number: usize = number.split('&').next().unwrap().parse().unwrap();
    let shown: Vec<_> = elements.get(number - 1).into_iter().collect();
    let pages = elements.len().max(1);
    Reply::json(
        200,
        json!({"data": shown, "page": number, "pages": pages, "results": elements.len()}),
    )
}

fn spec() -> Spec {
    Spec {
        fleet: FleetName::parse("web").unwrap(),
        region: Some("us-east".to_owned()),
        size: Some("nanode 1gb".to_owned()),
        image: Some("debian 12".to_owned()),
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

/// Returns the offer for `spec` against the catalogue above.
fn offer(spec: &Spec) -> Result<Offer, ProviderError> {
    let stub = Stub::start(|_, asked: &Asked| catalogued(asked));
    linode(&stub).offer(spec)
}

/// Orders a server of `spec`.
fn create(linode: &Linode, spec: &Spec, user_data: &[u8]) -> Result<Server, ProviderError> {
    let offer = offer(spec).unwrap();
    linode.create(&Order {
        spec,
        offer: &offer,
        prepared: &Prepared::default(),
        name: "web-1",
        token: "t",
        user_data,
    })
}

fn made() -> Value {
    json!({"id": 123, "label": "web-1", "status": "provisioning", "created": "2026-01-02T03:04:05",
           "type": "g6-nanode-1", "region": "us-east", "image": "linode/debian12",
           "ipv4": ["192.0.2.10"], "ipv6": "2001:db8::f03c:1/128", "tags": ["hoist", "hoist:web"]})
}

/// Returns the server above with other values.
fn made_with(changes: Value) -> Value {
    let mut made = made();
    let Value::Object(changes) = changes else {
        unreachable!("changes are an object")
    };
    made.as_object_mut().unwrap().extend(changes);
    made
}

fn kind(error: &ProviderError) -> RefusalKind {
    error.refusal().unwrap().kind
}

#[test]
fn without_a_token_it_says_which_variable_and_where_to_get_one() {
    let error = Linode::open(&Access::default()).err().unwrap();
    insta::assert_snapshot!(error, @"no credentials for Linode: set LINODE_TOKEN to a personal access token with the scope linodes:read_write; https://cloud.linode.com/profile/tokens makes one");
}

#[test]
fn a_token_comes_from_the_settings_or_either_variable() {
    let stub = always(200, json!({"data": []}));
    let mut access = access(&stub);
    let sent = |access: &Access| {
        open(access).unwrap().check().unwrap();
        let asked = stub.asked();
        asked
            .last()
            .unwrap()
            .header("authorization")
            .map(str::to_owned)
    };
    let cli = ("LINODE_CLI_TOKEN".to_owned(), "second".to_owned());
    access.variables.extend([cli]);
    assert_eq!(sent(&access).as_deref(), Some("Bearer canary-7b1f"));
    access
        .variables
        .insert("LINODE_TOKEN".to_owned(), String::new());
    assert_eq!(sent(&access).as_deref(), Some("Bearer second"));
    access.token = Some(Secret::new("first\n".to_owned()));
    assert_eq!(sent(&access).as_deref(), Some("Bearer first"));
}

#[test]
fn check_tells_what_a_list_of_servers_does() {
    let stub = Stub::start(|_, _: &Asked| {
        let body = json!({"data": [], "page": 1, "pages": 1, "results": 7});
        Reply::json(200, body).with("x-oauth-scopes", "linodes:read_write")
    });
    let account = linode(&stub).check().unwrap();
    let fact = |label: &str, text: &str| (label.to_owned(), text.to_owned());
    assert_eq!(
        account.facts,
        [
            fact("servers", "7"),
            fact("permissions", "linodes:read_write")
        ]
    );
    assert_eq!(
        stub.asked()[0].path,
        "/v4/linode/instances?page=1&page_size=25"
    );
}

#[test]
fn every_page_of_the_catalogue_is_read() {
    let stub = Stub::start(|_, asked: &Asked| catalogued(asked));
    let linode = linode(&stub);
    let told = |which, region| -> Vec<String> {
        let articles = linode.catalogue(which, region).unwrap();
        let told = articles.into_iter().map(|article| {
            let price = article.price.map(|price| format!(" {:.4}", price.hourly));
            format!(
                "{}: {}{}",
                article.id,
                article.name,
                price.unwrap_or_default()
            )
        });
        told.collect()
    };
    assert_eq!(
        told(Catalogue::Regions, None),
        ["us-east: Newark, NJ", "br-gru: Sao Paulo, BR"]
    );
    assert_eq!(
        told(Catalogue::Sizes, None),
        [
            "g6-nanode-1: Nanode 1GB 0.0075",
            "g6-standard-1: Linode 2GB 0.0180"
        ]
    );
    assert_eq!(
        told(Catalogue::Sizes, Some("Sao Paulo")),
        [
            "g6-nanode-1: Nanode 1GB 0.0105",
            "g6-standard-1: Linode 2GB 0.0180"
        ]
    );
    assert_eq!(
        told(Catalogue::Images, None),
        [
            "linode/debian12: Debian 12",
            "linode/slackware15: Slackware 15"
        ]
    );
    let paths: Vec<_> = stub.asked().into_iter().map(|asked| asked.path).collect();
    assert_eq!(paths[0], "/v4/regions?page=1&page_size=500");
    assert_eq!(paths[1], "/v4/regions?page=2&page_size=500");
}

#[test]
fn names_become_ids_and_the_price_of_the_region_comes_along() {
    let here = offer(&spec()).unwrap();
    assert_eq!(here.region, "us-east");
    assert_eq!(here.size, "g6-nanode-1");
    assert_eq!(here.image, "linode/debian12");
    assert_eq!(here.login_user, "root");
    assert!(here.has_cloud_init);
    assert_eq!(here.user_data_limit, 65_535);
    assert_eq!(here.price.unwrap().monthly, Some(5.0));
    assert_eq!(here.notes, [""; 0]);
    let region = Some("br-gru".to_owned());
    let there = offer(&Spec { region, ..spec() }).unwrap();
    assert_eq!(there.price.unwrap().monthly, Some(7.0));
    assert!(!there.has_cloud_init);
    insta::assert_snapshot!(there.notes.join(" | "), @"the region `br-gru` has no cloud-init: servers read no user-data, and their host key is not known before the first login | Linode says that the region `br-gru` has an outage");
    let image = Some("slackware".to_owned());
    let other = offer(&Spec { image, ..spec() }).unwrap();
    assert!(!other.has_cloud_init);
    insta::assert_snapshot!(other.notes.join(" | "), @"the image `linode/slackware15` has no cloud-init: servers read no user-data, and their host key is not known before the first login | Linode no longer maintains the image `linode/slackware15`");
}

#[test]
fn what_can_not_be_ordered_is_told_with_the_way_on() {
    let told = |spec: Spec| offer(&spec).unwrap_err().to_string();
    let named = |text: &str| Some(text.to_owned());
    insta::assert_snapshot!(told(Spec { region: named("us-est"), ..spec() }), @"region `us-est` is not known; did you mean `us-east`?");
    insta::assert_snapshot!(told(Spec { size: None, ..spec() }), @"an order at Linode needs the size; `hoist cloud sizes linode` lists them");
    insta::assert_snapshot!(told(Spec { image: named("mine"), ..spec() }), @"image `mine` is not known; `hoist cloud images linode` lists them");
    insta::assert_snapshot!(told(Spec { open_ssh_from: named("192.0.2.0/24"), ..spec() }), @"Linode leaves port 22 open to everyone, and hoist closes nothing there; to let in only `192.0.2.0/24`, make a firewall at https://cloud.linode.com/firewalls and set firewall_id to its id");
    insta::assert_snapshot!(told(with_option("root_pass", json!("x"))), @"setting `root_pass` is not known");
    insta::assert_snapshot!(told(with_option("privat_ip", json!(true))), @"setting `privat_ip` is not known; did you mean `private_ip`?");
    insta::assert_snapshot!(told(with_option("firewall_id", json!("a"))), @r#"the setting `firewall_id` takes a whole number, not `"a"`"#);
}

#[test]
fn nothing_has_to_be_there_beforehand() {
    let stub = always(500, json!({}));
    let offer = offer(&spec()).unwrap();
    assert_eq!(
        linode(&stub).prepare(&spec(), &offer),
        Ok(Prepared::default())
    );
    assert!(stub.asked().is_empty());
}

#[test]
fn an_order_is_exactly_what_the_api_takes() {
    let stub = always(200, made());
    let mut spec = with_option("private_ip", json!(true));
    spec.tags = vec!["blue".to_owned(), "hoist".to_owned()];
    let server = create(&linode(&stub), &spec, b"#cloud-config\n").unwrap();
    let asked = &stub.asked()[0];
    assert_eq!(
        (&*asked.method, &*asked.path),
        ("POST", "/v4/linode/instances")
    );
    assert_eq!(asked.header("content-type"), Some("application/json"));
    let mut body: Value = serde_json::from_slice(&asked.body).unwrap();
    let password = body["root_pass"].take();
    assert_eq!(password.as_str().unwrap().len(), 48);
    insta::assert_snapshot!(body, @r#"{"region":"us-east","type":"g6-nanode-1","image":"linode/debian12","label":"web-1","tags":["hoist","hoist:web","blue"],"authorized_keys":["ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAILM+rvN+ot98qgEN796jTiQfZfG1KaT0PtFDJ/XFSqti"],"root_pass":null,"metadata":{"user_data":"I2Nsb3VkLWNvbmZpZwo="},"private_ip":true}"#);
    assert_eq!(server.id, "123");
    assert_eq!(server.name, "web-1");
    assert_eq!(server.fleet, Some(spec.fleet));
    assert_eq!(server.state, State::Pending);
    assert_eq!(server.address().unwrap().to_string(), "192.0.2.10");
    assert!(server.created_at.is_some());
}

#[test]
fn no_two_servers_have_the_same_password_and_no_user_data_is_no_metadata() {
    let stub = always(200, made());
    let linode = linode(&stub);
    create(&linode, &spec(), b"").unwrap();
    create(&linode, &spec(), b"").unwrap();
    let bodies = stub.asked();
    let body = |number: usize| serde_json::from_slice::<Value>(&bodies[number].body).unwrap();
    assert_ne!(body(0)["root_pass"], body(1)["root_pass"]);
    assert_eq!(body(0).get("metadata"), None);
}

#[test]
fn an_order_without_a_usable_answer_is_lost_and_never_sent_again() {
    for reply in [
        Reply::Hangup,
        Reply::json(200, json!({"label": "web-1"})),
        Reply::json(200, json!({"id": {}})),
        Reply::json(200, "{}"),
        Reply::json(200, ""),
        Reply::json(200, "<html>"),
        Reply::json(500, json!({"errors": [{"reason": "oops"}]})),
        Reply::json(503, ""),
    ] {
        let shown = format!("{reply:?}");
        let stub = Stub::start(move |_, _: &Asked| reply.clone());
        let error = create(&linode(&stub), &spec(), b"").unwrap_err();
        assert!(
            matches!(error, ProviderError::Lost { .. }),
            "{shown}: {error:?}"
        );
        assert_eq!(stub.asked().len(), 1, "{shown}");
    }
}

#[test]
fn an_order_that_came_to_nothing_is_sent_again() {
    let stub = Stub::start(|number, _: &Asked| match number {
        0 => refused(429, "Too many requests").with("retry-after", 1),
        1 => refused(400, "Linode busy."),
        _ => Reply::json(200, made()),
    });
    let started_at = Instant::now();
    create(&linode(&stub), &spec(), b"").unwrap();
    assert!(started_at.elapsed() >= Duration::from_secs(1));
    let asked = stub.asked();
    assert_eq!(asked.len(), 3);
    assert_eq!(asked[0].body, asked[2].body);
}

#[test]
fn the_next_order_waits_for_its_window_but_not_for_a_wrong_clock() {
    let stub = Stub::start(|number, _: &Asked| {
        let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH);
        let (left, wait) = [(1, 3600), (0, 2), (0, 3600), (0, 3600)][number];
        Reply::json(200, made())
            .with("x-ratelimit-remaining", left)
            .with("x-ratelimit-reset", now.unwrap().as_secs() + wait)
    });
    let mut access = access(&stub);
    access.pace.retry_after_cap = Duration::from_secs(2);
    let linode = Linode::open(&access).unwrap();
    let timed = || {
        let started_at = Instant::now();
        create(&linode, &spec(), b"").unwrap();
        started_at.elapsed()
    };
    timed();
    assert!(timed() < Duration::from_mins(1), "one more was left");
    assert!(timed() >= Duration::from_millis(900), "none was left");
    let capped = timed();
    assert!(capped >= Duration::from_millis(1900) && capped < Duration::from_mins(1));
    access.stop.stop();
    let error = create(&linode, &spec(), b"").unwrap_err();
    assert_eq!(error, ProviderError::Stopped);
    assert_eq!(stub.asked().len(), 4);
}

#[test]
fn refusals_have_a_kind_and_the_vendors_words() {
    use RefusalKind::{Conflict, Credentials, Input, Permission, Quota, SoldOut};
    for (status, reason, expected) in [
        (401, "Invalid Token", Credentials),
        (
            401,
            "Your OAuth token is not authorized to use this endpoint.",
            Permission,
        ),
        (403, "Unauthorized", Permission),
        (400, "Label must be unique among your linodes", Conflict),
        (
            400,
            "Account Limit reached. Please open a support ticket.",
            Quota,
        ),
        (
            400,
            "You've reached a limit for the number of active services on your account.",
            Quota,
        ),
        (400, "This plan is sold out in this region", SoldOut),
        (400, "region is not valid", Input),
    ] {
        let stub = Stub::start(move |_, _: &Asked| refused(status, reason));
        let error = create(&linode(&stub), &spec(), b"").unwrap_err();
        assert_eq!(kind(&error), expected, "{reason}");
        assert!(error.to_string().contains(reason), "{error}");
        assert_eq!(stub.asked().len(), 1);
    }
}

#[test]
fn every_reason_is_told_with_its_field() {
    let errors = json!({"errors": [
        {"field": "label", "reason": "Label must be unique among your linodes"},
        {"field": "null", "reason": "one\u{1b}[2J"}, {"reason": "two"}, 5, {"reason": null}]});
    let error = create(&linode(&always(400, errors)), &spec(), b"").unwrap_err();
    insta::assert_snapshot!(error, @r"Linode says that there is one already: label: Label must be unique among your linodes; one\u{1b}[2J; two (status 400); labels are unique in an account at Linode: destroy the server that has it, or give the fleet another name");
    let no_scope = "Your OAuth token is not authorized to use this endpoint.";
    let stub = Stub::start(move |_, _: &Asked| refused(401, no_scope));
    insta::assert_snapshot!(linode(&stub).check().unwrap_err(), @"Linode does not permit it: Your OAuth token is not authorized to use this endpoint. (status 401); the token needs the scope linodes:read_write");
}

#[test]
fn the_token_is_in_no_error_even_if_the_vendor_quotes_it() {
    let stub = Stub::start(|_, asked: &Asked| {
        let reason = format!("bad header {}", asked.header("authorization").unwrap());
        refused(401, &reason)
    });
    let linode = linode(&stub);
    let errors = [
        linode.check().unwrap_err(),
        linode.list(None).unwrap_err(),
        linode.offer(&spec()).unwrap_err(),
        create(&linode, &spec(), b"").unwrap_err(),
    ];
    for error in errors {
        assert!(!format!("{error} {error:?}").contains("canary"), "{error}");
    }
    assert_eq!(
        stub.asked()[0].header("authorization"),
        Some("Bearer canary-7b1f"),
        "the test must be able to fail"
    );
}
