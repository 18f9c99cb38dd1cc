//! Programs that the agent starts: each in a process group of its own, so that what it starts can end with it.

#![expect(unsafe_code, reason = "a child's own umask has no safe interface")]

use rustix::process::{Pid, PidfdFlags, Signal, kill_process_group, pidfd_open};
use std::io;
use std::os::fd::OwnedFd;
use std::process::{Command, ExitStatus};
use tokio::io::unix::AsyncFd;
use tokio::process::{Child, ChildStdin, ChildStdout};

/// A program and what it has started; killed when dropped before its end has been waited for.
pub struct Running {
    child: Child,
    group: Option<Pid>,
}

impl Running {
    /// Starts a program in a process group of its own. Its files are its user's alone, and its folders can be entered.
    pub fn start(command: Command) -> io::Result<Self> {
        let mut command = tokio::process::Command::from(command);
        command.process_group(0).kill_on_drop(true);
        // SAFETY: umask(2) is async-signal-safe, cannot fail and touches no memory. The agent's own, 0177, would give
        // the command folders that it cannot enter.
        unsafe {
            command.pre_exec(|| {
                rustix::process::umask(rustix::fs::Mode::from_raw_mode(0o077));
                Ok(())
            });
        }
        let child = command.spawn()?;
        let group = child.id().and_then(|id| Pid::from_raw(id.cast_signed()));
        Ok(Self { child, group })
    }

    /// Its stdin, where that is a pipe; once.
    pub fn stdin(&mut self) -> Option<ChildStdin> {
        self.child.stdin.take()
    }

    /// Its stdout, where that is a pipe; once.
    pub fn stdout(&mut self) -> Option<ChildStdout> {
        self.child.stdout.take()
    }

    /// How it ended, once it has. What it leaves behind goes on.
    pub async fn wait(&mut self) -> io::Result<ExitStatus> {
        let status = self.child.wait().await?;
        // Its number may be another's from here on.
        self.group = None;
        Ok(status)
    }

    /// The same, and what it leaves behind is killed.
    pub async fn wait_for_all(&mut self) -> io::Result<ExitStatus> {
        if let Some(process) = self.group.and_then(|group| pidfd_open(group, PidfdFlags::empty()).ok()) {
            ended(process).await;
            self.kill();
        }
        self.wait().await
    }

    /// Kills it, and waits until it is gone: what it had open is closed then.
    pub async fn end(mut self) {
        self.kill();
        drop(self.wait().await);
    }

    fn kill(&self) {
        if let Some(group) = self.group {
            // Not yet waited for, so the number is still this group's.
            let _ = kill_process_group(group, Signal::KILL);
        }
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        self.kill();
    }
}

/// Returns once the process has ended; at once where its handle cannot be waited for.
pub async fn ended(process: OwnedFd) {
    #[expect(deprecated, reason = "its replacement is unsafe; an OwnedFd keeps the promise that is asked for")]
    if let Ok(process) = AsyncFd::new(process) {
        drop(process.readable().await);
    }
}
