//! Exactly one agent serves; whoever needs one gets it.

use crate::home::{Agent, Home, program, run, wait_gone};
use crate::load::raise_limit;
use claviger_agent::testing::{figure, rounds};
use rustix::fs::{Mode, OFlags};
use rustix::pipe::PipeFlags;
use std::collections::BTreeSet;
use std::fs;
use std::os::fd::OwnedFd;
use std::process::{Command, Stdio};

/// Processes that wait, and go on together once this is dropped (read(2) ends for all when a pipe has no writer left).
struct Gate {
    waits: OwnedFd,
    _opens: OwnedFd,
}

impl Gate {
    fn new() -> Self {
        let (waits, opens) = rustix::pipe::pipe_with(PipeFlags::CLOEXEC).expect("a pipe");
        Self { waits, _opens: opens }
    }

    /// The same program once the gate is open.
    fn behind(&self, command: &Command) -> Command {
        let mut shell = Command::new("/bin/sh");
        shell
            .args(["-c", "read -r go; exec \"$0\" \"$@\" </dev/null"])
            .arg(command.get_program())
            .args(command.get_args());
        shell.env_clear().stdin(self.waits.try_clone().expect("a descriptor")).stdout(Stdio::piped());
        shell.envs(command.get_envs().filter_map(|(name, value)| Some((name, value?))));
        shell
    }
}

/// So many agents, started in the same moment; what each says.
fn start_at_once(command: &Command, count: usize) -> (Vec<String>, Vec<Agent>) {
    let gate = Gate::new();
    let start = |_| Agent::spawn_reading(gate.behind(command).stderr(Stdio::null()));
    let mut agents: Vec<Agent> = (0..count).map(start).collect();
    drop(gate);
    (agents.iter_mut().map(Agent::word).collect(), agents)
}

#[test]
fn of_many_agents_one_serves_and_the_others_say_so() {
    let home = Home::new();
    let (waves, count) = (rounds(4, 5), rounds(25, 1000));
    raise_limit();
    for wave in 0..waves {
        let (words, mut agents) = start_at_once(&home.agent_command(), count);
        let ready: Vec<usize> = (0..count).filter(|at| words[*at] == "ready").collect();
        assert_eq!(ready.len(), 1, "wave {wave}: {words:?}");
        let mut one = agents.swap_remove(ready[0]);
        for mut other in agents {
            assert_eq!(other.wait().code(), Some(0));
        }
        assert_eq!(words.iter().filter(|word| *word == "already serving").count(), count - 1, "{words:?}");
        assert_eq!(home.pid(), one.pid());
        assert!(home.file("data/agent.lock").is_file() && home.file("run/agent.sock").exists());
        // Its socket stays behind, and the next wave replaces it.
        one.kill();
        assert!(home.file("run/agent.sock").exists());
    }
    figure(&format!("simultaneous starts of which one serves, {waves} times"), count);

    // The control: without the lock more than one means to serve.
    let home = Home::new();
    let (words, _agents) = start_at_once(&home.weak_agent_command("one-server"), 10);
    assert!(words.iter().filter(|word| *word == "ready").count() > 1, "the control: {words:?}");
}

#[test]
fn clients_that_start_at_the_same_moment_are_all_answered_by_one_agent() {
    let home = Home::new();
    let count = rounds(20, 1000);
    raise_limit();
    for _ in 0..3 {
        let gate = Gate::new();
        let mut client = home.command("claviger");
        client.args(["agent", "start"]);
        let start = || gate.behind(&client).stderr(Stdio::piped()).spawn().expect("the client");
        let clients: Vec<_> = (0..count).map(|_| start()).collect();
        drop(gate);
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
    figure("simultaneous clients that start an agent and are answered by one, 3 times", count);
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
