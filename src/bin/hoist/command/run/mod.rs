//! `hoist run`: one command on every selected host.
//!
//! What was typed becomes a plan; everything that can be wrong is found, and everything that must
//! be asked is asked, before the first connection. Then the engine works the plan, the outputs are
//! told, and the summary becomes the exit code.

use std::io;
use std::path::Path;
use std::time::SystemTime;

use hoist::engine::{self, Ask, Cancel};
use hoist::event::RunId;
use hoist::host::{Route, TransportName, escaped};
use hoist::hostset::{HostSet, Login};
use hoist::outcome::Summary;
use hoist::plan::{Limits, Plan};
use hoist::quote;
use hoist::remote::{Command, Exec};
use hoist::render::Format;
use hoist::spool::Store;
use hoist::transport::{Transports, UnknownKey};

use super::reaching::{self, Reaching, Required};
use super::selecting::{self, Chosen};
use super::templating;
use crate::args::{Bound, Run};
use crate::exit_code;
use crate::report::{Failure, note};
use crate::settings::{Environment, Origin, Origins, Typed};
use crate::ui::Terminal;
use crate::ui::prompt::{self, Question};

mod again;
mod dry_run;
pub(super) mod host_keys;
mod outputs;
mod rights;
pub(super) mod room;
pub(super) mod signals;
mod stdin;
mod words;

use outputs::{Outputs, Surroundings};
use signals::Watch;
use words::Reading;

/// A run on a whole inventory larger than this is confirmed first, if somebody is there.
const UNCONFIRMED_HOSTS: usize = 100;

/// Threads of the program itself: signals, the writer of stdout, progress.
pub(super) const OWN_THREADS: usize = 3;

/// Handshakes in flight at first, for each core.
pub(super) const HANDSHAKES_PER_CORE: usize = 32;

/// More hosts at once than this get a smaller receive window each.
const WIDE_FAN_OUT: usize = 500;

/// The smaller window, in bytes.
const SMALL_WINDOW: u32 = 256 * 1024;

/// Does the run and returns the exit code.
pub(crate) fn run(run: &Run, origins: &Origins, environment: &Environment) -> Result<u8, Failure> {
    let job = Job {
        run,
        origins,
        environment,
        terminal: Terminal::detect(),
    };
    job.check()?;
    let exec = job.exec()?;
    let chosen = selecting::select(&run.selecting)?;
    let commands = job.commands(&exec, &chosen)?;
    let is_everything = job.is_everything(&chosen);
    let has_logins = chosen
        .hosts
        .iter()
        .any(|host| host.login != Login::default());
    let (plan, required) = job.plan(exec, commands, chosen)?;
    if run.executing.dry_run {
        let printed = dry_run::print(&plan, &mut io::BufWriter::new(io::stdout()));
        return printed
            .map(|()| exit_code::OK)
            .map_err(|error| Failure::writing(&error));
    }
    if is_everything && !job.is_confirmed(plan.hosts.len()) {
        return Err(Failure::usage("nothing was done").hint("select hosts with `-w`"));
    }
    job.execute(plan, &required, has_logins)
}

/// What one run is asked to be.
struct Job<'a> {
    run: &'a Run,
    origins: &'a Origins,
    environment: &'a Environment,
    terminal: Terminal,
}

