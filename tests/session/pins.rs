//! What a profile obtained first is what it obtains, until a person accepts something else.

use crate::rig::{Rig, ada, rig};
use claviger_agent::session::Error;
use claviger_agent::vault::LockedBy;
use claviger_sandbox::Seed;
use std::sync::Arc;

const ROLE: &str = "arn:aws:iam::123456789012:role/";

fn leading_to(role: &str) -> String {
    format!("[work]\nclaviger_access_key = ada\nrole_arn = {ROLE}{role}\n")
}

fn changed(error: &Arc<Error>) -> (String, String) {
    match &**error {
        Error::ProfileChanged(change) => change.difference(),
        other => panic!("a changed profile, not {other:?}"),
    }
}

#[tokio::test]
async fn another_role_under_the_same_name_is_refused_and_never_gets_the_old_session() {
    let mut rig = Rig::with(Seed::demo(7), &leading_to("plain"));
    let first = rig.get("work").await;
    let calls = rig.network.seen("AssumeRole").len();
    rig.set_profiles(&leading_to("prod-admin"));
    let told = changed(&rig.fail("work").await);
    assert_eq!(told, (format!("role {ROLE}plain"), format!("role {ROLE}prod-admin")));
    assert!(rig.office.remembered(&rig.plan("work")).is_none(), "nor where the wait ends first");
    rig.restart();
    rig.unlock().unwrap();
    changed(&rig.fail("work").await);
    assert_eq!(rig.network.seen("AssumeRole").len(), calls, "nothing was asked of AWS");

    let changes = rig.office.changed_profiles(rig.set());
    assert_eq!(changes.len(), 1);
    rig.office.accept_profiles(changes).unwrap();
    let other = rig.get("work").await;
    assert!(other.principal.contains("prod-admin") && other.access_key_id != first.access_key_id);
    rig.set_profiles(&leading_to("plain"));
    changed(&rig.fail("work").await);
}

#[tokio::test]
async fn a_profile_that_was_gone_is_still_what_it_was() {
    let mut rig = Rig::with(Seed::demo(7), &leading_to("plain"));
    rig.get("work").await;
    rig.set_profiles("");
    assert!(rig.office.changed_profiles(rig.set()).is_empty(), "one that is not there asks for nothing");
    rig.set_profiles(&leading_to("prod-admin"));
    changed(&rig.fail("work").await);
    rig.set_profiles(&leading_to("plain"));
    rig.get("work").await;
}

#[tokio::test]
async fn another_account_of_the_access_key_is_a_change_and_an_unknown_one_is_not() {
    let rig = rig();
    rig.get("ada").await;
    for (user, differs) in [(None, false), (Some("arn:aws:iam::999999999999:user/ada"), true)] {
        rig.edit(|items| items.access_keys.get_mut(&ada()).unwrap().user = user.map(|user| user.parse().unwrap()));
        // A profile without MFA of the other account cannot be had; only whether it asks is looked at.
        let changes = rig.office.changed_profiles(rig.set());
        assert_eq!(changes.len(), usize::from(differs), "{user:?}");
    }
}

#[tokio::test]
async fn of_two_first_uses_that_differ_one_is_pinned() {
    let mut rig = Rig::with(Seed::demo(7), &leading_to("plain"));
    let plain = rig.plan("work");
    rig.set_profiles(&leading_to("prod-admin"));
    let admin = rig.plan("work");
    let nobody = claviger_agent::ask::Listener::nobody;
    let (one, other) = tokio::join!(rig.office.credentials(plain, nobody()), rig.office.credentials(admin, nobody()));
    assert_eq!(usize::from(one.is_ok()) + usize::from(other.is_ok()), 1);
    changed(&one.err().or(other.err()).unwrap());
}

#[tokio::test]
async fn a_profile_first_used_while_the_vault_is_locked_is_pinned_at_the_next_unlock() {
    let mut rig = Rig::with(Seed::demo(7), &format!("{}[twin]\nsource_profile = work\n", leading_to("plain")));
    rig.get("work").await;
    rig.lock(LockedBy::Idle);
    rig.get("twin").await;
    assert_eq!(rig.office.unsaved_pins(), 1);
    rig.unlock().unwrap();
    assert!(rig.office.save_pins());
    assert_eq!(rig.office.unsaved_pins(), 0);
    rig.restart();
    rig.unlock().unwrap();
    rig.set_profiles(&format!("{}[twin]\nsource_profile = ada\n", leading_to("plain")));
    changed(&rig.fail("twin").await);
}
