//! The process an endpoint belongs to, and its end.

use crate::server::peer::Peer;
pub(super) use crate::world::ended;
use rustix::process::{Pid, PidfdFlags, pidfd_open};
use std::os::fd::OwnedFd;

/// A process, by what no later one shares with it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Owner {
    pub(super) pid: i32,
    /// Clock ticks from boot to its start (proc_pid_stat(5), field 22).
    pub(super) started: u64,
}

impl Owner {
    /// The process that asks, and a handle on it. None where it has gone, or the kernel does not let it be watched.
    pub(super) fn of(peer: &Peer) -> Option<(Self, OwnedFd)> {
        let process = peer.process.as_ref()?.try_clone().ok()?;
        let pid = peer.pid?.as_raw_nonzero().get();
        Some((Self { pid, started: start_of(pid)? }, process))
    }

    /// A handle on the process again; None where it has ended, also where another has its number by now.
    pub(super) fn find(self) -> Option<OwnedFd> {
        let process = pidfd_open(Pid::from_raw(self.pid)?, PidfdFlags::empty()).ok()?;
        // Read with the handle in hand: a process that has this number now has it until it ends.
        (start_of(self.pid)? == self.started).then_some(process)
    }
}

/// The name of a program, in brackets before the other fields, may hold anything.
fn start_of(pid: i32) -> Option<u64> {
    let stat = std::fs::read(format!("/proc/{pid}/stat")).ok()?;
    let after_name = stat.iter().rposition(|byte| *byte == b')')?;
    let fields = std::str::from_utf8(stat.get(after_name.saturating_add(2)..)?).ok()?;
    fields.split(' ').nth(19)?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::{Owner, start_of};
    use crate::server::peer::Peer;

    #[test]
    fn a_process_is_known_by_number_and_start() {
        let own = std::process::id().cast_signed();
        let (owner, _process) = Owner::of(&Peer::of(Some(own))).unwrap();
        assert_eq!(owner, Owner { pid: own, started: start_of(own).unwrap() });
        assert!(owner.find().is_some());
        assert!(Owner { started: owner.started + 1, ..owner }.find().is_none(), "the number of another");
        assert!(Owner::of(&Peer::of(None)).is_none());
    }

    #[tokio::test]
    async fn its_end_is_seen() {
        let mut child = std::process::Command::new("cat").stdin(std::process::Stdio::piped()).spawn().unwrap();
        let (owner, process) = Owner::of(&Peer::of(Some(child.id().cast_signed()))).unwrap();
        drop(child.stdin.take());
        super::ended(process).await;
        child.wait().unwrap();
        assert!(owner.find().is_none());
    }
}
