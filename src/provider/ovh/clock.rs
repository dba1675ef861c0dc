//! What a request is signed with: the time of the API, and the signature.

use std::sync::{MutexGuard, PoisonError};
use std::time::{Duration, SystemTime};

use openssl::sha::Sha1;

use super::super::http::{Answer, Call, Dialect};
use super::super::{ProviderError, Refusal};
use super::credentials::Keys;
use super::{Ovh, refusal};
use crate::host::escaped;

/// How far the API's clock is ahead of this machine's, in seconds, once it was asked.
#[derive(Debug, Default)]
pub(super) struct Clock(Option<i64>);

/// Speaks without credentials.
struct Unsigned<'a>(&'a str);

impl Dialect for Unsigned<'_> {
    fn authorize(&self, _: &Call, _: &str) -> Result<Vec<(&'static str, String)>, ProviderError> {
        Ok(Vec::new())
    }

    fn refusal(&self, answer: &Answer) -> Refusal {
        refusal::read(answer, self.0)
    }
}

impl Ovh {
    /// Returns what the API's clock shows now. It is asked once, until
    /// [`forget_time`](Self::forget_time).
    pub(super) fn timestamp(&self) -> Result<i64, ProviderError> {
        // Held while asking, so that requests that begin together ask once.
        let mut clock = self.clock();
        let ahead = match clock.0 {
            Some(ahead) => ahead,
            None => *clock.0.insert(self.ask_time()?),
        };
        Ok(seconds(SystemTime::now()).saturating_add(ahead))
    }

    /// Asks for the time again before the next request.
    pub(super) fn forget_time(&self) {
        self.clock().0 = None;
    }

    /// Returns the API's instant by this machine's clock, which the record goes by.
    pub(super) fn here(&self, at: SystemTime) -> Option<SystemTime> {
        let ahead = self.clock().0.unwrap_or_default();
        let apart = Duration::from_secs(ahead.unsigned_abs());
        if ahead < 0 {
            at.checked_add(apart)
        } else {
            at.checked_sub(apart)
        }
    }

    fn clock(&self) -> MutexGuard<'_, Clock> {
        // A number can't be half written.
        self.clock.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn ask_time(&self) -> Result<i64, ProviderError> {
        let call = Call::get("/auth/time");
        let answer = self.http.send(&Unsigned(self.http.base()), &call);
        let answer = answer.map_err(|error| match error {
            // The request that needs the time was not sent: it can't be lost.
            ProviderError::Lost { provider, message } => ProviderError::Unreachable {
                provider,
                url: escaped(self.http.base()),
                message,
            },
            other => other,
        })?;
        let time = answer.json().as_i64();
        let time = time.ok_or_else(|| self.http.unreadable(&call, "a number was expected"))?;
        Ok(time.saturating_sub(seconds(answer.at)))
    }
}

/// Returns the seconds since 1970.
fn seconds(at: SystemTime) -> i64 {
    let since = at.duration_since(SystemTime::UNIX_EPOCH);
    let since = since.unwrap_or(Duration::ZERO).as_secs();
    i64::try_from(since).unwrap_or(i64::MAX)
}

/// Returns the signature of a request: the SHA-1 of its parts
/// (<https://github.com/ovh/python-ovh#hacking>).
pub(super) fn signature(keys: &Keys, call: &Call, url: &str, timestamp: &str) -> String {
    let parts: [&[u8]; 6] = [
        keys.secret.expose().as_bytes(),
        keys.consumer.expose().as_bytes(),
        call.method.as_str().as_bytes(),
        url.as_bytes(),
        &call.body,
        timestamp.as_bytes(),
    ];
    let mut hash = Sha1::new();
    for (index, part) in parts.into_iter().enumerate() {
        if index > 0 {
            hash.update(b"+");
        }
        hash.update(part);
    }
    let digest = hash.finish();
    let hex: Vec<String> = digest.iter().map(|byte| format!("{byte:02x}")).collect();
    format!("$1${}", hex.concat())
}
