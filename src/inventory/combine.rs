//! Bringing together what several rows or a group say of one host.
//!
//! The laws: nothing is ever replaced, what is missing is added, and equal values are one value. A
//! caller hears of every addition and every difference, and decides whether a difference matters.

use std::fmt::Display;
use std::sync::Arc;

use indexmap::IndexSet;

use crate::host::Host;

/// What became of one field that the newcomer has.
pub(super) enum Fit<'a> {
    /// The host lacked it and has it now.
    Added,
    /// The host keeps another value.
    Differs {
        /// The newcomer's value.
        value: &'a dyn Display,
        /// The host's value.
        earlier: &'a dyn Display,
    },
}

/// Gives `host` every attribute and variable of `more` that it lacks and calls `tell` with the name
/// of each field that was added or differs. Names and groups are left alone.
///
/// `columns` holds the shared name of every variable of `more`.
pub(super) fn combine(
    host: &mut Host,
    more: &Host,
    columns: &IndexSet<Arc<str>>,
    mut tell: impl FnMut(&str, Fit<'_>),
) {
    let tell = &mut tell;
    field("address", &mut host.address, more.address.as_ref(), tell);
    field("user", &mut host.user, more.user.as_ref(), tell);
    field("port", &mut host.port, more.port.as_ref(), tell);
    field("identity", &mut host.identity, more.identity.as_ref(), tell);
    field("jump", &mut host.jump, more.jump.as_ref(), tell);
    field("provider", &mut host.provider, more.provider.as_ref(), tell);
    field("id", &mut host.id, more.id.as_ref(), tell);
    field("host_key", &mut host.host_key, more.host_key.as_ref(), tell);
    match (host.transport, more.transport) {
        (None, Some(transport)) => {
            host.transport = Some(transport);
            tell("transport", Fit::Added);
        }
        (Some(earlier), Some(value)) if earlier != value => {
            let (value, earlier) = (&value.as_str(), &earlier.as_str());
            tell("transport", Fit::Differs { value, earlier });
        }
        _ => {}
    }
    for (name, value) in more.variables.iter() {
        match host.variables.get(name) {
            Some(earlier) if earlier != value => {
                let (value, earlier) = (&value, &earlier);
                tell(name, Fit::Differs { value, earlier });
            }
            Some(_) => {}
            None => {
                let shared = columns.get(name).map_or_else(|| name.into(), Arc::clone);
                host.variables.set(shared, value);
                tell(name, Fit::Added);
            }
        }
    }
}

fn field<T: Clone + PartialEq + Display>(
    name: &str,
    slot: &mut Option<T>,
    more: Option<&T>,
    tell: &mut impl FnMut(&str, Fit<'_>),
) {
    match (&slot, more) {
        (None, Some(value)) => {
            *slot = Some(value.clone());
            tell(name, Fit::Added);
        }
        (Some(earlier), Some(value)) if earlier != value => {
            tell(name, Fit::Differs { value, earlier });
        }
        _ => {}
    }
}
