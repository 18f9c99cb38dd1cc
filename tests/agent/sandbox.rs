//! The sandbox as a process, and its control side.

use crate::home::program;
use serde_json::{Value, json};
use std::ffi::OsStr;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::process::{Child, Command, Stdio};

pub(crate) struct Sandbox {
    child: Child,
    facts: Value,
}

impl Sandbox {
    pub(crate) fn start() -> Self {
        Self::start_with(&[])
    }

    /// With a file that says who is in the account: then it says nothing of them itself.
    pub(crate) fn start_with(options: &[&OsStr]) -> Self {
        let mut child = Command::new(program("claviger-sandbox"))
            .args(options)
            .env_clear()
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .expect("the sandbox");
        let mut line = String::new();
        BufReader::new(child.stdout.take().expect("stdout")).read_line(&mut line).expect("a line");
        Self { child, facts: serde_json::from_str(&line).expect("JSON") }
    }

    /// What it said of itself.
    pub(crate) fn text(&self, name: &str) -> &str {
        self.facts[name].as_str().expect("text")
    }

    /// As `access-key add --stdin` takes it.
    pub(crate) fn access_key(&self) -> String {
        format!("{}\n{}\n", self.text("access_key_id"), self.text("secret_access_key"))
    }

    pub(crate) fn state(&self) -> Value {
        self.control("GET", "state", &Value::Null)
    }

    /// Requests of an action that arrived.
    pub(crate) fn calls(&self, action: &str) -> u64 {
        self.state()["calls"][action]["calls"].as_u64().unwrap_or(0)
    }

    /// Codes that arrived, in any action.
    pub(crate) fn codes(&self) -> u64 {
        let state = self.state();
        let calls = state["calls"].as_object().expect("calls");
        calls.values().filter_map(|count| count["with_token_code"].as_u64()).sum()
    }

    /// Codes that arrived again after they had been taken.
    pub(crate) fn reused(&self) -> u64 {
        self.state()["reused"].as_u64().expect("a count")
    }

    /// The steps of the demo device that were taken.
    pub(crate) fn steps(&self) -> Vec<u64> {
        let steps = &self.state()["steps"][self.text("mfa_serial")];
        steps.as_array().into_iter().flatten().filter_map(Value::as_u64).collect()
    }

    /// What became of the calls of an action, as HTTP statuses, in their order.
    pub(crate) fn ends(&self, action: &str) -> Vec<u64> {
        let history = self.control("GET", "history", &Value::Null);
        let calls = history.as_array().expect("calls").iter().filter(|call| call["action"] == action);
        calls.map(|call| call["status"].as_u64().expect("a status")).collect()
    }

    pub(crate) fn fault(&self, action: &str, times: u32, kind: &Value) {
        self.control("POST", "faults", &json!({"action": action, "times": times, "kind": kind}));
    }

    /// The same in one region.
    pub(crate) fn fault_in(&self, region: &str, action: &str, times: u32, kind: &Value) {
        let fault = json!({"region": region, "action": action, "times": times, "kind": kind});
        self.control("POST", "faults", &fault);
    }

    pub(crate) fn clear_faults(&self) {
        self.control("DELETE", "faults", &Value::Null);
    }

    pub(crate) fn release(&self) {
        self.control("POST", "release", &Value::Null);
    }

    pub(crate) fn set_offset(&self, millis: i64) {
        self.control("POST", "clock", &json!({"offset_millis": millis}));
    }

    pub(crate) fn advance(&self, millis: i64) {
        self.control("POST", "clock", &json!({"advance_millis": millis}));
    }

    /// Launches an instance, as the sandbox has one in its seed.
    pub(crate) fn launch(&self, instance: &Value) {
        self.control("POST", "instances", instance);
    }

    /// Waits until so many requests hang.
    pub(crate) fn wait_hanging(&self, count: u64) {
        while self.state()["hanging"] != count {
            std::thread::yield_now();
        }
    }

    fn control(&self, method: &str, page: &str, body: &Value) -> Value {
        let address = self.text("endpoint").strip_prefix("http://").expect("an address");
        let mut stream = TcpStream::connect(address).expect("the sandbox");
        let body = if body.is_null() { String::new() } else { body.to_string() };
        let length = body.len();
        let request = format!(
            "{method} /_sandbox/{page} HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\nContent-Length: {length}\r\n\r\n{body}"
        );
        stream.write_all(request.as_bytes()).expect("sent");
        let mut reply = String::new();
        stream.read_to_string(&mut reply).expect("a reply");
        let (head, body) = reply.split_once("\r\n\r\n").expect("a body");
        assert!(head.starts_with("HTTP/1.1 200"), "{reply}");
        serde_json::from_str(body).expect("JSON")
    }
}

impl Drop for Sandbox {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
