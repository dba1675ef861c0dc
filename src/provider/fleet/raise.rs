//! Brings a fleet to a size: makes what is missing, waits until it runs.

use std::collections::BTreeSet;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering};

use sha2::{Digest as _, Sha256};

use super::super::ledger::{Entry, now};
use super::super::user_data::{self, HostKey};
use super::super::{Offer, Order, Prepared, ProviderError, Server, Spec, State, is_server_name};
use super::{Fleet, Step, each, settle};

/// Hex digits of the hash in an order's token: with `hoist-` it stays below EC2's 64 characters.
const TOKEN_DIGITS: usize = 40;

/// What a fleet is to be.
#[derive(Debug, Clone, Copy)]
pub struct Wanted<'a> {
    /// What each server is to be.
    pub spec: &'a Spec,
    /// What that came to.
    pub offer: &'a Offer,
    /// How many there are to be.
    pub count: usize,
    /// How they are called: `{fleet}-{n}`.
    pub pattern: &'a str,
    /// Names this run, so that no other uses its tokens.
    pub run: &'a str,
    /// What servers read when they first boot, besides what hoist has to say.
    pub user_data: Option<&'a [u8]>,
    /// Whether to wait until they run.
    pub waits: bool,
    /// Whether to destroy what this run made if not all could be made.
    pub is_all_or_nothing: bool,
}

/// One server of a fleet after it was raised.
#[derive(Debug, Clone)]
pub struct Made {
    /// What it is called.
    pub name: String,
    /// What is there; `None` where nothing is.
    pub server: Option<Server>,
    /// Whether this run made it.
    pub is_new: bool,
    /// Why it can't be used.
    pub error: Option<ProviderError>,
}

/// How raising ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ended {
    /// Every server runs, or was made where there was no waiting.
    Complete,
    /// Some could not be made, or don't run.
    Partial,
    /// Some could not be made, and what this run had made was destroyed.
    Undone,
    /// Stopped from outside.
    Stopped,
}

/// A fleet after it was raised.
#[derive(Debug, Clone)]
pub struct Raised {
    /// Every server, those that could not be made included, by number.
    pub servers: Vec<Made>,
    /// How it ended.
    pub ended: Ended,
}

/// Returns the names that are missing among `taken` until there are `count`, lowest numbers first.
///
/// # Errors
/// When the pattern gives names that can't be.
pub(super) fn missing(
    pattern: &str,
    fleet: &str,
    taken: &BTreeSet<&str>,
    count: usize,
) -> Result<Vec<String>, ProviderError> {
    if !pattern.contains("{n}") {
        return Err(ProviderError::Input {
            message: format!(
                "`{}` gives every server the same name; write {{n}} where its number goes",
                crate::host::escaped(pattern)
            ),
        });
    }
    let wanted = count.saturating_sub(taken.len());
    let name = |n: usize| {
        pattern
            .replace("{fleet}", fleet)
            .replace("{n}", &n.to_string())
    };
    let free = (1..)
        .map(name)
        .filter(|name| !taken.contains(name.as_str()));
    let names: Vec<String> = free.take(wanted).collect();
    match names.iter().find(|name| !is_server_name(name)) {
        None => Ok(names),
        Some(name) => Err(ProviderError::Input {
            message: format!(
                "`{}` can't be a server's name: lower-case letters, digits and single `-` between \
                 them, a letter first, 3 to 63 characters",
                crate::host::escaped(name)
            ),
        }),
    }
}

