//! RFC 6238 codes as AWS's virtual devices make them: HMAC-SHA-1, six digits, steps of 30 seconds.

use subtle::ConstantTimeEq as _;
use totp_rs::{Algorithm, Builder};

/// Seconds of one step.
const STEP: u64 = 30;
/// Steps that a device may run ahead of or behind the server. AWS does not publish its figure.
const DRIFT: i64 = 1;
/// Steps that ResyncMFADevice searches to either side. AWS does not publish its figure.
const RESYNC: i64 = 120;

/// The code of a seed at a time, in milliseconds since 1970. For tests and demos that hold the seed.
pub fn code_at(seed: &[u8], millis: i64) -> String {
    code(seed, step_at(millis))
}

/// The step of a time.
pub(crate) fn step_at(millis: i64) -> i64 {
    millis.div_euclid(30_000)
}

/// The step whose code this is, among those that the clock and drift permit and that lie after `last_used`.
pub(crate) fn accept(seed: &[u8], offered: &str, centre: i64, last_used: Option<i64>) -> Option<i64> {
    (centre - DRIFT..=centre + DRIFT).find(|step| is_fresh(*step, last_used) && matches(seed, *step, offered))
}

/// Whether this is the code of one of these steps, as far as the clock and drift permit.
pub(crate) fn is_of(seed: &[u8], offered: &str, centre: i64, steps: &[i64]) -> bool {
    steps.iter().any(|step| (centre - DRIFT..=centre + DRIFT).contains(step) && matches(seed, *step, offered))
}

/// The first step of two consecutive codes, the second one within the drift.
pub(crate) fn accept_pair(seed: &[u8], first: &str, second: &str, centre: i64, last_used: Option<i64>) -> Option<i64> {
    pair_within(seed, first, second, centre, DRIFT, last_used)
}

/// The same, far from the clock: what ResyncMFADevice looks for.
pub(crate) fn accept_drifted(seed: &[u8], first: &str, second: &str, now: i64, last_used: Option<i64>) -> Option<i64> {
    pair_within(seed, first, second, now, RESYNC, last_used)
}

fn pair_within(seed: &[u8], first: &str, second: &str, centre: i64, reach: i64, last_used: Option<i64>) -> Option<i64> {
    (centre - reach - 1..centre + reach)
        .find(|step| is_fresh(*step, last_used) && matches(seed, *step, first) && matches(seed, *step + 1, second))
}

fn is_fresh(step: i64, last_used: Option<i64>) -> bool {
    last_used.is_none_or(|used| step > used)
}

fn matches(seed: &[u8], step: i64, offered: &str) -> bool {
    step >= 0 && bool::from(code(seed, step).as_bytes().ct_eq(offered.as_bytes()))
}

fn code(seed: &[u8], step: i64) -> String {
    // Noncompliant only permits short seeds: RFC 6238's own vectors and some of AWS's are fine either way.
    let totp = Builder::new()
        .with_algorithm(Algorithm::SHA1)
        .with_digits(6)
        .with_step_duration(STEP)
        .with_secret(seed.to_vec())
        .build_noncompliant();
    totp.generate(u64::try_from(step).unwrap_or(0).saturating_mul(STEP)).to_string()
}

#[cfg(test)]
mod tests {
    use super::{accept, accept_drifted, accept_pair, code, code_at};

    const SEED: &[u8] = b"12345678901234567890";

    #[test]
    fn rfc_6238_appendix_b() {
        for (seconds, eight) in [
            (59, "94287082"),
            (1_111_111_109, "07081804"),
            (1_111_111_111, "14050471"),
            (1_234_567_890, "89005924"),
            (2_000_000_000, "69279037"),
            (20_000_000_000_i64, "65353130"),
        ] {
            assert_eq!(code_at(SEED, seconds * 1000), eight[2..]);
        }
    }

    #[test]
    fn each_step_is_accepted_once_and_never_an_older_one() {
        let at = |step| code(SEED, step);
        assert_eq!(accept(SEED, &at(1000), 1000, None), Some(1000));
        assert_eq!(accept(SEED, &at(1000), 1000, Some(1000)), None);
        assert_eq!(accept(SEED, &at(999), 1000, Some(1000)), None);
        assert_eq!(accept(SEED, &at(1001), 1000, Some(1000)), Some(1001));
        assert_eq!(accept(SEED, &at(999), 1000, None), Some(999));
        assert_eq!(accept(SEED, &at(998), 1000, None), None);
        assert_eq!(accept(SEED, &at(1002), 1000, None), None);
        assert_eq!(accept(SEED, "", 1000, None), None);
    }

    #[test]
    fn two_codes_must_be_consecutive_and_fresh() {
        let at = |step| code(SEED, step);
        assert_eq!(accept_pair(SEED, &at(999), &at(1000), 1000, None), Some(999));
        assert_eq!(accept_pair(SEED, &at(1000), &at(1000), 1000, None), None);
        assert_eq!(accept_pair(SEED, &at(1000), &at(999), 1000, None), None);
        assert_eq!(accept_pair(SEED, &at(999), &at(1001), 1000, None), None);
        assert_eq!(accept_pair(SEED, &at(999), &at(1000), 1000, Some(999)), None);
        assert_eq!(accept_pair(SEED, &at(900), &at(901), 1000, None), None);
        assert_eq!(accept_drifted(SEED, &at(900), &at(901), 1000, None), Some(900));
    }
}
