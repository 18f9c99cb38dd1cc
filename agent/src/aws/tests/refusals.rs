//! What AWS's error codes become, and what their texts may show.

use super::{Desk, aws, refusal};
use crate::aws::fake::Play;
use crate::aws::{Endpoint, EndpointRules, Error};
use claviger::model::Partition;
use claviger::secret::{ConsolePassword, SecretText};

async fn refused_with_code(play: Play) -> Error {
    let desk = Desk::playing([play]);
    let result = desk.edge.get_session_token(desk.by(), &desk.sts(), 43_200, desk.proof()).await;
    assert_eq!(desk.http.seen().len(), 1, "a code is sent once");
    result.err().expect("an error")
}

#[tokio::test]
async fn each_error_code_has_its_variant() {
    const ACTION: &str = "sts:GetSessionToken";
    let action = ACTION;
    let code_text = "MultiFactorAuthentication failed with invalid MFA one time pass code. ";
    let serial_text = "MultiFactorAuthentication failed, unable to validate MFA code.";
    let said = |text: &str| text.trim().to_owned();
    let cases = [
        (403, "AccessDenied", "no", Error::AccessDenied { action, message: said("no") }),
        (403, "AccessDeniedException", "no", Error::AccessDenied { action, message: said("no") }),
        (403, "AccessDenied", code_text, Error::CodeRefused { message: said(code_text) }),
        (403, "AccessDenied", serial_text, Error::CodeRefused { message: said(serial_text) }),
        (403, "ExpiredToken", "over", Error::Expired { action }),
        (403, "ExpiredTokenException", "over", Error::Expired { action }),
        (
            403,
            "InvalidClientTokenId",
            "x",
            Error::InvalidCredentials { action, error_code: said("InvalidClientTokenId") },
        ),
        (
            403,
            "SignatureDoesNotMatch",
            "x",
            Error::InvalidCredentials { action, error_code: said("SignatureDoesNotMatch") },
        ),
        (
            403,
            "UnrecognizedClientException",
            "x",
            Error::InvalidCredentials { action, error_code: said("UnrecognizedClientException") },
        ),
        (400, "ValidationError", "bad value", Error::InvalidRequest { action, message: said("bad value") }),
        (400, "MalformedPolicyDocument", "bad", Error::InvalidRequest { action, message: said("bad") }),
        (400, "PackedPolicyTooLarge", "big", Error::InvalidRequest { action, message: said("big") }),
        (403, "RegionDisabledException", "off", Error::RegionDisabled { host: said("sts.eu-central-1.amazonaws.com") }),
        (400, "Throttling", "slow", Error::Throttled { action }),
        (400, "ThrottlingException", "slow", Error::Throttled { action }),
        (503, "RequestLimitExceeded", "slow", Error::Throttled { action }),
        (429, "Anything", "slow", Error::Throttled { action }),
        (500, "InternalFailure", "x", Error::ServiceError { action, error_code: said("InternalFailure"), status: 500 }),
        (400, "Novelty", "x", Error::ServiceError { action, error_code: said("Novelty"), status: 400 }),
    ];
    for (status, code, message, expected) in cases {
        let error = refused_with_code(refusal(status, code, message)).await;
        assert_eq!(error, expected, "{code}");
        assert!(error.code_counts_as_sent(), "{code}");
    }
    assert_eq!(refused_with_code(aws(429, "slow down")).await, Error::Throttled { action });
    let unavailable = Error::ServiceError { action, error_code: said("no code"), status: 503 };
    assert_eq!(refused_with_code(aws(503, "<html>Service Unavailable</html>")).await, unavailable);
}

#[tokio::test]
async fn what_stands_in_the_way_has_its_code_in_the_words_of_iam_and_of_ec2() {
    let iam: Endpoint = EndpointRules::default().iam(Partition::commercial(), None).expect("allowed");
    for code in ["EntityAlreadyExists", "LimitExceeded", "NoSuchEntity", "NoSuchEntityException"] {
        let desk = Desk::playing([refusal(409, code, "it stands in the way")]);
        let error = desk.edge.create_access_key(desk.iam(&iam), "ada").await.err().expect("an error");
        assert!(error.is_refusal(code.trim_end_matches("Exception")), "{code}: {error:?}");
        assert!(!error.may_be_done());
    }
    let ec2 = "<Response><Errors><Error><Code>UnauthorizedOperation</Code><Message>no</Message></Error></Errors>\
               <RequestID>1</RequestID></Response>";
    let desk = Desk::playing([aws(403, ec2)]);
    let error = desk.edge.create_access_key(desk.iam(&iam), "ada").await.err().expect("an error");
    assert!(matches!(&error, Error::AccessDenied { message, .. } if message == "no"), "{error:?}");
}

#[tokio::test]
async fn a_password_is_not_repeated() {
    let iam: Endpoint = EndpointRules::default().iam(Partition::commercial(), None).expect("allowed");
    let [old, new] = ["old-Password-1", "new-Password-2"].map(|text| ConsolePassword::from_text(text.to_owned()));
    for (said, shown) in [("too short", "too short"), ("new-Password-2 is too short", ""), ("not old-Password-1", "")] {
        let desk = Desk::playing([refusal(400, "PasswordPolicyViolation", said)]);
        let error = desk.edge.change_password(desk.iam(&iam), &old, &new).await.expect_err("refused");
        assert!(matches!(&error, Error::Refused { message, .. } if message == shown), "{error:?}");
    }
}

#[tokio::test]
async fn texts_are_bounded_and_printable() {
    let long = "y".repeat(5_000);
    for text in ["a&#27;[31mb", "a\u{202e}b", long.as_str()] {
        let shown = refused_with_code(refusal(400, "ValidationError", text)).await.to_string();
        assert!(!shown.chars().any(char::is_control) && !shown.contains('\u{202e}'), "{shown:?}");
        assert!(shown.chars().count() < 300);
    }
    let shown = refused_with_code(refusal(400, &"z".repeat(5_000), "x")).await.to_string();
    assert!(shown.chars().count() < 300);
}

#[tokio::test]
async fn no_text_repeats_a_secret() {
    let plain = refused_with_code(refusal(400, "ValidationError", "value 'x' is not allowed")).await;
    assert!(plain.to_string().contains("value 'x'"), "the control");
    let echoes = ["value '314159' at 'tokenCode'", "key wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY is wrong"];
    for text in echoes {
        for code in ["ValidationError", "AccessDenied", "Novelty", "SignatureDoesNotMatch"] {
            let error = refused_with_code(refusal(400, code, text)).await;
            for shown in [error.to_string(), format!("{error:?}")] {
                assert!(!shown.contains("314159") && !shown.contains("wJalr"), "{shown}");
            }
        }
        let error = refused_with_code(refusal(400, &text.replace(' ', ""), "x")).await;
        assert!(!format!("{error:?}").contains("314159") && !format!("{error:?}").contains("wJalr"));
    }
    let desk = Desk::playing([refusal(403, "AccessDenied", "your token token-of-the-caller may not")]);
    let error = desk.edge.get_caller_identity(desk.by_session(), &desk.sts()).await.expect_err("refused");
    assert_eq!(error, Error::AccessDenied { action: "sts:GetCallerIdentity", message: String::new() });
    let echo = "The Canonical String for this request should have been 'POST / x-amz-security-token:abc'";
    let desk = Desk::playing([refusal(403, "SignatureDoesNotMatch", echo)]);
    let error = desk.edge.get_caller_identity(desk.by(), &desk.sts()).await.expect_err("refused");
    assert!(!format!("{error} {error:?}").contains("Canonical"));
}
