//! A CLAVIGER_HOME of one test, the programs that run in it, and the agents that have to end with it.

use crate::sandbox::Sandbox;
use crate::wire::Wire;
use rustix::event::{PollFd, PollFlags, poll};
use rustix::process::{Pid, PidfdFlags, Signal, pidfd_open, pidfd_send_signal};
use serde_json::Value;
use std::fs::{self, Permissions};
use std::io::{BufRead, BufReader, Write};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdout, Command, ExitStatus, Output, Stdio};
use tempfile::TempDir;

/// What opens every vault here.
pub(crate) const PASSPHRASE: &str = "correct horse\n";

/// A built program. The agent and the sandbox lie beside the client.
pub(crate) fn program(name: &str) -> PathBuf {
    let path = Path::new(env!("CARGO_BIN_EXE_claviger")).with_file_name(name);
    assert!(
        path.is_file(),
        "{name} is not built; build it first with: cargo build -p claviger-agent -p claviger-sandbox; and: \
         cargo build -p claviger-agent --features weak --bin claviger-agent-weak"
    );
    path
}

/// How a run ended.
#[derive(Debug, PartialEq, Eq)]
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

    /// The vault is locked, and a person is told what to type.
    pub(crate) fn fault_of_person(&self) {
        let told = self.stderr.ends_with("the vault is locked\nhint: claviger unlock\n");
        assert!(self.exit == Some(3) && told && self.stdout.is_empty(), "{self:?}");
    }

    /// Ended with this fault, told on stderr in one line with its code, and nothing on stdout.
    /// A verb for people: ended with this exit code and words, nothing on stdout.
    pub(crate) fn fault_told(&self, exit: i32, words: &str) {
        assert_eq!((self.exit, self.stdout.as_str()), (Some(exit), ""), "{}", self.stderr);
        assert!(self.stderr.contains(words), "{}", self.stderr);
    }

    pub(crate) fn fault(&self, exit: i32, code: &str) {
        let line = self.stderr.strip_suffix('\n').unwrap_or_default();
        let told = line.starts_with(&format!("claviger: {code}: ")) && !line.contains('\n');
        assert!(told && self.exit == Some(exit) && self.stdout.is_empty(), "wanted {code} and {exit}: {self:?}");
    }
}

impl From<Output> for Ended {
    fn from(output: Output) -> Self {
        let text = |bytes| String::from_utf8(bytes).expect("UTF-8");
        Self { exit: output.status.code(), stdout: text(output.stdout), stderr: text(output.stderr) }
    }
}

/// An agent that this test started itself.
pub(crate) struct Agent {
    child: Child,
    stdout: BufReader<ChildStdout>,
}

impl Agent {
    /// Starts `claviger-agent run --detached` as the command says, without waiting for it.
    pub(crate) fn spawn(command: &mut Command) -> Self {
        Self::spawn_reading(command.stdin(Stdio::null()))
    }

    /// The same with the stdin that the command has.
    pub(crate) fn spawn_reading(command: &mut Command) -> Self {
        let mut child = command.stdout(Stdio::piped()).spawn().expect("the agent");
        let stdout = BufReader::new(child.stdout.take().expect("stdout"));
        Self { child, stdout }
    }

    /// The one line that it says.
    pub(crate) fn word(&mut self) -> String {
        let mut line = String::new();
        self.stdout.read_line(&mut line).expect("a line");
        line.trim_end().to_owned()
    }

    pub(crate) fn pid(&self) -> i32 {
        self.child.id().cast_signed()
    }

    /// How it ended, once it has.
    pub(crate) fn wait(&mut self) -> ExitStatus {
        self.child.wait().expect("its end")
    }

    /// How it ended, if it has.
    pub(crate) fn ended(&mut self) -> Option<ExitStatus> {
        self.child.try_wait().expect("its state")
    }

    /// Ends it as the kernel would.
    pub(crate) fn kill(&mut self) {
        self.child.kill().expect("kill");
        self.wait();
    }
}

impl Drop for Agent {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// A home. Its agent ends with it.
pub(crate) struct Home(TempDir);

impl Home {
    /// With a short Argon2id and nothing else.
    pub(crate) fn new() -> Self {
        let home = Self(tempfile::tempdir().expect("a folder"));
        home.write("config/config.toml", "[vault]\nargon2_memory_mib = 64\n");
        home
    }

