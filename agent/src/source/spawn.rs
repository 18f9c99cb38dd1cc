//! The joint to other programs: one command, run to its end.

use super::command::Command;
use super::error::{Ending, Error};
use crate::world::{BoxFuture, Clock, Running};
use std::io;
use std::os::unix::process::ExitStatusExt;
use std::process::{ExitStatus, Stdio};
use std::sync::Arc;
use tokio::io::AsyncReadExt;
use tokio::process::ChildStdout;
use zeroize::Zeroizing;

/// Seconds a command may take: what the Go SDK gives it; a person may have to touch something.
const COMMAND_SECONDS: u64 = 60;
/// The most a command may print: what the Java SDK takes.
const OUTPUT_LIMIT: usize = 64 * 1024;
/// What a command gets of the agent's environment; no `AWS_*` is among it.
const PASSED: [&str; 4] = ["HOME", "PATH", "USER", "LANG"];

/// Runs commands.
pub trait CommandRunner: Send + Sync {
    /// What the command printed, once it has ended with success. Whoever drops this has ended the command.
    fn run<'a>(&'a self, command: &'a Command) -> BoxFuture<'a, Result<Zeroizing<Vec<u8>>, Error>>;
}

/// [`CommandRunner`] on this machine: without a shell, with a short environment, in the home folder, in a process group
/// of its own, with nothing on stdin. What it says on stderr is shown to nobody: it may be a secret.
pub struct Spawner {
    clock: Arc<dyn Clock>,
    environment: Vec<(&'static str, String)>,
}

impl Spawner {
    /// `variable` reads the agent's environment.
    pub fn new(clock: Arc<dyn Clock>, variable: impl Fn(&str) -> Option<String>) -> Self {
        let environment = PASSED.into_iter().filter_map(|name| Some((name, variable(name)?))).collect();
        Self { clock, environment }
    }

    async fn run_to_its_end(&self, command: &Command) -> Result<Zeroizing<Vec<u8>>, Error> {
        let deadline = self.clock.boot().plus_millis(COMMAND_SECONDS * 1000);
        let mut running = self.spawn(command).map_err(Error::CommandNotStarted)?;
        let stdout = running.stdout();
        let ended = async {
            let output = printed(stdout).await?;
            Ok((output, running.wait().await.map_err(Error::CommandNotStarted)?))
        };
        let (output, status) = tokio::select! {
            biased;
            ended = ended => ended?,
            () = self.clock.sleep_until(deadline) => return Err(Error::CommandTimedOut(COMMAND_SECONDS)),
        };
        if status.success() { Ok(output) } else { Err(Error::CommandFailed(ending(status))) }
    }

    fn spawn(&self, command: &Command) -> io::Result<Running> {
        let [program, arguments @ ..] = command.words() else { return Err(io::ErrorKind::NotFound.into()) };
        let mut spawned = std::process::Command::new(program);
        spawned.args(arguments).env_clear().envs(self.environment.iter().map(|(name, value)| (*name, value.as_str())));
        spawned.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::null());
        let home = self.environment.iter().find(|(name, _)| *name == "HOME").map_or("/", |(_, home)| home.as_str());
        spawned.current_dir(home);
        Running::start(spawned)
    }
}

impl CommandRunner for Spawner {
    fn run<'a>(&'a self, command: &'a Command) -> BoxFuture<'a, Result<Zeroizing<Vec<u8>>, Error>> {
        Box::pin(self.run_to_its_end(command))
    }
}

/// All that comes until the end, in one buffer that never moves.
async fn printed(stdout: Option<ChildStdout>) -> Result<Zeroizing<Vec<u8>>, Error> {
    let mut output = Zeroizing::new(Vec::with_capacity(OUTPUT_LIMIT + 1));
    let Some(mut stdout) = stdout else { return Ok(output) };
    loop {
        // The buffer's spare room is what is left until the limit and one byte more.
        let room = u64::try_from((OUTPUT_LIMIT + 1).saturating_sub(output.len())).unwrap_or(0);
        let count = (&mut stdout).take(room).read_buf(&mut *output).await.map_err(Error::CommandNotStarted)?;
        if count == 0 {
            return Ok(output);
        }
        if output.len() > OUTPUT_LIMIT {
            return Err(Error::CommandTooMuch(OUTPUT_LIMIT));
        }
    }
}

fn ending(status: ExitStatus) -> Ending {
    status.code().map_or_else(|| Ending::Signal(status.signal().unwrap_or(0)), Ending::Exit)
}
