//! Plain text, pssh and pdsh files.

use std::fs;
use std::path::Path;

use super::{all, dump, error, group, load};
use crate::hostset::Pattern;
use crate::inventory::{Inventory, Source};

#[test]
fn a_line_is_a_host_and_what_is_said_of_it() {
    let text = "\
web[1-2] rack=a1 note='two  words'
root@db1:2222 address=10.0.0.7 identity=~/.ssh/db jump=gate,gate2 # busy
[2001:db8::1]:22
cache1 transport=local groups='cache;prod' host_key=\"ssh-ed25519 AAAA+/==\"
";
    insta::assert_snapshot!(dump(&load("fleet", text)), @r"
    web1 {rack=a1, note=two  words}
    web2 {rack=a1, note=two  words}
    db1 address=10.0.0.7 user=root port=2222 identity=~/.ssh/db jump=gate,gate2
    2001:db8::1 port=22
    cache1 transport=local host_key=ssh-ed25519 AAAA+/== [cache prod]
    ");
}

#[test]
fn hosts_may_be_named_like_keys_and_headers() {
    for name in [
        "user",
        "name",
        "host",
        "port",
        "ansible_host",
        "all",
        "include",
        "vars",
    ] {
        assert_eq!(dump(&load("fleet", name)), name);
        assert_eq!(
            dump(&load("fleet", &format!("x,{name}"))),
            format!("x\n{name}")
        );
    }
    assert_eq!(dump(&load("fleet", "name,db1")), "name\ndb1");
}

#[test]
fn comments_blank_lines_and_every_line_end_are_read() {
    let text =
        "\u{feff}# first\r\n\r\n  a1  \t\r; ini\n\t# x\n a2#glued\n#include these hosts\na3 k=v#w";
    assert_eq!(dump(&load("fleet", text)), "a1\na2\na3 {k=v}");
    assert!(load("fleet", "").is_empty());
    assert!(load("fleet", "\n# nothing\n").is_empty());
}

#[test]
fn comments_need_not_be_utf8_but_hosts_do() {
    let source = Source::bytes("fleet", b"# M\xfcller\nweb1\n".to_vec());
    assert_eq!(Inventory::load(&[source]).unwrap().len(), 1);
    let source = Source::bytes("fleet", b"web1 owner=M\xfcller\n".to_vec());
    insta::assert_snapshot!(Inventory::load(&[source]).unwrap_err(), @"fleet:1:13: found byte 0xfc, which is not UTF-8; expected UTF-8 (save the file as UTF-8)");
}

#[test]
fn the_second_column_of_pssh_is_the_user() {
    assert_eq!(
        dump(&load("hosts", "web1 root\nweb2:22\tjane")),
        "web1 user=root\nweb2 user=jane port=22"
    );
    assert_eq!(
        dump(&load("hosts", r"web1 CORP\jane")),
        r"web1 user=CORP\jane"
    );
    assert_eq!(
        dump(&load("hosts", r"CORP\jane@web1")),
        r"web1 user=CORP\jane"
    );
    insta::assert_snapshot!(error("hosts", "root@web1 jane"), @"hosts:1:1: found a second user `root`; expected one, or the same (`jane`) again");
    insta::assert_snapshot!(error("hosts", "web1 web2 web3"), @"hosts:1:6: found `web2`; expected key=value (hosts have a line each, or commas between)");
    insta::assert_snapshot!(error("hosts", "[g]\nweb1 jane"), @"hosts:2:6: found `jane`; expected key=value (hosts have a line each, or commas between)");
}

#[test]
fn lists_of_pdsh_may_have_blanks_after_commas() {
    assert_eq!(
        dump(&load("wcoll", "a1,b[1-2], c1,\nd1")),
        "a1\nb1\nb2\nc1\nd1"
    );
    assert_eq!(
        dump(&load("wcoll", "a1,b1 rack=x")),
        "a1 {rack=x}\nb1 {rack=x}"
    );
    insta::assert_snapshot!(error("wcoll", "a1,b1, c/d,e1"), @"wcoll:1:9: host name `c/d` holds `/` at character 2; expected [user@]host[:port], ranges as in web[01-20]");
}

#[test]
fn only_ipv6_addresses_have_colons() {
    for text in ["fe80::1%eth0", "2001:db8::[a-f]", "[2001:db8::1]:22"] {
        assert!(!load("hosts", text).is_empty());
    }
    insta::assert_snapshot!(error("hosts", "a,2001:db8:7"), @"hosts:1:3: found `2001:db8:7`; expected an IPv6 address, or a host name without `:`");
    insta::assert_snapshot!(error("hosts", "[a:bc]:22"), @"hosts:1:1: found `a:bc`; expected an IPv6 address, or a host name without `:`");
}

#[test]
fn a_key_that_is_none_is_shown_where_it_stands() {
    insta::assert_snapshot!(error("hosts", "web1 a=b u\u{7}=c"), @r"hosts:1:11: found the character `\u{7}`; expected the name of a variable");
    insta::assert_snapshot!(error("hosts", "[g:vars]\n u\u{7} = c\n[g]"), @r"hosts:2:3: found the character `\u{7}`; expected the name of a variable");
}

#[test]
fn headings_put_hosts_in_groups() {
    let fleet = load(
        "fleet",
        "a1\n[web] # x\nb1\nb2\n[db]\nb2\n[web]\nb3\n[::1]\n[empty]",
    );
    insta::assert_snapshot!(dump(&fleet), @r"
    a1
    b1 [web]
    b2 [web db]
    b3 [web]
    ::1 [web]
    ");
    assert_eq!(fleet.group_names(), ["web", "db", "empty"]);
    assert_eq!(group(&fleet, "web"), ["b1", "b2", "b3", "::1"]);
    assert_eq!(group(&fleet, "ungrouped"), ["a1"]);
    assert_eq!(group(&fleet, "empty"), [""; 0]);
    assert_eq!(group(&fleet, "all").len(), 5);
    assert!(fleet.group("nope").is_none());
    assert_eq!(fleet.warnings(), [""; 0]);
}

#[test]
fn a_host_is_in_a_group_once_however_often_that_is_said() {
    let fleet = load("fleet", "[web]\nw1 groups='web db web' groups=db\n[db]\nw1");
    assert_eq!(dump(&fleet), "w1 [web db]");
    assert_eq!(group(&fleet, "web"), ["w1"]);
    assert_eq!(group(&fleet, "db"), ["w1"]);
}

#[test]
fn a_host_and_a_group_may_share_a_name() {
    let fleet = load("fleet", "[web]\nweb\nweb2");
    assert_eq!(fleet.get("web").unwrap().groups.len(), 1);
    assert_eq!(group(&fleet, "web"), ["web", "web2"]);
}

#[test]
fn every_error_in_a_host_points_at_it() {
    let errors = [
        "ok\n  a/b",
        "-oProxyCommand=x",
        "ok k=v\n-x",
        "ok\n..",
        "a\u{1b}[2J",
        "a\u{202e}b",
        "web1:99999",
        "x@y/z@web1",
    ];
    let shown: Vec<_> = errors.iter().map(|text| error("fleet", text)).collect();
    insta::assert_snapshot!(shown.join("\n"), @r"
    fleet:2:4: host name `a/b` holds `/` at character 2; expected [user@]host[:port], ranges as in web[01-20]
    fleet:1:1: found `-oProxyCommand=x`; expected a host before the first key=value
    fleet:2:1: host name `-x` starts with `-`; expected [user@]host[:port], ranges as in web[01-20]
    fleet:2:1: host name `..` names a folder; expected [user@]host[:port], ranges as in web[01-20]
    fleet:1:3: `[` is not closed; expected [user@]host[:port], ranges as in web[01-20]
    fleet:1:2: host name `a\u{202e}b` holds the character `\u{202e}` at character 2; expected [user@]host[:port], ranges as in web[01-20]
    fleet:1:6: port `99999` is not a number from 1 to 65535; expected [user@]host[:port], ranges as in web[01-20]
    fleet:1:4: user name `x@y/z` holds `/` at character 4; expected [user@]host[:port], ranges as in web[01-20]
    ");
}

#[test]
fn every_error_in_a_pair_points_at_it() {
    let errors = [
        "web1 user=a/b",
        "web1 user=\"a b\"",
        "web1 port=x",
        "web1 address=10.0.0.1:22",
        "web1 transport=telnet",
        "web1 identity=-x",
        "web1 host_key=AAAA",
        "web1 jump=\"a\u{7}b\"",
        "web1 user=a user=b",
        "root@web1 user=b",
        "web1 k=1 k=2",
        "web1 =x",
        "web1 k=v stray",
        "web1 k='v",
    ];
    let shown: Vec<_> = errors.iter().map(|text| error("fleet", text)).collect();
    insta::assert_snapshot!(shown.join("\n"), @r"
    fleet:1:12: user name `a/b` holds `/` at character 2; expected an account such as root
    fleet:1:13: user name `a b` holds a blank at character 2; expected an account such as root
    fleet:1:11: port `x` is not a number from 1 to 65535; expected a TCP port
    fleet:1:22: found the character `:`; expected a name or an IP address, without a port
    fleet:1:16: transport `telnet` is not one of `ssh`, `openssh`, `local`; expected a transport of hoist
    fleet:1:15: found `-x`, which starts with `-`; expected a path
    fleet:1:15: found host key `AAAA`; expected a key as in `ssh-ed25519 AAAA…`
    fleet:1:13: found the character `\u{7}`; expected hosts as `ssh -J` has them
    fleet:1:18: found a second user `b`; expected one, or the same (`a`) again
    fleet:1:1: found a second user `root`; expected one, or the same (`b`) again
    fleet:1:12: found a second `k` with value `2`; expected one, or the same (`1`) again
    fleet:1:6: found nothing; expected the name of a variable
    fleet:1:10: found `stray`; expected key=value (hosts have a line each, or commas between)
    fleet:1:8: found a `'` that is never closed; expected another `'`
    ");
}

#[test]
fn every_error_in_a_heading_points_at_it() {
    let errors = [
        "k=v",
        "web1 groups=a/b",
        "[web",
        "[a b]",
        "ok\n[]",
        "[web:kids]",
        "[-x]",
        "[web]x",
    ];
    let shown: Vec<_> = errors.iter().map(|text| error("fleet", text)).collect();
    insta::assert_snapshot!(shown.join("\n"), @r"
    fleet:1:1: found `k=v`; expected a host before the first key=value
    fleet:1:14: group name `a/b` holds `/` at character 2; expected a group name such as web
    fleet:1:2: found `[web`; expected a `]` at the end of the heading
    fleet:1:3: group name `a b` holds a blank at character 2; expected a group name such as web
    fleet:2:2: group name is empty; expected a group name such as web
    fleet:1:5: found `:kids`; expected [group], [group:children] or [group:vars]
    fleet:1:2: group name `-x` starts with `-`; expected a group name such as web
    fleet:1:2: `web` is neither a number nor a single letter; expected [user@]host[:port], ranges as in web[01-20]
    ");
}

#[test]
fn nul_bytes_are_shown_where_they_are() {
    insta::assert_snapshot!(error("fleet", "web1\nwe\0b2"), @"fleet:2:3: found a NUL byte; expected a text, CSV or JSON inventory in UTF-8");
}

#[test]
fn repeated_hosts_are_counted_once_for_all() {
    let fleet = load("fleet", "a1 k=v\nb1\na1 k=v\nb1\na1\n");
    assert_eq!(dump(&fleet), "a1 {k=v}\nb1");
    insta::assert_snapshot!(fleet.warnings().join("\n"), @"3 rows repeat a host and add nothing, such as `a1` at fleet:3, first at fleet:1");
    insta::assert_snapshot!(load("fleet", "a1\na1").warnings().join("\n"), @"1 row repeats a host and adds nothing: `a1` at fleet:2, first at fleet:1");
    insta::assert_snapshot!(load("fleet", "[g]\na1\n[h]\na1\n[g]\na1").warnings().join("\n"), @"1 row repeats a host and adds nothing: `a1` at fleet:6, first at fleet:2");
    assert_eq!(load("fleet", "[g]\na1\n[all]\na1").warnings(), [""; 0]);
}

/// Writes files into a new folder.
fn folder(files: &[(&str, &str)]) -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    for (name, text) in files {
        let path = folder.path().join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    }
    folder
}

/// Loads a file of `folder`; errors don't name the folder.
fn load_from(folder: &Path, name: &str) -> Result<Inventory, String> {
    let strip = format!("{}/", folder.display());
    Inventory::load(&[Source::File(folder.join(name))])
        .map_err(|error| error.to_string().replace(&strip, ""))
}

#[test]
fn includes_are_found_beside_the_file_that_names_them() {
    let folder = folder(&[
        ("w", "#include sub/x\nz1\n"),
        ("sub/x", "#include y\nx1\n"),
        ("sub/y", "y1\n"),
        ("y", "wrong\n"),
    ]);
    let fleet = load_from(folder.path(), "w").unwrap();
    assert_eq!(dump(&fleet), "y1\nx1\nz1");
    assert!(fleet.origin("y1").unwrap().ends_with("sub/y:1"));
    assert!(fleet.origin("z1").unwrap().ends_with("w:2"));
}

#[test]
fn an_include_is_a_comment_in_a_file_with_headings() {
    let folder = folder(&[("w", "#include nowhere\n[g]\nz1\n")]);
    assert_eq!(load_from(folder.path(), "w").unwrap().len(), 1);
}

#[test]
fn included_files_must_be_there_and_end() {
    let mut deep: Vec<_> = (0..20)
        .map(|n| (format!("d{n}"), format!("#include d{}\n", n + 1)))
        .collect();
    deep.push(("d20".to_owned(), "x1\n".to_owned()));
    let mut files: Vec<_> = deep.iter().map(|(name, text)| (&**name, &**text)).collect();
    files.extend([
        ("missing", "a1\n#include nowhere\n"),
        ("self", "#include self\n"),
        ("ring", "#include ring2\n"),
        ("ring2", "x1\n#include ./ring\n"),
        ("dir", "#include ..\n"),
        ("bad", "#include worse\n"),
        ("worse", "a1\nb/c\n"),
    ]);
    let folder = folder(&files);
    let names = ["missing", "self", "ring", "dir", "d0", "bad"];
    let errors = names.map(|name| load_from(folder.path(), name).unwrap_err());
    insta::assert_snapshot!(errors.join("\n"), @r"
    missing:2:1: found #include of `nowhere`, which can't be read (No such file or directory (os error 2)); expected the name of a text file, from where this file is
    self:1:1: found #include of `self`, which includes this file; expected the name of a text file, from where this file is
    ring2:2:1: found #include of `./ring`, which includes this file; expected the name of a text file, from where this file is
    dir:1:1: found #include of `..`, which is no ordinary file; expected the name of a text file, from where this file is
    d16:1:1: found #include of `d17`, 16 files deep; expected the name of a text file, from where this file is
    worse:2:2: host name `b/c` holds `/` at character 2; expected [user@]host[:port], ranges as in web[01-20]
    ");
    insta::assert_snapshot!(error("<stdin>", "#include /etc/passwd"), @"<stdin>:1:1: found #include of `/etc/passwd`, but this is no file itself; expected the name of a text file, from where this file is");
}

#[test]
fn a_file_included_twice_is_read_once() {
    let folder = folder(&[("w", "#include x\n#include x\n"), ("x", "x1\n")]);
    let fleet = load_from(folder.path(), "w").unwrap();
    assert_eq!(fleet.len(), 1);
    assert!(fleet.warnings()[0].ends_with("w:2: `x` is included already"));
}

#[test]
fn a_later_source_adds_to_a_host() {
    let fleet = all(&[
        ("a", "web1 rack=a1"),
        ("b", "root@web1 rack=a1 row=2\nweb2"),
    ])
    .unwrap();
    assert_eq!(dump(&fleet), "web1 user=root {rack=a1, row=2}\nweb2");
    assert_eq!(fleet.columns(), ["rack", "row"]);
    assert_eq!(fleet.warnings(), [""; 0]);
}

#[test]
fn errors_show_the_beginning_of_long_values_alone() {
    let long = "x".repeat(1_000_000);
    let texts = [
        format!("w1 port={long}"),
        format!("w1 transport={long}"),
        format!("w1 host_key={long}"),
        format!("w1 identity=a identity={long}"),
        format!("w1 k=a k={long}"),
        format!("w1 {long}=a"),
        format!("w1 k=a\nw1 k={long}"),
        long.clone(),
        format!("w1 b c{long}"),
        format!("w1 k=v {long}"),
        format!("{long}=v"),
        format!("[{long}]"),
        format!("[{long}"),
        format!("[g:{long}]"),
        format!("[g:vars]\n{long}"),
        format!("w[1-{long}]"),
        format!("#include {long}"),
    ];
    for (name, text) in texts.iter().map(|text| ("fleet", text)) {
        let error = error(name, text);
        assert!(error.len() < 500, "{error}");
    }
    let csv = [
        format!("{long},{long}\n"),
        format!("name,{long}\n"),
        format!("name\nw1,{long}\n"),
        format!("name,groups\nw1,{long}\n"),
    ];
    for text in csv {
        let error = error("a.csv", &text);
        assert!(error.len() < 500, "{error}");
    }
    for text in [
        format!("[{long}]"),
        format!("[{{\"host\": \"w1\", \"port\": \"{long}\"}}]"),
    ] {
        let error = error("a.json", &text);
        assert!(error.len() < 500, "{error}");
    }
}

#[test]
fn patterns_ask_an_inventory_for_names_and_groups() {
    let fleet = load("fleet", "[web]\nweb[1-3]\n[db]\nroot@db1:2222");
    let expand = |pattern: &str| {
        let expanded = Pattern::parse(pattern).unwrap().expand(&fleet).unwrap();
        expanded.names().fold()
    };
    assert_eq!(expand("@web!web2"), "web[1,3]");
    assert_eq!(expand("*1"), "db1,web1");
    assert_eq!(expand("@all"), "db1,web[1-3]");
}
