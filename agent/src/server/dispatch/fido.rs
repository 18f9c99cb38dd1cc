//! Requests about FIDO2 devices: their PINs, and the credentials of SSH on them.

use crate::ask::{Audience, Touch};
use crate::device::fido::{Algorithm, Answer as FidoAnswer, Credential, Info, Operation as Do};
use crate::device::{Address, Answer, Bytes, Error, Found, Operation};
use crate::jobs::ssh_key;
use crate::server::conversation::Conversation;
use crate::server::{Server, fault};
use crate::ssh::key::{SecurityKey, SecurityType, SoftKey};
use claviger::model::Name;
use claviger::secret::Pin;
use claviger::wire::{Code, Fault, FidoOptions, FidoPins, FidoRow, Reply, Request, SshKeyOptions};
use std::sync::Arc;
use tokio::sync::mpsc;

/// In the flags of a key file (PROTOCOL.u2f): a touch, the user verified, resident.
const FLAGS: (u8, u8, u8) = (0x01, 0x04, 0x20);

impl Server {
    pub(super) async fn fido_request(
        self: &Arc<Self>,
        request: Request,
        conversation: &mut Conversation,
    ) -> Result<Reply, Fault> {
        match request {
            Request::FidoList { device, pin } => {
                let device = self.fido_device(device.as_deref()).await?;
                self.fido_spare(&device).await?;
                match self.fido_run(&device, Do::Resident { pin }, conversation).await? {
                    Answer::Fido(FidoAnswer::Credentials(kept)) => {
                        let rows = kept.iter().filter_map(|kept| row(&security_key(kept, true), kept)).collect();
                        Ok(Reply::FidoCredentials(rows))
                    }
                    _ => Err(told(&device, &Error::HelperSpeech)),
                }
            }
            Request::FidoPin(FidoPins { device, old, new }) => {
                let device = self.fido_device(device.as_deref()).await?;
                let operation = match old {
                    None => Do::SetPin { new },
                    Some(old) => {
                        self.fido_spare(&device).await?;
                        Do::ChangePin { old, new }
                    }
                };
                self.fido_run(&device, operation, conversation).await?;
                Ok(Reply::Done {})
            }
            Request::FidoNew { name, device, options, pin } => {
                self.open_by_keyring().await;
                self.fido_new((name, device), options, pin, conversation).await
            }
            _ => Err(fault::internal()),
        }
    }

    async fn fido_new(
        self: &Arc<Self>,
        (name, device): (Name, Option<String>),
        options: FidoOptions,
        pin: Option<Pin>,
        conversation: &mut Conversation,
    ) -> Result<Reply, Fault> {
        // Before anybody touches anything in vain.
        self.ssh_key_is_free(&name)?;
        let device = self.fido_device(device.as_deref()).await?;
        if pin.is_some() {
            self.fido_spare(&device).await?;
        }
        let mut challenge = vec![0; 32];
        self.world.entropy.fill(&mut challenge).map_err(|_| fault::internal())?;
        let resident = options.resident;
        let operation = Do::Make {
            application: options.application.unwrap_or_else(|| "ssh:".to_owned()),
            algorithm: if options.ecdsa { Algorithm::EcdsaP256 } else { Algorithm::Ed25519 },
            resident,
            verify_required: options.verify_required,
            user: options.user.unwrap_or_default(),
            challenge: Bytes(challenge),
            pin,
        };
        let made = match self.fido_run(&device, operation, conversation).await? {
            Answer::Fido(FidoAnswer::Credential(made)) => security_key(&made, resident),
            _ => return Err(told(&device, &Error::HelperSpeech)),
        };
        let around = self.surroundings();
        let named = name.clone();
        let make = move || ssh_key::of_device(&made, &named, &SshKeyOptions::default(), &around);
        self.ssh_key_store(name, make, conversation).await
    }

    /// The only device, or the one that is called so: by its path, or a part of what `device list` shows of it.
    pub(in crate::server) async fn fido_device(self: &Arc<Self>, named: Option<&str>) -> Result<Found, Fault> {
        let present = self.devices().present().await.map_err(|error| fault::device::fault(&error, None))?;
        let mut found = present.devices.into_iter().filter(|found| match &found.address {
            Address::Fido(path) => named.is_none_or(|named| path == named || found.product.contains(named)),
            Address::Card(_) => false,
        });
        let why = match (found.next(), found.next()) {
            (Some(device), None) => return Ok(device),
            (Some(_), Some(_)) => Error::Ambiguous,
            (None, _) => present.fido.unwrap_or(Error::NotPresent),
        };
        Err(fault::device::fault(&why, None))
    }

    /// Refuses where one try of the PIN is left: that is for a person to type, where they see it.
    async fn fido_spare(&self, device: &Found) -> Result<(), Fault> {
        let (tell, _) = mpsc::unbounded_channel();
        let info = self.devices().run(device, Operation::Fido(Do::Describe {}), tell).await;
        match info.map_err(|error| told(device, &error))? {
            Answer::Fido(FidoAnswer::Info(Info { pin_tries: Some(1), .. })) => {
                Err(Fault::new(Code::DevicePinBlocked, "one try of the PIN is left, and it is not used here"))
            }
            _ => Ok(()),
        }
    }

    /// Has the device do it; who asked is told of a touch.
    async fn fido_run(&self, device: &Found, operation: Do, conversation: &mut Conversation) -> Result<Answer, Fault> {
        let work = |listener| async move {
            let audience = Arc::new(Audience::of(listener));
            let touch = Touch {
                device: device.product.clone(),
                purpose: "To make an SSH key.".to_owned(),
                asked_by: "Asked by claviger fido new.".to_owned(),
            };
            let done = self.office.hardware().run(device, Operation::Fido(operation), &touch, &audience).await;
            done.map_err(|error| told(device, &error))
        };
        conversation.attend(self, work).await
    }
}

fn told(device: &Found, error: &Error) -> Fault {
    fault::device::fault(error, Some(&device.product))
}

fn security_key(made: &Credential, resident: bool) -> SecurityKey {
    let verify = if made.verify_required { FLAGS.1 } else { 0 };
    SecurityKey {
        kind: match made.algorithm {
            Algorithm::EcdsaP256 => SecurityType::Ecdsa,
            Algorithm::Ed25519 => SecurityType::Ed25519,
        },
        public: made.public.0.clone(),
        application: made.application.clone(),
        flags: FLAGS.0 | verify | if resident { FLAGS.2 } else { 0 },
        handle: made.handle.0.clone(),
    }
}

/// None where the device keeps what is no key.
fn row(key: &SecurityKey, kept: &Credential) -> Option<FidoRow> {
    let soft = SoftKey::decode(&mut key.encode().as_slice()).ok()?;
    Some(FidoRow {
        algorithm: soft.algorithm().to_owned(),
        application: kept.application.clone(),
        user: kept.user.clone(),
        fingerprint: soft.fingerprint(),
        line: soft.line(&kept.application),
        verify_required: kept.verify_required,
    })
}
