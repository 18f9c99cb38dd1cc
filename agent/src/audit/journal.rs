//! What the other rooms write to. Before the vault has been open its records wait in memory; after a lock it goes on,
//! with a key that opens nothing else.

use super::chain::{Head, Key};
use super::entry::{Entry, Event, Outcome};
use super::error::Error;
use super::folder;
use super::log::{Limits, Log};
use super::read::{self, Filter, Page, Seen, Story};
use super::verify::{Verdict, Walk};
use crate::world::{Defence, World};
use claviger::model::{AuditAws, AuditPeer, AuditRecord, AuditSubject, AuditVault};
use std::collections::{BTreeMap, VecDeque};
use std::io;
use std::path::PathBuf;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use tokio::sync::Notify;

/// Most records that wait for the first unlock; what comes beyond is counted in a gap record.
const WAITING_LIMIT: usize = 256;
/// What was written is durable, and its head kept, within this.
const GROUP_MILLIS: u64 = 500;

/// Keeps the head where the record's files are not: true asks for it to be durable on return.
pub type KeepHead = Box<dyn Fn(Head, bool) + Send + Sync>;

/// A vault's leave to write its record.
pub struct Access {
    /// The vault's name among the records here.
    pub vault: String,
    /// Its key.
    pub key: Key,
    /// The last record it knows of; None where that was lost, or there is none yet.
    pub head: Option<Head>,
}

/// The record of what happens, open for the agent's life.
pub struct Journal {
    world: World,
    root: PathBuf,
    boot: String,
    keep: KeepHead,
    limits: Limits,
    /// Names acts, with a number behind it.
    life: u64,
    acts: AtomicU64,
    writer: Mutex<Writer>,
    /// Held for an fsync, so that those who come together share one.
    syncing: Mutex<Head>,
    /// What was seen of a vault's record when its version was looked for: only what came since is looked at again.
    seen: Mutex<Option<(String, Key, Seen)>>,
    written: Notify,
}

#[derive(Default)]
struct Writer {
    access: Option<Access>,
    /// Another process may be writing: nothing is written here.
    is_suspended: bool,
    /// Set aside for that time.
    suspended: Option<Access>,
    /// None before the first record after an unlock, and where the files could not be read.
    log: Option<Log>,
    waiting: VecDeque<AuditRecord>,
    /// The acts that were begun in the record that is open, and have not ended.
    acts: BTreeMap<String, Entry>,
    /// Records that could not be written since the last gap record.
    lost: u64,
    kept: u64,
}

impl Journal {
    /// A journal of records under `root`, none open yet.
    pub fn new(world: World, root: PathBuf, keep: KeepHead) -> Arc<Self> {
        Self::limited(world, root, keep, Limits::default())
    }

    pub(super) fn limited(world: World, root: PathBuf, keep: KeepHead, limits: Limits) -> Arc<Self> {
        let boot = world.clock.boot_id().unwrap_or_default();
        let life = world.clock.wall().0.unsigned_abs();
        let (writer, syncing, seen) = (Mutex::default(), Mutex::default(), Mutex::default());
        let (acts, written) = (AtomicU64::new(0), Notify::new());
        Arc::new(Self { world, root, boot, keep, limits, life, acts, writer, syncing, seen, written })
    }

    /// The vault was opened: what waited is written. Blocks on the disk. Where the files cannot be had now, the next
    /// record tries again.
    pub fn open(&self, access: Access) {
        {
            // In the order that a sync takes them.
            let mut synced = self.syncing();
            let mut writer = self.writer();
            if writer.is_suspended {
                writer.suspended = Some(access);
                return;
            }
            let same = |held: &Access| held.vault == access.vault && *held.key == *access.key;
            if writer.access.as_ref().is_some_and(|held| held.vault != access.vault) {
                self.close_acts(&mut writer, &access.vault);
            }
            if !writer.access.as_ref().is_some_and(same) {
                drop(crate::world::keep_in_memory(access.key.as_slice()));
                (writer.access, writer.log) = (Some(access), None);
                *synced = Head::default();
            }
            // What was written since a lock moves the head now.
            writer.kept = 0;
            while let Some(record) = writer.waiting.pop_front() {
                if self.append(&mut writer, record).is_err() {
                    writer.lost += 1;
                }
            }
        }
        self.flush(false);
    }

