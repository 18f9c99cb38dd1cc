//! Signatures: aws-sigv4's are taken, each tampered part is not.

use crate::common::{Keys, NOON, demo, form, read, sign_with, signed};
use aws_sigv4::http_request::{SignatureLocation, SigningSettings};
use bytes::Bytes;
use http::{HeaderValue, Method, Request, Uri};
use std::time::Duration;

fn request(rig: &crate::common::Rig, keys: &Keys) -> Request<Bytes> {
    signed(keys, "sts", "us-east-1", rig.now(), form("sts", "GetCallerIdentity", &[]))
}

#[test]
fn what_aws_sigv4_signs_is_taken() {
    let rig = demo();
    let reply = read(rig.sandbox.handle(request(&rig, &rig.ada())));
    assert_eq!(reply.text("Arn"), "arn:aws:iam::123456789012:user/ada");
    assert_eq!(reply.text("Account"), "123456789012");
    assert!(reply.text("UserId").starts_with("AIDA"));
    assert!(reply.body.starts_with("<GetCallerIdentityResponse xmlns=\"https://sts.amazonaws.com/doc/2011-06-15/\">"));

    let get = Request::get("/?Version=2011-06-15&Action=GetCallerIdentity&x=%20%2B*~%C3%A9&empty=&b")
        .header("host", "sts.eu-west-1.amazonaws.com")
        .header("x-amz-spaces", "a   b")
        .body(Bytes::new())
        .unwrap();
    assert_eq!(read(rig.sandbox.handle(signed(&rig.ada(), "sts", "eu-west-1", NOON, get))).status, 200);

    let session = rig.session(None);
    assert_eq!(read(rig.sandbox.handle(request(&rig, &session))).status, 200);
}

#[test]
fn the_host_may_come_from_the_address() {
    let rig = demo();
    let absolute = |host: &str| {
        let mut request = request(&rig, &rig.ada());
        request.headers_mut().remove("host");
        *request.uri_mut() = format!("http://{host}/").parse().unwrap();
        read(rig.sandbox.handle(request))
    };
    absolute("127.0.0.1:4000").ok();
    absolute("127.0.0.1:4001").refused(403, "SignatureDoesNotMatch", "we calculated");
}

#[test]
fn a_presigned_url_is_taken_until_it_ends() {
    let rig = demo();
    for keys in [rig.ada(), rig.session(None)] {
        let mut settings = SigningSettings::default();
        settings.signature_location = SignatureLocation::QueryParams;
        settings.expires_in = Some(Duration::from_secs(60));
        let get = Request::get("/?Action=GetCallerIdentity&Version=2011-06-15")
            .header("host", "127.0.0.1:4000")
            .body(Bytes::new());
        let url = sign_with(&keys, "sts", "us-east-1", rig.now(), get.unwrap(), settings);
        assert_eq!(read(rig.sandbox.handle(url.clone())).status, 200);
        let tampered = url.uri().to_string().replace("GetCallerIdentity", "GetSessionToken");
        let mut other = url.clone();
        *other.uri_mut() = tampered.parse().unwrap();
        read(rig.sandbox.handle(other)).refused(403, "SignatureDoesNotMatch", "we calculated");
        rig.wait(61);
        read(rig.sandbox.handle(url)).refused(403, "SignatureDoesNotMatch", "Signature expired: ");
        rig.wait(-61);
    }
}

#[test]
fn each_tampered_part_breaks_the_signature() {
    let rig = demo();
    let session = rig.session(None);
    type Tamper = fn(&mut Request<Bytes>);
    let header = |request: &mut Request<Bytes>, from: &str, to: &str| {
        let text = request.headers()["authorization"].to_str().unwrap().replace(from, to);
        request.headers_mut().insert("authorization", HeaderValue::from_str(&text).unwrap());
    };
    let tampers: [(&str, Tamper); 6] = [
        ("method", |request| *request.method_mut() = Method::PUT),
        ("path", |request| *request.uri_mut() = Uri::from_static("/other")),
        ("query", |request| *request.uri_mut() = Uri::from_static("/?DurationSeconds=900")),
        ("header", |request| {
            drop(request.headers_mut().insert("content-type", HeaderValue::from_static("text/plain")))
        }),
        ("host", |request| drop(request.headers_mut().insert("host", HeaderValue::from_static("127.0.0.1:4001")))),
        ("body", |request| *request.body_mut() = Bytes::from_static(b"Action=GetCallerIdentity&Version=2011-06-15&")),
    ];
    for (part, tamper) in tampers {
        let mut request = request(&rig, &session);
        assert_eq!(read(rig.sandbox.handle(request.clone())).status, 200, "{part}");
        tamper(&mut request);
        read(rig.sandbox.handle(request)).refused(403, "SignatureDoesNotMatch", "The request signature we calculated");
    }
    for (from, to) in [("/us-east-1/", "/us-east-2/"), ("/sts/", "/iam/"), ("Signature=", "Signature=0")] {
        let mut request = request(&rig, &session);
        header(&mut request, from, to);
        read(rig.sandbox.handle(request)).refused(403, "SignatureDoesNotMatch", "The request signature we calculated");
    }
    let mut date = request(&rig, &session);
    date.headers_mut().insert("x-amz-date", HeaderValue::from_static("20260301T120011Z"));
    read(rig.sandbox.handle(date)).refused(403, "SignatureDoesNotMatch", "The request signature we calculated");
    let mut scope = request(&rig, &session);
    header(&mut scope, "/20260301/", "/20260302/");
    read(rig.sandbox.handle(scope)).refused(403, "SignatureDoesNotMatch", "Date in Credential scope does not match");
    let mut unsigned = request(&rig, &session);
    unsigned.headers_mut().insert("x-amz-extra", HeaderValue::from_static("1"));
    read(rig.sandbox.handle(unsigned)).refused(403, "SignatureDoesNotMatch", "must be a 'SignedHeader'");
}

