//! Backups and restores: what opens what, what is kept, and that no code from before is ever spent again.

use super::state::serial;
use super::{Bench, DAY, NOW, PHRASE, add_key, confirmed, keys, passphrase, path, phrase, recovery, variant};
use crate::testing::MemoryDisk;
use crate::vault::{KdfCost, Opened, State, Vault};
use crate::world::WallTime;
use std::path::PathBuf;

const LATER: WallTime = WallTime(NOW.0 + 2 * DAY);
const STEP: u64 = LATER.0 as u64 / 30_000;

/// A backup of the bench's vault, and its code.
fn back_up(bench: &Bench) -> (PathBuf, String) {
    let (code, text) = confirmed(&bench.world);
    let file = path("elsewhere.backup");
    bench.vault().back_up(&file, &code, NOW).expect("a backup");
    (file, text)
}

fn restore(bench: &Bench, code: &str, replace: bool) -> Result<Vault, crate::vault::Error> {
    let new = phrase("a new passphrase");
    let new = Some((&new, KdfCost::FLOOR));
    bench.folder.restore(&path("elsewhere.backup"), &recovery(code), new, replace, &|_, _| 0, LATER)
}

/// Another machine, which has the backup and nothing else.
fn elsewhere(bench: &Bench, file: &PathBuf) -> Bench {
    let bytes = bench.disk.files()[file].clone();
    Bench::on(MemoryDisk::with([(file.clone(), bytes)].into()), 77, String::new())
}

#[test]
fn a_backup_opens_with_its_own_code_alone_and_comes_back_with_a_new_passphrase() {
    let bench = Bench::with_vault(70);
    let (file, code) = back_up(&bench);
    let other = elsewhere(&bench, &file);
    for wrong in [recovery(&bench.code), passphrase(PHRASE), recovery("AAAA")] {
        let new = phrase("x");
        let refused = other.folder.restore(&file, &wrong, Some((&new, KdfCost::FLOOR)), false, &|_, _| 0, LATER);
        assert_eq!(variant(refused), "WrongProof");
    }
    assert_eq!(
        variant(other.folder.restore(&file, &recovery(&code), None, false, &|_, _| 0, LATER)),
        "PassphraseNeeded"
    );
    assert_eq!(other.disk.files().len(), 1, "a refusal wrote something");
    let restored = restore(&other, &code, false).expect("a restore");
    assert_eq!((keys(&restored), restored.slots().len()), (keys(&bench.vault()), 2));
    for proof in [passphrase("a new passphrase"), recovery(&code)] {
        assert_eq!(keys(&other.folder.open(&proof).expect("opens")), ["first"]);
    }
    assert_eq!(variant(other.folder.open(&passphrase(PHRASE))), "WrongProof");
}

#[test]
fn after_a_restore_every_step_up_to_the_next_counts_as_burned() {
    for fresh_machine in [true, false] {
        let bench = Bench::with_vault(71);
        let (file, code) = back_up(&bench);
        // On the same machine a state is there, sealed under the key that the backup has.
        drop(bench.state());
        let bench = if fresh_machine { elsewhere(&bench, &file) } else { bench };
        let restored = restore(&bench, &code, true).expect("a restore");
        let (state, opened) =
            State::open(bench.world.clone(), path("state"), restored.state_access(), LATER).expect("a state");
        assert!(matches!(opened, Opened::Missing | Opened::Damaged), "{opened:?}");
        assert!(state.is_burned(&serial("ada"), STEP) && state.is_burned(&serial("ada"), STEP + 1));
        assert!(!state.is_burned(&serial("ada"), STEP + 2));
    }
}

#[test]
fn a_vault_in_the_way_is_kept_whole_or_damaged() {
    let bench = Bench::with_vault(72);
    let (_, code) = back_up(&bench);
    add_key(&mut bench.vault(), "second", NOW).expect("a save");
    let standing = bench.file();
    assert_eq!(variant(restore(&bench, &code, false)), "Exists");
    assert_eq!(bench.file(), standing);
    let restored = restore(&bench, &code, true).expect("a restore");
    assert_eq!(keys(&restored), ["first"]);
    assert_eq!(bench.disk.files()[&path("vault.prev")], standing, "the vault that was there");
    assert!(restored.generation() > 3, "no older than the one that was there");

    let bench = Bench::with_vault(73);
    let (_, code) = back_up(&bench);
    let broken = b"no vault".to_vec();
    let mut files = bench.disk.files();
    files.insert(path("vault"), broken.clone());
    let bench = Bench::on(MemoryDisk::with(files), 74, String::new());
    restore(&bench, &code, true).expect("a restore over a damaged vault");
    assert_eq!(bench.disk.files()[&path("vault.damaged")], broken);
}

#[test]
fn a_copy_beside_the_vault_opens_by_its_own_slots() {
    let bench = Bench::with_vault(75);
    add_key(&mut bench.vault(), "second", NOW).expect("a save");
    let restored = bench.folder.restore(&path("vault.prev"), &recovery(&bench.code), None, true, &|_, _| 0, LATER);
    assert_eq!(keys(&restored.expect("a restore")), ["first"]);
    assert_eq!(keys(&bench.folder.open(&passphrase(PHRASE)).expect("opens")), ["first"]);
}

#[test]
fn every_flip_of_a_backup_is_refused_and_leaves_the_vault_alone() {
    let bench = Bench::with_vault(76);
    let (file, code) = back_up(&bench);
    let good = bench.disk.files()[&file].clone();
    for at in (0..good.len()).step_by(7) {
        let mut files = bench.disk.files();
        files.get_mut(&file).expect("the backup")[at] ^= 1;
        let spoilt = Bench::on(MemoryDisk::with(files.clone()), 78, String::new());
        assert!(restore(&spoilt, &code, true).is_err(), "byte {at}");
        assert_eq!(spoilt.disk.files(), files, "byte {at}");
    }
    let (again, _) = confirmed(&bench.world);
    assert_eq!(variant(bench.vault().back_up(&file, &again, NOW)), "BackupExists");
    assert_eq!(bench.disk.files()[&file], good);
}