    /// Everything is durable, and nothing is written from here on: another process is about to write this record.
    /// What comes meanwhile waits. Blocks.
    pub fn suspend(&self) {
        self.flush(true);
        let head = *self.syncing();
        let mut writer = self.writer();
        writer.log = None;
        writer.is_suspended = true;
        // Without a record since the vault was opened its head is still the one it came with.
        let head = |access: &Access| if head.seq == 0 { access.head } else { Some(head) };
        writer.suspended = writer.access.take().map(|access| Access { head: head(&access), ..access });
    }

    /// Goes on after [`Journal::suspend`]: no other process has come about. Blocks.
    pub fn resume(&self) {
        let access = {
            let mut writer = self.writer();
            writer.is_suspended = false;
            writer.suspended.take()
        };
        if let Some(access) = access {
            self.open(access);
        }
    }

    /// Records what happened; durable within a second. Never fails: what cannot be written is counted, and the next
    /// record that can be says how many are missing.
    pub fn note(&self, entry: Entry) {
        let record = entry.stamp(&self.world, &self.boot);
        {
            let mut writer = self.writer();
            let room = writer.log.as_mut().is_none_or(Log::has_room);
            if !room || self.append(&mut writer, record).is_err() {
                writer.lost += 1;
                return;
            }
        }
        self.written.notify_one();
    }

    /// The same for the record of this vault alone: where another one's is open, or none, nothing is written.
    pub fn note_of(&self, vault: &str, entry: Entry) {
        if self.writer().access.as_ref().is_some_and(|access| access.vault == vault) {
            self.note(entry);
        }
    }

    /// The version of a vault that its record holds last. Blocks.
    pub fn last_saved(&self, vault: &str, key: &Key) -> Option<AuditVault> {
        let mut seen = self.seen.lock().unwrap_or_else(PoisonError::into_inner);
        let before = seen.take().filter(|(of, by, _)| of == vault && **by == **key).map(|(_, _, seen)| seen);
        let now = read::last_saved(&self.world, &self.root.join(vault), key, before);
        let version = now.version.clone();
        *seen = Some((vault.to_owned(), key.clone(), now));
        version
    }

    /// Opens an act, durably, before it is done. An error means that it must not be done. Whoever drops the [`Act`]
    /// without ending it leaves the record of an abandoned one.
    pub async fn begin(self: &Arc<Self>, mut entry: Entry) -> Result<Act, Error> {
        let number = self.acts.fetch_add(1, Ordering::Relaxed);
        entry.act = Some(format!("{:x}-{number:x}", self.life));
        entry.outcome = Outcome::Begun;
        let record = entry.clone().stamp(&self.world, &self.boot);
        let (in_record, seq);
        {
            let mut writer = self.writer();
            if !writer.log.as_mut().is_none_or(Log::has_room) {
                return Err(Error::Full { folder: self.root.clone() });
            }
            let written = self.append(&mut writer, record).map_err(|source| Error::of(source, self.root.clone()));
            if Defence::RecordFirst.stands() {
                written?;
            }
            in_record = writer.access.is_some();
            seq = writer.log.as_ref().map(|log| log.end.seq);
            if let Some(id) = entry.act.clone().filter(|_| in_record) {
                writer.acts.insert(id, entry.clone());
            }
        }
        let act = Act { journal: self.clone(), entry: Some(entry), in_record };
        self.synced().await.map_err(|source| Error::of(source, self.root.clone()))?;
        // What is synced now may be the file after the one that it was written to.
        if self.writer().log.as_ref().is_some_and(|log| seq.is_some_and(|seq| seq <= log.doubtful)) {
            return Err(Error::of(io::ErrorKind::Other.into(), self.root.clone()));
        }
        Ok(act)
    }

    /// Makes everything durable and keeps the head; `durable` asks for the head to be on the disk as well. Blocks.
    pub fn flush(&self, durable: bool) {
        let Ok(head) = self.sync() else { return };
        {
            let mut writer = self.writer();
            if head.seq <= writer.kept && !durable || head.seq == 0 {
                return;
            }
            writer.kept = head.seq;
        }
        (self.keep)(head, durable);
    }

    /// Flushes what is written, in groups, for as long as the agent lives. Asleep while nothing is.
    pub async fn keep_flushed(self: Arc<Self>) {
        loop {
            self.written.notified().await;
            self.world.clock.sleep_until(self.world.clock.boot().plus_millis(GROUP_MILLIS)).await;
            let journal = self.clone();
            drop(tokio::task::spawn_blocking(move || journal.flush(false)).await);
        }
    }

