//! hoist runs one command on many hosts at once and collects the results.

pub mod engine;
pub mod event;
pub mod host;
pub mod hostset;
pub mod inventory;
pub mod outcome;
pub mod plan;
pub mod quote;
pub mod remote;
pub mod render;
pub mod spool;
pub mod transport;
