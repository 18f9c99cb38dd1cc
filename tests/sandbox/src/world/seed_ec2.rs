//! EC2 in the description of an account.

use super::region::InstanceState;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// The regions that every account has without asking (EC2 user guide, available Regions).
pub(crate) const DEFAULT_REGIONS: [&str; 17] = [
    "ap-northeast-1",
    "ap-northeast-2",
    "ap-northeast-3",
    "ap-south-1",
    "ap-southeast-1",
    "ap-southeast-2",
    "ca-central-1",
    "eu-central-1",
    "eu-north-1",
    "eu-west-1",
    "eu-west-2",
    "eu-west-3",
    "sa-east-1",
    "us-east-1",
    "us-east-2",
    "us-west-1",
    "us-west-2",
];
/// Some of those that an account must opt in to.
pub(crate) const OPT_IN_REGIONS: [&str; 6] =
    ["af-south-1", "ap-east-1", "ap-southeast-3", "eu-central-2", "eu-south-1", "me-south-1"];

/// Key pairs that an account may have in a region (EC2 API, CreateKeyPair).
pub(super) const KEY_PAIR_QUOTA: usize = 5000;

/// A key pair in a region.
#[derive(Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SeedKeyPair {
    /// The region.
    pub region: String,
    /// The pair's name, one of a kind in its region.
    pub name: String,
    /// Where it comes from, which decides its fingerprint.
    pub origin: SeedKeyOrigin,
    /// Its tags.
    #[serde(default)]
    pub tags: BTreeMap<String, String>,
}

/// Where a key pair comes from.
#[derive(Clone, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum SeedKeyOrigin {
    /// As by CreateKeyPair: an RSA private key in PKCS#1 PEM. The double keeps the public half.
    Created(String),
    /// As by ImportKeyPair: an OpenSSH public key line.
    Imported(String),
}

/// An instance in a region.
#[derive(Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SeedInstance {
    /// The region.
    pub region: String,
    /// `i-` and hexadecimal digits.
    pub id: String,
    /// The tag Name; others in `tags`.
    #[serde(default)]
    pub name: Option<String>,
    /// More tags.
    #[serde(default)]
    pub tags: BTreeMap<String, String>,
    /// The key pair that it is launched with, which must be in the region.
    #[serde(default)]
    pub key_name: Option<String>,
    /// Its address within its network.
    pub private_ip: String,
    /// Its address for the world.
    #[serde(default)]
    pub public_ip: Option<String>,
    /// The letter of its availability zone.
    #[serde(default = "default_zone")]
    pub zone: char,
    /// Its state.
    #[serde(default = "default_state")]
    pub state: InstanceState,
    /// The password of a Windows instance's administrator; none means Linux.
    #[serde(default)]
    pub windows_password: Option<String>,
    /// How long after the launch GetPasswordData stays empty, in milliseconds.
    #[serde(default)]
    pub password_delay_millis: i64,
    /// The port on the loopback where a test's sshd stands for it. AWS has nothing of this: the control side shows it.
    #[serde(default)]
    pub ssh_port: Option<u16>,
}

impl SeedInstance {
    /// A running Linux instance without key pair, name and public address.
    pub fn linux(region: &str, id: &str, private_ip: &str) -> Self {
        Self {
            region: region.to_owned(),
            id: id.to_owned(),
            name: None,
            tags: BTreeMap::new(),
            key_name: None,
            private_ip: private_ip.to_owned(),
            public_ip: None,
            zone: default_zone(),
            state: default_state(),
            windows_password: None,
            password_delay_millis: 0,
            ssh_port: None,
        }
    }

    /// A running Windows instance launched with this key pair, its password ready at once.
    pub fn windows(region: &str, id: &str, private_ip: &str, key_name: &str, password: &str) -> Self {
        Self {
            key_name: Some(key_name.to_owned()),
            windows_password: Some(password.to_owned()),
            ..Self::linux(region, id, private_ip)
        }
    }

    /// The same with the tag Name.
    pub fn named(mut self, name: &str) -> Self {
        self.name = Some(name.to_owned());
        self
    }
}

pub(super) fn default_regions() -> Vec<String> {
    DEFAULT_REGIONS.map(str::to_owned).to_vec()
}

pub(super) fn default_key_pair_quota() -> usize {
    KEY_PAIR_QUOTA
}

fn default_zone() -> char {
    'a'
}

fn default_state() -> InstanceState {
    InstanceState::Running
}
