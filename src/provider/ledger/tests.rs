use super::*;

fn intent(name: &str) -> Entry {
    Entry::Intent {
        at: 1,
        name: name.to_owned(),
        token: format!("token-{name}"),
        provider: "vultr".to_owned(),
        region: "ewr".to_owned(),
        host_key: Some("ssh-ed25519 first".to_owned()),
        login_user: "root".to_owned(),
    }
}

fn created(name: &str, id: &str) -> Entry {
    let (name, id) = (name.to_owned(), id.to_owned());
    Entry::Created { at: 2, name, id }
}

fn fleet() -> FleetName {
    FleetName::parse("app").unwrap()
}

#[test]
fn what_was_written_is_there_the_next_time() {
    let state = tempfile::tempdir().unwrap();
    let mut ledger = Ledger::open(state.path(), &fleet(), false).unwrap();
    for name in ["app-1", "app-2", "app-3"] {
        ledger.write(intent(name)).unwrap();
    }
    ledger.write(created("app-1", "11")).unwrap();
    let failed = Entry::Failed {
        at: 3,
        name: "app-2".to_owned(),
        error: "quota".to_owned(),
    };
    ledger.write(failed).unwrap();
    let kept: Vec<_> = ledger.servers().cloned().collect();
    drop(ledger);
    let ledger = Ledger::open(state.path(), &fleet(), false).unwrap();
    assert_eq!(ledger.servers().cloned().collect::<Vec<_>>(), kept);
    assert_eq!(ledger.get("app-1").unwrap().id.as_deref(), Some("11"));
    assert_eq!(ledger.get("app-2"), None);
    assert_eq!(ledger.get("app-3").unwrap().id, None);
    assert_eq!(Ledger::fleets(state.path()).unwrap(), [fleet()]);
}

#[test]
fn only_one_hoist_works_on_a_fleet() {
    let state = tempfile::tempdir().unwrap();
    let ledger = Ledger::open(state.path(), &fleet(), false).unwrap();
    let second = Ledger::open(state.path(), &fleet(), false).unwrap_err();
    assert_eq!(
        second.to_string(),
        "another hoist is at work on the fleet `app`"
    );
    drop(ledger);
    Ledger::open(state.path(), &fleet(), false).unwrap();
}

#[test]
fn a_line_that_was_cut_off_is_dropped_and_a_broken_one_is_an_error() {
    let state = tempfile::tempdir().unwrap();
    let mut ledger = Ledger::open(state.path(), &fleet(), false).unwrap();
    ledger.write(intent("app-1")).unwrap();
    let path = ledger.path().to_owned();
    drop(ledger);
    let whole = fs::read(&path).unwrap();
    fs::write(&path, [&whole[..], b"{\"event\":\"created\",\"na"].concat()).unwrap();
    let mut ledger = Ledger::open(state.path(), &fleet(), false).unwrap();
    ledger.write(created("app-1", "11")).unwrap();
    drop(ledger);
    let ledger = Ledger::open(state.path(), &fleet(), false).unwrap();
    assert_eq!(ledger.get("app-1").unwrap().id.as_deref(), Some("11"));
    drop(ledger);
    fs::write(&path, [b"{\"event\":\n", &whole[..]].concat()).unwrap();
    let error = Ledger::open(state.path(), &fleet(), false).unwrap_err();
    assert!(error.to_string().contains("app.jsonl:1:"), "{error}");
}

#[test]
fn the_end_of_an_older_server_leaves_a_newer_one_of_its_name() {
    let state = tempfile::tempdir().unwrap();
    let mut ledger = Ledger::open(state.path(), &fleet(), false).unwrap();
    let destroyed = |id: &str| Entry::Destroyed {
        at: 4,
        name: "app-1".to_owned(),
        id: id.to_owned(),
    };
    for entry in [intent("app-1"), created("app-1", "12"), destroyed("11")] {
        ledger.write(entry).unwrap();
    }
    assert!(ledger.get("app-1").is_some());
    ledger.write(destroyed("12")).unwrap();
    assert!(ledger.get("app-1").is_none());
}

