//! The endpoints that are open, and how they open and close.

use super::checks::{CREDENTIALS, Door};
use super::owner::Owner;
use super::record;
use super::token::{self, TokenDigest};
use super::{CLOSED_LIMIT, ENDPOINTS_LIMIT, Error, FAILURES_LIMIT, imds, serve};
use crate::audit::{Event, Journal};
use crate::server::Server;
use crate::server::peer::Peer;
use crate::world::{BootTime, World};
use claviger::model::{Label, Region};
use claviger::wire::{EndpointKind, EndpointRow, OpenEndpoint};
use std::collections::BTreeMap;
use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::os::fd::OwnedFd;
use std::path::PathBuf;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use tokio::net::TcpListener;
use tokio::sync::watch;

/// What is asked for.
pub(in crate::server) struct Opening {
    pub(in crate::server) profile: String,
    pub(in crate::server) kind: EndpointKind,
    pub(in crate::server) linger_millis: u64,
    pub(in crate::server) region: Option<Region>,
}

/// An open endpoint.
pub(super) struct Endpoint {
    pub(super) profile: String,
    pub(super) region: Option<Region>,
    pub(super) door: Door,
    pub(super) owner: Owner,
    pub(super) linger_millis: u64,
    /// Until when it goes on, once its owner has ended.
    pub(super) lingers: OnceLock<BootTime>,
    /// What a request must carry (container).
    pub(super) token: Option<TokenDigest>,
    pub(super) token_file: Option<PathBuf>,
    /// What a request must carry (IMDS).
    pub(super) tokens: imds::Tokens,
    pub(super) failures: AtomicU32,
}

/// How an endpoint ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum End {
    /// Not yet.
    Open,
    /// At once, with whatever is under way.
    Now,
    /// The listener at once, the answers under way in their time.
    AfterAnswers,
}

/// An endpoint and what keeps its port open.
pub(super) struct Entry {
    pub(super) endpoint: Arc<Endpoint>,
    pub(super) listener: Arc<TcpListener>,
    end: watch::Sender<End>,
}

/// The endpoints of the agent.
pub struct Endpoints {
    world: World,
    /// Folders that may hold token files, best first.
    folders: Vec<PathBuf>,
    journal: Arc<Journal>,
    desk: Mutex<Desk>,
}

#[derive(Default)]
struct Desk {
    /// By port, which no two have.
    open: BTreeMap<u16, Entry>,
    /// Those that were closed for wrong tokens.
    closed: Vec<String>,
}

impl Endpoints {
    /// None open yet.
    pub(crate) fn new(world: World, folders: Vec<PathBuf>, journal: Arc<Journal>) -> Self {
        Self { world, folders, journal, desk: Mutex::default() }
    }

    /// Opens an endpoint for the process that asks.
    pub(in crate::server) async fn open(
        &self,
        server: &Arc<Server>,
        opening: Opening,
        peer: &Peer,
    ) -> Result<OpenEndpoint, Error> {
        let Opening { profile, kind, linger_millis, region } = opening;
        let (owner, process) = Owner::of(peer).ok_or(Error::NoOwner)?;
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.map_err(Error::NotListening)?;
        let port = port_of(&listener).map_err(Error::NotListening)?;
        let (token, token_file) = match kind {
            EndpointKind::Container => {
                let (token, digest) = token::new(&self.world).map_err(Error::NoEntropy)?;
                let file = token::save(&self.world, &self.folders, &token)?;
                (Some((token, digest)), Some(file))
            }
            EndpointKind::Imds => (None, None),
        };
        let endpoint = Endpoint {
            door: Door { kind, port, role: imds::role_of(&profile) },
            profile,
            region: region.clone(),
            owner,
            linger_millis,
            lingers: OnceLock::new(),
            token: token.as_ref().map(|(_, digest)| *digest),
            token_file: token_file.clone(),
            tokens: imds::Tokens::default(),
            failures: AtomicU32::new(0),
        };
        let opened = record::of_endpoint(Event::EndpointOpen, &endpoint);
        if let Err(error) = self.begin(server, endpoint, listener, Some(process)) {
            token_file.into_iter().for_each(|file| drop(self.world.disk.remove(&file)));
            return Err(error);
        }
        self.journal.note(opened);
        let path = if kind == EndpointKind::Container { CREDENTIALS } else { "/" };
        let url = format!("http://127.0.0.1:{port}{path}");
        Ok(OpenEndpoint { url, token: token.map(|(token, _)| token), token_file, region })
    }

    /// Enters an endpoint and serves it. Without its process it lingers from now on.
    pub(super) fn begin(
        &self,
        server: &Arc<Server>,
        endpoint: Endpoint,
        listener: TcpListener,
        process: Option<OwnedFd>,
    ) -> Result<(), Error> {
        // Inherited by every connection: no router or bridge passes its packets on.
        rustix::net::sockopt::set_ip_ttl(&listener, 1).map_err(|error| Error::NotListening(error.into()))?;
        let (endpoint, listener) = (Arc::new(endpoint), Arc::new(listener));
        let (end, ended) = watch::channel(End::Open);
        let entry = Entry { endpoint: endpoint.clone(), listener: listener.clone(), end };
        {
            let mut desk = self.desk();
            if desk.open.len() >= ENDPOINTS_LIMIT {
                return Err(Error::TooMany);
            }
            desk.open.insert(endpoint.door.port, entry);
        }
        tracing::info!(kind = ?endpoint.door.kind, pid = endpoint.owner.pid, "opened an endpoint");
        tokio::spawn(serve::serve(server.clone(), endpoint, listener, process, ended));
        Ok(())
    }

