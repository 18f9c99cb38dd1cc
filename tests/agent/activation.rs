//! Started by systemd's socket.

use crate::home::{Home, wait_gone};
use std::io::{BufRead, BufReader};
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::process::{Child, Command, Stdio};

const TOOL: &str = "/usr/bin/systemd-socket-activate";

/// Listens on these sockets under `run`, as systemd would, until somebody connects.
fn listen(home: &Home, sockets: &[&str]) -> (Child, BufReader<std::process::ChildStderr>) {
    assert!(Path::new(TOOL).is_file(), "systemd-socket-activate is missing; install it with: apt-get install systemd");
    std::fs::create_dir_all(home.file("run")).expect("a folder");
    home.set_mode("run", 0o700);
    let mut tool = Command::new(TOOL);
    for socket in sockets {
        tool.arg("-l").arg(home.file("run").join(socket));
    }
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

#[test]
fn two_sockets_are_refused() {
    let home = Home::new();
    let (mut agent, said) = listen(&home, &["agent.sock", "other.sock"]);
    let _knock = UnixStream::connect(home.file("run/agent.sock")).expect("a connection");
    assert_eq!(agent.wait().expect("its end").code(), Some(1));
    let said = rest(said);
    assert!(said.contains("agent.start_failed: socket activation: systemd passed more than one socket"), "{said}");
}
