//! Many clients at once, and clients that are in the way of others.

use crate::home::{Agent, Home};
use crate::sandbox::Sandbox;
use crate::soak::{Usage, until};
use crate::wire::Wire;
use claviger_agent::testing::{figure, rounds};
use claviger_sandbox::load::{Kind, Load, Outcome, Stuck};
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::process::{Pid, Resource, Rlimit, getrlimit, prlimit, setrlimit};
use serde_json::{Value, json};
use std::collections::BTreeSet;

const CROWD: usize = 1000;

/// Descriptors for thousands of connections and programs.
pub(crate) fn raise_limit() {
    let limit = getrlimit(Resource::Nofile);
    setrlimit(Resource::Nofile, Rlimit { current: limit.maximum, ..limit }).expect("a limit");
}

/// A connection that greets and asks in one write, and reads nothing yet.
fn asking(home: &Home) -> Wire {
    let mut wire = Wire::silent(&home.file("run/agent.sock"));
    let hello = json!({"id": 1, "hello": {"protocol": 1, "client": "test/0"}});
    let request = json!({"id": 2, "request": {"credentials": {"profile": "prod", "wait": 120}}});
    wire.send(format!("{hello}\n{request}\n").as_bytes());
    wire
}

#[test]
fn a_thousand_connections_of_which_half_hang_up_cost_one_call() {
    raise_limit();
    let count = rounds(1, 20);
    for round in 0..count {
        let sandbox = Sandbox::start();
        let home = Home::ready(&sandbox, &[]);
        let (codes, tokens) = (sandbox.codes(), sandbox.calls("GetSessionToken"));
        sandbox.fault("AssumeRole", 1, &json!("hang"));
        let mut crowd: Vec<Option<Wire>> = (0..CROWD).map(|_| Some(asking(&home))).collect();
        sandbox.wait_hanging(1);
        // The first one, whose request began it, among them; in every other way of ending.
        for (at, wire) in crowd.iter_mut().enumerate().step_by(2) {
            if at % 4 == 0 {
                *wire = None;
            } else if let Some(wire) = wire {
                wire.say(&json!({"id": 2, "cancel": {}}));
            }
        }
        sandbox.release();
        let mut keys = BTreeSet::new();
        for (at, wire) in crowd.iter_mut().enumerate() {
            let Some(wire) = wire else { continue };
            assert!(wire.hear()["hello"].is_object());
            let answer = wire.hear();
            match answer["reply"]["credentials"]["access_key_id"].as_str() {
                Some(key) => drop(keys.insert(key.to_owned())),
                None => assert!(at % 4 == 2 && answer["fault"]["code"] == "request.cancelled", "{at}: {answer}"),
            }
        }
        assert_eq!(keys.len(), 1, "round {round}: all have the same session");
        assert_eq!(
            (sandbox.calls("AssumeRole"), sandbox.calls("GetSessionToken"), sandbox.codes()),
            (1, tokens, codes)
        );
    }
    figure("rounds of 1,000 connections of which half hang up or cancel, each with one AssumeRole call", count);

    // The control: an office that fetches for each.
    let sandbox = Sandbox::start();
    let home = Home::at(&sandbox);
    let mut weak = Agent::spawn(&mut home.weak_agent_command("single-flight"));
    assert_eq!(weak.word(), "ready");
    equip(&home, &sandbox);
    let crowd: Vec<Wire> = (0..50).map(|_| asking(&home)).collect();
    until("more than one call", || sandbox.calls("AssumeRole") > 1);
    drop(crowd);
}

/// Vault, access key and device, for an agent that serves already.
fn equip(home: &Home, sandbox: &Sandbox) {
    home.run(&["init", "--passphrase-fd", "0"], crate::home::PASSPHRASE).good();
    home.run(&["access-key", "add", "dev", "--stdin"], &sandbox.access_key()).good();
    let add = ["mfa", "add", "--for", "dev", "--seed-stdin", "--serial", sandbox.text("mfa_serial")];
    home.run(&add, sandbox.text("mfa_seed")).good();
}

fn load(home: &Home, requests: usize) -> Outcome {
    let socket = home.file("run/agent.sock");
    let load = Load { socket, profile: "prod".to_owned(), clients: 16, requests: requests as u64, connect_each: false };
    let outcome = load.run().expect("answers");
    assert_eq!((outcome.errors, outcome.latencies.count()), (0, requests as u64));
    outcome
}

/// A home with a session, and its agent without these defences.
fn ready(defences: &str) -> (Sandbox, Home, Agent) {
    let sandbox = Sandbox::start();
    let home = Home::at(&sandbox);
    let mut agent = Agent::spawn(&mut home.weak_agent_command(defences));
    assert_eq!(agent.word(), "ready");
    equip(&home, &sandbox);
    home.run(&["process", "prod"], "").good();
    (sandbox, home, agent)
}

/// What a hundred stuck clients may cost, and what the control costs at least.
const STUCK_KIB: u64 = 24 * 1024;

