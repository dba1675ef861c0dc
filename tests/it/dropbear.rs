//! Commands against dropbear, which sends no signal names of its own, gives commands no process
//! group and knows fewer algorithms.

use std::time::Duration;

use crate::run::{printed_arguments, prints_arguments};
use crate::support::dropbear::Dropbear;
use crate::support::fleet::Fleet;
use crate::support::namespace::{Namespace, in_namespace};
use crate::support::sshd::Sshd;
use crate::support::tree::is_emptied;
use crate::support::{PATIENCE, names, numbered_lines};

#[test]
fn every_host_says_its_own_line() {
    in_namespace!(|namespace: &Namespace| {
        let dropbear = Dropbear::start(namespace);
        let fleet = Fleet::new().served_by_dropbear("ap[1-5]", &dropbear);
        let ended = fleet.hoist("run -o jsonl -- sh -c 'echo $HOIST_HOST; exit 3'");
        ended.code(1).each_host_once(&names("ap[1-5]"));
        for record in ended.records() {
            assert_eq!(record.text("stdout"), record.text("host") + "\n", "{ended}");
            assert_eq!(record.number("exit_code"), 3, "{ended}");
        }
    });
}

#[test]
fn arguments_arrive_byte_for_byte() {
    in_namespace!(|namespace: &Namespace| {
        let dropbear = Dropbear::start(namespace);
        let fleet = Fleet::new().served_by_dropbear("ap1", &dropbear);
        let start = ["run", "-o", "jsonl", "--"].map(std::ffi::OsString::from);
        let ended = fleet
            .argv(start.into_iter().chain(prints_arguments()))
            .run();
        ended.code(0);
        assert_eq!(
            ended.record("ap1").bytes("stdout"),
            printed_arguments(),
            "{ended}"
        );
    });
}

#[test]
fn a_command_that_takes_too_long_is_ended_there_and_nothing_else() {
    in_namespace!(|namespace: &Namespace| {
        let dropbear = Dropbear::start(namespace);
        let fleet = Fleet::new().served_by_dropbear("ap[1-2]", &dropbear);
        let staying = fleet.staying();
        let fleet = fleet.acts("ap1", &staying).acts("ap2", "echo fine");
        let ended = fleet.hoist(&format!("run -o jsonl --timeout 1s -- {}", fleet.act()));
        ended
            .code(3)
            .became("ap1", "failed", "timeout")
            .became("ap2", "ok", "");
        ended.within(Duration::from_secs(15));
        assert_eq!(ended.record("ap1").text("killed"), "confirmed", "{ended}");
        fleet.nobody_stays();
        // The server is still there: only the command was ended.
        fleet.hoist("run -o jsonl -w ap1 -- true").code(0);
    });
}

#[test]
fn pipes_and_input_flow_together() {
    in_namespace!(|namespace: &Namespace| {
        let dropbear = Dropbear::start(namespace);
        let fleet = Fleet::new().served_by_dropbear("ap1", &dropbear);
        fleet.tree().write("work/input", vec![b'x'; 4 << 20]);
        let line = "run -o jsonl --stdin input -- sh -c 'tee /dev/stderr'";
        let record = fleet.hoist(line).code(0).record("ap1");
        assert_eq!(
            (record.number("stdout_bytes"), record.number("stderr_bytes")),
            (4 << 20, 4 << 20)
        );
    });
}

#[test]
fn commands_get_other_rights() {
    in_namespace!(|namespace: &Namespace| {
        let dropbear = Dropbear::start(namespace);
        let fleet = Fleet::new().served_by_dropbear("web1", &dropbear);
        fleet.tree().write("work/input", "mine\n");
        let long = "x".repeat(20_000);
        let script = "echo $A ${#1}; cat";
        // It gives none, and is executed as what does would be.
        let start = "run -N --become-with 'env A=b' --stdin input -- sh -c";
        let words = shlex::split(start).unwrap().into_iter();
        let line = words.chain([script, "sh", &long].map(str::to_owned));
        fleet.argv(line).run().code(0).stdout("b 20000\nmine\n");
    });
}

