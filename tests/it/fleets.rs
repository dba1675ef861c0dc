//! `hoist up`, `hoist down`, `hoist cloud`: on the sandbox, whose servers are real, and against an API
//! that goes wrong when it is told to.

use std::fs;
use std::time::Duration;

use rustix::process::Signal;

use crate::support::PATIENCE;
use crate::support::cloud::{Cloud, Fate, TOKEN};
use crate::support::fleet::Fleet;
use crate::support::sandbox::Sandbox;
use crate::support::stub::{Reply, Stub};
use crate::support::tree::kill;

/// What a server at the API is asked to be.
const VULTR: &str = "--provider vultr --region ewr --size vc2-1c-1gb --image 'Debian 12'";

#[test]
fn a_fleet_is_raised_used_grown_and_taken_away() {
    let sandbox = Sandbox::new();
    let fleet = &sandbox.0;
    let up = fleet.hoist("up web --count 2 --yes -o csv");
    up.code(0).stdout_has("web-1").stdout_has("web-2");
    up.stderr_has("processes of this machine");
    let rows = sandbox.rows();
    assert_eq!(rows.keys().collect::<Vec<_>>(), ["old", "web-1", "web-2"]);
    assert_eq!(rows["old"]["rack"], "a1");
    assert_eq!(rows["web-1"]["groups"], "web");
    assert!(rows["web-1"]["host_key"].starts_with("ssh-ed25519 "));
    assert_ne!(rows["web-1"]["host_key"], rows["web-2"]["host_key"]);

    // Each has a home and an address of its own.
    let run = fleet.hoist("run -w @web -o jsonl -- sh -c 'echo $HOME; pwd'");
    run.code(0);
    let homes: Vec<String> = ["web-1", "web-2"]
        .map(|name| run.record(name).text("stdout"))
        .into();
    assert_ne!(homes[0], homes[1]);
    let own: Vec<&str> = homes[0].lines().collect();
    assert_eq!(own[0], own[1]);

    let before = sandbox.ids();
    fleet.hoist("up web --count 2 --yes").code(0);
    assert_eq!(sandbox.ids(), before);
    fleet.hoist("up web --count 3 --yes").code(0);
    assert_eq!(sandbox.ids().len(), 3);

    fleet
        .hoist("down web-2 --yes")
        .code(0)
        .stderr_has("web-2: destroyed");
    assert_eq!(
        sandbox.rows().keys().collect::<Vec<_>>(),
        ["old", "web-1", "web-3"]
    );
    // The lowest free number comes first.
    fleet
        .hoist("up web --count 3 --yes")
        .code(0)
        .stdout_has("web-2");
    let list = fleet.hoist("cloud list -o jsonl");
    list.code(0);
    assert_eq!(list.records().len(), 3);

    fleet.hoist("down web --yes").code(0);
    sandbox.is_empty();
    assert_eq!(sandbox.rows().keys().collect::<Vec<_>>(), ["old"]);
}

#[test]
fn the_handed_over_host_key_is_replaced_and_no_other_is_accepted() {
    let sandbox = Sandbox::new();
    let fleet = &sandbox.0;
    fleet.hoist("up web --yes").code(0);
    let record = String::from_utf8(fleet.tree().read("state/hoist/fleets/web.jsonl")).unwrap();
    let entries = record
        .lines()
        .map(|line| serde_json::from_str(line).unwrap());
    let entries: Vec<serde_json::Value> = entries.collect();
    let of = |event: &str| {
        let found = entries.iter().find(|entry| entry["event"] == event);
        found.unwrap()["host_key"].as_str().unwrap().to_owned()
    };
    assert_ne!(of("intent"), of("rekeyed"));
    assert_eq!(of("rekeying"), of("rekeyed"));
    assert_eq!(sandbox.rows()["web-1"]["host_key"], of("rekeyed"));
    let text = String::from_utf8(fleet.tree().read("work/fleet.csv")).unwrap();
    fleet.tree().write(
        "work/fleet.csv",
        text.replace(&of("rekeyed"), &of("intent")),
    );
    let run = fleet.hoist("run -w web-1 -o jsonl -- true");
    run.code(3).became("web-1", "failed", "host-key-changed");
    fleet.hoist("down web --yes").code(0);
}

