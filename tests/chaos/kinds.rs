//! The table: what a network does, and what must come of it.

use super::{Deed, ENDLESS, Request, Upstream, split};
use std::net::SocketAddr;

/// What must come of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Outcome {
    /// It does no harm: a session, and a good one.
    Session,
    /// The fault with this code.
    Fault(&'static str),
}

/// One thing that a network does.
#[derive(Clone, Copy)]
pub(crate) struct Kind {
    pub(crate) name: &'static str,
    pub(crate) outcome: Outcome,
    deed: DeedOf,
}

type DeedOf = fn(&Place, &dyn Fn() -> Vec<u8>) -> Deed;

/// Where redirects lead: nobody must come there.
#[derive(Clone, Copy)]
struct Place {
    trap: SocketAddr,
}

impl Kind {
    /// What a connection does with this request.
    pub(crate) fn deed(&self, trap: SocketAddr, request: &Request, upstream: &Upstream) -> Deed {
        (self.deed)(&Place { trap }, &|| upstream(request))
    }
}

const BAD: Outcome = Outcome::Fault("aws.bad_answer");
const UNREACHABLE: Outcome = Outcome::Fault("aws.unreachable");
const TIMED_OUT: Outcome = Outcome::Fault("aws.timed_out");
const THROTTLED: Outcome = Outcome::Fault("aws.throttled");

