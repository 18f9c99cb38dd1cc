//! Sessions are renewed before they end, without people and without codes.

use crate::network::Way;
use crate::rig::{HOUR, MINUTE, PRESENCE, Rig, quiet, rig, sandbox};
use claviger_agent::aws;
use claviger_agent::session::{Error, Session};
use claviger_sandbox::{Fault, FaultKind, Seed};

impl Rig {
    async fn id(&self) -> String {
        self.get("prod").await.access_key_id.to_string()
    }

    /// GetSessionToken, AssumeRole, codes.
    fn spent(&self) -> (usize, usize, usize) {
        let count = |action| self.network.seen(action).len();
        (count("GetSessionToken"), count("AssumeRole"), self.network.codes().len())
    }
}

fn id(session: &Session) -> &str {
    session.access_key_id.as_str()
}

#[tokio::test]
async fn above_twenty_minutes_memory_answers_and_nothing_is_called() {
    let rig = rig();
    let first = rig.get("prod").await;
    assert_eq!(rig.spent(), (1, 1, 1));
    for left in [25 * MINUTE, 20 * MINUTE] {
        rig.until_left(&first, left);
        assert_eq!(rig.id().await, id(&first));
        quiet().await;
        assert_eq!(rig.spent(), (1, 1, 1));
    }
    rig.clock.advance_millis(1);
    assert_eq!(rig.id().await, id(&first), "a millisecond later too, but");
    quiet().await;
    assert_eq!(rig.spent(), (1, 2, 1), "it is being renewed");
}

#[tokio::test]
async fn at_eighteen_minutes_memory_answers_and_the_background_renews_without_a_code() {
    let rig = rig();
    let first = rig.get("prod").await;
    rig.until_left(&first, 18 * MINUTE);
    rig.network.close();
    rig.clock.hold();
    for _ in 0..10 {
        assert_eq!(rig.id().await, id(&first), "answered while the renewal is under way");
    }
    rig.network.arrived(3).await;
    rig.network.open();
    quiet().await;
    assert_eq!(rig.spent(), (1, 2, 1), "one renewal for ten requests");
    let renewed = rig.get("prod").await;
    assert_ne!(id(&renewed), id(&first));
    assert_eq!(renewed.left(first.ends), 42 * MINUTE);
    quiet().await;
    assert_eq!(rig.spent(), (1, 2, 1));
}

#[tokio::test]
async fn at_ten_minutes_the_answer_waits_for_the_renewal() {
    for (left, calls, renewed) in [(15 * MINUTE + 1, 1, false), (15 * MINUTE, 2, true), (10 * MINUTE, 2, true)] {
        let rig = rig();
        let first = rig.get("prod").await;
        rig.until_left(&first, left);
        rig.clock.hold();
        let answer = rig.id().await;
        assert_eq!(answer != id(&first), renewed, "{left}");
        assert_eq!(rig.spent(), (1, calls, 1), "{left}");
    }
}

#[tokio::test]
async fn a_failed_renewal_serves_the_old_session_down_to_its_last_minute() {
    let rig = rig();
    let first = rig.get("prod").await;
    rig.sandbox.inject(Fault { times: 4, ..Fault::next("AssumeRole", FaultKind::CaptivePortal) });
    for (left, calls) in [(18 * MINUTE, 2), (10 * MINUTE, 3), (MINUTE + 1, 4)] {
        rig.until_left(&first, left);
        assert_eq!(rig.id().await, id(&first), "{left}");
        quiet().await;
        assert_eq!(rig.spent(), (1, calls, 1), "{left}");
    }
    rig.until_left(&first, MINUTE);
    assert!(matches!(&*rig.fail("prod").await, Error::Aws(aws::Error::BadAnswer { action: "sts:AssumeRole", .. })));
    assert!(rig.sandbox.faults().is_empty());
    assert_ne!(rig.id().await, id(&first), "and once AWS is back, so is the profile");
    assert_eq!(rig.spent(), (1, 6, 1));
}

#[tokio::test]
async fn throttled_through_all_attempts_the_old_session_serves() {
    let rig = rig();
    let first = rig.get("prod").await;
    rig.sandbox.inject(Fault { times: 4, ..Fault::next("AssumeRole", FaultKind::Throttle(400)) });
    rig.until_left(&first, 10 * MINUTE);
    assert_eq!(rig.id().await, id(&first));
    assert_eq!(rig.spent(), (1, 5, 1), "four attempts");
}

#[tokio::test]
async fn after_the_mfa_session_a_new_code_needs_presence() {
    let rig = rig();
    rig.get("prod").await;
    rig.clock.advance_millis(PRESENCE - 1);
    assert_eq!(rig.office.presence_left(), Some(1));
    rig.clock.advance_millis(1);
    assert_eq!(rig.office.presence_left(), None);
    rig.get("prod").await;
    assert_eq!(rig.spent(), (1, 2, 1), "a role needs no person while the MFA session lasts");
    rig.clock.advance_millis(4 * HOUR);
    assert!(matches!(&*rig.fail("prod").await, Error::PresenceNeeded));
    assert_eq!(rig.spent(), (1, 2, 1), "and nothing was sent");
    rig.office.mark_presence();
    rig.get("prod").await;
    assert_eq!(rig.spent(), (2, 3, 2));
}

