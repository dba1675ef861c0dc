//! One server is made, or it is known why not.

use super::*;

const TOKEN: &str = "hoist-0123456789012345678901234567890123456789";

fn offer() -> Offer {
    Offer {
        region: "eu-west-1".to_owned(),
        size: "t3.micro".to_owned(),
        image: "ami-new".to_owned(),
        login_user: "admin".to_owned(),
        has_cloud_init: true,
        user_data_limit: 16384,
        price: None,
        quota_left: None,
        notes: Vec::new(),
    }
}

fn create(ec2: &Ec2, spec: &Spec, user_data: &[u8]) -> Result<Server, ProviderError> {
    let prepared = Prepared {
        key: "hoist-0011223344556677".to_owned(),
        firewalls: vec!["sg-1".to_owned(), "sg-2".to_owned()],
    };
    ec2.create(&Order {
        spec,
        offer: &offer(),
        prepared: &prepared,
        name: "web-1",
        token: TOKEN,
        user_data,
    })
}

/// Answers create calls with each of `replies` in turn, the last one for ever.
fn answering(replies: Vec<Reply>) -> Stub {
    let number = std::sync::atomic::AtomicUsize::new(0);
    Stub::start(move |_, asked| match action(asked).as_str() {
        "RunInstances" => {
            let number = number.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
            replies[number.min(replies.len() - 1)].clone()
        }
        _ => usual(asked),
    })
}

fn made() -> Reply {
    let instance = instance("i-1", "web-1", "pending", "");
    xml(&format!("<instancesSet>{instance}</instancesSet>"))
}

/// Returns the create calls.
fn creates(stub: &Stub) -> Vec<Asked> {
    let asked = stub.asked().into_iter();
    asked
        .filter(|asked| action(asked) == "RunInstances")
        .collect()
}

