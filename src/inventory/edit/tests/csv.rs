//! CSV and TSV.

use std::fmt::Write;
use std::slice::from_ref;

use super::{edited, load, put, removed, row, whole_row};
use crate::inventory::edit::{Gone, Row};

const HEADER: &str = "name,address,user,port,groups,provider,id,host_key\n";

#[test]
fn a_new_file_has_a_header() {
    let scratch = super::Scratch::empty("fleet.csv");
    let mut edit = scratch.open();
    assert!(!edit.is_changed());
    edit.put(&[whole_row("app-1"), row("app-2")]).unwrap();
    edit.save().unwrap();
    assert_eq!(
        std::fs::read_to_string(&scratch.path).unwrap(),
        format!(
            "{HEADER}app-1,203.0.113.7,root,2222,app,vultr,id-app-1,ssh-ed25519 AAAA+/==\n\
             app-2,203.0.113.7,,,app,vultr,id-app-2,\n"
        )
    );
    for blank in ["", "\n\n"] {
        let text = put("fleet.tsv", blank, &[row("app-1")]).unwrap();
        let header = HEADER.replace(',', "\t");
        assert_eq!(
            text,
            format!("{blank}{header}app-1\t203.0.113.7\t\t\tapp\tvultr\tid-app-1\t\n")
        );
    }
}

#[test]
fn everything_else_stays_as_it_is() {
    let text = "\u{feff}\"id\"; NAME ;note;Provider;address;Groups\r\n\r\n;web1;\"a\r\n\"\"b\"\" ;\";;10.0.0.1; x|y \r\n; ;;\r\n\"id-app-1\" ;\tapp-1;\"mine; kept\";vultr;\"10.0.0.2\"\r\n;web2";
    let rows = [row("app-1"), row("app-2")];
    let after = put("fleet.csv", text, &rows).unwrap();
    assert_eq!(
        after,
        "\u{feff}\"id\"; NAME ;note;Provider;address;Groups\r\n\r\n;web1;\"a\r\n\"\"b\"\" ;\";;10.0.0.1; x|y \r\n; ;;\r\n\"id-app-1\" ;\tapp-1;\"mine; kept\";vultr;\"203.0.113.7\";app\r\n;web2\r\nid-app-2;app-2;;vultr;203.0.113.7;app"
    );
    assert_eq!(put("fleet.csv", &after, &rows).unwrap(), after);
    assert_eq!(
        removed("fleet.csv", &after, &rows),
        "\u{feff}\"id\"; NAME ;note;Provider;address;Groups\r\n\r\n;web1;\"a\r\n\"\"b\"\" ;\";;10.0.0.1; x|y \r\n; ;;\r\n;web2"
    );
}

#[test]
fn missing_columns_are_added_at_the_end() {
    let text = "host,rack,\nweb1\n\nweb2,a1,,\nweb3,\"a\n2\"";
    let after = put("fleet.csv", text, &[row("app-1")]).unwrap();
    assert_eq!(
        after,
        "host,rack,,address,groups,provider,id\nweb1,,,,,,\n\nweb2,a1,,,,,\nweb3,\"a\n2\",,,,,\napp-1,,,203.0.113.7,app,vultr,id-app-1"
    );
    let more = put("fleet.csv", &after, &[whole_row("app-1")]).unwrap();
    assert_eq!(
        more.lines().last().unwrap(),
        "app-1,,,203.0.113.7,app,vultr,id-app-1,root,2222,ssh-ed25519 AAAA+/=="
    );
    assert_eq!(load("fleet.csv", more.as_bytes()).len(), 4);
}

#[test]
fn a_header_in_quotes_makes_rows_in_quotes() {
    let text = "\"name\",\"address\",\"provider\",\"id\"\n";
    let without_groups = Row {
        groups: Vec::new(),
        ..row("app-1")
    };
    assert_eq!(
        put("fleet.csv", text, &[without_groups]).unwrap(),
        format!("{text}\"app-1\",\"203.0.113.7\",\"vultr\",\"id-app-1\"\n")
    );
}

#[test]
fn groups_are_added_to_those_that_are_there() {
    for (before, after) in [
        ("", "app"),
        ("web", "web app"),
        ("web;db", "web;db;app"),
        ("web | db", "web | db|app"),
        ("db app", "db app"),
    ] {
        let line = |groups: &str| format!("{HEADER}app-1,203.0.113.7,,,{groups},vultr,id-app-1,\n");
        assert_eq!(
            put("a.csv", &line(before), &[row("app-1")]).unwrap(),
            line(after)
        );
    }
}

#[test]
fn a_server_that_was_made_again_keeps_its_row_but_not_its_key() {
    let text = format!("{HEADER}app-1,10.0.0.1,me,22,app,vultr,old,ssh-ed25519 AAAA\n");
    assert_eq!(
        put("a.csv", &text, &[row("app-1")]).unwrap(),
        format!("{HEADER}app-1,203.0.113.7,me,22,app,vultr,id-app-1,\n")
    );
    let text = format!("{HEADER}former,10.0.0.1,,,app,vultr,id-app-1,ssh-ed25519 AAAA\n");
    assert_eq!(
        put("a.csv", &text, &[row("app-1")]).unwrap(),
        format!("{HEADER}app-1,203.0.113.7,,,app,vultr,id-app-1,ssh-ed25519 AAAA\n")
    );
}

