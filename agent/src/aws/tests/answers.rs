//! Good answers are read; bad ones never give credentials.

use super::{CALLER, DATE, Desk, NOW, ROLE, SESSION, aws};
use crate::aws::fake::Play;
use crate::aws::{AssumeRole, Error, SessionCredentials};
use crate::world::WallTime;
use claviger::model::{Arn, Partition};
use claviger::secret::{SecretText, TokenCode};
use proptest::prelude::*;

async fn session_from(play: Play) -> Result<SessionCredentials, Error> {
    let desk = Desk::playing([play]);
    desk.edge.get_session_token(desk.by(), &desk.sts(), 43_200, desk.proof()).await
}

fn is_bad(result: Result<SessionCredentials, Error>) -> bool {
    matches!(result, Err(Error::BadAnswer { action: "sts:GetSessionToken", .. }))
}

#[tokio::test]
async fn the_caller_is_read_and_the_request_is_signed() {
    let desk = Desk::playing([aws(200, CALLER)]);
    let caller = desk.edge.get_caller_identity(desk.by_session(), &desk.sts()).await.expect("a caller");
    assert_eq!(caller.arn.as_str(), "arn:aws:iam::123456789012:user/ada");
    assert_eq!((caller.account.as_str(), caller.user_id.as_str()), ("123456789012", "AIDACKCEVSQ6C2EXAMPLE"));
    let seen = &desk.http.seen()[0];
    assert_eq!(seen.url, "https://sts.eu-central-1.amazonaws.com/");
    assert_eq!(seen.form("Action"), Some("GetCallerIdentity"));
    assert_eq!(seen.form("Version"), Some("2011-06-15"));
    assert_eq!(seen.header("x-amz-date"), Some("20261122T000000Z"));
    assert_eq!(seen.header("x-amz-security-token"), Some("token-of-the-caller"));
    let authorization = seen.header("authorization").expect("authorization");
    assert!(authorization.contains("AKIAIOSFODNN7EXAMPLE/20261122/eu-central-1/sts/aws4_request"), "{authorization}");
}

#[tokio::test]
async fn a_session_is_read() {
    let desk = Desk::playing([aws(200, SESSION)]);
    let session = desk.edge.get_session_token(desk.by(), &desk.sts(), 43_200, desk.proof()).await.expect("credentials");
    assert_eq!(session.access_key_id.as_str(), "ASIAIOSFODNN7EXAMPLE");
    assert_eq!((session.secret.expose(), session.token.expose()), ("given/Secret+Key", "given//token=="));
    assert_eq!(session.expiration, WallTime(NOW.0 + 12 * 3_600_000));
    assert_eq!(session.request_id.as_deref(), Some("01234567-89ab-cdef-0123-456789abcdef"));
    assert!(session.signing().token.is_some());
    let seen = &desk.http.seen()[0];
    assert_eq!(seen.form("DurationSeconds"), Some("43200"));
    assert_eq!(seen.form("SerialNumber"), Some("arn:aws:iam::123456789012:mfa/ada"));
    assert_eq!(seen.form("TokenCode"), Some("314159"));
}

#[tokio::test]
async fn every_parameter_of_a_role_is_sent() {
    let desk = Desk::playing([aws(200, ROLE), aws(200, ROLE)]);
    let role: Arn = "arn:aws:iam::123456789012:role/admin".parse().expect("an ARN");
    let policies = ["arn:aws:iam::aws:policy/ReadOnlyAccess".parse::<Arn>().expect("an ARN")];
    let tags = [("team".to_owned(), "a&b=c d".to_owned()), ("cost".to_owned(), "ö".to_owned())];
    let keys = ["team".to_owned()];
    let full = AssumeRole {
        role: &role,
        session_name: "ada",
        duration: 3_600,
        external_id: Some("partner/7"),
        policy: Some("{\"Version\":\"2012-10-17\"}"),
        policy_arns: &policies,
        tags: &tags,
        transitive_tag_keys: &keys,
        source_identity: Some("ada@example.org"),
        mfa: desk.proof(),
    };
    let assumed = desk.edge.assume_role(desk.by(), &desk.sts(), &full).await.expect("a role");
    assert_eq!(assumed.arn.as_str(), "arn:aws:sts::123456789012:assumed-role/admin/ada");
    assert_eq!(assumed.credentials.expiration, WallTime(NOW.0 + 3_600_000));
    let bare = AssumeRole {
        external_id: None,
        policy: None,
        policy_arns: &[],
        tags: &[],
        transitive_tag_keys: &[],
        source_identity: None,
        mfa: None,
        ..full
    };
    drop(desk.edge.assume_role(desk.by(), &desk.sts(), &bare).await.expect("a role"));
    let seen = desk.http.seen();
    let mut expected = vec![
        ("Action", "AssumeRole"),
        ("Version", "2011-06-15"),
        ("RoleArn", "arn:aws:iam::123456789012:role/admin"),
        ("RoleSessionName", "ada"),
        ("DurationSeconds", "3600"),
        ("ExternalId", "partner/7"),
        ("Policy", "{\"Version\":\"2012-10-17\"}"),
        ("SourceIdentity", "ada@example.org"),
        ("TransitiveTagKeys.member.1", "team"),
        ("PolicyArns.member.1.arn", "arn:aws:iam::aws:policy/ReadOnlyAccess"),
        ("Tags.member.1.Key", "team"),
        ("Tags.member.1.Value", "a&b=c d"),
        ("Tags.member.2.Key", "cost"),
        ("Tags.member.2.Value", "ö"),
        ("SerialNumber", "arn:aws:iam::123456789012:mfa/ada"),
        ("TokenCode", "314159"),
    ];
    let form: Vec<_> = seen[0].form.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
    assert_eq!(form, expected);
    expected.truncate(5);
    let form: Vec<_> = seen[1].form.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
    assert_eq!(form, expected);
}

