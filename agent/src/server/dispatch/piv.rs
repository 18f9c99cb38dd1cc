//! Requests about PIV cards.

mod card_management;

use crate::ask::{Audience, Listener, PinQuestion};
use crate::device::{Answer, Card, Error, Reference, piv};
use crate::server::Server;
use crate::server::card::{Errand, NotDone, Tries, card_name};
use crate::server::conversation::Conversation;
use crate::server::fault;
use crate::ssh::fingerprint;
use crate::ssh::key::CardKey;
use claviger::model::{Firmware, PinPolicy, PivAlgorithm, PivSlot, TouchPolicy};
use claviger::secret::{DeviceSecret, Pin, SecretText};
use claviger::wire::{
    Fault, OathAccount, OathRename, PivCard, PivCertificate, PivChange, PivKeyRow, PivManagementKey, PivNew,
    PivReference, Reply, Request,
};
use futures_util::future::join_all;
use std::sync::Arc;

/// Characters of a management key: 16 to 32 bytes in base16.
const MANAGEMENT_KEY: (usize, usize) = (32, 64);

/// A key to be made.
struct New {
    slot: PivSlot,
    algorithm: PivAlgorithm,
    pin_policy: PinPolicy,
    touch_policy: TouchPolicy,
    replace: bool,
}

impl New {
    fn operation(&self, management_key: Option<DeviceSecret>) -> piv::Operation {
        let Self { slot, algorithm, pin_policy, touch_policy, replace } = *self;
        piv::Operation::Generate { slot, algorithm, pin_policy, touch_policy, replace, management_key }
    }
}

impl Server {
    pub(super) async fn piv_request(
        self: &Arc<Self>,
        request: Request,
        conversation: &mut Conversation,
    ) -> Result<Reply, Fault> {
        match request {
            Request::PivList { device } => self.piv_list(device).await,
            Request::PivNew(PivNew { device, slot, algorithm, pin_policy, touch_policy, replace, management_key }) => {
                let card = self.piv_card(device).await?;
                let algorithm = algorithm.unwrap_or_else(|| usual(&card));
                let new = New { slot, algorithm, pin_policy, touch_policy, replace };
                let peer = conversation.peer.with_parents();
                let work = |listener| async move {
                    let purpose = format!("To make a key in slot {slot}.");
                    let errand = Errand::new(purpose, &peer, Audience::of(listener));
                    self.piv_new(&card, &new, management_key, &errand).await.map_err(|error| refusal(error, &card))
                };
                conversation.attend(self, work).await
            }
            Request::PivChange(PivChange { device, reference, old, new }) => {
                let card = self.piv_card(device).await?;
                let peer = conversation.peer.with_parents();
                let work = |listener: Listener| async move {
                    let errand = Errand::new(purpose(reference), &peer, Audience::of(listener));
                    self.piv_change(&card, reference, (old, new), &errand).await.map_err(|error| refusal(error, &card))
                };
                conversation.attend(self, work).await
            }
            Request::PivCertificate(request) => self.piv_certificate(request, conversation).await,
            Request::PivManagementKey(request) => self.piv_management_key(request, conversation).await,
            _ => Err(fault::internal()),
        }
    }

    /// A request that changes a card, with the serial number of the one that it is for: the record has it always.
    pub(super) async fn with_card(self: &Arc<Self>, mut request: Request) -> Request {
        let device = match &mut request {
            Request::OathCode(OathAccount { device, .. })
            | Request::OathDelete(OathAccount { device, .. })
            | Request::OathRename(OathRename { device, .. })
            | Request::PivCertificate(PivCertificate { device, .. })
            | Request::PivChange(PivChange { device, .. })
            | Request::PivManagementKey(PivManagementKey { device, .. })
            | Request::PivNew(PivNew { device, .. }) => device,
            _ => return request,
        };
        // Without exactly one card the request is refused for that.
        if device.is_none()
            && let Ok(card) = self.devices().only_card().await
        {
            *device = card.info.serial;
        }
        request
    }

    pub(in crate::server) async fn piv_card(self: &Arc<Self>, device: Option<u32>) -> Result<Card, Fault> {
        let card = match device {
            Some(serial) => self.devices().card(serial).await,
            None => self.devices().only_card().await,
        };
        card.map_err(|error| fault::device::fault(&error, None))
    }

