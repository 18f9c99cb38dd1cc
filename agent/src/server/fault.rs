//! Every room's error as a fault with a stable code and one hint. The only such place.

use crate::aws::FilesError;
use crate::aws::profile::Origin;
use crate::session::plan::PlanError;
use crate::vault::{Custody, VaultState};
use crate::{aws, jobs, session, vault};
use claviger::model::{Label, MfaSerial};
use claviger::wire::{Code, Fault, ProfileRow};
use std::path::PathBuf;

/// The profile a fault is about, and where the agent looked for it.
pub(super) struct Subject {
    pub(super) profile: String,
    /// The config file the agent reads.
    pub(super) reads: PathBuf,
    /// The one the client means, where it differs.
    pub(super) client_reads: Option<String>,
}

pub(super) fn internal() -> Fault {
    Fault::new(Code::Internal, "this should not happen: please report it")
}

pub(super) fn timed_out(profile: &str, seconds: u64) -> Fault {
    let message = format!("no credentials for {} within {seconds} s; the work goes on", Label(profile));
    Fault::new(Code::RequestTimedOut, message).hint(login(profile))
}

/// The vault has not been open since the agent started, so nothing is known of what it holds.
pub(super) fn closed(custody: &Custody) -> Fault {
    match custody.state() {
        VaultState::Absent => vault(vault::Error::Absent),
        VaultState::Locked(_) | VaultState::Unlocked => locked(),
    }
}

fn locked() -> Fault {
    Fault::new(Code::VaultLocked, "the vault is locked")
}

pub(super) fn vault(error: vault::Error) -> Fault {
    vault_ref(&error)
}

fn vault_ref(error: &vault::Error) -> Fault {
    use vault::Error;
    let code = match error {
        Error::Absent => Code::VaultAbsent,
        Error::ChangedOnDisk => Code::VaultChanged,
        Error::Damaged => Code::VaultDamaged,
        Error::Exists => Code::VaultExists,
        Error::LastSlot => Code::SlotLast,
        Error::Locked => Code::VaultLocked,
        Error::Newer => Code::VaultNewer,
        Error::SlotNotFound => Code::SlotNotFound,
        Error::SlotsFull => Code::SlotsFull,
        Error::StateUnsaved { .. } | Error::StepSpent => Code::StateUnsaved,
        Error::Wait { .. } => Code::VaultWait,
        Error::WeakPassphrase => Code::VaultWeakPassphrase,
        Error::WrongProof => Code::VaultWrongProof,
        Error::CopiesLeft { .. } => Code::SlotCopiesLeft,
        Error::Interrupted => Code::Internal,
        Error::NoMemory => Code::VaultNoMemory,
        Error::Unreadable { .. } => Code::VaultUnreadable,
        Error::Unsynced { .. } => Code::VaultUnsynced,
        Error::NoEntropy { .. } | Error::TooLarge | Error::Unsaved { .. } => Code::VaultUnsaved,
    };
    // What the disk said is what a person needs to act on: "No space left on device".
    let cause =
        std::error::Error::source(error).map(|source| format!(": {}", Label(&source.to_string()))).unwrap_or_default();
    Fault::new(code, format!("{error}{cause}"))
}

/// The AWS files cannot be read or parsed: every problem is a line, the first is told.
pub(super) fn files(error: FilesError) -> Fault {
    let cause =
        std::error::Error::source(&error).map(|source| format!(": {}", Label(&source.to_string()))).unwrap_or_default();
    let message = match &error {
        FilesError::Problems(problems) => {
            let first = problems.first().map_or_else(String::new, ToString::to_string);
            let more = problems.len().saturating_sub(1);
            if more == 0 { first } else { format!("{first} ({more} more)") }
        }
        FilesError::NotText(_) | FilesError::Unreadable(..) => format!("{error}{cause}"),
    };
    Fault::new(Code::ProfileUnreadable, message)
}

