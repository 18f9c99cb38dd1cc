//! The agent spoken to without its client: on its socket, and at its endpoints.

use super::drive::{Drive, fresh};
use super::record::{Class, Place};
use crate::wire::Wire;
use serde_json::{Value, json};
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::os::unix::net::UnixStream;

/// What a client may ask, a golden line each.
const REQUESTS: &str = include_str!("../../wire/client.jsonl");
/// The passphrase and the recovery code in those lines.
const GOLDEN: [&str; 2] = ["correct horse", "ABCDE-FGHIJ"];

/// Asks, answers what is asked back, keeps all that is said, and returns the last line.
fn ask(drive: &Drive, wire: &mut Wire, request: &Value, answer: &Value) -> Value {
    let name = request.as_object().and_then(|request| request.keys().next()).expect("a request").clone();
    wire.request(2, request);
    loop {
        let line = wire.line().expect("a line");
        let said: Value = serde_json::from_str(&line).expect("JSON");
        drive.record.keep(Place::Reply, &name, &line);
        if let Some(token) = said["reply"]["endpoint"]["token"].as_str() {
            drive.record.learn(Class::EndpointToken, token);
        }
        if let Some(password) = said["reply"]["password"]["password"].as_str() {
            drive.record.learn(Class::Password, password);
        }
        if said["event"].is_null() {
            return said;
        }
        let code = said["event"]["recovery_code"]["code"].clone();
        if let Some(code) = code.as_str() {
            drive.record.learn(Class::RecoveryCode, code);
        }
        match &said["event"] {
            event if event["recovery_code"].is_object() => wire.say(&json!({"id": 2, "answer": {"value": code}})),
            event if event["question"].is_object() => wire.say(&json!({"id": 2, "answer": {"value": answer}})),
            _ => {}
        }
    }
}

/// A person who types a secret instead of a code, and a code that is wrong.
pub(super) fn typed_answers(drive: &Drive) {
    let (text, digits) = (fresh(15), "493817");
    drive.record.learn(Class::TypedAnswer, &text);
    for answer in [text.as_str(), digits] {
        let mut wire = Wire::silent(&drive.home.file("run/agent.sock"));
        wire.say(&json!({"id": 1, "hello": {"protocol": 1, "client": "test/0", "answers": true}}));
        wire.hear();
        let ended = ask(drive, &mut wire, &json!({"login": {"profile": "typed"}}), &json!(answer));
        assert!(ended["fault"].is_object(), "{}", ended["fault"]["code"]);
    }
}

/// Lines that are none, and a handler that panics over one.
pub(super) fn malformed_lines(drive: &Drive) {
    for line in [
        "SECRET",
        "{\"id\": 2, \"request\": {\"unlock\": {\"proof\": {\"passphrase\": \"SECRET\"}}}",
        "{\"id\": 2, \"request\": {\"unlock\": {\"proof\": {\"SECRET\": \"SECRET\"}}}}",
        "{\"id\": \"SECRET\", \"request\": {}}",
        "{\"id\": 2, \"request\": {\"SECRET\": {}}}",
        "{\"id\": 2, \"request\": {\"mfa_add\": {\"access_key\": \"SECRET SECRET\", \"seed\": \"SECRET\", \"verify\": true}}}",
        "{\"id\": 2, \"request\": {\"access_key_add\": {\"name\": \"x\", \"access_key_id\": \"SECRET\", \"secret_access_key\": \"SECRET\", \"verify\": true}}}",
        "{\"id\": 2, \"answer\": {\"value\": \"SECRET\"}}",
        "{\"id\": 1, \"hello\": {\"protocol\": 1, \"client\": \"SECRET\"}}",
    ] {
        say(drive, line);
    }
    // A line that does not end, and one that is too long.
    let secret = fresh(20);
    drive.record.learn(Class::Malformed, &secret);
    drive.home.connect().send(secret.as_bytes());
    let mut wire = drive.home.connect();
    // The agent closes before it is all sent.
    let _ = wire.0.get_mut().write_all(secret.repeat(300 * 1024 / secret.len()).as_bytes());
    while let Some(said) = wire.line() {
        drive.record.keep(Place::Reply, "malformed", &said);
    }
}

