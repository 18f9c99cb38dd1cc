//! The keys of the vault, as the SSH door has them while the vault is open.

use super::{Door, Server};
use crate::ssh::key::{self, SoftKey};
use crate::ssh::{BindingState, Constraints, Payload};
use crate::vault::{Knowledge, SshKey};
use crate::world::{BootTime, on_wiped_stack};
use claviger::model::Name;
use std::collections::HashMap;
use std::sync::{Arc, MutexGuard, PoisonError};

/// Consents that are remembered at most: each is for a key and a purpose.
const CONSENTS: usize = 1024;

/// A key of the vault, ready to sign.
pub(super) struct VaultKey {
    pub(super) name: Name,
    pub(super) key: SoftKey,
    pub(super) comment: Box<[u8]>,
    /// Its destinations.
    pub(super) constraints: Constraints,
    any_data: bool,
    confirm: bool,
    /// Seconds that a consent lasts.
    lifetime: Option<u32>,
    namespaces: Vec<String>,
}

/// Those of the vault as it was last looked at.
#[derive(Default)]
pub(super) struct VaultKeys {
    /// What the vault was known to hold then: it is another after each change.
    known: Option<Arc<Knowledge>>,
    keys: Vec<Arc<VaultKey>>,
    /// Until when a person's word holds.
    consents: HashMap<Consent, BootTime>,
}

/// What a consent is for: another key or purpose needs another. Never for a request from another machine.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(super) struct Consent {
    pub(super) key: Vec<u8>,
    /// The user of a login.
    pub(super) user: Option<Vec<u8>>,
    /// The host key that the connection is bound to; a client that binds nothing has consent for every host.
    pub(super) host_key: Option<Vec<u8>>,
    /// The namespace of a signature.
    pub(super) namespace: Option<String>,
}

impl VaultKey {
    fn decode(name: &Name, kept: &SshKey) -> key::Result<Self> {
        let key = on_wiped_stack(|| SoftKey::decode(&mut kept.private.expose()))?;
        Ok(Self {
            name: name.clone(),
            key,
            comment: kept.comment.as_bytes().into(),
            constraints: Constraints::decode(&kept.destinations)?,
            any_data: kept.any_data,
            confirm: kept.confirm,
            lifetime: kept.lifetime,
            namespaces: kept.namespaces.clone(),
        })
    }

    /// Whether its owner lets it sign this at all.
    pub(super) fn signs(&self, payload: &Payload<'_>) -> bool {
        match payload {
            Payload::Userauth(_) => true,
            Payload::Signature(request) => self.namespaces.iter().any(|namespace| namespace == request.namespace),
            Payload::Raw => self.any_data,
        }
    }

    /// Whether a person's word holds for later requests too.
    pub(super) fn remembers(&self) -> bool {
        self.lifetime.is_some()
    }

    /// Whether a person has to agree. Always, where the request comes from another machine.
    pub(super) fn asks(&self, state: BindingState) -> bool {
        self.confirm || self.lifetime.is_some() || is_elsewhere(state)
    }
}

/// Whether a connection comes from another machine, or may.
pub(super) fn is_elsewhere(state: BindingState) -> bool {
    matches!(state, BindingState::Forwarded | BindingState::Tainted)
}

impl Door {
    /// The keys of the vault; none while it is locked, or an older one that nobody has accepted.
    pub(super) fn vault_keys(&self, server: &Server) -> Vec<Arc<VaultKey>> {
        let mut vault = self.vault();
        if server.custody.require_newest().is_err() {
            return Vec::new();
        }
        let known = server.custody.knowledge();
        if !vault.known.as_ref().is_some_and(|seen| Arc::ptr_eq(seen, &known)) {
            // Under the lock of what a lock of the vault empties: it comes before this or after.
            let Ok(kept) = server.custody.with_items(|items| items.ssh_keys.clone()) else { return Vec::new() };
            let decoded = kept.iter().filter_map(|(name, kept)| {
                let key = VaultKey::decode(name, kept);
                key.inspect_err(|error| tracing::warn!(%error, "a key of the vault is unusable")).ok().map(Arc::new)
            });
            vault.keys = decoded.collect();
            // Given under the rules of before.
            vault.consents.clear();
            vault.known = Some(known);
        }
        vault.keys.clone()
    }

    /// The vault is locked: neither keys nor consents are left.
    pub(in crate::server) fn forget_vault(&self) {
        *self.vault() = VaultKeys::default();
    }

    /// Whether a person has agreed to this, and it still holds.
    pub(super) fn has_consent(&self, consent: &Consent) -> bool {
        self.vault().consents.get(consent).is_some_and(|until| *until > self.world.clock.boot())
    }

    /// Remembers what a person has agreed to, as long as the key says.
    pub(super) fn remember_consent(&self, key: &VaultKey, consent: Consent) {
        let Some(seconds) = key.lifetime else { return };
        let now = self.world.clock.boot();
        let mut vault = self.vault();
        vault.consents.retain(|_, until| *until > now);
        if vault.consents.len() < CONSENTS {
            vault.consents.insert(consent, now.plus_millis(u64::from(seconds).saturating_mul(1000)));
        }
    }

    fn vault(&self) -> MutexGuard<'_, VaultKeys> {
        self.vault.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
