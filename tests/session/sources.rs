//! Bases besides the vault's access keys: one fetch however many wait, never past their end, never shared wrongly.

use crate::rig::{HOUR, MINUTE, Machine, NOW, Rig, ada};
use claviger::secret::SecretText;
use claviger_agent::ask::Listener;
use claviger_agent::aws::fake::{Play, ReplayHttp};
use claviger_agent::aws::{HttpError, NetworkFault};
use claviger_agent::session::{Error, Session, SessionKey};
use claviger_agent::source::fake::FakeRunner;
use claviger_agent::source::{self, Ending};
use claviger_agent::vault::{self, LockedBy};
use claviger_agent::world::{Clock, WallTime, rfc3339};
use claviger_sandbox::Seed;
use std::collections::BTreeSet;
use std::sync::{Arc, Mutex};
use tokio::task::JoinSet;

const PROFILES: &str = "
[ops]
credential_process = keys --json
[ops-again]
region = eu-west-3
credential_process = keys --json
[ops-spaced]
credential_process = keys  --json
[other]
credential_process = keys --other
[by-process]
source_profile = ops
role_arn = arn:aws:iam::123456789012:role/plain
[by-container]
credential_source = EcsContainer
role_arn = arn:aws:iam::123456789012:role/plain
[by-instance]
credential_source = Ec2InstanceMetadata
role_arn = arn:aws:iam::123456789012:role/plain
";

type Shared = Arc<Mutex<Result<String, u16>>>;

/// A machine whose command and endpoints give what the test last put there, each time it is asked.
fn machine(given: &Shared) -> Machine {
    let (printed, answered) = (given.clone(), given.clone());
    let runner = FakeRunner::answering(move |words| match &*printed.lock().unwrap() {
        Ok(body) => {
            let printed = body.replace("\"Token\"", "\"Version\":1,\"SessionToken\"");
            Ok(if words[1] == "--other" { printed.replace("ASIA", "ASIB") } else { printed })
        }
        Err(code) => Err(source::Error::CommandFailed(Ending::Exit((*code).into()))),
    });
    let http = ReplayHttp::answering(move |request| match &*answered.lock().unwrap() {
        Ok(_) if request.url.ends_with("/token") => Play::answer(200, "imds-token"),
        Ok(_) if request.url.ends_with("/security-credentials/") => Play::answer(200, "instance-role"),
        Ok(body) => Play::answer(200, body.as_str()),
        Err(0) => Play::Fail(HttpError::NotSent(NetworkFault::NotConnected)),
        Err(status) => Play::answer(*status, ""),
    });
    Machine { runner, http }
}

/// A session as sources write it, ending so many milliseconds after the test began.
fn body(session: &str, ends: u64) -> String {
    let ends = rfc3339(WallTime(NOW + i64::try_from(ends).unwrap()));
    format!(
        "{{\"AccessKeyId\":\"ASIAEXAMPLE00000000{session}\",\"SecretAccessKey\":\"s{session}\",\"Token\":\"t{session}\",\"Expiration\":\"{ends}\"}}"
    )
}

/// A session that the sandbox knows: ada's, as another program would have it.
async fn real_body(rig: &Rig) -> String {
    let session = rig.get("ada").await;
    format!(
        "{{\"AccessKeyId\":\"{}\",\"SecretAccessKey\":\"{}\",\"Token\":\"{}\",\"Expiration\":\"{}\"}}",
        session.access_key_id,
        session.secret.expose(),
        session.token.expose(),
        rfc3339(session.expiration)
    )
}

fn rig(given: &Shared) -> Rig {
    Rig::on(machine(given), PROFILES)
}

fn shared(body: Result<String, u16>) -> Shared {
    Arc::new(Mutex::new(body))
}

