//! A disk in memory that fails on demand, loses power, and lists every state that a power loss may leave.

use crate::world::{Disk, DiskFile, Stamp};
use std::collections::{BTreeMap, BTreeSet};
use std::hash::{DefaultHasher, Hash, Hasher};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// What a disk writes whole or not at all.
const SECTOR: usize = 512;
/// So many changes, of names or of one file, are kept and lost in every combination; of more, the first.
const FREE_CHANGES: usize = 8;

/// Files by path.
pub type Files = BTreeMap<PathBuf, Vec<u8>>;

/// The disk. Clones are the same disk.
#[derive(Clone, Default)]
pub struct MemoryDisk(Arc<Mutex<Machine>>);

/// What a power loss may leave.
#[derive(Debug, Clone)]
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
    syncs: Vec<String>,
    skipped_syncs: BTreeSet<usize>,
    /// Bytes that may still be taken, where the disk has an end; and what each file has set aside.
    free: Option<u64>,
    reserved: BTreeMap<usize, u64>,
}

#[derive(Clone)]
enum Operation {
    File(usize, Edit),
    Mark,
    Names(Change),
    SyncFile(usize),
    SyncFolder(PathBuf),
}

/// One change of a file's content.
#[derive(Clone)]
enum Edit {
    Cut(usize),
    /// At this offset, where the end was.
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
        machine.syncs.clear();
        machine.skipped_syncs.clear();
        machine.calls = 0;
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

    /// Syncs since the disk was settled: what each was for.
    pub fn syncs(&self) -> Vec<String> {
        self.lock().syncs.clone()
    }

    /// The sync with this number reports success and does nothing: the control of a crash test.
    pub fn skip_sync(&self, sync: usize) {
        self.lock().skipped_syncs.insert(sync);
    }

    /// Notes that a promise was made at this point.
    pub fn mark(&self) {
        self.lock().log.push(Operation::Mark);
    }

