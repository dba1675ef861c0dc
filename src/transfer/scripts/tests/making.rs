//! Changes that go well, and those that can't be made.

use std::sync::atomic::{AtomicBool, Ordering};

use super::*;

fn nothing_is_left(host: &Host, folder: &str) {
    let names = host.names(folder);
    let left: Vec<_> = names
        .iter()
        .filter(|name| name.contains(".hoist"))
        .collect();
    assert!(left.is_empty(), "{}: {left:?}", host.name);
}

#[test]
fn files_folders_and_links_come_and_go() {
    for mut host in Host::all() {
        host.write("replaced", "old");
        host.write("removed", "old");
        fs::create_dir_all(host.join("gone/in")).unwrap();
        fs::create_dir(host.join("target")).unwrap();
        symlink("target", host.join("link")).unwrap();
        symlink("target", host.join("file")).unwrap();
        host.write("set", "same");
        let set = Wanted {
            mode: Some(0o4711),
            modified: Some(1_000_000_000),
        };
        let mut list = vec![
            host.store("replaced", "new"),
            host.change("new", folder(0o2555)),
            host.change("new/in", folder(0o755)),
            host.change("new/in/x", What::MakeLink("y".into())),
            host.change("link", What::MakeLink("-n \\x\n".into())),
            host.change("set", What::Set(set)),
            host.change("removed", What::Remove),
            host.change("gone/in", What::RemoveFolder),
            host.change("gone", What::RemoveFolder),
        ];
        if host.has_tar() {
            list.push(host.store("file", "in the place of a link"));
        }
        host.done(&changes(list));
        assert_eq!(host.text("replaced"), "new");
        assert_eq!(host.mode("replaced"), 0o640);
        assert_eq!(host.mode("new"), 0o2555);
        assert_eq!(
            fs::read_link(host.join("link")).unwrap(),
            Path::new("-n \\x\n")
        );
        assert_eq!(host.mode("set"), 0o4711);
        assert_eq!(
            fs::metadata(host.join("set")).unwrap().mtime(),
            1_000_000_000
        );
        assert!(host.names("target").is_empty());
        if host.has_tar() {
            assert_eq!(host.text("file"), "in the place of a link");
            assert!(!host.join("file").is_symlink());
        }
        let names = host.names("");
        let expected = ["file", "link", "new", "replaced", "set", "target"];
        assert_eq!(names, expected, "{}", host.name);
    }
}

#[test]
fn odd_names_arrive_as_they_are() {
    for mut host in Host::all().filter(Host::has_tar) {
        let mode = |index: usize| 0o600 + u32::try_from(index).unwrap();
        let mut list = vec![host.change("new", folder(0o755))];
        for (index, name) in odd_names().iter().enumerate() {
            list.push(Change {
                path: Path::new("new").join(name),
                old: None,
                what: file(&"x".repeat(index * 300), mode(index)),
            });
        }
        host.done(&changes(list));
        for (index, name) in odd_names().iter().enumerate() {
            let path = Path::new("new").join(name);
            assert_eq!(host.text(&path), "x".repeat(index * 300));
            assert_eq!(host.mode(&path), mode(index), "{}", host.name);
        }
        assert_eq!(host.names("new").len(), odd_names().len());
    }
}

#[test]
fn times_are_kept_where_they_are_wanted() {
    for mut host in Host::all() {
        let timed = |text: &str, modified| {
            let What::Store(node, wanted) = file(text, 0o644) else {
                panic!()
            };
            What::Store(node, Wanted { modified, ..wanted })
        };
        let mut list = vec![host.change("old", timed("a", Some(1_000_000_001)))];
        if host.has_tar() {
            list.push(host.change("now", timed("b", None)));
        }
        host.done(&changes(list));
        let time = |name: &str| fs::metadata(host.join(name)).unwrap().mtime();
        assert_eq!(time("old"), 1_000_000_001, "{}", host.name);
        if host.has_tar() {
            assert!(time("now") > 1_600_000_000, "{}", host.name);
        }
    }
}

#[test]
fn without_tar_many_files_are_refused() {
    let mut host = Host::new("dash", Tools::Bare);
    let list = [host.store("a", "a"), host.store("b", "b")];
    let trouble = host.apply(&changes(list)).unwrap_err();
    insta::assert_snapshot!(trouble.message, @"the host has no `tar`, and without it only one file can be put there; nothing was changed");
    assert!(host.names("").is_empty());
}

#[test]
fn thousands_of_files_are_one_command() {
    let mut host = Host::usual();
    let names: Vec<String> = (0..1000).map(|index| format!("f{index}")).collect();
    let list = names.iter().map(|name| Change {
        path: name.into(),
        old: None,
        what: file(name, 0o600),
    });
    host.done(&changes(list));
    assert!(names.iter().all(|name| host.text(name) == *name));
    assert_eq!(host.names("").len(), 1000);
}

