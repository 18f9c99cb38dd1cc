//! Desk of the MFA devices: what can make a code, which step may be used, and whether a person was here lately.
//!
//! Pure apart from the presence mark. It never sends a code and never writes the ledger: the session room burns a
//! step in the vault's state before it sends anything.

mod migration;
mod presence;
mod totp;

#[cfg(test)]
mod mutations;

pub use migration::Accounts;
pub use presence::Presence;
pub use totp::{SeedError, code, export_uri, parse_seed};

use crate::world::WallTime;
use claviger::model::MfaSerial;

/// Seconds of one TOTP step; AWS's virtual devices know no other (IAM user guide, virtual MFA devices).
pub const STEP_SECONDS: i64 = 30;

/// The step a time lies in (RFC 6238 section 4.2); 0 before 1970.
pub fn step_at(now: WallTime) -> u64 {
    u64::try_from(now.seconds().div_euclid(STEP_SECONDS)).unwrap_or(0)
}

/// Milliseconds from `now` until `step` begins; 0 once it has.
pub fn millis_until(step: u64, now: WallTime) -> u64 {
    let begin = i64::try_from(step).unwrap_or(i64::MAX / 1_000_000).saturating_mul(STEP_SECONDS * 1000);
    u64::try_from(begin.saturating_sub(now.0)).unwrap_or(0)
}

/// A device and the first step of it that may be sent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Turn {
    /// The device.
    pub serial: MfaSerial,
    /// The step; it begins now or later.
    pub step: u64,
}

/// Picks the device whose next unspent step begins first, the earlier one in the list where they tie: a user with
/// two devices waits less. `burned` says whether a step of a device is spent.
pub fn next_turn(serials: &[MfaSerial], now: WallTime, burned: impl Fn(&MfaSerial, u64) -> bool) -> Option<Turn> {
    let current = step_at(now);
    let first_free = |serial: &MfaSerial| {
        // A ledger floor can lie far ahead after a clock that was wrong; an hour of steps is far enough to look.
        (current..current.saturating_add(120)).find(|step| !burned(serial, *step))
    };
    let turns = serials.iter().filter_map(|serial| Some(Turn { serial: serial.clone(), step: first_free(serial)? }));
    turns.reduce(|best, turn| if turn.step < best.step { turn } else { best })
}

#[cfg(test)]
mod tests {
    use super::{Turn, millis_until, next_turn, step_at};
    use crate::world::WallTime;
    use claviger::model::MfaSerial;

    #[test]
    fn the_device_with_the_earliest_unspent_step_takes_the_turn() {
        let serials: Vec<MfaSerial> =
            ["arn:aws:iam::123456789012:mfa/a", "arn:aws:iam::123456789012:mfa/b"].map(|s| s.parse().unwrap()).to_vec();
        let now = WallTime(3_000_000);
        let turn = |burned: &dyn Fn(&MfaSerial, u64) -> bool| next_turn(&serials, now, burned).unwrap();
        assert_eq!(turn(&|_, _| false), Turn { serial: serials[0].clone(), step: 100 });
        assert_eq!(
            turn(&|serial, step| *serial == serials[0] && step <= 100),
            Turn { serial: serials[1].clone(), step: 100 }
        );
        assert_eq!(
            turn(&|serial, step| step <= if *serial == serials[0] { 101 } else { 102 }),
            Turn { serial: serials[0].clone(), step: 102 }
        );
        assert_eq!(next_turn(&serials, now, |_, _| true), None);
        assert_eq!(next_turn(&[], now, |_, _| false), None);
    }

    #[test]
    fn steps_begin_on_the_half_minute() {
        assert_eq!((step_at(WallTime(29_999)), step_at(WallTime(30_000)), step_at(WallTime(-1))), (0, 1, 0));
        assert_eq!((millis_until(1, WallTime(29_000)), millis_until(1, WallTime(31_000))), (1000, 0));
    }
}
