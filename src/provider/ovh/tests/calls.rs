use super::*;

/// Uploads the key to a project that answers so when it is asked for its keys.
fn prepared(known: Value) -> (Result<Prepared, ProviderError>, Vec<String>) {
    let cloud = Cloud::with(move |asked| {
        let is_list = asked.method == "GET" && asked.path.ends_with("/sshkey");
        is_list.then(|| Reply::json(200, &known))
    });
    let prepared = cloud.open().prepare(&spec(), &offer());
    (prepared, cloud.bodies())
}

#[test]
fn a_key_is_uploaded_to_the_region() {
    let (key, bodies) =
        prepared(json!([{"id": "1", "name": "other", "publicKey": "ssh-rsa AAAA"}]));
    assert_eq!(key.unwrap().key, "6147396c5a6d");
    let name = spec().key.name();
    assert_eq!(
        bodies,
        [format!(
            r#"{{"name":"{name}","publicKey":"{KEY}","region":"GRA11"}}"#
        )]
    );
}

#[test]
fn a_key_that_is_there_is_taken_whatever_its_name() {
    for regions in [json!(["SBG5", "GRA11"]), json!([]), Value::Null] {
        let line = format!("{KEY} jane@laptop");
        let (key, bodies) =
            prepared(json!([{"id": "77", "name": "jane", "publicKey": line, "regions": regions}]));
        assert_eq!(key.unwrap().key, "77");
        assert!(bodies.is_empty());
    }
}

