//! `claviger agent …`: the daemon itself.

use crate::cli::args::Proof;
use crate::cli::desk::Desk;
use crate::cli::exit::Outcome;
use crate::cli::ui;
use crate::client::{PROGRAM, program};
use crate::wire::{Code, Fault, Request};
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
    /// Stop the agent and start it again; the vault is locked afterwards
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
            Self::Restart => {
                stop()?;
                start()
            }
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

/// Whether there was one to stop.
fn stop() -> Result<bool, crate::cli::exit::Failure> {
    let proof = Proof::default();
    let mut desk = match Desk::open_running(&proof) {
        Ok(desk) => desk,
        Err(fault) if fault.code == Code::AgentNotRunning => return Ok(false),
        Err(fault) => return Err(fault.into()),
    };
    desk.done(&Request::Stop {})?;
    desk.wait_closed();
    Ok(true)
}

/// Becomes the agent; returns only where that fails.
fn run() -> Fault {
    let _ = Command::new(program()).arg("run").exec();
    Fault::new(Code::AgentStartFailed, format!("{PROGRAM} cannot be run")).hint("claviger --version")
}
