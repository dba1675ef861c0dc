//! Takes servers away, and makes sure that they are gone.

use std::sync::Mutex;
use std::time::{Duration, Instant};

use super::super::ledger::{Entry, now};
use super::super::{Destroyed, ProviderError, RefusalKind, Server, State};
use super::{Fleet, Reach, Step, each, locked, settle};

/// From one try to the next while the provider says that a server is locked.
const LOCKED_POLL: Duration = Duration::from_secs(10);

/// What became of servers that were to go.
#[derive(Debug, Clone, Default)]
pub struct Razed {
    /// They are gone.
    pub gone: Vec<Server>,
    /// They are still there, as far as known, and may cost money; with the reason.
    pub left: Vec<(Server, ProviderError)>,
}

impl Fleet<'_> {
    /// Destroys `servers` and waits until they are gone. Each is destroyed by its id, and only if it
    /// has the fleet's tag or is in its record.
    ///
    /// Once stopped, this works through what [`Fleet::with_cleanup`] was given; without that,
    /// nothing is destroyed.
    pub fn raze(&self, servers: &[Server]) -> Razed {
        self.raze_through(self.open_reach(), servers)
    }

    pub(super) fn raze_through(&self, reach: &Reach, servers: &[Server]) -> Razed {
        let outcomes: Mutex<Vec<(Server, Result<Destroyed, ProviderError>)>> = Mutex::default();
        each(servers, |server| {
            let outcome = self.destroy(reach, server);
            locked(&outcomes).push((server.clone(), outcome));
        });
        let mut razed = Razed::default();
        let mut going = Vec::new();
        for (server, outcome) in std::mem::take(&mut *locked(&outcomes)) {
            match outcome {
                Ok(Destroyed::Gone) => self.gone(server, &mut razed),
                Ok(Destroyed::Accepted) => going.push(server),
                Err(error) => razed.left.push((server, error)),
            }
        }
        self.wait_until_gone(reach, going, &mut razed);
        let by_number = |a: &Server, b: &Server| {
            (a.name.len(), &a.name, &a.id).cmp(&(b.name.len(), &b.name, &b.id))
        };
        razed.gone.sort_by(by_number);
        razed.left.sort_by(|(a, _), (b, _)| by_number(a, b));
        razed
    }

    /// Destroys one, again and again while it is locked, or too new to be known everywhere.
    fn destroy(&self, reach: &Reach, server: &Server) -> Result<Destroyed, ProviderError> {
        if !self.is_ours(server) {
            return Err(ProviderError::Input {
                message: format!("it is not recorded as of the fleet `{}`", self.name),
            });
        }
        if reach.stop.is_stopped() {
            return Err(ProviderError::Stopped);
        }
        self.tell(&server.name, &Step::Destroying);
        let ends_at = Instant::now() + self.pace.locked;
        loop {
            let asked = server.clone();
            let outcome = reach.ask(self.pace.grace, move |provider| provider.destroy(&asked));
            let is_locked = outcome.as_ref().is_err_and(|error| {
                error
                    .refusal()
                    .is_some_and(|refusal| refusal.kind == RefusalKind::Locked)
            });
            let is_unseen = outcome == Ok(Destroyed::Gone) && self.is_unseen(server);
            let wait = if is_unseen {
                self.pace.poll
            } else {
                LOCKED_POLL.min(self.pace.poll.saturating_mul(2))
            };
            let is_over = !is_unseen && (!is_locked || Instant::now() >= ends_at);
            if is_over {
                return outcome;
            }
            if !reach.stop.wait(wait) {
                return outcome.and(Err(ProviderError::Stopped));
            }
        }
    }

    fn is_ours(&self, server: &Server) -> bool {
        server.fleet.as_ref() == Some(&self.name)
            || self.with_ledger(|ledger| {
                let mut known = ledger.servers().chain(ledger.missing());
                known.any(|known| known.id.as_ref() == Some(&server.id))
            })
    }

    /// Whether the provider may not know the server yet: just made, and never listed.
    fn is_unseen(&self, server: &Server) -> bool {
        let known = self.recorded(&server.name);
        let known = known.filter(|known| known.id.as_ref() == Some(&server.id));
        known.is_some_and(|known| settle::is_fresh(self, &known))
            && !self.seen().ids.contains(&server.id)
    }

    fn wait_until_gone(&self, reach: &Reach, mut going: Vec<Server>, razed: &mut Razed) {
        if going.is_empty() {
            return;
        }
        let mut look = || {
            let listed = settle::listed(self, reach)?;
            let is_there = |server: &Server| {
                let mut listed = listed.iter();
                listed.any(|other| other.id == server.id && other.state != State::Gone)
            };
            let (still, gone) = std::mem::take(&mut going).into_iter().partition(is_there);
            going = still;
            for server in gone {
                self.gone(server, razed);
            }
            Ok(going.is_empty())
        };
        let first = self.pace.first_poll.min(Duration::from_secs(1));
        let waited = self.poll(&reach.stop, (first, self.pace.gone_timeout), &mut look);
        let reason = match waited {
            Ok(_) => ProviderError::Local {
                message: format!("it is still there after {:?}", self.pace.gone_timeout),
            },
            Err(error) => error,
        };
        let left = going.into_iter().map(|server| (server, reason.clone()));
        razed.left.extend(left);
    }

    /// Records that a server is gone. A record that can't be written is found out the next time.
    fn gone(&self, server: Server, razed: &mut Razed) {
        let (name, id) = (server.name.clone(), server.id.clone());
        if let Err(error) = self.write(Entry::Destroyed {
            at: now(),
            name,
            id,
        }) {
            self.tell(
                &server.name,
                &Step::Failed {
                    message: error.to_string(),
                },
            );
        }
        self.tell(&server.name, &Step::Gone);
        razed.gone.push(server);
    }
}
