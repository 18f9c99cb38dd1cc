//! Security keys in software, by foreign clients: that the rigs behave as the things they stand for.

#![expect(clippy::expect_used, clippy::panic, reason = "a test fails by panicking")]

mod cards;
mod yubikey;