#[test]
fn servers_of_a_job_are_destroyed_whatever_became_of_it() {
    let sandbox = Sandbox::new();
    let fleet = &sandbox.0;
    let ok = fleet.hoist("up job --count 2 --rm --yes -o jsonl -- sh -c 'echo $HOIST_HOST'");
    ok.code(0);
    assert_eq!(ok.record("job-2").text("stdout"), "job-2\n");
    sandbox.is_empty();
    fleet.hoist("up job --rm --yes -- false").code(1);
    sandbox.is_empty();
    let line = fleet.staying();
    let running = fleet.argv([
        "up", "job", "--rm", "--yes", "--grace", "1s", "-o", "stream", "--", "sh", "-c", &line,
    ]);
    let running = running.start();
    running.shows("ready").signal(Signal::INT);
    running.wait(PATIENCE).code(130).stderr_has("destroyed");
    sandbox.is_empty();
    assert_eq!(sandbox.rows().keys().collect::<Vec<_>>(), ["old"]);
}

#[test]
fn live_servers_are_an_inventory() {
    let sandbox = Sandbox::new();
    let fleet = &sandbox.0;
    fleet.hoist("up web --count 2 --yes").code(0);
    let run = fleet.hoist("run -i sandbox:web -w @web -o jsonl -- true");
    run.code(0)
        .each_host_once(&["web-1".to_owned(), "web-2".to_owned()]);
    fleet
        .hoist("hosts -i sandbox:web")
        .code(0)
        .stdout("web-1\nweb-2\n");
    fleet.hoist("down web --yes").code(0);
    let none = fleet.hoist("run -i sandbox:web -- true");
    none.code(2)
        .complains(&["no server that runs", "hoist up web"]);
}

#[test]
fn what_follows_a_fleet_follows_it_up_and_down() {
    let sandbox = Sandbox::new();
    let fleet = &sandbox.0;
    let tree = fleet.tree();
    let dest = tree.join("home/app.conf");
    tree.write(
        "config/hoist/app.conf",
        "{% for h in groups.app %}{{ h.name }} {{ h.address }}\n{% endfor %}",
    );
    tree.write(
        "config/hoist/config.toml",
        format!(
            "[fleet.app]\ncount = 2\ninventory = ['{}']\nfollow = [{{ hosts = '@proxy', template = 'app.conf', \
             dest = '{}', check = 'grep -q app', then = 'true' }}]\n",
            tree.join("work/app.csv").display(),
            dest.display()
        )
        .replace("'grep -q app'", &format!("'grep -q app {}'", dest.display())),
    );
    tree.write(
        "work/app.csv",
        "name,transport,groups\nproxy1,local,proxy\n",
    );
    let up = |line: &str| fleet.command(line).env("HOIST_INVENTORY", "");
    up("up app --yes").run().code(0).stdout_has("proxy1");
    assert_eq!(fs::read_to_string(&dest).unwrap().lines().count(), 2);
    up("up app --yes --count 3").run().code(0);
    assert_eq!(fs::read_to_string(&dest).unwrap().lines().count(), 3);
    up("down app-1 --yes").run().code(0);
    // A server alone doesn't say which fleet's settings count; the record does.
    up("down app --yes -i app.csv").run();
    sandbox.is_empty();
}

#[test]
fn nothing_is_made_or_destroyed_unless_somebody_agrees() {
    let sandbox = Sandbox::new();
    let fleet = &sandbox.0;
    let asked = fleet.command("up web").run_detached();
    asked.code(2).complains(&["nothing was made", "--yes"]);
    sandbox.is_empty();
    let mut running = fleet.command("up web").start_on_terminal();
    running.shows("Make it? [y/N]").shows("price: none");
    running.type_in("n\n");
    running.wait(PATIENCE).code(2);
    sandbox.is_empty();
    fleet.hoist("up web --yes").code(0);
    let asked = fleet.command("down web").run_detached();
    asked.code(2).complains(&["nothing was destroyed", "--yes"]);
    let mut running = fleet.command("down web").start_on_terminal();
    running.shows("type the fleet's name, web:");
    running.type_in("wbe\n");
    running.wait(PATIENCE).code(2);
    assert_eq!(sandbox.ids().len(), 1);
    let mut running = fleet.command("down web").start_on_terminal();
    running.shows("type the fleet's name, web:");
    running.type_in("web\n");
    running.wait(PATIENCE).code(0);
    sandbox.is_empty();
}

