//! Vault slots, and what opens them.

use crate::secret::{Passphrase, RecoveryCode, text};
use serde::{Deserialize, Serialize};

/// Opening a vault slot afresh, by a person. Never the keyring.
#[derive(Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum SlotProof {
    /// The passphrase of a passphrase slot.
    Passphrase(#[serde(with = "text")] Passphrase),
    /// The code of a recovery slot.
    Recovery(#[serde(with = "text")] RecoveryCode),
}

/// The kinds of vault slot.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum SlotKind {
    /// An item of the desktop's keyring. Never counts as a proof.
    Keyring,
    /// Argon2id of a passphrase.
    Passphrase,
    /// A 160-bit code on paper.
    Recovery,
}
