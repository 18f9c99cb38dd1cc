//! What binds a connection, and what taints it.

use super::{NOW, constraints, talk};
use crate::ssh::codec::fields::put_string;
use crate::ssh::codec::{Extension, Request};
use crate::ssh::{Binding, BindingState, Constraints, Error, Payload, limits};
use aws_lc_rs::signature::{Ed25519KeyPair, KeyPair};

/// A host of a test's own.
pub(in crate::ssh) struct Host(Ed25519KeyPair);

impl Host {
    pub(in crate::ssh) fn new(seed: u8) -> Self {
        Self(Ed25519KeyPair::from_seed_unchecked(&[seed; 32]).unwrap())
    }

    pub(in crate::ssh) fn blob(&self) -> Vec<u8> {
        pair(b"ssh-ed25519", self.0.public_key().as_ref())
    }

    pub(in crate::ssh) fn bind(&self, session: &[u8], forwarding: bool) -> Vec<u8> {
        let mut to = Vec::new();
        put_string(&mut to, &self.blob());
        put_string(&mut to, session);
        put_string(&mut to, &pair(b"ssh-ed25519", self.0.sign(session).as_ref()));
        to.push(forwarding.into());
        to
    }
}

pub(super) fn pair(one: &[u8], other: &[u8]) -> Vec<u8> {
    let mut to = Vec::new();
    put_string(&mut to, one);
    put_string(&mut to, other);
    to
}

#[test]
fn bindings_make_the_state_of_a_connection() {
    let (one, other) = (Host::new(1), Host::new(2));
    let mut binding = Binding::default();
    assert!(binding.state() == BindingState::Unbound && binding.state().may_change());
    assert_eq!(binding.bind(&one.bind(b"a", false)), Ok(()));
    assert!(binding.state() == BindingState::AuthBound && binding.state().may_change());

    let mut binding = Binding::default();
    for (fields, hops) in [
        (one.bind(b"a", true), 1),
        (one.bind(b"a", true), 1),
        (other.bind(b"b", true), 2),
        (one.bind(b"a", true), 2),
        // Another session with a host that was passed.
        (one.bind(b"c", true), 3),
        // A session that is known does not become an authentication.
        (one.bind(b"c", false), 3),
        (other.bind(b"d", false), 4),
    ] {
        assert_eq!(binding.bind(&fields), Ok(()));
        assert_eq!((binding.hops().len(), binding.state()), (hops, BindingState::Forwarded));
        assert!(!binding.state().may_change());
    }
    assert!(binding.hops()[2].forwarding && !binding.hops()[3].forwarding);
    assert_eq!(binding.hops()[1].host_key.blob(), other.blob());
}

