//! The SSH agent with keys on FIDO devices, by OpenSSH's own programs on both sides.

use crate::agent::Installed;
use crate::softkey::{Bridge, Ended, Softkey};
use crate::wire::Wire;
use serde_json::{Value, json};
use std::fs;
use std::io::{BufRead, BufReader, Read};
use std::net::TcpListener;
use std::process::{Child, Command, Stdio};
use std::thread::JoinHandle;

const PIN: &str = "1234-abc";

/// sshd on the loopback; ends with the test.
struct Host(Child, u16);

impl Host {
    /// Lets in whom `authorized` says.
    fn start(agent: &Installed, authorized: &str) -> Self {
        fs::create_dir_all("/run/sshd").expect("/run/sshd");
        let path = |name: &str| agent.file(name).display().to_string();
        plain(agent, &["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", &path("host")]).good();
        agent.write("authorized", authorized);
        let (child, port) = (0..20).find_map(|_| listen(agent)).expect("sshd on a free port");
        agent.write("known", &format!("alpha {}", fs::read_to_string(agent.file("host.pub")).expect("a key")));
        Self(child, port)
    }

    /// What the host says of how it let someone in with this key.
    fn login(&self, agent: &Installed, public: &str) -> Command {
        agent.write("only.pub", public);
        let (port, known) = (self.1.to_string(), format!("UserKnownHostsFile={}", agent.file("known").display()));
        let only = agent.file("only.pub").display().to_string();
        let mut command = program(agent, &["ssh", "-F", "none", "-p", &port, "-i", &only, "-o", &known]);
        for option in ["HostKeyAlias=alpha", "IdentitiesOnly=yes", "BatchMode=yes", "StrictHostKeyChecking=yes"] {
            command.args(["-o", option]);
        }
        command.args(["127.0.0.1", "cat \"$SSH_USER_AUTH\""]).stdout(Stdio::piped()).stderr(Stdio::piped());
        command
    }
}