    /// Every card with the applet, each asked anew: another program may have changed it.
    async fn piv_list(self: &Arc<Self>, device: Option<u32>) -> Result<Reply, Fault> {
        let cards = match device {
            Some(_) => vec![Ok(self.piv_card(device).await?)],
            None => self.devices().cards().await.map_err(|error| fault::device::fault(&error, None))?,
        };
        // Of those that do not say what they are, the first says why for all: they have no name yet.
        let silent = cards.iter().find_map(|card| card.as_ref().err()).cloned();
        let cards: Vec<Card> = cards.into_iter().flatten().filter(|card| card.info.piv.is_some()).collect();
        if let Some(error) = silent.filter(|_| cards.is_empty()) {
            return Err(fault::device::fault(&error, None));
        }
        Ok(Reply::PivCards(join_all(cards.into_iter().map(|card| self.piv_row(card))).await))
    }

    async fn piv_row(self: &Arc<Self>, card: Card) -> PivCard {
        let name = card_name(&card);
        let mut row = PivCard {
            product: card.found.product.clone(),
            serial: card.info.serial,
            firmware: card.info.firmware,
            keys: Vec::new(),
            fault: None,
        };
        match self.read_keys(card).await {
            Ok(keys) => row.keys = keys.keys.iter().map(|key| key_row(key, None)).collect(),
            Err(error) => row.fault = Some(fault::device::fault(&error, Some(&name))),
        }
        row
    }

    async fn piv_new(
        self: &Arc<Self>,
        card: &Card,
        new: &New,
        given: Option<DeviceSecret>,
        errand: &Errand,
    ) -> Result<Reply, NotDone> {
        let made = self.managed(card, given, errand, |key| new.operation(key)).await;
        self.cards.forget(card);
        let Answer::Piv(piv::Answer::Public(public)) = made? else { return Err(Error::HelperSpeech.into()) };
        let key = piv::Key {
            slot: new.slot,
            algorithm: new.algorithm,
            public,
            pin_policy: Some(new.pin_policy),
            touch_policy: Some(new.touch_policy),
            generated: Some(true),
            certificate: None,
        };
        Ok(Reply::PivKey(key_row(&key, card.info.serial)))
    }

    /// Has a card do what wants its management key: the one given, else the one it came with, else the one behind its PIN,
    /// else one that is asked for.
    pub(in crate::server) async fn managed(
        self: &Arc<Self>,
        card: &Card,
        given: Option<DeviceSecret>,
        errand: &Errand,
        operation: impl Fn(Option<DeviceSecret>) -> piv::Operation,
    ) -> Result<Answer, NotDone> {
        let was_given = given.is_some();
        let mut outcome = self.card_run(card, operation(given), errand).await;
        if was_given {
            return Ok(outcome?);
        }
        if matches!(outcome, Err(Error::ManagementKeyWrong))
            && let Some(key) = self.protected_key(card, errand).await?
        {
            outcome = self.card_run(card, operation(Some(key)), errand).await;
        }
        if matches!(outcome, Err(Error::ManagementKeyWrong)) {
            let key = self.management_key(card, errand).await?;
            outcome = self.card_run(card, operation(Some(key)), errand).await;
        }
        Ok(outcome?)
    }

    /// The management key that a card keeps behind its PIN; None where it keeps none.
    async fn protected_key(self: &Arc<Self>, card: &Card, errand: &Errand) -> Result<Option<DeviceSecret>, NotDone> {
        let read = |pin| piv::Operation::ProtectedManagementKey { pin };
        let answer = match self.card_run(card, read(None), errand).await {
            Err(Error::NotThere(_)) => return Ok(None),
            Err(Error::PinNeeded(_)) => {
                Tries::new(self, card, Reference::Pin, errand).run(|pin| read(Some(pin))).await?
            }
            outcome => outcome?,
        };
        match answer {
            Answer::Piv(piv::Answer::Secret(key)) => Ok(Some(key)),
            _ => Err(Error::HelperSpeech.into()),
        }
    }

