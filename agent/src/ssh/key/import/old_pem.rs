//! PEM as OpenSSL encrypted it before PKCS#8 (RFC 1421 section 4.6), and OpenSSH by it until 7.8: MD5 over passphrase
//! and salt, once. Weak, and on many disks.

use super::super::error::{Error, Result};
use super::super::fields::split_once;
use claviger::secret::{Passphrase, SecretText};
use data_encoding::HEXUPPER_PERMISSIVE;
use md5::{Digest, Md5};
use ssh_key::Cipher;
use zeroize::Zeroizing;

/// What `DEK-Info` says the content is, without its padding.
pub(super) fn decrypt(info: &[u8], content: &[u8], passphrase: Option<&Passphrase>) -> Result<Zeroizing<Vec<u8>>> {
    let (name, iv) = split_once(info, b',').ok_or(Error::Malformed)?;
    let (cipher, length) = match name {
        b"AES-128-CBC" => (Cipher::Aes128Cbc, 16),
        b"AES-192-CBC" => (Cipher::Aes192Cbc, 24),
        b"AES-256-CBC" => (Cipher::Aes256Cbc, 32),
        _ => return Err(Error::EncryptionUnsupported),
    };
    let iv = HEXUPPER_PERMISSIVE.decode(iv.trim_ascii()).map_err(|_| Error::Malformed)?;
    let salt = iv.first_chunk::<8>().ok_or(Error::Malformed)?;
    let passphrase = passphrase.ok_or(Error::PassphraseNeeded)?;
    let key = derive(passphrase, salt, length);
    let mut plain = Zeroizing::new(content.to_vec());
    cipher.decrypt(&key, &iv, &mut plain, None).map_err(|_| Error::Malformed)?;
    // RFC 1423 section 1.1: as many bytes as the padding has, each its length.
    let padding = plain.last().copied().filter(|last| (1..=16).contains(last)).ok_or(Error::PassphraseWrong)?;
    let length = plain.len().checked_sub(usize::from(padding)).ok_or(Error::PassphraseWrong)?;
    if plain.iter().skip(length).any(|byte| *byte != padding) {
        return Err(Error::PassphraseWrong);
    }
    plain.truncate(length);
    Ok(plain)
}

/// OpenSSL's `EVP_BytesToKey` with MD5 and one round.
fn derive(passphrase: &Passphrase, salt: &[u8; 8], length: usize) -> Zeroizing<Vec<u8>> {
    let mut key = Zeroizing::new(Vec::with_capacity(length.saturating_add(16)));
    let mut last: Zeroizing<Vec<u8>> = Zeroizing::new(Vec::new());
    while key.len() < length {
        let digest = Md5::new().chain_update(&*last).chain_update(passphrase.expose()).chain_update(salt);
        last = Zeroizing::new(digest.finalize().to_vec());
        key.extend_from_slice(&last);
    }
    key.truncate(length);
    key
}