impl Fleet<'_> {
    /// Makes what is missing of the fleet, whose servers are now `there`, and waits until all run.
    ///
    /// Never fails as a whole once something was made: what became of each server is in the result.
    ///
    /// # Errors
    /// When nothing was made: the pattern is wrong, or what has to be there first can't be made.
    pub fn raise(&self, wanted: &Wanted<'_>, there: &[Server]) -> Result<Raised, ProviderError> {
        let taken = there.iter().map(|server| server.name.as_str()).collect();
        let fleet = self.name.as_str();
        let names = missing(wanted.pattern, fleet, &taken, wanted.count)?;
        let mut errors = Vec::new();
        if !names.is_empty() {
            let prepared = self.provider.prepare(wanted.spec, wanted.offer)?;
            errors = self.make_all(wanted, &prepared, &names);
        }
        let mut servers = self.wait(wanted, there, &names, &mut errors);
        servers.sort_by_key(|made| (made.name.len(), made.name.clone()));
        let mut raised = Raised {
            servers,
            ended: Ended::Complete,
        };
        raised.ended = self.ended(&raised);
        let was_short = raised.servers.iter().any(|made| made.server.is_none());
        if wanted.is_all_or_nothing && was_short {
            self.undo(&mut raised);
        }
        Ok(raised)
    }

    fn ended(&self, raised: &Raised) -> Ended {
        if self.stop.is_stopped() {
            Ended::Stopped
        } else if raised.servers.iter().any(|made| made.error.is_some()) {
            Ended::Partial
        } else {
            Ended::Complete
        }
    }

    /// Makes every server, a few at once, and returns those that could not be, with the reason.
    /// Stops asking after a refusal that the next request would meet as well.
    fn make_all(
        &self,
        wanted: &Wanted<'_>,
        prepared: &Prepared,
        names: &[String],
    ) -> Vec<(String, ProviderError)> {
        let errors = Mutex::new(Vec::new());
        let is_over = AtomicBool::new(false);
        let first: Mutex<Option<ProviderError>> = Mutex::new(None);
        each(names, |name| {
            let result = if self.stop.is_stopped() {
                Err(ProviderError::Stopped)
            } else if is_over.load(Ordering::SeqCst) {
                let first = locked(&first).clone();
                Err(first.unwrap_or(ProviderError::Stopped))
            } else {
                self.make(wanted, prepared, name)
            };
            if let Err(error) = result {
                if error.repeats() {
                    locked(&first).get_or_insert_with(|| error.clone());
                    is_over.store(true, Ordering::SeqCst);
                }
                let message = error.to_string();
                self.tell(name, &Step::Failed { message });
                locked(&errors).push((name.clone(), error));
            }
        });
        errors.into_inner().unwrap_or_default()
    }

    /// Makes one server: intent, call, result.
    fn make(
        &self,
        wanted: &Wanted<'_>,
        prepared: &Prepared,
        name: &str,
    ) -> Result<(), ProviderError> {
        let offer = wanted.offer;
        let host_key = offer.has_cloud_init.then(HostKey::generate).transpose()?;
        let limit = offer.user_data_limit;
        let user_data = match (&host_key, wanted.user_data) {
            (None, own) => own.unwrap_or_default().to_vec(),
            (Some(key), own) => user_data::combine(key, own, limit)?,
        };
        let token = token(wanted.run, name);
        self.write(Entry::Intent {
            at: now(),
            name: name.to_owned(),
            token: token.clone(),
            provider: self.provider.name().to_string(),
            region: offer.region.clone(),
            host_key: host_key.as_ref().map(|key| key.public().to_owned()),
            login_user: offer.login_user.clone(),
        })?;
        self.tell(name, &Step::Creating);
        let order = Order {
            spec: wanted.spec,
            offer,
            prepared,
            name,
            token: &token,
            user_data: &user_data,
        };
        let (at, name) = (now(), name.to_owned());
        match self.provider.create(&order) {
            Ok(server) => {
                let id = server.id.clone();
                self.write(Entry::Created {
                    at,
                    id: server.id,
                    name: name.clone(),
                })?;
                self.tell(&name, &Step::Created { id });
                Ok(())
            }
            // Whether there is a server is settled later.
            Err(error @ ProviderError::Lost { .. }) => {
                self.tell(
                    &name,
                    &Step::Failed {
                        message: error.to_string(),
                    },
                );
                Ok(())
            }
            Err(error) => {
                let message = error.to_string();
                self.write(Entry::Failed {
                    at,
                    name,
                    error: message,
                })?;
                Err(error)
            }
        }
    }

    /// Settles what is open, then waits until every server runs, and returns them all.
    fn wait(
        &self,
        wanted: &Wanted<'_>,
        there: &[Server],
        new: &[String],
        errors: &mut Vec<(String, ProviderError)>,
    ) -> Vec<Made> {
        let mut servers = there.to_vec();
        let mut told = BTreeSet::new();
        let mut look = |fleet: &Self| {
            servers = settle::list(fleet)?;
            Ok(fleet.are_settled(&servers, &mut told))
        };
        let is_open = self.with_ledger(|ledger| ledger.servers().any(|known| known.id.is_none()));
        let settled = if is_open && !self.stop.is_stopped() {
            settle::settle(self).map(|_| ())
        } else {
            Ok(())
        };
        let waited = settled.and_then(|()| {
            if wanted.waits {
                self.poll(self.pace.first_poll, self.pace.boot_timeout, || look(self))
            } else {
                look(self).map(|_| true)
            }
        });
        let names = there.iter().map(|server| server.name.clone());
        let names = names.chain(new.iter().cloned());
        let made = names.map(|name| {
            let server = servers.iter().find(|server| server.name == name).cloned();
            let error = errors.iter().find(|(failed, _)| *failed == name);
            let error = error.map(|(_, error)| error.clone());
            let is_new = new.contains(&name);
            let server = server.or_else(|| self.remembered(&name));
            let error = error.or_else(|| unusable(wanted, server.as_ref(), &waited, self));
            Made {
                name,
                server,
                is_new,
                error,
            }
        });
        made.collect()
    }

    /// Returns what the record knows of a server that the provider could not be asked about.
    fn remembered(&self, name: &str) -> Option<Server> {
        let known = self.recorded(name)?;
        let mut server = Server::new(self.provider.name(), known.id?, name);
        server.region = known.region;
        server.login_user = Some(known.login_user);
        server.fleet = Some(self.name.clone());
        Some(server)
    }

    /// Tells what changed, and whether there is nothing left to wait for.
    fn are_settled(&self, servers: &[Server], told: &mut BTreeSet<(String, String)>) -> bool {
        for server in servers {
            let is_usable = is_usable(server);
            let word = if is_usable {
                "running"
            } else {
                &server.raw_state
            };
            if !told.insert((server.name.clone(), word.to_owned())) {
                continue;
            }
            match server.address().filter(|_| is_usable) {
                Some(address) => self.tell(&server.name, &Step::Running { address }),
                None => {
                    let (state, raw) = (server.state, server.raw_state.clone());
                    self.tell(&server.name, &Step::State { state, raw });
                }
            }
        }
        let recorded = self.with_ledger(|ledger| {
            let known = ledger.servers().filter_map(|known| known.id.clone());
            known.collect::<Vec<_>>()
        });
        let is_listed = |id: &String| servers.iter().any(|server| server.id == *id);
        let is_done = |server: &Server| {
            is_usable(server) || matches!(server.state, State::Error | State::Stopped)
        };
        recorded.iter().all(is_listed) && servers.iter().all(is_done)
    }

    /// Destroys what this run made.
    fn undo(&self, raised: &mut Raised) {
        let new = raised.servers.iter().filter(|made| made.is_new);
        let new: Vec<Server> = new.filter_map(|made| made.server.clone()).collect();
        let razed = self.raze(&new);
        for made in raised.servers.iter_mut().filter(|made| made.is_new) {
            let is_gone = razed.gone.iter().any(|server| server.name == made.name);
            if is_gone {
                made.server = None;
                made.error.get_or_insert(ProviderError::Input {
                    message: "destroyed again, as not all could be made".to_owned(),
                });
            }
        }
        if raised.ended != Ended::Stopped {
            raised.ended = Ended::Undone;
        }
    }
}

