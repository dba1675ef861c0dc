//! Commands that end only once a number of them run at the same time: the proof that so many hosts
//! were in flight, without a guess at how long a client takes to get there.

use std::collections::HashMap;
use std::sync::{LazyLock, Mutex, PoisonError};

use tokio::sync::watch;

/// How many have come to each meeting.
static MEETINGS: LazyLock<Mutex<HashMap<String, watch::Sender<usize>>>> =
    LazyLock::new(Mutex::default);

/// Comes to the meeting `name` and waits until `expected` are there.
pub async fn attend(name: &str, expected: usize) {
    let mut present = {
        let mut meetings = MEETINGS.lock().unwrap_or_else(PoisonError::into_inner);
        let meeting = meetings.entry(name.to_owned()).or_default();
        meeting.send_modify(|present| *present += 1);
        meeting.subscribe()
    };
    // Meetings are never forgotten, so that the sender can't be gone.
    let _ = present.wait_for(|present| *present >= expected).await;
}
