//! A kill -9 and errors of the disk at each system call of a vault save, a ledger burn and an audit append, by strace
//! on the real agent: old or new, what was answered is kept, no code is sent twice, and the agent serves on.

use crate::home::{Agent, Home, PASSPHRASE};
use crate::sandbox::Sandbox;
use crate::strace::Strace;
use claviger_agent::testing::{figure, rounds};
use serde_json::{Value, json};
use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::io::{BufRead, BufReader, Write};
use std::os::unix::net::UnixStream;
use std::time::Duration;

/// Rounds until the control must have lost something: not every point is met in each.
const CONTROL_ROUNDS: usize = 8;

/// Calls that a disk can refuse.
const DISK_CALLS: &str = "openat,read,pread64,write,pwrite64,writev,fsync,fdatasync,rename,renameat,renameat2,link,linkat,\
                          unlink,unlinkat,ftruncate,fallocate,flock,fstat,newfstatat,statx,stat,lseek,getdents64,mkdir,\
                          chmod,close";
/// Calls that make a descriptor.
const DESCRIPTOR_CALLS: &str = "openat,accept4,eventfd2,timerfd_create,socket,pidfd_open,dup,fcntl";
const DISK_ERRORS: [&str; 4] = ["ENOSPC", "EIO", "EMFILE", "EROFS"];
/// Hangs where it takes longer.
const PATIENCE: Duration = Duration::from_secs(60);

/// What the agent is doing when it is hit.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Operation {
    /// An access key is exported: two records, one before it is read.
    Append,
    /// A session is obtained with a code of the device.
    Burn,
    /// An access key is added.
    Save,
}

use Operation::{Append, Burn, Save};

impl Operation {
    fn name(self) -> &'static str {
        match self {
            Append => "audit append",
            Burn => "ledger burn",
            Save => "vault save",
        }
    }
}

/// A call, by its number in a thread: of all calls of this name, or of those to one file. strace counts for each thread;
/// a file is one thread's at a time.
#[derive(Clone)]
struct Point {
    call: String,
    number: usize,
    file: Option<String>,
}

impl Point {
    /// strace's options to do this to it.
    fn options(&self, what: &str) -> Vec<String> {
        let Self { call, number, file } = self;
        let options = [format!("--trace={call}"), format!("--inject={call}:{what}:when={number}")];
        options.into_iter().chain(file.iter().map(|file| format!("--trace-path={file}"))).collect()
    }
}

impl std::fmt::Display for Point {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let file = self.file.as_deref().and_then(|file| file.rsplit('/').next()).unwrap_or("anything");
        write!(out, "{} {} of {file}", self.call, self.number)
    }
}

/// An agent that is hit, and what it has answered so far.
struct Rig {
    home: Home,
    sandbox: Sandbox,
    weak: Option<&'static str>,
    agent: Agent,
    code: String,
    turn: i64,
    /// Names of access keys that were tried, and those that were answered.
    tried: BTreeSet<String>,
    saved: BTreeSet<String>,
    /// So many exports must be on record.
    exported: usize,
    /// A session was answered since the last logout.
    obtained: bool,
    /// Codes that have arrived at STS by the last look.
    sent: u64,
    losses: Vec<String>,
    codes: BTreeSet<String>,
}

impl Rig {
    /// `weak` names a defence that is left out.
    fn new(weak: Option<&'static str>) -> Self {
        let sandbox = Sandbox::start();
        let home = Home::ready(&sandbox, &["--no-verify"]);
        let quiet = fs::read_to_string(home.file("config/profiles")).expect("profiles");
        let quiet = format!(
            "{quiet}[profile quiet]\nrole_arn = arn:aws:iam::123456789012:role/plain\nsource_profile = dev\n\
             claviger_mfa = off\n"
        );
        home.write("config/profiles", &quiet);
        let code = home.run(&["slot", "add", "recovery", "--passphrase-fd", "0"], PASSPHRASE).good().trim().to_owned();
        home.kill_agent();
        let agent = spawn(&home, weak);
        let saved: BTreeSet<String> = ["dev".to_owned()].into();
        let tried = saved.clone();
        let mut rig = Self {
            home,
            sandbox,
            weak,
            agent,
            code,
            turn: 0,
            tried,
            saved,
            exported: 0,
            obtained: false,
            sent: 0,
            losses: Vec::new(),
            codes: BTreeSet::new(),
        };
        rig.unlock();
        rig
    }

