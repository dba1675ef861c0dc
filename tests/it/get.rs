//! Files fetched from hosts: over SFTP and by scripts, from hosts that mean ill, cut and gone on with.

use std::ffi::{OsStr, OsString};
use std::fs;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{MetadataExt, symlink};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use rustix::process::Signal;

use crate::support::ended::Ended;
use crate::support::fleet::{Fleet, over_openssh};
use crate::support::namespace::{Namespace, in_namespace};
use crate::support::process::must;
use crate::support::sshd::Sshd;
use crate::support::tree::{Tree, set_mode};
use crate::support::{PATIENCE, installed, names};

/// Returns that many bytes, which repeat nowhere soon.
fn bytes(count: usize) -> Vec<u8> {
    let words = (0..count as u64 / 8).map(|n| n.wrapping_mul(0x9e37_79b9_7f4a_7c15).to_le_bytes());
    words.flatten().collect()
}

/// Makes files that a host has, some with odd names.
fn files(tree: &Tree) -> PathBuf {
    for (path, content) in [
        ("there/conf/app.conf", "port = 1\n"),
        ("there/conf/sub/-n", "dash"),
        ("there/conf/sub/two words", "blank"),
        ("there/conf/sub/line\nbreak", "newline"),
        ("there/conf/.hidden", "hidden"),
        ("there/log/a.log", "a"),
        ("there/log/b.log", "b"),
        ("there/log/.c.log", "c"),
        ("there/log/d.txt", "d"),
    ] {
        tree.write(path, content);
    }
    fs::write(
        tree.join("there/conf/sub")
            .join(OsStr::from_bytes(b"\xff\xfe")),
        "bytes",
    )
    .unwrap();
    symlink("sub/-n", tree.join("there/conf/link")).unwrap();
    set_mode(&tree.join("there/conf/app.conf"), 0o640);
    must(
        "touch",
        &[
            &"-d",
            &"2001-02-03T04:05:06Z",
            &tree.join("there/conf/app.conf"),
        ],
    );
    tree.join("there")
}

/// Compares a folder that was fetched with the host's own.
#[track_caller]
fn same(there: &Path, here: &Path) {
    must("diff", &[&"-r", &"--no-dereference", &there, &here]);
}

fn get(fleet: &Fleet, flags: &str, sources: &[PathBuf], dir: &str) -> Ended {
    let flags = flags.split_whitespace().map(OsString::from);
    let words = ["get", "-o", "jsonl"]
        .map(OsString::from)
        .into_iter()
        .chain(flags);
    let sources = sources.iter().map(OsString::from);
    fleet.argv(words.chain(sources).chain([dir.into()])).run()
}

/// What every way has to do, with the hosts `web[1-2]`.
fn fetches_as_it_should(fleet: &Fleet) {
    let there = files(fleet.tree());
    let here = fleet.tree().join("work/got");
    let ended = get(
        fleet,
        "",
        &[there.join("conf"), there.join("log/*.log")],
        "got",
    );
    ended.code(0).each_host_once(&names("web[1-2]"));
    for host in names("web[1-2]") {
        let here = here.join(&host);
        same(&there.join("conf"), &here.join("conf"));
        let conf = fs::metadata(here.join("conf/app.conf")).unwrap();
        assert_eq!(
            (conf.mode() & 0o7777, conf.mtime()),
            (0o640, 981_173_106),
            "{ended}"
        );
        assert!(
            here.join("b.log").exists() && !here.join("d.txt").exists(),
            "{ended}"
        );
        assert!(
            !here.join(".c.log").exists(),
            "a glob matches no hidden file\n{ended}"
        );
        let told = ended.record(&host).text("stdout").clone();
        assert!(told.contains("fetched conf/sub/line\\nbreak\n"), "{told}");
        assert!(
            told.ends_with("8 fetched, 38 bytes; 0 unchanged\n"),
            "{told}"
        );
    }
    let again = get(
        fleet,
        "",
        &[there.join("conf"), there.join("log/*.log")],
        "got",
    );
    let told = again.code(0).record("web1").text("stdout").clone();
    assert!(
        told.ends_with("0 fetched, 0 bytes; 8 unchanged\n"),
        "{told}"
    );
    let contents = get(fleet, "--force", &[there.join("conf/")], "contents");
    contents.code(0);
    same(
        &there.join("conf"),
        &fleet.tree().join("work/contents/web2"),
    );
    let dry = get(fleet, "-n", &[there.join("log/")], "dry");
    let told = dry.code(0).record("web1").text("stdout").clone();
    assert!(told.contains("would fetch d.txt"), "{told}");
    assert!(!fleet.tree().join("work/dry").exists());
}