#[test]
fn bytes_are_counted_as_they_go_out() {
    let mut host = Host::usual();
    let counted = Arc::new(std::sync::atomic::AtomicU64::new(0));
    let count = Arc::clone(&counted);
    let gauge = Gauge::new(100_003, move |bytes, _| {
        count.store(bytes, Ordering::Relaxed);
    });
    let list = [
        host.store("a", "abc"),
        host.store("b", &"x".repeat(100_000)),
    ];
    let changes = changes(list);
    block_on(host.way().apply(&mut host, &changes, Arc::new(gauge))).unwrap();
    assert_eq!(counted.load(Ordering::Relaxed), 100_003);
}

#[test]
fn a_short_stream_is_never_installed() {
    let mut sample = Host::usual();
    let list = [sample.store("a", &"x".repeat(3000)), sample.store("b", "b")];
    let all = changes(list);
    let gauge = Arc::new(Gauge::new(0, |_, _| {}));
    let whole = Plan::of(&all, false).archive(gauge);
    let length = usize::try_from(crate::remote::Content::length(&whole)).unwrap();
    for (shell, tools) in [("dash", Tools::Gnu), ("busybox", Tools::Busybox)] {
        let mut host = Host::new(shell, tools);
        // Behind the last file's content, nothing is missed.
        let mut cuts: Vec<usize> = (0..length - 1536).step_by(512).collect();
        cuts.extend([1, 100, 700, length - 1536 - 511]);
        for cut in cuts {
            host.arrives = Some(cut);
            let trouble = host.apply(&all).unwrap_err();
            assert_eq!(trouble.kind, Kind::Transfer);
            assert!(host.names("").is_empty(), "{}: {cut}", host.name);
        }
    }
    let mut bare = Host::new("dash", Tools::Bare);
    let list = [bare.store("a", &"x".repeat(3000))];
    bare.arrives = Some(3000);
    let trouble = bare.apply(&changes(list)).unwrap_err();
    insta::assert_snapshot!(trouble.message, @"not all of the files arrived; nothing was changed");
    assert!(bare.names("").is_empty());
}

#[test]
fn what_became_a_folder_is_not_touched() {
    for mut host in Host::all() {
        let list = [host.store("target", "new")];
        fs::create_dir(host.join("target")).unwrap();
        let trouble = host.apply(&changes(list)).unwrap_err();
        assert_eq!(
            trouble.message, "cannot put into its place `target`: it is a folder by now",
            "{}",
            host.name
        );
        assert_eq!(host.names(""), ["target"]);
        assert!(host.names("target").is_empty());
    }
}

#[test]
fn a_failure_leaves_what_was_done_and_the_rest_alone() {
    for mut host in Host::all().filter(Host::has_tar) {
        let list = [
            host.store("first", "first"),
            host.store("missing/second", "second"),
            host.store("third", "third"),
        ];
        let trouble = host.apply(&changes(list)).unwrap_err();
        assert_eq!(trouble.kind, Kind::Transfer);
        let start = "cannot put into its place `missing/second`; what came before it is done: ";
        assert!(trouble.message.starts_with(start), "{}", trouble.message);
        assert_eq!(host.names(""), ["first"], "{}", host.name);
    }
}

#[test]
fn a_folder_that_is_closed_is_told() {
    let mut host = Host::usual();
    host.as_nobody();
    let list = [host.store("x", "x")];
    let trouble = host.apply(&changes(list)).unwrap_err();
    let start = "cannot make a folder for staging in ``: ";
    assert!(trouble.message.starts_with(start), "{}", trouble.message);
    assert!(
        trouble.message.ends_with("Permission denied"),
        "{}",
        trouble.message
    );
    assert!(host.names("").is_empty());
}

