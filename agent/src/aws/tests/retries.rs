//! How often, how long, and with which clock.

use super::{CALLER, Desk, NOW, SESSION, aws, refusal};
use crate::aws::fake::{Play, ReplayHttp};
use crate::aws::{Caller, EndpointRules, Error, HttpError, NetworkFault};
use crate::testing::FakeClock;
use crate::world::{Clock, WallTime};
use claviger::model::Partition;
use std::sync::{Arc, Mutex, OnceLock};

async fn caller(desk: &Desk) -> Result<Caller, Error> {
    desk.edge.get_caller_identity(desk.by(), &desk.sts()).await
}

fn passing() -> Vec<Play> {
    vec![
        refusal(400, "Throttling", "Rate exceeded"),
        aws(429, ""),
        refusal(503, "ServiceUnavailable", "busy"),
        aws(500, "<html/>"),
        Play::Fail(HttpError::Unknown(NetworkFault::CutOff)),
        Play::Fail(HttpError::Unknown(NetworkFault::TimedOut)),
        Play::Fail(HttpError::NotSent(NetworkFault::NotConnected)),
        Play::Fail(HttpError::NotSent(NetworkFault::TimedOut)),
    ]
}

#[tokio::test]
async fn what_may_pass_is_tried_four_times_and_no_more() {
    for play in passing() {
        let desk = Desk::playing(vec![play.clone(); 20]);
        let begun = desk.clock.boot();
        assert!(caller(&desk).await.is_err());
        assert_eq!(desk.http.seen().len(), 4, "{play:?}");
        assert!(desk.clock.boot().millis_since(begun) <= 3_500, "{play:?}");

        let desk = Desk::playing([play.clone(), play.clone(), play.clone(), aws(200, CALLER)]);
        assert!(caller(&desk).await.is_ok(), "{play:?}");
    }
}

#[tokio::test]
async fn a_code_is_sent_once_whatever_happens() {
    for play in passing() {
        let desk = Desk::playing([play.clone(), aws(200, SESSION)]);
        let result = desk.edge.get_session_token(desk.by(), &desk.sts(), 900, desk.proof()).await;
        assert!(result.is_err() && desk.http.seen().len() == 1, "{play:?}");
        let sent = !matches!(play, Play::Fail(HttpError::NotSent(_)));
        assert_eq!(result.err().map(|error| error.code_counts_as_sent()), Some(sent), "{play:?}");
        // The control: without a code the same call goes on.
        let desk = Desk::playing([play, aws(200, SESSION)]);
        assert!(desk.edge.get_session_token(desk.by(), &desk.sts(), 900, None).await.is_ok());
    }
}

#[tokio::test]
async fn what_makes_something_is_asked_again_only_where_it_was_not_done() {
    let iam = EndpointRules::default().iam(Partition::commercial(), None).expect("allowed");
    for play in passing() {
        let desk = Desk::playing([play.clone(), aws(200, NEW_KEY)]);
        let made = desk.edge.create_access_key(desk.iam(&iam), "ada").await;
        let not_done = match &play {
            Play::Fail(error) => matches!(error, HttpError::NotSent(_)),
            Play::Answer { status, .. } => *status < 500,
            Play::Hang => false,
        };
        assert_eq!((made.is_ok(), desk.http.seen().len()), (not_done, if not_done { 2 } else { 1 }), "{play:?}");
        assert!(made.err().is_none_or(|error| error.may_be_done()), "{play:?}");
    }
}

const NEW_KEY: &str = concat!(
    r#"<CreateAccessKeyResponse xmlns="https://iam.amazonaws.com/doc/2010-05-08/"><CreateAccessKeyResult><AccessKey>"#,
    "<UserName>ada</UserName><AccessKeyId>AKIAIOSFODNN7EXAMPLF</AccessKeyId><Status>Active</Status>",
    "<SecretAccessKey>made/Secret+Key</SecretAccessKey><CreateDate>2026-11-22T00:00:00Z</CreateDate></AccessKey>",
    "</CreateAccessKeyResult><ResponseMetadata><RequestId>01234567-89ab-cdef-0123-456789abcdef</RequestId>",
    "</ResponseMetadata></CreateAccessKeyResponse>"
);

