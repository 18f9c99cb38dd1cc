//! Pinentry, by the Assuan protocol (The GnuPG Project, "Developing with Assuan", and pinentry's own manual): lines of at
//! most 1000 bytes, a command answered by `OK` or `ERR`.

use super::{Programs, Question, Unasked};
use crate::world::Running;
use std::fmt::Write;
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::process::{ChildStdin, ChildStdout};

/// Longest line of Assuan in bytes, without the newline.
const LINE_LIMIT: usize = 1000;
/// Most lines that a pinentry may say before it answers: it has a status or two to tell.
const ASIDES_LIMIT: usize = 64;
/// How it is called in what is said of it.
const NAME: &str = "pinentry";
/// A person's no, by its number in libgpg-error: cancelled, not confirmed, fully cancelled.
const REFUSALS: [u32; 3] = [99, 114, 198];
/// What an error's number is in an error value of libgpg-error; the rest says where it comes from.
const CODE_MASK: u32 = 0xffff;

/// Asks by a pinentry that has been started.
pub(super) async fn ask(mut running: Running, programs: &Programs, question: &Question) -> Result<bool, Unasked> {
    let (Some(to), Some(from)) = (running.stdin(), running.stdout()) else { return Err(Unasked::BadAnswer(NAME)) };
    let mut talk = Talk { to, from: BufReader::with_capacity(LINE_LIMIT, from) };
    talk.hear().await?.map_err(Unasked::Failed)?;
    for (option, variable) in
        [("ttyname", "GPG_TTY"), ("ttytype", "TERM"), ("display", "DISPLAY"), ("lc-ctype", locale(programs))]
    {
        if let Some(value) = programs.variable(variable).and_then(|value| value.to_str()) {
            // One that it does not know is none the worse.
            let _ = talk.say("OPTION", &format!("{option}={value}")).await?;
        }
    }
    for (command, text) in [("SETTITLE", "claviger"), ("SETOK", "Allow"), ("SETCANCEL", "Refuse")] {
        let _ = talk.say(command, text).await?;
    }
    // Without its text it would ask for nobody knows what.
    talk.say("SETDESC", &description(question)).await?.map_err(Unasked::Failed)?;
    match talk.say("CONFIRM", "").await? {
        Ok(()) => Ok(true),
        Err(code) if REFUSALS.contains(&code) => Ok(false),
        Err(code) => Err(Unasked::Failed(code)),
    }
}

/// The variable that decides about the character set (setlocale(3)), of those that are passed on.
fn locale(programs: &Programs) -> &'static str {
    if programs.variable("LC_ALL").is_some() { "LC_ALL" } else { "LANG" }
}

fn description(question: &Question) -> String {
    format!("{}\n\n{}", question.title, question.lines.join("\n"))
}

/// Both ends of a pinentry.
struct Talk {
    to: ChildStdin,
    from: BufReader<ChildStdout>,
}

impl Talk {
    /// Says a command and hears the answer: the number of an error, where it is one.
    async fn say(&mut self, command: &str, argument: &str) -> Result<Result<(), u32>, Unasked> {
        let sent = self.to.write_all(line(command, argument).as_bytes()).await;
        sent.map_err(|_| Unasked::BadAnswer(NAME))?;
        self.hear().await
    }

    /// The next answer.
    async fn hear(&mut self) -> Result<Result<(), u32>, Unasked> {
        for _ in 0..=ASIDES_LIMIT {
            let mut line = Vec::new();
            // A line, its newline, and a byte by which one that is too long is known.
            let mut most = (&mut self.from).take(LINE_LIMIT as u64 + 1);
            most.read_until(b'\n', &mut line).await.map_err(|_| Unasked::BadAnswer(NAME))?;
            match line.strip_suffix(b"\n").and_then(Said::read) {
                Some(Said::Aside) => {}
                Some(Said::Error(code)) => return Ok(Err(code)),
                Some(Said::Ok) => return Ok(Ok(())),
                None => break,
            }
        }
        Err(Unasked::BadAnswer(NAME))
    }
}

/// A line of a pinentry.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Said {
    /// A comment, or a status that changes nothing.
    Aside,
    /// `ERR`, with the number of the error.
    Error(u32),
    /// `OK`.
    Ok,
}

