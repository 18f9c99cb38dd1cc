//! AWS Signature Version 4, the server's half, written from the IAM user guide ("Create a signed AWS API request")
//! and sharing no code with any client.

mod canonical;

use crate::reply::{Refusal, Service};
use crate::time;
use canonical::SignedParts;
use data_encoding::HEXLOWER;
use hmac::{Hmac, KeyInit as _, Mac as _};
use http::Request;
use sha2::{Digest as _, Sha256};
use subtle::ConstantTimeEq as _;

/// How far a signature's time may lie from the server's (IAM user guide: within five minutes).
const SKEW_MILLIS: i64 = 5 * 60 * 1000;
const ALGORITHM: &str = "AWS4-HMAC-SHA256";

/// A signature as received, not yet verified.
pub(crate) struct Signature {
    /// The key that it names.
    pub(crate) access_key_id: String,
    /// The session token that came along.
    pub(crate) session_token: Option<String>,
    /// The region of its scope.
    pub(crate) region: String,
    /// The service of its scope.
    pub(crate) service: Service,
    scope_date: String,
    timestamp: String,
    signed_at: i64,
    valid_millis: i64,
    parts: SignedParts,
    signature: String,
}

impl Signature {
    /// Reads the Authorization header, or the X-Amz-* parameters of a presigned URL.
    pub(crate) fn read(request: &Request<bytes::Bytes>) -> Result<Self, Refusal> {
        let header = match request.headers().get(http::header::AUTHORIZATION) {
            Some(value) => Some(value.to_str().map_err(|_| incomplete("Authorization header is not a text."))?),
            None => None,
        };
        let presigned = canonical::query_pairs(request).iter().any(|(name, _)| name == "X-Amz-Algorithm");
        match header {
            None if !presigned => {
                Err(Refusal::new(403, "MissingAuthenticationToken", "Request is missing Authentication Token"))
            }
            None => Self::from_query(request),
            Some(_) if presigned => Err(incomplete("Only one auth mechanism is allowed.")),
            Some(header) => Self::from_header(request, header),
        }
    }

    fn from_header(request: &Request<bytes::Bytes>, header: &str) -> Result<Self, Refusal> {
        let fields = header.strip_prefix(ALGORITHM).and_then(|rest| rest.strip_prefix(' ')).ok_or_else(|| {
            incomplete("Unsupported AWS 'algorithm': the Authorization header must start with 'AWS4-HMAC-SHA256 '.")
        })?;
        let (mut credential, mut signed_headers, mut signature) = (None, None, None);
        for field in fields.split(',').map(str::trim) {
            let slot = match field.split_once('=') {
                Some(("Credential", value)) => (&mut credential, value),
                Some(("SignedHeaders", value)) => (&mut signed_headers, value),
                Some(("Signature", value)) => (&mut signature, value),
                Some(_) => return Err(incomplete("Authorization header has an unknown key.")),
                None => {
                    return Err(incomplete("Not a valid key=value pair (missing equal-sign) in Authorization header."));
                }
            };
            if slot.0.replace(slot.1).is_some() {
                return Err(incomplete("Authorization header has a key twice."));
            }
        }
        let needs = |name: &str| incomplete(&format!("Authorization header requires '{name}' parameter."));
        let timestamp = single_header(request, "x-amz-date")?.ok_or_else(|| {
            incomplete("Authorization header requires existence of either a 'X-Amz-Date' or a 'Date' header.")
        })?;
        let parts = SignedParts::of_header_request(request, signed_headers.ok_or_else(|| needs("SignedHeaders"))?)?;
        Self::assemble(
            credential.ok_or_else(|| needs("Credential"))?,
            timestamp,
            single_header(request, "x-amz-security-token")?,
            SKEW_MILLIS,
            parts,
            signature.ok_or_else(|| needs("Signature"))?.to_owned(),
        )
    }

