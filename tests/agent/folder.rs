//! Where the socket is, and what may not hold it.

use crate::attack::{USER, as_user, ordinary};
use crate::home::{Agent, Ended, Home, PASSPHRASE, kill, run};
use crate::sandbox::Sandbox;
use crate::wire::Wire;
use std::fs;
use std::os::unix::fs::{chown, symlink};
use std::path::{Path, PathBuf};
use std::process::Command;

/// An ordinary user with nothing but HOME and PATH, and no terminal.
struct Bare {
    home: Home,
    user: PathBuf,
}

impl Bare {
    fn new() -> Self {
        let home = ordinary();
        let user = home.file("ada");
        fs::create_dir(&user).expect("a folder");
        chown(&user, Some(USER), Some(USER)).expect("chown");
        Self { home, user }
    }

    fn command(&self, program: &str) -> Command {
        let mut command = as_user(&self.home, USER, "/usr/bin/setsid".as_ref());
        command.arg("--wait").arg(self.home.file("bin").join(program)).env_clear();
        command.env("HOME", &self.user).env("PATH", "/usr/bin:/bin");
        command
    }

    fn run(&self, arguments: &[&str], stdin: &str) -> Ended {
        run(self.command("claviger").args(arguments), stdin)
    }

    fn folder(&self, name: &str, mode: u32, owner: u32) -> PathBuf {
        let path = self.user.join(name);
        fs::create_dir_all(&path).expect("a folder");
        chown(&path, Some(owner), Some(owner)).expect("chown");
        self.home.set_mode(&format!("ada/{name}"), mode);
        path
    }
}

impl Drop for Bare {
    fn drop(&mut self) {
        let ended = self.run(&["status", "--json"], "");
        let status = serde_json::from_str::<serde_json::Value>(&ended.stdout).unwrap_or_default();
        if let Some(pid) = status["pid"].as_i64() {
            kill(pid.try_into().expect("a pid"));
        }
    }
}

#[test]
fn with_home_and_path_alone_the_whole_main_job_works() {
    let sandbox = Sandbox::start();
    let bare = Bare::new();
    bare.home.configure(&sandbox);
    let config = bare.folder(".config", 0o755, USER).join("claviger");
    fs::rename(bare.home.file("config"), &config).expect("moved");
    for path in [config.clone(), config.join("config.toml"), config.join("profiles")] {
        chown(path, Some(USER), Some(USER)).expect("chown");
    }
    bare.run(&["init", "--passphrase-fd", "0"], PASSPHRASE).good();
    bare.run(&["access-key", "add", "dev", "--stdin"], &sandbox.access_key()).good();
    bare.run(&["mfa", "add", "--for", "dev", "--seed-stdin"], sandbox.text("mfa_seed")).good();
    bare.run(&["login", "prod"], "").good();
    assert!(bare.run(&["process", "prod"], "").good().starts_with("{\"Version\":1,"));
    assert!(bare.user.join(".local/share/claviger/vault").is_file());
    assert!(bare.user.join(".local/state/claviger/run/agent.sock").exists());
    bare.run(&["lock"], "").good();
    bare.run(&["process", "prod"], "").fault(3, "vault.locked");
}

#[test]
fn the_runtime_folder_is_taken_where_it_is_ours_alone_and_else_the_next_one() {
    let bare = Bare::new();
    let fallback = bare.user.join(".local/state/claviger/run/agent.sock");
    let runtime = bare.folder("runtime", 0o700, USER);
    let start = |runtime: Option<&Path>| {
        let mut command = bare.command("claviger-agent");
        // A child of this test: no session in between.
        let mut direct = as_user(&bare.home, USER, &bare.home.file("bin/claviger-agent"));
        direct.env_clear().envs(command.get_envs().filter_map(|(name, value)| Some((name, value?))));
        command = direct;
        if let Some(runtime) = runtime {
            command.env("XDG_RUNTIME_DIR", runtime);
        }
        let mut agent = Agent::spawn(command.args(["run", "--detached"]));
        let word = agent.word();
        (agent, word)
    };
    let socket = runtime.join("claviger/agent.sock");

    let (agent, word) = start(Some(&runtime));
    assert_eq!((word.as_str(), socket.exists(), fallback.exists()), ("ready", true, false));
    drop(agent);
    fs::remove_dir_all(runtime.join("claviger")).expect("removed");

    for bad in ["open", "link", "foreign", "file"] {
        match bad {
            "open" => drop(bare.folder("runtime/claviger", 0o755, USER)),
            "link" => {
                bare.folder("elsewhere", 0o700, USER);
                symlink(bare.user.join("elsewhere"), runtime.join("claviger")).expect("a link");
            }
            "foreign" => drop(bare.folder("runtime/claviger", 0o700, USER + 1)),
            _ => fs::write(runtime.join("claviger"), "").expect("a file"),
        }
        let (agent, word) = start(Some(&runtime));
        assert_eq!((word.as_str(), socket.exists(), fallback.exists()), ("ready", false, true), "{bad}");
        let mut client = bare.command("claviger");
        client.env("XDG_RUNTIME_DIR", &runtime);
        assert_eq!(run(client.arg("status"), "").exit, Some(0), "a client finds it alike: {bad}");
        drop(agent);
        fs::remove_file(&fallback).expect("removed");
        let place = runtime.join("claviger");
        if place.is_dir() && !place.is_symlink() {
            fs::remove_dir_all(place).expect("removed");
        } else {
            fs::remove_file(place).expect("removed");
        }
        assert!(!bare.user.join("elsewhere/agent.sock").exists());
    }

    let (agent, word) = start(None);
    assert_eq!((word.as_str(), fallback.exists()), ("ready", true));
    drop(agent);
    bare.home.set_mode("ada/.local/state/claviger/run", 0o770);
    let (mut agent, word) = start(None);
    assert!(word.contains("\"code\":\"agent.runtime_folder\""), "{word}");
    assert_eq!(agent.wait().code(), Some(1));
}