async fn thousand(rig: &Rig, profile: &str) -> BTreeSet<String> {
    let plan = rig.plan(profile);
    let mut answers: JoinSet<Result<Arc<Session>, Arc<Error>>> = JoinSet::new();
    for _ in 0..1000 {
        let (office, plan) = (rig.office.clone(), plan.clone());
        answers.spawn(async move { office.credentials(plan, Listener::nobody()).await });
    }
    let answers = answers.join_all().await;
    answers.into_iter().map(|answer| answer.unwrap().access_key_id.to_string()).collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_thousand_askers_run_a_command_once() {
    let rig = rig(&shared(Ok(body("1", HOUR))));
    assert_eq!(thousand(&rig, "ops").await.len(), 1);
    assert_eq!(rig.machine.runner.runs(), [["keys", "--json"]]);
    assert_eq!(rig.get("ops").await.token.expose(), "t1");
    assert_eq!(rig.machine.runner.runs().len(), 1, "and from memory after that");
    assert_eq!(rig.network.count(), 0, "AWS is not asked");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_source_is_the_base_of_a_role_once_for_all() {
    for (profile, runs, requests) in [("by-process", 1, 0), ("by-container", 0, 1), ("by-instance", 0, 3)] {
        let given = shared(Err(0));
        let rig = rig(&given);
        *given.lock().unwrap() = Ok(real_body(&rig).await);
        assert_eq!(thousand(&rig, profile).await.len(), 1, "{profile}");
        assert_eq!(rig.calls("AssumeRole"), 1, "{profile}");
        assert_eq!(rig.machine.runner.runs().len(), runs, "{profile}");
        assert_eq!(rig.machine.http.seen().len(), requests, "{profile}");
        let session = rig.get(profile).await;
        rig.until_left(&session, 10 * MINUTE);
        assert_ne!(rig.get(profile).await.access_key_id, session.access_key_id, "{profile}: renewed");
        assert_eq!(rig.machine.http.seen().len(), requests, "{profile}: with the base in memory");
    }
}

#[tokio::test]
async fn a_base_is_asked_again_before_it_ends_and_by_half_where_it_is_short() {
    let given = shared(Ok(body("1", HOUR)));
    let rig = rig(&given);
    let first = rig.get("ops").await;
    *given.lock().unwrap() = Ok(body("2", HOUR + 10 * MINUTE));
    rig.until_left(&first, 15 * MINUTE + 1);
    assert_eq!(rig.get("ops").await.access_key_id, first.access_key_id);
    rig.clock.advance_millis(1);
    let second = rig.get("ops").await;
    assert_ne!(second.access_key_id, first.access_key_id);
    // 25 minutes are left of it: it serves until half is gone, and not only for one request.
    *given.lock().unwrap() = Ok(body("3", 3 * HOUR));
    rig.until_left(&second, 12 * MINUTE + 30_001);
    assert_eq!(rig.get("ops").await.access_key_id, second.access_key_id);
    rig.clock.advance_millis(1);
    assert_ne!(rig.get("ops").await.access_key_id, second.access_key_id);
    assert_eq!(rig.machine.runner.runs().len(), 3);
}

#[tokio::test]
async fn a_source_that_fails_takes_nothing_away_until_the_end() {
    let given = shared(Ok(body("1", HOUR)));
    let rig = rig(&given);
    let first = rig.get("ops").await;
    *given.lock().unwrap() = Err(3);
    rig.until_left(&first, 10 * MINUTE);
    assert_eq!(rig.get("ops").await.access_key_id, first.access_key_id, "it still serves");
    assert_eq!(rig.machine.runner.runs().len(), 2, "though it was tried");
    rig.until_left(&first, 0);
    let error = rig.fail("ops").await;
    assert!(matches!(&*error, Error::Source(source::Error::CommandFailed(Ending::Exit(3)))), "{error:?}");
}

#[tokio::test]
async fn credentials_that_have_ended_are_none() {
    let given = shared(Ok(body("1", 0)));
    let rig = rig(&given);
    let error = rig.fail("ops").await;
    assert!(matches!(&*error, Error::Source(source::Error::Ended(_))), "{error:?}");
}

#[tokio::test]
async fn a_session_without_an_end_is_kept_for_a_quarter_of_an_hour() {
    let open = body("1", HOUR).replace("Expiration", "Unknown");
    let rig = rig(&shared(Ok(open)));
    let session = rig.get("ops").await;
    assert_eq!(session.left(rig.clock.boot()), 15 * MINUTE);
    rig.clock.advance_millis(7 * MINUTE);
    rig.get("ops").await;
    assert_eq!(rig.machine.runner.runs().len(), 1);
    rig.clock.advance_millis(MINUTE);
    rig.get("ops").await;
    assert_eq!(rig.machine.runner.runs().len(), 2);
}

#[tokio::test]
async fn only_the_same_source_is_shared() {
    let rig = rig(&shared(Ok(body("1", HOUR))));
    let key = |profile: &str| SessionKey::of(&rig.plan(profile), 0);
    assert_eq!(key("ops"), key("ops-again"), "the region of a profile is nothing to its command");
    assert_eq!(key("ops"), key("by-process"));
    let others: BTreeSet<SessionKey> =
        ["ops", "ops-spaced", "other", "by-container", "by-instance", "prod"].map(key).into_iter().collect();
    assert_eq!(others.len(), 6);
    let ids = [rig.get("ops").await, rig.get("other").await].map(|session| session.access_key_id.to_string());
    assert_ne!(ids[0], ids[1]);
}

#[tokio::test]
async fn long_lived_keys_sign_for_a_role_and_are_never_handed_out() {
    let seed = Seed::demo(7);
    let key = &seed.users[0].access_keys[0];
    let body = format!("{{\"Version\":1,\"AccessKeyId\":\"{}\",\"SecretAccessKey\":\"{}\"}}", key.id, key.secret);
    let mut rig = rig(&shared(Ok(body)));
    assert!(matches!(&*rig.fail("ops").await, Error::LongLived));
    assert!(rig.office.remembered(&rig.plan("ops")).is_none());
    let role = rig.get("by-process").await;
    assert!(!role.token.expose().is_empty());
    assert!(matches!(&*rig.fail("ops").await, Error::LongLived), "from memory too");
    assert_eq!(rig.machine.runner.runs().len(), 1);
    // A lock takes them, and the state has never had them.
    rig.lock(LockedBy::Idle);
    rig.unlock().unwrap();
    assert!(matches!(&*rig.fail("ops").await, Error::LongLived));
    assert_eq!(rig.machine.runner.runs().len(), 2);
    rig.restart();
    rig.unlock().unwrap();
    assert_eq!(rig.get("by-process").await.access_key_id, role.access_key_id, "the role's session is sealed");
    assert!(matches!(&*rig.fail("ops").await, Error::LongLived));
    assert_eq!(rig.machine.runner.runs().len(), 3);
}

#[tokio::test]
async fn a_session_of_a_source_is_sealed_and_comes_back() {
    let mut rig = rig(&shared(Ok(body("1", HOUR))));
    let first = rig.get("ops").await;
    rig.restart();
    rig.unlock().unwrap();
    let again = rig.get("ops").await;
    assert_eq!((&again.access_key_id, &again.access_key), (&first.access_key_id, &None));
    assert_eq!(rig.machine.runner.runs().len(), 1);
    rig.office.forget_access_key(&ada());
    assert_eq!(rig.get("ops").await.access_key_id, first.access_key_id, "it is no access key's");
    assert!(rig.office.forget(&rig.plan("ops")));
    rig.get("ops").await;
    assert_eq!(rig.machine.runner.runs().len(), 2);
}

#[tokio::test]
async fn no_source_is_asked_while_the_vault_is_locked() {
    let rig = rig(&shared(Ok(body("1", HOUR))));
    rig.lock(LockedBy::Command);
    let error = rig.fail("ops").await;
    assert!(matches!(&*error, Error::Vault(vault::Error::Locked)), "{error:?}");
    assert!(matches!(&*rig.fail("by-instance").await, Error::Vault(vault::Error::Locked)));
    assert_eq!((rig.machine.runner.runs().len(), rig.machine.http.seen().len()), (0, 0));
    rig.unlock().unwrap();
    rig.get("ops").await;
}

#[tokio::test]
async fn away_from_a_container_and_from_ec2_the_source_is_named() {
    let given = shared(Err(0));
    let rig = rig(&given);
    for profile in ["by-container", "by-instance"] {
        let error = rig.fail(profile).await;
        let unreachable = matches!(&*error, Error::Source(source::Error::Unreachable(_, NetworkFault::NotConnected)));
        assert!(unreachable, "{error:?}");
    }
    *given.lock().unwrap() = Err(404);
    for profile in ["by-container", "by-instance"] {
        let error = rig.fail(profile).await;
        assert!(matches!(&*error, Error::Source(source::Error::Refused(_, 404))), "{error:?}");
    }
}
