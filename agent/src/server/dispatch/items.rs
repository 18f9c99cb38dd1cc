//! Requests about access keys and authenticators.

use super::mfa_card::Wanted;
use crate::ask::Audience;
use crate::jobs::{self, access_key, mfa_device};
use crate::mfa;
use crate::server::Server;
use crate::server::conversation::Conversation;
use crate::server::fault;
use crate::vault::{AccessKey, Extra, Seed, TotpDevice};
use crate::world::{on_wiped_stack, rfc3339};
use claviger::model::{AuditAws, MfaSerial, Name, OathName};
use claviger::secret::{SecretText, TotpSeed};
use claviger::wire::{AccessKeyExport, AccessKeyRow, Code, Fault, MfaOnDevice, MfaRow, Reply, Request, SlotProof};
use std::sync::Arc;

/// The session with which AWS took a code.
pub(super) type Proved = crate::aws::SessionCredentials;

impl Server {
    pub(super) async fn item_request(
        self: &Arc<Self>,
        request: Request,
        conversation: &mut Conversation,
    ) -> Result<Reply, Fault> {
        // What carries a proof is a person's, who opens the vault as one.
        if !matches!(request, Request::AccessKeyExport { .. } | Request::MfaExport { .. }) {
            self.open_by_keyring().await;
        }
        let now = self.world.clock.wall();
        let custody = self.custody.clone();
        match request {
            Request::AccessKeyAdd { name, access_key_id, secret_access_key, verify } => {
                self.custody.require_unlocked().map_err(fault::vault)?;
                if self.custody.knowledge().access_keys.contains_key(&name) {
                    return Err(fault::job(jobs::Error::AccessKeyExists(name)));
                }
                let mut user = None;
                if verify {
                    let profiles = self.files.load().map_err(fault::files)?;
                    let (_, endpoint) =
                        self.office.base_endpoint(&profiles, &name).map_err(|error| fault::job(error.into()))?;
                    user = Some(
                        access_key::owner(&self.office, &endpoint, &access_key_id, &secret_access_key)
                            .await
                            .map_err(fault::job)?,
                    );
                }
                let key = AccessKey {
                    access_key_id,
                    secret: Arc::new(secret_access_key),
                    user,
                    added: now,
                    extra: Extra::default(),
                };
                access_key::add(custody, conversation.leave.clone(), (name.clone(), key), now)
                    .await
                    .map_err(fault::job)?;
                self.access_key_rows()?
                    .into_iter()
                    .find(|row| row.name == name)
                    .map(Reply::AccessKey)
                    .ok_or_else(fault::internal)
            }
            Request::AccessKeyExport { name, proof } => {
                self.prove(proof, conversation).await?;
                let export = self.custody.with_items(|items| {
                    items.access_keys.get(&name).map(|key| AccessKeyExport {
                        access_key_id: key.access_key_id.clone(),
                        secret_access_key: SecretText::from_text(key.secret.expose().to_owned()),
                    })
                });
                let export =
                    export.map_err(fault::vault)?.ok_or_else(|| fault::job(jobs::Error::AccessKeyNotFound(name)))?;
                Ok(Reply::AccessKeyExport(export))
            }
            Request::AccessKeyList { live: false } => Ok(Reply::AccessKeys(self.access_key_rows()?)),
            Request::AccessKeyList { live: true } => Ok(Reply::AccessKeys(self.access_keys_at_aws().await?)),
            Request::AccessKeyRemove { name } => {
                access_key::remove(custody, self.office.clone(), name, now).await.map_err(fault::job)?;
                Ok(Reply::Done {})
            }
            Request::MfaAdd { access_key, name, serial, seed, account, verify } => {
                let seed = mfa::parse_seed(&seed, account.as_deref()).map_err(|error| fault::job(error.into()))?;
                self.mfa_add(access_key, name, serial, seed, verify, conversation).await
            }
            Request::MfaAddOnDevice(asked) => {
                let MfaOnDevice { access_key, name, serial, device, account, seed, touch, verify } = asked;
                let seed = seed.map(|seed| mfa::parse_seed(&seed, None)).transpose();
                let seed = seed.map_err(|error| fault::job(error.into()))?;
                let wanted = Wanted { access_key, name, serial, card: device, account, seed, touch, verify };
                self.mfa_add_on_card(wanted, conversation).await
            }
            Request::MfaCode { name, now } => self.mfa_code(name, !now, conversation).await,
            Request::MfaExport { name, proof } => {
                self.prove(proof, conversation).await?;
                let uri = self.custody.with_items(|items| {
                    let device = items.authenticators.get(&name)?;
                    // The encoder works on the stack.
                    Some(device.seed.here().map(|seed| on_wiped_stack(|| mfa::export_uri(seed, &device.serial))))
                });
                match uri.map_err(fault::vault)? {
                    Some(Some(uri)) => Ok(Reply::MfaExport { uri }),
                    Some(None) => Err(fault::job(jobs::Error::MfaOnCard(name))),
                    None => Err(fault::job(jobs::Error::MfaNotFound(Some(name)))),
                }
            }
            Request::MfaList {} => Ok(Reply::MfaDevices(self.mfa_rows()?)),
            Request::MfaRemove { name } => {
                mfa_device::remove(custody, name, now).await.map_err(fault::job)?;
                Ok(Reply::Done {})
            }
            Request::MfaRename { name, new_name } => {
                mfa_device::rename(custody, name, new_name.clone(), now).await.map_err(fault::job)?;
                self.mfa_row(&new_name)
            }
            _ => Err(fault::internal()),
        }
    }

