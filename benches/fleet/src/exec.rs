//! What the simulated hosts execute, as a plain line or in hoist's wrapper: `echo WORD…`, and
//! `meet NAME COUNT`, which ends a little after COUNT hosts execute it at the same time.
//!
//! Out of the wrapper comes what a host's shell would make of it: the marker that tells a start,
//! on stderr, before what the command prints. Anything else is refused with status 127, so that a
//! client which sends what isn't understood here can't look fast.

/// What a command prints and how it ends.
#[derive(Debug, PartialEq, Eq)]
pub struct Answer {
    pub stderr: Vec<u8>,
    pub stdout: Vec<u8>,
    pub status: u32,
    /// What it waits for before it prints to stdout and ends.
    pub meeting: Option<Meeting>,
}

/// Which meeting, and how many are awaited there.
#[derive(Debug, PartialEq, Eq)]
pub struct Meeting {
    pub name: String,
    pub expected: usize,
}

/// Returns what a host answers to the command line of an exec request.
pub fn answer(line: &[u8]) -> Answer {
    let line = String::from_utf8_lossy(line);
    let Some(script) = unwrapped(&line) else {
        return executed(Vec::new(), &plain_words(&line));
    };
    match (marker(&script), argv(&script)) {
        (Some(marker), Some(argv)) => {
            let started = format!("{marker} started 4711 leader\n");
            executed(started.into_bytes(), &argv)
        }
        _ => refused(Vec::new(), "the wrapper's script has another form"),
    }
}

/// Returns the script in `exec sh -c '<decoder>' sh '<encoded script>'`.
fn unwrapped(line: &str) -> Option<String> {
    let rest = line.strip_prefix("exec sh -c '")?;
    let (_, encoded) = rest.split_once("' sh '")?;
    Some(decoded(encoded.strip_suffix('\'')?))
}

/// Undoes `\0ooo`, as `printf %b` does. The scripts sent here are ASCII.
fn decoded(encoded: &str) -> String {
    let mut pieces = encoded.split("\\0");
    let mut script = pieces.next().unwrap_or_default().to_owned();
    for piece in pieces {
        let (digits, rest) = piece.split_at_checked(3).unwrap_or((piece, ""));
        let byte = u8::from_str_radix(digits, 8).unwrap_or(b'?');
        script.push(char::from(byte));
        script.push_str(rest);
    }
    script
}

/// Returns the marker, which the script holds in two halves.
fn marker(script: &str) -> Option<String> {
    let (_, rest) = script.split_once("hoist_h=")?;
    let (first, rest) = rest.split_once('\n')?;
    let (_, rest) = rest.split_once("echo \"$hoist_h\"")?;
    let (second, _) = rest.split_once('"')?;
    Some(format!("{first}{second}"))
}

/// Returns the command's words: the one line that begins with `set --`.
fn argv(script: &str) -> Option<Vec<String>> {
    let line = script
        .lines()
        .find_map(|line| line.strip_prefix("set -- "))?;
    Some(plain_words(line))
}

/// Returns a line's words, out of the shell that Ansible and the parallel-ssh library put around
/// them.
fn plain_words(line: &str) -> Vec<String> {
    let line = line.trim();
    let inner = ["/bin/sh -c '", "$SHELL -c '"]
        .iter()
        .find_map(|shell| line.strip_prefix(shell)?.strip_suffix('\''));
    let words = inner.unwrap_or(line).split_ascii_whitespace();
    words.map(str::to_owned).collect()
}

fn executed(stderr: Vec<u8>, argv: &[String]) -> Answer {
    let (program, words) = match argv {
        [program, words @ ..] => (program.as_str(), words),
        [] => ("", argv),
    };
    let (stdout, meeting) = match (program, words) {
        ("echo", words) => (words.join(" ") + "\n", None),
        ("meet", [name, expected]) => match expected.parse() {
            Ok(expected) => {
                let name = name.clone();
                ("met\n".to_owned(), Some(Meeting { name, expected }))
            }
            Err(_) => return refused(stderr, "meet: not a count"),
        },
        _ => {
            return refused(
                stderr,
                "only `echo WORD...` and `meet NAME COUNT` are simulated",
            );
        }
    };
    Answer {
        stderr,
        stdout: stdout.into_bytes(),
        status: 0,
        meeting,
    }
}

fn refused(mut stderr: Vec<u8>, why: &str) -> Answer {
    stderr.extend_from_slice(format!("fleet: {why}\n").as_bytes());
    Answer {
        stderr,
        stdout: Vec::new(),
        status: 127,
        meeting: None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn said(line: &str) -> (String, String, u32) {
        let answer = answer(line.as_bytes());
        let text = |bytes| String::from_utf8(bytes).unwrap();
        (text(answer.stderr), text(answer.stdout), answer.status)
    }

    #[test]
    fn a_plain_line_is_executed() {
        assert_eq!(said("echo a b"), (String::new(), "a b\n".to_owned(), 0));
        assert_eq!(said("/bin/sh -c 'echo a'").1, "a\n");
        assert_eq!(said("$SHELL -c 'echo a'").1, "a\n");
        let meeting = answer(b"meet here 5").meeting.unwrap();
        assert_eq!((meeting.name.as_str(), meeting.expected), ("here", 5));
    }

    #[test]
    fn what_is_not_simulated_fails() {
        for line in [
            "",
            "true",
            "meet",
            "meet here",
            "meet here x",
            "exec sh -c 'x' sh 'y'",
        ] {
            let (stderr, stdout, status) = said(line);
            assert!(stderr.starts_with("fleet: "), "{line}: {stderr}");
            assert_eq!((stdout.as_str(), status), ("", 127), "{line}");
        }
    }

    /// The beginning and the end of what hoist sends, as its `quote::request` builds it.
    #[test]
    fn the_wrapper_tells_its_marker_first() {
        let line = r#"exec sh -c 'hoist_s=$(printf %b "$1") && eval "$hoist_s"' sh 'hoist_h=hoist-0123\0012hoist_m() { echo "$hoist_h"4567" $1" >&2; }\0012if x\0012then set -- "$1"\0012fi\0012set -- echo hello\0012exec "$@"'"#;
        let (stderr, stdout, status) = said(line);
        assert_eq!(stderr, "hoist-01234567 started 4711 leader\n");
        assert_eq!((stdout.as_str(), status), ("hello\n", 0));
    }
}
