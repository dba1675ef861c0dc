//! `hoist script`: a local script on hosts, and nothing left of it there, however it ends.

use std::ffi::OsString;
use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::time::Duration;

use rustix::process::Signal;

use crate::run::{ODD_ARGUMENTS, printed_arguments, prints_arguments};
use crate::support::ended::Ended;
use crate::support::fleet::{Fleet, over_openssh, signal_told};
use crate::support::namespace::{Namespace, in_namespace};
use crate::support::process::{Running, must};
use crate::support::sshd::Sshd;
use crate::support::tree::{is_emptied, is_removed, is_running, kill, left_pids, set_mode};
use crate::support::{PATIENCE, installed, names, numbered_lines};

/// Hosts, and the one folder that their scripts go to.
struct Desk {
    fleet: Fleet,
    place: PathBuf,
}

impl Desk {
    fn new(fleet: Fleet) -> Self {
        let place = fleet.tree().folder("place");
        Self { fleet, place }
    }

    fn write(&self, name: &str, content: impl AsRef<[u8]>) {
        self.fleet.tree().write(&format!("work/{name}"), content);
    }

    fn words(&self, line: &str) -> Vec<OsString> {
        let start = format!(
            "script -o jsonl --env TMPDIR={} {line}",
            self.place.display()
        );
        let words = shlex::split(&start).unwrap();
        words.into_iter().map(OsString::from).collect()
    }

    fn script(&self, line: &str) -> Ended {
        self.fleet.argv(self.words(line)).run()
    }

    fn start(&self, line: &str) -> Running {
        self.fleet.argv(self.words(line)).start()
    }

    #[track_caller]
    fn nothing_is_left(&self) {
        let is_empty = is_emptied(&self.place, PATIENCE);
        assert!(is_empty, "left: {:?}", self.fleet.tree().list("place"));
    }

    /// Returns how many scripts are there.
    fn there(&self) -> usize {
        self.fleet.tree().list("place").len()
    }
}

/// On this machine, and on a real server.
fn desks(pattern: &str) -> (Sshd, [Desk; 2]) {
    let sshd = Sshd::start();
    let local = Desk::new(Fleet::new().hosts(pattern));
    let served = Desk::new(Fleet::new().served(pattern, &sshd));
    (sshd, [local, served])
}

#[test]
fn arguments_content_and_surroundings_are_exact() {
    let (_sshd, desks) = desks("web[1-3]");
    for desk in desks {
        desk.write("args.sh", "#!/bin/sh\nprintf '%s\\0' \"$@\"\n");
        let mut words = desk.words("args.sh");
        words.extend(prints_arguments().split_off(2));
        let ended = desk.fleet.argv(words).run();
        ended.code(0).each_host_once(&names("web[1-3]"));
        for record in ended.records() {
            assert_eq!(record.bytes("stdout"), printed_arguments(), "{ended}");
        }
        assert_eq!(ODD_ARGUMENTS.len(), prints_arguments().len() - 2);
        let place = desk.place.display();
        let text = format!(
            "#!/bin/sh\ncase $0 in {place}/hoist-*/odd.sh) echo there; esac\n\
             pwd; echo \"$HOIST_HOST $HOIST_TOTAL $A\"; stat -c %a \"$0\" \"${{0%/*}}\"; umask; \
             echo err >&2; tail -c 256 \"$0\" | od -An -tu1 | tr -s ' \\n' '  '; exit\n"
        );
        let bytes: Vec<u8> = (0..=255).collect();
        desk.write("odd.sh", [text.as_bytes(), &bytes].concat());
        let ended = desk.script("-w web2 --cwd /usr/lib --env 'A=b c' odd.sh");
        let record = ended.code(0).record("web2");
        let numbers: Vec<String> = (0..256).map(|n: u32| n.to_string()).collect();
        let umask = must("sh", &[&"-c", &"umask"]);
        let expected = format!(
            "there\n/usr/lib\nweb2 1 b c\n700\n700\n{umask} {} ",
            numbers.join(" ")
        );
        assert_eq!(record.text("stdout"), expected, "{ended}");
        assert_eq!(record.text("stderr"), "err\n", "{ended}");
        desk.nothing_is_left();
    }
}

