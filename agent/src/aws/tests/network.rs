//! The real network against small servers on this machine, each of them bad in its own way.

use super::SESSION;
use crate::aws::ANSWER_LIMIT;
use crate::aws::{Http, HttpError, HttpRequest, HttpResponse, HyperHttp, NetworkFault};
use crate::config::Accepted;
use crate::world::{BootTime, BoxFuture, Clock, WallTime, World};
use rcgen::{CertificateParams, KeyPair};
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::{RootCertStore, ServerConfig, ServerConnection, StreamOwned};
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;
use std::thread::JoinHandle;
use tokio::sync::Notify;
use zeroize::Zeroizing;

/// Serves one connection on a port of its own.
pub(super) fn serve<T: Send + 'static>(
    talk: impl FnOnce(TcpStream) -> T + Send + 'static,
) -> (SocketAddr, JoinHandle<(T, TcpListener)>) {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let address = listener.local_addr().expect("an address");
    let server = std::thread::spawn(move || {
        let (stream, _) = listener.accept().expect("a connection");
        (talk(stream), listener)
    });
    (address, server)
}

/// Reads a request to its end: the head, and as much body as it says.
pub(super) fn read_request(stream: &mut impl Read) -> String {
    let mut request = Vec::new();
    let mut byte = [0];
    loop {
        let text = String::from_utf8_lossy(&request);
        if let Some((head, body)) = text.split_once("\r\n\r\n") {
            let length = head.lines().find_map(|line| line.strip_prefix("content-length: ")).unwrap_or("0");
            if body.len() == length.parse::<usize>().expect("a length") {
                return text.into_owned();
            }
        }
        if stream.read(&mut byte).expect("a request") == 0 {
            return String::from_utf8_lossy(&request).into_owned();
        }
        request.push(byte[0]);
    }
}

fn answering(answer: impl Into<Vec<u8>>) -> (SocketAddr, JoinHandle<(String, TcpListener)>) {
    let answer = answer.into();
    serve(move |mut stream| {
        let request = read_request(&mut stream);
        // A client that has seen enough hangs up in the middle of a large answer.
        drop(stream.write_all(&answer));
        request
    })
}

pub(super) fn request(url: &str) -> HttpRequest {
    HttpRequest {
        method: ::http::Method::POST,
        url: url.parse().expect("a URL"),
        headers: vec![("x-amz-date", Zeroizing::new("20261122T000000Z".to_owned()))],
        body: Zeroizing::new(b"Action=GetSessionToken".to_vec()),
        answer_limit: ANSWER_LIMIT,
    }
}

fn network() -> HyperHttp {
    HyperHttp::trusting(RootCertStore::empty(), &Accepted::default(), World::real().clock).expect("a network")
}

async fn fetch(answer: impl Into<Vec<u8>>) -> Result<HttpResponse, HttpError> {
    let (address, server) = answering(answer);
    let result = network().send(request(&format!("http://{address}/"))).await;
    drop(server.join());
    result
}

fn whole_answer() -> String {
    format!(
        "HTTP/1.1 200 OK\r\nDate: Sun, 22 Nov 2026 00:00:00 GMT\r\nContent-Length: {}\r\n\r\n{SESSION}",
        SESSION.len()
    )
}

#[tokio::test]
async fn a_request_arrives_and_its_answer_comes_back() {
    let (address, server) = answering(whole_answer());
    let answer = network().send(request(&format!("http://{address}/sts"))).await.expect("an answer");
    assert_eq!((answer.status, answer.body.as_slice()), (200, SESSION.as_bytes()));
    assert_eq!(answer.header("date"), Some("Sun, 22 Nov 2026 00:00:00 GMT"));
    let seen = server.join().expect("a server").0;
    assert!(seen.starts_with("POST /sts HTTP/1.1\r\n"), "{seen}");
    assert!(
        seen.contains(&format!("host: {address}\r\n")) && seen.contains("x-amz-date: 20261122T000000Z\r\n"),
        "{seen}"
    );
    assert!(seen.ends_with("\r\n\r\nAction=GetSessionToken") && !seen.contains("accept-encoding"), "{seen}");
}

