//! The terminal: whether there is one, what it shows, what it is asked.

use std::io::IsTerminal;

use crate::args::When;
use crate::settings::{Environment, Origin};

mod notes;
mod progress;
pub(crate) mod prompt;

pub(crate) use notes::Notes;
pub(crate) use progress::Progress;

/// What hoist's outputs are connected to.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Terminal {
    pub is_stdout: bool,
    pub is_stderr: bool,
    /// Columns of the terminal on stdout.
    pub width: Option<u16>,
}

impl Terminal {
    /// Looks at stdout and stderr.
    pub(crate) fn detect() -> Self {
        let stdout = std::io::stdout();
        let size = rustix::termios::tcgetwinsize(&stdout).ok();
        Self {
            is_stdout: stdout.is_terminal(),
            is_stderr: std::io::stderr().is_terminal(),
            width: size.map(|size| size.ws_col).filter(|columns| *columns > 0),
        }
    }
}

/// Whether to use colour on an output that is or isn't a terminal.
///
/// Like any variable, `NO_COLOR` and `CLICOLOR_FORCE` stand above the configuration file and below
/// the arguments; `NO_COLOR` wins over the other.
pub(crate) fn has_color(
    when: When,
    origin: Origin,
    environment: &Environment,
    is_terminal: bool,
) -> bool {
    let is_open = origin < Origin::Environment;
    match when {
        _ if is_open && environment.refuses_color => false,
        _ if is_open && environment.forces_color => true,
        When::Always => true,
        When::Never => false,
        When::Auto => is_terminal && !environment.is_dumb,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn decide(when: When, origin: Origin, variables: &[(&str, &str)], is_terminal: bool) -> bool {
        let environment = Environment::from_variables(variables.iter().copied());
        has_color(when, origin, &environment, is_terminal)
    }

    #[test]
    fn colour_is_for_terminals_that_can_show_it() {
        use Origin::BuiltIn;
        assert!(decide(When::Auto, BuiltIn, &[], true));
        assert!(!decide(When::Auto, BuiltIn, &[], false));
        assert!(!decide(When::Auto, BuiltIn, &[("TERM", "dumb")], true));
    }

    #[test]
    fn the_variables_stand_between_the_file_and_the_arguments() {
        let (no, force) = (("NO_COLOR", "1"), ("CLICOLOR_FORCE", "1"));
        for (when, origin, variables, expected) in [
            (When::Auto, Origin::BuiltIn, &[no][..], false),
            (When::Auto, Origin::BuiltIn, &[force], true),
            (When::Auto, Origin::BuiltIn, &[no, force], false),
            (When::Always, Origin::File, &[no], false),
            (When::Never, Origin::File, &[force], true),
            (When::Always, Origin::Environment, &[no], true),
            (When::Always, Origin::Argument, &[no], true),
            (When::Never, Origin::Argument, &[force], false),
        ] {
            for is_terminal in [true, false] {
                let decided = decide(when, origin, variables, is_terminal);
                assert_eq!(decided, expected, "{when:?} {origin:?} {variables:?}");
            }
        }
    }
}
