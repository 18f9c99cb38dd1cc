//! Golden files: written once by a build of format 1, opened by every later one, and by an independent reader
//! (`tests/vectors/vault_reader.py`). Never written again: a file that no longer opens is a defect of the build.

use super::device::{TestCard, answered, fido2, piv};
use super::{Bench, DAY, NOW, PHRASE, access_key, add_key, confirmed, name, passphrase, path, phrase, recovery, totp};
use crate::testing::{Files, MemoryDisk};
use crate::vault::envelope::Envelope;
use crate::vault::{AuditHead, DeviceSlot, Error, Fido2Slot, KdfCost, Opened, State, Vault, folder};
use claviger::secret::Secret;
use data_encoding::{BASE64, HEXLOWER};
use serde_json::{Value, json};
use sha2::{Digest, Sha256};
use std::path::{Path, PathBuf};

const STEP: u64 = 58_995_360;

fn vectors() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../tests/vectors/vault")
}

fn read(file: &str) -> Vec<u8> {
    std::fs::read(vectors().join(file)).expect("a golden file")
}

fn expected() -> Value {
    serde_json::from_slice(&read("expected.json")).expect("JSON")
}

/// SHA-256 of the document inside, in hexadecimal.
fn digest(file: &[u8], proof: &claviger::wire::SlotProof) -> String {
    let envelope = Envelope::split(file).expect("a vault");
    let (_, _, master) = folder::find(&envelope.header, &envelope.header.slots, proof).expect("opens");
    HEXLOWER.encode(&Sha256::digest(envelope.open(&master).expect("contents").as_slice()))
}

fn bench_of(vault: Vec<u8>, state: Option<Vec<u8>>) -> Bench {
    let mut files: Files = [(path("vault"), vault)].into();
    files.extend(state.map(|state| (path("state"), state)));
    Bench::on(MemoryDisk::with(files), 1, String::new())
}

fn names(vault: &Vault) -> Vec<String> {
    let items = vault.items();
    let live = items.access_keys.keys().chain(items.authenticators.keys()).chain(items.ssh_keys.keys());
    live.chain(items.trash.iter().map(|entry| &entry.name)).map(|name| name.as_str().to_owned()).collect()
}

#[test]
fn every_proof_opens_its_golden_vault() {
    let expected = expected();
    let vaults = expected["vaults"].as_object().expect("vaults");
    assert_eq!(vaults.len(), 5);
    for (file, vault) in vaults {
        let passphrases = vault["passphrases"]
            .as_array()
            .expect("a list")
            .iter()
            .map(|text| passphrase(text.as_str().expect("text")));
        let codes =
            vault["codes"].as_array().expect("a list").iter().map(|text| recovery(text.as_str().expect("text")));
        let bytes = read(file);
        for proof in passphrases.chain(codes) {
            let opened = bench_of(bytes.clone(), None).folder.open(&proof).expect("opens");
            assert_eq!(json!(names(&opened)), vault["names"], "{file}");
            assert_eq!(json!(opened.generation()), vault["generation"], "{file}");
            assert_eq!(json!(digest(&bytes, &proof)), vault["digest"], "{file}");
        }
        for (slot, text) in vault["devices"].as_object().into_iter().flatten() {
            let secret = BASE64.decode(text.as_str().expect("text").as_bytes()).expect("base64");
            let bench = bench_of(bytes.clone(), None);
            let slot: u32 = slot.parse().expect("an id");
            let slots = bench.folder.slots().expect("slots");
            let kind = slots.iter().find(|info| info.id == slot).and_then(|info| info.kind).expect("a kind");
            let opened = bench.folder.open(&answered(slot, kind, secret.try_into().expect("32 bytes"))).expect("opens");
            assert_eq!(json!(names(&opened)), vault["names"], "{file}");
        }
        for (slot, text) in vault["keyring"].as_object().into_iter().flatten() {
            let secret = BASE64.decode(text.as_str().expect("text").as_bytes()).expect("base64");
            let secret = Secret::new(secret.as_slice().try_into().expect("32 bytes"));
            let bench = bench_of(bytes.clone(), None);
            let opened = bench.folder.open_by_keyring(slot.parse().expect("an id"), &secret).expect("opens");
            assert_eq!(json!(names(&opened)), vault["names"], "{file}");
        }
    }
}

