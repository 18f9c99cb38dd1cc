//! Endpoints and the record across a planned restart: the same port, token and chain in another process.

use crate::attack::{USER, as_user};
use crate::endpoint::{Owner, SCRIPT};
use crate::home::{program, wait_gone};
use crate::installed::{CLOSED, Installed};
use crate::sandbox::Sandbox;
use crate::succession::build;
use serde_json::Value;
use std::net::TcpStream;
use std::path::Path;
use std::process::Command;

fn python(installed: &Installed) -> Command {
    as_user(&installed.home, USER, Path::new("/usr/bin/python3"))
}

/// A process of the agent's user that opens an endpoint and holds it.
fn owner(installed: &Installed) -> Owner {
    Owner::start(&mut python(installed), &installed.home, 0)
}

/// Status and body, asked by the agent's own user.
fn get(owner: &Owner, installed: &Installed) -> (u64, Value) {
    let (url, token) = (owner.endpoint["url"].as_str(), owner.endpoint["token"].as_str().expect("a token"));
    let header = format!("Authorization:{token}");
    let said = python(installed).args(["-c", SCRIPT, "get", url.expect("a URL"), &header]).output();
    let (status, body): (u64, String) = serde_json::from_slice(&said.expect("an answer").stdout).expect("JSON");
    (status, serde_json::from_str(&body).expect("JSON"))
}

/// The events of the record, whose chain holds.
fn events(installed: &Installed) -> Vec<String> {
    let verified = installed.run(&["audit", "verify"], "");
    assert_eq!(verified.exit, Some(0), "{verified:?}");
    let log = installed.run(&["audit", "log", "--json"], "").good();
    let records: Vec<Value> = match serde_json::from_str(&log) {
        Ok(records) => records,
        Err(_) => log.lines().map(|line| serde_json::from_str(line).expect("JSON")).collect(),
    };
    records.iter().map(|record| record["event"].as_str().expect("an event").to_owned()).collect()
}

fn count(events: &[String], event: &str) -> usize {
    events.iter().filter(|found| *found == event).count()
}

#[test]
fn an_endpoint_answers_with_its_token_in_every_successor_and_the_record_goes_on() {
    let sandbox = Sandbox::start();
    let (installed, mut first) = Installed::ready(CLOSED, &sandbox);
    let mut owner = owner(&installed);
    let (status, before) = get(&owner, &installed);
    assert_eq!(status, 200, "the control: {before}");
    let served = count(&events(&installed), "session.served");
    let codes = sandbox.codes();
    for round in 1..=2 {
        let pid = installed.pid();
        installed.run(&["agent", "restart"], "").good();
        wait_gone(pid);
        let (status, after) = get(&owner, &installed);
        assert_eq!((status, &after["AccessKeyId"]), (200, &before["AccessKeyId"]), "{after}");
        let events = events(&installed);
        assert_eq!(count(&events, "endpoint.open"), 1, "it was opened once: {events:?}");
        assert_eq!(count(&events, "endpoint.close"), 0, "{events:?}");
        assert_eq!(count(&events, "session.served"), served + round, "{events:?}");
        assert_eq!(count(&events, "agent.start"), 1 + round, "{events:?}");
        assert_eq!(count(&events, "audit.gap"), 0, "{events:?}");
    }
    assert_eq!(first.wait().code(), Some(0));
    assert_eq!(sandbox.codes(), codes);
    // It is the successor that sees its process end.
    let port = crate::http::port(&owner.endpoint);
    owner.end();
    while TcpStream::connect(("127.0.0.1", port)).is_ok() {
        std::thread::yield_now();
    }
    assert!(!Path::new(owner.endpoint["token_file"].as_str().expect("a file")).exists());
    assert_eq!(count(&events(&installed), "endpoint.close"), 1);
}

#[test]
fn an_endpoint_waits_for_a_person_where_the_successor_got_no_key() {
    let sandbox = Sandbox::start();
    let (installed, _first) = Installed::ready(0o755, &sandbox);
    let owner = owner(&installed);
    let (status, before) = get(&owner, &installed);
    assert_eq!(status, 200, "the control: {before}");
    installed.run(&["agent", "restart"], "").good();
    for _ in 0..2 {
        let (status, refused) = get(&owner, &installed);
        assert_eq!((status, refused["code"].as_str()), (403, Some("vault.locked")), "{refused}");
    }
    installed.unlock();
    let (status, after) = get(&owner, &installed);
    assert_eq!((status, &after["AccessKeyId"]), (200, &before["AccessKeyId"]), "{after}");
    let events = events(&installed);
    assert_eq!((count(&events, "agent.start"), count(&events, "endpoint.open")), (2, 1), "{events:?}");
    assert_eq!(count(&events, "session.refused"), 2, "what was refused before the unlock is told: {events:?}");
}

#[test]
fn a_restart_that_fails_leaves_endpoints_and_record_as_they_were() {
    let sandbox = Sandbox::start();
    let (installed, first) = Installed::ready(CLOSED, &sandbox);
    let owner = owner(&installed);
    assert_eq!(get(&owner, &installed).0, 200, "the control");
    for stage in [0, 2, 3, 4] {
        installed.install(&build(&installed, stage), CLOSED);
        assert_eq!(installed.run(&["agent", "restart"], "").exit, Some(1));
        assert_eq!(installed.pid(), first.pid());
        let (status, after) = get(&owner, &installed);
        assert_eq!(status, 200, "stage {stage}: {after}");
        let events = events(&installed);
        assert_eq!((count(&events, "endpoint.open"), count(&events, "agent.start")), (1, 1), "{events:?}");
    }
    installed.install(&program("claviger-agent"), CLOSED);
    installed.run(&["agent", "restart"], "").good();
    assert_eq!(get(&owner, &installed).0, 200);
    assert_eq!(count(&events(&installed), "agent.start"), 2);
}

#[test]
fn accepted_settings_and_pins_are_in_force_in_the_successor() {
    let sandbox = Sandbox::start();
    let (installed, _first) = Installed::ready(CLOSED, &sandbox);
    let path = installed.home.file("config/config.toml");
    let good = std::fs::read_to_string(&path).expect("a file");
    let asked = format!("{good}\n[commands]\nallow = [\"/bin/false\"]\n");
    std::fs::write(&path, asked).expect("a file");
    let differs = |status: &Value| status["warnings"].to_string().contains("claviger config accept");
    assert!(differs(&installed.status()), "the control: {}", installed.status());
    installed.run(&["agent", "restart"], "").good();
    let status = installed.status();
    assert!(status["vault"] == "unlocked" && differs(&status), "a restart accepts nothing: {status}");
    installed.run(&["process", "prod"], "").good();
}