#[tokio::test]
async fn an_answer_cut_at_any_byte_is_cut_off() {
    let answer = whole_answer();
    assert!(fetch(answer.clone()).await.is_ok(), "the control");
    for cut in 0..answer.len() {
        let error = fetch(&answer.as_bytes()[..cut]).await.err();
        assert_eq!(error, Some(HttpError::Unknown(NetworkFault::CutOff)), "cut at {cut}");
    }
    for cut in 0..answer.len() {
        let part = answer.as_bytes()[..cut].to_vec();
        let (address, server) = serve(move |mut stream| {
            read_request(&mut stream);
            stream.write_all(&part).expect("written");
            // Without lingering, closing sends RST and not FIN.
            rustix::net::sockopt::set_socket_linger(&stream, Some(std::time::Duration::ZERO)).expect("no linger");
        });
        let error = network().send(request(&format!("http://{address}/"))).await.err();
        assert_eq!(error, Some(HttpError::Unknown(NetworkFault::CutOff)), "reset at {cut}");
        server.join().expect("a server");
    }
    let chunked = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n";
    assert_eq!(fetch(chunked).await.expect("the control").body.as_slice(), b"hello");
    for cut in 0..chunked.len() {
        assert!(matches!(fetch(&chunked.as_bytes()[..cut]).await.err(), Some(HttpError::Unknown(_))), "cut at {cut}");
    }
}

#[tokio::test]
async fn a_large_answer_is_refused_before_it_is_read() {
    let body = |bytes: usize| format!("HTTP/1.1 200 OK\r\nContent-Length: {bytes}\r\n\r\n{}", "x".repeat(bytes));
    assert_eq!(fetch(body(256 * 1024)).await.expect("the control").body.len(), 256 * 1024);
    let too_large = Some(HttpError::Unknown(NetworkFault::TooLarge));
    assert_eq!(fetch(body(256 * 1024 + 1)).await.err(), too_large);
    assert_eq!(fetch("HTTP/1.1 200 OK\r\nContent-Length: 1099511627776\r\n\r\n").await.err(), too_large);
    let chunk = format!("10000\r\n{}\r\n", "x".repeat(0x1_0000));
    let chunked = format!("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n{}0\r\n\r\n", chunk.repeat(5));
    assert_eq!(fetch(chunked).await.err(), too_large);
    assert_eq!(fetch(format!("HTTP/1.1 200 OK\r\n\r\n{}", "x".repeat(300 * 1024))).await.err(), too_large);
    assert_eq!(fetch(format!("HTTP/1.1 200 OK\r\nX: {}\r\n\r\n", "x".repeat(128 * 1024))).await.err(), too_large);
}

#[tokio::test]
async fn what_is_not_plain_http_is_refused() {
    let bad = Some(HttpError::Unknown(NetworkFault::BadAnswer));
    for answer in [
        "SSH-2.0-OpenSSH_10.0\r\n\r\n",
        "HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nContent-Length: 2\r\n\r\n\u{1f}x",
        "HTTP/1.1 200 OK\r\nContent-Encoding: br\r\nContent-Length: 2\r\n\r\nxx",
        "HTTP/1.1 200 OK\r\nContent-Length: 2\r\nContent-Length: 3\r\n\r\nxxx",
    ] {
        assert_eq!(fetch(answer).await.err(), bad, "{answer}");
    }
    assert!(fetch("HTTP/1.1 200 OK\r\nContent-Encoding: identity\r\nContent-Length: 2\r\n\r\nok").await.is_ok());
}

#[tokio::test]
async fn a_redirect_is_an_answer_and_is_not_followed() {
    let target = TcpListener::bind("127.0.0.1:0").expect("a port");
    target.set_nonblocking(true).expect("nonblocking");
    let to = target.local_addr().expect("an address");
    for status in ["301 Moved Permanently", "302 Found", "307 Temporary Redirect", "308 Permanent Redirect"] {
        let answer = fetch(format!("HTTP/1.1 {status}\r\nLocation: http://{to}/\r\nContent-Length: 0\r\n\r\n")).await;
        assert_eq!(answer.expect("an answer").status.to_string(), status[..3]);
        assert_eq!(target.accept().map(drop).expect_err("nobody came").kind(), std::io::ErrorKind::WouldBlock);
    }
}

#[tokio::test]
async fn a_refused_connection_has_sent_nothing() {
    let free = TcpListener::bind("127.0.0.1:0").expect("a port").local_addr().expect("an address");
    let error = network().send(request(&format!("http://{free}/"))).await.err();
    assert_eq!(error, Some(HttpError::NotSent(NetworkFault::NotConnected)));
}