#[test]
fn each_fleet_has_its_own_table_and_nobody_agrees_for_another() {
    let sandbox = Sandbox::new();
    let fleet = &sandbox.0;
    let tree = fleet.tree();
    let table = |name: &str, more: &str| {
        let file = tree.join(format!("work/{name}.csv"));
        format!(
            "[fleet.{name}]\ninventory = ['{}']\n{more}\n",
            file.display()
        )
    };
    let tables = table("aa", "yes = true") + &table("bb", "");
    tree.write("config/hoist/config.toml", tables);
    let up = |line: &str| fleet.command(line).env("HOIST_INVENTORY", "");
    up("up aa").run_detached().code(0);
    up("up bb --yes").run().code(0);
    let asked = up("down aa bb").env("HOIST_YES", "true").run_detached();
    asked.code(2).stderr_has("nothing was destroyed");
    assert_eq!(sandbox.ids().len(), 2);
    up("down aa bb --yes").run().code(0);
    sandbox.is_empty();
    for name in ["aa", "bb"] {
        let rows = String::from_utf8(tree.read(&format!("work/{name}.csv"))).unwrap();
        assert_eq!(rows.lines().count(), 1, "{rows}");
    }
}

#[test]
fn fleets_of_one_group_and_of_an_ansible_inventory_keep_to_their_own_rows() {
    let sandbox = Sandbox::new();
    let fleet = &sandbox.0;
    for name in ["blue", "green"] {
        let line = format!("up {name} --group web --yes -i hosts.ini");
        fleet.tree().write(
            "work/hosts.ini",
            match name {
                "blue" => "[web]\nold ansible_host=192.0.2.9\n".into(),
                _ => fleet.tree().read("work/hosts.ini"),
            },
        );
        fleet.hoist(&line).code(0);
        fleet.hoist(&line).code(0);
    }
    fleet.hoist("down blue --yes -i hosts.ini").code(0);
    let left = fleet.hoist("hosts -i hosts.ini -w @web");
    left.code(0).stdout("old\ngreen-1\n");
    fleet.hoist("down green --yes -i hosts.ini").code(0);
    sandbox.is_empty();
}

#[test]
fn a_name_that_two_fleets_have_is_nobodys() {
    let sandbox = Sandbox::new();
    let fleet = &sandbox.0;
    for (name, file) in [("f0", "n0.csv"), ("f1", "n1.csv")] {
        let line = format!("up {name} --name 'web-{{n}}' --yes -i {file}");
        fleet.hoist(&line).code(0);
    }
    let unclear = fleet.hoist("down web-1 --yes");
    unclear.code(2).complains(&["`f0` and `f1`"]);
    assert_eq!(sandbox.ids().len(), 2);
    fleet.hoist("down f0 f1 --yes").code(0);
    sandbox.is_empty();
}

#[test]
fn a_dry_run_makes_nothing() {
    let sandbox = Sandbox::new();
    let dry = sandbox.0.hoist("up web --count 3 -n");
    dry.code(0)
        .stdout_has("3 servers are to be made")
        .stdout_has("price: none");
    sandbox.is_empty();
    assert_eq!(sandbox.rows().len(), 1);
}

#[test]
fn events_tell_each_step_of_each_server() {
    let sandbox = Sandbox::new();
    let fleet = &sandbox.0;
    let up = fleet.hoist("up web --yes -o jsonl --events -- true");
    up.code(0);
    let lines = up.out();
    let events = lines
        .lines()
        .map(|line| serde_json::from_str(line).unwrap());
    let words: Vec<String> = events
        .map(|event: serde_json::Value| event["event"].as_str().unwrap().to_owned())
        .collect();
    let place = |word: &str| words.iter().position(|known| known == word);
    let order = [
        "server_creating",
        "server_created",
        "server_running",
        "server_ready",
        "run_started",
        "run_finished",
    ];
    let places: Vec<usize> = order.iter().map(|word| place(word).expect(word)).collect();
    assert!(places.is_sorted(), "{words:?}");
    let down = fleet.hoist("down web --yes -o jsonl --events");
    down.code(0)
        .stdout_has("server_destroying")
        .stdout_has("server_gone");
}

