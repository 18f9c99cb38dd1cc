//! What the journal writes, when, and what it says where it could not.

use super::{Bench, Entry, Event, Filter, Wrong, all, bad, events, file, key_of, record_files, served, verify};
use crate::audit::{Access, Act, RECORD_LIMIT};
use crate::testing::MemoryDisk;
use crate::world::{Clock, Disk};
use claviger::model::{AuditPeer, AuditProcess, AuditSsh, AuditSubject, AuditVault};
use std::sync::Arc;

#[tokio::test]
async fn an_act_is_two_records_that_share_an_id_and_a_dropped_one_is_abandoned() {
    let bench = Bench::new();
    let journal = bench.opened();
    let peer = AuditPeer { chain: vec![AuditProcess::default()], ..AuditPeer::default() };
    let begin = || journal.begin(Entry::new(Event::AccessKeyExport).peer(peer.clone()));
    begin().await.unwrap().done(None, None).await;
    begin().await.unwrap().failed("vault.wrong_proof").await;
    drop(begin().await.unwrap());
    let records = all(&journal, &Filter::default());
    let told: Vec<_> = records.iter().map(|record| (record.outcome.as_str(), record.error.as_deref())).collect();
    let wanted = [
        ("begun", None),
        ("done", None),
        ("begun", None),
        ("failed", Some("vault.wrong_proof")),
        ("begun", None),
        ("abandoned", None),
    ];
    assert_eq!(told, wanted);
    for pair in records.chunks(2) {
        assert!(pair[0].act.is_some() && pair[0].act == pair[1].act);
        assert_eq!((pair[0].peer.as_ref().unwrap().chain.len(), pair[1].peer.as_ref().unwrap().chain.len()), (1, 0));
    }
    assert_ne!(records[0].act, records[2].act);
    assert_eq!(journal.verify(None).bad, None);
}

#[tokio::test]
async fn an_act_is_durable_before_it_is_done_and_a_hand_out_costs_one_write() {
    let bench = Bench::new();
    let journal = bench.opened();
    journal.note(served(0));
    bench.disk.settle();
    journal.note(served(1));
    assert_eq!((bench.disk.calls(), bench.disk.syncs().len()), (1, 0), "one append, nothing else");
    let act: Act = journal.begin(Entry::new(Event::MfaExport)).await.unwrap();
    assert_eq!(bench.disk.syncs().len(), 1);
    act.done(None, None).await;
    assert_eq!(bench.disk.syncs().len(), 2);
    // A group of hand-outs is one sync; what is durable already is none.
    (0..100).for_each(|number| journal.note(served(number)));
    journal.flush(false);
    journal.flush(false);
    assert_eq!(bench.disk.syncs().len(), 3);
    assert_eq!(bench.head().unwrap().seq, 104);
}

#[test]
fn what_happens_before_the_first_unlock_waits_and_what_is_too_much_is_counted() {
    let bench = Bench::new();
    let journal = bench.journal();
    journal.note(Entry::new(Event::AgentStart));
    (0..300).for_each(|number| journal.note(served(number)));
    assert!(record_files(&bench.disk.files()).is_empty());
    journal.open(bench.access(7));
    journal.note(Entry::new(Event::VaultUnlock));
    let records = all(&journal, &Filter::default());
    let gap = records.iter().position(|record| record.event == "audit.gap").unwrap();
    assert_eq!((gap, records[gap].count), (0, Some(45)), "first, so that what follows is whole");
    assert_eq!(records.len(), 1 + 256 + 1);
    assert_eq!(records[1].event, "agent.start");
    assert!(records.last().unwrap().event == "vault.unlock" && journal.verify(None).gaps == 1);
}

#[test]
fn after_a_lock_it_goes_on_and_the_next_unlock_moves_the_head() {
    let bench = Bench::new();
    let journal = bench.opened();
    journal.note(Entry::new(Event::VaultLock));
    journal.flush(true);
    // The state is closed: its head stays.
    let locked = bench.head();
    journal.note(served(1));
    assert_eq!(journal.verify(None).records, 2);
    *bench.head.lock().unwrap() = locked;
    journal.open(bench.access(7));
    journal.flush(false);
    assert_eq!(bench.head().unwrap().seq, 2);
    assert_eq!(events(&journal), ["vault.lock", "session.served"]);
}

#[test]
fn the_next_agent_goes_on_where_the_last_one_ended() {
    let bench = Bench::new();
    let journal = bench.opened();
    (0..3).for_each(|number| journal.note(served(number)));
    journal.flush(true);
    let next = bench.opened();
    next.note(served(4));
    assert_eq!(next.verify(None).last.seq, 4);
    assert_eq!((bench.names().len(), next.verify(None).bad), (1, None));
}

