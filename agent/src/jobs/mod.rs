//! Jobs that combine offices: an access key or an authenticator is proved at AWS before it is stored.

pub mod access_key;
pub mod adoption;
pub mod doctor;
pub mod enrolment;
pub mod iam_user;
pub mod instance;
pub mod keypair;
pub mod mfa_device;
pub mod oath_account;
pub mod password;
pub mod rotation;
pub mod ssh_key;
pub mod trash;

use crate::aws::profile::Origin;
use crate::session::plan::PlanError;
use crate::{aws, mfa, session, ssh, vault};
use claviger::model::{AccessKeyId, InstanceId, KeyPairName, MfaSerial, Name, Region};
use std::path::PathBuf;

/// Why a job was not done. The vault is as it was before.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The name is taken.
    #[error("an access key is named {0} already")]
    AccessKeyExists(Name),
    /// Authenticators belong to it.
    #[error("authenticator {1} belongs to access key {0}")]
    AccessKeyInUse(Name, Name),
    /// No such access key.
    #[error("no access key is named {0}")]
    AccessKeyNotFound(Name),
    /// A step towards an access key is not the user's to take.
    #[error("access key {0} is none of the user's others")]
    NotAKeyOfUser(AccessKeyId),
    /// A key that is to be deleted works: the name of ours, the other, and the user's name at IAM.
    #[error("access key {1} is active")]
    OtherKeyActive(Name, AccessKeyId, String),
    /// A key that is to be deleted is the one that is to be replaced.
    #[error("access key {1} is the one in use as {0}")]
    OwnKey(Name, AccessKeyId),
    /// A key is replaced; the one before it could not be taken away.
    #[error("access key {name} is now {new}, and {old} still stands")]
    OldKeyStands {
        /// The key's name.
        name: Name,
        /// The key of now.
        new: AccessKeyId,
        /// The key before.
        old: AccessKeyId,
        /// What that is, where it is known.
        status: Option<aws::KeyStatus>,
        /// What AWS said.
        #[source]
        error: Box<aws::Error>,
    },
    /// AWS does not take the key that it has made.
    #[error("AWS does not take access key {0}")]
    NewKeyRefused(AccessKeyId),
    /// The user has two access keys, which is as many as AWS allows: the name of ours, the other, and the user's name at
    /// IAM.
    #[error("the user of access key {0} has another, {1}")]
    TwoKeys(Name, AccessKeyId, aws::KeyStatus, String),
    /// The last device of a user is taken away only if a person says so.
    #[error("{0} is the last MFA device of its user")]
    LastDevice(Name),
    /// A person was asked, and said no.
    #[error("{0} stays a device of its user")]
    LastDeviceKept(Name),
    /// AWS does not take the codes of a device that it has just assigned: the profile it was made for, and its serial.
    #[error("AWS does not take the codes of {1} yet")]
    MfaNotReady(String, MfaSerial),
    /// There is no enrolment that could be undone, for the user of this profile.
    #[error("no enrolment was begun for profile {0}")]
    MfaNotBegun(String),
    /// No name can be made for a device.
    #[error("a device needs a name")]
    MfaNameNeeded,
    /// AWS has a device of that name.
    #[error("AWS has an MFA device named {0}")]
    MfaNameTaken(Name),
    /// A device of the same user is not done.
    #[error("device {1} of the user of profile {0} is not done")]
    MfaUnfinished(String, Name),
    /// An account of a card that is not to be deleted: an authenticator takes its codes from it.
    #[error("the account makes the codes of {0}")]
    OathInUse(Name),
    /// An account of a card whose codes are counted: it is an authenticator's.
    #[error("the codes of the account are those of {0}")]
    OathCounted(Name),
    /// An account of a card would have another period under another name. Its own, in seconds.
    #[error("a name says another period than {0} s")]
    OathPeriod(u32),
    /// An account of a card whose codes AWS does not take.
    #[error("AWS takes no codes of such an account")]
    OathUnfit,
    /// An account of a card is that of a device which is not done.
    #[error("the account is that of {0}, which is not done")]
    OathUnfinished(Name),
    /// The profile comes from no access key.
    #[error("profile {0} comes from no stored access key")]
    NoAccessKey(String),
    /// The session with which IAM is asked could not be had.
    #[error("no session")]
    UserSession(#[source] std::sync::Arc<session::Error>),
    /// Nothing of that name is in the trash.
    #[error("nothing named {0} is in the trash")]
    NotInTrash(Name),
    /// Its seed is on a YubiKey.
    #[error("the seed of {0} is on a YubiKey")]
    MfaOnCard(Name),
    /// Nothing is left to adopt.
    #[error("profile {0} is adopted already")]
    Adopted(String),
    /// Somebody changed the file since it was read.
    #[error("the file was changed")]
    FileChanged(PathBuf),
    /// The new text is longer than such a file may be.
    #[error("the file would be too long")]
    FileTooLarge(PathBuf),
    /// A file cannot be written.
    #[error("the file cannot be written")]
    FileUnsaved(PathBuf, #[source] std::io::Error),
    /// The AWS files cannot be read.
    #[error("the AWS files cannot be read")]
    Files(#[source] aws::FilesError),
    /// Several instances could be meant.
    #[error("several instances are named {0}")]
    InstanceAmbiguous(String, Vec<(InstanceId, aws::InstanceState)>),
    /// No such SSH key.
    #[error("no SSH key is called {0}")]
    InstanceKeyNotFound(String),
    /// A key that EC2 Instance Connect does not take, with its type; None where there is none that it takes.
    #[error("EC2 Instance Connect takes RSA and Ed25519 keys alone")]
    InstanceKeyUnusable(Option<(String, String)>),
    /// A machine of Systems Manager.
    #[error("{0} is no instance of EC2")]
    InstanceManaged(String),
    /// No address.
    #[error("instance {0} has no address")]
    InstanceNoAddress(InstanceId),
    /// No such instance.
    #[error("there is no instance {0} in {1}")]
    InstanceNotFound(String, Region),
    /// It does not run.
    #[error("instance {0} does not run")]
    InstanceNotRunning(InstanceId, aws::InstanceState),
    /// No region is known.
    #[error("profile {0} names no region")]
    InstanceRegionUnknown(String),
    /// Keys in plain text that are a session's.
    #[error("the keys of profile {0} are a session's")]
    KeyTemporary(String, Origin),
    /// Keys in plain text that cannot be taken.
    #[error("the key of profile {0} is not usable")]
    KeyUnusable(String, &'static str, Origin),
    /// No key in plain text.
    #[error("profile {0} has no key in plain text")]
    NoPlainKey(String),
    /// The profile was not adopted.
    #[error("profile {0} is not adopted")]
    NotAdopted(String),
    /// Keys in plain text, which are imported and not adopted.
    #[error("the access key of profile {0} stands in plain text")]
    PlainText(String, Origin),
    /// The profile has no plan.
    #[error("profile {0} cannot be planned")]
    Plan(String, #[source] Box<PlanError>),
    /// No line of an AWS file can name the client.
    #[error("the client's path cannot stand in an AWS file")]
    ProgramPath(PathBuf),
    /// A profile would mean something else afterwards.
    #[error("profile {0} would mean something else")]
    WouldChange(String),
    /// The key is the root user's, a role's or a federated user's.
    #[error("the key belongs to no IAM user")]
    NotUser(String),
    /// AWS, or the way to it.
    #[error("AWS refused")]
    Aws(#[from] aws::Error),
    /// The account has as many key pairs in the region as it may have.
    #[error("no more key pairs in {0}")]
    KeypairLimit(Region),
    /// The name is taken, by another key.
    #[error("key pair {0} has another key in {1}")]
    KeypairExists(KeyPairName, Region),
    /// No such instance.
    #[error("no instance {0} in {1}")]
    KeypairInstanceNotFound(InstanceId, Region),
    /// An option that no key pair has.
    #[error("{0}")]
    KeypairInvalid(&'static str),
    /// Its private half is not here.
    #[error("the private half of key pair {0} is not here")]
    KeypairKeyMissing(String),
    /// The instance has no password that could be decrypted.
    #[error("{0}")]
    KeypairNoPassword(InstanceId, &'static str),
    /// No such key pair.
    #[error("no key pair is named {0}")]
    KeypairNotFound(KeyPairName, Vec<Region>),
    /// The password is not there yet.
    #[error("no password yet")]
    KeypairPasswordNotReady(InstanceId),
    /// The account has no such region.
    #[error("there is no region {0}")]
    KeypairRegionUnknown(Region),
    /// A pair may stand whose private half nobody has.
    #[error("key pair {0} may stand in {1}")]
    KeypairStranded(KeyPairName, Region),
    /// EC2 takes no such key.
    #[error("EC2 takes no such key")]
    KeypairUnsupported(ssh::key::Ec2Fitness),
    /// AWS refused the code made from the seed.
    #[error("AWS refused the code of {0}")]
    CodeRefused(MfaSerial),
    /// The name or serial is taken.
    #[error("an authenticator is stored as {0} already")]
    MfaExists(Name),
    /// No such authenticator.
    #[error("no such authenticator")]
    MfaNotFound(Option<Name>),
    /// The text is no seed.
    #[error("the seed is not usable")]
    Seed(#[from] mfa::SeedError),
    /// The serial cannot be found out; those AWS lists.
    #[error("the serial is not known")]
    SerialUnknown(Vec<MfaSerial>),
    /// A session could not be had.
    #[error("no session")]
    Session(#[from] session::Error),
    /// The certificate's time is over.
    #[error("the certificate has expired")]
    SshCertificateExpired,
    /// What was given as a certificate is none.
    #[error("the certificate is malformed")]
    SshCertificateMalformed,
    /// The text names no host, or too much.
    #[error("{0}")]
    SshDestination(&'static str),
    /// No key of the host is known.
    #[error("no host key is known")]
    SshHostUnknown(String),
    /// The key cannot be taken.
    #[error("the SSH key was refused")]
    SshKey(#[from] ssh::key::Error),
    /// The name is taken.
    #[error("an SSH key is named {0} already")]
    SshKeyExists(Name),
    /// No such SSH key.
    #[error("no SSH key is named {0}")]
    SshKeyNotFound(Name),
    /// The same key has another name.
    #[error("the SSH key is stored as {0} already")]
    SshKeySame(Name),
    /// An option that no key has.
    #[error("{0}")]
    SshOption(&'static str),
    /// More than one kind of item of that name is in the trash.
    #[error("more than one kind of item named {0} is in the trash")]
    TrashAmbiguous(Name),
    /// The vault.
    #[error("the vault failed")]
    Vault(#[from] vault::Error),
}
