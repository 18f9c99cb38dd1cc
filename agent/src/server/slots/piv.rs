//! PIV cards as vault slots: a key in a retired slot agrees on a secret with one that was used once (NIST SP 800-73-4
//! part 2, section 3.2.4), as age's recipients do.

use super::{label, refusal, secret_of};
use crate::ask::{Audience, Listener};
use crate::device::{Answer, Bytes, Card, Error, Reference, Thing, piv};
use crate::server::Server;
use crate::server::card::{Errand, NotDone, Tries, card_name};
use crate::server::conversation::Conversation;
use crate::vault::{Agreement, PivKey, Point};
use claviger::model::{Firmware, PinPolicy, PivAlgorithm, PivSlot, SlotAnswer, SlotKind, TouchPolicy};
use claviger::secret::Secret;
use claviger::wire::{Code, Fault, NewPivSlot};
use std::sync::Arc;
use subtle::ConstantTimeEq;

/// The firmware from which on a card tells every key that it holds.
const METADATA: Firmware = Firmware(5, 3, 0);

impl Server {
    /// What the card gives for the slot among these whose key it holds.
    pub(super) async fn answer_of_piv(
        self: &Arc<Self>,
        card: &Card,
        slots: &[(u32, PivKey)],
        errand: &Errand,
    ) -> Result<SlotAnswer, NotDone> {
        let held = self.read_keys(card.clone()).await?;
        let (id, key) =
            slots.iter().find(|(_, key)| holds(card, &held.keys, key)).ok_or(Error::NotThere(Thing::Key))?;
        let secret = Arc::new(self.agreed(card, key.slot, &key.ephemeral, errand).await?);
        Ok(SlotAnswer { slot: *id, kind: SlotKind::Piv, secret })
    }

    /// What the key in a slot of a card agrees on with this point. The PIN is asked for each time: it is a person's proof.
    async fn agreed(
        self: &Arc<Self>,
        card: &Card,
        slot: PivSlot,
        with: &Point,
        errand: &Errand,
    ) -> Result<Secret<[u8; 32]>, NotDone> {
        let mut tries = Tries::new(self, card, Reference::Pin, errand);
        loop {
            let pin = tries.ask().await?;
            let operation = piv::Operation::Agree {
                slot,
                algorithm: PivAlgorithm::EcdsaP256,
                public: Bytes(with.to_vec()),
                pin: Some(tries.copy(&pin)),
            };
            match self.card_run(card, operation, errand).await {
                Ok(Answer::Piv(piv::Answer::Secret(text))) => return Ok(secret_of(&text)?),
                Ok(_) => return Err(Error::HelperSpeech.into()),
                Err(error @ Error::PinWrong { .. }) => tries.was_wrong(pin, &error),
                Err(error) => return Err(error.into()),
            }
        }
    }

    /// Has a card make a key, or takes one that is there, and has it agree on a secret with us.
    pub(super) async fn enrol_piv(
        self: &Arc<Self>,
        new: NewPivSlot,
        conversation: &mut Conversation,
    ) -> Result<(PivKey, Secret<[u8; 32]>), Fault> {
        let label = label(new.label.clone())?;
        check(&new)?;
        let card = self.piv_card(new.device).await?;
        let peer = conversation.peer.with_parents();
        let work = |listener: Listener| async move {
            let errand = Errand::new("To make it a key of the vault.", &peer, Audience::of(listener));
            let key = self.key_of(&card, new, &errand).await?;
            let told = |error| refusal(error, &card_name(&card), SlotKind::Piv);
            self.enrol_key(&card, key, label, &errand).await.map_err(told)
        };
        conversation.attend(self, work).await
    }

    /// The key that is to open the vault: a new one, or the one that is there.
    async fn key_of(self: &Arc<Self>, card: &Card, new: NewPivSlot, errand: &Errand) -> Result<piv::Key, Fault> {
        let told = |error: NotDone| refusal(error, &card_name(card), SlotKind::Piv);
        let held = self.read_keys(card.clone()).await.map_err(|error| told(error.into()))?;
        let is_used = |slot: &PivSlot| held.keys.iter().any(|key| key.slot == *slot);
        let slot = match new.slot {
            Some(slot) => slot,
            None if new.existing => {
                return Err(Fault::new(Code::Usage, "the slot of the key that is there is missing"));
            }
            None => retired().find(|slot| !is_used(slot)).ok_or_else(|| told(Error::Full.into()))?,
        };
        if new.existing {
            let key = held.keys.iter().find(|key| key.slot == slot);
            return key.cloned().ok_or_else(|| told(Error::NotThere(Thing::Key).into()));
        }
        let (pin_policy, touch_policy) = (new.pin_policy, new.touch_policy);
        let generate = |management_key| piv::Operation::Generate {
            slot,
            algorithm: PivAlgorithm::EcdsaP256,
            pin_policy,
            touch_policy,
            replace: false,
            management_key,
        };
        let made = self.managed(card, new.management_key, errand, generate).await;
        self.cards.forget(card);
        match made.map_err(told)? {
            Answer::Piv(piv::Answer::Public(public)) => Ok(piv::Key {
                slot,
                algorithm: PivAlgorithm::EcdsaP256,
                public,
                pin_policy: Some(pin_policy),
                touch_policy: Some(touch_policy),
                generated: Some(true),
                certificate: None,
            }),
            _ => Err(told(Error::HelperSpeech.into())),
        }
    }

