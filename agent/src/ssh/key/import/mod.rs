//! Private keys from files, told apart by what is in them: OpenSSH, PEM (PKCS#1, PKCS#8, SEC 1), PuTTY.

mod armour;
mod cost;
mod old_pem;
mod openssh;
mod pem;
mod ppk;

pub(super) use cost::Cost;

use super::SoftKey;
use super::error::{Error, Result};
use crate::world::on_wiped_stack;
use armour::Armour;
use claviger::secret::Passphrase;

/// A key from a file.
pub struct Imported {
    /// The key.
    pub key: SoftKey,
    /// The comment that the file gives it; empty where it has none.
    pub comment: String,
}

/// What a public key's file begins with: OpenSSH's lines, RFC 4716.
const PUBLIC: [&[u8]; 4] = [b"ssh-", b"ecdsa-sha2-", b"sk-", b"---- BEGIN SSH2 PUBLIC KEY"];

/// Reads the private key of a file. A passphrase is used if the file is under one, else left aside.
/// [`Error::NoPrivateKey`] and [`Error::PublicKeyOnly`] for what is no private key, [`Error::UnsupportedType`] for one
/// of a type that is not held here, [`Error::PassphraseNeeded`] before any work is done, and all of
/// [`SoftKey::decode`].
pub fn import(file: &[u8], passphrase: Option<&Passphrase>) -> Result<Imported> {
    import_within(file, passphrase, Cost::of_a_person())
}

/// The same with another bound for the work that a passphrase may take.
pub(super) fn import_within(file: &[u8], passphrase: Option<&Passphrase>, most: Cost) -> Result<Imported> {
    on_wiped_stack(|| {
        let file = file.strip_prefix(b"\xef\xbb\xbf").unwrap_or(file).trim_ascii_start();
        if file.starts_with(b"PuTTY-User-Key-File-") {
            return ppk::read(file, passphrase, most);
        }
        if file.starts_with(b"SSH PRIVATE KEY FILE FORMAT 1.1") {
            return Err(Error::UnsupportedType { kind: "ssh-1" });
        }
        if PUBLIC.iter().any(|start| file.starts_with(start)) {
            return Err(Error::PublicKeyOnly);
        }
        let armour = Armour::find(file)?;
        match armour.label {
            b"OPENSSH PRIVATE KEY" => openssh::read(&armour.content, passphrase, most),
            _ => Ok(Imported { key: pem::read(&armour, passphrase, most)?, comment: String::new() }),
        }
    })
}
