//! Files of known hosts (sshd(8), SSH_KNOWN_HOSTS FILE FORMAT): by which keys a host is known.
//!
//! A line that cannot be read, or whose key is of a type that is not known here, is passed over, as OpenSSH does. The
//! ssh-key crate reads such files too; it takes one space where people have several, and compares no names.

use super::codec::fields::string;
use super::{HopKey, HostKey, Place, limits, pattern};
use data_encoding::BASE64;
use hmac::{Hmac, KeyInit, Mac};
use sha1::Sha1;

/// A line that is neither empty nor a comment.
struct Line<'a> {
    marker: Marker,
    hosts: &'a [u8],
    kind: &'a [u8],
    key: &'a [u8],
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Marker {
    None,
    Authority,
    Revoked,
}

impl Place {
    /// A host by the keys that these files have for it, and the authorities that certify it, each once. Names are
    /// compared in lower case, as ssh asks for them. A key that is revoked for the host is left out wherever it stands.
    /// None where no key is left.
    pub fn known<'a>(host: &str, files: impl IntoIterator<Item = &'a [u8]>) -> Option<Self> {
        let host = host.to_ascii_lowercase();
        let (mut keys, mut revoked) = (Vec::new(), Vec::new());
        let lines = files.into_iter().flat_map(|file| file.split(|byte| *byte == b'\n')).filter_map(Line::read);
        for line in lines.filter(|line| line.names(host.as_bytes())) {
            let Some(blob) = line.blob() else { continue };
            if line.marker == Marker::Revoked {
                revoked.push(blob);
                continue;
            }
            let key = HopKey { blob, authority: line.marker == Marker::Authority };
            if !keys.contains(&key) {
                keys.push(key);
            }
        }
        keys.retain(|key| !revoked.contains(&key.blob));
        (!keys.is_empty()).then(|| Self { host: host.into(), keys })
    }
}

/// The first name that these files have for the host of a key. Patterns, and names that were hashed, are none; None also
/// for a key that is revoked anywhere.
pub fn name_of<'a>(key: &[u8], files: impl IntoIterator<Item = &'a [u8]>) -> Option<String> {
    let encoded = BASE64.encode(key);
    let lines = files.into_iter().flat_map(|file| file.split(|byte| *byte == b'\n')).filter_map(Line::read);
    let mut name = None;
    for line in lines.filter(|line| line.key == encoded.as_bytes()) {
        match line.marker {
            Marker::Revoked => return None,
            Marker::None if name.is_none() => name = line.plain_name(),
            Marker::None | Marker::Authority => {}
        }
    }
    name
}

impl<'a> Line<'a> {
    fn read(line: &'a [u8]) -> Option<Self> {
        let mut words = line.split(|byte| b" \t\r".contains(byte)).filter(|word| !word.is_empty());
        let (marker, hosts) = match words.next()? {
            b"@cert-authority" => (Marker::Authority, words.next()?),
            b"@revoked" => (Marker::Revoked, words.next()?),
            first if first.starts_with(b"@") || first.starts_with(b"#") => return None,
            first => (Marker::None, first),
        };
        // A second marker would be taken for a host.
        let (kind, key) = (words.next()?, words.next()?);
        (!hosts.starts_with(b"@")).then_some(Self { marker, hosts, kind, key })
    }

    /// Whether the line is about this host (OpenSSH: `match_maybe_hashed`).
    fn names(&self, host: &[u8]) -> bool {
        match self.hosts.strip_prefix(b"|1|") {
            Some(hashed) => is_hash_of(hashed, host),
            None => is_in_list(host, self.hosts),
        }
    }

    fn plain_name(&self) -> Option<String> {
        let plain = |name: &&[u8]| !name.is_empty() && !name.iter().any(|byte| b"*?!|".contains(byte));
        let name = self.hosts.split(|byte| *byte == b',').find(plain)?;
        std::str::from_utf8(name).ok().filter(|name| name.len() <= limits::HOST_NAME).map(str::to_owned)
    }

    /// The key, if it is one of the type that the line says.
    fn blob(&self) -> Option<Box<[u8]>> {
        let blob = BASE64.decode(self.key).ok()?;
        let key = HostKey::decode(&blob).ok().filter(|key| key.authority().is_none())?;
        (string(&mut key.blob()).ok()? == self.kind).then(|| key.blob().into())
    }
}

/// `salt|hash` in base64: HMAC-SHA1 over the name, keyed with the salt.
fn is_hash_of(hashed: &[u8], host: &[u8]) -> bool {
    let decoded = |part: Option<&[u8]>| part.and_then(|part| BASE64.decode(part).ok());
    let mut parts = hashed.splitn(2, |byte| *byte == b'|');
    let (Some(salt), Some(hash)) = (decoded(parts.next()), decoded(parts.next())) else { return false };
    let Ok(mut mac) = Hmac::<Sha1>::new_from_slice(&salt) else { return false };
    mac.update(host);
    mac.verify_slice(&hash).is_ok()
}

/// Patterns with commas between them: one must match, and none that begins with `!` (OpenSSH: `match_hostname`).
fn is_in_list(host: &[u8], list: &[u8]) -> bool {
    let mut found = false;
    for pattern in list.split(|byte| *byte == b',').filter(|pattern| pattern.len() <= limits::HOST_NAME) {
        let (negated, pattern) = pattern.strip_prefix(b"!").map_or((false, pattern), |pattern| (true, pattern));
        if pattern::matches(host, &pattern.to_ascii_lowercase()) {
            if negated {
                return false;
            }
            found = true;
        }
    }
    found
}
