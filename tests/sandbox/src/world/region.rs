//! What an account has in its regions: key pairs, instances, and the keys pushed to them.

use crate::ssh_key::PublicKey;
use std::collections::BTreeMap;

/// How long a pushed key lets in, in milliseconds (EC2 Instance Connect API, SendSSHPublicKey).
pub(crate) const PUSHED_KEY_LIFE: i64 = 60_000;

/// EC2 of one account.
pub(crate) struct Ec2 {
    /// Regions that the account has enabled.
    pub(crate) enabled: Vec<String>,
    /// Key pairs that it may have in each.
    pub(crate) key_pair_quota: usize,
    pub(crate) regions: BTreeMap<String, Region>,
    pub(crate) pushed: Vec<PushedKey>,
}

/// One region of the account.
#[derive(Default)]
pub(crate) struct Region {
    /// By name.
    pub(crate) key_pairs: BTreeMap<String, KeyPair>,
    /// By id.
    pub(crate) instances: BTreeMap<String, Instance>,
}

pub(crate) struct KeyPair {
    pub(crate) id: String,
    pub(crate) name: String,
    pub(crate) key: PublicKey,
    pub(crate) fingerprint: String,
    pub(crate) created: i64,
    pub(crate) tags: Tags,
}

/// Tags of a resource.
pub(crate) type Tags = BTreeMap<String, String>;

pub(crate) struct Instance {
    pub(crate) id: String,
    pub(crate) reservation_id: String,
    pub(crate) tags: Tags,
    /// The name that its launch key had then; deleting the pair changes nothing here.
    pub(crate) key_name: Option<String>,
    pub(crate) private_ip: String,
    pub(crate) public_ip: Option<String>,
    pub(crate) availability_zone: String,
    pub(crate) state: InstanceState,
    pub(crate) windows: bool,
    pub(crate) launched: i64,
    /// The Windows password under the launch key, in base64, and from when on it is there.
    pub(crate) password: Option<(String, i64)>,
    /// Where a test's sshd stands for it.
    pub(crate) ssh_port: Option<u16>,
}

/// The state of an instance (EC2 API, InstanceState).
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum InstanceState {
    /// 0.
    Pending,
    /// 16.
    Running,
    /// 32.
    ShuttingDown,
    /// 48.
    Terminated,
    /// 64.
    Stopping,
    /// 80.
    Stopped,
}

impl InstanceState {
    pub(crate) fn code(self) -> u8 {
        match self {
            Self::Pending => 0,
            Self::Running => 16,
            Self::ShuttingDown => 32,
            Self::Terminated => 48,
            Self::Stopping => 64,
            Self::Stopped => 80,
        }
    }

    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Pending => "pending",
            Self::Running => "running",
            Self::ShuttingDown => "shutting-down",
            Self::Terminated => "terminated",
            Self::Stopping => "stopping",
            Self::Stopped => "stopped",
        }
    }
}

/// A key that lets in for a minute.
pub(crate) struct PushedKey {
    pub(crate) instance: String,
    pub(crate) user: String,
    pub(crate) line: String,
    pub(crate) expires: i64,
}

impl Ec2 {
    /// A region, made where nothing was in it yet.
    pub(crate) fn region(&mut self, name: &str) -> &mut Region {
        self.regions.entry(name.to_owned()).or_default()
    }

    pub(crate) fn instance_mut(&mut self, id: &str) -> Option<&mut Instance> {
        self.regions.values_mut().find_map(|region| region.instances.get_mut(id))
    }

    /// Keys that let this user into this instance now, the oldest first.
    pub(crate) fn pushed_keys(&self, instance: &str, user: &str, now: i64) -> Vec<String> {
        let alive = |key: &&PushedKey| key.instance == instance && key.user == user && now < key.expires;
        self.pushed.iter().filter(alive).map(|key| key.line.clone()).collect()
    }
}
