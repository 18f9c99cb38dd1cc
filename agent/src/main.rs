//! `claviger-agent`: arguments, self-protection, the outside as it really is, run.

use claviger_agent::harden::{self, WipingAllocator};
use claviger_agent::{Birth, Launch, Program, run};
use std::process::ExitCode;

#[global_allocator]
static ALLOCATOR: WipingAllocator = WipingAllocator;

const USAGE: &str = "claviger-agent: holds your MFA devices, AWS sessions and SSH keys

usage: claviger-agent run [--detached]
       claviger-agent --version | --help

The agent is started by systemd's socket or by `claviger` when it is needed.
  run             serve in the foreground; log to stderr
  --detached      leave the terminal; log to a file; say `ready` on stdout once serving
";

pub(crate) fn main() -> ExitCode {
    if let Err(error) = harden::protect() {
        return say_and_fail(&format!("claviger-agent: this system does not let the agent protect itself: {error}\n"));
    }
    let program = match Program::as_started() {
        Ok(program) => program,
        Err(error) => return say_and_fail(&format!("claviger-agent: its own program cannot be found: {error}\n")),
    };
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    match arguments.iter().map(String::as_str).collect::<Vec<_>>().as_slice() {
        ["run"] => run(Launch::Foreground, Birth::Fresh, program),
        ["run", "--detached"] => run(Launch::Detached, Birth::Fresh, program),
        // Not in the usage: an agent starts its successor so, and nobody else can.
        ["run", "--successor"] => run(Launch::Foreground, Birth::Successor, program),
        ["run", "--detached", "--successor"] => run(Launch::Detached, Birth::Successor, program),
        ["--version"] => say(&format!("claviger-agent {}\n", claviger::VERSION)),
        ["--help"] | ["-h"] => say(USAGE),
        _ => {
            drop(std::io::Write::write_all(&mut std::io::stderr(), USAGE.as_bytes()));
            ExitCode::from(2)
        }
    }
}

fn say(text: &str) -> ExitCode {
    match std::io::Write::write_all(&mut std::io::stdout(), text.as_bytes()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(_) => ExitCode::FAILURE,
    }
}

fn say_and_fail(text: &str) -> ExitCode {
    drop(std::io::Write::write_all(&mut std::io::stderr(), text.as_bytes()));
    ExitCode::FAILURE
}
