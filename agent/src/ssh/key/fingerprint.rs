//! The fingerprints that EC2 gives key pairs: each type and origin has a form of its own (EC2 user guide, "Verify the
//! fingerprint of your key pair"; where its API reference speaks of RFC 4716, AWS does otherwise).
//!
//! | origin | type | form |
//! |---|---|---|
//! | CreateKeyPair | RSA | SHA-1 over the private key, DER of PKCS#8, in base16 with colons |
//! | ImportKeyPair | RSA | MD5 over the public key, DER of SubjectPublicKeyInfo, in base16 with colons |
//! | either | Ed25519 | SHA-256 over the public key as SSH has it, padded base64 |
//!
//! So of RSA the first is known to the owner of the private key alone.

use super::error::{Error, Result};
use super::kind::KeyType;
use super::{PrivateHalf, SoftKey};
use crate::world::on_wiped_stack;
use data_encoding::BASE64;
use md5::Md5;
use sha1::Sha1;
use sha2::{Digest, Sha256};
use ssh_key::encoding::Decode;
use ssh_key::public::KeyData;

/// AlgorithmIdentifier of rsaEncryption, DER (RFC 8017 appendix A.1).
const RSA_ENCRYPTION: [u8; 15] =
    [0x30, 0x0d, 0x06, 0x09, 0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 0x01, 0x01, 0x01, 0x05, 0x00];
/// Bits of RSA keys that ImportKeyPair takes (EC2 user guide, "Bring your own public key"). Those of 1024 are not held here.
const RSA_BITS: [u32; 3] = [1024, 2048, 4096];

/// What EC2 does with a public key.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ec2Fitness {
    /// It is taken.
    Taken,
    /// EC2 takes Ed25519 and RSA alone: no ECDSA, nothing of FIDO devices.
    WrongType,
    /// RSA of so many bits.
    WrongSize(u32),
}

/// Whether ImportKeyPair takes a public key. [`Error::Malformed`] where it is none.
pub fn ec2_fitness(blob: &[u8]) -> Result<Ec2Fitness> {
    Ok(match read(blob)? {
        KeyData::Ed25519(_) => Ec2Fitness::Taken,
        KeyData::Rsa(key) if RSA_BITS.contains(&key.key_size()) => Ec2Fitness::Taken,
        KeyData::Rsa(key) => Ec2Fitness::WrongSize(key.key_size()),
        _ => Ec2Fitness::WrongType,
    })
}

/// The public key alone, where a blob is a certificate. [`Error::Malformed`].
pub fn plain_blob(blob: &[u8]) -> Result<Vec<u8>> {
    use ssh_key::encoding::Encode;
    let key = read(blob)?;
    let key = key.certificate().map_or(&key, |certificate| certificate.public_key());
    key.encode_vec().map_err(|_| Error::Malformed)
}

/// The fingerprint that ImportKeyPair gives a public key. [`Error::UnsupportedType`] of one that it does not take,
/// [`Error::Malformed`].
pub fn imported_fingerprint(blob: &[u8]) -> Result<String> {
    match read(blob)? {
        KeyData::Ed25519(_) => Ok(BASE64.encode(&Sha256::digest(blob))),
        KeyData::Rsa(key) => {
            let number = |number: Option<&[u8]>| number.map(positive).ok_or(Error::Malformed);
            let n = number(key.n().as_positive_bytes())?;
            let e = number(key.e().as_positive_bytes())?;
            let numbers = element(0x30, &[&n, &e]);
            // No bit of the last byte is left over.
            let info = element(0x30, &[&RSA_ENCRYPTION, &element(0x03, &[&[0], &numbers])]);
            Ok(colons(&Md5::digest(info)))
        }
        _ => Err(Error::UnsupportedType { kind: "not of EC2" }),
    }
}

impl SoftKey {
    /// The fingerprint that CreateKeyPair gave the pair if AWS made it. As [`imported_fingerprint`].
    pub fn created_fingerprint(&self) -> Result<String> {
        match &self.private {
            PrivateHalf::Rsa(key) => on_wiped_stack(|| Ok(colons(&Sha1::digest(key.pkcs8()?.as_slice())))),
            _ if self.kind() == KeyType::Ed25519 => imported_fingerprint(self.key_blob()),
            _ => Err(Error::UnsupportedType { kind: "not of EC2" }),
        }
    }
}

fn read(blob: &[u8]) -> Result<KeyData> {
    let mut rest = blob;
    let key = KeyData::decode(&mut rest).map_err(|_| Error::Malformed)?;
    if rest.is_empty() { Ok(key) } else { Err(Error::Malformed) }
}

/// An INTEGER of a number without leading zeros.
fn positive(magnitude: &[u8]) -> Vec<u8> {
    let sign: &[u8] = if magnitude.first().is_some_and(|first| first & 0x80 != 0) { &[0] } else { &[] };
    element(0x02, &[sign, magnitude])
}

/// An element in DER (X.690 section 8.1).
fn element(tag: u8, parts: &[&[u8]]) -> Vec<u8> {
    let content = parts.concat();
    let mut element = vec![tag];
    match u8::try_from(content.len()) {
        Ok(short) if short < 0x80 => element.push(short),
        _ => {
            let bytes = content.len().to_be_bytes();
            let length = super::fields::magnitude(&bytes).unwrap_or_default();
            element.push(0x80 | u8::try_from(length.len()).unwrap_or_default());
            element.extend_from_slice(length);
        }
    }
    element.extend_from_slice(&content);
    element
}

fn colons(digest: &[u8]) -> String {
    digest.iter().map(|byte| format!("{byte:02x}")).collect::<Vec<_>>().join(":")
}
