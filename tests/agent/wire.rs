//! The control protocol, byte by byte.

use serde_json::{Value, json};
use std::io::{BufRead, BufReader, Read, Write};
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::time::Duration;

/// A test that waits longer than this hangs.
const PATIENCE: Duration = Duration::from_secs(120);

pub(crate) struct Wire(pub(crate) BufReader<UnixStream>);

impl Wire {
    /// Connects and says nothing.
    pub(crate) fn silent(socket: &Path) -> Self {
        let stream = UnixStream::connect(socket).expect("a connection");
        stream.set_read_timeout(Some(PATIENCE)).expect("a limit");
        stream.set_write_timeout(Some(PATIENCE)).expect("a limit");
        Self(BufReader::new(stream))
    }

    /// Connects and greets.
    pub(crate) fn greet(socket: &Path) -> Self {
        let mut wire = Self::silent(socket);
        wire.say(&json!({"id": 1, "hello": {"protocol": 1, "client": "test/0"}}));
        let hello = wire.hear();
        assert!(hello["id"] == 1 && hello["hello"]["protocol"] == 1, "{hello}");
        wire
    }

    pub(crate) fn send(&mut self, bytes: &[u8]) {
        self.0.get_mut().write_all(bytes).expect("sent");
    }

    pub(crate) fn say(&mut self, line: &Value) {
        self.send(format!("{line}\n").as_bytes());
    }

    pub(crate) fn request(&mut self, id: u64, request: &Value) {
        self.say(&json!({"id": id, "request": request}));
    }

    pub(crate) fn ask(&mut self, id: u64, request: &Value) -> Value {
        self.request(id, request);
        let answer = self.hear();
        assert_eq!(answer["id"], id, "{answer}");
        answer
    }

    /// The next line; None at the end.
    pub(crate) fn line(&mut self) -> Option<String> {
        let mut line = String::new();
        match self.0.read_line(&mut line) {
            Ok(0) => None,
            Ok(_) => Some(line),
            Err(error) if error.kind() == std::io::ErrorKind::ConnectionReset => None,
            Err(error) => panic!("{error}"),
        }
    }

    pub(crate) fn hear(&mut self) -> Value {
        serde_json::from_str(&self.line().expect("a line")).expect("JSON")
    }

    pub(crate) fn ended(&mut self) {
        assert_eq!(self.line(), None);
    }

    /// Whoever serves there, if they answer.
    pub(crate) fn try_pid(socket: &Path) -> Option<i32> {
        let mut stream = UnixStream::connect(socket).ok()?;
        stream.set_read_timeout(Some(Duration::from_secs(10))).ok()?;
        let status = concat!(
            "{\"id\":1,\"hello\":{\"protocol\":1,\"client\":\"test/0\"}}\n",
            "{\"id\":2,\"request\":{\"status\":{}}}\n"
        );
        stream.write_all(status.as_bytes()).ok()?;
        let mut lines = BufReader::new(stream.take(64 * 1024)).lines();
        lines.next()?.ok()?;
        let status: Value = serde_json::from_str(&lines.next()?.ok()?).ok()?;
        status["reply"]["status"]["pid"].as_i64()?.try_into().ok()
    }
}
