use super::*;

fn offered(change: impl FnOnce(&mut Spec)) -> Result<Offer, String> {
    let mut spec = spec();
    change(&mut spec);
    let offer = Cloud::start().open().offer(&spec);
    offer.map_err(|error| error.to_string())
}

/// Returns the quota that is left by these answers.
fn left(flavor: Value, quota: Value) -> Option<u64> {
    let cloud = Cloud::with(move |asked| {
        let answer = match asked.path.split_once("abc123/")?.1 {
            "flavor?region=GRA11" => json!([flavor]),
            "quota" => json!([{"region": "GRA11", "instance": quota}]),
            _ => return None,
        };
        Some(Reply::json(200, answer))
    });
    cloud.open().offer(&spec()).unwrap().quota_left
}

#[test]
fn names_become_the_ids_of_the_region() {
    let cloud = Cloud::start();
    let offer = cloud.open().offer(&spec()).unwrap();
    assert_eq!(offer.region, "GRA11");
    assert_eq!(offer.size, FLAVOR);
    assert_eq!(offer.image, IMAGE);
    assert_eq!(offer.login_user, "debian");
    assert_eq!(offer.quota_left, Some(15));
    assert_eq!(offer.price, None);
    assert!(offer.has_cloud_init);
    // In base64 that is as much as fits, and three more bytes are not.
    let encoded = |bytes: usize| bytes.div_ceil(3) * 4;
    assert!(encoded(offer.user_data_limit) <= 65_535);
    assert!(encoded(offer.user_data_limit + 3) > 65_535);
    assert_eq!(
        cloud.asked(),
        [
            "GET /cloud/project/abc123/region",
            "GET /cloud/project/abc123/flavor?region=GRA11",
            "GET /cloud/project/abc123/image?region=GRA11&osType=linux",
            "GET /cloud/project/abc123/quota",
        ]
    );
}

#[test]
fn ids_will_do_as_well() {
    let offer = offered(|spec| {
        spec.size = Some(FLAVOR.to_owned());
        spec.image = Some("ubuntu".to_owned());
    });
    assert_eq!(offer.unwrap().login_user, "ubuntu");
}

#[test]
fn what_is_not_there_is_told_with_what_was_perhaps_meant() {
    let size = |name: &str| offered(|spec| spec.size = Some(name.to_owned())).unwrap_err();
    let image = |name: &str| offered(|spec| spec.image = Some(name.to_owned())).unwrap_err();
    let region = |name: Option<&str>| offered(|spec| spec.region = name.map(str::to_owned));
    insta::assert_snapshot!(region(Some("GRA12")).unwrap_err(), @"region `GRA12` is not known; did you mean `GRA11`?");
    insta::assert_snapshot!(region(Some("gra")).unwrap_err(), @"region `gra` could be `GRA11` (GRA11), `GRA9` (GRA9); write the id");
    insta::assert_snapshot!(region(None).unwrap_err(), @"OVHcloud needs to know the region; `hoist cloud regions ovh` lists what there is");
    insta::assert_snapshot!(size("b3-9"), @"size `b3-9` is not known; did you mean `b3-8`?");
    insta::assert_snapshot!(size("win-b3-8"), @"size `win-b3-8` is not known; `hoist cloud sizes ovh` lists them");
    insta::assert_snapshot!(size("b3-16"), @"OVHcloud has no `b3-16` left in GRA11; choose another size or region");
    insta::assert_snapshot!(image("plan 9"), @"image `plan 9` is not known; `hoist cloud images ovh` lists them");
    insta::assert_snapshot!(image("Late"), @"image `Late` is not known; `hoist cloud images ovh` lists them");
    insta::assert_snapshot!(offered(|spec| spec.image = None).unwrap_err(), @"OVHcloud needs to know the image; `hoist cloud images ovh` lists what there is");
}

