//! A home in which every secret is one of a kind. Every verb, request and door is driven, well and badly, while the agent
//! logs at TRACE; then everything that was written, said or shown is searched for each secret in every form.
//!
//! What TRACE shows is what the libraries tell: aws-sigv4 and zbus speak; hyper, rustls and tokio are built without
//! their logs, in a shipped agent too.

mod drive;
mod life;
mod record;
mod sampler;
mod talk;
mod tap;
mod verbs;

use crate::home::{Agent, Home, PASSPHRASE};
use crate::scanner::deepest_stack;
use claviger_agent::testing::figure;
use claviger_agent::world::WIPED_STACK;
use drive::Drive;
use record::Place;
use serde_json::json;

#[test]
fn no_secret_is_anywhere_but_where_its_contract_puts_it() {
    let drive = Drive::new();
    verbs::build_up(&drive);
    verbs::sessions(&drive);
    verbs::sources(&drive);
    verbs::keeping(&drive);
    life::of_keys(&drive);
    let deepest = deepest_stack(drive.home.pid());
    drive.look_at_files();
    talk::malformed_lines(&drive);
    verbs::ends(&drive);
    drive.misplace();
    talk::every_request(&drive);
    drive.look_at_files();
    drive.look_outside();
    drive.look_at_buses();
    drive.learn_keyring_secret();
    for library in ["TRACE aws_sigv4", "TRACE zbus", "a defect: please report it"] {
        assert!(drive.record.has(Place::Log, library), "{library} is not in the log");
    }
    let left_out = drive.left_out();
    let (sweeps, processes) = drive.sampler.end();
    let (classes, secrets, bytes) = drive.record.extent();
    let mut complaints = drive.record.complaints();
    complaints.extend(left_out);
    assert!(complaints.is_empty(), "{}", complaints.join("\n"));
    figure("canaries", format!("{secrets} of {} classes", classes.len()));
    figure("searched", format!("{} KiB", bytes / 1024));
    figure("looks at all processes", format!("{sweeps}, {processes} processes"));
    figure("hits outside the table", 0);
    assert!(deepest < WIPED_STACK, "{deepest}");
    figure("the most that a thread used of its stack, in KiB", deepest / 1024);
}

/// The control of the log: an agent that logs what it is sent, and panics with it.
#[test]
fn a_log_that_repeats_a_request_and_a_panic_that_repeats_its_payload_are_found() {
    for (without, found) in [("quiet-log,composure", false), ("discreet-log", true), ("composure,silent-panic", true)] {
        let home = Home::new();
        let mut agent = Agent::spawn(&mut home.weak_agent_command(without));
        assert_eq!(agent.word(), "ready");
        home.run(&["init", "--passphrase-fd", "0"], PASSPHRASE).good();
        let secret = drive::fresh(20);
        let mut wire = home.connect();
        wire.request(2, &json!({"unlock": {"proof": {"passphrase": format!("{secret} trip-over-this")}}}));
        // The end of the connection, where the handler has none of its composure.
        wire.line();
        let needles = crate::needles::Needles::of(secret.as_bytes());
        assert_eq!(needles.find(home.log().as_bytes()).is_some(), found, "{without}");
    }
}