#[test]
fn a_hundred_stuck_clients_cost_others_nothing_and_little_memory() {
    let status = json!({"status": {}}).to_string();
    let (_sandbox, home, agent) = ready("");
    let socket = home.file("run/agent.sock");
    let requests = rounds(300, 50_000);
    load(&home, requests);
    let start = Usage::of(agent.pid());
    let (mut alone, mut beside, mut cost) = (Vec::new(), Vec::new(), 0);
    for _ in 0..rounds(1, 7) {
        alone.push(load(&home, requests).latencies.quantile_micros(0.99));
        let stuck = Stuck::start(&socket, 100, &Kind::ALL, &status).expect("connections");
        until("the floods are held up", || is_still(|| stuck.sent()));
        beside.push(load(&home, requests).latencies.quantile_micros(0.99));
        let now = Usage::of(agent.pid());
        assert!(now.rss_kib < start.rss_kib + STUCK_KIB, "{start:?}, then {now:?}");
        cost = cost.max(now.rss_kib.saturating_sub(start.rss_kib));
    }
    figure("KiB that 100 stuck clients cost at most", cost);
    for (name, values) in [("without", &mut alone), ("beside 100 stuck clients", &mut beside)] {
        values.sort_by(f64::total_cmp);
        figure(&format!("p99 of 16 clients {name}, in microseconds, median"), values[values.len() / 2]);
    }

    // The control: answers queue up without end.
    let (_sandbox, home, agent) = ready("bounded-queue");
    let _stuck = Stuck::start(&home.file("run/agent.sock"), 25, &[Kind::Flood], &status).expect("connections");
    until("the control's memory grows", || Usage::of(agent.pid()).rss_kib > start.rss_kib + STUCK_KIB);
}

/// Whether a count stands still over a few looks.
fn is_still(mut count: impl FnMut() -> u64) -> bool {
    let first = count();
    (0..5).all(|_| {
        poll(&mut [], Some(&Timespec { tv_sec: 0, tv_nsec: 50_000_000 })).expect("time");
        count() == first
    })
}

fn answered(wire: &mut Wire, id: u64) -> Value {
    let answer = wire.ask(id, &json!({"credentials": {"profile": "prod", "wait": 60}}));
    assert!(answer["reply"]["credentials"].is_object(), "{answer}");
    answer
}

#[test]
fn without_a_descriptor_left_those_who_are_in_are_served_and_others_come_later() {
    let sandbox = Sandbox::start();
    let home = Home::ready(&sandbox, &[]);
    home.run(&["process", "prod"], "").good();
    let pid = home.pid();
    let mut inside = home.connect();
    answered(&mut inside, 2);
    let used = Usage::of(pid).descriptors as u64;
    let limit = Rlimit { current: Some(used + 20), maximum: Some(used + 20) };
    prlimit(Pid::from_raw(pid), Resource::Nofile, limit).expect("a limit");
    let waiting = "a connection was not accepted";
    let outside: Vec<Wire> = (0..60).map(|_| Wire::silent(&home.file("run/agent.sock"))).collect();
    until("it runs out of descriptors", || home.log().contains(waiting));
    for id in 3..50 {
        answered(&mut inside, id);
    }
    let mut patient = asking(&home);
    assert_eq!(home.log().matches(waiting).count(), 1, "said once");
    drop(outside);
    assert!(patient.hear()["hello"].is_object());
    assert!(patient.hear()["reply"]["credentials"].is_object());
    home.run(&["process", "prod"], "").good();
}

fn has_heard(wire: &Wire) -> bool {
    let mut polled = [PollFd::new(wire.0.get_ref(), PollFlags::IN)];
    poll(&mut polled, Some(&Timespec::default())).expect("a look") > 0
}

#[test]
fn half_open_connections_beyond_the_limit_are_turned_away_and_keep_nobody_out_for_good() {
    raise_limit();
    let sandbox = Sandbox::start();
    let home = Home::ready(&sandbox, &[]);
    home.run(&["process", "prod"], "").good();
    let mut inside = home.connect();
    let (mut crowd, count) = (Vec::new(), rounds(2100, 10_000));
    for at in 0..count {
        crowd.push(Wire::silent(&home.file("run/agent.sock")));
        if at % 100 == 0 {
            answered(&mut inside, 2 + at as u64);
        }
    }
    let mut turned_away = None;
    until("some are turned away", || {
        turned_away = crowd.iter().rposition(has_heard);
        turned_away.is_some()
    });
    let mut one = crowd.swap_remove(turned_away.expect("a place"));
    assert_eq!(one.hear()["fault"]["code"], "agent.busy");
    one.ended();
    answered(&mut inside, 1_000_000);
    if rounds(0, 1) == 1 {
        // They hold their places for half a minute: who has not greeted by then is gone.
        crowd.first_mut().expect("a connection").ended();
    } else {
        crowd.clear();
    }
    let mut ended = home.run(&["process", "prod"], "");
    until("room for another", || {
        let came = ended.exit == Some(0);
        if !came {
            ended = home.run(&["process", "prod"], "");
        }
        came
    });
    figure("half-open connections while others are served", count);
}
