//! A disk in memory that fails on demand, loses power, and lists every state that a power loss may leave.

use crate::world::{Disk, DiskFile, Stamp};
use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// Files by path.
pub type Files = BTreeMap<PathBuf, Vec<u8>>;

/// The disk. Clones are the same disk.
#[derive(Clone, Default)]
pub struct MemoryDisk(Arc<Mutex<Machine>>);

/// What a power loss may leave.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct CrashState {
    /// The files.
    pub files: Files,
    /// How many marks had been set by then.
    pub marks: usize,
}

#[derive(Default)]
struct Machine {
    names: BTreeMap<PathBuf, usize>,
    /// Contents by inode.
    contents: Vec<Vec<u8>>,
    /// What was durable when the log was last cleared.
    base: (BTreeMap<PathBuf, usize>, Vec<Vec<u8>>),
    log: Vec<Operation>,
    calls: usize,
    fails: BTreeMap<usize, io::ErrorKind>,
    syncs: usize,
    skipped_sync: Option<usize>,
    /// Bytes that may still be taken, where the disk has an end; and what each file has set aside.
    free: Option<u64>,
    reserved: BTreeMap<usize, u64>,
}

#[derive(Clone)]
enum Operation {
    Cut(usize, usize),
    Mark,
    Names(Change),
    SyncFile(usize),
    SyncFolder(PathBuf),
    Write(usize, Vec<u8>),
}

/// One change of names, which a power loss takes or leaves whole.
#[derive(Clone, Default)]
struct Change {
    gone: Option<PathBuf>,
    put: Option<(PathBuf, usize)>,
}

impl MemoryDisk {
    /// A disk with these files, all durable.
    pub fn with(files: Files) -> Self {
        let disk = Self::default();
        {
            let mut machine = disk.lock();
            for (path, bytes) in files {
                machine.contents.push(bytes);
                let inode = machine.contents.len() - 1;
                machine.names.insert(path, inode);
            }
        }
        disk.settle();
        disk
    }

    /// The files as a program sees them now.
    pub fn files(&self) -> Files {
        let machine = self.lock();
        resolve(&machine.names, &machine.contents)
    }

    /// Makes everything durable, clears the log, and counts calls and syncs from 0 again; faults are gone.
    pub fn settle(&self) {
        let mut machine = self.lock();
        machine.base = (machine.names.clone(), machine.contents.clone());
        machine.log.clear();
        machine.fails.clear();
        (machine.calls, machine.syncs, machine.skipped_sync) = (0, 0, None);
    }

    /// The call with this number (from 0, since the disk was settled) fails; a write has then written half.
    pub fn fail(&self, call: usize, kind: io::ErrorKind) {
        self.lock().fails.insert(call, kind);
    }

    /// From now on the disk takes so many bytes more.
    pub fn set_free(&self, bytes: u64) {
        self.lock().free = Some(bytes);
    }

    /// Calls since the disk was settled.
    pub fn calls(&self) -> usize {
        self.lock().calls
    }

    /// Syncs since the disk was settled.
    pub fn syncs(&self) -> usize {
        self.lock().syncs
    }

    /// The sync with this number reports success and does nothing: the control of a crash test.
    pub fn skip_sync(&self, sync: usize) {
        self.lock().skipped_sync = Some(sync);
    }

    /// Notes that a promise was made at this point.
    pub fn mark(&self) {
        self.lock().log.push(Operation::Mark);
    }

    /// Every different state that a power loss at any moment since the disk was settled may leave: after each
    /// operation, any of the name changes not yet synced may be missing (the first 8 in every combination), and of
    /// the bytes not yet synced of each file none, some, all, or zeros in their place may be there.
    pub fn crash_states(&self) -> BTreeSet<CrashState> {
        let machine = self.lock();
        let mut replay = Replay::new(&machine.base);
        let mut states = BTreeSet::new();
        replay.collect(&mut states);
        for operation in &machine.log {
            replay.step(operation);
            replay.collect(&mut states);
        }
        states
    }

    fn lock(&self) -> MutexGuard<'_, Machine> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Counts a call, and fails it if it is to.
    fn call(&self) -> io::Result<MutexGuard<'_, Machine>> {
        let mut machine = self.lock();
        let call = machine.calls;
        machine.calls += 1;
        match machine.fails.get(&call) {
            Some(kind) => Err((*kind).into()),
            None => Ok(machine),
        }
    }
}

impl Machine {
    fn change(&mut self, change: Change) {
        change.apply(&mut self.names);
        self.log.push(Operation::Names(change));
    }

    /// Takes bytes for a file, from what it has set aside first; as many as there are.
    fn take(&mut self, inode: usize, bytes: usize) -> usize {
        let Some(free) = self.free else { return bytes };
        let reserved = self.reserved.entry(inode).or_default();
        let (own, wanted) = (*reserved, bytes as u64);
        *reserved = own.saturating_sub(wanted);
        let more = wanted.saturating_sub(own).min(free);
        self.free = Some(free - more);
        (own.min(wanted) + more) as usize
    }

