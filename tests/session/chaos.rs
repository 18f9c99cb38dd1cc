//! A bad network between the office and AWS's double: real sockets, real HTTP, and a clock that moves only where the
//! agent waits for nothing on the wire. What each test does to an answer is in `tests/chaos`.

use crate::clock::Random;
use crate::proxy::{Deed, ENDLESS, Harm, Kind, Outcome, Proxy, Request, kinds, naive, split};
use crate::rig::{HOUR, MINUTE, Rig, quiet, rig};
use bytes::Bytes;
use claviger::secret::SecretText;
use claviger_agent::ask::Listener;
use claviger_agent::aws::{self, EndpointRules, Http, HttpError, HttpRequest, HttpResponse, HyperHttp, Service};
use claviger_agent::config::Accepted;
use claviger_agent::session::{Error, Session};
use claviger_agent::testing::{self, FakeClock};
use claviger_agent::world::{BoxFuture, Clock, WallTime};
use claviger_sandbox::Sandbox;
use std::net::{SocketAddr, TcpListener};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

const PLAIN: &str = "[plain]\nclaviger_access_key = ada\nrole_arn = arn:aws:iam::123456789012:role/plain\n";

/// The network as the agent builds it. While an exchange is in hand time stands still, so that none is too slow; a server
/// that has stalled lets it go.
struct PatientHttp {
    inner: HyperHttp,
    clock: Arc<FakeClock>,
    exchanges: Arc<AtomicUsize>,
}

struct Exchange<'a>(&'a PatientHttp);

impl<'a> Exchange<'a> {
    fn begin(http: &'a PatientHttp) -> Self {
        http.exchanges.fetch_add(1, Ordering::SeqCst);
        http.clock.hold();
        Self(http)
    }
}

impl Drop for Exchange<'_> {
    fn drop(&mut self) {
        if self.0.exchanges.fetch_sub(1, Ordering::SeqCst) == 1 {
            self.0.clock.release();
        }
    }
}

impl Http for PatientHttp {
    fn send(&self, request: HttpRequest) -> BoxFuture<'_, Result<HttpResponse, HttpError>> {
        Box::pin(async move {
            let _exchange = Exchange::begin(self);
            self.inner.send(request).await
        })
    }
}

/// The rooms behind a bad network.
struct Bad {
    rig: Rig,
    proxy: Proxy,
    trap: TcpListener,
}

impl Bad {
    fn new(profiles: &str) -> Self {
        Self::around(Rig::with(claviger_sandbox::Seed::demo(7), profiles))
    }

    fn around(rig: Rig) -> Self {
        let (sandbox, clock) = (rig.sandbox.clone(), rig.clock.clone());
        let proxy = Proxy::before(move |request| raw(&sandbox, request), move || clock.release());
        let inner = HyperHttp::new(&Accepted::default(), rig.clock.clone()).unwrap();
        let http = PatientHttp { inner, clock: rig.clock.clone(), exchanges: Arc::default() };
        let url = proxy.url();
        let rules =
            EndpointRules::new(std::slice::from_ref(&url), &[(Service::Sts, Some(&url)), (Service::Iam, Some(&url))])
                .unwrap();
        rig.office.aws().settle(Arc::new(http), rules);
        let trap = TcpListener::bind("127.0.0.1:0").unwrap();
        trap.set_nonblocking(true).unwrap();
        Self { rig, proxy, trap }
    }

    fn trap(&self) -> SocketAddr {
        self.trap.local_addr().unwrap()
    }

    /// Requests of this action meet this; others pass.
    fn break_with(
        &self,
        action: &'static str,
        deed: impl Fn(&Request, &dyn Fn() -> Vec<u8>) -> Deed + Send + Sync + 'static,
    ) {
        self.proxy.set(move |request, upstream| {
            if request.action() == action {
                deed(request, &|| upstream(request))
            } else {
                Deed::Answer(upstream(request))
            }
        });
    }

    fn meet(&self, action: &'static str, kind: Kind) {
        let trap = self.trap();
        self.proxy.set(move |request, upstream| {
            if request.action() == action {
                kind.deed(trap, request, upstream)
            } else {
                Deed::Answer(upstream(request))
            }
        });
    }

