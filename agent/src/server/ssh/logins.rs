//! Logins to EC2 instances that are under way: the key of each was pushed as it began, and lives 60 seconds.
//!
//! sshd asks for a key twice: when it is offered, before the agent hears of it, and when the signature comes. So the key
//! is pushed as the connection begins, and again where that is some time ago: before the keys are listed, which comes
//! just before the offer, and before a signature leaves, for which a person may have been asked at length. Who logs in is
//! known by the process (`docs/decisions/0020-pushed-as-the-connection-begins.md`).

use super::connection::Connection;
use super::record::Signature;
use super::sign::NotSigned;
use super::vault_keys::is_elsewhere;
use super::{Door, Server};
use crate::aws::PUSHED_KEY_MILLIS;
use crate::jobs::instance::Candidate;
use crate::server::instance::Target;
use crate::ssh::Payload;
use crate::ssh::key::CardKey;
use crate::world::BootTime;
use claviger::model::AuditPeer;
use std::collections::HashMap;
use std::sync::{Arc, MutexGuard, PoisonError};

/// A push that is older is made again: what is left is for what is slow between here and the instance.
const FRESH_MILLIS: u64 = PUSHED_KEY_MILLIS / 2;
/// Longest login: sshd gives up after two minutes (sshd_config, LoginGraceTime), a client may try to connect for as long,
/// and a person may be asked for a PIN meanwhile. Afterwards the process is one like any other.
const LOGIN_MILLIS: u64 = 10 * 60_000;
/// Logins at once. The oldest gives way: its key was pushed all the same.
const LOGINS: usize = 4096;

/// A process, by what names one only: its id, and when it began.
pub(in crate::server) type Process = (i32, u64);

/// A login that is under way.
#[derive(Clone)]
pub(super) struct Login {
    target: Arc<Target>,
    began: BootTime,
    pushed: BootTime,
}

/// Logins by the process that logs in. Pure.
#[derive(Default)]
pub(super) struct Logins(HashMap<Process, Login>);

impl Logins {
    /// A login begins, or its key has been pushed again.
    fn pushed(&mut self, process: Process, target: Arc<Target>, now: BootTime) {
        self.0.retain(|_, login| login.lasts(now));
        let known = self.0.get(&process).filter(|login| Arc::ptr_eq(&login.target, &target));
        let began = known.map_or(now, |login| login.began);
        if self.0.len() >= LOGINS
            && let Some(oldest) = self.0.iter().min_by_key(|(_, login)| login.began).map(|(process, _)| *process)
        {
            self.0.remove(&oldest);
        }
        self.0.insert(process, Login { target, began, pushed: now });
    }

    fn of(&self, process: Process, now: BootTime) -> Option<&Login> {
        self.0.get(&process).filter(|login| login.lasts(now))
    }
}

impl Login {
    fn lasts(&self, now: BootTime) -> bool {
        now.millis_since(self.began) < LOGIN_MILLIS
    }

    /// Whether the key is to be pushed again before it is used.
    fn is_stale(&self, now: BootTime) -> bool {
        now.millis_since(self.pushed) >= FRESH_MILLIS
    }
}

/// The process itself; None of one that has ended.
pub(in crate::server) fn process(peer: &AuditPeer) -> Option<Process> {
    Some((peer.pid?, peer.start?))
}

/// The process that started it.
pub(in crate::server) fn parent(peer: &AuditPeer) -> Option<Process> {
    peer.chain.first().map(|parent| (parent.pid, parent.start))
}

impl Door {
    /// A login begins, or its key has been pushed again.
    pub(in crate::server) fn pushed(&self, process: Process, target: Arc<Target>) {
        self.logins().pushed(process, target, self.world.clock.boot());
    }

    /// The keys that could be pushed: the vault's, by their names, and those of the cards that are plugged in.
    pub(in crate::server) async fn candidates(&self, server: &Arc<Server>) -> Vec<Candidate> {
        let kept = self.vault_keys(server);
        let kept = kept.iter().map(|kept| Candidate {
            name: kept.name.to_string(),
            full_name: None,
            algorithm: algorithm(kept.key.blob()),
            blob: kept.key.blob().to_vec(),
            confined: !kept.constraints.destinations.is_empty(),
        });
        let mut keys: Vec<Candidate> = kept.collect();
        for card in server.card_keys().await {
            let can_sign = |key: &&crate::device::piv::Key| key.slot != claviger::model::PivSlot::KEY_MANAGEMENT;
            keys.extend(card.keys.iter().filter(can_sign).filter_map(|key| {
                let public = CardKey::new(key.algorithm, &key.public).ok()?;
                let serial = card.card.info.serial;
                Some(Candidate {
                    name: format!("piv:{}", key.slot),
                    full_name: serial.map(|serial| format!("piv:{serial}:{}", key.slot)),
                    algorithm: algorithm(public.blob()),
                    blob: public.blob().to_vec(),
                    confined: false,
                })
            }));
        }
        keys
    }

