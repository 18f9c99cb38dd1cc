//! A machine whose clock is wrong, and one whose clock is set while the agent runs.

use crate::endpoint::{Desk, get};
use crate::network::Way;
use crate::rig::{HOUR, MINUTE, NOW, Rig, quiet, rig, settle, until};
use claviger_agent::ask::Listener;
use claviger_agent::aws;
use claviger_agent::session::{Error, Session};
use claviger_agent::testing;
use claviger_agent::vault::{LockedBy, VaultState};
use claviger_agent::world::{BootTime, Clock, WallTime, rfc3339};
use serde_json::json;
use std::sync::Arc;
use tokio::task::JoinHandle;

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

const SECOND: i64 = 1_000;
const DAY: i64 = 86_400 * SECOND;
const YEAR: i64 = 365 * DAY;

/// By how much a wall clock is set, each both ways.
const STEPS: [i64; 7] = [SECOND, 30 * SECOND, 60 * SECOND, 3_600 * SECOND, DAY, YEAR, 10 * YEAR];

/// When it happens.
#[derive(Debug, Clone, Copy)]
enum Moment {
    BeforeTheFetch,
    WhileACodeIsAwaited,
    BetweenBurnAndSend,
    BeforeTheAnswerIsRead,
    WithASessionInMemory,
    WhileLocked,
    BetweenRefreshes,
    BeforeARestart,
    WithAReboot,
    InASleep,
}

const MOMENTS: [Moment; 10] = [
    Moment::BeforeTheFetch,
    Moment::WhileACodeIsAwaited,
    Moment::BetweenBurnAndSend,
    Moment::BeforeTheAnswerIsRead,
    Moment::WithASessionInMemory,
    Moment::WhileLocked,
    Moment::BetweenRefreshes,
    Moment::BeforeARestart,
    Moment::WithAReboot,
    Moment::InASleep,
];

impl Rig {
    /// Milliseconds that a session truly has left: by AWS's clock, which the agent cannot see.
    fn truly_left(&self, session: &Session) -> i64 {
        session.expiration.0 - self.sandbox.now_millis()
    }

    /// Asks, and looks at the answer from outside: AWS must take it for another minute at least.
    async fn serves(&self, what: &str) -> Arc<Session> {
        self.office.mark_presence();
        let session = self.ask("prod").await.unwrap_or_else(|error| panic!("{what}: {error:?}"));
        let left = self.truly_left(&session);
        assert!(left >= 60_000 - SECOND, "{what}: served with {left} ms left");
        self.no_code_twice();
        session
    }

    /// Asks in a task of its own.
    fn asked(&self) -> JoinHandle<Result<Arc<Session>, Arc<Error>>> {
        let (office, plan) = (self.office.clone(), self.plan("prod"));
        tokio::spawn(async move { office.credentials(plan, Listener::nobody()).await })
    }

    /// The machine is started anew after so long, with a wall clock that is off by so much more.
    fn reboot(&mut self, boot: u64, wall_millis: i64) {
        self.clock.reboot(BootTime(boot), wall_millis);
        self.restart();
        self.unlock().unwrap();
    }
}

