//! Every room's error as a fault with a stable code and one hint. The only such place.

pub(super) mod audit;
pub(super) mod device;
pub(super) mod keypair;

use crate::aws::FilesError;
use crate::aws::profile::{Origin, Problem};
use crate::session::plan::PlanError;
use crate::vault::{Custody, VaultState};
use crate::{aws, jobs, session, vault};
use claviger::model::{Label, MfaSerial, Name};
use claviger::wire::{Code, Fault, ProfileRow};
use std::path::{Path, PathBuf};

mod adoption;
mod iam;
mod instance;
mod mfa;
mod oath;
mod pins;
mod prompt;
mod source;
mod ssh_key;

pub(super) use pins::{config_changed, config_invalid, session_of};

/// The profile a fault is about, and where the agent looked for it.
pub(super) struct Subject {
    pub(super) profile: String,
    /// The config file the agent reads.
    pub(super) reads: PathBuf,
    /// The one the client means, where it differs.
    pub(super) client_reads: Option<String>,
}

/// Most characters of a name from outside in a message: with this and the next two it stays one line of at most 300.
const NAME_LIMIT: usize = 64;
/// Most characters of a path in a message; its end says the most.
const PATH_LIMIT: usize = 80;
/// Most characters of a serial in a message: the ARN of a device, with a long path.
const SERIAL_LIMIT: usize = 128;

/// A name from outside, printable and short.
fn shown(name: &str) -> String {
    if name.is_empty() { "''".to_owned() } else { cut(&Label(name).to_string(), NAME_LIMIT) }
}

fn cut(text: &str, most: usize) -> String {
    match text.char_indices().nth(most) {
        Some((end, _)) => format!("{}…", text.get(..end).unwrap_or_default()),
        None => text.to_owned(),
    }
}

/// A path, printable; of a long one the end, which tells more.
fn path(path: &Path) -> String {
    let text = path.to_string_lossy();
    let excess = text.chars().count().saturating_sub(PATH_LIMIT);
    let end: String = text.chars().skip(excess).collect();
    if excess == 0 { Label(&end).to_string() } else { format!("…{}", Label(&end)) }
}

fn place(origin: &Origin) -> String {
    format!("{}, line {}", path(&origin.file), origin.line)
}

fn serial(serial: &MfaSerial) -> String {
    cut(serial.as_str(), SERIAL_LIMIT)
}

/// What the disk or the kernel said is what a person needs to act on: "No space left on device".
fn cause(error: &dyn std::error::Error) -> String {
    error.source().map(|source| format!(": {}", shown(&source.to_string()))).unwrap_or_default()
}

/// `claviger VERB PROFILE` as it can be typed; a name that cannot be shown as it is leaves the verb's `otherwise`.
fn command(verb: &str, profile: &str, otherwise: &str) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || "_+=,.@:/%-".contains(c);
    if profile.is_empty() || shown(profile) != profile || profile.contains('\'') {
        return format!("claviger {otherwise}");
    }
    let word = if profile.chars().all(plain) { profile.to_owned() } else { format!("'{profile}'") };
    let end_of_options = if profile.starts_with('-') { "-- " } else { "" };
    format!("claviger {verb} {end_of_options}{word}")
}

fn login(profile: &str) -> String {
    command("login", profile, "login")
}

fn explain(profile: &str) -> String {
    command("profile explain", profile, "profile list")
}

fn show(profile: &str) -> String {
    command("profile show", profile, "profile list")
}

/// An access key is named like its profile where that is a name for one.
fn add_access_key(profile: &str) -> String {
    let name = profile.parse::<Name>().ok().filter(|name| !name.as_str().starts_with('-'));
    format!("claviger access-key add {}", name.as_ref().map_or("NAME", Name::as_str))
}

/// What is left to do where the access key cannot have the profile's name.
fn name_it(profile: &str) -> &'static str {
    if profile.parse::<Name>().is_ok_and(|name| !name.as_str().starts_with('-')) {
        ""
    } else {
        "; name the access key in claviger_access_key"
    }
}

pub(super) fn internal() -> Fault {
    Fault::new(Code::Internal, "this should not happen: please report it")
}

