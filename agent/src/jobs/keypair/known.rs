//! The keys that are at hand, and whether a key pair is one of them. Pure.

use crate::aws::KeyPair;
use crate::jobs::ssh_key::blob_of_line;
use crate::ssh::key::{KeyType, SoftKey, imported_fingerprint, plain_blob};
use crate::vault::{Items, SshKey};
use claviger::wire::KeypairSource;

/// A key whose private half is in the vault or on a card.
pub struct Known {
    /// Where it is.
    pub place: KeypairSource,
    /// The public key alone.
    pub blob: Vec<u8>,
    /// The fingerprints that EC2 may have given it.
    forms: Vec<String>,
}

impl Known {
    /// A key of a card: EC2 can have it by import alone.
    pub fn of_card(device: Option<u32>, slot: claviger::model::PivSlot, blob: &[u8]) -> Self {
        let forms = imported_fingerprint(blob).into_iter().collect();
        Self { place: KeypairSource::Card { device, slot }, blob: blob.to_vec(), forms }
    }

    /// The keys of the vault. With `private` also the form that CreateKeyPair gives RSA, for which each key of that type is
    /// opened: needed where EC2 gives no public keys.
    pub fn of_vault(items: &Items, private: bool) -> Vec<Self> {
        items
            .ssh_keys
            .iter()
            .filter_map(|(name, key)| {
                let blob = plain_blob(&key.public).ok()?;
                let mut forms: Vec<String> = imported_fingerprint(&blob).into_iter().collect();
                if private && is_rsa(&blob) {
                    forms.extend(created_fingerprint(key));
                }
                Some(Self { place: KeypairSource::Vault(name.clone()), blob, forms })
            })
            .collect()
    }

    /// Whether it is the pair's. The public key decides where EC2 gives it, else the fingerprint.
    pub fn is_of(&self, pair: &KeyPair) -> bool {
        match public_blob(pair) {
            Some(blob) => blob == self.blob,
            None => self.forms.contains(&pair.fingerprint),
        }
    }
}

/// The public key that EC2 gives of a pair.
pub(super) fn public_blob(pair: &KeyPair) -> Option<Vec<u8>> {
    blob_of_line(pair.public.as_deref()?)
}

fn is_rsa(blob: &[u8]) -> bool {
    blob.get(4..).is_some_and(|rest| rest.starts_with(KeyType::Rsa.name().as_bytes()))
}

fn created_fingerprint(key: &SshKey) -> Option<String> {
    SoftKey::decode(&mut key.private.expose()).ok()?.created_fingerprint().ok()
}
