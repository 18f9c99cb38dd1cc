//! A strict double of AWS STS and IAM, for tests and the demo.
//!
//! It checks what emulators let pass: signatures, session tokens, expiry, one use per TOTP step, durations, trust
//! policies. [`Sandbox::handle`] answers in-process, [`serve`] over HTTP, the binary `claviger-sandbox` on a port of
//! its own. Its keys, seeds and passwords are made up and belong to nobody: it is no place for real ones.
//! [`load`] is load on the agent's socket, and how it bears it.
//! `README.md` beside this crate lists, action by action, what is checked and what is not.

mod call;
mod control;
mod entropy;
mod iam;
pub mod load;
mod policy;
mod query;
mod reply;
mod sandbox;
mod server;
mod sigv4;
mod sts;
mod time;
mod totp;
mod world;

pub use control::{ActionCount, CallRecord, Fault, FaultKind};
pub use sandbox::{Clock, Sandbox};
pub use server::serve;
pub use totp::code_at;
pub use world::{PasswordPolicy, Seed, SeedAccessKey, SeedGroup, SeedInvalid, SeedMfaDevice, SeedRole, SeedUser};