pub(super) fn timed_out(profile: &str, seconds: u64) -> Fault {
    let message = format!("no credentials for {} within {seconds} s; the work goes on", shown(profile));
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
        Error::BackupAbsent | Error::BackupUnreadable { .. } => Code::BackupUnreadable,
        Error::BackupDamaged => Code::BackupDamaged,
        Error::BackupExists => Code::BackupExists,
        Error::BackupUnsaved { .. } => Code::BackupUnsaved,
        Error::PassphraseNeeded => Code::BackupPassphraseNeeded,
        Error::ChangedOnDisk => Code::VaultChanged,
        Error::Damaged => Code::VaultDamaged,
        Error::Exists => Code::VaultExists,
        Error::LastSlot => Code::SlotLast,
        Error::OnlyDevices => Code::SlotOnlyDevices,
        Error::WrongDevice => Code::SlotWrongDevice,
        Error::Locked => Code::VaultLocked,
        Error::Newer => Code::VaultNewer,
        Error::RolledBack { .. } => Code::VaultRolledBack,
        Error::SlotNotFound => Code::SlotNotFound,
        Error::SlotsFull => Code::SlotsFull,
        Error::StateUnsaved { .. } | Error::StepSpent => Code::StateUnsaved,
        Error::Wait { .. } => Code::VaultWait,
        Error::WeakPassphrase => Code::VaultWeakPassphrase,
        Error::WrongProof | Error::ProofGoes { .. } => Code::VaultWrongProof,
        Error::CopiesLeft { .. } => Code::SlotCopiesLeft,
        Error::Interrupted => Code::Internal,
        Error::NoMemory => Code::VaultNoMemory,
        Error::Unreadable { .. } => Code::VaultUnreadable,
        Error::Unsynced { .. } => Code::VaultUnsynced,
        Error::NoEntropy { .. } | Error::TooLarge | Error::Unsaved { .. } => Code::VaultUnsaved,
    };
    let fault = Fault::new(code, vault_message(error));
    match error {
        Error::SlotsFull => fault.hint("claviger slot list"),
        Error::LastSlot => fault.hint("claviger slot add passphrase"),
        Error::WrongProof => fault.hint("claviger unlock --recovery"),
        Error::ProofGoes { slot, recovery: false } => fault.hint(format!("claviger slot remove --recovery {slot}")),
        Error::ProofGoes { slot, recovery: true } => fault.hint(format!("claviger slot remove {slot}")),
        Error::Newer => fault.hint("claviger --version"),
        Error::CopiesLeft { .. } => fault.hint("claviger slot list"),
        Error::Damaged | Error::Unreadable { .. } => fault.hint("claviger status"),
        _ => fault,
    }
}

/// The room's own words, and what to do where they do not say it.
fn vault_message(error: &vault::Error) -> String {
    use vault::Error;
    match error {
        Error::Damaged => {
            "the vault is damaged; it was left untouched: put back the copy vault.prev or a daily one beside it"
                .to_owned()
        }
        Error::Interrupted => "the work was interrupted before it was done: try again".to_owned(),
        Error::Newer => "the vault was written by a newer claviger; it was left untouched: update this one".to_owned(),
        Error::NoMemory => format!("{error}: end other programs and try again"),
        Error::SlotsFull => "the vault has as many slots as it takes: remove one first".to_owned(),
        Error::LastSlot => "the last slot that a person can open cannot be removed: add another first".to_owned(),
        Error::TooLarge => {
            "the vault would be larger than it may be; the old one stands: remove items first".to_owned()
        }
        Error::Wait { seconds } => format!("after a wrong guess the next one waits: {seconds} s left"),
        Error::ProofGoes { .. } => format!("{error}: give that of one that stays"),
        Error::WeakPassphrase => "a passphrase has 1 to 1024 bytes".to_owned(),
        Error::StateUnsaved { .. } => {
            format!("no code may be spent while the ledger cannot be written{}", cause(error))
        }
        Error::RolledBack { .. } => format!("{error}: it is open for reading alone until that is accepted"),
        Error::StepSpent => "the current code is spent: try again".to_owned(),
        _ => format!("{error}{}", cause(error)),
    }
}

