//! Running the built client, with a terminal or surely without one.

use crate::agent::Home;
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::fs::{Mode, OFlags};
use rustix::pty::{OpenptFlags, grantpt, openpt, ptsname, unlockpt};
use rustix::termios::{LocalModes, Winsize, tcgetattr, tcsetwinsize};
use std::fs::File;
use std::io::{Read, Write};
use std::os::fd::OwnedFd;
use std::process::{Child, Command, Output, Stdio};

const PROGRAM: &str = env!("CARGO_BIN_EXE_claviger");

/// How a run ended.
#[derive(Debug, PartialEq, Eq)]
#[must_use]
pub(crate) struct Ended {
    pub(crate) exit: i32,
    pub(crate) stdout: String,
    pub(crate) stderr: String,
}

pub(crate) fn ended(exit: i32, stdout: &str, stderr: &str) -> Ended {
    Ended { exit, stdout: stdout.to_owned(), stderr: stderr.to_owned() }
}

impl From<Output> for Ended {
    fn from(output: Output) -> Self {
        let text = |bytes| String::from_utf8(bytes).expect("UTF-8");
        Self {
            exit: output.status.code().expect("an exit code"),
            stdout: text(output.stdout),
            stderr: text(output.stderr),
        }
    }
}

/// A session of its own, and so no controlling terminal, whatever runs the tests.
pub(crate) fn without_terminal(home: &Home, program: &std::path::Path) -> Command {
    let mut command = Command::new("setsid");
    command.arg("--wait").arg(program).env_clear().env("CLAVIGER_HOME", home.path()).env("PATH", "/usr/bin:/bin");
    command
}

/// Runs it with this on stdin.
pub(crate) fn run(home: &Home, arguments: &[&str], stdin: &str) -> Ended {
    let mut command = without_terminal(home, PROGRAM.as_ref());
    command.args(arguments).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().expect("the program");
    // A program that does not read it is none the worse.
    let _ = child.stdin.take().expect("stdin").write_all(stdin.as_bytes());
    child.wait_with_output().expect("its end").into()
}

/// Runs it under a shell, for its redirections; `$claviger` is the program.
pub(crate) fn shell(home: &Home, script: &str) -> Ended {
    let mut command = without_terminal(home, "sh".as_ref());
    command.args(["-c", script]).env("claviger", PROGRAM).current_dir(home.path()).stdin(Stdio::null());
    command.output().expect("a shell").into()
}

/// A run on a pseudo-terminal.
pub(crate) struct OnTerminal {
    child: Child,
    screen: File,
    seen: Vec<u8>,
}

impl OnTerminal {
    pub(crate) fn start(home: &Home, arguments: &[&str]) -> Self {
        Self::start_with(home, arguments, false)
    }

    /// The same with stdout on the terminal as well, which has 80 columns.
    pub(crate) fn start_all(home: &Home, arguments: &[&str]) -> Self {
        Self::start_with(home, arguments, true)
    }

    fn start_with(home: &Home, arguments: &[&str], all: bool) -> Self {
        let screen: OwnedFd =
            openpt(OpenptFlags::RDWR | OpenptFlags::NOCTTY | OpenptFlags::CLOEXEC).expect("a terminal");
        grantpt(&screen).expect("its other end");
        unlockpt(&screen).expect("its other end");
        let name = ptsname(&screen, Vec::new()).expect("its name");
        let line = rustix::fs::open(name, OFlags::RDWR | OFlags::NOCTTY | OFlags::CLOEXEC, Mode::empty())
            .expect("its other end");
        if all {
            tcsetwinsize(&line, Winsize { ws_row: 24, ws_col: 80, ws_xpixel: 0, ws_ypixel: 0 }).expect("its size");
        }
        let mut command = Command::new("setsid");
        command.args(["--wait", "--ctty", PROGRAM]).args(arguments).env_clear().env("CLAVIGER_HOME", home.path());
        command
            .env("PATH", "/usr/bin:/bin")
            .stdin(line.try_clone().expect("a copy"))
            .stdout(if all { line.try_clone().expect("a copy").into() } else { Stdio::piped() })
            .stderr(line);
        Self { child: command.spawn().expect("the program"), screen: screen.into(), seen: Vec::new() }
    }

    /// Waits until this is on the screen, beyond what was waited for before.
    pub(crate) fn wait_for(&mut self, text: &str) {
        let mut chunk = [0; 1024];
        loop {
            if let Some(place) = self.seen.windows(text.len()).position(|window| window == text.as_bytes()) {
                self.seen.drain(..place + text.len());
                return;
            }
            // A test that waits in vain should say so, not hang.
            let long = Timespec { tv_sec: 60, tv_nsec: 0 };
            let came = poll(&mut [PollFd::new(&self.screen, PollFlags::IN)], Some(&long)).expect("a poll");
            assert!(came > 0, "{text:?} never came; {}", self.left());
            let count = self.screen.read(&mut chunk).unwrap_or_else(|_| panic!("{text:?} never came; {}", self.left()));
            self.seen.extend_from_slice(&chunk[..count]);
        }
    }

    /// Types a line that is shown.
    pub(crate) fn enter(&mut self, text: &str) {
        self.press(&format!("{text}\n"));
    }

    /// Types these keys alone.
    pub(crate) fn press(&mut self, keys: &str) {
        self.screen.write_all(keys.as_bytes()).expect("the terminal");
    }

    /// Types a line once the terminal no longer shows what is typed.
    pub(crate) fn enter_hidden(&mut self, text: &str) {
        while tcgetattr(&self.screen).expect("its modes").local_modes.contains(LocalModes::ECHO) {
            std::thread::yield_now();
        }
        self.enter(text);
    }

    fn left(&self) -> String {
        String::from_utf8_lossy(&self.seen).into_owned()
    }

    /// The end: what is on stdout, and what else the terminal showed.
    pub(crate) fn end(mut self) -> Ended {
        let mut chunk = [0; 1024];
        while let Ok(count @ 1..) = self.screen.read(&mut chunk) {
            self.seen.extend_from_slice(&chunk[..count]);
        }
        let screen = self.left();
        let mut ended = Ended::from(self.child.wait_with_output().expect("its end"));
        ended.stderr = screen;
        ended
    }
}
