//! A virtual MFA device, made at AWS for the user of an access key.
//!
//! What is begun is written into the vault before AWS is asked, the seed before it is used: whatever ends the work, the
//! next run finishes or undoes it, and no device is assigned whose seed nobody has. [`choose`] and [`plan`] say what is to
//! be made, [`run`] makes it, [`first_session`] uses it; [`undo`] takes back what is not done.

use super::access_key::edit;
use super::iam_user::IamUser;
use super::{Error, mfa_device};
use crate::ask::Audience;
use crate::aws::{self, NewDevice, SessionCredentials};
use crate::mfa;
use crate::session::Office;
use crate::vault::{Custody, Enrolment, Extra, Items, OathAccount, Seed, TotpDevice};
use crate::world::World;
use claviger::model::{MfaSerial, Name};
use claviger::secret::{DeviceSecret, TotpSeed};
use std::sync::Arc;

/// Pairs of codes that AWS may refuse: where this machine's clock is a step off the second is right, and one more where
/// the refusal has shown how far it is off.
const PAIRS_LIMIT: u32 = 3;
/// Milliseconds before AWS is asked again about what it made a moment ago and does not know yet, doubled each time: IAM is
/// eventually consistent (IAM User Guide, "Changes that I make are not always immediately visible").
const SOON_MILLIS: u64 = 500;
/// How often it is asked: 500 ms doubled so often is half a minute.
const SOON_LIMIT: u32 = 6;
/// Codes spent for the first session: what one server of AWS knows, another may not know yet.
const SESSION_TRIES: u32 = 3;
/// Names tried where a person gave none: IAM allows a user 8 devices.
const NAMES_LIMIT: usize = 8;

/// A device that AWS has made, whose seed is in the vault.
pub struct Begun {
    /// Its name.
    pub name: Name,
    /// What is to become of it.
    pub enrolment: Enrolment,
    /// Its seed.
    pub seed: Arc<TotpSeed>,
}

/// Puts seeds on cards, and takes them away again.
pub trait Cards {
    /// Why that did not work.
    type Error: Send;

    /// Puts the seed of a device on its card, unless it is there, and sees that the card gives its codes. What opens the
    /// applet, by its id.
    fn place(
        &self,
        account: &OathAccount,
        seed: &TotpSeed,
        serial: &MfaSerial,
    ) -> impl Future<Output = Result<Option<(String, DeviceSecret)>, Self::Error>> + Send;

    /// Takes it away.
    fn leave(&self, account: &OathAccount) -> impl Future<Output = Result<(), Self::Error>> + Send;
}

/// Why a device was not made.
pub enum Failed<E> {
    /// AWS, or the vault.
    Job(Error),
    /// The card.
    Card(E),
}

impl<E> From<Error> for Failed<E> {
    fn from(error: Error) -> Self {
        Self::Job(error)
    }
}

/// The enrolment of an access key's user that is not done, if there is one.
///
/// # Errors
/// Those of the vault.
pub fn unfinished(custody: &Custody, access_key: &Name) -> Result<Option<(Name, Enrolment)>, Error> {
    let found = custody.with_items(|items| {
        let mut of_user = items.enrolments.iter().filter(|(_, enrolment)| enrolment.access_key == *access_key);
        of_user.next().map(|(name, enrolment)| (name.clone(), enrolment.clone()))
    });
    Ok(found?)
}

