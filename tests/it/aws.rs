//! `hoist up`, `down` and `cloud` at an EC2 that others imitate: moto, which remembers, knows images,
//! sizes and keys, and checks signatures by code that is not hoist's.
//!
//! Unlike AWS it doesn't honour client tokens, its servers run at once, and it never runs out of
//! anything: for that there are the provider's own tests.

use std::ffi::OsStr;
use std::path::{Path, PathBuf};

use serde_json::json;

use crate::support::ended::Ended;
use crate::support::fleet::{Fleet, Invocation};
use crate::support::imitation::{Imitation, installed};
use crate::support::process::must;
use crate::support::record::Record;

/// What a server is asked to be; the image is a Ubuntu 16.04 that moto has. AWS knows how large a
/// volume is whose size is not told, and moto refuses it.
const ORDER: &str = "--provider aws --region eu-west-1 --size t3.micro --image ami-1e749f67 \
                     --set volume_size=20 --open-ssh-from 127.0.0.0/8 --no-wait --yes";

/// An EC2 with one user.
struct Amazon {
    moto: Imitation,
    key: String,
    secret: String,
}

impl Amazon {
    fn start() -> Self {
        let moto = Imitation::moto();
        let told = must(&python(), &[&script("user.py"), &moto.url()]);
        let (key, secret) = told.trim().split_once(' ').unwrap();
        Self {
            key: key.to_owned(),
            secret: secret.to_owned(),
            moto,
        }
    }

    /// Prepares hoist with the address of this EC2, and without credentials.
    fn nobody<'a>(&self, fleet: &'a Fleet, line: &str) -> Invocation<'a> {
        let command = fleet.command(line).env("AWS_ENDPOINT_URL", self.moto.url());
        command.env("AWS_EC2_METADATA_DISABLED", "true")
    }

    fn command<'a>(&self, fleet: &'a Fleet, line: &str) -> Invocation<'a> {
        let command = self.nobody(fleet, line).env("AWS_ACCESS_KEY_ID", &self.key);
        command.env("AWS_SECRET_ACCESS_KEY", &self.secret)
    }

    #[track_caller]
    fn run(&self, fleet: &Fleet, line: &str) -> Ended {
        self.command(fleet, line).run()
    }

    /// Returns what AWS's own client is told of every server there, terminated ones too.
    fn servers(&self) -> Vec<Record> {
        let script = script("servers.py");
        let words: [&dyn AsRef<OsStr>; 4] = [&script, &self.moto.url(), &self.key, &self.secret];
        Record::all(must(&python(), &words).as_bytes()).unwrap()
    }
}

fn python() -> String {
    let python = installed("moto").join("bin/python");
    python.to_str().unwrap().to_owned()
}

fn script(name: &str) -> PathBuf {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/contract");
    folder.join(name)
}

/// Returns one field of every record, sorted.
fn all(records: &[Record], field: &str) -> Vec<String> {
    let mut all: Vec<String> = records.iter().map(|record| record.text(field)).collect();
    all.sort();
    all
}

#[test]
fn a_fleet_is_raised_kept_and_taken_away() {
    let amazon = Amazon::start();
    let fleet = Fleet::new();
    let run = |line: &str| amazon.run(&fleet, line);
    run("cloud check aws --region eu-west-1")
        .code(0)
        .stdout_has("accepted");
    let up = format!("up web {ORDER} --count 3 -i f.csv");
    run(&up).code(0);
    let made = amazon.servers();
    is_what_was_ordered(&made);
    let rows = String::from_utf8(fleet.tree().read("work/f.csv")).unwrap();
    for server in &made {
        // What the server is told to show is what the inventory expects.
        let (user_data, id) = (server.text("user_data"), server.text("id"));
        let row = rows.lines().find(|row| row.contains(&id)).unwrap();
        let (_, host_key) = user_data.rsplit_once("ed25519_public: ").unwrap();
        assert!(row.contains(host_key.trim()), "{row}\n{user_data}");
        assert!(row.contains(",ubuntu,"), "{row}");
    }

    // Everything is there: nothing is made.
    run(&up).code(0);
    assert_eq!(all(&amazon.servers(), "id"), all(&made, "id"));
    let list = || run("cloud list web -o jsonl");
    assert_eq!(all(&list().code(0).records(), "id"), all(&made, "id"));
    let other = Fleet::new();
    let adopt = "cloud adopt web --provider aws --region eu-west-1 -o jsonl";
    let adopted = amazon.run(&other, adopt);
    assert_eq!(all(&adopted.code(0).records(), "id"), all(&made, "id"));

    run("down web --yes -i f.csv").code(0);
    // They are listed as terminated for an hour, at AWS and at moto, and are gone all the same.
    assert_eq!(all(&amazon.servers(), "state"), ["terminated"; 3]);
    list().code(0).no_stdout();
    let everywhere = run("cloud list --provider aws --region eu-west-1 --all -o jsonl");
    everywhere.code(0).no_stdout();
    run(&up.replace("--count 3", "--count 1")).code(0);
    let running = amazon.servers();
    assert_eq!(all(&running, "state")[0], "running");
    assert_eq!(running.len(), 4);
}

