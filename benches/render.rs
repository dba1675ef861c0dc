//! What showing a run costs: a thousand small outputs, and one large one.

use std::hint::black_box;
use std::io;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use hoist::event::{Event, EventKind, RunId};
use hoist::host::HostName;
use hoist::outcome::{Outcome, PipeTotal, Summary};
use hoist::remote::{ExitStatus, Pipe};
use hoist::render::{Format, Options, renderer, sanitize};
use hoist::spool::Store;

const HOSTS: usize = 1000;
const LARGE: usize = 16 << 20;

/// Returns the events of a run in which each host writes its pieces and is ok.
fn events(hosts: usize, pieces: &[&[u8]]) -> Vec<Event> {
    let names = (1..=hosts).map(|n| HostName::parse(&format!("web{n}")).expect("a valid name"));
    let names: Arc<[HostName]> = names.collect();
    let run = RunId::new(SystemTime::UNIX_EPOCH, 1);
    let mut kinds = vec![EventKind::RunStarted { run, hosts: names }];
    for host in 0..hosts {
        let output = pieces.iter().map(|bytes| EventKind::Output {
            host,
            pipe: Pipe::Stdout,
            bytes: bytes.to_vec(),
        });
        kinds.extend(output);
        let outcome = Box::new(outcome());
        kinds.push(EventKind::Finished { host, outcome });
    }
    let summary = Summary::default();
    kinds.push(EventKind::RunFinished { summary });
    let at = SystemTime::UNIX_EPOCH;
    kinds.into_iter().map(|kind| Event { at, kind }).collect()
}

fn outcome() -> Outcome {
    Outcome {
        kind: None,
        exit: Some(ExitStatus::Code(0)),
        message: String::new(),
        address: "192.0.2.7".to_owned(),
        user: Some("root".to_owned()),
        port: Some(22),
        started_at: SystemTime::UNIX_EPOCH,
        duration: Duration::from_millis(1234),
        connect_duration: Some(Duration::from_millis(81)),
        attempts: 1,
        stdout: PipeTotal::default(),
        stderr: PipeTotal::default(),
        is_stdout_held: false,
        killed: None,
        has_changed: None,
    }
}

fn show(options: &Options, events: &[Event]) {
    let store = Store::new(std::env::temp_dir());
    let (out, err) = (Box::new(io::sink()), Box::new(io::sink()));
    let mut renderer = renderer(options, &store, out, err);
    for event in events {
        let told = renderer.tell(black_box(event));
        told.expect("a sink takes everything");
    }
}

fn every_format(criterion: &mut Criterion, name: &str, events: &[Event], size: Throughput) {
    let mut group = criterion.benchmark_group(name);
    group.throughput(size).sample_size(10);
    for format in Format::ALL {
        let mut options = Options::new(format);
        options.width = Some(120);
        group.bench_function(format.as_str(), |bencher| {
            bencher.iter(|| show(&options, events));
        });
    }
    group.finish();
}

fn small_outputs(criterion: &mut Criterion) {
    let events = events(HOSTS, &[b" 12:00:00 up 3 days, load average: 0.12\n"]);
    let size = Throughput::Elements(HOSTS as u64);
    every_format(criterion, "render/1000 hosts", &events, size);
}

fn a_large_output(criterion: &mut Criterion) {
    let lines = b"a line of some length, as a log has it\n".repeat(LARGE / 39);
    let pieces: Vec<&[u8]> = lines.chunks(64 << 10).collect();
    let events = events(1, &pieces);
    let size = Throughput::Bytes(lines.len() as u64);
    every_format(criterion, "render/16 MiB", &events, size);
}

fn making_visible(criterion: &mut Criterion) {
    let plain = b"a line of some length, as a log has it\n".repeat(10_000);
    let mut group = criterion.benchmark_group("render/sanitize");
    group.throughput(Throughput::Bytes(plain.len() as u64));
    group.bench_function("plain", |bencher| {
        bencher.iter(|| sanitize(black_box(&plain)));
    });
    group.finish();
}

criterion_group!(benches, small_outputs, a_large_output, making_visible);
criterion_main!(benches);
