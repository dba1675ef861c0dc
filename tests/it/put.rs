//! Files put on hosts: over SFTP and by scripts, again and again, for each host its own, and removed.

use std::ffi::{OsStr, OsString};
use std::fs::{self, File};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{FileExt, MetadataExt, symlink};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;

use crate::support::dropbear::Dropbear;
use crate::support::ended::Ended;
use crate::support::fleet::{Fleet, over_openssh};
use crate::support::namespace::{Namespace, in_namespace};
use crate::support::process::must;
use crate::support::sshd::Sshd;
use crate::support::tree::{Tree, set_mode};
use crate::support::{PATIENCE, names};

/// Checks, backups, other rights.
mod applied;
/// What goes wrong on the way.
mod faults;

const MOVED: &str = "\"event\":\"moved\"";

/// Makes files that hosts are to have, some with odd names.
fn files(tree: &Tree) -> PathBuf {
    for (path, content) in [
        ("src/conf/app.conf", "port = 1\n"),
        ("src/conf/sub/-n", "dash"),
        ("src/conf/sub/two words", "blank"),
        ("src/conf/sub/line\nbreak", "newline"),
        ("src/conf/.hidden", "hidden"),
        ("src/log/a.log", "a"),
        ("src/log/nothing", ""),
    ] {
        tree.write(path, content);
    }
    let odd = tree
        .join("src/conf/sub")
        .join(OsStr::from_bytes(b"\xff\xfe"));
    fs::write(odd, "bytes").unwrap();
    tree.folder("src/conf/empty");
    symlink("sub/-n", tree.join("src/conf/link")).unwrap();
    symlink("/no/where", tree.join("src/conf/leads nowhere")).unwrap();
    set_mode(&tree.join("src/conf/app.conf"), 0o640);
    set_mode(&tree.join("src/conf/empty"), 0o2750);
    let file = tree.join("src/conf/app.conf");
    must("touch", &[&"-d", &"2001-02-03T04:05:06Z", &file]);
    tree.join("src")
}

/// Compares a folder with what it was made of: names, contents, links, modes.
#[track_caller]
fn same(here: &Path, there: &Path) {
    must("diff", &[&"-r", &"--no-dereference", &here, &there]);
    let modes = |folder: &Path| {
        let line = "cd \"$1\" && find . -printf '%y %m %s %P\\n' | grep -v '^d .* [0-9]* $' | sed 's/^d \\([0-9]*\\) [0-9]*/d \\1/' | sort";
        must("sh", &[&"-c", &line, &"sh", &folder])
    };
    assert_eq!(modes(here), modes(there));
}

/// Checks that nothing of hoist's own is left below a folder.
#[track_caller]
fn nothing_is_left(folder: &Path) {
    let left = must("find", &[&folder, &"-name", &"*.hoist-*"]);
    assert_eq!(left, "");
}

fn words<P: Into<OsString> + Clone>(flags: &str, sources: &[P], dest: OsString) -> Vec<OsString> {
    let flags = shlex::split(flags).unwrap().into_iter().map(OsString::from);
    let start = ["put", "-o", "jsonl"].map(OsString::from);
    let sources = sources.iter().cloned().map(Into::into);
    start
        .into_iter()
        .chain(flags)
        .chain(sources)
        .chain([dest])
        .collect()
}

fn put<P: Into<OsString> + Clone>(
    fleet: &Fleet,
    flags: &str,
    sources: &[P],
    dest: impl Into<OsString>,
) -> Ended {
    fleet.argv(words(flags, sources, dest.into())).run()
}

fn mode(path: &Path) -> u32 {
    fs::metadata(path).unwrap().mode() & 0o7777
}

