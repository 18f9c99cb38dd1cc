//! The old agent's side: starts its successor, and ends it where that comes to nothing. Blocking.

use super::channel::{Channel, Packet};
use super::program::Program;
use super::{END, FAILED, GO, PREPARED, READY, SERVING};
use claviger::wire::{Code, Fault};
use std::io;
use std::os::fd::BorrowedFd;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

/// How long a successor may take to read its configuration, on a busy machine. Until then the old agent serves.
const START_LIMIT: Duration = Duration::from_secs(10);
/// How long each further step may take: nobody is served meanwhile.
const STEP_LIMIT: Duration = Duration::from_secs(5);

/// What belonged to the process that passed it, and to nobody who takes its place.
const NOT_INHERITED: [&str; 3] = ["LISTEN_FDS", "LISTEN_FDNAMES", "LISTEN_PID"];

/// A process that is about to take this one's place. Dropped before its turn, it is killed and waited for.
pub(crate) struct Successor {
    child: Child,
    channel: Channel,
    /// It may be serving: it lives on.
    established: bool,
}

impl Successor {
    /// Starts it and waits until it protects itself and its configuration is in order: its name and version.
    pub(crate) fn start(program: &Program, detached: bool) -> Result<(Self, String), Fault> {
        let begin = || {
            let (channel, end) = Channel::pair(STEP_LIMIT)?;
            let mut command = Command::new(program.path());
            command.arg("run").args(detached.then_some("--detached")).arg("--successor");
            command.stdin(Stdio::from(end)).current_dir("/");
            for name in NOT_INHERITED {
                command.env_remove(name);
            }
            Ok(Self { child: command.spawn()?, channel, established: false })
        };
        let successor = begin().map_err(|error: io::Error| failed("it cannot be run", &error))?;
        let ready = successor.hear(READY, START_LIMIT)?;
        let agent = String::from_utf8_lossy(&ready.bytes).chars().filter(|c| !c.is_control()).take(100).collect();
        Ok((successor, agent))
    }

    /// Its process id.
    pub(crate) fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Passes something on.
    pub(crate) fn pass(&self, name: &str, bytes: &[u8], descriptor: Option<BorrowedFd<'_>>) -> Result<(), Fault> {
        self.channel.send(name, bytes, descriptor).map_err(|error| failed("it does not listen", &error))
    }

    /// Says that this was all, and waits until it has opened everything.
    pub(crate) fn prepare(&self) -> Result<(), Fault> {
        self.pass(END, b"", None)?;
        self.hear(PREPARED, STEP_LIMIT).map(drop)
    }

    /// Lets it serve. After an error it does not: it has been seen to end.
    pub(crate) fn go(mut self) -> Result<(), Fault> {
        self.pass(GO, b"", None)?;
        self.hear(SERVING, STEP_LIMIT)?;
        self.established = true;
        Ok(())
    }

    fn hear(&self, word: &str, limit: Duration) -> Result<Packet, Fault> {
        match self.channel.receive(Some(limit)) {
            Ok(packet) if packet.name == word => Ok(packet),
            Ok(packet) if packet.name == FAILED => Err(match serde_json::from_slice::<Fault>(&packet.bytes) {
                Ok(fault) => Fault { hint: fault.hint, ..said(&format!("{}: {}", fault.code, fault.message)) },
                Err(_) => said("it failed without a reason that this version understands"),
            }),
            Ok(_) => Err(said("it speaks another language")),
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => Err(said("it did not answer in time")),
            Err(_) => Err(said(&format!("it ended before it was {word}"))),
        }
    }
}

impl Drop for Successor {
    fn drop(&mut self) {
        if !self.established {
            // Not waited for by anyone else, so the id is still its own.
            drop(self.child.kill());
            drop(self.child.wait());
        }
    }
}

fn failed(what: &str, error: &io::Error) -> Fault {
    said(&format!("{what}: {error}"))
}

fn said(what: &str) -> Fault {
    Fault::new(Code::AgentRestartFailed, format!("the agent goes on as it was, its successor failed: {what}"))
}
