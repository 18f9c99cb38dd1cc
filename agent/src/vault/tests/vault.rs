//! Round trips: create, open, edit, slots, copies, trash.

use super::{
    Bench, DAY, NOW, PHRASE, access_key, add_key, confirmed, keys, name, passphrase, path, phrase, recovery, ssh_key,
    totp, variant,
};
use crate::testing::MemoryDisk;
use crate::vault::envelope::{self, Envelope};
use crate::vault::{
    Custody, Error, FreshCode, KdfCost, PinnedProfile, Rotating, SshKey, TrashedItem, check_passphrase, folder,
};
use crate::world::World;
use claviger::secret::{RecoveryCode, SecretText};
use claviger::wire::SlotKind;

#[test]
fn a_vault_opens_with_either_slot_and_gives_back_what_was_put_in() {
    let mut bench = Bench::bare(7);
    assert!(!bench.folder.exists().expect("a look"));
    assert_eq!(variant(bench.open()), "Absent");
    let mut vault = bench.create();
    vault
        .edit(NOW, |items| {
            items.access_keys.insert(name("first"), access_key("se\"cr\\et\u{1}ü"));
            items.authenticators.insert(name("phone"), totp(b"\0\xff12345678901234"));
            Ok::<_, Error>(())
        })
        .expect("a save");
    let slots = bench.folder.slots().expect("slots");
    assert_eq!(
        slots.iter().map(|slot| (slot.id, slot.kind)).collect::<Vec<_>>(),
        [(1, Some(SlotKind::Passphrase)), (2, Some(SlotKind::Recovery))]
    );
    for proof in [passphrase(PHRASE), bench.proof(), recovery(&bench.code.to_lowercase().replace('-', " \t"))] {
        let vault = bench.folder.open(&proof).expect("opens");
        let key = &vault.items().access_keys[&name("first")];
        assert_eq!((key.secret.expose(), vault.generation()), ("se\"cr\\et\u{1}ü", 2));
        assert_eq!(vault.items().authenticators[&name("phone")].seed.here().unwrap().expose(), b"\0\xff12345678901234");
        assert!(vault.prove(&proof).is_ok());
    }
    for proof in [passphrase("correct horse battery stable"), passphrase(""), recovery("AAAA"), recovery("")] {
        assert_eq!(variant(bench.folder.open(&proof)), "WrongProof");
        assert_eq!(variant(vault.prove(&proof)), "WrongProof");
    }
    let (code, _) = confirmed(&bench.world);
    assert_eq!(variant(bench.folder.create(&phrase(PHRASE), KdfCost::FLOOR, &code, NOW)), "Exists");
    let text = String::from_utf8_lossy(&bench.file()).into_owned();
    assert!(!text.contains("AKIA") && !text.contains("first") && text.contains("passphrase"));
}

#[test]
fn pins_come_back_and_a_vault_without_them_has_none_written() {
    let mut bench = Bench::bare(9);
    let mut vault = bench.create();
    assert!(vault.items().pins.settings.is_none() && vault.items().pins.profiles.is_empty());
    let pin = |account: Option<&str>, roles: &[&str]| PinnedProfile {
        source: "access key dev".to_owned(),
        account: account.map(str::to_owned),
        roles: roles.iter().map(|role| (*role).to_owned()).collect(),
    };
    let pins: std::collections::BTreeMap<String, PinnedProfile> = [
        ("prod \"quoted\" \u{20ac}".to_owned(), pin(Some("123456789012"), &["arn:aws:iam::1:role/a", "b"])),
        (String::new(), pin(None, &[])),
    ]
    .into();
    vault
        .edit(NOW, |items| {
            items.pins.settings = Some("{\"a\":\"\\n\"}".into());
            items.pins.profiles = std::sync::Arc::new(pins.clone());
            Ok::<_, Error>(())
        })
        .expect("a save");
    let opened = bench.folder.open(&bench.proof()).expect("opens");
    assert_eq!(opened.items().pins.settings.as_deref(), Some("{\"a\":\"\\n\"}"));
    assert_eq!(*opened.items().pins.profiles, pins);
    let (one, same, other) = (pin(None, &["r"]), pin(Some("1"), &["r"]), pin(Some("2"), &["r"]));
    assert!(one.agrees_with(&same) && one.agrees_with(&other) && !same.agrees_with(&other));
    assert!(!one.agrees_with(&pin(None, &["r", "s"])) && !one.agrees_with(&pin(None, &[])));
}