#[tokio::test]
async fn what_will_not_pass_is_tried_once() {
    for play in [
        refusal(403, "AccessDenied", "no"),
        refusal(403, "InvalidClientTokenId", "no"),
        refusal(400, "ValidationError", "no"),
        refusal(400, "Novelty", "no"),
        aws(200, "<html>portal</html>"),
        aws(302, ""),
        Play::Fail(HttpError::NotSent(NetworkFault::UntrustedCertificate)),
        Play::Fail(HttpError::NotSent(NetworkFault::CertificateDates)),
        Play::Fail(HttpError::NotSent(NetworkFault::Tls)),
        Play::Fail(HttpError::Unknown(NetworkFault::TooLarge)),
        Play::Fail(HttpError::Unknown(NetworkFault::BadAnswer)),
    ] {
        let desk = Desk::playing(vec![play.clone(); 5]);
        assert!(caller(&desk).await.is_err());
        assert_eq!(desk.http.seen().len(), 1, "{play:?}");
    }
}

#[tokio::test]
async fn waits_differ_from_one_machine_to_the_next() {
    let mut waits = Vec::new();
    for seed in 0..8 {
        let mut desk = Desk::playing(vec![refusal(400, "Throttling", "x"); 4]);
        let world = crate::testing::world(desk.clock.clone(), seed);
        desk.edge = crate::aws::AwsEdge::new(world, desk.http.clone(), EndpointRules::default());
        assert!(caller(&desk).await.is_err());
        waits.push(desk.clock.wall().0 - NOW.0);
    }
    waits.sort_unstable();
    waits.dedup();
    assert!(waits.len() >= 7, "{waits:?}");
}

#[tokio::test]
async fn retry_after_is_honoured_up_to_five_seconds() {
    let desk = Desk::playing([refusal(400, "Throttling", "x").header("retry-after", "4"), aws(200, CALLER)]);
    assert!(caller(&desk).await.is_ok());
    assert!(desk.clock.wall().0 - NOW.0 >= 4_000);

    let desk = Desk::playing([refusal(400, "Throttling", "x").header("retry-after", "6"), aws(200, CALLER)]);
    assert!(matches!(caller(&desk).await, Err(Error::Throttled { .. })));
    assert_eq!((desk.http.seen().len(), desk.clock.wall()), (1, NOW));

    // Three waits of 5 s do not fit in 10 s.
    let desk = Desk::playing(vec![refusal(400, "Throttling", "x").header("retry-after", "5"); 5]);
    assert!(matches!(caller(&desk).await, Err(Error::Throttled { .. })));
    assert_eq!(desk.http.seen().len(), 2);
}

#[tokio::test]
async fn a_server_that_hangs_is_left_after_ten_seconds() {
    let desk = Desk::playing([Play::Hang, aws(200, CALLER)]);
    let begun = desk.clock.boot();
    let host = "sts.eu-central-1.amazonaws.com".to_owned();
    assert_eq!(caller(&desk).await, Err(Error::TimedOut { host, sent: true }));
    assert_eq!(desk.clock.boot().millis_since(begun), 10_000);
    assert_eq!(desk.http.seen().len(), 1);
}

const HOUR_AHEAD: &str = "Sun, 22 Nov 2026 01:00:00 GMT";

fn expired_signature(date: &str) -> Play {
    let text = "Signature expired: 20261122T000000Z is now earlier than 20261122T004500Z (20261122T010000Z - 15 min.)";
    Play::answer(
        403,
        match refusal(403, "SignatureDoesNotMatch", text) {
            Play::Answer { body, .. } => body,
            _ => Vec::new(),
        },
    )
    .header("date", date)
}

#[tokio::test]
async fn a_wrong_clock_is_corrected_once() {
    let good = Play::answer(200, CALLER).header("date", HOUR_AHEAD);
    let desk = Desk::playing([expired_signature(HOUR_AHEAD), good]);
    assert_eq!((desk.edge.skew_millis(), desk.edge.corrected_now()), (None, NOW));
    assert!(caller(&desk).await.is_ok());
    let seen = desk.http.seen();
    assert_eq!(seen.len(), 2);
    assert_eq!(seen[0].header("x-amz-date"), Some("20261122T000000Z"));
    assert_eq!(seen[1].header("x-amz-date"), Some("20261122T010000Z"));
    assert_eq!(desk.edge.skew_millis(), Some(3_600_500));

    // A step of the wall clock later on changes nothing.
    let corrected = desk.edge.corrected_now();
    desk.clock.step_wall_millis(3_600_500);
    assert_eq!((desk.edge.corrected_now(), desk.edge.skew_millis()), (corrected, Some(0)));
    desk.clock.advance_millis(1_000);
    assert_eq!(desk.edge.corrected_now(), corrected.plus_millis(1_000));
}

