//! How long to wait for what: all waits come from one value, so that tests can make them short.

use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

/// How long to wait for what.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Pace {
    /// Longest until a connection to the API stands.
    pub connect_timeout: Duration,
    /// Longest for a whole request.
    pub request_timeout: Duration,
    /// Tries of one request, the first included.
    pub attempts: u32,
    /// The first wait before trying again is at most this long; it doubles each time.
    pub retry_base: Duration,
    /// No such wait is longer.
    pub retry_cap: Duration,
    /// What a vendor asks for is obeyed up to this.
    pub retry_after_cap: Duration,
    /// From the last create call to the first look at all servers.
    pub first_poll: Duration,
    /// From one look to the next.
    pub poll: Duration,
    /// Servers that don't run and have an address by then are given up, not forgotten.
    pub boot_timeout: Duration,
    /// Servers that can't be logged in to by then, counted from when the first of them ran, are given up.
    pub login_timeout: Duration,
    /// From one try to log in to the next.
    pub login_poll: Duration,
    /// A server that was just made may not be found for this long.
    pub fresh: Duration,
    /// A create call whose answer was lost came to nothing when its server is not there by then.
    pub lost: Duration,
    /// Longest that deleting is tried again while the vendor says that the server is locked.
    pub locked: Duration,
    /// Destroyed servers are to be gone by then.
    pub gone_timeout: Duration,
    /// Once stopped, answers to what was asked before are awaited so long.
    pub grace: Duration,
}

impl Default for Pace {
    /// Returns what suits the hosting APIs.
    fn default() -> Self {
        Self {
            connect_timeout: Duration::from_secs(10),
            request_timeout: Duration::from_mins(1),
            attempts: 5,
            retry_base: Duration::from_millis(500),
            retry_cap: Duration::from_secs(20),
            retry_after_cap: Duration::from_mins(1),
            first_poll: Duration::from_secs(3),
            poll: Duration::from_secs(5),
            boot_timeout: Duration::from_mins(10),
            login_timeout: Duration::from_mins(5),
            login_poll: Duration::from_secs(5),
            fresh: Duration::from_mins(1),
            lost: Duration::from_mins(2),
            locked: Duration::from_mins(5),
            gone_timeout: Duration::from_mins(2),
            grace: Duration::from_secs(10),
        }
    }
}

impl Pace {
    /// Returns waits for what is on this machine.
    pub fn quick() -> Self {
        Self {
            retry_base: Duration::from_millis(20),
            retry_cap: Duration::from_millis(200),
            first_poll: Duration::from_millis(100),
            poll: Duration::from_millis(100),
            boot_timeout: Duration::from_secs(30),
            login_timeout: Duration::from_secs(30),
            login_poll: Duration::from_millis(200),
            fresh: Duration::from_secs(1),
            lost: Duration::from_secs(1),
            locked: Duration::from_secs(5),
            gone_timeout: Duration::from_secs(10),
            ..Self::default()
        }
    }

    /// Looks at all servers every so many seconds.
    #[must_use]
    pub(super) fn polling_every(self, seconds: u64) -> Self {
        Self {
            poll: Duration::from_secs(seconds),
            ..self
        }
    }

    /// Gives requests and boots more time.
    #[must_use]
    pub(super) fn patient(self) -> Self {
        Self {
            request_timeout: Duration::from_mins(3),
            boot_timeout: Duration::from_mins(15),
            // A call that nobody waits for any more may be heard as long as it can take.
            lost: Duration::from_mins(4),
            ..self
        }
    }

    /// Returns the longest that one request can take, all its tries counted.
    pub(super) fn longest_request(&self) -> Duration {
        let longest_wait = self.retry_cap.max(self.retry_after_cap);
        (self.request_timeout + longest_wait).saturating_mul(self.attempts)
    }

    /// Returns how long to wait before try number `attempt` (the second is 2): full-jitter
    /// exponential, so that many that failed together don't come back together.
    pub(super) fn backoff(&self, attempt: u32) -> Duration {
        let doubled = self
            .retry_base
            .saturating_mul(2_u32.saturating_pow(attempt.saturating_sub(2)));
        doubled.min(self.retry_cap).mul_f64(fastrand::f64())
    }
}

/// A switch that ends all waiting. Clones share it; it never goes back.
#[derive(Debug, Clone, Default)]
pub struct Stop(Arc<(Mutex<bool>, Condvar)>);

impl Stop {
    /// Returns a switch that is not thrown.
    pub fn new() -> Self {
        Self::default()
    }

    /// Ends all waits, now and to come.
    pub fn stop(&self) {
        *self.lock() = true;
        self.0.1.notify_all();
    }

    /// Whether waiting has no sense any more.
    pub fn is_stopped(&self) -> bool {
        *self.lock()
    }

    /// Waits so long, or until stopped. Returns whether it was the whole time.
    pub fn wait(&self, time: Duration) -> bool {
        let stopped = self
            .0
            .1
            .wait_timeout_while(self.lock(), time, |stopped| !*stopped);
        let (stopped, _) = stopped.unwrap_or_else(PoisonError::into_inner);
        !*stopped
    }

    fn lock(&self) -> MutexGuard<'_, bool> {
        // A flag can't be half written.
        self.0.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waits_double_up_to_the_cap_and_have_jitter() {
        let pace = Pace::default();
        for (attempt, most) in [(2, 500), (3, 1000), (4, 2000), (60, 20_000)] {
            let waits: Vec<_> = (0..50).map(|_| pace.backoff(attempt)).collect();
            let most = Duration::from_millis(most);
            assert!(waits.iter().all(|wait| *wait <= most), "{attempt}");
            assert!(waits.iter().any(|wait| *wait > most / 4), "{attempt}");
            assert!(waits.iter().any(|wait| *wait < most / 4 * 3), "{attempt}");
        }
    }

    #[test]
    fn a_stop_ends_a_wait_that_would_be_long() {
        let stop = Stop::new();
        assert!(stop.wait(Duration::from_millis(1)));
        let other = stop.clone();
        let thread = std::thread::spawn(move || other.wait(Duration::from_hours(1)));
        stop.stop();
        assert!(!thread.join().unwrap());
        assert!(!stop.wait(Duration::from_hours(1)));
        assert!(stop.is_stopped());
    }
}