#[test]
fn another_vault_has_a_record_of_its_own() {
    let bench = Bench::new();
    bench.opened().note(served(1));
    let journal = bench.journal();
    journal.open(Access { vault: "other".to_owned(), key: key_of(8), head: None });
    journal.note(served(2));
    assert_eq!((journal.verify(None).bad, journal.verify(None).last.seq), (None, 1));
    assert_eq!(bench.disk.files().len(), 2);
}

#[test]
fn a_record_that_was_cut_while_nobody_looked_is_named_for_ever() {
    let bench = Bench::new();
    let journal = bench.opened();
    (0..6).for_each(|number| journal.note(served(number)));
    journal.flush(true);
    drop(journal);
    let bytes = record_files(&bench.disk.files())[0].1.clone();
    let ends: Vec<usize> = bytes.iter().enumerate().filter(|(_, byte)| **byte == b'\n').map(|(at, _)| at + 1).collect();
    for length in [0, 5, ends[2], ends[2] + 10, ends[4]] {
        let disk = MemoryDisk::with([(file(1), bytes[..length].to_vec())].into());
        let after = Bench::on(disk, bench.head());
        let journal = after.opened();
        (0..3).for_each(|number| journal.note(served(number)));
        let whole = ends.iter().filter(|end| **end <= length).count() as u64;
        let missing = Wrong::Missing { from: whole + 1, through: 6 };
        for agent in [&journal, &after.opened()] {
            assert_eq!(agent.verify(None).bad, bad(1, whole + 1, missing), "{length}");
        }
        assert!(events(&journal).contains(&"audit.gap".to_owned()));
    }
    // Deleted altogether.
    let after = Bench::on(MemoryDisk::default(), bench.head());
    let verdict = after.opened().verify(None);
    assert_eq!(verdict.bad, bad(1, 1, Wrong::Missing { from: 1, through: 6 }));
}

#[test]
fn a_damaged_end_is_kept_as_evidence() {
    let bench = Bench::new();
    let journal = bench.opened();
    (0..4).for_each(|number| journal.note(served(number)));
    drop(journal);
    let mut bytes = record_files(&bench.disk.files())[0].1.clone();
    let at = bytes.len() - 200;
    bytes[at] ^= 1;
    let after = Bench::on(MemoryDisk::with([(file(1), bytes.clone())].into()), None);
    let journal = after.opened();
    journal.note(served(9));
    assert_eq!(journal.verify(None).bad, bad(1, 4, Wrong::Altered));
    assert_eq!(after.names().len(), 2);
    assert_eq!(record_files(&after.disk.files())[0].1, bytes, "untouched");
}

#[test]
fn a_lost_head_is_told_and_the_record_goes_on() {
    let bench = Bench::new();
    bench.opened().note(served(1));
    *bench.head.lock().unwrap() = None;
    let journal = bench.opened();
    let verdict = journal.verify(None);
    assert_eq!((verdict.bad, verdict.gaps, verdict.records), (None, 1, 2));
}

#[test]
fn a_record_is_cut_to_a_page_and_made_printable() {
    let bench = Bench::new();
    let journal = bench.opened();
    let text = format!("a\u{1b}[2J\n\u{202e}{}", "\u{10ffff}".repeat(5000));
    let process = AuditProcess { exe: Some(text.clone()), name: text.clone(), pid: i32::MAX, start: u64::MAX };
    let peer = AuditPeer { chain: vec![process; 8], exe: Some(text.clone()), ..AuditPeer::default() };
    let subject = AuditSubject {
        name: Some(text.clone()),
        principal: Some(text.clone()),
        profile: Some(text.clone()),
        role: Some(text.clone()),
        slot: Some(text.clone()),
    };
    let ssh = AuditSsh {
        comment: Some(text.clone()),
        host: Some(text.clone()),
        name: Some(text.clone()),
        namespace: Some(text.clone()),
        user: Some(text.clone()),
        ..AuditSsh::default()
    };
    let entry = Entry::new(Event::SessionNew).failed(text.clone()).reason(text).subject(subject).peer(peer);
    journal.note(entry.ssh(ssh));
    journal.flush(false);
    let bytes = record_files(&bench.disk.files())[0].1.clone();
    assert!(bytes.len() <= RECORD_LIMIT && bytes.len() > 500, "{}", bytes.len());
    let text = String::from_utf8(bytes).unwrap();
    assert!(!text.contains('\u{1b}') && !text.contains('\u{202e}') && !text.contains("\\u"), "{text}");
    assert_eq!((journal.verify(None).bad, journal.warnings()), (None, Vec::<String>::new()));
}

