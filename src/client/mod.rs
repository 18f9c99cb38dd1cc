//! How any program talks to the agent: blocking, std only.
//!
//! [`Client::connect`] finds the socket, checks whose it is and connects. [`Client::ask`] sends one request and reads until
//! its answer. [`start`] runs the agent when nobody answers. Nothing here asks a person anything: events and
//! questions go to the caller.

mod frame;
mod launch;
mod socket;

pub use frame::WipedBuffer;
pub use launch::{PROGRAM, Started, environment, program, start};

use crate::paths::Paths;
use crate::wire::{AgentLine, AgentMessage, Answer, Code, Event, Fault, Hello, PROTOCOL, Reply, Request};
use frame::Inbox;
use rustix::event::{PollFd, PollFlags, poll};
use rustix::io::Errno;
use serde::Serialize;
use std::io::Write;
use std::os::fd::BorrowedFd;
use std::os::unix::net::UnixStream;
use std::time::Duration;

/// The id of the hello line; requests count on from it. 0 is for the agent's lines about no readable line.
const HELLO_ID: u64 = 1;

/// How often an agent that ends may be met by one request: each restart or stop is met once or twice.
const ENDING_AGENTS_LIMIT: u32 = 8;

/// A connection to the agent, and the next one where that agent ends.
pub struct Client {
    paths: Paths,
    hello: Hello,
    /// Whether to start an agent where none runs, and how long that may take.
    starts: Option<Option<Duration>>,
    silence: Option<Duration>,
    connection: Connection,
    last_id: u64,
}

/// Whoever waits for the reply to a request.
pub trait Attendant {
    /// Where what they type comes from, while they are to type something; else it is another program's.
    fn input(&self) -> Option<BorrowedFd<'_>>;
    /// Is told what came, and has to read input that has come. What it returns is sent as an answer.
    fn meet(&mut self, heard: Heard) -> Result<Option<Answer>, Fault>;
}

/// Somebody who types nothing while they wait.
struct Events<'a>(&'a mut dyn FnMut(Event) -> Result<Option<Answer>, Fault>);

impl Attendant for Events<'_> {
    fn input(&self) -> Option<BorrowedFd<'_>> {
        None
    }

    fn meet(&mut self, heard: Heard) -> Result<Option<Answer>, Fault> {
        match heard {
            Heard::Event(event) => (self.0)(event),
            Heard::Input => Ok(None),
        }
    }
}

/// What came while a request stands.
pub enum Heard {
    /// An event.
    Event(Event),
    /// Something can be read from the input.
    Input,
}

struct Connection {
    stream: UnixStream,
    inbox: Inbox,
    greeted: bool,
}

/// Why a request has no reply.
struct Unanswered {
    fault: Fault,
    /// Nothing was done, or doing it twice is as good: another agent may be asked.
    again: bool,
}

impl From<Fault> for Unanswered {
    fn from(fault: Fault) -> Self {
        // The agent says so before it does anything.
        Self { again: fault.code == Code::AgentStopping, fault }
    }
}

impl Client {
    /// Connects to the first socket of `paths` that somebody serves. Nothing is sent yet: the hello goes with the first request.
    /// Refuses with `agent.runtime_folder` a socket or folder that is not this user's alone, or a server that runs
    /// as somebody else. `agent.not_running` where nobody answers.
    pub fn connect(paths: &Paths, hello: Hello) -> Result<Self, Fault> {
        Self::begin(paths, hello, None)
    }

    /// Connects, and where nobody answers starts the agent first. `limit` bounds the wait for its start.
    pub fn connect_or_start(paths: &Paths, hello: Hello, limit: Option<Duration>) -> Result<Self, Fault> {
        Self::begin(paths, hello, Some(limit))
    }

    fn begin(paths: &Paths, hello: Hello, starts: Option<Option<Duration>>) -> Result<Self, Fault> {
        let connection = Connection::open(paths, starts)?;
        Ok(Self { paths: paths.clone(), hello, starts, silence: None, connection, last_id: HELLO_ID })
    }

