//! Starting the agent on demand.

use crate::agent::Home;
use crate::program::{Ended, ended, without_terminal};
use crate::{no_request, status};
use claviger::wire::Request;
use std::fs;

/// Runs `status`-like work with a stand-in for the agent beside the program.
fn run(home: &Home, line: &str, arguments: &[&str]) -> Ended {
    let folder = home.path().join("bin");
    fs::create_dir(&folder).expect("a folder");
    fs::hard_link(env!("CARGO_BIN_EXE_claviger"), folder.join("claviger")).expect("a link");
    let fake = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/cli/fake-agent.sh");
    std::os::unix::fs::symlink(fake, folder.join("claviger-agent")).expect("a link");
    fs::write(home.path().join("line"), line).expect("the line");
    let mut command = without_terminal(home, &folder.join("claviger"));
    command.args(arguments).env("HOME", "/home/ada").env("XDG_RUNTIME_DIR", "/run/user/7").env("LANG", "C");
    command.env("AWS_SECRET_ACCESS_KEY", "secret").env("AWS_PROFILE", "prod").env("SSH_AUTH_SOCK", "/x");
    command.stdin(std::process::Stdio::null()).output().expect("an end").into()
}

#[test]
fn the_agent_is_started_detached_with_a_short_environment_and_then_asked() {
    for line in ["ready\n", "already serving\n"] {
        let home = Home::new();
        home.serve("run-later", |request, _| match request {
            Request::Status {} => Ok(status("locked")),
            other => no_request(other),
        });
        assert_eq!(run(&home, line, &["agent", "start"]), ended(0, "", "The agent is running (pid 7).\n"));
        let seen = fs::read_to_string(home.path().join("seen")).expect("its notes");
        assert!(seen.starts_with("run --detached\n"), "{seen}");
        assert!(seen.contains("HOME=/home/ada\n") && seen.contains("XDG_RUNTIME_DIR=/run/user/7\n"), "{seen}");
        assert!(!seen.contains("AWS_") && !seen.contains("SSH_") && !seen.contains("secret"), "{seen}");
    }
}

#[test]
fn an_agent_that_does_not_start_says_why() {
    let hint = "\nhint: claviger agent run\n";
    for (line, said) in [
        ("", format!("claviger: the agent ended before it served{hint}")),
        ("Segmentation fault\n", format!("claviger: the agent said something that is no answer to its start{hint}")),
        (
            "{\"code\":\"config.invalid\",\"message\":\"config.toml:3: unknown key\"}\n",
            "claviger: config.toml:3: unknown key\n".to_owned(),
        ),
    ] {
        let home = Home::new();
        let exit = if line.contains("config.invalid") { 2 } else { 1 };
        assert_eq!(run(&home, line, &["agent", "start"]), ended(exit, "", &said));
    }
    // The same, for a program: one line.
    let home = Home::new();
    let said = "claviger: agent.start_failed: the agent ended before it served (try: claviger agent run)\n";
    assert_eq!(run(&home, "", &["process"]), ended(1, "", said));
}

#[test]
fn run_becomes_the_agent_in_the_foreground() {
    let home = Home::new();
    assert_eq!(run(&home, "serving\n", &["agent", "run"]), ended(0, "serving\n", ""));
    assert!(fs::read_to_string(home.path().join("seen")).expect("its notes").starts_with("run\n"));
}
