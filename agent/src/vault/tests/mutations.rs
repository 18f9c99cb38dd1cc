//! What the vault reads under a long run of damaged inputs: the file as it lies there, and what is behind its checksum,
//! its MAC and its encryption, as somebody who has the keys could make it.

use super::{Bench, NOW, path};
use crate::testing::MemoryDisk;
use crate::testing::parsers::{Parser, Verdict};
use crate::vault::contents::Contents;
use crate::vault::crypto::Key32;
use crate::vault::envelope::{self, Envelope};
use crate::vault::header::Header;
use crate::vault::{Error, recovery};
use claviger::secret::{RecoveryCode, SecretText};
use claviger::wire::SlotProof;
use sha2::{Digest, Sha256};
use std::path::Path;
use zeroize::Zeroizing;

const TOKENS: &[&[u8]] = &[
    b"null",
    b"true",
    b"{}",
    b"[]",
    b"{",
    b"}",
    b"[",
    b"]",
    b",",
    b":",
    b"\"",
    b"\\u0000",
    b"\\\"",
    b" ",
    b"\"\"",
    b"\"kind\":\"passphrase\"",
    b"\"kind\":\"fido2\"",
    b"\"kind\":\"piv\"",
    b"\"verified\":true",
    b"\"piv_slot\":\"82\"",
    b"\"serial\":1,",
    b"\"id\":1",
    b"\"lanes\":4",
    b"\"memory_kib\":65536",
    b"\"passes\":3",
    b"\"critical\":[]",
    b"\"slots\":[]",
    b"\"trash\":[]",
    b"\"a\":1,",
    b"AAAA",
    b"==",
    b"-",
];

fn corpus(name: &str, file: &str) -> Vec<u8> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../tests/corpora");
    std::fs::read(folder.join(name).join(file)).expect("an entry")
}

fn master() -> Key32 {
    Zeroizing::new([7; 32])
}

/// A header of the corpus, for files that are about something else.
fn header() -> Header {
    Header::read(&corpus("vault-header", "three-slots.json"), 1, 1).unwrap_or_else(|error| panic!("{error}"))
}

/// A file with this text as its header: the checksum fits, the payload is as long as it says, within reason.
fn file_of(text: &[u8]) -> Vec<u8> {
    let key = b"\"payload_length\":";
    let digits = text.windows(key.len()).position(|part| part == key).map_or(&[][..], |at| &text[at + key.len()..]);
    let digits: String = digits.iter().copied().take_while(u8::is_ascii_digit).map(char::from).collect();
    let payload = digits.parse::<usize>().unwrap_or(0).min(100_000);
    let length = u32::try_from(text.len()).unwrap().to_be_bytes();
    let mut file = [b"CLVG\0\x01\0\x01".as_slice(), &length, text].concat();
    file.extend(Sha256::digest(&file));
    file.resize(file.len() + 32 + payload, 0);
    file
}

/// RFC 9106 takes 8 KiB for each lane; beyond these a file could take the machine.
fn bearable(slot: &serde_json::Value) -> bool {
    let number = |key: &str| slot[key].as_u64().unwrap();
    slot["kind"] != "passphrase"
        || ((1..=16).contains(&number("lanes"))
            && (1..=16).contains(&number("passes"))
            && (8 * number("lanes")..=1024 * 1024).contains(&number("memory_kib")))
}

/// What is shown of a device, and what is sent to one, has a length.
fn bounded(slot: &serde_json::Value) -> bool {
    let text = |key: &str| slot[key].as_str().map_or(0, str::len);
    match slot["kind"].as_str() {
        Some("fido2") => {
            let credential = (1..=1023usize.div_ceil(3) * 4).contains(&text("credential"));
            credential && (1..=255).contains(&text("application")) && text("public") == 88 && text("label") <= 64
        }
        Some("piv") => {
            let place = slot["piv_slot"].as_str().and_then(|place| u8::from_str_radix(place, 16).ok());
            let place = place.is_some_and(|place| (0x82..=0x95).contains(&place));
            place && text("public") == 88 && text("ephemeral") == 88 && text("label") <= 64
        }
        _ => true,
    }
}

#[test]
fn the_header_parser_withstands_damage() {
    let parser = Parser {
        name: "vault-header",
        more: Vec::new(),
        tokens: TOKENS,
        taken: 10,
        refusals: &["Damaged", "Newer"],
        parse: &|input| match Envelope::split(&file_of(input)) {
            Ok(envelope) => {
                assert!(envelope.header.write().as_slice() == input, "a second text for one header");
                let value: serde_json::Value = serde_json::from_slice(input).unwrap();
                let slots = value["slots"].as_array().unwrap();
                assert!(slots.len() <= 16 && slots.iter().all(bearable), "a slot out of bounds");
                assert!(slots.iter().all(bounded), "a device's slot out of bounds");
                let mut ids: Vec<u32> = envelope.header.slots.iter().map(|slot| slot.info().id).collect();
                ids.sort_unstable();
                ids.dedup();
                assert_eq!(ids.len(), slots.len());
                Verdict::Accepted
            }
            Err(error) => Verdict::refused(&error),
        },
    };
    parser.withstands_damage();
}

