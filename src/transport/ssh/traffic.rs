//! What goes over one connection in each direction, and how libssh2's callbacks find it.
//!
//! A callback is told little more than an address within its session (`abstract`, libssh2.h). Under
//! that address the connection's [`Inbox`] and [`Outbox`] are kept as long as its link lives.
//! Everything is per thread: a session stays on the worker that made it.

use std::cell::RefCell;
use std::collections::HashMap;
use std::rc::Rc;

use super::inbox::Inbox;
use super::outbox::Outbox;

thread_local! {
    static ALL: RefCell<HashMap<usize, Rc<Traffic>>> = RefCell::default();
}

/// Both directions of one connection.
#[derive(Debug)]
pub(super) struct Traffic {
    /// From the host.
    pub(super) inbox: Inbox,
    /// To the host.
    pub(super) outbox: Outbox,
}

impl Traffic {
    /// Returns the traffic that callbacks with this address find from now on.
    pub(super) fn open(address: usize) -> Rc<Self> {
        let traffic = Rc::new(Self {
            inbox: Inbox::new(),
            outbox: Outbox::default(),
        });
        ALL.with_borrow_mut(|all| all.insert(address, Rc::clone(&traffic)));
        traffic
    }

    /// Returns the traffic at this address, as long as it is open.
    pub(super) fn find(address: usize) -> Option<Rc<Self>> {
        ALL.with_borrow(|all| all.get(&address).cloned())
    }

    /// Forgets it: another session may come to have the same address.
    pub(super) fn close(address: usize) {
        ALL.with_borrow_mut(|all| all.remove(&address));
    }
}
