//! The room from inside: every way to tamper with a record, crashes, a full disk, rotation, retention.

mod crash;
mod journal;
mod mutations;
mod room;
mod tamper;

use super::log::Limits;
use super::read::{Cursor, Filter};
use super::verify::{Bad, Verdict, Walk, Wrong};
use super::{Access, Entry, Event, Head, Journal, KeepHead, Key, folder};
use crate::testing::{FakeClock, FakeEntropy, Files, MemoryDisk};
use crate::world::{WallTime, World};
use claviger::model::{AuditAws, AuditPeer, AuditRecord, AuditSubject};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};
use zeroize::Zeroizing;

/// 2026-01-31T12:00:00Z.
const NOW: WallTime = WallTime(1_769_860_800_000);
const VAULT: &str = "00112233";

/// A record on a disk in memory, and the head as the state would keep it.
struct Bench {
    disk: MemoryDisk,
    clock: Arc<FakeClock>,
    world: World,
    head: Arc<Mutex<Option<Head>>>,
    limits: Limits,
}

impl Bench {
    fn new() -> Self {
        Self::on(MemoryDisk::default(), None)
    }

    fn on(disk: MemoryDisk, head: Option<Head>) -> Self {
        let clock = FakeClock::at(NOW);
        let world = World { clock: clock.clone(), entropy: FakeEntropy::seeded(1), disk: Arc::new(disk.clone()) };
        Self { disk, clock, world, head: Arc::new(Mutex::new(head)), limits: Limits::default() }
    }

    /// An agent that begins: its vault is not open yet.
    fn journal(&self) -> Arc<Journal> {
        let head = self.head.clone();
        let keep = move |new: Head, _| *head.lock().unwrap() = Some(new);
        Journal::limited(self.world.clone(), PathBuf::from("/audit"), Box::new(keep), self.limits)
    }

    /// The same with its vault open.
    fn opened(&self) -> Arc<Journal> {
        let journal = self.journal();
        journal.open(self.access(7));
        journal
    }

    fn access(&self, key: u8) -> Access {
        Access { vault: VAULT.to_owned(), key: key_of(key), head: self.head() }
    }

    fn head(&self) -> Option<Head> {
        *self.head.lock().unwrap()
    }

    fn names(&self) -> Vec<String> {
        record_files(&self.disk.files()).into_iter().map(|(name, _)| name).collect()
    }
}

fn key_of(key: u8) -> Key {
    Zeroizing::new([key; 32])
}

fn file(number: u64) -> PathBuf {
    folder::path(&Path::new("/audit").join(VAULT), number)
}

/// The record's files by name, in order.
fn record_files(files: &Files) -> Vec<(String, Vec<u8>)> {
    let name = |path: &Path| path.file_name().unwrap().to_str().unwrap().to_owned();
    files
        .iter()
        .filter(|(path, _)| path.starts_with("/audit"))
        .map(|(path, bytes)| (name(path), bytes.clone()))
        .collect()
}

/// Looks at these files as `audit verify` does.
fn verify(files: &[(String, Vec<u8>)], key: Option<u8>, known: Option<Head>) -> Verdict {
    let key = key.map(key_of);
    let mut walk = Walk::new(key.as_ref(), known);
    for (at, (name, bytes)) in files.iter().enumerate() {
        if !walk.file(name, bytes, at + 1 == files.len()) {
            break;
        }
    }
    walk.end()
}

fn served(number: u64) -> Entry {
    let subject = AuditSubject { profile: Some(format!("profile-{number}")), ..AuditSubject::default() };
    let aws = AuditAws { access_key_id: Some(format!("ASIA{number:016}")), ..AuditAws::default() };
    let peer = AuditPeer { pid: Some(4711), uid: 1000, exe: Some("/usr/bin/aws".to_owned()), ..AuditPeer::default() };
    Entry::new(Event::SessionServed).subject(subject).aws(aws).peer(peer)
}

/// Every record, as `audit log` reads them page by page.
fn all(journal: &Journal, filter: &Filter) -> Vec<AuditRecord> {
    let (mut records, mut cursor) = (Vec::new(), None);
    loop {
        let page = journal.page(None, filter, cursor).unwrap();
        records.extend(page.records);
        let Some(next) = page.next else { return records };
        cursor = Some(Cursor::parse(&next.to_string()).unwrap());
    }
}

fn events(journal: &Journal) -> Vec<String> {
    all(journal, &Filter::default()).into_iter().map(|record| record.event).collect()
}

fn bad(file: u64, line: u64, wrong: Wrong) -> Option<Bad> {
    Some(Bad { file: folder::name(file), line, wrong })
}
