//! One profile taken out of the AWS files, into claviger's own.

use super::draft::{Draft, Fresh, digest, indent, rows_of};
use super::record::{Chunk, Kept, Piece, Place, Record};
use super::{Drafts, keys, record};
use crate::aws::profile::{Role, SectionKind, is_own_stub};
use std::ops::Range;

/// What is taken out, and what goes in its place.
pub(super) struct Taking<'a> {
    pub(super) profile: &'a str,
    /// claviger's own line.
    pub(super) stub: &'a str,
    /// The name of the access key, where the profile must say it.
    pub(super) access_key: Option<&'a str>,
    /// What an earlier adoption left.
    pub(super) kept: Option<&'a Kept>,
}

/// A setting on its way into claviger's own file: its key, and its lines without indentation.
type Setting = (String, Vec<String>);

/// Takes a profile out; false where nothing is left to do. Keys in plain text go: they must be in the vault before
/// anything is written.
pub(super) fn adopt(drafts: &mut Drafts<'_>, taking: &Taking<'_>) -> bool {
    let mut settings: Vec<Setting> = Vec::new();
    let mut pieces = Vec::new();
    let (mut fresh, mut removed) = (false, false);
    for place in [Place::Config, Place::Credentials] {
        let draft = drafts.place(place);
        let sections = draft.sections_of(taking.profile);
        for (number, section) in sections.iter().copied().enumerate() {
            removed |= remove_plain(draft, section);
            let stub =
                (place == Place::Config && is_first_of_its_kind(draft, &sections, section)).then_some(taking.stub);
            let known =
                taking.kept.and_then(|kept| matching(draft, section, taking.profile, &kept.record, place, number));
            let idle = is_idle(draft, &sections, section);
            let piece = match known {
                Some(piece) => {
                    fresh |= renew_stub(draft, section, taking);
                    Some(piece.clone())
                }
                None => {
                    let (piece, taken) = take(draft, section, taking, stub, (place, number, idle));
                    fresh |= piece.is_some();
                    if !idle {
                        settings.extend(taken);
                    }
                    piece
                }
            };
            if piece.is_none() && place == Place::Credentials {
                drop_if_empty(draft, section);
            }
            pieces.extend(piece);
        }
        if place == Place::Config && sections.is_empty() {
            fresh = true;
            pieces.push(make_section(drafts.place(place), taking));
        }
    }
    // Keys in claviger's own file are as plain as anywhere.
    for section in drafts.own.sections_of(taking.profile) {
        removed |= remove_plain(&mut drafts.own, section);
    }
    if !fresh && !removed && taking.access_key.is_none() {
        return false;
    }
    if fresh {
        write_own(drafts, taking, settings, pieces);
    }
    if let Some(name) = taking.access_key {
        let header = keys::header(taking.profile, drafts.default_with_word);
        let lines = [format!("{header}\n"), format!("claviger_access_key = {name}\n"), "\n".to_owned()];
        drafts.own_top.extend(lines.map(Fresh::from));
    }
    true
}

/// The line of the first key in plain text in a file.
pub(super) fn plain_at(draft: &Draft<'_>, profile: &str) -> Option<usize> {
    let sections = draft.sections_of(profile);
    let entries =
        sections.into_iter().filter_map(|section| draft.section(section)).flat_map(|section| &section.entries);
    entries.filter(|entry| keys::is_plain(&entry.key)).map(|entry| entry.line).next()
}

/// Takes keys in plain text away.
fn remove_plain(draft: &mut Draft<'_>, section: usize) -> bool {
    let entries = draft.section(section).into_iter().flat_map(|section| &section.entries);
    let found: Vec<Range<usize>> = entries.filter(|entry| keys::is_plain(&entry.key)).map(rows_of).collect();
    let any = !found.is_empty();
    found.into_iter().for_each(|rows| draft.remove(rows));
    any
}

