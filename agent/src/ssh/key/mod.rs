//! Soft SSH keys: private keys that are held in memory, as `ssh-add` hands them over, as files keep them, or made here;
//! and the public side of those that a card holds ([`CardKey`]).
//!
//! All is pure: bytes in, bytes out, randomness as an argument. A key is parsed once, when it comes, into what signs:
//! the private halves lie in aws-lc (ECDSA, RSA) or in a wiped box that is kept out of swap (Ed25519). What a library
//! copies meanwhile is wiped as it is freed: by aws-lc itself, by the daemon's allocator, and on the stack by
//! [`crate::world::on_wiped_stack`]. The pages of aws-lc's heap cannot be kept out of swap.

mod card;
mod certificate;
mod decrypt;
mod ecdsa;
mod ed25519;
mod error;
mod export;
mod fields;
mod fingerprint;
mod generate;
mod import;
mod kind;
mod public;
mod rsa;
mod security;
mod sign;
mod wire;

#[cfg(test)]
mod tests;

pub use card::{CardInput, CardKey};
pub use decrypt::unpad;
pub use error::{Error, Result};
pub use export::PemForm;
pub use fingerprint::{Ec2Fitness, ec2_fitness, imported_fingerprint, plain_blob};
pub use generate::NewKey;
pub use import::{Imported, import};
pub use kind::{Curve, KeyType, SecurityType};
pub use security::SecurityKey;
pub use sign::{RSA_SHA2_256, RSA_SHA2_512};

use certificate::Certificate;
use ecdsa::Ecdsa;
use ed25519::Ed25519;
use rsa::Rsa;
use ssh_key::public::KeyData;

/// A private key, its public half, and its certificate if it came with one. It cannot be printed, compared, cloned or
/// serialised; [`SoftKey::encode`] and [`SoftKey::export`] are the ways out.
pub struct SoftKey {
    private: PrivateHalf,
    public: KeyData,
    key_blob: Vec<u8>,
    certificate: Option<Certificate>,
}

/// What signs.
enum PrivateHalf {
    Ecdsa(Ecdsa),
    Ed25519(Ed25519),
    Rsa(Rsa),
    /// On a FIDO device.
    Security(SecurityKey),
}
