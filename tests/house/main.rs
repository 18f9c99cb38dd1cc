//! The house inspected from outside: what a compiler cannot see and a review forgets.
//!
//! Each check is a function from text to complaints, and has a test that shows it can fail. Lists that are committed
//! are refreshed with `CLAVIGER_UPDATE=1 cargo test -p claviger --test house`.

#![cfg(test)]

mod dependencies;
mod docs;
mod expose;
mod floors;
mod secrets;
mod size;
mod sources;
mod tree;
mod unsafety;
mod vectors;