/// A name that is free at AWS and here, and the serial that goes with it. Those who may not list the account's devices
/// learn from AWS whether it is free when it is made.
///
/// # Errors
/// [`Error::MfaNameTaken`], [`Error::MfaExists`].
pub async fn choose(office: &Office, user: &IamUser, name: Option<Name>) -> Result<(Name, MfaSerial), Error> {
    let listed = match office.aws().list_virtual_mfa_devices(user.access()).await {
        Ok(devices) => devices.into_iter().map(|device| device.serial).collect(),
        Err(aws::Error::AccessDenied { .. }) => Vec::new(),
        Err(error) => return Err(error.into()),
    };
    let knowledge = office.custody().knowledge();
    let here = |name: &Name, serial: &MfaSerial| {
        knowledge.devices.iter().find(|device| device.name == *name || device.serial == *serial)
    };
    if let Some(name) = name {
        let serial = serial_of(user, &name)?;
        if let Some(known) = here(&name, &serial) {
            return Err(Error::MfaExists(known.name.clone()));
        }
        return if listed.contains(&serial) { Err(Error::MfaNameTaken(name)) } else { Ok((name, serial)) };
    }
    for at in 1..=NAMES_LIMIT {
        let text = if at == 1 { user.name().to_owned() } else { format!("{}-{at}", user.name()) };
        let Ok(name) = text.parse::<Name>() else { return Err(Error::MfaNameNeeded) };
        let serial = serial_of(user, &name)?;
        if here(&name, &serial).is_none() && !listed.contains(&serial) {
            return Ok((name, serial));
        }
    }
    Err(Error::MfaNameNeeded)
}

/// `arn:PARTITION:iam::ACCOUNT:mfa/NAME` (IAM User Guide, IAM ARNs).
fn serial_of(user: &IamUser, name: &Name) -> Result<MfaSerial, Error> {
    let account = user.arn.account().ok_or_else(|| Error::NotUser(user.arn.to_string()))?;
    format!("arn:{}:iam::{account}:mfa/{name}", user.arn.partition()).parse().map_err(|_| Error::MfaNameNeeded)
}

/// A device that is to be made, as it is first written down.
pub fn plan(
    world: &World,
    access_key: Name,
    serial: MfaSerial,
    (card, keep): (Option<OathAccount>, bool),
) -> Enrolment {
    let started = world.clock.wall();
    Enrolment { access_key, serial, started, seed: None, card, keep, extra: Extra::default() }
}

/// Makes the device, or goes on from where an earlier run was cut off. What fails for good leaves nothing behind; what AWS may
/// have done without saying so stays written down, and so does what cannot be taken back.
///
/// # Errors
/// Those of AWS, of the vault and of the card.
pub async fn run<C: Cards>(
    office: &Office,
    world: &World,
    user: &IamUser,
    to_do: (Name, Enrolment),
    cards: &C,
    audience: &Audience,
) -> Result<Begun, Failed<C::Error>> {
    let resumed = to_do.1.seed.is_some();
    let begun = begin(office, world, user, to_do).await?;
    let (serial, card) = (&begun.enrolment.serial, &begun.enrolment.card);
    let failed = match assign(office, world, user, (&begun, resumed), cards, audience).await {
        Ok(()) => return Ok(begun),
        Err(failed) => failed,
    };
    let may_be_done = matches!(&failed, Failed::Job(Error::Aws(error)) if error.may_be_done());
    // A card that is not there now may be there for the next run.
    let may_go_on = resumed && matches!(failed, Failed::Card(_));
    if !may_be_done && !may_go_on {
        // The card first: its account is not known of once this is forgotten.
        let left = match card {
            Some(account) => cards.leave(account).await.is_ok(),
            None => true,
        };
        if left && let Err(error) = undo(office, world, user, (&begun.name, serial), false).await {
            tracing::warn!(%error, "a device that was not assigned is still at AWS: the next run goes on from it");
        }
    }
    Err(failed)
}

/// From the seed to a device like any other.
async fn assign<C: Cards>(
    office: &Office,
    world: &World,
    user: &IamUser,
    (begun, resumed): (&Begun, bool),
    cards: &C,
    audience: &Audience,
) -> Result<(), Failed<C::Error>> {
    let serial = &begun.enrolment.serial;
    let access = match &begun.enrolment.card {
        Some(account) => cards.place(account, &begun.seed, serial).await.map_err(Failed::Card)?,
        None => None,
    };
    let is_enabled = resumed && is_enabled(office, user, serial).await.unwrap_or(false);
    if !is_enabled {
        enable(office, world, user, begun, audience).await?;
    }
    Ok(finish(office, world, begun, access.map(|(id, access)| (id, Arc::new(access)))).await?)
}

