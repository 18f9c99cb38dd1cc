//! Tables, and durations as people say them.

use crate::model::Label;
use std::fmt::Write;

/// Columns under headings, two spaces apart; the last one is not padded. Cells are made safe for a terminal.
pub(super) fn table<const N: usize>(headings: [&str; N], rows: impl IntoIterator<Item = [String; N]>) -> String {
    let rows: Vec<[String; N]> = std::iter::once(headings.map(str::to_owned))
        .chain(rows.into_iter().map(|row| row.map(|cell| Label(&cell).to_string())))
        .collect();
    let mut widths = [0; N];
    for row in &rows {
        for (width, cell) in widths.iter_mut().zip(row) {
            *width = cell.chars().count().max(*width);
        }
    }
    let mut out = String::new();
    for row in &rows {
        let mut line = String::new();
        for (width, cell) in widths.iter().zip(row) {
            let _ = write!(line, "{cell:width$}  ");
        }
        out.push_str(line.trim_end());
        out.push('\n');
    }
    out
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
        insta::assert_snapshot!(table(["NAME", "ID", "USER"], rows), @"
        NAME         ID     USER
        dev          é?[1m
        a-long-name  x      end
        ");
    }

    #[test]
    fn times_are_shortened_only_where_they_are_times() {
        assert_eq!(minute("2026-11-22T01:02:03Z"), "2026-11-22 01:02 UTC");
        assert_eq!(minute("2026-11-22T01:02:03+01:00"), "2026-11-22T01:02:03+01:00");
        assert_eq!(minute("é"), "é");
    }
}
