//! `lint`: formatting, clippy for each package by itself, and the house test.

use crate::run::{Job, Outcome};
use crate::tools;

/// The packages, and what clippy builds of each. One at a time: together they would turn on each other's features.
const CLIPPY: [&str; 5] = [
    "-p xtask --all-targets",
    "-p claviger-sandbox --all-targets",
    "-p claviger-agent",
    "-p claviger-agent --all-targets --features weak,devices",
    "-p claviger --all-targets",
];

/// Runs them.
pub(crate) fn run() -> Outcome {
    tools::require("cargo fmt")?;
    tools::require("cargo clippy")?;
    jobs().iter().try_for_each(Job::run)
}

/// The same as steps of `test`.
pub(crate) fn jobs() -> Vec<Job> {
    let clippy = CLIPPY.iter().map(|what| Job::cargo(&format!("clippy --quiet {what} -- -D warnings")));
    std::iter::once(Job::cargo("fmt --all --check"))
        .chain(clippy)
        .chain([Job::cargo("test --quiet -p claviger --test house")])
        .collect()
}