    /// Gives up with `request.timed_out` when the agent says nothing for this long. Not zero.
    pub fn limit_silence(&mut self, limit: Duration) -> Result<(), Fault> {
        self.silence = Some(limit);
        self.connection.limit_silence(limit)
    }

    /// Sends a request and reads until its reply or fault. Each event on the way goes to `on_event`; what that returns is sent
    /// as the answer. If it fails the request is cancelled and its fault returned. An agent that ends meanwhile is no
    /// event: the next one is asked, a few times at most, where nothing was done yet or asking twice does no harm
    /// ([`Request::is_repeatable`]); else a vanished agent is `agent.not_running`.
    pub fn ask(
        &mut self,
        request: &Request,
        on_event: &mut dyn FnMut(Event) -> Result<Option<Answer>, Fault>,
    ) -> Result<Reply, Fault> {
        self.stand(request, &mut Events(on_event))
    }

    /// The same with a person who can be asked something meanwhile. An event that has come is told before input.
    pub fn stand(&mut self, request: &Request, person: &mut dyn Attendant) -> Result<Reply, Fault> {
        let mut outcome = self.exchange(request, person);
        for _ in 0..ENDING_AGENTS_LIMIT {
            match outcome {
                Err(Unanswered { again: true, .. }) => {
                    self.connection = Connection::open(&self.paths, self.starts)?;
                    if let Some(limit) = self.silence {
                        self.connection.limit_silence(limit)?;
                    }
                    outcome = self.exchange(request, person);
                }
                _ => break,
            }
        }
        outcome.map_err(|unanswered| unanswered.fault)
    }

    fn exchange(&mut self, request: &Request, person: &mut dyn Attendant) -> Result<Reply, Unanswered> {
        let Connection { stream, inbox, greeted } = &mut self.connection;
        let mut outgoing = WipedBuffer::with_capacity(1024);
        if !*greeted {
            put(&mut outgoing, &HelloLine { id: HELLO_ID, hello: &self.hello })?;
            *greeted = true;
        }
        self.last_id = self.last_id.saturating_add(1);
        let id = self.last_id;
        put(&mut outgoing, &RequestLine { id, request })?;
        // An agent that refuses the connection says why and closes: the reason is read even where writing failed.
        // A line that did not go out whole is no request to the agent.
        let sent = stream.write_all(outgoing.as_slice()).is_ok();
        let tell = |stream: &mut UnixStream, person: &mut dyn Attendant, heard| match person.meet(heard) {
            Ok(Some(answer)) => Ok(send(stream, &AnswerLine { id, answer: &answer })?),
            Ok(None) => Ok(()),
            Err(fault) => {
                let _ = send(stream, &CancelLine { id, cancel: Nothing {} });
                Err(Unanswered { fault, again: false })
            }
        };
        loop {
            let input = person.input().filter(|_| !inbox.has_line());
            if input.map(|input| comes_first(input, stream)).transpose()?.unwrap_or_default() {
                tell(stream, person, Heard::Input)?;
                continue;
            }
            let line = inbox.line(stream).map_err(|fault| {
                let gone = fault.code == Code::AgentNotRunning;
                Unanswered { again: gone && (!sent || request.is_repeatable()), fault }
            })?;
            let line = decode(line)?;
            match line.message {
                AgentMessage::Reply(reply) if line.id == id => return Ok(*reply),
                AgentMessage::Fault(fault) if line.id == id || line.id <= HELLO_ID => return Err(fault.into()),
                AgentMessage::Hello(hello) if hello.protocol != PROTOCOL => return Err(not_understood().into()),
                AgentMessage::Event(event) if line.id == id => tell(stream, person, Heard::Event(event))?,
                // The agent's hello, or the end of a request that nobody waits for.
                _ => {}
            }
        }
    }

    /// Waits until the agent closes the connection, as it does when its process ends.
    pub fn wait_closed(mut self) {
        let Connection { stream, inbox, .. } = &mut self.connection;
        while inbox.line(stream).is_ok() {}
    }
}

