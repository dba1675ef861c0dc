//! The number hoist ends with, and what goes before what.

use crate::support::fleet::Fleet;
use crate::support::listener::DeadPort;

/// Two hosts of this machine and one that refuses connections.
fn fleet(dead: &DeadPort) -> Fleet {
    Fleet::new()
        .hosts("web[1-2]")
        .strangers("gone", dead.port())
}

#[test]
fn zero_is_for_all_hosts_ok() {
    Fleet::new().hosts("web[1-3]").hoist("run -- true").code(0);
}

#[test]
fn one_is_for_a_failed_command() {
    let fleet = Fleet::new().hosts("web[1-3]").exits("web2", 200);
    fleet.hoist("run -- act").code(1);
}

#[test]
fn two_is_for_a_request_that_makes_no_sense() {
    let fleet = Fleet::new().hosts("web1");
    for line in [
        "run",
        "run --no-such-flag -- true",
        "run -w nobody -- true",
        "nonsense",
        "",
    ] {
        fleet.hoist(line).code(2);
    }
}

#[test]
fn three_is_for_a_host_not_reached_and_goes_before_one() {
    let dead = DeadPort::take();
    let ended = fleet(&dead).exits("web1", 9).hoist("run -o jsonl -- act");
    ended.code(3).became("gone", "failed", "refused");
    ended
        .became("web1", "failed", "exit")
        .became("web2", "ok", "");
}

#[test]
fn the_largest_status_can_be_asked_for() {
    let hosts = Fleet::new()
        .hosts("web[1-3]")
        .exits("web1", 7)
        .exits("web3", 40);
    hosts.hoist("run --exit max -- act").code(40);
    let hosts = hosts.acts("web2", "exit 255");
    hosts.hoist("run --exit max -- act").code(125);
    Fleet::new()
        .hosts("web1")
        .hoist("run --exit max -- true")
        .code(0);
}

#[test]
fn the_largest_status_says_when_a_host_was_not_reached() {
    let dead = DeadPort::take();
    fleet(&dead)
        .exits("web1", 9)
        .hoist("run --exit max -- act")
        .code(126);
}