impl Job<'_> {
    /// Refuses flags that don't go together.
    fn check(&self) -> Result<(), Failure> {
        let (executing, showing) = (&self.run.executing, &self.run.showing);
        let wants_stdin = executing.stdin.as_deref().is_some_and(selecting::is_stdin);
        templating::check_stdin(&[
            ("--inventory", selecting::reads_stdin(&self.run.selecting)),
            ("--stdin", wants_stdin),
            ("--results", templating::reads_stdin(&self.run.templating)),
        ])?;
        // Without `=` it is a command, and not what was meant.
        if let (Some(Bound(Some(_))), [user, dashes, ..]) = (&executing.sudo, &self.run.command[..])
            && dashes == "--"
        {
            let user = escaped(&user.to_string_lossy());
            note(&format!(
                "hoist: `{user}` is what is executed; to execute as {user}, write --sudo={user}"
            ));
        }
        if showing.events && showing.output != Some(Format::Jsonl) {
            return Err(Failure::usage("--events needs `-o jsonl`"));
        }
        Ok(())
    }

    /// Understands the command and opens what it reads.
    fn exec(&self) -> Result<Exec, Failure> {
        let executing = &self.run.executing;
        let understood = words::understand(&self.run.command, self.reading(), executing.template)?;
        if let Some(hint) = understood.hint.filter(|_| !self.run.showing.quiet) {
            note(&hint);
        }
        let variables = executing.env.iter();
        let exec = Exec {
            cwd: executing.cwd.clone(),
            env: variables
                .map(|set| (set.name.clone(), set.value.clone()))
                .collect(),
            elevation: rights::elevation(executing, self.origins)?,
            stdin: stdin::open(executing.stdin.as_deref(), self.folder())?,
            max_output: self.run.limiting.max_output.0,
            timeout: self.run.limiting.timeout.0,
            ..Exec::new(understood.command)
        };
        quote::check(&exec).map_err(Failure::usage)?;
        Ok(exec)
    }

    /// Returns each host's own command, where the words are templates.
    fn commands(&self, exec: &Exec, chosen: &Chosen) -> Result<Vec<Command>, Failure> {
        let templating = &self.run.templating;
        if !self.run.executing.template {
            let about_templates = |flag: &&Typed| ["var", "vars", "results"].contains(&&*flag.id);
            return match self.origins.typed().iter().find(about_templates) {
                Some(flag) => Err(Failure::usage(format!("--{} needs --template", flag.id))),
                None => Ok(Vec::new()),
            };
        }
        let templates = words::templates(&self.run.command, self.reading())?;
        let scene = templating::scene(templating, chosen.inventory.as_ref())?;
        let own = chosen.hosts.iter().map(|selected| {
            let command = templates.render(&scene, &selected.host)?;
            let checked = Exec {
                command,
                ..exec.clone()
            };
            quote::check(&checked).map_err(Failure::usage)?;
            Ok(checked.command)
        });
        own.collect()
    }

    /// Of two flags that exclude each other, the one set nearer to the person counts.
    fn reading(&self) -> Reading {
        let executing = &self.run.executing;
        let is_nearer = self.origins.of("shell") >= self.origins.of("no_split");
        match (executing.shell, executing.no_split) {
            (true, false) => Reading::Shell,
            (true, true) if is_nearer => Reading::Shell,
            (_, true) => Reading::Exact,
            (false, false) => Reading::Split,
        }
    }

    /// Returns where files that outgrow memory go.
    fn folder(&self) -> &Path {
        let chosen = self.environment.temporary.as_deref();
        // Not /tmp: there, large outputs often are memory again.
        chosen.unwrap_or(Path::new("/var/tmp"))
    }

    /// Decides everything that can be decided without contacting anybody, and says which keys must
    /// be there.
    fn plan(
        &self,
        exec: Exec,
        commands: Vec<Command>,
        chosen: Chosen,
    ) -> Result<(Plan, Required), Failure> {
        let (pacing, limiting) = (&self.run.pacing, &self.run.limiting);
        let (hosts, required) = self
            .reaching()
            .resolve(chosen.hosts, chosen.inventory.as_deref())?;
        let wanted = pacing.fan_out.get().min(hosts.len());
        let room = room::Room::find(wanted, &hosts);
        let is_asked = self.origins.of("fan_out") > Origin::BuiltIn;
        if let Some(reason) = room
            .lowered_by
            .filter(|reason| is_asked || reason.is_a_surprise())
        {
            note(&format!(
                "hoist: the fan-out is {}, not {wanted}: {reason}",
                room.fan_out
            ));
        }
        let cores = std::thread::available_parallelism().map_or(1, usize::from);
        let plan = Plan {
            run: RunId::new(SystemTime::now(), fastrand::u32(..)),
            hosts,
            exec: Some(exec),
            commands,
            transfer: None,
            limits: Limits {
                fan_out: room.fan_out,
                handshakes: HANDSHAKES_PER_CORE * cores,
                connect_rate: pacing.connect_rate.0,
                connect_timeout: pacing.connect_timeout,
                retries: pacing.retries,
                grace: limiting.grace,
            },
        };
        check_length(&plan)?;
        Ok((plan, required))
    }

    fn reaching(&self) -> Reaching<'_> {
        Reaching {
            connecting: &self.run.connecting,
            origins: self.origins,
            environment: self.environment,
            is_quiet: self.run.showing.quiet,
        }
    }

    /// Whether nothing narrows a whole large inventory.
    fn is_everything(&self, chosen: &Chosen) -> bool {
        let selecting = &self.run.selecting;
        chosen.hosts.len() > UNCONFIRMED_HOSTS
            && selecting.hosts.is_empty()
            && selecting.wheres.is_empty()
            && selecting.exclude.is_empty()
            && selecting.pick.is_none()
            && selecting.expect.is_none()
    }

    /// Asks whether all of these hosts are meant; yes where nobody can be asked.
    fn is_confirmed(&self, hosts: usize) -> bool {
        let is_asked = !self.run.executing.yes && self.is_person_there();
        !is_asked || Question::new().ask(&format!("Execute on all {hosts} hosts?"))
    }

    fn is_person_there(&self) -> bool {
        self.terminal.is_stderr && prompt::is_possible()
    }

    /// Works the plan and tells what became of it.
    ///
    /// With `has_logins` a pattern named users or ports, which names alone don't tell.
    fn execute(
        &self,
        mut plan: Plan,
        required: &Required,
        has_logins: bool,
    ) -> Result<u8, Failure> {
        engine::check_threads(&plan, OWN_THREADS + usize::from(has_jumps(&plan)))
            .map_err(Failure::own)?;
        let cancel = Cancel::new();
        let watch = Watch::start(&cancel).map_err(|error| unwatched(&error))?;
        let transports = self.transports(&mut plan, required)?;
        let plan = &plan;
        let store = Store::new(self.folder().to_owned());
        let around = Surroundings {
            origins: self.origins,
            environment: self.environment,
            terminal: self.terminal,
            store: &store,
            cancel: &cancel,
        };
        let mut outputs = Outputs::open(plan, &self.run.showing, &around)?;
        let notes = outputs.notes();
        let begun = watch.begin(notes.clone(), plan.limits.grace);
        begun.map_err(|error| unwatched(&error))?;

        let mut ask = |keys: &[UnknownKey]| host_keys::ask(keys, &watch, &notes);
        let ask: Option<Ask<'_>> = if self.is_person_there() {
            Some(&mut ask)
        } else {
            None
        };
        let listeners = &mut outputs.listeners();
        let worked = engine::run(plan, &transports, &cancel, listeners, ask);
        let signalled = watch.end();
        let again = |failed: &HostSet| {
            let command = &self.run.command;
            again::line(self.origins, command, failed).filter(|_| !has_logins)
        };
        let is_recorded = outputs.close(plan, &worked, again);
        let mut summary = worked.unwrap_or_else(|_| Summary::default());
        summary.stopped_by = signalled.or(summary.stopped_by);
        Ok(exit_code::of_run(
            &summary,
            is_recorded,
            self.run.showing.exit,
        ))
    }

    /// Reads what is needed to log in and to have other rights then, asking where that must be.
    fn transports(&self, plan: &mut Plan, required: &Required) -> Result<Transports, Failure> {
        let reaching = self.reaching();
        let mut ways = reaching.credentials(&plan.hosts, required)?;
        let login = ways.ssh.password.as_ref();
        rights::give_password(plan, &self.run.executing, self.origins, login)?;
        if plan.limits.fan_out > WIDE_FAN_OUT {
            ways.ssh.window = SMALL_WINDOW;
        }
        reaching::transports(ways, plan)
    }
}

/// Whether some host is behind a jump host that hoist itself goes through: those have a thread of
/// their own.
pub(super) fn has_jumps(plan: &Plan) -> bool {
    let mut hosts = plan.hosts.iter();
    hosts.any(|host| {
        host.transport == TransportName::Ssh && matches!(host.ssh.route, Route::Jump(_))
    })
}

pub(super) fn unwatched(error: &io::Error) -> Failure {
    Failure::own(format!("cannot watch for signals: {error}"))
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