#[test]
fn files_and_folders_are_fetched_from_every_host() {
    let sshd = Sshd::start();
    let fleet = Fleet::new().served("web[1-2]", &sshd);
    fetches_as_it_should(&fleet);
}

#[test]
fn without_sftp_the_shell_does_it() {
    let sshd = Sshd::with().sftp("").start();
    let fleet = Fleet::new().served("web[1-2]", &sshd);
    fetches_as_it_should(&fleet);
    let ended = get(&fleet, "", &[fleet.tree().join("there/log/a.log")], "told");
    let told = ended.code(0).record("web1").text("stdout").clone();
    assert!(told.starts_with("no SFTP here"), "{told}");
}

#[test]
fn this_machine_is_a_host_too() {
    let fleet = Fleet::new().hosts("web[1-2]");
    fetches_as_it_should(&fleet);
}

#[test]
fn dropbear_without_sftp_is_told_and_fetched_from() {
    use crate::support::dropbear::Dropbear;
    in_namespace!(|namespace: &Namespace| {
        let dropbear = Dropbear::start(namespace);
        let fleet = Fleet::new().served_by_dropbear("web[1-2]", &dropbear);
        namespace.without("/usr/lib/sftp-server");
        fetches_as_it_should(&fleet);
        let ended = get(&fleet, "", &[fleet.tree().join("there/log/a.log")], "told");
        let told = ended.code(0).record("web1").text("stdout").clone();
        assert!(told.starts_with("no SFTP here"), "{told}");
    });
}

#[test]
fn what_is_missing_fails_its_host_alone() {
    let sshd = Sshd::start();
    let fleet = Fleet::new().served("web[1-2]", &sshd);
    for host in names("web[1-2]") {
        fleet.tree().write(&format!("there/{host}/own"), &host);
    }
    fs::remove_dir_all(fleet.tree().join("there/web2")).unwrap();
    fleet.tree().write("there/all", "all");
    let sources = [
        fleet.tree().join("there/{host}/own"),
        fleet.tree().join("there/all"),
    ];
    let ended = get(&fleet, "", &sources, "got");
    ended
        .code(1)
        .became("web1", "ok", "")
        .became("web2", "failed", "transfer");
    let message = ended.record("web2").text("message").clone();
    assert!(
        message.ends_with("there/web2/own`: no such file or folder"),
        "{message}"
    );
    assert_eq!(fleet.tree().read("work/got/web1/own"), b"web1");
    assert_eq!(fleet.tree().read("work/got/web2/all"), b"all");
}

#[test]
fn two_of_the_same_name_are_known_beforehand() {
    let fleet = Fleet::new().hosts("web1");
    let ended = fleet.hoist("get /etc/hosts /srv/hosts got");
    ended
        .code(2)
        .no_stdout()
        .complains(&["`/etc/hosts` and `/srv/hosts` would both be `hosts`"]);
    assert!(!fleet.tree().join("work/got").exists());
}

#[test]
fn what_the_login_may_not_read_is_told_and_the_rest_fetched() {
    in_namespace!(|namespace: &Namespace| {
        let sshd = Sshd::with().own_homes().start();
        namespace.account("jane", Path::new("/bin/sh"));
        namespace.authorize("jane", &sshd.client_key.public());
        let key = sshd.host_keys[0].public();
        let fleet = Fleet::new().with_identity(&sshd.client_key);
        let fleet = fleet.ssh_host("web1", sshd.port(), "jane", &key);
        let tree = namespace.tree();
        tree.write("there/top/open/a", "a");
        tree.write("there/top/shut/b", "b");
        tree.write_with_mode("there/top/secret", "s", 0o600);
        set_mode(&tree.join("there/top/shut"), 0o700);
        let ended = get(&fleet, "", &[tree.join("there/top")], "got");
        ended.code(1).became("web1", "failed", "transfer");
        let record = ended.record("web1");
        let message = record.text("message");
        assert!(
            message.contains("shut`") && message.contains("(and 1 more)"),
            "{ended}"
        );
        assert!(
            record.text("stdout").contains("not fetched: cannot read `"),
            "{ended}"
        );
        assert_eq!(fleet.tree().read("work/got/web1/top/open/a"), b"a");
        assert!(!fleet.tree().join("work/got/web1/top/secret").exists());
    });
}

