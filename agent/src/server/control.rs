//! A connection of the control socket: greeting, requests, answers.

use super::conversation::{Conversation, OutLine, encode};
use super::line::{self, Line};
use super::peer::Peer;
use super::{CONNECTIONS_LIMIT, OUTBOX_LINES, Phase, REQUESTS_LIMIT, Server, WRITE_MILLIS};
use crate::audit::{Entry, Event};
use crate::world::{Clock, mishandle};
use claviger::model::AuditPeer;
use claviger::secret::TypedAnswer;
use claviger::wire::{
    AgentHello, AgentMessage, ClientLine, ClientMessage, Code, Fault, Hello, LINE_LIMIT, PROTOCOL, Reply, Request,
};
use interprocess::local_socket::tokio::Stream;
use interprocess::local_socket::traits::StreamCommon as _;
use rustix::event::{PollFd, PollFlags};
use rustix::net::Shutdown;
use std::collections::HashMap;
use std::io;
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use tokio::io::{AsyncBufRead, AsyncWriteExt, BufReader};
use tokio::sync::mpsc;

/// A request in hand, as its connection sees it.
struct InHand {
    task: tokio::task::AbortHandle,
    answers: mpsc::Sender<Option<TypedAnswer>>,
}

impl Server {
    /// Serves one connection until it ends. Another user's is refused before a byte is read.
    pub(super) async fn serve(self: Arc<Self>, stream: Stream) {
        let own = rustix::process::geteuid().as_raw();
        let credentials = stream.peer_creds().ok();
        match credentials.as_ref().and_then(|peer| peer.euid()) {
            Some(uid) if uid == own => {}
            uid => {
                tracing::warn!(?uid, "refused a connection of another user");
                let peer = AuditPeer { uid: uid.unwrap_or(u32::MAX), ..AuditPeer::default() };
                self.journal.note(Entry::new(Event::ConnectionRefused).failed("another user").peer(peer));
                return;
            }
        }
        let peer = Arc::new(Peer::of(credentials.and_then(|peer| peer.pid())));
        let stream = Arc::new(stream);
        let (outbox, lines) = mpsc::channel(OUTBOX_LINES);
        let writer = tokio::spawn(write_lines(self.world.clock.clone(), stream.clone(), lines));
        if self.activity.connections.fetch_add(1, Ordering::AcqRel) < CONNECTIONS_LIMIT {
            self.clone().read_requests(&stream, &peer, &outbox).await;
        } else {
            refuse(&outbox, 0, Fault::new(Code::AgentBusy, "the agent has as many connections as it takes")).await;
        }
        drop(outbox);
        drop(writer.await);
        self.activity.connections.fetch_sub(1, Ordering::AcqRel);
        self.activity.quiet.notify_waiters();
    }

    async fn read_requests(self: Arc<Self>, stream: &Stream, peer: &Arc<Peer>, outbox: &mpsc::Sender<OutLine>) {
        let mut reader = BufReader::with_capacity(8192, stream);
        let mut hello: Option<Hello> = None;
        let mut in_hand: HashMap<u64, InHand> = HashMap::new();
        loop {
            let line = match self.next_line(stream, &mut reader).await {
                Ok(Line::Whole(line)) => line,
                Ok(Line::TooLong) => {
                    refuse(
                        outbox,
                        0,
                        Fault::new(Code::WireTooLong, format!("a line was longer than {LINE_LIMIT} bytes")),
                    )
                    .await;
                    break;
                }
                // A shell's pipe closes its side once all is asked, and reads on.
                Ok(Line::End) if !hung_up(stream) => return,
                Ok(Line::End) | Err(_) => break,
            };
            in_hand.retain(|_, request| !request.task.is_finished());
            mishandle(&line);
            let parsed = match serde_json::from_slice::<ClientLine>(&line) {
                Ok(parsed) => parsed,
                Err(error) => {
                    refuse(outbox, 0, bad_line(&error, line.len())).await;
                    continue;
                }
            };
            match (parsed.message, &hello) {
                (ClientMessage::Hello(said), None) => match greet(&said) {
                    Ok(greeting) => {
                        send(outbox, parsed.id, AgentMessage::Hello(greeting)).await;
                        hello = Some(said);
                    }
                    Err(fault) => {
                        refuse(outbox, parsed.id, fault).await;
                        break;
                    }
                },
                (ClientMessage::Request(request), Some(hello)) => {
                    if in_hand.len() >= REQUESTS_LIMIT || in_hand.contains_key(&parsed.id) {
                        refuse(outbox, parsed.id, Fault::new(Code::AgentBusy, format!("at most {REQUESTS_LIMIT} requests are in hand on a connection, each with an id of its own"))).await;
                        continue;
                    }
                    let started = self.clone().start(parsed.id, *request, (hello, peer), outbox);
                    in_hand.insert(parsed.id, started);
                }
                (ClientMessage::Answer(answer), Some(_)) => {
                    if let Some(request) = in_hand.get(&parsed.id) {
                        drop(request.answers.try_send(answer.value));
                    }
                }
                (ClientMessage::Cancel {}, Some(_)) => {
                    if let Some(request) = in_hand.remove(&parsed.id) {
                        request.task.abort();
                        refuse(outbox, parsed.id, Fault::new(Code::RequestCancelled, "the request was cancelled"))
                            .await;
                    }
                }
                (ClientMessage::Hello(_), Some(_)) | (_, None) => {
                    refuse(outbox, parsed.id, Fault::new(Code::WireProtocol, "a connection begins with one hello"))
                        .await;
                    break;
                }
            }
        }
        // Nobody is left to answer; fetches of sessions go on, they belong to the office.
        for request in in_hand.into_values() {
            request.task.abort();
        }
    }

