//! The constraints that a key was added with: how long, with whose consent, and to which hosts it may be used
//! (RFC 9987 section 4.7, PROTOCOL.agent sections 2 to 4).
//!
//! A constraint that is not understood refuses the key. To drop one would leave a key in the agent that may do more
//! than its owner allowed.

mod destination;
mod permit;

pub use destination::{Destination, HopKey, Place};
pub use permit::Route;

use super::Error;
use super::codec::fields::{byte, name, put_string, string, uint32};

const LIFETIME: u8 = 1;
const CONFIRM: u8 = 2;
const EXTENSION: u8 = 255;
const RESTRICT_DESTINATION: &[u8] = b"restrict-destination-v00@openssh.com";

/// The constraints of one key.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Constraints {
    /// Whether each signature needs a person's consent.
    pub confirm: bool,
    /// Where it may be used; anywhere, if there are none.
    pub destinations: Vec<Destination>,
    /// Seconds from its adding, by the boot clock, after which it is gone. 0 is gone at once.
    pub lifetime: Option<u32>,
}

impl Constraints {
    /// Reads the constraints of an ADD_ID_CONSTRAINED message to its end.
    ///
    /// # Errors
    /// [`Error::AssociatedCertificates`], [`Error::SkProvider`], [`Error::ConstraintUnknown`] for those that are not
    /// supported; [`Error::ConstraintTwice`]; what destinations refuse; [`Error::Truncated`].
    pub fn decode(mut from: &[u8]) -> Result<Self, Error> {
        let mut constraints = Self::default();
        while !from.is_empty() {
            match byte(&mut from)? {
                LIFETIME => set(&mut constraints.lifetime, uint32(&mut from)?)?,
                CONFIRM if constraints.confirm => return Err(Error::ConstraintTwice),
                CONFIRM => constraints.confirm = true,
                EXTENSION => constraints.extend(&mut from)?,
                _ => return Err(Error::ConstraintUnknown),
            }
        }
        Ok(constraints)
    }

    /// The same as bytes, for who keeps them.
    pub fn encode(&self) -> Vec<u8> {
        let mut to = Vec::new();
        if let Some(seconds) = self.lifetime {
            to.push(LIFETIME);
            to.extend_from_slice(&seconds.to_be_bytes());
        }
        if self.confirm {
            to.push(CONFIRM);
        }
        if !self.destinations.is_empty() {
            let mut all = Vec::new();
            self.destinations.iter().for_each(|destination| put_string(&mut all, &destination.encode()));
            to.push(EXTENSION);
            put_string(&mut to, RESTRICT_DESTINATION);
            put_string(&mut to, &all);
        }
        to
    }

    fn extend(&mut self, from: &mut &[u8]) -> Result<(), Error> {
        match name(from)? {
            RESTRICT_DESTINATION if self.destinations.is_empty() => {
                self.destinations = destination::decode_all(string(from)?)?;
                Ok(())
            }
            RESTRICT_DESTINATION => Err(Error::ConstraintTwice),
            b"associated-certs-v00@openssh.com" => Err(Error::AssociatedCertificates),
            b"sk-provider@openssh.com" => Err(Error::SkProvider),
            _ => Err(Error::ConstraintUnknown),
        }
    }
}

fn set(place: &mut Option<u32>, value: u32) -> Result<(), Error> {
    match place.replace(value) {
        None => Ok(()),
        Some(_) => Err(Error::ConstraintTwice),
    }
}
