//! FIDO2 keys as vault slots: hmac-secret (CTAP 2.1, section 12.5), the user always verified by the PIN.

use super::{label, refusal, secret_of};
use crate::ask::{Audience, Listener, PinQuestion, Question, Touch};
use crate::device::fido::{Answer as FidoAnswer, Enrolled, Info, Operation as Do};
use crate::device::{Answer, Bytes, Error, Found, Operation, Reference, Thing};
use crate::prompt::Verdict;
use crate::server::Server;
use crate::server::card::{Errand, NotDone};
use crate::server::conversation::Conversation;
use crate::vault::{APPLICATION, Fido2Slot};
use claviger::model::{SlotAnswer, SlotKind};
use claviger::secret::{Pin, Secret, SecretText};
use claviger::wire::{Fault, NewFido2Slot};
use std::sync::Arc;
use tokio::sync::mpsc;

/// How often a PIN is asked for: the third wrong one in a row would have the device count no more.
const PINS: usize = 2;
/// Fewest and most bytes of a PIN (CTAP 2.1, section 6.5.1).
const PIN_BYTES: (usize, usize) = (4, 63);

impl Server {
    /// The slots whose credential this device may hold: those that it says it holds, and of credentials that it shows to
    /// nobody without its PIN those of its model.
    pub(super) async fn slots_of_fido2(
        &self,
        device: &Found,
        keys: &[(u32, Fido2Slot)],
    ) -> Result<Vec<(u32, Fido2Slot)>, Error> {
        let mut held = Vec::new();
        let mut model = None;
        for (id, key) in keys {
            let is_held = if key.protected {
                let model = match &model {
                    Some(model) => model,
                    None => model.insert(self.fido2_info(device).await?.model),
                };
                model.0 == key.model
            } else {
                let operation =
                    Do::Holds { application: key.application.clone(), credential: Bytes(key.credential.clone()) };
                match self.fido2_unseen(device, operation).await? {
                    FidoAnswer::Holds(holds) => holds,
                    _ => return Err(Error::HelperSpeech),
                }
            };
            if is_held {
                held.push((*id, key.clone()));
            }
        }
        Ok(held)
    }

    /// What the device gives for the slot among these whose credential it holds.
    pub(super) async fn answer_of_fido2(
        self: &Arc<Self>,
        device: &Found,
        slots: &[(u32, Fido2Slot)],
        errand: &Errand,
    ) -> Result<SlotAnswer, NotDone> {
        let mut tries = Tries::new(self, device, errand);
        loop {
            let pin = tries.ask().await?;
            match self.secret_of_fido2(device, slots, &pin, errand).await {
                Err(NotDone::Device(error @ Error::PinWrong { .. })) => tries.was_wrong(error)?,
                answered => return answered,
            }
        }
    }

    async fn secret_of_fido2(
        &self,
        device: &Found,
        slots: &[(u32, Fido2Slot)],
        pin: &Pin,
        errand: &Errand,
    ) -> Result<SlotAnswer, NotDone> {
        for (id, key) in slots {
            let operation = Do::Secret {
                application: key.application.clone(),
                credential: Bytes(key.credential.clone()),
                salt: Bytes(key.salt.to_vec()),
                pin: copy(pin),
            };
            match self.fido2_run(device, operation, &errand.purpose, errand).await {
                Ok(FidoAnswer::Secret(text)) => {
                    let secret = Arc::new(secret_of(&text)?);
                    return Ok(SlotAnswer { slot: *id, kind: SlotKind::Fido2, secret });
                }
                Ok(_) => return Err(Error::HelperSpeech.into()),
                // That of another slot, it may be.
                Err(Error::NotThere(_)) => {}
                Err(error) => return Err(error.into()),
            }
        }
        Err(Error::NotThere(Thing::Credential).into())
    }

    /// Has a device make a credential, and give its secret for a new salt. It is touched twice.
    pub(super) async fn enrol_fido2(
        self: &Arc<Self>,
        new: NewFido2Slot,
        conversation: &mut Conversation,
    ) -> Result<(Fido2Slot, Secret<[u8; 32]>), Fault> {
        let label = label(new.label)?;
        let device = self.fido_device(new.device.as_deref()).await?;
        let peer = conversation.peer.with_parents();
        let work = |listener: Listener| async move {
            let errand = Errand::new("To make it a key of the vault.", &peer, Audience::of(listener));
            let made = self.make_fido2(&device, label, &errand).await;
            made.map_err(|error| refusal(error, &device.product, SlotKind::Fido2))
        };
        conversation.attend(self, work).await
    }

