//! Whatever hosts write, in whatever pieces and whichever order: it comes out exactly.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use proptest::prelude::*;

use super::*;

/// What each host wrote: stdout and stderr.
type Written = Vec<[Vec<u8>; 2]>;

/// Little enough that most of it goes to the disk.
const MEMORY: usize = 200;

fn bytes() -> impl Strategy<Value = Vec<u8>> {
    let text = "[ab\n,\"\r\\\\'ü]{1,30}".prop_map(String::into_bytes);
    prop_oneof![text, prop::collection::vec(any::<u8>(), 1..60)]
}

/// Makes runs of all hosts, in which each ends some time after it wrote last.
fn runs() -> impl Strategy<Value = Vec<Told>> {
    let step = (0..HOSTS.len(), any::<bool>(), bytes());
    let steps = prop::collection::vec(step, 0..25);
    let order = Just((0..HOSTS.len()).collect::<Vec<_>>()).prop_shuffle();
    (steps, order, any::<bool>()).prop_map(|(steps, order, is_late)| {
        let mut told: Vec<Told> = steps
            .into_iter()
            .map(|(host, is_stdout, bytes)| {
                let told = if is_stdout { Told::Output } else { Told::Error };
                told(host, bytes)
            })
            .collect();
        for host in order {
            let last = told.iter().rposition(|told| match told {
                Told::Output(of, _) | Told::Error(of, _) => *of == host,
                Told::Finished(..) => false,
            });
            let at = last.filter(|_| !is_late).map_or(told.len(), |at| at + 1);
            told.insert(at, Told::Finished(host, exit(0)));
        }
        told
    })
}

fn written(told: &[Told]) -> Written {
    let mut written = vec![[Vec::new(), Vec::new()]; HOSTS.len()];
    for told in told {
        match told {
            Told::Output(host, bytes) => written[*host][0].extend_from_slice(bytes),
            Told::Error(host, bytes) => written[*host][1].extend_from_slice(bytes),
            Told::Finished(..) => {}
        }
    }
    written
}

fn shown(options: &Options, told: &[Told]) -> Shown {
    show(options, &events(&HOSTS, told), MEMORY)
}

fn output(record: &serde_json::Value, name: &str) -> Vec<u8> {
    match &record[format!("{name}_b64")] {
        serde_json::Value::String(text) => BASE64.decode(text).unwrap(),
        _ => record[name].as_str().unwrap().as_bytes().to_vec(),
    }
}

/// Returns which host each record is of, and what it wrote.
fn outputs(records: &[serde_json::Value]) -> (Vec<String>, Written) {
    let host = |record: &serde_json::Value| record["host"].as_str().unwrap().to_owned();
    let both = |record| [output(record, "stdout"), output(record, "stderr")];
    (
        records.iter().map(host).collect(),
        records.iter().map(both).collect(),
    )
}

/// Puts lines that begin with a host's name back together, each host's by itself.
fn unlabelled(text: &[u8]) -> Vec<Vec<u8>> {
    let mut of_hosts = vec![Vec::new(); HOSTS.len()];
    for line in text.split_inclusive(|byte| *byte == b'\n') {
        let host = HOSTS
            .iter()
            .position(|host| line.starts_with(format!("{host}: ").as_bytes()));
        let host = host.unwrap_or_else(|| panic!("a line of no host: {}", line.escape_ascii()));
        of_hosts[host].extend_from_slice(&line[HOSTS[host].len() + 2..]);
    }
    of_hosts
}

/// Returns what a host wrote with an end to its last line.
fn ended(bytes: &[u8]) -> Vec<u8> {
    let end: &[u8] = match bytes.last() {
        None | Some(b'\n') => b"",
        Some(_) => b"\n",
    };
    [bytes, end].concat()
}