    /// The management key of a card that has not the one it came with, from a person.
    async fn management_key(&self, card: &Card, errand: &Errand) -> Result<DeviceSecret, NotDone> {
        let (least, most) = MANAGEMENT_KEY;
        let question = PinQuestion {
            device: card_name(card),
            wanted: "PIV management key".to_owned(),
            purpose: errand.purpose.clone(),
            asked_by: errand.asked_by.clone(),
            tries_left: None,
            problem: None,
            least,
            most,
        };
        let typed = self.prompts.pin(&question, &errand.audience).await?;
        Ok(DeviceSecret::from_text(typed.expose().to_ascii_lowercase()))
    }

    async fn piv_change(
        self: &Arc<Self>,
        card: &Card,
        reference: PivReference,
        (old, new): (Option<Pin>, Option<Pin>),
        errand: &Errand,
    ) -> Result<Reply, NotDone> {
        let (proof, subject) = match reference {
            PivReference::Pin => (Reference::Pin, Reference::Pin),
            PivReference::PinByPuk => (Reference::Puk, Reference::Pin),
            PivReference::Puk => (Reference::Puk, Reference::Puk),
        };
        let mut tries = Tries::new(self, card, proof, errand);
        let was_given = old.is_some();
        let mut old = match old {
            Some(old) => {
                tries.check().await?;
                old
            }
            None => tries.ask().await?,
        };
        let new = match new {
            Some(new) => new,
            None => tries.new_one(subject).await?,
        };
        loop {
            let (against, wanted) = (tries.copy(&old), tries.copy(&new));
            let operation = match reference {
                PivReference::Pin => piv::Operation::ChangePin { old: against, new: wanted },
                PivReference::PinByPuk => piv::Operation::UnblockPin { puk: against, new: wanted },
                PivReference::Puk => piv::Operation::ChangePuk { old: against, new: wanted },
            };
            match self.card_run(card, operation, errand).await {
                Ok(_) => return Ok(Reply::Done {}),
                Err(error @ Error::PinWrong { .. }) if !was_given => {
                    tries.was_wrong(old, &error);
                    old = tries.ask().await?;
                }
                Err(error) => return Err(error.into()),
            }
        }
    }
}

/// What a card makes where nobody says: Ed25519 is there from firmware 5.7 on.
fn usual(card: &Card) -> PivAlgorithm {
    match card.info.firmware {
        Some(firmware) if firmware >= Firmware(5, 7, 0) => PivAlgorithm::Ed25519,
        _ => PivAlgorithm::EcdsaP256,
    }
}

fn purpose(reference: PivReference) -> &'static str {
    match reference {
        PivReference::Pin => "To change the PIN.",
        PivReference::PinByPuk => "To set the PIN by the PUK.",
        PivReference::Puk => "To change the PUK.",
    }
}

/// A key as it is listed; with its line for `authorized_keys` for the card of this serial number.
fn key_row(key: &piv::Key, serial: Option<u32>) -> PivKeyRow {
    let public = CardKey::new(key.algorithm, &key.public).ok();
    let comment = match serial {
        Some(serial) => format!("piv {serial} {}", key.slot),
        None => format!("piv {}", key.slot),
    };
    PivKeyRow {
        slot: key.slot,
        algorithm: key.algorithm,
        pin_policy: key.pin_policy,
        touch_policy: key.touch_policy,
        generated: key.generated,
        certificate: key.certificate.clone(),
        fingerprint: public.as_ref().map(|public| fingerprint(public.blob())),
        public: public.map(|public| public.line(&comment)),
    }
}

pub(super) fn refusal(error: NotDone, card: &Card) -> Fault {
    let name = card_name(card);
    match error {
        NotDone::Device(error @ Error::PinBlocked(Reference::Pin)) => {
            fault::device::fault(&error, Some(&name)).hint("claviger piv pin --unblock")
        }
        NotDone::Device(error) => fault::device::fault(&error, Some(&name)),
        NotDone::LastTry(reference) => fault::device::last_try(reference, &name),
        NotDone::Refused => crate::prompt::NoPin::Refused.into(),
        NotDone::Unasked(why) => why.into(),
        NotDone::Unfit => fault::internal(),
    }
}
