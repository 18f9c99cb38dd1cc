//! Requests to an endpoint under a long run of damaged inputs: through hyper as it is set up here, the checks, and what
//! the two protocols read of headers. Only the office behind them is missing.

use super::checks::{self, Door};
use super::token::TokenDigest;
use super::{answer, container, imds, serve};
use crate::testing::parsers::{Parser, Verdict, driven};
use claviger::wire::EndpointKind;
use http::{Request, StatusCode};
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use std::convert::Infallible;

const TOKEN: &str = "5cbf8c1e0f2d4a6b";

/// What is answered to these bytes, and nothing more of them.
fn exchange(input: &[u8], kind: EndpointKind) -> Vec<u8> {
    let door = Door { kind, port: 4711, role: "prod".to_owned() };
    let service = service_fn(|request: Request<Incoming>| {
        let request = request.into_parts().0;
        let status = checks::refusal(&request, &door).unwrap_or_else(|| match door.kind {
            EndpointKind::Container if container::carries(&request, Some(&TokenDigest::of(TOKEN.as_bytes()))) => {
                StatusCode::OK
            }
            EndpointKind::Container => StatusCode::FORBIDDEN,
            EndpointKind::Imds if request.uri.path() == imds::TOKEN => match imds::lifetime(&request) {
                Some(seconds) => {
                    assert!((1..=21_600).contains(&seconds), "{seconds}");
                    StatusCode::OK
                }
                None => StatusCode::BAD_REQUEST,
            },
            EndpointKind::Imds
                if imds::token_of(&request).is_some_and(|it| it.is(&TokenDigest::of(TOKEN.as_bytes()))) =>
            {
                StatusCode::OK
            }
            EndpointKind::Imds => StatusCode::UNAUTHORIZED,
        });
        async move { Ok::<_, Infallible>(answer::refused(status)) }
    });
    let mut out = Vec::new();
    let stream = TokioIo::new(tokio::io::join(input, &mut out));
    // Most of what is damaged ends in an error of the connection.
    drop(driven(serve::protocol().serve_connection(stream, service)));
    out
}

/// The status, if that is all: one answer, nothing of the request in it, no second one behind it.
fn verdict(input: &[u8], kind: EndpointKind) -> Verdict {
    let answer = String::from_utf8(exchange(input, kind)).expect("text");
    assert!(answer.matches("HTTP/1.1 ").count() <= 1, "one request a connection: {answer}");
    let Some(status) = answer.get(9..12) else { return Verdict::none("closed") };
    if status != "200" {
        return Verdict::Refused { kind: status.to_owned(), said: answer };
    }
    let end = input.windows(2).position(|two| two == b"\n\n").unwrap_or(input.len());
    let end = end.min(input.windows(3).position(|three| three == b"\n\r\n").unwrap_or(input.len()));
    let head = input.get(..end).unwrap_or_default().to_ascii_lowercase();
    let has = |text: &str| head.windows(text.len()).any(|part| part == text.as_bytes());
    assert!(has("127.0.0.1:4711") || has("localhost:4711"), "another host");
    assert!(has(TOKEN) || (has("put /latest/api/token ") && has("x-aws-ec2-metadata-token-ttl-seconds")), "no token");
    assert!(!has("\norigin:") && !has("\nreferer:") && !has("\nvia:") && !has("\nforwarded:"), "from elsewhere");
    Verdict::Accepted
}

#[test]
fn requests_to_an_endpoint_withstand_damage() {
    let parser = Parser {
        name: "http-request",
        more: Vec::new(),
        tokens: &[
            b"\r\n",
            b"\n",
            b"\r",
            b": ",
            b"GET ",
            b"PUT ",
            b"POST ",
            b"/credentials",
            b"/latest/api/token",
            b" HTTP/1.1\r\n",
            b" HTTP/1.0",
            b"Host: 127.0.0.1:4711\r\n",
            b"host:localhost:4711\r\n",
            b"Content-Length: 0\r\n",
            b"Content-Length: 18446744073709551616\r\n",
            b"Transfer-Encoding: chunked\r\n",
            b"Origin: http://a\r\n",
            b"Via: 1.1 a\r\n",
            b"X-Forwarded-For: a\r\n",
            b"Upgrade: h2c\r\n",
            b"Expect: 100-continue\r\n",
            b"Connection: keep-alive\r\n",
            b"x-aws-ec2-metadata-token-ttl-seconds: 60\r\n",
            b"http://127.0.0.1:4711",
            b"?",
            b"#",
            b"%2f",
            b"..",
            b"\r\n\r\n",
            b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
            b" folded\r\n",
            b"0\r\n\r\n",
            b"a: b\r\n",
        ],
        taken: 15,
        refusals: &["400", "401", "403", "404", "405", "431", "closed"],
        parse: &|input| {
            let imds = input.windows(8).any(|part| part == b"/latest/");
            verdict(input, if imds { EndpointKind::Imds } else { EndpointKind::Container })
        },
    };
    parser.withstands_damage();
}