    /// The next line. Once the agent closes, the client can send no more, and what it has sent is still read.
    async fn next_line(&self, stream: &Stream, reader: &mut (impl AsyncBufRead + Unpin)) -> io::Result<Line> {
        let mut line = pin!(line::read(reader));
        tokio::select! {
            biased;
            line = &mut line => return line,
            () = self.until(|phase| phase == Phase::Closing) => shut(stream, Shutdown::Read),
        }
        line.await
    }

    fn start(
        self: Arc<Self>,
        id: u64,
        request: Request,
        (hello, peer): (&Hello, &Arc<Peer>),
        outbox: &mpsc::Sender<OutLine>,
    ) -> InHand {
        let (answers, receiver) = mpsc::channel(4);
        let mut conversation = Conversation {
            id,
            outbox: outbox.clone(),
            answers: receiver,
            answerable: hello.answers,
            peer: peer.clone(),
            aws_config_file: hello.aws_config_file.clone(),
            aws: None,
        };
        let held = Held::new(self.clone());
        let task = tokio::spawn(async move {
            let (name, repeatable) = (request.name(), request.is_repeatable());
            let restarts = matches!(request, Request::Restart {});
            let begun = self.world.clock.boot();
            let outcome = tokio::select! {
                biased;
                outcome = self.dispatch(request, &mut conversation) => outcome,
                () = self.until(|phase| matches!(phase, Phase::Passing | Phase::HandedOver)), if !restarts => {
                    Err(cut_off(repeatable))
                }
            };
            let millis = self.world.clock.boot().millis_since(begun);
            match &outcome {
                // Asked all day long by tools and status bars: a log of them would bury the rest and fill the disk.
                Ok(Reply::Credentials(_) | Reply::Status(_)) => tracing::debug!(request = name, millis, "answered"),
                Ok(_) => tracing::info!(request = name, millis, "answered"),
                Err(fault) => tracing::info!(request = name, millis, code = %fault.code, "fault"),
            }
            let message = match outcome {
                Ok(reply) => AgentMessage::Reply(Box::new(reply)),
                Err(fault) => AgentMessage::Fault(fault),
            };
            conversation.end(message, held).await;
        });
        InHand { task: task.abort_handle(), answers }
    }
}

/// Counts a request in hand, its answer's way to the client included, so that a stop can wait for it.
pub(super) struct Held(Arc<Server>);

impl Held {
    fn new(server: Arc<Server>) -> Self {
        server.activity.requests.fetch_add(1, Ordering::AcqRel);
        Self(server)
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        self.0.activity.requests.fetch_sub(1, Ordering::AcqRel);
        self.0.activity.quiet.notify_waiters();
    }
}

