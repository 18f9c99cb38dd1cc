//! The agent as an SSH agent, with OpenSSH's own programs: what a lock, a restart and the record do to keys of ssh-add.

use crate::home::{Home, PASSPHRASE};
use crate::installed::{CLOSED, Installed};
use crate::prompts::attend;
use crate::sandbox::Sandbox;
use crate::wire::Wire;
use serde_json::{Value, json};
use std::net::Shutdown;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::sync::atomic::{AtomicUsize, Ordering};

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
        self.signs_for("file", name)
    }

    fn signs_for(&self, namespace: &str, name: &str) -> bool {
        let (key, message) = (self.path(&format!("{name}.pub")), self.path("message"));
        let signature = self.path("message.sig");
        std::fs::write(&message, "to be signed").expect("a message");
        drop(std::fs::remove_file(&signature));
        // The private half is the agent's alone.
        drop(std::fs::remove_file(self.path(name)));
        let signed = self.run("ssh-keygen", &["-q", "-Y", "sign", "-n", namespace, "-f", &key, &message]);
        let check = Command::new("ssh-keygen")
            .args(["-q", "-Y", "check-novalidate", "-n", namespace, "-s", &signature])
            .stdin(std::fs::File::open(&message).expect("the message"))
            .output()
            .expect("ssh-keygen");
        assert_eq!(signed.status.success(), check.status.success());
        signed.status.success()
    }
}

pub(crate) fn socket(home: &Home) -> PathBuf {
    home.file("run/ssh.sock")
}

/// The records of this event, oldest first.
pub(crate) fn records(home: &Home, event: &str) -> Vec<Value> {
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
    assert_eq!((&ssh["binding"], &ssh["comment"], &ssh["name"]), (&json!("unbound"), &json!("one"), &Value::Null));
    let page = home.run(&["audit", "log", "--event", "ssh"], "").good();
    assert!(page.contains("data for file with \"one\""), "{page}");
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

/// A key of the vault, made with these options; its public line.
fn kept(home: &Home, client: &Client, name: &str, options: &[&str]) -> String {
    let line = home.run(&[&["ssh-key", "new", name], options].concat(), "").good();
    std::fs::write(client.path(&format!("{name}.pub")), &line).expect("a public key");
    line
}

#[test]
fn a_key_of_the_vault_signs_what_it_is_for_while_the_vault_is_open() {
    let home = Home::new();
    home.run(&["init", "--passphrase-fd", "0"], PASSPHRASE).good();
    let client = Client::of(socket(&home));
    let lines = kept(&home, &client, "plain", &[]) + &kept(&home, &client, "release", &["--namespace", "release"]);
    assert_eq!(client.listed(), lines);
    assert!(client.signs_for("file", "plain") && client.signs_for("git", "plain"));
    assert!(!client.signs_for("release", "plain") && client.signs_for("release", "release"));
    assert!(!client.signs_for("file", "release"));
    let refused = records(&home, "ssh.refused");
    assert!(refused.iter().all(|record| record["error"].as_str().is_some_and(|why| why.starts_with("not_allowed"))));
    let names: Vec<_> = refused.iter().map(|record| record["ssh"]["name"].as_str()).collect();
    assert_eq!(names, [Some("plain"), Some("release")]);

    home.run(&["lock"], "").good();
    assert_eq!(client.listed(), "");
    assert!(!client.signs("plain"));
    home.unlock().good();
    assert!(client.signs("plain"));
    home.run(&["ssh-key", "remove", "plain"], "").good();
    assert!(!client.signs("plain"), "removed, and no memory of it");
}

#[test]
fn an_older_vault_that_was_put_back_signs_nothing_until_it_is_accepted() {
    let home = Home::new();
    home.run(&["init", "--passphrase-fd", "0"], PASSPHRASE).good();
    let client = Client::of(socket(&home));
    let line = kept(&home, &client, "loose", &["--any-data"]);
    let older = std::fs::read(home.file("data/vault")).expect("the vault");
    home.run(&["ssh-key", "remove", "loose"], "").good();
    home.run(&["agent", "stop"], "").good();
    std::fs::write(home.file("data/vault"), older).expect("the older one");
    drop(home.unlock());
    assert_eq!((client.listed().as_str(), client.signs("loose")), ("", false));
    home.run(&["unlock", "--accept-older", "--passphrase-fd", "0"], PASSPHRASE).good();
    assert_eq!((client.listed(), client.signs("loose")), (line, true));
}

#[test]
fn a_person_is_asked_for_each_use_or_once_for_a_while() {
    let home = Home::new();
    home.run(&["init", "--passphrase-fd", "0"], PASSPHRASE).good();
    let client = Client::of(socket(&home));
    kept(&home, &client, "each", &["--confirm"]);
    kept(&home, &client, "once", &["--lifetime", "10m"]);
    assert!(!client.signs("each"), "nobody is there to ask");

    let asked = AtomicUsize::new(0);
    let answers = |say: &'static [&'static str], work: &dyn Fn()| {
        let mut person = attend(&home);
        // It attends once this is answered.
        person.ask(3, &json!({"status": {}}));
        let connection = person.0.get_ref().try_clone().expect("a second descriptor");
        std::thread::scope(|scope| {
            let asked = &asked;
            scope.spawn(move || {
                let mut say = say.iter();
                while let Some(line) = person.line() {
                    let heard: Value = serde_json::from_str(&line).expect("JSON");
                    let Some(needed) = heard["event"].get("confirm_needed") else { continue };
                    asked.fetch_add(1, Ordering::Relaxed);
                    let lines = needed["lines"].to_string();
                    assert!(lines.contains("To sign data for file.") && lines.contains("ssh-keygen"), "{needed}");
                    let answer = say.next().expect("a question that nobody expected");
                    person.say(&json!({"id": 2, "answer": {"number": needed["number"], "value": answer}}));
                }
            });
            work();
            connection.shutdown(Shutdown::Both).expect("closed");
        });
    };
    answers(&["y", "n", "y"], &|| {
        assert!(client.signs("each") && !client.signs("each"));
        assert!(client.signs("once") && client.signs("once") && client.signs("once"));
    });
    assert_eq!(asked.load(Ordering::Relaxed), 3);
    let confirmed: Vec<Value> =
        records(&home, "ssh.signed").iter().map(|record| record["ssh"]["confirmed"].clone()).collect();
    assert_eq!(confirmed, [json!(true), json!(true), Value::Null, Value::Null]);

    // A lock ends what waits for an answer: the question is withdrawn, and ssh-keygen refused.
    let mut person = attend(&home);
    person.ask(3, &json!({"status": {}}));
    std::thread::scope(|scope| {
        let waiting = scope.spawn(|| client.signs("each"));
        let number = person.hear()["event"]["confirm_needed"]["number"].clone();
        home.run(&["lock"], "").good();
        assert!(!waiting.join().expect("no panic"));
        assert_eq!(person.hear()["event"]["confirm_over"]["number"], number);
    });
    // Nobody is left to ask.
    drop(person);
    home.unlock().good();
    // A lock takes the consent too.
    home.run(&["lock"], "").good();
    home.unlock().good();
    assert!(!client.signs("once"));
}

