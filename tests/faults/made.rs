//! An error of each kind of each room, with what the world fed in.

use claviger::model::{AccessKeyId, Arn, Firmware, InstanceId, KeyPairName, MfaSerial, Name, Region};
use claviger::wire::Fault;
use claviger_agent::aws::profile::{Origin, Problem, What};
use claviger_agent::aws::{self, FilesError, NetworkFault};
use claviger_agent::device;
use claviger_agent::jobs;
use claviger_agent::mfa::{Accounts, SeedError};
use claviger_agent::prompt::{NoPin, Unasked};
use claviger_agent::server::fault_seams as seams;
use claviger_agent::session;
use claviger_agent::session::plan::PlanError;
use claviger_agent::source;
use claviger_agent::ssh::{self, key};
use claviger_agent::vault;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// In every name and text of the hostile world.
pub(crate) const CANARY: &str = "canary";

/// What comes from outside.
pub(crate) struct Outside {
    profile: String,
    near: Vec<String>,
    file: PathBuf,
    theirs: String,
    name: Name,
    serial: MfaSerial,
    /// What AWS says; the network room bounds it before it is in an error.
    said: String,
    host: String,
}

/// What a message looks like on a good day.
pub(crate) fn plain() -> Outside {
    Outside {
        profile: "prod".to_owned(),
        near: vec!["prod2".to_owned(), "proud".to_owned()],
        file: PathBuf::from("/home/ada/.aws/config"),
        theirs: "/srv/aws/config".to_owned(),
        name: "dev".parse().expect("a name"),
        serial: "arn:aws:iam::123456789012:mfa/ada".parse().expect("a serial"),
        said: "User: arn:aws:iam::123456789012:user/ada is not authorized to perform: sts:AssumeRole".to_owned(),
        host: "sts.eu-west-1.amazonaws.com".to_owned(),
    }
}

/// Control characters, direction overrides and shell signs in everything that can hold them.
pub(crate) fn hostile() -> Outside {
    let text = format!("{CANARY}\u{1b}[2J\n\u{202e}'; rm -rf ~ #{}", "x".repeat(10_240));
    Outside {
        near: vec![text.clone(), text.clone(), text.clone()],
        file: PathBuf::from(format!("/home/{}/{CANARY}\u{1b}[2J\n\u{202e}.config", "y".repeat(4000))),
        theirs: text.clone(),
        said: claviger::model::Label(&text).to_string(),
        host: format!("{CANARY}.example"),
        profile: text,
        ..plain()
    }
}

/// As long as everything can be without being hostile.
pub(crate) fn longest() -> Outside {
    let long = |count: usize| "m".repeat(count);
    Outside {
        profile: long(300),
        near: vec![long(64), long(64), long(64)],
        file: PathBuf::from(format!("/{}", long(300))),
        theirs: format!("/{}", long(300)),
        name: long(64).parse().expect("a name"),
        serial: format!("arn:aws:iam::123456789012:mfa/{}", long(226)).parse().expect("a serial"),
        said: claviger::model::Label(&long(300)).to_string(),
        host: claviger::model::Label(&long(253)).to_string(),
    }
}

/// All faults, in no order.
pub(crate) fn faults(world: &Outside) -> Vec<Fault> {
    let mut faults = vec![seams::internal(), seams::timed_out(&world.profile, 15), seams::config_changed()];
    faults.push(seams::config_invalid(&format!("line 2: {}", world.said)));
    faults.push(seams::changed_at(&changed(world, "role/read", "role/admin"), &origin(world)));
    faults.extend(of_files(world).into_iter().map(seams::files));
    faults.extend(of_jobs(world).into_iter().map(seams::job));
    faults.extend(of_key_pairs(world).into_iter().map(seams::job));
    faults.extend(seams::keypair(&pair(world), &world.profile));
    faults.extend(of_vault().into_iter().map(seams::vault));
    faults.extend(of_audit(world));
    faults.extend(of_devices(world).iter().map(|error| seams::device(error, Some("YubiKey 12345678"))));
    faults.push(seams::last_try(device::Reference::Pin, &world.said));
    faults.extend(of_prompt());
    faults.extend(of_plan(world).into_iter().map(|error| session(&session::Error::Plan(error), world, None)));
    let missing = PlanError::ProfileNotFound(world.profile.clone(), world.near.clone());
    faults.push(session(&missing.into(), world, Some(&world.theirs)));
    faults.extend(of_session(world).iter().map(|error| session(error, world, None)));
    faults.extend(of_sources().into_iter().map(|error| session(&error.into(), world, None)));
    faults.extend(of_aws(world).into_iter().map(|error| session(&error.into(), world, None)));
    faults
}

