//! The control protocol under good and bad clients.

use crate::home::{Home, PASSPHRASE};
use crate::sandbox::Sandbox;
use crate::wire::Wire;
use serde_json::{Value, json};
use std::collections::BTreeSet;
use std::net::Shutdown;

const CANARY: &str = "canary5uperS3cretV4lue";

fn code(line: &Value) -> &str {
    line["fault"]["code"].as_str().unwrap_or_default()
}

#[test]
fn requests_in_flight_are_answered_each_by_its_id() {
    let home = Home::new();
    let _agent = home.start();
    let mut wire = home.connect();
    let mut wanted = BTreeSet::new();
    for id in 2..60_u64 {
        let request = match id % 3 {
            0 => json!({"status": {}}),
            1 => json!({"profile_list": {}}),
            _ => json!({"profile_show": {"profile": format!("p{id}")}}),
        };
        wire.request(id, &request);
        wanted.insert(id);
    }
    while !wanted.is_empty() {
        let line = wire.hear();
        let id = line["id"].as_u64().expect("an id");
        assert!(wanted.remove(&id), "{line}");
        match id % 3 {
            0 => assert!(line["reply"]["status"].is_object(), "{line}"),
            1 => assert!(line["reply"]["profiles"].is_array(), "{line}"),
            _ => assert!(code(&line) == "profile.not_found" && line.to_string().contains(&format!("p{id}")), "{line}"),
        }
    }
}

#[test]
fn a_bad_line_is_told_by_length_and_place_and_the_connection_stays() {
    let home = Home::new();
    let _agent = home.start();
    let mut wire = home.connect();
    let deep = format!("{{\"id\":7,\"request\":{}{}}}", "[".repeat(100_000), CANARY);
    let bad = [
        format!("{{\"id\":2,\"request\":{{\"status\":{CANARY}}}}}"),
        CANARY.to_owned(),
        format!("{{\"id\":\"{CANARY}\",\"request\":{{\"status\":{{}}}}}}"),
        format!("{{\"id\":3,\"request\":{{\"{CANARY}\":{{}}}}}}"),
        format!("{{\"id\":4,\"{CANARY}\":{{}}}}"),
        format!("{{\"id\":5,\"request\":{{\"login\":{{\"profile\":[\"{CANARY}\"]}}}}}}"),
        format!(
            "{{\"id\":6,\"request\":{{\"access_key_add\":{{\"name\":\"dev\",\"access_key_id\":\"{CANARY}!\",\"secret_access_key\":\"{CANARY}\",\"verify\":false}}}}}}"
        ),
        String::new(),
        deep,
    ];
    for line in bad {
        wire.send(format!("{line}\n").as_bytes());
        let said = wire.line().expect("a fault");
        let fault: Value = serde_json::from_str(&said).expect("JSON");
        assert_eq!(code(&fault), "wire.bad_line", "{said}");
        let message = fault["fault"]["message"].as_str().expect("a message");
        assert!(message.contains(&format!("{} bytes", line.len())) && message.contains("column"), "{message}");
        assert!(!said.contains(CANARY), "{said}");
    }
    wire.send(b"{\"id\":8,\xff\xfe}\n");
    assert_eq!(code(&wire.hear()), "wire.bad_line");
    assert!(wire.ask(9, &json!({"status": {}}))["reply"].is_object());
    assert!(!home.log().contains(CANARY), "{}", home.log());
    assert!(home.log().contains("wire.bad_line"));
}

#[test]
fn a_line_at_the_cap_is_read_and_one_over_it_ends_the_connection() {
    let home = Home::new();
    let _agent = home.start();
    let mut wire = home.connect();
    let mut longest = vec![b' '; 256 * 1024 - 1];
    longest.push(b'\n');
    wire.send(&longest);
    assert_eq!(code(&wire.hear()), "wire.bad_line");
    // The agent may close before all of it is taken.
    let _ = std::io::Write::write_all(wire.0.get_mut(), &vec![b'x'; 256 * 1024 + 1]);
    assert_eq!(code(&wire.hear()), "wire.too_long");
    wire.ended();
    assert_eq!(home.status()["vault"], "absent");
}

#[test]
fn a_connection_begins_with_one_hello_of_a_protocol_that_is_spoken() {
    let home = Home::new();
    let _agent = home.start();
    let socket = home.file("run/agent.sock");
    let hello = |id: u64, protocol: u32| json!({"id": id, "hello": {"protocol": protocol, "client": "test/0"}});
    let refused = |wire: &mut Wire, id: u64| {
        let fault = wire.hear();
        assert_eq!((code(&fault), &fault["id"]), ("wire.protocol", &json!(id)), "{fault}");
        assert_eq!(fault["fault"]["hint"], "claviger agent restart");
        wire.ended();
    };
    let mut wire = Wire::silent(&socket);
    wire.request(5, &json!({"status": {}}));
    refused(&mut wire, 5);
    let mut wire = Wire::greet(&socket);
    wire.say(&hello(6, 1));
    refused(&mut wire, 6);
    for protocol in [0, 2, 99] {
        let mut wire = Wire::silent(&socket);
        wire.say(&hello(7, protocol));
        refused(&mut wire, 7);
    }
}

