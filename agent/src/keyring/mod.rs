//! The desktop's keyring: holds the secret of a vault's keyring slot, for a desktop session that is open.
//!
//! Reading never shows anything to anybody: a keyring that is locked is an error, and the next slot's turn. Only
//! keeping a secret, which a person asked for, may show the desktop's own question. Every call has an end, whatever
//! stands at the other side of the bus. A connection lasts for one call: keyrings come, go and are restarted.
//! Any program of the same user can read what lies in a keyring that is open; `docs/THREATS.md` says so.

mod secret_service;

pub use secret_service::SecretService;

use crate::world::BoxFuture;
use claviger::secret::Secret;

/// What a keyring slot's item is found by.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Item {
    /// The vault's id.
    pub vault_id: [u8; 16],
    /// The slot's id.
    pub slot: u32,
}

/// Why the keyring did not do what was asked. Holds nothing that came over the bus.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// No bus, or no service on it.
    #[error("no Secret Service answers")]
    Absent,
    /// The item is not one of ours, or did not read back.
    #[error("its item is damaged")]
    Damaged,
    /// A person dismissed the desktop's question.
    #[error("the desktop's question was dismissed")]
    Dismissed,
    /// The service refused or broke off.
    #[error("the Secret Service failed")]
    Failed,
    /// The collection is locked: the desktop is not open.
    #[error("it is locked")]
    Locked,
    /// There is no such item.
    #[error("its item is gone")]
    NoItem,
    /// No answer in time.
    #[error("it did not answer in time")]
    TimedOut,
}

/// What most of this room returns.
pub type Result<T> = std::result::Result<T, Error>;

/// A keyring. Every call ends in time, and only [`keep`](KeyStore::keep) may show anything to a person.
pub trait KeyStore: Send + Sync {
    /// Whether there is a keyring at all.
    fn answers(&self) -> BoxFuture<'_, Result<()>>;
    /// Removes an item; one that is not there is removed.
    fn forget(&self, item: Item) -> BoxFuture<'_, Result<()>>;
    /// Keeps a secret, in place of the one before, and reads it back. May take as long as a person takes to open the
    /// keyring.
    fn keep<'a>(&'a self, item: Item, secret: &'a Secret<[u8; 32]>) -> BoxFuture<'a, Result<()>>;
    /// The secret of the first of these items that it holds, and which that is.
    fn read<'a>(&'a self, items: &'a [Item]) -> BoxFuture<'a, Result<(Item, Secret<[u8; 32]>)>>;
}
