//! The record being written: one open file, where its good bytes end, and what is set aside for it on the disk.

use super::chain::{Head, Key, Line, Sealer};
use super::entry::{Entry, Event, RECORD_LIMIT, shorten, timestamp};
use super::folder::{self, FILE_LIMIT};
use super::verify::follows;
use crate::world::{DiskFile, World};
use claviger::model::AuditRecord;
use std::io;
use std::path::{Path, PathBuf};

/// So many records are sure of their place when the disk is full, whatever their length.
const SURE_RECORDS: u64 = 1000;
/// Kept back of that for what ends: acts in hand, a lock, a stop. 64 records.
const MARGIN: u64 = 64 * RECORD_LIMIT as u64;
/// What is set aside beyond the end of the file.
const RESERVE: u64 = SURE_RECORDS * RECORD_LIMIT as u64 + MARGIN;
/// Set aside with it, so that the disk is not asked for each record.
const STRIDE: u64 = 1024 * 1024;

/// What tests make small.
#[derive(Clone, Copy)]
pub(super) struct Limits {
    pub(super) file_bytes: u64,
    pub(super) keep_millis: i64,
}

impl Default for Limits {
    fn default() -> Self {
        // 400 days: a year and a month, for a question about last year.
        Self { file_bytes: FILE_LIMIT, keep_millis: 400 * 86_400_000 }
    }
}

pub(super) struct Log {
    world: World,
    folder: PathBuf,
    boot: String,
    sealer: Sealer,
    limits: Limits,
    /// The last record written.
    pub(super) end: Head,
    /// The file in use, and how long it is without what an error may have left behind.
    pub(super) number: u64,
    pub(super) size: u64,
    /// Records up to this one may be lost: a sync of their file failed.
    pub(super) doubtful: u64,
    file: Option<Box<dyn DiskFile>>,
    /// Up to here the disk has room for the file.
    allocated: u64,
    /// The disk would set no more aside.
    low: bool,
}

impl Log {
    /// Goes on where the record in the folder ends. `head` is the last one known from elsewhere: a record that ends
    /// before it goes on after it, with a hole that verification names. A torn end is cut off; an end that is damaged
    /// in another way stays as it is, and a new file begins.
    pub(super) fn open(
        world: World,
        folder: PathBuf,
        key: &Key,
        head: Option<Head>,
        boot: &str,
        limits: Limits,
    ) -> io::Result<Self> {
        world.disk.create_private_folder(&folder)?;
        let sealer = Sealer::new(key);
        let found = Found::look(&world, &folder, &sealer)?;
        let mut log = Self {
            world,
            folder,
            boot: boot.to_owned(),
            sealer,
            limits,
            end: found.end.unwrap_or_default(),
            number: found.number,
            size: found.size,
            doubtful: 0,
            file: None,
            allocated: 0,
            low: false,
        };
        let mut notes = Vec::new();
        if found.torn > 0 {
            notes.push(Entry::new(Event::AuditRecovered).count(found.torn).reason("a crash tore the last line"));
        }
        if found.damaged {
            log.number += 1;
            log.size = 0;
            notes.push(Entry::new(Event::AuditGap).count(0).reason("the file before does not end as it was written"));
        }
        match head {
            Some(head) if head.seq > log.end.seq => {
                let missing = head.seq - log.end.seq;
                notes.push(Entry::new(Event::AuditGap).count(missing).reason("the record ended before its head"));
                log.end = head;
            }
            None if found.end.is_some() => {
                notes.push(Entry::new(Event::AuditGap).count(0).reason("the head beside the vault was lost"));
            }
            _ => {}
        }
        for note in notes {
            log.append(note.stamp(&log.world, &log.boot))?;
        }
        log.retire();
        Ok(log)
    }

    /// Writes a record, not yet durable. After an error nothing of it counts, and the next one tries a file afresh.
    pub(super) fn append(&mut self, record: AuditRecord) -> io::Result<()> {
        self.ready()?;
        // A disk that never has room enough must not make a file that is too long to read.
        let must = self.size >= self.limits.file_bytes.saturating_mul(2);
        if must || (self.size >= self.limits.file_bytes && !self.low) {
            self.rotate(must);
            // Where the old file takes no more, this record is the first of the next.
            self.ready()?;
        }
        self.write(record)
    }

