//! What a request must be before anything is looked up. Pure; in the order in which they are made.
//!
//! The answers tell a web page nothing: it may not read them, since no CORS header is ever sent.

use super::imds;
use claviger::wire::EndpointKind;
use http::header::{COOKIE, FORWARDED, HOST, ORIGIN, REFERER, TRANSFER_ENCODING, UPGRADE, VIA};
use http::request::Parts;
use http::{HeaderName, Method, StatusCode, Version};

/// What an endpoint answers at all.
pub(super) struct Door {
    pub(super) kind: EndpointKind,
    pub(super) port: u16,
    /// The one role of an IMDS endpoint.
    pub(super) role: String,
}

/// The one path of a container endpoint.
pub(super) const CREDENTIALS: &str = "/credentials";

/// None where there is nothing to object to.
type Check = fn(&Parts, &Door) -> Option<StatusCode>;

const CHECKS: [Check; 9] = [version, form, body, method, path, method_of_path, host, relayed, browser];

/// The status of the refusal; None for a request that may go on to the token.
pub(super) fn refusal(request: &Parts, door: &Door) -> Option<StatusCode> {
    CHECKS.iter().find_map(|check| check(request, door))
}

fn refuse(wrong: bool, status: StatusCode) -> Option<StatusCode> {
    wrong.then_some(status)
}

fn version(request: &Parts, _: &Door) -> Option<StatusCode> {
    refuse(request.version != Version::HTTP_11, StatusCode::BAD_REQUEST)
}

/// Origin form alone (RFC 9112, 3.2.1): an absolute one is for proxies.
fn form(request: &Parts, _: &Door) -> Option<StatusCode> {
    let uri = &request.uri;
    refuse(uri.scheme().is_some() || uri.authority().is_some(), StatusCode::BAD_REQUEST)
}

/// No request here has one; PUT says so by a length of 0.
fn body(request: &Parts, _: &Door) -> Option<StatusCode> {
    let mut lengths = request.headers.get_all(http::header::CONTENT_LENGTH).iter();
    let none = lengths.next().is_none_or(|length| length == "0") && lengths.next().is_none();
    refuse(!none || request.headers.contains_key(TRANSFER_ENCODING), StatusCode::BAD_REQUEST)
}

fn method(request: &Parts, door: &Door) -> Option<StatusCode> {
    let known = request.method == Method::GET || door.kind == EndpointKind::Imds && request.method == Method::PUT;
    refuse(!known, StatusCode::METHOD_NOT_ALLOWED)
}

/// The very path, without a query.
fn path(request: &Parts, door: &Door) -> Option<StatusCode> {
    let path = request.uri.path();
    let known = match door.kind {
        EndpointKind::Container => path == CREDENTIALS,
        EndpointKind::Imds => imds::Page::of(path, &door.role).is_some(),
    };
    refuse(!known || request.uri.query().is_some(), StatusCode::NOT_FOUND)
}

fn method_of_path(request: &Parts, door: &Door) -> Option<StatusCode> {
    let token = door.kind == EndpointKind::Imds && request.uri.path() == imds::TOKEN;
    refuse(token != (request.method == Method::PUT), StatusCode::METHOD_NOT_ALLOWED)
}

/// A page whose name was bound to 127.0.0.1 meanwhile has its own name here.
fn host(request: &Parts, door: &Door) -> Option<StatusCode> {
    let mut hosts = request.headers.get_all(HOST).iter();
    let port = door.port;
    let own = hosts.next().is_some_and(|host| {
        let host = host.as_bytes();
        host == format!("127.0.0.1:{port}").as_bytes() || host == format!("localhost:{port}").as_bytes()
    });
    refuse(!own || hosts.next().is_some(), StatusCode::FORBIDDEN)
}

fn relayed(request: &Parts, _: &Door) -> Option<StatusCode> {
    let relayed = |name: &HeaderName| *name == FORWARDED || *name == VIA || name.as_str().starts_with("x-forwarded-");
    refuse(request.headers.keys().any(relayed), StatusCode::FORBIDDEN)
}

/// Headers that browsers send, among them those that no script can leave out or set (Fetch, forbidden header names).
fn browser(request: &Parts, _: &Door) -> Option<StatusCode> {
    let browser = |name: &HeaderName| {
        [ORIGIN, REFERER, COOKIE, UPGRADE].contains(name)
            || name.as_str().starts_with("sec-")
            || name.as_str().starts_with("access-control-")
    };
    refuse(request.headers.keys().any(browser), StatusCode::FORBIDDEN)
}