/// Takes the deciding settings of a section out and puts claviger's line in. None where nothing is to be done.
fn take(
    draft: &mut Draft<'_>,
    section: usize,
    taking: &Taking<'_>,
    stub: Option<&str>,
    (file, number, idle): (Place, usize, bool),
) -> (Option<Piece>, Vec<Setting>) {
    let (header, rows) = draft.rows_of(section);
    let indentation = draft.indent_of(section).to_owned();
    // (rows, whether it goes, key, whether it is claviger's own line)
    let entries: Vec<(Range<usize>, bool, String, bool)> = draft
        .section(section)
        .into_iter()
        .flat_map(|section| &section.entries)
        .filter(|entry| !keys::is_plain(&entry.key))
        .map(|entry| {
            (
                rows_of(entry),
                keys::decides(&entry.key),
                entry.key.to_string(),
                is_stub(&entry.key, entry.value, taking.profile),
            )
        })
        .collect();
    let going = || entries.iter().filter(|(_, goes, ..)| *goes);
    let only_stub = stub.is_some_and(|stub| {
        let mut going = going();
        let text =
            |(rows, ..): &(Range<usize>, bool, String, bool)| draft.rows.get(rows.start).map(|row| row.text.trim());
        going.next().is_some_and(|entry| entry.0.len() == 1 && text(entry) == Some(stub)) && going.next().is_none()
    });
    if only_stub || (stub.is_none() && going().next().is_none()) {
        return (None, Vec::new());
    }
    let end = entries.last().map_or(rows.start, |(rows, ..)| rows.end);
    let original: Vec<usize> =
        (rows.start..rows.end).filter(|row| draft.rows.get(*row).is_some_and(|row| !row.gone)).collect();
    let text = |draft: &Draft<'_>, rows: &mut dyn Iterator<Item = usize>| {
        digest(rows.filter_map(|row| draft.rows.get(row)).map(|row| row.text))
    };
    let before = text(draft, &mut original.iter().copied().filter(|row| *row < end));
    let mut chunks: Vec<Chunk> = Vec::new();
    let mut settings = Vec::new();
    let mut first = None;
    let mut next = None;
    for (rows, _, key, is_stub) in going() {
        first = first.or(Some(rows.clone()));
        let lines: Vec<String> = draft
            .rows
            .get(rows.clone())
            .into_iter()
            .flatten()
            .map(|row| format!("{}{}", row.text, row.ending))
            .collect();
        if !is_stub {
            let texts = draft.rows.get(rows.clone()).into_iter().flatten().map(|row| row.text);
            settings.push((key.clone(), plain_lines(texts)));
        } else if taking.kept.is_some() {
            // Left by an earlier adoption, in a section that was edited since.
            draft.remove(rows.clone());
            continue;
        }
        match chunks.last_mut().filter(|_| next == Some(rows.start)) {
            Some(chunk) => chunk.lines.extend(lines),
            None => chunks.push(Chunk { at: original.iter().position(|row| *row == rows.start).unwrap_or(0), lines }),
        }
        next = Some(rows.end);
        draft.remove(rows.clone());
    }
    let open_end = draft.is_open_end(&rows)
        && original.last().is_some_and(|last| draft.rows.get(*last).is_some_and(|row| row.gone));
    let kept_rows: Vec<usize> =
        original.iter().copied().filter(|row| draft.rows.get(*row).is_some_and(|row| !row.gone)).collect();
    let (at, mut after_end) = (first.map(|rows| rows.start), header);
    after_end = entries
        .iter()
        .filter(|(rows, ..)| draft.rows.get(rows.start).is_some_and(|row| !row.gone))
        .map(|(rows, ..)| rows.end)
        .max()
        .unwrap_or(after_end.saturating_add(1));
    if let Some(stub) = stub {
        let row = at.unwrap_or(header);
        let indentation = at.and_then(|row| draft.rows.get(row)).map_or(indentation, |row| indent(row.text).to_owned());
        let ending = draft.rows.get(row).map(|row| row.ending.to_string()).unwrap_or_default();
        draft.insert_below(row, [format!("{indentation}{stub}{ending}").into()]);
        after_end = after_end.max(row);
    }
    let after = text(draft, &mut kept_rows.iter().copied().filter(|row| *row < after_end));
    let last_ending = kept_rows
        .last()
        .copied()
        .or(Some(header))
        .filter(|last| open_end && !(stub.is_some() && at.unwrap_or(header) > *last))
        .and_then(|last| draft.rows.get(last))
        .map(|row| row.ending.to_string());
    let piece = Piece { file, section: number, made: false, idle, before, after, last_ending, chunks };
    (Some(piece), settings)
}