/// What every way has to do, with the hosts `web[1-2]`.
fn puts_as_it_should(fleet: &Fleet) {
    let tree = fleet.tree();
    let src = files(tree);
    let (conf, log, app) = (src.join("conf"), src.join("log"), src.join("conf/app.conf"));
    for host in names("web[1-2]") {
        tree.folder(&format!("there/{host}"));
    }
    let there = tree.join("there/{host}");
    // A file under another name, into a folder, and into one that is made.
    for (dest, place) in [
        ("app", "app"),
        ("", "app.conf"),
        ("new/folder/", "new/folder/app.conf"),
    ] {
        let ended = put(fleet, "", &[&app], there.join(dest));
        ended.code(0).each_host_once(&names("web[1-2]"));
        for host in names("web[1-2]") {
            let place = tree.join("there").join(&host).join(place);
            assert_eq!(fs::read(&place).unwrap(), b"port = 1\n", "{ended}");
            assert_eq!(mode(&place), 0o640, "{ended}");
            assert!(ended.record(&host).is("changed"), "{ended}");
        }
    }
    let ended = put(fleet, "", &[&app], there.join("no/app"));
    ended.code(1).became("web1", "failed", "transfer");
    let message = ended.record("web1").text("message");
    assert!(message.contains("there/web1/no/`"), "{message}");
    assert!(!tree.join("there/web1/no").exists());
    // Folders: with their name, their contents, several of them.
    put(fleet, "", &[&conf], &there).code(0);
    put(fleet, "", &[conf.join("")], there.join("inside")).code(0);
    put(fleet, "", &[&conf, &log], there.join("several")).code(0);
    for host in names("web[1-2]") {
        let there = tree.join("there").join(&host);
        same(&conf, &there.join("conf"));
        same(&conf, &there.join("inside"));
        same(&conf, &there.join("several/conf"));
        same(&log, &there.join("several/log"));
    }
    again_nothing_moves(fleet, &conf, &there);
    nothing_is_left(&tree.join("there"));
}

fn again_nothing_moves(fleet: &Fleet, conf: &Path, there: &Path) {
    let tree = fleet.tree();
    let app = tree.join("there/web1/conf/app.conf");
    let before = fs::metadata(&app).unwrap().ino();
    let ended = put(fleet, "", &[conf], there);
    for record in ended.code(0).records() {
        assert_eq!(record.get("changed").as_bool(), Some(false), "{ended}");
        assert!(record.text("stdout").ends_with("unchanged\n"), "{ended}");
    }
    let ended = put(fleet, "--events", &[conf], there);
    assert!(!ended.code(0).out().contains(MOVED), "{ended}");
    set_mode(&app, 0o600);
    let ended = put(fleet, "--events", &[conf], there);
    assert!(!ended.code(0).out().contains(MOVED), "{ended}");
    ended.stdout_has("changed mode or time of");
    assert_eq!(
        (mode(&app), fs::metadata(&app).unwrap().ino()),
        (0o640, before)
    );
    // Other content of the same length.
    fs::write(&app, "port = 2\n").unwrap();
    let ended = put(fleet, "--preserve --mode 604", &[conf], there);
    assert!(ended.code(0).record("web1").is("changed"), "{ended}");
    let found = fs::metadata(&app).unwrap();
    assert_eq!(fs::read(&app).unwrap(), b"port = 1\n");
    assert_eq!(
        (found.mode() & 0o7777, found.mtime()),
        (0o604, 981_173_106),
        "{ended}"
    );
    let ended = put(fleet, "--preserve --mode 604", &[conf], there);
    assert_eq!(ended.code(0).record("web1").text("changed"), "", "{ended}");
    assert!(!ended.record("web1").is("changed"), "{ended}");
    let ended = put(fleet, "--force --events", &[conf], there);
    assert!(ended.code(0).out().contains(MOVED), "{ended}");
    same(conf, &tree.join("there/web1/conf"));
}

#[test]
fn files_and_folders_get_to_every_host() {
    let sshd = Sshd::start();
    let fleet = Fleet::new().served("web[1-2]", &sshd);
    puts_as_it_should(&fleet);
}

#[test]
fn without_sftp_the_shell_does_it() {
    let sshd = Sshd::with().sftp("").start();
    let fleet = Fleet::new().served("web[1-2]", &sshd);
    puts_as_it_should(&fleet);
}