#[test]
fn the_payload_parser_withstands_damage() {
    let (header, master) = (header(), master());
    // What anybody can seal who has the key.
    let sealed = |input: &[u8]| {
        let mut header = header.clone();
        let file = envelope::seal(&mut header, &master, input).expect("not too large");
        Envelope::split(&file).and_then(|envelope| envelope.open(&master)).expect("what was sealed")
    };
    let parser = Parser {
        name: "vault-payload",
        more: Vec::new(),
        tokens: TOKENS,
        taken: 20,
        refusals: &["Damaged"],
        parse: &|input| match Contents::read(input) {
            Ok(contents) => {
                assert!(sealed(input).as_slice() == input, "sealed and opened");
                assert!(contents.write().as_slice() == input, "a second text for one content");
                let devices = contents.items.authenticators.values().filter_map(|device| device.seed.here());
                let begun = contents.items.enrolments.values().filter_map(|enrolment| enrolment.seed.as_ref());
                for seed in devices.chain(begun) {
                    code_of(seed);
                }
                Verdict::Accepted
            }
            Err(error) => Verdict::refused(&error),
        },
    };
    parser.withstands_damage();
}

/// Any seed that can lie in a vault can be used: HMAC takes a key of any length (RFC 2104).
fn code_of(seed: &claviger::secret::TotpSeed) -> [u8; 32] {
    use hmac::{Hmac, KeyInit, Mac};
    let mac = <Hmac<Sha256> as KeyInit>::new_from_slice(seed.expose()).unwrap();
    mac.chain_update(b"step").finalize().into_bytes().into()
}

#[test]
fn a_vault_file_withstands_damage() {
    let master = master();
    let whole = envelope::seal(&mut header(), &master, &corpus("vault-payload", "two-of-each.json")).expect("a file");
    let parser = Parser {
        name: "vault-file",
        more: vec![whole.clone()],
        tokens: TOKENS,
        taken: 0,
        refusals: &["Damaged", "Newer"],
        parse: &|input| match Envelope::split(input).and_then(|envelope| envelope.open(&master)) {
            Ok(_) => {
                assert!(input == whole, "another file of the same key");
                Verdict::Accepted
            }
            Err(error) => Verdict::refused(&error),
        },
    };
    parser.withstands_damage();
}

#[test]
fn a_backup_withstands_damage() {
    let bench = Bench::with_vault(61);
    let (code, text) = super::confirmed(&bench.world);
    bench.vault().back_up(&path("backup"), &code, NOW).expect("a backup");
    let backup = bench.disk.files()[&path("backup")].clone();
    let proofs = [text, bench.code.clone()].map(|text| super::recovery(&text));
    let files = [backup, bench.file()];
    // Of somebody else: it is whole, and these codes do not open it.
    let mut foreign = Bench::bare(62);
    drop(foreign.create());
    let restore = |input: &[u8], proof: &SlotProof| {
        let disk = MemoryDisk::with([(path("backup"), input.to_vec())].into());
        let restored =
            Bench::on(disk, 1, String::new()).folder.restore(&path("backup"), proof, None, false, &|_, _| 0, NOW);
        restored.map(drop)
    };
    let parser = Parser {
        name: "backup-file",
        more: [files.to_vec(), vec![foreign.file()]].concat(),
        tokens: TOKENS,
        taken: 0,
        refusals: &["BackupDamaged", "Newer", "PassphraseNeeded", "WrongProof"],
        parse: &|input| {
            let outcome = match restore(input, &proofs[0]) {
                Err(Error::WrongProof) => restore(input, &proofs[1]),
                other => other,
            };
            match outcome {
                Ok(()) | Err(Error::PassphraseNeeded) if !files.iter().any(|file| file == input) => {
                    panic!("another file that the same code opens")
                }
                Ok(()) => Verdict::Accepted,
                Err(error) => Verdict::refused(&error),
            }
        },
    };
    parser.withstands_damage_of(3000);
}

#[test]
fn a_typed_recovery_code_withstands_damage() {
    let parser = Parser {
        name: "recovery-code",
        more: Vec::new(),
        tokens: &[b" ", b"-", b"\t", "\u{3000}".as_bytes(), b"AAAA", b"2345", b"=", "\u{131}".as_bytes()],
        taken: 15,
        refusals: &["no code"],
        parse: &|input| match std::str::from_utf8(input) {
            Ok(text) => match recovery::read(&RecoveryCode::from_text(text.to_owned())) {
                Some(_) => Verdict::Accepted,
                None => Verdict::none("no code"),
            },
            Err(_) => Verdict::none("not text"),
        },
    };
    parser.withstands_damage();
}
