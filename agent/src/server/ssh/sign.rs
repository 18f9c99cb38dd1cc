//! Signing: what a key's constraints permit, what its owner says to it, and what is put on record.

use super::card_keys::HardwareKey;
use super::connection::Connection;
use super::record::Signature;
use super::vault_keys::{Consent, VaultKey, is_elsewhere};
use crate::ask::Audience;
use crate::device;
use crate::jobs::ssh_key::{Surroundings, host_name};
use crate::prompt::{Question, Same, Unasked, Verdict, asked_by, shown};
use crate::server::card::NotDone;
use crate::ssh::codec::Reply;
use crate::ssh::{BindingState, Constraints, Error, HeldKey, Payload, fingerprint, key};
use crate::vault::Leave;
use std::sync::Arc;

/// Why a signature was not made. The first word of the record's error; on the wire FAILURE.
#[derive(Debug, thiserror::Error)]
pub(super) enum NotSigned {
    #[error("constraint: {0}")]
    Constraint(#[from] Error),
    #[error("device: {0}")]
    Device(#[from] device::Error),
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
    #[error(transparent)]
    Card(#[from] NotDone),
}

/// What is asked of a key.
#[derive(Clone, Copy)]
pub(super) struct Asked<'a> {
    pub(super) blob: &'a [u8],
    pub(super) data: &'a [u8],
    pub(super) flags: u32,
}

impl Connection {
    /// The answer to a request to sign.
    pub(super) async fn sign(&mut self, blob: &[u8], data: &[u8], flags: u32) -> Vec<u8> {
        let payload = Payload::parse(data, blob);
        let mut signature = Signature::of(&payload);
        let asked = Asked { blob, data, flags };
        if self.held(blob).is_none() {
            self.open_vault().await;
        }
        // Before the key, and let go of after it: a lock ends it, or waits for that.
        let leave = self.leave();
        let signed = if let Some(held) = self.held(blob) {
            self.sign_with_held(leave, held, asked, &mut signature).await
        } else if let Some(kept) = self.kept(blob) {
            self.sign_with_kept(leave, kept, asked, &mut signature).await
        } else {
            // A lock waits for no device.
            drop(leave);
            let Some(key) = self.on_device(blob).await else {
                return self.sign_upstream(blob, data, flags, &mut signature).await;
            };
            self.sign_with_hardware(&*key, asked, &mut signature).await
        };
        let signed = match signed {
            Ok(made) => self.push_for(blob, &signature).await.map(|()| made),
            Err(error) => Err(error),
        };
        self.record(blob, &signature, signed.as_ref().err());
        match signed {
            Ok(made) => {
                self.touch();
                Reply::Signature(&made).encode()
            }
            Err(error) => {
                tracing::info!(%error, "a signature was refused");
                Reply::Failure.encode()
            }
        }
    }

    /// A signature was made: somebody uses the agent. Only one of this machine keeps the vault open.
    pub(super) fn touch(&self) {
        if let Some(server) = self.server.as_ref().filter(|_| !is_elsewhere(self.binding.state())) {
            server.touch();
        }
    }

    /// Has the desktop's keyring open the vault where it may. Not for another machine.
    pub(super) async fn open_vault(&self) {
        if let Some(server) = self.server.as_ref().filter(|_| !is_elsewhere(self.binding.state())) {
            server.open_by_keyring().await;
        }
    }

    /// With a key in hand.
    pub(super) fn leave(&self) -> Option<Leave> {
        self.server.as_ref().map(|server| server.custody.leave())
    }

    fn held(&self, blob: &[u8]) -> Option<Arc<HeldKey>> {
        self.door.ring().find(blob, self.door.world.clock.boot())
    }

    fn kept(&self, blob: &[u8]) -> Option<Arc<VaultKey>> {
        let keys = self.door.vault_keys(self.server.as_ref()?);
        keys.into_iter().find(|kept| kept.key.blob() == blob)
    }

    async fn on_device(&self, blob: &[u8]) -> Option<Arc<dyn HardwareKey>> {
        self.hardware().await.into_iter().find(|key| key.blob() == blob)
    }

    /// With a key of `ssh-add`: its own constraints decide, and nothing else. RSA with SHA-1 as OpenSSH's agent.
    async fn sign_with_held(
        &self,
        leave: Option<Leave>,
        held: Arc<HeldKey>,
        asked: Asked<'_>,
        signature: &mut Signature<'_>,
    ) -> Result<Vec<u8>, NotSigned> {
        signature.called(&held.comment);
        signature.host = self.permitted(&held.constraints, signature)?;
        if !held.constraints.confirm {
            if let Some(key) = held.key.security_key().cloned() {
                drop((held, leave));
                return self.sign_on_device(&key, asked.data, signature).await;
            }
            return self.made(leave.as_ref(), || held.key.sign_as_openssh(asked.data, asked.flags));
        }
        let called = shown(&held.comment);
        // In nobody's hand while a person thinks: a lock or a removal takes the key away.
        drop((held, leave));
        let question = self.question(&called, asked.blob, signature).await;
        // Each use is asked for, as OpenSSH does.
        self.ask(&question, None, signature).await?;
        let leave = self.leave();
        let held = self.held(asked.blob).ok_or(NotSigned::Gone)?;
        self.permitted(&held.constraints, signature)?;
        if let Some(key) = held.key.security_key().cloned() {
            drop((held, leave));
            return self.sign_on_device(&key, asked.data, signature).await;
        }
        self.made(leave.as_ref(), || held.key.sign_as_openssh(asked.data, asked.flags))
    }

    /// With a key of the vault: its constraints, and claviger's rules. Never with SHA-1.
    async fn sign_with_kept(
        &self,
        leave: Option<Leave>,
        kept: Arc<VaultKey>,
        asked: Asked<'_>,
        signature: &mut Signature<'_>,
    ) -> Result<Vec<u8>, NotSigned> {
        signature.name = Some(kept.name.to_string());
        signature.host = self.permitted(&kept.constraints, signature)?;
        if !kept.signs(signature.payload) {
            return Err(NotSigned::NotAllowed);
        }
        let state = self.binding.state();
        let consent = self.consent(asked.blob, signature);
        // Each use from another machine is asked for, whatever was said before.
        let lasts = !is_elsewhere(state);
        if !kept.asks(state) || (lasts && self.door.has_consent(&consent)) {
            if let Some(key) = kept.key.security_key().cloned() {
                drop((kept, leave));
                return self.sign_on_device(&key, asked.data, signature).await;
            }
            return self.made(leave.as_ref(), || kept.key.sign(asked.data, asked.flags));
        }
        let called = kept.name.clone();
        let same = self.same(&consent, lasts && kept.remembers());
        drop((kept, leave));
        let question = self.question(called.as_str(), asked.blob, signature).await;
        self.ask(&question, same.as_ref(), signature).await?;
        let leave = self.leave();
        let kept = self.kept(asked.blob).ok_or(NotSigned::Gone)?;
        self.permitted(&kept.constraints, signature)?;
        if !kept.signs(signature.payload) {
            return Err(NotSigned::NotAllowed);
        }
        let (leave, kept, made) = match kept.key.security_key().cloned() {
            Some(key) => {
                drop((kept, leave));
                let made = self.sign_on_device(&key, asked.data, signature).await?;
                (self.leave(), self.kept(asked.blob).ok_or(NotSigned::Gone)?, made)
            }
            None => {
                let made = self.made(leave.as_ref(), || kept.key.sign(asked.data, asked.flags))?;
                (leave, kept, made)
            }
        };
        if lasts && leave.as_ref().is_some_and(|leave| !leave.is_over()) {
            self.door.remember_consent(&kept, consent);
        }
        Ok(made)
    }

    /// What the user's ssh calls the host that the connection was bound to last.
    async fn host_name(&self) -> Option<String> {
        let key = self.binding.hops().last()?.host_key.blob().to_vec();
        let around = Surroundings { world: self.door.world.clone(), home: self.door.home.clone() };
        tokio::task::spawn_blocking(move || host_name(&key, &around)).await.ok()?
    }

    /// Who else asks for the same. Two requests to sign data of an unknown kind have nothing in common.
    fn same(&self, consent: &Consent, lasts: bool) -> Option<Same> {
        let known = consent.user.is_some() || consent.namespace.is_some();
        known.then(|| Same { purpose: format!("{:?} {consent:?}", self.binding.state()), lasts })
    }

    /// The same, of a key on a device.
    pub(super) fn same_use(&self, blob: &[u8], signature: &Signature<'_>) -> Option<Same> {
        self.same(&self.consent(blob, signature), false)
    }

    fn consent(&self, blob: &[u8], signature: &Signature<'_>) -> Consent {
        let (user, namespace) = match signature.payload {
            Payload::Userauth(request) => (Some(request.user.to_vec()), None),
            Payload::Signature(request) => (None, Some(request.namespace.to_owned())),
            Payload::Raw => (None, None),
        };
        let host_key = self.binding.hops().last().map(|hop| hop.host_key.blob().to_vec());
        Consent { key: blob.to_vec(), user, host_key, namespace }
    }

    /// The host that the key's destinations name, where it has any.
    pub(super) fn permitted(
        &self,
        constraints: &Constraints,
        signature: &Signature<'_>,
    ) -> Result<Option<String>, Error> {
        let route = constraints.permit(&self.binding, signature.payload, self.door.world.clock.wall())?;
        Ok(route.map(|route| route.host.to_owned()))
    }

    /// Makes it. None is made after a lock: the vault's, which ends the leave, or that of `ssh-add -x`. The leave is the
    /// caller's to let go of, after the key.
    fn made(&self, leave: Option<&Leave>, sign: impl FnOnce() -> key::Result<Vec<u8>>) -> Result<Vec<u8>, NotSigned> {
        if self.is_locked() || leave.is_some_and(Leave::is_over) {
            return Err(NotSigned::Gone);
        }
        Ok(sign()?)
    }

    pub(super) async fn ask(
        &self,
        question: &Question,
        same: Option<&Same>,
        signature: &mut Signature<'_>,
    ) -> Result<(), NotSigned> {
        signature.confirmed = Some(false);
        let audience = self.audience();
        let asked = async {
            match same {
                Some(same) => self.door.prompts.confirm_together(question, same, &audience).await,
                None => self.door.prompts.confirm(question, &audience).await,
            }
        };
        let verdict = tokio::select! {
            biased;
            () = over(self.leave()) => return Err(NotSigned::Gone),
            verdict = asked => verdict,
        };
        match verdict {
            Verdict::Allowed => {
                signature.confirmed = Some(true);
                Ok(())
            }
            Verdict::Refused => Err(NotSigned::Refused),
            Verdict::Unasked(why) => Err(why.into()),
        }
    }

    /// Nobody at the other end hears of a question, and it counts as this client's.
    pub(super) fn audience(&self) -> Audience {
        let peer = self.peer();
        Audience::silent(Arc::new(move || peer.clone()))
    }

    /// What a person is asked: which key, for what, and who wants it.
    pub(super) async fn question(&self, key: &str, blob: &[u8], signature: &Signature<'_>) -> Question {
        let mut lines = vec![self.purpose(signature).await, asked_by(&self.peer())];
        lines.extend(match self.binding.state() {
            BindingState::AuthBound | BindingState::Unbound => None,
            BindingState::Forwarded => Some("It comes through a forwarded agent, from another machine.".to_owned()),
            BindingState::Tainted => {
                Some("It may come from another machine: its way could not be verified.".to_owned())
            }
        });
        lines.push(format!("The key's fingerprint is {}.", fingerprint(blob)));
        Question { title: format!("Allow use of the SSH key {key}?"), lines }
    }

    /// What the signature is good for, in a sentence: to whom, by the name in the key's destinations, by that in the
    /// files of known hosts, or else by the host key's fingerprint.
    pub(super) async fn purpose(&self, signature: &Signature<'_>) -> String {
        match signature.payload {
            Payload::Userauth(request) => {
                let name = match &signature.host {
                    Some(name) => Some(name.clone()),
                    None => self.host_name().await,
                };
                let host = name.map(|name| shown(name.as_bytes())).or_else(|| self.host_key());
                let host = host.map(|host| format!(" at {host}"));
                format!("To log in as {}{}.", shown(request.user), host.unwrap_or_default())
            }
            Payload::Signature(request) => format!("To sign data for {}.", shown(request.namespace.as_bytes())),
            Payload::Raw => "To sign data of an unknown kind.".to_owned(),
        }
    }
}

/// Returns once the vault is locked: then nobody need be asked any more. Never without one.
pub(super) async fn over(leave: Option<Leave>) {
    match leave {
        Some(mut leave) => leave.over().await,
        None => std::future::pending().await,
    }
}