    async fn mfa_add(
        self: &Arc<Self>,
        access_key: Name,
        name: Option<Name>,
        serial: Option<MfaSerial>,
        seed: TotpSeed,
        verify: bool,
        conversation: &mut Conversation,
    ) -> Result<Reply, Fault> {
        let (serial, name) = self.place_of_device(&access_key, name, serial).await?;
        let profiles = self.files.load().map_err(fault::files)?;
        let mut proved = None;
        if verify {
            let (_, endpoint) =
                self.office.base_endpoint(&profiles, &access_key).map_err(|error| fault::job(error.into()))?;
            let office = self.office.clone();
            let (key, device, seed) = (&access_key, &serial, &seed);
            let work = |listener| async move {
                let audience = Audience::default();
                audience.join(listener);
                mfa_device::prove(&office, key, device, seed, &endpoint, &audience).await
            };
            proved = Some(conversation.attend(self, work).await.map_err(fault::job)?);
        }
        let now = self.world.clock.wall();
        let told = serial.to_string();
        let device = TotpDevice {
            serial,
            access_key: access_key.clone(),
            seed: Seed::Here(Arc::new(seed)),
            added: now,
            extra: Extra::default(),
        };
        mfa_device::add(self.custody.clone(), conversation.leave.clone(), (name.clone(), device), now)
            .await
            .map_err(fault::job)?;
        self.adopt_proof(&access_key, told, proved, conversation)?;
        self.mfa_row(&name)
    }

    /// The serial of a device that is added, and its name here: neither is taken yet, and its access key is stored.
    pub(super) async fn place_of_device(
        &self,
        access_key: &Name,
        name: Option<Name>,
        serial: Option<MfaSerial>,
    ) -> Result<(MfaSerial, Name), Fault> {
        self.custody.require_unlocked().map_err(fault::vault)?;
        if !self.custody.knowledge().access_keys.contains_key(access_key) {
            return Err(fault::job(jobs::Error::AccessKeyNotFound(access_key.clone())));
        }
        let profiles = self.files.load().map_err(fault::files)?;
        let serial = match serial {
            Some(serial) => serial,
            None => {
                let iam = self.office.iam_endpoint(&profiles, access_key).map_err(|error| fault::job(error.into()))?;
                mfa_device::find_serial(&self.office, &self.custody, access_key, &iam).await.map_err(fault::job)?
            }
        };
        let name = match name {
            Some(name) => name,
            None => serial.as_str().rsplit('/').next().unwrap_or_default().parse().map_err(|_| {
                Fault::new(Code::MfaSerialUnknown, "the serial ends in no usable name")
                    .hint("claviger mfa add --name NAME …")
            })?,
        };
        let taken = |device: &crate::vault::KnownDevice| device.name == name || device.serial == serial;
        if let Some(device) = self.custody.knowledge().devices.iter().find(|device| taken(device)) {
            return Err(fault::job(jobs::Error::MfaExists(device.name.clone())));
        }
        Ok((serial, name))
    }

    /// Keeps the session that proved a device, and puts it on record.
    pub(super) fn adopt_proof(
        &self,
        access_key: &Name,
        serial: String,
        proved: Option<Proved>,
        conversation: &mut Conversation,
    ) -> Result<(), Fault> {
        let Some(credentials) = proved else { return Ok(()) };
        conversation.aws = Some(AuditAws {
            access_key_id: Some(credentials.access_key_id.to_string()),
            expires: Some(rfc3339(credentials.expiration)),
            mfa_serial: Some(serial),
            operation: Some("sts:GetSessionToken".to_owned()),
            request_id: credentials.request_id.clone(),
            ..AuditAws::default()
        });
        let profiles = self.files.load().map_err(fault::files)?;
        self.office.adopt(&profiles, access_key, credentials);
        Ok(())
    }

