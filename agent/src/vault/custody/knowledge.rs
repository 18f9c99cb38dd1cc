//! What the agent knows of the vault's items while that is locked.

use crate::vault::{Items, OathAccount, Pins, SshKey, TotpDevice};
use claviger::model::{Arn, MfaSerial, Name};
use std::collections::BTreeMap;

/// What is known of the vault's items without a secret. It outlives a lock, so that sessions that the idle lock
/// leaves in memory can still be found.
#[derive(Clone, Default)]
pub struct Knowledge {
    /// Access keys and their users.
    pub access_keys: BTreeMap<Name, Option<Arn>>,
    /// Authenticators.
    pub devices: Vec<KnownDevice>,
    /// What a person has accepted.
    pub pins: Pins,
    /// SSH keys.
    pub ssh_keys: Vec<KnownSshKey>,
}

/// An authenticator without its seed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KnownDevice {
    /// Its name here.
    pub name: Name,
    /// Its serial at AWS.
    pub serial: MfaSerial,
    /// The access key whose user owns it.
    pub access_key: Name,
    /// Its account on a YubiKey, where its seed is there.
    pub on_card: Option<OathAccount>,
    /// Whether the vault has its seed.
    pub is_here: bool,
}

/// An SSH key without its private half: what an agent's list needs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KnownSshKey {
    /// Its name here.
    pub name: Name,
    /// Its public half, or its certificate.
    pub public: Vec<u8>,
    /// Its comment.
    pub comment: String,
    /// Where it may be used, see [`SshKey`]: it is not shown elsewhere either.
    pub destinations: Vec<u8>,
}

impl Knowledge {
    /// What items tell without their secrets.
    pub(super) fn of(items: &Items) -> Self {
        let device = |(name, device): (&Name, &TotpDevice)| KnownDevice {
            name: name.clone(),
            serial: device.serial.clone(),
            access_key: device.access_key.clone(),
            on_card: device.seed.on_card().cloned(),
            is_here: device.seed.here().is_some(),
        };
        let ssh_key = |(name, key): (&Name, &SshKey)| KnownSshKey {
            name: name.clone(),
            public: key.public.clone(),
            comment: key.comment.clone(),
            destinations: key.destinations.clone(),
        };
        Self {
            access_keys: items.access_keys.iter().map(|(name, key)| (name.clone(), key.user.clone())).collect(),
            devices: items.authenticators.iter().map(device).collect(),
            pins: items.pins.clone(),
            ssh_keys: items.ssh_keys.iter().map(ssh_key).collect(),
        }
    }
}
