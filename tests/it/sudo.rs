//! Commands that run with other rights than the login has: real `sudo`, real `doas`.

use std::ffi::OsString;

use crate::run::{printed_arguments, prints_arguments};
use crate::support::ended::Ended;
use crate::support::fleet::{Fleet, over_openssh, signal_told};
use crate::support::namespace::{Namespace, in_namespace};
use crate::support::process::must;
use crate::support::sshd::Sshd;
use crate::support::{PATIENCE, installed, names, numbered_lines};

const PASSWORD: &str = "open sesame";

/// What sudoers says first.
const DEFAULTS: &str = "Defaults env_reset\n\
    Defaults secure_path=\"/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin\"\n\
    Defaults use_pty\n\
    root ALL=(ALL:ALL) ALL\n";

/// A host whose account `zoe` has a password.
struct Host {
    _sshd: Sshd,
    fleet: Fleet,
}

/// Starts hosts that let `zoe` in, with this in their sudoers.
fn hosts(namespace: &Namespace, pattern: &str, rules: &str) -> Host {
    installed("sudo", "sudo");
    let account = namespace.account_with_password("zoe", PASSWORD);
    write_rules(namespace, rules);
    let sshd = Sshd::with().own_homes().start();
    namespace.authorize("zoe", &sshd.client_key.public());
    let key = sshd.host_keys[0].public();
    let mut fleet = Fleet::new()
        .log(&sshd.log())
        .with_identity(&sshd.client_key);
    for name in names(pattern) {
        fleet = fleet.ssh_host(&name, sshd.port(), &account.name, &key);
    }
    fleet
        .tree()
        .write_with_mode("work/password", format!("{PASSWORD}\n"), 0o600);
    Host { _sshd: sshd, fleet }
}

fn write_rules(namespace: &Namespace, rules: &str) {
    namespace.write_etc("sudoers", format!("{DEFAULTS}{rules}\n"));
}

impl Host {
    fn run(&self, line: &str) -> Ended {
        self.fleet.hoist(&format!("run -o jsonl {line}"))
    }

    /// Checks that the command did not get its rights, and why.
    #[track_caller]
    fn refuses(&self, line: &str, message: &str) {
        let ended = self.run(line);
        ended.code(1).became("web1", "failed", "sudo");
        let told = ended.record("web1").text("message");
        assert!(told.contains(message), "{told:?}\n{ended}");
        assert_eq!(ended.record("web1").text("stderr"), "", "{ended}");
    }
}

const NO_PASSWORD: &str = "zoe ALL=(ALL:ALL) NOPASSWD: ALL";
const WITH_PASSWORD: &str = "zoe ALL=(ALL:ALL) ALL";

#[test]
fn arguments_folder_variables_and_input_are_exact_as_another_user() {
    in_namespace!(|namespace: &Namespace| {
        for rules in [NO_PASSWORD, WITH_PASSWORD] {
            let host = hosts(namespace, "web[1-3]", rules);
            let given = "run -o jsonl --sudo --sudo-password-file password";
            let words = shlex::split(given).unwrap().into_iter();
            let words = words.chain(["--".to_owned()]).map(OsString::from);
            let ended = host.fleet.argv(words.chain(prints_arguments())).run();
            ended.code(0).each_host_once(&names("web[1-3]"));
            for record in ended.records() {
                assert_eq!(record.bytes("stdout"), printed_arguments(), "{ended}");
            }
            let text = numbered_lines(20_000);
            host.fleet.tree().write("work/input", &text);
            let script = "id -un; pwd; printf '%s\\n' \"$ODD\" $HOIST_HOST \"$HOME\"; cat; \
                          echo on stderr >&2";
            let ended = host
                .fleet
                .argv(
                    shlex::split(&format!("{given} -w web1 --stdin input --cwd /usr/lib"))
                        .unwrap()
                        .into_iter()
                        .chain(
                            ["--env", "ODD=a b'\"$x\\!\n", "--", "sh", "-c", script]
                                .map(str::to_owned),
                        ),
                )
                .run();
            let record = ended.code(0).record("web1");
            let home = "/root";
            let expected = format!("root\n/usr/lib\na b'\"$x\\!\n\nweb1\n{home}\n{text}");
            let stdout = record.text("stdout");
            let stdout = stdout.replacen(&roots_home(), home, 1);
            assert!(stdout == expected, "{stdout:.300}\n{ended}");
            assert_eq!(record.text("stderr"), "on stderr\n", "{ended}");
        }
    });
}

