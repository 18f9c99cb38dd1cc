//! `restrict-destination-v00@openssh.com`: pairs of hosts, from the one to the other the key may be used.

use crate::ssh::codec::fields::{byte, end, name, put_string, reserved, string};
use crate::ssh::{Error, host_key, limits};

/// From where to where a key may be used.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Destination {
    /// The host that the agent is forwarded to; none is the machine of the agent.
    pub from: Option<Place>,
    /// The host that is logged in to.
    pub to: Place,
    /// The user there, with `*` and `?`; any, if none.
    pub user: Option<Box<[u8]>>,
}

/// A host, known by its keys.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Place {
    /// Its name, as ssh-add looked it up.
    pub host: Box<str>,
    /// Its keys, and the authorities that certify them; one at least.
    pub keys: Vec<HopKey>,
}

/// A key that a host may show.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HopKey {
    /// The public key blob.
    pub blob: Box<[u8]>,
    /// Whether it is the key of an authority: certificates by it are meant, never the key itself.
    pub authority: bool,
}

impl Destination {
    /// One constraint.
    fn decode(mut from: &[u8]) -> Result<Self, Error> {
        let (origin, target) = (string(&mut from)?, string(&mut from)?);
        reserved(&mut from)?;
        end(from)?;
        let (from_user, from) = hop(origin)?;
        let (user, to) = hop(target)?;
        if !from_user.is_empty() {
            return Err(Error::DestinationInconsistent);
        }
        let from = match (from.host.is_empty(), from.keys.is_empty()) {
            (true, true) => None,
            (false, false) => Some(from),
            _ => return Err(Error::DestinationInconsistent),
        };
        if to.host.is_empty() || to.keys.is_empty() {
            return Err(Error::DestinationInconsistent);
        }
        Ok(Self { from, to, user: (!user.is_empty()).then(|| user.into()) })
    }

    /// One constraint, without its length.
    pub(super) fn encode(&self) -> Vec<u8> {
        let mut to = Vec::new();
        put_string(&mut to, &encode_hop(None, self.from.as_ref()));
        put_string(&mut to, &encode_hop(self.user.as_deref(), Some(&self.to)));
        put_string(&mut to, b"");
        to
    }
}

/// All constraints of a key: one at least, since none would be taken for no restriction.
pub(super) fn decode_all(mut from: &[u8]) -> Result<Vec<Destination>, Error> {
    let mut all = Vec::new();
    while !from.is_empty() {
        if all.len() >= limits::DESTINATIONS {
            return Err(Error::DestinationsTooMany);
        }
        all.push(Destination::decode(string(&mut from)?)?);
    }
    if all.is_empty() { Err(Error::DestinationMissing) } else { Ok(all) }
}

/// A user and a place, either of which may be empty here.
fn hop(mut from: &[u8]) -> Result<(&[u8], Place), Error> {
    let user = name(&mut from)?;
    let host = name(&mut from)?;
    reserved(&mut from)?;
    if user.len() > limits::USER_PATTERN {
        return Err(Error::UserPatternTooLong);
    }
    if host.len() > limits::HOST_NAME {
        return Err(Error::HostName);
    }
    let host = std::str::from_utf8(host).map_err(|_| Error::HostName)?.into();
    let mut keys = Vec::new();
    while !from.is_empty() {
        let blob = string(&mut from)?;
        host_key::check(blob)?;
        keys.push(HopKey { blob: blob.into(), authority: byte(&mut from)? != 0 });
    }
    Ok((user, Place { host, keys }))
}

fn encode_hop(user: Option<&[u8]>, place: Option<&Place>) -> Vec<u8> {
    let mut to = Vec::new();
    put_string(&mut to, user.unwrap_or_default());
    put_string(&mut to, place.map(|place| place.host.as_bytes()).unwrap_or_default());
    put_string(&mut to, b"");
    for key in place.map(|place| place.keys.as_slice()).unwrap_or_default() {
        put_string(&mut to, &key.blob);
        to.push(key.authority.into());
    }
    to
}
