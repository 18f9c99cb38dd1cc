//! A planned restart: the same socket, lock, key and sessions in another process, and nobody is turned away.

use crate::attack::{USER, WAYS, as_user, attack};
use crate::home::{Ended, Home, PASSPHRASE, program, wait_gone};
use crate::installed::{CLOSED, Installed, copy};
use crate::raw::{CLOSED as ENDED, IDENTITIES, LIST, Raw};
use crate::sandbox::Sandbox;
use serde_json::{Value, json};
use std::fs;
use std::path::PathBuf;
use std::process::Stdio;
use std::sync::atomic::{AtomicUsize, Ordering};

fn key_of(line: &str) -> String {
    let credentials: Value = serde_json::from_str(line).expect("JSON");
    credentials["AccessKeyId"].as_str().expect("an id").to_owned()
}

fn proc(pid: i32, file: &str) -> String {
    fs::read_to_string(format!("/proc/{pid}/{file}")).expect("a file of a process")
}

#[test]
fn a_restart_passes_everything_on_to_a_process_that_protects_itself() {
    let sandbox = Sandbox::start();
    let (installed, mut first) = Installed::ready(CLOSED, &sandbox);
    let key = key_of(&installed.run(&["process", "prod"], "").good());
    let (before, codes) = (installed.status(), sandbox.codes());
    let mut old = first.pid();
    for _ in 0..3 {
        let said = installed.run(&["agent", "restart"], "");
        let pid = installed.pid();
        let version = env!("CARGO_PKG_VERSION");
        let told = format!("The agent has restarted (claviger-agent/{version}, pid {pid}).\n");
        assert_eq!((said.exit, said.stderr.as_str()), (Some(0), told.as_str()));
        assert_ne!(pid, old);
        wait_gone(old);
        old = pid;
        let status = installed.status();
        assert_eq!(status["vault"], "unlocked");
        let left = |status: &Value| status["presence_left"].as_u64().expect("presence");
        assert!(left(&status) <= left(&before), "no presence comes of a restart");
        assert_eq!(status["sessions"].as_array().map(Vec::len), before["sessions"].as_array().map(Vec::len));
        assert_eq!(key_of(&installed.run(&["process", "prod"], "").good()), key);

        let ways = attack(&installed.home, USER, pid.cast_unsigned());
        assert!(ways.len() == WAYS && ways.iter().all(|(_, success)| !success), "{ways:?}");
        let core = proc(pid, "limits").lines().find(|line| line.starts_with("Max core")).map(str::to_owned);
        assert_eq!(core.expect("a limit").split_whitespace().nth(4), Some("0"));
        let arguments = proc(pid, "cmdline");
        assert_eq!(
            arguments,
            format!("{}\0run\0--detached\0--successor\0", installed.program("claviger-agent").display())
        );
        let environment = proc(pid, "environ");
        let names: Vec<&str> = environment.split_terminator('\0').filter_map(|pair| pair.split('=').next()).collect();
        assert_eq!(names, ["CLAVIGER_HOME", "PATH"], "{environment:?}");
        let mut open: Vec<String> = fs::read_dir(format!("/proc/{pid}/fd"))
            .expect("its descriptors")
            .flatten()
            .filter_map(|entry| fs::read_link(entry.path()).ok())
            .map(|target| target.display().to_string())
            .collect();
        // The two listening sockets and their second descriptors, the signals' pair of the runtime; not the predecessor's.
        let sockets = open.iter().filter(|target| target.starts_with("socket:")).count();
        assert!(sockets <= 7, "{open:?}");
        open.retain(|target| !target.starts_with("socket:") && !target.starts_with("anon_inode:"));
        let file = |name: &str| installed.home.file(name).display().to_string();
        let known = ["/dev/null".to_owned(), file("data/agent.lock"), file("data/agent.log"), file("data/state")];
        let record = file("data/audit/");
        assert!(open.iter().all(|target| known.contains(target) || target.starts_with(&record)), "{open:?}");
    }
    assert_eq!(sandbox.codes(), codes);
    assert_eq!(first.wait().code(), Some(0));
    installed.run(&["agent", "stop"], "").good();
    wait_gone(old);
    assert!(!installed.home.file("run/agent.sock").exists(), "its path is the successor's to remove");
}

#[test]
fn the_kernel_lets_nobody_look_into_a_program_that_they_cannot_read() {
    let installed = Installed::new(CLOSED, None);
    copy("/bin/sleep".as_ref(), &installed.program("sleep"), 0o755);
    for (mode, seen) in [(0o755, true), (CLOSED, false)] {
        installed.set_mode("sleep", mode);
        // By a shell, which has no privileges left that would read it.
        let mut program = as_user(&installed.home, USER, "/bin/sh".as_ref());
        let line = format!("exec {} 1000", installed.program("sleep").display());
        let mut program = program.args(["-c", &line]).spawn().expect("a program");
        // It protects itself by nothing; once it is that program the kernel has decided.
        while !proc(program.id().cast_signed(), "comm").starts_with("sleep") {
            std::thread::yield_now();
        }
        let ways = attack(&installed.home, USER, program.id());
        program.kill().expect("kill");
        program.wait().expect("its end");
        // Yama may refuse the others even where the program can be read.
        let control = ["auxv", "descriptors", "environ", "exe", "maps"];
        let asked = |way: &str| mode == CLOSED || control.contains(&way);
        assert!(ways.iter().all(|(way, success)| !asked(way) || *success == seen), "{mode:o}: {ways:?}");
    }
}

