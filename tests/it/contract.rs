//! What hoist asks of hosting APIs, judged by the vendors' own descriptions of them.
//!
//! The real commands run against Prism, which imitates an API by its description and says of each
//! request what is wrong with it. It judges shapes and has no memory, so [`judge`](crate::support::judge)
//! lends it one; what the tests claim is about requests: each call that has to be made was made, and
//! none was wrong or named what the description lacks. How hoist takes answers is the business of
//! `fleets.rs` and of the providers' own tests.

use serde_json::{Value, json};

use crate::support::ended::Ended;
use crate::support::fleet::Fleet;
use crate::support::judge::{Api, Collection, Judge};

/// What a customer of a vendor types.
struct Customer {
    provider: &'static str,
    /// The variables of the credentials; one that is empty is given the address of the API.
    variables: &'static [(&'static str, &'static str)],
    region: &'static str,
    size: &'static str,
    image: &'static str,
    /// Settings of the vendor's own, for the servers of a second `up`.
    settings: &'static str,
    /// Whether servers carry the fleet's name at the vendor.
    has_tags: bool,
}

impl Customer {
    #[track_caller]
    fn run(&self, judge: &Judge, fleet: &Fleet, line: &str) -> Ended {
        let mut command = fleet.command(line).env("AWS_EC2_METADATA_DISABLED", "true");
        for (name, value) in self.variables {
            let value = if value.is_empty() { judge.url() } else { value };
            command = command.env(name, value);
        }
        let ended = command.run();
        let faults = judge.faults();
        assert!(faults.is_empty(), "{faults:#?}\n{ended}");
        ended
    }

    fn up(&self, count: usize, more: &str) -> String {
        let Self {
            provider,
            region,
            size,
            image,
            ..
        } = self;
        format!(
            "up web --provider {provider} --region {region} --size {size} --image '{image}' \
             --count {count} --no-wait --yes {more}"
        )
    }

    /// Looks at everything, raises a fleet, has another machine adopt it, and takes it away.
    fn lives(&self, api: Api) -> Judge {
        let judge = Judge::start(api);
        let fleet = Fleet::new();
        let run = |line: &str| self.run(&judge, &fleet, line);
        let (provider, region) = (self.provider, self.region);
        run(&format!("cloud check {provider}")).code(0);
        for what in ["regions", "sizes", "images"] {
            let all = run(&format!(
                "cloud {what} {provider} --region {region} -o jsonl"
            ));
            assert!(!all.code(0).records().is_empty(), "{what}");
        }
        fleet.tree().write("work/first", "#!/bin/sh\ntrue\n");
        run(&self.up(2, "")).code(0);
        run(&self.up(3, &format!("--user-data first {}", self.settings))).code(0);
        assert_eq!(judge.count("POST", api.servers.path), 3);
        let list = run("cloud list --all -o jsonl");
        assert_eq!(list.code(0).records().len(), 3, "{list}");

        let other = Fleet::new();
        let named = if self.has_tags {
            String::new()
        } else {
            judge.ids().join(" ")
        };
        let adopt = format!("cloud adopt web --provider {provider} {named} -o jsonl");
        let adopted = self.run(&judge, &other, &adopt);
        assert_eq!(adopted.code(0).records().len(), 3, "{adopted}");

        run("down web --yes").code(0);
        assert_eq!(judge.ids(), [] as [String; 0]);
        judge
    }
}

/// Checks that every call that makes, lists and destroys was made, and that none was wrong; and that
/// a wrong order would have been told.
#[track_caller]
fn was_right(judge: &Judge) {
    let api = judge.api();
    assert_eq!(judge.faults(), [] as [String; 0]);
    if let Some(keys) = api.keys {
        // What was uploaded once is found again.
        assert_eq!(judge.count("POST", keys.path), 1);
    }
    assert!(judge.count("GET", api.servers.path) > 0);
    let below = format!("{}/", api.servers.path);
    assert_eq!(judge.count("DELETE", &below), 3);

    let told = judge.faults_of_mistyped_order();
    assert!(told[0].contains("must be"), "{told:?}");
}

