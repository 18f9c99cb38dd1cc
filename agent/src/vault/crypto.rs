//! The few primitives, wired once: which key, which nonce, which associated data.

use super::error::{Error, Result};
use crate::world::{Entropy, World};
use aws_lc_rs::agreement::{self, ECDH_P256, PrivateKey, UnparsedPublicKey, X25519};
use chacha20poly1305::aead::{Aead, AeadInOut, Payload};
use chacha20poly1305::{ChaCha20Poly1305, Key, KeyInit, Nonce, XChaCha20Poly1305, XNonce};
use hkdf::Hkdf;
use hmac::{Hmac, Mac};
use sha2::Sha256;
use zeroize::Zeroizing;

/// A symmetric key, or the private half of an X25519 key.
pub(super) type Key32 = Zeroizing<[u8; 32]>;

/// Poly1305's tag, in bytes.
pub(super) const TAG: usize = 16;

/// Random bytes.
pub(super) fn random<const N: usize>(world: &World) -> Result<Zeroizing<[u8; N]>> {
    let mut bytes = Zeroizing::new([0; N]);
    fill(world.entropy.as_ref(), bytes.as_mut_slice())?;
    Ok(bytes)
}

fn fill(entropy: &dyn Entropy, bytes: &mut [u8]) -> Result<()> {
    entropy.fill(bytes).map_err(|source| Error::NoEntropy { source })
}

/// HKDF-SHA256 (RFC 5869) to one key.
pub(super) fn derive(secret: &[u8], salt: &[u8], purpose: &str) -> Key32 {
    let mut key = Zeroizing::new([0; 32]);
    #[expect(clippy::expect_used, reason = "RFC 5869 section 2.3: the limit is 255 hashes, this is one")]
    Hkdf::<Sha256>::new(Some(salt), secret).expand(purpose.as_bytes(), key.as_mut_slice()).expect("one hash");
    key
}

/// HMAC-SHA256 (RFC 2104).
pub(super) fn mac(key: &Key32, message: &[u8]) -> [u8; 32] {
    keyed(key, message).finalize().into_bytes().into()
}

/// Compares in constant time.
pub(super) fn mac_holds(key: &Key32, message: &[u8], expected: &[u8; 32]) -> bool {
    keyed(key, message).verify_slice(expected).is_ok()
}

fn keyed(key: &Key32, message: &[u8]) -> Hmac<Sha256> {
    #[expect(clippy::expect_used, reason = "RFC 2104: a key of any length")]
    let hmac = <Hmac<Sha256> as KeyInit>::new_from_slice(key.as_slice()).expect("a key of any length");
    hmac.chain_update(message)
}

/// Seals 32 bytes under a key that seals nothing else, so the nonce is zero.
pub(super) fn wrap(key: &Key32, ad: &[u8], secret: &Key32) -> [u8; 48] {
    let mut out = [0; 48];
    let (body, tag) = out.split_at_mut(32);
    body.copy_from_slice(secret.as_slice());
    #[expect(clippy::expect_used, reason = "RFC 8439: the limit is 256 GiB, this is 32 bytes")]
    let sealed = ChaCha20Poly1305::new(&Key::from(**key))
        .encrypt_inout_detached(&Nonce::default(), ad, body.into())
        .expect("32 bytes");
    tag.copy_from_slice(&sealed);
    out
}

/// Opens what [`wrap`] sealed; None where the key or the associated data is another.
pub(super) fn unwrap(key: &Key32, ad: &[u8], sealed: &[u8; 48]) -> Option<Key32> {
    let payload = Payload { msg: sealed, aad: ad };
    let open = ChaCha20Poly1305::new(&Key::from(**key)).decrypt(&Nonce::default(), payload).ok().map(Zeroizing::new)?;
    <[u8; 32]>::try_from(open.as_slice()).ok().map(Zeroizing::new)
}

/// Plain bytes in one chunk of a stream.
pub(super) const CHUNK: usize = 64 * 1024;

/// How long so many bytes are once they are a stream.
pub(super) fn stream_length(plain: usize) -> usize {
    plain + plain.div_ceil(CHUNK) * TAG
}

/// Seals a text as STREAM (Hoang, Reyhanitabar, Rogaway, Vizár 2015) in the layout that age uses: the nonce is the
/// chunk's number in 11 bytes and 1 for the last chunk. The key must be fresh.
pub(super) fn seal_stream(key: &Key32, ad: &[u8], plain: &[u8]) -> Result<Vec<u8>> {
    let cipher = ChaCha20Poly1305::new(&Key::from(**key));
    let mut sealed = Vec::with_capacity(stream_length(plain.len()));
    let mut chunks = plain.chunks(CHUNK).enumerate().peekable();
    while let Some((number, chunk)) = chunks.next() {
        let nonce = stream_nonce(number, chunks.peek().is_none());
        let chunk = cipher.encrypt(&nonce, Payload { msg: chunk, aad: ad }).map_err(|_| Error::TooLarge)?;
        sealed.extend_from_slice(&chunk);
    }
    Ok(sealed)
}

