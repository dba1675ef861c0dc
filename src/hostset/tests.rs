//! Patterns by example: what they mean and what is wrong with them.

use std::collections::BTreeSet;

use super::*;
use crate::host::{Port, escaped};

/// A small inventory.
pub(super) struct Fleet {
    hosts: Vec<HostName>,
    groups: Vec<(&'static str, Vec<HostName>)>,
}

fn names(text: &str) -> Vec<HostName> {
    let words = text.split_whitespace();
    words.map(|word| HostName::parse(word).unwrap()).collect()
}

pub(super) fn fleet() -> Fleet {
    Fleet {
        hosts: names("web3 web1 web2 db1 db2 größe 2001:db8::1 edge.example.org"),
        groups: vec![
            ("web", names("web1 web2 web3")),
            ("db", names("db1 db2")),
            ("rack1", names("web1 db1")),
            ("rack2", names("web2 db2")),
            ("none", vec![]),
        ],
    }
}

impl Names for Fleet {
    fn all(&self) -> Box<dyn Iterator<Item = &HostName> + '_> {
        Box::new(self.hosts.iter())
    }

    fn group(&self, name: &str) -> Option<Box<dyn Iterator<Item = &HostName> + '_>> {
        let (_, hosts) = self.groups.iter().find(|(group, _)| *group == name)?;
        Some(Box::new(hosts.iter()))
    }

    fn group_names(&self) -> Vec<&str> {
        self.groups.iter().map(|(name, _)| *name).collect()
    }
}

/// Expands against the small inventory: names joined by blanks.
fn expanded(text: &str) -> String {
    match Pattern::parse(text).and_then(|pattern| pattern.expand(&fleet())) {
        Ok(set) => {
            let names: Vec<&str> = set.iter().map(|(name, _)| name.as_str()).collect();
            names.join(" ")
        }
        Err(error) => panic!("{error}"),
    }
}

/// Expands against the small inventory: logins as they could have been written.
fn logins(text: &str) -> String {
    let set = Pattern::parse(text).unwrap().expand(&fleet()).unwrap();
    let entries = set.iter().map(|(name, login)| {
        let user = login.user.as_ref().map(|user| format!("{user}@"));
        let port = login.port.map(|port| format!(":{port}"));
        format!(
            "{}{name}{}",
            user.unwrap_or_default(),
            port.unwrap_or_default()
        )
    });
    entries.collect::<Vec<_>>().join(" ")
}

/// Returns column and message of the error that there must be.
fn failure(text: &str) -> (usize, String) {
    let error = match Pattern::parse(text) {
        Err(error) => error,
        Ok(pattern) => pattern.expand(&fleet()).expect_err(text),
    };
    (error.column(), error.reason().to_string())
}

#[test]
fn ranges_keep_the_digits_as_written() {
    for (text, names) in [
        ("web1", "web1"),
        ("n1,n01,n001", "n1 n01 n001"),
        ("n[1,01,001]", "n1 n01 n001"),
        ("n[8-12]", "n8 n9 n10 n11 n12"),
        ("n[08-12]", "n08 n09 n10 n11 n12"),
        ("n[09-10]", "n09 n10"),
        ("n[98-101]", "n98 n99 n100 n101"),
        ("n[098-101]", "n098 n099 n100 n101"),
        ("n[0-2]", "n0 n1 n2"),
        ("n[00-02]", "n00 n01 n02"),
        ("n[5-5]", "n5"),
        ("n[1-9/2]", "n1 n3 n5 n7 n9"),
        ("n[1-10/4]", "n1 n5 n9"),
        ("n[01-20/9]", "n01 n10 n19"),
        ("n[1-3/100]", "n1"),
        ("n[8-31/8,5]", "n8 n16 n24 n5"),
        ("n[a-c]", "na nb nc"),
        ("n[A-C,x]", "nA nB nC nx"),
        ("n[a-e/2]", "na nc ne"),
        ("[1-2]", "1 2"),
        ("[a-b][1-2]", "a1 a2 b1 b2"),
        ("r[1-2]-n[08-09].x", "r1-n08.x r1-n09.x r2-n08.x r2-n09.x"),
        ("n[1,1,2,1-3]", "n1 n2 n3"),
        ("n[1,11][1,11]", "n11 n111 n1111"),
        (
            "n[18446744073709551615-18446744073709551617]",
            "n18446744073709551615 n18446744073709551616 n18446744073709551617",
        ),
        (
            "[99999999999999999999999999999999999999999-100000000000000000000000000000000000000001]",
            "99999999999999999999999999999999999999999 \
             100000000000000000000000000000000000000000 \
             100000000000000000000000000000000000000001",
        ),
        (
            "n[0-18446744073709551615/18446744073709551615]",
            "n0 n18446744073709551615",
        ),
    ] {
        assert_eq!(expanded(text), names, "{text}");
    }
}

