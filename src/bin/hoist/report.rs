//! From an error to the line that a person reads.
//!
//! Errors of the library and of clap become a [`Failure`] here and nowhere else: what and why,
//! hints how to go on, and the exit code. It is printed as one line on stderr.

use std::ffi::OsString;
use std::fmt::Write as _;
use std::io::{self, Write as _};
use std::panic::{self, UnwindSafe};
use std::process::ExitCode;

use clap::error::{ContextKind, ContextValue, ErrorKind};
use hoist::host::is_printable;

use crate::exit_code;

/// Why hoist ends without having done what was asked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Failure {
    pub code: u8,
    /// What and why, as a fragment without a full stop; empty when there is nothing to say.
    pub text: String,
    /// How to go on, each a fragment.
    pub hints: Vec<String>,
}

impl Failure {
    /// Returns the failure of a request that makes no sense; nobody was contacted.
    #[allow(
        clippy::needless_pass_by_value,
        reason = "so that it can be named in `map_err`"
    )]
    pub(crate) fn usage(error: impl ToString) -> Self {
        Self {
            code: exit_code::USAGE,
            text: error.to_string(),
            hints: Vec::new(),
        }
    }

    /// Returns the failure of hoist itself.
    #[allow(
        clippy::needless_pass_by_value,
        reason = "so that it can be named in `map_err`"
    )]
    pub(crate) fn own(error: impl ToString) -> Self {
        Self {
            code: exit_code::OWN_FAILURE,
            ..Self::usage(error)
        }
    }

    /// Returns an end without words.
    pub(crate) fn silent(code: u8) -> Self {
        Self {
            code,
            ..Self::usage("")
        }
    }

    /// Returns the failure of writing a result; a reader that went away is none.
    pub(crate) fn writing(error: &io::Error) -> Self {
        match error.kind() {
            io::ErrorKind::BrokenPipe => Self::silent(exit_code::OK),
            _ => Self::own(format!("cannot write to stdout: {error}")),
        }
    }

    /// Adds how to go on.
    pub(crate) fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hints.push(hint.into());
        self
    }

    /// Returns the line, without a line end.
    pub(crate) fn line(&self) -> String {
        let mut line = format!("hoist: {}", self.text);
        for hint in &self.hints {
            let _ = write!(line, "; {hint}");
        }
        harmless(&line)
    }

    /// Prints the line on stderr, if there is one.
    pub(crate) fn print(&self) {
        if !self.text.is_empty() {
            note(&self.line());
        }
    }
}

/// Runs the program and returns its exit code; a panic is hoist's own failure like any other.
pub(crate) fn guarded(program: impl FnOnce() -> Result<u8, Failure> + UnwindSafe) -> ExitCode {
    panic::set_hook(Box::new(|panic| {
        note(&format!("hoist: internal error: {panic}; please report it"));
    }));
    let code = match panic::catch_unwind(program) {
        Ok(Ok(code)) => code,
        Ok(Err(failure)) => {
            failure.print();
            failure.code
        }
        Err(_) => exit_code::OWN_FAILURE,
    };
    ExitCode::from(code)
}

/// Prints one line on stderr. Where that is closed or full there is nobody left to tell.
pub(crate) fn note(line: &str) {
    let _ = writeln!(io::stderr(), "{}", harmless(line));
}

/// Makes everything visible that could drive a terminal: file names and arguments end up in errors.
fn harmless(line: &str) -> String {
    let mut shown = String::with_capacity(line.len());
    for c in line.chars() {
        if is_printable(c) {
            shown.push(c);
        } else if c.is_whitespace() {
            shown.push(' ');
        } else {
            shown.extend(c.escape_default());
        }
    }
    shown
}

/// Returns what clap found wrong with `typed`, in hoist's own words.
pub(crate) fn usage(error: &clap::Error, typed: &[OsString]) -> Failure {
    let failure = Failure::usage(reason(error));
    let subcommand = subcommand_of(typed);
    match error.kind() {
        ErrorKind::InvalidSubcommand => with_run_suggested(failure, error, typed),
        ErrorKind::UnknownArgument if subcommand.is_none() => {
            failure.hint("flags follow the subcommand, as in `hoist run -i fleet.csv -- uptime`")
        }
        // A bad value says itself what a good one looks like.
        ErrorKind::ValueValidation | ErrorKind::InvalidValue => failure,
        _ => match (context(error, ContextKind::SuggestedArg), subcommand) {
            (Some(flag), _) => failure.hint(format!("did you mean `{flag}`?")),
            (None, Some(name)) => failure.hint(format!("see `hoist {name} --help`")),
            (None, None) => failure.hint("see `hoist --help`"),
        },
    }
}

