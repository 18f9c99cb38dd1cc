//! Power loss at any moment: every state that may be left opens as the old vault or the new one, and as the new one
//! once that was promised. Without any one of the syncs this does not hold, which shows that the test can see.

mod sequence;

use super::{Bench, DAY, NOW, add_key, confirmed, keys, path, phrase, recovery, variant};
use crate::testing::{CrashState, MemoryDisk, figure, rounds};
use crate::vault::{AuditHead, Custody, KdfCost, LockedBy, Opened, Vault};
use crate::world::WallTime;
use claviger::secret::Secret;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;

const LATER: WallTime = WallTime(NOW.0 + 2 * DAY);

/// Runs `act` and marks its success, then shows every crash state to `check`. Then again without each sync in turn:
/// `check` must fail on some state, or the act itself.
fn every_crash(name: &str, bench: impl Fn() -> Bench, act: impl Fn(&Bench), check: impl Fn(&Bench, &CrashState)) {
    let run = |skipped: &[usize]| {
        let bench = bench();
        bench.disk.settle();
        skipped.iter().for_each(|sync| bench.disk.skip_sync(*sync));
        act(&bench);
        bench.disk.mark();
        bench
    };
    let whole = run(&[]);
    let mut marks = [false; 2];
    let states = whole.disk.crash_states(rounds(256, 1), |state| {
        marks[state.marks] = true;
        check(&whole, state);
    });
    let syncs = whole.disk.syncs();
    assert!(!syncs.is_empty() && marks == [true; 2] && states > 2, "{states}");
    let is_noticed = |skipped: &[usize]| {
        let (without, mut noticed) = (run(skipped), false);
        without.disk.crash_states(256, |state| {
            let check = AssertUnwindSafe(|| check(&without, state));
            noticed = noticed || catch_unwind(check).is_err();
        });
        noticed
    };
    for (sync, what) in syncs.iter().enumerate() {
        // Where the same is synced more than once, one may be enough; without all of them it shows.
        let same: Vec<usize> = (0..syncs.len()).filter(|other| syncs[*other] == *what).collect();
        let noticed = is_noticed(&[sync]) || is_noticed(&same);
        assert!(noticed, "nothing notices that the sync of {what} is missing");
    }
    figure(&format!("{name}: crash states"), states);
    figure(&format!("{name}: syncs, each noticed when left out"), syncs.len());
}

/// The vault that a machine finds after this crash.
fn after(bench: &Bench, state: &CrashState) -> (Bench, Vault) {
    let bench = Bench::on(MemoryDisk::with(state.files.clone()), 5, bench.code.clone());
    let vault = bench.vault();
    (bench, vault)
}

#[test]
fn a_save_is_old_or_new() {
    every_crash(
        "save",
        || Bench::with_vault(30),
        |bench| add_key(&mut bench.vault(), "second", LATER).expect("a save"),
        |bench, state| {
            let (bench, mut vault) = after(bench, state);
            match keys(&vault).as_slice() {
                [first] if first == "first" => assert_eq!(state.marks, 0, "a promised save is gone"),
                [first, second] => assert_eq!((first.as_str(), second.as_str()), ("first", "second")),
                other => panic!("neither old nor new: {other:?}"),
            }
            assert!(bench.disk.files().keys().all(|path| !path.to_string_lossy().ends_with(".new")), "a leftover");
            add_key(&mut vault, "third", LATER).expect("the next save works");
            assert!(keys(&bench.vault()).contains(&"third".to_owned()));
        },
    );
}

