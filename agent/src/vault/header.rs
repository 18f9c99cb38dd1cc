//! The part of the file that anyone can read, and nobody can change without the master key noticing.

use super::error::{Error, Result};
use super::json::{Extra, Fields, Node};
use super::slot::{SLOT_LIMIT, Slot};
use crate::world::WallTime;
use zeroize::Zeroizing;

/// The format this build writes, and the least a reader must know to read it.
pub(super) const FORMAT: u16 = 1;

const ALGORITHM: &str = "chacha20poly1305-stream-64k";

/// The header.
#[derive(Clone)]
pub(super) struct Header {
    /// Of the writer; a newer one is kept on rewrite.
    pub(super) format: u16,
    /// The least format a reader must know.
    pub(super) min_reader: u16,
    pub(super) vault_id: [u8; 16],
    /// One more with each save.
    pub(super) generation: u64,
    /// Copies of this vault from an earlier generation are sealed under an older master key, and must go.
    pub(super) oldest_copy: u64,
    pub(super) created: WallTime,
    pub(super) saved: WallTime,
    /// Fresh with each save: the header's and the payload's keys come from it.
    pub(super) salt: [u8; 32],
    /// Bytes of the payload as stored.
    pub(super) payload_length: u64,
    pub(super) slots: Vec<Slot>,
    pub(super) extra: Extra,
}

impl Header {
    /// The canonical text.
    pub(super) fn write(&self) -> Zeroizing<Vec<u8>> {
        let members = [
            ("created", Node::time(self.created)),
            ("critical", Node::List(Vec::new())),
            ("generation", Node::count(self.generation)),
            ("oldest_copy", Node::count(self.oldest_copy)),
            ("payload_algorithm", Node::Text(ALGORITHM)),
            ("payload_length", Node::count(self.payload_length)),
            ("salt", Node::Bytes(&self.salt)),
            ("saved", Node::time(self.saved)),
            ("slots", Node::List(self.slots.iter().map(Slot::node).collect())),
            ("vault_id", Node::Bytes(&self.vault_id)),
        ];
        Node::object(members, &self.extra).write()
    }

    /// Reads the text: [`Error::Newer`] where it needs more than this build knows, else [`Error::Damaged`] where it is
    /// not exactly what [`Header::write`] writes.
    pub(super) fn read(text: &[u8], format: u16, min_reader: u16) -> Result<Self> {
        let mut fields = Fields::parse(text)?;
        if !fields.list("critical")?.is_empty() || fields.text("payload_algorithm")? != ALGORITHM {
            return Err(Error::Newer);
        }
        let slots = fields.list("slots")?;
        if slots.len() > SLOT_LIMIT {
            return Err(Error::Damaged);
        }
        let header = Self {
            format,
            min_reader,
            vault_id: *fields.array("vault_id")?,
            generation: fields.number("generation")?,
            oldest_copy: fields.number("oldest_copy")?,
            created: fields.time("created")?,
            saved: fields.time("saved")?,
            salt: *fields.array("salt")?,
            payload_length: fields.number("payload_length")?,
            slots: slots.into_iter().map(Slot::read).collect::<Result<_>>()?,
            extra: fields.rest(),
        };
        let mut ids: Vec<u32> = header.slots.iter().map(|slot| slot.id).collect();
        ids.sort_unstable();
        ids.dedup();
        let sound = ids.len() == header.slots.len() && header.write().as_slice() == text;
        if sound { Ok(header) } else { Err(Error::Damaged) }
    }
}
