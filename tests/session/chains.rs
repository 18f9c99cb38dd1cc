//! Roles through roles: what each call carries, what the sandbox's trust policies see, and sessions that AWS forgot.

use crate::network::{Seen, Way};
use crate::rig::{MINUTE, PHONE, Rig, rig, sandbox};
use claviger_agent::aws;
use claviger_agent::session::Error;
use claviger_sandbox::{Seed, SeedRole};
use serde_json::{Value, json};

const ROLE: &str = "arn:aws:iam::123456789012:role/";

/// Ada → first → second → third. `first` wants MFA, an external id, a tag and a source identity; `second` and `third`
/// want the tag and the identity of whoever comes through.
fn account() -> Seed {
    let named = |role: &str| json!({"AWS": format!("{ROLE}{role}")});
    let root = json!({"AWS": "arn:aws:iam::123456789012:root"});
    let first = json!({
        "Bool": {"aws:MultiFactorAuthPresent": "true"},
        "StringEquals": {"sts:ExternalId": "x-1", "sts:SourceIdentity": "ada", "aws:RequestTag/team": "blue"}
    });
    let later = json!({"StringEquals": {"aws:PrincipalTag/team": "blue", "aws:SourceIdentity": "ada"}});
    let role = |name: &str, principal: Value, condition: Value| {
        SeedRole::trusting(name, principal, Some(condition))
            .with_policy(json!({"Effect": "Allow", "Action": "sts:*", "Resource": "*"}))
    };
    Seed::demo(7)
        .with_role(role("first", root, first))
        .with_role(role("second", named("first"), later.clone()))
        .with_role(role("third", named("second"), later))
}

fn profiles(first: &str) -> String {
    format!(
        "[first]\nclaviger_access_key = ada\nrole_arn = {ROLE}first\n{first}\n\
         [second]\nsource_profile = first\nrole_arn = {ROLE}second\nduration_seconds = 7200\n\
         [third]\nsource_profile = second\nrole_arn = {ROLE}third\nrole_session_name = {{user}}-for-{{profile}}\n"
    )
}

const FIRST: &str = "external_id = x-1\nsource_identity = ada\nsession_tags = team=blue, project=moon\n\
                     transitive_session_tags = team\nduration_seconds = 43200";

#[tokio::test]
async fn a_chain_of_each_depth_is_assumed_role_by_role_for_an_hour_each() {
    for (depth, profile) in [(1, "first"), (2, "second"), (3, "third")] {
        let rig = Rig::with(account(), &profiles(FIRST));
        let session = rig.get(profile).await;
        let name = if depth == 3 { "ada-for-third" } else { "claviger-ada" };
        assert_eq!(session.principal, format!("arn:aws:sts::123456789012:assumed-role/{profile}/{name}"));
        assert_eq!(session.account.as_ref().unwrap().as_str(), "123456789012");
        let calls = rig.network.seen("AssumeRole");
        let roles: Vec<_> = calls.iter().map(|call| call.get("RoleArn").unwrap().trim_start_matches(ROLE)).collect();
        assert_eq!(roles, ["first", "second", "third"][..depth]);
        assert!(calls.iter().all(|call| call.get("DurationSeconds") == Some("3600")), "whatever the profile says");
        assert_eq!((rig.calls("GetSessionToken"), rig.steps()), (1, vec![0]));
        assert_eq!(rig.sandbox.calls_of("AssumeRole").refused, 0);
        let by: Vec<_> = rig.sandbox.history().into_iter().map(|call| call.principal.unwrap()).collect();
        assert_eq!(by.len(), depth + 1);
        assert!(by[..2].iter().all(|principal| principal == "arn:aws:iam::123456789012:user/ada"));
        assert!(by[2..].iter().zip(roles).all(|(by, role)| by.contains(&format!("assumed-role/{role}/"))));
    }
}

#[tokio::test]
async fn what_a_profile_sets_is_on_its_own_call_and_on_no_other() {
    let policy = r#"{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":"*","Resource":"*"}]}"#;
    let arns = "arn:aws:iam::aws:policy/AdministratorAccess,arn:aws:iam::aws:policy/ReadOnlyAccess";
    let first = format!("{FIRST}\nclaviger_session_policy = {policy}\nclaviger_session_policy_arns = {arns}");
    let rig = Rig::with(account(), &profiles(&first));
    rig.get("second").await;
    let calls = rig.network.seen("AssumeRole");
    let wanted = [
        ("RoleSessionName", "claviger-ada"),
        ("ExternalId", "x-1"),
        ("SourceIdentity", "ada"),
        ("Policy", policy),
        ("PolicyArns.member.1.arn", "arn:aws:iam::aws:policy/AdministratorAccess"),
        ("PolicyArns.member.2.arn", "arn:aws:iam::aws:policy/ReadOnlyAccess"),
        ("Tags.member.1.Key", "team"),
        ("Tags.member.1.Value", "blue"),
        ("Tags.member.2.Key", "project"),
        ("Tags.member.2.Value", "moon"),
        ("TransitiveTagKeys.member.1", "team"),
    ];
    for (name, value) in wanted {
        assert_eq!(calls[0].get(name), Some(value), "{name}");
    }
    let names = |call: &Seen| call.form.keys().cloned().collect::<Vec<_>>();
    assert_eq!(calls[0].form.len(), wanted.len() + 4, "{:?}", names(&calls[0]));
    assert_eq!(names(&calls[1]), ["Action", "DurationSeconds", "RoleArn", "RoleSessionName", "Version"]);
    assert!(rig.network.seen("GetSessionToken")[0].form.keys().all(|name| !name.contains("Tag")));
}

