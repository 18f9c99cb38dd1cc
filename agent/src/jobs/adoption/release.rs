//! One profile put back into the AWS files.
//!
//! A section that nobody has edited since gets its lines back byte for byte. In one that somebody has, the settings
//! come where claviger's line stands, each written plainly.

use super::adopt::{digest_without, matching, own_settings, remove_block, stub_rows};
use super::draft::{Draft, Fresh, indent, rows_of};
use super::record::{Kept, Piece, Place};
use super::{Drafts, keys};
use crate::aws::profile::Document;

/// Puts a profile back.
pub(super) fn release(drafts: &mut Drafts<'_>, profile: &str, kept: &Kept) {
    let as_written = kept.is_as_written(&drafts.own);
    let settings = own_settings(&drafts.own, kept);
    let mut left: Vec<(String, Vec<String>)> = Vec::new();
    let mut stubs = Vec::new();
    for place in [Place::Config, Place::Credentials] {
        let pieces: Vec<&Piece> = kept.record.pieces.iter().filter(|piece| piece.file == place).collect();
        let draft = drafts.place(place);
        let sections = draft.sections_of(profile);
        for piece in pieces {
            let section = sections.get(piece.section).copied();
            match section {
                // An interrupted adoption or release: nothing was taken, or all is back.
                Some(section) if as_written && digest_without(draft, section, &[]) == piece.before && !piece.made => {}
                Some(section)
                    if as_written
                        && matching(draft, section, profile, &kept.record, place, piece.section).is_some() =>
                {
                    put_back(draft, section, profile, piece);
                }
                None if piece.made => {}
                _ => {
                    let rows = section.map(|section| stub_rows(draft, section, profile)).unwrap_or_default();
                    stubs.extend(rows.into_iter().filter_map(|row| Some((section?, row))));
                    left.extend(piece.chunks.iter().filter(|_| !piece.idle).flat_map(|chunk| entries(&chunk.lines)));
                }
            }
        }
    }
    if !as_written {
        left = settings;
    }
    write_plainly(&mut drafts.config, profile, &stubs, left);
    remove_block(&mut drafts.own, kept);
}

/// Puts the lines of a section back where they stood.
fn put_back(draft: &mut Draft<'_>, section: usize, profile: &str, piece: &Piece) {
    let (header, rows) = draft.rows_of(section);
    for row in stub_rows(draft, section, profile) {
        draft.remove(row..row.saturating_add(1));
    }
    if piece.made {
        let stays = |row: &usize| draft.rows.get(*row).is_some_and(|row| !row.gone);
        let entries = draft.section(section).into_iter().flat_map(|section| &section.entries);
        if !entries.flat_map(rows_of).any(|row| stays(&row)) {
            // Comments below it are of the file that it was put on top of; the empty line between them came with it.
            let blank = rows.clone().find(stays);
            let blank = blank.filter(|row| draft.rows.get(*row).is_some_and(|row| row.text.trim().is_empty()));
            draft.remove(header..header.saturating_add(1));
            blank.into_iter().for_each(|row| draft.remove(row..row.saturating_add(1)));
        }
        return;
    }
    let kept: Vec<usize> = rows.clone().filter(|row| draft.rows.get(*row).is_some_and(|row| !row.gone)).collect();
    if let Some(ending) = &piece.last_ending
        && let Some(row) = draft.rows.get_mut(kept.last().copied().unwrap_or(header))
    {
        row.ending = ending.as_str().into();
        draft.open_end(&rows);
    }
    // Lines are counted as they stood: those that stay, and those put back before.
    let mut before = 0;
    for chunk in &piece.chunks {
        let stays = chunk.at.saturating_sub(before);
        let row = stays.checked_sub(1).and_then(|index| kept.get(index).or(kept.last())).copied().unwrap_or(header);
        draft.insert_below(row, chunk.lines.iter().map(|line| Fresh::from(line.as_str())));
        before = before.saturating_add(chunk.lines.len());
    }
}

/// Writes settings into the first section of the config file, where claviger's line stands.
fn write_plainly(draft: &mut Draft<'_>, profile: &str, stubs: &[(usize, usize)], settings: Vec<(String, Vec<String>)>) {
    let mut wanted: Vec<(String, Vec<String>)> = Vec::new();
    for (key, lines) in settings {
        wanted.retain(|(known, _)| *known != key);
        wanted.push((key, lines));
    }
    let section = stubs.first().map(|(section, _)| *section).or_else(|| draft.sections_of(profile).first().copied());
    let at = stubs.first().map(|(_, row)| *row);
    for (_, row) in stubs {
        draft.remove(*row..row.saturating_add(1));
    }
    if wanted.is_empty() {
        return;
    }
    let Some(section) = section else {
        let (ending, indent) = (draft.ending, draft.indent_of_top());
        let header = format!("{indent}{}{ending}", keys::header(profile, true));
        let lines = wanted.into_iter().flat_map(|(_, lines)| lines).map(|line| format!("{indent}{line}{ending}"));
        let lines: Vec<Fresh> =
            std::iter::once(header).chain(lines).chain([ending.to_owned()]).map(Fresh::from).collect();
        return draft.insert_at_top(lines);
    };
    let (header, _) = draft.rows_of(section);
    let same = draft.section(section).into_iter().flat_map(|section| &section.entries);
    let same: Vec<_> = same.filter(|entry| wanted.iter().any(|(key, _)| *key == entry.key)).map(rows_of).collect();
    same.into_iter().for_each(|rows| draft.remove(rows));
    let indentation = at.and_then(|row| draft.rows.get(row)).map(|row| indent(row.text));
    let indentation = indentation.unwrap_or(draft.indent_of(section)).to_owned();
    let row = at.unwrap_or(header);
    let ending = draft.rows.get(row).map(|row| row.ending.to_string()).unwrap_or_default();
    let lines = wanted.into_iter().flat_map(|(_, lines)| lines).map(|line| format!("{indentation}{line}{ending}"));
    let lines: Vec<Fresh> = lines.map(Fresh::from).collect();
    draft.insert_below(row, lines);
}

/// The settings in lines that were taken out, each written plainly.
fn entries(lines: &[String]) -> Vec<(String, Vec<String>)> {
    let text = format!("[profile x]\n{}", lines.concat());
    let document = Document::parse(&text);
    let entries = document.sections.iter().flat_map(|section| &section.entries);
    let plain = |rows: std::ops::Range<usize>| {
        let lines = document.lines.get(rows).into_iter().flatten().map(|line| line.text);
        super::adopt::plain_lines(lines)
    };
    entries.map(|entry| (entry.key.to_string(), plain(rows_of(entry)))).collect()
}
