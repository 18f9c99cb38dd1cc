//! The instance metadata service, version 2 alone (EC2 user guide, use IMDSv2): without a token nothing is asked.

use super::answer;
use super::container::within;
use super::error::{Error, Kind};
use super::{CredentialSource, SourceCredentials};
use crate::aws::{ANSWER_LIMIT, Http, HttpRequest, HttpResponse};
use crate::world::{BootTime, BoxFuture, Clock};
use http::Method;
use std::sync::{Arc, Mutex, PoisonError};
use url::Url;
use zeroize::Zeroizing;

/// Milliseconds for each answer: on an instance it takes a few, elsewhere nothing answers at all.
const ANSWER_MILLIS: u64 = 1_000;
/// Seconds a token lives: the most there is.
const TOKEN_SECONDS: u64 = 21_600;
/// A token is not used in its last minute.
const TOKEN_MARGIN_MILLIS: u64 = 60_000;
/// The longest token and the longest name of a role; IAM's limit is 64.
const TEXT_LIMIT: usize = 1024;

const TOKEN: &str = "latest/api/token";
const ROLES: &str = "latest/meta-data/iam/security-credentials/";

/// The token, kept for its life and for one endpoint.
#[derive(Default)]
pub(super) struct Token(Mutex<Option<HeldToken>>);

struct HeldToken {
    endpoint: Url,
    text: Zeroizing<String>,
    ends: BootTime,
}

/// The service at one endpoint.
pub(super) struct InstanceMetadata {
    clock: Arc<dyn Clock>,
    http: Arc<dyn Http>,
    endpoint: Url,
    token: Arc<Token>,
}

impl InstanceMetadata {
    pub(super) fn new(clock: Arc<dyn Clock>, http: Arc<dyn Http>, endpoint: Url, token: Arc<Token>) -> Self {
        Self { clock, http, endpoint, token }
    }

    async fn ask(&self) -> Result<SourceCredentials, Error> {
        let listed = self.read(ROLES).await?;
        let role = text(&listed).and_then(|names| names.lines().next()).filter(|name| is_role_name(name));
        let role = role.ok_or(Error::BadAnswer(Kind::InstanceMetadata, "the instance has no role"))?;
        let answer = self.read(&format!("{ROLES}{role}")).await?;
        answer::answered(Kind::InstanceMetadata, &answer.body, &format!("instance role {role}"))
    }

    /// A page, with a new token where the service no longer takes the one that was kept.
    async fn read(&self, path: &str) -> Result<HttpResponse, Error> {
        let mut held = self.held();
        loop {
            let (token, fresh) = match held.take() {
                Some(token) => (token, false),
                None => (self.new_token().await?, true),
            };
            let answer = self.send(Method::GET, path, ("x-aws-ec2-metadata-token", token)).await?;
            match answer.status {
                200 => return Ok(answer),
                401 if !fresh => {}
                status => return Err(Error::Refused(Kind::InstanceMetadata, status)),
            }
        }
    }

    fn held(&self) -> Option<Zeroizing<String>> {
        let soon = self.clock.boot().plus_millis(TOKEN_MARGIN_MILLIS);
        let held = self.token.0.lock().unwrap_or_else(PoisonError::into_inner);
        held.as_ref().filter(|held| held.endpoint == self.endpoint && held.ends > soon).map(|held| held.text.clone())
    }

    async fn new_token(&self) -> Result<Zeroizing<String>, Error> {
        let begun = self.clock.boot();
        let life = Zeroizing::new(TOKEN_SECONDS.to_string());
        let answer = self.send(Method::PUT, TOKEN, ("x-aws-ec2-metadata-token-ttl-seconds", life)).await?;
        if answer.status != 200 {
            return Err(Error::Refused(Kind::InstanceMetadata, answer.status));
        }
        let token = text(&answer).filter(|text| text.bytes().all(|byte| byte.is_ascii_graphic()));
        let token = token.ok_or(Error::BadAnswer(Kind::InstanceMetadata, "its token is no token"))?;
        let token = Zeroizing::new(token.to_owned());
        // The service may give a shorter life than was asked for.
        let told = answer.header("x-aws-ec2-metadata-token-ttl-seconds").and_then(|seconds| seconds.parse().ok());
        let ends = begun.plus_millis(told.unwrap_or(TOKEN_SECONDS).min(TOKEN_SECONDS).saturating_mul(1000));
        let held = HeldToken { endpoint: self.endpoint.clone(), text: token.clone(), ends };
        *self.token.0.lock().unwrap_or_else(PoisonError::into_inner) = Some(held);
        Ok(token)
    }

    async fn send(
        &self,
        method: Method,
        path: &str,
        header: (&'static str, Zeroizing<String>),
    ) -> Result<HttpResponse, Error> {
        let mut url = self.endpoint.clone();
        url.set_path(path);
        let request =
            HttpRequest { method, url, headers: vec![header], body: Zeroizing::default(), answer_limit: ANSWER_LIMIT };
        let answer = within(&*self.clock, ANSWER_MILLIS, self.http.send(request)).await;
        answer.map_err(|fault| Error::Unreachable(Kind::InstanceMetadata, fault))
    }
}

impl CredentialSource for InstanceMetadata {
    fn fetch(&self) -> BoxFuture<'_, Result<SourceCredentials, Error>> {
        Box::pin(self.ask())
    }
}