/// Controls for the trust policies above: each condition bites.
#[tokio::test]
async fn without_any_one_of_them_the_chain_is_refused_where_it_matters() {
    let without = |line: &str| FIRST.split('\n').filter(|kept| !kept.starts_with(line)).collect::<Vec<_>>().join("\n");
    let cases = [
        (without("external_id"), 1),
        (FIRST.replace("x-1", "x-2"), 1),
        (without("source_identity"), 1),
        (FIRST.replace("team=blue", "team=red"), 1),
        (format!("{FIRST}\nclaviger_mfa = off"), 1),
        (
            format!(
                "{FIRST}\nclaviger_session_policy = {}",
                r#"{"Version":"2012-10-17","Statement":[{"Effect":"Deny","Action":"sts:AssumeRole","Resource":"*"}]}"#
            ),
            2,
        ),
        (without("transitive"), 3),
    ];
    for (first, calls) in cases {
        let rig = Rig::with(account(), &profiles(&first));
        let error = rig.fail("third").await;
        assert!(matches!(&*error, Error::Aws(aws::Error::AccessDenied { action: "sts:AssumeRole", .. })), "{first}");
        let assumed = rig.sandbox.calls_of("AssumeRole");
        assert_eq!((assumed.calls, assumed.refused), (calls, 1), "{first}");
        assert_eq!(rig.office.sessions().len() as u64, calls, "what was had on the way is kept, the refusal is not");
    }
}

#[tokio::test]
async fn a_wrong_external_id_is_denied_and_the_right_one_is_not() {
    let partner = |id| format!("[partner]\nclaviger_access_key = ada\nrole_arn = {ROLE}partner\nexternal_id = {id}\n");
    let mut rig = Rig::with(Seed::demo(7), &partner("partner-43"));
    match &*rig.fail("partner").await {
        Error::Aws(aws::Error::AccessDenied { action, message }) => {
            assert_eq!(*action, "sts:AssumeRole");
            assert!(message.contains("is not authorized to perform: sts:AssumeRole"), "{message}");
        }
        other => panic!("{other:?}"),
    }
    rig.set_profiles(&partner("partner-42"));
    rig.get("partner").await;
    assert_eq!(rig.steps(), [0], "the MFA session was kept all along");
}

const AUDIT: &str = "[audit]\nsource_profile = prod\nrole_arn = arn:aws:iam::123456789012:role/audit-read\n";

fn forgetful(rig: &Rig, active: bool) -> claviger_sandbox::Sandbox {
    let mut seed = Seed::demo(7);
    seed.entropy = 99;
    seed.users[0].access_keys[0].active = active;
    sandbox(&rig.clock, &seed)
}

#[tokio::test]
async fn an_mfa_session_that_aws_forgot_is_obtained_anew_once() {
    let rig = Rig::with(Seed::demo(7), AUDIT);
    let first = rig.get("prod").await;
    let other = forgetful(&rig, true);
    rig.network.replace(other.clone());
    rig.until_left(&first, 10 * MINUTE);
    let anew = rig.get("prod").await;
    assert_ne!(anew.access_key_id, first.access_key_id);
    let (tokens, roles) = (other.calls_of("GetSessionToken"), other.calls_of("AssumeRole"));
    assert_eq!((tokens.calls, tokens.with_token_code, roles.calls, roles.refused), (1, 1, 2, 1));
    assert_eq!(other.steps_used(PHONE).len(), 1);
    rig.no_code_twice();
}

#[tokio::test]
async fn a_whole_chain_that_aws_forgot_is_obtained_anew_with_one_code() {
    let rig = Rig::with(Seed::demo(7), AUDIT);
    let first = rig.get("audit").await;
    let other = forgetful(&rig, true);
    rig.network.replace(other.clone());
    rig.until_left(&first, 10 * MINUTE);
    let anew = rig.get("audit").await;
    assert_ne!(anew.access_key_id, first.access_key_id);
    // By the dead role, by the dead MFA session; then from the start.
    let (tokens, roles) = (other.calls_of("GetSessionToken"), other.calls_of("AssumeRole"));
    assert_eq!((tokens.calls, roles.calls, roles.refused), (1, 4, 2));
    rig.no_code_twice();
}

#[tokio::test]
async fn a_session_that_aws_refuses_again_is_told_and_not_tried_for_ever() {
    let rig = rig();
    let refusal = "<ErrorResponse><Error><Type>Sender</Type><Code>InvalidClientTokenId</Code>\
                   <Message>The security token included in the request is invalid</Message></Error></ErrorResponse>";
    for _ in 0..2 {
        rig.network.script("AssumeRole", Way::Answer(403, refusal.to_owned()));
    }
    let error = rig.fail("prod").await;
    assert!(matches!(&*error, Error::Aws(aws::Error::InvalidCredentials { action: "sts:AssumeRole", .. })));
    let count = |action| rig.network.seen(action).len();
    assert_eq!((count("GetSessionToken"), count("AssumeRole")), (2, 2));
    assert_eq!(rig.steps(), [0, 1]);
}

#[tokio::test]
async fn an_access_key_made_inactive_is_told_and_costs_no_session_that_still_works() {
    let rig = rig();
    let first = rig.get("prod").await;
    let other = forgetful(&rig, false);
    rig.network.replace(other.clone());
    rig.until_left(&first, 10 * MINUTE);
    assert_eq!(rig.get("prod").await.access_key_id, first.access_key_id, "the old role session still works");
    assert_eq!((other.calls_of("GetSessionToken").refused, other.calls_of("AssumeRole").refused), (1, 1));
    rig.until_left(&first, MINUTE);
    let error = rig.fail("prod").await;
    assert!(matches!(&*error, Error::Aws(aws::Error::InvalidCredentials { action: "sts:GetSessionToken", .. })));
    assert!(other.steps_used(PHONE).is_empty());
    rig.no_code_twice();
}
