//! HTTP byte by byte, and everything that a browser, a proxy or a smuggler may send to an endpoint.

use crate::endpoint::open;
use crate::home::Home;
use crate::sandbox::Sandbox;
use serde_json::Value;
use std::io::{ErrorKind, Read, Write};
use std::net::TcpStream;
use std::time::Duration;

/// What came back; status 0 where it was no answer of HTTP/1.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    head: String,
    pub(crate) body: String,
}

impl Answer {
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.head.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(": "))
    }
}

pub(crate) fn port(endpoint: &Value) -> u16 {
    let url = endpoint["url"].as_str().expect("a URL");
    let address = url.strip_prefix("http://127.0.0.1:").expect("loopback");
    address.split('/').next().expect("a port").parse().expect("a port")
}

/// A GET as an SDK sends it.
pub(crate) fn get(endpoint: &Value, path: &str, headers: &[(&str, &str)]) -> Answer {
    raw(endpoint, request(endpoint, "GET", path, headers).as_bytes())
}

/// A request with the right Host.
pub(crate) fn request(endpoint: &Value, method: &str, path: &str, headers: &[(&str, &str)]) -> String {
    let lines: String = headers.iter().map(|(name, value)| format!("{name}: {value}\r\n")).collect();
    format!("{method} {path} HTTP/1.1\r\nHost: 127.0.0.1:{}\r\n{lines}\r\n", port(endpoint))
}

/// Sends these bytes and reads to the end.
pub(crate) fn raw(endpoint: &Value, request: &[u8]) -> Answer {
    let mut stream = TcpStream::connect(("127.0.0.1", port(endpoint))).expect("a connection");
    stream.set_read_timeout(Some(Duration::from_secs(120))).expect("a limit");
    // It may be refused before it is all sent.
    let _ = stream.write_all(request);
    let mut said = Vec::new();
    match stream.read_to_end(&mut said) {
        Ok(_) => {}
        Err(error) => assert_eq!(error.kind(), ErrorKind::ConnectionReset, "{error}"),
    }
    let said = String::from_utf8(said).expect("UTF-8");
    let (head, body) = said.split_once("\r\n\r\n").unwrap_or((&said, ""));
    let status = head.strip_prefix("HTTP/1.1 ").or_else(|| head.strip_prefix("HTTP/1.0 "));
    let status = status.and_then(|rest| rest.get(..3)?.parse().ok()).unwrap_or(0);
    Answer { status, head: head.to_owned(), body: body.to_owned() }
}

