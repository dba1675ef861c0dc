//! To be written.

pub mod agent;
pub mod identity;
pub mod known_hosts;
pub mod secret;
mod wire;
