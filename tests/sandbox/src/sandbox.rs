//! The double itself: one request in, one reply out.

use crate::call::{Call, invalid_action, perform};
use crate::control::fault::{distort, instead};
use crate::control::{ActionCount, CallRecord, Control, Fault, FaultKind};
use crate::entropy::Entropy;
use crate::query::Parameters;
use crate::reply::{Refusal, Service, failure, response, success};
use crate::sigv4::Signature;
use crate::time;
use crate::world::{Caller, Consistency, Principal, Seed, SeedInvalid, World};
use bytes::Bytes;
use http::{HeaderName, HeaderValue, Method, Request, Response, header};
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use subtle::ConstantTimeEq as _;
use tokio::sync::watch;

/// The clock of a double: milliseconds since 1970.
pub type Clock = Box<dyn Fn() -> i64 + Send + Sync>;

/// A strict double of STS and IAM for one account. Clones share everything.
#[derive(Clone)]
pub struct Sandbox(Arc<Inner>);

struct Inner {
    clock: Clock,
    state: Mutex<State>,
    releases: watch::Sender<u64>,
}

struct State {
    world: World,
    entropy: Entropy,
    control: Control,
}

/// What the server is to do with a request.
pub(crate) enum Answer {
    Hang,
    /// Done, and held before the reply goes.
    Mute(Response<Bytes>),
    Reply(Response<Bytes>),
    Reset,
    /// The connection ends after the body, which lacks this many bytes.
    Truncated(Response<Bytes>, usize),
}

impl Sandbox {
    /// A double of the account that a seed describes. Refuses a seed that AWS would not let exist.
    pub fn new(clock: Clock, seed: &Seed) -> Result<Self, SeedInvalid> {
        let mut entropy = Entropy::new("sandbox", seed.entropy);
        let world = World::build(seed, &mut entropy, clock())?;
        let state = Mutex::new(State { world, entropy, control: Control::default() });
        Ok(Self(Arc::new(Inner { clock, state, releases: watch::Sender::new(0) })))
    }

    /// Answers one request, in this thread and at once. Of the faults, Hang, Mute and Reset need the server: here they end
    /// in a 500 that says so.
    pub fn handle(&self, request: Request<Bytes>) -> Response<Bytes> {
        match self.answer(&request) {
            Answer::Reply(reply) | Answer::Truncated(reply, _) => reply,
            Answer::Hang | Answer::Mute(_) | Answer::Reset => {
                response(500, "text/plain", "this fault needs the server\n")
            }
        }
    }

    /// The double's time, in milliseconds since 1970.
    pub fn now_millis(&self) -> i64 {
        let offset = self.state().control.offset_millis;
        (self.0.clock)().saturating_add(offset)
    }

    /// Moves the double's clock; negative moves it back.
    pub fn advance_millis(&self, millis: i64) {
        let mut state = self.state();
        state.control.offset_millis = state.control.offset_millis.saturating_add(millis);
    }

    /// Sets how far the double's clock lies ahead of the clock it was given.
    pub fn set_offset_millis(&self, millis: i64) {
        self.state().control.offset_millis = millis;
    }

    /// How often each action was called.
    pub fn calls(&self) -> BTreeMap<String, ActionCount> {
        self.state().control.counts.clone()
    }

    /// How often one action was called.
    pub fn calls_of(&self, action: &str) -> ActionCount {
        self.state().control.counts.get(action).copied().unwrap_or_default()
    }

    /// The last 10,000 requests, oldest first.
    pub fn history(&self) -> Vec<CallRecord> {
        self.state().control.history.iter().cloned().collect()
    }

    /// The TOTP steps (30 s since 1970) that were accepted from a device, in order.
    pub fn steps_used(&self, serial: &str) -> Vec<i64> {
        self.state().world.steps.get(serial).cloned().unwrap_or_default()
    }

    /// The same for every device.
    pub fn all_steps_used(&self) -> BTreeMap<String, Vec<i64>> {
        self.state().world.steps.clone()
    }

    /// Codes that arrived again after they had been accepted.
    pub fn reused(&self) -> u64 {
        self.state().world.reused
    }

    /// Adds a fault; the oldest that fits a request strikes it.
    pub fn inject(&self, fault: Fault) {
        if fault.times > 0 {
            self.state().control.faults.push(fault);
        }
    }

    /// The faults that have not struck yet.
    pub fn faults(&self) -> Vec<Fault> {
        self.state().control.faults.clone()
    }

    /// Takes them back. Requests that hang already stay so until released.
    pub fn clear_faults(&self) {
        self.state().control.faults.clear();
    }

