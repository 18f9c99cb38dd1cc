//! The state's file: a header, then sealed records, each with its length said twice.

use super::super::crypto::{self, Key32};
use super::super::error::{Error, Result};
use super::content::Content;
use super::{Durable, StateAccess};
use crate::world::{DiskFile, World};
use std::io;
use std::path::{Path, PathBuf};

const MAGIC: &[u8; 4] = b"CLVS";
const FORMAT: u16 = 1;

/// Magic, two versions, the vault's id, the salt of this file's key.
const HEADER: usize = 4 + 2 + 2 + 16 + 32;

/// A record's length and the same with every bit turned: a damaged length cannot pass for a torn write.
const LENGTH: usize = 8;

/// Longest record as stored: a session of the longest kind in base64, and what sealing adds.
const RECORD_LIMIT: usize = 256 * 1024;

/// Longest file that is read.
pub(super) const FILE_LIMIT: u64 = 64 * 1024 * 1024;

/// A file is written anew once it is longer than this and four times what it was when fresh.
const GROWTH_LIMIT: u64 = 1024 * 1024;

/// What a file turned out to be.
pub(super) enum Read {
    Damaged,
    OtherVault,
    Torn(Content),
    Whole(Content),
}

/// Reads a file. [`Error::Newer`] is the one error.
pub(super) fn read(file: &[u8], access: &StateAccess) -> Result<Read> {
    let Some((header, records)) = file.split_first_chunk::<HEADER>() else { return Ok(Read::Damaged) };
    let Some((vault_id, salt)) = read_header(header)? else { return Ok(Read::Damaged) };
    if vault_id != access.vault_id {
        return Ok(Read::OtherVault);
    }
    let keys = std::iter::once(&access.key).chain(&access.previous);
    let mut reads = keys.map(|key| read_records(records, &file_key(key, &salt), header));
    Ok(reads.find(|read| !matches!(read, Read::Damaged)).unwrap_or(Read::Damaged))
}

fn read_header(header: &[u8; HEADER]) -> Result<Option<([u8; 16], [u8; 32])>> {
    let Some(rest) = header.strip_prefix(MAGIC) else { return Ok(None) };
    let Some((_format, rest)) = rest.split_first_chunk::<2>() else { return Ok(None) };
    let Some((min_reader, rest)) = rest.split_first_chunk::<2>() else { return Ok(None) };
    if u16::from_be_bytes(*min_reader) > FORMAT {
        return Err(Error::Newer);
    }
    Ok(rest.split_first_chunk::<16>().and_then(|(id, salt)| Some((*id, salt.try_into().ok()?))))
}

fn read_records(mut rest: &[u8], key: &Key32, header: &[u8; HEADER]) -> Read {
    let mut content = Content::default();
    let mut count = 0;
    while !rest.is_empty() {
        match next(rest) {
            Next::Cut if count > 0 => return Read::Torn(content),
            Next::Cut | Next::Bad => return Read::Damaged,
            Next::Record(sealed, after) => match crypto::open_record(key, &bound(header, count), sealed) {
                Some(text) => {
                    if content.apply(&text).is_err() {
                        return Read::Damaged;
                    }
                    (rest, count) = (after, count + 1);
                }
                // Nothing was written after it, or not all of it: the write was cut off. Else it is damage.
                None if count > 0 && (blank(after) || holed(rest)) => return Read::Torn(content),
                None => return Read::Damaged,
            },
        }
    }
    if count > 0 { Read::Whole(content) } else { Read::Damaged }
}

enum Next<'a> {
    Bad,
    Cut,
    Record(&'a [u8], &'a [u8]),
}

fn next(rest: &[u8]) -> Next<'_> {
    let Some((lengths, after)) = rest.split_first_chunk::<LENGTH>() else { return Next::Cut };
    let [a, b, c, d, not_a, not_b, not_c, not_d] = *lengths;
    let (length, inverse) = (u32::from_be_bytes([a, b, c, d]), u32::from_be_bytes([not_a, not_b, not_c, not_d]));
    let sound = inverse == !length;
    match usize::try_from(length).ok().filter(|length| sound && *length <= RECORD_LIMIT) {
        Some(length) => after.split_at_checked(length).map_or(Next::Cut, |(sealed, after)| Next::Record(sealed, after)),
        None if blank(rest) || holed(rest) => Next::Cut,
        None => Next::Bad,
    }
}

