//! Accepting for one endpoint: whose connection it is, how many there are, and how long they take.

use super::answer::{REFUSED, answer};
use super::open::{End, Endpoint};
use super::{
    CONNECTIONS_LIMIT, FOREIGN_LIMIT, HEAD_LIMIT, HEAD_MILLIS, HEADERS_LIMIT, SILENT_MILLIS, WHOLE_MILLIS, owner, uid,
};
use crate::server::Server;
use crate::server::listen::BREATH_MILLIS;
use crate::world::BootTime;
use http::Request;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use std::convert::Infallible;
use std::net::SocketAddr;
use std::os::fd::OwnedFd;
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{Notify, watch};
use tokio::task::{AbortHandle, JoinSet};

/// Serves an endpoint until it is closed, or its process and its linger have ended.
pub(super) async fn serve(
    server: Arc<Server>,
    endpoint: Arc<Endpoint>,
    listener: Arc<TcpListener>,
    process: Option<OwnedFd>,
    mut end: watch::Receiver<End>,
) {
    let mut life = pin!(life(&server, &endpoint, process));
    let (mut own, mut foreign) = (Connections::default(), JoinSet::new());
    let mut told = false;
    loop {
        let full = own.handles.len() >= CONNECTIONS_LIMIT;
        let silent = own.longest_silent();
        tokio::select! {
            biased;
            () = closed(&mut end) => break,
            () = &mut life => {
                server.endpoints.close(&endpoint, End::Now);
                break;
            }
            Some(_) = own.tasks.join_next() => own.tidy(),
            Some(_) = foreign.join_next() => {}
            () = server.world.clock.sleep_until(silent.unwrap_or(BootTime(0))), if full && silent.is_some() => {
                own.make_room(server.world.clock.boot());
            }
            accepted = listener.accept(), if !full => match accepted {
                Ok((stream, _)) if is_own(&stream) => {
                    let asked = Arc::new(Asked::default());
                    let since = server.world.clock.boot();
                    own.admit(since, asked.clone(), connection(server.clone(), endpoint.clone(), stream, asked));
                }
                Ok((stream, _)) => {
                    // Once: who may not come in may not fill the log either.
                    if !std::mem::replace(&mut told, true) {
                        tracing::warn!(pid = endpoint.owner.pid, "refused another user at an endpoint");
                    }
                    if foreign.len() < FOREIGN_LIMIT {
                        foreign.spawn(refuse(server.clone(), stream));
                    }
                }
                Err(error) => {
                    tracing::warn!(%error, "a connection was not accepted");
                    let breath = server.world.clock.boot().plus_millis(BREATH_MILLIS);
                    server.world.clock.sleep_until(breath).await;
                }
            },
        }
    }
    drop(listener);
    if *end.borrow() == End::AfterAnswers {
        while own.tasks.join_next().await.is_some() {}
    }
}

async fn closed(end: &mut watch::Receiver<End>) {
    drop(end.wait_for(|end| *end != End::Open).await);
}

/// Returns once the endpoint has nobody to serve any more.
async fn life(server: &Server, endpoint: &Endpoint, process: Option<OwnedFd>) {
    if let Some(process) = process {
        owner::ended(process).await;
    }
    let until = endpoint.linger_from(server.world.clock.boot());
    if endpoint.linger_millis > 0 {
        server.world.clock.sleep_until(until).await;
    }
}

/// Asked before a byte is read. Root is another user too, unless the agent is root's.
fn is_own(stream: &TcpStream) -> bool {
    let (Ok(SocketAddr::V4(theirs)), Ok(SocketAddr::V4(ours))) = (stream.peer_addr(), stream.local_addr()) else {
        return false;
    };
    theirs.ip().is_loopback() && uid::of_peer(theirs, ours).is_ok_and(|uid| uid == rustix::process::geteuid().as_raw())
}

/// Whether a connection has asked for something yet.
#[derive(Default)]
struct Asked {
    whether: AtomicBool,
    now: Notify,
}

/// The connections of this user.
#[derive(Default)]
struct Connections {
    tasks: JoinSet<()>,
    /// Oldest first.
    handles: Vec<Handle>,
}

