//! Work that is not the host's: hashes of files here.

use std::future::Future;
use std::pin::pin;
use std::time::Duration;

use async_io::Timer;
use futures_lite::future::FutureExt;

use super::{Site, Trouble};

/// How often the host is cleared of standing still.
const TICK: Duration = Duration::from_secs(5);

/// Does work that the host has no part in, as long as there is time.
pub(super) async fn patiently<T>(
    site: &dyn Site,
    work: impl Future<Output = Result<T, Trouble>>,
) -> Result<T, Trouble> {
    let mut work = pin!(work);
    loop {
        site.progressed();
        let over = async { Some(Err(site.over().await)) };
        let tick = async {
            Timer::after(TICK).await;
            None
        };
        let work = async { Some(work.as_mut().await) };
        if let Some(done) = work.or(over).or(tick).await {
            site.progressed();
            return done;
        }
    }
}