/// A line with a secret, and all that is answered.
fn say(drive: &Drive, line: &str) {
    let secret = fresh(20);
    drive.record.learn(Class::Malformed, &secret);
    let mut wire = drive.home.connect();
    // Nothing is said to an answer that nobody asked for; a status after it ends the wait.
    let status = "{\"id\": 9, \"request\": {\"status\": {}}}";
    wire.send(format!("{}\n{status}\n", line.replace("SECRET", &secret)).as_bytes());
    while let Some(said) = wire.line() {
        drive.record.keep(Place::Reply, "malformed", &said);
        if said.starts_with("{\"id\":9,") {
            break;
        }
    }
}

/// T8: each request of the protocol as a client of the same user, first with a proof that is right, then with one that
/// is not. The record knows where each secret may be said.
pub(super) fn every_request(drive: &Drive) {
    let requests: Vec<Value> = REQUESTS
        .lines()
        .filter(|line| !line.starts_with('#'))
        .filter_map(|line| Some(serde_json::from_str::<Value>(line).expect("JSON").get("request")?.clone()))
        .collect();
    let name = |request: &Value| request.as_object().and_then(|request| request.keys().next()).expect("a name").clone();
    // These end what the others need.
    let last = [
        "access_key_remove",
        "mfa_deactivate",
        "mfa_remove",
        "trash_empty",
        "slot_remove",
        "restore",
        "lock",
        "logout",
        "restart",
        "stop",
    ];
    let rank = |request: &Value| last.iter().position(|last| *last == name(request)).map_or(0, |at| at + 1);
    let mut ordered = requests.clone();
    ordered.sort_by_key(rank);
    let (first, ending): (Vec<&Value>, Vec<&Value>) = ordered.iter().partition(|request| rank(request) == 0);
    let unproven: Vec<Value> = first.iter().map(|request| impatient(request)).collect();
    let proven: Vec<Value> = first.iter().map(|request| substitute(drive, request)).collect();
    let ending_proven: Vec<Value> = ending.iter().map(|request| substitute(drive, request)).collect();
    for request in proven.iter().chain(&unproven).chain(&ending_proven) {
        // Where a panic ends the agent, as in a shipped one, nothing is left to be stopped.
        if name(request) == "stop" {
            say(
                drive,
                "{\"id\": 2, \"request\": {\"unlock\": {\"proof\": {\"passphrase\": \"SECRET trip-over-this\"}}}}",
            );
            if UnixStream::connect(drive.home.file("run/agent.sock")).is_err() {
                return;
            }
        }
        let ended = ask(drive, &mut drive.home.connect(), request, &Value::Null);
        assert!(ended["fault"]["code"] != "wire.bad_line", "{}", name(request));
        if matches!(name(request).as_str(), "restart" | "restore" | "lock") {
            drive.home.connect().ask(2, &json!({"unlock": {"proof": {"passphrase": drive.passphrase}}}));
        }
    }
}

/// A golden request that waits for nobody.
fn impatient(request: &Value) -> Value {
    serde_json::from_str(&request.to_string().replace("\"wait\":15", "\"wait\":1")).expect("JSON")
}

/// The code of a device whose seed nobody else has, by the protocol.
pub(super) fn code(drive: &Drive, name: &str) {
    let ended = ask(drive, &mut drive.home.connect(), &json!({"mfa_code": {"name": name, "now": true}}), &Value::Null);
    let code = ended["reply"].as_object().and_then(|reply| reply.values().next()?.get("code")?.as_str());
    drive.record.learn(Class::Code, code.unwrap_or_else(|| panic!("no code: {}", ended["fault"])));
}

/// A golden request with our names, and the proof that opens our vault.
fn substitute(drive: &Drive, request: &Value) -> Value {
    let text = impatient(request).to_string();
    let passphrase = serde_json::to_string(&drive.passphrase).expect("JSON");
    let text = text.replace(&format!("\"{}\"", GOLDEN[0]), &passphrase);
    let text = text.replace("\"recovery\":\"ABCDE-FGHIJ\"", &format!("\"passphrase\":{passphrase}"));
    let file = drive.home.file("wire.backup").display().to_string();
    let text = text.replace("/media/stick/b", &file).replace("\"ada\"", "\"ada-phone\"");
    serde_json::from_str(&text).expect("JSON")
}

