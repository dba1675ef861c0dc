//! After servers were made: waits until they can be used, records and shows them, does what was
//! asked for with them, and says what may still cost money.

use hoist::engine::Cancel;
use hoist::hostset::Login;
use hoist::provider::fleet::{Ended, Fleet, Raised, Wanted};
use hoist::provider::{ProviderError, Server, State};
use hoist::render::Format;
use hoist::selection::Selected;

use super::Raise;
use crate::args::TellFormat;
use crate::command::fleets::account::{self, Opened};
use crate::command::fleets::book::Book;
use crate::command::fleets::follow::Following;
use crate::command::fleets::key::LoginKey;
use crate::command::fleets::rows::{self, Row};
use crate::command::fleets::told::Teller;
use crate::command::fleets::usable::{self, Logins};
use crate::command::fleets::watch::Watch;
use crate::command::fleets::{costs, leftovers, server, vanished};
use crate::command::reaching::Reaching;
use crate::command::run;
use crate::command::selecting::Chosen;
use crate::exit_code;
use crate::report::{Failure, note};

/// A fleet after it was raised.
pub(super) struct Finished<'a> {
    raise: &'a Raise<'a>,
    fleet: &'a Fleet<'a>,
    teller: &'a Teller,
    watch: &'a Watch,
    raised: Raised,
    /// Why each server that can't be used can't, beyond what raising told.
    unusable: Vec<(String, String)>,
    /// Names and host keys of those that can.
    usable: Vec<(String, String)>,
    /// What waiting for them failed with.
    code: u8,
}

impl<'a> Finished<'a> {
    pub(super) fn new(
        raise: &'a Raise<'a>,
        fleet: &'a Fleet<'a>,
        teller: &'a Teller,
        watch: &'a Watch,
        raised: Raised,
    ) -> Self {
        for made in &raised.servers {
            if let Some(error) = &made.error {
                teller.failed(&made.name, &error.to_string());
            }
        }
        Self {
            raise,
            fleet,
            teller,
            watch,
            raised,
            unusable: Vec::new(),
            usable: Vec::new(),
            code: exit_code::OK,
        }
    }

    /// Takes note of a failure that leaves the rest to be done: servers are there.
    pub(super) fn fail(&mut self, failure: &Failure) {
        failure.print();
        self.code = worse(self.code, failure.code);
    }

    /// Waits until the servers that run can be used.
    pub(super) fn wait(
        &mut self,
        opened: &Opened,
        cancel: &Cancel,
        key: &LoginKey,
    ) -> Result<(), Failure> {
        let up = self.raise.up;
        let running: Vec<Server> = self.running().cloned().collect();
        if running.is_empty() || opened.stop.is_stopped() {
            return Ok(());
        }
        let logins = Logins {
            reaching: Reaching {
                connecting: &up.connecting,
                origins: self.raise.origins,
                environment: self.raise.environment,
                is_quiet: true,
            },
            pacing: &up.pacing,
            fleet: self.fleet,
            teller: self.teller,
            pace: &opened.pace,
            stop: &opened.stop,
            cancel,
            identity: key.identity.clone(),
            timeout: opened.pace.login_timeout,
        };
        for one in logins.wait(&running)? {
            match one.host_key {
                Ok(key) => {
                    let row = running.iter().find(|server| server.name == one.name);
                    let row = row.map(|server| self.row(server, None)).unwrap_or_default();
                    self.teller.ready(&one.name, &row);
                    self.usable.push((one.name, key));
                }
                Err(message) => {
                    self.teller.failed(&one.name, &message);
                    self.unusable.push((one.name, message));
                }
            }
        }
        Ok(())
    }

    fn running(&self) -> impl Iterator<Item = &Server> {
        let made = self.raised.servers.iter();
        made.filter(|made| made.error.is_none())
            .filter_map(|made| made.server.as_ref())
            .filter(|server| server.state == State::Running)
    }

    fn row(&self, server: &Server, message: Option<&str>) -> Row {
        server::row(server, Some(&self.raise.fleet), message)
    }