/// A new section with claviger's line alone, at the top: what follows does not belong to it.
fn make_section(draft: &mut Draft<'_>, taking: &Taking<'_>) -> Piece {
    let with_word = taking.profile != "default";
    let header = keys::header(taking.profile, with_word);
    let (ending, indent) = (draft.ending, draft.indent_of_top());
    let lines = [format!("{indent}{header}{ending}"), format!("{indent}{}{ending}", taking.stub), ending.to_owned()];
    draft.insert_at_top(lines.map(Fresh::from));
    let nothing = digest([]);
    let (before, after) = (nothing.clone(), nothing);
    Piece {
        file: Place::Config,
        section: 0,
        made: true,
        idle: false,
        before,
        after,
        last_ending: None,
        chunks: Vec::new(),
    }
}

/// Writes the settings and the record into claviger's own file.
fn write_own(drafts: &mut Drafts<'_>, taking: &Taking<'_>, taken: Vec<Setting>, pieces: Vec<Piece>) {
    let mut settings: Vec<Setting> = Vec::new();
    // What is there already wins, as it did until now.
    let earlier = taking.kept.map(|kept| own_settings(&drafts.own, kept)).unwrap_or_default();
    for (key, lines) in taken.into_iter().chain(earlier) {
        settings.retain(|(known, _)| *known != key);
        settings.push((key, lines));
    }
    if let Some(kept) = taking.kept {
        remove_block(&mut drafts.own, kept);
    }
    let made_file = drafts.config.absent || drafts.made_file;
    let lines: Vec<String> = settings.into_iter().flat_map(|(_, lines)| lines).collect();
    let record = Record { settings: digest(lines.iter().map(String::as_str)), made_file, pieces };
    let header = keys::header(taking.profile, drafts.default_with_word);
    drafts.own_top.push(format!("{header}\n").into());
    drafts.own_top.extend(lines.into_iter().map(|line| format!("{line}\n").into()));
    drafts.own_top.extend(record::write(&record).into_iter().map(Fresh::from));
    drafts.own_top.push("\n".into());
}

/// The settings above a record.
pub(super) fn own_settings(own: &Draft<'_>, kept: &Kept) -> Vec<Setting> {
    let entries = own.section(kept.section).into_iter().flat_map(|section| &section.entries);
    let entries = entries.filter(|entry| rows_of(entry).start < kept.rows.start);
    let lines = |rows: Range<usize>| plain_lines(own.rows.get(rows).into_iter().flatten().map(|row| row.text));
    entries.map(|entry| (entry.key.to_string(), lines(rows_of(entry)))).collect()
}

/// Takes settings and record away, and the section with them unless somebody has written below.
pub(super) fn remove_block(own: &mut Draft<'_>, kept: &Kept) {
    let (header, rows) = own.rows_of(kept.section);
    let below = own.section(kept.section).into_iter().flat_map(|section| &section.entries);
    let more = below.into_iter().any(|entry| rows_of(entry).start >= kept.rows.end);
    own.remove(header.saturating_add(usize::from(more))..kept.rows.end);
    let blank = own.rows.get(kept.rows.end).is_some_and(|row| row.text.is_empty()) && rows.contains(&kept.rows.end);
    if blank && !more {
        own.remove(kept.rows.end..kept.rows.end.saturating_add(1));
    }
}

/// The piece of an earlier adoption that a section still is as it was left by.
pub(super) fn matching<'r>(
    draft: &Draft<'_>,
    section: usize,
    profile: &str,
    record: &'r Record,
    place: Place,
    number: usize,
) -> Option<&'r Piece> {
    let piece = record.pieces.iter().find(|piece| piece.file == place && piece.section == number)?;
    let stubs = stub_rows(draft, section, profile);
    let has_stub = !stubs.is_empty() || !is_stubbed(draft, section, profile);
    (has_stub && digest_without(draft, section, &stubs) == piece.after).then_some(piece)
}