#[test]
fn every_end_is_told_and_leaves_nothing() {
    let (_sshd, desks) = desks("web1");
    for (desk, term) in desks.iter().zip(["TERM", signal_told("TERM")]) {
        desk.write("end", "eval \"$1\"\n");
        let ended = desk.script("end 'exit 3'");
        ended.code(1).became("web1", "failed", "exit");
        assert_eq!(ended.record("web1").number("exit_code"), 3, "{ended}");
        let ended = desk.script("end 'kill $$'");
        ended.code(1).became("web1", "failed", "signal");
        assert_eq!(ended.record("web1").text("signal"), term, "{ended}");
        for (name, first, interpreter) in [
            ("a", "#!/no/such/one", "/no/such/one"),
            ("b", "#!/usr/bin/env no-such-one", "no-such-one"),
            ("c", "#!/bin/sh\r", "/bin/sh\\r"),
        ] {
            desk.write(name, format!("{first}\n"));
            let ended = desk.script(name);
            ended.code(1).became("web1", "failed", "spawn");
            let message = ended.record("web1").text("message");
            assert!(message.contains(&format!("`{interpreter}`")), "{message}");
        }
        let ended = desk.script("--cwd /no/where end true");
        ended.code(1).became("web1", "failed", "spawn");
        desk.nothing_is_left();
    }
}

#[test]
fn a_long_script_and_its_input_are_exact() {
    let (_sshd, desks) = desks("web[1-2]");
    for desk in desks {
        let bytes: Vec<u8> = (0..=255).cycle().take(5 << 20).collect();
        let text = b"#!/bin/sh\nsha256sum <\"$0\"; sha256sum; exit\n";
        desk.write("long.sh", [&text[..], &bytes].concat());
        desk.write("input", numbered_lines(300_000));
        let work = desk.fleet.tree().join("work");
        let sum = |name: &str| {
            let line = must("sha256sum", &[&work.join(name)]);
            line.split(' ').next().unwrap().to_owned() + "  -\n"
        };
        let ended = desk.script("--stdin input long.sh");
        ended.code(0).each_host_once(&names("web[1-2]"));
        for record in ended.records() {
            let expected = sum("long.sh") + &sum("input");
            assert_eq!(record.text("stdout"), expected, "{ended}");
        }
        desk.nothing_is_left();
    }
}

#[test]
fn another_interpreter_reads_it_and_a_program_needs_none() {
    let (_sshd, desks) = desks("web1");
    for desk in desks {
        desk.write("x.py", "print 1 + 1 . \"\\n\"; print \"@ARGV\\n\"");
        let ended = desk.script("--interpreter 'perl -w' x.py -v --env");
        let record = ended.code(0).record("web1");
        assert_eq!(record.text("stdout"), "2\n-v --env\n", "{ended}");
        let echo = fs::read(installed("echo", "coreutils")).unwrap();
        desk.write("echo", echo);
        let ended = desk.script("echo a  'b  c'");
        let record = ended.code(0).record("web1");
        assert_eq!(record.text("stdout"), "a b  c\n", "{ended}");
        desk.nothing_is_left();
    }
}

/// A script that only KILL ends.
fn stubborn(desk: &Desk) {
    let staying = desk.fleet.staying();
    desk.write(
        "stay.sh",
        format!("#!/bin/sh\ntrap '' TERM HUP\n{staying}\n"),
    );
}

#[test]
fn one_that_takes_too_long_is_killed_and_leaves_nothing() {
    let (_sshd, desks) = desks("web[1-2]");
    for desk in desks {
        stubborn(&desk);
        let ended = desk.script("--timeout 1s stay.sh");
        ended.code(3).became("web1", "failed", "timeout");
        let record = ended.record("web1");
        assert_eq!(record.text("killed"), "confirmed", "{ended}");
        assert_eq!(record.text("signal"), "KILL", "{ended}");
        desk.fleet.nobody_stays();
        desk.nothing_is_left();
    }
}

#[test]
fn an_interrupt_ends_it_and_leaves_nothing() {
    let (_sshd, desks) = desks("web[1-2]");
    for desk in desks {
        stubborn(&desk);
        let ready = desk.fleet.announcements();
        let running = desk.start("--grace 100ms stay.sh");
        ready.shows("web1 is ready").shows("web2 is ready");
        assert_eq!(desk.there(), 2);
        running.signal(Signal::INT);
        let ended = running.wait(PATIENCE);
        ended.code(130).became("web1", "failed", "cancelled");
        desk.fleet.nobody_stays();
        desk.nothing_is_left();
    }
}

