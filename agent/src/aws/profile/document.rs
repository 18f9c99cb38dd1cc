//! One file as it is written: every line kept, sections and entries found in it.

use std::borrow::Cow;
use std::fmt;

use claviger::secret::Secret;

use super::header::{Header, SectionKind};
use super::limits;
use super::problem::What;

/// A file of the AWS language. `to_string` gives back the text it was read from, byte for byte.
///
/// It borrows the text, so it makes no copy of the secrets in it, and it has no `Debug`.
pub struct Document<'a> {
    byte_order_mark: &'a str,
    /// All lines, in order; line number 1 is the first.
    pub lines: Vec<Line<'a>>,
    /// All sections, in order, duplicates apart.
    pub sections: Vec<Section<'a>>,
    /// What is wrong, by line number; at most [`limits::PROBLEMS`].
    pub problems: Vec<(usize, What)>,
}

/// One line. A line ends at LF, CR LF or a CR alone, as Python's parser has it.
#[derive(Clone, Copy)]
pub struct Line<'a> {
    /// Without the ending.
    pub text: &'a str,
    /// `"\n"`, `"\r\n"`, `"\r"`, or nothing at the end of the file.
    pub ending: &'a str,
}

/// One section and the entries below it.
pub struct Section<'a> {
    /// What it says it is.
    pub kind: SectionKind,
    /// The name, without the word before it and without quotes. Not checked: see `ProfileSet`.
    pub name: &'a str,
    /// The name stands in quotes, so it may hold spaces.
    pub quoted: bool,
    /// The line of the name, from 1.
    pub line: usize,
    /// In order, duplicates apart.
    pub entries: Vec<Entry<'a>>,
}

/// `key = value`, with the lines that continue it.
pub struct Entry<'a> {
    /// In lower case. Not checked: see `ProfileSet`.
    pub key: Cow<'a, str>,
    /// The value on the key's own line, without an inline comment.
    pub value: &'a str,
    /// The key's line, from 1.
    pub line: usize,
    /// The indented lines below it that are not comments.
    pub continuations: Vec<Continuation<'a>>,
}

/// An indented line below an entry: more of its value, or one of its sub-properties.
pub struct Continuation<'a> {
    /// Empty lines before it, which belong to the value; 0 between sub-properties.
    pub blank_lines: usize,
    /// Trimmed; a `#` in it is text.
    pub text: &'a str,
    /// From 1.
    pub line: usize,
}

impl<'a> Document<'a> {
    /// Reads a file. It never fails: what cannot be read is kept as a line and listed in `problems`.
    pub fn parse(text: &'a str) -> Self {
        let body = text.strip_prefix('\u{feff}').unwrap_or(text);
        let (byte_order_mark, _) = text.split_at(text.len().saturating_sub(body.len()));
        let mut reader = Reader::default();
        let lines: Vec<_> = Lines(body).collect();
        for (number, line) in (1..).zip(&lines) {
            reader.read(number, line.text);
        }
        Self { byte_order_mark, lines, sections: reader.sections, problems: reader.problems }
    }
}

impl fmt::Display for Document<'_> {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(self.byte_order_mark)?;
        self.lines.iter().try_for_each(|line| write!(out, "{}{}", line.text, line.ending))
    }
}

impl<'a> Entry<'a> {
    /// The whole value: lines joined by LF. One that holds sub-properties begins with LF, as in the SDKs.
    pub fn text(&self) -> Secret<String> {
        let length = self.continuations.iter().map(|more| more.blank_lines + 1 + more.text.len()).sum::<usize>();
        // The full size at once: a string that grows leaves pieces of a secret behind.
        let mut text = String::with_capacity(self.value.len() + length);
        text.push_str(self.value);
        for more in &self.continuations {
            text.extend(std::iter::repeat_n('\n', more.blank_lines + 1));
            text.push_str(more.text);
        }
        Secret::new(text)
    }

    /// The sub-properties, as key, value and line, in order and with their keys as written. Empty for a plain value.
    pub fn sub_entries(&self) -> impl Iterator<Item = (&'a str, &'a str, usize)> {
        let nested = if self.value.is_empty() { self.continuations.as_slice() } else { &[] };
        nested.iter().filter_map(|more| {
            let (key, value) = more.text.split_once('=')?;
            Some((key.trim(), value.trim(), more.line))
        })
    }
}

