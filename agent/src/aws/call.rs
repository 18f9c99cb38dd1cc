//! One call: signed, sent, read; again where that is safe.

use super::Error;
use super::endpoint::{Endpoint, EndpointRules, Service};
use super::http::{ANSWER_LIMIT, Http, HttpError, HttpRequest, HttpResponse, NetworkFault};
use super::json;
use super::query::{Answer, Parameters, Reading, Reply};
use super::sign::{Scope, SigningCredentials, sign};
use super::skew::Skew;
use super::xml::ELEMENT_LIMIT;
use crate::world::{BootTime, WallTime, World};
use claviger::secret::SecretText;
use std::sync::{Arc, PoisonError, RwLock};
use zeroize::Zeroizing;

/// The most attempts of one call without a code.
const ATTEMPTS: u32 = 4;
/// Milliseconds for one call with all its attempts.
const CALL_MILLIS: u64 = 10_000;
/// The longest wait before the first retry; doubled for each further one. The wait itself is drawn evenly from 0 up
/// ("full jitter").
const BACKOFF_MILLIS: u64 = 500;
/// A `retry-after` above this is not waited for, in seconds.
const RETRY_AFTER_SECONDS: u64 = 5;
/// A refused signature is sent anew only if the clock proved wrong by more than this. SigV4 allows 5 minutes.
const SKEW_MILLIS: u64 = 60_000;

/// The longest answer of EC2 in bytes: 5,000 key pairs with public keys and tags come in one (EC2 API, DescribeKeyPairs has
/// no pages; the quota is 5,000 a region).
const EC2_ANSWER_LIMIT: usize = 16 * 1024 * 1024;
/// The most elements in it: 80 for each of those.
const EC2_ELEMENT_LIMIT: usize = 400_000;

/// Calls to AWS. Clones share the network and what is known of AWS's clock.
#[derive(Clone)]
pub struct AwsEdge {
    world: World,
    /// Replaced when other settings are accepted, and held for a clone only.
    network: Arc<RwLock<Network>>,
    skew: Arc<Skew>,
}

#[derive(Clone)]
struct Network {
    http: Arc<dyn Http>,
    rules: Arc<EndpointRules>,
}

/// One call, before it is signed.
pub(super) struct Call<'a> {
    pub(super) service: Service,
    /// Such as `sts:AssumeRole`.
    pub(super) action: &'static str,
    pub(super) endpoint: &'a Endpoint,
    pub(super) credentials: SigningCredentials<'a>,
    pub(super) parameters: Parameters<'a>,
    /// When it may be made again.
    pub(super) again: Again,
    /// The secrets among the parameters: no message may repeat them.
    pub(super) secrets: &'a [&'a str],
}

/// When a call whose answer was none may be made again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Again {
    /// Whenever it may succeed then: doing it twice is as good as once.
    Always,
    /// Where AWS has not done it: it makes something.
    IfNotDone,
    /// Never: it has a code, which AWS takes once, and which is computed by a clock that AWS may just have refused.
    Never,
}

impl AwsEdge {
    /// Calls over this network, to endpoints that these rules allow.
    pub fn new(world: World, http: Arc<dyn Http>, rules: EndpointRules) -> Self {
        let network = RwLock::new(Network { http, rules: Arc::new(rules) });
        Self { world, network: Arc::new(network), skew: Arc::new(Skew::unmeasured()) }
    }

    /// From now on over this network, to endpoints that these rules allow.
    pub fn settle(&self, http: Arc<dyn Http>, rules: EndpointRules) {
        let network = Network { http, rules: Arc::new(rules) };
        *self.network.write().unwrap_or_else(PoisonError::into_inner) = network;
    }

    /// Where calls may go.
    pub fn rules(&self) -> Arc<EndpointRules> {
        self.network().rules
    }

