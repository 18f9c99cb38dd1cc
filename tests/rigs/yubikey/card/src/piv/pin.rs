//! PIN and PUK: eight bytes, and tries.

use claviger_card_link::Status;

/// Blocked.
const BLOCKED: Status = 0x6983;

pub(super) struct Pin {
    value: Vec<u8>,
    default: bool,
    tries: u8,
    left: u8,
}

impl Pin {
    /// The PIN of the factory.
    pub(super) fn factory_pin(tries: u8) -> Self {
        Self { value: b"123456\xFF\xFF".to_vec(), default: true, tries, left: tries }
    }

    /// The PUK of the factory.
    pub(super) fn factory_puk(tries: u8) -> Self {
        Self { value: b"12345678".to_vec(), default: true, tries, left: tries }
    }

    /// A wrong one costs a try, and so does one of another length.
    pub(super) fn check(&mut self, value: &[u8]) -> Result<(), Status> {
        if self.left == 0 {
            return Err(BLOCKED);
        }
        if value != self.value {
            self.left -= 1;
            return Err(0x63C0 | u16::from(self.left.min(15)));
        }
        self.left = self.tries;
        Ok(())
    }

    /// A new one, with all its tries.
    pub(super) fn set(&mut self, value: &[u8]) {
        (self.value, self.default, self.left) = (value.to_vec(), false, self.tries);
    }

    pub(super) fn is_blocked(&self) -> bool {
        self.left == 0
    }

    pub(super) fn is_default(&self) -> bool {
        self.default
    }

    /// All, and left.
    pub(super) fn tries(&self) -> [u8; 2] {
        [self.tries, self.left]
    }

    /// What VERIFY without a PIN says. More than fifteen tries do not fit.
    pub(super) fn status(&self) -> Status {
        if self.left == 0 { BLOCKED } else { 0x63C0 | u16::from(self.left.min(15)) }
    }
}
