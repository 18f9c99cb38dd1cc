//! A bad network: it stands between the agent and the double of AWS, does to each connection what a table says, and
//! keeps what it saw. And a naive client, which every entry of the table must harm: the control.

mod kinds;
mod naive;

pub(crate) use kinds::{Kind, Outcome, kinds};
pub(crate) use naive::{Harm, naive};

use rustix::net::sockopt::set_socket_linger;
use std::collections::BTreeMap;
use std::io::{ErrorKind, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

/// What a client takes of an endless answer before it counts as one that takes all of it.
pub(crate) const ENDLESS: u64 = 64 * 1024 * 1024;

/// What one connection does once it has read the request.
pub(crate) enum Deed {
    /// These bytes, and the end.
    Answer(Vec<u8>),
    /// The same, each byte in a segment of its own.
    Bytewise(Vec<u8>),
    /// These bytes, and a reset.
    Reset(Vec<u8>),
    /// These bytes, and nothing more until the client leaves.
    Stall(Vec<u8>),
    /// These bytes, one each second.
    Drip(Vec<u8>),
    /// The first bytes, then the others over and over until the client leaves. One that has taken so many has no bound
    /// but its deadline.
    Flood(Vec<u8>, Vec<u8>, u64),
}

/// A request as it came.
#[derive(Clone)]
pub(crate) struct Request {
    pub(crate) raw: Vec<u8>,
    pub(crate) form: BTreeMap<String, String>,
}

impl Request {
    pub(crate) fn action(&self) -> &str {
        self.get("Action")
    }

    /// A parameter; empty where there is none.
    pub(crate) fn get(&self, name: &str) -> &str {
        self.form.get(name).map_or("", String::as_str)
    }
}

/// AWS's double: a whole answer to a whole request.
pub(crate) type Upstream = dyn Fn(&Request) -> Vec<u8> + Send + Sync;
type Choice = dyn Fn(&Request, &Upstream) -> Deed + Send + Sync;

/// The network, on a port of its own, until the test ends.
pub(crate) struct Proxy {
    pub(crate) address: SocketAddr,
    inner: Arc<Inner>,
}

struct Inner {
    upstream: Box<Upstream>,
    choice: Mutex<Arc<Choice>>,
    seen: Mutex<Vec<Request>>,
    /// Called where the client can only leave by its own deadline.
    stuck: Box<dyn Fn() + Send + Sync>,
    open: AtomicUsize,
    most_open: AtomicUsize,
    most_taken: AtomicU64,
}

impl Proxy {
    /// Stands before this double, and for now passes everything.
    pub(crate) fn before(
        upstream: impl Fn(&Request) -> Vec<u8> + Send + Sync + 'static,
        stuck: impl Fn() + Send + Sync + 'static,
    ) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
        let address = listener.local_addr().expect("an address");
        let inner = Arc::new(Inner {
            upstream: Box::new(upstream),
            choice: Mutex::new(Arc::new(pass)),
            seen: Mutex::default(),
            stuck: Box::new(stuck),
            open: AtomicUsize::new(0),
            most_open: AtomicUsize::new(0),
            most_taken: AtomicU64::new(0),
        });
        let serving = inner.clone();
        std::thread::spawn(move || {
            for stream in listener.incoming().map_while(Result::ok) {
                let inner = serving.clone();
                std::thread::spawn(move || inner.serve(stream));
            }
        });
        Self { address, inner }
    }

    pub(crate) fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// From now on connections do this.
    pub(crate) fn set(&self, choice: impl Fn(&Request, &Upstream) -> Deed + Send + Sync + 'static) {
        *held(&self.inner.choice) = Arc::new(choice);
    }

    /// From now on everything passes.
    pub(crate) fn heal(&self) {
        self.set(pass);
    }

    /// The requests so far.
    pub(crate) fn seen(&self) -> Vec<Request> {
        held(&self.inner.seen).clone()
    }

    /// How many there were so far.
    pub(crate) fn count(&self) -> usize {
        held(&self.inner.seen).len()
    }

    /// The most requests that were in hand at once.
    pub(crate) fn most_open(&self) -> usize {
        self.inner.most_open.load(Ordering::SeqCst)
    }

    /// The most bytes that one client has taken of one answer, what its kernel holds included.
    pub(crate) fn most_taken(&self) -> u64 {
        self.inner.most_taken.load(Ordering::SeqCst)
    }

    /// Asserts that no code came again soon: of thousands of six digits some are the same by chance.
    #[track_caller]
    pub(crate) fn no_code_twice(&self) {
        let seen = self.seen();
        let codes: Vec<&str> =
            seen.iter().map(|request| request.get("TokenCode")).filter(|code| !code.is_empty()).collect();
        for five in codes.windows(5) {
            assert!(five.iter().skip(1).all(|code| Some(code) != five.first()), "a code was sent twice");
        }
        assert!(codes.len() >= 5 || codes.iter().all(|code| codes.iter().filter(|other| other == &code).count() == 1));
    }
}