    /// Requests that hang now.
    pub fn hanging(&self) -> u64 {
        self.state().control.hanging
    }

    /// Lets every request that hangs go on.
    pub fn release(&self) {
        self.0.releases.send_modify(|count| *count += 1);
    }

    /// Returns at the next release. Counts as hanging until then, also when dropped.
    pub(crate) fn hang(&self) -> impl Future<Output = ()> + Send + use<> {
        let mut releases = self.0.releases.subscribe();
        self.state().control.hanging += 1;
        let held = Held(self.clone());
        async move {
            // Fails only when the sender is gone, and `held` keeps it.
            let _ = releases.changed().await;
            drop(held);
        }
    }

    /// Sets for how long what IAM makes from now on is not known everywhere.
    pub fn set_consistency(&self, consistency: Consistency) {
        self.state().world.consistency = consistency;
    }

    /// How long a request is held up before it is looked at, in milliseconds.
    pub(crate) fn delay(&self, request: &Request<Bytes>) -> Option<u64> {
        if self.state().control.faults.is_empty() {
            return None;
        }
        let parameters = Parameters::of(request);
        let action = parameters.text("Action").unwrap_or_default();
        self.state().control.take_delay(action, region_of(request).as_deref())
    }

    /// Answers one request, faults and all.
    pub(crate) fn answer(&self, request: &Request<Bytes>) -> Answer {
        let parameters = Parameters::of(request);
        let action = parameters.text("Action").unwrap_or_default();
        let fault = {
            let mut state = self.state();
            state.control.arrived(action, parameters.text("TokenCode").is_some());
            match state.control.faults.is_empty() {
                true => None,
                false => state.control.take_fault(action, region_of(request).as_deref()),
            }
        };
        match fault {
            None => Answer::Reply(self.perform(request, &parameters, None)),
            Some(FaultKind::Hang) => Answer::Hang,
            Some(FaultKind::Mute) => Answer::Mute(self.perform(request, &parameters, Some(&FaultKind::Mute))),
            Some(FaultKind::Reset { done }) => {
                if done {
                    self.perform(request, &parameters, Some(&FaultKind::Reset { done }));
                }
                Answer::Reset
            }
            Some(kind @ FaultKind::Truncate(_)) => {
                let whole = self.perform(request, &parameters, Some(&kind));
                let length = whole.body().len();
                let cut = distort(&kind, whole, self.now_millis());
                let lacks = length - cut.body().len();
                Answer::Truncated(cut, lacks)
            }
            Some(kind) => Answer::Reply(self.perform(request, &parameters, Some(&kind))),
        }
    }

    /// Answers a request that was counted and held.
    pub(crate) fn resume(&self, request: &Request<Bytes>) -> Response<Bytes> {
        self.perform(request, &Parameters::of(request), Some(&FaultKind::Hang))
    }

    fn perform(&self, request: &Request<Bytes>, parameters: &Parameters, fault: Option<&FaultKind>) -> Response<Bytes> {
        let now = self.now_millis();
        let mut state = self.state();
        let state = &mut *state;
        let request_id = state.entropy.request_id();
        let mut record = CallRecord {
            action: parameters.text("Action").unwrap_or_default().to_owned(),
            at: now,
            status: 0,
            error: None,
            access_key_id: None,
            principal: None,
            region: None,
            request_id: request_id.clone(),
            fault: fault.is_some(),
        };
        let signature = Signature::read(request);
        let guess = || Service::guess(request, parameters.text("Version"));
        let service = signature.as_ref().map_or_else(|_| guess(), |signature| signature.service);
        let mut reply = match fault.and_then(|kind| instead(kind, service, &request_id)) {
            Some(reply) => reply,
            None => {
                match signature.and_then(|signature| state.run(request, parameters, &signature, now, &mut record)) {
                    Ok(xml) => success(service, &record.action, xml, &request_id),
                    Err(refusal) if refusal.code == UNKNOWN_PATH => {
                        record.error = Some(refusal.code.clone().into_owned());
                        response(404, "text/xml", "<UnknownOperationException/>\n")
                    }
                    Err(refusal) => {
                        let refusal = refusal.worded(service);
                        record.error = Some(refusal.code.clone().into_owned());
                        failure(service, &refusal, &request_id)
                    }
                }
            }
        };
        if let Some(kind @ (FaultKind::ExpirationInPast | FaultKind::MissingField(_))) = fault {
            reply = distort(kind, reply, now);
        }
        record.status = reply.status().as_u16();
        state.control.answered(record);
        stamp(&mut reply, &request_id, now);
        reply
    }