    /// Makes the next request need this action. A code of its own is a step of time; presence is renewed.
    fn need(&self, action: &str) {
        self.rig.office.mark_presence();
        match action {
            "GetSessionToken" => drop(self.rig.office.forget_all()),
            _ => drop(self.rig.office.forget(&self.rig.plan("prod"))),
        }
    }

    /// With a network that is well, credentials come that AWS takes: nothing of a bad answer was kept.
    async fn heals(&self, what: &str) {
        self.proxy.heal();
        self.rig.office.mark_presence();
        let session = self.rig.ask("prod").await.unwrap_or_else(|error| panic!("{what}: {error:?}"));
        self.is_right(&session, what).await;
        self.proxy.no_code_twice();
        assert_eq!(
            self.trap.accept().map(drop).unwrap_err().kind(),
            std::io::ErrorKind::WouldBlock,
            "{what}: the trap"
        );
    }

    async fn is_right(&self, session: &Session, what: &str) {
        let endpoint = self.rig.plan("prod").steps[0].endpoint.clone();
        let caller =
            self.rig.office.caller(session, &endpoint).await.unwrap_or_else(|error| panic!("{what}: {error:?}"));
        assert!(caller.arn.as_str().contains("assumed-role/prod-admin/"), "{what}: {}", caller.arn.as_str());
        assert!(session.expiration.0 > self.rig.sandbox.now_millis(), "{what}");
    }
}

/// The sandbox's answer to a request as bytes of HTTP/1.1.
fn raw(sandbox: &Sandbox, request: &Request) -> Vec<u8> {
    let (head, body) = split(&request.raw).unwrap();
    let head = String::from_utf8(head.to_vec()).unwrap();
    let mut lines = head.lines();
    let mut first = lines.next().unwrap().split(' ');
    let mut built = http::Request::builder().method(first.next().unwrap()).uri(first.next().unwrap());
    for line in lines {
        let (name, value) = line.split_once(": ").unwrap();
        built = built.header(name, value);
    }
    let answer = sandbox.handle(built.body(Bytes::copy_from_slice(body)).unwrap());
    let mut out = format!("HTTP/1.1 {}\r\nContent-Length: {}\r\n", answer.status(), answer.body().len());
    for (name, value) in answer.headers() {
        out.push_str(&format!("{name}: {}\r\n", value.to_str().unwrap()));
    }
    [format!("{out}\r\n").as_bytes(), answer.body()].concat()
}

/// The code of the fault that a person sees, for the errors that a network can cause.
fn code(error: &Error) -> &'static str {
    match error {
        Error::Aws(aws::Error::AccessDenied { .. }) => "aws.access_denied",
        Error::Aws(aws::Error::BadAnswer { .. }) => "aws.bad_answer",
        Error::Aws(aws::Error::ServiceError { .. }) => "aws.service_error",
        Error::Aws(aws::Error::Throttled { .. }) => "aws.throttled",
        Error::Aws(aws::Error::TimedOut { .. }) => "aws.timed_out",
        Error::Aws(aws::Error::Unreachable { .. }) => "aws.unreachable",
        other => panic!("no fault of a network: {other:?}"),
    }
}

/// Whatever the network does, to either call: the fault that it is or a good session, at most four tries, within ten
/// seconds a try with a code and ten for all without, no code twice, nothing kept, nothing followed.
#[tokio::test]
async fn every_kind_of_bad_network_ends_in_its_fault_and_leaves_nothing() {
    for action in ["GetSessionToken", "AssumeRole"] {
        let bad = Bad::new("");
        bad.heals("the control").await;
        for kind in kinds() {
            let what = format!("{action}: {}", kind.name);
            bad.need(action);
            bad.meet(action, kind);
            let (before, begun) = (bad.proxy.count(), bad.rig.clock.boot());
            let asked = bad.rig.ask("prod").await;
            let tries = bad.proxy.count() - before;
            match (&asked, kind.outcome) {
                (Ok(session), Outcome::Session) if kind.name == "a token of 64 KiB" => {
                    assert!(action == "GetSessionToken" || session.token.expose().len() == 64 * 1024, "{what}");
                }
                // The long token is not AWS's own, so the next call with it is refused.
                (Err(_), Outcome::Session) if kind.name == "a token of 64 KiB" && action == "GetSessionToken" => {}
                (Ok(session), Outcome::Session) => bad.is_right(session, &what).await,
                (Err(error), Outcome::Fault(wanted)) => {
                    let wanted = if (wanted, action) == ("aws.access_denied", "GetSessionToken") {
                        assert!(matches!(&**error, Error::CodeRefused { .. } | Error::Aws(_)), "{what}: {error:?}");
                        continue;
                    } else {
                        wanted
                    };
                    assert_eq!(code(error), wanted, "{what}: {error:?}");
                }
                (Ok(_), wanted) => panic!("{what}: a session, not {wanted:?}"),
                (Err(error), wanted) => panic!("{what}: {error:?}, not {wanted:?}"),
            }
            assert!(tries <= 5, "{what}: {tries} tries");
            if action == "AssumeRole" {
                // A clock that jumps passes the end of the call by the last wait between two tries.
                assert!(bad.rig.clock.boot().millis_since(begun) <= 10_500, "{what}");
            }
            bad.need(action);
            bad.heals(&what).await;
        }
        assert_eq!(bad.proxy.most_open(), 1, "one call at a time");
        assert!(bad.proxy.most_taken() < ENDLESS, "what is too large is left unread");
        testing::figure(&format!("kinds of bad network, {action}"), kinds().len());
    }
}

