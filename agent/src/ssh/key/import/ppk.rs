//! PuTTY's files, versions 2 and 3 (PuTTY's manual, appendix C).

use super::super::error::{Error, Result};
use super::super::fields::{self, Field, positive, split_once, string};
use super::super::kind::KeyType;
use super::super::rsa::Numbers;
use super::super::{Ecdsa, Ed25519, PrivateHalf, Rsa, SoftKey};
use super::{Cost, Imported};
use argon2::{Algorithm, Argon2, Params, Version};
use claviger::secret::{Passphrase, SecretText};
use data_encoding::{BASE64, HEXLOWER_PERMISSIVE};
use hmac::{Hmac, KeyInit, Mac};
use sha1::{Digest, Sha1};
use sha2::Sha256;
use ssh_key::Cipher;
use zeroize::{Zeroize, Zeroizing};

/// A file taken apart.
struct File<'a> {
    version: u8,
    algorithm: &'a [u8],
    encryption: &'a [u8],
    comment: &'a [u8],
    public: Zeroizing<Vec<u8>>,
    derivation: Derivation<'a>,
    private: Zeroizing<Vec<u8>>,
    mac: Vec<u8>,
}

/// The lines of version 3 on Argon2, as they stand.
#[derive(Default)]
struct Derivation<'a> {
    algorithm: &'a [u8],
    memory: &'a [u8],
    passes: &'a [u8],
    parallelism: &'a [u8],
    salt: &'a [u8],
}

/// What the passphrase is turned into.
struct Keys {
    cipher: Zeroizing<Vec<u8>>,
    iv: Zeroizing<Vec<u8>>,
    mac: Zeroizing<Vec<u8>>,
}

/// The key of a file.
pub(super) fn read(file: &[u8], passphrase: Option<&Passphrase>, most: Cost) -> Result<Imported> {
    let mut file = File::parse(file)?;
    let (kind, certified) = KeyType::named(file.algorithm)?;
    let encrypted = match file.encryption {
        b"none" => false,
        b"aes256-cbc" => true,
        _ => return Err(Error::EncryptionUnsupported),
    };
    let keys = match (encrypted, passphrase) {
        (true, None) => return Err(Error::PassphraseNeeded),
        (true, Some(passphrase)) => file.keys(passphrase.expose(), most)?,
        // The key of version 2 for a file that is not encrypted is that of no passphrase; version 3 has an empty one.
        (false, _) if file.version == 2 => keys_of_version_2(""),
        (false, _) => Keys { cipher: Vec::new().into(), iv: Vec::new().into(), mac: Vec::new().into() },
    };
    if encrypted {
        Cipher::Aes256Cbc.decrypt(&keys.cipher, &keys.iv, &mut file.private, None).map_err(|_| Error::Malformed)?;
    }
    if !file.is_authentic(&keys.mac) {
        return Err(if encrypted { Error::PassphraseWrong } else { Error::Malformed });
    }
    let comment = String::from_utf8_lossy(file.comment).into_owned();
    Ok(Imported { key: file.key(kind, certified)?, comment })
}

impl<'a> File<'a> {
    fn parse(file: &'a [u8]) -> Result<Self> {
        let mut lines = file.split(|byte| *byte == b'\n').map(|line| line.strip_suffix(b"\r").unwrap_or(line));
        let first = lines.next().and_then(|line| line.strip_prefix(b"PuTTY-User-Key-File-")).ok_or(Error::Malformed)?;
        let (version, algorithm) = value(first).ok_or(Error::Malformed)?;
        let version = match version {
            b"2" => 2,
            b"3" => 3,
            _ => return Err(Error::UnsupportedType { kind: "ppk of another version" }),
        };
        let mut parsed = Self {
            version,
            algorithm,
            encryption: b"",
            comment: b"",
            public: Vec::new().into(),
            derivation: Derivation::default(),
            private: Vec::new().into(),
            mac: Vec::new(),
        };
        while let Some(line) = lines.next() {
            if line.is_empty() {
                continue;
            }
            let (name, value) = value(line).ok_or(Error::Malformed)?;
            match name {
                b"Encryption" => parsed.encryption = value,
                b"Comment" => parsed.comment = value,
                b"Public-Lines" => parsed.public = block(value, &mut lines)?,
                b"Key-Derivation" => parsed.derivation.algorithm = value,
                b"Argon2-Memory" => parsed.derivation.memory = value,
                b"Argon2-Passes" => parsed.derivation.passes = value,
                b"Argon2-Parallelism" => parsed.derivation.parallelism = value,
                b"Argon2-Salt" => parsed.derivation.salt = value,
                b"Private-Lines" => parsed.private = block(value, &mut lines)?,
                b"Private-MAC" => parsed.mac = HEXLOWER_PERMISSIVE.decode(value).map_err(|_| Error::Malformed)?,
                _ => return Err(Error::Malformed),
            }
        }
        Ok(parsed)
    }

