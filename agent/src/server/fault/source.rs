//! The faults of the sources of base credentials.

use super::{Subject, add_access_key, cause, explain, place, shown};
use crate::aws::profile::Origin;
use crate::source::Error;
use claviger::wire::{Code, Fault};

pub(super) fn source(error: &Error, subject: &Subject) -> Fault {
    let profile = &subject.profile;
    let fault = |code| Fault::new(code, format!("{error}{}", cause(error)));
    match error {
        Error::BadAnswer(..) | Error::Ended(_) => fault(Code::SourceBadAnswer).hint(explain(profile)),
        Error::CommandFailed(_)
        | Error::CommandNotStarted(_)
        | Error::CommandTimedOut(_)
        | Error::CommandTooMuch(_) => fault(Code::CommandFailed).hint(explain(profile)),
        Error::Refused(..) => fault(Code::SourceRefused).hint(explain(profile)),
        Error::TokenFile(_) => {
            fault(Code::SourceNotConfigured).hint("set [sources] container_token_file in config.toml")
        }
        Error::Unreachable(..) => fault(Code::SourceUnreachable).hint(explain(profile)),
    }
}

pub(super) fn long_lived(profile: &str) -> Fault {
    let message = format!(
        "the credential_process of profile {} gives long-lived keys, which are not handed out: store them here",
        shown(profile)
    );
    Fault::new(Code::SourceLongLived, message).hint(add_access_key(profile))
}

/// The command itself is not repeated: its words may hold a secret.
pub(super) fn not_allowed(profile: &str, origin: &Origin) -> Fault {
    let message =
        format!("profile {}: its credential_process is not in [commands] allow ({})", shown(profile), place(origin));
    Fault::new(Code::CommandNotAllowed, message)
        .hint("if you trust that command, add it letter for letter to [commands] allow in config.toml")
}

pub(super) fn not_configured(profile: &str, origin: &Origin) -> Fault {
    let message = format!(
        "profile {}: config.toml does not say where the container endpoint is ({})",
        shown(profile),
        place(origin)
    );
    Fault::new(Code::SourceNotConfigured, message).hint("set [sources] container_uri in config.toml")
}

pub(super) fn environment(profile: &str, origin: &Origin) -> Fault {
    let message = format!(
        "profile {}: the agent has no environment of yours: store the key, and name it in claviger_access_key in place of \
         credential_source ({})",
        shown(profile),
        place(origin)
    );
    Fault::new(Code::ProfileUnsupported, message).hint(add_access_key(profile))
}

pub(super) fn frozen(profile: &str) -> Fault {
    let message = format!(
        "profile {}: its source gives a session, and STS ends a role from one after 1 h: ask for duration_seconds = 3600",
        shown(profile)
    );
    Fault::new(Code::ProfileConflict, message).hint(explain(profile))
}
