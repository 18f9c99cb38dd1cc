//! What `ssh-add` sends is read to the byte, and what does not fit together is refused.

use super::super::fields::{Field, string, write};
use super::super::{Curve, KeyType};
use super::{Error, KEYS, SoftKey, added, refusal, text, vector};

#[test]
fn what_ssh_add_sends_is_read_to_the_byte() {
    for key in KEYS {
        for (name, public) in
            [(key.to_owned(), format!("{key}.pub")), (format!("{key}-cert"), format!("{key}-cert.pub"))]
        {
            let frame = vector(&format!("{name}.identity"));
            let mut rest = frame.as_slice();
            let read = SoftKey::decode(&mut rest).unwrap_or_else(|error| panic!("{name}: {error}"));
            assert_eq!(string(&mut rest), Ok(format!("{key}@host").as_bytes()), "{name}: the comment is left");
            assert!(rest.is_empty());
            assert_eq!(read.line(&format!("{key}@host")), text(&public), "{name}");
            let fields = read.encode().unwrap();
            assert!(frame.starts_with(&fields), "{name}: written as it was read");
            assert_eq!(fields.len() + 4 + key.len() + 5, frame.len(), "{name}");
        }
    }
}

#[test]
fn bits_types_and_fingerprints_are_those_of_openssh() {
    let all = [
        (256, KeyType::Ecdsa(Curve::P256)),
        (384, KeyType::Ecdsa(Curve::P384)),
        (521, KeyType::Ecdsa(Curve::P521)),
        (256, KeyType::Ed25519),
        (2048, KeyType::Rsa),
        (3072, KeyType::Rsa),
    ];
    for (name, (bits, kind)) in KEYS.into_iter().zip(all) {
        let (key, certified) = (added(name), added(&format!("{name}-cert")));
        assert_eq!((key.bits(), key.kind()), (bits, kind));
        assert_eq!(key.fingerprint(), certified.fingerprint(), "{name}: a certificate has that of its key");
        assert_eq!(key.key_blob(), certified.key_blob());
        assert_eq!(key.blob(), key.key_blob());
        assert_ne!(certified.blob(), certified.key_blob());
        assert_eq!(certified.algorithm(), format!("{}-cert-v01@openssh.com", key.algorithm()));
        let said = certified.certificate().unwrap();
        assert_eq!((said.key_id(), said.serial(), said.valid_before()), (format!("{name} id").as_str(), 7, u64::MAX));
        assert_eq!(said.valid_principals(), ["ada", "root"]);
        assert!(key.certificate().is_none());
    }
    assert_eq!(added("ed25519").fingerprint(), text("ed25519.fingerprint"));
}

#[test]
fn a_line_stays_one_line() {
    let key = added("ed25519");
    let line = key.line("a\nssh-rsa AAAA b\r\0");
    assert!(line.ends_with(" a?ssh-rsa AAAA b??") && !line.contains('\n'), "{line}");
    assert_eq!(key.line("").split(' ').count(), 2);
}

#[test]
fn other_types_are_refused_by_name() {
    for (name, kind) in [
        ("webauthn-sk-ecdsa-sha2-nistp256@openssh.com", "security key"),
        ("ssh-dss", "dsa"),
        ("ssh-dss-cert-v01@openssh.com", "dsa"),
        ("ssh-xmss@openssh.com", "xmss"),
        ("ssh-mldsa44-ed25519@openssh.com", "ml-dsa"),
        ("ssh-mldsa44-ed25519-cert-v01@openssh.com", "ml-dsa"),
        ("ssh-ed448", "ed448"),
        ("rsa-sha2-256", "unknown"),
        ("ssh-ed25519 ", "unknown"),
        ("", "unknown"),
    ] {
        let frame = write(&[Field::Text(name.as_bytes()), Field::Text(b"canary"), Field::Text(b"canary")]);
        let mut rest = frame.as_slice();
        let error = refusal(SoftKey::decode(&mut rest));
        assert_eq!(error, Error::UnsupportedType { kind }, "{name}");
        assert_eq!(rest.len(), frame.len(), "{name}: nothing is read after an error");
        assert!(!format!("{error} {error:?}").contains("canary"));
    }
}

/// The fields of a frame, without its comment; every field of these is a string to the eye.
fn fields(name: &str) -> Vec<Vec<u8>> {
    let frame = vector(&format!("{name}.identity"));
    let mut rest = frame.as_slice();
    let mut fields = Vec::new();
    while !rest.is_empty() {
        fields.push(string(&mut rest).unwrap().to_vec());
    }
    fields.pop();
    fields
}

fn decode(fields: &[Vec<u8>]) -> super::Result<SoftKey> {
    let all: Vec<_> = fields.iter().map(|field| Field::Text(field)).collect();
    SoftKey::decode(&mut write(&all).as_slice())
}

#[test]
fn halves_of_two_keys_are_refused() {
    for (name, ats) in [
        ("ed25519", &[1, 2][..]),
        ("ecdsa-256", &[2, 3]),
        ("rsa-2048", &[1, 2, 3, 4, 5, 6]),
        ("rsa-2048-cert", &[2, 3, 4, 5]),
        ("ed25519-cert", &[2, 3]),
        ("ecdsa-256-cert", &[2]),
    ] {
        assert!(decode(&fields(name)).is_ok(), "{name}: control");
        for at in ats {
            let mut fields = fields(name);
            // The last bit but one: an odd number stays odd.
            *fields[*at].last_mut().unwrap() ^= 2;
            let error = refusal(decode(&fields));
            assert_eq!(error, Error::Mismatch, "{name} {at}");
        }
    }
    let (mut mine, theirs) = (fields("rsa-2048"), fields("rsa-3072"));
    mine[3].clone_from(&theirs[3]);
    assert_eq!(refusal(decode(&mine)), Error::Mismatch, "d of a longer key");
}

