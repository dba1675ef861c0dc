//! Templates: `hoist render`, and `hoist run --template`.

use crate::support::PATIENCE;
use crate::support::fleet::Fleet;
use crate::support::listener::DeadPort;
use crate::support::sshd::Sshd;

const FLEET: &str = "[app]\napp1 address=192.0.2.1 rack=a1\napp2 address=192.0.2.2 rack=a2\n\
    [proxy]\nproxy[1-2]\n";

fn fleet() -> Fleet {
    let fleet = Fleet::new();
    fleet.tree().write("work/fleet", FLEET);
    let template = "upstream app {\n  {% for h in groups.app %}\n  server {{ h.address }}:{{ vars.port }};\n  {% endfor %}\n}\n";
    fleet.tree().write("work/app.conf", template);
    fleet
}

#[test]
fn a_text_that_all_hosts_share_stands_alone() {
    let fleet = fleet();
    let expected = "upstream app {\n  server 192.0.2.1:8000;\n  server 192.0.2.2:8000;\n}\n";
    fleet
        .hoist("render -i fleet -w @proxy --var port=8000 app.conf")
        .code(0)
        .stdout(expected)
        .no_stderr();
}

#[test]
fn texts_that_differ_stand_under_their_hosts() {
    let fleet = fleet();
    fleet
        .tree()
        .write("work/rack", "{{ host.rack|default('none') }}");
    fleet
        .hoist("render -i fleet rack")
        .code(0)
        .stdout("# app1\na1\n# app2\na2\n# proxy[1-2]\nnone\n");
    fleet
        .command("render -i fleet -w app1 -o jsonl -")
        .stdin("{{ host.name }}\n")
        .run()
        .code(0)
        .stdout("{\"host\":\"app1\",\"text\":\"app1\\n\"}\n");
}

#[test]
fn variables_come_from_files_and_arguments_and_results_from_a_run() {
    let fleet = fleet();
    fleet.tree().write("work/a.toml", "port = 1\nname = 'a'\n");
    fleet.tree().write("work/users.csv", "name,id\nzoe,7\n");
    let text = "{{ vars.port }} {{ vars.name }} {{ vars.users[0].id }} {{ results[host.name].stdout|trim }}";
    fleet.tree().write("work/t", text);
    let ran = Fleet::new()
        .hosts("app1")
        .hoist("run -o jsonl -- echo 5.10");
    fleet.tree().write("work/facts.jsonl", ran.out());
    fleet
        .hoist("render -i fleet -w app1 --vars a.toml --vars users.csv --var port=2 --results facts.jsonl t")
        .code(0)
        .stdout("2 a 7 5.10");
}

#[test]
fn what_is_not_defined_is_told_before_anything_is_printed_or_contacted() {
    let fleet = fleet();
    fleet.tree().write("work/t", "first\n  {{ host.rack }}\n");
    fleet
        .hoist("render -i fleet t")
        .code(2)
        .no_stdout()
        .complains(&["t:2:6: `host.rack` is not defined (for proxy1)"]);
    let sshd = Sshd::start();
    let fleet = Fleet::new().served("web[1-2]", &sshd);
    fleet
        .hoist("run --template -- echo {{host.zone}}")
        .code(2)
        .no_stdout()
        .complains(&["word 2 of the command:1:3: `host.zone` is not defined (for web1)"]);
    let log = sshd.log().to_string();
    assert!(!log.contains("Accepted publickey"), "{log}");
}

#[test]
fn every_host_gets_its_own_words_exactly() {
    let sshd = Sshd::start();
    let fleet = Fleet::new().served("web[1-3]", &sshd);
    fleet
        .argv([
            "run",
            "--template",
            "--var",
            "odd=it's $x *",
            "--",
            "printf",
            "%s|",
            "{{ host.name }}",
            "{{ vars.odd }}",
            "a b",
        ])
        .run()
        .code(0)
        .stdout_lines(&[
            "web1: web1|it's $x *|a b|",
            "web2: web2|it's $x *|a b|",
            "web3: web3|it's $x *|a b|",
        ]);
    // One word is split first: blanks within braces split nothing.
    fleet
        .argv([
            "run",
            "--template",
            "-w",
            "web1",
            "-N",
            "printf %s {{ host.name | upper }}",
        ])
        .run()
        .code(0)
        .stdout("WEB1");
    // In a shell's line values are quoted.
    fleet
        .argv([
            "run",
            "--template",
            "--shell",
            "-w",
            "web1",
            "-N",
            "--var",
            "odd=it's $HOME; *",
            "echo {{ vars.odd }} | tr a-z A-Z",
        ])
        .run()
        .code(0)
        .stdout("IT'S $HOME; *\n");
}

#[test]
fn a_dry_run_shows_each_hosts_command() {
    let fleet = Fleet::new().hosts("web[1-2]");
    fleet
        .hoist("run -n --template -- echo '{{ host.name }}!'")
        .code(0)
        .stdout_has("\nweb1: echo 'web1!'\nweb2: echo 'web2!'\n");
}

