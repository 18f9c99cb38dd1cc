//! What is left of secrets in the agent's memory: all of it is searched, as root, while the agent is held still.

use crate::attack::{USER, agent, client, ordinary};
use crate::home::{Agent, Home, signal_to};
use crate::sandbox::Sandbox;
use crate::scanner::{Canaries, Finds, deepest_stack};
use crate::wire::Wire;
use claviger::model::SlotProof;
use claviger::secret::{Passphrase, RecoveryCode, SecretText};
use claviger_agent::ssh::key::{NewKey, SoftKey};
use claviger_agent::testing::{figure, rounds};
use claviger_agent::vault::seams;
use claviger_agent::world::{OPTIMISED, WIPED_STACK, World};
use data_encoding::BASE32_NOPAD;
use rustix::process::{Signal, Uid};
use serde_json::{Value, json};
use std::fs;
use std::os::unix::fs::chown;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Instant;

/// With what each encoding writes another way.
const PASSPHRASE: &str = "a \"stile\" of 7/8+ yards: Köpenick";

/// Before the names of secrets that are a session's.
const SESSION: &str = "session: ";

/// An agent of an ordinary user that has had, and used, a secret of each kind.
struct Stage {
    sandbox: Sandbox,
    home: Home,
    agent: Agent,
    recovery: String,
    /// What opens the vault, its keys, and what lies in it; and the sessions, which some locks leave.
    canaries: Canaries,
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
        let mut stage = Self { sandbox, home, agent, recovery, canaries: Canaries::default() };
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
        let (file, seed) = ssh_key();
        self.run(&["ssh-key", "add", "laptop", "--stdin"], &file);
        self.run(&["ssh-key", "export", "laptop", "--passphrase-fd", "0"], PASSPHRASE);
        self.canaries.add("SSH key's seed", &seed);
        let mut wire = self.connect();
        let export = json!({"mfa_export": {"name": "ada", "proof": {"recovery": self.recovery}}});
        assert!(wire.ask(2, &export)["reply"]["mfa_export"].is_object());
        for (name, session) in [("prod", &prod), ("plain", &plain)] {
            for part in ["SecretAccessKey", "SessionToken"] {
                let secret = session[part].as_str().expect("text");
                self.canaries.add(&format!("{SESSION}{part} of {name}"), secret.as_bytes());
            }
        }
        let places = [("TokenCode=", "&"), ("\"code\":\"", "\"")];
        self.canaries.add_in("a code", places, code.trim());
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
                self.canaries.add(name, &key);
            }
        }
        let letters: String = self.recovery.chars().filter(|letter| *letter != '-').take(32).collect();
        let (key, seed) = (self.sandbox.text("secret_access_key"), self.sandbox.text("mfa_seed"));
        self.canaries.add("passphrase", PASSPHRASE.as_bytes());
        self.canaries.add("recovery code", self.recovery.as_bytes());
        self.canaries.add("recovery code", letters.as_bytes());
        self.canaries.add("recovery code's bits", &BASE32_NOPAD.decode(letters.as_bytes()).expect("base32"));
        self.canaries.add("secret access key", key.as_bytes());
        self.canaries.add("TOTP seed", seed.as_bytes());
        self.canaries.add("TOTP seed's bytes", &BASE32_NOPAD.decode(seed.as_bytes()).expect("base32"));
    }

    /// What is in memory at this moment: secrets, then sessions.
    fn scan(&self) -> (Finds, Finds) {
        let pid = self.agent.pid();
        signal_to(pid, Signal::STOP);
        let found = self.canaries.in_process(pid);
        signal_to(pid, Signal::CONT);
        found.into_iter().partition(|(find, _)| !find.starts_with(SESSION))
    }
}

/// A new SSH key: its file, and its seed.
fn ssh_key() -> (String, Vec<u8>) {
    let entropy = World::real().entropy;
    let key = SoftKey::generate(NewKey::Ed25519, &*entropy).unwrap_or_else(|error| panic!("{error}"));
    let file = key.export("ada", None, &*entropy).unwrap_or_else(|error| panic!("{error}")).to_string();
    let fields = key.encode().unwrap_or_else(|error| panic!("{error}"));
    (file, fields[fields.len() - 64..fields.len() - 32].to_vec())
}