/// A clock that stands still until a test lets every sleeper go.
pub(super) struct HeldClock(pub(super) Notify);

impl Clock for HeldClock {
    fn wall(&self) -> WallTime {
        super::NOW
    }

    fn boot(&self) -> BootTime {
        BootTime(1)
    }

    fn sleep_until(&self, _: BootTime) -> BoxFuture<'_, ()> {
        Box::pin(self.0.notified())
    }

    fn boot_id(&self) -> Option<String> {
        None
    }

    fn slept_millis(&self) -> i64 {
        0
    }

    fn disturbed(&self) -> BoxFuture<'_, ()> {
        Box::pin(std::future::pending())
    }
}

#[tokio::test]
async fn a_slow_server_is_left_in_time() {
    for said in ["", "HTTP/1.1 200 OK\r\nContent-", "HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nhalf"] {
        let clock = Arc::new(HeldClock(Notify::new()));
        let waker = clock.clone();
        let (address, server) = serve(move |mut stream| {
            read_request(&mut stream);
            stream.write_all(said.as_bytes()).expect("written");
            waker.0.notify_one();
            // Held open until the client gives up.
            stream.read(&mut [0]).unwrap_or(0)
        });
        let network = HyperHttp::trusting(RootCertStore::empty(), &Accepted::default(), clock).expect("a network");
        let error = network.send(request(&format!("http://{address}/"))).await.err();
        assert_eq!(error, Some(HttpError::Unknown(NetworkFault::TimedOut)), "{said}");
        assert_eq!(server.join().expect("a server").0, 0);
    }
}

#[tokio::test]
async fn a_handshake_that_hangs_has_sent_nothing() {
    let clock = Arc::new(HeldClock(Notify::new()));
    let waker = clock.clone();
    let (address, server) = serve(move |mut stream| {
        let mut hello = [0; 5];
        stream.read_exact(&mut hello).expect("a hello");
        waker.0.notify_one();
        drop(stream.read_to_end(&mut Vec::new()));
    });
    let network = HyperHttp::trusting(RootCertStore::empty(), &Accepted::default(), clock).expect("a network");
    let error = network.send(request(&format!("https://{address}/"))).await.err();
    assert_eq!(error, Some(HttpError::NotSent(NetworkFault::TimedOut)));
    drop(server.join());
}

#[tokio::test]
async fn a_call_that_is_dropped_closes_its_connection() {
    let (reached, waiting) = tokio::sync::oneshot::channel();
    let (address, server) = serve(move |mut stream| {
        read_request(&mut stream);
        reached.send(()).expect("a waiting test");
        stream.read(&mut [0]).unwrap_or(0)
    });
    let network =
        HyperHttp::trusting(RootCertStore::empty(), &Accepted::default(), World::real().clock).expect("a network");
    tokio::select! {
        _ = network.send(request(&format!("http://{address}/"))) => panic!("nobody answered"),
        reached = waiting => reached.expect("the request arrived"),
    }
    assert_eq!(server.join().expect("a server").0, 0);
}

/// A certificate that signs itself.
pub(super) struct Signed {
    pub(super) certificate: CertificateDer<'static>,
    pub(super) key: PrivateKeyDer<'static>,
}

pub(super) fn signed(name: &str, until: i32) -> Signed {
    let key = KeyPair::generate().expect("a key");
    let mut parameters = CertificateParams::new(vec![name.to_owned()]).expect("a name");
    parameters.not_before = rcgen::date_time_ymd(2020, 1, 1);
    parameters.not_after = rcgen::date_time_ymd(until, 1, 1);
    let certificate = parameters.self_signed(&key).expect("a certificate").der().clone();
    Signed { certificate, key: PrivateKeyDer::Pkcs8(key.serialize_der().into()) }
}

/// A server that shows `shown`; whether a request came to it.
pub(super) fn tls_server(
    shown: Signed,
    versions: &'static [&'static rustls::SupportedProtocolVersion],
) -> (SocketAddr, JoinHandle<(bool, TcpListener)>) {
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let config = ServerConfig::builder_with_provider(provider)
        .with_protocol_versions(versions)
        .expect("versions")
        .with_no_client_auth()
        .with_single_cert(vec![shown.certificate], shown.key)
        .expect("a certificate");
    serve(move |stream| {
        let connection = ServerConnection::new(Arc::new(config)).expect("a connection");
        let mut stream = StreamOwned::new(connection, stream);
        let mut first = [0];
        if !matches!(stream.read(&mut first), Ok(1)) {
            return false;
        }
        read_request(&mut stream);
        stream.write_all(whole_answer().as_bytes()).expect("written");
        stream.conn.send_close_notify();
        stream.flush().expect("written");
        true
    })
}

