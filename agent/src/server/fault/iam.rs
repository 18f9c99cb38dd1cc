//! What the work on a user's devices and keys at AWS may meet.

use super::{aws_fault, command, cut, login, named, serial, shown};
use crate::aws::KeyStatus;
use crate::jobs::Error;
use claviger::model::{AccessKeyId, Name};
use claviger::wire::{Code, Fault};

/// Most characters of what AWS said in a message that says more: two keys and a name are before it.
const CAUSE_LIMIT: usize = 128;

pub(super) fn fault(error: &Error) -> Option<Fault> {
    Some(match error {
        Error::LastDevice(name) => {
            let message =
                format!("{name} is the last MFA device of its user at AWS: it is taken away only with --last");
            let hint = named("mfa deactivate", name).replacen("deactivate", "deactivate --last", 1);
            Fault::new(Code::MfaLastDevice, message).hint(hint)
        }
        Error::LastDeviceKept(name) => {
            Fault::new(Code::MfaLastDevice, format!("{name} stays a device of its user: nothing was changed"))
        }
        Error::MfaNotBegun(profile) => {
            Fault::new(Code::MfaNotFound, format!("no enrolment was begun for {}", shown(profile)))
        }
        Error::MfaNotReady(profile, device) => {
            let message = format!(
                "AWS does not take the codes of {} yet, as it was assigned just now: try again in a minute",
                serial(device)
            );
            Fault::new(Code::MfaCodeRefused, message).hint(login(profile))
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
        Error::OldKeyStands { name, new, old, status, error } => {
            let status = match status {
                Some(KeyStatus::Active) => " active",
                Some(KeyStatus::Inactive) => " inactive",
                None => "",
            };
            let cause = aws_fault(error, "");
            let message = format!(
                "access key {name} is now {new}; the old one {old} still stands{status}: {}",
                cut(&cause.message, CAUSE_LIMIT)
            );
            Fault::new(cause.code, message).hint(named("access-key rotate", name))
        }
        Error::OtherKeyActive(name, id, user) => {
            let message = format!("access key {id} is active, and something may use it: make it inactive first");
            Fault::new(Code::AccessKeyTwo, message).hint(make_inactive(name, user, id))
        }
        Error::OwnKey(name, id) => {
            let message =
                format!("access key {id} is the one in use as {name}: rotate replaces and deletes it by itself");
            Fault::new(Code::AccessKeyInUse, message).hint(named("access-key rotate", name))
        }
        Error::TwoKeys(name, other, KeyStatus::Active, user) => {
            let message =
                format!("the user has a second access key, {other}, which is active: two are as many as AWS allows");
            Fault::new(Code::AccessKeyTwo, message).hint(make_inactive(name, user, other))
        }
        Error::TwoKeys(name, other, KeyStatus::Inactive, _) => {
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

/// What makes a key inactive, with the credentials of the profile that is named like the key of ours. IAM takes a session's
/// word only where it says whose key it is (IAM API, UpdateAccessKey, UserName).
fn make_inactive(name: &Name, user: &str, id: &AccessKeyId) -> String {
    let exec = named("exec", name);
    format!("{exec} -- aws iam update-access-key --user-name {user} --status Inactive --access-key-id {id}")
}
