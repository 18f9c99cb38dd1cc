//! stdout is data, stderr is talk. Text from outside passes through `Label`, and a reader that has gone ends a command quietly.

use super::exit::{Failure, Outcome};
use super::questions::touch;
use crate::model::{Label, Message};
use crate::wire::{Code, Event, Fault};
use rustix::termios::tcgetwinsize;
use serde::Serialize;
use std::io::{ErrorKind, IsTerminal, Write};
use std::os::fd::AsFd;
use std::sync::mpsc::{RecvTimeoutError, Sender, channel};
use std::thread::JoinHandle;
use std::time::Duration;

/// Writes data, in one write. A wide table, JSON or a secret: never talk.
pub(super) fn data(bytes: &[u8]) -> Outcome {
    let mut stdout = std::io::stdout().lock();
    stdout.write_all(bytes).and_then(|()| stdout.flush()).map_err(|error| match error.kind() {
        ErrorKind::BrokenPipe => Failure::BrokenPipe,
        _ => Fault::new(Code::Internal, "stdout cannot be written").into(),
    })
}

/// Writes a line that is a secret.
pub(super) fn secret_line(secret: &str) -> Outcome {
    let mut line = crate::client::WipedBuffer::with_capacity(secret.len() + 1);
    line.extend(secret.as_bytes());
    line.extend(b"\n");
    data(line.as_slice())
}

/// Writes a value of the wire protocol as JSON for people and programs alike: its field names are stable.
pub(super) fn json(value: &impl Serialize) -> Outcome {
    let mut out = crate::client::WipedBuffer::with_capacity(4096);
    serde_json::to_writer_pretty(&mut out, value)
        .map_err(|_| Fault::new(Code::Internal, "the answer cannot be written as JSON"))?;
    out.extend(b"\n");
    data(out.as_slice())
}

/// Writes a line of talk, on a terminal broken between words. Nobody to hear it is no failure.
pub(super) fn say(line: &str) {
    let line = match width() {
        Some(width) => wrap(line, width),
        None => line.to_owned(),
    };
    let mut stderr = std::io::stderr().lock();
    // One write, so that the lines of many clients on one terminal do not mix.
    let _ = stderr.write_all(format!("{line}\n").as_bytes());
}

/// The columns of the terminal on stderr, where it says so.
fn width() -> Option<usize> {
    columns(rustix::stdio::stderr())
}

/// The columns of the terminal on stdout: none where a program reads it.
pub(super) fn page_width() -> Option<usize> {
    columns(rustix::stdio::stdout())
}

fn columns(terminal: impl AsFd) -> Option<usize> {
    let columns = tcgetwinsize(terminal).ok()?.ws_col;
    (columns > 0).then_some(columns.into())
}

/// A line that stays in one row.
fn cut(line: &str, width: usize) -> String {
    match line.char_indices().nth(width.saturating_sub(1)) {
        Some((end, _)) if line.chars().count() >= width => {
            let end = line.get(..end).and_then(|line| line.char_indices().last()).map_or(0, |(last, _)| last);
            format!("{}…", line.get(..end).unwrap_or_default())
        }
        _ => line.to_owned(),
    }
}

/// Breaks lines between words. A hint stays whole: it is there to be copied.
fn wrap(text: &str, width: usize) -> String {
    let mut lines: Vec<String> = Vec::new();
    for line in text.lines() {
        let mut current = String::new();
        let whole = line.starts_with(HINT);
        for word in line.split(' ') {
            let columns = current.chars().count().saturating_add(1).saturating_add(word.chars().count());
            if !current.is_empty() && columns > width && !whole {
                lines.push(std::mem::take(&mut current));
            } else if !current.is_empty() {
                current.push(' ');
            }
            current.push_str(word);
        }
        lines.push(current);
    }
    lines.join("\n")
}

/// What a line with a command to type begins with.
const HINT: &str = "hint: ";

/// A fault as a person reads it: what happened, and on a line of its own what to type next.
pub(super) fn fault(fault: &Fault) -> String {
    let hint = fault.hint.as_ref().map(|hint| format!("\n{HINT}{}", Label(hint))).unwrap_or_default();
    format!("claviger: {}{hint}", Message(&fault.message))
}

/// What is said while a command waits: on a terminal one line that is redrawn and erased, elsewhere a line per event.
pub(super) struct Progress {
    terminal: bool,
    elsewhere: bool,
    shown: bool,
    countdown: Option<Countdown>,
    /// The number of the touch that is shown.
    touch: Option<u64>,
}

