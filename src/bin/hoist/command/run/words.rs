//! From the words that were typed to the command that hosts execute.

use std::ffi::{OsStr, OsString};

use hoist::host::Host;
use hoist::quote;
use hoist::remote::Command;
use hoist::selection::Selected;
use hoist::template::{PARTS, Scene, Template};

use super::{Seen, Task};
use crate::args::Wording;
use crate::report::{Failure, note};
use crate::settings::Origins;

/// The words of a command, as they were typed.
pub(super) struct Words<'a> {
    typed: &'a [OsString],
    reading: Reading,
    is_quiet: bool,
}

impl<'a> Words<'a> {
    /// Of two flags that exclude each other, the one set nearer to the person counts.
    pub(super) fn new(
        typed: &'a [OsString],
        wording: &Wording,
        origins: &Origins,
        is_quiet: bool,
    ) -> Self {
        let is_nearer = origins.of("shell") >= origins.of("no_split");
        let reading = match (wording.shell, wording.no_split) {
            (true, false) => Reading::Shell,
            (true, true) if is_nearer => Reading::Shell,
            (_, true) => Reading::Exact,
            (false, false) => Reading::Split,
        };
        Self {
            typed,
            reading,
            is_quiet,
        }
    }
}

impl Task for Words<'_> {
    fn command(&self, is_template: bool) -> Result<Command, Failure> {
        let understood = understand(self.typed, self.reading, is_template)?;
        if let Some(hint) = understood.hint.filter(|_| !self.is_quiet) {
            note(&hint);
        }
        Ok(understood.command)
    }

    fn commands(&self, scene: Seen<'_>, hosts: &[Selected]) -> Result<Vec<Command>, Failure> {
        let templates = templates(self.typed, self.reading)?;
        let scene = scene()?;
        let own = hosts.iter();
        own.map(|selected| templates.render(&scene, &selected.host))
            .collect()
    }

    fn typed(&self) -> Option<(&'static str, &[OsString])> {
        Some(("run", self.typed))
    }
}

/// How words become a command.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Reading {
    /// Several words are exact; one is split.
    Split,
    /// Every word is exact.
    Exact,
    /// All of it is a line for the account's shell.
    Shell,
}

/// A command, and a hint where it may not be what was meant.
#[derive(Debug, PartialEq, Eq)]
struct Understood {
    command: Command,
    hint: Option<String>,
}

