//! What the status codes of CTAP 2.1, section 8.2 mean here.

use crate::device::{Error, PinRule, Reference};
use std::fmt::Display;

/// The code in an error of the crate, which has it in its text alone: `… err = 0x31 CTAP2_ERR_…`.
pub(super) fn code(error: &impl Display) -> Option<u8> {
    let text = error.to_string();
    let (_, after) = text.split_once("err = 0x")?;
    let digits = after.split(|c: char| !c.is_ascii_hexdigit()).next()?;
    u8::from_str_radix(digits, 16).ok()
}

/// What an error of the crate means; tries of the PIN are not in it.
pub(super) fn error(error: &impl Display) -> Error {
    use crate::device::Thing::Credential;
    let Some(code) = code(error) else {
        let text = error.to_string();
        return match text.as_str() {
            "Failed to open device." | "write error" | "read error" => Error::Gone,
            "Nonce verification failed" => Error::Held(None),
            _ => Error::BadAnswer("no CTAP".to_owned()),
        };
    };
    match code {
        // Commands and options that it does not have: a U2F device, or an old one.
        0x01 | 0x2b | 0x2c | 0x16 | 0x3e => Error::Unsupported(None),
        0x03 | 0x15 | 0x39 => Error::TooLarge,
        0x05 | 0x3a => Error::TimedOut,
        0x06 | 0x0b => Error::Held(None),
        0x19 => Error::AlreadyThere,
        0x22 | 0x2e => Error::NotThere(Credential),
        0x26 => Error::AlgorithmUnsupported(None),
        0x27 | 0x2f => Error::TouchTimeout,
        0x28 => Error::Full,
        0x2d => Error::Cancelled,
        0x31 => Error::PinWrong { reference: Reference::Pin, left: None },
        0x32 => Error::PinBlocked(Reference::Pin),
        0x34 => Error::PinPaused,
        0x35 => Error::PinNotSet,
        0x36 => Error::PinNeeded(None),
        0x37 => Error::PinRefused(Reference::Pin, PinRule::Policy),
        // The crate's own, for a node that can no longer be read.
        0xfe => Error::Gone,
        other => Error::BadAnswer(format!("status {other:02x}")),
    }
}

#[cfg(test)]
mod tests {
    use super::{code, error};
    use crate::device::Error;

    #[test]
    fn codes_are_read_out_of_the_text() {
        assert_eq!(code(&"response_status err = 0x31 CTAP2_ERR_PIN_INVALID   PIN Invalid."), Some(0x31));
        assert_eq!(code(&"read err = 0xFE"), Some(0xfe));
        for none in ["", "read err = ", "response_status err = 0x", "err = 0x123", "0x31"] {
            assert_eq!(code(&none), None, "{none}");
        }
    }

    #[test]
    fn what_is_not_known_is_a_bad_answer_and_never_a_wrong_pin() {
        for status in 0..=0xffu8 {
            let said = error(&format!("response_status err = 0x{status:02X} SOMETHING"));
            assert_eq!(matches!(said, Error::PinWrong { .. }), status == 0x31);
        }
        assert!(matches!(error(&"response_status err = 0x7F CTAP1_ERR_OTHER"), Error::BadAnswer(_)));
        assert!(matches!(error(&"Semantic(None, \"x\")"), Error::BadAnswer(_)));
    }
}
