//! Load on the agent's sockets: many clients that ask for cached credentials, or an SSH agent for signatures, one request
//! in flight each, and how long each answer took. One thread and epoll(7), so that it costs little beside what it measures.

mod echo;
mod histogram;
mod ssh;
mod stuck;

pub use echo::echo;
pub use histogram::Histogram;
pub use ssh::{Ask, SshLoad};
pub use stuck::{Kind, Stuck};

use rustix::event::epoll::{self, CreateFlags, EventData, EventFlags};
use rustix::time::{ClockId, Timespec, clock_gettime};
use std::io::{self, Read as _, Write as _};
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};

/// Whoever gets no answer for so long hangs.
const PATIENCE: Timespec = Timespec { tv_sec: 60, tv_nsec: 0 };
/// The id of every request: a client has one in flight.
const ID: u64 = 2;
/// How an answer begins that is no fault.
const REPLY: &[u8] = b"{\"id\":2,\"reply\"";
const HELLO: &str = "{\"id\":1,\"hello\":{\"protocol\":1,\"client\":\"claviger-load/0\"}}\n";

/// What to do.
#[derive(Debug, Clone)]
pub struct Load {
    /// The agent's socket.
    pub socket: PathBuf,
    /// The profile whose credentials are asked for.
    pub profile: String,
    /// Clients at the same time.
    pub clients: usize,
    /// Requests of all of them together.
    pub requests: u64,
    /// A connection for each request.
    pub connect_each: bool,
}

/// What came of it.
pub struct Outcome {
    /// Answers that are no reply, and connections that ended instead.
    pub errors: u64,
    /// From the first request to the last answer, in nanoseconds.
    pub nanos: u64,
    /// How long each answer took; with a connection for each request from before it was made.
    pub latencies: Histogram,
    /// Length of the last answer, newline or length word included.
    pub answer_bytes: usize,
    /// Processor time of the process that listens meanwhile, in seconds, where the kernel tells it.
    pub server_seconds: Option<f64>,
}

impl Outcome {
    /// Answers in a second.
    pub fn per_second(&self) -> f64 {
        #[expect(clippy::cast_precision_loss, reason = "a rate")]
        let rate = self.latencies.count() as f64 * 1e9 / self.nanos.max(1) as f64;
        rate
    }
}

/// One client.
struct Asker {
    stream: UnixStream,
    begun: u64,
    /// What has come of the next answer.
    come: Vec<u8>,
    /// Answers that come before the one to the request.
    greetings: u32,
}

/// What is said on a connection.
struct Talk {
    /// Said before the first request; it is answered where there is one.
    greeting: &'static str,
    request: Vec<u8>,
    /// The length of the answer that these bytes begin with, once it is whole.
    whole: fn(&[u8]) -> Option<usize>,
    /// Whether an answer is what was asked for.
    good: fn(&[u8]) -> bool,
}

/// A run.
struct Run<'a> {
    load: &'a Load,
    talk: Talk,
    watch: OwnedFd,
    askers: Vec<Option<Asker>>,
    begun: u64,
    ended: u64,
    outcome: Outcome,
}

impl Load {
    /// Asks until all requests are answered. Fails where nobody listens, or an answer does not come for a minute.
    pub fn run(&self) -> io::Result<Outcome> {
        let name = serde_json::to_string(&self.profile)?;
        let request = format!("{{\"id\":{ID},\"request\":{{\"credentials\":{{\"profile\":{name},\"wait\":60}}}}}}\n");
        self.talk(Talk {
            greeting: HELLO,
            request: request.into_bytes(),
            whole: |come| come.iter().position(|byte| *byte == b'\n').map(|end| end + 1),
            good: |answer| answer.starts_with(REPLY),
        })
    }

    fn talk(&self, talk: Talk) -> io::Result<Outcome> {
        let outcome =
            Outcome { errors: 0, nanos: 0, latencies: Histogram::default(), answer_bytes: 0, server_seconds: None };
        let (watch, askers) = (epoll::create(CreateFlags::CLOEXEC)?, Vec::new());
        Run { load: self, talk, watch, askers, begun: 0, ended: 0, outcome }.all()
    }
}