#[test]
fn bad_requests_are_refused_before_anything_is_made() {
    let sandbox = Sandbox::new();
    let fleet = &sandbox.0;
    for (line, parts) in [
        ("up Web --yes", &["can't be the name of a fleet"][..]),
        ("up web --yes --name web", &["{n}"]),
        ("up web --yes --set speed=9", &["`speed` is not known"]),
        (
            "up web --yes --ssh-key none.pub",
            &["cannot read the SSH key none.pub"],
        ),
        (
            "up web --yes --user-data none",
            &["cannot read the user-data none"],
        ),
        (
            "up web --yes --region mars",
            &["region `mars` is not known"],
        ),
        ("up web --yes -i /", &["which can't be edited"]),
        ("up web --rm --yes", &["there is none"]),
        ("up web --yes --provider vultr", &["VULTR_API_KEY"]),
        ("down nothing --yes", &["neither a fleet nor a server"]),
        ("up web --yes --events", &["-o jsonl"]),
        ("up web --yes --transport local", &["over SSH"]),
        ("up web --yes --count 99999999999", &["--count"]),
        ("up web --yes --ask-sudo-pass -- id", &["--sudo"]),
        ("up web --yes --tag hoist:other", &["hoist's own"]),
        (
            "up web --yes --open-ssh-from 10.0.0.0/8",
            &["this machine alone"],
        ),
        ("up web --yes -i nodir/f.csv", &["there is no folder nodir"]),
    ] {
        let refused = fleet.hoist(line);
        refused.code(2).complains(parts);
    }
    sandbox.is_empty();
    assert_eq!(sandbox.rows().len(), 1);
}

#[test]
fn a_part_that_fails_is_told_and_the_rest_is_kept() {
    let fleet = Fleet::new();
    let cloud = Cloud::new().fates(|number| match number {
        1 | 3 => Fate::Refused(400, "Server quota exceeded."),
        _ => Fate::Made,
    });
    let up = cloud.command(&fleet, &format!("up app --count 5 --no-wait --yes {VULTR}"));
    let up = up.run();
    up.stderr_has("quota")
        .stderr_has("what may still cost money");
    assert_ne!(up.status.unwrap().code(), Some(0));
    let kept = cloud.ids();
    assert!(!kept.is_empty() && kept.len() < 5, "{kept:?}");
    let again = cloud.command(&fleet, &format!("up app --count 5 --no-wait --yes {VULTR}"));
    let again = again.run();
    again.code(0);
    assert!(kept.iter().all(|id| cloud.ids().contains(id)));
    assert_eq!(cloud.names(), ["app-1", "app-2", "app-3", "app-4", "app-5"]);
    cloud.command(&fleet, "down app --yes").run().code(0);
    assert_eq!(cloud.names(), [] as [String; 0]);
}

#[test]
fn all_or_nothing_destroys_what_this_run_made_and_nothing_else() {
    let fleet = Fleet::new();
    let cloud = Cloud::new().fates(|number| match number {
        2 => Fate::Refused(400, "no"),
        _ => Fate::Made,
    });
    let line =
        |count: usize| format!("up app --count {count} --no-wait --yes --all-or-nothing {VULTR}");
    cloud.command(&fleet, &line(1)).run().code(0);
    let before = cloud.ids();
    let up = cloud.command(&fleet, &line(4)).run();
    assert_ne!(up.status.unwrap().code(), Some(0));
    assert_eq!(cloud.ids(), before, "{up}");
}

#[test]
fn a_server_whose_making_nobody_heard_of_is_found_again() {
    let fleet = Fleet::new();
    let cloud = Cloud::new().fates(|number| match number {
        0 => Fate::MadeInSilence,
        _ => Fate::Made,
    });
    let line = format!("up app --count 2 --no-wait --yes {VULTR}");
    let up = cloud.command(&fleet, &line).run();
    up.code(0).stderr_has("found again");
    assert_eq!(cloud.creates(), 2);
    assert_eq!(cloud.names(), ["app-1", "app-2"]);
    cloud.command(&fleet, &line).run().code(0);
    assert_eq!(cloud.creates(), 2);
}

