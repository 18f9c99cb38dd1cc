//! Accepting: whose connection it is, how many there are, and which one gives way.

use super::connection::Connection;
use super::{Door, Server};
use crate::server::listen::{BREATH_MILLIS, listening};
use crate::server::peer::Peer;
use crate::ssh::limits;
use interprocess::local_socket::tokio::{Listener, Stream};
use interprocess::local_socket::traits::StreamCommon as _;
use interprocess::local_socket::traits::tokio::Listener as _;
use std::io;
use std::os::fd::OwnedFd;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, PoisonError};
use tokio::task::AbortHandle;

/// A socket of the SSH door, listening.
pub struct Listening(Listener);

impl Listening {
    /// Listens on a socket that is bound already.
    pub fn on(socket: OwnedFd) -> io::Result<Self> {
        listening(socket).map(Self)
    }
}

/// Serves whoever connects, without end.
pub async fn keep(door: Arc<Door>, socket: Listening) {
    loop {
        match socket.0.accept().await {
            Ok(stream) => door.welcome(None, stream),
            Err(error) => {
                tracing::warn!(%error, "a connection was not accepted");
                door.world.clock.sleep_until(door.world.clock.boot().plus_millis(BREATH_MILLIS)).await;
            }
        }
    }
}

/// A connection, as the others see it.
pub(super) struct Guest {
    task: AbortHandle,
    activity: Arc<Activity>,
}

/// What a connection does, as those see it who look for one to end.
#[derive(Default)]
pub(super) struct Activity {
    /// Boot clock of its last request, in milliseconds.
    pub(super) last: AtomicU64,
    /// Whether a request is in hand.
    pub(super) busy: AtomicBool,
    /// Whether it comes from another machine, or may.
    pub(super) elsewhere: AtomicBool,
}

impl Door {
    /// Serves a connection in a task of its own. Another user's is refused before a byte is read; root is not: it
    /// could read the keys anyway, and `sudo` with this agent works as with OpenSSH's. Where there are as many as may
    /// be, the one gives way that has asked for nothing the longest, else one of another machine that waits: a far
    /// side that opens them without end keeps nobody out.
    pub(in crate::server) fn welcome(self: &Arc<Self>, server: Option<&Arc<Server>>, stream: Stream) {
        let own = rustix::process::geteuid().as_raw();
        let credentials = stream.peer_creds().ok();
        match credentials.as_ref().and_then(|peer| peer.euid()) {
            Some(uid) if uid == own || uid == 0 => {}
            uid => return tracing::warn!(?uid, "refused a connection of another user to the SSH agent"),
        }
        let peer = Peer::of(credentials.and_then(|peer| peer.pid()));
        let activity = Arc::new(Activity::default());
        activity.last.store(self.world.clock.boot().0, Ordering::Relaxed);
        let connection = Connection::new(self.clone(), server.cloned(), peer, activity.clone());
        let mut guests = self.guests.lock().unwrap_or_else(PoisonError::into_inner);
        guests.retain(|guest| !guest.task.is_finished());
        if guests.len() >= limits::CONNECTIONS {
            let rank = |guest: &Guest| {
                let (waits, elsewhere) = (&guest.activity.busy, &guest.activity.elsewhere);
                let waits = waits.load(Ordering::Relaxed);
                let may_go = !waits || elsewhere.load(Ordering::Relaxed);
                may_go.then(|| (waits, guest.activity.last.load(Ordering::Relaxed)))
            };
            let ranked = guests.iter().enumerate().filter_map(|(at, guest)| Some((rank(guest)?, at)));
            let Some((_, at)) = ranked.min() else {
                return tracing::warn!("the SSH agent has as many connections as it takes, and all wait");
            };
            guests.swap_remove(at).task.abort();
        }
        guests.push(Guest { task: tokio::spawn(connection.serve(stream)).abort_handle(), activity });
    }
}