    /// Looks at the account, or changes it, behind AWS's back.
    pub(crate) fn with_world<T>(&self, look: impl FnOnce(&mut World, &mut Entropy) -> T) -> T {
        let mut state = self.state();
        let state = &mut *state;
        look(&mut state.world, &mut state.entropy)
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.0.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The region that a request is signed for.
fn region_of(request: &Request<Bytes>) -> Option<String> {
    Signature::read(request).ok().map(|signature| signature.region)
}

/// One hanging request.
struct Held(Sandbox);

impl Drop for Held {
    fn drop(&mut self) {
        let mut state = self.0.state();
        state.control.hanging = state.control.hanging.saturating_sub(1);
    }
}

const UNKNOWN_PATH: &str = "UnknownOperationException";

impl State {
    fn run(
        &mut self,
        request: &Request<Bytes>,
        parameters: &Parameters,
        signature: &Signature,
        now: i64,
        record: &mut CallRecord,
    ) -> Result<Option<crate::reply::Xml>, Refusal> {
        record.access_key_id = Some(signature.access_key_id.clone());
        record.region = Some(signature.region.clone());
        let caller = self.authenticate(request, signature, now)?;
        record.principal = Some(self.world.principal_arn(&caller.principal));
        // EC2's answer to a region that the account has not enabled (EC2 API reference, AuthFailure).
        if signature.service.is_of_regions() && !self.world.ec2.enabled.contains(&signature.region) {
            return Err(Refusal::invalid_token());
        }
        if request.uri().path() != "/" || ![Method::GET, Method::POST].contains(request.method()) {
            return Err(Refusal::new(404, UNKNOWN_PATH, ""));
        }
        if let Some(name) = parameters.repeated() {
            return Err(Refusal::new(400, "MalformedQueryString", format!("{name} was given more than once")));
        }
        // JSON has its action in a header, and no version.
        let is_json = signature.service == Service::InstanceConnect;
        let targeted = !is_json || request.headers().contains_key("x-amz-target");
        let action = parameters.text("Action").filter(|_| targeted).ok_or_else(|| {
            Refusal::new(400, "MissingAction", "The request is missing an action or a required parameter.")
        })?;
        if is_json && (parameters.is_unreadable() || request.method() != Method::POST) {
            return Err(Refusal::new(400, "SerializationException", "The body is not one flat JSON object"));
        }
        let version = parameters.text("Version").unwrap_or("NO_VERSION_SPECIFIED");
        if !is_json && version != signature.service.version() {
            return Err(invalid_action(action, version));
        }
        let mut call = Call {
            world: &mut self.world,
            entropy: &mut self.entropy,
            parameters,
            caller,
            region: signature.region.clone(),
            now,
        };
        perform(signature.service, action, &mut call)
    }

    /// Key, token, time and signature, in this order; expiry last, so that only the holder learns of it.
    fn authenticate(&mut self, request: &Request<Bytes>, signature: &Signature, now: i64) -> Result<Caller, Refusal> {
        let header_host = request.headers().get(header::HOST).and_then(|host| host.to_str().ok());
        let host = header_host.or_else(|| request.uri().host());
        if let Some(key) = self.world.access_keys.get_mut(&signature.access_key_id) {
            if !key.unsettled.settles(now) || !key.active || signature.session_token.is_some() {
                return Err(Refusal::invalid_token());
            }
            signature.verify(&key.secret, host, now)?;
            key.last_used = Some((now, signature.service.name(), signature.region.clone()));
            return Ok(Caller { principal: Principal::User(key.user.clone()), session: None });
        }
        let session = self.world.sessions.get(&signature.access_key_id).ok_or_else(Refusal::invalid_token)?;
        let offered = signature.session_token.as_deref().unwrap_or_default();
        if !bool::from(session.token.as_bytes().ct_eq(offered.as_bytes())) {
            return Err(Refusal::invalid_token());
        }
        signature.verify(&session.secret, host, now)?;
        if now >= session.expires {
            return Err(Refusal::new(403, "ExpiredToken", "The security token included in the request is expired"));
        }
        Ok(Caller { principal: session.principal.clone(), session: Some(session.clone()) })
    }
}

/// The headers of every reply.
fn stamp(reply: &mut Response<Bytes>, request_id: &str, now: i64) {
    let headers = [
        (HeaderName::from_static("x-amzn-requestid"), request_id.to_owned()),
        (header::DATE, time::http_date(now)),
        (header::CONTENT_LENGTH, reply.body().len().to_string()),
    ];
    for (name, value) in headers {
        if let Ok(value) = HeaderValue::from_str(&value) {
            reply.headers_mut().insert(name, value);
        }
    }
}
