//! The state: ledger, sessions, audit head, and what becomes of them when the file is not what was written.

use super::{Bench, NOW, add_key, confirmed, path, variant};
use crate::testing::MemoryDisk;
use crate::vault::{AuditHead, Opened, State};
use crate::world::WallTime;
use claviger::model::MfaSerial;
use std::io::ErrorKind;

/// The step of [`NOW`].
const STEP: u64 = NOW.0 as u64 / 30_000;

pub(super) fn serial(name: &str) -> MfaSerial {
    format!("arn:aws:iam::123456789012:mfa/{name}").parse().expect("a serial")
}

impl Bench {
    pub(super) fn state(&self) -> (State, Opened) {
        self.state_at(NOW)
    }

    pub(super) fn state_at(&self, now: WallTime) -> (State, Opened) {
        let access = self.vault().state_access();
        State::open(self.world.clone(), path("state"), access, now).expect("a state")
    }

    /// A state with something of everything, and the bytes of its file.
    fn with_state(seed: u64) -> (Self, Vec<u8>) {
        let bench = Self::with_vault(seed);
        let (mut state, opened) = bench.state();
        assert_eq!(opened, Opened::Missing, "the vault has been used");
        state.put_session([1; 32], b"one".to_vec().into()).expect("kept");
        state.put_session([2; 32], b"two".to_vec().into()).expect("kept");
        state.remove_session(&[1; 32]).expect("forgotten");
        state.set_audit_head(AuditHead { seq: 5, mac: [9; 32] }, false).expect("set");
        state.burn(&serial("ada"), STEP + 7).expect("burned");
        let file = bench.disk.files()[&path("state")].clone();
        (bench, file)
    }

    fn replace_state(&self, file: Vec<u8>) -> Self {
        let mut files = self.disk.files();
        files.insert(path("state"), file);
        Self::on(MemoryDisk::with(files), 6, self.code.clone())
    }
}

#[test]
fn a_new_vault_starts_with_nothing_burned_and_a_used_one_without_its_state_with_all() {
    let mut bench = Bench::bare(50);
    bench.create();
    let (state, opened) = bench.state();
    assert_eq!((opened, state.is_burned(&serial("ada"), STEP)), (Opened::Fresh, false));
    let bench = Bench::with_vault(50);
    let (mut state, opened) = bench.state();
    assert_eq!(opened, Opened::Missing);
    assert!(state.is_burned(&serial("ada"), STEP - 1) && state.is_burned(&serial("unheard-of"), STEP + 1));
    assert_eq!(variant(state.burn(&serial("ada"), STEP + 1)), "StepSpent");
    state.burn(&serial("ada"), STEP + 2).expect("free");
    let (state, opened) = bench.state();
    assert_eq!(opened, Opened::Found);
    assert!(state.is_burned(&serial("bob"), STEP + 1), "the floor is durable");
    assert!(state.is_burned(&serial("ada"), STEP + 2) && !state.is_burned(&serial("bob"), STEP + 2));
}

#[test]
fn everything_comes_back_with_any_slot() {
    let (bench, _) = Bench::with_state(51);
    for proof in [bench.proof(), super::passphrase(super::PHRASE)] {
        let access = bench.folder.open(&proof).expect("opens").state_access();
        let (state, opened) = State::open(bench.world.clone(), path("state"), access, NOW).expect("a state");
        assert_eq!(opened, Opened::Found);
        assert_eq!(
            state.sessions().map(|(id, bytes)| (*id, bytes.to_vec())).collect::<Vec<_>>(),
            [([2; 32], b"two".to_vec())]
        );
        assert_eq!(state.audit_head(), Some(AuditHead { seq: 5, mac: [9; 32] }));
        assert!(state.is_burned(&serial("ada"), STEP + 7) && !state.is_burned(&serial("ada"), STEP + 6));
    }
    assert!(!bench.disk.files()[&path("state")].windows(3).any(|window| window == b"two"));
}

