//! Which files are edited, and how they are replaced.

use std::fs::{self, Permissions};
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::Path;

use super::{Scratch, row};
use crate::inventory::edit::{Edit, EditError, apply};

const HEADER: &str = "name,address,groups,provider,id\n";

#[test]
fn a_link_stays_and_its_target_keeps_its_mode() {
    let scratch = Scratch::new("real.csv", HEADER);
    fs::set_permissions(&scratch.path, Permissions::from_mode(0o640)).unwrap();
    let link = scratch.folder.path().join("link.csv");
    symlink("real.csv", &link).unwrap();
    let mut edit = Edit::open(&link).unwrap();
    edit.put(&[row("app-1")]).unwrap();
    assert!(edit.is_changed());
    edit.save().unwrap();
    assert!(!edit.is_changed());
    assert!(fs::symlink_metadata(&link).unwrap().is_symlink());
    let mode = fs::metadata(&scratch.path).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o640);
    assert!(fs::read_to_string(&scratch.path).unwrap().contains("app-1"));
    assert_eq!(fs::read_dir(scratch.folder.path()).unwrap().count(), 2);
    edit.put(&[row("app-2")]).unwrap();
    edit.save().unwrap();
}

#[test]
fn nothing_is_written_where_nothing_changes() {
    let scratch = Scratch::empty("fleet.csv");
    let mut edit = scratch.open();
    edit.put(&[]).unwrap();
    edit.remove(&[super::gone(&row("app-1"))]).unwrap();
    edit.save().unwrap();
    assert!(!scratch.path.exists());
}

#[test]
fn a_file_that_changed_meanwhile_is_left_alone() {
    let scratch = Scratch::new("a.csv", HEADER);
    let mut edit = scratch.open();
    edit.put(&[row("app-1")]).unwrap();
    let other = format!("{HEADER}web1\n");
    fs::write(&scratch.path, &other).unwrap();
    let error = edit.save().unwrap_err();
    insta::assert_snapshot!(scratch.show(&error), @"a.csv: changed by somebody else meanwhile; nothing was written, try again");
    assert_eq!(fs::read_to_string(&scratch.path).unwrap(), other);
    fs::remove_file(&scratch.path).unwrap();
    assert!(matches!(edit.save(), Err(EditError::Changed { .. })));

    let begun = Scratch::empty("b.csv");
    let mut edit = begun.open();
    edit.put(&[row("app-1")]).unwrap();
    fs::write(&begun.path, &other).unwrap();
    assert!(matches!(edit.save(), Err(EditError::Changed { .. })));
    assert_eq!(fs::read_dir(begun.folder.path()).unwrap().count(), 1);
}

#[test]
fn a_change_is_applied_again_when_the_file_changed_meanwhile() {
    let scratch = Scratch::new("a.csv", HEADER);
    let mut calls = 0;
    let change = |edit: &mut Edit| {
        calls += 1;
        if calls == 1 {
            fs::write(&scratch.path, format!("{HEADER}web1\n")).unwrap();
        }
        edit.put(&[row("app-1")])
    };
    apply(&scratch.path, change).unwrap();
    assert_eq!(
        fs::read_to_string(&scratch.path).unwrap(),
        format!("{HEADER}web1\napp-1,203.0.113.7,app,vultr,id-app-1\n")
    );
}

#[test]
fn many_at_once_lose_nothing() {
    let scratch = Scratch::new("a.txt", "[app]\n");
    std::thread::scope(|scope| {
        for number in 0..4 {
            let path = &scratch.path;
            scope.spawn(move || {
                let rows = [row(&format!("app-{number}"))];
                while apply(path, |edit| edit.put(&rows)).is_err() {}
            });
        }
    });
    let text = fs::read_to_string(&scratch.path).unwrap();
    // Between the comparison and the renaming another's rows can get lost, never the file.
    assert!(text.starts_with("[app]\napp-"), "{text}");
}

#[test]
fn what_is_no_ordinary_file_is_refused() {
    let error = Edit::open(Path::new("-")).unwrap_err().to_string();
    insta::assert_snapshot!(error, @"-: found standard input, which can't be edited; expected an ordinary CSV, TSV or text file");
    let scratch = Scratch::empty("fleet");
    fs::create_dir(&scratch.path).unwrap();
    insta::assert_snapshot!(scratch.error(), @"fleet: found a folder, which can't be edited; expected an ordinary CSV, TSV or text file");
    let scratch = Scratch::empty("fleet");
    rustix::fs::mkfifoat(rustix::fs::CWD, &scratch.path, rustix::fs::Mode::RWXU).unwrap();
    insta::assert_snapshot!(scratch.error(), @"fleet: found a pipe, which can't be edited; expected an ordinary CSV, TSV or text file");
    let scratch = Scratch::new("fleet", "#!/bin/sh\n");
    fs::set_permissions(&scratch.path, Permissions::from_mode(0o755)).unwrap();
    insta::assert_snapshot!(scratch.error(), @"fleet: found a program that prints an inventory, which can't be edited; expected an ordinary CSV, TSV or text file");
    let scratch = Scratch::empty("fleet");
    symlink("nowhere", &scratch.path).unwrap();
    insta::assert_snapshot!(scratch.error(), @"fleet: found a link to a file that is not there, which can't be edited; expected an ordinary CSV, TSV or text file");
    insta::assert_snapshot!(Scratch::empty("no/fleet").error(), @"no/fleet: there is no folder no to make it in");
    for (name, text) in [("a.json", ""), ("a", "[{\"host\": 1}]"), ("a.yaml", "x")] {
        let error = Scratch::new(name, text).error();
        assert!(
            error.contains("which can't be edited; expected "),
            "{error}"
        );
    }
    assert!(Edit::open(Path::new("/dev/null")).is_err());
}

#[test]
fn a_file_that_does_not_load_is_refused_in_the_words_of_loading() {
    insta::assert_snapshot!(Scratch::new("a.csv", "name,user\nweb1,a/b\n").error(), @"a.csv:2:7: user name `a/b` holds `/` at character 2; expected an account such as root");
    insta::assert_snapshot!(Scratch::new("a.txt", "web1 a\0\n").error(), @"a.txt:1:7: found a NUL byte; expected a text, CSV or JSON inventory in UTF-8");
    let scratch = Scratch::empty("a.csv");
    fs::write(&scratch.path, b"\xff\xfen\0a\0").unwrap();
    insta::assert_snapshot!(scratch.error(), @"a.csv: found UTF-16 text; expected UTF-8 (in Excel: save as `CSV UTF-8`)");
    fs::write(&scratch.path, b"name\nna\xefve\n").unwrap();
    insta::assert_snapshot!(scratch.error(), @"a.csv:2:3: found byte 0xef, which is not UTF-8; expected UTF-8 (save the file as UTF-8)");
}
