//! Slots that a device opens: what it gave for one slot opens that one, and nothing else does.

use super::{Bench, NOW, PHRASE, add_key, keys, passphrase, path, variant};
use crate::testing::MemoryDisk;
use crate::vault::crypto;
use crate::vault::{Agreement, Custody, DeviceSlot, Error, Fido2Slot, PivKey, Point, Vault};
use aws_lc_rs::agreement::{self, ECDH_P256, PrivateKey, UnparsedPublicKey};
use claviger::model::{Firmware, PinPolicy, SlotAnswer, TouchPolicy};
use claviger::secret::Secret;
use claviger::wire::{SlotKind, SlotProof};
use sha2::{Digest, Sha256};
use std::sync::Arc;

/// A key of a card, as a test has it.
pub(super) struct TestCard(PrivateKey);

impl TestCard {
    pub(super) fn of(scalar: &[u8; 32]) -> Self {
        Self(PrivateKey::from_private_key(&ECDH_P256, scalar).expect("a scalar"))
    }

    pub(super) fn public(&self) -> Point {
        self.0.compute_public_key().expect("a point").as_ref().try_into().expect("65 bytes")
    }

    /// What the card would answer.
    fn agree(&self, with: &Point) -> [u8; 32] {
        let peer = UnparsedPublicKey::new(&ECDH_P256, with);
        agreement::agree(&self.0, peer, "no point", |shared| Ok(shared.try_into().expect("32 bytes"))).expect("agreed")
    }
}

pub(super) fn fido2(label: &str) -> Fido2Slot {
    Fido2Slot {
        application: "claviger:vault".to_owned(),
        credential: Sha256::digest(label.as_bytes()).to_vec(),
        label: Some(label.to_owned()),
        model: [0xaa; 16],
        protected: false,
        public: TestCard::of(&[7; 32]).public(),
        salt: Sha256::digest(b"a salt").into(),
    }
}

pub(super) fn piv(card: &TestCard, bench: &Bench) -> (PivKey, Secret<[u8; 32]>) {
    let Agreement { ephemeral, secret } = Agreement::with(&bench.world, &card.public()).expect("a point");
    let key = PivKey {
        attested: true,
        ephemeral,
        firmware: Some(Firmware(5, 7, 1)),
        label: None,
        pin_policy: Some(PinPolicy::Once),
        public: card.public(),
        serial: Some(12_345_678),
        slot: "82".parse().expect("a slot"),
        touch_policy: Some(TouchPolicy::Always),
    };
    (key, secret)
}

pub(super) fn answered(slot: u32, kind: SlotKind, secret: [u8; 32]) -> SlotProof {
    SlotProof::Answered(SlotAnswer { slot, kind, secret: Arc::new(Secret::new(secret)) })
}

fn add_fido2(bench: &Bench, vault: &mut Vault, label: &str, secret: [u8; 32]) -> u32 {
    let device = DeviceSlot::Fido2(fido2(label));
    vault.add_device(&bench.proof(), device, &Secret::new(secret), NOW).expect("a slot")
}

#[test]
fn two_keys_open_and_either_may_be_lost() {
    let bench = Bench::with_vault(70);
    let mut vault = bench.vault();
    let (one, two) = (add_fido2(&bench, &mut vault, "one", [1; 32]), add_fido2(&bench, &mut vault, "two", [2; 32]));
    assert_eq!((one, two), (3, 4));
    let shown = vault.slots()[2].device.as_ref().expect("a device").shown();
    assert_eq!((shown.label.as_deref(), shown.model), (Some("one"), Some("aa".repeat(16))));
    let open = |slot, byte| bench.folder.open(&answered(slot, SlotKind::Fido2, [byte; 32]));
    assert_eq!(keys(&open(one, 1).expect("opens")), ["first"]);
    assert_eq!(keys(&open(two, 2).expect("opens")), ["first"]);
    for (slot, byte) in [(one, 2), (two, 1), (1, 1), (2, 1), (9, 1)] {
        assert_eq!(variant(open(slot, byte).map(drop)), "WrongDevice", "{slot}");
    }
    // The first is lost: the second proves that it may be removed, and opens all from then on.
    let mut vault = open(two, 2).expect("opens");
    assert_eq!(variant(vault.remove_slot(one, &answered(one, SlotKind::Fido2, [1; 32]), NOW)), "WrongDevice");
    vault.remove_slot(one, &answered(two, SlotKind::Fido2, [2; 32]), NOW).expect("removed");
    assert_eq!(variant(open(one, 1).map(drop)), "WrongDevice");
    assert_eq!(keys(&open(two, 2).expect("opens")), ["first"]);
    assert_eq!(keys(&bench.vault()), ["first"]);
}

