//! Key pairs that EC2 makes. They are handed out once and not kept; this double's are for nobody's real machine.

use super::{PublicKey, colons, der, put, put_number};
use crate::entropy::Entropy;
use aws_lc_rs::encoding::{AsDer as _, Pkcs8V1Der};
use aws_lc_rs::rsa::KeySize;
use aws_lc_rs::signature::{Ed25519KeyPair, KeyPair as _, RsaKeyPair};
use data_encoding::{BASE64, HEXLOWER};
use hmac::{Hmac, KeyInit as _, Mac as _};
use sha1::{Digest as _, Sha1};

/// The block size of an OpenSSH key file without a cipher (PROTOCOL.key).
const OPENSSH_BLOCK: usize = 8;
/// What PuTTY's MAC of a key file without a passphrase is keyed with (PuTTY manual, appendix C).
const PUTTY_MAC: &[u8] = b"putty-private-key-file-mac-key";

/// A private key with its public half.
pub(crate) enum PrivateKey {
    Ed25519 {
        seed: [u8; 32],
        point: [u8; 32],
    },
    /// RSAPrivateKey (RFC 8017 section A.1.2).
    Rsa {
        pkcs1: Vec<u8>,
    },
}

impl PrivateKey {
    /// A new RSA key of 2048 bits, another one each time; None only where the library fails.
    pub(crate) fn new_rsa() -> Option<Self> {
        let made = RsaKeyPair::generate(KeySize::Rsa2048).ok()?;
        let pkcs8: Pkcs8V1Der<'static> = made.as_der().ok()?;
        Some(Self::Rsa { pkcs1: der::rsa_pkcs1(pkcs8.as_ref())?.to_vec() })
    }

    /// A new Ed25519 key.
    pub(crate) fn new_ed25519(entropy: &mut Entropy) -> Option<Self> {
        let seed: [u8; 32] = entropy.bytes(32).try_into().ok()?;
        let made = Ed25519KeyPair::from_seed_unchecked(&seed).ok()?;
        Some(Self::Ed25519 { seed, point: made.public_key().as_ref().try_into().ok()? })
    }

    /// An RSA key from its PKCS#1 PEM.
    pub(crate) fn read_rsa(pem: &str) -> Option<Self> {
        let inside = pem.trim().strip_prefix("-----BEGIN RSA PRIVATE KEY-----")?;
        let inside = inside.strip_suffix("-----END RSA PRIVATE KEY-----")?;
        let pkcs1 = BASE64.decode(inside.split_ascii_whitespace().collect::<String>().as_bytes()).ok()?;
        der::rsa_numbers(&pkcs1)?;
        Some(Self::Rsa { pkcs1 })
    }

    /// Its public half.
    pub(crate) fn public(&self) -> Option<PublicKey> {
        Some(match self {
            Self::Ed25519 { point, .. } => PublicKey::Ed25519(*point),
            Self::Rsa { pkcs1 } => {
                let [modulus, exponent, ..] = der::rsa_numbers(pkcs1)?;
                PublicKey::Rsa { modulus, exponent }
            }
        })
    }

    /// The fingerprint that EC2 shows for a pair that it made: of an RSA key SHA-1 over the PKCS#8 private key, so that
    /// nobody can compute it from the public half; of an Ed25519 key what an import would show.
    pub(crate) fn created_fingerprint(&self) -> Option<String> {
        match self {
            Self::Ed25519 { .. } => Some(self.public()?.imported_fingerprint()),
            Self::Rsa { pkcs1 } => Some(colons(&Sha1::digest(der::rsa_pkcs8(pkcs1)))),
        }
    }

    /// KeyFormat pem: PKCS#1 of an RSA key, OpenSSH's form of an Ed25519 key.
    pub(crate) fn pem(&self, entropy: &mut Entropy) -> String {
        match self {
            Self::Ed25519 { seed, point } => {
                let body = openssh_ed25519(seed, point, &entropy.bytes(4));
                armour("OPENSSH PRIVATE KEY", &body, 70)
            }
            Self::Rsa { pkcs1 } => armour("RSA PRIVATE KEY", pkcs1, 64),
        }
    }

    /// KeyFormat ppk: PuTTY's version 2, without a passphrase.
    pub(crate) fn ppk(&self, comment: &str) -> Option<String> {
        let public = self.public()?;
        let mut private = Vec::new();
        match self {
            Self::Ed25519 { seed, .. } => {
                // PuTTY reads the seed as a number with its least byte first, and keeps its bytes in that order.
                put(&mut private, seed);
            }
            Self::Rsa { pkcs1 } => {
                let [_, _, d, p, q, _, _, inverse] = der::rsa_numbers(pkcs1)?;
                for number in [d, p, q, inverse] {
                    put_number(&mut private, &number);
                }
            }
        }
        let (algorithm, blob) = (public.algorithm(), public.blob());
        let mut authenticated = Vec::new();
        for part in [algorithm.as_bytes(), b"none", comment.as_bytes(), &blob, &private] {
            put(&mut authenticated, part);
        }
        let mut mac = Hmac::<Sha1>::new_from_slice(&Sha1::digest(PUTTY_MAC)).ok()?;
        mac.update(&authenticated);
        let mac = HEXLOWER.encode(&mac.finalize().into_bytes());
        let (public_lines, private_lines) = (lines(&blob, 64), lines(&private, 64));
        Some(format!(
            "PuTTY-User-Key-File-2: {algorithm}\r\nEncryption: none\r\nComment: {comment}\r\nPublic-Lines: {}\r\n{}\r\n\
             Private-Lines: {}\r\n{}\r\nPrivate-MAC: {mac}\r\n",
            public_lines.len(),
            public_lines.join("\r\n"),
            private_lines.len(),
            private_lines.join("\r\n"),
        ))
    }
}

/// The file that PROTOCOL.key of OpenSSH describes, without cipher and comment.
fn openssh_ed25519(seed: &[u8; 32], point: &[u8; 32], check: &[u8]) -> Vec<u8> {
    let mut private = [check, check].concat();
    put(&mut private, b"ssh-ed25519");
    put(&mut private, point);
    put(&mut private, &[*seed, *point].concat());
    put(&mut private, b"");
    for padding in 1_u8.. {
        if private.len().is_multiple_of(OPENSSH_BLOCK) {
            break;
        }
        private.push(padding);
    }
    let mut out = b"openssh-key-v1\0".to_vec();
    for none in [b"none".as_slice(), b"none", b""] {
        put(&mut out, none);
    }
    out.extend(1_u32.to_be_bytes());
    put(&mut out, &PublicKey::Ed25519(*point).blob());
    put(&mut out, &private);
    out
}

/// PEM (RFC 7468), without a newline after its end, as EC2 sends it.
fn armour(label: &str, body: &[u8], width: usize) -> String {
    format!("-----BEGIN {label}-----\n{}\n-----END {label}-----", lines(body, width).join("\n"))
}

fn lines(bytes: &[u8], width: usize) -> Vec<String> {
    let text = BASE64.encode(bytes);
    text.as_bytes().chunks(width).map(|line| String::from_utf8_lossy(line).into_owned()).collect()
}