#[test]
fn what_lies_in_the_sockets_place_is_neither_followed_nor_removed() {
    let home = Home::new();
    fs::create_dir(home.file("run")).expect("a folder");
    home.set_mode("run", 0o700);
    home.write("precious", "precious");
    for kind in ["file", "link", "dangling", "folder"] {
        let place = home.file("run/agent.sock");
        match kind {
            "file" => fs::write(&place, "precious").expect("a file"),
            "link" => symlink(home.file("precious"), &place).expect("a link"),
            "dangling" => symlink(home.file("nowhere"), &place).expect("a link"),
            _ => fs::create_dir(&place).expect("a folder"),
        }
        let mut agent = Agent::spawn(&mut home.agent_command());
        assert!(agent.word().contains("\"code\":\"agent.runtime_folder\""), "{kind}");
        assert_eq!(agent.wait().code(), Some(1));
        assert!(fs::symlink_metadata(&place).is_ok() && !home.file("nowhere").exists(), "{kind}");
        if kind == "folder" { fs::remove_dir(&place) } else { fs::remove_file(&place) }.expect("removed");
    }
    assert_eq!(fs::read_to_string(home.file("precious")).expect("a file"), "precious");
    drop(home.start());
}

#[test]
fn where_the_folder_vanishes_the_agent_binds_anew() {
    let home = Home::new();
    let agent = home.start();
    let socket = home.file("run/agent.sock");
    let back = || {
        // Whoever connects in between finds nobody; once the socket is back, it is the same agent's.
        while Wire::try_pid(&socket).is_none() {
            std::thread::yield_now();
        }
        assert_eq!(home.pid(), agent.pid());
    };
    fs::remove_file(&socket).expect("removed");
    back();
    fs::rename(home.file("run"), home.file("old")).expect("renamed");
    back();
    fs::remove_dir_all(home.file("old")).expect("removed");
    // The agent may be faster than whoever removes the folder.
    while fs::remove_dir_all(home.file("run")).is_err() {}
    back();
    let mode = fs::metadata(home.file("run")).expect("a folder").permissions();
    assert_eq!(std::os::unix::fs::PermissionsExt::mode(&mode) & 0o777, 0o700);
    // A client that needs an agent meanwhile gets this one, or waits for it.
    fs::remove_file(&socket).expect("removed");
    home.run(&["agent", "start"], "").good();
    assert_eq!(home.pid(), agent.pid());
}

#[test]
fn what_lies_in_the_place_of_a_file_is_neither_followed_nor_waited_for() {
    for kind in ["link", "dangling", "fifo"] {
        for names in [&["agent.lock"][..], &["agent.log"], &["vault"], &["vault.new", "state", "state.new", "audit"]] {
            let home = Home::new();
            fs::create_dir(home.file("data")).expect("a folder");
            home.set_mode("data", 0o700);
            home.write("precious", "precious");
            for name in names {
                let place = home.file("data").join(name);
                match kind {
                    "link" => symlink(home.file("precious"), place).expect("a link"),
                    "dangling" => symlink(home.file("nowhere"), place).expect("a link"),
                    _ => assert!(Command::new("mkfifo").arg(place).status().expect("mkfifo").success()),
                }
            }
            // Whether it can go on is one question; what it must not touch, and that it ends, another.
            let mut agent = Agent::spawn(&mut home.agent_command());
            if agent.word() == "ready" && names.len() > 1 {
                let _ = home.run(&["init", "--passphrase-fd", "0"], PASSPHRASE);
                let _ = home.run(&["lock"], "");
            }
            assert_eq!(fs::read_to_string(home.file("precious")).expect("a file"), "precious", "{kind} {names:?}");
            assert!(!home.file("nowhere").exists(), "{kind} {names:?}");
        }
    }
}
