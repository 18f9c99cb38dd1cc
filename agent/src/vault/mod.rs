//! Secrets at rest: the vault, one encrypted file that several slots open, and the state beside it, which changes often.
//!
//! Nothing here asks a person, knows AWS or reads a clock: files go through [`Disk`](crate::world::Disk), randomness
//! through [`Entropy`](crate::world::Entropy), the time is an argument. The room is synchronous and an unlock takes
//! most of a second: call it where blocking is allowed. The caller holds the lock of the one server.
//! `docs/reference/vault-format.md` is the format of both files; an independent reader in `tests/vectors` holds it up.
//!
//! From the outside in: [`VaultFolder`] finds, creates and opens; [`Vault`] is open; `save` and `copies` are the write
//! protocol; `anchor` notices an older file; `envelope` is the file, `header` its readable part with its `slot`s (`device_slot` those of hardware), `contents` its encrypted part with
//! the [`Items`]; `json` and `crypto` are what those are made of. [`State`] stands on `crypto` and `json` alone.

mod anchor;
mod backup;
mod contents;
mod copies;
mod crypto;
mod custody;
mod device_slot;
mod envelope;
mod error;
mod folder;
mod header;
mod items;
mod json;
mod kdf;
mod recovery;
mod save;
#[cfg(any(test, feature = "test-seams"))]
pub mod seams;
mod slot;
mod state;
mod unfinished;
mod unlocked;

#[cfg(test)]
mod tests;

pub use anchor::{Anchor, Older, Version, Witness};
pub use backup::NewPassphrase;
pub use custody::{
    AuditAccess, Closure, Custody, Ended, HandedOver, KeyringChance, Knowledge, KnownDevice, KnownSshKey, Leave,
    LockedBy, SigningKey, VaultState,
};
pub use device_slot::{APPLICATION, Agreement, DeviceSlot, Fido2Slot, PivKey, Point};
pub use error::{Error, Result};
pub use folder::VaultFolder;
pub use items::{
    AccessKey, Items, OathAccount, PinnedProfile, Pins, Rotating, Seed, SshKey, TRASH_MILLIS, TotpDevice, Trashed,
    TrashedItem,
};
pub use json::Extra;
pub use kdf::{KdfCost, check_passphrase};
pub use recovery::{ConfirmedCode, FreshCode};
pub use slot::{KeyringPlace, SlotInfo};
pub use state::{AuditHead, Opened, SessionId, State, StateAccess};
pub use unfinished::{Enrolment, NewKey, Rotation};
pub use unlocked::Vault;
