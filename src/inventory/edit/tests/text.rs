//! Text inventories, hoist's own and Ansible's.

use std::slice::from_ref;

use super::{Scratch, edited, gone, load, put, removed, row, whole_row};
use crate::inventory::edit::Row;

#[test]
fn a_new_file_has_a_heading() {
    for name in ["fleet", "fleet.txt", "fleet.ini"] {
        let scratch = Scratch::empty(name);
        let mut edit = scratch.open();
        edit.put(&[whole_row("app-1")]).unwrap();
        edit.save().unwrap();
        assert_eq!(
            std::fs::read_to_string(&scratch.path).unwrap(),
            "[app]\napp-1 address=203.0.113.7 user=root port=2222 provider=vultr id=id-app-1 host_key=\"ssh-ed25519 AAAA+/==\"\n"
        );
    }
}

const LINE: &str = "app-2 address=203.0.113.7 provider=vultr id=id-app-2";

#[test]
fn lines_go_to_the_end_of_their_group() {
    for (before, after) in [
        (
            "[app]\napp-x  # one\n\n# of db\n[db]\ndb1\n",
            "[app]\napp-x  # one\nLINE\n\n# of db\n[db]\ndb1\n",
        ),
        ("[app]\r\n; none\r\n[db]", "[app]\r\nLINE\r\n; none\r\n[db]"),
        ("[db]\ndb1\n[app]", "[db]\ndb1\n[app]\nLINE"),
        ("[app]\na\n#x\nb\n\n", "[app]\na\n#x\nb\nLINE\n\n"),
        ("[app:vars]\nx=1\n[app]\n", "[app:vars]\nx=1\n[app]\nLINE\n"),
        (
            "[app]\na\n[db]\n[app]\nb\n",
            "[app]\na\nLINE\n[db]\n[app]\nb\n",
        ),
        ("web1\n", "web1\n\n[app]\nLINE\n"),
        ("web1", "web1\n\n[app]\nLINE"),
        ("web1\n\n", "web1\n\n[app]\nLINE\n"),
        ("\u{feff}# x\r\n", "\u{feff}# x\r\n\r\n[app]\r\nLINE\r\n"),
    ] {
        let after = after.replace("LINE", LINE);
        assert_eq!(put("a.txt", before, &[row("app-2")]).unwrap(), after);
        assert_eq!(put("a.txt", &after, &[row("app-2")]).unwrap(), after);
        if before.contains("[app]") {
            assert_eq!(removed("a.txt", &after, &[row("app-2")]), before);
        }
    }
}

#[test]
fn lines_are_brought_up_to_date() {
    for (before, after) in [
        (
            "  app-1 provider=vultr id='id-app-1' rack=a  # mine",
            "  app-1 provider=vultr id='id-app-1' rack=a address=203.0.113.7  # mine",
        ),
        (
            "me@app-1:22 address=\"10.0.0.1\" provider=vultr id=id-app-1",
            "me@app-1:22 address=203.0.113.7 provider=vultr id=id-app-1",
        ),
        (
            "app-1 id=old host_key='ssh-ed25519 A' provider=vultr",
            "app-1 id=id-app-1 provider=vultr address=203.0.113.7",
        ),
        (
            "former provider=vultr id=id-app-1 address=203.0.113.7",
            "app-1 provider=vultr id=id-app-1 address=203.0.113.7",
        ),
    ] {
        let (before, after) = (format!("[app]\n{before}\n"), format!("[app]\n{after}\n"));
        assert_eq!(put("a.txt", &before, &[row("app-1")]).unwrap(), after);
    }
    let text = "[app]\nme@app-1:22 provider=vultr id=id-app-1 address=203.0.113.7\n";
    assert_eq!(
        put("a.txt", text, &[whole_row("app-1")]).unwrap(),
        "[app]\nroot@app-1:2222 provider=vultr id=id-app-1 address=203.0.113.7 host_key=\"ssh-ed25519 AAAA+/==\"\n"
    );
}

#[test]
fn a_server_may_be_in_several_groups() {
    let both = Row {
        groups: vec!["app".to_owned(), "web".to_owned(), "all".to_owned()],
        ..row("app-2")
    };
    let text = "[web]\nweb1\n";
    let after = put("a.txt", text, from_ref(&both)).unwrap();
    assert_eq!(
        after,
        format!("[web]\nweb1\napp-2 provider=vultr id=id-app-2\n\n[app]\n{LINE}\n")
    );
    assert_eq!(put("a.txt", &after, from_ref(&both)).unwrap(), after);
    assert_eq!(removed("a.txt", &after, &[both]), "[web]\nweb1\n\n[app]\n");
    let moved = format!("[web]\n{LINE}\n");
    assert_eq!(
        put("a.txt", &moved, &[row("app-2")]).unwrap(),
        format!("{moved}\n[app]\napp-2 provider=vultr id=id-app-2\n")
    );
    let none = Row {
        groups: Vec::new(),
        ..row("app-2")
    };
    let text = "a\n\n[web]\nb\n";
    assert_eq!(
        put("a.txt", text, &[none]).unwrap(),
        format!("a\n{LINE}\n\n[web]\nb\n")
    );
}

