//! CSV and TSV, as spreadsheets and hoist itself write them.

use std::time::Duration;

use rustix::time::{ClockId, clock_gettime};

use super::{dump, error, group, load};
use crate::inventory::{Inventory, Source};

#[test]
fn every_known_column_is_an_attribute_and_others_are_variables() {
    let csv = "\
name,address,user,port,groups,identity,jump,transport,provider,id,host_key,Rack
web1,10.0.0.1,root,2222,web prod,~/.ssh/id,gate,ssh,vultr,i-1,ssh-ed25519 AAAA,a1
";
    let fleet = load("fleet.csv", csv);
    insta::assert_snapshot!(dump(&fleet), @"web1 address=10.0.0.1 user=root port=2222 identity=~/.ssh/id jump=gate transport=ssh provider=vultr id=i-1 host_key=ssh-ed25519 AAAA [web prod] {Rack=a1}");
    assert_eq!(fleet.columns(), ["Rack"]);
}

#[test]
fn spreadsheets_add_marks_quotes_blanks_and_empty_cells() {
    let csv = "\u{feff}\"Name\" , USER,note,,\r\n\r\n web1 ,\" root\",\"say \"\"hi\"\",\r\nthere\",,\r\n,,,,\r\nweb2\r\n\"\",,\"  \",,\r\n";
    let fleet = load("fleet.csv", csv);
    assert_eq!(
        dump(&fleet),
        "web1 user=root {note=say \"hi\",\r\nthere}\nweb2"
    );
    assert_eq!(fleet.origin("web2"), Some("fleet.csv:6".to_owned()));
}

#[test]
fn old_macs_end_lines_with_cr() {
    let fleet = load("fleet.csv", "name,x\rweb1,1\rweb2,2\r");
    assert_eq!(dump(&fleet), "web1 {x=1}\nweb2 {x=2}");
    assert_eq!(fleet.origin("web2"), Some("fleet.csv:3".to_owned()));
    insta::assert_snapshot!(error("fleet.csv", "name,user\rweb1,1\rweb2,a/b\r"), @"fleet.csv:3:7: user name `a/b` holds `/` at character 2; expected an account such as root");
}

#[test]
fn the_header_tells_the_delimiter() {
    assert_eq!(
        dump(&load("a.csv", "name;groups;x\nweb1;a|b;1,5\n")),
        "web1 [a b] {x=1,5}"
    );
    assert_eq!(dump(&load("a.csv", "name\tx\nweb1\t1,5\n")), "web1 {x=1,5}");
    assert_eq!(
        dump(&load("a.csv", "\"na;me\",name\n1,web1\n")),
        "web1 {na;me=1}"
    );
    assert_eq!(
        dump(&load("a.tsv", "name\tx,y,z\nweb1\t1\n")),
        "web1 {x,y,z=1}"
    );
    assert_eq!(dump(&load("a.csv", "name\nweb1\n")), "web1");
}

#[test]
fn results_of_hoist_are_inventories() {
    let csv =
        "host,address,user,port,status,kind,stdout\nweb1,10.0.0.1,root,22,failed,exit,\"a\nb\"\n";
    for name in ["results.csv", "<stdin>", "results.txt"] {
        let fleet = load(name, csv);
        assert_eq!(
            dump(&fleet),
            "web1 address=10.0.0.1 user=root port=22 {status=failed, kind=exit, stdout=a\nb}"
        );
    }
}

#[test]
fn groups_are_separated_by_blanks_semicolons_or_bars() {
    let fleet = load(
        "a.csv",
        "name,groups\nw1,a b;c|d  a\nw2,\nw3,all ungrouped\n",
    );
    assert_eq!(dump(&fleet), "w1 [a b c d]\nw2\nw3");
    assert_eq!(fleet.group_names(), ["a", "b", "c", "d"]);
    assert_eq!(group(&fleet, "ungrouped"), ["w2", "w3"]);
}

