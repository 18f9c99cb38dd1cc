//! The built programs from outside: agent, client and sandbox as processes, each test with a home of its own.

#![expect(clippy::expect_used, clippy::panic, clippy::indexing_slicing, reason = "a test fails by panicking")]

mod activation;
mod adopt;
mod attack;
mod audit;
mod bus;
mod damage;
mod doctor;
mod endpoint;
mod exec;
mod folder;
mod home;
mod http;
mod keeping;
mod keyring;
mod lock;
mod logind;
mod once;
mod pins;
mod process;
mod protocol;
mod sandbox;
mod sources;
mod verbs;
mod wire;