#[test]
fn lists_of_pssh_and_pdsh_get_no_heading() {
    let text = "web1 root\nweb2:2222\n";
    let after = put("a.txt", text, &[row("app-2")]).unwrap();
    assert_eq!(after, format!("{text}{LINE} groups=app\n"));
    let more = Row {
        groups: vec!["db".to_owned(), "app".to_owned()],
        ..row("app-2")
    };
    assert_eq!(
        put("a.txt", &after, &[more]).unwrap(),
        format!("{text}{LINE} groups=app;db\n")
    );
    assert_eq!(removed("a.txt", &after, &[row("app-2")]), text);
    insta::assert_snapshot!(put("a.txt", "web1 root\nweb2 ansible_port=1\n", &[row("app-2")]).unwrap_err(), @"a.txt: nothing was written, since afterwards its other lines would mean something else (a [group] heading); edit the file by hand");
}

#[test]
fn files_of_ansible_keep_its_keys() {
    let text = "[web]\nweb1 ansible_host=10.0.0.1 user=x\n[app]\n";
    let after = put("hosts", text, &[whole_row("app-1")]).unwrap();
    assert_eq!(
        after,
        format!(
            "{text}app-1 ansible_host=203.0.113.7 ansible_user=root ansible_port=2222 provider=vultr id=id-app-1 host_key=\"ssh-ed25519 AAAA+/==\"\n"
        )
    );
    let host = load("hosts", after.as_bytes());
    let host = host.get("app-1").unwrap();
    assert_eq!(host.variables.get("id"), Some("id-app-1"));
    let moved = Row {
        address: "10.9.9.9".to_owned(),
        ..row("app-1")
    };
    assert_eq!(
        put("hosts", &after, &[moved]).unwrap(),
        after.replace("203.0.113.7", "10.9.9.9")
    );
    assert_eq!(removed("hosts", &after, &[row("app-1")]), text);
}

#[test]
fn hosts_that_somebody_wrote_are_never_touched() {
    let error = |text: &str| put("a.txt", text, &[row("app-1")]).unwrap_err();
    insta::assert_snapshot!(error("[web]\n  app-1 rack=a\n"), @"a.txt:2:3: found host `app-1`, which somebody else wrote (no row of its own that says `provider` and `id`); expected another name, or no such row");
    insta::assert_snapshot!(error("[web]\nx\napp-[1-3]\n"), @"a.txt:3:1: found host `app-1`, which somebody else wrote (no row of its own that says `provider` and `id`); expected another name, or no such row");
    insta::assert_snapshot!(error("app-1 provider=ovh id=id-app-1\n"), @"a.txt:1:1: found host `app-1`, which is a server of `ovh`; expected another name, or no such row");
    error("web1,app-1\n");
    error("root@app-1:22\n");
    error("app-[1-3] provider=vultr\n");
    for text in [
        "app-1\n",
        "app-[1-3] provider=vultr\n",
        "app-1 provider=ovh\n",
        "app-1 provider=vultr id=2\n",
        "# app-1 provider=vultr id=id-app-1\n",
        "[x:vars]\nprovider=vultr\n[x]\n",
    ] {
        assert_eq!(removed("a.txt", text, &[row("app-1")]), text);
    }
}

#[test]
fn what_somebody_added_to_a_server_stays() {
    let text = "[app]\napp-1 provider=vultr id=id-app-1 address=10.0.0.1\n[web]\napp-1 rack=a\n";
    let after = put("a.txt", text, &[row("app-1")]).unwrap();
    assert_eq!(after, text.replace("10.0.0.1", "203.0.113.7"));
    let rest = edited("a.txt", &after, |edit| {
        let left = edit.remove(&[gone(&row("app-1"))])?;
        assert!(left.len() == 1 && left[0].ends_with("a.txt:3"), "{left:?}");
        Ok(())
    });
    assert_eq!(rest.unwrap(), "[app]\n[web]\napp-1 rack=a\n");
}

#[test]
fn an_edit_that_would_change_others_is_refused() {
    let text = "[web]\nw1 user=x\n[app]\napp-1 ansible_host=10.0.0.1 provider=vultr id=id-app-1\n";
    let error = edited("a.txt", text, |edit| {
        edit.remove(&[gone(&row("app-1"))]).map(drop)
    });
    insta::assert_snapshot!(error.unwrap_err(), @"a.txt: nothing was written, since afterwards host `w1` would be another; edit the file by hand");
    let text =
        "[app]\napp-1 provider=vultr id=id-app-1 address=10.0.0.1\n[web]\napp-1 address=10.0.0.1\n";
    insta::assert_snapshot!(put("a.txt", text, &[row("app-1")]).unwrap_err(), @"a.txt: nothing was written, since afterwards at a.txt:4:7: found address `10.0.0.1` for host `app-1`, which has `203.0.113.7` at a.txt:2; expected the same value or another name; edit the file by hand");
}

#[test]
fn odd_values_are_written_in_quotes() {
    for id in [
        "a b", "a#b", "a\"b", "a\\b", "it's", "a=b", ";a", "é", "$(x)",
    ] {
        let odd = Row {
            id: id.to_owned(),
            ..row("app-1")
        };
        let after = put("a.txt", "[app]\n", from_ref(&odd)).unwrap();
        let host = load("a.txt", after.as_bytes());
        assert_eq!(host.get("app-1").unwrap().id.as_deref(), Some(id));
        assert_eq!(put("a.txt", &after, from_ref(&odd)).unwrap(), after);
        assert_eq!(removed("a.txt", &after, &[odd]), "[app]\n");
    }
    for id in ["'a'", "\"a\""] {
        let odd = Row {
            id: id.to_owned(),
            ..row("app-1")
        };
        assert!(put("a.txt", "[app]\n", &[odd]).is_err(), "{id}");
    }
}