/// One step at one moment; whether the session from before was served again.
async fn step_at(moment: Moment, millis: i64) {
    let what = format!("{moment:?}, {millis} ms");
    let mut rig = rig();
    let clock = rig.clock.clone();
    let step = move || clock.step_wall_millis(millis);
    let mut kept = None;
    match moment {
        Moment::BeforeTheFetch => step(),
        Moment::WhileACodeIsAwaited => {
            rig.serves(&what).await;
            rig.office.forget_all();
            rig.clock.hold();
            let asked = rig.asked();
            settle().await;
            step();
            rig.clock.release();
            assert!(rig.truly_left(&asked.await.unwrap().expect(&what)) > 0);
        }
        Moment::BetweenBurnAndSend => {
            rig.network.close();
            let asked = rig.asked();
            rig.network.arrived(1).await;
            step();
            rig.network.open();
            assert!(rig.truly_left(&asked.await.unwrap().expect(&what)) > 0);
        }
        Moment::BeforeTheAnswerIsRead => {
            rig.network.script("GetSessionToken", Way::Then(Box::new(step)));
        }
        Moment::WithASessionInMemory => {
            kept = Some(rig.serves(&what).await);
            step();
        }
        Moment::WhileLocked => {
            kept = Some(rig.serves(&what).await);
            rig.lock(LockedBy::Command);
            step();
            rig.unlock().unwrap();
        }
        Moment::BetweenRefreshes => {
            let first = rig.serves(&what).await;
            rig.until_left(&first, 18 * MINUTE);
            step();
            assert_eq!(rig.serves(&what).await.access_key_id, first.access_key_id, "{what}");
            quiet().await;
            assert_ne!(rig.serves(&what).await.access_key_id, first.access_key_id, "{what}: renewed");
        }
        Moment::BeforeARestart => {
            kept = Some(rig.serves(&what).await);
            step();
            rig.restart();
            rig.unlock().unwrap();
        }
        Moment::WithAReboot => {
            kept = Some(rig.serves(&what).await);
            rig.clock.advance_millis(10 * MINUTE);
            rig.reboot(20_000, millis);
        }
        Moment::InASleep => {
            rig.serves(&what).await;
            rig.clock.suspend_millis(8 * HOUR);
            step();
            rig.clock.resume();
        }
    }
    let codes = rig.network.codes().len();
    let served = rig.serves(&what).await;
    if let Some(kept) = kept {
        assert_eq!(
            (&served.access_key_id, rig.network.codes().len()),
            (&kept.access_key_id, codes),
            "{what}: ended early"
        );
    }
    // And it ends in time, also where it came back: asked for at its last moments, another one is given.
    let left = u64::try_from(rig.truly_left(&served)).unwrap();
    rig.clock.advance_millis(left - 30_000);
    assert_ne!(rig.serves(&what).await.access_key_id, served.access_key_id, "{what}");
}

#[tokio::test]
async fn a_step_of_the_wall_clock_at_any_moment_serves_nothing_ended_and_ends_nothing_early() {
    // In the usual run each way at every second one.
    let (mut steps, all) = (0, testing::rounds(1, 2));
    for (at, moment) in MOMENTS.into_iter().enumerate() {
        for (by, millis) in STEPS.into_iter().enumerate() {
            for way in [1, -1].into_iter().cycle().skip(at + by).take(all) {
                step_at(moment, way * millis).await;
                steps += 1;
            }
        }
    }
    testing::figure("clock steps, each at one moment", steps);
}

/// Everything that moves a clock or a session, in any order.
#[tokio::test]
async fn no_order_of_steps_sleeps_and_starts_serves_an_ended_session() {
    let (mut asked, rounds) = (0, testing::rounds(25, 5_000));
    for seed in 0..rounds {
        let mut random = Random(u64::try_from(seed).unwrap());
        let mut rig = rig();
        let mut story = format!("seed {seed}:");
        for _ in 0..random.below(12) + 4 {
            let millis = STEPS[random.index(STEPS.len())] * [1, -1][random.index(2)];
            let event = random.below(9);
            story.push_str(&format!(" {event}({millis})"));
            match event {
                0 | 1 => rig.clock.step_wall_millis(millis),
                2 => rig.clock.advance_millis(random.below(3 * HOUR)),
                3 => {
                    rig.clock.suspend_millis(random.below(9 * HOUR));
                    rig.clock.resume();
                }
                4 => {
                    rig.lock(if random.below(2) == 0 { LockedBy::Idle } else { LockedBy::Suspend });
                    rig.clock.advance_millis(random.below(HOUR));
                    rig.unlock().unwrap();
                }
                5 => {
                    rig.restart();
                    rig.unlock().unwrap();
                }
                6 => {
                    rig.clock.advance_millis(random.below(HOUR));
                    rig.reboot(random.below(20 * HOUR), millis);
                }
                7 => drop(rig.office.forget(&rig.plan("prod"))),
                _ => {}
            }
            let codes = rig.network.codes().len();
            rig.serves(&story).await;
            asked += 1;
            let spent = rig.network.codes().len() - codes;
            assert!(spent <= 3, "{story}: {spent} codes");
        }
    }
    testing::figure("asked between clock steps, sleeps and starts", asked);
}

