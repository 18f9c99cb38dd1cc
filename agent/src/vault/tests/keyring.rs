//! The keyring slot: opens without a person, proves nothing, and waits after a lock by command.

use super::{Bench, NOW, PHRASE, add_key, keys, passphrase, path, variant};
use crate::vault::{Custody, Error, KeyringPlace, LockedBy, VaultState};
use crate::world::Disk;
use claviger::secret::Secret;
use claviger::wire::SlotKind;
use std::sync::Arc;

fn secret(byte: u8) -> Secret<[u8; 32]> {
    Secret::new([byte; 32])
}

/// A vault with a keyring slot, its keeper, and the slot's place. Locked since the start.
fn bench(seed: u64) -> (Bench, Arc<Custody>, KeyringPlace) {
    let bench = Bench::with_vault(seed);
    let custody = keeper(&bench);
    custody.unlock(&bench.proof(), NOW).expect("opens");
    let place = custody.place_keyring(&bench.proof()).expect("a place");
    custody.add_keyring(&bench.proof(), place, &secret(7), NOW).expect("a slot");
    let custody = keeper(&bench);
    (bench, custody, place)
}

/// As an agent that has just started.
fn keeper(bench: &Bench) -> Arc<Custody> {
    Custody::new(bench.world.clone(), path(""), path("state"))
}

fn by_keyring(custody: &Custody, place: KeyringPlace) -> Result<(), Error> {
    let chance = custody.keyring_chance().ok_or(Error::Locked)?;
    assert_eq!(chance.places, [place]);
    custody.unlock_by_keyring(&chance, place.slot, &secret(7), NOW)
}

#[test]
fn the_keyring_opens_the_vault_and_nothing_else_does_in_its_place() {
    let (bench, custody, place) = bench(60);
    assert_eq!(place.slot, 3);
    assert_eq!(custody.slots().expect("slots")[2].kind, Some(SlotKind::Keyring));
    let chance = custody.keyring_chance().expect("a chance");
    for (slot, byte) in [(3, 8), (1, 7), (2, 7), (9, 7)] {
        assert_eq!(variant(custody.unlock_by_keyring(&chance, slot, &secret(byte), NOW)), "WrongProof", "{slot}");
    }
    assert_eq!(custody.state(), VaultState::Locked(LockedBy::Start));
    // A wrong item is no guess: a person need not wait.
    custody.unlock(&bench.proof(), NOW).expect("opens");
    let custody = keeper(&bench);
    by_keyring(&custody, place).expect("opens");
    assert!(custody.keyring_chance().is_none(), "it is open");
    assert_eq!(custody.with_items(|items| items.access_keys.len()).expect("open"), 1);
}

#[test]
fn a_slot_proof_is_needed_to_add_it_and_its_place_is_taken_once() {
    let (bench, custody, _) = bench(61);
    custody.unlock(&bench.proof(), NOW).expect("opens");
    assert_eq!(variant(custody.place_keyring(&passphrase("wrong")).map(drop)), "WrongProof");
    let custody = keeper(&bench);
    custody.unlock(&bench.proof(), NOW).expect("opens");
    let (first, second) = (custody.place_keyring(&bench.proof()), custody.place_keyring(&bench.proof()));
    let (first, second) = (first.expect("a place"), second.expect("a place"));
    assert_eq!(first, second);
    custody.add_keyring(&bench.proof(), first, &secret(1), NOW).expect("a slot");
    assert_eq!(variant(custody.add_keyring(&bench.proof(), second, &secret(2), NOW)), "Interrupted");
    assert_eq!(custody.slots().expect("slots").len(), 4);
}

#[test]
fn a_person_keeps_a_slot_and_a_removed_one_opens_nothing_more() {
    let (bench, custody, place) = bench(62);
    by_keyring(&custody, place).expect("opens");
    // Recovery goes first; the passphrase is then the last slot of a person.
    custody.remove_slot(&passphrase(PHRASE), 2, NOW).expect("removed");
    assert_eq!(variant(custody.remove_slot(&passphrase(PHRASE), 1, NOW)), "LastSlot");
    let custody = keeper(&bench);
    by_keyring(&custody, place).expect("the new master key reached the slot without its secret");
    custody.remove_slot(&passphrase(PHRASE), 3, NOW).expect("removed");
    let custody = keeper(&bench);
    assert!(custody.keyring_chance().is_none(), "no slot, no question to any keyring");
}

#[test]
fn after_a_lock_by_command_only_a_person_opens_it_also_after_a_restart() {
    let (bench, custody, place) = bench(63);
    by_keyring(&custody, place).expect("opens");
    custody.lock(LockedBy::Command);
    for later in [LockedBy::Suspend, LockedBy::Screen, LockedBy::Idle] {
        custody.lock(later);
        assert_eq!(custody.state(), VaultState::Locked(LockedBy::Command), "{later:?}");
        assert!(custody.keyring_chance().is_none());
    }
    custody.lock(LockedBy::Stop);
    for _ in 0..2 {
        let restarted = keeper(&bench);
        assert!(restarted.keyring_chance().is_none());
    }
    let custody = keeper(&bench);
    custody.unlock(&bench.proof(), NOW).expect("a person opens it");
    for by in [LockedBy::Idle, LockedBy::Suspend, LockedBy::Screen] {
        custody.lock(by);
        assert_eq!(custody.state(), VaultState::Locked(by));
        by_keyring(&custody, place).expect("opens");
    }
    by_keyring(&keeper(&bench), place).expect("also after a restart");
}

#[test]
fn a_lock_that_comes_in_between_wins() {
    for by in [LockedBy::Command, LockedBy::Screen, LockedBy::Suspend, LockedBy::Idle] {
        let (_bench, custody, place) = bench(64);
        let chance = custody.keyring_chance().expect("a chance");
        custody.lock(by);
        assert_eq!(variant(custody.unlock_by_keyring(&chance, place.slot, &secret(7), NOW)), "Locked", "{by:?}");
        assert_eq!(custody.state(), VaultState::Locked(by));
    }
}

#[test]
fn a_vault_without_the_slot_leaves_no_mark() {
    let bench = Bench::with_vault(65);
    let custody = keeper(&bench);
    custody.unlock(&bench.proof(), NOW).expect("opens");
    let before: Vec<_> = bench.disk.files().into_keys().collect();
    custody.lock(LockedBy::Command);
    assert_eq!(bench.disk.files().into_keys().collect::<Vec<_>>(), before);
    let mut vault = bench.vault();
    add_key(&mut vault, "second", NOW).expect("a save");
    assert_eq!(keys(&vault), ["first", "second"]);
}

#[test]
fn every_reason_of_a_lock_is_known_by_its_name() {
    use LockedBy::{Command, Idle, Screen, Start, Stop, Suspend};
    for by in [Command, Idle, Screen, Start, Stop, Suspend] {
        assert_eq!(LockedBy::named(by.as_str()), Some(by));
    }
}

#[test]
fn a_restore_is_a_person_who_opens_it() {
    let (bench, custody, place) = bench(66);
    custody.lock(LockedBy::Command);
    let (copy, vault) = (path("elsewhere"), bench.disk.files()[&path("vault")].clone());
    let mut file = bench.disk.create_new(&copy).expect("a file");
    file.write_all(&vault).expect("a copy");
    custody.restore(&copy, &bench.proof(), None, true, NOW, || {}).expect("a restore");
    custody.lock(LockedBy::Idle);
    by_keyring(&custody, place).expect("opens");
}