#[test]
fn this_machine_is_a_host_too() {
    puts_as_it_should(&Fleet::new().hosts("web[1-2]"));
}

#[test]
fn dropbear_is_served_too() {
    in_namespace!(|namespace: &Namespace| {
        let dropbear = Dropbear::start(namespace);
        let fleet = Fleet::new().served_by_dropbear("web[1-2]", &dropbear);
        puts_as_it_should(&fleet);
    });
}

#[test]
fn hosts_that_share_a_folder_make_it_together() {
    let sshd = Sshd::start();
    let fleet = Fleet::new().served("web[1-8]", &sshd).hosts("local[1-8]");
    fleet.tree().write("src/a/b/c", "c");
    for round in 0..5 {
        let dest = fleet.tree().join(format!("there/{round}/{{host}}/"));
        let ended = put(&fleet, "", &[fleet.tree().join("src/a")], &dest);
        ended.code(0);
        let dest = fleet.tree().join(format!("there/{round}/all/"));
        put(&fleet, "", &[fleet.tree().join("src/a")], &dest).code(0);
    }
    nothing_is_left(&fleet.tree().join("there"));
}

/// Links at the destination, and names that nobody would choose.
fn takes_links_and_names(fleet: &Fleet) {
    let tree = fleet.tree();
    let src = tree.write("src", "new");
    let there = tree.folder("there");
    let (file, folder) = (tree.write("there/file", "old"), tree.folder("there/folder"));
    for (target, link) in [(&file, "to-file"), (&folder, "to-folder")] {
        symlink(target, there.join(link)).unwrap();
    }
    symlink("nowhere", there.join("to-nothing")).unwrap();
    for link in ["to-file", "to-folder", "to-nothing"] {
        put(fleet, "-w web1", &[&src], there.join(link)).code(0);
    }
    assert_eq!(tree.read("there/file"), b"new");
    assert_eq!(tree.read("there/folder/src"), b"new");
    assert!(there.join("to-file").is_symlink() && there.join("to-folder").is_symlink());
    assert_eq!(tree.read("there/to-nothing"), b"new");
    assert!(!there.join("nowhere").exists());
    for name in [
        &b"-rf"[..],
        b"two\nlines \xff",
        b"a'\"$(id)\\n`",
        b" ",
        b"*",
    ] {
        let place = there.join(OsStr::from_bytes(name));
        put(fleet, "-w web1", &[&src], &place).code(0);
        assert_eq!(fs::read(&place).unwrap(), b"new");
        let ended = put(fleet, "-w web1", &[&src], &place);
        assert_eq!(
            ended.code(0).record("web1").get("changed"),
            false,
            "{ended}"
        );
    }
    // What is neither file nor link is not taken away, nor is a folder.
    must("mkfifo", &[&there.join("pipe")]);
    tree.folder("there/folder/dir/src");
    for dest in ["pipe", "folder/dir"] {
        let ended = put(fleet, "-w web1", &[&src], there.join(dest));
        ended.code(1).became("web1", "failed", "transfer");
        let message = ended.record("web1").text("message");
        assert!(message.ends_with("nothing was changed"), "{message}");
    }
    let ended = put(fleet, "-w web1", &[tree.join("there")], &file);
    ended.code(1).became("web1", "failed", "transfer");
    assert_eq!(tree.read("there/file"), b"new");
    nothing_is_left(&there);
}

#[test]
fn links_are_followed_and_odd_names_are_kept() {
    let sshd = Sshd::start();
    takes_links_and_names(&Fleet::new().served("web1", &sshd));
}

#[test]
fn links_are_followed_and_odd_names_are_kept_by_the_shell() {
    let sshd = Sshd::with().sftp("").start();
    takes_links_and_names(&Fleet::new().served("web1", &sshd));
    takes_links_and_names(&Fleet::new().hosts("web1"));
}