/// A thread that redraws the line each second, until its sender is dropped.
struct Countdown {
    stop: Sender<()>,
    thread: JoinHandle<()>,
}

impl Progress {
    pub(super) fn new() -> Self {
        let terminal = std::io::stderr().is_terminal();
        Self { terminal, elsewhere: true, shown: false, countdown: None, touch: None }
    }

    /// The same, silent where stderr is no terminal: an SDK takes what it finds there for an error.
    pub(super) fn on_terminal_only() -> Self {
        let mut progress = Self::new();
        progress.elsewhere = false;
        progress
    }

    /// Shows an event that needs no answer.
    pub(super) fn event(&mut self, event: &Event) {
        match event {
            Event::WaitingForCode { serial, seconds } => {
                self.stop();
                self.show(&waiting(serial, *seconds));
                if self.terminal {
                    self.countdown = Some(Countdown::start(serial.clone(), *seconds));
                }
            }
            Event::TouchNeeded { number, device, purpose, asked_by } => {
                self.stop();
                self.touch = Some(*number);
                self.show(&touch(device, purpose, asked_by));
            }
            Event::TouchOver { number } if self.touch == Some(*number) => {
                self.touch = None;
                self.clear();
            }
            _ => {}
        }
    }

    /// Shows a line only where it can be erased again.
    pub(super) fn brief(&mut self, line: &str) {
        if self.terminal {
            self.show(line);
        }
    }

    fn show(&mut self, line: &str) {
        if self.terminal {
            self.shown = true;
            // One that goes on in the next row could not be erased.
            match width() {
                Some(width) => draw(&cut(line, width)),
                None => draw(line),
            }
        } else if self.elsewhere {
            say(line);
        }
    }

    /// Erases the line.
    pub(super) fn clear(&mut self) {
        self.stop();
        if std::mem::take(&mut self.shown) {
            draw("");
        }
    }

    /// Once this returns nothing is drawn any more.
    fn stop(&mut self) {
        if let Some(Countdown { stop, thread }) = self.countdown.take() {
            drop(stop);
            let _ = thread.join();
        }
    }
}

impl Countdown {
    fn start(serial: String, seconds: u64) -> Self {
        let (stop, stopped) = channel();
        let thread = std::thread::spawn(move || {
            for left in (0..seconds).rev() {
                match stopped.recv_timeout(Duration::from_secs(1)) {
                    Err(RecvTimeoutError::Timeout) => draw(&waiting(&serial, left)),
                    _ => return,
                }
            }
        });
        Self { stop, thread }
    }
}

/// In place of what the line shows.
fn draw(line: &str) {
    let _ = std::io::stderr().write_all(format!("\r\x1b[K{line}").as_bytes());
}

impl Drop for Progress {
    fn drop(&mut self) {
        self.clear();
    }
}

fn waiting(serial: &str, seconds: u64) -> String {
    let device = serial.rsplit('/').next().unwrap_or(serial);
    format!("waiting {seconds} s for the next code of {}", Label(device))
}

#[cfg(test)]
mod tests {
    use super::{cut, fault, waiting, wrap};
    use crate::wire::{Code, Fault};

    #[test]
    fn lines_break_between_words_and_hints_do_not() {
        let text = "claviger: no profile is named prod\nhint: claviger profile list";
        assert_eq!(wrap(text, 20), "claviger: no profile\nis named prod\nhint: claviger profile list");
        assert_eq!(wrap("a-word-longer-than-the-line b", 5), "a-word-longer-than-the-line\nb");
        assert_eq!(wrap("two  spaces\n\nstay", 80), "two  spaces\n\nstay");
    }

    #[test]
    fn a_line_stays_in_its_row() {
        for (text, width, wanted) in [
            ("abcd", 6, "abcd"),
            ("abcd", 5, "abcd"),
            ("abcd", 4, "ab…"),
            ("é€𝄞d", 3, "é…"),
            ("ab", 1, "…"),
            ("", 1, ""),
        ] {
            assert_eq!(cut(text, width), wanted, "{text} {width}");
        }
    }

    #[test]
    fn text_from_outside_cannot_draw_on_the_terminal() {
        let hostile = Fault::new(Code::ProfileNotFound, "no profile \u{1b}[2J\nx").hint("rm\r-rf");
        assert_eq!(fault(&hostile), "claviger: no profile ?[2J?x\nhint: rm?-rf");
        assert_eq!(waiting("arn:aws:iam::123456789012:mfa/a\u{7}da", 7), "waiting 7 s for the next code of a?da");
    }
}
