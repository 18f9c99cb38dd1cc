//! The built programs from outside: agent, client and sandbox as processes, each test with a home of its own.

#![expect(clippy::expect_used, clippy::panic, clippy::indexing_slicing, reason = "a test fails by panicking")]

mod activation;
mod attack;
mod damage;
mod folder;
mod home;
mod installed;
mod lock;
mod manager;
mod once;
mod process;
mod protocol;
mod restart;
mod sandbox;
mod succession;
mod verbs;
mod wire;
