//! Virtual MFA devices: a seed is proved by one GetSessionToken before it is stored, and that session is kept, so
//! that the proof costs no second code.

use super::Error;
use super::access_key::edit;
use super::iam_user::IamUser;
use crate::ask::Audience;
use crate::aws::{self, Endpoint, IamAccess, MfaProof, SessionCredentials};
use crate::device::{Card, oath};
use crate::mfa;
use crate::session::{self, Office};
use crate::vault::{Custody, Items, Leave, OathAccount, TotpDevice};
use crate::world::WallTime;
use claviger::model::{MfaSerial, Name};
use claviger::secret::{DeviceSecret, TokenCode, TotpSeed};
use std::sync::Arc;

/// How far the measured clock must have moved for a refused code to be worth another.
const SKEW_MOVED_MILLIS: u64 = 20_000;

/// Pairs of codes that AWS may refuse of a device that is to be resynchronized: one that another tool has used, and one
/// that nobody can have.
const RESYNC_PAIRS: usize = 2;

/// The serial of the user's device: the only virtual one AWS lists that is not stored yet (IAM API, ListMFADevices).
pub async fn find_serial(
    office: &Office,
    custody: &Custody,
    access_key: &Name,
    iam: &Endpoint,
) -> Result<MfaSerial, Error> {
    let key = custody.signing_key(access_key)?;
    let listed = match office.aws().list_mfa_devices(IamAccess { by: session::signing(&key), at: iam }, None).await {
        Ok(listed) => listed,
        // Many users may not list their own devices without MFA: then the serial must be given.
        Err(aws::Error::AccessDenied { .. }) => return Err(Error::SerialUnknown(Vec::new())),
        Err(error) => return Err(error.into()),
    };
    let knowledge = custody.knowledge();
    let known = |serial: &MfaSerial| knowledge.devices.iter().any(|device| device.serial == *serial);
    let mut fresh: Vec<MfaSerial> =
        listed.into_iter().filter(|serial| serial.as_str().contains(":mfa/") && !known(serial)).collect();
    match (fresh.pop(), fresh.is_empty()) {
        (Some(serial), true) => Ok(serial),
        (last, _) => Err(Error::SerialUnknown(fresh.into_iter().chain(last).collect())),
    }
}

/// Proves a seed: AWS takes the code of the current step. The step is burned first, like any other.
pub async fn prove(
    office: &Office,
    access_key: &Name,
    serial: &MfaSerial,
    seed: &TotpSeed,
    endpoint: &Endpoint,
    audience: &Audience,
) -> Result<SessionCredentials, Error> {
    prove_with(office, access_key, serial, Maker::Seed(seed), endpoint, audience).await
}

/// What gives the code of a step.
pub enum Maker<'a> {
    /// A seed.
    Seed(&'a TotpSeed),
    /// An account of a card.
    Card {
        /// The card.
        card: &'a Card,
        /// The account.
        account: &'a OathAccount,
        /// What opens the card's OATH applet.
        access: Option<&'a DeviceSecret>,
        /// Who is told to touch it.
        audience: &'a Arc<Audience>,
    },
}

impl Maker<'_> {
    async fn code(&self, office: &Office, serial: &MfaSerial, step: u64) -> Result<TokenCode, session::Error> {
        match self {
            Self::Seed(seed) => Ok(mfa::code(seed, step)),
            Self::Card { card, account, access, audience } => {
                let access = access.map(oath::for_helper);
                let purpose = format!("To prove the code of {serial} at AWS.");
                office.oath_code(card, account, (step, access), &purpose, audience).await
            }
        }
    }
}

/// The same with whatever gives the code.
pub async fn prove_with(
    office: &Office,
    access_key: &Name,
    serial: &MfaSerial,
    maker: Maker<'_>,
    endpoint: &Endpoint,
    audience: &Audience,
) -> Result<SessionCredentials, Error> {
    let mut again = true;
    loop {
        let before = office.aws().skew_millis().unwrap_or(0);
        let turn = office.burn(access_key, std::slice::from_ref(serial), true, audience).await?;
        // One that was not made has not been sent.
        let code =
            maker.code(office, serial, turn.step).await.inspect_err(|_| office.custody().unburn(serial, turn.step))?;
        let key = office.custody().signing_key(access_key)?;
        let proof = Some(MfaProof { serial, code: &code });
        match office.aws().get_session_token(session::signing(&key), endpoint, office.session_seconds(), proof).await {
            Ok(credentials) => return Ok(credentials),
            Err(aws::Error::CodeRefused { .. }) => {
                let moved = office.aws().skew_millis().unwrap_or(0).abs_diff(before) > SKEW_MOVED_MILLIS;
                if !(again && moved) {
                    return Err(Error::CodeRefused(serial.clone()));
                }
                again = false;
            }
            Err(error) => {
                if !error.code_counts_as_sent() {
                    office.custody().unburn(serial, turn.step);
                }
                return Err(error.into());
            }
        }
    }
}

