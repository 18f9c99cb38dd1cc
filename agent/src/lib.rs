//! The claviger daemon. The floor plan; a room imports from lower floors only, never sideways:
//!
//! ```text
//! roof      main · run · standalone · helper · harden · testing · weak
//! 5 doors   server/
//! 4 jobs    jobs/
//! 3 office  session/  ssh/
//! 2 desk    mfa/  source/
//! 1 edge    audit/  aws/  device/  vault/  keyring/  logind/  prompt/
//! 0 ground  ask · config, over world             ── crate claviger: wire → model → secret
//! ```

pub mod ask;
pub mod audit;
pub mod aws;
pub mod config;
pub mod device;
pub mod harden;
#[cfg(feature = "devices")]
pub mod helper;
pub mod jobs;
pub mod keyring;
pub mod logind;
pub mod mfa;
pub mod prompt;
mod run;
pub mod server;
pub mod session;
pub mod source;
pub mod ssh;
pub mod standalone;
pub mod vault;
pub mod world;

pub use run::{Birth, Launch, run};
pub use server::succession::Program;

#[cfg(any(test, feature = "test-seams"))]
pub mod testing;

#[cfg(test)]
#[global_allocator]
static ALLOCATOR: testing::counting::CountingAllocator = testing::counting::CountingAllocator;