fn pass(request: &Request, upstream: &Upstream) -> Deed {
    Deed::Answer(upstream(request))
}

impl Inner {
    fn serve(&self, mut stream: TcpStream) {
        let Some(request) = read(&mut stream) else { return };
        let open = self.open.fetch_add(1, Ordering::SeqCst) + 1;
        self.most_open.fetch_max(open, Ordering::SeqCst);
        held(&self.seen).push(request.clone());
        let choice = held(&self.choice).clone();
        let deed = choice(&request, &*self.upstream);
        // Before the client can know that its request is over.
        self.open.fetch_sub(1, Ordering::SeqCst);
        let taken = self.perform(&mut stream, deed);
        self.most_taken.fetch_max(taken, Ordering::SeqCst);
    }

    /// The bytes that were taken. A client that leaves early is what many of these are about.
    fn perform(&self, stream: &mut TcpStream, deed: Deed) -> u64 {
        let _ = stream.set_nodelay(true);
        match deed {
            Deed::Answer(bytes) => {
                let taken = write(stream, &bytes);
                let _ = stream.shutdown(Shutdown::Write);
                until_left(stream);
                taken
            }
            Deed::Bytewise(bytes) => {
                let taken = bytes.chunks(1).map(|byte| write(stream, byte)).sum();
                let _ = stream.shutdown(Shutdown::Write);
                until_left(stream);
                taken
            }
            Deed::Reset(bytes) => {
                let taken = write(stream, &bytes);
                // Without lingering, closing sends RST and not FIN.
                let _ = set_socket_linger(&*stream, Some(Duration::ZERO));
                taken
            }
            Deed::Stall(bytes) => {
                let taken = write(stream, &bytes);
                let _ = stream.set_read_timeout(Some(Duration::from_millis(100)));
                // Again and again: another connection may have begun in between, and holds what it moves.
                loop {
                    (self.stuck)();
                    if has_left(stream) {
                        return taken;
                    }
                }
            }
            Deed::Drip(bytes) => {
                let _ = stream.set_read_timeout(Some(Duration::from_secs(1)));
                let taken = bytes.chunks(1).take_while(|byte| {
                    (self.stuck)();
                    write(stream, byte) == 1 && !has_left(stream)
                });
                u64::try_from(taken.count()).unwrap_or(u64::MAX)
            }
            Deed::Flood(head, piece, most) => {
                let mut taken = write(stream, &head);
                let piece = piece.repeat(64 * 1024 / piece.len().max(1) + 1);
                loop {
                    let written = write(stream, &piece);
                    if written == 0 {
                        return taken;
                    }
                    if taken < most && taken + written >= most {
                        (self.stuck)();
                    }
                    taken += written;
                    if taken > 16 * ENDLESS {
                        return taken;
                    }
                }
            }
        }
    }
}

fn held<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().expect("a lock")
}

/// How much was written: all of it, or nothing where the client has left.
fn write(stream: &mut TcpStream, bytes: &[u8]) -> u64 {
    if stream.write_all(bytes).is_ok() { bytes.len().try_into().unwrap_or(u64::MAX) } else { 0 }
}

fn until_left(stream: &mut TcpStream) {
    while matches!(stream.read(&mut [0; 4096]), Ok(1..)) {}
}

/// Waits for the client to leave, as long as the stream waits.
fn has_left(stream: &mut TcpStream) -> bool {
    match stream.read(&mut [0; 4096]) {
        Ok(read) => read == 0,
        Err(error) => !matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut),
    }
}

/// A request to its end: the head, and as much body as it says.
fn read(stream: &mut impl Read) -> Option<Request> {
    let mut raw = Vec::new();
    loop {
        if let Some((head, body)) = split(&raw) {
            let head = String::from_utf8_lossy(head).to_ascii_lowercase();
            let length = head.lines().find_map(|line| line.strip_prefix("content-length: ")).unwrap_or("0");
            if body.len() >= length.parse::<usize>().ok()? {
                let form = url::form_urlencoded::parse(body).into_owned().collect();
                return Some(Request { form, raw });
            }
        }
        let mut piece = [0; 4096];
        match stream.read(&mut piece) {
            // The hello of TLS, to which nobody here has an answer.
            Ok(1..) if raw.first().or(piece.first()) == Some(&22) => return None,
            Ok(1..) if raw.len() > 1024 * 1024 => return None,
            Ok(read @ 1..) => raw.extend_from_slice(piece.get(..read)?),
            _ => return None,
        }
    }
}

/// Head and body.
pub(crate) fn split(message: &[u8]) -> Option<(&[u8], &[u8])> {
    let at = message.windows(4).position(|four| four == b"\r\n\r\n")?;
    Some((message.get(..at)?, message.get(at + 4..)?))
}
