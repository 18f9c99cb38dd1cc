//! Vault slots that a device opens: the device that is meant, what it is asked, and how a new one is made.
//!
//! The devices give a secret, and the vault opens with it; no PIN and no key of the vault is in one place with the other.
//! Below: `fido` FIDO2 keys, `piv` PIV cards.

mod fido;
mod piv;

use super::Server;
use super::card::{Errand, NotDone, card_name};
use super::conversation::Conversation;
use super::fault;
use super::lock::blocking;
use crate::ask::{Audience, Listener};
use crate::device::{Address, Card, Error, Found, Reference};
use crate::prompt::shown;
use crate::vault::{DeviceSlot, Fido2Slot, PivKey, SlotInfo};
use claviger::model::{DeviceProof, SlotAnswer};
use claviger::secret::{DeviceSecret, Secret, SecretText};
use claviger::wire::{Code, Fault, NewSlot, Request, SlotKind, SlotProof};
use data_encoding::HEXLOWER;
use std::sync::Arc;
use zeroize::Zeroizing;

/// A device that is plugged in, and the slots that it may open, by their ids.
enum Candidate {
    Fido2(Found, Vec<(u32, Fido2Slot)>),
    Piv(Card, Vec<(u32, PivKey)>),
}

impl Candidate {
    fn name(&self) -> String {
        match self {
            Self::Fido2(device, _) => device.product.clone(),
            Self::Piv(card, _) => card_name(card),
        }
    }

    fn kind(&self) -> SlotKind {
        match self {
            Self::Fido2(..) => SlotKind::Fido2,
            Self::Piv(..) => SlotKind::Piv,
        }
    }

    fn ids(&self) -> Vec<u32> {
        match self {
            Self::Fido2(_, slots) => slots.iter().map(|(id, _)| *id).collect(),
            Self::Piv(_, slots) => slots.iter().map(|(id, _)| *id).collect(),
        }
    }
}

impl Server {
    /// Where a request is to be proven by a device: asks the device, and puts what it gives in the request. A locked vault
    /// is opened with it, too. The one place where a slot proof of a device is made.
    pub(super) async fn prove_by_device(
        self: &Arc<Self>,
        request: &mut Request,
        conversation: &mut Conversation,
    ) -> Result<(), Fault> {
        let file = match request {
            Request::Restore { file, .. } => Some(file.clone()),
            _ => None,
        };
        let leaves = match request {
            Request::SlotRemove { slot, .. } => Some(*slot),
            _ => None,
        };
        let opens = matches!(request, Request::Unlock { .. } | Request::Restore { .. });
        let Some(proof) = request.proof_mut() else { return Ok(()) };
        let SlotProof::Device(wanted) = proof else { return Ok(()) };
        let custody = self.custody.clone();
        let slots = move || match file {
            Some(file) => custody.slots_of(&file),
            None => custody.slots(),
        };
        let mut slots = blocking(None, slots).await.map_err(fault::vault)?;
        // A slot that is to go proves nothing.
        slots.retain(|slot| Some(slot.id) != leaves);
        let purpose = if opens { "To open the vault." } else { "To open a vault slot afresh, for what was asked." };
        let answer = self.answer_of_device(wanted, &slots, purpose, conversation).await.map_err(left_to_others)?;
        if !opens && !self.custody.is_unlocked() {
            let opened = self.unlock(SlotProof::Answered(answer.clone()), conversation.leave.clone()).await;
            let opened = opened.map_err(fault::vault);
            self.record_unlock(answer.kind.as_str(), opened.as_ref().err(), conversation.peer.seen()).await;
            opened?;
        }
        *proof = SlotProof::Answered(answer);
        Ok(())
    }

    /// What the one device that is meant gives for its slot.
    async fn answer_of_device(
        self: &Arc<Self>,
        wanted: &DeviceProof,
        slots: &[SlotInfo],
        purpose: &str,
        conversation: &mut Conversation,
    ) -> Result<SlotAnswer, Fault> {
        let slots = meant(wanted, slots)?;
        let candidate = self.candidate(wanted.device.as_deref(), &slots).await?;
        let peer = conversation.peer.with_parents();
        let work = |listener: Listener| async move {
            let errand = Errand::new(purpose, &peer, Audience::of(listener));
            let answer = match &candidate {
                Candidate::Fido2(device, slots) => self.answer_of_fido2(device, slots, &errand).await,
                Candidate::Piv(card, slots) => self.answer_of_piv(card, slots, &errand).await,
            };
            answer.map_err(|error| refusal(error, &candidate.name(), candidate.kind()))
        };
        conversation.attend(self, work).await
    }

