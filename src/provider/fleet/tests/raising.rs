//! What is made, and what is said about it.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::{Duration, Instant};

use super::super::super::{ProviderError, ProviderName, RefusalKind, State, Stop};
use super::super::raise::missing;
use super::super::{Ended, Made, Raised};
use super::memory::{Act, Heard, Rig, name};
use crate::provider::ledger::Ledger;

const OLD: Duration = Duration::from_hours(1);

/// Returns `name=id` of every server, and why it can't be used.
fn shown(raised: &Raised) -> Vec<String> {
    let line = |made: &Made| {
        let id = made.server.as_ref().map_or("-", |server| &server.id);
        let is_new = if made.is_new { "+" } else { "" };
        let error = made.error.as_ref();
        let error = error.map_or_else(String::new, |error| format!(" ({error})"));
        format!("{is_new}{}={id}{error}", made.name)
    };
    raised.servers.iter().map(line).collect()
}

#[test]
fn a_fleet_comes_to_its_size_and_stays_there() {
    let rig = Rig::new(ProviderName::Vultr);
    let raised = rig.raise(3);
    assert_eq!(raised.ended, Ended::Complete);
    assert_eq!(rig.cloud.names(), ["app-1", "app-2", "app-3"]);
    assert!(raised.servers.iter().all(|made| made.is_new));
    let record = rig.record();
    let raised = rig.raise(3);
    assert_eq!(raised.ended, Ended::Complete);
    assert!(raised.servers.iter().all(|made| !made.is_new));
    assert_eq!(rig.record(), record);
    assert_eq!(rig.cloud.change(|world| world.created.len()), 3);
    assert_eq!(rig.raise(4).servers.len(), 4);
}

#[test]
fn more_than_wanted_is_told_and_nothing_changes() {
    let rig = Rig::new(ProviderName::Vultr);
    rig.raise(3);
    let raised = rig.raise(1);
    assert_eq!((raised.surplus, raised.servers.len()), (2, 3));
    assert_eq!(raised.ended, Ended::Complete);
    assert_eq!(rig.cloud.names().len(), 3);
    assert!(rig.cloud.change(|world| world.destroyed.is_empty()));
}

#[test]
fn the_lowest_free_numbers_are_taken() {
    let set = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect();
    let taken: BTreeSet<String> = set(&["app-2", "app-4"]);
    let avoided = set(&["app-1"]);
    let names = missing("{fleet}-{n}", "app", (&taken, &avoided), 4).unwrap();
    assert_eq!(names, ["app-3", "app-5"]);
    let none = BTreeSet::new();
    let error = |pattern| missing(pattern, "app", (&none, &none), 1).unwrap_err();
    insta::assert_snapshot!(error("web"), @"`web` gives every server the same name; write {n} where its number goes");
    insta::assert_snapshot!(error("Web_{n}"), @"`Web_1` can't be a server's name: lower-case letters, digits and single `-` between them, a letter first, 3 to 63 characters");
}

#[test]
fn a_lost_answer_is_settled_in_the_same_run() {
    for (provider, is_late) in [
        (ProviderName::Vultr, 0),
        (ProviderName::Vultr, 3),
        (ProviderName::Ovh, 3),
    ] {
        let rig = Rig::new(provider);
        rig.cloud.change(|world| {
            world.acts.insert(2, Act::LoseAnswer);
            world.is_late = is_late;
        });
        let heard = Heard::default();
        let told = |name: &str, step: &_| heard.hear(name, step);
        let fleet = rig.told_fleet(&told);
        let there = fleet.servers().unwrap();
        let raised = rig.raise_in(&fleet, 3, &there).unwrap();
        drop(fleet);
        assert_eq!(raised.ended, Ended::Complete, "{:?}", shown(&raised));
        assert!(raised.servers.iter().all(|made| made.is_new));
        assert_eq!(rig.cloud.names(), ["app-1", "app-2", "app-3"]);
        assert!(rig.recorded().iter().all(|known| known.id.is_some()));
        let lines = heard.lines();
        let with = |word: &str| lines.iter().filter(|line| line.ends_with(word)).count();
        assert_eq!((with("Lost"), with("Adopted"), with("Created")), (1, 1, 2));
    }
}

#[test]
fn a_lost_call_came_to_nothing_and_is_made_the_next_time() {
    let rig = Rig::new(ProviderName::Vultr);
    rig.cloud.change(|world| {
        world.acts.insert(1, Act::LoseCall);
    });
    let raised = rig.raise(1);
    assert_eq!(raised.ended, Ended::Partial);
    insta::assert_snapshot!(shown(&raised).join("\n"), @"app-1=- (no answer from Vultr: the line went dead, and no server of this name turned up)");
    assert_eq!(raised.costly().count(), 0);
    assert!(rig.recorded().is_empty());
    assert_eq!(rig.raise(1).ended, Ended::Complete);
}

