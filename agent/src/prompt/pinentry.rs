//! Pinentry, by the Assuan protocol (The GnuPG Project, "Developing with Assuan", and pinentry's own manual): lines of at
//! most 1000 bytes, a command answered by `OK` or `ERR`.

use super::limits::{ASIDES_LIMIT, LINE_LIMIT, SECRET_LIMIT};
use super::text::Words;
use super::{Asking, Programs, Unasked, Word};
use crate::world::Running;
use claviger::secret::{Pin, SecretText};
use std::fmt::Write;
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::process::{ChildStdin, ChildStdout};
use zeroize::Zeroizing;

/// How it is called in what is said of it.
const NAME: &str = "pinentry";
/// A person's no, by its number in libgpg-error: cancelled, not confirmed, fully cancelled.
const REFUSALS: [u32; 3] = [99, 114, 198];
/// What a pinentry calls itself that knows no display; others name a second one behind a colon.
const TERMINAL_FLAVOURS: [&[u8]; 2] = [b"curses", b"tty"];
/// The status of a pinentry that gives what it has kept.
const FROM_CACHE: &[u8] = b" PASSWORD_FROM_CACHE";
/// What an error's number is in an error value of libgpg-error; the rest says where it comes from.
const CODE_MASK: u32 = 0xffff;

/// Asks by a pinentry that has been started. No cache of passwords is asked or given anything: the option that allows one
/// is never set, and what comes from one is no answer.
pub(super) async fn ask(mut running: Running, programs: &Programs, asking: &Asking) -> Result<Word, Unasked> {
    let (Some(to), Some(from)) = (running.stdin(), running.stdout()) else { return Err(Unasked::BadAnswer(NAME)) };
    let mut talk = Talk { to, from: BufReader::with_capacity(LINE_LIMIT, from), typed: None };
    talk.hear().await?.map_err(Unasked::Failed)?;
    if programs.variable("GPG_TTY").is_none() && talk.needs_terminal().await? {
        return Err(Unasked::NoDisplay);
    }
    let locale = locale(programs);
    for (option, variable) in [
        ("ttyname", "GPG_TTY"),
        ("ttytype", "TERM"),
        ("display", "DISPLAY"),
        ("lc-ctype", locale),
        ("lc-messages", locale),
    ] {
        if let Some(value) = programs.variable(variable).and_then(|value| value.to_str()) {
            // One that it does not know is none the worse.
            let _ = talk.say("OPTION", &format!("{option}={value}")).await?;
        }
    }
    let Words { title, lines, prompt, problem } = Words::of(asking);
    let (allow, refuse) = if prompt.is_none() { ("Allow", "Refuse") } else { ("OK", "Cancel") };
    for (command, text) in [("SETTITLE", "claviger"), ("SETOK", allow), ("SETCANCEL", refuse)] {
        let _ = talk.say(command, text).await?;
    }
    // Without its text it would ask for nobody knows what.
    talk.say("SETDESC", &format!("{title}\n\n{}", lines.join("\n"))).await?.map_err(Unasked::Failed)?;
    if let Some(problem) = problem {
        let _ = talk.say("SETERROR", &problem).await?;
    }
    let said = match prompt {
        None => talk.say("CONFIRM", "").await?.map(|()| Word::Yes),
        Some(prompt) => {
            let _ = talk.say("SETPROMPT", &prompt).await?;
            let (said, typed) = talk.ask("GETPIN", "").await?;
            let typed = std::str::from_utf8(&typed).map_err(|_| Unasked::BadAnswer(NAME))?;
            said.map(|()| Word::Secret(Pin::from_text(typed.to_owned())))
        }
    };
    match said {
        Ok(word) => Ok(word),
        Err(code) if REFUSALS.contains(&code) => Ok(Word::No),
        Err(code) => Err(Unasked::Failed(code)),
    }
}

/// The variable that decides about the character set (setlocale(3)), of those that are passed on.
fn locale(programs: &Programs) -> &'static str {
    if programs.variable("LC_ALL").is_some() { "LC_ALL" } else { "LANG" }
}

/// Both ends of a pinentry.
struct Talk {
    to: ChildStdin,
    from: BufReader<ChildStdout>,
    /// The data of an answer, where some is asked for: what has been typed.
    typed: Option<Zeroizing<Vec<u8>>>,
}

impl Talk {
    /// Whether it can show itself on a terminal alone. Without one, that of pinentry-tty says that a person refused.
    async fn needs_terminal(&mut self) -> Result<bool, Unasked> {
        let (said, flavour) = self.ask("GETINFO", "flavor").await?;
        Ok(said.is_ok() && TERMINAL_FLAVOURS.contains(&flavour.as_slice()))
    }