#[tokio::test]
async fn a_machine_that_starts_in_1970_gets_a_session_and_keeps_those_it_had() {
    let rig = Rig::off_by(-NOW);
    let session = rig.serves("1970").await;
    assert_eq!((rig.steps(), rig.passed()), (vec![0], 0));
    assert!(rig.works(&session).await.is_ok());

    let mut rig = crate::rig::rig();
    let first = rig.serves("before").await;
    rig.reboot(5_000, -rig.clock.wall().0);
    assert_eq!(rig.clock.wall().0, 0);
    assert_eq!(rig.serves("after").await.access_key_id, first.access_key_id);
    assert_eq!((rig.network.codes().len(), rig.calls("GetCallerIdentity") > 0), (1, true), "AWS was asked the time");
}

/// With a wall clock that believes the session to live, in a boot that knows nothing else, the seal alone would be served:
/// this is what the boot's name is for.
#[tokio::test]
async fn a_sealed_session_of_another_boot_waits_for_awss_time() {
    let mut rig = rig();
    let first = rig.serves("first").await;
    rig.clock.advance_millis(2 * HOUR);
    rig.reboot(20_000, -2 * 3_600 * SECOND);
    let believed = first.expiration.0 - rig.clock.wall().0;
    assert!(believed > 50 * 60 * SECOND && rig.truly_left(&first) < 0, "control: by this machine it lives");
    rig.network.script("GetCallerIdentity", Way::NotSent);
    rig.network.script("GetCallerIdentity", Way::NotSent);
    rig.network.script("GetCallerIdentity", Way::NotSent);
    rig.network.script("GetCallerIdentity", Way::NotSent);
    let error = rig.fail("prod").await;
    assert!(matches!(&*error, Error::Aws(aws::Error::Unreachable { .. })), "{error:?}");
    assert_eq!(rig.network.codes().len(), 1, "and no code is spent in its place");
    assert_ne!(rig.serves("again").await.access_key_id, first.access_key_id);
    assert_eq!(rig.network.codes().len(), 1, "by the MFA session, which lives");

    // Two hundred who ask at once are one question.
    rig.reboot(30_000, 2 * 3_600 * SECOND);
    let before = rig.calls("GetCallerIdentity");
    let asked: Vec<_> = (0..200).map(|_| rig.asked()).collect();
    for asked in asked {
        asked.await.unwrap().unwrap();
    }
    assert_eq!((rig.calls("GetCallerIdentity") - before, rig.network.codes().len()), (1, 1));
}

#[tokio::test]
async fn a_failed_call_for_awss_time_answers_all_who_waited_for_it() {
    let mut rig = rig();
    let first = rig.serves("first").await;
    rig.reboot(20_000, 0);
    let calls = |rig: &Rig| rig.network.seen("GetCallerIdentity").len();
    // Four attempts each: whoever asks alone, fifty at once, and another one later.
    (0..12).for_each(|_| rig.network.script("GetCallerIdentity", Way::NotSent));
    rig.fail("prod").await;
    assert_eq!(calls(&rig), 4);
    let asked: Vec<_> = (0..50).map(|_| rig.asked()).collect();
    for asked in asked {
        let error = asked.await.unwrap().err().expect("an error");
        assert!(matches!(&*error, Error::Aws(aws::Error::Unreachable { .. })), "{error:?}");
    }
    assert_eq!(calls(&rig), 8);
    rig.fail("prod").await;
    assert_eq!((calls(&rig), rig.network.codes().len()), (12, 1));
    assert_eq!(rig.serves("again").await.access_key_id, first.access_key_id);
}

