//! Security keys without hardware: the rigs, checked by programs that others wrote.

#![expect(clippy::expect_used, clippy::panic, clippy::indexing_slicing, reason = "a test fails by panicking")]

mod cards;
mod yubikey;
