//! The STS calls that sessions are made of (AWS STS API reference, version 2011-06-15).

use super::Error;
use super::call::{Again, AwsEdge, Call};
use super::endpoint::{Endpoint, Service};
use super::query::{Parameters, Reply};
use super::sign::SigningCredentials;
use super::xml::Element;
use crate::world::WallTime;
use aws_smithy_types::DateTime;
use aws_smithy_types::date_time::Format;
use claviger::model::{AccessKeyId, AccountId, Arn, Label, MfaSerial};
use claviger::secret::{SecretAccessKey, SecretText, SessionToken, TokenCode};

const VERSION: &str = "2011-06-15";
/// The longest session of any kind is 36 hours (GetSessionToken, DurationSeconds); an hour more for clocks.
const LONGEST_MILLIS: i64 = 37 * 3_600_000;
/// A session token has no promised size; a header line has one.
const TOKEN_LIMIT: usize = 128 * 1024;

/// Who a set of credentials is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Caller {
    /// The account.
    pub account: AccountId,
    /// The user, the role session or the federated user.
    pub arn: Arn,
    /// The unique id, printable, at most 200 characters.
    pub user_id: String,
}

/// A device and its code of the moment.
#[derive(Clone, Copy)]
pub struct MfaProof<'a> {
    /// The device that showed the code.
    pub serial: &'a MfaSerial,
    /// The code: six digits.
    pub code: &'a TokenCode,
}

/// What an STS session is used with.
pub struct SessionCredentials {
    /// The access key id.
    pub access_key_id: AccessKeyId,
    /// The secret access key.
    pub secret: SecretAccessKey,
    /// The session token.
    pub token: SessionToken,
    /// When it ends, by AWS's clock.
    pub expiration: WallTime,
    /// Milliseconds until then, and never more than was asked for, whatever the clocks say.
    pub left_millis: u64,
    /// The request that made it, as CloudTrail names it.
    pub request_id: Option<String>,
}

impl SessionCredentials {
    /// What signs the next call of a chain.
    pub fn signing(&self) -> SigningCredentials<'_> {
        SigningCredentials { access_key_id: &self.access_key_id, secret: &self.secret, token: Some(&self.token) }
    }
}

/// What AssumeRole is asked. Limits are AWS's: it refuses what breaks them with InvalidRequest.
#[derive(Clone, Copy)]
pub struct AssumeRole<'a> {
    /// The role.
    pub role: &'a Arn,
    /// The name of the session, 2 to 64 of `[\w+=,.@-]`.
    pub session_name: &'a str,
    /// Seconds, 900 to 43,200; at most 3,600 where a session signs.
    pub duration: u32,
    /// What the trust policy asks of third parties.
    pub external_id: Option<&'a str>,
    /// An inline session policy.
    pub policy: Option<&'a str>,
    /// Managed session policies.
    pub policy_arns: &'a [Arn],
    /// Session tags, key and value.
    pub tags: &'a [(String, String)],
    /// Those of the tags that go down the chain.
    pub transitive_tag_keys: &'a [String],
    /// What CloudTrail shows as the person behind the role.
    pub source_identity: Option<&'a str>,
    /// A device and its code.
    pub mfa: Option<MfaProof<'a>>,
}

/// An assumed role.
pub struct AssumedRole {
    /// What to use it with.
    pub credentials: SessionCredentials,
    /// `arn:…:assumed-role/ROLE/SESSION`.
    pub arn: Arn,
}

impl AwsEdge {
    /// GetCallerIdentity: needs no permission, so it is how credentials are proved.
    pub async fn get_caller_identity(&self, by: SigningCredentials<'_>, at: &Endpoint) -> Result<Caller, Error> {
        let reply = self
            .call(Call {
                service: Service::Sts,
                action: "sts:GetCallerIdentity",
                endpoint: at,
                credentials: by,
                parameters: action("GetCallerIdentity"),
                again: Again::Always,
                secrets: &[],
            })
            .await?;
        let result = reply.result()?;
        let user_id = Label(reply.field(result, "UserId")?).to_string();
        Ok(Caller { account: reply.noun(result, "Account")?, arn: reply.noun(result, "Arn")?, user_id })
    }

    /// GetSessionToken for `duration` seconds, 900 to 129,600. AWS refuses it to the credentials of a session.
    pub async fn get_session_token(
        &self,
        by: SigningCredentials<'_>,
        at: &Endpoint,
        duration: u32,
        mfa: Option<MfaProof<'_>>,
    ) -> Result<SessionCredentials, Error> {
        let parameters = action("GetSessionToken").with("DurationSeconds", duration.to_string());
        let reply = self
            .call(Call {
                service: Service::Sts,
                action: "sts:GetSessionToken",
                endpoint: at,
                credentials: by,
                parameters: with_proof(parameters, mfa)?,
                again: Again::with(mfa),
                secrets: secret_of(&mfa).as_slice(),
            })
            .await?;
        self.session(&reply, reply.result()?, duration)
    }

