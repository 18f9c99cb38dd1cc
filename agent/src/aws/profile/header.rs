//! Section lines: `[profile prod]`.

use super::problem::What;

/// What a section says it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SectionKind {
    /// `[name]`: a profile of the credentials file, `default`, or something of another tool.
    Bare,
    /// `[profile name]`.
    Profile,
    /// `[services name]`.
    Services,
    /// `[sso-session name]`.
    SsoSession,
}

/// A section line, taken apart.
pub(super) struct Header<'a> {
    pub(super) kind: SectionKind,
    /// Without the word before it and without quotes.
    pub(super) name: &'a str,
    pub(super) quoted: bool,
}

impl<'a> Header<'a> {
    /// Reads a line that begins with `[`. A comment may follow the `]` at once or after whitespace; nothing else may.
    pub(super) fn parse(line: &'a str) -> Result<Self, What> {
        let inside = inside(line).ok_or(What::SectionNotClosed)?.trim();
        if inside.is_empty() {
            return Err(What::EmptySectionName);
        }
        let (word, rest) = inside.split_once(char::is_whitespace).unwrap_or((inside, ""));
        let kind = match word {
            _ if rest.is_empty() => SectionKind::Bare,
            "profile" => SectionKind::Profile,
            "services" => SectionKind::Services,
            "sso-session" => SectionKind::SsoSession,
            _ => SectionKind::Bare,
        };
        if kind == SectionKind::Bare {
            return Ok(Self { kind, name: inside, quoted: false });
        }
        let rest = rest.trim();
        let unquoted = unquoted(rest);
        Ok(Self { kind, name: unquoted.unwrap_or(rest), quoted: unquoted.is_some() })
    }
}

/// Tells whether a profile may have this name: the SDKs' characters, letters and digits of any script (botocore
/// reads those too), and single words unless `spaces` can be written in this place.
pub(super) fn valid_name(name: &str, spaces: bool) -> bool {
    let valid =
        |character: char| character.is_alphanumeric() || "_-/.%@:+".contains(character) || (spaces && character == ' ');
    !name.is_empty() && name.trim() == name && name.chars().all(valid)
}

/// Tells whether any AWS tool looks for such a key (lower case).
pub(super) fn valid_key(key: &str) -> bool {
    key.chars().all(|character| character.is_ascii_alphanumeric() || "_-/.%@:+".contains(character))
}

/// The text between `[` and the first `]` that only a comment follows.
fn inside(line: &str) -> Option<&str> {
    let line = line.strip_prefix('[')?;
    line.match_indices(']').find_map(|(position, bracket)| {
        let (inside, rest) = line.split_at(position);
        let after = rest.strip_prefix(bracket)?.trim_start();
        (after.is_empty() || after.starts_with(['#', ';'])).then_some(inside)
    })
}

/// The text within one pair of quotes.
fn unquoted(text: &str) -> Option<&str> {
    ['"', '\''].into_iter().find_map(|quote| text.strip_prefix(quote)?.strip_suffix(quote))
}
