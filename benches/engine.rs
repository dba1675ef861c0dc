//! What the engine itself costs per host, measured on scripted hosts that answer at once.

use std::hint::black_box;
use std::sync::Arc;

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use hoist::fleet::Fleet;
use hoist::host::{Address, Endpoint, HostName, Port, TransportName};
use hoist::plan::Limits;
use hoist::remote::{Command, Exec};
use hoist::transport::fake::Fake;

fn endpoint(number: usize) -> Endpoint {
    let name = HostName::parse(&format!("h{number}")).expect("a valid name");
    Endpoint {
        address: Address::from(&name),
        name,
        transport: TransportName::Ssh,
        port: Port::SSH,
        user: None,
        ssh: Arc::default(),
        host_key: None,
    }
}

fn engine(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("engine");
    group.sample_size(20);
    for (hosts, fan_out) in [(1_000, 32), (1_000, 1_000), (10_000, 5_000)] {
        let limits = Limits {
            fan_out,
            handshakes: fan_out,
            ..Limits::default()
        };
        let endpoints: Vec<_> = (0..hosts).map(endpoint).collect();
        let fleet = Fleet::new(endpoints, Fake::new()).with_limits(limits);
        let exec = Exec::new(Command::Argv(vec!["true".into()]));
        group.throughput(Throughput::Elements(hosts as u64));
        group.bench_function(format!("{hosts} hosts, {fan_out} at once"), |bencher| {
            bencher.iter(|| black_box(fleet.run(exec.clone()).expect("workers start")));
        });
    }
    group.finish();
}

criterion_group!(benches, engine);
criterion_main!(benches);