    /// Does what is left, and returns the exit code.
    pub(super) fn settle(
        mut self,
        wanted: &Wanted<'_>,
        opened: &Opened,
        key: &LoginKey,
        book: Option<&mut Book>,
    ) -> u8 {
        let up = self.raise.up;
        let mut code = self.own_code();
        let done = self.proceed(opened, key, book);
        code = match done {
            Ok(then) => worse(code, then),
            Err(failure) => {
                failure.print();
                worse(code, failure.code)
            }
        };
        if up.raising.rm {
            code = worse(code, self.destroy(wanted));
        } else if code != exit_code::OK {
            self.tell_costs();
        }
        let signalled = self.watch.reason().map(exit_code::of_signal);
        signalled.unwrap_or(code)
    }

    /// Writes the inventory, has what follows follow, executes the command, shows the servers.
    fn proceed(
        &mut self,
        opened: &Opened,
        key: &LoginKey,
        book: Option<&mut Book>,
    ) -> Result<u8, Failure> {
        let up = self.raise.up;
        let mut code = exit_code::OK;
        if let Some(book) = book {
            let group = up.raising.group.as_deref();
            let group = group.unwrap_or(self.raise.fleet.as_str());
            let keys = |name: &str| self.fleet.recorded(name).and_then(|known| known.host_key);
            let added = self.known().map(|server| {
                let usable = self.usable.iter().find(|(name, _)| *name == server.name);
                let host_key = usable
                    .map(|(_, key)| key.clone())
                    .or_else(|| keys(&server.name));
                (server, host_key.filter(|key| !key.is_empty()))
            });
            let added: Vec<_> = added.collect();
            let gone = vanished(self.fleet, self.teller.provider);
            book.remove(&gone.iter().collect::<Vec<_>>())?;
            book.put(&added, group, key.identity.as_deref())?;
        }
        if opened.stop.is_stopped() || self.watch.reason().is_some() {
            self.show()?;
            return Ok(code);
        }
        if let Some(inventory) = self.raise.inventory()
            && self.raise.waits()
        {
            self.watch.lend();
            let following = Following {
                fleet: &self.raise.fleet,
                inventory,
                format: up.showing.output,
                has_events: up.showing.events,
                is_sure: up.executing.yes,
            };
            code = following.bring(self.raise.origins, self.raise.environment);
        }
        if self.watch.reason().is_some() {
            self.show()?;
            return Ok(code);
        }
        if up.command.is_empty() {
            self.show()?;
        } else if self.usable.is_empty() {
            note("hoist: no server can be used, so nothing was executed");
        } else {
            self.watch.lend();
            code = worse(code, self.execute(key)?);
        }
        Ok(code)
    }

    /// Returns the servers that belong into the inventory: those that can be used, or, where there
    /// was no waiting, those that have an address.
    fn known(&self) -> impl Iterator<Item = &Server> {
        let waits = self.raise.waits();
        let servers = self.raised.servers.iter();
        let servers = servers.filter_map(|made| made.server.as_ref());
        servers.filter(move |server| {
            let is_usable = self.usable.iter().any(|(name, _)| *name == server.name);
            is_usable || (!waits && server.address().is_some())
        })
    }

    /// Executes the command on all servers that can be used.
    fn execute(&self, key: &LoginKey) -> Result<u8, Failure> {
        let up = self.raise.up;
        let names: Vec<&str> = self.usable.iter().map(|(name, _)| name.as_str()).collect();
        let selecting = crate::args::Selecting {
            inventory: self.raise.inventory().map(Into::into).into_iter().collect(),
            hosts: names.iter().map(|name| (*name).to_owned()).collect(),
            ..Default::default()
        };
        let chosen = if self.raise.inventory().is_none() {
            let hosts = self.usable.iter().filter_map(|(name, host_key)| {
                let server = self.running().find(|server| server.name == *name)?;
                let host_key = Some(host_key.as_str()).filter(|key| !key.is_empty());
                let host = usable::host(server, host_key, key.identity.as_deref())?;
                Some(Selected {
                    host,
                    login: Login::default(),
                })
            });
            Chosen {
                inventory: None,
                hosts: hosts.collect(),
            }
        } else {
            crate::command::selecting::select(
                &selecting,
                self.raise.origins,
                self.raise.environment,
            )?
        };
        run::execute(
            up,
            &selecting,
            chosen,
            (self.raise.origins, self.raise.environment),
        )
    }

