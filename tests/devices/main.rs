//! Security keys without hardware: the rigs, checked by programs that others wrote, and the agent on them.

#![expect(clippy::expect_used, clippy::panic, clippy::indexing_slicing, reason = "a test fails by panicking")]

mod agent;
mod applet;
mod broker;
mod cards;
mod enrol;
mod fido;
#[expect(dead_code, reason = "the other tests use all of it")]
#[path = "../agent/home.rs"]
mod home;
mod hotplug;
#[expect(dead_code, reason = "the other tests use all of it")]
#[path = "../agent/instance.rs"]
mod instance;
mod instance_login;
mod keypair;
mod keys;
mod keys_agent;
mod management_key;
mod memory;
#[path = "../agent/needles.rs"]
mod needles;
mod oath;
mod oath_accounts;
mod person;
mod piv;
mod piv_slots;
#[expect(dead_code, reason = "the other tests use all of it")]
#[path = "../agent/sandbox.rs"]
mod sandbox;
#[expect(dead_code, reason = "the other tests use all of it")]
#[path = "../agent/scanner.rs"]
mod scanner;
mod slots;
mod softkey;
mod ssh;
#[expect(dead_code, reason = "the other tests use all of it")]
mod terminal;
mod together;
#[expect(dead_code, reason = "the other tests use all of it")]
#[path = "../agent/wire.rs"]
mod wire;
mod yubikey;
