//! The way of one request: checks, then its protocol, with what the office has.

use super::open::Endpoint;
use super::record;
use super::{CONTAINER_MILLIS, IMDS_MILLIS, checks, container, imds};
use crate::ask::Listener;
use crate::server::Server;
use crate::server::fault::{self, Subject};
use crate::session::{Call, Delivery, Plan, Session};
use crate::vault::{LockedBy, VaultState};
use bytes::Bytes;
use claviger::model::Arn;
use claviger::wire::{Code, EndpointKind, Exit, Fault};
use http::header::{ALLOW, CACHE_CONTROL, CONTENT_TYPE, X_CONTENT_TYPE_OPTIONS};
use http::request::Parts;
use http::{HeaderValue, Response, StatusCode};
use http_body_util::Full;
use serde::Serialize;
use std::sync::Arc;
use zeroize::Zeroizing;

pub(super) type Answer = Response<Full<Bytes>>;

/// Answers a request. Only one that carries the token reaches the office.
pub(super) async fn answer(server: &Arc<Server>, endpoint: &Arc<Endpoint>, request: &Parts) -> Answer {
    if let Some(status) = checks::refusal(request, &endpoint.door) {
        return refused(status);
    }
    server.lock_if_due().await;
    match endpoint.door.kind {
        EndpointKind::Container => container::answer(server, endpoint, request).await,
        EndpointKind::Imds => imds::answer(server, endpoint, request).await,
    }
}

/// The body of every 403: the same for a wrong token and for none, and for whatever else was wrong.
pub(super) const REFUSED: &str = r#"{"code":"endpoint.refused","message":"the endpoint refuses the request"}"#;

/// A refusal, which does not say why.
pub(super) fn refused(status: StatusCode) -> Answer {
    let body = if status == StatusCode::FORBIDDEN { REFUSED } else { "" };
    let mut answer = page(status, JSON, Bytes::from_static(body.as_bytes()));
    if status == StatusCode::METHOD_NOT_ALLOWED {
        answer.headers_mut().insert(ALLOW, HeaderValue::from_static("GET"));
    }
    answer
}

pub(super) const JSON: &str = "application/json";

/// A page, never to be stored and never to be taken for a script.
pub(super) fn page(status: StatusCode, kind: &'static str, body: Bytes) -> Answer {
    let mut answer = Response::new(Full::new(body));
    *answer.status_mut() = status;
    let headers = answer.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static(kind));
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    headers.insert(X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    answer
}

/// A document, wiped once it is sent.
pub(super) fn document(document: &impl Serialize) -> Answer {
    let mut body = Zeroizing::new(Vec::with_capacity(4096));
    match serde_json::to_writer(&mut *body, document) {
        Ok(()) => page(StatusCode::OK, JSON, Bytes::from_owner(body)),
        Err(_) => failed(&fault::internal()),
    }
}

#[derive(Serialize)]
struct Failure<'a> {
    code: &'a str,
    message: String,
}

/// A fault as the SDKs show it: `code` and `message`.
pub(super) fn failed(fault: &Fault) -> Answer {
    let hint = fault.hint.as_ref().map(|hint| format!(" (try: {hint})")).unwrap_or_default();
    let failure = Failure { code: fault.code.as_str(), message: format!("{}{hint}", fault.message) };
    page(status_of(fault.code), JSON, serde_json::to_vec(&failure).unwrap_or_default().into())
}

/// SDKs try again after a 5xx, and give up after a 4xx: what only a person can mend is not worth a second try.
fn status_of(code: Code) -> StatusCode {
    match (code, code.exit()) {
        (Code::RequestTimedOut | Code::AgentStopping, _) | (_, Exit::Network) => StatusCode::SERVICE_UNAVAILABLE,
        (_, Exit::Fault) => StatusCode::INTERNAL_SERVER_ERROR,
        _ => StatusCode::FORBIDDEN,
    }
}

/// What an endpoint hands out.
pub(super) struct Handed {
    pub(super) session: Arc<Session>,
    /// The role it assumed, where it did.
    pub(super) role: Option<Arn>,
}

