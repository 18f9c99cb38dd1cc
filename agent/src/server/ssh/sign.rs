//! Signing: what a key's constraints permit, what its owner says to it, and what is put on record.

use super::connection::Connection;
use super::record::Signature;
use super::vault_keys::{Consent, VaultKey, is_elsewhere};
use crate::prompt::{Question, Unasked, Verdict, shown};
use crate::ssh::codec::Reply;
use crate::ssh::{BindingState, Constraints, Error, HeldKey, Payload, key};
use crate::vault::Leave;
use claviger::model::AuditPeer;
use std::sync::Arc;

/// Why a signature was not made. The first word of the record's error; on the wire FAILURE.
#[derive(Debug, thiserror::Error)]
pub(super) enum NotSigned {
    #[error("constraint: {0}")]
    Constraint(#[from] Error),
    #[error("key: {0}")]
    Key(#[from] key::Error),
    #[error("gone: the key, or the agent's readiness, went while a person was asked")]
    Gone,
    #[error("not_allowed: the key signs logins, its namespaces, and other data only with --any-data")]
    NotAllowed,
    #[error("refused: by a person")]
    Refused,
    #[error("unasked: {0}")]
    Unasked(#[from] Unasked),
}

/// What is asked of a key.
#[derive(Clone, Copy)]
struct Asked<'a> {
    blob: &'a [u8],
    data: &'a [u8],
    flags: u32,
}

impl Connection {
    /// The answer to a request to sign.
    pub(super) async fn sign(&mut self, blob: &[u8], data: &[u8], flags: u32) -> Vec<u8> {
        if let Some(server) = &self.server {
            server.touch();
        }
        let payload = Payload::parse(data, blob);
        let mut signature = Signature { payload: &payload, host: None, confirmed: None };
        let asked = Asked { blob, data, flags };
        let signed = match self.held(blob) {
            Some(held) => self.sign_with_held(held, asked, &mut signature).await,
            None => match self.kept(blob).await {
                Some(kept) => self.sign_with_kept(kept, asked, &mut signature).await,
                None => return self.sign_upstream(blob, data, flags, &signature).await,
            },
        };
        self.record(blob, &signature, signed.as_ref().err());
        match signed {
            Ok(signature) => Reply::Signature(&signature).encode(),
            Err(error) => {
                tracing::info!(%error, "a signature was refused");
                Reply::Failure.encode()
            }
        }
    }

    fn held(&self, blob: &[u8]) -> Option<Arc<HeldKey>> {
        self.door.ring().find(blob, self.door.world.clock.boot())
    }

    async fn kept(&self, blob: &[u8]) -> Option<Arc<VaultKey>> {
        let keys = self.door.vault_keys(self.server.as_ref()?).await;
        keys.into_iter().find(|kept| kept.key.blob() == blob)
    }

    /// With a key of `ssh-add`: its own constraints decide, and nothing else.
    async fn sign_with_held(
        &self,
        held: Arc<HeldKey>,
        asked: Asked<'_>,
        signature: &mut Signature<'_>,
    ) -> Result<Vec<u8>, NotSigned> {
        signature.host = self.permitted(&held.constraints, signature)?;
        if !held.constraints.confirm {
            return self.made(&held.key, asked);
        }
        let question = self.question(&shown(&held.comment), signature);
        // Nobody's hand while a person thinks: a lock or a removal takes the key away.
        drop(held);
        self.ask(&question, signature).await?;
        let held = self.held(asked.blob).filter(|_| !self.is_locked()).ok_or(NotSigned::Gone)?;
        self.permitted(&held.constraints, signature)?;
        self.made(&held.key, asked)
    }

    /// With a key of the vault: its constraints, and claviger's rules.
    async fn sign_with_kept(
        &self,
        kept: Arc<VaultKey>,
        asked: Asked<'_>,
        signature: &mut Signature<'_>,
    ) -> Result<Vec<u8>, NotSigned> {
        signature.host = self.permitted(&kept.constraints, signature)?;
        if !kept.signs(signature.payload) {
            return Err(NotSigned::NotAllowed);
        }
        let state = self.binding.state();
        let consent =
            Consent { key: asked.blob.to_vec(), purpose: self.purpose(signature), forwarded: is_elsewhere(state) };
        if !kept.asks(state) || self.door.has_consent(&consent) {
            return self.made(&kept.key, asked);
        }
        let question = self.question(kept.name.as_str(), signature);
        drop(kept);
        self.ask(&question, signature).await?;
        let kept = self.kept(asked.blob).await.filter(|_| !self.is_locked()).ok_or(NotSigned::Gone)?;
        self.permitted(&kept.constraints, signature)?;
        if !kept.signs(signature.payload) {
            return Err(NotSigned::NotAllowed);
        }
        self.door.remember_consent(&kept, consent);
        self.made(&kept.key, asked)
    }

    /// The host that the key's destinations name, where it has any.
    fn permitted(&self, constraints: &Constraints, signature: &Signature<'_>) -> Result<Option<String>, Error> {
        let route = constraints.permit(&self.binding, signature.payload, self.door.world.clock.wall())?;
        Ok(route.map(|route| route.host.to_owned()))
    }

    /// Makes it. A lock waits for that moment, and none is made after it.
    fn made(&self, key: &key::SoftKey, asked: Asked<'_>) -> Result<Vec<u8>, NotSigned> {
        let leave = self.server.as_ref().map(|server| server.custody.leave());
        if leave.as_ref().is_some_and(Leave::is_over) {
            return Err(NotSigned::Gone);
        }
        Ok(key.sign(asked.data, asked.flags)?)
    }

    async fn ask(&self, question: &Question, signature: &mut Signature<'_>) -> Result<(), NotSigned> {
        signature.confirmed = Some(false);
        match self.door.prompts.confirm(question).await {
            Verdict::Allowed => {
                signature.confirmed = Some(true);
                Ok(())
            }
            Verdict::Refused => Err(NotSigned::Refused),
            Verdict::Unasked(why) => Err(why.into()),
        }
    }

    /// What a person is asked: which key, for what, and who wants it.
    fn question(&self, key: &str, signature: &Signature<'_>) -> Question {
        let mut lines = vec![self.purpose(signature), asked_by(&self.peer())];
        lines.extend(match self.binding.state() {
            BindingState::AuthBound | BindingState::Unbound => None,
            BindingState::Forwarded => Some("It comes through a forwarded agent, from another machine.".to_owned()),
            BindingState::Tainted => {
                Some("It may come from another machine: its way could not be verified.".to_owned())
            }
        });
        Question { title: format!("Allow use of the SSH key {key}?"), lines }
    }

    /// What the signature is good for, in a sentence: to whom, by the name of the key's owner or the host's fingerprint.
    fn purpose(&self, signature: &Signature<'_>) -> String {
        match signature.payload {
            Payload::Userauth(request) => {
                let host = signature.host.as_ref().map(|host| shown(host.as_bytes())).or_else(|| self.host_key());
                let host = host.map(|host| format!(" at {host}"));
                format!("To log in as {}{}.", shown(request.user), host.unwrap_or_default())
            }
            Payload::Signature(request) => format!("To sign data for {}.", shown(request.namespace.as_bytes())),
            Payload::Raw => "To sign data of an unknown kind.".to_owned(),
        }
    }
}

/// The program, and the one that started it.
fn asked_by(peer: &AuditPeer) -> String {
    let program = |exe: &Option<String>| exe.as_ref().map(|exe| shown(exe.as_bytes()));
    let pid = peer.pid.map(|pid| format!(" (pid {pid})")).unwrap_or_default();
    let started = peer.chain.first().map(|parent| format!(", started by {}", shown(parent.name.as_bytes())));
    let exe = program(&peer.exe).unwrap_or_else(|| "a program that has ended".to_owned());
    format!("Asked by {exe}{pid}{}.", started.unwrap_or_default())
}