/// A restart ends what is under way, and may fail after that.
#[tokio::test]
async fn what_waits_for_awss_time_is_there_after_a_restart_that_failed() {
    let mut rig = rig();
    let first = rig.serves("first").await;
    rig.reboot(20_000, 0);
    rig.office.reopen();
    rig.office.lock(false);
    let handed = rig.custody.hand_over().expect("open");
    rig.custody.take_back(handed);
    assert_eq!(rig.serves("after").await.access_key_id, first.access_key_id);
    assert_eq!((rig.network.codes().len(), rig.calls("AssumeRole")), (1, 1));
}

#[tokio::test]
async fn what_waits_for_awss_time_can_be_logged_out() {
    let mut rig = rig();
    rig.serves("first").await;
    rig.reboot(20_000, 0);
    rig.office.forget_all();
    assert!(rig.custody.sealed_sessions().is_empty());
    rig.reboot(30_000, 0);
    rig.serves("second").await;
    assert_eq!((rig.network.codes().len(), rig.calls("GetCallerIdentity")), (2, 0));
}

/// An answer of AWS without a date leaves the wall clock alone to go by: then nothing lives longer than it was asked for.
#[tokio::test]
async fn without_awss_date_a_session_is_served_no_longer_than_was_asked() {
    let rig = Rig::off_by(-2 * 3_600 * SECOND);
    let end = rfc3339(WallTime(NOW + 3_600 * SECOND));
    rig.network.script("GetSessionToken", Way::Answer(200, answer("GetSessionToken", &end)));
    rig.network.script("AssumeRole", Way::Answer(200, answer("AssumeRole", &end)));
    let session = rig.get("prod").await;
    assert_eq!(session.expiration.0 - rig.clock.wall().0, 3 * 3_600 * SECOND - 500, "control");
    assert_eq!(session.left(rig.clock.boot()), HOUR);
}

fn answer(action: &str, end: &str) -> String {
    let user = "<AssumedRoleUser><AssumedRoleId>A:a</AssumedRoleId>\
                <Arn>arn:aws:sts::123456789012:assumed-role/prod-admin/ada</Arn></AssumedRoleUser>";
    let user = if action == "AssumeRole" { user } else { "" };
    format!(
        "<{action}Response><{action}Result>{user}<Credentials><AccessKeyId>ASIAIOSFODNN7EXAMPLE</AccessKeyId>\
         <SecretAccessKey>secret</SecretAccessKey><SessionToken>token</SessionToken><Expiration>{end}</Expiration>\
         </Credentials></{action}Result></{action}Response>"
    )
}

/// A leap second smeared over a day, and a clock that drifts by five minutes, once AWS's time is known (R9).
#[tokio::test]
async fn a_clock_that_drifts_costs_one_code_each_time() {
    let rig = rig();
    rig.serves("first").await;
    let mut codes = 1;
    for drift in [41, -41, 30_000, -60_000, 150_000, -150_000, 300_000, -300_000] {
        rig.office.forget_all();
        rig.clock.step_wall_millis(drift);
        rig.clock.advance_millis(HOUR);
        rig.serves(&format!("drift {drift}")).await;
        codes += 1;
        assert_eq!((rig.network.codes().len(), rig.steps().len()), (codes, codes), "{drift}: each was taken");
    }
}

