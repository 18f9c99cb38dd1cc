//! The built programs from outside: agent, client and sandbox as processes, each test with a home of its own.

#![expect(clippy::expect_used, clippy::panic, clippy::indexing_slicing, reason = "a test fails by panicking")]

mod activation;
mod adopt;
mod attack;
mod audit;
mod bus;
mod canary;
mod damage;
mod doctor;
mod endpoint;
mod exec;
mod folder;
mod handover;
mod home;
mod http;
mod installed;
mod keeping;
mod keyring;
mod lock;
mod logind;
mod manager;
mod needles;
mod once;
mod pins;
mod process;
mod protocol;
mod restart;
mod sandbox;
mod sources;
mod succession;
mod verbs;
mod wire;
