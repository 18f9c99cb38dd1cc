//! The office of sessions as the agent builds it: a real vault on disk, a clock that tests move, and the strict
//! sandbox behind the network's joint. No sleep and no timed assertion: time passes where a test, or a wait, moves it.
#![expect(
    clippy::expect_used,
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test fails by panicking"
)]

mod chains;
mod chaos;
mod clock;
mod crowd;
mod endpoint;
mod flight;
mod keys;
mod ledger;
mod life;
mod locks;
mod network;
mod pins;
mod plans;
#[path = "../chaos/mod.rs"]
mod proxy;
mod refusals;
mod renewal;
mod rig;
mod sources;
mod typed;
