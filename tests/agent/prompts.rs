//! `prompts` by the real programs: who is let in, and how it ends.

use crate::home::{Home, PASSPHRASE};
use crate::wire::Wire;
use serde_json::{Value, json};
use std::io::{BufRead, BufReader};
use std::net::Shutdown;
use std::process::{Child, ChildStdout, Stdio};

/// A connection with a person behind it.
pub(crate) fn attend(home: &Home) -> Wire {
    let mut wire = Wire::silent(&home.file("run/agent.sock"));
    wire.say(&json!({"id": 1, "hello": {"protocol": 1, "client": "test/0", "answers": true}}));
    wire.hear();
    wire.request(2, &json!({"prompts": {}}));
    wire
}

fn code(line: &Value) -> &str {
    line["fault"]["code"].as_str().unwrap_or_default()
}

#[test]
fn whoever_can_answer_attends_until_they_cancel_or_close() {
    let home = Home::new();
    let _agent = home.start();
    assert_eq!(code(&home.connect().ask(2, &json!({"prompts": {}}))), "prompt.no_terminal");
    let mut wire = attend(&home);
    // An answer to nothing is no human act, and no fault.
    for answer in [json!({"value": "y", "number": 1}), json!({"value": "y"}), json!({"value": null, "number": 0})] {
        wire.say(&json!({"id": 2, "answer": answer}));
    }
    let status = wire.ask(3, &json!({"status": {}}));
    assert_eq!(status["reply"]["status"]["presence_left"], Value::Null, "{status}");
    wire.say(&json!({"id": 2, "cancel": {}}));
    assert_eq!(code(&wire.hear()), "request.cancelled");
    let closed = &mut attend(&home);
    closed.0.get_ref().shutdown(Shutdown::Write).expect("half closed");
    assert_eq!(code(&closed.hear()), "request.cancelled");
    closed.ended();
}

#[test]
fn a_stop_waits_for_nobody_who_attends() {
    let home = Home::new();
    let _agent = home.start();
    let mut wire = attend(&home);
    wire.ask(3, &json!({"status": {}}));
    home.run(&["agent", "stop"], "").good();
    assert_eq!(code(&wire.hear()), "agent.stopping");
    wire.ended();
    assert!(!home.log().contains("with requests in hand"), "{}", home.log());
}

/// `claviger prompts` on a terminal, which is its stdin.
struct OnTerminal {
    child: Child,
    screen: BufReader<ChildStdout>,
}

impl OnTerminal {
    fn start(home: &Home) -> Self {
        let mut command = home.program_command("/usr/bin/script".as_ref());
        let line = format!("exec {} prompts", env!("CARGO_BIN_EXE_claviger"));
        command.args(["-qec", &line, "/dev/null"]).stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut child = command.spawn().expect("a terminal");
        let screen = BufReader::new(child.stdout.take().expect("a screen"));
        Self { child, screen }
    }

    fn wait_for(&mut self, text: &str) {
        let mut line = String::new();
        while !line.contains(text) {
            line.clear();
            let count = self.screen.read_line(&mut line).expect("a line");
            assert!(count > 0, "{text} never came");
        }
    }

    /// The end of input, and how it ends then.
    fn end(mut self) -> Option<i32> {
        drop(self.child.stdin.take());
        self.child.wait().expect("its end").code()
    }
}

#[test]
fn a_person_attends_over_a_restart_and_a_stop_ends_it() {
    let home = Home::new();
    let mut person = OnTerminal::start(&home);
    person.wait_for("questions are asked here");
    let before = home.pid();
    home.run(&["agent", "restart"], "").good();
    assert_ne!(home.pid(), before);
    assert_eq!(person.end(), Some(0));
    let mut person = OnTerminal::start(&home);
    person.wait_for("questions are asked here");
    home.run(&["agent", "stop"], "").good();
    person.wait_for("no agent is running");
    let mut person = person;
    assert_eq!(person.child.wait().expect("its end").code(), Some(1));
    assert_eq!(Wire::try_pid(&home.file("run/agent.sock")), None, "it starts none");
}

#[test]
fn without_a_terminal_nothing_is_started() {
    let home = Home::new();
    home.run(&["prompts"], "").fault_told(4, "questions are answered at a terminal");
    assert!(!home.file("run/agent.sock").exists());
}

#[test]
fn a_program_that_asks_has_to_be_accepted() {
    let home = Home::new();
    home.run(&["init", "--passphrase-fd", "0"], PASSPHRASE).good();
    home.write("config/config.toml", "[vault]\nargon2_memory_mib = 64\n[prompt]\npinentry = \"/usr/bin/pinentry\"\n");
    let in_force = || home.run(&["config", "show", "--json"], "").good();
    let row = |page: &str| {
        let page: Value = serde_json::from_str(page).expect("JSON");
        let rows = page["settings"].as_array().expect("rows").clone();
        rows.into_iter().any(|row| row["key"] == "[prompt] pinentry" && row["source"] == "accepted")
    };
    assert!(!row(&in_force()), "{}", in_force());
    home.run(&["config", "accept", "--passphrase-fd", "0"], PASSPHRASE).good();
    assert!(row(&in_force()), "{}", in_force());
    // That none is run has to be accepted likewise.
    home.write("config/config.toml", "[vault]\nargon2_memory_mib = 64\n[prompt]\npinentry = \"none\"\n");
    let none = || in_force().contains("\"none\"");
    assert!(row(&in_force()) && !none(), "{}", in_force());
    home.run(&["config", "accept", "--passphrase-fd", "0"], PASSPHRASE).good();
    assert!(row(&in_force()) && none(), "{}", in_force());
}
