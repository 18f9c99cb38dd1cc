//! A `credential_process` as words. Pure.

use crate::aws::profile::{Origin, is_own_stub};
use std::fmt;

/// The longest command: far more than one line of a person.
const COMMAND_LIMIT: usize = 4096;

/// A command that may be run: split as botocore does, for no shell, with neither `~` nor `$` expanded.
/// Made by [`super::SourceRules`] alone. It has no derived `Debug`: its words may hold a secret.
#[derive(Clone)]
pub struct Command {
    text: String,
    words: Vec<String>,
    origin: Origin,
}

/// Why a command may not be run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CommandRefused {
    /// It is empty or too long, or a quote does not end.
    Malformed,
    /// It is not in `[commands] allow`.
    NotAllowed,
    /// It asks claviger again, which would wait for itself.
    OwnClient,
}

impl Command {
    pub(super) fn parse(text: &str, origin: &Origin) -> Result<Self, CommandRefused> {
        let plain = text.len() <= COMMAND_LIMIT && !text.contains('\0');
        let words = shlex::split(text).filter(|words| plain && words.first().is_some_and(|word| !word.is_empty()));
        let words = words.ok_or(CommandRefused::Malformed)?;
        if asks_claviger(&words) {
            return Err(CommandRefused::OwnClient);
        }
        Ok(Self { text: text.to_owned(), words, origin: origin.clone() })
    }

    /// As it stands in the file.
    pub fn text(&self) -> &str {
        &self.text
    }

    /// The program and its arguments; at least one.
    pub fn words(&self) -> &[String] {
        &self.words
    }

    /// Where it stands.
    pub fn origin(&self) -> &Origin {
        &self.origin
    }
}

impl fmt::Debug for Command {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "Command({})", self.origin)
    }
}

/// The same text is the same command, wherever it stands.
impl PartialEq for Command {
    fn eq(&self, other: &Self) -> bool {
        self.text == other.text
    }
}

impl Eq for Command {}

/// `env claviger process prod`, `sh -c 'exec claviger process prod'` and the like. What hides it better waits for
/// itself and is ended, so this is for the clear word.
fn asks_claviger(words: &[String]) -> bool {
    let quoted = |words: &[String]| shlex::try_join(words.iter().map(String::as_str)).unwrap_or_default();
    let inside = |word: &String| {
        let inner = shlex::split(word).unwrap_or_default();
        inner.len() > 1 && (0..inner.len()).any(|from| inner.get(from..).is_some_and(|rest| is_stub(&quoted(rest))))
    };
    let outside = (0..words.len()).any(|from| words.get(from..).is_some_and(|rest| is_stub(&quoted(rest))));
    outside || words.iter().any(inside)
}

fn is_stub(text: &str) -> bool {
    is_own_stub(text).is_some()
}

#[cfg(test)]
mod tests {
    use super::{Command, CommandRefused};
    use crate::aws::profile::Origin;
    use std::path::Path;

    fn parse(text: &str) -> Result<Vec<String>, CommandRefused> {
        let origin = Origin { file: Path::new("config").into(), line: 2 };
        Command::parse(text, &origin).map(|command| command.words().to_vec())
    }

    #[test]
    fn words_are_split_for_no_shell() {
        for (text, words) in [
            ("/opt/keys --json", vec!["/opt/keys", "--json"]),
            ("'/opt/a b/keys' \"x y\" z\\ z", vec!["/opt/a b/keys", "x y", "z z"]),
            (
                "keys ~/a $HOME `id` ; rm | x > y && z",
                vec!["keys", "~/a", "$HOME", "`id`", ";", "rm", "|", "x", ">", "y", "&&", "z"],
            ),
            ("keys ''", vec!["keys", ""]),
        ] {
            assert_eq!(parse(text).unwrap(), words, "{text}");
        }
        for text in ["", "  ", "'open", "\"open", "end\\", "''", "a\0b", &"x".repeat(4097)] {
            assert_eq!(parse(text), Err(CommandRefused::Malformed), "{text}");
        }
    }

    #[test]
    fn a_command_that_asks_claviger_again_is_refused() {
        for text in [
            "env claviger process prod",
            "nice -n 5 /usr/bin/claviger process",
            "sh -c 'claviger process prod'",
            "sh -c 'exec \"/opt/a b/claviger\" process prod'",
            "timeout 5 claviger --wait 3 process prod",
        ] {
            assert_eq!(parse(text), Err(CommandRefused::OwnClient), "{text}");
        }
        for text in ["aws-vault exec prod --json", "claviger exec base -- keys --json", "keys claviger process.json"] {
            assert!(parse(text).is_ok(), "{text}");
        }
    }

    #[test]
    fn its_debug_form_tells_the_place_alone() {
        let origin = Origin { file: Path::new("config").into(), line: 2 };
        let command = Command::parse("keys --password canary", &origin).unwrap();
        assert_eq!(format!("{command:?}"), "Command(config, line 2)");
    }
}