#[tokio::test]
async fn a_code_made_by_a_wrong_clock_is_sent_once_and_the_clock_is_known_then() {
    let desk = Desk::playing(vec![expired_signature(HOUR_AHEAD); 3]);
    let result = desk.edge.get_session_token(desk.by(), &desk.sts(), 43_200, desk.proof()).await;
    assert!(matches!(result, Err(Error::ClockSkew { skew_millis: Some(3_600_500), .. })));
    assert_eq!(desk.http.seen().len(), 1);
}

#[tokio::test]
async fn a_clock_that_stays_wrong_is_an_error() {
    let desk = Desk::playing(vec![expired_signature(HOUR_AHEAD); 5]);
    let action = "sts:GetCallerIdentity";
    assert_eq!(caller(&desk).await, Err(Error::ClockSkew { action, skew_millis: Some(3_600_500) }));
    assert_eq!(desk.http.seen().len(), 2);

    // AWS's clock is ours, or there is none: nothing to correct.
    for play in [expired_signature(super::DATE), expired_signature("yesterday"), expired_signature("")] {
        let desk = Desk::playing(vec![play; 5]);
        assert!(matches!(caller(&desk).await, Err(Error::ClockSkew { .. })));
        assert_eq!(desk.http.seen().len(), 1);
    }
    // A server that claims another hour each time is asked twice.
    let hour = std::sync::atomic::AtomicU32::new(1);
    let desk = Desk::over(ReplayHttp::answering(move |_| {
        let hour = hour.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
        expired_signature(&format!("Sun, 22 Nov 2026 {hour:02}:00:00 GMT"))
    }));
    assert!(matches!(caller(&desk).await, Err(Error::ClockSkew { .. })));
    assert_eq!(desk.http.seen().len(), 2);
}

#[tokio::test]
async fn only_what_speaks_awss_language_sets_the_clock() {
    let lies = [
        Play::answer(200, "<html>portal</html>").header("date", HOUR_AHEAD),
        Play::answer(200, "").header("date", HOUR_AHEAD),
        Play::answer(200, CALLER).header("date", "Thu, 01 Jan 1970 00:00:00 GMT"),
        Play::answer(200, CALLER).header("date", "Fri, 31 Dec 9999 23:59:59 GMT"),
        Play::answer(200, CALLER).header("date", "now"),
        Play::answer(200, CALLER),
    ];
    for play in lies {
        let desk = Desk::playing([play.clone()]);
        drop(caller(&desk).await);
        assert_eq!((desk.edge.skew_millis(), desk.edge.corrected_now()), (None, NOW), "{play:?}");
    }
    let desk = Desk::playing([Play::answer(200, CALLER).header("date", HOUR_AHEAD), aws(200, CALLER)]);
    assert!(caller(&desk).await.is_ok());
    assert_eq!(desk.edge.corrected_now(), WallTime(NOW.0 + 3_600_500));
    assert!(desk.edge.clone().skew_millis().is_some(), "clones share it");
}

#[tokio::test]
async fn a_second_of_difference_is_noise() {
    let desk = Desk::playing([
        aws(200, CALLER),
        Play::answer(200, CALLER).header("date", "Sun, 22 Nov 2026 00:00:01 GMT"),
        Play::answer(200, CALLER).header("date", "Sun, 22 Nov 2026 00:00:02 GMT"),
    ]);
    for expected in [500, 500, 2_500] {
        assert!(caller(&desk).await.is_ok());
        assert_eq!(desk.edge.skew_millis(), Some(expected));
    }
}

#[tokio::test]
async fn an_answer_that_was_slow_moves_no_clock() {
    // AWS looks at its clock before the wait, or after it.
    let dates = Mutex::new(["00:00:00", "00:00:50", "00:02:30"].into_iter());
    let clock = Arc::new(OnceLock::<Arc<FakeClock>>::new());
    let slow = clock.clone();
    let desk = Desk::over(ReplayHttp::answering(move |_| {
        slow.get().expect("a clock").advance_millis(50_000);
        let time = dates.lock().expect("dates").next().expect("a date");
        Play::answer(200, CALLER).header("date", &format!("Sun, 22 Nov 2026 {time} GMT"))
    }));
    assert!(clock.set(desk.clock.clone()).is_ok());
    for _ in 0..3 {
        assert!(caller(&desk).await.is_ok());
        assert_eq!(desk.edge.skew_millis(), Some(500));
    }
}