#[test]
fn a_key_counts_once_the_server_has_it() {
    let state = tempfile::tempdir().unwrap();
    let mut ledger = Ledger::open(state.path(), &fleet(), false).unwrap();
    ledger.write(intent("app-1")).unwrap();
    let (name, host_key) = ("app-1".to_owned(), "ssh-ed25519 second".to_owned());
    ledger
        .write(Entry::Rekeying {
            at: 3,
            name: name.clone(),
            host_key: host_key.clone(),
        })
        .unwrap();
    let server = ledger.get("app-1").unwrap();
    assert_eq!(server.host_key.as_deref(), Some("ssh-ed25519 first"));
    assert_eq!(server.next_host_key.as_ref(), Some(&host_key));
    ledger
        .write(Entry::Rekeyed {
            at: 4,
            name,
            host_key: host_key.clone(),
        })
        .unwrap();
    let server = ledger.get("app-1").unwrap();
    assert_eq!(server.host_key, Some(host_key));
    assert!(server.is_rekeyed && server.next_host_key.is_none());
}

#[test]
fn a_look_needs_no_lock_and_leaves_out_what_is_being_written() {
    let state = tempfile::tempdir().unwrap();
    assert!(Ledger::peek(state.path(), &fleet()).unwrap().is_empty());
    assert!(!state.path().join("fleets").exists());
    let mut ledger = Ledger::open(state.path(), &fleet(), false).unwrap();
    ledger.write(intent("app-1")).unwrap();
    let whole = fs::read(ledger.path()).unwrap();
    let next = serde_json::to_vec(&created("app-1", "11")).unwrap();
    for cut in 0..next.len() {
        fs::write(ledger.path(), [&whole[..], &next[..cut]].concat()).unwrap();
        let servers = Ledger::peek(state.path(), &fleet()).unwrap();
        assert_eq!(servers, ledger.servers().cloned().collect::<Vec<_>>());
    }
    fs::write(ledger.path(), [&whole[..], &next[..], b"\n"].concat()).unwrap();
    let servers = Ledger::peek(state.path(), &fleet()).unwrap();
    assert_eq!(servers[0].id.as_deref(), Some("11"));
    assert_eq!(servers[0].made_at, Some(2));
    fs::write(ledger.path(), b"{}\n").unwrap();
    assert!(Ledger::peek(state.path(), &fleet()).is_err());
}

#[test]
fn what_is_missing_comes_back_as_it_was() {
    let state = tempfile::tempdir().unwrap();
    let mut ledger = Ledger::open(state.path(), &fleet(), false).unwrap();
    ledger.write(intent("app-1")).unwrap();
    ledger.write(created("app-1", "11")).unwrap();
    let before = ledger.get("app-1").cloned();
    let at = 3;
    let (name, id) = ("app-1".to_owned(), "11".to_owned());
    let (missing, found) = (
        Entry::Missing {
            at,
            name: name.clone(),
            id: id.clone(),
        },
        Entry::Found { at, name, id },
    );
    ledger.write(missing.clone()).unwrap();
    assert!(ledger.get("app-1").is_none());
    assert_eq!(ledger.missing().next(), before.as_ref());
    ledger.write(found).unwrap();
    assert_eq!(ledger.get("app-1"), before.as_ref());
    assert_eq!(ledger.missing().count(), 0);
    // A new one of the name takes nothing away.
    ledger.write(intent("app-1")).unwrap();
    assert_eq!(ledger.missing().next(), before.as_ref());
    drop(ledger);
    let ledger = Ledger::open(state.path(), &fleet(), false).unwrap();
    assert_eq!(ledger.missing().next(), before.as_ref());
    assert_eq!(ledger.get("app-1").unwrap().id, None);
}

#[test]
fn a_record_that_can_not_grow_is_as_before() {
    use rustix::fs::{MemfdFlags, SealFlags, fcntl_add_seals, memfd_create};
    use std::os::fd::AsRawFd as _;
    let flags = MemfdFlags::ALLOW_SEALING | MemfdFlags::CLOEXEC;
    let file = File::from(memfd_create("record", flags).unwrap());
    let state = tempfile::tempdir().unwrap();
    fs::create_dir(state.path().join("fleets")).unwrap();
    let target = format!("/proc/self/fd/{}", file.as_raw_fd());
    std::os::unix::fs::symlink(target, state.path().join("fleets/app.jsonl")).unwrap();
    let mut ledger = Ledger::open(state.path(), &fleet(), false).unwrap();
    ledger.write(intent("app-1")).unwrap();
    fcntl_add_seals(&file, SealFlags::GROW).unwrap();
    for _ in 0..2 {
        let error = ledger.write(created("app-1", "11")).unwrap_err();
        let error = error.to_string();
        assert!(error.starts_with("cannot write the record "), "{error}");
    }
    assert_eq!(ledger.get("app-1").unwrap().id, None);
    let servers = Ledger::peek(state.path(), &fleet()).unwrap();
    assert_eq!(servers[0].id, None);
}