#[test]
fn the_token_must_be_the_keys_own() {
    let rig = demo();
    let (one, other) = (rig.session(None), rig.session(None));
    let good = read(rig.sandbox.handle(request(&rig, &one)));
    assert_eq!(good.status, 200);
    for token in [other.token, Some("junk".to_owned()), None] {
        let mixed = Keys { token, ..one.clone() };
        read(rig.sandbox.handle(request(&rig, &mixed))).refused(403, "InvalidClientTokenId", "security token");
    }
    let with_token = Keys { token: one.token.clone(), ..rig.ada() };
    read(rig.sandbox.handle(request(&rig, &with_token))).refused(403, "InvalidClientTokenId", "security token");
}

#[test]
fn the_clock_may_be_five_minutes_off() {
    let rig = demo();
    for (seconds, fits) in [(300, true), (301, false), (-300, true), (-301, false)] {
        let late =
            signed(&rig.ada(), "sts", "us-east-1", rig.now() + seconds * 1000, form("sts", "GetCallerIdentity", &[]));
        let reply = rig.sandbox.handle(late);
        assert_eq!(reply.headers()["date"], "Sun, 01 Mar 2026 12:00:10 GMT");
        let reply = read(reply);
        match (fits, seconds > 0) {
            (true, _) => assert_eq!(reply.status, 200),
            (false, true) => reply.refused(
                403,
                "SignatureDoesNotMatch",
                "Signature not yet current: 20260301T120511Z is still later than 20260301T120510Z (20260301T120010Z + 5 min.)",
            ),
            (false, false) => reply.refused(
                403,
                "SignatureDoesNotMatch",
                "Signature expired: 20260301T115509Z is now earlier than 20260301T115510Z (20260301T120010Z - 5 min.)",
            ),
        }
    }
}

#[test]
fn keys_and_sessions_that_are_no_more_are_refused() {
    let rig = demo();
    let unknown = Keys { id: "AKIAAAAAAAAAAAAAAAAA".to_owned(), ..rig.ada() };
    read(rig.sandbox.handle(request(&rig, &unknown))).refused(403, "InvalidClientTokenId", "security token");
    let wrong = Keys { secret: "x".repeat(40), ..rig.ada() };
    read(rig.sandbox.handle(request(&rig, &wrong))).refused(403, "SignatureDoesNotMatch", "we calculated");

    let session = rig.session(None);
    rig.wait(43_199);
    assert_eq!(read(rig.sandbox.handle(request(&rig, &session))).status, 200);
    rig.wait(1);
    read(rig.sandbox.handle(request(&rig, &session))).refused(403, "ExpiredToken", "expired");

    let ada = rig.ada();
    rig.iam(&ada, "UpdateAccessKey", &[("AccessKeyId", &ada.id), ("Status", "Inactive")]).ok();
    read(rig.sandbox.handle(request(&rig, &ada))).refused(403, "InvalidClientTokenId", "security token");
}

#[test]
fn incomplete_signatures_are_named() {
    let rig = demo();
    let plain = form("sts", "GetCallerIdentity", &[]);
    read(rig.sandbox.handle(plain)).refused(
        403,
        "MissingAuthenticationToken",
        "Request is missing Authentication Token",
    );
    for (from, to) in [
        ("AWS4-HMAC-SHA256 ", "Basic "),
        ("Credential=", "Credentials="),
        ("SignedHeaders=", "X="),
        (", Signature=", ", Signature"),
        ("/aws4_request", ""),
    ] {
        let mut request = request(&rig, &rig.ada());
        let text = request.headers()["authorization"].to_str().unwrap().replace(from, to);
        request.headers_mut().insert("authorization", HeaderValue::from_str(&text).unwrap());
        read(rig.sandbox.handle(request)).refused(403, "IncompleteSignature", "");
    }
    let mut undated = request(&rig, &rig.ada());
    undated.headers_mut().remove("x-amz-date");
    read(rig.sandbox.handle(undated)).refused(403, "IncompleteSignature", "X-Amz-Date");
}

#[test]
fn names_of_aws_bind_service_and_region() {
    let rig = demo();
    let to = |host: &'static str, service: &str, region: &str| {
        let mut request = form(service, if service == "iam" { "GetUser" } else { "GetCallerIdentity" }, &[]);
        request.headers_mut().insert("host", HeaderValue::from_static(host));
        read(rig.sandbox.handle(signed(&rig.ada(), service, region, NOON, request)))
    };
    to("sts.eu-central-1.amazonaws.com", "sts", "eu-central-1").ok();
    to("iam.amazonaws.com", "iam", "us-east-1").ok();
    to("127.0.0.1:4000", "sts", "ap-southeast-2").ok();
    to("sts.eu-central-1.amazonaws.com", "sts", "us-east-1").refused(403, "SignatureDoesNotMatch", "valid region");
    to("sts.us-east-1.amazonaws.com", "iam", "us-east-1").refused(
        403,
        "SignatureDoesNotMatch",
        "correct service: 'sts'",
    );
    to("127.0.0.1:4000", "sts", "nowhere").refused(403, "SignatureDoesNotMatch", "valid region");
    to("127.0.0.1:4000", "s3", "us-east-1").refused(403, "SignatureDoesNotMatch", "correct service");
}
