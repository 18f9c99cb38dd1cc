//! AWS Signature Version 4 (IAM User Guide, "Signing AWS API requests"). Pure: the time is an argument.

use super::Error;
use super::http::HttpRequest;
use crate::world::WallTime;
use aws_credential_types::Credentials;
use aws_sigv4::http_request::{SignableBody, SignableRequest, SigningSettings};
use aws_sigv4::sign::v4;
use claviger::model::{AccessKeyId, Region};
use claviger::secret::{SecretAccessKey, SecretText, SessionToken};
use sha2::{Digest, Sha256};
use std::time::{Duration, SystemTime};
use zeroize::Zeroizing;

/// What signs a call, borrowed from whoever keeps it.
#[derive(Clone, Copy)]
pub struct SigningCredentials<'a> {
    /// The access key id.
    pub access_key_id: &'a AccessKeyId,
    /// The secret access key.
    pub secret: &'a SecretAccessKey,
    /// The session token, for the key of a session.
    pub token: Option<&'a SessionToken>,
}

/// What a signature is good for.
#[derive(Clone, Copy)]
pub(super) struct Scope<'a> {
    pub(super) region: &'a Region,
    pub(super) service: &'static str,
    /// By AWS's clock.
    pub(super) time: WallTime,
}

/// Adds `authorization`, `x-amz-date` and, for a session, `x-amz-security-token`. Every header that is there is
/// signed, except those that a proxy may change.
pub(super) fn sign(request: &mut HttpRequest, by: SigningCredentials<'_>, scope: Scope<'_>) -> Result<(), Error> {
    // The crate wants credentials of its own; it wipes them when they are dropped.
    let credentials = Credentials::new(
        by.access_key_id.as_str(),
        by.secret.expose(),
        by.token.map(|token| token.expose().to_owned()),
        None,
        "claviger",
    );
    add_signature(request, credentials, scope)
}

fn add_signature(request: &mut HttpRequest, credentials: Credentials, scope: Scope<'_>) -> Result<(), Error> {
    let unsendable = Error::Unsendable { why: "the request cannot be signed" };
    let identity = credentials.into();
    let millis = u64::try_from(scope.time.0).unwrap_or(0);
    let parameters = v4::SigningParams::builder()
        .identity(&identity)
        .region(scope.region.as_str())
        .name(scope.service)
        .time(SystemTime::UNIX_EPOCH + Duration::from_millis(millis))
        .settings(SigningSettings::default())
        .build()
        .map_err(|_| unsendable.clone())?
        .into();
    // The digest, not the body: the crate can be told by an environment variable to log bodies.
    let digest = data_encoding::HEXLOWER.encode(&Sha256::digest(request.body.as_slice()));
    let headers = request.headers.iter().map(|(name, value)| (*name, value.as_str()));
    let signable =
        SignableRequest::new(request.method.as_str(), request.url.as_str(), headers, SignableBody::Precomputed(digest))
            .map_err(|_| unsendable.clone())?;
    let signed = aws_sigv4::http_request::sign(signable, &parameters).map_err(|_| unsendable)?;
    for header in signed.into_parts().0.into_parts().0 {
        request.headers.push((header.name(), Zeroizing::new(header.value().to_owned())));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::{Scope, SigningCredentials, add_signature, sign};
    use crate::aws::http::HttpRequest;
    use crate::world::WallTime;
    use aws_credential_types::Credentials;
    use claviger::secret::{SecretAccessKey, SecretText, SessionToken};
    use zeroize::Zeroizing;

    const SECRET: &str = "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY";
    /// 2015-08-30T12:36:00Z, the time of AWS's signing test suite.
    const TIME: WallTime = WallTime(1_440_938_160_000);

    fn request(method: ::http::Method, url: &str, headers: &[(&'static str, &str)], body: &str) -> HttpRequest {
        HttpRequest {
            method,
            url: url.parse().expect("a URL"),
            headers: headers.iter().map(|(name, value)| (*name, Zeroizing::new((*value).to_owned()))).collect(),
            body: Zeroizing::new(body.as_bytes().to_vec()),
            answer_limit: 0,
        }
    }

    fn suite_signature(mut request: HttpRequest, token: Option<&str>) -> String {
        let region = "us-east-1".parse().expect("a region");
        let credentials = Credentials::new("AKIDEXAMPLE", SECRET, token.map(str::to_owned), None, "suite");
        add_signature(&mut request, credentials, Scope { region: &region, service: "service", time: TIME })
            .expect("signed");
        assert_eq!(request.header("x-amz-date"), Some("20150830T123600Z"));
        assert_eq!(request.header("x-amz-security-token"), token);
        let authorization = request.header("authorization").expect("authorization");
        authorization.split("Signature=").nth(1).expect("a signature").to_owned()
    }

    #[test]
    fn the_signing_test_suite_is_met() {
        let url = "https://example.amazonaws.com/";
        let get = || request(::http::Method::GET, url, &[], "");
        let form = ("content-type", "application/x-www-form-urlencoded");
        let digest = ("x-amz-content-sha256", "9095672bbd1f56dfc5b65f3e153adc8731a4a654192329106275f4c7b24d0b6e");
        let token = "6e86291e8372ff2a2260956d9b8aae1d763fbf315fa00fa31553b73ebf194267";
        let vectors = [
            (get(), None, "5fa00fa31553b73ebf1942676e86291e8372ff2a2260956d9b8aae1d763fbf31"),
            (get(), Some(token), "07ec1639c89043aa0e3e2de82b96708f198cceab042d4a97044c66dd9f74e7f8"),
            (
                request(::http::Method::POST, url, &[form], "Param1=value1"),
                None,
                "ff11897932ad3f4e8b18135d722051e5ac45fc38421b1da7b9d196a0fe09473a",
            ),
            (
                request(::http::Method::POST, url, &[form, ("content-length", "13"), digest], "Param1=value1"),
                None,
                "d3875051da38690788ef43de4db0d8f280229d82040bfac253562e56c3f20e0b",
            ),
        ];
        for (request, token, signature) in vectors {
            assert_eq!(suite_signature(request, token), signature);
        }
    }

    #[test]
    fn a_call_to_sts_on_a_port_of_its_own_has_the_known_signature() {
        let headers = [("content-type", "application/x-www-form-urlencoded; charset=utf-8")];
        let body = "Action=GetCallerIdentity&Version=2011-06-15";
        let mut request = request(::http::Method::POST, "http://127.0.0.1:4566/", &headers, body);
        let (id, region) = ("AKIAIOSFODNN7EXAMPLE".parse().expect("an id"), "eu-central-1".parse().expect("a region"));
        let (secret, token) =
            (SecretAccessKey::from_text(SECRET.to_owned()), SessionToken::from_text("a/token+with=signs".to_owned()));
        let by = SigningCredentials { access_key_id: &id, secret: &secret, token: Some(&token) };
        sign(&mut request, by, Scope { region: &region, service: "sts", time: TIME }).expect("signed");
        assert_eq!(
            request.header("authorization").expect("authorization"),
            "AWS4-HMAC-SHA256 Credential=AKIAIOSFODNN7EXAMPLE/20150830/eu-central-1/sts/aws4_request, \
             SignedHeaders=content-type;host;x-amz-date;x-amz-security-token, \
             Signature=12cc055cbaad05d284e99f8aec0e7c6acb7c81e837eacd47214a4a4de220fa22"
        );
    }
}
