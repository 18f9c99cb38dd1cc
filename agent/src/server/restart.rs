//! `restart`: another process of this agent takes its place, and nobody is turned away.

use super::desktop::Shut;
use super::fault;
use super::listen::Way;
use super::succession::{self, Packet, Reach, Successor};
use super::{CLOSE_MILLIS, DRAIN_MILLIS, Phase, Server};
use crate::vault::{Closure, HandedOver, LockedBy, Version};
use crate::world::{BootTime, WallTime};
use claviger::wire::{Code, Fault, Restarted};
use serde::{Deserialize, Serialize};
use std::os::fd::{AsFd, OwnedFd};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use zeroize::Zeroizing;

/// A listener of an endpoint, and what it is about.
pub(crate) type Listening = (OwnedFd, Zeroizing<Vec<u8>>);

/// The name of an endpoint among the packets.
const ENDPOINT: &str = "endpoint";
/// The name of [`Circumstances`] among the packets.
const CIRCUMSTANCES: &str = "circumstances";
/// The name of the vault's master key among the packets.
const MASTER_KEY: &str = "master_key";

/// What the successor goes on from. Times are on the boot clock, in milliseconds: it is the same boot.
#[derive(Default, Serialize, Deserialize)]
#[serde(default)]
struct Circumstances {
    locked_by: Option<String>,
    guess_wait_millis: u64,
    guess_not_before: Option<u64>,
    known: Option<Known>,
    last_request: Option<u64>,
    presence: Option<u64>,
    clock_offset: Option<i64>,
    shut: Shut,
}

/// The latest version of the vault that is known.
#[derive(Serialize, Deserialize)]
struct Known {
    vault_id: [u8; 16],
    generation: u64,
    mac: [u8; 32],
    saved: i64,
}

impl Server {
    /// Has another process take this one's place. The old one goes on as it was where that fails.
    pub(super) async fn restart(self: &Arc<Self>) -> Result<Restarted, Fault> {
        // Everyone's end is waited for but its own.
        let _uncounted = Uncounted::new(self);
        let server = self.clone();
        // In a task of its own: a client that hangs up does not leave it half done.
        let replaced = tokio::spawn(async move { server.replace().await }).await;
        replaced.unwrap_or_else(|_| Err(Fault::new(Code::Internal, "the restart was a defect")))
    }

    async fn replace(self: Arc<Self>) -> Result<Restarted, Fault> {
        let _turn = self.succession.turn.lock().await;
        if *self.phase.borrow() != Phase::Serving {
            return Err(stopping());
        }
        let server = self.clone();
        // Before anybody has to wait: starting takes the longest.
        let (successor, agent, reach) = blocking(move || {
            let program = &server.succession.program;
            let reach = program.within_reach(rustix::process::geteuid().as_raw());
            let (successor, agent) = Successor::start(program, server.succession.detached)?;
            Ok((successor, agent, reach))
        })
        .await?;
        let pid = successor.pid();
        let trusted = reach.is_none();
        let withheld = reach.filter(|_| self.custody.is_unlocked());
        let endpoints = if self.enter(Phase::Serving, Phase::Pausing) { self.wind_up().await } else { None };
        if let Some(endpoints) = endpoints {
            let (server, open) = (self.clone(), (withheld.is_none(), trusted));
            let passed = blocking(move || server.pass_on(successor, open, endpoints)).await;
            if passed.is_ok() {
                // From the main process, as long as that is this one: systemd follows the successor (sd_notify(3)).
                drop(sd_notify::notify(&[sd_notify::NotifyState::MainPid(pid)]));
                self.phase.send_replace(Phase::HandedOver);
                tracing::info!(pid, agent, "another process has taken over");
                return Ok(Restarted { pid, agent, locked: withheld.as_ref().map(Reach::to_string) });
            }
            self.enter(Phase::Passing, Phase::Serving);
            self.activity.wake.notify_one();
            if let Err(fault) = &passed {
                tracing::warn!(%fault, "not restarted");
            }
            return passed.and(Err(stopping()));
        }
        // It is killed and waited for.
        let ended = move || {
            drop(successor);
            Err(stopping())
        };
        blocking(ended).await
    }