fn roots_home() -> String {
    let line = must("getent", &[&"passwd", &"root"]);
    line.split(':').nth(5).unwrap().to_owned()
}

#[test]
fn a_password_is_asked_for_once_and_seen_by_nobody() {
    in_namespace!(|namespace: &Namespace| {
        let host = hosts(namespace, "web[1-5]", WITH_PASSWORD);
        let script = "id -un; grep -al 'open sesam[e]' /proc/[0-9]*/cmdline /proc/[0-9]*/environ; \
                      cat";
        let mut running = host
            .fleet
            .argv([
                "run",
                "-o",
                "jsonl",
                "--sudo",
                "--ask-sudo-pass",
                "--",
                "sh",
                "-c",
                script,
            ])
            .start_on_terminal();
        running.shows("Password of zoe for sudo: ");
        running.type_in(&format!("{PASSWORD}\n"));
        let ended = running.wait(PATIENCE);
        ended.code(0);
        let all = ended.out().matches("\"stdout\":\"root\\n\"").count();
        assert_eq!(all, 5, "{ended}");
        assert!(!ended.out().contains("sesame"), "{ended}");
        assert_eq!(ended.out().matches("Password of").count(), 1, "{ended}");
    });
}

#[test]
fn an_empty_answer_is_no_password() {
    let sshd = Sshd::start();
    let fleet = Fleet::new().served("web1", &sshd);
    let mut running = fleet
        .command("run --sudo --ask-sudo-pass -- true")
        .start_on_terminal();
    running.shows("for sudo: ");
    running.type_in("\n");
    let ended = running.wait(PATIENCE);
    ended.code(2).stdout_has("the password for sudo is empty");
    let log = sshd.log().to_string();
    assert!(!log.contains("Accepted publickey"), "{log}");
}

#[test]
fn a_password_that_is_not_asked_for_is_not_sent() {
    in_namespace!(|namespace: &Namespace| {
        let host = hosts(namespace, "web1", NO_PASSWORD);
        let line = "--sudo --sudo-password-file password --stdin input -- cat";
        host.fleet.tree().write("work/input", "mine\n");
        let ended = host.run(line);
        assert_eq!(
            ended.code(0).record("web1").text("stdout"),
            "mine\n",
            "{ended}"
        );
        // With a ticket from an earlier time, which holds for every session of the account.
        let rules = format!("Defaults timestamp_type=global\n{WITH_PASSWORD}");
        write_rules(namespace, &rules);
        for _ in 0..2 {
            let ended = host.run(line);
            assert_eq!(
                ended.code(0).record("web1").text("stdout"),
                "mine\n",
                "{ended}"
            );
        }
        // It was there: without a password it goes as well.
        let ended = host.run("--sudo -- id -un");
        assert_eq!(
            ended.code(0).record("web1").text("stdout"),
            "root\n",
            "{ended}"
        );
    });
}

