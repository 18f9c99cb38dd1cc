//! What the agent answers.

use super::Changes;
use super::ConfigView;
use super::EndpointRow;
use super::Fault;
use super::agent::Restarted;
use super::device::DeviceList;
use super::doctor::Finding;
use super::fido::FidoRow;
use super::iam::{AccessKeyAtAws, AccessKeyRotated, MfaEnrolled};
use super::keeping::{OlderVault, TrashRow};
use super::keypair::{InstancePassword, KeypairOutcome};
use super::oath::{OathCard, OathCode};
use super::piv::{PivCard, PivKeyRow};
use super::ssh_instance::SshInstanceRow;
use super::ssh_key::{SshKeyExport, SshKeyRow};
use super::{AuditPage, AuditStory, AuditVerdict};
use crate::model::{AccessKeyId, AccountId, Arn, MfaSerial, Name, OathName, Region, SlotDevice, SlotKind};
use crate::secret::{ConsolePassword, EndpointToken, SecretAccessKey, SessionToken, TotpSeedText, text};
use serde::{Deserialize, Serialize};

/// One variant per shape of answer.
#[derive(Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Reply {
    /// To access_key_add.
    AccessKey(AccessKeyRow),
    /// To access_key_export.
    AccessKeyExport(AccessKeyExport),
    /// To access_key_rotate.
    AccessKeyRotated(AccessKeyRotated),
    /// To access_key_list.
    AccessKeys(Vec<AccessKeyRow>),
    /// To profile_adopt, profile_release and access_key_import.
    Changes(Changes),
    /// To config_show.
    Config(ConfigView),
    /// To audit_log.
    AuditPage(AuditPage),
    /// To audit_why.
    AuditStory(AuditStory),
    /// To audit_verify.
    AuditVerdict(AuditVerdict),
    /// To credentials.
    Credentials(Credentials),
    /// To device_list.
    Devices(DeviceList),
    /// Done; nothing to show.
    Done {},
    /// To endpoint_open.
    Endpoint(OpenEndpoint),
    /// To profile_explain.
    Explanation(Explanation),
    /// To fido_list.
    FidoCredentials(Vec<FidoRow>),
    /// To doctor.
    Findings(Vec<Finding>),
    /// To keypair_password.
    InstancePassword(InstancePassword),
    /// To keypair_create, keypair_delete, keypair_import and keypair_rotate; to keypair_list, after its rows.
    Keypairs(KeypairOutcome),
    /// To login.
    Session(SessionRow),
    /// To mfa_add and mfa_rename.
    Mfa(MfaRow),
    /// To mfa_code.
    MfaCode {
        /// Six digits.
        #[serde(with = "text")]
        code: crate::secret::TokenCode,
        /// How long AWS takes it.
        seconds_left: u64,
    },
    /// To mfa_enroll.
    MfaEnrolled(MfaEnrolled),
    /// To mfa_list.
    MfaDevices(Vec<MfaRow>),
    /// To mfa_export.
    MfaExport {
        /// The otpauth URI.
        #[serde(with = "text")]
        uri: TotpSeedText,
    },
    /// To oath_list.
    OathCards(Vec<OathCard>),
    /// To oath_code.
    OathCode(OathCode),
    /// To password_suggest.
    Password {
        /// The password.
        #[serde(with = "text")]
        password: ConsolePassword,
    },
    /// To piv_list.
    PivCards(Vec<PivCard>),
    /// To piv_certificate: PEM, of `attest` that of the key and that of the card.
    PivCertificates(Vec<String>),
    /// To piv_new.
    PivKey(PivKeyRow),
    /// To profile_list.
    Profiles(Vec<ProfileRow>),
    /// To restart.
    Restarted(Restarted),
    /// To profile_show.
    Settings(Vec<Setting>),
    /// To slot_list and slot_add.
    Slots(Vec<SlotRow>),
    /// To ssh_instance.
    SshInstance(SshInstanceRow),
    /// To ssh_key_add, ssh_key_new and ssh_key_public.
    SshKey(SshKeyRow),
    /// To ssh_key_export.
    SshKeyExport(SshKeyExport),
    /// To ssh_key_list.
    SshKeys(Vec<SshKeyRow>),
    /// To status.
    Status(Status),
    /// To trash_list, the latest first.
    Trash(Vec<TrashRow>),
    /// To whoami.
    Whoami(Whoami),
}

/// A row of `access-key list`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct AccessKeyRow {
    /// Its name here.
    pub name: Name,
    /// Its id at AWS.
    pub access_key_id: AccessKeyId,
    /// The user it belongs to; absent until AWS has been asked.
    pub user: Option<Arn>,
    /// When it was added, RFC 3339.
    pub added: String,
    /// Its age in whole days: since AWS made it, where that is known, else since it was added.
    #[serde(default)]
    pub age_days: u64,
    /// What AWS says of it, where it was asked.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub at_aws: Option<AccessKeyAtAws>,
    /// Why AWS says nothing of it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub fault: Option<Fault>,
}

/// An access key as `access-key export` shows it.
#[derive(Serialize, Deserialize)]
pub struct AccessKeyExport {
    /// Its id.
    pub access_key_id: AccessKeyId,
    /// Its secret.
    #[serde(with = "text")]
    pub secret_access_key: SecretAccessKey,
}

