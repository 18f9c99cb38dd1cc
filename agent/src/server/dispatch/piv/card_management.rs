//! Certificates and the management key.

use super::refusal;
use crate::ask::{Audience, Listener};
use crate::device::{Answer, Bytes, Card, CertificateFlaw, Error, Operation, Reference, piv};
use crate::server::Server;
use crate::server::card::{Errand, NotDone, Tries};
use crate::server::conversation::Conversation;
use claviger::model::PivSlot;
use claviger::secret::{DeviceSecret, SecretText};
use claviger::wire::{Code, Fault, PivCertificate, PivCertificateDeed, PivManagementKey, Reply};
use data_encoding::{BASE64, HEXLOWER};
use std::sync::Arc;
use tokio::sync::mpsc;

const BEGIN: &str = "-----BEGIN CERTIFICATE-----";
const END: &str = "-----END CERTIFICATE-----";
/// Characters in a line of PEM (RFC 7468, section 2).
const PEM_LINE: usize = 64;

impl Server {
    pub(super) async fn piv_certificate(
        self: &Arc<Self>,
        request: PivCertificate,
        conversation: &mut Conversation,
    ) -> Result<Reply, Fault> {
        let PivCertificate { device, slot, deed, management_key } = request;
        let card = self.piv_card(device).await?;
        let peer = conversation.peer.with_parents();
        let work = |listener: Listener| async move {
            let errand = Errand::new(purpose(&deed, slot), &peer, Audience::of(listener));
            let done = match deed {
                PivCertificateDeed::Show {} => {
                    self.certificates(&card, piv::Operation::Certificate { slot }, &errand).await
                }
                PivCertificateDeed::Attest {} => {
                    self.certificates(&card, piv::Operation::Attest { slot }, &errand).await
                }
                PivCertificateDeed::Import(text) => match der(&text) {
                    Some(der) => self.set_certificate(&card, (slot, Some(der)), management_key, &errand).await,
                    None => Err(Error::CertificateRefused(CertificateFlaw::NotOne).into()),
                },
                PivCertificateDeed::Remove {} => {
                    self.set_certificate(&card, (slot, None), management_key, &errand).await
                }
            };
            done.map_err(|error| refusal(error, &card))
        };
        conversation.attend(self, work).await
    }

    async fn certificates(&self, card: &Card, operation: piv::Operation, errand: &Errand) -> Result<Reply, NotDone> {
        match self.card_run(card, operation, errand).await? {
            Answer::Piv(piv::Answer::Certificate(der)) => Ok(Reply::PivCertificates(vec![pem(&der.0)])),
            Answer::Piv(piv::Answer::Attestation { key, card }) => {
                Ok(Reply::PivCertificates(vec![pem(&key.0), pem(&card.0)]))
            }
            _ => Err(Error::HelperSpeech.into()),
        }
    }

    async fn set_certificate(
        self: &Arc<Self>,
        card: &Card,
        (slot, certificate): (PivSlot, Option<Vec<u8>>),
        given: Option<DeviceSecret>,
        errand: &Errand,
    ) -> Result<Reply, NotDone> {
        let operation = |management_key| {
            let certificate = certificate.clone().map(Bytes);
            piv::Operation::SetCertificate { slot, certificate, management_key }
        };
        let done = self.managed(card, given, errand, operation).await;
        // Its name is in the list, and on firmware before 5.3 the key of an imported one.
        self.cards.forget(card);
        done.map(|_| Reply::Done {})
    }

    pub(super) async fn piv_management_key(
        self: &Arc<Self>,
        request: PivManagementKey,
        conversation: &mut Conversation,
    ) -> Result<Reply, Fault> {
        let PivManagementKey { device, old, new, touch, protect } = request;
        let card = self.piv_card(device).await?;
        let peer = conversation.peer.with_parents();
        if protect {
            let work = |listener: Listener| async move {
                let errand = Errand::new("To put the management key behind the PIN.", &peer, Audience::of(listener));
                let done = self.protect_management_key(&card, old, &errand).await;
                done.map(|_| Reply::Done {}).map_err(|error| refusal(error, &card))
            };
            return conversation.attend(self, work).await;
        }
        let new = match new {
            Some(new) => new,
            None => self.recorded_key(&card, conversation).await?,
        };
        let work = |listener: Listener| async move {
            let errand = Errand::new("To change the management key.", &peer, Audience::of(listener));
            let operation = |old| {
                let new = DeviceSecret::from_text(new.expose().to_ascii_lowercase());
                piv::Operation::SetManagementKey { old, new, touch }
            };
            match self.managed(&card, old, &errand, operation).await {
                Ok(_) => Ok(Reply::Done {}),
                Err(error) => Err(refusal(error, &card)),
            }
        };
        conversation.attend(self, work).await
    }

