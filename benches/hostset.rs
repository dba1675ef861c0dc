//! What a million names cost.

use std::hint::black_box;

use criterion::{BatchSize, Criterion, Throughput, criterion_group, criterion_main};
use hoist::hostset::{HostSet, NoNames, Pattern, parse_host_entry};

const MILLION: u64 = 1_000_000;

fn pattern(text: &str) -> Pattern {
    Pattern::parse(text).expect("the benches' patterns are good")
}

fn expand(text: &str) -> HostSet {
    let set = pattern(text).expand(&NoNames);
    set.expect("the benches' patterns need no inventory")
        .names()
}

fn patterns(c: &mut Criterion) {
    let mut group = c.benchmark_group("pattern");
    group
        .throughput(Throughput::Elements(MILLION))
        .sample_size(10);
    for text in [
        "web[1-1000000]",
        "web[0000001-1000000].example.org",
        "rack[1-1000]-node[1-1000]",
        "a[1-500000],b[1-500000]",
    ] {
        let parsed = pattern(text);
        group.bench_function(format!("expand/{text}"), |b| {
            b.iter_with_large_drop(|| parsed.expand(&NoNames));
        });
        group.bench_function(format!("stream/{text}"), |b| {
            b.iter(|| parsed.names().map(Iterator::count));
        });
    }
    let listed: Vec<String> = (0..MILLION).map(|n| format!("web{n:06}")).collect();
    let listed = listed.join(",");
    group.bench_function("parse/a million operands", |b| {
        b.iter_with_large_drop(|| Pattern::parse(&listed));
    });
    group.finish();
}

fn sets(c: &mut Criterion) {
    let mut group = c.benchmark_group("set");
    group
        .throughput(Throughput::Elements(MILLION))
        .sample_size(10);
    for text in ["web[1-1000000]", "rack[1-1000]-node[1-1000]!rack5-node7"] {
        let set = expand(text);
        group.bench_function(format!("fold/{text}"), |b| b.iter(|| set.fold()));
    }
    let (all, half) = (expand("web[1-1000000]"), expand("web[1-500000]"));
    group.bench_function("difference", |b| {
        b.iter_with_large_drop(|| all.difference(&half));
    });
    group.finish();
}

fn entries(c: &mut Criterion) {
    let mut group = c.benchmark_group("entry");
    group.throughput(Throughput::Elements(1));
    for text in ["web000001", "web1.dc2.example.org", "root@web1:22"] {
        group.bench_function(text, |b| {
            b.iter_batched(
                || text,
                |text| parse_host_entry(black_box(text)),
                BatchSize::SmallInput,
            );
        });
    }
    group.finish();
}

criterion_group!(benches, patterns, sets, entries);
criterion_main!(benches);
