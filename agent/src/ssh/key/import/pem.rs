//! Keys in DER: PKCS#1 (RFC 8017), SEC 1 (RFC 5915), PKCS#8 (RFC 5958), the last also under a passphrase (RFC 8018).

use super::super::error::{Error, Result};
use super::super::kind::Curve;
use super::super::rsa::Numbers;
use super::super::{Ecdsa, Ed25519, PrivateHalf, Rsa, SoftKey};
use super::armour::Armour;
use super::{Cost, old_pem};
use claviger::secret::{Passphrase, SecretText};
use pkcs8::der::asn1::{BitStringRef, ContextSpecific, ObjectIdentifier, OctetStringRef};
use pkcs8::der::{self, Decode, Reader, SliceReader, TagNumber};
use pkcs8::pkcs5::EncryptionScheme;
use pkcs8::pkcs5::pbes2::Kdf;
use pkcs8::{EncryptedPrivateKeyInfoRef, PrivateKeyInfoRef};

const DSA: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.10040.4.1");
const EC: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.10045.2.1");
const ED25519: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.3.101.112");
const P256: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.10045.3.1.7");
const P384: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.3.132.0.34");
const P521: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.3.132.0.35");
const RSA: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.113549.1.1.1");

/// The key of a block.
pub(super) fn read(armour: &Armour<'_>, passphrase: Option<&Passphrase>, most: Cost) -> Result<SoftKey> {
    let Some(encryption) = armour.encryption else { return decoded(armour.label, &armour.content, passphrase, most) };
    let content = old_pem::decrypt(encryption, &armour.content, passphrase)?;
    // Its padding fits a wrong passphrase once in 256 times.
    decoded(armour.label, &content, None, most)
        .map_err(|error| if error == Error::Malformed { Error::PassphraseWrong } else { error })
}

fn decoded(label: &[u8], content: &[u8], passphrase: Option<&Passphrase>, most: Cost) -> Result<SoftKey> {
    match label {
        b"RSA PRIVATE KEY" => rsa(content),
        b"EC PRIVATE KEY" => ec(content, None),
        b"PRIVATE KEY" => pkcs8(content),
        b"ENCRYPTED PRIVATE KEY" => encrypted(content, passphrase, most),
        b"DSA PRIVATE KEY" => Err(Error::UnsupportedType { kind: "dsa" }),
        _ => Err(Error::UnsupportedType { kind: "unknown" }),
    }
}

fn rsa(content: &[u8]) -> Result<SoftKey> {
    SoftKey::of(PrivateHalf::Rsa(Rsa::new(&Numbers::from_der(content)?)?))
}

fn pkcs8(content: &[u8]) -> Result<SoftKey> {
    let info = PrivateKeyInfoRef::from_der(content).map_err(|_| Error::Malformed)?;
    let inner = info.private_key.as_bytes();
    match info.algorithm.oid {
        RSA => rsa(inner),
        EC => ec(inner, Some(info.algorithm.parameters_oid().map_err(|_| unsupported_curve())?)),
        ED25519 => {
            let seed = <&OctetStringRef>::from_der(inner).map_err(|_| Error::Malformed)?;
            SoftKey::of(PrivateHalf::Ed25519(Ed25519::new(seed.as_bytes())?))
        }
        DSA => Err(Error::UnsupportedType { kind: "dsa" }),
        _ => Err(Error::UnsupportedType { kind: "unknown" }),
    }
}

/// An `ECPrivateKey`; the curve stands in it, or in the PKCS#8 around it.
fn ec(content: &[u8], outer: Option<ObjectIdentifier>) -> Result<SoftKey> {
    let read = || -> der::Result<_> {
        let mut reader = SliceReader::new(content)?;
        let parts = reader.sequence(|reader| -> der::Result<_> {
            u8::decode(reader)?;
            let scalar = <&OctetStringRef>::decode(reader)?.as_bytes();
            let curve = ContextSpecific::<ObjectIdentifier>::decode_explicit(reader, TagNumber(0))?;
            let point = ContextSpecific::<BitStringRef<'_>>::decode_explicit(reader, TagNumber(1))?;
            Ok((scalar, curve.map(|curve| curve.value), point.and_then(|point| point.value.as_bytes())))
        })?;
        reader.finish()?;
        Ok(parts)
    };
    let (scalar, inner, point) = read().map_err(|_| Error::Malformed)?;
    let curve = match outer.or(inner) {
        Some(P256) => Curve::P256,
        Some(P384) => Curve::P384,
        Some(P521) => Curve::P521,
        Some(_) => return Err(unsupported_curve()),
        None => return Err(Error::Malformed),
    };
    // A compressed point says no more than the scalar does.
    let point = point.filter(|point| point.first() == Some(&4));
    SoftKey::of(PrivateHalf::Ecdsa(Ecdsa::new(curve, scalar, point)?))
}

fn unsupported_curve() -> Error {
    Error::UnsupportedType { kind: "ecdsa over another curve" }
}

fn encrypted(content: &[u8], passphrase: Option<&Passphrase>, most: Cost) -> Result<SoftKey> {
    let info = EncryptedPrivateKeyInfoRef::from_der(content).map_err(|_| Error::EncryptionUnsupported)?;
    let EncryptionScheme::Pbes2(parameters) = &info.encryption_algorithm else {
        return Err(Error::EncryptionUnsupported);
    };
    match &parameters.kdf {
        Kdf::Pbkdf2(pbkdf2) => most.pbkdf2(pbkdf2.iteration_count)?,
        Kdf::Scrypt(scrypt) => {
            let (size, lanes) = (u64::from(scrypt.block_size), u64::from(scrypt.parallelization));
            // Bytes: 128 times block size times cost, and as much again for each lane's block.
            let blocks = scrypt.cost_parameter.saturating_add(lanes);
            most.memory(blocks.saturating_mul(size).div_ceil(8), lanes.saturating_mul(2))?;
        }
        _ => return Err(Error::EncryptionUnsupported),
    }
    let passphrase = passphrase.ok_or(Error::PassphraseNeeded)?;
    let document = info.decrypt(passphrase.expose()).map_err(|error| match error {
        pkcs8::Error::EncryptedPrivateKey(
            pkcs8::pkcs5::Error::NoPbes1CryptSupport
            | pkcs8::pkcs5::Error::UnsupportedAlgorithm { .. }
            | pkcs8::pkcs5::Error::AlgorithmParametersInvalid { .. },
        ) => Error::EncryptionUnsupported,
        _ => Error::PassphraseWrong,
    })?;
    pkcs8(document.as_bytes())
}
