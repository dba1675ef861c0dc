//! Makes servers: intent, call, result.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};

use sha2::{Digest as _, Sha256};

use super::super::super::ledger::{Entry, now};
use super::super::super::user_data::{self, HostKey};
use super::super::super::{Offer, Order, Prepared, ProviderError, RefusalKind, Server, Spec};
use super::super::{Fleet, Step, each, locked, settle};
use super::Wanted;
use crate::host::escaped;

/// Hex digits of the hash in an order's token: with `hoist-` it stays below EC2's 64 characters.
const TOKEN_DIGITS: usize = 40;

/// What became of the names that this run was to make.
pub(super) type Fates = BTreeMap<String, Fate>;

/// What became of one of them.
#[derive(Debug, Clone)]
pub(super) enum Fate {
    /// This run made it. The error says that it could not be recorded.
    Made(Box<Server>, Option<ProviderError>),
    /// It was there before, though nobody knew.
    Found(Box<Server>),
    /// Nobody knows.
    Open(ProviderError),
    /// There is none.
    Failed(ProviderError),
}

impl Fate {
    fn error(&self) -> Option<&ProviderError> {
        match self {
            Self::Made(_, error) => error.as_ref(),
            Self::Found(_) => None,
            Self::Open(error) | Self::Failed(error) => Some(error),
        }
    }
}

/// What all orders of a run have in common.
struct Orders {
    spec: Spec,
    offer: Offer,
    prepared: Prepared,
}

