//! Power loss at any moment: the record opens again, verifies, and holds what was promised. Without any one of the
//! syncs this does not hold, which shows that the test can see.

use super::{Bench, Entry, Event, KeepHead, NOW, VAULT, Wrong, events, key_of, record_files, served, verify};
use crate::audit::{Access, Head, Journal};
use crate::testing::{CrashState, FakeEntropy, MemoryDisk, figure, rounds};
use crate::world::{Clock, Entropy};
use std::collections::BTreeSet;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::PathBuf;
use std::sync::{Arc, Mutex};

const DAY: i64 = 86_400_000;

/// A record whose keeper notes what it may rely on, by marks of the disk.
struct Life {
    bench: Bench,
    journal: Arc<Journal>,
    promises: Arc<Mutex<Vec<Promise>>>,
}

/// What must be there: records up to this one, and the head that the state file has.
#[derive(Clone, Copy, Default)]
struct Promise {
    seq: u64,
    head: Option<Head>,
}

impl Life {
    /// With nothing on the disk.
    fn begin(file_bytes: u64) -> Self {
        let mut bench = Bench::new();
        bench.limits.file_bytes = file_bytes;
        let promises = Arc::new(Mutex::new(vec![Promise::default()]));
        let keep = keeper(&bench, &promises);
        let journal = Journal::limited(bench.world.clone(), PathBuf::from("/audit"), keep, bench.limits);
        journal.open(access(None));
        Self { bench, journal, promises }
    }

    /// What was done so far is old: it is durable, and not looked at any more.
    fn settle(&self) {
        self.journal.flush(true);
        self.bench.disk.settle();
        let mut promises = self.promises.lock().unwrap();
        let last = *promises.last().unwrap();
        *promises = vec![last];
    }

    /// A new agent on the same disk.
    fn restart(&mut self) {
        self.journal.flush(true);
        let head = self.promises.lock().unwrap().last().unwrap().head;
        let keep = keeper(&self.bench, &self.promises);
        let world = self.bench.world.clone();
        self.journal = Journal::limited(world, PathBuf::from("/audit"), keep, self.bench.limits);
        self.journal.open(access(head));
    }

    /// An act was answered: everything written by now is there.
    fn promise(&self) {
        let seq = last_seq(&self.bench.disk);
        let mut promises = self.promises.lock().unwrap();
        let head = promises.last().unwrap().head;
        self.bench.disk.mark();
        promises.push(Promise { seq, head });
    }

    fn act(&self, end: usize) {
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        runtime.block_on(async {
            let act = self.journal.begin(Entry::new(Event::AccessKeyExport)).await.unwrap();
            self.promise();
            match end {
                0 => act.done(None, None).await,
                1 => act.failed("sts.refused").await,
                // Abandoned: on record within a second.
                _ => return drop(act),
            }
            self.promise();
        });
    }

    /// What a machine finds after this crash.
    fn check(&self, state: &CrashState) {
        let promise = self.promises.lock().unwrap()[state.marks];
        let found = verify(&record_files(&state.files), Some(7), None);
        assert!(found.last.seq >= promise.seq, "{} of {} are there", found.last.seq, promise.seq);
        let hole = matches!(&found.bad, Some(bad) if matches!(bad.wrong, Wrong::Missing { .. }));
        assert!(!hole, "{found:?}");
        let mut after = Bench::on(MemoryDisk::with(state.files.clone()), promise.head);
        after.clock.step_wall_millis(self.bench.clock.wall().0 - NOW.0);
        after.limits = self.bench.limits;
        let journal = after.opened();
        journal.note(served(99));
        let verdict = journal.verify(None);
        assert_eq!(verdict.bad, None, "{found:?}");
        assert!(verdict.last.seq > found.last.seq);
        assert!(found.torn == 0 || verdict.recovered > 0 || verdict.files > found.files, "{found:?} {verdict:?}");
        let gaps = events(&journal).into_iter().filter(|event| event == "audit.gap").count();
        // A head that was lost with the state file is a gap with a known reason.
        assert!(gaps == 0 || promise.head.is_none(), "a hole");
    }
}

fn keeper(bench: &Bench, promises: &Arc<Mutex<Vec<Promise>>>) -> KeepHead {
    let (disk, promises) = (bench.disk.clone(), promises.clone());
    Box::new(move |head, _| {
        let mut promises = promises.lock().unwrap();
        let seq = promises.last().unwrap().seq;
        disk.mark();
        promises.push(Promise { seq: seq.max(head.seq), head: Some(head) });
    })
}

fn access(head: Option<Head>) -> Access {
    Access { vault: VAULT.to_owned(), key: key_of(7), head }
}

fn last_seq(disk: &MemoryDisk) -> u64 {
    verify(&record_files(&disk.files()), Some(7), None).last.seq
}

/// Shows every crash state of `act`; then again without each sync in turn, which must be noticed.
fn every_crash(name: &str, begin: impl Fn() -> Life, act: impl Fn(&mut Life)) {
    assert_eq!(unnoticed(name, begin, act), Vec::<usize>::new());
}

