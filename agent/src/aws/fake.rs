//! A network that plays what a test wrote down.

use super::http::{Http, HttpError, HttpRequest, HttpResponse, NetworkFault};
use crate::world::BoxFuture;
use ::http::{HeaderMap, HeaderName, HeaderValue};
use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use zeroize::Zeroizing;

/// What one request meets.
#[derive(Debug, Clone)]
pub enum Play {
    /// An answer.
    Answer {
        /// The status code.
        status: u16,
        /// Names and values.
        headers: Vec<(String, String)>,
        /// The body.
        body: Vec<u8>,
    },
    /// No answer.
    Fail(HttpError),
    /// No answer and no end: whoever waits must stop by itself.
    Hang,
}

impl Play {
    /// An answer with this status and body, and no header.
    pub fn answer(status: u16, body: impl Into<Vec<u8>>) -> Self {
        Self::Answer { status, headers: Vec::new(), body: body.into() }
    }

    /// The same answer with one more header.
    pub fn header(mut self, name: &str, value: &str) -> Self {
        if let Self::Answer { headers, .. } = &mut self {
            headers.push((name.to_owned(), value.to_owned()));
        }
        self
    }
}

/// A request as it came, for a test to look at.
#[derive(Clone)]
pub struct SeenRequest {
    /// Where to.
    pub url: String,
    /// Names and values.
    pub headers: Vec<(String, String)>,
    /// The form parameters, decoded.
    pub form: Vec<(String, String)>,
}

impl SeenRequest {
    fn of(request: &HttpRequest) -> Self {
        let headers = request.headers.iter().map(|(name, value)| ((*name).to_owned(), value.as_str().to_owned()));
        Self {
            url: request.url.to_string(),
            headers: headers.collect(),
            form: form_urlencoded::parse(&request.body).into_owned().collect(),
        }
    }

    /// The value of a header.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(known, _)| known == name).map(|(_, value)| value.as_str())
    }

    /// The value of a form parameter.
    pub fn form(&self, name: &str) -> Option<&str> {
        self.form.iter().find(|(known, _)| known == name).map(|(_, value)| value.as_str())
    }
}

type Responder = Box<dyn Fn(&SeenRequest) -> Play + Send + Sync>;

/// An [`Http`] that plays a list, or asks a function; it keeps what it saw. A list that is used up refuses connections.
pub struct ReplayHttp {
    plays: Mutex<VecDeque<Play>>,
    responder: Option<Responder>,
    seen: Mutex<Vec<SeenRequest>>,
}

impl ReplayHttp {
    /// Plays these in order.
    pub fn playing(plays: impl IntoIterator<Item = Play>) -> Arc<Self> {
        let plays = Mutex::new(plays.into_iter().collect());
        Arc::new(Self { plays, responder: None, seen: Mutex::default() })
    }

    /// Asks this function at each request.
    pub fn answering(responder: impl Fn(&SeenRequest) -> Play + Send + Sync + 'static) -> Arc<Self> {
        Arc::new(Self { plays: Mutex::default(), responder: Some(Box::new(responder)), seen: Mutex::default() })
    }

    /// The requests so far.
    pub fn seen(&self) -> Vec<SeenRequest> {
        held(&self.seen).clone()
    }

    fn next(&self, request: &SeenRequest) -> Play {
        match &self.responder {
            Some(responder) => responder(request),
            None => held(&self.plays).pop_front().unwrap_or(Play::Fail(HttpError::NotSent(NetworkFault::NotConnected))),
        }
    }
}

fn held<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Http for ReplayHttp {
    fn send(&self, request: HttpRequest) -> BoxFuture<'_, Result<HttpResponse, HttpError>> {
        let seen = SeenRequest::of(&request);
        held(&self.seen).push(seen.clone());
        let play = self.next(&seen);
        Box::pin(async move {
            match play {
                Play::Answer { status, headers, body } => {
                    Ok(HttpResponse { status, headers: header_map(&headers), body: Zeroizing::new(body) })
                }
                Play::Fail(error) => Err(error),
                Play::Hang => std::future::pending().await,
            }
        })
    }
}

fn header_map(headers: &[(String, String)]) -> HeaderMap {
    let pair = |(name, value): &(String, String)| {
        Some((HeaderName::from_bytes(name.as_bytes()).ok()?, HeaderValue::from_str(value).ok()?))
    };
    headers.iter().filter_map(pair).collect()
}