#[tokio::test]
async fn devices_are_listed_over_pages_and_an_endless_list_ends() {
    let page = |name: &str, rest: &str| {
        format!(
            "<ListMFADevicesResponse><ListMFADevicesResult>{rest}<MFADevices><member><UserName>ada</UserName>\
             <SerialNumber>arn:aws:iam::123456789012:mfa/{name}</SerialNumber></member></MFADevices>\
             </ListMFADevicesResult></ListMFADevicesResponse>"
        )
    };
    let more = "<IsTruncated>true</IsTruncated><Marker>next page</Marker>";
    let last = "<IsTruncated>false</IsTruncated>";
    let desk = Desk::playing([aws(200, &page("a", more)), aws(200, &page("b", last))]);
    let iam = desk.edge.rules().iam(Partition::by_id("aws").expect("aws"), None).expect("AWS's own");
    let serials = desk.edge.list_mfa_devices(desk.iam(&iam), None).await.expect("devices");
    let serials: Vec<_> = serials.iter().map(|serial| serial.as_str()).collect();
    assert_eq!(serials, ["arn:aws:iam::123456789012:mfa/a", "arn:aws:iam::123456789012:mfa/b"]);
    let seen = desk.http.seen();
    assert_eq!((seen[0].form("Marker"), seen[1].form("Marker")), (None, Some("next page")));
    assert_eq!(seen[0].form("Version"), Some("2010-05-08"));
    assert!(seen[0].header("authorization").expect("signed").contains("/us-east-1/iam/"));

    let none =
        "<ListMFADevicesResponse><ListMFADevicesResult><MFADevices/></ListMFADevicesResult></ListMFADevicesResponse>";
    let desk = Desk::playing([aws(200, none)]);
    assert!(desk.edge.list_mfa_devices(desk.iam(&iam), None).await.expect("none").is_empty());

    let desk = Desk::playing((0..150).map(|_| aws(200, &page("a", more))));
    assert!(matches!(desk.edge.list_mfa_devices(desk.iam(&iam), None).await, Err(Error::BadAnswer { .. })));
    assert_eq!(desk.http.seen().len(), 100);
}

#[tokio::test]
async fn an_answer_cut_at_any_byte_is_an_error() {
    assert!(session_from(aws(200, SESSION)).await.is_ok(), "the control");
    for cut in 0..SESSION.len() {
        assert!(is_bad(session_from(aws(200, &SESSION[..cut])).await), "cut at {cut}");
    }
}

#[tokio::test]
async fn an_answer_without_a_field_or_with_two_is_an_error() {
    for field in
        ["AccessKeyId", "SecretAccessKey", "SessionToken", "Expiration", "Credentials", "GetSessionTokenResult"]
    {
        let (open, close) = (format!("<{field}>"), format!("</{field}>"));
        let (start, end) = (SESSION.find(&open).expect("open"), SESSION.find(&close).expect("close") + close.len());
        let element = &SESSION[start..end];
        assert!(is_bad(session_from(aws(200, &SESSION.replace(element, ""))).await), "{field} missing");
        let empty = SESSION.replace(element, &format!("{open}{close}"));
        assert!(is_bad(session_from(aws(200, &empty)).await), "{field} empty");
        if field != "GetSessionTokenResult" {
            let doubled = SESSION.replace(element, &format!("{element}{element}"));
            assert!(is_bad(session_from(aws(200, &doubled)).await), "{field} doubled");
        }
    }
}

