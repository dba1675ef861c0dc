use std::fs;

use super::super::clock::signature;
use super::super::credentials::find;
use super::*;

fn keys() -> Keys {
    Keys {
        application: APPLICATION.to_owned().into(),
        secret: SECRET.to_owned().into(),
        consumer: CONSUMER.to_owned().into(),
    }
}

#[test]
fn requests_are_signed_as_python_ovh_signs_them() {
    let body =
        r#"{"name":"w\u00e9b-1","flavorId":"f","region":"GRA11","imageId":"i","sshKeyId":"k"}"#;
    for (mut call, rest, body, expected) in [
        (
            Call::get(""),
            "",
            "",
            "6f723a9c45c074f1a3c3a75adae5da9643928f14",
        ),
        (
            Call::get(""),
            "/abc/instance?region=GRA11",
            "",
            "b7dee26be8685380d911ac49945c8f13b2e8bbd7",
        ),
        (
            Call::create("", &Value::Null),
            "/abc/instance",
            body,
            "c84561abf8aa6398579e56bf22158b68aef78b4b",
        ),
        (
            Call::delete(""),
            "/abc/instance/xyz",
            "",
            "fff259be51653cca5394ce7b82489764fb310dd9",
        ),
    ] {
        call.body = body.into();
        let url = format!("https://eu.api.ovh.com/1.0/cloud/project{rest}");
        assert_eq!(
            signature(&keys(), &call, &url, "1767323045"),
            format!("$1${expected}"),
            "{rest}"
        );
    }
}

#[test]
fn the_time_is_asked_once_and_without_credentials() {
    let cloud = Cloud::start();
    cloud.ahead.store(86_400, Ordering::SeqCst);
    let ovh = cloud.open();
    std::thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| ovh.check().unwrap());
        }
    });
    assert_eq!(cloud.times_asked(), 1);
    assert_eq!(cloud.asked(), ["GET /cloud/project/abc123"; 4]);
    let asked = cloud.stub.asked();
    let first = asked.first().unwrap();
    assert_eq!(first.path, "/1.0/auth/time");
    assert!(
        first
            .headers
            .iter()
            .all(|(name, _)| !name.starts_with("x-ovh"))
    );
}

#[test]
fn a_clock_that_moved_is_learned_anew_even_when_an_instance_is_made() {
    let cloud = Cloud::start();
    let ovh = cloud.open();
    ovh.check().unwrap();
    for ahead in [-7200, 7200] {
        cloud.ahead.store(ahead, Ordering::SeqCst);
        create(&ovh, &spec(), b"").unwrap();
    }
    assert_eq!(cloud.times_asked(), 3);
    let bodies = cloud.bodies();
    assert_eq!(bodies.len(), 4);
    assert!(bodies.iter().all(|body| *body == bodies[0]));
}

#[test]
fn a_clock_that_stays_wrong_is_told_after_the_second_try() {
    let cloud = Cloud::with(|_| {
        let body = json!({"errorCode": "QUERY_TIME_OUT", "message": "Query out of time"});
        Some(Reply::json(400, body))
    });
    let ovh = cloud.open();
    insta::assert_snapshot!(ovh.check().unwrap_err(), @"OVHcloud refuses: Query out of time (QUERY_TIME_OUT, status 400); check the clock of this machine");
    assert_eq!((cloud.asked().len(), cloud.times_asked()), (2, 2));
}

#[test]
fn a_request_that_waits_for_the_time_is_not_lost() {
    let stub = Stub::start(|_, _| Reply::Hangup);
    let mut variables = Cloud::start().variables();
    variables.insert("OVH_ENDPOINT".to_owned(), stub.url().to_owned());
    let ovh = Ovh::open(&access_of(variables), &[]).unwrap();
    let error = create(&ovh, &spec(), b"").unwrap_err();
    assert!(
        matches!(error, ProviderError::Unreachable { .. }),
        "{error:?}"
    );
    assert!(stub.asked().iter().all(|asked| asked.path == "/auth/time"));
}

