//! What is left of secrets in the agent's memory: all of it is searched, as root, while the agent is held still.

use crate::attack::{USER, agent, as_user, client, ordinary};
use crate::home::{Agent, Home, signal_to};
use crate::sandbox::Sandbox;
use crate::scanner::{Canaries, Finds};
use crate::wire::Wire;
use claviger::model::SlotProof;
use claviger::secret::{Passphrase, RecoveryCode, SecretText};
use claviger_agent::testing::figure;
use claviger_agent::vault::seams;
use data_encoding::BASE32_NOPAD;
use rustix::process::{Signal, Uid};
use serde_json::{Value, json};
use std::fs;
use std::os::unix::fs::chown;

/// With what each encoding writes another way.
const PASSPHRASE: &str = "a \"stile\" of 7/8+ yards: Köpenick";

/// An agent of an ordinary user that has had, and used, a secret of each kind.
struct Stage {
    sandbox: Sandbox,
    home: Home,
    agent: Agent,
    recovery: String,
    /// What a lock takes away: what opens the vault, its keys, and what lies in it.
    secrets: Canaries,
    /// Sessions, which some locks leave.
    sessions: Canaries,
}

impl Stage {
    /// With the agent without these defences; none is the shipped one.
    fn new(without: Option<&str>) -> Self {
        let sandbox = Sandbox::start();
        let home = ordinary();
        home.configure(&sandbox);
        for name in ["config/config.toml", "config/profiles"] {
            chown(home.file(name), Some(USER), Some(USER)).expect("chown");
        }
        let agent = agent(&home, without);
        let code = client(&home, &["init", "--passphrase-fd", "0"], PASSPHRASE).good();
        let recovery = code.trim().to_owned();
        let mut stage =
            Self { sandbox, home, agent, recovery, secrets: Canaries::default(), sessions: Canaries::default() };
        stage.fill();
        stage.learn();
        stage
    }

    fn run(&self, arguments: &[&str], stdin: &str) -> String {
        client(&self.home, arguments, stdin).good()
    }

    /// A connection of the agent's own user.
    fn connect(&self) -> Wire {
        let socket = self.home.file("run/agent.sock");
        let user = Uid::from_raw(USER);
        let connected = std::thread::spawn(move || {
            rustix::thread::set_thread_res_uid(user, user, user).expect("root becomes anybody");
            Wire::greet(&socket)
        });
        connected.join().expect("a connection")
    }

    /// Stores a secret of each kind and uses it.
    fn fill(&mut self) {
        let Self { sandbox, .. } = &*self;
        self.run(&["access-key", "add", "dev", "--stdin"], &sandbox.access_key());
        let add =
            ["mfa", "add", "--for", "dev", "--name", "ada", "--seed-stdin", "--serial", sandbox.text("mfa_serial")];
        self.run(&add, sandbox.text("mfa_seed"));
        let prod: Value = serde_json::from_str(&self.run(&["process", "prod"], "")).expect("JSON");
        let plain: Value = serde_json::from_str(&self.run(&["process", "plain"], "")).expect("JSON");
        // Two steps on; the agent learns it by a call without a code.
        sandbox.set_offset(60_000);
        self.run(&["access-key", "add", "again", "--stdin"], &sandbox.access_key());
        let code = self.run(&["mfa", "code", "ada", "--now"], "");
        self.run(&["access-key", "export", "dev", "--passphrase-fd", "0"], PASSPHRASE);
        let mut wire = self.connect();
        let export = json!({"mfa_export": {"name": "ada", "proof": {"recovery": self.recovery}}});
        assert!(wire.ask(2, &export)["reply"]["mfa_export"].is_object());
        for (name, session) in [("prod", &prod), ("plain", &plain)] {
            for part in ["SecretAccessKey", "SessionToken"] {
                let secret = session[part].as_str().expect("text");
                self.sessions.add(&format!("{part} of {name}"), secret.as_bytes());
            }
        }
        let places = [("TokenCode=", "&"), ("\"code\":\"", "\"")];
        self.secrets.add_in("a code", places, code.trim());
    }

    /// Learns the vault's own keys from a copy of it.
    fn learn(&mut self) {
        let copy = tempfile::tempdir().expect("a folder");
        for name in ["vault", "state"] {
            fs::copy(self.home.file("data").join(name), copy.path().join(name)).expect("a copy");
        }
        let proofs = [
            SlotProof::Passphrase(Passphrase::from_text(PASSPHRASE.to_owned())),
            SlotProof::Recovery(RecoveryCode::from_text(self.recovery.clone())),
        ];
        for proof in &proofs {
            for (name, key) in seams::keys(copy.path(), proof).expect("the vault's keys") {
                self.secrets.add(name, &key);
            }
        }
        let letters: String = self.recovery.chars().filter(|letter| *letter != '-').take(32).collect();
        let (key, seed) = (self.sandbox.text("secret_access_key"), self.sandbox.text("mfa_seed"));
        self.secrets.add("passphrase", PASSPHRASE.as_bytes());
        self.secrets.add("recovery code", self.recovery.as_bytes());
        self.secrets.add("recovery code", letters.as_bytes());
        self.secrets.add("recovery code's bits", &BASE32_NOPAD.decode(letters.as_bytes()).expect("base32"));
        self.secrets.add("secret access key", key.as_bytes());
        self.secrets.add("TOTP seed", seed.as_bytes());
        self.secrets.add("TOTP seed's bytes", &BASE32_NOPAD.decode(seed.as_bytes()).expect("base32"));
    }

    /// What is in memory at this moment: secrets, then sessions.
    fn scan(&self) -> (Finds, Finds) {
        let pid = self.agent.pid();
        signal_to(pid, Signal::STOP);
        let found = (self.secrets.in_process(pid), self.sessions.in_process(pid));
        signal_to(pid, Signal::CONT);
        found
    }
}

/// The names of the secrets among the finds.
fn named(finds: &Finds, name: &str) -> bool {
    finds.keys().any(|find| find.starts_with(&format!("{name}, ")))
}

#[test]
fn a_lock_leaves_no_secret_in_memory() {
    let stage = Stage::new(None);
    let (open, sessions) = stage.scan();
    for name in ["master key", "state key", "secret access key", "TOTP seed's bytes"] {
        assert!(named(&open, name), "the scanner finds what is there: {open:?}");
    }
    assert!(named(&sessions, "SecretAccessKey of prod") && named(&sessions, "SessionToken of prod"), "{sessions:?}");
    println!("OPEN {open:#?}");
    stage.run(&["lock"], "");
    let (locked, sessions) = stage.scan();
    println!("LOCKED {locked:#?} {sessions:#?}");
    figure("finds of long-lived secrets after a lock", locked.values().sum::<usize>());
    assert!(locked.is_empty() && sessions.is_empty(), "{locked:?} {sessions:?}");
}
