//! Lines and their seals. Pure.
//!
//! A line is the record's canonical JSON with two members at its end: `prev`, the seal of the line before it, and `mac`,
//! HMAC-SHA256 over everything before `,"mac"`. Both are 64 lower-case hex digits, so the end of a line has one length.

use super::entry::RECORD_LIMIT;
use claviger::model::AuditRecord;
use data_encoding::HEXLOWER;
use hmac::{Hmac, KeyInit, Mac};
use serde::Deserialize;
use sha2::Sha256;
use zeroize::Zeroizing;

/// The key of a vault's record.
pub type Key = Zeroizing<[u8; 32]>;

/// The seal of a line; the first line has zeros before it.
pub(super) type Seal = [u8; 32];

const PREV: &[u8] = b",\"prev\":\"";
const MAC: &[u8] = b"\",\"mac\":\"";
const END: &[u8] = b"\"}";
const HEX: usize = 64;
/// What follows the record's own members.
const TAIL: usize = PREV.len() + HEX + MAC.len() + HEX + END.len();

/// The last line: its number and its seal.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Head {
    /// Its number; 0 where there is no line yet.
    pub seq: u64,
    /// Its seal.
    pub mac: Seal,
}

/// Makes and checks seals. Cloning the keyed state is cheaper than keying anew for each line.
#[derive(Clone)]
pub(super) struct Sealer(Hmac<Sha256>);

impl Sealer {
    pub(super) fn new(key: &Key) -> Self {
        #[expect(clippy::expect_used, reason = "RFC 2104: a key of any length")]
        Self(<Hmac<Sha256> as KeyInit>::new_from_slice(key.as_slice()).expect("a key of any length"))
    }

    /// The line of a record that follows `head`, newline included, and the head that it makes. The record's number is
    /// the next. None where it does not fit in a line.
    pub(super) fn seal(&self, head: &Head, record: &mut AuditRecord) -> Option<(Vec<u8>, Head)> {
        record.seq = head.seq.saturating_add(1);
        let mut line = serde_json::to_vec(record).ok()?;
        line.pop();
        line.extend_from_slice(PREV);
        line.extend_from_slice(HEXLOWER.encode(&head.mac).as_bytes());
        line.push(b'"');
        let mac: Seal = self.0.clone().chain_update(&line).finalize().into_bytes().into();
        line.extend_from_slice(MAC.get(1..)?);
        line.extend_from_slice(HEXLOWER.encode(&mac).as_bytes());
        line.extend_from_slice(END);
        line.push(b'\n');
        (line.len() <= RECORD_LIMIT).then_some((line, Head { seq: record.seq, mac }))
    }

    /// Whether the line's own seal is this key's.
    pub(super) fn holds(&self, line: &Line<'_>) -> bool {
        self.0.clone().chain_update(line.sealed).verify_slice(&line.head.mac).is_ok()
    }
}

/// A line taken apart, its seal not yet checked.
pub(super) struct Line<'a> {
    sealed: &'a [u8],
    members: &'a [u8],
    pub(super) prev: Seal,
    pub(super) head: Head,
    /// What happened, where a reader of the chain must know.
    pub(super) event: &'a str,
    pub(super) through: Option<u64>,
}

#[derive(Deserialize)]
struct Needed<'a> {
    seq: u64,
    #[serde(borrow)]
    event: &'a str,
    #[serde(default)]
    through: Option<u64>,
}

impl<'a> Line<'a> {
    /// Takes a line apart, its newline already gone; None where it has not the form of one.
    pub(super) fn split(line: &'a [u8]) -> Option<Self> {
        let (members, tail) = line.split_at_checked(line.len().checked_sub(TAIL)?)?;
        let rest = tail.strip_prefix(PREV)?;
        let (prev, rest) = rest.split_at_checked(HEX)?;
        let (mac, end) = rest.strip_prefix(MAC)?.split_at_checked(HEX)?;
        let (sealed, _) = line.split_at_checked(line.len().checked_sub(MAC.len() + HEX + END.len() - 1)?)?;
        if end != END || line.len() >= RECORD_LIMIT {
            return None;
        }
        // The members lack the brace that would end them.
        let mut reader = serde_json::Deserializer::from_slice(line);
        let needed = Needed::deserialize(&mut reader).ok()?;
        reader.end().ok()?;
        let head = Head { seq: needed.seq, mac: unhex(mac)? };
        Some(Self { sealed, members, prev: unhex(prev)?, head, event: needed.event, through: needed.through })
    }

    /// The record.
    pub(super) fn record(&self) -> Option<AuditRecord> {
        let mut text = self.members.to_vec();
        text.push(b'}');
        serde_json::from_slice(&text).ok()
    }
}

fn unhex(text: &[u8]) -> Option<Seal> {
    let mut seal = [0; 32];
    (HEXLOWER.decode_len(text.len()) == Ok(seal.len())).then_some(())?;
    HEXLOWER.decode_mut(text, &mut seal).ok()?;
    Some(seal)
}
