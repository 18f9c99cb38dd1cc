//! An STS that refuses, throttles, hangs, truncates or lies: a typed error, nothing kept, and the next request works.

use crate::network::Way;
use crate::rig::{PHONE, Rig, device, phone, rig, seed_bytes};
use claviger_agent::aws;
use claviger_agent::session::Error;
use claviger_sandbox::{Fault, FaultKind};

impl Rig {
    fn put_seed(&self, seed: Vec<u8>) {
        self.edit(|items| drop(items.authenticators.insert("phone".parse().unwrap(), device(PHONE, seed))));
    }
}

#[tokio::test]
async fn the_seed_of_another_device_is_told_after_two_codes() {
    let rig = rig();
    rig.put_seed(b"the seed of another phone".to_vec());
    match &*rig.fail("prod").await {
        Error::CodeRefused { serial, held: true } => assert_eq!(*serial, phone()),
        other => panic!("{other:?}"),
    }
    let tokens = rig.sandbox.calls_of("GetSessionToken");
    assert_eq!((tokens.calls, tokens.refused, rig.network.codes().len()), (2, 2, 2));
    assert!(rig.office.sessions().is_empty() && rig.custody.sealed_sessions().is_empty());
    assert_eq!(rig.passed(), 29_500, "the second code is the next step's");
    rig.put_seed(seed_bytes(&rig.seed));
    rig.get("prod").await;
    assert_eq!(rig.steps(), [2]);
    rig.no_code_twice();
}

#[tokio::test]
async fn a_step_that_was_used_elsewhere_costs_one_more_code() {
    let rig = rig();
    rig.clock.hold();
    // The console takes the code first.
    let elsewhere = crate::rig::rig();
    elsewhere.network.replace(rig.sandbox.clone());
    elsewhere.get("prod").await;
    rig.clock.release();
    rig.get("prod").await;
    assert_eq!((rig.steps(), rig.sandbox.calls_of("GetSessionToken").refused), (vec![0, 1], 1));
}

/// What happens to a call, how often it is asked again, and the error.
struct Case {
    name: &'static str,
    fault: Misfortune,
    /// Calls without a code before the error.
    calls: usize,
    error: fn(&aws::Error) -> bool,
}

enum Misfortune {
    Sandbox(FaultKind),
    Network(fn() -> Way),
}

fn cases() -> Vec<Case> {
    use Misfortune::{Network, Sandbox};
    let bad = |error: &aws::Error| matches!(error, aws::Error::BadAnswer { .. });
    let throttled = |error: &aws::Error| matches!(error, aws::Error::Throttled { .. });
    let failed = |error: &aws::Error| matches!(error, aws::Error::ServiceError { status: 500, .. });
    let case = |name, fault, calls, error| Case { name, fault, calls, error };
    let mut cases = vec![
        case("throttled", Sandbox(FaultKind::Throttle(400)), 4, throttled as fn(&aws::Error) -> bool),
        case("throttled, 429", Sandbox(FaultKind::Throttle(429)), 4, throttled),
        case("500", Network(|| Way::Answer(500, String::new())), 4, failed),
        case("HTML", Sandbox(FaultKind::CaptivePortal), 1, bad),
        case("other XML", Sandbox(FaultKind::WrongXml), 1, bad),
        case("truncated early", Sandbox(FaultKind::Truncate(40)), 1, bad),
        case("truncated late", Sandbox(FaultKind::Truncate(900)), 1, bad),
        case("an end in the past", Sandbox(FaultKind::ExpirationInPast), 1, bad),
        case("a redirect", Sandbox(FaultKind::Redirect("https://example.com/".to_owned())), 1, bad),
        case("nothing", Network(|| Way::Answer(200, String::new())), 1, bad),
        case("a hang", Network(|| Way::Never), 1, |error| matches!(error, aws::Error::TimedOut { sent: true, .. })),
    ];
    for field in ["AccessKeyId", "SecretAccessKey", "SessionToken", "Expiration", "Credentials"] {
        cases.push(case(field, Sandbox(FaultKind::MissingField(field.to_owned())), 1, bad));
    }
    cases
}

impl Rig {
    fn strike(&self, action: &'static str, fault: &Misfortune, times: usize) {
        match fault {
            Misfortune::Sandbox(kind) => {
                self.sandbox.inject(Fault { times: u32::try_from(times).unwrap(), ..Fault::next(action, kind.clone()) })
            }
            Misfortune::Network(way) => (0..times).for_each(|_| self.network.script(action, way())),
        }
    }
}

#[tokio::test]
async fn whatever_sts_answers_to_assume_role_nothing_bad_is_kept() {
    for Case { name, fault, calls, error } in cases() {
        let rig = rig();
        rig.strike("AssumeRole", &fault, calls);
        match &*rig.fail("prod").await {
            Error::Aws(told) => assert!(error(told), "{name}: {told:?}"),
            other => panic!("{name}: {other:?}"),
        }
        assert_eq!(rig.network.seen("AssumeRole").len(), calls, "{name}");
        assert!(rig.sandbox.faults().is_empty(), "{name}");
        let kept = (rig.office.sessions().len(), rig.custody.sealed_sessions().len());
        assert_eq!(kept, (1, 1), "{name}: the MFA session alone");
        rig.get("prod").await;
        assert_eq!(rig.network.seen("AssumeRole").len(), calls + 1, "{name}");
        assert_eq!(rig.network.codes().len(), 1, "{name}");
    }
}

/// A call with a code is made once for each code, and a fetch spends three at most.
#[tokio::test]
async fn whatever_sts_answers_to_a_code_no_step_is_sent_twice_and_nothing_bad_is_kept() {
    for Case { name, fault, error, .. } in cases() {
        let rig = rig();
        rig.strike("GetSessionToken", &fault, 3);
        match &*rig.fail("prod").await {
            Error::Aws(told) => assert!(error(told), "{name}: {told:?}"),
            other => panic!("{name}: {other:?}"),
        }
        assert_eq!((rig.network.codes().len(), rig.network.count()), (3, 3), "{name}");
        assert!(rig.sandbox.faults().is_empty(), "{name}");
        assert!(rig.office.sessions().is_empty() && rig.custody.sealed_sessions().is_empty(), "{name}");
        assert!((0..3).all(|step| rig.burned(step)) && !rig.burned(3), "{name}");
        rig.get("prod").await;
        assert_eq!(rig.steps().last(), Some(&3), "{name}");
        rig.no_code_twice();
    }
}

#[tokio::test]
async fn one_mishap_of_a_call_with_a_code_is_healed_by_the_next_code() {
    for Case { name, fault, .. } in cases() {
        let rig = rig();
        rig.strike("GetSessionToken", &fault, 1);
        rig.get("prod").await;
        assert_eq!((rig.network.codes().len(), rig.steps().last()), (2, Some(&1)), "{name}");
        assert_eq!(rig.passed(), 29_500, "{name}");
    }
}
