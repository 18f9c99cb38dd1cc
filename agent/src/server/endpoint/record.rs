//! Endpoints in the words of the audit record.

use super::open::Endpoint;
use super::owner::Owner;
use crate::audit::{Entry, Event};
use crate::server::peer::Peer;
use claviger::model::{AuditPeer, AuditSubject};
use claviger::wire::EndpointKind;

/// An endpoint opened or closed.
pub(super) fn of_endpoint(event: Event, endpoint: &Endpoint) -> Entry {
    let subject = AuditSubject { profile: Some(endpoint.profile.clone()), ..AuditSubject::default() };
    let kind = match endpoint.door.kind {
        EndpointKind::Container => "container",
        EndpointKind::Imds => "imds",
    };
    Entry::new(event).subject(subject).reason(kind).peer(peer_of(&endpoint.owner))
}

/// The process that an endpoint was opened for, as it is now: `exec` has become the command by then.
pub(super) fn peer_of(owner: &Owner) -> AuditPeer {
    let now = Peer::of(Some(owner.pid)).seen();
    if now.start == Some(owner.started) {
        now
    } else {
        AuditPeer { pid: Some(owner.pid), start: Some(owner.started), uid: now.uid, ..AuditPeer::default() }
    }
}
