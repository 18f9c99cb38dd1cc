//! Access keys: add with proof, remove, export.

use super::Error;
use crate::aws::{Endpoint, SigningCredentials};
use crate::session::Office;
use crate::vault::{AccessKey, Custody, Leave};
use crate::world::WallTime;
use claviger::model::{AccessKeyId, Arn, Name};
use claviger::secret::SecretAccessKey;
use std::sync::Arc;

/// From this age on a key is told of: what audits ask for (CIS AWS Foundations Benchmark, "access keys are rotated every 90
/// days or less").
pub const OLD_DAYS: u64 = 90;

/// The age of a key in whole days.
pub fn age_days(made: WallTime, now: WallTime) -> u64 {
    u64::try_from(now.0.saturating_sub(made.0) / 86_400_000).unwrap_or(0)
}

/// Whose the key is, asked of AWS (STS API, GetCallerIdentity). Only an IAM user's key can be kept: the root user's
/// should not exist, and a session's ends by itself.
pub async fn owner(
    office: &Office,
    endpoint: &Endpoint,
    access_key_id: &AccessKeyId,
    secret: &SecretAccessKey,
) -> Result<Arn, Error> {
    let by = SigningCredentials { access_key_id, secret, token: None };
    let caller = office.aws().get_caller_identity(by, endpoint).await?;
    if caller.arn.resource().starts_with("user/") {
        Ok(caller.arn)
    } else {
        Err(Error::NotUser(caller.arn.to_string()))
    }
}

/// Stores a key, unless a lock ends the leave first.
pub async fn add(
    custody: Arc<Custody>,
    leave: Option<Leave>,
    (name, key): (Name, AccessKey),
    now: WallTime,
) -> Result<(), Error> {
    edit(custody, leave, now, move |items| {
        if items.access_keys.contains_key(&name) {
            return Err(Error::AccessKeyExists(name));
        }
        items.access_keys.insert(name, key);
        Ok(())
    })
    .await
}

/// Moves a key to the trash; its sessions are forgotten. Refused while an authenticator belongs to it.
pub async fn remove(custody: Arc<Custody>, office: Arc<Office>, name: Name, now: WallTime) -> Result<(), Error> {
    let removed = name.clone();
    let taken = move |items: &mut crate::vault::Items| {
        if let Some((device, _)) = items.authenticators.iter().find(|(_, device)| device.access_key == removed) {
            return Err(Error::AccessKeyInUse(removed, device.clone()));
        }
        items.trash_access_key(&removed, now).then_some(()).ok_or(Error::AccessKeyNotFound(removed))
    };
    // A task of its own: a client that hangs up must not leave sessions of a key that is gone.
    let work = tokio::spawn(async move {
        edit(custody, None, now, taken).await?;
        office.forget_access_key(&name);
        Ok(())
    });
    work.await.unwrap_or(Err(Error::Vault(crate::vault::Error::Interrupted)))
}

/// One edit of the vault, off the event loop; with the leave of a request that holds secrets.
pub(super) async fn edit<R: Send + 'static>(
    custody: Arc<Custody>,
    leave: Option<Leave>,
    now: WallTime,
    change: impl FnOnce(&mut crate::vault::Items) -> Result<R, Error> + Send + 'static,
) -> Result<R, Error> {
    let work = tokio::task::spawn_blocking(move || {
        let changed = custody.edit(now, change);
        // Last of all: what the change had is in the vault, or gone.
        drop(leave);
        changed
    });
    work.await.unwrap_or(Err(Error::Vault(crate::vault::Error::Interrupted)))
}
