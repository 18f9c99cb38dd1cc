//! What a person is shown before anything is written: a unified diff without a secret in it.

use super::draft::{Draft, Fate};
use super::{keys, record};
use crate::aws::profile::is_secret_key;
use std::path::Path;

/// Lines shown around a change.
const CONTEXT: usize = 3;

/// Most characters of a line that are shown.
const SHOWN: usize = 1_000;

/// What stands for a secret.
const MASK: &str = "(secret)";

/// A word this long, of the letters of a secret access key, is taken for one in a comment or an unknown setting.
const LONG_WORD: usize = 30;

/// The diff of a file; empty where nothing changes.
pub(super) fn unified(draft: &Draft<'_>, path: &Path) -> Vec<String> {
    if !draft.is_changed() && !draft.absent {
        return Vec::new();
    }
    // New lines tell nothing of the value above them, so they are read apart.
    let (mut old, mut new) = (Mask::default(), Mask::default());
    let lines: Vec<(Fate, String)> = draft
        .lines()
        .map(|(fate, text, _)| {
            let fate = if draft.absent { Fate::Comes } else { fate };
            (fate, if fate == Fate::Comes { new.line(text) } else { old.line(text) })
        })
        .collect();
    let changed: Vec<usize> =
        lines.iter().enumerate().filter(|(_, (fate, _))| *fate != Fate::Stays).map(|(index, _)| index).collect();
    if changed.is_empty() {
        return Vec::new();
    }
    let old = if draft.absent { "/dev/null".to_owned() } else { path.display().to_string() };
    let mut diff = vec![format!("--- {}", printable(&old)), format!("+++ {}", printable(&path.display().to_string()))];
    // What a line's number is before and after, counted on the way.
    let (mut at, mut before, mut after) = (0, 0, 0);
    let mut changed = changed.into_iter().peekable();
    while let Some(first) = changed.next() {
        let start = first.saturating_sub(CONTEXT).max(at);
        let mut end = first.saturating_add(1);
        while let Some(next) = changed.next_if(|next| *next <= end.saturating_add(CONTEXT * 2)) {
            end = next.saturating_add(1);
        }
        let end = end.saturating_add(CONTEXT).min(lines.len());
        let count = |lines: &[(Fate, String)], other: Fate| lines.iter().filter(|(fate, _)| *fate != other).count();
        let passed = lines.get(at..start).unwrap_or_default();
        before += count(passed, Fate::Comes);
        after += count(passed, Fate::Goes);
        let hunk = lines.get(start..end).unwrap_or_default();
        let (old, new) = (count(hunk, Fate::Comes), count(hunk, Fate::Goes));
        let from = |line: usize, count: usize| if count == 0 { line } else { line + 1 };
        diff.push(format!("@@ -{},{old} +{},{new} @@", from(before, old), from(after, new)));
        diff.extend(hunk.iter().map(|(fate, text)| match fate {
            Fate::Comes => format!("+{text}"),
            Fate::Goes => format!("-{text}"),
            Fate::Stays => format!(" {text}"),
        }));
        (at, before, after) = (end, before + old, after + new);
    }
    diff
}

/// Reads lines in order, since the value of a secret may go on below its key.
#[derive(Default)]
struct Mask {
    in_secret: bool,
}

impl Mask {
    fn line(&mut self, line: &str) -> String {
        let text = line.trim();
        if text.is_empty() {
            return String::new();
        }
        if record::is_part(text) {
            return "# claviger adopted: (the lines as they were)".to_owned();
        }
        if text.starts_with(['#', ';']) {
            return if is_suspect(text) { format!("# {MASK}") } else { printable(line) };
        }
        if text.starts_with('[') && !line.starts_with(char::is_whitespace) {
            self.in_secret = false;
            return printable(line);
        }
        let indented = line.starts_with(char::is_whitespace);
        let Some((key, value)) = line.split_once(['=', ':']) else {
            return if self.in_secret || is_suspect(text) { format!("  {MASK}") } else { printable(line) };
        };
        let name = key.trim().to_ascii_lowercase();
        let known = keys::decides(&name);
        let secret = is_secret_key(&name) || (!known && (is_suspect(&name) || is_suspect(value)));
        if self.in_secret && indented && !secret && !known {
            return format!("  {MASK}");
        }
        self.in_secret = secret;
        match value.split_once([' ', '\t']).is_some()
            && known
            && value.contains(['#', ';'])
            && is_suspect(comment(value))
        {
            _ if secret => format!("{}= {MASK}", printable(key)),
            true => format!(
                "{}= {} # {MASK}",
                printable(key),
                printable(value.split(['#', ';']).next().unwrap_or_default())
            ),
            false => printable(line),
        }
    }
}

fn comment(value: &str) -> &str {
    value.find(['#', ';']).and_then(|at| value.get(at..)).unwrap_or_default()
}

/// Whether a text may hold a secret.
fn is_suspect(text: &str) -> bool {
    let lower = text.to_ascii_lowercase();
    let named = ["secret", "token", "passw", "private"].iter().any(|word| lower.contains(word));
    let long = |word: &str| {
        word.chars().count() >= LONG_WORD && word.contains(|c: char| c.is_ascii_uppercase() || c.is_ascii_digit())
    };
    let words = text.split(|c: char| !(c.is_ascii_alphanumeric() || "/+=_-".contains(c)));
    named || words.into_iter().any(long)
}

fn printable(line: &str) -> String {
    line.chars().take(SHOWN).map(|c| if c.is_control() && c != '\t' { '?' } else { c }).collect()
}

#[cfg(test)]
mod tests {
    use super::{Draft, Mask, unified};
    use crate::aws::profile::Role;
    use std::path::Path;

    #[test]
    fn no_secret_is_in_a_diff_wherever_it_stands() {
        let secret = "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY";
        let mut mask = Mask::default();
        for line in [
            format!("aws_secret_access_key = {secret}"),
            format!("AWS_SECRET_ACCESS_KEY={secret}"),
            format!("aws_secret_access_key : {secret}"),
            "aws_secret_access_key =".to_owned(),
            format!("  {secret}"),
            format!("  part={secret}"),
            format!("# {secret}"),
            format!(" ; old: {secret}"),
            format!("x_api = {secret}"),
            format!("role_arn = arn # {secret}"),
            "my_token = short".to_owned(),
        ] {
            let shown = mask.line(&line);
            assert!(!shown.contains(secret) && !shown.contains("short"), "{shown}");
        }
        for line in
            ["[profile a]", "region = eu-central-1", "role_arn = arn:aws:iam::123456789012:role/x", "# my account"]
        {
            assert_eq!(Mask::default().line(line), line);
        }
    }

    #[test]
    fn a_diff_is_what_diff_would_say() {
        let text = (1..=20).map(|n| format!("k{n} = v\n")).collect::<String>();
        let text = format!("[default]\n{text}");
        let mut draft = Draft::new(Role::Config, Some(&text));
        draft.remove(5..6);
        draft.insert_below(5, ["new = 1\n".into(), "new = 2\n".into()]);
        draft.remove(18..19);
        let diff = unified(&draft, Path::new("/c")).join("\n");
        assert_eq!(
            diff,
            "--- /c\n+++ /c\n@@ -3,7 +3,8 @@\n k2 = v\n k3 = v\n k4 = v\n-k5 = v\n+new = 1\n+new = 2\n k6 = v\n k7 = v\n k8 = v\n\
             @@ -16,6 +17,5 @@\n k15 = v\n k16 = v\n k17 = v\n-k18 = v\n k19 = v\n k20 = v"
        );
    }
}
