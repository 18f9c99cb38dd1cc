//! Jobs that combine offices: an access key or an authenticator is proved at AWS before it is stored.

pub mod access_key;
pub mod doctor;
pub mod mfa_device;
pub mod trash;

use crate::{aws, mfa, session, vault};
use claviger::model::{MfaSerial, Name};

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
    /// Nothing of that name is in the trash.
    #[error("nothing named {0} is in the trash")]
    NotInTrash(Name),
    /// The key is the root user's, a role's or a federated user's.
    #[error("the key belongs to no IAM user")]
    NotUser(String),
    /// AWS, or the way to it.
    #[error("AWS refused")]
    Aws(#[from] aws::Error),
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
    /// An access key and an authenticator of that name are in the trash.
    #[error("an access key and an authenticator named {0} are in the trash")]
    TrashAmbiguous(Name),
    /// The vault.
    #[error("the vault failed")]
    Vault(#[from] vault::Error),
}
