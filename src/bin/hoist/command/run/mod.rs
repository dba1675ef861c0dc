//! `hoist run`: one command on every selected host, and what `hoist script` has in common with it.
//!
//! What was typed becomes a plan; everything that can be wrong is found, and everything that must
//! be asked is asked, before the first connection. Then the engine works the plan, the outputs are
//! told, and the summary becomes the exit code: see [`job`].

use std::ffi::OsString;
use std::io;

use hoist::host::escaped;
use hoist::plan::Plan;
use hoist::quote;
use hoist::remote::{Command, Exec};
use hoist::selection::Selected;
use hoist::template::Scene;

use super::selecting::{self, Chosen};
use super::templating;
use crate::args::{Bound, Executing, Limiting, Run, Selecting, Templating, Up};
use crate::exit_code;
use crate::report::{Failure, note};
use crate::settings::{Environment, Origins};
use crate::ui::Terminal;

mod again;
mod attended;
mod dry_run;
mod host_keys;
mod job;
mod outputs;
pub(super) mod rights;
pub(super) mod room;
mod signals;
mod stdin;
mod words;

pub(super) use attended::Attended;
pub(super) use job::{Job, Orders, limits};
pub(super) use signals::{ignored as ignored_signals, reason as stop_reason};

use words::Words;

/// Does the run and returns the exit code.
pub(crate) fn run(run: &Run, origins: &Origins, environment: &Environment) -> Result<u8, Failure> {
    let commands = Commands {
        job: Job {
            selecting: &run.selecting,
            rights: &run.rights,
            pacing: &run.pacing,
            connecting: &run.connecting,
            showing: &run.showing,
            grace: run.limiting.grace,
            is_sure: run.executing.yes,
            is_part: false,
            origins,
            environment,
            terminal: Terminal::detect(),
        },
        executing: &run.executing,
        templating: &run.templating,
        limiting: &run.limiting,
    };
    commands.check(None)?;
    // Without `=` it is a command, and not what was meant.
    if let (Some(Bound(Some(_))), [user, dashes, ..]) = (&run.rights.sudo, &run.command[..])
        && dashes == "--"
    {
        let user = escaped(&user.to_string_lossy());
        note(&format!(
            "hoist: `{user}` is what is executed; to execute as {user}, write --sudo={user}"
        ));
    }
    let task = Words::new(&run.command, &run.wording, origins, run.showing.quiet);
    commands.work(&task)
}

/// Finds what is wrong with the command that servers are to execute once they are made.
///
/// # Errors
/// When it can't be understood, or flags don't go together.
pub(super) fn check(up: &Up, origins: &Origins, environment: &Environment) -> Result<(), Failure> {
    let selecting = Selecting::default();
    let commands = Commands::of_up(up, &selecting, (origins, environment));
    commands.check(None)?;
    let task = Words::new(&up.command, &up.wording, origins, true);
    commands.exec(&task).map(drop)
}

/// Executes a command on servers that were just made, and returns the exit code.
pub(super) fn execute(
    up: &Up,
    selecting: &Selecting,
    chosen: Chosen,
    (origins, environment): (&Origins, &Environment),
) -> Result<u8, Failure> {
    let commands = Commands::of_up(up, selecting, (origins, environment));
    let task = Words::new(&up.command, &up.wording, origins, up.showing.quiet);
    let exec = commands.exec(&task)?;
    commands.work_on(&task, exec, chosen)
}

/// Reads what templates see.
pub(super) type Seen<'a> = &'a dyn Fn() -> Result<Scene, Failure>;

/// What hosts are to execute: what differs between `hoist run` and `hoist script`.
pub(super) trait Task {
    /// Returns what hosts execute, or how it is shown where it is a template.
    ///
    /// # Errors
    /// When it can't be understood or read.
    fn command(&self, is_template: bool) -> Result<Command, Failure>;

    /// Returns what each host executes, where it is a template.
    ///
    /// # Errors
    /// When it is no template, or can't be rendered for one of them.
    fn commands(&self, scene: Seen<'_>, hosts: &[Selected]) -> Result<Vec<Command>, Failure>;

    /// Returns the subcommand, and the words after its flags, as they would be typed again; nothing
    /// where that would not do the same.
    fn typed(&self) -> Option<(&'static str, &[OsString])>;
}

/// What hosts are asked to execute, but for the command.
pub(super) struct Commands<'a> {
    pub(super) job: Job<'a>,
    pub(super) executing: &'a Executing,
    pub(super) templating: &'a Templating,
    pub(super) limiting: &'a Limiting,
}

impl<'a> Commands<'a> {
    /// Returns what servers are to execute once they are made.
    fn of_up(
        up: &'a Up,
        selecting: &'a Selecting,
        (origins, environment): (&'a Origins, &'a Environment),
    ) -> Self {
        Self {
            job: Job {
                selecting,
                rights: &up.rights,
                pacing: &up.pacing,
                connecting: &up.connecting,
                showing: &up.showing,
                grace: up.limiting.grace,
                is_sure: true,
                is_part: true,
                origins,
                environment,
                terminal: Terminal::detect(),
            },
            executing: &up.executing,
            templating: &up.templating,
            limiting: &up.limiting,
        }
    }

