//! Clients that are in the way: they say nothing, half a line, a line without end, or more than they read.

use super::HELLO;
use rustix::event::epoll::{self, CreateFlags, EventData, EventFlags};
use rustix::time::Timespec;
use std::io::{self, Write as _};
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread::JoinHandle;

/// How often those who send a byte now and then do so.
const DRIP: Timespec = Timespec { tv_sec: 0, tv_nsec: 10_000_000 };

/// A way of being in the way.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// Connects and says nothing.
    Silent,
    /// Greets, and says half a line.
    HalfLine,
    /// Greets, and sends a line that does not end, a byte at a time.
    Drip,
    /// Asks as fast as it can and reads no answer.
    Flood,
}

impl Kind {
    /// All of them.
    pub const ALL: [Self; 4] = [Self::Silent, Self::HalfLine, Self::Drip, Self::Flood];
}

/// Stuck clients, until dropped.
pub struct Stuck {
    over: Arc<AtomicBool>,
    counts: Arc<Counts>,
    thread: Option<JoinHandle<io::Result<()>>>,
}

#[derive(Default)]
struct Counts {
    cut_off: AtomicU64,
    sent: AtomicU64,
}

struct Client {
    kind: Kind,
    stream: UnixStream,
    /// Requests sent, each with an id of its own, and how much of the next one.
    request: u64,
    rest: Vec<u8>,
}

struct Crowd {
    socket: PathBuf,
    request: String,
    watch: OwnedFd,
    clients: Vec<Option<Client>>,
}

impl Stuck {
    /// So many clients, of these kinds in turn, that ask for this (the member `request` of a line) if they ask.
    pub fn start(socket: &Path, count: usize, kinds: &'static [Kind], request: &str) -> io::Result<Self> {
        let watch = epoll::create(CreateFlags::CLOEXEC)?;
        let mut crowd = Crowd { socket: socket.to_owned(), request: request.to_owned(), watch, clients: Vec::new() };
        for (at, kind) in (0..count).zip(kinds.iter().cycle()) {
            let client = crowd.connect(at, *kind)?;
            crowd.clients.push(Some(client));
        }
        let (over, counts) = (Arc::new(AtomicBool::new(false)), Arc::new(Counts::default()));
        let (ends, counted) = (over.clone(), counts.clone());
        let thread = std::thread::spawn(move || crowd.stay(&ends, &counted));
        Ok(Self { over, counts, thread: Some(thread) })
    }

    /// How many were cut off by the agent so far; each came back.
    pub fn cut_off(&self) -> u64 {
        self.counts.cut_off.load(Ordering::Relaxed)
    }

    /// Bytes that were sent by those that flood it.
    pub fn sent(&self) -> u64 {
        self.counts.sent.load(Ordering::Relaxed)
    }
}

impl Drop for Stuck {
    fn drop(&mut self) {
        self.over.store(true, Ordering::Relaxed);
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

impl Crowd {
    fn connect(&self, at: usize, kind: Kind) -> io::Result<Client> {
        let mut stream = UnixStream::connect(&self.socket)?;
        match kind {
            Kind::Silent => {}
            Kind::HalfLine => stream.write_all(format!("{HELLO}{{\"id\":2,\"requ").as_bytes())?,
            Kind::Drip | Kind::Flood => stream.write_all(HELLO.as_bytes())?,
        }
        stream.set_nonblocking(true)?;
        // A flood goes on once there is room; of the others only the end is of interest.
        let flags = if kind == Kind::Flood { EventFlags::OUT } else { EventFlags::RDHUP };
        epoll::add(&self.watch, &stream, EventData::new_u64(at as u64), flags)?;
        Ok(Client { kind, stream, request: 1, rest: Vec::new() })
    }

    fn stay(&mut self, over: &AtomicBool, counts: &Counts) -> io::Result<()> {
        let mut events = Vec::with_capacity(256);
        while !over.load(Ordering::Relaxed) {
            events.clear();
            epoll::wait(&self.watch, rustix::buffer::spare_capacity(&mut events), Some(&DRIP))?;
            let drips = |client: &Option<Client>| client.as_ref().is_some_and(|client| client.kind == Kind::Drip);
            let mut ready: Vec<usize> =
                self.clients.iter().enumerate().filter(|(_, client)| drips(client)).map(|(at, _)| at).collect();
            for event in &events {
                let event: &epoll::Event = event;
                ready.extend(usize::try_from(event.data.u64()));
            }
            for at in ready {
                let Some(place) = self.clients.get_mut(at) else { continue };
                let Some(client) = place else { continue };
                let kind = client.kind;
                if client.is_cut_off(&self.request, counts) {
                    counts.cut_off.fetch_add(1, Ordering::Relaxed);
                    // The old one's end first: the agent may be full of them.
                    *place = None;
                    let again = self.connect(at, kind)?;
                    if let Some(place) = self.clients.get_mut(at) {
                        *place = Some(again);
                    }
                }
            }
        }
        Ok(())
    }
}

impl Client {
    /// Sends what it can now; whether the agent has closed.
    fn is_cut_off(&mut self, request: &str, counts: &Counts) -> bool {
        if matches!(self.kind, Kind::Silent | Kind::HalfLine) {
            return true;
        }
        if self.kind == Kind::Drip {
            let sent = self.stream.write(b" ");
            return sent.is_err_and(|error| error.kind() != io::ErrorKind::WouldBlock);
        }
        // So much in one go that a flood does not keep this thread from the others.
        for _ in 0..64 {
            if self.rest.is_empty() {
                self.request += 1;
                self.rest = format!("{{\"id\":{},\"request\":{request}}}\n", self.request).into_bytes();
            }
            match self.stream.write(&self.rest) {
                Ok(count) => {
                    counts.sent.fetch_add(count as u64, Ordering::Relaxed);
                    self.rest.drain(..count);
                }
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return false,
                Err(_) => return true,
            }
        }
        false
    }
}
