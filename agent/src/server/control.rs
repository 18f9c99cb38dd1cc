//! A connection of the control socket: greeting, requests, answers.

use super::conversation::{Conversation, OutLine, encode};
use super::fault;
use super::line::{self, Line, Lines};
use super::peer::Peer;
use super::{
    CONNECTIONS_LIMIT, GREETING_MILLIS, OUTBOX_LINES, Phase, REQUESTS_LIMIT, Server, WRITE_BYTES, WRITE_MILLIS,
};
use crate::ask::Display;
use crate::audit::{Entry, Event};
use crate::vault::{self, Leave};
use crate::world::{BootTime, Clock, Defence, mishandle, with_wiped_stack};
use claviger::model::AuditPeer;
use claviger::wire::{
    AgentHello, AgentMessage, Answer, ClientMessage, Code, Fault, Hello, HelloDisplay, LINE_LIMIT, PROTOCOL, Reply,
    Request,
};
use interprocess::local_socket::tokio::Stream;
use interprocess::local_socket::traits::StreamCommon as _;
use rustix::event::{PollFd, PollFlags};
use rustix::net::Shutdown;
use std::collections::HashMap;
use std::future::Future;
use std::io;
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::task::{Context, Waker};
use tokio::io::{AsyncRead, AsyncWriteExt};
use tokio::sync::mpsc;

/// Bytes that a connection reads at once: most requests are shorter.
const READ_BYTES: usize = 8192;

/// A request in hand, as its connection sees it.
struct InHand {
    task: tokio::task::AbortHandle,
    answers: mpsc::Sender<Answer>,
}

impl Server {
    /// Serves one connection until it ends. Another user's is refused before a byte is read.
    pub(super) async fn serve(self: Arc<Self>, stream: Stream) {
        let own = rustix::process::geteuid().as_raw();
        let credentials = stream.peer_creds().ok();
        match credentials.as_ref().and_then(|peer| peer.euid()) {
            Some(uid) if uid == own || !Defence::PeerCheck.stands() => {}
            uid => {
                tracing::warn!(?uid, "refused a connection of another user");
                let peer = AuditPeer { uid: uid.unwrap_or(u32::MAX), ..AuditPeer::default() };
                self.journal.note(Entry::new(Event::ConnectionRefused).failed("another user").peer(peer));
                return;
            }
        }
        let peer = Arc::new(Peer::of(credentials.and_then(|peer| peer.pid())));
        // While its first line is on the way.
        drop(peer.seen());
        let (outbox, lines) = mpsc::channel(if Defence::BoundedQueue.stands() { OUTBOX_LINES } else { 1 << 20 });
        let reading = async {
            // Gone with this block: then no line comes but those of requests in hand.
            let outbox = outbox;
            if self.activity.connections.fetch_add(1, Ordering::AcqRel) < CONNECTIONS_LIMIT {
                self.clone().read_requests(&stream, &peer, &outbox).await;
            } else {
                refuse(&outbox, 0, Fault::new(Code::AgentBusy, "the agent has as many connections as it takes")).await;
            }
        };
        // One task for both: an answer from memory is written by the thread that read its request.
        tokio::join!(reading, write_lines(&*self.world.clock, &stream, lines, || self.custody.leave()));
        if !Defence::Frees.stands() {
            // Looked at, or optimised code would never make it.
            std::hint::black_box(vec![1_u8; 8192].leak());
        }
        self.activity.connections.fetch_sub(1, Ordering::AcqRel);
        self.activity.quiet.notify_waiters();
    }

