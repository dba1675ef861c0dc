//! End-to-end tests: the program against real files, real shells, real SSH servers.
//!
//! One file per subcommand or theme; [`support`] is what they stand on. A test that needs accounts,
//! name servers or a small disk begins with `in_namespace!`.

mod support;

/// Who may use whom in the source.
mod architecture;
/// The harness itself: its servers against the system's own `ssh`.
mod harness;
