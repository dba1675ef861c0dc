//! Words in, exact bytes out: splits a command line, shows one to people, and builds what an SSH
//! server is asked to execute.
//!
//! The account's login shell parses a request first, and it may be any shell: [`request`]
//! sends text that all of them read alike, decoded and executed by the host's `sh`. That wrapper
//! tells through a [`Marker`] on stderr which process the command is, or why it was not started;
//! [`MarkerFilter`] takes the marker out again. [`kill_request`] ends such a command from a second
//! channel. A script is brought along on stdin, into a folder of its own that goes when it has ended.
//! A command that needs other rights than the login's gets them in that wrapper, through
//! `sudo` or a program like it. Nothing here connects or starts anything.

mod check;
mod display;
mod elevate;
mod kill;
mod marker;
mod place;
mod wire;
mod words;
mod wrapper;

#[cfg(test)]
mod shells;
#[cfg(test)]
mod wrapper_tests;

pub use check::{QuoteError, check};
pub use display::display;
pub use kill::kill_request;
pub use marker::{Marker, MarkerFilter, NotBegun, NotSpawned, Started};
pub use wire::{MAX_COMMAND_LINE, Request, posix};
pub use words::{SplitError, UnquotedSyntax, split, unquoted_syntax};
pub use wrapper::request;
