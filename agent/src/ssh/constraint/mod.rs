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
    /// Whether it came with a provider for keys of FIDO devices; the one there is is our own, `internal`.
    pub provider: bool,
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
            b"sk-provider@openssh.com" if self.provider => Err(Error::ConstraintTwice),
            b"sk-provider@openssh.com" => match string(from)? {
                b"internal" => {
                    self.provider = true;
                    Ok(())
                }
                _ => Err(Error::SkProvider),
            },
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

#[cfg(test)]
mod tests {
    use super::{Constraints, Destination, HopKey, Place, put_string};
    use crate::ssh::tests::Host;
    use crate::ssh::{Error, limits};
    use proptest::prelude::{Strategy, any, prop, proptest};

    fn strings(parts: &[&[u8]]) -> Vec<u8> {
        let mut to = Vec::new();
        parts.iter().for_each(|part| put_string(&mut to, part));
        to
    }

    /// The fields of a hop with one key, or none.
    fn hop(user: &[u8], host: &[u8], reserved: &[u8], key: Option<&[u8]>) -> Vec<u8> {
        let mut to = strings(&[user, host, reserved]);
        if let Some(key) = key {
            put_string(&mut to, key);
            to.push(0);
        }
        to
    }

    /// The extension with these constraints' fields.
    fn restrict(all: &[Vec<u8>]) -> Vec<u8> {
        let all: Vec<&[u8]> = all.iter().map(Vec::as_slice).collect();
        [b"\xff", &*strings(&[super::RESTRICT_DESTINATION, &strings(&all)])].concat()
    }

    #[test]
    fn constraints_that_are_not_supported_are_named() {
        let extension = |parts: &[&[u8]]| [b"\xff", &*strings(parts)].concat();
        let associated = [&extension(&[b"associated-certs-v00@openssh.com"])[..], b"\x01\0\0\0\0"].concat();
        for (bytes, wanted) in [
            (extension(&[b"sk-provider@openssh.com", b"/lib/evil.so"]), Error::SkProvider),
            (associated, Error::AssociatedCertificates),
            (extension(&[b"restrict-destination-v01@openssh.com", b""]), Error::ConstraintUnknown),
            (extension(&[b"restrict-destination-v00@openssh.com\0", b""]), Error::NullByte),
            // Signatures left, in a draft.
            (b"\x03\0\0\0\x01".to_vec(), Error::ConstraintUnknown),
            (b"\0".to_vec(), Error::ConstraintUnknown),
            (b"\x02\x02".to_vec(), Error::ConstraintTwice),
            (b"\x01\0\0\0\x01\x01\0\0\0\x01".to_vec(), Error::ConstraintTwice),
            (b"\x01\0\0\0\0\x01\0\0\0\0".to_vec(), Error::ConstraintTwice),
            (b"\x01\0\0\0".to_vec(), Error::Truncated),
            (b"\xff".to_vec(), Error::Truncated),
            (restrict(&[]), Error::DestinationMissing),
        ] {
            assert_eq!(Constraints::decode(&bytes), Err(wanted), "{}", bytes.escape_ascii());
        }
        let both = Constraints { confirm: true, lifetime: Some(0), ..Constraints::default() };
        assert_eq!(Constraints::decode(b"\x02\x01\0\0\0\0"), Ok(both));
    }

