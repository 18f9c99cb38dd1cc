//! EC2 key pairs: where they are, what becomes of them, and the passwords that are encrypted to them.

use super::Fault;
use super::ssh_key::{SshKeyKind, SshKeyOptions, SshKeyRow};
use crate::model::{InstanceId, KeyPairName, Name, PivSlot, Region};
use crate::secret::{ConsolePassword, text};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// Who asks EC2, and in which regions.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct KeypairScope {
    /// The profile whose credentials are used.
    pub profile: String,
    /// The regions; the profile's, if none is named.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub regions: Vec<Region>,
    /// Every region that the account has enabled.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub all_regions: bool,
}

/// A private key that is at hand.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum KeypairSource {
    /// In a slot of a PIV card.
    Card {
        /// The card's serial number; may be left out where one is plugged in.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        device: Option<u32>,
        /// Where on it.
        slot: PivSlot,
    },
    /// In the vault, by its name.
    Vault(Name),
}

/// What EC2 makes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum KeypairKind {
    /// Ed25519.
    Ed25519,
    /// RSA of 2048 bits: what a Windows password can be encrypted to.
    Rsa,
}

/// A key pair that AWS is to make, its private half for the vault.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct KeypairCreate {
    /// The profile whose credentials are used.
    pub profile: String,
    /// The region; the profile's, if left out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub region: Option<Region>,
    /// Its name at EC2.
    pub name: KeyPairName,
    /// What it is.
    pub kind: KeypairKind,
    /// The name of the private key in the vault; the pair's, if left out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub key: Option<Name>,
    /// Tags of the pair.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub tags: BTreeMap<String, String>,
    /// How the key in the vault is called and used.
    #[serde(default)]
    pub options: SshKeyOptions,
}

/// Key pairs of one name that are to go.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct KeypairDelete {
    /// Where.
    #[serde(flatten)]
    pub scope: KeypairScope,
    /// Their name at EC2.
    pub name: KeyPairName,
    /// Move the vault's keys that belong to them to the trash as well.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub with_key: bool,
    /// Also where instances use it, and nobody is asked.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub force: bool,
}

/// A public key that is to be a key pair.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct KeypairImport {
    /// Where.
    #[serde(flatten)]
    pub scope: KeypairScope,
    /// The pair's name at EC2.
    pub name: KeyPairName,
    /// The key.
    pub key: KeypairSource,
    /// Tags of the pairs.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub tags: BTreeMap<String, String>,
}

/// What was encrypted to a key pair.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct KeypairPassword {
    /// The profile whose credentials are used.
    pub profile: String,
    /// The region; the profile's, if left out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub region: Option<Region>,
    /// The instance.
    pub instance: InstanceId,
    /// The key; the one that the instance was launched with, if left out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub key: Option<KeypairSource>,
}

/// Another key for the key pairs of a name.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct KeypairRotate {
    /// Where.
    #[serde(flatten)]
    pub scope: KeypairScope,
    /// Their name at EC2, and the key's in the vault.
    pub name: KeyPairName,
    /// The kind of the new key; EC2 takes Ed25519 and RSA of 4096 bits of those. If left out, Ed25519, or RSA where one of the
    /// pairs that go is RSA: Windows instances encrypt their password to nothing else.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub kind: Option<SshKeyKind>,
    /// Also pairs whose private half is not at hand, and nobody is asked.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub force: bool,
}

/// A key pair in a region, and what is known of it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct KeypairRow {
    /// The region.
    pub region: Region,
    /// Its name, as EC2 has it.
    pub name: String,
    /// Its id. Absent where there is no such pair any more, and instances are left that were launched with it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub id: Option<String>,
    /// What it is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub kind: Option<KeypairKind>,
    /// Its fingerprint, in the form that EC2 gives pairs of its type and origin.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub fingerprint: Option<String>,
    /// When it was made, RFC 3339.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub created: Option<String>,
    /// Its tags.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub tags: BTreeMap<String, String>,
    /// Where its private half is, of the places that claviger knows.
    pub keys: Vec<KeypairSource>,
    /// The instances that were launched with it and are not over, two hundred at most; absent where EC2 did not say.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub instances: Option<Vec<KeypairInstance>>,
    /// How many instances there are.
    pub instance_count: usize,
}

/// An instance that was launched with a key pair.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct KeypairInstance {
    /// Its id.
    pub id: InstanceId,
    /// Its tag `Name`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// Where it is in its life, as EC2 has it.
    pub state: String,
}

/// What has become of a key pair in a region.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum KeypairDeed {
    /// There was none.
    Absent,
    /// AWS made it.
    Created,
    /// It is gone.
    Deleted,
    /// It was imported.
    Imported,
    /// It stood there already, of the same key.
    Present,
    /// It has another key now.
    Replaced,
}

/// A region, and what became of what was asked there.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct KeypairRegion {
    /// The region.
    pub region: Region,
    /// What was done; absent where nothing was to be done, or it failed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub deed: Option<KeypairDeed>,
    /// The pair's id.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub id: Option<String>,
    /// How many instances were launched with the pair that was replaced or deleted, and are not over.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub instance_count: Option<usize>,
    /// Why it failed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub fault: Option<Fault>,
}

/// What became of it all.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct KeypairOutcome {
    /// Region by region.
    pub regions: Vec<KeypairRegion>,
    /// The key in the vault that was made, or is now in use.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub key: Option<SshKeyRow>,
    /// The vault's keys that went to the trash.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub trashed: Vec<Name>,
    /// Where the keys are that were replaced, and stay: instances that were launched before let them in, and no other.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub kept: Vec<KeypairSource>,
    /// What a rotation has left to do.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub waiting: Option<KeypairWaiting>,
}

/// A rotation that is not over.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct KeypairWaiting {
    /// The name of the new key in the vault until then.
    pub key: Name,
    /// Where it is still to be done.
    pub regions: Vec<Region>,
}

/// The password of the administrator of a Windows instance.
#[derive(Serialize, Deserialize)]
pub struct InstancePassword {
    /// The password.
    #[serde(with = "text")]
    pub password: ConsolePassword,
}
