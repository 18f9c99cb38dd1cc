//! Command APDUs (ISO 7816-4 section 5.1): short and extended, chained, and long answers in parts.

use crate::{Card, Moment, Status};

/// A whole command.
#[derive(Clone, Debug)]
pub struct Command {
    /// Class, without the bit of a chain.
    pub class: u8,
    /// Instruction.
    pub instruction: u8,
    /// First parameter.
    pub p1: u8,
    /// Second parameter.
    pub p2: u8,
    /// Data of all its parts.
    pub data: Vec<u8>,
    extended: bool,
}

impl Command {
    /// None if its lengths do not add up.
    #[must_use]
    pub fn read(apdu: &[u8]) -> Option<Self> {
        let (&[class, instruction, p1, p2], body) = apdu.split_first_chunk()?;
        let (data, extended) = match body {
            [] | [_] => (&[][..], false),
            [0, _, _] => (&[][..], true),
            [0, high, low, rest @ ..] => {
                let (data, end) = rest.split_at_checked(usize::from(u16::from_be_bytes([*high, *low])))?;
                (end.is_empty() || end.len() == 2).then_some((data, true))?
            }
            [length, rest @ ..] => {
                let (data, end) = rest.split_at_checked(usize::from(*length))?;
                (end.len() < 2).then_some((data, false))?
            }
        };
        Some(Self { class, instruction, p1, p2, data: data.to_vec(), extended })
    }

    /// The command in one piece again, extended.
    #[must_use]
    pub fn bytes(&self) -> Vec<u8> {
        let mut bytes = vec![self.class, self.instruction, self.p1, self.p2, 0];
        if !self.data.is_empty() {
            bytes.extend(u16::try_from(self.data.len()).unwrap_or(0).to_be_bytes());
            bytes.extend(&self.data);
        }
        bytes.extend([0, 0]);
        bytes
    }
}

/// The bit of a class that says more is to come.
const CHAIN: u8 = 0x10;

/// Parts of commands that came, and of answers that are still to be fetched.
#[derive(Default)]
pub struct Framer {
    chain: Vec<u8>,
    rest: Vec<u8>,
}

impl Framer {
    /// The response APDU.
    pub fn answer(&mut self, card: &mut dyn Card, apdu: &[u8], moment: &Moment) -> Vec<u8> {
        let Some(mut command) = Command::read(apdu) else { return respond(Vec::new(), 0x6700) };
        if command.instruction == card.more() && !self.rest.is_empty() {
            let rest = std::mem::take(&mut self.rest);
            return self.part(rest, 0x9000, command.extended);
        }
        if command.class & CHAIN != 0 {
            self.chain.append(&mut command.data);
            return respond(Vec::new(), 0x9000);
        }
        if !self.chain.is_empty() {
            let mut whole = std::mem::take(&mut self.chain);
            whole.append(&mut command.data);
            command.data = whole;
        }
        self.rest.clear();
        let (data, status) = card.command(&command, moment);
        self.part(data, status, command.extended)
    }

    fn part(&mut self, mut data: Vec<u8>, status: Status, extended: bool) -> Vec<u8> {
        let most = if extended { 65536 } else { 256 };
        if data.len() <= most {
            return respond(data, status);
        }
        self.rest = data.split_off(most);
        respond(data, 0x6100 | u16::from(u8::try_from(self.rest.len()).unwrap_or(0)))
    }
}

fn respond(mut data: Vec<u8>, status: Status) -> Vec<u8> {
    data.extend(status.to_be_bytes());
    data
}

#[cfg(test)]
mod tests {
    use super::Command;

    #[test]
    fn lengths_of_all_four_cases_add_up() {
        let data = |apdu: &[u8]| Command::read(apdu).map(|command| (command.data, command.extended));
        assert_eq!(data(&[0, 0xA4, 4, 0]), Some((vec![], false)));
        assert_eq!(data(&[0, 0xA4, 4, 0, 0]), Some((vec![], false)));
        assert_eq!(data(&[0, 0xA4, 4, 0, 2, 1, 2]), Some((vec![1, 2], false)));
        assert_eq!(data(&[0, 0xA4, 4, 0, 2, 1, 2, 0]), Some((vec![1, 2], false)));
        assert_eq!(data(&[0, 0xA4, 4, 0, 0, 0, 2, 1, 2]), Some((vec![1, 2], true)));
        assert_eq!(data(&[0, 0xA4, 4, 0, 0, 0, 2, 1, 2, 0, 0]), Some((vec![1, 2], true)));
        assert_eq!(data(&[0, 0xA4, 4, 0, 0, 1, 0]), Some((vec![], true)));
        for bad in
            [&[0, 0xA4, 4][..], &[0, 0xA4, 4, 0, 3, 1], &[0, 0xA4, 4, 0, 1, 1, 2, 3], &[0, 0xA4, 4, 0, 0, 0, 9, 1]]
        {
            assert!(Command::read(bad).is_none(), "{bad:?}");
        }
        let command = Command::read(&[0, 1, 2, 3, 1, 9]).expect("a command");
        assert_eq!(Command::read(&command.bytes()).expect("the same").data, [9]);
    }
}
