//! What an adopted profile's lines were, kept as comments below its settings in claviger's own file, so that a
//! release can put every byte back.

use super::draft::{Draft, digest};
use serde::{Deserialize, Serialize};
use std::collections::HashMap;
use std::ops::Range;

/// What each line of a record begins with.
const PREFIX: &str = "# claviger adopted: ";

/// Characters of a record on one line: the parser takes lines of 64 KiB.
const LINE_CHARACTERS: usize = 8 * 1024;

/// What adoption took out of the AWS files for one profile.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Record {
    /// The digest of the settings above it: whether somebody has edited them since.
    pub(super) settings: String,
    /// The config file was made for an adopted profile, and goes with the last one.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub(super) made_file: bool,
    pub(super) pieces: Vec<Piece>,
}

/// What it took out of one section.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Piece {
    pub(super) file: Place,
    /// Which of the profile's sections in the file, from 0.
    pub(super) section: usize,
    /// The section itself is new.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub(super) made: bool,
    /// The section had no part in the profile: `[default]` beside `[profile default]`.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub(super) idle: bool,
    /// The digest of the section up to its last key as it was, and as adoption left it without claviger's line.
    pub(super) before: String,
    pub(super) after: String,
    /// The ending of the line that came to be the last of a file whose last line has none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) last_ending: Option<String>,
    pub(super) chunks: Vec<Chunk>,
}

/// Lines that stood together.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Chunk {
    /// Lines between the section's name and the first of them.
    pub(super) at: usize,
    /// Each with its ending.
    pub(super) lines: Vec<String>,
}

/// A file that a profile is taken out of.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Place {
    Config,
    Credentials,
}

/// A record as it stands in claviger's own file.
pub(super) struct Kept {
    pub(super) record: Record,
    /// The section it stands in.
    pub(super) section: usize,
    /// Its rows.
    pub(super) rows: Range<usize>,
}

impl Kept {
    /// Whether the settings above it are as adoption wrote them.
    pub(super) fn is_as_written(&self, own: &Draft<'_>) -> bool {
        let (header, _) = own.rows_of(self.section);
        let settings = own.rows.get(header.saturating_add(1)..self.rows.start).unwrap_or_default();
        digest(settings.iter().map(|row| row.text)) == self.record.settings
    }
}

/// The record as comment lines.
pub(super) fn write(record: &Record) -> Vec<String> {
    let text = serde_json::to_string(record).unwrap_or_default();
    let characters: Vec<char> = text.chars().collect();
    characters.chunks(LINE_CHARACTERS).map(|part| format!("{PREFIX}{}\n", part.iter().collect::<String>())).collect()
}

/// Whether a line is part of a record.
pub(super) fn is_part(line: &str) -> bool {
    line.starts_with(PREFIX)
}

/// All records of claviger's own file, by profile. One that cannot be read is passed over: its profile then counts as
/// written by hand.
pub(super) fn read(own: &Draft<'_>) -> HashMap<String, Kept> {
    let mut found = HashMap::new();
    for (section, name) in own.document.sections.iter().enumerate().map(|(index, section)| (index, section.name)) {
        let (_, rows) = own.rows_of(section);
        let lines = own.rows.get(rows.clone()).unwrap_or_default();
        let Some(first) = lines.iter().position(|row| row.text.starts_with(PREFIX)) else { continue };
        let part = lines.iter().skip(first).map_while(|row| row.text.strip_prefix(PREFIX));
        let count = part.clone().count();
        let text: String = part.collect();
        if let Ok(record) = serde_json::from_str(&text) {
            let first = rows.start.saturating_add(first);
            found.insert(name.to_owned(), Kept { record, section, rows: first..first.saturating_add(count) });
        }
    }
    found
}
