//! What is looked up and prepared before the first server.

use super::*;

#[test]
fn an_account_is_told() {
    let stub = Stub::start(|_, asked| usual(asked));
    let account = ec2(&stub).check().unwrap();
    assert_eq!(account.name.as_deref(), Some("account 123456789012"));
    let facts: Vec<String> = account
        .facts
        .iter()
        .map(|(label, text)| format!("{label}: {text}"))
        .collect();
    insta::assert_snapshot!(facts.join("\n"), @"
    credentials: the environment
    region: eu-west-1
    enabled regions: 2
    default network: vpc-1
    ");
}

#[test]
fn there_is_something_to_choose_from() {
    let stub = Stub::start(|_, asked| usual(asked));
    let ec2 = ec2(&stub);
    for (which, expected) in [
        (Catalogue::Regions, "eu-west-1 (Ireland)"),
        (Catalogue::Sizes, "t3.micro (2 vCPU, 1 GB, x86_64)"),
        (Catalogue::Images, "debian-12 (Debian 12 (bookworm))"),
    ] {
        let articles = ec2.catalogue(which, Some("eu-west-1")).unwrap();
        let shown = articles.iter();
        let mut shown = shown.map(|article| format!("{} ({})", article.id, article.name));
        assert!(shown.any(|article| article == expected), "{articles:?}");
    }
    assert!(
        ec2.catalogue(Catalogue::Sizes, Some("evil.example/"))
            .is_err()
    );
}

#[test]
fn names_become_ids_and_nothing_is_made() {
    let stub = Stub::start(|_, asked| usual(asked));
    let spec = spec(&[
        ("security_groups", "web, sg-1".into()),
        ("price_per_hour", 0.0104.into()),
    ]);
    let offer = ec2(&stub).offer(&spec).unwrap();
    insta::assert_debug_snapshot!(offer, @r#"
    Offer {
        region: "eu-west-1",
        size: "t3.micro",
        image: "ami-new",
        login_user: "admin",
        has_cloud_init: true,
        user_data_limit: 16384,
        price: Some(
            Price {
                hourly: 0.0104,
                monthly: None,
                currency: "USD",
            },
        ),
        quota_left: None,
        notes: [
            "the image is debian-12-amd64-1",
        ],
    }
    "#);
    let asked = stub.asked();
    let image = asked.iter().find(|asked| action(asked) == "DescribeImages");
    insta::assert_snapshot!(parameters(image.unwrap()), @"
    Action=DescribeImages
    Version=2016-11-15
    Owner.1=136693071363
    Filter.1.Name=name
    Filter.1.Value.1=debian-12-amd64-*
    Filter.2.Name=state
    Filter.2.Value.1=available
    Filter.3.Name=architecture
    Filter.3.Value.1=x86_64
    ");
    let rehearsal = asked.last().unwrap();
    assert_eq!(action(rehearsal), "RunInstances");
    assert_eq!(value(rehearsal, "DryRun").as_deref(), Some("true"));
    assert_eq!(
        value(rehearsal, "SecurityGroupId.1").as_deref(),
        Some("sg-9")
    );
    assert_eq!(value(rehearsal, "ClientToken"), None);
}

fn offered(spec: &Spec) -> String {
    let stub = Stub::start(|_, asked| usual(asked));
    shown(ec2(&stub).offer(spec))
}

#[test]
fn what_makes_no_sense_is_told_before_anything_is_made() {
    insta::assert_snapshot!(offered(&spec(&[])), @"AWS EC2 lets nobody in to port 22 by itself: name groups that do, with the setting `security_groups`, or the network you come from, with `--open-ssh-from CIDR`");
    insta::assert_snapshot!(offered(&Spec { size: None, ..grouped() }), @"AWS EC2 needs a size; `hoist cloud sizes aws` lists them");
    let of_token = "sk-ssh-ed25519@openssh.com AAAAGnNrLXNzaC1lZDI1NTE5QG9wZW5zc2guY29tAAAAIAABAgMEBQYHCAkKCwwNDg8QERITFBUWFxgZGhscHR4fAAAABHNzaDo=";
    let key = PublicKey::parse(of_token).unwrap();
    insta::assert_snapshot!(offered(&Spec { key, ..grouped() }), @"AWS EC2 takes no keys of type sk-ssh-ed25519@openssh.com; make one with `ssh-keygen -t ed25519`");
    let region = Some("us-east-1".to_owned());
    insta::assert_snapshot!(offered(&Spec { region, ..grouped() }), @"the region is `eu-west-1`, and the fleet's is to be `us-east-1`: servers would be made where they are not looked for; name the same one");
    let image = Some("debain-12".to_owned());
    let stub = Stub::start(|_, asked| match action(asked).as_str() {
        "DescribeImages" => xml("<imagesSet/>"),
        _ => usual(asked),
    });
    let none = Some("debian-99".to_owned());
    insta::assert_snapshot!(shown(ec2(&stub).offer(&Spec { image: none, ..grouped() })), @"eu-west-1 has no image `debian-99` for x86_64, which the size runs");
    insta::assert_snapshot!(shown(ec2(&stub).offer(&Spec { image, ..grouped() })), @"image `debain-12` is not known; did you mean `debian-12`?");
    let stub = Stub::start(|_, asked| match value(asked, "InstanceType.1") {
        Some(_) => refused(400, "InvalidInstanceType", "they do not exist: [t3.mirco]"),
        None => usual(asked),
    });
    let size = Some("t3.mirco".to_owned());
    insta::assert_snapshot!(shown(ec2(&stub).offer(&Spec { size, ..grouped() })), @"size `t3.mirco` is not known; did you mean `t3.micro`?");
}

#[test]
fn settings_are_checked() {
    let with = |name: &str, value: serde_json::Value| {
        offered(&spec(&[("security_groups", "sg-1".into()), (name, value)]))
    };
    insta::assert_snapshot!(with("volume_sise", 8.into()), @"setting `volume_sise` is not known; did you mean `volume_size`?");
    insta::assert_snapshot!(with("volume_size", 0.into()), @"the setting `volume_size` is at least 1");
    insta::assert_snapshot!(with("volume_size", 7.into()), @"the setting `volume_size` is 7 (GiB), and the image needs 8");
    insta::assert_snapshot!(with("volume_type", "gp4".into()), @"volume type `gp4` is not known; did you mean `gp3`?");
    insta::assert_snapshot!(with("price_per_hour", "cheap".into()), @"the setting `price_per_hour` takes US dollars");
    let groups = spec(&[("security_groups", "wbe".into())]);
    insta::assert_snapshot!(offered(&groups), @"security group `wbe` is not known; did you mean `web`?");
    let tagged = |tags: &[&str]| {
        let tags = tags.iter().map(|tag| (*tag).to_owned()).collect();
        offered(&Spec { tags, ..grouped() })
    };
    insta::assert_snapshot!(tagged(&["Name=x"]), @"the tag `Name=x` can be there only once; `hoist` and `Name` are hoist's own");
    insta::assert_snapshot!(tagged(&["aws:x=y"]), @"the tag `aws:x=y` needs a key, which can't begin with `aws:`");
    let open_ssh_from = Some("192.0.2.0/33".to_owned());
    insta::assert_snapshot!(offered(&Spec { open_ssh_from, ..grouped() }), @"`192.0.2.0/33` is no network; write one like `192.0.2.0/24`");
}

#[test]
fn a_rehearsal_that_is_refused_refuses_the_offer() {
    let stub = Stub::start(|_, asked| match action(asked).as_str() {
        "RunInstances" => refused(
            403,
            "UnauthorizedOperation",
            "You are not authorized to perform this operation. User: arn:aws:iam::1:user/u is not \
             authorized to perform: ec2:RunInstances Encoded authorization failure message: xyz",
        ),
        _ => usual(asked),
    });
    insta::assert_snapshot!(shown(ec2(&stub).offer(&grouped())), @"AWS EC2 does not permit it: You are not authorized to perform this operation. User: arn:aws:iam::1:user/u is not authorized to perform: ec2:RunInstances (UnauthorizedOperation, status 403), request r1; a policy of the user or role has to allow this action of EC2");
    let stub = Stub::start(|_, asked| match action(asked).as_str() {
        "RunInstances" => xml("<instancesSet/>"),
        _ => usual(asked),
    });
    insta::assert_snapshot!(shown(ec2(&stub).offer(&grouped())), @"cannot understand what AWS EC2 answered to RunInstances: it made a server although `DryRun` was set: look for it, and destroy it");
}

/// What the account has, besides the usual.
#[derive(Default)]
struct Has {
    key: std::sync::atomic::AtomicBool,
    group: Option<&'static str>,
}

fn preparing(has: Has) -> Stub {
    use std::sync::atomic::Ordering::Relaxed;
    Stub::start(move |_, asked| match action(asked).as_str() {
        "DescribeKeyPairs" if !has.key.load(Relaxed) => xml("<keySet/>"),
        "ImportKeyPair" => {
            has.key.store(true, Relaxed);
            refused(
                400,
                "InvalidKeyPair.Duplicate",
                "The keypair already exists",
            )
        }
        "DescribeSecurityGroups" => match has.group {
            None => xml("<securityGroupInfo/>"),
            Some(network) => xml(&format!(
                "<securityGroupInfo><item><groupId>sg-5</groupId><groupName>hoist-ssh</groupName>\
                 <ipPermissions><item><ipProtocol>tcp</ipProtocol><fromPort>22</fromPort>\
                 <toPort>22</toPort><ipRanges><item><cidrIp>{network}</cidrIp></item></ipRanges>\
                 </item></ipPermissions></item></securityGroupInfo>"
            )),
        },
        "CreateSecurityGroup" => xml("<groupId>sg-7</groupId>"),
        "AuthorizeSecurityGroupIngress" => xml("<return>true</return>"),
        _ => usual(asked),
    })
}

fn offer_of(spec: &Spec) -> Offer {
    let stub = Stub::start(|_, asked| usual(asked));
    ec2(&stub).offer(spec).unwrap()
}

#[test]
fn a_key_that_another_hoist_brought_is_compared() {
    let offer = offer_of(&grouped());
    let stub = preparing(Has::default());
    let prepared = ec2(&stub).prepare(&grouped(), &offer).unwrap();
    assert_eq!(prepared.firewalls, ["sg-1"]);
    assert_eq!(prepared.key, grouped().key.name());
    assert_eq!(
        actions(&stub),
        ["DescribeKeyPairs", "ImportKeyPair", "DescribeKeyPairs"]
    );
    insta::assert_snapshot!(parameters(&stub.asked()[0]), @"
    Action=DescribeKeyPairs
    Version=2016-11-15
    Filter.1.Name=key-name
    Filter.1.Value.1=hoist-5025222ebecf8ecf
    IncludePublicKey=true
    ");
    insta::assert_snapshot!(parameters(&stub.asked()[1]), @"
    Action=ImportKeyPair
    Version=2016-11-15
    KeyName=hoist-5025222ebecf8ecf
    PublicKeyMaterial=c3NoLWVkMjU1MTkgQUFBQUMzTnphQzFsWkRJMU5URTVBQUFBSUxNK3J2TitvdDk4cWdFTjc5NmpUaVFmWmZHMUthVDBQdEZESi9YRlNxdGk=
    TagSpecification.1.ResourceType=key-pair
    TagSpecification.1.Tag.1.Key=hoist
    TagSpecification.1.Tag.1.Value=web
    ");

    let stub = Stub::start(|_, asked| match action(asked).as_str() {
        "DescribeKeyPairs" => xml(&format!(
            "<keySet><item><keyName>{}</keyName><publicKey>ssh-ed25519 AAAA</publicKey></item>\
             </keySet>",
            grouped().key.name()
        )),
        _ => usual(asked),
    });
    insta::assert_snapshot!(shown(ec2(&stub).prepare(&grouped(), &offer)), @"the key pair hoist-5025222ebecf8ecf in eu-west-1 is another key than yours; delete or rename it");
}

#[test]
fn a_group_is_made_for_the_network_that_may_come_in() {
    let opened = Spec {
        open_ssh_from: Some("192.0.2.7/24".to_owned()),
        ..spec(&[])
    };
    let offer = offer_of(&opened);
    insta::assert_snapshot!(offer.notes.join("\n"), @"
    the security group hoist-ssh will let in 192.0.2.0/24 to port 22
    the image is debian-12-amd64-1
    ");
    let prepare = |group| {
        let key = true.into();
        let stub = preparing(Has { key, group });
        let prepared = ec2(&stub).prepare(&opened, &offer).unwrap();
        (prepared.firewalls, stub)
    };
    let (groups, stub) = prepare(None);
    assert_eq!(groups, ["sg-7"]);
    let asked = stub.asked();
    let told: Vec<String> = asked.iter().skip(2).map(parameters).collect();
    insta::assert_snapshot!(told.join("\n\n"), @"
    Action=DescribeSecurityGroups
    Version=2016-11-15
    Filter.1.Name=group-name
    Filter.1.Value.1=hoist-ssh
    Filter.2.Name=vpc-id
    Filter.2.Value.1=vpc-1

    Action=CreateSecurityGroup
    Version=2016-11-15
    GroupName=hoist-ssh
    GroupDescription=hoist-ssh
    VpcId=vpc-1
    TagSpecification.1.ResourceType=security-group
    TagSpecification.1.Tag.1.Key=hoist
    TagSpecification.1.Tag.1.Value=web

    Action=AuthorizeSecurityGroupIngress
    Version=2016-11-15
    GroupId=sg-7
    IpPermissions.1.IpProtocol=tcp
    IpPermissions.1.FromPort=22
    IpPermissions.1.ToPort=22
    IpPermissions.1.IpRanges.1.CidrIp=192.0.2.0/24
    ");
    let (groups, stub) = prepare(Some("192.0.2.0/24"));
    assert_eq!(groups, ["sg-5"]);
    assert_eq!(stub.asked().len(), 3);
    let (groups, stub) = prepare(Some("198.51.100.0/24"));
    assert_eq!(groups, ["sg-5"]);
    assert_eq!(actions(&stub)[3..], ["AuthorizeSecurityGroupIngress"]);
}

#[test]
fn without_a_default_network_a_subnet_is_needed() {
    let opened = Spec {
        open_ssh_from: Some("2001:db8::/32".to_owned()),
        ..spec(&[])
    };
    let stub = Stub::start(|_, asked| match action(asked).as_str() {
        "DescribeVpcs" => xml("<vpcSet/>"),
        _ => usual(asked),
    });
    insta::assert_snapshot!(shown(ec2(&stub).offer(&opened)), @"eu-west-1 has no default network; name a subnet, with the setting `subnet`");
}