#[test]
fn the_sixty_fifth_request_is_refused_and_a_cancelled_one_makes_room() {
    let sandbox = Sandbox::start();
    let home = Home::ready(&sandbox, &[]);
    sandbox.fault("AssumeRole", 1, &json!("hang"));
    let mut wire = home.connect();
    for id in 2..66 {
        wire.request(id, &json!({"credentials": {"profile": "prod", "wait": 600}}));
    }
    sandbox.wait_hanging(1);
    let refused = wire.ask(66, &json!({"status": {}}));
    assert_eq!(code(&refused), "agent.busy");
    wire.say(&json!({"id": 2, "cancel": {}}));
    let cancelled = wire.hear();
    assert_eq!((code(&cancelled), &cancelled["id"]), ("request.cancelled", &json!(2)));
    assert!(wire.ask(67, &json!({"status": {}}))["reply"].is_object());
    // An id in hand belongs to its request.
    wire.request(3, &json!({"status": {}}));
    assert_eq!(code(&wire.hear()), "agent.busy");
    sandbox.release();
    let mut keys = BTreeSet::new();
    for _ in 3..66 {
        let reply = wire.hear();
        keys.insert(reply["reply"]["credentials"]["access_key_id"].as_str().map(str::to_owned));
    }
    assert_eq!(keys.len(), 1);
    assert!(keys.iter().all(Option::is_some), "{keys:?}");
    assert_eq!(sandbox.calls("AssumeRole"), 1);
}

#[test]
fn slow_silent_and_half_open_clients_delay_nobody() {
    let home = Home::new();
    let name = "x".repeat(880);
    let many: String = (0..250).map(|number| format!("[profile {name}{number}]\nregion = eu-west-1\n")).collect();
    home.write(".aws/config", &many);
    let _agent = home.start();
    let socket = home.file("run/agent.sock");
    // Each answer is larger than a socket's buffer, and none is read.
    let mut deaf = home.connect();
    for id in 2..40 {
        deaf.request(id, &json!({"profile_list": {}}));
    }
    let silent: Vec<Wire> = (0..200).map(|_| Wire::silent(&socket)).collect();
    let drips: Vec<Wire> = (0..50)
        .map(|_| {
            let mut wire = Wire::silent(&socket);
            wire.send(b"{\"id\"");
            wire
        })
        .collect();
    for _ in 0..50 {
        let mut vanishing = home.connect();
        vanishing.request(2, &json!({"profile_list": {}}));
    }
    for _ in 0..20 {
        assert!(home.connect().ask(2, &json!({"status": {}}))["reply"].is_object());
    }
    // A slow line is a line once it is whole.
    for mut drip in drips {
        drip.send(b":1,\"hello\":{\"protocol\":1,\"client\":\"slow/0\"}}\n");
        assert_eq!(drip.hear()["hello"]["protocol"], 1);
    }
    drop(silent);
    // And who reads late loses nothing.
    for _ in 2..40 {
        assert_eq!(deaf.hear()["reply"]["profiles"].as_array().map(Vec::len), Some(250));
    }
}

#[test]
fn a_shell_pipe_that_has_asked_and_closed_its_side_is_still_answered() {
    let sandbox = Sandbox::start();
    let home = Home::ready(&sandbox, &[]);
    sandbox.fault("AssumeRole", 1, &json!("hang"));
    let mut wire = home.connect();
    wire.request(2, &json!({"credentials": {"profile": "prod", "wait": 600}}));
    wire.0.get_ref().shutdown(Shutdown::Write).expect("half closed");
    sandbox.wait_hanging(1);
    sandbox.release();
    assert!(wire.hear()["reply"]["credentials"].is_object());
    wire.ended();
}

#[test]
fn a_fetch_goes_on_when_all_who_asked_have_gone() {
    let sandbox = Sandbox::start();
    let home = Home::ready(&sandbox, &[]);
    sandbox.fault("AssumeRole", 1, &json!("hang"));
    let mut wire = home.connect();
    wire.request(2, &json!({"credentials": {"profile": "prod", "wait": 600}}));
    sandbox.wait_hanging(1);
    drop(wire);
    sandbox.release();
    home.run(&["process", "prod"], "").good();
    assert_eq!(sandbox.calls("AssumeRole"), 1);
}

#[test]
fn ten_thousand_profiles_are_listed_page_by_page() {
    let home = Home::new();
    let many: String = (0..10_000).map(|number| format!("[profile p{number}]\nregion = eu-west-1\n")).collect();
    home.write(".aws/config", &many);
    let _agent = home.start();
    let listed = home.run(&["profile", "list", "--json"], "").good();
    let rows: Value = serde_json::from_str(&listed).expect("JSON");
    let names: BTreeSet<&str> =
        rows.as_array().expect("rows").iter().filter_map(|row| row["profile"].as_str()).collect();
    assert_eq!((rows.as_array().map(Vec::len), names.len()), (Some(10_000), 10_000));
    assert!(names.contains("p0") && names.contains("p9999"));
}

#[test]
fn an_id_is_free_once_its_answer_is_there() {
    let home = Home::new();
    home.run(&["init", "--passphrase-fd", "0"], PASSPHRASE).good();
    let mut wire = home.connect();
    // Each has to wait for the disk, in a task of its own.
    for turn in 0..500 {
        let answer = wire.ask(2, &json!({"slot_list": {}}));
        assert!(answer["reply"].is_object(), "{turn}: {answer}");
    }
}