#[test]
fn one_on_this_machine_ends_with_hoist_and_leaves_nothing() {
    let desk = Desk::new(Fleet::new().hosts("web[1-2]"));
    let staying = desk.fleet.staying();
    desk.write("stay.sh", staying);
    let ready = desk.fleet.announcements();
    let running = desk.start("stay.sh");
    ready.shows("web1 is ready").shows("web2 is ready");
    running.signal(Signal::KILL);
    running.wait(PATIENCE);
    desk.fleet.everybody_leaves();
    desk.nothing_is_left();
}

#[test]
fn one_whose_link_is_lost_leaves_nothing_when_it_ends() {
    let sshd = Sshd::start();
    let desk = Desk::new(Fleet::new().served("web1", &sshd));
    let fifo = desk.fleet.tree().join("fifo");
    must("mkfifo", &[&fifo]);
    let cut = sshd.cuts_the_session();
    let cut = cut.replace("sleep 20", &format!("cat {}", fifo.display()));
    desk.write("cut.sh", format!("#!/bin/sh\ntrap '' HUP PIPE\n{cut}\n"));
    let ended = desk.script("cut.sh");
    ended.code(3).became("web1", "failed", "lost");
    assert_eq!(desk.there(), 1, "it still runs");
    fs::write(&fifo, "").unwrap();
    desk.nothing_is_left();
}

#[test]
fn one_whose_hoist_is_gone_leaves_nothing_when_it_ends() {
    let sshd = Sshd::start();
    let desk = Desk::new(Fleet::new().served("web1", &sshd));
    stubborn(&desk);
    let ready = desk.fleet.announcements();
    let running = desk.start("stay.sh");
    ready.shows("web1 is ready");
    running.signal(Signal::KILL);
    running.wait(PATIENCE);
    assert_eq!(desk.there(), 1, "it still runs");
    left_pids(&desk.fleet.tree().join("pids"))
        .into_iter()
        .for_each(kill);
    desk.nothing_is_left();
}

#[test]
fn what_it_leaves_behind_goes_on_without_its_folder() {
    let (_sshd, desks) = desks("web1");
    for desk in desks {
        let pid = desk.fleet.tree().join("pids/daemon.pid");
        let text = format!(
            "sleep 300 </dev/null >/dev/null 2>&1 &\necho $! >{}\n",
            pid.display()
        );
        desk.write("daemon.sh", text);
        desk.script("daemon.sh").code(0);
        desk.nothing_is_left();
        let pids = left_pids(&desk.fleet.tree().join("pids"));
        assert!(is_running(pids[0]), "the daemon is there");
    }
}

#[test]
fn other_rights_come_with_a_password_before_the_script_and_its_input() {
    in_namespace!(|namespace: &Namespace| {
        installed("sudo", "sudo");
        let account = namespace.account_with_password("zoe", "open sesame");
        let rules =
            "Defaults env_reset\nDefaults use_pty\nroot ALL=(ALL:ALL) ALL\nzoe ALL=(ALL:ALL) ALL\n";
        namespace.write_etc("sudoers", rules);
        let sshd = Sshd::with().own_homes().start();
        namespace.authorize("zoe", &sshd.client_key.public());
        let key = sshd.host_keys[0].public();
        let fleet = Fleet::new()
            .log(&sshd.log())
            .with_identity(&sshd.client_key)
            .ssh_host("web1", sshd.port(), &account.name, &key);
        let tree = fleet.tree();
        tree.write_with_mode("work/password", "open sesame\n", 0o600);
        let desk = Desk::new(fleet);
        desk.write("input", "mine\n");
        desk.write(
            "who.sh",
            "#!/bin/sh\nid -un; stat -c %U \"$0\"; echo \"$1\" \"$A\"; cat; exit 4\n",
        );
        let sudo = "--sudo --sudo-password-file password --env 'A=b c' --stdin input";
        let ended = desk.script(&format!("{sudo} who.sh \"it's\""));
        ended.code(1).became("web1", "failed", "exit");
        let stdout = ended.record("web1").text("stdout");
        assert_eq!(stdout, "root\nroot\nit's b c\nmine\n", "{ended}");
        desk.nothing_is_left();
        stubborn(&desk);
        let ended = desk.script(&format!("{sudo} --timeout 1s stay.sh"));
        ended.code(3).became("web1", "failed", "timeout");
        assert_eq!(ended.record("web1").text("killed"), "confirmed", "{ended}");
        desk.nothing_is_left();
        set_mode(&desk.place, 0o1777);
        namespace.write_etc(
            "sudoers",
            "Defaults env_reset\nDefaults use_pty\nzoe ALL=(ALL:ALL) NOPASSWD: ALL\n",
        );
        let ended = desk.script("--sudo=www-data who.sh x");
        let stdout = ended.code(1).record("web1").text("stdout");
        assert!(stdout.starts_with("www-data\nwww-data\n"), "{ended}");
        let ended = desk.script("--become-with 'env X=y' who.sh x");
        let stdout = ended.code(1).record("web1").text("stdout");
        assert!(stdout.starts_with("zoe\nzoe\n"), "{ended}");
        desk.nothing_is_left();
    });
}