    async fn protect_management_key(
        self: &Arc<Self>,
        card: &Card,
        old: Option<DeviceSecret>,
        errand: &Errand,
    ) -> Result<Answer, NotDone> {
        let mut tries = Tries::new(self, card, Reference::Pin, errand);
        let (pin, kept) = loop {
            let pin = tries.ask().await?;
            let read = piv::Operation::ProtectedManagementKey { pin: Some(tries.copy(&pin)) };
            match self.card_run(card, read, errand).await {
                Err(error @ Error::PinWrong { .. }) => tries.was_wrong(pin, &error),
                // It keeps none, and the PIN is right.
                Err(Error::NotThere(_)) => break (pin, false),
                Err(error) => return Err(error.into()),
                Ok(_) => break (pin, true),
            }
        };
        let protect = |old| piv::Operation::ProtectManagementKey { old, pin: tries.copy(&pin) };
        if !kept || old.is_some() {
            return self.managed(card, old, errand, protect).await;
        }
        // Unless it was pulled before it had the key that lies there. To change one that it has takes two writes, and pulled
        // between them it would have a key that nobody knows.
        match self.card_run(card, protect(None), errand).await {
            Err(Error::ManagementKeyWrong) => Err(Error::ManagementKeyKept.into()),
            outcome => Ok(outcome?),
        }
    }

    /// A random management key for a card, which the client has before the card: one that nobody has would cost the card.
    async fn recorded_key(&self, card: &Card, conversation: &mut Conversation) -> Result<DeviceSecret, Fault> {
        let (notices, _) = mpsc::unbounded_channel();
        let drawn =
            self.devices().run(&card.found, Operation::Piv(piv::Operation::DrawManagementKey {}), notices).await;
        let key = match drawn {
            Ok(Answer::Piv(piv::Answer::Secret(key))) => key,
            Ok(_) => return Err(refusal(Error::HelperSpeech.into(), card)),
            Err(error) => return Err(refusal(error.into(), card)),
        };
        if conversation.confirm_management_key(&key).await {
            return Ok(key);
        }
        Err(Fault::new(
            Code::PromptRefused,
            "the new management key was not recorded, and the card keeps the one it has",
        ))
    }
}

fn purpose(deed: &PivCertificateDeed, slot: PivSlot) -> String {
    match deed {
        PivCertificateDeed::Attest {} => format!("To attest the key in slot {slot}."),
        PivCertificateDeed::Import(_) => format!("To write the certificate of slot {slot}."),
        PivCertificateDeed::Remove {} => format!("To remove the certificate of slot {slot}."),
        PivCertificateDeed::Show {} => format!("To read the certificate of slot {slot}."),
    }
}

/// A certificate in PEM (RFC 7468, section 5), or in DER as base16. None of what is neither, and of several.
fn der(text: &str) -> Option<Vec<u8>> {
    let Some((_, rest)) = text.split_once(BEGIN) else { return HEXLOWER.decode(text.as_bytes()).ok() };
    let (inside, after) = rest.split_once(END)?;
    if after.contains(BEGIN) {
        return None;
    }
    let base64: String = inside.split_ascii_whitespace().collect();
    BASE64.decode(base64.as_bytes()).ok()
}

fn pem(der: &[u8]) -> String {
    let mut text = format!("{BEGIN}\n");
    for line in BASE64.encode(der).as_bytes().chunks(PEM_LINE) {
        text.push_str(&String::from_utf8_lossy(line));
        text.push('\n');
    }
    format!("{text}{END}\n")
}

#[cfg(test)]
mod tests {
    use super::{BEGIN, der, pem};

    #[test]
    fn certificates_are_taken_as_pem_and_as_der() {
        for length in [1, 47, 48, 49, 3000] {
            let bytes: Vec<u8> = (0..=255).cycle().take(length).collect();
            let text = pem(&bytes);
            assert!(text.lines().all(|line| line.len() <= 64), "{text}");
            assert_eq!(der(&text).as_ref(), Some(&bytes));
            assert_eq!(der(&format!("Subject: CN=ada\r\n{}", text.replace('\n', "\r\n"))).as_ref(), Some(&bytes));
            assert_eq!(der(&text.repeat(2)), None, "two");
            assert_eq!(der(&text.replace("-----END", "")), None, "cut off");
        }
        assert_eq!(der("3000").as_deref(), Some(&[0x30, 0][..]));
        for neither in ["30 00", "x", BEGIN] {
            assert_eq!(der(neither), None, "{neither}");
        }
    }
}
