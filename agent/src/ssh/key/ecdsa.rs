//! ECDSA over the NIST curves (RFC 5656), by aws-lc.

use super::error::{Error, Result};
use super::kind::Curve;
use crate::world::Entropy;
use aws_lc_rs::agreement::{self, ECDH_P256, ECDH_P384, ECDH_P521};
use aws_lc_rs::encoding::{AsBigEndian, EcPrivateKeyBin};
use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::signature::{EcdsaKeyPair, KeyPair};
use ssh_key::public::{EcdsaPublicKey, KeyData};
use zeroize::Zeroizing;

/// How often a random scalar may lie beyond the order of its curve. Once in 2^32 does.
const TRIES: usize = 64;

/// A key pair. aws-lc wipes what it frees.
pub(super) struct Ecdsa {
    pub(super) curve: Curve,
    pair: EcdsaKeyPair,
}

impl Ecdsa {
    /// Of a big-endian scalar, leading zeros or not, and the point that goes with it, uncompressed. Without one it is
    /// computed. [`Error::Mismatch`] where they are no pair.
    pub(super) fn new(curve: Curve, scalar: &[u8], point: Option<&[u8]>) -> Result<Self> {
        let scalar = padded(curve, scalar)?;
        let pair = match point {
            // 4 is an uncompressed point (SEC 1 section 2.3.3): SSH has no other.
            Some(point) if point.first() != Some(&4) => return Err(Error::Malformed),
            Some(point) => EcdsaKeyPair::from_private_key_and_public_key(curve.signing(), &scalar, point),
            None => {
                let point = point_of(curve, &scalar)?;
                EcdsaKeyPair::from_private_key_and_public_key(curve.signing(), &scalar, point.as_ref())
            }
        };
        Ok(Self { curve, pair: pair.map_err(|_| Error::Mismatch)? })
    }

    /// A new one. [`Error::NoEntropy`].
    pub(super) fn generate(curve: Curve, entropy: &dyn Entropy) -> Result<Self> {
        for _ in 0..TRIES {
            let mut scalar = Zeroizing::new(vec![0; curve.scalar_length()]);
            entropy.fill(&mut scalar).map_err(|_| Error::NoEntropy)?;
            // 521 bits in 66 bytes.
            if let (Curve::P521, Some(first)) = (curve, scalar.first_mut()) {
                *first &= 1;
            }
            if let Ok(key) = Self::new(curve, &scalar, None) {
                return Ok(key);
            }
        }
        Err(Error::NoEntropy)
    }

    pub(super) fn public(&self) -> Result<KeyData> {
        let point = self.pair.public_key();
        EcdsaPublicKey::from_sec1_bytes(point.as_ref()).map(KeyData::Ecdsa).map_err(|_| Error::Malformed)
    }

    /// The numbers r and s, big-endian.
    pub(super) fn sign(&self, data: &[u8]) -> Result<(Vec<u8>, Vec<u8>)> {
        let signature = self.pair.sign(&SystemRandom::new(), data).map_err(|_| Error::Signing)?;
        let halves = signature.as_ref().split_at_checked(self.curve.scalar_length()).ok_or(Error::Signing)?;
        Ok((halves.0.to_vec(), halves.1.to_vec()))
    }

    /// The scalar; the buffer wipes itself.
    pub(super) fn scalar(&self) -> Result<EcPrivateKeyBin<'static>> {
        self.pair.private_key().as_be_bytes().map_err(|_| Error::Malformed)
    }

    /// The private key as DER of PKCS#8 (RFC 5958).
    pub(super) fn pkcs8(&self) -> Result<Zeroizing<Vec<u8>>> {
        let document = self.pair.to_pkcs8v1().map_err(|_| Error::Malformed)?;
        Ok(Zeroizing::new(document.as_ref().to_vec()))
    }

    pub(super) fn point(&self) -> &[u8] {
        self.pair.public_key().as_ref()
    }
}

/// As long as its curve's scalars are.
fn padded(curve: Curve, scalar: &[u8]) -> Result<Zeroizing<Vec<u8>>> {
    let scalar = super::fields::magnitude(scalar).ok_or(Error::Malformed)?;
    let missing = curve.scalar_length().checked_sub(scalar.len()).ok_or(Error::Malformed)?;
    let mut whole = Zeroizing::new(Vec::with_capacity(curve.scalar_length()));
    whole.resize(missing, 0);
    whole.extend_from_slice(scalar);
    Ok(whole)
}

fn point_of(curve: Curve, scalar: &[u8]) -> Result<agreement::PublicKey> {
    let agreement = match curve {
        Curve::P256 => &ECDH_P256,
        Curve::P384 => &ECDH_P384,
        Curve::P521 => &ECDH_P521,
    };
    let key = agreement::PrivateKey::from_private_key(agreement, scalar).map_err(|_| Error::Malformed)?;
    key.compute_public_key().map_err(|_| Error::Malformed)
}