#[test]
fn relative_paths_begin_at_home() {
    in_namespace!(|namespace: &Namespace| {
        for sftp in ["internal-sftp", ""] {
            let sshd = Sshd::with().own_homes().sftp(sftp).start();
            let name = if sftp.is_empty() { "jane" } else { "joan" };
            let account = namespace.account(name, Path::new("/bin/sh"));
            namespace.authorize(name, &sshd.client_key.public());
            let key = sshd.host_keys[0].public();
            let fleet = Fleet::new().with_identity(&sshd.client_key);
            let fleet = fleet.ssh_host("web1", sshd.port(), name, &key);
            fleet.tree().write("work/a", "a");
            for dest in ["~", "~/x", "y", "./new/folder/", "~/ dir/ "] {
                fs::create_dir_all(account.home.join(" dir")).unwrap();
                std::os::unix::fs::chown(account.home.join(" dir"), Some(account.id), None)
                    .unwrap();
                let ended = put(&fleet, "", &["a"], dest);
                ended.code(0);
            }
            for place in ["a", "x", "y", "new/folder/a", " dir/ "] {
                let place = account.home.join(place);
                assert_eq!(fs::read(&place).unwrap(), b"a", "{}", place.display());
                assert_eq!(fs::metadata(&place).unwrap().uid(), account.id);
            }
            let ended = put(&fleet, "", &["a"], "/etc/a");
            ended.code(1).became("web1", "failed", "transfer");
            let message = ended.record("web1").text("message").to_lowercase();
            assert!(
                message.contains("permission denied") && message.contains("`--sudo`"),
                "{message}"
            );
            nothing_is_left(&account.home);
        }
    });
}

#[test]
fn holes_stay_holes() {
    let sshd = Sshd::start();
    let fleet = Fleet::new().served("web1", &sshd);
    let src = fleet.tree().join("sparse");
    let file = File::create(&src).unwrap();
    file.set_len(5 << 30).unwrap();
    file.write_all_at(b"in the middle", 3 << 30).unwrap();
    let dest = fleet.tree().join("there");
    put(&fleet, "", &[&src], &dest).code(0);
    let found = fs::metadata(&dest).unwrap();
    assert_eq!(found.len(), 5 << 30);
    assert!(found.blocks() * 512 < 16 << 20, "{} blocks", found.blocks());
    let mut read = [0; 15];
    let dest = File::open(&dest).unwrap();
    dest.read_exact_at(&mut read, (3 << 30) - 1).unwrap();
    assert_eq!(&read, b"\0in the middle\0");
}

#[test]
fn each_host_gets_its_own() {
    let rows = "name,transport,rack,groups\nweb1,local,r1,a\nweb2,local,r2,a b\n";
    let fleet = Fleet::new().inventory(rows);
    for rack in ["r1", "r2"] {
        fleet.tree().write(&format!("src/{rack}/which"), rack);
    }
    let src = fleet.tree().join("src/{rack}/which");
    let dest = fleet.tree().join("there/{host}/{rack}/");
    put(&fleet, "", &[&src], &dest).code(0);
    for (host, rack) in [("web1", "r1"), ("web2", "r2")] {
        let place = format!("there/{host}/{rack}/which");
        assert_eq!(fleet.tree().read(&place), rack.as_bytes());
    }
    let folder = fleet.tree().folder("templates/sub");
    fs::write(
        folder.join("t"),
        "{{ host.name }} of {{ groups.a | length }}\n",
    )
    .unwrap();
    let templates = [fleet.tree().join("templates")];
    let dest = fleet.tree().join("there/{host}");
    put(&fleet, "--template", &templates, &dest).code(0);
    for host in names("web[1-2]") {
        let text = fleet.tree().read(&format!("there/{host}/templates/sub/t"));
        assert_eq!(String::from_utf8(text).unwrap(), format!("{host} of 2\n"));
    }
    let ended = put(&fleet, "--template", &templates, &dest);
    assert_eq!(
        ended.code(0).record("web2").get("changed"),
        false,
        "{ended}"
    );
}