#[test]
fn whoever_asks_again_and_again_is_refused_unasked() {
    let home = Home::new();
    home.run(&["init", "--passphrase-fd", "0"], PASSPHRASE).good();
    let client = Client::of(socket(&home));
    kept(&home, &client, "each", &["--confirm"]);
    let mut person = attend(&home);
    let signs = |person: &mut Wire, answer: &str| {
        std::thread::scope(|scope| {
            let waiting = scope.spawn(|| client.signs("each"));
            let number = person.hear()["event"]["confirm_needed"]["number"].clone();
            person.say(&json!({"id": 2, "answer": {"number": number, "value": answer}}));
            waiting.join().expect("no panic")
        })
    };
    person.ask(3, &json!({"status": {}}));
    for _ in 0..2 {
        assert!(!signs(&mut person, "n"));
    }
    assert!(!client.signs("each"));
    person.request(4, &json!({"status": {}}));
    assert_eq!(person.hear()["id"], 4, "nothing is asked before");
    let refused = records(&home, "ssh.refused");
    let last = refused.last().expect("a record").to_string();
    assert!(refused.len() == 3 && last.contains("two questions of this session were refused"), "{last}");
    // Somebody is there anew.
    let mut person = attend(&home);
    person.ask(3, &json!({"status": {}}));
    assert!(signs(&mut person, "y"));
    // Or opens the vault.
    for _ in 0..2 {
        assert!(!signs(&mut person, "n"));
    }
    home.run(&["unlock", "--passphrase-fd", "0"], PASSPHRASE).good();
    assert!(signs(&mut person, "y"));
}

#[test]
fn another_agent_stands_behind_this_one() {
    let home = Home::new();
    let upstream = Client::of(home.file("upstream.sock"));
    let mut other = Command::new("ssh-agent")
        .args(["-D", "-a"])
        .arg(&upstream.socket)
        .stdout(Stdio::null())
        .spawn()
        .expect("OpenSSH's agent");
    let missing = home.file("nobody.sock");
    home.write(
        "config/config.toml",
        &format!("[ssh]\nupstream = [\"{}\", \"{}\"]\n", missing.display(), upstream.socket.display()),
    );
    home.run(&["agent", "start"], "").good();
    crate::soak::until("the other agent listens", || upstream.socket.exists());
    let theirs = upstream.add("theirs", "ed25519");
    let client = Client::of(socket(&home));
    let ours = client.add("ours", "ed25519");
    assert_eq!(client.listed(), ours.clone() + &theirs);
    std::fs::copy(upstream.path("theirs.pub"), client.path("theirs.pub")).expect("a public key");
    assert!(client.signs("ours") && client.signs("theirs"));
    client.good("ssh-add", &["-q", "-D"]);
    assert_eq!(client.listed(), theirs, "nothing is removed there");
    other.kill().expect("its end");
    other.wait().expect("its end");
    assert_eq!(client.listed(), "");
    assert!(!client.signs("theirs"));
    let ours = client.add("ours-too", "ed25519");
    assert_eq!(client.listed(), ours, "one that is not there takes nothing away");
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
    assert_eq!(config, format!("\nMatch all\n    IdentityAgent \"{}\"\n", path.display()));
    assert_eq!(home.run(&["ssh-agent", "env", "--unset", "--shell", "fish"], "").good(), "set -e SSH_AUTH_SOCK;\n");
    // No vault, and still an agent.
    let client = Client::of(path.clone());
    let line = client.add("one", "ed25519");
    assert_eq!(client.listed(), line);
    home.run(&["agent", "stop"], "").good();
    assert!(!Path::new(&path).exists(), "gone with the agent");
}
