//! An access key replaced by a new one: create, verify, switch, deactivate, delete.
//!
//! Each step is written into the vault before it is taken, and the new secret before it is used: whatever ends the work,
//! the next run goes on from there. The old key works until the new one is in the vault and AWS has taken it.

use super::Error;
use super::access_key::edit;
use super::iam_user::IamUser;
use crate::aws::{self, KeyAtAws, KeyStatus, LastUse, SigningCredentials};
use crate::session::{self, Office};
use crate::vault::{AccessKey, Extra, Items, NewKey, Rotation, Trashed, TrashedItem};
use crate::world::World;
use claviger::model::{AccessKeyId, Name};
use std::sync::Arc;

/// Milliseconds for which AWS may not know a new key: IAM is eventually consistent (IAM User Guide, "Changes that I make
/// are not always immediately visible"); a minute has always been enough for people, and two is patience.
const KNOWN_MILLIS: u64 = 120_000;
/// Milliseconds between two questions whether it knows it.
const ASK_MILLIS: u64 = 1_000;
/// Answers in a row that say so: one may come from a server that is ahead of the others.
const GOOD_ANSWERS: u32 = 3;

/// Milliseconds between the moment a key was asked for and the one that AWS says it was made at: one call, and AWS's
/// times are whole seconds.
const LOST_MILLIS: i64 = 60_000;

/// What a person wants.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Wanted {
    /// Leave the old key inactive at AWS.
    pub keep_old: bool,
    /// Delete this one first: a user has two at most. It must be inactive.
    pub delete_other: Option<AccessKeyId>,
}

/// What became of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rotated {
    /// The key of now.
    pub new: AccessKeyId,
    /// The key before.
    pub old: AccessKeyId,
    /// When that was last used, as far as AWS has counted it.
    pub last_use: Option<LastUse>,
    /// Whether it is deleted at AWS; else it is inactive.
    pub deleted: bool,
}

/// Replaces a key, or goes on where an earlier run was cut off.
///
/// # Errors
/// [`Error::TwoKeys`], [`Error::OtherKeyActive`], [`Error::OwnKey`], [`Error::NewKeyRefused`]; those of AWS and of the vault.
/// [`Error::OldKeyStands`] where the new key is in use already.
pub async fn rotate(office: &Arc<Office>, world: &World, mut user: IamUser, wanted: Wanted) -> Result<Rotated, Error> {
    let name = user.access_key.clone();
    if unfinished(office, &name)?.is_none() {
        begin(office, world, &user, &wanted).await?;
    }
    let mut rotation = unfinished(office, &name)?.ok_or_else(|| Error::AccessKeyNotFound(name.clone()))?;
    if stored(office, &name)? == rotation.old {
        if rotation.new.is_none() {
            rotation = create(office, world, &user, rotation).await?;
        }
        if let Some(new) = &rotation.new {
            verify(office, world, &user, (&new.access_key_id, &new.secret)).await?;
        }
        switch(office, world, &name, rotation.clone()).await?;
    }
    // What signs must not be the key that is about to go.
    user = user.with_key_of_now(office)?;
    retire(office, world, &user, &rotation, wanted.keep_old).await
}

/// The rotation of a key that is not done, if there is one.
///
/// # Errors
/// Those of the vault.
pub fn unfinished(office: &Office, name: &Name) -> Result<Option<Rotation>, Error> {
    Ok(office.custody().with_items(|items| items.rotations.get(name).cloned())?)
}

fn stored(office: &Office, name: &Name) -> Result<AccessKeyId, Error> {
    Ok(office.custody().signing_key(name)?.access_key_id)
}

