//! OpenSSH's own files (PROTOCOL.key).

use super::super::SoftKey;
use super::super::error::{Error, Result};
use super::super::fields::string;
use super::super::kind::KeyType;
use super::{Cost, Imported};
use claviger::secret::{Passphrase, SecretText};
use ssh_key::encoding::Encode;
use ssh_key::{Cipher, PrivateKey};
use zeroize::Zeroizing;

const MAGIC: &[u8] = b"openssh-key-v1\0";

/// The key of a file, out of its armour.
pub(super) fn read(content: &[u8], passphrase: Option<&Passphrase>, most: Cost) -> Result<Imported> {
    let encrypted = look(content, most)?;
    let mut key = PrivateKey::from_bytes(content).map_err(|_| Error::Malformed)?;
    if encrypted {
        let passphrase = passphrase.ok_or(Error::PassphraseNeeded)?;
        key = key.decrypt(passphrase.expose()).map_err(|_| Error::PassphraseWrong)?;
    }
    let pair = key.key_data();
    let length = pair.encoded_len().map_err(|_| Error::Malformed)?;
    let mut fields = Zeroizing::new(Vec::with_capacity(length));
    pair.encode(&mut *fields).map_err(|_| Error::Malformed)?;
    let comment = String::from_utf8_lossy(key.comment().as_bytes()).into_owned();
    Ok(Imported { key: SoftKey::decode(&mut fields.as_slice())?, comment })
}

/// Looks at what stands in the clear: whether the key is of a type that is held, and whether it is encrypted.
fn look(content: &[u8], most: Cost) -> Result<bool> {
    let mut rest = content.strip_prefix(MAGIC).ok_or(Error::Malformed)?;
    let (cipher, kdf, mut options) = (string(&mut rest)?, string(&mut rest)?, string(&mut rest)?);
    let (count, mut keys) = rest.split_first_chunk::<4>().ok_or(Error::Malformed)?;
    KeyType::named(string(&mut string(&mut keys)?)?)?;
    if *count != [0, 0, 0, 1] {
        return Err(Error::Malformed);
    }
    if cipher == b"none" {
        return Ok(false);
    }
    let known = std::str::from_utf8(cipher).ok().and_then(|name| Cipher::new(name).ok());
    if kdf != b"bcrypt" || known.is_none_or(|cipher| cipher == Cipher::TdesCbc) {
        return Err(Error::EncryptionUnsupported);
    }
    string(&mut options)?;
    let (rounds, _) = options.split_first_chunk::<4>().ok_or(Error::Malformed)?;
    most.bcrypt(u32::from_be_bytes(*rounds))?;
    Ok(true)
}
