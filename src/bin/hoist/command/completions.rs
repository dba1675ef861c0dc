//! `hoist completions`: a completion script on stdout.

use std::io;

use crate::args::Shell;
use crate::generate;
use crate::report::Failure;

/// Prints the script for `shell`.
pub(crate) fn run(shell: Shell) -> Result<(), Failure> {
    generate::completions(shell, &mut io::stdout()).map_err(|error| Failure::writing(&error))
}
