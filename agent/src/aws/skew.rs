//! The time as AWS sees it, learnt from the `Date` header of its answers.

use crate::world::{BootTime, Clock, WallTime};
use aws_smithy_types::DateTime;
use aws_smithy_types::date_time::Format;
use std::sync::atomic::{AtomicI64, Ordering};

const UNMEASURED: i64 = i64::MIN;
/// A measurement this near to the last one is noise: `Date` has whole seconds and the way takes time.
const NOISE_MILLIS: i64 = 1_500;
/// Dates outside these are no clock's: 2024-01-01 and 2100-01-01, in seconds.
const PLAUSIBLE_SECONDS: std::ops::Range<i64> = 1_704_067_200..4_102_444_800;

/// AWS's clock less this machine's boot clock. Tied to the boot clock, so that a later step of the wall clock,
/// by ntpd or by hand, does not make a good correction wrong.
pub(super) struct Skew(AtomicI64);

impl Skew {
    pub(super) fn unmeasured() -> Self {
        Self(AtomicI64::new(UNMEASURED))
    }

    /// Takes the value of a `Date` header that arrived just now, in the answer to what was sent at this time. One that is no
    /// HTTP date is passed over.
    pub(super) fn measure(&self, date: &str, sent: BootTime, clock: &dyn Clock) {
        let Ok(date) = DateTime::from_str(date, Format::HttpDate) else { return };
        if !PLAUSIBLE_SECONDS.contains(&date.secs()) {
            return;
        }
        // The header cuts the fraction off: half a second is the best guess.
        let date = date.secs().saturating_mul(1000).saturating_add(500);
        // It was written between the two. Where that took long, it was the answer that came slowly: the question is short.
        let least = date.saturating_sub(boot_millis(clock.boot())).saturating_sub(NOISE_MILLIS);
        let measured = date.saturating_sub(boot_millis(sent));
        let before = self.0.load(Ordering::Relaxed);
        if before == UNMEASURED || !(least..=measured.saturating_add(NOISE_MILLIS)).contains(&before) {
            self.0.store(measured, Ordering::Relaxed);
        }
    }

    /// The measurement itself, which holds for as long as the machine runs; None until there is one.
    pub(super) fn offset(&self) -> Option<i64> {
        Some(self.0.load(Ordering::Relaxed)).filter(|offset| *offset != UNMEASURED)
    }

    /// Goes on from the measurement of another process on this machine.
    pub(super) fn set_offset(&self, offset: i64) {
        self.0.store(offset, Ordering::Relaxed);
    }

    /// The time by AWS's clock; by this machine's until it was measured.
    pub(super) fn corrected_now(&self, clock: &dyn Clock) -> WallTime {
        match self.0.load(Ordering::Relaxed) {
            UNMEASURED => clock.wall(),
            offset => WallTime(offset.saturating_add(boot_millis(clock.boot()))),
        }
    }

    /// Milliseconds by which AWS's clock is ahead of this machine's; None until it was measured.
    pub(super) fn millis(&self, clock: &dyn Clock) -> Option<i64> {
        let measured = self.0.load(Ordering::Relaxed) != UNMEASURED;
        measured.then(|| self.corrected_now(clock).0.saturating_sub(clock.wall().0))
    }
}

fn boot_millis(boot: BootTime) -> i64 {
    i64::try_from(boot.0).unwrap_or(i64::MAX)
}
