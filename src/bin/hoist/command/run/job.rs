//! What all work on hosts has in common: from the hosts that were chosen to the exit code.

use std::ffi::OsString;
use std::time::{Duration, SystemTime};

use hoist::event::RunId;
use hoist::hostset::{HostSet, Login};
use hoist::outcome::Summary;
use hoist::plan::{Limits, Plan, Transfer};
use hoist::remote::{Command, Exec};
use hoist::render::Format;
use hoist::spool::Store;
use hoist::transport::Transports;

use super::attended::Attended;
use super::outputs::{Outputs, Surroundings};
use super::{again, attended, rights, room};
use crate::args::{Connecting, Pacing, Rights, Selecting, Showing};
use crate::command::reaching::{self, Reaching, Required};
use crate::command::selecting::{self, Chosen};
use crate::command::templating;
use crate::exit_code;
use crate::report::{Failure, note};
use crate::settings::{Environment, Origin, Origins};
use crate::ui::Terminal;
use crate::ui::prompt::Question;

/// Work on a whole inventory larger than this is confirmed first, if somebody is there.
const UNCONFIRMED_HOSTS: usize = 100;

/// Handshakes in flight at first, for each core.
const HANDSHAKES_PER_CORE: usize = 32;

/// More hosts at once than this get a smaller receive window each.
const WIDE_FAN_OUT: usize = 500;

/// Files of one host that are written at once, and the folders they are in.
const FILES_FETCHED: u64 = 40;

/// The smaller window, in bytes.
const SMALL_WINDOW: u32 = 256 * 1024;

/// How hosts are chosen, reached and told of.
pub(in crate::command) struct Job<'a> {
    pub(in crate::command) selecting: &'a Selecting,
    pub(in crate::command) rights: &'a Rights,
    pub(in crate::command) pacing: &'a Pacing,
    pub(in crate::command) connecting: &'a Connecting,
    pub(in crate::command) showing: &'a Showing,
    /// How long commands may go on after a stop is asked for.
    pub(in crate::command) grace: Duration,
    /// Nobody is to be asked whether all of it is meant.
    pub(in crate::command) is_sure: bool,
    /// More is to be done after it, and signals are heeded by whoever does that.
    pub(in crate::command) is_part: bool,
    pub(in crate::command) origins: &'a Origins,
    pub(in crate::command) environment: &'a Environment,
    pub(in crate::command) terminal: Terminal,
}

/// What is done on hosts.
pub(in crate::command) struct Orders {
    pub(in crate::command) exec: Option<Exec>,
    pub(in crate::command) commands: Vec<Command>,
    pub(in crate::command) transfer: Option<Transfer>,
}

/// A plan, and what has to be known before it is worked.
pub(in crate::command) struct Prepared {
    pub(in crate::command) plan: Plan,
    required: Required,
    /// Nothing narrows a whole large inventory.
    is_everything: bool,
    /// A pattern named users or ports, which names alone don't tell.
    has_logins: bool,
}