/// Whether a secret is among the finds.
fn named(finds: &Finds, name: &str) -> bool {
    finds.keys().any(|find| find.trim_start_matches(SESSION).starts_with(&format!("{name}, ")))
}

/// What the kernel says of a process, in KiB.
fn kibibytes(pid: i32, what: &str) -> u64 {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).expect("its status");
    let line = status.lines().find_map(|line| line.strip_prefix(what)).expect("a line");
    line.split_whitespace().next().and_then(|number| number.parse().ok()).expect("a number")
}

#[test]
fn a_lock_leaves_no_secret_in_memory() {
    let stage = Stage::new(None);
    let (open, sessions) = stage.scan();
    for name in ["master key", "state key", "secret access key", "SSH key's seed", "TOTP seed's bytes"] {
        assert!(named(&open, name), "the scanner finds what is there: {open:?}");
    }
    assert!(named(&sessions, "SecretAccessKey of prod") && named(&sessions, "SessionToken of prod"), "{sessions:?}");
    for name in ["passphrase", "recovery code", "recovery code's bits", "the slot's key", "a code", "TOTP seed"] {
        assert!(!named(&open, name), "{name} is used and gone, though the vault is open: {open:?}");
    }
    let pid = stage.agent.pid();
    assert!(kibibytes(pid, "VmLck:") > 0, "the pages of keys and seeds are locked");
    assert_eq!(kibibytes(pid, "VmSwap:"), 0);
    stage.run(&["lock"], "");
    let (locked, sessions) = stage.scan();
    figure("finds of secrets and keys after a lock", locked.values().sum::<usize>());
    figure("finds of session secrets and tokens after a lock", sessions.values().sum::<usize>());
    assert!(locked.is_empty() && sessions.is_empty(), "{locked:?} {sessions:?}");

    // The idle lock keeps the sessions, and nothing else.
    stage.run(&["unlock", "--passphrase-fd", "0"], PASSPHRASE);
    let config = fs::read_to_string(stage.home.file("config/config.toml")).expect("a config");
    stage.home.write("config/config.toml", &format!("{config}[lock]\nidle = \"1s\"\n"));
    let mut wire = stage.connect();
    while wire.ask(2, &json!({"status": {}}))["reply"]["status"]["locked_by"] != "idle" {
        std::thread::yield_now();
    }
    // An answer to what came after the lock: it is over.
    assert_eq!(wire.ask(3, &json!({"access_key_list": {}}))["fault"]["code"], "vault.locked");
    let (locked, sessions) = stage.scan();
    assert!(locked.is_empty() && named(&sessions, "SecretAccessKey of prod"), "{locked:?} {sessions:?}");
}

/// Locks until the control must have left something.
const CONTROL_ROUNDS: usize = 20;

#[test]
fn where_memory_is_not_wiped_the_scan_finds_it_after_a_lock() {
    // Optimised code leaves too little on its stacks to be found again: that control is for the other builds.
    let defences = if rounds(0, 1) == 1 { &["wiping"][..] } else { &["wiping", "wiped-stack"] };
    for &without in defences {
        let stage = Stage::new(Some(without));
        // What lay there may have been written over, or its page given back: that is chance.
        let mut wire = stage.connect();
        let proof = json!({"recovery": stage.recovery});
        let left = (0..CONTROL_ROUNDS).find_map(|_| {
            for request in [
                json!({"access_key_export": {"name": "dev", "proof": proof}}),
                json!({"mfa_export": {"name": "ada", "proof": proof}}),
                json!({"mfa_code": {"name": "ada", "now": true}}),
            ] {
                assert!(wire.ask(2, &request)["id"] == 2);
            }
            stage.run(&["lock"], "");
            let (locked, _) = stage.scan();
            stage.run(&["unlock", "--passphrase-fd", "0"], PASSPHRASE);
            (!locked.is_empty()).then(|| locked.values().sum::<usize>())
        });
        assert!(left.is_some(), "without {without}");
        figure(&format!("finds after a lock without {without}, the control"), left.unwrap_or_default());
    }
}

