//! The instance metadata service, version 2 alone (EC2 User Guide, IMDSv2): a token by PUT, then pages by GET. Only
//! what SDKs need to find credentials and region.

use super::TOKENS_LIMIT;
use super::answer::{Answer, Handed, document, failed, page, refused};
use super::open::Endpoint;
use super::token::{self, TokenDigest};
use crate::server::{Server, fault};
use crate::world::{BootTime, rfc3339};
use claviger::secret::SecretText;
use http::request::Parts;
use http::{HeaderValue, StatusCode};
use serde::Serialize;
use std::collections::VecDeque;
use std::sync::{Arc, Mutex, PoisonError};
use zeroize::Zeroizing;

/// Where a token is asked for.
pub(super) const TOKEN: &str = "/latest/api/token";
const ROLES: &str = "/latest/meta-data/iam/security-credentials/";
const REGION: &str = "/latest/meta-data/placement/region";
const ZONE: &str = "/latest/meta-data/placement/availability-zone";
const DOCUMENT: &str = "/latest/dynamic/instance-identity/document";

const TOKEN_HEADER: &str = "x-aws-ec2-metadata-token";
const TTL_HEADER: &str = "x-aws-ec2-metadata-token-ttl-seconds";
/// Six hours, AWS's own longest life of a token.
const TTL_MOST: u64 = 21_600;

/// The role's name where the profile's cannot stand in a path.
const ROLE: &str = "claviger";

/// A page there is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Page {
    Credentials,
    Document,
    Region,
    Roles,
    Token,
    Zone,
}

impl Page {
    pub(super) fn of(path: &str, role: &str) -> Option<Self> {
        match path {
            TOKEN => Some(Self::Token),
            ROLES => Some(Self::Roles),
            REGION => Some(Self::Region),
            // botocore asks with a slash, others without.
            _ if path.strip_suffix('/').unwrap_or(path) == ZONE => Some(Self::Zone),
            DOCUMENT => Some(Self::Document),
            _ => (path.strip_prefix(ROLES)? == role).then_some(Self::Credentials),
        }
    }
}

/// The name of the one role: the profile's, where it is plain enough for every SDK to put in a path.
pub(super) fn role_of(profile: &str) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || "_-".contains(c);
    let fits = (1..=64).contains(&profile.len()) && profile.chars().all(plain);
    if fits { profile } else { ROLE }.to_owned()
}

/// The tokens in use, oldest first.
#[derive(Default)]
pub(super) struct Tokens(Mutex<VecDeque<(TokenDigest, BootTime)>>);

impl Tokens {
    /// Those that hand-over brings, or brought.
    pub(super) fn with(tokens: impl IntoIterator<Item = (TokenDigest, BootTime)>) -> Self {
        Self(Mutex::new(tokens.into_iter().take(TOKENS_LIMIT).collect()))
    }

    pub(super) fn all(&self) -> Vec<(TokenDigest, BootTime)> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).iter().copied().collect()
    }

    fn add(&self, digest: TokenDigest, until: BootTime, now: BootTime) {
        let mut tokens = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        tokens.retain(|(_, until)| *until > now);
        if tokens.len() >= TOKENS_LIMIT {
            tokens.pop_front();
        }
        tokens.push_back((digest, until));
    }

    /// Every token is compared, whichever it is.
    fn knows(&self, digest: &TokenDigest, now: BootTime) -> bool {
        let tokens = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        tokens.iter().filter(|(known, until)| known.is(digest) & (*until > now)).count() > 0
    }
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct Credentials<'a> {
    code: &'a str,
    last_updated: String,
    r#type: &'a str,
    access_key_id: &'a str,
    secret_access_key: &'a str,
    token: &'a str,
    expiration: String,
}

#[derive(Serialize)]
struct Identity<'a> {
    region: &'a str,
}

