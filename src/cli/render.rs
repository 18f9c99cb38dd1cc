//! Tables, and durations as people say them.

use crate::model::Label;
use std::fmt::Write;
use std::ops::Range;

/// What lies between two columns.
const GAP: usize = 2;
/// How far the second and later lines of a row are moved in.
const INDENT: usize = 4;

/// Columns under headings, two spaces apart; the last one is not padded. Cells are made safe for a terminal. Where the
/// whole does not fit in a terminal of this width, a row takes several lines, and the headings as many.
pub(super) fn table<const N: usize>(
    width: Option<usize>,
    headings: [&str; N],
    rows: impl IntoIterator<Item = [String; N]>,
) -> String {
    let rows: Vec<[String; N]> = std::iter::once(headings.map(str::to_owned))
        .chain(rows.into_iter().map(|row| row.map(|cell| Label(&cell).to_string())))
        .collect();
    let mut widths = [0; N];
    for row in &rows {
        for (width, cell) in widths.iter_mut().zip(row) {
            *width = cell.chars().count().max(*width);
        }
    }
    let limit = width.unwrap_or(usize::MAX);
    let lines = folded(&widths, headings.last().map_or(0, |heading| heading.len()), limit);
    let mut out = String::new();
    for row in &rows {
        for (number, columns) in lines.iter().enumerate() {
            let indent = if number == 0 { 0 } else { INDENT };
            let mut line = " ".repeat(indent);
            for (width, cell) in widths.iter().zip(row).skip(columns.start).take(columns.len()) {
                // The last column, which may be too long in this row alone.
                if line.chars().count().saturating_add(cell.chars().count()) > limit && !line.trim().is_empty() {
                    let _ = write!(out, "{}\n{:INDENT$}", line.trim_end(), "");
                    line.clear();
                }
                let _ = write!(line, "{cell:width$}{:GAP$}", "");
            }
            // A further line with nothing in it is left out; each row has a first.
            if number == 0 || !line.trim_end().is_empty() {
                out.push_str(line.trim_end());
                out.push('\n');
            }
        }
    }
    out
}

/// Which columns go on which line. One that is wider than a line has it for itself; the last takes no more than its
/// heading: it is text, mostly short, and goes to a line of its own where it is not.
fn folded(widths: &[usize], last: usize, limit: usize) -> Vec<Range<usize>> {
    let mut lines: Vec<Range<usize>> = Vec::new();
    let mut used = 0_usize;
    for (column, width) in widths.iter().enumerate() {
        let width = if column.saturating_add(1) == widths.len() { &last } else { width };
        match lines.last_mut() {
            Some(line) if used.saturating_add(GAP).saturating_add(*width) <= limit => {
                line.end = column.saturating_add(1);
                used = used.saturating_add(GAP).saturating_add(*width);
            }
            last => {
                used = width.saturating_add(if last.is_none() { 0 } else { INDENT });
                lines.push(column..column.saturating_add(1));
            }
        }
    }
    lines
}

/// Seconds in the two largest units that say something: `11 h 42 min`.
pub(super) fn duration(seconds: u64) -> String {
    const UNITS: [(u64, &str); 4] = [(86_400, "d"), (3_600, "h"), (60, "min"), (1, "s")];
    let mut rest = seconds;
    let mut parts = Vec::new();
    let mut first = None;
    for (index, (size, unit)) in UNITS.into_iter().enumerate() {
        let count = rest / size;
        rest %= size;
        if count > 0 && first.is_none() {
            first = Some(index);
        }
        if count > 0 && first.is_some_and(|first| index <= first + 1) {
            parts.push(format!("{count} {unit}"));
        }
    }
    if parts.is_empty() { "0 s".to_owned() } else { parts.join(" ") }
}

/// The day and minute of an RFC 3339 time in UTC, as a table shows it; another text as it stands.
pub(super) fn minute(time: &str) -> String {
    match (time.get(..10), time.get(10..11), time.get(11..16)) {
        (Some(day), Some("T"), Some(minute)) if time.ends_with('Z') => format!("{day} {minute} UTC"),
        _ => time.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::{duration, minute, table};

    #[test]
    fn durations_show_two_units() {
        for (seconds, text) in [
            (0, "0 s"),
            (59, "59 s"),
            (61, "1 min 1 s"),
            (3_600, "1 h"),
            (3_605, "1 h"),
            (42_125, "11 h 42 min"),
            (90_000, "1 d 1 h"),
            (u64::MAX, "213503982334601 d 7 h"),
        ] {
            assert_eq!(duration(seconds), text, "{seconds}");
        }
    }

    #[test]
    fn tables_line_up_and_cells_cannot_draw() {
        let rows = [
            ["dev".to_owned(), "é\u{1b}[1m".to_owned(), String::new()],
            ["a-long-name".to_owned(), "x".to_owned(), "end".to_owned()],
        ];
        insta::assert_snapshot!(table(None, ["NAME", "ID", "USER"], rows.clone()), @"
        NAME         ID     USER
        dev          é?[1m
        a-long-name  x      end
        ");
        let within = |width| table(width, ["NAME", "ID", "USER"], rows.clone());
        assert_eq!(within(Some(24)), within(None));
        insta::assert_snapshot!(within(Some(23)), @"
        NAME         ID
            USER
        dev          é?[1m
        a-long-name  x
            end
        ");
        let long = ["dev".to_owned(), "x".to_owned(), "text that is long".to_owned()];
        insta::assert_snapshot!(table(Some(24), ["NAME", "ID", "USER"], rows.iter().cloned().chain([long])), @"
        NAME         ID     USER
        dev          é?[1m
        a-long-name  x      end
        dev          x
            text that is long
        ");
        insta::assert_snapshot!(within(Some(10)), @"
        NAME
            ID
            USER
        dev
            é?[1m
        a-long-name
            x
            end
        ");
    }

    #[test]
    fn times_are_shortened_only_where_they_are_times() {
        assert_eq!(minute("2026-11-22T01:02:03Z"), "2026-11-22 01:02 UTC");
        assert_eq!(minute("2026-11-22T01:02:03+01:00"), "2026-11-22T01:02:03+01:00");
        assert_eq!(minute("é"), "é");
    }
}