    /// Refuses flags that don't go together; `other` reads stdin as well.
    pub(super) fn check(&self, other: Option<&str>) -> Result<(), Failure> {
        let wants_stdin = self.executing.stdin.as_deref();
        self.job.check(&[
            (other.unwrap_or_default(), other.is_some()),
            ("--stdin", wants_stdin.is_some_and(selecting::is_stdin)),
            ("--results", templating::reads_stdin(self.templating)),
        ])
    }

    /// Does it and returns the exit code.
    pub(super) fn work(&self, task: &dyn Task) -> Result<u8, Failure> {
        let exec = self.exec(task)?;
        let chosen = selecting::select(self.job.selecting, self.job.origins, self.job.environment)?;
        self.work_on(task, exec, chosen)
    }

    /// Does it on these hosts and returns the exit code.
    fn work_on(&self, task: &dyn Task, exec: Exec, chosen: Chosen) -> Result<u8, Failure> {
        let commands = self.commands(task, &exec, &chosen)?;
        let orders = Orders {
            exec: Some(exec),
            commands,
            transfer: None,
        };
        let prepared = self.job.plan(orders, chosen)?;
        check_length(&prepared.plan)?;
        if self.executing.dry_run {
            let printed = dry_run::print(&prepared.plan, &mut io::BufWriter::new(io::stdout()));
            return printed
                .map(|()| exit_code::OK)
                .map_err(|error| Failure::writing(&error));
        }
        self.job.work(prepared, task.typed())
    }

    /// Understands the command and opens what it reads.
    fn exec(&self, task: &dyn Task) -> Result<Exec, Failure> {
        let executing = self.executing;
        let command = task.command(executing.template)?;
        let variables = executing.env.iter();
        let exec = Exec {
            cwd: executing.cwd.clone(),
            env: variables
                .map(|set| (set.name.clone(), set.value.clone()))
                .collect(),
            elevation: rights::elevation(self.job.rights, self.job.origins)?,
            stdin: stdin::open(
                executing.stdin.as_deref(),
                self.job.environment.spool_folder(),
            )?,
            max_output: self.limiting.max_output.0,
            timeout: self.limiting.timeout.0,
            ..Exec::new(command)
        };
        quote::check(&exec).map_err(Failure::usage)?;
        Ok(exec)
    }

    /// Returns each host's own command, where there are templates.
    fn commands(
        &self,
        task: &dyn Task,
        exec: &Exec,
        chosen: &Chosen,
    ) -> Result<Vec<Command>, Failure> {
        if !self.executing.template {
            templating::refuse(self.job.origins)?;
            return Ok(Vec::new());
        }
        let scene = || templating::scene(self.templating, chosen.inventory.as_ref());
        let commands = task.commands(&scene, &chosen.hosts)?;
        let own = commands.into_iter().map(|command| {
            let checked = Exec {
                command,
                ..exec.clone()
            };
            quote::check(&checked).map_err(Failure::usage)?;
            Ok(checked.command)
        });
        own.collect()
    }
}

/// Refuses a command that is too long to be sent, before any host is contacted. Where all execute
/// the same, the host with the longest name gets the longest line.
fn check_length(plan: &Plan) -> Result<(), Failure> {
    let over_ssh = plan.hosts.iter().enumerate();
    let over_ssh = over_ssh.filter(|(_, host)| host.transport.is_remote());
    let indexes: Vec<usize> = if plan.commands.is_empty() {
        let longest = over_ssh.max_by_key(|(_, host)| host.name.as_str().len());
        longest.into_iter().map(|(index, _)| index).collect()
    } else {
        over_ssh.map(|(index, _)| index).collect()
    };
    let marker = quote::Marker::random();
    for exec in indexes.into_iter().filter_map(|index| plan.exec_for(index)) {
        quote::request(&exec, &marker).map_err(Failure::usage)?;
    }
    Ok(())
}
