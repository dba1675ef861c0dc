use std::path::Path;

use super::super::super::stub::{Asked, Reply, Stub};
use super::*;

/// What must never be seen.
const CANARY: &str = "canary/SECRET+key";

fn access(variables: &[(&str, &str)], home: &Path) -> Access {
    let variables = variables.iter();
    let variables = variables.map(|(name, value)| ((*name).to_owned(), (*value).to_owned()));
    let mut access = Access {
        variables: variables.collect(),
        home: Some(home.to_owned()),
        ..Access::default()
    };
    // No test may ask a machine that is not this one.
    let metadata = "AWS_EC2_METADATA_SERVICE_ENDPOINT";
    if !access.variables.contains_key(metadata) {
        let name = "AWS_EC2_METADATA_DISABLED".to_owned();
        access.variables.insert(name, "true".to_owned());
    }
    access
}

fn write(home: &Path, file: &str, text: &str) {
    std::fs::create_dir_all(home.join(".aws")).unwrap();
    std::fs::write(home.join(".aws").join(file), text).unwrap();
}

/// Returns the key's id and where it is from.
fn found(access: &Access) -> Result<String, String> {
    let credentials = Credentials::find(access).map_err(|error| error.to_string())?;
    assert!(!format!("{credentials:?}").contains(CANARY));
    let keys = credentials.keys().map_err(|error| error.to_string())?;
    assert_eq!(keys.secret.expose(), CANARY);
    let session = keys.session.as_ref().map_or("-", Secret::expose);
    let region = credentials.region().unwrap_or_default();
    let origin = credentials.origin();
    Ok(format!("{} {session} {region} from {origin}", keys.id))
}

#[test]
fn the_environment_goes_before_profiles_that_nobody_named() {
    let home = tempfile::tempdir().unwrap();
    let keys = format!("aws_access_key_id = FILE\naws_secret_access_key = {CANARY}\n");
    write(
        home.path(),
        "credentials",
        &format!("[default]\n{keys}[web]\n{keys}"),
    );
    let variables = [
        ("AWS_ACCESS_KEY_ID", "ENV"),
        ("AWS_SECRET_ACCESS_KEY", CANARY),
        ("AWS_SESSION_TOKEN", "T"),
        ("AWS_PROFILE", "web"),
        ("AWS_DEFAULT_REGION", "eu-west-3"),
    ];
    let mut access = access(&variables, home.path());
    assert_eq!(
        found(&access).unwrap(),
        "ENV T eu-west-3 from the environment"
    );
    access.profile = Some("web".to_owned());
    assert_eq!(found(&access).unwrap(), "FILE - eu-west-3 from profile web");
    access.region = Some("us-east-1".to_owned());
    access.token = Some(Secret::new(format!(
        r#"{{"Version":1,"AccessKeyId":"JSON","SecretAccessKey":"{CANARY}","SessionToken":"S"}}"#
    )));
    assert_eq!(
        found(&access).unwrap(),
        "JSON S us-east-1 from the settings"
    );
}

#[test]
fn the_shared_files_are_read_as_aws_reads_them() {
    let home = tempfile::tempdir().unwrap();
    let credentials = format!(
        "# comment\n[default]\nAWS_ACCESS_KEY_ID=A1\naws_secret_access_key={CANARY}\n\
         [ web ]\n; comment\naws_access_key_id = W1 # mine\n  aws_access_key_id = nested\n\
         aws_secret_access_key\t=\t{CANARY}\naws_session_token=T=1\n"
    );
    let config = "[default]\nregion = eu-west-1\ns3 =\n  region = nested\n\
                  [web]\nregion = no\n[profile web]\nregion=eu-north-1\n";
    write(home.path(), "credentials", &credentials);
    write(home.path(), "config", config);
    let default = access(&[], home.path());
    assert_eq!(
        found(&default).unwrap(),
        "A1 - eu-west-1 from profile default"
    );
    let web = access(&[("AWS_PROFILE", "web")], home.path());
    assert_eq!(found(&web).unwrap(), "W1 T=1 eu-north-1 from profile web");
    let other = home.path().join("other");
    std::fs::write(&other, credentials.replace("W1", "O1")).unwrap();
    let variables = [
        ("AWS_PROFILE", "web"),
        ("AWS_SHARED_CREDENTIALS_FILE", "~/other"),
        ("AWS_CONFIG_FILE", "/nonexistent/config"),
    ];
    let elsewhere = access(&variables, home.path());
    assert_eq!(found(&elsewhere).unwrap(), "O1 T=1  from profile web");
}