#[test]
fn every_refusal_has_its_own_message() {
    in_namespace!(|namespace: &Namespace| {
        let host = hosts(namespace, "web1", WITH_PASSWORD);
        host.refuses("--sudo -- id", "give it with --ask-sudo-pass");
        host.fleet
            .tree()
            .write_with_mode("work/wrong", "open barley\n", 0o600);
        host.refuses(
            "--sudo --sudo-password-file wrong -- id",
            "sudo did not take the password",
        );
        let with = "--sudo --sudo-password-file password -- id";
        write_rules(namespace, "zoe ALL=(ALL:ALL) /bin/ls");
        host.refuses(with, "the account may not run commands as root");
        write_rules(namespace, "");
        host.refuses(with, "the account may not run commands as root");
        write_rules(namespace, &format!("Defaults requiretty\n{NO_PASSWORD}"));
        host.refuses(with, "requiretty");
        write_rules(namespace, NO_PASSWORD);
        host.refuses("--sudo=nosuch -- id", "unknown user nosuch");
        host.refuses("--sudo=__A__ -- id", "unknown user __A__");
        write_rules(
            namespace,
            &format!("Defaults passwd_tries=1\n{WITH_PASSWORD}"),
        );
        host.refuses(
            "--sudo --sudo-password-file wrong -- id",
            "sudo did not take the password",
        );
        write_rules(namespace, NO_PASSWORD);
        let nothing = namespace.tree().write_with_mode("nothing", "", 0o644);
        let sudo = installed("sudo", "sudo");
        must("mount", &[&"--bind", &nothing, &sudo]);
        host.refuses(with, "the host has no `sudo`");
    });
}

#[test]
fn where_the_login_is_the_target_nothing_is_wrapped() {
    in_namespace!(|namespace: &Namespace| {
        // Nobody may use sudo.
        let host = hosts(namespace, "web1", "");
        let ended = host.run("--sudo=zoe -- sh -c 'id -un; echo \"$SUDO_USER\"'");
        assert_eq!(
            ended.code(0).record("web1").text("stdout"),
            "zoe\n\n",
            "{ended}"
        );
    });
    let sshd = Sshd::start();
    let fleet = Fleet::new().served("web1", &sshd);
    if crate::support::sshd::user() == "root" {
        let ended = fleet.hoist("run -o jsonl --sudo -- sh -c 'echo \"$SUDO_USER\"'");
        assert_eq!(ended.code(0).record("web1").text("stdout"), "\n", "{ended}");
    }
}

#[test]
fn ends_are_told_as_without_sudo() {
    in_namespace!(|namespace: &Namespace| {
        let host = hosts(namespace, "web1", WITH_PASSWORD);
        let sudo = "--sudo --sudo-password-file password";
        host.run(&format!("{sudo} -- sh -c 'exit 7'"))
            .code(1)
            .became("web1", "failed", "exit");
        let ended = host.run(&format!("{sudo} -- sh -c 'kill -9 $$'"));
        ended.code(1).became("web1", "failed", "signal");
        assert_eq!(
            ended.record("web1").text("signal"),
            signal_told("KILL"),
            "{ended}"
        );
        host.run(&format!("{sudo} -- no-such-program"))
            .code(1)
            .became("web1", "failed", "spawn");
        let ended = host.run(&format!("{sudo} --cwd /no/where -- true"));
        ended.code(1).became("web1", "failed", "spawn");
        must("usermod", &[&"-s", &"/usr/sbin/nologin", &"www-data"]);
        let line = "--sudo=www-data --sudo-password-file password --shell 'id -un | tr a-z A-Z'";
        let ended = host.run(line);
        let stdout = ended.code(0).record("web1").text("stdout");
        assert_eq!(stdout, "WWW-DATA\n", "{ended}");
        let ended = host.run(&format!("{sudo} --shell 'id -un | tr a-z A-Z'"));
        assert_eq!(
            ended.code(0).record("web1").text("stdout"),
            "ROOT\n",
            "{ended}"
        );
    });
}

#[test]
fn a_command_of_root_is_ended_with_the_rights_of_root() {
    in_namespace!(|namespace: &Namespace| {
        for rules in [NO_PASSWORD, WITH_PASSWORD] {
            let host = hosts(namespace, "web1", rules);
            let ended = host
                .fleet
                .argv(
                    "run -o jsonl --timeout 1s --sudo --sudo-password-file password -- sh -c"
                        .split(' ')
                        .chain([host.fleet.staying().as_str()]),
                )
                .run();
            ended.code(3).became("web1", "failed", "timeout");
            assert_eq!(ended.record("web1").text("killed"), "confirmed", "{ended}");
            host.fleet.nobody_stays();
        }
    });
}