#[test]
fn what_is_refused_once_is_not_asked_again_and_made_the_next_time() {
    let rig = Rig::new(ProviderName::Vultr);
    rig.cloud.change(|world| {
        let refuse = Act::Refuse(RefusalKind::Quota);
        world.acts.extend((3..=20).map(|n| (n, refuse.clone())));
    });
    let raised = rig.raise(12);
    assert_eq!(raised.ended, Ended::Partial);
    let failed = raised.servers.iter().filter(|made| made.server.is_none());
    let failed: Vec<_> = failed.map(|made| made.error.clone().unwrap()).collect();
    assert_eq!(failed.len(), 10);
    assert!(
        failed
            .iter()
            .all(|error| error.refusal().unwrap().kind == RefusalKind::Quota)
    );
    assert!(rig.cloud.change(|world| world.created.len()) <= 6);
    assert_eq!(raised.costly().count(), 2);
    assert_eq!(rig.recorded().len(), 2);
    rig.cloud.change(|world| world.acts.clear());
    assert_eq!(rig.raise(12).ended, Ended::Complete);
    assert_eq!(rig.cloud.names().len(), 12);
}

#[test]
fn a_name_that_exists_is_looked_up_and_taken_if_it_is_the_fleets() {
    let rig = Rig::new(ProviderName::Linode);
    // An earlier lost call, given up before its server was listed.
    let id = rig.cloud.put("app-1", Some("app"), OLD);
    rig.cloud.change(|world| {
        world.servers[0].hidden = 1;
        world.has_unique_names = true;
    });
    let raised = rig.raise(1);
    assert_eq!(raised.ended, Ended::Complete, "{:?}", shown(&raised));
    assert!(!raised.servers[0].is_new);
    assert_eq!(rig.record(), [format!("app-1={id}")]);
    // Somebody else's is left alone.
    let rig = Rig::new(ProviderName::Linode);
    rig.cloud.put("app-1", None, OLD);
    rig.cloud.change(|world| world.has_unique_names = true);
    let raised = rig.raise(1);
    assert_eq!(raised.ended, Ended::Partial);
    insta::assert_snapshot!(shown(&raised).join("\n"), @"app-1=- (Linode says that there is one already: no (status 400))");
    assert!(rig.recorded().is_empty());
}