    async fn make_fido2(
        self: &Arc<Self>,
        device: &Found,
        label: Option<String>,
        errand: &Errand,
    ) -> Result<(Fido2Slot, Secret<[u8; 32]>), NotDone> {
        let info = self.fido2_info(device).await?;
        if !info.hmac_secret {
            return Err(Error::Unsupported(None).into());
        }
        let model = <[u8; 16]>::try_from(info.model.0.as_slice()).map_err(|_| no_model())?;
        let mut tries = Tries::new(self, device, errand);
        let (made, pin) = loop {
            let pin = tries.ask().await?;
            let operation = Do::MakeSecret { application: APPLICATION.to_owned(), pin: copy(&pin) };
            let purpose = "To make a credential for the vault, the first of two touches.";
            match self.fido2_run(device, operation, purpose, errand).await {
                Ok(FidoAnswer::Enrolled(made)) => break (made, pin),
                Ok(_) => return Err(Error::HelperSpeech.into()),
                Err(error @ Error::PinWrong { .. }) => tries.was_wrong(error)?,
                Err(error) => return Err(error.into()),
            }
        };
        let Enrolled { credential, public, protected } = made;
        let mut salt = [0; 32];
        self.world.entropy.fill(&mut salt).map_err(|_| Error::BadAnswer("no random bytes".to_owned()))?;
        let operation = Do::Secret {
            application: APPLICATION.to_owned(),
            credential: credential.clone(),
            salt: Bytes(salt.to_vec()),
            pin,
        };
        let purpose = "To have its secret for the vault, the second of two touches.";
        let FidoAnswer::Secret(text) = self.fido2_run(device, operation, purpose, errand).await? else {
            return Err(Error::HelperSpeech.into());
        };
        let slot = Fido2Slot {
            application: APPLICATION.to_owned(),
            credential: credential.0,
            label,
            model,
            protected,
            public: <[u8; 65]>::try_from(public.0.as_slice()).map_err(|_| no_model())?,
            salt,
        };
        Ok((slot, secret_of(&text)?))
    }

    async fn fido2_info(&self, device: &Found) -> Result<Info, Error> {
        match self.fido2_unseen(device, Do::Describe {}).await? {
            FidoAnswer::Info(info) => Ok(info),
            _ => Err(Error::HelperSpeech),
        }
    }

    /// What needs no touch.
    async fn fido2_unseen(&self, device: &Found, operation: Do) -> Result<FidoAnswer, Error> {
        let (notices, _) = mpsc::unbounded_channel();
        match self.devices().run(device, Operation::Fido(operation), notices).await? {
            Answer::Fido(answer) => Ok(answer),
            _ => Err(Error::HelperSpeech),
        }
    }

    async fn fido2_run(
        &self,
        device: &Found,
        operation: Do,
        purpose: &str,
        errand: &Errand,
    ) -> Result<FidoAnswer, Error> {
        let touch =
            Touch { device: device.product.clone(), purpose: purpose.to_owned(), asked_by: errand.asked_by.clone() };
        let operation = Operation::Fido(operation);
        match self.office.hardware().run(device, operation, &touch, &errand.audience).await? {
            Answer::Fido(answer) => Ok(answer),
            _ => Err(Error::HelperSpeech),
        }
    }
}

fn copy(pin: &Pin) -> Pin {
    Pin::from_text(pin.expose().to_owned())
}

fn no_model() -> Error {
    Error::BadAnswer("another length than its own".to_owned())
}

/// The tries of a device's PIN, for one errand: what is left is said before each, the last one is used at an explicit yes
/// alone, and two in a row are wrong at most.
struct Tries<'a> {
    server: &'a Arc<Server>,
    device: &'a Found,
    errand: &'a Errand,
    wrong: usize,
    problem: Option<String>,
}

impl<'a> Tries<'a> {
    fn new(server: &'a Arc<Server>, device: &'a Found, errand: &'a Errand) -> Self {
        Self { server, device, errand, wrong: 0, problem: None }
    }

    /// One to try, from a person.
    async fn ask(&mut self) -> Result<Pin, NotDone> {
        let info = self.server.fido2_info(self.device).await?;
        match (info.pin_set, info.pin_tries) {
            (Some(true), Some(0)) => return Err(Error::PinBlocked(Reference::Pin).into()),
            (Some(true), Some(1)) => self.confirm_last().await?,
            (Some(true), _) => {}
            _ => return Err(Error::PinNotSet.into()),
        }
        let question = PinQuestion {
            device: self.device.product.clone(),
            wanted: "FIDO2 PIN".to_owned(),
            purpose: self.errand.purpose.clone(),
            asked_by: self.errand.asked_by.clone(),
            tries_left: info.pin_tries.map(u32::from),
            problem: self.problem.take(),
            least: PIN_BYTES.0,
            most: PIN_BYTES.1,
        };
        Ok(self.server.prompts.pin(&question, &self.errand.audience).await?)
    }

    /// It was wrong; the error again where no further one is asked for.
    fn was_wrong(&mut self, error: Error) -> Result<(), NotDone> {
        self.wrong += 1;
        if self.wrong >= PINS {
            return Err(error.into());
        }
        self.problem = Some("The PIN was wrong.".to_owned());
        Ok(())
    }

    async fn confirm_last(&self) -> Result<(), NotDone> {
        let Errand { purpose, asked_by, audience } = self.errand;
        let mut lines: Vec<String> = self.problem.iter().cloned().collect();
        lines.push("Where it is wrong, the device has to be reset, and all that it holds is lost.".to_owned());
        lines.extend([purpose.clone(), asked_by.clone()]);
        let title = format!("Use the last try of the PIN of {}?", self.device.product);
        match self.server.prompts.confirm(&Question { title, lines }, audience).await {
            Verdict::Allowed => Ok(()),
            Verdict::Refused => Err(NotDone::Refused),
            Verdict::Unasked(_) => Err(NotDone::LastTry(Reference::Pin)),
        }
    }
}
