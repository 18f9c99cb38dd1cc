//! The joint to a card: one APDU out, one answer in.

use crate::device::Error;
use zeroize::Zeroizing;

/// Most bytes of one answer (ISO 7816-4, extended length) and its status word.
pub(super) const ANSWER_LIMIT: usize = 65_538;
/// Most bytes of an answer in parts: 64 accounts of 64-byte names fit ten times. A card that says `61xx` without end is
/// ended here.
const WHOLE_LIMIT: usize = 64 * 1024;
/// Most parts: one that sends a byte at a time is ended here.
const PARTS_LIMIT: usize = 1024;

/// A card, or what stands in for one.
pub(super) trait Link {
    /// Sends an APDU, and gives what came back, its status word included.
    fn transmit(&mut self, apdu: &[u8]) -> Result<Zeroizing<Vec<u8>>, Error>;
}

/// A status word (ISO 7816-4 section 5.6).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Status(pub(super) u16);

impl Status {
    pub(super) const OK: Self = Self(0x9000);
    /// Yubico: no such object; ISO: the data are not there.
    pub(super) const NO_SUCH_OBJECT: Self = Self(0x6984);
    pub(super) const AUTHENTICATION_NEEDED: Self = Self(0x6982);
    /// ISO: conditions of use not satisfied.
    pub(super) const CONDITIONS: Self = Self(0x6985);
    pub(super) const WRONG_DATA: Self = Self(0x6a80);
    pub(super) const NOT_FOUND: Self = Self(0x6a82);
    pub(super) const NO_SPACE: Self = Self(0x6a84);
    pub(super) const INSTRUCTION: Self = Self(0x6d00);
    pub(super) const CLASS: Self = Self(0x6e00);
}

/// A command: class 00, a short body, all of the answer wanted.
pub(super) struct Apdu {
    instruction: u8,
    parameters: (u8, u8),
    /// More of the command follows (ISO 7816-4, command chaining).
    chained: bool,
    body: Zeroizing<Vec<u8>>,
}

impl Apdu {
    pub(super) fn new(instruction: u8, first: u8, second: u8) -> Self {
        // Room from the start: a buffer that grows leaves copies behind.
        Self { instruction, parameters: (first, second), chained: false, body: Zeroizing::new(Vec::with_capacity(255)) }
    }

    /// A select by an application's name.
    pub(super) fn select(name: &[u8]) -> Self {
        let mut apdu = Self::new(0xa4, 4, 0);
        apdu.body.extend_from_slice(name);
        apdu
    }

    /// Appends a field: tag, length, value.
    pub(super) fn field(mut self, tag: u8, value: &[u8]) -> Self {
        self.body.push(tag);
        // A value over 127 bytes makes the body too long for a card, which `exchange` refuses.
        self.body.push(u8::try_from(value.len()).unwrap_or(u8::MAX));
        self.body.extend_from_slice(value);
        self
    }

    /// Appends bytes as they are.
    pub(super) fn bytes(mut self, bytes: &[u8]) -> Self {
        self.body.extend_from_slice(bytes);
        self
    }

    /// One of several that are one command; the last is not.
    pub(super) fn chained(mut self) -> Self {
        self.chained = true;
        self
    }

    /// Sends it, fetches the rest of a long answer with the instruction `more`, and gives all of it with the last status.
    pub(super) fn exchange(&self, link: &mut dyn Link, more: u8) -> Result<(Zeroizing<Vec<u8>>, Status), Error> {
        let length = u8::try_from(self.body.len()).map_err(|_| Error::TooLarge)?;
        let mut raw = Zeroizing::new(Vec::with_capacity(262));
        let class = if self.chained { 0x10 } else { 0 };
        raw.extend_from_slice(&[class, self.instruction, self.parameters.0, self.parameters.1]);
        if length > 0 {
            raw.push(length);
            raw.extend_from_slice(&self.body);
        }
        let mut answer = link.transmit(&raw)?;
        let mut status = split(&mut answer)?;
        for _ in 0..PARTS_LIMIT {
            if status.0 & 0xff00 != 0x6100 {
                return Ok((answer, status));
            }
            let mut part = link.transmit(&[0, more, 0, 0])?;
            status = split(&mut part)?;
            answer.extend_from_slice(&part);
            if answer.len() > WHOLE_LIMIT {
                break;
            }
        }
        Err(Error::BadAnswer("an answer without end".to_owned()))
    }
}

/// Takes the status word off an answer.
fn split(answer: &mut Vec<u8>) -> Result<Status, Error> {
    let length = answer.len();
    let status = answer.last_chunk::<2>().map(|word| Status(u16::from_be_bytes(*word)));
    answer.truncate(length.saturating_sub(2));
    status.ok_or_else(|| Error::BadAnswer("no status word".to_owned()))
}