    /// Whether a new act may begin: its end must find room as well.
    pub(super) fn has_room(&mut self) -> bool {
        if self.ready().is_err() {
            return false;
        }
        if self.low {
            self.set_aside();
        }
        !self.low || self.allocated.saturating_sub(self.size) >= MARGIN
    }

    /// Whether the disk is so full that only what was set aside is left.
    pub(super) fn is_low(&self) -> bool {
        self.low
    }

    /// The file in use.
    pub(super) fn path(&self) -> PathBuf {
        folder::path(&self.folder, self.number)
    }

    /// What was written may be lost: the file takes no more.
    pub(super) fn abandon(&mut self) {
        self.doubtful = self.end.seq;
        self.file = None;
        self.number += 1;
        self.size = 0;
    }

    fn write(&mut self, mut record: AuditRecord) -> io::Result<()> {
        let mut sealed = self.sealer.seal(&self.end, &mut record);
        for _ in 0..2 {
            if sealed.is_none() {
                shorten(&mut record);
                sealed = self.sealer.seal(&self.end, &mut record);
            }
        }
        let (line, head) = sealed.ok_or(io::ErrorKind::InvalidData)?;
        let Some(file) = self.file.as_mut() else { return Err(io::ErrorKind::NotConnected.into()) };
        if let Err(error) = file.write_all(&line) {
            self.file = None;
            return Err(error);
        }
        self.size += u64::try_from(line.len()).unwrap_or(u64::MAX);
        self.end = head;
        if self.allocated < self.size.saturating_add(RESERVE) {
            self.set_aside();
        }
        Ok(())
    }

