//! `[network]`: through a proxy, past it, and what a CA bundle lets in.

use super::network::{HeldClock, Signed, read_request, request, serve, signed, tls_server};
use crate::aws::{Http, HttpError, HyperHttp, NetworkFault, NetworkSettingsError};
use crate::config::{Accepted, Network, Security};
use crate::world::World;
use rustls::RootCertStore;
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;
use std::thread::JoinHandle;
use tokio::sync::Notify;

fn through(proxy: SocketAddr, no_proxy: &[&str], ca_bundle: Option<String>) -> Accepted {
    let network = Network {
        proxy: Some(format!("http://{proxy}")),
        no_proxy: no_proxy.iter().map(|entry| (*entry).to_owned()).collect(),
        ca_bundle: None,
    };
    Accepted { security: Security { network, ..Security::default() }, ca_bundle }
}

fn network(accepted: &Accepted) -> HyperHttp {
    HyperHttp::trusting(RootCertStore::empty(), accepted, World::real().clock).expect("a network")
}

fn pem(shown: &Signed) -> String {
    format!(
        "# ours\n-----BEGIN CERTIFICATE-----\n{}\n-----END CERTIFICATE-----\n",
        data_encoding::BASE64.encode(&shown.certificate)
    )
}

/// A proxy that takes one CONNECT and carries the bytes to `to`; the head it was sent.
fn proxy(to: SocketAddr) -> (SocketAddr, JoinHandle<(String, TcpListener)>) {
    serve(move |mut near| {
        let head = read_request(&mut near);
        let mut far = TcpStream::connect(to).expect("the server");
        near.write_all(b"HTTP/1.1 200 Connection established\r\n\r\n").expect("written");
        let (mut near_in, mut far_out) = (near.try_clone().expect("a copy"), far.try_clone().expect("a copy"));
        let there = std::thread::spawn(move || {
            drop(std::io::copy(&mut near_in, &mut far_out));
            drop(far_out.shutdown(std::net::Shutdown::Write));
        });
        drop(std::io::copy(&mut far, &mut near));
        drop(near.shutdown(std::net::Shutdown::Both));
        there.join().expect("the other way");
        head
    })
}

#[tokio::test]
async fn a_proxy_is_asked_to_connect_and_sees_the_name_alone() {
    let own = signed("sts.example", 2120);
    let bundle = pem(&own);
    let (far, server) = tls_server(own, rustls::ALL_VERSIONS);
    let (address, carried) = proxy(far);
    let accepted = through(address, &[], Some(bundle));
    let answer = network(&accepted).send(request("https://sts.example/")).await.expect("an answer");
    assert_eq!(answer.status, 200);
    assert!(server.join().expect("a server").0);
    let head = carried.join().expect("a proxy").0;
    assert_eq!(head, "CONNECT sts.example:443 HTTP/1.1\r\nHost: sts.example:443\r\n\r\n");
}

#[tokio::test]
async fn plain_http_elsewhere_goes_by_the_proxy_too_and_with_its_own_port() {
    let (far, server) = serve(|mut stream| {
        let seen = read_request(&mut stream);
        stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n").expect("written");
        seen
    });
    let (address, carried) = proxy(far);
    network(&through(address, &[], None)).send(request("http://sts.example/x")).await.expect("an answer");
    assert!(carried.join().expect("a proxy").0.starts_with("CONNECT sts.example:80 HTTP/1.1\r\n"));
    let seen = server.join().expect("a server").0;
    assert!(seen.starts_with("POST /x HTTP/1.1\r\n") && seen.contains("host: sts.example\r\n"), "{seen}");
}

#[tokio::test]
async fn this_machine_and_those_of_no_proxy_are_reached_without_it() {
    let never = TcpListener::bind("127.0.0.1:0").expect("a port");
    never.set_nonblocking(true).expect("nonblocking");
    let address = never.local_addr().expect("an address");
    let (near, server) = serve(|mut stream| {
        read_request(&mut stream);
        stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n").expect("written");
    });
    let answer = network(&through(address, &[], None)).send(request(&format!("http://{near}/"))).await;
    assert_eq!(answer.expect("an answer").status, 200);
    server.join().expect("a server");
    // The name has no address; what counts is that the proxy is not asked for it.
    let direct = network(&through(address, &["invalid"], None)).send(request("https://sts.invalid/")).await;
    assert_eq!(direct.err(), Some(HttpError::NotSent(NetworkFault::NotConnected)));
    assert_eq!(never.accept().map(drop).expect_err("nobody came").kind(), std::io::ErrorKind::WouldBlock);
    never.set_nonblocking(false).expect("blocking");
    let accepted = std::thread::spawn(move || drop(never.accept().expect("a connection")));
    let asked = network(&through(address, &["valid"], None)).send(request("https://sts.invalid/")).await;
    assert_eq!(asked.err(), Some(HttpError::NotSent(NetworkFault::ProxyRefused)), "the control");
    accepted.join().expect("the proxy");
}