    /// AssumeRole.
    pub async fn assume_role(
        &self,
        by: SigningCredentials<'_>,
        at: &Endpoint,
        ask: &AssumeRole<'_>,
    ) -> Result<AssumedRole, Error> {
        let reply = self
            .call(Call {
                service: Service::Sts,
                action: "sts:AssumeRole",
                endpoint: at,
                credentials: by,
                parameters: with_proof(assume_role_parameters(ask), ask.mfa)?,
                again: Again::with(ask.mfa),
                secrets: secret_of(&ask.mfa).as_slice(),
            })
            .await?;
        let result = reply.result()?;
        let user = result.child("AssumedRoleUser").ok_or_else(|| reply.bad("it names no assumed role"))?;
        Ok(AssumedRole { arn: reply.noun(user, "Arn")?, credentials: self.session(&reply, result, ask.duration)? })
    }

    fn session(&self, reply: &Reply, result: &Element, asked_seconds: u32) -> Result<SessionCredentials, Error> {
        let given = result.child("Credentials").ok_or_else(|| reply.bad("it has no credentials"))?;
        let expiration = DateTime::from_str(reply.field(given, "Expiration")?, Format::DateTimeWithOffset)
            .ok()
            .and_then(|time| time.to_millis().ok())
            .ok_or_else(|| reply.bad("the expiration is not a time with a zone"))?;
        let left = expiration.saturating_sub(self.corrected_now().0);
        if left <= 0 || left > LONGEST_MILLIS {
            return Err(reply.bad("the expiration is past, or beyond 36 hours"));
        }
        let (secret, token) = (reply.field(given, "SecretAccessKey")?, reply.field(given, "SessionToken")?);
        let printable = |text: &str| text.chars().all(|c| c.is_ascii_graphic());
        if !printable(secret) || !printable(token) || token.len() > TOKEN_LIMIT {
            return Err(reply.bad("a secret or a token does not have AWS's form"));
        }
        Ok(SessionCredentials {
            access_key_id: reply.noun(given, "AccessKeyId")?,
            secret: SecretAccessKey::from_text(secret.to_owned()),
            token: SessionToken::from_text(token.to_owned()),
            expiration: WallTime(expiration),
            left_millis: left.unsigned_abs().min(u64::from(asked_seconds).saturating_mul(1000)),
            request_id: reply.request_id.clone(),
        })
    }
}

impl Again {
    fn with(mfa: Option<MfaProof<'_>>) -> Self {
        if mfa.is_some() { Self::Never } else { Self::Always }
    }
}

fn secret_of<'a>(mfa: &Option<MfaProof<'a>>) -> Option<&'a str> {
    mfa.map(|proof| proof.code.expose())
}

fn action<'a>(name: &'static str) -> Parameters<'a> {
    Parameters::default().with("Action", name).with("Version", VERSION)
}

fn assume_role_parameters<'a>(ask: &AssumeRole<'a>) -> Parameters<'a> {
    let mut parameters = action("AssumeRole")
        .with("RoleArn", ask.role.as_str())
        .with("RoleSessionName", ask.session_name)
        .with("DurationSeconds", ask.duration.to_string())
        .with_some("ExternalId", ask.external_id)
        .with_some("Policy", ask.policy)
        .with_some("SourceIdentity", ask.source_identity)
        .with_members("TransitiveTagKeys", ask.transitive_tag_keys.iter().map(String::as_str));
    for (at, arn) in (1..).zip(ask.policy_arns) {
        parameters = parameters.with(format!("PolicyArns.member.{at}.arn"), arn.as_str());
    }
    for (at, (key, value)) in (1..).zip(ask.tags) {
        parameters = parameters
            .with(format!("Tags.member.{at}.Key"), key.as_str())
            .with(format!("Tags.member.{at}.Value"), value.as_str());
    }
    parameters
}

/// AWS repeats a code of another form in its refusal, so such a code never leaves.
fn with_proof<'a>(parameters: Parameters<'a>, mfa: Option<MfaProof<'a>>) -> Result<Parameters<'a>, Error> {
    let Some(MfaProof { serial, code }) = mfa else { return Ok(parameters) };
    if code.expose().len() != 6 || !code.expose().bytes().all(|byte| byte.is_ascii_digit()) {
        return Err(Error::Unsendable { why: "a code is six digits" });
    }
    Ok(parameters.with("SerialNumber", serial.as_str()).with("TokenCode", code.expose()))
}
