//! Who is at the other end of a connection, as the kernel tells it.

use rustix::process::{Pid, PidfdFlags, pidfd_open};
use std::os::fd::OwnedFd;

/// A local caller. Good for showing and for watching its end; it proves nothing about which program it is.
pub(crate) struct Peer {
    /// Its process id when it connected, where the kernel tells it.
    pub(crate) pid: Option<Pid>,
    /// A handle on that process that no later one can take over (pidfd_open(2)).
    pub(crate) process: Option<OwnedFd>,
}

impl Peer {
    /// The process that connected.
    pub(crate) fn of(pid: Option<i32>) -> Self {
        let pid = pid.and_then(Pid::from_raw);
        let process = pid.and_then(|pid| pidfd_open(pid, PidfdFlags::empty()).ok());
        Self { pid, process }
    }
}