async fn write_lines(clock: Arc<dyn Clock>, stream: Arc<Stream>, mut lines: mpsc::Receiver<OutLine>) {
    let mut writer = &*stream;
    while let Some(OutLine { bytes, held }) = lines.recv().await {
        let deadline = clock.boot().plus_millis(WRITE_MILLIS);
        let written = tokio::select! {
            biased;
            written = writer.write_all(&bytes) => written.is_ok(),
            () = clock.sleep_until(deadline) => false,
        };
        drop(held);
        if !written {
            // The reader ends with it: half a connection would wait for this client for ever.
            shut(&stream, Shutdown::Both);
            break;
        }
    }
}

/// A request that a restart did not wait for.
fn cut_off(repeatable: bool) -> Fault {
    if repeatable {
        return Fault::new(Code::AgentStopping, "the agent is restarting");
    }
    Fault::new(Code::RequestCancelled, "the agent restarted before the request was done")
}

fn shut(Stream::UdSocket(socket): &Stream, how: Shutdown) {
    // One that is closed already is as good.
    let _ = rustix::net::shutdown(socket, how);
}

/// Whether the peer has gone altogether: nothing can be sent to it any more.
fn hung_up(Stream::UdSocket(socket): &Stream) -> bool {
    let mut polled = [PollFd::new(socket, PollFlags::empty())];
    let answered = rustix::event::poll(&mut polled, Some(&rustix::event::Timespec::default()));
    answered.is_err() || polled.iter().any(|socket| socket.revents().contains(PollFlags::HUP))
}

fn greet(hello: &Hello) -> Result<AgentHello, Fault> {
    // The first protocol has none before it.
    if hello.protocol == PROTOCOL {
        Ok(AgentHello { protocol: PROTOCOL, agent: format!("claviger-agent/{}", claviger::VERSION) })
    } else {
        Err(Fault::new(
            Code::WireProtocol,
            format!("the agent speaks protocol {PROTOCOL}, the client {}", hello.protocol),
        ))
    }
}

/// A line that is no message: told by length and position, never by content.
fn bad_line(error: &serde_json::Error, length: usize) -> Fault {
    let what = if error.is_data() { "no message of the protocol" } else { "no JSON" };
    Fault::new(Code::WireBadLine, format!("a line of {length} bytes is {what} (column {})", error.column()))
}

async fn refuse(outbox: &mpsc::Sender<OutLine>, id: u64, fault: Fault) {
    tracing::info!(code = %fault.code, "refused a line");
    send(outbox, id, AgentMessage::Fault(fault)).await;
}

async fn send(outbox: &mpsc::Sender<OutLine>, id: u64, message: AgentMessage) {
    if let Some(line) = encode(id, message) {
        drop(outbox.send(line).await);
    }
}

#[cfg(test)]
mod tests {
    use super::write_lines;
    use crate::server::conversation::OutLine;
    use crate::server::{WRITE_MILLIS, line};
    use crate::testing::FakeClock;
    use crate::world::{Clock, WallTime};
    use interprocess::local_socket::tokio::Stream;
    use std::sync::Arc;
    use tokio::io::{AsyncReadExt, BufReader};
    use tokio::net::UnixStream;
    use tokio::sync::mpsc;

    #[tokio::test]
    async fn a_client_that_takes_nothing_loses_its_whole_connection() {
        let clock = FakeClock::at(WallTime(0));
        let begun = clock.boot();
        let (ours, mut theirs) = UnixStream::pair().unwrap();
        let stream = Arc::new(Stream::UdSocket(ours.into()));
        let (outbox, lines) = mpsc::channel(1);
        let writer = tokio::spawn(write_lines(clock.clone(), stream.clone(), lines));
        let reader = tokio::spawn(async move {
            let mut reader = BufReader::new(&*stream);
            matches!(line::read(&mut reader).await, Ok(line::Line::End))
        });
        // Far more than a socket holds.
        let bytes = zeroize::Zeroizing::new(vec![b'x'; 16 * 1024 * 1024]);
        outbox.send(OutLine { bytes, held: None }).await.ok().unwrap();
        writer.await.unwrap();
        assert!(reader.await.unwrap(), "the other half ends with it, though the client has closed nothing");
        assert_eq!(clock.boot().millis_since(begun), WRITE_MILLIS);
        let mut rest = Vec::new();
        theirs.read_to_end(&mut rest).await.unwrap();
        assert!(rest.len() < 16 * 1024 * 1024);
    }
}