    async fn read_requests(self: Arc<Self>, stream: &Stream, peer: &Arc<Peer>, outbox: &mpsc::Sender<OutLine>) {
        let mut reader = Lines::new(stream, READ_BYTES);
        let mut hello: Option<Hello> = None;
        let mut in_hand: HashMap<u64, InHand> = HashMap::new();
        let greeting = self.world.clock.boot().plus_millis(GREETING_MILLIS);
        loop {
            let limit = hello.is_none().then_some(greeting);
            let line = match self.next_line(stream, &mut reader, limit).await {
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
            let parsed = match line::decode(&line) {
                Ok(parsed) => parsed,
                Err(fault) => {
                    refuse(outbox, 0, fault).await;
                    continue;
                }
            };
            drop(line);
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
                    // One whose answer is on its way still counts, and its id is free.
                    let taken = in_hand.get(&parsed.id).is_some_and(|request| !request.answers.is_closed());
                    if in_hand.len() >= REQUESTS_LIMIT || taken {
                        refuse(outbox, parsed.id, Fault::new(Code::AgentBusy, format!("at most {REQUESTS_LIMIT} requests are in hand on a connection, each with an id of its own"))).await;
                        continue;
                    }
                    // Before it has leave for its secrets: this is no lock that came while it was in hand.
                    self.lock_if_due().await;
                    if self.answer_at_once(parsed.id, &request, peer, outbox) {
                        continue;
                    }
                    if let Some(started) = self.clone().start(parsed.id, *request, (hello, peer), outbox) {
                        in_hand.insert(parsed.id, started);
                    }
                }
                (ClientMessage::Answer(answer), Some(_)) => {
                    if let Some(request) = in_hand.get(&parsed.id) {
                        drop(request.answers.try_send(answer));
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

    /// The next line, until the limit if there is one. Once the agent closes, the client can send no more, and what it
    /// has sent is still read.
    async fn next_line(
        &self,
        stream: &Stream,
        reader: &mut Lines<impl AsyncRead + Unpin>,
        limit: Option<BootTime>,
    ) -> io::Result<Line> {
        let mut line = pin!(reader.next());
        tokio::select! {
            biased;
            line = &mut line => return line,
            () = self.until(|phase| phase == Phase::Closing) => shut(stream, Shutdown::Read),
            () = self.world.clock.sleep_until(limit.unwrap_or(BootTime(0))), if limit.is_some() => {
                return Err(io::ErrorKind::TimedOut.into());
            }
        }
        line.await
    }

    /// Answers a request whose answer is in memory, if its client takes one now. Most of the day nothing else is asked,
    /// and all that a request may need on its way costs more than the answer.
    fn answer_at_once(
        self: &Arc<Self>,
        id: u64,
        request: &Request,
        peer: &Peer,
        outbox: &mpsc::Sender<OutLine>,
    ) -> bool {
        let Ok(room) = outbox.try_reserve() else { return false };
        let Some(line) = self.at_hand(request, peer).and_then(|reply| encode(id, AgentMessage::Reply(Box::new(reply))))
        else {
            return false;
        };
        tracing::debug!(request = request.name(), "answered at once");
        room.send(OutLine { held: Some(Held::new(self.clone(), None)), ..line });
        true
    }

    /// Begins a request. None where it is answered already, as from memory it is.
    fn start(
        self: Arc<Self>,
        id: u64,
        request: Request,
        (hello, peer): (&Hello, &Arc<Peer>),
        outbox: &mpsc::Sender<OutLine>,
    ) -> Option<InHand> {
        let (answers, receiver) = mpsc::channel(4);
        let leave = request.holds_secrets().then(|| self.custody.leave());
        let mut conversation = Conversation {
            id,
            outbox: outbox.clone(),
            answers: receiver,
            answerable: hello.answers,
            peer: peer.clone(),
            aws_config_file: hello.aws_config_file.clone(),
            display: display(hello),
            aws: None,
            leave: leave.clone(),
        };
        let held = Held::new(self.clone(), leave.clone());
        let mut work = Box::pin(async move {
            let (name, repeatable) = (request.name(), request.is_repeatable());
            let restarts = matches!(request, Request::Restart {});
            let begun = self.world.clock.boot();
            let secret = leave.is_some();
            // Only once its client takes answers: what waits to be sent costs more than what waits to be done.
            drop(conversation.outbox.reserve().await);
            // On the heap only now: it is large, and many may wait.
            let work = Box::pin(with_wiped_stack_if(secret, self.dispatch(request, &mut conversation)));
            let outcome = tokio::select! {
                biased;
                outcome = work => outcome,
                () = ended(leave) => Err(fault::vault(vault::Error::Locked)),
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
        // Nobody is woken by this look: what is not done at once is looked at anew by its own task.
        if work.as_mut().poll(&mut Context::from_waker(Waker::noop())).is_ready() {
            return None;
        }
        Some(InHand { task: tokio::spawn(work).abort_handle(), answers })
    }
}

/// Counts a request in hand, its answer's way to the client included, so that a stop can wait for it.
pub(super) struct Held {
    server: Arc<Server>,
    /// Of a request that holds secrets: its last line may hold one too, and a lock waits until that is gone.
    _leave: Option<Leave>,
}

impl Held {
    pub(super) fn new(server: Arc<Server>, leave: Option<Leave>) -> Self {
        server.activity.requests.fetch_add(1, Ordering::AcqRel);
        Self { server, _leave: leave }
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        self.server.activity.requests.fetch_sub(1, Ordering::AcqRel);
        self.server.activity.quiet.notify_waiters();
    }
}

/// Returns once a lock ends the leave; never where there is none.
async fn ended(leave: Option<Leave>) {
    match leave {
        Some(mut leave) => leave.over().await,
        None => std::future::pending().await,
    }
}

async fn with_wiped_stack_if<F: Future>(secret: bool, future: F) -> F::Output {
    if secret { with_wiped_stack(future).await } else { future.await }
}

/// Writes until the client is gone. One that takes nothing when a lock comes is: an answer with a secret may be among
/// those that wait behind what it does not take.
async fn write_lines(
    clock: &dyn Clock,
    stream: &Stream,
    mut lines: mpsc::Receiver<OutLine>,
    leave: impl Fn() -> Leave,
) {
    let mut writer = stream;
    while let Some(OutLine { mut bytes, held }) = lines.recv().await {
        let mut held = vec![held];
        // What is there already goes with it, so that the client wakes up once.
        while bytes.len() < WRITE_BYTES
            && let Ok(next) = lines.try_recv()
        {
            bytes.extend_from_slice(&next.bytes);
            held.push(next.held);
        }
        let deadline = clock.boot().plus_millis(WRITE_MILLIS);
        let mut leave = leave();
        let written = tokio::select! {
            biased;
            written = writer.write_all(&bytes) => written.is_ok(),
            () = leave.over() => false,
            () = clock.sleep_until(deadline) => false,
        };
        drop((bytes, held));
        if !written {
            // The reader ends with it: half a connection would wait for this client for ever.
            shut(stream, Shutdown::Both);
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

pub(super) fn shut(Stream::UdSocket(socket): &Stream, how: Shutdown) {
    // One that is closed already is as good.
    let _ = rustix::net::shutdown(socket, how);
}

/// Whether the peer has gone altogether: nothing can be sent to it any more.
pub(super) fn hung_up(Stream::UdSocket(socket): &Stream) -> bool {
    let mut polled = [PollFd::new(socket, PollFlags::empty())];
    let answered = rustix::event::poll(&mut polled, Some(&rustix::event::Timespec::default()));
    answered.is_err() || polled.iter().any(|socket| socket.revents().contains(PollFlags::HUP))
}

/// Where programs that ask for this client show themselves.
fn display(hello: &Hello) -> Option<Arc<Display>> {
    let HelloDisplay { display, wayland_display, xauthority, dbus_session_bus_address } = hello.display.clone()?;
    Display::of(display, wayland_display, xauthority, dbus_session_bus_address).map(Arc::new)
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
    use crate::server::WRITE_MILLIS;
    use crate::server::conversation::OutLine;
    use crate::server::line::{Line, Lines};
    use crate::testing::{FakeClock, world};
    use crate::vault::{Custody, LockedBy};
    use crate::world::{Clock, WallTime};
    use interprocess::local_socket::tokio::Stream;
    use std::sync::Arc;
    use tokio::io::AsyncReadExt;
    use tokio::net::UnixStream;
    use tokio::sync::mpsc;

    fn custody(clock: &Arc<FakeClock>) -> Arc<Custody> {
        Custody::new(world(clock.clone(), 1), "/nonexistent".into(), "/nonexistent/state".into())
    }

    #[tokio::test]
    async fn a_client_that_takes_nothing_does_not_hold_a_lock() {
        let clock = FakeClock::at(WallTime(0));
        clock.hold();
        let (ours, mut theirs) = UnixStream::pair().unwrap();
        let stream = Stream::UdSocket(ours.into());
        let (outbox, lines) = mpsc::channel(4);
        let custody = custody(&clock);
        let (timing, leaves, behind) = (clock.clone(), custody.clone(), custody.leave());
        let writer = tokio::spawn(async move { write_lines(&*timing, &stream, lines, || leaves.leave()).await });
        let bytes = zeroize::Zeroizing::new(vec![b'x'; 16 * 1024 * 1024]);
        outbox.send(OutLine { bytes, held: None }).await.ok().unwrap();
        let mut first = [0];
        theirs.read_exact(&mut first).await.unwrap();
        // An answer that waits behind it.
        let waiting = tokio::spawn(async move { drop((outbox.closed().await, behind)) });
        custody.lock(LockedBy::Command).let_go().await;
        writer.await.unwrap();
        waiting.await.unwrap();
    }

    #[tokio::test]
    async fn a_client_that_takes_nothing_loses_its_whole_connection() {
        let clock = FakeClock::at(WallTime(0));
        let custody = custody(&clock);
        let leave = custody.leave();
        let begun = clock.boot();
        let (ours, mut theirs) = UnixStream::pair().unwrap();
        let stream = Arc::new(Stream::UdSocket(ours.into()));
        let (outbox, lines) = mpsc::channel(1);
        let (writing, timing) = (stream.clone(), clock.clone());
        let writer = tokio::spawn(async move { write_lines(&*timing, &writing, lines, || leave.clone()).await });
        let reader = tokio::spawn(async move { matches!(Lines::new(&*stream, 8192).next().await, Ok(Line::End)) });
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
