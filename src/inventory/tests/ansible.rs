//! Ansible's own files, INI and JSON.

use super::{all, dump, error, group, load};

#[test]
fn connection_keys_become_attributes() {
    let text = "\
a1 ansible_host=10.0.0.1 ansible_user=root ansible_port=2222
a2 ansible_ssh_host=10.0.0.2 ansible_ssh_user=jane ansible_ssh_port=23
a3 ansible_ssh_private_key_file=~/.ssh/a ansible_connection=local
a4 ansible_connection=smart ansible_python_interpreter=/usr/bin/python3
";
    insta::assert_snapshot!(dump(&load("hosts", text)), @r"
    a1 address=10.0.0.1 user=root port=2222
    a2 address=10.0.0.2 user=jane port=23
    a3 identity=~/.ssh/a transport=local
    a4 transport=ssh {ansible_python_interpreter=/usr/bin/python3}
    ");
}

#[test]
fn other_keys_are_variables_even_if_hoist_knows_them() {
    let text =
        "[db]\ndb1 ansible_host=10.0.0.1 port=5432 user=app id=7\n[db:vars]\nuser=x\naddress=y\n";
    insta::assert_snapshot!(dump(&load("hosts", text)), @"db1 address=10.0.0.1 [db] {port=5432, user=app, id=7, address=y}");
}

#[test]
fn a_connection_that_hoist_lacks_is_warned_of_once() {
    let fleet = load(
        "hosts",
        "w[1-3] ansible_connection=winrm\nl1 ansible_connection=local",
    );
    assert_eq!(
        dump(&fleet).lines().next(),
        Some("w1 {ansible_connection=winrm}")
    );
    insta::assert_snapshot!(fleet.warnings().join("\n"), @"ansible_connection=winrm is not known: `w1` (3 in all) is reached like any other host");
}

#[test]
fn ranges_may_be_written_with_colons() {
    let names = |text| dump(&load("hosts", text)).replace('\n', " ");
    assert_eq!(
        names("[w]\nweb[08:11].x:2222").split(' ').next(),
        Some("web08.x")
    );
    assert_eq!(names("web[1:3]"), "web1 web2 web3");
    insta::assert_snapshot!(error("hosts", "ok web[1:"), @"hosts:1:7: user name `web[1:` holds `[` at character 4; expected an account such as root");
}

#[test]
fn host_beats_child_beats_parent_beats_all() {
    let text = "\
[all:vars]
a=all
b=all
c=all
d=all
[parent:children]
child
[parent:vars]
b=parent
c=parent
d=parent
[child:vars]
c=child
d=child
[child]
h1 d=host
h2
[ungrouped:vars]
e=lonely
[ungrouped]
h3
";
    insta::assert_snapshot!(dump(&load("hosts", text)), @r"
    h1 [child] {d=host, c=child, b=parent, a=all}
    h2 [child] {c=child, d=child, b=parent, a=all}
    h3 {e=lonely, a=all, b=all, c=all, d=all}
    ");
}

#[test]
fn of_equals_the_priority_decides_and_then_the_last_name() {
    let text = "[a]\nh1\n[b]\nh1\n[a:vars]\nx=a\ny=a\n[b:vars]\nx=b\n";
    assert_eq!(dump(&load("hosts", text)), "h1 [a b] {x=b, y=a}");
    let text = format!("{text}[a:vars]\nansible_group_priority=10\n");
    assert!(dump(&load("hosts", &text)).contains("x=a"));
}

#[test]
fn groups_give_attributes_too() {
    let text = "[web]\nh1\nh2 user=own\n[web:vars]\nuser = deploy\nport=2222\ntransport=local\n";
    assert_eq!(
        dump(&load("hosts", text)),
        "h1 user=deploy port=2222 transport=local [web]\nh2 user=own port=2222 transport=local [web]"
    );
}

#[test]
fn values_of_groups_are_read_to_the_end_of_the_line() {
    let text = "\
[g]
h1
[g:vars]
a = two words
b=\"quoted # kept\" # comment
c=pa#ss
d=bare # comment
e=
f='x' 'y'
g=a=b
h=http://x/#top
";
    let fleet = load("hosts", text);
    let shown: Vec<_> = fleet.get("h1").unwrap().variables.iter().collect();
    insta::assert_snapshot!(format!("{shown:?}"), @r#"[("a", "two words"), ("b", "quoted # kept"), ("c", "pa#ss"), ("d", "bare"), ("e", ""), ("f", "'x' 'y'"), ("g", "a=b"), ("h", "http://x/#top")]"#);
}

#[test]
fn children_may_come_before_they_are_defined() {
    let fleet = load(
        "hosts",
        "[p:children]\nc1\nc2 # x\n[c2]\nh2\nh0\n[c1]\nh1\nh2\n[p]\nh3",
    );
    assert_eq!(group(&fleet, "p"), ["h1", "h2", "h0", "h3"]);
    assert_eq!(fleet.groups_of("h2"), ["c2", "c1", "p"]);
    assert_eq!(fleet.groups_of("nobody"), [""; 0]);
}

#[test]
fn another_file_may_define_a_child() {
    let fleet = all(&[("a", "[p:children]\nc"), ("b", "[c]\nh1")]).unwrap();
    assert_eq!(group(&fleet, "p"), ["h1"]);
}

#[test]
fn groups_that_make_no_sense_are_refused() {
    let errors = [
        "[web]\nh1\n[p:children]\n wbe",
        "[wbe:vars]\nx=1",
        "[a:children]\na",
        "[a:children]\nb\n[b:children]\nc\n[c:children]\na",
        "[a:children]\nall",
        "[a:children]\nungrouped",
        "[ungrouped:children]\na\n[a]",
        "[a:children]\nb c",
        "[a:children]\nb/c",
        "[a]\n[a:vars]\nnothing",
        "[a]\n[a:vars]\nx y=1",
        "[a]\n[a:vars]\nansible_port=99999",
        "[a]\n[a:vars]\nansible_host={{ inventory_hostname }}.example.org",
        "[a]\n[a:vars]\nx=1\n[a:vars]\nx=2",
    ];
    let shown: Vec<_> = errors.iter().map(|text| error("hosts", text)).collect();
    insta::assert_snapshot!(shown.join("\n"), @r"
    hosts:4:2: found group `wbe`, which is not defined; expected a [wbe] heading or another group; did you mean `web`?
    hosts:1:2: found group `wbe`, which is not defined; expected a [wbe] heading or another group
    hosts:2:1: found a group within itself (a > a); expected groups that end in hosts
    hosts:6:1: found a group within itself (a > b > c > a); expected groups that end in hosts
    hosts:2:1: found group `all` as a child; expected another group
    hosts:2:1: found group `ungrouped` as a child; expected another group
    hosts:2:1: found a child of group `ungrouped`; expected another group
    hosts:2:3: found `c`; expected one group a line
    hosts:2:2: group name `b/c` holds `/` at character 2; expected a group name such as web
    hosts:3:1: found `nothing`; expected key=value
    hosts:3:1: found `x y=1`; expected key=value
    hosts:3:14: port `99999` is not a number from 1 to 65535; expected a TCP port
    hosts:3:14: address `{{ inventory_hostname }}.example.org` holds `{` at character 1; expected a name or an IP address (templates are not evaluated)
    hosts:5:1: found x `2` for group `a`, which has `1` at hosts:3; expected the same value or another name
    ");
}

#[test]
fn groups_nest_64_deep_in_whatever_order_they_come() {
    let chain = |length: usize, is_reversed: bool| {
        let link = |n: usize| format!("[g{}:children]\ng{n}\n", n + 1);
        let mut links: Vec<_> = (0..length - 1).map(link).collect();
        if is_reversed {
            links.reverse();
        }
        format!("[g0]\nh1\n{}", links.concat())
    };
    for is_reversed in [false, true] {
        assert_eq!(group(&load("x", &chain(64, is_reversed)), "g63"), ["h1"]);
        let error = error("x", &chain(65, is_reversed));
        assert!(error.contains("groups nested deeper than 64"), "{error}");
        let error = super::error("x", &chain(100_000, is_reversed));
        assert!(error.contains("groups nested deeper than 64"), "{error}");
    }
}

#[test]
fn dynamic_json_may_list_groups_in_every_form() {
    let json = r#"{
        "short": ["h1", "h2"],
        "h3": {"ansible_user": "root", "x": null},
        "yaml": {
            "hosts": {"h4": {"ansible_host": "10.0.0.4"}, "h5": null},
            "children": {"deep": {"hosts": {"h6": {}}, "vars": {"v": 1.50}}}
        },
        "nothing": {},
        "void": null,
        "_meta": {"profile": "inventory_legacy", "hostvars": {"h1": {"ansible_user": "", "k": [1]}, "gone": {}}}
    }"#;
    let fleet = load("x.json", json);
    insta::assert_snapshot!(dump(&fleet), @r"
    h1 [short] {k=[1]}
    h2 [short]
    h3 user=root [h3]
    h4 address=10.0.0.4 [yaml]
    h5 [yaml]
    h6 [deep] {v=1.50}
    ");
    assert_eq!(group(&fleet, "yaml"), ["h6", "h4", "h5"]);
    assert_eq!(
        fleet.group_names(),
        ["short", "h3", "yaml", "deep", "nothing", "void"]
    );
    insta::assert_snapshot!(fleet.warnings().join("\n"), @"1 host of `_meta.hostvars` is in no group and left out");
}

#[test]
fn dynamic_json_lists_a_host_as_often_as_it_likes() {
    let fleet = load(
        "x.json",
        r#"{"a": ["h1", "h1"], "all": {"hosts": ["h1"]}, "b": ["h1"]}"#,
    );
    assert_eq!(dump(&fleet), "h1 [a b]");
    assert_eq!(fleet.warnings(), [""; 0]);
}

#[test]
fn dynamic_json_errors_point_at_the_value() {
    let errors = [
        r#"{"a": {"hosts": "h1"}}"#,
        r#"{"a": {"hosts": ["h1", 7]}}"#,
        r#"{"a": {"hosts": ["h1", "-x"]}}"#,
        r#"{"a": {"children": ["b"]}, "b": {"children": ["a"]}}"#,
        r#"{"a/b": ["h1"]}"#,
        r#"{"a": 5}"#,
        r#"{"a": {"vars": ["x"]}}"#,
        r#"{"a": {"hosts": ["h1"], "vars": {"ansible_port": 0}}}"#,
        r#"{"a": ["h1"], "_meta": {"hostvars": {"h1": {"ansible_host": "x\u001b"}}}}"#,
        r#"{"a": ["h1"], "_meta": {"hostvars": {"h1": {"k": "\u0000"}}}}"#,
        r#"{"a": ["h1"], "_meta": {"hostvars": {"h1": 1}}}"#,
        r#"{"_meta": 1}"#,
        r#"{"a": ["\ud800"]}"#,
        "{\"a\": [\"h1\",\n  ]}",
    ];
    let shown: Vec<_> = errors.iter().map(|text| error("x.json", text)).collect();
    insta::assert_snapshot!(shown.join("\n"), @r#"
    x.json:1:17: found `"h1"`; expected an array of host names
    x.json:1:24: found `7`; expected a host name
    x.json:1:25: host name `-x` starts with `-`; expected a host name or an IP address
    x.json:1:47: found a group within itself (a > b > a); expected groups that end in hosts
    x.json:1:4: group name `a/b` holds `/` at character 2; expected a group name such as web
    x.json:1:7: found `5`; expected a group: an object or an array of hosts
    x.json:1:16: found an array; expected an object of variables
    x.json:1:50: port `0` is not a number from 1 to 65535; expected a TCP port
    x.json:1:63: address `x\u{1b}` holds the character `\u{1b}` at character 2; expected a name or an IP address (templates are not evaluated)
    x.json:1:51: found a NUL byte; expected text without NUL bytes
    x.json:1:44: found `1`; expected an object of variables
    x.json:1:11: found `1`; expected an object with `hostvars`
    x.json:1:15: found broken JSON (unexpected end of hex escape); expected valid JSON
    x.json:2:3: found broken JSON (expected value); expected valid JSON
    "#);
}
