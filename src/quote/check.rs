//! What no transport can execute is refused here, alike for all of them.

use std::os::unix::ffi::OsStrExt;

use thiserror::Error;

use crate::host::escaped;
use crate::remote::{Command, Elevation, Exec};

/// Why a command can't be sent to any host.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum QuoteError {
    /// No program is named.
    #[error("the command is empty; name a program")]
    Empty,
    /// No program is named that gives other rights.
    #[error("what is to give the command other rights is empty; name a program, such as `doas`")]
    EmptyElevation,
    /// A working directory without a name.
    #[error("the working directory is empty; name one, or leave it out")]
    EmptyDirectory,
    /// Neither arguments nor variables can hold a NUL.
    #[error("{what} holds a NUL byte, which no program can be given; send it through --stdin")]
    Nul {
        /// Where it is: `argument 2`, `variable NAME`.
        what: String,
    },
    /// The name of a variable is not one.
    #[error(
        "`{name}` can't name an environment variable; \
         use letters, digits and `_`, not starting with a digit"
    )]
    VariableName {
        /// The name, escaped for display.
        name: String,
    },
    /// More than a host takes as one argument.
    #[error(
        "the command is {length} bytes long once it is quoted, and at most {limit} can be sent; \
         send long data through --stdin"
    )]
    TooLong {
        /// Length of the line in bytes.
        length: usize,
        /// The most, in bytes.
        limit: usize,
    },
}

/// Checks that `exec` names a program and holds nothing that a process can't be given.
///
/// # Errors
/// When it does; the length is only known once it is quoted, and not checked.
pub fn check(exec: &Exec) -> Result<(), QuoteError> {
    match &exec.command {
        Command::Argv(argv) if argv.is_empty() => return Err(QuoteError::Empty),
        Command::Argv(argv) => {
            for (index, word) in argv.iter().enumerate() {
                without_nul(word.as_bytes(), || match index {
                    0 => "the program's name".to_owned(),
                    index => format!("argument {index}"),
                })?;
            }
        }
        Command::Shell(line) => without_nul(line.as_bytes(), || "the command line".to_owned())?,
        Command::Script(script) => {
            for word in script.interpreter() {
                without_nul(word.as_bytes(), || "the interpreter".to_owned())?;
            }
            for (index, word) in script.arguments().iter().enumerate() {
                without_nul(word.as_bytes(), || format!("argument {}", index + 1))?;
            }
        }
    }
    if let Some(cwd) = &exec.cwd {
        if cwd.as_os_str().is_empty() {
            return Err(QuoteError::EmptyDirectory);
        }
        without_nul(cwd.as_os_str().as_bytes(), || {
            "the working directory".to_owned()
        })?;
    }
    if let Some(Elevation::With(words)) = &exec.elevation {
        if words.is_empty() {
            return Err(QuoteError::EmptyElevation);
        }
        for word in words {
            without_nul(word.as_bytes(), || {
                "what gives the command other rights".to_owned()
            })?;
        }
    }
    for (name, value) in &exec.env {
        check_name(name)?;
        without_nul(value.as_bytes(), || format!("variable {name}"))?;
    }
    Ok(())
}

fn without_nul(bytes: &[u8], what: impl FnOnce() -> String) -> Result<(), QuoteError> {
    if bytes.contains(&0) {
        return Err(QuoteError::Nul { what: what() });
    }
    Ok(())
}

/// POSIX XBD §3.235: what a shell can assign to.
fn check_name(name: &str) -> Result<(), QuoteError> {
    let is_word = |b: u8| b.is_ascii_alphanumeric() || b == b'_';
    let first = name.bytes().next();
    if first.is_some_and(|b| !b.is_ascii_digit()) && name.bytes().all(is_word) {
        return Ok(());
    }
    Err(QuoteError::VariableName {
        name: escaped(name),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn argv(words: &[&str]) -> Exec {
        Exec::new(Command::Argv(words.iter().map(Into::into).collect()))
    }

    #[test]
    fn an_ordinary_command_is_accepted() {
        let mut exec = argv(&["", "-x", "\n"]);
        exec.env = vec![("_a1".into(), "".into())];
        exec.cwd = Some("/".into());
        assert_eq!(check(&exec), Ok(()));
    }

    #[test]
    fn what_no_process_can_be_given_is_refused() {
        assert_eq!(check(&argv(&[])), Err(QuoteError::Empty));
        let error = |exec: &Exec| check(exec).unwrap_err().to_string();
        insta::assert_snapshot!(error(&argv(&["a", "b\0"])), @"argument 1 holds a NUL byte, which no program can be given; send it through --stdin");
        insta::assert_snapshot!(error(&argv(&["a\0"])), @"the program's name holds a NUL byte, which no program can be given; send it through --stdin");
        let mut exec = argv(&["a"]);
        exec.cwd = Some("".into());
        assert_eq!(check(&exec), Err(QuoteError::EmptyDirectory));
        exec.cwd = None;
        exec.env = vec![("A".into(), "\0".into())];
        insta::assert_snapshot!(error(&exec), @"variable A holds a NUL byte, which no program can be given; send it through --stdin");
        for name in ["", "1a", "a-b", "a=b", "é", "a\n", "a b"] {
            exec.env = vec![(name.into(), "".into())];
            assert!(matches!(check(&exec), Err(QuoteError::VariableName { .. })));
        }
        insta::assert_snapshot!(error(&exec), @"`a b` can't name an environment variable; use letters, digits and `_`, not starting with a digit");
    }
}
