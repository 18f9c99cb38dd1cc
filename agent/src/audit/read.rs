//! Looking back: pages of the record, and the story of one id.

use super::chain::{Key, Line, Sealer};
use super::entry::Event;
use super::folder;
use crate::world::World;
use claviger::model::{AuditRecord, AuditVault};
use std::collections::BTreeSet;
use std::io;
use std::path::Path;

/// Most bytes of records in a page: an answer is one line of the protocol, and that has 256 KiB.
const PAGE_LIMIT: usize = 160 * 1024;
/// Most records in a story; more belong to one id only where a program asked again and again.
const STORY_LIMIT: usize = 24;

/// What stands in a line that has the vault's version.
const VERSION: &[u8] = b"\"vault\":{\"generation\":";

/// Which records are wanted.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Filter {
    /// From this time on, as a record writes times.
    pub since: Option<String>,
    /// About this profile.
    pub profile: Option<String>,
    /// Of this event, or of all whose name begins with this word.
    pub event: Option<String>,
}

impl Filter {
    fn wants(&self, record: &AuditRecord) -> bool {
        let profile = record.subject.as_ref().and_then(|subject| subject.profile.as_deref());
        let event = |wanted: &String| {
            record.event.strip_prefix(wanted.as_str()).is_some_and(|rest| rest.is_empty() || rest.starts_with('.'))
        };
        self.since.as_ref().is_none_or(|since| record.time.as_str() >= since.as_str())
            && self.profile.as_ref().is_none_or(|wanted| profile == Some(&claviger::model::Label(wanted).to_string()))
            && self.event.as_ref().is_none_or(event)
    }
}

/// Where a page begins: a file and a byte in it. `6:1024` as text.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Cursor {
    number: u64,
    at: usize,
}

impl std::fmt::Display for Cursor {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(out, "{}:{}", self.number, self.at)
    }
}

impl Cursor {
    /// Reads the text again.
    pub fn parse(text: &str) -> Option<Self> {
        let (number, at) = text.split_once(':')?;
        Some(Self { number: number.parse().ok()?, at: at.parse().ok()? })
    }
}

/// A page of records.
#[derive(Debug, Default)]
pub struct Page {
    /// The records. There may be none on a page that is not the last.
    pub records: Vec<AuditRecord>,
    /// Where the next page begins; None at the end.
    pub next: Option<Cursor>,
}

/// The page at the cursor: at most one file's records, and as many as fit in an answer.
pub(super) fn page(world: &World, folder: &Path, filter: &Filter, cursor: Option<Cursor>) -> io::Result<Page> {
    let numbers = folder::numbers(world, folder)?;
    let begin = cursor.map_or(0, |cursor| cursor.number);
    let Some(number) = numbers.iter().copied().find(|number| *number >= begin) else { return Ok(Page::default()) };
    let after = numbers.iter().copied().find(|later| *later > number);
    let bytes = folder::read(world, folder, number)?;
    let mut at = cursor.filter(|cursor| cursor.number == number).map_or(0, |cursor| cursor.at.min(bytes.len()));
    let mut page = Page::default();
    let mut size = 0;
    for line in folder::lines(bytes.get(at..).unwrap_or_default()).0 {
        if let Some(record) = Line::split(line).and_then(|line| line.record()).filter(|record| filter.wants(record)) {
            size += line.len();
            if size > PAGE_LIMIT {
                page.next = Some(Cursor { number, at });
                return Ok(page);
            }
            page.records.push(record);
        }
        at += line.len() + 1;
    }
    page.next = after.map(|number| Cursor { number, at: 0 });
    Ok(page)
}

/// What is known of an id.
#[derive(Debug, Default)]
pub struct Story {
    /// The records that name it, and the others of their acts, oldest first; hand-outs only the first and the last.
    pub records: Vec<AuditRecord>,
    /// How often credentials with this id were handed out.
    pub served: u64,
}

/// Gathers what names an access key id, a request id or a record's number.
pub(super) fn why(world: &World, folder: &Path, id: &str) -> io::Result<Story> {
    let seq: Option<u64> = id.parse().ok();
    let mut story = Story::default();
    let mut last_served = None;
    let mut acts = BTreeSet::new();
    each(world, folder, id, |record| {
        let aws = record.aws.as_ref();
        let named = [aws.and_then(|aws| aws.access_key_id.as_deref()), aws.and_then(|aws| aws.request_id.as_deref())];
        if seq != Some(record.seq) && !named.contains(&Some(id)) {
            return;
        }
        acts.extend(record.act.clone());
        let served = record.event == Event::SessionServed.as_str() && seq.is_none();
        story.served += u64::from(served);
        if served && story.served > 1 {
            last_served = Some(record);
        } else if story.records.len() < STORY_LIMIT {
            story.records.push(record);
        }
    })?;
    for act in acts.iter().take(STORY_LIMIT) {
        each(world, folder, act, |record| {
            let known = story.records.iter().any(|other| other.seq == record.seq);
            if record.act.as_ref() == Some(act) && !known {
                story.records.push(record);
            }
        })?;
    }
    story.records.extend(last_served);
    story.records.sort_by_key(|record| record.seq);
    Ok(story)
}

/// How far a look for the vault's version went, and what it found.
#[derive(Default)]
pub(super) struct Seen {
    number: u64,
    bytes: usize,
    pub(super) version: Option<AuditVault>,
}

/// The vault's version that was recorded last, under this key. Looks from the end back to where the look before ended;
/// the first one may have far to go, past all that happened since the last save.
pub(super) fn last_saved(world: &World, folder: &Path, key: &Key, before: Option<Seen>) -> Seen {
    let sealer = Sealer::new(key);
    let version = |line: &[u8]| {
        let wanted = line.windows(VERSION.len()).any(|part| part == VERSION);
        let line = Line::split(line).filter(|_| wanted)?;
        let saved = line.event == Event::VaultSaved.as_str() && sealer.holds(&line);
        line.record().filter(|_| saved)?.vault
    };
    let before = before.unwrap_or_default();
    let mut seen: Option<Seen> = None;
    let numbers = folder::numbers(world, folder).unwrap_or_default();
    for number in numbers.into_iter().rev().take_while(|number| *number >= before.number) {
        let Ok(bytes) = folder::read(world, folder, number) else { continue };
        let whole = bytes.len() - folder::lines(&bytes).1.len();
        let seen = seen.get_or_insert(Seen { number, bytes: whole, version: None });
        let known = if number == before.number { before.bytes } else { 0 };
        let lines: Vec<_> = folder::lines(bytes.get(known..).unwrap_or_default()).0.collect();
        seen.version = lines.into_iter().rev().find_map(version);
        if seen.version.is_some() {
            break;
        }
    }
    let Some(mut seen) = seen else { return before };
    seen.version = seen.version.or(before.version);
    seen
}

/// Shows each record whose line has this text in it.
fn each(world: &World, folder: &Path, text: &str, mut show: impl FnMut(AuditRecord)) -> io::Result<()> {
    let wanted = text.as_bytes();
    if wanted.is_empty() {
        return Ok(());
    }
    for number in folder::numbers(world, folder)? {
        let bytes = folder::read(world, folder, number)?;
        let lines = folder::lines(&bytes).0.filter(|line| line.windows(wanted.len()).any(|part| part == wanted));
        lines.filter_map(|line| Line::split(line)?.record()).for_each(&mut show);
    }
    Ok(())
}
