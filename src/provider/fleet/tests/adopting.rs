//! What is taken into the record on demand.

use std::time::Duration;

use super::super::super::{FleetName, ProviderName};
use super::memory::Rig;
use crate::provider::ledger::{Entry, Ledger, now};

const OLD: Duration = Duration::from_hours(1);

fn adopted(rig: &Rig, which: &[&str]) -> Result<Vec<String>, String> {
    let which: Vec<String> = which.iter().map(|word| (*word).to_owned()).collect();
    let adopted = rig.fleet().adopt(&which);
    adopted
        .map(|servers| servers.into_iter().map(|server| server.name).collect())
        .map_err(|error| error.to_string())
}

#[test]
fn what_carries_the_tag_is_recorded() {
    let rig = Rig::new(ProviderName::Vultr);
    rig.raise(1);
    for name in ["app-2", "app-3", "app-4"] {
        rig.cloud.put(name, Some("app"), OLD);
    }
    rig.cloud.put("app-5", None, OLD);
    assert_eq!(rig.fleet().servers().unwrap().len(), 4);
    assert_eq!(rig.recorded().len(), 1);
    assert_eq!(adopted(&rig, &["app-3"]).unwrap(), ["app-3"]);
    assert_eq!(adopted(&rig, &["id-4"]).unwrap(), ["app-4"]);
    assert_eq!(adopted(&rig, &[]).unwrap(), ["app-2"]);
    assert!(adopted(&rig, &[]).unwrap().is_empty());
    assert!(adopted(&rig, &["app-1"]).unwrap().is_empty());
    let record = ["app-1=id-1", "app-2=id-2", "app-3=id-3", "app-4=id-4"];
    assert_eq!(rig.record(), record);
    assert_eq!(rig.raze().gone.len(), 4);
    assert!(rig.recorded().is_empty());
}

#[test]
fn what_carries_no_tag_is_named_by_its_id() {
    let rig = Rig::new(ProviderName::Ovh);
    rig.raise(1);
    let id = rig.cloud.put("app-2", None, OLD);
    assert!(adopted(&rig, &[]).unwrap().is_empty());
    insta::assert_snapshot!(adopted(&rig, &["app-2"]).unwrap_err(), @"`app-2` is no server of the fleet `app` that OVHcloud lists; one without the fleet's tag has to be named by its id");
    assert_eq!(adopted(&rig, &[&id]).unwrap(), ["app-2"]);
    assert!(rig.fleet().unrecorded().is_empty());
    assert_eq!(rig.raze().gone.len(), 2);
    assert!(rig.cloud.names().is_empty());
}

#[test]
fn a_name_that_two_have_is_not_recorded() {
    let rig = Rig::new(ProviderName::Vultr);
    rig.raise(1);
    rig.cloud.put("app-1", Some("app"), OLD);
    insta::assert_snapshot!(adopted(&rig, &[]).unwrap_err(), @"two servers are called `app-1`: ids `id-1` and `id-2`; rename or destroy one");
    rig.cloud.put("app-2", Some("app"), OLD);
    rig.cloud.put("app-2", Some("app"), OLD);
    insta::assert_snapshot!(adopted(&rig, &["app-2"]).unwrap_err(), @"two servers are called `app-2`: ids `id-3` and `id-4`; rename or destroy one");
    assert_eq!(adopted(&rig, &["id-4"]).unwrap(), ["app-2"]);
    assert_eq!(rig.record(), ["app-1=id-1", "app-2=id-4"]);
}

#[test]
fn what_another_fleet_has_recorded_stays_there() {
    let rig = Rig::new(ProviderName::Ovh);
    let id = rig.cloud.put("app-1", None, OLD);
    let other = FleetName::parse("other").unwrap();
    let mut ledger = Ledger::open(rig.state.path(), &other, false).unwrap();
    let entry = Entry::Adopted {
        at: now(),
        name: "app-1".to_owned(),
        id: id.clone(),
        provider: "ovh".to_owned(),
        region: "here".to_owned(),
        login_user: None,
    };
    ledger.write(entry).unwrap();
    insta::assert_snapshot!(adopted(&rig, &[&id]).unwrap_err(), @"`id-1` is of the fleet `other`");
    assert!(rig.fleet().unrecorded().is_empty());
    assert!(rig.recorded().is_empty());
}