/// Looks whether there is room for a second key, and writes down that one is about to be made.
async fn begin(office: &Office, world: &World, user: &IamUser, wanted: &Wanted) -> Result<(), Error> {
    let old = stored(office, &user.access_key)?;
    let keys = office.aws().list_access_keys(user.access(), Some(user.name())).await?;
    let other = keys.into_iter().find(|key| key.access_key_id != old);
    match (other, &wanted.delete_other) {
        (None, None) => {}
        (Some(other), Some(id)) if other.access_key_id == *id => {
            if other.status == KeyStatus::Active {
                let (name, user) = (user.access_key.clone(), user.name().to_owned());
                return Err(Error::OtherKeyActive(name, other.access_key_id, user));
            }
            gone(office.aws().delete_access_key(user.access(), user.name(), id).await)?;
        }
        (_, Some(id)) if *id == old => return Err(Error::OwnKey(user.access_key.clone(), old)),
        (_, Some(id)) => return Err(Error::NotAKeyOfUser(id.clone())),
        (Some(other), None) => return Err(two_keys(user, other)),
    }
    let before = vec![old.clone()];
    let started = office.aws().corrected_now();
    let rotation = Rotation { old, before, new: None, started, extra: Extra::default() };
    write(office, world, &user.access_key, Some(rotation)).await
}

fn two_keys(user: &IamUser, other: KeyAtAws) -> Error {
    Error::TwoKeys(user.access_key.clone(), other.access_key_id, other.status, user.name().to_owned())
}

/// Has AWS make the new key, and keeps it. One that an earlier run made, and whose secret did not get here, is deleted
/// first.
async fn create(office: &Office, world: &World, user: &IamUser, rotation: Rotation) -> Result<Rotation, Error> {
    let keys = office.aws().list_access_keys(user.access(), Some(user.name())).await?;
    for key in keys.into_iter().filter(|key| !rotation.before.contains(&key.access_key_id)) {
        if !is_lost(office, user, &rotation, &key).await {
            return Err(two_keys(user, key));
        }
        gone(office.aws().delete_access_key(user.access(), user.name(), &key.access_key_id).await)?;
    }
    let rotation = Rotation { started: office.aws().corrected_now(), ..rotation };
    write(office, world, &user.access_key, Some(rotation.clone())).await?;
    let made = match office.aws().create_access_key(user.access(), user.name()).await {
        Ok(made) => made,
        Err(error) => {
            if !error.may_be_done() {
                write(office, world, &user.access_key, None).await?;
            }
            return Err(error.into());
        }
    };
    let new = NewKey { access_key_id: made.access_key_id, secret: Arc::new(made.secret) };
    let rotation = Rotation { new: Some(new), ..rotation };
    write(office, world, &user.access_key, Some(rotation.clone())).await?;
    Ok(rotation)
}

/// Whether a key is the one that an earlier run has made and not got: made at that time, and never used. Any other is
/// somebody's.
async fn is_lost(office: &Office, user: &IamUser, rotation: &Rotation, key: &KeyAtAws) -> bool {
    let then = key.created.0.saturating_sub(rotation.started.0);
    if !(-LOST_MILLIS..=LOST_MILLIS).contains(&then) {
        return false;
    }
    matches!(office.aws().access_key_last_used(user.access(), &key.access_key_id).await, Ok(None))
}

/// Waits until AWS takes a key, several times in a row, and looks whose it is.
async fn verify(
    office: &Office,
    world: &World,
    user: &IamUser,
    (access_key_id, secret): (&AccessKeyId, &claviger::secret::SecretAccessKey),
) -> Result<(), Error> {
    let deadline = world.clock.boot().plus_millis(KNOWN_MILLIS);
    let mut good = 0;
    while good < GOOD_ANSWERS {
        let by = SigningCredentials { access_key_id, secret, token: None };
        match office.aws().get_caller_identity(by, &user.sts).await {
            Ok(caller) if caller.arn == user.arn => good += 1,
            Ok(_) => return Err(Error::NewKeyRefused(access_key_id.clone())),
            Err(aws::Error::InvalidCredentials { .. }) if world.clock.boot() < deadline => {
                good = 0;
                world.clock.sleep_until(world.clock.boot().plus_millis(ASK_MILLIS)).await;
            }
            Err(aws::Error::InvalidCredentials { .. }) => return Err(Error::NewKeyRefused(access_key_id.clone())),
            Err(error) => return Err(error.into()),
        }
    }
    Ok(())
}

