//! Keys as people see them; no secret.

use crate::ssh::{Constraints, Destination};
use crate::vault::{Items, SshKey};
use crate::world::rfc3339;
use claviger::model::Name;
use claviger::wire::SshKeyRow;
use data_encoding::BASE64;
use ssh_key::encoding::Decode;
use ssh_key::public::KeyData;
use ssh_key::{EcdsaCurve, HashAlg};

/// Most bytes of a page of the list, about: with the longest row it stays within a line of the protocol.
const PAGE_LIMIT: usize = 96 * 1024;

/// A row, with the line for `authorized_keys`.
pub fn row(name: &Name, key: &SshKey) -> SshKeyRow {
    SshKeyRow { public: Some(line(key)), ..short(name, key) }
}

/// Rows from one on, as many as fit. None at all is the end.
pub fn page(items: &Items, skip: usize) -> Vec<SshKeyRow> {
    let mut bytes = 0;
    let rows = items.ssh_keys.iter().skip(skip).map(|(name, key)| short(name, key));
    rows.take_while(|row| {
        let first = bytes == 0;
        bytes += serde_json::to_vec(row).map_or(PAGE_LIMIT, |row| row.len());
        first || bytes <= PAGE_LIMIT
    })
    .collect()
}

fn short(name: &Name, key: &SshKey) -> SshKeyRow {
    let (bits, fingerprint) = looks(&key.public).unwrap_or_default();
    let destinations = Constraints::decode(&key.destinations).map(|found| found.destinations).unwrap_or_default();
    SshKeyRow {
        name: name.clone(),
        algorithm: algorithm(&key.public),
        bits,
        fingerprint,
        comment: key.comment.clone(),
        any_data: key.any_data,
        confirm: key.confirm,
        destinations: destinations.iter().map(spelled).collect(),
        lifetime: key.lifetime,
        namespaces: key.namespaces.clone(),
        public: None,
        added: rfc3339(key.added),
    }
}

/// As it was typed.
fn spelled(destination: &Destination) -> String {
    let from = destination.from.as_ref().map(|place| format!("{}>", place.host)).unwrap_or_default();
    let user = destination.user.as_ref().map(|user| format!("{}@", String::from_utf8_lossy(user))).unwrap_or_default();
    format!("{from}{user}{}", destination.to.host)
}

fn line(key: &SshKey) -> String {
    format!("{} {} {}", algorithm(&key.public), BASE64.encode(&key.public), key.comment).trim_end().to_owned()
}

/// The name that a blob begins with (RFC 4253 section 6.6).
fn algorithm(blob: &[u8]) -> String {
    let name = || {
        let (length, rest) = blob.split_first_chunk::<4>()?;
        std::str::from_utf8(rest.get(..usize::try_from(u32::from_be_bytes(*length)).ok()?)?).ok()
    };
    name().unwrap_or_default().to_owned()
}

/// Size and fingerprint of a blob that was taken into the vault, and so is within the bounds of one.
fn looks(blob: &[u8]) -> Option<(u32, String)> {
    let data = KeyData::decode(&mut &*blob).ok()?;
    let key = data.certificate().map_or(&data, |certificate| certificate.public_key());
    let bits = match key {
        KeyData::Ecdsa(key) => match key.curve() {
            EcdsaCurve::NistP256 => 256,
            EcdsaCurve::NistP384 => 384,
            EcdsaCurve::NistP521 => 521,
        },
        KeyData::Rsa(key) => key.key_size(),
        _ => 256,
    };
    Some((bits, key.fingerprint(HashAlg::Sha256).to_string()))
}