#[test]
fn two_servers_of_one_name_are_both_told() {
    let rig = Rig::new(ProviderName::Vultr);
    rig.raise(1);
    rig.cloud.put("app-1", Some("app"), OLD);
    let raised = rig.raise(2);
    assert_eq!(raised.ended, Ended::Partial);
    insta::assert_snapshot!(shown(&raised).join("\n"), @r"
    app-1=id-1 (2 servers are called `app-1`: ids `id-1`, `id-2`; destroy all but one)
    app-1=id-2 (2 servers are called `app-1`: ids `id-1`, `id-2`; destroy all but one)
    +app-2=id-3
    ");
    assert_eq!(raised.costly().count(), 3);
    assert_eq!(rig.raze().gone.len(), 3);
    assert!(rig.cloud.names().is_empty());
}

#[test]
fn a_server_that_is_not_listed_yet_counts() {
    let mut rig = Rig::new(ProviderName::Vultr);
    rig.pace.fresh = Duration::from_mins(1);
    rig.pace.boot_timeout = Duration::from_millis(20);
    rig.cloud.change(|world| world.is_late = 1000);
    let raised = rig.raise(2);
    assert_eq!(raised.ended, Ended::Partial);
    assert_eq!(raised.costly().count(), 2);
    let raised = rig.raise(2);
    assert_eq!(raised.servers.len(), 2);
    assert_eq!(rig.cloud.change(|world| world.created.len()), 2);
    assert_eq!(rig.recorded().len(), 2);
    // And is destroyed when it is to go, although the provider does not know it at first.
    rig.cloud.change(|world| world.is_unknown = 3);
    assert_eq!(rig.raze().gone.len(), 2);
    assert!(rig.cloud.names().is_empty());
    assert!(rig.recorded().is_empty());
}

#[test]
fn a_listing_that_fails_now_and_then_ends_nothing() {
    let rig = Rig::new(ProviderName::Vultr);
    let fleet = rig.fleet();
    rig.cloud.change(|world| world.is_unlisted = 3);
    let raised = rig.raise_in(&fleet, 2, &[]).unwrap();
    assert_eq!(raised.ended, Ended::Complete);
    rig.cloud.change(|world| world.is_unlisted = 1000);
    let raised = rig.raise_in(&fleet, 3, &[]);
    assert!(raised.is_err(), "{raised:?}");
    assert_eq!(rig.cloud.names().len(), 2);
}

#[test]
fn all_or_nothing_takes_back_what_this_run_made_and_nothing_else() {
    let mut rig = Rig::new(ProviderName::Vultr);
    rig.raise(1);
    rig.is_all_or_nothing = true;
    rig.cloud.change(|world| {
        world.acts.insert(3, Act::LoseAnswer);
        world.acts.insert(5, Act::Refuse(RefusalKind::SoldOut));
    });
    let raised = rig.raise(5);
    assert_eq!(raised.ended, Ended::Undone, "{:?}", shown(&raised));
    assert_eq!(rig.cloud.names(), ["app-1"]);
    assert_eq!(rig.recorded().len(), 1);
    assert_eq!(
        raised.costly().collect::<Vec<_>>(),
        [("app-1", Some("id-1"))]
    );
}

#[test]
fn a_server_that_goes_wrong_counts_as_not_made() {
    let mut rig = Rig::new(ProviderName::Vultr);
    rig.is_all_or_nothing = true;
    rig.cloud.change(|world| {
        world.acts.insert(2, Act::Break);
    });
    let raised = rig.raise(2);
    assert_eq!(raised.ended, Ended::Undone, "{:?}", shown(&raised));
    assert!(rig.cloud.names().is_empty() && rig.recorded().is_empty());
    // One that was wrong before is told before anything is made.
    rig.cloud.put("app-1", Some("app"), OLD);
    rig.cloud
        .change(|world| world.servers[0].server.state = State::Error);
    let error = rig.try_raise(2).unwrap_err();
    insta::assert_snapshot!(error, @"not all servers can be there while `app-1` (id `id-3`) is in error at Vultr; destroy it first");
    assert_eq!(rig.cloud.names(), ["app-1"]);
}

#[test]
fn what_can_not_be_taken_back_is_told() {
    let mut rig = Rig::new(ProviderName::Vultr);
    rig.is_all_or_nothing = true;
    rig.cloud.change(|world| {
        world.acts.insert(2, Act::Refuse(RefusalKind::Quota));
        world.is_stubborn = true;
    });
    let raised = rig.raise(2);
    assert_eq!(raised.ended, Ended::Partial);
    assert_eq!(raised.costly().count(), 1);
    let errors: Vec<String> = shown(&raised);
    assert!(
        errors
            .iter()
            .any(|error| error.contains("can't be destroyed: it is still there"))
    );
    assert_eq!(rig.recorded().len(), 1);
}

#[test]
fn a_stop_ends_making_and_keeps_what_was_answered() {
    let rig = Rig::new(ProviderName::Vultr);
    rig.cloud.change(|world| {
        let act = Act::StopAndAnswer(rig.stop.clone());
        world.acts.insert(1, act);
    });
    let raised = rig.raise(20);
    assert_eq!(raised.ended, Ended::Stopped);
    let made = rig.cloud.names().len();
    assert!(made <= 4, "{made}");
    assert_eq!(rig.recorded().len(), made);
    assert_eq!(raised.costly().count(), made);
    assert_eq!(raised.servers.len(), 20);
}

#[test]
fn an_answer_that_does_not_come_after_a_stop_is_settled_the_next_time() {
    let mut rig = Rig::new(ProviderName::Vultr);
    rig.cloud.change(|world| {
        let act = Act::StopAndHang(rig.stop.clone(), Duration::from_secs(5));
        world.acts.insert(1, act);
    });
    let began_at = Instant::now();
    let raised = rig.raise(1);
    assert!(began_at.elapsed() < Duration::from_secs(3));
    assert_eq!(raised.ended, Ended::Stopped);
    assert!(raised.servers[0].is_open);
    assert_eq!(raised.costly().collect::<Vec<_>>(), [("app-1", None)]);
    assert_eq!(rig.record(), ["app-1=?"]);
    rig.stop = Stop::new();
    let raised = rig.raise(1);
    assert_eq!(raised.ended, Ended::Complete);
    assert_eq!(rig.record(), ["app-1=id-1"]);
    assert_eq!(rig.cloud.names().len(), 1);
}

#[test]
fn a_stop_while_something_is_settled_leaves_it_open() {
    let mut rig = Rig::new(ProviderName::Vultr);
    rig.pace.lost = Duration::from_mins(1);
    rig.cloud.change(|world| {
        world.acts.insert(1, Act::LoseCall);
    });
    let stop = rig.stop.clone();
    let stopping = std::thread::spawn(move || {
        std::thread::sleep(Duration::from_millis(200));
        stop.stop();
    });
    let raised = rig.raise(2);
    stopping.join().unwrap();
    assert_eq!(raised.ended, Ended::Stopped);
    assert_eq!(raised.servers.iter().filter(|made| made.is_open).count(), 1);
    assert_eq!(raised.costly().count(), 2);
    rig.stop = Stop::new();
    rig.pace.lost = Duration::from_millis(30);
    assert_eq!(rig.raise(2).ended, Ended::Complete);
    assert_eq!(rig.cloud.names(), ["app-1", "app-2"]);
}

#[test]
fn without_waiting_what_was_made_is_enough() {
    let rig = Rig::new(ProviderName::Vultr);
    rig.cloud.change(|world| world.is_late = 1000);
    let (fleet, spec) = (rig.fleet(), super::memory::spec());
    let wanted = super::super::Wanted {
        spec: &spec,
        offer: &rig.offer,
        count: 2,
        pattern: "web{n}-{fleet}",
        run: "run",
        user_data: None,
        waits: false,
        is_all_or_nothing: false,
    };
    let raised = fleet.raise(&wanted, &[]).unwrap();
    assert_eq!(raised.ended, Ended::Complete);
    assert_eq!(rig.cloud.names(), ["web1-app", "web2-app"]);
}

#[test]
fn all_or_nothing_cleans_up_after_a_stop_through_another_access() {
    for has_cleanup in [true, false] {
        let mut rig = Rig::new(ProviderName::Vultr);
        rig.is_all_or_nothing = true;
        rig.cloud.change(|world| {
            let act = Act::StopAndHang(rig.stop.clone(), Duration::from_millis(400));
            world.acts.insert(1, act);
        });
        let mut fleet = rig.fleet();
        if has_cleanup {
            fleet = fleet.with_cleanup(rig.cloud.clone(), Stop::new());
        }
        let raised = rig.raise_in(&fleet, 9, &[]).unwrap();
        assert_eq!(raised.ended, Ended::Stopped);
        let left = rig.cloud.names().len();
        assert_eq!(raised.costly().count(), left);
        assert_eq!(left == 0, has_cleanup);
    }
}

#[test]
fn nothing_is_made_that_can_not_be_recorded() {
    let rig = Rig::new(ProviderName::Vultr);
    let file = sealable(&rig);
    rustix::fs::fcntl_add_seals(&*file, rustix::fs::SealFlags::GROW).unwrap();
    let raised = rig.raise(2);
    assert_eq!(raised.ended, Ended::Partial);
    assert!(raised.servers.iter().all(|made| made.error.is_some()));
    assert_eq!(raised.costly().count(), 0);
    assert!(rig.cloud.change(|world| world.created.is_empty()));
}

#[test]
fn what_was_made_and_can_not_be_recorded_is_told_by_its_id() {
    let rig = Rig::new(ProviderName::Vultr);
    let file = sealable(&rig);
    rig.cloud.change(|world| {
        world.acts.insert(1, Act::Seal(file));
    });
    let raised = rig.raise(1);
    assert_eq!(raised.ended, Ended::Partial);
    let error = raised.servers[0].error.as_ref().unwrap().to_string();
    let begins = "`app-1` was made with the id `id-1` and costs money, but hoist cannot write";
    assert!(error.starts_with(begins), "{error}");
    assert_eq!(
        raised.costly().collect::<Vec<_>>(),
        [("app-1", Some("id-1"))]
    );
    assert_eq!(rig.record(), ["app-1=?"]);
}

/// Makes the record a file in memory, of which can be said that it must not grow.
fn sealable(rig: &Rig) -> Arc<std::fs::File> {
    use rustix::fs::{MemfdFlags, memfd_create};
    use std::os::fd::AsRawFd as _;
    let flags = MemfdFlags::ALLOW_SEALING | MemfdFlags::CLOEXEC;
    let file = std::fs::File::from(memfd_create("record", flags).unwrap());
    let ledger = Ledger::open(rig.state.path(), &name(), false).unwrap();
    std::fs::remove_file(ledger.path()).unwrap();
    let target = format!("/proc/self/fd/{}", file.as_raw_fd());
    std::os::unix::fs::symlink(target, ledger.path()).unwrap();
    Arc::new(file)
}

#[test]
fn a_run_that_is_stopped_makes_nothing() {
    let rig = Rig::new(ProviderName::Vultr);
    rig.stop.stop();
    let error = rig.try_raise(1).unwrap_err();
    assert_eq!(error, ProviderError::Stopped);
    assert!(rig.cloud.names().is_empty() && rig.recorded().is_empty());
}

#[test]
fn the_host_key_that_is_handed_over_is_recorded() {
    let mut rig = Rig::new(ProviderName::Vultr);
    rig.offer.has_cloud_init = true;
    rig.raise(1);
    rig.offer.has_cloud_init = false;
    rig.raise(2);
    let has_key = rig
        .recorded()
        .into_iter()
        .map(|known| known.host_key.is_some());
    assert_eq!(has_key.collect::<Vec<_>>(), [true, false]);
}
