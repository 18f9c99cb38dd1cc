//! N processes asking at once cause one code and one call each; what cannot share a code queues for its own.

use crate::rig::{HOUR, PHONE, Rig, STEP, ada, phone, rig};
use claviger::secret::{SecretText, TokenCode};
use claviger_agent::ask::{Listener, Notice, Upcall};
use claviger_agent::aws::{self, MfaProof};
use claviger_agent::session::{Error, Session, signing};
use claviger_agent::vault::{AccessKey, Extra};
use claviger_agent::world::{BootTime, Clock};
use claviger_sandbox::Seed;
use std::collections::BTreeSet;
use std::sync::Arc;
use tokio::sync::mpsc::UnboundedReceiver;
use tokio::task::JoinSet;

type End = UnboundedReceiver<Upcall>;
type Answers = JoinSet<Result<Arc<Session>, Arc<Error>>>;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_thousand_cold_requests_cost_one_code_and_get_equal_answers() {
    let rig = rig();
    let (mut answers, plan) = (Answers::new(), rig.plan("prod"));
    for _ in 0..1000 {
        let (office, plan) = (rig.office.clone(), plan.clone());
        answers.spawn(async move { office.credentials(plan, Listener::nobody()).await });
    }
    assert_eq!(equal_answers(answers).await, 1000);
    one_code(&rig);
}

#[tokio::test]
async fn the_fetch_goes_on_when_the_first_asker_leaves() {
    leaving(1).await;
}

#[tokio::test]
async fn the_fetch_goes_on_when_the_first_ten_askers_leave() {
    leaving(10).await;
}

/// A thousand ask; the first `leavers` of them hang up while the call is on its way.
async fn leaving(leavers: usize) {
    let rig = rig();
    rig.clock.hold();
    rig.network.close();
    let (mut early, mut answers, plan) = (Answers::new(), Answers::new(), rig.plan("prod"));
    for asker in 0..1000 {
        let (office, plan) = (rig.office.clone(), plan.clone());
        let ask = async move { office.credentials(plan, Listener::nobody()).await };
        if asker < leavers {
            early.spawn(ask)
        } else {
            answers.spawn(ask)
        };
    }
    rig.network.arrived(1).await;
    early.shutdown().await;
    rig.network.open();
    assert_eq!(equal_answers(answers).await, 1000 - leavers);
    one_code(&rig);
}

#[tokio::test]
async fn the_fetch_goes_on_when_everybody_leaves() {
    let rig = rig();
    rig.clock.hold();
    rig.network.close();
    let mut askers = Answers::new();
    let (office, plan) = (rig.office.clone(), rig.plan("prod"));
    askers.spawn(async move { office.credentials(plan, Listener::nobody()).await });
    rig.network.arrived(1).await;
    askers.shutdown().await;
    rig.network.open();
    rig.network.arrived(2).await;
    crate::rig::until("the session is kept", || rig.office.sessions().len() == 2).await;
    rig.get("prod").await;
    one_code(&rig);
}

async fn equal_answers(mut answers: Answers) -> usize {
    let (mut count, mut ids) = (0, BTreeSet::new());
    while let Some(answer) = answers.join_next().await {
        let session = answer.unwrap().unwrap_or_else(|error| panic!("{error:?}"));
        ids.insert((session.access_key_id.to_string(), session.token.expose().to_owned()));
        count += 1;
    }
    assert_eq!(ids.len(), 1, "all have the same session");
    count
}

fn one_code(rig: &Rig) {
    let first = rig.sandbox.calls_of("GetSessionToken");
    assert_eq!((first.calls, first.with_token_code, first.refused), (1, 1, 0));
    assert_eq!((rig.calls("AssumeRole"), rig.network.count()), (1, 2));
    assert_eq!(rig.steps(), [0]);
}