#[test]
fn the_golden_state_opens() {
    let expected = expected();
    let code = expected["vaults"]["several.vault"]["codes"][0].as_str().expect("a code").to_owned();
    let bench = bench_of(read("several.vault"), Some(read("several.state")));
    let vault = bench.folder.open(&recovery(&code)).expect("opens");
    let (state, opened) = State::open(bench.world.clone(), path("state"), vault.state_access(), NOW).expect("a state");
    assert_eq!(opened, Opened::Found);
    assert_eq!(state.audit_head(), Some(AuditHead { seq: 41, mac: [0x5a; 32] }));
    assert_eq!(state.sessions().collect::<Vec<_>>(), [(&[1; 32], b"a sealed session".as_slice())]);
    let serial = "arn:aws:iam::123456789012:mfa/ada".parse().expect("a serial");
    assert!(state.is_burned(&serial, STEP) && !state.is_burned(&serial, STEP + 1));
}

/// Makes the files, from fixed secrets and repeatable randomness.
fn make() -> (Files, Value) {
    let mut one = Bench::bare(0x90_1d);
    let mut vault = one.create();
    add_key(&mut vault, "dev", NOW).expect("a save");
    vault.remove_slot(2, &passphrase(PHRASE), NOW).expect("removed");
    let single = one.file();
    let single_digest = digest(&single, &passphrase(PHRASE));

    let mut several = Bench::bare(0x90_1e);
    let mut vault = several.create();
    let (code, second) = confirmed(&several.world);
    vault.add_recovery(&several.proof(), &code, NOW.plus_millis(DAY)).expect("a slot");
    let nfc = "pa\u{df}wort mit \u{e4}";
    vault.add_passphrase(&several.proof(), &phrase(nfc), KdfCost::FLOOR, NOW.plus_millis(DAY)).expect("a slot");
    vault
        .edit(NOW.plus_millis(2 * DAY), |items| {
            items.access_keys.insert(name("dev"), access_key("wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY"));
            items.access_keys.insert(name("old"), access_key("\"quoted\\\u{1f}\u{7f}\u{20ac}"));
            items.authenticators.insert(name("phone"), totp(b"12345678901234567890"));
            items.trash_access_key(&name("old"), NOW.plus_millis(2 * DAY));
            Ok::<_, Error>(())
        })
        .expect("a save");
    let access = vault.state_access();
    let (mut state, _) =
        State::open(several.world.clone(), path("state"), access, crate::world::WallTime(0)).expect("a state");
    state.put_session([1; 32], b"a sealed session".to_vec().into()).expect("kept");
    state.set_audit_head(AuditHead { seq: 41, mac: [0x5a; 32] }, false).expect("set");
    state.burn(&"arn:aws:iam::123456789012:mfa/ada".parse().expect("a serial"), STEP).expect("burned");

    let mut keyring = Bench::bare(0x90_1f);
    let mut vault = keyring.create();
    let secret: [u8; 32] = Sha256::digest(b"what the desktop's keyring holds").into();
    let place = vault.next_place();
    vault.add_keyring(&keyring.proof(), &Secret::new(secret), place.slot, NOW).expect("a slot");
    add_key(&mut vault, "dev", NOW).expect("a save");

    let mut fido = Bench::bare(0x90_20);
    let mut vault = fido.create();
    let secrets: [[u8; 32]; 2] = [b"hmac-secret of one", b"hmac-secret of two"].map(|text| Sha256::digest(text).into());
    let keys = [fido2("one"), Fido2Slot { label: None, protected: true, ..fido2("two") }];
    let slots = keys.into_iter().zip(secrets).map(|(key, secret)| {
        let slot = vault.add_device(&fido.proof(), DeviceSlot::Fido2(key), &Secret::new(secret), NOW).expect("a slot");
        (slot.to_string(), json!(BASE64.encode(&secret)))
    });
    let by_fido: serde_json::Map<String, Value> = slots.collect();
    add_key(&mut vault, "dev", NOW).expect("a save");

    let mut on_card = Bench::bare(0x90_21);
    let mut vault = on_card.create();
    let scalar: [u8; 32] = Sha256::digest(b"the key of a card").into();
    let (key, agreed) = piv(&TestCard::of(&scalar), &on_card);
    let slot = vault.add_device(&on_card.proof(), DeviceSlot::Piv(key), &agreed, NOW).expect("a slot");
    add_key(&mut vault, "dev", NOW).expect("a save");

    let files = several.disk.files();
    let expected = json!({
        "vaults": {
            "fido2.vault": {
                "passphrases": [PHRASE], "codes": [fido.code], "generation": 4, "names": ["dev"], "devices": by_fido,
                "digest": digest(&fido.file(), &fido.proof()),
            },
            "piv.vault": {
                "passphrases": [PHRASE], "codes": [on_card.code], "generation": 3, "names": ["dev"],
                "devices": { slot.to_string(): BASE64.encode(agreed.expose()) },
                // The card's own half: an independent reader agrees with it too.
                "piv_private": { slot.to_string(): BASE64.encode(&scalar) },
                "digest": digest(&on_card.file(), &on_card.proof()),
            },
            "keyring.vault": {
                "passphrases": [PHRASE], "codes": [keyring.code], "generation": 3, "names": ["dev"],
                "keyring": { place.slot.to_string(): BASE64.encode(&secret) },
                "digest": digest(&keyring.file(), &keyring.proof()),
            },
            "passphrase.vault": {
                "passphrases": [PHRASE], "codes": [], "generation": 3, "names": ["dev"], "digest": single_digest,
            },
            "several.vault": {
                // The second is written decomposed: the reader composes it.
                "passphrases": [PHRASE, "pa\u{df}wort mit a\u{308}"],
                "codes": [several.code, second.to_lowercase().replace('-', " ")],
                "generation": 4, "names": ["dev", "phone", "old"],
                "digest": digest(&several.file(), &several.proof()),
            },
        },
        "states": { "several.state": { "vault": "several.vault", "records": 5 } },
    });
    let out = [
        ("fido2.vault", fido.file()),
        ("piv.vault", on_card.file()),
        ("keyring.vault", keyring.file()),
        ("passphrase.vault", single),
        ("several.vault", files[&path("vault")].clone()),
        ("several.state", files[&path("state")].clone()),
    ];
    (out.into_iter().map(|(name, bytes)| (name.into(), bytes)).collect(), expected)
}

/// The maker still makes vaults that open. Only with CLAVIGER_WRITE_GOLDEN=FOLDER does it write them, and never over
/// a file: for the next format.
#[test]
fn the_maker_of_golden_files_works() {
    let (files, mut expected) = make();
    let several = bench_of(files[Path::new("several.vault")].clone(), None);
    let vault = several.folder.open(&passphrase("pa\u{df}wort mit a\u{308}")).expect("opens");
    assert_eq!(json!(names(&vault)), expected["vaults"]["several.vault"]["names"]);
    if let Some(folder) = std::env::var_os("CLAVIGER_WRITE_GOLDEN").map(PathBuf::from) {
        let mut files = files;
        expected["format"] = json!(1);
        files.insert(
            "expected.json".into(),
            (serde_json::to_string_pretty(&expected).expect("JSON") + "\n").into_bytes(),
        );
        for (name, bytes) in files {
            let mut file = std::fs::File::create_new(folder.join(name)).expect("a new file");
            std::io::Write::write_all(&mut file, &bytes).expect("written");
        }
    }
}
