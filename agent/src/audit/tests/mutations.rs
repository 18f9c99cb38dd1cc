//! The record under a long run of damaged inputs: as it lies there, and its lines as whoever has the key could write them.

use super::{Walk, key_of};
use crate::audit::chain::Line;
use crate::audit::{Head, Key};
use crate::testing::parsers::{Parser, Verdict};
use claviger::model::AuditRecord;
use data_encoding::HEXLOWER;
use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;

const TOKENS: &[&[u8]] = &[
    b"{",
    b"}",
    b"[",
    b"]",
    b"\"",
    b",",
    b":",
    b"null",
    b"\n",
    b"\"seq\":1",
    b"\"seq\":2",
    b"\"through\":18446744073709551615",
    b"\"event\":\"audit.retired\"",
    b"\"event\":\"audit.gap\"",
    b"\"v\":1",
    b"\"prev\":\"",
    b"\",\"mac\":\"",
    b"\\u0041",
    b"\"}",
];

/// The lines, each sealed and following the one before, whatever stands in them; and the head of the last.
fn sealed(input: &[u8], key: &Key) -> (Vec<u8>, [u8; 32]) {
    let mut file = Vec::new();
    let mut prev = [0; 32];
    for line in input.split(|byte| *byte == b'\n').filter(|line| !line.is_empty()).take(200) {
        let mut line = line.strip_suffix(b"}").unwrap_or(line).to_vec();
        line.extend(format!(",\"prev\":\"{}\"", HEXLOWER.encode(&prev)).bytes());
        let mac = <Hmac<Sha256> as KeyInit>::new_from_slice(key.as_slice()).unwrap().chain_update(&line);
        prev = mac.finalize().into_bytes().into();
        line.extend(format!(",\"mac\":\"{}\"}}\n", HEXLOWER.encode(&prev)).bytes());
        file.extend(line);
    }
    (file, prev)
}

fn walk(file: &[u8], key: &Key, known: Option<Head>) -> Verdict {
    for line in file.split(|byte| *byte == b'\n') {
        if let Some(record) = Line::split(line).and_then(|line| line.record()) {
            let again: AuditRecord = serde_json::from_slice(&serde_json::to_vec(&record).unwrap()).unwrap();
            assert_eq!(again, record);
        }
    }
    let mut walk = Walk::new(Some(key), known);
    walk.file("audit-000001.jsonl", file, true);
    let verdict = walk.end();
    match verdict.bad {
        None => Verdict::Accepted,
        Some(bad) => Verdict::Refused {
            kind: format!("{:?}", bad.wrong).split(' ').next().unwrap_or_default().to_owned(),
            said: format!("{} {bad:?}", bad.wrong),
        },
    }
}

#[test]
fn lines_of_the_record_withstand_damage() {
    let key = key_of(7);
    let parser = Parser {
        name: "audit-line",
        more: Vec::new(),
        tokens: TOKENS,
        taken: 50,
        refusals: &["Missing", "NoRecord", "Order", "Splice"],
        parse: &|input| walk(&sealed(input, &key).0, &key, None),
    };
    parser.withstands_damage();
}

#[test]
fn a_file_of_the_record_withstands_damage() {
    let key = key_of(7);
    let folder = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../tests/corpora/audit-line");
    let (whole, mac) = sealed(&std::fs::read(folder.join("a-day.jsonl")).expect("an entry"), &key);
    let seq = whole.iter().filter(|byte| **byte == b'\n').count() as u64;
    let known = Some(Head { seq, mac });
    let parser = Parser {
        name: "audit-file",
        more: vec![whole.clone()],
        tokens: TOKENS,
        taken: 0,
        refusals: &["Altered", "Cut", "Missing", "NoRecord", "Order"],
        parse: &|input| {
            let verdict = walk(input, &key, known);
            // After the last line there may be one that a crash tore.
            let torn = input.strip_prefix(whole.as_slice()).is_some_and(|rest| !rest.contains(&b'\n'));
            assert!(torn || !matches!(verdict, Verdict::Accepted), "another record of the same key");
            verdict
        },
    };
    parser.withstands_damage_of(3000);
    assert!(matches!(walk(&whole, &key, known), Verdict::Accepted));
}