fn text(answer: &HttpResponse) -> Option<&str> {
    std::str::from_utf8(&answer.body).ok().map(str::trim).filter(|text| (1..=TEXT_LIMIT).contains(&text.len()))
}

/// Nothing that could change the path.
fn is_role_name(name: &str) -> bool {
    !name.is_empty()
        && name != "."
        && name != ".."
        && name.chars().all(|c| c.is_ascii_alphanumeric() || "_+=,.@-".contains(c))
}

#[cfg(test)]
mod tests {
    use super::{InstanceMetadata, Token};
    use crate::aws::NetworkFault;
    use crate::aws::fake::{Play, ReplayHttp};
    use crate::source::{CredentialSource, Error};
    use crate::testing::FakeClock;
    use crate::world::{Clock, WallTime};
    use std::sync::Arc;

    const BODY: &str = r#"{"Code":"Success","Type":"AWS-HMAC","AccessKeyId":"ASIAEXAMPLE000000001","SecretAccessKey":"s","Token":"t","Expiration":"2026-11-22T01:00:00Z"}"#;

    fn service(http: &Arc<ReplayHttp>, clock: &Arc<FakeClock>) -> InstanceMetadata {
        let endpoint = "http://169.254.169.254".parse().unwrap();
        InstanceMetadata::new(clock.clone(), http.clone(), endpoint, Arc::<Token>::default())
    }

    fn paths(http: &ReplayHttp) -> Vec<String> {
        http.seen().iter().map(|seen| seen.url.replace("http://169.254.169.254/latest/", "")).collect()
    }

    const ROLES: &str = "meta-data/iam/security-credentials/";

    #[tokio::test]
    async fn one_token_serves_until_it_ends() {
        let clock = FakeClock::at(WallTime(0));
        let token = || Play::answer(200, "token-1").header("x-aws-ec2-metadata-token-ttl-seconds", "600");
        let round = || [Play::answer(200, "web-role\n"), Play::answer(200, BODY)];
        let plays = [token()].into_iter().chain(round()).chain(round()).chain([token()]).chain(round());
        let http = ReplayHttp::playing(plays);
        let service = service(&http, &clock);
        let given = service.fetch().await.unwrap_or_else(|error| panic!("{error}"));
        assert_eq!(given.principal, "instance role web-role");
        assert!(service.fetch().await.is_ok());
        clock.advance_millis(541_000);
        assert!(service.fetch().await.is_ok());
        let role = format!("{ROLES}web-role");
        assert_eq!(paths(&http), ["api/token", ROLES, &role, ROLES, &role, "api/token", ROLES, &role]);
        assert_eq!(http.seen()[0].header("x-aws-ec2-metadata-token-ttl-seconds"), Some("21600"));
        assert!(http.seen()[1..5].iter().all(|seen| seen.header("x-aws-ec2-metadata-token") == Some("token-1")));
    }

    #[tokio::test]
    async fn a_token_that_is_refused_is_replaced_once() {
        let clock = FakeClock::at(WallTime(0));
        let plays = [
            Play::answer(200, "token-1"),
            Play::answer(200, "web-role"),
            Play::answer(401, ""),
            Play::answer(200, "token-2"),
            Play::answer(200, BODY),
        ];
        let http = ReplayHttp::playing(plays);
        assert!(service(&http, &clock).fetch().await.is_ok());
        assert_eq!(http.seen()[4].header("x-aws-ec2-metadata-token"), Some("token-2"));
        let http = ReplayHttp::playing([Play::answer(200, "token-1"), Play::answer(401, "")]);
        assert!(matches!(service(&http, &clock).fetch().await, Err(Error::Refused(_, 401))));
    }

    #[tokio::test]
    async fn version_1_is_never_used() {
        let clock = FakeClock::at(WallTime(0));
        for status in [403, 404, 405] {
            let http = ReplayHttp::playing([Play::answer(status, ""), Play::answer(200, "web-role")]);
            assert!(matches!(service(&http, &clock).fetch().await, Err(Error::Refused(..))));
            assert_eq!(paths(&http), ["api/token"]);
        }
    }

    #[tokio::test]
    async fn away_from_ec2_it_ends_after_a_second() {
        let clock = FakeClock::at(WallTime(0));
        let before = clock.boot();
        let error = service(&ReplayHttp::playing([Play::Hang]), &clock).fetch().await.err();
        assert!(matches!(error, Some(Error::Unreachable(_, NetworkFault::TimedOut))));
        assert_eq!(clock.boot().millis_since(before), 1_000);
    }

    #[tokio::test]
    async fn a_role_that_is_no_name_is_not_asked_for() {
        let clock = FakeClock::at(WallTime(0));
        for name in ["", "..", "a/b", "a?b", "a b", "a%2e", "<html>"] {
            let http = ReplayHttp::playing([Play::answer(200, "token-1"), Play::answer(200, name)]);
            assert!(matches!(service(&http, &clock).fetch().await, Err(Error::BadAnswer(..))), "{name}");
            assert_eq!(http.seen().len(), 2);
        }
    }
}