/// The control: each of these harms a client that was not written against it.
#[tokio::test]
async fn every_kind_of_bad_network_harms_a_naive_client() {
    let bad = Bad::new("");
    bad.heals("the control").await;
    let requests = bad.proxy.seen();
    let request = requests.iter().find(|request| request.action() == "AssumeRole").unwrap().raw.clone();
    let patience = Duration::from_secs(60);
    let Harm::Credentials(right) = naive(bad.proxy.address, &request, patience) else { panic!("the control") };
    assert!(right.iter().all(|part| !part.is_empty()), "the control");
    let mut harmed = 0;
    for kind in kinds().into_iter().filter(|kind| kind.outcome != Outcome::Session) {
        bad.meet("AssumeRole", kind);
        // What it would wait for is known not to come.
        let stalls = ["silence", "half a head", "half a body", "one byte a second"].contains(&kind.name);
        let patience = if stalls { Duration::from_millis(100) } else { patience };
        let harm = naive(bad.proxy.address, &request, patience);
        let fits = match kind.name {
            name if name.starts_with("redirect") => harm == Harm::Followed,
            "a gzip bomb" => harm == Harm::Inflates,
            "a GiB"
            | "a body without end"
            | "chunks without end"
            | "headers without end"
            | "interim answers without end" => harm == Harm::Flooded,
            "silence" | "half a head" | "half a body" | "one byte a second" => harm == Harm::Hangs,
            "no secret"
            | "no token"
            | "an empty secret"
            | "an entity of its own"
            | "a length that is too short"
            | "an end in the past"
            | "an end in 9999"
            | "an end without a zone"
            | "JSON"
            | "a token above every limit" => {
                matches!(&harm, Harm::Credentials(taken) if taken != &right)
            }
            _ => true,
        };
        assert!(fits, "{}: {harm:?}", kind.name);
        harmed += usize::from(harm != Harm::Nothing);
        while bad.trap.accept().is_ok() {}
    }
    assert!(harmed >= 25, "{harmed}");
}

/// A gzip bomb that is none would prove nothing; this one is small enough to be read.
#[test]
fn the_gzip_bomb_is_one() {
    let address = SocketAddr::from(([127, 0, 0, 1], 1));
    let bomb = kinds().into_iter().find(|kind| kind.name == "a gzip bomb").unwrap();
    let request = Request { raw: Vec::new(), form: Default::default() };
    let Deed::Answer(answer) = bomb.deed(address, &request, &|_: &Request| Vec::new()) else { panic!("an answer") };
    let (_, body) = split(&answer).unwrap();
    assert!(body.len() < 256 * 1024 && body.starts_with(&[0x1f, 0x8b]), "{}", body.len());
    let script =
        "import sys,zlib; print(len(zlib.decompressobj(-15).decompress(sys.stdin.buffer.read()[10:], 1 << 28)))";
    let mut python = std::process::Command::new("/usr/bin/python3")
        .args(["-c", script])
        .stdin(std::process::Stdio::piped())
        .stdout(std::process::Stdio::piped())
        .spawn()
        .unwrap();
    std::io::Write::write_all(&mut python.stdin.take().unwrap(), body).unwrap();
    let inflated = String::from_utf8(python.wait_with_output().unwrap().stdout).unwrap();
    assert!(inflated.trim().parse::<usize>().unwrap() > 30_000_000, "{inflated}");
}