#[test]
fn owners_are_kept_or_set_with_other_rights() {
    for mut host in Host::all().filter(Host::has_tar) {
        host.elevation = Some(Elevation::With(vec!["env".to_owned()]));
        let own = |host: &Host, name: &str| {
            let own = fs::metadata(host.join(name)).unwrap();
            (own.uid(), own.gid())
        };
        host.write("old", "old");
        std::os::unix::fs::chown(host.join("old"), Some(65534), Some(7)).unwrap();
        let list = [
            host.change("old", file("new", 0o4755)),
            host.store("new", "new"),
        ];
        host.done(&changes(list));
        assert_eq!(own(&host, "old"), (65534, 7), "{}", host.name);
        assert_eq!(host.mode("old"), 0o4755, "{}", host.name);
        assert_eq!(own(&host, "new"), (0, 0));
        let mut all = changes([
            host.change("old", file("newer", 0o4755)),
            host.change("folder", folder(0o755)),
            host.change("link", What::MakeLink("x".into())),
            host.change("new", What::SetOwner),
        ]);
        all.owner = Some("7:65534");
        host.done(&all);
        for name in ["old", "folder", "new"] {
            assert_eq!(own(&host, name), (7, 65534), "{}: {name}", host.name);
        }
        let link = fs::symlink_metadata(host.join("link")).unwrap();
        assert_eq!((link.uid(), link.gid()), (7, 65534), "{}", host.name);
        assert_eq!(host.mode("old"), 0o4755, "{}", host.name);
        all.owner = Some("no-such-user");
        all.list = vec![host.store("old", "newest")];
        let trouble = host.apply(&all).unwrap_err();
        assert!(
            trouble.message.starts_with("cannot set the owner: "),
            "{trouble:?}"
        );
        assert!(trouble.message.contains("no-such-user"), "{trouble:?}");
        assert_eq!(host.text("old"), "newer");
        nothing_is_left(&host, "");
    }
}

#[test]
fn backups_lie_beside() {
    for mut host in Host::all() {
        host.write("a b", "old");
        fs::set_permissions(host.join("a b"), fs::Permissions::from_mode(0o604)).unwrap();
        fs::create_dir(host.join("folder")).unwrap();
        host.write("folder/removed", "removed");
        symlink("nowhere", host.join("link")).unwrap();
        let mut all = changes([
            host.store("a b", "new"),
            host.change("link", What::MakeLink("else".into())),
            host.change("folder/removed", What::Remove),
            host.change("folder", What::RemoveFolder),
        ]);
        all.backs_up = true;
        host.done(&all);
        let names = host.names("");
        assert_eq!(names.len(), 5, "{names:?}");
        let (backup, time) = (&names[1], names[1].strip_prefix("a b.").unwrap());
        assert_eq!(host.text(backup), "old");
        assert_eq!(host.mode(backup), 0o604);
        assert_eq!(host.text("a b"), "new");
        let is_time = |(index, c): (usize, char)| match index {
            8 => c == 'T',
            15 => c == 'Z',
            16 => c == '~',
            _ => c.is_ascii_digit(),
        };
        assert!(
            time.len() == 17 && time.char_indices().all(is_time),
            "{time}"
        );
        let link = fs::read_link(host.join(&names[4])).unwrap();
        assert_eq!(link, Path::new("nowhere"), "{}", host.name);
        assert_eq!(host.names("folder"), [format!("removed.{time}")]);
    }
}

#[test]
fn readers_never_see_less_than_a_whole_file() {
    for (shell, tools) in [("dash", Tools::Gnu), ("busybox", Tools::Busybox)] {
        let mut host = Host::new(shell, tools);
        let text = |letter: char| letter.to_string().repeat(100_000);
        host.write("file", &text('a'));
        let (path, is_over) = (host.join("file"), Arc::new(AtomicBool::new(false)));
        let over = Arc::clone(&is_over);
        let reader = std::thread::spawn(move || {
            let mut seen = std::collections::BTreeSet::new();
            while !over.load(Ordering::Relaxed) {
                let text = fs::read(&path).expect("it is never missing");
                assert_eq!(text.len(), 100_000);
                assert!(text.iter().all(|byte| *byte == text[0]));
                seen.insert(text[0]);
            }
            seen.len()
        });
        for round in 0..25 {
            let letter = if round % 2 == 0 { 'b' } else { 'a' };
            let list = [host.store("file", &text(letter))];
            host.done(&changes(list));
            let list = [host.store("file", &text('c'))];
            let check = words(&["false"]);
            let mut all = changes(list);
            all.check = Some(&check);
            let trouble = host.apply(&all).unwrap_err();
            assert_eq!(trouble.kind, Kind::Check, "{trouble:?}");
        }
        is_over.store(true, Ordering::Relaxed);
        assert!(reader.join().unwrap() > 1);
    }
}

/// Gives `folder` a small disk of its own, for one command; tells what is on it in the end.
fn on_a_small_disk(host: &mut Host, folder: &str) {
    let script = "mount -t tmpfs -o size=256k,mode=755 hoist-test \"$1\" || exit 126
        echo old >\"$1/file\"; a=$1; shift; \"$@\"; r=$?
        ls -A \"$a\" >\"$a/../after\"; cat \"$a/file\" >>\"$a/../after\"; exit $r";
    let folder = host.join(folder);
    let words = [
        "unshare",
        "--mount",
        "--propagation",
        "private",
        "sh",
        "-c",
        script,
        "sh",
    ];
    let words = words.into_iter().chain([folder.to_str().unwrap()]);
    host.elevation = Some(Elevation::With(words.map(str::to_owned).collect()));
}