    fn network(&self) -> Network {
        self.network.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// The time by AWS's clock; by this machine's until an answer of AWS has come. For codes, signatures and expiry.
    pub fn corrected_now(&self) -> WallTime {
        self.skew.corrected_now(&*self.world.clock)
    }

    /// AWS's clock less this machine's boot clock, in milliseconds; None until it was measured.
    pub fn clock_offset(&self) -> Option<i64> {
        self.skew.offset()
    }

    /// Goes on from the measurement of another process on this machine, on the same boot.
    pub fn set_clock_offset(&self, millis: i64) {
        self.skew.set_offset(millis);
    }

    /// Milliseconds by which AWS's clock is ahead of this machine's; None until an answer of AWS has come.
    pub fn skew_millis(&self) -> Option<i64> {
        self.skew.millis(&*self.world.clock)
    }

    /// Makes the call: at most 4 attempts within 10 s.
    pub(super) async fn call(&self, call: Call<'_>) -> Result<Reply, Error> {
        let deadline = self.world.clock.boot().plus_millis(CALL_MILLIS);
        let mut resigned = false;
        let mut attempts = 0;
        loop {
            attempts += 1;
            let signed_at = self.corrected_now();
            let (error, retry_after) = match self.attempt(&call, signed_at, deadline).await {
                Ok(reply) => return Ok(reply),
                Err(failure) => failure,
            };
            if matches!(error, Error::ClockSkew { .. }) {
                if call.again != Again::Never && !resigned && self.corrected_now().0.abs_diff(signed_at.0) > SKEW_MILLIS
                {
                    resigned = true;
                    continue;
                }
                return Err(Error::ClockSkew { action: call.action, skew_millis: self.skew_millis() });
            }
            if attempts >= ATTEMPTS || !call.again.after(&error) {
                return Err(error);
            }
            let Some(wake) = self.next_attempt(attempts, retry_after).filter(|wake| *wake < deadline) else {
                return Err(error);
            };
            self.world.clock.sleep_until(wake).await;
        }
    }

    async fn attempt(
        &self,
        call: &Call<'_>,
        signed_at: WallTime,
        deadline: BootTime,
    ) -> Result<Reply, (Error, Option<u64>)> {
        let host = call.endpoint.host();
        let request = call.signed(signed_at).map_err(|error| (error, None))?;
        let sent = self.world.clock.boot();
        let http = self.network().http;
        let response = tokio::select! {
            biased;
            response = http.send(request) => response,
            () = self.world.clock.sleep_until(deadline) => Err(HttpError::Unknown(NetworkFault::TimedOut)),
        };
        let response = response.map_err(|error| (network_error(call.action, &host, error), None))?;
        let secrets = call.secrets();
        let reading = Reading { action: call.action, host: &host, secrets: &secrets, elements: call.limits().1 };
        let answer = match call.service.json_target() {
            Some(_) => reading.read_json(&response),
            None => reading.read(&response),
        };
        // Only what speaks AWS's language sets the clock; a captive portal has a `date` too.
        if let (Answer::Done(_) | Answer::Refused(_), Some(date)) = (&answer, response.header("date")) {
            self.skew.measure(date, sent, &*self.world.clock);
        }
        match answer {
            Answer::Done(reply) => Ok(reply),
            Answer::Refused(error) | Answer::Foreign(error) => Err((error, retry_after_seconds(&response))),
        }
    }

    /// When to try again. None where AWS asks for too long a wait, or where the kernel gives no randomness.
    fn next_attempt(&self, attempts: u32, retry_after: Option<u64>) -> Option<BootTime> {
        let asked = retry_after.unwrap_or(0);
        if asked > RETRY_AFTER_SECONDS {
            return None;
        }
        let most = BACKOFF_MILLIS << attempts.saturating_sub(1).min(8);
        let mut random = [0; 8];
        self.world.entropy.fill(&mut random).ok()?;
        let jitter = u64::from_le_bytes(random) % (most + 1);
        Some(self.world.clock.boot().plus_millis(jitter.max(asked * 1000)))
    }
}

impl Call<'_> {
    fn signed(&self, at: WallTime) -> Result<HttpRequest, Error> {
        let agent = format!("claviger/{}", claviger::VERSION);
        let target = self.service.json_target();
        let (kind, body) = match target {
            Some(_) => (json::CONTENT_TYPE, self.parameters.encode_json()),
            None => ("application/x-www-form-urlencoded; charset=utf-8", self.parameters.encode()),
        };
        let mut request = HttpRequest {
            method: ::http::Method::POST,
            url: self.endpoint.url().clone(),
            headers: vec![("content-type", Zeroizing::new(kind.to_owned())), ("user-agent", Zeroizing::new(agent))],
            body,
            answer_limit: self.limits().0,
        };
        if let Some(target) = target {
            let operation = self.action.rsplit(':').next().unwrap_or_default();
            request.headers.push(("x-amz-target", Zeroizing::new(format!("{target}.{operation}"))));
        }
        let scope = Scope { region: self.endpoint.signing_region(), service: self.service.id(), time: at };
        sign(&mut request, self.credentials, scope)?;
        Ok(request)
    }

    /// The most bytes and the most elements of an answer.
    fn limits(&self) -> (usize, usize) {
        match self.service {
            Service::Ec2 => (EC2_ANSWER_LIMIT, EC2_ELEMENT_LIMIT),
            _ => (ANSWER_LIMIT, ELEMENT_LIMIT),
        }
    }

    fn secrets(&self) -> Vec<&str> {
        let token = self.credentials.token.map(SecretText::expose);
        let own = [Some(self.credentials.secret.expose()), token].into_iter().flatten();
        own.chain(self.secrets.iter().copied()).collect()
    }
}

fn network_error(action: &'static str, host: &str, error: HttpError) -> Error {
    let (fault, sent) = match error {
        HttpError::NotSent(fault) => (fault, false),
        HttpError::Unknown(fault) => (fault, true),
    };
    let host = host.to_owned();
    match fault {
        NetworkFault::TimedOut => Error::TimedOut { host, sent },
        NetworkFault::BadRequest => Error::Unsendable { why: "the request cannot be written as HTTP" },
        NetworkFault::BadAnswer if sent => Error::BadAnswer { action, why: "it is not plain HTTP/1.1" },
        NetworkFault::TooLarge if sent => Error::BadAnswer { action, why: "it is too large" },
        _ => Error::Unreachable { host, fault, sent },
    }
}

impl Again {
    fn after(self, error: &Error) -> bool {
        match self {
            Self::Always => may_pass(error),
            Self::IfNotDone => may_pass(error) && !error.may_be_done(),
            Self::Never => false,
        }
    }
}

/// Whether the same call may succeed a moment later.
fn may_pass(error: &Error) -> bool {
    match error {
        Error::Throttled { .. } | Error::TimedOut { .. } => true,
        Error::ServiceError { status, .. } => *status >= 500,
        Error::Unreachable { fault, .. } => {
            matches!(fault, NetworkFault::CutOff | NetworkFault::NotConnected | NetworkFault::ProxyNotConnected)
        }
        _ => false,
    }
}

fn retry_after_seconds(response: &HttpResponse) -> Option<u64> {
    response.header("retry-after")?.trim().parse().ok()
}