/// Has AWS make the device, and keeps its seed. Where an earlier run was cut off before it had the seed, what that made at
/// AWS is deleted first: nobody has its seed.
///
/// # Errors
/// Those of AWS and of the vault. What AWS has refused leaves nothing behind.
async fn begin(
    office: &Office,
    world: &World,
    user: &IamUser,
    (name, enrolment): (Name, Enrolment),
) -> Result<Begun, Error> {
    if let Some(seed) = enrolment.seed.clone() {
        return Ok(Begun { name, enrolment, seed });
    }
    match unfinished(office.custody(), &user.access_key)? {
        Some(_) => delete(office, user, &enrolment.serial).await?,
        None => write(office, world, &name, Some(enrolment.clone())).await?,
    }
    let made = match office.aws().create_virtual_mfa_device(user.access(), &name).await {
        Ok(made) => made,
        Err(error) => {
            if !error.may_be_done() {
                write(office, world, &name, None).await?;
            }
            let taken = error.is_refusal("EntityAlreadyExists");
            return Err(if taken { Error::MfaNameTaken(name) } else { error.into() });
        }
    };
    let NewDevice { serial, seed } = made;
    let seed = Arc::new(mfa::parse_seed(&seed, None)?);
    let enrolment = Enrolment { serial, seed: Some(seed.clone()), ..enrolment };
    write(office, world, &name, Some(enrolment.clone())).await?;
    Ok(Begun { name, enrolment, seed })
}

/// Assigns the device to the user, with the codes of the step before and of this one: nobody waits for a code.
///
/// # Errors
/// Those of AWS and of the vault.
async fn enable(
    office: &Office,
    world: &World,
    user: &IamUser,
    begun: &Begun,
    audience: &Audience,
) -> Result<(), Error> {
    let serial = &begun.enrolment.serial;
    let (mut refused, mut soon) = (0, 0);
    loop {
        let first = office.burn_pair(serial, audience).await?;
        let codes = [first, first.saturating_add(1)].map(|step| mfa::code(&begun.seed, step));
        let [one, two] = &codes;
        let answer = office.aws().enable_mfa_device(user.access(), user.name(), serial, [one, two]).await;
        let Err(error) = answer else { return Ok(()) };
        let not_judged = error.is_refusal("NoSuchEntity")
            || error.is_refusal("EntityTemporarilyUnmodifiable")
            || matches!(error, aws::Error::Throttled { .. });
        if not_judged || !error.code_counts_as_sent() {
            // The codes were not looked at, or never left.
            office.custody().unburn(serial, first);
            office.custody().unburn(serial, first.saturating_add(1));
        }
        match &error {
            aws::Error::CodeRefused { .. } => {
                refused += 1;
                if refused == PAIRS_LIMIT {
                    return Err(Error::CodeRefused(serial.clone()));
                }
                // AWS took neither: the second may be the first of the next pair.
                office.custody().unburn(serial, first.saturating_add(1));
            }
            _ if not_judged && soon < SOON_LIMIT => {
                let wake = world.clock.boot().plus_millis(SOON_MILLIS << soon);
                world.clock.sleep_until(wake).await;
                soon += 1;
            }
            // The answer to an earlier try was lost, or to this one.
            // Nobody else has its seed, so whose it is needs no asking where one may not ask.
            _ if error.is_refusal("EntityAlreadyExists") => match is_enabled(office, user, serial).await {
                Ok(true) | Err(Error::Aws(aws::Error::AccessDenied { .. })) => return Ok(()),
                Ok(false) => return Err(error.into()),
                Err(error) => return Err(error),
            },
            _ if error.may_be_done() && is_enabled(office, user, serial).await.unwrap_or(false) => return Ok(()),
            _ if error.may_be_done() && soon < SOON_LIMIT => soon += 1,
            _ => return Err(error.into()),
        }
    }
}

