//! Text from outside, made safe for a terminal.

use std::fmt;

/// The most characters of foreign text that one line shows.
const LABEL_LIMIT: usize = 200;

/// Text from outside (a profile name, a message of AWS, a device's name), shown with control
/// characters and direction overrides replaced by `?` and cut at 200 characters.
#[derive(Debug, Clone, Copy)]
pub struct Label<'a>(pub &'a str);

impl fmt::Display for Label<'_> {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (count, character) in self.0.chars().enumerate() {
            if count == LABEL_LIMIT {
                return out.write_str("…");
            }
            let overrides = matches!(character, '\u{200b}'..='\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}' | '\u{feff}');
            let shown = if character.is_control() || overrides { '?' } else { character };
            write!(out, "{shown}")?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::Label;

    #[test]
    fn control_characters_and_overrides_do_not_reach_a_terminal() {
        assert_eq!(Label("a\u{1b}[31mb\nc\u{202e}d").to_string(), "a?[31mb?c?d");
        assert_eq!(Label(&"x".repeat(500)).to_string().chars().count(), 201);
    }
}