/// The name of a key pair: what EC2 allows in one.
fn pair(world: &Outside) -> KeyPairName {
    let text =
        if world.profile == "prod" { "web".to_owned() } else { format!("{CANARY}'; rm -rf ~ #{}", "x".repeat(230)) };
    text.parse().expect("a name")
}

fn of_key_pairs(world: &Outside) -> Vec<jobs::Error> {
    use jobs::Error;
    let region: Region = "eu-central-1".parse().expect("a region");
    let instance: InstanceId = "i-0123456789abcdef0".parse().expect("an id");
    vec![
        Error::KeypairExists(pair(world), region.clone()),
        Error::KeypairInstanceNotFound(instance.clone(), region.clone()),
        Error::KeypairInvalid("a key pair has 45 tags at most"),
        Error::KeypairKeyMissing(world.profile.clone()),
        Error::KeypairLimit(region.clone()),
        Error::KeypairNoPassword(instance.clone(), "it does not run Windows"),
        Error::KeypairNoPassword(instance.clone(), "it was launched with an ed25519 key, which decrypts nothing"),
        Error::KeypairNotFound(pair(world), vec![region.clone()]),
        Error::KeypairNotFound(pair(world), vec![region.clone(), region.clone()]),
        Error::KeypairPasswordNotReady(instance),
        Error::KeypairRegionUnknown(region.clone()),
        Error::KeypairStranded(pair(world), region),
        Error::KeypairUnsupported(key::Ec2Fitness::WrongSize(3072)),
        Error::KeypairUnsupported(key::Ec2Fitness::WrongType),
    ]
}

fn of_prompt() -> Vec<Fault> {
    let not_started = Unasked::NotStarted { program: "pinentry", source: Arc::new(denied()) };
    let nobody = [
        Unasked::BadAnswer("the askpass program"),
        Unasked::Blocked,
        Unasked::Busy,
        Unasked::Failed(83),
        Unasked::NoDisplay,
        Unasked::Nobody,
        not_started,
        Unasked::Silent,
        Unasked::TimedOut,
        Unasked::TooMany,
        Unasked::Unusable,
        Unasked::Weary,
    ];
    nobody.into_iter().map(Fault::from).chain([NoPin::Refused.into(), NoPin::from(Unasked::Nobody).into()]).collect()
}

fn session(error: &session::Error, world: &Outside, theirs: Option<&str>) -> Fault {
    seams::session(error, &world.profile, &world.file, theirs)
}

fn of_files(world: &Outside) -> Vec<FilesError> {
    let problem = |what| Problem { origin: origin(world), what };
    vec![
        FilesError::NotText(world.file.clone()),
        FilesError::Problems(vec![problem(What::NotAProperty)]),
        FilesError::Problems(vec![problem(What::InvalidName); 20]),
        FilesError::Unreadable(world.file.clone(), denied()),
    ]
}

