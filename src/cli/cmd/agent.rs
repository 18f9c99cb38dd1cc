//! `claviger agent …`: the daemon itself.

use crate::cli::args::Proof;
use crate::cli::desk::{Desk, unexpected};
use crate::cli::exit::{Failure, Outcome};
use crate::cli::ui;
use crate::client::{PROGRAM, environment, program};
use crate::model::{Label, Message};
use crate::wire::{Code, Fault, Reply, Request};
use std::os::unix::process::CommandExt;
use std::process::Command;

/// The agent: start, stop, restart, run
#[derive(clap::Subcommand)]
pub(in crate::cli) enum Agent {
    /// Start the agent, unless one runs; every verb that needs it does so too
    #[command(after_help = "\
Example:
  claviger agent start")]
    Start,
    /// Stop the agent, once the requests in hand are answered
    #[command(after_help = "\
Example:
  claviger agent stop")]
    Stop,
    /// Replace the running agent by a new one, after an upgrade by the new version
    ///
    /// Nobody is turned away meanwhile. The vault stays open where no program of yours could have replaced or looked into
    /// the new agent: where its file, and every folder above, belongs to somebody else and is closed to you, and the file
    /// cannot be read either (mode 711). Else it must be unlocked again.
    #[command(after_help = "\
Example:
  claviger agent restart")]
    Restart,
    /// Run the agent here in the foreground, with its log on stderr
    #[command(after_help = "\
Example:
  claviger agent run")]
    Run,
}

impl Agent {
    pub(super) fn run(self) -> Outcome {
        match self {
            Self::Restart => restart(),
            Self::Run => Err(run().into()),
            Self::Start => start(),
            Self::Stop => {
                let stopped = stop()?;
                ui::say(if stopped { "The agent has stopped." } else { "No agent was running." });
                Ok(())
            }
        }
    }
}

fn start() -> Outcome {
    let status = Desk::open(&Proof::default())?.status()?;
    ui::say(&format!("The agent is running (pid {}).", status.pid));
    Ok(())
}

fn restart() -> Outcome {
    let proof = Proof::default();
    let mut desk = match Desk::open_running(&proof) {
        Ok(desk) => desk,
        Err(fault) if fault.code == Code::AgentNotRunning => return start(),
        Err(fault) => return Err(fault.into()),
    };
    match desk.ask(&Request::Restart {}) {
        Ok(Reply::Restarted(restarted)) => {
            desk.wait_closed();
            ui::say(&format!("The agent has restarted ({}, pid {}).", Label(&restarted.agent), restarted.pid));
            if let Some(reason) = &restarted.locked {
                ui::say(&format!("The vault is locked now: {}.\nOpen it with: claviger unlock", Message(reason)));
            }
            Ok(())
        }
        Ok(_) => Err(unexpected()),
        // An agent of before this request, or of another protocol.
        Err(fault) if matches!(fault.code, Code::WireBadLine | Code::WireProtocol) => {
            stop()?;
            start()
        }
        Err(fault) => Err(fault.into()),
    }
}

/// Whether there was one to stop.
fn stop() -> Result<bool, Failure> {
    let proof = Proof::default();
    let mut desk = match Desk::open_running(&proof) {
        Ok(desk) => desk,
        Err(fault) if fault.code == Code::AgentNotRunning => return Ok(false),
        Err(fault) => return Err(fault.into()),
    };
    match desk.ask(&Request::Stop {}) {
        Ok(_) => desk.wait_closed(),
        // It was stopping already, and has gone.
        Err(fault) if fault.code == Code::AgentNotRunning => {}
        Err(fault) => return Err(fault.into()),
    }
    Ok(true)
}

/// Becomes the agent; returns only where that fails.
fn run() -> Fault {
    let mut command = Command::new(program());
    // The agent drops the rest itself, but the kernel's copy would stay in its memory and in /proc.
    let supervisor = ["NOTIFY_SOCKET", "LISTEN_FDS", "LISTEN_PID", "LISTEN_FDNAMES"];
    let supervisor = supervisor.into_iter().filter_map(|name| Some((name, std::env::var_os(name)?)));
    command.arg("run").env_clear().envs(environment()).envs(supervisor);
    let _ = command.exec();
    Fault::new(Code::AgentStartFailed, format!("{PROGRAM} cannot be run")).hint("claviger --version")
}