#[tokio::test]
async fn fifty_profiles_that_each_need_a_code_use_fifty_steps_in_order() {
    let rig = Rig::with(Seed::demo(7), &fifty("duration_seconds = 7200\n"));
    let mut answers = Answers::new();
    let mut ends = Vec::new();
    for profile in 0..50 {
        let (listener, end) = Listener::new(false);
        ends.push(end);
        answers.spawn(rig_frozen(&rig, profile, listener));
    }
    let mut ids = BTreeSet::new();
    while let Some(answer) = answers.join_next().await {
        let session = answer.unwrap().unwrap_or_else(|error| panic!("{error:?}"));
        assert!(ids.insert(session.access_key_id.to_string()));
    }
    assert_eq!(rig.steps(), (0..50).collect::<Vec<i64>>(), "each step once, in order");
    assert_eq!(rig.passed(), 49 * 30_000 - 500, "from half a second into the first step to the begin of the last");
    let assumed = rig.sandbox.calls_of("AssumeRole");
    assert_eq!((assumed.calls, assumed.with_token_code, assumed.refused), (50, 50, 0));
    assert_eq!(rig.calls("GetSessionToken"), 0);
    assert!(rig.network.seen("AssumeRole").iter().all(|seen| seen.get("DurationSeconds") == Some("7200")));
    rig.no_code_twice();
    let told = |end: &mut End| matches!(end.try_recv(), Ok(Upcall::Notice(Notice::WaitingForCode { .. })));
    assert_eq!(
        ends.iter_mut().map(told).filter(|told| *told).count(),
        49,
        "all but the first were told that they wait"
    );
}

fn rig_frozen(
    rig: &Rig,
    profile: usize,
    listener: Listener,
) -> impl Future<Output = Result<Arc<Session>, Arc<Error>>> + use<> {
    let (office, plan) = (rig.office.clone(), rig.frozen(&format!("p{profile}")));
    async move { office.credentials(plan, listener).await }
}

#[tokio::test]
async fn who_queues_for_a_step_is_told_a_step_for_each_one_ahead() {
    let rig = Rig::with(Seed::demo(7), &fifty("duration_seconds = 7200\n"));
    rig.clock.hold();
    rig.get_frozen("p0").await;
    let (mut ends, mut answers) = (Vec::new(), Answers::new());
    for profile in 1..4 {
        let (listener, end) = Listener::new(false);
        answers.spawn(rig_frozen(&rig, profile, listener));
        // On its way there it is recorded on the disk.
        crate::rig::until("it queues", || !end.is_empty()).await;
        ends.push(end);
    }
    let begin = rig.clock.boot();
    let told: Vec<u64> = ends.iter_mut().map(|end| waiting(end).millis_since(begin)).collect();
    assert_eq!(told, [29_500, 30_000, 60_000]);
    rig.clock.release();
    while let Some(answer) = answers.join_next().await {
        assert!(answer.unwrap().is_ok());
    }
    assert_eq!(rig.steps(), [0, 1, 2, 3]);
}

/// They have the same devices, so the codes of both come from one queue.
#[tokio::test]
async fn two_access_keys_of_one_user_queue_together() {
    let second = "[second]\nclaviger_access_key = ada-two\nrole_arn = arn:aws:iam::123456789012:role/prod-admin\nduration_seconds = 7200\n";
    let rig = Rig::with(Seed::demo(7), &format!("{}{second}", fifty("duration_seconds = 7200\n")));
    rig.edit(|items| {
        let first = &items.access_keys[&ada()];
        let second = AccessKey {
            access_key_id: first.access_key_id.clone(),
            secret: first.secret.clone(),
            user: first.user.clone(),
            added: first.added,
            extra: Extra::default(),
        };
        items.access_keys.insert("ada-two".parse().unwrap(), second);
    });
    rig.clock.hold();
    rig.get_frozen("p0").await;
    let (mut ends, mut answers) = (Vec::new(), Answers::new());
    for profile in ["p1", "second"] {
        let (listener, end) = Listener::new(false);
        let (office, plan) = (rig.office.clone(), rig.frozen(profile));
        answers.spawn(async move { office.credentials(plan, listener).await });
        // On its way there it is recorded on the disk.
        crate::rig::until("it queues", || !end.is_empty()).await;
        ends.push(end);
    }
    let begin = rig.clock.boot();
    let told: Vec<u64> = ends.iter_mut().map(|end| waiting(end).millis_since(begin)).collect();
    assert_eq!(told, [29_500, 30_000]);
    rig.clock.release();
    while let Some(answer) = answers.join_next().await {
        assert!(answer.unwrap().is_ok());
    }
    assert_eq!(rig.steps(), [0, 1, 2]);
}