    async fn mfa_code(
        self: &Arc<Self>,
        name: Option<Name>,
        wait: bool,
        conversation: &mut Conversation,
    ) -> Result<Reply, Fault> {
        self.custody.require_unlocked().map_err(fault::vault)?;
        let knowledge = self.custody.knowledge();
        let device = match &name {
            Some(name) => knowledge.devices.iter().find(|device| device.name == *name),
            None => knowledge.devices.first().filter(|_| knowledge.devices.len() == 1),
        };
        let device = device.ok_or_else(|| fault::job(jobs::Error::MfaNotFound(name)))?;
        // A touch is its own presence.
        let touch = device.on_card.as_ref().is_some_and(|account| account.touch);
        if !touch {
            self.require_presence()?;
        }
        let (office, serial) = (self.office.clone(), device.serial.clone());
        let work = |listener| async move {
            let audience = Audience::default();
            audience.join(listener);
            office.spend(&device.access_key, &[serial], wait, &audience).await
        };
        let (turn, code) = match device.on_card.clone() {
            Some(account) => {
                let (key, serial) = (device.access_key.clone(), device.serial.clone());
                match self.code_of_card(key, serial, account, wait, conversation).await {
                    // The vault has its seed as well.
                    Err(fault) if fault.code == Code::DeviceNotPresent && device.is_here => {
                        self.require_presence()?;
                        conversation.attend(self, work).await.map_err(|error| fault::job(error.into()))?
                    }
                    outcome => outcome?,
                }
            }
            None => conversation.attend(self, work).await.map_err(|error| fault::job(error.into()))?,
        };
        conversation.aws = Some(AuditAws {
            mfa_serial: Some(turn.serial.to_string()),
            totp_step: Some(turn.step),
            ..AuditAws::default()
        });
        let ends = mfa::millis_until(turn.step.saturating_add(1), self.office.aws().corrected_now());
        Ok(Reply::MfaCode { code, seconds_left: ends / 1000 })
    }

    pub(super) fn require_presence(&self) -> Result<(), Fault> {
        match self.office.presence_left() {
            Some(_) => Ok(()),
            None => Err(fault::job(crate::session::Error::PresenceNeeded.into())),
        }
    }

    /// A slot opened afresh, by a person.
    pub(super) async fn prove(self: &Arc<Self>, proof: SlotProof, conversation: &Conversation) -> Result<(), Fault> {
        let (custody, leave) = (self.custody.clone(), conversation.leave.clone());
        crate::server::lock::blocking(leave, move || custody.prove(&proof)).await.map_err(fault::vault)?;
        self.office.mark_presence();
        Ok(())
    }

    pub(super) fn access_key_rows(&self) -> Result<Vec<AccessKeyRow>, Fault> {
        let now = self.world.clock.wall();
        let rows = self.custody.with_items(|items| {
            items
                .access_keys
                .iter()
                .map(|(name, key)| AccessKeyRow {
                    name: name.clone(),
                    access_key_id: key.access_key_id.clone(),
                    user: key.user.clone(),
                    added: rfc3339(key.added),
                    age_days: access_key::age_days(key.added, now),
                    at_aws: None,
                    fault: None,
                })
                .collect()
        });
        rows.map_err(fault::vault)
    }

    fn mfa_rows(&self) -> Result<Vec<MfaRow>, Fault> {
        let rows = self.custody.with_items(|items| {
            items
                .authenticators
                .iter()
                .map(|(name, device)| MfaRow {
                    name: name.clone(),
                    serial: device.serial.clone(),
                    access_key: device.access_key.clone(),
                    card: device.seed.on_card().map(|account| account.card),
                    account: device.seed.on_card().and_then(|account| OathName::of(&account.name)),
                    backup: device.seed.on_card().is_some() && device.seed.here().is_some(),
                    added: rfc3339(device.added),
                })
                .collect()
        });
        rows.map_err(fault::vault)
    }

    pub(super) fn mfa_row(&self, name: &Name) -> Result<Reply, Fault> {
        self.mfa_rows()?.into_iter().find(|row| row.name == *name).map(Reply::Mfa).ok_or_else(fault::internal)
    }
}