    /// Shows every different state that a power loss at any moment since the disk was settled may leave, and counts
    /// them. Of the changes that were not yet synced, of names and of each file's content, any may be missing; the
    /// last one of a file may be torn, at every `grain` bytes, with what is missing absent or zeros.
    pub fn crash_states(&self, grain: usize, mut visit: impl FnMut(&CrashState)) -> usize {
        let (mut replay, log) = {
            let machine = self.lock();
            (Replay::new(&machine.base, grain), machine.log.clone())
        };
        let mut seen = BTreeSet::new();
        replay.collect(None, &mut seen, &mut visit);
        for operation in &log {
            let written = replay.step(operation);
            replay.collect(written, &mut seen, &mut visit);
        }
        seen.len()
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
    fn sync(&mut self, what: String) -> bool {
        self.syncs.push(what);
        !self.skipped_syncs.contains(&(self.syncs.len() - 1))
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
        if known && machine.sync(format!("folder {}", path.display())) {
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
            let edit = Edit::Write(content.len(), written.to_vec());
            edit.apply(content);
            machine.log.push(Operation::File(self.inode, edit));
        }
        outcome
    }

    fn sync(&mut self) -> io::Result<()> {
        let mut machine = self.disk.call()?;
        let name = machine.names.iter().find(|(_, inode)| **inode == self.inode).map(|(path, _)| path.display());
        let what = format!("file {}", name.map_or_else(String::new, |name| name.to_string()));
        if machine.sync(what) {
            machine.log.push(Operation::SyncFile(self.inode));
        }
        Ok(())
    }

    fn cut(&mut self, length: u64) -> io::Result<()> {
        let mut machine = self.disk.call()?;
        let length = length as usize;
        let edit = Edit::Cut(length);
        if let Some(content) = machine.contents.get_mut(self.inode) {
            edit.apply(content);
        }
        let back = machine.reserved.remove(&self.inode).unwrap_or_default();
        machine.free = machine.free.map(|free| free + back);
        machine.log.push(Operation::File(self.inode, edit));
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

impl Edit {
    fn apply(&self, content: &mut Vec<u8>) {
        match self {
            Self::Cut(length) => content.resize(*length, 0),
            Self::Write(at, bytes) => {
                let end = at + bytes.len();
                if content.len() < end {
                    content.resize(end, 0);
                }
                if let Some(place) = content.get_mut(*at..end) {
                    place.copy_from_slice(bytes);
                }
            }
        }
    }

    /// What there is of a write that was torn, at every `grain` bytes: its begin, and behind it nothing or zeros; or
    /// its end alone, from a sector on.
    fn torn(&self, grain: usize) -> Vec<Vec<Self>> {
        let Self::Write(at, bytes) = self else { return Vec::new() };
        let length = bytes.len();
        let ends = [1, 3, 7, 9, length / 2, length.saturating_sub(1)].into_iter().chain((0..length).step_by(grain));
        let begins = ends.filter_map(|end| bytes.get(..end)).flat_map(|begin| {
            let begin = Self::Write(*at, begin.to_vec());
            [vec![begin.clone()], vec![Self::Cut(at + length), begin]]
        });
        let sectors = (at / SECTOR + 1..).map(|sector| sector * SECTOR).take_while(|sector| *sector < at + length);
        let rest = |from: usize| bytes.get(from - at..).map(|rest| vec![Self::Write(from, rest.to_vec())]);
        begins.chain(sectors.filter_map(rest)).collect()
    }
}

/// What is durable, and what is on its way.
struct Replay {
    names: BTreeMap<PathBuf, usize>,
    contents: BTreeMap<usize, Vec<u8>>,
    changes: Vec<Change>,
    edits: BTreeMap<usize, Vec<Edit>>,
    marks: usize,
    grain: usize,
}

/// What a file may contain, told apart by a hash.
type Possible = (u64, Vec<u8>);

impl Replay {
    fn new((names, contents): &(BTreeMap<PathBuf, usize>, Vec<Vec<u8>>), grain: usize) -> Self {
        let contents = contents.iter().cloned().enumerate().collect();
        Self { names: names.clone(), contents, changes: Vec::new(), edits: BTreeMap::new(), marks: 0, grain }
    }

    /// Takes the operation in; the file that it wrote to.
    fn step(&mut self, operation: &Operation) -> Option<usize> {
        match operation {
            Operation::File(inode, edit) => {
                self.edits.entry(*inode).or_default().push(edit.clone());
                return Some(*inode);
            }
            Operation::Mark => self.marks += 1,
            Operation::Names(change) => self.changes.push(change.clone()),
            Operation::SyncFile(inode) => {
                let content = self.contents.entry(*inode).or_default();
                self.edits.remove(inode).iter().flatten().for_each(|edit| edit.apply(content));
            }
            Operation::SyncFolder(folder) => {
                let (durable, pending) = self.changes.drain(..).partition(|change| change.lies_in(folder));
                self.changes = pending;
                let durable: Vec<Change> = durable;
                durable.iter().for_each(|change| change.apply(&mut self.names));
            }
        }
        None
    }

    /// Shows the states there may be now; tears the last write of the file `written`.
    fn collect(&self, written: Option<usize>, seen: &mut BTreeSet<u64>, visit: &mut impl FnMut(&CrashState)) {
        let names = self.possible_names();
        let durable: BTreeMap<usize, Possible> =
            self.contents.iter().map(|(inode, content)| (*inode, possible(content.clone()))).collect();
        for contents in self.possible_contents(written) {
            for names in &names {
                let files = names.iter().map(|(path, inode)| {
                    let content = contents.get(inode).or_else(|| durable.get(inode));
                    (path, content.map_or((0, [].as_slice()), |(hash, bytes)| (*hash, bytes.as_slice())))
                });
                let mut hasher = DefaultHasher::new();
                self.marks.hash(&mut hasher);
                files.clone().for_each(|(path, (hash, _))| (path, hash).hash(&mut hasher));
                if seen.insert(hasher.finish()) {
                    let files = files.map(|(path, (_, bytes))| (path.clone(), bytes.to_vec())).collect();
                    visit(&CrashState { files, marks: self.marks });
                }
            }
        }
    }

    fn possible_names(&self) -> Vec<BTreeMap<PathBuf, usize>> {
        let some = |kept: u32| {
            let mut names = self.names.clone();
            for (index, change) in self.changes.iter().enumerate() {
                // Beyond the first ones all are kept or, with the last of these, all lost.
                if kept >> index.min(FREE_CHANGES - 1) & 1 == 1 {
                    change.apply(&mut names);
                }
            }
            names
        };
        (0..1_u32 << self.changes.len().min(FREE_CHANGES)).map(some).collect()
    }

    /// Of the files on their way: each whole one with each of the others, each torn one with the others whole.
    fn possible_contents(&self, written: Option<usize>) -> Vec<BTreeMap<usize, Possible>> {
        let mut all = vec![BTreeMap::new()];
        for inode in self.edits.keys() {
            let whole = self.possible_wholes(*inode);
            let with = |others: &BTreeMap<usize, Possible>, content: &Possible| {
                let mut contents = others.clone();
                contents.insert(*inode, content.clone());
                contents
            };
            all = whole.iter().flat_map(|content| all.iter().map(move |others| with(others, content))).collect();
        }
        let whole = self.edits.keys().map(|inode| (*inode, self.edited(*inode, |_| true)));
        let whole: BTreeMap<usize, Possible> = whole.map(|(inode, content)| (inode, possible(content))).collect();
        if let Some((inode, edits)) = written.and_then(|inode| self.edits.get_key_value(&inode)) {
            let Some((last, before)) = edits.split_last() else { return all };
            for torn in last.torn(self.grain) {
                let mut content = self.edited(*inode, |index| index < before.len());
                torn.iter().for_each(|edit| edit.apply(&mut content));
                let mut contents = whole.clone();
                contents.insert(*inode, possible(content));
                all.push(contents);
            }
        }
        all
    }

    /// The file with some of its changes and without the others.
    fn possible_wholes(&self, inode: usize) -> Vec<Possible> {
        let count = self.edits.get(&inode).map_or(0, Vec::len);
        let old = count.saturating_sub(FREE_CHANGES);
        // The older ones are there or, with the oldest of those that are free, lost.
        let some = |kept: u32| self.edited(inode, |index| kept >> index.saturating_sub(old) & 1 == 1);
        (0..1_u32 << count.min(FREE_CHANGES)).map(|kept| possible(some(kept))).collect()
    }

    fn edited(&self, inode: usize, kept: impl Fn(usize) -> bool) -> Vec<u8> {
        let mut content = self.contents.get(&inode).cloned().unwrap_or_default();
        let edits = self.edits.get(&inode).into_iter().flatten().enumerate();
        edits.filter(|(index, _)| kept(*index)).for_each(|(_, edit)| edit.apply(&mut content));
        content
    }
}

fn possible(content: Vec<u8>) -> Possible {
    let mut hasher = DefaultHasher::new();
    content.hash(&mut hasher);
    (hasher.finish(), content)
}

fn resolve(names: &BTreeMap<PathBuf, usize>, contents: &[Vec<u8>]) -> Files {
    names.iter().map(|(path, inode)| (path.clone(), contents.get(*inode).cloned().unwrap_or_default())).collect()
}
