//! What the state holds, and the records that say so.

use super::super::anchor::Version;
use super::super::error::{Error, Result};
use super::super::json::{Fields, Node};
use super::ledger::{Device, Ledger};
use super::{AuditHead, SessionId};
use claviger::model::MfaSerial;
use serde_json::Value;
use std::collections::BTreeMap;
use zeroize::Zeroizing;

/// Longest sealed session in bytes.
pub(super) const SESSION_LIMIT: usize = 128 * 1024;

/// A record's text.
pub(super) type Record = Zeroizing<Vec<u8>>;

/// The content.
#[derive(Default)]
pub(super) struct Content {
    pub(super) ledger: Ledger,
    pub(super) sessions: BTreeMap<SessionId, Zeroizing<Vec<u8>>>,
    pub(super) audit: Option<AuditHead>,
    pub(super) version: Option<Version>,
}

impl Content {
    /// All of it as records. The first always exists: by it a reader knows that it has the right key.
    pub(super) fn records(&self) -> impl Iterator<Item = Record> + '_ {
        let start = std::iter::once(record("start", []));
        let floor = self.ledger.floor().map(floor);
        let devices = self.ledger.devices().iter().map(|(serial, state)| device(serial, state));
        let sessions = self.sessions.iter().map(|(id, bytes)| session(id, bytes));
        let version = self.version.as_ref().map(version);
        start.chain(floor).chain(devices).chain(sessions).chain(self.audit.as_ref().map(audit)).chain(version)
    }

    /// Takes a record in; [`Error::Damaged`] where it is none of ours.
    pub(super) fn apply(&mut self, text: &[u8]) -> Result<()> {
        let mut fields = Fields::parse(text)?;
        match fields.text("type")?.as_str() {
            "audit" => self.audit = Some(AuditHead { seq: fields.number("seq")?, mac: *fields.array("mac")? }),
            "burn" => drop(self.ledger.burn(&fields.noun("serial")?, fields.number("step")?)),
            "device" => {
                let (serial, device) = read_device(&mut fields)?;
                self.ledger.put(serial, device);
            }
            "floor" => self.ledger.floor_all(fields.number("step")?),
            "forget" => drop(self.sessions.remove(&*fields.array("id")?)),
            "session" => drop(self.sessions.insert(*fields.array("id")?, fields.bytes("bytes")?)),
            "start" => {}
            "vault" => self.version = Some(Version::read(&mut fields)?),
            _ => return Err(Error::Damaged),
        }
        Ok(())
    }
}

/// A step was burned.
pub(super) fn burn(serial: &MfaSerial, step: u64) -> Record {
    record("burn", [("serial", Node::Text(serial.as_str())), ("step", Node::count(step))])
}

/// Every step up to this one was burned.
pub(super) fn floor(step: u64) -> Record {
    record("floor", [("step", Node::count(step))])
}

/// A session is kept.
pub(super) fn session(id: &SessionId, bytes: &[u8]) -> Record {
    record("session", [("id", Node::Bytes(id)), ("bytes", Node::Bytes(bytes))])
}

/// A session is forgotten.
pub(super) fn forget(id: &SessionId) -> Record {
    record("forget", [("id", Node::Bytes(id))])
}

/// The audit's head moved.
pub(super) fn audit(head: &AuditHead) -> Record {
    record("audit", [("seq", Node::count(head.seq)), ("mac", Node::Bytes(&head.mac))])
}

/// The vault's version.
pub(super) fn version(version: &Version) -> Record {
    record("vault", version.members())
}

/// A device's burned steps, when the state is written anew.
fn device(serial: &MfaSerial, device: &Device) -> Record {
    let steps = device.recent.iter().copied().map(Node::count).collect();
    let mut members = vec![("serial", Node::Text(serial.as_str())), ("steps", Node::List(steps))];
    members.extend(device.floor.map(|floor| ("floor", Node::count(floor))));
    record("device", members)
}

fn read_device(fields: &mut Fields) -> Result<(MfaSerial, Device)> {
    // As every number of the format: below 2^63.
    let step = |value: &Value| value.as_i64().and_then(|step| u64::try_from(step).ok());
    let steps = fields.list("steps")?.iter().map(step).collect::<Option<_>>().ok_or(Error::Damaged)?;
    let floor = if fields.has("floor") { Some(fields.number("floor")?) } else { None };
    Ok((fields.noun("serial")?, Device { floor, recent: steps }))
}

fn record<'a>(kind: &'a str, members: impl IntoIterator<Item = (&'a str, Node<'a>)>) -> Record {
    Node::Object(members.into_iter().chain([("type", Node::Text(kind))]).collect()).write()
}