pub(super) fn session(error: &session::Error, subject: &Subject) -> Fault {
    use session::Error;
    let profile = &subject.profile;
    match error {
        Error::Aws(error) => aws_fault(error, Some(profile)),
        Error::CodeNeeded(serial) => {
            Fault::new(Code::MfaCodeNeeded, format!("a code of {serial} must be typed")).hint(login(profile))
        }
        Error::CodeRefused { serial, held: true } => code_refused(serial),
        Error::CodeRefused { serial, held: false } => {
            Fault::new(Code::MfaCodeRefused, format!("AWS refused the code of {serial}")).hint(login(profile))
        }
        Error::Locked => locked(),
        Error::Plan(error) => plan(error, subject),
        Error::PresenceNeeded => Fault::new(
            Code::MfaPresenceNeeded,
            "a code may be spent only while a person has been here lately ([mfa] presence)",
        )
        .hint(login(profile)),
        Error::StepSpent(millis) => step_spent(*millis),
        Error::StepsSpent(serial) => steps_spent(serial),
        Error::Vault(error) => vault_ref(error),
    }
}

pub(super) fn job(error: jobs::Error) -> Fault {
    use jobs::Error;
    match error {
        Error::AccessKeyExists(name) => {
            Fault::new(Code::AccessKeyExists, format!("an access key is stored as {name} already"))
        }
        Error::AccessKeyInUse(name, device) => {
            Fault::new(Code::AccessKeyInUse, format!("authenticator {device} belongs to access key {name}"))
                .hint(format!("claviger mfa remove {device}"))
        }
        Error::AccessKeyNotFound(name) => {
            Fault::new(Code::AccessKeyNotFound, format!("no access key is stored as {name}"))
        }
        Error::NotUser(arn) => {
            Fault::new(Code::AccessKeyNotUser, format!("the key belongs to {}, which is no IAM user", Label(&arn)))
        }
        Error::Aws(error) => aws_fault(&error, None),
        Error::CodeRefused(serial) => code_refused(&serial),
        Error::MfaExists(name) => Fault::new(Code::MfaExists, format!("an authenticator is stored as {name} already")),
        Error::MfaNotFound(Some(name)) => {
            Fault::new(Code::MfaNotFound, format!("no authenticator is stored as {name}"))
        }
        Error::MfaNotFound(None) => Fault::new(Code::MfaNotFound, "there is not exactly one authenticator: name one"),
        Error::Seed(error) => Fault::new(Code::MfaSeedInvalid, error.to_string()),
        Error::SerialUnknown(listed) => serial_unknown(&listed),
        Error::Session(session::Error::Plan(error)) => plan(&error, &nobody()),
        Error::Session(error) => session(&error, &nobody()),
        Error::Vault(error) => vault(error),
    }
}

fn nobody() -> Subject {
    Subject { profile: String::new(), reads: PathBuf::new(), client_reads: None }
}

fn serial_unknown(listed: &[MfaSerial]) -> Fault {
    let message = if listed.is_empty() {
        "AWS does not tell the serial of the device".to_owned()
    } else {
        let serials: Vec<&str> = listed.iter().map(MfaSerial::as_str).collect();
        format!("the user has several devices: {}", serials.join(", "))
    };
    Fault::new(Code::MfaSerialUnknown, message).hint("claviger mfa add --serial arn:aws:iam::ACCOUNT:mfa/DEVICE …")
}

fn code_refused(serial: &MfaSerial) -> Fault {
    Fault::new(
        Code::MfaCodeRefused,
        format!("AWS refused the code of {serial}: the seed is another device's, or the device was replaced"),
    )
    .hint("claviger mfa list")
}

fn step_spent(millis: u64) -> Fault {
    Fault::new(Code::MfaStepSpent, format!("the current code is spent; the next comes in {} s", millis.div_ceil(1000)))
}

fn steps_spent(serial: &MfaSerial) -> Fault {
    Fault::new(
        Code::MfaStepSpent,
        format!("every code of {serial} within the next hour is spent: was this machine's clock wrong?"),
    )
    .hint("timedatectl status")
}

fn login(profile: &str) -> String {
    if profile.is_empty() { "claviger login".to_owned() } else { format!("claviger login {}", Label(profile)) }
}

