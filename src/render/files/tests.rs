//! A run for both to write down.

use std::fs;

use super::*;
use crate::event::Listener;
use crate::outcome::{Kind, Outcome};
use crate::remote::ExitStatus;
use crate::render::tests::{Told, events, exit, outcome, unreached};

pub(super) const HOSTS: [&str; 4] = ["web1", "web2", "web3", "2001:db8::1"];

pub(super) fn tell(listener: &mut dyn Listener, told: &[Told]) -> Vec<io::Error> {
    let events = events(&HOSTS, told);
    let results = events.iter().map(|event| listener.tell(event));
    results.filter_map(Result::err).collect()
}

/// Returns the names of everything in a folder.
pub(super) fn names_in(dir: &Path) -> Vec<String> {
    let entries = fs::read_dir(dir).unwrap().map(Result::unwrap);
    let mut names: Vec<String> = entries
        .map(|entry| entry.file_name().into_string().unwrap())
        .collect();
    names.sort();
    names
}

pub(super) fn some_run() -> Vec<Told> {
    let killed = Outcome {
        kind: Some(Kind::Signal),
        exit: Some(ExitStatus::Signal("KILL".to_owned())),
        ..outcome()
    };
    vec![
        Told::Output(0, b"half of ".to_vec()),
        Told::Output(1, b"other\xff".to_vec()),
        Told::Error(0, b"warning\n".to_vec()),
        Told::Output(0, b"it".to_vec()),
        Told::Finished(0, exit(0)),
        Told::Finished(3, unreached(Kind::Refused, "nobody\nlistens")),
        Told::Finished(1, exit(3)),
        Told::Finished(2, killed),
    ]
}