    #[test]
    fn destinations_that_contradict_themselves_are_refused() {
        let key = Host::new(1).blob();
        let (none, origin) = (hop(b"", b"", b"", None), hop(b"", b"from", b"", Some(&key)));
        let target = hop(b"", b"to", b"", Some(&key));
        let one = |from: &[u8], to: &[u8], reserved: &[u8]| restrict(&[strings(&[from, to, reserved])]);
        let to = |to: Vec<u8>| one(&none, &to, b"");
        let long = |length: usize| vec![b'a'; length];
        for (bytes, wanted) in [
            (one(&none, &target, b""), None),
            (one(&origin, &target, b""), None),
            (to(hop(&long(limits::USER_PATTERN), b"to", b"", Some(&key))), None),
            (to(hop(b"", &long(limits::HOST_NAME), b"", Some(&key))), None),
            // Of a type that is to come: such a host cannot be bound to, and the others can.
            (
                to([&target[..], &strings(&[&strings(&[b"ssh-mldsa44-ed25519@openssh.com", b"key"])]), b"\0"].concat()),
                None,
            ),
            (one(&hop(b"", b"from", b"", None), &target, b""), Some(Error::DestinationInconsistent)),
            (one(&hop(b"", b"", b"", Some(&key)), &target, b""), Some(Error::DestinationInconsistent)),
            (one(&hop(b"ada", b"from", b"", Some(&key)), &target, b""), Some(Error::DestinationInconsistent)),
            (one(&hop(b"ada", b"", b"", None), &target, b""), Some(Error::DestinationInconsistent)),
            (to(none.clone()), Some(Error::DestinationInconsistent)),
            (to(hop(b"ada", b"", b"", None)), Some(Error::DestinationInconsistent)),
            (to(hop(b"", b"to", b"", None)), Some(Error::DestinationInconsistent)),
            (to(hop(b"", b"", b"", Some(&key))), Some(Error::DestinationInconsistent)),
            (one(&none, &target, b"later"), Some(Error::Reserved)),
            (to(hop(b"", b"to", b"later", Some(&key))), Some(Error::Reserved)),
            (one(&hop(b"", b"", b"later", None), &target, b""), Some(Error::Reserved)),
            (to(hop(&long(limits::USER_PATTERN + 1), b"to", b"", Some(&key))), Some(Error::UserPatternTooLong)),
            (to(hop(b"", &long(limits::HOST_NAME + 1), b"", Some(&key))), Some(Error::HostName)),
            (to(hop(b"", b"\xff", b"", Some(&key))), Some(Error::HostName)),
            (to(hop(b"a\0", b"to", b"", Some(&key))), Some(Error::NullByte)),
            (to(hop(b"", b"t\0o", b"", Some(&key))), Some(Error::NullByte)),
            (to(hop(b"", b"to", b"", Some(&key[..key.len() - 1]))), Some(Error::KeyMalformed)),
            (to(hop(b"", b"to", b"", Some(&[&key[..], b"x"].concat()))), Some(Error::KeyMalformed)),
            (to(hop(b"", b"to", b"", Some(b""))), Some(Error::Truncated)),
            (to(target[..target.len() - 1].to_vec()), Some(Error::Truncated)),
            (restrict(&[[&strings(&[&none, &target, b""])[..], b"x"].concat()]), Some(Error::Trailing)),
            (restrict(&vec![strings(&[&none, &target, b""]); limits::DESTINATIONS]), None),
            (
                restrict(&vec![strings(&[&none, &target, b""]); limits::DESTINATIONS + 1]),
                Some(Error::DestinationsTooMany),
            ),
            ([one(&none, &target, b""), one(&none, &target, b"")].concat(), Some(Error::ConstraintTwice)),
        ] {
            assert_eq!(Constraints::decode(&bytes).err(), wanted, "{:.300}", bytes.escape_ascii().to_string());
        }
    }

    fn place() -> impl Strategy<Value = Place> {
        let key = (0..4_u8, any::<bool>())
            .prop_map(|(seed, authority)| HopKey { blob: Host::new(seed).blob().into(), authority });
        ("[a-z.]{1,20}", prop::collection::vec(key, 1..4)).prop_map(|(host, keys)| Place { host: host.into(), keys })
    }

    proptest! {
        #[test]
        fn constraints_come_back(
            confirm in any::<bool>(),
            lifetime in any::<Option<u32>>(),
            destinations in prop::collection::vec((prop::option::of(place()), place(), "[a-z*?]{0,9}"), 0..5),
        ) {
            let destinations = destinations.into_iter().map(|(from, to, user)| {
                Destination { from, to, user: (!user.is_empty()).then(|| user.into_bytes().into()) }
            });
            let destinations = destinations.collect();
            let constraints = Constraints { confirm, lifetime, destinations, provider: false };
            assert_eq!(Constraints::decode(&constraints.encode()), Ok(constraints));
        }
    }
}