fn of_devices(world: &Outside) -> Vec<device::Error> {
    use device::{Applet, CertificateFlaw, Error, PinRule, Reference, Thing};
    vec![
        Error::AccountCounts,
        Error::AlgorithmUnsupported(Some(Firmware(5, 7, 0))),
        Error::AlreadyThere,
        Error::Ambiguous,
        Error::AppletMissing(Applet::Oath),
        Error::BadAnswer(world.said.clone()),
        Error::Cancelled,
        Error::CardUnusable(world.said.clone()),
        Error::Full,
        Error::Gone,
        Error::Held(None),
        Error::Held(Some("scdaemon (pid 7)".to_owned())),
        Error::Held(Some(world.said.clone())),
        Error::HelperLost,
        Error::HelperMissing,
        Error::HelperSpeech,
        Error::CertificateRefused(CertificateFlaw::OfAnotherKey),
        Error::ManagementKeyRefused(24),
        Error::ManagementKeyWrong,
        Error::NotPermitted,
        Error::NotPresent,
        Error::NotThere(Thing::Account),
        Error::PasswordNeeded,
        Error::PasswordWrong,
        Error::PinBlocked(Reference::Pin),
        Error::PinBlocked(Reference::Puk),
        Error::PinNeeded(Some(1)),
        Error::PinNotSet,
        Error::PinPaused,
        Error::PinRefused(Reference::Pin, PinRule::Longer(8)),
        Error::PinRefused(Reference::Puk, PinRule::Policy),
        Error::PinWrong { reference: Reference::Pin, left: Some(2) },
        Error::ServiceMissing,
        Error::ServiceRefused,
        Error::TimedOut,
        Error::TooLarge,
        Error::TouchTimeout,
        Error::Unsupported(None),
        Error::WeakRsa(Firmware(4, 3, 4)),
    ]
}

fn access_key_id() -> AccessKeyId {
    "AKIAIOSFODNN7EXAMPLE".parse().expect("an id")
}