/// Session credentials for a program.
#[derive(Serialize, Deserialize)]
pub struct Credentials {
    /// The session's access key id.
    pub access_key_id: AccessKeyId,
    /// Its secret.
    #[serde(with = "text")]
    pub secret_access_key: SecretAccessKey,
    /// Its token.
    #[serde(with = "text")]
    pub session_token: SessionToken,
    /// When it ends, RFC 3339 in UTC, no fraction.
    pub expiration: String,
    /// The account it acts in, where known.
    pub account_id: Option<AccountId>,
    /// The region of the profile, where it names one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub region: Option<Region>,
}

/// An endpoint that has been opened.
#[derive(Serialize, Deserialize)]
pub struct OpenEndpoint {
    /// Where it listens, `http://127.0.0.1:PORT/…`.
    pub url: String,
    /// What a request must carry as `Authorization` (container).
    #[serde(with = "text::option", default, skip_serializing_if = "Option::is_none")]
    pub token: Option<EndpointToken>,
    /// The file that holds it, mode 0600, read anew for each request by newer SDKs (container).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub token_file: Option<std::path::PathBuf>,
    /// The region of the profile, where it names one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub region: Option<Region>,
}

/// A row of `mfa list`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct MfaRow {
    /// Its name here.
    pub name: Name,
    /// Its serial at AWS.
    pub serial: MfaSerial,
    /// The access key whose user owns it.
    pub access_key: Name,
    /// The serial number of the YubiKey that its seed is on; absent where that is in the vault.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub card: Option<u32>,
    /// The account of that YubiKey.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub account: Option<OathName>,
    /// Whether the vault has a backup of a seed that is on a YubiKey.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub backup: bool,
    /// When it was added, RFC 3339.
    pub added: String,
}

/// A row of `profile list`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ProfileRow {
    /// The profile.
    pub profile: String,
    /// What its credentials come from, one word or two: `access key dev`, `role`, `not served`.
    pub source: String,
    /// The role, where it has one.
    pub role: Option<String>,
    /// Whether claviger's own line stands in it, so that every tool asks claviger.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub adopted: bool,
    /// The fault its use would meet, where it cannot be planned.
    pub fault: Option<String>,
}

/// A line of `profile show`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Setting {
    /// The key.
    pub key: String,
    /// The value; `(secret)` where it is one.
    pub value: String,
    /// `file:line` it stands at.
    pub origin: String,
}

/// One STS call of a plan, as `profile explain` shows it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ChainStep {
    /// The STS action, or the setting that names another source.
    pub action: String,
    /// What it is for: the access key or the role.
    pub subject: String,
    /// Seconds the session will live; 0 where the source decides.
    pub duration: u64,
    /// The device asked for a code, if any.
    pub mfa: Option<String>,
    /// The endpoint called; of a command, the line it stands in.
    pub endpoint: String,
}

/// How credentials will be obtained.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Explanation {
    /// The profile.
    pub profile: String,
    /// Through the refreshing doors: process, container endpoint, IMDS.
    pub refreshing: Vec<ChainStep>,
    /// Through the frozen ones: `env`, `exec --env`.
    pub frozen: Vec<ChainStep>,
    /// What a person should know: ignored durations, codes a frozen session costs.
    pub notes: Vec<String>,
}

/// A live session.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SessionRow {
    /// Who it acts as.
    pub principal: String,
    /// The session's access key id.
    pub access_key_id: AccessKeyId,
    /// When it ends, RFC 3339.
    pub expiration: String,
    /// Seconds left.
    pub seconds_left: u64,
}

/// A row of `slot list`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SlotRow {
    /// Its id.
    pub id: u32,
    /// Its kind; absent where only a newer claviger knows it.
    pub kind: Option<SlotKind>,
    /// When it was added, RFC 3339.
    pub added: String,
    /// The device that opens it, where one does.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub device: Option<SlotDevice>,
}

/// What the agent holds and does.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Status {
    /// The agent's version.
    pub version: String,
    /// Its process id.
    pub pid: u32,
    /// `absent`, `locked` or `unlocked`.
    pub vault: String,
    /// Why it is locked: `start`, `idle`, `command`, `suspend`, `screen`.
    pub locked_by: Option<String>,
    /// Seconds until the idle lock.
    pub idle_lock_in: Option<u64>,
    /// Seconds a soft code may still be spent without a person.
    pub presence_left: Option<u64>,
    /// Live sessions in memory.
    pub sessions: Vec<SessionRow>,
    /// Open endpoints.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub endpoints: Vec<EndpointRow>,
    /// Seconds this machine's clock is behind AWS's (negative: ahead), once measured.
    pub clock_skew: Option<i64>,
    /// The SSH agent; absent where it has no socket.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ssh: Option<SshStatus>,
    /// The open vault is an older one than was known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub older: Option<OlderVault>,
    /// Things a person should look at: each one line.
    pub warnings: Vec<String>,
}

/// What the SSH agent has.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SshStatus {
    /// Its socket.
    pub socket: String,
    /// Keys of the vault, as far as they are known: they sign while it is open.
    pub vault_keys: usize,
    /// Keys that `ssh-add` has added, those that a lock of the vault has sealed too.
    pub added_keys: usize,
    /// Whether `ssh-add -x` has locked it.
    pub locked: bool,
}

/// Who credentials act as.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Whoami {
    /// The account.
    pub account: AccountId,
    /// The principal.
    pub arn: Arn,
    /// Its unique id.
    pub user_id: String,
}