/// Whether it runs and can be dialled.
fn is_usable(server: &Server) -> bool {
    server.state == State::Running && server.address().is_some()
}

/// Returns why a server can't be used.
fn unusable(
    wanted: &Wanted<'_>,
    server: Option<&Server>,
    waited: &Result<bool, ProviderError>,
    fleet: &Fleet<'_>,
) -> Option<ProviderError> {
    let local = |message: String| Some(ProviderError::Local { message });
    let Some(server) = server else {
        return match waited {
            Err(error) => Some(error.clone()),
            Ok(_) => local("no server of this name turned up".to_owned()),
        };
    };
    if is_usable(server) || (!wanted.waits && server.state == State::Pending) {
        return None;
    }
    if let Err(error) = waited {
        return Some(error.clone());
    }
    let raw = crate::host::escaped(&server.raw_state);
    match (&server.message, server.state) {
        (Some(message), State::Error) => local(crate::host::escaped(message)),
        (None, State::Error) => local(format!("the provider says `{raw}`")),
        (_, State::Stopped) => local(format!("it is switched off (`{raw}`)")),
        _ => local(format!(
            "it did not run within {:?} (`{raw}`)",
            fleet.pace.boot_timeout
        )),
    }
}

/// Returns what an order is called: the same for the same run and name.
fn token(run: &str, name: &str) -> String {
    use std::fmt::Write as _;
    let digest = Sha256::digest(format!("{run}\0{name}"));
    let mut token = String::from("hoist-");
    for byte in digest.iter().take(TOKEN_DIGITS / 2) {
        let _ = write!(token, "{byte:02x}");
    }
    token
}

fn locked<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex
        .lock()
        .unwrap_or_else(std::sync::PoisonError::into_inner)
}