#[test]
fn a_full_disk_is_told_and_nothing_is_left_on_it() {
    for (shell, tools) in [("dash", Tools::Gnu), ("zsh", Tools::Gnu)] {
        let mut host = Host::new(shell, tools);
        let list = [host.store("file", &"x".repeat(1_000_000))];
        on_a_small_disk(&mut host, "");
        let trouble = host.apply(&changes(list)).unwrap_err();
        assert_eq!(trouble.kind, Kind::Transfer);
        assert!(
            trouble
                .message
                .starts_with("the host's `tar` can't write in ``: "),
            "{trouble:?}"
        );
        assert!(
            trouble.message.ends_with("No space left on device")
                || trouble.message.ends_with("; is the disk full?"),
            "{trouble:?}"
        );
        let after = fs::read_to_string(host.dir.path().join("after")).unwrap();
        assert_eq!(after, "file\nold\n");
    }
}

#[test]
fn another_disk_that_is_full_brings_everything_back() {
    for (shell, tools) in [
        ("dash", Tools::Gnu),
        ("mksh", Tools::Gnu),
        ("dash", Tools::Busybox),
    ] {
        let mut host = Host::new(shell, tools);
        fs::create_dir(host.join("disk")).unwrap();
        host.write("first", "old");
        let list = [
            host.store("first", "new"),
            host.store("disk/second", "new"),
            host.store("disk/file", &"x".repeat(1_000_000)),
        ];
        if tools == Tools::Busybox {
            for tool in ["unshare", "mount"] {
                fs::remove_file(host.dir.path().join("bin").join(tool)).unwrap();
                symlink(program(tool), host.dir.path().join("bin").join(tool)).unwrap();
            }
        }
        on_a_small_disk(&mut host, "disk");
        let check = words(&["true"]);
        let mut all = changes(list);
        all.check = Some(&check);
        let trouble = host.apply(&all).unwrap_err();
        let start = "cannot put into its place `disk/file`; what was there before is back: ";
        assert!(
            trouble.message.starts_with(start),
            "{}: {trouble:?}",
            host.name
        );
        assert!(
            trouble.message.ends_with("No space left on device"),
            "{trouble:?}"
        );
        let after = fs::read_to_string(host.join("after")).unwrap();
        assert_eq!(after, "file\nold\n", "{}", host.name);
        assert_eq!(host.text("first"), "old");
        nothing_is_left(&host, "");
    }
}

#[test]
fn another_file_system_is_no_obstacle() {
    let disk = tempfile::tempdir_in("/dev/shm").unwrap();
    for mut host in Host::all() {
        assert_ne!(
            fs::metadata(disk.path()).unwrap().dev(),
            fs::metadata(host.home()).unwrap().dev(),
            "the test needs two file systems"
        );
        let on_disk = |name: &str| disk.path().join(name);
        symlink(disk.path(), host.join("disk")).unwrap();
        fs::write(on_disk("file"), "old").unwrap();
        fs::write(on_disk("removed"), "old").unwrap();
        symlink("nowhere", on_disk("link")).unwrap();
        let list = [
            host.change("here", What::MakeLink("x".into())),
            host.change("disk/folder", folder(0o755)),
            host.store("disk/file", "new"),
            host.change("disk/link", What::MakeLink("else".into())),
            host.change("disk/removed", What::Remove),
        ];
        let mut all = changes(list);
        // As if most was to be put here.
        let stored = all.list.remove(2);
        let first = host.store("a", "a");
        if host.has_tar() {
            all.list.insert(0, first);
        }
        all.list.push(stored);
        let check = words(&["false"]);
        all.check = Some(&check);
        let trouble = host.apply(&all).unwrap_err();
        assert!(
            trouble.message.ends_with("what was there before is back"),
            "{trouble:?}"
        );
        let names = || {
            let names = fs::read_dir(disk.path()).unwrap();
            let mut names: Vec<_> = names.map(|e| e.unwrap().file_name()).collect();
            names.sort();
            names
        };
        assert_eq!(names(), ["file", "link", "removed"], "{}", host.name);
        assert_eq!(fs::read_to_string(on_disk("file")).unwrap(), "old");
        assert_eq!(fs::read_to_string(on_disk("removed")).unwrap(), "old");
        assert_eq!(
            fs::read_link(on_disk("link")).unwrap(),
            Path::new("nowhere")
        );
        all.check = None;
        host.done(&all);
        assert_eq!(names(), ["file", "folder", "link"], "{}", host.name);
        assert_eq!(fs::read_to_string(on_disk("file")).unwrap(), "new");
        let mode = fs::metadata(on_disk("file")).unwrap().mode() & 0o7777;
        assert_eq!(mode, 0o640);
        fs::remove_file(on_disk("link")).unwrap();
        fs::remove_dir(on_disk("folder")).unwrap();
        nothing_is_left(&host, "");
    }
}
