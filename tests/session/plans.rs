//! A plan is kept for as long as it would be made again just so, and what it ends with is at hand only where nothing
//! else need be done.

use crate::rig::{MINUTE, PRESENCE, PROFILES, Rig, ada, device, parse, rig, seed_bytes};
use claviger_agent::aws::profile::ProfileSet;
use claviger_agent::aws::{EndpointRules, Service};
use claviger_agent::session::{Delivery, Limits, Planned};
use claviger_agent::vault::LockedBy;
use claviger_sandbox::Seed;
use std::sync::Arc;

fn planned(rig: &Rig, profiles: &Arc<ProfileSet>) -> Arc<Planned> {
    rig.office.planned(profiles, "prod", Delivery::Refreshing).unwrap()
}

#[tokio::test]
async fn a_plan_is_made_anew_once_anything_has_changed_that_it_depends_on() {
    let rig = rig();
    let limits = |session_seconds, region: Option<&str>| Limits {
        presence_millis: PRESENCE,
        session_seconds,
        region: region.map(|region| region.parse().unwrap()),
    };
    let changes: [(&str, &dyn Fn()); 5] = [
        ("the session's length", &|| rig.office.set_limits(limits(3600, None))),
        ("the region", &|| rig.office.set_limits(limits(3600, Some("eu-west-3")))),
        ("the devices", &|| {
            rig.edit(|items| {
                let second = device("arn:aws:iam::123456789012:mfa/second", seed_bytes(&rig.seed));
                items.authenticators.insert("second".parse().unwrap(), second);
            });
        }),
        ("the owner of the key", &|| rig.edit(|items| items.access_keys.get_mut(&ada()).unwrap().user = None)),
        ("the endpoints", &|| {
            let rules =
                EndpointRules::new(&[], &[(Service::Sts, Some("https://sts.eu-west-2.amazonaws.com"))]).unwrap();
            rig.office.aws().settle(rig.network.clone(), rules);
        }),
    ];
    let profiles = Arc::new(parse(PROFILES));
    for (what, change) in changes {
        let before = planned(&rig, &profiles);
        assert!(Arc::ptr_eq(&before, &planned(&rig, &profiles)), "{what}: it is kept");
        change();
        let after = planned(&rig, &profiles);
        assert!(!Arc::ptr_eq(&before, &after), "{what}: it is made anew");
        assert_eq!(*after.plan, rig.office.plan(&profiles, "prod", Delivery::Refreshing).unwrap(), "{what}");
    }
    // The files, the same text in them or not; and the other delivery is another plan.
    let before = planned(&rig, &profiles);
    assert!(!Arc::ptr_eq(&before, &planned(&rig, &Arc::new(parse(PROFILES)))));
    let frozen = rig.office.planned(&profiles, "prod", Delivery::Frozen).unwrap();
    assert!(!Arc::ptr_eq(&planned(&rig, &profiles), &frozen));
    assert_eq!(*frozen.plan, rig.office.plan(&profiles, "prod", Delivery::Frozen).unwrap());
}

#[tokio::test]
async fn many_plans_do_not_stay() {
    let more: String = (0..300).map(|n| format!("[p{n}]\nclaviger_access_key = ada\n")).collect();
    let rig = Rig::with(Seed::demo(7), &more);
    let profiles = Arc::new(parse(&format!("{PROFILES}{more}")));
    let first = Arc::downgrade(&planned(&rig, &profiles));
    for n in 0..300 {
        rig.office.planned(&profiles, &format!("p{n}"), Delivery::Refreshing).unwrap();
    }
    assert!(first.upgrade().is_none());
}

#[tokio::test]
async fn a_session_is_at_hand_only_where_there_is_nothing_else_to_do() {
    let rig = rig();
    let profiles = Arc::new(parse(PROFILES));
    let at_hand = || rig.office.at_hand(&planned(&rig, &profiles));
    assert!(at_hand().is_none(), "not obtained yet");
    let session = rig.get("prod").await;
    assert!(Arc::ptr_eq(&at_hand().expect("in memory"), &session));
    // The profile of that name asks for something else: it is refused where all is looked at.
    let other = Arc::new(parse(&PROFILES.replace("prod-admin", "plain")));
    assert!(rig.office.at_hand(&planned(&rig, &other)).is_none());
    // It still serves while it is renewed, which is more than to hand it out.
    rig.until_left(&session, 19 * MINUTE);
    assert!(at_hand().is_none());
    let renewed = rig.get("prod").await;
    assert!(Arc::ptr_eq(&renewed, &session), "the old one, and a renewal begins");
    crate::rig::quiet().await;
    assert!(at_hand().is_some_and(|fresh| !Arc::ptr_eq(&fresh, &session)));
    rig.lock(LockedBy::Idle);
    assert!(at_hand().is_some(), "the idle lock leaves sessions");
    rig.unlock().unwrap();
    rig.lock(LockedBy::Command);
    assert!(at_hand().is_none());
}
