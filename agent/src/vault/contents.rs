//! The encrypted document: the items, and what the vault needs for itself. Every secret is written by name here.

use super::crypto::{self, Key32};
use super::error::{Error, Result};
use super::items::{
    AccessKey, Items, OathAccount, PinnedProfile, Pins, Rotating, Seed, SshKey, TotpDevice, Trashed, TrashedItem,
};
use super::json::{Extra, Fields, Node};
use super::slot::PublicHalf;
use super::unfinished::{Enrolment, Rotation, seed};
use crate::world::World;
use claviger::model::{Name, Region};
use claviger::secret::{DeviceSecret, SecretAccessKey, SecretText, SshPrivateKey};
use serde_json::Value;
use std::collections::BTreeMap;
use std::sync::Arc;
use zeroize::Zeroizing;

/// Longest document in bytes.
pub(super) const PAYLOAD_LIMIT: usize = 16 * 1024 * 1024;

/// The document. A clone shares the secrets.
#[derive(Clone)]
pub(super) struct Contents {
    pub(super) items: Items,
    pub(super) public_halves: Vec<PublicHalf>,
    /// Seals the state beside the vault.
    pub(super) state_key: Arc<Key32>,
    /// Sealed it before the last slot was removed; needed until the state has been written anew.
    pub(super) previous_state_key: Option<Arc<Key32>>,
    /// Seals the audit record. Absent until the first slot is removed: see [`Contents::audit_key`].
    kept_audit_key: Option<Arc<Key32>>,
    extra: Extra,
}

impl Contents {
    /// No items yet.
    pub(super) fn new(world: &World) -> Result<Self> {
        Ok(Self {
            items: Items::default(),
            public_halves: Vec::new(),
            state_key: Arc::new(crypto::random(world)?),
            previous_state_key: None,
            kept_audit_key: None,
            extra: Extra::default(),
        })
    }

    /// The key of the audit record: made from the first state key, and kept when that one goes, so that what was
    /// recorded before still verifies.
    pub(super) fn audit_key(&self) -> Key32 {
        match &self.kept_audit_key {
            Some(key) => Key32::clone(key),
            None => crypto::derive(self.state_key.as_slice(), b"", "claviger/v1/audit"),
        }
    }

    /// A new state key, in place of the one that seals the state until it has been written anew.
    pub(super) fn renew_state_key(&mut self, world: &World) -> Result<()> {
        self.kept_audit_key = Some(Arc::new(self.audit_key()));
        self.previous_state_key = Some(std::mem::replace(&mut self.state_key, Arc::new(crypto::random(world)?)));
        Ok(())
    }

    /// The public half of a slot's key.
    pub(super) fn public_half(&self, id: u32) -> Option<&[u8; 32]> {
        self.public_halves.iter().find(|half| half.id == id).map(|half| &*half.public)
    }