impl Connection {
    fn open(paths: &Paths, starts: Option<Option<Duration>>) -> Result<Self, Fault> {
        let stream = match (socket::connect(paths), starts) {
            (Err(fault), Some(limit)) if fault.code == Code::AgentNotRunning => {
                start(limit)?;
                socket::connect(paths)?
            }
            (other, _) => other?,
        };
        Ok(Self { stream, inbox: Inbox::new(), greeted: false })
    }

    fn limit_silence(&self, limit: Duration) -> Result<(), Fault> {
        self.stream.set_read_timeout(Some(limit)).map_err(|_| gone())
    }
}

/// Waits until one of both can be read. Whether that is the input alone.
fn comes_first(input: BorrowedFd<'_>, stream: &UnixStream) -> Result<bool, Fault> {
    loop {
        let mut polled = [PollFd::from_borrowed_fd(input, PollFlags::IN), PollFd::new(stream, PollFlags::IN)];
        match poll(&mut polled, None) {
            Err(Errno::INTR) => {}
            Err(_) => return Err(gone()),
            Ok(_) => {
                let [input, stream] = &polled;
                return Ok(!input.revents().is_empty() && stream.revents().is_empty());
            }
        }
    }
}

fn send(stream: &mut UnixStream, line: &impl Serialize) -> Result<(), Fault> {
    let mut outgoing = WipedBuffer::with_capacity(512);
    put(&mut outgoing, line)?;
    stream.write_all(outgoing.as_slice()).map_err(|_| gone())
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

fn decode(line: &[u8]) -> Result<AgentLine, Fault> {
    serde_json::from_slice(line).map_err(|_| not_understood())
}

fn not_understood() -> Fault {
    Fault::new(Code::WireProtocol, "the agent speaks another version of the protocol")
}

#[cfg(test)]
mod tests {
    use super::{Inbox, decode};
    use crate::wire::Code;
    use claviger_agent::testing::parsers::{Parser, Verdict};

    /// Every line of what an agent sends; the verdict of the last that is whole.
    fn read(input: &[u8]) -> Verdict {
        let (mut source, mut inbox) = (input, Inbox::new());
        let mut verdict = Verdict::none("no line");
        loop {
            let line = match inbox.line(&mut source) {
                Ok(line) => line,
                Err(fault) if fault.code == Code::AgentNotRunning => return verdict,
                Err(fault) => {
                    return Verdict::Refused { kind: fault.code.to_string(), said: format!("{fault} {fault:?}") };
                }
            };
            verdict = match decode(line) {
                Ok(message) => {
                    let written = serde_json::to_vec(&message).expect("JSON");
                    let again = decode(&written).expect("what was written");
                    assert!(serde_json::to_vec(&again).expect("JSON") == written, "a second meaning");
                    Verdict::Accepted
                }
                Err(fault) => Verdict::Refused { kind: fault.code.to_string(), said: format!("{fault} {fault:?}") },
            };
        }
    }

    #[test]
    fn lines_of_an_agent_withstand_damage() {
        let golden = include_bytes!("../../tests/wire/agent.jsonl").split(|byte| *byte == b'\n');
        let golden = golden.filter(|line| line.starts_with(b"{")).map(|line| [line, b"\n"].concat());
        let long = format!(
            "{{\"id\":1,\"event\":{{\"question\":{{\"prompt\":\"{}\",\"echo\":true}}}}}}\n",
            "x".repeat(262_070)
        );
        let parser = Parser {
            name: "wire-agent-line",
            more: golden.chain([long.into_bytes()]).collect(),
            tokens: &[
                b"{",
                b"}",
                b"[",
                b"]",
                b"\"",
                b",",
                b":",
                b"null",
                b"true",
                b"\n",
                b"\"id\":1,",
                b"\"reply\":",
                b"\"fault\":{",
                b"\"code\":\"x.y\"",
                b"\"event\":",
                b"\\u0000",
                b"\\ud800",
                b"1e999",
                b"\"done\":{}",
                b"-1",
            ],
            taken: 50,
            refusals: &["no line", "wire.protocol", "wire.too_long"],
            parse: &read,
        };
        parser.withstands_damage();
    }
}