    /// The one device that opens one of these slots, as far as can be known without its PIN.
    async fn candidate(
        self: &Arc<Self>,
        named: Option<&str>,
        slots: &[(u32, &DeviceSlot)],
    ) -> Result<Candidate, Fault> {
        let keys: Vec<(u32, Fido2Slot)> = slots
            .iter()
            .filter_map(|(id, slot)| match slot {
                DeviceSlot::Fido2(key) => Some((*id, key.clone())),
                DeviceSlot::Piv(_) => None,
            })
            .collect();
        let on_cards: Vec<(u32, PivKey)> = slots
            .iter()
            .filter_map(|(id, slot)| match slot {
                DeviceSlot::Piv(key) => Some((*id, key.clone())),
                DeviceSlot::Fido2(_) => None,
            })
            .collect();
        let (mut found, mut silent) = (Vec::new(), None);
        if !keys.is_empty() {
            self.fido2_candidates(named, &keys, &mut found, &mut silent).await;
        }
        if !on_cards.is_empty() {
            self.piv_candidates(named, &on_cards, &mut found, &mut silent).await;
        }
        let ids: Vec<String> = found.iter().flat_map(Candidate::ids).map(|id| id.to_string()).collect();
        match (found.pop(), found.is_empty()) {
            (Some(candidate), true) => Ok(candidate),
            (Some(_), false) => {
                let message = format!("more than one device could be meant, for the slots {}", ids.join(", "));
                let example = ids.first().map(String::as_str).unwrap_or_default();
                Err(Fault::new(Code::SlotAmbiguous, message).hint(format!("claviger unlock --slot {example}")))
            }
            (None, _) => Err(match silent {
                Some(fault) => fault,
                None => Fault::new(Code::SlotNoDevice, "no device that opens the vault is plugged in"),
            }),
        }
    }

    async fn fido2_candidates(
        self: &Arc<Self>,
        named: Option<&str>,
        keys: &[(u32, Fido2Slot)],
        found: &mut Vec<Candidate>,
        silent: &mut Option<Fault>,
    ) {
        let present = match self.devices().present().await {
            Ok(present) => present,
            Err(error) => return *silent = Some(fault::device::fault(&error, None)),
        };
        if let Some(error) = present.fido {
            *silent = Some(fault::device::fault(&error, None));
        }
        for device in present.devices {
            let Address::Fido(path) = &device.address else { continue };
            if named.is_some_and(|named| path != named && !device.product.contains(named)) {
                continue;
            }
            match self.slots_of_fido2(&device, keys).await {
                Ok(slots) if slots.is_empty() => {}
                Ok(slots) => found.push(Candidate::Fido2(device, slots)),
                Err(error) => *silent = Some(fault::device::fault(&error, Some(&device.product))),
            }
        }
    }

    async fn piv_candidates(
        self: &Arc<Self>,
        named: Option<&str>,
        keys: &[(u32, PivKey)],
        found: &mut Vec<Candidate>,
        silent: &mut Option<Fault>,
    ) {
        let cards = match self.devices().cards().await {
            Ok(cards) => cards,
            Err(error) => return *silent = Some(fault::device::fault(&error, None)),
        };
        for card in cards {
            match card {
                Ok(card) => {
                    let serial = card.info.serial;
                    let is_named = named.is_none_or(|named| serial.is_some_and(|serial| serial.to_string() == named));
                    let is_its = |key: &PivKey| key.serial.is_none() || key.serial == serial;
                    let slots: Vec<_> = keys.iter().filter(|(_, key)| is_its(key)).cloned().collect();
                    if card.info.piv.is_some() && is_named && !slots.is_empty() {
                        found.push(Candidate::Piv(card, slots));
                    }
                }
                Err(error) => *silent = Some(fault::device::fault(&error, None)),
            }
        }
    }

