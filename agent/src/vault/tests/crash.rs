//! Power loss at any moment: every state that may be left opens as the old vault or the new one, and as the new one
//! once that was promised. Without any one of the syncs this does not hold, which shows that the test can see.

use super::{Bench, DAY, NOW, add_key, confirmed, keys, path, variant};
use crate::testing::{CrashState, MemoryDisk};
use crate::vault::{Opened, Vault};
use crate::world::WallTime;
use std::panic::{AssertUnwindSafe, catch_unwind};

const LATER: WallTime = WallTime(NOW.0 + 2 * DAY);

/// Runs `act` and marks its success, then shows every crash state to `check`. Then again without each sync in turn:
/// `check` must fail on some state, or the act itself.
fn every_crash(bench: impl Fn() -> Bench, act: impl Fn(&Bench), check: impl Fn(&Bench, &CrashState)) -> usize {
    let run = |skipped: Option<usize>| {
        let bench = bench();
        bench.disk.settle();
        if let Some(sync) = skipped {
            bench.disk.skip_sync(sync);
        }
        act(&bench);
        bench.disk.mark();
        (bench.disk.syncs(), bench.disk.crash_states(), bench)
    };
    let (syncs, states, whole) = run(None);
    assert!(syncs > 0 && states.iter().any(|state| state.marks == 0) && states.iter().any(|state| state.marks == 1));
    states.iter().for_each(|state| check(&whole, state));
    for sync in 0..syncs {
        let (_, states, whole) = run(Some(sync));
        let seen = states.iter().any(|state| {
            let check = AssertUnwindSafe(|| check(&whole, state));
            catch_unwind(check).is_err()
        });
        assert!(seen, "nothing notices that sync {sync} is missing");
    }
    states.len()
}

/// The vault that a machine finds after this crash.
fn after(bench: &Bench, state: &CrashState) -> (Bench, Vault) {
    let bench = Bench::on(MemoryDisk::with(state.files.clone()), 5, bench.code.clone());
    let vault = bench.vault();
    (bench, vault)
}

#[test]
fn a_save_is_old_or_new() {
    let states = every_crash(
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
    assert!(states >= 20, "{states}");
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
    let states = every_crash(
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
    assert!(states >= 20, "{states}");
}

#[test]
fn a_new_vault_is_absent_or_whole() {
    let states = every_crash(
        || {
            let mut bench = Bench::bare(32);
            bench.code = confirmed(&bench.world).1;
            bench
        },
        |bench| {
            let fresh = crate::vault::recovery::read(&claviger::secret::SecretText::from_text(bench.code.clone()));
            let code = crate::vault::ConfirmedCode::from_bits(fresh.expect("a code"));
            let cost = crate::vault::KdfCost::FLOOR;
            bench.folder.create(&super::phrase(super::PHRASE), cost, &code, NOW).expect("a vault");
        },
        |bench, state| {
            let found = Bench::on(MemoryDisk::with(state.files.clone()), 5, bench.code.clone());
            match variant(found.open()).as_str() {
                "Absent" => assert_eq!(state.marks, 0, "a promised vault is gone"),
                outcome => assert_eq!(outcome, "ok"),
            }
        },
    );
    assert!(states > 10, "{states}");
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
    let states = every_crash(
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
    assert!(states >= 20, "{states}");
}
