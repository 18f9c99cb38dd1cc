//! A file on its way to another text: lines that go, lines that come, and every other byte as it was.

use crate::aws::profile::{Document, Entry, Role, Section, SectionKind};
use sha2::{Digest, Sha256};
use std::collections::HashMap;
use std::ops::Range;
use zeroize::Zeroizing;

/// The profile that needs no word before its name.
const DEFAULT: &str = "default";

/// The first line of a profiles file that claviger made itself: with nothing else in it, the file goes again.
pub(super) const OWN_FIRST_LINE: &str =
    "# claviger's own profiles, in the language of ~/.aws/config. What stands here wins.\n";

/// The draft of one file. Rows are counted from 0; row 0 is line 1.
pub(super) struct Draft<'a> {
    pub(super) document: Document<'a>,
    pub(super) rows: Vec<Row<'a>>,
    top: Vec<Fresh>,
    mark: &'a str,
    /// The file's last line has an ending, and keeps having one; else it has none, and keeps having none.
    ends: bool,
    /// What ends a line that is new.
    pub(super) ending: &'a str,
    /// There is no such file yet.
    pub(super) absent: bool,
    role: Role,
    sections: HashMap<&'a str, Vec<usize>>,
}

/// A line of the file.
pub(super) struct Row<'a> {
    pub(super) text: &'a str,
    pub(super) ending: Fresh,
    pub(super) gone: bool,
    /// New lines that follow it.
    pub(super) below: Vec<Fresh>,
}

/// A new line with its ending; of a row the ending alone.
pub(super) type Fresh = Box<str>;

impl<'a> Draft<'a> {
    /// Of a file as it is; None where there is none.
    pub(super) fn new(role: Role, text: Option<&'a str>) -> Self {
        let absent = text.is_none();
        let text = text.unwrap_or(if role == Role::Own { OWN_FIRST_LINE } else { "" });
        let document = Document::parse(text);
        let mark = text.strip_suffix(text.strip_prefix('\u{feff}').unwrap_or(text)).unwrap_or_default();
        let ends = document.lines.last().is_none_or(|line| !line.ending.is_empty());
        let ending = document.lines.first().map(|line| line.ending).filter(|ending| !ending.is_empty()).unwrap_or("\n");
        let rows = document.lines.iter().map(|line| Row {
            text: line.text,
            ending: if line.ending.is_empty() { ending } else { line.ending }.into(),
            gone: false,
            below: Vec::new(),
        });
        let rows = rows.collect();
        let mut sections: HashMap<&str, Vec<usize>> = HashMap::new();
        for (index, section) in document.sections.iter().enumerate().filter(|(_, section)| is_profile(section, role)) {
            sections.entry(section.name).or_default().push(index);
        }
        Self { document, rows, top: Vec::new(), mark, ends, ending, absent, role, sections }
    }

    pub(super) fn role(&self) -> Role {
        self.role
    }

    /// The sections that some reader takes for this profile, in order.
    pub(super) fn sections_of(&self, profile: &str) -> Vec<usize> {
        self.sections.get(profile).cloned().unwrap_or_default()
    }

