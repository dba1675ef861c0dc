//! Changes that are checked, and all that can go wrong meanwhile.

use super::*;

/// All that is known of a folder's content, but for times of change of folders.
fn picture(folder: &Path) -> Vec<String> {
    let mut all = Vec::new();
    let mut folders = vec![folder.to_owned()];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            let own = fs::symlink_metadata(&path).unwrap();
            let (content, time) = if own.is_symlink() {
                (fs::read_link(&path).unwrap().into_os_string().into_vec(), 0)
            } else if own.is_dir() {
                folders.push(path.clone());
                (Vec::new(), 0)
            } else {
                (fs::read(&path).unwrap(), own.mtime_nsec())
            };
            let facts = (own.mode(), own.uid(), own.gid(), time, content);
            all.push(format!("{path:?} {facts:?}"));
        }
    }
    all.sort();
    all
}

/// One change of every kind.
fn every_kind(host: &mut Host) -> Changes<'static> {
    host.write("replaced", "old");
    fs::set_permissions(host.join("replaced"), fs::Permissions::from_mode(0o4604)).unwrap();
    host.write("-removed\n", "old");
    fs::create_dir_all(host.join("gone/in")).unwrap();
    host.write("gone/in/x", "x");
    fs::set_permissions(host.join("gone/in"), fs::Permissions::from_mode(0o2751)).unwrap();
    symlink("nowhere", host.join("link")).unwrap();
    symlink("gone", host.join("removed link")).unwrap();
    host.write("set", "same");
    host.write("given", "same");
    let set = Wanted {
        mode: Some(0o711),
        modified: Some(1_000_000_000),
    };
    let mut all = changes([
        host.store("replaced", "new"),
        host.change("new", folder(0o755)),
        host.change("new/in", folder(0o500)),
        host.change("new/in/l", What::MakeLink("x".into())),
        host.change("link", What::MakeLink("else".into())),
        host.change("set", What::Set(set)),
        host.change("given", What::SetOwner),
        host.change("-removed\n", What::Remove),
        host.change("removed link", What::Remove),
        host.change("gone/in/x", What::Remove),
        host.change("gone/in", What::RemoveFolder),
        host.change("gone", What::RemoveFolder),
    ]);
    if host.has_tar() {
        all.list.push(host.store("new/file", "new"));
        all.list.push(host.store("new file", "new"));
    }
    all.backs_up = true;
    if rustix::process::geteuid().is_root() {
        all.owner = Some("7:7");
    }
    all
}

#[test]
fn a_check_that_passes_sees_what_is_new() {
    for mut host in Host::all() {
        host.write("file", "old");
        let check = words(&[
            "env",
            "sh",
            "-c",
            "cat file; umask; echo \"$1\" >checked",
            "-",
            "a\n'b \\",
        ]);
        let then = words(&["touch", "then was here"]);
        let list = [host.store("file", "new")];
        let mut all = changes(list);
        all.check = Some(&check);
        all.then = Some(&then);
        host.done(&all);
        assert_eq!(host.text("file"), "new");
        assert_eq!(host.text("checked"), "a\n'b \\\n", "{}", host.name);
        assert_eq!(host.names(""), ["checked", "file", "then was here"]);
    }
}

#[test]
fn a_check_that_fails_brings_everything_back() {
    for mut host in Host::all() {
        let mut all = every_kind(&mut host);
        let before = picture(&host.home());
        let script = "ls -A; echo words >&2; test -e new/in || exit 9; exit 3";
        let check = words(&["sh", "-c", script]);
        all.check = Some(&check);
        let trouble = host.apply(&all).unwrap_err();
        assert_eq!(
            trouble.message, "the check ended with exit status 3; what was there before is back",
            "{}",
            host.name
        );
        assert_eq!(trouble.kind, Kind::Check);
        let output = String::from_utf8(trouble.output).unwrap();
        assert!(
            output.contains("new\n") && output.ends_with("words\n"),
            "{output}"
        );
        assert_eq!(picture(&host.home()), before, "{}", host.name);
    }
}

#[test]
fn a_program_that_is_missing_is_a_check_that_fails() {
    for mut host in Host::all() {
        let mut all = every_kind(&mut host);
        let before = picture(&host.home());
        let check = words(&["no-such-program"]);
        all.check = Some(&check);
        let trouble = host.apply(&all).unwrap_err();
        assert!(
            trouble
                .message
                .starts_with("the check ended with exit status 127;"),
            "{}: {}",
            host.name,
            trouble.message
        );
        assert_eq!(picture(&host.home()), before, "{}", host.name);
    }
}

#[test]
fn a_failure_in_the_middle_brings_everything_back() {
    for mut host in Host::all() {
        let mut all = every_kind(&mut host);
        all.list.push(host.change("missing/folder", folder(0o755)));
        let before = picture(&host.home());
        let check = words(&["touch", "checked"]);
        all.check = Some(&check);
        let trouble = host.apply(&all).unwrap_err();
        assert_eq!(trouble.kind, Kind::Transfer);
        let start = "cannot make the folder `missing/folder`; what was there before is back: ";
        assert!(
            trouble.message.starts_with(start),
            "{}: {}",
            host.name,
            trouble.message
        );
        assert_eq!(picture(&host.home()), before, "{}", host.name);
    }
}