    /// Says a command that is answered with data.
    async fn ask(&mut self, command: &str, argument: &str) -> Result<(Result<(), u32>, Zeroizing<Vec<u8>>), Unasked> {
        self.typed = Some(Zeroizing::new(Vec::with_capacity(LINE_LIMIT)));
        let said = self.say(command, argument).await?;
        Ok((said, self.typed.take().unwrap_or_default()))
    }

    /// Says a command and hears the answer: the number of an error, where it is one.
    async fn say(&mut self, command: &str, argument: &str) -> Result<Result<(), u32>, Unasked> {
        let sent = self.to.write_all(line(command, argument).as_bytes()).await;
        sent.map_err(|_| Unasked::BadAnswer(NAME))?;
        self.hear().await
    }

    /// The next answer.
    async fn hear(&mut self) -> Result<Result<(), u32>, Unasked> {
        for _ in 0..=ASIDES_LIMIT {
            let mut line = Zeroizing::new(Vec::with_capacity(LINE_LIMIT + 1));
            // A line, its newline, and a byte by which one that is too long is known.
            let mut most = (&mut self.from).take(LINE_LIMIT as u64 + 1);
            most.read_until(b'\n', &mut line).await.map_err(|_| Unasked::BadAnswer(NAME))?;
            let Some(line) = line.strip_suffix(b"\n") else { break };
            match (Said::read(line), &mut self.typed) {
                (Some(Said::Aside), _) => {}
                (Some(Said::Data), Some(typed)) => {
                    if !unescape(line, typed) {
                        break;
                    }
                }
                (Some(Said::Error(code)), _) => return Ok(Err(code)),
                (Some(Said::Ok), _) => return Ok(Ok(())),
                (Some(Said::Data), None) | (None, _) => break,
            }
        }
        Err(Unasked::BadAnswer(NAME))
    }
}

/// Adds what a line of data holds. False where it is no such line, or too much.
pub(super) fn unescape(line: &[u8], into: &mut Vec<u8>) -> bool {
    let Some(mut rest) = line.strip_prefix(b"D ") else { return false };
    while let Some((byte, after)) = rest.split_first() {
        let (byte, after) = match (byte, after) {
            (b'%', [high, low, after @ ..]) => match (digit(*high), digit(*low)) {
                (Some(high), Some(low)) => (high << 4 | low, after),
                _ => return false,
            },
            (b'%', _) => return false,
            (byte, after) => (*byte, after),
        };
        if into.len() >= SECRET_LIMIT {
            return false;
        }
        into.push(byte);
        rest = after;
    }
    true
}

fn digit(byte: u8) -> Option<u8> {
    char::from(byte).to_digit(16).and_then(|digit| u8::try_from(digit).ok())
}

/// A line of a pinentry.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Said {
    /// A comment, or a status that changes nothing.
    Aside,
    /// `D`, with what was typed.
    Data,
    /// `ERR`, with the number of the error.
    Error(u32),
    /// `OK`.
    Ok,
}

impl Said {
    /// None for all that does not belong to the protocol, and for what a pinentry has no reason to say: a question of its
    /// own, or that nobody has typed what it gives.
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
            b"S" if rest.starts_with(FROM_CACHE) => None,
            b"S" => Some(Self::Aside),
            b"D" => rest.starts_with(b" ").then_some(Self::Data),
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
    use super::{LINE_LIMIT, SECRET_LIMIT, Said, line, unescape};

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
            ("D 123456", Some(Said::Data)),
            ("D ", Some(Said::Data)),
            ("D", None),
            ("S PASSWORD_FROM_CACHE", None),
            ("S PIN_REPEATED", Some(Said::Aside)),
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
    fn data_is_unescaped_and_bounded() {
        for (text, wanted) in [
            ("D 123456", Some("123456")),
            ("D 100%25", Some("100%")),
            ("D a%0Ab%0d+ c", Some("a\nb\r+ c")),
            ("D ", Some("")),
            ("D %", None),
            ("D %2", None),
            ("D %2g", None),
            ("D %+1", None),
            ("D123", None),
        ] {
            let mut typed = Vec::new();
            assert_eq!(
                unescape(text.as_bytes(), &mut typed).then_some(typed.as_slice()),
                wanted.map(str::as_bytes),
                "{text}"
            );
        }
        let mut typed = Vec::new();
        assert!(unescape(format!("D {}", "x".repeat(SECRET_LIMIT)).as_bytes(), &mut typed));
        assert!(!unescape(b"D x", &mut typed) && typed.len() == SECRET_LIMIT);
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