#[tokio::test]
async fn a_proxy_that_refuses_or_talks_nonsense_is_named_and_nothing_was_sent() {
    let long = format!("HTTP/1.1 200 OK\r\nX: {}\r\n", "x".repeat(64 * 1024));
    for said in [
        "HTTP/1.1 403 Forbidden\r\nContent-Length: 0\r\n\r\n",
        "HTTP/1.1 407 Proxy Authentication Required\r\n\r\n",
        "HTTP/1.1 302 Found\r\nLocation: http://127.0.0.1:1/\r\n\r\n",
        "HTTP/1.1 101 Switching Protocols\r\n\r\n",
        "SSH-2.0-OpenSSH_10.0\r\n\r\n",
        "\u{16}\u{3}\u{1}nonsense",
        "HTTP/1.1 20",
        "",
        &long,
    ] {
        let answer = said.to_owned();
        let (address, served) = serve(move |mut stream| {
            let head = read_request(&mut stream);
            drop(stream.write_all(answer.as_bytes()));
            drop(stream.shutdown(std::net::Shutdown::Write));
            drop(stream.read_to_end(&mut Vec::new()));
            head
        });
        let error = network(&through(address, &[], None)).send(request("https://sts.example/")).await.err();
        let start = said.get(..said.len().min(40));
        assert_eq!(error, Some(HttpError::NotSent(NetworkFault::ProxyRefused)), "{start:?}");
        let head = served.join().expect("a proxy").0;
        assert!(!head.contains("GetSessionToken"), "{head}");
    }
    let free = TcpListener::bind("127.0.0.1:0").expect("a port").local_addr().expect("an address");
    let error = network(&through(free, &[], None)).send(request("https://sts.example/")).await.err();
    assert_eq!(error, Some(HttpError::NotSent(NetworkFault::ProxyNotConnected)));
}

#[tokio::test]
async fn a_proxy_that_hangs_is_left_in_time() {
    let clock = Arc::new(HeldClock(Notify::new()));
    let waker = clock.clone();
    let (address, served) = serve(move |mut stream| {
        read_request(&mut stream);
        waker.0.notify_one();
        // Held open until the client gives up.
        stream.read(&mut [0]).unwrap_or(0)
    });
    let network = HyperHttp::trusting(RootCertStore::empty(), &through(address, &[], None), clock).expect("a network");
    let error = network.send(request("https://sts.example/")).await.err();
    assert_eq!(error, Some(HttpError::NotSent(NetworkFault::ProxySilent)));
    assert_eq!(served.join().expect("a proxy").0, 0);
}

#[tokio::test]
async fn a_proxy_that_answers_for_the_server_is_not_trusted() {
    let impostor = signed("sts.example", 2120);
    let (far, server) = tls_server(impostor, rustls::ALL_VERSIONS);
    let (address, carried) = proxy(far);
    let error = network(&through(address, &[], None)).send(request("https://sts.example/")).await.err();
    assert_eq!(error, Some(HttpError::NotSent(NetworkFault::UntrustedCertificate)));
    assert!(!server.join().expect("a server").0, "no request reached it");
    carried.join().expect("a proxy");
}

#[tokio::test]
async fn a_bundle_is_trusted_only_where_it_was_accepted() {
    let bundle = pem(&signed("127.0.0.1", 2120));
    let own = signed("127.0.0.1", 2120);
    let right = pem(&own);
    for (ca_bundle, trusted) in [(Some(format!("{bundle}{right}")), true), (Some(bundle), false), (None, false)] {
        let shown = Signed { certificate: own.certificate.clone(), key: own.key.clone_key() };
        let (address, server) = tls_server(shown, rustls::ALL_VERSIONS);
        let accepted = Accepted { ca_bundle, ..Accepted::default() };
        let answer = network(&accepted).send(request(&format!("https://{address}/"))).await;
        assert_eq!((answer.is_ok(), server.join().expect("a server").0), (trusted, trusted));
    }
}

#[test]
fn a_bundle_that_is_none_is_refused() {
    let good = pem(&signed("a.example", 2120));
    let key = "-----BEGIN PRIVATE KEY-----\nMAA=\n-----END PRIVATE KEY-----\n";
    let junk = "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n";
    for (bundle, fine) in [
        (good.clone(), true),
        (String::new(), false),
        ("nothing".to_owned(), false),
        (key.to_owned(), false),
        (junk.to_owned(), false),
        (format!("{good}{junk}"), false),
        (good.replace("-----END", "-----ENDE"), false),
    ] {
        let accepted = Accepted { ca_bundle: Some(bundle.clone()), ..Accepted::default() };
        let made = HyperHttp::trusting(RootCertStore::empty(), &accepted, World::real().clock);
        assert_eq!(made.err(), (!fine).then_some(NetworkSettingsError::Bundle), "{bundle}");
    }
}