    /// The canonical text.
    pub(super) fn write(&self) -> Zeroizing<Vec<u8>> {
        let keys = self.items.access_keys.iter().map(|(name, key)| (name.as_str(), access_key(key)));
        let (on_card, here): (Vec<_>, Vec<_>) =
            self.items.authenticators.iter().partition(|(_, totp)| totp.seed.on_card().is_some());
        fn written<'a>((name, totp): (&'a Name, &'a TotpDevice)) -> (&'a str, Node<'a>) {
            (name.as_str(), authenticator(totp))
        }
        let authenticators = here.into_iter().map(written);
        let mut members = vec![
            ("access_keys", Node::Object(keys.collect())),
            ("authenticators", Node::Object(authenticators.collect())),
            ("slots", Node::List(self.public_halves.iter().map(public_half).collect())),
            ("state_key", Node::Bytes(self.state_key.as_slice())),
            ("trash", Node::List(self.items.trash.iter().map(trashed).collect())),
        ];
        // Absent until there is one: a vault of an older claviger reads back as it was.
        let pins = &self.items.pins;
        if !pins.profiles.is_empty() {
            let profiles = pins.profiles.iter().map(|(name, pin)| (name.as_str(), pinned_profile(pin)));
            members.push(("pinned_profiles", Node::Object(profiles.collect())));
        }
        if let Some(settings) = &pins.settings {
            members.push(("pinned_settings", Node::Text(settings)));
        }
        // Apart from the others: an older claviger keeps what it does not know.
        if !on_card.is_empty() {
            members.push(("oath_authenticators", Node::Object(on_card.into_iter().map(written).collect())));
        }
        let (enrolments, rotations) = (&self.items.enrolments, &self.items.rotations);
        if !enrolments.is_empty() {
            let all = enrolments.iter().map(|(name, enrolment)| (name.as_str(), enrolment.write()));
            members.push(("enrolments", Node::Object(all.collect())));
        }
        if !rotations.is_empty() {
            let all = rotations.iter().map(|(name, rotation)| (name.as_str(), rotation.write()));
            members.push(("rotations", Node::Object(all.collect())));
        }
        let access = &self.items.oath_access;
        if !access.is_empty() {
            let keys = access.iter().map(|(id, key)| (id.as_str(), Node::Text(key.expose())));
            members.push(("oath_access", Node::Object(keys.collect())));
        }
        let ssh_keys = &self.items.ssh_keys;
        if !ssh_keys.is_empty() {
            let keys = ssh_keys.iter().map(|(name, key)| (name.as_str(), ssh_key(key)));
            members.push(("ssh_keys", Node::Object(keys.collect())));
        }
        if let Some(key) = &self.previous_state_key {
            members.push(("previous_state_key", Node::Bytes(key.as_slice())));
        }
        if let Some(key) = &self.kept_audit_key {
            members.push(("audit_key", Node::Bytes(key.as_slice())));
        }
        Node::object(members, &self.extra).write()
    }

    /// Reads the text; [`Error::Damaged`] where it is not exactly what [`Contents::write`] writes.
    pub(super) fn read(text: &[u8]) -> Result<Self> {
        let mut fields = Fields::parse(text)?;
        let items = Items {
            access_keys: named(&mut fields, "access_keys", read_access_key)?,
            authenticators: read_authenticators(&mut fields)?,
            oath_access: read_oath_access(&mut fields)?,
            pins: read_pins(&mut fields)?,
            enrolments: named_if_any(&mut fields, "enrolments", Enrolment::read)?,
            rotations: named_if_any(&mut fields, "rotations", Rotation::read)?,
            ssh_keys: named_if_any(&mut fields, "ssh_keys", read_ssh_key)?,
            trash: fields.list("trash")?.into_iter().map(read_trashed).collect::<Result<_>>()?,
        };
        let contents = Self {
            items,
            public_halves: fields.list("slots")?.into_iter().map(read_public_half).collect::<Result<_>>()?,
            state_key: Arc::new(fields.array("state_key")?),
            previous_state_key: match fields.has("previous_state_key") {
                true => Some(Arc::new(fields.array("previous_state_key")?)),
                false => None,
            },
            kept_audit_key: match fields.has("audit_key") {
                true => Some(Arc::new(fields.array("audit_key")?)),
                false => None,
            },
            extra: fields.rest(),
        };
        if contents.write().as_slice() == text { Ok(contents) } else { Err(Error::Damaged) }
    }
}

fn access_key(key: &AccessKey) -> Node<'_> {
    let mut members = vec![
        ("access_key_id", Node::Text(key.access_key_id.as_str())),
        ("added", Node::time(key.added)),
        ("secret_access_key", Node::Text(key.secret.expose())),
    ];
    members.extend(key.user.as_ref().map(|user| ("user", Node::Text(user.as_str()))));
    Node::object(members, &key.extra)
}

fn read_access_key(mut fields: Fields) -> Result<AccessKey> {
    Ok(AccessKey {
        access_key_id: fields.noun("access_key_id")?,
        secret: Arc::new(SecretAccessKey::from_text(fields.text("secret_access_key")?)),
        user: if fields.has("user") { Some(fields.noun("user")?) } else { None },
        added: fields.time("added")?,
        extra: fields.rest(),
    })
}