#[test]
fn a_removed_slot_is_there_with_everything_or_gone_with_its_copies() {
    let prepared = || {
        let bench = Bench::with_vault(31);
        let mut vault = bench.vault();
        let (code, _) = confirmed(&bench.world);
        vault.add_recovery(&bench.proof(), &code, LATER).expect("a slot");
        add_key(&mut vault, "second", LATER.plus_millis(DAY)).expect("a save");
        assert_eq!(bench.disk.files().len(), 4, "vault, previous, two dailies");
        bench
    };
    every_crash(
        "slot removal",
        prepared,
        |bench| bench.vault().remove_slot(3, &bench.proof(), LATER.plus_millis(2 * DAY)).expect("removed"),
        |bench, state| {
            let (bench, mut vault) = after(bench, state);
            assert_eq!(keys(&vault), ["first", "second"]);
            match vault.slots().len() {
                3 => {
                    assert_eq!(state.marks, 0, "a promised removal is undone");
                    let whole = state.files.keys().filter(|path| !path.ends_with("vault.new")).count();
                    assert_eq!(whole, 4, "a slot that stays has lost its copies");
                }
                2 => assert_eq!(bench.disk.files().len(), 1, "a copy is left after the next open"),
                other => panic!("{other} slots"),
            }
            if state.marks > 0 {
                let vaults = state.files.keys().filter(|path| !path.ends_with("vault.new")).count();
                assert_eq!(vaults, 1, "a promised removal left a copy");
            }
            add_key(&mut vault, "third", LATER).expect("the next save works");
        },
    );
}

#[test]
fn a_new_vault_is_absent_or_whole() {
    every_crash(
        "new vault",
        || {
            let mut bench = Bench::bare(32);
            bench.code = confirmed(&bench.world).1;
            bench
        },
        |bench| {
            let code = confirmed_again(&bench.code);
            bench.folder.create(&phrase(super::PHRASE), KdfCost::FLOOR, &code, NOW).expect("a vault");
        },
        |bench, state| {
            let found = Bench::on(MemoryDisk::with(state.files.clone()), 5, bench.code.clone());
            match variant(found.open()).as_str() {
                "Absent" => assert_eq!(state.marks, 0, "a promised vault is gone"),
                outcome => assert_eq!(outcome, "ok"),
            }
        },
    );
}

#[test]
fn a_burned_step_stays_burned() {
    let serial = || "arn:aws:iam::123456789012:mfa/ada".parse().expect("a serial");
    let step = 59_000_000;
    let prepared = || {
        let bench = Bench::with_vault(33);
        let (mut state, _) = bench.state();
        state.put_session([7; 32], b"kept".to_vec().into()).expect("kept");
        bench
    };
    every_crash(
        "burn",
        prepared,
        |bench| {
            let (mut state, _) = bench.state();
            state.put_session([8; 32], b"soon".to_vec().into()).expect("kept");
            state.burn(&serial(), step).expect("burned");
        },
        |bench, crash| {
            let (bench, _) = after(bench, crash);
            let (mut state, opened) = bench.state();
            assert!(matches!(opened, Opened::Found | Opened::Torn), "{opened:?}");
            assert!(crash.marks == 0 || state.is_burned(&serial(), step), "a burned step is free again");
            assert!(state.sessions().any(|(id, bytes)| id == &[7; 32] && bytes == b"kept"));
            assert!(state.is_burned(&serial(), step) || state.burn(&serial(), step).is_ok());
            assert!(!bench.disk.files().contains_key(&path("state.new")));
        },
    );
}

#[test]
fn a_head_of_the_audit_record_that_must_last_lasts() {
    every_crash(
        "audit head",
        || {
            let bench = Bench::with_vault(34);
            bench.state().0.set_audit_head(AuditHead { seq: 4, mac: [4; 32] }, true).expect("kept");
            bench
        },
        |bench| {
            let (mut state, _) = bench.state();
            state.set_audit_head(AuditHead { seq: 5, mac: [5; 32] }, false).expect("kept");
            state.set_audit_head(AuditHead { seq: 6, mac: [6; 32] }, true).expect("kept");
        },
        |bench, crash| {
            let (bench, _) = after(bench, crash);
            let seq = bench.state().0.audit_head().expect("a head").seq;
            assert!((4..=6).contains(&seq) && (crash.marks == 0 || seq == 6), "{seq}");
        },
    );
}