impl Run<'_> {
    fn all(mut self) -> io::Result<Outcome> {
        let server = server_of(&self.load.socket);
        let spent = server.and_then(processor_seconds);
        let first = now();
        for at in 0..self.load.clients {
            self.askers.push(None);
            self.begin(at)?;
        }
        let mut events = Vec::with_capacity(1024);
        while self.ended < self.load.requests {
            events.clear();
            let count = epoll::wait(&self.watch, rustix::buffer::spare_capacity(&mut events), Some(&PATIENCE))?;
            if count == 0 {
                return Err(io::Error::new(io::ErrorKind::TimedOut, "no answer for a minute"));
            }
            for event in &events {
                let event: &epoll::Event = event;
                self.hear(usize::try_from(event.data.u64()).unwrap_or(usize::MAX))?;
            }
        }
        self.outcome.nanos = now() - first;
        let after = server.and_then(processor_seconds);
        self.outcome.server_seconds = spent.zip(after).map(|(before, after)| after - before);
        Ok(self.outcome)
    }

    /// Begins a client's next request, if there is one left.
    fn begin(&mut self, at: usize) -> io::Result<()> {
        let Some(place) = self.askers.get_mut(at) else { return Ok(()) };
        if self.begun == self.load.requests {
            *place = None;
            return Ok(());
        }
        self.begun += 1;
        let begun = now();
        if let Some(asker) = place.as_mut().filter(|_| !self.load.connect_each) {
            asker.begun = begun;
            // One that has gone shows when it is read.
            let _ = asker.stream.write_all(&self.talk.request);
            return Ok(());
        }
        let mut stream = UnixStream::connect(&self.load.socket)?;
        let _ = stream.write_all(&[self.talk.greeting.as_bytes(), &self.talk.request].concat());
        stream.set_nonblocking(true)?;
        epoll::add(&self.watch, &stream, EventData::new_u64(at as u64), EventFlags::IN)?;
        let greetings = u32::from(!self.talk.greeting.is_empty());
        *place = Some(Asker { stream, begun, come: Vec::new(), greetings });
        Ok(())
    }

    /// Takes what a client has been sent.
    fn hear(&mut self, at: usize) -> io::Result<()> {
        let mut buffer = [0; 16 * 1024];
        let Some(asker) = self.askers.get_mut(at).and_then(Option::as_mut) else { return Ok(()) };
        let count = match asker.stream.read(&mut buffer) {
            Ok(0) => return self.ended(at, false, 0, true),
            Ok(count) => count,
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(()),
            Err(_) => return self.ended(at, false, 0, true),
        };
        asker.come.extend_from_slice(buffer.get(..count).unwrap_or_default());
        while let Some(length) = (self.talk.whole)(&asker.come) {
            let good = asker.come.get(..length).is_some_and(self.talk.good);
            asker.come.drain(..length);
            if asker.greetings > 0 {
                asker.greetings -= 1;
                continue;
            }
            return self.ended(at, good, length, false);
        }
        Ok(())
    }

    fn ended(&mut self, at: usize, good: bool, length: usize, gone: bool) -> io::Result<()> {
        let Some(asker) = self.askers.get_mut(at).and_then(Option::as_mut) else { return Ok(()) };
        self.outcome.latencies.record(now() - asker.begun);
        self.outcome.errors += u64::from(!good);
        self.outcome.answer_bytes = length.max(self.outcome.answer_bytes);
        self.ended += 1;
        if gone && let Some(place) = self.askers.get_mut(at) {
            *place = None;
        }
        self.begin(at)
    }
}

/// Nanoseconds since the machine started.
pub(crate) fn now() -> u64 {
    let now = clock_gettime(ClockId::Monotonic);
    now.tv_sec.unsigned_abs() * 1_000_000_000 + now.tv_nsec.unsigned_abs()
}

/// The process that listens there, as the kernel tells it (unix(7), SO_PEERCRED).
pub fn server_of(socket: &Path) -> Option<u32> {
    let stream = UnixStream::connect(socket).ok()?;
    let credentials = rustix::net::sockopt::socket_peercred(&stream).ok()?;
    u32::try_from(credentials.pid.as_raw_pid()).ok()
}

/// Processor time of a process so far (proc_pid_stat(5), utime and stime).
pub fn processor_seconds(pid: u32) -> Option<f64> {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    let (_, after) = stat.rsplit_once(')')?;
    let mut fields = after.split_whitespace().skip(11).map(|field| field.parse::<u32>().ok());
    let ticks = f64::from(fields.next()??) + f64::from(fields.next()??);
    #[expect(clippy::cast_precision_loss, reason = "100 on every system")]
    let seconds = ticks / rustix::param::clock_ticks_per_second() as f64;
    Some(seconds)
}