#[test]
fn killed_at_any_moment_it_neither_forgets_a_server_nor_makes_one_twice() {
    let fleet = Fleet::new();
    let cloud = Cloud::new().fates(|number| match number % 3 {
        0 => Fate::MadeLate(Duration::from_millis(15)),
        1 => Fate::MadeLate(Duration::from_millis(3)),
        _ => Fate::Made,
    });
    let line = format!("up app --count 3 --no-wait --yes -q {VULTR}");
    let mut killed = 0;
    for round in 0..100_u64 {
        let running = cloud.command(&fleet, &line).start();
        // Not for a condition: the moment is to be any.
        std::thread::sleep(Duration::from_millis(round * 7919 % 90));
        // It may have ended by itself.
        kill(running.pid());
        let ended = running.wait(PATIENCE);
        killed += usize::from(ended.status.unwrap().code().is_none());
        let whole = cloud.command(&fleet, &line).run();
        whole.code(0);
        assert_eq!(
            cloud.names(),
            ["app-1", "app-2", "app-3"],
            "round {round}\n{whole}"
        );
        let list = cloud.command(&fleet, "cloud list app -o jsonl").run();
        let recorded: Vec<String> = list
            .code(0)
            .records()
            .iter()
            .map(|row| row.text("recorded"))
            .collect();
        assert_eq!(recorded, ["yes", "yes", "yes"], "round {round}");
        cloud.command(&fleet, "down app --yes").run().code(0);
        assert_eq!(cloud.names(), [] as [String; 0], "round {round}");
    }
    assert!(killed >= 30, "only {killed} of 100 were in time");
}

#[test]
fn a_token_is_seen_nowhere() {
    let fleet = Fleet::new();
    let cloud = Cloud::new().slow(2);
    let line = format!("up app --count 2 --wait 2s --yes {VULTR}");
    let running = cloud.command(&fleet, &line).start();
    running.warns("made (");
    let arguments = fs::read(format!("/proc/{}/cmdline", running.pid())).unwrap();
    assert!(!holds(&arguments, TOKEN));
    let mut told = vec![running.wait(PATIENCE)];
    for line in [
        "cloud list",
        "cloud list --all -o json",
        "cloud check vultr",
        "cloud sizes vultr -o json",
        "cloud images vultr",
        "cloud regions vultr",
        "down app --yes",
        "up app --yes --provider vultr --region nowhere --size s --image i",
    ] {
        told.push(cloud.command(&fleet, line).run());
    }
    let broken = Cloud::new().refusing(403, "Unauthorized IP address: 192.0.2.1");
    told.push(broken.command(&fleet, "cloud check vultr").run());
    for ended in &told {
        let text = format!("{}{}", ended.out(), ended.err());
        assert!(
            !text.contains(TOKEN) && !text.contains("hunter2"),
            "{ended}"
        );
    }
    let tree = fleet.tree().path().display().to_string();
    for secret in [TOKEN, "hunter2"] {
        let found = std::process::Command::new("grep")
            .args(["-rla", secret, &tree])
            .output()
            .unwrap();
        assert!(
            found.stdout.is_empty(),
            "{}",
            String::from_utf8_lossy(&found.stdout)
        );
    }
    assert!(cloud.asked().len() > 10);
}

#[test]
fn a_token_comes_from_a_file_that_nobody_else_reads_or_from_a_command() {
    let fleet = Fleet::new();
    let cloud = Cloud::new();
    let check = |line: &str| cloud.command(&fleet, line).env("VULTR_API_KEY", "").run();
    fleet
        .tree()
        .write_with_mode("work/token", format!("{TOKEN}\n"), 0o600);
    fleet
        .tree()
        .write_with_mode("work/open", format!("{TOKEN}\n"), 0o644);
    let accepted = check("cloud check vultr --token-file token");
    accepted
        .code(0)
        .stdout_has("accepted")
        .stdout_has("SSH key");
    check("cloud check vultr --token-command 'cat token'").code(0);
    check("cloud check vultr")
        .code(2)
        .complains(&["VULTR_API_KEY"]);
    let open = check("cloud check vultr --token-file open");
    open.code(2)
        .complains(&["open to others", "chmod 600 open"]);
    check("cloud check vultr --token-command false")
        .code(2)
        .complains(&["failed"]);
    check("cloud check vultr --token-command true")
        .code(2)
        .complains(&["printed no token"]);
}

#[test]
fn what_an_api_says_is_told_with_how_to_go_on() {
    let fleet = Fleet::new();
    let up = format!("up app --yes --no-wait {VULTR}");
    let cloud = Cloud::new();
    let wrong = cloud
        .command(&fleet, &up)
        .env("VULTR_API_KEY", "wrong")
        .run();
    wrong.code(2).complains(&[
        "Vultr does not accept the credentials",
        "Invalid API token.",
    ]);
    let refusing = Cloud::new().refusing(403, "Not allowed.");
    refusing
        .command(&fleet, &up)
        .run()
        .code(2)
        .complains(&["Not allowed."]);
    let region = up.replace("ewr", "ewt");
    let region = cloud.command(&fleet, &region).run();
    region
        .code(2)
        .complains(&["region `ewt` is not known; did you mean `ewr`?"]);
    let nobody = cloud
        .command(&fleet, &up)
        .env("HOIST_VULTR_URL", "http://127.0.0.1:1");
    nobody
        .run()
        .code(3)
        .complains(&["cannot reach Vultr", "127.0.0.1:1"]);
    let plain = cloud
        .command(&fleet, &up)
        .env("HOIST_VULTR_URL", "http://192.0.2.1");
    plain.run().code(2).complains(&["https only"]);
    assert_eq!(cloud.creates(), 0);
}