    /// What a person should look at.
    pub fn warnings(&self) -> Vec<String> {
        let writer = self.writer();
        let low = writer.log.as_ref().is_some_and(Log::is_low);
        let low = low.then(|| "the disk is full: the audit record lives on what was set aside for it".to_owned());
        let lost = (writer.lost > 0).then(|| format!("{} audit records could not be written", writer.lost));
        low.into_iter().chain(lost).collect()
    }

    /// Looks at the whole record. `vault` names it where none has been opened: then only form and order can be
    /// checked. Blocks.
    pub fn verify(&self, vault: Option<&str>) -> Verdict {
        self.flush(false);
        let (folder, key, known, current, numbers) = {
            let mut writer = self.writer();
            drop(self.ready(&mut writer));
            let Some(folder) = self.folder(&writer, vault) else { return Verdict::default() };
            let key = writer.access.as_ref().map(|access| access.key.clone());
            let head = writer.access.as_ref().and_then(|access| access.head);
            let end = writer.log.as_ref().map(|log| log.end);
            let current = writer.log.as_ref().map(|log| (log.number, log.size));
            let numbers = folder::numbers(&self.world, &folder).unwrap_or_default();
            (folder, key, end.or(head), current, numbers)
        };
        let mut walk = Walk::new(key.as_ref(), known);
        for number in &numbers {
            let name = folder::name(*number);
            let Ok(mut bytes) = folder::read(&self.world, &folder, *number) else {
                walk.unreadable(&name);
                break;
            };
            // What is written while this looks is not looked at.
            if let Some((_, size)) = current.filter(|(current, _)| current == number) {
                bytes.truncate(usize::try_from(size).unwrap_or(usize::MAX));
            }
            if !walk.file(&name, &bytes, numbers.last() == Some(number)) {
                break;
            }
        }
        walk.end()
    }

    /// A page of the record, oldest first. Blocks.
    pub fn page(&self, vault: Option<&str>, filter: &Filter, cursor: Option<read::Cursor>) -> io::Result<Page> {
        let folder = self.folder(&self.writer(), vault);
        folder.map_or_else(|| Ok(Page::default()), |folder| read::page(&self.world, &folder, filter, cursor))
    }

    /// What is known of an access key id, a request id or a record's number. Blocks.
    pub fn why(&self, vault: Option<&str>, id: &str) -> io::Result<Story> {
        let folder = self.folder(&self.writer(), vault);
        folder.map_or_else(|| Ok(Story::default()), |folder| read::why(&self.world, &folder, id))
    }

    fn folder(&self, writer: &Writer, vault: Option<&str>) -> Option<PathBuf> {
        let vault = writer.access.as_ref().map(|access| access.vault.as_str()).or(vault)?;
        Some(self.root.join(vault))
    }

    /// Writes a record, or keeps it until there is a vault to write it for.
    fn append(&self, writer: &mut Writer, record: AuditRecord) -> io::Result<()> {
        if writer.access.is_none() {
            if writer.waiting.len() < WAITING_LIMIT {
                writer.waiting.push_back(record);
            } else {
                writer.lost += 1;
            }
            return Ok(());
        }
        self.ready(writer)?;
        let Some(log) = writer.log.as_mut() else { return Ok(()) };
        if writer.lost > 0 {
            let gap = Entry::new(Event::AuditGap).count(writer.lost).reason("records that could not be written");
            log.append(gap.stamp(&self.world, &self.boot))?;
            writer.lost = 0;
        }
        log.append(record)
    }

    /// Another vault takes the place of the one whose record is open: what was begun there ends there. The act that
    /// brought the other vault is done; whatever else was in hand came to nothing.
    fn close_acts(&self, writer: &mut Writer, other: &str) {
        for (_, mut entry) in std::mem::take(&mut writer.acts) {
            let restored = entry.event == Event::VaultRestore;
            entry.outcome = if restored { Outcome::Done } else { Outcome::Abandoned };
            entry.reason = Some(format!("vault {other} took this one's place"));
            if self.append(writer, without_chain(entry).stamp(&self.world, &self.boot)).is_err() {
                writer.lost += 1;
            }
        }
        let synced =
            writer.log.as_ref().map(|log| self.world.disk.append(&log.path()).and_then(|mut file| file.sync()));
        if let Some(Err(error)) = synced {
            tracing::warn!(%error, "the end of the audit record of the vault before was not synced");
        }
    }

