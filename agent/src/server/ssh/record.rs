//! What is put on record of a signature.

use super::connection::Connection;
use super::sign::NotSigned;
use crate::audit::{Entry, Event};
use crate::prompt::shown;
use crate::ssh::key::SoftKey;
use crate::ssh::{BindingState, Payload};
use claviger::model::AuditSsh;
use ssh_key::HashAlg;

/// A signature that is asked for.
pub(super) struct Signature<'a> {
    /// What is to be signed.
    pub(super) payload: &'a Payload<'a>,
    /// The host, by the name that the key's destinations give it.
    pub(super) host: Option<String>,
    /// Whether a person has allowed it; None where nobody was asked.
    pub(super) confirmed: Option<bool>,
}

impl Signature<'_> {
    /// What it is good for, in a sentence.
    pub(super) fn purpose(&self) -> String {
        match self.payload {
            Payload::Userauth(request) => {
                let host = self.host.as_ref().map(|host| format!(" at {}", shown(host.as_bytes())));
                format!("To log in as {}{}.", shown(request.user), host.unwrap_or_default())
            }
            Payload::Signature(request) => format!("To sign data for {}.", shown(request.namespace.as_bytes())),
            Payload::Raw => "To sign data of an unknown kind.".to_owned(),
        }
    }
}

impl Connection {
    /// Puts a signature on the daemon's record, before anybody has it, or that it was refused.
    pub(super) fn record(&self, key: &SoftKey, signature: &Signature<'_>, error: Option<&NotSigned>) {
        let Some(server) = &self.server else { return };
        let told = AuditSsh {
            binding: binding_name(self.binding.state()).to_owned(),
            confirmed: signature.confirmed,
            host: signature.host.clone(),
            host_key: self.binding.hops().last().map(|hop| hop.host_key.key().fingerprint(HashAlg::Sha256).to_string()),
            key: key.fingerprint(),
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
