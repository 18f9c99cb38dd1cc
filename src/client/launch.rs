//! Starting the agent when nobody answers.

use crate::wire::{Code, Fault, LINE_LIMIT};
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::io::Errno;
use std::ffi::{OsStr, OsString};
use std::io::{BufRead, BufReader, ErrorKind, Read};
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::time::Duration;

/// The agent's executable.
pub const PROGRAM: &str = "claviger-agent";

/// How a start ended well.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Started {
    /// Another agent already serves.
    AlreadyServing,
    /// The new agent serves.
    Ready,
}

/// The agent beside this program's own executable; where there is none, its bare name, to be found in PATH.
pub fn program() -> PathBuf {
    std::env::current_exe()
        .ok()
        .and_then(|own| own.parent().map(|folder| folder.join(PROGRAM)))
        .filter(|beside| beside.is_file())
        .unwrap_or_else(|| PathBuf::from(PROGRAM))
}

/// Runs the agent detached and waits for the one line it says: `ready`, `already serving` or a fault as JSON.
/// It gets a short environment, no terminal and no stdin. `agent.start_failed` where it says nothing of the kind, or,
/// with a `limit`, not in time.
pub fn start(limit: Option<Duration>) -> Result<Started, Fault> {
    let mut agent = Command::new(program())
        .args(["run", "--detached"])
        .env_clear()
        .envs(environment())
        .current_dir("/")
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .map_err(|error| match error.kind() {
            ErrorKind::NotFound => failed(format!("{PROGRAM} is neither beside claviger nor in PATH")),
            _ => failed(format!("{PROGRAM} cannot be run")),
        })?;
    let Some(stdout) = agent.stdout.take() else { return Err(failed("the agent has no stdout".to_owned())) };
    if let Some(limit) = limit {
        wait_readable(&stdout, limit)?;
    }
    let mut line = String::new();
    let _ = BufReader::new(stdout.take(LINE_LIMIT as u64)).read_line(&mut line);
    match line.trim_end() {
        "ready" => Ok(Started::Ready),
        "already serving" => Ok(Started::AlreadyServing),
        "" => Err(failed("the agent ended before it served".to_owned())),
        other => Err(serde_json::from_str(other)
            .unwrap_or_else(|_| failed("the agent said something that is no answer to its start".to_owned()))),
    }
}

/// The variables that an agent is started with.
pub fn environment() -> impl Iterator<Item = (OsString, OsString)> {
    std::env::vars_os().filter(|(name, _)| inherited(name))
}

/// What the agent needs to find its files, its folder, the session bus and the display, and nothing that steers AWS.
fn inherited(name: &OsStr) -> bool {
    const NAMES: [&str; 11] = [
        "CLAVIGER_HOME",
        "DBUS_SESSION_BUS_ADDRESS",
        "DISPLAY",
        "HOME",
        "LANG",
        "LC_ALL",
        "LOGNAME",
        "PATH",
        "USER",
        "WAYLAND_DISPLAY",
        "XAUTHORITY",
    ];
    NAMES.iter().any(|known| name == OsString::from(known).as_os_str()) || name.as_encoded_bytes().starts_with(b"XDG_")
}

fn wait_readable(stdout: &impl std::os::fd::AsFd, limit: Duration) -> Result<(), Fault> {
    let seconds = i64::try_from(limit.as_secs()).unwrap_or(i64::MAX);
    let limit = Timespec { tv_sec: seconds, tv_nsec: limit.subsec_nanos().into() };
    loop {
        match poll(&mut [PollFd::new(stdout, PollFlags::IN)], Some(&limit)) {
            Ok(0) => return Err(failed("the agent did not start in time".to_owned())),
            Err(Errno::INTR) => {}
            _ => return Ok(()),
        }
    }
}

fn failed(message: String) -> Fault {
    Fault::new(Code::AgentStartFailed, message)
}

#[cfg(test)]
mod tests {
    use super::inherited;
    use std::ffi::OsStr;

    #[test]
    fn the_agent_inherits_folders_and_the_bus_and_nothing_of_aws() {
        for name in ["HOME", "PATH", "XDG_RUNTIME_DIR", "CLAVIGER_HOME", "DBUS_SESSION_BUS_ADDRESS", "DISPLAY"] {
            assert!(inherited(OsStr::new(name)), "{name}");
        }
        for name in ["AWS_PROFILE", "AWS_SECRET_ACCESS_KEY", "LD_PRELOAD", "HOMEX", "XDG", "SSH_AUTH_SOCK", "home"] {
            assert!(!inherited(OsStr::new(name)), "{name}");
        }
    }
}
