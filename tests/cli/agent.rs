//! A scripted agent: a thread that speaks the wire protocol on a socket of its own.

use claviger::wire::{
    AgentHello, AgentLine, AgentMessage, ClientLine, ClientMessage, Event, Fault, Hello, Reply, Request,
};
use std::fs::{self, Permissions};
use std::io::{BufRead, BufReader, Read, Write};
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::Path;
use std::sync::Arc;
use tempfile::TempDir;

/// A CLAVIGER_HOME of one test.
pub(crate) struct Home(TempDir);

impl Home {
    pub(crate) fn new() -> Self {
        // Beside the built program, so that it can be linked to.
        Self(tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).expect("a folder"))
    }

    pub(crate) fn path(&self) -> &Path {
        self.0.path()
    }

    /// Serves a socket in `folder`, each connection by `script`, for as long as the test runs.
    pub(crate) fn serve(
        &self,
        folder: &str,
        script: impl Fn(&Request, &mut Line) -> Result<Reply, Fault> + Send + Sync + 'static,
    ) {
        let folder = self.path().join(folder);
        fs::create_dir(&folder).expect("a folder");
        fs::set_permissions(&folder, Permissions::from_mode(0o700)).expect("chmod");
        let listener = UnixListener::bind(folder.join("agent.sock")).expect("a socket");
        fs::set_permissions(folder.join("agent.sock"), Permissions::from_mode(0o600)).expect("chmod");
        let script = Arc::new(script);
        std::thread::spawn(move || {
            for stream in listener.incoming() {
                let script = script.clone();
                std::thread::spawn(move || talk(stream.expect("a connection"), &*script));
            }
        });
    }
}

/// One connection, for the script.
pub(crate) struct Line {
    reader: BufReader<UnixStream>,
    id: u64,
    closes: bool,
    pub(crate) hello: Hello,
}

impl Line {
    /// Sends an event.
    pub(crate) fn event(&mut self, event: Event) {
        self.say(self.id, AgentMessage::Event(event));
    }

    /// Sends an event and returns what the client answers; None where it gives up.
    pub(crate) fn ask(&mut self, event: Event) -> Option<String> {
        use claviger::secret::SecretText;
        self.event(event);
        match self.next()?.message {
            ClientMessage::Answer(answer) => answer.value.map(|value| value.expose().to_owned()),
            _ => None,
        }
    }

    /// What the client answers, and to the question with which number; None where it gives up.
    pub(crate) fn hear(&mut self) -> Option<(Option<String>, Option<u64>)> {
        use claviger::secret::SecretText;
        match self.next()?.message {
            ClientMessage::Answer(answer) => Some((answer.value.map(|value| value.expose().to_owned()), answer.number)),
            _ => None,
        }
    }

    /// Closes the connection after this answer.
    pub(crate) fn close(&mut self) {
        self.closes = true;
    }

    /// Closes the connection now: the answer goes nowhere.
    pub(crate) fn break_off(&mut self) {
        let _ = self.reader.get_mut().shutdown(std::net::Shutdown::Both);
    }

    fn say(&mut self, id: u64, message: AgentMessage) {
        let line = serde_json::to_string(&AgentLine { id, message }).expect("JSON");
        // A client that has gone is no failure of the script.
        let _ = self.reader.get_mut().write_all(format!("{line}\n").as_bytes());
    }

    fn next(&mut self) -> Option<ClientLine> {
        let mut line = String::new();
        self.reader.read_line(&mut line).expect("a line");
        (!line.is_empty()).then(|| serde_json::from_str(&line).expect("a message"))
    }
}

fn talk(mut stream: UnixStream, script: &(impl Fn(&Request, &mut Line) -> Result<Reply, Fault> + ?Sized)) {
    // Hello and request come in one write, and so in one read.
    let mut first = vec![0; 64 * 1024];
    let count = stream.read(&mut first).expect("bytes");
    first.truncate(count);
    let lines: Vec<ClientLine> = first
        .split_inclusive(|&byte| byte == b'\n')
        .map(|line| serde_json::from_slice(line).expect("a message"))
        .collect();
    let Ok([hello, request]) = <[ClientLine; 2]>::try_from(lines) else { panic!("not two lines in one read") };
    let ClientMessage::Hello(greeting) = hello.message else { panic!("not a hello") };
    let mut line = Line { reader: BufReader::new(stream), id: hello.id, closes: false, hello: greeting };
    line.say(hello.id, AgentMessage::Hello(AgentHello { protocol: 1, agent: "fake/0".to_owned() }));
    let mut next = Some(request);
    while let Some(message) = next {
        line.id = message.id;
        if let ClientMessage::Request(request) = message.message {
            let outcome = script(&request, &mut line);
            let said = match outcome {
                Ok(reply) => AgentMessage::Reply(Box::new(reply)),
                Err(fault) => AgentMessage::Fault(fault),
            };
            line.say(line.id, said);
            if line.closes || matches!(*request, Request::Stop {}) {
                return;
            }
        }
        next = line.next();
    }
}
