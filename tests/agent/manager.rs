//! The systemd units, in a real user manager.

use crate::attack::{USER, as_user, attack};
use crate::home::{Agent, Ended, Home, PASSPHRASE, kill, run, wait_gone};
use crate::installed::{CLOSED, Installed};
use serde_json::Value;
use std::fs;
use std::io::{BufRead, BufReader};
use std::os::unix::fs::{PermissionsExt, chown};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

const SCRIPT: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/agent/manager.sh");
const UNITS: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/packaging/systemd");
const SERVICE: &str = "claviger-agent.service";
const SOCKET: &str = "claviger-agent.socket";

/// A user manager with the units of `packaging/systemd`, and the programs in a folder of root's.
struct Manager {
    child: Child,
    installed: Installed,
}

/// Gives a folder, with the missing ones above it, to the user of the tests.
fn own_folder(home: &Home, name: &str) -> PathBuf {
    let mut path = home.path().to_owned();
    for part in Path::new(name) {
        path.push(part);
        if !path.is_dir() {
            fs::create_dir(&path).expect("a folder");
            fs::set_permissions(&path, fs::Permissions::from_mode(0o700)).expect("chmod");
            chown(&path, Some(USER), Some(USER)).expect("chown");
        }
    }
    path
}

impl Manager {
    fn start() -> Self {
        let installed = Installed::new(CLOSED, None);
        let units = own_folder(&installed.home, ".config/systemd/user");
        let programs = installed.program("");
        for unit in [SERVICE, SOCKET] {
            let text = fs::read_to_string(format!("{UNITS}/{unit}")).expect("a unit");
            // As the guide says for programs elsewhere.
            let text = text.replace("%h/.local/bin/", &format!("{}", programs.display()));
            fs::write(units.join(unit), text).expect("a unit");
        }
        // Else the manager starts what this machine has for its users.
        fs::write(units.join("default.target"), "[Unit]\nDescription=Nothing\n").expect("a unit");
        let config = own_folder(&installed.home, ".config/claviger");
        fs::write(config.join("config.toml"), "[vault]\nargon2_memory_mib = 64\n").expect("a file");
        let runtime = own_folder(&installed.home, "runtime");
        let mut script = Command::new("unshare");
        script.args(["--mount", "/bin/sh", SCRIPT, &USER.to_string()]).arg(installed.home.path()).arg(runtime);
        let mut child = script.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().expect("unshare");
        let mut line = String::new();
        BufReader::new(child.stdout.take().expect("stdout")).read_line(&mut line).expect("a line");
        assert_eq!(line, "ready\n", "a user manager needs root, mount namespaces and cgroup2");
        Self { child, installed }
    }

    /// As this user, with the environment that a login gives.
    fn command(&self, program: &Path) -> Command {
        let mut command = as_user(&self.installed.home, USER, program);
        command.env_remove("CLAVIGER_HOME").env("HOME", self.installed.home.path());
        command.env("XDG_RUNTIME_DIR", self.installed.home.file("runtime"));
        command
    }

    fn client(&self, arguments: &[&str], stdin: &str) -> Ended {
        run(self.command(&self.installed.program("claviger")).args(arguments), stdin)
    }

    fn status(&self) -> Value {
        serde_json::from_str(&self.client(&["status", "--json"], "").good()).expect("JSON")
    }

    fn pid(&self) -> i32 {
        self.status()["pid"].as_i64().and_then(|pid| pid.try_into().ok()).expect("a pid")
    }

    fn systemctl(&self, arguments: &[&str]) -> String {
        let ended = run(self.command("/usr/bin/systemctl".as_ref()).arg("--user").args(arguments), "");
        if ended.exit != Some(0) {
            let log = fs::read_to_string(self.installed.home.file("manager.log")).unwrap_or_default();
            panic!("{arguments:?}: {ended:?}\n{log}");
        }
        ended.stdout.trim_end().to_owned()
    }

    fn show(&self, unit: &str, property: &str) -> String {
        self.systemctl(&["show", "--value", "-p", property, unit])
    }

    /// The agent that systemd takes for the service's main process.
    fn main_pid(&self) -> i32 {
        self.show(SERVICE, "MainPID").parse().expect("a pid")
    }

    /// Waits until systemd says this.
    fn wait(&self, unit: &str, property: &str, value: &str) {
        while self.show(unit, property) != value {
            std::thread::yield_now();
        }
    }

    /// An agent started by hand, in this environment.
    fn by_hand(&self, runtime: bool) -> Agent {
        let mut command = self.command(&self.installed.program("claviger-agent"));
        if !runtime {
            command.env_remove("XDG_RUNTIME_DIR");
        }
        let mut agent = Agent::spawn(command.args(["run", "--detached"]).stderr(Stdio::null()));
        assert_eq!(agent.word(), "ready");
        agent
    }
}

impl Drop for Manager {
    fn drop(&mut self) {
        drop(self.child.stdin.take());
        let _ = self.child.wait();
    }
}