    /// Prints the servers.
    fn show(&self) -> Result<(), Failure> {
        let format = match self.raise.up.showing.output {
            // Its events have told everything.
            Some(Format::Jsonl) if self.raise.up.showing.events => return Ok(()),
            Some(Format::None) => return Ok(()),
            Some(Format::Json) => TellFormat::Json,
            Some(Format::Jsonl) => TellFormat::Jsonl,
            Some(Format::Csv) => TellFormat::Csv,
            _ => TellFormat::Table,
        };
        let rows: Vec<Row> = self
            .raised
            .servers
            .iter()
            .filter_map(|made| {
                let message = made.error.as_ref().map(ToString::to_string);
                let unusable = self.unusable.iter().find(|(name, _)| *name == made.name);
                let message = message.or_else(|| unusable.map(|(_, message)| message.clone()));
                let unmade = || Server {
                    state: State::Error,
                    ..Server::new(self.teller.provider, "", &*made.name)
                };
                let is_told = message.is_some();
                let server = made.server.clone();
                let server = server.or_else(|| is_told.then(unmade))?;
                Some(self.row(&server, message.as_deref()))
            })
            .collect();
        if rows.is_empty() && format == TellFormat::Table {
            return Ok(());
        }
        rows::print(&rows, server::HEADS, format)
    }

    /// Destroys what this run made, whatever became of it. Returns the code of that alone.
    fn destroy(&mut self, wanted: &Wanted<'_>) -> u8 {
        self.watch.destroying();
        let razed = self.fleet.unmake(wanted, &mut self.raised);
        let mut costly = leftovers(&razed);
        let open = self.raised.servers.iter().filter(|made| made.is_open);
        costly.extend(open.map(|made| (made.name.as_str(), None)));
        if costly.is_empty() {
            return exit_code::OK;
        }
        let provider = self.teller.provider;
        note(&costs(&self.raise.fleet, provider, &costly, None));
        exit_code::NOT_REACHED
    }

    /// Says what may cost money although not all went well.
    fn tell_costs(&self) {
        let costly: Vec<_> = self.raised.costly().collect();
        if !costly.is_empty() {
            note(&costs(
                &self.raise.fleet,
                self.teller.provider,
                &costly,
                self.raise.inventory(),
            ));
        }
    }

    /// Returns the code that making and waiting deserve.
    fn own_code(&self) -> u8 {
        let failed = self.raised.servers.iter().filter_map(|made| {
            let error = made.error.as_ref()?;
            // It is there, and can't be used.
            let is_there = made.server.is_some() && *error != ProviderError::Stopped;
            Some(if is_there {
                exit_code::NOT_REACHED
            } else {
                account::failure(error).code
            })
        });
        let mut code = failed.fold(self.code, worse);
        if !self.unusable.is_empty() {
            code = worse(code, exit_code::NOT_REACHED);
        }
        if self.raised.ended == Ended::Stopped {
            code = worse(code, exit_code::INTERRUPTED);
        }
        code
    }
}

/// Returns the code that goes before the other: a signal, then 4, 5, 3, 2, 1.
fn worse(a: u8, b: u8) -> u8 {
    let rank = |code: u8| match code {
        exit_code::OK => 0,
        exit_code::COMMAND_FAILED => 1,
        exit_code::USAGE => 2,
        exit_code::NOT_REACHED => 3,
        exit_code::STOPPED_EARLY => 4,
        exit_code::OWN_FAILURE => 5,
        signal if exit_code::is_of_signal(signal) => 6,
        // The largest status of a command, where that was asked for.
        _ => 1,
    };
    if rank(b) > rank(a) { b } else { a }
}