/// The same, and the syncs that nothing notices.
fn unnoticed(name: &str, begin: impl Fn() -> Life, act: impl Fn(&mut Life)) -> Vec<usize> {
    let run = |skipped: Option<usize>| {
        let mut life = begin();
        life.settle();
        if let Some(sync) = skipped {
            life.bench.disk.skip_sync(sync);
        }
        act(&mut life);
        life
    };
    let life = run(None);
    let states = life.bench.disk.crash_states(rounds(128, 1), |state| life.check(state));
    let syncs = life.bench.disk.syncs();
    assert!(!syncs.is_empty() && states > 10, "{states}");
    let noticed = |sync: &usize| {
        let life = run(Some(*sync));
        let mut noticed = false;
        life.bench.disk.crash_states(128, |state| {
            noticed = noticed || catch_unwind(AssertUnwindSafe(|| life.check(state))).is_err();
        });
        noticed
    };
    let (found, missed): (Vec<usize>, Vec<usize>) = (0..syncs.len()).partition(noticed);
    figure(&format!("{name}: crash states"), states);
    figure(&format!("{name}: syncs, each noticed when left out"), found.len());
    missed
}

#[test]
fn an_act_that_was_answered_is_there_and_a_torn_line_is_cut_off() {
    every_crash("audit act", || Life::begin(u64::MAX), |life| (0..2).for_each(|end| life.act(end)));
    let used = || {
        let life = Life::begin(u64::MAX);
        (0..3).for_each(|number| life.journal.note(served(number)));
        life
    };
    every_crash("audit act, in a record that is there", used, |life| life.act(0));
}

#[test]
fn a_rotation_leaves_no_hole() {
    let full = || {
        let life = Life::begin(1500);
        life.journal.note(served(0));
        life
    };
    every_crash("audit rotation", full, |life| {
        let files = life.bench.names().len();
        (0..3).for_each(|number| life.journal.note(served(number)));
        life.act(0);
        assert!(life.bench.names().len() > files);
    });
}

#[test]
fn a_file_that_is_retired_leaves_its_mark_first() {
    let old = || {
        let life = Life::begin(4000);
        // The last file has room for what comes: no rotation syncs the folder as well.
        (0..43).for_each(|number| life.journal.note(served(number)));
        life.bench.clock.step_wall_millis(401 * DAY);
        life.journal.flush(true);
        life
    };
    let missed = unnoticed("audit retirement", old, |life| {
        let files = life.bench.names();
        assert!(files.len() > 3, "{files:?}");
        for number in 0..2 {
            life.restart();
            life.journal.note(served(number));
        }
        assert!(!life.bench.names().contains(&files[1]), "two are gone");
    });
    // What follows a removal is there for the next one, and after the second there is none.
    assert_eq!(missed, [4]);
}

#[test]
fn a_torn_end_is_cut_off_before_the_record_goes_on() {
    let torn = || {
        let life = Life::begin(u64::MAX);
        (0..3).for_each(|number| life.journal.note(served(number)));
        life.settle();
        let mut files = life.bench.disk.files();
        files.values_mut().for_each(|bytes| bytes.truncate(bytes.len() - 9));
        let mut after = Life::begin(u64::MAX);
        after.bench = Bench::on(MemoryDisk::with(files), None);
        let keep = keeper(&after.bench, &after.promises);
        let world = after.bench.world.clone();
        after.journal = Journal::limited(world, PathBuf::from("/audit"), keep, after.bench.limits);
        *after.promises.lock().unwrap() = vec![Promise::default()];
        after
    };
    every_crash("audit recovery", torn, |life| {
        life.restart();
        life.act(0);
    });
}

#[test]
fn a_record_of_any_order_keeps_its_promises_through_a_power_loss_at_any_moment() {
    let (mut states, mut operations, mut seeds, mut rotated) = (0, 0, 0, BTreeSet::new());
    while states < rounds(500, 100_000) {
        seeds += 1;
        let dice = FakeEntropy::seeded(seeds);
        let roll = |sides: u64| {
            let mut bytes = [0; 8];
            dice.fill(&mut bytes).unwrap();
            u64::from_le_bytes(bytes) % sides
        };
        let mut life = Life::begin([1200, 2500, u64::MAX][(seeds - 1) as usize % 3]);
        life.settle();
        for number in 0..rounds(12, 16) as u64 {
            match roll(9) {
                0..3 => life.act(roll(3) as usize),
                3..6 => (0..=roll(3)).for_each(|_| life.journal.note(served(number))),
                6 => life.journal.flush(roll(2) == 0),
                7 => life.restart(),
                _ => life.bench.clock.step_wall_millis(250 * DAY),
            }
            operations += 1;
        }
        rotated.insert(life.bench.names().len());
        states += life.bench.disk.crash_states(rounds(512, 8), |state| life.check(state));
    }
    assert!(rotated.iter().any(|files| *files > 1), "{rotated:?}");
    figure("lives of a record: orders of operations", seeds);
    figure("lives of a record: operations", operations);
    figure("lives of a record: crash states", states);
}

#[test]
fn the_head_is_kept_only_once_the_record_is_durable() {
    let bench = Bench::new();
    let journal = bench.opened();
    journal.note(served(0));
    bench.disk.settle();
    journal.note(served(1));
    assert_eq!((bench.head(), bench.disk.syncs().len()), (None, 0));
    journal.flush(false);
    assert_eq!((bench.head().map(|head| head.seq), bench.disk.syncs().len()), (Some(2), 1));
    // A sync that fails moves no head, and what follows goes to a new file.
    journal.note(served(2));
    bench.disk.settle();
    bench.disk.fail(1, std::io::ErrorKind::Other);
    journal.flush(false);
    assert_eq!(bench.head().map(|head| head.seq), Some(2));
    journal.note(served(3));
    journal.flush(false);
    assert_eq!((bench.head().map(|head| head.seq), bench.names().len()), (Some(4), 2));
    assert_eq!(journal.verify(None).bad, None);
}
