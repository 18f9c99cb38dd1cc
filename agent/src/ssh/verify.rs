//! Signature blobs (RFC 4253 section 6.6, RFC 5656, RFC 8332, RFC 8709, PROTOCOL.u2f), verified by AWS-LC.

use super::Error;
use super::codec::fields::{byte, end, string, uint32};
use aws_lc_rs::digest;
use aws_lc_rs::signature::{
    ECDSA_P256_SHA256_FIXED, ECDSA_P384_SHA384_FIXED, ECDSA_P521_SHA512_FIXED, ED25519,
    RSA_PKCS1_1024_8192_SHA256_FOR_LEGACY_USE_ONLY, RSA_PKCS1_1024_8192_SHA512_FOR_LEGACY_USE_ONLY,
    RsaPublicKeyComponents, UnparsedPublicKey, VerificationAlgorithm,
};
use ssh_encoding::Decode;
use ssh_key::public::{EcdsaPublicKey, KeyData, RsaPublicKey};
use ssh_key::{EcdsaCurve, Mpint};

/// Verifies a signature blob. RSA needs SHA-2, and has 1024 bits at least, as for OpenSSH.
///
/// # Errors
/// [`Error::KeyUnsupported`] for DSA, certificates and unknown types; [`Error::SignatureInvalid`], also for another
/// algorithm than the key's; [`Error::Truncated`] and [`Error::Trailing`].
pub(super) fn verify(key: &KeyData, message: &[u8], signature: &[u8]) -> Result<(), Error> {
    let mut rest = signature;
    let algorithm = string(&mut rest)?;
    let value = string(&mut rest)?;
    let hardware = match key {
        KeyData::SkEcdsaSha2NistP256(_) | KeyData::SkEd25519(_) => Some((byte(&mut rest)?, uint32(&mut rest)?)),
        _ => None,
    };
    end(rest)?;
    if !matches!(key, KeyData::Rsa(_)) && algorithm != key.algorithm().as_str().as_bytes() {
        return Err(Error::SignatureInvalid);
    }
    match key {
        KeyData::Ed25519(key) => check(&ED25519, key.as_ref(), message, value),
        KeyData::Ecdsa(key) => ecdsa(key, message, value),
        KeyData::Rsa(key) => rsa(key, algorithm, message, value),
        KeyData::SkEd25519(key) => {
            check(&ED25519, key.public_key().as_ref(), &asserted(key.application(), hardware, message), value)
        }
        KeyData::SkEcdsaSha2NistP256(key) => {
            let point = EcdsaPublicKey::NistP256(*key.ec_point());
            ecdsa(&point, &asserted(key.application(), hardware, message), value)
        }
        _ => Err(Error::KeyUnsupported),
    }
}

fn check(kind: &'static dyn VerificationAlgorithm, key: &[u8], message: &[u8], value: &[u8]) -> Result<(), Error> {
    UnparsedPublicKey::new(kind, key).verify(message, value).map_err(|_| Error::SignatureInvalid)
}

/// Two mpints, to numbers of the field's width.
fn ecdsa(key: &EcdsaPublicKey, message: &[u8], mut value: &[u8]) -> Result<(), Error> {
    let (kind, width): (&'static dyn VerificationAlgorithm, _) = match key.curve() {
        EcdsaCurve::NistP256 => (&ECDSA_P256_SHA256_FIXED, 32),
        EcdsaCurve::NistP384 => (&ECDSA_P384_SHA384_FIXED, 48),
        EcdsaCurve::NistP521 => (&ECDSA_P521_SHA512_FIXED, 66),
    };
    let mut fixed = Vec::with_capacity(2 * width);
    for _ in 0..2 {
        let number = Mpint::decode(&mut value).map_err(|_| Error::SignatureInvalid)?;
        fixed.extend(padded(number.as_positive_bytes().unwrap_or_default(), width)?);
    }
    end(value)?;
    check(kind, key.as_sec1_bytes(), message, &fixed)
}

/// RFC 8332 section 3; some signers leave leading zeros out.
fn rsa(key: &RsaPublicKey, algorithm: &[u8], message: &[u8], value: &[u8]) -> Result<(), Error> {
    let kind = match algorithm {
        b"rsa-sha2-256" => &RSA_PKCS1_1024_8192_SHA256_FOR_LEGACY_USE_ONLY,
        b"rsa-sha2-512" => &RSA_PKCS1_1024_8192_SHA512_FOR_LEGACY_USE_ONLY,
        _ => return Err(Error::SignatureInvalid),
    };
    let (n, e) = (key.n().as_positive_bytes().unwrap_or_default(), key.e().as_positive_bytes().unwrap_or_default());
    let value = padded(value, n.len())?;
    RsaPublicKeyComponents { n, e }.verify(kind, message, &value).map_err(|_| Error::SignatureInvalid)
}

/// The number with leading zeros.
fn padded(number: &[u8], width: usize) -> Result<Vec<u8>, Error> {
    let zeros = width.checked_sub(number.len()).ok_or(Error::SignatureInvalid)?;
    let mut padded = vec![0; zeros];
    padded.extend_from_slice(number);
    Ok(padded)
}

/// What a security key signs: SHA-256 of the application, flags, counter, SHA-256 of the message.
fn asserted(application: &str, hardware: Option<(u8, u32)>, message: &[u8]) -> Vec<u8> {
    let (flags, counter) = hardware.unwrap_or_default();
    let mut asserted = digest::digest(&digest::SHA256, application.as_bytes()).as_ref().to_vec();
    asserted.push(flags);
    asserted.extend_from_slice(&counter.to_be_bytes());
    asserted.extend_from_slice(digest::digest(&digest::SHA256, message).as_ref());
    asserted
}