#[test]
fn a_disk_that_executes_nothing_is_no_hindrance_and_a_full_one_is_told() {
    in_namespace!(|namespace: &Namespace| {
        let sshd = Sshd::start();
        namespace.authorize("root", &sshd.client_key.public());
        for fleet in [
            Fleet::new().hosts("web1"),
            Fleet::new().served("web1", &sshd),
        ] {
            let desk = Desk::new(fleet);
            let options = "size=64k,mode=1777,noexec";
            let mount: [&dyn AsRef<std::ffi::OsStr>; 6] =
                [&"-t", &"tmpfs", &"-o", &options, &"hoist-test", &desk.place];
            must("mount", &mount);
            // What reads a script is executed elsewhere.
            desk.write("where.sh", "#!/bin/sh\necho \"${0%/hoist-*}\"\n");
            let ended = desk.script("where.sh");
            let stdout = ended.code(0).record("web1").text("stdout");
            assert_eq!(stdout, format!("{}\n", desk.place.display()), "{ended}");
            // A program has to be executed itself: it goes to the next place.
            let program = fs::read(installed("readlink", "coreutils")).unwrap();
            desk.write("program", program);
            let ended = desk.script("program /proc/self/exe");
            let stdout = ended.code(0).record("web1").text("stdout");
            assert!(stdout.starts_with("/tmp/hoist-"), "{ended}");
            let folder = Path::new(stdout.trim()).parent().unwrap();
            assert!(is_removed(folder, PATIENCE), "{ended}");
            desk.write("long.sh", format!("#!/bin/sh\n{}", "#".repeat(100_000)));
            let ended = desk.script("long.sh");
            ended.code(1).became("web1", "failed", "spawn");
            let message = ended.record("web1").text("message");
            assert!(message.contains("perhaps the disk is full"), "{ended}");
            desk.nothing_is_left();
        }
    });
}

#[test]
fn each_host_gets_its_own_text() {
    let (_sshd, desks) = desks("web[1-3]");
    for desk in desks {
        desk.write(
            "own.sh",
            "#!/bin/sh\necho '{{ host.name }} {{ vars.x }}' \"$1\"\n",
        );
        let ended = desk.script("--template --var x=y own.sh '{{ a }}'");
        ended.code(0);
        for name in names("web[1-3]") {
            let stdout = ended.record(&name).text("stdout");
            assert_eq!(stdout, format!("{name} y {{{{ a }}}}\n"), "{ended}");
        }
        desk.nothing_is_left();
        desk.fleet
            .hoist("script --template own.sh")
            .code(2)
            .no_stdout()
            .complains(&["own.sh:2:", "`vars.x` is not defined"]);
        desk.fleet
            .hoist("script -n --template --var x=y own.sh a")
            .code(0)
            .stdout_has("\nweb2: own.sh a (");
    }
}

#[test]
fn a_script_comes_from_stdin_too() {
    let desk = Desk::new(Fleet::new().hosts("web[1-2]"));
    let words = desk.words("- a");
    let ended = desk.fleet.argv(words).stdin("echo \"$1\"; cat").run();
    for record in ended.code(0).records() {
        assert_eq!(record.text("stdout"), "a\n", "{ended}");
    }
    for (line, other) in [
        ("--stdin - -", "--stdin"),
        ("-i - -", "--inventory"),
        ("--template --results - -", "--results"),
    ] {
        desk.fleet
            .hoist(&format!("script {line}"))
            .code(2)
            .complains(&["the script", other, "stdin"]);
    }
}

