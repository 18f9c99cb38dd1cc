//! Sessions: codes, durations, chaining, tags, source identity, policies.

use crate::common::{Rig, demo, rig};
use claviger_sandbox::{Seed, SeedRole, SeedUser};
use serde_json::json;

const WRONG_CODE: &str = "MultiFactorAuthentication failed with invalid MFA one time pass code. ";

fn with_code(rig: &Rig, code: &str) -> crate::common::Reply {
    rig.sts(&rig.ada(), "GetSessionToken", &[("SerialNumber", &rig.serial()), ("TokenCode", code)])
}

#[test]
fn each_step_of_a_device_is_taken_once() {
    let rig = demo();
    let (before, now, next) = (rig.code(-30), rig.code(0), rig.code(30));
    with_code(&rig, &now).ok();
    with_code(&rig, &now).refused(403, "AccessDenied", WRONG_CODE);
    with_code(&rig, &before).refused(403, "AccessDenied", WRONG_CODE);
    with_code(&rig, &next).ok();
    with_code(&rig, &next).refused(403, "AccessDenied", WRONG_CODE);
    let first = rig.now() / 30_000;
    assert_eq!(rig.sandbox.steps_used(&rig.serial()), [first, first + 1]);
    rig.wait(60);
    with_code(&rig, &rig.code(-60)).refused(403, "AccessDenied", WRONG_CODE);
    with_code(&rig, &rig.code(60)).refused(403, "AccessDenied", WRONG_CODE);
    with_code(&rig, &rig.code(0)).ok();
    let calls = rig.sandbox.calls_of("GetSessionToken");
    assert_eq!((calls.calls, calls.with_token_code, calls.refused), (8, 8, 5));
}

#[test]
fn a_code_is_burned_even_where_the_role_refuses() {
    let rig = demo();
    let (serial, code) = (rig.serial(), rig.code(0));
    rig.assume(&rig.ada(), "partner", &[("SerialNumber", &serial), ("TokenCode", &code)]).refused(
        403,
        "AccessDenied",
        "sts:AssumeRole",
    );
    with_code(&rig, &code).refused(403, "AccessDenied", WRONG_CODE);
}

#[test]
fn a_device_must_be_the_callers_own_and_both_parts_given() {
    let mut seed = Seed::demo(1);
    seed.users.push(SeedUser::named("bob").with_mfa_device("bob-phone", &"A".repeat(32)));
    let rig = rig(seed);
    let (serial, code) = (rig.serial(), rig.code(0));
    let ask = |parameters: &[(&str, &str)]| rig.sts(&rig.ada(), "GetSessionToken", parameters);
    let bobs = claviger_sandbox::code_at(&[0; 20], rig.now());
    let foreign = [("SerialNumber", "arn:aws:iam::123456789012:mfa/bob-phone"), ("TokenCode", bobs.as_str())];
    ask(&foreign).refused(403, "AccessDenied", "unable to validate MFA code");
    ask(&[("SerialNumber", "arn:aws:iam::123456789012:mfa/nobody"), ("TokenCode", &code)]).refused(
        403,
        "AccessDenied",
        "unable to validate",
    );
    ask(&[("SerialNumber", &serial)]).refused(
        403,
        "AccessDenied",
        "must provide both MFA serial number and one time pass code",
    );
    ask(&[("TokenCode", &code)]).refused(403, "AccessDenied", "must provide both");
    ask(&[("SerialNumber", &serial), ("TokenCode", "12345")]).refused(
        400,
        "ValidationError",
        "'tokenCode' failed to satisfy constraint",
    );
    ask(&[("SerialNumber", &serial), ("TokenCode", "12345x")]).refused(400, "ValidationError", "[\\d]*");
    ask(&[("SerialNumber", &serial), ("TokenCode", &code)]).ok();
}