/// Makes a command of `words`. Where they are templates, it is how the command is shown.
fn understand(
    words: &[OsString],
    reading: Reading,
    are_templates: bool,
) -> Result<Understood, Failure> {
    if words.is_empty() {
        return Err(Failure::usage("no command is given")
            .hint("put it last, as in `hoist run -i fleet.csv -- uptime`"));
    }
    match (reading, words) {
        (Reading::Shell, _) => shell_line(words),
        (Reading::Split, [line]) => split(line, are_templates),
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

fn split(line: &OsStr, is_template: bool) -> Result<Understood, Failure> {
    let Some(line) = line.to_str() else {
        return Err(
            Failure::usage("the command line is not UTF-8, so it can't be split")
                .hint("`--no-split` takes it as a program's name, `--shell` as a shell's line"),
        );
    };
    let veiled = if is_template {
        Veiled::of(line)
    } else {
        Veiled::nothing(line)
    };
    let argv = quote::split(&veiled.line).map_err(Failure::usage)?;
    let hint = quote::unquoted_syntax(&veiled.line)
        .map(|syntax| format!("hoist: {syntax}; `--shell` lets the hosts' shell act on it"));
    let argv = argv.iter().map(|word| veiled.lift(word).into());
    Ok(Understood {
        command: Command::Argv(argv.collect()),
        hint,
    })
}

/// A line in which what belongs to templates can't be taken for words, quotes or operators.
struct Veiled {
    line: String,
    /// What was taken out, in order.
    parts: Vec<String>,
}

/// Stands for a part that was taken out: private characters, with its number between them.
const VEIL: [char; 2] = ['\u{f8fe}', '\u{f8ff}'];

impl Veiled {
    fn nothing(line: &str) -> Self {
        Self {
            line: line.to_owned(),
            parts: Vec::new(),
        }
    }

    fn of(line: &str) -> Self {
        let mut veiled = Self::nothing("");
        let mut rest = line;
        while let Some((start, end)) = next_part(rest) {
            veiled.line.push_str(&rest[..start]);
            let number = veiled.parts.len();
            veiled.line.push(VEIL[0]);
            veiled.line.push_str(&number.to_string());
            veiled.line.push(VEIL[1]);
            veiled.parts.push(rest[start..end].to_owned());
            rest = &rest[end..];
        }
        veiled.line.push_str(rest);
        veiled
    }

    /// Returns a word as it was written.
    fn lift(&self, word: &str) -> String {
        let mut lifted = String::new();
        let mut rest = word;
        while let Some((before, after)) = rest.split_once(VEIL[0]) {
            lifted.push_str(before);
            let numbered = after.split_once(VEIL[1]).and_then(|(number, after)| {
                let part = self.parts.get(number.parse::<usize>().ok()?)?;
                Some((part, after))
            });
            if let Some((part, after)) = numbered {
                lifted.push_str(part);
                rest = after;
            } else {
                // It was in the line itself.
                lifted.push(VEIL[0]);
                rest = after;
            }
        }
        lifted.push_str(rest);
        lifted
    }
}

/// Finds the first whole part of a template.
fn next_part(text: &str) -> Option<(usize, usize)> {
    let starts = PARTS.iter().filter_map(|(open, close)| {
        let start = text.find(open)?;
        let end = start + open.len() + text[start + open.len()..].find(close)? + close.len();
        Some((start, end))
    });
    starts.min()
}

/// The words of a command as templates.
struct Templates {
    words: Vec<Template>,
    is_line: bool,
}

/// Reads the words as templates. A shell's line has its values quoted, and is run by `sh`, whose
/// quoting is known.
fn templates(words: &[OsString], reading: Reading) -> Result<Templates, Failure> {
    let is_line = reading == Reading::Shell;
    let argv = match understand(words, reading, true)?.command {
        Command::Argv(argv) => argv,
        Command::Shell(line) => vec![line],
        Command::Script(_) => Vec::new(),
    };
    let read = argv.iter().enumerate().map(|(index, word)| {
        let name = match index + 1 {
            _ if is_line => "the command line".to_owned(),
            number => format!("word {number} of the command"),
        };
        let Some(word) = word.to_str() else {
            return Err(Failure::usage(format!(
                "{name} is not UTF-8, so it can't be a template"
            )));
        };
        let read = if is_line {
            Template::parse_for_shell(&name, word)
        } else {
            Template::parse(&name, word)
        };
        read.map_err(Failure::usage)
    });
    Ok(Templates {
        words: read.collect::<Result<_, _>>()?,
        is_line,
    })
}

impl Templates {
    /// Returns a host's own command.
    fn render(&self, scene: &Scene, host: &Host) -> Result<Command, Failure> {
        let words = self.words.iter().map(|word| {
            let word = word.render(scene, host);
            word.map(OsString::from).map_err(Failure::usage)
        });
        let words = words.collect::<Result<Vec<_>, Failure>>()?;
        Ok(Command::Argv(if self.is_line {
            [OsString::from("sh"), "-c".into()]
                .into_iter()
                .chain(words)
                .collect()
        } else {
            words
        }))
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::ffi::OsStringExt;

    use super::*;

    fn words(words: &[&str]) -> Vec<OsString> {
        words.iter().map(OsString::from).collect()
    }

    fn argv(typed: &[&str], reading: Reading) -> Command {
        understand(&words(typed), reading, false).unwrap().command
    }

    #[test]
    fn what_belongs_to_templates_is_not_split() {
        let line = "echo {{ host.name|upper }} \"a {{ 'b \\\"' }}\" {% if x > 1 %}y{% endif %} z";
        let understood = understand(&words(&[line]), Reading::Split, true).unwrap();
        let expected = [
            "echo",
            "{{ host.name|upper }}",
            "a {{ 'b \\\"' }}",
            "{% if x > 1 %}y{% endif %}",
            "z",
        ];
        assert_eq!(understood.command, Command::Argv(words(&expected)));
        assert_eq!(understood.hint, None);
        let odd = "echo \u{f8fe}7\u{f8ff} {{ a";
        let understood = understand(&words(&[odd]), Reading::Split, true).unwrap();
        let expected = ["echo", "\u{f8fe}7\u{f8ff}", "{{", "a"];
        assert_eq!(understood.command, Command::Argv(words(&expected)));
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
            assert!(
                understand(&words(typed), reading, false).is_err(),
                "{typed:?}"
            );
        }
    }

    #[test]
    fn the_hint_is_for_lines_that_were_split() {
        let hint =
            |typed: &[&str], reading| understand(&words(typed), reading, false).unwrap().hint;
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
        let failure = understand(&word, Reading::Split, false).unwrap_err();
        assert!(failure.line().contains("--no-split"), "{}", failure.line());
        let exact = understand(&word, Reading::Exact, false).unwrap();
        assert_eq!(exact.command, Command::Argv(word));
    }
}
