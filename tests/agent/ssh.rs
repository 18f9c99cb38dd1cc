//! The agent as an SSH agent, with OpenSSH's own programs: what a lock, a restart and the record do to keys of ssh-add.

use crate::home::Home;
use crate::installed::{CLOSED, Installed};
use crate::sandbox::Sandbox;
use serde_json::Value;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

/// Keys and messages of one test, and the agent's socket.
struct Client {
    folder: tempfile::TempDir,
    socket: PathBuf,
}

impl Client {
    fn of(socket: PathBuf) -> Self {
        Self { folder: tempfile::tempdir().expect("a folder"), socket }
    }

    fn path(&self, name: &str) -> String {
        self.folder.path().join(name).display().to_string()
    }

    fn run(&self, program: &str, arguments: &[&str]) -> Output {
        Command::new(program)
            .args(arguments)
            .env("SSH_AUTH_SOCK", &self.socket)
            .env("HOME", self.folder.path())
            .stdin(Stdio::null())
            .output()
            .unwrap_or_else(|error| panic!("{program}: {error}"))
    }

    fn good(&self, program: &str, arguments: &[&str]) -> String {
        let output = self.run(program, arguments);
        assert!(output.status.success(), "{program} {arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8(output.stdout).expect("UTF-8")
    }

    /// A new key, added; its public line.
    fn add(&self, name: &str, kind: &str) -> String {
        let path = self.path(name);
        self.good("ssh-keygen", &["-q", "-t", kind, "-N", "", "-C", name, "-f", &path]);
        self.good("ssh-add", &["-q", &path]);
        std::fs::read_to_string(format!("{path}.pub")).expect("a public key")
    }

    /// The public lines of the agent's keys.
    fn listed(&self) -> String {
        let output = self.run("ssh-add", &["-L"]);
        let empty = output.status.code() == Some(1) && output.stdout.starts_with(b"The agent has no identities.");
        assert!(output.status.success() || empty, "{output:?}");
        if empty { String::new() } else { String::from_utf8(output.stdout).expect("UTF-8") }
    }

    /// Whether the agent signs with the key, and ssh-keygen finds it good.
    fn signs(&self, name: &str) -> bool {
        let (key, message) = (self.path(&format!("{name}.pub")), self.path("message"));
        let signature = self.path("message.sig");
        std::fs::write(&message, "to be signed").expect("a message");
        drop(std::fs::remove_file(&signature));
        // The private half is the agent's alone.
        drop(std::fs::remove_file(self.path(name)));
        let signed = self.run("ssh-keygen", &["-q", "-Y", "sign", "-n", "file", "-f", &key, &message]);
        let check = Command::new("ssh-keygen")
            .args(["-q", "-Y", "check-novalidate", "-n", "file", "-s", &signature])
            .stdin(std::fs::File::open(&message).expect("the message"))
            .output()
            .expect("ssh-keygen");
        assert_eq!(signed.status.success(), check.status.success());
        signed.status.success()
    }
}

fn socket(home: &Home) -> PathBuf {
    home.file("run/ssh.sock")
}

/// The records of this event, oldest first.
fn records(home: &Home, event: &str) -> Vec<Value> {
    let log = home.run(&["audit", "log", "--event", event, "--json"], "").good();
    serde_json::from_str(&log).expect("JSON")
}

#[test]
fn a_lock_takes_keys_away_and_an_unlock_brings_them_back() {
    let sandbox = Sandbox::start();
    let home = Home::ready(&sandbox, &[]);
    let client = Client::of(socket(&home));
    let lines = client.add("one", "ed25519") + &client.add("two", "ecdsa") + &client.add("three", "rsa");
    assert_eq!(client.listed(), lines);
    assert!(["one", "two", "three"].iter().all(|name| client.signs(name)));

    home.run(&["lock"], "").good();
    assert_eq!(client.listed(), "");
    assert!(!client.signs("one"));
    // What is added meanwhile is not the vault's.
    let newer = client.add("four", "ed25519");
    assert_eq!(client.listed(), newer);
    home.unlock().good();
    assert_eq!(client.listed(), lines + &newer);
    assert!(["one", "two", "three", "four"].iter().all(|name| client.signs(name)));

    let signed = records(&home, "ssh.signed");
    assert_eq!(signed.len(), 7, "{signed:?}");
    let ssh = &signed[0]["ssh"];
    let key = client.good("ssh-keygen", &["-l", "-f", &client.path("one.pub")]);
    assert_eq!(key.split_whitespace().nth(1), ssh["key"].as_str());
    assert_eq!((ssh["payload"].as_str(), ssh["namespace"].as_str()), (Some("sshsig"), Some("file")));
    assert_eq!(ssh["binding"], "unbound");
    assert!(signed[0]["peer"]["exe"].as_str().is_some_and(|exe| exe.ends_with("/ssh-keygen")), "{signed:?}");
    home.run(&["audit", "verify"], "").good();
}

#[test]
fn a_restart_keeps_keys_and_their_lock() {
    // Where the program is out of reach they go along as they are; else they come back with the vault.
    let sandbox = Sandbox::start();
    let (installed, _agent) = Installed::ready(CLOSED, &sandbox);
    let client = Client::of(socket(&installed.home));
    let line = client.add("one", "ed25519");
    installed.run(&["agent", "restart"], "").good();
    assert_eq!(client.listed(), line);
    assert!(client.signs("one"));

    let sandbox = Sandbox::start();
    let home = Home::ready(&sandbox, &[]);
    let client = Client::of(socket(&home));
    let line = client.add("one", "ed25519");
    let said = home.run(&["agent", "restart"], "");
    assert!(said.exit == Some(0) && said.stderr.contains("The vault is locked now"), "{said:?}");
    assert_eq!(client.listed(), "");
    home.unlock().good();
    assert_eq!(client.listed(), line);
    assert!(client.signs("one"));
}

#[test]
fn the_socket_is_found_and_closed_to_others() {
    use std::os::unix::fs::PermissionsExt;
    let home = Home::new();
    let said = home.run(&["ssh-agent", "env", "--shell", "bash"], "").good();
    let path = socket(&home);
    assert_eq!(said, format!("export SSH_AUTH_SOCK='{}';\n", path.display()));
    assert_eq!(std::fs::metadata(&path).expect("a socket").permissions().mode() & 0o777, 0o600);
    let config = home.run(&["ssh-agent", "env", "--config"], "").good();
    assert_eq!(config, format!("IdentityAgent \"{}\"\n", path.display()));
    assert_eq!(home.run(&["ssh-agent", "env", "--unset", "--shell", "fish"], "").good(), "set -e SSH_AUTH_SOCK;\n");
    // No vault, and still an agent.
    let client = Client::of(path.clone());
    let line = client.add("one", "ed25519");
    assert_eq!(client.listed(), line);
    home.run(&["agent", "stop"], "").good();
    assert!(!Path::new(&path).exists(), "gone with the agent");
}