/// A file that grew without its content is zeros (as after a power loss).
fn blank(bytes: &[u8]) -> bool {
    bytes.iter().all(|byte| *byte == 0)
}

/// A power loss may keep a write and lose the one before it: what was lost is zeros, and nothing sealed is.
fn holed(bytes: &[u8]) -> bool {
    bytes.windows(LENGTH).any(blank)
}

/// A file being written.
pub(super) struct Log {
    file: Box<dyn DiskFile>,
    key: Key32,
    header: [u8; HEADER],
    count: u64,
    size: u64,
    fresh: u64,
}

/// A file that is written and durable, but does not have its name yet.
pub(super) struct Prepared {
    log: Log,
    temp: PathBuf,
}

/// Writes this content to a fresh file beside `path`. What is at `path` stands.
pub(super) fn prepare(world: &World, path: &Path, access: &StateAccess, content: &Content) -> Result<Prepared> {
    let salt = *crypto::random::<32>(world)?;
    let header = header(&access.vault_id, &salt);
    let key = file_key(&access.key, &salt);
    let mut bytes = header.to_vec();
    let mut count = 0;
    for record in content.records() {
        bytes.extend_from_slice(&frame(world, &key, &header, count, &record)?);
        count += 1;
    }
    let temp = path.with_extension("new");
    let file = write_fresh(world, &temp, &bytes).map_err(|source| {
        // Best effort: on a full disk this gives the space back.
        drop(world.disk.remove(&temp));
        Error::StateUnsaved { source }
    })?;
    let size = u64::try_from(bytes.len()).unwrap_or(u64::MAX);
    Ok(Prepared { log: Log { file, key, header, count, size, fresh: size }, temp })
}

fn write_fresh(world: &World, temp: &Path, bytes: &[u8]) -> io::Result<Box<dyn DiskFile>> {
    world.disk.remove(temp)?;
    let mut file = world.disk.create_new(temp)?;
    file.write_all(bytes)?;
    file.sync()?;
    Ok(file)
}

impl Prepared {
    /// Moves the file over the state, durably. After an error the name may lead to either file.
    pub(super) fn take_name(self, world: &World, path: &Path) -> Result<Log> {
        let folder = path.parent().unwrap_or(path);
        let moved = world.disk.rename(&self.temp, path).and_then(|()| world.disk.sync_folder(folder));
        moved.map(|()| self.log).map_err(|source| Error::StateUnsaved { source })
    }
}

impl Log {
    /// Adds a record. After an error the file may end in half of it and takes no more.
    pub(super) fn append(&mut self, world: &World, record: &[u8], durable: Durable) -> Result<()> {
        let frame = frame(world, &self.key, &self.header, self.count, record)?;
        let mut written = self.file.write_all(&frame);
        if durable == Durable::Yes {
            written = written.and_then(|()| self.file.sync());
        }
        written.map_err(|source| Error::StateUnsaved { source })?;
        self.count += 1;
        self.size = self.size.saturating_add(u64::try_from(frame.len()).unwrap_or(u64::MAX));
        Ok(())
    }

    /// Whether it is time for a fresh file.
    pub(super) fn overgrown(&self) -> bool {
        self.size > GROWTH_LIMIT.max(self.fresh.saturating_mul(4))
    }
}

fn frame(world: &World, key: &Key32, header: &[u8; HEADER], count: u64, record: &[u8]) -> Result<Vec<u8>> {
    let sealed = crypto::seal_record(world, key, &bound(header, count), record)?;
    let length = u32::try_from(sealed.len()).map_err(|_| Error::TooLarge)?;
    Ok([&length.to_be_bytes(), &(!length).to_be_bytes(), sealed.as_slice()].concat())
}

fn header(vault_id: &[u8; 16], salt: &[u8; 32]) -> [u8; HEADER] {
    let mut header = [0; HEADER];
    let parts = [MAGIC.as_slice(), &FORMAT.to_be_bytes(), &FORMAT.to_be_bytes(), vault_id, salt];
    for (to, from) in header.iter_mut().zip(parts.concat()) {
        *to = from;
    }
    header
}

/// Associated data of a record: this file, and the record's place in it.
fn bound(header: &[u8; HEADER], count: u64) -> Vec<u8> {
    [header.as_slice(), &count.to_be_bytes()].concat()
}

fn file_key(state_key: &Key32, salt: &[u8; 32]) -> Key32 {
    crypto::derive(state_key.as_slice(), salt, "claviger/v1/state")
}