proptest! {
    #[test]
    fn stream_keeps_every_byte_and_never_mixes_lines(told in runs()) {
        let written = written(&told);
        let Shown { out, err } = shown(&Options::new(Format::Stream), &told);
        for (pipe, text) in [out, err].iter().enumerate() {
            let expected: Vec<_> = written.iter().map(|both| ended(&both[pipe])).collect();
            prop_assert_eq!(unlabelled(text), expected);
        }
    }

    #[test]
    fn stream_without_labels_is_the_bytes_of_a_single_host(
        pieces in prop::collection::vec(bytes(), 0..20),
    ) {
        let mut told: Vec<Told> = pieces.iter().cloned().map(|p| Told::Output(0, p)).collect();
        told.push(Told::Finished(0, exit(0)));
        let mut options = Options::new(Format::Stream);
        options.is_labelled = false;
        let shown = show(&options, &events(&["web1"], &told), MEMORY);
        prop_assert_eq!(shown.out, pieces.concat());
    }

    #[test]
    fn stream_without_labels_never_mixes_lines(told in runs()) {
        let mut options = Options::new(Format::Stream);
        options.is_labelled = false;
        let text = ended(&shown(&options, &told).out);
        let mut lines: Vec<&[u8]> = text.split_inclusive(|byte| *byte == b'\n').collect();
        let written: Vec<_> = written(&told).iter().map(|both| ended(&both[0])).collect();
        let whole = written.concat();
        let mut expected: Vec<&[u8]> = whole.split_inclusive(|byte| *byte == b'\n').collect();
        lines.sort_unstable();
        expected.sort_unstable();
        prop_assert_eq!(lines, expected);
    }

    #[test]
    fn json_reads_back_equal_in_inventory_order(told in runs()) {
        let text = shown(&Options::new(Format::Json), &told).out;
        let records: Vec<serde_json::Value> = serde_json::from_slice(&text).unwrap();
        let (hosts, outputs) = outputs(&records);
        prop_assert_eq!(hosts, HOSTS);
        prop_assert_eq!(outputs, written(&told));
    }

    #[test]
    fn jsonl_reads_back_equal_as_hosts_end(told in runs()) {
        let text = shown(&Options::new(Format::Jsonl), &told).text();
        let records: Vec<_> = text.lines().map(|l| serde_json::from_str(l).unwrap()).collect();
        let (hosts, outputs) = outputs(&records);
        let order: Vec<usize> = told.iter().filter_map(|told| match told {
            Told::Finished(host, _) => Some(*host),
            _ => None,
        }).collect();
        let written = written(&told);
        prop_assert_eq!(hosts, order.iter().map(|host| HOSTS[*host]).collect::<Vec<_>>());
        prop_assert_eq!(outputs, order.iter().map(|h| written[*h].clone()).collect::<Vec<_>>());
    }

    #[test]
    fn events_hold_every_byte_twice(told in runs()) {
        let mut options = Options::new(Format::Jsonl);
        options.has_events = true;
        let text = shown(&options, &told).text();
        let mut pieces = vec![[Vec::new(), Vec::new()]; HOSTS.len()];
        let mut whole = vec![[Vec::new(), Vec::new()]; HOSTS.len()];
        for line in text.lines() {
            let event: serde_json::Value = serde_json::from_str(line).unwrap();
            let Some(host) = HOSTS.iter().position(|host| event["host"] == **host) else {
                continue;
            };
            if event["event"] == "output" {
                let pipe = usize::from(event["pipe"] == "stderr");
                pieces[host][pipe].extend(output(&event, "data"));
            } else {
                let record = &event["record"];
                whole[host] = [output(record, "stdout"), output(record, "stderr")];
            }
        }
        prop_assert_eq!(&pieces, &written(&told));
        prop_assert_eq!(&whole, &pieces);
    }

    #[test]
    fn csv_reads_back_equal_in_inventory_order(told in runs()) {
        let text = shown(&Options::new(Format::Csv), &told).out;
        let mut reader = ::csv::Reader::from_reader(&text[..]);
        let rows: Vec<_> = reader.byte_records().map(Result::unwrap).collect();
        let hosts: Vec<&[u8]> = rows.iter().map(|row| &row[0]).collect();
        prop_assert_eq!(hosts, HOSTS.map(str::as_bytes));
        let outputs: Written = rows.iter().map(|row| [row[8].to_vec(), row[9].to_vec()]).collect();
        prop_assert_eq!(outputs, written(&told));
    }

    #[test]
    fn raw_is_one_host_after_the_other(told in runs()) {
        let written = written(&told);
        let Shown { out, err } = shown(&Options::new(Format::Raw), &told);
        for (pipe, text) in [out, err].into_iter().enumerate() {
            let expected: Vec<&[u8]> = written.iter().map(|both| &both[pipe][..]).collect();
            prop_assert_eq!(text, expected.concat());
        }
    }

    #[test]
    fn group_shows_every_host_once(told in runs()) {
        let written = written(&told);
        let text = shown(&Options::new(Format::Group), &told).out;
        let headers = text.split(|byte| *byte == b'\n');
        let headers = headers.filter(|line| !line.is_empty() && !line.starts_with(b"  "));
        let mut distinct = written.clone();
        distinct.sort();
        distinct.dedup();
        prop_assert_eq!(headers.count(), distinct.len());
        let indented: usize = distinct.iter().flatten().map(|output| {
            output.split_inclusive(|byte| *byte == b'\n').count()
        }).sum();
        let lines = text.split(|byte| *byte == b'\n').filter(|line| line.starts_with(b"  "));
        prop_assert_eq!(lines.count(), indented);
    }

    #[test]
    fn terminals_get_nothing_that_drives_them(
        told in runs(),
        width in 40_u16..200,
        format in prop::sample::select(Format::ALL.to_vec()),
        is_labelled: bool,
        has_events: bool,
    ) {
        let options = Options {
            is_labelled,
            has_events,
            width: Some(width),
            is_terminal: true,
            is_err_terminal: true,
            ..Options::new(format)
        };
        let Shown { out, err } = shown(&options, &told);
        for text in [out, err] {
            let text = String::from_utf8(text).unwrap();
            prop_assert!(text.chars().all(|c| matches!(c, '\n' | '\t') || !c.is_control()));
            prop_assert!(text.is_empty() || text.ends_with('\n'), "the prompt begins a line");
            for line in text.lines().filter(|_| format == Format::Table) {
                prop_assert!(unicode_width::UnicodeWidthStr::width(line) <= width.into(), "{line}");
            }
        }
    }

    #[test]
    fn long_names_and_words_fit_a_table(
        names in prop::collection::vec("[a-z日]{1,3}[a-z.日-]{0,60}", 1..5),
        words in "[a-z日é ]{0,200}",
        width in 40_u16..120,
    ) {
        let names: Vec<&str> = names.iter().map(String::as_str).collect();
        let mut told = vec![Told::Output(0, words.into_bytes())];
        let changed = || unreached(Kind::HostKeyChanged, "the key is not the one that is known");
        told.extend((0..names.len()).map(|host| Told::Finished(host, changed())));
        let options = Options { width: Some(width), ..Options::new(Format::Table) };
        for line in show(&options, &events(&names, &told), MEMORY).text().lines() {
            prop_assert!(unicode_width::UnicodeWidthStr::width(line) <= width.into(), "{line}");
        }
    }

    #[test]
    fn no_width_is_too_small_for_a_table(told in runs(), width in 0_u16..40) {
        let options = Options { width: Some(width), ..Options::new(Format::Table) };
        prop_assert!(shown(&options, &told).text().starts_with("HOST"));
    }
}
