//! `soak`: the tests that have rounds, with many more of them. Run by hand; figures and date go to docs/TESTING.md.

use crate::run::{Job, Outcome, say, timed};

/// Rounds where the person names none: an hour or so on two cores.
const ROUNDS: &str = "1000";

/// Packages whose tests read `CLAVIGER_SOAK`. Release builds, so that the rounds go to the code and not to its checks;
/// debug assertions and overflow checks stay on.
const PACKAGES: [&str; 3] = ["-p claviger-sandbox", "-p claviger-agent --features test-seams", "-p claviger"];

/// Runs them.
pub(crate) fn run() -> Outcome {
    let rounds = std::env::var("CLAVIGER_SOAK").unwrap_or_else(|_| ROUNDS.to_owned());
    say(&format!("CLAVIGER_SOAK={rounds}: tests that repeat do so that many times; the others run once"));
    for package in PACKAGES {
        let job = Job::cargo(&format!("test --release --locked {package}"))
            .with("CLAVIGER_SOAK", &rounds)
            .with("CARGO_PROFILE_RELEASE_DEBUG_ASSERTIONS", "true")
            .with("CARGO_PROFILE_RELEASE_OVERFLOW_CHECKS", "true");
        let (outcome, time) = timed(|| job.run());
        outcome?;
        say(&format!("  {:.0} s", time.as_secs_f64()));
    }
    Ok(())
}
