//! What there is to choose from, and what a choice comes to.

use super::*;

#[test]
fn the_catalogue_has_what_can_be_ordered() {
    let stub = stub(|_, _| None);
    let account = account(&stub);
    let list = |which, region| {
        let articles = account.catalogue(which, region).unwrap();
        let line = |article: &Article| format!("{}: {}", article.id, article.name);
        articles.iter().map(line).collect::<Vec<_>>()
    };
    assert_eq!(
        list(Catalogue::Regions, None),
        ["nyc3: New York 3", "ams3: Amsterdam 3"]
    );
    assert_eq!(
        list(Catalogue::Sizes, None),
        [
            "s-1vcpu-512mb-10gb: 1 vCPU, 512 MB, 10 GB disk, Basic",
            "s-1vcpu-1gb: 1 vCPU, 1 GB, 25 GB disk, Basic",
        ]
    );
    assert_eq!(
        list(Catalogue::Sizes, Some("amsterdam 3")),
        ["s-1vcpu-1gb: 1 vCPU, 1 GB, 25 GB disk, Basic"]
    );
    assert_eq!(
        list(Catalogue::Images, None),
        [
            "debian-12-x64: Debian 12 x64",
            "ubuntu-24-04-x64: Ubuntu 24.04 (LTS) x64",
            "7555620: Debian golden",
        ]
    );
    assert_eq!(list(Catalogue::Images, Some("nyc3")).len(), 2);
    let error = account
        .catalogue(Catalogue::Sizes, Some("nyc4"))
        .unwrap_err();
    insta::assert_snapshot!(error, @"region `nyc4` is not known; did you mean `nyc3`?");
}

#[test]
fn an_offer_reads_only() {
    let stub = stub(|_, _| None);
    assert_eq!(account(&stub).offer(&spec()).unwrap(), offer());
    assert_eq!(
        lines(&stub),
        [
            "GET /v2/regions?per_page=200&page=1",
            "GET /v2/sizes?per_page=200&page=1",
            "GET /v2/images?type=distribution&per_page=200&page=1",
            "GET /v2/images?private=true&per_page=200&page=1",
            "GET /v2/account",
            "GET /v2/droplets?per_page=1&page=1",
        ]
    );
}

#[test]
fn names_become_ids() {
    let stub = stub(|_, _| None);
    let spec = Spec {
        region: Some("Amsterdam".to_owned()),
        image: Some("GOLDEN".to_owned()),
        ..spec()
    };
    let offered = account(&stub).offer(&spec).unwrap();
    assert_eq!(
        (offered.region.as_str(), offered.image.as_str()),
        ("ams3", "7555620")
    );
    let spec = Spec {
        region: None,
        image: Some("docker-20-04".to_owned()),
        ..spec
    };
    let offered = account(&stub).offer(&spec).unwrap();
    assert_eq!(
        (offered.region.as_str(), offered.image.as_str()),
        ("", "docker-20-04")
    );
    assert_eq!(offered.notes, ["no region given: DigitalOcean chooses one"]);
}

#[test]
fn a_locked_account_is_noted() {
    let stub = stub(|_, asked| {
        let account = json!({"droplet_limit": 2, "status": "locked", "status_message": "pay\u{7}"});
        (asked.path == "/v2/account").then(|| Reply::json(200, json!({"account": account})))
    });
    let offered = account(&stub).offer(&spec()).unwrap();
    assert_eq!(offered.quota_left, Some(0));
    assert_eq!(offered.notes, [r"the account's status is locked: pay\u{7}"]);
}

#[test]
fn what_cannot_be_ordered_is_refused_before_anything_is_made() {
    let stub = stub(|_, _| None);
    let account = account(&stub);
    let told = |spec: Spec| account.offer(&spec).unwrap_err().to_string();
    let text = |text: &str| Some(text.to_owned());
    let region = |name: &str| {
        told(Spec {
            region: text(name),
            ..spec()
        })
    };
    let size = |name: &str| {
        told(Spec {
            size: text(name),
            ..spec()
        })
    };
    let image = |name: &str| {
        told(Spec {
            image: text(name),
            ..spec()
        })
    };
    insta::assert_snapshot!(region("nyc5"), @"region `nyc5` is not known; did you mean `nyc3`?");
    insta::assert_snapshot!(region("nyc2"), @"DigitalOcean makes no new droplets in `nyc2`; it does in nyc3, ams3");
    insta::assert_snapshot!(region("Mars"), @"region `Mars` is not known; `hoist cloud regions digitalocean` lists them");
    insta::assert_snapshot!(size("s-1vcpu-2gb"), @"size `s-1vcpu-2gb` is not known; did you mean `s-1vcpu-1gb`?");
    insta::assert_snapshot!(size("s-old"), @"DigitalOcean makes no new droplets of size `s-old`; take another");
    insta::assert_snapshot!(size("gpu-h100x1-80gb"), @"size `gpu-h100x1-80gb` has a GPU: DigitalOcean leaves such droplets out of the lists by which hoist finds its own; take another");
    insta::assert_snapshot!(image("debian-13-x64"), @"image `debian-13-x64` is not known; did you mean `debian-12-x64`?");
    insta::assert_snapshot!(image("golden"), @"image `7555620` is not in `nyc3`, only in ams3");
    let small = Spec {
        region: text("ams3"),
        size: text("s-1vcpu-512mb-10gb"),
        ..spec()
    };
    insta::assert_snapshot!(told(small), @"size `s-1vcpu-512mb-10gb` is not to be had in `ams3`, only in nyc3");
    insta::assert_snapshot!(told(Spec { size: None, ..spec() }), @"DigitalOcean needs the size; `hoist cloud sizes digitalocean` lists them");
    assert!(lines(&stub).iter().all(|line| line.starts_with("GET ")));
}

#[test]
fn settings_tags_and_networks_are_checked_before_anything_is_asked() {
    let stub = stub(|_, _| None);
    let account = account(&stub);
    let told = |spec: Spec| account.offer(&spec).unwrap_err().to_string();
    let tagged = |tag: &str| {
        told(Spec {
            tags: vec![tag.to_owned()],
            ..spec()
        })
    };
    insta::assert_snapshot!(told(with_option("backup", json!(true))), @"setting `backup` is not known; did you mean `backups`?");
    insta::assert_snapshot!(told(with_option("user_data", json!("x"))), @"setting `user_data` is not known");
    insta::assert_snapshot!(told(with_option("ipv6", json!("no"))), @r#"the setting `ipv6` takes true or false, not `"no"`"#);
    insta::assert_snapshot!(tagged("a b"), @"`a b` can't be a tag at DigitalOcean: letters, digits, `:`, `-` and `_`, at most 255");
    insta::assert_snapshot!(tagged("hoist:other"), @"`hoist:other` can't be a tag at DigitalOcean: hoist marks its fleets so; take another");
    let closed = Spec {
        open_ssh_from: Some("192.0.2.0/24".to_owned()),
        ..spec()
    };
    insta::assert_snapshot!(told(closed), @"DigitalOcean leaves port 22 open to everyone, so it can't be opened to 192.0.2.0/24 only; name no network, or make a firewall for the tag `hoist:web` at https://cloud.digitalocean.com/networking/firewalls first and name none");
    assert!(stub.asked().is_empty());
}