/// The document inside the vault on disk.
fn document(bench: &Bench) -> serde_json::Value {
    let file = bench.file();
    let envelope = Envelope::split(&file).expect("a vault");
    let (_, _, master) = folder::find(&envelope.header, &envelope.header.slots, &bench.proof()).expect("opens");
    serde_json::from_slice(&envelope.open(&master).expect("contents")).expect("JSON")
}

#[test]
fn ssh_keys_come_back_and_a_vault_without_them_has_none_written() {
    let mut bench = Bench::bare(20);
    let mut vault = bench.create();
    // As an older claviger leaves it, and reads it.
    assert!(document(&bench).get("ssh_keys").is_none());
    let rotating = Rotating {
        pair: "web servers".parse().expect("a name"),
        regions: ["eu-central-1", "us-east-1"].map(|region| region.parse().expect("a region")).into(),
    };
    let second = || SshKey {
        any_data: true,
        confirm: false,
        lifetime: Some(600),
        rotating: Some(rotating.clone()),
        ..ssh_key(b"another")
    };
    vault
        .edit(NOW, |items| {
            items.ssh_keys.insert(name("laptop"), ssh_key(b"\0private\xff"));
            items.ssh_keys.insert(name("ci"), second());
            items.ssh_keys.insert(name("old"), ssh_key(b"removed"));
            assert!(items.trash_ssh_key(&name("old"), NOW) && !items.trash_ssh_key(&name("old"), NOW));
            Ok::<_, Error>(())
        })
        .expect("a save");
    let opened = bench.vault();
    let keys = &opened.items().ssh_keys;
    assert_eq!(keys.keys().map(|name| name.as_str()).collect::<Vec<_>>(), ["ci", "laptop"]);
    let seen = |key: &SshKey| {
        let rules = (key.any_data, key.confirm, key.lifetime, key.namespaces.clone(), key.destinations.clone());
        let private = key.private.expose().to_vec();
        (private, key.public.clone(), key.comment.clone(), key.added, rules, key.rotating.clone())
    };
    assert!(seen(&keys[&name("laptop")]) == seen(&ssh_key(b"\0private\xff")));
    assert!(seen(&keys[&name("ci")]) == seen(&second()));
    assert!(matches!(&opened.items().trash[0].item, TrashedItem::SshKey(key) if key.private.expose() == b"removed"));
    let file = String::from_utf8_lossy(&bench.file()).into_owned();
    assert!(!file.contains("private") && !file.contains("laptop"));
    // What is not what a writer writes is damage.
    let written = document(&bench);
    assert_eq!(written["ssh_keys"]["laptop"]["confirm"], true);
    assert!(written["ssh_keys"]["laptop"].get("lifetime").is_none() && written["ssh_keys"]["ci"]["lifetime"] == 600);
}

#[test]
fn what_is_known_of_ssh_keys_outlives_a_lock_and_is_no_secret() {
    let bench = Bench::with_vault(21);
    let custody = Custody::new(bench.world.clone(), path(""), path("state"));
    custody.unlock(&bench.proof(), NOW).expect("open");
    let stored = custody.edit(NOW, |items| {
        items.ssh_keys.insert(name("laptop"), ssh_key(b"private"));
        Ok::<_, Error>(())
    });
    stored.expect("a save");
    drop(custody.lock(crate::vault::LockedBy::Command));
    let known = &custody.knowledge().ssh_keys;
    let key = ssh_key(b"");
    assert_eq!((known.len(), known[0].name.as_str()), (1, "laptop"));
    assert_eq!((&known[0].public, &known[0].comment), (&key.public, &key.comment));
    assert_eq!(known[0].destinations, key.destinations);
    assert_eq!(variant(custody.with_items(|items| items.ssh_keys.len())), "Locked");
}

