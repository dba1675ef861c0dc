//! STUB
#![allow(missing_docs)]
use super::*;
pub struct Local;
impl Local {
    pub fn new() -> Self {
        Self
    }
}
impl Transport for Local {
    fn connect<'a>(
        &'a self,
        _: &'a Endpoint,
        _: &'a Cell<Phase>,
    ) -> Work<'a, Result<Box<dyn Session>, ConnectError>> {
        todo!()
    }
}
