//! What is destroyed, and what is left.

use std::time::Duration;

use super::super::super::{ProviderError, ProviderName, Server, Stop};
use super::memory::Rig;

const OLD: Duration = Duration::from_hours(1);

#[test]
fn a_fleet_is_destroyed_and_its_record_is_empty() {
    let rig = Rig::new(ProviderName::Vultr);
    rig.raise(5);
    rig.cloud.change(|world| world.is_locked = 3);
    let razed = rig.raze();
    assert_eq!((razed.gone.len(), razed.left.len()), (5, 0));
    assert!(rig.cloud.names().is_empty() && rig.recorded().is_empty());
    assert!(rig.raze().gone.is_empty());
}

#[test]
fn what_does_not_go_is_left_with_the_reason() {
    let rig = Rig::new(ProviderName::Vultr);
    rig.raise(2);
    rig.cloud.change(|world| world.is_locked = 100_000);
    let razed = rig.raze();
    assert_eq!((razed.gone.len(), razed.left.len()), (0, 2));
    assert!(
        razed
            .left
            .iter()
            .all(|(_, error)| error.refusal().is_some())
    );
    rig.cloud.change(|world| {
        world.is_locked = 0;
        world.is_stubborn = true;
    });
    let razed = rig.raze();
    let reasons: Vec<String> = razed.left.iter().map(|(_, e)| e.to_string()).collect();
    assert_eq!(reasons, ["it is still there after 200ms"; 2]);
    assert_eq!(rig.recorded().len(), 2);
}

#[test]
fn what_is_not_of_the_fleet_is_never_destroyed() {
    let rig = Rig::new(ProviderName::Ovh);
    rig.raise(1);
    let id = rig.cloud.put("app-2", None, OLD);
    let fleet = rig.fleet();
    let stranger = Server::new(ProviderName::Ovh, id.clone(), "app-2");
    let razed = fleet.raze(&[stranger]);
    assert!(razed.gone.is_empty());
    insta::assert_snapshot!(razed.left[0].1, @"it is not recorded as of the fleet `app`");
    assert!(rig.cloud.change(|world| world.destroyed.is_empty()));
}

#[test]
fn destroying_after_a_stop_needs_another_access() {
    let rig = Rig::new(ProviderName::Vultr);
    rig.raise(2);
    let fleet = rig.fleet();
    let there = fleet.servers().unwrap();
    rig.stop.stop();
    let razed = fleet.raze(&there);
    assert!(razed.gone.is_empty());
    assert!(razed.left.iter().all(|(_, e)| *e == ProviderError::Stopped));
    assert!(rig.cloud.change(|world| world.destroyed.is_empty()));
    let second = Stop::new();
    let fleet = fleet.with_cleanup(rig.cloud.clone(), second.clone());
    assert_eq!(fleet.raze(&there).gone.len(), 2);
    assert!(rig.cloud.names().is_empty());
    second.stop();
    assert_eq!(fleet.raze(&there).left.len(), 2);
}

#[test]
fn a_name_in_use_again_keeps_its_record() {
    let rig = Rig::new(ProviderName::Vultr);
    rig.raise(1);
    let fleet = rig.fleet();
    let mut old = fleet.servers().unwrap().remove(0);
    old.id = "id-0".to_owned();
    assert_eq!(fleet.raze(&[old]).gone.len(), 1);
    drop(fleet);
    assert_eq!(rig.record(), ["app-1=id-1"]);
}
