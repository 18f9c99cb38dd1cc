//! The record: what was handed out, to whom, by whose proof; and what was refused.
//!
//! One JSON line each, in files of a folder of the vault's own. Each line carries the seal of the one before it and its
//! own, keyed by the vault, so that no line can be changed, taken out, put in or moved without [`verify`] naming it.
//! The number and seal of the last line ([`Head`]) are kept elsewhere, so that a shorter record is found too.
//! `docs/reference/audit.md` is the format.
//!
//! Nothing here decides who may do what, knows the vault, or reads a secret: facts come in as an [`Entry`].
//! [`Journal`] is what the other rooms hold; `log` writes, `chain` seals, [`verify`] and [`read`] look back.

mod chain;
mod entry;
mod error;
mod folder;
mod journal;
mod log;
pub mod read;
pub mod verify;

#[cfg(test)]
mod tests;

pub use chain::{Head, Key};
pub use entry::{Entry, Event, Outcome, RECORD_LIMIT};
pub use error::Error;
pub use journal::{Access, Act, Journal, KeepHead};
