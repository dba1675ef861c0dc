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
        [
            "fsn1: Falkenstein, DE",
            "nbg1: Nuremberg, DE",
            "ash: Ashburn, VA, US"
        ]
    );
    assert_eq!(
        list(Catalogue::Sizes, None),
        [
            "cx23: 2 vCPU, 4 GB, 40 GB disk, shared x86",
            "cax11: 2 vCPU, 4 GB, 40 GB disk, shared arm",
            "cx11: 1 vCPU, 2 GB, 20 GB disk, shared x86",
        ]
    );
    assert_eq!(
        list(Catalogue::Sizes, Some("Nuremberg")),
        ["cx23: 2 vCPU, 4 GB, 40 GB disk, shared x86"]
    );
    assert!(list(Catalogue::Sizes, Some("ash")).is_empty());
    assert_eq!(
        list(Catalogue::Images, None),
        ["debian-12: Debian 12", "5000: golden"]
    );
    let priced = |region| {
        let articles = account.catalogue(Catalogue::Sizes, region).unwrap();
        articles[0].price.clone().unwrap().hourly.to_string()
    };
    assert_eq!(
        (priced(Some("fsn1")), priced(None)),
        ("0.0056".to_owned(), "0.006".to_owned())
    );
    let error = account
        .catalogue(Catalogue::Sizes, Some("fns1"))
        .unwrap_err();
    insta::assert_snapshot!(error, @"region `fns1` is not known; did you mean `fsn1`?");
}

#[test]
fn an_offer_reads_only() {
    let stub = stub(|_, _| None);
    assert_eq!(account(&stub).offer(&spec()).unwrap(), offer());
    assert_eq!(
        lines(&stub),
        [
            "GET /locations?per_page=50&page=1",
            "GET /server_types?per_page=50&page=1",
            "GET /images?type=system&type=snapshot&type=app&status=available&architecture=x86&per_page=50&page=1",
        ]
    );
}

#[test]
fn names_become_ids_and_images_fit_the_architecture() {
    let stub = stub(|_, _| None);
    let spec = Spec {
        region: Some("falkenstein".to_owned()),
        size: Some("CAX11".to_owned()),
        image: Some("golden".to_owned()),
        options: BTreeMap::from([("public_net".to_owned(), json!({"enable_ipv4": false}))]),
        ..spec()
    };
    let offered = account(&stub).offer(&spec).unwrap();
    let ids = (
        offered.region.as_str(),
        offered.size.as_str(),
        offered.image.as_str(),
    );
    assert_eq!(ids, ("fsn1", "cax11", "5000"));
    assert!(offered.notes.is_empty(), "{:?}", offered.notes);
    let x86 = Spec {
        size: Some("cx23".to_owned()),
        ..spec
    };
    let error = account(&stub).offer(&x86).unwrap_err();
    insta::assert_snapshot!(error, @"image `golden` is not known; `hoist cloud images hetzner` lists them");
}

#[test]
fn what_a_person_should_know_is_noted() {
    let stub = stub(|_, _| None);
    let offered = |region: Option<&str>| {
        let region = region.map(str::to_owned);
        let offer = account(&stub).offer(&Spec { region, ..spec() }).unwrap();
        (offer.price.unwrap().hourly.to_string(), offer.notes)
    };
    let address = "a public IPv4 address costs extra, the price is without it";
    let (price, notes) = offered(None);
    let any = "no location given: Hetzner chooses one, the price is that of the dearest";
    assert_eq!(
        (price, notes),
        ("0.006".to_owned(), vec![any.to_owned(), address.to_owned()])
    );
    let (price, notes) = offered(Some("nbg1"));
    assert_eq!(price, "0.006");
    assert_eq!(
        notes,
        [
            "`cx23` is sold out in `nbg1` at the moment",
            "`cx23` is not sold after 2099-01-01T00:00:00Z",
            address,
        ]
    );
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
    insta::assert_snapshot!(region("fsn2"), @"region `fsn2` is not known; did you mean `fsn1`?");
    insta::assert_snapshot!(region("ash"), @"size `cx23` is not to be had in `ash`, only in fsn1, nbg1");
    insta::assert_snapshot!(size("cx33"), @"size `cx33` is not known; did you mean `cx23`?");
    insta::assert_snapshot!(size("cx11"), @"size `cx11` is not sold anywhere");
    insta::assert_snapshot!(told(Spec { image: None, ..spec() }), @"Hetzner needs the image; `hoist cloud images hetzner` lists them");
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
    insta::assert_snapshot!(told(with_option("network", json!(1))), @"setting `network` is not known; did you mean `networks`?");
    insta::assert_snapshot!(told(with_option("labels", json!({}))), @"setting `labels` is not known");
    insta::assert_snapshot!(told(with_option("firewalls", json!("web"))), @r#"the setting `firewalls` takes ids, which are numbers, with commas between them, not `"web"`"#);
    insta::assert_snapshot!(tagged("a:b"), @"`a:b` can't be a label at Hetzner: write KEY or KEY=VALUE, both of letters, digits, `-`, `_` and `.`, at most 63");
    insta::assert_snapshot!(tagged("hoist=db"), @"`hoist=db` can't be a label at Hetzner: hoist marks its fleets so; take another");
    for tag in ["", "=x", "a=-", "a=b=c", "-a"] {
        assert!(tagged(tag).contains("can't be a label"), "{tag}");
    }
    let closed = Spec {
        open_ssh_from: Some("192.0.2.0/24".to_owned()),
        ..spec()
    };
    insta::assert_snapshot!(told(closed), @"Hetzner leaves port 22 open to everyone, so it can't be opened to 192.0.2.0/24 only; name no network, or make a firewall at https://console.hetzner.com and name its number: --set firewalls=NUMBER");
    assert!(stub.asked().is_empty());
}