/// Whether this section is one that adoption puts claviger's line in.
fn is_stubbed(draft: &Draft<'_>, section: usize, profile: &str) -> bool {
    draft.role() == Role::Config && is_first_of_its_kind(draft, &draft.sections_of(profile), section)
}

/// The digest of a section up to its last key, without some of its rows.
pub(super) fn digest_without(draft: &Draft<'_>, section: usize, without: &[usize]) -> String {
    let (_, rows) = draft.rows_of(section);
    let entries = draft.section(section).into_iter().flat_map(|section| &section.entries);
    let mut entries = entries.filter(|entry| !keys::is_plain(&entry.key));
    let end = entries.next_back().map_or(rows.start, |entry| rows_of(entry).end);
    let kept = (rows.start..end).filter(|row| !without.contains(row)).filter_map(|row| draft.rows.get(row));
    digest(kept.filter(|row| !row.gone).map(|row| row.text))
}

/// The rows of claviger's own line for a profile.
pub(super) fn stub_rows(draft: &Draft<'_>, section: usize, profile: &str) -> Vec<usize> {
    let entries = draft.section(section).into_iter().flat_map(|section| &section.entries);
    entries.filter(|entry| is_stub(&entry.key, entry.value, profile)).flat_map(rows_of).collect()
}

/// Writes claviger's line anew where another program stands in it.
fn renew_stub(draft: &mut Draft<'_>, section: usize, taking: &Taking<'_>) -> bool {
    let stale = |row: &&usize| draft.rows.get(**row).is_some_and(|row| row.text.trim() != taking.stub);
    let rows = stub_rows(draft, section, taking.profile);
    let Some(row) = rows.iter().find(stale).copied() else { return false };
    let line = draft.rows.get(row).map(|row| format!("{}{}{}", indent(row.text), taking.stub, row.ending));
    draft.remove(row..row.saturating_add(1));
    draft.insert_below(row, line.map(Fresh::from));
    true
}

/// Takes a section away that held nothing but keys in plain text.
fn drop_if_empty(draft: &mut Draft<'_>, section: usize) {
    let (header, rows) = draft.rows_of(section);
    let empty = draft
        .rows
        .get(rows.clone())
        .into_iter()
        .flatten()
        .all(|row| (row.gone || row.text.trim().is_empty()) && row.below.is_empty());
    if empty && rows.clone().any(|row| draft.rows.get(row).is_some_and(|row| row.gone)) {
        draft.remove(header..rows.end);
    }
}

/// The first `[profile x]`, and the first `[default]` beside `[profile default]`: botocore reads the last of the two,
/// the SDKs the one with the word.
fn is_first_of_its_kind(draft: &Draft<'_>, sections: &[usize], section: usize) -> bool {
    let kind = |index: usize| draft.section(index).map(|section| section.kind);
    sections.iter().find(|other| kind(**other) == kind(section)) == Some(&section)
}

/// `[default]` beside `[profile default]`, which the SDKs do not read.
fn is_idle(draft: &Draft<'_>, sections: &[usize], section: usize) -> bool {
    let kind = |index: usize| draft.section(index).map(|section| section.kind);
    draft.role() == Role::Config
        && kind(section) == Some(SectionKind::Bare)
        && sections.iter().any(|other| kind(*other) == Some(SectionKind::Profile))
}

fn is_stub(key: &str, value: &str, profile: &str) -> bool {
    key == "credential_process" && is_own_stub(value).as_deref() == Some(profile)
}

/// The lines of an entry, the key's own without indentation and all others behind the same.
pub(super) fn plain_lines<'a>(texts: impl Iterator<Item = &'a str>) -> Vec<String> {
    let text = |(number, text): (usize, &str)| match text.trim() {
        "" => String::new(),
        text if number == 0 => text.to_owned(),
        text => format!("    {text}"),
    };
    texts.enumerate().map(text).collect()
}