#[test]
fn every_bit_flip_and_every_truncation_counts_as_torn_or_lost() {
    let (bench, file) = Bench::with_state(52);
    let last = {
        let (mut state, _) = bench.state();
        let fresh = bench.disk.files()[&path("state")].len();
        state.burn(&serial("ada"), STEP + 9).expect("burned");
        fresh
    };
    let file = {
        drop(file);
        bench.disk.files()[&path("state")].clone()
    };
    let vault = bench.vault();
    let later = NOW.plus_millis(60 * 60 * 1000);
    let open = |file: Vec<u8>| {
        let bench = bench.replace_state(file);
        let access = vault.state_access();
        let (state, opened) = State::open(bench.world.clone(), path("state"), access, later).expect("typed");
        assert_eq!(opened.burned_all(), state.is_burned(&serial("any"), STEP + 121));
        (state, opened)
    };
    assert_eq!(open(file.clone()).1, Opened::Found, "the control");
    for length in 0..file.len() {
        let opened = open(file[..length].to_vec()).1;
        match length {
            _ if length == last => assert_eq!(opened, Opened::Found, "a record less cannot be seen"),
            _ if length > last => assert_eq!(opened, Opened::Torn, "{length}: also within the length"),
            _ => assert!(matches!(opened, Opened::Found | Opened::Torn | Opened::Damaged), "{opened:?}"),
        }
    }
    for bit in 0..file.len() * 8 {
        let mut flipped = file.clone();
        flipped[bit / 8] ^= 1 << (bit % 8);
        let opened = match bit / 8 {
            6..8 => continue, // needs a newer reader: below
            8..24 => Opened::OtherVault,
            at if at >= last + 8 => Opened::Torn,
            _ => Opened::Damaged,
        };
        assert_eq!(open(flipped).1, opened, "bit {bit}");
    }
    let blank = [file.as_slice(), &[0; 300]].concat();
    let (state, opened) = open(blank);
    assert_eq!((opened, state.sessions().count(), state.is_burned(&serial("ada"), STEP + 9)), (Opened::Torn, 1, true));
    let mut newer = file;
    newer[7] = 2;
    let bench = bench.replace_state(newer);
    let before = bench.disk.files();
    let refused = State::open(bench.world.clone(), path("state"), vault.state_access(), NOW);
    assert_eq!((variant(refused), bench.disk.files()), ("Newer".to_owned(), before));
}

#[test]
fn records_cannot_be_moved_or_left_out() {
    let (bench, file) = Bench::with_state(53);
    let mut ends = vec![56];
    while ends[ends.len() - 1] < file.len() {
        let at = ends[ends.len() - 1];
        ends.push(at + 8 + u32::from_be_bytes(file[at..at + 4].try_into().unwrap()) as usize);
    }
    let record = |index: usize| &file[ends[index]..ends[index + 1]];
    assert!(ends.len() > 4);
    for mixed in [
        [&file[..56], record(0), record(2), record(1), &file[ends[3]..]].concat(),
        [&file[..ends[1]], &file[ends[2]..]].concat(),
        [&file[..ends[1]], record(0), &file[ends[1]..]].concat(),
    ] {
        assert_eq!(bench.replace_state(mixed).state().1, Opened::Damaged);
    }
}

#[test]
fn the_state_follows_a_new_key_at_once_or_at_the_next_open() {
    for follow in [true, false] {
        let (bench, _) = Bench::with_state(54);
        let mut vault = bench.vault();
        let (mut state, _) =
            State::open(bench.world.clone(), path("state"), vault.state_access(), NOW).expect("a state");
        let (code, removed) = confirmed(&bench.world);
        let id = vault.add_recovery(&bench.proof(), &code, NOW).expect("a slot");
        let past = bench.disk.files();
        vault.remove_slot(id, &bench.proof(), NOW).expect("removed");
        if follow {
            state.follow(vault.state_access()).expect("followed");
            state.burn(&serial("bob"), STEP + 3).expect("burned");
        }
        drop(state);
        let (state, opened) = bench.state();
        assert_eq!(
            (opened, state.sessions().count(), state.is_burned(&serial("bob"), STEP + 3)),
            (Opened::Found, 1, follow)
        );
        add_key(&mut vault, "second", NOW).expect("a save");
        assert_eq!(bench.state().1, Opened::Found);
        // What the removed slot opens in a copy no longer reads the state.
        let past = Bench::on(MemoryDisk::with(past), 6, removed);
        assert_eq!(past.state().1, Opened::Found, "the control");
        assert_eq!(past.replace_state(bench.disk.files()[&path("state")].clone()).state().1, Opened::Damaged);
    }
}

#[test]
fn another_vaults_state_is_lost() {
    let (bench, file) = Bench::with_state(55);
    let mut other = Bench::bare(77);
    let mut vault = other.create();
    add_key(&mut vault, "first", NOW).expect("a save");
    let (state, opened) = other.replace_state(file).state();
    assert_eq!((opened, state.sessions().count()), (Opened::OtherVault, 0));
    assert!(state.is_burned(&serial("ada"), STEP + 1));
    drop(bench);
}

