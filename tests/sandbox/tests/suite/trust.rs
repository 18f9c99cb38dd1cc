//! Who may assume what.

use crate::common::{Rig, demo, rig};
use claviger_sandbox::{Seed, SeedRole, SeedUser};
use serde_json::{Value, json};

const DENIED: &str = "is not authorized to perform: sts:AssumeRole on resource: arn:aws:iam::123456789012:role/";

fn root() -> Value {
    json!({"AWS": "arn:aws:iam::123456789012:root"})
}

/// The demo world with one more role.
fn with_role(role: SeedRole) -> Rig {
    rig(Seed::demo(7).with_role(role))
}

#[test]
fn mfa_roles_want_mfa_from_the_call_or_the_session() {
    let rig = demo();
    rig.assume(&rig.ada(), "prod-admin", &[]).refused(403, "AccessDenied", DENIED);
    rig.assume(&rig.session(None), "prod-admin", &[]).refused(403, "AccessDenied", DENIED);
    let (serial, code) = (rig.serial(), rig.code(0));
    rig.assume(&rig.ada(), "prod-admin", &[("SerialNumber", &serial), ("TokenCode", "000000")]).refused(
        403,
        "AccessDenied",
        "invalid MFA",
    );
    let role = rig.assume(&rig.ada(), "prod-admin", &[("SerialNumber", &serial), ("TokenCode", &code)]).ok().keys();
    rig.wait(30);
    rig.assume(&rig.session(Some(&rig.code(0))), "prod-admin", &[]).ok();
    // A role's session carries no MFA of its own.
    rig.assume(&role, "prod-admin", &[]).refused(403, "AccessDenied", DENIED);
    rig.assume(&role, "audit-read", &[]).ok();
    rig.assume(&rig.ada(), "audit-read", &[]).refused(403, "AccessDenied", DENIED);
}

#[test]
fn mfa_age_counts_from_the_code() {
    let rig = with_role(SeedRole::trusting(
        "young",
        root(),
        Some(json!({"NumericLessThan": {"aws:MultiFactorAuthAge": "600"}})),
    ));
    let session = rig.session(Some(&rig.code(0)));
    rig.wait(599);
    rig.assume(&session, "young", &[]).ok();
    rig.wait(1);
    rig.assume(&session, "young", &[]).refused(403, "AccessDenied", DENIED);
    rig.assume(&session, "young", &[("SerialNumber", &rig.serial()), ("TokenCode", &rig.code(0))]).ok();
    rig.assume(&rig.ada(), "young", &[]).refused(403, "AccessDenied", DENIED);
}

#[test]
fn bool_if_exists_lets_long_term_keys_pass() {
    let condition = json!({"BoolIfExists": {"aws:MultiFactorAuthPresent": "true"}});
    let rig = with_role(SeedRole::trusting("lenient", root(), Some(condition)));
    rig.assume(&rig.ada(), "lenient", &[]).ok();
    rig.assume(&rig.session(None), "lenient", &[]).refused(403, "AccessDenied", DENIED);
    rig.assume(&rig.session(Some(&rig.code(0))), "lenient", &[]).ok();
}

#[test]
fn external_id_name_tag_and_source_identity_are_held_against_conditions() {
    let rig = demo();
    rig.assume(&rig.ada(), "partner", &[]).refused(403, "AccessDenied", DENIED);
    rig.assume(&rig.ada(), "partner", &[("ExternalId", "partner-43")]).refused(403, "AccessDenied", DENIED);
    rig.assume(&rig.ada(), "partner", &[("ExternalId", "partner-42")]).ok();
    rig.assume(&rig.ada(), "plain", &[("ExternalId", "whatever")]).ok();

    let tag = |value: &'static str| [("Tags.member.1.Key", "Team"), ("Tags.member.1.Value", value)];
    for (condition, good, bad) in [
        (json!({"StringLike": {"sts:RoleSessionName": "te?t"}}), vec![], vec![("ExternalId", "x2")]),
        (
            json!({"StringEquals": {"sts:SourceIdentity": "${aws:username}"}}),
            vec![("SourceIdentity", "ada")],
            vec![("SourceIdentity", "bob")],
        ),
        (json!({"StringEquals": {"aws:RequestTag/Team": ["a", "b"]}}), tag("b").to_vec(), tag("c").to_vec()),
        (
            json!({"ForAllValues:StringEquals": {"aws:TagKeys": ["Team"]}}),
            tag("b").to_vec(),
            vec![("Tags.member.1.Key", "X"), ("Tags.member.1.Value", "")],
        ),
    ] {
        let named = condition.to_string().contains("RoleSessionName");
        let rig = with_role(SeedRole::trusting("ruled", root(), Some(condition)));
        rig.assume(&rig.ada(), "ruled", &good).ok();
        let reply = rig.assume(&rig.ada(), "ruled", &bad);
        if named { assert_eq!(reply.status, 200) } else { reply.refused(403, "AccessDenied", DENIED) }
    }
    let rig =
        with_role(SeedRole::trusting("named", root(), Some(json!({"StringEquals": {"sts:RoleSessionName": "other"}}))));
    rig.assume(&rig.ada(), "named", &[]).refused(403, "AccessDenied", DENIED);
}

