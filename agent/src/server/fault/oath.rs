//! What the OATH accounts of cards may meet.

use super::named;
use crate::jobs::Error;
use claviger::wire::{Code, Fault};

pub(super) fn fault(error: &Error) -> Option<Fault> {
    Some(match error {
        Error::OathCounted(name) => {
            let message = format!("the codes of the account are those of authenticator {name}: AWS takes each once");
            Fault::new(Code::MfaAccountInUse, message).hint(named("mfa code", name))
        }
        Error::OathInUse(name) => {
            let message = format!(
                "the account makes the codes of authenticator {name}: take that away at AWS (mfa deactivate), or here \
                 alone (mfa remove)"
            );
            Fault::new(Code::MfaAccountInUse, message).hint(named("mfa deactivate", name))
        }
        Error::OathPeriod(30) => {
            let message = "the name begins with a number of seconds, and the account has none: its codes would change";
            Fault::new(Code::DeviceNameRefused, message).hint("claviger oath list")
        }
        Error::OathPeriod(seconds) => {
            let message = format!("the name of the account must begin with {seconds}/, or its codes would change");
            Fault::new(Code::DeviceNameRefused, message).hint("claviger oath list")
        }
        Error::OathUnfit => {
            let message =
                "AWS takes the codes of TOTP accounts of SHA-1 and 30 seconds alone, and the account is no such";
            Fault::new(Code::MfaAccountUnfit, message)
        }
        Error::OathUnfinished(name) => {
            let message = format!(
                "the account is that of authenticator {name}, whose enrolment is not done: finish it, or undo it with \
                 --undo"
            );
            Fault::new(Code::MfaUnfinished, message).hint("claviger mfa enroll PROFILE")
        }
        _ => return None,
    })
}
