//! End-to-end tests: the program against real files, real shells, real SSH servers.
//!
//! One file per subcommand or theme; [`support`] is what they stand on. A test that needs accounts,
//! name servers or a small disk begins with `in_namespace!`.

#![allow(
    clippy::unwrap_used,
    reason = "a test that can't go on stops where it is"
)]

mod support;

/// Who may use whom in the source.
mod architecture;
/// Logging in: keys, agent, passwords.
mod auth;
/// `hoist up`, `down` and `cloud` at an EC2 that others imitate.
mod aws;
/// Words around the work: version, help, manual pages, completions, usage errors.
mod cli;
/// What hoist asks of hosting APIs, judged by the vendors' own descriptions.
mod contract;
/// `examples/dashboard` in a real browser.
mod dashboard;
/// Commands against dropbear, which does some things unlike OpenSSH.
mod dropbear;
/// The number hoist ends with.
mod exit_codes;
/// `hoist explain` and `hoist hosts --resolve`.
mod explain;
/// Hosts that fail in every way, among hosts that don't.
mod failures;
/// Every fault a host can have, beside twenty good hosts.
mod faults;
/// `hoist up`, `hoist down`, `hoist cloud`.
mod fleets;
/// The gate that keeps an old libssh2 out of the build.
mod gate;
/// `hoist get`: files fetched, gone on with, and hosts that mean ill.
mod get;
/// The harness itself: its servers against the system's own `ssh`.
mod harness;
/// Whose key a host shows, and what is known about it.
mod host_keys;
/// `hoist hosts`: selections and patterns.
mod hosts;
/// Inventories of every kind, good and hostile.
mod inventories;
/// Hosts behind jump hosts and commands.
mod jumps;
/// Large outputs, little memory, few descriptors, many hosts.
mod limits;
/// Arguments and environment through every login shell.
mod login_shells;
/// Manual pages: all of them, as they are generated.
mod man;
/// What only OpenSSH's own client can do, and how that is told.
mod only_openssh;
/// The system's `ssh` as a transport: what is only its own.
mod openssh;
/// What `hoist run` prints and writes.
mod output;
/// `hoist ping`.
mod ping;
/// A proxy in front of hosts that the inventory lists.
mod proxy;
/// `hoist put`: files brought to hosts, checked, and what goes wrong.
mod put;
/// `hoist run` on this machine.
mod run;
/// `hoist script`.
mod script;
/// Keys that a piece of hardware holds.
mod security_keys;
/// Configuration file, variables, arguments.
mod settings;
/// Files of a host, through the library.
mod sftp;
/// Being asked to stop.
mod signals;
/// Commands over SSH against OpenSSH.
mod ssh;
/// The configuration of `ssh`, next to `ssh -G`.
mod ssh_config;
/// What settings of the configuration of `ssh` do to a run.
mod ssh_settings;
/// Commands with other rights than the login has.
mod sudo;
/// `hoist render` and `hoist run --template`.
mod templates;
/// What is different on a terminal.
mod terminal;
