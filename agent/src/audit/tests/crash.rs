//! Power loss at any moment: the record opens again, verifies, and holds what was promised.

use super::{Bench, Entry, Event, record_files, served, verify};
use crate::testing::{CrashState, MemoryDisk};
use std::collections::BTreeSet;
use std::sync::Arc;

/// Runs `act` on a disk and looks at every state that a power loss may leave. The head that the state file has then
/// may be any that was kept by that moment: it is never ahead of what is durable.
fn every_crash(file_bytes: u64, act: impl AsyncFn(&Bench, &Arc<crate::audit::Journal>)) -> usize {
    let mut bench = Bench::new();
    bench.limits.file_bytes = file_bytes;
    let journal = bench.opened();
    (0..3).for_each(|number| journal.note(served(number)));
    journal.flush(true);
    bench.disk.settle();
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    runtime.block_on(act(&bench, &journal));
    let states: BTreeSet<CrashState> = bench.disk.crash_states();
    for state in &states {
        let disk = MemoryDisk::with(state.files.clone());
        let found = verify(&record_files(&state.files), Some(7), None);
        let mut after = Bench::on(disk, None);
        after.limits.file_bytes = file_bytes;
        let journal = after.opened();
        journal.note(served(99));
        let verdict = journal.verify(None);
        assert_eq!(verdict.bad, None, "{found:?}");
        // Three before; two more for each promise.
        let promised = 3 + 2 * state.marks as u64;
        assert!(found.last.seq >= promised, "{} of {promised}", found.last.seq);
        assert!(verdict.records > found.records);
        assert!(found.torn == 0 || verdict.recovered == 1 || verdict.files > found.files, "{found:?} {verdict:?}");
    }
    states.len()
}

#[test]
fn an_act_that_was_answered_is_there_and_a_torn_line_is_cut_off() {
    let states = every_crash(u64::MAX, async |bench, journal| {
        for _ in 0..3 {
            let act = journal.begin(Entry::new(Event::AccessKeyExport)).await.unwrap();
            act.done(None, None).await;
            bench.disk.mark();
        }
    });
    assert!(states > 20, "{states}");
}

#[test]
fn a_rotation_leaves_no_hole() {
    let states = every_crash(1500, async |bench, journal| {
        for _ in 0..6 {
            let act = journal.begin(Entry::new(Event::AccessKeyExport)).await.unwrap();
            act.done(None, None).await;
            bench.disk.mark();
        }
    });
    assert!(states > 40, "{states}");
}

#[test]
fn the_head_is_kept_only_once_the_record_is_durable() {
    let bench = Bench::new();
    let journal = bench.opened();
    journal.note(served(0));
    bench.disk.settle();
    journal.note(served(1));
    assert_eq!((bench.head(), bench.disk.syncs()), (None, 0));
    journal.flush(false);
    assert_eq!((bench.head().map(|head| head.seq), bench.disk.syncs()), (Some(2), 1));
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
