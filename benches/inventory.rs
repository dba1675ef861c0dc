//! How fast inventories load: hosts per second for each format.

use std::fmt::Write;
use std::hint::black_box;

use criterion::{BatchSize, Criterion, Throughput, criterion_group, criterion_main};
use hoist::inventory::{Inventory, Source};

/// Hosts in each inventory; DESIGN promises a million CSV rows in about a second.
const HOSTS: u32 = 1_000_000;

fn csv() -> String {
    let mut text = String::from("name,address,user,port,groups,rack\r\n");
    for host in 0..HOSTS {
        let [_, a, b, c] = host.to_be_bytes();
        let rack = host % 100;
        write!(
            text,
            "web{host:07}.example.org,10.{a}.{b}.{c},deploy,22,web prod,\"r{rack}\"\r\n"
        )
        .expect("a string can be written to");
    }
    text
}

fn text() -> String {
    let mut text = String::from("[web]\n");
    for host in 0..HOSTS {
        let [_, a, b, c] = host.to_be_bytes();
        writeln!(text, "deploy@web{host:07}:22 address=10.{a}.{b}.{c}")
            .expect("a string can be written to");
    }
    text
}

fn jsonl() -> String {
    let mut text = String::new();
    for host in 0..HOSTS {
        writeln!(
            text,
            "{{\"host\":\"web{host:07}\",\"port\":22,\"status\":\"ok\"}}"
        )
        .expect("a string can be written to");
    }
    text
}

fn load(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("load");
    group
        .sample_size(10)
        .throughput(Throughput::Elements(HOSTS.into()));
    let range = format!("[web]\nweb[0000001-{HOSTS}] rack=a1\n");
    for (name, text) in [
        ("csv", csv()),
        ("txt", text()),
        ("jsonl", jsonl()),
        ("range", range),
    ] {
        let source = || [Source::bytes(format!("fleet.{name}"), text.clone().into())];
        group.bench_function(name, |bencher| {
            bencher.iter_batched(
                source,
                |sources| black_box(Inventory::load(&sources).expect("the inventory is valid")),
                BatchSize::PerIteration,
            );
        });
    }
}

criterion_group!(benches, load);
criterion_main!(benches);