impl Job<'_> {
    /// Refuses flags that don't go together, such as two that read stdin.
    pub(in crate::command) fn check(&self, readers: &[(&str, bool)]) -> Result<(), Failure> {
        let inventory = ("--inventory", selecting::reads_stdin(self.selecting));
        let readers: Vec<_> = std::iter::once(&inventory)
            .chain(readers)
            .copied()
            .collect();
        templating::check_stdin(&readers)?;
        if self.showing.events && self.showing.output != Some(Format::Jsonl) {
            return Err(Failure::usage("--events needs `-o jsonl`"));
        }
        Ok(())
    }

    /// Decides everything that can be decided without contacting anybody.
    pub(in crate::command) fn plan(
        &self,
        orders: Orders,
        chosen: Chosen,
    ) -> Result<Prepared, Failure> {
        let pacing = self.pacing;
        let is_everything = self.is_everything(&chosen);
        let mut logins = chosen.hosts.iter().map(|host| &host.login);
        let has_logins = logins.any(|login| *login != Login::default());
        let (hosts, required) = self
            .reaching()
            .resolve(chosen.hosts, chosen.inventory.as_deref())?;
        let wanted = pacing.fan_out.get().min(hosts.len());
        let own = match &orders.transfer {
            Some(Transfer::Get(_)) => FILES_FETCHED,
            _ => 0,
        };
        let room = room::Room::find(wanted, &hosts, own);
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
        let plan = Plan {
            run: RunId::new(SystemTime::now(), fastrand::u32(..)),
            hosts,
            exec: orders.exec,
            commands: orders.commands,
            transfer: orders.transfer,
            limits: limits(pacing, room.fan_out, self.grace),
        };
        Ok(Prepared {
            plan,
            required,
            is_everything,
            has_logins,
        })
    }

    fn reaching(&self) -> Reaching<'_> {
        Reaching {
            connecting: self.connecting,
            origins: self.origins,
            environment: self.environment,
            is_quiet: self.showing.quiet,
        }
    }

    /// Whether nothing narrows a whole large inventory.
    fn is_everything(&self, chosen: &Chosen) -> bool {
        let selecting = self.selecting;
        chosen.hosts.len() > UNCONFIRMED_HOSTS
            && selecting.hosts.is_empty()
            && selecting.wheres.is_empty()
            && selecting.exclude.is_empty()
            && selecting.pick.is_none()
            && selecting.expect.is_none()
    }

    /// Asks whether all of these hosts are meant; yes where nobody can be asked.
    fn is_confirmed(&self, question: &str, hosts: usize) -> bool {
        let is_asked = !self.is_sure && attended::is_person_there(self.terminal);
        !is_asked || Question::new().ask(&format!("{question} all {hosts} hosts?"))
    }

    /// Works the plan, tells what became of it, and returns the exit code.
    ///
    /// `typed` is the subcommand with the words after its flags, as they would be typed again for
    /// hosts that failed.
    pub(in crate::command) fn work(
        &self,
        prepared: Prepared,
        typed: Option<(&'static str, &[OsString])>,
    ) -> Result<u8, Failure> {
        let Prepared {
            mut plan, required, ..
        } = prepared;
        let question = match &plan.transfer {
            Some(_) => "Change files on",
            None => "Execute on",
        };
        if prepared.is_everything && !self.is_confirmed(question, plan.hosts.len()) {
            return Err(Failure::usage("nothing was done").hint("select hosts with `-w`"));
        }
        // What was typed for more than this would do more than this again.
        let typed = typed.filter(|_| !prepared.has_logins && !self.is_part);
        let mut attended = Attended::start(&plan, self.terminal)?;
        if self.is_part {
            attended = attended.into_part();
        }
        let transports = self.transports(&mut plan, &required)?;
        let plan = &plan;
        let store = Store::new(self.environment.spool_folder().to_owned());
        let around = Surroundings {
            origins: self.origins,
            environment: self.environment,
            terminal: self.terminal,
            store: &store,
            cancel: &attended.cancel,
        };
        let mut outputs = Outputs::open(plan, self.showing, &around)?;
        let notes = outputs.notes();
        let listeners = &mut outputs.listeners();
        let worked = attended.work(plan, &transports, &notes, listeners)?;
        let again = |failed: &HostSet| again::line(self.origins, typed?, failed);
        let is_recorded = outputs.close(plan, &worked.summary, again);
        let mut summary = worked.summary.unwrap_or_else(|_| Summary::default());
        summary.stopped_by = worked.signalled.or(summary.stopped_by);
        Ok(exit_code::of_run(&summary, is_recorded, self.showing.exit))
    }

    /// Reads what is needed to log in and to have other rights then, asking where that must be.
    fn transports(&self, plan: &mut Plan, required: &Required) -> Result<Transports, Failure> {
        let reaching = self.reaching();
        let mut ways = reaching.credentials(&plan.hosts, required)?;
        let login = ways.ssh.password.as_ref();
        rights::give_password(plan, self.rights, self.origins, login)?;
        if plan.limits.fan_out > WIDE_FAN_OUT {
            ways.ssh.window = SMALL_WINDOW;
        }
        reaching::transports(ways, plan)
    }
}

/// Returns how hard to go, so many hosts at once.
pub(in crate::command) fn limits(pacing: &Pacing, fan_out: usize, grace: Duration) -> Limits {
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    Limits {
        fan_out,
        handshakes: HANDSHAKES_PER_CORE * cores,
        connect_rate: pacing.connect_rate.0,
        connect_timeout: pacing.connect_timeout,
        retries: pacing.retries,
        grace,
    }
}