#[test]
fn nothing_is_on_disk_before_the_code_was_typed_back() {
    let mut bench = Bench::bare(8);
    let fresh = FreshCode::draw(&bench.world).expect("a code");
    let code = fresh.code().expose().to_owned();
    assert_eq!((code.len(), code.split('-').count()), (44, 9));
    let mut wrong = code.clone();
    wrong.replace_range(0..1, if code.starts_with('A') { "B" } else { "A" });
    let fresh = fresh.confirm(&RecoveryCode::from_text(wrong)).err().expect("a typing mistake is no confirmation");
    assert!(fresh.confirm(&RecoveryCode::from_text(format!(" {} ", code.to_lowercase()))).is_ok());
    assert!(bench.disk.files().is_empty());
    bench.create();
    assert_eq!(bench.disk.files().len(), 1);
}

#[test]
fn passphrases_are_compared_in_nfc_and_bounded() {
    assert_eq!(variant(check_passphrase(&phrase(""))), "WeakPassphrase");
    assert_eq!(variant(check_passphrase(&phrase(&"x".repeat(1025)))), "WeakPassphrase");
    assert!(check_passphrase(&phrase(&"x".repeat(1024))).is_ok());
    let bench = Bench::with_vault(9);
    let mut vault = bench.vault();
    vault.add_passphrase(&bench.proof(), &phrase("caf\u{e9}"), KdfCost::FLOOR, NOW).expect("a slot");
    assert_eq!(vault.prove(&passphrase("cafe\u{301}")).expect("the same text"), 3);
    assert!(KdfCost::new(64 * 1024 - 1, 3, 4).is_none() && KdfCost::new(64 * 1024, 2, 4).is_none());
    assert!(KdfCost::new(2 * 1024 * 1024, 3, 4).is_none() && KdfCost::new(64 * 1024, 3, 4) == Some(KdfCost::FLOOR));
}

#[test]
fn an_edit_that_fails_changes_nothing() {
    let bench = Bench::with_vault(10);
    let mut vault = bench.vault();
    let before = bench.disk.files();
    let failed = vault.edit(NOW, |items| {
        items.access_keys.clear();
        Err::<(), _>(Error::SlotNotFound)
    });
    assert_eq!((variant(failed), keys(&vault)), ("SlotNotFound".to_owned(), vec!["first".to_owned()]));
    assert_eq!(bench.disk.files(), before);
}

#[test]
fn a_vault_that_another_program_wrote_is_not_overwritten() {
    let bench = Bench::with_vault(11);
    let (mut mine, mut theirs) = (bench.vault(), bench.vault());
    add_key(&mut theirs, "theirs", NOW).expect("a save");
    let before = bench.disk.files();
    assert_eq!(variant(add_key(&mut mine, "mine", NOW)), "ChangedOnDisk");
    assert_eq!((bench.disk.files(), keys(&mine)), (before, vec!["first".to_owned()]));
    bench.world.disk.remove(&path("vault")).expect("a removal");
    assert_eq!(variant(add_key(&mut mine, "mine", NOW)), "ChangedOnDisk");
}

#[test]
fn removed_items_stay_in_the_trash_for_thirty_days() {
    let bench = Bench::with_vault(12);
    let mut vault = bench.vault();
    vault
        .edit(NOW, |items| if items.trash_access_key(&name("first"), NOW) { Ok(()) } else { Err(Error::SlotNotFound) })
        .expect("there");
    let mut vault = bench.vault();
    assert!(vault.items().access_keys.is_empty());
    assert!(
        matches!(&vault.items().trash[0].item, TrashedItem::AccessKey(key) if key.secret.expose().starts_with("wJalr"))
    );
    add_key(&mut vault, "b", NOW.plus_millis(30 * DAY - 1)).expect("a save");
    assert_eq!(bench.vault().items().trash.len(), 1);
    add_key(&mut vault, "c", NOW.plus_millis(30 * DAY)).expect("a save");
    assert!(bench.vault().items().trash.is_empty());
}

