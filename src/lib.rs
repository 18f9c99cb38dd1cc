//! The nouns of claviger, its wire protocol, its blocking client and its command line.
//!
//! Rooms, each importing only from those after it: `cli` → `client` → `wire` → `paths` → `model` → `secret`.
//! Nothing here runs an async runtime, talks to a device or to AWS, or uses `unsafe`.

pub mod client;
pub mod model;
pub mod paths;
pub mod secret;
pub mod wire;

#[cfg(feature = "cli")]
pub mod cli;

/// The version that `--version`, `hello` and the user agent show.
pub const VERSION: &str = env!("CARGO_PKG_VERSION");

#[cfg(test)]
#[global_allocator]
static ALLOCATOR: claviger_agent::testing::counting::CountingAllocator =
    claviger_agent::testing::counting::CountingAllocator;
