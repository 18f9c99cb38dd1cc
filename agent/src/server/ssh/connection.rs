//! One connection: messages in, answers out, in order.

use super::serve::Activity;
use super::upstream::Upstream;
use super::vault_keys::is_elsewhere;
use super::{Door, Server};
use crate::server::Phase;
use crate::server::control::{Held, hung_up, shut};
use crate::server::peer::Peer;
use crate::ssh::codec::{Frame, Frames};
use crate::ssh::{Binding, Error};
use claviger::model::AuditPeer;
use interprocess::local_socket::tokio::Stream;
use rustix::net::Shutdown;
use std::io;
use std::sync::atomic::Ordering;
use std::sync::{Arc, OnceLock};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use zeroize::{Zeroize, Zeroizing};

/// Bytes that are read at once, and wiped after use: a key's message is longer, most others are shorter.
const READ_BYTES: usize = 4096;
/// A client that does not take an answer within this is gone.
const WRITE_MILLIS: u64 = 30_000;

/// A client, what its connection is bound to, and what it may reach.
pub(super) struct Connection {
    pub(super) door: Arc<Door>,
    /// The daemon around this door; none behind `claviger-ssh-agent`.
    pub(super) server: Option<Arc<Server>>,
    pub(super) binding: Binding,
    /// The bindings as they came, good ones and others: for the agents behind this one.
    pub(super) bindings: Vec<Vec<u8>>,
    pub(super) upstream: Vec<Upstream>,
    peer: Peer,
    seen: OnceLock<AuditPeer>,
    activity: Arc<Activity>,
}

/// What has been read and belongs to no message yet.
struct Input {
    buffer: Zeroizing<[u8; READ_BYTES]>,
    from: usize,
    to: usize,
    frames: Frames,
}

impl Connection {
    pub(super) fn new(door: Arc<Door>, server: Option<Arc<Server>>, peer: Peer, activity: Arc<Activity>) -> Self {
        let upstream = server.iter().flat_map(|server| server.upstream_paths()).map(Upstream::new).collect();
        let (binding, bindings, seen) = (Binding::default(), Vec::new(), OnceLock::new());
        Self { door, server, binding, bindings, upstream, peer, seen, activity }
    }

    /// Who is at the other end, with the programs that started it. Read once: a program may sign a thousand times.
    pub(super) fn peer(&self) -> AuditPeer {
        self.seen.get_or_init(|| self.peer.with_parents()).clone()
    }

    /// Answers until the client is gone.
    pub(super) async fn serve(mut self, stream: Stream) {
        let mut input = Input::new();
        loop {
            let frame = match input.next(&stream).await {
                Ok(Some(frame)) => frame,
                Ok(None) => return,
                Err(error) => return tracing::debug!(%error, "a connection of the SSH agent ended"),
            };
            let Some(held) = self.admitted().await else { return };
            self.activity.busy.store(true, Ordering::Relaxed);
            let server = self.server.clone();
            let reply = tokio::select! {
                biased;
                reply = self.answer(&frame) => Some(reply),
                // It may have gone while a person is asked: then nobody is.
                () = input.watch(&stream) => None,
                () = passing(server.as_ref()) => None,
            };
            // It may have brought a key.
            drop(frame);
            let Some(reply) = reply else { return };
            self.activity.busy.store(false, Ordering::Relaxed);
            self.activity.elsewhere.store(is_elsewhere(self.binding.state()), Ordering::Relaxed);
            let now = self.door.world.clock.boot();
            self.activity.last.store(now.0, Ordering::Relaxed);
            let mut writer = &stream;
            let written = tokio::select! {
                biased;
                written = writer.write_all(&reply) => written.is_ok(),
                () = self.door.world.clock.sleep_until(now.plus_millis(WRITE_MILLIS)) => false,
            };
            drop(held);
            if !written {
                return shut(&stream, Shutdown::Both);
            }
        }
    }

    /// Waits while a restart is under way, and counts the request, so that one waits for it. None where another process
    /// serves, or the agent ends: what it would do is done in vain.
    async fn admitted(&self) -> Option<Option<Held>> {
        let Some(server) = &self.server else { return Some(None) };
        loop {
            // First: a restart that comes now waits for it.
            let held = Held::new(server.clone(), None);
            match *server.phase.borrow() {
                Phase::Serving => return Some(Some(held)),
                Phase::Pausing | Phase::Passing => {}
                Phase::HandedOver | Phase::Stopping | Phase::Closing => return None,
            }
            drop(held);
            server.until(|phase| !matches!(phase, Phase::Pausing | Phase::Passing)).await;
        }
    }
}

/// Returns once all is on its way to another process; never behind `claviger-ssh-agent`.
async fn passing(server: Option<&Arc<Server>>) {
    match server {
        Some(server) => server.until(|phase| matches!(phase, Phase::Passing | Phase::HandedOver)).await,
        None => std::future::pending().await,
    }
}

impl Input {
    fn new() -> Self {
        Self { buffer: Zeroizing::new([0; READ_BYTES]), from: 0, to: 0, frames: Frames::default() }
    }

    /// The next message; None at the end.
    async fn next(&mut self, mut stream: &Stream) -> Result<Option<Frame>, Ended> {
        loop {
            if self.from == self.to {
                (self.from, self.to) = (0, stream.read(self.buffer.as_mut_slice()).await?);
                if self.to == 0 {
                    return Ok(None);
                }
            }
            let taken = self.buffer.get_mut(self.from..self.to).unwrap_or_default();
            let mut left = &*taken;
            let frame = self.frames.take(&mut left)?;
            let used = taken.len().saturating_sub(left.len());
            self.from = self.from.saturating_add(used);
            taken.split_at_mut(used).0.zeroize();
            if frame.is_some() {
                return Ok(frame);
            }
        }
    }

    /// Returns once the client is gone, as far as that can be seen: what it says meanwhile is kept, and hides it.
    async fn watch(&mut self, mut stream: &Stream) {
        if self.from == self.to {
            let count = stream.read(self.buffer.as_mut_slice()).await.unwrap_or_default();
            (self.from, self.to) = (0, count);
            if count == 0 && hung_up(stream) {
                return;
            }
        }
        std::future::pending().await
    }
}

/// Why a connection ended.
#[derive(Debug, thiserror::Error)]
enum Ended {
    #[error(transparent)]
    Message(#[from] Error),
    #[error(transparent)]
    Socket(#[from] io::Error),
}