#[test]
fn a_program_prints_keys() {
    let home = tempfile::tempdir().unwrap();
    let config = |command: &str| {
        write(
            home.path(),
            "config",
            &format!("[default]\ncredential_process = {command}\n"),
        );
        found(&access(&[], home.path()))
    };
    let json = format!(r#"{{"Version":1,"AccessKeyId":"P1","SecretAccessKey":"{CANARY}"}}"#);
    let printed = config(&format!("printf '%s' '{json}'"));
    assert_eq!(
        printed.unwrap(),
        "P1 -  from credential_process of profile default"
    );
    let error = config("sh -c 'echo canary; echo no session >&2; exit 3'").unwrap_err();
    insta::assert_snapshot!(error, @"cannot use the credentials for AWS EC2: credential_process of profile `default` failed, saying `no session`");
    let error = config(&format!("printf '%s' '{CANARY}'")).unwrap_err();
    insta::assert_snapshot!(error, @"cannot use the credentials for AWS EC2: credential_process of profile `default` printed keys that can't be used: they are not the JSON that `credential_process` is to print");
    let error = config("/nonexistent/program").unwrap_err();
    insta::assert_snapshot!(error, @"cannot use the credentials for AWS EC2: credential_process of profile `default` can't be run: No such file or directory (os error 2)");
    let error = config(r#"printf '%s' '{"Version":2}'"#).unwrap_err();
    insta::assert_snapshot!(error, @"cannot use the credentials for AWS EC2: credential_process of profile `default` printed keys that can't be used: they are JSON of another version than 1");
}

#[test]
fn what_hoist_does_not_do_has_a_way_around() {
    let home = tempfile::tempdir().unwrap();
    let config = |text: &str, profile: &str| {
        write(home.path(), "config", text);
        let error = found(&access(&[("AWS_PROFILE", profile)], home.path())).unwrap_err();
        assert!(!error.contains(CANARY));
        error.replace(&home.path().display().to_string(), "~")
    };
    let role = format!(
        "[profile r]\nrole_arn = arn:aws:iam::1:role/x\nsource_profile = default\n\
         aws_access_key_id = K\naws_secret_access_key = {CANARY}\n"
    );
    insta::assert_snapshot!(config(&role, "r"), @"cannot use the credentials for AWS EC2: the profile `r` has `role_arn`, and hoist logs in nowhere else; let `aws configure export-credentials --format process` get the keys: name it as `credential_process` of another profile, or use its `--format env`");
    insta::assert_snapshot!(config("[profile s]\nsso_session = corp\n", "s"), @"cannot use the credentials for AWS EC2: the profile `s` has `sso_session`, and hoist logs in nowhere else; let `aws configure export-credentials --format process` get the keys: name it as `credential_process` of another profile, or use its `--format env`");
    insta::assert_snapshot!(config("[profile s]\nregion = x\n", "s"), @"cannot use the credentials for AWS EC2: the profile `s` holds no keys");
    insta::assert_snapshot!(config("[profile s]\n", "t"), @"cannot use the credentials for AWS EC2: there is no profile `t` in ~/.aws/credentials or ~/.aws/config");
    insta::assert_snapshot!(config("[profile s]\naws_access_key_id = K\n", "s"), @"cannot use the credentials for AWS EC2: the profile `s` needs both aws_access_key_id and aws_secret_access_key");
}

#[test]
fn without_credentials_the_error_says_where_to_get_some() {
    let home = tempfile::tempdir().unwrap();
    insta::assert_snapshot!(found(&access(&[], home.path())).unwrap_err(), @"no credentials for AWS EC2: set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or run `aws configure`; keys are made at https://console.aws.amazon.com/iam");
    let half = [("AWS_ACCESS_KEY_ID", "K"), ("AWS_SECRET_ACCESS_KEY", "")];
    insta::assert_snapshot!(found(&access(&half, home.path())).unwrap_err(), @"cannot use the credentials for AWS EC2: AWS_ACCESS_KEY_ID is set and AWS_SECRET_ACCESS_KEY is not");
    let odd = format!("{CANARY}\u{e9}");
    let odd = [("AWS_ACCESS_KEY_ID", "K"), ("AWS_SECRET_ACCESS_KEY", &odd)];
    insta::assert_snapshot!(found(&access(&odd, home.path())).unwrap_err(), @"cannot use the credentials for AWS EC2: they hold a character that no access key has");
    let web = [("AWS_WEB_IDENTITY_TOKEN_FILE", "/x")];
    insta::assert_snapshot!(found(&access(&web, home.path())).unwrap_err(), @"cannot use the credentials for AWS EC2: AWS_WEB_IDENTITY_TOKEN_FILE names a role, and hoist takes no roles; let `aws configure export-credentials --format process` get the keys: name it as `credential_process` of another profile, or use its `--format env`");
}

fn role(expiration: &str) -> String {
    format!(
        r#"{{"Code":"Success","AccessKeyId":"I1","SecretAccessKey":"{CANARY}","Token":"T","Expiration":"{expiration}"}}"#
    )
}

#[test]
fn an_instance_has_keys_and_a_region_by_itself() {
    let stub = Stub::start(|_, asked: &Asked| {
        let has_token = asked.header("x-aws-ec2-metadata-token") == Some("session");
        match (asked.method.as_str(), asked.path.as_str()) {
            ("PUT", "/latest/api/token") => {
                let ttl = asked.header("x-aws-ec2-metadata-token-ttl-seconds");
                assert_eq!(ttl, Some("21600"));
                Reply::json(200, "session")
            }
            _ if !has_token => Reply::json(401, ""),
            ("GET", "/latest/meta-data/iam/security-credentials/") => Reply::json(200, "web"),
            ("GET", "/latest/meta-data/iam/security-credentials/web") => {
                Reply::json(200, role("2999-01-01T00:00:00Z"))
            }
            ("GET", "/latest/meta-data/placement/region") => Reply::json(200, "eu-west-1"),
            _ => Reply::json(404, ""),
        }
    });
    let home = tempfile::tempdir().unwrap();
    let variables = [("AWS_EC2_METADATA_SERVICE_ENDPOINT", stub.url())];
    let access = access(&variables, home.path());
    let credentials = Credentials::find(&access).unwrap();
    assert!(stub.asked().is_empty());
    assert!(credentials.asks_for_region().unwrap());
    credentials.keys().unwrap();
    credentials.keys().unwrap();
    assert_eq!(stub.asked().len(), 3);
    assert_eq!(
        found(&access).unwrap(),
        "I1 T eu-west-1 from the instance's role"
    );
}

#[test]
fn keys_that_expire_soon_are_fetched_again() {
    let stub = Stub::start(|number, asked: &Asked| {
        assert_eq!(asked.header("authorization"), Some("let me in"));
        let year = if number == 0 { "2001" } else { "2999" };
        Reply::json(200, role(&format!("{year}-01-01T00:00:00Z")))
    });
    let home = tempfile::tempdir().unwrap();
    let url = format!("{}/creds", stub.url());
    let variables = [
        ("AWS_CONTAINER_CREDENTIALS_FULL_URI", url.as_str()),
        ("AWS_CONTAINER_AUTHORIZATION_TOKEN", "let me in"),
    ];
    let credentials = Credentials::find(&access(&variables, home.path())).unwrap();
    for _ in 0..3 {
        credentials.keys().unwrap();
    }
    assert_eq!(stub.asked().len(), 2);
    // Two calls may find out at once, and others may be had for both.
    assert!(credentials.forget());
    assert!(credentials.forget());
    credentials.keys().unwrap();
    assert_eq!(stub.asked().len(), 3);
}

#[test]
fn a_container_asks_only_next_door() {
    let home = tempfile::tempdir().unwrap();
    let variables = [("AWS_CONTAINER_CREDENTIALS_FULL_URI", "http://192.0.2.1/x")];
    let error = found(&access(&variables, home.path())).unwrap_err();
    insta::assert_snapshot!(error, @"cannot use the credentials for AWS EC2: AWS_CONTAINER_CREDENTIALS_FULL_URI must be on this machine or at 169.254.170.2");
}

#[test]
fn metadata_that_make_no_sense_are_no_keys() {
    let home = tempfile::tempdir().unwrap();
    for (answer, why) in [
        (r#"{"Code":"Failed"}"#, "their state is `Failed`"),
        (CANARY, "they are not the JSON"),
        (r#"{"AccessKeyId":"A"}"#, "no SecretAccessKey"),
    ] {
        let stub = Stub::start(move |_, _: &Asked| Reply::json(200, answer));
        let url = format!("{}/x", stub.url());
        let variables = [("AWS_CONTAINER_CREDENTIALS_FULL_URI", url.as_str())];
        let error = found(&access(&variables, home.path())).unwrap_err();
        assert!(error.contains(why) && !error.contains(CANARY), "{error}");
    }
    let stub = Stub::start(|_, _: &Asked| Reply::json(404, ""));
    let variables = [("AWS_EC2_METADATA_SERVICE_ENDPOINT", stub.url())];
    let error = found(&access(&variables, home.path())).unwrap_err();
    let error = error.replace(stub.url(), "http://metadata");
    insta::assert_snapshot!(error, @"no credentials for AWS EC2: set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or run `aws configure`; keys are made at https://console.aws.amazon.com/iam (http://metadata/latest/api/token answers with status 404)");
}
