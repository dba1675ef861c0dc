//! The command line that does the same again, on hosts that failed.

use std::ffi::OsString;

use hoist::hostset::HostSet;
use hoist::quote;

use crate::command::selecting::is_stdin;
use crate::settings::{Origins, Typed};

/// Longest pattern worth printing, in bytes.
const MAX_PATTERN_BYTES: usize = 400;

/// Flags that say which hosts, besides `--inventory`.
const NARROWING: [&str; 7] = [
    "hosts", "exclude", "where", "pick", "shuffle", "seed", "expect",
];

/// Returns the line, or nothing where it would be too long or stdin would have to be read again.
/// `typed` is the subcommand with the words after its flags.
pub(super) fn line(
    origins: &Origins,
    typed: (&'static str, &[OsString]),
    failed: &HostSet,
) -> Option<String> {
    let (verb, command) = typed;
    let pattern = failed.fold();
    let reads_stdin = origins.typed().iter().any(reads_stdin);
    if failed.is_empty() || pattern.len() > MAX_PATTERN_BYTES || reads_stdin {
        return None;
    }
    let mut words: Vec<OsString> = vec!["hoist".into(), verb.into()];
    let is_kept = |flag: &&Typed| !NARROWING.contains(&flag.id.as_str());
    for flag in origins.typed().iter().filter(is_kept) {
        words.extend_from_slice(&flag.words);
    }
    words.extend(["-w".into(), pattern.into(), "--".into()]);
    words.extend_from_slice(command);
    Some(quote::display(&words))
}

fn reads_stdin(flag: &Typed) -> bool {
    let may = ["inventory", "stdin", "results"].contains(&flag.id.as_str());
    may && flag.words.iter().any(|word| is_stdin(word.as_ref()))
}

#[cfg(test)]
mod tests {
    use hoist::host::HostName;

    use super::*;

    fn flag(id: &str, words: &[&str]) -> Typed {
        Typed {
            id: id.to_owned(),
            words: words.iter().map(OsString::from).collect(),
        }
    }

    fn again(typed: Vec<Typed>, failed: &[&str]) -> Option<String> {
        let failed = failed.iter().map(|name| HostName::parse(name).unwrap());
        let command = ["sh", "-c", "exit 3"].map(OsString::from);
        let typed = Origins::of_typed(typed);
        line(&typed, ("run", &command), &failed.collect())
    }

    #[test]
    fn the_line_selects_the_failed_hosts_and_keeps_everything_else() {
        let typed = vec![
            flag("inventory", &["-i", "my fleet.csv"]),
            flag("hosts", &["-w", "@web", "-w", "db1"]),
            flag("where", &["--where", "dc=a*"]),
            flag("pick", &["--pick", "9"]),
            flag("fan_out", &["-f", "3"]),
        ];
        insta::assert_snapshot!(again(typed, &["web2", "web3", "db1"]).unwrap(), @"hoist run -i 'my fleet.csv' -f 3 -w 'db1,web[2-3]' -- sh -c 'exit 3'");
    }

    #[test]
    fn there_is_no_line_where_it_would_not_work() {
        assert_eq!(again(Vec::new(), &[]), None);
        let stdin = flag("inventory", &["-i", "-"]);
        assert_eq!(again(vec![stdin], &["web1"]), None);
        let names: Vec<String> = (0..200).map(|n| format!("h{}", n * n)).collect();
        let names: Vec<&str> = names.iter().map(String::as_str).collect();
        assert_eq!(again(Vec::new(), &names), None);
    }
}