#[test]
fn the_one_before_and_seven_days_are_kept() {
    let bench = Bench::with_vault(13);
    let mut vault = bench.vault();
    for day in 0..12 {
        for save in 0..2 {
            add_key(&mut vault, &format!("day-{day}-{save}"), NOW.plus_millis(day * DAY)).expect("a save");
        }
    }
    let names: Vec<_> =
        bench.disk.files().into_keys().map(|path| path.file_name().unwrap().to_str().unwrap().to_owned()).collect();
    let days = (4..=10).map(|day| format!("vault.2026-02-{day:02}"));
    assert_eq!(
        names,
        ["vault".to_owned()].into_iter().chain(days).chain(["vault.prev".to_owned()]).collect::<Vec<_>>()
    );
    // A daily is a vault of its own: the last of its day.
    let mut files = bench.disk.files();
    let restored = files[&path("vault.2026-02-05")].clone();
    files.insert(path("vault"), restored);
    let old = Bench::on(MemoryDisk::with(files), 1, bench.code.clone()).vault();
    assert!(keys(&old).contains(&"day-5-1".to_owned()) && !keys(&old).contains(&"day-6-0".to_owned()));
}

#[test]
fn a_removed_slot_opens_nothing_and_the_others_open_all() {
    let bench = Bench::with_vault(14);
    let mut vault = bench.vault();
    add_key(&mut vault, "second", NOW.plus_millis(2 * DAY)).expect("a save");
    let (code, text) = confirmed(&bench.world);
    assert_eq!(variant(vault.add_recovery(&recovery("AAAA"), &code, NOW)), "WrongProof");
    let id = vault.add_recovery(&bench.proof(), &code, NOW.plus_millis(2 * DAY)).expect("a slot");
    assert_eq!((id, vault.prove(&recovery(&text)).expect("a slot")), (3, 3));
    let old = bench.disk.files();
    assert_eq!(old.len(), 3, "vault, previous, a daily");
    assert_eq!(variant(vault.remove_slot(9, &bench.proof(), NOW)), "SlotNotFound");
    assert_eq!(variant(vault.remove_slot(3, &recovery("AAAA"), NOW)), "WrongProof");
    assert_eq!(variant(vault.remove_slot(3, &recovery(&text), NOW)), "ProofGoes");
    assert_eq!(bench.disk.files(), old);
    vault.remove_slot(3, &bench.proof(), NOW.plus_millis(3 * DAY)).expect("removed");
    assert_eq!(bench.disk.files().len(), 1, "no copy that the slot opens");
    assert_eq!(variant(bench.folder.open(&recovery(&text))), "WrongProof");
    for proof in [bench.proof(), passphrase(PHRASE)] {
        assert_eq!(keys(&bench.folder.open(&proof).expect("opens")), ["first", "second"]);
    }
    // The control: the old file still opens with the removed slot, and what that gives does not open the new one.
    let past = Bench::on(MemoryDisk::with(old), 1, text.clone());
    assert_eq!(keys(&past.vault()), ["first", "second"]);
    let (past, present) = (past.file(), bench.file());
    let past = Envelope::split(&past).expect("a vault");
    let (_, _, master) = folder::find(&past.header, &past.header.slots, &recovery(&text)).expect("opens");
    assert_eq!(variant(Envelope::split(&present).expect("a vault").open(&master)), "Damaged");
    assert!(past.open(&master).is_ok());
}

#[test]
fn the_proof_of_the_slot_that_goes_is_no_wrong_guess() {
    let bench = Bench::with_vault(16);
    let custody = Custody::new(bench.world.clone(), path(""), path("state"));
    custody.unlock(&bench.proof(), NOW).expect("open");
    for _ in 0..3 {
        let refused = custody.remove_slot(&passphrase(PHRASE), 1, NOW);
        assert!(matches!(refused, Err(Error::ProofGoes { slot: 1, recovery: false })), "{refused:?}");
    }
    // The control: a wrong one makes everybody wait.
    assert_eq!(variant(custody.remove_slot(&passphrase("wrong"), 1, NOW)), "WrongProof");
    assert_eq!(variant(custody.remove_slot(&passphrase(PHRASE), 1, NOW)), "Wait");
}

