//! `claviger-ssh-agent -D` on a socket that systemd passes.

use crate::agent::{Program, plain};
use crate::stage::until;
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::process::{Child, Command, Stdio};

const TOOL: &str = "/usr/bin/systemd-socket-activate";

/// Listens on these sockets, as systemd would, until somebody connects.
fn listen(folder: &Path, sockets: &[&str]) -> Child {
    assert!(Path::new(TOOL).is_file(), "systemd-socket-activate is missing; install it with: apt-get install systemd");
    let mut tool = Command::new(TOOL);
    for socket in sockets {
        tool.arg("-l").arg(folder.join(socket));
    }
    tool.arg(Program::Claviger.path()).arg("-D");
    plain(&mut tool, folder);
    tool.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::piped());
    let child = tool.spawn().expect("systemd-socket-activate");
    until("it listens", || sockets.iter().all(|socket| folder.join(socket).exists()));
    child
}

fn run(folder: &Path, words: &[&str]) -> Option<i32> {
    let (name, arguments) = words.split_first().expect("a program");
    let mut command = Command::new(name);
    plain(&mut command, folder);
    command.env("SSH_AUTH_SOCK", folder.join("one.sock")).stdin(Stdio::null());
    command.args(arguments).output().expect("its end").status.code()
}

#[test]
fn the_first_client_starts_it_and_a_signal_ends_it_well() {
    let folder = tempfile::tempdir().expect("a folder");
    let folder = folder.path();
    let mut agent = listen(folder, &["one.sock"]);
    assert_eq!(run(folder, &["ssh-add", "-l"]), Some(1), "it has no keys");
    assert_eq!(run(folder, &["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", "key"]), Some(0));
    assert_eq!(run(folder, &["ssh-add", "-q", "key"]), Some(0));
    assert_eq!(run(folder, &["ssh-add", "-T", "key.pub"]), Some(0));
    assert_eq!(run(folder, &["kill", &agent.id().to_string()]), Some(0));
    assert_eq!(agent.wait().expect("its end").code(), Some(0), "for systemd a signal is no failure");
    assert!(folder.join("one.sock").exists(), "not ours to remove");
}

#[test]
fn two_sockets_are_refused() {
    let folder = tempfile::tempdir().expect("a folder");
    let agent = listen(folder.path(), &["one.sock", "two.sock"]);
    let _knock = UnixStream::connect(folder.path().join("one.sock")).expect("a connection");
    let ended = agent.wait_with_output().expect("its end");
    let said = String::from_utf8_lossy(&ended.stderr).into_owned();
    assert!(ended.status.code() == Some(1) && said.contains("systemd passed more than one socket"), "{ended:?}");
}
