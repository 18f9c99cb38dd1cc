//! An agent whose device helper sees the rigs alone.

use crate::home::{Agent, Home, PASSPHRASE, program, run};
use serde_json::Value;
use std::fs;
use std::ops::Deref;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use tempfile::TempDir;

/// A home, and an installation of claviger whose helper is started with this environment.
pub(crate) struct Installed {
    home: Home,
    programs: TempDir,
    _agent: Option<Agent>,
}

impl Installed {
    /// Its agent runs. The helper is a script that adds to the environment, and becomes the helper: the agent itself
    /// passes none on.
    pub(crate) fn start(home: Home, environment: &[(&str, PathBuf)]) -> Self {
        Self::start_with(home, environment, &format!("'{}'", program("claviger-device-helper").display()))
    }

    /// The same with these words of a shell as the helper.
    pub(crate) fn start_with(home: Home, environment: &[(&str, PathBuf)], helper: &str) -> Self {
        let programs = tempfile::tempdir().expect("a folder");
        install(&program("claviger-agent"), &programs.path().join("claviger-agent"), "");
        let exports: String =
            environment.iter().map(|(name, value)| format!("export {name}='{}'\n", value.display())).collect();
        let script = format!("#!/bin/sh\n{exports}exec {helper}\n");
        install(Path::new("/dev/stdin"), &programs.path().join("claviger-device-helper"), &script);
        let mut installed = Self { home, programs, _agent: None };
        let mut agent = Agent::spawn(&mut installed.agent_command());
        assert_eq!(agent.word(), "ready");
        installed._agent = Some(agent);
        installed
    }

    /// The same, with a vault that is open.
    pub(crate) fn open(environment: &[(&str, PathBuf)]) -> Self {
        let installed = Self::start(Home::new(), environment);
        installed.run(&["init", "--passphrase-fd", "0"], PASSPHRASE).good();
        installed
    }

    /// The agent ends, and another one starts.
    pub(crate) fn again(&mut self) {
        self.run(&["agent", "stop"], "").good();
        self._agent = None;
        let mut agent = Agent::spawn(&mut self.agent_command());
        assert_eq!(agent.word(), "ready");
        self._agent = Some(agent);
    }

    fn agent_command(&self) -> Command {
        let mut command = Command::new(self.programs.path().join("claviger-agent"));
        command.args(["run", "--detached"]).env_clear().env("CLAVIGER_HOME", self.path()).stderr(Stdio::null());
        command.env("PATH", "/usr/bin:/bin").env("DBUS_SESSION_BUS_ADDRESS", self.file("bus.sock"));
        command
    }

    /// `device list`, as a program reads it.
    pub(crate) fn devices(&self) -> Vec<Value> {
        let listed = self.run(&["device", "list", "--json"], "").good();
        let listed: Value = serde_json::from_str(&listed).expect("JSON");
        listed["devices"].as_array().expect("devices").clone()
    }

    /// Lists until the devices are as wanted: pcscd tells of a change when it has seen it.
    pub(crate) fn devices_until(&self, wanted: impl Fn(&[Value]) -> bool) -> Vec<Value> {
        let mut tries = (0..1000).map(|_| self.devices());
        tries.find(|devices| wanted(devices)).expect("the devices that are wanted")
    }

    /// The device helpers that run.
    pub(crate) fn helpers(&self) -> Vec<i32> {
        let agent = self.pid();
        let children = fs::read_dir("/proc").expect("/proc").flatten().filter_map(|entry| {
            let pid: i32 = entry.file_name().to_str()?.parse().ok()?;
            let stat = fs::read_to_string(entry.path().join("stat")).ok()?;
            let parent: i32 = stat.rsplit_once(") ")?.1.split(' ').nth(1)?.parse().ok()?;
            (parent == agent).then_some(pid)
        });
        children.collect()
    }
}

/// Puts a program in its place. By another process: a file that this one had open for writing could be open still in a
/// child that another test has just forked, and would be busy (execve(2), ETXTBSY).
fn install(from: &Path, to: &Path, stdin: &str) {
    run(Command::new("install").args(["-m", "755"]).arg(from).arg(to), stdin).good();
}

impl Deref for Installed {
    type Target = Home;

    fn deref(&self) -> &Home {
        &self.home
    }
}