#[test]
fn session_tokens_have_their_durations() {
    let rig = demo();
    for (seconds, fits) in [("899", false), ("900", true), ("129600", true), ("129601", false)] {
        let reply = rig.sts(&rig.ada(), "GetSessionToken", &[("DurationSeconds", seconds)]);
        if fits { assert_eq!(reply.status, 200) } else { reply.refused(400, "ValidationError", "'durationSeconds'") }
    }
    assert_eq!(rig.sts(&rig.ada(), "GetSessionToken", &[]).text("Expiration"), "2026-03-02T00:00:10Z");
    rig.sts(&rig.ada(), "GetSessionToken", &[("DurationSeconds", "1h")]).refused(
        400,
        "MalformedInput",
        "DurationSeconds",
    );
}

#[test]
fn session_credentials_get_no_session_token() {
    let rig = demo();
    let session = rig.session(Some(&rig.code(0)));
    rig.sts(&session, "GetSessionToken", &[]).refused(
        403,
        "AccessDenied",
        "Cannot call GetSessionToken with session credentials",
    );
    rig.sts(&session, "GetFederationToken", &[("Name", "fed")]).refused(403, "AccessDenied", "session credentials");
    let role = rig.assume(&session, "prod-admin", &[]).ok().keys();
    rig.sts(&role, "GetSessionToken", &[]).refused(
        403,
        "AccessDenied",
        "Cannot call GetSessionToken with session credentials",
    );
    assert_eq!(rig.sts(&session, "GetCallerIdentity", &[]).text("Arn"), "arn:aws:iam::123456789012:user/ada");
}

#[test]
fn roles_have_their_durations_and_chains_one_hour() {
    let rig = demo();
    let session = rig.session(Some(&rig.code(0)));
    let chained = "exceeds the 1 hour session limit for roles assumed by role chaining";
    for (keys, role, seconds, refused) in [
        (&rig.ada(), "plain", "899", Some("'durationSeconds'")),
        (&rig.ada(), "plain", "900", None),
        (&rig.ada(), "plain", "3600", None),
        (&rig.ada(), "plain", "3601", Some("exceeds the MaxSessionDuration set for this role.")),
        (&rig.ada(), "plain", "43201", Some("'durationSeconds'")),
        (&session, "prod-admin", "3600", None),
        (&session, "prod-admin", "3601", Some(chained)),
        (&session, "plain", "7200", Some(chained)),
    ] {
        let reply = rig.assume(keys, role, &[("DurationSeconds", seconds)]);
        match refused {
            None => assert_eq!(reply.status, 200, "{role} {seconds}: {}", reply.body),
            Some(message) => reply.refused(400, "ValidationError", message),
        }
    }
    rig.wait(30);
    let long = [("DurationSeconds", "43200"), ("SerialNumber", &rig.serial()), ("TokenCode", &rig.code(0))];
    assert_eq!(rig.assume(&rig.ada(), "prod-admin", &long).ok().text("Expiration"), "2026-03-02T00:00:40Z");
}

#[test]
fn the_reply_names_the_assumed_role() {
    let rig = demo();
    let reply = rig.assume(&rig.ada(), "plain", &[]).ok();
    assert_eq!(reply.text("Arn"), "arn:aws:sts::123456789012:assumed-role/plain/test");
    assert!(reply.text("AssumedRoleId").starts_with("AROA") && reply.text("AssumedRoleId").ends_with(":test"));
    assert!(reply.text("AccessKeyId").starts_with("ASIA"));
    assert_eq!(reply.find("PackedPolicySize"), None);
    assert_eq!(reply.find("SourceIdentity"), None);
    let who = rig.sts(&reply.keys(), "GetCallerIdentity", &[]).ok();
    assert_eq!((who.text("Arn"), who.text("UserId")), (reply.text("Arn"), reply.text("AssumedRoleId")));
    rig.wait(3600);
    rig.sts(&reply.keys(), "GetCallerIdentity", &[]).refused(403, "ExpiredToken", "expired");
}