    fn inode(&self, path: &Path) -> io::Result<usize> {
        self.names.get(path).copied().ok_or_else(|| io::ErrorKind::NotFound.into())
    }

    /// Counts a sync; false where it is to be skipped.
    fn sync(&mut self) -> bool {
        let sync = self.syncs;
        self.syncs += 1;
        self.skipped_sync != Some(sync)
    }
}

impl Change {
    fn lies_in(&self, folder: &Path) -> bool {
        let path = self.gone.as_ref().or(self.put.as_ref().map(|(path, _)| path));
        path.and_then(|path| path.parent()) == Some(folder)
    }

    fn apply(&self, names: &mut BTreeMap<PathBuf, usize>) {
        if let Some(gone) = &self.gone {
            names.remove(gone);
        }
        if let Some((path, inode)) = &self.put {
            names.insert(path.clone(), *inode);
        }
    }
}

impl Disk for MemoryDisk {
    fn create_private_folder(&self, _path: &Path) -> io::Result<()> {
        self.call().map(drop)
    }

    fn read(&self, path: &Path, limit: u64) -> io::Result<Option<Vec<u8>>> {
        let machine = self.call()?;
        let found = machine.names.get(path).and_then(|inode| machine.contents.get(*inode)).cloned();
        match found {
            Some(bytes) if bytes.len() as u64 > limit => Err(io::ErrorKind::FileTooLarge.into()),
            found => Ok(found),
        }
    }

    fn read_linked(&self, path: &Path, limit: u64) -> io::Result<Option<Vec<u8>>> {
        self.read(path, limit)
    }

    fn stamp(&self, path: &Path) -> io::Result<Option<Stamp>> {
        let machine = self.call()?;
        Ok(machine.names.get(path).map(|inode| Stamp {
            inode: *inode as u64,
            size: machine.contents.get(*inode).map_or(0, Vec::len) as u64,
            modified: 0,
        }))
    }

    fn create_new(&self, path: &Path) -> io::Result<Box<dyn DiskFile>> {
        let mut machine = self.call()?;
        if machine.names.contains_key(path) {
            return Err(io::ErrorKind::AlreadyExists.into());
        }
        machine.contents.push(Vec::new());
        let inode = machine.contents.len() - 1;
        machine.change(Change { gone: None, put: Some((path.to_owned(), inode)) });
        Ok(Box::new(MemoryFile { disk: self.clone(), inode }))
    }

    fn real_path(&self, path: &Path) -> io::Result<Option<PathBuf>> {
        Ok(self.call()?.names.contains_key(path).then(|| path.to_owned()))
    }

    fn create_like(&self, path: &Path, like: &Path) -> io::Result<Box<dyn DiskFile>> {
        self.call()?.inode(like)?;
        self.create_new(path)
    }

    fn append(&self, path: &Path) -> io::Result<Box<dyn DiskFile>> {
        let inode = self.call()?.inode(path)?;
        Ok(Box::new(MemoryFile { disk: self.clone(), inode }))
    }

    fn link(&self, from: &Path, to: &Path) -> io::Result<()> {
        let mut machine = self.call()?;
        let inode = machine.inode(from)?;
        if machine.names.contains_key(to) {
            return Err(io::ErrorKind::AlreadyExists.into());
        }
        machine.change(Change { gone: None, put: Some((to.to_owned(), inode)) });
        Ok(())
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        let mut machine = self.call()?;
        let inode = machine.inode(from)?;
        // POSIX: two names of one file, and nothing happens.
        if machine.names.get(to) != Some(&inode) {
            machine.change(Change { gone: Some(from.to_owned()), put: Some((to.to_owned(), inode)) });
        }
        Ok(())
    }

    fn remove(&self, path: &Path) -> io::Result<()> {
        let mut machine = self.call()?;
        if machine.names.contains_key(path) {
            machine.change(Change { gone: Some(path.to_owned()), put: None });
        }
        Ok(())
    }

    fn sync_folder(&self, path: &Path) -> io::Result<()> {
        let mut machine = self.call()?;
        // A folder in which nothing was ever named is not modelled, so syncing it does not count.
        let known =
            machine.log.iter().any(|operation| matches!(operation, Operation::Names(change) if change.lies_in(path)));
        if known && machine.sync() {
            machine.log.push(Operation::SyncFolder(path.to_owned()));
        }
        Ok(())
    }

    fn names(&self, path: &Path) -> io::Result<Vec<String>> {
        let machine = self.call()?;
        let here = machine.names.keys().filter(|name| name.parent() == Some(path));
        Ok(here.filter_map(|name| name.file_name()?.to_str().map(str::to_owned)).collect())
    }
}

struct MemoryFile {
    disk: MemoryDisk,
    inode: usize,
}

impl DiskFile for MemoryFile {
    fn write_all(&mut self, bytes: &[u8]) -> io::Result<()> {
        let mut outcome = self.disk.call().map(drop);
        let written = if outcome.is_ok() { bytes.len() } else { bytes.len() / 2 };
        let mut machine = self.disk.lock();
        let taken = machine.take(self.inode, written);
        if taken < written {
            outcome = Err(io::ErrorKind::StorageFull.into());
        }
        let written = bytes.get(..taken).unwrap_or_default();
        if let Some(content) = machine.contents.get_mut(self.inode) {
            content.extend_from_slice(written);
        }
        machine.log.push(Operation::Write(self.inode, written.to_vec()));
        outcome
    }

