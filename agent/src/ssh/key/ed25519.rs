//! Ed25519 (RFC 8032, RFC 8709), by ed25519-dalek: aws-lc is a little faster, and its copy of the seed could be swapped
//! out.

use super::error::{Error, Result};
use crate::world::{Entropy, keep_in_memory};
use ed25519_dalek::{Signer, SigningKey};
use ssh_key::public::{Ed25519PublicKey, KeyData};
use zeroize::Zeroizing;

/// The seed and its public key: in a box, so that it never moves, in pages that are not swapped out.
pub(super) struct Ed25519(Box<SigningKey>);

impl Ed25519 {
    /// Of its 32 bytes of seed.
    pub(super) fn new(seed: &[u8]) -> Result<Self> {
        let seed = <&[u8; 32]>::try_from(seed).map_err(|_| Error::Malformed)?;
        let key = Box::new(SigningKey::from_bytes(seed));
        // Refused by the limit of the machine: then it is as safe as the swap is.
        drop(keep_in_memory(key.as_bytes()));
        Ok(Self(key))
    }

    /// A new one. [`Error::NoEntropy`].
    pub(super) fn generate(entropy: &dyn Entropy) -> Result<Self> {
        let mut seed = Zeroizing::new([0; 32]);
        entropy.fill(seed.as_mut_slice()).map_err(|_| Error::NoEntropy)?;
        Self::new(seed.as_slice())
    }

    pub(super) fn public(&self) -> KeyData {
        KeyData::Ed25519(Ed25519PublicKey(self.0.verifying_key().to_bytes()))
    }

    /// 64 bytes.
    pub(super) fn sign(&self, data: &[u8]) -> [u8; 64] {
        self.0.sign(data).to_bytes()
    }

    /// Seed and public key, 64 bytes, as OpenSSH keeps them.
    pub(super) fn pair(&self) -> Zeroizing<[u8; 64]> {
        Zeroizing::new(self.0.to_keypair_bytes())
    }
}