#[test]
fn a_card_agrees_with_what_the_slot_holds() {
    let bench = Bench::with_vault(71);
    let card = TestCard::of(&[9; 32]);
    let (key, secret) = piv(&card, &bench);
    let given = card.agree(&key.ephemeral);
    assert!(given == *secret.expose(), "both agree");
    let mut vault = bench.vault();
    let slot = vault.add_device(&bench.proof(), DeviceSlot::Piv(key.clone()), &secret, NOW).expect("a slot");
    assert_eq!(bench.vault().slots()[2].device, Some(DeviceSlot::Piv(key.clone())));
    bench.folder.open(&answered(slot, SlotKind::Piv, given)).expect("opens");
    // Another card gives another secret.
    let other = TestCard::of(&[10; 32]).agree(&key.ephemeral);
    assert_eq!(variant(bench.folder.open(&answered(slot, SlotKind::Piv, other)).map(drop)), "WrongDevice");
    let mut off = card.public();
    off[64] ^= 1;
    assert!(matches!(Agreement::with(&bench.world, &off), Err(Error::Damaged)), "no point of the curve");
    assert!(crypto::agree_once(&bench.world, &[4; 65]).is_err());
}

#[test]
fn a_slot_whose_parameters_were_changed_does_not_open() {
    let bench = Bench::with_vault(72);
    let card = TestCard::of(&[9; 32]);
    let (key, secret) = piv(&card, &bench);
    let given = card.agree(&key.ephemeral);
    let mut vault = bench.vault();
    let fido = add_fido2(&bench, &mut vault, "one", [1; 32]);
    let slot = vault.add_device(&bench.proof(), DeviceSlot::Piv(key), &secret, NOW).expect("a slot");
    let whole = bench.file();
    let proofs = [answered(fido, SlotKind::Fido2, [1; 32]), answered(slot, SlotKind::Piv, given)];
    for proof in &proofs {
        bench.folder.open(proof).expect("unchanged, it opens");
    }
    let swaps: [(&str, &str, usize); 6] = [
        ("\"protected\":false", "\"protected\":true", 0),
        ("claviger:vault", "claviger:other", 0),
        ("\"label\":\"one\"", "\"label\":\"two\"", 0),
        ("\"attested\":true", "\"attested\":false", 1),
        ("\"serial\":12345678", "\"serial\":12345679", 1),
        ("\"piv_slot\":\"82\"", "\"piv_slot\":\"83\"", 1),
    ];
    for (from, to, which) in swaps {
        let file = with_header(&whole, |text| text.replacen(from, to, 1));
        let files = [(path("vault"), file)].into();
        let changed = Bench::on(MemoryDisk::with(files), 1, bench.code.clone());
        assert_eq!(variant(changed.folder.open(&proofs[which]).map(drop)), "WrongDevice", "{from}");
        // Who opens it otherwise learns of it too.
        assert_eq!(variant(changed.open().map(drop)), "Damaged", "{from}");
    }
}

