//! Against an EC2 of our own, which answers what no other imitation does.

mod create;
mod offer;
mod servers;

use std::time::Duration;

use super::super::stub::{Asked, Reply, Stub};
use super::*;
use crate::provider::{Pace, PublicKey};

/// What must never be seen.
const CANARY: &str = "canary/SECRET+key";

const KEY: &str =
    "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAILM+rvN+ot98qgEN796jTiQfZfG1KaT0PtFDJ/XFSqti";

/// Returns an account at the stub, whose calls are answered by their action.
fn ec2(stub: &Stub) -> Ec2 {
    let home = tempfile::tempdir().unwrap();
    let variables = [
        ("AWS_ACCESS_KEY_ID", "AKIDEXAMPLE"),
        ("AWS_SECRET_ACCESS_KEY", CANARY),
        ("AWS_SESSION_TOKEN", "canary-session"),
        ("AWS_ENDPOINT_URL", stub.url()),
        ("AWS_EC2_METADATA_DISABLED", "true"),
    ];
    let variables = variables.iter();
    let variables = variables.map(|(name, value)| ((*name).to_owned(), (*value).to_owned()));
    let access = Access {
        variables: variables.collect(),
        home: Some(home.path().to_owned()),
        region: Some("eu-west-1".to_owned()),
        pace: Pace {
            request_timeout: Duration::from_secs(2),
            retry_base: Duration::from_millis(2),
            ..Pace::quick()
        },
        ..Access::default()
    };
    Ec2::new(&access).unwrap()
}

/// Returns the parameters of a request, decoded, as lines.
fn parameters(asked: &Asked) -> String {
    let body = asked.text();
    let lines: Vec<String> = body.split('&').map(decoded).collect();
    lines.join("\n")
}

fn decoded(text: &str) -> String {
    let mut bytes = Vec::new();
    let mut rest = text.bytes();
    while let Some(byte) = rest.next() {
        if byte == b'%' {
            let digits: Vec<u8> = rest.by_ref().take(2).collect();
            let digits = String::from_utf8(digits).unwrap();
            bytes.push(u8::from_str_radix(&digits, 16).unwrap());
        } else {
            bytes.push(byte);
        }
    }
    String::from_utf8(bytes).unwrap()
}

/// Returns which action a request asks for.
fn action(asked: &Asked) -> String {
    let body = asked.text();
    let action = body.split('&').next().unwrap();
    action.strip_prefix("Action=").unwrap().to_owned()
}

fn actions(stub: &Stub) -> Vec<String> {
    stub.asked().iter().map(action).collect()
}

/// Returns the value of a parameter of a request.
fn value(asked: &Asked, name: &str) -> Option<String> {
    let parameters = parameters(asked);
    let mut lines = parameters.lines();
    lines.find_map(|line| Some(line.strip_prefix(name)?.strip_prefix('=')?.to_owned()))
}

fn xml(inner: &str) -> Reply {
    let name = "http://ec2.amazonaws.com/doc/2016-11-15/";
    let text = format!(r#"<AnyResponse xmlns="{name}">{inner}</AnyResponse>"#);
    Reply::Whole(200, vec![("content-type", "text/xml".to_owned())], text)
}

fn refused(status: u16, code: &str, message: &str) -> Reply {
    let error = format!("<Error><Code>{code}</Code><Message>{message}</Message></Error>");
    let text = format!("<Response><Errors>{error}</Errors><RequestID>r1</RequestID></Response>");
    Reply::Whole(status, Vec::new(), text)
}

/// Answers what offers and preparations ask for in an account that has nothing special.
fn usual(asked: &Asked) -> Reply {
    match action(asked).as_str() {
        "DescribeRegions" => xml(
            "<regionInfo><item><regionName>us-east-1</regionName></item>\
             <item><regionName>eu-west-1</regionName><geographySet><item><name>Ireland</name>\
             </item></geographySet></item></regionInfo>",
        ),
        "DescribeVpcs" => {
            xml("<vpcSet><item><vpcId>vpc-1</vpcId><ownerId>123456789012</ownerId></item></vpcSet>")
        }
        "DescribeSubnets" => xml(
            "<subnetSet><item><subnetId>subnet-1</subnetId><vpcId>vpc-2</vpcId></item></subnetSet>",
        ),
        "DescribeInstanceTypes" => xml(
            "<instanceTypeSet><item><instanceType>t3.micro</instanceType>\
             <processorInfo><supportedArchitectures><item>i386</item><item>x86_64</item>\
             </supportedArchitectures></processorInfo><vCpuInfo><defaultVCpus>2</defaultVCpus>\
             </vCpuInfo><memoryInfo><sizeInMiB>1024</sizeInMiB></memoryInfo></item>\
             </instanceTypeSet>",
        ),
        "DescribeImages" => xml(&format!(
            "<imagesSet>{}{}</imagesSet>",
            image("ami-old", "2026-01-01T00:00:00.000Z"),
            image("ami-new", "2026-02-01T00:00:00.000Z")
        )),
        "DescribeSecurityGroups" => xml(
            "<securityGroupInfo><item><groupId>sg-9</groupId><groupName>web</groupName></item>\
             </securityGroupInfo>",
        ),
        "RunInstances" if value(asked, "DryRun").is_some() => {
            refused(412, "DryRunOperation", "Request would have succeeded")
        }
        "DescribeKeyPairs" => xml(&format!(
            "<keySet><item><keyName>{}</keyName><publicKey>{KEY} x</publicKey></item></keySet>",
            PublicKey::parse(KEY).unwrap().name()
        )),
        other => panic!("{other} is not expected"),
    }
}

fn image(id: &str, created_at: &str) -> String {
    format!(
        "<item><imageId>{id}</imageId><name>debian-12-amd64-1</name><architecture>x86_64\
         </architecture><imageOwnerId>136693071363</imageOwnerId><creationDate>{created_at}\
         </creationDate><rootDeviceName>/dev/xvda</rootDeviceName><rootDeviceType>ebs\
         </rootDeviceType><blockDeviceMapping><item><deviceName>/dev/xvda</deviceName><ebs>\
         <volumeSize>8</volumeSize></ebs></item></blockDeviceMapping></item>"
    )
}

fn instance(id: &str, name: &str, state: &str, more: &str) -> String {
    format!(
        "<item><instanceId>{id}</instanceId><instanceState><code>0</code><name>{state}</name>\
         </instanceState><launchTime>2026-01-02T03:04:05.000Z</launchTime><tagSet><item>\
         <key>Name</key><value>{name}</value></item><item><key>hoist</key><value>web</value>\
         </item></tagSet>{more}</item>"
    )
}

fn fleet() -> FleetName {
    FleetName::parse("web").unwrap()
}

fn spec(options: &[(&str, serde_json::Value)]) -> Spec {
    let options = options.iter();
    let options = options.map(|(name, value)| ((*name).to_owned(), value.clone()));
    Spec {
        fleet: fleet(),
        region: None,
        size: Some("t3.micro".to_owned()),
        image: Some("debian-12".to_owned()),
        key: PublicKey::parse(KEY).unwrap(),
        tags: Vec::new(),
        options: options.collect(),
        open_ssh_from: None,
    }
}

/// Returns a spec whose servers are in a group that is there.
fn grouped() -> Spec {
    spec(&[("security_groups", "sg-1".into())])
}

fn shown<T: std::fmt::Debug>(result: Result<T, ProviderError>) -> String {
    let error = result.unwrap_err();
    let debug = format!("{error:?} {error}");
    assert!(!debug.contains("canary"), "{debug}");
    error.to_string()
}
