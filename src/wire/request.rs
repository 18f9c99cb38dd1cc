//! What a client may ask.

use super::Change;
use super::ConfigScope;
use super::device::MfaOnDevice;
use super::fido::{FidoOptions, FidoPins};
use super::iam::{AccessKeyRotate, MfaEnroll, PasswordChange};
use super::keeping::TrashKind;
use super::keypair::{KeypairCreate, KeypairDelete, KeypairImport, KeypairPassword, KeypairRotate, KeypairScope};
use super::oath::{OathAccount, OathRename};
use super::piv::{PivCertificate, PivChange, PivManagementKey, PivNew};
use super::slot::NewSlot;
use super::ssh_instance::SshInstance;
use super::ssh_key::{SshKeyFormat, SshKeyKind, SshKeyOptions};
use crate::model::{AccessKeyId, MfaSerial, Name, Region, Since, SlotProof};
use crate::secret::{Passphrase, Pin, SecretAccessKey, SshKeyFile, TotpSeedText, text};
use serde::{Deserialize, Serialize};
use std::path::PathBuf;

/// The client's side of the greeting.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub struct Hello {
    /// The protocol the client speaks.
    pub protocol: u32,
    /// The client and its version, such as `claviger/0.1.0`.
    pub client: String,
    /// Whether a person at this client can answer an [`Event::Question`](super::Event::Question).
    #[serde(default)]
    pub answers: bool,
    /// The client's `AWS_CONFIG_FILE`, if set: one that differs from the agent's earns a hint.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub aws_config_file: Option<String>,
    /// The client's display: programs that ask a person for this client are shown there. Its terminal is its own: what
    /// is asked there comes by event.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub display: Option<HelloDisplay>,
}

/// A display, by the client's variables of these names. One of another machine does not count.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct HelloDisplay {
    /// Of X11.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub display: Option<String>,
    /// Of Wayland.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub wayland_display: Option<String>,
    /// What opens that of X11.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub xauthority: Option<String>,
    /// The session bus beside it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub dbus_session_bus_address: Option<String>,
}

/// What an endpoint speaks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum EndpointKind {
    /// The container credentials endpoint (AWS SDKs guide, container credential provider).
    Container,
    /// The instance metadata service, version 2 (EC2 User Guide, IMDSv2).
    Imds,
}

