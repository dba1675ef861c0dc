//! To be written.

pub mod identity;
pub mod known_hosts;
pub mod secret;
mod wire;
