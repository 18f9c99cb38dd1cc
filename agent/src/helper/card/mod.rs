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
        // Whether it is there, answers, and is nobody else's for now.
        self.reader.check()?;
        courtesy.begun();
        let touch = || courtesy.touch();
        match operation {
            Operation::DescribeCard {} => self.reader.with_card(describe::describe).map(Answer::Card),
            Operation::Oath(operation) => self.reader.with_card(|link| oath::run(link, operation, &touch)),
            Operation::Piv(operation) => piv::run(&mut self.reader, &mut self.piv, operation, &touch),
            Operation::Fido(_) => Err(Error::Unsupported(None)),
        }
    }

    fn release(&mut self) {
        self.reader.release();
    }
}
