mod access;
mod calls;
mod choices;
mod refusals;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::SystemTime;

use openssl::hash::MessageDigest;
use serde_json::{Value, json};

use super::super::stub::{Asked, Reply, Stub};
use super::super::{Pace, PublicKey, Spec};
use super::*;

const APPLICATION: &str = "7kbG7Bk7S9Nt7ZSV";
const SECRET: &str = "EXEgWIz07P0HYwtQDs7cNIqCiQaWSuHF";
const CONSUMER: &str = "MtSwSrPpNjqfVSmJhLbPyr2i45lSwPU1";
const KEY: &str =
    "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAILM+rvN+ot98qgEN796jTiQfZfG1KaT0PtFDJ/XFSqti";
const FLAVOR: &str = "906e8259-0340-4856-95b5-4ea2d26fe377";
const IMAGE: &str = "6e4a8f0b-1111-4222-8333-444455556666";

/// Seconds that the API lets a request be off.
const TOLERANCE: i64 = 30;

/// The API, with a clock that is so many seconds ahead.
struct Cloud {
    stub: Stub,
    ahead: Arc<AtomicI64>,
}

impl Cloud {
    /// Starts it with the usual answers.
    fn start() -> Self {
        Self::with(|_| None)
    }

    /// Starts it with other answers where `special` has any; they are given once a request is
    /// signed well.
    fn with(special: impl Fn(&Asked) -> Option<Reply> + Send + Sync + 'static) -> Self {
        let ahead = Arc::new(AtomicI64::new(0));
        let clock = Arc::clone(&ahead);
        let stub = Stub::start(move |_, asked| {
            let now = unix_now() + clock.load(Ordering::SeqCst);
            if asked.path == "/1.0/auth/time" {
                return Reply::json(200, now);
            }
            refused(asked, now)
                .or_else(|| special(asked))
                .or_else(|| usual(asked))
                .unwrap_or_else(|| Reply::json(404, r#"{"message":"no such path"}"#))
        });
        Self { stub, ahead }
    }

    fn variables(&self) -> BTreeMap<String, String> {
        let all = [
            ("OVH_ENDPOINT", format!("{}/1.0/", self.stub.url())),
            ("OVH_APPLICATION_KEY", APPLICATION.to_owned()),
            ("OVH_APPLICATION_SECRET", SECRET.to_owned()),
            ("OVH_CONSUMER_KEY", CONSUMER.to_owned()),
            ("OVH_CLOUD_PROJECT_SERVICE", "abc123".to_owned()),
        ];
        all.into_iter()
            .map(|(name, value)| (name.to_owned(), value))
            .collect()
    }

    fn open(&self) -> Ovh {
        Ovh::open(&access_of(self.variables()), &[]).unwrap()
    }

    /// Returns what was asked besides the time: `GET /cloud/project`.
    fn asked(&self) -> Vec<String> {
        let asked = self.stub.asked();
        let asked = asked.iter().filter(|asked| asked.path != "/1.0/auth/time");
        asked
            .map(|asked| format!("{} {}", asked.method, asked.path.replace("/1.0", "")))
            .collect()
    }

    fn times_asked(&self) -> usize {
        let asked = self.stub.asked();
        asked
            .iter()
            .filter(|asked| asked.path == "/1.0/auth/time")
            .count()
    }

    /// Returns the bodies of the POSTs.
    fn bodies(&self) -> Vec<String> {
        let asked = self.stub.asked();
        let posts = asked.iter().filter(|asked| asked.method == "POST");
        posts.map(Asked::text).collect()
    }
}

fn access_of(variables: BTreeMap<String, String>) -> Access {
    Access {
        variables,
        pace: Pace::quick(),
        ..Access::default()
    }
}

fn unix_now() -> i64 {
    let since = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH);
    i64::try_from(since.unwrap().as_secs()).unwrap()
}

/// Checks date and signature of a request as the API does.
fn refused(asked: &Asked, now: i64) -> Option<Reply> {
    let header = |name: &str| asked.header(name).unwrap_or_default().to_owned();
    let refusal = |status, code: &str, message: &str| {
        let body = json!({"errorCode": code, "httpCode": status, "message": message});
        Some(Reply::json(status, body).with("x-ovh-queryid", "EU.ext-1.5f3a"))
    };
    if header("x-ovh-application") != APPLICATION {
        return refusal(403, "INVALID_KEY", "This application key is invalid");
    }
    if header("x-ovh-consumer") != CONSUMER {
        return refusal(403, "INVALID_CREDENTIAL", "This credential is not valid");
    }
    let timestamp = header("x-ovh-timestamp");
    let off = timestamp.parse::<i64>().map_or(i64::MAX, |at| at - now);
    if off.abs() > TOLERANCE {
        return refusal(400, "QUERY_TIME_OUT", "Query out of time");
    }
    let (method, url) = (
        &asked.method,
        format!("http://{}{}", header("host"), asked.path),
    );
    let text = [SECRET, CONSUMER, method, &url, &asked.text(), &timestamp].join("+");
    let digest = openssl::hash::hash(MessageDigest::sha1(), text.as_bytes()).unwrap();
    let digest: Vec<String> = digest.iter().map(|byte| format!("{byte:02x}")).collect();
    if header("x-ovh-signature") != format!("$1${}", digest.concat()) {
        return refusal(400, "INVALID_SIGNATURE", "Invalid signature");
    }
    None
}

/// What a project has.
fn usual(asked: &Asked) -> Option<Reply> {
    let rest = asked.path.strip_prefix("/1.0/cloud/project")?;
    let answer = match (asked.method.as_str(), rest) {
        ("GET", "") => json!(["abc123"]),
        ("GET", "/abc123") => {
            json!({"project_id": "abc123", "description": "tests", "status": "ok"})
        }
        ("GET", "/abc123/region") => json!(["SBG5", "GRA11", "GRA9"]),
        ("GET", "/abc123/flavor?region=GRA11") => flavors(),
        ("GET", "/abc123/image?region=GRA11&osType=linux") => images(),
        ("GET", "/abc123/quota") => json!([
            {"region": "SBG5", "instance": {"maxInstances": 1, "usedInstances": 1}},
            {"region": "GRA11", "instance": {
                "maxInstances": 20, "usedInstances": 2, "maxCores": 40, "usedCores": 10,
                "maxRam": 409_600, "usedRAM": 16_000}},
        ]),
        ("GET", "/abc123/sshkey" | "/abc123/instance") => json!([]),
        ("POST", "/abc123/sshkey") => json!({"id": "6147396c5a6d", "name": "x", "publicKey": KEY}),
        ("POST", "/abc123/instance") => json!({
            "id": "f8f2", "name": "web-1", "status": "BUILD", "region": "GRA11",
            "created": "2026-01-02T03:04:05Z", "flavorId": FLAVOR, "imageId": IMAGE,
            "ipAddresses": [], "sshKeyId": "6147396c5a6d", "monthlyBilling": null,
            "operationIds": []}),
        ("DELETE", "/abc123/instance/f8f2") => Value::Null,
        _ => return None,
    };
    Some(Reply::json(200, answer))
}

fn flavors() -> Value {
    json!([
        {"id": "win", "name": "win-b3-8", "osType": "windows", "vcpus": 2, "ram": 8000,
         "disk": 50, "available": true, "quota": 5, "type": "ovh.ssd.eg"},
        {"id": FLAVOR, "name": "b3-8", "osType": "linux", "vcpus": 2, "ram": 8000, "disk": 50,
         "available": true, "quota": 17, "type": "ovh.ssd.eg", "region": "GRA11",
         "planCodes": {"hourly": "b3-8.consumption"}},
        {"id": "gone", "name": "b3-16", "osType": "linux", "vcpus": 4, "ram": 16000, "disk": 100,
         "available": false, "quota": 0, "type": "ovh.ssd.eg"},
    ])
}

fn images() -> Value {
    json!([
        {"id": "metal", "name": "Debian 12", "user": "debian", "status": "active",
         "flavorType": "ovh.baremetal"},
        {"id": IMAGE, "name": "Debian 12", "user": "debian", "status": "active",
         "flavorType": null},
        {"id": "ubuntu", "name": "Ubuntu 24.04", "user": "ubuntu", "status": "active"},
        {"id": "nobody", "name": "Own", "user": null, "status": "active"},
        {"id": "queued", "name": "Late", "user": "x", "status": "queued"},
    ])
}

fn spec() -> Spec {
    Spec {
        fleet: FleetName::parse("web").unwrap(),
        region: Some("gra11".to_owned()),
        size: Some("b3-8".to_owned()),
        image: Some("debian 12".to_owned()),
        key: PublicKey::parse(KEY).unwrap(),
        tags: Vec::new(),
        options: BTreeMap::new(),
        open_ssh_from: None,
    }
}

fn offer() -> Offer {
    Offer {
        region: "GRA11".to_owned(),
        size: FLAVOR.to_owned(),
        image: IMAGE.to_owned(),
        login_user: "debian".to_owned(),
        has_cloud_init: true,
        user_data_limit: goods::USER_DATA_LIMIT,
        price: None,
        quota_left: None,
        notes: Vec::new(),
    }
}

/// Orders `web-1`.
fn create(ovh: &Ovh, spec: &Spec, user_data: &[u8]) -> Result<Server, ProviderError> {
    let prepared = Prepared {
        key: "6147396c5a6d".to_owned(),
        firewalls: Vec::new(),
    };
    ovh.create(&Order {
        spec,
        offer: &offer(),
        prepared: &prepared,
        name: "web-1",
        token: "hoist-1",
        user_data,
    })
}
