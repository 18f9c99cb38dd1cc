//! Canonical JSON: one text for one value, so that a file which reads back to itself has no duplicate key,
//! no trailing byte and no second meaning.
//!
//! The rules: members sorted by their names' bytes; no space; integers only; bytes as base64; strings with the
//! short escapes, `\u00xx` for other control characters, all else as it is.

use super::error::{Error, Result};
use crate::world::WallTime;
use data_encoding::BASE64;
use serde_json::Value;
use std::collections::BTreeMap;
use std::sync::Arc;
use zeroize::{Zeroize, Zeroizing};

/// A value about to be written. Borrows, so that no secret is copied on the way.
pub(super) enum Node<'a> {
    Boolean(bool),
    Bytes(&'a [u8]),
    Foreign(&'a Value),
    Integer(i64),
    List(Vec<Node<'a>>),
    Object(BTreeMap<&'a str, Node<'a>>),
    /// A text that is made for it.
    Own(String),
    Text(&'a str),
}

impl<'a> Node<'a> {
    /// An object of these members and those that a newer claviger put beside them.
    pub(super) fn object(members: impl IntoIterator<Item = (&'a str, Node<'a>)>, extra: &'a Extra) -> Self {
        let foreign = extra.0.0.iter().map(|(key, value)| (key.as_str(), Node::Foreign(value)));
        Self::Object(foreign.chain(members).collect())
    }

    /// An unsigned number; the format ends at 2^63.
    pub(super) fn count(number: u64) -> Self {
        Self::Integer(i64::try_from(number).unwrap_or(i64::MAX))
    }

    /// A time.
    pub(super) fn time(time: WallTime) -> Self {
        Self::Integer(time.0)
    }

    /// The canonical text, in a buffer of exactly its size: growing would leave copies behind.
    pub(super) fn write(&self) -> Zeroizing<Vec<u8>> {
        let mut size = 0;
        self.emit(&mut |bytes| size += bytes.len());
        let mut text = Zeroizing::new(Vec::with_capacity(size));
        self.emit(&mut |bytes| text.extend_from_slice(bytes));
        text
    }

    fn emit(&self, put: &mut dyn FnMut(&[u8])) {
        match self {
            Self::Boolean(value) => put(if *value { b"true" } else { b"false" }),
            Self::Bytes(bytes) => {
                put(b"\"");
                put(Zeroizing::new(BASE64.encode(bytes)).as_bytes());
                put(b"\"");
            }
            Self::Foreign(value) => emit_value(value, put),
            Self::Integer(number) => put(number.to_string().as_bytes()),
            Self::List(values) => emit_list(values.iter(), put, |value, put| value.emit(put)),
            Self::Object(members) => {
                let members = members.iter().map(|(key, value)| (*key, value));
                emit_object(members, put, |value, put| value.emit(put));
            }
            Self::Own(text) => emit_text(text, put),
            Self::Text(text) => emit_text(text, put),
        }
    }
}

fn emit_value(value: &Value, put: &mut dyn FnMut(&[u8])) {
    match value {
        Value::Array(values) => emit_list(values.iter(), put, emit_value),
        Value::Bool(true) => put(b"true"),
        Value::Bool(false) => put(b"false"),
        Value::Null => put(b"null"),
        Value::Number(number) => put(number.to_string().as_bytes()),
        Value::Object(members) => {
            // Sorted here: whether serde_json's own map is sorted depends on features of other crates.
            let sorted: BTreeMap<&str, &Value> = members.iter().map(|(key, value)| (key.as_str(), value)).collect();
            emit_object(sorted.into_iter(), put, emit_value);
        }
        Value::String(text) => emit_text(text, put),
    }
}

fn emit_list<T>(values: impl Iterator<Item = T>, put: &mut dyn FnMut(&[u8]), each: impl Fn(T, &mut dyn FnMut(&[u8]))) {
    put(b"[");
    for (index, value) in values.enumerate() {
        if index > 0 {
            put(b",");
        }
        each(value, put);
    }
    put(b"]");
}

fn emit_object<'k, T>(
    members: impl Iterator<Item = (&'k str, T)>,
    put: &mut dyn FnMut(&[u8]),
    each: impl Fn(T, &mut dyn FnMut(&[u8])),
) {
    put(b"{");
    for (index, (key, value)) in members.enumerate() {
        if index > 0 {
            put(b",");
        }
        emit_text(key, put);
        put(b":");
        each(value, put);
    }
    put(b"}");
}

fn emit_text(text: &str, put: &mut dyn FnMut(&[u8])) {
    put(b"\"");
    for part in text.split_inclusive(|character: char| character < ' ' || character == '"' || character == '\\') {
        let mut plain = part.chars();
        match plain.next_back() {
            Some(last) if last < ' ' || last == '"' || last == '\\' => {
                put(plain.as_str().as_bytes());
                emit_escape(last, put);
            }
            _ => put(part.as_bytes()),
        }
    }
    put(b"\"");
}

fn emit_escape(character: char, put: &mut dyn FnMut(&[u8])) {
    match character {
        '"' => put(b"\\\""),
        '\\' => put(b"\\\\"),
        '\u{8}' => put(b"\\b"),
        '\u{c}' => put(b"\\f"),
        '\n' => put(b"\\n"),
        '\r' => put(b"\\r"),
        '\t' => put(b"\\t"),
        other => put(format!("\\u{:04x}", u32::from(other)).as_bytes()),
    }
}

/// Members of a newer claviger that this one keeps as they are and writes back. Wiped when dropped.
#[derive(Clone, Default)]
pub struct Extra(Arc<Wiped>);

#[derive(Default)]
struct Wiped(BTreeMap<String, Value>);

impl Drop for Wiped {
    fn drop(&mut self) {
        self.0.values_mut().for_each(wipe);
    }
}

/// Wipes every string in the value.
pub(super) fn wipe(value: &mut Value) {
    match value {
        Value::Array(values) => values.iter_mut().for_each(wipe),
        Value::Object(members) => members.values_mut().for_each(wipe),
        Value::String(text) => text.zeroize(),
        Value::Bool(_) | Value::Null | Value::Number(_) => {}
    }
}

/// The members of an object being read: each is taken out by name, what is left is [`Extra`].
/// Every method fails with [`Error::Damaged`].
pub(super) struct Fields(Wiped);

impl Fields {
    /// Reads an object. The caller compares what it understood with the bytes, which finds duplicates.
    pub(super) fn parse(bytes: &[u8]) -> Result<Self> {
        Self::of(serde_json::from_slice(bytes).map_err(|_| Error::Damaged)?)
    }

    /// The members of this value, which must be an object.
    pub(super) fn of(value: Value) -> Result<Self> {
        match value {
            Value::Object(members) => Ok(Self(Wiped(members.into_iter().collect()))),
            mut other => {
                wipe(&mut other);
                Err(Error::Damaged)
            }
        }
    }

    pub(super) fn text(&mut self, key: &str) -> Result<String> {
        self.optional_text(key)?.ok_or(Error::Damaged)
    }

    pub(super) fn optional_text(&mut self, key: &str) -> Result<Option<String>> {
        match self.0.0.remove(key) {
            None => Ok(None),
            Some(Value::String(text)) => Ok(Some(text)),
            Some(_) => Err(Error::Damaged),
        }
    }

    /// A text that is a noun of the model.
    pub(super) fn noun<T: TryFrom<String>>(&mut self, key: &str) -> Result<T> {
        T::try_from(self.text(key)?).map_err(|_| Error::Damaged)
    }

    pub(super) fn boolean(&mut self, key: &str) -> Result<bool> {
        self.0.0.remove(key).and_then(|value| value.as_bool()).ok_or(Error::Damaged)
    }

    pub(super) fn integer(&mut self, key: &str) -> Result<i64> {
        self.0.0.remove(key).and_then(|value| value.as_i64()).ok_or(Error::Damaged)
    }

    /// An integer of a narrower type.
    pub(super) fn number<T: TryFrom<i64>>(&mut self, key: &str) -> Result<T> {
        T::try_from(self.integer(key)?).map_err(|_| Error::Damaged)
    }

    pub(super) fn time(&mut self, key: &str) -> Result<WallTime> {
        self.integer(key).map(WallTime)
    }

    pub(super) fn bytes(&mut self, key: &str) -> Result<Zeroizing<Vec<u8>>> {
        let text = Zeroizing::new(self.text(key)?);
        BASE64.decode(text.as_bytes()).map(Zeroizing::new).map_err(|_| Error::Damaged)
    }

    pub(super) fn array<const N: usize>(&mut self, key: &str) -> Result<Zeroizing<[u8; N]>> {
        let bytes = self.bytes(key)?;
        <[u8; N]>::try_from(bytes.as_slice()).map(Zeroizing::new).map_err(|_| Error::Damaged)
    }

    pub(super) fn list(&mut self, key: &str) -> Result<Vec<Value>> {
        match self.0.0.remove(key) {
            Some(Value::Array(values)) => Ok(values),
            _ => Err(Error::Damaged),
        }
    }

    pub(super) fn object(&mut self, key: &str) -> Result<Self> {
        Self::of(self.0.0.remove(key).ok_or(Error::Damaged)?)
    }

    pub(super) fn has(&self, key: &str) -> bool {
        self.0.0.contains_key(key)
    }

    /// Every member, by name.
    pub(super) fn into_members(mut self) -> BTreeMap<String, Value> {
        std::mem::take(&mut self.0.0)
    }

    /// The names of its members.
    pub(super) fn names(&self) -> Vec<String> {
        self.0.0.keys().cloned().collect()
    }

    /// What nobody took.
    pub(super) fn rest(self) -> Extra {
        Extra(Arc::new(self.0))
    }
}
