//! From the words that were typed to the command that hosts execute.

use std::ffi::{OsStr, OsString};

use hoist::quote;
use hoist::remote::Command;

use crate::report::Failure;

/// How words become a command.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Reading {
    /// Several words are exact; one is split.
    Split,
    /// Every word is exact.
    Exact,
    /// All of it is a line for the account's shell.
    Shell,
}

/// A command, and a hint where it may not be what was meant.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Understood {
    pub command: Command,
    pub hint: Option<String>,
}

/// Makes a command of `words`.
pub(super) fn understand(words: &[OsString], reading: Reading) -> Result<Understood, Failure> {
    if words.is_empty() {
        return Err(Failure::usage("no command is given")
            .hint("put it last, as in `hoist run -i fleet.csv -- uptime`"));
    }
    match (reading, words) {
        (Reading::Shell, _) => shell_line(words),
        (Reading::Split, [line]) => split(line),
        _ => Ok(Understood {
            command: Command::Argv(words.to_vec()),
            hint: None,
        }),
    }
}

/// Joins words as ssh does: with blanks, nothing quoted.
fn shell_line(words: &[OsString]) -> Result<Understood, Failure> {
    let line = words.join(OsStr::new(" "));
    if line.to_str().is_some_and(|line| line.trim().is_empty()) {
        return Err(Failure::usage("the command line is empty"));
    }
    Ok(Understood {
        command: Command::Shell(line),
        hint: None,
    })
}

fn split(line: &OsStr) -> Result<Understood, Failure> {
    let Some(line) = line.to_str() else {
        return Err(
            Failure::usage("the command line is not UTF-8, so it can't be split")
                .hint("`--no-split` takes it as a program's name, `--shell` as a shell's line"),
        );
    };
    let argv = quote::split(line).map_err(Failure::usage)?;
    let hint = quote::unquoted_syntax(line)
        .map(|syntax| format!("hoist: {syntax}; `--shell` lets the hosts' shell act on it"));
    Ok(Understood {
        command: Command::Argv(argv.into_iter().map(OsString::from).collect()),
        hint,
    })
}

#[cfg(test)]
mod tests {
    use std::os::unix::ffi::OsStringExt;

    use super::*;

    fn words(words: &[&str]) -> Vec<OsString> {
        words.iter().map(OsString::from).collect()
    }

    fn argv(typed: &[&str], reading: Reading) -> Command {
        understand(&words(typed), reading).unwrap().command
    }

    #[test]
    fn several_words_are_exact_and_one_is_split() {
        use Reading::{Exact, Split};
        assert_eq!(
            argv(&["echo", "a b", "*"], Split),
            Command::Argv(words(&["echo", "a b", "*"]))
        );
        assert_eq!(
            argv(&["echo 'a b' c"], Split),
            Command::Argv(words(&["echo", "a b", "c"]))
        );
        assert_eq!(argv(&["a b"], Exact), Command::Argv(words(&["a b"])));
    }

    #[test]
    fn a_line_for_the_shell_is_joined_with_blanks() {
        let line = |typed: &[&str]| argv(typed, Reading::Shell);
        assert_eq!(line(&["a | b"]), Command::Shell("a | b".into()));
        assert_eq!(line(&["a", "|", "b  c"]), Command::Shell("a | b  c".into()));
    }

    #[test]
    fn nothing_to_execute_is_an_error() {
        for (typed, reading) in [
            (&[][..], Reading::Split),
            (&[], Reading::Shell),
            (&[""], Reading::Split),
            (&["  "], Reading::Split),
            (&["", " "], Reading::Shell),
        ] {
            assert!(understand(&words(typed), reading).is_err(), "{typed:?}");
        }
    }

    #[test]
    fn the_hint_is_for_lines_that_were_split() {
        let hint = |typed: &[&str], reading| understand(&words(typed), reading).unwrap().hint;
        assert!(
            hint(&["a | b"], Reading::Split)
                .unwrap()
                .contains("--shell")
        );
        assert_eq!(hint(&["a '|' b"], Reading::Split), None);
        assert_eq!(hint(&["a", "|", "b"], Reading::Split), None);
        assert_eq!(hint(&["a | b"], Reading::Shell), None);
        assert_eq!(hint(&["a | b"], Reading::Exact), None);
    }

    #[test]
    fn a_lone_word_that_is_not_utf_8_is_not_guessed_at() {
        let word = vec![OsString::from_vec(b"a\xff".to_vec())];
        let failure = understand(&word, Reading::Split).unwrap_err();
        assert!(failure.line().contains("--no-split"), "{}", failure.line());
        let exact = understand(&word, Reading::Exact).unwrap();
        assert_eq!(exact.command, Command::Argv(word));
    }
}
