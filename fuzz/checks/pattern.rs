//! Patterns: every way to expand one agrees, folding loses nothing, operators obey the laws of
//! sets, and errors point into the text.

use std::collections::HashSet;
use std::sync::OnceLock;

use hoist::host::is_printable;
use hoist::hostset::{HostSet, LoginSet, NoNames, Pattern, PatternError, Reason, parse_host_entry};
use hoist::inventory::{Inventory, Source};

use super::weight::{self, MOST_NAMES};

/// The hosts and groups that patterns are expanded against.
const FLEET: &str = "[web]\nweb[1-3]\n[db]\ndb[01-02]\n[site:children]\nweb\ndb\n\
    [rack1]\nweb1\n2001:db8::1\n[all]\na\nb\nn1\n";

/// What patterns are combined with.
const OTHER: &str = "web[1-3],a,n[1-12],root@db1:22";

/// Checks all that is promised of `data` as a pattern.
pub(crate) fn check(data: &[u8]) {
    let Ok(text) = str::from_utf8(data) else {
        return;
    };
    let parsed = Pattern::parse(text);
    if let Err(error) = &parsed {
        check_error(error, text);
    }
    if weight::names(text) > MOST_NAMES {
        return;
    }
    check_entry(text, parsed.as_ref().ok());
    if let Ok(pattern) = parsed {
        assert_eq!(pattern.text(), text);
        check_against_inventory(&pattern, text);
        match pattern.expand(&NoNames) {
            Err(error) => check_error(&error, text),
            Ok(set) => {
                check_expansion(&pattern, &set);
                check_simple(text, &set);
                check_folding(&set.names());
                check_laws(text, &set);
            }
        }
    }
}

fn check_error(error: &PatternError, text: &str) {
    let columns = 1..=text.chars().count() + 1;
    assert!(columns.contains(&error.column()), "{error}");
    assert_eq!(error.text(), text);
    let line = error.to_string();
    assert!(line.chars().all(is_printable), "{line:?}");
    let caret = error.caret();
    let (shown, mark) = caret.split_once('\n').expect("two lines");
    assert!(shown.chars().all(is_printable), "{shown:?}");
    assert_eq!(mark.trim_start(), "^");
}

/// What an inventory reads as one entry, a pattern reads alike.
fn check_entry(text: &str, pattern: Option<&Pattern>) {
    match parse_host_entry(text) {
        Err(error) => check_error(&error, text),
        Ok(entry) => {
            let pattern = pattern.expect("an entry is a pattern");
            same(
                &pattern.expand(&NoNames).expect("it needs no inventory"),
                &entry,
            );
        }
    }
}

/// Names, order and logins are the same.
fn same(one: &LoginSet, other: &LoginSet) {
    assert!(one.iter().eq(other.iter()), "{one:?} is not {other:?}");
}

fn check_expansion(pattern: &Pattern, set: &LoginSet) {
    let names: Vec<String> = pattern.names().expect("it was expanded").collect();
    assert!(set.iter().map(|(name, _)| name.as_str()).eq(&names));
    assert_eq!(
        pattern.count().expect("it was expanded"),
        names.len() as u64
    );
    assert_eq!(set.names().len(), set.len());
}

/// A plain name with ranges stands for what the simplest reader makes of it.
fn check_simple(text: &str, set: &LoginSet) {
    let is_simple = |b: u8| b.is_ascii_alphanumeric() || b"-._[],/".contains(&b);
    if !text.bytes().all(is_simple) {
        return;
    }
    let mut names = vec![String::new()];
    for part in text.split_inclusive(['[', ']']) {
        match part.strip_suffix(']') {
            Some(bracket) => {
                let values: Vec<String> = bracket.split(',').flat_map(values).collect();
                let with_each = |name: &String| {
                    let all = values.iter().map(|value| format!("{name}{value}"));
                    all.collect::<Vec<_>>()
                };
                names = names.iter().flat_map(with_each).collect();
            }
            // Outside brackets a comma is an operator.
            None if part.contains(',') => return,
            None => names
                .iter_mut()
                .for_each(|name| name.push_str(part.trim_end_matches('['))),
        }
    }
    let mut seen = HashSet::new();
    names.retain(|name| seen.insert(name.clone()));
    assert!(
        set.iter().map(|(name, _)| name.as_str()).eq(&names),
        "{names:?} is not {set:?}"
    );
}