    /// The calls of an operation by name, as often as one thread makes them: all, or those to one file.
    fn record(&mut self, operation: Operation, calls: &str, file: Option<&String>) -> BTreeMap<String, usize> {
        self.prepare(operation);
        let told = self.home.file("trace");
        let options = file.iter().map(|file| format!("--trace-path={file}"));
        let options: Vec<String> = options.chain([format!("--trace={calls}")]).collect();
        let strace = Strace::attach(self.agent.pid(), &options, &told);
        let answer = self.perform(operation);
        let counts = strace.end();
        assert!(answer.is_some_and(|answer| answer["reply"].is_object()), "the operation works");
        counts
    }

    /// Kills the agent at this call; whether it died.
    fn kill_at(&mut self, operation: Operation, point: &Point) -> bool {
        self.prepare(operation);
        let told = self.home.file("trace");
        let options = self.current(point).options("signal=KILL");
        let strace = Strace::attach(self.agent.pid(), &options, &told);
        let answer = self.perform(operation);
        strace.kill();
        let died = answer.is_none() || self.agent.ended().is_some();
        self.agent.kill();
        self.agent = spawn(&self.home, self.weak);
        self.unlock();
        self.check(operation, &format!("{} killed at {point}", operation.name()));
        died
    }

    /// Lets this call fail; whether it did.
    fn fail_at(&mut self, operation: Operation, point: &Point, error: &str) -> bool {
        self.prepare(operation);
        let told = self.home.file("trace");
        let options = self.current(point).options(&format!("error={error}"));
        let strace = Strace::attach(self.agent.pid(), &options, &told);
        let answer = self.perform(operation);
        strace.end();
        let place = format!("{}, {error} at {point}", operation.name());
        match answer {
            None => self.losses.push(format!("{place}: no answer")),
            Some(answer) if answer["reply"].is_object() => {}
            Some(answer) => {
                let fault = &answer["fault"];
                let (code, message) = (fault["code"].as_str(), fault["message"].as_str());
                assert!(message.is_some_and(|message| !message.contains('\n')), "{place}: {answer}");
                assert!(code != Some("internal"), "{place}: {answer}");
                self.codes.extend(code.map(str::to_owned));
            }
        }
        assert!(self.agent.ended().is_none(), "{place}: the agent has ended");
        self.check(operation, &place);
        // It serves on: the next try works.
        self.prepare(operation);
        let again = self.perform(operation);
        if !again.as_ref().is_some_and(|again| again["reply"].is_object()) {
            self.losses.push(format!("{place}: the next try fails: {again:?}"));
        }
        fs::read_to_string(&told).expect("a trace").contains("(INJECTED)")
    }

    /// What the operation needs first.
    fn prepare(&mut self, operation: Operation) {
        self.turn += 1;
        if operation == Burn {
            self.sandbox.set_offset(self.turn * 60_000);
            self.forget_sessions();
        }
    }

    /// Logged out of everything, and STS has said what time it is.
    fn forget_sessions(&mut self) {
        self.obtained = false;
        self.sure(&json!({"logout": {"profile": null}}));
        self.sure(&json!({"credentials": {"profile": "quiet", "wait": 30}}));
    }