fn aws_fault(error: &aws::Error, profile: Option<&str>) -> Fault {
    use aws::Error;
    let (code, hint) = match error {
        Error::AccessDenied { .. } => {
            (Code::AwsAccessDenied, profile.map(|profile| format!("claviger profile explain {}", Label(profile))))
        }
        Error::BadAnswer { .. } => (Code::AwsBadAnswer, None),
        Error::ClockSkew { .. } => (Code::AwsClockSkew, None),
        Error::CodeRefused { .. } => (Code::MfaCodeRefused, None),
        Error::EndpointInvalid { .. } | Error::EndpointNotAllowed { .. } => (Code::EndpointNotAllowed, None),
        Error::Expired { .. } | Error::InvalidCredentials { .. } => {
            (Code::AwsInvalidCredentials, Some("claviger access-key list".to_owned()))
        }
        Error::InvalidRequest { .. } | Error::Unsendable { .. } => {
            (Code::AwsInvalidRequest, profile.map(|profile| format!("claviger profile show {}", Label(profile))))
        }
        Error::RegionDisabled { .. } => (Code::AwsRegionDisabled, None),
        Error::ServiceError { .. } => (Code::AwsServiceError, None),
        Error::Throttled { .. } => (Code::AwsThrottled, None),
        Error::TimedOut { .. } => (Code::AwsTimedOut, None),
        Error::Unreachable { .. } => (Code::AwsUnreachable, None),
    };
    let fault = Fault::new(code, error.to_string());
    match hint {
        Some(hint) => fault.hint(hint),
        None => fault,
    }
}

pub(super) fn profile_not_found(subject: &Subject, nearest: Vec<String>) -> Fault {
    let near: Vec<String> = nearest.iter().map(|name| Label(name).to_string()).collect();
    let near = if near.is_empty() { String::new() } else { format!("; near it: {}", near.join(", ")) };
    let message = format!("no profile is named {}{near}", Label(&subject.profile));
    match &subject.client_reads {
        Some(theirs) => {
            Fault::new(Code::ProfileNotFound, format!("{message}; the agent reads {}", subject.reads.display()))
                .hint(format!("set [aws] config_file = \"{}\" in config.toml", Label(theirs)))
        }
        None => Fault::new(Code::ProfileNotFound, message),
    }
}

fn plan(error: &PlanError, subject: &Subject) -> Fault {
    let at = |code, profile: &str, what: &str, origin: &Origin| {
        Fault::new(code, format!("profile {}: {what} ({origin})", Label(profile)))
    };
    match error {
        PlanError::AccessKeyNotFound(name, origin) => {
            at(Code::AccessKeyNotFound, &subject.profile, &format!("no access key is stored as {name}"), origin)
                .hint(format!("claviger access-key add {name}"))
        }
        PlanError::Conflict(profile, rule, origin) => at(Code::ProfileConflict, profile, rule, origin),
        PlanError::Endpoint(error) => aws_fault(error, Some(&subject.profile)),
        PlanError::FrozenChain(profile) => Fault::new(
            Code::ProfileConflict,
            format!("profile {}: STS ends a session through several roles after 1 h", Label(profile)),
        ),
        PlanError::Invalid(profile, rule, origin) => at(Code::ProfileInvalid, profile, rule, origin),
        PlanError::Loop(path, origin) => {
            let shown: Vec<String> = path.iter().take(8).map(|name| Label(name).to_string()).collect();
            Fault::new(
                Code::ProfileLoop,
                format!("source_profile leads back to itself: {} ({origin})", shown.join(" → ")),
            )
        }
        PlanError::MfaContradicts(profile, rule, origin) => at(Code::MfaContradicts, profile, rule, origin),
        PlanError::NoSource(profile) => {
            let message = format!("profile {} has no access key here and no source_profile", Label(profile));
            Fault::new(Code::ProfileNoSource, message).hint(format!("claviger access-key add {}", Label(profile)))
        }
        PlanError::PlainText(profile, origin) => {
            at(Code::ProfileUnsupported, profile, "its access key stands in plain text", origin)
                .hint(format!("claviger access-key add {}", Label(profile)))
        }
        PlanError::ProfileNotFound(_, nearest) => profile_not_found(subject, nearest.clone()),
        PlanError::SourceNotFound(name, nearest, origin) => {
            let near = nearest.first().map(|near| format!("; near it: {}", Label(near))).unwrap_or_default();
            Fault::new(
                Code::ProfileNotFound,
                format!("source_profile names {}, which does not exist{near} ({origin})", Label(name)),
            )
        }
        PlanError::Unsupported(profile, source, origin) => {
            at(Code::ProfileUnsupported, profile, &format!("{source} is not served yet"), origin)
        }
    }
}

/// A row of `profile list`: what its use would meet is a code, not a failure of the list.
pub(super) fn profile_row(row: session::ProfileView) -> ProfileRow {
    let subject = Subject { profile: row.profile.clone(), ..nobody() };
    let fault = row.error.map(|error| session(&error, &subject).code.to_string());
    ProfileRow { profile: row.profile, source: row.source, role: row.role, fault }
}
