//! A machine whose clock is wrong, and one whose clock is set while the agent runs.

use crate::rig::{HOUR, MINUTE, Rig, rig};
use claviger_agent::aws;
use claviger_agent::session::{Error, Session};
use claviger_agent::world::Clock;

impl Rig {
    /// Whether AWS takes the session now.
    async fn works(&self, session: &Session) -> Result<(), Error> {
        let endpoint = self.plan("prod").steps[0].endpoint.clone();
        self.office.caller(session, &endpoint).await.map(drop)
    }
}

/// AWS signs off on 5 minutes: at 3 the code is refused, at 30 the signature is.
#[tokio::test]
async fn a_wrong_clock_costs_one_code_and_no_request() {
    for (minutes, off_steps) in [(3, 6), (-3, -6), (30, 60), (-30, -60)] {
        let rig = Rig::off_by(minutes * 60_000);
        let session = rig.get("prod").await;
        assert_eq!(rig.steps(), [0], "{minutes}: the true step");
        let tokens = rig.sandbox.calls_of("GetSessionToken");
        assert_eq!((tokens.calls, tokens.refused), (2, 1), "{minutes}");
        assert_eq!(rig.network.codes(), [rig.code(off_steps), rig.code(0)], "{minutes}");
        assert!(rig.burned(off_steps) && rig.burned(0), "{minutes}");
        assert_eq!((rig.calls("AssumeRole"), rig.passed()), (1, 0), "{minutes}: and nobody waited");
        assert_eq!(rig.office.clock_skew(), Some(-minutes * 60), "{minutes}");
        assert_eq!(session.left(rig.clock.boot()), HOUR - 500, "{minutes}: the end is AWS's");
        assert!(rig.works(&session).await.is_ok());
        let refusal = rig.sandbox.history()[0].error.clone().unwrap();
        let wanted = if minutes.abs() == 3 { "AccessDenied" } else { "SignatureDoesNotMatch" };
        assert_eq!(refusal, wanted, "{minutes}");
        rig.no_code_twice();
    }
}

/// A clock that was ahead burned a step that AWS never took: it is skipped when its time comes.
#[tokio::test]
async fn the_step_that_a_fast_clock_burned_is_not_sent_again() {
    let rig = Rig::off_by(3 * 60_000);
    rig.get("prod").await;
    rig.office.forget_all();
    rig.clock.advance_millis(3 * MINUTE);
    rig.get("prod").await;
    assert_eq!((rig.steps(), rig.passed()), (vec![0, 7], 3 * MINUTE + 29_500));
    rig.no_code_twice();
}

#[tokio::test]
async fn a_wall_clock_set_back_repeats_no_step_and_serves_no_ended_session() {
    for off in [0, 3, -3, 30, -30] {
        let rig = Rig::off_by(off * 60_000);
        let first = rig.get("prod").await;
        rig.clock.step_wall_millis(-3_600_000);
        assert_eq!(rig.get("prod").await.access_key_id, first.access_key_id);
        rig.office.forget_all();
        let second = rig.get("prod").await;
        assert_eq!((rig.steps(), rig.passed()), (vec![0, 1], 29_500), "{off}: the next step of the true time");
        rig.clock.advance_millis(HOUR);
        assert!(matches!(rig.works(&second).await, Err(Error::Aws(aws::Error::Expired { .. }))), "{off}: it has ended");
        let third = rig.get("prod").await;
        assert!(rig.works(&third).await.is_ok(), "{off}");
        rig.no_code_twice();
    }
}

#[tokio::test]
async fn a_wall_clock_set_forward_ends_no_session_early() {
    let rig = rig();
    let first = rig.get("prod").await;
    rig.clock.step_wall_millis(20 * 3_600_000);
    assert_eq!(rig.get("prod").await.access_key_id, first.access_key_id);
    rig.office.forget_all();
    rig.get("prod").await;
    assert_eq!(rig.steps(), [0, 1]);
}

/// The skew is forgotten with the process; the ledger is not.
#[tokio::test]
async fn set_back_before_a_restart_no_step_goes_out_twice() {
    let mut rig = rig();
    for step in 0..3 {
        rig.get("prod").await;
        rig.office.forget_all();
        assert_eq!(rig.steps(), (0..=step).collect::<Vec<i64>>());
    }
    rig.clock.step_wall_millis(-60_000);
    rig.restart();
    rig.unlock().unwrap();
    rig.get("prod").await;
    // By the machine it is step 0 again; 0 to 2 are burned, so it waits for what it takes for 3.
    assert_eq!(rig.sandbox.steps_used(crate::rig::PHONE).len(), 4);
    rig.no_code_twice();
}