/// Returns the values of `7`, `08-11`, `1-9/2` or `a-f`, which is known to be right.
fn values(item: &str) -> Vec<String> {
    let (range, step) = item.split_once('/').unwrap_or((item, "1"));
    let Some((first, last)) = range.split_once('-') else {
        return vec![range.to_owned()];
    };
    let step = step.parse().unwrap_or(usize::MAX);
    let numbers = first.parse::<u64>().ok().zip(last.parse::<u64>().ok());
    let Some((from, to)) = numbers else {
        let letters = first.bytes().next().zip(last.bytes().next());
        let (from, to) = letters.expect("ends of a range");
        let letters = (from..=to).step_by(step);
        return letters
            .map(|letter| char::from(letter).to_string())
            .collect();
    };
    let width = first.len();
    (from..=to)
        .step_by(step)
        .map(|n| format!("{n:0width$}"))
        .collect()
}

fn check_folding(hosts: &HostSet) {
    let folded = hosts.fold();
    let reversed: Vec<_> = hosts.iter().cloned().collect();
    let reversed: HostSet = reversed.into_iter().rev().collect();
    assert_eq!(reversed.fold(), folded);
    if hosts.is_empty() {
        assert_eq!(folded, "");
        return;
    }
    let again = expand(&folded).expect("folding makes patterns").names();
    assert_eq!(again, *hosts, "{folded}");
    assert_eq!(again.fold(), folded);
}

fn expand(text: &str) -> Result<LoginSet, PatternError> {
    Pattern::parse(text)?.expand(&NoNames)
}

/// Parentheses change nothing, and operators do what sets do.
fn check_laws(text: &str, set: &LoginSet) {
    let nested = format!(" ( {text}\t) ");
    let nested_set = match expand(&nested) {
        Err(error) if *error.reason() == Reason::TooDeep => return,
        set => set.expect("parentheses change nothing"),
    };
    same(&nested_set, set);
    let joined = |operator: char, other: &str| {
        expand(&format!("{nested}{operator}({other})")).expect("both are patterns")
    };
    same(&joined(',', text), set);
    same(&joined('&', text), set);
    assert!(joined('!', text).is_empty());
    assert!(joined('^', text).is_empty());
    let (mine, other) = (set.names(), expand(OTHER).expect("a pattern").names());
    assert_eq!(joined(',', OTHER).names(), mine.union(&other));
    assert_eq!(joined('&', OTHER).names(), mine.intersection(&other));
    assert_eq!(joined('!', OTHER).names(), mine.difference(&other));
    assert_eq!(
        joined('^', OTHER).names(),
        mine.symmetric_difference(&other)
    );
}

fn fleet() -> &'static Inventory {
    static INVENTORY: OnceLock<Inventory> = OnceLock::new();
    INVENTORY.get_or_init(|| {
        let source = Source::bytes("fleet.ini", FLEET.into());
        Inventory::load(&[source]).expect("it is an inventory")
    })
}

/// With an inventory errors point into the text as well; and where every name written is known,
/// the pattern stands for hosts of the inventory alone.
fn check_against_inventory(pattern: &Pattern, text: &str) {
    let fleet = fleet();
    let known = pattern.check_known(fleet, |name| fleet.get(name).is_some());
    if let Err(error) = &known {
        check_error(error, text);
    }
    match pattern.expand(fleet) {
        Err(error) => check_error(&error, text),
        Ok(set) => {
            if let Ok(without) = pattern.expand(&NoNames) {
                same(&set, &without);
            }
            let mut names = set.iter().map(|(name, _)| name.as_str());
            assert!(known.is_err() || names.all(|name| fleet.get(name).is_some()));
        }
    }
}
