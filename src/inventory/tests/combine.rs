//! Several rows and several sources that speak of one host.

use super::{all, dump};
use crate::inventory::builder::Builder;
use crate::inventory::document::Document;
use crate::inventory::text;

fn refused(sources: &[(&str, &str)]) -> String {
    all(sources).unwrap_err()
}

#[test]
fn values_that_differ_are_refused_with_both_places() {
    let errors = [
        refused(&[("a", "w1 user=x\nw1 user=y")]),
        refused(&[("a", "w1\n\nx@w1\ny@w1")]),
        refused(&[("a", "w1 k=1"), ("b.csv", "name,k\nw0,\nw1,2\n")]),
        refused(&[("a", "w1 transport=local"), ("b", "w1 transport=ssh")]),
        refused(&[("a", "[g]\nw1 k=1\n[h]\nw1 k=2")]),
        refused(&[("a", "w1 port=22"), ("b", "w1:23")]),
        refused(&[("a", "[g]\n[g:vars]\nk=1"), ("b", "[g]\n[g:vars]\nk=2")]),
        refused(&[
            ("a", "w1"),
            ("b", "w1 k=\"1\u{7}\""),
            ("c.json", "[{\"host\":\"w1\",\"k\":\"2\u{85}\"}]"),
        ]),
    ];
    insta::assert_snapshot!(errors.join("\n"), @r"
    a:2:4: found user `y` for host `w1`, which has `x` at a:1; expected the same value or another name
    a:4:1: found user `y` for host `w1`, which has `x` at a:3; expected the same value or another name
    b.csv:3:4: found k `2` for host `w1`, which has `1` at a:1; expected the same value or another name
    b:1:4: found transport `ssh` for host `w1`, which has `local` at a:1; expected the same value or another name
    a:4:4: found k `2` for host `w1`, which has `1` at a:2; expected the same value or another name
    b:1:1: found port `23` for host `w1`, which has `22` at a:1; expected the same value or another name
    b:3:1: found k `2` for group `g`, which has `1` at a:3; expected the same value or another name
    c.json:1:20: found k `2\u{85}` for host `w1`, which has `1\u{7}` at b:1; expected the same value or another name
    ");
}

#[test]
fn later_sources_add_hosts_groups_and_what_was_left_empty() {
    let fleet = all(&[
        ("a.csv", "name,user,groups\nw1,,web\nw2,root,\n"),
        (
            "b.ini",
            "[db]\nw2 ansible_user=root ansible_port=23\nw1\n[web:vars]\ntier=front",
        ),
        (
            "c.json",
            "[{\"host\":\"w3\"},{\"host\":\"w1\",\"user\":\"jane\"}]",
        ),
    ])
    .unwrap();
    insta::assert_snapshot!(dump(&fleet), @r"
    w1 user=jane [web db] {tier=front}
    w2 user=root port=23 [db]
    w3
    ");
    assert_eq!(fleet.warnings(), [""; 0]);
}

#[test]
fn hosts_are_limited() {
    let read = |text: &str| {
        let document = Document::new("x".into(), None, text.into());
        let mut builder = Builder::new(3);
        text::read(&document, &mut builder).map_err(|error| error.to_string())
    };
    assert_eq!(read("w[1-3]\nw1 k=v"), Ok(()));
    insta::assert_snapshot!(read("w[1-2]\nv[1-2]").unwrap_err(), @"x:2:1: found more than 3 hosts; expected fewer, in several inventories");
}

#[test]
fn an_exact_duplicate_in_another_source_is_counted() {
    let fleet = all(&[("a", "w1 k=1\nw2"), ("b", "w1 k=1\nw2\nw3")]).unwrap();
    insta::assert_snapshot!(fleet.warnings().join("\n"), @"2 rows repeat a host and add nothing, such as `w1` at b:1, first at a:1");
}
