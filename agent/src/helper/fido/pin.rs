//! PINs: what can be one (CTAP 2.1, section 6.5.1), setting and changing.

use super::{Session, status};
use crate::device::fido::Operation;
use crate::device::{Error, PinRule, Reference};
use claviger::secret::{Pin, SecretText};

/// Fewest characters of a PIN.
const LEAST: u8 = 4;
/// Most bytes of one.
const MOST: u8 = 63;

/// Refuses what cannot be a PIN before anything is sent: the crate panics on long ones, and a wrong one costs a try.
pub(super) fn check(operation: &Operation) -> Result<(), Error> {
    let (pins, new): (Vec<&Pin>, _) = match operation {
        Operation::Describe {} | Operation::Holds { .. } | Operation::Presence {} => return Ok(()),
        Operation::Make { pin, .. } | Operation::Sign { pin, .. } => (pin.iter().collect(), None),
        Operation::Resident { pin }
        | Operation::Remove { pin, .. }
        | Operation::MakeSecret { pin, .. }
        | Operation::Secret { pin, .. } => (vec![pin], None),
        Operation::SetPin { new } => (Vec::new(), Some(new)),
        Operation::ChangePin { old, new } => (vec![old], Some(new)),
    };
    pins.into_iter().chain(new).try_for_each(|pin| {
        let pin = pin.expose();
        let rule = if pin.len() > usize::from(MOST) {
            PinRule::Longer(MOST)
        } else if pin.chars().count() < usize::from(LEAST) {
            PinRule::Shorter(LEAST)
        } else if pin.contains('\0') {
            PinRule::Policy
        } else {
            return Ok(());
        };
        Err(Error::PinRefused(Reference::Pin, rule))
    })
}

impl Session<'_> {
    pub(super) fn set_pin(&mut self, new: &str) -> Result<(), Error> {
        let info = self.said()?.info;
        match info.pin_set {
            None => return Err(Error::Unsupported(None)),
            Some(true) => return Err(Error::AlreadyThere),
            Some(false) => {}
        }
        long_enough(new, info.min_pin_length)?;
        self.key.set_new_pin(new).map_err(|error| status::error(&error))
    }

    pub(super) fn change_pin(&mut self, old: &str, new: &str) -> Result<(), Error> {
        let info = self.said()?.info;
        if info.pin_set != Some(true) {
            return Err(Error::PinNotSet);
        }
        long_enough(new, info.min_pin_length)?;
        self.key.change_pin(old, new).map_err(|error| self.error(&error))
    }
}

fn long_enough(pin: &str, least: u8) -> Result<(), Error> {
    if pin.chars().count() < usize::from(least) {
        return Err(Error::PinRefused(Reference::Pin, PinRule::Shorter(least)));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::check;
    use crate::device::fido::Operation;
    use crate::device::{Error, PinRule};
    use claviger::secret::{Pin, SecretText};

    #[test]
    fn what_cannot_be_a_pin_is_refused_unsent() {
        let rule = |pin: &str| match check(&Operation::SetPin { new: Pin::from_text(pin.to_owned()) }) {
            Ok(()) => None,
            Err(Error::PinRefused(_, rule)) => Some(rule),
            Err(other) => panic!("{other}"),
        };
        assert_eq!(rule("123"), Some(PinRule::Shorter(4)));
        assert_eq!(rule(""), Some(PinRule::Shorter(4)));
        assert_eq!(rule("öä"), Some(PinRule::Shorter(4)), "characters, not bytes");
        assert_eq!(rule("1234"), None);
        assert_eq!(rule(&"1".repeat(63)), None);
        for long in [64, 65, 4096] {
            assert_eq!(rule(&"1".repeat(long)), Some(PinRule::Longer(63)));
        }
        assert_eq!(rule("12\u{0}45"), Some(PinRule::Policy));
    }
}
