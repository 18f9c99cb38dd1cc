//! The faults of the audit record.

use super::{cause, path};
use crate::audit::{Error, Event};
use claviger::wire::{Code, Fault};

/// What cannot be recorded is not done.
pub(in crate::server) fn audit(error: &Error) -> Fault {
    match error {
        Error::Full { folder } => {
            let message = format!("nothing more is done that belongs in the audit record: no room in {}", path(folder));
            let plain = |c: char| c.is_ascii_alphanumeric() || "_+=,.@:/%-".contains(c);
            let fault = Fault::new(Code::AuditFull, message);
            match folder.to_str().filter(|text| text.chars().all(plain) && text.len() <= 80) {
                Some(folder) => fault.hint(format!("df -h {folder}")),
                None => fault,
            }
        }
        Error::Unwritable { .. } => Fault::new(Code::AuditUnwritable, format!("{error}{}", cause(error))),
    }
}

/// The record cannot be looked into.
pub(in crate::server) fn unreadable(error: &std::io::Error) -> Fault {
    Fault::new(Code::AuditUnreadable, format!("the audit record cannot be read: {}", super::shown(&error.to_string())))
}

/// No event is called so.
pub(in crate::server) fn unknown_event(name: &str) -> Fault {
    let message = format!("no event is named {}: they begin with {}", super::shown(name), Event::groups().join(", "));
    let fault = Fault::new(Code::AuditEventUnknown, message);
    match Event::nearest(name) {
        Some(name) => fault.hint(format!("claviger audit log --event {name}")),
        None => fault,
    }
}

/// No record names the id. It is not repeated: it could be anything.
pub(in crate::server) fn unknown_id() -> Fault {
    Fault::new(Code::AuditNotFound, "no record has this access key id, request id or number")
}
