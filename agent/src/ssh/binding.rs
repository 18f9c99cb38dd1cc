//! Where a connection comes from and leads to, as `session-bind@openssh.com` says it: each ssh client on the way sends
//! the host key and session identifier of its own connection, signed by that host, and whether it forwards the agent
//! or authenticates (PROTOCOL.agent section 1).

use super::codec::fields::{byte, end, string};
use super::{Error, HostKey, limits};

/// One hop of the way.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Hop {
    /// The host's key, which has signed the session identifier.
    pub host_key: HostKey,
    /// The session identifier of the connection to it.
    pub session_id: Box<[u8]>,
    /// Whether the agent was forwarded to it; else its user is being authenticated.
    pub forwarding: bool,
}

/// What a connection's bindings come to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum BindingState {
    /// Bound to one authentication, by a client on this machine.
    AuthBound,
    /// Comes through a forwarded agent.
    Forwarded,
    /// A binding has failed: it may come from anywhere, and stays so until it is closed.
    Tainted,
    /// No binding: a client on this machine, or one that knows nothing of bindings.
    Unbound,
}

impl BindingState {
    /// Whether it may change the agent: add, remove, lock, unlock. Not what comes from elsewhere.
    pub fn may_change(self) -> bool {
        matches!(self, Self::AuthBound | Self::Unbound)
    }
}

/// The bindings of one connection.
#[derive(Debug, Clone, Default)]
pub struct Binding {
    hops: Vec<Hop>,
    tainted: bool,
}

impl Binding {
    /// Takes a binding, from the fields after the extension's name. The same hop again is taken and changes nothing.
    ///
    /// # Errors
    /// A malformed binding, a host key that cannot be verified, a signature that does not verify, a session bound to
    /// another key, a binding after one for an authentication, one too many. Each leaves the connection tainted, and a
    /// tainted one takes no more: [`Error::Tainted`].
    pub fn bind(&mut self, fields: &[u8]) -> Result<(), Error> {
        let bound = if self.tainted { Err(Error::Tainted) } else { self.add(fields) };
        self.tainted |= bound.is_err();
        bound
    }

    /// What the bindings come to.
    pub fn state(&self) -> BindingState {
        if self.tainted {
            BindingState::Tainted
        } else if self.hops.iter().any(|hop| hop.forwarding) {
            BindingState::Forwarded
        } else if self.hops.is_empty() {
            BindingState::Unbound
        } else {
            BindingState::AuthBound
        }
    }

    /// The hops in order, the machine of this agent not among them.
    pub fn hops(&self) -> &[Hop] {
        &self.hops
    }

    fn add(&mut self, mut from: &[u8]) -> Result<(), Error> {
        let host_key = HostKey::decode(string(&mut from)?)?;
        let session_id = string(&mut from)?;
        let signature = string(&mut from)?;
        let forwarding = byte(&mut from)? != 0;
        end(from)?;
        if session_id.is_empty() || session_id.len() > limits::SESSION_ID {
            return Err(Error::SessionIdLength);
        }
        host_key.verify(session_id, signature)?;
        for hop in &self.hops {
            if !hop.forwarding {
                return Err(Error::SessionBoundAlready);
            }
            if *hop.session_id == *session_id {
                return if hop.host_key == host_key { Ok(()) } else { Err(Error::SessionContradicted) };
            }
        }
        if self.hops.len() >= limits::BINDINGS {
            return Err(Error::SessionsTooMany);
        }
        self.hops.push(Hop { host_key, session_id: session_id.into(), forwarding });
        Ok(())
    }
}