/// One exchange over TLS with a server that shows `shown` to a client that trusts `trusted`.
async fn fetch_over_tls(
    shown: Signed,
    trusted: Option<CertificateDer<'static>>,
    versions: &'static [&'static rustls::SupportedProtocolVersion],
) -> Result<HttpResponse, HttpError> {
    let (address, server) = tls_server(shown, versions);
    let mut roots = RootCertStore::empty();
    roots.add_parsable_certificates(trusted);
    let network = HyperHttp::trusting(roots, &Accepted::default(), World::real().clock).expect("a network");
    let result = network.send(request(&format!("https://{address}/"))).await;
    assert_eq!(server.join().expect("a server").0, result.is_ok(), "a request goes only to a trusted server");
    result
}

static TLS12_ALONE: &[&rustls::SupportedProtocolVersion] = &[&rustls::version::TLS12];

#[tokio::test]
async fn only_a_server_with_a_trusted_certificate_gets_the_request() {
    let untrusted = Some(HttpError::NotSent(NetworkFault::UntrustedCertificate));
    let own = signed("127.0.0.1", 2120);
    let root = own.certificate.clone();
    let answer = fetch_over_tls(own, Some(root), rustls::ALL_VERSIONS).await.expect("the control");
    assert_eq!(answer.body.as_slice(), SESSION.as_bytes());
    let old = signed("127.0.0.1", 2120);
    let root = old.certificate.clone();
    assert!(fetch_over_tls(old, Some(root), TLS12_ALONE).await.is_ok(), "TLS 1.2 is enough");

    let another = signed("127.0.0.1", 2120).certificate;
    assert_eq!(fetch_over_tls(signed("127.0.0.1", 2120), None, rustls::ALL_VERSIONS).await.err(), untrusted);
    assert_eq!(fetch_over_tls(signed("127.0.0.1", 2120), Some(another), rustls::ALL_VERSIONS).await.err(), untrusted);
    let misnamed = signed("sts.us-east-1.amazonaws.com", 2120);
    let root = misnamed.certificate.clone();
    assert_eq!(fetch_over_tls(misnamed, Some(root), rustls::ALL_VERSIONS).await.err(), untrusted);
    let expired = signed("127.0.0.1", 2021);
    let root = expired.certificate.clone();
    let dates = Some(HttpError::NotSent(NetworkFault::CertificateDates));
    assert_eq!(fetch_over_tls(expired, Some(root), rustls::ALL_VERSIONS).await.err(), dates);
}

#[tokio::test]
async fn a_server_without_tls_is_no_https_server() {
    let (address, server) = serve(|mut stream| {
        drop(stream.read(&mut [0; 512]));
        stream.write_all(b"HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\n\r\n").expect("written");
    });
    let error = network().send(request(&format!("https://{address}/"))).await.err();
    assert_eq!(error, Some(HttpError::NotSent(NetworkFault::Tls)));
    drop(server.join());
}

/// A server that knows TLS 1.1 alone says so in a hello or in an alert (RFC 4346, RFC 8446 section 6.2).
#[tokio::test]
async fn an_old_tls_is_none() {
    let mut hello = vec![22, 3, 2, 0, 42, 2, 0, 0, 38, 3, 2];
    hello.extend([7; 32]);
    hello.extend([0, 0xc0, 0x14, 0]);
    for said in [hello, vec![21, 3, 2, 0, 2, 2, 70]] {
        let (address, server) = serve(move |mut stream| {
            let mut first = [0; 5];
            stream.read_exact(&mut first).expect("a hello");
            stream.write_all(&said).expect("written");
            let mut rest = Vec::new();
            drop(stream.read_to_end(&mut rest));
            String::from_utf8_lossy(&rest).contains("GetSessionToken")
        });
        let error = network().send(request(&format!("https://{address}/"))).await.err();
        assert_eq!(error, Some(HttpError::NotSent(NetworkFault::Tls)));
        assert!(!server.join().expect("a server").0, "no request came");
    }
}
