mod servers;

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use super::super::stub::{Asked, Reply, Stub};
use super::super::{Pace, RefusalKind, State};
use super::*;
use crate::secret::Secret;

const TOKEN: &str = "canary-7b1f";

const KEY: &str =
    "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAILM+rvN+ot98qgEN796jTiQfZfG1KaT0PtFDJ/XFSqti";

fn access(stub: &Stub) -> Access {
    let variables = [
        ("VULTR_API_KEY", TOKEN.to_owned()),
        ("HOIST_VULTR_URL", format!("{}/v2", stub.url())),
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

fn vultr(stub: &Stub) -> Vultr {
    Vultr::open(&access(stub)).unwrap()
}

/// Answers every request with the same.
fn always(status: u16, body: Value) -> Stub {
    Stub::start(move |_, _: &Asked| Reply::json(status, &body))
}

/// Answers reads of the catalogue as the API does, one element a page.
fn catalogued(asked: &Asked) -> Reply {
    let pages = match asked.path.split('?').next().unwrap() {
        "/v2/regions" => (
            "regions",
            vec![
                json!({"id": "ams", "city": "Amsterdam", "country": "NL"}),
                json!({"id": "ewr", "city": "New Jersey", "country": "US"}),
            ],
        ),
        "/v2/plans" => (
            "plans",
            vec![
                json!({"id": "vc2-1c-1gb", "vcpu_count": 1, "ram": 1024, "disk": 25,
                       "monthly_cost": 5, "locations": ["ewr", "ams"]}),
                json!({"id": "vhf-8c-32gb", "vcpu_count": 8, "ram": 32768, "disk": 512,
                       "monthly_cost": 192, "hourly_cost": 0.286, "locations": ["ams"]}),
            ],
        ),
        "/v2/os" => (
            "os",
            vec![
                json!({"id": 2136, "name": "Debian 12 x64 (bookworm)", "family": "debian"}),
                json!({"id": 164, "name": "Snapshot", "family": "snapshot"}),
                json!({"id": 2514, "name": "FreeBSD 14 x64", "family": "freebsd"}),
                json!({"id": 1761, "name": "Windows 2022 Standard x64", "family": "windows"}),
            ],
        ),
        "/v2/ssh-keys" => (
            "ssh_keys",
            vec![
                json!({"id": "other", "ssh_key": "ssh-ed25519 AAAA"}),
                json!({"id": "key-1", "ssh_key": format!("{KEY} jane@laptop")}),
            ],
        ),
        _ => return Reply::json(404, json!({"error": "Not found", "status": 404})),
    };
    page(pages.0, &pages.1, asked)
}

/// Answers with the page that the cursor asks for: one element.
fn page(list: &str, elements: &[Value], asked: &Asked) -> Reply {
    let cursor = asked.path.split("cursor=").nth(1).unwrap_or("c=0");
    let number: usize = cursor.replace("%3D", "=")[2..].parse().unwrap();
    let next = if number + 1 < elements.len() {
        format!("c={}", number + 1)
    } else {
        String::new()
    };
    let shown: Vec<_> = elements.get(number).into_iter().collect();
    Reply::json(
        200,
        json!({list: shown, "meta": {"total": elements.len(), "links": {"next": next, "prev": ""}}}),
    )
}

fn spec() -> Spec {
    Spec {
        fleet: FleetName::parse("web").unwrap(),
        region: Some("New Jersey".to_owned()),
        size: Some("vc2-1c-1gb".to_owned()),
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
    vultr(&stub).offer(spec)
}

/// Orders a server of `spec`.
fn create(stub: &Stub, spec: &Spec, user_data: &[u8]) -> Result<Server, ProviderError> {
    let offer = offer(spec).unwrap();
    let prepared = Prepared {
        key: "key-1".to_owned(),
        firewalls: Vec::new(),
    };
    vultr(stub).create(&Order {
        spec,
        offer: &offer,
        prepared: &prepared,
        name: "web-1",
        token: "t",
        user_data,
    })
}

fn instance() -> Value {
    json!({"id": "4f0f12e5", "os": "Debian 12 x64 (bookworm)", "region": "ewr", "label": "web-1",
           "date_created": "2026-01-02T03:04:05+00:00", "status": "pending",
           "power_status": "running", "server_status": "none", "main_ip": "0.0.0.0",
           "v6_main_ip": "", "internal_ip": "", "tags": ["hoist", "hoist:web"],
           "default_password": "canary-password"})
}

/// Returns the instance above with other values.
fn instance_with(changes: Value) -> Value {
    let mut instance = instance();
    let Value::Object(changes) = changes else {
        unreachable!("changes are an object")
    };
    instance.as_object_mut().unwrap().extend(changes);
    instance
}

fn kind(error: &ProviderError) -> RefusalKind {
    error.refusal().unwrap().kind
}

#[test]
fn without_a_key_it_says_which_variable_and_where_to_get_one() {
    let error = Vultr::open(&Access::default()).err().unwrap();
    insta::assert_snapshot!(error, @"no credentials for Vultr: set VULTR_API_KEY to a key of the API; https://my.vultr.com/settings/#settingsapi makes one");
}

#[test]
fn a_token_of_the_settings_goes_before_the_environment_and_is_sent_without_its_line_end() {
    let stub = always(200, json!({"account": {}}));
    let access = Access {
        token: Some(Secret::new("first\n".to_owned())),
        ..access(&stub)
    };
    open(&access).unwrap().check().unwrap();
    let asked = stub.asked();
    assert_eq!(asked[0].header("authorization"), Some("Bearer first"));
}

#[test]
fn check_tells_what_is_known_of_the_account() {
    let stub = always(
        200,
        json!({"account": {"name": "Example", "email": "a@example.org", "balance": -100.55,
                           "pending_charges": 60.25, "acls": ["provisioning", "subscriptions"]}}),
    );
    let account = vultr(&stub).check().unwrap();
    assert_eq!(account.name.as_deref(), Some("Example"));
    let facts: Vec<_> = account
        .facts
        .iter()
        .map(|(a, b)| format!("{a}: {b}"))
        .collect();
    assert_eq!(
        facts,
        [
            "balance: -100.55 USD",
            "pending charges: 60.25 USD",
            "permissions: provisioning, subscriptions"
        ]
    );
    assert_eq!(stub.asked()[0].path, "/v2/account");
}

#[test]
fn every_page_of_the_catalogue_is_read() {
    let stub = Stub::start(|_, asked: &Asked| catalogued(asked));
    let vultr = vultr(&stub);
    let told = |which, region| -> Vec<String> {
        let articles = vultr.catalogue(which, region).unwrap();
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
        ["ams: Amsterdam, NL", "ewr: New Jersey, US"]
    );
    assert_eq!(
        told(Catalogue::Sizes, None),
        [
            "vc2-1c-1gb: 1 vCPU, 1 GB, 25 GB disk 0.0074",
            "vhf-8c-32gb: 8 vCPU, 32 GB, 512 GB disk 0.2860"
        ]
    );
    assert_eq!(told(Catalogue::Sizes, Some("ewr")).len(), 1);
    let images = told(Catalogue::Images, None);
    assert_eq!(images[0], "2136: Debian 12 x64 (bookworm)");
    assert_eq!(images.len(), 3, "a placeholder can't be ordered");
    let paths: Vec<_> = stub.asked().into_iter().map(|asked| asked.path).collect();
    assert_eq!(paths[0], "/v2/regions?per_page=500");
    assert_eq!(paths[1], "/v2/regions?per_page=500&cursor=c%3D1");
    assert!(paths.contains(&"/v2/plans?type=all&per_page=500".to_owned()));
}

#[test]
fn names_become_ids_and_the_price_comes_along() {
    let offer = offer(&spec()).unwrap();
    assert_eq!(offer.region, "ewr");
    assert_eq!(offer.size, "vc2-1c-1gb");
    assert_eq!(offer.image, "2136");
    assert_eq!(offer.login_user, "root");
    assert!(offer.has_cloud_init);
    assert_eq!(offer.user_data_limit, 65_535);
    assert_eq!(offer.price.unwrap().monthly, Some(5.0));
    assert_eq!(offer.notes, [""; 0]);
}

#[test]
fn systems_without_cloud_init_are_told() {
    for image in ["FreeBSD", "Windows"] {
        let image = Some(image.to_owned());
        let offer = offer(&Spec { image, ..spec() }).unwrap();
        assert!(!offer.has_cloud_init);
        assert_eq!(offer.notes.len(), 1);
    }
}

#[test]
fn what_can_not_be_ordered_is_told_with_the_way_on() {
    let told = |spec: Spec| offer(&spec).unwrap_err().to_string();
    let named = |text: &str| Some(text.to_owned());
    insta::assert_snapshot!(told(Spec { region: named("ewt"), ..spec() }), @"region `ewt` is not known; did you mean `ewr`?");
    insta::assert_snapshot!(told(Spec { region: None, ..spec() }), @"an order at Vultr needs the region; `hoist cloud regions vultr` lists them");
    insta::assert_snapshot!(told(Spec { image: None, ..spec() }), @"an order at Vultr needs the image, or one of the settings snapshot_id, image_id, app_id; `hoist cloud images vultr` lists them");
    insta::assert_snapshot!(told(Spec { image: named("Snapshot"), ..spec() }), @"image `Snapshot` is not known; `hoist cloud images vultr` lists them");
    insta::assert_snapshot!(told(Spec { size: named("vc2-1c-1gbb"), ..spec() }), @"size `vc2-1c-1gbb` is not known; did you mean `vc2-1c-1gb`?");
    insta::assert_snapshot!(told(Spec { size: named("vhf-8c-32gb"), ..spec() }), @"Vultr has no `vhf-8c-32gb` in `ewr`, but in ams; `hoist cloud sizes vultr` lists what there is");
    insta::assert_snapshot!(told(Spec { open_ssh_from: named("192.0.2.0/24"), ..spec() }), @"Vultr leaves port 22 open to everyone, and hoist closes nothing there; to let in only `192.0.2.0/24`, make a firewall group at https://my.vultr.com/firewall/ and set firewall_group_id to its id");
    insta::assert_snapshot!(told(with_option("label", json!("x"))), @"setting `label` is not known");
    insta::assert_snapshot!(told(with_option("enable_ipv", json!(true))), @"setting `enable_ipv` is not known; did you mean `enable_ipv6`?");
    insta::assert_snapshot!(told(with_option("snapshot_id", json!("s"))), @"a server is made of one thing at Vultr: leave out the image `debian 12`, or snapshot_id");
}

#[test]
fn a_key_that_is_there_is_not_uploaded_again() {
    let stub = Stub::start(|_, asked: &Asked| catalogued(asked));
    let prepared = vultr(&stub).prepare(&spec(), &offer(&spec()).unwrap());
    assert_eq!(prepared.unwrap().key, "key-1");
    assert!(stub.asked().iter().all(|asked| asked.method == "GET"));
}

#[test]
fn a_key_that_is_not_there_is_uploaded() {
    let stub = Stub::start(|_, asked: &Asked| match asked.method.as_str() {
        "POST" => Reply::json(201, json!({"ssh_key": {"id": "key-2"}})),
        _ => page("ssh_keys", &[], asked),
    });
    let prepared = vultr(&stub).prepare(&spec(), &offer(&spec()).unwrap());
    assert_eq!(prepared.unwrap().key, "key-2");
    let name = spec().key.name();
    assert_eq!(
        stub.asked()[1].text(),
        json!({"name": name, "ssh_key": KEY}).to_string()
    );
}

#[test]
fn a_key_whose_upload_was_not_answered_is_looked_up_once() {
    for reply in [
        Reply::Hangup,
        Reply::json(201, "{}"),
        Reply::json(500, "{}"),
    ] {
        let stub = Stub::start(
            move |number, asked: &Asked| match (number, &*asked.method) {
                (_, "POST") => reply.clone(),
                (0, _) => page("ssh_keys", &[], asked),
                _ => catalogued(asked),
            },
        );
        let prepared = vultr(&stub).prepare(&spec(), &offer(&spec()).unwrap());
        assert_eq!(prepared.unwrap().key, "key-1");
        let posts = stub
            .asked()
            .into_iter()
            .filter(|asked| asked.method == "POST");
        assert_eq!(posts.count(), 1);
    }
}

#[test]
fn an_order_is_exactly_what_the_api_takes() {
    let stub = always(202, json!({"instance": instance()}));
    let mut spec = with_option("backups", json!("enabled"));
    spec.tags = vec!["blue".to_owned(), "hoist".to_owned()];
    let server = create(&stub, &spec, b"#cloud-config\n").unwrap();
    let asked = &stub.asked()[0];
    assert_eq!((&*asked.method, &*asked.path), ("POST", "/v2/instances"));
    assert_eq!(asked.header("content-type"), Some("application/json"));
    insta::assert_snapshot!(asked.text(), @r#"{"region":"ewr","plan":"vc2-1c-1gb","os_id":2136,"label":"web-1","hostname":"web-1","tags":["hoist","hoist:web","blue"],"sshkey_id":["key-1"],"enable_ipv6":true,"activation_email":false,"user_data":"I2Nsb3VkLWNvbmZpZwo=","backups":"enabled"}"#);
    assert_eq!(server.id, "4f0f12e5");
    assert_eq!(server.name, "web-1");
    assert_eq!(server.fleet, Some(spec.fleet));
    assert_eq!(server.state, State::Pending);
    assert_eq!(server.address(), None);
    assert!(server.created_at.is_some());
    assert!(!format!("{server:?}").contains("canary"));
}

#[test]
fn a_setting_goes_before_what_hoist_would_choose() {
    let stub = always(202, json!({"instance": instance()}));
    create(&stub, &with_option("enable_ipv6", json!(false)), b"").unwrap();
    let mut spec = with_option("snapshot_id", json!("5359435d"));
    spec.image = None;
    create(&stub, &spec, b"").unwrap();
    let bodies: Vec<Value> = stub
        .asked()
        .iter()
        .map(|asked| serde_json::from_slice(&asked.body).unwrap())
        .collect();
    assert_eq!(bodies[0]["enable_ipv6"], json!(false));
    assert_eq!(bodies[0]["os_id"], json!(2136));
    assert_eq!(bodies[0].get("user_data"), None);
    assert_eq!(bodies[1]["snapshot_id"], json!("5359435d"));
    assert_eq!(bodies[1].get("os_id"), None);
}

#[test]
fn an_order_without_a_usable_answer_is_lost_and_never_sent_again() {
    for reply in [
        Reply::Hangup,
        Reply::json(202, json!({"instance": {"label": "web-1"}})),
        Reply::json(202, "{}"),
        Reply::json(202, ""),
        Reply::json(202, "<html>"),
        Reply::json(202, json!({"instance": [1, 2]})),
        Reply::json(500, json!({"error": "Internal error", "status": 500})),
        Reply::json(503, "<html>gateway</html>"),
    ] {
        let shown = format!("{reply:?}");
        let stub = Stub::start(move |_, _: &Asked| reply.clone());
        let error = create(&stub, &spec(), b"").unwrap_err();
        assert!(
            matches!(error, ProviderError::Lost { .. }),
            "{shown}: {error:?}"
        );
        assert_eq!(stub.asked().len(), 1, "{shown}");
    }
}

#[test]
fn an_order_that_came_to_nothing_is_sent_again() {
    for status in [429, 503] {
        let stub = Stub::start(move |number, _: &Asked| match number {
            0 => Reply::json(status, json!({"error": "try later", "status": status}))
                .with("retry-after", 1),
            _ => Reply::json(202, json!({"instance": instance()})),
        });
        let started_at = Instant::now();
        create(&stub, &spec(), b"").unwrap();
        assert!(started_at.elapsed() >= Duration::from_secs(1));
        assert_eq!(stub.asked().len(), 2);
    }
}

#[test]
fn refusals_have_a_kind_and_the_vendors_words() {
    use RefusalKind::{Credentials, Input, Permission, Quota, SoldOut};
    for (status, sentence, expected) in [
        (401, "Invalid API token.", Credentials),
        (401, "Unauthorized IP address: 192.0.2.7", Credentials),
        (403, "Unauthorized IP address: 192.0.2.7", Permission),
        (
            403,
            "Your key lacks the subscriptions permission.",
            Permission,
        ),
        (
            400,
            "Server add failed: You have reached the maximum number of active virtual machines \
             for this account.",
            Quota,
        ),
        (
            403,
            "You have reached the maximum monthly fee limit for this account.",
            Quota,
        ),
        (
            400,
            "Plan is not available in the selected location.",
            SoldOut,
        ),
        (400, "Invalid region.", Input),
    ] {
        let stub = always(status, json!({"error": sentence, "status": status}));
        let error = create(&stub, &spec(), b"").unwrap_err();
        assert_eq!(kind(&error), expected, "{sentence}");
        assert!(error.to_string().contains(sentence), "{error}");
        assert_eq!(stub.asked().len(), 1);
    }
    let stub = always(403, json!({"error": "Unauthorized IP address: 192.0.2.7"}));
    let error = vultr(&stub).check().unwrap_err();
    insta::assert_snapshot!(error, @"Vultr does not permit it: Unauthorized IP address: 192.0.2.7 (status 403); https://my.vultr.com/settings/#settingsapi lists who may use the key");
}

#[test]
fn the_key_is_in_no_error_even_if_the_vendor_quotes_it() {
    let stub = Stub::start(|_, asked: &Asked| {
        let sentence = format!("bad header {}", asked.header("authorization").unwrap());
        Reply::json(401, json!({"error": sentence, "status": 401}))
    });
    let vultr = vultr(&stub);
    let errors = [
        vultr.check().unwrap_err(),
        vultr.list(None).unwrap_err(),
        vultr.offer(&spec()).unwrap_err(),
        create(&stub, &spec(), b"").unwrap_err(),
    ];
    for error in errors {
        assert!(!format!("{error} {error:?}").contains("canary"), "{error}");
    }
    let sent = stub.asked();
    assert_eq!(
        sent[0].header("authorization"),
        Some("Bearer canary-7b1f"),
        "the test must be able to fail"
    );
}
