//! The inventories that come with hoist load as they are.

use std::path::{Path, PathBuf};

use super::{dump, group};
use crate::inventory::{Inventory, Source};

fn path(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("inventories")
        .join(name)
}

fn sample(name: &str) -> Inventory {
    let inventory = Inventory::load(&[Source::File(path(name))]).unwrap();
    assert_eq!(inventory.warnings(), [""; 0]);
    inventory
}

#[test]
fn demo_csv_is_this_machine_many_times() {
    insta::assert_snapshot!(dump(&sample("demo.csv")), @r"
    web1 transport=local [web prod] {role=frontend, rack=a1}
    web2 transport=local [web prod] {role=frontend, rack=a2}
    db1 transport=local [db prod] {role=database, rack=a1}
    cache1 transport=local [cache prod] {role=cache, rack=a2}
    build1 transport=local {role=ci, rack=b1}
    ");
}

#[test]
fn fleet_txt_has_ranges_groups_and_attributes() {
    let fleet = sample("fleet.txt");
    insta::assert_snapshot!(dump(&fleet), @r"
    bastion address=198.51.100.7 port=2222
    web01.example.org [web] {rack=a1, env=production}
    web02.example.org [web] {rack=a1, env=production}
    web03.example.org [web] {rack=a1, env=production}
    web04.example.org user=deploy port=2222 [web] {rack=b 2, env=production}
    db1 address=2001:db8::10 user=postgres [db] {role=primary, env=production}
    db2 address=2001:db8::11 user=postgres [db] {role=standby, env=production}
    ");
    assert_eq!(fleet.groups_of("db1"), ["db", "prod"]);
    assert_eq!(group(&fleet, "ungrouped"), ["bastion"]);
}

#[test]
fn ansible_ini_means_what_it_means_to_ansible() {
    let fleet = sample("ansible.ini");
    insta::assert_snapshot!(dump(&fleet), @r"
    mail.example.org user=ops
    local user=ops transport=local
    www01.example.org user=ops [webservers] {ntp_server=ntp.southeast.example.org, escape_pods=2, halon_system_timeout=30}
    www02.example.org user=ops [webservers] {ntp_server=ntp.southeast.example.org, escape_pods=2, halon_system_timeout=30}
    www03.example.org user=ops [webservers] {ntp_server=ntp.southeast.example.org, escape_pods=2, halon_system_timeout=30}
    beta.example.org user=ops port=5309 [webservers] {http_port=80, maxRequestsPerChild=808, ntp_server=ntp.southeast.example.org, escape_pods=2, halon_system_timeout=30}
    db-a.example.org user=postgres [dbservers] {ntp_server=ntp.southeast.example.org, escape_pods=2, halon_system_timeout=30}
    db-b.example.org user=postgres [dbservers] {ntp_server=ntp.southeast.example.org, escape_pods=2, halon_system_timeout=30}
    db-c.example.org user=postgres [dbservers] {ntp_server=ntp.southeast.example.org, escape_pods=2, halon_system_timeout=30}
    jumper address=192.0.2.50 user=ops port=5555 identity=~/.ssh/jumper [dbservers] {ntp_server=ntp.southeast.example.org, escape_pods=2, halon_system_timeout=30}
    quoted user=ops [dbservers] {mysecret=03#pa33w0rd, motd=two words, ntp_server=ntp.southeast.example.org, escape_pods=2, halon_system_timeout=30}
    ");
    assert_eq!(group(&fleet, "southeast").len(), 9);
}

#[test]
fn pssh_txt_has_all_forms_of_a_host() {
    insta::assert_snapshot!(dump(&sample("pssh.txt")), @r"
    app1.example.org
    app2.example.org port=2222
    app3.example.org user=deploy
    app4.example.org user=deploy port=2222
    app5.example.org user=deploy
    app6.example.org user=deploy port=2222
    ");
}

#[test]
fn wcoll_txt_includes_another_file() {
    insta::assert_snapshot!(dump(&sample("wcoll.txt")).replace('\n', " "), @"login1 n001 n002 n003 n004 n010 gpu1 gpu2 gpu8 oss1 oss2 mds1 mds2");
}

#[test]
fn dynamic_json_is_the_same_read_or_run() {
    let fleet = sample("dynamic.json");
    insta::assert_snapshot!(dump(&fleet), @r#"
    app-1 address=203.0.113.11 user=admin [app] {disks=["sda", "sdb"], zone=a, http_port=8080, tls=true}
    app-2 address=203.0.113.12 user=deploy port=2222 [app] {cores=8, zone=b, http_port=8080, tls=true}
    lb transport=local [prod] {http_port=80, tls=true}
    "#);
    assert_eq!(dump(&sample("dynamic.sh")), dump(&fleet));
}
