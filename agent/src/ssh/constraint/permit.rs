//! Whether destination constraints permit a use (OpenSSH: `identity_permitted`, `process_sign_request2`).

use super::{Constraints, Place};
use crate::ssh::{Binding, BindingState, Error, Hop, HostKey, Payload, pattern};
use crate::world::WallTime;

/// The way that constraints have permitted, by the names that the key's owner gave. For prompts and the record.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Route<'a> {
    /// The first host that the agent is forwarded to.
    pub forwarded_to: Option<&'a str>,
    /// The host at the end.
    pub host: &'a str,
}

impl Constraints {
    /// Whether the key may be seen on a connection: listed, removed, replaced. A key with destinations is seen by
    /// clients of this machine; through a forwarded agent only where it can be used from there onward.
    pub fn visible(&self, binding: &Binding, now: WallTime) -> bool {
        if self.destinations.is_empty() {
            return true;
        }
        match binding.state() {
            BindingState::Unbound => true,
            BindingState::Tainted => false,
            BindingState::AuthBound | BindingState::Forwarded => self.walk(binding.hops(), None, now).is_ok(),
        }
    }

    /// Whether the key may sign this on a connection, and on which way: none, where the key has no destinations.
    ///
    /// # Errors
    /// [`Error::Unbound`], [`Error::Tainted`], [`Error::Unidentified`], [`Error::Refused`],
    /// [`Error::SessionMismatch`], [`Error::HostKeyMissing`], [`Error::HostKeyMismatch`].
    pub fn permit(&self, binding: &Binding, payload: &Payload<'_>, now: WallTime) -> Result<Option<Route<'_>>, Error> {
        if self.destinations.is_empty() {
            return Ok(None);
        }
        if binding.state() == BindingState::Tainted {
            return Err(Error::Tainted);
        }
        let last = binding.hops().last().ok_or(Error::Unbound)?;
        let Payload::Userauth(request) = payload else { return Err(Error::Unidentified) };
        let route = self.walk(binding.hops(), Some(request.user), now)?;
        // ssh binds the connection to the session right before it authenticates.
        if *request.session_id != *last.session_id {
            return Err(Error::SessionMismatch);
        }
        match request.host_key {
            Some(host_key) if host_key != last.host_key.blob() => Err(Error::HostKeyMismatch),
            None if binding.hops().len() > 1 => Err(Error::HostKeyMissing),
            _ => Ok(Some(route)),
        }
    }

    /// Follows the hops, each of which a constraint must permit. With a user it is for a signature.
    fn walk(&self, hops: &[Hop], user: Option<&[u8]>, now: WallTime) -> Result<Route<'_>, Error> {
        let (last, before) = hops.split_last().ok_or(Error::Unbound)?;
        let mut from = None;
        let mut forwarded_to = None;
        for hop in before {
            if !hop.forwarding {
                return Err(Error::Refused);
            }
            let place = self.onward(from, Some(&hop.host_key), None, now)?;
            forwarded_to = forwarded_to.or(Some(&*place.host));
            from = Some(&hop.host_key);
        }
        if last.forwarding && user.is_some() {
            return Err(Error::Refused);
        }
        let place = self.onward(from, Some(&last.host_key), user, now)?;
        if last.forwarding {
            // What may be used at a host and not beyond it stays hidden there.
            self.onward(Some(&last.host_key), None, None, now)?;
        }
        Ok(Route { forwarded_to, host: &place.host })
    }

    /// Where a constraint permits to go from one host to another: from the agent's machine, if from none; to any, if
    /// to none.
    fn onward(
        &self,
        from: Option<&HostKey>,
        to: Option<&HostKey>,
        user: Option<&[u8]>,
        now: WallTime,
    ) -> Result<&Place, Error> {
        let permitting = self.destinations.iter().find(|destination| {
            let begins = match (from, &destination.from) {
                (None, None) => true,
                (Some(key), Some(place)) => place.has(key, now),
                _ => false,
            };
            begins
                && to.is_none_or(|key| destination.to.has(key, now))
                && match (user, &destination.user) {
                    (Some(user), Some(wanted)) => pattern::matches(user, wanted),
                    _ => true,
                }
        });
        permitting.map(|destination| &destination.to).ok_or(Error::Refused)
    }
}

impl Place {
    /// Whether this key is one of the host's, or a certificate for it by one of its authorities.
    fn has(&self, key: &HostKey, now: WallTime) -> bool {
        self.keys.iter().any(|known| match key.authority() {
            None => !known.authority && *known.blob == *key.blob(),
            Some(authority) => known.authority && *known.blob == *authority && key.certifies(&self.host, now),
        })
    }
}
