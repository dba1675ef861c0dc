//! Whose servers they are, and what a listing can show.

use std::time::Duration;

use super::super::super::{ProviderName, State, Stop};
use super::super::Ended;
use super::memory::{Act, Heard, Memory, Rig};

const OLD: Duration = Duration::from_hours(1);

#[test]
fn a_strangers_server_is_never_taken_where_there_are_no_tags() {
    let rig = Rig::new(ProviderName::Ovh);
    let stranger = rig.cloud.put("app-1", None, OLD);
    rig.cloud.change(|world| {
        world.acts.insert(1, Act::LoseCall);
    });
    let fleet = rig.fleet();
    assert!(fleet.servers().unwrap().is_empty());
    let unrecorded = fleet.unrecorded();
    assert_eq!(unrecorded.len(), 1);
    assert_eq!(
        (&unrecorded[0].id, &unrecorded[0].fleet),
        (&stranger, &None)
    );
    drop(fleet);
    let raised = rig.raise(2);
    assert_eq!(raised.ended, Ended::Partial);
    assert_eq!(rig.raise(2).ended, Ended::Complete);
    assert_eq!(rig.cloud.names(), ["app-1", "app-2", "app-3"]);
    assert!(rig.recorded().iter().all(|known| known.name != "app-1"));
    let razed = rig.raze();
    assert_eq!((razed.gone.len(), razed.left.len()), (2, 0));
    assert_eq!(rig.cloud.ids(), [stranger]);
}

#[test]
fn an_open_intent_is_not_met_by_an_older_server_of_its_name() {
    let rig = Rig::new(ProviderName::Ovh);
    rig.cloud.change(|world| {
        world.acts.insert(1, Act::LoseCall);
        // The stranger's turns up after the intent was written.
        world.is_late = 0;
    });
    let fleet = rig.fleet();
    let there = fleet.servers().unwrap();
    let stranger = rig.cloud.put("app-1", None, OLD);
    let raised = rig.raise_in(&fleet, 1, &there).unwrap();
    assert_eq!(raised.ended, Ended::Partial);
    drop(fleet);
    assert!(rig.recorded().is_empty());
    rig.raise(1);
    assert_eq!(rig.cloud.names(), ["app-1", "app-2"]);
    rig.raze();
    assert_eq!(rig.cloud.ids(), [stranger]);
}

#[test]
fn what_another_account_lists_makes_nothing_forgotten() {
    for provider in [ProviderName::Vultr, ProviderName::Ovh] {
        let rig = Rig::new(provider);
        rig.raise(2);
        let record = rig.record();
        let keep = rig.cloud.change(|world| std::mem::take(&mut world.servers));
        let heard = Heard::default();
        let told = |name: &str, step: &_| heard.hear(name, step);
        let fleet = rig.told_fleet(&told);
        assert!(fleet.servers().unwrap().is_empty());
        assert_eq!(heard.lines(), ["app-1: Missing", "app-2: Missing"]);
        assert_eq!(fleet.missing().len(), 2);
        drop(fleet);
        assert!(rig.record().is_empty());
        rig.cloud.change(|world| world.servers = keep);
        let fleet = rig.fleet();
        assert_eq!(fleet.servers().unwrap().len(), 2);
        assert!(fleet.missing().is_empty());
        drop(fleet);
        assert_eq!(rig.record(), record);
    }
}

#[test]
fn a_missing_server_whose_name_was_used_again_is_still_the_fleets() {
    let rig = Rig::new(ProviderName::Ovh);
    rig.raise(1);
    let mut keep = rig.cloud.change(|world| std::mem::take(&mut world.servers));
    assert_eq!(rig.raise(1).ended, Ended::Complete);
    rig.cloud.change(|world| world.servers.append(&mut keep));
    let raised = rig.raise(1);
    assert_eq!(raised.servers.len(), 2);
    assert_eq!(raised.ended, Ended::Partial);
    assert_eq!(rig.raze().gone.len(), 2);
    assert!(rig.cloud.names().is_empty());
    assert!(rig.fleet().missing().is_empty());
}

#[test]
fn a_server_that_was_renamed_at_the_provider_is_one_server() {
    let rig = Rig::new(ProviderName::Vultr);
    rig.raise(1);
    rig.cloud
        .change(|world| "other".clone_into(&mut world.servers[0].server.name));
    let raised = rig.raise(1);
    assert_eq!(raised.servers.len(), 1);
    assert_eq!(
        (raised.servers[0].name.as_str(), raised.surplus),
        ("app-1", 0)
    );
    assert_eq!(rig.raze().gone.len(), 1);
    assert!(rig.recorded().is_empty());
}