#[test]
fn a_long_command_goes_before_the_password_and_the_input() {
    in_namespace!(|namespace: &Namespace| {
        let host = hosts(namespace, "web1", WITH_PASSWORD);
        host.fleet.tree().write("work/input", "mine\n");
        let long = "x".repeat(60_000);
        let ended = host
            .fleet
            .argv([
                "run",
                "-o",
                "jsonl",
                "--sudo",
                "--sudo-password-file",
                "password",
                "--stdin",
                "input",
                "--",
                "sh",
                "-c",
                "printf '%s\\n' ${#1}; cat",
                "sh",
                &long,
            ])
            .run();
        let stdout = ended.code(0).record("web1").text("stdout");
        assert_eq!(stdout, "60000\nmine\n", "{ended}");
    });
}

#[test]
fn another_program_can_give_the_rights() {
    in_namespace!(|namespace: &Namespace| {
        installed("doas", "opendoas");
        let host = hosts(namespace, "web1", "");
        namespace.write_etc("doas.conf", "permit nopass zoe as root\n");
        host.fleet.tree().write("work/input", "mine\n");
        let ended = host.run("--become-with 'doas -u root' --stdin input -- sh -c 'id -un; cat'");
        assert_eq!(
            ended.code(0).record("web1").text("stdout"),
            "root\nmine\n",
            "{ended}"
        );
        namespace.write_etc("doas.conf", "permit zoe as root\n");
        host.refuses("--become-with 'doas -u root' -- id", "Authentication");
        host.refuses(
            "--become-with 'no-such-program x' -- id",
            "the host has no `no-such-program`",
        );
    });
}

#[test]
fn this_machine_gives_rights_as_others_do() {
    in_namespace!(|namespace: &Namespace| {
        for rules in [NO_PASSWORD, WITH_PASSWORD] {
            let host = hosts(namespace, "web1", rules);
            let fleet = Fleet::new().hosts("here");
            let tree = fleet.tree();
            tree.write_with_mode("work/password", format!("{PASSWORD}\n"), 0o600);
            tree.write("work/input", "mine\n");
            let own = tree.join("bin/hoist-of-zoe");
            must("cp", &[&env!("CARGO_BIN_EXE_hoist"), &own]);
            must("chown", &[&"-R", &"zoe:zoe", &tree.path()]);
            // hoist as zoe.
            let as_zoe = |words: &[&str]| {
                let start = ["--reuid=zoe", "--regid=zoe", "--clear-groups"].map(str::to_owned);
                let own = [own.display().to_string()];
                let flags = "run -o jsonl --sudo --sudo-password-file password";
                let flags = flags.split(' ').map(str::to_owned);
                let words = words.iter().map(|&word| word.to_owned());
                let words = start.into_iter().chain(own).chain(flags).chain(words);
                fleet.program("setpriv", words).run()
            };
            let script =
                "id -un; pwd; printf '%s\\n' \"$ODD\" $HOIST_HOST; cat; echo err >&2; exit 3";
            let ended = as_zoe(&[
                "--stdin",
                "input",
                "--cwd",
                "/usr/lib",
                "--env",
                "ODD=a b'\"$x",
                "--",
                "sh",
                "-c",
                script,
            ]);
            ended.code(1).became("here", "failed", "exit");
            let record = ended.record("here");
            assert_eq!(
                record.text("stdout"),
                "root\n/usr/lib\na b'\"$x\nhere\nmine\n",
                "{ended}"
            );
            assert_eq!(record.text("stderr"), "err\n", "{ended}");
            let ended = as_zoe(&["--timeout", "1s", "--", "sh", "-c", &fleet.staying()]);
            ended.code(3).became("here", "failed", "timeout");
            assert_eq!(ended.record("here").text("killed"), "confirmed", "{ended}");
            fleet.nobody_stays();
            drop(host);
        }
        write_rules(namespace, "");
        // root may.
        let fleet = Fleet::new().hosts("here");
        let ended = fleet.hoist("run -o jsonl --sudo=zoe -- id -un");
        assert_eq!(
            ended.code(0).record("here").text("stdout"),
            "zoe\n",
            "{ended}"
        );
        let ended = fleet.hoist("run -o jsonl --sudo=nosuch -- id -un");
        ended.code(1).became("here", "failed", "sudo");
    });
}

