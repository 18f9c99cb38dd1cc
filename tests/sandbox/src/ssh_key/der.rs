//! The little of DER (ITU-T X.690) that RSA keys need.

/// AlgorithmIdentifier of rsaEncryption with its NULL (RFC 3279 section 2.3.1).
const RSA_ENCRYPTION: [u8; 15] = [0x30, 13, 6, 9, 0x2a, 0x86, 0x48, 0x86, 0xf7, 13, 1, 1, 1, 5, 0];
const INTEGER: u8 = 0x02;
const BIT_STRING: u8 = 0x03;
const OCTET_STRING: u8 = 0x04;
const SEQUENCE: u8 = 0x30;

/// One element around its content.
fn element(tag: u8, content: &[u8]) -> Vec<u8> {
    let mut out = vec![tag];
    match u8::try_from(content.len()) {
        Ok(short) if short < 0x80 => out.push(short),
        _ => {
            let length: Vec<u8> = content.len().to_be_bytes().into_iter().skip_while(|byte| *byte == 0).collect();
            out.push(0x80 | u8::try_from(length.len()).unwrap_or(0x7f));
            out.extend(length);
        }
    }
    out.extend_from_slice(content);
    out
}

/// A positive number, big-endian and without leading zeros.
fn number(magnitude: &[u8]) -> Vec<u8> {
    let mut content = magnitude.to_vec();
    if content.first().is_none_or(|byte| *byte >= 0x80) {
        content.insert(0, 0);
    }
    element(INTEGER, &content)
}

/// SubjectPublicKeyInfo of an RSA key (RFC 5280 section 4.1, RFC 3279 section 2.3.1).
pub(super) fn rsa_spki(modulus: &[u8], exponent: &[u8]) -> Vec<u8> {
    let key = element(SEQUENCE, &[number(modulus), number(exponent)].concat());
    let bits = element(BIT_STRING, &[vec![0], key].concat());
    element(SEQUENCE, &[RSA_ENCRYPTION.to_vec(), bits].concat())
}

/// Modulus and exponent of a SubjectPublicKeyInfo; None unless it is exactly one of an RSA key.
pub(super) fn read_rsa_spki(der: &[u8]) -> Option<(Vec<u8>, Vec<u8>)> {
    let bits = whole(der, SEQUENCE)?.strip_prefix(&RSA_ENCRYPTION)?;
    let mut key = whole(whole(bits, BIT_STRING)?.strip_prefix(&[0])?, SEQUENCE)?;
    let found = (read_number(&mut key)?, read_number(&mut key)?);
    key.is_empty().then_some(found)
}

/// PrivateKeyInfo of an RSA key (RFC 5958 version 0) around its RSAPrivateKey, as `openssl pkcs8 -topk8` writes it.
pub(super) fn rsa_pkcs8(pkcs1: &[u8]) -> Vec<u8> {
    let key = element(OCTET_STRING, pkcs1);
    element(SEQUENCE, &[number(&[]), RSA_ENCRYPTION.to_vec(), key].concat())
}

/// The RSAPrivateKey inside a PrivateKeyInfo.
pub(super) fn rsa_pkcs1(pkcs8: &[u8]) -> Option<&[u8]> {
    let mut content = whole(pkcs8, SEQUENCE)?;
    take(&mut content, INTEGER)?;
    take(content.strip_prefix(&RSA_ENCRYPTION).as_mut()?, OCTET_STRING)
}

/// The numbers of an RSAPrivateKey after its version (RFC 8017 section A.1.2): n, e, d, p, q, dP, dQ, qInv.
pub(super) fn rsa_numbers(pkcs1: &[u8]) -> Option<[Vec<u8>; 8]> {
    let mut content = whole(pkcs1, SEQUENCE)?;
    take(&mut content, INTEGER).filter(|version| *version == [0])?;
    let mut numbers = Vec::new();
    while !content.is_empty() {
        numbers.push(read_number(&mut content)?);
    }
    numbers.try_into().ok()
}

/// The content of the one element that the bytes are.
fn whole(bytes: &[u8], tag: u8) -> Option<&[u8]> {
    let mut rest = bytes;
    let content = take(&mut rest, tag)?;
    rest.is_empty().then_some(content)
}

/// Cuts one element off, and gives its content.
fn take<'a>(bytes: &mut &'a [u8], tag: u8) -> Option<&'a [u8]> {
    let rest = bytes.strip_prefix(&[tag])?;
    let (first, rest) = rest.split_first()?;
    let (length, rest) = match *first {
        short @ 0..0x80 => (usize::from(short), rest),
        long => {
            let (digits, rest) = rest.split_at_checked(usize::from(long & 0x7f))?;
            // DER writes a length as short as can be (X.690 section 10.1).
            let shortest = digits.first().is_some_and(|byte| *byte > 0) && digits.len() <= 3;
            let length = digits.iter().fold(0_usize, |length, byte| length << 8 | usize::from(*byte));
            if !shortest || length < 0x80 {
                return None;
            }
            (length, rest)
        }
    };
    let (content, rest) = rest.split_at_checked(length)?;
    *bytes = rest;
    Some(content)
}

/// A positive number without its sign byte.
fn read_number(bytes: &mut &[u8]) -> Option<Vec<u8>> {
    positive(take(bytes, INTEGER)?).map(<[u8]>::to_vec)
}

/// The magnitude of a signed big-endian number, as DER and SSH write it; None for zero, negative and overlong ones.
pub(super) fn positive(signed: &[u8]) -> Option<&[u8]> {
    match signed {
        [0, rest @ ..] if rest.first().is_some_and(|byte| *byte >= 0x80) => Some(rest),
        [] | [0, ..] => None,
        [first, ..] if *first >= 0x80 => None,
        plain => Some(plain),
    }
}