#[test]
fn settings_are_those_of_the_api_and_never_monthly_billing() {
    let setting = |name: &str, value: Value| {
        offered(|spec| spec.options = BTreeMap::from([(name.to_owned(), value)]))
    };
    setting("availabilityZone", json!("eu-west-par-a")).unwrap();
    insta::assert_snapshot!(setting("monthlyBilling", json!(true)).unwrap_err(), @"setting `monthlyBilling` is not known");
    insta::assert_snapshot!(setting("groupid", json!("x")).unwrap_err(), @"setting `groupid` is not known; did you mean `groupId`?");
    insta::assert_snapshot!(setting("groupId", json!({})).unwrap_err(), @"the setting `groupId` takes a text, not `{}`");
}

#[test]
fn a_person_is_told_that_there_are_no_tags_and_no_known_user() {
    let offer = offered(|spec| {
        spec.tags = vec!["a".to_owned(), "b\u{1b}".to_owned()];
        spec.image = Some("own".to_owned());
    })
    .unwrap();
    assert_eq!(offer.login_user, "root");
    assert_eq!(
        offer.notes,
        [
            "OVHcloud keeps no tags: which instances are the fleet's is only in the record on \
             this machine",
            "so these are not set: `a`, `b\\u{1b}`",
            "the image does not tell whom it lets in: `root` is taken",
        ]
    );
}

#[test]
fn the_lowest_quota_counts() {
    let flavor = |quota: Value, ram: u64| json!({"id": "f", "name": "b3-8", "vcpus": 2, "ram": ram, "quota": quota});
    let all = |instances: i64, cores: i64, ram: i64| {
        json!({"maxInstances": instances, "usedInstances": 1, "maxCores": cores, "usedCores": 2,
               "maxRam": ram, "usedRAM": 8_000})
    };
    assert_eq!(left(flavor(json!(5), 8000), all(20, 40, 400_000)), Some(5));
    assert_eq!(left(flavor(json!(50), 8000), all(4, 40, 400_000)), Some(3));
    assert_eq!(left(flavor(json!(50), 8000), all(20, 7, 400_000)), Some(2));
    assert_eq!(left(flavor(json!(50), 8000), all(20, 40, 31_999)), Some(2));
    // The description says gigabytes, answers hold megabytes: both will do.
    assert_eq!(left(flavor(json!(50), 8), all(20, 40, 31_999)), Some(2));
    let small = json!({"maxCores": 40, "maxRam": 40, "usedRAM": 8});
    assert_eq!(left(flavor(json!(50), 8000), small), Some(4));
    // More used than there may be, no limit, nothing told.
    assert_eq!(left(flavor(json!(50), 8000), all(0, 40, 400_000)), Some(0));
    assert_eq!(left(flavor(Value::Null, 8000), all(-1, -1, -1)), None);
    assert_eq!(left(flavor(json!(3), 8000), Value::Null), Some(3));
    assert_eq!(left(json!({"id": "f", "name": "b3-8"}), json!({})), None);
}

#[test]
fn catalogues_hold_what_an_order_can_name() {
    let ovh = Cloud::start().open();
    let listed = |which, region| -> Vec<String> {
        let articles = ovh.catalogue(which, region).unwrap();
        let line = |article: &Article| format!("{}: {}", article.id, article.name);
        articles.iter().map(line).collect()
    };
    assert_eq!(
        listed(Catalogue::Regions, None),
        ["GRA11: GRA11", "GRA9: GRA9", "SBG5: SBG5"]
    );
    assert_eq!(
        listed(Catalogue::Sizes, Some("GRA11")),
        ["b3-8: 2 vCPU, 8 GB, 50 GB disk"]
    );
    assert_eq!(
        listed(Catalogue::Images, Some("gra11"))[..2],
        ["metal: Debian 12".to_owned(), format!("{IMAGE}: Debian 12")]
    );
    for which in [Catalogue::Sizes, Catalogue::Images] {
        assert!(ovh.catalogue(which, None).is_err());
        let error = ovh.catalogue(which, Some("GRA8")).unwrap_err();
        assert!(
            matches!(error, ProviderError::Unknown { what: "region", .. }),
            "{error}"
        );
    }
}