/// Answers a page: 400 for a bad lifetime, 401 without a token that is in use.
pub(super) async fn answer(server: &Arc<Server>, endpoint: &Arc<Endpoint>, request: &Parts) -> Answer {
    let Some(page) = Page::of(request.uri.path(), &endpoint.door.role) else { return refused(StatusCode::NOT_FOUND) };
    if page == Page::Token {
        return new_token(server, endpoint, request);
    }
    if !token_of(request).is_some_and(|given| endpoint.tokens.knows(&given, server.world.clock.boot())) {
        return refused(StatusCode::UNAUTHORIZED);
    }
    let region = endpoint.region.as_ref().map(|region| region.as_str());
    match (page, region) {
        (Page::Roles, _) => text(endpoint.door.role.clone()),
        (Page::Region, Some(region)) => text(region.to_owned()),
        (Page::Zone, Some(region)) => text(format!("{region}a")),
        (Page::Document, Some(region)) => document(&Identity { region }),
        (Page::Credentials, _) => match server.hand_out(endpoint).await {
            Ok(handed) => credentials(server, &handed),
            Err(fault) => failed(&fault),
        },
        (Page::Region | Page::Zone | Page::Document | Page::Token, _) => refused(StatusCode::NOT_FOUND),
    }
}

/// The token that a request carries, if it is one.
pub(super) fn token_of(request: &Parts) -> Option<TokenDigest> {
    single(request, TOKEN_HEADER).map(|value| TokenDigest::of(value.as_bytes()))
}

/// The seconds that a token is asked for, if AWS would give them.
pub(super) fn lifetime(request: &Parts) -> Option<u64> {
    let seconds = single(request, TTL_HEADER).and_then(|value| value.to_str().ok()?.parse::<u64>().ok());
    seconds.filter(|seconds| (1..=TTL_MOST).contains(seconds))
}

fn new_token(server: &Arc<Server>, endpoint: &Endpoint, request: &Parts) -> Answer {
    let Some(ttl) = lifetime(request) else { return refused(StatusCode::BAD_REQUEST) };
    let Ok((token, digest)) = token::new(&server.world) else { return failed(&fault::internal()) };
    let now = server.world.clock.boot();
    endpoint.tokens.add(digest, now.plus_millis(ttl.saturating_mul(1000)), now);
    let body = Zeroizing::new(token.expose().as_bytes().to_vec());
    let mut answer = page(StatusCode::OK, PLAIN, bytes::Bytes::from_owner(body));
    answer.headers_mut().insert(TTL_HEADER, HeaderValue::from(ttl));
    answer
}

fn credentials(server: &Server, Handed { session, .. }: &Handed) -> Answer {
    document(&Credentials {
        code: "Success",
        last_updated: rfc3339(server.world.clock.wall()),
        r#type: "AWS-HMAC",
        access_key_id: session.access_key_id.as_str(),
        secret_access_key: session.secret.expose(),
        token: session.token.expose(),
        expiration: rfc3339(session.expiration),
    })
}

const PLAIN: &str = "text/plain";

fn text(text: String) -> Answer {
    page(StatusCode::OK, PLAIN, text.into())
}

/// The value of a header that is there once.
fn single<'a>(request: &'a Parts, name: &str) -> Option<&'a HeaderValue> {
    let mut values = request.headers.get_all(name).iter();
    values.next().filter(|_| values.next().is_none())
}

#[cfg(test)]
mod tests {
    use super::{TOKENS_LIMIT, Tokens, role_of};
    use crate::server::endpoint::token::TokenDigest;
    use crate::world::BootTime;

    fn digest(number: usize) -> TokenDigest {
        TokenDigest::of(&number.to_be_bytes())
    }

    #[test]
    fn tokens_end_and_the_oldest_makes_room() {
        let tokens = Tokens::default();
        for number in 0..=TOKENS_LIMIT {
            tokens.add(digest(number), BootTime(1000), BootTime(0));
        }
        assert!(!tokens.knows(&digest(0), BootTime(0)), "the oldest has gone");
        assert!((1..=TOKENS_LIMIT).all(|number| tokens.knows(&digest(number), BootTime(999))));
        assert!(!tokens.knows(&digest(1), BootTime(1000)), "it has ended");
        assert!(!tokens.knows(&digest(TOKENS_LIMIT + 1), BootTime(0)), "never given");
    }

    #[test]
    fn the_role_is_named_like_the_profile_where_that_fits_a_path() {
        assert_eq!(role_of("prod_admin-2"), "prod_admin-2");
        for odd in ["", "a/b", "ü", "a b", "..", &"x".repeat(65)] {
            assert_eq!(role_of(odd), "claviger");
        }
    }
}