/// What a request leaves deeper than that would stay: rarely found, since the next one mostly writes over it.
#[test]
fn no_thread_uses_more_of_its_stack_than_is_wiped() {
    let stage = Stage::new(Some("wiped-stack"));
    let used = deepest_stack(stage.agent.pid());
    figure("the most that a thread used of its stack, in KiB", used / 1024);
    let wiped = if rounds(0, 1) == 1 { OPTIMISED } else { WIPED_STACK };
    assert!(used < wiped, "{used} of {wiped}");
}

/// A secret access key and a seed that AWS does not know: while it is asked, they are in the request alone.
const UNKNOWN_KEY: &str = "tPbn/Zr4+Xw0uVq8kLs2Yd6mHc9Jf1Ge3Ra5BxQz";
const UNKNOWN_SEED: &str = "Q7ZK5TWMXN2LCJ4DYRBH6VGPUEF3SAOI";

/// Numbers that follow from a seed (SplitMix64).
struct Numbers(u64);

impl Numbers {
    fn below(&mut self, end: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (mixed ^ (mixed >> 31)) % end
    }
}

/// The requests with secrets of a round, each on a connection of its own.
fn requests(stage: &Stage, round: u64, ssh_key: &str, numbers: &mut Numbers) -> Vec<Value> {
    let passphrase = json!({"passphrase": PASSPHRASE});
    let recovery = json!({"recovery": stage.recovery});
    let serial = format!("arn:aws:iam::123456789012:mfa/round-{round}");
    let every = [
        json!({"access_key_export": {"name": "dev", "proof": passphrase}}),
        json!({"unlock": {"proof": passphrase}}),
        json!({"access_key_export": {"name": "dev", "proof": recovery}}),
        json!({"mfa_export": {"name": "ada", "proof": recovery}}),
        json!({"mfa_export": {"name": "ada", "proof": {"recovery": "AAAA-AAAA"}}}),
        json!({"mfa_add": {"access_key": "dev", "name": null, "serial": serial, "seed": UNKNOWN_SEED, "verify": true}}),
        json!({"access_key_add": {"name": format!("round-{round}"), "access_key_id": "AKIAUNKNOWNUNKNOWN12",
            "secret_access_key": UNKNOWN_KEY, "verify": true}}),
        json!({"access_key_add": {"name": format!("kept-{round}"), "access_key_id": "AKIAUNKNOWNUNKNOWN12",
            "secret_access_key": UNKNOWN_KEY, "verify": false}}),
        json!({"ssh_key_add": {"name": format!("round-{round}"), "key": ssh_key}}),
        json!({"ssh_key_export": {"name": "laptop", "proof": recovery}}),
    ];
    // Without a passphrase in every other round: stretching one cannot be cut short.
    let from = if round.is_multiple_of(2) { 0 } else { 2 };
    let mut chosen = Vec::new();
    for request in every.into_iter().skip(from) {
        if numbers.below(3) > 0 {
            chosen.push(request);
        }
    }
    chosen
}

fn stretches(requests: &[Value]) -> bool {
    requests.iter().any(|request| request.to_string().contains("passphrase"))
}