/// The AWS files cannot be read or parsed: every problem is a line, the first is told.
pub(super) fn files(error: FilesError) -> Fault {
    files_ref(&error)
}

fn files_ref(error: &FilesError) -> Fault {
    let message = match error {
        FilesError::Problems(problems) => {
            let told = |problem: &Problem| format!("{}: {}", place(&problem.origin), problem.what);
            let first = problems.first().map_or_else(String::new, told);
            let more = problems.len().saturating_sub(1);
            if more == 0 { first } else { format!("{first} ({more} more)") }
        }
        FilesError::NotText(file) => format!("{} is not UTF-8", path(file)),
        FilesError::Unreadable(file, _) => format!("{} cannot be read{}", path(file), cause(error)),
    };
    Fault::new(Code::ProfileUnreadable, message)
}

pub(super) fn session(error: &session::Error, subject: &Subject) -> Fault {
    use session::Error;
    let profile = &subject.profile;
    match error {
        Error::Audit(error) => audit::audit(error),
        Error::Aws(error) => aws_fault(error, profile),
        Error::CodeNeeded(device) => {
            Fault::new(Code::MfaCodeNeeded, format!("a code of {} must be typed", serial(device))).hint(login(profile))
        }
        Error::Device { error, card } => device::fault(error, Some(&session::named(Some(*card)))),
        Error::CodeRefused { serial, held: true } => mfa::code_refused(serial),
        Error::CodeRefused { serial: device, held: false } => {
            Fault::new(Code::MfaCodeRefused, format!("AWS refused the code of {}: type the next", serial(device)))
                .hint(login(profile))
        }
        Error::LongLived => source::long_lived(profile),
        Error::Locked => locked(),
        Error::Plan(error) => plan(error, subject),
        Error::PresenceNeeded => {
            let message = "a code is spent only while a person has been here lately ([mfa] presence)";
            // Without a profile it was a code that was asked for.
            let hint = if profile.is_empty() { "claviger unlock".to_owned() } else { login(profile) };
            Fault::new(Code::MfaPresenceNeeded, message).hint(hint)
        }
        Error::Source(error) => source::source(error, subject),
        Error::ProfileChanged(change) => pins::changed(change, None),
        Error::StepSpent(millis) => mfa::step_spent(*millis),
        Error::StepsSpent(serial) => mfa::steps_spent(serial),
        Error::Vault(error) => vault_ref(error),
    }
}

pub(super) fn job(error: jobs::Error) -> Fault {
    job_ref(&error)
}

/// The same of a job that calls AWS in the name of a profile.
pub(super) fn job_of(error: &jobs::Error, profile: &str) -> Fault {
    match error {
        jobs::Error::Aws(error) => aws_fault(error, profile),
        other => job_ref(other),
    }
}

pub(super) fn job_ref(error: &jobs::Error) -> Fault {
    use jobs::Error;
    match error {
        Error::AccessKeyExists(name) => {
            Fault::new(Code::AccessKeyExists, format!("an access key is stored as {name} already"))
        }
        Error::AccessKeyInUse(name, device) => {
            Fault::new(Code::AccessKeyInUse, format!("authenticator {device} belongs to access key {name}"))
                .hint(named("mfa remove", device))
        }
        Error::AccessKeyNotFound(name) => {
            Fault::new(Code::AccessKeyNotFound, format!("no access key is stored as {name}"))
        }
        Error::NotInTrash(name) => Fault::new(Code::TrashNotFound, format!("nothing named {name} is in the trash")),
        Error::TrashAmbiguous(name) => {
            let message = format!("more than one kind of item named {name} is in the trash: say which");
            Fault::new(Code::TrashAmbiguous, message)
        }
        Error::Files(error) => files_ref(error),
        Error::Plan(profile, error) => plan(error, &Subject { profile: profile.clone(), ..nobody() }),
        Error::NotUser(arn) => {
            let message = format!(
                "the key belongs to {}: give the access key of an IAM user",
                cut(&Label(arn).to_string(), SERIAL_LIMIT)
            );
            Fault::new(Code::AccessKeyNotUser, message)
        }
        Error::Aws(error) => aws_fault(error, ""),
        Error::CodeRefused(serial) => mfa::code_refused(serial),
        Error::MfaExists(name) => Fault::new(Code::MfaExists, format!("an authenticator is stored as {name} already")),
        Error::MfaOnCard(name) => {
            Fault::new(Code::MfaSeedUnreadable, format!("the seed of {name} is on a YubiKey, which gives it to nobody"))
        }
        Error::MfaNotFound(Some(name)) => {
            Fault::new(Code::MfaNotFound, format!("no authenticator is stored as {name}"))
        }
        Error::MfaNotFound(None) => Fault::new(Code::MfaNotFound, "there is not exactly one authenticator: name one"),
        Error::Seed(error) => mfa::seed(error),
        Error::SerialUnknown(listed) => mfa::serial_unknown(listed),
        Error::Session(error) => session(error, &nobody()),
        Error::Vault(error) => vault_ref(error),
        error => [ssh_key::fault, iam::fault, oath::fault, instance::fault, keypair::fault]
            .iter()
            .find_map(|fault| fault(error))
            .unwrap_or_else(|| adoption::fault(error)),
    }
}