/// Returns what clap found wrong, on one line, without advice.
pub(crate) fn reason(error: &clap::Error) -> String {
    let text = |kind| context(error, kind).unwrap_or_default();
    let flag = text(ContextKind::InvalidArg);
    let name = without_value(&flag);
    match error.kind() {
        ErrorKind::UnknownArgument if flag.starts_with('-') => {
            format!("`{flag}` is not a flag here")
        }
        ErrorKind::UnknownArgument => format!("`{flag}` is one argument too many"),
        ErrorKind::InvalidSubcommand => {
            format!(
                "`{}` is not a subcommand",
                text(ContextKind::InvalidSubcommand)
            )
        }
        ErrorKind::ValueValidation => match std::error::Error::source(error) {
            Some(cause) => format!("{name}: {cause}"),
            None => first_paragraph(error),
        },
        ErrorKind::InvalidValue => invalid_value(error, name),
        ErrorKind::ArgumentConflict => format!(
            "{name} and {} exclude each other",
            without_value(&text(ContextKind::PriorArg))
        ),
        // clap adds dots to the name of what takes many words.
        ErrorKind::MissingRequiredArgument => first_paragraph(error).replace(&flag, name),
        _ => first_paragraph(error),
    }
}

/// Returns `--flag` of `--flag <VALUE>`, and `<WORD>` of `<WORD>...`.
fn without_value(flag: &str) -> &str {
    match flag.split_once('>') {
        Some((words, _)) if flag.starts_with('<') => &flag[..=words.len()],
        _ => flag.split(' ').next().unwrap_or_default(),
    }
}

fn invalid_value(error: &clap::Error, name: &str) -> String {
    let value = context(error, ContextKind::InvalidValue).unwrap_or_default();
    if value.is_empty() {
        return format!("{name} needs a value");
    }
    let known = context(error, ContextKind::ValidValue).unwrap_or_default();
    let mut text = format!("{name}: `{value}` is not one of {known}");
    if let Some(near) = context(error, ContextKind::SuggestedValue) {
        let _ = write!(text, "; did you mean `{near}`?");
    }
    text
}

fn with_run_suggested(failure: Failure, error: &clap::Error, typed: &[OsString]) -> Failure {
    let unknown = context(error, ContextKind::InvalidSubcommand).unwrap_or_default();
    // A command such as `uptime` is no slip of `put`, nor `grep` one of `get`.
    let near = context(error, ContextKind::SuggestedSubcommand);
    let most = unknown.len() / 3;
    if let Some(near) = near.filter(|near| strsim::damerau_levenshtein(near, &unknown) <= most) {
        return failure.hint(format!("did you mean `hoist {near}`?"));
    }
    let at = typed.iter().position(|word| *word == *unknown);
    let command = hoist::quote::display(&typed[at.unwrap_or(typed.len())..]);
    failure.hint(format!("to execute it on hosts: `hoist run -- {command}`"))
}

fn context(error: &clap::Error, kind: ContextKind) -> Option<String> {
    match error.get(kind)? {
        ContextValue::String(text) => Some(text.clone()),
        ContextValue::Strings(texts) if !texts.is_empty() => Some(texts.join(", ")),
        ContextValue::StyledStr(text) => Some(text.to_string()),
        ContextValue::Number(number) => Some(number.to_string()),
        _ => None,
    }
}

/// clap's own sentence, for kinds of error that have no better one here.
fn first_paragraph(error: &clap::Error) -> String {
    let text = error.render().to_string();
    let text = text.strip_prefix("error: ").unwrap_or(&text);
    let lines = text.lines().take_while(|line| !line.is_empty());
    lines.map(str::trim).collect::<Vec<_>>().join(" ")
}

/// Returns the subcommand that was typed, if it exists.
fn subcommand_of(typed: &[OsString]) -> Option<&str> {
    let command = crate::args::command();
    let mut words = typed.iter().skip(1).filter_map(|word| word.to_str());
    words.find(|word| command.find_subcommand(word).is_some())
}

#[cfg(test)]
mod tests {
    use insta::assert_snapshot;

    use super::*;

    /// Returns the line for arguments that clap refuses.
    fn refused(words: &[&str]) -> String {
        let words = std::iter::once("hoist").chain(words.iter().copied());
        let typed: Vec<OsString> = words.map(OsString::from).collect();
        let error = crate::args::command()
            .try_get_matches_from(&typed)
            .unwrap_err();
        let failure = usage(&error, &typed);
        assert_eq!(failure.code, exit_code::USAGE);
        failure.line()
    }