#[test]
fn a_certificate_of_another_key_is_refused() {
    for (name, certificate) in
        [("ed25519-cert", "rsa-2048-cert"), ("rsa-2048-cert", "ed25519-cert"), ("ecdsa-256-cert", "ecdsa-384-cert")]
    {
        let mut parts = fields(name);
        parts[1].clone_from(&fields(certificate)[1]);
        let error = refusal(decode(&parts));
        assert!(
            matches!(error, Error::CertificateOfAnotherKey | Error::Mismatch | Error::Malformed),
            "{name}: {error:?}"
        );
    }
    let blob = added("rsa-3072-cert").blob().to_vec();
    assert_eq!(refusal(added("rsa-2048").with_certificate(&blob)), Error::CertificateOfAnotherKey);
    assert_eq!(refusal(added("ed25519").with_certificate(&blob)), Error::CertificateOfAnotherKey);
    let plain = added("ed25519").blob().to_vec();
    assert_eq!(refusal(added("ed25519").with_certificate(&plain)), Error::Malformed, "no certificate at all");
    let own = added("rsa-3072").with_certificate(&blob).unwrap();
    assert_eq!(own.encode().unwrap(), added("rsa-3072-cert").encode().unwrap());
}

/// The authority may be of a type that is not held here: whose signature it is matters to the server alone.
#[test]
fn a_certificate_of_any_authority_is_taken() {
    let mut parts = fields("ed25519-cert");
    let mut rest = parts[1].as_slice();
    // Name, nonce, key; then serial (8) and kind (4); id and principals; two times (16); options, extensions, reserved.
    for skipped in [0, 0, 0, 12, 0, 16, 0, 0] {
        rest = &rest[skipped..];
        string(&mut rest).unwrap();
    }
    let before = parts[1].len() - rest.len();
    parts[1].truncate(before);
    let sk = write(&[Field::Text(b"sk-ssh-ed25519@openssh.com"), Field::Text(&[7; 32]), Field::Text(b"ssh:")]);
    let sk_signature = write(&[Field::Text(b"sk-ssh-ed25519@openssh.com"), Field::Text(&[9; 64])]);
    let composite = write(&[Field::Text(b"ssh-mldsa44-ed25519@openssh.com"), Field::Text(&[7; 1344])]);
    let composite_signature = write(&[Field::Text(b"ssh-mldsa44-ed25519@openssh.com"), Field::Text(&[9; 2484])]);
    // Flags and a counter follow the signature of a security key.
    for (authority, signature, more) in
        [(sk, sk_signature, &[1, 0, 0, 0, 5][..]), (composite, composite_signature, &[])]
    {
        let signature = [&signature, more].concat();
        let mut parts = parts.clone();
        parts[1].extend_from_slice(&write(&[Field::Text(&authority), Field::Text(&signature)]));
        let key = decode(&parts).unwrap_or_else(|error| panic!("{error}"));
        assert_eq!(key.blob(), parts[1]);
    }
}

#[test]
fn rsa_keys_too_small_or_too_large_are_refused_by_size() {
    for (bits, error) in [
        (512, Some(Error::RsaTooSmall { bits: 512 })),
        (2047, Some(Error::RsaTooSmall { bits: 2047 })),
        (2048, None),
        (8192, None),
        (8193, Some(Error::RsaTooLarge { bits: 8193 })),
        (1_000_000, Some(Error::RsaTooLarge { bits: 1_000_000 })),
    ] {
        let mut modulus = vec![0xff; usize::try_from(bits).unwrap().div_ceil(8)];
        modulus[0] >>= (8 - bits % 8) % 8;
        let odd = Field::Number(&[3]);
        let numbers = [Field::Text(b"ssh-rsa"), Field::Number(&modulus), Field::Number(&[1, 0, 1]), odd];
        let mut frame = write(&numbers).to_vec();
        for _ in 0..3 {
            frame.extend_from_slice(&write(&[Field::Number(&[5])]));
        }
        assert_eq!(refusal(SoftKey::decode(&mut frame.as_slice())), error.unwrap_or(Error::Mismatch), "{bits}");
    }
}

#[test]
fn a_frame_cut_short_is_malformed() {
    for name in KEYS.iter().flat_map(|name| [(*name).to_owned(), format!("{name}-cert")]) {
        let whole = added(&name).encode().unwrap();
        for length in 0..whole.len() {
            let error = refusal(SoftKey::decode(&mut &whole[..length]));
            assert_eq!(error, Error::Malformed, "{name} cut at {length} of {}", whole.len());
        }
    }
}

#[test]
fn numbers_below_one_are_malformed() {
    for name in ["ecdsa-256", "rsa-2048"] {
        for bad in [&[][..], &[0], &[0x80], &[0xff, 1]] {
            let mut fields = fields(name);
            *fields.last_mut().unwrap() = bad.to_vec();
            assert_eq!(refusal(decode(&fields)), Error::Malformed, "{name} {bad:?}");
        }
    }
    let mut ecdsa = fields("ecdsa-256");
    ecdsa[3] = vec![0x7f; 66];
    assert_eq!(refusal(decode(&ecdsa)), Error::Malformed, "longer than its curve");
    ecdsa[3] = [&[0][..], &[0xff; 32]].concat();
    assert_eq!(refusal(decode(&ecdsa)), Error::Mismatch, "beyond the order of its curve");
    let mut curve = fields("ecdsa-256");
    curve[1] = b"nistp384".to_vec();
    assert_eq!(refusal(decode(&curve)), Error::Malformed);
}
