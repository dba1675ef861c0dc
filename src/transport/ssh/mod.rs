//! To be written.

pub mod known_hosts;
pub mod secret;
mod wire;