#[test]
fn a_key_of_other_regions_is_uploaded_with_a_name_that_is_free() {
    let name = spec().key.name();
    let known =
        |name: &str| json!({"id": "1", "name": name, "publicKey": KEY, "regions": ["SBG5"]});
    let there = format!("{name}-gra11");
    for (known, expected) in [
        (json!([known(&name)]), there.clone()),
        (json!([known(&name), known(&there)]), format!("{there}-2")),
    ] {
        let (key, bodies) = prepared(known);
        assert_eq!(key.unwrap().key, "6147396c5a6d");
        assert!(bodies[0].starts_with(&format!(r#"{{"name":"{expected}","#)));
    }
}

#[test]
fn an_upload_that_nobody_answered_is_looked_for() {
    for reply in [Reply::Hangup, Reply::json(409, r#"{"message":"exists"}"#)] {
        let was_posted = Arc::new(AtomicI64::new(0));
        let cloud = Cloud::with(move |asked| {
            if asked.method == "POST" {
                was_posted.store(1, Ordering::SeqCst);
                return Some(reply.clone());
            }
            let is_there = was_posted.load(Ordering::SeqCst) == 1;
            let key = json!([{"id": "9", "publicKey": KEY, "regions": ["GRA11"]}]);
            is_there.then(|| Reply::json(200, key))
        });
        assert_eq!(cloud.open().prepare(&spec(), &offer()).unwrap().key, "9");
        assert_eq!(cloud.bodies().len(), 1);
    }
    let cloud = Cloud::with(|asked| (asked.method == "POST").then_some(Reply::Hangup));
    let error = cloud.open().prepare(&spec(), &offer()).unwrap_err();
    assert!(matches!(error, ProviderError::Lost { .. }), "{error:?}");
}

#[test]
fn the_body_of_an_order_is_exactly_this() {
    let cloud = Cloud::start();
    let ovh = cloud.open();
    let server = create(&ovh, &spec(), "#cloud-config\nx: \"é\"\n".as_bytes()).unwrap();
    create(&ovh, &spec(), b"").unwrap();
    let mut special = spec();
    special.options = BTreeMap::from([
        ("groupId".to_owned(), json!("g")),
        ("availabilityZone".to_owned(), json!("eu-west-par-a")),
        ("networks".to_owned(), json!([{"networkId": "n"}])),
        (
            "autobackup".to_owned(),
            json!({"cron": "0 0 * * *", "rotation": 2}),
        ),
    ]);
    create(&ovh, &special, b"").unwrap();
    let head = format!(
        r#"{{"name":"web-1","flavorId":"{FLAVOR}","region":"GRA11","imageId":"{IMAGE}","sshKeyId":"6147396c5a6d""#
    );
    assert_eq!(
        cloud.bodies(),
        [
            format!(r##"{head},"userData":"#cloud-config\nx: \"é\"\n","monthlyBilling":false}}"##),
            format!(r#"{head},"monthlyBilling":false}}"#),
            format!(
                r#"{head},"monthlyBilling":false,"autobackup":{{"cron":"0 0 * * *","rotation":2}},"availabilityZone":"eu-west-par-a","groupId":"g","networks":[{{"networkId":"n"}}]}}"#
            ),
        ]
    );
    let asked = cloud.stub.asked();
    let posts = asked.iter().filter(|asked| asked.method == "POST");
    for post in posts {
        let kind = post.header("content-type");
        assert_eq!(kind, Some("application/json;charset=utf-8"));
    }
    let gets = asked.iter().filter(|asked| asked.method == "GET");
    assert!(gets.clone().count() > 0);
    for get in gets {
        assert_eq!(get.header("content-type"), None);
    }
    assert_eq!(
        (server.id.as_str(), server.name.as_str()),
        ("f8f2", "web-1")
    );
    assert_eq!(server.region, "GRA11");
    assert_eq!(server.state, State::Pending);
    assert_eq!(server.raw_state, "BUILD");
    assert_eq!(server.login_user.as_deref(), Some("debian"));
    assert_eq!(server.fleet, None);
    assert!(server.created_at.is_some());
}

#[test]
fn user_data_that_is_no_text_is_not_sent() {
    let cloud = Cloud::start();
    let error = create(&cloud.open(), &spec(), b"\x1f\x8b\xff").unwrap_err();
    insta::assert_snapshot!(error, @"OVHcloud takes user-data as text, and this is no UTF-8");
    assert!(cloud.bodies().is_empty());
}

#[test]
fn an_order_that_may_have_been_heard_is_lost_and_never_sent_again() {
    for reply in [
        Reply::Hangup,
        Reply::json(500, r#"{"message":"Internal error"}"#),
        Reply::json(504, "<html>"),
        Reply::json(200, "<html>"),
        Reply::json(200, "{}"),
        Reply::json(200, "null"),
        Reply::json(200, ""),
    ] {
        let told = reply.clone();
        let cloud = Cloud::with(move |asked| (asked.method == "POST").then(|| reply.clone()));
        let error = create(&cloud.open(), &spec(), b"canary").unwrap_err();
        assert!(
            matches!(error, ProviderError::Lost { .. }),
            "{told:?} {error:?}"
        );
        assert_eq!(cloud.bodies().len(), 1);
        assert!(!format!("{error} {error:?}").contains("canary"));
    }
}

#[test]
fn an_order_that_was_put_off_is_sent_again() {
    let count = AtomicI64::new(0);
    let cloud = Cloud::with(move |asked| {
        let is_first = asked.method == "POST" && count.fetch_add(1, Ordering::SeqCst) == 0;
        is_first.then(|| Reply::json(429, r#"{"message":"slow"}"#))
    });
    create(&cloud.open(), &spec(), b"").unwrap();
    assert_eq!(cloud.bodies().len(), 2);
}

/// Lists a project that answers so.
fn listed(answer: Value) -> Result<Vec<Server>, ProviderError> {
    let cloud = Cloud::with(move |asked| {
        asked
            .path
            .ends_with("/instance")
            .then(|| Reply::json(200, &answer))
    });
    let fleet = FleetName::parse("web").unwrap();
    let servers = cloud.open().list(Some(&fleet));
    assert_eq!(cloud.asked(), ["GET /cloud/project/abc123/instance"]);
    servers
}

#[test]
fn all_instances_are_listed_whatever_their_names_and_regions() {
    let servers = listed(json!([
        {"id": "1", "name": "web-1", "status": "ACTIVE", "region": "GRA11",
         "created": "2026-01-02T03:04:05Z", "ipAddresses": [
            {"ip": "10.0.0.4", "type": "private", "version": 4},
            {"ip": "2001:db8:2::1f", "type": "public", "version": 6},
            {"ip": "192.0.2.40", "type": "public", "version": 4, "networkId": "n"}]},
        {"id": "2", "name": "mail", "status": "ERROR", "region": "SBG5"},
    ]))
    .unwrap();
    let [web, mail] = servers.as_slice() else {
        panic!("{servers:?}");
    };
    assert_eq!((web.name.as_str(), web.region.as_str()), ("web-1", "GRA11"));
    assert_eq!(web.fleet, None);
    assert_eq!(web.state, State::Running);
    assert_eq!(web.ipv4, "192.0.2.40".parse().ok());
    assert_eq!(web.ipv6, "2001:db8:2::1f".parse().ok());
    assert_eq!(web.private_ipv4, "10.0.0.4".parse().ok());
    assert_eq!(web.login_user, None);
    assert_eq!(
        (mail.state, mail.raw_state.as_str()),
        (State::Error, "ERROR")
    );
    assert_eq!(mail.address(), None);
}

#[test]
fn states_are_told_in_our_words() {
    let state = |status: &str, addresses: Value| {
        let told = json!({"id": "1", "status": status, "ipAddresses": addresses});
        instance::read(&told).unwrap().state
    };
    let public = || json!([{"ip": "192.0.2.1", "type": "public", "version": 4}]);
    for (status, expected) in [
        ("ACTIVE", State::Running),
        ("BUILD", State::Pending),
        ("BUILDING", State::Pending),
        ("REBOOT", State::Pending),
        ("HARD_REBOOT", State::Pending),
        ("REBUILD", State::Pending),
        ("RESIZE", State::Pending),
        ("RESCUE", State::Pending),
        ("SHUTOFF", State::Stopped),
        ("STOPPED", State::Stopped),
        ("PAUSED", State::Stopped),
        ("SUSPENDED", State::Stopped),
        ("SHELVED", State::Stopped),
        ("SHELVED_OFFLOADED", State::Stopped),
        ("DELETED", State::Gone),
        ("DELETING", State::Gone),
        ("SOFT_DELETED", State::Gone),
        ("ERROR", State::Error),
        ("UNKNOWN", State::Error),
        ("SOMETHING_NEW", State::Pending),
        ("", State::Pending),
    ] {
        assert_eq!(state(status, public()), expected, "{status}");
    }
    let private = json!([{"ip": "10.0.0.4", "type": "private", "version": 4}]);
    assert_eq!(state("ACTIVE", private), State::Running);
    let only_ipv6 = json!([{"ip": "2001:db8::1", "type": "public", "version": 6}]);
    assert_eq!(state("ACTIVE", only_ipv6), State::Pending);
    assert_eq!(state("ACTIVE", json!([])), State::Pending);
    assert_eq!(state("ACTIVE", json!("odd")), State::Pending);
}

#[test]
fn what_is_gone_is_not_listed_and_an_empty_list_is_one() {
    assert_eq!(listed(json!([])), Ok(Vec::new()));
    let servers = listed(json!([{"id": "1", "status": "DELETING"}, {"id": "2"}])).unwrap();
    let ids: Vec<_> = servers.iter().map(|server| server.id.as_str()).collect();
    assert_eq!(ids, ["2"]);
}

#[test]
fn an_answer_that_is_no_list_is_no_empty_list() {
    for answer in [
        Value::Null,
        json!({}),
        json!("x"),
        json!([{"name": "web-1"}]),
    ] {
        let error = listed(answer).unwrap_err();
        assert!(
            matches!(error, ProviderError::Unreadable { .. }),
            "{error:?}"
        );
    }
}

/// Destroys an instance at a project that answers so.
fn destroyed(id: &str, reply: Reply) -> (Result<Destroyed, String>, Vec<String>) {
    let cloud = Cloud::with(move |asked| (asked.method == "DELETE").then(|| reply.clone()));
    let destroyed = cloud
        .open()
        .destroy(&Server::new(ProviderName::Ovh, id, "web-1"));
    (destroyed.map_err(|error| error.to_string()), cloud.asked())
}

#[test]
fn an_instance_is_destroyed_by_its_id() {
    let (outcome, asked) = destroyed("f8/2", Reply::json(200, "null"));
    assert_eq!(outcome, Ok(Destroyed::Accepted));
    assert_eq!(asked, ["DELETE /cloud/project/abc123/instance/f8%2F2"]);
    let body = json!({"class": "Client::NotFound", "message": "Instance f8 not found"});
    let (outcome, _) = destroyed("f8", Reply::json(404, body));
    assert_eq!(outcome, Ok(Destroyed::Gone));
}

#[test]
fn nothing_is_gone_because_the_project_is_another() {
    let body = json!({"class": "Client::NotFound", "message": "This service does not exist"});
    let (outcome, _) = destroyed("f8", Reply::json(404, body));
    insta::assert_snapshot!(outcome.unwrap_err(), @"OVHcloud does not know it: This service does not exist (Client::NotFound, status 404); the account has no such Public Cloud project: check OVH_CLOUD_PROJECT_SERVICE");
}

#[test]
fn a_server_without_an_id_is_not_destroyed() {
    let (outcome, asked) = destroyed("", Reply::json(200, "null"));
    insta::assert_snapshot!(outcome.unwrap_err(), @"`web-1` has no id");
    assert!(asked.is_empty());
}
