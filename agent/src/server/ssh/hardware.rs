//! Keys that a device holds: the joint between the SSH door and whatever signs there.
//!
//! A kind of device is one variant of [`DeviceKey`], and one file that signs with it. Nothing of the vault is in hand
//! while a device works: a lock ends it, and nothing is handed out after one.

use super::connection::Connection;
use super::record::Signature;
use super::sign::{NotSigned, asked_by, over};
use crate::ask::{Audience, Touch};
use crate::device::{Answer, Error, Found, Operation};
use crate::session::Hardware;
use crate::ssh::Payload;
use crate::ssh::key::{SecurityKey, SoftKey};
use std::sync::Arc;

/// A key that a device holds.
pub(super) enum DeviceKey {
    /// A credential of a FIDO device.
    Security(SecurityKey),
}

impl DeviceKey {
    /// Where the key is one of a device.
    pub(super) fn of(key: &SoftKey) -> Option<Self> {
        key.security_key().cloned().map(Self::Security)
    }

    /// Whether it may sign this. A credential of the web signs what SSH wants, and nothing that a browser could want.
    fn signs(&self, payload: &Payload<'_>) -> bool {
        match self {
            Self::Security(key) => key.application.starts_with("ssh:") || !matches!(payload, Payload::Raw),
        }
    }
}

/// What a kind of device has to sign with: the devices, and the person before them.
pub(super) struct Bench<'a> {
    pub(super) hardware: &'a Hardware,
    pub(super) audience: Arc<Audience>,
    pub(super) purpose: String,
    pub(super) asked_by: String,
}

impl Bench<'_> {
    /// Has a device do something, and tells of the touch that it waits for, as long as it does.
    pub(super) async fn run(&self, device: &Found, operation: Operation) -> Result<Answer, Error> {
        let (purpose, asked_by) = (self.purpose.clone(), self.asked_by.clone());
        let touch = Touch { device: device.product.clone(), purpose, asked_by };
        self.hardware.run(device, operation, &touch, &self.audience).await
    }
}

impl Connection {
    /// The signature blob of a key that a device holds, for one that may be used. A person may have to be there.
    pub(super) async fn sign_on_device(
        &self,
        key: &DeviceKey,
        (data, _flags): (&[u8], u32),
        signature: &Signature<'_>,
    ) -> Result<Vec<u8>, NotSigned> {
        let server = self.server.as_ref().ok_or(Error::HelperMissing)?;
        if !key.signs(signature.payload) {
            return Err(NotSigned::NotAllowed);
        }
        let bench = Bench {
            hardware: server.office.hardware(),
            audience: Arc::new(self.audience()),
            purpose: self.purpose(signature).await,
            asked_by: asked_by(&self.peer()),
        };
        let work = async {
            match key {
                DeviceKey::Security(key) => bench.sign_with_security_key(key, data).await,
            }
        };
        let made = tokio::select! {
            biased;
            () = over(self.leave()) => return Err(NotSigned::Gone),
            made = work => made?,
        };
        if self.is_locked() { Err(NotSigned::Gone) } else { Ok(made) }
    }
}
