//! Copies of earlier vaults: the one before (`vault.prev`) and the last of each of seven days (`vault.2026-01-31`).
//! They are vaults themselves: moved back by hand, they open.

use super::envelope::{Envelope, FILE_LIMIT};
use super::folder::{MAIN, VaultFolder};
use super::header::Header;
use super::save::TEMP;
use crate::world::WallTime;
use aws_smithy_types::date_time::{DateTime, Format};
use std::io;

const PREVIOUS: &str = "vault.prev";
const PREVIOUS_TEMP: &str = "vault.prev.new";

/// How many days of copies are kept.
const DAILIES: usize = 7;

/// Keeps the vault that is about to be replaced: as the previous one, and, where it was saved on an earlier day than
/// today (UTC), as the last of that day.
pub(super) fn keep(folder: &VaultFolder, standing: &[u8], now: WallTime) -> io::Result<()> {
    keep_as(folder, standing, PREVIOUS)?;
    let saved = Envelope::split(standing).ok().and_then(|envelope| date(envelope.header.saved));
    match saved {
        Some(saved) if date(now).is_none_or(|today| today != saved) => {
            keep_as(folder, standing, &format!("{MAIN}.{saved}"))
        }
        _ => Ok(()),
    }
}

fn keep_as(folder: &VaultFolder, standing: &[u8], name: &str) -> io::Result<()> {
    let disk = &folder.world.disk;
    let temp = folder.path(PREVIOUS_TEMP);
    disk.remove(&temp)?;
    // Not every file system has hard links.
    if disk.link(&folder.path(MAIN), &temp).is_err() {
        folder.write_new(&temp, standing)?;
    }
    disk.rename(&temp, &folder.path(name))?;
    // Two names of one file: POSIX then makes the rename do nothing, and the first name stays.
    disk.remove(&temp)
}

/// Removes dailies beyond the seven newest, best effort. Days to come are the work of a wrong clock: they go first.
pub(super) fn prune(folder: &VaultFolder, now: WallTime) {
    let today = date(now).unwrap_or_default();
    let mut days: Vec<String> = copies(folder).unwrap_or_default().into_iter().filter_map(|name| day(&name)).collect();
    days.sort_by_key(|day| (*day <= today, day.clone()));
    let beyond = days.len().saturating_sub(DAILIES);
    for day in days.into_iter().take(beyond) {
        drop(folder.world.disk.remove(&folder.path(&format!("{MAIN}.{day}"))));
    }
}

/// Removes every copy: they open with a slot that was removed.
pub(super) fn purge(folder: &VaultFolder) -> io::Result<()> {
    for name in copies(folder)? {
        folder.world.disk.remove(&folder.path(&name))?;
    }
    folder.world.disk.sync_folder(&folder.folder)
}

/// After a crash: removes unfinished files, and finishes a [`purge`] that the vault's header says was begun. Best
/// effort; the next open does it again.
pub(super) fn clear_leftovers(folder: &VaultFolder, header: &Header) {
    let disk = &folder.world.disk;
    drop(disk.remove(&folder.path(TEMP)));
    drop(disk.remove(&folder.path(PREVIOUS_TEMP)));
    // No slot has ever been removed.
    if header.oldest_copy <= 1 {
        return;
    }
    for name in copies(folder).unwrap_or_default() {
        let path = folder.path(&name);
        let Ok(Some(copy)) = disk.read(&path, FILE_LIMIT) else { continue };
        let stale = Envelope::split(&copy)
            .is_ok_and(|copy| copy.header.vault_id == header.vault_id && copy.header.generation < header.oldest_copy);
        if stale {
            drop(disk.remove(&path));
        }
    }
}

/// The names of the copies there are.
fn copies(folder: &VaultFolder) -> io::Result<Vec<String>> {
    let names = folder.world.disk.names(&folder.folder)?;
    let copy = |name: &String| name == PREVIOUS || name == PREVIOUS_TEMP || day(name).is_some();
    Ok(names.into_iter().filter(copy).collect())
}

/// The day that a daily's name says.
fn day(name: &str) -> Option<String> {
    let day = name.strip_prefix(MAIN)?.strip_prefix('.')?;
    let shaped = day.len() == 10
        && day.char_indices().all(|(at, c)| if at == 4 || at == 7 { c == '-' } else { c.is_ascii_digit() });
    shaped.then(|| day.to_owned())
}

/// The date in UTC; None beyond the years that RFC 3339 writes.
fn date(time: WallTime) -> Option<String> {
    let text = DateTime::from_secs(time.seconds()).fmt(Format::DateTime).ok()?;
    text.get(..10).map(str::to_owned)
}