impl Drop for Host {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

fn listen(agent: &Installed) -> Option<(Child, u16)> {
    let port = TcpListener::bind("127.0.0.1:0").and_then(|free| free.local_addr()).expect("a port").port();
    let path = |name: &str| agent.file(name).display().to_string();
    let config = format!(
        "ListenAddress 127.0.0.1:{port}\nHostKey {}\nAuthorizedKeysFile {}\nPidFile none\nStrictModes no\nUsePAM no\n\
         PasswordAuthentication no\nKbdInteractiveAuthentication no\nExposeAuthInfo yes\nPermitUserRC no\n",
        path("host"),
        path("authorized"),
    );
    agent.write("sshd", &config);
    let mut command = Command::new("/usr/sbin/sshd");
    command.args(["-D", "-e", "-f", &path("sshd")]).env_clear().stdin(Stdio::null());
    let mut child = command.stdout(Stdio::null()).stderr(Stdio::piped()).spawn().expect("sshd");
    let mut said = BufReader::new(child.stderr.take().expect("stderr"));
    let mut line = String::new();
    while said.read_line(&mut line).expect("a line") > 0 {
        if line.contains("Server listening on") {
            std::thread::spawn(move || std::io::copy(&mut said, &mut std::io::sink()));
            return Some((child, port));
        }
        line.clear();
    }
    let _ = child.wait();
    None
}

/// A program at the agent's socket.
fn program(agent: &Installed, words: &[&str]) -> Command {
    let mut command = Command::new("/usr/bin/timeout");
    command.args(["60"]).args(words).env_clear().current_dir(agent.path()).stdin(Stdio::null());
    command.env("HOME", agent.path()).env("PATH", "/usr/bin:/bin").env("LC_ALL", "C");
    command.env("SSH_AUTH_SOCK", agent.file("run/ssh.sock"));
    command
}

fn plain(agent: &Installed, words: &[&str]) -> Ended {
    program(agent, words).output().expect("its end").into()
}

fn ended(child: Child) -> Ended {
    child.wait_with_output().expect("its end").into()
}

/// Makes a key of a kind with ssh-keygen, hands it to the agent, and says what authorizes it.
fn hand_over(bridge: &Bridge, agent: &Installed, name: &str, kind: &str, options: &[&str]) -> String {
    bridge.keygen(name, kind, options).good();
    plain(agent, &["ssh-add", "-q", &bridge.path(name)]).good();
    bridge.read(&format!("{name}.pub"))
}

/// Somebody who types these in, one after the other, where a PIN is asked for; then the questions that were asked.
fn person(agent: &Installed, answers: &[&str]) -> JoinHandle<(Vec<Value>, Wire)> {
    let mut wire = Wire::silent(&agent.file("run/agent.sock"));
    wire.say(&json!({"id": 1, "hello": {"protocol": 1, "client": "test/0", "answers": true}}));
    wire.hear();
    wire.request(2, &json!({"prompts": {}}));
    // Once it is known to attend.
    wire.ask(3, &json!({"status": {}}));
    let answers: Vec<String> = answers.iter().map(|answer| (*answer).to_owned()).collect();
    std::thread::spawn(move || {
        let mut asked = Vec::new();
        for answer in answers {
            let question = loop {
                let line = wire.hear();
                if let Some(question) = line["event"].get("pin_needed") {
                    break question.clone();
                }
            };
            wire.say(&json!({"id": 2, "answer": {"value": answer, "number": question["number"]}}));
            asked.push(question);
        }
        // Whoever leaves before their answer is read has not given it.
        (asked, wire)
    })
}

fn stage() -> (Bridge, Softkey, Installed) {
    let bridge = Bridge::start();
    let key = bridge.key("ONE", &[]);
    bridge.set_pin(&key);
    let agent = Installed::open(&bridge.exports());
    (bridge, key, agent)
}

#[test]
fn each_kind_logs_in_with_a_touch_and_where_it_wants_it_the_pin() {
    let (bridge, key, agent) = stage();
    let kinds: [(&str, &str, &[&str]); 4] = [
        ("plain", "ed25519-sk", &[]),
        ("ecdsa", "ecdsa-sk", &[]),
        ("resident", "ed25519-sk", &["resident"]),
        ("verified", "ed25519-sk", &["verify-required"]),
    ];
    let keys: Vec<String> =
        kinds.iter().map(|(name, kind, options)| hand_over(&bridge, &agent, name, kind, options)).collect();
    let authorized: String = keys
        .iter()
        .zip(kinds)
        .map(|(key, (name, ..))| if name == "verified" { format!("verify-required {key}") } else { key.clone() })
        .collect();
    let host = Host::start(&agent, &authorized);
    for (public, (name, ..)) in keys.iter().zip(kinds) {
        let person = (name == "verified").then(|| person(&agent, &["wrong-one", PIN]));
        let how = Ended::from(host.login(&agent, public).output().expect("its end")).good();
        let blob: Vec<&str> = public.split(' ').take(2).collect();
        assert_eq!(how.trim(), format!("publickey {}", blob.join(" ")));
        if let Some(person) = person {
            let (asked, _wire) = person.join().expect("a person");
            assert_eq!((&asked[0]["tries_left"], &asked[1]["tries_left"]), (&8.into(), &7.into()), "{asked:?}");
            assert!(asked[1]["problem"].as_str().is_some_and(|why| why.contains("wrong")), "{asked:?}");
        }
    }
    // A touch that nobody gives lets nobody in, and the agent serves on.
    key.touch("manual");
    let waiting = host.login(&agent, &keys[0]).spawn().expect("ssh");
    key.wait_touch();
    // Nobody else waits for it: another connection signs with a key in memory.
    plain(&agent, &["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", &agent.file("soft").display().to_string()])
        .good();
    plain(&agent, &["ssh-add", "-q", &agent.file("soft").display().to_string()]).good();
    plain(&agent, &["ssh-add", "-T", &agent.file("soft.pub").display().to_string()]).good();
    key.press();
    ended(waiting).good();
    let mut waiting = host.login(&agent, &keys[0]).spawn().expect("ssh");
    key.wait_touch();
    key.unplug();
    assert_eq!(waiting.wait().expect("its end").code(), Some(255));
    let mut said = String::new();
    waiting.stderr.take().expect("stderr").read_to_string(&mut said).expect("text");
    assert!(said.contains("Permission denied"), "{said}");
}

#[test]
fn the_key_that_has_it_is_found_among_several() {
    let (bridge, mut first, agent) = stage();
    let public = hand_over(&bridge, &agent, "plain", "ed25519-sk", &[]);
    let host = Host::start(&agent, &public);
    let other = bridge.key("OTHER", &["--touch=never"]);
    agent.devices_until(|devices| devices.len() == 2);
    let asked = other.figure("asked");
    Ended::from(host.login(&agent, &public).output().expect("its end")).good();
    assert_eq!(other.figure("asked"), asked, "the other one waited for no touch");
    // From now on it is known which one has the key: the other is not even spoken to.
    // Its answer to the question before was no longer waited for; that is over once it says what it is.
    agent.devices();
    let (heard, heard_first) = (other.reports(), first.reports());
    Ended::from(host.login(&agent, &public).output().expect("its end")).good();
    assert_eq!(other.reports(), heard);
    assert!(first.reports() > heard_first);
    // Until it is pulled: then it is looked for again.
    first.unplug();
    agent.devices_until(|devices| devices.len() == 1);
    first.plug();
    agent.devices_until(|devices| devices.len() == 2);
    let heard = other.reports();
    Ended::from(host.login(&agent, &public).output().expect("its end")).good();
    assert!(other.reports() > heard);
    drop(first);
    agent.devices_until(|devices| devices.len() == 1);
    let refused = Ended::from(host.login(&agent, &public).output().expect("its end"));
    refused.bad("Permission denied");
}

#[test]
fn a_lock_of_the_vault_ends_a_wait_for_a_touch() {
    let (bridge, key, agent) = stage();
    let public = hand_over(&bridge, &agent, "plain", "ed25519-sk", &[]);
    let host = Host::start(&agent, &public);
    key.touch("manual");
    let waiting = host.login(&agent, &public).spawn().expect("ssh");
    key.wait_touch();
    agent.run(&["lock"], "").good();
    ended(waiting).bad("Permission denied");
}

#[test]
fn a_key_file_in_the_vault_signs_after_each_unlock() {
    let (bridge, key, agent) = stage();
    bridge.keygen("plain", "ecdsa-sk", &[]).good();
    let public = bridge.read("plain.pub");
    agent.run(&["ssh-key", "add", "work", &bridge.path("plain")], "").good();
    let shown = agent.run(&["ssh-key", "public", "work"], "").good();
    let blob = |line: &str| line.split(' ').take(2).collect::<Vec<_>>().join(" ");
    assert_eq!(blob(&shown), blob(&public));
    let host = Host::start(&agent, &public);
    let login = || Ended::from(host.login(&agent, &public).output().expect("its end"));
    login().good();
    agent.run(&["lock"], "").good();
    login().bad("Permission denied");
    agent.run(&["unlock", "--passphrase-fd", "0"], crate::home::PASSPHRASE).good();
    login().good();
    // The file that comes out again is the one that went in, for OpenSSH too.
    let file = agent.run(&["ssh-key", "export", "work", "--passphrase-fd", "0"], crate::home::PASSPHRASE).good();
    agent.write("exported", &file);
    agent.set_mode("exported", 0o600);
    let again = plain(&agent, &["ssh-keygen", "-y", "-f", &agent.file("exported").display().to_string()]).good();
    assert_eq!(blob(again.trim()), blob(&public));
    key.unplug();
    login().bad("Permission denied");
}

#[test]
fn a_key_is_made_on_a_device_for_the_vault() {
    let bridge = Bridge::start();
    let mut key = bridge.key("ONE", &[]);
    let agent = Installed::open(&bridge.exports());
    agent.devices_until(|devices| devices.len() == 1);
    let plain = agent.run(&["fido", "new", "plain"], "").good();
    agent.run(&["fido", "new", "plain"], "").fault_told(5, "is stored as plain already");
    let resident = ["fido", "new", "work", "--resident", "--verify-required", "--user", "ada", "--pin-fd", "0"];
    agent.run(&resident, PIN).fault_told(7, "no PIN yet");
    agent.run(&["fido", "pin", "--set", "--new-pin-fd", "0"], &"1".repeat(65)).fault_told(2, "longer than 63 bytes");
    agent.run(&["fido", "pin", "--set", "--new-pin-fd", "0"], PIN).good();
    let work = agent.run(&resident, PIN).good();
    let list = ["fido", "list", "--json", "--pin-fd", "0"];
    let kept: Value = serde_json::from_str(&agent.run(&list, PIN).good()).expect("JSON");
    assert_eq!((&kept[0]["user"], kept.as_array().map(Vec::len)), (&"ada".into(), Some(1)));
    let blob = |line: &str| line.split(' ').take(2).collect::<Vec<_>>().join(" ").trim().to_owned();
    assert_eq!(kept[0]["line"].as_str().map(blob), Some(blob(&work)));
    let wrong = agent.run(&list, "wrong");
    assert!(wrong.stderr.contains("7 tries are left"), "{wrong:?}");
    agent.run(&list, "wrong").fault_told(5, "6 tries are left");
    agent.run(&list, "wrong").fault_told(7, "until it was pulled out");
    key.cycle();
    agent.devices_until(|devices| devices.first().is_some_and(|device| device["pin_tries"] == 5));
    let host = Host::start(&agent, &format!("{plain}verify-required {work}"));
    Ended::from(host.login(&agent, &plain).output().expect("its end")).good();
    let person = person(&agent, &[PIN]);
    Ended::from(host.login(&agent, &work).output().expect("its end")).good();
    person.join().expect("a person");
    agent.run(&["ssh", "--key", "plain", "web-1"], "").fault_told(2, "plain is sk-ssh-ed25519@openssh.com");
    agent.run(&["fido", "new", "other", "--device", "SOMEBODY"], "").fault_told(7, "no such device");
}

#[test]
fn the_last_try_is_a_persons_and_a_blocked_pin_is_told() {
    let (bridge, mut key, agent) = stage();
    let list = |pin: &str| agent.run(&["fido", "list", "--pin-fd", "0"], pin);
    list(&"1".repeat(65)).fault_told(2, "longer than 63 bytes");
    list(PIN).good();
    let tries = |left: u64| {
        agent.devices_until(|devices| devices.first().is_some_and(|device| device["pin_tries"] == left));
    };
    for left in [7, 6, 5, 4, 3, 2, 1] {
        // Two at a time: a third in a row is not counted.
        if left % 2 == 1 {
            key.cycle();
            tries(left + 1);
        }
        list("wrong").fault_told(5, "the PIN is wrong");
        tries(left);
    }
    key.cycle();
    tries(1);
    list("wrong").fault_told(7, "one try of the PIN is left");
    tries(1);
    // Another program spends it.
    assert_ne!(bridge.resident(&key, "wrong").exit, Some(0));
    tries(0);
    list(PIN).fault_told(7, "the PIN is blocked");
}

#[test]
fn a_library_is_never_loaded_and_a_provider_is_for_keys_of_devices_alone() {
    let (bridge, _key, agent) = stage();
    bridge.keygen("plain", "ed25519-sk", &[]).good();
    let add = |provider: &str, name: &str| plain(&agent, &["ssh-add", "-q", "-S", provider, &bridge.path(name)]);
    let library = "/usr/lib/x86_64-linux-gnu/libc.so.6";
    add(library, "plain").bad("agent refused operation");
    add("internal", "plain").good();
}