/// Sends bytes to an endpoint and keeps what comes back.
fn http(drive: &Drive, address: &str, request: &str) -> String {
    let mut stream = TcpStream::connect(address).expect("the endpoint");
    // It may be refused before it is all sent.
    let _ = stream.write_all(request.as_bytes());
    let mut said = Vec::new();
    let _ = stream.read_to_end(&mut said);
    drive.record.keep(Place::Http, "an endpoint", &said);
    String::from_utf8_lossy(&said).into_owned()
}

/// Endpoints of both kinds, asked well and badly while their commands run.
pub(super) fn endpoints(drive: &Drive) {
    let variables = ["AWS_CONTAINER_AUTHORIZATION_TOKEN", "AWS_CONTAINER_CREDENTIALS_FULL_URI"];
    drive.under_exec(&["prod"], &variables, |values| {
        let (token, url) = (&values[0], &values[1]);
        let address = url.strip_prefix("http://").and_then(|rest| rest.split('/').next()).expect("an address");
        let good = format!("GET /credentials HTTP/1.1\r\nHost: {address}\r\nAuthorization: {token}\r\n\r\n");
        assert!(http(drive, address, &good).contains("SecretAccessKey"));
        let secret = fresh(20);
        drive.record.learn(Class::Malformed, &secret);
        for bad in [
            format!("GET /{secret}/{token} HTTP/1.1\r\nHost: {address}\r\n\r\n"),
            format!("GET /credentials?token={token} HTTP/1.1\r\nHost: {secret}\r\nAuthorization: {token}\r\n\r\n"),
            format!("GET /credentials HTTP/1.1\r\nHost: {address}\r\nAuthorization: {secret}\r\n\r\n"),
            format!("{token} {secret}\r\n\r\n"),
            format!("GET /credentials HTTP/1.1\r\nHost: {address}\r\n{token}\r\n{secret}: {token}\0\r\n\r\n"),
            format!("POST /credentials HTTP/1.1\r\nHost: {address}\r\nContent-Length: x{secret}\r\n\r\n{token}"),
        ] {
            assert!(!http(drive, address, &bad).contains("SecretAccessKey"));
        }
        drive.look_at_files();
    });
    drive.under_exec(&[&drive.control, "--imds"], &["AWS_EC2_METADATA_SERVICE_ENDPOINT"], |values| {
        let address = values[0].trim_start_matches("http://").trim_end_matches('/').to_owned();
        let put = format!(
            "PUT /latest/api/token HTTP/1.1\r\nHost: {address}\r\nX-aws-ec2-metadata-token-ttl-seconds: 60\r\n\r\n"
        );
        let answer = http(drive, &address, &put);
        let token = answer.split_once("\r\n\r\n").expect("a token").1;
        drive.record.learn(Class::ImdsToken, token);
        for path in ["", &drive.control, token] {
            let page = format!("/latest/meta-data/iam/security-credentials/{path}");
            http(
                drive,
                &address,
                &format!("GET {page} HTTP/1.1\r\nHost: {address}\r\nX-aws-ec2-metadata-token: {token}\r\n\r\n"),
            );
        }
    });
}

/// An endpoint of containers that gives these answers, one a connection.
pub(super) fn container(answers: Vec<(&'static str, String)>) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let address = listener.local_addr().expect("an address").to_string();
    std::thread::spawn(move || {
        let mut answers = answers.into_iter().cycle();
        for mut stream in listener.incoming().flatten() {
            let mut head = String::new();
            let mut reader = BufReader::new(stream.try_clone().expect("a copy"));
            while !head.ends_with("\r\n\r\n") && reader.read_line(&mut head).is_ok_and(|length| length > 0) {}
            let (status, body) = answers.next().expect("an answer");
            let length = body.len();
            let reply = format!("HTTP/1.1 {status}\r\nContent-Length: {length}\r\nConnection: close\r\n\r\n{body}");
            let _ = stream.write_all(reply.as_bytes());
        }
    });
    address
}
