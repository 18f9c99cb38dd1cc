//! Golden lines of the control protocol: read, written again, byte for byte the same. Lines are added, never changed:
//! a program that was written against an old one must go on working.

#![expect(clippy::expect_used, clippy::panic, reason = "a test fails by panicking, its helpers too")]

use claviger::wire::{AgentLine, AgentMessage, ClientLine, ClientMessage, Code, Request};
use serde::Serialize;
use serde::de::DeserializeOwned;
use std::collections::BTreeSet;

const CLIENT: &str = include_str!("client.jsonl");
const AGENT: &str = include_str!("agent.jsonl");
const TOLERATED: &str = include_str!("tolerated.jsonl");

fn lines(file: &str) -> impl Iterator<Item = &str> {
    file.lines().filter(|line| !line.starts_with('#'))
}

fn again<T: Serialize + DeserializeOwned>(line: &str) -> String {
    let message: T = serde_json::from_str(line).unwrap_or_else(|error| panic!("{error}: {line}"));
    serde_json::to_string(&message).expect("JSON")
}

#[test]
fn lines_of_a_client_are_read_and_written_alike() {
    for line in lines(CLIENT) {
        assert_eq!(again::<ClientLine>(line), line);
    }
}

#[test]
fn lines_of_an_agent_are_read_and_written_alike() {
    for line in lines(AGENT) {
        assert_eq!(again::<AgentLine>(line), line);
    }
}

#[test]
fn tolerated_lines_mean_what_stands_below_them() {
    let lines: Vec<&str> = lines(TOLERATED).collect();
    assert!(lines.len() >= 10 && lines.len().is_multiple_of(2));
    for pair in lines.chunks(2) {
        assert_ne!(pair[0], pair[1]);
        assert_eq!(again::<ClientLine>(pair[0]), pair[1]);
    }
}

#[test]
fn every_message_has_a_golden_line() {
    let key =
        |value: &serde_json::Value| value.as_object().and_then(|object| object.keys().next().cloned()).expect("a key");
    let requests: BTreeSet<String> = lines(CLIENT)
        .filter_map(|line| match serde_json::from_str::<ClientLine>(line).expect("a line").message {
            ClientMessage::Request(request) => {
                let written = serde_json::to_value(&*request).expect("JSON");
                assert_eq!(key(&written), request.name(), "the name in logs is the name on the wire");
                Some(key(&written))
            }
            _ => None,
        })
        .collect();
    let written = variants(include_str!("../../src/wire/request.rs"), "pub enum Request {");
    assert_eq!(requests, written, "a new request needs a golden line here");
    let replies: BTreeSet<String> = lines(AGENT)
        .filter_map(|line| match serde_json::from_str::<AgentLine>(line).expect("a line").message {
            AgentMessage::Reply(reply) => Some(key(&serde_json::to_value(&*reply).expect("JSON"))),
            _ => None,
        })
        .collect();
    let written = variants(include_str!("../../src/wire/reply.rs"), "pub enum Reply {");
    assert_eq!(replies, written, "a new reply needs a golden line here");
}

#[test]
fn every_event_has_a_golden_line() {
    let events: BTreeSet<String> = lines(AGENT)
        .filter_map(|line| {
            let line: serde_json::Value = serde_json::from_str(line).expect("JSON");
            Some(line.get("event")?.as_object()?.keys().next()?.clone())
        })
        .collect();
    assert_eq!(events, variants(include_str!("../../src/wire/mod.rs"), "pub enum Event {"));
}

/// The variants of an enum in this source, as the wire writes them.
fn variants(source: &str, head: &str) -> BTreeSet<String> {
    let (_, body) = source.split_once(head).expect("the enum");
    let (body, _) = body.split_once("\n}\n").expect("its end");
    let names =
        body.lines().filter_map(|line| line.strip_prefix("    ")).filter(|line| line.starts_with(char::is_uppercase));
    let snake = |name: &str| {
        let letters = name.chars().take_while(|c| c.is_alphanumeric());
        letters.fold(String::new(), |text, c| match c.is_uppercase() && !text.is_empty() {
            true => format!("{text}_{}", c.to_lowercase()),
            false => format!("{text}{}", c.to_lowercase()),
        })
    };
    names.map(snake).collect()
}

#[test]
fn a_code_of_a_newer_agent_is_read_as_unknown_and_a_request_of_a_newer_client_is_refused() {
    let line = r#"{"id":2,"fault":{"code":"device.unplugged","message":"gone"}}"#;
    let AgentMessage::Fault(fault) = serde_json::from_str::<AgentLine>(line).expect("a line").message else {
        panic!("not a fault");
    };
    assert_eq!(fault.code, Code::Unknown);
    assert!(serde_json::from_str::<Request>(r#"{"teleport":{}}"#).is_err());
    assert!(serde_json::from_str::<ClientLine>(r#"{"request":{"status":{}}}"#).is_err(), "an id is needed");
    for line in [r#"{"id":1}"#, r#"{"id":1,"request":null}"#, r#"{"id":1,"cancel":{},"request":{"status":{}}}"#] {
        assert!(serde_json::from_str::<ClientLine>(line).is_err(), "a line says one thing: {line}");
    }
}
