//! What the codes and seeds of MFA devices may meet.

use super::serial;
use crate::mfa::SeedError;
use claviger::model::MfaSerial;
use claviger::wire::{Code, Fault};

pub(super) fn seed(error: &SeedError) -> Fault {
    let fault = Fault::new(Code::MfaSeedInvalid, error.to_string());
    match error {
        SeedError::AccountUnknown(_) | SeedError::SeveralAccounts(_) => {
            fault.hint("claviger mfa add --for KEY --account NUMBER")
        }
        _ => fault,
    }
}

pub(super) fn serial_unknown(listed: &[MfaSerial]) -> Fault {
    let message = match listed {
        [] => "AWS does not tell the serial of the device: give it".to_owned(),
        [first, rest @ ..] => {
            format!("the user has {} devices: give the serial of one, such as {}", rest.len() + 1, serial(first))
        }
    };
    let example = listed.first().map_or("arn:aws:iam::ACCOUNT:mfa/DEVICE", MfaSerial::as_str);
    Fault::new(Code::MfaSerialUnknown, message).hint(format!("claviger mfa add --for NAME --serial {example}"))
}

pub(super) fn code_refused(device: &MfaSerial) -> Fault {
    Fault::new(
        Code::MfaCodeRefused,
        format!("AWS refused the code of {}: the seed is another device's, or the device was replaced", serial(device)),
    )
    .hint("claviger mfa add --for NAME")
}

pub(super) fn step_spent(millis: u64) -> Fault {
    Fault::new(Code::MfaStepSpent, format!("the current code is spent; the next comes in {} s", millis.div_ceil(1000)))
}

pub(super) fn steps_spent(device: &MfaSerial) -> Fault {
    Fault::new(
        Code::MfaStepSpent,
        format!("every code of {} within the next hour is spent: was this machine's clock wrong?", serial(device)),
    )
    .hint("timedatectl status")
}
