//! Listing and destroying, and what all requests have in common.

use super::super::super::{Destroyed, RefusalKind, State};
use super::*;

#[test]
fn requests_are_signed_forms() {
    let stub = Stub::start(|_, _| xml("<reservationSet/>"));
    let ec2 = ec2(&stub);
    assert!(ec2.list(Some(&fleet())).unwrap().is_empty());
    let asked = &stub.asked()[0];
    assert_eq!((asked.method.as_str(), asked.path.as_str()), ("POST", "/"));
    let kind = asked.header("content-type");
    assert_eq!(
        kind,
        Some("application/x-www-form-urlencoded; charset=utf-8")
    );
    assert_eq!(asked.header("x-amz-security-token"), Some("canary-session"));
    let authorization = asked.header("authorization").unwrap();
    assert!(authorization.starts_with("AWS4-HMAC-SHA256 Credential=AKIDEXAMPLE/"));
    assert!(authorization.contains("/eu-west-1/ec2/aws4_request, SignedHeaders="));
    assert!(!authorization.contains("canary"));
    insta::assert_snapshot!(parameters(asked), @"
    Action=DescribeInstances
    Version=2016-11-15
    Filter.1.Name=tag:hoist
    Filter.1.Value.1=web
    Filter.2.Name=instance-state-name
    Filter.2.Value.1=pending
    Filter.2.Value.2=running
    Filter.2.Value.3=stopping
    Filter.2.Value.4=stopped
    MaxResults=1000
    ");
    assert_eq!(asked.text().matches("tag%3Ahoist").count(), 1);
}

#[test]
fn every_page_is_read_and_states_are_told_in_both_words() {
    let stub = Stub::start(|number, asked| {
        let token = value(asked, "NextToken");
        assert_eq!(token, (number > 0).then(|| format!("t{number}=")));
        let addresses = "<ipAddress>192.0.2.1</ipAddress>\
            <privateIpAddress>10.0.0.5</privateIpAddress><networkInterfaceSet><item>\
            <ipv6AddressesSet><item><ipv6Address>2001:db8::1</ipv6Address></item>\
            </ipv6AddressesSet></item></networkInterfaceSet>";
        let (instances, more) = match number {
            0 => (
                instance("i-1", "web-1", "running", addresses)
                    + &instance("i-2", "web-2", "pending", ""),
                "<nextToken>t1=</nextToken>",
            ),
            1 => (
                instance("i-3", "web-3", "stopped", "")
                    + &instance("i-4", "web-4", "terminated", ""),
                "<nextToken>t2=</nextToken>",
            ),
            _ => (
                instance("i-5", "web-5", "defrosting", "") + "<item><instanceId/></item>",
                "<nextToken/>",
            ),
        };
        let reservation = format!("<item><instancesSet>{instances}</instancesSet></item>");
        xml(&format!(
            "<reservationSet>{reservation}</reservationSet>{more}"
        ))
    });
    let servers = ec2(&stub).list(Some(&fleet())).unwrap();
    let told: Vec<_> = servers
        .iter()
        .map(|server| {
            (
                server.name.as_str(),
                server.state,
                server.raw_state.as_str(),
            )
        })
        .collect();
    let expected = [
        ("web-1", State::Running, "running"),
        ("web-2", State::Pending, "pending"),
        ("web-3", State::Stopped, "stopped"),
        ("web-5", State::Pending, "defrosting"),
    ];
    assert_eq!(told, expected);
    let first = &servers[0];
    assert_eq!(first.region, "eu-west-1");
    assert_eq!(first.fleet, Some(fleet()));
    assert_eq!(first.ipv4.unwrap().to_string(), "192.0.2.1");
    assert_eq!(first.ipv6.unwrap().to_string(), "2001:db8::1");
    assert_eq!(first.private_ipv4.unwrap().to_string(), "10.0.0.5");
    let at = SystemTime::UNIX_EPOCH + Duration::from_secs(1_767_323_045);
    assert_eq!(first.created_at, Some(at));
}

#[test]
fn a_list_that_repeats_itself_ends() {
    let stub = Stub::start(|_, _| xml("<reservationSet/><nextToken>again</nextToken>"));
    let error = shown(ec2(&stub).list(Some(&fleet())));
    insta::assert_snapshot!(error, @"cannot understand what AWS EC2 answered to DescribeInstances: the list has no end");
    assert_eq!(stub.asked().len(), 2);
}

#[test]
fn orphans_are_looked_for_in_every_region() {
    let stub = Stub::start(|_, asked| {
        if action(asked) != "DescribeInstances" {
            return usual(asked);
        }
        assert_eq!(value(asked, "Filter.1.Name").as_deref(), Some("tag-key"));
        let is_home = asked
            .header("authorization")
            .unwrap()
            .contains("/eu-west-1/");
        let id = if is_home { "i-1" } else { "i-2" };
        let instance = instance(id, id, "running", "");
        xml(&format!(
            "<reservationSet><item><instancesSet>{instance}</instancesSet></item></reservationSet>"
        ))
    });
    let mut ec2 = ec2(&stub);
    assert_eq!(ec2.list(None).unwrap().len(), 1);
    ec2.home().unwrap();
    ec2.access.region = None;
    let servers = ec2.list(None).unwrap();
    let places: Vec<_> = servers
        .iter()
        .map(|server| server.region.as_str())
        .collect();
    assert_eq!(places, ["eu-west-1", "us-east-1"]);
}

#[test]
fn throttled_requests_are_sent_again() {
    for code in ["RequestLimitExceeded", "Throttling", "RequestThrottled"] {
        let stub = Stub::start(move |number, _| match number {
            0 => refused(503, code, "slow down"),
            1 => refused(400, code, "slow down"),
            _ => xml("<reservationSet/>"),
        });
        ec2(&stub).list(Some(&fleet())).unwrap();
        assert_eq!(stub.asked().len(), 3, "{code}");
    }
}

#[test]
fn a_wrong_clock_is_corrected_once() {
    let stub = Stub::start(|number, asked| {
        let date = asked.header("x-amz-date").unwrap();
        assert_eq!(date.starts_with("20200102T0304"), number > 0, "{date}");
        if number > 0 {
            return xml("<reservationSet/>");
        }
        refused(400, "RequestExpired", "Request has expired.")
            .with("date", "Thu, 02 Jan 2020 03:04:05 GMT")
    });
    let ec2 = ec2(&stub);
    ec2.list(Some(&fleet())).unwrap();
    ec2.list(Some(&fleet())).unwrap();
    assert_eq!(stub.asked().len(), 3);
}

#[test]
fn wrong_credentials_are_not_tried_again() {
    let stub = Stub::start(|_, _| {
        let now = jiff::Timestamp::now();
        let date = now.strftime("%a, %d %b %Y %H:%M:%S GMT").to_string();
        refused(
            401,
            "AuthFailure",
            "AWS was not able to validate the provided access credentials",
        )
        .with("date", date)
    });
    insta::assert_snapshot!(shown(ec2(&stub).list(Some(&fleet()))), @"AWS EC2 does not accept the credentials: AWS was not able to validate the provided access credentials (AuthFailure, status 401), request r1; the access key is wrong or switched off, or the region is not enabled for the account");
    assert_eq!(stub.asked().len(), 1);
}

#[test]
fn answers_that_make_no_sense_are_errors() {
    for body in ["", "<html><br></html>", "{}", "<a>\u{1b}"] {
        let stub = Stub::start(move |_, _| Reply::Whole(200, Vec::new(), body.to_owned()));
        let error = ec2(&stub).list(Some(&fleet())).unwrap_err();
        assert!(matches!(error, ProviderError::Unreadable { .. }), "{error}");
        assert!(!error.to_string().contains('\u{1b}'));
    }
    let deep = "<a>".repeat(100_000) + &"</a>".repeat(100_000);
    let stub = Stub::start(move |_, _| Reply::Whole(200, Vec::new(), deep.clone()));
    insta::assert_snapshot!(shown(ec2(&stub).list(Some(&fleet()))), @"cannot understand what AWS EC2 answered to DescribeInstances: its elements are nested too deeply");
}

fn server(id: &str) -> Server {
    Server::new(ProviderName::Aws, id, "web-1")
}

#[test]
fn what_is_destroyed_is_gone_before_long() {
    let stub = Stub::start(|_, asked| {
        let id = value(asked, "InstanceId.1").unwrap();
        let state = if id == "i-1" {
            "shutting-down"
        } else {
            "terminated"
        };
        let state = format!("<currentState><name>{state}</name></currentState>");
        let item = format!("<item><instanceId>{id}</instanceId>{state}</item>");
        xml(&format!("<instancesSet>{item}</instancesSet>"))
    });
    let ec2 = ec2(&stub);
    assert_eq!(ec2.destroy(&server("i-1")).unwrap(), Destroyed::Accepted);
    assert_eq!(ec2.destroy(&server("i-2")).unwrap(), Destroyed::Gone);
    insta::assert_snapshot!(parameters(&stub.asked()[0]), @"
    Action=TerminateInstances
    Version=2016-11-15
    InstanceId.1=i-1
    ");
    let elsewhere = Server {
        region: "us-east-1".to_owned(),
        ..server("i-3")
    };
    ec2.destroy(&elsewhere).unwrap();
    let authorization = stub.asked()[2].header("authorization").unwrap().to_owned();
    assert!(authorization.contains("/us-east-1/"));
}

#[test]
fn an_id_that_is_not_known_is_gone_unless_it_is_new() {
    let code = "InvalidInstanceID.NotFound";
    let stub = Stub::start(move |number, _| match number {
        3 => xml("<instancesSet/>"),
        _ => refused(400, code, "The instance ID does not exist"),
    });
    let ec2 = ec2(&stub);
    assert_eq!(ec2.destroy(&server("i-1")).unwrap(), Destroyed::Gone);
    assert_eq!(stub.asked().len(), 1);
    let mut new = server("i-2");
    new.created_at = Some(SystemTime::now());
    assert_eq!(ec2.destroy(&new).unwrap(), Destroyed::Accepted);
    assert_eq!(stub.asked().len(), 4);
}

#[test]
fn what_is_not_there_at_the_address_is_not_gone() {
    let stub = Stub::start(|_, _| Reply::Whole(404, Vec::new(), "no such page".to_owned()));
    assert!(ec2(&stub).destroy(&server("i-1")).is_err());
    let stub = Stub::start(|_, _| {
        refused(
            400,
            "OperationNotPermitted",
            "The instance may not be terminated",
        )
    });
    let error = ec2(&stub).destroy(&server("i-1")).unwrap_err();
    assert_eq!(error.refusal().unwrap().kind, RefusalKind::Permission);
}
