//! What holds of every pattern and every set of names.

use proptest::prelude::*;

use super::tests::fleet;
use super::*;
use crate::host::is_printable;

/// Numbers as badly behaved as they come.
fn number() -> impl Strategy<Value = String> {
    prop_oneof![
        4 => (0..130_u32).prop_map(|n| n.to_string()),
        2 => (0..130_u32).prop_map(|n| format!("{n:02}")),
        2 => (0..130_u32).prop_map(|n| format!("{n:03}")),
        4 => (1..5_usize, 7..13_u32).prop_map(|(width, n)| format!("{n:0width$}")),
        4 => (2..5_usize, 96..103_u32).prop_map(|(width, n)| format!("{n:0width$}")),
        1 => "0{0,4}(9|10|99|100|999|1000)",
        1 => "[0-9]{15,45}",
        1 => "9{17,20}",
        1 => "10{16,20}",
    ]
}

/// Names of few shapes, so that there is much to fold.
fn folding_name() -> impl Strategy<Value = HostName> {
    let number = || number();
    let text = prop_oneof![
        6 => number().prop_map(|n| format!("n{n}")),
        3 => number(),
        3 => (0..4_u8, 0..4_u8).prop_map(|(a, b)| format!("r{a}-n{b}")),
        2 => (number(), number()).prop_map(|(a, b)| format!("r{a}-n{b}.x")),
        2 => (0..30_u8, 0..3_u8).prop_map(|(a, b)| format!("n{a}x{b}y{}", a ^ b)),
        1 => (0..30_u8).prop_map(|n| format!("2001:db8::{n:x}")),
        1 => (0..30_u8).prop_map(|n| format!("fe80::1%eth{n}")),
        1 => number().prop_map(|n| format!("a:{n}")),
        1 => number().prop_map(|n| format!("{n}:x:{n}")),
        1 => "(1a){1,12}[0-9]",
    ];
    text.prop_filter_map("a name", |text| HostName::parse(&text).ok())
}

/// Any valid name at all.
fn any_name() -> impl Strategy<Value = HostName> {
    let text = prop_oneof![".{1,12}", "[:%.0-9a-f+_-]{1,10}", "\\PC{1,20}"];
    text.prop_filter_map("a name", |text| {
        let is_good = |c: &char| HostName::parse(&format!("x{c}")).is_ok();
        let text: String = text.chars().filter(is_good).collect();
        HostName::parse(text.trim_start_matches('-')).ok()
    })
}

/// Text that is nearly a pattern.
fn near_pattern() -> impl Strategy<Value = String> {
    prop_oneof![
        "[ab019\\[\\],/!&^()@*?:%. é-]{0,24}",
        "([a-c@]{0,2}\\[[0-9a-c,/-]{0,7}\\][:.]?){1,3}([,!&^]\\(?[a-c@*]{1,3}\\)?){0,3}",
        any::<String>(),
    ]
}

/// A pattern made of what it means: text and, by the simplest means, its names.
#[derive(Debug, Clone)]
struct Known {
    text: String,
    names: Vec<String>,
}

fn known_leaf() -> impl Strategy<Value = Known> {
    let range = (0..12_u32, 0..12_u32, 1..4_usize, any::<bool>());
    prop_oneof![
        range.prop_map(|(a, b, step, is_padded)| {
            let (a, b) = (a.min(b), a.max(b));
            let digits = |n: u32| {
                if is_padded {
                    format!("{n:02}")
                } else {
                    n.to_string()
                }
            };
            Known {
                text: format!("n[{}-{}/{step}]", digits(a), digits(b)),
                names: (a..=b)
                    .step_by(step)
                    .map(|n| format!("n{}", digits(n)))
                    .collect(),
            }
        }),
        (0..12_u32).prop_map(|n| Known {
            text: format!("n{n}"),
            names: vec![format!("n{n}")],
        }),
        (0..3_u8, 0..3_u8).prop_map(|(a, b)| Known {
            text: format!("n[{a},{b}][0-1]"),
            names: [(a, 0), (a, 1), (b, 0), (b, 1)]
                .map(|(x, y)| format!("n{x}{y}"))
                .to_vec(),
        }),
    ]
}

fn known_pattern() -> impl Strategy<Value = Known> {
    known_leaf().prop_recursive(4, 24, 5, |inner| {
        let nested = inner.prop_map(|known| Known {
            text: format!("( {} )", known.text),
            ..known
        });
        let rest = prop::collection::vec((0..4_usize, nested.clone()), 0..4);
        (nested, rest).prop_map(|(first, rest)| {
            rest.iter().fold(first, |left, (operator, right)| {
                joined(&left, *operator, right)
            })
        })
    })
}

