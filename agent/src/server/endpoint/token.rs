//! Tokens: made once, told once, kept as digests; and the files that hold them for the SDKs.

use super::Error;
use crate::world::{Disk, World};
use claviger::secret::{EndpointToken, SecretText};
use data_encoding::{BASE64URL_NOPAD, HEXLOWER};
use sha2::{Digest, Sha256};
use std::io;
use std::path::{Path, PathBuf};
use subtle::ConstantTimeEq;
use zeroize::Zeroizing;

/// How a token's file begins and ends; between them stand random digits.
const PREFIX: &str = "endpoint-";
const SUFFIX: &str = ".token";

/// SHA-256 of a token. The token has 256 random bits: its digest tells nothing.
#[derive(Clone, Copy)]
pub(super) struct TokenDigest(pub(super) [u8; 32]);

impl TokenDigest {
    /// Of what a request carries.
    pub(super) fn of(token: &[u8]) -> Self {
        Self(Sha256::digest(token).into())
    }

    /// Whether it is the same, in a time that does not depend on where they differ.
    pub(super) fn is(&self, other: &Self) -> bool {
        self.0.ct_eq(&other.0).into()
    }
}

/// A new token: 256 random bits in base64url, and its digest.
pub(super) fn new(world: &World) -> io::Result<(EndpointToken, TokenDigest)> {
    let mut bits = Zeroizing::new([0; 32]);
    world.entropy.fill(&mut *bits)?;
    let token = EndpointToken::from_text(BASE64URL_NOPAD.encode(&*bits));
    let digest = TokenDigest::of(token.expose().as_bytes());
    Ok((token, digest))
}

/// Writes the token to a new file of its own, mode 0600, in the first runtime folder that can be used.
pub(super) fn save(world: &World, folders: &[PathBuf], token: &EndpointToken) -> Result<PathBuf, Error> {
    let mut number = [0; 16];
    world.entropy.fill(&mut number).map_err(Error::NoEntropy)?;
    let name = format!("{PREFIX}{}{SUFFIX}", HEXLOWER.encode(&number));
    let mut refusal = io::Error::from(io::ErrorKind::NotFound);
    for folder in folders {
        let path = folder.join(&name);
        match write(&*world.disk, folder, &path, token) {
            Ok(()) => return Ok(path),
            Err(error) => refusal = error,
        }
    }
    Err(Error::TokenUnsaved(refusal))
}

fn write(disk: &dyn Disk, folder: &Path, path: &Path, token: &EndpointToken) -> io::Result<()> {
    crate::server::listen::runtime_folder(folder, disk)?;
    let written = disk.create_new(path)?.write_all(token.expose().as_bytes());
    if written.is_err() {
        drop(disk.remove(path));
    }
    written
}

/// Removes the token files that belong to no open endpoint: an agent that was killed left them.
pub(super) fn sweep(disk: &dyn Disk, folders: &[PathBuf], kept: &[PathBuf]) {
    for folder in folders {
        for name in disk.names(folder).unwrap_or_default() {
            let path = folder.join(&name);
            if name.starts_with(PREFIX) && name.ends_with(SUFFIX) && !kept.contains(&path) {
                drop(disk.remove(&path));
            }
        }
    }
}
