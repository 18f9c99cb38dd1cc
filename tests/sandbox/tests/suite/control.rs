//! The control side in-process: counters, clock, faults, seeds.

use crate::common::{demo, form, read, signed};
use claviger_sandbox::{Fault, FaultKind, Sandbox, Seed, SeedRole, SeedUser};
use serde_json::json;

#[test]
fn faults_strike_their_action_so_often_and_no_more() {
    let rig = demo();
    rig.sandbox.inject(Fault { times: 2, ..Fault::next("GetSessionToken", FaultKind::Throttle(400)) });
    rig.sts(&rig.ada(), "GetCallerIdentity", &[]).ok();
    for _ in 0..2 {
        rig.sts(&rig.ada(), "GetSessionToken", &[]).refused(400, "Throttling", "Rate exceeded");
    }
    rig.sts(&rig.ada(), "GetSessionToken", &[]).ok();
    rig.sandbox.inject(Fault { action: None, region: None, times: 1, kind: FaultKind::Throttle(503) });
    rig.sts(&rig.ada(), "GetCallerIdentity", &[]).refused(503, "ServiceUnavailable", "");
    rig.sandbox.inject(Fault::next("GetCallerIdentity", FaultKind::Throttle(429)));
    assert_eq!(rig.sandbox.faults().len(), 1);
    rig.sandbox.clear_faults();
    rig.sts(&rig.ada(), "GetCallerIdentity", &[]).ok();
}

#[test]
fn a_throttled_code_is_not_burned_and_a_truncated_one_is() {
    let rig = demo();
    let (serial, code) = (rig.serial(), rig.code(0));
    let ask = || rig.sts(&rig.ada(), "GetSessionToken", &[("SerialNumber", &serial), ("TokenCode", &code)]);
    rig.sandbox.inject(Fault::next("GetSessionToken", FaultKind::Throttle(503)));
    assert_eq!(ask().status, 503);
    assert!(rig.sandbox.steps_used(&serial).is_empty());
    rig.sandbox.inject(Fault::next("GetSessionToken", FaultKind::Truncate(100)));
    assert_eq!(ask().body.len(), 100);
    assert_eq!(rig.sandbox.steps_used(&serial).len(), 1);
    ask().refused(403, "AccessDenied", "invalid MFA");
}

#[test]
fn replies_that_lie() {
    let rig = demo();
    let ask = |kind: FaultKind| {
        rig.sandbox.inject(Fault::next("GetSessionToken", kind));
        rig.sandbox.handle(signed(&rig.ada(), "sts", "us-east-1", rig.now(), form("sts", "GetSessionToken", &[])))
    };
    let portal = ask(FaultKind::CaptivePortal);
    assert_eq!(
        (portal.status().as_u16(), portal.headers()["content-type"].to_str().unwrap()),
        (200, "text/html; charset=utf-8")
    );
    assert_eq!(ask(FaultKind::HugeBody).body().len(), 1 << 20);
    assert!(read(ask(FaultKind::WrongXml)).body.contains("<Catalogue>"));
    let elsewhere = ask(FaultKind::Redirect("http://127.0.0.1:1/".to_owned()));
    assert_eq!(
        (elsewhere.status().as_u16(), elsewhere.headers()["location"].to_str().unwrap()),
        (307, "http://127.0.0.1:1/")
    );
    assert_eq!(read(ask(FaultKind::ExpirationInPast)).text("Expiration"), "2026-03-01T11:00:10Z");
    let partial = read(ask(FaultKind::MissingField("SecretAccessKey".to_owned())));
    assert_eq!((partial.find("SecretAccessKey"), partial.find("SessionToken").is_some()), (None, true));
    assert_eq!(ask(FaultKind::Hang).status().as_u16(), 500);
}

#[test]
fn the_clock_moves_and_history_tells() {
    let rig = demo();
    rig.sandbox.advance_millis(3_600_000);
    rig.sts(&rig.ada(), "GetCallerIdentity", &[]).refused(403, "SignatureDoesNotMatch", "Signature expired");
    rig.sandbox.set_offset_millis(0);
    let reply = rig.sts(&rig.ada(), "GetCallerIdentity", &[]).ok();
    let history = rig.sandbox.history();
    assert_eq!(history.len(), 2);
    assert_eq!(history[0].error.as_deref(), Some("SignatureDoesNotMatch"));
    assert_eq!((history[0].principal.as_deref(), history[0].at - history[1].at), (None, 3_600_000));
    assert_eq!(history[1].principal.as_deref(), Some("arn:aws:iam::123456789012:user/ada"));
    assert_eq!(history[1].request_id, reply.text("RequestId"));
    assert_eq!(history[1].access_key_id.as_deref(), Some(rig.ada().id.as_str()));
}

#[test]
fn the_same_seed_makes_the_same_world() {
    let one = serde_json::to_string(&Seed::demo(5)).unwrap();
    assert_eq!(one, serde_json::to_string(&Seed::demo(5)).unwrap());
    assert_ne!(one, serde_json::to_string(&Seed::demo(6)).unwrap());
    let back: Seed = serde_json::from_str(&one).unwrap();
    assert!(Sandbox::new(Box::new(|| 0), &back).is_ok());
}

#[test]
fn seeds_that_aws_would_not_have_are_refused() {
    let empty = || Seed::empty("123456789012");
    let key = |user: SeedUser, last: char| user.with_access_key(&format!("AKIAAAAAAAAAAAAAAAA{last}"), "s");
    let three = key(key(key(SeedUser::named("u"), 'A'), 'B'), 'C');
    let ghost = SeedRole::trusting("r", json!({"AWS": "arn:aws:iam::123456789012:role/ghost"}), None);
    for seed in [
        Seed::empty("12"),
        empty().with_user(three),
        empty().with_user(SeedUser::named("u").with_access_key("AKIA", "s")),
        empty().with_user(SeedUser::named("u").with_mfa_device("m", "1189")),
        empty().with_user(SeedUser { groups: vec!["ghosts".to_owned()], ..SeedUser::named("u") }),
        empty().with_user(SeedUser::named("u").with_policy(json!({"Effect": "Allow"}))),
        empty().with_role(ghost),
        empty().with_role(SeedRole { max_session_duration: 60, ..SeedRole::trusting("r", json!("*"), None) }),
    ] {
        assert!(Sandbox::new(Box::new(|| 0), &seed).is_err());
    }
    assert!(Sandbox::new(Box::new(|| 0), &empty().with_user(key(key(SeedUser::named("u"), 'A'), 'B'))).is_ok());
}