/// Opens a stream; [`Error::Damaged`] where a bit, a chunk or their order is another.
pub(super) fn open_stream(key: &Key32, ad: &[u8], sealed: &[u8]) -> Result<Zeroizing<Vec<u8>>> {
    let cipher = ChaCha20Poly1305::new(&Key::from(**key));
    let mut plain = Zeroizing::new(Vec::with_capacity(sealed.len()));
    let mut chunks = sealed.chunks(CHUNK + TAG).enumerate().peekable();
    while let Some((number, chunk)) = chunks.next() {
        let nonce = stream_nonce(number, chunks.peek().is_none());
        let opened = cipher.decrypt(&nonce, Payload { msg: chunk, aad: ad }).map_err(|_| Error::Damaged)?;
        plain.extend_from_slice(&Zeroizing::new(opened));
    }
    Ok(plain)
}

fn stream_nonce(number: usize, last: bool) -> Nonce {
    let mut nonce = [0; 12];
    let counter = u64::try_from(number).unwrap_or(u64::MAX).to_be_bytes();
    for (to, from) in nonce.iter_mut().skip(3).zip(counter) {
        *to = from;
    }
    if let Some(flag) = nonce.last_mut() {
        *flag = u8::from(last);
    }
    Nonce::from(nonce)
}

/// Seals a record under a random 192-bit nonce, which comes first.
pub(super) fn seal_record(world: &World, key: &Key32, ad: &[u8], plain: &[u8]) -> Result<Vec<u8>> {
    let nonce = random::<24>(world)?;
    let cipher = XChaCha20Poly1305::new(&Key::from(**key));
    let body = cipher.encrypt(&XNonce::from(*nonce), Payload { msg: plain, aad: ad }).map_err(|_| Error::TooLarge)?;
    Ok([nonce.as_slice(), &body].concat())
}

/// Opens a record; None where the key, the associated data or a bit is another.
pub(super) fn open_record(key: &Key32, ad: &[u8], sealed: &[u8]) -> Option<Zeroizing<Vec<u8>>> {
    let (nonce, body) = sealed.split_first_chunk::<24>()?;
    let cipher = XChaCha20Poly1305::new(&Key::from(**key));
    cipher.decrypt(&XNonce::from(*nonce), Payload { msg: body, aad: ad }).ok().map(Zeroizing::new)
}

/// How often a private key of P-256 is drawn: one in 2^32 is none (FIPS 186-5, appendix A.2.2).
const SCALAR_DRAWS: usize = 4;

/// The public half of a P-256 key that is used this once, and what it agrees on with this one (SP 800-56A, section 5.7.1.2).
/// [`Error::Damaged`] where that is no point of the curve.
pub(super) fn agree_once(world: &World, peer: &[u8; 65]) -> Result<([u8; 65], Key32)> {
    let mut key = None;
    for _ in 0..SCALAR_DRAWS {
        let scalar = random::<32>(world)?;
        key = PrivateKey::from_private_key(&ECDH_P256, scalar.as_slice()).ok();
        if key.is_some() {
            break;
        }
    }
    let key = key.ok_or(Error::Damaged)?;
    let public = key.compute_public_key().map_err(|_| Error::Damaged)?;
    let public = <[u8; 65]>::try_from(public.as_ref()).map_err(|_| Error::Damaged)?;
    let peer = UnparsedPublicKey::new(&ECDH_P256, peer);
    agreement::agree(&key, peer, Error::Damaged, |shared| {
        let shared = <[u8; 32]>::try_from(shared).map(Zeroizing::new).map_err(|_| Error::Damaged)?;
        Ok((public, shared))
    })
}

/// The public half of an X25519 key (RFC 7748).
pub(super) fn public_half(private: &Key32) -> Result<[u8; 32]> {
    let key = PrivateKey::from_private_key(&X25519, private.as_slice()).map_err(|_| Error::Damaged)?;
    let public = key.compute_public_key().map_err(|_| Error::Damaged)?;
    <[u8; 32]>::try_from(public.as_ref()).map_err(|_| Error::Damaged)
}

/// The key that both halves agree on, bound to both public halves.
pub(super) fn agree(private: &Key32, peer: &[u8; 32], salt: &[u8], purpose: &str) -> Result<Key32> {
    let key = PrivateKey::from_private_key(&X25519, private.as_slice()).map_err(|_| Error::Damaged)?;
    let peer = UnparsedPublicKey::new(&X25519, peer);
    agreement::agree(&key, peer, Error::Damaged, |shared| Ok(derive(shared, salt, purpose)))
}