#[test]
fn the_last_slot_and_the_seventeenth_are_refused() {
    let bench = Bench::with_vault(15);
    let mut vault = bench.vault();
    vault.remove_slot(1, &bench.proof(), NOW).expect("removed");
    assert_eq!(variant(vault.remove_slot(2, &bench.proof(), NOW)), "LastSlot");
    for _ in 0..15 {
        let (code, _) = confirmed(&bench.world);
        vault.add_recovery(&bench.proof(), &code, NOW).expect("a slot");
    }
    let (code, _) = confirmed(&bench.world);
    assert_eq!(variant(vault.add_recovery(&bench.proof(), &code, NOW)), "SlotsFull");
    assert_eq!(bench.vault().slots().len(), 16);
}

#[test]
fn what_a_newer_claviger_put_beside_is_kept_and_re_keyed() {
    let bench = Bench::with_vault(16);
    let file = bench.file();
    let split = Envelope::split(&file).expect("a vault");
    let (_, _, master) = folder::find(&split.header, &split.header.slots, &bench.proof()).expect("opens");
    // A newer build would write it so: a kind of slot, a kind of item, fields in items and slots that are unknown here.
    let plain = String::from_utf8(split.open(&master).expect("contents").to_vec()).expect("text");
    let id = r#"{"access_key_id":"#;
    let plain = plain.replacen(id, r#"{"Tags":["b","a",{"b":null,"z":1}],"access_key_id":"#, 1);
    let plain = plain.replacen(r#""state_key""#, r#""sso_tokens":{"git":{"secret":"x"}},"state_key""#, 1);
    let plain = plain.replacen(
        r#""trash":[]"#,
        r#""trash":[{"item":{"a":1},"kind":"sso_token","name":"n","removed":1769860800000}]"#,
        1,
    );
    let mut header = split.header;
    header.slots[1].set_kind("tpm2");
    let resealed = envelope::seal(&mut header, &master, plain.as_bytes()).expect("a file");
    let mut files = bench.disk.files();
    files.insert(path("vault"), resealed);
    let newer = Bench::on(MemoryDisk::with(files), 2, bench.code.clone());
    let mut vault = newer.folder.open(&passphrase(PHRASE)).expect("opens");
    assert_eq!(vault.slots()[1].kind, None);
    add_key(&mut vault, "second", NOW).expect("a save");
    let (code, _) = confirmed(&newer.world);
    let added = vault.add_recovery(&passphrase(PHRASE), &code, NOW).expect("a slot");
    assert_eq!(variant(vault.remove_slot(added, &passphrase(PHRASE), NOW)), "ok");
    let file = newer.file();
    let split = Envelope::split(&file).expect("a vault");
    let (_, _, master) = folder::find(&split.header, &split.header.slots, &passphrase(PHRASE)).expect("opens");
    let plain = String::from_utf8(split.open(&master).expect("contents").to_vec()).expect("text");
    for kept in
        [r#""Tags":["b","a",{"b":null,"z":1}]"#, r#""sso_tokens":{"git":{"secret":"x"}}"#, r#""kind":"sso_token""#]
    {
        assert!(plain.contains(kept), "{kept}");
    }
}

#[test]
fn it_works_on_a_real_disk() {
    let folder = tempfile::tempdir().expect("a folder");
    let home = folder.path().join("data");
    let world = World { entropy: crate::testing::FakeEntropy::seeded(3), ..World::real() };
    let (code, text) = confirmed(&world);
    let there = crate::vault::VaultFolder::new(world, home.clone());
    let mut vault = there.create(&phrase(PHRASE), KdfCost::FLOOR, &code, NOW).expect("a vault");
    add_key(&mut vault, "first", NOW).expect("a save");
    add_key(&mut vault, "second", NOW.plus_millis(DAY)).expect("a save");
    let mut names: Vec<_> =
        std::fs::read_dir(&home).expect("a folder").map(|entry| entry.expect("an entry").file_name()).collect();
    names.sort();
    assert_eq!(names, ["vault", "vault.2026-01-31", "vault.prev"]);
    for name in names {
        use std::os::unix::fs::PermissionsExt;
        assert_eq!(std::fs::metadata(home.join(name)).expect("a file").permissions().mode() & 0o777, 0o600);
    }
    assert_eq!(keys(&there.open(&recovery(&text)).expect("opens")), ["first", "second"]);
}