#[test]
fn operators_work_from_left_to_right() {
    for (text, names) in [
        ("a,b,a", "a b"),
        ("b,a", "b a"),
        ("[a-e]!c", "a b d e"),
        ("[a-e]!c!d", "a b e"),
        ("[a-e]!c,c", "a b d e c"),
        ("[a-e]![a-e],c", "c"),
        ("[a-c]&[b-d]", "b c"),
        ("[a-c]&[b-d]&c", "c"),
        ("[a-c]^[b-d]", "a d"),
        ("[a-c]^[b-d]^a", "d"),
        ("a,b&b,c", "b c"),
        ("a,(b&b),c", "a b c"),
        ("[a-e]!(b,c)", "a d e"),
        ("[a-e]!(b,c!c)", "a c d e"),
        ("((a))", "a"),
        ("(a,b)^(b,c)", "a c"),
        (" a , b ! ( b ) ", "a"),
        ("a\t,\nb\r\n", "a b"),
        ("a!a", ""),
    ] {
        assert_eq!(expanded(text), names, "{text:?}");
    }
}

#[test]
fn groups_and_globs_come_in_the_order_of_the_inventory() {
    for (text, names) in [
        ("@web", "web1 web2 web3"),
        ("@web!web2", "web1 web3"),
        ("@web&@rack1", "web1"),
        ("@rack[1-2]", "web1 db1 web2 db2"),
        ("@rack*", "web1 db1 web2 db2"),
        ("@none", ""),
        ("web*", "web3 web1 web2"),
        ("w?b[2-3]", "web3 web2"),
        ("web?", "web3 web1 web2"),
        ("*[1-2]", "web1 web2 db1 db2 2001:db8::1"),
        ("gr?ße", "größe"),
        ("*.example.org", "edge.example.org"),
        ("2001:db8::*", "2001:db8::1"),
        ("[2001:*]", "2001:db8::1"),
        ("*!web*!db*", "größe 2001:db8::1 edge.example.org"),
    ] {
        assert_eq!(expanded(text), names, "{text}");
    }
}

#[test]
fn logins_are_read_and_the_last_word_wins() {
    for (text, entries) in [
        ("root@web[1-2]:22", "root@web1:22 root@web2:22"),
        ("jane@corp.example@web1", "jane@corp.example@web1"),
        ("CORP\\jane@web1", "CORP\\jane@web1"),
        ("root@@db", "root@db1 root@db2"),
        (
            "jane@corp@@db:2222",
            "jane@corp@db1:2222 jane@corp@db2:2222",
        ),
        ("root@db*:2222", "root@db1:2222 root@db2:2222"),
        ("root@[2001:db8::1]:22", "root@2001:db8::1:22"),
        ("::1", "::1"),
        ("[::1]", "::1"),
        ("fe80::1%eth0", "fe80::1%eth0"),
        ("2001:db8::[9-10]", "2001:db8::9 2001:db8::10"),
        ("[1-2]:db8::1", "1:db8::1 2:db8::1"),
        ("[a:22]:23", "a:22:23"),
        ("web1:22,root@web1", "root@web1:22"),
        ("web1:22,web1", "web1:22"),
        ("web1:22,web1:23", "web1:23"),
        ("root@web1:22,jane@web1", "jane@web1:22"),
        ("web[1-3]:22&root@web2", "root@web2:22"),
        ("root@web[1-3]!web2:22", "root@web1 root@web3"),
        ("a:1^b:2", "a:1 b:2"),
    ] {
        assert_eq!(logins(text), entries, "{text}");
    }
}

/// Lists column and message for each text.
fn failures(texts: &[&str]) -> String {
    let lines = texts.iter().map(|text| {
        let (column, reason) = failure(text);
        format!("{:<16} {column:>2} {reason}", escaped(text))
    });
    lines.collect::<Vec<_>>().join("\n")
}

