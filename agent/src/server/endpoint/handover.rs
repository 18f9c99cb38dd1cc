//! A planned restart: listeners and what belongs to them go to the successor, and no program notices.

use super::checks::Door;
use super::open::{End, Endpoint, Endpoints, port_of};
use super::owner::Owner;
use super::token::TokenDigest;
use super::{Error, imds};
use crate::server::Server;
use crate::world::BootTime;
use claviger::model::Region;
use claviger::wire::EndpointKind;
use data_encoding::HEXLOWER;
use serde::{Deserialize, Serialize};
use std::io;
use std::net::TcpListener as StdListener;
use std::os::fd::{AsFd, OwnedFd};
use std::path::PathBuf;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, OnceLock};
use tokio::net::TcpListener;
use zeroize::Zeroizing;

/// An endpoint on its way to the successor: digests instead of tokens, times on the boot clock, which goes on.
#[derive(Serialize, Deserialize)]
struct Record {
    profile: String,
    kind: EndpointKind,
    region: Option<Region>,
    pid: i32,
    started: u64,
    linger_millis: u64,
    lingers_until: Option<u64>,
    digest: Option<String>,
    token_file: Option<PathBuf>,
    failures: u32,
    tokens: Vec<(String, u64)>,
}

impl Endpoints {
    /// Stops accepting and gives every listener away with its record. What is under way is still answered here; what
    /// comes meanwhile waits in the listener's queue. Token files stay.
    pub fn hand_over(&self) -> Vec<(OwnedFd, Zeroizing<Vec<u8>>)> {
        let mut given = Vec::new();
        for entry in self.take_out() {
            let listener = entry.listener.as_fd().try_clone_to_owned();
            let record = serde_json::to_vec(&record_of(&entry.endpoint)).map_err(io::Error::from);
            match (listener, record) {
                (Ok(listener), Ok(record)) => given.push((listener, Zeroizing::new(record))),
                (Err(error), _) | (_, Err(error)) => tracing::warn!(%error, "an endpoint was not handed over"),
            }
            entry.end(End::AfterAnswers);
        }
        given
    }

    /// Goes on with what a predecessor handed over; says how many there are. One whose process has ended meanwhile
    /// lingers, or closes at once.
    pub fn take_over(&self, server: &Arc<Server>, given: Vec<(OwnedFd, Zeroizing<Vec<u8>>)>) -> usize {
        let mut taken = 0;
        for (listener, record) in given {
            match self.take(server, listener, &record) {
                Ok(()) => taken += 1,
                Err(error) => tracing::warn!(%error, "an endpoint was not taken over"),
            }
        }
        taken
    }

    fn take(&self, server: &Arc<Server>, listener: OwnedFd, record: &[u8]) -> Result<(), Error> {
        let bad = || Error::NotListening(io::ErrorKind::InvalidData.into());
        let record: Record = serde_json::from_slice(record).map_err(|_| bad())?;
        let listener = StdListener::from(listener);
        listener.set_nonblocking(true).map_err(Error::NotListening)?;
        let listener = TcpListener::from_std(listener).map_err(Error::NotListening)?;
        let port = port_of(&listener).map_err(Error::NotListening)?;
        let owner = Owner { pid: record.pid, started: record.started };
        let process = if record.lingers_until.is_none() { owner.find() } else { None };
        let token = record.digest.map(|digest| digest_of(&digest).ok_or_else(bad)).transpose()?;
        if token.is_some() != (record.kind == EndpointKind::Container) {
            return Err(bad());
        }
        let tokens = record.tokens.iter().filter_map(|(digest, until)| Some((digest_of(digest)?, BootTime(*until))));
        let endpoint = Endpoint {
            door: Door { kind: record.kind, port, role: imds::role_of(&record.profile) },
            profile: record.profile,
            region: record.region,
            owner,
            linger_millis: record.linger_millis,
            lingers: record.lingers_until.map_or_else(OnceLock::new, |until| OnceLock::from(BootTime(until))),
            token,
            token_file: record.token_file,
            tokens: imds::Tokens::with(tokens),
            failures: AtomicU32::new(record.failures),
        };
        self.begin(server, endpoint, listener, process)
    }
}

fn record_of(endpoint: &Endpoint) -> Record {
    let hex = |digest: &TokenDigest| HEXLOWER.encode(&digest.0);
    Record {
        profile: endpoint.profile.clone(),
        kind: endpoint.door.kind,
        region: endpoint.region.clone(),
        pid: endpoint.owner.pid,
        started: endpoint.owner.started,
        linger_millis: endpoint.linger_millis,
        lingers_until: endpoint.lingers.get().map(|until| until.0),
        digest: endpoint.token.as_ref().map(hex),
        token_file: endpoint.token_file.clone(),
        failures: endpoint.failures.load(Ordering::Acquire),
        tokens: endpoint.tokens.all().iter().map(|(digest, until)| (hex(digest), until.0)).collect(),
    }
}

fn digest_of(hex: &str) -> Option<TokenDigest> {
    let bytes = HEXLOWER.decode(hex.as_bytes()).ok()?;
    Some(TokenDigest(bytes.try_into().ok()?))
}
