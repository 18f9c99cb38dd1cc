//! Work at AWS that is not done, and authenticators on cards: written, read back, and what a newer claviger adds is kept.

use super::{Bench, NOW, PHRASE, access_key, name, passphrase, totp};
use crate::vault::contents::Contents;
use crate::vault::{Enrolment, Error, Extra, NewKey, OathAccount, Rotation, Seed, TotpDevice};
use claviger::secret::{SecretAccessKey, SecretText, TotpSeed};
use std::sync::Arc;

const SEED: &[u8] = b"\0\xff123456789012345678";

fn account() -> OathAccount {
    OathAccount::new(12_345_678, b"Amazon Web Services:ada@123456789012".to_vec(), true)
}

fn enrolment(seed: Option<&[u8]>, card: Option<OathAccount>) -> Enrolment {
    Enrolment {
        access_key: name("first"),
        serial: "arn:aws:iam::123456789012:mfa/ada".parse().expect("a serial"),
        started: NOW,
        seed: seed.map(|seed| Arc::new(TotpSeed::new(seed.to_vec()))),
        keep: card.is_none(),
        card,
        extra: Extra::default(),
    }
}

fn rotation(new: Option<&str>) -> Rotation {
    Rotation {
        old: "AKIAIOSFODNN7EXAMPLE".parse().expect("an id"),
        before: vec!["AKIAIOSFODNN7EXAMPLE".parse().expect("an id")],
        new: new.map(|secret| NewKey {
            access_key_id: "AKIAI44QH8DHBEXAMPLE".parse().expect("an id"),
            secret: Arc::new(SecretAccessKey::from_text(secret.to_owned())),
        }),
        started: NOW,
        extra: Extra::default(),
    }
}

#[test]
fn what_is_not_done_is_there_after_a_restart() {
    let bench = Bench::with_vault(16);
    let mut vault = bench.vault();
    vault
        .edit(NOW, |items| {
            items.access_keys.insert(name("second"), access_key("of the second"));
            items.enrolments.insert(name("begun"), enrolment(None, None));
            items.enrolments.insert(name("seeded"), enrolment(Some(SEED), Some(account())));
            items.rotations.insert(name("first"), rotation(None));
            items.rotations.insert(name("second"), rotation(Some("se\"cr\\et")));
            let backup = Some(Arc::new(TotpSeed::new(SEED.to_vec())));
            let both = Seed::OnCard { account: account(), backup };
            items.authenticators.insert(name("both"), TotpDevice { seed: both, ..totp(SEED) });
            let renamed = OathAccount { renaming: Some(b"AWS:\xff".to_vec()), ..account() };
            let alone = Seed::OnCard { account: renamed, backup: None };
            let serial = "arn:aws:iam::123456789012:mfa/alone".parse().expect("a serial");
            items.authenticators.insert(name("alone"), TotpDevice { seed: alone, serial, ..totp(SEED) });
            Ok::<_, Error>(())
        })
        .expect("a save");
    drop(vault);
    let vault = bench.folder.open(&passphrase(PHRASE)).expect("opens");
    let items = vault.items();
    let seeded = &items.enrolments[&name("seeded")];
    let card = seeded.card.as_ref().expect("a card");
    assert_eq!((card.card, &card.name, card.touch), (12_345_678, &account().name, true));
    assert!(seeded.seed.as_ref().expect("a seed").expose() == SEED && !seeded.keep && seeded.started == NOW);
    let begun = &items.enrolments[&name("begun")];
    assert!(begun.seed.is_none() && begun.card.is_none() && begun.keep);
    assert_eq!(begun.serial.as_str(), "arn:aws:iam::123456789012:mfa/ada");
    let second = &items.rotations[&name("second")];
    let new = second.new.as_ref().expect("a key");
    assert_eq!((new.access_key_id.as_str(), new.secret.expose()), ("AKIAI44QH8DHBEXAMPLE", "se\"cr\\et"));
    assert_eq!((second.old.as_str(), second.before.len(), second.started), ("AKIAIOSFODNN7EXAMPLE", 1, NOW));
    assert!(items.rotations[&name("first")].new.is_none());
    let seed_of = |device: &str| items.authenticators[&name(device)].seed.here().map(|seed| seed.expose().to_vec());
    assert_eq!((seed_of("both").as_deref(), seed_of("alone")), (Some(SEED), None));
    let renaming = |device: &str| items.authenticators[&name(device)].seed.on_card().expect("a card").renaming.clone();
    assert_eq!((renaming("both"), renaming("alone")), (None, Some(b"AWS:\xff".to_vec())));
}

#[test]
fn what_a_newer_claviger_adds_to_them_is_kept_and_half_a_key_is_damage() {
    let text = |file: &str| {
        let folder = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../tests/corpora/vault-payload");
        std::fs::read(folder.join(file)).expect("an entry")
    };
    let whole = text("unfinished.json");
    let contents = Contents::read(&whole).unwrap_or_else(|error| panic!("{error}"));
    assert!(contents.write().as_slice() == whole.as_slice());
    let whole = String::from_utf8(whole).expect("text");
    assert!(whole.contains(r#""note":"of a newer one""#) && whole.contains(r#""note":{"b":1}"#), "the control");
    assert_eq!((contents.items.enrolments.len(), contents.items.rotations.len()), (2, 2));
    for file in ["same-name.json", "rotation-without-secret.json", "empty-enrolments.json"] {
        assert!(matches!(Contents::read(&text(file)), Err(Error::Damaged)), "{file}");
    }
}