/// All of them.
pub(crate) fn kinds() -> Vec<Kind> {
    let mut kinds: Vec<Kind> = Vec::new();
    let mut add = |name: &'static str, outcome: Outcome, deed: DeedOf| kinds.push(Kind { name, outcome, deed });
    // What is odd and does no harm.
    add("one byte a segment", Outcome::Session, |_, aws| Deed::Bytewise(aws()));
    add("rubbish after the answer", Outcome::Session, |_, aws| Deed::Answer([aws(), b"\x00rubbish".to_vec()].concat()));
    add("the answer twice", Outcome::Session, |_, aws| Deed::Answer([aws(), aws()].concat()));
    add("interim answers before it", Outcome::Session, |_, aws| {
        let interim = b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early Hints\r\nLink: </>\r\n\r\n".to_vec();
        Deed::Answer([interim, aws()].concat())
    });
    add("chunks of one byte", Outcome::Session, |_, aws| {
        framed(&aws(), "Transfer-Encoding: chunked", |body| {
            let chunks: Vec<u8> = body.iter().flat_map(|byte| [b"1\r\n", &[*byte][..], b"\r\n"].concat()).collect();
            [chunks, b"0\r\n\r\n".to_vec()].concat()
        })
    });
    add("an answer that ends with the connection", Outcome::Session, |_, aws| {
        framed(&aws(), "Connection: close", <[u8]>::to_vec)
    });
    add("a token of 64 KiB", Outcome::Session, |_, aws| edited(&aws(), |body| token(body, 64 * 1024)));
    // The way breaks.
    add("closed at once", UNREACHABLE, |_, _| Deed::Answer(Vec::new()));
    add("reset at once", UNREACHABLE, |_, aws| {
        aws();
        Deed::Reset(Vec::new())
    });
    add("cut in the head", UNREACHABLE, |_, aws| Deed::Answer(part(&aws(), 30)));
    add("cut before the last byte", UNREACHABLE, |_, aws| {
        let answer = aws();
        Deed::Answer(part(&answer, answer.len() - 1))
    });
    add("reset in the middle", UNREACHABLE, |_, aws| {
        let answer = aws();
        Deed::Reset(part(&answer, answer.len() / 2))
    });
    add("a length that is too long", UNREACHABLE, |_, aws| framed(&aws(), "Content-Length: 100000", <[u8]>::to_vec));
    // The way is slow.
    add("silence", TIMED_OUT, |_, _| Deed::Stall(Vec::new()));
    add("half a head", TIMED_OUT, |_, aws| Deed::Stall(part(&aws(), 40)));
    add("half a body", TIMED_OUT, |_, aws| {
        let answer = aws();
        Deed::Stall(part(&answer, answer.len() - 20))
    });
    add("one byte a second", TIMED_OUT, |_, aws| Deed::Drip(aws()));
    add("interim answers without end", TIMED_OUT, |_, _| {
        Deed::Flood(Vec::new(), b"HTTP/1.1 100 Continue\r\n\r\n".to_vec(), 1024 * 1024)
    });
    // Something else answers, or AWS's answer is spoilt.
    add("a captive portal", BAD, |_, _| page("200 OK", "", "<html><head><title>Welcome</title></head></html>"));
    add("redirect 301", BAD, |place, _| redirect(place, "301 Moved Permanently"));
    add("redirect 302", BAD, |place, _| redirect(place, "302 Found"));
    add("redirect 307", BAD, |place, _| redirect(place, "307 Temporary Redirect"));
    add("redirect 308", BAD, |place, _| redirect(place, "308 Permanent Redirect"));
    add("a gzip bomb", BAD, |_, _| {
        let bomb = gzip_bomb();
        let head = format!("HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nContent-Length: {}\r\n\r\n", bomb.len());
        Deed::Answer([head.into_bytes(), bomb].concat())
    });
    add("a GiB", BAD, |_, _| {
        Deed::Flood(b"HTTP/1.1 200 OK\r\nContent-Length: 1073741824\r\n\r\n<a>".to_vec(), b"x".to_vec(), ENDLESS)
    });
    add("a body without end", BAD, |_, _| Deed::Flood(b"HTTP/1.1 200 OK\r\n\r\n<a>".to_vec(), b"x".to_vec(), ENDLESS));
    add("chunks without end", BAD, |_, _| {
        Deed::Flood(
            b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n".to_vec(),
            b"8\r\nxxxxxxxx\r\n".to_vec(),
            ENDLESS,
        )
    });
    add("headers without end", BAD, |_, _| {
        Deed::Flood(b"HTTP/1.1 200 OK\r\n".to_vec(), b"x-more: 1\r\n".to_vec(), ENDLESS)
    });
    add("HTTP/0.9", BAD, |_, aws| Deed::Answer(split(&aws()).expect("an answer").1.to_vec()));
    add("another protocol", BAD, |_, _| Deed::Answer(b"SSH-2.0-OpenSSH_10.0\r\n\r\n".to_vec()));
    add("a length that is too short", BAD, |_, aws| framed(&aws(), "Content-Length: 200", <[u8]>::to_vec));
    add("two lengths", BAD, |_, aws| framed(&aws(), "Content-Length: 200\r\nContent-Length: 300", <[u8]>::to_vec));
    add("an empty answer", BAD, |_, _| page("200 OK", "", ""));
    add("JSON", BAD, |_, _| page("200 OK", "", "{\"Credentials\":{\"AccessKeyId\":\"ASIAIOSFODNN7EXAMPLE\"}}"));
    add("an error of a proxy", BAD, |_, _| page("403 Forbidden", "", "<html><body>Blocked</body></html>"));
    add("a DTD with entities", BAD, |_, aws| {
        let bomb = "<!DOCTYPE a [<!ENTITY a \"aaaaaaaaaa\"><!ENTITY b \"&a;&a;&a;&a;&a;&a;&a;&a;&a;&a;\">]>";
        edited(&aws(), |body| [bomb, &body].concat())
    });
    add("an entity of its own", BAD, |_, aws| edited(&aws(), |body| replaced(&body, "SecretAccessKey", "&xxe;")));
    add("100,000 levels", BAD, |_, _| page("200 OK", "", &"<a>".repeat(80_000)));
    add("no secret", BAD, |_, aws| edited(&aws(), |body| body.replace("SecretAccessKey>", "Other>")));
    add("no token", BAD, |_, aws| edited(&aws(), |body| body.replace("SessionToken>", "Other>")));
    add("an empty secret", BAD, |_, aws| edited(&aws(), |body| replaced(&body, "SecretAccessKey", "")));
    add("an end in the past", BAD, |_, aws| {
        edited(&aws(), |body| replaced(&body, "Expiration", "2020-01-01T00:00:00Z"))
    });
    add("an end in 9999", BAD, |_, aws| edited(&aws(), |body| replaced(&body, "Expiration", "9999-12-31T23:59:59Z")));
    add("an end without a zone", BAD, |_, aws| {
        edited(&aws(), |body| {
            let end = element(&body, "Expiration").trim_end_matches('Z').to_owned();
            replaced(&body, "Expiration", &end)
        })
    });
    add("a token above every limit", BAD, |_, aws| edited(&aws(), |body| token(body, 200 * 1024)));
    // AWS itself says no.
    add("an error with status 200", Outcome::Fault("aws.access_denied"), |_, _| {
        page("200 OK", "", &error("AccessDenied"))
    });
    add("throttled with 400", THROTTLED, |_, _| page("400 Bad Request", "", &error("Throttling")));
    add("throttled with 429", THROTTLED, |_, _| page("429 Too Many Requests", "", &error("TooManyRequestsException")));
    add("throttled with 503", THROTTLED, |_, _| page("503 Slow Down", "", &error("Throttling")));
    add("an outage", Outcome::Fault("aws.service_error"), |_, _| {
        page("503 Service Unavailable", "", &error("ServiceUnavailable"))
    });
    kinds
}

