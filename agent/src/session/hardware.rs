//! Codes of devices that are plugged in: a YubiKey's OATH applet. What is plugged in comes first, whatever else would do.

use super::Error;
use super::office::Office;
use super::plan::Plan;
use super::spend::Code;
use crate::ask::{Audience, Touch};
use crate::device::{self, Answer, Applet, Bytes, Card, Devices, Found, Notice, Operation, fido, oath};
use crate::mfa::STEP_SECONDS;
use crate::prompt::{self, Prompts};
use crate::vault::{Fido2Slot, OathAccount};
use aws_lc_rs::signature::{ECDSA_P256_SHA256_ASN1, UnparsedPublicKey};
use claviger::model::{Label, MfaSerial, Name};
use claviger::secret::{DeviceSecret, Pin, TokenCode};
use sha2::{Digest, Sha256};
use std::sync::Arc;
use tokio::sync::mpsc;

/// The devices, and how a person is told to touch one.
#[derive(Clone)]
pub struct Hardware {
    /// What is plugged in.
    pub devices: Arc<Devices>,
    /// Where a touch is shown.
    pub prompts: Arc<Prompts>,
}

impl Hardware {
    /// Has a device do something. While it waits for a touch, this is shown.
    ///
    /// # Errors
    /// Those of the device.
    pub async fn run(
        &self,
        device: &Found,
        operation: Operation,
        touch: &Touch,
        audience: &Arc<Audience>,
    ) -> Result<Answer, device::Error> {
        let (notices, mut heard) = mpsc::unbounded_channel();
        let mut work = std::pin::pin!(self.devices.run(device, operation, notices));
        let mut shown = None;
        loop {
            tokio::select! {
                biased;
                outcome = &mut work => return outcome,
                Some(Notice::Touch) = heard.recv(), if shown.is_none() => {
                    shown = Some(self.prompts.touch(touch, audience));
                }
            }
        }
    }

    /// A person's touch of the key that opens this vault slot: a signature over a fresh challenge, which the credential that
    /// was enrolled has made, and which says that it was touched. The PIN is wanted by credentials that are
    /// [`protected`](Fido2Slot::protected) alone.
    ///
    /// # Errors
    /// Those of the device; [`device::Error::BadAnswer`] where the signature is not of that credential, not over that
    /// challenge, or made without a touch.
    pub async fn presence(
        &self,
        device: &Found,
        enrolled: &Fido2Slot,
        (challenge, pin): (&[u8; 32], Option<Pin>),
        touch: &Touch,
        audience: &Arc<Audience>,
    ) -> Result<(), device::Error> {
        let operation = fido::Operation::Sign {
            application: enrolled.application.clone(),
            credential: Bytes(enrolled.credential.clone()),
            data: Bytes(challenge.to_vec()),
            touch: true,
            verify: enrolled.protected,
            pin,
        };
        match self.run(device, Operation::Fido(operation), touch, audience).await? {
            Answer::Fido(fido::Answer::Assertion(made)) if is_touched(enrolled, challenge, &made) => Ok(()),
            Answer::Fido(fido::Answer::Assertion(_)) => {
                Err(device::Error::BadAnswer("an assertion that does not hold".to_owned()))
            }
            _ => Err(device::Error::HelperSpeech),
        }
    }

    /// The same of the OATH applet of a card.
    ///
    /// # Errors
    /// Those of the device.
    pub async fn oath(
        &self,
        card: &Card,
        operation: oath::Operation,
        purpose: &str,
        audience: &Arc<Audience>,
    ) -> Result<Answer, device::Error> {
        if card.info.oath.is_none() {
            return Err(device::Error::AppletMissing(Applet::Oath));
        }
        let (device, purpose) = (named(card.info.serial), purpose.to_owned());
        let touch = Touch { device, purpose, asked_by: asked_by(audience) };
        self.run(&card.found, Operation::Oath(operation), &touch, audience).await
    }
}

/// Whether the enrolled credential made this assertion over this challenge, touched (WebAuthn Level 3, sections 6.1 and
/// 7.2; client data are the challenge alone).
pub fn is_touched(enrolled: &Fido2Slot, challenge: &[u8; 32], made: &fido::Assertion) -> bool {
    let application = Sha256::digest(enrolled.application.as_bytes());
    let client_data = Sha256::digest(challenge);
    let counter = made.counter.to_be_bytes();
    let signed = [&application[..], &[made.flags], &counter, &client_data].concat();
    let key = UnparsedPublicKey::new(&ECDSA_P256_SHA256_ASN1, enrolled.public);
    made.flags & USER_PRESENT != 0 && key.verify(&signed, &made.signature.0).is_ok()
}

