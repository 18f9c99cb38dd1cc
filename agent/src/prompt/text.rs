//! Text from outside, made safe to show in a question.

use std::fmt::Write;

/// Most characters that a text from outside takes in a question: a fingerprint of SHA-512 is 94.
const TEXT_LIMIT: usize = 128;

/// Bytes from outside as one line of text that shows what it is: a control character, a direction override, a space
/// that is none and all else that prints nothing or joins what stands before is written as an escape, as is a backslash
/// and what is no UTF-8. Cut at 128 characters.
pub fn shown(bytes: &[u8]) -> String {
    let mut shown = String::new();
    // No character takes more than four bytes: what is beyond is cut anyhow.
    let bytes = bytes.get(..TEXT_LIMIT * 4 + 1).unwrap_or(bytes);
    for chunk in bytes.utf8_chunks() {
        for character in chunk.valid().chars() {
            match character {
                '"' | '\'' => shown.push(character),
                // Its tables leave what Unicode calls a letter, a mark of its own, a number or a sign.
                _ => shown.extend(character.escape_debug()),
            }
        }
        for byte in chunk.invalid() {
            let _ = write!(shown, "\\x{byte:02x}");
        }
    }
    match shown.char_indices().nth(TEXT_LIMIT) {
        Some((end, _)) => format!("{}…", shown.get(..end).unwrap_or_default()),
        None => shown,
    }
}

#[cfg(test)]
mod tests {
    use super::shown;

    #[test]
    fn what_prints_nothing_is_written_out() {
        assert_eq!(shown(b"ada@host 'a' \"b\" caf\xc3\xa9"), "ada@host 'a' \"b\" café");
        assert_eq!(shown(b"a\x1b[2Jb\r\nc\x7f\0"), "a\\u{1b}[2Jb\\r\\nc\\u{7f}\\0");
        assert_eq!(
            shown("a\u{202e}b\u{2066}c\u{200b}d\u{2028}e\u{feff}".as_bytes()),
            "a\\u{202e}b\\u{2066}c\\u{200b}d\\u{2028}e\\u{feff}"
        );
        // A soft hyphen, a tag, a mark on the letter before, a space that is none, one of private use.
        assert_eq!(
            shown("\u{ad}\u{e0041}a\u{301}\u{a0}\u{e000}".as_bytes()),
            "\\u{ad}\\u{e0041}a\\u{301}\\u{a0}\\u{e000}"
        );
        assert_eq!(shown(b"a\\b\xffc\xe2\x82"), "a\\\\b\\xffc\\xe2\\x82");
        assert_eq!(shown(b""), "");
    }

    #[test]
    fn it_is_cut_and_no_long_text_costs_more() {
        assert_eq!(shown(&[b'x'; 128]), "x".repeat(128));
        assert_eq!(shown(&[b'x'; 129]), format!("{}…", "x".repeat(128)));
        assert_eq!(shown(&[0xff; 1_000_000]).chars().count(), 129);
        assert_eq!(shown("é".repeat(500_000).as_bytes()).chars().count(), 129);
    }
}