impl Server {
    /// The credentials of an endpoint's profile. Nobody is asked, and nobody waits longer than an SDK does: then the
    /// last ones serve until they end.
    pub(super) async fn hand_out(self: &Arc<Self>, endpoint: &Endpoint) -> Result<Handed, Fault> {
        let handed = self.handed(endpoint).await;
        let peer = record::peer_of(&endpoint.owner);
        match &handed {
            Ok(handed) => self.record_served(&endpoint.profile, &handed.session, peer),
            Err(fault) => self.record_refused(&endpoint.profile, fault, peer),
        }
        handed
    }

    async fn handed(self: &Arc<Self>, endpoint: &Endpoint) -> Result<Handed, Fault> {
        // Only the idle lock leaves sessions to serve on; after any other the keyring may open the vault again.
        let serves = || {
            !self.custody.never_opened()
                && matches!(self.custody.state(), VaultState::Unlocked | VaultState::Locked(LockedBy::Idle))
        };
        if !serves() && !self.open_by_keyring().await {
            // By another process soon: worth a second try.
            let passing = self.is_passing();
            return Err(if passing {
                Fault::new(Code::AgentStopping, "the agent is restarting")
            } else {
                fault::closed(&self.custody)
            });
        }
        let reads = self.config().aws_config_file.clone();
        let subject = Subject { profile: endpoint.profile.clone(), reads, client_reads: None };
        let failed = |error: &crate::session::Error| fault::session(error, &subject);
        let profiles = self.files.load().map_err(fault::files)?;
        let planned =
            self.office.planned(&profiles, &endpoint.profile, Delivery::Refreshing).map_err(|error| failed(&error))?;
        let plan = planned.plan.clone();
        let role = role_of(&plan);
        let millis = match endpoint.door.kind {
            EndpointKind::Container => CONTAINER_MILLIS,
            EndpointKind::Imds => IMDS_MILLIS,
        };
        let deadline = self.world.clock.boot().plus_millis(millis);
        let session = tokio::select! {
            biased;
            session = self.office.credentials(plan.clone(), Listener::nobody()) => {
                session.map_err(|error| failed(&error))?
            }
            () = self.world.clock.sleep_until(deadline) => {
                let late = || fault::timed_out(&endpoint.profile, millis.div_ceil(1000));
                self.office.remembered(&plan).ok_or_else(late)?
            }
        };
        Ok(Handed { session, role })
    }
}

fn role_of(plan: &Plan) -> Option<Arn> {
    match &plan.steps.last()?.call {
        Call::AssumeRole(request) => Some(request.role.clone()),
        Call::SessionToken | Call::Source => None,
    }
}

#[cfg(test)]
mod tests {
    use super::{REFUSED, failed, refused, status_of};
    use claviger::wire::{Code, Fault};
    use http::StatusCode;

    #[test]
    fn what_only_a_person_can_mend_is_not_tried_again() {
        for code in [Code::VaultLocked, Code::MfaCodeNeeded, Code::AwsAccessDenied, Code::ProfileNotFound] {
            assert_eq!(status_of(code), StatusCode::FORBIDDEN, "{code}");
        }
        for code in [Code::AwsUnreachable, Code::AwsThrottled, Code::RequestTimedOut, Code::Internal] {
            assert!(status_of(code).is_server_error(), "{code}");
        }
    }

    #[test]
    fn no_answer_invites_a_web_page() {
        for answer in
            [refused(StatusCode::FORBIDDEN), refused(StatusCode::NOT_FOUND), failed(&Fault::new(Code::Internal, "x"))]
        {
            assert!(answer.headers().keys().all(|name| !name.as_str().starts_with("access-control")));
            assert_eq!(answer.headers()["cache-control"], "no-store");
            assert_eq!(answer.headers()["x-content-type-options"], "nosniff");
        }
        assert!(REFUSED.contains(Code::EndpointRefused.as_str()));
    }
}