#[test]
fn what_is_wrong_beforehand_is_told_before_anybody_is_asked() {
    let sshd = Sshd::start();
    let fleet = Fleet::new().served("web[1-2]", &sshd);
    fleet.tree().write("work/a", "a");
    fleet.tree().write("work/dir/t", "first\n{{ host.nmae }}\n");
    fleet.tree().write("work/other/a", "a");
    for (line, parts) in [
        ("put a /tmp/{rakc}/", &["`/tmp/{rakc}/`", "no `rakc`"][..]),
        ("put {rakc} /tmp/", &["no `rakc`"]),
        ("put --template dir /tmp", &["dir/t:2:", "host.nmae"]),
        (
            "put --delete dir/ /",
            &["--delete is not done in all of `/`"],
        ),
        ("put --delete a /tmp", &["--delete needs a folder"]),
        ("put missing /tmp", &["missing"]),
        ("put a other/a /tmp", &["two sources are called `a`"]),
        ("put a ''", &["<DEST> needs a value"]),
        ("put --mode 9 a /tmp", &[]),
    ] {
        let ended = fleet.hoist(line.trim_end());
        ended.code(2).no_stdout();
        for part in parts {
            ended.stderr_has(part);
        }
    }
    let log = sshd.log().to_string();
    assert!(!log.contains("on 127.1."), "{log}");
}

/// Removes what is not here, and nothing else.
fn deletes_what_is_extra(fleet: &Fleet) {
    let tree = fleet.tree();
    let src = files(tree).join("conf");
    let there = tree.folder("there/{host}");
    fs::remove_dir(&there).unwrap();
    put(fleet, "", &[&src], tree.join("there/{host}/")).code(0);
    tree.write("precious/file", "precious");
    for host in names("web[1-2]") {
        tree.write(&format!("there/{host}/beside"), "beside");
        for extra in [
            "conf/x",
            "conf/sub/-rf",
            "conf/old/deep/er/file",
            "conf/.dot",
            "conf/n\nl",
        ] {
            tree.write(&format!("there/{host}/{extra}"), "extra");
        }
        let out = tree.join(format!("there/{host}/conf/out"));
        symlink(tree.join("precious"), out).unwrap();
    }
    let before = must("find", &[&tree.join("there"), &"-print"]);
    let ended = put(fleet, "--delete -n", &[&src], tree.join("there/{host}"));
    let told = ended.code(0).record("web1").text("stdout");
    for extra in [
        "x",
        "sub/-rf",
        "old/deep/er/",
        "old/",
        ".dot",
        "n\\nl",
        "out",
    ] {
        let place = tree.join("there/web1/conf").join(extra);
        let line = format!("would be removed {}\n", place.display());
        assert!(told.contains(&line), "{line} in {told}");
    }
    assert!(!told.contains("beside"), "{told}");
    assert_eq!(before, must("find", &[&tree.join("there"), &"-print"]));
    put(fleet, "--delete", &[&src], tree.join("there/{host}")).code(0);
    for host in names("web[1-2]") {
        same(&src, &tree.join(format!("there/{host}/conf")));
        assert_eq!(tree.read(&format!("there/{host}/beside")), b"beside");
    }
    assert_eq!(tree.read("precious/file"), b"precious");
    let ended = put(fleet, "--delete", &[&src], tree.join("there/{host}"));
    assert_eq!(
        ended.code(0).record("web1").get("changed"),
        false,
        "{ended}"
    );
}

#[test]
fn what_is_extra_is_removed_when_asked() {
    let sshd = Sshd::start();
    deletes_what_is_extra(&Fleet::new().served("web[1-2]", &sshd));
}

#[test]
fn what_is_extra_is_removed_by_the_shell() {
    deletes_what_is_extra(&Fleet::new().hosts("web[1-2]"));
}