    /// Waits for the requests in hand, at most five seconds, and cuts off what is left; then for the answers of the
    /// endpoints, which accept no more: what is handed out here is recorded here. None where a stop came first.
    async fn wind_up(&self) -> Option<Vec<Listening>> {
        if !self.quiet(DRAIN_MILLIS).await {
            tracing::warn!("requests in hand are left to the successor");
        }
        if !self.enter(Phase::Pausing, Phase::Passing) {
            return None;
        }
        let endpoints = self.endpoints.hand_over();
        self.none_left(&self.activity.answers, CLOSE_MILLIS).await;
        // Fetches that nobody waits for any more, or whose requests were cut off.
        self.office.lock(false);
        Some(endpoints)
    }

    /// Passes everything on and lets the successor serve. After an error it has ended and all is as before.
    fn pass_on(
        self: &Arc<Self>,
        successor: Successor,
        (open, trusted): (bool, bool),
        endpoints: Vec<Listening>,
    ) -> Result<(), Fault> {
        self.office.save_pins();
        self.journal.suspend();
        // While the vault is open: it seals them where the successor may not have them readable.
        let ssh_keys = self.ssh.belongings(trusted, |key| self.custody.seal_aside(key));
        // A lock that comes meanwhile finds them sealed.
        self.ssh.put_aside(&self.custody, || ());
        // What a write in hand still changes, it changes before this.
        let handed = self.custody.hand_over();
        let passed = self.pass_all(&successor, handed.as_ref(), &endpoints, open, ssh_keys).and_then(|()| {
            let locked = handed.as_ref().is_some_and(|handed| !self.custody.still_open(handed));
            if locked || *self.phase.borrow() != Phase::Passing {
                drop(successor);
                return Err(Fault::new(
                    Code::AgentRestartFailed,
                    "the vault was locked, or the agent stopped, meanwhile",
                ));
            }
            successor.go()
        });
        if passed.is_err() {
            if let Some(handed) = handed {
                self.custody.take_back(handed);
            }
            self.ssh.take_back(|sealed| self.custody.open_aside(sealed));
            self.journal.resume();
            self.endpoints.take_over(self, endpoints);
        }
        passed
    }

    fn pass_all(
        &self,
        successor: &Successor,
        handed: Option<&HandedOver>,
        endpoints: &[Listening],
        open: bool,
        ssh_keys: Vec<Packet>,
    ) -> Result<(), Fault> {
        {
            let door = self.succession.door(Way::Control);
            let door = door.as_ref().ok_or_else(stopping)?;
            successor.pass(succession::SOCKET, door.path(), Some(door.socket.as_fd()))?;
        }
        if let Some(door) = self.succession.door(Way::Ssh).as_ref() {
            successor.pass(succession::SSH_SOCKET, door.path(), Some(door.socket.as_fd()))?;
        }
        successor.pass(succession::LOCK, b"", Some(self.succession.lock.as_fd()))?;
        // The SSH keys before the master key: with that the successor opens those that are sealed.
        for packet in ssh_keys.into_iter().chain(self.belongings(handed, open)) {
            successor.pass(&packet.name, &packet.bytes, packet.descriptor.as_ref().map(AsFd::as_fd))?;
        }
        for (listener, record) in endpoints {
            successor.pass(ENDPOINT, record, Some(listener.as_fd()))?;
        }
        successor.prepare()
    }

    /// What the rooms pass to a successor, in the order in which it is taken over. A room that holds something open
    /// adds its own packets here, by a name of its own, with a descriptor each if need be.
    /// `handed` is the vault if it was open, and `open` whether it stays so.
    fn belongings(&self, handed: Option<&HandedOver>, open: bool) -> Vec<Packet> {
        let closure = self.custody.closure();
        let (presence, clock_offset) = self.office.learnt();
        // A vault that was open and is withheld is locked by the start of the successor.
        let locked_by = if handed.is_some() { LockedBy::Start } else { closure.locked_by };
        let handed = handed.filter(|_| open);
        let circumstances = Circumstances {
            locked_by: Some(locked_by.as_str().to_owned()),
            guess_wait_millis: closure.guess_wait_millis,
            guess_not_before: closure.guess_not_before.map(|time| time.0),
            known: closure.known.map(|(vault_id, Version { generation, mac, saved })| Known {
                vault_id,
                generation,
                mac,
                saved: saved.0,
            }),
            last_request: Some(self.activity.last.load(Ordering::Acquire)),
            presence: presence.filter(|_| handed.is_some()).map(|time| time.0),
            clock_offset,
            shut: self.desktop.why_shut(),
        };
        let circumstances = serde_json::to_vec(&circumstances).unwrap_or_default();
        let mut packets = vec![packet(CIRCUMSTANCES, circumstances)];
        packets.extend(handed.map(|handed| packet(MASTER_KEY, handed.master_key().to_vec())));
        packets
    }

