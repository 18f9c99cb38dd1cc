//! How any program talks to the agent: blocking, std only.
//!
//! [`Client::connect`] finds the socket, checks whose it is and connects. [`Client::ask`] sends one request and reads until
//! its answer. [`start`] runs the agent when nobody answers. Nothing here asks a person anything: events and
//! questions go to the caller.

mod frame;
mod launch;
mod socket;

pub use frame::WipedBuffer;
pub use launch::{PROGRAM, Started, program, start};

use crate::paths::Paths;
use crate::wire::{AgentLine, AgentMessage, Answer, Code, Event, Fault, Hello, PROTOCOL, Reply, Request};
use frame::Inbox;
use serde::Serialize;
use std::io::Write;
use std::os::unix::net::UnixStream;
use std::time::Duration;

/// The id of the hello line; requests count on from it. 0 is for the agent's lines about no readable line.
const HELLO_ID: u64 = 1;

/// One connection to the agent.
pub struct Client {
    stream: UnixStream,
    inbox: Inbox,
    hello: Option<Hello>,
    last_id: u64,
}

impl Client {
    /// Connects to the first socket of `paths` that somebody serves. Nothing is sent yet: the hello goes with the first request.
    /// Refuses with `agent.runtime_folder` a socket or folder that is not this user's alone, or a server that runs
    /// as somebody else. `agent.not_running` where nobody answers.
    pub fn connect(paths: &Paths, hello: Hello) -> Result<Self, Fault> {
        let stream = socket::connect(paths)?;
        Ok(Self { stream, inbox: Inbox::new(), hello: Some(hello), last_id: HELLO_ID })
    }

    /// Connects, and where nobody answers starts the agent first. `limit` bounds the wait for its start.
    pub fn connect_or_start(paths: &Paths, hello: Hello, limit: Option<Duration>) -> Result<Self, Fault> {
        let stream = match socket::connect(paths) {
            Err(fault) if fault.code == Code::AgentNotRunning => {
                start(limit)?;
                socket::connect(paths)?
            }
            other => other?,
        };
        Ok(Self { stream, inbox: Inbox::new(), hello: Some(hello), last_id: HELLO_ID })
    }

    /// Gives up with `request.timed_out` when the agent says nothing for this long. Not zero.
    pub fn limit_silence(&mut self, limit: Duration) -> Result<(), Fault> {
        self.stream.set_read_timeout(Some(limit)).map_err(|_| gone())
    }

    /// Sends a request and reads until its reply or fault. Each event on the way goes to `on_event`; what that returns is sent
    /// as the answer. If it fails the request is cancelled and its fault returned. A vanished agent is `agent.not_running`.
    pub fn ask(
        &mut self,
        request: &Request,
        on_event: &mut dyn FnMut(Event) -> Result<Option<Answer>, Fault>,
    ) -> Result<Reply, Fault> {
        let mut outgoing = WipedBuffer::with_capacity(2048);
        if let Some(hello) = self.hello.take() {
            put(&mut outgoing, &HelloLine { id: HELLO_ID, hello: &hello })?;
        }
        self.last_id = self.last_id.saturating_add(1);
        let id = self.last_id;
        put(&mut outgoing, &RequestLine { id, request })?;
        // An agent that refuses the connection says why and closes: the reason is read even where writing failed.
        let _ = self.stream.write_all(outgoing.as_slice());
        loop {
            let line: AgentLine =
                serde_json::from_slice(self.inbox.line(&mut self.stream)?).map_err(|_| not_understood())?;
            match line.message {
                AgentMessage::Reply(reply) if line.id == id => return Ok(*reply),
                AgentMessage::Fault(fault) if line.id == id || line.id <= HELLO_ID => return Err(fault),
                AgentMessage::Hello(hello) if hello.protocol != PROTOCOL => return Err(not_understood()),
                AgentMessage::Event(event) if line.id == id => match on_event(event) {
                    Ok(Some(answer)) => self.send(&AnswerLine { id, answer: &answer })?,
                    Ok(None) => {}
                    Err(fault) => {
                        let _ = self.send(&CancelLine { id, cancel: Nothing {} });
                        return Err(fault);
                    }
                },
                // The agent's hello, or the end of a request that nobody waits for.
                _ => {}
            }
        }
    }

    /// Waits until the agent closes the connection, as it does when its process ends.
    pub fn wait_closed(mut self) {
        while self.inbox.line(&mut self.stream).is_ok() {}
    }

    fn send(&mut self, line: &impl Serialize) -> Result<(), Fault> {
        let mut outgoing = WipedBuffer::with_capacity(512);
        put(&mut outgoing, line)?;
        self.stream.write_all(outgoing.as_slice()).map_err(|_| gone())
    }
}

// The lines of `wire::ClientLine`, by reference, so that a request can be sent again after an unlock.

#[derive(Serialize)]
struct HelloLine<'a> {
    id: u64,
    hello: &'a Hello,
}

#[derive(Serialize)]
struct RequestLine<'a> {
    id: u64,
    request: &'a Request,
}

#[derive(Serialize)]
struct AnswerLine<'a> {
    id: u64,
    answer: &'a Answer,
}

#[derive(Serialize)]
struct CancelLine {
    id: u64,
    cancel: Nothing,
}

#[derive(Serialize)]
struct Nothing {}

fn put(outgoing: &mut WipedBuffer, line: &impl Serialize) -> Result<(), Fault> {
    serde_json::to_writer(&mut *outgoing, line)
        .map_err(|_| Fault::new(Code::Internal, "the request cannot be written as JSON"))?;
    outgoing.extend(b"\n");
    Ok(())
}

fn gone() -> Fault {
    Fault::new(Code::AgentNotRunning, "the agent went away before it answered")
}

fn not_understood() -> Fault {
    Fault::new(Code::WireProtocol, "the agent speaks another version of the protocol")
}
