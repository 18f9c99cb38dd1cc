//! A folder with an agent in it, keys, and the programs that are run there.

use crate::agent::{Agent, Program, plain};
use claviger_agent::world::World;
use rustix::event::{Timespec, poll};
use std::fs::{self, Permissions};
use std::io::Write;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use tempfile::TempDir;

/// A program that takes so long hangs.
const PATIENCE: &str = "60";

/// Key types, as `ssh-keygen -t` and `-b` take them.
pub(crate) const KINDS: [(&str, &str, &str); 6] = [
    ("ed25519", "ed25519", "256"),
    ("p256", "ecdsa", "256"),
    ("p384", "ecdsa", "384"),
    ("p521", "ecdsa", "521"),
    ("rsa2048", "rsa", "2048"),
    ("rsa3072", "rsa", "3072"),
];

/// How a run ended.
#[derive(Debug)]
#[must_use]
pub(crate) struct Ended {
    pub(crate) exit: Option<i32>,
    pub(crate) stdout: String,
    pub(crate) stderr: String,
}

impl Ended {
    /// Its stdout, once it is sure that all went well.
    pub(crate) fn good(self) -> String {
        assert_eq!(self.exit, Some(0), "{self:?}");
        self.stdout
    }

    /// It ended by itself, and not well.
    pub(crate) fn bad(self) -> String {
        assert!(self.exit.is_some_and(|code| code != 0 && code != 124), "{self:?}");
        self.stderr
    }
}

impl From<Output> for Ended {
    fn from(output: Output) -> Self {
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        Self { exit: output.status.code(), stdout: text(&output.stdout), stderr: text(&output.stderr) }
    }
}

pub(crate) struct Stage {
    pub(crate) agent: Agent,
    folder: TempDir,
}

impl Stage {
    pub(crate) fn new(program: Program) -> Self {
        Self::with(program, &[], |_| Vec::new())
    }

    /// With options of the agent, and variables of its environment that may name the folder.
    pub(crate) fn with(
        program: Program,
        options: &[&str],
        variables: impl FnOnce(&Path) -> Vec<(&'static str, String)>,
    ) -> Self {
        let folder = tempfile::Builder::new().prefix("claviger-ssh-").tempdir().expect("a folder");
        let variables = variables(folder.path());
        let variables: Vec<(&str, &str)> = variables.iter().map(|(name, value)| (*name, value.as_str())).collect();
        Self { agent: Agent::start(program, folder.path(), options, &variables), folder }
    }

    pub(crate) fn file(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// Its path as text.
    pub(crate) fn path(&self, name: &str) -> String {
        self.file(name).display().to_string()
    }

    pub(crate) fn read(&self, name: &str) -> String {
        fs::read_to_string(self.file(name)).unwrap_or_default()
    }

    pub(crate) fn write(&self, name: &str, text: &str) {
        fs::write(self.file(name), text).expect("a file");
    }

    /// A program with the agent in its environment, under a watchdog and without a terminal.
    pub(crate) fn command(&self, name: &str) -> Command {
        let mut command = Command::new("setsid");
        command.args(["--wait", "timeout", PATIENCE, name]);
        plain(&mut command, self.folder.path());
        command.env("SSH_AUTH_SOCK", &self.agent.socket).stdin(Stdio::null());
        command
    }

    pub(crate) fn run(&self, words: &[&str]) -> Ended {
        let (name, arguments) = words.split_first().expect("a program");
        self.command(name).args(arguments).output().expect("its end").into()
    }

    /// The same with this on its stdin.
    pub(crate) fn run_with(&self, words: &[&str], stdin: &[u8]) -> Ended {
        let (name, arguments) = words.split_first().expect("a program");
        let mut command = self.command(name);
        command.args(arguments).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.spawn().expect("the program");
        // A program that does not read it is none the worse.
        let _ = child.stdin.take().expect("stdin").write_all(stdin);
        child.wait_with_output().expect("its end").into()
    }

    /// Starts it; its output is for whoever waits for it.
    pub(crate) fn spawn(&self, words: &[&str]) -> Child {
        let (name, arguments) = words.split_first().expect("a program");
        let mut command = self.command(name);
        command.args(arguments).stdout(Stdio::piped()).stderr(Stdio::piped());
        command.spawn().expect("the program")
    }

    /// A new key: `NAME` and `NAME.pub`, with its name as its comment.
    pub(crate) fn key(&self, name: &str, kind: &str, bits: &str) {
        let path = self.path(name);
        self.run(&["ssh-keygen", "-q", "-t", kind, "-b", bits, "-N", "", "-C", name, "-f", &path]).good();
    }

    /// One of each type.
    pub(crate) fn keys(&self) {
        KINDS.iter().for_each(|(name, kind, bits)| self.key(name, kind, bits));
    }

    /// A certificate of a key for this user: `NAME-cert.pub`.
    pub(crate) fn certify(&self, authority: &str, name: &str, user: &str) {
        let (ca, public) = (self.path(authority), self.path(&format!("{name}.pub")));
        self.run(&["ssh-keygen", "-q", "-s", &ca, "-I", name, "-n", user, "-V", "-1h:+1d", &public]).good();
    }

    /// Adds a key and removes its file, so that only the agent has it.
    pub(crate) fn hand_over(&self, options: &[&str], name: &str) {
        let path = self.path(name);
        self.run(&[&["ssh-add"], options, &[path.as_str()]].concat()).good();
        fs::remove_file(path).expect("the key");
    }

    /// Type and blob of a public key or certificate.
    pub(crate) fn public(&self, name: &str) -> String {
        self.read(&format!("{name}.pub")).split(' ').take(2).collect::<Vec<_>>().join(" ").trim().to_owned()
    }

    /// What the agent lists, as comments.
    pub(crate) fn listed(&self) -> Vec<String> {
        let ended = self.run(&["ssh-add", "-L"]);
        match ended.exit {
            Some(0) => ended.stdout.lines().filter_map(|line| line.split(' ').nth(2)).map(str::to_owned).collect(),
            Some(1) => Vec::new(),
            _ => panic!("{ended:?}"),
        }
    }

    /// Whether the agent signs with a key, for `ssh-add -T`.
    pub(crate) fn signs(&self, name: &str) -> bool {
        self.run(&["ssh-add", "-T", &self.path(&format!("{name}.pub"))]).exit == Some(0)
    }
}

/// A program of `/bin/sh`.
pub(crate) fn script(path: &Path, text: &str) {
    fs::write(path, format!("#!/bin/sh\n{text}\n")).expect("a file");
    fs::set_permissions(path, Permissions::from_mode(0o755)).expect("chmod");
}

/// Waits until this holds, looking now and then; a minute is a hang.
pub(crate) fn until(what: &str, mut holds: impl FnMut() -> bool) {
    let clock = World::real().clock;
    let limit = clock.boot().plus_millis(60_000);
    while !holds() {
        assert!(limit.millis_since(clock.boot()) > 0, "never: {what}");
        poll(&mut [], Some(&Timespec { tv_sec: 0, tv_nsec: 20_000_000 })).expect("time");
    }
}
