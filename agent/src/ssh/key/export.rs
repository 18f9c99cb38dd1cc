//! A key as a file: of OpenSSH (PROTOCOL.key), and in PEM (RFC 7468) for tools that read no other.

use super::error::{Error, Result};
use super::{PrivateHalf, SoftKey};
use crate::world::{Entropy, on_wiped_stack};
use claviger::secret::{Passphrase, SecretText};
use data_encoding::BASE64;
use pkcs8::PrivateKeyInfoRef;
use pkcs8::der::Decode as _;
use ssh_key::encoding::Decode;
use ssh_key::private::KeypairData;
use ssh_key::{Cipher, Kdf, LineEnding, PrivateKey};
use zeroize::Zeroizing;

/// Rounds of bcrypt, as OpenSSH has them since 9.4.
const ROUNDS: u32 = 24;

/// What precedes the 32 bytes of an Ed25519 seed in PKCS#8 (RFC 8410 section 7).
const ED25519_PREFIX: [u8; 16] =
    [0x30, 0x2e, 0x02, 0x01, 0x00, 0x30, 0x05, 0x06, 0x03, 0x2b, 0x65, 0x70, 0x04, 0x22, 0x04, 0x20];
/// Bytes of a line of PEM: 64 characters (RFC 7468 section 2).
const LINE: usize = 48;

/// What a file in PEM holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PemForm {
    /// `RSA PRIVATE KEY` (RFC 8017 appendix A.1.2): RSA alone.
    Pkcs1,
    /// `PRIVATE KEY` (RFC 5958).
    Pkcs8,
}

impl SoftKey {
    /// The file in PEM, in the clear. [`Error::OnDevice`]; [`Error::UnsupportedType`] for PKCS#1 of a key that is not RSA.
    pub fn export_pem(&self, form: PemForm) -> Result<Zeroizing<String>> {
        on_wiped_stack(|| {
            let document = match &self.private {
                PrivateHalf::Ecdsa(key) => key.pkcs8()?,
                PrivateHalf::Ed25519(key) => {
                    let pair = key.pair();
                    let (seed, _) = pair.split_at(32);
                    let mut document = Zeroizing::new(Vec::with_capacity(48));
                    document.extend_from_slice(&ED25519_PREFIX);
                    document.extend_from_slice(seed);
                    document
                }
                PrivateHalf::Rsa(key) => key.pkcs8()?,
                PrivateHalf::Security(_) => return Err(Error::OnDevice),
            };
            match (form, &self.private) {
                (PemForm::Pkcs8, _) => Ok(armoured("PRIVATE KEY", &document)),
                (PemForm::Pkcs1, PrivateHalf::Rsa(_)) => {
                    let info = PrivateKeyInfoRef::from_der(&document).map_err(|_| Error::Malformed)?;
                    Ok(armoured("RSA PRIVATE KEY", info.private_key.as_bytes()))
                }
                (PemForm::Pkcs1, _) => Err(Error::UnsupportedType { kind: self.kind().name() }),
            }
        })
    }

    /// The file that `ssh-keygen` would write, under the passphrase if one is given: AES-256 in counter mode, bcrypt.
    /// The certificate is not in it: its line is a file of its own. [`Error::NoEntropy`].
    pub fn export(
        &self,
        comment: &str,
        passphrase: Option<&Passphrase>,
        entropy: &dyn Entropy,
    ) -> Result<Zeroizing<String>> {
        on_wiped_stack(|| {
            let fields = self.encode_plain()?;
            let pair = KeypairData::decode(&mut fields.as_slice()).map_err(|_| Error::Malformed)?;
            let mut key = PrivateKey::new(pair, comment).map_err(|_| Error::Malformed)?;
            if let Some(passphrase) = passphrase {
                let (mut salt, mut check) = (vec![0; 16], [0; 4]);
                entropy.fill(&mut salt).and_then(|()| entropy.fill(&mut check)).map_err(|_| Error::NoEntropy)?;
                let kdf = Kdf::Bcrypt { salt, rounds: ROUNDS };
                key = key
                    .encrypt_with(Cipher::Aes256Ctr, kdf, u32::from_be_bytes(check), passphrase.expose())
                    .map_err(|_| Error::Malformed)?;
            }
            key.to_openssh(LineEnding::LF).map_err(|_| Error::Malformed)
        })
    }
}

/// The lines of PEM. The text never grows, so no copy of it stays behind.
fn armoured(label: &str, document: &[u8]) -> Zeroizing<String> {
    let most = document.len().saturating_mul(2).saturating_add(128);
    let mut text = Zeroizing::new(String::with_capacity(most));
    let ends = [["-----BEGIN ", label, "-----\n"], ["-----END ", label, "-----\n"]];
    ends[0].iter().for_each(|part| text.push_str(part));
    for line in document.chunks(LINE) {
        BASE64.encode_append(line, &mut text);
        text.push('\n');
    }
    ends[1].iter().for_each(|part| text.push_str(part));
    text
}
