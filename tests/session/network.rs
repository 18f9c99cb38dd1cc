//! The sandbox behind the network's joint, with a gate before it and mishaps on the way.

use bytes::Bytes;
use claviger_agent::aws::{Http, HttpError, HttpRequest, HttpResponse, NetworkFault};
use claviger_agent::world::BoxFuture;
use claviger_sandbox::Sandbox;
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard};
use tokio::sync::watch;
use zeroize::Zeroizing;

/// What one request meets on its way, instead of the sandbox alone.
pub(crate) enum Way {
    /// This answer, and the sandbox never hears of it.
    Answer(u16, String),
    /// No answer; `done` says whether the sandbox did it.
    Lost { done: bool },
    /// No answer and no end; the sandbox never hears of it.
    Never,
    /// No answer and no end, though the sandbox has done it.
    Mute,
    /// Not a byte leaves.
    NotSent,
    /// Something happens after the sandbox has answered, before anyone has read that.
    Then(Box<dyn FnOnce() + Send>),
}

/// A request as it was given to the network.
#[derive(Clone)]
pub(crate) struct Seen {
    pub(crate) action: String,
    pub(crate) host: String,
    pub(crate) form: BTreeMap<String, String>,
}

impl Seen {
    pub(crate) fn get(&self, name: &str) -> Option<&str> {
        self.form.get(name).map(String::as_str)
    }
}

/// The joint.
pub(crate) struct SandboxHttp {
    inner: Mutex<Inner>,
    arrived: watch::Sender<usize>,
    open: watch::Sender<bool>,
}

struct Inner {
    sandbox: Sandbox,
    /// The action, how many requests of it come before, and what the next one meets.
    ways: Vec<(&'static str, usize, Way)>,
    seen: Vec<Seen>,
}

impl SandboxHttp {
    pub(crate) fn to(sandbox: Sandbox) -> Arc<Self> {
        let inner = Inner { sandbox, ways: Vec::new(), seen: Vec::new() };
        Arc::new(Self { inner: Mutex::new(inner), arrived: watch::Sender::new(0), open: watch::Sender::new(true) })
    }

    /// The next request of this action meets this.
    pub(crate) fn script(&self, action: &'static str, way: Way) {
        self.script_nth((action, self.seen(action).len()), way);
    }

    /// The request of this action that so many come before, counted from the start, or the next after it, meets this.
    pub(crate) fn script_nth(&self, (action, before): (&'static str, usize), way: Way) {
        self.inner().ways.push((action, before, way));
    }

    /// What was scripted and has not come is over.
    pub(crate) fn unscript(&self) {
        self.inner().ways.clear();
    }

    /// From now on another account answers, which knows none of the sessions.
    pub(crate) fn replace(&self, sandbox: Sandbox) {
        self.inner().sandbox = sandbox;
    }

    /// Requests wait until [`SandboxHttp::open`].
    pub(crate) fn close(&self) {
        self.open.send_replace(false);
    }

    pub(crate) fn open(&self) {
        self.open.send_replace(true);
    }

    /// Returns once so many requests have come, counted from the start.
    pub(crate) async fn arrived(&self, count: usize) {
        self.arrived.subscribe().wait_for(|arrived| *arrived >= count).await.unwrap();
    }

    pub(crate) fn seen(&self, action: &str) -> Vec<Seen> {
        self.inner().seen.iter().filter(|seen| seen.action == action).cloned().collect()
    }

    pub(crate) fn count(&self) -> usize {
        self.inner().seen.len()
    }

    /// Every code that was given to the network, in order.
    pub(crate) fn codes(&self) -> Vec<String> {
        self.inner().seen.iter().filter_map(|seen| seen.get("TokenCode").map(str::to_owned)).collect()
    }

    fn inner(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap()
    }

    fn enter(&self, seen: Seen) -> (Sandbox, Option<Way>) {
        let mut inner = self.inner();
        let come = inner.seen.iter().filter(|other| other.action == seen.action).count();
        let at = inner.ways.iter().position(|(action, before, _)| *action == seen.action && *before <= come);
        let way = at.map(|at| inner.ways.remove(at).2);
        inner.seen.push(seen);
        self.arrived.send_replace(inner.seen.len());
        (inner.sandbox.clone(), way)
    }
}

impl Http for SandboxHttp {
    fn send(&self, request: HttpRequest) -> BoxFuture<'_, Result<HttpResponse, HttpError>> {
        let (seen, request) = read(&request);
        let (sandbox, way) = self.enter(seen);
        Box::pin(async move {
            if !*self.open.borrow() {
                self.open.subscribe().wait_for(|open| *open).await.unwrap();
            }
            let handled = || answer(sandbox.handle(request));
            match way {
                None => Ok(handled()),
                Some(Way::Answer(status, body)) => Ok(HttpResponse {
                    status,
                    headers: http::HeaderMap::new(),
                    body: Zeroizing::new(body.into_bytes()),
                }),
                Some(Way::Lost { done }) => {
                    if done {
                        handled();
                    }
                    Err(HttpError::Unknown(NetworkFault::CutOff))
                }
                Some(Way::Never) => std::future::pending().await,
                Some(Way::Mute) => {
                    handled();
                    std::future::pending().await
                }
                Some(Way::NotSent) => Err(HttpError::NotSent(NetworkFault::NotConnected)),
                Some(Way::Then(happens)) => {
                    let response = handled();
                    happens();
                    Ok(response)
                }
            }
        })
    }
}

fn read(request: &HttpRequest) -> (Seen, http::Request<Bytes>) {
    let form: BTreeMap<String, String> = url::form_urlencoded::parse(&request.body).into_owned().collect();
    let host = request.url.host_str().unwrap().to_owned();
    let mut builder =
        http::Request::builder().method(request.method.clone()).uri(request.url.path()).header("host", &host);
    for (name, value) in &request.headers {
        builder = builder.header(*name, value.as_str());
    }
    let seen = Seen { action: form.get("Action").cloned().unwrap_or_default(), host, form };
    (seen, builder.body(Bytes::copy_from_slice(&request.body)).unwrap())
}

fn answer(response: http::Response<Bytes>) -> HttpResponse {
    let (parts, body) = response.into_parts();
    HttpResponse { status: parts.status.as_u16(), headers: parts.headers, body: Zeroizing::new(body.to_vec()) }
}