    pub(super) fn section(&self, index: usize) -> Option<&Section<'a>> {
        self.document.sections.get(index)
    }

    /// The row of a section's name, and those below it.
    pub(super) fn rows_of(&self, section: usize) -> (usize, Range<usize>) {
        let row = |index: usize| self.section(index).map(|section| section.line.saturating_sub(1));
        let header = row(section).unwrap_or(self.rows.len());
        (header, header.saturating_add(1)..row(section.saturating_add(1)).unwrap_or(self.rows.len()))
    }

    /// Takes lines away.
    pub(super) fn remove(&mut self, rows: Range<usize>) {
        self.rows.get_mut(rows).into_iter().flatten().for_each(|row| row.gone = true);
    }

    /// Puts lines, each with its ending, below a row.
    pub(super) fn insert_below(&mut self, row: usize, lines: impl IntoIterator<Item = Fresh>) {
        if let Some(row) = self.rows.get_mut(row) {
            row.below.extend(lines);
        }
    }

    /// Puts lines before everything but the first line of a file that claviger made.
    pub(super) fn insert_at_top(&mut self, lines: impl IntoIterator<Item = Fresh>) {
        match self.rows.first_mut().filter(|row| row.text == OWN_FIRST_LINE.trim_end()) {
            Some(first) => first.below.extend(lines),
            None => self.top.extend(lines),
        }
    }

    /// Takes the empty line away that new lines at the top end with, where nothing follows it.
    pub(super) fn trim_top(&mut self) {
        if self.rows.is_empty() {
            self.top.pop_if(|line| line.trim().is_empty());
        }
    }

    /// The whitespace that a new key of a section stands behind, so that no line below continues it.
    pub(super) fn indent_of(&self, section: usize) -> &'a str {
        let first = self.section(section).and_then(|section| section.entries.first()).map(|entry| entry.line);
        // Below a section's name a further name may stand further in: below a key it would continue that.
        let next = || self.section(section.saturating_add(1)).map(|next| next.line);
        let line = first.or_else(next).and_then(|line| self.rows.get(line.saturating_sub(1)));
        line.map_or("", |row| indent(row.text))
    }

    /// The whitespace that a section at the top stands behind, for the same reason.
    pub(super) fn indent_of_top(&self) -> &'a str {
        let first = self.section(0).and_then(|section| self.rows.get(section.line.saturating_sub(1)));
        first.map_or("", |row| indent(row.text))
    }

    /// Whether the last row of the file belongs to these, and is not ended.
    pub(super) fn is_open_end(&self, rows: &Range<usize>) -> bool {
        !self.ends && rows.end == self.rows.len()
    }

    /// Leaves the last line without an ending again, where these rows are the last.
    pub(super) fn open_end(&mut self, rows: &Range<usize>) {
        if rows.end == self.rows.len() {
            self.ends = false;
        }
    }

    /// Whether anything changes.
    pub(super) fn is_changed(&self) -> bool {
        !self.top.is_empty() || self.rows.iter().any(|row| row.gone || !row.below.is_empty())
    }

    /// The lines with what becomes of them, in order.
    pub(super) fn lines(&self) -> impl Iterator<Item = (Fate, &str, &str)> {
        self.top.iter().map(|line| split(line)).map(|(text, ending)| (Fate::Comes, text, ending)).chain(
            self.rows.iter().flat_map(|row| {
                let fate = if row.gone { Fate::Goes } else { Fate::Stays };
                let below = row.below.iter().map(|line| split(line)).map(|(text, end)| (Fate::Comes, text, end));
                std::iter::once((fate, row.text, &*row.ending)).chain(below)
            }),
        )
    }

    /// Whether the new text is what a file that claviger made begins as.
    pub(super) fn is_as_made(&self) -> bool {
        let text = self.text();
        match self.role {
            Role::Own => *text == OWN_FIRST_LINE,
            Role::Config | Role::Credentials => text.is_empty(),
        }
    }

    /// Whether the new text has the lines meant: a line that ends with CR and comes to stand before an empty one that
    /// ends with LF would be one line with it.
    pub(super) fn is_sound(&self) -> bool {
        let kept = self.lines().filter(|(fate, ..)| *fate != Fate::Goes).count();
        Document::parse(&self.text()).lines.len() == kept
    }

    /// The new text.
    pub(super) fn text(&self) -> Zeroizing<String> {
        let kept = || self.lines().filter(|(fate, ..)| *fate != Fate::Goes);
        let length = kept().map(|(_, text, ending)| text.len() + ending.len()).sum::<usize>();
        // The full size at once: a string that grows leaves pieces of secrets behind.
        let mut out = Zeroizing::new(String::with_capacity(self.mark.len() + length));
        out.push_str(self.mark);
        let (mut last, mut last_is_empty) = ("", false);
        for (_, text, ending) in kept() {
            out.push_str(last);
            out.push_str(text);
            last_is_empty = text.is_empty();
            last = ending;
        }
        // An empty last line without its ending would not be there at all.
        if self.ends || last_is_empty {
            out.push_str(last);
        }
        out
    }
}

/// What becomes of a line.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Fate {
    Comes,
    Goes,
    Stays,
}

/// The rows of an entry, its continuations included.
pub(super) fn rows_of(entry: &Entry<'_>) -> Range<usize> {
    let last = entry.continuations.last().map_or(entry.line, |more| more.line);
    entry.line.saturating_sub(1)..last
}

/// The whitespace a line begins with.
pub(super) fn indent(text: &str) -> &str {
    text.strip_suffix(text.trim_start()).unwrap_or_default()
}

/// A digest of lines without their endings, in 16 hexadecimal digits: whether somebody has edited them.
pub(super) fn digest<'a>(lines: impl IntoIterator<Item = &'a str>) -> String {
    let mut hash = Sha256::new();
    for line in lines {
        hash.update(line.as_bytes());
        hash.update(b"\n");
    }
    let mut text = data_encoding::HEXLOWER.encode(&hash.finalize());
    text.truncate(16);
    text
}

/// Whether a section line is read as a profile's in a file of this role, by the SDKs or by botocore.
fn is_profile(section: &Section<'_>, role: Role) -> bool {
    let one_word = section.quoted || !section.name.contains(' ');
    match (section.kind, role) {
        (SectionKind::Profile, Role::Config | Role::Own) => one_word,
        (SectionKind::Bare, Role::Config) => section.name == DEFAULT,
        (SectionKind::Bare, Role::Own) => one_word && section.name != "DEFAULT",
        (SectionKind::Bare, Role::Credentials) => section.name != "DEFAULT",
        _ => false,
    }
}

fn split(line: &str) -> (&str, &str) {
    line.split_at(line.trim_end_matches(['\r', '\n']).len())
}