fn named(verb: &str, name: &Name) -> String {
    let end_of_options = if name.as_str().starts_with('-') { "-- " } else { "" };
    format!("claviger {verb} {end_of_options}{name}")
}

fn nobody() -> Subject {
    about("")
}

/// Of work that no client waits for.
pub(super) fn about(profile: &str) -> Subject {
    Subject { profile: profile.to_owned(), reads: PathBuf::new(), client_reads: None }
}

/// `profile` is empty where the access key itself called.
fn aws_fault(error: &aws::Error, profile: &str) -> Fault {
    use aws::Error;
    let asked = |hint: fn(&str) -> String| (!profile.is_empty()).then(|| hint(profile));
    let access_keys = || Some("claviger access-key list".to_owned());
    let (code, hint) = match error {
        Error::AccessDenied { .. } => (Code::AwsAccessDenied, asked(explain)),
        Error::BadAnswer { .. } => (Code::AwsBadAnswer, asked(explain)),
        Error::ClockSkew { .. } => (Code::AwsClockSkew, None),
        Error::CodeRefused { .. } => (Code::MfaCodeRefused, Some("claviger mfa list".to_owned())),
        Error::EndpointInvalid { .. } => (Code::ProfileInvalid, asked(show)),
        Error::EndpointNotAllowed { .. } => (Code::EndpointNotAllowed, asked(show)),
        Error::Expired { .. } => (Code::AwsInvalidCredentials, asked(login)),
        Error::InvalidCredentials { .. } => (Code::AwsInvalidCredentials, access_keys()),
        Error::InvalidRequest { .. } | Error::Unsendable { .. } => (Code::AwsInvalidRequest, asked(show)),
        Error::Refused { .. } => (Code::AwsRefused, None),
        Error::RegionDisabled { .. } => (Code::AwsRegionDisabled, asked(show)),
        Error::ServiceError { .. } => (Code::AwsServiceError, None),
        Error::Throttled { .. } => (Code::AwsThrottled, None),
        Error::TimedOut { .. } => (Code::AwsTimedOut, None),
        Error::Unreachable { .. } => (Code::AwsUnreachable, None),
    };
    let what_to_do = match error {
        Error::Expired { .. } | Error::ServiceError { .. } | Error::TimedOut { .. } => ": try again",
        Error::RegionDisabled { .. } => ": enable it or name another",
        Error::Throttled { .. } => ": try again in a minute",
        _ => "",
    };
    let fault = Fault::new(code, format!("{error}{what_to_do}"));
    match hint {
        Some(hint) => fault.hint(hint),
        None => fault,
    }
}

pub(super) fn profile_not_found(subject: &Subject, nearest: Vec<String>) -> Fault {
    let message = format!("no profile is named {}{}", shown(&subject.profile), near(&nearest));
    match &subject.client_reads {
        Some(theirs) => {
            // A TOML literal string holds anything but its own quote and control characters.
            let as_it_is = Label(theirs).to_string() == *theirs && !theirs.contains('\'');
            let value = if as_it_is { format!("= '{theirs}'") } else { "to what AWS_CONFIG_FILE says".to_owned() };
            Fault::new(Code::ProfileNotFound, format!("{message}; the agent reads {}", path(&subject.reads)))
                .hint(format!("set [aws] config_file {value} in config.toml"))
        }
        None => Fault::new(Code::ProfileNotFound, message),
    }
}

