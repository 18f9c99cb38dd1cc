//! `SSH_ASKPASS`, as OpenSSH's agent runs it to confirm the use of a key (readpass.c, `ask_permission`): the text is its
//! one argument, `SSH_ASKPASS_PROMPT` is `confirm`, and yes is an exit with 0 and a first line that is empty or `yes`.

use super::{Question, Unasked};
use crate::world::Running;
use tokio::io::AsyncReadExt;

/// The most that is read of what it prints: what OpenSSH reads.
const OUTPUT_LIMIT: usize = 1024;
/// How it is called in what is said of it.
const NAME: &str = "the askpass program";

/// The text of a question, a line each.
pub(super) fn text(question: &Question) -> String {
    [std::slice::from_ref(&question.title), &question.lines].concat().join("\n")
}

/// What the person told a program that has been started.
pub(super) async fn answer(mut running: Running) -> Result<bool, Unasked> {
    let Some(stdout) = running.stdout() else { return Err(Unasked::BadAnswer(NAME)) };
    let mut output = Vec::with_capacity(OUTPUT_LIMIT);
    let mut printed = stdout.take(OUTPUT_LIMIT as u64);
    printed.read_to_end(&mut output).await.map_err(|_| Unasked::BadAnswer(NAME))?;
    if output.len() == OUTPUT_LIMIT {
        // It may go on for ever.
        return Err(Unasked::BadAnswer(NAME));
    }
    let status = running.wait_for_all().await.map_err(|_| Unasked::BadAnswer(NAME))?;
    Ok(status.success() && is_yes(&output))
}

fn is_yes(output: &[u8]) -> bool {
    let line = output.split(|byte| matches!(byte, b'\r' | b'\n' | 0)).next().unwrap_or_default();
    line.is_empty() || line.eq_ignore_ascii_case(b"yes")
}

#[cfg(test)]
mod tests {
    use super::is_yes;

    #[test]
    fn yes_is_an_empty_line_or_the_word() {
        for yes in ["", "\n", "\r\n", "yes", "YES\n", "Yes\r\nno", "\nno"] {
            assert!(is_yes(yes.as_bytes()), "{yes:?}");
        }
        for no in ["no", "y", "yes ", " yes", "yes, please", "0", " "] {
            assert!(!is_yes(no.as_bytes()), "{no:?}");
        }
    }
}
