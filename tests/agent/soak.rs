//! What is left of a million requests: nothing. Memory, descriptors, threads and tasks of the agent, as the kernel and
//! its own runtime tell them, before and after; and that it does nothing while there is nothing to do.

use crate::home::{Agent, Home, PASSPHRASE};
use crate::installed::{CLOSED, Installed};
use crate::sandbox::Sandbox;
use crate::wire::Wire;
use claviger_agent::testing::{figure, rounds};
use claviger_agent::world::World;
use claviger_sandbox::load::Load;
use rustix::event::Timespec;
use serde_json::{Value, json};
use std::fs;

/// What the agent may hold more than at the start (issue: RSS within 2 MiB).
const SLACK_KIB: u64 = 2048;
/// The agent's threads once nothing is on its way: the first one, and the two of its runtime.
const THREADS: u64 = 3;

/// What an agent uses.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Usage {
    pub(crate) rss_kib: u64,
    pub(crate) descriptors: usize,
    pub(crate) threads: u64,
    /// Ranges of memory, and how much of it is locked.
    pub(crate) maps: usize,
    pub(crate) locked_kib: u64,
}

impl Usage {
    pub(crate) fn of(pid: i32) -> Self {
        let status = read(pid, "status");
        let field = |name: &str| {
            let line = status.lines().find_map(|line| line.strip_prefix(name)).expect("a field");
            line.split_whitespace().next().and_then(|value| value.parse().ok()).expect("a number")
        };
        Self {
            rss_kib: field("VmRSS:"),
            descriptors: fs::read_dir(format!("/proc/{pid}/fd")).expect("its descriptors").count(),
            threads: field("Threads:"),
            maps: read(pid, "maps").lines().count(),
            locked_kib: field("VmLck:"),
        }
    }
}

fn read(pid: i32, file: &str) -> String {
    fs::read_to_string(format!("/proc/{pid}/{file}")).expect("a file of the process")
}

/// Waits until this holds, looking now and then; a minute is a hang.
pub(crate) fn until(what: &str, mut holds: impl FnMut() -> bool) {
    let clock = World::real().clock;
    let limit = clock.boot().plus_millis(60_000);
    while !holds() {
        assert!(limit.millis_since(clock.boot()) > 0, "never: {what}");
        pause(20);
    }
}

/// Lets the agent have the processor.
fn pause(millis: i64) {
    let limit = Timespec { tv_sec: millis / 1000, tv_nsec: millis % 1000 * 1_000_000 };
    rustix::event::poll(&mut [], Some(&limit)).expect("time");
}

/// A home whose agent has a recovery code and a session, a connection that stays, and that agent.
struct Rig {
    _sandbox: Sandbox,
    home: Home,
    agent: Agent,
    wire: Wire,
    code: String,
    asked: u64,
}

impl Rig {
    /// With the agent that is built for tests, without these defences.
    fn without(defences: &str) -> Self {
        let sandbox = Sandbox::start();
        let home = Home::at(&sandbox);
        let mut agent = Agent::spawn(&mut home.weak_agent_command(defences));
        assert_eq!(agent.word(), "ready");
        home.run(&["init", "--passphrase-fd", "0"], PASSPHRASE).good();
        home.run(&["access-key", "add", "dev", "--stdin"], &sandbox.access_key()).good();
        let add = ["mfa", "add", "--for", "dev", "--seed-stdin", "--serial", sandbox.text("mfa_serial")];
        home.run(&add, sandbox.text("mfa_seed")).good();
        home.run(&["process", "prod"], "").good();
        let code = home.run(&["slot", "add", "recovery", "--passphrase-fd", "0"], PASSPHRASE).good();
        let wire = home.connect();
        Self { _sandbox: sandbox, home, agent, wire, code: code.trim().to_owned(), asked: 1 }
    }

    fn ask(&mut self, request: &Value) -> Value {
        self.asked += 1;
        let answer = self.wire.ask(self.asked, request);
        assert!(answer["reply"].is_object(), "{answer}");
        answer["reply"].clone()
    }

    /// Tasks of its runtime; what asks is three of them.
    fn tasks(&mut self) -> u64 {
        let status = self.ask(&json!({"status": {}}));
        let warnings = status["status"]["warnings"].as_array().expect("warnings").clone();
        let tasks = warnings.iter().find_map(|warning| warning.as_str()?.strip_prefix("tasks: ")?.parse().ok());
        tasks.expect("the agent that is built for tests tells them")
    }