#[test]
fn a_server_is_asked_for_exactly_so() {
    let stub = answering(vec![made()]);
    let mut spec = grouped();
    spec.tags = vec!["team=a b".to_owned(), "canary".to_owned()];
    let server = create(&ec2(&stub), &spec, b"#cloud-config\n").unwrap();
    assert_eq!((server.id.as_str(), server.name.as_str()), ("i-1", "web-1"));
    assert_eq!(server.fleet, Some(fleet()));
    assert_eq!(server.login_user.as_deref(), Some("admin"));
    let creates = creates(&stub);
    assert_eq!(creates.len(), 1);
    insta::assert_snapshot!(parameters(&creates[0]), @"
    Action=RunInstances
    Version=2016-11-15
    ImageId=ami-new
    InstanceType=t3.micro
    MinCount=1
    MaxCount=1
    SecurityGroupId.1=sg-1
    SecurityGroupId.2=sg-2
    BlockDeviceMapping.1.DeviceName=/dev/xvda
    BlockDeviceMapping.1.Ebs.DeleteOnTermination=true
    MetadataOptions.HttpTokens=required
    TagSpecification.1.ResourceType=instance
    TagSpecification.1.Tag.1.Key=hoist
    TagSpecification.1.Tag.1.Value=web
    TagSpecification.1.Tag.2.Key=Name
    TagSpecification.1.Tag.2.Value=web-1
    TagSpecification.1.Tag.3.Key=team
    TagSpecification.1.Tag.3.Value=a b
    TagSpecification.1.Tag.4.Key=canary
    TagSpecification.1.Tag.4.Value=
    TagSpecification.2.ResourceType=volume
    TagSpecification.2.Tag.1.Key=hoist
    TagSpecification.2.Tag.1.Value=web
    TagSpecification.2.Tag.2.Key=Name
    TagSpecification.2.Tag.2.Value=web-1
    TagSpecification.2.Tag.3.Key=team
    TagSpecification.2.Tag.3.Value=a b
    TagSpecification.2.Tag.4.Key=canary
    TagSpecification.2.Tag.4.Value=
    KeyName=hoist-0011223344556677
    ClientToken=hoist-0123456789012345678901234567890123456789
    UserData=I2Nsb3VkLWNvbmZpZwo=
    ");
}

#[test]
fn settings_become_parameters() {
    let stub = answering(vec![made()]);
    let spec = spec(&[
        ("security_groups", "sg-1, sg-2".into()),
        ("subnet", "subnet-1".into()),
        ("zone", "eu-west-1a".into()),
        ("public_ip", true.into()),
        ("ipv6", true.into()),
        ("volume_size", 20.into()),
        ("volume_type", "gp3".into()),
        ("volume_iops", 4000.into()),
        ("volume_throughput", 250.into()),
        ("instance_profile", "web".into()),
    ]);
    create(&ec2(&stub), &spec, b"").unwrap();
    let told = parameters(&creates(&stub)[0]);
    let told: Vec<_> = told
        .lines()
        .filter(|line| !line.starts_with("Tag"))
        .collect();
    insta::assert_snapshot!(told.join("\n"), @"
    Action=RunInstances
    Version=2016-11-15
    ImageId=ami-new
    InstanceType=t3.micro
    MinCount=1
    MaxCount=1
    NetworkInterface.1.DeviceIndex=0
    NetworkInterface.1.SubnetId=subnet-1
    NetworkInterface.1.SecurityGroupId.1=sg-1
    NetworkInterface.1.SecurityGroupId.2=sg-2
    NetworkInterface.1.AssociatePublicIpAddress=true
    NetworkInterface.1.Ipv6AddressCount=1
    BlockDeviceMapping.1.DeviceName=/dev/xvda
    BlockDeviceMapping.1.Ebs.VolumeSize=20
    BlockDeviceMapping.1.Ebs.VolumeType=gp3
    BlockDeviceMapping.1.Ebs.Iops=4000
    BlockDeviceMapping.1.Ebs.Throughput=250
    BlockDeviceMapping.1.Ebs.DeleteOnTermination=true
    IamInstanceProfile.Name=web
    Placement.AvailabilityZone=eu-west-1a
    MetadataOptions.HttpTokens=required
    KeyName=hoist-0011223344556677
    ClientToken=hoist-0123456789012345678901234567890123456789
    ");
}

#[test]
fn a_lost_answer_is_asked_for_again_with_the_same_token() {
    for lost in [
        Reply::Hangup,
        refused(500, "InternalError", "An internal error has occurred"),
        refused(503, "Unavailable", "The server is overloaded"),
        refused(503, "RequestLimitExceeded", "Request limit exceeded."),
    ] {
        let stub = answering(vec![lost, made()]);
        create(&ec2(&stub), &grouped(), b"x").unwrap();
        let creates = creates(&stub);
        assert_eq!(creates.len(), 2);
        assert_eq!(creates[0].body, creates[1].body);
        assert_eq!(value(&creates[0], "ClientToken").as_deref(), Some(TOKEN));
    }
}

#[test]
fn what_may_have_made_a_server_is_lost() {
    for reply in [
        Reply::Hangup,
        refused(500, "InternalError", "An internal error has occurred"),
        refused(400, "IdempotentParameterMismatch", "canary"),
        xml("<instancesSet/>"),
        Reply::Whole(200, Vec::new(), "<html>".to_owned()),
    ] {
        let stub = answering(vec![reply.clone()]);
        let error = create(&ec2(&stub), &grouped(), b"x").unwrap_err();
        assert!(
            matches!(error, ProviderError::Lost { .. }),
            "{reply:?}: {error}"
        );
    }
}

#[test]
fn refusals_say_how_to_go_on() {
    let refusal = |code, message| {
        let stub = answering(vec![refused(400, code, message)]);
        let shown = shown(create(&ec2(&stub), &grouped(), b"x").map(|server| server.id));
        assert_eq!(creates(&stub).len(), 1);
        shown
    };
    insta::assert_snapshot!(refusal("VcpuLimitExceeded", "You have requested more vCPU capacity than your current vCPU limit of 5 allows"), @"AWS EC2 allows no more: You have requested more vCPU capacity than your current vCPU limit of 5 allows (VcpuLimitExceeded, status 400), request r1; the quota counts vCPUs for each family of sizes; ask for more under Service Quotas");
    insta::assert_snapshot!(refusal("InsufficientFreeAddressesInSubnet", "Not enough free addresses"), @"AWS EC2 has none left: Not enough free addresses (InsufficientFreeAddressesInSubnet, status 400), request r1; name another subnet (the setting `subnet`)");
    insta::assert_snapshot!(refusal("Unsupported", "t3.micro is not supported in eu-west-1d"), @"AWS EC2 has none left: t3.micro is not supported in eu-west-1d (Unsupported, status 400), request r1; try another size, another zone (the setting `zone`), or later");
    insta::assert_snapshot!(refusal("InvalidGroup.NotFound", "The security group 'sg-1' does not exist"), @"AWS EC2 refuses: The security group 'sg-1' does not exist (InvalidGroup.NotFound, status 400), request r1");
}

#[test]
fn user_data_that_is_too_long_is_not_sent() {
    let stub = answering(vec![made()]);
    let ec2 = ec2(&stub);
    let error = shown(create(&ec2, &grouped(), &vec![b'x'; 16385]).map(|server| server.id));
    insta::assert_snapshot!(error, @"AWS EC2 takes at most 16384 bytes of user-data, and these are 16385");
    assert!(creates(&stub).is_empty());
    create(&ec2, &grouped(), &vec![b'x'; 16384]).unwrap();
}

#[test]
fn what_was_just_made_may_not_be_known_yet() {
    let unknown = refused(
        400,
        "InvalidKeyPair.NotFound",
        "The key pair does not exist",
    );
    let stub = answering(vec![unknown, made()]);
    let ec2 = ec2(&stub);
    ec2.home().unwrap().has_made();
    create(&ec2, &grouped(), b"").unwrap();
    assert_eq!(creates(&stub).len(), 2);
}