fn part(bytes: &[u8], length: usize) -> Vec<u8> {
    bytes.get(..length).expect("a longer answer").to_vec()
}

fn page(status: &str, headers: &str, body: &str) -> Deed {
    Deed::Answer(format!("HTTP/1.1 {status}\r\n{headers}Content-Length: {}\r\n\r\n{body}", body.len()).into_bytes())
}

fn redirect(place: &Place, status: &str) -> Deed {
    page(status, &format!("Location: http://{}/\r\n", place.trap), "")
}

fn error(code: &str) -> String {
    format!(
        "<ErrorResponse><Error><Code>{code}</Code><Message>no</Message></Error><RequestId>1</RequestId></ErrorResponse>"
    )
}

/// The answer with another framing of its body.
fn framed(answer: &[u8], header: &str, body: impl Fn(&[u8]) -> Vec<u8>) -> Deed {
    let (head, old) = split(answer).expect("an answer");
    let head = String::from_utf8_lossy(head).into_owned();
    let kept: Vec<&str> =
        head.lines().filter(|line| !line.to_ascii_lowercase().starts_with("content-length")).collect();
    Deed::Answer([format!("{}\r\n{header}\r\n\r\n", kept.join("\r\n")).into_bytes(), body(old)].concat())
}

/// The answer with another body, of which the head knows.
fn edited(answer: &[u8], edit: impl Fn(String) -> String) -> Deed {
    let body = edit(String::from_utf8_lossy(split(answer).expect("an answer").1).into_owned());
    framed(answer, &format!("Content-Length: {}", body.len()), |_| body.clone().into_bytes())
}

/// The text of the only element of this name; empty where there is none, as in a refusal.
fn element<'a>(body: &'a str, name: &str) -> &'a str {
    let rest = body.split_once(&format!("<{name}>")).map_or("", |(_, rest)| rest);
    rest.split_once(&format!("</{name}>")).map_or("", |(text, _)| text)
}

fn replaced(body: &str, name: &str, by: &str) -> String {
    body.replace(&format!("<{name}>{}</{name}>", element(body, name)), &format!("<{name}>{by}</{name}>"))
}

/// With a token that is so much longer.
fn token(body: String, bytes: usize) -> String {
    let longer = format!("{}{}", element(&body, "SessionToken"), "t".repeat(bytes));
    let longer = longer.get(..bytes).expect("so long").to_owned();
    replaced(&body, "SessionToken", &longer)
}

/// One block of gzip (RFC 1952, RFC 1951 section 3.2.6) with the fixed codes: a zero, then "258 bytes from one back" in 13
/// bits, so often that 190 KiB, less than any answer may have, become 30 MiB; they say of themselves that they are a GiB.
fn gzip_bomb() -> Vec<u8> {
    let mut bits: Vec<bool> = vec![true, true, false];
    let mut push = |code: u32, length: u32| bits.extend((0..length).rev().map(|bit| code >> bit & 1 == 1));
    push(0b0011_0000, 8);
    for _ in 0..120_000 {
        push(0b1100_0101, 8);
        push(0, 5);
    }
    push(0, 7);
    let mut out = vec![0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 0, 255];
    out.extend(bits.chunks(8).map(|byte| byte.iter().rev().fold(0, |sum, bit| sum << 1 | u8::from(*bit))));
    out.extend([0; 4]);
    out.extend((1_u32 << 30).to_le_bytes());
    out
}