impl Fleet<'_> {
    /// Makes every server, a few at once. Stops asking once stopped, and after a refusal that the
    /// next request would meet as well.
    pub(super) fn make_all(
        &self,
        wanted: &Wanted<'_>,
        prepared: Prepared,
        names: &[String],
    ) -> Fates {
        let orders = Arc::new(Orders {
            spec: wanted.spec.clone(),
            offer: wanted.offer.clone(),
            prepared,
        });
        let fates = Mutex::new(Fates::new());
        let first: Mutex<Option<ProviderError>> = Mutex::default();
        let is_over = AtomicBool::new(false);
        each(names, |name| {
            let fate = if self.reach.stop.is_stopped() {
                Fate::Failed(ProviderError::Stopped)
            } else if is_over.load(Ordering::SeqCst) {
                let first = locked(&first).clone();
                Fate::Failed(first.unwrap_or(ProviderError::Stopped))
            } else {
                self.make(wanted, &orders, name)
            };
            if let Some(error) = fate.error().filter(|error| error.repeats()) {
                locked(&first).get_or_insert_with(|| error.clone());
                is_over.store(true, Ordering::SeqCst);
            }
            self.tell_fate(name, &fate);
            locked(&fates).insert(name.clone(), fate);
        });
        let fates = fates.into_inner();
        fates.unwrap_or_else(std::sync::PoisonError::into_inner)
    }

    fn tell_fate(&self, name: &str, fate: &Fate) {
        let step = match fate {
            Fate::Made(server, _) => Step::Created {
                id: server.id.clone(),
            },
            Fate::Found(server) => Step::Adopted {
                id: server.id.clone(),
            },
            Fate::Open(error) => Step::Lost {
                message: error.to_string(),
            },
            Fate::Failed(error) => Step::Failed {
                message: error.to_string(),
            },
        };
        self.tell(name, &step);
    }

    fn make(&self, wanted: &Wanted<'_>, orders: &Arc<Orders>, name: &str) -> Fate {
        let token = token(wanted.run, name);
        let begun = user_data(wanted).and_then(|(user_data, host_key)| {
            self.write(Entry::Intent {
                at: now(),
                name: name.to_owned(),
                token: token.clone(),
                provider: self.reach.provider.name().to_string(),
                region: wanted.offer.region.clone(),
                host_key,
                login_user: wanted.offer.login_user.clone(),
            })?;
            Ok(user_data)
        });
        let user_data = match begun {
            Ok(user_data) => user_data,
            Err(error) => return Fate::Failed(error),
        };
        self.tell(name, &Step::Creating);
        let (orders, ordered) = (Arc::clone(orders), name.to_owned());
        let made = self.reach.ask(self.pace.grace, move |provider| {
            Ok(provider.create(&Order {
                spec: &orders.spec,
                offer: &orders.offer,
                prepared: &orders.prepared,
                name: &ordered,
                token: &token,
                user_data: &user_data,
            }))
        });
        let made = match made {
            Ok(made) => made,
            // Nobody waited for the answer any longer.
            Err(error) => return Fate::Open(error),
        };
        match made {
            Ok(server) if server.id.is_empty() => Fate::Open(ProviderError::Lost {
                provider: server.provider,
                message: "it named no id".to_owned(),
            }),
            Ok(server) => self.record(name, self.completed(name, server, wanted.offer)),
            Err(error) if is_unclear(&error) => Fate::Open(error),
            Err(error) if is_conflict(&error) => self.look_up(name, error),
            Err(error) => self.fail(name, error),
        }
    }

    /// Adds what the answer to the call may lack.
    fn completed(&self, name: &str, mut server: Server, offer: &Offer) -> Server {
        name.clone_into(&mut server.name);
        server.fleet = Some(self.name.clone());
        if server.region.is_empty() {
            server.region.clone_from(&offer.region);
        }
        if server.login_user.is_none() {
            server.login_user = Some(offer.login_user.clone());
        }
        server
    }

    /// Records that it was made. If that fails, its intent stays open.
    fn record(&self, name: &str, server: Server) -> Fate {
        let error = self.write(Entry::Created {
            at: now(),
            name: name.to_owned(),
            id: server.id.clone(),
        });
        let error = error.err().map(|error| ProviderError::Local {
            message: format!(
                "`{name}` was made with the id `{}` and costs money, but hoist {error}",
                escaped(&server.id)
            ),
        });
        Fate::Made(Box::new(server), error)
    }

    /// Takes the server that has the name already, if it is the fleet's: an earlier call whose
    /// answer was lost made it.
    fn look_up(&self, name: &str, error: ProviderError) -> Fate {
        let Ok(listed) = settle::listed(self, &self.reach) else {
            return Fate::Open(error);
        };
        let Some(known) = self.recorded(name) else {
            return self.fail(name, error);
        };
        let found = settle::candidate(self, &listed, &known).cloned();
        let Some(server) = found else {
            return self.fail(name, error);
        };
        // Another call made it, with another host key than the one just recorded.
        let written = self.write(Entry::Adopted {
            at: now(),
            name: name.to_owned(),
            id: server.id.clone(),
            provider: known.provider.clone(),
            region: server.region.clone(),
            login_user: Some(known.login_user.clone()),
        });
        let fleet = Some(self.name.clone());
        match written {
            Ok(()) => Fate::Found(Box::new(Server { fleet, ..server })),
            Err(error) => Fate::Open(error),
        }
    }

    /// Records that it was not made. If that fails, the next run finds it out.
    fn fail(&self, name: &str, error: ProviderError) -> Fate {
        let _ = self.write(Entry::Failed {
            at: now(),
            name: name.to_owned(),
            error: error.to_string(),
        });
        Fate::Failed(error)
    }
}

/// Whether there may be a server now although there was no answer, or one that says nothing.
fn is_unclear(error: &ProviderError) -> bool {
    matches!(
        error,
        ProviderError::Lost { .. } | ProviderError::Unreadable { .. }
    )
}

fn is_conflict(error: &ProviderError) -> bool {
    let refusal = error.refusal();
    refusal.is_some_and(|refusal| refusal.kind == RefusalKind::Conflict)
}

/// Returns what the server reads when it first boots, and the public half of the host key in it.
fn user_data(wanted: &Wanted<'_>) -> Result<(Vec<u8>, Option<String>), ProviderError> {
    let (offer, own) = (wanted.offer, wanted.user_data);
    if !offer.has_cloud_init {
        return Ok((own.unwrap_or_default().to_vec(), None));
    }
    let key = HostKey::generate()?;
    let user_data = user_data::combine(&key, own, offer.user_data_limit)?;
    Ok((user_data, Some(key.public().to_owned())))
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