fn authenticator(totp: &TotpDevice) -> Node<'_> {
    let mut members = vec![
        ("access_key", Node::Text(totp.access_key.as_str())),
        ("added", Node::time(totp.added)),
        ("serial", Node::Text(totp.serial.as_str())),
    ];
    match &totp.seed {
        Seed::Here(seed) => members.push(("seed", Node::Bytes(seed.expose()))),
        Seed::OnCard { account, backup } => {
            members.extend(account.members());
            members.extend(backup.as_ref().map(|seed| ("seed", Node::Bytes(seed.expose()))));
        }
    }
    Node::object(members, &totp.extra)
}

fn read_authenticators(fields: &mut Fields) -> Result<BTreeMap<Name, TotpDevice>> {
    let mut all = named(fields, "authenticators", read_authenticator)?;
    if fields.has("oath_authenticators") {
        for (name, device) in named(fields, "oath_authenticators", read_oath_authenticator)? {
            if all.insert(name, device).is_some() {
                return Err(Error::Damaged);
            }
        }
    }
    Ok(all)
}

fn read_oath_authenticator(mut fields: Fields) -> Result<TotpDevice> {
    let account = OathAccount::read(&mut fields)?;
    let backup = if fields.has("seed") { Some(seed(&mut fields)?) } else { None };
    Ok(TotpDevice {
        serial: fields.noun("serial")?,
        access_key: fields.noun("access_key")?,
        seed: Seed::OnCard { account, backup },
        added: fields.time("added")?,
        extra: fields.rest(),
    })
}

fn read_oath_access(fields: &mut Fields) -> Result<BTreeMap<String, Arc<DeviceSecret>>> {
    if !fields.has("oath_access") {
        return Ok(BTreeMap::new());
    }
    let mut keys = fields.object("oath_access")?;
    let ids = keys.names();
    ids.into_iter().map(|id| Ok((id.clone(), Arc::new(DeviceSecret::from_text(keys.text(&id)?))))).collect()
}

fn read_authenticator(mut fields: Fields) -> Result<TotpDevice> {
    Ok(TotpDevice {
        serial: fields.noun("serial")?,
        access_key: fields.noun("access_key")?,
        seed: Seed::Here(seed(&mut fields)?),
        added: fields.time("added")?,
        extra: fields.rest(),
    })
}

fn ssh_key(key: &SshKey) -> Node<'_> {
    let mut members = vec![
        ("added", Node::time(key.added)),
        ("any_data", Node::Boolean(key.any_data)),
        ("comment", Node::Text(&key.comment)),
        ("confirm", Node::Boolean(key.confirm)),
        ("destinations", Node::Bytes(&key.destinations)),
        ("namespaces", Node::List(key.namespaces.iter().map(|namespace| Node::Text(namespace)).collect())),
        ("private", Node::Bytes(key.private.expose())),
        ("public", Node::Bytes(&key.public)),
    ];
    members.extend(key.lifetime.map(|seconds| ("lifetime", Node::count(seconds.into()))));
    members.extend(key.rotating.as_ref().map(|rotating| ("rotating", rotation(rotating))));
    Node::object(members, &key.extra)
}

fn read_ssh_key(mut fields: Fields) -> Result<SshKey> {
    Ok(SshKey {
        added: fields.time("added")?,
        any_data: fields.boolean("any_data")?,
        comment: fields.text("comment")?,
        confirm: fields.boolean("confirm")?,
        destinations: std::mem::take(&mut *fields.bytes("destinations")?),
        lifetime: if fields.has("lifetime") { Some(fields.number("lifetime")?) } else { None },
        namespaces: fields.list("namespaces")?.into_iter().map(text).collect::<Result<_>>()?,
        private: Arc::new(SshPrivateKey::new(std::mem::take(&mut *fields.bytes("private")?))),
        public: std::mem::take(&mut *fields.bytes("public")?),
        rotating: if fields.has("rotating") { Some(read_rotation(fields.object("rotating")?)?) } else { None },
        extra: fields.rest(),
    })
}

fn rotation(rotating: &Rotating) -> Node<'_> {
    let regions = rotating.regions.iter().map(|region| Node::Text(region.as_str())).collect();
    Node::Object([("pair", Node::Text(rotating.pair.as_str())), ("regions", Node::List(regions))].into())
}