#[test]
fn a_misplaced_operator_is_shown() {
    let texts = [
        "", "  ", ",", "a,", "a,,b", "a!", "(a", "a)", "()", "a(b)", "a b", "(a b)", "(a,)", "((a)",
    ];
    insta::assert_snapshot!(failures(&texts), @"
                      1 expected a host name, `@group` or `(`, found the end
                      3 expected a host name, `@group` or `(`, found the end
    ,                 1 expected a host name, `@group` or `(`, found `,`
    a,                3 expected a host name, `@group` or `(`, found the end
    a,,b              3 expected a host name, `@group` or `(`, found `,`
    a!                3 expected a host name, `@group` or `(`, found the end
    (a                1 `(` is not closed
    a)                2 expected `,` `!` `&` `^` or the end, found `)`
    ()                2 expected a host name, `@group` or `(`, found `)`
    a(b)              2 expected `,` `!` `&` `^` or the end, found `(`
    a b               3 expected `,` `!` `&` `^` or the end, found `b`
    (a b)             4 expected `,` `!` `&` `^` or `)`, found `b`
    (a,)              4 expected a host name, `@group` or `(`, found `)`
    ((a)              1 `(` is not closed
    ");
}

#[test]
fn a_bad_bracket_is_shown() {
    let texts = [
        "web[1-3",
        "a]",
        "a[[1]]",
        "a[]",
        "a[1,]",
        "a[,1]",
        "a[1-]",
        "a[-1]",
        "a[1-2-3]",
        "a[9-1]",
        "a[c-a]",
        "a[1-010]",
        "a[01-100]",
        "a[001-10]",
        "a[08-100]",
        "a[1-f]",
        "a[a-F]",
        "a[abc]",
        "a[1 ,2]",
        "a[1/2]",
        "a[1-9/]",
        "a[1-9/0]",
        "a[1-9/x]",
        "a[1-2/18446744073709551616]",
        "größe,a[9-1]",
        "a[::1]",
    ];
    insta::assert_snapshot!(failures(&texts), @"
    web[1-3           4 `[` is not closed
    a]                2 `]` closes nothing
    a[[1]]            3 `[` can't stand inside brackets
    a[]               3 expected a number or a letter, found `]`
    a[1,]             5 expected a number or a letter, found `]`
    a[,1]             3 expected a number or a letter, found `,`
    a[1-]             5 expected a number or a letter, found `]`
    a[-1]             3 expected a number or a letter, found `-`
    a[1-2-3]          5 `2-3` is neither a number nor a single letter
    a[9-1]            3 `9-1` runs backwards
    a[c-a]            3 `c-a` runs backwards
    a[1-010]          3 `1` and `010` are not padded with zeros to the same width
    a[01-100]         3 `01` and `100` are not padded with zeros to the same width
    a[001-10]         3 `001` and `10` are not padded with zeros to the same width
    a[08-100]         3 `08` and `100` are not padded with zeros to the same width
    a[1-f]            3 `1-f` is not a range: its ends are of different kinds
    a[a-F]            3 `a-F` is not a range: its ends are of different kinds
    a[abc]            3 `abc` is neither a number nor a single letter
    a[1 ,2]           3 `1 ` is neither a number nor a single letter
    a[1/2]            4 `/` needs a range before it, as in `1-9/2`
    a[1-9/]           7 expected a step, found `]`
    a[1-9/0]          7 step `0` is not a number from 1 to 2^64 - 1
    a[1-9/x]          7 step `x` is not a number from 1 to 2^64 - 1
    a[1-2/18446744073709551616]  7 step `18446744073709551616` is not a number from 1 to 2^64 - 1
    größe,a[9-1]      9 `9-1` runs backwards
    a[::1]            3 `::1` is neither a number nor a single letter
    ");
}

#[test]
fn a_bad_name_user_or_port_is_shown() {
    let texts = [
        "root@",
        "-x@web1",
        "ro;ot@web1",
        "a:",
        ":22",
        "a:0",
        "a:65536",
        "a:ssh",
        "web1:22:x",
        "[::1]x",
        "[::1]22",
        "-oProxyCommand=x",
        "web[1-2]/x",
        "a$b",
        "web1,a\u{1b}]2J",
        "web1,a\u{1b}2J",
        "a\u{a0}b",
        "..",
        "{a,b}*",
    ];
    insta::assert_snapshot!(failures(&texts), @r"
    root@             6 expected a host name, found the end
    -x@web1           1 user name `-x` starts with `-`
    ro;ot@web1        3 user name `ro;ot` holds `;` at character 3
    a:                3 expected a port, found the end
    :22               1 expected a host name, found `:`
    a:0               3 port `0` is not a number from 1 to 65535
    a:65536           3 port `65536` is not a number from 1 to 65535
    a:ssh             3 port `ssh` is not a number from 1 to 65535
    web1:22:x         1 `web1:22:x` is not an IPv6 address; a name with colons is put in brackets
    [::1]x            6 expected `:` and a port, found `x`
    [::1]22           6 expected `:` and a port, found `2`
    -oProxyCommand=x  1 host name `-oProxyCommand=x` starts with `-`
    web[1-2]/x        9 host name `web1/x` holds `/` at character 5
    a$b               2 host name `a$b` holds `$` at character 2
    web1,a\u{1b}]2J   8 `]` closes nothing
    web1,a\u{1b}2J    7 host name `a\u{1b}2J` holds the character `\u{1b}` at character 2
    a\u{a0}b          2 host name `a\u{a0}b` holds the character `\u{a0}` at character 2
    ..                1 host name `..` names a folder
    {a,b}*            1 host name `{a` holds `{` at character 1
    ");
}

#[test]
fn what_is_not_in_the_inventory_is_shown() {
    let texts = [
        "@",
        "@wbe",
        "@web1",
        "@db,@wbe",
        "web*,nope*",
        "@nope*",
        "@@web",
        "@web:x",
    ];
    insta::assert_snapshot!(failures(&texts), @"
    @                 2 expected a group name, found the end
    @wbe              1 group `wbe` is not defined; did you mean `web`?
    @web1             1 group `web1` is not defined; did you mean `web`?
    @db,@wbe          5 group `wbe` is not defined; did you mean `web`?
    web*,nope*        6 `nope*` matches nothing in the inventory
    @nope*            1 `@nope*` matches nothing in the inventory
    @@web             1 group `@web` is not defined; did you mean `web`?
    @web:x            6 port `x` is not a number from 1 to 65535
    ");
}

#[test]
fn too_many_names_are_refused_before_any_is_made() {
    let texts = [
        "a[1-1000001]",
        "a[1-999999999]",
        "a[1-1000][1-1000][1-1000]",
        "a[0-99999999999999999999999]",
        "[0-9][0-9][0-9][0-9][0-9][0-9][0-9][0-9][0-9][0-9][0-9][0-9][0-9][0-9][0-9][0-9][0-9][0-9][0-9][0-9]",
        "a[1-999999],b[1-2]",
        "x[1-1001]*",
    ];
    insta::assert_snapshot!(failures(&texts), @"
    a[1-1000001]      1 1000001 names are too many; a pattern stands for at most 1000000
    a[1-999999999]    1 999999999 names are too many; a pattern stands for at most 1000000
    a[1-1000][1-1000][1-1000]  1 1000000000 names are too many; a pattern stands for at most 1000000
    a[0-99999999999999999999999]  1 18446744073709551615 or more names are too many; a pattern stands for at most 1000000
    [0-9][0-9][0-9][0-9][0-9][0-9][0-9][0-9][0-9][0-9][0-9][0-9][0-9][0-9][0-9][0-9][0-9][0-9][0-9][0-9]  1 18446744073709551615 or more names are too many; a pattern stands for at most 1000000
    a[1-999999],b[1-2] 13 1000001 names are too many; a pattern stands for at most 1000000
    x[1-1001]*        1 1001 globs are too many; ranges beside `*` or `?` make at most 1000
    ");
}

#[test]
fn the_caret_stands_under_the_column() {
    let show = |text: &str| Pattern::parse(text).unwrap_err();
    let error = show("web[1-3],größe\u{1b}");
    insta::assert_snapshot!(error, @r"pattern `web[1-3],größe\u{1b}`, column 15: host name `größe\u{1b}` holds the character `\u{1b}` at character 6");
    insta::assert_snapshot!(error.caret(), @r"
    web[1-3],größe\u{1b}
                  ^
    ");
    insta::assert_snapshot!(show("日本,a[9-1]").caret(), @"
    日本,a[9-1]
           ^
    ");
    let long = format!("{}a[9-1],{}", "web1,".repeat(50), "web2,".repeat(50));
    insta::assert_snapshot!(show(&long), @"pattern `…b1,web1,web1,web1,web1,web1,web1,web1,a[9-1],web2,web2,web2,web2,web2,web2,web2,…`, column 253: `9-1` runs backwards");
    insta::assert_snapshot!(show(&long).caret(), @"
    …b1,web1,web1,web1,web1,web1,web1,web1,a[9-1],web2,web2,web2,web2,web2,web2,web2,…
                                             ^
    ");
    assert_eq!(show(&long).text(), long);
}

#[test]
fn deep_nesting_is_an_error_and_not_a_crash() {
    let nested = |depth: usize| format!("{}a{}", "(".repeat(depth), ")".repeat(depth));
    assert_eq!(expanded(&nested(MAX_DEPTH)), "a");
    let error = Pattern::parse(&nested(MAX_DEPTH + 1)).unwrap_err();
    assert_eq!(error.reason(), &Reason::TooDeep);
    assert_eq!(error.column(), MAX_DEPTH + 1);
    assert!(Pattern::parse(&"(".repeat(1_000_000)).is_err());
    assert!(Pattern::parse(&"[1]".repeat(1_000_000)).is_err());
    assert!(Pattern::parse(&"[".repeat(1_000_000)).is_err());
}

#[test]
fn a_million_names_are_the_limit_counted_as_written() {
    for text in [
        "a[1-1000000]",
        "a[1-1000][1-1000]",
        "a[1-1000000]!a[1-999999]",
        "a[1-600000]&a[1-600000]",
        "a[1-500000],b[1-500000]",
        "a[1-999999],(b1!b[1-1000000])!b[1-1000000]",
    ] {
        assert!(Pattern::parse(text).is_ok(), "{text}");
    }
    for text in [
        "a[0-1000000]",
        "a[1-500001],b[1-500000]",
        "a[1-500001]^b[1-500000]",
        "a1,(a[1-500001],b[1-499999])",
        "a!(a[1-999999999])",
        "a!b[1-1000001]",
        "a&b[1-1000001]",
        "@group[1-1000001]",
    ] {
        let error = Pattern::parse(text).unwrap_err();
        assert!(matches!(error.reason(), Reason::TooMany { .. }), "{text}");
    }
    let error = parse_host_entry("a[1-1000001]").unwrap_err();
    assert!(matches!(error.reason(), Reason::TooMany { .. }));
}

#[test]
fn names_stream_without_being_kept() {
    let pattern = Pattern::parse("(rack[1-10]-node[0001-9999])").unwrap();
    assert_eq!(pattern.count(), Ok(99_990));
    let mut names = pattern.names().unwrap();
    assert_eq!(names.nth(9_999).unwrap(), "rack2-node0001");
    assert_eq!(names.last().unwrap(), "rack10-node9999");
}

#[test]
fn repeated_names_are_counted_once() {
    for text in [
        "n[1,11][1,11]",
        "n[1-3,2]",
        "a,a",
        "n[1,11][1,11].x",
        "[1-9/2,3]",
    ] {
        let pattern = Pattern::parse(text).unwrap();
        let names: Vec<String> = pattern.names().unwrap().collect();
        let distinct: BTreeSet<&String> = names.iter().collect();
        assert_eq!(names.len(), distinct.len(), "{text}");
        assert_eq!(pattern.count().unwrap(), names.len() as u64, "{text}");
    }
}

#[test]
fn without_an_inventory_groups_and_globs_are_errors() {
    for text in ["@web", "web*", "@*", "a!@web"] {
        let error = Pattern::parse(text).unwrap().names().unwrap_err();
        assert!(
            matches!(error.reason(), Reason::NoInventory { .. }),
            "{text}"
        );
    }
}

#[test]
fn unknown_names_are_found_wherever_they_are_written() {
    let check = |text: &str| {
        let fleet = fleet();
        let is_known = |name: &str| fleet.hosts.iter().any(|host| host.as_str() == name);
        let checked = Pattern::parse(text).unwrap().check_known(&fleet, is_known);
        checked.map_err(|error| format!("{} {}", error.column(), error.reason()))
    };
    assert_eq!(check("@web,db[1-2]!(web1&web*)"), Ok(()));
    assert_eq!(check("@typo"), Ok(()), "groups are checked when expanded");
    insta::assert_snapshot!(check("web1,wbe2").unwrap_err(), @"6 host `wbe2` is not in the inventory (`--ad-hoc` allows that); did you mean `web2`?");
    insta::assert_snapshot!(check("@web!(web1,root@wbe2)").unwrap_err(), @"17 host `wbe2` is not in the inventory (`--ad-hoc` allows that); did you mean `web2`?");
    insta::assert_snapshot!(check("web[1-100]").unwrap_err(), @"1 host `web4` and 96 more are not in the inventory (`--ad-hoc` allows that); did you mean `web3`?");
    insta::assert_snapshot!(check("web").unwrap_err(), @"1 host `web` is not in the inventory (`--ad-hoc` allows that); did you mean `@web`?");
    insta::assert_snapshot!(check("something.else").unwrap_err(), @"1 host `something.else` is not in the inventory (`--ad-hoc` allows that)");
}

#[test]
fn an_entry_is_one_host_or_range() {
    for (text, names) in [
        ("web1", "web1"),
        ("web-1.example_x.org", "web-1.example_x.org"),
        ("root@web[01-02]:22", "web01 web02"),
        ("[2001:db8::1]:22", "2001:db8::1"),
        ("::1", "::1"),
        ("10.0.0.[9-10]", "10.0.0.9 10.0.0.10"),
        ("größe", "größe"),
    ] {
        let set = parse_host_entry(text).unwrap();
        let found: Vec<&str> = set.iter().map(|(name, _)| name.as_str()).collect();
        assert_eq!(found.join(" "), names, "{text}");
    }
    let entry = parse_host_entry("root@web[01-02]:22").unwrap();
    let login = entry.get("web02").unwrap();
    assert_eq!(login.user.as_ref().unwrap().as_str(), "root");
    assert_eq!(login.port, Some(Port::SSH));
    assert_eq!(entry.get("web3"), None);
}

#[test]
fn an_entry_is_nothing_else() {
    let shown: Vec<String> = [
        "",
        " web1",
        "web1 ",
        "web1,web2",
        "web1!",
        "(web1)",
        "@web",
        "root@@web",
        "web*",
        "a[1-2]b?",
        "-x",
        ".",
        "a[1-010]",
        "a=b",
        "a\0",
    ]
    .iter()
    .map(|text| {
        let error = parse_host_entry(text).unwrap_err();
        format!(
            "{:<10} {} {}",
            escaped(text),
            error.column(),
            error.reason()
        )
    })
    .collect();
    insta::assert_snapshot!(shown.join("\n"), @r"
               1 expected a host name, found the end
     web1      1 a blank is not allowed here: expected one host or range of hosts
    web1       5 a blank is not allowed here: expected one host or range of hosts
    web1,web2  5 `,` is not allowed here: expected one host or range of hosts
    web1!      5 `!` is not allowed here: expected one host or range of hosts
    (web1)     1 `(` is not allowed here: expected one host or range of hosts
    @web       1 `@` is not allowed here: expected one host or range of hosts
    root@@web  6 `@` is not allowed here: expected one host or range of hosts
    web*       4 `*` is not allowed here: expected one host or range of hosts
    a[1-2]b?   8 `?` is not allowed here: expected one host or range of hosts
    -x         1 host name `-x` starts with `-`
    .          1 host name `.` names a folder
    a[1-010]   3 `1` and `010` are not padded with zeros to the same width
    a=b        2 host name `a=b` holds `=` at character 2
    a\u{0}     2 host name `a\u{0}` holds the character `\u{0}` at character 2
    ");
}

#[test]
fn sets_compare_by_content_and_keep_their_order() {
    let set = |text: &str| names(text).into_iter().collect::<HostSet>();
    let shown = |set: HostSet| {
        let names: Vec<String> = set.into_iter().map(|name| name.to_string()).collect();
        names.join(" ")
    };
    let (left, right) = (set("c a b"), set("d b c"));
    assert_eq!(shown(left.union(&right)), "c a b d");
    assert_eq!(shown(left.difference(&right)), "a");
    assert_eq!(shown(left.intersection(&right)), "c b");
    assert_eq!(shown(left.symmetric_difference(&right)), "a d");
    assert_eq!(set("a b"), set("b a"));
    let mut grown = HostSet::new();
    assert!(grown.is_empty());
    assert!(grown.insert(names("a").remove(0)));
    assert!(!grown.insert(names("a").remove(0)));
    grown.extend(names("b a"));
    assert_eq!(grown.len(), 2);
    assert!(grown.contains("b") && !grown.contains("c"));
}

#[test]
fn the_nearest_word_is_suggested() {
    let words = ["web", "db", "cache", "monitoring"];
    let near = |word| suggest(word, words.into_iter());
    assert_eq!(near("wbe"), Some("web"));
    assert_eq!(near("wen"), Some("web"));
    assert_eq!(near("monitorng"), Some("monitoring"));
    assert_eq!(near("cahce"), Some("cache"));
    assert_eq!(near("xyz"), None);
    assert_eq!(near("frontend"), None);
    assert_eq!(suggest("web", std::iter::empty()), None);
    assert_eq!(suggest("web9", ["web1", "web2"].into_iter()), Some("web1"));
}