fn of_jobs(world: &Outside) -> Vec<jobs::Error> {
    use jobs::Error;
    let (name, serial) = (world.name.clone(), world.serial.clone());
    vec![
        Error::AccessKeyExists(name.clone()),
        Error::AccessKeyInUse(name.clone(), name.clone()),
        Error::AccessKeyNotFound(name.clone()),
        Error::Adopted(world.profile.clone()),
        Error::Aws(aws::Error::AccessDenied { action: "iam:ListMFADevices", message: world.said.clone() }),
        Error::Aws(aws::Error::InvalidCredentials {
            action: "sts:GetCallerIdentity",
            error_code: "InvalidClientTokenId".to_owned(),
        }),
        Error::CodeRefused(serial.clone()),
        Error::FileChanged(world.file.clone()),
        Error::FileTooLarge(world.file.clone()),
        Error::FileUnsaved(world.file.clone(), full()),
        Error::Files(FilesError::NotText(world.file.clone())),
        Error::KeyTemporary(world.profile.clone(), origin(world)),
        Error::KeyUnusable(world.profile.clone(), "only one half of an access key stands in it", origin(world)),
        Error::MfaExists(name.clone()),
        Error::LastDevice(name.clone()),
        Error::LastDeviceKept(name.clone()),
        Error::MfaNotBegun(world.profile.clone()),
        Error::MfaNotReady(world.profile.clone(), serial.clone()),
        Error::MfaNameNeeded,
        Error::MfaNameTaken(name.clone()),
        Error::MfaUnfinished(world.profile.clone(), name.clone()),
        Error::NewKeyRefused(access_key_id()),
        Error::OathCounted(name.clone()),
        Error::OathInUse(name.clone()),
        Error::OathPeriod(30),
        Error::OathPeriod(3600),
        Error::OathUnfinished(name.clone()),
        Error::OathUnfit,
        Error::NoAccessKey(world.profile.clone()),
        Error::NotAKeyOfUser(access_key_id()),
        Error::OtherKeyActive(name.clone(), access_key_id(), "ada".to_owned()),
        Error::OwnKey(name.clone(), access_key_id()),
        Error::OldKeyStands {
            name: name.clone(),
            new: access_key_id(),
            old: access_key_id(),
            status: Some(aws::KeyStatus::Inactive),
            error: Box::new(aws::Error::AccessDenied { action: "iam:DeleteAccessKey", message: world.said.clone() }),
        },
        Error::TwoKeys(name.clone(), access_key_id(), aws::KeyStatus::Active, "ada".to_owned()),
        Error::TwoKeys(name.clone(), access_key_id(), aws::KeyStatus::Inactive, "ada".to_owned()),
        Error::UserSession(Arc::new(session::Error::PresenceNeeded)),
        Error::MfaNotFound(None),
        Error::MfaOnCard(name.clone()),
        Error::MfaNotFound(Some(name.clone())),
        Error::NotInTrash(name.clone()),
        Error::NoPlainKey(world.profile.clone()),
        Error::NotAdopted(world.profile.clone()),
        Error::SshCertificateExpired,
        Error::SshCertificateMalformed,
        Error::SshDestination("a destination is [user@]host, or host>[user@]host"),
        Error::SshHostUnknown(world.profile.clone()),
        Error::SshHostUnknown(format!("[{}]:2222", world.profile)),
        Error::SshKey(key::Error::CertificateOfAnotherKey),
        Error::SshKey(key::Error::DerivationTooCostly),
        Error::SshKey(key::Error::EncryptionUnsupported),
        Error::SshKey(key::Error::Malformed),
        Error::SshKey(key::Error::Message(ssh::Error::CommentTooLong)),
        Error::SshKey(key::Error::Mismatch),
        Error::SshKey(key::Error::NoPrivateKey),
        Error::SshKey(key::Error::PassphraseNeeded),
        Error::SshKey(key::Error::PassphraseWrong),
        Error::SshKey(key::Error::PublicKeyOnly),
        Error::SshKey(key::Error::RsaTooLarge { bits: 16_384 }),
        Error::SshKey(key::Error::RsaTooSmall { bits: 1024 }),
        Error::SshKey(key::Error::Signing),
        Error::SshKey(key::Error::UnsupportedType { kind: "ecdsa over another curve" }),
        Error::SshKeyExists(name.clone()),
        Error::SshKeyNotFound(name.clone()),
        Error::SshKeySame(name.clone()),
        Error::SshOption("a namespace is 1 to 256 bytes without space"),
        Error::TrashAmbiguous(name),
        Error::NotUser(if world.profile == "prod" { root().to_string() } else { world.profile.clone() }),
        Error::PlainText(world.profile.clone(), origin(world)),
        Error::Plan(world.profile.clone(), Box::new(PlanError::NoSource(world.profile.clone()))),
        Error::ProgramPath(world.file.clone()),
        Error::Seed(SeedError::AccountUnknown(Accounts(vec![world.profile.clone()]))),
        Error::Seed(SeedError::NotAws),
        Error::Seed(SeedError::NotBase32),
        Error::Seed(SeedError::NotExport),
        Error::Seed(SeedError::NotUri),
        Error::Seed(SeedError::OneSeed),
        Error::Seed(SeedError::SeveralAccounts(Accounts(vec![world.profile.clone(); 10]))),
        Error::Seed(SeedError::Size),
        Error::SerialUnknown(Vec::new()),
        Error::SerialUnknown(vec![serial; 8]),
        Error::Session(session::Error::PresenceNeeded),
        Error::Session(session::Error::StepSpent(29_001)),
        Error::Vault(vault::Error::Locked),
        Error::InstanceAmbiguous(world.profile.clone(), instances(2)),
        Error::InstanceAmbiguous(world.profile.clone(), instances(1000)),
        Error::InstanceKeyNotFound(world.profile.clone()),
        Error::InstanceKeyUnusable(Some((world.profile.clone(), "sk-ssh-ed25519@openssh.com".to_owned()))),
        Error::InstanceKeyUnusable(None),
        Error::InstanceManaged("mi-0123456789abcdef0".to_owned()),
        Error::InstanceNoAddress(instance(1)),
        Error::InstanceNotFound(world.profile.clone(), region()),
        Error::InstanceNotRunning(instance(1), aws::InstanceState::Stopped),
        Error::InstanceNotRunning(instance(1), aws::InstanceState::Pending),
        Error::InstanceRegionUnknown(world.profile.clone()),
        Error::WouldChange(world.profile.clone()),
    ]
}

