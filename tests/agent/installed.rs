//! The programs in a folder of root's, run by an ordinary user with a home of theirs.

use crate::attack::{USER, as_user};
use crate::home::{Agent, Ended, Home, PASSPHRASE, kill, program, run};
use crate::sandbox::Sandbox;
use serde_json::Value;
use std::fs::{self, Permissions};
use std::os::unix::fs::{PermissionsExt, chown};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use tempfile::TempDir;

/// The mode of a program that this user may run and neither change nor look into.
pub(crate) const CLOSED: u32 = 0o711;

/// Copies a program. In a process of its own: a descriptor to write it that another test's child inherits for a moment
/// would make the program busy.
pub(crate) fn copy(from: &Path, to: &Path, mode: u32) {
    let mut install = Command::new("install");
    let copied = install.args(["-m", &format!("{mode:o}")]).arg(from).arg(to).status();
    assert!(copied.expect("install").success());
}

pub(crate) struct Installed {
    pub(crate) home: Home,
    programs: TempDir,
}

impl Installed {
    /// With this mode of the agent's program, for this sandbox.
    pub(crate) fn new(mode: u32, sandbox: Option<&Sandbox>) -> Self {
        let (home, programs) = (Home::new(), tempfile::tempdir().expect("a folder"));
        if let Some(sandbox) = sandbox {
            home.configure(sandbox);
        }
        for path in [home.path().to_owned(), home.file("config")] {
            chown(path, Some(USER), Some(USER)).expect("chown: run this test as root, as CI does");
        }
        let installed = Self { home, programs };
        installed.set_mode("", 0o755);
        copy(&program("claviger"), &installed.program("claviger"), 0o755);
        installed.install(&program("claviger-agent"), mode);
        installed
    }

    /// A home with vault, access key and device, and an agent that has spent a code for `prod`.
    pub(crate) fn ready(mode: u32, sandbox: &Sandbox) -> (Self, Agent) {
        let installed = Self::new(mode, Some(sandbox));
        let agent = installed.start();
        installed.run(&["init", "--passphrase-fd", "0"], PASSPHRASE).good();
        installed.run(&["access-key", "add", "dev", "--stdin"], &sandbox.access_key()).good();
        let add = ["mfa", "add", "--for", "dev", "--seed-stdin", "--serial", sandbox.text("mfa_serial")];
        installed.run(&add, sandbox.text("mfa_seed")).good();
        installed.run(&["process", "prod"], "").good();
        (installed, agent)
    }

    pub(crate) fn program(&self, name: &str) -> PathBuf {
        self.programs.path().join(name)
    }

    pub(crate) fn set_mode(&self, name: &str, mode: u32) {
        fs::set_permissions(self.program(name), Permissions::from_mode(mode)).expect("chmod");
    }

    /// Puts this program in the agent's place, as an upgrade does: beside it, then by rename.
    pub(crate) fn install(&self, from: &Path, mode: u32) {
        let (new, place) = (self.program("claviger-agent.new"), self.program("claviger-agent"));
        copy(from, &new, mode);
        fs::rename(new, place).expect("a rename");
    }

    pub(crate) fn command(&self, arguments: &[&str]) -> Command {
        let mut command = as_user(&self.home, USER, &self.program("claviger"));
        command.args(arguments);
        command
    }

    pub(crate) fn run(&self, arguments: &[&str], stdin: &str) -> Ended {
        run(&mut self.command(arguments), stdin)
    }

    /// Starts the agent as a child of this test.
    pub(crate) fn start(&self) -> Agent {
        let mut command = as_user(&self.home, USER, &self.program("claviger-agent"));
        let mut agent = Agent::spawn(command.args(["run", "--detached"]).stderr(Stdio::null()));
        assert_eq!(agent.word(), "ready");
        agent
    }

    pub(crate) fn unlock(&self) {
        self.run(&["unlock", "--passphrase-fd", "0"], PASSPHRASE).good();
    }

    pub(crate) fn status(&self) -> Value {
        serde_json::from_str(&self.run(&["status", "--json"], "").good()).expect("JSON")
    }

    pub(crate) fn pid(&self) -> i32 {
        self.status()["pid"].as_i64().and_then(|pid| pid.try_into().ok()).expect("a pid")
    }
}

impl Drop for Installed {
    fn drop(&mut self) {
        // A successor is nobody's child here, and answers its own user alone.
        let status = run(&mut self.command(&["status", "--json"]), "");
        let pid = serde_json::from_str::<Value>(&status.stdout).ok().and_then(|status| status["pid"].as_i64());
        if let Some(pid) = pid.and_then(|pid| pid.try_into().ok()) {
            kill(pid);
        }
    }
}
