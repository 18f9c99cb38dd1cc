//! A strict double of AWS STS, IAM, EC2's key pairs and EC2 Instance Connect, for tests and the demo.
//!
//! It checks what emulators let pass: signatures, session tokens, expiry, one use per TOTP step, durations, trust
//! policies, fingerprints, the life of a pushed key. [`Sandbox::handle`] answers in-process, [`serve`] over HTTP, the binary `claviger-sandbox` on a port of
//! its own. Its keys, seeds and passwords are made up and belong to nobody: it is no place for real ones.
//! [`load`] is load on the agent's socket, and how it bears it.
//! `README.md` beside this crate lists, action by action, what is checked and what is not.

mod call;
mod control;
mod ec2;
mod entropy;
mod iam;
mod instance_connect;
pub mod load;
mod policy;
mod query;
mod reply;
mod sandbox;
mod server;
mod sigv4;
mod ssh_key;
mod sts;
mod time;
mod totp;
mod world;

pub use control::{ActionCount, CallRecord, Fault, FaultKind, InstanceRecord};
pub use sandbox::{Clock, Sandbox};
pub use server::serve;
pub use totp::code_at;
pub use world::{
    Consistency, InstanceState, PasswordPolicy, Seed, SeedAccessKey, SeedGroup, SeedInstance, SeedInvalid,
    SeedKeyOrigin, SeedKeyPair, SeedMfaDevice, SeedRole, SeedUser,
};