/// One variant per message. Fields with a default may be left out.
#[derive(Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Request {
    /// Stores an access key, after GetCallerIdentity has accepted it unless `verify` is false.
    AccessKeyAdd {
        /// Its name here.
        name: Name,
        /// Its id at AWS.
        access_key_id: AccessKeyId,
        /// Its secret.
        #[serde(with = "text")]
        secret_access_key: SecretAccessKey,
        /// Ask AWS whose it is. Without it the owner stays unknown until first use.
        verify: bool,
    },
    /// Hands out an access key, against a slot proof.
    AccessKeyExport {
        /// Which.
        name: Name,
        /// The proof.
        proof: SlotProof,
    },
    /// Takes access keys in plain text out of the AWS files into the vault, and adopts their profiles; see
    /// [`Change`] for its two steps.
    AccessKeyImport {
        /// The name it gets here; the profile's own if left out.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        name: Option<Name>,
        /// Ask AWS whose the keys are.
        verify: bool,
        /// What is changed, and whether it is done.
        #[serde(flatten)]
        change: Change,
    },
    /// Lists the access keys; no secret.
    AccessKeyList {
        /// Ask AWS what it knows of them, with what is at hand: no code is spent.
        #[serde(default, skip_serializing_if = "std::ops::Not::not")]
        live: bool,
    },
    /// Moves an access key to the vault's trash. Refused while an authenticator belongs to it.
    AccessKeyRemove {
        /// Which.
        name: Name,
    },
    /// Replaces an access key by a new one at AWS, or goes on where an earlier run was cut off.
    AccessKeyRotate(AccessKeyRotate),
    /// A page of the audit record, oldest first.
    AuditLog {
        /// From when on.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        since: Option<Since>,
        /// About this profile alone.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        profile: Option<String>,
        /// Of this event alone, or of all whose name begins with this word: `session`, `session.new`.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        event: Option<String>,
        /// Where to go on: `next` of the page before.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        cursor: Option<String>,
    },
    /// Looks whether the audit record is what was written.
    AuditVerify {},
    /// What is known of an access key id, an AWS request id or a record's number.
    AuditWhy {
        /// The id.
        id: String,
    },
    /// Writes a backup that a fresh recovery code opens, against a slot proof. The agent shows the code by event and
    /// waits until it is typed back.
    Backup {
        /// Where, an absolute path; an existing file is refused.
        file: PathBuf,
        /// The proof.
        proof: SlotProof,
    },
    /// Puts what was shown in force, against a slot proof.
    ConfigAccept {
        /// The proof.
        proof: SlotProof,
        /// What.
        scope: ConfigScope,
        /// What was shown: refused where it is no longer what would be accepted.
        digest: String,
    },
    /// The settings in force, and what waits to be accepted.
    ConfigShow {
        /// Which of the differences.
        scope: ConfigScope,
    },
    /// What is plugged in.
    DeviceList {},
    /// Lists the credentials of SSH that a FIDO2 device keeps.
    FidoList {
        /// Which; the only one, if left out.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        device: Option<String>,
        /// Its PIN.
        #[serde(with = "text")]
        pin: Pin,
    },
    /// Makes an SSH key on a FIDO2 device.
    FidoNew {
        /// Its name here.
        name: Name,
        /// Which; the only one, if left out.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        device: Option<String>,
        /// What it is.
        #[serde(default)]
        options: FidoOptions,
        /// The device's PIN, where it is wanted.
        #[serde(with = "text::option", default, skip_serializing_if = "Option::is_none")]
        pin: Option<Pin>,
    },
    /// Sets or changes the PIN of a FIDO2 device.
    FidoPin(FidoPins),
    /// Credentials of a profile, for a program.
    Credentials {
        /// The profile.
        profile: String,
        /// Longest wait in seconds for anything: a code, AWS, a person elsewhere.
        wait: u64,
        /// Handed over once, for as long as the profile asks: `env`, `exec --env`. Else asked for again before they end.
        #[serde(default, skip_serializing_if = "std::ops::Not::not")]
        frozen: bool,
    },
    /// Looks for what stands between a profile and its credentials.
    Doctor {
        /// The profile; without one only what concerns all.
        #[serde(default)]
        profile: Option<String>,
        /// The names of the `AWS_` variables that are set for the caller, never their values.
        #[serde(default)]
        variables: Vec<String>,
        /// Obtain the profile's credentials and ask STS whose they are.
        #[serde(default)]
        live: bool,
    },
    /// Opens an endpoint that serves a profile's credentials over loopback HTTP to the process that asks and its
    /// children, until that process ends.
    EndpointOpen {
        /// The profile.
        profile: String,
        /// Which protocol.
        kind: EndpointKind,
        /// Seconds it goes on after the process has ended.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        linger: Option<u64>,
        /// Longest wait in seconds for the first credentials.
        wait: u64,
    },
    /// Creates the vault. The agent shows the recovery code by event and waits until it is typed back.
    Init {
        /// The first passphrase.
        #[serde(with = "text")]
        passphrase: Passphrase,
        /// Whether the desktop's keyring opens it too. Left out: a person at the client is asked, where there is a
        /// keyring; nobody else.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        keyring: Option<bool>,
    },
    /// Has AWS make a key pair, and takes its private half into the vault.
    KeypairCreate(KeypairCreate),
    /// Deletes key pairs of a name. A person is asked where instances use them.
    KeypairDelete(KeypairDelete),
    /// Imports a public key as a key pair.
    KeypairImport(KeypairImport),
    /// Lists key pairs, matched with the keys that claviger knows. The rows come by event.
    KeypairList(KeypairScope),
    /// The password of a Windows instance.
    KeypairPassword(KeypairPassword),
    /// Gives key pairs of a name another key.
    KeypairRotate(KeypairRotate),
    /// Wipes keys and sessions from memory.
    Lock {},
    /// Obtains the credentials of a profile now, with a person present.
    Login {
        /// The profile.
        profile: String,
    },
    /// Forgets the sessions of a profile, or all.
    Logout {
        /// The profile; all without one.
        profile: Option<String>,
    },
    /// Stores a TOTP seed, after GetSessionToken has accepted its code unless `verify` is false.
    MfaAdd {
        /// The access key whose user owns the device.
        access_key: Name,
        /// Its name here; the last part of the serial if left out.
        name: Option<Name>,
        /// Its serial; found by ListMFADevices if left out.
        serial: Option<MfaSerial>,
        /// Base32, an `otpauth://` URI, or an export of Google Authenticator, an `otpauth-migration://` URI.
        #[serde(with = "text")]
        seed: TotpSeedText,
        /// Which account of an export with several: its name or number, as the fault without it lists them.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        account: Option<String>,
        /// Prove the seed at AWS.
        verify: bool,
    },
    /// Stores an authenticator whose seed is on a YubiKey, after AWS has accepted its code unless `verify` is false.
    MfaAddOnDevice(MfaOnDevice),
    /// One code, burned as it is shown.
    MfaCode {
        /// Which authenticator; may be left out where there is only one.
        name: Option<Name>,
        /// Fail rather than wait when the current code is spent.
        now: bool,
    },
    /// Takes a device from its user at AWS, deletes it there, and moves its seed to the vault's trash.
    MfaDeactivate {
        /// Which.
        name: Name,
        /// Also the last one that the user has.
        #[serde(default, skip_serializing_if = "std::ops::Not::not")]
        last: bool,
    },
    /// Makes a virtual MFA device at AWS and stores its seed, or goes on where an earlier run was cut off.
    MfaEnroll(MfaEnroll),
    /// Hands out a seed as an `otpauth://` URI, against a slot proof.
    MfaExport {
        /// Which.
        name: Name,
        /// The proof.
        proof: SlotProof,
    },
    /// Lists the authenticators; no secret.
    MfaList {},
    /// Moves an authenticator to the vault's trash. The device at AWS stays.
    MfaRemove {
        /// Which.
        name: Name,
    },
    /// Renames an authenticator here.
    MfaRename {
        /// Which.
        name: Name,
        /// Its new name.
        new_name: Name,
    },
    /// Tells AWS how far a device's clock is off, by two codes that follow each other.
    MfaResync {
        /// Which.
        name: Name,
    },
    /// One code of an account of a card that is none of AWS. The counter of one that counts moves on with it.
    OathCode(OathAccount),
    /// Deletes an account of a card, and its seed with it.
    OathDelete(OathAccount),
    /// The cards with OATH accounts that are plugged in, and their accounts. No counter moves.
    OathList {
        /// The serial number of the one card.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        device: Option<u32>,
    },
    /// Gives an account of a card another name.
    OathRename(OathRename),
    /// Changes the console password of a profile's user.
    PasswordChange(PasswordChange),
    /// A password as the account of a profile's user wants it. It is not stored.
    PasswordSuggest {
        /// The profile.
        profile: String,
    },
    /// Shows, imports, removes or attests the certificate of a key on a PIV card.
    PivCertificate(PivCertificate),
    /// Changes the PIN or the PUK of a PIV card. What is left out is asked for.
    PivChange(PivChange),
    /// The PIV cards that are plugged in, and their keys. It costs no try.
    PivList {
        /// The serial number of the one card.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        device: Option<u32>,
    },
    /// Gives a PIV card another management key.
    PivManagementKey(PivManagementKey),
    /// Has a PIV card make a key.
    PivNew(PivNew),
    /// Moves what decides about a profile's credentials from the AWS files into claviger's own, and leaves claviger's
    /// line there; see [`Change`] for its two steps.
    ProfileAdopt {
        /// What is changed, and whether it is done.
        #[serde(flatten)]
        change: Change,
    },
    /// How a profile's credentials would be obtained, without doing it.
    ProfileExplain {
        /// The profile.
        profile: String,
    },
    /// Lists profiles, a page at a time: ten thousand do not fit in a line.
    ProfileList {
        /// How many to pass over. An empty page is the end.
        #[serde(default)]
        skip: usize,
    },
    /// Puts an adopted profile back where it was; see [`Change`] for its two steps.
    ProfileRelease {
        /// What is changed, and whether it is done.
        #[serde(flatten)]
        change: Change,
    },
    /// The settings of a profile, each with its file and line.
    ProfileShow {
        /// The profile.
        profile: String,
    },
    /// Shows this client every question that the agent asks and every touch that a device waits for, by event, and takes
    /// its answers. Stays for as long as both.
    Prompts {},
    /// Has another process take the agent's place: after an upgrade, the new version.
    Restart {},
    /// Puts a backup, or a copy of a vault, in the vault's place, and opens it.
    Restore {
        /// Which file, an absolute path.
        file: PathBuf,
        /// What opens that file.
        proof: SlotProof,
        /// A passphrase that shall open the vault from now on; may be left out where the file has one.
        #[serde(with = "text::option", default)]
        passphrase: Option<Passphrase>,
        /// Also where there is a vault: it becomes the previous one.
        #[serde(default)]
        replace: bool,
    },
    /// Adds a vault slot, against a proof of another.
    SlotAdd {
        /// The proof.
        proof: SlotProof,
        /// The slot.
        slot: NewSlot,
    },
    /// Lists the vault slots.
    SlotList {},
    /// Removes a vault slot: a new master key, and the vault, its previous copy and dailies encrypted anew.
    SlotRemove {
        /// Proof of a slot that stays.
        proof: SlotProof,
        /// The slot's id.
        slot: u32,
        /// Also where only devices are left then, and the keyring.
        #[serde(default, skip_serializing_if = "std::ops::Not::not")]
        only_devices: bool,
    },
    /// Finds an EC2 instance, and has it take an SSH key for a minute (EC2 Instance Connect).
    SshInstance(SshInstance),
    /// Stores an SSH private key from a file.
    SshKeyAdd {
        /// Its name here.
        name: Name,
        /// The file: OpenSSH's, PEM (PKCS#1, PKCS#8, SEC 1) or PuTTY's.
        #[serde(with = "text")]
        key: SshKeyFile,
        /// What the file is encrypted with.
        #[serde(with = "text::option", default, skip_serializing_if = "Option::is_none")]
        key_passphrase: Option<Passphrase>,
        /// The line of its certificate.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        certificate: Option<String>,
        /// How it is called and used.
        #[serde(default)]
        options: SshKeyOptions,
    },
    /// Hands out an SSH private key as a file, against a slot proof.
    SshKeyExport {
        /// Which.
        name: Name,
        /// How the file is written.
        #[serde(default, skip_serializing_if = "SshKeyFormat::is_usual")]
        format: SshKeyFormat,
        /// What the file is to be encrypted with; in the clear without it.
        #[serde(with = "text::option", default, skip_serializing_if = "Option::is_none")]
        key_passphrase: Option<Passphrase>,
        /// The proof.
        proof: SlotProof,
    },
    /// Lists the SSH keys, a page at a time; no secret.
    SshKeyList {
        /// How many to pass over. An empty page is the end.
        #[serde(default)]
        skip: usize,
    },
    /// Makes an SSH key.
    SshKeyNew {
        /// Its name here.
        name: Name,
        /// Its type and size.
        kind: SshKeyKind,
        /// How it is called and used.
        #[serde(default)]
        options: SshKeyOptions,
    },
    /// The public half of an SSH key.
    SshKeyPublic {
        /// Which.
        name: Name,
    },
    /// Moves an SSH key to the vault's trash.
    SshKeyRemove {
        /// Which.
        name: Name,
    },
    /// What the agent holds and does.
    Status {},
    /// Ends the agent, after the requests in hand.
    Stop {},
    /// Deletes what is in the vault's trash, against a slot proof.
    TrashEmpty {
        /// The proof.
        proof: SlotProof,
    },
    /// Lists what was removed in the last 30 days; no secret.
    TrashList {},
    /// Brings back what was removed last under a name.
    TrashRestore {
        /// The name it had.
        name: Name,
        /// Which kind, where both are in the trash.
        #[serde(default)]
        kind: Option<TrashKind>,
        /// A new name, where the old one is taken.
        #[serde(default)]
        new_name: Option<Name>,
    },
    /// Opens the vault.
    Unlock {
        /// By what.
        proof: SlotProof,
    },
    /// Opens the vault by the desktop's keyring, where it may: no human act. `vault.locked` where that does not open it.
    UnlockByKeyring {},
    /// Takes an older vault, as `status` shows it, for the one there is, against a slot proof.
    VaultAccept {
        /// The proof.
        proof: SlotProof,
        /// What was shown: refused where another vault is open by now.
        digest: String,
    },
    /// Who a profile's credentials act as: GetCallerIdentity.
    Whoami {
        /// The profile.
        profile: String,
        /// The region to ask in, where it should differ from the profile's.
        #[serde(default)]
        region: Option<Region>,
    },
}
