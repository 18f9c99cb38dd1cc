//! A FIDO device, through the kernel's hidraw.

use super::serve::{Courtesy, Device};
use crate::device::Error;
use crate::device::protocol::{Answer, Operation};

/// The device at one hidraw node.
pub(super) struct Fido {
    #[expect(dead_code, reason = "until it is spoken to")]
    path: String,
}

impl Fido {
    pub(super) fn new(path: String) -> Self {
        Self { path }
    }
}

impl Device for Fido {
    fn run(&mut self, _operation: Operation, courtesy: &Courtesy<'_>) -> Result<Answer, Error> {
        courtesy.begun();
        Err(Error::Unsupported(None))
    }

    fn release(&mut self) {}
}
