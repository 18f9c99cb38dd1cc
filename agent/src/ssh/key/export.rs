//! A key as a file of OpenSSH (PROTOCOL.key).

use super::SoftKey;
use super::error::{Error, Result};
use crate::world::{Entropy, on_wiped_stack};
use claviger::secret::{Passphrase, SecretText};
use ssh_key::encoding::Decode;
use ssh_key::private::KeypairData;
use ssh_key::{Cipher, Kdf, LineEnding, PrivateKey};
use zeroize::Zeroizing;

/// Rounds of bcrypt, as OpenSSH has them since 9.4.
const ROUNDS: u32 = 24;

impl SoftKey {
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