/// The first request after a sleep finds the vault locked, before a timer has run and without a word of logind.
#[tokio::test]
async fn the_first_request_after_a_sleep_finds_it_locked() {
    for request in ["credentials", "status", "access_key_list"] {
        let desk = Desk::with("");
        let credentials = json!({"credentials": {"profile": "prod", "wait": 60, "frozen": false}});
        assert!(desk.request(credentials.clone()).await["reply"]["credentials"].is_object(), "control");
        desk.rig.clock.suspend_millis(8 * HOUR);
        assert!(desk.rig.custody.is_unlocked(), "nobody has looked yet");
        let asked = if request == "credentials" { credentials } else { json!({request: {}}) };
        let reply = desk.request(asked).await;
        assert_eq!(desk.rig.custody.state(), VaultState::Locked(LockedBy::Suspend), "{request}");
        assert!(desk.rig.office.sessions().is_empty(), "{request}");
        match request {
            "credentials" => assert_eq!(reply["fault"]["code"], "vault.locked", "{reply}"),
            "status" => assert_eq!(reply["reply"]["status"]["locked_by"], "suspend", "{reply}"),
            _ => {}
        }
    }
}

/// Whoever is slow to let go of a secret holds up a lock, and no request but that.
#[tokio::test]
async fn requests_do_not_wait_until_a_lock_that_is_due_has_wiped_everything() {
    let desk = Desk::with("");
    let held = desk.rig.custody.leave();
    desk.rig.clock.suspend_millis(2 * MINUTE);
    let status = desk.request(json!({"status": {}})).await;
    assert_eq!(status["reply"]["status"]["locked_by"], "suspend", "{status}");
    let unlock = json!({"unlock": {"proof": crate::rig::recovery()}});
    assert!(desk.request(unlock).await["reply"].is_object());
    assert!(held.is_over() && desk.rig.custody.is_unlocked());
}

/// What a sleep locks is a setting; eight hours of it are idle time all the same, also for the very first request.
#[tokio::test]
async fn a_sleep_counts_as_idle_time_where_it_does_not_lock() {
    for (config, slept, state) in [
        ("[lock]\nsuspend = false\n", 2 * MINUTE, VaultState::Unlocked),
        ("[lock]\nsuspend = false\n", 8 * HOUR, VaultState::Locked(LockedBy::Idle)),
        ("[lock]\nsuspend = false\nidle = \"1h\"\n", HOUR, VaultState::Locked(LockedBy::Idle)),
        ("", 2 * MINUTE, VaultState::Locked(LockedBy::Suspend)),
    ] {
        let desk = Desk::with(config);
        desk.request(json!({"access_key_list": {}})).await;
        desk.rig.clock.suspend_millis(slept);
        desk.request(json!({"access_key_list": {}})).await;
        assert_eq!(desk.rig.custody.state(), state, "{config} {slept}");
    }
}

#[tokio::test]
async fn the_kernels_word_of_a_sleep_locks_without_a_request() {
    let desk = Desk::with("");
    tokio::spawn(desk.server.clone().watch_sleep());
    settle().await;
    desk.rig.clock.step_wall_millis(YEAR);
    settle().await;
    assert!(desk.rig.custody.is_unlocked(), "the control: a clock that is set is no sleep");
    desk.rig.clock.suspend_millis(2 * MINUTE);
    desk.rig.clock.resume();
    until("locked", || desk.rig.custody.state() == VaultState::Locked(LockedBy::Suspend)).await;
}

#[tokio::test]
async fn an_endpoint_serves_nothing_after_a_sleep() {
    let desk = Desk::with("");
    let endpoint = desk.open("container").await;
    assert_eq!(get(&endpoint).await.0, 200, "control");
    desk.rig.clock.suspend_millis(2 * MINUTE);
    let (status, body) = get(&endpoint).await;
    assert_eq!((status, body["code"].as_str()), (403, Some("vault.locked")), "{body}");
}

/// SplitMix64.
pub(crate) struct Random(pub(crate) u64);

impl Random {
    pub(crate) fn below(&mut self, limit: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (mixed ^ (mixed >> 31)) % limit
    }

    pub(crate) fn index(&mut self, length: usize) -> usize {
        usize::try_from(self.below(u64::try_from(length).unwrap())).unwrap()
    }
}