#[test]
fn parameters_have_their_shape() {
    let rig = demo();
    let role = "arn:aws:iam::123456789012:role/plain";
    let ask = |parameters: &[(&str, &str)]| rig.sts(&rig.ada(), "AssumeRole", parameters);
    ask(&[]).refused(400, "ValidationError", "2 validation errors detected: Value null at 'roleArn'");
    for name in ["a", "with space", "slash/ed", &"x".repeat(65)] {
        ask(&[("RoleArn", role), ("RoleSessionName", name)]).refused(400, "ValidationError", "'roleSessionName'");
    }
    ask(&[("RoleArn", role), ("RoleSessionName", &"x".repeat(64))]).ok();
    for (name, value) in
        [("ExternalId", "x"), ("ExternalId", "no space"), ("SourceIdentity", "x"), ("SourceIdentity", "a/b")]
    {
        rig.assume(&rig.ada(), "plain", &[(name, value)]).refused(
            400,
            "ValidationError",
            "failed to satisfy constraint",
        );
    }
    ask(&[("RoleArn", role), ("RoleArn", role), ("RoleSessionName", "test")]).refused(
        400,
        "MalformedQueryString",
        "RoleArn",
    );
    rig.sts(&rig.ada(), "AssumeRoleWithMagic", &[]).refused(
        400,
        "InvalidAction",
        "Could not find operation AssumeRoleWithMagic for version 2011-06-15",
    );
    rig.iam(&rig.ada(), "GetCallerIdentity", &[]).refused(400, "InvalidAction", "2010-05-08");
}

#[test]
fn tags_are_limited_and_transitive_ones_persist() {
    let rig = demo();
    let session = rig.session(Some(&rig.code(0)));
    let tag = |key: &'static str, value: &'static str| [("Tags.member.1.Key", key), ("Tags.member.1.Value", value)];
    let many: Vec<(String, String)> = (1..=51)
        .flat_map(|index| {
            [
                (format!("Tags.member.{index}.Key"), format!("k{index}")),
                (format!("Tags.member.{index}.Value"), String::new()),
            ]
        })
        .collect();
    let many: Vec<(&str, &str)> = many.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
    rig.assume(&rig.ada(), "plain", &many).refused(400, "ValidationError", "'tags'");
    rig.assume(&rig.ada(), "plain", &many[..100]).ok();
    let twice = [tag("Team", "a"), [("Tags.member.2.Key", "team"), ("Tags.member.2.Value", "b")]].concat();
    rig.assume(&rig.ada(), "plain", &twice).refused(400, "InvalidParameterValue", "Duplicate tag keys");
    rig.assume(&rig.ada(), "plain", &tag("aws:x", "a")).refused(400, "InvalidParameterValue", "aws:");
    rig.assume(&rig.ada(), "plain", &[("TransitiveTagKeys.member.1", "Team")]).refused(
        400,
        "InvalidParameterValue",
        "transitive",
    );

    let transitive = [tag("Team", "a").to_vec(), vec![("TransitiveTagKeys.member.1", "Team")]].concat();
    let first = rig.assume(&session, "prod-admin", &transitive).ok();
    assert!(first.text("PackedPolicySize").parse::<u32>().unwrap() > 0);
    rig.assume(&first.keys(), "audit-read", &tag("Team", "b")).refused(
        400,
        "InvalidParameterValue",
        "conflicts with a transitive tag key",
    );
    rig.assume(&first.keys(), "audit-read", &tag("Other", "b")).ok();
    let plain = rig.assume(&session, "prod-admin", &tag("Team", "a")).ok();
    rig.assume(&plain.keys(), "audit-read", &tag("Team", "b")).ok();
}

