//! What a device may answer.

use super::shown;
use crate::device::{Error, Reference};
use claviger::wire::{Code, Fault};

/// The room's own words, the device they are about, and what to do.
pub(in crate::server) fn fault(error: &Error, device: Option<&str>) -> Fault {
    let code = code(error);
    let name = device.map(|device| format!(" ({})", shown(device))).unwrap_or_default();
    // A card tells, and the kernel: neither is one of ours.
    let said = match error {
        Error::BadAnswer(what) => format!("the device answered what its specification does not have ({})", shown(what)),
        Error::CardUnusable(what) => format!("the card cannot be used: {}", shown(what)),
        Error::Held(Some(holder)) => format!("another program holds the device: {}", shown(holder)),
        other => other.to_string(),
    };
    let fault = Fault::new(code, format!("{said}{name}"));
    match hint(error) {
        Some(hint) => fault.hint(hint),
        None => fault,
    }
}

/// The last try of a PIN or PUK, which nobody has said may be used.
pub(in crate::server) fn last_try(reference: Reference, device: &str) -> Fault {
    let device = shown(device);
    let message =
        format!("one try of the {reference} is left, and nobody here has said that it may be used ({device})");
    Fault::new(Code::DeviceLastTry, message)
}

fn hint(error: &Error) -> Option<&'static str> {
    Some(match error {
        // What is known to hold cards without end (GnuPG's, which wants them for itself).
        Error::Held(Some(holder)) if holder.starts_with("scdaemon") => "gpgconf --kill scdaemon",
        // Its udev rules give FIDO devices to whoever sits at the machine.
        Error::NotPermitted => "sudo apt install libfido2-1",
        _ => return None,
    })
}

fn code(error: &Error) -> Code {
    match error {
        Error::AccountCounts => Code::MfaAccountUnfit,
        Error::AlreadyThere | Error::ManagementKeyKept => Code::DeviceAlreadyThere,
        Error::AlgorithmUnsupported(_) | Error::Unsupported(_) | Error::TooLarge => Code::DeviceUnsupported,
        Error::Ambiguous => Code::DeviceAmbiguous,
        Error::AppletMissing(_) => Code::DeviceAppletMissing,
        Error::BadAnswer(_) => Code::DeviceBadAnswer,
        Error::CertificateRefused(_) => Code::DeviceCertificateRefused,
        Error::Cancelled => Code::RequestCancelled,
        Error::CardUnusable(_) | Error::HelperLost | Error::HelperSpeech => Code::DeviceFailed,
        Error::Full => Code::DeviceFull,
        Error::Gone | Error::NotPresent => Code::DeviceNotPresent,
        Error::Held(_) => Code::DeviceHeld,
        Error::HelperMissing => Code::DeviceHelperMissing,
        Error::ManagementKeyRefused(_) => Code::DeviceManagementKeyRefused,
        Error::ManagementKeyWrong => Code::DeviceManagementKeyWrong,
        Error::NotPermitted | Error::ServiceRefused => Code::DeviceNotPermitted,
        Error::NotThere(_) => Code::DeviceNotThere,
        Error::PasswordNeeded => Code::DevicePasswordNeeded,
        Error::PasswordWrong => Code::DevicePasswordWrong,
        Error::PinNeeded(_) => Code::DevicePinNeeded,
        Error::PinNotSet => Code::DevicePinNotSet,
        Error::PinBlocked(_) | Error::PinPaused => Code::DevicePinBlocked,
        Error::PinRefused(..) => Code::DevicePinRefused,
        Error::PinWrong { .. } => Code::DevicePinWrong,
        Error::TouchTimeout => Code::DeviceTouchTimeout,
        Error::TimedOut => Code::DeviceTimedOut,
        Error::WeakRsa(_) => Code::DeviceWeakRsa,
        Error::ServiceMissing => Code::DeviceServiceMissing,
    }
}