#[test]
fn parameters_out_of_bounds_are_damage() {
    let bench = Bench::with_vault(73);
    let mut vault = bench.vault();
    add_fido2(&bench, &mut vault, "one", [1; 32]);
    let whole = bench.file();
    let long = format!("\"label\":\"{}\"", "x".repeat(65));
    for (from, to) in [
        ("\"label\":\"one\"", "\"label\":\"\""),
        ("\"label\":\"one\"", long.as_str()),
        ("\"label\":\"one\"", "\"label\":\"a\\u0001\""),
        ("\"verified\":true", "\"verified\":false"),
        ("claviger:vault", ""),
        ("\"model\":\"qqqqqqqqqqqqqqqqqqqqqg==\"", "\"model\":\"qqqq\""),
        ("\"public\":\"B", "\"public\":\"A"),
    ] {
        let file = with_header(&whole, |text| {
            assert!(text.contains(from), "{from}: {text}");
            text.replacen(from, to, 1)
        });
        let changed = Bench::on(MemoryDisk::with([(path("vault"), file)].into()), 1, String::new());
        assert_eq!(variant(changed.folder.slots().map(drop)), "Damaged", "{from}");
    }
    let mut vault = bench.vault();
    let unsound = DeviceSlot::Fido2(Fido2Slot { credential: vec![0; 1024], ..fido2("two") });
    assert_eq!(variant(vault.add_device(&bench.proof(), unsound, &Secret::new([1; 32]), NOW)), "TooLarge");
}

#[test]
fn devices_alone_are_left_at_a_persons_word_only() {
    let bench = Bench::with_vault(74);
    let custody = Custody::new(bench.world.clone(), path(""), path("state"));
    custody.unlock(&bench.proof(), NOW).expect("opens");
    let device = DeviceSlot::Fido2(fido2("one"));
    let slot = custody.add_device(&bench.proof(), device, &Secret::new([1; 32]), NOW).expect("a slot");
    let proof = answered(slot, SlotKind::Fido2, [1; 32]);
    custody.remove_slot(&proof, 1, NOW).expect("the recovery code is left");
    assert_eq!(variant(custody.remove_slot(&proof, 2, NOW)), "OnlyDevices");
    assert_eq!(custody.slots().expect("slots").len(), 2);
    custody.remove_slot_leaving_devices(&proof, 2, NOW).expect("it was said");
    assert_eq!(variant(custody.remove_slot(&proof, slot, NOW)), "LastSlot");
    // A wrong answer of a device is no guess: it makes nobody wait.
    let custody = Custody::new(bench.world.clone(), path(""), path("state"));
    for _ in 0..3 {
        assert_eq!(variant(custody.unlock(&answered(slot, SlotKind::Fido2, [2; 32]), NOW)), "WrongDevice");
    }
    custody.unlock(&proof, NOW).expect("opens");
    assert_eq!(variant(custody.prove(&passphrase(PHRASE))), "WrongProof", "that slot is gone");
    custody.may_add(&proof).expect_err("a guess was wrong just now");
}

#[test]
fn the_vault_that_a_device_opens_is_edited_without_it() {
    let bench = Bench::with_vault(75);
    let mut vault = bench.vault();
    let slot = add_fido2(&bench, &mut vault, "one", [1; 32]);
    let mut vault = bench.folder.open(&answered(slot, SlotKind::Fido2, [1; 32])).expect("opens");
    add_key(&mut vault, "second", NOW).expect("a save");
    assert_eq!(keys(&bench.vault()), ["first", "second"]);
}

/// The file with another header, whose checksum fits: what somebody can write who has no key.
fn with_header(file: &[u8], change: impl Fn(&str) -> String) -> Vec<u8> {
    let length = usize::try_from(u32::from_be_bytes(file[8..12].try_into().expect("4 bytes"))).expect("a length");
    let text = change(std::str::from_utf8(&file[12..12 + length]).expect("text"));
    let new_length = u32::try_from(text.len()).expect("a length").to_be_bytes();
    let mut changed = [&file[..8], &new_length, text.as_bytes()].concat();
    changed.extend(Sha256::digest(&changed));
    changed.extend_from_slice(&file[12 + length + 32..]);
    changed
}
