//! Is the record what was written? Pure over bytes: the files come in one after the other.

use super::chain::{Head, Key, Line, Seal, Sealer};
use super::entry::Event;
use super::folder;
use std::fmt;

/// What a look at the whole record found.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Verdict {
    /// Files read.
    pub files: u64,
    /// Lines that hold.
    pub records: u64,
    /// Number of the first record.
    pub first: Option<u64>,
    /// Number and seal of the last one.
    pub last: Head,
    /// Records that say that something is missing for a known reason.
    pub gaps: u64,
    /// Lines torn by a crash and cut off since.
    pub recovered: u64,
    /// Records up to this one were deleted because they were old.
    pub retired: u64,
    /// Bytes of a torn last line.
    pub torn: u64,
    /// Whether the seals were checked; without the key only the order was.
    pub sealed: bool,
    /// The first line that is not as it was written.
    pub bad: Option<Bad>,
}

/// The first bad line.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Bad {
    /// Name of the file.
    pub file: String,
    /// Its line, from 1; one past the last where lines are missing at the end.
    pub line: u64,
    /// What is wrong there.
    pub wrong: Wrong,
}

/// What is wrong with a line.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Wrong {
    /// Changed since, or sealed by another key.
    Altered,
    /// The record ends here, though it went on to `through`.
    Cut {
        /// The first one missing.
        from: u64,
        /// The last one known.
        through: u64,
    },
    /// Records before this line are missing.
    Missing {
        /// The first.
        from: u64,
        /// The last.
        through: u64,
    },
    /// Not a record, or torn where no crash can have torn it.
    NoRecord,
    /// Its number was there before: a repetition, or lines out of order.
    Order,
    /// It does not follow from the line before it: another record's.
    Splice,
    /// The file cannot be read.
    Unreadable,
}

impl fmt::Display for Wrong {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Altered => out.write_str("the line was altered, or sealed with another key"),
            Self::Cut { from, through } if from == through => {
                write!(out, "the record ends, and record {from} is missing")
            }
            Self::Cut { from, through } => write!(out, "the record ends, and records {from} to {through} are missing"),
            Self::Missing { from, through } if from == through => write!(out, "record {from} is missing before it"),
            Self::Missing { from, through } => write!(out, "records {from} to {through} are missing before it"),
            Self::NoRecord => out.write_str("it is not a record"),
            Self::Order => out.write_str("the line is repeated or out of order"),
            Self::Splice => out.write_str("the line does not follow from the one before"),
            Self::Unreadable => out.write_str("the file cannot be read"),
        }
    }
}

/// Walks a record file by file.
pub struct Walk {
    sealer: Option<Sealer>,
    verdict: Verdict,
    /// Where the record begins, once it is known whether it may begin there.
    begins: Option<(String, u64)>,
    /// The last file and its lines, for what is missing at the end.
    place: (String, u64),
    /// A seal to meet on the way.
    known: Option<Head>,
}

impl Walk {
    /// Begins. Without a key only form and order are checked. `known` is a head kept elsewhere: the record must hold it.
    pub fn new(key: Option<&Key>, known: Option<Head>) -> Self {
        let sealer = key.map(Sealer::new);
        let verdict = Verdict { sealed: sealer.is_some(), ..Verdict::default() };
        Self { sealer, verdict, begins: None, place: (folder::name(1), 0), known }
    }

    /// Looks at a file; `last` says that none follows. False once a bad line was found.
    pub fn file(&mut self, name: &str, bytes: &[u8], last: bool) -> bool {
        self.verdict.files += 1;
        self.place = (name.to_owned(), 0);
        let (lines, torn) = folder::lines(bytes);
        for line in lines {
            self.place.1 += 1;
            if let Err(wrong) = self.line(line) {
                return self.bad(self.place.1, wrong);
            }
        }
        if !torn.is_empty() && !last {
            return self.bad(self.place.1 + 1, Wrong::NoRecord);
        }
        self.verdict.torn = u64::try_from(torn.len()).unwrap_or(u64::MAX);
        true
    }

    /// A file that cannot be read.
    pub fn unreadable(&mut self, name: &str) {
        self.place = (name.to_owned(), 0);
        self.bad(1, Wrong::Unreadable);
    }

    /// What was found.
    pub fn end(mut self) -> Verdict {
        if self.verdict.bad.is_some() {
            return self.verdict;
        }
        let first = self.verdict.first.unwrap_or(1);
        // A record may only begin later than with 1 where it says itself that what stood before was retired.
        if let Some((file, line)) = self.begins.take().filter(|_| first > self.verdict.retired.saturating_add(1)) {
            let from = self.verdict.retired + 1;
            self.verdict.bad = Some(Bad { file, line, wrong: Wrong::Missing { from, through: first - 1 } });
        } else if let Some(known) = self.known.filter(|known| known.seq > self.verdict.last.seq) {
            let wrong = Wrong::Cut { from: self.verdict.last.seq + 1, through: known.seq };
            self.bad(self.place.1 + 1, wrong);
        }
        self.verdict
    }

    fn bad(&mut self, line: u64, wrong: Wrong) -> bool {
        self.verdict.bad.get_or_insert(Bad { file: self.place.0.clone(), line, wrong });
        false
    }

    fn line(&mut self, bytes: &[u8]) -> Result<(), Wrong> {
        let line = Line::split(bytes).ok_or(Wrong::NoRecord)?;
        if self.sealer.as_ref().is_some_and(|sealer| !sealer.holds(&line)) {
            return Err(Wrong::Altered);
        }
        let seq = line.head.seq;
        match self.verdict.first {
            None => {
                if seq == 0 || (seq == 1 && line.prev != Seal::default()) {
                    return Err(Wrong::Splice);
                }
                self.verdict.first = Some(seq);
                self.begins = Some(self.place.clone());
            }
            Some(_) => follows(&self.verdict.last, &line)?,
        }
        if self.known.is_some_and(|known| known.seq == seq && known.mac != line.head.mac) {
            return Err(Wrong::Splice);
        }
        self.verdict.last = line.head;
        self.verdict.records += 1;
        if line.event == Event::AuditGap.as_str() {
            self.verdict.gaps += 1;
        } else if line.event == Event::AuditRecovered.as_str() {
            self.verdict.recovered += 1;
        } else if line.event == Event::AuditRetired.as_str() {
            self.verdict.retired = self.verdict.retired.max(line.through.unwrap_or(0));
        }
        Ok(())
    }
}

/// Whether a line is the one after `last`.
pub(super) fn follows(last: &Head, line: &Line<'_>) -> Result<(), Wrong> {
    let next = last.seq.saturating_add(1);
    match line.head.seq {
        seq if seq > next => Err(Wrong::Missing { from: next, through: seq - 1 }),
        seq if seq < next => Err(Wrong::Order),
        _ if line.prev != last.mac => Err(Wrong::Splice),
        _ => Ok(()),
    }
}
