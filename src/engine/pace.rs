//! How fast connections are made: to an address that has shown that it is busy, and in all.
//!
//! sshd drops connections before login when too many are waiting for it (`MaxStartups`, by default
//! from 10 on), and a bastion or a test machine may be hundreds of hosts at one address. An address
//! that turns a connection away gets a [`Lane`]: few handshakes at once, halved when it does so
//! again, one more for every round that went well (additive increase, multiplicative decrease, as
//! in TCP). Addresses that never turn anybody away are not paced. Apart from that, a fixed
//! [`Rate`] may hold for all addresses together.

use std::collections::HashMap;
use std::num::NonZeroU32;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use async_io::Timer;
use async_lock::{Semaphore, SemaphoreGuardArc};

use crate::host::{Address, Endpoint, Port};

/// Handshakes at once at an address that has just dropped its first connection: below the point
/// where sshd's default begins to drop.
const FIRST_LIMIT: usize = 8;
/// Drops this soon after a cut are of connections made before it and don't count again.
const CUT_PAUSE: Duration = Duration::from_millis(200);
/// The wait before the first dial after a drop; doubled each time, with full jitter.
const FIRST_WAIT: Duration = Duration::from_millis(100);
/// The longest such wait.
const LONGEST_WAIT: Duration = Duration::from_secs(2);

/// The lanes of all busy addresses and the rate, shared by the workers.
pub(super) struct Pace {
    lanes: Mutex<HashMap<(Address, Port), Arc<Lane>>>,
    rate: Option<Rate>,
}

/// New connections, so many a second.
struct Rate {
    gap: Duration,
    /// When the next connection may be made.
    next_at: Mutex<Instant>,
}

/// One busy address.
struct Lane {
    places: Arc<Semaphore>,
    state: Mutex<State>,
}

struct State {
    /// Handshakes allowed at once.
    limit: usize,
    /// Places to take away as they are given back.
    debt: usize,
    /// Handshakes that went well since the limit last changed.
    good: usize,
    cut_at: Instant,
}

/// Permission for one handshake; says how it went when it is over.
pub(super) struct Place {
    held: Option<(Arc<Lane>, SemaphoreGuardArc)>,
}

impl Rate {
    fn new(per_second: NonZeroU32) -> Self {
        Self {
            gap: Duration::from_secs(1) / per_second.get(),
            next_at: Mutex::new(Instant::now()),
        }
    }

    /// Returns when the caller may connect; the next one may a gap later.
    fn book(&self) -> Instant {
        let mut next_at = locked(&self.next_at);
        let turn_at = (*next_at).max(Instant::now());
        *next_at = turn_at + self.gap;
        turn_at
    }
}

impl Pace {
    /// Returns a pace with at most so many new connections a second.
    pub(super) fn new(connect_rate: Option<NonZeroU32>) -> Self {
        Self {
            lanes: Mutex::default(),
            rate: connect_rate.map(Rate::new),
        }
    }

    /// Waits until the rate allows one more connection.
    pub(super) async fn turn(&self) {
        if let Some(rate) = &self.rate {
            Timer::at(rate.book()).await;
        }
    }

    /// Waits for a place at the address, if it is a busy one.
    pub(super) async fn place(&self, endpoint: &Endpoint) -> Place {
        let lane = locked(&self.lanes).get(&key(endpoint)).cloned();
        match lane {
            None => Place { held: None },
            Some(lane) => {
                let guard = lane.places.acquire_arc().await;
                Place {
                    held: Some((lane, guard)),
                }
            }
        }
    }

    /// Notes that the address turned a connection away.
    pub(super) fn slow_down(&self, endpoint: &Endpoint) {
        let mut lanes = locked(&self.lanes);
        match lanes.get(&key(endpoint)) {
            Some(lane) => lane.halve(),
            None => {
                lanes.insert(key(endpoint), Arc::new(Lane::new()));
            }
        }
    }
}

impl Lane {
    fn new() -> Self {
        let state = State {
            limit: FIRST_LIMIT,
            debt: 0,
            good: 0,
            cut_at: Instant::now(),
        };
        Self {
            places: Arc::new(Semaphore::new(FIRST_LIMIT)),
            state: Mutex::new(state),
        }
    }

    fn halve(&self) {
        let mut state = locked(&self.state);
        if state.cut_at.elapsed() < CUT_PAUSE {
            return;
        }
        let kept = (state.limit / 2).max(1);
        state.debt += state.limit - kept;
        state.limit = kept;
        state.good = 0;
        state.cut_at = Instant::now();
    }

    /// Counts a handshake that went well; a whole round of them earns one more place.
    fn grow(&self) {
        let mut state = locked(&self.state);
        state.good += 1;
        if state.good >= state.limit {
            state.limit += 1;
            state.good = 0;
            match state.debt.checked_sub(1) {
                Some(debt) => state.debt = debt,
                None => self.places.add_permits(1),
            }
        }
    }

    fn is_in_debt(&self) -> bool {
        let mut state = locked(&self.state);
        let is_in_debt = state.debt > 0;
        state.debt = state.debt.saturating_sub(1);
        is_in_debt
    }
}

impl Place {
    /// Gives the place back after a handshake that went well.
    pub(super) fn went_well(self) {
        if let Some((lane, _)) = &self.held {
            lane.grow();
        }
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        if let Some((lane, guard)) = self.held.take()
            && lane.is_in_debt()
        {
            guard.forget();
        }
    }
}

/// Returns how long to wait before the next dial after so many drops.
pub(super) fn wait(drops: u32) -> Duration {
    let doubled = FIRST_WAIT.saturating_mul(1 << drops.min(10));
    doubled
        .min(LONGEST_WAIT)
        .mul_f64(0.5 + fastrand::f64() / 2.0)
}

fn key(endpoint: &Endpoint) -> (Address, Port) {
    (endpoint.address.clone(), endpoint.port)
}

fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn limit(lane: &Lane) -> usize {
        locked(&lane.state).limit
    }

    #[test]
    fn a_lane_halves_once_a_pause_and_grows_by_rounds() {
        let lane = Lane::new();
        lane.halve();
        assert_eq!(limit(&lane), FIRST_LIMIT, "too soon after it was made");
        locked(&lane.state).cut_at -= CUT_PAUSE;
        lane.halve();
        lane.halve();
        assert_eq!(limit(&lane), 4);
        for _ in 0..4 {
            lane.grow();
        }
        assert_eq!(limit(&lane), 5);
    }

    #[test]
    fn places_given_back_pay_the_debt() {
        let lane = Lane::new();
        locked(&lane.state).cut_at -= CUT_PAUSE;
        lane.halve();
        let debts = (0..FIRST_LIMIT).filter(|_| lane.is_in_debt()).count();
        assert_eq!(debts, FIRST_LIMIT - 4);
    }

    #[test]
    fn turns_are_a_gap_apart_and_none_is_saved_up() {
        let rate = Rate::new(NonZeroU32::new(4).unwrap());
        let first = rate.book();
        assert_eq!(rate.book() - first, Duration::from_millis(250));
        *locked(&rate.next_at) -= Duration::from_mins(1);
        assert!(rate.book() > first);
    }

    #[test]
    fn waits_double_up_to_a_limit() {
        assert!(wait(0) <= FIRST_WAIT);
        assert!(wait(3) > wait(0));
        assert!((0..100).all(|drops| wait(drops) <= LONGEST_WAIT));
    }
}