#[test]
fn pages_are_filtered_and_go_on_where_they_ended() {
    let mut bench = Bench::new();
    bench.limits.file_bytes = 200 * 1024;
    let journal = bench.opened();
    for number in 0..2000 {
        if number == 1000 {
            bench.clock.advance_millis(3_600_000);
        }
        journal.note(served(number));
    }
    journal.note(Entry::new(Event::VaultLock));
    let every = all(&journal, &Filter::default());
    assert_eq!(every.iter().map(|record| record.seq).collect::<Vec<_>>(), (1..=2001).collect::<Vec<_>>());
    let by = |since: Option<&str>, profile: Option<&str>, event: Option<&str>| {
        let [since, profile, event] = [since, profile, event].map(|text| text.map(str::to_owned));
        all(&journal, &Filter { since, profile, event }).len()
    };
    assert_eq!(by(Some("2026-01-31T12:30:00Z"), None, None), 1001);
    assert_eq!(by(Some("2026-01-31"), Some("profile-7"), None), 1);
    assert_eq!(
        (by(None, None, Some("session")), by(None, None, Some("session.served")), by(None, None, Some("sess"))),
        (2000, 2000, 0)
    );
    assert_eq!(by(None, None, Some("vault.lock")), 1);
}

#[tokio::test]
async fn the_story_of_an_id_is_its_acts_and_its_hand_outs() {
    let bench = Bench::new();
    let journal = bench.opened();
    let act = journal.begin(Entry::new(Event::SessionNew)).await.unwrap();
    journal.note(served(8));
    let aws = claviger::model::AuditAws {
        access_key_id: Some("ASIA0000000000000007".to_owned()),
        request_id: Some("req-1".to_owned()),
        ..claviger::model::AuditAws::default()
    };
    act.done(Some(aws), Some("arn:x".to_owned())).await;
    (0..50).for_each(|_| journal.note(served(7)));
    let seqs = |id: &str| {
        let story = journal.why(None, id).unwrap();
        (story.records.iter().map(|record| record.seq).collect::<Vec<_>>(), story.served)
    };
    assert_eq!(seqs("ASIA0000000000000007"), (vec![1, 3, 4, 53], 50));
    assert_eq!(seqs("req-1"), (vec![1, 3], 0));
    assert_eq!(seqs("3"), (vec![1, 3], 0));
    assert_eq!(seqs("2"), (vec![2], 0));
    assert_eq!(seqs("ASIA"), (vec![], 0));
    assert_eq!(seqs(""), (vec![], 0));
}

#[test]
fn without_its_key_only_form_and_order_are_checked() {
    let bench = Bench::new();
    bench.opened().note(served(1));
    let locked = bench.journal();
    let verdict = locked.verify(Some(super::VAULT));
    assert_eq!((verdict.bad, verdict.records, verdict.sealed), (None, 1, false));
    assert_eq!(locked.verify(None).files, 0);
    let files = record_files(&bench.disk.files());
    assert_eq!(verify(&files, None, None).records, 1);
}

#[test]
fn rotation_carries_the_chain_over_and_retention_says_what_went() {
    let mut bench = Bench::new();
    bench.limits.file_bytes = 2000;
    let journal = bench.opened();
    (0..40).for_each(|number| journal.note(served(number)));
    let before = bench.names();
    assert!(before.len() > 5, "{before:?}");
    assert_eq!((journal.verify(None).bad, journal.verify(None).records), (None, 40));
    // A clock that jumps ahead takes one file at a time, and never the one in use.
    bench.clock.step_wall_millis(401 * 86_400_000);
    let next = bench.opened();
    let verdict = next.verify(None);
    assert_eq!(
        (verdict.bad.clone(), bench.names().len(), bench.names()[0].clone()),
        (None, before.len() - 1, before[1].clone())
    );
    assert!(verdict.retired > 0 && verdict.first == Some(verdict.retired + 1), "{verdict:?}");
    assert_eq!(events(&next).last().map(String::as_str), Some("audit.retired"));
    (0..200).for_each(|number| next.note(served(number)));
    let verdict = next.verify(None);
    assert!(verdict.bad.is_none() && verdict.retired > 20, "{verdict:?}");
    // One file more than was retired: somebody else took it.
    let oldest = bench.disk.files().keys().next().unwrap().clone();
    bench.world.disk.remove(&oldest).unwrap();
    assert!(matches!(next.verify(None).bad, Some(found) if matches!(found.wrong, Wrong::Missing { .. })));
    assert!(bench.clock.wall().0 > 0 && Arc::strong_count(&next) == 1);
}

