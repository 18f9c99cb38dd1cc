//! The server: plain HTTP, the control side, and the faults that need a connection.

use crate::common::{Rig, demo, form, signed};
use bytes::Bytes;
use http::Request;
use std::net::SocketAddr;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};

async fn start(rig: &Rig) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(claviger_sandbox::serve(listener, rig.sandbox.clone()));
    address
}

/// The whole answer to one request, or how the connection failed.
async fn exchange(address: SocketAddr, request: Request<Bytes>) -> std::io::Result<String> {
    let mut stream = TcpStream::connect(address).await?;
    let mut text = format!(
        "{} {} HTTP/1.1\r\nconnection: close\r\ncontent-length: {}\r\n",
        request.method(),
        request.uri(),
        request.body().len()
    );
    for (name, value) in request.headers() {
        text.push_str(&format!("{name}: {}\r\n", value.to_str().unwrap()));
    }
    stream.write_all(text.as_bytes()).await?;
    stream.write_all(b"\r\n").await?;
    stream.write_all(request.body()).await?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await?;
    Ok(answer)
}

async fn control(address: SocketAddr, method: &str, page: &str, body: &'static str) -> String {
    let request = Request::builder().method(method).uri(format!("/_sandbox/{page}")).header("host", "x");
    exchange(address, request.body(Bytes::from_static(body.as_bytes())).unwrap()).await.unwrap()
}

fn identity(rig: &Rig) -> Request<Bytes> {
    signed(&rig.ada(), "sts", "us-east-1", rig.now(), form("sts", "GetCallerIdentity", &[]))
}

#[tokio::test]
async fn it_speaks_http_and_says_its_own_time() {
    let rig = demo();
    let address = start(&rig).await;
    let answer = exchange(address, identity(&rig)).await.unwrap();
    assert!(answer.starts_with("HTTP/1.1 200 OK\r\n") && answer.contains("user/ada"), "{answer}");
    assert!(answer.contains("date: Sun, 01 Mar 2026 12:00:10 GMT\r\n"));
    assert_eq!(answer.matches("date: ").count(), 1);
}