#[track_caller]
fn is_what_was_ordered(servers: &[Record]) {
    let mut names = Vec::new();
    for server in servers {
        let words = ["state", "size", "image"].map(|field| server.text(field));
        assert_eq!(words, ["running", "t3.micro", "ami-1e749f67"]);
        assert_eq!(server.number("volume"), 20);
        assert_eq!(server.get("open"), &json!(["127.0.0.0/8:22"]));
        assert_eq!(server.get("tags")["hoist"], "web");
        names.push(server.get("tags")["Name"].as_str().unwrap());
    }
    names.sort_unstable();
    assert_eq!(names, ["web-1", "web-2", "web-3"]);
}

#[test]
fn what_it_refuses_is_told() {
    let amazon = Amazon::start();
    let fleet = Fleet::new();
    let up = format!("up web {ORDER}");
    for (variable, wrong) in [
        ("AWS_SECRET_ACCESS_KEY", "wrong"),
        ("AWS_ACCESS_KEY_ID", "AKIAIOSFODNN7EXAMPLE"),
    ] {
        for line in ["cloud check aws --region eu-west-1", &up] {
            let refused = amazon.command(&fleet, line).env(variable, wrong).run();
            let words = ["AWS EC2 does not accept the credentials", "AuthFailure"];
            refused.code(2).complains(&words).no_stdout();
        }
    }
    for (known, wrong, words) in [
        ("t3.micro", "t3.mirco", "did you mean `t3.micro`?"),
        ("ami-1e749f67", "ami-0123456789abcdef0", "is not known"),
    ] {
        let refused = amazon.run(&fleet, &up.replace(known, wrong));
        refused.code(2).complains(&[wrong, words]);
    }
    assert!(amazon.servers().is_empty());
}

#[test]
fn credentials_come_from_a_profile_of_the_file() {
    let amazon = Amazon::start();
    let fleet = Fleet::new();
    let (key, secret) = (&amazon.key, &amazon.secret);
    let text = format!(
        "[default]\naws_access_key_id = other\naws_secret_access_key = other\n\n\
         [work]\naws_access_key_id = {key}\naws_secret_access_key = {secret}\n"
    );
    let tree = fleet.tree();
    tree.write_with_mode("home/.aws/credentials", text, 0o600);
    tree.write("home/.aws/config", "[profile work]\nregion = eu-west-1\n");
    let run = |line: &str| amazon.nobody(&fleet, line).run();
    let check = "cloud check aws --profile work";
    run(check).code(0).stdout_has("accepted");
    let named = amazon
        .nobody(&fleet, "cloud check aws")
        .env("AWS_PROFILE", "work");
    named.run().code(0);
    let other = run("cloud check aws --region eu-west-1");
    other
        .code(2)
        .complains(&["does not accept the credentials"]);
    let elsewhere = ORDER.replace("--region eu-west-1", "--profile work");
    run(&format!("up web {elsewhere}")).code(0);
    assert_eq!(all(&amazon.servers(), "state"), ["running"]);
    run("down web --yes --profile work").code(0);
    assert_eq!(all(&amazon.servers(), "state"), ["terminated"]);
}