const fn collection(path: &'static str, many: &'static str, one: &'static str) -> Collection {
    Collection { path, many, one }
}

const VULTR: Api = Api {
    name: "vultr",
    servers: collection("/instances", "/instances", "/instance"),
    keys: Some(collection("/ssh-keys", "/ssh_keys", "/ssh_key")),
    sense: |path, answer| {
        if path == "/plans" {
            put(answer, "/plans/0/locations/0", "ams");
        }
        // Prism has a next page for ever.
        if let Some(next) = answer.pointer_mut("/meta/links/next") {
            *next = "".into();
        }
    },
};

const VULTR_CUSTOMER: Customer = Customer {
    provider: "vultr",
    variables: &[("VULTR_API_KEY", "key"), ("HOIST_VULTR_URL", "")],
    region: "ams",
    size: "vhf-8c-32gb",
    image: "CentOS 6 x64",
    settings: "--tag blue --set backups=enabled --set ddos_protection=true --set enable_vpc=true \
               --set attach_vpc=f7c5c04b --set firewall_group_id=cb676a46 \
               --set reserved_ipv4=cb676a47 --set script_id=cb676a48",
    has_tags: true,
};

#[test]
fn vultr() {
    was_right(&VULTR_CUSTOMER.lives(VULTR));
}

#[test]
fn a_wrong_request_is_told() {
    let judge = Judge::start(VULTR);
    let url = |path: &str| format!("{}{path}", judge.url());
    let order = |body: &Value| {
        let order = ureq::post(url("/instances")).header("authorization", "Bearer key");
        let order = order.header("content-type", "application/json");
        order.send(body.to_string())
    };
    let good = json!({"region": "ams", "plan": "vhf-8c-32gb", "os_id": 127});
    order(&good).unwrap();
    assert_eq!(judge.faults(), [] as [String; 0]);
    let told = |words: &[&str]| {
        let faults = judge.faults();
        let last = faults.last().map_or("", String::as_str);
        assert!(words.iter().all(|word| last.contains(word)), "{faults:#?}");
    };
    order(&json!({"region": "ams"})).unwrap_err();
    told(&["POST /instances", "'plan'"]);
    let mut mistyped = good;
    mistyped["os_id"] = json!("127");
    order(&mistyped).unwrap_err();
    told(&["POST /instances", "os_id must be integer"]);
    ureq::get(url("/account")).call().unwrap_err();
    told(&["GET /account", "UNAUTHORIZED"]);
    ureq::get(url("/acount")).call().unwrap_err();
    told(&["GET /acount", "NO_PATH_MATCHED"]);
    ureq::delete(url("/account")).call().unwrap_err();
    told(&["DELETE /account", "NO_METHOD_MATCHED"]);
    order(&json!({"region": "ams", "plan": "vhf-8c-32gb", "os_id": 127, "lable": "x"})).unwrap();
    told(&["POST /instances", "body/lable"]);
    let regions = ureq::get(url("/regions?per_pgae=500"));
    regions
        .header("authorization", "Bearer key")
        .call()
        .unwrap();
    told(&["GET /regions", "query/per_pgae"]);
}

#[test]
fn linode() {
    let api = Api {
        name: "linode",
        servers: collection("/linode/instances", "/data", ""),
        keys: None,
        sense: |path, answer| {
            if path == "/images" {
                put(answer, "/data/0/status", "available");
            }
        },
    };
    let customer = Customer {
        provider: "linode",
        variables: &[("LINODE_TOKEN", "token"), ("HOIST_LINODE_URL", "")],
        region: "us-east",
        size: "g6-standard-2",
        image: "linode/debian11",
        settings: "--tag blue --set private_ip=true --set backups_enabled=true --set swap_size=512 \
                   --set authorized_users=jane,joe --set firewall_id=7 \
                   --set stackscript_id=10079 --set 'stackscript_data={\"user\":\"jane\"}' \
                   --set 'interfaces=[{\"purpose\":\"public\"}]'",
        has_tags: true,
    };
    was_right(&customer.lives(api));
}

