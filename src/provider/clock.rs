//! How far this machine's clock is from a provider's: signatures fail where it is far.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::SystemTime;

/// What was learned of a provider's clock. Clones share it.
#[derive(Debug, Clone, Default)]
pub struct Clock(Arc<Mutex<Option<i64>>>);

impl Clock {
    /// Returns how many seconds the provider's clock is ahead of this machine's; nothing where it
    /// did not tell the time.
    pub fn ahead(&self) -> Option<i64> {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Takes note of the date in an answer (RFC 9110 §6.6.1) that came at `at`.
    pub(super) fn learn(&self, date: &str, at: SystemTime) {
        let Ok(there) = jiff::fmt::rfc2822::parse(date) else {
            return;
        };
        let Ok(here) = jiff::Timestamp::try_from(at) else {
            return;
        };
        let ahead = there.timestamp().as_second() - here.as_second();
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = Some(ahead);
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn a_date_tells_how_far_the_clocks_are_apart() {
        let clock = Clock::default();
        let at = SystemTime::UNIX_EPOCH + Duration::from_secs(1_767_323_045);
        clock.learn("yesterday", at);
        assert_eq!(clock.ahead(), None);
        clock.learn("Fri, 02 Jan 2026 03:05:05 GMT", at);
        assert_eq!(clock.ahead(), Some(60));
        clock.clone().learn("Fri, 02 Jan 2026 03:04:00 GMT", at);
        assert_eq!(clock.ahead(), Some(-5));
    }
}