fn of_plan(world: &Outside) -> Vec<PlanError> {
    let profile = || world.profile.clone();
    let circle = |count: usize| {
        let mut names: Vec<String> = (0..count).map(|number| format!("{}{number}", world.profile)).collect();
        names.push(format!("{}0", world.profile));
        names
    };
    let not_allowed = || aws::Error::EndpointNotAllowed { host: format!("https://{}", world.host) };
    vec![
        PlanError::AccessKeyNotFound(world.name.clone(), origin(world)),
        PlanError::CommandNotAllowed(profile(), origin(world)),
        PlanError::Conflict(
            profile(),
            "role_arn needs source_profile, credential_source or claviger_access_key",
            origin(world),
        ),
        PlanError::Endpoint(not_allowed(), None),
        PlanError::Endpoint(not_allowed(), Some((profile(), origin(world)))),
        PlanError::Endpoint(
            aws::Error::EndpointInvalid { why: "an endpoint has no space, control character or backslash" },
            Some((profile(), origin(world))),
        ),
        PlanError::EnvironmentSource(profile(), origin(world)),
        PlanError::FrozenChain(profile()),
        PlanError::FrozenSource(profile()),
        PlanError::Invalid(
            profile(),
            "session_tags is at most 50 of KEY=VALUE with commas between, each key once, of letters, digits and _.:/=+-@",
            origin(world),
        ),
        PlanError::Loop(circle(1), origin(world)),
        PlanError::Loop(circle(2), origin(world)),
        PlanError::Loop(circle(10_000), origin(world)),
        PlanError::MfaContradicts(
            profile(),
            "mfa_serial is another device than a profile above it names",
            origin(world),
        ),
        PlanError::NoSource(profile()),
        PlanError::PlainText(profile(), origin(world)),
        PlanError::ProfileNotFound(profile(), Vec::new()),
        PlanError::ProfileNotFound(profile(), world.near.clone()),
        PlanError::SourceNotConfigured(profile(), origin(world)),
        PlanError::SourceNotFound(profile(), world.near.clone(), origin(world)),
        PlanError::Unsupported(profile(), "a web identity token", origin(world)),
    ]
}

fn of_session(world: &Outside) -> Vec<session::Error> {
    use session::Error;
    let serial = || world.serial.clone();
    vec![
        Error::CodeNeeded(serial()),
        Error::CodeRefused { serial: serial(), held: false },
        Error::CodeRefused { serial: serial(), held: true },
        Error::Device { error: device::Error::NotPresent, card: 12_345_678 },
        Error::Locked,
        Error::LongLived,
        Error::PresenceNeeded,
        Error::ProfileChanged(Box::new(changed(world, "role/read", "role/admin"))),
        Error::StepSpent(12_000),
        Error::StepsSpent(serial()),
        Error::Vault(vault::Error::StateUnsaved { source: full() }),
    ]
}

fn of_sources() -> Vec<source::Error> {
    use source::{Ending, Error, Kind};
    vec![
        Error::BadAnswer(Kind::Process, "its Expiration is not RFC 3339"),
        Error::BadAnswer(Kind::InstanceMetadata, "the instance has no role"),
        Error::CommandFailed(Ending::Exit(1)),
        Error::CommandFailed(Ending::Signal(9)),
        Error::CommandNotStarted(denied()),
        Error::CommandTimedOut(60),
        Error::CommandTooMuch(65_536),
        Error::Ended(Kind::Process),
        Error::Refused(Kind::InstanceMetadata, 404),
        Error::TokenFile(denied()),
        Error::Unreachable(Kind::InstanceMetadata, NetworkFault::TimedOut),
        Error::Unreachable(Kind::Container, NetworkFault::NotConnected),
    ]
}

/// A profile whose role is another than it was.
fn changed(world: &Outside, was: &str, now: &str) -> session::ProfileChange {
    let long = if world.profile == "prod" { String::new() } else { world.profile.clone() };
    let pin = |role: &str| vault::PinnedProfile {
        source: "access key dev".to_owned(),
        account: Some("123456789012".to_owned()),
        roles: vec![format!("arn:aws:iam::123456789012:{role}{long}")],
    };
    session::ProfileChange { profile: world.profile.clone(), was: pin(was), now: pin(now) }
}