/// What AWS calls an account in its QR code, with the device's name; as long as an OATH applet takes.
pub fn account_name(serial: &MfaSerial) -> String {
    let device = serial.as_str().rsplit('/').next().unwrap_or_default();
    let account = serial.account().map(|account| format!("@{account}")).unwrap_or_default();
    format!("Amazon Web Services:{device}{account}").chars().take(64).collect()
}

/// Stores a device, unless a lock ends the leave first.
pub async fn add(
    custody: Arc<Custody>,
    leave: Option<Leave>,
    (name, device): (Name, TotpDevice),
    now: WallTime,
) -> Result<(), Error> {
    edit(custody, leave, now, move |items| put(items, name, device)).await
}

/// Stores a device whose seed is on a card, and what opens the card's OATH applet, by its id.
pub async fn add_on_card(
    custody: Arc<Custody>,
    leave: Option<Leave>,
    (name, device): (Name, TotpDevice),
    access: Option<(String, Arc<DeviceSecret>)>,
    now: WallTime,
) -> Result<(), Error> {
    edit(custody, leave, now, move |items| {
        items.oath_access.extend(access);
        put(items, name, device)
    })
    .await
}

/// Enters a device: its name and serial must be free, its access key stored.
pub(super) fn put(items: &mut Items, name: Name, device: TotpDevice) -> Result<(), Error> {
    let taken = items.authenticators.iter().find(|(known, other)| **known == name || other.serial == device.serial);
    if let Some((known, _)) = taken {
        return Err(Error::MfaExists(known.clone()));
    }
    if !items.access_keys.contains_key(&device.access_key) {
        return Err(Error::AccessKeyNotFound(device.access_key));
    }
    items.authenticators.insert(name, device);
    Ok(())
}

/// Renames a device here.
pub async fn rename(custody: Arc<Custody>, name: Name, new_name: Name, now: WallTime) -> Result<(), Error> {
    edit(custody, None, now, move |items| {
        if items.authenticators.contains_key(&new_name) {
            return Err(Error::MfaExists(new_name));
        }
        let device = items.authenticators.remove(&name).ok_or(Error::MfaNotFound(Some(name)))?;
        items.authenticators.insert(new_name, device);
        Ok(())
    })
    .await
}

/// Tells AWS how far a device's clock is off: two codes that follow each other (IAM API, ResyncMFADevice). A pair that is
/// refused may have been used elsewhere: another tool has enabled the device just now. Then the next one is waited for.
pub async fn resync(
    office: &Office,
    user: &IamUser,
    serial: &MfaSerial,
    maker: Maker<'_>,
    audience: &Audience,
) -> Result<(), Error> {
    for _ in 0..RESYNC_PAIRS {
        let first = office.burn_pair(serial, audience).await?;
        let one = maker.code(office, serial, first).await?;
        let two = maker.code(office, serial, first.saturating_add(1)).await?;
        match office.aws().resync_mfa_device(user.access(), user.name(), serial, [&one, &two]).await {
            Err(aws::Error::CodeRefused { .. }) => {}
            answer => return Ok(answer?),
        }
    }
    Err(Error::CodeRefused(serial.clone()))
}

/// Takes a device from its user at AWS, deletes it there where it is virtual, and moves what the vault has of it to the
/// trash. Each step may have been taken before. The last device of a user only with `last`.
pub async fn deactivate(
    office: &Office,
    user: &IamUser,
    (name, serial): (&Name, &MfaSerial),
    last: bool,
    now: WallTime,
) -> Result<(), Error> {
    let aws = office.aws();
    let devices = aws.list_mfa_devices(user.access(), Some(user.name())).await?;
    if devices.contains(serial) {
        if devices.len() == 1 && !last {
            return Err(Error::LastDevice(name.clone()));
        }
        aws.deactivate_mfa_device(user.access(), user.name(), serial).await?;
    }
    if serial.as_str().contains(":mfa/") {
        match aws.delete_virtual_mfa_device(user.access(), serial).await {
            Err(error) if error.is_refusal("NoSuchEntity") => {}
            answer => answer?,
        }
    }
    remove(office.custody().clone(), name.clone(), now).await
}

/// Moves a device to the trash. The device at AWS stays.
pub async fn remove(custody: Arc<Custody>, name: Name, now: WallTime) -> Result<(), Error> {
    edit(custody, None, now, move |items| {
        items.trash_authenticator(&name, now).then_some(()).ok_or(Error::MfaNotFound(Some(name)))
    })
    .await
}
