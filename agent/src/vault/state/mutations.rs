//! The state's file under a long run of damaged inputs: its bytes, and the records behind their seal.

use super::content::Content;
use super::log::{self, Read};
use super::{Durable, StateAccess};
use crate::testing::parsers::{Parser, Verdict};
use crate::testing::{FakeClock, FakeEntropy, MemoryDisk};
use crate::world::{WallTime, World};
use std::path::Path;
use std::sync::Arc;
use zeroize::Zeroizing;

fn access() -> StateAccess {
    StateAccess { vault_id: [3; 16], key: Arc::new(Zeroizing::new([9; 32])), previous: None, newborn: false }
}

/// A file with these records after the first.
fn file(records: &[&[u8]]) -> Vec<u8> {
    let disk = MemoryDisk::default();
    let clock = FakeClock::at(WallTime(0));
    let world = World { clock, entropy: FakeEntropy::seeded(5), disk: Arc::new(disk.clone()) };
    let path = Path::new("/state");
    let mut log = log::prepare(&world, path, &access(), &Content::default())
        .and_then(|prepared| prepared.take_name(&world, path))
        .expect("a file");
    for record in records {
        log.append(&world, record, Durable::Soon).expect("a record");
    }
    disk.files()[path].clone()
}

fn verdict(file: &[u8]) -> Verdict {
    match log::read(file, &access()) {
        Ok(Read::Damaged) => Verdict::none("Damaged"),
        Ok(Read::OtherVault) => Verdict::none("OtherVault"),
        Ok(Read::Torn(_)) => Verdict::none("Torn"),
        Ok(Read::Whole(content)) => {
            let written: Vec<_> = content.records().collect();
            let again: Vec<&[u8]> = written.iter().skip(1).map(|record| record.as_slice()).collect();
            let Ok(Read::Whole(back)) = log::read(&self::file(&again), &access()) else { panic!("not read back") };
            assert!(back.records().eq(written), "not what was written");
            Verdict::Accepted
        }
        Err(error) => Verdict::refused(&error),
    }
}

#[test]
fn records_of_the_state_withstand_damage() {
    let parser = Parser {
        name: "state-record",
        more: Vec::new(),
        tokens: &[
            b"{\"type\":\"start\"}",
            b"{\"serial\":\"arn:aws:iam::123456789012:mfa/ada\",\"step\":7,\"type\":\"burn\"}",
            b"{\"step\":9,\"type\":\"floor\"}",
            b"\n",
            b"null",
            b"\"floor\":1,",
            b"\"step\":",
            b"[1,2,3]",
            b",",
            b"{",
            b"}",
            b"\"",
        ],
        taken: 50,
        refusals: &["Damaged"],
        parse: &|input| {
            let mut content = Content::default();
            for record in input.split(|byte| *byte == b'\n').filter(|line| !line.is_empty()) {
                if let Err(error) = content.apply(record) {
                    return Verdict::refused(&error);
                }
            }
            let written: Vec<_> = content.records().collect();
            let mut back = Content::default();
            written.iter().for_each(|record| back.apply(record).expect("what was written"));
            assert!(back.records().eq(written), "not what was written");
            Verdict::Accepted
        },
    };
    parser.withstands_damage();
    // A number that cannot be written again is no number.
    let device = |step: &str| format!("{{\"serial\":\"GAHT12345678\",\"steps\":[{step}],\"type\":\"device\"}}");
    let read = |step: &str| verdict(&file(&[device(step).as_bytes()]));
    assert!(matches!(read("9223372036854775807"), Verdict::Accepted));
    assert!(matches!(read("9223372036854775808"), Verdict::Refused { .. }));
}

#[test]
fn a_state_file_withstands_damage() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../tests/corpora/state-record");
    let text = std::fs::read(folder.join("one-of-each.jsonl")).expect("an entry");
    let records: Vec<&[u8]> = text.split(|byte| *byte == b'\n').filter(|line| !line.is_empty()).collect();
    let whole = file(&records);
    let parser = Parser {
        name: "state-file",
        more: vec![whole.clone()],
        tokens: &[b"CLVS", b"\0\x01", b"\0\0\0\0", b"\xff\xff\xff\xff", b"\0\x04\0\0\xff\xfb\xff\xff"],
        taken: 0,
        refusals: &["Damaged", "Newer", "OtherVault", "Torn"],
        parse: &|input| {
            let verdict = verdict(input);
            let known = !matches!(verdict, Verdict::Accepted) || whole.starts_with(input);
            assert!(known, "another file of the same key");
            verdict
        },
    };
    parser.withstands_damage_of(3000);
}
