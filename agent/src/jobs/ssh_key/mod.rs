//! SSH keys in the vault: made or imported, with what restricts their use; removed, exported.

mod destination;
mod make;
mod row;
#[cfg(test)]
mod tests;

pub use destination::host_name;
pub use make::{generate, import, of_device, of_soft};
pub use row::{page, row};

use super::Error;
use super::access_key::edit;
use crate::ssh::key::{self, PemForm, SoftKey};
use crate::vault::{self, Custody, Items, Leave, SshKey};
use crate::world::{Entropy, WallTime, World};
use claviger::model::Name;
use claviger::secret::{Passphrase, SecretText, SshKeyFile};
use claviger::wire::{SshKeyFormat, SshKeyRow};
use data_encoding::BASE64;
use std::path::PathBuf;
use std::sync::Arc;
use zeroize::Zeroizing;

/// What a key is made of besides what was asked for.
pub struct Surroundings {
    /// Clock, randomness, and the disk with the files of known hosts.
    pub world: World,
    /// The user's home, where `.ssh` is.
    pub home: PathBuf,
}

/// Makes a key off the event loop and stores it, unless a lock ends the leave first: its row.
pub async fn add(
    custody: Arc<Custody>,
    leave: Option<Leave>,
    name: Name,
    make: impl FnOnce() -> Result<SshKey, Error> + Send + 'static,
    now: WallTime,
) -> Result<SshKeyRow, Error> {
    let work = tokio::task::spawn_blocking(move || {
        let stored = match leave.as_ref().is_some_and(Leave::is_over) {
            true => {
                drop(make);
                Err(vault::Error::Locked.into())
            }
            // The vault is not held meanwhile: a passphrase takes its time.
            false => make().and_then(|key| {
                let row = row(&name, &key);
                custody.edit(now, |items| put(items, name, key)).map(|()| row)
            }),
        };
        // Last of all: the vault alone has the key now.
        drop(leave);
        stored
    });
    work.await.unwrap_or(Err(Error::Vault(vault::Error::Interrupted)))
}

/// Enters a key: its name must be free, and no other name have the same public half.
pub(super) fn put(items: &mut Items, name: Name, key: SshKey) -> Result<(), Error> {
    if items.ssh_keys.contains_key(&name) {
        return Err(Error::SshKeyExists(name));
    }
    if let Some((other, _)) = items.ssh_keys.iter().find(|(_, other)| other.public == key.public) {
        return Err(Error::SshKeySame(other.clone()));
    }
    items.ssh_keys.insert(name, key);
    Ok(())
}

/// Moves a key to the trash.
pub async fn remove(custody: Arc<Custody>, name: Name, now: WallTime) -> Result<(), Error> {
    edit(custody, None, now, move |items| {
        items.trash_ssh_key(&name, now).then_some(()).ok_or(Error::SshKeyNotFound(name))
    })
    .await
}

/// The file that OpenSSH would write, under the passphrase if one is given, or one in PEM; and the line of the certificate
/// if there is one. Takes a moment with a passphrase.
pub fn export(
    key: &SshKey,
    (format, passphrase): (SshKeyFormat, Option<&Passphrase>),
    entropy: &dyn Entropy,
) -> Result<(SshKeyFile, Option<String>), Error> {
    let soft = SoftKey::decode(&mut key.private.expose())?;
    let mut text = match (format, passphrase) {
        (SshKeyFormat::Openssh, passphrase) => soft.export(&key.comment, passphrase, entropy)?,
        (_, Some(_)) => {
            return Err(Error::SshOption("a key in PEM is written in the clear: OpenSSH's form can be encrypted"));
        }
        (SshKeyFormat::Pkcs1, None) => pem(&soft, PemForm::Pkcs1)?,
        (SshKeyFormat::Pkcs8, None) => pem(&soft, PemForm::Pkcs8)?,
    };
    let file = SshKeyFile::from_text(std::mem::take(&mut *text));
    Ok((file, soft.certificate().is_some().then(|| soft.line(&key.comment))))
}

fn pem(soft: &SoftKey, form: PemForm) -> Result<Zeroizing<String>, Error> {
    soft.export_pem(form).map_err(|error| match error {
        key::Error::UnsupportedType { .. } => Error::SshOption("PKCS#1 is for RSA keys: take pkcs8"),
        key::Error::OnDevice => Error::SshOption("the private half of the key is on a device, and no PEM holds it"),
        error => error.into(),
    })
}

/// The blob of a public key's or certificate's line: `type base64 comment`. None where it is none.
pub(super) fn blob_of_line(line: &str) -> Option<Vec<u8>> {
    let mut words = line.trim_ascii().lines().next()?.split_ascii_whitespace().skip(1);
    BASE64.decode(words.next()?.as_bytes()).ok()
}