#[tokio::test]
async fn an_absurd_expiration_is_an_error() {
    let expiring = |time: &str| aws(200, &SESSION.replace("2026-11-22T12:00:00Z", time));
    for good in ["2026-11-22T12:00:00.123Z", "2026-11-22T13:00:00+01:00", "2026-11-23T12:00:00Z"] {
        assert!(session_from(expiring(good)).await.is_ok(), "{good}");
    }
    for bad in [
        "2026-11-22T00:00:00Z",
        "2020-01-01T00:00:00Z",
        "1969-12-31T23:59:59Z",
        "2026-11-24T12:00:00Z",
        "9999-12-31T23:59:59Z",
        "99999-12-31T23:59:59Z",
        "2026-11-22T12:00:00",
        "2026-11-22",
        "2026-13-22T12:00:00Z",
        "1795348800",
        "tomorrow",
    ] {
        assert!(is_bad(session_from(expiring(bad)).await), "{bad}");
    }
}

#[tokio::test]
async fn credentials_of_another_form_are_an_error() {
    for (field, lie) in [
        ("ASIAIOSFODNN7EXAMPLE", "short"),
        ("given/Secret+Key", "given Secret"),
        ("given/Secret+Key", "g\u{e4}ven"),
        ("given//token==", "line&#10;break"),
        ("given//token==", "a&#13;&#10;x-header: b"),
    ] {
        assert!(is_bad(session_from(aws(200, &SESSION.replace(field, lie))).await), "{lie}");
    }
    let long = |bytes: usize| aws(200, &SESSION.replace("given//token==", &"t".repeat(bytes)));
    assert!(session_from(long(64 * 1024)).await.is_ok());
    assert!(is_bad(session_from(long(128 * 1024 + 1)).await));
}

#[tokio::test]
async fn what_is_not_the_answer_is_an_error() {
    let foreign = [
        aws(200, CALLER),
        aws(200, ROLE),
        aws(200, "<html><head><title>Sign in to the hotel</title></head><body>Hi</body></html>"),
        aws(200, "<!DOCTYPE html><html><body><p>Hi<br></body></html>"),
        aws(200, "{\"GetSessionTokenResponse\":{}}"),
        aws(200, ""),
        aws(204, ""),
        aws(403, "<html><body>Forbidden</body></html>"),
        aws(404, "not found"),
        aws(206, SESSION),
        aws(302, "").header("location", "https://evil.example/"),
        aws(307, SESSION).header("location", "https://evil.example/"),
        aws(403, SESSION),
        aws(400, "<ErrorResponse><Error><Message>no code</Message></Error></ErrorResponse>"),
        aws(400, "<ErrorResponse/>"),
    ];
    for play in foreign {
        assert!(is_bad(session_from(play.clone()).await), "{play:?}");
    }
    let refused = "<ErrorResponse><Error><Code>AccessDenied</Code><Message>no</Message></Error></ErrorResponse>";
    assert!(matches!(session_from(aws(200, refused)).await, Err(Error::AccessDenied { .. })));
}

#[tokio::test]
async fn a_code_of_another_form_never_leaves() {
    for text in ["", "12345", "1234567", "12345a", "１２３４５６"] {
        let mut desk = Desk::playing([aws(200, SESSION)]);
        desk.code = TokenCode::from_text(text.to_owned());
        let error = desk.edge.get_session_token(desk.by(), &desk.sts(), 900, desk.proof()).await.err();
        assert_eq!(error, Some(Error::Unsendable { why: "a code is six digits" }));
        assert!(desk.http.seen().is_empty() && !error.expect("an error").code_counts_as_sent());
    }
}

fn block<T>(future: impl Future<Output = T>) -> T {
    tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime").block_on(future)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2_000))]

    #[test]
    fn a_mutated_answer_gives_an_error_or_whole_credentials(
        edits in proptest::collection::vec((0..SESSION.len(), any::<u8>(), 0..3_u8), 1..6),
        status in prop_oneof![Just(200_u16), Just(400), Just(403), 100..600_u16],
    ) {
        let mut body = SESSION.as_bytes().to_vec();
        for (at, byte, kind) in edits {
            let at = at.min(body.len() - 1);
            match kind {
                0 => body[at] = byte,
                1 => body.insert(at, byte),
                _ => drop(body.drain(at..)),
            }
            if body.is_empty() {
                body.push(byte);
            }
        }
        let play = Play::answer(status, body).header("date", DATE);
        if let Ok(session) = block(session_from(play)) {
            prop_assert_eq!(status, 200);
            prop_assert!(!session.secret.expose().is_empty() && !session.token.expose().is_empty());
            prop_assert!(session.expiration > NOW && session.expiration.0 <= NOW.0 + 37 * 3_600_000 + 500);
        }
    }
}
