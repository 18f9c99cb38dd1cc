//! The password of the administrator of a Windows instance: EC2 gives it under the key pair of the launch.

use super::account::Account;
use super::known::public_blob;
use crate::aws::{Instance, InstanceWanted, KeyPairType};
use crate::jobs::Error;
use crate::ssh::key::{self, SoftKey, plain_blob};
use crate::vault::SshKey;
use claviger::model::{InstanceId, KeyPairName, Region};
use claviger::secret::{ConsolePassword, SecretText};
use zeroize::Zeroizing;

/// A password under a key.
pub struct Encrypted {
    /// As long as the key's modulus.
    pub data: Vec<u8>,
    /// The name of the pair that the instance was launched with.
    pub pair: String,
    /// The public key of that pair, if it is still there.
    pub public: Option<Vec<u8>>,
}

/// Asks EC2. [`Error::KeypairInstanceNotFound`]; [`Error::KeypairNoPassword`] where there will never be one;
/// [`Error::KeypairPasswordNotReady`].
pub async fn fetch(account: &Account, region: &Region, id: &InstanceId) -> Result<Encrypted, Error> {
    let place = account.place(region)?;
    let access = account.access(&place);
    let wanted = InstanceWanted { ids: vec![id.clone()], filters: Vec::new() };
    let found = account.aws().describe_instances(access, &wanted).await;
    let absent = || Error::KeypairInstanceNotFound(id.clone(), region.clone());
    let instance: Instance = match found {
        Ok(found) => found.into_iter().find(|found| found.id == *id).ok_or_else(absent)?,
        Err(error) if error.is_refusal("InvalidInstanceID.NotFound") => return Err(absent()),
        Err(error) => return Err(error.into()),
    };
    let never = |why| Error::KeypairNoPassword(id.clone(), why);
    if !instance.windows {
        return Err(never("it does not run Windows"));
    }
    let pair = instance.key_name.ok_or_else(|| never("it was launched without a key pair"))?;
    // One that was made again under the same name is another: only the key itself can tell.
    let public = match pair.parse::<KeyPairName>() {
        Ok(name) => account.aws().describe_key_pairs(access, Some(&name), None).await.unwrap_or_default(),
        Err(_) => Vec::new(),
    };
    let standing = public.into_iter().find(|found| found.name == pair);
    let is_edwards = standing.as_ref().is_some_and(|found| found.kind == Some(KeyPairType::Ed25519));
    let data = match account.aws().password_data(access, id).await {
        Ok(Some(data)) => data,
        Ok(None) if is_edwards => {
            return Err(never("it was launched with an ed25519 key, which decrypts nothing"));
        }
        Ok(None) => return Err(Error::KeypairPasswordNotReady(id.clone())),
        Err(error) if error.is_refusal("InvalidInstanceID.NotFound") => return Err(absent()),
        Err(error) => return Err(error.into()),
    };
    Ok(Encrypted { data, pair, public: standing.as_ref().and_then(public_blob) })
}

/// Decrypts by one of the vault's keys: that of the launch; else whichever does, where the pair is gone or another by now.
/// None where none does. RSA takes a moment.
pub fn decrypt(keys: &[SshKey], encrypted: &Encrypted) -> Result<Option<ConsolePassword>, Error> {
    let is_of_launch = |key: &&SshKey| {
        let blob = plain_blob(&key.public).ok();
        blob.is_some() && blob == encrypted.public
    };
    let others = keys.iter().filter(|key| !is_of_launch(key));
    keys.iter().filter(is_of_launch).chain(others).find_map(|key| open(key, &encrypted.data)).transpose()
}

/// None where it is under another key.
fn open(key: &SshKey, data: &[u8]) -> Option<Result<ConsolePassword, Error>> {
    let soft = SoftKey::decode(&mut key.private.expose()).ok()?;
    let plain = soft.decrypt(data).ok()?;
    Some(password(plain))
}

/// The text. What is no text was not a password.
pub fn password(plain: Zeroizing<Vec<u8>>) -> Result<ConsolePassword, Error> {
    let text = std::str::from_utf8(&plain).map_err(|_| key::Error::Mismatch)?;
    Ok(ConsolePassword::from_text(text.to_owned()))
}