/// The nearest names, as many as fit on the line.
fn near(nearest: &[String]) -> String {
    let mut text = String::new();
    for name in nearest.iter().map(|name| shown(name)) {
        if text.chars().count() + name.chars().count() > NAME_LIMIT * 2 {
            break;
        }
        text.push_str(if text.is_empty() { "; near it: " } else { ", " });
        text.push_str(&name);
    }
    text
}

fn plan(error: &PlanError, subject: &Subject) -> Fault {
    let at = |code, profile: &str, what: &str, origin: &Origin| {
        Fault::new(code, format!("profile {}: {what} ({})", shown(profile), place(origin))).hint(show(profile))
    };
    match error {
        PlanError::AccessKeyNotFound(name, origin) => {
            at(Code::AccessKeyNotFound, &subject.profile, &format!("no access key is stored as {name}"), origin)
                .hint(add_access_key(name.as_str()))
        }
        PlanError::CommandNotAllowed(profile, origin) => source::not_allowed(profile, origin),
        PlanError::Conflict(profile, rule, origin) => at(Code::ProfileConflict, profile, rule, origin),
        PlanError::Endpoint(error, setting) => {
            let fault = aws_fault(error, &subject.profile);
            match setting {
                Some((profile, origin)) => match error {
                    aws::Error::EndpointInvalid { why } => at(fault.code, profile, why, origin),
                    aws::Error::EndpointNotAllowed { host } => {
                        let what = format!("the endpoint {} is neither AWS's nor in [endpoints] allow", shown(host));
                        at(fault.code, profile, &what, origin)
                    }
                    _ => at(fault.code, profile, &error.to_string(), origin),
                },
                None => fault,
            }
        }
        PlanError::EnvironmentSource(profile, origin) => source::environment(profile, origin),
        PlanError::FrozenChain(profile) => Fault::new(
            Code::ProfileConflict,
            format!(
                "profile {}: STS ends a session through several roles after 1 h: ask for duration_seconds = 3600",
                shown(profile)
            ),
        )
        .hint(explain(profile)),
        PlanError::FrozenSource(profile) => source::frozen(profile),
        PlanError::Invalid(profile, rule, origin) => at(Code::ProfileInvalid, profile, rule, origin),
        PlanError::Loop(circle, origin) => circular(circle, origin),
        PlanError::MfaContradicts(profile, rule, origin) => at(Code::MfaContradicts, profile, rule, origin),
        PlanError::NoSource(profile) => {
            let name_it = name_it(profile);
            let message = format!("profile {} has no access key here and no source_profile{name_it}", shown(profile));
            Fault::new(Code::ProfileNoSource, message).hint(add_access_key(profile))
        }
        PlanError::PlainText(profile, origin) => {
            at(Code::ProfileUnsupported, profile, "its access key stands in plain text", origin).hint(command(
                "access-key import",
                profile,
                "access-key import --all",
            ))
        }
        PlanError::ProfileNotFound(_, nearest) => profile_not_found(subject, nearest.clone()),
        PlanError::SourceNotConfigured(profile, origin) => source::not_configured(profile, origin),
        PlanError::SourceNotFound(name, nearest, origin) => Fault::new(
            Code::ProfileNotFound,
            format!("the source profile {} does not exist{} ({})", shown(name), near(nearest), place(origin)),
        ),
        PlanError::Unsupported(profile, source, origin) => {
            let what = format!("{source} is not served yet: use an access key or another tool");
            at(Code::ProfileUnsupported, profile, &what, origin)
        }
    }
}