#[test]
fn wrong_keys_are_told_and_never_shown() {
    for (name, expected) in [
        (
            "OVH_APPLICATION_KEY",
            "OVHcloud does not accept the credentials: This application key is invalid \
             (INVALID_KEY, status 403), request EU.ext-1.5f3a; keys are good at one endpoint only",
        ),
        (
            "OVH_APPLICATION_SECRET",
            "OVHcloud does not accept the credentials: Invalid signature (INVALID_SIGNATURE, \
             status 400), request EU.ext-1.5f3a; check the application secret",
        ),
        (
            "OVH_CONSUMER_KEY",
            "OVHcloud does not accept the credentials: This credential is not valid \
             (INVALID_CREDENTIAL, status 403), request EU.ext-1.5f3a; the consumer key is unknown",
        ),
    ] {
        let cloud = Cloud::start();
        let mut variables = cloud.variables();
        variables.insert(name.to_owned(), "canary\u{7}".to_owned());
        let broken = Ovh::open(&access_of(variables.clone()), &[]).unwrap();
        variables.insert(name.to_owned(), "canary".to_owned());
        let wrong = Ovh::open(&access_of(variables), &[]).unwrap();
        let error = wrong.check().unwrap_err();
        assert!(error.to_string().starts_with(expected), "{error}");
        let shown = format!(
            "{error} {error:?} {:?} {:?} {:?}",
            wrong.credentials,
            broken.credentials,
            broken.check()
        );
        for secret in ["canary", APPLICATION, SECRET, CONSUMER] {
            assert!(!shown.contains(secret), "{shown}");
        }
    }
}

/// What was found: the address and the consumer key, or the token.
fn found(
    variables: &[(&str, &str)],
    files: &[&str],
    token: Option<&str>,
) -> Result<(String, String), String> {
    let folder = tempfile::tempdir().unwrap();
    let write = |(index, text): (usize, &&str)| {
        let path = folder.path().join(format!("{index}.conf"));
        fs::write(&path, text).unwrap();
        path
    };
    let mut files: Vec<PathBuf> = files.iter().enumerate().map(write).collect();
    files.insert(0, folder.path().join("none.conf"));
    let variables = variables.iter().copied();
    let access = Access {
        token: token.map(|token| token.to_owned().into()),
        ..access_of(
            variables
                .map(|(name, value)| (name.to_owned(), value.to_owned()))
                .collect(),
        )
    };
    match find(&access, &files) {
        Ok((base, Credentials::Keys(keys))) => Ok((base, keys.consumer.expose().to_owned())),
        Ok((base, Credentials::Token(token))) => Ok((base, token.expose().to_owned())),
        Err(error) => Err(error.to_string()),
    }
}

const OWN: &str = "\
# Made by hand.
[default]
endpoint = ovh-ca

[ovh-eu]
application_key=a1
application_secret=s1
consumer_key=c-eu

[ovh-ca]
Application_Key : a2
application_secret = s2
;consumer_key = c-old
consumer_key = c-ca
";
const SYSTEM: &str = "[default]\nendpoint=ovh-eu\n[ovh-us]\napplication_key=a\n\
    application_secret=s\nconsumer_key=c-us\n";
const ENVIRONMENT: [(&str, &str); 3] = [
    ("OVH_APPLICATION_KEY", "a"),
    ("OVH_APPLICATION_SECRET", "s"),
    ("OVH_CONSUMER_KEY", " c-env\n"),
];

#[test]
fn the_first_complete_set_of_keys_counts() {
    let ok = |base: &str, key: &str| Ok((base.to_owned(), key.to_owned()));
    let (eu, ca) = ("https://eu.api.ovh.com/1.0", "https://ca.api.ovh.com/1.0");
    let us = "https://api.us.ovhcloud.com/1.0";
    assert_eq!(found(&ENVIRONMENT, &[], None), ok(eu, "c-env"));
    assert_eq!(found(&ENVIRONMENT, &[OWN], None), ok(ca, "c-env"));
    assert_eq!(found(&[], &[OWN, SYSTEM], None), ok(ca, "c-ca"));
    // Two of three are none, and an empty variable is not set.
    assert_eq!(found(&ENVIRONMENT[..2], &[OWN], None), ok(ca, "c-ca"));
    let endpoint = |name| [("OVH_ENDPOINT", name), ("OVH_CONSUMER_KEY", "")];
    assert_eq!(found(&endpoint("ovh-eu"), &[OWN], None), ok(eu, "c-eu"));
    assert_eq!(
        found(&endpoint("ovh-us"), &[OWN, SYSTEM], None),
        ok(us, "c-us")
    );
    let url = "https://proxy.example.org/1.0";
    let section = OWN.replace("[ovh-ca]", &format!("[{url}]"));
    assert_eq!(found(&endpoint(url), &[&section], None), ok(url, "c-ca"));
    // Keys are not given to an endpoint that they were not written for.
    assert!(found(&endpoint(url), &[OWN], None).is_err());
    assert_eq!(found(&ENVIRONMENT, &[OWN], Some("t\n")), ok(ca, "t"));
    assert_eq!(
        found(&[("OVH_ACCESS_TOKEN", "t")], &[OWN], None),
        ok(ca, "t")
    );
}

