//! The files of a record: `audit-000001.jsonl` and on, each one going on where the one before ended.

use crate::world::World;
use std::io;
use std::path::{Path, PathBuf};

/// A file takes no more once it is this long: it can be read whole, and goes whole when it is old.
pub(super) const FILE_LIMIT: u64 = 8 * 1024 * 1024;

/// Longest file that is read: no file of ours grows past its limit by more than what a full disk keeps it from leaving.
const READ_LIMIT: u64 = 32 * 1024 * 1024;

/// The name of a file.
pub(super) fn name(number: u64) -> String {
    format!("audit-{number:06}.jsonl")
}

/// The number in a name.
fn number(name: &str) -> Option<u64> {
    let digits = name.strip_prefix("audit-")?.strip_suffix(".jsonl")?;
    digits.parse().ok().filter(|number| self::name(*number) == name)
}

pub(super) fn path(folder: &Path, number: u64) -> PathBuf {
    folder.join(name(number))
}

/// The numbers of the files there are, in order.
pub(super) fn numbers(world: &World, folder: &Path) -> io::Result<Vec<u64>> {
    let mut numbers: Vec<u64> = world.disk.names(folder)?.iter().filter_map(|name| number(name)).collect();
    numbers.sort_unstable();
    Ok(numbers)
}

/// The bytes of a file.
pub(super) fn read(world: &World, folder: &Path, number: u64) -> io::Result<Vec<u8>> {
    world.disk.read(&path(folder, number), READ_LIMIT)?.ok_or_else(|| io::ErrorKind::NotFound.into())
}

/// The lines of a file's bytes, without their newlines, and what stands behind the last newline.
pub(super) fn lines(bytes: &[u8]) -> (impl Iterator<Item = &[u8]>, &[u8]) {
    let whole = bytes.iter().rposition(|byte| *byte == b'\n').map_or(0, |at| at + 1);
    let (whole, torn) = bytes.split_at_checked(whole).unwrap_or((bytes, &[]));
    (whole.split_inclusive(|byte| *byte == b'\n').map(|line| line.strip_suffix(b"\n").unwrap_or(line)), torn)
}