    fn from_query(request: &Request<bytes::Bytes>) -> Result<Self, Refusal> {
        let pairs = canonical::query_pairs(request);
        let value = |name: &str| pairs.iter().find(|(key, _)| key == name).map(|(_, value)| value.clone());
        let needs = |name: &str| {
            value(name).ok_or_else(|| incomplete(&format!("AWS query-string parameters must include '{name}'.")))
        };
        if needs("X-Amz-Algorithm")? != ALGORITHM {
            return Err(incomplete("Unsupported AWS 'algorithm'."));
        }
        let expires: i64 = needs("X-Amz-Expires")?
            .parse()
            .ok()
            .filter(|seconds| (1..=604_800).contains(seconds))
            .ok_or_else(|| incomplete("X-Amz-Expires must be between 1 and 604800 seconds."))?;
        let parts = SignedParts::of_presigned_request(request, &needs("X-Amz-SignedHeaders")?)?;
        Self::assemble(
            &needs("X-Amz-Credential")?,
            needs("X-Amz-Date")?,
            value("X-Amz-Security-Token"),
            expires * 1000,
            parts,
            needs("X-Amz-Signature")?,
        )
    }

    fn assemble(
        credential: &str,
        timestamp: String,
        session_token: Option<String>,
        valid_millis: i64,
        parts: SignedParts,
        signature: String,
    ) -> Result<Self, Refusal> {
        let scope: Vec<&str> = credential.split('/').collect();
        let [access_key_id, scope_date, region, service, terminator] = scope.as_slice() else {
            return Err(incomplete(
                "Credential must have exactly 5 slash-delimited elements, e.g. keyid/date/region/service/term.",
            ));
        };
        if *terminator != "aws4_request" {
            return Err(mismatch(format!(
                "Credential should be scoped with a valid terminator: 'aws4_request', not '{terminator}'."
            )));
        }
        if !is_region(region) {
            return Err(mismatch("Credential should be scoped to a valid region. ".to_owned()));
        }
        let service = Service::by_name(service)
            .ok_or_else(|| mismatch("Credential should be scoped to correct service: 'sts'. ".to_owned()))?;
        let signed_at = time::parse_amz(&timestamp).ok_or_else(|| {
            incomplete("Date must be in ISO-8601 'basic format'. See http://en.wikipedia.org/wiki/ISO_8601.")
        })?;
        Ok(Self {
            access_key_id: (*access_key_id).to_owned(),
            session_token,
            region: (*region).to_owned(),
            service,
            scope_date: (*scope_date).to_owned(),
            timestamp,
            signed_at,
            valid_millis,
            parts,
            signature,
        })
    }

    /// Checks time, scope and signature against the key's secret.
    pub(crate) fn verify(&self, secret: &str, host: Option<&str>, now: i64) -> Result<(), Refusal> {
        self.check_time(now)?;
        self.check_scope(host)?;
        let scope = format!("{}/{}/{}/aws4_request", self.scope_date, self.region, self.service.name());
        let canonical = HEXLOWER.encode(&Sha256::digest(self.parts.canonical_request().as_bytes()));
        let to_sign = format!("{ALGORITHM}\n{}\n{scope}\n{canonical}", self.timestamp);
        let mut key = format!("AWS4{secret}").into_bytes();
        for part in [self.scope_date.as_str(), &self.region, self.service.name(), "aws4_request", &to_sign] {
            key = hmac_sha256(&key, part.as_bytes());
        }
        if bool::from(HEXLOWER.encode(&key).as_bytes().ct_eq(self.signature.as_bytes())) {
            return Ok(());
        }
        Err(mismatch(
            "The request signature we calculated does not match the signature you provided. Check your AWS Secret Access \
             Key and signing method. Consult the service documentation for details."
                .to_owned(),
        ))
    }

    fn check_time(&self, now: i64) -> Result<(), Refusal> {
        // Whole seconds, as the signature has no more.
        let now = now.div_euclid(1000) * 1000;
        let minutes = self.valid_millis / 60_000;
        if self.signed_at < now - self.valid_millis {
            return Err(mismatch(format!(
                "Signature expired: {} is now earlier than {} ({} - {minutes} min.)",
                self.timestamp,
                time::amz(now - self.valid_millis),
                time::amz(now)
            )));
        }
        if self.signed_at > now + SKEW_MILLIS {
            return Err(mismatch(format!(
                "Signature not yet current: {} is still later than {} ({} + 5 min.)",
                self.timestamp,
                time::amz(now + SKEW_MILLIS),
                time::amz(now)
            )));
        }
        Ok(())
    }