    fn perform(&mut self, operation: Operation) -> Option<Value> {
        let name = format!("key-{}", self.turn);
        let request = match operation {
            Append => json!({"access_key_export": {"name": "dev", "proof": {"recovery": self.code}}}),
            Burn => json!({"credentials": {"profile": "prod", "wait": 60}}),
            Save => {
                self.tried.insert(name.clone());
                let (id, secret) = ("AKIAIOSFODNN7EXAMPLE", "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY");
                let key = json!({"name": name, "access_key_id": id, "secret_access_key": secret, "verify": false});
                json!({"access_key_add": key})
            }
        };
        let before = self.exports();
        let answer = self.ask(&request);
        if answer.as_ref().is_some_and(|answer| answer["reply"].is_object()) {
            match operation {
                Append => self.exported = before + 1,
                Burn => self.obtained = true,
                Save => drop(self.saved.insert(name)),
            }
        }
        answer
    }

    /// What was answered is there.
    fn check(&mut self, operation: Operation, place: &str) {
        let keys = self.ask(&json!({"access_key_list": {}})).unwrap_or_default();
        let keys = keys["reply"]["access_keys"].as_array().cloned().unwrap_or_default();
        let keys: BTreeSet<String> = keys.iter().filter_map(|key| Some(key["name"].as_str()?.to_owned())).collect();
        if !self.saved.is_subset(&keys) {
            self.losses.push(format!(
                "{place}: {:?} of {} keys are gone",
                self.saved.difference(&keys),
                self.saved.len()
            ));
        }
        assert!(keys.is_subset(&self.tried), "{place}: neither old nor new");
        let verdict = self.ask(&json!({"audit_verify": {}})).unwrap_or_default();
        let verdict = &verdict["reply"]["audit_verdict"];
        if !verdict.is_object() || !verdict["bad"].is_null() {
            self.losses.push(format!("{place}: the record does not verify: {verdict}"));
        }
        let written = self.exports();
        if written < self.exported {
            self.losses.push(format!("{place}: {written} of {} exports are on record", self.exported));
        }
        if operation == Burn {
            self.check_codes(place);
        }
    }

    fn check_codes(&mut self, place: &str) {
        let prod = json!({"credentials": {"profile": "prod", "wait": 0}});
        let before = self.sandbox.codes();
        if self.obtained {
            let again = self.ask(&prod).unwrap_or_default();
            if !again["reply"].is_object() || self.sandbox.codes() != before {
                self.losses.push(format!("{place}: the session is gone: {again}"));
            }
        }
        let sent = self.sandbox.codes();
        if std::mem::replace(&mut self.sent, sent) == sent {
            return;
        }
        // In the same half minute: the step that was sent must not be sent again. Long enough for it to arrive.
        self.forget_sessions();
        self.ask(&json!({"credentials": {"profile": "prod", "wait": 2}}));
        self.sent = self.sandbox.codes();
        let reused = self.sandbox.reused();
        if reused > 0 {
            self.losses.push(format!("{place}: {reused} codes were sent again"));
        }
    }

    /// Exports that are on record, begun.
    fn exports(&self) -> usize {
        let folders = fs::read_dir(self.home.file("data/audit")).into_iter().flatten().flatten();
        let files = folders.flat_map(|folder| fs::read_dir(folder.path()).into_iter().flatten().flatten());
        let text: String = files.filter_map(|file| fs::read_to_string(file.path()).ok()).collect();
        let begun = |line: &&str| line.contains("\"access_key.export\"") && line.contains("\"begun\"");
        text.lines().filter(begun).count()
    }

    /// What the operation does to each file of ours and, where `all`, every call it makes at all.
    fn points(&mut self, operation: Operation, all: bool) -> (Vec<Point>, usize) {
        let (mut points, mut total) =
            if all { sample(&self.record(operation, "all", None), None) } else { (vec![], 0) };
        for file in self.files() {
            let (more, count) = sample(&self.record(operation, DISK_CALLS, Some(&file)), Some(&file));
            points.extend(more);
            total += count;
        }
        (points, total)
    }

    /// The same point in the file of the record that is in use now: an error lets it begin another.
    fn current(&self, point: &Point) -> Point {
        let of_record = |file: &String| file.ends_with(".jsonl");
        let moved = point
            .file
            .as_ref()
            .filter(|file| of_record(file))
            .and_then(|_| self.files().into_iter().filter(of_record).max());
        Point { file: moved.or_else(|| point.file.clone()), ..point.clone() }
    }

