//! The keys that EC2 takes and makes: RSA and Ed25519, in OpenSSH's, PuTTY's and X.509's forms, with EC2's fingerprints.
//! Written from the formats' descriptions; the agent's own code for them is not used.

mod der;
mod private;
mod read;

pub(crate) use private::PrivateKey;

use data_encoding::{BASE64, HEXLOWER};
use md5::Md5;
use sha2::{Digest as _, Sha256};

/// A public key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum PublicKey {
    Ed25519([u8; 32]),
    /// Big-endian, without leading zeros.
    Rsa {
        modulus: Vec<u8>,
        exponent: Vec<u8>,
    },
}

impl PublicKey {
    /// Reads what ImportKeyPair takes: an OpenSSH line, RFC 4716, or an RSA SubjectPublicKeyInfo in DER, plain or as
    /// base64. None for every other form and type of key.
    pub(crate) fn read(material: &[u8]) -> Option<Self> {
        read::read(material)
    }

    /// The name that SSH has for its type (RFC 4253 section 6.6, RFC 8709).
    fn algorithm(&self) -> &'static str {
        match self {
            Self::Ed25519(_) => "ssh-ed25519",
            Self::Rsa { .. } => "ssh-rsa",
        }
    }

    /// The name that EC2 has for its type.
    pub(crate) fn kind(&self) -> &'static str {
        match self {
            Self::Ed25519(_) => "ed25519",
            Self::Rsa { .. } => "rsa",
        }
    }

    /// The length of an RSA key in bits.
    pub(crate) fn rsa_bits(&self) -> Option<usize> {
        match self {
            Self::Ed25519(_) => None,
            Self::Rsa { modulus, .. } => {
                let zeros = modulus.first().map_or(0, |byte| byte.leading_zeros());
                usize::try_from(zeros).ok().and_then(|zeros| (modulus.len() * 8).checked_sub(zeros))
            }
        }
    }

    /// The key as SSH sends it.
    pub(crate) fn blob(&self) -> Vec<u8> {
        let mut out = Vec::new();
        put(&mut out, self.algorithm().as_bytes());
        match self {
            Self::Ed25519(point) => put(&mut out, point),
            Self::Rsa { modulus, exponent } => {
                put_number(&mut out, exponent);
                put_number(&mut out, modulus);
            }
        }
        out
    }

    /// The line of an authorized_keys file.
    pub(crate) fn line(&self, comment: &str) -> String {
        format!("{} {} {comment}", self.algorithm(), BASE64.encode(&self.blob()))
    }

    /// SubjectPublicKeyInfo; None for a key that is not RSA.
    pub(crate) fn rsa_spki(&self) -> Option<Vec<u8>> {
        match self {
            Self::Ed25519(_) => None,
            Self::Rsa { modulus, exponent } => Some(der::rsa_spki(modulus, exponent)),
        }
    }

    /// The fingerprint that EC2 shows for this key where it was imported. The API's text speaks of RFC 4716, which
    /// hashes the SSH blob; what EC2 does is MD5 over the SubjectPublicKeyInfo (EC2 user guide, "Verify the fingerprint
    /// of your key pair").
    pub(crate) fn imported_fingerprint(&self) -> String {
        match self.rsa_spki() {
            Some(spki) => colons(&Md5::digest(spki)),
            None => BASE64.encode(&Sha256::digest(self.blob())),
        }
    }
}

/// `aa:bb:cc`.
fn colons(digest: &[u8]) -> String {
    let pairs: Vec<String> = digest.iter().map(|byte| HEXLOWER.encode(&[*byte])).collect();
    pairs.join(":")
}

/// A string of SSH (RFC 4251 section 5).
fn put(out: &mut Vec<u8>, bytes: &[u8]) {
    out.extend(u32::try_from(bytes.len()).unwrap_or(u32::MAX).to_be_bytes());
    out.extend_from_slice(bytes);
}

/// An mpint of SSH (RFC 4251 section 5), from a magnitude without leading zeros.
fn put_number(out: &mut Vec<u8>, magnitude: &[u8]) {
    let sign: &[u8] = if magnitude.first().is_some_and(|byte| *byte >= 0x80) { &[0] } else { &[] };
    put(out, &[sign, magnitude].concat());
}
