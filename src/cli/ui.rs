//! stdout is data, stderr is talk. Text from outside passes through `Label`, and a reader that has gone ends a command quietly.

use super::exit::{Failure, Outcome};
use crate::model::{Label, Message};
use crate::wire::{Code, Event, Fault};
use serde::Serialize;
use std::io::{ErrorKind, IsTerminal, Write};

/// Writes data, in one write. A wide table, JSON or a secret: never talk.
pub(super) fn data(bytes: &[u8]) -> Outcome {
    let mut stdout = std::io::stdout().lock();
    stdout.write_all(bytes).and_then(|()| stdout.flush()).map_err(|error| match error.kind() {
        ErrorKind::BrokenPipe => Failure::BrokenPipe,
        _ => Fault::new(Code::Internal, "stdout cannot be written").into(),
    })
}

/// Writes a value of the wire protocol as JSON for people and programs alike: its field names are stable.
pub(super) fn json(value: &impl Serialize) -> Outcome {
    let mut out = crate::client::WipedBuffer::with_capacity(4096);
    serde_json::to_writer_pretty(&mut out, value)
        .map_err(|_| Fault::new(Code::Internal, "the answer cannot be written as JSON"))?;
    out.extend(b"\n");
    data(out.as_slice())
}

/// Writes a line of talk. Nobody to hear it is no failure.
pub(super) fn say(line: &str) {
    let mut stderr = std::io::stderr().lock();
    // One write, so that the lines of many clients on one terminal do not mix.
    let _ = stderr.write_all(format!("{line}\n").as_bytes());
}

/// A fault as a person reads it: what happened, and on a line of its own what to type next.
pub(super) fn fault(fault: &Fault) -> String {
    let hint = fault.hint.as_ref().map(|hint| format!("\nhint: {}", Label(hint))).unwrap_or_default();
    format!("claviger: {}{hint}", Message(&fault.message))
}

/// What is said while a command waits: on a terminal one line that is redrawn and erased, elsewhere a line per event.
pub(super) struct Progress {
    terminal: bool,
    elsewhere: bool,
    shown: bool,
}

impl Progress {
    pub(super) fn new() -> Self {
        Self { terminal: std::io::stderr().is_terminal(), elsewhere: true, shown: false }
    }

    /// The same, silent where stderr is no terminal: an SDK takes what it finds there for an error.
    pub(super) fn on_terminal_only() -> Self {
        Self { elsewhere: false, ..Self::new() }
    }

    /// Shows an event that needs no answer.
    pub(super) fn event(&mut self, event: &Event) {
        if let Event::WaitingForCode { serial, seconds } = event {
            self.show(&waiting(serial, *seconds));
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
            let _ = std::io::stderr().write_all(format!("\r\x1b[K{line}").as_bytes());
        } else if self.elsewhere {
            say(line);
        }
    }

    /// Erases the line.
    pub(super) fn clear(&mut self) {
        if std::mem::take(&mut self.shown) {
            let _ = std::io::stderr().write_all(b"\r\x1b[K");
        }
    }
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
    use super::{fault, waiting};
    use crate::wire::{Code, Fault};

    #[test]
    fn text_from_outside_cannot_draw_on_the_terminal() {
        let hostile = Fault::new(Code::ProfileNotFound, "no profile \u{1b}[2J\nx").hint("rm\r-rf");
        assert_eq!(fault(&hostile), "claviger: no profile ?[2J?x\nhint: rm?-rf");
        assert_eq!(waiting("arn:aws:iam::123456789012:mfa/a\u{7}da", 7), "waiting 7 s for the next code of a?da");
    }
}
