//! A full disk: a thousand records have their place, then acts are refused, and what is not recorded is counted.

use super::{Bench, Entry, Event, Filter, all, record_files, served};
use crate::audit::{Error, Journal, RECORD_LIMIT};
use std::future::Future;
use std::io::ErrorKind;
use std::sync::Arc;
use std::task::{Context, Waker};

#[tokio::test]
async fn a_thousand_records_of_any_length_are_sure_then_acts_fail_and_hand_outs_are_counted() {
    let bench = Bench::new();
    let journal = bench.opened();
    journal.note(served(0));
    bench.disk.set_free(0);
    // As long as a record can be.
    let long = |_| served(0).reason("x".repeat(199));
    let mut begun = 0;
    let refused = loop {
        match journal.begin(long(())).await {
            Ok(act) => {
                begun += 1;
                act.done(None, None).await;
            }
            Err(error) => break error,
        }
    };
    assert!(matches!(refused, Error::Full { .. }), "{refused:?}");
    let longest = record_files(&bench.disk.files())[0].1.split(|byte| *byte == b'\n').map(<[u8]>::len).max().unwrap();
    assert!(begun * 2 * longest >= 1000 * RECORD_LIMIT, "{begun} acts of {longest} bytes");
    assert!(journal.warnings()[0].contains("the disk is full"), "{:?}", journal.warnings());
    (0..5).for_each(|number| journal.note(served(number)));
    assert!(journal.warnings()[1].contains("5 audit records"), "{:?}", journal.warnings());
    let written = journal.verify(None);
    assert_eq!((written.bad, written.gaps), (None, 0));
    // Room again: it goes on, and says what is missing.
    bench.disk.set_free(64 * 1024 * 1024);
    journal.begin(Entry::new(Event::MfaExport)).await.unwrap().done(None, None).await;
    let records = all(&journal, &Filter { event: Some("audit.gap".to_owned()), ..Filter::default() });
    assert_eq!(records.iter().map(|record| record.count).collect::<Vec<_>>(), [Some(5)]);
    assert_eq!((journal.verify(None).bad, journal.warnings()), (None, Vec::<String>::new()));
}

#[tokio::test]
async fn an_act_in_hand_is_closed_also_on_a_full_disk() {
    let bench = Bench::new();
    let journal = bench.opened();
    bench.disk.set_free(6 * 1024 * 1024);
    let acts = [
        journal.begin(Entry::new(Event::MfaExport)).await.unwrap(),
        journal.begin(Entry::new(Event::MfaExport)).await.unwrap(),
    ];
    bench.disk.set_free(0);
    while let Ok(act) = journal.begin(served(1)).await {
        act.done(None, None).await;
    }
    for act in acts {
        act.done(None, None).await;
    }
    assert_eq!(all(&journal, &Filter { event: Some("mfa".to_owned()), ..Filter::default() }).len(), 4);
    assert!(!journal.warnings().iter().any(|warning| warning.contains("could not be written")));
}

#[tokio::test]
async fn a_disk_that_is_full_from_the_start_refuses_acts() {
    let bench = Bench::new();
    bench.disk.set_free(100);
    let journal = bench.opened();
    assert!(matches!(journal.begin(served(1)).await, Err(Error::Full { .. })));
    journal.note(served(2));
    assert!(journal.warnings().iter().any(|warning| warning.contains("1 audit records")), "{:?}", journal.warnings());
}

#[tokio::test]
async fn what_was_set_aside_is_there_for_the_next_agent() {
    let bench = Bench::new();
    let journal = bench.opened();
    journal.note(served(0));
    journal.flush(true);
    bench.disk.set_free(0);
    let next = bench.opened();
    next.begin(served(1)).await.unwrap().done(None, None).await;
    assert_eq!((next.verify(None).bad, next.verify(None).records), (None, 3));
}

#[tokio::test]
async fn whatever_call_fails_nothing_is_torn_and_the_next_record_says_what_is_missing() {
    for kind in [ErrorKind::StorageFull, ErrorKind::PermissionDenied, ErrorKind::Other] {
        for call in 0..12 {
            let mut bench = Bench::new();
            bench.limits.file_bytes = 1200;
            let journal = bench.opened();
            journal.note(served(0));
            bench.disk.settle();
            bench.disk.fail(call, kind);
            let mut refused = 0;
            for number in 0..6 {
                journal.note(served(number));
                match journal.begin(Entry::new(Event::MfaExport)).await {
                    Ok(act) => act.done(None, None).await,
                    Err(_) => refused += 1,
                }
            }
            bench.disk.settle();
            journal.note(served(7));
            let verdict = journal.verify(None);
            assert_eq!(verdict.bad, None, "call {call}, {kind:?}, {refused} refused");
            let records = all(&journal, &Filter::default());
            let missing: u64 =
                records.iter().filter_map(|record| record.count.filter(|_| record.event == "audit.gap")).sum();
            let wanted = 1 + 6 + 12 + 1;
            let counted = records.iter().filter(|record| !record.event.starts_with("audit.")).count() as u64 + missing;
            assert!(counted + 2 * refused >= wanted, "call {call}, {kind:?}: {counted} of {wanted}, {refused} refused");
        }
    }
}

/// A journal whose next record begins another file.
fn full() -> (Bench, Arc<Journal>) {
    let mut bench = Bench::new();
    bench.limits.file_bytes = 1200;
    let journal = bench.opened();
    while record_files(&bench.disk.files()).iter().all(|(_, bytes)| bytes.len() < 1200) {
        journal.note(served(0));
    }
    bench.disk.settle();
    (bench, journal)
}

#[test]
fn a_record_whose_file_cannot_be_synced_is_the_first_of_the_next() {
    let (bench, journal) = full();
    let before = all(&journal, &Filter::default()).len();
    bench.disk.settle();
    // The first call is the sync of the old file.
    bench.disk.fail(0, ErrorKind::Other);
    journal.note(served(1));
    assert_eq!((journal.warnings(), bench.names().len()), (Vec::<String>::new(), 2));
    assert_eq!(bench.disk.syncs().len(), 1, "the folder's alone");
    let records = all(&journal, &Filter::default());
    assert_eq!((records.len(), journal.verify(None).bad), (before + 1, None));
    assert_eq!(record_files(&bench.disk.files())[1].1.iter().filter(|byte| **byte == b'\n').count(), 1);
}

#[test]
fn an_act_whose_file_could_not_be_synced_is_refused_though_the_next_one_can() {
    let runtime = tokio::runtime::Builder::new_current_thread().max_blocking_threads(1).build().unwrap();
    for fails in [true, false] {
        let mut bench = Bench::new();
        bench.limits.file_bytes = 1200;
        let journal = bench.opened();
        let begun = runtime.block_on(async {
            // Its sync does not begin yet.
            let (go, wait) = std::sync::mpsc::channel::<()>();
            let busy = tokio::task::spawn_blocking(move || wait.recv().is_err());
            let mut act = Box::pin(journal.begin(Entry::new(Event::MfaExport)));
            assert!(act.as_mut().poll(&mut Context::from_waker(Waker::noop())).is_pending());
            while record_files(&bench.disk.files()).iter().all(|(_, bytes)| bytes.len() < 1200) {
                journal.note(served(0));
            }
            bench.disk.settle();
            if fails {
                bench.disk.fail(0, ErrorKind::Other);
            }
            journal.note(served(1));
            assert_eq!(bench.names().len(), 2);
            drop((go, busy));
            act.await.is_ok()
        });
        assert_eq!(begun, !fails);
    }
}
