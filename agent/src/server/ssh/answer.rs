//! From a message to its answer.

use super::Door;
use super::connection::Connection;
use super::upstream::joined;
use crate::ssh::codec::{AddIdentity, Extension, Frame, ListedIdentity, Reply, Request};
use crate::ssh::key::SoftKey;
use crate::ssh::{Bolt, Constraints, RingError, key, limits};
use claviger::secret::Secret;
use std::sync::Arc;

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
        if !self.upstream.is_empty() && self.bindings.len() <= limits::BINDINGS {
            self.bindings.push(fields.to_vec());
        }
        match self.binding.bind(fields) {
            Ok(()) => Reply::Success.encode(),
            Err(error) => {
                tracing::info!(%error, "a session was not bound");
                Reply::ExtensionFailure.encode()
            }
        }
    }

    async fn list(&mut self) -> Vec<u8> {
        let kept = match &self.server {
            Some(server) => self.door.vault_keys(server).await,
            None => Vec::new(),
        };
        let others = self.upstream_identities().await;
        let held = self.door.ring().visible(&self.binding, self.door.now());
        let mut listed: Vec<_> =
            held.iter().map(|held| ListedIdentity { key: held.key.blob(), comment: &held.comment }).collect();
        for kept in kept.iter().filter(|kept| kept.constraints.visible(&self.binding, self.door.now().1)) {
            if held.iter().all(|held| held.key.blob() != kept.key.blob()) {
                listed.push(ListedIdentity { key: kept.key.blob(), comment: &kept.comment });
            }
        }
        Reply::Identities(&joined(listed, &others)).encode()
    }

    fn add(&self, identity: &AddIdentity<'_>) -> Result<(), NotDone> {
        let (key, comment, constraints) = identity.decode(SoftKey::decode)?;
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
        let _turn = self.guess.lock().await;
        let door = self.clone();
        let bolt = tokio::task::spawn_blocking(move || Bolt::of(&passphrase, &*door.world.entropy)).await;
        let bolt = bolt.ok().flatten().ok_or(NotDone::WrongPassphrase)?;
        if self.soft_lock().lock(bolt) { Ok(()) } else { Err(NotDone::WrongPassphrase) }
    }

    /// `ssh-add -X`: one guess after the other, each later than the one before.
    async fn open(&self, passphrase: Secret<Vec<u8>>) -> Result<(), NotDone> {
        let _turn = self.guess.lock().await;
        let (not_before, bolt) = self.soft_lock().guess().ok_or(NotDone::WrongPassphrase)?;
        if let Some(not_before) = not_before {
            self.world.clock.sleep_until(not_before).await;
        }
        let right = tokio::task::spawn_blocking(move || bolt.is(&passphrase)).await.unwrap_or(false);
        self.soft_lock().judge(right, self.world.clock.boot());
        if right { Ok(()) } else { Err(NotDone::WrongPassphrase) }
    }
}
