//! Programs that ask at a terminal and nowhere else.

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::pty::{OpenptFlags, grantpt, openpt, ptsname, unlockpt};
use rustix::termios::{LocalModes, Winsize, tcgetattr, tcsetwinsize};
use std::fs::File;
use std::io::{Read, Write};
use std::os::unix::ffi::OsStrExt;
use std::process::{Child, Command, Output};

/// A run on a pseudo-terminal.
pub(crate) struct OnTerminal {
    child: Child,
    screen: File,
    seen: String,
    /// The beginning of a character whose end has not come.
    begun: Vec<u8>,
}

impl OnTerminal {
    /// Starts it. The command says how it gets the terminal: by `setsid --ctty`.
    pub(crate) fn start(mut command: Command) -> Self {
        let screen = openpt(OpenptFlags::RDWR | OpenptFlags::NOCTTY | OpenptFlags::CLOEXEC).expect("a terminal");
        let size = Winsize { ws_col: 80, ws_row: 24, ws_xpixel: 0, ws_ypixel: 0 };
        tcsetwinsize(&screen, size).expect("its size");
        grantpt(&screen).expect("its other end");
        unlockpt(&screen).expect("its other end");
        let name = ptsname(&screen, Vec::new()).expect("its name");
        let name = std::ffi::OsStr::from_bytes(name.to_bytes());
        let line = File::options().read(true).write(true).open(name).expect("its other end");
        let copy = || line.try_clone().expect("a copy");
        command.stdin(copy()).stdout(copy()).stderr(copy());
        let child = command.spawn().expect("the program");
        Self { child, screen: screen.into(), seen: String::new(), begun: Vec::new() }
    }

    /// Makes the screen so large.
    pub(crate) fn resize(&self, columns: u16, rows: u16) {
        let size = Winsize { ws_col: columns, ws_row: rows, ws_xpixel: 0, ws_ypixel: 0 };
        tcsetwinsize(&self.screen, size).expect("its size");
    }

    /// Waits until this is on the screen, beyond what was waited for before. What came until then.
    pub(crate) fn wait_for(&mut self, text: &str) -> String {
        while !self.seen.contains(text) {
            // A test that waits in vain should say so, not hang.
            let long = Timespec { tv_sec: 60, tv_nsec: 0 };
            let came = poll(&mut [PollFd::new(&self.screen, PollFlags::IN)], Some(&long)).expect("a poll");
            assert!(came > 0 && self.more(), "{text:?} never came; {:?}", self.seen);
        }
        let place = self.seen.find(text).expect("it is there") + text.len();
        self.seen.drain(..place).collect()
    }

    fn more(&mut self) -> bool {
        let mut chunk = [0; 1024];
        let count = self.screen.read(&mut chunk).unwrap_or_default();
        self.begun.extend_from_slice(&chunk[..count]);
        let whole = std::str::from_utf8(&self.begun).map_or_else(|error| error.valid_up_to(), str::len);
        let whole: Vec<u8> = self.begun.drain(..whole).collect();
        self.seen.push_str(&String::from_utf8(whole).expect("UTF-8"));
        count > 0
    }

    /// Types a line once the terminal no longer shows what is typed.
    pub(crate) fn enter_hidden(&mut self, text: &str) {
        while tcgetattr(&self.screen).expect("its modes").local_modes.contains(LocalModes::ECHO) {
            std::thread::yield_now();
        }
        self.enter(text);
    }

    /// Types a line.
    pub(crate) fn enter(&mut self, text: &str) {
        writeln!(self.screen, "{text}").expect("the terminal");
    }

    /// The end, and what else the terminal showed, as its stdout.
    pub(crate) fn end(mut self) -> Output {
        while self.more() {}
        let status = self.child.wait().expect("its end");
        Output { status, stdout: self.seen.into_bytes(), stderr: Vec::new() }
    }
}
