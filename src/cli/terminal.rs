//! Questions to a person, on the terminal itself and never on stdin or stdout: those belong to the data.

use crate::wire::{Code, Fault};
use rustix::termios::{
    LocalModes, OptionalActions, QueueSelector, Termios, tcflush, tcgetattr, tcgetwinsize, tcsetattr,
};
use std::fs::{File, OpenOptions};
use std::io::{ErrorKind, Read, Write};
use std::os::fd::{AsFd, BorrowedFd};
use zeroize::{Zeroize, Zeroizing};

const TTY: &str = "/dev/tty";

/// The longest answer taken. A passphrase is at most 1024 characters.
const LONGEST: usize = 8 * 1024;

/// The terminal that started this process.
pub(super) struct Terminal(File);

impl Terminal {
    /// None where the process has no terminal: a service, a cron job, a tool.
    pub(super) fn open() -> Option<Self> {
        OpenOptions::new().read(true).write(true).open(TTY).ok().map(Self)
    }

    /// Shows text as it stands.
    pub(super) fn show(&mut self, text: &str) -> Result<(), Fault> {
        self.0.write_all(text.as_bytes()).map_err(|_| lost())
    }

    /// Asks for a line that may be seen while it is typed. Surrounding space is dropped.
    pub(super) fn ask(&mut self, prompt: &str) -> Result<Zeroizing<String>, Fault> {
        self.show(prompt)?;
        self.line()
    }

    /// The next line that is typed. Surrounding space is dropped.
    pub(super) fn line(&mut self) -> Result<Zeroizing<String>, Fault> {
        Ok(Zeroizing::new(self.whole_line()?.trim().to_owned()))
    }

    /// The next line that is typed, exactly as it is.
    pub(super) fn whole_line(&mut self) -> Result<Zeroizing<String>, Fault> {
        let mut line = Zeroizing::new(Vec::with_capacity(LONGEST));
        let mut byte = [0_u8; 1];
        // Byte by byte: what is typed ahead belongs to the next question.
        loop {
            match self.0.read(&mut byte) {
                Ok(0) if line.is_empty() => return Err(cancelled()),
                Ok(0) => break,
                Ok(_) if byte == *b"\n" => break,
                Ok(_) if line.len() < LONGEST => line.extend_from_slice(&byte),
                Ok(_) => {}
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(_) => return Err(lost()),
            }
        }
        byte.zeroize();
        let text = std::str::from_utf8(&line).map_err(|_| Fault::new(Code::Usage, "what was typed is not UTF-8"))?;
        Ok(Zeroizing::new(text.to_owned()))
    }

    /// Columns and lines; None where it does not say.
    pub(super) fn size(&self) -> Option<(usize, usize)> {
        let size = tcgetwinsize(&self.0).ok()?;
        (size.ws_col > 0 && size.ws_row > 0).then_some((size.ws_col.into(), size.ws_row.into()))
    }

    /// No key ends this process until this is dropped.
    pub(super) fn hold_signals(&self) -> Result<Changed, Fault> {
        self.change(|modes| modes.local_modes.remove(LocalModes::ISIG))
    }

    /// Shows nothing of what is typed until this is dropped.
    pub(super) fn hide_typing(&self) -> Result<Changed, Fault> {
        self.change(|modes| {
            modes.local_modes.remove(LocalModes::ECHO);
            // The end of the line alone is shown.
            modes.local_modes.insert(LocalModes::ECHONL);
        })
    }

    fn change(&self, change: impl FnOnce(&mut Termios)) -> Result<Changed, Fault> {
        let terminal = self.0.try_clone().map_err(|_| lost())?;
        let before = tcgetattr(&terminal).map_err(|_| lost())?;
        let mut modes = before.clone();
        change(&mut modes);
        tcsetattr(&terminal, OptionalActions::Now, &modes).map_err(|_| lost())?;
        Ok(Changed { terminal, before })
    }

    /// What has been typed up to now answers nothing that is asked from now on.
    pub(super) fn forget_typed(&mut self) {
        let _ = tcflush(&self.0, QueueSelector::IFlush);
    }

    /// Where what is typed comes from, to wait for it.
    pub(super) fn input(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }

    /// Asks for a line that is not shown while it is typed, and takes it exactly as it is.
    pub(super) fn ask_hidden(&mut self, prompt: &str) -> Result<String, Fault> {
        rpassword::prompt_password(prompt).map_err(|error| match error.kind() {
            ErrorKind::Interrupted | ErrorKind::UnexpectedEof => cancelled(),
            _ => lost(),
        })
    }
}

/// A terminal that is as it was once this is dropped.
pub(super) struct Changed {
    terminal: File,
    before: Termios,
}

impl Drop for Changed {
    fn drop(&mut self) {
        let _ = tcsetattr(&self.terminal, OptionalActions::Now, &self.before);
    }
}

fn cancelled() -> Fault {
    Fault::new(Code::RequestCancelled, "cancelled")
}

fn lost() -> Fault {
    Fault::new(Code::RequestCancelled, "the terminal has gone")
}
