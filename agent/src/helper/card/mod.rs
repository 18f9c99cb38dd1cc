//! A card in a reader, through pcscd.
//!
//! The card is shared, and no transaction outlives an operation: ykman, scdaemon and others come to it as well. What
//! they leave behind is found out at the next operation, not watched for. It is never reset (`LeaveCard`).
//!
//! Below: `link` the joint and its APDUs, `reader` pcscd, `oath` and `piv` the applets, `describe` what a card is.

mod describe;
mod holder;
mod link;
mod oath;
mod piv;
mod reader;

use self::oath::Touches;
use super::serve::{Courtesy, Device};
use crate::device::Error;
use crate::device::protocol::{Answer, Operation};
use reader::Reader;
pub(super) use reader::service_error;

/// The card in one reader.
pub(super) struct Card {
    reader: Reader,
    piv: piv::Memory,
}

impl Card {
    pub(super) fn new(name: String) -> Self {
        Self { reader: Reader::new(name), piv: piv::Memory::default() }
    }
}

impl Device for Card {
    fn run(&mut self, operation: Operation, courtesy: &Courtesy<'_>) -> Result<Answer, Error> {
        let (begun, touch) = (|| courtesy.begun(), || courtesy.touch());
        let mut turn = self.reader.turn(&begun);
        match operation {
            Operation::DescribeCard {} => turn.with_card(describe::describe).map(Answer::Card),
            Operation::Oath(operation) => {
                let perhaps = || courtesy.perhaps_touch();
                turn.with_card(|link| oath::run(link, operation, &Touches { sure: &touch, perhaps: &perhaps }))
            }
            Operation::Piv(operation) => piv::run(&mut turn, &mut self.piv, operation, &touch),
            Operation::Fido(_) => Err(Error::Unsupported(None)),
        }
    }

    fn release(&mut self) {
        self.reader.release();
    }
}