    fn load(&self, clients: usize, requests: usize, connect_each: bool) {
        let load = Load {
            socket: self.home.file("run/agent.sock"),
            profile: "prod".to_owned(),
            clients,
            requests: requests as u64,
            connect_each,
        };
        let outcome = load.run().expect("answers");
        assert_eq!((outcome.errors, outcome.latencies.count()), (0, requests as u64));
    }

    fn cycle(&mut self, times: usize) {
        for _ in 0..times {
            self.ask(&json!({"lock": {}}));
            let proof = json!({"recovery": self.code});
            self.ask(&json!({"unlock": {"proof": proof}}));
        }
    }

    fn endpoints(&self, times: usize) {
        for _ in 0..times {
            self.home.run(&["exec", "prod", "--", "/bin/true"], "").good();
        }
    }

    /// What it uses once nothing is on its way any more.
    fn settled(&mut self, wanted: Option<(Usage, u64)>) -> (Usage, u64) {
        let mut now = (Usage::of(self.agent.pid()), self.tasks());
        until("quiet", || {
            now = (Usage::of(self.agent.pid()), self.tasks());
            let as_before = |(before, tasks): (Usage, u64)| (now.0.descriptors, now.1) == (before.descriptors, tasks);
            now.0.threads == THREADS && wanted.is_none_or(as_before)
        });
        now
    }
}

/// Something an agent is made to do, and how often.
struct Kind {
    what: &'static str,
    act: fn(&mut Rig, usize),
    /// Before the start is measured.
    warm: usize,
    usual: usize,
    soak: usize,
}

#[test]
fn requests_connections_locks_and_endpoints_leave_nothing_behind() {
    let mut rig = Rig::without("");
    let kinds = [
        Kind {
            what: "requests",
            act: |rig, count| rig.load(64, count, false),
            warm: 2000,
            usual: 3000,
            soak: 1_000_000,
        },
        Kind {
            what: "connections",
            act: |rig, count| rig.load(64, count, true),
            warm: 500,
            usual: 1000,
            soak: 100_000,
        },
        Kind { what: "locks and unlocks", act: Rig::cycle, warm: 20, usual: 30, soak: 10_000 },
        Kind { what: "endpoints", act: |rig, count| rig.endpoints(count), warm: 5, usual: 5, soak: 2000 },
    ];
    for kind in &kinds {
        (kind.act)(&mut rig, kind.warm);
    }
    let (start, tasks) = rig.settled(None);
    let check = |rig: &mut Rig, what: &str| {
        let (end, _) = rig.settled(Some((start, tasks)));
        assert!(end.rss_kib <= start.rss_kib + SLACK_KIB, "{what}: {start:?}, then {end:?}");
        assert!(end.locked_kib <= start.locked_kib + SLACK_KIB, "{what}: {start:?}, then {end:?}");
        // A page of the heap that is locked by itself lies in a mapping of its own, between two others.
        let split = 2 * end.locked_kib.saturating_sub(start.locked_kib) / 4;
        assert!(end.maps as u64 <= start.maps as u64 + 64 + split, "{what}: {start:?}, then {end:?}");
        end
    };
    let soak = rounds(0, 1) == 1;
    for Kind { what, act, usual, soak: most, .. } in &kinds {
        let count = rounds(*usual, *most);
        act(&mut rig, count);
        if soak {
            let end = check(&mut rig, what);
            figure(
                &format!("RSS after {count} {what}, KiB more than at the start"),
                i128::from(end.rss_kib) - i128::from(start.rss_kib),
            );
        }
    }
    let files = fs::read_dir(rig.home.file("data/audit")).expect("records").flatten();
    let files = files.flat_map(|vault| fs::read_dir(vault.path()).expect("a record").flatten());
    let record: u64 = files.map(|file| file.metadata().expect("its length").len()).sum();
    figure("bytes of the audit record afterwards", record);
    let clock = World::real().clock;
    let begun = clock.boot();
    let verdict = rig.ask(&json!({"audit_verify": {}}));
    assert!(verdict["audit_verdict"]["bad"].is_null() && verdict["audit_verdict"]["sealed"] == true, "{verdict}");
    let records = &verdict["audit_verdict"]["records"];
    figure(
        "records verified, and the milliseconds that took",
        format!("{records}, {}", clock.boot().millis_since(begun)),
    );
    check(&mut rig, "all");

    // The control: an agent that keeps 8 KiB of each connection is noticed.
    let weak = Rig::without("frees");
    weak.load(64, 1000, true);
    let start = Usage::of(weak.agent.pid());
    weak.load(64, 1000, true);
    let end = Usage::of(weak.agent.pid());
    assert!(end.rss_kib > start.rss_kib + SLACK_KIB, "the control: {start:?}, then {end:?}");
}