    /// For this sandbox, with the profiles of its demo world.
    pub(crate) fn at(sandbox: &Sandbox) -> Self {
        let home = Self::new();
        home.configure(sandbox);
        home
    }

    /// For this sandbox, with vault, access key and device; `proof` is an option of `mfa add`.
    pub(crate) fn ready(sandbox: &Sandbox, proof: &[&str]) -> Self {
        let home = Self::at(sandbox);
        home.furnish(sandbox, proof);
        home
    }

    /// The same in a home whose agent may run already.
    pub(crate) fn furnish(&self, sandbox: &Sandbox, proof: &[&str]) {
        self.run(&["init", "--passphrase-fd", "0"], PASSPHRASE).good();
        self.run(&["access-key", "add", "dev", "--stdin"], &sandbox.access_key()).good();
        let add = ["mfa", "add", "--for", "dev", "--seed-stdin", "--serial", sandbox.text("mfa_serial")];
        self.run(&[&add, proof].concat(), sandbox.text("mfa_seed")).good();
    }

    pub(crate) fn configure(&self, sandbox: &Sandbox) {
        let endpoint = sandbox.text("endpoint");
        self.write(
            "config/config.toml",
            &format!(
                "[endpoints]\nallow = [\"{endpoint}\"]\nsts = \"{endpoint}\"\niam = \"{endpoint}\"\n\
                 ec2 = \"{endpoint}\"\nec2_instance_connect = \"{endpoint}\"\n[vault]\nargon2_memory_mib = 64\n"
            ),
        );
        self.write("config/profiles", PROFILES);
    }

    pub(crate) fn path(&self) -> &Path {
        self.0.path()
    }

    pub(crate) fn file(&self, name: &str) -> PathBuf {
        self.path().join(name)
    }

    pub(crate) fn write(&self, name: &str, text: &str) {
        let path = self.file(name);
        fs::create_dir_all(path.parent().expect("a folder")).expect("a folder");
        fs::write(path, text).expect("a file");
    }

    pub(crate) fn set_mode(&self, name: &str, mode: u32) {
        fs::set_permissions(self.file(name), Permissions::from_mode(mode)).expect("chmod");
    }

    /// A program here: with a short environment, and without a terminal whatever runs the tests.
    pub(crate) fn command(&self, name: &str) -> Command {
        self.program_command(&program(name))
    }

    /// Any program, the same way.
    pub(crate) fn program_command(&self, program: &Path) -> Command {
        let mut command = Command::new("setsid");
        command.arg("--wait").arg(program).env_clear();
        command.env("CLAVIGER_HOME", self.path()).env("PATH", "/usr/bin:/bin").current_dir(self.path());
        command.env("DBUS_SESSION_BUS_ADDRESS", self.bus());
        command
    }

    /// The client, for a terminal of its own.
    pub(crate) fn terminal_command(&self, words: &[&str]) -> Command {
        let mut command = Command::new("setsid");
        command.args(["--wait", "--ctty"]).arg(program("claviger")).args(words).env_clear();
        command.env("CLAVIGER_HOME", self.path()).env("PATH", "/usr/bin:/bin").current_dir(self.path());
        command.env("DBUS_SESSION_BUS_ADDRESS", self.bus()).env("TERM", "xterm-256color");
        command
    }

    /// Where the session bus of a test would be: never that of whoever runs the tests.
    fn bus(&self) -> String {
        format!("unix:path={}", self.file("bus.sock").display())
    }

    /// Runs the client with this on stdin.
    pub(crate) fn run(&self, arguments: &[&str], stdin: &str) -> Ended {
        run(self.command("claviger").args(arguments), stdin)
    }

    /// Starts an agent in the foreground of this test, and waits until it serves.
    pub(crate) fn start(&self) -> Agent {
        let mut agent = Agent::spawn(&mut self.agent_command());
        assert_eq!(agent.word(), "ready");
        agent
    }

    /// The agent, as a child of this test.
    pub(crate) fn agent_command(&self) -> Command {
        let mut command = Command::new(program("claviger-agent"));
        command.args(["run", "--detached"]).env_clear().env("CLAVIGER_HOME", self.path()).stderr(Stdio::null());
        command.env("PATH", "/usr/bin:/bin").env("DBUS_SESSION_BUS_ADDRESS", self.bus());
        command
    }