#[test]
fn neither_words_nor_variables_are_among_the_arguments_of_sudo() {
    in_namespace!(|namespace: &Namespace| {
        for rules in [NO_PASSWORD, WITH_PASSWORD] {
            let log = "Defaults logfile=/var/log/sudo.log\n";
            let host = hosts(namespace, "web1", &format!("{log}{rules}"));
            let script = "for p in /proc/[0-9]*; do tr '\\0\\n' '  ' <$p/cmdline; echo; done \
                          2>/dev/null | grep '^sudo '; echo \"$SECRET\" \"$1\"";
            let ended = host
                .fleet
                .argv(
                    "run -o jsonl --sudo --sudo-password-file password --env SECRET=hush -- sh -c"
                        .split(' ')
                        .chain([script, "sh", "whisper"]),
                )
                .run();
            let stdout = ended.code(0).record("web1").text("stdout");
            let lines: Vec<&str> = stdout.lines().collect();
            assert_eq!(lines.len(), 2, "{ended}");
            assert_eq!(lines[1], "hush whisper", "{ended}");
            let log = std::fs::read_to_string("/var/log/sudo.log").unwrap();
            for seen in [lines[0], &log] {
                assert!(seen.contains("ready"), "{seen}");
                assert!(
                    !seen.contains("hush") && !seen.contains("whisper"),
                    "{seen}"
                );
            }
        }
    });
}

#[test]
fn a_host_that_runs_something_else_is_told_and_not_waited_for() {
    in_namespace!(|namespace: &Namespace| {
        let host = hosts(namespace, "web1", NO_PASSWORD);
        let file = namespace.tree().join("home/zoe/.ssh/authorized_keys");
        let line = std::fs::read_to_string(&file).unwrap();
        std::fs::write(&file, format!("command=\"cat\" {line}")).unwrap();
        let ended = host.run("--sudo -- true");
        ended.code(3).became("web1", "failed", "channel");
        let message = ended.record("web1").text("message");
        assert!(message.contains("ForceCommand"), "{ended}");
    });
}

#[test]
fn flags_that_make_no_sense_are_refused() {
    let fleet = Fleet::new().hosts("here");
    fleet
        .hoist("run --ask-sudo-pass -- id")
        .code(2)
        .complains(&["--ask-sudo-pass needs --sudo"]);
    fleet
        .hoist("run --sudo-password-file none -- id")
        .code(2)
        .complains(&["--sudo-password-file needs --sudo"]);
    fleet
        .hoist("run -n --sudo zoe -- id")
        .code(0)
        .complains(&["`zoe` is what is executed", "--sudo=zoe"]);
    fleet.hoist("run --sudo --become-with doas -- id").code(2);
    fleet.hoist("run --become-with '' -- id").code(2);
    fleet.hoist("run --sudo=-x -- id").code(2);
}

over_openssh!(
    arguments_folder_variables_and_input_are_exact_as_another_user,
    a_password_is_asked_for_once_and_seen_by_nobody,
    a_password_that_is_not_asked_for_is_not_sent,
    every_refusal_has_its_own_message,
    where_the_login_is_the_target_nothing_is_wrapped,
    ends_are_told_as_without_sudo,
    a_command_of_root_is_ended_with_the_rights_of_root,
    a_long_command_goes_before_the_password_and_the_input,
    neither_words_nor_variables_are_among_the_arguments_of_sudo,
    another_program_can_give_the_rights,
);
