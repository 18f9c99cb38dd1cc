//! Successors that die on the way, and predecessors: never two that serve, and never none for long.

use crate::home::{program, wait_gone};
use crate::installed::{CLOSED, Installed};
use crate::sandbox::Sandbox;
use serde_json::Value;
use std::collections::BTreeSet;
use std::fs;
use std::path::PathBuf;
use std::process::Command;

const SOURCE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/agent/successor.c");

/// Builds the successor that goes as far as this stage.
pub(crate) fn build(installed: &Installed, stage: u32) -> PathBuf {
    let built = installed.home.file(&format!("successor-{stage}"));
    let mut compiler = Command::new("cc");
    let compiled = compiler.arg(format!("-DSTAGE={stage}")).arg("-o").arg(&built).arg(SOURCE).status();
    assert!(compiled.expect("a C compiler").success());
    built
}

fn stages(installed: &Installed) -> Vec<String> {
    let path = installed.home.file("stages");
    let text = fs::read_to_string(&path).unwrap_or_default();
    let _ = fs::remove_file(path);
    text.lines().map(str::to_owned).collect()
}

fn key_of(line: &str) -> String {
    let credentials: Value = serde_json::from_str(line).expect("JSON");
    credentials["AccessKeyId"].as_str().expect("an id").to_owned()
}

/// The processes that hold the lock of the one server, as the kernel lists them.
fn holders(installed: &Installed) -> BTreeSet<i32> {
    use std::os::unix::fs::MetadataExt;
    let inode = fs::metadata(installed.home.file("data/agent.lock")).expect("the lock").ino().to_string();
    let locks = fs::read_to_string("/proc/locks").expect("the locks");
    let held = locks.lines().filter(|line| line.contains("FLOCK") && !line.contains("->"));
    let on_it = held.filter(|line| line.split(':').nth(3).and_then(|rest| rest.split(' ').next()) == Some(&inode));
    on_it.filter_map(|line| line.split_whitespace().nth(4)?.parse().ok()).collect()
}

#[test]
fn a_successor_that_dies_on_the_way_changes_nothing() {
    let sandbox = Sandbox::start();
    let (installed, mut first) = Installed::ready(CLOSED, &sandbox);
    let key = key_of(&installed.run(&["process", "prod"], "").good());
    let codes = sandbox.codes();
    let all = ["started", "ready", "master_key 32", "given", "prepared", "its turn"];
    for (stage, reached, why) in [
        (0, 1, "it ended before it was ready"),
        (7, 1, "it speaks another language"),
        (1, 2, "it does not listen"),
        (2, 4, "it ended before it was prepared"),
        (6, 4, "vault.damaged: the vault is damaged"),
        (3, 5, "it does not listen"),
        (4, 6, "it ended before it was serving"),
    ] {
        installed.install(&build(&installed, stage), CLOSED);
        let said = installed.run(&["agent", "restart"], "");
        let told = "claviger: the agent goes on as it was, its successor failed: ";
        assert_eq!(said.exit, Some(1), "stage {stage}: {said:?}");
        // One that dies at once may be noticed a step earlier or later.
        let ended = said.stderr.contains("it ended before it was") || said.stderr.contains("it does not listen");
        assert!(said.stderr.starts_with(told) && (said.stderr.contains(why) || ended), "stage {stage}: {said:?}");
        assert_eq!(stages(&installed), all[..reached], "the control of stage {stage}");
        assert_eq!((first.ended(), installed.pid()), (None, first.pid()));
        assert_eq!(holders(&installed), BTreeSet::from([first.pid()]));
        assert_eq!(key_of(&installed.run(&["process", "prod"], "").good()), key);
        // Vault and state can still be written, and what is written stays.
        let name = format!("again-{stage}");
        let _ = installed.run(&["access-key", "add", &name, "--stdin"], &sandbox.access_key());
    }
    assert_eq!(installed.status()["vault"], "unlocked");
    installed.run(&["logout", "prod"], "").good();
    // The good one takes over what the others left, and a crash after it finds all that was written.
    installed.install(&program("claviger-agent"), CLOSED);
    installed.run(&["agent", "restart"], "").good();
    assert_eq!(first.wait().code(), Some(0));
    crate::home::kill(installed.pid());
    let _second = installed.start();
    installed.unlock();
    assert_ne!(key_of(&installed.run(&["process", "prod"], "").good()), key, "a logout outlives it all");
    let keys = installed.run(&["access-key", "list"], "").good();
    assert!(keys.contains("dev"), "{keys}");
    assert_eq!(sandbox.codes(), codes);
}

#[test]
fn an_end_of_both_leaves_the_next_client_an_agent_of_its_own() {
    let sandbox = Sandbox::start();
    let (installed, mut first) = Installed::ready(CLOSED, &sandbox);
    installed.install(&build(&installed, 5), CLOSED);
    let said = installed.run(&["agent", "restart"], "");
    assert_ne!(said.exit, Some(0));
    assert_eq!(stages(&installed).last().map(String::as_str), Some("prepared"), "the control");
    first.wait();
    installed.install(&program("claviger-agent"), CLOSED);
    installed.run(&["process", "prod"], "").fault(3, "vault.locked");
    assert_eq!(holders(&installed).len(), 1);
    installed.unlock();
    installed.run(&["process", "prod"], "").good();
}

#[test]
fn a_predecessor_that_is_killed_at_any_moment_leaves_one_server_or_a_start() {
    let sandbox = Sandbox::start();
    let (installed, mut first) = Installed::ready(CLOSED, &sandbox);
    let mut pid = first.pid();
    let (mut passed_on, mut lost) = (0, 0);
    for round in 0..24_u32 {
        let mut restart = installed.command(&["agent", "restart"]);
        let mut restart = restart.stderr(std::process::Stdio::null()).spawn().expect("a client");
        // Children appear and messages pass at their own pace: each round kills a little later.
        let mut looks = 0;
        while looks < round * 40 && fs::read_to_string(format!("/proc/{pid}/stat")).is_ok() {
            looks += 1;
        }
        crate::home::kill(pid);
        let _ = first.ended();
        let _ = restart.wait();
        wait_gone(pid);
        let status = installed.run(&["process", "prod"], "");
        let holders = holders(&installed);
        assert_eq!(holders.len(), 1, "round {round}: {holders:?}");
        pid = installed.pid();
        match status.exit {
            Some(0) => passed_on += 1,
            _ => {
                status.fault(3, "vault.locked");
                lost += 1;
                installed.unlock();
            }
        }
    }
    println!("{passed_on} of 24 kills came after the vault was passed on, {lost} before");
    installed.run(&["process", "prod"], "").good();
}