#[test]
fn a_forged_or_contradictory_binding_taints_for_good() {
    let (one, other) = (Host::new(1), Host::new(2));
    let good = one.bind(b"session", true);
    let mut forged: Vec<Vec<u8>> = (0..good.len() - 1)
        .map(|at| {
            let mut forged = good.clone();
            forged[at] ^= 0x40;
            forged
        })
        .collect();
    forged.extend((0..good.len()).map(|cut| good[..cut].to_vec()));
    forged.push([&good[..], b"x"].concat());
    forged.push(one.bind(b"", true));
    forged.push(one.bind(&[7; limits::SESSION_ID + 1], true));
    // Signed by another host.
    forged.push([&one.bind(b"session", true)[..62], &other.bind(b"session", true)[62..]].concat());
    // A type that is not known.
    forged.push(
        [&pair(&pair(b"ssh-mldsa44-ed25519@openssh.com", &[1; 1344]), b"session")[..], &pair(b"", b"")[..4], b"\x01"]
            .concat(),
    );
    for (number, fields) in forged.iter().enumerate() {
        for begun in [false, true] {
            let mut binding = Binding::default();
            if begun {
                assert_eq!(binding.bind(&other.bind(b"before", true)), Ok(()));
            }
            assert!(binding.bind(fields).is_err(), "{number} is taken");
            assert_eq!(binding.state(), BindingState::Tainted, "{number}");
            assert_eq!(binding.bind(&good), Err(Error::Tainted), "{number}: not taken back");
            assert!(!binding.state().may_change());
        }
    }
    assert_eq!(Binding::default().bind(&good), Ok(()), "the control");
    assert_eq!(Binding::default().bind(&one.bind(&[7; limits::SESSION_ID], true)), Ok(()), "as long as may be");

    for (before, then, wanted) in [
        (one.bind(b"a", false), one.bind(b"b", true), Error::SessionBoundAlready),
        (one.bind(b"a", false), one.bind(b"a", false), Error::SessionBoundAlready),
        (one.bind(b"a", true), other.bind(b"a", true), Error::SessionContradicted),
        (one.bind(b"a", true), other.bind(b"a", false), Error::SessionContradicted),
    ] {
        let mut binding = Binding::default();
        assert_eq!(binding.bind(&before), Ok(()));
        assert_eq!(binding.bind(&then), Err(wanted));
        assert_eq!(binding.state(), BindingState::Tainted);
    }

    let mut binding = Binding::default();
    for hop in 0..16 {
        assert_eq!(binding.bind(&one.bind(&[hop], true)), Ok(()));
    }
    assert_eq!(binding.bind(&one.bind(&[0], true)), Ok(()), "one that is known is none more");
    assert_eq!(binding.bind(&one.bind(&[16], true)), Err(Error::SessionsTooMany));
    assert_eq!(binding.state(), BindingState::Tainted);
}

/// Real bindings of every type of host key, each byte wrong once.
#[test]
fn bindings_of_real_hosts_hold_and_none_of_their_bytes_may_change() {
    for name in ["login-alpha", "login-beta", "login-gamma", "login-delta", "login-omega", "authority-alpha"] {
        let message = talk(name).swap_remove(0);
        let Ok(Request::Extension(Extension::SessionBind(fields))) = Request::parse(&message) else { panic!("{name}") };
        let mut binding = Binding::default();
        assert_eq!(binding.bind(fields), Ok(()), "{name}");
        assert_eq!(binding.state(), BindingState::AuthBound);
        for at in 0..fields.len() - 1 {
            let mut forged = fields.to_vec();
            forged[at] ^= 1;
            let mut binding = Binding::default();
            assert!(binding.bind(&forged).is_err() && binding.state() == BindingState::Tainted, "{name} {at}");
        }
    }
}

#[test]
fn a_tainted_connection_has_no_use_of_constrained_keys() {
    let constraints = constraints(&talk("add-route")[0]);
    let talk = talk("route-beta");
    let Ok(Request::Sign { key, data, .. }) = Request::parse(&talk[3]) else { panic!("no signature") };
    let payload = Payload::parse(data, key);
    let mut binding = Binding::default();
    assert_eq!(constraints.permit(&binding, &payload, NOW), Err(Error::Unbound));
    assert!(constraints.visible(&binding, NOW));
    for message in &talk[..2] {
        let Ok(Request::Extension(Extension::SessionBind(fields))) = Request::parse(message) else {
            panic!("no binding")
        };
        binding.bind(fields).unwrap();
    }
    let route = constraints.permit(&binding, &payload, NOW).unwrap().expect("a way");
    assert_eq!((route.forwarded_to, route.host), (Some("alpha"), "beta"));
    assert_eq!(constraints.permit(&binding, &Payload::Raw, NOW), Err(Error::Unidentified));
    assert!(binding.bind(b"").is_err());
    assert_eq!(constraints.permit(&binding, &payload, NOW), Err(Error::Tainted));
    assert!(!constraints.visible(&binding, NOW));
    assert_eq!(Constraints::default().permit(&binding, &Payload::Raw, NOW), Ok(None), "a free key signs anywhere");
    assert!(Constraints::default().visible(&binding, NOW));
}