    /// Takes over what a predecessor passed. The endpoints are given back: they are served once it is this one's turn.
    pub(crate) fn inherit(&self, packets: Vec<Packet>) -> Result<Vec<Listening>, Fault> {
        let mut endpoints = Vec::new();
        for packet in packets {
            match packet.name.as_str() {
                CIRCUMSTANCES => self.inherit_circumstances(&packet.bytes),
                ENDPOINT => endpoints.extend(packet.descriptor.map(|listener| (listener, packet.bytes))),
                MASTER_KEY => {
                    let now = self.office.aws().corrected_now();
                    self.custody.take_over(&packet.bytes, now).map_err(fault::vault)?;
                    self.open_record();
                    self.office.reopen();
                    self.ssh.take_back(|sealed| self.custody.open_aside(sealed));
                    self.activity.wake.notify_one();
                    self.desktop.vault_opened.notify_one();
                }
                _ if self.ssh.inherit(&packet) => {}
                name => tracing::info!(name, "not taken over: another version's"),
            }
        }
        Ok(endpoints)
    }

    /// Those of another version may lack some, or be unreadable: then this agent starts as any other does.
    fn inherit_circumstances(&self, bytes: &[u8]) {
        let passed: Circumstances = serde_json::from_slice(bytes).unwrap_or_default();
        let locked_by = passed.locked_by.as_deref().and_then(LockedBy::named).unwrap_or(LockedBy::Start);
        self.custody.resume_closure(Closure {
            locked_by,
            guess_wait_millis: passed.guess_wait_millis,
            guess_not_before: passed.guess_not_before.map(BootTime),
            known: passed.known.map(|Known { vault_id, generation, mac, saved }| {
                (vault_id, Version { generation, mac, saved: WallTime(saved) })
            }),
        });
        self.desktop.stay_shut(passed.shut);
        self.office.relearn(passed.presence.map(BootTime), passed.clock_offset);
        if let Some(last) = passed.last_request {
            self.activity.last.store(last.min(self.world.clock.boot().0), Ordering::Release);
        }
    }
}

/// While it lives, one request less is in hand.
struct Uncounted<'a>(&'a Server);

impl<'a> Uncounted<'a> {
    fn new(server: &'a Server) -> Self {
        server.activity.requests.fetch_sub(1, Ordering::AcqRel);
        server.activity.quiet.notify_waiters();
        Self(server)
    }
}

impl Drop for Uncounted<'_> {
    fn drop(&mut self) {
        self.0.activity.requests.fetch_add(1, Ordering::AcqRel);
    }
}

fn packet(name: &str, bytes: Vec<u8>) -> Packet {
    Packet { name: name.to_owned(), bytes: Zeroizing::new(bytes), descriptor: None }
}

fn stopping() -> Fault {
    Fault::new(Code::AgentStopping, "the agent is stopping")
}

async fn blocking<T: Send + 'static>(work: impl FnOnce() -> Result<T, Fault> + Send + 'static) -> Result<T, Fault> {
    let done = tokio::task::spawn_blocking(work).await;
    done.unwrap_or_else(|_| Err(Fault::new(Code::Internal, "the restart was a defect")))
}

#[cfg(test)]
mod tests {
    use super::Circumstances;
    use crate::testing::parsers::{Parser, Verdict};

    #[test]
    fn what_a_predecessor_tells_withstands_damage() {
        let parser = Parser {
            name: "succession-circumstances",
            more: Vec::new(),
            tokens: &[
                b"{",
                b"}",
                b"\"",
                b",",
                b":",
                b"null",
                b"true",
                b"\"locked_by\":",
                b"\"idle\"",
                b"\"known\":{\"vault_id\":[0]}",
                b"\"shut\":{}",
                b"[]",
            ],
            taken: 50,
            refusals: &["unreadable"],
            parse: &|input| match serde_json::from_slice::<Circumstances>(input) {
                Ok(told) => {
                    let written = serde_json::to_vec(&told).unwrap();
                    let again: Circumstances = serde_json::from_slice(&written).unwrap();
                    // A set has no order.
                    assert!(serde_json::to_vec(&again).unwrap().len() == written.len(), "a second meaning");
                    Verdict::Accepted
                }
                Err(_) => Verdict::none("unreadable"),
            },
        };
        parser.withstands_damage();
    }
}
