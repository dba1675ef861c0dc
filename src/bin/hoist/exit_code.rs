//! What the numbers that hoist ends with mean, and which one a run gets.

use clap::ValueEnum;
use hoist::outcome::{Kind, StopReason, Summary};

/// Every selected host is ok and every requested output was written.
pub(crate) const OK: u8 = 0;
/// All hosts were reached; some command failed.
pub(crate) const COMMAND_FAILED: u8 = 1;
/// Usage, inventory or configuration error: nobody was contacted.
pub(crate) const USAGE: u8 = 2;
/// Some host was not reached, was lost, or ran out of time.
pub(crate) const NOT_REACHED: u8 = 3;
/// hoist could not do or record its own work.
pub(crate) const OWN_FAILURE: u8 = 4;
/// Stopped early: some hosts were skipped.
pub(crate) const STOPPED_EARLY: u8 = 5;
/// Ended by SIGHUP, after a full report.
pub(crate) const HANGUP: u8 = 129;
/// Ended by SIGINT, after a full report.
pub(crate) const INTERRUPTED: u8 = 130;
/// Ended by SIGTERM, after a full report.
pub(crate) const TERMINATED: u8 = 143;

/// With `--exit max`: the largest status passed on; the next one is taken.
const MAX_STATUS: u8 = 125;
/// With `--exit max`: some host was not reached.
const MAX_NOT_REACHED: u8 = 126;

/// How a summary becomes a number.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Rule {
    /// By the class of what went wrong.
    #[value(help = None)]
    Class,
    /// The largest exit status of any host.
    #[value(help = None)]
    Max,
}

/// Returns the exit code of a run. A signal goes before hoist's own failure, that before what
/// became of the hosts.
pub(crate) fn of_run(summary: &Summary, is_recorded: bool, rule: Rule) -> u8 {
    if let Some(code) = of_stop(summary) {
        return code;
    }
    let counted = summary.ok + summary.kinds.values().sum::<usize>();
    if !is_recorded || counted != summary.hosts || summary.of(Kind::Internal) > 0 {
        return OWN_FAILURE;
    }
    match rule {
        Rule::Class => largest_class(summary),
        Rule::Max => largest_status(summary),
    }
}

fn of_stop(summary: &Summary) -> Option<u8> {
    match summary.stopped_by? {
        // Nobody reads any more: the hosts decide.
        StopReason::NoReader => None,
        signal => Some(of_signal(signal)),
    }
}

/// Whether a signal ended what has this exit code.
pub(crate) fn is_of_signal(code: u8) -> bool {
    matches!(code, HANGUP | INTERRUPTED | TERMINATED)
}

/// Returns the exit code of what a signal ended.
pub(crate) fn of_signal(reason: StopReason) -> u8 {
    match reason {
        StopReason::Hangup => HANGUP,
        StopReason::Terminate => TERMINATED,
        _ => INTERRUPTED,
    }
}

/// Ranks skipped hosts before unreached ones before failed commands: 5, 3, 1, 0.
fn largest_class(summary: &Summary) -> u8 {
    summary
        .kinds
        .iter()
        .filter(|(_, count)| **count > 0)
        .map(|(kind, _)| of_kind(*kind))
        .max()
        .unwrap_or(OK)
}

/// Returns the class of one host's failure.
pub(crate) fn of_kind(kind: Kind) -> u8 {
    match kind {
        Kind::Exit | Kind::Signal | Kind::Spawn | Kind::Sudo | Kind::Transfer | Kind::Check => {
            COMMAND_FAILED
        }
        Kind::NotStarted => STOPPED_EARLY,
        Kind::Internal => OWN_FAILURE,
        // Everything else, kinds to come included, left a host without its result.
        _ => NOT_REACHED,
    }
}

