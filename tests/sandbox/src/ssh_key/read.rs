//! Public keys as people hand them in.

use super::PublicKey;
use super::der::{positive, read_rsa_spki};
use data_encoding::BASE64;

const RFC4716_BEGIN: &str = "---- BEGIN SSH2 PUBLIC KEY ----";
const RFC4716_END: &str = "---- END SSH2 PUBLIC KEY ----";

pub(super) fn read(material: &[u8]) -> Option<PublicKey> {
    let Ok(text) = str::from_utf8(material) else { return spki(material) };
    let text = text.trim();
    if text.starts_with(RFC4716_BEGIN) {
        return rfc4716(text);
    }
    openssh(text).or_else(|| {
        let folded: String = text.split_ascii_whitespace().collect();
        spki(&BASE64.decode(folded.as_bytes()).ok()?)
    })
}

/// One line: type, base64, and a comment that may be missing. Options and more lines are refused.
fn openssh(text: &str) -> Option<PublicKey> {
    if text.lines().count() != 1 {
        return None;
    }
    let mut words = text.split_ascii_whitespace();
    let (algorithm, base64) = (words.next()?, words.next()?);
    let key = blob(&BASE64.decode(base64.as_bytes()).ok()?)?;
    (key.algorithm() == algorithm).then_some(key)
}

/// RFC 4716 section 3: headers with continued lines, then base64.
fn rfc4716(text: &str) -> Option<PublicKey> {
    let inside = text.strip_prefix(RFC4716_BEGIN)?.strip_suffix(RFC4716_END)?;
    let mut base64 = String::new();
    let mut continued = false;
    for line in inside.lines().map(str::trim_end) {
        if continued || line.contains(':') {
            continued = line.ends_with('\\');
        } else {
            base64.push_str(line);
        }
    }
    blob(&BASE64.decode(base64.as_bytes()).ok()?)
}

fn spki(der: &[u8]) -> Option<PublicKey> {
    let (modulus, exponent) = read_rsa_spki(der)?;
    Some(PublicKey::Rsa { modulus, exponent })
}

/// The key as SSH sends it, and nothing after it.
fn blob(bytes: &[u8]) -> Option<PublicKey> {
    let mut rest = bytes;
    let key = match take(&mut rest)? {
        b"ssh-ed25519" => PublicKey::Ed25519(take(&mut rest)?.try_into().ok()?),
        b"ssh-rsa" => {
            let exponent = positive(take(&mut rest)?)?.to_vec();
            let modulus = positive(take(&mut rest)?)?.to_vec();
            PublicKey::Rsa { modulus, exponent }
        }
        _ => return None,
    };
    rest.is_empty().then_some(key)
}

fn take<'a>(bytes: &mut &'a [u8]) -> Option<&'a [u8]> {
    let (length, rest) = bytes.split_first_chunk::<4>()?;
    let (content, rest) = rest.split_at_checked(usize::try_from(u32::from_be_bytes(*length)).ok()?)?;
    *bytes = rest;
    Some(content)
}