/// Cuts a text into lines.
struct Lines<'a>(&'a str);

impl<'a> Iterator for Lines<'a> {
    type Item = Line<'a>;

    fn next(&mut self) -> Option<Line<'a>> {
        if self.0.is_empty() {
            return None;
        }
        let (text, rest) = self.0.split_at(self.0.find(['\n', '\r']).unwrap_or(self.0.len()));
        let length = if rest.starts_with("\r\n") { 2 } else { rest.len().min(1) };
        let (ending, rest) = rest.split_at(length);
        self.0 = rest;
        Some(Line { text, ending })
    }
}

/// Reads line by line, by the rules of Python's `configparser`, which botocore uses.
#[derive(Default)]
struct Reader<'a> {
    sections: Vec<Section<'a>>,
    problems: Vec<(usize, What)>,
    place: Place,
    above: Above,
    /// Characters of whitespace before the last section or key: what stands further in continues it.
    indent: usize,
    /// Empty lines since the last line of the value.
    blank_lines: usize,
}

/// Where the next line falls.
#[derive(Default, PartialEq)]
enum Place {
    /// Before the first section.
    #[default]
    Start,
    /// In the last of `sections`.
    Section,
    /// Under a section line that could not be read: what follows is not reported a second time.
    Lost,
}

/// What an indented line would continue.
#[derive(Default, PartialEq)]
enum Above {
    #[default]
    Nothing,
    /// The last entry of the last section.
    Entry,
    /// A line already reported.
    Broken,
}

impl<'a> Reader<'a> {
    fn read(&mut self, number: usize, line: &'a str) {
        let refused = match line {
            _ if line.len() > limits::LINE_BYTES => Some(What::LineTooLong),
            _ if line.contains('\0') => Some(What::NulByte),
            _ => None,
        };
        if let Some(what) = refused {
            return self.refuse(number, line, what);
        }
        let text = line.trim();
        if text.is_empty() {
            self.blank_lines += 1;
            return;
        }
        if text.starts_with(['#', ';']) {
            return;
        }
        let indent = line.chars().take_while(|character| character.is_whitespace()).count();
        if self.above != Above::Nothing && indent > self.indent {
            return self.continuation(number, text);
        }
        self.indent = indent;
        match text.starts_with('[') {
            true => self.section(number, text),
            false => self.entry(number, text),
        }
        self.blank_lines = 0;
    }

    /// A line not looked into. If it may begin a section, what follows must not land in the one above.
    fn refuse(&mut self, number: usize, line: &str, what: What) {
        self.broken(number, what);
        if line.trim_start().starts_with('[') {
            self.place = Place::Lost;
        }
    }

    fn section(&mut self, number: usize, text: &'a str) {
        match Header::parse(text) {
            Ok(Header { kind, name, quoted }) => {
                self.sections.push(Section { kind, name, quoted, line: number, entries: Vec::new() });
                self.place = Place::Section;
                self.above = Above::Nothing;
            }
            Err(what) => {
                self.broken(number, what);
                self.place = Place::Lost;
            }
        }
    }

    fn entry(&mut self, number: usize, text: &'a str) {
        match self.place {
            Place::Section => {}
            Place::Lost => return,
            Place::Start => {
                self.place = Place::Lost;
                return self.broken(number, What::NoSection);
            }
        }
        let Some((key, value)) = text.split_once(['=', ':']) else {
            return self.broken(number, What::NotAProperty);
        };
        let key = key.trim_end();
        if key.is_empty() {
            return self.broken(number, What::EmptyKey);
        }
        let key = match key.bytes().any(|byte| byte.is_ascii_uppercase()) {
            true => Cow::Owned(key.to_ascii_lowercase()),
            false => Cow::Borrowed(key),
        };
        let value = without_comment(value).trim();
        if let Some(section) = self.sections.last_mut() {
            section.entries.push(Entry { key, value, line: number, continuations: Vec::new() });
            self.above = Above::Entry;
        }
    }