/// Every byte of both answers, by FIN and by RST: the fault of a broken way, and then a good session.
#[tokio::test]
async fn an_answer_that_ends_at_any_byte_gives_a_fault_and_then_a_good_session() {
    let mut cuts = 0;
    for action in ["GetSessionToken", "AssumeRole"] {
        let bad = Bad::new("");
        bad.heals("the control").await;
        bad.need(action);
        let length = Arc::new(Mutex::new(0));
        let seen = length.clone();
        bad.break_with(action, move |_, aws| {
            let answer = aws();
            *seen.lock().unwrap() = answer.len();
            Deed::Answer(answer)
        });
        bad.is_right(&*bad.rig.get("prod").await, "the control").await;
        let length = *length.lock().unwrap();
        // A few bytes shorter where an id is: then the last cuts are past the end, which is no cut.
        for at in (0..length - 8).step_by(testing::rounds(17, 1)) {
            for reset in [false, true] {
                let what = format!("{action} {} at {at}", if reset { "reset" } else { "cut" });
                bad.need(action);
                bad.break_with(action, move |_, aws| {
                    let part = aws().get(..at).unwrap().to_vec();
                    if reset { Deed::Reset(part) } else { Deed::Answer(part) }
                });
                let before = bad.proxy.count();
                let error = bad.rig.fail("prod").await;
                assert_eq!(code(&error), "aws.unreachable", "{what}: {error:?}");
                assert!(bad.proxy.count() - before <= 5, "{what}");
                // Every tenth is tried out at AWS; what was kept of the others would show at the next one.
                if at % 5 == 0 {
                    bad.need(action);
                    bad.heals(&what).await;
                }
                cuts += 1;
            }
        }
        bad.need(action);
        bad.heals(action).await;
    }
    testing::figure("answers cut or reset at a byte", cuts);
}

/// The bad network is passing: half of all connections, at random, with a crowd that asks. A session that came is good.
#[tokio::test]
async fn half_of_all_connections_fail_and_what_comes_is_good() {
    let (mut sessions, mut faults) = (0, 0);
    for seed in 0..testing::rounds(3, 500) {
        let bad = Bad::new(PLAIN);
        let random = Arc::new(Mutex::new(Random(u64::try_from(seed).unwrap())));
        let (trap, table) = (bad.trap(), kinds());
        // A token that AWS did not give would be served: that is no matter of the network.
        let table: Vec<Kind> = table.into_iter().filter(|kind| kind.name != "a token of 64 KiB").collect();
        bad.proxy.set(move |request, upstream| {
            let mut random = random.lock().unwrap();
            let kind = table[random.index(table.len())];
            if random.below(2) == 0 { kind.deed(trap, request, upstream) } else { Deed::Answer(upstream(request)) }
        });
        for round in 0..8 {
            bad.rig.office.mark_presence();
            let asked: Vec<_> = (0..20)
                .map(|at| {
                    let (office, plan) = (bad.rig.office.clone(), bad.rig.plan(["prod", "plain"][at % 2]));
                    let sandbox = bad.rig.sandbox.clone();
                    tokio::spawn(async move {
                        // A stalled server lets time pass at any moment, so also between the hand-out and a look at the clock.
                        let begun = sandbox.now_millis();
                        let asked = office.credentials(plan, Listener::nobody()).await;
                        asked.map(|session| session.expiration.0 - begun)
                    })
                })
                .collect();
            for asked in asked {
                match asked.await.unwrap() {
                    Ok(left) => {
                        assert!(left > 0, "seed {seed} round {round}: {left} ms left when it was asked for");
                        sessions += 1;
                    }
                    Err(error) => {
                        assert!(matches!(&*error, Error::Aws(_) | Error::CodeRefused { .. }), "seed {seed}: {error:?}");
                        faults += 1;
                    }
                }
            }
            bad.proxy.no_code_twice();
            bad.rig.clock.advance_millis(20 * MINUTE);
        }
        quiet().await;
        // One in its last minute may end while AWS is asked about it: what waits moves the clock.
        bad.rig.office.forget_all();
        bad.heals(&format!("seed {seed}")).await;
    }
    assert!(sessions > 0, "the control");
    testing::figure("asked of a network that fails half the time: sessions", sessions);
    testing::figure("asked of a network that fails half the time: faults", faults);
}

