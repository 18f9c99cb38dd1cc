//! Key pairs: made, brought, shown, used.

use crate::tlv::{Field, field, find};
use crate::{Answer, Version, WRONG_DATA};
use claviger_card_link::Status;
use der::Decode;
use ed25519_dalek::Signer;
use p256::ecdsa::signature::hazmat::PrehashSigner;
use rand_core::{OsRng, RngCore};
use rsa::traits::PublicKeyParts;
use rsa::{BigUint, RsaPrivateKey};
use spki::{EncodePublicKey, SubjectPublicKeyInfoOwned};

/// The key itself went wrong.
const BROKEN: Status = 0x6F00;

/// A private key.
pub(super) enum Key {
    Rsa(Box<RsaPrivateKey>),
    P256(p256::SecretKey),
    P384(p384::SecretKey),
    Ed25519(ed25519_dalek::SigningKey),
    X25519(x25519_dalek::StaticSecret),
}

/// The bits of RSA, by algorithm.
const RSA: [(u8, usize); 4] = [(0x06, 1024), (0x07, 2048), (0x05, 3072), (0x16, 4096)];

/// Whether this firmware has the algorithm.
fn has(version: Version, algorithm: u8) -> Result<(), Status> {
    let known = match algorithm {
        0x06 | 0x07 | 0x11 | 0x14 => true,
        0x05 | 0x16 | 0xE0 | 0xE1 => version >= (5, 7, 0),
        _ => false,
    };
    if known { Ok(()) } else { Err(WRONG_DATA) }
}

impl Key {
    pub(super) fn generate(algorithm: u8, version: Version) -> Result<Self, Status> {
        has(version, algorithm)?;
        let mut seed = [0; 32];
        OsRng.fill_bytes(&mut seed);
        Ok(match algorithm {
            0x11 => Self::P256(p256::SecretKey::random(&mut OsRng)),
            0x14 => Self::P384(p384::SecretKey::random(&mut OsRng)),
            0xE0 => Self::Ed25519(seed.into()),
            0xE1 => Self::X25519(seed.into()),
            algorithm => {
                let (_, bits) = RSA.iter().find(|(name, _)| *name == algorithm).ok_or(WRONG_DATA)?;
                Self::Rsa(Box::new(RsaPrivateKey::new(&mut OsRng, *bits).map_err(|_| BROKEN)?))
            }
        })
    }

    /// From the fields of IMPORT: primes, a scalar, or a seed.
    pub(super) fn import(algorithm: u8, items: &[Field], version: Version) -> Result<Self, Status> {
        has(version, algorithm)?;
        let value = |tag| find(items, tag).ok_or(WRONG_DATA);
        let seed = |tag| value(tag)?.try_into().map_err(|_| WRONG_DATA);
        Ok(match algorithm {
            0x11 => Self::P256(p256::SecretKey::from_slice(value(6)?).map_err(|_| WRONG_DATA)?),
            0x14 => Self::P384(p384::SecretKey::from_slice(value(6)?).map_err(|_| WRONG_DATA)?),
            0xE0 => Self::Ed25519(ed25519_dalek::SigningKey::from_bytes(&seed(7)?)),
            0xE1 => Self::X25519(x25519_dalek::StaticSecret::from(seed(8)?)),
            _ => {
                let (p, q) = (BigUint::from_bytes_be(value(1)?), BigUint::from_bytes_be(value(2)?));
                let key = RsaPrivateKey::from_p_q(p, q, 65537u32.into()).map_err(|_| WRONG_DATA)?;
                Some(Self::Rsa(Box::new(key))).filter(|key| key.algorithm() == algorithm).ok_or(WRONG_DATA)?
            }
        })
    }

    pub(super) fn algorithm(&self) -> u8 {
        match self {
            Self::Rsa(key) => RSA.iter().find(|(_, bits)| *bits == key.size() * 8).map_or(0, |(name, _)| *name),
            Self::P256(_) => 0x11,
            Self::P384(_) => 0x14,
            Self::Ed25519(_) => 0xE0,
            Self::X25519(_) => 0xE1,
        }
    }