/// The names in the circle, as many as fit on the line.
fn circular(circle: &[String], origin: &Origin) -> Fault {
    let message = match circle {
        [one, _] => format!("profile {0} is its own source_profile, and no access key is stored as {0}", shown(one)),
        [first, second, .., last, _] if circle.len() > 4 => {
            let more = circle.len().saturating_sub(4);
            let names = [first, second, last].map(|name| cut(&shown(name), NAME_LIMIT / 2));
            let [first, second, last] = names;
            format!("source_profile leads back to itself: {first} → {second} → … {more} more … → {last} → {first}")
        }
        names => {
            let names: Vec<String> = names.iter().map(|name| cut(&shown(name), NAME_LIMIT / 2)).collect();
            format!("source_profile leads back to itself: {}", names.join(" → "))
        }
    };
    let fault = Fault::new(Code::ProfileLoop, format!("{message} ({})", place(origin)));
    match circle {
        [one, _] => fault.hint(add_access_key(one)),
        [first, ..] => fault.hint(show(first)),
        [] => fault,
    }
}

/// A row of `profile list`: what its use would meet is a code, not a failure of the list.
pub(super) fn profile_row(row: session::ProfileView) -> ProfileRow {
    let subject = Subject { profile: row.profile.clone(), ..nobody() };
    let fault = row.error.map(|error| session(&error, &subject).code.to_string());
    ProfileRow { profile: row.profile, source: row.source, role: row.role, adopted: row.adopted, fault }
}

/// The texts, for the tests that read every one of them.
#[cfg(any(test, feature = "test-seams"))]
pub mod seams {
    use super::{Fault, Path, Subject};
    use crate::{aws, jobs, session, vault};

    /// The fault of an act that cannot be recorded.
    pub fn audit(error: &crate::audit::Error) -> Fault {
        super::audit::audit(error)
    }

    /// The fault of a record that cannot be read.
    pub fn audit_unreadable(error: &std::io::Error) -> Fault {
        super::audit::unreadable(error)
    }

    /// The fault of an id that no record has.
    pub fn audit_unknown_event(name: &str) -> Fault {
        super::audit::unknown_event(name)
    }

    /// No record names the id.
    pub fn audit_unknown_id() -> Fault {
        super::audit::unknown_id()
    }

    /// The last try of a device's PIN.
    pub fn last_try(reference: crate::device::Reference, device: &str) -> Fault {
        super::device::last_try(reference, device)
    }

    /// The fault of a device.
    pub fn device(error: &crate::device::Error, device: Option<&str>) -> Fault {
        super::device::fault(error, device)
    }

    /// The fault of the AWS files.
    pub fn files(error: aws::FilesError) -> Fault {
        super::files(error)
    }

    /// The fault of a profile that changed, with the line that says so.
    pub fn changed_at(change: &session::ProfileChange, origin: &super::Origin) -> Fault {
        super::pins::changed(change, Some(origin))
    }

    /// The fault of settings that moved under the person's eyes.
    pub fn config_changed() -> Fault {
        super::config_changed()
    }

    /// The fault of config.toml.
    pub fn config_invalid(mistake: &str) -> Fault {
        super::config_invalid(mistake.to_owned())
    }

    /// The fault of a job.
    pub fn job(error: jobs::Error) -> Fault {
        super::job(error)
    }

    /// The faults of key pairs that no error of a job is.
    pub fn keypair(name: &claviger::model::KeyPairName, profile: &str) -> [Fault; 6] {
        let [one, many] = [1, 12].map(|instances| super::keypair::in_use(name, instances));
        let region = claviger::model::Partition::commercial().region();
        let here = super::keypair::not_ours(name, std::slice::from_ref(&region));
        let there = super::keypair::not_ours(name, &[region.clone(), region]);
        [one, many, super::keypair::no_region(profile), here, there, super::keypair::declined()]
    }

    /// The fault of a session of a profile, where the agent reads `reads` and the client means `client_reads`.
    pub fn session(error: &session::Error, profile: &str, reads: &Path, client_reads: Option<&str>) -> Fault {
        let client_reads = client_reads.map(str::to_owned);
        super::session(error, &Subject { profile: profile.to_owned(), reads: reads.to_owned(), client_reads })
    }

    /// The fault of a wait that ended.
    pub fn timed_out(profile: &str, seconds: u64) -> Fault {
        super::timed_out(profile, seconds)
    }

    /// The fault of a defect.
    pub fn internal() -> Fault {
        super::internal()
    }

    /// The fault of the vault.
    pub fn vault(error: vault::Error) -> Fault {
        super::vault(error)
    }
}
