//! Text from outside, made safe for a terminal.

use std::fmt;

/// The most characters of foreign text that one line shows.
const LABEL_LIMIT: usize = 200;
/// The most characters of a whole message: a label and the words around it.
const MESSAGE_LIMIT: usize = 300;

/// Text from outside (a profile name, a message of AWS, a device's name), shown with control
/// characters and direction overrides replaced by `?` and cut at 200 characters.
#[derive(Debug, Clone, Copy)]
pub struct Label<'a>(pub &'a str);

impl Label<'_> {
    /// Whether it is shown as it stands.
    pub fn is_plain(&self) -> bool {
        is_plain(self.0, LABEL_LIMIT)
    }
}

impl fmt::Display for Label<'_> {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        show(self.0, LABEL_LIMIT, out)
    }
}

/// A message that came whole from another program, such as a fault of the agent: shown like a [`Label`], cut at 300
/// characters.
#[derive(Debug, Clone, Copy)]
pub struct Message<'a>(pub &'a str);

impl fmt::Display for Message<'_> {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        show(self.0, MESSAGE_LIMIT, out)
    }
}

/// Printable ASCII, and not too long. Most texts are.
fn is_plain(text: &str, limit: usize) -> bool {
    text.len() <= limit && text.bytes().all(|byte| matches!(byte, b' '..=b'~'))
}

fn show(text: &str, limit: usize, out: &mut fmt::Formatter<'_>) -> fmt::Result {
    if is_plain(text, limit) {
        return out.write_str(text);
    }
    for (count, character) in text.chars().enumerate() {
        if count == limit {
            return out.write_str("…");
        }
        let shown = if is_hidden(character) { '?' } else { character };
        write!(out, "{shown}")?;
    }
    Ok(())
}

/// Whether a terminal would not show it, but obey it.
pub(super) fn is_hidden(character: char) -> bool {
    let overrides = matches!(character, '\u{061c}' | '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}' | '\u{feff}');
    character.is_control() || overrides
}

#[cfg(test)]
mod tests {
    use super::{Label, Message};

    #[test]
    fn control_characters_and_overrides_do_not_reach_a_terminal() {
        assert_eq!(Label("a\u{1b}[31mb\nc\u{202e}d\u{2028}").to_string(), "a?[31mb?c?d?");
        assert_eq!(Label(&"x".repeat(500)).to_string().chars().count(), 201);
        assert!(Label(&"x".repeat(200)).is_plain() && !Label(&"x".repeat(201)).is_plain());
        assert!(!Label("a\u{7f}").is_plain() && !Label("\u{e9}").is_plain() && Label("\u{e9}").to_string() == "\u{e9}");
        assert_eq!(Message(&"x\u{7}".repeat(500)).to_string().chars().count(), 301);
    }
}
