//! A boot clock that is another one: agents in time namespaces, which only root can make. What is real here: the boot
//! clock, its name, and processes that end and start. What is not: the wall clock cannot be set for one process, so the
//! sandbox's time moves instead, which is the same difference. A machine that sleeps is injected: `tests/session/clock.rs`.

use crate::home::{Agent, Home, PASSPHRASE, wait_gone};
use crate::sandbox::Sandbox;
use serde_json::Value;
use std::process::{Command, Stdio};

/// An agent whose boot clock is ahead by so many seconds, or behind.
fn agent_at(home: &Home, boottime: i64, agent: &Command) -> Agent {
    let mut command = Command::new("/usr/bin/unshare");
    command.args(["--time", "--boottime", &boottime.to_string(), "--fork", "--kill-child"]);
    command.arg(agent.get_program()).args(agent.get_args()).env_clear().stderr(Stdio::null());
    command.envs(agent.get_envs().filter_map(|(name, value)| Some((name, value?))));
    let mut agent = Agent::spawn(&mut command);
    assert_eq!(agent.word(), "ready", "the agent in a time namespace of its own, which only root can make");
    home.unlock().good();
    agent
}

/// Ends it with the process that made its namespace.
fn end(home: &Home, agent: &mut Agent) {
    let pid = home.pid();
    agent.kill();
    wait_gone(pid);
}

fn key(home: &Home) -> String {
    let said: Value = serde_json::from_str(&home.run(&["process", "prod"], "").good()).expect("JSON");
    said["AccessKeyId"].as_str().expect("text").to_owned()
}

/// A home with one session that cost one code; its agent has ended as the kernel ends it.
fn used(sandbox: &Sandbox) -> (Home, String) {
    let home = Home::at(sandbox);
    home.run(&["init", "--passphrase-fd", "0"], PASSPHRASE).good();
    home.run(&["access-key", "add", "dev", "--stdin"], &sandbox.access_key()).good();
    let add = ["mfa", "add", "--for", "dev", "--seed-stdin", "--no-verify", "--serial", sandbox.text("mfa_serial")];
    home.run(&add, sandbox.text("mfa_seed")).good();
    let first = key(&home);
    home.kill_agent();
    (home, first)
}

#[test]
fn sealed_sessions_come_back_on_another_boot_clock_and_no_ended_one_does() {
    let sandbox = Sandbox::start();
    let (home, first) = used(&sandbox);
    let asked = sandbox.calls("GetCallerIdentity");
    // Eight hours ahead: by that clock alone the hour of the session is over. And behind: by that one it lasts longer.
    for boottime in [8 * 3600, 60] {
        let mut agent = agent_at(&home, boottime, &home.agent_command());
        assert_eq!(key(&home), first, "{boottime}");
        end(&home, &mut agent);
    }
    assert_eq!(sandbox.calls("GetCallerIdentity"), asked + 2, "each asked AWS for the time");
    let mut agent = home.start();
    home.unlock().good();
    assert_eq!(key(&home), first);
    assert_eq!(sandbox.calls("GetCallerIdentity"), asked + 2, "on the same boot clock nobody need be asked");
    end(&home, &mut agent);

    // AWS is two hours further than this machine believes.
    sandbox.set_offset(2 * 3_600_000);
    let mut weak = agent_at(&home, 3600, &home.weak_agent_command("sealed-time"));
    assert_eq!(key(&home), first, "the control: it serves what has ended");
    assert_ne!(home.run(&["whoami", "prod"], "").exit, Some(0), "and AWS does not take it");
    end(&home, &mut weak);
    let _agent = agent_at(&home, 7200, &home.agent_command());
    assert_ne!(key(&home), first);
    home.run(&["whoami", "prod"], "").good();
    assert_eq!(sandbox.codes(), 1, "by the MFA session, which lives");
}
