//! How outcomes, durations and counts are said to people.

use std::time::Duration;

use super::sanitize::sanitize_line;
use crate::outcome::{Kind, Outcome, Status};
use crate::remote::ExitStatus;

/// Returns what became of a host in a word or two: `ok`, `exit 3`, `signal KILL`, or the kind.
pub(super) fn status(outcome: &Outcome) -> String {
    match (outcome.kind, &outcome.exit) {
        (None, _) => "ok".to_owned(),
        (Some(Kind::Exit), Some(ExitStatus::Code(code))) => format!("exit {code}"),
        // The host chose the name.
        (Some(Kind::Signal), Some(ExitStatus::Signal(name))) => {
            format!("signal {}", sanitize_line(name))
        }
        (Some(kind), _) => kind.as_str().to_owned(),
    }
}

/// Returns the message, harmless and on one line; `None` when it says no more than the status.
pub(super) fn message(outcome: &Outcome) -> Option<String> {
    let message = sanitize_line(&outcome.message);
    (!message.is_empty() && message != status(outcome)).then_some(message)
}

/// Returns status and message: `refused: connection refused by 192.0.2.7 port 22`.
pub(super) fn status_and_message(outcome: &Outcome) -> String {
    let status = status(outcome);
    match message(outcome) {
        Some(message) => format!("{status}: {message}"),
        None => status,
    }
}

/// Returns a text in the colour of its class: green, red, or yellow.
pub(super) fn colored(text: &str, class: Status, has_color: bool) -> String {
    let color = match class {
        _ if !has_color => return text.to_owned(),
        Status::Ok => 32,
        Status::Failed => 31,
        Status::Skipped => 33,
    };
    format!("\x1b[{color}m{text}\x1b[0m")
}

/// Returns a duration to the nearest unit that matters: `45ms`, `2.1s`, `5m07s`, `1h30m`.
pub(super) fn duration(duration: Duration) -> String {
    let millis = duration.as_millis();
    let tenths = (millis + 50) / 100;
    let seconds = (millis + 500) / 1000;
    match seconds {
        _ if millis < 100 => format!("{millis}ms"),
        _ if tenths < 600 => format!("{}.{}s", tenths / 10, tenths % 10),
        0..3600 => format!("{}m{:02}s", seconds / 60, seconds % 60),
        _ => format!("{}h{:02}m", seconds / 3600, seconds / 60 % 60),
    }
}

/// Returns a number with its thousands apart: `1,234,567`.
pub(super) fn count(number: u64) -> String {
    let digits = number.to_string();
    let groups = digits.as_bytes().rchunks(3).rev();
    let groups: Vec<&str> = groups.filter_map(|g| std::str::from_utf8(g).ok()).collect();
    groups.join(",")
}

/// Returns a number with its noun: `1 host`, `2,000 hosts`.
pub(super) fn counted(number: usize, noun: &str) -> String {
    let plural = if number == 1 { "" } else { "s" };
    format!("{} {noun}{plural}", count(number as u64))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::render::tests::outcome;

    #[test]
    fn durations_are_short() {
        for (millis, text) in [
            (0, "0ms"),
            (99, "99ms"),
            (100, "0.1s"),
            (2_149, "2.1s"),
            (59_949, "59.9s"),
            (59_950, "1m00s"),
            (307_000, "5m07s"),
            (3_599_500, "1h00m"),
            (5_400_000, "1h30m"),
            (360_000_000, "100h00m"),
        ] {
            assert_eq!(duration(Duration::from_millis(millis)), text);
        }
    }

    #[test]
    fn thousands_are_set_apart() {
        assert_eq!(count(0), "0");
        assert_eq!(count(999), "999");
        assert_eq!(count(1_234_567), "1,234,567");
        assert_eq!(counted(1, "host"), "1 host");
        assert_eq!(counted(2_000, "line"), "2,000 lines");
    }

    #[test]
    fn a_status_cannot_be_forged_by_a_signal_name() {
        let mut forged = outcome();
        forged.kind = Some(Kind::Signal);
        forged.exit = Some(ExitStatus::Signal("X\x1b[2J\nok".to_owned()));
        assert_eq!(status(&forged), "signal X^[[2J ok");
    }

    #[test]
    fn a_message_that_repeats_the_status_is_left_out() {
        let mut failed = outcome();
        failed.kind = Some(Kind::Exit);
        failed.exit = Some(ExitStatus::Code(3));
        failed.message = "exit 3".to_owned();
        assert_eq!(status_and_message(&failed), "exit 3");
        failed.message = "that is how `grep` says no".to_owned();
        assert_eq!(
            status_and_message(&failed),
            "exit 3: that is how `grep` says no"
        );
    }
}