    fn continuation(&mut self, number: usize, text: &'a str) {
        if self.above != Above::Entry {
            return;
        }
        let Some(entry) = self.sections.last_mut().and_then(|section| section.entries.last_mut()) else { return };
        if entry.continuations.len() == limits::CONTINUATION_LINES {
            return self.broken(number, What::TooManyContinuationLines);
        }
        let nested = entry.value.is_empty();
        let blank_lines = std::mem::take(&mut self.blank_lines);
        let blank_lines = if nested { 0 } else { blank_lines };
        entry.continuations.push(Continuation { blank_lines, text, line: number });
        match text.split_once('=') {
            None if nested => self.report(number, What::NotASubProperty),
            Some((key, _)) if nested && key.trim().is_empty() => self.report(number, What::EmptySubKey),
            _ => {}
        }
    }

    fn broken(&mut self, number: usize, what: What) {
        self.above = Above::Broken;
        self.report(number, what);
    }

    fn report(&mut self, number: usize, what: What) {
        if self.problems.len() < limits::PROBLEMS {
            self.problems.push((number, what));
        }
    }
}

/// The text before a `#` or `;` that follows whitespace.
fn without_comment(text: &str) -> &str {
    let mut after_whitespace = false;
    let comment = text.char_indices().find(|(_, character)| {
        let found = after_whitespace && matches!(character, '#' | ';');
        after_whitespace = character.is_whitespace();
        found
    });
    comment.and_then(|(position, _)| text.get(..position)).unwrap_or(text)
}

#[cfg(test)]
mod tests {
    use super::{Document, Lines, without_comment};

    #[test]
    fn a_document_keeps_every_byte() {
        for text in [
            "",
            "\u{feff}",
            "\u{feff}\u{feff}[a]",
            "\r\n\r\r\n\n",
            " [ a ] # x\r\n\tb  =  c ; d\r\n  # e\r\n\r\n f=g",
            "[a]\nb = c\n[a]\nb = c\nnonsense\n\0\n",
        ] {
            assert_eq!(Document::parse(text).to_string(), text);
        }
    }

    #[test]
    fn sections_and_entries_know_their_lines() {
        let document = Document::parse("# x\n[profile a]\n\nS3 =\n  max = 1\n\n  # y\n  min = 2\nregion = b\n -c\n");
        let section = &document.sections[0];
        assert_eq!((section.name, section.line, section.entries.len()), ("a", 2, 2));
        let nested = &section.entries[0];
        assert_eq!(
            (nested.key.as_ref(), nested.line, nested.text().expose().as_str()),
            ("s3", 4, "\nmax = 1\nmin = 2")
        );
        assert_eq!(nested.sub_entries().collect::<Vec<_>>(), [("max", "1", 5), ("min", "2", 8)]);
        let plain = &section.entries[1];
        assert_eq!((plain.line, plain.text().expose().as_str()), (9, "b\n-c"));
        assert_eq!(plain.sub_entries().count(), 0);
    }

    #[test]
    fn entries_below_a_broken_section_land_in_no_other() {
        for broken in ["[profile b", "[profile b\0]", "[]", "[b] c", &format!("[{}]", "b".repeat(1 << 20))] {
            let text = format!("[profile a]\n{broken}\nrole_arn = x\n  y\n");
            let document = Document::parse(&text);
            assert_eq!(document.sections.iter().map(|section| section.entries.len()).sum::<usize>(), 0);
            assert_eq!(document.problems.iter().map(|&(line, _)| line).collect::<Vec<_>>(), [2]);
        }
    }

    #[test]
    fn lines_end_where_python_ends_them() {
        let lines: Vec<_> = Lines("a\r\nb\rc\n\nd").map(|line| (line.text, line.ending)).collect();
        assert_eq!(lines, [("a", "\r\n"), ("b", "\r"), ("c", "\n"), ("", "\n"), ("d", "")]);
    }

    #[test]
    fn a_comment_needs_whitespace_before_it() {
        assert_eq!(without_comment(" a#b ; c # d"), " a#b ");
        assert_eq!(without_comment("# a"), "# a");
        assert_eq!(without_comment(" # a"), " ");
    }
}