#[tokio::test]
async fn the_control_side_is_there_and_nowhere_else() {
    let rig = demo();
    let address = start(&rig).await;
    exchange(address, identity(&rig)).await.unwrap();
    let state = control(address, "GET", "state", "").await;
    assert!(state.contains(r#""GetCallerIdentity":{"calls":1,"refused":0,"with_token_code":0}"#), "{state}");
    assert!(control(address, "GET", "history", "").await.contains("request_id"));
    assert!(control(address, "POST", "clock", r#"{"advance_millis": 3600000}"#).await.starts_with("HTTP/1.1 200"));
    assert!(exchange(address, identity(&rig)).await.unwrap().contains("Signature expired"));
    control(address, "POST", "clock", r#"{"offset_millis": 0}"#).await;
    assert!(exchange(address, identity(&rig)).await.unwrap().starts_with("HTTP/1.1 200"));
    for (page, junk) in [("clock", "{}"), ("clock", r#"{"advance_millis":"x"}"#), ("faults", r#"{"kind":"melt"}"#)] {
        assert!(control(address, "POST", page, junk).await.starts_with("HTTP/1.1 400"), "{page} {junk}");
    }
    assert!(control(address, "GET", "elsewhere", "").await.starts_with("HTTP/1.1 404"));
}

#[tokio::test]
async fn reset_and_truncate_break_the_connection() {
    let rig = demo();
    let address = start(&rig).await;
    control(address, "POST", "faults", r#"{"action": "GetCallerIdentity", "kind": {"reset": {"done": true}}}"#).await;
    assert_eq!(exchange(address, identity(&rig)).await.unwrap_err().kind(), std::io::ErrorKind::ConnectionReset);
    assert_eq!(rig.sandbox.history().len(), 1);
    control(address, "POST", "faults", r#"{"action": "GetCallerIdentity", "kind": {"reset": {"done": false}}}"#).await;
    assert_eq!(exchange(address, identity(&rig)).await.unwrap_err().kind(), std::io::ErrorKind::ConnectionReset);
    assert_eq!(rig.sandbox.history().len(), 1);
    control(address, "POST", "faults", r#"{"action": "GetCallerIdentity", "kind": {"truncate": 40}}"#).await;
    let answer = exchange(address, identity(&rig)).await.unwrap();
    let (head, body) = answer.split_once("\r\n\r\n").unwrap();
    let promised: usize = head.split_once("content-length: ").unwrap().1.lines().next().unwrap().parse().unwrap();
    assert!(body.len() == 40 && promised > 40, "{promised}");
    assert!(exchange(address, identity(&rig)).await.unwrap().starts_with("HTTP/1.1 200"));
}

#[tokio::test]
async fn a_hanging_request_waits_for_its_release() {
    let rig = demo();
    let address = start(&rig).await;
    control(address, "POST", "faults", r#"{"kind": "hang", "times": 2}"#).await;
    let first = tokio::spawn(exchange(address, identity(&rig)));
    let second = tokio::spawn(exchange(address, identity(&rig)));
    while rig.sandbox.hanging() < 2 {
        tokio::task::yield_now().await;
    }
    assert!(!first.is_finished() && rig.sandbox.history().is_empty());
    assert!(exchange(address, identity(&rig)).await.unwrap().starts_with("HTTP/1.1 200"));
    control(address, "POST", "release", "").await;
    for held in [first, second] {
        assert!(held.await.unwrap().unwrap().starts_with("HTTP/1.1 200"));
    }
    assert_eq!(rig.sandbox.hanging(), 0);
}

#[tokio::test]
async fn instances_and_pushed_keys_are_on_the_control_side() {
    let rig = demo();
    let address = start(&rig).await;
    let ask = |page: &'static str| control(address, "GET", page, "");
    assert!(ask("pushed-keys?instance=i-0a11ce0000000001a&user=ada").await.ends_with("\r\n\r\n"));
    assert!(ask("pushed-keys?user=ada").await.starts_with("HTTP/1.1 400"));
    let state = ask("state").await;
    assert!(state.contains(r#"{"id":"i-0a11ce0000000002b","name":"batch-1","region":"us-east-1","#), "{state}");
    let post = |page: &'static str, body: &'static str| control(address, "POST", page, body);
    let change = r#"{"instance": "i-0a11ce0000000002b", "state": "shutting-down", "ssh_port": 2222}"#;
    assert!(post("instance", change).await.starts_with("HTTP/1.1 200"));
    assert!(ask("state").await.contains(r#""ssh_port":2222,"state":"shutting-down""#));
    let launch = r#"{"region": "eu-west-1", "id": "i-0000000f", "private_ip": "10.0.0.9"}"#;
    assert!(post("instances", launch).await.starts_with("HTTP/1.1 200"));
    assert!(post("instances", launch).await.contains("two instances have this id"));
    assert!(ask("state").await.contains("i-0000000f"));
    assert!(post("instance", r#"{"instance": "i-00000001", "state": "running"}"#).await.starts_with("HTTP/1.1 400"));
    for (page, junk) in [("instance", "{}"), ("instances", "{}"), ("instance", r#"{"instance": "i", "state": "on"}"#)] {
        assert!(control(address, "POST", page, junk).await.contains("is not as expected"), "{page} {junk}");
    }
}

/// One slow region and a quick one, asked at once: the slow one is held before it is looked at, the quick one is not.
#[tokio::test]
async fn a_region_may_be_slow() {
    let rig = demo();
    let address = start(&rig).await;
    let an_hour = r#"{"region": "eu-west-1", "times": 4, "kind": {"delay_millis": 3600000}}"#;
    assert!(control(address, "POST", "faults", an_hour).await.starts_with("HTTP/1.1 200"));
    let ask = |region: &str| {
        let request = signed(&rig.ada(), "ec2", region, rig.now(), form("ec2", "DescribeKeyPairs", &[]));
        tokio::spawn(exchange(address, request))
    };
    let held = ask("eu-west-1");
    while rig.sandbox.hanging() < 1 {
        tokio::task::yield_now().await;
    }
    assert_eq!(rig.sandbox.faults()[0].times, 3);
    assert!(ask("us-east-1").await.unwrap().unwrap().starts_with("HTTP/1.1 200"));
    assert!(!held.is_finished());
    assert_eq!(rig.sandbox.history().len(), 1);
    control(address, "POST", "release", "").await;
    assert!(held.await.unwrap().unwrap().starts_with("HTTP/1.1 200"));
    // A delay strikes beside another fault.
    control(address, "DELETE", "faults", "").await;
    control(address, "POST", "faults", r#"{"region": "eu-west-1", "times": 2, "kind": {"delay_millis": 1}}"#).await;
    control(address, "POST", "faults", r#"{"kind": {"throttle": 503}}"#).await;
    assert!(ask("eu-west-1").await.unwrap().unwrap().contains("RequestLimitExceeded"));
    assert!(ask("eu-west-1").await.unwrap().unwrap().starts_with("HTTP/1.1 200"));
    assert!(rig.sandbox.faults().is_empty());
}

#[tokio::test]
async fn a_mute_reply_is_of_an_action_that_was_done() {
    let rig = demo();
    let address = start(&rig).await;
    control(address, "POST", "faults", r#"{"action": "GetCallerIdentity", "kind": "mute"}"#).await;
    let asked = tokio::spawn(exchange(address, identity(&rig)));
    while rig.sandbox.hanging() < 1 {
        tokio::task::yield_now().await;
    }
    assert_eq!((asked.is_finished(), rig.sandbox.history().len()), (false, 1));
    control(address, "POST", "release", "").await;
    assert!(asked.await.unwrap().unwrap().starts_with("HTTP/1.1 200"));
    assert_eq!((rig.sandbox.hanging(), rig.sandbox.history().len()), (0, 1));
}

#[tokio::test]
async fn consistency_and_errors_are_set_from_outside() {
    let rig = demo();
    let address = start(&rig).await;
    let post = |page: &'static str, body: &'static str| control(address, "POST", page, body);
    assert!(post("consistency", r#"{"calls": 3, "millis": 500}"#).await.starts_with("HTTP/1.1 200"));
    assert!(post("consistency", r#"{"seconds": 3}"#).await.starts_with("HTTP/1.1 400"));
    let fault = r#"{"kind": {"refuse": {"status": 409, "code": "EntityTemporarilyUnmodifiable", "message": "Wait."}}}"#;
    assert!(post("faults", fault).await.starts_with("HTTP/1.1 200"));
    let answer = exchange(address, identity(&rig)).await.unwrap();
    assert!(answer.starts_with("HTTP/1.1 409") && answer.contains("EntityTemporarilyUnmodifiable"), "{answer}");
}