/// Whether a device is the user's at AWS.
///
/// # Errors
/// Those of AWS.
async fn is_enabled(office: &Office, user: &IamUser, serial: &MfaSerial) -> Result<bool, Error> {
    let devices = office.aws().list_mfa_devices(user.access(), Some(user.name())).await?;
    Ok(devices.contains(serial))
}

/// Stores the device: from here on it is one like any other.
///
/// # Errors
/// Those of the vault.
async fn finish(
    office: &Office,
    world: &World,
    begun: &Begun,
    access: Option<(String, Arc<DeviceSecret>)>,
) -> Result<(), Error> {
    let (name, enrolment, seed) = (begun.name.clone(), begun.enrolment.clone(), begun.seed.clone());
    let now = world.clock.wall();
    edit(office.custody().clone(), None, now, move |items| {
        let Enrolment { access_key, serial, card, keep, .. } = enrolment;
        let seed = match card {
            Some(account) => Seed::OnCard { account, backup: keep.then_some(seed) },
            None => Seed::Here(seed),
        };
        items.enrolments.remove(&name);
        items.oath_access.extend(access);
        mfa_device::put(items, name, TotpDevice { serial, access_key, seed, added: now, extra: Extra::default() })
    })
    .await
}

/// The first session with the device: it costs the next code, which begins within one step.
///
/// # Errors
/// [`Error::MfaNotReady`] where AWS does not take its codes yet; those of AWS and of the vault. The device is enrolled all the
/// same.
pub async fn first_session(
    office: &Office,
    user: &IamUser,
    (profile, begun): (&str, &Begun),
    audience: &Audience,
) -> Result<SessionCredentials, Error> {
    let serial = &begun.enrolment.serial;
    let mut tries = 1;
    loop {
        match mfa_device::prove(office, &user.access_key, serial, &begun.seed, &user.sts, audience).await {
            // A server that does not know of the device yet.
            Err(Error::CodeRefused(_)) if tries < SESSION_TRIES => tries += 1,
            // The seed is right: AWS has just assigned the device by codes of it.
            Err(Error::CodeRefused(serial)) => return Err(Error::MfaNotReady(profile.to_owned(), serial)),
            outcome => return outcome,
        }
    }
}

/// Takes back what AWS has made, and forgets it: with `enabled` also where it is the user's already.
///
/// # Errors
/// Those of AWS and of the vault; what is left stays known, and the next run goes on from it.
pub async fn undo(
    office: &Office,
    world: &World,
    user: &IamUser,
    (name, serial): (&Name, &MfaSerial),
    enabled: bool,
) -> Result<(), Error> {
    if enabled && is_enabled(office, user, serial).await? {
        office.aws().deactivate_mfa_device(user.access(), user.name(), serial).await?;
    }
    delete(office, user, serial).await?;
    write(office, world, name, None).await
}

/// Deletes a device that is nobody's. One that is gone already is no error.
async fn delete(office: &Office, user: &IamUser, serial: &MfaSerial) -> Result<(), Error> {
    match office.aws().delete_virtual_mfa_device(user.access(), serial).await {
        Err(error) if error.is_refusal("NoSuchEntity") => Ok(()),
        answer => Ok(answer?),
    }
}

/// Writes down how far it is; None where nothing is left to do.
async fn write(office: &Office, world: &World, name: &Name, enrolment: Option<Enrolment>) -> Result<(), Error> {
    let (name, now) = (name.clone(), world.clock.wall());
    let change = move |items: &mut Items| {
        match enrolment {
            Some(enrolment) => drop(items.enrolments.insert(name, enrolment)),
            None => drop(items.enrolments.remove(&name)),
        }
        Ok(())
    };
    edit(office.custody().clone(), None, now, change).await
}