#[test]
fn an_agent_that_was_restarted_often_uses_what_its_first_successor_did() {
    let sandbox = Sandbox::start();
    let (installed, _first) = Installed::ready(CLOSED, &sandbox);
    let mut first: Option<Usage> = None;
    let restarts = rounds(3, 20);
    for restart in 0..restarts {
        installed.run(&["agent", "restart"], "").good();
        installed.run(&["process", "prod"], "").good();
        let pid = installed.pid();
        // The client's connection has gone, and of the timers that of the idle lock is left.
        until("nothing on its way", || (open(pid, "[pidfd]"), timers(pid).len()) == (0, 1));
        let now = Usage::of(pid);
        let first = *first.get_or_insert(now);
        // What is being made durable is open for a moment.
        until("no descriptor more", || Usage::of(pid).descriptors <= first.descriptors);
        assert!(now.rss_kib <= first.rss_kib + SLACK_KIB, "restart {restart}: {first:?}, then {now:?}");
    }
    figure("restarts whose successor uses no more than the first one", restarts);
}

/// The descriptors of a process that are no files but this.
fn these(pid: i32, what: &str) -> impl Iterator<Item = fs::DirEntry> {
    let what = format!("anon_inode:{what}");
    let entries = fs::read_dir(format!("/proc/{pid}/fd")).expect("its descriptors").flatten();
    entries.filter(move |entry| fs::read_link(entry.path()).is_ok_and(|target| target.as_os_str() == what.as_str()))
}

fn open(pid: i32, what: &str) -> usize {
    these(pid, what).count()
}

/// Its timers, as proc_pid_fdinfo(5) tells of them; all of the agent's are descriptors. Without the one that waits for
/// the clock to be set (TFD_TIMER_CANCEL_ON_SET): its time never comes.
fn timers(pid: i32) -> Vec<String> {
    let numbers = these(pid, "[timerfd]").map(|entry| entry.file_name().to_string_lossy().into_owned());
    let told = numbers.filter_map(|number| fs::read_to_string(format!("/proc/{pid}/fdinfo/{number}")).ok());
    told.filter(|info| !info.contains("settime flags: 03")).collect()
}

/// How many of them are armed.
fn armed(pid: i32) -> usize {
    timers(pid).iter().filter(|info| !info.contains("it_value: (0, 0)")).count()
}

/// How often its threads went to sleep so far: as often as they woke up.
fn naps(pid: i32) -> u64 {
    let tasks = fs::read_dir(format!("/proc/{pid}/task")).expect("its threads").flatten();
    let of = |thread: fs::DirEntry| {
        let status = fs::read_to_string(thread.path().join("status")).expect("its state");
        let line = status.lines().find_map(|line| line.strip_prefix("voluntary_ctxt_switches:")).expect("a field");
        line.trim().parse::<u64>().expect("a number")
    };
    tasks.map(of).sum()
}

#[test]
fn a_locked_agent_that_nobody_asks_does_nothing() {
    let mut rig = Rig::without("");
    let pid = rig.agent.pid();
    rig.ask(&json!({"status": {}}));
    // The control: an open vault is locked after a time, by a timer that is seen here.
    until("a timer for the idle lock", || armed(pid) == 1);
    rig.ask(&json!({"lock": {}}));
    // What was just written is made durable within a second; a timer that stays is one that wakes it again and again.
    until("no timer is armed", || armed(pid) == 0);
    until("its threads have ended", || Usage::of(pid).threads == THREADS);
    let before = naps(pid);
    for _ in 0..rounds(1, 60) {
        pause(1000);
    }
    assert_eq!((naps(pid) - before, armed(pid)), (0, 0), "it woke up");
    figure("wake-ups in a minute, locked and idle", naps(pid) - before);
}
