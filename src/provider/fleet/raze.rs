//! Takes servers away, and makes sure that they are gone.

use std::sync::Mutex;
use std::time::{Duration, Instant};

use super::super::ledger::{Entry, now};
use super::super::{Destroyed, ProviderError, RefusalKind, Server, State};
use super::{Fleet, Step, each};

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
    /// Destroys `servers` and waits until they are gone. Each is destroyed by its id.
    pub fn raze(&self, servers: &[Server]) -> Razed {
        let outcomes: Mutex<Vec<(Server, Result<Destroyed, ProviderError>)>> = Mutex::default();
        each(servers, |server| {
            self.tell(&server.name, &Step::Destroying);
            let outcome = self.destroy(server);
            let mut outcomes = outcomes
                .lock()
                .unwrap_or_else(std::sync::PoisonError::into_inner);
            outcomes.push((server.clone(), outcome));
        });
        let mut razed = Razed::default();
        let mut going = Vec::new();
        for (server, outcome) in outcomes.into_inner().unwrap_or_default() {
            match outcome {
                Ok(Destroyed::Gone) => self.gone(server, &mut razed),
                Ok(Destroyed::Accepted) => going.push(server),
                Err(error) => razed.left.push((server, error)),
            }
        }
        self.wait_until_gone(going, &mut razed);
        razed
            .gone
            .sort_by(|a, b| (a.name.len(), &a.name).cmp(&(b.name.len(), &b.name)));
        razed
    }

    /// Destroys one, again and again while it is locked.
    fn destroy(&self, server: &Server) -> Result<Destroyed, ProviderError> {
        let ends_at = Instant::now() + self.pace.locked;
        loop {
            let outcome = self.provider.destroy(server);
            let is_locked = outcome.as_ref().is_err_and(|error| {
                error
                    .refusal()
                    .is_some_and(|refusal| refusal.kind == RefusalKind::Locked)
            });
            let wait = LOCKED_POLL.min(self.pace.poll.saturating_mul(2));
            if !is_locked || Instant::now() >= ends_at || !self.stop.wait(wait) {
                return outcome;
            }
        }
    }

    fn wait_until_gone(&self, mut going: Vec<Server>, razed: &mut Razed) {
        if going.is_empty() {
            return;
        }
        let mut look = || {
            let there = self.provider.list(Some(&self.name))?;
            let is_there = |server: &Server| {
                let mut there = there.iter();
                there.any(|other| other.id == server.id && other.state != State::Gone)
            };
            let (still, gone) = std::mem::take(&mut going).into_iter().partition(is_there);
            going = still;
            for server in gone {
                self.gone(server, razed);
            }
            Ok(going.is_empty())
        };
        let first = self.pace.first_poll.min(Duration::from_secs(1));
        let waited = self.poll(first, self.pace.gone_timeout, &mut look);
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