    /// The agent without these defences (names of `claviger_agent::world::Defence`): the control of an attack.
    pub(crate) fn weak_agent_command(&self, without: &str) -> Command {
        let mut command = Command::new(program("claviger-agent-weak"));
        command.args(["run", "--detached"]).env_clear().env("CLAVIGER_HOME", self.path()).stderr(Stdio::null());
        command.env("PATH", "/usr/bin:/bin").env("DBUS_SESSION_BUS_ADDRESS", self.bus());
        command.env("CLAVIGER_WITHOUT", without);
        command
    }

    pub(crate) fn unlock(&self) -> Ended {
        self.run(&["unlock", "--passphrase-fd", "0"], PASSPHRASE)
    }

    pub(crate) fn status(&self) -> Value {
        serde_json::from_str(&self.run(&["status", "--json"], "").good()).expect("JSON")
    }

    /// The process id of the agent that serves.
    pub(crate) fn pid(&self) -> i32 {
        self.status()["pid"].as_i64().and_then(|pid| pid.try_into().ok()).expect("a pid")
    }

    /// Ends the agent that serves, as the kernel would.
    pub(crate) fn kill_agent(&self) {
        kill(self.pid());
    }

    /// A connection to the agent, hello said.
    pub(crate) fn connect(&self) -> Wire {
        Wire::greet(&self.file("run/agent.sock"))
    }

    /// The bytes of everything under `data` but lock, log and the audit record, by name.
    pub(crate) fn data(&self) -> Vec<(String, Vec<u8>)> {
        let mut files: Vec<_> = fs::read_dir(self.file("data"))
            .map(|entries| entries.flatten().map(|entry| entry.path()).collect())
            .unwrap_or_default();
        files.retain(|path: &PathBuf| {
            let name = path.file_name().unwrap_or_default();
            name != "audit" && !name.as_encoded_bytes().starts_with(b"agent.")
        });
        files.sort();
        let read = |path: PathBuf| (path.display().to_string(), fs::read(&path).expect("a file"));
        files.into_iter().map(read).collect()
    }

    /// How often the vault has been saved, as its header says.
    pub(crate) fn generation(&self) -> u64 {
        let vault = fs::read(self.file("data/vault")).expect("a vault");
        let text = String::from_utf8_lossy(&vault);
        let (_, number) = text.split_once("\"generation\":").expect("a generation");
        number.split(',').next().expect("a number").parse().expect("a number")
    }

    pub(crate) fn log(&self) -> String {
        fs::read_to_string(self.file("data/agent.log")).expect("a log")
    }
}

impl Drop for Home {
    fn drop(&mut self) {
        // The agent that a client started is nobody's child: its own status names it.
        if let Some(pid) = Wire::try_pid(&self.file("run/agent.sock")) {
            kill(pid);
        }
    }
}

const PROFILES: &str = "\
[profile prod]
role_arn = arn:aws:iam::123456789012:role/prod-admin
source_profile = dev
region = eu-central-1
[profile plain]
role_arn = arn:aws:iam::123456789012:role/plain
source_profile = dev
[profile audit]
role_arn = arn:aws:iam::123456789012:role/audit-read
source_profile = prod
";

/// Runs a command with this on stdin.
pub(crate) fn run(command: &mut Command, stdin: &str) -> Ended {
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().expect("the program");
    // A program that does not read it is none the worse.
    let _ = child.stdin.take().expect("stdin").write_all(stdin.as_bytes());
    child.wait_with_output().expect("its end").into()
}

pub(crate) fn signal_to(pid: i32, signal: Signal) {
    let pid = Pid::from_raw(pid).expect("a pid");
    rustix::process::kill_process(pid, signal).expect("a signal");
}

/// Kills a process that need not be a child, and waits until it has gone.
pub(crate) fn kill(pid: i32) {
    let Some(process) = Pid::from_raw(pid).and_then(|pid| pidfd_open(pid, PidfdFlags::empty()).ok()) else { return };
    let _ = pidfd_send_signal(&process, Signal::KILL);
    poll(&mut [PollFd::new(&process, PollFlags::IN)], None).expect("its end");
}

/// Waits until a process that need not be a child has gone by itself.
pub(crate) fn wait_gone(pid: i32) {
    let Some(process) = Pid::from_raw(pid).and_then(|pid| pidfd_open(pid, PidfdFlags::empty()).ok()) else { return };
    poll(&mut [PollFd::new(&process, PollFlags::IN)], None).expect("its end");
}
