//! The container credentials endpoint (AWS SDKs and Tools Reference Guide, container credential provider).

use super::answer::{Answer, Handed, document, failed, refused};
use super::open::Endpoint;
use super::token::TokenDigest;
use crate::server::Server;
use crate::world::rfc3339;
use claviger::secret::SecretText;
use http::StatusCode;
use http::header::AUTHORIZATION;
use http::request::Parts;
use serde::Serialize;
use std::sync::Arc;

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct Credentials<'a> {
    access_key_id: &'a str,
    secret_access_key: &'a str,
    token: &'a str,
    expiration: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    account_id: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    role_arn: Option<&'a str>,
}

/// Whether a request carries this token, once.
pub(super) fn carries(request: &Parts, token: Option<&TokenDigest>) -> bool {
    let mut values = request.headers.get_all(AUTHORIZATION).iter();
    let given = TokenDigest::of(values.next().map_or(b"", |value| value.as_bytes()));
    token.is_some_and(|token| token.is(&given)) && values.next().is_none()
}

/// Answers the one path there is, to whoever carries the token.
pub(super) async fn answer(server: &Arc<Server>, endpoint: &Arc<Endpoint>, request: &Parts) -> Answer {
    if !carries(request, endpoint.token.as_ref()) {
        server.endpoints.failed(endpoint);
        return refused(StatusCode::FORBIDDEN);
    }
    match server.hand_out(endpoint).await {
        Ok(Handed { session, role }) => document(&Credentials {
            access_key_id: session.access_key_id.as_str(),
            secret_access_key: session.secret.expose(),
            token: session.token.expose(),
            expiration: rfc3339(session.expiration),
            account_id: session.account.as_ref().map(|account| account.as_str()),
            role_arn: role.as_ref().map(|role| role.as_str()),
        }),
        Err(fault) => failed(&fault),
    }
}
