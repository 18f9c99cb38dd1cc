//! Started by systemd's socket.

use crate::home::{Home, wait_gone};
use std::io::{BufRead, BufReader};
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::process::{Child, Command, Stdio};

const TOOL: &str = "/usr/bin/systemd-socket-activate";

/// Listens on these sockets under `run`, as systemd would, until somebody connects.
fn listen(home: &Home, sockets: &[&str]) -> (Child, BufReader<std::process::ChildStderr>) {
    listen_named(home, sockets, None)
}

/// The same with names as `FileDescriptorName=` gives them, with colons between.
fn listen_named(home: &Home, sockets: &[&str], names: Option<&str>) -> (Child, BufReader<std::process::ChildStderr>) {
    assert!(Path::new(TOOL).is_file(), "systemd-socket-activate is missing; install it with: apt-get install systemd");
    std::fs::create_dir_all(home.file("run")).expect("a folder");
    home.set_mode("run", 0o700);
    let mut tool = Command::new(TOOL);
    for socket in sockets {
        tool.arg("-l").arg(home.file("run").join(socket));
    }
    tool.args(names.map(|names| format!("--fdname={names}")));
    tool.arg("--setenv").arg(format!("CLAVIGER_HOME={}", home.path().display()));
    tool.arg(crate::home::program("claviger-agent")).arg("run");
    tool.env_clear().stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::piped());
    let mut child = tool.spawn().expect("systemd-socket-activate");
    let mut said = BufReader::new(child.stderr.take().expect("stderr"));
    for _ in sockets {
        let mut line = String::new();
        said.read_line(&mut line).expect("a line");
        assert!(line.contains("Listening on"), "{line}");
    }
    sockets.iter().for_each(|socket| home.set_mode(&format!("run/{socket}"), 0o600));
    (child, said)
}

fn rest(mut said: BufReader<std::process::ChildStderr>) -> String {
    let mut text = String::new();
    std::io::Read::read_to_string(&mut said, &mut text).expect("text");
    text
}

#[test]
fn the_first_connection_starts_the_agent_and_the_socket_stays_systemds() {
    let home = Home::new();
    let (mut agent, said) = listen(&home, &["agent.sock"]);
    let status = home.status();
    assert_eq!((status["vault"].as_str(), status["pid"].as_u64()), (Some("absent"), Some(agent.id().into())));
    home.run(&["init", "--passphrase-fd", "0"], crate::home::PASSPHRASE).good();
    assert_eq!(home.status()["vault"], "unlocked");
    home.run(&["lock"], "").good();
    assert_eq!(home.status()["vault"], "locked");
    home.run(&["agent", "stop"], "").good();
    wait_gone(agent.id().cast_signed());
    assert_eq!(agent.wait().expect("its end").code(), Some(0));
    assert!(home.file("run/agent.sock").exists(), "not ours to remove");
    assert!(rest(said).contains("stopped"));
}

/// What `ssh-add` says to this, with the agent behind this socket.
fn ssh_add(socket: &Path, arguments: &[&str]) -> (Option<i32>, String) {
    let mut command = Command::new("ssh-add");
    let output = command.args(arguments).env("SSH_AUTH_SOCK", socket).stdin(Stdio::null()).output().expect("ssh-add");
    (output.status.code(), String::from_utf8(output.stdout).expect("UTF-8"))
}

#[test]
fn the_first_ssh_client_starts_the_agent_too() {
    // By their files, as a unit of two sockets passes them; or by the names of two units.
    for (name, names) in [("ssh.sock", None), ("other.sock", Some("agent:ssh"))] {
        let home = Home::new();
        let (mut agent, said) = listen_named(&home, &["agent.sock", name], names);
        let socket = home.file("run").join(name);
        let key = home.file("key").display().to_string();
        let made = Command::new("ssh-keygen").args(["-q", "-t", "ed25519", "-N", "", "-f", &key]).status();
        assert!(made.expect("ssh-keygen").success());
        assert_eq!(ssh_add(&socket, &["-q", &key]).0, Some(0));
        let listed = ssh_add(&socket, &["-L"]);
        assert_eq!(listed, (Some(0), std::fs::read_to_string(format!("{key}.pub")).expect("a public key")));
        let status = home.status();
        assert_eq!(status["pid"].as_u64(), Some(agent.id().into()));
        home.run(&["agent", "restart"], "").good();
        assert_ne!(home.status()["pid"], status["pid"]);
        assert_eq!(ssh_add(&socket, &["-l"]).0, Some(1), "without a vault they end with the agent");
        home.run(&["agent", "stop"], "").good();
        assert_eq!(agent.wait().expect("its end").code(), Some(0));
        assert!(["agent.sock", name].iter().all(|name| home.file("run").join(name).exists()), "not ours to remove");
        assert!(rest(said).contains("another process has taken over"));
    }
}

#[test]
fn sockets_that_are_not_the_agents_are_refused() {
    for (sockets, why) in
        [(&["agent.sock", "other.sock"][..], "more than one socket for the same"), (&["ssh.sock"], "no agent.sock")]
    {
        let home = Home::new();
        let (mut agent, said) = listen(&home, sockets);
        let _knock = UnixStream::connect(home.file("run").join(sockets[0])).expect("a connection");
        assert_eq!(agent.wait().expect("its end").code(), Some(1), "{sockets:?}");
        let said = rest(said);
        assert!(said.contains(&format!("agent.start_failed: socket activation: systemd passed {why}")), "{said}");
    }
}