#[test]
fn nothing_is_removed_in_what_turns_out_to_be_the_root() {
    let sshd = Sshd::start();
    let fleet = Fleet::new().served("web1", &sshd).hosts("web2");
    fleet.tree().write("src/a", "a");
    let link = fleet.tree().join("link");
    symlink("/", &link).unwrap();
    for dest in [link.as_path(), Path::new("/usr/.."), &link.join("usr/..")] {
        let ended = put(&fleet, "--delete -n", &[fleet.tree().join("src/")], dest);
        ended.code(1);
        for host in ["web1", "web2"] {
            ended.became(host, "failed", "transfer");
            let message = ended.record(host).text("message");
            assert!(message.contains("--delete is not done in `/`"), "{message}");
        }
    }
}

/// Reads a file again and again while it is replaced.
fn is_never_seen_half(fleet: &Fleet) {
    let tree = fleet.tree();
    let sources = ["a", "b"].map(|name| tree.write(name, name.repeat(300_000)));
    let dest = tree.write("there", "a".repeat(300_000));
    let is_over = AtomicBool::new(false);
    thread::scope(|scope| {
        let reader = scope.spawn(|| {
            let mut seen = 0;
            while !is_over.load(Ordering::Relaxed) {
                let text = fs::read(&dest).expect("it is always there");
                let first = text.first().copied();
                assert_eq!(text.len(), 300_000);
                assert!(text.iter().all(|byte| Some(*byte) == first));
                seen += 1;
            }
            seen
        });
        let sources = sources.iter().rev().cycle().take(20);
        let all: Vec<Ended> = sources.map(|src| put(fleet, "", &[src], &dest)).collect();
        is_over.store(true, Ordering::Relaxed);
        for ended in all {
            ended.code(0);
        }
        assert!(reader.join().unwrap() > 20);
    });
}

#[test]
fn a_reader_never_sees_half_a_file() {
    let sshd = Sshd::start();
    is_never_seen_half(&Fleet::new().served("web1", &sshd));
}

#[test]
fn a_reader_never_sees_half_a_file_of_the_shell() {
    is_never_seen_half(&Fleet::new().hosts("web1"));
}

#[test]
fn a_large_file_takes_little_memory() {
    let sshd = Sshd::start();
    let fleet = Fleet::new().served("web[1-8]", &sshd);
    let src = fleet.tree().join("big");
    must(
        "sh",
        &[&"-c", &"head -c 100M /dev/zero >\"$1\"", &"sh", &src],
    );
    // The file is the same everywhere: whoever is late finds it there, or replaces it.
    let dest = fleet.tree().join("there");
    let words = words("--force", &[&src], dest.into());
    let (ended, peak) = fleet.argv(words).patience(4 * PATIENCE).run_measured();
    ended.code(0);
    assert!(peak < 64 << 10, "{peak} KiB\n{ended}");
}

#[test]
fn the_summary_says_what_to_type_again() {
    let sshd = Sshd::start();
    let fleet = Fleet::new().served("web[1-2]", &sshd);
    fleet.tree().write("work/a b", "a");
    fleet.tree().folder("there/web1");
    let dest = fleet.tree().join("there/{host}/a");
    let dest = dest.display();
    let running = fleet.command(&format!("put -w 'web[1-2]' 'a b' {dest}"));
    let ended = running.start_on_terminal().wait(PATIENCE);
    ended
        .code(1)
        .stdout_has("2 hosts: 1 ok, 1 failed (1 transfer)");
    let out = ended.out();
    let again = out
        .lines()
        .find_map(|line| line.split_once("again: hoist "));
    let (_, line) = again.unwrap_or_else(|| panic!("no `again:`\n{ended}"));
    assert!(line.starts_with("put -w web2 -- 'a b' "), "{line}");
    fleet.tree().folder("there/web2");
    let ended = fleet.hoist(line.trim_end());
    ended.code(0);
    assert_eq!(fleet.tree().read("there/web2/a"), b"a");
}

over_openssh! {
    files_and_folders_get_to_every_host,
    hosts_that_share_a_folder_make_it_together,
    links_are_followed_and_odd_names_are_kept,
    relative_paths_begin_at_home,
    what_is_wrong_beforehand_is_told_before_anybody_is_asked,
    what_is_extra_is_removed_when_asked,
}
