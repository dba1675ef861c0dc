//! hoist runs one command on many hosts at once, over SSH or on this machine, and collects what
//! each of them answered.
//!
//! This is the library behind the `hoist` program. It reads no environment, prints nothing and
//! never ends the process; the program adds the command line, settings and the terminal.
//!
//! # One host
//!
//! A [`Shell`](shell::Shell) runs commands on one host, here or there, through the same calls:
//!
//! ```
//! use hoist::shell::Shell;
//!
//! let output = Shell::local().run(["printf", "%s|", "it's", "exact"])?;
//! assert_eq!(output.stdout, b"it's|exact|");
//! # Ok::<(), hoist::shell::ShellError>(())
//! ```
//!
//! # Many hosts
//!
//! A [`Fleet`](fleet::Fleet) works many hosts at once and returns everybody's result, in order;
//! a host that fails is a result like any other. For output as it comes, listen to the
//! [events](event) of [`Fleet::work`](fleet::Fleet::work).
//!
//! # The way through
//!
//! ```text
//! inventory ─► selection ─► plan ─► engine ─events─► render · your listener ─► summary
//!                                     │
//!                                 transport ─► session ─► process
//! ```
//!
//! | module | holds |
//! |---|---|
//! | [`host`], [`remote`], [`outcome`] | the words: a host, a command, what became of it |
//! | [`hostset`] | patterns such as `web[01-20],!web07`, and folding back to them |
//! | [`inventory`], [`selection`] | hosts, groups and variables from files; which of them are meant |
//! | [`ssh_config`] | what the configuration of `ssh` says about a host |
//! | [`plan`] | everything decided before the first connection |
//! | [`engine`] | works a plan: limits, deadlines, retries, stopping |
//! | [`template`] | each host's own text, with the whole inventory in view |
//! | [`transport`] | SSH, this machine, and a scripted fake behind one trait |
//! | [`tree`], [`transfer`] | files of this machine, brought to hosts and fetched from them |
//! | `provider` | hosting APIs that make servers (feature `providers`) |
//! | [`secret`] | passwords, which nothing shows |
//! | [`quote`] | argument vectors that arrive exactly, whatever the login shell |
//! | [`event`] | dated facts, the contract between work and output |
//! | [`render`], [`spool`] | results as tables, lines, JSON, CSV; outputs in bounded memory |
//! | [`shell`], [`fleet`] | the two faces for programs |

pub mod engine;
pub mod event;
pub mod fleet;
pub mod host;
pub mod hostset;
pub mod inventory;
pub mod outcome;
pub mod plan;
#[cfg(feature = "providers")]
pub mod provider;
pub mod quote;
pub mod remote;
pub mod render;
pub mod secret;
pub mod selection;
pub mod shell;
pub mod spool;
pub mod ssh_config;
pub mod template;
pub mod transfer;
pub mod transport;
pub mod tree;