#[test]
fn what_is_missing_is_named() {
    let error =
        |variables: &[(&str, &str)], files: &[&str]| found(variables, files, None).unwrap_err();
    insta::assert_snapshot!(error(&[], &[]), @"no credentials for OVHcloud: set OVH_APPLICATION_KEY, OVH_APPLICATION_SECRET, OVH_CONSUMER_KEY, or write the keys to [ovh-eu] of ~/.ovh.conf; https://eu.api.ovh.com/createToken/?GET=/cloud/*&POST=/cloud/*&DELETE=/cloud/* makes them");
    insta::assert_snapshot!(error(&ENVIRONMENT[1..2], &["[default]\nendpoint=ovh-us"]), @"no credentials for OVHcloud: set OVH_APPLICATION_KEY, OVH_CONSUMER_KEY too, or write the keys to [ovh-us] of ~/.ovh.conf; https://api.us.ovhcloud.com/createToken/?GET=/cloud/*&POST=/cloud/*&DELETE=/cloud/* makes them");
    insta::assert_snapshot!(error(&[("OVH_ENDPOINT", "ovh-ue")], &[]), @"endpoint `ovh-ue` is not known; did you mean `ovh-eu`?");
    insta::assert_snapshot!(error(&[("OVH_ENDPOINT", "kimsufi-eu")], &[]), @"there is no Public Cloud at the endpoint `kimsufi-eu`; set OVH_ENDPOINT to ovh-eu, ovh-ca or ovh-us");
}

#[test]
fn a_file_that_cannot_be_read_is_told_where_nothing_else_is_found() {
    let folder = tempfile::tempdir().unwrap();
    let files = [folder.path().to_owned()];
    let error = find(&access_of(BTreeMap::new()), &files).unwrap_err();
    assert!(error.to_string().contains("; cannot read /"), "{error}");
    let variables = ENVIRONMENT.map(|(name, value)| (name.to_owned(), value.to_owned()));
    find(&access_of(variables.into()), &files).unwrap();
}

#[test]
fn an_endpoint_is_reached_over_https() {
    let mut variables = Cloud::start().variables();
    variables.insert(
        "OVH_ENDPOINT".to_owned(),
        "http://api.example.org/1.0".to_owned(),
    );
    assert!(Ovh::open(&access_of(variables), &[]).is_err());
}

#[test]
fn an_access_token_goes_along_instead_of_a_signature() {
    let cloud = Stub::start(|_, asked| {
        let is_right = asked.header("authorization") == Some("Bearer canary")
            && asked.header("x-ovh-signature").is_none();
        Reply::json(if is_right { 200 } else { 400 }, r#"["p"]"#)
    });
    let variables = BTreeMap::from([("OVH_ENDPOINT".to_owned(), cloud.url().to_owned())]);
    let access = Access {
        token: Some("canary".to_owned().into()),
        ..access_of(variables)
    };
    let ovh = Ovh::open(&access, &[]).unwrap();
    assert_eq!(ovh.project().unwrap(), "p");
    assert!(!format!("{:?}", ovh.credentials).contains("canary"));
}

#[test]
fn the_project_is_named_or_the_only_one() {
    let projects = |all: Value| {
        let cloud = Cloud::with(move |asked| {
            (asked.path == "/1.0/cloud/project").then(|| Reply::json(200, &all))
        });
        let mut variables = cloud.variables();
        variables.remove(PROJECT_VARIABLE);
        (cloud, variables)
    };
    let opened = |all: Value, profile: Option<&str>| {
        let (cloud, variables) = projects(all);
        let access = Access {
            profile: profile.map(str::to_owned),
            ..access_of(variables)
        };
        let ovh = Ovh::open(&access, &[]).unwrap();
        let project = ovh.project().map(str::to_owned);
        // Another look asks nobody.
        let _ = ovh.project();
        (
            project.map_err(|error| error.to_string()),
            cloud.asked().len(),
        )
    };
    assert_eq!(opened(json!(["p1"]), None), (Ok("p1".to_owned()), 1));
    assert_eq!(
        opened(json!(["p1", "p2"]), Some("p 2")),
        (Ok("p 2".to_owned()), 0)
    );
    insta::assert_snapshot!(opened(json!(["p1", "p2"]), None).0.unwrap_err(), @"the account has several Public Cloud projects, `p1`, `p2`; name one with OVH_CLOUD_PROJECT_SERVICE");
    insta::assert_snapshot!(opened(json!([]), None).0.unwrap_err(), @"the account has no Public Cloud project; make one in the control panel of OVHcloud, or use credentials of the account that has it");
    insta::assert_snapshot!(opened(json!({}), None).0.unwrap_err(), @"cannot understand what OVHcloud answered to GET /cloud/project: a list was expected");
}

#[test]
fn checking_tells_the_project() {
    let cloud = Cloud::start();
    let account = cloud.open().check().unwrap();
    assert_eq!(account.name.as_deref(), Some("tests"));
    let facts: Vec<_> = (account.facts.iter())
        .map(|(label, text)| format!("{label}: {text}"))
        .collect();
    assert_eq!(facts, ["project: abc123", "status: ok"]);
}
