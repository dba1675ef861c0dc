//! The marker filter: it takes out what a slow reader of the whole takes out, however the bytes are
//! cut, and holds back little.
//!
//! Of the input the first byte says how the rest is cut. In the rest `0xff` stands for the marker's
//! text, which is another one in every process, and `0xfe` with a number for the start of it.

use std::ffi::OsString;
use std::sync::OnceLock;

use hoist::quote::{Marker, MarkerFilter, NotSpawned, Started, request};
use hoist::remote::{Command, Exec};

use super::quote::decoded;

/// The words of failures, as the wrapper says them.
const REASONS: [(&str, NotSpawned); 12] = [
    ("cwd-missing", NotSpawned::CwdMissing),
    ("cwd-file", NotSpawned::CwdIsFile),
    ("cwd-denied", NotSpawned::CwdDenied),
    ("missing", NotSpawned::Missing),
    ("directory", NotSpawned::IsDirectory),
    ("denied", NotSpawned::Denied),
    ("interpreter", NotSpawned::Interpreter),
    ("refused", NotSpawned::Refused),
    ("env", NotSpawned::NoEnv),
    ("unelevated", NotSpawned::Unelevated),
    ("place", NotSpawned::NoPlace),
    ("unwritten", NotSpawned::NotPlaced),
];

/// Longest stderr that is tried.
const MOST_INPUT: usize = 4096;

/// Most bytes held back.
const MOST_HELD: usize = 80;

/// What a filter made of an input.
#[derive(Debug, PartialEq, Eq)]
struct Filtered {
    out: Vec<u8>,
    started: Option<Started>,
    not_spawned: Option<NotSpawned>,
}

/// Checks the filter on the stderr that `data` describes.
pub(crate) fn check(data: &[u8]) {
    let Some((seed, rest)) = data.split_first() else {
        return;
    };
    let (marker, text) = marker();
    let input = stderr(rest, text);
    let expected = read_slowly(&input, text);
    assert_eq!(filtered(marker, [&input[..]]), expected, "in one piece");
    let step = usize::from(seed % 16) + 1;
    assert_eq!(
        filtered(marker, input.chunks(step)),
        expected,
        "{step} at once"
    );
    // Pieces of all lengths up to 64, in an order that depends on the seed.
    let mut number = u32::from(*seed);
    let mut input = &input[..];
    let uneven = std::iter::from_fn(|| {
        number = number.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        let (piece, after) = input.split_at(input.len().min((number >> 26) as usize));
        let is_end = input.is_empty();
        input = after;
        (!is_end).then_some(piece)
    });
    assert_eq!(filtered(marker, uneven), expected, "in uneven pieces");
}

/// Returns a marker and the text it prints, as it stands in a request.
fn marker() -> &'static (Marker, Vec<u8>) {
    static MARKER: OnceLock<(Marker, Vec<u8>)> = OnceLock::new();
    MARKER.get_or_init(|| {
        let marker = Marker::random();
        let exec = Exec::new(Command::Argv(vec![OsString::from("true")]));
        let script = decoded(&request(&exec, &marker).expect("a command"));
        let script = String::from_utf8(script).expect("it is text");
        let (_, rest) = script.split_once("hoist_h=").expect("the first half");
        let (first, rest) = rest.split_once('\n').expect("a line");
        let (_, rest) = rest.split_once("\"$hoist_h\"").expect("the second half");
        let (second, _) = rest.split_once('"').expect("a quote");
        let text = format!("{first}{second}");
        assert!(text.starts_with("hoist-") && text.len() == 38, "{text}");
        (marker, text.into_bytes())
    })
}

fn stderr(bytes: &[u8], text: &[u8]) -> Vec<u8> {
    let mut bytes = bytes.iter();
    let mut input = Vec::new();
    while let Some(byte) = bytes.next() {
        match byte {
            0xff => input.extend_from_slice(text),
            0xfe => {
                let length = bytes.next().map_or(0, |number| usize::from(*number));
                input.extend_from_slice(&text[..length % text.len()]);
            }
            byte => input.push(*byte),
        }
    }
    input.truncate(MOST_INPUT);
    input
}

fn filtered<'a>(marker: &Marker, pieces: impl IntoIterator<Item = &'a [u8]>) -> Filtered {
    let mut filter = MarkerFilter::new(marker);
    let mut out = Vec::new();
    let mut pushed = 0;
    let mut taken = 0;
    for piece in pieces {
        let had = (filter.started().copied(), filter.not_spawned());
        filter.push(piece, &mut out);
        pushed += piece.len();
        if had != (filter.started().copied(), filter.not_spawned()) {
            taken += 2 * MOST_HELD;
        }
        assert!(
            pushed - out.len() <= MOST_HELD + taken,
            "too much is held back"
        );
    }
    filter.finish(&mut out);
    Filtered {
        out,
        started: filter.started().copied(),
        not_spawned: filter.not_spawned(),
    }
}

/// Does the same byte by byte, from the words of the module's documentation.
fn read_slowly(input: &[u8], text: &[u8]) -> Filtered {
    let (mut started, mut not_spawned) = (None, None);
    let mut out = Vec::new();
    let mut at = 0;
    while at < input.len() {
        let rest = &input[at..];
        if let Some(line) = rest.strip_prefix(text)
            && not_spawned.is_none()
            && let Some(end) = line.iter().position(|byte| *byte == b'\n')
        {
            let line = &line[..end];
            if let (None, Some(found)) = (started, read_started(line)) {
                started = Some(found);
                at += text.len() + end + 1;
                continue;
            }
            if started.is_none() && line == b" placing" {
                at += text.len() + end + 1;
                continue;
            }
            let is_reason = |(word, _): &&(&str, _)| line == format!(" failed {word}").as_bytes();
            if let Some((_, reason)) = REASONS.iter().find(is_reason) {
                not_spawned = Some(*reason);
                at += text.len() + end + 1;
                continue;
            }
        }
        out.push(input[at]);
        at += 1;
    }
    Filtered {
        out,
        started,
        not_spawned,
    }
}

fn read_started(line: &[u8]) -> Option<Started> {
    let line = str::from_utf8(line).ok()?;
    let words: Vec<&str> = line.split(' ').collect();
    let ["", "started", digits, group @ ("leader" | "member")] = words[..] else {
        return None;
    };
    let pid: u32 = digits.parse().ok()?;
    let is_plain = digits == pid.to_string() && (2..=i32::MAX.unsigned_abs()).contains(&pid);
    is_plain.then_some(Started {
        pid,
        is_group_leader: group == "leader",
    })
}