fn of_aws(world: &Outside) -> Vec<aws::Error> {
    use aws::Error;
    let (action, message, host) = ("sts:AssumeRole", world.said.clone(), world.host.clone());
    vec![
        Error::AccessDenied { action, message: message.clone() },
        Error::AccessDenied { action, message: String::new() },
        Error::BadAnswer { action, why: "no AccessKeyId" },
        Error::ClockSkew { action, skew_millis: Some(-3_600_000) },
        Error::ClockSkew { action, skew_millis: Some(3_600_000) },
        Error::ClockSkew { action, skew_millis: None },
        Error::CodeRefused { message: message.clone() },
        Error::Expired { action },
        Error::InvalidCredentials { action, error_code: "InvalidClientTokenId".to_owned() },
        Error::InvalidRequest { action, message: message.clone() },
        Error::Refused { action, code: "LimitExceeded", message },
        Error::RegionDisabled { host: host.clone() },
        Error::ServiceError { action, error_code: "InternalFailure".to_owned(), status: 500 },
        Error::Throttled { action },
        Error::TimedOut { host: host.clone(), sent: true },
        Error::Unreachable { host: host.clone(), fault: NetworkFault::NotConnected, sent: false },
        Error::Unreachable { host: host.clone(), fault: NetworkFault::CertificateDates, sent: false },
        Error::Unreachable { host: host.clone(), fault: NetworkFault::ProxyNotConnected, sent: false },
        Error::Unreachable { host: host.clone(), fault: NetworkFault::ProxyRefused, sent: false },
        Error::Unreachable { host: host.clone(), fault: NetworkFault::ProxySilent, sent: false },
        Error::Unreachable { host, fault: NetworkFault::UntrustedCertificate, sent: false },
        Error::Unsendable { why: "a header value has a control character" },
    ]
}

fn of_vault() -> Vec<vault::Error> {
    use vault::Error;
    vec![
        Error::Absent,
        Error::BackupAbsent,
        Error::BackupDamaged,
        Error::BackupExists,
        Error::BackupUnreadable { source: denied() },
        Error::BackupUnsaved { source: full() },
        Error::ChangedOnDisk,
        Error::CopiesLeft { source: denied() },
        Error::Damaged,
        Error::Exists,
        Error::Interrupted,
        Error::LastSlot,
        Error::Locked,
        Error::Newer,
        Error::NoEntropy { source: denied() },
        Error::NoMemory,
        Error::OnlyDevices,
        Error::PassphraseNeeded,
        Error::ProofGoes { slot: 1, recovery: false },
        Error::ProofGoes { slot: 2, recovery: true },
        Error::RolledBack { found: 5, known: 9 },
        Error::SlotNotFound,
        Error::SlotsFull,
        Error::StateUnsaved { source: full() },
        Error::StepSpent,
        Error::TooLarge,
        Error::Unreadable { source: denied() },
        Error::Unsaved { source: full() },
        Error::Unsynced { source: full() },
        Error::Wait { seconds: 8 },
        Error::WeakPassphrase,
        Error::WrongDevice,
        Error::WrongProof,
    ]
}

fn instance(number: usize) -> InstanceId {
    format!("i-{number:017x}").parse().expect("an id")
}

fn instances(count: usize) -> Vec<(InstanceId, aws::InstanceState)> {
    (0..count).map(|number| (instance(number), aws::InstanceState::ShuttingDown)).collect()
}

fn region() -> Region {
    "ap-southeast-1".parse().expect("a region")
}

fn origin(world: &Outside) -> Origin {
    Origin { file: Path::new(&world.file).into(), line: 12 }
}

fn root() -> Arn {
    "arn:aws:iam::123456789012:root".parse().expect("an ARN")
}

fn denied() -> io::Error {
    io::Error::from_raw_os_error(13)
}

fn full() -> io::Error {
    io::Error::from_raw_os_error(28)
}

fn of_audit(world: &Outside) -> Vec<Fault> {
    use claviger_agent::audit::Error;
    let full = || io::Error::from(io::ErrorKind::PermissionDenied);
    vec![
        seams::audit(&Error::Full { folder: world.file.clone() }),
        seams::audit(&Error::Unwritable { source: full() }),
        seams::audit_unreadable(&full()),
        seams::audit_unknown_event(&world.profile),
        seams::audit_unknown_event("session.nwe"),
        seams::audit_unknown_id(),
    ]
}
