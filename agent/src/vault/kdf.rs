//! From a passphrase to a key.

use super::crypto::{self, Key32};
use super::error::{Error, Result};
use super::json::{Fields, Node};
use argon2::{Algorithm, Argon2, Params, Version};
use claviger::secret::{Passphrase, SecretText};
use unicode_normalization::UnicodeNormalization;
use zeroize::Zeroizing;

/// Longest passphrase in bytes, after normalisation.
const PASSPHRASE_LIMIT: usize = 1024;

/// What a guess at a passphrase costs (RFC 9106).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct KdfCost {
    memory_kib: u32,
    passes: u32,
    lanes: u32,
}

impl KdfCost {
    /// 256 MiB, 3 passes, 4 lanes: half a second to a second on a laptop.
    pub const DEFAULT: Self = Self { memory_kib: 256 * 1024, passes: 3, lanes: 4 };
    /// 64 MiB, 3 passes, 4 lanes (RFC 9106 section 4, second choice): the least a new slot may cost.
    pub const FLOOR: Self = Self { memory_kib: 64 * 1024, passes: 3, lanes: 4 };

    /// The most that a file may ask for: a hostile one must not take the machine's memory or an hour.
    const CAP: Self = Self { memory_kib: 1024 * 1024, passes: 16, lanes: 16 };

    /// A cost between [`KdfCost::FLOOR`] and what a reader takes (1 GiB, 16 passes, 16 lanes); else None.
    pub fn new(memory_kib: u32, passes: u32, lanes: u32) -> Option<Self> {
        let cost = Self { memory_kib, passes, lanes };
        let enough = memory_kib >= Self::FLOOR.memory_kib && passes >= Self::FLOOR.passes;
        (enough && cost.bearable()).then_some(cost)
    }

    /// What a header says, if Argon2 takes it and this machine can bear it; else [`Error::Damaged`].
    pub(super) fn read(fields: &mut Fields) -> Result<Self> {
        let cost = Self {
            memory_kib: fields.number("memory_kib")?,
            passes: fields.number("passes")?,
            lanes: fields.number("lanes")?,
        };
        if cost.bearable() { Ok(cost) } else { Err(Error::Damaged) }
    }

    pub(super) fn members(&self) -> [(&'static str, Node<'static>); 3] {
        [
            ("lanes", Node::count(self.lanes.into())),
            ("memory_kib", Node::count(self.memory_kib.into())),
            ("passes", Node::count(self.passes.into())),
        ]
    }

    fn bearable(self) -> bool {
        (1..=Self::CAP.lanes).contains(&self.lanes)
            && (1..=Self::CAP.passes).contains(&self.passes)
            && (8 * self.lanes..=Self::CAP.memory_kib).contains(&self.memory_kib)
    }
}

/// Refuses a passphrase that is empty or has more than 1024 bytes.
pub fn check_passphrase(phrase: &Passphrase) -> Result<()> {
    normalise(phrase).map(drop)
}

/// Argon2id of the passphrase in NFC, then HKDF.
pub(super) fn passphrase_key(phrase: &Passphrase, cost: KdfCost, salt: &[u8; 32]) -> Result<Key32> {
    let phrase = normalise(phrase)?;
    let params = Params::new(cost.memory_kib, cost.passes, cost.lanes, Some(32)).map_err(|_| Error::Damaged)?;
    let mut stretched = Zeroizing::new([0; 32]);
    Argon2::new(Algorithm::Argon2id, Version::V0x13, params)
        .hash_password_into(phrase.as_bytes(), salt, stretched.as_mut_slice())
        .map_err(|_| Error::NoMemory)?;
    Ok(crypto::derive(stretched.as_slice(), salt, "claviger/v1/slot/passphrase"))
}

fn normalise(phrase: &Passphrase) -> Result<Zeroizing<String>> {
    // NFC never makes a text of more than three times the bytes; the buffer never grows, so leaves no copy behind.
    let given = phrase.expose();
    if given.is_empty() || given.len() > PASSPHRASE_LIMIT * 3 {
        return Err(Error::WeakPassphrase);
    }
    let mut normal = Zeroizing::new(String::with_capacity(given.len() * 3));
    normal.extend(given.nfc());
    if normal.len() > PASSPHRASE_LIMIT { Err(Error::WeakPassphrase) } else { Ok(normal) }
}