#[tokio::test]
async fn within_presence_the_new_code_is_spent_silently() {
    let rig = rig();
    rig.get("prod").await;
    rig.clock.advance_millis(11 * HOUR);
    rig.office.mark_presence();
    rig.clock.advance_millis(HOUR);
    rig.get("prod").await;
    assert_eq!(rig.spent(), (2, 2, 2));
}

/// STS wants no session that ends during the call: in its last minute the MFA session signs nothing.
#[tokio::test]
async fn the_mfa_session_signs_until_its_last_minute() {
    for (before_end, codes) in [(MINUTE + 1, 1), (MINUTE, 2)] {
        let rig = rig();
        rig.get("prod").await;
        rig.clock.advance_millis(11 * HOUR);
        rig.office.mark_presence();
        // The session ends on a whole second, half a second before the test's twelve hours are over.
        rig.clock.advance_millis(HOUR - 500 - before_end);
        rig.get("prod").await;
        assert_eq!(rig.spent(), (codes, 2, codes), "{before_end}");
    }
}

#[tokio::test]
async fn the_background_spends_no_code_where_the_mfa_session_has_ended() {
    let rig = rig();
    rig.get("prod").await;
    rig.clock.advance_millis(11 * HOUR + 20 * MINUTE);
    rig.office.mark_presence();
    let last = rig.get("prod").await;
    rig.until_left(&last, 18 * MINUTE);
    assert_eq!(rig.id().await, id(&last));
    quiet().await;
    assert_eq!(rig.spent(), (1, 2, 1), "no code, though a person is present");
    rig.until_left(&last, 10 * MINUTE);
    assert_ne!(rig.id().await, id(&last), "who waits for it may spend one");
    assert_eq!(rig.spent(), (2, 3, 2));
}

#[tokio::test]
async fn the_background_spends_no_code_where_aws_refuses_the_mfa_session() {
    let rig = rig();
    let first = rig.get("prod").await;
    let mut other = Seed::demo(7);
    other.entropy = 99;
    rig.network.replace(sandbox(&rig.clock, &other));
    rig.until_left(&first, 18 * MINUTE);
    assert_eq!(rig.id().await, id(&first));
    quiet().await;
    assert_eq!(rig.spent(), (1, 2, 1), "refused once, and that is all");
    rig.until_left(&first, 10 * MINUTE);
    assert_ne!(rig.id().await, id(&first));
    assert_eq!(rig.spent(), (2, 3, 2), "the dead session was forgotten, so nobody tries it again");
}

/// A background renewal may fail where a request would not: who joined it asks again.
#[tokio::test]
async fn who_joins_a_background_renewal_that_fails_may_spend_a_code() {
    let rig = rig();
    let first = rig.get("prod").await;
    rig.until_left(&first, 15 * MINUTE + 1);
    rig.clock.hold();
    let mut other = Seed::demo(7);
    other.entropy = 99;
    rig.network.replace(sandbox(&rig.clock, &other));
    rig.network.close();
    assert_eq!(rig.id().await, id(&first));
    rig.network.arrived(3).await;
    rig.clock.advance_millis(1);
    let joins = rig.ask("prod");
    let (joined, ()) = tokio::join!(joins, async {
        crate::rig::settle().await;
        assert_eq!(rig.spent(), (1, 2, 1), "the renewal is what it waits for");
        rig.network.open();
    });
    assert_ne!(id(&joined.ok().unwrap()), id(&first));
    assert_eq!(rig.spent(), (2, 3, 2));
}

#[tokio::test]
async fn a_renewal_whose_answer_was_lost_is_tried_again_in_the_same_call() {
    let rig = rig();
    let first = rig.get("prod").await;
    rig.network.script("AssumeRole", Way::Lost { done: true });
    rig.until_left(&first, 10 * MINUTE);
    assert_ne!(rig.id().await, id(&first));
    assert_eq!(rig.spent(), (1, 3, 1));
}

#[tokio::test]
async fn what_still_works_is_remembered_for_a_caller_who_would_not_wait() {
    let rig = rig();
    let plan = rig.plan("prod");
    assert!(rig.office.remembered(&plan).is_none());
    let session = rig.get("prod").await;
    rig.until_left(&session, 10 * MINUTE);
    assert_eq!(rig.office.remembered(&plan).as_deref().map(id), Some(id(&session)));
    rig.until_left(&session, MINUTE);
    assert!(rig.office.remembered(&plan).is_none(), "a minute is too little to hand out");
    assert_eq!(rig.spent(), (1, 1, 1), "nobody was asked");
}