#[test]
fn a_successor_that_the_user_could_replace_or_look_into_gets_no_key() {
    let sandbox = Sandbox::start();
    let (installed, _first) = Installed::ready(CLOSED, &sandbox);
    let key = key_of(&installed.run(&["process", "prod"], "").good());
    let codes = sandbox.codes();
    for (name, mode, why) in [
        ("claviger-agent", 0o755, "this user can read "),
        ("claviger-agent", 0o713, "this user can change "),
        ("", 0o777, "this user can change "),
    ] {
        installed.set_mode(name, mode);
        let said = installed.run(&["agent", "restart"], "");
        let wanted = format!("The vault is locked now: {why}{}", installed.program(name).display());
        let wanted = wanted.trim_end_matches('/');
        assert!(said.exit == Some(0) && said.stderr.contains(wanted), "{wanted}: {said:?}");
        assert_eq!(installed.status()["locked_by"], "start");
        installed.run(&["process", "prod"], "").fault(3, "vault.locked");
        installed.unlock();
        assert_eq!(key_of(&installed.run(&["process", "prod"], "").good()), key);
        installed.set_mode("claviger-agent", CLOSED);
        installed.set_mode("", 0o755);
    }
    // A locked vault needs no such care, and stays what it was.
    installed.run(&["lock"], "").good();
    let pid = installed.pid();
    let said = installed.run(&["agent", "restart"], "");
    assert!(said.exit == Some(0) && !said.stderr.contains("vault"), "{said:?}");
    let status = installed.status();
    assert_eq!((status["vault"].as_str(), status["locked_by"].as_str()), (Some("locked"), Some("command")));
    assert_ne!(status["pid"], pid);
    assert_eq!(sandbox.codes(), codes);
}

#[test]
fn a_restart_shortens_no_wait_after_a_wrong_guess() {
    let installed = Installed::new(CLOSED, None);
    let _first = installed.start();
    installed.run(&["init", "--passphrase-fd", "0"], PASSPHRASE).good();
    installed.run(&["lock"], "").good();
    // Each wrong guess doubles the wait, so after some the restart is surely within it.
    let wrong = |wanted: &str| loop {
        let refused = installed.run(&["unlock", "--passphrase-fd", "0"], "wrong\n");
        assert_ne!(refused.exit, Some(0));
        if refused.stderr.contains(wanted) {
            return;
        }
    };
    for _ in 0..4 {
        wrong("opens no slot");
    }
    installed.run(&["agent", "restart"], "").good();
    let refused = installed.run(&["unlock", "--passphrase-fd", "0"], PASSPHRASE);
    assert!(refused.exit == Some(5) && refused.stderr.contains("wait"), "{refused:?}");
}

/// The agent's program with another version in it.
fn upgrade(installed: &Installed) -> (PathBuf, String) {
    let version = env!("CARGO_PKG_VERSION");
    let newer = format!("{}9", &version[..version.len() - 1]);
    assert_ne!(newer, version);
    let mut bytes = fs::read(program("claviger-agent")).expect("the agent");
    let found: Vec<usize> = bytes
        .windows(version.len())
        .enumerate()
        .filter(|(_, at)| *at == version.as_bytes())
        .map(|(at, _)| at)
        .collect();
    assert!(!found.is_empty());
    for at in found {
        bytes[at..at + version.len()].copy_from_slice(newer.as_bytes());
    }
    let path = installed.home.file("newer");
    fs::write(&path, bytes).expect("a file");
    (path, newer)
}

#[test]
fn a_thousand_clients_notice_neither_twenty_restarts_nor_an_upgrade() {
    const CLIENTS: usize = 1000;
    const RESTARTS: usize = 21;
    let sandbox = Sandbox::start();
    let (installed, _first) = Installed::ready(CLOSED, &sandbox);
    let key = key_of(&installed.run(&["process", "prod"], "").good());
    let (newer, version) = upgrade(&installed);
    let codes = sandbox.codes();
    let (begun, ended) = (AtomicUsize::new(0), AtomicUsize::new(0));
    std::thread::scope(|scope| {
        let client = || {
            while begun.fetch_add(1, Ordering::SeqCst) < CLIENTS {
                let ended_as = installed.run(&["process", "prod"], "");
                assert_eq!(key_of(&ended_as.good()), key);
                ended.fetch_add(1, Ordering::SeqCst);
            }
        };
        let clients: Vec<_> = (0..50).map(|_| scope.spawn(client)).collect();
        for restart in 0..RESTARTS {
            while ended.load(Ordering::SeqCst) < restart * (CLIENTS - 100) / RESTARTS {
                assert!(!clients.iter().any(std::thread::ScopedJoinHandle::is_finished), "a client failed");
                std::thread::yield_now();
            }
            if restart == RESTARTS / 2 {
                installed.install(&newer, CLOSED);
            }
            let said = installed.run(&["agent", "restart"], "");
            assert!(said.exit == Some(0) && !said.stderr.contains("locked"), "{said:?}");
        }
    });
    assert_eq!(ended.load(Ordering::SeqCst), CLIENTS);
    let status = installed.status();
    assert_eq!((status["vault"].as_str(), status["version"].as_str()), (Some("unlocked"), Some(version.as_str())));
    assert_eq!(installed.home.log().matches("another process has taken over").count(), RESTARTS);
    assert_eq!(sandbox.codes(), codes, "no restart costs a code");
}

