//! The claviger daemon. The floor plan; a room imports from lower floors only, never sideways:
//!
//! ```text
//! roof      main · lib::run · edges · harden
//! 5 doors   server/
//! 3 office  session/
//! 2 desk    source/  mfa/
//! 1 edge    aws/  vault/  prompt/
//! 0 ground  world · ask · config             ── crate claviger: wire → model → secret
//! ```

pub mod ask;
pub mod aws;
pub mod config;
pub mod mfa;
pub mod vault;
pub mod world;

#[cfg(any(test, feature = "test-seams"))]
pub mod testing;