fn read_rotation(mut fields: Fields) -> Result<Rotating> {
    let region = |value| Region::try_from(text(value)?).map_err(|_| Error::Damaged);
    let regions = fields.list("regions")?.into_iter().map(region).collect::<Result<_>>()?;
    Ok(Rotating { pair: fields.noun("pair")?, regions })
}

fn pinned_profile(pin: &PinnedProfile) -> Node<'_> {
    let roles = pin.roles.iter().map(|role| Node::Text(role)).collect();
    let members = [("roles", Node::List(roles)), ("source", Node::Text(&pin.source))];
    Node::Object(members.into_iter().chain(pin.account.as_deref().map(|text| ("account", Node::Text(text)))).collect())
}

fn read_pins(fields: &mut Fields) -> Result<Pins> {
    let mut profiles = BTreeMap::new();
    if fields.has("pinned_profiles") {
        for (name, value) in fields.object("pinned_profiles")?.into_members() {
            profiles.insert(name, read_pinned_profile(Fields::of(value)?)?);
        }
    }
    let settings = fields.optional_text("pinned_settings")?.map(Into::into);
    Ok(Pins { settings, profiles: Arc::new(profiles) })
}

fn read_pinned_profile(mut fields: Fields) -> Result<PinnedProfile> {
    Ok(PinnedProfile {
        source: fields.text("source")?,
        account: fields.optional_text("account")?,
        roles: fields.list("roles")?.into_iter().map(text).collect::<Result<_>>()?,
    })
}

fn text(value: Value) -> Result<String> {
    if let Value::String(text) = value { Ok(text) } else { Err(Error::Damaged) }
}

fn trashed(entry: &Trashed) -> Node<'_> {
    let (kind, item) = match &entry.item {
        TrashedItem::AccessKey(key) => ("access_key", access_key(key)),
        TrashedItem::Authenticator(totp) if totp.seed.on_card().is_some() => {
            ("oath_authenticator", authenticator(totp))
        }
        TrashedItem::Authenticator(totp) => ("authenticator", authenticator(totp)),
        TrashedItem::SshKey(key) => ("ssh_key", ssh_key(key)),
        TrashedItem::Unknown { kind, fields } => (kind.as_str(), Node::object([], fields)),
    };
    Node::Object(
        [
            ("item", item),
            ("kind", Node::Text(kind)),
            ("name", Node::Text(entry.name.as_str())),
            ("removed", Node::time(entry.removed)),
        ]
        .into(),
    )
}

fn read_trashed(value: Value) -> Result<Trashed> {
    let mut fields = Fields::of(value)?;
    let (kind, item) = (fields.text("kind")?, fields.object("item")?);
    let item = match kind.as_str() {
        "access_key" => TrashedItem::AccessKey(read_access_key(item)?),
        "authenticator" => TrashedItem::Authenticator(read_authenticator(item)?),
        "oath_authenticator" => TrashedItem::Authenticator(read_oath_authenticator(item)?),
        "ssh_key" => TrashedItem::SshKey(read_ssh_key(item)?),
        _ => TrashedItem::Unknown { kind, fields: item.rest() },
    };
    Ok(Trashed { name: fields.noun("name")?, item, removed: fields.time("removed")? })
}

fn public_half(half: &PublicHalf) -> Node<'_> {
    Node::Object([("id", Node::count(half.id.into())), ("public", Node::Bytes(half.public.as_slice()))].into())
}

fn read_public_half(value: Value) -> Result<PublicHalf> {
    let mut fields = Fields::of(value)?;
    Ok(PublicHalf { id: fields.number("id")?, public: fields.array("public")? })
}

fn named_if_any<T>(fields: &mut Fields, key: &str, read: fn(Fields) -> Result<T>) -> Result<BTreeMap<Name, T>> {
    if fields.has(key) { named(fields, key, read) } else { Ok(BTreeMap::new()) }
}

fn named<T>(fields: &mut Fields, key: &str, read: fn(Fields) -> Result<T>) -> Result<BTreeMap<Name, T>> {
    let members = fields.object(key)?.into_members();
    members
        .into_iter()
        .map(|(name, value)| Ok((Name::try_from(name).map_err(|_| Error::Damaged)?, read(Fields::of(value)?)?)))
        .collect()
}
