//! Work at AWS that has begun and is not done: what the next run needs to finish or to undo it. It lies in the vault, for
//! it holds secrets that nobody else has.

use super::error::{Error, Result};
use super::items::OathAccount;
use super::json::{Extra, Fields, Node};
use crate::world::WallTime;
use claviger::model::{AccessKeyId, MfaSerial, Name};
use claviger::secret::{SecretAccessKey, SecretText, TotpSeed};
use serde_json::Value;
use std::sync::Arc;

/// A virtual MFA device that is being made at AWS.
#[derive(Clone)]
pub struct Enrolment {
    /// The access key whose user gets it.
    pub access_key: Name,
    /// Its serial: known before it is made.
    pub serial: MfaSerial,
    /// When it began.
    pub started: WallTime,
    /// Its seed; None until AWS has given it.
    pub seed: Option<Arc<TotpSeed>>,
    /// Its account on a YubiKey, where it shall have one.
    pub card: Option<OathAccount>,
    /// Whether the vault shall keep the seed.
    pub keep: bool,
    /// Fields of a newer claviger, kept.
    pub extra: Extra,
}

/// An access key that is being replaced at AWS. Once the vault has the new one under the name, what is left to do is to take
/// the old one out of use.
#[derive(Clone)]
pub struct Rotation {
    /// The key that goes.
    pub old: AccessKeyId,
    /// The keys that the user had at AWS before.
    pub before: Vec<AccessKeyId>,
    /// The key that comes; None until AWS has given it.
    pub new: Option<NewKey>,
    /// When the new key was last asked for, by AWS's clock.
    pub started: WallTime,
    /// Fields of a newer claviger, kept.
    pub extra: Extra,
}

/// A key that is not in use yet.
#[derive(Clone)]
pub struct NewKey {
    /// Its id at AWS.
    pub access_key_id: AccessKeyId,
    /// Its secret.
    pub secret: Arc<SecretAccessKey>,
}

impl Enrolment {
    pub(super) fn write(&self) -> Node<'_> {
        let mut members = vec![
            ("access_key", Node::Text(self.access_key.as_str())),
            ("keep", Node::Boolean(self.keep)),
            ("serial", Node::Text(self.serial.as_str())),
            ("started", Node::time(self.started)),
        ];
        members.extend(self.seed.as_ref().map(|seed| ("seed", Node::Bytes(seed.expose()))));
        if let Some(account) = &self.card {
            members.extend(account.members());
        }
        Node::object(members, &self.extra)
    }

    pub(super) fn read(mut fields: Fields) -> Result<Self> {
        Ok(Self {
            access_key: fields.noun("access_key")?,
            serial: fields.noun("serial")?,
            started: fields.time("started")?,
            seed: if fields.has("seed") { Some(seed(&mut fields)?) } else { None },
            card: if fields.has("card") { Some(OathAccount::read(&mut fields)?) } else { None },
            keep: fields.boolean("keep")?,
            extra: fields.rest(),
        })
    }
}

impl Rotation {
    pub(super) fn write(&self) -> Node<'_> {
        let mut members = vec![
            ("before", Node::List(self.before.iter().map(|id| Node::Text(id.as_str())).collect())),
            ("old", Node::Text(self.old.as_str())),
            ("started", Node::time(self.started)),
        ];
        if let Some(new) = &self.new {
            members.push(("access_key_id", Node::Text(new.access_key_id.as_str())));
            members.push(("secret_access_key", Node::Text(new.secret.expose())));
        }
        Node::object(members, &self.extra)
    }

    pub(super) fn read(mut fields: Fields) -> Result<Self> {
        let new = match fields.has("access_key_id") {
            true => Some(NewKey {
                access_key_id: fields.noun("access_key_id")?,
                secret: Arc::new(SecretAccessKey::from_text(fields.text("secret_access_key")?)),
            }),
            false => None,
        };
        let id = |value| match value {
            Value::String(text) => AccessKeyId::try_from(text).map_err(|_| Error::Damaged),
            _ => Err(Error::Damaged),
        };
        Ok(Self {
            old: fields.noun("old")?,
            before: fields.list("before")?.into_iter().map(id).collect::<Result<_>>()?,
            new,
            started: fields.time("started")?,
            extra: fields.rest(),
        })
    }
}

/// The seed of a device.
pub(super) fn seed(fields: &mut Fields) -> Result<Arc<TotpSeed>> {
    Ok(Arc::new(TotpSeed::new(std::mem::take(&mut *fields.bytes("seed")?))))
}

impl OathAccount {
    pub(super) fn members(&self) -> impl Iterator<Item = (&'static str, Node<'_>)> {
        let always = [
            ("account", Node::Bytes(&self.name)),
            ("card", Node::count(self.card.into())),
            ("touch", Node::Boolean(self.touch)),
        ];
        always.into_iter().chain(self.renaming.as_ref().map(|name| ("renaming", Node::Bytes(name))))
    }

    pub(super) fn read(fields: &mut Fields) -> Result<Self> {
        Ok(Self {
            card: fields.number("card")?,
            name: std::mem::take(&mut *fields.bytes("account")?),
            touch: fields.boolean("touch")?,
            renaming: match fields.has("renaming") {
                true => Some(std::mem::take(&mut *fields.bytes("renaming")?)),
                false => None,
            },
        })
    }
}
