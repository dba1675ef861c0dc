//! Templates: `hoist render`, and `hoist run --template`.

use crate::support::fleet::Fleet;
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