#[test]
fn rows_of_others_are_never_touched() {
    let text = "name,provider,rack\nweb1,,a\n app-1,,b\n";
    insta::assert_snapshot!(put("a.csv", text, &[row("app-1")]).unwrap_err(), @"a.csv:3:1: found host `app-1`, which somebody else wrote (no row of its own that says `provider` and `id`); expected another name, or no such row");
    let text = "name,provider\napp-1,ovh\n";
    insta::assert_snapshot!(put("a.csv", text, &[row("app-1")]).unwrap_err(), @"a.csv:2:1: found host `app-1`, which is a server of `ovh`; expected another name, or no such row");
    for text in [
        "name,provider,id\napp-1,,\n",
        "name\napp-1\n",
        "name,provider,id\napp-1,ovh,id-app-1\n",
        "name,provider,id\napp-1,vultr,another\n",
        "name,provider,id\nother,vultr,another\n",
    ] {
        assert_eq!(removed("a.csv", text, &[row("app-1")]), text);
    }
}

#[test]
fn rows_without_an_id_go_by_name() {
    let text = format!("{HEADER}web1\napp-1,,,,,vultr\napp-2,,,,,vultr,x\n");
    let gone = |name: &str, id: Option<&str>| Gone {
        name: name.to_owned(),
        provider: "vultr".to_owned(),
        id: id.map(ToOwned::to_owned),
    };
    let gone = [
        gone("app-1", Some("y")),
        gone("app-2", None),
        gone("web1", None),
    ];
    let after = edited("a.csv", &text, |edit| {
        let left = edit.remove(&gone)?;
        assert_eq!(left.len(), 1);
        assert!(left[0].ends_with("a.csv:2"), "{left:?}");
        Ok(())
    });
    assert_eq!(after.unwrap(), format!("{HEADER}web1\n"));
}

#[test]
fn what_can_not_be_written_is_refused() {
    let bad = |change: fn(&mut Row)| {
        let mut row = row("app-1");
        change(&mut row);
        let error = put("a.csv", HEADER, &[row.clone()]).unwrap_err();
        let text = put("a.txt", "[app]\n", &[row]).unwrap_err();
        assert_eq!(error.replace("a.csv", "a.txt"), text);
        error
    };
    insta::assert_snapshot!(bad(|row| row.name = "#app".to_owned()), @"a.csv: can't write the name of server `#app`: host name `#app` holds `#` at character 1; expected a host name or an IP address");
    insta::assert_snapshot!(bad(|row| row.id = "=1+2".to_owned()), @"a.csv: can't write the id of server `app-1`: found the character `=`; expected a text that a spreadsheet does not take for a formula");
    insta::assert_snapshot!(bad(|row| row.id = "a\nb".to_owned()), @r"a.csv: can't write the id of server `app-1`: found the character `\n`; expected a provider's id");
    for name in [
        "", "[app", "!a", "a b", "a\nb", "-a", "+a", "a,b", "web[1-3]", "a\"b", "a:1",
    ] {
        assert!(put("a.csv", HEADER, &[row(name)]).is_err(), "{name}");
    }
    for id in ["", "\u{1b}[2J", "+1", "@x", "-x", " x", "x\u{202e}"] {
        bad_id(id);
    }
    bad(|row| row.address = "10.0.0.1:22".to_owned());
    bad(|row| row.address = String::new());
    bad(|row| row.port = Some(0));
    bad(|row| row.user = Some("a;b".to_owned()));
    bad(|row| row.provider = String::new());
    bad(|row| row.host_key = Some("ssh-ed25519".to_owned()));
    bad(|row| row.host_key = Some("ssh-ed25519 AAAA\nx".to_owned()));
    bad(|row| row.groups = vec!["a]".to_owned()]);
    insta::assert_snapshot!(put("a.csv", HEADER, &[row("a"), row("a")]).unwrap_err(), @"a.csv: can't write the name of server `a`: found a second server with `a`; expected one of each");
}

fn bad_id(id: &str) {
    let row = Row {
        id: id.to_owned(),
        ..row("app-1")
    };
    assert!(put("a.csv", HEADER, &[row]).is_err(), "{id:?}");
}

#[test]
fn ids_with_quotes_and_commas_are_written_in_quotes() {
    let odd = Row {
        id: "a,\"b\"#c;d".to_owned(),
        ..row("app-1")
    };
    let after = put("a.csv", HEADER, from_ref(&odd)).unwrap();
    assert!(after.ends_with(",vultr,\"a,\"\"b\"\"#c;d\",\n"), "{after}");
    assert_eq!(removed("a.csv", &after, &[odd]), HEADER);
}

#[test]
fn a_million_rows_are_edited() {
    let mut text = String::from("name,address,provider,id,groups\n");
    for number in 0..1_000_000 {
        writeln!(text, "n{number},10.0.0.1,,,all").unwrap();
    }
    let rows: Vec<_> = (0..100)
        .map(|number| row(&format!("app-{number}")))
        .collect();
    let scratch = super::Scratch::new("a.csv", &text);
    let mut edit = scratch.open();
    edit.put(&rows).unwrap();
    assert!(edit.text().starts_with(text.as_bytes()));
    let gone: Vec<_> = rows.iter().map(super::gone).collect();
    assert!(edit.remove(&gone).unwrap().is_empty());
    assert!(!edit.is_changed());
}