#[test]
fn scripts_are_brought_and_removed() {
    in_namespace!(|namespace: &Namespace| {
        let dropbear = Dropbear::start(namespace);
        let fleet = Fleet::new().served_by_dropbear("ap[1-2]", &dropbear);
        let place = fleet.tree().folder("place");
        fleet.tree().write("work/input", "mine\n");
        let text = format!("#!/bin/sh\necho $#; cat; exit 3\n#{}", "x".repeat(100_000));
        fleet.tree().write("work/x.sh", text);
        let line = format!("script -o jsonl --env TMPDIR={}", place.display());
        let ended = fleet.hoist(&format!("{line} --stdin input x.sh a 'b c'"));
        ended.code(1).each_host_once(&names("ap[1-2]"));
        for record in ended.records() {
            assert_eq!(record.text("stdout"), "2\nmine\n", "{ended}");
            assert_eq!(record.number("exit_code"), 3, "{ended}");
        }
        let staying = fleet.staying();
        let text = format!("trap '' TERM\n{staying}");
        fleet.tree().write("work/stay.sh", text);
        let ended = fleet.hoist(&format!("{line} --timeout 1s stay.sh"));
        ended.code(3).became("ap1", "failed", "timeout");
        fleet.nobody_stays();
        assert!(is_emptied(&place, PATIENCE), "nothing is left");
    });
}

#[test]
fn it_stands_behind_others_and_before_them() {
    in_namespace!(|namespace: &Namespace| {
        let (dropbear, sshd) = (Dropbear::start(namespace), Sshd::start());
        // Both let both keys in; the first one made is the one hoist has.
        namespace.authorize("root", &sshd.client_key.public());
        let fleet = Fleet::new()
            .served("web[1-20]", &sshd)
            .log(&dropbear.log())
            .ssh_hosts("ap[1-20]", dropbear.port(), &dropbear.host_key);
        let known = fleet.known_hosts();
        let (bastion, other) = (sshd.port(), dropbear.port());
        let (key, other_key) = (sshd.host_keys[0].public(), &dropbear.host_key);
        fleet.write_known_hosts(&format!(
            "{known}[127.0.0.1]:{bastion} {key}\n[127.0.0.1]:{other} {other_key}\n"
        ));
        for (jumps, hosts) in [
            (format!("127.0.0.1:{bastion}"), "ap[1-20]"),
            (format!("127.0.0.1:{other}"), "web[1-20],ap[1-20]"),
            (
                format!("127.0.0.1:{bastion},127.0.0.1:{other}"),
                "web[1-20]",
            ),
            (format!("127.0.0.1:{other},127.0.0.1:{bastion}"), "ap[1-20]"),
        ] {
            let line = format!("run -J {jumps} -w {hosts} -o jsonl -- sh -c 'echo $HOIST_HOST'");
            let ended = fleet.hoist(&line);
            let all: Vec<String> = hosts.split(',').flat_map(names).collect();
            ended.code(0).each_host_once(&all);
            for record in ended.records() {
                assert_eq!(record.text("stdout"), record.text("host") + "\n", "{ended}");
            }
        }
    });
}

#[test]
fn what_goes_through_it_is_exact_and_whole() {
    in_namespace!(|namespace: &Namespace| {
        let (dropbear, sshd) = (Dropbear::start(namespace), Sshd::start());
        namespace.authorize("root", &sshd.client_key.public());
        let fleet = Fleet::new().served("web[1-3]", &sshd).log(&dropbear.log());
        let known = fleet.known_hosts();
        let (port, key) = (dropbear.port(), &dropbear.host_key);
        fleet.write_known_hosts(&format!("{known}[127.0.0.1]:{port} {key}\n"));
        let lines = numbered_lines(300_000);
        fleet.tree().write("work/input", &lines);
        let line = format!("run -J 127.0.0.1:{port} -o jsonl --stdin input -- tee /dev/stderr");
        let ended = fleet.hoist(&line);
        ended.code(0);
        for record in ended.records() {
            let is_whole = record.text("stdout") == lines && record.text("stderr") == lines;
            assert!(is_whole, "{}: all lines, in order", record.text("host"));
        }
    });
}