    /// The files of ours that an operation may touch, also those that do not exist yet.
    fn files(&self) -> Vec<String> {
        let data = self.home.file("data");
        let names = ["vault", "vault.new", "vault.prev", "vault.prev.new", "state", "state.new", "audit"];
        let mut paths: Vec<_> = names.iter().map(|name| data.join(name)).chain([data.clone()]).collect();
        for folder in fs::read_dir(data.join("audit")).expect("a folder").flatten().map(|folder| folder.path()) {
            let count = fs::read_dir(&folder).expect("a folder").count();
            paths.push(folder.join(format!("audit-{count:06}.jsonl")));
            paths.push(folder);
        }
        paths.iter().map(|path| path.display().to_string()).collect()
    }

    fn unlock(&mut self) {
        let unlocked = self.ask(&json!({"unlock": {"proof": {"recovery": self.code}}})).unwrap_or_default();
        if !unlocked["reply"].is_object() {
            self.losses.push(format!("the vault does not open: {unlocked}"));
        }
    }

    fn sure(&mut self, request: &Value) {
        let answer = self.ask(request);
        if !answer.as_ref().is_some_and(|answer| answer["reply"].is_object()) {
            self.losses.push(format!("{request} was refused: {answer:?}"));
        }
    }

    /// The answer, or None where the agent went away.
    fn ask(&self, request: &Value) -> Option<Value> {
        let mut stream = UnixStream::connect(self.home.file("run/agent.sock")).ok()?;
        stream.set_read_timeout(Some(PATIENCE)).ok()?;
        let hello = json!({"id": 1, "hello": {"protocol": 1, "client": "test/0"}});
        stream.write_all(format!("{hello}\n{}\n", json!({"id": 2, "request": request})).as_bytes()).ok()?;
        let mut lines = BufReader::new(stream).lines();
        let answers = lines.by_ref().map_while(|line| match line {
            Ok(line) => Some(serde_json::from_str::<Value>(&line).expect("JSON")),
            Err(error) => {
                assert!(error.kind() != std::io::ErrorKind::WouldBlock, "{request}: no answer in a minute");
                None
            }
        });
        answers.skip(1).find(|answer| answer["event"].is_null())
    }
}

fn spawn(home: &Home, weak: Option<&str>) -> Agent {
    let mut command = weak.map_or_else(|| home.agent_command(), |without| home.weak_agent_command(without));
    let mut agent = Agent::spawn(&mut command);
    assert_eq!(agent.word(), "ready");
    agent
}

/// All of them in soak; else the last of each call and, of those to a file, the first.
fn sample(counts: &BTreeMap<String, usize>, file: Option<&String>) -> (Vec<Point>, usize) {
    let point = |call: &String, number| Point { call: call.clone(), number, file: file.cloned() };
    let all = counts.iter().flat_map(|(call, count)| (1..=*count).map(move |number| point(call, number)));
    let all: Vec<Point> = all.collect();
    let total = all.len();
    let taken = |point: &Point| {
        rounds(0, 1) == 1 || point.number == counts[&point.call] || (point.number == 1 && file.is_some())
    };
    (all.into_iter().filter(taken).collect(), total)
}

/// Kills the agent at each point, in each round; returns at the first loss where one must come.
fn kills(operation: Operation, weak: Option<&'static str>) -> Vec<String> {
    let (mut died, mut hit, mut all) = (0, 0, 0);
    for _ in 0..if weak.is_some() { CONTROL_ROUNDS } else { rounds(1, 100) } {
        let mut rig = Rig::new(weak);
        let (mut points, count) = rig.points(operation, weak.is_none());
        if weak.is_some() {
            // Where something is written there is most to lose.
            points.sort_by_key(|point| point.call != "write");
        }
        all += count;
        for point in &points {
            died += usize::from(rig.kill_at(operation, point));
            hit += 1;
            if weak.is_some() && !rig.losses.is_empty() {
                return rig.losses;
            }
        }
        assert!(rig.losses.is_empty(), "{:#?}", rig.losses);
    }
    // Threads share the work differently each time, so not every number comes again.
    assert!(died * 4 > hit, "{died} of {hit}");
    if weak.is_none() {
        let rounds = rounds(1, 100);
        let value = format!("{died} of {hit} tried, of {all} points, in {rounds} rounds");
        figure(&format!("{}: kills", operation.name()), value);
    }
    Vec::new()
}