    /// Adds a slot that a device opens: first the proof, then the device does its part, then the vault.
    pub(super) async fn add_device_slot(
        self: &Arc<Self>,
        proof: SlotProof,
        new: NewSlot,
        conversation: &mut Conversation,
    ) -> Result<(), Fault> {
        let (custody, proof, leave) = (self.custody.clone(), Arc::new(proof), conversation.leave.clone());
        let (may, proved) = (custody.clone(), proof.clone());
        // Before anybody touches anything in vain.
        blocking(leave.clone(), move || may.may_add(&proved)).await.map_err(fault::vault)?;
        let (device, secret) = match new {
            NewSlot::Fido2(new) => {
                let (slot, secret) = self.enrol_fido2(new, conversation).await?;
                (DeviceSlot::Fido2(slot), secret)
            }
            NewSlot::Piv(new) => {
                let (slot, secret) = self.enrol_piv(new, conversation).await?;
                (DeviceSlot::Piv(slot), secret)
            }
            NewSlot::Keyring {} | NewSlot::Passphrase(_) | NewSlot::Recovery {} => return Err(fault::internal()),
        };
        let now = self.world.clock.wall();
        let added = blocking(leave, move || custody.add_device(&proof, device, &secret, now)).await;
        added.map(drop).map_err(fault::vault)
    }
}

/// Where there is no device, or the person does not want it, another slot may do.
fn left_to_others(fault: Fault) -> Fault {
    match fault.code {
        Code::DeviceHelperMissing | Code::DeviceNotPresent | Code::DeviceServiceMissing | Code::PromptRefused => {
            Fault::new(Code::SlotNoDevice, fault.message)
        }
        _ => fault,
    }
}

/// The slots of devices that a proof can mean.
fn meant<'a>(wanted: &DeviceProof, slots: &'a [SlotInfo]) -> Result<Vec<(u32, &'a DeviceSlot)>, Fault> {
    let is_meant = |slot: &&SlotInfo| {
        wanted.slot.is_none_or(|id| slot.id == id) && wanted.kind.is_none_or(|kind| slot.kind == Some(kind))
    };
    let slots: Vec<_> =
        slots.iter().filter(is_meant).filter_map(|slot| Some((slot.id, slot.device.as_ref()?))).collect();
    if slots.is_empty() {
        let any = wanted.slot.is_none() && wanted.kind.is_none();
        let code = if any { Code::SlotNoDevice } else { Code::SlotNotFound };
        return Err(Fault::new(code, "no device opens a slot of the vault that would do"));
    }
    Ok(slots)
}

/// A person's word for a device, if it can be one.
fn label(label: Option<String>) -> Result<Option<String>, Fault> {
    let is_one = |label: &String| (1..=64).contains(&label.len()) && !label.chars().any(char::is_control);
    match label {
        Some(label) if !is_one(&label) => Err(Fault::new(Code::Usage, "a label has 1 to 64 bytes of plain text")),
        label => Ok(label),
    }
}

/// What a device gives in base16; [`Error::HelperSpeech`] where it is not 32 bytes.
fn secret_of(text: &DeviceSecret) -> Result<Secret<[u8; 32]>, Error> {
    let bytes = HEXLOWER.decode(text.expose().as_bytes()).map(Zeroizing::new).map_err(|_| Error::HelperSpeech)?;
    let bytes = <[u8; 32]>::try_from(bytes.as_slice()).map(Zeroizing::new).map_err(|_| Error::HelperSpeech)?;
    Ok(Secret::new(*bytes))
}

fn unfit(name: &str) -> Fault {
    let message = format!("the key is not of P-256, or does not want both PIN and touch ({})", shown(name.as_bytes()));
    Fault::new(Code::SlotKeyUnfit, message)
}

/// Why a device did not open its slot, or was not enrolled.
fn refusal(error: NotDone, name: &str, kind: SlotKind) -> Fault {
    let error = match error {
        NotDone::Device(error) => error,
        NotDone::LastTry(reference) => return fault::device::last_try(reference, name),
        NotDone::Refused => return crate::prompt::NoPin::Refused.into(),
        NotDone::Unasked(why) => return why.into(),
        NotDone::Unfit => return unfit(name),
    };
    let fault = fault::device::fault(&error, Some(name));
    match (error, kind) {
        (Error::PinBlocked(Reference::Pin), SlotKind::Piv) => fault.hint("claviger piv pin --unblock"),
        (Error::PinBlocked(_) | Error::PinPaused, _) => fault.hint("claviger unlock --recovery"),
        (Error::PinNotSet, SlotKind::Fido2) => fault.hint("claviger fido pin --set"),
        _ => fault,
    }
}