#[test]
fn what_comes_after_the_check_is_executed_again_when_it_fails() {
    for mut host in Host::all() {
        host.write("file", "old");
        let script = "cat file; echo; grep -q old file || exit 4";
        let script = if host.has_tar() {
            script
        } else {
            "read -r l <file; echo \"$l\"; [ \"$l\" = old ] || exit 4"
        };
        let then = words(&["sh", "-c", script]);
        let check = words(&["true"]);
        let list = [
            host.store("file", "new"),
            host.change("link", What::MakeLink("x".into())),
        ];
        let mut all = changes(list);
        all.check = Some(&check);
        all.then = Some(&then);
        let trouble = host.apply(&all).unwrap_err();
        assert_eq!(
            trouble.message,
            "the command after the change ended with exit status 4; what was there before is back; \
             it was executed once more, which worked",
            "{}",
            host.name
        );
        assert_eq!(trouble.kind, Kind::Check);
        assert!(
            trouble.output.starts_with(b"new\n") && trouble.output.ends_with(b"old\n"),
            "{trouble:?}"
        );
        assert_eq!(host.text("file"), "old");
        assert_eq!(host.names(""), ["file"]);
        let then = words(&["sh", "-c", "exit 5"]);
        all.check = None;
        all.then = Some(&then);
        let trouble = host.apply(&all).unwrap_err();
        assert!(
            trouble
                .message
                .ends_with("is back; executed once more, it ended with exit status 5"),
            "{}",
            trouble.message
        );
        assert_eq!(host.names(""), ["file"]);
    }
}

#[test]
fn much_output_is_its_last_part() {
    let mut host = Host::usual();
    let check = words(&["sh", "-c", "seq 100000; echo last; exit 1"]);
    let mut all = changes([host.store("x", "x")]);
    all.check = Some(&check);
    let trouble = host.apply(&all).unwrap_err();
    assert_eq!(trouble.output.len(), 65536);
    assert!(trouble.output.ends_with(b"100000\nlast\n"));
}

/// The check says that it runs, in a place of its own, and goes on until it is let go.
const LONG: &str =
    "echo $$ >\"$1/runs\"; until [ -e \"$1/go\" ]; do sleep 0.1; done; echo >\"$1/passed\"";

#[test]
fn a_check_that_is_ended_is_undone_at_once() {
    for mut host in Host::all() {
        let aside = tempfile::tempdir().unwrap();
        let mut all = every_kind(&mut host);
        let before = picture(&host.home());
        let check = words(&["sh", "-c", LONG, "sh", aside.path().to_str().unwrap()]);
        all.check = Some(&check);
        host.signal = Some((aside.path().join("runs"), Signal::Term));
        let began = Instant::now();
        let trouble = host.apply(&all).unwrap_err();
        let what = format!("{}: {trouble:?}", host.name);
        assert_eq!(trouble.kind, Kind::Cancelled, "{what}");
        assert!(
            trouble.message.ends_with("; what was there before is back"),
            "{what}"
        );
        assert!(began.elapsed() < Duration::from_secs(10), "{what}");
        assert_eq!(picture(&host.home()), before, "{}", host.name);
        assert!(!aside.path().join("passed").exists());
        let pid = fs::read_to_string(aside.path().join("runs")).unwrap();
        let process = Path::new("/proc").join(pid.trim());
        let status = fs::read_to_string(process.join("status"));
        assert!(status.is_err(), "{}: {status:?}", host.name);
    }
}

#[test]
fn a_check_that_does_not_end_by_term_is_killed() {
    let mut host = Host::usual();
    let aside = tempfile::tempdir().unwrap();
    let script = format!("trap '' TERM; {LONG}");
    let check = words(&["sh", "-c", &script, "sh", aside.path().to_str().unwrap()]);
    host.write("file", "old");
    let mut all = changes([host.store("file", "new")]);
    all.check = Some(&check);
    host.signal = Some((aside.path().join("runs"), Signal::Term));
    let trouble = host.apply(&all).unwrap_err();
    assert_eq!(trouble.kind, Kind::Cancelled, "{trouble:?}");
    assert_eq!(host.text("file"), "old");
    assert_eq!(host.names(""), ["file"]);
}

#[test]
fn a_kill_of_the_group_does_not_keep_the_check_from_its_end() {
    for passes in [true, false] {
        for mut host in Host::all().filter(Host::has_tar) {
            let aside = tempfile::tempdir().unwrap();
            let mut all = every_kind(&mut host);
            let before = picture(&host.home());
            let script = format!("{LONG}; {passes}");
            let check = words(&["sh", "-c", &script, "sh", aside.path().to_str().unwrap()]);
            all.check = Some(&check);
            host.signal = Some((aside.path().join("runs"), Signal::Kill));
            // It is killed before it can tell anything.
            let trouble = host.apply_and_be_gone(&all).unwrap_err();
            assert!(trouble.message.contains("signal KILL"), "{trouble:?}");
            fs::write(aside.path().join("go"), "").unwrap();
            let is_clean = || !host.names("").iter().any(|name| name.starts_with(".hoist"));
            until("it finishes by itself", || {
                aside.path().join("passed").exists() && is_clean()
            });
            if passes {
                assert_eq!(host.text("replaced"), "new", "{}", host.name);
                assert!(!host.join("gone/in/x").exists());
            } else {
                assert_eq!(picture(&host.home()), before, "{}", host.name);
            }
        }
    }
}
