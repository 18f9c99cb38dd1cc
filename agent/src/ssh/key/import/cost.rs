//! How much work a file may ask for before its passphrase is tried.

use super::super::error::{Error, Result};

/// Bounds for what turns a passphrase into a key. A file says itself how much that is, and may lie.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Cost {
    /// Rounds of bcrypt: OpenSSH has 16 or 24, and `ssh-keygen -a` sets others. About 10 ms each.
    pub(crate) bcrypt_rounds: u32,
    /// Rounds of PBKDF2: OpenSSL has 2048. About a microsecond each.
    pub(crate) pbkdf2_rounds: u32,
    /// KiB that scrypt or Argon2 may hold: 16 MiB by OpenSSL, 8 MiB by PuTTY.
    pub(crate) memory: u64,
    /// KiB that they may write in all.
    pub(crate) written: u64,
}

impl Cost {
    /// What a person waits for: some tens of seconds at the most.
    pub(crate) fn of_a_person() -> Self {
        Self { bcrypt_rounds: 4096, pbkdf2_rounds: 20_000_000, memory: 512 * 1024, written: 64 * 1024 * 1024 }
    }

    /// [`Error::DerivationTooCostly`] beyond the bound.
    pub(super) fn bcrypt(&self, rounds: u32) -> Result<()> {
        within(rounds <= self.bcrypt_rounds)
    }

    /// The same for PBKDF2.
    pub(super) fn pbkdf2(&self, rounds: u32) -> Result<()> {
        within(rounds <= self.pbkdf2_rounds)
    }

    /// The same for scrypt and Argon2: so many KiB, gone over so often.
    pub(super) fn memory(&self, kibibytes: u64, times: u64) -> Result<()> {
        within(kibibytes <= self.memory && kibibytes.saturating_mul(times) <= self.written)
    }
}

fn within(bound: bool) -> Result<()> {
    if bound { Ok(()) } else { Err(Error::DerivationTooCostly) }
}
