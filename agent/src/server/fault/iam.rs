//! What the work on a user's devices and keys at AWS may meet.

use super::{command, named, shown};
use crate::aws::KeyStatus;
use crate::jobs::Error;
use claviger::wire::{Code, Fault};

pub(super) fn fault(error: &Error) -> Option<Fault> {
    Some(match error {
        Error::LastDevice(name) => {
            let message =
                format!("{name} is the last MFA device of its user at AWS: it is taken away only with --last");
            let hint = named("mfa deactivate", name).replacen("deactivate", "deactivate --last", 1);
            Fault::new(Code::MfaLastDevice, message).hint(hint)
        }
        Error::MfaNameNeeded => {
            let message = "no name for the device can be made of the user's: give one with --name";
            Fault::new(Code::MfaNameTaken, message).hint("claviger mfa enroll --help")
        }
        Error::MfaNameTaken(name) => {
            let message = format!("AWS has an MFA device named {name} already: give another name with --name");
            Fault::new(Code::MfaNameTaken, message).hint("claviger mfa enroll --help")
        }
        Error::MfaUnfinished(profile, name) => {
            let message =
                format!("the enrolment of {name} for the same user is not done: finish it, or undo it with --undo");
            Fault::new(Code::MfaUnfinished, message).hint(command("mfa enroll", profile, "mfa enroll"))
        }
        Error::NewKeyRefused(id) => {
            let message = format!(
                "AWS made access key {id}, and does not take it yet; the old one is still in use: try again later"
            );
            Fault::new(Code::AccessKeyNotAccepted, message).hint("claviger access-key list")
        }
        Error::NoAccessKey(profile) => {
            let message = format!("profile {} comes from no stored access key", shown(profile));
            Fault::new(Code::ProfileNoAccessKey, message)
        }
        Error::NotAKeyOfUser(id) => {
            let message = format!("AWS lists no access key {id} of the user");
            Fault::new(Code::AccessKeyNotFound, message)
        }
        Error::OtherKeyActive(id) => {
            let message = format!("access key {id} is active, and something may use it: make it inactive first");
            Fault::new(Code::AccessKeyTwo, message)
                .hint(format!("aws iam update-access-key --status Inactive --access-key-id {id}"))
        }
        Error::TwoKeys(_, other, KeyStatus::Active) => {
            let message =
                format!("the user has a second access key, {other}, which is active: two are as many as AWS allows");
            Fault::new(Code::AccessKeyTwo, message)
                .hint(format!("aws iam update-access-key --status Inactive --access-key-id {other}"))
        }
        Error::TwoKeys(name, other, KeyStatus::Inactive) => {
            let message =
                format!("the user has a second access key, {other}, which is inactive: two are as many as AWS allows");
            let hint =
                named("access-key rotate", name).replacen("rotate", &format!("rotate --delete-other {other}"), 1);
            Fault::new(Code::AccessKeyTwo, message).hint(hint)
        }
        Error::UserSession(error) => super::session(error, &super::nobody()),
        _ => return None,
    })
}
