//! `SSH_ASKPASS`, as OpenSSH runs it (readpass.c): the text is its one argument. To confirm (`ask_permission`),
//! `SSH_ASKPASS_PROMPT` is `confirm`, and yes is an exit with 0 and a first line that is empty or `yes`. For a secret
//! (`read_passphrase`) that variable is not set, and the secret is the first line, after an exit with 0.

use super::limits::OUTPUT_LIMIT;
use super::text::Words;
use super::{Asking, Unasked, Word};
use crate::world::Running;
use claviger::secret::{Pin, SecretText};
use tokio::io::AsyncReadExt;
use zeroize::Zeroizing;

/// How it is called in what is said of it.
const NAME: &str = "the askpass program";

/// The text of a question, a line each.
pub(super) fn text(asking: &Asking) -> String {
    let Words { title, lines, problem, .. } = Words::of(asking);
    problem.into_iter().chain([title]).chain(lines).collect::<Vec<String>>().join("\n")
}

/// What the person told a program that has been started.
pub(super) async fn answer(mut running: Running, asking: &Asking) -> Result<Word, Unasked> {
    let Some(mut stdout) = running.stdout() else { return Err(Unasked::BadAnswer(NAME)) };
    // Never grown: what it would leave behind may be a secret.
    let mut output = Zeroizing::new(vec![0; OUTPUT_LIMIT]);
    let mut length = 0;
    loop {
        // It may go on for ever.
        let room = output.get_mut(length..).filter(|room| !room.is_empty()).ok_or(Unasked::BadAnswer(NAME))?;
        match stdout.read(room).await.map_err(|_| Unasked::BadAnswer(NAME))? {
            0 => break,
            count => length = length.saturating_add(count),
        }
    }
    let status = running.wait_for_all().await.map_err(|_| Unasked::BadAnswer(NAME))?;
    let line = first_line(output.get(..length).unwrap_or_default());
    match asking {
        _ if !status.success() => Ok(Word::No),
        Asking::Confirm(_) => Ok(if is_yes(line) { Word::Yes } else { Word::No }),
        Asking::Secret(_) => {
            let typed = std::str::from_utf8(line).map_err(|_| Unasked::BadAnswer(NAME))?;
            Ok(Word::Secret(Pin::from_text(typed.to_owned())))
        }
    }
}

fn first_line(output: &[u8]) -> &[u8] {
    output.split(|byte| matches!(byte, b'\r' | b'\n' | 0)).next().unwrap_or_default()
}

fn is_yes(line: &[u8]) -> bool {
    line.is_empty() || line.eq_ignore_ascii_case(b"yes")
}

#[cfg(test)]
mod tests {
    use super::{first_line, is_yes};

    #[test]
    fn yes_is_an_empty_line_or_the_word() {
        for yes in ["", "\n", "\r\n", "yes", "YES\n", "Yes\r\nno", "\nno"] {
            assert!(is_yes(first_line(yes.as_bytes())), "{yes:?}");
        }
        for no in ["no", "y", "yes ", " yes", "yes, please", "0", " "] {
            assert!(!is_yes(first_line(no.as_bytes())), "{no:?}");
        }
    }
}