    fn ready(&self, writer: &mut Writer) -> io::Result<()> {
        if let (None, Some(access)) = (&writer.log, &writer.access) {
            // Its parents are ours too.
            self.world.disk.create_private_folder(&self.root)?;
            let folder = self.root.join(&access.vault);
            let world = self.world.clone();
            let opened = Log::open(world, folder, &access.key, access.head, &self.boot, self.limits);
            let log = opened.inspect_err(|error| tracing::warn!(%error, "the audit record cannot be opened"))?;
            writer.log = Some(log);
        }
        Ok(())
    }

    /// Makes what was written so far durable: the head up to which it is.
    fn sync(&self) -> io::Result<Head> {
        let wanted = self.writer().log.as_ref().map(|log| log.end);
        let Some(wanted) = wanted else { return Ok(Head::default()) };
        let mut synced = self.syncing();
        if synced.seq >= wanted.seq {
            return Ok(*synced);
        }
        // Read after the wait: it covers everyone who came meanwhile. A file left behind was synced when it was left.
        let Some((path, end)) = self.writer().log.as_ref().map(|log| (log.path(), log.end)) else {
            return Ok(Head::default());
        };
        let done = self.world.disk.append(&path).and_then(|mut file| file.sync());
        match done {
            Ok(()) => *synced = end,
            Err(error) => {
                tracing::warn!(%error, "the audit record was not synced");
                if let Some(log) = self.writer().log.as_mut() {
                    log.abandon();
                }
                return Err(error);
            }
        }
        Ok(*synced)
    }

    async fn synced(self: &Arc<Self>) -> io::Result<()> {
        let journal = self.clone();
        let synced = tokio::task::spawn_blocking(move || journal.sync()).await;
        self.written.notify_one();
        synced.unwrap_or_else(|_| Err(io::ErrorKind::Interrupted.into())).map(drop)
    }

    fn syncing(&self) -> MutexGuard<'_, Head> {
        self.syncing.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn writer(&self) -> MutexGuard<'_, Writer> {
        self.writer.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// An act that was opened. End it; dropped, it counts as abandoned.
pub struct Act {
    journal: Arc<Journal>,
    entry: Option<Entry>,
    /// A record was open when it began; else its beginning waits for one, and so may its end.
    in_record: bool,
}

impl Act {
    /// The act was done: what AWS gave, and who the session acts as. Durable on return, as far as the disk allows.
    pub async fn done(mut self, aws: Option<AuditAws>, principal: Option<String>) {
        if let Some(mut entry) = self.entry.take() {
            entry.outcome = Outcome::Done;
            entry.aws = aws.or(entry.aws);
            entry.subject = AuditSubject { principal: principal.or(entry.subject.principal), ..entry.subject };
            self.write(entry).await;
        }
    }

    /// The act failed, and why.
    pub async fn failed(mut self, error: impl Into<String>) {
        if let Some(entry) = self.entry.take() {
            self.write(entry.failed(error)).await;
        }
    }

    /// Whether another vault's record has been opened since it began; then it has ended in the one that it began in.
    fn ended_elsewhere(&self, entry: &Entry) -> bool {
        let open = entry.act.as_ref().and_then(|id| self.journal.writer().acts.remove(id));
        self.in_record && open.is_none()
    }

    async fn write(&self, mut entry: Entry) {
        if self.ended_elsewhere(&entry) {
            if entry.event != Event::VaultRestore {
                return;
            }
            // It ended in the record that it began in; this one begins with it.
            (entry.act, entry.reason) = (None, Some("in the place of another vault".to_owned()));
        }
        let record = without_chain(entry).stamp(&self.journal.world, &self.journal.boot);
        {
            let mut writer = self.journal.writer();
            if self.journal.append(&mut writer, record).is_err() {
                writer.lost += 1;
                return;
            }
        }
        drop(self.journal.synced().await);
    }
}

impl Drop for Act {
    fn drop(&mut self) {
        let Some(mut entry) = self.entry.take() else { return };
        if !self.ended_elsewhere(&entry) {
            entry.outcome = Outcome::Abandoned;
            self.journal.note(without_chain(entry));
        }
    }
}

/// The record that opened the act has the chain.
fn without_chain(mut entry: Entry) -> Entry {
    entry.peer = entry.peer.map(|peer| AuditPeer { chain: Vec::new(), ..peer });
    entry
}