#[test]
fn flags_about_templates_need_some() {
    let fleet = Fleet::new().hosts("web1");
    fleet
        .hoist("run --var a=b -- echo")
        .code(2)
        .complains(&["--var needs --template"]);
    fleet.hoist("render nosuch").code(2).complains(&["nosuch"]);
}

/// Hosts of a real server, each with a folder of its own for what is compared.
fn compared(sshd: &Sshd) -> Fleet {
    let fleet = Fleet::new().served("web[1-4]", sshd);
    for host in ["web1", "web2", "web3", "web4"] {
        fleet.tree().folder(&format!("there/{host}"));
    }
    fleet
        .tree()
        .write("work/motd", "{{ vars.greeting }}\nend\n");
    fleet
}

#[test]
fn a_diff_tells_what_hosts_have_instead() {
    let sshd = Sshd::start();
    let fleet = compared(&sshd);
    let there = fleet.tree().join("there").display().to_string();
    for (host, text) in [
        ("web1", "hello\nend\n"),
        ("web2", "hullo\nend\n"),
        ("web3", "hullo\nend\n"),
    ] {
        fleet.tree().write(&format!("there/{host}/motd"), text);
    }
    let diff = |path: &str, more: &str| {
        fleet.hoist(&format!(
            "render --var greeting=hello {more} --diff {path} motd"
        ))
    };
    let ended = diff(&format!("{there}/{{host}}/motd"), "-w web[1-2],web4");
    ended.code(0).stdout(&format!(
        "# web2\n--- {there}/web2/motd\n+++ motd\n@@ -1,2 +1,2 @@\n-hullo\n+hello\n end\n\
         # web4\n--- /dev/null\n+++ motd\n@@ -0,0 +1,2 @@\n+hello\n+end\n"
    ));
    ended.stderr_has("3 hosts: 2 differing, 1 the same\n");

    // Hosts with the same difference stand together.
    let ended = diff(&format!("{there}/web2/motd"), "");
    ended.code(0).stdout(&format!(
        "# web[1-4]\n--- {there}/web2/motd\n+++ motd\n@@ -1,2 +1,2 @@\n-hullo\n+hello\n end\n"
    ));
    let ended = diff(&format!("{there}/web1/motd"), "");
    ended
        .code(0)
        .no_stdout()
        .stderr_has("4 hosts: 4 the same\n");
}

#[test]
fn what_cannot_be_compared_is_told_and_the_others_are() {
    let sshd = Sshd::start();
    let dead = DeadPort::take();
    let fleet = compared(&sshd).ssh_host("gone", dead.port(), "root", "");
    let there = fleet.tree().join("there").display().to_string();
    fleet.tree().write("there/web1/x", "long\n".repeat(300_000));
    fleet.tree().folder("there/web2/x");
    fleet.tree().write("there/web3/x", "a\0b");
    fleet.tree().write("there/web4/x", b"gr\xfcn\n");
    let line = format!("render --var greeting=a --diff {there}/{{host}}/x");
    let ended = fleet.hoist(&format!("{line} -w web[1-4] motd"));
    ended
        .code(1)
        .complains(&["web1: transfer: the file is longer than 1 MiB"]);
    ended.complains(&["web2: exit: ", "/web2/x is not a file"]);
    ended.stderr_has("4 hosts: 2 differing, 2 not compared\n");
    ended.stdout_has(&format!(
        "# web3\nBinary files {there}/web3/x and motd differ\n"
    ));
    let has_bytes = ended.stdout.windows(6).any(|part| part == b"-gr\xfcn\n");
    assert!(has_bytes, "{ended}");
    fleet
        .hoist(&format!("{line} -w gone,web4 motd"))
        .code(3)
        .complains(&["gone: refused: "])
        .stdout_has("# web4\n");
}

#[test]
fn a_file_never_drives_the_terminal() {
    let sshd = Sshd::start();
    let fleet = compared(&sshd);
    fleet.tree().write("there/web1/x", "\u{1b}]0;owned\u{7}\n");
    let path = fleet.tree().join("there/web1/x").display().to_string();
    let line = format!("render -w web1 --var greeting=a --diff {path} motd");
    let shown = fleet
        .command(&line)
        .start_on_terminal()
        .wait(PATIENCE)
        .out();
    assert!(!shown.contains("\u{1b}]0"), "{shown}");
    assert!(shown.contains("-^[]0;owned^G"), "{shown}");
}

#[test]
fn flags_about_hosts_need_something_to_compare() {
    let fleet = Fleet::new().hosts("web1");
    fleet.tree().write("work/t", "a");
    fleet
        .hoist("render --sudo t")
        .code(2)
        .complains(&["--sudo needs --diff"]);
    fleet
        .hoist("render --diff /x -o json t")
        .code(2)
        .no_stdout();
}