    fn check_scope(&self, host: Option<&str>) -> Result<(), Refusal> {
        let day = self.timestamp.get(..8).unwrap_or_default();
        if self.scope_date != day {
            return Err(mismatch(format!(
                "Date in Credential scope does not match YYYYMMDD from ISO-8601 version of date from HTTP: '{}' != '{day}', from '{}'.",
                self.scope_date, self.timestamp
            )));
        }
        // Only AWS's own host names say which service and region they are.
        let Some((service, region)) = host.and_then(endpoint_of_host) else { return Ok(()) };
        if service != self.service {
            return Err(mismatch(format!("Credential should be scoped to correct service: '{}'. ", service.name())));
        }
        if region != self.region {
            return Err(mismatch("Credential should be scoped to a valid region. ".to_owned()));
        }
        Ok(())
    }
}

/// Service and region of `sts.REGION.amazonaws.com` and the like; the global names are signed for us-east-1.
fn endpoint_of_host(host: &str) -> Option<(Service, String)> {
    let host = host.split(':').next()?;
    let labels: Vec<&str> = host.split('.').collect();
    match labels.as_slice() {
        [service, "amazonaws", "com"] => Some((Service::by_name(service)?, "us-east-1".to_owned())),
        [service, region, "amazonaws", "com"]
        | [service, region, "amazonaws", "com", "cn"]
        | [service, region, "amazonaws", "eu"] => Some((Service::by_name(service)?, (*region).to_owned())),
        _ => None,
    }
}

fn is_region(text: &str) -> bool {
    let parts: Vec<&str> = text.split('-').collect();
    let word = |part: &str| !part.is_empty() && part.bytes().all(|byte| byte.is_ascii_lowercase());
    match parts.split_last() {
        Some((number, words)) => {
            words.len() >= 2
                && words.iter().all(|part| word(part))
                && !number.is_empty()
                && number.bytes().all(|byte| byte.is_ascii_digit())
        }
        None => false,
    }
}

/// A header that may be there once.
fn single_header(request: &Request<bytes::Bytes>, name: &str) -> Result<Option<String>, Refusal> {
    let mut values = request.headers().get_all(name).iter();
    let first = values.next().map(|value| value.to_str().map(|text| text.trim().to_owned()));
    if values.next().is_some() {
        return Err(incomplete(&format!("Header '{name}' was sent twice.")));
    }
    first.transpose().map_err(|_| incomplete(&format!("Header '{name}' is not a text.")))
}

fn hmac_sha256(key: &[u8], message: &[u8]) -> Vec<u8> {
    // HMAC takes keys of any length, so there is no failure to report.
    let Ok(mut mac) = Hmac::<Sha256>::new_from_slice(key) else { return Vec::new() };
    mac.update(message);
    mac.finalize().into_bytes().to_vec()
}

fn incomplete(message: &str) -> Refusal {
    Refusal::new(403, "IncompleteSignature", message)
}

fn mismatch(message: String) -> Refusal {
    Refusal::new(403, "SignatureDoesNotMatch", message)
}

#[cfg(test)]
mod tests {
    use super::{endpoint_of_host, is_region};
    use crate::reply::Service;

    #[test]
    fn regions_have_their_shape() {
        for region in ["us-east-1", "us-gov-west-1", "eusc-de-east-1", "ap-southeast-10"] {
            assert!(is_region(region), "{region}");
        }
        for junk in ["", "us-east", "useast1", "US-EAST-1", "us-east-1a", "us--1", "aws-global"] {
            assert!(!is_region(junk), "{junk}");
        }
    }

    #[test]
    fn only_names_of_aws_say_their_region() {
        assert_eq!(endpoint_of_host("sts.eu-central-1.amazonaws.com"), Some((Service::Sts, "eu-central-1".to_owned())));
        assert_eq!(endpoint_of_host("iam.amazonaws.com:443"), Some((Service::Iam, "us-east-1".to_owned())));
        assert_eq!(endpoint_of_host("127.0.0.1:4000"), None);
    }
}