    #[test]
    fn there_is_no_default_subcommand_but_a_suggestion() {
        assert_snapshot!(refused(&["uptime"]), @"hoist: `uptime` is not a subcommand; to execute it on hosts: `hoist run -- uptime`");
        assert_snapshot!(refused(&["grep", "-r", "it's", "/etc"]), @r#"hoist: `grep` is not a subcommand; to execute it on hosts: `hoist run -- grep -r 'it'\''s' /etc`"#);
        assert_snapshot!(refused(&["host"]), @"hoist: `host` is not a subcommand; did you mean `hoist hosts`?");
        assert_snapshot!(refused(&["-w", "web1", "uptime"]), @"hoist: `-w` is not a flag here; flags follow the subcommand, as in `hoist run -i fleet.csv -- uptime`");
    }

    #[test]
    fn usage_errors_say_what_is_wrong_and_how_to_go_on() {
        assert_snapshot!(refused(&["run", "--fanout", "3", "x"]), @"hoist: `--fanout` is not a flag here; did you mean `--fan-out`?");
        assert_snapshot!(refused(&["run", "-u", "root", "x"]), @"hoist: `-u` is not a flag here; see `hoist run --help`");
        assert_snapshot!(refused(&["run", "--blaze", "x"]), @"hoist: `--blaze` is not a flag here; see `hoist run --help`");
        assert_snapshot!(refused(&["run", "-f"]), @"hoist: --fan-out needs a value");
        assert_snapshot!(refused(&["run", "-f", "0", "x"]), @"hoist: --fan-out: `0` is not a whole number from 1");
        assert_snapshot!(refused(&["run", "-o", "tabel", "x"]), @"hoist: --output: `tabel` is not one of table, stream, group, json, jsonl, csv, tsv, raw, none; did you mean `table`?");
        assert_snapshot!(refused(&["run", "-p", "65536", "x"]), @"hoist: --port: port `65536` is not a number from 1 to 65535");
        assert_snapshot!(refused(&["run", "-l", "-oProxyCommand=x", "x"]), @"hoist: --user needs a value");
        assert_snapshot!(refused(&["run", "--timeout", "1 h", "x"]), @"hoist: --timeout: `1 h` is not a duration; write it like 90, 90s, 5m, 1h30m or 500ms; or `none`");
        assert_snapshot!(refused(&["run", "--max-output", "1.5G", "x"]), @"hoist: --max-output: `1.5G` is not a size; write it like 4096, 64k, 10M or 1G (1024 each; kB, MB, GB: 1000); or `none`");
        assert_snapshot!(refused(&["run", "--env", "A", "x"]), @"hoist: --env: `A` has no `=`; write NAME=VALUE");
        assert_snapshot!(refused(&["run", "--expect", "5..2", "x"]), @"hoist: --expect: `5..2` is not a number of hosts; expected `3` or `2..5`");
        assert_snapshot!(refused(&["run", "--shell", "--no-split", "x"]), @"hoist: --shell and --no-split exclude each other; see `hoist run --help`");
        assert_snapshot!(refused(&["run", "--quiet=yes", "x"]), @"hoist: unexpected value 'yes' for '--quiet' found; no more were expected; see `hoist run --help`");
        assert_snapshot!(refused(&["hosts", "--expand", "a", "-w", "b"]), @"hoist: --expand and --hosts exclude each other; see `hoist hosts --help`");
        assert_snapshot!(refused(&["hosts", "--count", "-o", "csv"]), @"hoist: --count and --output exclude each other; see `hoist hosts --help`");
        assert_snapshot!(refused(&["completions"]), @"hoist: the following required arguments were not provided: <SHELL>; see `hoist completions --help`");
        assert_snapshot!(refused(&["completions", "tcsh"]), @"hoist: <SHELL>: `tcsh` is not one of bash, zsh, fish; did you mean `zsh`?");
        assert_snapshot!(refused(&["put"]), @"hoist: the following required arguments were not provided: <SRC>... <DEST>; see `hoist put --help`");
        assert_snapshot!(refused(&["get", "a"]), @"hoist: the following required arguments were not provided: <SRC>; see `hoist get --help`");
        assert_snapshot!(refused(&["put", "a", ""]), @"hoist: <DEST> needs a value");
        assert_snapshot!(refused(&["man", "run", "hosts"]), @"hoist: `hosts` is one argument too many; see `hoist man --help`");
    }

    #[test]
    fn hints_follow_the_reason() {
        let failure = Failure::usage("no").hint("try this").hint("or that");
        assert_eq!(failure.line(), "hoist: no; try this; or that");
    }

    #[test]
    fn a_line_never_drives_the_terminal() {
        let failure = Failure::own("a\u{1b}[2J\nb\u{202e}c");
        assert_eq!(failure.line(), "hoist: a\\u{1b}[2J b\\u{202e}c");
    }

    #[test]
    fn a_reader_that_went_away_is_no_failure_and_a_full_disk_is() {
        let gone = Failure::writing(&io::ErrorKind::BrokenPipe.into());
        assert_eq!((gone.code, gone.text.as_str()), (exit_code::OK, ""));
        let full = Failure::writing(&io::ErrorKind::StorageFull.into());
        assert_eq!(full.code, exit_code::OWN_FAILURE);
    }
}