#[test]
fn while_another_process_may_write_an_opening_writes_nothing() {
    let bench = Bench::new();
    let journal = bench.opened();
    journal.note(served(1));
    journal.suspend();
    let before = bench.disk.files();
    // An opening that was in hand comes about now.
    journal.open(bench.access(7));
    journal.note(served(2));
    journal.flush(true);
    assert_eq!(bench.disk.files(), before);
    journal.resume();
    assert_eq!(events(&journal), ["session.served", "session.served"], "what came meanwhile has waited");
    assert_eq!(journal.verify(None).bad, None);
}

#[tokio::test]
async fn what_was_begun_in_the_record_of_one_vault_ends_there_when_another_takes_its_place() {
    let bench = Bench::new();
    let journal = bench.opened();
    let restore = journal.begin(Entry::new(Event::VaultRestore)).await.unwrap();
    let session = journal.begin(Entry::new(Event::SessionNew)).await.unwrap();
    let done = journal.begin(Entry::new(Event::MfaAdd)).await.unwrap();
    done.done(None, None).await;
    journal.open(Access { vault: "ffee".to_owned(), key: key_of(9), head: None });
    restore.done(None, None).await;
    session.done(None, None).await;
    drop(journal.begin(Entry::new(Event::MfaRemove)).await.unwrap());
    let told = |journal: &crate::audit::Journal| -> Vec<(String, String)> {
        all(journal, &Filter::default()).into_iter().map(|record| (record.event, record.outcome)).collect()
    };
    let wanted = |records: &[(&str, &str)]| -> Vec<(String, String)> {
        records.iter().map(|(event, outcome)| ((*event).to_owned(), (*outcome).to_owned())).collect()
    };
    let new = [("vault.restore", "done"), ("mfa.remove", "begun"), ("mfa.remove", "abandoned")];
    assert_eq!(told(&journal), wanted(&new), "each record is closed in itself");
    assert_eq!(all(&journal, &Filter::default())[0].act, None);
    assert_eq!(journal.verify(None).bad, None);
    journal.open(bench.access(7));
    let mut old = told(&journal);
    // Acts are closed in the order of their names.
    old.sort();
    let mut wanted = wanted(&[
        ("vault.restore", "begun"),
        ("session.new", "begun"),
        ("mfa.add", "begun"),
        ("mfa.add", "done"),
        ("vault.restore", "done"),
        ("session.new", "abandoned"),
    ]);
    wanted.sort();
    assert_eq!(old.into_iter().filter(|(event, _)| !event.starts_with("audit.")).collect::<Vec<_>>(), wanted);
    assert_eq!(journal.verify(None).bad, None);
}

#[test]
fn the_version_of_the_vault_is_found_from_the_end_and_by_its_key_alone() {
    let bench = Bench::new();
    let journal = bench.opened();
    let version = |generation| AuditVault { generation, mac: "00".repeat(32), saved: 7 };
    assert_eq!(journal.last_saved(super::VAULT, &key_of(7)), None);
    for generation in [1, 2] {
        journal.note_of(super::VAULT, Entry::new(Event::VaultSaved).vault(version(generation)));
        journal.note(served(generation));
    }
    journal.note_of("ffee", Entry::new(Event::VaultSaved).vault(version(9)));
    journal.flush(true);
    assert_eq!(journal.last_saved(super::VAULT, &key_of(7)), Some(version(2)));
    assert_eq!(journal.last_saved(super::VAULT, &key_of(8)), None);
    assert_eq!(journal.last_saved("ffee", &key_of(7)), None);
}

#[test]
fn what_was_looked_through_for_the_version_is_not_looked_through_again() {
    let mut bench = Bench::new();
    bench.limits.file_bytes = 1200;
    let journal = bench.opened();
    let last = || journal.last_saved(super::VAULT, &key_of(7));
    let version = |generation| AuditVault { generation, mac: "00".repeat(32), saved: 5 };
    let save = |generation| journal.note_of(super::VAULT, Entry::new(Event::VaultSaved).vault(version(generation)));
    save(1);
    (0..8).for_each(|number| journal.note(served(number)));
    assert!(bench.names().len() > 2, "{:?}", bench.names());
    assert_eq!(last(), Some(version(1)));
    // It is not there any more, but nobody looks.
    bench.disk.remove(&file(1)).unwrap();
    journal.note(served(8));
    assert_eq!(last(), Some(version(1)));
    assert_eq!(bench.opened().last_saved(super::VAULT, &key_of(7)), None, "the control");
    // What came since is looked at, also in another file.
    save(2);
    assert_eq!(last(), Some(version(2)));
    (0..8).for_each(|number| journal.note(served(number)));
    save(3);
    (0..8).for_each(|number| journal.note(served(number)));
    assert_eq!((last(), last()), (Some(version(3)), Some(version(3))));
    assert_eq!(journal.last_saved(super::VAULT, &key_of(8)), None);
    assert_eq!(last(), Some(version(3)));
}
