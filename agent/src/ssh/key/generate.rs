//! New keys.

use super::error::Result;
use super::kind::Curve;
use super::{Ecdsa, Ed25519, PrivateHalf, Rsa, SoftKey};
use crate::world::{Entropy, on_wiped_stack};
use aws_lc_rs::rsa::KeySize;

/// The keys that are made.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum NewKey {
    /// ECDSA over a curve.
    Ecdsa(Curve),
    /// Ed25519.
    Ed25519,
    /// RSA of 3072 bits.
    Rsa3072,
    /// RSA of 4096 bits; takes a second or more.
    Rsa4096,
}

impl SoftKey {
    /// A new key of the given randomness, except for RSA: its primes are found by aws-lc, by its own.
    /// [`super::Error::NoEntropy`].
    pub fn generate(new: NewKey, entropy: &dyn Entropy) -> Result<Self> {
        on_wiped_stack(|| {
            Self::of(match new {
                NewKey::Ecdsa(curve) => PrivateHalf::Ecdsa(Ecdsa::generate(curve, entropy)?),
                NewKey::Ed25519 => PrivateHalf::Ed25519(Ed25519::generate(entropy)?),
                NewKey::Rsa3072 => PrivateHalf::Rsa(Rsa::generate(KeySize::Rsa3072)?),
                NewKey::Rsa4096 => PrivateHalf::Rsa(Rsa::generate(KeySize::Rsa4096)?),
            })
        })
    }
}
