//! Starting an agent in the background, for a shell or for one command, and ending it.

use super::arguments::{Arguments, Child, Shell};
use super::{Error, say};
use crate::world::World;
use data_encoding::BASE32_NOPAD;
use rustix::fs::Mode;
use rustix::process::{Pid, Signal, kill_process};
use std::ffi::OsString;
use std::io::{BufRead, BufReader};
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixListener;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode, Stdio};

/// What an agent says once it serves.
pub(super) const READY: &str = "ready\n";

/// Where an agent listens.
pub(super) struct Place {
    pub(super) path: PathBuf,
    /// Made for it: goes with it.
    pub(super) own_folder: bool,
}

impl Place {
    /// Where the command line says, else in a new private folder under `$TMPDIR`, else `/tmp`.
    pub(super) fn find(given: Option<&Path>) -> Result<Self, Error> {
        if let Some(path) = given {
            // An agent in the background works in another folder.
            let path = std::path::absolute(path).map_err(Error::of(path.display().to_string()))?;
            return Ok(Self { path, own_folder: false });
        }
        let above = std::env::var_os("TMPDIR").filter(|folder| !folder.is_empty()).unwrap_or_else(|| "/tmp".into());
        let mut bytes = [0; 10];
        World::real().entropy.fill(&mut bytes).map_err(Error::of("no random name"))?;
        let folder = Path::new(&above).join(format!("ssh-{}", BASE32_NOPAD.encode(&bytes).to_lowercase()));
        let failed = |errno: rustix::io::Errno| Error::of(folder.display().to_string())(errno.into());
        rustix::fs::mkdir(&folder, Mode::RWXU).map_err(failed)?;
        Ok(Self { path: folder.join(format!("agent.{}", std::process::id())), own_folder: true })
    }

    /// Listens there, closed to others from the first moment. A path that is taken is left as it is.
    pub(super) fn bind(&self) -> Result<OwnedFd, Error> {
        let before = rustix::process::umask(Mode::from_raw_mode(0o177));
        let bound = UnixListener::bind(&self.path);
        rustix::process::umask(before);
        bound.map(OwnedFd::from).map_err(|error| {
            self.clean();
            Error::of(self.path.display().to_string())(error)
        })
    }

    /// Removes the folder that was made for it.
    pub(super) fn clean(&self) {
        if let Some(folder) = self.path.parent().filter(|_| self.own_folder) {
            drop(std::fs::remove_dir(folder));
        }
    }
}

/// Starts an agent and tells the shell where it is.
pub(super) fn background(arguments: &Arguments) -> Result<(), Error> {
    let (path, pid) = start(arguments, None)?;
    say(&mut std::io::stdout(), &told(arguments.shell, &path, Some(pid), pid));
    Ok(())
}

/// Starts an agent that ends with this process, and becomes the command.
pub(super) fn command(arguments: &Arguments, words: &[OsString]) -> Result<ExitCode, Error> {
    let (path, pid) = start(arguments, Some(std::process::id().cast_signed()))?;
    let mut words = words.iter();
    let program = words.next().ok_or(Error::NotStarted)?;
    let mut command = Command::new(program);
    command.args(words).env("SSH_AUTH_SOCK", &path).env("SSH_AGENT_PID", pid.to_string());
    // Returns only where it is not there; the agent ends with this process.
    Err(Error::of(program.display().to_string())(command.exec()))
}

/// Ends the agent that the environment names, and tells the shell to forget it.
pub(super) fn kill(shell: Shell) -> Result<(), Error> {
    let named = std::env::var("SSH_AGENT_PID").map_err(|_| Error::NoAgent)?;
    let pid = named.parse().ok().filter(|pid| *pid > 1).and_then(Pid::from_raw).ok_or(Error::NotAPid)?;
    kill_process(pid, Signal::TERM).map_err(|errno| Error::of("kill")(errno.into()))?;
    let unset = match shell {
        Shell::Bourne => "unset",
        Shell::C => "unsetenv",
    };
    let killed = pid.as_raw_pid();
    let text = format!("{unset} SSH_AUTH_SOCK;\n{unset} SSH_AGENT_PID;\necho Agent pid {killed} killed;\n");
    say(&mut std::io::stdout(), &text);
    Ok(())
}

/// The lines for the shell. Quoted where the path needs it: they are evaluated.
pub(super) fn told(shell: Shell, path: &Path, pid: Option<u32>, shown: u32) -> String {
    let path = path.to_string_lossy();
    let path = shlex::try_quote(&path).unwrap_or_default();
    let set = |name: &str, value: &str| match shell {
        Shell::Bourne => format!("{name}={value}; export {name};\n"),
        Shell::C => format!("setenv {name} {value};\n"),
    };
    let pid = pid.map(|pid| set("SSH_AGENT_PID", &pid.to_string())).unwrap_or_default();
    format!("{}{pid}echo Agent pid {shown};\n", set("SSH_AUTH_SOCK", &path))
}

/// Starts an agent and waits until it serves: its socket and its process id.
fn start(arguments: &Arguments, parent: Option<i32>) -> Result<(PathBuf, u32), Error> {
    let place = Place::find(arguments.socket.as_deref())?;
    let socket = place.bind()?;
    let child = Child { socket: place.path.clone(), own_folder: place.own_folder, parent };
    let program = std::env::current_exe().map_err(Error::of("the program"))?;
    let mut command = Command::new(program);
    command.args(arguments.for_child(&child)).stdin(socket).stdout(Stdio::piped()).stderr(Stdio::null());
    let started = command.spawn().map_err(Error::of("the agent")).and_then(|mut process| {
        let mut word = String::new();
        let heard = process.stdout.take().map(|stdout| BufReader::new(stdout).read_line(&mut word));
        if matches!(heard, Some(Ok(_))) && word == READY { Ok(process.id()) } else { Err(Error::NotStarted) }
    });
    if started.is_err() {
        drop(std::fs::remove_file(&place.path));
        place.clean();
    }
    started.map(|pid| (place.path, pid))
}

#[cfg(test)]
mod tests {
    use super::told;
    use crate::standalone::arguments::Shell;
    use std::path::Path;

    #[test]
    fn a_shell_is_told_in_its_own_words_and_a_path_stays_one_word() {
        let lines = told(Shell::Bourne, Path::new("/tmp/ssh-a/agent.1"), Some(7), 7);
        assert_eq!(
            lines,
            "SSH_AUTH_SOCK=/tmp/ssh-a/agent.1; export SSH_AUTH_SOCK;\nSSH_AGENT_PID=7; export SSH_AGENT_PID;\necho Agent pid 7;\n"
        );
        let lines = told(Shell::C, Path::new("/tmp/a b;c"), None, 7);
        assert_eq!(lines, "setenv SSH_AUTH_SOCK '/tmp/a b;c';\necho Agent pid 7;\n");
    }
}