#[cfg(test)]
mod tests {
    use super::{CHECKS, Door, refusal};
    use claviger::wire::EndpointKind;
    use http::request::Parts;
    use http::{Request, Version};

    fn door(kind: EndpointKind) -> Door {
        Door { kind, port: 4711, role: "prod".to_owned() }
    }

    fn request(method: &str, uri: &str, headers: &[(&str, &str)]) -> Parts {
        let mut request = Request::builder().method(method).uri(uri);
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        request.body(()).unwrap().into_parts().0
    }

    const HOST: (&str, &str) = ("host", "127.0.0.1:4711");

    /// One request for each check, wrong in nothing else.
    fn attacks() -> Vec<(usize, Parts)> {
        let mut old = request("GET", "/credentials", &[HOST]);
        old.version = Version::HTTP_10;
        vec![
            (0, old),
            (1, request("GET", "http://127.0.0.1:4711/credentials", &[HOST])),
            (2, request("GET", "/credentials", &[HOST, ("content-length", "5")])),
            (2, request("GET", "/credentials", &[HOST, ("content-length", "0"), ("content-length", "0")])),
            (2, request("GET", "/credentials", &[HOST, ("content-length", "0"), ("transfer-encoding", "chunked")])),
            (3, request("POST", "/credentials", &[HOST])),
            (4, request("GET", "/credentials/", &[HOST])),
            (4, request("GET", "/credentials?", &[HOST])),
            (6, request("GET", "/credentials", &[])),
            (6, request("GET", "/credentials", &[HOST, HOST])),
            (6, request("GET", "/credentials", &[("host", "evil.example:4711")])),
            (6, request("GET", "/credentials", &[("host", "127.0.0.1:4712")])),
            (6, request("GET", "/credentials", &[("host", "localhost.:4711")])),
            (7, request("GET", "/credentials", &[HOST, ("x-forwarded-for", "1.2.3.4")])),
            (7, request("GET", "/credentials", &[HOST, ("forwarded", "for=1.2.3.4")])),
            (7, request("GET", "/credentials", &[HOST, ("via", "1.1 proxy")])),
            (8, request("GET", "/credentials", &[HOST, ("origin", "http://evil.example")])),
            (8, request("GET", "/credentials", &[HOST, ("referer", "http://evil.example/")])),
            (8, request("GET", "/credentials", &[HOST, ("sec-fetch-mode", "no-cors")])),
            (8, request("GET", "/credentials", &[HOST, ("cookie", "a=b")])),
            (8, request("GET", "/credentials", &[HOST, ("upgrade", "websocket")])),
        ]
    }

    #[test]
    fn a_request_as_sdks_send_it_passes() {
        for host in ["127.0.0.1:4711", "localhost:4711"] {
            let headers = [("host", host), ("authorization", "x"), ("user-agent", "Boto3/1"), ("content-length", "0")];
            assert_eq!(refusal(&request("GET", "/credentials", &headers), &door(EndpointKind::Container)), None);
        }
        let put = request("PUT", "/latest/api/token", &[HOST, ("content-length", "0")]);
        assert_eq!(refusal(&put, &door(EndpointKind::Imds)), None);
    }

    #[test]
    fn each_attack_is_refused_by_one_check_and_would_pass_without_it() {
        let door = door(EndpointKind::Container);
        for (number, attack) in attacks() {
            assert!(refusal(&attack, &door).is_some_and(|status| status.is_client_error()), "{attack:?}");
            let mut weak = CHECKS.to_vec();
            weak.remove(number);
            assert!(weak.iter().all(|check| check(&attack, &door).is_none()), "without check {number}: {attack:?}");
        }
    }

    #[test]
    fn put_is_for_the_token_and_the_token_is_for_put() {
        let door = door(EndpointKind::Imds);
        let status = |method, path| refusal(&request(method, path, &[HOST]), &door).map(|status| status.as_u16());
        assert_eq!(status("GET", "/latest/api/token"), Some(405));
        assert_eq!(status("PUT", "/latest/meta-data/placement/region"), Some(405));
        assert_eq!(status("GET", "/latest/meta-data/iam/security-credentials-extended/"), Some(404));
        assert_eq!(status("GET", "/latest/meta-data/iam/security-credentials/other"), Some(404), "no other role");
        assert_eq!(status("GET", "/latest/meta-data/iam/security-credentials/prod"), None);
    }
}