/// The flag of a touch in authenticator data.
const USER_PRESENT: u8 = 0x01;

/// What people call a card.
pub fn named(serial: Option<u32>) -> String {
    serial.map_or_else(|| "YubiKey".to_owned(), |serial| format!("YubiKey (serial {serial})"))
}

/// Who asks, a sentence.
pub fn asked_by(audience: &Audience) -> String {
    audience.asker().map_or_else(|| "Asked by claviger itself.".to_owned(), |asker| prompt::asked_by(&asker()))
}

/// Whether the device is not there, rather than in trouble: then the next one in the list is tried. A device that is there
/// and gives no code is told of: nothing weaker takes its place unnoticed.
fn is_absent(error: &device::Error) -> bool {
    use device::Error;
    matches!(error, Error::Gone | Error::NotPresent | Error::ServiceMissing | Error::HelperMissing)
}

impl Office {
    /// The code of the first of these devices that is on a card that is plugged in; None where none is.
    pub(super) async fn code_of_card(
        &self,
        access_key: &Name,
        serials: &[MfaSerial],
        plan: &Plan,
        audience: &Arc<Audience>,
    ) -> Result<Option<Code>, Error> {
        let knowledge = self.custody.knowledge();
        for serial in serials {
            let known = knowledge.devices.iter().find(|device| device.serial == *serial);
            let Some(account) = known.and_then(|device| device.on_card.as_ref()) else { continue };
            let card = match self.hardware.devices.card(account.card).await {
                Ok(card) => card,
                Err(error) if is_absent(&error) => continue,
                Err(error) => return Err(Error::Device { error, card: account.card }),
            };
            if !account.touch && self.presence_left().is_none() {
                return Err(Error::PresenceNeeded);
            }
            let skew_millis = self.aws.skew_millis();
            let turn = self.burn(access_key, std::slice::from_ref(serial), true, audience).await?;
            let purpose = format!("For a code of {serial}, for {}.", Label(&plan.profile));
            let access = self.oath_access(&card)?;
            match self.oath_code(&card, account, (turn.step, access), &purpose, audience).await {
                Ok(code) => return Ok(Some(Code::new(turn, code, skew_millis))),
                Err(error) => {
                    // It never left the card.
                    self.custody.unburn(serial, turn.step);
                    if !matches!(&error, Error::Device { error, .. } if is_absent(error)) {
                        return Err(error);
                    }
                }
            }
        }
        Ok(None)
    }

    /// The code of an account on a card, of a step that is burned, with what opens its applet. One that was touched for is a human act.
    ///
    /// # Errors
    /// Those of the device, and of the vault.
    pub async fn oath_code(
        &self,
        card: &Card,
        account: &OathAccount,
        (step, access): (u64, Option<DeviceSecret>),
        purpose: &str,
        audience: &Arc<Audience>,
    ) -> Result<TokenCode, Error> {
        let failed = |error| Error::Device { error, card: account.card };
        let time = i64::try_from(step).unwrap_or(i64::MAX).saturating_mul(STEP_SECONDS);
        let code = async |name: &[u8]| {
            let access = access.as_ref().map(oath::for_helper);
            let verb = oath::Verb::Code { name: Bytes(name.to_vec()), time };
            self.hardware.oath(card, oath::Operation { access, verb }, purpose, audience).await
        };
        let mut answer = code(&account.name).await;
        // It was being renamed, and nobody knows how far that came.
        if let (Err(device::Error::NotThere(_)), Some(name)) = (&answer, &account.renaming) {
            answer = code(name).await;
        }
        match answer {
            Ok(Answer::Oath(oath::Answer::Code(code))) => {
                if account.touch {
                    self.mark_presence();
                }
                Ok(code)
            }
            Ok(_) => Err(failed(device::Error::HelperSpeech)),
            Err(error) => Err(failed(error)),
        }
    }

    /// What opens the OATH applet of a card, where the vault knows it.
    ///
    /// # Errors
    /// Those of the vault.
    pub fn oath_access(&self, card: &Card) -> Result<Option<DeviceSecret>, Error> {
        let Some(applet) = &card.info.oath else { return Ok(None) };
        let access = self.custody.oath_access(&String::from(applet.id.clone()))?;
        Ok(access.map(|access| oath::for_helper(&access)))
    }
}
