//! Exactly one agent serves; whoever needs one gets it.

use crate::home::{Agent, Home, program, run, wait_gone};
use rustix::fs::{Mode, OFlags};
use std::collections::BTreeSet;
use std::fs;
use std::process::{Command, Stdio};

#[test]
fn of_twenty_agents_one_serves_and_the_others_say_so() {
    let home = Home::new();
    for round in 0..4 {
        let mut agents: Vec<Agent> = (0..20).map(|_| Agent::spawn(&mut home.agent_command())).collect();
        let words: Vec<String> = agents.iter_mut().map(Agent::word).collect();
        let ready: Vec<usize> = (0..20).filter(|at| words[*at] == "ready").collect();
        assert_eq!(ready.len(), 1, "round {round}: {words:?}");
        let mut one = agents.swap_remove(ready[0]);
        for mut other in agents {
            assert_eq!(other.wait().code(), Some(0));
        }
        assert_eq!(words.iter().filter(|word| *word == "already serving").count(), 19, "{words:?}");
        assert_eq!(home.pid(), one.pid());
        assert!(home.file("data/agent.lock").is_file() && home.file("run/agent.sock").exists());
        // Its socket stays behind, and the next round replaces it.
        one.kill();
        assert!(home.file("run/agent.sock").exists());
    }
}

#[test]
fn clients_that_start_at_the_same_moment_are_all_answered_by_one_agent() {
    let home = Home::new();
    for _ in 0..3 {
        let start = || {
            let mut client = home.command("claviger");
            client.args(["agent", "start"]).stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
            client.spawn().expect("the client")
        };
        let clients: Vec<_> = (0..20).map(|_| start()).collect();
        let said: BTreeSet<String> = clients
            .into_iter()
            .map(|client| {
                let output = client.wait_with_output().expect("its end");
                assert!(output.status.success(), "{output:?}");
                String::from_utf8(output.stderr).expect("UTF-8")
            })
            .collect();
        assert_eq!(said, BTreeSet::from([format!("The agent is running (pid {}).\n", home.pid())]));
        home.kill_agent();
    }
}

#[test]
fn an_agent_that_is_asked_for_while_another_stops_takes_its_place() {
    let home = Home::new();
    let many: String = (0..4000).map(|number| format!("[profile p{number}]\nregion = eu-west-1\n")).collect();
    home.write(".aws/config", &many);
    let mut old = home.start();
    // An answer too long for the socket's buffer keeps the old one until it is read.
    let mut reader = home.connect();
    reader.request(2, &serde_json::json!({"profile_list": {}}));
    let mut other = home.connect();
    while !home.log().contains("request=\"profile_list\"") {
        std::thread::yield_now();
    }
    assert!(other.ask(2, &serde_json::json!({"stop": {}}))["reply"].is_object());
    while home.file("run/agent.sock").exists() {
        std::thread::yield_now();
    }
    let mut clients: Vec<_> = (0..5)
        .map(|_| {
            let mut client = home.command("claviger");
            client.args(["agent", "start"]).stdin(Stdio::null()).stderr(Stdio::null()).spawn().expect("the client")
        })
        .collect();
    assert!(reader.hear()["reply"]["profiles"].is_array());
    assert_eq!(old.wait().code(), Some(0));
    for client in &mut clients {
        assert_eq!(client.wait().expect("its end").code(), Some(0));
    }
    assert_ne!(home.pid(), old.pid());
}