/// Starts a server whose files come from `tests/faults/sftp.py`.
fn faulty(tree: &Tree, fault: &str) -> Sshd {
    let python = installed("python3", "python3");
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/faults/sftp.py");
    let line = format!(
        "#!/bin/sh\nexec {} {} {} {fault}\n",
        python.display(),
        script.display(),
        tree.path().display()
    );
    let program = tree.write_with_mode("sftp", line, 0o755);
    Sshd::with().sftp(program).start()
}

#[test]
fn a_host_that_lists_paths_writes_nothing_elsewhere() {
    // `../evil`, `/abs`, `a/b`, no name, one with a NUL: whoever lists that is not listened to any more.
    for number in 0..5 {
        let tree = Tree::new();
        tree.write("top/good", "good");
        let sshd = faulty(&tree, &format!("lists {number}"));
        let fleet = Fleet::new().served("web1", &sshd);
        let ended = get(&fleet, "", &["/top".into()], "got");
        ended.code(3).became("web1", "failed", "lost");
        let message = ended.record("web1").text("message").clone();
        assert!(message.contains("which can't be a name"), "{ended}");
        assert_eq!(
            fleet.tree().list("work/got"),
            Vec::<String>::new(),
            "{ended}"
        );
        assert!(!fleet.tree().join("work/evil").exists() && !Path::new("/abs").exists());
    }
}

#[test]
fn links_that_lead_out_are_not_made() {
    let tree = Tree::new();
    tree.write("top/good", "good");
    let sshd = faulty(&tree, "links");
    let fleet = Fleet::new().served("web1", &sshd);
    let ended = get(&fleet, "", &["/top".into()], "got");
    ended.code(1).became("web1", "failed", "transfer");
    let message = ended.record("web1").text("message").clone();
    assert_eq!(
        message, "`/top/out`: a link that leads out of what is fetched",
        "{ended}"
    );
    assert_eq!(fleet.tree().read("work/got/web1/top/good"), b"good");
    assert!(!fleet.tree().join("work/got/web1/top/out").is_symlink());
}

#[test]
fn a_folder_without_end_is_given_up() {
    let tree = Tree::new();
    tree.write("top/good", "good");
    let sshd = faulty(&tree, "endless");
    let fleet = Fleet::new().served("web1", &sshd);
    let (ended, peak) = fleet
        .command("get -o jsonl --timeout 20s /top got")
        .run_measured();
    assert_eq!(ended.record("web1").text("status"), "failed", "{ended}");
    assert!(peak < 1 << 20, "{peak} KiB\n{ended}");
    assert!(!fleet.tree().join("work/got/web1/top/1").exists());
}

#[test]
fn links_planted_here_are_not_followed() {
    let sshd = Sshd::start();
    let fleet = Fleet::new().served("web1", &sshd);
    let there = files(fleet.tree());
    let precious = fleet.tree().write("precious/-n", "precious");
    let here = fleet.tree().folder("work/got/web1/conf");
    symlink(precious.parent().unwrap(), here.join("sub")).unwrap();
    symlink(&precious, here.join("app.conf")).unwrap();
    let ended = get(&fleet, "", &[there.join("conf")], "got");
    ended.code(1).became("web1", "failed", "transfer");
    let message = ended.record("web1").text("message").clone();
    assert!(
        message.contains("sub: a link is in its place here"),
        "{message}"
    );
    assert_eq!(fs::read(&precious).unwrap(), b"precious");
    assert_eq!(fs::read(here.join("app.conf")).unwrap(), b"port = 1\n");
    assert!(!here.join("app.conf").is_symlink());
}