    /// Closes an endpoint. Its port is free once its task has let go too.
    pub(super) fn close(&self, endpoint: &Endpoint, end: End) {
        // Only this one, not a later one with its port.
        let entry = {
            let mut desk = self.desk();
            let same = |entry: &Entry| std::ptr::eq(&*entry.endpoint, endpoint);
            if desk.open.get(&endpoint.door.port).is_some_and(same) {
                desk.open.remove(&endpoint.door.port)
            } else {
                None
            }
        };
        if let Some(entry) = entry {
            self.finish(entry, end);
        }
    }

    /// Counts a wrong token; the last one closes the endpoint.
    pub(super) fn failed(&self, endpoint: &Endpoint) {
        if endpoint.failures.fetch_add(1, Ordering::AcqRel).saturating_add(1) != FAILURES_LIMIT {
            return;
        }
        tracing::warn!(pid = endpoint.owner.pid, "closed an endpoint after too many wrong tokens");
        let warning = format!(
            "the endpoint of {} for process {} was closed after {FAILURES_LIMIT} requests without its token",
            Label(&endpoint.profile),
            endpoint.owner.pid
        );
        {
            let mut desk = self.desk();
            let excess = desk.closed.len().saturating_add(1).saturating_sub(CLOSED_LIMIT);
            desk.closed.drain(..excess);
            desk.closed.push(warning);
        }
        self.close(endpoint, End::AfterAnswers);
    }

    /// Ends those whose process has ended: `claviger lock`. Whoever locks has seen the warnings.
    pub(in crate::server) fn end_lingering(&self) {
        self.desk().closed.clear();
        self.close_those(|endpoint| endpoint.lingers.get().is_some());
    }

    /// Ends all of them.
    pub(in crate::server) fn close_all(&self) {
        self.close_those(|_| true);
    }

    /// Removes token files that no open endpoint has. Called once at the start, by the one agent that serves.
    pub fn sweep(&self) {
        let kept: Vec<PathBuf> =
            self.desk().open.values().filter_map(|entry| entry.endpoint.token_file.clone()).collect();
        token::sweep(&*self.world.disk, &self.folders, &kept);
    }

    /// For `status`.
    pub(in crate::server) fn rows(&self) -> Vec<EndpointRow> {
        let now = self.world.clock.boot();
        let row = |Entry { endpoint, .. }: &Entry| EndpointRow {
            profile: endpoint.profile.clone(),
            kind: endpoint.door.kind,
            pid: endpoint.owner.pid.cast_unsigned(),
            lingering: endpoint.lingers.get().map(|until| until.millis_since(now) / 1000),
        };
        self.desk().open.values().map(row).collect()
    }

    /// For `status`: what a person should know of.
    pub(in crate::server) fn warnings(&self) -> Vec<String> {
        self.desk().closed.clone()
    }

    /// Takes all entries out without closing anything.
    pub(super) fn take_out(&self) -> Vec<Entry> {
        std::mem::take(&mut self.desk().open).into_values().collect()
    }

    fn close_those(&self, which: impl Fn(&Endpoint) -> bool) {
        let entries: Vec<Entry> =
            self.desk().open.extract_if(.., |_, entry| which(&entry.endpoint)).map(|(_, entry)| entry).collect();
        for entry in entries {
            self.finish(entry, End::Now);
        }
    }

    fn finish(&self, entry: Entry, end: End) {
        if let Some(file) = &entry.endpoint.token_file {
            drop(self.world.disk.remove(file));
        }
        tracing::info!(kind = ?entry.endpoint.door.kind, pid = entry.endpoint.owner.pid, "closed an endpoint");
        self.journal.note(record::of_endpoint(Event::EndpointClose, &entry.endpoint));
        entry.end(end);
    }

    fn desk(&self) -> MutexGuard<'_, Desk> {
        self.desk.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Entry {
    /// Ends its task.
    pub(super) fn end(self, end: End) {
        self.end.send_replace(end);
    }
}

impl Endpoint {
    /// When it lingers to, once its owner has ended.
    pub(super) fn linger_from(&self, now: BootTime) -> BootTime {
        *self.lingers.get_or_init(|| now.plus_millis(self.linger_millis))
    }
}

/// The port of a listener on the loopback.
pub(super) fn port_of(listener: &TcpListener) -> io::Result<u16> {
    match listener.local_addr()? {
        SocketAddr::V4(address) if *address.ip() == Ipv4Addr::LOCALHOST => Ok(address.port()),
        _ => Err(io::ErrorKind::AddrNotAvailable.into()),
    }
}