#[test]
fn an_agent_started_by_a_client_holds_nothing_of_it() {
    let home = Home::new();
    // The shell's descriptor 9 goes to the client and must not go further; its parent has gone when this returns.
    let script = "exec 9<\"$0\"; exec \"$1\" agent start";
    let mut shell = Command::new("setsid");
    shell.args(["--wait", "sh", "-c", script, env!("CARGO_MANIFEST_DIR")]).arg(program("claviger"));
    shell
        .env_clear()
        .env("CLAVIGER_HOME", home.path())
        .env("PATH", "/usr/bin:/bin")
        .env("AWS_SECRET_ACCESS_KEY", "canary");
    let ended = run(&mut shell, "");
    assert_eq!(ended.exit, Some(0), "{ended:?}");
    let pid = home.pid();
    let open: Vec<String> = fs::read_dir(format!("/proc/{pid}/fd"))
        .expect("its descriptors")
        .flatten()
        .filter_map(|entry| fs::read_link(entry.path()).ok())
        .map(|target| target.display().to_string())
        .collect();
    let foreign = |target: &&String| {
        let own = target.starts_with("anon_inode:") || target.starts_with("socket:") || *target == "/dev/null";
        !own && !["data/agent.lock", "data/agent.log"].iter().any(|name| home.file(name).as_os_str() == target.as_str())
    };
    assert_eq!(open.iter().filter(foreign).collect::<Vec<_>>(), [] as [&String; 0], "{open:?}");
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).expect("its status");
    let fields: Vec<&str> = stat.rsplit_once(')').expect("a name").1.split_whitespace().collect();
    // State, parent, process group, session, terminal (proc_pid_stat(5)).
    assert_eq!((fields[3], fields[4]), (pid.to_string().as_str(), "0"), "a session of its own, no terminal");
    assert_eq!(fs::read_link(format!("/proc/{pid}/cwd")).expect("its folder").as_os_str(), "/");
    let command = fs::read_to_string(format!("/proc/{pid}/cmdline")).expect("its arguments");
    assert!(command.ends_with("claviger-agent\0run\0--detached\0"), "{command:?}");
    let environment = fs::read_to_string(format!("/proc/{pid}/environ")).expect("its environment");
    assert!(environment.contains("CLAVIGER_HOME=") && !environment.contains("canary"), "{environment:?}");
}

#[test]
fn a_start_that_fails_says_why_and_leaves_the_data_alone() {
    let home = Home::new();
    home.run(&["init", "--passphrase-fd", "0"], crate::home::PASSPHRASE).good();
    home.run(&["agent", "stop"], "").good();
    let before = home.data();
    assert!(!before.is_empty());
    let good = fs::read_to_string(home.file("config/config.toml")).expect("a file");

    home.write("config/config.toml", "[vault]\ncanary_secret = 1\n");
    let refused = home.run(&["process", "prod"], "");
    refused.fault(2, "config.invalid");
    assert!(refused.stderr.contains("line 2") && !refused.stderr.contains("canary"), "{refused:?}");
    home.write("config/config.toml", &good);

    home.set_mode("run", 0o755);
    home.run(&["process", "prod"], "").fault(1, "agent.runtime_folder");
    let mut agent = Agent::spawn(&mut home.agent_command());
    assert!(agent.word().contains("\"code\":\"agent.runtime_folder\""));
    assert_eq!(agent.wait().code(), Some(1));
    home.set_mode("run", 0o700);

    let nowhere = run(Command::new(program("claviger")).args(["process", "prod"]).env_clear(), "");
    nowhere.fault(1, "agent.runtime_folder");
    let mut agent = Agent::spawn(Command::new(program("claviger-agent")).args(["run", "--detached"]).env_clear());
    assert!(agent.word().contains("\"code\":\"agent.start_failed\""));
    assert_eq!(agent.wait().code(), Some(1));

    home.set_mode("data", 0o750);
    let refused = home.run(&["process", "prod"], "");
    refused.fault(1, "agent.start_failed");
    home.set_mode("data", 0o700);

    assert_eq!(home.data(), before);
    home.run(&["process", "prod"], "").fault(3, "vault.locked");
    assert_eq!(home.data(), before);
}

#[test]
fn an_agent_in_the_foreground_logs_to_stderr_and_a_second_one_says_so() {
    let home = Home::new();
    let one = home.start();
    let mut second = Command::new(program("claviger-agent"));
    second.arg("run").env_clear().env("CLAVIGER_HOME", home.path());
    let ended = run(&mut second, "");
    assert_eq!((ended.exit, ended.stdout.as_str(), ended.stderr.as_str()), (Some(0), "", "already serving\n"));
    assert_eq!(home.pid(), one.pid());
    home.run(&["agent", "stop"], "").good();
    wait_gone(one.pid());
    let lock = rustix::fs::open(home.file("data/agent.lock"), OFlags::RDWR, Mode::empty()).expect("the lock stays");
    rustix::fs::flock(&lock, rustix::fs::FlockOperation::NonBlockingLockExclusive).expect("and is free");
}