#[test]
fn a_full_disk_ends_it_and_keeps_what_is_whole() {
    in_namespace!(|namespace: &Namespace| {
        let sshd = Sshd::start();
        let fleet = Fleet::new().served("web[1-2]", &sshd);
        let tree = fleet.tree();
        tree.write("there/a-small", "small");
        tree.write("there/b-large", bytes(8 << 20));
        let disk = namespace.disk("disk", "4m");
        let dir = disk.to_str().unwrap();
        let sources = [tree.join("there/a-small"), tree.join("there/b-large")];
        let ended = get(&fleet, "-f 1", &sources, dir);
        ended
            .code(4)
            .became("web1", "failed", "internal")
            .became("web2", "failed", "internal");
        let message = ended.record("web1").text("message").clone();
        assert!(
            message.contains("web1/b-large: No space left on device"),
            "{message}"
        );
        for host in names("web[1-2]") {
            assert_eq!(
                fs::read(disk.join(&host).join("a-small")).unwrap(),
                b"small"
            );
            assert_eq!(
                fs::read_dir(disk.join(&host)).unwrap().count(),
                1,
                "{ended}"
            );
        }
    });
}

/// Returns what is in the folder of a host.
fn in_folder(fleet: &Fleet) -> Vec<String> {
    fleet.tree().list("work/got/web1")
}

/// Goes on with what is left of `big` over a server without faults; less moves than all of it.
#[track_caller]
fn goes_on(fleet: &Fleet, content: &[u8]) {
    let left = in_folder(fleet);
    assert!(
        left.len() == 1 && left[0].ends_with(".hoist-part"),
        "{left:?}"
    );
    let ended = get(fleet, "", &["/big".into()], "got");
    let told = ended.code(0).record("web1").text("stdout").clone();
    let moved = told.lines().last().and_then(|line| line.split(' ').nth(2));
    let moved: usize = moved.unwrap().parse().unwrap();
    assert!(told.contains("gone on with at byte"), "{told}");
    assert!(moved < content.len() - (1 << 20), "{told}");
    assert!(fleet.tree().read("work/got/web1/big") == content);
    assert_eq!(in_folder(fleet), ["big"]);
}

#[test]
fn a_link_that_is_cut_in_a_large_file_costs_what_was_missing() {
    let tree = Tree::new();
    let content = bytes(6 << 20);
    tree.write("big", &content);
    let sshd = faulty(&tree, "cuts 4000000");
    let fleet = Fleet::new().served("web1", &sshd);
    let ended = get(&fleet, "", &["/big".into()], "got");
    ended.code(3).became("web1", "failed", "lost");
    let message = ended.record("web1").text("message").clone();
    assert!(
        message.contains(" of 6291456 bytes of `big` are kept: the next run goes on"),
        "{ended}"
    );
    mended(&tree);
    goes_on(&fleet, &content);
}

/// Takes the fault out of a server's files.
fn mended(tree: &Tree) {
    let program = fs::read_to_string(tree.join("sftp")).unwrap();
    let words = program.trim_end().rsplitn(3, ' ').nth(2).unwrap();
    tree.write_with_mode("sftp", format!("{words} none\n"), 0o755);
}

/// Waits until the one file in a folder has grown to this size.
fn waits_for_megabytes(folder: &Path, count: u64) {
    let began = Instant::now();
    loop {
        let mut sizes = fs::read_dir(folder).into_iter().flatten().flatten();
        let size = sizes.next().and_then(|entry| entry.metadata().ok());
        if size.is_some_and(|part| part.len() >= count << 20) {
            return;
        }
        assert!(
            began.elapsed() < PATIENCE,
            "no {count} MiB in {}",
            folder.display()
        );
        std::thread::yield_now();
    }
}

#[test]
fn ctrl_c_in_a_large_file_costs_what_was_missing() {
    let tree = Tree::new();
    let content = bytes(6 << 20);
    tree.write("big", &content);
    let sshd = faulty(&tree, "waits 4000000");
    let fleet = Fleet::new().served("web1", &sshd);
    let running = fleet.command("get -o jsonl --events /big got").start();
    waits_for_megabytes(&fleet.tree().join("work/got/web1"), 2);
    running.signal(Signal::INT);
    let ended = running.wait(PATIENCE);
    ended.code(130).within(Duration::from_secs(20));
    assert!(
        ended
            .out()
            .contains("bytes of `big` are kept: the next run goes on"),
        "{ended}"
    );
    mended(&tree);
    goes_on(&fleet, &content);
}

over_openssh! {
    files_and_folders_are_fetched_from_every_host,
    what_is_missing_fails_its_host_alone,
}
