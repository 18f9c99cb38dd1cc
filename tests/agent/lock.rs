//! Lock, stop, restart, and an end without notice.

use crate::home::{Home, wait_gone};
use crate::sandbox::Sandbox;
use rustix::process::Signal;
use serde_json::{Value, json};
use std::process::Stdio;

fn key_of(line: &str) -> String {
    let credentials: Value = serde_json::from_str(line).expect("JSON");
    credentials["AccessKeyId"].as_str().expect("an id").to_owned()
}

#[test]
fn a_lock_takes_the_sessions_and_an_unlock_brings_them_back_without_a_code() {
    let sandbox = Sandbox::start();
    let home = Home::ready(&sandbox, &[]);
    let key = key_of(&home.run(&["process", "prod"], "").good());
    let codes = sandbox.codes();
    home.run(&["lock"], "").good();
    home.run(&["process", "prod"], "").fault(3, "vault.locked");
    assert_eq!(home.status()["sessions"], json!([]));
    home.unlock().good();
    assert_eq!(key_of(&home.run(&["process", "prod"], "").good()), key);
    for restart in [true, false] {
        if restart {
            home.run(&["agent", "restart"], "").good();
        } else {
            home.kill_agent();
        }
        home.run(&["process", "prod"], "").fault(3, "vault.locked");
        home.unlock().good();
        assert_eq!(key_of(&home.run(&["process", "prod"], "").good()), key);
    }
    assert_eq!((sandbox.codes(), sandbox.calls("GetSessionToken"), sandbox.calls("AssumeRole")), (codes, 1, 1));
}

#[test]
fn a_stop_answers_what_is_in_hand_and_takes_nothing_new() {
    for by_signal in [false, true] {
        let sandbox = Sandbox::start();
        let home = Home::ready(&sandbox, &[]);
        let pid = home.pid();
        sandbox.fault("AssumeRole", 1, &json!("hang"));
        let mut waiting = home.connect();
        waiting.request(2, &json!({"credentials": {"profile": "prod", "wait": 600}}));
        sandbox.wait_hanging(1);
        let mut other = home.connect();
        if by_signal {
            crate::home::signal_to(pid, Signal::TERM);
        } else {
            assert!(other.ask(2, &json!({"stop": {}}))["reply"].is_object());
        }
        // The socket goes once no new connection is taken.
        while home.file("run/agent.sock").exists() {
            std::thread::yield_now();
        }
        let refused = other.ask(3, &json!({"status": {}}));
        assert_eq!(refused["fault"]["code"], "agent.stopping", "{refused}");
        sandbox.release();
        assert!(waiting.hear()["reply"]["credentials"].is_object());
        waiting.ended();
        other.ended();
        wait_gone(pid);
    }
}

#[test]
fn a_stop_waits_until_an_answer_is_written() {
    let home = Home::new();
    let name = "x".repeat(880);
    let many: String = (0..250).map(|number| format!("[profile {name}{number}]\nregion = eu-west-1\n")).collect();
    home.write(".aws/config", &many);
    let mut agent = home.start();
    // Larger than the socket's buffer, so it cannot be written before it is read.
    let mut reader = home.connect();
    reader.request(2, &json!({"profile_list": {}}));
    let mut other = home.connect();
    while !home.log().contains("request=\"profile_list\"") {
        std::thread::yield_now();
    }
    assert!(other.ask(2, &json!({"stop": {}}))["reply"].is_object());
    while home.file("run/agent.sock").exists() {
        std::thread::yield_now();
    }
    assert_eq!(reader.hear()["reply"]["profiles"].as_array().map(Vec::len), Some(250));
    assert_eq!(agent.wait().code(), Some(0));
}

#[test]
fn a_step_that_was_burned_before_a_kill_is_never_sent_again() {
    let sandbox = Sandbox::start();
    let home = Home::ready(&sandbox, &["--no-verify"]);
    // The sandbox a second into a step, ahead of this machine: the rest of the test lies within the step, and the
    // agent has learnt of it by its next call.
    let now = sandbox.state()["now_millis"].as_i64().expect("a time");
    sandbox.set_offset(31_000 - now.rem_euclid(30_000));
    let identity = ["access-key", "add", "again", "--stdin"];
    let known = home.run(&identity, &sandbox.access_key());
    assert!(sandbox.calls("GetCallerIdentity") >= 2, "{known:?}");
    let step = sandbox.state()["now_millis"].as_u64().expect("a time") / 30_000;
    sandbox.fault("GetSessionToken", 1, &json!("hang"));
    let mut login = home.command("claviger");
    login.args(["login", "prod"]).stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    let mut login = login.spawn().expect("the client");
    sandbox.wait_hanging(1);
    home.kill_agent();
    assert_ne!(login.wait().expect("its end").code(), Some(0));
    sandbox.release();
    home.run(&["agent", "start"], "").exit.expect("an end");
    home.unlock().good();
    // What the clock says at AWS is learnt anew.
    let _ = home.run(&["access-key", "add", "second", "--stdin"], &sandbox.access_key());
    let spent = home.run(&["mfa", "code", "--now"], "");
    assert_eq!((spent.exit, spent.stdout.as_str()), (Some(4), ""), "{spent:?}");
    // Two steps on; the agent learns it by a call without a code, and goes on at once.
    sandbox.set_offset(31_000 - now.rem_euclid(30_000) + 60_000);
    let _ = home.run(&["access-key", "add", "third", "--stdin"], &sandbox.access_key());
    home.run(&["login", "prod"], "").good();
    let steps = sandbox.steps();
    let mut unique = steps.clone();
    unique.dedup();
    assert_eq!(unique, steps, "no step twice");
    assert!(steps.iter().filter(|used| **used <= step).count() <= 1, "only the hung call itself: {steps:?}, {step}");
    assert_eq!((sandbox.codes(), sandbox.calls("GetSessionToken")), (2, 2));
    assert!(steps.last().is_some_and(|last| *last > step), "{steps:?}");
}

#[test]
fn tools_that_ask_while_the_agent_restarts_see_nothing_but_a_locked_vault() {
    let sandbox = Sandbox::start();
    let home = Home::ready(&sandbox, &[]);
    home.run(&["login", "prod"], "").good();
    let mut answered = 0;
    for _ in 0..5 {
        let tools: Vec<_> = (0..20)
            .map(|_| {
                let mut tool = home.command("claviger");
                tool.args(["process", "prod"]).stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
                tool.spawn().expect("the client")
            })
            .collect();
        home.run(&["agent", "restart"], "").good();
        for tool in tools {
            let ended = tool.wait_with_output().expect("an end");
            let says = String::from_utf8_lossy(&ended.stderr).into_owned();
            match ended.status.code() {
                Some(0) => answered += 1,
                Some(3) => assert!(says.contains("vault.locked"), "{says}"),
                other => panic!("{other:?}: {says}"),
            }
        }
        home.unlock().good();
    }
    assert!(answered > 0, "no tool asked before a stop: the test shows nothing");
}