fn holds(bytes: &[u8], text: &str) -> bool {
    bytes
        .windows(text.len())
        .any(|window| window == text.as_bytes())
}

#[test]
fn an_interrupt_stops_asking_and_records_what_was_asked_for() {
    let fleet = Fleet::new();
    let cloud = Cloud::new().fates(|_| Fate::MadeLate(Duration::from_millis(400)));
    let line = format!("up app --count 12 --no-wait --yes {VULTR}");
    let running = cloud.command(&fleet, &line).start();
    running.warns("made (").signal(Signal::INT);
    let ended = running.wait(PATIENCE);
    ended.code(130).stderr_has("what may still cost money");
    let made = cloud.ids();
    assert!(made.len() < 12, "{made:?}");
    let list = cloud.command(&fleet, "cloud list app -o jsonl").run();
    assert_eq!(list.records().len(), made.len(), "{list}");
    cloud.command(&fleet, "down app --yes").run().code(0);
    assert!(cloud.ids().is_empty());
}

/// Names and values.
type Variables = &'static [(&'static str, &'static str)];

/// What each provider is opened with, and the variable that holds its address.
const PROVIDERS: [(&str, &str, Variables); 6] = [
    ("vultr", "HOIST_VULTR_URL", &[("VULTR_API_KEY", TOKEN)]),
    ("linode", "HOIST_LINODE_URL", &[("LINODE_TOKEN", TOKEN)]),
    (
        "digitalocean",
        "HOIST_DIGITALOCEAN_URL",
        &[("DIGITALOCEAN_ACCESS_TOKEN", TOKEN)],
    ),
    ("hetzner", "HOIST_HETZNER_URL", &[("HCLOUD_TOKEN", TOKEN)]),
    ("ovh", "OVH_ENDPOINT", &[("OVH_ACCESS_TOKEN", TOKEN)]),
    (
        "aws",
        "AWS_ENDPOINT_URL",
        &[
            ("AWS_ACCESS_KEY_ID", "AKIDEXAMPLE"),
            ("AWS_SECRET_ACCESS_KEY", TOKEN),
            ("AWS_REGION", "eu-west-1"),
            ("AWS_EC2_METADATA_DISABLED", "true"),
        ],
    ),
];

#[test]
fn every_provider_says_which_no_it_got() {
    let fleet = Fleet::new();
    let check = |number: usize, url: &str| {
        let (provider, address, variables) = PROVIDERS[number];
        let line = format!("cloud check {provider}");
        let command = fleet.command(&line).env(address, url);
        let command = variables
            .iter()
            .fold(command, |command, (name, value)| command.env(name, value));
        let ended = command.run();
        let text = format!("{}{}", ended.out(), ended.err());
        assert!(!text.contains(TOKEN), "{ended}");
        ended
    };
    for number in 0..PROVIDERS.len() {
        let wrong = Stub::start(|_, _| Reply::json(401, r#"{"message": "who are you?"}"#));
        check(number, wrong.url())
            .code(2)
            .complains(&["does not accept the credentials"]);
        let forbidden = Stub::start(|_, _| Reply::json(403, r#"{"message": "not you"}"#));
        check(number, forbidden.url())
            .code(2)
            .complains(&["does not permit it"]);
        check(number, "http://127.0.0.1:1")
            .code(3)
            .complains(&["cannot reach", "127.0.0.1:1"]);
        let elsewhere =
            Stub::start(|_, _| Reply::json(302, "{}").with("location", "http://192.0.2.1/steal"));
        let ended = check(number, elsewhere.url());
        ended.stderr_has("follows no redirects");
        assert_ne!(ended.status.unwrap().code(), Some(0));
        let nonsense = Stub::start(|_, _| Reply::json(200, "<html>hello</html>"));
        let ended = check(number, nonsense.url());
        assert!(
            matches!(ended.status.unwrap().code(), Some(2..=4)),
            "{ended}"
        );
    }
}
