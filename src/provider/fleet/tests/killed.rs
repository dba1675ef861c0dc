//! Runs that are killed at any moment, and what the next one makes of it.

use std::collections::BTreeSet;
use std::fs;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use proptest::prelude::*;

use super::super::super::ProviderName;
use super::super::Ended;
use super::memory::{Act, Memory, Rig, World, name, offer};
use crate::provider::RefusalKind;
use crate::provider::ledger::{Entry, Ledger, now};

/// What there is, and what the record says then.
type Moment = (World, Vec<u8>);

/// Makes sure that there are so many servers, no more, each recorded once by its id.
fn assert_exact(rig: &Rig, count: usize) {
    let mut raised = rig.raise(count);
    for _ in 0..3 {
        // What was refused once is made the next time.
        if raised.ended != Ended::Complete {
            raised = rig.raise(count);
        }
    }
    assert_eq!(raised.ended, Ended::Complete, "{raised:?}");
    let names: BTreeSet<String> = rig.cloud.names().into_iter().collect();
    assert_eq!((names.len(), rig.cloud.names().len()), (count, count));
    let ids: BTreeSet<String> = rig.cloud.ids().into_iter().collect();
    let recorded = rig.recorded().into_iter().map(|known| known.id.unwrap());
    assert_eq!(recorded.collect::<BTreeSet<String>>(), ids);
    assert_eq!(rig.raze().gone.len(), count);
    assert!(rig.cloud.names().is_empty() && rig.recorded().is_empty());
}

/// Returns a rig for which a recorded server that is not listed yet is not missing.
fn patient(provider: ProviderName) -> Rig {
    let mut rig = Rig::new(provider);
    rig.pace.fresh = Duration::from_mins(1);
    rig
}

/// Returns a rig as a killed run left it.
fn left(provider: ProviderName, world: &World, record: &[u8]) -> Rig {
    let rig = patient(provider);
    let path = rig.state.path().join("fleets");
    fs::create_dir_all(&path).unwrap();
    fs::write(path.join("app.jsonl"), record).unwrap();
    rig.cloud.change(|now| {
        *now = world.clone();
        now.acts.clear();
    });
    rig
}

#[test]
fn a_run_killed_at_any_moment_of_its_calls_is_completed_by_the_next() {
    for (provider, is_late) in [
        (ProviderName::Vultr, 0),
        (ProviderName::Vultr, 3),
        (ProviderName::Ovh, 3),
        (ProviderName::Aws, 1),
    ] {
        let moments: Arc<Mutex<Vec<Moment>>> = Arc::default();
        let mut memory = Memory::new(provider);
        let state = tempfile::tempdir().unwrap();
        let path = state.path().join("fleets/app.jsonl");
        let keep = Arc::clone(&moments);
        // What there is stays the same while the record is read, so both are of one moment.
        memory.watcher = Some(Box::new(move |world| {
            let record = fs::read(&path).unwrap();
            keep.lock().unwrap().push((world.clone(), record));
        }));
        let rig = Rig {
            state,
            ..Rig::of(memory)
        };
        rig.cloud.change(|world| {
            world.is_late = is_late;
            world.acts.insert(2, Act::LoseAnswer);
            world.acts.insert(3, Act::LoseCall);
        });
        rig.raise(4);
        let moments = moments.lock().unwrap();
        assert!(moments.len() >= 7);
        for (world, record) in moments.iter() {
            assert_exact(&left(provider, world, record), 4);
        }
    }
}

/// What a run does for one server, in this order.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Did {
    Intent,
    Call,
    Result,
}

/// Interleaves the steps of `count` servers as `picks` say, and stops after so many.
fn steps(count: usize, picks: &[prop::sample::Index], done: usize) -> Vec<(usize, Did)> {
    let mut next = vec![0; count];
    let mut steps = Vec::new();
    for pick in picks.iter().take(done.min(count * 3)) {
        let open: Vec<usize> = (0..count).filter(|server| next[*server] < 3).collect();
        let server = open[pick.index(open.len())];
        steps.push((server, [Did::Intent, Did::Call, Did::Result][next[server]]));
        next[server] += 1;
    }
    steps
}

fn intent(name: &str, provider: ProviderName) -> Entry {
    Entry::Intent {
        at: now(),
        name: name.to_owned(),
        token: name.to_owned(),
        provider: provider.to_string(),
        region: offer().region,
        host_key: None,
        login_user: "root".to_owned(),
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 60, ..ProptestConfig::default() })]

    #[test]
    fn every_prefix_of_a_run_is_completed_by_the_next(
        count in 1..5_usize,
        more in 0..2_usize,
        picks in proptest::collection::vec(any::<prop::sample::Index>(), 12),
        done in 0..=12_usize,
        cut in any::<prop::sample::Index>(),
        is_late in 0..3_u32,
        loses in 0..4_usize,
        provider in prop::sample::select(vec![
            ProviderName::Vultr, ProviderName::Ovh, ProviderName::Aws,
        ]),
    ) {
        let rig = patient(provider);
        let mut ledger = Ledger::open(rig.state.path(), &name(), false).unwrap();
        let fleet = (provider != ProviderName::Ovh).then_some("app");
        let mut ids = vec![String::new(); count];
        let all = steps(count, &picks, done + 1);
        for (server, did) in all.iter().take(done) {
            let name = format!("app-{}", server + 1);
            match did {
                Did::Intent => ledger.write(intent(&name, provider)).unwrap(),
                Did::Call => ids[*server] = rig.cloud.put(&name, fleet, Duration::ZERO),
                Did::Result => {
                    let id = ids[*server].clone();
                    ledger.write(Entry::Created { at: now(), name, id }).unwrap();
                }
            }
        }
        let path = ledger.path().to_owned();
        drop(ledger);
        // The line that was being written then is there in part, whatever part.
        if let Some((server, did)) = all.get(done) {
            let name = format!("app-{}", server + 1);
            let line = match did {
                Did::Intent => Some(intent(&name, provider)),
                Did::Call => None,
                Did::Result => {
                    let id = ids[*server].clone();
                    Some(Entry::Created { at: now(), name, id })
                }
            };
            let line = line.map_or_else(Vec::new, |line| serde_json::to_vec(&line).unwrap());
            let part = &line[..cut.index(line.len() + 1)];
            let whole = fs::read(&path).unwrap();
            fs::write(&path, [&whole[..], part].concat()).unwrap();
        }
        rig.cloud.change(|world| {
            world.is_late = is_late;
            for kept in &mut world.servers {
                kept.hidden = is_late;
            }
            match loses {
                1 => world.acts.insert(1, Act::LoseAnswer),
                2 => world.acts.insert(1, Act::LoseCall),
                3 => world.acts.insert(1, Act::Refuse(RefusalKind::Other)),
                _ => None,
            };
        });
        assert_exact(&rig, count + more);
    }
}
