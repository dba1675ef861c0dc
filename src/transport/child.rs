//! Child processes as transports need them: pipes drained and fed together, the end told once, and
//! nothing that outlives hoist.
//!
//! A command that is ready to be started comes in; a [`Running`] process goes out, which is killed
//! with its group when it is dropped.

mod feed;
mod running;
mod spawn;
mod wrapped;

pub(super) use running::{Input, Running};
pub(super) use spawn::{begin_session, end_with_parent};
pub(super) use wrapped::Wrapped;
