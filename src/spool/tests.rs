use std::io::Read;

use proptest::prelude::*;

use super::*;

fn store(memory: usize) -> Store {
    Store::with_memory(std::env::temp_dir(), memory)
}

fn held(spool: &Spool) -> Vec<u8> {
    let mut bytes = Vec::new();
    spool.reader().read_to_end(&mut bytes).unwrap();
    bytes
}

fn file_len(store: &Store) -> u64 {
    let state = store.state();
    let file = state.file.as_ref();
    file.map_or(0, |file| file.metadata().unwrap().len())
}

#[test]
fn small_outputs_never_touch_the_disk() {
    let store = store(MEMORY);
    let spools: Vec<Spool> = (0..1000)
        .map(|_| {
            let mut spool = store.spool();
            spool.push(b" 12:00 up 3 days\n").unwrap();
            spool
        })
        .collect();
    assert!(store.state().file.is_none());
    assert!(
        store.state().granted < 1000 * 64,
        "{}",
        store.state().granted
    );
    drop(spools);
    assert_eq!(store.state().granted, 0);
}

#[test]
fn a_thousand_large_outputs_stay_within_the_budget() {
    let store = store(1 << 20);
    let piece = [b'x'; 5000];
    let mut spools: Vec<Spool> = (0..1000).map(|_| store.spool()).collect();
    for _ in 0..10 {
        for spool in &mut spools {
            spool.push(&piece).unwrap();
        }
        assert!(store.state().granted <= 1 << 20);
    }
    for spool in &spools {
        assert_eq!(spool.len(), 50_000);
        assert!(held(spool) == vec![b'x'; 50_000]);
    }
}

#[test]
fn cleared_space_is_used_again() {
    let store = store(1 << 20);
    let mut line = store.spool();
    let mut other = store.spool();
    other.push(&vec![b'o'; BUFFER + 1]).unwrap();
    let big = vec![b'x'; 3 << 20];
    for _ in 0..20 {
        line.push(&big).unwrap();
        line.clear();
    }
    assert!(file_len(&store) <= 4 << 20, "{}", file_len(&store));
    assert_eq!(held(&other), vec![b'o'; BUFFER + 1]);
    drop(other);
    assert_eq!(file_len(&store), 0, "an unused file is emptied");
}

#[test]
fn what_is_lost_is_told_once_and_leaves_no_gap() {
    let store = Store::with_memory("/nonexistent/folder".into(), 10);
    let mut spool = store.spool();
    spool.push(b"kept").unwrap();
    let error = spool.push(b"too much for memory").unwrap_err();
    assert!(error.to_string().contains("/nonexistent/folder"), "{error}");
    spool.push(b"later").unwrap();
    assert!(spool.is_cut());
    assert_eq!(held(&spool), b"kept");
    spool.clear();
    spool.push(b"anew").unwrap();
    assert!(!spool.is_cut());
}

proptest! {
    // Each case writes up to a megabyte.
    #![proptest_config(ProptestConfig::with_cases(64))]
    #[test]
    fn gives_back_what_was_pushed(
        pushes in prop::collection::vec((0_usize..4, 0_usize..100_000), 0..25),
        memory in prop_oneof![Just(0), Just(1000), Just(100_000), Just(MEMORY)],
    ) {
        let store = store(memory);
        let mut spools: Vec<Spool> = (0..4).map(|_| store.spool()).collect();
        let mut expected = vec![Vec::new(); 4];
        let mut next = 0_u8;
        for (index, len) in pushes {
            let bytes: Vec<u8> = (0..len).map(|_| { next = next.wrapping_mul(31).wrapping_add(7); next }).collect();
            spools[index].push(&bytes).unwrap();
            expected[index].extend_from_slice(&bytes);
            prop_assert!(store.state().granted <= memory);
            if len % 7 == 0 {
                spools[index].clear();
                expected[index].clear();
            }
        }
        for (spool, expected) in spools.iter().zip(&expected) {
            prop_assert_eq!(spool.len(), expected.len() as u64);
            prop_assert_eq!(spool.is_utf8(), std::str::from_utf8(expected).is_ok());
            prop_assert_eq!(&held(spool), expected);
            prop_assert_eq!(&held(spool), expected, "read twice");
        }
        drop(spools);
        prop_assert_eq!(store.state().granted, 0);
        prop_assert_eq!(file_len(&store), 0);
    }
}