    fn keys(&self, passphrase: &str, most: Cost) -> Result<Keys> {
        if self.version == 2 {
            return Ok(keys_of_version_2(passphrase));
        }
        let algorithm = match self.derivation.algorithm {
            b"Argon2id" => Algorithm::Argon2id,
            b"Argon2i" => Algorithm::Argon2i,
            b"Argon2d" => Algorithm::Argon2d,
            _ => return Err(Error::EncryptionUnsupported),
        };
        let (memory, passes) = (number(self.derivation.memory)?, number(self.derivation.passes)?);
        most.memory(u64::from(memory), u64::from(passes))?;
        let salt = HEXLOWER_PERMISSIVE.decode(self.derivation.salt).map_err(|_| Error::Malformed)?;
        let parameters = Params::new(memory, passes, number(self.derivation.parallelism)?, None);
        let argon2 = Argon2::new(algorithm, Version::V0x13, parameters.map_err(|_| Error::Malformed)?);
        let mut derived = Zeroizing::new(vec![0; 80]);
        argon2.hash_password_into(passphrase.as_bytes(), &salt, &mut derived).map_err(|_| Error::Malformed)?;
        Ok(Keys::split(&derived))
    }

    /// The HMAC over all that matters, the private part in the clear.
    fn is_authentic(&self, key: &[u8]) -> bool {
        let parts = [self.algorithm, self.encryption, self.comment, &self.public, &self.private];
        let covered = fields::write(&parts.map(Field::Text));
        if self.version == 2 {
            let mac = <Hmac<Sha1> as KeyInit>::new_from_slice(key);
            return mac.is_ok_and(|mac| mac.chain_update(&*covered).verify_slice(&self.mac).is_ok());
        }
        let mac = <Hmac<Sha256> as KeyInit>::new_from_slice(key);
        mac.is_ok_and(|mac| mac.chain_update(&*covered).verify_slice(&self.mac).is_ok())
    }

    fn key(&self, kind: KeyType, certified: bool) -> Result<SoftKey> {
        let mut private = self.private.as_slice();
        let key = SoftKey::of(match kind {
            KeyType::Ecdsa(curve) => PrivateHalf::Ecdsa(Ecdsa::new(curve, positive(&mut private)?, None)?),
            KeyType::Ed25519 => PrivateHalf::Ed25519(Ed25519::new(string(&mut private)?)?),
            KeyType::Rsa => {
                let (d, p, q) = (positive(&mut private)?, positive(&mut private)?, positive(&mut private)?);
                let iqmp = positive(&mut private)?;
                // The public key, or a certificate with its nonce before: name, e, n.
                let mut public = self.public.as_slice();
                string(&mut public)?;
                if certified {
                    string(&mut public)?;
                }
                let (e, n) = (positive(&mut public)?, positive(&mut public)?);
                PrivateHalf::Rsa(Rsa::new(&Numbers { n, e, d, p, q, iqmp })?)
            }
            KeyType::Security(_) => return Err(Error::UnsupportedType { kind: "security key" }),
        })?;
        if certified {
            return key.with_certificate(&self.public);
        }
        if key.key_blob() == self.public.as_slice() { Ok(key) } else { Err(Error::Mismatch) }
    }
}

impl Keys {
    /// Of 80 bytes: 32 for AES-256, 16 for where it begins, 32 for the HMAC.
    fn split(derived: &[u8]) -> Self {
        let part = |range| Zeroizing::new(derived.get::<std::ops::Range<usize>>(range).unwrap_or_default().to_vec());
        Self { cipher: part(0..32), iv: part(32..48), mac: part(48..80) }
    }
}

fn keys_of_version_2(passphrase: &str) -> Keys {
    let digest = |start: &[u8]| {
        let mut digest = Sha1::new().chain_update(start).chain_update(passphrase).finalize();
        let bytes = Zeroizing::new(digest.to_vec());
        digest.zeroize();
        bytes
    };
    let mut cipher = Zeroizing::new(Vec::with_capacity(40));
    cipher.extend_from_slice(&digest(&[0, 0, 0, 0]));
    cipher.extend_from_slice(&digest(&[0, 0, 0, 1]));
    cipher.truncate(32);
    Keys { cipher, iv: vec![0; 16].into(), mac: digest(b"putty-private-key-file-mac-key") }
}

/// Name and value of a line.
fn value(line: &[u8]) -> Option<(&[u8], &[u8])> {
    let (name, value) = split_once(line, b':')?;
    Some((name, value.strip_prefix(b" ").unwrap_or(value)))
}

/// So many lines of base64.
fn block<'a>(count: &[u8], lines: &mut impl Iterator<Item = &'a [u8]>) -> Result<Zeroizing<Vec<u8>>> {
    let count = usize::try_from(number(count)?).map_err(|_| Error::Malformed)?;
    let mut base64 = Zeroizing::new(Vec::with_capacity(count.min(512).saturating_mul(64)));
    for _ in 0..count {
        base64.extend_from_slice(lines.next().ok_or(Error::Malformed)?);
    }
    let mut content = Zeroizing::new(vec![0; BASE64.decode_len(base64.len()).map_err(|_| Error::Malformed)?]);
    let length = BASE64.decode_mut(&base64, &mut content).map_err(|_| Error::Malformed)?;
    content.truncate(length);
    Ok(content)
}

fn number(text: &[u8]) -> Result<u32> {
    std::str::from_utf8(text).ok().and_then(|text| text.parse().ok()).ok_or(Error::Malformed)
}
