//! The agents under test, each in a folder of its own.

use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

/// Whose agent it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Program {
    /// Ours, which lies beside the client.
    Claviger,
    /// The one of the system.
    OpenSsh,
}

impl Program {
    pub(crate) fn path(self) -> PathBuf {
        let path = match self {
            Self::Claviger => Path::new(env!("CARGO_BIN_EXE_claviger")).with_file_name("claviger-ssh-agent"),
            Self::OpenSsh => PathBuf::from("/usr/bin/ssh-agent"),
        };
        assert!(
            path.is_file(),
            "{} is not there; first: cargo build -p claviger-agent; apt-get install openssh-client",
            path.display()
        );
        path
    }

    pub(crate) fn is_ours(self) -> bool {
        self == Self::Claviger
    }
}

/// An agent in the foreground of a test. Ends with it.
pub(crate) struct Agent {
    child: Child,
    pub(crate) socket: PathBuf,
}

impl Agent {
    /// Starts `PROGRAM -D -a FOLDER/agent.sock` with these options before, and waits until it says that it listens.
    pub(crate) fn start(program: Program, folder: &Path, options: &[&str], variables: &[(&str, &str)]) -> Self {
        let socket = folder.join("agent.sock");
        let mut command = Command::new(program.path());
        command.args(options).args(["-D", "-a"]).arg(&socket);
        plain(&mut command, folder);
        command.envs(variables.iter().copied()).stdin(Stdio::null()).stdout(Stdio::piped());
        let mut child = command.spawn().expect("the agent");
        let mut line = String::new();
        BufReader::new(child.stdout.take().expect("stdout")).read_line(&mut line).expect("a line");
        let wanted = format!("SSH_AUTH_SOCK={}; export SSH_AUTH_SOCK;\n", socket.display());
        assert_eq!(line, wanted, "{program:?}");
        Self { child, socket }
    }

    pub(crate) fn pid(&self) -> u32 {
        self.child.id()
    }
}

impl Drop for Agent {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// An environment that holds nothing of the person's own.
pub(crate) fn plain(command: &mut Command, folder: &Path) {
    command.env_clear().current_dir(folder).env("HOME", folder).env("TMPDIR", folder);
    command.env("CLAVIGER_HOME", folder.join("claviger"));
    command.env("DBUS_SESSION_BUS_ADDRESS", format!("unix:path={}", folder.join("bus.sock").display()));
    command.env("PATH", "/usr/local/bin:/usr/bin:/bin:/usr/sbin:/sbin").env("LC_ALL", "C");
}