/// The fields of an answer, tag and value, in order. An answer cut short is an error.
pub(super) fn fields(mut bytes: &[u8]) -> Result<Vec<(u8, &[u8])>, Error> {
    let cut = || Error::BadAnswer("a field cut short".to_owned());
    let mut found = Vec::new();
    while let [tag, rest @ ..] = bytes {
        let (length, rest) = match rest {
            [0x81, length, rest @ ..] => (usize::from(*length), rest),
            [0x82, high, low, rest @ ..] => (usize::from(u16::from_be_bytes([*high, *low])), rest),
            [length @ ..=0x7f, rest @ ..] => (usize::from(*length), rest),
            _ => return Err(cut()),
        };
        let (value, rest) = rest.split_at_checked(length).ok_or_else(cut)?;
        found.push((*tag, value));
        bytes = rest;
    }
    Ok(found)
}

/// What a status word means that nobody expected.
pub(super) fn unexpected(status: Status) -> Error {
    match status {
        Status::NO_SPACE => Error::Full,
        Status::INSTRUCTION | Status::CLASS => Error::Unsupported(None),
        Status(word) => Error::BadAnswer(format!("status {word:04x}")),
    }
}

#[cfg(test)]
pub(super) mod script {
    //! A card by a script: what it must be sent, and what it answers.

    use super::Link;
    use crate::device::Error;
    use data_encoding::HEXLOWER_PERMISSIVE;
    use std::collections::VecDeque;
    use zeroize::Zeroizing;

    /// Lines of `> sent` and `< answer`, in base16 with spaces; a `<` of `gone` pulls the card.
    pub(crate) struct ScriptedLink(VecDeque<(Vec<u8>, Option<Vec<u8>>)>);

    impl ScriptedLink {
        pub(crate) fn new(script: &str) -> Self {
            let bytes = |line: &str| HEXLOWER_PERMISSIVE.decode(line.replace(' ', "").as_bytes()).unwrap();
            let lines: Vec<&str> = script.lines().map(str::trim).filter(|line| !line.is_empty()).collect();
            let pairs = lines.chunks(2).map(|pair| {
                let (sent, answer) = (pair[0].strip_prefix('>').unwrap(), pair[1].strip_prefix('<').unwrap().trim());
                (bytes(sent), (answer != "gone").then(|| bytes(answer)))
            });
            Self(pairs.collect())
        }
    }

    impl Link for ScriptedLink {
        fn transmit(&mut self, apdu: &[u8]) -> Result<Zeroizing<Vec<u8>>, Error> {
            let (sent, answer) = self.0.pop_front().expect("nothing more was to be sent");
            assert_eq!(HEXLOWER_PERMISSIVE.encode(apdu), HEXLOWER_PERMISSIVE.encode(&sent));
            answer.map(Zeroizing::new).ok_or(Error::Gone)
        }
    }

    impl Drop for ScriptedLink {
        fn drop(&mut self) {
            assert!(self.0.is_empty() || std::thread::panicking(), "{} lines were not used", self.0.len());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::script::ScriptedLink;
    use super::{Apdu, Status, fields};
    use crate::device::Error;

    #[test]
    fn long_answers_are_fetched_in_parts_and_endless_ones_are_not() {
        let mut link =
            ScriptedLink::new("> 00 a1 00 00\n< 01 02 61 02\n> 00 a5 00 00\n< 03 61 01\n> 00 a5 00 00\n< 04 90 00");
        let (answer, status) = Apdu::new(0xa1, 0, 0).exchange(&mut link, 0xa5).unwrap();
        assert_eq!((answer.as_slice(), status), (&[1, 2, 3, 4][..], Status::OK));
        let endless = "> 00 a5 00 00\n< 61 00\n".repeat(1024);
        let mut link = ScriptedLink::new(&format!("> 00 a1 00 00\n< 61 00\n{endless}"));
        assert!(matches!(Apdu::new(0xa1, 0, 0).exchange(&mut link, 0xa5), Err(Error::BadAnswer(_))));
        let mut short = ScriptedLink::new("> 00 a1 00 00\n< 90");
        assert!(matches!(Apdu::new(0xa1, 0, 0).exchange(&mut short, 0xa5), Err(Error::BadAnswer(_))));
    }

    #[test]
    fn fields_cut_short_are_an_error() {
        assert_eq!(fields(&[0x71, 2, 1, 2, 0x72, 0x81, 1, 9, 0x73, 0x82, 0, 1, 8]).unwrap().len(), 3);
        for wrong in
            [&[0x71][..], &[0x71, 1], &[0x71, 0x81], &[0x71, 0x82, 1], &[0x71, 0x80, 1], &[0x71, 0x83, 0, 0, 1, 1]]
        {
            assert!(fields(wrong).is_err(), "{wrong:?}");
        }
    }
}
