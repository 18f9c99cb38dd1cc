//! A disk or a kernel that says no, at every call: a typed error, nothing lost, and the next try works.

use super::{Bench, DAY, NOW, add_key, confirmed, keys, variant};
use crate::testing::MemoryDisk;
use crate::vault::{Error, Vault, VaultFolder};
use crate::world::{Entropy, WallTime, World};
use std::io::ErrorKind;
use std::sync::Arc;

const KINDS: [ErrorKind; 3] = [ErrorKind::StorageFull, ErrorKind::Other, ErrorKind::ReadOnlyFilesystem];
const LATER: WallTime = WallTime(NOW.0 + 2 * DAY);

/// Fails each call of `act` in turn and shows what came of it to `check`. Returns how many calls there are.
fn every_fault(
    prepare: impl Fn() -> Bench,
    act: impl Fn(&mut Vault, &Bench) -> Result<(), Error>,
    check: impl Fn(&Bench, &mut Vault, Result<(), Error>),
) -> usize {
    let calls = {
        let bench = prepare();
        let mut vault = bench.vault();
        bench.disk.settle();
        act(&mut vault, &bench).expect("the control");
        bench.disk.calls()
    };
    for call in 0..calls {
        for kind in KINDS {
            let bench = prepare();
            let mut vault = bench.vault();
            bench.disk.settle();
            bench.disk.fail(call, kind);
            let outcome = act(&mut vault, &bench);
            bench.disk.settle();
            check(&bench, &mut vault, outcome);
        }
    }
    calls
}

#[test]
fn a_save_that_fails_loses_nothing() {
    let calls = every_fault(
        || Bench::with_vault(40),
        |vault, _| add_key(vault, "second", LATER),
        |bench, vault, outcome| {
            let outcome = variant(outcome);
            assert!(["ok", "Unsaved", "Unsynced"].contains(&outcome.as_str()), "{outcome}");
            let expected: &[&str] = if outcome == "Unsaved" { &["first"] } else { &["first", "second"] };
            assert_eq!(keys(vault), expected);
            assert_eq!(keys(&bench.vault()), expected, "disk and memory agree");
            add_key(vault, "third", LATER).expect("the next save works");
            assert!(keys(&bench.vault()).contains(&"third".to_owned()));
        },
    );
    assert!(calls >= 15, "{calls}");
}

#[test]
fn a_slot_removal_that_fails_leaves_the_slot_or_says_what_is_left() {
    let prepare = || {
        let bench = Bench::with_vault(41);
        let mut vault = bench.vault();
        let (code, _) = confirmed(&bench.world);
        vault.add_recovery(&bench.proof(), &code, LATER).expect("a slot");
        bench
    };
    every_fault(
        prepare,
        |vault, bench| vault.remove_slot(3, &bench.proof(), LATER),
        |bench, vault, outcome| {
            let outcome = variant(outcome);
            assert!(["ok", "Unsaved", "Unsynced", "CopiesLeft"].contains(&outcome.as_str()), "{outcome}");
            let slots = if outcome == "Unsaved" { 3 } else { 2 };
            assert_eq!((vault.slots().len(), bench.folder.slots().expect("slots").len()), (slots, slots));
            if outcome == "Unsaved" {
                vault.remove_slot(3, &bench.proof(), LATER).expect("the next try works");
            } else {
                assert_eq!(keys(&bench.vault()), ["first"]);
            }
            assert_eq!(bench.disk.files().len(), 1, "no copy is left: {outcome}");
        },
    );
}

#[test]
fn an_open_that_cannot_clear_up_still_opens() {
    let bench = Bench::with_vault(42);
    bench.disk.settle();
    bench.vault();
    for call in 0..bench.disk.calls() {
        bench.disk.settle();
        let before = bench.disk.files();
        bench.disk.fail(call, ErrorKind::Other);
        let outcome = variant(bench.open());
        assert!(["ok", "Unreadable"].contains(&outcome.as_str()), "{outcome}");
        assert_eq!(bench.disk.files(), before);
    }
}

#[test]
fn a_file_system_without_hard_links_keeps_copies_all_the_same() {
    let bench = Bench::with_vault(43);
    let mut vault = bench.vault();
    bench.disk.settle();
    // The link is the call after: read, remove, create, write, sync, read back, remove.
    bench.disk.fail(7, ErrorKind::PermissionDenied);
    add_key(&mut vault, "second", LATER).expect("a save");
    let files = bench.disk.files();
    let restored = MemoryDisk::with([(super::path("vault"), files[&super::path("vault.prev")].clone())].into());
    assert_eq!(keys(&Bench::on(restored, 1, bench.code.clone()).vault()), ["first"]);
}

#[test]
fn without_randomness_nothing_is_written() {
    struct Dry;
    impl Entropy for Dry {
        fn fill(&self, _buffer: &mut [u8]) -> std::io::Result<()> {
            Err(ErrorKind::Other.into())
        }
    }
    let bench = Bench::with_vault(44);
    let dry = VaultFolder::new(World { entropy: Arc::new(Dry), ..bench.world.clone() }, super::path(""));
    let mut vault = dry.open(&bench.proof()).expect("opens");
    let before = bench.disk.files();
    assert_eq!(variant(add_key(&mut vault, "second", NOW)), "NoEntropy");
    assert_eq!(variant(vault.remove_slot(1, &bench.proof(), NOW)), "NoEntropy");
    assert_eq!((keys(&vault), bench.disk.files()), (vec!["first".to_owned()], before));
}
