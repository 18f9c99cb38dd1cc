//! Somebody who answers the agent's questions.

use crate::agent::Installed;
use crate::wire::Wire;
use serde_json::{Value, json};
use std::sync::{Arc, Mutex};

/// A client that attends, and answers at once. It ends with the agent.
pub(crate) struct Person {
    seen: Arc<Mutex<Seen>>,
}

#[derive(Default)]
struct Seen {
    /// Each with its name.
    events: Vec<(String, Value)>,
    /// What is typed where a PIN is asked for, one after the other; the last one stays.
    pins: Vec<String>,
    /// What is said to a question.
    word: String,
}

impl Person {
    /// Types these, one for each question, and the last one from then on. Says yes to other questions.
    pub(crate) fn attend(agent: &Installed, pins: &[&str]) -> Self {
        let mut wire = Wire::silent(&agent.file("run/agent.sock"));
        wire.say(&json!({"id": 1, "hello": {"protocol": 1, "client": "test/0", "answers": true}}));
        wire.hear();
        wire.request(2, &json!({"prompts": {}}));
        wire.ask(3, &json!({"status": {}}));
        let seen = Arc::new(Mutex::new(Seen { word: "y".to_owned(), ..Seen::default() }));
        let person = Self { seen: seen.clone() };
        person.types(pins);
        std::thread::spawn(move || {
            while let Some(line) = wire.line() {
                let line: Value = serde_json::from_str(&line).expect("JSON");
                let Some((name, event)) = line["event"].as_object().and_then(|event| event.iter().next()) else {
                    continue;
                };
                let mut seen = seen.lock().expect("a lock");
                seen.events.push((name.clone(), event.clone()));
                let value = match name.as_str() {
                    "pin_needed" if seen.pins.len() > 1 => seen.pins.remove(0),
                    "pin_needed" => seen.pins[0].clone(),
                    "confirm_needed" => seen.word.clone(),
                    _ => continue,
                };
                drop(seen);
                wire.say(&json!({"id": 2, "answer": {"value": value, "number": event["number"]}}));
            }
        });
        person
    }

    pub(crate) fn types(&self, pins: &[&str]) {
        self.seen.lock().expect("a lock").pins = pins.iter().map(|pin| (*pin).to_owned()).collect();
    }

    pub(crate) fn says(&self, word: &str) {
        word.clone_into(&mut self.seen.lock().expect("a lock").word);
    }

    /// What has come of this name since it was last asked for.
    pub(crate) fn take(&self, name: &str) -> Vec<Value> {
        let mut seen = self.seen.lock().expect("a lock");
        seen.events.extract_if(.., |(event, _)| event == name).map(|(_, event)| event).collect()
    }
}