impl Said {
    /// None for all that does not belong to the protocol, and for what a pinentry has no reason to say: data, a question
    /// of its own.
    pub(super) fn read(line: &[u8]) -> Option<Self> {
        if line.len() > LINE_LIMIT {
            return None;
        }
        let (word, rest) = match line.iter().position(|byte| *byte == b' ') {
            Some(space) => line.split_at(space),
            None => (line, &[][..]),
        };
        match word {
            b"OK" => Some(Self::Ok),
            b"ERR" => {
                let digits = rest.strip_prefix(b" ")?.split(|byte| *byte == b' ').next()?;
                // A number alone: parse() would take a sign.
                let number = digits.iter().all(u8::is_ascii_digit).then_some(digits)?;
                let value: u32 = std::str::from_utf8(number).ok()?.parse().ok()?;
                Some(Self::Error(value & CODE_MASK))
            }
            b"S" => Some(Self::Aside),
            _ => line.starts_with(b"#").then_some(Self::Aside),
        }
    }
}

/// A line with a command. What would end the line or begin an escape is escaped; what does not fit is left out, and an
/// ellipsis says so.
pub(super) fn line(command: &str, argument: &str) -> String {
    const ELLIPSIS: char = '…';
    let mut line = command.to_owned();
    if !argument.is_empty() {
        line.push(' ');
    }
    for character in argument.chars() {
        let before = line.len();
        if character == '%' || character.is_control() {
            for byte in character.encode_utf8(&mut [0; 4]).bytes() {
                let _ = write!(line, "%{byte:02X}");
            }
        } else {
            line.push(character);
        }
        if line.len() > LINE_LIMIT - ELLIPSIS.len_utf8() {
            line.truncate(before);
            line.push(ELLIPSIS);
            break;
        }
    }
    line.push('\n');
    line
}

#[cfg(test)]
mod tests {
    use super::{LINE_LIMIT, Said, line};

    #[test]
    fn answers_are_read_to_the_letter() {
        for (text, said) in [
            ("OK", Some(Said::Ok)),
            ("OK Pleased to meet you", Some(Said::Ok)),
            ("OKAY", None),
            ("ok", None),
            (" OK", None),
            ("ERR 83886179 Operation cancelled <Pinentry>", Some(Said::Error(99))),
            ("ERR 83886194", Some(Said::Error(114))),
            ("ERR 536871187 Unknown IPC command <User defined source 1>", Some(Said::Error(275))),
            ("ERR", None),
            ("ERR ", None),
            ("ERR +99", None),
            ("ERR -99", None),
            ("ERR 99999999999", None),
            ("ERR  99", None),
            ("S BUTTON_INFO close", Some(Said::Aside)),
            ("# words", Some(Said::Aside)),
            ("#", Some(Said::Aside)),
            ("D 123456", None),
            ("INQUIRE QUALITY x", None),
            ("OK\r", None),
            ("", None),
        ] {
            assert_eq!(Said::read(text.as_bytes()), said, "{text}");
        }
        let long = |count: usize| format!("OK {}", "x".repeat(count - 3));
        assert_eq!(Said::read(long(LINE_LIMIT).as_bytes()), Some(Said::Ok));
        assert_eq!(Said::read(long(LINE_LIMIT + 1).as_bytes()), None);
    }

    #[test]
    fn a_command_is_one_line_whatever_stands_in_it() {
        assert_eq!(line("SETDESC", "50 %\nBYE\r\u{85}é"), "SETDESC 50 %25%0ABYE%0D%C2%85é\n");
        assert_eq!(line("CONFIRM", ""), "CONFIRM\n");
        for letter in ["x", "%", "\n", "é", "€", "𝄞"] {
            let long = line("SETDESC", &letter.repeat(2000));
            assert!(long.ends_with("…\n") && long.len() - 1 <= LINE_LIMIT, "{letter:?}: {}", long.len());
            assert!(long.len() > LINE_LIMIT - 12 && long.matches('\n').count() == 1, "{letter:?}: {}", long.len());
            assert!(!long.trim_end_matches("…\n").ends_with('%'), "{letter:?}");
        }
        let exact = line("SETDESC", &"x".repeat(LINE_LIMIT - 3 - "SETDESC ".len()));
        assert!(!exact.contains('…') && exact.len() == LINE_LIMIT - 2, "{}", exact.len());
    }
}