    async fn enrol_key(
        self: &Arc<Self>,
        card: &Card,
        mut key: piv::Key,
        label: Option<String>,
        errand: &Errand,
    ) -> Result<(PivKey, Secret<[u8; 32]>), NotDone> {
        let attested = self.attested(card, &key, errand).await?;
        if let Some(attested) = &attested {
            key.pin_policy = key.pin_policy.or(attested.pin_policy);
            key.touch_policy = key.touch_policy.or(attested.touch_policy);
        }
        let public = point(&key).ok_or(NotDone::Unfit)?;
        let agreement = Agreement::with(&self.world, &public).map_err(|_| NotDone::Unfit)?;
        let given = self.agreed(card, key.slot, &agreement.ephemeral, errand).await?;
        if !bool::from(given.expose().ct_eq(agreement.secret.expose())) {
            return Err(Error::BadAnswer("another secret than the key agrees on".to_owned()).into());
        }
        let key = PivKey {
            attested: attested.is_some(),
            ephemeral: agreement.ephemeral,
            firmware: card.info.firmware,
            label,
            pin_policy: key.pin_policy,
            public,
            serial: card.info.serial,
            slot: key.slot,
            touch_policy: key.touch_policy,
        };
        Ok((key, given))
    }

    /// What the card attests of this key; None where it attests nothing of it. One of another key or card is an error.
    async fn attested(&self, card: &Card, key: &piv::Key, errand: &Errand) -> Result<Option<piv::Attested>, NotDone> {
        let attested = match self.card_run(card, piv::Operation::Attested { slot: key.slot }, errand).await {
            Ok(Answer::Piv(piv::Answer::Attested(attested))) => attested,
            Ok(_) => return Err(Error::HelperSpeech.into()),
            Err(Error::NotThere(_) | Error::Unsupported(_)) => return Ok(None),
            Err(error) => return Err(error.into()),
        };
        let is_its = attested.serial.is_none() || card.info.serial.is_none() || attested.serial == card.info.serial;
        if attested.public != key.public || !is_its {
            return Err(Error::BadAnswer("an attestation of another key".to_owned()).into());
        }
        Ok(Some(attested))
    }
}

/// Refuses what cannot be made a slot of.
fn check(new: &NewPivSlot) -> Result<(), Fault> {
    if new.slot.is_some_and(|slot| !retired().any(|retired| retired == slot)) {
        return Err(Fault::new(Code::Usage, "a key of the vault lies in a retired slot, 82 to 95"));
    }
    let wants = matches!(new.pin_policy, PinPolicy::Once | PinPolicy::Always) && new.touch_policy.wants_touch();
    if wants { Ok(()) } else { Err(Fault::new(Code::Usage, "a key of the vault wants the PIN and a touch")) }
}

/// The slots that a key of the vault may lie in.
fn retired() -> impl Iterator<Item = PivSlot> {
    PivSlot::all().filter(|slot| (0x82..=0x95).contains(&slot.reference()))
}

/// The public half of a key that can open a vault: one of P-256 that wants the PIN and a touch, as far as the card tells.
fn point(key: &piv::Key) -> Option<Point> {
    let wants = matches!(key.pin_policy, Some(PinPolicy::Once | PinPolicy::Always))
        && key.touch_policy.is_some_and(TouchPolicy::wants_touch);
    match (&key.algorithm, &key.public) {
        (PivAlgorithm::EcdsaP256, piv::PublicKey::Point(bytes)) if wants => Point::try_from(bytes.0.as_slice()).ok(),
        _ => None,
    }
}

/// Whether the card has this key, as far as it tells.
fn holds(card: &Card, held: &[piv::Key], key: &PivKey) -> bool {
    match held.iter().find(|held| held.slot == key.slot) {
        Some(held) => matches!(&held.public, piv::PublicKey::Point(bytes) if bytes.0 == key.public),
        None => card.info.firmware.is_none_or(|firmware| firmware < METADATA),
    }
}
