//! Programs that ask at a terminal and nowhere else.

use crate::softkey::{Bridge, Ended};
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::pty::{OpenptFlags, grantpt, openpt, ptsname, unlockpt};
use rustix::termios::{LocalModes, tcgetattr};
use std::fs::File;
use std::io::{Read, Write};
use std::os::unix::ffi::OsStrExt;
use std::process::Child;

/// A run on a pseudo-terminal.
pub(crate) struct OnTerminal {
    child: Child,
    screen: File,
    seen: String,
}

impl OnTerminal {
    pub(crate) fn start(bridge: &Bridge, words: &[&str]) -> Self {
        let screen = openpt(OpenptFlags::RDWR | OpenptFlags::NOCTTY | OpenptFlags::CLOEXEC).expect("a terminal");
        grantpt(&screen).expect("its other end");
        unlockpt(&screen).expect("its other end");
        let name = ptsname(&screen, Vec::new()).expect("its name");
        let name = std::ffi::OsStr::from_bytes(name.to_bytes());
        let line = File::options().read(true).write(true).open(name).expect("its other end");
        let copy = || line.try_clone().expect("a copy");
        let mut command = bridge.command_with(&["setsid", "--wait", "--ctty"], words);
        command.stdin(copy()).stdout(copy()).stderr(copy());
        Self { child: command.spawn().expect("the program"), screen: screen.into(), seen: String::new() }
    }

    /// Runs it to its end; answers each of these questions once, in turn, with what is not shown.
    pub(crate) fn answer(bridge: &Bridge, words: &[&str], answers: &[(&str, &str)]) -> Ended {
        let mut run = Self::start(bridge, words);
        for (question, answer) in answers {
            run.wait_for(question);
            run.enter_hidden(answer);
        }
        run.end()
    }

    /// Waits until this is on the screen, beyond what was waited for before.
    pub(crate) fn wait_for(&mut self, text: &str) {
        while !self.seen.contains(text) {
            // A test that waits in vain should say so, not hang.
            let long = Timespec { tv_sec: 60, tv_nsec: 0 };
            let came = poll(&mut [PollFd::new(&self.screen, PollFlags::IN)], Some(&long)).expect("a poll");
            assert!(came > 0 && self.more(), "{text:?} never came; {:?}", self.seen);
        }
        let place = self.seen.find(text).expect("it is there") + text.len();
        self.seen.drain(..place);
    }

    fn more(&mut self) -> bool {
        let mut chunk = [0; 1024];
        let count = self.screen.read(&mut chunk).unwrap_or_default();
        self.seen.push_str(&String::from_utf8_lossy(&chunk[..count]));
        count > 0
    }

    /// Types a line once the terminal no longer shows what is typed.
    fn enter_hidden(&mut self, text: &str) {
        while tcgetattr(&self.screen).expect("its modes").local_modes.contains(LocalModes::ECHO) {
            std::thread::yield_now();
        }
        writeln!(self.screen, "{text}").expect("the terminal");
    }

    /// The end, and what else the terminal showed.
    pub(crate) fn end(mut self) -> Ended {
        while self.more() {}
        let exit = self.child.wait().expect("its end").code();
        Ended { exit, stdout: self.seen, stderr: String::new() }
    }
}