#[test]
fn at_any_moment_a_lock_leaves_nothing() {
    let mut stage = Stage::new(None);
    stage.canaries.add("an unknown key", UNKNOWN_KEY.as_bytes());
    stage.canaries.add("an unknown seed", UNKNOWN_SEED.as_bytes());
    stage.canaries.add("an unknown seed's bytes", &BASE32_NOPAD.decode(UNKNOWN_SEED.as_bytes()).expect("base32"));
    let (ssh_key, seed) = ssh_key();
    stage.canaries.add("another SSH key's seed", &seed);
    let rounds = rounds(5, 100);
    let mut numbers = Numbers(0xc1a9);
    let (mut plain, mut stretching, mut cut, mut under_way) = (Vec::new(), Vec::new(), 0, 0);
    let mut control = stage.connect();
    for round in 0..u64::try_from(rounds).expect("a number") {
        // After a wrong guess the next has to wait.
        while control.ask(2, &json!({"unlock": {"proof": {"recovery": stage.recovery}}}))["reply"].is_null() {}
        for action in ["GetCallerIdentity", "GetSessionToken"] {
            stage.sandbox.fault(action, 1, &json!("hang"));
        }
        let requests = requests(&stage, round, &ssh_key, &mut numbers);
        // Tools that ask all the while, and people whose requests have reached the agent when the lock comes.
        let tools: Vec<Wire> = (0..3).map(|_| stage.connect()).collect();
        let mut people: Vec<Wire> = requests.iter().map(|_| stage.connect()).collect();
        let (answered, ends) = (AtomicU64::new(0), AtomicBool::new(false));
        let moment = numbers.below(60);
        let (found, sessions) = std::thread::scope(|scope| {
            for mut tool in tools {
                let (answered, ends) = (&answered, &ends);
                scope.spawn(move || {
                    while !ends.load(Ordering::Acquire) {
                        let answer = tool.ask(2, &json!({"credentials": {"profile": "prod", "wait": 60}}));
                        assert!(!answer["reply"].is_null() || answer["fault"]["code"] == "vault.locked", "{answer}");
                        answered.fetch_add(1, Ordering::AcqRel);
                    }
                });
            }
            for (person, request) in people.iter_mut().zip(&requests) {
                person.request(2, request);
                person.request(3, &json!({"status": {}}));
            }
            let early: Vec<Option<Value>> = people.iter_mut().map(until_begun).collect();
            while answered.load(Ordering::Acquire) < moment {
                std::thread::yield_now();
            }
            #[expect(clippy::disallowed_methods, reason = "the time is told, not asserted")]
            let begun = Instant::now();
            assert!(control.ask(3, &json!({"lock": {}}))["reply"].is_object());
            let times = if stretches(&requests) { &mut stretching } else { &mut plain };
            times.push(begun.elapsed());
            let finds = stage.scan();
            ends.store(true, Ordering::Release);
            for (person, early) in people.iter_mut().zip(early) {
                let answer = early.unwrap_or_else(|| heard(person));
                cut += u32::from(answer["fault"]["code"] == "vault.locked");
                let typed = answer["reply"].is_object() || answer["fault"]["code"].is_string();
                assert!(answer["id"] == 2 && typed, "{answer}");
            }
            finds
        });
        assert!(found.is_empty(), "round {round}, {requests:?}: {found:?}");
        // A session that is just being written to a tool may still be; nothing else of it is there.
        under_way += sessions.values().sum::<usize>();
        stage.sandbox.release();
        stage.sandbox.clear_faults();
    }
    assert!(cut > 0, "no request was in hand at a lock: the test shows nothing");
    figure("locks at random moments, finds after them", format!("{rounds}, 0"));
    figure("requests that these locks cut off", cut);
    figure("finds of session secrets after these locks, in answers under way", under_way);
    for (what, mut times) in [("", plain), (", while a passphrase is stretched", stretching)] {
        times.sort();
        let at = |part: usize| times[(times.len() - 1) * part / 100].as_micros() as f64 / 1000.0;
        let told = format!("{:.1} / {:.1} / {:.1} ms", at(50), at(99), at(100));
        figure(&format!("from sending a lock to its answer, memory clean{what}: p50 / p99 / worst"), told);
    }
}

/// Waits until the agent has begun with the request that was sent before: it has answered one that was sent after it.
/// The first's answer, if it came before that.
fn until_begun(wire: &mut Wire) -> Option<Value> {
    let first = heard(wire);
    if first["id"] == 3 {
        return None;
    }
    assert_eq!(heard(wire)["id"], 3);
    Some(first)
}

/// The next answer; events are passed over.
fn heard(wire: &mut Wire) -> Value {
    loop {
        let line = wire.hear();
        if line["event"].is_null() {
            return line;
        }
    }
}