    fn logins(&self) -> MutexGuard<'_, Logins> {
        self.logins.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Connection {
    /// The key that this process logs in with to an instance, pushed anew where that is some time ago. Another is not to
    /// be offered: an sshd takes six. None for every other process, and for what comes through it from another machine.
    pub(super) async fn login_key(&self) -> Option<Vec<u8>> {
        let (process, login) = self.login()?;
        self.freshen(process, &login).await;
        Some(login.target.key.blob.clone())
    }

    /// Has the instance take the key once more, where this is a signature for its user and the push is some time ago: a
    /// person may have been asked meanwhile. A lock that comes during that ends it.
    pub(super) async fn push_for(&self, blob: &[u8], signature: &Signature<'_>) -> Result<(), NotSigned> {
        let is_its = |login: &Login| {
            let user = login.target.user.as_bytes();
            login.target.key.blob == blob
                && matches!(signature.payload, Payload::Userauth(request) if request.user == user)
        };
        let Some((process, login)) = self.login().filter(|(_, login)| is_its(login)) else { return Ok(()) };
        self.freshen(process, &login).await;
        let open = self.server.as_ref().is_some_and(|server| server.custody.is_unlocked());
        if open && !self.is_locked() { Ok(()) } else { Err(NotSigned::Gone) }
    }

    fn login(&self) -> Option<(Process, Login)> {
        // Nearly always: nobody need be looked at.
        if self.door.logins().0.is_empty() {
            return None;
        }
        let process = process(&self.peer()).filter(|_| !is_elsewhere(self.binding.state()))?;
        let login = self.door.logins().of(process, self.door.world.clock.boot()).cloned()?;
        Some((process, login))
    }

    /// Where AWS refuses, the login goes on: sshd may take the key still, and its word is final.
    async fn freshen(&self, process: Process, login: &Login) {
        let Some(server) = &self.server else { return };
        if !login.is_stale(self.door.world.clock.boot()) {
            return;
        }
        match server.push_again(&login.target, self.peer()).await {
            Ok(()) => self.door.pushed(process, login.target.clone()),
            Err(fault) => tracing::info!(code = %fault.code, "a key was not pushed again"),
        }
    }
}

/// The type of a public key, by the name that its blob begins with (RFC 4253 section 6.6).
fn algorithm(blob: &[u8]) -> String {
    let name = blob.split_at_checked(4).and_then(|(length, rest)| {
        let length = u32::from_be_bytes(length.try_into().ok()?);
        rest.get(..usize::try_from(length).ok()?)
    });
    String::from_utf8_lossy(name.unwrap_or_default()).into_owned()
}

#[cfg(test)]
mod tests {
    use super::{FRESH_MILLIS, LOGIN_MILLIS, LOGINS, Logins, algorithm};
    use crate::jobs::instance::Candidate;
    use crate::server::instance::Target;
    use crate::world::BootTime;
    use std::sync::Arc;

    fn target(user: &str) -> Arc<Target> {
        let (name, algorithm) = ("work".to_owned(), "ssh-ed25519".to_owned());
        let key = Candidate { name, full_name: None, algorithm, blob: vec![1], confined: false };
        let (region, instance) = ("us-east-1".parse().unwrap(), "i-0123456789abcdef0".parse().unwrap());
        Arc::new(Target { profile: "prod".to_owned(), region, instance, user: user.to_owned(), key })
    }

    #[test]
    fn a_login_lasts_its_time_and_its_key_grows_stale_until_it_is_pushed_again() {
        let (mut logins, process, ada) = (Logins::default(), (7, 1), target("ada"));
        let at = |millis| BootTime(1_000_000 + millis);
        logins.pushed(process, ada.clone(), at(0));
        assert!(logins.of((7, 2), at(0)).is_none(), "a later process of the same number");
        let stale = |logins: &Logins, now| logins.of(process, now).map(|login| login.is_stale(now));
        assert_eq!(stale(&logins, at(FRESH_MILLIS - 1)), Some(false));
        assert_eq!(stale(&logins, at(FRESH_MILLIS)), Some(true));
        logins.pushed(process, ada.clone(), at(FRESH_MILLIS));
        assert_eq!(stale(&logins, at(FRESH_MILLIS)), Some(false));
        // Pushing again does not make the login longer; another login of the process begins anew.
        assert!(logins.of(process, at(LOGIN_MILLIS - 1)).is_some());
        assert!(logins.of(process, at(LOGIN_MILLIS)).is_none());
        logins.pushed(process, target("ada"), at(LOGIN_MILLIS - 1));
        assert!(logins.of(process, at(LOGIN_MILLIS)).is_some());
    }

    #[test]
    fn there_are_so_many_logins_and_the_oldest_gives_way() {
        let (mut logins, ada) = (Logins::default(), target("ada"));
        for number in 0..=LOGINS {
            let process = (i32::try_from(number).unwrap(), 1);
            logins.pushed(process, ada.clone(), BootTime(u64::try_from(number).unwrap()));
        }
        let now = BootTime(u64::try_from(LOGINS).unwrap());
        assert_eq!(logins.0.len(), LOGINS);
        assert!(logins.of((0, 1), now).is_none() && logins.of((1, 1), now).is_some());
    }

    #[test]
    fn the_type_is_what_the_blob_begins_with() {
        assert_eq!(algorithm(b"\0\0\0\x07ssh-rsa\0\0\0\x03"), "ssh-rsa");
        for short in [&b""[..], b"\0\0", b"\0\0\0\x07ssh", b"\xff\xff\xff\xffx"] {
            assert_eq!(algorithm(short), "");
        }
    }
}