    fn sync(&mut self) -> io::Result<()> {
        let mut machine = self.disk.call()?;
        if machine.sync() {
            machine.log.push(Operation::SyncFile(self.inode));
        }
        Ok(())
    }

    fn cut(&mut self, length: u64) -> io::Result<()> {
        let mut machine = self.disk.call()?;
        let length = length as usize;
        if let Some(content) = machine.contents.get_mut(self.inode) {
            content.truncate(length);
        }
        let back = machine.reserved.remove(&self.inode).unwrap_or_default();
        machine.free = machine.free.map(|free| free + back);
        machine.log.push(Operation::Cut(self.inode, length));
        Ok(())
    }

    fn reserve(&mut self, _length: u64, bytes: u64) -> io::Result<()> {
        let mut machine = self.disk.call()?;
        let held = machine.reserved.get(&self.inode).copied().unwrap_or_default();
        let more = bytes.saturating_sub(held);
        if machine.free.is_some_and(|free| free < more) {
            return Err(io::ErrorKind::StorageFull.into());
        }
        machine.free = machine.free.map(|free| free - more);
        machine.reserved.insert(self.inode, held.max(bytes));
        Ok(())
    }
}

/// What is durable, and what is on its way.
struct Replay {
    names: BTreeMap<PathBuf, usize>,
    contents: BTreeMap<usize, Vec<u8>>,
    changes: Vec<Change>,
    writes: BTreeMap<usize, Vec<u8>>,
    marks: usize,
}

impl Replay {
    fn new((names, contents): &(BTreeMap<PathBuf, usize>, Vec<Vec<u8>>)) -> Self {
        let contents = contents.iter().cloned().enumerate().collect();
        Self { names: names.clone(), contents, changes: Vec::new(), writes: BTreeMap::new(), marks: 0 }
    }

    fn step(&mut self, operation: &Operation) {
        match operation {
            // Whoever cuts syncs before writing on, so nothing is gained by a cut that comes late.
            Operation::Cut(inode, length) => {
                let durable = self.contents.entry(*inode).or_default();
                durable.truncate(*length);
                let left = length - durable.len();
                if let Some(pending) = self.writes.get_mut(inode) {
                    pending.truncate(left);
                }
            }
            Operation::Mark => self.marks += 1,
            Operation::Names(change) => self.changes.push(change.clone()),
            Operation::SyncFile(inode) => {
                let pending = self.writes.remove(inode).unwrap_or_default();
                self.contents.entry(*inode).or_default().extend(pending);
            }
            Operation::SyncFolder(folder) => {
                let (durable, pending) = self.changes.drain(..).partition(|change| change.lies_in(folder));
                self.changes = pending;
                let durable: Vec<Change> = durable;
                durable.iter().for_each(|change| change.apply(&mut self.names));
            }
            Operation::Write(inode, bytes) => self.writes.entry(*inode).or_default().extend(bytes),
        }
    }

    fn collect(&self, states: &mut BTreeSet<CrashState>) {
        for contents in self.possible_contents() {
            for kept in 0..1_u32 << self.changes.len().min(8) {
                let mut names = self.names.clone();
                for (index, change) in self.changes.iter().enumerate() {
                    // Beyond the first 8 changes all are kept or, with the eighth, all lost.
                    if kept >> index.min(7) & 1 == 1 {
                        change.apply(&mut names);
                    }
                }
                let files = names
                    .iter()
                    .map(|(path, inode)| (path.clone(), contents.get(inode).cloned().unwrap_or_default()))
                    .collect();
                states.insert(CrashState { files, marks: self.marks });
            }
        }
    }

    fn possible_contents(&self) -> Vec<BTreeMap<usize, Vec<u8>>> {
        let mut possible = vec![self.contents.clone()];
        for (inode, pending) in &self.writes {
            let synced = self.contents.get(inode).cloned().unwrap_or_default();
            let length = pending.len();
            let mut ends: Vec<Vec<u8>> = [0, 1, 3, 7, 9, length / 2, length.saturating_sub(1), length]
                .iter()
                .filter_map(|kept| pending.get(..*kept).map(<[u8]>::to_vec))
                .collect();
            ends.push(vec![0; length]);
            let half = pending.get(..length / 2).unwrap_or_default();
            ends.push([half, vec![0; length - length / 2].as_slice()].concat());
            possible = ends
                .iter()
                .flat_map(|end| {
                    possible.iter().map(|contents| {
                        let mut contents = contents.clone();
                        contents.insert(*inode, [synced.as_slice(), end].concat());
                        contents
                    })
                })
                .collect();
        }
        possible
    }
}

fn resolve(names: &BTreeMap<PathBuf, usize>, contents: &[Vec<u8>]) -> Files {
    names.iter().map(|(path, inode)| (path.clone(), contents.get(*inode).cloned().unwrap_or_default())).collect()
}
