//! `claviger-ssh-agent`: the SSH door as a program of its own, a drop-in for OpenSSH's ssh-agent. It has no vault and no
//! record, and its keys end with it. Flags, output and exit codes are those of ssh-agent(1), so that what starts that
//! one starts this one.

mod arguments;
mod launch;
mod serve;

use arguments::{Arguments, Mode};
use std::ffi::OsString;
use std::io::Write;
use std::process::ExitCode;

/// What a flag that is not understood is answered with.
const USAGE: &str = "\
usage: claviger-ssh-agent [-c | -s] [-Dd] [-a bind_address] [-E fingerprint_hash]
                          [-P allowed_providers] [-t life]
       claviger-ssh-agent [-a bind_address] [-E fingerprint_hash] [-P allowed_providers]
                          [-t life] command [arg ...]
       claviger-ssh-agent [-c | -s] -k
       claviger-ssh-agent -V | -h

Holds the keys that ssh-add gives it, as ssh-agent does; it loads no provider, whatever -P allows.
Example: eval $(claviger-ssh-agent -s)
";

/// Why nothing was started.
#[derive(Debug, thiserror::Error)]
enum Error {
    #[error("{what}: {source}")]
    Failed {
        what: String,
        #[source]
        source: std::io::Error,
    },
    #[error("SSH_AGENT_PID not set, cannot kill agent")]
    NoAgent,
    #[error("SSH_AGENT_PID is not a process id")]
    NotAPid,
    #[error("the agent did not start")]
    NotStarted,
}

impl Error {
    fn of(what: impl Into<String>) -> impl FnOnce(std::io::Error) -> Self {
        let what = what.into();
        move |source| Self::Failed { what, source }
    }
}

/// Does what the command line says.
pub fn run() -> ExitCode {
    let words: Vec<OsString> = std::env::args_os().skip(1).collect();
    let shell = std::env::var("SHELL").unwrap_or_default();
    let arguments = match Arguments::parse(words, &shell) {
        Ok(arguments) => arguments,
        Err(problem) => {
            say(&mut std::io::stderr(), &format!("claviger-ssh-agent: {problem}\n{USAGE}"));
            return ExitCode::FAILURE;
        }
    };
    let done = match &arguments.mode {
        Mode::Background => launch::background(&arguments).map(|()| ExitCode::SUCCESS),
        Mode::Command(words) => launch::command(&arguments, words),
        Mode::Foreground { debug } => serve::foreground(&arguments, *debug),
        Mode::Help => Ok(say(&mut std::io::stdout(), USAGE)),
        Mode::Kill => launch::kill(arguments.shell).map(|()| ExitCode::SUCCESS),
        Mode::Serve(child) => serve::child(&arguments, child),
        Mode::Version => Ok(say(&mut std::io::stdout(), &format!("claviger-ssh-agent {}\n", claviger::VERSION))),
    };
    done.unwrap_or_else(|error| {
        say(&mut std::io::stderr(), &format!("claviger-ssh-agent: {error}\n"));
        ExitCode::FAILURE
    })
}

fn say(to: &mut dyn Write, text: &str) -> ExitCode {
    match to.write_all(text.as_bytes()).and_then(|()| to.flush()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(_) => ExitCode::FAILURE,
    }
}