    /// The public key, as GENERATE and GET METADATA show it.
    pub(super) fn public(&self) -> Vec<u8> {
        match self {
            Self::Rsa(key) => [field(0x81, &key.n().to_bytes_be()), field(0x82, &key.e().to_bytes_be())].concat(),
            Self::P256(key) => field(0x86, &key.public_key().to_sec1_bytes()),
            Self::P384(key) => field(0x86, &key.public_key().to_sec1_bytes()),
            Self::Ed25519(key) => field(0x86, key.verifying_key().as_bytes()),
            Self::X25519(key) => field(0x86, x25519_dalek::PublicKey::from(key).as_bytes()),
        }
    }

    /// The public key, as certificates have it. None for X25519.
    pub(super) fn info(&self) -> Option<SubjectPublicKeyInfoOwned> {
        let info = match self {
            Self::Rsa(key) => key.to_public_key().to_public_key_der(),
            Self::P256(key) => key.public_key().to_public_key_der(),
            Self::P384(key) => key.public_key().to_public_key_der(),
            Self::Ed25519(key) => key.verifying_key().to_public_key_der(),
            Self::X25519(_) => return None,
        };
        SubjectPublicKeyInfoOwned::from_der(info.ok()?.as_bytes()).ok()
    }

    /// What it makes of a padded message (RSA), a hash (ECDSA) or a message (Ed25519).
    pub(super) fn sign(&self, message: &[u8]) -> Answer {
        match self {
            Self::Rsa(key) => raise(key, message),
            Self::P256(key) => {
                let hash = fit::<32>(message);
                let made: p256::ecdsa::DerSignature =
                    p256::ecdsa::SigningKey::from(key).sign_prehash(&hash).map_err(|_| BROKEN)?;
                Ok(made.as_bytes().to_vec())
            }
            Self::P384(key) => {
                let hash = fit::<48>(message);
                let made: p384::ecdsa::DerSignature =
                    p384::ecdsa::SigningKey::from(key).sign_prehash(&hash).map_err(|_| BROKEN)?;
                Ok(made.as_bytes().to_vec())
            }
            Self::Ed25519(key) => Ok(key.sign(message).to_bytes().to_vec()),
            Self::X25519(_) => Err(WRONG_DATA),
        }
    }

    /// The secret it shares with the other public key (NIST SP 800-56A, RFC 7748).
    pub(super) fn agree(&self, other: &[u8]) -> Answer {
        match self {
            Self::P256(key) => {
                let other = p256::PublicKey::from_sec1_bytes(other).map_err(|_| WRONG_DATA)?;
                Ok(p256::ecdh::diffie_hellman(key.to_nonzero_scalar(), other.as_affine()).raw_secret_bytes().to_vec())
            }
            Self::P384(key) => {
                let other = p384::PublicKey::from_sec1_bytes(other).map_err(|_| WRONG_DATA)?;
                Ok(p384::ecdh::diffie_hellman(key.to_nonzero_scalar(), other.as_affine()).raw_secret_bytes().to_vec())
            }
            Self::X25519(key) => {
                let other: [u8; 32] = other.try_into().map_err(|_| WRONG_DATA)?;
                Ok(key.diffie_hellman(&other.into()).as_bytes().to_vec())
            }
            _ => Err(WRONG_DATA),
        }
    }
}

/// A hash with zeros before it, or the beginning of one that is too long.
fn fit<const LENGTH: usize>(hash: &[u8]) -> [u8; LENGTH] {
    let hash = &hash[..hash.len().min(LENGTH)];
    let mut fitted = [0; LENGTH];
    fitted[LENGTH - hash.len()..].copy_from_slice(hash);
    fitted
}

fn raise(key: &RsaPrivateKey, message: &[u8]) -> Answer {
    let message = BigUint::from_bytes_be(message);
    if &message >= key.n() {
        return Err(WRONG_DATA);
    }
    let result = rsa::hazmat::rsa_decrypt_and_check(key, Some(&mut OsRng), &message).map_err(|_| BROKEN)?.to_bytes_be();
    Ok([vec![0; key.size() - result.len()], result].concat())
}