    /// Opens the file, without what an error or a crash left behind its good bytes.
    fn ready(&mut self) -> io::Result<()> {
        if self.file.is_some() {
            return Ok(());
        }
        let path = self.path();
        let file = match self.world.disk.append(&path) {
            Ok(mut file) => {
                // Only then: a cut gives away what is set aside.
                if self.world.disk.stamp(&path)?.is_none_or(|found| found.size != self.size) {
                    file.cut(self.size)?;
                    file.sync()?;
                }
                file
            }
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                self.size = 0;
                let file = self.world.disk.create_new(&path)?;
                self.world.disk.sync_folder(&self.folder)?;
                file
            }
            Err(error) => return Err(error),
        };
        self.file = Some(file);
        self.allocated = self.size;
        self.set_aside();
        Ok(())
    }

    /// Sets room aside: as much as there should be, else as much as there is.
    fn set_aside(&mut self) {
        let Some(file) = self.file.as_mut() else { return };
        for wanted in [RESERVE + STRIDE, RESERVE / 4, RESERVE / 16] {
            if self.size.saturating_add(wanted) <= self.allocated {
                break;
            }
            match file.reserve(self.size, wanted) {
                Ok(()) => {
                    self.allocated = self.size.saturating_add(wanted);
                    self.low = wanted < RESERVE;
                    return;
                }
                // Then the first write that the disk refuses is what tells.
                Err(error) if error.kind() == io::ErrorKind::Unsupported => {
                    (self.allocated, self.low) = (u64::MAX, false);
                    return;
                }
                Err(_) => {}
            }
        }
        self.low = self.allocated < self.size.saturating_add(RESERVE);
    }

    /// Begins the next file, if room can be set aside for one, or it `must` be; else this one goes on.
    fn rotate(&mut self, must: bool) {
        // All of the old file is durable before there is one that follows it: a hole must mean that someone made it.
        if self.file.as_mut().is_none_or(|old| old.sync().is_err()) {
            return self.abandon();
        }
        let number = self.number + 1;
        let path = folder::path(&self.folder, number);
        let disk = self.world.disk.clone();
        let begun = disk.create_new(&path).and_then(|mut file| {
            let set_aside = match file.reserve(0, RESERVE + STRIDE) {
                Ok(()) => Ok(RESERVE + STRIDE),
                Err(error) if error.kind() == io::ErrorKind::Unsupported => Ok(u64::MAX),
                Err(_) if must => Ok(0),
                Err(error) => Err(error),
            };
            let set_aside = set_aside.and_then(|bytes| disk.sync_folder(&self.folder).map(|()| bytes));
            set_aside.map(|bytes| (file, bytes)).inspect_err(|_| drop(disk.remove(&path)))
        });
        let Ok((file, allocated)) = begun else { return };
        // Only gives back what was set aside for it.
        drop(self.file.as_mut().map(|old| old.cut(self.size)));
        (self.file, self.number, self.size) = (Some(file), number, 0);
        (self.allocated, self.low) = (allocated, false);
        self.retire();
    }

    /// Deletes the oldest file where all of it is older than the time to keep: one at a time, so that a clock that
    /// jumps ahead does not take everything. The record says so first.
    fn retire(&mut self) {
        if let Err(error) = self.try_retire() {
            tracing::warn!(%error, "an old file of the audit record was not deleted");
        }
    }

    fn try_retire(&mut self) -> io::Result<()> {
        let numbers = folder::numbers(&self.world, &self.folder)?;
        let (Some(oldest), Some(next)) = (numbers.first(), numbers.get(1)) else { return Ok(()) };
        let bytes = folder::read(&self.world, &self.folder, *next)?;
        let first = folder::lines(&bytes).0.next().and_then(Line::split);
        let Some((line, record)) = first.and_then(|line| line.record().map(|record| (line, record))) else {
            return Ok(());
        };
        let before = self.world.clock.wall().plus_millis(self.limits.keep_millis.saturating_neg());
        // All of the oldest file was written before the next one began.
        if !self.sealer.holds(&line) || record.time >= timestamp(before) || *next > self.number {
            return Ok(());
        }
        let mut entry = Entry::new(Event::AuditRetired).count(1).reason("older than is kept");
        entry.through = Some(line.head.seq.saturating_sub(1));
        self.ready()?;
        self.write(entry.stamp(&self.world, &self.boot))?;
        if let Some(file) = self.file.as_mut() {
            file.sync()?;
        }
        self.world.disk.remove(&folder::path(&self.folder, *oldest))?;
        self.world.disk.sync_folder(&self.folder)
    }
}

/// Where a record ends.
struct Found {
    end: Option<Head>,
    number: u64,
    size: u64,
    torn: u64,
    damaged: bool,
}

impl Found {
    /// Looks from the last file backwards for the last line that holds.
    fn look(world: &World, folder: &Path, sealer: &Sealer) -> io::Result<Self> {
        let numbers = folder::numbers(world, folder)?;
        let mut found =
            Self { end: None, number: numbers.last().copied().unwrap_or(1), size: 0, torn: 0, damaged: false };
        for number in numbers.iter().rev() {
            let bytes = folder::read(world, folder, *number)?;
            let (end, good) = good(&bytes, sealer);
            let tail = bytes.get(good..).unwrap_or_default();
            if *number == found.number {
                let torn = !tail.contains(&b'\n') || tail.contains(&0);
                found.damaged = !torn;
                found.size = u64::try_from(good).unwrap_or(0);
                found.torn = if torn { u64::try_from(tail.len()).unwrap_or(0) } else { 0 };
            }
            if end.is_some() {
                found.end = end;
                break;
            }
        }
        Ok(found)
    }
}

/// The last line that holds and follows, and where it ends.
fn good(bytes: &[u8], sealer: &Sealer) -> (Option<Head>, usize) {
    let mut end: Option<Head> = None;
    let mut good = 0;
    for line in folder::lines(bytes).0 {
        let Some(split) = Line::split(line).filter(|line| sealer.holds(line)) else { break };
        if end.is_some_and(|end| follows(&end, &split).is_err()) {
            break;
        }
        end = Some(split.head);
        good += line.len() + 1;
    }
    (end, good)
}