/// Joins in parentheses, so that the text means the same wherever it stands.
fn joined(left: &Known, operator: usize, right: &Known) -> Known {
    let text = format!(
        "({}{}({}))",
        left.text,
        [',', '!', '&', '^'][operator],
        right.text
    );
    let only_right = right.names.iter().filter(|name| !left.names.contains(name));
    let is_in_right = |name: &&String| right.names.contains(name);
    let left_names = left.names.iter();
    let names: Vec<&String> = match operator {
        0 => left_names.chain(only_right).collect(),
        1 => left_names.filter(|name| !is_in_right(name)).collect(),
        2 => left_names.filter(is_in_right).collect(),
        _ => left_names
            .filter(|name| !is_in_right(name))
            .chain(only_right)
            .collect(),
    };
    let mut distinct: Vec<String> = Vec::new();
    for name in names {
        if !distinct.contains(name) {
            distinct.push(name.clone());
        }
    }
    Known {
        text,
        names: distinct,
    }
}

fn expand(text: &str) -> HostSet {
    Pattern::parse(text)
        .unwrap()
        .expand(&NoNames)
        .unwrap()
        .names()
}

proptest! {
    #[test]
    fn folding_loses_nothing(names in prop::collection::vec(folding_name(), 1..60)) {
        let set: HostSet = names.into_iter().collect();
        prop_assert_eq!(expand(&set.fold()), set);
    }

    #[test]
    fn folding_loses_nothing_of_any_names(names in prop::collection::vec(any_name(), 1..20)) {
        let set: HostSet = names.into_iter().collect();
        prop_assert_eq!(expand(&set.fold()), set);
    }

    #[test]
    fn folding_depends_on_the_names_alone(names in prop::collection::vec(folding_name(), 1..40)) {
        let set: HostSet = names.iter().cloned().collect();
        let reversed: HostSet = names.into_iter().rev().collect();
        prop_assert_eq!(set.fold(), reversed.fold());
        prop_assert_eq!(expand(&set.fold()).fold(), set.fold());
    }

    #[test]
    fn a_pattern_means_what_its_parts_mean(known in known_pattern()) {
        let mut distinct: Vec<String> = Vec::new();
        for name in known.names {
            if !distinct.contains(&name) {
                distinct.push(name);
            }
        }
        let pattern = Pattern::parse(&known.text).unwrap();
        let names: Vec<String> = pattern.names().unwrap().collect();
        prop_assert_eq!(&names, &distinct);
        prop_assert_eq!(pattern.count().unwrap(), distinct.len() as u64);
    }

    #[test]
    fn no_text_is_a_panic(text in near_pattern()) {
        match Pattern::parse(&text) {
            Err(error) => check_error(&error, &text),
            Ok(pattern) if too_long_to_expand(&text) => drop(pattern),
            Ok(pattern) => check_agreement(&pattern, &text),
        }
        let _ = parse_host_entry(&text);
    }

    #[test]
    fn sets_obey_the_laws(
        a in prop::collection::vec(0..12_u8, 0..10),
        b in prop::collection::vec(0..12_u8, 0..10),
    ) {
        let set = |numbers: &[u8]| -> HostSet {
            numbers.iter().map(|n| HostName::parse(&format!("n{n}")).unwrap()).collect()
        };
        let (a, b) = (set(&a), set(&b));
        prop_assert_eq!(a.union(&b), b.union(&a));
        prop_assert_eq!(a.intersection(&b), b.intersection(&a));
        prop_assert_eq!(a.symmetric_difference(&b), b.symmetric_difference(&a));
        prop_assert_eq!(a.difference(&b), a.difference(&a.intersection(&b)));
        prop_assert_eq!(
            a.symmetric_difference(&b),
            a.union(&b).difference(&a.intersection(&b))
        );
        prop_assert_eq!(a.union(&b).len() + a.intersection(&b).len(), a.len() + b.len());
        prop_assert!(a.difference(&a).is_empty());
        prop_assert_eq!(a.difference(&b).union(&a.intersection(&b)), a);
    }
}

fn too_long_to_expand(text: &str) -> bool {
    text.chars().filter(char::is_ascii_digit).count() > 12
}

fn check_error(error: &PatternError, text: &str) {
    assert!(
        (1..=text.chars().count() + 1).contains(&error.column()),
        "{error}"
    );
    let line = error.to_string();
    assert!(line.chars().all(is_printable), "{line:?}");
    let caret = error.caret();
    let (shown, mark) = caret.split_once('\n').unwrap();
    assert!(shown.chars().all(is_printable), "{shown:?}");
    assert!(mark.trim_start() == "^", "{mark:?}");
}

/// All ways to expand a pattern must agree.
fn check_agreement(pattern: &Pattern, text: &str) {
    if let Err(error) = pattern.expand(&fleet()) {
        check_error(&error, text);
    }
    match pattern.expand(&NoNames) {
        Err(error) => check_error(&error, text),
        Ok(set) => {
            let names: Vec<String> = pattern.names().unwrap().collect();
            assert!(
                set.iter()
                    .map(|(name, _)| name.as_str())
                    .eq(names.iter().map(String::as_str))
            );
            assert_eq!(pattern.count().unwrap(), names.len() as u64);
            assert_eq!(set.names().len(), set.len());
        }
    }
}