#[test]
fn the_account_wants_the_callers_policy_and_the_user_does_not() {
    let seed = Seed::empty("123456789012")
        .with_user(SeedUser::named("bare").with_access_key("AKIABAREBAREBAREBARE", "secret-of-nobody"))
        .with_role(SeedRole::trusting("by-root", root(), None))
        .with_role(SeedRole::trusting("by-id", json!({"AWS": "123456789012"}), None))
        .with_role(SeedRole::trusting("by-name", json!({"AWS": ["arn:aws:iam::123456789012:user/bare"]}), None))
        .with_role(SeedRole::trusting("by-all", json!({"AWS": "*"}), None))
        .with_role(SeedRole::trusting("by-other", json!({"AWS": "arn:aws:iam::210987654321:root"}), None))
        .with_role(SeedRole::trusting("by-service", json!({"Service": "ec2.amazonaws.com"}), None));
    let bare = rig(seed.clone());
    for (role, allowed) in [
        ("by-root", false),
        ("by-id", false),
        ("by-name", true),
        ("by-all", true),
        ("by-other", false),
        ("by-service", false),
        ("missing", false),
    ] {
        let reply = bare.assume(&bare.ada(), role, &[]);
        if allowed {
            assert_eq!(reply.status, 200, "{role}")
        } else {
            reply.refused(403, "AccessDenied", &format!("{DENIED}{role}"))
        }
    }

    let mut allowing = seed.clone();
    allowing.users[0] = allowing.users[0].clone().with_policy(
        json!({"Effect": "Allow", "Action": "sts:AssumeRole", "Resource": "arn:aws:iam::123456789012:role/by-*"}),
    );
    let allowing = rig(allowing);
    allowing.assume(&allowing.ada(), "by-root", &[]).ok();
    allowing.assume(&allowing.ada(), "by-id", &[]).ok();
    allowing.assume(&allowing.ada(), "by-other", &[]).refused(403, "AccessDenied", DENIED);

    let mut denying = seed;
    denying.users[0] =
        denying.users[0].clone().with_policy(json!({"Effect": "Deny", "Action": "sts:*", "Resource": "*"}));
    let denying = rig(denying);
    denying.assume(&denying.ada(), "by-name", &[]).refused(403, "AccessDenied", DENIED);
    denying.sts(&denying.ada(), "GetCallerIdentity", &[]).ok();
    denying.sts(&denying.ada(), "GetSessionToken", &[]).refused(403, "AccessDenied", "explicit deny");
}

#[test]
fn deny_in_a_trust_policy_wins() {
    let mut role = SeedRole::trusting("split", root(), None);
    let allow = role.trust["Statement"].clone();
    let deny = json!({"Effect": "Deny", "Principal": "*", "Action": "sts:AssumeRole", "Condition": {"StringEquals": {"sts:ExternalId": "bad"}}});
    role.trust = json!({"Version": "2012-10-17", "Statement": [allow, deny]});
    let rig = with_role(role);
    rig.assume(&rig.ada(), "split", &[("ExternalId", "good")]).ok();
    rig.assume(&rig.ada(), "split", &[("ExternalId", "bad")]).refused(403, "AccessDenied", DENIED);
}

#[test]
fn tags_and_source_identity_need_their_own_actions() {
    let mut role = SeedRole::trusting("assume-only", root(), None);
    role.trust["Statement"]["Action"] = json!("sts:AssumeRole");
    let rig = with_role(role);
    rig.assume(&rig.ada(), "assume-only", &[]).ok();
    let tag = [("Tags.member.1.Key", "k"), ("Tags.member.1.Value", "v")];
    rig.assume(&rig.ada(), "assume-only", &tag).refused(403, "AccessDenied", "sts:TagSession");
    rig.assume(&rig.ada(), "assume-only", &[("SourceIdentity", "ada")]).refused(
        403,
        "AccessDenied",
        "sts:SetSourceIdentity",
    );
}

#[test]
fn one_session_of_a_role_can_be_trusted_alone() {
    let principal = json!({"AWS": "arn:aws:sts::123456789012:assumed-role/plain/test"});
    let rig = with_role(SeedRole::trusting("next", principal, None));
    let session = rig.assume(&rig.ada(), "plain", &[]).ok().keys();
    rig.assume(&session, "next", &[]).ok();
    let arn = "arn:aws:iam::123456789012:role/plain";
    let other = rig.sts(&rig.ada(), "AssumeRole", &[("RoleArn", arn), ("RoleSessionName", "other")]).ok().keys();
    rig.assume(&other, "next", &[]).refused(403, "AccessDenied", DENIED);
}
