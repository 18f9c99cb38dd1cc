//! Nouns of OATH accounts: their names, and what makes their codes.

use super::label::is_hidden;
use serde::{Deserialize, Serialize};
use std::fmt::{self, Write};
use std::str::FromStr;

/// Bytes of a name at most (Yubico, YKOATH protocol, PUT).
const NAME_LIMIT: usize = 64;

/// The name of an account on a card, to the byte. As text: what can be read stands as it is, a backslash twice, and every
/// other byte as `\xNN`, with a space at the beginning or the end. No two names have the same text.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct OathName(Vec<u8>);

impl OathName {
    /// The name of these bytes; None where there are none, or more than a card takes.
    pub fn of(bytes: &[u8]) -> Option<Self> {
        (1..=NAME_LIMIT).contains(&bytes.len()).then(|| Self(bytes.to_vec()))
    }

    /// The bytes on the card.
    pub fn as_bytes(&self) -> &[u8] {
        &self.0
    }
}

impl fmt::Display for OathName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let spaces = |bytes: &mut dyn Iterator<Item = &u8>| bytes.take_while(|byte| **byte == b' ').count();
        let (first, last) = (spaces(&mut self.0.iter()), spaces(&mut self.0.iter().rev()));
        let inner = first..self.0.len().saturating_sub(last);
        let mut at = 0;
        for chunk in self.0.utf8_chunks() {
            for character in chunk.valid().chars() {
                match character {
                    '\\' => f.write_str("\\\\")?,
                    ' ' if !inner.contains(&at) => f.write_str("\\x20")?,
                    hidden if is_hidden(hidden) => escape(f, hidden.encode_utf8(&mut [0; 4]).as_bytes())?,
                    plain => f.write_char(plain)?,
                }
                at += character.len_utf8();
            }
            escape(f, chunk.invalid())?;
            at += chunk.invalid().len();
        }
        Ok(())
    }
}

fn escape(f: &mut fmt::Formatter<'_>, bytes: &[u8]) -> fmt::Result {
    bytes.iter().try_for_each(|byte| write!(f, "\\x{byte:02x}"))
}

/// A text that is the name of no account; the text itself is not in it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum NotOathName {
    /// Shorter or longer than a card takes.
    Length,
    /// A backslash that says nothing.
    Backslash,
}

impl fmt::Display for NotOathName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Length => write!(f, "the name of an OATH account has 1 to {NAME_LIMIT} bytes"),
            Self::Backslash => {
                f.write_str("in the name of an OATH account a backslash is written \\\\, and any byte \\xNN")
            }
        }
    }
}

impl std::error::Error for NotOathName {}

impl FromStr for OathName {
    type Err = NotOathName;

    fn from_str(text: &str) -> Result<Self, NotOathName> {
        let mut bytes = Vec::with_capacity(text.len());
        let mut rest = text.as_bytes();
        loop {
            rest = match rest {
                [] => break,
                [b'\\', b'\\', rest @ ..] => {
                    bytes.push(b'\\');
                    rest
                }
                [b'\\', b'x', high, low, rest @ ..] => {
                    let digit = |digit: &u8| char::from(*digit).to_digit(16).and_then(|digit| u8::try_from(digit).ok());
                    let (high, low) = digit(high).zip(digit(low)).ok_or(NotOathName::Backslash)?;
                    bytes.push(high << 4 | low);
                    rest
                }
                [b'\\', ..] => return Err(NotOathName::Backslash),
                [byte, rest @ ..] => {
                    bytes.push(*byte);
                    rest
                }
            };
        }
        Self::of(&bytes).ok_or(NotOathName::Length)
    }
}

impl TryFrom<String> for OathName {
    type Error = NotOathName;

    fn try_from(text: String) -> Result<Self, NotOathName> {
        text.parse()
    }
}

impl From<OathName> for String {
    fn from(name: OathName) -> Self {
        name.to_string()
    }
}

/// What makes the codes of an account change.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum OathKind {
    /// A counter (RFC 4226).
    Hotp,
    /// Time (RFC 6238).
    Totp,
}

/// The hash of an account.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[expect(missing_docs, reason = "their own names")]
pub enum OathHash {
    Sha1,
    Sha256,
    Sha512,
}

#[cfg(test)]
mod tests {
    use super::{NotOathName, OathName};

    fn shown(bytes: &[u8]) -> String {
        OathName::of(bytes).expect("a name").to_string()
    }

    #[test]
    fn every_name_has_a_text_of_its_own_that_hides_nothing() {
        assert_eq!(shown(b"Amazon Web Services:ada@123456789012"), "Amazon Web Services:ada@123456789012");
        assert_eq!(shown("60/\u{e9}:b".as_bytes()), "60/\u{e9}:b");
        assert_eq!(shown(b"CORP\\ada"), "CORP\\\\ada");
        assert_eq!(shown(b" a b  "), "\\x20a b\\x20\\x20");
        assert_eq!(shown(b"   "), "\\x20\\x20\\x20");
        assert_eq!(shown("a\u{202e}b\n\x1b[2J\u{feff}".as_bytes()), "a\\xe2\\x80\\xaeb\\x0a\\x1b[2J\\xef\\xbb\\xbf");
        assert_eq!(shown(b"\xffa\xc3 \xe2\x80"), "\\xffa\\xc3 \\xe2\\x80");
        let mut state = 7_u64;
        for length in (1..=64).cycle().take(2_000) {
            let next = |state: &mut u64| {
                *state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
                (*state >> 33) as u8
            };
            // Few of them, so that all kinds meet.
            let bytes: Vec<u8> =
                (0..length).map(|_| b" \\xa0f\xe2\x80\xaeZ\n"[usize::from(next(&mut state)) % 11]).collect();
            let name = OathName::of(&bytes).expect("a name");
            assert_eq!(name.to_string().parse(), Ok(name));
        }
    }

    #[test]
    fn a_text_that_is_no_name_is_refused() {
        assert_eq!("".parse::<OathName>(), Err(NotOathName::Length));
        assert_eq!("x".repeat(65).parse::<OathName>(), Err(NotOathName::Length));
        assert!("\\x41".repeat(64).parse::<OathName>().is_ok());
        for wrong in ["\\", "a\\b", "\\x", "\\x4", "\\xg0", "\\x+1"] {
            assert_eq!(wrong.parse::<OathName>(), Err(NotOathName::Backslash), "{wrong}");
        }
    }
}
