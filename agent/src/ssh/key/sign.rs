//! Signatures as the agent answers them: a `string` of the algorithm and a `string` of the signature.

use super::error::{Error, Result};
use super::fields::{self, Field};
use super::rsa::Hash;
use super::{PrivateHalf, SoftKey};
use crate::world::on_wiped_stack;

/// `SSH_AGENT_RSA_SHA2_256` (RFC 9987): an RSA key signs with SHA-256.
pub const RSA_SHA2_256: u32 = 2;
/// `SSH_AGENT_RSA_SHA2_512` (RFC 9987): an RSA key signs with SHA-512.
pub const RSA_SHA2_512: u32 = 4;

impl SoftKey {
    /// The signature over `data`: RFC 8709 for Ed25519, RFC 5656 for ECDSA, RFC 8332 for RSA, where SHA-256 is taken if
    /// both flags are set, as OpenSSH does. The algorithm is that of the plain key also for a certificate. The flags
    /// mean nothing to other keys. A key of a device signs there. [`Error::FlagsUnknown`], [`Error::OnDevice`], [`Error::Sha1`], [`Error::Signing`].
    pub fn sign(&self, data: &[u8], flags: u32) -> Result<Vec<u8>> {
        match (&self.private, flags) {
            (PrivateHalf::Rsa(_), 0) => Err(Error::Sha1),
            _ => self.sign_as_openssh(data, flags),
        }
    }

    /// The same, and an RSA key without flags signs with SHA-1, as RFC 4253 has it.
    pub fn sign_as_openssh(&self, data: &[u8], flags: u32) -> Result<Vec<u8>> {
        if flags & !(RSA_SHA2_256 | RSA_SHA2_512) != 0 {
            return Err(Error::FlagsUnknown);
        }
        on_wiped_stack(|| match &self.private {
            PrivateHalf::Ecdsa(key) => {
                let (r, s) = key.sign(data)?;
                Ok(blob(self.kind().name(), &fields::write(&[Field::Number(&r), Field::Number(&s)])))
            }
            PrivateHalf::Ed25519(key) => Ok(blob(self.kind().name(), &key.sign(data))),
            PrivateHalf::Rsa(key) => {
                let (name, hash) = match flags {
                    0 => ("ssh-rsa", Hash::Sha1),
                    _ if flags & RSA_SHA2_256 != 0 => ("rsa-sha2-256", Hash::Sha256),
                    _ => ("rsa-sha2-512", Hash::Sha512),
                };
                Ok(blob(name, &key.sign(data, hash)?))
            }
            PrivateHalf::Security(_) => Err(Error::OnDevice),
        })
    }
}

pub(super) fn blob(algorithm: &str, signature: &[u8]) -> Vec<u8> {
    // Nothing secret is in it any more: taken out of the wiping buffer whole.
    std::mem::take(&mut *fields::write(&[Field::Text(algorithm.as_bytes()), Field::Text(signature)]))
}
