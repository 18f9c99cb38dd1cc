//! Answers of STS and IAM under a long run of damaged inputs, by the way that all answers take: nothing of them that is
//! not AWS's becomes credentials, and nothing of the request comes back.

use super::{DATE, Desk, NOW, Play};
use crate::aws::Error;
use crate::testing::mutation::CANARY;
use crate::testing::parsers::{Parser, Verdict, driven};
use claviger::secret::{SecretAccessKey, SecretText};

/// The first line is the call and the status, the rest the body.
fn call(input: &[u8]) -> Result<(), Error> {
    let end = input.iter().position(|byte| *byte == b'\n').unwrap_or(0);
    let (first, body) = input.split_at(end);
    let first = String::from_utf8_lossy(first);
    let mut words = first.split(' ');
    let action = words.next().unwrap_or_default();
    let status = words.next().and_then(|status| status.parse().ok()).unwrap_or(200);
    let answer = Play::answer(status, body.get(1..).unwrap_or_default()).header("date", DATE);
    // A throttled call is made four times.
    let mut desk = Desk::playing(vec![answer; 12]);
    // What went out as a secret must not come back.
    desk.secret = SecretAccessKey::from_text(CANARY.to_owned());
    let session = |session: crate::aws::SessionCredentials| {
        let left = session.expiration.0 - NOW.0;
        assert!((1..=37 * 3_600_000).contains(&left), "ends in {left} ms");
        let plain = |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_graphic());
        assert!(
            plain(session.secret.expose()) && plain(session.token.expose()) && session.token.expose().len() <= 131_072
        );
    };
    driven(async {
        match action {
            "caller" => {
                let caller = desk.edge.get_caller_identity(desk.by(), &desk.sts()).await?;
                assert!(!caller.user_id.chars().any(char::is_control) && caller.user_id.chars().count() <= 201);
            }
            "role" => {
                let role = "arn:aws:iam::123456789012:role/admin".parse().unwrap();
                let ask = crate::aws::AssumeRole {
                    role: &role,
                    session_name: "ada",
                    duration: 3600,
                    external_id: None,
                    policy: None,
                    policy_arns: &[],
                    tags: &[],
                    transitive_tag_keys: &[],
                    source_identity: None,
                    mfa: None,
                };
                session(desk.edge.assume_role(desk.by(), &desk.sts(), &ask).await?.credentials);
            }
            "devices" => {
                let iam = desk
                    .edge
                    .rules()
                    .iam(claviger::model::Partition::by_id("aws").expect("aws"), None)
                    .expect("AWS's own");
                assert!(desk.edge.list_mfa_devices(desk.iam(&iam), None).await?.len() <= 10_000);
            }
            _ => session(desk.edge.get_session_token(desk.by(), &desk.sts(), 3600, desk.proof()).await?),
        }
        Ok(())
    })
}

#[test]
fn answers_of_aws_withstand_damage() {
    let parser = Parser {
        name: "sts-xml",
        more: Vec::new(),
        tokens: &[
            b"<",
            b">",
            b"/>",
            b"</",
            b"<a>",
            b"</a>",
            b"<!DOCTYPE r [<!ENTITY e \"x\">]>",
            b"&e;",
            b"&amp;",
            b"&#65;",
            b"&#xD800;",
            b"&#0;",
            b"&",
            b"<!--",
            b"-->",
            b"<![CDATA[",
            b"]]>",
            b"<?xml version=\"1.0\"?>",
            b"<?",
            b"?>",
            b"<Error><Code>Throttling</Code></Error>",
            b"<Code>AccessDenied</Code>",
            b"xmlns:a=\"b\"",
            b"<a:b>",
            b"<Credentials>",
            b"</Credentials>",
            b"<member>",
            b"<IsTruncated>true</IsTruncated><Marker>m</Marker>",
            b"<Expiration>9999-12-31T23:59:59Z</Expiration>",
            b"2026-11-22T12:00:00",
            b"caller ",
            b"role ",
            b"200",
            b"503",
        ],
        taken: 15,
        refusals: &[
            "AccessDenied",
            "BadAnswer",
            "ClockSkew",
            "CodeRefused",
            "Expired",
            "InvalidCredentials",
            "InvalidRequest",
            "RegionDisabled",
            "ServiceError",
            "Throttled",
        ],
        parse: &|input| match call(input) {
            Ok(()) => Verdict::Accepted,
            Err(error) => Verdict::refused(&error),
        },
    };
    parser.withstands_damage();
}