struct Handle {
    task: AbortHandle,
    since: BootTime,
    asked: Arc<Asked>,
}

impl Handle {
    fn is_silent(&self) -> bool {
        !self.asked.whether.load(Ordering::Acquire)
    }
}

impl Connections {
    fn admit(&mut self, since: BootTime, asked: Arc<Asked>, connection: impl Future<Output = ()> + Send + 'static) {
        let task = self.tasks.spawn(connection);
        self.handles.push(Handle { task, since, asked });
    }

    /// When the oldest that has asked for nothing may be ended for another; those that are answered never are.
    fn longest_silent(&self) -> Option<BootTime> {
        let silent = self.handles.iter().find(|handle| handle.is_silent())?;
        Some(silent.since.plus_millis(SILENT_MILLIS))
    }

    /// Ends those that may be ended by now.
    fn make_room(&mut self, now: BootTime) {
        self.handles.retain(|handle| {
            let may_stay = !handle.is_silent() || handle.since.plus_millis(SILENT_MILLIS) > now;
            if !may_stay {
                handle.task.abort();
            }
            may_stay
        });
    }

    fn tidy(&mut self) {
        self.handles.retain(|handle| !handle.task.is_finished());
    }
}

/// Counts a connection, so that a restart can wait for its answer.
struct Answering(Arc<Server>);

impl Answering {
    fn new(server: &Arc<Server>) -> Self {
        server.activity.answers.fetch_add(1, Ordering::AcqRel);
        Self(server.clone())
    }
}

impl Drop for Answering {
    fn drop(&mut self) {
        self.0.activity.answers.fetch_sub(1, Ordering::AcqRel);
        self.0.activity.quiet.notify_waiters();
    }
}

/// HTTP/1.1 within the limits: one request a connection.
pub(super) fn protocol() -> http1::Builder {
    let mut protocol = http1::Builder::new();
    protocol.keep_alive(false).max_headers(HEADERS_LIMIT).max_buf_size(HEAD_LIMIT);
    protocol
}

/// One request, its answer, and the end.
async fn connection(server: Arc<Server>, endpoint: Arc<Endpoint>, stream: TcpStream, asked: Arc<Asked>) {
    let begun = server.world.clock.boot();
    let _answering = Answering::new(&server);
    let service = service_fn(|request: Request<Incoming>| {
        asked.whether.store(true, Ordering::Release);
        asked.now.notify_one();
        let (server, endpoint) = (server.clone(), endpoint.clone());
        async move { Ok::<_, Infallible>(answer(&server, &endpoint, &request.into_parts().0).await) }
    });
    let mut served = pin!(protocol().serve_connection(TokioIo::new(stream), service));
    tokio::select! {
        biased;
        _ = &mut served => return,
        () = asked.now.notified() => {}
        () = server.world.clock.sleep_until(begun.plus_millis(HEAD_MILLIS)) => return,
    }
    tokio::select! {
        biased;
        _ = served => {}
        () = server.world.clock.sleep_until(begun.plus_millis(WHOLE_MILLIS)) => {}
    }
}

/// Refuses another user without looking at what they say.
async fn refuse(server: Arc<Server>, mut stream: TcpStream) {
    let length = REFUSED.len();
    let answer = format!(
        "HTTP/1.1 403 Forbidden\r\ncontent-type: application/json\r\ncache-control: no-store\r\nx-content-type-options: nosniff\r\nconnection: close\r\ncontent-length: {length}\r\n\r\n{REFUSED}"
    );
    let deadline = server.world.clock.boot().plus_millis(HEAD_MILLIS);
    let said = async {
        stream.write_all(answer.as_bytes()).await?;
        stream.shutdown().await?;
        // Thrown away: closed with bytes unread, the kernel would take the answer back.
        let (mut bin, mut left) = ([0; 1024], HEAD_LIMIT);
        while left > 0 {
            let count = stream.read(&mut bin).await?;
            left = if count == 0 { 0 } else { left.saturating_sub(count) };
        }
        std::io::Result::Ok(())
    };
    tokio::select! {
        _ = said => {}
        () = server.world.clock.sleep_until(deadline) => {}
    }
}
