//! What is put on record of a signature.

use super::connection::Connection;
use super::sign::NotSigned;
use crate::audit::{Entry, Event};
use crate::prompt::shown;
use crate::ssh::{BindingState, Payload, fingerprint};
use claviger::model::AuditSsh;

/// A signature that is asked for.
pub(super) struct Signature<'a> {
    /// What is to be signed.
    pub(super) payload: &'a Payload<'a>,
    /// The key's name in the vault.
    pub(super) name: Option<String>,
    /// What another key's owner calls it.
    pub(super) comment: Option<String>,
    /// The host, by the name that the key's destinations give it.
    pub(super) host: Option<String>,
    /// Whether a person has allowed it; None where nobody was asked.
    pub(super) confirmed: Option<bool>,
}

impl<'a> Signature<'a> {
    pub(super) fn of(payload: &'a Payload<'a>) -> Self {
        Self { payload, name: None, comment: None, host: None, confirmed: None }
    }

    /// That the key is called so; bytes of someone else.
    pub(super) fn called(&mut self, comment: &[u8]) {
        self.comment = Some(shown(comment)).filter(|comment| !comment.is_empty());
    }
}

impl Connection {
    /// Puts a signature on the daemon's record, before anybody has it, or that it was refused.
    pub(super) fn record(&self, blob: &[u8], signature: &Signature<'_>, error: Option<&NotSigned>) {
        let Some(server) = &self.server else { return };
        let told = AuditSsh {
            binding: binding_name(self.binding.state()).to_owned(),
            comment: signature.comment.clone(),
            confirmed: signature.confirmed,
            host: signature.host.clone(),
            host_key: self.host_key(),
            key: fingerprint(blob),
            name: signature.name.clone(),
            namespace: match signature.payload {
                Payload::Signature(request) => Some(request.namespace.to_owned()),
                _ => None,
            },
            payload: payload_name(signature.payload).to_owned(),
            user: match signature.payload {
                Payload::Userauth(request) => Some(String::from_utf8_lossy(request.user).into_owned()),
                _ => None,
            },
        };
        let entry = match error {
            None => Entry::new(Event::SshSigned),
            Some(error) => Entry::new(Event::SshRefused).failed(error.to_string()),
        };
        server.journal.note(entry.ssh(told).peer(self.peer()));
    }

    /// The fingerprint of the host key that the connection was bound to last.
    pub(super) fn host_key(&self) -> Option<String> {
        self.binding.hops().last().map(|hop| fingerprint(hop.host_key.blob()))
    }
}

fn binding_name(state: BindingState) -> &'static str {
    match state {
        BindingState::AuthBound => "bound",
        BindingState::Forwarded => "forwarded",
        BindingState::Tainted => "tainted",
        BindingState::Unbound => "unbound",
    }
}

fn payload_name(payload: &Payload<'_>) -> &'static str {
    match payload {
        Payload::Raw => "other",
        Payload::Signature(_) => "sshsig",
        Payload::Userauth(_) => "userauth",
    }
}
