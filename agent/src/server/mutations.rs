//! Lines of clients under a long run of damaged inputs, from the bytes of the socket to the request.

use super::line::{Line, Lines, decode};
use crate::testing::parsers::{Parser, Verdict, driven};
use claviger::wire::{ClientLine, Fault};

fn refusal(fault: &Fault, what: &str) -> Verdict {
    Verdict::Refused { kind: what.to_owned(), said: format!("{fault} {fault:?}") }
}

/// Every line of the input; the verdict of the last that is one.
fn read(input: &[u8]) -> Verdict {
    let mut lines = Lines::new(input, 61);
    let mut verdict = Verdict::none("no line");
    loop {
        match driven(lines.next()).expect("memory does not fail") {
            Line::End => return verdict,
            Line::TooLong => return Verdict::none("too long"),
            Line::Whole(line) => {
                assert!(line.len() < claviger::wire::LINE_LIMIT && !line.contains(&b'\n'));
                verdict = match decode(&line) {
                    Ok(message) => {
                        let written = serde_json::to_vec(&message).expect("JSON");
                        let again: ClientLine = serde_json::from_slice(&written).expect("what was written");
                        assert!(serde_json::to_vec(&again).expect("JSON") == written, "a second meaning");
                        Verdict::Accepted
                    }
                    Err(fault) if fault.message.contains("no JSON") => refusal(&fault, "no JSON"),
                    Err(fault) => refusal(&fault, "no message"),
                };
            }
        }
    }
}

#[test]
fn lines_of_clients_withstand_damage() {
    let golden = include_bytes!("../../../tests/wire/client.jsonl").split(|byte| *byte == b'\n');
    let golden = golden.filter(|line| line.starts_with(b"{")).map(|line| [line, b"\n"].concat());
    let long = format!("{{\"id\":1,\"request\":{{\"login\":{{\"profile\":\"{}\"}}}}}}\n", "x".repeat(262_080));
    let parser = Parser {
        name: "wire-client-line",
        more: golden.chain([long.into_bytes()]).collect(),
        tokens: &[
            b"{",
            b"}",
            b"[",
            b"]",
            b"\"",
            b",",
            b":",
            b"null",
            b"true",
            b"\n",
            b"\"id\":1,",
            b"\"request\":",
            b"\"hello\":{",
            b"\"proof\":{\"passphrase\":\"x\"}",
            b"\"status\":{}",
            b"\\u0000",
            b"\\ud800",
            b"1e999",
            b"\"cancel\":{}",
            b"\"answer\":",
        ],
        taken: 50,
        refusals: &["no JSON", "no line", "no message", "too long"],
        parse: &read,
    };
    parser.withstands_damage();
}