fn waiting(end: &mut End) -> BootTime {
    match end.try_recv() {
        Ok(Upcall::Notice(Notice::WaitingForCode { serial, until })) => {
            assert_eq!(serial, phone());
            until
        }
        _ => panic!("a notice"),
    }
}

#[tokio::test]
async fn fifty_refreshing_profiles_share_one_code() {
    let rig = Rig::with(Seed::demo(7), &fifty("duration_seconds = 7200\n"));
    let mut answers = Answers::new();
    for profile in 0..50 {
        let (office, plan) = (rig.office.clone(), rig.plan(&format!("p{profile}")));
        answers.spawn(async move { office.credentials(plan, Listener::nobody()).await });
    }
    let mut ids = BTreeSet::new();
    while let Some(answer) = answers.join_next().await {
        ids.insert(answer.unwrap().unwrap_or_else(|error| panic!("{error:?}")).access_key_id.to_string());
    }
    assert_eq!(ids.len(), 50, "fifty sessions");
    assert_eq!((rig.steps(), rig.passed()), (vec![0], 0), "one code, and nobody waited");
    assert_eq!((rig.calls("GetSessionToken"), rig.calls("AssumeRole")), (1, 50));
    assert!(rig.network.seen("AssumeRole").iter().all(|seen| seen.get("DurationSeconds") == Some("3600")));
    let live = rig.office.sessions();
    assert_eq!(live.len(), 51);
    assert!(live.iter().all(|session| session.left_millis <= 12 * HOUR));
}

/// Control: were a step sent twice, the sandbox would say so.
#[tokio::test]
async fn the_sandbox_refuses_a_step_that_was_used() {
    let rig = rig();
    let key = rig.custody.signing_key(&ada()).unwrap();
    let (serial, code) = (phone(), TokenCode::from_text(rig.code(0)));
    let endpoint = rig.plan("prod").steps[0].endpoint.clone();
    let proof = Some(MfaProof { serial: &serial, code: &code });
    let edge = rig.office.aws();
    assert!(edge.get_session_token(signing(&key), &endpoint, 900, proof).await.is_ok());
    assert_eq!(rig.sandbox.steps_used(PHONE), [STEP]);
    let again = edge.get_session_token(signing(&key), &endpoint, 900, proof).await;
    assert!(matches!(again.err(), Some(aws::Error::CodeRefused { .. })));
    assert_eq!(rig.sandbox.steps_used(PHONE), [STEP]);
    let codes = rig.network.codes();
    assert_eq!(codes[0], codes[1], "and `no_code_twice` would see it");
}

fn fifty(more: &str) -> String {
    let profile = |n| {
        format!(
            "[p{n}]\nclaviger_access_key = ada\nrole_arn = arn:aws:iam::123456789012:role/prod-admin\n\
             role_session_name = {{profile}}\n{more}"
        )
    };
    (0..50).map(profile).map(|text| text.replace("{profile}", "for-{profile}")).collect()
}

impl Rig {
    async fn get_frozen(&self, profile: &str) {
        let asked = self.office.credentials(self.frozen(profile), Listener::nobody());
        assert!(asked.await.is_ok());
    }
}