/// Requests that carry the right token and are wrong in one way each.
fn table(port: u16, token: &str) -> Vec<(String, Vec<u8>)> {
    let host = format!("127.0.0.1:{port}");
    let plain = |first: &str, hosts: &[&str], more: &str| {
        let hosts: String = hosts.iter().map(|host| format!("Host: {host}\r\n")).collect();
        format!("{first}\r\n{hosts}Authorization: {token}\r\n{more}\r\n")
    };
    const GET: &str = "GET /credentials HTTP/1.1";
    let mut table: Vec<(String, String)> = Vec::new();
    let hosts = [
        "evil.example",
        "127.0.0.1",
        "127.0.0.1.nip.example",
        "[::1]",
        "0.0.0.0",
        "localhost.",
        "LOCALHOST.",
        "127.1",
        "2130706433",
        "",
    ];
    for name in hosts {
        table.push((format!("host {name}"), plain(GET, &[name], "")));
        if name != "127.0.0.1" {
            table.push((format!("host {name} with the port"), plain(GET, &[&format!("{name}:{port}")], "")));
        }
    }
    table.push(("another port".to_owned(), plain(GET, &[&format!("127.0.0.1:{}", port ^ 1)], "")));
    table.push(("no host".to_owned(), plain(GET, &[], "")));
    table.push(("two hosts".to_owned(), plain(GET, &[&host, &host], "")));
    table.push(("two hosts, one of them evil".to_owned(), plain(GET, &[&host, "evil.example"], "")));
    for target in [
        format!("http://{host}/credentials"),
        format!("http://evil.example:{port}/credentials"),
        format!("{host}/credentials"),
        "*".to_owned(),
        "/".to_owned(),
        "//credentials".to_owned(),
        "/credentials/".to_owned(),
        "/credentials?".to_owned(),
        "/credentials?x=1".to_owned(),
        "/%63redentials".to_owned(),
        "/./credentials".to_owned(),
        "/x/../credentials".to_owned(),
        "/CREDENTIALS".to_owned(),
        "/credentials/prod".to_owned(),
        "/role/arn:aws:iam::123456789012:role/plain".to_owned(),
        "/latest/meta-data/iam/security-credentials/".to_owned(),
    ] {
        table.push((format!("target {target}"), plain(&format!("GET {target} HTTP/1.1"), &[&host], "")));
    }
    for header in [
        format!("Origin: http://{host}"),
        "Origin: http://evil.example".to_owned(),
        "Origin: null".to_owned(),
        "Referer: http://evil.example/".to_owned(),
        "Cookie: a=b".to_owned(),
        "Sec-Fetch-Site: cross-site".to_owned(),
        "Sec-Fetch-Mode: no-cors".to_owned(),
        "Sec-Fetch-Dest: empty".to_owned(),
        "Access-Control-Request-Private-Network: true".to_owned(),
        "Access-Control-Request-Method: GET".to_owned(),
        "X-Forwarded-For: 127.0.0.1".to_owned(),
        "X-Forwarded-Host: localhost".to_owned(),
        "X-Forwarded-Proto: http".to_owned(),
        "Forwarded: for=127.0.0.1".to_owned(),
        "Via: 1.1 proxy".to_owned(),
        "Upgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13".to_owned(),
        "Upgrade: h2c\r\nConnection: Upgrade, HTTP2-Settings\r\nHTTP2-Settings: AAMAAABkAAQCAAAAAAIAAAAA".to_owned(),
        "Upgrade: TLS/1.0".to_owned(),
        "Content-Length: -1".to_owned(),
        "Content-Length: 0\r\nContent-Length: 1".to_owned(),
        "Transfer-Encoding: chunked\r\nTransfer-Encoding: identity".to_owned(),
        "Transfer-Encoding : chunked".to_owned(),
        "Host : evil.example".to_owned(),
        " folded: x".to_owned(),
        "no colon".to_owned(),
        format!("X-Long: {}", "x".repeat(9000)),
        "X: y\r\n".repeat(40).trim_end().to_owned(),
    ] {
        let name = header.chars().take(60).collect();
        table.push((name, plain(GET, &[&host], &format!("{header}\r\n"))));
    }
    let smuggled = plain(GET, &[&host], "");
    for (framing, body) in [
        ("Content-Length: 5\r\n", "hello".to_owned()),
        ("Transfer-Encoding: chunked\r\n", "0\r\n\r\n".to_owned()),
        ("Content-Length: 4\r\nTransfer-Encoding: chunked\r\n", format!("0\r\n\r\n{smuggled}")),
        ("Transfer-Encoding: chunked\r\nContent-Length: 0\r\n", format!("5\r\nhello\r\n0\r\n\r\n{smuggled}")),
        ("Transfer-Encoding: xchunked\r\nContent-Length: 0\r\n", smuggled.clone()),
        ("Expect: 100-continue\r\nContent-Length: 5\r\n", String::new()),
    ] {
        table.push((framing.to_owned(), plain(GET, &[&host], framing) + &body));
    }
    for method in ["POST", "PUT", "DELETE", "PATCH", "HEAD", "OPTIONS", "TRACE", "CONNECT", "get", "PROPFIND"] {
        let target = if method == "CONNECT" { host.as_str() } else { "/credentials" };
        table.push((method.to_owned(), plain(&format!("{method} {target} HTTP/1.1"), &[&host], "")));
    }
    let form = "Content-Type: application/x-www-form-urlencoded\r\nContent-Length: 3\r\n";
    table.push(("a form".to_owned(), plain("POST /credentials HTTP/1.1", &[&host], form) + "a=b"));
    for version in ["HTTP/1.0", "HTTP/2.0", "HTTP/1.2", "HTTP/0.9", "http/1.1", ""] {
        table.push((format!("version {version}"), plain(&format!("GET /credentials {version}"), &[&host], "")));
    }
    let mut bytes: Vec<(String, Vec<u8>)> =
        table.into_iter().map(|(name, request)| (name, request.into_bytes())).collect();
    bytes.push(("HTTP/0.9".to_owned(), b"GET /credentials\r\n\r\n".to_vec()));
    bytes.push(("HTTP/2 preface".to_owned(), b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0".to_vec()));
    bytes.push(("TLS".to_owned(), b"\x16\x03\x01\x02\0\x01\0\x01\xfc\x03\x03".repeat(20)));
    bytes.push(("NUL".to_owned(), plain(GET, &[&host], "X: a\0b\r\n").into_bytes()));
    bytes
}

#[test]
fn nothing_but_a_plain_request_is_answered() {
    let sandbox = Sandbox::start();
    let home = Home::ready(&sandbox, &[]);
    let endpoint = open(&home, "container");
    let token = endpoint["token"].as_str().expect("a token");
    let calls = sandbox.state()["calls"].clone();
    let good = |host: &str| {
        raw(
            &endpoint,
            format!("GET /credentials HTTP/1.1\r\nHost: {host}:{}\r\nAuthorization: {token}\r\n\r\n", port(&endpoint))
                .as_bytes(),
        )
    };
    let table = table(port(&endpoint), token);
    let mut wrong = Vec::new();
    for (name, request) in &table {
        let answer = raw(&endpoint, request);
        let said = format!("{}{}", answer.head, answer.body).to_lowercase();
        let cors = said.contains("access-control-");
        let status = answer.status;
        if (status != 0 && !(400..500).contains(&status))
            || cors
            || said.contains("asia")
            || said.matches("http/1").count() > 1
        {
            wrong.push(format!("{name}: {answer:?}"));
        }
        if name == "OPTIONS" && (status != 405 || !answer.body.is_empty()) {
            wrong.push(format!("{name}: {answer:?}"));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    assert!(table.len() > 90, "{}", table.len());
    // The control, last: none of them counted as a wrong token, and the plain request is answered.
    assert_eq!((good("127.0.0.1").status, good("localhost").status), (200, 200));
    assert_eq!(sandbox.state()["calls"], calls, "none had an effect");
}

#[test]
fn what_the_rfc_lets_a_recipient_read_alike_is_read_alike() {
    let sandbox = Sandbox::start();
    let home = Home::ready(&sandbox, &[]);
    let endpoint = open(&home, "container");
    let token = endpoint["token"].as_str().expect("a token");
    let plain = request(&endpoint, "GET", "/credentials", &[("Authorization", token)]);
    let twice = request(
        &endpoint,
        "GET",
        "/credentials",
        &[("Authorization", token), ("Content-Length", "0"), ("Content-Length", "0")],
    );
    // RFC 9112, 2.2: a bare LF. RFC 9110, 8.6: a length said twice. One request a connection, and none has a body:
    // there is nothing that two readers could cut differently.
    for alike in [plain.replace("\r\n", "\n"), twice, format!("\r\n{plain}"), format!("{plain}{plain}")] {
        let answer = raw(&endpoint, alike.as_bytes());
        assert!(answer.status == 200 && answer.body.matches("AccessKeyId").count() == 1, "{alike:?}: {answer:?}");
    }
}