#[test]
fn clients_of_a_program_that_the_user_can_replace_meet_a_locked_vault_and_nothing_else() {
    let sandbox = Sandbox::start();
    let (installed, _first) = Installed::ready(0o755, &sandbox);
    let codes = sandbox.codes();
    let done = AtomicUsize::new(0);
    let (mut answered, mut locked) = (0, 0);
    std::thread::scope(|scope| {
        let client = || {
            let mut ends = Vec::new();
            while done.load(Ordering::SeqCst) < 5 {
                ends.push(installed.run(&["process", "prod"], ""));
            }
            ends
        };
        let clients: Vec<_> = (0..8).map(|_| scope.spawn(client)).collect();
        for _ in 0..5 {
            installed.run(&["agent", "restart"], "").good();
            installed.unlock();
            done.fetch_add(1, Ordering::SeqCst);
        }
        for ended in clients.into_iter().flat_map(|client| client.join().expect("a client")) {
            if ended.exit == Some(0) {
                answered += 1;
            } else {
                ended.fault(3, "vault.locked");
                locked += 1;
            }
        }
    });
    assert!(answered > 0 && locked > 0, "{answered} answered, {locked} locked");
    assert_eq!(sandbox.codes(), codes, "sealed sessions come back without one");
}

#[test]
fn a_restart_waits_for_what_is_in_hand_and_lets_nobody_notice() {
    let sandbox = Sandbox::start();
    let home = Home::ready(&sandbox, &[]);
    home.run(&["process", "prod"], "").good();
    let old = home.pid();
    sandbox.fault("AssumeRole", 1, &json!("hang"));
    let start = |arguments: &[&str]| {
        let mut client = home.command("claviger");
        client.args(arguments).stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        client.spawn().expect("a client")
    };
    let waiting = start(&["process", "plain"]);
    sandbox.wait_hanging(1);
    let mut other = home.connect();
    let mut ssh = Raw::connect(&crate::ssh::socket(&home));
    assert_eq!(ssh.kind(&[LIST]), IDENTITIES, "the control");
    let restart = start(&["agent", "restart"]);
    // An open connection hears that nothing more is taken, and why.
    let mut id = 2;
    loop {
        let said = other.ask(id, &json!({"status": {}}));
        if said["fault"]["code"] == "agent.stopping" {
            break;
        }
        assert!(said["reply"]["status"].is_object(), "{said}");
        id += 1;
    }
    // A request of an SSH client waits now, and then asks the successor: on its own connection it is not answered.
    let anew = std::thread::spawn({
        let socket = crate::ssh::socket(&home);
        move || Raw::connect(&socket).kind(&[LIST])
    });
    let open = std::thread::spawn(move || ssh.kind(&[LIST]));
    sandbox.release();
    let ended: Ended = waiting.wait_with_output().expect("its end").into();
    key_of(&ended.good());
    assert_eq!((open.join().expect("no panic"), anew.join().expect("no panic")), (ENDED, IDENTITIES));
    assert_eq!(restart.wait_with_output().expect("its end").status.code(), Some(0));
    other.ended();
    wait_gone(old);
    assert_eq!(home.status()["vault"], "locked", "this user owns the program");
}

#[test]
fn a_configuration_that_the_successor_cannot_read_changes_nothing() {
    let sandbox = Sandbox::start();
    let (installed, mut first) = Installed::ready(CLOSED, &sandbox);
    let good = fs::read_to_string(installed.home.file("config/config.toml")).expect("a file");
    for bad in ["[vault]\ncanary = 1\n", "[endpoints]\nallow = [\"nonsense\"]\n"] {
        installed.home.write("config/config.toml", bad);
        let said = installed.run(&["agent", "restart"], "");
        let told = "claviger: the agent goes on as it was, its successor failed: config.invalid: ";
        assert!(said.exit == Some(1) && said.stderr.starts_with(told), "{said:?}");
        assert!(!said.stderr.contains("canary"), "{said:?}");
        assert_eq!((installed.pid(), installed.status()["vault"].as_str()), (first.pid(), Some("unlocked")));
        installed.run(&["process", "prod"], "").good();
    }
    installed.home.write("config/config.toml", &good);
    installed.run(&["agent", "restart"], "").good();
    assert_eq!(first.wait().code(), Some(0));
}