fn largest_status(summary: &Summary) -> u8 {
    let has = |is_meant: fn(Kind) -> bool| {
        let mut kinds = summary.kinds.iter().filter(|(_, count)| **count > 0);
        kinds.any(|(kind, _)| is_meant(*kind))
    };
    if has(|kind| !kind.is_reached()) {
        return MAX_NOT_REACHED;
    }
    // Neither has a status of its own; a shell would say 127 and 128 + n.
    if has(|kind| kind.is_reached() && kind != Kind::Exit) {
        return MAX_STATUS;
    }
    let capped = summary.max_exit_code.min(MAX_STATUS.into());
    u8::try_from(capped).unwrap_or(MAX_STATUS)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn summary(ok: usize, kinds: &[Kind]) -> Summary {
        let mut summary = Summary {
            hosts: ok + kinds.len(),
            ok,
            ..Summary::default()
        };
        for kind in kinds {
            *summary.kinds.entry(*kind).or_default() += 1;
        }
        summary
    }

    fn class(kinds: &[Kind]) -> u8 {
        of_run(&summary(1, kinds), true, Rule::Class)
    }

    #[test]
    fn every_kind_has_the_class_the_design_gives_it() {
        use Kind::*;
        for (code, kinds) in [
            (COMMAND_FAILED, &[Exit, Signal, Spawn][..]),
            (
                NOT_REACHED,
                &[
                    Timeout,
                    Lost,
                    Dns,
                    Refused,
                    Unreachable,
                    ConnectTimeout,
                    Handshake,
                    HostKeyUnknown,
                    HostKeyChanged,
                    Auth,
                    Channel,
                    Cancelled,
                ],
            ),
            (OWN_FAILURE, &[Internal]),
            (STOPPED_EARLY, &[NotStarted]),
        ] {
            for kind in kinds {
                assert_eq!(class(&[*kind]), code, "{kind}");
            }
        }
        assert_eq!(class(&[]), OK);
    }

    #[test]
    fn signals_go_before_4_before_5_before_3_before_1() {
        let worst = [Kind::Internal, Kind::NotStarted, Kind::Dns, Kind::Exit];
        assert_eq!(class(&worst), OWN_FAILURE);
        assert_eq!(class(&worst[1..]), STOPPED_EARLY);
        assert_eq!(class(&worst[2..]), NOT_REACHED);
        assert_eq!(class(&worst[3..]), COMMAND_FAILED);
        for (reason, code) in [
            (StopReason::Hangup, HANGUP),
            (StopReason::Interrupt, INTERRUPTED),
            (StopReason::Terminate, TERMINATED),
            (StopReason::NoReader, OWN_FAILURE),
        ] {
            let mut stopped = summary(1, &worst);
            stopped.stopped_by = Some(reason);
            for rule in [Rule::Class, Rule::Max] {
                assert_eq!(of_run(&stopped, true, rule), code, "{reason:?} {rule:?}");
            }
        }
    }

    #[test]
    fn a_result_that_was_not_written_is_never_a_success() {
        assert_eq!(of_run(&summary(3, &[]), false, Rule::Class), OWN_FAILURE);
        assert_eq!(of_run(&summary(3, &[]), false, Rule::Max), OWN_FAILURE);
    }

    #[test]
    fn a_host_without_a_result_is_never_a_success() {
        let mut forgetful = summary(2, &[]);
        forgetful.hosts = 3;
        assert_eq!(of_run(&forgetful, true, Rule::Class), OWN_FAILURE);
    }

    #[test]
    fn max_passes_the_largest_status_on_up_to_125() {
        for (status, code) in [
            (0, 0),
            (3, 3),
            (125, 125),
            (126, 125),
            (255, 125),
            (256, 125),
        ] {
            let kinds: &[Kind] = if status == 0 { &[] } else { &[Kind::Exit] };
            let mut summary = summary(1, kinds);
            summary.max_exit_code = status;
            assert_eq!(of_run(&summary, true, Rule::Max), code, "{status}");
        }
    }

    #[test]
    fn max_tells_hosts_that_were_not_reached_and_commands_without_a_status() {
        for (kinds, code) in [
            (&[Kind::Dns, Kind::Exit][..], 126),
            (&[Kind::Timeout], 126),
            (&[Kind::NotStarted], 126),
            (&[Kind::Signal], 125),
            (&[Kind::Spawn], 125),
        ] {
            assert_eq!(
                of_run(&summary(1, kinds), true, Rule::Max),
                code,
                "{kinds:?}"
            );
        }
    }

    proptest! {
        #[test]
        fn only_a_run_without_any_failure_is_0(
            ok in 0usize..9,
            kinds in proptest::collection::vec(proptest::sample::select(Kind::ALL), 0..4),
            status in 1u32..600,
            is_max: bool,
        ) {
            let mut summary = summary(ok, &kinds);
            if kinds.contains(&Kind::Exit) {
                summary.max_exit_code = status;
            }
            let rule = if is_max { Rule::Max } else { Rule::Class };
            prop_assert_eq!(of_run(&summary, true, rule) == OK, kinds.is_empty());
        }
    }
}