#[test]
fn a_backup_that_was_promised_opens() {
    let to = || path("elsewhere/backup");
    let code = confirmed(&Bench::bare(9).world).1;
    every_crash(
        "backup",
        || Bench::with_vault(35),
        |bench| bench.vault().back_up(&to(), &confirmed_again(&code), NOW).expect("a backup"),
        |_, state| match state.files.get(&to()) {
            None => assert_eq!(state.marks, 0, "a promised backup is gone"),
            Some(_) if state.marks == 0 => {}
            Some(backup) => {
                let disk = MemoryDisk::with([(path("vault"), backup.clone())].into());
                assert_eq!(keys(&Bench::on(disk, 5, code.clone()).vault()), ["first"]);
            }
        },
    );
}

#[test]
fn a_restore_leaves_the_old_vault_or_the_backup_and_no_step_free() {
    let (code, from) = (confirmed(&Bench::bare(9).world).1, path("elsewhere/backup"));
    let serial = super::state::serial("ada");
    let step = LATER.0.unsigned_abs() / 30_000;
    let prepared = || {
        let bench = Bench::with_vault(36);
        let mut vault = bench.vault();
        vault.back_up(&from, &confirmed_again(&code), NOW).expect("a backup");
        add_key(&mut vault, "second", LATER).expect("a save");
        bench.state().0.burn(&serial, step).expect("burned");
        bench
    };
    every_crash(
        "restore",
        prepared,
        |bench| {
            let custody = Custody::new(bench.world.clone(), path(""), path("state"));
            let new = phrase("a new passphrase");
            custody
                .restore(&from, &recovery(&code), Some((&new, KdfCost::FLOOR)), true, LATER, || {})
                .expect("restored");
        },
        |bench, state| {
            let disk = MemoryDisk::with(state.files.clone());
            let old = Bench::on(disk.clone(), 5, bench.code.clone());
            let restored = Bench::on(disk, 5, code.clone());
            let (ledger, opened) = match (old.open(), restored.open()) {
                (Ok(vault), Err(_)) => {
                    assert_eq!((state.marks, keys(&vault)), (0, vec!["first".to_owned(), "second".to_owned()]));
                    let (ledger, opened) = old.state_at(LATER);
                    assert_eq!(opened, Opened::Found, "the old vault has lost its state");
                    (ledger, opened)
                }
                (Err(_), Ok(vault)) => {
                    assert_eq!(keys(&vault), ["first"]);
                    restored.state_at(LATER)
                }
                _ => panic!("neither the old vault nor the backup"),
            };
            assert!(state.marks == 0 || opened == Opened::Found, "the state has not followed");
            assert!(ledger.is_burned(&serial, step), "a burned step is free again");
            assert!(state.files.contains_key(&from), "the backup is gone");
        },
    );
}

#[test]
fn a_lock_by_a_person_bars_the_keyring_also_after_a_power_loss() {
    let prepared = || {
        let bench = Bench::with_vault(37);
        let custody = keeper(&bench);
        custody.unlock(&bench.proof(), NOW).expect("opens");
        let place = custody.place_keyring(&bench.proof()).expect("a place");
        custody.add_keyring(&bench.proof(), place, &Secret::new([7; 32]), NOW).expect("a slot");
        bench
    };
    every_crash(
        "lock by a person",
        prepared,
        |bench| {
            keeper(bench).lock(LockedBy::Command);
        },
        |bench, state| {
            let (bench, _) = after(bench, state);
            assert!(state.marks == 0 || keeper(&bench).keyring_chance().is_none(), "the keyring may open it");
        },
    );
}

fn keeper(bench: &Bench) -> Arc<Custody> {
    Custody::new(bench.world.clone(), path(""), path("state"))
}

/// The code of this text, as a person has typed it back.
fn confirmed_again(text: &str) -> crate::vault::ConfirmedCode {
    let code = crate::vault::recovery::read(&claviger::secret::SecretText::from_text(text.to_owned()));
    crate::vault::ConfirmedCode::from_bits(code.expect("a code"))
}
