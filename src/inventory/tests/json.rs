//! Records and lists of names in JSON.

use super::{all, dump, error, load};

const RECORD: &str = r#"{"host": "web1", "address": "10.0.0.1", "user": null, "port": 2222,
    "status": "failed", "kind": "exit", "exit_code": 3, "changed": false, "stdout": "a\nb"}"#;

#[test]
fn records_of_hoist_are_inventories() {
    let expected = "web1 address=10.0.0.1 port=2222 {status=failed, kind=exit, exit_code=3, changed=false, stdout=a\nb}";
    let line = RECORD.replace("\n ", " ");
    for (name, text) in [
        ("a.json", format!("[{RECORD}]")),
        ("a.jsonl", format!("{line}\n")),
        ("<stdin>", line),
        ("<stdin>", format!("  [ {RECORD} ]")),
    ] {
        assert_eq!(dump(&load(name, &text)), expected, "{text}");
    }
}

#[test]
fn records_may_come_one_after_another() {
    let fleet = load(
        "<stdin>",
        "{\"host\":\"a1\"}\n{\"name\":\"a2\",\"groups\":[\"web\",\"web\"]}\n\n{\"name\":\"a3\",\"groups\":\"x|y\"}",
    );
    assert_eq!(dump(&fleet), "a1\na2 [web]\na3 [x y]");
    assert_eq!(fleet.origin("a3"), Some("<stdin>:4".to_owned()));
}

#[test]
fn a_list_may_be_of_names() {
    assert_eq!(
        dump(&load(
            "x",
            r#"["a1", "a2", {"host": "a3", "k": {"x": [1]}}]"#
        )),
        "a1\na2\na3 {k={\"x\": [1]}}"
    );
    assert!(load("x", "[]").is_empty());
    assert!(load("x.jsonl", "").is_empty());
}

#[test]
fn a_text_heading_is_not_json() {
    assert_eq!(dump(&load("x", "[web]\na1")), "a1 [web]");
}

#[test]
fn errors_point_at_the_value() {
    let errors = [
        r#"["a1", "a2""#,
        r#"["a1",, "a2"]"#,
        r#"["a1"] x"#,
        r#"["a1", 5]"#,
        r#"["a1", {"x": 5}]"#,
        r#"["a1", "b/c"]"#,
        r#"["a1", "b:22"]"#,
        r#"[{"host": "a1", "name": "a1"}]"#,
        r#"[{"host": "a1", "port": "x"}]"#,
        r#"[{"host": "a1", "port": 2.5}]"#,
        "{\"host\": \"a1\"}\n{\"host\": \"a2\", \"user\": \"a/b\"}",
        r#"[{"host": "a1", "user": "x"}, {"host": "a1", "user": "y"}]"#,
        r#"[{"host": "a1", "k": 1}, {"host": "a1", "k": 2}]"#,
        r#"[{"host": "a1", "k": 1, "k": 2}]"#,
        r#"[{"host": "a1", "groups": ["x", "y/z"]}]"#,
        r#"[{"host": "a1", "groups": 1}]"#,
        r#"{"host": "a1"} {"a": ["b"]}"#,
        "5",
    ];
    let shown: Vec<_> = errors.iter().map(|text| error("x.json", text)).collect();
    insta::assert_snapshot!(shown.join("\n"), @r"
    x.json:1:11: found broken JSON (EOF while parsing a list); expected valid JSON
    x.json:1:7: found broken JSON (expected value); expected valid JSON
    x.json:1:8: found broken JSON (expected value); expected valid JSON
    x.json:1:8: found `5`; expected a host name, or an object with a text `host` or `name`
    x.json:1:8: found an object; expected a host name, or an object with a text `host` or `name`
    x.json:1:10: host name `b/c` holds `/` at character 2; expected a host name or an IP address
    x.json:1:10: found the character `:`; expected a host name or an IP address, without a port
    x.json:1:18: found `name` beside `host`; expected one of them
    x.json:1:26: port `x` is not a number from 1 to 65535; expected a TCP port
    x.json:1:25: port `2.5` is not a number from 1 to 65535; expected a TCP port
    x.json:2:26: user name `a/b` holds `/` at character 2; expected an account such as root
    x.json:1:55: found user `y` for host `a1`, which has `x` at x.json:1; expected the same value or another name
    x.json:1:46: found k `2` for host `a1`, which has `1` at x.json:1; expected the same value or another name
    x.json:1:30: found a second `k` with value `2`; expected one, or the same (`1`) again
    x.json:1:35: group name `y/z` holds `/` at character 2; expected a group name such as web
    x.json:1:27: found `1`; expected an array of group names
    x.json:1:16: found an object; expected a host name, or an object with a text `host` or `name`
    x.json:1:1: found `5`; expected a host name, or an object with a text `host` or `name`
    ");
}

#[test]
fn there_may_be_many_variables_but_not_any_number() {
    let record = |count: usize| {
        let fields: Vec<_> = (0..count).map(|n| format!("\"k{n}\": {n}")).collect();
        format!("[{{\"host\": \"a1\", {}}}]", fields.join(", "))
    };
    assert_eq!(load("x.json", &record(4096)).columns().len(), 4096);
    insta::assert_snapshot!(error("x.json", &record(4097)), @"x.json:1:59238: found more than 4096 different variables; expected fewer");
}

#[test]
fn results_add_to_an_inventory() {
    let fleet = all(&[
        ("fleet.csv", "name,groups,user\nweb1,web,root\n"),
        (
            "<stdin>",
            "{\"host\":\"web1\",\"user\":\"root\",\"kind\":\"exit\"}",
        ),
    ]);
    assert_eq!(dump(&fleet.unwrap()), "web1 user=root [web] {kind=exit}");
}

#[test]
fn deep_nesting_ends_in_a_value_or_an_error() {
    let deep = format!("{}{}", "[".repeat(100_000), "]".repeat(100_000));
    assert!(all(&[("x.json", &deep)]).is_err());
    let value = format!(r#"[{{"host": "a1", "k": {deep}}}]"#);
    let _ = all(&[("x.json", &value)]);
}

#[test]
fn one_long_line_takes_time_in_proportion() {
    let names: Vec<_> = (0..100_000).map(|n| format!("\"g{n}\"")).collect();
    let json = format!("{{\"top\": {{\"children\": [{}]}}}}", names.join(","));
    assert_eq!(load("x.json", &json).group_names().len(), 100_001);
}