#[test]
fn a_write_that_fails_spoils_nothing_and_the_next_one_works() {
    let calls = {
        let (bench, _) = Bench::with_state(56);
        let (mut state, _) = bench.state();
        bench.disk.settle();
        state.burn(&serial("ada"), STEP + 20).expect("the control");
        bench.disk.calls()
    };
    assert_eq!(calls, 2, "write and sync");
    // The append fails, and then each call of the fresh file in turn; or none of those.
    for append in 0..calls {
        for fresh in 1..9 {
            let (bench, _) = Bench::with_state(56);
            let vault = bench.vault();
            let open = || State::open(bench.world.clone(), path("state"), vault.state_access(), NOW).expect("a state");
            let (mut state, _) = open();
            bench.disk.settle();
            bench.disk.fail(append, ErrorKind::StorageFull);
            bench.disk.fail(append + fresh, ErrorKind::Other);
            let burned = state.burn(&serial("ada"), STEP + 20);
            let calls = bench.disk.calls();
            assert!(matches!(variant(burned).as_str(), "ok" | "StateUnsaved"));
            bench.disk.settle();
            assert_eq!(state.sessions().count(), 1);
            let burned = state.is_burned(&serial("ada"), STEP + 20);
            assert!(burned || state.burn(&serial("ada"), STEP + 20).is_ok(), "{append} {fresh} {calls}");
            drop(state);
            let (state, opened) = open();
            assert_eq!(opened, Opened::Found);
            assert!(state.is_burned(&serial("ada"), STEP + 20) && state.is_burned(&serial("ada"), STEP + 7));
            assert_eq!(state.sessions().count(), 1);
        }
    }
}

#[test]
fn on_a_full_disk_the_state_opens_and_no_step_is_spent() {
    let (bench, file) = Bench::with_state(57);
    let access = bench.vault().state_access();
    bench.disk.settle();
    for call in 1..40 {
        bench.disk.fail(call, ErrorKind::StorageFull);
    }
    let (mut state, opened) = State::open(bench.world.clone(), path("state"), access, NOW).expect("a state");
    assert_eq!((opened, state.sessions().count()), (Opened::Found, 1));
    assert_eq!(variant(state.burn(&serial("ada"), STEP + 20)), "StateUnsaved");
    assert!(!state.is_burned(&serial("ada"), STEP + 20));
    assert_eq!(bench.disk.files()[&path("state")], file);
    bench.disk.settle();
    state.burn(&serial("ada"), STEP + 20).expect("there is room again");
    assert!(bench.state().0.is_burned(&serial("ada"), STEP + 20));
}

#[test]
fn the_file_stays_small_and_old_burns_stay_burned() {
    let (bench, _) = Bench::with_state(58);
    let (mut state, _) = bench.state();
    for round in 0..40_u8 {
        state.put_session([3; 32], vec![round; 100 * 1024].into()).expect("kept");
    }
    assert!(bench.disk.files()[&path("state")].len() < 3 * 1024 * 1024);
    assert_eq!(variant(state.put_session([4; 32], vec![0; 200 * 1024].into())), "TooLarge");
    for step in STEP + 100..STEP + 400 {
        state.burn(&serial("ada"), step).expect("burned");
    }
    drop(state);
    let (state, opened) = bench.state();
    assert_eq!(opened, Opened::Found);
    assert!((STEP + 260..STEP + 400).all(|step| state.is_burned(&serial("ada"), step)));
    assert_eq!(state.sessions().find(|(id, _)| **id == [3; 32]).map(|(_, bytes)| bytes[0]), Some(39));
}

#[test]
fn a_clock_that_was_years_ahead_does_not_spend_every_code() {
    let bench = Bench::with_vault(59);
    let (mut state, opened) = bench.state_at(WallTime(4_000_000_000_000));
    assert_eq!((opened, state.is_burned(&serial("ada"), 4_000_000_000 / 30 + 1)), (Opened::Missing, true));
    assert!(!state.is_burned(&serial("ada"), STEP));
    for step in 0..200 {
        state.burn(&serial("ada"), 4_000_000_000 / 30 + 2 + step).expect("burned");
    }
    state.burn(&serial("ada"), STEP).expect("burned");
    assert!(bench.state().0.is_burned(&serial("ada"), STEP));
}