/// Lets each call fail with each error; returns at the first loss where one must come.
fn errors(operation: Operation, weak: Option<&'static str>) -> Vec<String> {
    let (mut failed, mut hit, mut all, mut codes) = (0, 0, 0, BTreeSet::new());
    for _ in 0..if weak.is_some() { CONTROL_ROUNDS } else { rounds(1, 100) } {
        let mut rig = Rig::new(weak);
        let (mut points, count) = rig.points(operation, false);
        if weak.is_some() {
            points.sort_by_key(|point| point.call != "write");
        }
        all += count * DISK_ERRORS.len();
        let (descriptors, count) = sample(&rig.record(operation, DESCRIPTOR_CALLS, None), None);
        all += count;
        let each = points.iter().enumerate().flat_map(|(index, point)| {
            // One error a point, in turn, but in soak.
            let taken = move |which: usize| rounds(0, 1) == 1 || index % DISK_ERRORS.len() == which;
            let errors = DISK_ERRORS.iter().enumerate().filter(move |(which, _)| taken(*which));
            errors.map(move |(_, error)| (point, *error))
        });
        for (point, error) in each.chain(descriptors.iter().map(|point| (point, "EMFILE"))) {
            failed += usize::from(rig.fail_at(operation, point, error));
            hit += 1;
            if weak.is_some() && !rig.losses.is_empty() {
                return rig.losses;
            }
        }
        assert!(rig.losses.is_empty(), "{:#?}", rig.losses);
        // What was kept in memory is on the disk as well.
        rig.agent.kill();
        rig.agent = spawn(&rig.home, weak);
        rig.unlock();
        rig.check(operation, "after all errors");
        assert!(weak.is_some() || rig.losses.is_empty(), "{:#?}", rig.losses);
        codes.append(&mut rig.codes);
    }
    assert!(failed * 4 > hit, "{failed} of {hit}");
    if weak.is_none() {
        let name = operation.name();
        figure(&format!("{name}: calls that failed"), format!("{failed} of {hit} tried, of {all} points"));
        figure(&format!("{name}: faults told"), codes.into_iter().collect::<Vec<_>>().join(" "));
    }
    Vec::new()
}

#[test]
fn a_kill_at_any_call_of_a_save_loses_nothing_that_was_answered() {
    kills(Save, None);
    assert!(!kills(Save, Some("atomic-save")).is_empty(), "a save in place loses something");
}

#[test]
fn a_kill_at_any_call_of_a_burn_sends_no_code_twice() {
    kills(Burn, None);
    assert!(!kills(Burn, Some("burn-first")).is_empty(), "a step that is not written down first is sent twice");
}

#[test]
fn a_kill_at_any_call_of_an_append_loses_no_record() {
    kills(Append, None);
}

#[test]
fn an_error_of_any_call_of_a_save_loses_nothing_and_the_agent_serves_on() {
    errors(Save, None);
    assert!(!errors(Save, Some("atomic-save")).is_empty(), "a save in place loses something");
}

#[test]
fn an_error_of_any_call_of_a_burn_sends_no_code_twice_and_the_agent_serves_on() {
    errors(Burn, None);
}

#[test]
fn an_error_of_any_call_of_an_append_hands_nothing_out_that_is_not_on_record() {
    errors(Append, None);
    assert!(!errors(Append, Some("record-first")).is_empty(), "an act without its record");
}