#[test]
fn what_can_be_wrong_is_told_before_anybody_is_contacted() {
    let sshd = Sshd::start();
    let desk = Desk::new(Fleet::new().served("web1", &sshd));
    desk.write("x.sh", "#!/bin/sh\r\necho\r\n");
    let too_long = File::create(desk.fleet.tree().join("work/long.sh")).unwrap();
    too_long.set_len((64 << 20) + 1).unwrap();
    for (line, parts) in [
        ("none.sh", &["none.sh", "No such file"][..]),
        (".", &["cannot read the script .", "directory"]),
        ("long.sh", &["long.sh", "64 MiB"]),
        ("--sudo zoe x.sh", &["zoe", "--sudo=zoe"]),
        ("--var a=b x.sh", &["--var needs --template"]),
        ("--shell x.sh", &["--shell"]),
        ("--events x.sh", &["--events needs"]),
        ("--interpreter '' x.sh", &["--interpreter"]),
        ("", &["FILE"]),
    ] {
        let ended = desk.fleet.hoist(&format!("script {line}"));
        ended.code(2).no_stdout().complains(parts);
    }
    let ended = desk.fleet.hoist("script -n x.sh a");
    ended.code(0).complains(&["x.sh", "CR LF", "#!/bin/sh\\r"]);
    ended
        .stdout_has("script      x.sh a (")
        .stdout_has("interpreter $'/bin/sh\\x0d'");
    desk.fleet.hoist("script -n -q x.sh").code(0).no_stderr();
    let log = sshd.log().to_string();
    assert!(!log.contains("Accepted publickey"), "{log}");
}

#[test]
fn settings_are_those_of_run_and_the_summary_says_how_to_go_on() {
    let desk = Desk::new(Fleet::new().hosts("web[1-2]"));
    desk.write(
        "x.sh",
        "[ $HOIST_HOST = web2 ] && exit 3; echo $A $#; pwd\n",
    );
    let settings = "[defaults]\nenv = [\"A=b\"]\nshell = true\ncwd = \"/\"\nno-labels = true\n";
    desk.fleet
        .tree()
        .write("config/hoist/config.toml", settings);
    let ended = desk.fleet.command("script x.sh -v -n");
    let ended = ended.env("HOIST_CWD", "/usr/lib").run();
    ended.code(1).stdout("b 2\n/usr/lib\n");
    let typed = ["script", "-o", "none", "x.sh", "a b", "-q"];
    let running = desk.fleet.argv(typed).start_on_terminal();
    let ended = running.wait(PATIENCE);
    ended.stdout_has("again: hoist script -o none -w web2 -- x.sh 'a b' -q");
}

#[test]
fn a_host_that_runs_something_else_is_told() {
    in_namespace!(|namespace: &Namespace| {
        let account = namespace.account("zoe", "/bin/sh".as_ref());
        let sshd = Sshd::with().own_homes().start();
        let key = sshd.client_key.public();
        namespace.authorize("zoe", &format!("command=\"echo mine\" {key}"));
        let host_key = sshd.host_keys[0].public();
        let fleet = Fleet::new()
            .log(&sshd.log())
            .with_identity(&sshd.client_key)
            .ssh_host("web1", sshd.port(), &account.name, &host_key);
        let desk = Desk::new(fleet);
        desk.write("x.sh", "echo ran\n");
        let ended = desk.script("x.sh");
        ended.code(3).became("web1", "failed", "channel");
        ended.within(Duration::from_secs(30));
    });
}

over_openssh!(
    arguments_content_and_surroundings_are_exact,
    every_end_is_told_and_leaves_nothing,
    a_long_script_and_its_input_are_exact,
    one_that_takes_too_long_is_killed_and_leaves_nothing,
    an_interrupt_ends_it_and_leaves_nothing,
    one_whose_link_is_lost_leaves_nothing_when_it_ends,
    one_whose_hoist_is_gone_leaves_nothing_when_it_ends,
    what_it_leaves_behind_goes_on_without_its_folder,
    other_rights_come_with_a_password_before_the_script_and_its_input,
    each_host_gets_its_own_text,
    a_host_that_runs_something_else_is_told,
);
