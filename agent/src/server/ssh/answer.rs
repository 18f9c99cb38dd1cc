//! From a message to its answer.

use super::Door;
use super::connection::Connection;
use super::upstream::joined;
use crate::ssh::codec::{AddIdentity, Extension, Frame, ListedIdentity, Reply, Request};
use crate::ssh::key::SoftKey;
use crate::ssh::{BindingState, Bolt, Constraints, RingError, key};
use claviger::secret::Secret;
use std::sync::Arc;

/// Of a binding that taints the connection, as many bytes as other agents are shown: as wrong there, and little to keep.
const TAINT_BYTES: usize = 1024;

/// Why something was not done. For the log: on the wire all are FAILURE.
#[derive(Debug, thiserror::Error)]
enum NotDone {
    #[error("a connection that is forwarded or badly bound may not change the agent")]
    Elsewhere,
    #[error(transparent)]
    Key(#[from] key::Error),
    #[error("the agent is locked")]
    Locked,
    #[error("there is no such key")]
    NotFound,
    #[error("no library of a security key or smart card is loaded")]
    Provider,
    #[error(transparent)]
    Ring(#[from] RingError),
    #[error("a message of this type is not known")]
    Unknown,
    #[error("the passphrase is wrong, or the agent was not in the state for it")]
    WrongPassphrase,
}

impl Connection {
    /// The answer to a message.
    pub(super) async fn answer(&mut self, frame: &Frame) -> Vec<u8> {
        if let Some(server) = &self.server {
            server.lock_if_due().await;
        }
        let request = match Request::parse(frame) {
            Ok(request) => request,
            Err(error) => {
                tracing::debug!(%error, "a message of an SSH client was refused");
                return Reply::Failure.encode();
            }
        };
        let done = match request {
            Request::Extension(Extension::SessionBind(fields)) => return self.bind(fields),
            Request::Unlock(passphrase) if self.binding.state().may_change() => self.door.open(passphrase).await,
            // Locked, it tells nothing and does nothing; a list of nothing is no lie.
            Request::List if self.is_locked() => return Reply::Identities(&[]).encode(),
            _ if self.is_locked() => Err(NotDone::Locked),
            Request::Extension(Extension::Query) => return Reply::Extensions.encode(),
            Request::List => return self.list().await,
            Request::Sign { key, data, flags } => return self.sign(key, data, flags).await,
            Request::Provider(_) => Err(NotDone::Provider),
            Request::Extension(Extension::Unknown) | Request::Unknown(_) => Err(NotDone::Unknown),
            _ if !self.binding.state().may_change() => Err(NotDone::Elsewhere),
            Request::Add(identity) => self.add(&identity),
            Request::Remove { key } => self.remove(key),
            Request::RemoveAll => {
                self.door.drop_keys();
                Ok(())
            }
            Request::Lock(passphrase) => self.door.close(passphrase).await,
            Request::Unlock(_) => Err(NotDone::WrongPassphrase),
        };
        match done {
            Ok(()) => Reply::Success.encode(),
            Err(error) => {
                tracing::info!(%error, "a request of an SSH client was refused");
                Reply::Failure.encode()
            }
        }
    }

    pub(super) fn is_locked(&self) -> bool {
        self.door.soft_lock().is_locked()
    }

    /// Also while locked: what comes later is judged by it.
    fn bind(&mut self, fields: &[u8]) -> Vec<u8> {
        let (before, hops) = (self.binding.state(), self.binding.hops().len());
        let bound = self.binding.bind(fields);
        // For the agents behind this one: each hop, and of what taints as much as taints there too.
        let is_news = bound.is_err() || self.binding.hops().len() > hops;
        if !self.upstream.is_empty() && before != BindingState::Tainted && is_news {
            let length = if bound.is_ok() { fields.len() } else { fields.len().min(TAINT_BYTES) };
            self.bindings.extend(fields.get(..length).map(<[u8]>::to_vec));
        }
        match bound {
            Ok(()) => Reply::Success.encode(),
            Err(error) => {
                tracing::info!(%error, "a session was not bound");
                Reply::ExtensionFailure.encode()
            }
        }
    }

    async fn list(&mut self) -> Vec<u8> {
        let others = self.upstream_identities().await;
        self.open_vault().await;
        let login_key = self.login_key().await;
        let on_devices = self.hardware().await;
        // From here on nobody waits with a key in hand: a lock has come before, or comes after.
        if self.is_locked() {
            return Reply::Identities(&[]).encode();
        }
        let _leave = self.leave();
        let kept = self.server.as_ref().map(|server| self.door.vault_keys(server)).unwrap_or_default();
        let held = self.door.ring().visible(&self.binding, self.door.now());
        let mut listed: Vec<_> =
            held.iter().map(|held| ListedIdentity { key: held.key.blob(), comment: &held.comment }).collect();
        for kept in kept.iter().filter(|kept| kept.constraints.visible(&self.binding, self.door.now().1)) {
            if held.iter().all(|held| held.key.blob() != kept.key.blob()) {
                listed.push(ListedIdentity { key: kept.key.blob(), comment: &kept.comment });
            }
        }
        // A lock may have come while devices were asked.
        if self.server.as_ref().is_some_and(|server| server.custody.is_unlocked()) {
            for key in &on_devices {
                if listed.iter().all(|listed| listed.key != key.blob()) {
                    listed.push(ListedIdentity { key: key.blob(), comment: key.name().as_bytes() });
                }
            }
        }
        let mut all = joined(listed, &others);
        if let Some(key) = login_key {
            all.retain(|listed| listed.key == key);
        }
        Reply::Identities(&all).encode()
    }

    fn add(&self, identity: &AddIdentity<'_>) -> Result<(), NotDone> {
        let (key, comment, constraints) = identity.decode(SoftKey::decode)?;
        // A provider is for keys of devices, which only the daemon has.
        let is_on_device = key.security_key().is_some();
        if (is_on_device && self.server.is_none()) || (constraints.provider && !is_on_device) {
            return Err(NotDone::Provider);
        }
        let lifetime = constraints.lifetime.or(self.door.lifetime);
        let constraints = Constraints { lifetime, ..constraints };
        self.door.ring().add((key, comment, constraints), &self.binding, self.door.now())?;
        self.door.added.notify_one();
        Ok(())
    }

    fn remove(&self, key: &[u8]) -> Result<(), NotDone> {
        match self.door.ring().remove(key, &self.binding, self.door.now()) {
            true => Ok(()),
            false => Err(NotDone::NotFound),
        }
    }
}

impl Door {
    /// `ssh-add -x`. Takes tens of milliseconds, away from those who serve.
    async fn close(self: &Arc<Self>, passphrase: Secret<Vec<u8>>) -> Result<(), NotDone> {
        self.in_turn(|door| async move {
            let entropy = door.world.entropy.clone();
            let bolt = tokio::task::spawn_blocking(move || Bolt::of(&passphrase, &*entropy)).await;
            bolt.ok().flatten().is_some_and(|bolt| door.soft_lock().lock(bolt))
        })
        .await
    }

    /// `ssh-add -X`: one guess after the other, each later than the one before.
    async fn open(self: &Arc<Self>, passphrase: Secret<Vec<u8>>) -> Result<(), NotDone> {
        self.in_turn(|door| async move {
            let Some((not_before, bolt)) = door.soft_lock().guess() else { return false };
            if let Some(not_before) = not_before {
                door.world.clock.sleep_until(not_before).await;
            }
            let right = tokio::task::spawn_blocking(move || bolt.is(&passphrase)).await.unwrap_or(false);
            door.soft_lock().judge(right, door.world.clock.boot());
            right
        })
        .await
    }

    /// Works with a passphrase, one at a time, and to the end also where the client hangs up: else who hangs up in time
    /// could guess without being counted, and have as much stretched as they like.
    async fn in_turn<F: Future<Output = bool> + Send + 'static>(
        self: &Arc<Self>,
        work: impl FnOnce(Arc<Self>) -> F,
    ) -> Result<(), NotDone> {
        let turn = self.guess.clone().lock_owned().await;
        let work = work(self.clone());
        let done = tokio::spawn(async move {
            let done = work.await;
            drop(turn);
            done
        });
        if done.await.unwrap_or(false) { Ok(()) } else { Err(NotDone::WrongPassphrase) }
    }
}
