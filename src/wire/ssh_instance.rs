//! The way into an EC2 instance: `claviger ssh`.

use crate::model::{InstanceId, Region};
use serde::{Deserialize, Serialize};

/// Which instance, for whom, and with which key.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SshInstance {
    /// The profile whose credentials are used.
    pub profile: String,
    /// The region; the profile's, if left out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub region: Option<Region>,
    /// Its id, its private IP address, or the value of its tag `Name`.
    pub instance: String,
    /// The user on it.
    pub user: String,
    /// The SSH key that is pushed: its name in the vault, `piv:SLOT`, or its fingerprint. The one that the instance's key
    /// pair is named like, else the first that fits, if left out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub key: Option<String>,
    /// Its private address, also where it has a public one.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub private: bool,
    /// Which process logs in.
    pub login: SshLogin,
    /// Longest wait in seconds for anything.
    pub wait: u64,
}

/// Which process logs in: for it the agent lists the pushed key alone, and pushes it again where it has to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum SshLogin {
    /// The client itself, which will become ssh.
    Caller,
    /// The one that started the client, as ssh starts a ProxyCommand.
    Parent,
}

/// An instance that takes the key for the next minute.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SshInstanceRow {
    /// Its id.
    pub id: InstanceId,
    /// Its tag `Name`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// The region it is in.
    pub region: Region,
    /// The address to connect to.
    pub address: String,
    /// The key that was pushed, as `ssh-keygen -l` shows it.
    pub fingerprint: String,
    /// What that key is called here.
    pub key: String,
    /// Its device asks for the PIN at each login.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub wants_pin: bool,
    /// Its device waits to be touched.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub wants_touch: bool,
}