/// Puts the new key in the old one's place. The old one goes to the trash.
async fn switch(office: &Office, world: &World, name: &Name, rotation: Rotation) -> Result<(), Error> {
    let (name, now) = (name.clone(), world.clock.wall());
    let change = move |items: &mut Items| {
        let Some(new) = rotation.new else { return Err(Error::AccessKeyNotFound(name)) };
        let old = items.access_keys.get(&name).cloned().ok_or_else(|| Error::AccessKeyNotFound(name.clone()))?;
        let NewKey { access_key_id, secret } = new;
        let (user, extra) = (old.user.clone(), old.extra.clone());
        items.access_keys.insert(name.clone(), AccessKey { access_key_id, secret, user, added: now, extra });
        items.trash.push(Trashed { name: name.clone(), item: TrashedItem::AccessKey(old), removed: now });
        items.rotations.insert(name, Rotation { new: None, ..rotation });
        Ok(())
    };
    edit(office.custody().clone(), None, now, change).await
}

/// Takes the old key out of use, once AWS has shown that it takes the one of now: first so that it can be taken back,
/// then for good.
async fn retire(
    office: &Office,
    world: &World,
    user: &IamUser,
    rotation: &Rotation,
    keep_old: bool,
) -> Result<Rotated, Error> {
    let (aws, old) = (office.aws(), &rotation.old);
    let last_use = aws.access_key_last_used(user.access(), old).await.unwrap_or_default();
    let key = office.custody().signing_key(&user.access_key)?;
    let stands = |error: Error, status: KeyStatus| match error {
        Error::Aws(error) => Error::OldKeyStands {
            name: user.access_key.clone(),
            new: key.access_key_id.clone(),
            old: old.clone(),
            status: (!error.may_be_done()).then_some(status),
            error: Box::new(error),
        },
        error => error,
    };
    let made_inactive = gone(aws.update_access_key(user.access(), user.name(), old, KeyStatus::Inactive).await);
    made_inactive.map_err(|error| stands(error, KeyStatus::Active))?;
    let by = session::signing(&key);
    if let Err(error) = verify(office, world, user, (by.access_key_id, by.secret)).await {
        let made_active = gone(aws.update_access_key(user.access(), user.name(), old, KeyStatus::Active).await);
        made_active.map_err(|error| stands(error, KeyStatus::Inactive))?;
        return Err(stands(error, KeyStatus::Active));
    }
    if !keep_old {
        let deleted = gone(aws.delete_access_key(user.access(), user.name(), old).await);
        deleted.map_err(|error| stands(error, KeyStatus::Inactive))?;
    }
    write(office, world, &user.access_key, None).await?;
    Ok(Rotated { new: key.access_key_id, old: old.clone(), last_use, deleted: !keep_old })
}

/// A key that is not there any more needs nothing done to it.
fn gone(answer: Result<(), aws::Error>) -> Result<(), Error> {
    match answer {
        Err(error) if error.is_refusal("NoSuchEntity") => Ok(()),
        answer => Ok(answer?),
    }
}

/// Writes down how far it is; None where nothing is left to do.
async fn write(office: &Office, world: &World, name: &Name, rotation: Option<Rotation>) -> Result<(), Error> {
    let (name, now) = (name.clone(), world.clock.wall());
    let change = move |items: &mut Items| {
        match rotation {
            Some(rotation) => drop(items.rotations.insert(name, rotation)),
            None => drop(items.rotations.remove(&name)),
        }
        Ok(())
    };
    edit(office.custody().clone(), None, now, change).await
}