#[test]
fn the_units_serve_restart_and_come_back() {
    let manager = Manager::start();
    manager.systemctl(&["start", SOCKET]);
    assert_eq!((manager.show(SOCKET, "ActiveState"), manager.main_pid()), ("active".to_owned(), 0));
    let first = manager.pid();
    assert_eq!(manager.main_pid(), first, "the first client starts it");
    manager.wait(SERVICE, "ActiveState", "active");
    manager.client(&["init", "--passphrase-fd", "0"], PASSPHRASE).good();

    let status = fs::read_to_string(format!("/proc/{first}/status")).expect("its status");
    for line in ["NoNewPrivs:\t1\n", "Seccomp:\t2\n", "CapEff:\t0000000000000000\n"] {
        assert!(status.contains(line), "{line}: {status}");
    }
    let mut old = first;
    for restart in ["reload", "agent restart"] {
        match restart {
            "reload" => drop(manager.systemctl(&["reload", SERVICE])),
            _ => drop(manager.client(&["agent", "restart"], "").good()),
        }
        let new = manager.pid();
        assert_ne!(new, old);
        wait_gone(old);
        assert_eq!((manager.main_pid(), manager.show(SERVICE, "ActiveState").as_str()), (new, "active"), "{restart}");
        assert_eq!(manager.status()["vault"], "unlocked", "{restart}");
        let ways = attack(&manager.installed.home, USER, new.cast_unsigned());
        assert!(ways.iter().all(|(_, success)| !success), "{ways:?}");
        old = new;
    }
    assert_eq!(manager.show(SERVICE, "NRestarts"), "0");

    // systemd sees the end of a process that it did not start itself.
    kill(old);
    manager.wait(SERVICE, "NRestarts", "1");
    let new = manager.pid();
    assert_ne!(new, old);
    assert_eq!(manager.status()["locked_by"], "start");
    manager.wait(SERVICE, "MainPID", &new.to_string());

    manager.client(&["unlock", "--passphrase-fd", "0"], PASSPHRASE).good();
    manager.systemctl(&["restart", SERVICE]);
    assert_eq!(manager.status()["vault"], "locked");
    assert_eq!(manager.main_pid(), manager.pid());

    manager.client(&["agent", "stop"], "").good();
    manager.wait(SERVICE, "ActiveState", "inactive");
    assert_eq!(manager.show(SERVICE, "Result"), "success");
    assert_ne!(manager.pid(), 0, "the socket starts it again");
}

#[test]
fn an_agent_started_by_hand_makes_room_for_systemds() {
    let manager = Manager::start();
    // Its path is taken by the socket unit.
    let mut by_hand = manager.by_hand(true);
    assert_eq!(manager.pid(), by_hand.pid());
    manager.systemctl(&["start", SOCKET]);
    assert_eq!(by_hand.wait().code(), Some(0));
    assert_eq!(manager.pid(), manager.main_pid());

    // It serves elsewhere, where systemd's socket does not reach.
    manager.systemctl(&["stop", SERVICE, SOCKET]);
    let mut by_hand = manager.by_hand(false);
    assert_eq!(manager.pid(), by_hand.pid(), "clients look there too");
    manager.systemctl(&["start", SOCKET]);
    assert_eq!(manager.pid(), manager.main_pid());
    assert_eq!(by_hand.wait().code(), Some(0));

    // And one that comes later leaves systemd's socket alone.
    manager.systemctl(&["stop", SERVICE]);
    manager.systemctl(&["start", SOCKET]);
    let mut command = manager.command(&manager.installed.program("claviger-agent"));
    let ended = run(command.arg("run"), "");
    assert_eq!((ended.exit, ended.stderr.as_str()), (Some(0), "already serving\n"));
    assert_eq!(manager.pid(), manager.main_pid());
}

#[test]
fn the_units_are_sound_and_as_closed_as_a_user_unit_can_be() {
    let home = Home::new();
    for name in ["claviger", "claviger-agent"] {
        let bin = home.file(".local/bin");
        fs::create_dir_all(&bin).expect("a folder");
        std::os::unix::fs::symlink(crate::home::program(name), bin.join(name)).expect("a link");
    }
    let analyze = |arguments: &[&str]| {
        let mut command = Command::new("/usr/bin/systemd-analyze");
        command.args(arguments).env_clear().env("PATH", "/usr/bin:/bin").env("HOME", home.path());
        run(command.env("XDG_RUNTIME_DIR", home.path()), "")
    };
    let (service, socket) = (format!("{UNITS}/{SERVICE}"), format!("{UNITS}/{SOCKET}"));
    let verified = analyze(&["verify", "--user", &service, &socket]);
    assert_eq!((verified.exit, verified.stderr.as_str()), (Some(0), ""));
    let security = analyze(&["security", "--user", "--offline=true", "--json=short", &service]);
    let rows: Value = serde_json::from_str(&security.stdout).expect("JSON");
    let open: Vec<&str> = rows
        .as_array()
        .expect("rows")
        .iter()
        .filter(|row| row["set"] == false)
        .filter_map(|row| row["json_field"].as_str().or_else(|| row["name"].as_str()))
        .collect();
    // What is left open is the service's work, or needs a privileged manager or a mount namespace.
    for field in open {
        let expected = [
            "CapabilityBoundingSet_",
            "Protect",
            "Private",
            "IPAddressDeny",
            "DeviceAllow",
            "RootDirectory",
            "ProcSubset",
            "User",
            "KeyringMode",
        ];
        let families = [
            "RestrictAddressFamilies_AF_INET_INET6",
            "RestrictAddressFamilies_AF_UNIX",
            "RestrictAddressFamilies_AF_NETLINK",
        ];
        assert!(families.contains(&field) || expected.iter().any(|start| field.starts_with(start)), "{field}");
    }
}