#[test]
fn errors_point_at_the_cell() {
    let errors = [
        "",
        "\n\n",
        "address,user\n10.0.0.1,root\n",
        "name,host\na,b\n",
        "name,User,user\na,b,c\n",
        "name,x,x\na,b,c\n",
        "name,a\u{7}b\nx,y\n",
        "name,user\nweb1,root\nweb2,  a/b\n",
        "name,user\nweb1,\"a \"\"/b\"\n",
        "note,user\n\"two\nlines\",x\n",
        "note,name,port\n\"two\nlines\",web1,x\n",
        "name\nweb[1-3]\n",
        "name\nroot@web1\n",
        "name\nweb1:22\n",
        "name,user\n,root\n",
        "name\n-x\n",
        "name\n../x\n",
        "name,,user\nweb1,x,root\n",
        "name,user\nweb1,root,x\n",
        "name,groups\nweb1,a b/c\n",
        "name,host_key\nweb1,nonsense\n",
        "name,note\nweb1,\"open\nweb2,x\n",
        "name,note\nweb1,x\nweb1,y\n",
        "name,user\nweb1,\nweb1,a\nweb1,b\n",
    ];
    let shown: Vec<_> = errors.iter().map(|text| error("a.csv", text)).collect();
    insta::assert_snapshot!(shown.join("\n"), @r#"
    a.csv:1:1: found no rows; expected a header row with a column `name`
    a.csv:1:1: found no rows; expected a header row with a column `name`
    a.csv:1:1: found the columns `address`, `user`; expected a header row with a column `name`
    a.csv:1:6: found a second column `host`; expected one column of each name
    a.csv:1:11: found a second column `user`; expected one column of each name
    a.csv:1:8: found a second column `x`; expected one column of each name
    a.csv:1:7: found the character `\u{7}`; expected the name of a variable
    a.csv:3:9: user name `a/b` holds `/` at character 2; expected an account such as root
    a.csv:2:8: user name `a "/b` holds a blank at character 2; expected an account such as root
    a.csv:1:1: found the columns `note`, `user`; expected a header row with a column `name`
    a.csv:3:13: port `x` is not a number from 1 to 65535; expected a TCP port
    a.csv:2:4: host name `web[1-3]` holds `[` at character 4; expected a host name or an IP address
    a.csv:2:5: host name `root@web1` holds `@` at character 5; expected a host name or an IP address
    a.csv:2:5: found the character `:`; expected a host name or an IP address, without a port
    a.csv:2:1: host name is empty; expected a host name or an IP address
    a.csv:2:1: host name `-x` starts with `-`; expected a host name or an IP address
    a.csv:2:3: host name `../x` holds `/` at character 3; expected a host name or an IP address
    a.csv:2:6: found `x` in a column without a header; expected at most the 3 columns of the header row, each with a name
    a.csv:2:11: found `x` in a column without a header; expected at most the 2 columns of the header row, each with a name
    a.csv:2:9: group name `b/c` holds `/` at character 2; expected a group name such as web
    a.csv:2:6: found host key `nonsense`; expected a key as in `ssh-ed25519 AAAA…`
    a.csv:2:6: found a `"` that is never closed; expected another `"`
    a.csv:3:6: found note `y` for host `web1`, which has `x` at a.csv:2; expected the same value or another name
    a.csv:4:6: found user `b` for host `web1`, which has `a` at a.csv:3; expected the same value or another name
    "#);
}

#[test]
fn other_encodings_are_refused_with_the_way_out() {
    let utf16: Vec<u8> = "\u{feff}name\n"
        .encode_utf16()
        .flat_map(u16::to_le_bytes)
        .collect();
    let load = |bytes: &[u8]| Inventory::load(&[Source::bytes("a.csv", bytes.into())]).unwrap_err();
    insta::assert_snapshot!(load(&utf16), @"a.csv: found UTF-16 text; expected UTF-8 (in Excel: save as `CSV UTF-8`)");
    insta::assert_snapshot!(load(&utf16[2..]), @"a.csv:1:2: found a NUL byte; expected a text, CSV or JSON inventory in UTF-8");
    insta::assert_snapshot!(load(b"name,owner\nweb1,M\xfcller\n"), @"a.csv:2:7: found byte 0xfc, which is not UTF-8; expected UTF-8 (save the file as UTF-8)");
    insta::assert_snapshot!(load(b"PK\x03\x04...."), @"a.csv: found a spreadsheet or a ZIP archive; expected CSV (save it as CSV)");
}

#[test]
fn rows_of_one_host_agree_or_are_refused() {
    let fleet = load(
        "a.csv",
        "name,user,x\nw1,root,\nw1,,1\nw1,root,1\nw1,root,1\n",
    );
    assert_eq!(dump(&fleet), "w1 user=root {x=1}");
    insta::assert_snapshot!(fleet.warnings().join("\n"), @"2 rows repeat a host and add nothing, such as `w1` at a.csv:4, first at a.csv:2");
}

#[test]
fn places_in_cells_of_several_lines_are_found() {
    insta::assert_snapshot!(error("a.csv", "name,\" \na\"\"\u{7}\"\nweb1,\n"), @r"a.csv:2:4: found the character `\u{7}`; expected the name of a variable");
    insta::assert_snapshot!(error("a.csv", "name,user\nweb1,\" r\"\"o\n\"\n"), @r#"a.csv:2:9: user name `r"o\n` holds `"` at character 2; expected an account such as root"#);
}

#[test]
fn a_bad_group_is_shown_where_it_stands_in_its_cell() {
    insta::assert_snapshot!(error("a.csv", "name,groups\nweb1,\" p;\nr/o\"\n"), @"a.csv:3:2: group name `r/o` holds `/` at character 2; expected a group name such as web");
    insta::assert_snapshot!(error("a", "web1 groups='p -q'"), @"a:1:16: group name `-q` starts with `-`; expected a group name such as web");
}

/// As many cells in few wide rows as in many narrow ones: what a cell costs must not grow with the
/// width of its row.
#[test]
fn wide_rows_cost_no_more_than_their_cells() {
    let time = |text: &str, name: &str| {
        let before = clock_gettime(ClockId::ThreadCPUTime);
        assert!(!load(name, text).is_empty());
        Duration::try_from(clock_gettime(ClockId::ThreadCPUTime) - before).unwrap()
    };
    let csv = |columns: usize, rows: usize| {
        let header: Vec<_> = (0..columns).map(|column| format!(",v{column}")).collect();
        let rows = (0..rows).map(|row| format!("h{row}{}\n", ",1".repeat(columns)));
        format!("name{}\n{}", header.concat(), rows.collect::<String>())
    };
    let text = |pairs: usize, rows: usize| {
        let pairs: Vec<_> = (0..pairs).map(|pair| format!(" v{pair}=1")).collect();
        let rows = (0..rows).map(|row| format!("h{row}{}\n", pairs.concat()));
        rows.collect::<String>()
    };
    let (wide, narrow) = (time(&csv(4000, 20), "a.csv"), time(&csv(20, 4000), "a.csv"));
    assert!(
        wide < narrow * 10,
        "{wide:?}, and {narrow:?} in narrow rows"
    );
    let (wide, narrow) = (
        time(&text(2000, 20), "a.ini"),
        time(&text(20, 2000), "a.ini"),
    );
    assert!(
        wide < narrow * 20,
        "{wide:?}, and {narrow:?} on short lines"
    );
}