#[test]
fn digitalocean() {
    let api = Api {
        name: "digitalocean",
        servers: collection("/v2/droplets", "/droplets", "/droplet"),
        keys: Some(collection("/v2/account/keys", "/ssh_keys", "/ssh_key")),
        sense: |_, _| {},
    };
    let customer = Customer {
        provider: "digitalocean",
        variables: &[
            ("DIGITALOCEAN_TOKEN", "token"),
            ("HOIST_DIGITALOCEAN_URL", ""),
        ],
        region: "nyc3",
        size: "s-1vcpu-1gb",
        image: "ubuntu-20-04-x64",
        settings: "--tag blue --set ipv6=true --set monitoring=true --set backups=true \
                   --set 'backup_policy={\"plan\":\"daily\",\"hour\":4}' \
                   --set volumes=12e97116 --set vpc_uuid=760e09ef --set with_droplet_agent=false",
        has_tags: true,
    };
    was_right(&customer.lives(api));
}

#[test]
fn hetzner() {
    let api = Api {
        name: "hetzner",
        servers: collection("/servers", "/servers", "/server"),
        keys: Some(collection("/ssh_keys", "/ssh_keys", "/ssh_key")),
        // Prism has a next page for ever.
        sense: |_, answer| {
            if let Some(next) = answer.pointer_mut("/meta/pagination/next_page") {
                *next = Value::Null;
            }
        },
    };
    let customer = Customer {
        provider: "hetzner",
        variables: &[("HCLOUD_TOKEN", "token"), ("HOIST_HETZNER_URL", "")],
        region: "fsn1",
        size: "cpx22",
        image: "ubuntu-24.04",
        settings: "--tag team=blue --set networks=[4711] --set firewalls=38,39 --set volumes=[123] \
                   --set placement_group=1 --set automount=true \
                   --set 'public_net={\"enable_ipv4\":true,\"enable_ipv6\":false}'",
        has_tags: true,
    };
    was_right(&customer.lives(api));
}

#[test]
fn ovh() {
    let api = Api {
        name: "ovh",
        servers: collection("/cloud/project/string/instance", "", ""),
        keys: Some(collection("/cloud/project/string/sshkey", "", "")),
        // The description has types and no samples.
        sense: |path, answer| match path.trim_start_matches("/cloud/project/string") {
            "/auth/time" => *answer = 1_764_300_000.into(),
            "/region" => put(answer, "/0", "GRA11"),
            "/flavor" => {
                put(answer, "/0/name", "b3-8");
                put(answer, "/0/region", "GRA11");
                put(answer, "/0/osType", "linux");
            }
            "/image" => {
                put(answer, "/0/name", "Debian 12");
                put(answer, "/0/status", "active");
                put(answer, "/0/user", "debian");
            }
            _ => {}
        },
    };
    let customer = Customer {
        provider: "ovh",
        variables: &[
            ("OVH_APPLICATION_KEY", "application"),
            ("OVH_APPLICATION_SECRET", "secret"),
            ("OVH_CONSUMER_KEY", "consumer"),
            ("OVH_ENDPOINT", ""),
        ],
        region: "GRA11",
        size: "b3-8",
        image: "Debian 12",
        settings: "--tag blue --set availabilityZone=eu-west-gra-a --set groupId=group \
                   --set 'networks=[{\"networkId\":\"pn-1\"}]' \
                   --set 'autobackup={\"cron\":\"0 4 * * *\",\"rotation\":7}'",
        has_tags: false,
    };
    let judge = customer.lives(api);
    assert!(judge.count("GET", "/auth/time") > 0);
    was_right(&judge);
}

/// Replaces a text in an answer.
#[track_caller]
fn put(answer: &mut Value, place: &str, text: &str) {
    let found = answer.pointer_mut(place);
    *found.unwrap_or_else(|| panic!("the sample has no {place}")) = text.into();
}
