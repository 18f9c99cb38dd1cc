//! The room as a whole, over a network that plays what is written down; the real network in `network`.

use super::fake::{Play, ReplayHttp};
use super::{AwsEdge, Ec2Access, Endpoint, EndpointRules, IamAccess, MfaProof, SigningCredentials};
use crate::testing::{self, FakeClock};
use crate::world::WallTime;
use claviger::model::{AccessKeyId, MfaSerial};
use claviger::secret::{SecretAccessKey, SecretText, SessionToken, TokenCode};
use std::sync::Arc;

mod answers;
mod ec2;
mod endpoints;
mod mutations;
mod network;
mod proxy;
mod refusals;
mod retries;

/// 2026-11-22T00:00:00Z.
const NOW: WallTime = WallTime(1_795_305_600_000);
const DATE: &str = "Sun, 22 Nov 2026 00:00:00 GMT";

const CALLER: &str = concat!(
    r#"<GetCallerIdentityResponse xmlns="https://sts.amazonaws.com/doc/2011-06-15/"><GetCallerIdentityResult>"#,
    "<Arn>arn:aws:iam::123456789012:user/ada</Arn><UserId>AIDACKCEVSQ6C2EXAMPLE</UserId><Account>123456789012</Account>",
    "</GetCallerIdentityResult><ResponseMetadata><RequestId>01234567-89ab-cdef-0123-456789abcdef</RequestId>",
    "</ResponseMetadata></GetCallerIdentityResponse>"
);
const SESSION: &str = concat!(
    r#"<GetSessionTokenResponse xmlns="https://sts.amazonaws.com/doc/2011-06-15/"><GetSessionTokenResult><Credentials>"#,
    "<AccessKeyId>ASIAIOSFODNN7EXAMPLE</AccessKeyId><SecretAccessKey>given/Secret+Key</SecretAccessKey>",
    "<SessionToken>given//token==</SessionToken><Expiration>2026-11-22T12:00:00Z</Expiration></Credentials>",
    "</GetSessionTokenResult><ResponseMetadata><RequestId>01234567-89ab-cdef-0123-456789abcdef</RequestId>",
    "</ResponseMetadata></GetSessionTokenResponse>"
);
const ROLE: &str = concat!(
    r#"<AssumeRoleResponse xmlns="https://sts.amazonaws.com/doc/2011-06-15/"><AssumeRoleResult><AssumedRoleUser>"#,
    "<AssumedRoleId>AROA3XFRBF535PLBIFPI4:ada</AssumedRoleId><Arn>arn:aws:sts::123456789012:assumed-role/admin/ada</Arn>",
    "</AssumedRoleUser><Credentials><AccessKeyId>ASIAIOSFODNN7EXAMPLE</AccessKeyId>",
    "<SecretAccessKey>given/Secret+Key</SecretAccessKey><SessionToken>given//token==</SessionToken>",
    "<Expiration>2026-11-22T01:00:00Z</Expiration></Credentials><PackedPolicySize>6</PackedPolicySize>",
    "</AssumeRoleResult><ResponseMetadata><RequestId>01234567-89ab-cdef-0123-456789abcdef</RequestId>",
    "</ResponseMetadata></AssumeRoleResponse>"
);

/// Everything a call needs, kept for as long as a test.
struct Desk {
    edge: AwsEdge,
    clock: Arc<FakeClock>,
    http: Arc<ReplayHttp>,
    id: AccessKeyId,
    secret: SecretAccessKey,
    token: SessionToken,
    serial: MfaSerial,
    code: TokenCode,
}

impl Desk {
    fn over(http: Arc<ReplayHttp>) -> Self {
        let clock = FakeClock::at(NOW);
        Self {
            edge: AwsEdge::new(testing::world(clock.clone(), 7), http.clone(), EndpointRules::default()),
            clock,
            http,
            id: "AKIAIOSFODNN7EXAMPLE".parse().expect("an id"),
            secret: SecretAccessKey::from_text("wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY".to_owned()),
            token: SessionToken::from_text("token-of-the-caller".to_owned()),
            serial: "arn:aws:iam::123456789012:mfa/ada".parse().expect("a serial"),
            code: TokenCode::from_text("314159".to_owned()),
        }
    }

    fn playing(plays: impl IntoIterator<Item = Play>) -> Self {
        Self::over(ReplayHttp::playing(plays))
    }

    fn by(&self) -> SigningCredentials<'_> {
        SigningCredentials { access_key_id: &self.id, secret: &self.secret, token: None }
    }

    fn ec2<'a>(&'a self, at: &'a Endpoint) -> Ec2Access<'a> {
        Ec2Access { by: self.by(), at }
    }

    fn iam<'a>(&'a self, at: &'a Endpoint) -> IamAccess<'a> {
        IamAccess { by: self.by(), at }
    }

    fn by_session(&self) -> SigningCredentials<'_> {
        SigningCredentials { token: Some(&self.token), ..self.by() }
    }

    fn proof(&self) -> Option<MfaProof<'_>> {
        Some(MfaProof { serial: &self.serial, code: &self.code })
    }

    fn sts(&self) -> Endpoint {
        self.edge.rules().sts(&"eu-central-1".parse().expect("a region"), None).expect("AWS's own")
    }
}

/// An answer as AWS gives it, with its `date`.
fn aws(status: u16, body: &str) -> Play {
    Play::answer(status, body).header("date", DATE)
}

fn refusal(status: u16, code: &str, message: &str) -> Play {
    let body = format!(
        "<ErrorResponse xmlns=\"https://sts.amazonaws.com/doc/2011-06-15/\"><Error><Type>Sender</Type>\
         <Code>{code}</Code><Message>{message}</Message></Error><RequestId>0123</RequestId></ErrorResponse>"
    );
    aws(status, &body)
}