#[test]
fn a_fleet_is_at_one_provider() {
    let rig = Rig::new(ProviderName::Vultr);
    rig.raise(1);
    let other = Rig {
        cloud: std::sync::Arc::new(Memory::new(ProviderName::Linode)),
        ..rig
    };
    let error = other.fleet().servers().unwrap_err();
    insta::assert_snapshot!(error, @"the fleet `app` is at vultr here, not at linode; work on it there, or take another name");
    let error = other.raise_in(&other.fleet(), 2, &[]).unwrap_err();
    assert!(error.to_string().contains("is at vultr here"), "{error}");
    assert_eq!(other.recorded().len(), 1);
    assert!(other.cloud.names().is_empty());
}

#[test]
fn the_same_id_at_another_provider_is_another_server() {
    let rig = Rig::new(ProviderName::Vultr);
    rig.raise(1);
    rig.cloud.change(|world| world.servers.clear());
    rig.fleet().servers().unwrap();
    let other = Rig {
        cloud: std::sync::Arc::new(Memory::new(ProviderName::Ovh)),
        ..rig
    };
    let id = other.cloud.put("app-1", None, OLD);
    let fleet = other.fleet();
    assert_eq!(fleet.missing()[0].id.as_ref(), Some(&id));
    assert!(fleet.servers().unwrap().is_empty());
    assert_eq!(fleet.missing().len(), 1);
}

#[test]
fn one_region_of_ec2_says_nothing_of_another() {
    let mut rig = Rig::new(ProviderName::Aws);
    rig.raise(1);
    rig.cloud.change(|world| {
        world.acts.insert(
            2,
            Act::StopAndHang(rig.stop.clone(), Duration::from_millis(400)),
        );
    });
    rig.raise(2);
    rig.stop = Stop::new();
    let record = rig.record();
    assert_eq!(record, ["app-1=id-1", "app-2=?"].map(str::to_owned));
    rig.cloud
        .change(|world| world.region = Some("there".to_owned()));
    // As long as nobody says which region is listed, nothing is taken to be gone.
    assert!(rig.fleet().servers().unwrap().is_empty());
    assert_eq!(rig.record(), record);
    let there = rig.fleet().in_region(Some("there".to_owned()));
    insta::assert_snapshot!(there.servers().unwrap_err(), @"the fleet `app` is at aws here, not at aws there; work on it there, or take another name");
    let error = rig.raise_in(&there, 1, &[]).unwrap_err();
    insta::assert_snapshot!(error, @"servers are to be made at aws here, but there is what is listed; name the same region for both");
    drop(there);
    rig.offer.region = "there".to_owned();
    let error = rig.raise_in(&rig.fleet(), 3, &[]).unwrap_err();
    assert!(
        error
            .to_string()
            .contains("is at aws here, not at aws there"),
        "{error}"
    );
    assert_eq!(rig.record(), record);
    rig.offer.region = "here".to_owned();
    rig.cloud
        .change(|world| world.region = Some("here".to_owned()));
    let raised = rig.raise(2);
    assert_eq!(raised.ended, Ended::Complete);
    assert_eq!(rig.record(), ["app-1=id-1", "app-2=id-2"]);
}

#[test]
fn what_ec2_lists_nowhere_is_gone_once_its_region_is_known() {
    let rig = Rig::new(ProviderName::Aws);
    rig.raise(2);
    rig.cloud.change(|world| world.servers.clear());
    assert!(rig.fleet().servers().unwrap().is_empty());
    assert_eq!(rig.recorded().len(), 2);
    let raised = rig.raise(2);
    assert_eq!(raised.ended, Ended::Complete);
    assert_eq!(rig.record(), ["app-1=id-3", "app-2=id-4"]);
}

#[test]
fn what_was_adopted_in_a_zone_of_ec2_is_in_its_region() {
    let rig = Rig::new(ProviderName::Aws);
    rig.cloud.put("app-1", Some("app"), OLD);
    rig.cloud
        .change(|world| "here-1a".clone_into(&mut world.servers[0].server.region));
    assert_eq!(rig.fleet().adopt(&[]).unwrap().len(), 1);
    let raised = rig.raise(2);
    assert_eq!((raised.ended, raised.servers.len()), (Ended::Complete, 2));
    let there = rig.fleet().in_region(Some("here".to_owned()));
    assert_eq!(there.servers().unwrap().len(), 2);
}

#[test]
fn what_is_gone_or_of_another_fleet_is_not_there() {
    let rig = Rig::new(ProviderName::Vultr);
    rig.cloud.put("app-1", Some("app"), OLD);
    rig.cloud.put("app-2", Some("other"), OLD);
    rig.cloud
        .change(|world| world.servers[0].server.state = State::Gone);
    let fleet = rig.fleet();
    assert!(fleet.servers().unwrap().is_empty());
    assert!(fleet.unrecorded().is_empty());
}
