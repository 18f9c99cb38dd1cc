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
        Error::OathPeriod(seconds) => {
            let begin = match seconds {
                30 => "with no number and slash".to_owned(),
                other => format!("with {other}/"),
            };
            let message = format!("its codes last {seconds} s: its name must begin {begin}, or it would make others");
            Fault::new(Code::DeviceNameRefused, message).hint("claviger oath rename --help")
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
