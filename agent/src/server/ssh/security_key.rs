//! Signing with the credentials of FIDO devices (PROTOCOL.u2f).

use super::hardware::Bench;
use super::sign::NotSigned;
use crate::ask::{PinQuestion, Question};
use crate::device::fido::{Answer as FidoAnswer, Assertion, Info, Operation as Do};
use crate::device::{Address, Answer, Bytes, Error, Found, Operation, Reference, Thing};
use crate::prompt::{NoPin, Verdict};
use crate::ssh::key::SecurityKey;
use claviger::secret::Pin;
use futures_util::StreamExt as _;
use futures_util::stream::FuturesUnordered;

/// How often a PIN is asked for: the third wrong one in a row would have the device count no more.
const PINS: usize = 2;
/// Fewest and most bytes of a PIN (CTAP 2.1, section 6.5.1).
const PIN_LENGTHS: (usize, usize) = (4, 63);

impl Bench<'_> {
    /// The signature blob. Of several devices the one that has used the key before is asked first.
    pub(super) async fn sign_with_security_key(&self, key: &SecurityKey, data: &[u8]) -> Result<Vec<u8>, NotSigned> {
        let devices = self.devices().await?;
        let known = self.hardware.devices.holder(&key.handle, &devices);
        let made = match known {
            Some(device) => Some((device.clone(), self.assertion(device, key, data).await)),
            None => None,
        };
        let (device, made) = match made {
            // It was reset since then, or pulled this moment.
            None | Some((_, Err(NotSigned::Device(Error::NotThere(_) | Error::NotPresent | Error::Gone)))) => {
                self.hardware.devices.forget(&key.handle);
                let device = self.holder(key, self.devices().await?).await?;
                let made = self.assertion(&device, key, data).await;
                (device, made)
            }
            Some(made) => made,
        };
        let made = made?;
        self.hardware.devices.has_used(&key.handle, &device);
        Ok(key.signature(data, &made.signature.0, made.flags, made.counter)?)
    }

    async fn assertion(&self, device: &Found, key: &SecurityKey, data: &[u8]) -> Result<Assertion, NotSigned> {
        if key.wants_verified() {
            return self.verified(device, key, data).await;
        }
        match self.assert(device, key, data, (false, None)).await {
            // A device that always wants it.
            Err(Error::PinNeeded(_)) => self.verified(device, key, data).await,
            made => Ok(made?),
        }
    }

    /// The FIDO devices that are plugged in; at least one.
    async fn devices(&self) -> Result<Vec<Found>, Error> {
        let present = self.hardware.devices.present().await?;
        let is_fido = |found: &Found| matches!(found.address, Address::Fido(_));
        let devices: Vec<Found> = present.devices.into_iter().filter(is_fido).collect();
        if devices.is_empty() { Err(present.fido.unwrap_or(Error::NotPresent)) } else { Ok(devices) }
    }

    /// The device with the credential: the one that says so without a touch, else, of a key that is seen with the PIN
    /// alone, the only one, or the one that a person touches. None is asked for a touch in vain.
    async fn holder(&self, key: &SecurityKey, devices: Vec<Found>) -> Result<Found, Error> {
        // It may not show itself without the PIN.
        if let ([device], true) = (devices.as_slice(), key.wants_verified()) {
            return Ok(device.clone());
        }
        let holds = || Do::Holds { application: key.application.clone(), credential: Bytes(key.handle.clone()) };
        if let Some(device) = self.first(&devices, holds).await? {
            return Ok(device);
        }
        if !key.wants_verified() {
            return Err(Error::NotThere(Thing::Credential));
        }
        self.first(&devices, || Do::Presence {}).await?.ok_or(Error::NotPresent)
    }

    /// The first device that says yes; an error where none does, and one could not say.
    async fn first(&self, devices: &[Found], operation: impl Fn() -> Do) -> Result<Option<Found>, Error> {
        let mut asked: FuturesUnordered<_> = devices
            .iter()
            .map(|device| {
                let operation = Operation::Fido(operation());
                async move { (device, self.run(device, operation).await) }
            })
            .collect();
        let mut failed = None;
        while let Some((device, said)) = asked.next().await {
            match said {
                Ok(Answer::Fido(FidoAnswer::Holds(true)) | Answer::Nothing {}) => return Ok(Some(device.clone())),
                Ok(_) => {}
                Err(error) => failed = Some(error),
            }
        }
        failed.map_or(Ok(None), Err)
    }

    /// With the user verified: by the device itself, or by the PIN.
    async fn verified(&self, device: &Found, key: &SecurityKey, data: &[u8]) -> Result<Assertion, NotSigned> {
        let info = self.info(device).await?;
        if info.verifies_user {
            return Ok(self.assert(device, key, data, (true, None)).await?);
        }
        let (mut tries, mut problem) = (info.pin_tries, None);
        match (info.pin_set, tries) {
            (Some(true), Some(0)) => return Err(Error::PinBlocked(Reference::Pin).into()),
            (Some(true), _) => {}
            _ => return Err(Error::PinNotSet.into()),
        }
        let mut wrong = Error::PinNeeded(tries);
        for _ in 0..PINS {
            let pin = self.pin(device, tries, problem.take()).await?;
            match self.assert(device, key, data, (true, Some(pin))).await {
                Err(Error::PinWrong { reference, left }) => {
                    (tries, problem) = (left, Some("The PIN was wrong.".to_owned()));
                    wrong = Error::PinWrong { reference, left };
                }
                made => return Ok(made?),
            }
        }
        Err(wrong.into())
    }

    /// The PIN, from a person; the last try only where they say so.
    async fn pin(&self, device: &Found, tries: Option<u8>, problem: Option<String>) -> Result<Pin, NotSigned> {
        if tries == Some(1) {
            let question = Question {
                title: format!("Use the last try of the PIN of {}?", device.product),
                lines: vec!["Where it is wrong, the device has to be reset, and all that it holds is lost.".to_owned()],
            };
            match self.hardware.prompts.confirm(&question, &self.audience).await {
                Verdict::Allowed => {}
                Verdict::Refused => return Err(NotSigned::Refused),
                Verdict::Unasked(why) => return Err(why.into()),
            }
        }
        let question = PinQuestion {
            device: device.product.clone(),
            wanted: "FIDO2 PIN".to_owned(),
            purpose: self.purpose.clone(),
            asked_by: self.asked_by.clone(),
            tries_left: tries.map(u32::from),
            problem,
            least: PIN_LENGTHS.0,
            most: PIN_LENGTHS.1,
        };
        self.hardware.prompts.pin(&question, &self.audience).await.map_err(|why| match why {
            NoPin::Refused => NotSigned::Refused,
            NoPin::Unasked(why) => why.into(),
        })
    }

    async fn info(&self, device: &Found) -> Result<Info, Error> {
        match self.run(device, Operation::Fido(Do::Describe {})).await? {
            Answer::Fido(FidoAnswer::Info(info)) => Ok(info),
            _ => Err(Error::HelperSpeech),
        }
    }

    async fn assert(
        &self,
        device: &Found,
        key: &SecurityKey,
        data: &[u8],
        (verify, pin): (bool, Option<Pin>),
    ) -> Result<Assertion, Error> {
        let operation = Do::Sign {
            application: key.application.clone(),
            credential: Bytes(key.handle.clone()),
            data: Bytes(data.to_vec()),
            touch: key.wants_touch(),
            verify,
            pin,
        };
        match self.run(device, Operation::Fido(operation)).await? {
            Answer::Fido(FidoAnswer::Assertion(made)) => Ok(made),
            _ => Err(Error::HelperSpeech),
        }
    }
}
