//! The built programs from outside: agent, client and sandbox as processes, each test with a home of its own.

#![expect(clippy::expect_used, clippy::panic, clippy::indexing_slicing, reason = "a test fails by panicking")]

mod activation;
mod adopt;
mod attack;
mod audit;
mod bus;
mod canary;
mod chaos;
mod damage;
mod doctor;
mod endpoint;
mod exec;
mod folder;
mod handover;
mod home;
mod http;
mod inject;
mod installed;
mod instance;
mod keeping;
mod keypair;
mod keyring;
mod life;
mod load;
mod lock;
mod logind;
mod manager;
mod memory;
mod needles;
mod once;
mod pins;
mod process;
mod prompts;
mod protocol;
#[path = "../chaos/mod.rs"]
mod proxy;
#[expect(dead_code, reason = "what the tests of claviger-ssh-agent say besides")]
#[path = "../ssh/raw.rs"]
mod raw;
mod restart;
mod rollback;
mod sandbox;
mod scanner;
mod soak;
mod sources;
mod ssh;
mod ssh_instance;
mod ssh_key;
mod ssh_rules;
mod strace;
mod succession;
#[path = "../devices/terminal.rs"]
mod terminal;
mod time;
mod verbs;
mod wire;