/// R11: what was good is served until a minute before its end, whatever the network does to its renewal.
#[tokio::test]
async fn the_last_good_session_is_served_until_a_minute_before_its_end() {
    for kind in kinds().into_iter().filter(|kind| kind.outcome != Outcome::Session) {
        let bad = Bad::new("");
        let good = bad.rig.get("prod").await;
        bad.meet("AssumeRole", kind);
        for left in [50 * MINUTE, 18 * MINUTE, 14 * MINUTE, 3 * MINUTE] {
            if good.left(bad.rig.clock.boot()) > left {
                bad.rig.until_left(&good, left);
            }
            let served = bad.rig.ask("prod").await.unwrap_or_else(|error| panic!("{}: {error:?}", kind.name));
            assert_eq!(served.access_key_id, good.access_key_id, "{}: {left} ms left", kind.name);
            quiet().await;
        }
        bad.rig.until_left(&good, MINUTE - 1);
        assert!(bad.rig.ask("prod").await.is_err(), "{}: and no longer", kind.name);
        assert!(bad.proxy.seen().iter().filter(|request| !request.get("TokenCode").is_empty()).count() == 1);
    }
}

/// R10: where AWS throttles, there are at most four tries a call, later and later, and never two at a time.
#[tokio::test]
async fn a_throttled_call_is_tried_a_few_times_and_more_and_more_slowly() {
    for name in ["throttled with 400", "throttled with 429", "throttled with 503"] {
        let bad = Bad::new("");
        bad.heals("the control").await;
        bad.need("AssumeRole");
        let kind = kinds().into_iter().find(|kind| kind.name == name).unwrap();
        let (times, clock, trap) = (Arc::new(Mutex::new(Vec::new())), bad.rig.clock.clone(), bad.trap());
        let noted = times.clone();
        bad.proxy.set(move |request, upstream| {
            noted.lock().unwrap().push(clock.boot().0);
            kind.deed(trap, request, upstream)
        });
        let asked: Vec<_> = (0..100)
            .map(|_| {
                let (office, plan) = (bad.rig.office.clone(), bad.rig.plan("prod"));
                tokio::spawn(async move { office.credentials(plan, Listener::nobody()).await })
            })
            .collect();
        for asked in asked {
            assert_eq!(code(&asked.await.unwrap().err().unwrap()), "aws.throttled", "{name}");
        }
        let times = times.lock().unwrap().clone();
        assert_eq!((times.len(), bad.proxy.most_open()), (4, 1), "{name}: a hundred who ask are one call");
        let most: Vec<bool> =
            times.windows(2).zip([500, 1_000, 2_000]).map(|(two, most)| two[1] - two[0] <= most).collect();
        assert_eq!(most, [true; 3], "{name}: {times:?}");
        bad.heals(name).await;
    }
}

/// Nothing answers there, and no such name: nothing was sent, so a code that was drawn is drawn again.
#[tokio::test]
async fn where_nothing_answers_no_code_is_spent() {
    let rig = rig();
    let free = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    for url in [format!("http://{free}"), "http://sts.invalid:80".to_owned()] {
        let inner = HyperHttp::new(&Accepted::default(), rig.clock.clone()).unwrap();
        let http = PatientHttp { inner, clock: rig.clock.clone(), exchanges: Arc::default() };
        let rules =
            EndpointRules::new(std::slice::from_ref(&url), &[(Service::Sts, Some(&url)), (Service::Iam, Some(&url))])
                .unwrap();
        rig.office.aws().settle(Arc::new(http), rules);
        let error = rig.fail("prod").await;
        assert_eq!(code(&error), "aws.unreachable", "{url}: {error:?}");
        assert!(!rig.burned(0), "{url}");
    }
    let bad = Bad::around(rig);
    bad.heals("after it").await;
    assert_eq!((bad.rig.steps(), bad.rig.passed() < HOUR), (vec![0], true));
    assert!(bad.rig.clock.wall() > WallTime(0));
}