#[test]
fn source_identity_stays_the_same_along_a_chain() {
    let rig = demo();
    let session = rig.session(Some(&rig.code(0)));
    let first = rig.assume(&session, "prod-admin", &[("SourceIdentity", "ada")]).ok();
    assert_eq!(first.text("SourceIdentity"), "ada");
    rig.assume(&first.keys(), "audit-read", &[("SourceIdentity", "bob")]).refused(
        403,
        "AccessDenied",
        "sts:SetSourceIdentity",
    );
    assert_eq!(
        rig.assume(&first.keys(), "audit-read", &[("SourceIdentity", "ada")]).ok().text("SourceIdentity"),
        "ada"
    );
    assert_eq!(rig.assume(&first.keys(), "audit-read", &[]).ok().text("SourceIdentity"), "ada");
}

#[test]
fn session_policies_narrow_and_are_limited() {
    let rig = demo();
    let session = rig.session(Some(&rig.code(0)));
    let policy =
        json!({"Version": "2012-10-17", "Statement": {"Effect": "Allow", "Action": "iam:ListUsers", "Resource": "*"}})
            .to_string();
    let narrowed = rig.assume(&session, "prod-admin", &[("Policy", &policy)]).ok();
    assert!(narrowed.text("PackedPolicySize").parse::<u32>().unwrap() <= 100);
    rig.iam(&narrowed.keys(), "ListUsers", &[]).ok();
    rig.iam(&narrowed.keys(), "ListRoles", &[]).refused(403, "AccessDenied", "iam:ListRoles");
    let whole = rig.assume(&session, "prod-admin", &[]).ok();
    rig.iam(&whole.keys(), "ListRoles", &[]).ok();
    let administrator = [("PolicyArns.member.1.arn", "arn:aws:iam::aws:policy/AdministratorAccess")];
    rig.iam(&rig.assume(&session, "prod-admin", &administrator).ok().keys(), "ListRoles", &[]).ok();

    let padded = |length: usize| format!("{}{}", policy, " ".repeat(length - policy.len()));
    rig.assume(&session, "prod-admin", &[("Policy", &padded(2048))]).ok();
    rig.assume(&session, "prod-admin", &[("Policy", &padded(2049))]).refused(
        400,
        "PackedPolicyTooLarge",
        "Packed policy consumes 101% of",
    );
    for junk in ["{", "[]", r#"{"Version":"2012-10-17","Statement":[{"Effect":"Maybe"}]}"#] {
        rig.assume(&session, "prod-admin", &[("Policy", junk)]).refused(400, "MalformedPolicyDocument", "");
    }
    let names: Vec<String> = (1..=11).map(|index| format!("PolicyArns.member.{index}.arn")).collect();
    let arns: Vec<(&str, &str)> = names.iter().map(|name| (name.as_str(), "arn:aws:iam::aws:policy/P")).collect();
    rig.assume(&session, "prod-admin", &arns).refused(400, "ValidationError", "'policyArns'");
    rig.assume(&session, "prod-admin", &arns[..10]).ok();
}

#[test]
fn federation_tokens_do_only_what_both_policies_say() {
    let seed = Seed::empty("123456789012")
        .with_user(
            SeedUser::named("ada")
                .with_access_key("AKIAFEDERATIONADA000", "secret-of-nobody")
                .with_policy(json!({"Effect": "Allow", "Action": ["sts:*"], "Resource": "*"})),
        )
        .with_role(SeedRole::trusting("plain", json!("*"), None));
    let rig = rig(seed);
    let reply = rig.sts(&rig.ada(), "GetFederationToken", &[("Name", "fed")]).ok();
    assert_eq!(reply.text("Arn"), "arn:aws:sts::123456789012:federated-user/fed");
    assert_eq!(rig.sts(&reply.keys(), "GetCallerIdentity", &[]).ok().text("UserId"), "123456789012:fed");
    rig.assume(&reply.keys(), "plain", &[]).refused(403, "AccessDenied", "sts:AssumeRole");
    rig.iam(&reply.keys(), "GetUser", &[]).refused(403, "InvalidClientTokenId", "security token");
    assert_eq!(
        rig.sts(&rig.ada(), "GetAccessKeyInfo", &[("AccessKeyId", &reply.keys().id)]).ok().text("Account"),
        "123456789012"
    );
}
