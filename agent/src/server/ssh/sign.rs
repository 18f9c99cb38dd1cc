//! Signing: what a key's constraints permit, what its owner says to it, and what is put on record.

use super::connection::Connection;
use super::record::Signature;
use crate::prompt::{Question, Unasked, Verdict, shown};
use crate::ssh::codec::Reply;
use crate::ssh::{BindingState, Error, HeldKey, Payload, key};
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
    #[error("refused: by a person")]
    Refused,
    #[error("unasked: {0}")]
    Unasked(Unasked),
}

impl Connection {
    /// The answer to a request to sign.
    pub(super) async fn sign(&self, blob: &[u8], data: &[u8], flags: u32) -> Vec<u8> {
        if let Some(server) = &self.server {
            server.touch();
        }
        let held = self.door.ring().find(blob, self.door.world.clock.boot());
        let Some(held) = held else {
            tracing::info!("an SSH client asked to sign with a key that is not here");
            return Reply::Failure.encode();
        };
        let payload = Payload::parse(data, blob);
        let mut signature = Signature { payload: &payload, host: None, confirmed: None };
        let signed = self.sign_with(&held, &mut signature, data, flags).await;
        self.record(&held.key, &signature, signed.as_ref().err());
        match signed {
            Ok(signature) => Reply::Signature(&signature).encode(),
            Err(error) => {
                tracing::info!(%error, "a signature was refused");
                Reply::Failure.encode()
            }
        }
    }

    /// With a key of `ssh-add`: its own constraints decide, and nothing else.
    async fn sign_with(
        &self,
        held: &Arc<HeldKey>,
        signature: &mut Signature<'_>,
        data: &[u8],
        flags: u32,
    ) -> Result<Vec<u8>, NotSigned> {
        let route = held.constraints.permit(&self.binding, signature.payload, self.door.world.clock.wall())?;
        signature.host = route.map(|route| route.host.to_owned());
        if held.constraints.confirm {
            let question = self.question(&shown(&held.comment), signature);
            signature.confirmed = Some(false);
            self.ask(&question).await?;
            signature.confirmed = Some(true);
            // A person takes their time: the key may have been removed meanwhile, or the agent locked.
            let again = self.door.ring().find(held.key.blob(), self.door.world.clock.boot());
            if self.is_locked() || !again.is_some_and(|again| Arc::ptr_eq(&again, held)) {
                return Err(NotSigned::Gone);
            }
        }
        Ok(held.key.sign(data, flags)?)
    }

    async fn ask(&self, question: &Question) -> Result<(), NotSigned> {
        match self.door.prompts.confirm(question).await {
            Verdict::Allowed => Ok(()),
            Verdict::Refused => Err(NotSigned::Refused),
            Verdict::Unasked(why) => Err(NotSigned::Unasked(why)),
        }
    }

    /// What a person is asked: which key, for what, and who wants it.
    fn question(&self, key: &str, signature: &Signature<'_>) -> Question {
        let mut lines = vec![signature.purpose(), asked_by(&self.peer())];
        lines.extend(match self.binding.state() {
            BindingState::AuthBound | BindingState::Unbound => None,
            BindingState::Forwarded => Some("It comes through a forwarded agent, from another machine.".to_owned()),
            BindingState::Tainted => {
                Some("It may come from another machine: its way could not be verified.".to_owned())
            }
        });
        Question { title: format!("Allow use of the SSH key {key}?"), lines }
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
